/* SPDX-License-Identifier: MIT */
/* Names of outcomes and exceptions; see kvmsandbox/result.h. */
#include "util.h"
#include "x86.h"

#include <kvmsandbox/result.h>

const char *kvmsb_outcome_name(enum kvmsb_outcome outcome)
{
	static const char *const names[] = {
		[KVMSB_OUTCOME_NONE] = "not run",
		[KVMSB_OUTCOME_RETURNED] = "returned",
		[KVMSB_OUTCOME_READY] = "waits for requests",
		[KVMSB_OUTCOME_EXITED] = "exited",
		[KVMSB_OUTCOME_FAULTED] = "faulted",
		[KVMSB_OUTCOME_TIMED_OUT] = "timed out",
		[KVMSB_OUTCOME_OUT_OF_MEMORY] = "out of memory",
		[KVMSB_OUTCOME_DENIED] = "denied",
		[KVMSB_OUTCOME_HYPERCALL] = "stopped at a hypercall",
		[KVMSB_OUTCOME_BLOCKED] = "blocked",
		[KVMSB_OUTCOME_STOPPED] = "stopped by the host",
		[KVMSB_OUTCOME_INTERNAL] = "internal error of KVM",
	};

	if ((unsigned)outcome >= ARRAY_SIZE(names))
		return "unknown outcome";
	return names[outcome];
}

const char *kvmsb_vector_name(uint32_t vector)
{
	static const char *const names[VECTOR_COUNT] = {
		[VECTOR_DE] = "divide error",
		[VECTOR_DB] = "debug exception",
		[VECTOR_NMI] = "non-maskable interrupt",
		[VECTOR_BP] = "breakpoint",
		[VECTOR_OF] = "overflow",
		[VECTOR_BR] = "bound range exceeded",
		[VECTOR_UD] = "invalid opcode",
		[VECTOR_NM] = "device not available",
		[VECTOR_DF] = "double fault",
		[VECTOR_TS] = "invalid TSS",
		[VECTOR_NP] = "segment not present",
		[VECTOR_SS] = "stack-segment fault",
		[VECTOR_GP] = "general protection fault",
		[VECTOR_PF] = "page fault",
		[VECTOR_MF] = "x87 floating-point error",
		[VECTOR_AC] = "alignment check",
		[VECTOR_MC] = "machine check",
		[VECTOR_XM] = "SIMD floating-point exception",
		[VECTOR_CP] = "control protection exception",
	};

	if (vector >= ARRAY_SIZE(names) || names[vector] == NULL)
		return "exception";
	return names[vector];
}
