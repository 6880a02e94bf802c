/* SPDX-License-Identifier: MIT */
/*
 * A guest program that answers requests: the master that it was frozen to, its
 * workers, each a thread with a fork of its own for good, and the queue of
 * requests that wait for one. A fork stays with its thread, since a virtual
 * processor that another thread takes over costs the kernel milliseconds.
 */
#ifndef KVMSB_HTTPD_PROGRAM_H
#define KVMSB_HTTPD_PROGRAM_H

#include "fetch.h"
#include "metrics.h"
#include "options.h"
#include "request.h"

#include <kvmsandbox.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct worker;

struct program {
	const struct program_options *options;
	const struct httpd_options *server;
	struct fetcher *fetcher; /* the server's; NULL: there is none */
	struct fetch_rules fetch_rules;
	struct kvmsb *master;
	struct metrics *metrics;
	bool is_ephemeral; /* forks are reset after each request */
	bool takes_stream; /* it wants bodies as they come */
	struct worker *workers;
	size_t worker_count;
	atomic_uint busy; /* workers with a request */

	/* The queue, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct request *first, **last;
	size_t waiting;
	bool is_stopping; /* nothing comes in any more */
};

/* Loads the program, runs it until it waits for requests, warms it up and freezes it. Says what is
 * wrong and returns -1, or 0. In the end, whatever this returned, program_destroy(). */
int program_create(struct program *program, const struct program_options *options,
                   const struct httpd_options *server, struct fetcher *fetcher);
void program_destroy(struct program *program);

/* Starts the workers; returns once each has a fork, as program_create(). */
int program_start(struct program *program);

/* Lets the workers end what is queued, and waits for them. May be called without start. */
void program_stop(struct program *program);

/* Hands a request to the workers, with a reference of its own. false: too many wait. */
bool program_submit(struct program *program, struct request *request);

/* For a worker: the next request, with that reference; NULL: there will be none any more. */
struct request *program_take(struct program *program);

/* Gathers the figures of the moment for program->metrics. */
void program_measure(struct program *program);

#endif
