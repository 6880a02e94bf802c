/* SPDX-License-Identifier: MIT */
/* What numbers in arguments of system calls are called, from trace_names.def. */
#ifndef KVMSB_LINUX_TRACE_NAMES_H
#define KVMSB_LINUX_TRACE_NAMES_H

#include "trace_line.h"

#include <stddef.h>
#include <stdint.h>

/* NULL: there is no such table. The name need not end after `length` characters. */
const struct trace_table *trace_names_find(const char *name, size_t length);

/* The names of the value, joined by '|'; what has none, as a number. */
void trace_add_names(struct trace_line *line, const struct trace_table *table, uint64_t value);

/* The same, by the name of a table that exists. */
void trace_add_named(struct trace_line *line, const char *table, uint64_t value);

#endif
