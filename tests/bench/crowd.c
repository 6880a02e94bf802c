/* SPDX-License-Identifier: MIT */
/*
 * Figures of very many forks of one master that are alive at once: how many,
 * what each takes of memory, how long it takes to make one more.
 */
#include "bench.h"

#include "../proc_bytes.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that ran a whole request are fewer, for they take long; still enough to be exact. */
#define REQUEST_SHARE 10
#define REQUEST_LEAST 100

/* Bytes of one fork, and KVM_RUN calls of the one run that it had. */
struct cost {
	double process, guest, kernel;
	double kvm_runs;
};

struct crowd {
	struct kvmsb *master;
	struct kvmsb **forks;
	size_t count; /* alive */
	size_t ran;   /* of them those that ran once */
	struct cost cost;
};

/* The one that stays for all rounds. */
static struct crowd idle;

/* Memory. */

static double process_bytes(void)
{
	static const char *const names[] = {"VmRSS:", NULL};

	return (double)proc_bytes("/proc/self/status", names);
}

/* Of the whole system: KVM's shadow tables and objects are in there, and what others do meanwhile. */
static double kernel_bytes(void)
{
	static const char *const names[] = {"Slab:", "PageTables:", "SecPageTables:", NULL};

	return (double)proc_bytes("/proc/meminfo", names);
}

static double guest_bytes(const struct kvmsb *sandbox)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	return kvmsb_get_statistics(sandbox, &statistics) < 0 ? 0 : (double)statistics.machine_memory;
}

static struct cost memory_now(const struct crowd *crowd)
{
	return (struct cost){.process = process_bytes(),
	                     .guest = guest_bytes(crowd->master),
	                     .kernel = kernel_bytes()};
}

/* Crowds. */

typedef int (*use)(const struct bench *bench, struct kvmsb *fork, double *kvm_runs);

static int use_stack_only(const struct bench *bench, struct kvmsb *fork, double *kvm_runs)
{
	return call(fork, bench->at.empty, 0, kvm_runs);
}

static int use_request(const struct bench *bench, struct kvmsb *fork, double *kvm_runs)
{
	(void)bench;
	return request(fork, URL_FORMAT, kvm_runs);
}

static int add_fork(const struct bench *bench, struct crowd *crowd, use run_once)
{
	if (fork_of(crowd->master, &crowd->forks[crowd->count]) < 0)
		return complain("... as the fork after %zu", crowd->count);
	crowd->count++;
	if (run_once(bench, crowd->forks[crowd->ran], &crowd->cost.kvm_runs) < 0)
		return complain("... in the fork after %zu", crowd->ran);
	crowd->ran++;
	return 0;
}

static int fill(const struct bench *bench, struct crowd *crowd, size_t size, use run_once)
{
	double forks = (double)size - 1;
	struct cost before;

	/* The first one is not counted: it brings the vCPU along. */
	if (add_fork(bench, crowd, run_once) < 0)
		return -1;
	before = memory_now(crowd);
	crowd->cost.kvm_runs = 0;
	while (crowd->ran < size)
		if (add_fork(bench, crowd, run_once) < 0)
			return -1;
	crowd->cost.process = (process_bytes() - before.process) / forks;
	crowd->cost.guest = (guest_bytes(crowd->master) - before.guest) / forks;
	crowd->cost.kernel = (kernel_bytes() - before.kernel) / forks;
	crowd->cost.kvm_runs /= forks;
	return 0;
}

static void disperse(struct crowd *crowd)
{
	destroy_all(crowd->forks, crowd->count);
	kvmsb_destroy(crowd->master);
	free(crowd->forks);
	*crowd = (struct crowd){0};
}

/* In a machine of its own, whose memory nobody used before. room: for forks beside these. */
static int gather(const struct bench *bench, struct crowd *crowd, size_t size, size_t room,
                  use run_once)
{
	struct kvmsb_options options = options_for(bench->program);
	size_t bytes = (size + room) * sizeof(crowd->forks[0]);

	options.learned_pages_limit = KVMSB_NO_LEARNING;
	*crowd = (struct crowd){.forks = malloc(bytes)};
	if (crowd->forks == NULL)
		return complain("no memory for %zu forks", size);
	/* Memory of the bench itself must not count. */
	memset(crowd->forks, 0, bytes);
	malloc_trim(0);
	if (create_master(&options, &crowd->master) < 0)
		crowd->master = NULL;
	if (crowd->master != NULL && fill(bench, crowd, size, run_once) == 0)
		return 0;
	disperse(crowd);
	return -1;
}

static int gather_idle(struct bench *bench)
{
	size_t built = (size_t)bench->settings.samples * FORKS;

	if (idle.master != NULL)
		return 0;
	if (gather(bench, &idle, bench->settings.crowd, built, use_stack_only) < 0)
		return -1;
	/* After the forks' memory was measured: this takes what is not theirs. */
	if (kvmsb_reserve(idle.master, built) < 0)
		return complain("kvmsb_reserve: %s", kvmsb_detail(idle.master));
	return 0;
}

static void finish(void)
{
	disperse(&idle);
}

/* Figures. */

/* They stay: one that was destroyed would be kept, and the next of these not built. */
static int measure_fork_at(struct bench *bench, struct sample *sample)
{
	double start;

	if (gather_idle(bench) < 0)
		return -1;
	start = now();
	if (fork_many(idle.master, idle.forks + idle.count, FORKS) < 0)
		return -1;
	set_sample(sample, now() - start, 0, FORKS);
	idle.count += FORKS;
	return 0;
}

static int measure_live_forks(struct bench *bench, struct sample *sample)
{
	int result = gather_idle(bench);

	*sample = (struct sample){(double)idle.ran, idle.cost.kvm_runs};
	return result;
}

static int measure_idle(struct bench *bench, struct sample *sample)
{
	int result = gather_idle(bench);

	*sample = (struct sample){idle.cost.process + idle.cost.kernel, idle.cost.kvm_runs};
	return result;
}

static int measure_idle_process(struct bench *bench, struct sample *sample)
{
	int result = gather_idle(bench);

	*sample = (struct sample){idle.cost.process, idle.cost.kvm_runs};
	return result;
}

static int measure_idle_guest(struct bench *bench, struct sample *sample)
{
	int result = gather_idle(bench);

	*sample = (struct sample){idle.cost.guest, idle.cost.kvm_runs};
	return result;
}

static int measure_idle_kernel(struct bench *bench, struct sample *sample)
{
	int result = gather_idle(bench);

	*sample = (struct sample){idle.cost.kernel, idle.cost.kvm_runs};
	return result;
}

static int measure_request_fork(struct bench *bench, struct sample *sample)
{
	size_t size = max_u64(bench->settings.crowd / REQUEST_SHARE, REQUEST_LEAST);
	struct crowd crowd;

	if (gather(bench, &crowd, size, 0, use_request) < 0)
		return -1;
	*sample = (struct sample){crowd.cost.process + crowd.cost.kernel, crowd.cost.kvm_runs};
	disperse(&crowd);
	return 0;
}

static const struct figure figures[] = {
	{"fork_at_100k", "ns", "fork with so many alive, address space built", 0, measure_fork_at},
	{"live_forks", "count", "forks of one master alive that each ran once", 1, measure_live_forks},
	{"idle_fork_bytes", "bytes", "memory of each of them, process and kernel", 1, measure_idle},
	{"idle_fork_process_bytes", "bytes", "... resident in the process", 1, measure_idle_process},
	{"idle_fork_guest_bytes", "bytes", "... of it guest memory and page tables", 1,
         measure_idle_guest},
	{"idle_fork_kernel_bytes", "bytes", "... in the kernel, whoever caused it", 1,
         measure_idle_kernel},
	{"request_fork_bytes", "bytes", "after a request that formats and allocates", 1,
         measure_request_fork},
};
const struct area crowd_area = {
	.figures = figures, .count = ARRAY_SIZE(figures), .apart = true, .finish = finish};
