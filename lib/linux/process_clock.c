/* SPDX-License-Identifier: MIT */
/* The clocks of a process; see process_clock.h. */
#include "process_clock.h"

#include "../timekeeper.h"
#include "../util.h"

#include <errno.h>
#include <time.h>

/* Where a made-up CLOCK_MONOTONIC begins: programs take 0 for no time at all. */
#define MADE_UP_START UINT64_C(1000000000)

/* Times stay what a signed number of ns can say. */
static uint64_t later(uint64_t time, uint64_t by)
{
	uint64_t sum;

	return checked_add(time, by, &sum) ? min_u64(sum, INT64_MAX) : INT64_MAX;
}

static uint64_t made_up_monotonic(const struct process *process)
{
	const struct process_time *time = &process->attributes.time;

	return later(later(MADE_UP_START, time->stepped), time->slept);
}

void process_clock_advance(struct process *process, uint64_t time)
{
	uint64_t now = made_up_monotonic(process);

	if (time > now)
		process->attributes.time.slept += time - now;
}

/* A number below 0 names a process and one of its clocks: Linux include/linux/posix-timers.h. */
static bool is_processor_time(int32_t clock)
{
	const int32_t kind = clock & 7, process = ~(clock >> 3);

	if (clock >= 0)
		return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
	return (kind & 3) != 3 && (process == 0 || process == PROCESS_ID);
}

static int read_made_up(struct process *process, int32_t clock, uint64_t *time)
{
	struct process_time *made_up = &process->attributes.time;
	uint64_t monotonic = made_up_monotonic(process);

	if (is_processor_time(clock)) {
		*time = made_up->stepped;
		made_up->stepped = later(made_up->stepped, process->config->clock_step);
		return 0;
	}
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI:
		*time = later(process->config->clock_start, monotonic - MADE_UP_START);
		break;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*time = monotonic;
		break;
	default:
		return -EINVAL;
	}
	made_up->stepped = later(made_up->stepped, process->config->clock_step);
	return 0;
}

int process_clock_read(struct process *process, int32_t clock, uint64_t *time)
{
	if (process_clock_is_made_up(process))
		return read_made_up(process, clock, time);
	if (is_processor_time(clock)) {
		*time = process->usage.time;
		return 0;
	}
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return timekeeper_read(process->timekeeper, clock, time);
	default:
		return -EINVAL;
	}
}

uint64_t process_clock_realtime(struct process *process)
{
	uint64_t time = 0;

	process_clock_read(process, CLOCK_REALTIME, &time);
	return time;
}

uint64_t process_clock_monotonic(struct process *process)
{
	uint64_t time = 0;

	process_clock_read(process, CLOCK_MONOTONIC, &time);
	return time;
}
