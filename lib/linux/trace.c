/* SPDX-License-Identifier: MIT */
/*
 * Traces of system calls: decodes arguments by the format of their row. What
 * is read from the guest for it is read as the guest could; when that fails,
 * the pointer is shown.
 */
#include "trace.h"

#include "../util.h"
#include "trace_names.h"
#include "trace_structs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * Arguments.
 */

static void add_integer(struct trace_line *line, char kind, uint64_t value)
{
	switch (kind) {
	case 'd':
	case 'f':
		trace_add(line, "%" PRId32, (int32_t)value);
		break;
	case 'l':
		trace_add(line, "%" PRId64, (int64_t)value);
		break;
	case 'u':
		trace_add(line, "%" PRIu64, value);
		break;
	case 'o':
	case 'm':
		trace_add(line, "%s%" PRIo32, (uint32_t)value ? "0" : "", (uint32_t)value);
		break;
	default:
		trace_add(line, value ? "0x%" PRIx64 : "%" PRIx64, value);
		break;
	}
}

/* Pointers to strings and buffers; everything else is a number. */
static void add_letter(struct trace_line *line, struct process *process, char kind,
                       const uint64_t *argument, int64_t result)
{
	if (kind == 'D' && (int32_t)*argument == AT_FDCWD)
		trace_add(line, "AT_FDCWD");
	else if (kind == 's')
		trace_add_string(line, process, *argument);
	else if (kind == 'w')
		trace_add_buffer(line, process, *argument, argument[1]);
	else if (kind == 'r' && result >= 0)
		trace_add_buffer(line, process, *argument, (uint64_t)result);
	else if (kind == 'p' || kind == 'r')
		trace_add_pointer(line, *argument);
	else
		add_integer(line, kind == 'D' ? 'd' : kind, *argument);
}

static void add_struct(struct trace_line *line, struct process *process,
                       const struct trace_token *token, const uint64_t *argument, int64_t result)
{
	trace_struct add = trace_struct_find(token->name, token->length);

	if (add != NULL && (token->kind == '<' || result >= 0))
		add(line, process, argument, result);
	else
		trace_add_pointer(line, *argument);
}

static void add_argument(struct trace_line *line, struct process *process,
                         const struct trace_token *token, const uint64_t *argument, int64_t result)
{
	const struct trace_table *table;

	switch (token->kind) {
	case '[':
		table = trace_names_find(token->name, token->length);
		if (table != NULL)
			trace_add_names(line, table, *argument);
		break;
	case '<':
	case '{':
		add_struct(line, process, token, argument, result);
		break;
	default:
		add_letter(line, process, token->kind, argument, result);
		break;
	}
}

/* The mode of a new file means nothing where none is made. */
static bool makes_no_file(const struct trace_token *token, const uint64_t *argument)
{
	return token->kind == 'm' && !(argument[-1] & O_CREAT) &&
	       (argument[-1] & O_TMPFILE) != O_TMPFILE;
}

void trace_add_arguments(struct trace_line *line, struct process *process, const char *format,
                         const uint64_t arguments[6], int64_t result)
{
	struct trace_token token;

	trace_add(line, "(");
	for (unsigned i = 0; i < 6 && trace_next_token(&format, &token); i++) {
		if (makes_no_file(&token, &arguments[i]))
			continue;
		trace_add(line, i > 0 ? ", " : "");
		add_argument(line, process, &token, &arguments[i], result);
	}
	trace_begin_end(line);
	trace_add(line, ")");
}

/*
 * Results.
 */

void trace_add_result(struct trace_line *line, bool is_pointer, int64_t result)
{
	if (result < 0 && result >= -4095) {
		trace_add(line, " = -1 ");
		trace_add_named(line, "error", (uint64_t)-result);
	} else if (is_pointer) {
		trace_add(line, " = 0x%" PRIx64, (uint64_t)result);
	} else {
		trace_add(line, " = %" PRId64, result);
	}
}

static void add_call(struct trace_line *line, struct process *process,
                     const struct system_call *call, const uint64_t arguments[6], int64_t result)
{
	const char *format = call ? call->format : "xxxxxx";
	bool is_pointer = *format == '*';

	trace_add_arguments(line, process, format + is_pointer, arguments, result);
	if (process->end == PROCESS_RUNS)
		trace_add_result(line, is_pointer, result);
	else
		trace_add(line, " = ?");
	if (process->denied)
		trace_add(line, " (denied by policy)");
}

void trace_tell(struct process *process, const struct kvmsb_trace_event *event)
{
	if (process_call_begin(process) < 0)
		return;
	process->config->trace(process->config->trace_user, event);
	/* That it failed has ended the run already. */
	(void)process_call_end(process);
}

void trace_system_call(struct process *process, uint32_t number, const struct system_call *call,
                       const uint64_t arguments[6], int64_t result, uint64_t duration)
{
	struct kvmsb_trace_event event = {
		.size = sizeof(event),
		.number = number,
		.result = result,
		.finished = process->end == PROCESS_RUNS,
		.denied = process->denied,
		.duration_ns = duration,
	};
	struct trace_line line = TRACE_LINE_INIT;
	char name[32];

	snprintf(name, sizeof(name), "syscall_%" PRIu32, number);
	event.name = call ? call->name : name;
	memcpy(event.arguments, arguments, sizeof(event.arguments));
	trace_add(&line, "%s", event.name);
	add_call(&line, process, call, arguments, result);
	event.text = line.text;
	trace_tell(process, &event);
}
