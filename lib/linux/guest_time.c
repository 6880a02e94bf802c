/* SPDX-License-Identifier: MIT */
/*
 * struct timespec and struct timeval of the guest.
 */
#include "guest_time.h"

#include "../util.h"
#include "deadline.h"
#include "mm.h"

#include <errno.h>

#define TIME_MAXIMUM (DEADLINE_NEVER - 1)

int guest_time_read(struct process *process, uint64_t address, int64_t units, uint64_t *nanoseconds)
{
	struct guest_time time;
	uint64_t seconds;
	int error = guest_read(process, address, &time, sizeof(time));

	if (error)
		return error;
	if (time.seconds < 0 || time.fraction < 0 || time.fraction >= units)
		return -EINVAL;
	*nanoseconds = (uint64_t)(time.fraction * (GUEST_TIMESPEC / units));
	if (!checked_mul((uint64_t)time.seconds, NANOSECONDS, &seconds) ||
	    !checked_add(seconds, *nanoseconds, nanoseconds))
		*nanoseconds = TIME_MAXIMUM;
	*nanoseconds = min_u64(*nanoseconds, TIME_MAXIMUM);
	return 0;
}

int guest_time_write(struct process *process, uint64_t address, int64_t units, uint64_t nanoseconds)
{
	struct guest_time time = {
		.seconds = (int64_t)(nanoseconds / NANOSECONDS),
		.fraction = (int64_t)(nanoseconds % NANOSECONDS) / (GUEST_TIMESPEC / units),
	};

	return guest_write(process, address, &time, sizeof(time));
}

uint64_t guest_time_from_now(uint64_t nanoseconds)
{
	uint64_t end;

	return checked_add(time_now(), nanoseconds, &end) ? min_u64(end, TIME_MAXIMUM) : TIME_MAXIMUM;
}

struct timespec guest_time_used(const struct process *process)
{
	uint64_t used = time_now() - process->started;

	return (struct timespec){.tv_sec = (time_t)(used / NANOSECONDS),
	                         .tv_nsec = (long)(used % NANOSECONDS)};
}
