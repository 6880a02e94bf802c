/* SPDX-License-Identifier: MIT */
/*
 * The signal table of a process and what a signal does to it: man 7 signal.
 */
#include "signals.h"

#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bits of signals_raise() and friends; SIGKILL and SIGSTOP are never blocked or caught. */
#define BIT(signal) (UINT64_C(1) << ((signal)-1))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define IGNORED_BY_DEFAULT (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH))
#define STOPS_BY_DEFAULT (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))

#define HANDLER_DEFAULT 0
#define HANDLER_IGNORE 1

int signals_create(struct signals **signals)
{
	struct signals *created = calloc(1, sizeof(*created));

	if (!created)
		return -ENOMEM;
	atomic_init(&created->references, 1);
	created->stack.flags = SS_DISABLE;
	*signals = created;
	return 0;
}

struct signals *signals_share(struct signals *signals)
{
	atomic_fetch_add_explicit(&signals->references, 1, memory_order_relaxed);
	return signals;
}

void signals_release(struct signals *signals)
{
	if (signals && atomic_fetch_sub_explicit(&signals->references, 1, memory_order_acq_rel) == 1)
		free(signals);
}

int signals_make_own(struct process *process)
{
	struct signals *own;

	if (atomic_load_explicit(&process->signals->references, memory_order_acquire) == 1)
		return 0;
	own = malloc(sizeof(*own));
	if (!own)
		return -ENOMEM;
	own->stack = process->signals->stack;
	own->blocked = process->signals->blocked;
	own->pending = process->signals->pending;
	memcpy(own->actions, process->signals->actions, sizeof(own->actions));
	atomic_init(&own->references, 1);
	signals_release(process->signals);
	process->signals = own;
	return 0;
}

static bool is_ignored(const struct process *process, int signal)
{
	uint64_t handler = process->signals->actions[signal - 1].handler;

	return handler == HANDLER_IGNORE ||
	       (handler == HANDLER_DEFAULT && (signal_bit(signal) & IGNORED_BY_DEFAULT));
}

/* A stopped process would wait for a SIGCONT that nobody can send. */
static int act_by_default(struct process *process, int signal)
{
	if (signal_bit(signal) & STOPS_BY_DEFAULT) {
		deadline_sleep(process, DEADLINE_NEVER);
		return 0;
	}
	process->end = PROCESS_KILLED;
	process->exit_signal = signal;
	return 0;
}

static int deliver(struct process *process, int signal)
{
	if (is_ignored(process, signal))
		return 0;
	if (process->signals->actions[signal - 1].handler != HANDLER_DEFAULT)
		return -ENOSYS;
	return act_by_default(process, signal);
}

int signals_raise(struct process *process, int signal)
{
	int error;

	if (!(process->signals->blocked & signal_bit(signal)))
		return deliver(process, signal);
	error = signals_make_own(process);
	if (!error)
		process->signals->pending |= signal_bit(signal);
	return error;
}

int signals_block(struct process *process, uint64_t blocked)
{
	struct signals *signals;
	int error;

	blocked &= ~UNBLOCKABLE;
	if (blocked == process->signals->blocked)
		return 0;
	error = signals_make_own(process);
	if (error)
		return error;
	signals = process->signals;
	signals->blocked = blocked;
	for (int signal = 1; signal <= SIGNALS_COUNT && process->end == PROCESS_RUNS; signal++) {
		if (!(signals->pending & ~blocked & signal_bit(signal)))
			continue;
		signals->pending &= ~signal_bit(signal);
		deliver(process, signal);
	}
	return 0;
}
