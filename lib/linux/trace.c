/* SPDX-License-Identifier: MIT */
/*
 * Traces of system calls: decodes arguments by the format of their row. What
 * is read from the guest for it is read as the guest could; when that fails,
 * the pointer is shown.
 */
#include "trace.h"

#include "../util.h"
#include "mm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct line {
	char text[TRACE_TEXT_SIZE];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if ((size_t)length < room) {
		line->length += (size_t)length;
		return;
	}
	memcpy(line->text + sizeof(line->text) - sizeof("..."), "...", sizeof("..."));
	line->length = sizeof(line->text) - 1;
}

/*
 * Strings.
 */

static char escape_letter(char c)
{
	static const char plain[] = "\n\t\r\v\f\\\"", letters[] = "ntrvf\\\"";
	const char *found = c ? strchr(plain, c) : NULL;

	return found ? letters[found - plain] : '\0';
}

static void add_character(struct line *line, char c, char next)
{
	char letter = escape_letter(c);

	if (letter)
		add(line, "\\%c", letter);
	else if (c >= ' ' && c <= '~')
		add(line, "%c", c);
	else if (next >= '0' && next <= '7')
		add(line, "\\%03o", (unsigned)(unsigned char)c);
	else
		add(line, "\\%o", (unsigned)(unsigned char)c);
}

static void add_quoted(struct line *line, const char *text, size_t length, bool more)
{
	add(line, "\"");
	for (size_t i = 0; i < length; i++)
		add_character(line, text[i], i + 1 < length ? text[i + 1] : '\0');
	add(line, more ? "\"..." : "\"");
}

static void add_pointer(struct line *line, uint64_t address)
{
	if (address)
		add(line, "0x%" PRIx64, address);
	else
		add(line, "NULL");
}

static void add_buffer(struct line *line, struct process *process, uint64_t address, uint64_t length)
{
	char data[TRACE_STRING];
	uint64_t shown = min_u64(length, sizeof(data));

	if (guest_read(process, address, data, shown))
		add_pointer(line, address);
	else
		add_quoted(line, data, (size_t)shown, shown < length);
}

static void add_string(struct line *line, struct process *process, uint64_t address)
{
	char text[TRACE_STRING + 1];
	int64_t length = guest_read_string(process, address, text, sizeof(text));

	if (length >= 0)
		add_quoted(line, text, (size_t)length, false);
	else if (length == -ENAMETOOLONG)
		add_buffer(line, process, address, TRACE_STRING + 1);
	else
		add_pointer(line, address);
}

/*
 * Arguments.
 */

static void add_integer(struct line *line, char format, uint64_t value)
{
	switch (format) {
	case 'd':
	case 'f':
		add(line, "%" PRId32, (int32_t)value);
		break;
	case 'l':
		add(line, "%" PRId64, (int64_t)value);
		break;
	case 'u':
		add(line, "%" PRIu64, value);
		break;
	case 'o':
		add(line, "%s%" PRIo32, (uint32_t)value ? "0" : "", (uint32_t)value);
		break;
	default:
		add(line, value ? "0x%" PRIx64 : "%" PRIx64, value);
		break;
	}
}

static void add_argument(struct line *line, struct process *process, char format,
                         const uint64_t *argument, int64_t result)
{
	if (format == 'D' && (int32_t)*argument == AT_FDCWD)
		add(line, "AT_FDCWD");
	else if (format == 's')
		add_string(line, process, *argument);
	else if (format == 'w')
		add_buffer(line, process, *argument, argument[1]);
	else if (format == 'r' && result >= 0)
		add_buffer(line, process, *argument, (uint64_t)result);
	else if (format == 'p' || format == 'r')
		add_pointer(line, *argument);
	else
		add_integer(line, format == 'D' ? 'd' : format, *argument);
}

/*
 * Results.
 */

static const char *errno_name(int64_t number)
{
#define NAME(name) [name] = #name
	static const char *const names[] = {
		NAME(EPERM),      NAME(ENOENT),   NAME(ESRCH),        NAME(EINTR),
		NAME(EIO),        NAME(ENXIO),    NAME(E2BIG),        NAME(ENOEXEC),
		NAME(EBADF),      NAME(ECHILD),   NAME(EAGAIN),       NAME(ENOMEM),
		NAME(EACCES),     NAME(EFAULT),   NAME(EBUSY),        NAME(EEXIST),
		NAME(EXDEV),      NAME(ENODEV),   NAME(ENOTDIR),      NAME(EISDIR),
		NAME(EINVAL),     NAME(ENFILE),   NAME(EMFILE),       NAME(ENOTTY),
		NAME(ETXTBSY),    NAME(EFBIG),    NAME(ENOSPC),       NAME(ESPIPE),
		NAME(EROFS),      NAME(EMLINK),   NAME(EPIPE),        NAME(EDOM),
		NAME(ERANGE),     NAME(EDEADLK),  NAME(ENAMETOOLONG), NAME(ENOSYS),
		NAME(ENOTEMPTY),  NAME(ELOOP),    NAME(ENODATA),      NAME(EOVERFLOW),
		NAME(EILSEQ),     NAME(EMSGSIZE), NAME(EOPNOTSUPP),   NAME(ETIMEDOUT),
		NAME(ECONNRESET), NAME(ESTALE),   NAME(EDQUOT),       NAME(ECANCELED),
	};
#undef NAME

	return number >= 0 && (uint64_t)number < ARRAY_SIZE(names) ? names[number] : NULL;
}

static void add_result(struct line *line, bool is_pointer, int64_t result)
{
	const char *name = errno_name(-result);

	if (result < 0 && result >= -4095)
		name ? add(line, " = -1 %s", name) : add(line, " = -1 errno %" PRId64, -result);
	else if (is_pointer)
		add(line, " = 0x%" PRIx64, (uint64_t)result);
	else
		add(line, " = %" PRId64, result);
}

static void add_call(struct line *line, struct process *process, const struct system_call *call,
                     const uint64_t arguments[6], int64_t result)
{
	const char *format = call ? call->format : "xxxxxx";
	bool is_pointer = *format == '*';

	format += is_pointer;
	add(line, "(");
	for (unsigned i = 0; format[i]; i++) {
		add(line, i ? ", " : "");
		add_argument(line, process, format[i], &arguments[i], result);
	}
	add(line, ")");
	if (process->end == PROCESS_RUNS)
		add_result(line, is_pointer, result);
	else
		add(line, " = ?");
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
                       const uint64_t arguments[6], int64_t result)
{
	struct kvmsb_trace_event event = {
		.size = sizeof(event),
		.number = number,
		.result = result,
		.finished = process->end == PROCESS_RUNS,
	};
	struct line line = {.length = 0};
	char name[32];

	snprintf(name, sizeof(name), "syscall_%" PRIu32, number);
	event.name = call ? call->name : name;
	memcpy(event.arguments, arguments, sizeof(event.arguments));
	add(&line, "%s", event.name);
	add_call(&line, process, call, arguments, result);
	event.text = line.text;
	trace_tell(process, &event);
}
