/* SPDX-License-Identifier: MIT */
/* Samples sorted and printed; see report.h. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

void report_sort(double *values, size_t count)
{
	qsort(values, count, sizeof(values[0]), ascending);
}

double report_median(const double *sorted, size_t count)
{
	size_t half = count / 2;

	return count % 2 != 0 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

int report_digits(const char *unit, double value)
{
	if (strcmp(unit, "bytes") == 0)
		return 0;
	return value < 10 ? 3 : 1;
}

void report_json(const char *name, const char *unit, double median, double least, double kvm_runs)
{
	int digits = report_digits(unit, least);

	printf("{\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.*f,\"min\":%.*f,\"kvm_run\":%.4g}\n",
	       name, unit, digits, median, digits, least, kvm_runs);
}
