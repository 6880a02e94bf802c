/* SPDX-License-Identifier: MIT */
/*
 * What kvmsb-bench measures: a table of figures, each measured once a round,
 * so that noise of the machine hits all of them alike and ratios are of
 * figures measured side by side.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>

struct bench;

/* One batch: the mean of one operation in it, and the KVM_RUN calls of one. */
struct sample {
	double value;
	double kvm_runs;
};

struct figure {
	const char *name;
	const char *unit; /* "ns", "bytes", "count" */
	const char *text;
	unsigned rounds; /* measured in this many rounds at most; 0: in all */
	/* Returns 0; MEASURE_IMPOSSIBLE where this host has no such thing; -1 after saying why. */
	int (*measure)(struct bench *bench, struct sample *sample);
};
#define MEASURE_IMPOSSIBLE 1

extern const struct figure figures[];
extern const size_t figure_count;

/* guests: the directory of the guest programs. NULL after saying why. */
struct bench *bench_open(const char *guests);
void bench_close(struct bench *bench);

/* One line about the host: how a guest gets out, and what kind of page tables. */
void bench_describe(const struct bench *bench, char *text, size_t length);

#endif
