/* SPDX-License-Identifier: MIT */
/*
 * Tells the host's trace function of a system call, with a line of text as
 * strace(1) would print it. Formats are explained in syscalls.def.
 */
#ifndef KVMSB_LINUX_TRACE_H
#define KVMSB_LINUX_TRACE_H

#include "dispatch.h"
#include "process.h"
#include "trace_format.h"
#include "trace_line.h"

#include <stdint.h>

/* "(first, second)" as the format says. A result below 0 is a failure: nothing was filled. */
void trace_add_arguments(struct trace_line *line, struct process *process, const char *format,
                         const uint64_t arguments[6], int64_t result);

/* " = -1 ENOENT (No such file or directory)" and the like; is_pointer: in hexadecimal. */
void trace_add_result(struct trace_line *line, bool is_pointer, int64_t result);

/*
 * process->config->trace is set; call is NULL for a number that has no name.
 * duration: of the handler, in ns.
 */
void trace_system_call(struct process *process, uint32_t number, const struct system_call *call,
                       const uint64_t arguments[6], int64_t result, uint64_t duration);

/* Hands an event to the host's trace function, which must be set. */
void trace_tell(struct process *process, const struct kvmsb_trace_event *event);

#endif
