/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format 0.0.4: families one after the other, each with the
 * samples of all programs, as the format wants them together. Units are seconds
 * and bytes; what only grows is called ..._total.
 */
#include "metrics_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "kvmsandbox_"
#define PAGE_BYTES 4096u

struct page {
	FILE *file;
	const struct metrics_view *views;
	size_t count;
};

enum unit {
	COUNT,
	SECONDS,
};

/* A figure that is one cell. */
struct cell_family {
	const char *name, *help;
	enum metrics_cell cell;
	enum unit unit;
};

struct machine_row {
	const char *family, *type, *label, *help;
	enum unit unit;
	size_t offset;
};

static void write_head(FILE *file, const char *family, const char *type, const char *help)
{
	fprintf(file, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", family, help, family, type);
}

/* Up to the value. label: NULL or "" if there is no second one. */
static void write_name(FILE *file, const char *family, const struct metrics_view *view,
                       const char *label)
{
	fprintf(file, PREFIX "%s{program=\"", family);
	write_label(file, view->program);
	fprintf(file, "\"%s%s} ", label && *label ? "," : "", label ? label : "");
}

static void write_value(FILE *file, uint64_t value, enum unit unit)
{
	if (unit == SECONDS)
		write_seconds(file, value);
	else
		fprintf(file, "%" PRIu64, value);
	fputc('\n', file);
}

static void write_sample(FILE *file, const char *family, const struct metrics_view *view,
                         const char *label, uint64_t value)
{
	write_name(file, family, view, label);
	write_value(file, value, COUNT);
}

static void write_classes_of(FILE *file, const struct metrics_view *view)
{
	char label[32];

	for (size_t i = 0; i < METRICS_CLASSES; i++) {
		snprintf(label, sizeof(label), "class=\"%s\"", metrics_class_name(i));
		write_sample(file, "requests_total", view, label, view->cell[CELL_CLASS + i]);
	}
}

static void write_classes(const struct page *page)
{
	write_head(page->file, "requests_total", "counter", "Requests by class of the status.");
	for (size_t i = 0; i < page->count; i++)
		write_classes_of(page->file, &page->views[i]);
}

static void write_ends_of(FILE *file, const struct metrics_view *view)
{
	char label[80];

	for (size_t outcome = 0; outcome < METRICS_OUTCOMES; outcome++)
		for (size_t source = 0; source < METRICS_SOURCES; source++) {
			uint64_t value = view->cell[CELL_END + outcome * METRICS_SOURCES + source];

			if (value == 0)
				continue;
			snprintf(label, sizeof(label), "outcome=\"%s\",source=\"%s\"",
			         metrics_outcome_name(outcome), metrics_source_name(source));
			write_sample(file, "outcomes_total", view, label, value);
		}
}

static void write_ends(const struct page *page)
{
	write_head(page->file, "outcomes_total", "counter",
	           "Requests by what the guest did and by who made the response.");
	for (size_t i = 0; i < page->count; i++)
		write_ends_of(page->file, &page->views[i]);
}

static void write_failures_of(FILE *file, const struct metrics_view *view)
{
	char label[32];

	for (size_t kind = FAILURE_NONE + 1; kind < METRICS_FAILURES; kind++) {
		snprintf(label, sizeof(label), "kind=\"%s\"", metrics_failure_name(kind));
		write_sample(file, "failures_total", view, label,
		             metrics_failures(view, (enum metrics_failure)kind));
	}
}

static void write_failures(const struct page *page)
{
	write_head(page->file, "failures_total", "counter",
	           "Requests that the guest's handler did not answer, by why.");
	for (size_t i = 0; i < page->count; i++)
		write_failures_of(page->file, &page->views[i]);
}

static void write_bucket(FILE *file, const char *family, const struct metrics_view *view,
                         size_t bucket, uint64_t value)
{
	fprintf(file, PREFIX "%s_bucket{program=\"", family);
	write_label(file, view->program);
	fputs("\",le=\"", file);
	if (bucket < METRICS_BUCKETS)
		write_seconds(file, metrics_bounds[bucket]);
	else
		fputs("+Inf", file);
	fprintf(file, "\"} %" PRIu64 "\n", value);
}

static void write_histogram_of(FILE *file, const char *family, const struct metrics_view *view,
                               size_t cell)
{
	char name[64];
	uint64_t sum = 0;

	for (size_t bucket = 0; bucket <= METRICS_BUCKETS; bucket++) {
		sum += view->cell[cell + bucket];
		write_bucket(file, family, view, bucket, sum);
	}
	snprintf(name, sizeof(name), "%s_sum", family);
	write_name(file, name, view, NULL);
	write_value(file, view->cell[cell + METRICS_BUCKETS + 1], SECONDS);
	snprintf(name, sizeof(name), "%s_count", family);
	write_sample(file, name, view, NULL, sum);
}

static void write_histogram(const struct page *page, const char *family, size_t cell, const char *help)
{
	write_head(page->file, family, "histogram", help);
	for (size_t i = 0; i < page->count; i++)
		write_histogram_of(page->file, family, &page->views[i], cell);
}

static void write_cells(const struct page *page)
{
	static const struct cell_family families[] = {
		{"failed_run_seconds_total", "Time in the guest of requests that it did not answer.",
	         CELL_FAILED_RUN_SUM, SECONDS},
		{"received_bytes_total", "Bytes of request bodies.", CELL_BYTES_IN, COUNT},
		{"sent_bytes_total", "Bytes of response bodies.", CELL_BYTES_OUT, COUNT},
		{"kvm_runs_total", "KVM_RUN calls of requests.", CELL_KVM_RUNS, COUNT},
		{"resets_total", "Resets after requests.", CELL_RESETS, COUNT},
		{"reset_seconds_total", "Time that resets took.", CELL_RESET_SUM, SECONDS},
		{"fetches_total", "Fetches by guests.", CELL_FETCHES, COUNT},
		{"fetches_failed_total", "Fetches that failed.", CELL_FETCHES_FAILED, COUNT},
		{"self_requests_total", "Requests by guests to this server.", CELL_SELF_REQUESTS,
	         COUNT},
		{"self_requests_failed_total", "Of them, those that failed.",
	         CELL_SELF_REQUESTS_FAILED, COUNT},
		{"fetch_seconds_total", "Time that guests waited for both.", CELL_FETCH_SUM, SECONDS},
	};

	for (size_t f = 0; f < COUNT_OF(families); f++) {
		write_head(page->file, families[f].name, "counter", families[f].help);
		for (size_t i = 0; i < page->count; i++) {
			write_name(page->file, families[f].name, &page->views[i], NULL);
			write_value(page->file, page->views[i].cell[families[f].cell],
			            families[f].unit);
		}
	}
}

static void write_gauge(const struct page *page, const char *family, const char *help,
                        uint64_t (*value)(const struct metrics_view *view))
{
	write_head(page->file, family, "gauge", help);
	for (size_t i = 0; i < page->count; i++)
		write_sample(page->file, family, &page->views[i], NULL, value(&page->views[i]));
}

static uint64_t is_ready(const struct metrics_view *view)
{
	return view->now.state == METRICS_READY;
}

static uint64_t concurrency(const struct metrics_view *view)
{
	return view->concurrency;
}

static uint64_t busy(const struct metrics_view *view)
{
	return view->now.busy;
}

static uint64_t queued(const struct metrics_view *view)
{
	return view->now.queued;
}

static uint64_t private_bytes(const struct metrics_view *view)
{
	return view->now.private_pages * PAGE_BYTES;
}

static void write_gauges(const struct page *page)
{
	write_gauge(page, "ready", "1 while the program takes requests.", is_ready);
	write_gauge(page, "concurrency", "Requests that can run at once.", concurrency);
	write_gauge(page, "busy", "Forks that run a request or hold a response.", busy);
	write_gauge(page, "queued", "Requests that wait for a fork.", queued);
	write_gauge(page, "fork_private_bytes", "Memory that forks have of their own.",
	            private_bytes);
}

static const struct machine_row machine_rows[] = {
#define MACHINE(family, type, unit, label, field, help)                                            \
	{#family, #type, label, help, unit, offsetof(struct kvmsb_statistics, machine_##field)},
#include "metrics.def"
#undef MACHINE
};

static uint64_t machine_value(const struct metrics_view *view, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)&view->machine + offset, sizeof(value));
	return value;
}

static void write_machine_rows(const struct page *page, const struct metrics_view *view,
                               const char *family)
{
	for (size_t r = 0; r < COUNT_OF(machine_rows); r++)
		if (strcmp(machine_rows[r].family, family) == 0) {
			write_name(page->file, family, view, machine_rows[r].label);
			write_value(page->file, machine_value(view, machine_rows[r].offset),
			            machine_rows[r].unit);
		}
}

static void write_machine(const struct page *page)
{
	const char *family = "";

	for (size_t r = 0; r < COUNT_OF(machine_rows); r++) {
		if (strcmp(machine_rows[r].family, family) == 0)
			continue;
		family = machine_rows[r].family;
		write_head(page->file, family, machine_rows[r].type, machine_rows[r].help);
		for (size_t i = 0; i < page->count; i++)
			if (page->views[i].has_machine)
				write_machine_rows(page, &page->views[i], family);
	}
}

static void write_page(const struct page *page)
{
	write_head(page->file, "build_info", "gauge", "Version of the library.");
	fprintf(page->file, PREFIX "build_info{version=\"%s\"} 1\n", kvmsb_version());
	write_classes(page);
	write_ends(page);
	write_failures(page);
	write_histogram(page, "request_duration_seconds", CELL_LATENCY,
	                "Time from a request to its response.");
	write_histogram(page, "queue_duration_seconds", CELL_QUEUE,
	                "Time that requests waited for a fork.");
	write_histogram(page, "run_duration_seconds", CELL_RUN,
	                "Time that guests took for requests.");
	write_cells(page);
	write_gauges(page);
	write_machine(page);
}

char *metrics_prometheus(struct metrics *const *list, size_t count, size_t *length)
{
	struct page page = {.count = count};
	struct metrics_view *views = metrics_views(list, count);
	char *text = NULL;
	bool failed = true;

	if (!views)
		return NULL;
	page.views = views;
	page.file = open_memstream(&text, length);
	if (page.file) {
		write_page(&page);
		failed = ferror(page.file) != 0;
		failed |= fclose(page.file) != 0;
	}
	free(views);
	if (!failed)
		return text;
	free(text);
	return NULL;
}
