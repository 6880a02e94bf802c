/* SPDX-License-Identifier: MIT */
/* Calls about time, hostile arguments included; see differential.h. */
#include "differential.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

#define BILLION 1000000000l

static long nanoseconds(const struct timespec *time)
{
	return time->tv_sec * BILLION + time->tv_nsec;
}

static void clocks(void)
{
	struct timespec now, later, resolution;

	for (int id = -1; id <= 12; id++) {
		within("clock %d", id);
		TRY(clock_gettime, id, &now);
		if (TRY(clock_getres, id, &resolution) == 0)
			say(resolution.tv_sec == 0 && resolution.tv_nsec > 0, "a resolution");
		TRY(clock_getres, id, 0);
		if (CALL(clock_gettime, id, &now) == 0 && CALL(clock_gettime, id, &later) == 0)
			say(nanoseconds(&later) >= nanoseconds(&now), "it does not go back");
	}
	within("of the own process");
	TRY(clock_gettime, (~0u << 3) | 2, &now);
	within("of the own thread");
	TRY(clock_gettime, (~0u << 3) | 6, &now);
	within("of a descriptor");
	TRY(clock_gettime, (~0u << 3) | 3, &now);
	within("of no process");
	TRY(clock_gettime, (~99999999u << 3) | 2, &now);
	within("beyond all");
	TRY(clock_gettime, 1000000, &now);
	without();
	FOR_UNWRITABLE(bad)
	{
		TRY(clock_gettime, CLOCK_REALTIME, bad);
		TRY(clock_gettime, CLOCK_MONOTONIC, bad);
		TRY(clock_getres, CLOCK_MONOTONIC, bad);
		TRY(clock_gettime, 99, bad);
	}
}

static void time_of_day(void)
{
	struct timespec now;
	struct timeval day;
	time_t stored = 0;
	struct tms used;

	TRY_OK(time, 0);
	TRY_OK(time, &stored);
	TRY(gettimeofday, &day, 0);
	CALL(clock_gettime, CLOCK_REALTIME, &now);
	say(now.tv_sec - day.tv_sec <= 1 && now.tv_sec - stored <= 1, "all the same time");
	say(day.tv_usec >= 0 && day.tv_usec < 1000000, "microseconds");
	TRY(gettimeofday, 0, 0);
	memset(page, 1, 8);
	TRY(gettimeofday, 0, page);
	say(digest(page, 8), "the time zone");
	FOR_UNWRITABLE(bad)
	{
		TRY_OK(time, bad);
		TRY(gettimeofday, bad, 0);
		TRY(gettimeofday, 0, bad);
		TRY_OK(times, bad);
		TRY(getrusage, RUSAGE_SELF, bad);
	}
	TRY_OK(times, &used);
	say(used.tms_utime >= 0 && used.tms_cutime == 0 && used.tms_cstime == 0, "times");
	TRY(getrusage, RUSAGE_SELF, page);
	TRY(getrusage, RUSAGE_THREAD, page);
	TRY(getrusage, RUSAGE_CHILDREN, page);
	say(digest(page, sizeof(struct rusage)), "what no children used");
	TRY(getrusage, 2, page);
	TRY(getrusage, -2, page);
}

static void sleep_and_measure(void)
{
	struct timespec short_time = {0, 2000000}, rest = {7, 7}, before, after, until;

	CALL(clock_gettime, CLOCK_MONOTONIC, &before);
	TRY(nanosleep, &short_time, &rest);
	CALL(clock_gettime, CLOCK_MONOTONIC, &after);
	say(nanoseconds(&after) - nanoseconds(&before) >= short_time.tv_nsec, "it has slept");
	say(rest.tv_sec, "the rest is not told");
	TRY(clock_nanosleep, CLOCK_MONOTONIC, 0, &short_time, &rest);
	TRY(clock_nanosleep, CLOCK_REALTIME, 0, &short_time, 0);
	until = after;
	TRY(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
	CALL(clock_gettime, CLOCK_MONOTONIC, &until);
	until.tv_nsec += 2000000;
	until.tv_sec += until.tv_nsec / BILLION;
	until.tv_nsec %= BILLION;
	TRY(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
	CALL(clock_gettime, CLOCK_MONOTONIC, &after);
	say(nanoseconds(&after) >= nanoseconds(&until), "it has slept until then");
}

static void bad_sleeps(void)
{
	static const struct timespec times[] = {{0, 0},         {0, -1},       {0, BILLION},
	                                        {-1, 0},        {-1, 5},       {0, INT64_MAX},
	                                        {INT64_MIN, 0}, {0, INT64_MIN}};
	static const struct timespec none;

	for (size_t i = 0; i < COUNT(times); i++) {
		within("%ld s %ld ns", times[i].tv_sec, times[i].tv_nsec);
		TRY(nanosleep, &times[i], 0);
		TRY(clock_nanosleep, CLOCK_MONOTONIC, 0, &times[i], 0);
		TRY(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &times[i], 0);
	}
	for (int id = -1; id <= 12; id++) {
		within("clock %d", id);
		TRY(clock_nanosleep, id, 0, &none, 0);
	}
	without();
	TRY(clock_nanosleep, CLOCK_MONOTONIC, 2, &none, 0);
	TRY(clock_nanosleep, CLOCK_MONOTONIC, -1, &none, 0);
	TRY(clock_nanosleep, 1000000, 0, &none, 0);
	FOR_UNREADABLE(bad)
	{
		TRY(nanosleep, bad, 0);
		TRY(clock_nanosleep, CLOCK_MONOTONIC, 0, bad, 0);
		TRY(clock_nanosleep, 99, 0, bad, 0);
	}
	/* The rest is written only after a signal. */
	FOR_UNWRITABLE(bad)
	TRY(nanosleep, &none, bad);
}

/* Without the privilege: nothing here is ever set. */
static void setting(void)
{
	struct timespec one = {1, 0}, wrong = {1, BILLION};
	struct timeval wrong_day = {1, 1000001};
	struct timex state = {0};

	if (CALL(getuid, 0) == 0)
		return;
	for (int id = -1; id <= 12; id++) {
		within("clock %d", id);
		TRY(clock_settime, id, &one);
		TRY(clock_settime, id, &wrong);
		state = (struct timex){.modes = 0};
		TRY_OK(clock_adjtime, id, &state);
		state = (struct timex){.modes = ADJ_FREQUENCY};
		TRY(clock_adjtime, id, &state);
	}
	without();
	TRY(settimeofday, &one, 0);
	TRY(settimeofday, &wrong_day, 0);
	TRY(settimeofday, 0, 0);
	state = (struct timex){.modes = 0};
	TRY_OK(adjtimex, &state);
	say(state.tick == 10000 && state.time.tv_sec > 1700000000, "the clock's state");
	state = (struct timex){.modes = ADJ_OFFSET};
	TRY(adjtimex, &state);
	state = (struct timex){.modes = ADJ_OFFSET_SS_READ};
	TRY_OK(adjtimex, &state);
	state = (struct timex){.modes = ADJ_OFFSET_SINGLESHOT};
	TRY(adjtimex, &state);
	FOR_UNREADABLE(bad)
	{
		TRY(clock_settime, CLOCK_REALTIME, bad);
		TRY(settimeofday, bad, 0);
		TRY(settimeofday, 0, bad);
		TRY(adjtimex, bad);
		TRY(clock_adjtime, CLOCK_REALTIME, bad);
	}
}

int main(void)
{
	prepare();
	clocks();
	time_of_day();
	sleep_and_measure();
	bad_sleeps();
	setting();
	return 0;
}
