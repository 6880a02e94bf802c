/* SPDX-License-Identifier: MIT */
/*
 * Time as system calls pass it: struct timespec and struct timeval of the
 * guest, read and checked, as nanoseconds.
 */
#ifndef KVMSB_LINUX_GUEST_TIME_H
#define KVMSB_LINUX_GUEST_TIME_H

#include "process.h"

#include <stdint.h>

/* Both structs: seconds, then nanoseconds or microseconds, 64 bits each. */
struct guest_time {
	int64_t seconds;
	int64_t fraction;
};

/* Units of the fraction in a second. */
#define GUEST_TIMESPEC INT64_C(1000000000)
#define GUEST_TIMEVAL INT64_C(1000000)

/*
 * Nanoseconds of the struct at a guest address; more than fit are cut to
 * DEADLINE_MAXIMUM. Returns 0, -EFAULT or -EINVAL.
 */
int guest_time_read(struct process *process, uint64_t address, int64_t units, uint64_t *nanoseconds);

int guest_time_write(struct process *process, uint64_t address, int64_t units, uint64_t nanoseconds);

#endif
