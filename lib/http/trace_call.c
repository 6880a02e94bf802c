/* SPDX-License-Identifier: MIT */
/* A line of text about a hypercall, for the host's trace function. */
#include "call.h"

#include "../linux/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_outcome(struct trace_line *line, const struct call *call, bool answered)
{
	if (call->action == HYPERCALL_DENIED)
		trace_add(line, " = denied: %s", call->hypercalls->detail);
	else if (call->action != HYPERCALL_CONTINUE || call->process->end != PROCESS_RUNS)
		trace_add(line, " = ?");
	else if (answered && *call->result == UINT64_MAX)
		trace_add(line, " = -1"); /* what the guest API refuses has no errno */
	else if (answered)
		trace_add_result(line, false, (int64_t)*call->result);
}

void call_trace(const struct call *call, bool answered, uint64_t duration)
{
	struct kvmsb_trace_event event = {
		.size = sizeof(event),
		.number = call->number,
		.result = answered ? (int64_t)*call->result : 0,
		.finished = call->action == HYPERCALL_CONTINUE && call->process->end == PROCESS_RUNS,
		.denied = call->action == HYPERCALL_DENIED,
		.duration_ns = duration,
	};
	struct trace_line line = TRACE_LINE_INIT;
	char name[32];

	snprintf(name, sizeof(name), "hypercall_%#" PRIx32, call->number);
	event.name = call->name != NULL ? call->name : name;
	memcpy(event.arguments, call->arguments, sizeof(event.arguments));
	trace_add(&line, "%s", event.name);
	trace_add_arguments(&line, call->process, call->format, call->arguments, event.result);
	add_outcome(&line, call, answered);
	event.text = line.text;
	trace_tell(call->process, &event);
}
