/* SPDX-License-Identifier: MIT */
/*
 * Waiting inside a system call: nothing waits past the end of the run. Times
 * are in ns of the process's CLOCK_MONOTONIC (process_clock.h).
 */
#ifndef KVMSB_LINUX_DEADLINE_H
#define KVMSB_LINUX_DEADLINE_H

#include "../time_limit.h"
#include "process.h"

#include <stdbool.h>
#include <stdint.h>

#define NANOSECONDS UINT64_C(1000000000)

/* For a wait that has no time-out of its own. */
#define DEADLINE_NEVER UINT64_MAX
/* Later ends are this one. */
#define DEADLINE_MAXIMUM ((uint64_t)INT64_MAX)

/* When a wait of this length that starts now ends. */
uint64_t deadline_from_now(struct process *process, uint64_t nanoseconds);

/* Whether the run's time is over; it is then marked as timed out. */
bool deadline_over(struct process *process);

/*
 * Sleeps until `time`; signals of the host do not end it. Returns 0, or
 * -EINTR when the run's time ended first (the run is then marked as timed out).
 * A made-up clock is that late at once.
 *
 * DEADLINE_NEVER is a wait that nothing in a process with one thread can end.
 * Its outcome is certain, so it does not hold the host's thread until then:
 * the run is marked as timed out at once.
 */
int deadline_sleep(struct process *process, uint64_t time);

/*
 * Waits until a descriptor of the host is ready for poll(2) `events`.
 * Returns 0, -EINTR as above, or -errno of poll(2).
 */
int deadline_poll(struct process *process, int descriptor, short events);

#endif
