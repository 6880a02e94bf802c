/* SPDX-License-Identifier: MIT */
/* The host's clocks; see host_clock.h. */
#include "host_clock.h"

#include "vdso_page.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A clock is read in some 50 ns: what took longer than this was interrupted. */
#define TIGHT_NS 2000u
#define TRIES_LEAST 2
#define TRIES_MOST 10

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct pair {
	uint64_t tsc, time;
	uint64_t width; /* ticks between which the clock was read */
};

static struct pair read_once(clockid_t clock)
{
	uint64_t before = vdso_tsc(), time = read_clock(clock), after = vdso_tsc();

	return (struct pair){
		.tsc = before + (after - before) / 2, .time = time, .width = after - before};
}

/* The narrowest of some. */
static struct pair read_pair(clockid_t clock, uint64_t tight)
{
	struct pair best = read_once(clock);

	for (int i = 1; i < TRIES_LEAST || (best.width > tight && i < TRIES_MOST); i++) {
		struct pair next = read_once(clock);

		if (next.width < best.width)
			best = next;
	}
	return best;
}

/* The clock's time when the counter was `tsc`, a little before or after. */
static uint64_t time_at(const struct pair *pair, uint64_t tsc, uint64_t khz)
{
	int64_t ticks = (int64_t)(tsc - pair->tsc);

	return pair->time + (uint64_t)((int64_t)((__int128)ticks * 1000000 / (int64_t)khz));
}

bool host_clock_sample(struct host_sample *sample, uint64_t khz)
{
	const struct {
		clockid_t clock;
		uint64_t *time;
	} others[] = {
		{CLOCK_MONOTONIC_RAW, &sample->raw},
		{CLOCK_REALTIME, &sample->realtime},
		{CLOCK_BOOTTIME, &sample->boottime},
		{CLOCK_TAI, &sample->tai},
	};
	uint64_t tight = TIGHT_NS * khz / 1000000;
	struct pair first = read_pair(CLOCK_MONOTONIC, tight);
	bool good = first.width <= tight;

	sample->tsc = first.tsc;
	sample->monotonic = first.time;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct pair next = read_pair(others[i].clock, tight);

		*others[i].time = time_at(&next, first.tsc, khz);
		good = good && next.width <= tight;
	}
	return good;
}

bool host_clock_is_tsc(void)
{
	static const char path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[16] = "";
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (file < 0)
		return false;
	length = read(file, name, sizeof(name) - 1);
	close(file);
	return length > 0 && strcmp(name, "tsc\n") == 0;
}
