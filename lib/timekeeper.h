/* SPDX-License-Identifier: MIT */
/*
 * The clock of a machine: writes the page from which its guests tell the time
 * (guest/vdso_page.h), and tells the host the same times.
 *
 * The page says how the host's clocks go on from a moment, by the time-stamp
 * counter. It is written anew before a guest is entered, when it is older than
 * TIMEKEEPER_INTERVAL; nothing writes it meanwhile. What a long run without an exit is off
 * at its end is the error of the rate: that is what KVM says for the first 100 ms
 * (and so without what adjtimex(2) adds), then measured over the last seconds,
 * and follows what adjtimex(2) makes of the host's clock with that delay. A time
 * that was set (CLOCK_REALTIME) is seen at the next entry. CLOCK_MONOTONIC and
 * CLOCK_MONOTONIC_RAW never step back: where the page was ahead of the host's
 * clock, they stand still until that is there.
 *
 * Threads: all functions, at any time; one thread writes, the others go on.
 */
#ifndef KVMSB_TIMEKEEPER_H
#define KVMSB_TIMEKEEPER_H

#include "host_clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vdso_page;

#define TIMEKEEPER_INTERVAL UINT64_C(10000000) /* ns */

struct timekeeper {
	struct vdso_page *page;
	uint64_t khz;             /* of the counter, as KVM says */
	_Atomic uint64_t due;     /* of CLOCK_MONOTONIC; UINT64_MAX: never */
	atomic_flag writing;      /* taken by who writes, which has what follows */
	uint64_t written;         /* when it was; CLOCK_MONOTONIC */
	struct host_sample since; /* that the rate is measured from */
	struct host_sample next;  /* that it will be measured from */
};

/* How the host's clocks can be told from its counter; khz 0: not, or not from the guests'. */
struct timekeeper_source {
	uint64_t khz;
	struct host_sample first; /* an early one: it makes the first rate good */
};

/* page: zeros, and as long-lived as the timekeeper. */
void timekeeper_init(struct timekeeper *timekeeper, struct vdso_page *page,
                     const struct timekeeper_source *source);

/* Writes the page anew, unless another thread does. */
void timekeeper_refresh(struct timekeeper *timekeeper);

/* Before an entry. now: CLOCK_MONOTONIC. */
static inline void timekeeper_tick(struct timekeeper *timekeeper, uint64_t now)
{
	if (now >= atomic_load_explicit(&timekeeper->due, memory_order_relaxed))
		timekeeper_refresh(timekeeper);
}

/*
 * The time of a clock (clock_gettime(2)) now, in ns, as a guest reads it: by the
 * page where that has it, else the host's own. NULL: no page. Returns 0 or -EINVAL.
 */
int timekeeper_read(const struct timekeeper *timekeeper, int32_t clock, uint64_t *time);

#endif
