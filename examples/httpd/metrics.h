/* SPDX-License-Identifier: MIT */
/*
 * What a server counts of each program, and how it tells: as Prometheus' text
 * format 0.0.4, and as JSON for the status page. Counting takes some dozen
 * nanoseconds and no lock. Knows neither sandboxes nor connections: it is told.
 * All functions may be called by several threads at once, but for the first three.
 */
#ifndef KVMSB_HTTPD_METRICS_H
#define KVMSB_HTTPD_METRICS_H

#include <kvmsandbox.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics;

/*
 * A program without counts. The name is copied; it may hold any byte. Requests that no
 * program takes (404) may be counted in one that is called "". NULL: no memory.
 */
struct metrics *metrics_create(const char *program);

/* NULL is allowed. */
void metrics_destroy(struct metrics *metrics);

/* What does not change any more: for the status page. Texts are copied; NULL: not known. Returns 0 or -ENOMEM. */
struct metrics_program {
	const char *route;    /* where it is served */
	const char *file;     /* the ELF file */
	uint32_t concurrency; /* requests at once */
	bool is_ephemeral;    /* reset after each request */
};
int metrics_describe(struct metrics *metrics, const struct metrics_program *program);

/* One request, when its response is known or given up. What is not known is 0. */
struct metrics_sample {
	int status;                 /* of the response as sent; 0: there was none */
	enum kvmsb_outcome outcome; /* KVMSB_OUTCOME_NONE: no guest was run (queue full, no such program) */
	int32_t source;             /* enum kvmsb_http_source */
	uint64_t total_ns;          /* from the request's head to the response */
	uint64_t queue_ns;          /* of them, waiting for a fork */
	uint64_t run_ns;            /* of them, in kvmsb_request() */
	uint64_t bytes_in;          /* of bodies */
	uint64_t bytes_out;
	uint64_t kvm_runs;          /* kvmsb_result.kvm_runs */
	const char *exception;      /* kvmsb_http_response.exception; the latest few are kept; NULL: none */
};
void metrics_request(struct metrics *metrics, const struct metrics_sample *sample);

/* A fork was reset, which took so long: after the response, and after a request is counted. */
void metrics_reset(struct metrics *metrics, uint64_t duration_ns);

/* One fetch that a guest asked for, see fetch.h. */
struct metrics_fetch_sample {
	bool is_self; /* from this server itself */
	bool failed;
	uint64_t duration_ns;
};
void metrics_fetch(struct metrics *metrics, const struct metrics_fetch_sample *sample);

/* Figures of the moment, which replace those before. */
enum metrics_state {
	METRICS_STARTING = 0,
	METRICS_READY,
	METRICS_FAILED,
	METRICS_STOPPING,
};
struct metrics_now {
	enum metrics_state state;
	uint32_t busy;          /* forks that run a request or hold a response */
	uint32_t queued;        /* requests that wait */
	uint64_t private_pages; /* of all forks together: the sum of kvmsb_statistics.pages_private */
};
void metrics_now(struct metrics *metrics, const struct metrics_now *now);

/* The same for what the library counts: its machine_... figures, of any sandbox of the program. */
void metrics_machine(struct metrics *metrics, const struct kvmsb_statistics *statistics);

/*
 * All programs as one text, NUL-terminated, with its length without that; free(3) it.
 * NULL: no memory.
 */
#define METRICS_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_JSON_TYPE "application/json"
char *metrics_prometheus(struct metrics *const *list, size_t count, size_t *length);
char *metrics_json(struct metrics *const *list, size_t count, size_t *length);

#endif
