/* SPDX-License-Identifier: MIT */
/*
 * From the registers of a system call to its handler and back. Only this file
 * writes RAX.
 */
#include "dispatch.h"

#include "../time_limit.h"
#include "../util.h"
#include "handlers.h"
#include "override.h"
#include "trace.h"

#include <errno.h>

static const struct system_call table[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note)                                  \
	[number] = {#name, handler, support, format, note},
#include "syscalls.def"
#undef SYSTEM_CALL
};

const struct system_call *system_call_find(uint32_t number)
{
	return number < ARRAY_SIZE(table) && table[number].name ? &table[number] : NULL;
}

int64_t sys_unsupported(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return -ENOSYS;
}

/* The host's own answer, if it has one to give, else the library's. */
static int64_t answer(struct process *process, uint32_t number, const struct system_call *call,
                      const uint64_t arguments[6])
{
	const struct kvmsb_override *override = override_find(process->config->overrides, number);
	int64_t result = KVMSB_SYSTEM_CALL_DEFAULT;

	if (override)
		result = override_call(process, override, arguments);
	if (result != KVMSB_SYSTEM_CALL_DEFAULT)
		return result;
	result = call ? call->handler(process, arguments) : -ENOSYS;
	/* No file system is read-only but by the rules. */
	if (result == -EROFS)
		process_deny(process, 0);
	return result;
}

/* System V x86-64 ABI A.2.1. Linux looks at the lower half of RAX only. */
void process_system_call(struct process *process)
{
	struct kvmsb_registers *registers = process->registers;
	const uint64_t arguments[6] = {
		registers->rdi, registers->rsi, registers->rdx,
		registers->r10, registers->r8,  registers->r9,
	};
	uint32_t number = (uint32_t)registers->rax;
	const struct system_call *call = system_call_find(number);
	const uint64_t start = process->config->trace ? time_now() : 0;
	int64_t result;

	process->denied = false;
	result = answer(process, number, call, arguments);
	registers->rax = (uint64_t)result;
	if (process->config->trace)
		trace_system_call(process, number, call, arguments, result, time_now() - start);
}
