/* SPDX-License-Identifier: MIT */
/*
 * What kvmsb-bench and kvmsb-bench-invalidation make of their samples: sorted,
 * the median, and the line of JSON that tests/hardware/figures reads. Knows
 * nothing of what is measured.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stddef.h>

void report_sort(double *values, size_t count);

/* Of sorted values, one at least. */
double report_median(const double *sorted, size_t count);

/* Digits behind the point that a figure of this unit and size is worth. */
int report_digits(const char *unit, double value);

void report_json(const char *name, const char *unit, double median, double least, double kvm_runs);

#endif
