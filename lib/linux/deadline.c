/* SPDX-License-Identifier: MIT */
/*
 * Waiting inside a system call, never past the end of the run.
 */
#include "deadline.h"

#include "../time_limit.h"
#include "../util.h"
#include "process_clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

static int end_run(struct process *process)
{
	if (process->end == PROCESS_RUNS)
		process->end = PROCESS_TIMED_OUT;
	return -EINTR;
}

uint64_t deadline_from_now(struct process *process, uint64_t nanoseconds)
{
	uint64_t end;

	if (!checked_add(process_clock_monotonic(process), nanoseconds, &end))
		return DEADLINE_MAXIMUM;
	return min_u64(end, DEADLINE_MAXIMUM);
}

bool deadline_over(struct process *process)
{
	if (time_now() < process->deadline)
		return false;
	end_run(process);
	return true;
}

static void sleep_until(uint64_t time)
{
	struct timespec until = {
		.tv_sec = (time_t)(time / NANOSECONDS),
		.tv_nsec = (long)(time % NANOSECONDS),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* The process's clock may be some ns behind the host's, and must not be when it goes on. */
static void sleep_on(struct process *process, uint64_t time)
{
	uint64_t now;

	sleep_until(time);
	while (now = process_clock_monotonic(process), now < time)
		sleep_until(time_now() + (time - now));
}

int deadline_sleep(struct process *process, uint64_t time)
{
	if (time == DEADLINE_NEVER)
		return end_run(process);
	if (process_clock_is_made_up(process)) {
		process_clock_advance(process, time);
		return 0;
	}
	if (time > process->deadline) {
		sleep_until(process->deadline);
		return end_run(process);
	}
	sleep_on(process, time);
	return 0;
}

int deadline_poll(struct process *process, int descriptor, short events)
{
	struct pollfd entry = {.fd = descriptor, .events = events};
	uint64_t now, milliseconds;
	int ready;

	/* poll(2) would ignore it and wait. */
	if (descriptor < 0)
		return -EBADF;
	for (;;) {
		now = time_now();
		if (now >= process->deadline)
			return end_run(process);
		milliseconds = (process->deadline - now) / 1000000 + 1;
		ready = poll(&entry, 1, (int)min_u64(milliseconds, INT_MAX));
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}
