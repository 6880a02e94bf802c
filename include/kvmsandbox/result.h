/* SPDX-License-Identifier: MIT */
/*
 * What a guest did when it was run: outcomes, faults, registers.
 */
#ifndef KVMSANDBOX_RESULT_H
#define KVMSANDBOX_RESULT_H

#include "version.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How a run of a guest ended. The enum is open: later releases add values, so
 * a host must have a default case. "Over" means that the process inside has
 * ended: only reset, destroy, reading its memory and (after EXITED, of a
 * sandbox that is not a fork) freeze are possible then.
 */
enum kvmsb_outcome {
	KVMSB_OUTCOME_NONE = 0,      /* nothing was run */
	KVMSB_OUTCOME_RETURNED,      /* the called function returned; value, value_high */
	KVMSB_OUTCOME_READY,         /* it waits for requests (wait_for_requests) */
	KVMSB_OUTCOME_EXITED,        /* it exited or was killed by a signal of its own; over */
	KVMSB_OUTCOME_FAULTED,       /* an exception of the processor, see fault; over */
	KVMSB_OUTCOME_TIMED_OUT,     /* the time limit was reached; over */
	KVMSB_OUTCOME_OUT_OF_MEMORY, /* a memory limit was reached, or the host has no more; over */
	KVMSB_OUTCOME_DENIED,        /* it did what is never allowed (a hypercall's rule); over */
	KVMSB_OUTCOME_HYPERCALL,     /* it stopped at the hypercall `hypercall` (a response) */
	KVMSB_OUTCOME_BLOCKED,       /* reserved: it waits for something outside; resumable */
	KVMSB_OUTCOME_STOPPED,       /* reserved: stopped by the host */
	KVMSB_OUTCOME_INTERNAL,      /* KVM could not go on; registers tell where; over */
};

/* A processor exception, Intel SDM volume 3A chapter 6. */
struct kvmsb_fault {
	uint32_t vector;     /* 14 is a page fault */
	uint32_t error_code; /* as the processor pushed it; 0 where there is none */
	uint64_t address;    /* page fault: the address accessed; refused I/O: the port; else 0 */
	uint64_t rip;        /* where it happened */
};

/* The general registers at the end of a run. */
struct kvmsb_registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags, fs_base, gs_base;
};

/* Out-struct: set `size` (KVMSB_RESULT_INIT), the library fills the rest. */
struct kvmsb_result {
	size_t size;
	enum kvmsb_outcome outcome;
	int32_t exit_status;          /* EXITED: 0..255 */
	int32_t exit_signal;          /* EXITED by a signal (abort, raise): its number, else 0 */
	uint32_t hypercall;           /* HYPERCALL, READY, DENIED: its number, guest/kvm_api.h */
	uint64_t value;               /* RETURNED: RAX */
	uint64_t value_high;          /* RETURNED: RDX, the second half of a 16-byte value */
	struct kvmsb_fault fault;     /* FAULTED, INTERNAL */
	struct kvmsb_registers registers; /* at the end of the run, whatever the outcome */
	uint64_t kvm_runs;            /* KVM_RUN calls that the run took */
};
#define KVMSB_RESULT_INIT KVMSB_SIZED(struct kvmsb_result)

/*
 * Name of an outcome: "returned", "timed out", ... ; "unknown outcome" for a
 * value this release does not know. Static memory. Any thread.
 */
KVMSB_EXPORT const char *kvmsb_outcome_name(enum kvmsb_outcome outcome);

/*
 * Name of a processor exception: "page fault", "invalid opcode", ...;
 * "exception" for a vector without one. Static memory. Any thread.
 */
KVMSB_EXPORT const char *kvmsb_vector_name(uint32_t vector);

#ifdef __cplusplus
}
#endif

#endif
