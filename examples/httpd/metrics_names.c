/* SPDX-License-Identifier: MIT */
/*
 * What counts mean, and their names in labels and keys: dashboards and alerts are
 * built on these, so they stay as they are.
 */
#include "metrics_internal.h"

const char *metrics_class_name(size_t index)
{
	static const char *const names[METRICS_CLASSES] = {"none", "1xx", "2xx",
	                                                   "3xx",  "4xx", "5xx"};

	return names[index];
}

const char *metrics_outcome_name(size_t index)
{
	static const char *const names[METRICS_OUTCOMES] = {
		[KVMSB_OUTCOME_NONE] = "not_run",
		[KVMSB_OUTCOME_RETURNED] = "returned",
		[KVMSB_OUTCOME_READY] = "ready",
		[KVMSB_OUTCOME_EXITED] = "exited",
		[KVMSB_OUTCOME_FAULTED] = "faulted",
		[KVMSB_OUTCOME_TIMED_OUT] = "timed_out",
		[KVMSB_OUTCOME_OUT_OF_MEMORY] = "out_of_memory",
		[KVMSB_OUTCOME_DENIED] = "denied",
		[KVMSB_OUTCOME_HYPERCALL] = "hypercall",
		[KVMSB_OUTCOME_BLOCKED] = "blocked",
		[KVMSB_OUTCOME_STOPPED] = "stopped",
		[KVMSB_OUTCOME_INTERNAL] = "internal",
		[METRICS_OUTCOMES - 1] = "other",
	};

	return names[index];
}

const char *metrics_source_name(size_t index)
{
	static const char *const names[METRICS_SOURCES] = {
		[KVMSB_HTTP_FROM_NOBODY] = "nobody",     [KVMSB_HTTP_FROM_HANDLER] = "handler",
		[KVMSB_HTTP_FROM_ON_ERROR] = "on_error", [KVMSB_HTTP_FROM_HOST] = "host",
		[METRICS_SOURCES - 1] = "other",
	};

	return names[index];
}

const char *metrics_failure_name(size_t index)
{
	static const char *const names[METRICS_FAILURES] = {
		[FAILURE_NONE] = "none",
		[FAILURE_NO_RESPONSE] = "no_response",
		[FAILURE_FAULTED] = "faulted",
		[FAILURE_TIMED_OUT] = "timed_out",
		[FAILURE_OUT_OF_MEMORY] = "out_of_memory",
		[FAILURE_DENIED] = "denied",
		[FAILURE_OTHER] = "other",
	};

	return names[index];
}

const char *metrics_state_name(enum metrics_state state)
{
	static const char *const names[] = {
		[METRICS_STARTING] = "starting",
		[METRICS_READY] = "ready",
		[METRICS_FAILED] = "failed",
		[METRICS_STOPPING] = "stopping",
	};

	return (size_t)state < COUNT_OF(names) ? names[state] : "unknown";
}

enum metrics_failure metrics_failure_of(size_t outcome, size_t source)
{
	if (source == KVMSB_HTTP_FROM_HANDLER || outcome == KVMSB_OUTCOME_NONE)
		return FAILURE_NONE;
	switch (outcome) {
	case KVMSB_OUTCOME_RETURNED:
	case KVMSB_OUTCOME_READY:
	case KVMSB_OUTCOME_EXITED:
		return FAILURE_NO_RESPONSE;
	case KVMSB_OUTCOME_FAULTED:
		return FAILURE_FAULTED;
	case KVMSB_OUTCOME_TIMED_OUT:
		return FAILURE_TIMED_OUT;
	case KVMSB_OUTCOME_OUT_OF_MEMORY:
		return FAILURE_OUT_OF_MEMORY;
	case KVMSB_OUTCOME_DENIED:
		return FAILURE_DENIED;
	default:
		return FAILURE_OTHER;
	}
}

uint64_t metrics_failures(const struct metrics_view *view, enum metrics_failure failure)
{
	uint64_t sum = 0;

	for (size_t outcome = 0; outcome < METRICS_OUTCOMES; outcome++)
		for (size_t source = 0; source < METRICS_SOURCES; source++)
			if (metrics_failure_of(outcome, source) == failure)
				sum += view->cell[CELL_END + outcome * METRICS_SOURCES + source];
	return sum;
}

uint64_t metrics_requests(const struct metrics_view *view)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < METRICS_CLASSES; i++)
		sum += view->cell[CELL_CLASS + i];
	return sum;
}
