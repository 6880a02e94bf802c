/* SPDX-License-Identifier: MIT */
/*
 * The clocks of a process: the host's, as its vDSO tells them (timekeeper.h),
 * or made up, for runs that are the same each time (kvmsb_options.clock). All
 * that a system call says about time comes from here; only the end of a run is
 * the host's time in either case.
 *
 * A made-up clock is the process's own: forks go on from their master's, and a
 * reset puts it back. It goes on by what is slept, at once, and by a step at
 * each look at it.
 */
#ifndef KVMSB_LINUX_PROCESS_CLOCK_H
#define KVMSB_LINUX_PROCESS_CLOCK_H

#include "process.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * The time of a clock of clock_gettime(2) now, in ns. Those of processor time
 * count what the guest itself has run (time in KVM_RUN), not what the host did
 * for it. Returns 0, or -EINVAL for a clock that there is not.
 */
int process_clock_read(struct process *process, int32_t clock, uint64_t *time);

/* Those that are always there: of today, and for lengths of time. */
uint64_t process_clock_realtime(struct process *process);
uint64_t process_clock_monotonic(struct process *process);

/* As system calls and struct stat have it. */
static inline struct timespec process_clock_timespec(uint64_t time)
{
	return (struct timespec){.tv_sec = (time_t)(time / 1000000000),
	                         .tv_nsec = (long)(time % 1000000000)};
}

static inline bool process_clock_is_made_up(const struct process *process)
{
	return process->config->clock != KVMSB_CLOCK_HOST;
}

/* Of a made-up clock: CLOCK_MONOTONIC is `time` from now on, if that is later. */
void process_clock_advance(struct process *process, uint64_t time);

#endif
