/* SPDX-License-Identifier: MIT */
/* Yardsticks: what the same takes outside of a sandbox. */
#include "bench.h"

#include "address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_CALLS 20000

static int measure_getpid(struct bench *bench, struct sample *sample)
{
	double start = now();

	(void)bench;
	for (int i = 0; i < SYSTEM_CALLS; i++)
		syscall(SYS_getpid);
	set_sample(sample, now() - start, 0, SYSTEM_CALLS);
	return 0;
}

static int measure_clock(struct bench *bench, struct sample *sample)
{
	struct timespec time;
	double start = now();

	(void)bench;
	for (int i = 0; i < SYSTEM_CALLS; i++)
		clock_gettime(CLOCK_MONOTONIC, &time);
	set_sample(sample, now() - start, 0, SYSTEM_CALLS);
	return 0;
}

static int measure_memcpy(struct bench *bench, struct sample *sample)
{
	static uint8_t pages[64][PAGE_SIZE];
	const unsigned count = 6400;
	double start;

	(void)bench;
	memset(pages, 1, sizeof(pages));
	start = now();
	for (unsigned i = 0; i < count; i++) {
		memcpy(pages[i % 64], pages[(i + 31) % 64], PAGE_SIZE);
		__asm__ volatile("" ::: "memory");
	}
	set_sample(sample, now() - start, 0, count);
	return 0;
}

/* The guest's own program, outside: the same code to the last byte. */
static int measure_compute(struct bench *bench, struct sample *sample)
{
	char command[sizeof(bench->program) + 32], line[64] = "";
	FILE *output;

	snprintf(command, sizeof(command), "'%s' %d", bench->program, COMPUTE_ROUNDS);
	output = popen(command, "re");
	if (output == NULL || fgets(line, sizeof(line), output) == NULL)
		complain("%s: no answer", command);
	if (output != NULL)
		pclose(output);
	set_sample(sample, strtod(line, NULL), 0, COMPUTE_ROUNDS);
	return sample->value > 0 ? 0 : -1;
}

static const struct figure figures[] = {
	{"native_compute", "ns", "compute, outside", 0, measure_compute},
	{"native_getpid", "ns", "getpid outside", 0, measure_getpid},
	{"native_clock_gettime", "ns", "clock_gettime outside", 0, measure_clock},
	{"memcpy_page", "ns", "copy of 4 KiB outside", 0, measure_memcpy},
};
const struct area native_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
