/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-bench-invalidation: what it costs to make guests forget translations
 * of leaves that the host edited, by each means that there is (invalidate.h),
 * against how many frames were edited and how many spaces hold them. The host's
 * own time, and what the next run of the edited fork and of another one take
 * longer: what a choice between them in lib/invalidate.c can go by.
 */
#include "invalidation_bed.h"

#include "invalidate.h"
#include "machine.h"
#include "report.h"
#include "sandbox.h"
#include "time_limit.h"

#include <kvmsandbox.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUARANTINE_ROOM 1024u

static const unsigned frame_counts[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
static const unsigned fork_counts[] = {1, 8, 64, 512};

enum part {
	HOST,
	BEFORE,
	AFTER,
	OTHER_BEFORE,
	OTHER_AFTER,
	PARTS
};

static struct {
	const char *guests;
	unsigned samples, forks, frames;
	unsigned long shadow_pages;
	int json, shared_tables;
} options = {.guests = TEST_GUESTS};

static double now(void)
{
	return (double)time_now();
}

static double time_call(struct bed *bed, struct kvmsb *fork, uint64_t function, unsigned pages)
{
	double start = now();

	bed_call(bed, fork, function, pages);
	return now() - start;
}

/* Measuring. */

static void prepare(struct bed *bed)
{
	struct machine *machine = bed->master->machine;

	/* What was measured before may have given it pages of its own. */
	bed_renew_fork(bed);
	/* Not while something is timed. */
	if (memory_quarantined(&machine->memory) > QUARANTINE_ROOM)
		invalidate_everything(&machine->invalidator);
	for (unsigned i = 0; i < bed->count; i++)
		bed_warm(bed, bed->forks[i]);
	bed_warm(bed, bed->owner);
}

static void measure(struct bed *bed, const struct means *what, unsigned count, double *parts[PARTS],
                    unsigned number)
{
	struct kvmsb *fork = bed_edited(bed, what);
	struct kvmsb *other = bed->count > 1 ? bed->forks[1] : bed->owner;
	unsigned pages = what->whole ? MOST_FRAMES : count;
	double start;

	prepare(bed);
	bed_call(bed, other, bed->peek, 1);
	parts[BEFORE][number] = time_call(bed, fork, bed->peek, pages);
	parts[OTHER_BEFORE][number] = time_call(bed, other, bed->peek, count);
	if (what->breaks)
		bed_break_pages(bed, count);
	start = now();
	what->drop(bed, count);
	parts[HOST][number] = now() - start;
	parts[AFTER][number] = time_call(bed, fork, what->writes ? bed->rewrite : bed->peek, pages);
	parts[OTHER_AFTER][number] = time_call(bed, other, bed->peek, count);
}

/* Output. */

struct figure {
	double median, least;
};

static struct figure difference(double *const parts[PARTS], enum part after, enum part before)
{
	struct figure figure = {report_median(parts[after], options.samples), parts[after][0]};

	if (before != after) {
		figure.median -= report_median(parts[before], options.samples);
		figure.least -= parts[before][0];
	}
	return figure;
}

static void print_line(const struct bed *bed, const char *name, const char *part, unsigned count,
                       struct figure figure)
{
	double kvm_runs = strcmp(part, "host") == 0 ? 0 : (double)bed->kvm_runs;
	char full_name[96];

	snprintf(full_name, sizeof(full_name), "%s_%s_%uframes_%uforks", name, part, count,
	         bed->count);
	report_json(full_name, "ns", figure.median, figure.least, kvm_runs);
}

static void print(const struct bed *bed, const char *name, unsigned count, double *parts[PARTS])
{
	struct figure host, run, other;

	for (unsigned i = 0; i < PARTS; i++)
		report_sort(parts[i], options.samples);
	host = difference(parts, HOST, HOST);
	run = difference(parts, AFTER, BEFORE);
	other = difference(parts, OTHER_AFTER, OTHER_BEFORE);
	if (options.json) {
		print_line(bed, name, "host", count, host);
		print_line(bed, name, "run", count, run);
		print_line(bed, name, "other", count, other);
		return;
	}
	printf("%5u %6u  %-20s %9.0f %9.0f  %9.0f %9.0f %7.0f  %9.0f %9.0f  %9.0f\n", bed->count,
	       count, name, host.least, host.median, run.least, run.median, run.least / count,
	       other.least, other.median, parts[BEFORE][0]);
}

static void measure_means(struct bed *bed, const struct means *what, unsigned count)
{
	double *parts[PARTS];

	for (unsigned i = 0; i < PARTS; i++) {
		parts[i] = calloc(options.samples, sizeof(double));
		if (parts[i] == NULL)
			give_up("calloc", "out of memory");
	}
	for (unsigned i = 0; i < options.samples; i++)
		measure(bed, what, count, parts, i);
	print(bed, what->name, count, parts);
	for (unsigned i = 0; i < PARTS; i++)
		free(parts[i]);
}

static void measure_all(struct bed *bed)
{
	if (!options.json)
		printf("ns: minimum and median; run, other: above what they take with nothing "
		       "edited\n"
		       "%5s %6s  %-20s %19s  %27s  %19s  %9s\n",
		       "forks", "frames", "means", "host", "run of the edited, per page",
		       "run of another", "unedited");
	for (size_t f = 0; f < ARRAY_SIZE(fork_counts) && fork_counts[f] <= options.forks; f++) {
		while (bed->count < fork_counts[f])
			bed_fork(bed, &bed->forks[bed->count++]);
		means_check(bed);
		for (size_t i = 0; i < means_count; i++)
			for (size_t n = 0; n < ARRAY_SIZE(frame_counts); n++)
				if (means_exist(bed, &means[i]) && frame_counts[n] <= options.frames)
					measure_means(bed, &means[i], frame_counts[n]);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"json", no_argument, &options.json, 1},
		{"shared-tables", no_argument, &options.shared_tables, 1},
		{"samples", required_argument, NULL, 1},
		{"forks", required_argument, NULL, 2},
		{"frames", required_argument, NULL, 3},
		{"shadow-pages", required_argument, NULL, 4},
		{"guests", required_argument, NULL, 'g'},
		{NULL, 0, NULL, 0},
	};
	unsigned long values[4] = {11, MOST_FORKS, MOST_FRAMES, 1ul << 17};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'g')
			options.guests = optarg;
		else if (option >= 1 && option <= 4)
			values[option - 1] = strtoul(optarg, NULL, 10);
		else if (option != 0)
			exit(2);
	}
	if (optind != argc || values[0] < 1 || values[0] > 10000)
		exit(2);
	options.samples = (unsigned)values[0];
	options.forks = (unsigned)values[1];
	options.frames = (unsigned)values[2];
	options.shadow_pages = values[3];
}

int main(int argc, char **argv)
{
	static struct bed bed;

	parse(argc, argv);
	bed.shared_tables = options.shared_tables != 0;
	bed_open(&bed, options.guests, options.shadow_pages);
	measure_all(&bed);
	bed_close(&bed);
	return 0;
}
