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

#include <kvmsandbox/http.h>
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

/* Where main() is that waits for requests in a loop (wait_for_requests_paused). */
enum loop_state {
	LOOP_AT_START, /* as `start` has it: nothing of the loop has run here */
	LOOP_WAITS,    /* `loop` waits for a request */
	LOOP_ANSWERED, /* `loop` has given a response, and has yet to run on to where it waits */
};

struct kvmsb {
	_Atomic uint32_t references; /* a master's: itself and its forks */
	struct kvmsb *master;        /* a fork's; NULL otherwise */
	enum sandbox_state state;
	bool running;
	bool busy;                   /* a request is at hand, whether or not the guest runs */
	bool doomed;                 /* destroyed from inside its own callback */
	struct machine *machine;
	struct program *program;     /* owned by what is not a fork */
	struct space *space;
	struct process process;
	struct hypercalls hypercalls;
	struct vcpu_context context;  /* of calls, and of main() until it waits */
	struct vcpu_context *loop;    /* of main() that waits in a loop; NULL: never needed */
	struct vcpu_context *current; /* the one of these two that runs, or ran last */
	enum loop_state loop_state;
	struct kvmsb_registers start; /* of the ready program where it waits: segment bases of calls */

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

/* What a response of before gave the host is no more: a call that is no request is next. */
void sandbox_end_exchange(struct kvmsb *sandbox);

/* The context that the next sandbox_run() runs. */
void sandbox_use(struct kvmsb *sandbox, struct vcpu_context *context);

/* 0 if a function of the guest may be run in its state; or -errno with its detail. */
int sandbox_check_callable(struct kvmsb *sandbox);

/*
 * request_loop.c: main() that has given a response runs on to where it waits,
 * without a request at hand. Returns 0, `result` READY when it waits, or -errno.
 */
int sandbox_finish_loop(struct kvmsb *sandbox, struct kvmsb_result *result);

/* Guest memory for the texts of a request to main() that waits. Returns 0 or -ENOMEM. */
int sandbox_make_inputs(struct kvmsb *sandbox, uint64_t size, uint64_t *address);

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
