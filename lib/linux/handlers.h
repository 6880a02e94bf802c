/* SPDX-License-Identifier: MIT */
/*
 * Prototypes of all handlers, from the table. A handler gets the six argument
 * registers as they are, every one of them hostile, and returns what the
 * guest gets in RAX.
 */
#ifndef KVMSB_LINUX_HANDLERS_H
#define KVMSB_LINUX_HANDLERS_H

#include "process.h"

#include <stdint.h>

#define SYSTEM_CALL(number, name, handler, support, format, note)                                  \
	int64_t handler(struct process *process, const uint64_t arguments[6]);
#include "syscalls.def"
#undef SYSTEM_CALL

#endif
