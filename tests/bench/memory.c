/* SPDX-License-Identifier: MIT */
/* Figures of memory that is written and restored: resets, first writes. */
#include "bench.h"

#define TOUCHED_PAGES 128
#define RESET_PAGES 48

/* A call that writes `pages` pages and its stack, then the reset, which is timed. */
static int time_resets(struct bench *bench, uint64_t pages, double *mean)
{
	double elapsed = 0, ignored = 0;

	for (int i = -WARM_UP; i < CALLS; i++) {
		double start;

		if (call_with(bench->fork, bench->at.touch, 0, pages, &ignored) < 0)
			return -1;
		start = now();
		if (reset(bench->fork) < 0)
			return -1;
		if (i >= 0)
			elapsed += now() - start - bench->clock_cost;
	}
	*mean = elapsed / CALLS;
	return 0;
}

static int measure_reset(struct bench *bench, struct sample *sample)
{
	sample->kvm_runs = 0;
	return time_resets(bench, 0, &sample->value);
}

static int measure_reset_16(struct bench *bench, struct sample *sample)
{
	sample->kvm_runs = 0;
	return time_resets(bench, WRITTEN_PAGES, &sample->value);
}

static int measure_reset_page(struct bench *bench, struct sample *sample)
{
	double few, many;

	if (time_resets(bench, 0, &few) < 0 || time_resets(bench, RESET_PAGES, &many) < 0)
		return -1;
	set_sample(sample, many - few, 0, RESET_PAGES);
	return 0;
}

/* The same call twice: the second time its pages are private already. */
static int measure_write_fault(struct bench *bench, struct sample *sample)
{
	double first, again, ignored = 0, first_runs = 0, again_runs = 0;

	if (call_often(bench->fork, bench->at.empty, 2, &ignored) < 0)
		return -1;
	first = now();
	if (call_with(bench->fork, bench->at.touch, 0, TOUCHED_PAGES, &first_runs) < 0)
		return -1;
	again = now();
	first = again - first;
	if (call_with(bench->fork, bench->at.touch, 0, TOUCHED_PAGES, &again_runs) < 0)
		return -1;
	again = now() - again;
	set_sample(sample, first - again, first_runs - again_runs, TOUCHED_PAGES);
	return 0;
}

static const struct figure figures[] = {
	{"reset", "ns", "reset after a call that wrote its stack only", 0, measure_reset},
	{"reset_16", "ns", "... after one that wrote 16 pages, too", 0, measure_reset_16},
	{"reset_page", "ns", "... for each page more that was written", 0, measure_reset_page},
	{"first_write_fault", "ns", "first write to a page that is the master's", 0,
         measure_write_fault},
};
const struct area memory_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
