/* SPDX-License-Identifier: MIT */
/*
 * A line of a trace: text of bounded length that ends in "..." where it would
 * be longer, quoted strings, pointers. Guest memory is looked at without
 * bringing pages in, so that a traced run is the same as another; it is
 * hostile, and may change while it is looked at.
 */
#ifndef KVMSB_LINUX_TRACE_LINE_H
#define KVMSB_LINUX_TRACE_LINE_H

#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text, with its NUL; and what of it only the end may use, so that a result is always seen. */
#define TRACE_TEXT_SIZE 768
#define TRACE_END_SIZE 256

/* Characters of a string or buffer that are shown. */
#define TRACE_STRING 32

struct trace_line {
	char text[TRACE_TEXT_SIZE];
	size_t length;
	size_t end_size; /* kept for the end */
	bool cut;
};
#define TRACE_LINE_INIT {.end_size = TRACE_END_SIZE}

__attribute__((format(printf, 2, 3))) void trace_add(struct trace_line *line, const char *format,
                                                     ...);

/* What is added from here on is the end. */
void trace_begin_end(struct trace_line *line);

/* In quotes, escaped as in C; more: with "..." behind. */
void trace_add_quoted(struct trace_line *line, const char *text, size_t length, bool more);

/* Hexadecimal, or NULL. */
void trace_add_pointer(struct trace_line *line, uint64_t address);

/* Guest memory as a string, quoted; the address where it cannot be read. */
void trace_add_string(struct trace_line *line, struct process *process, uint64_t address);
void trace_add_buffer(struct trace_line *line, struct process *process, uint64_t address,
                      uint64_t length);

#endif
