/* SPDX-License-Identifier: MIT */
/*
 * Time as system calls pass it: struct timespec and struct timeval of the
 * guest, read and checked, as nanoseconds.
 */
#ifndef KVMSB_LINUX_GUEST_TIME_H
#define KVMSB_LINUX_GUEST_TIME_H

#include "process.h"

#include <stdint.h>
#include <time.h>

/* Both structs: seconds, then nanoseconds or microseconds, 64 bits each. */
struct guest_time {
	int64_t seconds;
	int64_t fraction;
};

/* Units of the fraction in a second. */
#define GUEST_TIMESPEC INT64_C(1000000000)
#define GUEST_TIMEVAL INT64_C(1000000)

/*
 * Nanoseconds of the struct at a guest address; more than fit are cut to a
 * little less than DEADLINE_NEVER. Returns 0, -EFAULT or -EINVAL.
 */
int guest_time_read(struct process *process, uint64_t address, int64_t units, uint64_t *nanoseconds);

int guest_time_write(struct process *process, uint64_t address, int64_t units, uint64_t nanoseconds);

/* When a wait of this length that starts now ends. */
uint64_t guest_time_from_now(uint64_t nanoseconds);

/*
 * What a process is told that it has used of the processor: the time since its
 * program was loaded. The host's thread also ran others, whose time is theirs.
 */
struct timespec guest_time_used(const struct process *process);

#endif
