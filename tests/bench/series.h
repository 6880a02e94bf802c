/* SPDX-License-Identifier: MIT */
/*
 * The samples of figures over the rounds of kvmsb-bench, and figures divided by
 * others round by round.
 */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include "bench.h"

#include <stdbool.h>
#include <stddef.h>

struct series {
	const struct figure *figure; /* NULL: a ratio */
	char name[48];               /* as printed: the figure's, or with the size of the crowd */
	const char *unit, *text;
	double *values;
	double least;
	double kvm_runs; /* sum */
	unsigned count;
	bool stopped; /* no more of it: not wanted, not possible here, or failed */
};

struct table {
	struct series *series; /* figures, then ratios */
	size_t figures, count;
};

/* All figures of all areas, and the ratios, with room for that many samples. Returns 0 or -1. */
int table_create(struct table *table, unsigned samples);
void table_destroy(struct table *table);

void series_add(struct series *series, const struct sample *sample);

/* By the figure's name, whatever the size of the crowd. NULL: there is none. */
const struct series *table_find(const struct table *table, const char *name);

/* All rounds are over: ratios are taken, samples sorted. */
void table_finish(struct table *table);

/* Of a series that has a sample, in a finished table. */
double series_median(const struct series *series);
double series_kvm_runs(const struct series *series);

void table_print(const struct table *table, bool json);

#endif
