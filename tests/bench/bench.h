/* SPDX-License-Identifier: MIT */
/*
 * What kvmsb-bench measures: areas of figures, each figure measured once a
 * round, so that noise of the machine hits all of them alike and ratios are of
 * figures measured side by side. And what the areas share: a master and a fork
 * for each measurement, so that no figure depends on which others were taken.
 */
#ifndef BENCH_H
#define BENCH_H

#include "util.h"

#include <kvmsandbox.h>

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAR_AWAY_NS (UINT64_C(3600) * 1000000000u)
#define WARM_UP 20
#define CALLS 200
#define FORKS 64 /* of one batch: the machine keeps more than these for reuse */
#define WRITTEN_PAGES 16 /* of the calls that figures with 16 in their names are about */
#define COMPUTE_ROUNDS 2000000
#define CROWD_DEFAULT 100000u

/* One batch: the mean of one operation in it, and the KVM_RUN calls of one. */
struct sample {
	double value;
	double kvm_runs;
};

struct bench;

struct figure {
	const char *name;
	const char *unit; /* "ns", "bytes", "count", "1/s" */
	const char *text;
	unsigned rounds; /* measured in this many rounds at most; 0: in all */
	/* Returns 0; MEASURE_IMPOSSIBLE where this host has no such thing; -1 after saying why. */
	int (*measure)(struct bench *bench, struct sample *sample);
};
#define MEASURE_IMPOSSIBLE 1

struct area {
	const struct figure *figures;
	size_t count;
	bool apart;           /* in rounds of its own, after the others: it would be in their way */
	bool on_request;      /* only with --programs, --filter or --goals: depends on what is installed */
	void (*finish)(void); /* after its last round; may be NULL */
};

extern const struct area call_area, fork_area, memory_area, thread_area, program_area, native_area,
	comparison_area, crowd_area, content_area;
extern const struct area *const areas[];
extern const size_t area_count;

struct settings {
	const char *guests; /* directory of the guest programs */
	unsigned samples;   /* rounds */
	unsigned crowd;     /* forks that live at once */
};

/* Functions of the guest `bench`. */
struct functions {
	uint64_t empty, get_pids, write_bytes, read_clock, hypercalls, hypercalls_out, touch,
		compute, out_forever;
};

struct bench {
	struct settings settings;
	char program[512], plain[512];
	cpu_set_t processors; /* that the process may use; it keeps itself to one of them */
	struct functions at;
	double clock_cost;
	unsigned round;       /* from 0 */
	struct kvmsb *master; /* of this measurement */
	struct kvmsb *fork;   /* the only one of it */
};

/* NULL after saying why. */
struct bench *bench_open(const struct settings *settings);
void bench_close(struct bench *bench);

/* A new master and fork, before each measurement. Returns 0 or -1 after saying why. */
int bench_renew(struct bench *bench);

/* One line about the host: how a guest gets out, and what kind of page tables. */
void bench_describe(const struct bench *bench, char *text, size_t length);

/* What figures are made of. These return 0, or -1 after saying why. */

__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/* Nanoseconds. */
double now(void);

void set_sample(struct sample *sample, double elapsed, double kvm_runs, double operations);

int create(const char *path, struct kvmsb **sandbox);
int run(struct kvmsb *sandbox, enum kvmsb_outcome wanted, uint64_t *kvm_runs);
int create_master(const struct kvmsb_options *options, struct kvmsb **master);
/* Far limits of time, output swallowed. */
struct kvmsb_options options_for(const char *path);

int fork_of(struct kvmsb *master, struct kvmsb **fork);
int fork_many(struct kvmsb *master, struct kvmsb **forks, size_t count);
/* The last first: the next ones find what these leave as these found it. */
void destroy_all(struct kvmsb **forks, size_t count);
int reset(struct kvmsb *fork);

/* Calls a function, which must return. Adds to *kvm_runs. */
int call_with(struct kvmsb *sandbox, uint64_t function, uint64_t first, uint64_t second,
              double *kvm_runs);
int call(struct kvmsb *sandbox, uint64_t function, uint64_t argument, double *kvm_runs);
int call_often(struct kvmsb *sandbox, uint64_t function, unsigned count, double *kvm_runs);

/* A GET request, which must be answered with status 200. */
int request(struct kvmsb *sandbox, const char *url, double *kvm_runs);
#define URL_ECHO "/hello?name=value"
#define URL_FORMAT "/format" /* formats floating point and allocates */

/* Something done over and over: WARM_UP times, then `count` times on the clock. */
typedef int (*operation)(struct bench *bench, double *kvm_runs);
int time_operation(struct bench *bench, operation operate, unsigned count, struct sample *sample);

/* The figure exit_roundtrip, which others are held against. */
int measure_exit_roundtrip(struct bench *bench, struct sample *sample);

#endif
