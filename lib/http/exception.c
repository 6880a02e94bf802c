/* SPDX-License-Identifier: MIT */
/* Texts of failures, as programs for the guest API know them; see exception.h. */
#include "exception.h"

#include "../x86.h"

#include <stdint.h>
#include <stdio.h>

/* The first pages are never mapped: a null pointer, or a member of what it points to. */
#define NULL_END 0x2000u
#define USER_HALF_END (UINT64_C(1) << 47)

static const char *vector_text(uint32_t vector)
{
	/* Intel SDM volume 3A, table 6-1. */
	static const char *const texts[] = {
		[0] = "Divide-by-zero Error",
		[1] = "Debug",
		[3] = "Breakpoint",
		[4] = "Overflow",
		[5] = "Bound Range Exceeded",
		[6] = "Invalid Opcode",
		[7] = "Device Not Available",
		[8] = "Double Fault",
		[10] = "Invalid TSS",
		[11] = "Segment Not Present",
		[12] = "Stack-Segment Fault",
		[13] = "General Protection Fault",
		[16] = "x87 Floating-point Exception",
		[17] = "Alignment Check",
		[18] = "Machine Check",
		[19] = "SIMD Floating-point Exception",
	};

	if (vector < sizeof(texts) / sizeof(texts[0]) && texts[vector] != NULL)
		return texts[vector];
	return "CPU exception";
}

static void page_fault_text(const struct kvmsb_fault *fault, char *text, size_t size)
{
	const char *access = (fault->error_code & FAULT_FETCH) != 0   ? "execute"
	                     : (fault->error_code & FAULT_WRITE) != 0 ? "write"
	                                                              : "read";

	if (fault->address < NULL_END || fault->address >= USER_HALF_END)
		snprintf(text, size, "Kernel or zero page fault");
	else
		snprintf(text, size, "page_at: no page to %s at %#llx", access,
		         (unsigned long long)fault->address);
}

void exception_text(const struct kvmsb_result *result, const char *detail, char *text, size_t size)
{
	switch (result->outcome) {
	case KVMSB_OUTCOME_TIMED_OUT:
		snprintf(text, size, "Timeout Exception");
		return;
	case KVMSB_OUTCOME_OUT_OF_MEMORY:
		snprintf(text, size, "Out of working memory");
		return;
	case KVMSB_OUTCOME_DENIED:
		snprintf(text, size, "%s", detail);
		return;
	case KVMSB_OUTCOME_FAULTED:
		if (result->fault.vector == VECTOR_PF)
			page_fault_text(&result->fault, text, size);
		else
			snprintf(text, size, "%s", vector_text(result->fault.vector));
		return;
	default:
		snprintf(text, size, "HTTP response not set. Program crashed? Check logs!");
		return;
	}
}
