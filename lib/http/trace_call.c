/* SPDX-License-Identifier: MIT */
/* A line of text about a hypercall, for the host's trace function. */
#include "call.h"

#include "../linux/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fits the longest name, six arguments and a denial's text. */
struct line {
	char text[512];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->length;
	va_list arguments;
	int written;

	va_start(arguments, format);
	written = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (written > 0)
		line->length += (size_t)written < room ? (size_t)written : room - 1;
}

static void add_call(struct line *line, const char *name, const struct call *call)
{
	add(line, "%s(", name);
	for (unsigned i = 0; i < call->count; i++)
		add(line, "%s%#" PRIx64, i > 0 ? ", " : "", call->arguments[i]);
	add(line, ")");
}

static void add_outcome(struct line *line, const struct call *call, bool answered)
{
	if (call->action == HYPERCALL_DENIED)
		add(line, " = denied: %s", call->hypercalls->detail);
	else if (call->action != HYPERCALL_CONTINUE || call->process->end != PROCESS_RUNS)
		add(line, " = ?");
	else if (answered && (int64_t)*call->result == -ENOSYS)
		add(line, " = -1 ENOSYS");
	else if (answered)
		add(line, " = %" PRId64, (int64_t)*call->result);
}

void call_trace(const struct call *call, bool answered)
{
	struct kvmsb_trace_event event = {
		.size = sizeof(event),
		.number = call->number,
		.result = answered ? (int64_t)*call->result : 0,
		.finished = call->action == HYPERCALL_CONTINUE && call->process->end == PROCESS_RUNS,
	};
	struct line line = {.length = 0};
	char name[32];

	snprintf(name, sizeof(name), "hypercall_%#" PRIx32, call->number);
	event.name = call->name != NULL ? call->name : name;
	memcpy(event.arguments, call->arguments, sizeof(event.arguments));
	add_call(&line, event.name, call);
	add_outcome(&line, call, answered);
	event.text = line.text;
	trace_tell(call->process, &event);
}
