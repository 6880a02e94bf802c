/* SPDX-License-Identifier: MIT */
/*
 * One virtual processor: registers in, one KVM_RUN, one decoded exit (exit.h) out.
 *
 * A vCPU belongs to nobody between runs. It is handed over clean: what an exit
 * left pending (I/O to complete, an exception to deliver, a stub to return
 * from) is drained before another context starts, an exception's frame is
 * lifted off the interrupt stack at once, and x87 and vector state is loaded
 * by the entry trampoline (guest/kernel.S) at the start of every context, or
 * saved and loaded here when a suspended one goes on elsewhere.
 *
 * Knows nothing of Linux, spaces or sandboxes. A vCPU is used by the thread
 * that borrowed it (machine.h).
 */
#ifndef KVMSB_VCPU_H
#define KVMSB_VCPU_H

#include "counters.h"
#include "exit.h"
#include "invalidate.h"
#include "time_limit.h"

#include <kvmsandbox/result.h>

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;
struct vcpu;

/*
 * What runs: the registers of a guest thread and its address space. Its owner
 * keeps it at one address from begin to end.
 */
struct vcpu_context {
	struct kvmsb_registers registers;
	struct translations *translations; /* of its address space; the space's */
	struct vcpu *home;       /* while suspended: the vCPU that holds its x87 and vector state, if any */
	bool suspended;          /* has given its vCPU back, and goes on later */
	bool evicting;           /* its state is being saved: it stays where it is meanwhile */
	struct kvm_xsave *saved_state; /* when it had to leave its vCPU while suspended */
	bool state_saved;        /* saved_state is to be loaded before it goes on */
	bool fresh;              /* begun, and not run yet */
	uint64_t thread, turn;   /* where it ran last, and the thread's count of entries then */
};

/*
 * Sets the registers to begin something new at `rip`: all others zero but for
 * those that `arguments` has of RDI, RSI, RDX, RCX, R8, R9, and RSP and the
 * segment bases. It starts with the x87 and vector state in machine->state_image.
 */
void vcpu_context_begin(struct vcpu_context *context, const struct machine *machine, uint64_t rip,
                        const struct kvmsb_registers *arguments);

/* What vcpu_context_resume() wants of the guest's stack: at `address`, before it runs. */
struct resume_frame {
	uint64_t address;
	uint64_t values[3];
};

/* Goes on with `at`, registers as they were at a hypercall, and the state in machine->state_image. */
struct resume_frame vcpu_context_resume(struct vcpu_context *context, const struct machine *machine,
                                        const struct kvmsb_registers *at);
void vcpu_context_destroy(struct vcpu_context *context);

enum vcpu_state {
	VCPU_ABSENT, /* not made yet, or given up */
	VCPU_IDLE,
	VCPU_BUSY,   /* somebody's: who made it so may touch what follows */
};

/* What one thread writes at each run keeps clear of the cache lines of its neighbours on the heap. */
struct vcpu {
	struct machine *machine;
	unsigned index;
	int fd;                      /* -1: not made */
	struct kvm_run *run;
	size_t run_size;
	const uint64_t *interrupt_stack_end; /* host's view */

	/* Who used it: lending.c. */
	_Atomic uint32_t state;      /* enum vcpu_state */
	_Atomic int thread_id;       /* of the kernel's; others read it to see whether the thread lives */
	_Atomic uint64_t thread;     /* lending.c names them; 0: nobody */
	_Atomic(struct vcpu_context *) resident; /* suspended; its x87 and vector state is here */
	bool broken;                 /* could not be cleaned: its borrower gives it up */

	struct exit_left left;       /* by the last exit */
	struct cached_translations cached;

	struct time_limit time_limit;

	struct counters *counters;   /* of its index: what those before it counted is in there, too */
	uint64_t counted[COUNTERS_OF_SANDBOX]; /* in there before the borrower came */

	struct kvm_sregs user_sregs; /* of ring 3, without what a context brings */
};

/* By its borrower. */
static inline void vcpu_count(struct vcpu *vcpu, enum counter which, uint64_t more)
{
	counters_add(vcpu->counters, which, more);
}

/* It was borrowed: what is counted from here on is the borrower's. */
static inline void vcpu_count_from_here(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++)
		vcpu->counted[i] = counters_value(vcpu->counters, (enum counter)i);
}

/* Adds what was counted since. */
static inline void vcpu_counted(const struct vcpu *vcpu, uint64_t counts[COUNTERS_OF_SANDBOX])
{
	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++)
		counts[i] += counters_value(vcpu->counters, (enum counter)i) - vcpu->counted[i];
}

/* A place for vCPU `index` of the machine, where none is made yet. */
void vcpu_init(struct vcpu *vcpu, struct machine *machine, unsigned index);

/*
 * Makes it. Returns 0 or -errno (KVM_CREATE_VCPU, mmap, KVM_SET_*); nothing is
 * left then, and it can be tried again.
 */
int vcpu_create(struct vcpu *vcpu);
void vcpu_destroy(struct vcpu *vcpu); /* leaves the place; one that is not made is allowed */

/*
 * Binds the vCPU to the calling thread, `thread`: blocks the machine's time
 * signal there, opens it inside KVM_RUN. Returns 0 or -errno.
 */
int vcpu_adopt(struct vcpu *vcpu, uint64_t thread);

/*
 * Runs the context until an exit, or until `deadline` (CLOCK_MONOTONIC ns)
 * ends it as INTERRUPTED. Signals of others are let in and the run goes on.
 * Adds its KVM_RUN calls to *kvm_runs.
 * Returns 0 with the registers updated, or -errno when the host failed
 * (KVM_RUN, the timer); the context cannot go on then.
 */
int vcpu_run(struct vcpu *vcpu, struct vcpu_context *context, uint64_t deadline,
             struct vcpu_exit *exit, uint64_t *kvm_runs);

/*
 * After an exit with at_out and before anything else on this vCPU: sets RIP
 * past the OUT, which is `length` bytes long. 0: not known, so KVM completes
 * the instruction, in a KVM_RUN that is added to *kvm_runs.
 * Returns 0, or -EIO when KVM could not: the context cannot go on then.
 */
int vcpu_pass_out(struct vcpu *vcpu, struct vcpu_context *context, unsigned length,
                  uint64_t *kvm_runs);

/* Saves the state that is here in context->saved_state, so that another may run. Returns 0 or -errno. */
int vcpu_save(struct vcpu *vcpu, struct vcpu_context *context);

/* The x87 and vector state that the last run left, in the standard XSAVE format. */
int vcpu_read_state(struct vcpu *vcpu, struct kvm_xsave *state);

#endif
