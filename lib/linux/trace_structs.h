/* SPDX-License-Identifier: MIT */
/*
 * What arguments of system calls point to, shortly: the structures that
 * formats of syscalls.def name.
 */
#ifndef KVMSB_LINUX_TRACE_STRUCTS_H
#define KVMSB_LINUX_TRACE_STRUCTS_H

#include "trace_line.h"

#include <stddef.h>
#include <stdint.h>

/*
 * argument: one of the call's six; some kinds need the one behind it (a count)
 * or before it (a command), which their rows have.
 */
typedef void (*trace_struct)(struct trace_line *line, struct process *process,
                             const uint64_t *argument, int64_t result);

/* NULL: there is no such kind. The name need not end after `length` characters. */
trace_struct trace_struct_find(const char *name, size_t length);

#endif
