/* SPDX-License-Identifier: MIT */
/* Lines and sums of a program's calls; see run-trace.h. */
#include "run-trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NANOSECONDS 1000000000ull

static void print_line(const struct run_trace *trace, const struct kvmsb_trace_event *event)
{
	const unsigned long long time = event->duration_ns;

	if (trace->lines > 1)
		fprintf(stderr, "%s <%llu.%06llu>\n", event->text, time / NANOSECONDS,
		        time % NANOSECONDS / 1000);
	else
		fprintf(stderr, "%s\n", event->text);
}

static struct run_trace_row *find_row(struct run_trace *trace, const char *name)
{
	struct run_trace_row *row;

	for (size_t i = 0; i < trace->count; i++)
		if (strcmp(trace->rows[i].name, name) == 0)
			return &trace->rows[i];
	/* A guest can make up numbers, each with a name of its own, without end. */
	if (trace->count > RUN_TRACE_ROWS)
		return &trace->rows[RUN_TRACE_ROWS];
	row = &trace->rows[trace->count++];
	snprintf(row->name, sizeof(row->name), "%s",
	         trace->count > RUN_TRACE_ROWS ? "(others)" : name);
	return row;
}

static void add(struct run_trace *trace, const struct kvmsb_trace_event *event)
{
	struct run_trace_row *row = find_row(trace, event->name);

	row->calls++;
	row->errors += event->finished && event->result < 0 && event->result >= -4095;
	row->denied += event->denied != 0;
	row->nanoseconds += event->duration_ns;
}

static void take(void *user, const struct kvmsb_trace_event *event)
{
	struct run_trace *trace = user;

	if (trace->lines > 0)
		print_line(trace, event);
	add(trace, event);
}

void run_trace_start(struct run_trace *trace, struct run_options *options)
{
	trace->lines = options->trace;
	trace->count = 0;
	memset(trace->rows, 0, sizeof(trace->rows));
	if (options->trace == 0 && !options->trace_summary)
		return;
	options->sandbox.trace = take;
	options->sandbox.trace_user = trace;
}

static int compare(const void *left, const void *right)
{
	const struct run_trace_row *a = left, *b = right;

	if (a->nanoseconds != b->nanoseconds)
		return a->nanoseconds < b->nanoseconds ? 1 : -1;
	return strcmp(a->name, b->name);
}

static void print_row(const struct run_trace_row *row, unsigned long long all)
{
	fprintf(stderr, "%6.2f %11.6f %11.3f %9llu %9llu %9llu %s\n",
	        all > 0 ? 100.0 * (double)row->nanoseconds / (double)all : 0.0,
	        (double)row->nanoseconds / 1e9,
	        row->calls > 0 ? (double)row->nanoseconds / 1e3 / (double)row->calls : 0.0,
	        row->calls, row->errors, row->denied, row->name);
}

void run_trace_print_summary(struct run_trace *trace)
{
	static const char rule[] =
		"------ ----------- ----------- --------- --------- --------- ----------------";
	struct run_trace_row total = {.name = "total"};

	qsort(trace->rows, trace->count, sizeof(trace->rows[0]), compare);
	for (size_t i = 0; i < trace->count; i++) {
		total.calls += trace->rows[i].calls;
		total.errors += trace->rows[i].errors;
		total.denied += trace->rows[i].denied;
		total.nanoseconds += trace->rows[i].nanoseconds;
	}
	fprintf(stderr, "%6s %11s %11s %9s %9s %9s %s\n%s\n", "% time", "seconds", "usecs/call",
	        "calls", "errors", "denied", "call", rule);
	for (size_t i = 0; i < trace->count; i++)
		print_row(&trace->rows[i], total.nanoseconds);
	fprintf(stderr, "%s\n", rule);
	print_row(&total, total.nanoseconds);
}
