/* SPDX-License-Identifier: MIT */
/*
 * struct timespec and struct timeval of the guest.
 */
#include "guest_time.h"

#include "../util.h"
#include "deadline.h"
#include "mm.h"

#include <errno.h>

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
		*nanoseconds = DEADLINE_MAXIMUM;
	*nanoseconds = min_u64(*nanoseconds, DEADLINE_MAXIMUM);
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
