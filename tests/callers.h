/* SPDX-License-Identifier: MIT */
/*
 * Calls on threads of their own, for tests with many at once. What a call did
 * is left for the test's own thread to judge: cmocka is for that one only.
 */
#ifndef KVMSB_TESTS_CALLERS_H
#define KVMSB_TESTS_CALLERS_H

#include <kvmsandbox.h>

#include <pthread.h>
#include <stdint.h>
#include <time.h>

struct caller {
	struct kvmsb *fork;
	const char *symbol;
	uint64_t numbers[2];
	uint64_t timeout_ns; /* 0: the options' */

	pthread_t thread;
	uint64_t start, end; /* CLOCK_MONOTONIC ns */
	struct kvmsb_result result;
	int failed;
};

/* CLOCK_MONOTONIC in ns. */
uint64_t caller_now(void);
void caller_sleep(uint64_t nanoseconds);

/* On the calling thread. */
void caller_call(struct caller *caller);
/* On a thread of its own; 0 or an errno of pthread_create(3). */
int caller_begin(struct caller *caller);
void caller_end(struct caller *caller);

#endif
