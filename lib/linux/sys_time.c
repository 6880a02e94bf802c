/* SPDX-License-Identifier: MIT */
/*
 * Clocks and sleeping: man 2 clock_gettime, gettimeofday, time, nanosleep. The
 * clocks are the host's; processor time is the time since the program was
 * loaded, for the host's thread counts what it did for others. Nothing sleeps
 * past the end of the run.
 */
#include "deadline.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"

#include "../util.h"

#include <errno.h>
#include <string.h>
#include <sys/times.h>
#include <time.h>

/* The host's clock for a guest's. Returns 0 or -EINVAL. */
static int find_clock(uint64_t number, clockid_t *clock)
{
	switch ((int32_t)number) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		*clock = (int32_t)number;
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		*clock = CLOCK_THREAD_CPUTIME_ID;
		return 0;
	default:
		return -EINVAL;
	}
}

static int read_clock(const struct process *process, clockid_t clock, struct timespec *now)
{
	if (clock == CLOCK_THREAD_CPUTIME_ID) {
		*now = guest_time_used(process);
		return 0;
	}
	return clock_gettime(clock, now) ? -errno : 0;
}

static int64_t give_clock(struct process *process, clockid_t clock, uint64_t address, int64_t units)
{
	struct timespec now;
	struct guest_time time;
	int error = read_clock(process, clock, &now);

	if (error)
		return error;
	time = (struct guest_time){now.tv_sec, now.tv_nsec / (GUEST_TIMESPEC / units)};
	return guest_write(process, address, &time, sizeof(time));
}

int64_t sys_clock_gettime(struct process *process, const uint64_t arguments[6])
{
	clockid_t clock;
	int error = find_clock(arguments[0], &clock);

	return error ? error : give_clock(process, clock, arguments[1], GUEST_TIMESPEC);
}

int64_t sys_clock_getres(struct process *process, const uint64_t arguments[6])
{
	struct timespec resolution;
	clockid_t clock;
	int error = find_clock(arguments[0], &clock);

	if (error || !arguments[1])
		return error;
	if (clock_getres(clock, &resolution))
		return -errno;
	return guest_write(process, arguments[1], &resolution, sizeof(resolution));
}

int64_t sys_gettimeofday(struct process *process, const uint64_t arguments[6])
{
	static const int32_t zone[2];
	int64_t error = 0;

	if (arguments[0])
		error = give_clock(process, CLOCK_REALTIME, arguments[0], GUEST_TIMEVAL);
	if (!error && arguments[1])
		error = guest_write(process, arguments[1], zone, sizeof(zone));
	return error;
}

int64_t sys_time(struct process *process, const uint64_t arguments[6])
{
	struct timespec now;
	int64_t seconds;
	int error = 0;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	seconds = now.tv_sec;
	if (arguments[0])
		error = guest_write(process, arguments[0], &seconds, sizeof(seconds));
	return error ? error : seconds;
}

/* man 2 times: ticks of 1/100 s. */
int64_t sys_times(struct process *process, const uint64_t arguments[6])
{
	const uint64_t tick = NANOSECONDS / 100;
	struct timespec used;
	int64_t times[4] = {0};
	int error = 0;

	used = guest_time_used(process);
	times[0] = used.tv_sec * 100 + used.tv_nsec / (long)tick;
	if (arguments[0])
		error = guest_write(process, arguments[0], times, sizeof(times));
	return error ? error : (int64_t)(time_now() / tick);
}

/*
 * Sleeping. It ends early only with the run, so the time that is left (the
 * second or fourth argument) is never stored.
 */

int64_t sys_nanosleep(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	int error = guest_time_read(process, arguments[0], GUEST_TIMESPEC, &nanoseconds);

	return error ? error : deadline_sleep(process, guest_time_from_now(nanoseconds));
}

/* How long from now until `time` on a clock. */
static int until(const struct process *process, clockid_t clock, uint64_t time,
                 uint64_t *nanoseconds)
{
	struct timespec now;
	uint64_t is;
	int error = read_clock(process, clock, &now);

	if (error)
		return error;
	is = (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
	*nanoseconds = time > is ? time - is : 0;
	return 0;
}

/* Clocks that clock_nanosleep(2) takes. */
static int find_sleep_clock(uint64_t number, clockid_t *clock)
{
	int error = find_clock(number, clock);

	if (error)
		return error;
	switch ((int32_t)number) {
	case CLOCK_THREAD_CPUTIME_ID:
		return -EINVAL;
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int64_t sys_clock_nanosleep(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	clockid_t clock;
	int error = find_sleep_clock(arguments[0], &clock);

	if (!error)
		error = guest_time_read(process, arguments[2], GUEST_TIMESPEC, &nanoseconds);
	if (!error && ((uint32_t)arguments[1] & TIMER_ABSTIME))
		error = until(process, clock, nanoseconds, &nanoseconds);
	return error ? error : deadline_sleep(process, guest_time_from_now(nanoseconds));
}
