/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-bench: measures what the library does and prints medians and minima,
 * as a table or as one line of JSON a figure. Options, rounds, output; what is
 * measured stands in figures.c.
 */
#include "bench.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_DEFAULT 31
#define SAMPLES_MOST 10000
#define CANNOT_RUN 77

struct options {
	const char *guests;
	const char *filter;
	unsigned samples;
	int json;
};

/* The samples of one figure. */
struct series {
	const char *name, *unit, *text;
	double *values;
	double least;
	double kvm_runs; /* sum */
	unsigned count;
	int stopped; /* no more of it: not possible here, or failed */
};

/* One figure divided by another: the median round by round, the minimum of the two minima. */
static const struct {
	const char *name, *above, *below, *text;
} ratios[] = {
	{"exit_ratio_vcpu_run", "vcpu_run", "exit_roundtrip", "vcpu_run / exit_roundtrip"},
	{"exit_ratio_vmcall", "vmcall", "exit_roundtrip", "vmcall / exit_roundtrip"},
	{"exit_ratio_syscall", "syscall", "exit_roundtrip", "syscall / exit_roundtrip"},
	{"exit_ratio_reset_vmcall", "reset_vmcall", "exit_roundtrip", "reset_vmcall / exit_roundtrip"},
	{"exit_ratio_first_write_fault", "first_write_fault", "exit_roundtrip",
	 "first_write_fault / exit_roundtrip"},
	{"native_ratio_compute", "compute", "native_compute", "compute / native_compute"},
};
#define RATIO_COUNT (sizeof(ratios) / sizeof(ratios[0]))

static const char usage[] =
	"usage: kvmsb-bench [--json] [--filter TEXT] [--samples N] [--guests DIRECTORY]\n"
	"\n"
	"Measures the library on this machine: the median and the minimum of many\n"
	"batches, and how many KVM_RUN calls one operation takes.\n"
	"\n"
	"  --json              one line of JSON for each figure instead of a table\n"
	"  --filter TEXT       only figures whose name has TEXT in it\n"
	"  --samples N         batches of each figure (default 31)\n"
	"  --guests DIRECTORY  where the guest programs are\n"
	"  --help              this text\n"
	"\n"
	"Exit status: 0; 1 if a figure failed; 2 for a wrong option; 77 if KVM cannot\n"
	"be used here.\n";

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},          {"filter", required_argument, NULL, 'f'},
		{"samples", required_argument, NULL, 's'}, {"guests", required_argument, NULL, 'g'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'j':
			options->json = 1;
			break;
		case 'f':
			options->filter = optarg;
			break;
		case 's':
			options->samples = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'g':
			options->guests = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return optind == argc && options->samples >= 1 && options->samples <= SAMPLES_MOST ? 0 : -1;
}

/* One processor for all of it: a vCPU belongs to its thread, and caches to their core. */
static void pin(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET((unsigned)(cpu < 0 ? 0 : cpu), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void measure_round(struct bench *bench, struct series *all, unsigned round, int *failed)
{
	for (size_t i = 0; i < figure_count; i++) {
		struct series *series = &all[i];
		struct sample sample = {0};
		int result;

		if (series->stopped || (figures[i].rounds != 0 && round >= figures[i].rounds))
			continue;
		result = figures[i].measure(bench, &sample);
		if (result != 0) {
			fprintf(stderr, "%s: %s\n", series->name,
			        result == MEASURE_IMPOSSIBLE ? "not possible on this host"
			                                     : "failed");
			series->stopped = 1;
			*failed |= result < 0;
			continue;
		}
		if (series->count == 0 || sample.value < series->least)
			series->least = sample.value;
		series->values[series->count++] = sample.value;
		series->kvm_runs += sample.kvm_runs;
	}
}

static const struct series *find(const struct series *all, const char *name)
{
	for (size_t i = 0; i < figure_count; i++)
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	return NULL;
}

static void derive(const struct series *all, size_t number, struct series *ratio)
{
	const struct series *above = find(all, ratios[number].above);
	const struct series *below = find(all, ratios[number].below);

	ratio->name = ratios[number].name;
	ratio->unit = "count";
	ratio->text = ratios[number].text;
	if (above == NULL || below == NULL)
		return;
	for (unsigned i = 0; i < above->count && i < below->count; i++)
		ratio->values[ratio->count++] = above->values[i] / below->values[i];
	/* Not the least ratio: that one is noise of what is below. */
	ratio->least = above->least / below->least;
	ratio->kvm_runs = above->kvm_runs;
}

static int ascending(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double middle(const struct series *series)
{
	unsigned half = series->count / 2;

	return series->count % 2 != 0 ? series->values[half]
	                              : (series->values[half - 1] + series->values[half]) / 2;
}

static void print(struct series *series, int json)
{
	const char *row = json ? "{\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.*f,\"min\":%.*f,"
	                         "\"kvm_run\":%.4g}\n"
	                       : "%-28s %-5s %14.*f %14.*f %9.4g";
	int digits;

	if (series->count == 0)
		return;
	qsort(series->values, series->count, sizeof(series->values[0]), ascending);
	digits = strcmp(series->unit, "bytes") == 0 ? 0 : series->least < 10 ? 3 : 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	printf(row, series->name, series->unit, digits, middle(series), digits, series->least,
	       series->kvm_runs / series->count);
#pragma GCC diagnostic pop
	if (!json)
		printf("  %s\n", series->text);
}

static int bench_all(struct bench *bench, const struct options *options, struct series *all)
{
	char host[128];
	int failed = 0;

	for (unsigned round = 0; round < options->samples; round++)
		measure_round(bench, all, round, &failed);
	for (size_t i = 0; i < RATIO_COUNT; i++)
		derive(all, i, &all[figure_count + i]);
	if (!options->json) {
		bench_describe(bench, host, sizeof(host));
		printf("%s; %u batches, on one processor, memory warm\n\n%-28s %-5s %14s %14s "
		       "%9s\n",
		       host, options->samples, "figure", "unit", "median", "minimum", "KVM_RUN");
	}
	for (size_t i = 0; i < figure_count + RATIO_COUNT; i++)
		print(&all[i], options->json);
	return failed;
}

static int prepare(struct series *all, const struct options *options)
{
	for (size_t i = 0; i < figure_count + RATIO_COUNT; i++) {
		all[i].values = calloc(options->samples, sizeof(all[i].values[0]));
		if (all[i].values == NULL)
			return -1;
	}
	for (size_t i = 0; i < figure_count; i++) {
		all[i].name = figures[i].name;
		all[i].unit = figures[i].unit;
		all[i].text = figures[i].text;
		all[i].stopped = options->filter != NULL &&
		                 strstr(figures[i].name, options->filter) == NULL;
	}
	return 0;
}

static void discard(struct series *all)
{
	for (size_t i = 0; i < figure_count + RATIO_COUNT; i++)
		free(all[i].values);
	free(all);
}

int main(int argc, char **argv)
{
	struct options options = {.guests = TEST_GUESTS, .samples = SAMPLES_DEFAULT};
	struct series *all;
	struct bench *bench;
	int failed = 1;

	if (parse(argc, argv, &options) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	pin();
	bench = bench_open(options.guests);
	if (bench == NULL)
		return CANNOT_RUN;
	all = calloc(figure_count + RATIO_COUNT, sizeof(all[0]));
	if (all != NULL && prepare(all, &options) == 0)
		failed = bench_all(bench, &options, all);
	if (all != NULL)
		discard(all);
	bench_close(bench);
	return failed;
}
