/* SPDX-License-Identifier: MIT */
/*
 * Text that grows up to a limit.
 */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most files of /proc are shorter. */
#define ROOM_FIRST 512u

/* Longer than any line that is formatted: a path and some numbers. */
#define LINE_SIZE 8192u

char *text_room(struct text *text, size_t length)
{
	size_t room = text->room ? text->room : ROOM_FIRST;
	char *data;

	if (text->error || length > TEXT_MAXIMUM - text->length)
		return NULL;
	while (room < text->length + length)
		room *= 2;
	if (room == text->room)
		return text->data + text->length;
	data = realloc(text->data, room);
	if (!data) {
		text->error = -ENOMEM;
		return NULL;
	}
	text->data = data;
	text->room = room;
	return data + text->length;
}

void text_grow(struct text *text, size_t length)
{
	text->length += length;
}

void text_add_bytes(struct text *text, const void *bytes, size_t length)
{
	char *to = text_room(text, length);

	if (!to)
		return;
	memcpy(to, bytes, length);
	text_grow(text, length);
}

void text_add(struct text *text, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < sizeof(line))
		text_add_bytes(text, line, (size_t)length);
}

void text_end(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}
