/* SPDX-License-Identifier: MIT */
/* Formats of system calls, one argument after the other; see trace_format.h. */
#include "trace_format.h"

#include <string.h>

static char closing(char kind)
{
	switch (kind) {
	case '[':
		return ']';
	case '<':
		return '>';
	case '{':
		return '}';
	default:
		return '\0';
	}
}

bool trace_next_token(const char **format, struct trace_token *token)
{
	const char *at = *format, *end;

	if (*at == '\0')
		return false;
	*token = (struct trace_token){.kind = *at, .name = at + 1};
	end = closing(*at) ? strchr(at, closing(*at)) : NULL;
	token->length = end ? (size_t)(end - token->name) : 0;
	*format = end ? end + 1 : at + 1;
	return true;
}
