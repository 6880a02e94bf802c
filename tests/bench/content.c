/* SPDX-License-Identifier: MIT */
/*
 * Figures of large responses, which the host reads where the guest has them:
 * beside the copy that is not made.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES 10000000u
#define REQUESTS 20
#define ALLOCATING_REQUESTS 4 /* thousands of page faults each */

/* A fork of the guest that answers with large content. */
struct subject {
	struct kvmsb *master, *fork;
	char url[64];
};

static int open_subject(struct bench *bench, struct subject *subject)
{
	struct kvmsb_options options;
	uint64_t address;
	char path[600];

	snprintf(path, sizeof(path), "%s/content-static", bench->settings.guests);
	options = options_for(path);
	*subject = (struct subject){.fork = NULL};
	if (create_master(&options, &subject->master) < 0)
		return -1;
	if (kvmsb_symbol(subject->master, "large", &address) < 0 ||
	    fork_of(subject->master, &subject->fork) < 0) {
		kvmsb_destroy(subject->master);
		return complain("no fork of %s", path);
	}
	snprintf(subject->url, sizeof(subject->url), "/%llx/%x", (unsigned long long)address,
	         LARGE_BYTES);
	return 0;
}

static void close_subject(struct subject *subject)
{
	kvmsb_destroy(subject->fork);
	kvmsb_destroy(subject->master);
}

/* A reset between requests, as a server has it; it is not on the clock. */
static int time_requests(struct kvmsb *fork, const char *url, int count, struct sample *sample)
{
	double elapsed = 0, kvm_runs = 0;

	for (int i = -1; i < count; i++) {
		double start;

		if (reset(fork) < 0)
			return -1;
		start = now();
		if (request(fork, url, &kvm_runs) < 0)
			return -1;
		elapsed = i < 0 ? 0 : elapsed + now() - start;
		kvm_runs = i < 0 ? 0 : kvm_runs;
	}
	set_sample(sample, elapsed, kvm_runs, count);
	return 0;
}

static int measure_request(struct bench *bench, bool allocated, struct sample *sample)
{
	struct subject subject;
	int result;

	if (open_subject(bench, &subject) < 0)
		return -1;
	result = allocated ? time_requests(subject.fork, "/allocated", ALLOCATING_REQUESTS, sample)
	                   : time_requests(subject.fork, subject.url, REQUESTS, sample);
	close_subject(&subject);
	return result;
}

static int measure_filled(struct bench *bench, struct sample *sample)
{
	return measure_request(bench, false, sample);
}

static int measure_allocated(struct bench *bench, struct sample *sample)
{
	return measure_request(bench, true, sample);
}

/* Into memory that is there already: what a copy costs at least. */
static int measure_memcpy(struct bench *bench, struct sample *sample)
{
	uint8_t *from = malloc(LARGE_BYTES), *to = malloc(LARGE_BYTES);
	double start;

	(void)bench;
	if (from == NULL || to == NULL) {
		free(from);
		free(to);
		return complain("no memory");
	}
	memset(from, 1, LARGE_BYTES);
	memset(to, 2, LARGE_BYTES);
	start = now();
	for (int i = 0; i < REQUESTS; i++) {
		memcpy(to, from, LARGE_BYTES);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	set_sample(sample, now() - start, 0, REQUESTS);
	free(from);
	free(to);
	return 0;
}

static const struct figure figures[] = {
	{"request_10mb", "ns", "GET request, answered with 10 MB that main() filled", 0,
         measure_filled},
	{"request_10mb_allocated", "ns", "... with 10 MB that it allocates and fills", 5,
         measure_allocated},
	{"memcpy_10mb", "ns", "copying as much, in the host", 0, measure_memcpy},
};
const struct area content_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
