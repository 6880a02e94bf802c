/* SPDX-License-Identifier: MIT */
/*
 * The sandbox behind the public handle, and what the files that make it up
 * (sandbox.c: life, run.c: execution, call.c: calls and requests) have from
 * each other.
 */
#ifndef KVMSB_SANDBOX_H
#define KVMSB_SANDBOX_H

#include "counters.h"
#include "http/hypercalls.h"
#include "linux/process.h"
#include "machine.h"
#include "program.h"
#include "space.h"
#include "vcpu.h"

#include <kvmsandbox/sandbox.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The states of kvmsandbox/sandbox.h. */
enum sandbox_state {
	SANDBOX_NEW,
	SANDBOX_READY,
	SANDBOX_EXITED,
	SANDBOX_OVER,
	SANDBOX_MASTER,
	SANDBOX_FORK,
	SANDBOX_FORK_OVER,
};

struct kvmsb {
	_Atomic uint32_t references; /* a master's: itself and its forks */
	struct kvmsb *master;        /* a fork's; NULL otherwise */
	enum sandbox_state state;
	bool running;
	bool doomed;                 /* destroyed from inside its own callback */
	struct machine *machine;
	struct program *program;     /* owned by what is not a fork */
	struct space *space;
	struct process process;
	struct hypercalls hypercalls;
	struct vcpu_context context;
	struct kvmsb_registers start; /* where calls start from: segment bases of the ready program */

	/* Of the run at hand. */
	struct vcpu *vcpu;           /* NULL while a callback has it given back */
	bool in_call;                /* a function that can return is running */
	struct kvmsb_registers faulted; /* at the last page fault */
	int host_error;              /* of getting the vCPU back after a callback */

	uint64_t counts[COUNTERS_OF_SANDBOX]; /* but for pages, and what its vCPU counts meanwhile */
	char detail[256];
};

/* Says what failed, for kvmsb_detail(). Returns code. */
__attribute__((format(printf, 3, 4))) int sandbox_fail(struct kvmsb *sandbox, int code,
                                                       const char *format, ...);

/* 0 if the function at hand may be called on it: -ECHILD or -EBUSY otherwise. */
int sandbox_check_idle(struct kvmsb *sandbox);

/*
 * Runs from the context's registers until the run ends, or timeout_ns is
 * over. Fills result but not size, and keeps the state of what ended. Returns
 * 0 or -errno: the host failed, and what runs in the sandbox is over.
 */
int sandbox_run(struct kvmsb *sandbox, uint64_t timeout_ns, struct kvmsb_result *result);

/* Ends a public call that ran: a sandbox that its own callback destroyed is freed now. Returns code. */
int sandbox_finish(struct kvmsb *sandbox, int code);

/* Counts for the sandbox and its machine. */
void sandbox_count(struct kvmsb *sandbox, enum counter which);
void sandbox_count_outcome(struct kvmsb *sandbox, enum kvmsb_outcome outcome);

/* The process hooks around callbacks. */
void sandbox_callback_begin(struct process *process);
int sandbox_callback_end(struct process *process);

#endif
