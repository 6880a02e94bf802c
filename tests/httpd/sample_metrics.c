/* SPDX-License-Identifier: MIT */
/*
 * The JSON of a server with two programs after so many seconds, for the test of the
 * status page: 100 requests a second to one, and one whose name and exceptions are
 * HTML that must not be taken for it.
 * usage: sample-metrics SECONDS
 */
#include "../../examples/httpd/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#define HOSTILE "<img src=x onerror=alert(1)>"

static void serve_well(struct metrics *metrics, unsigned seconds)
{
	struct metrics_sample sample = {
		.status = 200,
		.outcome = KVMSB_OUTCOME_HYPERCALL,
		.source = KVMSB_HTTP_FROM_HANDLER,
		.queue_ns = 4000,
		.run_ns = 29000,
		.bytes_out = 13,
		.kvm_runs = 2,
	};

	for (unsigned i = 0; i < 100 * seconds; i++) {
		sample.total_ns = 36000 + (i % 50) * (i % 50) * (i % 50) * 40;
		sample.status = i % 10 == 9 ? 404 : 200;
		metrics_request(metrics, &sample);
		metrics_reset(metrics, 300);
	}
}

static void serve_badly(struct metrics *metrics, unsigned seconds)
{
	struct metrics_sample sample = {
		.status = 500,
		.source = KVMSB_HTTP_FROM_HOST,
		.total_ns = 90000,
		.run_ns = 80000,
		.kvm_runs = 3,
	};

	for (unsigned i = 0; i < 3 * seconds; i++) {
		sample.outcome = i % 3 == 2 ? KVMSB_OUTCOME_TIMED_OUT : KVMSB_OUTCOME_FAULTED;
		sample.exception = i % 3 == 2 ? "Timeout Exception" : "page_at: " HOSTILE;
		metrics_request(metrics, &sample);
		metrics_reset(metrics, 300);
	}
}

static void describe(struct metrics *metrics, const char *route)
{
	struct metrics_program program = {route, "program.elf", 4, true};
	struct metrics_now now = {METRICS_READY, 3, 5, 256};
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	statistics.machine_forks = 4;
	statistics.machine_memory = 3 * 1024 * 1024 / 2;
	metrics_describe(metrics, &program);
	metrics_now(metrics, &now);
	metrics_machine(metrics, &statistics);
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	struct metrics *list[2] = {metrics_create("hello"), metrics_create(HOSTILE)};
	size_t length;
	char *text;

	if (!list[0] || !list[1])
		return 1;
	describe(list[0], "/hello");
	describe(list[1], "/bad");
	serve_well(list[0], seconds);
	serve_badly(list[1], seconds);
	text = metrics_json(list, 2, &length);
	if (text)
		fwrite(text, 1, length, stdout);
	free(text);
	metrics_destroy(list[0]);
	metrics_destroy(list[1]);
	return !text;
}
