/* SPDX-License-Identifier: MIT */
/*
 * The life of a sandbox behind the public functions: create, run, freeze,
 * fork, reset, destroy, and what can be asked of it. Calls are in call.c,
 * execution in run.c.
 */
#include "sandbox.h"

#include "error.h"
#include "linux/exec.h"
#include "linux/mm.h"
#include "linux/mm_check.h"
#include "linux/tmpfs.h"
#include "sized.h"
#include "x86.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sandbox_fail(struct kvmsb *sandbox, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sandbox->detail, sizeof(sandbox->detail), format, arguments);
	va_end(arguments);
	return code;
}

int sandbox_check_idle(struct kvmsb *sandbox)
{
	if (!machine_is_ours(sandbox->machine))
		return sandbox_fail(sandbox, -ECHILD, "this process is a fork of the sandbox's");
	if (sandbox->running || sandbox->busy)
		return -EBUSY;
	return 0;
}

/* What is suspended there does not go on. */
static void forget_loop(struct kvmsb *sandbox)
{
	if (sandbox->loop != NULL)
		machine_context_forget(sandbox->machine, sandbox->loop);
	sandbox->loop_state = LOOP_AT_START;
}

static void destroy_loop(struct kvmsb *sandbox)
{
	if (sandbox->loop == NULL)
		return;
	/* In a process that has been forked the lock may be somebody's. */
	if (machine_is_ours(sandbox->machine))
		forget_loop(sandbox);
	vcpu_context_destroy(sandbox->loop);
	free(sandbox->loop);
}

/* Frees a sandbox that nobody references, half-made ones too. */
static void release(struct kvmsb *sandbox)
{
	while (sandbox != NULL && --sandbox->references == 0) {
		struct kvmsb *master = sandbox->master;

		process_destroy(&sandbox->process);
		hypercalls_destroy(&sandbox->hypercalls);
		space_destroy(sandbox->space);
		vcpu_context_destroy(&sandbox->context);
		destroy_loop(sandbox);
		if (master != NULL)
			sandbox->machine->statistics.forks--;
		else
			program_destroy(sandbox->program);
		machine_release(sandbox->machine);
		free(sandbox);
		sandbox = master;
	}
}

int sandbox_finish(struct kvmsb *sandbox, int code)
{
	if (!sandbox->doomed)
		return code;
	release(sandbox);
	return -ECANCELED;
}

static struct kvmsb *sandbox_new(void)
{
	struct kvmsb *sandbox = calloc(1, sizeof(*sandbox));

	if (sandbox != NULL)
		sandbox->references = 1;
	return sandbox;
}

void sandbox_end_exchange(struct kvmsb *sandbox)
{
	hypercalls_end(&sandbox->hypercalls);
	guest_let_go(&sandbox->process);
}

void sandbox_use(struct kvmsb *sandbox, struct vcpu_context *context)
{
	sandbox->current = context;
	sandbox->process.registers = &context->registers;
}

static void connect(struct kvmsb *sandbox)
{
	sandbox_use(sandbox, &sandbox->context);
	sandbox->process.sandbox = sandbox;
	sandbox->process.callback_begin = sandbox_callback_begin;
	sandbox->process.callback_end = sandbox_callback_end;
	sandbox->context.translations = &sandbox->space->translations;
}

/* The registers that the loader left are what the program starts with. */
static void begin(struct kvmsb *sandbox)
{
	struct kvmsb_registers first = sandbox->context.registers;

	/* vcpuid() of the guest API reads there; it is a page of zeros. */
	first.gs_base = LAYOUT_ENTRY_DATA;
	vcpu_context_begin(&sandbox->context, sandbox->machine, first.rip, &first);
}

static size_t count_variables(const char *const *environment)
{
	size_t count = 0;

	while (environment != NULL && environment[count] != NULL)
		count++;
	return count;
}

/* What the program gets of options.environment: a list to free(3), NULL without memory. */
static const char **choose_environment(const struct kvmsb_policy *policy,
                                       const char *const *environment)
{
	size_t count = count_variables(environment), kept = 0;
	const char **chosen = calloc(count + 1, sizeof(*chosen));

	for (size_t i = 0; chosen != NULL && i < count; i++) {
		const char *variable = environment[i];

		if (policy->environment != NULL)
			variable = policy->environment(policy->user, variable);
		if (variable != NULL)
			chosen[kept++] = variable;
	}
	return chosen;
}

static int load_program(struct kvmsb *sandbox, const struct kvmsb_options *options,
                        struct kvmsb_error *error)
{
	struct program *program = sandbox->program;
	const char *const only_name[] = {program->config.program, NULL};
	const char **environment = choose_environment(&program->config.ask, options->environment);
	int result;

	if (environment == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	result = exec_load(&sandbox->process, &program->executable,
	                   options->arguments != NULL ? options->arguments : only_name, environment,
	                   error);
	free(environment);
	return result;
}

static int load(struct kvmsb *sandbox, const struct kvmsb_options *options, struct kvmsb_error *error)
{
	struct program *program = sandbox->program;
	int result = space_create(&sandbox->space, sandbox->machine,
	                          program->options.memory_limit >> PAGE_SHIFT);

	if (result == 0)
		result = process_init(&sandbox->process, sandbox->space, &program->config);
	sandbox->process.timekeeper = &sandbox->machine->timekeeper;
	if (result < 0)
		return error_set(error, result, "%s", strerror(-result));
	connect(sandbox);
	sandbox->hypercalls.config = &program->http;
	result = load_program(sandbox, options, error);
	if (result < 0)
		return result;
	begin(sandbox);
	return 0;
}

int kvmsb_create(struct kvmsb **out, const struct kvmsb_options *options, struct kvmsb_error *error)
{
	struct kvmsb *sandbox = sandbox_new();
	struct machine_limits limits;
	int result;

	if (sandbox == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	result = program_create(&sandbox->program, options, error);
	if (result < 0)
		goto destroy;
	limits = program_machine_limits(sandbox->program);
	result = machine_create(&sandbox->machine, &limits, error);
	if (result == 0)
		result = load(sandbox, &sandbox->program->options, error);
	if (result < 0)
		goto destroy;
	*out = sandbox;
	return 0;

destroy:
	release(sandbox);
	return result;
}

/* Forks share the area with what is there by then, so that no request has to map one. */
static void prepare_loop(struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	uint64_t address;

	if (result->outcome == KVMSB_OUTCOME_READY && sandbox->hypercalls.paused && !sandbox->doomed)
		/* Without room now: when the first request comes in. */
		(void)sandbox_make_inputs(sandbox, 1, &address);
}

int kvmsb_run(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	struct kvmsb_result own = {0};
	int failed = sandbox_check_idle(sandbox);

	if (failed < 0)
		return failed;
	if (sized_check_out(result) < 0)
		return sandbox_fail(sandbox, -EINVAL, "result.size is not set");
	if (sandbox->state != SANDBOX_NEW)
		return sandbox_fail(sandbox, -EINVAL, "the program has run already");
	failed = sandbox_run(sandbox, sandbox->program->options.run_timeout_ns, &own);
	if (failed == 0)
		prepare_loop(sandbox, &own);
	sized_copy_out(result, &own, sizeof(own));
	return sandbox_finish(sandbox, failed);
}

static struct fork_rules rules_of(const struct kvmsb *sandbox)
{
	const struct kvmsb_options *options = &sandbox->program->options;
	uint64_t start, stop;

	mm_call_stack(&sandbox->process, &start, &stop);
	return (struct fork_rules){
		.page_limit = options->fork_memory_limit >> PAGE_SHIFT,
		.keep_limit = options->fork_keep_limit >> PAGE_SHIFT,
		.call_stack = gva(stop - PAGE_SIZE),
	};
}

/* Requests of before (to warm it up) are over: main() that waits in a loop waits again. */
static int end_requests(struct kvmsb *sandbox)
{
	struct kvmsb_result result;
	int failed;

	sandbox_end_exchange(sandbox);
	failed = sandbox_finish_loop(sandbox, &result);
	if (sandbox->doomed)
		return sandbox_finish(sandbox, -ECANCELED);
	if (failed == 0 && result.outcome != KVMSB_OUTCOME_READY)
		failed = sandbox_fail(sandbox, -ESRCH, "the program did not wait for requests again");
	return failed;
}

int kvmsb_freeze(struct kvmsb *sandbox)
{
	struct fork_rules rules;
	int result = sandbox_check_idle(sandbox);

	if (result < 0)
		return result;
	if (sandbox->state == SANDBOX_OVER)
		return sandbox_fail(sandbox, -ESRCH, "the program is over");
	if (sandbox->state != SANDBOX_READY && sandbox->state != SANDBOX_EXITED)
		return sandbox_fail(sandbox, -EINVAL, "only a ready or exited sandbox can be frozen");
	result = end_requests(sandbox);
	if (result < 0)
		return result;
	rules = rules_of(sandbox);
	result = space_freeze(sandbox->space, &rules);
	if (result < 0)
		return sandbox_fail(sandbox, result, "freezing memory: %s", strerror(-result));
	sandbox->state = SANDBOX_MASTER;
	return 0;
}

static int build_fork(struct kvmsb *fork, struct kvmsb *master)
{
	int result = space_fork(&fork->space, master->space);

	if (result == 0)
		result = process_fork(&fork->process, &master->process, fork->space);
	if (result < 0)
		return result;
	hypercalls_fork(&fork->hypercalls, &master->hypercalls);
	connect(fork);
	fork->start = master->start;
	fork->state = SANDBOX_FORK;
	return 0;
}

int kvmsb_fork(struct kvmsb *master, struct kvmsb **out, struct kvmsb_error *error)
{
	struct kvmsb *fork;
	int result;

	if (!machine_is_ours(master->machine))
		return error_set(error, -ECHILD, "this process is a fork of the sandbox's");
	if (master->state != SANDBOX_MASTER)
		return error_set(error, -EINVAL, "only a frozen sandbox can be forked");
	fork = sandbox_new();
	if (fork == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	master->references++;
	fork->master = master;
	fork->program = master->program;
	fork->machine = machine_reference(master->machine);
	fork->machine->statistics.forks++;
	result = build_fork(fork, master);
	if (result < 0) {
		release(fork);
		return error_set(error, result, "memory for a fork: %s", strerror(-result));
	}
	machine_count(fork->machine, COUNTER_forks_made, 1);
	*out = fork;
	return 0;
}

int kvmsb_reserve(struct kvmsb *master, size_t forks)
{
	if (!machine_is_ours(master->machine))
		return -ECHILD;
	return master->state == SANDBOX_MASTER ? space_reserve(master->machine, forks) : -EINVAL;
}

int kvmsb_reset(struct kvmsb *fork)
{
	int result = sandbox_check_idle(fork);

	if (result < 0)
		return result;
	if (fork->master == NULL)
		return sandbox_fail(fork, -EINVAL, "only a fork can be reset");
	fork->detail[0] = '\0';
	sandbox_count(fork, COUNTER_resets);
	forget_loop(fork);
	process_reset(&fork->process, &fork->master->process);
	hypercalls_reset(&fork->hypercalls, &fork->master->hypercalls);
	result = space_reset(fork->space);
	mm_check(&fork->process, true);
	fork->state = result < 0 ? SANDBOX_FORK_OVER : SANDBOX_FORK;
	return result < 0 ? sandbox_fail(fork, result, "resetting memory: %s", strerror(-result)) : 0;
}

void kvmsb_destroy(struct kvmsb *sandbox)
{
	if (sandbox == NULL)
		return;
	if ((sandbox->running || sandbox->busy) && machine_is_ours(sandbox->machine))
		sandbox->doomed = true;
	else
		release(sandbox);
}

static const struct exec_program *executable_of(const struct kvmsb *sandbox)
{
	return &sandbox->program->executable;
}

int kvmsb_symbol(const struct kvmsb *sandbox, const char *name, uint64_t *address)
{
	uint64_t size;
	int result;

	if (!machine_is_ours(sandbox->machine))
		return -ECHILD;
	result = elf_image_symbol(&executable_of(sandbox)->image, name, address, &size);
	if (result == 0)
		*address += executable_of(sandbox)->bias;
	return result;
}

int kvmsb_http_get_program(const struct kvmsb *sandbox, struct kvmsb_http_program *program)
{
	if (!machine_is_ours(sandbox->machine))
		return -ECHILD;
	return hypercalls_program(&sandbox->hypercalls, program);
}

int kvmsb_memory_read(struct kvmsb *sandbox, uint64_t address, void *data, size_t length)
{
	if (!machine_is_ours(sandbox->machine))
		return sandbox_fail(sandbox, -ECHILD, "this process is a fork of the sandbox's");
	/* Pieces of guest memory may be the host's at hand: nothing is brought in. */
	if (sandbox->running || sandbox->busy)
		return guest_peek(&sandbox->process, address, data, length) == length ? 0 : -EFAULT;
	return guest_read(&sandbox->process, address, data, length);
}

int kvmsb_memory_write(struct kvmsb *sandbox, uint64_t address, const void *data, size_t length)
{
	int result = sandbox_check_idle(sandbox);

	/* An override answers a system call as a handler does. */
	if (result == -EBUSY && sandbox->process.in_override)
		result = 0;
	if (result < 0)
		return result;
	if (sandbox->state == SANDBOX_MASTER)
		return sandbox_fail(sandbox, -EROFS, "a master's memory never changes");
	return guest_write(&sandbox->process, address, data, length);
}

/* What was counted of the sandbox. */
static void fill_own(const struct kvmsb *sandbox, struct kvmsb_statistics *own)
{
	uint64_t counts[COUNTERS_OF_SANDBOX];

	memcpy(counts, sandbox->counts, sizeof(counts));
	if (sandbox->vcpu != NULL)
		vcpu_counted(sandbox->vcpu, counts);
	counts[COUNTER_pages_copied] = sandbox->space->copied;
	counts[COUNTER_pages_restored] = sandbox->space->restored;
#define OWN(name) own->name = counts[COUNTER_##name];
	SANDBOX_COUNTERS(OWN)
#undef OWN
	own->pages_private = sandbox->space->frame_count;
	own->pages_held = sandbox->space->held;
	own->file_memory = tmpfs_used(sandbox->process.tmpfs);
}

/* What was counted of the machine, other than invalidations. */
static void fill_totals(const struct machine *machine, struct kvmsb_statistics *own)
{
	uint64_t totals[COUNTERS];

	machine_totals(machine, totals);
#define TOTAL(name) own->machine_##name = totals[COUNTER_##name];
	SANDBOX_COUNTERS(TOTAL)
	MACHINE_COUNTERS(TOTAL)
#undef TOTAL
	own->machine_migrations = machine->statistics.migrations;
}

/* What the machine has now: a row for each of its parts. */
static void fill_present(struct machine *machine, struct kvmsb_statistics *own)
{
	own->machine_forks = machine->statistics.forks;
	own->machine_vcpus = machine->vcpu_count;
	own->machine_memory = (machine->memory.frames_in_use + machine->memory.tables_in_use)
	                      << PAGE_SHIFT;
	own->machine_kernel_memory = machine_kernel_bytes(machine);
	own->machine_learned_pages = learner_count(&machine->learner);
	own->machine_vcpu_waits = machine->statistics.vcpu_waits;
	own->machine_vcpu_refusals = machine->statistics.vcpu_refusals;
	pthread_mutex_lock(&machine->lock);
	own->machine_forks_idle = machine->idle_space_count;
	pthread_mutex_unlock(&machine->lock);
}

static void fill_invalidations(const struct invalidator *invalidator, struct kvmsb_statistics *own)
{
	const struct {
		enum invalidation_count what;
		uint64_t *value;
	} rows[] = {
		{INVALIDATION_FLUSH, &own->machine_forced_flushes},
		{INVALIDATION_SHADOW, &own->machine_shadow_drops},
		{INVALIDATION_PAGE, &own->machine_frame_drops},
		{INVALIDATION_PATH, &own->machine_path_moves},
		{INVALIDATION_REVOKED, &own->machine_revocations},
		{INVALIDATION_COPIED, &own->machine_host_copies},
		{INVALIDATION_FAULTED, &own->machine_guest_copies},
		{INVALIDATION_LINKED, &own->machine_unsharing_maps},
		{INVALIDATION_FREED, &own->machine_frames_freed},
		{INVALIDATION_RELEASED, &own->machine_tables_waited},
		{INVALIDATION_CLEANED, &own->machine_dirty_sweeps},
		{INVALIDATION_MIGRATED, &own->machine_space_moves},
		{INVALIDATION_REUSED, &own->machine_roots_reused},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		*rows[i].value = invalidator_count(invalidator, rows[i].what);
}

int kvmsb_get_statistics(const struct kvmsb *sandbox, struct kvmsb_statistics *theirs)
{
	struct machine *machine = sandbox->machine;
	struct kvmsb_statistics own = {0};

	if (!machine_is_ours(machine))
		return -ECHILD;
	if (sized_check_out(theirs) < 0)
		return -EINVAL;
	fill_own(sandbox, &own);
	fill_totals(machine, &own);
	fill_present(machine, &own);
	fill_invalidations(&machine->invalidator, &own);
	return sized_copy_out(theirs, &own, sizeof(own));
}

/* " at 0x401136 (main+0x6)" */
static void describe_place(const struct kvmsb *sandbox, uint64_t rip, char *text, size_t length)
{
	const struct exec_program *executable = executable_of(sandbox);
	const char *name;
	uint64_t offset;

	if (elf_image_symbol_at(&executable->image, rip - executable->bias, &name, &offset) == 0)
		snprintf(text, length, " at %#llx (%.80s+%#llx)", (unsigned long long)rip, name,
		         (unsigned long long)offset);
	else
		snprintf(text, length, " at %#llx", (unsigned long long)rip);
}

static void describe_fault(const struct kvmsb *sandbox, const struct kvmsb_result *result,
                           char *text, size_t length)
{
	const struct kvmsb_fault *fault = &result->fault;
	const char *access = (fault->error_code & FAULT_FETCH) != 0   ? "executing"
	                     : (fault->error_code & FAULT_WRITE) != 0 ? "writing"
	                                                              : "reading";
	char place[128];

	describe_place(sandbox, fault->rip, place, sizeof(place));
	if (fault->vector == VECTOR_PF)
		snprintf(text, length, "page fault (vector 14, error code %#x) %s %#llx%s",
		         fault->error_code, access, (unsigned long long)fault->address, place);
	else
		snprintf(text, length, "%s (vector %u, error code %#x)%s",
		         kvmsb_vector_name(fault->vector), fault->vector, fault->error_code, place);
}

size_t kvmsb_describe(const struct kvmsb *sandbox, const struct kvmsb_result *theirs, char *text,
                      size_t length)
{
	const char *name = kvmsb_outcome_name(theirs->outcome);
	char place[256];

	switch (theirs->outcome) {
	case KVMSB_OUTCOME_FAULTED:
		describe_fault(sandbox, theirs, place, sizeof(place));
		return (size_t)snprintf(text, length, "%s", place);
	case KVMSB_OUTCOME_EXITED:
		if (theirs->exit_signal != 0)
			return (size_t)snprintf(text, length, "killed by signal %d",
			                        theirs->exit_signal);
		return (size_t)snprintf(text, length, "exited with status %d", theirs->exit_status);
	case KVMSB_OUTCOME_RETURNED:
		return (size_t)snprintf(text, length, "returned %#llx",
		                        (unsigned long long)theirs->value);
	case KVMSB_OUTCOME_TIMED_OUT:
	case KVMSB_OUTCOME_OUT_OF_MEMORY:
	case KVMSB_OUTCOME_DENIED:
	case KVMSB_OUTCOME_INTERNAL:
		describe_place(sandbox, theirs->registers.rip, place, sizeof(place));
		return (size_t)snprintf(text, length, "%s%s", name, place);
	default:
		return (size_t)snprintf(text, length, "%s", name);
	}
}

const char *kvmsb_detail(const struct kvmsb *sandbox)
{
	return sandbox->detail;
}
