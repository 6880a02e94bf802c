/* SPDX-License-Identifier: MIT */
/*
 * The end of a run: a POSIX timer of the thread that runs a guest, and a signal
 * that is blocked there but open inside KVM_RUN. The timer is armed once for
 * many runs: it fires at the deadline of the first, and only then is it set to
 * the deadline of the one that runs. No handler, no disposition.
 *
 * Knows nothing of KVM. Used by one thread at a time.
 */
#ifndef KVMSB_TIME_LIMIT_H
#define KVMSB_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct time_limit {
	int signal;
	bool made;       /* the timer is there, and signals the thread that made it */
	timer_t timer;
	uint64_t expiry; /* in ns as time_now(); 0 or in the past: not armed */
};

/* CLOCK_MONOTONIC in ns, without a system call where the host's clock allows that. */
uint64_t time_now(void);

/* Deletes the timer: another thread goes on. Not in a forked child, which inherits none. */
void time_limit_forget(struct time_limit *limit);

/*
 * Blocks the signal in the calling thread. *mask: what is blocked there, but for
 * the signal, as the kernel has it: bit n - 1 for signal n. Returns 0 or -errno.
 */
int time_limit_block(const struct time_limit *limit, uint64_t *mask);

/* Whether a signal will come at `deadline` or before. now: time_now(). */
bool time_limit_armed(const struct time_limit *limit, uint64_t deadline, uint64_t now);

/* Makes one come to the calling thread, which has blocked it. Returns 0 or -errno. */
int time_limit_arm(struct time_limit *limit, uint64_t deadline);

/* A signal came: takes it if it is the timer's. True when the deadline is over. */
bool time_limit_over(struct time_limit *limit, uint64_t deadline);

#endif
