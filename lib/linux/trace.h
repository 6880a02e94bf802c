/* SPDX-License-Identifier: MIT */
/*
 * Tells the host's trace function of a system call, with a line of text as
 * strace(1) would print it.
 */
#ifndef KVMSB_LINUX_TRACE_H
#define KVMSB_LINUX_TRACE_H

#include "dispatch.h"
#include "process.h"

#include <stdint.h>

/* Longest text, with its NUL. A longer line ends in "...". */
#define TRACE_TEXT_SIZE 640

/* Characters of a string or buffer that are shown. */
#define TRACE_STRING 32

/* process->config->trace is set; call is NULL for a number that has no name. */
void trace_system_call(struct process *process, uint32_t number, const struct system_call *call,
                       const uint64_t arguments[6], int64_t result);

/* Hands an event to the host's trace function, which must be set. */
void trace_tell(struct process *process, const struct kvmsb_trace_event *event);

#endif
