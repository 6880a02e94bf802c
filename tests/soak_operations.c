/* SPDX-License-Identifier: MIT */
/*
 * One random thing done to one fork of the soak, and what must come of it: the
 * answer, the outcome, and what the fork then says that it holds (soak.h).
 */
#include "soak.h"

#include "response_body.h"
#include "sequence.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORDS SOAK_WORDS
#define WRITTEN_MOST 12
#define CALL_LIMIT_NS (UINT64_C(60) * 1000000000u)

static _Thread_local struct worker *current;

/* Chances, one in so many. */
#define CHECK_ONE_IN 3
#define NEST_ONE_IN 4

static unsigned below(struct worker *worker, unsigned limit)
{
	return sequence_below(&worker->random, limit);
}

/* One that no page of any fork has had; small enough that a URL can have it. */
static uint64_t new_value(struct worker *worker)
{
	worker->values += 1000;
	return (uint64_t)(worker->number + 1) << 40 | worker->values;
}

int soak_fail(struct worker *worker, const char *format, ...)
{
	va_list arguments;

	flockfile(stderr);
	fprintf(stderr, "soak: seed %llu, thread %u, operation %llu (%s): ",
	        (unsigned long long)worker->soak->seed, worker->number,
	        (unsigned long long)worker->operations, worker->at);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
	worker->soak->failed = true;
	return -1;
}

/* Masters. */

static int64_t give_input(void *user, void *data, size_t length)
{
	struct worker *worker = current;
	uint64_t *words = data;

	(void)user;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		words[i] = worker->input;
	if (worker->nest && helper_call(worker) < 0)
		worker->callback_failed = true;
	kvmsb_destroy(worker->doomed);
	return (int64_t)length;
}

static int64_t take_output(void *user, const void *data, size_t length)
{
	struct worker *worker = current;
	const uint64_t *words = data;

	(void)user;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		if (words[i] != worker->output)
			worker->callback_failed = true;
	if (worker->nest && helper_call(worker) < 0)
		worker->callback_failed = true;
	return (int64_t)length;
}

struct kvmsb_options master_options(const struct soak *soak)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;

	options.path = soak->program;
	options.run_timeout_ns = options.call_timeout_ns = CALL_LIMIT_NS;
	options.standard_input.read = give_input;
	options.standard_output.write = take_output;
	return options;
}

static int find_addresses(struct master *master)
{
	const struct {
		const char *name;
		uint64_t *address;
	} symbols[] = {
#define SYMBOL(name) {#name, &master->at.name},
		SOAK_SYMBOLS(SYMBOL)
#undef SYMBOL
	};
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(symbols) && result == 0; i++)
		result = kvmsb_symbol(master->sandbox, symbols[i].name, symbols[i].address);
	if (result == 0)
		result = kvmsb_memory_read(master->sandbox, master->at.heap, &master->heap_start,
		                           sizeof(master->heap_start));
	return result;
}

int master_open(const struct soak *soak, struct master *master, const struct kvmsb_options *given)
{
	const char *const arguments[] = {"soak", soak->program, NULL};
	const struct kvmsb_path_rule paths[] = {{.path = soak->program}};
	struct kvmsb_options options = *given;
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed;

	options.arguments = arguments;
	options.paths = paths;
	options.path_count = 1;
	failed = kvmsb_create(&master->sandbox, &options, &error);
	if (failed < 0) {
		fprintf(stderr, "kvmsb_create: %s\n", error.detail);
		return failed;
	}
	failed = kvmsb_run(master->sandbox, &result);
	if (failed == 0)
		failed = kvmsb_freeze(master->sandbox);
	if (failed == 0)
		failed = find_addresses(master);
	if (failed < 0) {
		fprintf(stderr, "master: %s %s\n", kvmsb_outcome_name(result.outcome),
		        kvmsb_detail(master->sandbox));
		kvmsb_destroy(master->sandbox);
		master->sandbox = NULL;
	}
	return failed;
}

/* The model. */

static void model_begin(struct model *model)
{
	*model = (struct model){0};
	for (unsigned i = 0; i < SOAK_PAGES; i++)
		model->pages[i] = SOAK_INITIAL(i);
}

static bool is_readable(enum soak_slot state)
{
	return state == SOAK_WRITABLE || state == SOAK_READ_ONLY;
}

static uint64_t mix_page(uint64_t digest, uint64_t value)
{
	return soak_mix(soak_mix(digest, value), value);
}

/* The guest's function of the same name, of what the model says. */
static uint64_t model_digest(const struct model *model)
{
	uint64_t sum = 1;

	for (unsigned i = 0; i < SOAK_PAGES; i++)
		sum = mix_page(sum, model->pages[i]);
	for (unsigned i = 0; i < SOAK_SLOTS; i++) {
		sum = soak_mix(sum, model->slots[i]);
		for (unsigned j = 0; j < SOAK_SLOT_PAGES; j++)
			if (is_readable(model->slots[i]))
				sum = mix_page(sum, model->slot_values[i] + j);
	}
	for (unsigned i = 0; i < model->heap_pages; i++)
		sum = mix_page(sum, model->heap[i]);
	return soak_mix(sum, model->files);
}

/* Calls. */

struct arguments {
	uint64_t value[3];
};
#define WITH(...) ((struct arguments){{__VA_ARGS__}})

static int run(struct worker *worker, struct kvmsb *fork, uint64_t function,
               struct arguments arguments, uint64_t timeout_ns, struct kvmsb_result *result)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;
	int failed;

	what.address = function;
	what.argument_count = 3;
	for (size_t i = 0; i < 3; i++)
		what.arguments[i].value = arguments.value[i];
	what.timeout_ns = timeout_ns;
	failed = kvmsb_vmcall(fork, &what, result);
	if (worker->callback_failed)
		return soak_fail(worker, "a callback saw what was wrong");
	return failed;
}

static const char *describe(const struct kvmsb *fork, const struct kvmsb_result *result)
{
	static _Thread_local char text[256];

	kvmsb_describe(fork, result, text, sizeof(text));
	return text;
}

/* It must return this. */
static int call(struct worker *worker, struct kvmsb *fork, uint64_t function,
                struct arguments arguments, uint64_t wanted)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = run(worker, fork, function, arguments, 0, &result);

	if (failed < 0)
		return soak_fail(worker, "%s: %s", strerror(-failed), kvmsb_detail(fork));
	if (result.outcome != KVMSB_OUTCOME_RETURNED || result.value != wanted)
		return soak_fail(worker, "%s %s, not %#llx", describe(fork, &result),
		                 kvmsb_detail(fork), (unsigned long long)wanted);
	return 0;
}

/* The call must end so, and the fork is over. */
static int call_last(struct worker *worker, struct member *member, uint64_t function,
                     struct arguments arguments, enum kvmsb_outcome wanted,
                     struct kvmsb_result *result)
{
	int failed = run(worker, member->fork, function, arguments, 0, result);

	member->model.over = true;
	if (failed < 0)
		return soak_fail(worker, "%s: %s", strerror(-failed), kvmsb_detail(member->fork));
	if (result->outcome != wanted)
		return soak_fail(worker, "%s %s, not %s", describe(member->fork, result),
		                 kvmsb_detail(member->fork), kvmsb_outcome_name(wanted));
	return 0;
}

/* What the host reads there: a value, or nothing. */
static int check_word(struct worker *worker, struct kvmsb *fork, uint64_t address, bool readable,
                      uint64_t wanted)
{
	uint64_t value = 0;
	int failed = kvmsb_memory_read(fork, address, &value, sizeof(value));

	if (failed == (readable ? 0 : -EFAULT) && (!readable || value == wanted))
		return 0;
	return soak_fail(worker, "memory_read of %#llx: %d, %#llx, not %#llx",
	                 (unsigned long long)address, failed, (unsigned long long)value,
	                 (unsigned long long)wanted);
}

/* What is in no list of the guest's must not be there either. */
static int check_ranges(struct worker *worker, const struct member *member)
{
	const struct model *model = &member->model;
	uint64_t end = member->master->heap_start + model->heap_pages * SOAK_PAGE;
	int result = check_word(worker, member->fork, end, false, 0);

	for (unsigned i = 0; i < SOAK_SLOTS && result == 0; i++)
		result = check_word(worker, member->fork, SOAK_SLOT_ADDRESS(i),
		                    is_readable(model->slots[i]), model->slot_values[i]);
	return result;
}

static int check(struct worker *worker, const struct member *member)
{
	uint64_t wanted = model_digest(&member->model);

	if (call(worker, member->fork, member->master->at.digest, WITH(0), wanted) < 0)
		return -1;
	return check_ranges(worker, member);
}

int helper_call(struct worker *worker)
{
	const struct master *master = &worker->soak->masters[0];
	bool nest = worker->nest;
	struct model model;
	int result;

	model_begin(&model);
	worker->nest = false;
	result = call(worker, worker->helper, master->at.digest, WITH(0), model_digest(&model));
	if (result == 0 && kvmsb_reset(worker->helper) < 0)
		result = soak_fail(worker, "reset of the helper");
	worker->nest = nest;
	return result;
}

/* Operations on a fork that is not over. */

static int write_pages(struct worker *worker, struct member *member)
{
	unsigned first = below(worker, SOAK_PAGES);
	unsigned count = 1 + below(worker, (unsigned)min_u64(SOAK_PAGES - first, WRITTEN_MOST));
	uint64_t value = new_value(worker);
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = run(worker, member->fork, member->master->at.write_pages,
	                 WITH(first, count, value), 0, &result);

	if (failed < 0 || result.outcome != KVMSB_OUTCOME_RETURNED)
		return soak_fail(worker, "%d, %s", failed, describe(member->fork, &result));
	for (unsigned i = 0; i < count; i++)
		member->model.pages[first + i] = value + i;
	return 0;
}

static int map(struct worker *worker, struct member *member)
{
	unsigned slot = below(worker, SOAK_SLOTS);
	uint64_t value = new_value(worker);

	member->model.slots[slot] = SOAK_WRITABLE;
	member->model.slot_values[slot] = value;
	return call(worker, member->fork, member->master->at.map, WITH(slot, value), 0);
}

static int unmap(struct worker *worker, struct member *member)
{
	unsigned slot = below(worker, SOAK_SLOTS);

	member->model.slots[slot] = SOAK_ABSENT;
	return call(worker, member->fork, member->master->at.unmap, WITH(slot), 0);
}

static int protect(struct worker *worker, struct member *member)
{
	unsigned slot = below(worker, SOAK_SLOTS);
	enum soak_slot state = SOAK_WRITABLE + below(worker, 3);

	if (member->model.slots[slot] == SOAK_ABSENT)
		return 0;
	member->model.slots[slot] = state;
	return call(worker, member->fork, member->master->at.protect, WITH(slot, state), 0);
}

/* Allowed or not. */
static int write_slot(struct worker *worker, struct member *member)
{
	unsigned slot = below(worker, SOAK_SLOTS);
	uint64_t value = new_value(worker), function = member->master->at.write_slot;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	if (member->model.slots[slot] != SOAK_WRITABLE) {
		if (call_last(worker, member, function, WITH(slot, value), KVMSB_OUTCOME_FAULTED,
		              &result) < 0)
			return -1;
		if (result.fault.vector == 14 && result.fault.address == SOAK_SLOT_ADDRESS(slot))
			return 0;
		return soak_fail(worker, "%s", describe(member->fork, &result));
	}
	if (run(worker, member->fork, function, WITH(slot, value), 0, &result) < 0 ||
	    result.outcome != KVMSB_OUTCOME_RETURNED)
		return soak_fail(worker, "%s", describe(member->fork, &result));
	member->model.slot_values[slot] = value;
	return 0;
}

static int grow(struct worker *worker, struct member *member)
{
	struct model *model = &member->model;
	unsigned count = below(worker, SOAK_HEAP_PAGES - model->heap_pages + 1);
	uint64_t value = new_value(worker);

	for (unsigned i = 0; i < count; i++)
		model->heap[model->heap_pages++] = value + i;
	return call(worker, member->fork, member->master->at.grow, WITH(count, value), 0);
}

static int shrink(struct worker *worker, struct member *member)
{
	unsigned count = below(worker, member->model.heap_pages + 1);

	member->model.heap_pages -= count;
	return call(worker, member->fork, member->master->at.shrink, WITH(count), 0);
}

/* The lowest free descriptor: 3 is the first after the streams. */
static int open_file(struct worker *worker, struct member *member)
{
	if (member->model.files == SOAK_FILES)
		return 0;
	return call(worker, member->fork, member->master->at.open_file, WITH(0),
	            3 + member->model.files++);
}

static int close_file(struct worker *worker, struct member *member)
{
	if (member->model.files == 0)
		return 0;
	return call(worker, member->fork, member->master->at.close_file,
	            WITH(3 + --member->model.files), 0);
}

static int read_in(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, SOAK_PAGES);

	worker->input = member->model.pages[page] = new_value(worker);
	worker->nest = below(worker, NEST_ONE_IN) == 0;
	return call(worker, member->fork, member->master->at.read_in, WITH(page), worker->input);
}

static int write_out(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, SOAK_PAGES);

	worker->output = member->model.pages[page];
	worker->nest = below(worker, NEST_ONE_IN) == 0;
	return call(worker, member->fork, member->master->at.write_out, WITH(page), SOAK_PAGE);
}

static int request(struct worker *worker, struct member *member)
{
	struct kvmsb_http_request what = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	unsigned page = below(worker, SOAK_PAGES);
	uint64_t value = new_value(worker);
	char url[32];
	int failed;

	snprintf(url, sizeof(url), "/%c%llx", 'A' + (int)page, (unsigned long long)value);
	what.url = url;
	failed = kvmsb_request(member->fork, &what, &response, &result);
	if (failed < 0 || response.status != 200 || !body_is(&response, url, strlen(url)))
		return soak_fail(worker, "%d, %s, status %d", failed,
		                 describe(member->fork, &result), response.status);
	member->model.pages[page] = value;
	return 0;
}

static int host_write(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, SOAK_PAGES);
	uint64_t value = new_value(worker), words[WORDS];
	int failed;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = value;
	member->model.pages[page] = value;
	failed = kvmsb_memory_write(member->fork, member->master->at.pages + page * SOAK_PAGE,
	                            words, sizeof(words));
	return failed < 0 ? soak_fail(worker, "%s", strerror(-failed)) : 0;
}

static int host_read(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, SOAK_PAGES);
	uint64_t address = member->master->at.pages + page * SOAK_PAGE;

	return check_word(worker, member->fork, address + below(worker, WORDS) * 8, true,
	                  member->model.pages[page]);
}

/* How a run ends that is the fork's last. */

static int crash(struct worker *worker, struct member *member)
{
	static const uint32_t vectors[SOAK_CRASHES] = {
		[SOAK_CRASH_WRITE] = 14, [SOAK_CRASH_OPCODE] = 6,   [SOAK_CRASH_DIVIDE] = 0,
		[SOAK_CRASH_HALT] = 13,  [SOAK_CRASH_EXECUTE] = 14,
	};
	enum soak_crash kind = below(worker, SOAK_CRASHES);
	uint64_t address = kind == SOAK_CRASH_WRITE     ? SOAK_NOWHERE
	                   : kind == SOAK_CRASH_EXECUTE ? member->master->at.pages
	                                                : 0;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	if (call_last(worker, member, member->master->at.crash, WITH(kind), KVMSB_OUTCOME_FAULTED,
	              &result) < 0)
		return -1;
	if (result.fault.vector == vectors[kind] && result.fault.address == address)
		return 0;
	return soak_fail(worker, "crash %d: %s", (int)kind, describe(member->fork, &result));
}

static int leave(struct worker *worker, struct member *member)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int status = (int)below(worker, 256);

	if (call_last(worker, member, member->master->at.leave, WITH((uint64_t)status),
	              KVMSB_OUTCOME_EXITED, &result) < 0)
		return -1;
	return result.exit_status == status ? 0 : soak_fail(worker, "status %d", result.exit_status);
}

static int devour(struct worker *worker, struct member *member)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	return call_last(worker, member, member->master->at.devour, WITH(0),
	                 KVMSB_OUTCOME_OUT_OF_MEMORY, &result);
}

static int spin(struct worker *worker, struct member *member)
{
	const struct addresses *at = &member->master->at;
	uint64_t function = below(worker, 2) == 0 ? at->spin : at->spin_calling;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = run(worker, member->fork, function, WITH(0), scaled_ms(1 + below(worker, 3)),
	                 &result);

	/* All processors were busy for so long: nothing was run. */
	if (failed == -ETIMEDOUT)
		return 0;
	member->model.over = true;
	if (failed == 0 && result.outcome == KVMSB_OUTCOME_TIMED_OUT)
		return 0;
	return soak_fail(worker, "%d, %s", failed, describe(member->fork, &result));
}

/* Its own callback destroys it. */
static int doom(struct worker *worker, struct member *member)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed;

	worker->doomed = member->fork;
	member->fork = NULL;
	failed = run(worker, worker->doomed, member->master->at.read_in, WITH(0), 0, &result);
	worker->doomed = NULL;
	return failed == -ECANCELED ? 0 : soak_fail(worker, "%d", failed);
}

static int reset(struct worker *worker, struct member *member)
{
	int failed = kvmsb_reset(member->fork);

	model_begin(&member->model);
	return failed < 0 ? soak_fail(worker, "%s", strerror(-failed)) : 0;
}

static int destroy(struct worker *worker, struct member *member)
{
	(void)worker;
	kvmsb_destroy(member->fork);
	member->fork = NULL;
	return 0;
}

/* A whole program from its file to its end, whose fork outlives it. Has nothing to do with the member. */
static int live(struct worker *worker, struct member *member)
{
	struct kvmsb_options options = master_options(worker->soak);
	struct master master = {.name = "short-lived"};
	struct kvmsb *fork;
	struct model model;
	int result;

	(void)member;
	options.vcpu_limit = 1;
	if (master_open(worker->soak, &master, &options) < 0)
		return soak_fail(worker, "no master");
	result = kvmsb_fork(master.sandbox, &fork, NULL);
	kvmsb_destroy(master.sandbox);
	if (result < 0)
		return soak_fail(worker, "kvmsb_fork: %s", strerror(-result));
	model_begin(&model);
	result = call(worker, fork, master.at.digest, WITH(0), model_digest(&model));
	kvmsb_destroy(fork);
	return result;
}

static const struct operation {
	const char *name;
	unsigned weight;
	int (*operate)(struct worker *worker, struct member *member);
} operations[] = {
	{"write_pages", 60, write_pages},
	{"map", 25, map},
	{"unmap", 15, unmap},
	{"protect", 15, protect},
	{"write_slot", 15, write_slot},
	{"grow", 15, grow},
	{"shrink", 10, shrink},
	{"open_file", 15, open_file},
	{"close_file", 8, close_file},
	{"read_in", 25, read_in},
	{"write_out", 15, write_out},
	{"request", 40, request},
	{"host_write", 15, host_write},
	{"host_read", 15, host_read},
	{"crash", 12, crash},
	{"leave", 8, leave},
	{"devour", 1, devour},
	{"spin", 4, spin},
	{"doom", 6, doom},
	{"reset", 80, reset},
	{"destroy", 50, destroy},
	{"live", 2, live},
};
static _Atomic uint64_t counts[ARRAY_SIZE(operations)];

void operations_print(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		printf(" %s %llu", operations[i].name, (unsigned long long)counts[i]);
	printf("\n");
}

static size_t choose(struct worker *worker)
{
	unsigned total = 0, chosen;
	size_t i = 0;

	for (size_t j = 0; j < ARRAY_SIZE(operations); j++)
		total += operations[j].weight;
	chosen = below(worker, total);
	while (chosen >= operations[i].weight)
		chosen -= operations[i++].weight;
	return i;
}

static int begin(struct worker *worker, struct member *member)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	worker->at = "fork";
	model_begin(&member->model);
	if (kvmsb_fork(member->master->sandbox, &member->fork, &error) == 0)
		return 0;
	member->fork = NULL;
	return soak_fail(worker, "%s", error.detail);
}

/* It answers nothing until it is reset. */
static int end(struct worker *worker, struct member *member)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed;

	worker->at = "call of one that is over";
	failed = run(worker, member->fork, member->master->at.digest, WITH(0), 0, &result);
	if (failed != -ESRCH)
		return soak_fail(worker, "%d, %s", failed, kvmsb_outcome_name(result.outcome));
	worker->at = "end";
	return below(worker, 2) == 0 ? reset(worker, member) : destroy(worker, member);
}

static int operate_on(struct worker *worker, struct member *member)
{
	size_t chosen;

	if (member->fork == NULL && begin(worker, member) < 0)
		return -1;
	if (member->model.over)
		return end(worker, member);
	chosen = choose(worker);
	worker->at = operations[chosen].name;
	worker->nest = false;
	counts[chosen]++;
	return operations[chosen].operate(worker, member);
}

int operate(struct worker *worker)
{
	unsigned number = below(worker, SOAK_MASTERS * SOAK_MEMBERS);
	struct member *member = &worker->soak->members[number];
	int result;

	current = worker;
	worker->operations++;
	pthread_mutex_lock(&member->lock);
	result = operate_on(worker, member);
	if (result == 0 && member->fork != NULL && !member->model.over &&
	    below(worker, CHECK_ONE_IN) == 0)
		result = check(worker, member);
	if (result < 0)
		soak_fail(worker, "... of fork %u, of %s", number, member->master->name);
	pthread_mutex_unlock(&member->lock);
	return result;
}

int member_retire(struct worker *worker, struct member *member)
{
	int result = 0;

	current = worker;
	worker->at = "the end";
	if (member->fork != NULL && !member->model.over)
		result = check(worker, member);
	kvmsb_destroy(member->fork);
	member->fork = NULL;
	return result;
}
