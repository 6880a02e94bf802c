/* SPDX-License-Identifier: MIT */
/*
 * What counting (metrics.c) and telling (metrics_prometheus.c, metrics_json.c) know
 * of each other: the counts of a program at one moment, and texts written so
 * that a reader of either format takes them for text.
 */
#ifndef KVMSB_HTTPD_METRICS_INTERNAL_H
#define KVMSB_HTTPD_METRICS_INTERNAL_H

#include "metrics.h"

#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Of times; one more holds what is above the last. */
#define METRICS_BUCKETS 19

#define METRICS_CLASSES 6   /* 0: no status, or one that is none; 1..5: 1xx..5xx */
#define METRICS_OUTCOMES 13 /* enum kvmsb_outcome; the last: any that is not known here */
#define METRICS_SOURCES 5   /* enum kvmsb_http_source; the last: any that is not known here */

/* What is counted: places in one array, so that adding all up is one loop. */
enum metrics_cell {
	CELL_CLASS = 0,
	CELL_END = CELL_CLASS + METRICS_CLASSES, /* by outcome and source */
	CELL_LATENCY = CELL_END + METRICS_OUTCOMES * METRICS_SOURCES,
	CELL_LATENCY_SUM = CELL_LATENCY + METRICS_BUCKETS + 1, /* sums are of ns */
	CELL_QUEUE,
	CELL_QUEUE_SUM = CELL_QUEUE + METRICS_BUCKETS + 1,
	CELL_RUN,
	CELL_RUN_SUM = CELL_RUN + METRICS_BUCKETS + 1,
	CELL_FAILED_RUN_SUM,
	CELL_BYTES_IN,
	CELL_BYTES_OUT,
	CELL_KVM_RUNS,
	CELL_RESETS,
	CELL_RESET_SUM,
	CELL_FETCHES,
	CELL_FETCHES_FAILED,
	CELL_SELF_REQUESTS,
	CELL_SELF_REQUESTS_FAILED,
	CELL_FETCH_SUM,
	CELL_COUNT
};

/* Why a handler gave no response. */
enum metrics_failure {
	FAILURE_NONE = 0,
	FAILURE_NO_RESPONSE, /* it returned, or the guest exited */
	FAILURE_FAULTED,
	FAILURE_TIMED_OUT,
	FAILURE_OUT_OF_MEMORY,
	FAILURE_DENIED,
	FAILURE_OTHER,
	METRICS_FAILURES
};

#define METRICS_EXCEPTIONS 8
struct metrics_exception {
	int64_t time; /* seconds since 1970 */
	enum metrics_failure failure;
	char text[200];
};

/* A program at one moment. Texts belong to the metrics. */
struct metrics_view {
	const char *program;
	const char *route, *file; /* NULL: not known */
	uint32_t concurrency;
	bool is_ephemeral;
	struct metrics_now now;
	bool has_machine;
	struct kvmsb_statistics machine;
	size_t exception_count;
	struct metrics_exception exceptions[METRICS_EXCEPTIONS]; /* the latest first */
	uint64_t cell[CELL_COUNT];
};

/* Views of all, in one piece of memory: free(3) it. NULL: no memory. */
struct metrics_view *metrics_views(struct metrics *const *list, size_t count);

/* Inclusive upper ends of the buckets, in ns. */
extern const uint64_t metrics_bounds[METRICS_BUCKETS];

/* Names that stay the same from release to release, for labels and keys. */
const char *metrics_class_name(size_t index);
const char *metrics_outcome_name(size_t index);
const char *metrics_source_name(size_t index);
const char *metrics_failure_name(size_t index);
const char *metrics_state_name(enum metrics_state state);

enum metrics_failure metrics_failure_of(size_t outcome, size_t source);
uint64_t metrics_failures(const struct metrics_view *view, enum metrics_failure failure);
uint64_t metrics_requests(const struct metrics_view *view);

/*
 * Between the quotes of a label's value, and of a string of JSON (RFC 8259). Bytes
 * that are no UTF-8 become U+FFFD in both.
 */
void write_label(FILE *file, const char *text);
void write_json_text(FILE *file, const char *text);

/* Nanoseconds as seconds: exactly, and the same in every locale. */
void write_seconds(FILE *file, uint64_t nanoseconds);

#endif
