/* SPDX-License-Identifier: MIT */
/*
 * What kvmsb-run prints of a program's calls: a line for each as it ends, and
 * their sums at the end.
 */
#ifndef RUN_TRACE_H
#define RUN_TRACE_H

#include "run-options.h"

#define RUN_TRACE_ROWS 512

/* Calls of one name. */
struct run_trace_row {
	char name[40];
	unsigned long long calls, errors, denied, nanoseconds;
};

struct run_trace {
	unsigned lines; /* as run_options.trace */
	size_t count;
	struct run_trace_row rows[RUN_TRACE_ROWS + 1]; /* the last one is for all others */
};

/* Sets the trace function, if any is asked for. The trace lives as long as sandboxes. */
void run_trace_start(struct run_trace *trace, struct run_options *options);

/* The sums, most time first, on standard error. */
void run_trace_print_summary(struct run_trace *trace);

#endif
