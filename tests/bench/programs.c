/* SPDX-License-Identifier: MIT */
/* Figures of a program from its file to its end. */
#include "bench.h"

static int measure_create(struct bench *bench, struct sample *sample)
{
	struct kvmsb *sandbox;
	double start = now();

	if (create(bench->plain, &sandbox) < 0)
		return -1;
	set_sample(sample, now() - start, 0, 1);
	kvmsb_destroy(sandbox);
	return 0;
}

static int measure_create_hello(struct bench *bench, struct sample *sample)
{
	struct kvmsb *sandbox;
	uint64_t kvm_runs = 0;
	double start = now();
	int result;

	if (create(bench->plain, &sandbox) < 0)
		return -1;
	result = run(sandbox, KVMSB_OUTCOME_EXITED, &kvm_runs);
	set_sample(sample, now() - start, (double)kvm_runs, 1);
	kvmsb_destroy(sandbox);
	return result;
}

static int measure_destroy_master(struct bench *bench, struct sample *sample)
{
	struct kvmsb_options options = options_for(bench->program);
	struct kvmsb *master;
	double start;

	if (create_master(&options, &master) < 0)
		return -1;
	start = now();
	kvmsb_destroy(master);
	set_sample(sample, now() - start, 0, 1);
	return 0;
}

static const struct figure figures[] = {
	{"create", "ns", "create of a static hello", 0, measure_create},
	{"create_hello", "ns", "... and its main(), to its end", 0, measure_create_hello},
	{"destroy_master", "ns", "destroy of a master and its machine", 0, measure_destroy_master},
};
const struct area program_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
