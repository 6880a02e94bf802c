/* SPDX-License-Identifier: MIT */
/*
 * Decoding: what struct kvm_run says after a KVM_RUN → what the guest wants,
 * and what is left pending in the vCPU. The one place that knows how hosts
 * differ in this: KVM on hardware leaves RIP at an OUT and completes the
 * instruction in the next KVM_RUN, if RIP is still there; others are past it.
 *
 * Pure: reads what it is given, issues no ioctl, knows no vCPU.
 */
#ifndef KVMSB_EXIT_H
#define KVMSB_EXIT_H

#include <kvmsandbox/result.h>

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

enum vcpu_exit_kind {
	VCPU_EXIT_SYSCALL,     /* SYSCALL; the registers are the user's view, RIP after it */
	VCPU_EXIT_HYPERCALL,   /* OUT to PORT_HYPERCALL; RIP after it, but for at_out (and a REP OUTSL goes on) */
	VCPU_EXIT_EXCEPTION,   /* vector, error_code, address; RIP where it happened */
	VCPU_EXIT_INTERRUPTED, /* the deadline is over */
	VCPU_EXIT_STRAY,       /* I/O, MMIO, HLT that is nobody's: the guest's fault */
	VCPU_EXIT_FAILED,      /* KVM could not go on: internal error, failed entry, shutdown */
};

struct vcpu_exit {
	enum vcpu_exit_kind kind;
	uint32_t vector;
	uint32_t error_code;
	uint64_t address;    /* CR2 of a page fault; port or physical address of a stray access */
	bool in_kernel;      /* the exception came from ring 0: one of our stubs */
	bool at_out;         /* RIP is at the OUT of the hypercall: vcpu_pass_out() comes first */
	uint32_t kvm_reason; /* KVM_EXIT_*, for STRAY and FAILED */
	uint32_t kvm_detail; /* suberror or hardware reason, for FAILED */
};

/* What an exit leaves in the vCPU. All zero: nothing. */
struct exit_left {
	bool unclean;         /* something is pending: drain before anything starts */
	bool failed;          /* all of its state is suspect: set it anew, too */
	bool at_sysret;       /* in the ring-0 stub, before SYSRET */
	uint64_t pending_out; /* address of an OUT that KVM has yet to complete; 0: none */
};

/* What decoding must know of the host and of the entry path. */
struct exit_rules {
	bool rip_past_out;   /* RIP after an OUT exit is past the instruction */
	bool syscall_faults; /* a page fault of ring 3 at LSTAR is a system call */
	uint64_t lstar;
	const uint64_t *interrupt_stack_end; /* host's view of where exception frames end */
};

/*
 * After KVM_RUN has returned 0. `run` has general and special registers in
 * s.regs; `registers` holds the former and becomes the user's view.
 */
void exit_decode(const struct kvm_run *run, const struct exit_rules *rules,
                 struct kvmsb_registers *registers, struct vcpu_exit *exit, struct exit_left *left);

/* The same when the deadline has ended the KVM_RUN, wherever the guest was. */
void exit_interrupted(const struct kvm_run *run, const struct exit_rules *rules,
                      struct kvmsb_registers *registers, struct vcpu_exit *exit,
                      struct exit_left *left);

#endif
