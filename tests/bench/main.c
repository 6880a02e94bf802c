/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-bench: measures what the library does and prints medians and minima,
 * as a table, as one line of JSON a figure, or beside the goals. Options and
 * rounds; what is measured stands in the files of the areas (bench.h).
 */
#include "bench.h"
#include "goals.h"
#include "series.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_DEFAULT 31
#define SAMPLES_MOST 10000
#define CROWD_LEAST 2
#define CROWD_MOST 1000000
#define CANNOT_RUN 77

struct options {
	struct settings settings;
	const char *filter;
	bool json, goals, programs;
};

static const char usage[] =
	"usage: kvmsb-bench [--json | --goals] [--filter TEXT] [--samples N] [--forks N]\n"
	"                   [--programs] [--guests DIRECTORY]\n"
	"\n"
	"Measures the library on this machine: the median and the minimum of many\n"
	"batches, and how many KVM_RUN calls one operation takes.\n"
	"\n"
	"  --json              one line of JSON for each figure instead of a table\n"
	"  --goals             only figures that have a goal, and whether it is met\n"
	"  --filter TEXT       only figures whose name has TEXT in it\n"
	"  --samples N         batches of each figure (default 31)\n"
	"  --forks N           forks that live at once where it is about very many of\n"
	"                      them (default 100000: 2.5 GB of memory)\n"
	"  --programs          also programs that are installed here, beside their native runs;\n"
	"                      --goals has them, and --filter if they fit\n"
	"  --guests DIRECTORY  where the guest programs are\n"
	"  --help              this text\n"
	"\n"
	"Exit status: 0; 1 if a figure failed; 2 for a wrong option; 77 if KVM cannot\n"
	"be used here.\n";

static int check(const struct options *options)
{
	const struct settings *settings = &options->settings;

	if (options->json && options->goals)
		return -1;
	if (settings->samples < 1 || settings->samples > SAMPLES_MOST)
		return -1;
	return settings->crowd >= CROWD_LEAST && settings->crowd <= CROWD_MOST ? 0 : -1;
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},
		{"goals", no_argument, NULL, 'o'},
		{"filter", required_argument, NULL, 'f'},
		{"samples", required_argument, NULL, 's'},
		{"forks", required_argument, NULL, 'n'},
		{"guests", required_argument, NULL, 'g'},
		{"programs", no_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'j')
			options->json = true;
		else if (option == 'o')
			options->goals = true;
		else if (option == 'f')
			options->filter = optarg;
		else if (option == 's')
			options->settings.samples = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'n')
			options->settings.crowd = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			options->programs = true;
		else if (option == 'g')
			options->settings.guests = optarg;
		else if (option == 'h')
			exit(fputs(usage, stdout) < 0);
		else
			return -1;
	}
	return optind == argc ? check(options) : -1;
}

static bool is_unwanted(const struct options *options, const struct figure *figure)
{
	if (options->programs || options->goals || options->filter != NULL)
		return false;
	for (size_t i = 0; i < area_count; i++)
		if (areas[i]->on_request)
			for (size_t j = 0; j < areas[i]->count; j++)
				if (figure == &areas[i]->figures[j])
					return true;
	return false;
}

/* Only what is asked for; and where it says how many forks, it says the truth. */
static void choose(struct table *table, const struct options *options)
{
	for (size_t i = 0; i < table->figures; i++) {
		struct series *series = &table->series[i];

		if (strcmp(series->name, "fork_at_100k") == 0 &&
		    options->settings.crowd != CROWD_DEFAULT)
			snprintf(series->name, sizeof(series->name), "fork_at_%u",
			         options->settings.crowd);
		series->stopped = is_unwanted(options, series->figure) ||
		                  (options->filter != NULL &&
		                   strstr(series->name, options->filter) == NULL) ||
		                  (options->goals && !goals_need(series->figure->name));
	}
}

static int measure(struct bench *bench, struct series *series)
{
	struct sample sample = {0};
	int result = bench_renew(bench);

	if (result == 0)
		result = series->figure->measure(bench, &sample);
	if (result == 0) {
		series_add(series, &sample);
		return 0;
	}
	fprintf(stderr, "%s: %s\n", series->name,
	        result == MEASURE_IMPOSSIBLE ? "not possible on this host" : "failed");
	series->stopped = true;
	return result == MEASURE_IMPOSSIBLE ? 0 : -1;
}

/* One round of the areas that are measured apart, or of those that are not. */
static int measure_round(struct bench *bench, struct table *table, bool apart)
{
	struct series *series = table->series;
	int result = 0;

	for (size_t i = 0; i < area_count; i++) {
		for (size_t j = 0; j < areas[i]->count; j++, series++) {
			unsigned rounds = series->figure->rounds;

			if (areas[i]->apart == apart && !series->stopped &&
			    (rounds == 0 || bench->round < rounds))
				result |= measure(bench, series);
		}
	}
	return result;
}

static int measure_all(struct bench *bench, struct table *table)
{
	int result = 0;

	for (int apart = 0; apart < 2; apart++) {
		for (bench->round = 0; bench->round < bench->settings.samples; bench->round++)
			result |= measure_round(bench, table, apart != 0);
		for (size_t i = 0; i < area_count; i++)
			if (areas[i]->apart == (apart != 0) && areas[i]->finish != NULL)
				areas[i]->finish();
	}
	table_finish(table);
	return result;
}

static void print(const struct bench *bench, const struct table *table, const struct options *options)
{
	char host[128];

	if (!options->json) {
		bench_describe(bench, host, sizeof(host));
		printf("%s; %u batches, memory warm\n\n", host, options->settings.samples);
	}
	if (options->goals)
		goals_print(table);
	else
		table_print(table, options->json);
}

int main(int argc, char **argv)
{
	struct options options = {.settings = {.guests = TEST_GUESTS,
	                                       .samples = SAMPLES_DEFAULT,
	                                       .crowd = CROWD_DEFAULT}};
	struct table table;
	struct bench *bench;
	int failed;

	if (parse(argc, argv, &options) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	bench = bench_open(&options.settings);
	if (bench == NULL)
		return CANNOT_RUN;
	failed = table_create(&table, options.settings.samples);
	if (failed == 0) {
		choose(&table, &options);
		failed = measure_all(bench, &table);
		print(bench, &table, &options);
		table_destroy(&table);
	}
	bench_close(bench);
	return failed == 0 ? 0 : 1;
}
