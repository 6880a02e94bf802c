/* SPDX-License-Identifier: MIT */
/* Text of bounded length, and guest memory as text; see trace_line.h. */
#include "trace_line.h"

#include "../util.h"
#include "mm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void trace_add(struct trace_line *line, const char *format, ...)
{
	const size_t size = sizeof(line->text) - line->end_size, room = size - line->length;
	va_list arguments;
	int length;

	if (line->cut)
		return;
	va_start(arguments, format);
	length = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if ((size_t)length < room) {
		line->length += (size_t)length;
		return;
	}
	memcpy(line->text + size - sizeof("..."), "...", sizeof("..."));
	line->length = size - 1;
	line->cut = true;
}

void trace_begin_end(struct trace_line *line)
{
	line->end_size = 0;
	line->cut = false;
}

static char escape_letter(char c)
{
	static const char plain[] = "\n\t\r\v\f\\\"", letters[] = "ntrvf\\\"";
	const char *found = c ? strchr(plain, c) : NULL;

	return found ? letters[found - plain] : '\0';
}

static void add_character(struct trace_line *line, char c, char next)
{
	char letter = escape_letter(c);

	if (letter)
		trace_add(line, "\\%c", letter);
	else if (c >= ' ' && c <= '~')
		trace_add(line, "%c", c);
	else if (next >= '0' && next <= '7')
		trace_add(line, "\\%03o", (unsigned)(unsigned char)c);
	else
		trace_add(line, "\\%o", (unsigned)(unsigned char)c);
}

void trace_add_quoted(struct trace_line *line, const char *text, size_t length, bool more)
{
	trace_add(line, "\"");
	for (size_t i = 0; i < length; i++)
		add_character(line, text[i], i + 1 < length ? text[i + 1] : '\0');
	trace_add(line, more ? "\"..." : "\"");
}

void trace_add_pointer(struct trace_line *line, uint64_t address)
{
	if (address)
		trace_add(line, "0x%" PRIx64, address);
	else
		trace_add(line, "NULL");
}

void trace_add_buffer(struct trace_line *line, struct process *process, uint64_t address,
                      uint64_t length)
{
	char data[TRACE_STRING];
	uint64_t shown = min_u64(length, sizeof(data));

	if (guest_peek(process, address, data, shown) < shown)
		trace_add_pointer(line, address);
	else
		trace_add_quoted(line, data, (size_t)shown, shown < length);
}

void trace_add_string(struct trace_line *line, struct process *process, uint64_t address)
{
	char text[TRACE_STRING + 1];
	uint64_t length = guest_peek(process, address, text, sizeof(text));
	const char *end = memchr(text, '\0', (size_t)length);

	if (end != NULL)
		trace_add_quoted(line, text, (size_t)(end - text), false);
	else if (length == sizeof(text))
		trace_add_quoted(line, text, TRACE_STRING, true);
	else
		trace_add_pointer(line, address);
}
