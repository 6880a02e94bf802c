/* SPDX-License-Identifier: MIT */
/* The formats of syscalls.def and hypercalls.def, taken apart. */
#ifndef KVMSB_LINUX_TRACE_FORMAT_H
#define KVMSB_LINUX_TRACE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/* One argument of a format. */
struct trace_token {
	char kind;        /* a letter, or '[', '<', '{' */
	const char *name; /* for the last three */
	size_t length;
};

/* Takes the next argument off the format; false: there is none. */
bool trace_next_token(const char **format, struct trace_token *token);

#endif
