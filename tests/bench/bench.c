/* SPDX-License-Identifier: MIT */
/* What the areas of kvmsb-bench share; see bench.h. */
#include "bench.h"

#include "machine.h"
#include "probe.h"
#include "sandbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct area *const areas[] = {
	&call_area,    &fork_area,   &memory_area,     &thread_area,
	&program_area, &native_area, &comparison_area, &crowd_area, &content_area,
};
const size_t area_count = ARRAY_SIZE(areas);

int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -1;
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void set_sample(struct sample *sample, double elapsed, double kvm_runs, double operations)
{
	sample->value = elapsed / operations;
	sample->kvm_runs = kvm_runs / operations;
}

/* Masters. */

static int64_t swallow(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	return (int64_t)length;
}

struct kvmsb_options options_for(const char *path)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;

	options.path = path;
	options.run_timeout_ns = FAR_AWAY_NS;
	options.call_timeout_ns = FAR_AWAY_NS;
	options.standard_output.write = swallow;
	options.standard_error.write = swallow;
	return options;
}

static int create_with(const struct kvmsb_options *options, struct kvmsb **sandbox)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	if (kvmsb_create(sandbox, options, &error) < 0)
		return complain("kvmsb_create: %s", error.detail);
	return 0;
}

int create(const char *path, struct kvmsb **sandbox)
{
	struct kvmsb_options options = options_for(path);

	return create_with(&options, sandbox);
}

int run(struct kvmsb *sandbox, enum kvmsb_outcome wanted, uint64_t *kvm_runs)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = kvmsb_run(sandbox, &result);

	*kvm_runs = result.kvm_runs;
	if (failed == 0 && result.outcome == wanted)
		return 0;
	return complain("kvmsb_run: %s %s", kvmsb_outcome_name(result.outcome),
	                kvmsb_detail(sandbox));
}

int create_master(const struct kvmsb_options *options, struct kvmsb **master)
{
	uint64_t kvm_runs;
	int result = create_with(options, master);

	if (result < 0)
		return result;
	result = run(*master, KVMSB_OUTCOME_READY, &kvm_runs);
	if (result == 0 && kvmsb_freeze(*master) < 0)
		result = complain("kvmsb_freeze: %s", kvmsb_detail(*master));
	if (result < 0)
		kvmsb_destroy(*master);
	return result;
}

/* Forks. */

int fork_of(struct kvmsb *master, struct kvmsb **fork)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	return kvmsb_fork(master, fork, &error) < 0 ? complain("kvmsb_fork: %s", error.detail) : 0;
}

void destroy_all(struct kvmsb **forks, size_t count)
{
	for (size_t i = count; i-- > 0;)
		kvmsb_destroy(forks[i]);
}

int fork_many(struct kvmsb *master, struct kvmsb **forks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fork_of(master, &forks[i]) < 0) {
			destroy_all(forks, i);
			return -1;
		}
	}
	return 0;
}

int reset(struct kvmsb *fork)
{
	return kvmsb_reset(fork) < 0 ? complain("kvmsb_reset: %s", kvmsb_detail(fork)) : 0;
}

/* Calls. */

int call_with(struct kvmsb *sandbox, uint64_t function, uint64_t first, uint64_t second,
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

int call(struct kvmsb *sandbox, uint64_t function, uint64_t argument, double *kvm_runs)
{
	return call_with(sandbox, function, argument, 0, kvm_runs);
}

int call_often(struct kvmsb *sandbox, uint64_t function, unsigned count, double *kvm_runs)
{
	for (unsigned i = 0; i < count; i++)
		if (call(sandbox, function, 0, kvm_runs) < 0)
			return -1;
	return 0;
}

int request(struct kvmsb *sandbox, const char *url, double *kvm_runs)
{
	struct kvmsb_http_request what = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	what.url = url;
	if (kvmsb_request(sandbox, &what, &response, &result) < 0 || response.status != 200)
		return complain("kvmsb_request: %s %s", kvmsb_outcome_name(result.outcome),
		                kvmsb_detail(sandbox));
	*kvm_runs += (double)result.kvm_runs;
	return 0;
}

int time_operation(struct bench *bench, operation operate, unsigned count, struct sample *sample)
{
	double kvm_runs = 0, start;

	for (unsigned i = 0; i < WARM_UP; i++)
		if (operate(bench, &kvm_runs) < 0)
			return -1;
	kvm_runs = 0;
	start = now();
	for (unsigned i = 0; i < count; i++)
		if (operate(bench, &kvm_runs) < 0)
			return -1;
	set_sample(sample, now() - start, kvm_runs, count);
	return 0;
}

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

/* One processor for all of it: a vCPU belongs to its thread, and caches to their core. */
static void pin(struct bench *bench)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	sched_getaffinity(0, sizeof(bench->processors), &bench->processors);
	CPU_ZERO(&set);
	CPU_SET((unsigned)(cpu < 0 ? 0 : cpu), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void discard_subjects(struct bench *bench)
{
	kvmsb_destroy(bench->fork);
	kvmsb_destroy(bench->master);
	bench->fork = bench->master = NULL;
}

int bench_renew(struct bench *bench)
{
	struct kvmsb_options options = options_for(bench->program);

	discard_subjects(bench);
	if (create_master(&options, &bench->master) < 0) {
		bench->master = NULL;
		return -1;
	}
	return fork_of(bench->master, &bench->fork);
}

struct bench *bench_open(const struct settings *settings)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL)
		return NULL;
	bench->settings = *settings;
	snprintf(bench->program, sizeof(bench->program), "%s/bench-static", settings->guests);
	snprintf(bench->plain, sizeof(bench->plain), "%s/plain-static", settings->guests);
	pin(bench);
	bench->clock_cost = cost_of_clock();
	if (bench_renew(bench) < 0 || find_functions(bench) < 0) {
		bench_close(bench);
		return NULL;
	}
	return bench;
}

void bench_close(struct bench *bench)
{
	discard_subjects(bench);
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

	snprintf(text, length, "%s, %s page tables, %d processors", entries[machine->entry],
	         machine->host->shadow_paging ? "shadowed" : "nested", CPU_COUNT(&bench->processors));
}
