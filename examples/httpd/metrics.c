/* SPDX-License-Identifier: MIT */
/*
 * Counting; see metrics.h. Each processor has cells of its own, which it alone
 * writes but for threads that are just being moved: so that programs on many
 * processors do not take cache lines from each other. A reader adds them up,
 * and each figure is between what it was when it began and when it is done.
 */
#include "metrics_internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CACHE_LINE 64
#define STRIPES 16
#define MICROSECOND UINT64_C(1000)
#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

struct stripe {
	_Alignas(CACHE_LINE) _Atomic uint64_t cell[CELL_COUNT];
};

struct metrics {
	struct stripe stripes[STRIPES];
	char *program;

	pthread_mutex_t lock; /* of what follows */
	char *route, *file;
	struct metrics_program description;
	struct metrics_now now;
	bool has_machine;
	struct kvmsb_statistics machine;
	uint64_t exceptions_seen;
	struct metrics_exception exceptions[METRICS_EXCEPTIONS]; /* a ring */
};

const uint64_t metrics_bounds[METRICS_BUCKETS] = {
	10 * MICROSECOND,   25 * MICROSECOND,  50 * MICROSECOND,  100 * MICROSECOND,
	250 * MICROSECOND,  500 * MICROSECOND, 1 * MILLISECOND,   2500 * MICROSECOND,
	5 * MILLISECOND,    10 * MILLISECOND,  25 * MILLISECOND,  50 * MILLISECOND,
	100 * MILLISECOND,  250 * MILLISECOND, 500 * MILLISECOND, 1 * SECOND,
	2500 * MILLISECOND, 5 * SECOND,        10 * SECOND,
};

struct metrics *metrics_create(const char *program)
{
	struct metrics *metrics = aligned_alloc(CACHE_LINE, sizeof(*metrics));

	if (!metrics)
		return NULL;
	memset(metrics, 0, sizeof(*metrics));
	metrics->program = strdup(program);
	if (!metrics->program || pthread_mutex_init(&metrics->lock, NULL)) {
		free(metrics->program);
		free(metrics);
		return NULL;
	}
	return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
	if (!metrics)
		return;
	pthread_mutex_destroy(&metrics->lock);
	free(metrics->program);
	free(metrics->route);
	free(metrics->file);
	free(metrics);
}

/* *copy is NULL where the text is. */
static int copy_text(char **copy, const char *text)
{
	*copy = text ? strdup(text) : NULL;
	return text && !*copy ? -ENOMEM : 0;
}

int metrics_describe(struct metrics *metrics, const struct metrics_program *program)
{
	char *route, *file = NULL;

	if (copy_text(&route, program->route) || copy_text(&file, program->file)) {
		free(route);
		return -ENOMEM;
	}
	pthread_mutex_lock(&metrics->lock);
	free(metrics->route);
	free(metrics->file);
	metrics->route = route;
	metrics->file = file;
	metrics->description = *program;
	pthread_mutex_unlock(&metrics->lock);
	return 0;
}

static struct stripe *stripe_of_thread(struct metrics *metrics)
{
	return &metrics->stripes[(unsigned)sched_getcpu() % STRIPES];
}

/* Order does not matter: cells are only ever added up. */
static void add(struct stripe *stripe, size_t cell, uint64_t amount)
{
	if (amount != 0)
		atomic_fetch_add_explicit(&stripe->cell[cell], amount, memory_order_relaxed);
}

static void add_time(struct stripe *stripe, size_t buckets, uint64_t nanoseconds)
{
	size_t bucket = 0;

	while (bucket < METRICS_BUCKETS && nanoseconds > metrics_bounds[bucket])
		bucket++;
	add(stripe, buckets + bucket, 1);
	add(stripe, buckets + METRICS_BUCKETS + 1, nanoseconds);
}

static size_t class_of(int status)
{
	return status >= 100 && status < 600 ? (size_t)status / 100 : 0;
}

static size_t known_or_last(int64_t value, size_t count)
{
	return value >= 0 && (uint64_t)value < count - 1 ? (size_t)value : count - 1;
}

static void keep_exception(struct metrics *metrics, enum metrics_failure failure, const char *text)
{
	struct metrics_exception *exception;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&metrics->lock);
	exception = &metrics->exceptions[metrics->exceptions_seen++ % METRICS_EXCEPTIONS];
	exception->time = now.tv_sec;
	exception->failure = failure;
	snprintf(exception->text, sizeof(exception->text), "%s", text);
	pthread_mutex_unlock(&metrics->lock);
}

static void add_run(struct stripe *stripe, const struct metrics_sample *sample,
                    enum metrics_failure failure)
{
	add_time(stripe, CELL_RUN, sample->run_ns);
	if (failure != FAILURE_NONE)
		add(stripe, CELL_FAILED_RUN_SUM, sample->run_ns);
	add(stripe, CELL_KVM_RUNS, sample->kvm_runs);
}

void metrics_request(struct metrics *metrics, const struct metrics_sample *sample)
{
	struct stripe *stripe = stripe_of_thread(metrics);
	size_t outcome = known_or_last((int64_t)sample->outcome, METRICS_OUTCOMES);
	size_t source = known_or_last(sample->source, METRICS_SOURCES);
	enum metrics_failure failure = metrics_failure_of(outcome, source);

	add(stripe, CELL_CLASS + class_of(sample->status), 1);
	add(stripe, CELL_END + outcome * METRICS_SOURCES + source, 1);
	add_time(stripe, CELL_LATENCY, sample->total_ns);
	add_time(stripe, CELL_QUEUE, sample->queue_ns);
	if (outcome != KVMSB_OUTCOME_NONE)
		add_run(stripe, sample, failure);
	add(stripe, CELL_BYTES_IN, sample->bytes_in);
	add(stripe, CELL_BYTES_OUT, sample->bytes_out);
	if (sample->exception)
		keep_exception(metrics, failure, sample->exception);
}

void metrics_reset(struct metrics *metrics, uint64_t duration_ns)
{
	struct stripe *stripe = stripe_of_thread(metrics);

	add(stripe, CELL_RESETS, 1);
	add(stripe, CELL_RESET_SUM, duration_ns);
}

void metrics_fetch(struct metrics *metrics, const struct metrics_fetch_sample *sample)
{
	struct stripe *stripe = stripe_of_thread(metrics);

	add(stripe, sample->is_self ? CELL_SELF_REQUESTS : CELL_FETCHES, 1);
	add(stripe, sample->is_self ? CELL_SELF_REQUESTS_FAILED : CELL_FETCHES_FAILED,
	    sample->failed);
	add(stripe, CELL_FETCH_SUM, sample->duration_ns);
}

void metrics_now(struct metrics *metrics, const struct metrics_now *now)
{
	pthread_mutex_lock(&metrics->lock);
	metrics->now = *now;
	pthread_mutex_unlock(&metrics->lock);
}

void metrics_machine(struct metrics *metrics, const struct kvmsb_statistics *statistics)
{
	size_t size = statistics->size < sizeof(*statistics) ? statistics->size : sizeof(*statistics);

	pthread_mutex_lock(&metrics->lock);
	memcpy(&metrics->machine, statistics, size);
	metrics->has_machine = true;
	pthread_mutex_unlock(&metrics->lock);
}

/* The latest first. The lock is held. */
static void view_exceptions(const struct metrics *metrics, struct metrics_view *view)
{
	uint64_t seen = metrics->exceptions_seen;

	view->exception_count = seen < METRICS_EXCEPTIONS ? (size_t)seen : METRICS_EXCEPTIONS;
	for (size_t i = 0; i < view->exception_count; i++)
		view->exceptions[i] = metrics->exceptions[(seen - 1 - i) % METRICS_EXCEPTIONS];
}

static void view_counts(const struct metrics *metrics, struct metrics_view *view)
{
	for (size_t stripe = 0; stripe < STRIPES; stripe++)
		for (size_t cell = 0; cell < CELL_COUNT; cell++)
			view->cell[cell] += atomic_load_explicit(
				&metrics->stripes[stripe].cell[cell], memory_order_relaxed);
}

static void view_metrics(struct metrics *metrics, struct metrics_view *view)
{
	view_counts(metrics, view);
	view->program = metrics->program;
	pthread_mutex_lock(&metrics->lock);
	view->route = metrics->route;
	view->file = metrics->file;
	view->concurrency = metrics->description.concurrency;
	view->is_ephemeral = metrics->description.is_ephemeral;
	view->now = metrics->now;
	view->has_machine = metrics->has_machine;
	view->machine = metrics->machine;
	view_exceptions(metrics, view);
	pthread_mutex_unlock(&metrics->lock);
}

struct metrics_view *metrics_views(struct metrics *const *list, size_t count)
{
	/* One at least, since calloc() may return NULL for none. */
	struct metrics_view *views = calloc(count + 1, sizeof(*views));

	for (size_t i = 0; views && i < count; i++)
		view_metrics(list[i], &views[i]);
	return views;
}
