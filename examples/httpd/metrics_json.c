/* SPDX-License-Identifier: MIT */
/*
 * JSON for the status page: all that is known of each program. Times are seconds,
 * but for members of "machine", which are those of struct kvmsb_statistics.
 */
#include "metrics_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define PAGE_BYTES UINT64_C(4096)
#define SECOND UINT64_C(1000000000)

static void write_text(FILE *file, const char *key, const char *text)
{
	fprintf(file, "\"%s\":", key);
	if (!text) {
		fputs("null,", file);
		return;
	}
	fputc('"', file);
	write_json_text(file, text);
	fputs("\",", file);
}

static void write_number(FILE *file, const char *key, uint64_t value)
{
	fprintf(file, "\"%s\":%" PRIu64 ",", key, value);
}

static void write_duration(FILE *file, const char *key, uint64_t nanoseconds)
{
	fprintf(file, "\"%s\":", key);
	write_seconds(file, nanoseconds);
	fputc(',', file);
}

static void write_histogram(FILE *file, const char *key, const struct metrics_view *view, size_t cell)
{
	fprintf(file, "\"%s\":{", key);
	write_duration(file, "sum", view->cell[cell + METRICS_BUCKETS + 1]);
	fputs("\"counts\":[", file);
	for (size_t i = 0; i <= METRICS_BUCKETS; i++)
		fprintf(file, "%s%" PRIu64, i ? "," : "", view->cell[cell + i]);
	fputs("]},", file);
}

static void write_classes(FILE *file, const struct metrics_view *view)
{
	fputs("\"classes\":{", file);
	for (size_t i = 0; i < METRICS_CLASSES; i++)
		fprintf(file, "%s\"%s\":%" PRIu64, i ? "," : "", metrics_class_name(i),
		        view->cell[CELL_CLASS + i]);
	fputs("},", file);
}

static void write_failures(FILE *file, const struct metrics_view *view)
{
	fputs("\"failures\":{", file);
	for (size_t i = FAILURE_NONE + 1; i < METRICS_FAILURES; i++)
		fprintf(file, "%s\"%s\":%" PRIu64, i > FAILURE_NONE + 1 ? "," : "",
		        metrics_failure_name(i), metrics_failures(view, (enum metrics_failure)i));
	fputs("},", file);
}

static void write_exceptions(FILE *file, const struct metrics_view *view)
{
	fputs("\"exceptions\":[", file);
	for (size_t i = 0; i < view->exception_count; i++) {
		const struct metrics_exception *exception = &view->exceptions[i];

		fputs(i ? ",{" : "{", file);
		write_text(file, "kind", metrics_failure_name(exception->failure));
		write_text(file, "text", exception->text);
		fprintf(file, "\"time\":%" PRId64 "}", exception->time);
	}
	fputs("],", file);
}

static void write_machine(FILE *file, const struct metrics_view *view)
{
	fputs("\"machine\":", file);
	if (!view->has_machine) {
		fputs("null", file);
		return;
	}
	fputc('{', file);
#define MACHINE(family, type, unit, label, field, help)                                            \
	write_number(file, #field, view->machine.machine_##field);
#include "metrics.def"
#undef MACHINE
	/* An object does not end with a comma. */
	fprintf(file, "\"calls\":%" PRIu64 "}", view->machine.machine_calls);
}

static void write_counts(FILE *file, const struct metrics_view *view)
{
	write_number(file, "requests", metrics_requests(view));
	write_classes(file, view);
	write_failures(file, view);
	write_histogram(file, "latency", view, CELL_LATENCY);
	write_histogram(file, "queue", view, CELL_QUEUE);
	write_histogram(file, "run", view, CELL_RUN);
	write_duration(file, "failed_run", view->cell[CELL_FAILED_RUN_SUM]);
	write_number(file, "bytes_in", view->cell[CELL_BYTES_IN]);
	write_number(file, "bytes_out", view->cell[CELL_BYTES_OUT]);
	write_number(file, "kvm_runs", view->cell[CELL_KVM_RUNS]);
	write_number(file, "resets", view->cell[CELL_RESETS]);
	write_duration(file, "reset_time", view->cell[CELL_RESET_SUM]);
	write_number(file, "fetches", view->cell[CELL_FETCHES]);
	write_number(file, "fetches_failed", view->cell[CELL_FETCHES_FAILED]);
	write_number(file, "self_requests", view->cell[CELL_SELF_REQUESTS]);
	write_number(file, "self_requests_failed", view->cell[CELL_SELF_REQUESTS_FAILED]);
	write_duration(file, "fetch_time", view->cell[CELL_FETCH_SUM]);
}

static void write_program(FILE *file, const struct metrics_view *view)
{
	fputc('{', file);
	write_text(file, "program", view->program);
	write_text(file, "route", view->route);
	write_text(file, "file", view->file);
	write_text(file, "state", metrics_state_name(view->now.state));
	write_number(file, "concurrency", view->concurrency);
	fprintf(file, "\"ephemeral\":%s,", view->is_ephemeral ? "true" : "false");
	write_number(file, "busy", view->now.busy);
	write_number(file, "queued", view->now.queued);
	write_number(file, "private_bytes", view->now.private_pages * PAGE_BYTES);
	write_counts(file, view);
	write_exceptions(file, view);
	write_machine(file, view);
	fputc('}', file);
}

static void write_clock(FILE *file, const char *key, clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	write_duration(file, key, (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec);
}

static void write_bounds(FILE *file)
{
	fputs("\"bounds\":[", file);
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		fputs(i ? "," : "", file);
		write_seconds(file, metrics_bounds[i]);
	}
	fputs("],", file);
}

static void write_all(FILE *file, const struct metrics_view *views, size_t count)
{
	fputc('{', file);
	write_text(file, "version", kvmsb_version());
	write_clock(file, "time", CLOCK_REALTIME);
	write_clock(file, "monotonic", CLOCK_MONOTONIC);
	write_bounds(file);
	fputs("\"programs\":[", file);
	for (size_t i = 0; i < count; i++) {
		fputs(i ? "," : "", file);
		write_program(file, &views[i]);
	}
	fputs("]}\n", file);
}

char *metrics_json(struct metrics *const *list, size_t count, size_t *length)
{
	struct metrics_view *views = metrics_views(list, count);
	char *text = NULL;
	bool failed = true;
	FILE *file;

	if (!views)
		return NULL;
	file = open_memstream(&text, length);
	if (file) {
		write_all(file, views, count);
		failed = ferror(file) != 0;
		failed |= fclose(file) != 0;
	}
	free(views);
	if (!failed)
		return text;
	free(text);
	return NULL;
}
