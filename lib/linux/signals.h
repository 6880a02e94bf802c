/* SPDX-License-Identifier: MIT */
/*
 * The signal table of a process: dispositions, blocked and pending signals,
 * alternate stack. There is no other process, so the only signals are those
 * that it sends to itself and SIGPIPE.
 *
 * Handlers are recorded but not yet called: who sends a signal that has one
 * gets -ENOSYS.
 *
 * A struct signals is immutable while it is shared and copied by the first
 * change, like struct files.
 */
#ifndef KVMSB_LINUX_SIGNALS_H
#define KVMSB_LINUX_SIGNALS_H

#include "process.h"

#include <stdatomic.h>
#include <stdint.h>

#define SIGNALS_COUNT 64

/* struct sigaction as the system call has it on x86-64. */
struct signal_action {
	uint64_t handler; /* 0: SIG_DFL, 1: SIG_IGN */
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

/* stack_t */
struct signal_stack {
	uint64_t address;
	int32_t flags;
	uint32_t unused;
	uint64_t size;
};

struct signals {
	_Atomic uint32_t references;
	struct signal_stack stack;
	uint64_t blocked, pending; /* bit n - 1 is signal n */
	struct signal_action actions[SIGNALS_COUNT];
};

static inline uint64_t signal_bit(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

/* All default, nothing blocked. Returns 0 or -ENOMEM. */
int signals_create(struct signals **signals);
struct signals *signals_share(struct signals *signals);
void signals_release(struct signals *signals); /* NULL is allowed */

/* Copies the table if it is shared. Returns 0 or -ENOMEM. */
int signals_make_own(struct process *process);

/*
 * The process gets a signal (1..64): it is ignored, stays pending while
 * blocked, or ends the run. Returns 0, -ENOMEM, or -ENOSYS (it has a handler).
 */
int signals_raise(struct process *process, int signal);

/* Blocks exactly these; what was pending and no longer blocked is raised. 0 or -ENOMEM. */
int signals_block(struct process *process, uint64_t blocked);

#endif
