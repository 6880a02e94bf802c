/* SPDX-License-Identifier: MIT */
/*
 * Figures of forks of one master on several threads, each on a processor of its
 * own as far as there are enough. One thread and two are measured one right after the
 * other, so that noise of the machine hits both.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 2
#define DURATION_NS 20e6

struct worker {
	pthread_t thread;
	pthread_barrier_t *start;
	struct kvmsb *fork;
	uint64_t function;
	int processor;
	double requests, elapsed, kvm_runs;
	int failed;
};

/* Of the round at hand: three figures of one measurement. */
static struct {
	unsigned round; /* that it is of, plus one */
	double alone, together;
	double alone_runs, together_runs; /* KVM_RUN calls of one request */
} throughput;

static int work_once(struct worker *worker)
{
	if (reset(worker->fork) < 0)
		return -1;
	return call(worker->fork, worker->function, 0, &worker->kvm_runs);
}

static void work(struct worker *worker)
{
	double start;

	worker->kvm_runs = 0;
	start = now();
	while (!worker->failed && worker->elapsed < DURATION_NS) {
		worker->failed = work_once(worker);
		worker->requests++;
		worker->elapsed = now() - start;
	}
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)worker->processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < WARM_UP && !worker->failed; i++)
		worker->failed = work_once(worker);
	pthread_barrier_wait(worker->start);
	work(worker);
	return NULL;
}

/* Requests a second of these workers together. */
static int run_workers(struct worker *workers, unsigned count, double *rate, double *kvm_runs)
{
	pthread_barrier_t start;
	double requests = 0;
	int failed = 0;

	*rate = *kvm_runs = 0;
	pthread_barrier_init(&start, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		struct worker *worker = &workers[i];

		worker->start = &start;
		worker->requests = worker->elapsed = worker->kvm_runs = 0;
		worker->failed = 0;
		/* The others would wait at the barrier for ever. */
		if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
			exit(complain("pthread_create failed"));
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		failed |= workers[i].failed;
		*rate += workers[i].requests / workers[i].elapsed * 1e9;
		requests += workers[i].requests;
		*kvm_runs += workers[i].kvm_runs;
	}
	*kvm_runs /= requests;
	pthread_barrier_destroy(&start);
	return failed ? -1 : 0;
}

/* The one thread has both processors in turn. */
static int run_pair(struct worker *workers)
{
	double rate, kvm_runs;

	throughput.alone = throughput.alone_runs = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		if (run_workers(&workers[i], 1, &rate, &kvm_runs) < 0)
			return -1;
		throughput.alone += rate / THREADS;
		throughput.alone_runs += kvm_runs / THREADS;
	}
	return run_workers(workers, THREADS, &throughput.together, &throughput.together_runs);
}

/* The number-th processor of the process; from the start again when there are not as many. */
static int processor_of(const struct bench *bench, int number)
{
	int wanted = number % CPU_COUNT(&bench->processors);
	int processor = -1;

	while (wanted >= 0)
		if (CPU_ISSET((unsigned)++processor, &bench->processors))
			wanted--;
	return processor;
}

static int measure_throughput(struct bench *bench)
{
	struct worker workers[THREADS] = {{0}};
	struct kvmsb *forks[THREADS];
	int result;

	if (throughput.round == bench->round + 1)
		return 0;
	if (fork_many(bench->master, forks, THREADS) < 0)
		return -1;
	for (int i = 0; i < THREADS; i++) {
		workers[i].fork = forks[i];
		workers[i].function = bench->at.empty;
		workers[i].processor = processor_of(bench, i);
	}
	result = run_pair(workers);
	destroy_all(forks, THREADS);
	throughput.round = result < 0 ? 0 : bench->round + 1;
	return result;
}

static int measure_requests_1(struct bench *bench, struct sample *sample)
{
	int result = measure_throughput(bench);

	*sample = (struct sample){throughput.alone, throughput.alone_runs};
	return result;
}

static int measure_requests_2(struct bench *bench, struct sample *sample)
{
	int result = measure_throughput(bench);

	*sample = (struct sample){throughput.together, throughput.together_runs};
	return result;
}

static int measure_scaling(struct bench *bench, struct sample *sample)
{
	int result = measure_throughput(bench);

	*sample = (struct sample){throughput.together / throughput.alone * 1000,
	                          throughput.together_runs};
	return result;
}

static const struct figure figures[] = {
	{"requests_1", "1/s", "reset and call of an empty function, on one thread", 0,
         measure_requests_1},
	{"requests_2", "1/s", "the same on two threads with a fork each", 0, measure_requests_2},
	{"scaling_2", "count", "1000 x requests_2 / requests_1", 0, measure_scaling},
};
const struct area thread_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
