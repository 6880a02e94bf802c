/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls, syscalls.def as data.
 */
#ifndef KVMSB_LINUX_DISPATCH_H
#define KVMSB_LINUX_DISPATCH_H

#include "process.h"

#include <stdint.h>

enum system_call_support {
	FULL,
	PARTIAL,
	STUB,
	NONE
};

typedef int64_t (*system_call_handler)(struct process *process, const uint64_t arguments[6]);

struct system_call {
	const char *name;
	system_call_handler handler;
	enum system_call_support support;
	const char *format; /* for traces, see syscalls.def */
	const char *note;
};

/* NULL: no such system call. */
const struct system_call *system_call_find(uint32_t number);

#endif
