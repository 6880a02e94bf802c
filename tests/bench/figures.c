/* SPDX-License-Identifier: MIT */
/*
 * The measurements of kvmsb-bench. One master, frozen, of the guest `bench`,
 * and a fork of it that stays; what needs other sandboxes makes its own.
 * Memory is warm: a figure uses what it measures before it measures it.
 */
#include "bench.h"

#include "kvm.h"
#include "machine.h"
#include "probe.h"
#include "sandbox.h"

#include <kvmsandbox.h>

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FAR_AWAY_NS (UINT64_C(3600) * 1000000000u)
#define WARM_UP 20
#define CALLS 200
#define INNER_CALLS 200 /* system calls of one vmcall */
#define FORKS 64        /* alive at once; the machine keeps more than these for reuse */
#define TOUCHED_PAGES 128
#define RESET_PAGES 48
/* Where pages begin that no fork that was kept for reuse has touched. */
#define FRESH_PAGES 512
#define IDLE_FORKS 1000
#define CROWD 10000
#define COMPUTE_ROUNDS 2000000

struct functions {
	uint64_t empty, get_pids, write_bytes, read_clock, hypercalls, hypercalls_out, touch,
		compute, out_forever;
};

/* What idle forks cost, each: figures of one measurement. */
struct idle_cost {
	double process, guest, kernel;
	double kvm_runs;
	unsigned taken; /* by which of them */
};

struct bench {
	char program[512], plain[512];
	struct kvmsb *master;
	struct kvmsb *fork;
	struct functions at;
	struct idle_cost idle;
	double clock_cost;
	long clock_inner;
};

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -1;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Sandboxes. */

static int64_t swallow(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	return (int64_t)length;
}

static int create(const char *path, struct kvmsb **sandbox)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	options.path = path;
	options.run_timeout_ns = FAR_AWAY_NS;
	options.call_timeout_ns = FAR_AWAY_NS;
	options.standard_output.write = swallow;
	options.standard_error.write = swallow;
	if (kvmsb_create(sandbox, &options, &error) < 0)
		return complain("kvmsb_create: %s", error.detail);
	return 0;
}

static int run(struct kvmsb *sandbox, enum kvmsb_outcome wanted, uint64_t *kvm_runs)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = kvmsb_run(sandbox, &result);

	*kvm_runs = result.kvm_runs;
	if (failed == 0 && result.outcome == wanted)
		return 0;
	return complain("kvmsb_run: %s %s", kvmsb_outcome_name(result.outcome),
	                kvmsb_detail(sandbox));
}

static int create_master(const char *path, struct kvmsb **master)
{
	uint64_t kvm_runs;
	int result = create(path, master);

	if (result < 0)
		return result;
	result = run(*master, KVMSB_OUTCOME_READY, &kvm_runs);
	if (result == 0 && kvmsb_freeze(*master) < 0)
		result = complain("kvmsb_freeze: %s", kvmsb_detail(*master));
	if (result < 0)
		kvmsb_destroy(*master);
	return result;
}

static int fork_of(struct kvmsb *master, struct kvmsb **fork)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	return kvmsb_fork(master, fork, &error) < 0 ? complain("kvmsb_fork: %s", error.detail) : 0;
}

static void destroy_all(struct kvmsb **forks, size_t count)
{
	/* The order in which they were made: the next ones find them as these did. */
	for (size_t i = count; i-- > 0;)
		kvmsb_destroy(forks[i]);
}

static int fork_many(struct kvmsb *master, struct kvmsb **forks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fork_of(master, &forks[i]) < 0) {
			destroy_all(forks, i);
			return -1;
		}
	}
	return 0;
}

/* Calls a function, which must return. Adds to *kvm_runs. */
static int call_with(struct kvmsb *sandbox, uint64_t function, uint64_t first, uint64_t second,
	             double *kvm_runs)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	what.address = function;
	what.argument_count = 2;
	what.arguments[0].value = first;
	what.arguments[1].value = second;
	if (kvmsb_vmcall(sandbox, &what, &result) < 0 || result.outcome != KVMSB_OUTCOME_RETURNED)
		return complain("kvmsb_vmcall: %s %s", kvmsb_outcome_name(result.outcome),
		                kvmsb_detail(sandbox));
	*kvm_runs += (double)result.kvm_runs;
	return 0;
}

static int call(struct kvmsb *sandbox, uint64_t function, uint64_t argument, double *kvm_runs)
{
	return call_with(sandbox, function, argument, 0, kvm_runs);
}

static int call_often(struct kvmsb *sandbox, uint64_t function, unsigned count, double *kvm_runs)
{
	for (unsigned i = 0; i < count; i++)
		if (call(sandbox, function, 0, kvm_runs) < 0)
			return -1;
	return 0;
}

static int reset(struct kvmsb *fork)
{
	return kvmsb_reset(fork) < 0 ? complain("kvmsb_reset: %s", kvmsb_detail(fork)) : 0;
}

static void set_sample(struct sample *sample, double elapsed, double kvm_runs, double operations)
{
	sample->value = elapsed / operations;
	sample->kvm_runs = kvm_runs / operations;
}

/* The bare exit: a fork's registers in a vCPU, then nothing but KVM_RUN. */

static int loop_run(struct kvmsb *fork, struct vcpu *vcpu, unsigned count)
{
	(void)fork;
	for (unsigned i = 0; i < count; i++)
		if (kvm_vcpu_run(vcpu->fd) < 0 || vcpu->run->exit_reason != KVM_EXIT_IO)
			return complain("KVM_RUN: exit %u", vcpu->run->exit_reason);
	return 0;
}

static int loop_vcpu_run(struct kvmsb *fork, struct vcpu *vcpu, unsigned count)
{
	struct vcpu_exit exit = {.kind = VCPU_EXIT_HYPERCALL};
	uint64_t kvm_runs = 0;

	for (unsigned i = 0; i < count; i++)
		if (vcpu_run(vcpu, &fork->context, time_now() + FAR_AWAY_NS, &exit, &kvm_runs) < 0 ||
		    exit.kind != VCPU_EXIT_HYPERCALL)
			return exit.kind == VCPU_EXIT_EXCEPTION
			               ? MEASURE_IMPOSSIBLE
			               : complain("vcpu_run: exit %d", (int)exit.kind);
	return 0;
}

static int time_loop(struct kvmsb *fork, struct vcpu *vcpu,
	             int (*loop)(struct kvmsb *, struct vcpu *, unsigned), struct sample *sample)
{
	double start;
	/* The library's own way in comes first: it loads the registers. */
	int result = loop_vcpu_run(fork, vcpu, WARM_UP);

	if (result == 0)
		result = loop(fork, vcpu, WARM_UP);
	if (result != 0)
		return result;
	start = now();
	result = loop(fork, vcpu, CALLS);
	set_sample(sample, now() - start, CALLS, CALLS);
	/* ... and goes last: it knows what an exit leaves pending. */
	return result == 0 ? loop_vcpu_run(fork, vcpu, 1) : result;
}

static int measure_loop(struct bench *bench, int (*loop)(struct kvmsb *, struct vcpu *, unsigned),
	                struct sample *sample)
{
	struct vcpu_context *context;
	struct kvmsb *fork;
	struct vcpu *vcpu;
	int result;

	if (fork_of(bench->master, &fork) < 0)
		return -1;
	context = &fork->context;
	space_enter(fork->space);
	context->registers = (struct kvmsb_registers){.rip = bench->at.out_forever, .rflags = 2};
	result = machine_vcpu_acquire(fork->machine, context, time_now() + FAR_AWAY_NS, &vcpu);
	if (result == 0) {
		result = time_loop(fork, vcpu, loop, sample);
		machine_vcpu_release(vcpu, NULL);
	}
	kvmsb_destroy(fork);
	return result;
}

static int measure_exit_roundtrip(struct bench *bench, struct sample *sample)
{
	return measure_loop(bench, loop_run, sample);
}

static int measure_vcpu_run(struct bench *bench, struct sample *sample)
{
	return measure_loop(bench, loop_vcpu_run, sample);
}

/* Calls. */

static int measure_vmcall(struct bench *bench, struct sample *sample)
{
	double ignored = 0, kvm_runs = 0, start;

	if (call_often(bench->fork, bench->at.empty, WARM_UP, &ignored) < 0)
		return -1;
	start = now();
	if (call_often(bench->fork, bench->at.empty, CALLS, &kvm_runs) < 0)
		return -1;
	set_sample(sample, now() - start, kvm_runs, CALLS);
	return 0;
}

/* One call whose function does something `count` times; `base` of it is not that. */
static int measure_inner(struct bench *bench, uint64_t function, long count, double base,
	                 double base_runs, struct sample *sample)
{
	double ignored = 0, kvm_runs = -base_runs, start;

	if (call(bench->fork, function, 2, &ignored) < 0)
		return -1;
	start = now();
	if (call(bench->fork, function, (uint64_t)count, &kvm_runs) < 0)
		return -1;
	set_sample(sample, now() - start - base, kvm_runs, (double)count);
	return 0;
}

static int measure_syscall(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.get_pids, INNER_CALLS, 0, 1, sample);
}

static int measure_write(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.write_bytes, INNER_CALLS, 0, 1, sample);
}

static int measure_hypercall(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.hypercalls, INNER_CALLS, 0, 1, sample);
}

static int measure_hypercall_out(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.hypercalls_out, INNER_CALLS, 0, 1, sample);
}

static int measure_clock(struct bench *bench, struct sample *sample)
{
	struct sample base;
	double kvm_runs = 0;

	if (bench->clock_inner == 0) {
		if (call(bench->fork, bench->at.read_clock, INNER_CALLS, &kvm_runs) < 0)
			return -1;
		/* Without an exit it takes more of them to see anything. */
		bench->clock_inner = kvm_runs > INNER_CALLS / 2 ? INNER_CALLS : 100 * INNER_CALLS;
	}
	if (measure_vmcall(bench, &base) < 0)
		return -1;
	return measure_inner(bench, bench->at.read_clock, bench->clock_inner, base.value, 1, sample);
}

static int measure_compute(struct bench *bench, struct sample *sample)
{
	struct sample base;

	if (measure_vmcall(bench, &base) < 0)
		return -1;
	return measure_inner(bench, bench->at.compute, COMPUTE_ROUNDS, base.value, 1, sample);
}

static int measure_call_after_fork(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	double kvm_runs = 0, start;
	int result = 0;

	if (fork_many(bench->master, forks, FORKS) < 0)
		return -1;
	start = now();
	for (unsigned i = 0; i < FORKS && result == 0; i++)
		result = call(forks[i], bench->at.empty, 0, &kvm_runs);
	set_sample(sample, now() - start, kvm_runs, FORKS);
	destroy_all(forks, FORKS);
	return result;
}

static int measure_request(struct bench *bench, struct sample *sample, int with_reset)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	double start = 0, kvm_runs = 0;

	request.url = "/hello?name=value";
	for (int i = -WARM_UP; i < CALLS; i++) {
		if (i == 0)
			start = now();
		if (with_reset && reset(bench->fork) < 0)
			return -1;
		if (kvmsb_request(bench->fork, &request, &response, &result) < 0 ||
		    response.status != 200)
			return complain("kvmsb_request: %s %s", kvmsb_outcome_name(result.outcome),
			                kvmsb_detail(bench->fork));
		if (i >= 0)
			kvm_runs += (double)result.kvm_runs;
	}
	set_sample(sample, now() - start, kvm_runs, CALLS);
	return 0;
}

static int measure_plain_request(struct bench *bench, struct sample *sample)
{
	return measure_request(bench, sample, 0);
}

static int measure_reset_request(struct bench *bench, struct sample *sample)
{
	return measure_request(bench, sample, 1);
}

/* Forks. */

static int time_forks(struct kvmsb *master, struct kvmsb **forks, struct sample *sample)
{
	double start = now();

	if (fork_many(master, forks, FORKS) < 0)
		return -1;
	set_sample(sample, now() - start, 0, FORKS);
	return 0;
}

/* Of address spaces that the machine kept: what a server that forks for each request sees. */
static int measure_fork(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];

	if (fork_many(bench->master, forks, FORKS) < 0)
		return -1;
	destroy_all(forks, FORKS);
	if (time_forks(bench->master, forks, sample) < 0)
		return -1;
	destroy_all(forks, FORKS);
	return 0;
}

/* Of a master that never had one: every address space is built. */
static int measure_fork_new(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	struct kvmsb *master;
	int result;

	if (create_master(bench->program, &master) < 0)
		return -1;
	result = time_forks(master, forks, sample);
	if (result == 0)
		destroy_all(forks, FORKS);
	kvmsb_destroy(master);
	return result;
}

static int measure_fork_in_crowd(struct bench *bench, struct sample *sample)
{
	static struct kvmsb *crowd[CROWD];
	struct kvmsb *forks[FORKS];
	int result;

	if (fork_many(bench->master, crowd, CROWD) < 0)
		return -1;
	result = time_forks(bench->master, forks, sample);
	if (result == 0)
		destroy_all(forks, FORKS);
	destroy_all(crowd, CROWD);
	return result;
}

/* Each has run once. */
static int measure_destroy(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	double ignored = 0, start;
	int result = 0;

	if (fork_many(bench->master, forks, FORKS) < 0)
		return -1;
	for (unsigned i = 0; i < FORKS && result == 0; i++)
		result = call(forks[i], bench->at.empty, 0, &ignored);
	start = now();
	destroy_all(forks, FORKS);
	set_sample(sample, now() - start, 0, FORKS);
	return result;
}

static int measure_fork_call_destroy(struct bench *bench, struct sample *sample)
{
	double kvm_runs = 0, start = 0;

	for (int i = -WARM_UP; i < CALLS; i++) {
		struct kvmsb *fork;
		int result;

		if (i == 0) {
			start = now();
			kvm_runs = 0;
		}
		if (fork_of(bench->master, &fork) < 0)
			return -1;
		result = call(fork, bench->at.empty, 0, &kvm_runs);
		kvmsb_destroy(fork);
		if (result < 0)
			return result;
	}
	set_sample(sample, now() - start, kvm_runs, CALLS);
	return 0;
}

/* Memory. */

/* Of a fork: a call that writes `pages` pages, then the reset, which is timed. */
static int time_resets(struct bench *bench, struct kvmsb *fork, uint64_t pages, double *mean)
{
	double elapsed = 0, ignored = 0;

	for (int i = -WARM_UP; i < CALLS; i++) {
		double start;

		if (call_with(fork, bench->at.touch, 0, pages, &ignored) < 0)
			return -1;
		start = now();
		if (reset(fork) < 0)
			return -1;
		if (i >= 0)
			elapsed += now() - start - bench->clock_cost;
	}
	*mean = elapsed / CALLS;
	return 0;
}

static int measure_reset(struct bench *bench, struct sample *sample)
{
	struct kvmsb *fork;
	int result;

	if (fork_of(bench->master, &fork) < 0)
		return -1;
	result = time_resets(bench, fork, 0, &sample->value);
	sample->kvm_runs = 0;
	kvmsb_destroy(fork);
	return result;
}

static int measure_reset_page(struct bench *bench, struct sample *sample)
{
	struct kvmsb *fork;
	double few, many;
	int result;

	if (fork_of(bench->master, &fork) < 0)
		return -1;
	result = time_resets(bench, fork, 0, &few);
	if (result == 0)
		result = time_resets(bench, fork, RESET_PAGES, &many);
	kvmsb_destroy(fork);
	if (result == 0)
		set_sample(sample, many - few, 0, RESET_PAGES);
	return result;
}

static int measure_reset_call(struct bench *bench, struct sample *sample)
{
	double kvm_runs = 0, start = 0;

	for (int i = -WARM_UP; i < CALLS; i++) {
		if (i == 0) {
			start = now();
			kvm_runs = 0;
		}
		if (reset(bench->fork) < 0 || call(bench->fork, bench->at.empty, 0, &kvm_runs) < 0)
			return -1;
	}
	set_sample(sample, now() - start, kvm_runs, CALLS);
	return 0;
}

/* The same call twice: the second time its pages are private already. */
static int measure_write_fault(struct bench *bench, struct sample *sample)
{
	double first, again, first_runs = 0, again_runs = 0;
	struct kvmsb *fork;
	int result;

	if (fork_of(bench->master, &fork) < 0)
		return -1;
	result = call_often(fork, bench->at.empty, 2, &first_runs);
	first_runs = 0;
	first = now();
	if (result == 0)
		result = call_with(fork, bench->at.touch, FRESH_PAGES, TOUCHED_PAGES, &first_runs);
	again = now();
	first = again - first;
	if (result == 0)
		result = call_with(fork, bench->at.touch, FRESH_PAGES, TOUCHED_PAGES, &again_runs);
	again = now() - again;
	kvmsb_destroy(fork);
	if (result == 0)
		set_sample(sample, first - again, first_runs - again_runs, TOUCHED_PAGES);
	return result;
}

/* The value of "Name:   123 kB" in a file of /proc, in bytes. */
static double proc_bytes(const char *path, const char *const *names)
{
	FILE *file = fopen(path, "re");
	double sum = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		for (size_t i = 0; names[i] != NULL; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				sum += strtod(line + strlen(names[i]), NULL) * 1024;
	if (file != NULL)
		fclose(file);
	return sum;
}

static double process_bytes(void)
{
	static const char *const names[] = {"VmRSS:", NULL};

	return proc_bytes("/proc/self/status", names);
}

/* Of the whole system, so it is a rough figure: KVM's shadow tables and objects are in there. */
static double kernel_bytes(void)
{
	static const char *const names[] = {"Slab:", "PageTables:", "SecPageTables:", NULL};

	return proc_bytes("/proc/meminfo", names);
}

static double guest_bytes(const struct kvmsb *sandbox)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	return kvmsb_get_statistics(sandbox, &statistics) < 0 ? 0 : (double)statistics.machine_memory;
}

static int fill_idle(struct bench *bench, struct kvmsb *master)
{
	static struct kvmsb *forks[IDLE_FORKS];
	struct idle_cost *idle = &bench->idle;
	double process = process_bytes(), guest = guest_bytes(master), kernel = kernel_bytes();
	int result = 0;
	size_t made = 0;

	idle->kvm_runs = 0;
	while (made < IDLE_FORKS && result == 0) {
		result = fork_of(master, &forks[made]);
		if (result == 0)
			result = call(forks[made++], bench->at.empty, 0, &idle->kvm_runs);
	}
	idle->process = (process_bytes() - process) / IDLE_FORKS;
	idle->guest = (guest_bytes(master) - guest) / IDLE_FORKS;
	idle->kernel = (kernel_bytes() - kernel) / IDLE_FORKS;
	idle->kvm_runs /= IDLE_FORKS;
	destroy_all(forks, made);
	return result;
}

/* In a machine of their own, whose memory nobody used before. */
static int measure_idle(struct bench *bench)
{
	struct kvmsb *master, *first;
	double ignored = 0;
	int result;

	malloc_trim(0);
	if (create_master(bench->program, &master) < 0)
		return -1;
	result = fork_of(master, &first);
	if (result == 0) {
		result = call(first, bench->at.empty, 0, &ignored);
		if (result == 0)
			result = fill_idle(bench, master);
		kvmsb_destroy(first);
	}
	kvmsb_destroy(master);
	return result;
}

/* Each of its figures takes a measurement once. */
static int take_idle(struct bench *bench, unsigned figure, const double *value, struct sample *sample)
{
	struct idle_cost *idle = &bench->idle;

	if ((idle->taken & figure) != 0 || idle->taken == 0) {
		if (measure_idle(bench) < 0)
			return -1;
		idle->taken = 0;
	}
	idle->taken |= figure;
	sample->value = *value;
	sample->kvm_runs = idle->kvm_runs;
	return 0;
}

static int measure_idle_process(struct bench *bench, struct sample *sample)
{
	return take_idle(bench, 1, &bench->idle.process, sample);
}

static int measure_idle_guest(struct bench *bench, struct sample *sample)
{
	return take_idle(bench, 2, &bench->idle.guest, sample);
}

static int measure_idle_kernel(struct bench *bench, struct sample *sample)
{
	return take_idle(bench, 4, &bench->idle.kernel, sample);
}

/* A program from its file to its end. */

static int measure_create(struct bench *bench, struct sample *sample)
{
	struct kvmsb *sandbox;
	double start = now();

	if (create(bench->plain, &sandbox) < 0)
		return -1;
	set_sample(sample, now() - start, 0, 1);
	kvmsb_destroy(sandbox);
	return 0;
}

static int measure_create_hello(struct bench *bench, struct sample *sample)
{
	struct kvmsb *sandbox;
	uint64_t kvm_runs = 0;
	double start = now();
	int result;

	if (create(bench->plain, &sandbox) < 0)
		return -1;
	result = run(sandbox, KVMSB_OUTCOME_EXITED, &kvm_runs);
	set_sample(sample, now() - start, (double)kvm_runs, 1);
	kvmsb_destroy(sandbox);
	return result;
}

static int measure_destroy_master(struct bench *bench, struct sample *sample)
{
	struct kvmsb *master;
	double start;

	if (create_master(bench->program, &master) < 0)
		return -1;
	start = now();
	kvmsb_destroy(master);
	set_sample(sample, now() - start, 0, 1);
	return 0;
}

/* Yardsticks. */

static int measure_native_getpid(struct bench *bench, struct sample *sample)
{
	const int count = 100 * INNER_CALLS;
	double start = now();

	(void)bench;
	for (int i = 0; i < count; i++)
		syscall(SYS_getpid);
	set_sample(sample, now() - start, 0, count);
	return 0;
}

static int measure_memcpy(struct bench *bench, struct sample *sample)
{
	static uint8_t pages[64][PAGE_SIZE];
	const unsigned count = 6400;
	double start;

	(void)bench;
	memset(pages, 1, sizeof(pages));
	start = now();
	for (unsigned i = 0; i < count; i++) {
		memcpy(pages[i % 64], pages[(i + 31) % 64], PAGE_SIZE);
		__asm__ volatile("" ::: "memory");
	}
	set_sample(sample, now() - start, 0, count);
	return 0;
}

/* The guest's own program, outside: the same code to the last byte. */
static int measure_native_compute(struct bench *bench, struct sample *sample)
{
	char command[sizeof(bench->program) + 32], line[64] = "";
	FILE *output;

	snprintf(command, sizeof(command), "'%s' %d", bench->program, COMPUTE_ROUNDS);
	output = popen(command, "re");
	if (output == NULL || fgets(line, sizeof(line), output) == NULL)
		complain("%s: no answer", command);
	if (output != NULL)
		pclose(output);
	set_sample(sample, strtod(line, NULL), 0, COMPUTE_ROUNDS);
	return sample->value > 0 ? 0 : -1;
}

const struct figure figures[] = {
	{"exit_roundtrip", "ns", "KVM_RUN alone: OUT in ring 3 and back", 0, measure_exit_roundtrip},
	{"vcpu_run", "ns", "... with registers loaded and stored", 0, measure_vcpu_run},
	{"vmcall", "ns", "call of an empty function", 0, measure_vmcall},
	{"reset_vmcall", "ns", "reset, then such a call", 0, measure_reset_call},
	{"request", "ns", "GET request and its response", 0, measure_plain_request},
	{"reset_request", "ns", "reset, then such a request", 0, measure_reset_request},
	{"syscall", "ns", "getpid in the guest", 0, measure_syscall},
	{"syscall_write_callback", "ns", "write of a byte, to a function of the host", 0,
	 measure_write},
	{"hypercall", "ns", "hypercall by SYSCALL, as kvm_api.h does", 0, measure_hypercall},
	{"hypercall_out", "ns", "hypercall by OUT, as older programs do", 0, measure_hypercall_out},
	{"clock_gettime", "ns", "clock_gettime in the guest", 0, measure_clock},
	{"fork", "ns", "fork, address space kept from an earlier one", 0, measure_fork},
	{"fork_new", "ns", "fork, address space built", 0, measure_fork_new},
	{"fork_among_10000", "ns", "fork, built, with 10000 alive", 3, measure_fork_in_crowd},
	{"vmcall_first_after_fork", "ns", "a fork's first call", 0, measure_call_after_fork},
	{"destroy", "ns", "destroy of a fork that ran once", 0, measure_destroy},
	{"fork_vmcall_destroy", "ns", "all three", 0, measure_fork_call_destroy},
	{"reset", "ns", "reset after a call that wrote its stack only", 0, measure_reset},
	{"reset_page", "ns", "... for each page more that was written", 0, measure_reset_page},
	{"first_write_fault", "ns", "first write to a page that is the master's", 0,
	 measure_write_fault},
	{"create", "ns", "create of a static hello", 0, measure_create},
	{"create_hello", "ns", "... and its main(), to its end", 0, measure_create_hello},
	{"destroy_master", "ns", "destroy of a master and its machine", 0, measure_destroy_master},
	{"idle_fork_bytes", "bytes", "resident memory of a fork that ran once", 3,
	 measure_idle_process},
	{"idle_fork_guest_bytes", "bytes", "... of it guest memory and page tables", 3,
	 measure_idle_guest},
	{"idle_fork_kernel_bytes", "bytes", "and in the kernel (rough)", 3, measure_idle_kernel},
	{"compute", "ns", "a round of pure computation in the guest", 0, measure_compute},
	{"native_compute", "ns", "the same outside", 0, measure_native_compute},
	{"native_getpid", "ns", "getpid outside", 0, measure_native_getpid},
	{"memcpy_page", "ns", "copy of 4 KiB outside", 0, measure_memcpy},
};
const size_t figure_count = ARRAY_SIZE(figures);

/* Opening. */

static int find_functions(struct bench *bench)
{
	const struct {
		const char *name;
		uint64_t *address;
	} wanted[] = {
		{"empty", &bench->at.empty},
		{"get_pids", &bench->at.get_pids},
		{"write_bytes", &bench->at.write_bytes},
		{"read_clock", &bench->at.read_clock},
		{"hypercalls", &bench->at.hypercalls},
		{"hypercalls_out", &bench->at.hypercalls_out},
		{"touch", &bench->at.touch},
		{"compute", &bench->at.compute},
		{"out_forever", &bench->at.out_forever},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (kvmsb_symbol(bench->master, wanted[i].name, wanted[i].address) < 0)
			return complain("%s has no symbol %s", bench->program, wanted[i].name);
	return 0;
}

static double cost_of_clock(void)
{
	const int count = 10000;
	double start = now();

	for (int i = 0; i < count; i++)
		now();
	return (now() - start) / count;
}

struct bench *bench_open(const char *guests)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL)
		return NULL;
	snprintf(bench->program, sizeof(bench->program), "%s/bench-static", guests);
	snprintf(bench->plain, sizeof(bench->plain), "%s/plain-static", guests);
	bench->clock_cost = cost_of_clock();
	if (create_master(bench->program, &bench->master) < 0) {
		free(bench);
		return NULL;
	}
	if (find_functions(bench) < 0 || fork_of(bench->master, &bench->fork) < 0) {
		bench_close(bench);
		return NULL;
	}
	return bench;
}

void bench_close(struct bench *bench)
{
	kvmsb_destroy(bench->fork);
	kvmsb_destroy(bench->master);
	free(bench);
}

void bench_describe(const struct bench *bench, char *text, size_t length)
{
	static const char *const entries[] = {
		[KVMSB_ENTRY_RING0] = "SYSCALL enters ring 0",
		[KVMSB_ENTRY_RING3] = "SYSCALL stays in ring 3",
		[KVMSB_ENTRY_EXCEPTION] = "no exits from ring 3",
	};
	const struct machine *machine = bench->master->machine;

	snprintf(text, length, "%s, %s page tables", entries[machine->entry],
	         machine->host->shadow_paging ? "shadowed" : "nested");
}
