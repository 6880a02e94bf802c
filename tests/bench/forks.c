/* SPDX-License-Identifier: MIT */
/*
 * Figures of forks: made from an address space that the machine kept, as a
 * server that forks for each request sees it, or built; used; destroyed.
 */
#include "bench.h"

#define LIVE_FORKS 10 /* that are there when others are made */
#define AMONG 10000

/* Each runs before it is destroyed: what the next one finds in caches is what a server's does. */
static int time_kept_forks(struct bench *bench, struct sample *sample)
{
	double elapsed = 0, ignored = 0;

	for (int i = -WARM_UP; i < FORKS; i++) {
		double start = now();
		struct kvmsb *fork;
		int result = fork_of(bench->master, &fork);

		if (result < 0)
			return result;
		if (i >= 0)
			elapsed += now() - start - bench->clock_cost;
		result = call(fork, bench->at.empty, 0, &ignored);
		kvmsb_destroy(fork);
		if (result < 0)
			return result;
	}
	set_sample(sample, elapsed, 0, FORKS);
	return 0;
}

static int measure_fork(struct bench *bench, struct sample *sample)
{
	struct kvmsb *live[LIVE_FORKS];
	int result = fork_many(bench->master, live, LIVE_FORKS);

	if (result < 0)
		return result;
	result = time_kept_forks(bench, sample);
	destroy_all(live, LIVE_FORKS);
	return result;
}

/* None was ever destroyed, so all are built. */
static int time_new_forks(struct kvmsb *master, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	double start = now();
	int result = fork_many(master, forks, FORKS);

	set_sample(sample, now() - start, 0, FORKS);
	if (result == 0)
		destroy_all(forks, FORKS);
	return result;
}

static int measure_new_among(struct bench *bench, size_t live, struct sample *sample)
{
	static struct kvmsb *forks[AMONG];
	int result;

	if (kvmsb_reserve(bench->master, live + FORKS) < 0)
		return complain("kvmsb_reserve: %s", kvmsb_detail(bench->master));
	if (fork_many(bench->master, forks, live) < 0)
		return -1;
	result = time_new_forks(bench->master, sample);
	destroy_all(forks, live);
	return result;
}

static int measure_fork_new(struct bench *bench, struct sample *sample)
{
	return measure_new_among(bench, LIVE_FORKS, sample);
}

static int measure_fork_among(struct bench *bench, struct sample *sample)
{
	return measure_new_among(bench, AMONG, sample);
}

static int call_each(struct bench *bench, struct kvmsb **forks, double *kvm_runs)
{
	int result = 0;

	for (unsigned i = 0; i < FORKS && result == 0; i++)
		result = call(forks[i], bench->at.empty, 0, kvm_runs);
	return result;
}

static int measure_call_after_fork(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	double kvm_runs = 0, start;
	int result;

	if (fork_many(bench->master, forks, FORKS) < 0)
		return -1;
	start = now();
	result = call_each(bench, forks, &kvm_runs);
	set_sample(sample, now() - start, kvm_runs, FORKS);
	destroy_all(forks, FORKS);
	return result;
}

/* Each has run once. */
static int measure_destroy(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS];
	double ignored = 0, start;
	int result;

	if (fork_many(bench->master, forks, FORKS) < 0)
		return -1;
	result = call_each(bench, forks, &ignored);
	start = now();
	destroy_all(forks, FORKS);
	set_sample(sample, now() - start, 0, FORKS);
	return result;
}

static int fork_call_destroy(struct bench *bench, uint64_t function, uint64_t pages, double *kvm_runs)
{
	struct kvmsb *fork;
	int result = fork_of(bench->master, &fork);

	if (result < 0)
		return result;
	result = call_with(fork, function, 0, pages, kvm_runs);
	kvmsb_destroy(fork);
	return result;
}

static int fork_empty_destroy(struct bench *bench, double *kvm_runs)
{
	return fork_call_destroy(bench, bench->at.empty, 0, kvm_runs);
}

static int measure_fork_call_destroy(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, fork_empty_destroy, CALLS, sample);
}

static int fork_16_destroy(struct bench *bench, double *kvm_runs)
{
	return fork_call_destroy(bench, bench->at.touch, WRITTEN_PAGES, kvm_runs);
}

static int measure_fork_call_16_destroy(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, fork_16_destroy, CALLS, sample);
}

/* The master has seen resets of such calls; forks that were destroyed are all in use again. */
static int learn_16(struct bench *bench, struct kvmsb **live)
{
	double ignored = 0;

	for (unsigned i = 0; i < WARM_UP; i++)
		if (call_with(bench->fork, bench->at.touch, 0, WRITTEN_PAGES, &ignored) < 0 ||
		    reset(bench->fork) < 0 || fork_16_destroy(bench, &ignored) < 0)
			return -1;
	return fork_of(bench->master, live);
}

static int measure_fork_new_call_16(struct bench *bench, struct sample *sample)
{
	struct kvmsb *forks[FORKS], *live;
	double kvm_runs = 0, start;
	size_t made = 0;
	int result = learn_16(bench, &live);

	if (result < 0)
		return result;
	if (kvmsb_reserve(bench->master, FORKS) < 0)
		return complain("kvmsb_reserve: %s", kvmsb_detail(bench->master));
	start = now();
	while (result == 0 && made < FORKS) {
		result = fork_of(bench->master, &forks[made]);
		if (result == 0)
			result = call_with(forks[made++], bench->at.touch, 0, WRITTEN_PAGES,
			                   &kvm_runs);
	}
	set_sample(sample, now() - start, kvm_runs, FORKS);
	destroy_all(forks, made);
	kvmsb_destroy(live);
	return result;
}

static const struct figure figures[] = {
	{"fork", "ns", "fork with 10 alive, address space kept from an earlier one", 0, measure_fork},
	{"fork_new", "ns", "fork with 10 alive, address space built", 0, measure_fork_new},
	{"fork_among_10000", "ns", "fork with 10000 alive, built", 3, measure_fork_among},
	{"vmcall_first_after_fork", "ns", "first call of a fork that was built", 0,
         measure_call_after_fork},
	{"destroy", "ns", "destroy of a fork that ran once", 0, measure_destroy},
	{"fork_vmcall_destroy", "ns", "fork, call of an empty function, destroy", 0,
         measure_fork_call_destroy},
	{"fork_vmcall_16_destroy", "ns", "fork, call that writes 16 pages as ever, destroy", 0,
         measure_fork_call_16_destroy},
	{"fork_new_vmcall_16", "ns", "fork, built, and such a call", 0, measure_fork_new_call_16},
};
const struct area fork_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
