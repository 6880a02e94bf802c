/* SPDX-License-Identifier: MIT */
/* Error details; see error.h. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct kvmsb_error *error, int code, const char *format, ...)
{
	char text[sizeof(error->detail)];
	va_list arguments;
	size_t room;

	if (error == NULL || error->size <= offsetof(struct kvmsb_error, detail))
		return code;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	room = error->size - offsetof(struct kvmsb_error, detail);
	if (room > sizeof(error->detail))
		room = sizeof(error->detail);
	error->code = code;
	snprintf(error->detail, room, "%s", text);
	return code;
}

int error_set_size(struct kvmsb_error *error, int code, const char *what)
{
	return error_set(error, code, "%s.size: %s", what,
	                 code == -E2BIG ? "a newer library is needed for what is set" : "too small");
}
