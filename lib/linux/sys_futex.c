/* SPDX-License-Identifier: MIT */
/*
 * futex(2) of a process with one thread: a wake-up wakes nobody, and a wait
 * ends only by its time-out; without one the run ends as timed out.
 */
#include "deadline.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"
#include "process_clock.h"

#include "../util.h"

#include <errno.h>
#include <layout.h>
#include <linux/futex.h>

/* The futex word: aligned, in the user's half. */
static int check_word(uint64_t address)
{
	if (!is_aligned(address, sizeof(uint32_t)))
		return -EINVAL;
	return range_within(address, sizeof(uint32_t), LAYOUT_USER_END) ? 0 : -EFAULT;
}

/* Linux checks the address of a word that it wakes for, but does not read it. */
static int64_t wake(uint64_t address, uint32_t mask)
{
	int error = check_word(address);

	if (error)
		return error;
	return mask ? 0 : -EINVAL;
}

/* -EAGAIN: the word is not what the caller thinks. */
static int compare(struct process *process, uint64_t address, uint32_t value)
{
	uint32_t word;
	int error = check_word(address);

	if (!error)
		error = guest_read(process, address, &word, sizeof(word));
	if (!error && word != value)
		error = -EAGAIN;
	return error;
}

/* When a wait until `time` on the clock of the operation ends. */
static uint64_t end_of_wait(struct process *process, int operation, uint64_t time)
{
	uint64_t now = operation & FUTEX_CLOCK_REALTIME ? process_clock_realtime(process)
	                                                : process_clock_monotonic(process);

	return deadline_from_now(process, time > now ? time - now : 0);
}

/* The time-out of FUTEX_WAIT is a length of time, that of FUTEX_WAIT_BITSET a point in it. */
static int read_end(struct process *process, uint64_t address, int operation, uint64_t *end)
{
	uint64_t time;
	int error;

	*end = DEADLINE_NEVER;
	if (!address)
		return 0;
	error = guest_time_read(process, address, GUEST_TIMESPEC, &time);
	if (error)
		return error;
	if ((operation & FUTEX_CMD_MASK) == FUTEX_WAIT)
		*end = deadline_from_now(process, time);
	else
		*end = end_of_wait(process, operation, time);
	return 0;
}

static int64_t wait(struct process *process, const uint64_t arguments[6], uint32_t mask)
{
	uint64_t end;
	int error;

	if (!mask)
		return -EINVAL;
	error = read_end(process, arguments[3], (int)arguments[1], &end);
	if (!error)
		error = compare(process, arguments[0], (uint32_t)arguments[2]);
	if (!error)
		error = deadline_sleep(process, end);
	return error ? error : -ETIMEDOUT;
}

static int64_t requeue(struct process *process, const uint64_t arguments[6], bool comparing)
{
	int error = check_word(arguments[0]);

	if (!error)
		error = check_word(arguments[4]);
	if (!error && ((int32_t)arguments[2] < 0 || (int32_t)arguments[3] < 0))
		error = -EINVAL;
	if (!error && comparing)
		error = compare(process, arguments[0], (uint32_t)arguments[5]);
	return error;
}

int64_t sys_futex(struct process *process, const uint64_t arguments[6])
{
	switch ((int)arguments[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return wait(process, arguments, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAIT_BITSET:
		return wait(process, arguments, (uint32_t)arguments[5]);
	case FUTEX_WAKE:
		return wake(arguments[0], FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return wake(arguments[0], (uint32_t)arguments[5]);
	case FUTEX_REQUEUE:
		return requeue(process, arguments, false);
	case FUTEX_CMP_REQUEUE:
		return requeue(process, arguments, true);
	default:
		return -ENOSYS;
	}
}
