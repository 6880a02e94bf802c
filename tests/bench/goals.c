/* SPDX-License-Identifier: MIT */
/* The table of goals; see goals.h. Medians count, not minima. */
#include "goals.h"

#include "report.h"

#include <stdio.h>
#include <string.h>

#define PAGES_16_NS (1000 + 16 * 200)

static const struct goal {
	const char *figure;
	double limit;      /* 0: none, the figure is only reported */
	const char *times; /* the limit is so many times this figure; NULL: a number */
	const char *ratio; /* the ratio of the two, taken round by round */
	double kvm_runs;   /* of one operation; 0: as many as it takes */
	bool at_least;     /* else at most */
} goals[] = {
	{"fork", 3000, NULL, NULL, 0, false},
	{"fork_new", 3000, NULL, NULL, 0, false},
	{"fork_at_100k", 3000, NULL, NULL, 0, false},
	{"idle_fork_bytes", 24 * 1024, NULL, NULL, 0, false},
	{"request_fork_bytes", 0, NULL, NULL, 0, false},
	{"live_forks", 100000, NULL, NULL, 0, true},
	{"vmcall", 1.2, "exit_roundtrip", "exit_ratio_vmcall", 1, false},
	{"clock_gettime", 3, "native_clock_gettime", "native_ratio_clock_gettime", 0.001, false},
	{"reset_16", PAGES_16_NS, NULL, NULL, 0, false},
	{"reset_vmcall_16", 1.15, "vmcall", "vmcall_ratio_reset_vmcall_16", 1, false},
	{"fork_vmcall_destroy", 1.5, "vmcall", "vmcall_ratio_fork_vmcall_destroy", 1, false},
	{"scaling_2", 1800, NULL, NULL, 0, true},
	{"syscall", 1.2, "exit_roundtrip", "exit_ratio_syscall", 1, false},
	{"request_10mb", 0.5, "memcpy_10mb", "memcpy_ratio_request_10mb", 1, false},
	{"program_python3", 1, "allowance_python3", "allowance_ratio_python3", 0, false},
	{"kvm_runs_python3", 1.05, "native_calls_python3", "call_ratio_python3", 0, false},
	{"program_sha256sum", 1, "allowance_sha256sum", "allowance_ratio_sha256sum", 0, false},
	{"kvm_runs_sha256sum", 1.05, "native_calls_sha256sum", "call_ratio_sha256sum", 0, false},
	{"program_perl", 1, "allowance_perl", "allowance_ratio_perl", 0, false},
	{"kvm_runs_perl", 1.05, "native_calls_perl", "call_ratio_perl", 0, false},
	{"program_sqlite3", 1, "allowance_sqlite3", "allowance_ratio_sqlite3", 0, false},
	{"kvm_runs_sqlite3", 1.05, "native_calls_sqlite3", "call_ratio_sqlite3", 0, false},
	{"compute", 1 / 0.97, "native_compute", "native_ratio_compute", 0, false},
	{"python_loop", 1 / 0.97, "native_python_loop", "native_ratio_python_loop", 0, false},
	{"python_hash", 1 / 0.97, "native_python_hash", "native_ratio_python_hash", 0, false},
};
#define GOAL_COUNT (sizeof(goals) / sizeof(goals[0]))

bool goals_need(const char *figure)
{
	for (size_t i = 0; i < GOAL_COUNT; i++)
		if (strcmp(goals[i].figure, figure) == 0 ||
		    (goals[i].times != NULL && strcmp(goals[i].times, figure) == 0))
			return true;
	return false;
}

static bool is_met(const struct goal *goal, const struct series *series, double measured)
{
	if (goal->kvm_runs > 0 && series_kvm_runs(series) > goal->kvm_runs)
		return false;
	return goal->at_least ? measured >= goal->limit : measured <= goal->limit;
}

static void describe_limit(const struct goal *goal, const char *unit, char *text, size_t length)
{
	const char *sign = goal->at_least ? ">=" : "<=";
	int used;

	if (goal->limit <= 0)
		used = snprintf(text, length, "reported");
	else if (goal->times != NULL)
		used = snprintf(text, length, "%s %g x %s", sign, goal->limit, goal->times);
	else
		used = snprintf(text, length, "%s %g %s", sign, goal->limit, unit);
	if (goal->kvm_runs > 0)
		snprintf(text + used, length - (size_t)used, ", %g KVM_RUN", goal->kvm_runs);
}

static void print_goal(const struct table *table, const struct goal *goal)
{
	const struct series *series = table_find(table, goal->figure);
	const struct series *ratio = goal->ratio != NULL ? table_find(table, goal->ratio) : series;
	char limit[64], times[32] = "";
	const char *verdict = "";

	if (series == NULL || series->count == 0 || ratio == NULL || ratio->count == 0) {
		printf("%-20s not measured\n", goal->figure);
		return;
	}
	describe_limit(goal, series->unit, limit, sizeof(limit));
	if (goal->times != NULL)
		snprintf(times, sizeof(times), "%.3f x", series_median(ratio));
	if (goal->limit > 0)
		verdict = is_met(goal, series, series_median(ratio)) ? "met" : "NOT MET";
	printf("%-20s %12.*f %-5s %8s %8.4g   %-36s %s\n", series->name,
	       report_digits(series->unit, series_median(series)), series_median(series),
	       series->unit, times, series_kvm_runs(series), limit, verdict);
}

void goals_print(const struct table *table)
{
	printf("%-20s %12s %-5s %8s %8s   %s\n", "figure", "median", "unit", "", "KVM_RUN", "goal");
	for (size_t i = 0; i < GOAL_COUNT; i++)
		print_goal(table, &goals[i]);
}
