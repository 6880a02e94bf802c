/* SPDX-License-Identifier: MIT */
/*
 * Clocks and sleeping: man 2 clock_gettime, gettimeofday, time, times, adjtimex,
 * nanosleep. Nobody sets a clock, and nothing sleeps past the end of the run.
 */
#include "deadline.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"
#include "process_clock.h"

#include <errno.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

#define CLOCK_TICK (NANOSECONDS / 100) /* AT_CLKTCK */

static int64_t give_clock(struct process *process, uint64_t clock, uint64_t address, int64_t units)
{
	uint64_t now;
	int error = process_clock_read(process, (int32_t)clock, &now);

	return error ? error : guest_time_write(process, address, units, now);
}

int64_t sys_clock_gettime(struct process *process, const uint64_t arguments[6])
{
	return give_clock(process, arguments[0], arguments[1], GUEST_TIMESPEC);
}

/* All are told to the nanosecond, coarse ones included; as the vDSO says. */
int64_t sys_clock_getres(struct process *process, const uint64_t arguments[6])
{
	uint64_t now;
	int error = process_clock_read(process, (int32_t)arguments[0], &now);

	if (error || !arguments[1])
		return error;
	return guest_time_write(process, arguments[1], GUEST_TIMESPEC, 1);
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
	int64_t seconds = (int64_t)(process_clock_realtime(process) / NANOSECONDS);
	int error = 0;

	if (arguments[0])
		error = guest_write(process, arguments[0], &seconds, sizeof(seconds));
	return error ? error : seconds;
}

/* No system time: what the host does for a guest is not the guest's. */
int64_t sys_times(struct process *process, const uint64_t arguments[6])
{
	uint64_t used = 0;
	int64_t times[4] = {0};
	int error = 0;

	process_clock_read(process, CLOCK_PROCESS_CPUTIME_ID, &used);
	times[0] = (int64_t)(used / CLOCK_TICK);
	if (arguments[0])
		error = guest_write(process, arguments[0], times, sizeof(times));
	return error ? error : (int64_t)(process_clock_monotonic(process) / CLOCK_TICK);
}

/*
 * Setting: checked as far as Linux does before it asks for the privilege.
 */

int64_t sys_clock_settime(struct process *process, const uint64_t arguments[6])
{
	int32_t clock = (int32_t)arguments[0];
	uint64_t now, time;
	int error = process_clock_read(process, clock, &now);

	if (error)
		return error;
	if (clock > CLOCK_REALTIME)
		return -EINVAL;
	error = guest_time_read(process, arguments[1], GUEST_TIMESPEC, &time);
	return error ? error : -EPERM;
}

int64_t sys_settimeofday(struct process *process, const uint64_t arguments[6])
{
	int32_t zone[2];
	uint64_t time;
	int error = 0;

	if (arguments[0])
		error = guest_time_read(process, arguments[0], GUEST_TIMEVAL, &time);
	if (!error && arguments[1])
		error = guest_read(process, arguments[1], zone, sizeof(zone));
	return error ? error : -EPERM;
}

/* A clock that nobody has set right, for all that guests are told. */
static void describe_clock(struct process *process, struct timex *state)
{
	const int nanoseconds = state->modes == 0 ? STA_NANO : 0;
	uint64_t now = process_clock_realtime(process);

	*state = (struct timex){
		.maxerror = 16000000,
		.esterror = 16000000,
		.status = STA_UNSYNC | nanoseconds,
		.precision = 1,
		.tolerance = 32768000,
		.tick = 10000,
		.time = {.tv_sec = (time_t)(now / NANOSECONDS),
	                 .tv_usec = (suseconds_t)(now % NANOSECONDS)},
	};
	if (nanoseconds == 0)
		state->time.tv_usec /= 1000;
}

static int64_t adjust(struct process *process, uint64_t address)
{
	struct timex state;
	int error = guest_read(process, address, &state, sizeof(state));

	if (error)
		return error;
	if (state.modes != 0 && state.modes != ADJ_OFFSET_SS_READ)
		return -EPERM;
	describe_clock(process, &state);
	error = guest_write(process, address, &state, sizeof(state));
	return error ? error : TIME_ERROR;
}

int64_t sys_adjtimex(struct process *process, const uint64_t arguments[6])
{
	return adjust(process, arguments[0]);
}

/* Whether Linux has a clock of that number, of which it does not ask more here; 10 was one. */
static bool is_known(int32_t clock)
{
	return clock < 0 ? (clock & 7) != 3 : clock <= CLOCK_TAI && clock != 10;
}

int64_t sys_clock_adjtime(struct process *process, const uint64_t arguments[6])
{
	int32_t clock = (int32_t)arguments[0];

	if (clock == CLOCK_REALTIME)
		return adjust(process, arguments[1]);
	return is_known(clock) ? -EOPNOTSUPP : -EINVAL;
}

/*
 * Sleeping. It ends early only with the run, so the time that is left (the
 * second or fourth argument) is never stored.
 */

int64_t sys_nanosleep(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	int error = guest_time_read(process, arguments[0], GUEST_TIMESPEC, &nanoseconds);

	return error ? error : deadline_sleep(process, deadline_from_now(process, nanoseconds));
}

/* Linux: kernel/time/posix-timers.c; libc has an answer of its own for the thread's time. */
static int check_sleep_clock(struct process *process, int32_t clock)
{
	uint64_t now;

	switch (clock) {
	case CLOCK_THREAD_CPUTIME_ID:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EOPNOTSUPP;
	default:
		return process_clock_read(process, clock, &now);
	}
}

/* Processor time does not go on in a process with one thread that waits for it. */
static bool stands_still(int32_t clock)
{
	return clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0;
}

int64_t sys_clock_nanosleep(struct process *process, const uint64_t arguments[6])
{
	int32_t clock = (int32_t)arguments[0];
	uint64_t nanoseconds, now = 0;
	int error = check_sleep_clock(process, clock);

	if (!error)
		error = guest_time_read(process, arguments[2], GUEST_TIMESPEC, &nanoseconds);
	if (error)
		return error;
	if ((uint32_t)arguments[1] & TIMER_ABSTIME) {
		process_clock_read(process, clock, &now);
		nanoseconds = nanoseconds > now ? nanoseconds - now : 0;
	}
	if (nanoseconds > 0 && stands_still(clock))
		return deadline_sleep(process, DEADLINE_NEVER);
	return deadline_sleep(process, deadline_from_now(process, nanoseconds));
}
