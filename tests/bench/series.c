/* SPDX-License-Identifier: MIT */
/* Samples of figures, and ratios of them; see series.h. */
#include "series.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One figure divided by another: the median round by round, the minimum of the
 * two minima. tests/hardware/figures knows ratios by their names.
 */
static const struct {
	const char *name, *above, *below, *text;
} ratios[] = {
	{"exit_ratio_vcpu_run", "vcpu_run", "exit_roundtrip", "vcpu_run / exit_roundtrip"},
	{"exit_ratio_vmcall", "vmcall", "exit_roundtrip", "vmcall / exit_roundtrip"},
	{"exit_ratio_syscall", "syscall", "exit_roundtrip", "syscall / exit_roundtrip"},
	{"exit_ratio_reset_vmcall", "reset_vmcall", "exit_roundtrip", "reset_vmcall / exit_roundtrip"},
	{"exit_ratio_first_write_fault", "first_write_fault", "exit_roundtrip",
         "first_write_fault / exit_roundtrip"},
	{"vmcall_ratio_reset_vmcall_16", "reset_vmcall_16", "vmcall", "reset_vmcall_16 / vmcall"},
	{"vmcall_ratio_fork_vmcall_destroy", "fork_vmcall_destroy", "vmcall",
         "fork_vmcall_destroy / vmcall"},
	{"native_ratio_clock_gettime", "clock_gettime", "native_clock_gettime",
         "clock_gettime / native_clock_gettime"},
	{"native_ratio_compute", "compute", "native_compute", "compute / native_compute"},
	{"memcpy_ratio_request_10mb", "request_10mb", "memcpy_10mb", "request_10mb / memcpy_10mb"},
	{"allowance_ratio_python3", "program_python3", "allowance_python3",
         "program_python3 / allowance_python3"},
	{"call_ratio_python3", "kvm_runs_python3", "native_calls_python3",
         "kvm_runs_python3 / native_calls_python3"},
	{"allowance_ratio_sha256sum", "program_sha256sum", "allowance_sha256sum",
         "program_sha256sum / allowance_sha256sum"},
	{"call_ratio_sha256sum", "kvm_runs_sha256sum", "native_calls_sha256sum",
         "kvm_runs_sha256sum / native_calls_sha256sum"},
	{"allowance_ratio_perl", "program_perl", "allowance_perl", "program_perl / allowance_perl"},
	{"call_ratio_perl", "kvm_runs_perl", "native_calls_perl", "kvm_runs_perl / native_calls_perl"},
	{"allowance_ratio_sqlite3", "program_sqlite3", "allowance_sqlite3",
         "program_sqlite3 / allowance_sqlite3"},
	{"call_ratio_sqlite3", "kvm_runs_sqlite3", "native_calls_sqlite3",
         "kvm_runs_sqlite3 / native_calls_sqlite3"},
	{"native_ratio_python_loop", "python_loop", "native_python_loop",
         "python_loop / native_python_loop"},
	{"native_ratio_python_hash", "python_hash", "native_python_hash",
         "python_hash / native_python_hash"},
};
#define RATIO_COUNT (sizeof(ratios) / sizeof(ratios[0]))

static size_t count_figures(void)
{
	size_t count = 0;

	for (size_t i = 0; i < area_count; i++)
		count += areas[i]->count;
	return count;
}

static void add_figures(struct table *table)
{
	for (size_t i = 0; i < area_count; i++) {
		for (size_t j = 0; j < areas[i]->count; j++) {
			struct series *series = &table->series[table->figures++];

			series->figure = &areas[i]->figures[j];
			series->unit = series->figure->unit;
			series->text = series->figure->text;
			snprintf(series->name, sizeof(series->name), "%s", series->figure->name);
		}
	}
}

int table_create(struct table *table, unsigned samples)
{
	*table = (struct table){.count = count_figures() + RATIO_COUNT};
	table->series = calloc(table->count, sizeof(table->series[0]));
	if (table->series == NULL)
		return -1;
	add_figures(table);
	for (size_t i = 0; i < table->count; i++) {
		table->series[i].values = calloc(samples, sizeof(table->series[i].values[0]));
		if (table->series[i].values == NULL) {
			table_destroy(table);
			return -1;
		}
	}
	return 0;
}

void table_destroy(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->series[i].values);
	free(table->series);
}

void series_add(struct series *series, const struct sample *sample)
{
	if (series->count == 0 || sample->value < series->least)
		series->least = sample->value;
	series->values[series->count++] = sample->value;
	series->kvm_runs += sample->kvm_runs;
}

const struct series *table_find(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->figures; i++)
		if (strcmp(table->series[i].figure->name, name) == 0)
			return &table->series[i];
	for (size_t i = table->figures; i < table->count; i++)
		if (strcmp(table->series[i].name, name) == 0)
			return &table->series[i];
	return NULL;
}

static void derive(const struct table *table, size_t number, struct series *ratio)
{
	const struct series *above = table_find(table, ratios[number].above);
	const struct series *below = table_find(table, ratios[number].below);

	snprintf(ratio->name, sizeof(ratio->name), "%s", ratios[number].name);
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

void table_finish(struct table *table)
{
	for (size_t i = 0; i < RATIO_COUNT; i++)
		derive(table, i, &table->series[table->figures + i]);
	for (size_t i = 0; i < table->count; i++)
		report_sort(table->series[i].values, table->series[i].count);
}

double series_median(const struct series *series)
{
	return report_median(series->values, series->count);
}

double series_kvm_runs(const struct series *series)
{
	return series->kvm_runs / series->count;
}

static void print_row(const struct series *series)
{
	int digits = report_digits(series->unit, series->least);

	printf("%-32s %-5s %14.*f %14.*f %9.4g  %s\n", series->name, series->unit, digits,
	       series_median(series), digits, series->least, series_kvm_runs(series), series->text);
}

void table_print(const struct table *table, bool json)
{
	if (!json)
		printf("%-32s %-5s %14s %14s %9s\n", "figure", "unit", "median", "minimum",
		       "KVM_RUN");
	for (size_t i = 0; i < table->count; i++) {
		const struct series *series = &table->series[i];

		if (series->count == 0)
			continue;
		if (json)
			report_json(series->name, series->unit, series_median(series),
			            series->least, series_kvm_runs(series));
		else
			print_row(series);
	}
}
