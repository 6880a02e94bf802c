/* SPDX-License-Identifier: MIT */
/*
 * Signals: dispositions, masks, the alternate stack, and sending to oneself.
 * man 2 sigaction, sigprocmask, sigaltstack, kill, tgkill, pause.
 */
#include "deadline.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SET_SIZE sizeof(uint64_t)

static bool is_signal(int signal)
{
	return signal >= 1 && signal <= SIGNALS_COUNT;
}

/*
 * Dispositions.
 */

static int64_t set_action(struct process *process, int signal, struct signal_action *action)
{
	int error;

	if (signal == SIGKILL || signal == SIGSTOP)
		return -EINVAL;
	error = signals_make_own(process);
	if (error)
		return error;
	action->mask &= ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP));
	process->signals->actions[signal - 1] = *action;
	/* man 7 signal: ignoring a signal discards one that is pending. */
	if (action->handler == 1)
		process->signals->pending &= ~signal_bit(signal);
	return 0;
}

int64_t sys_rt_sigaction(struct process *process, const uint64_t arguments[6])
{
	int signal = (int)arguments[0];
	struct signal_action action, before;
	int64_t error = 0;

	if (arguments[3] != SET_SIZE)
		return -EINVAL;
	if (arguments[1])
		error = guest_read(process, arguments[1], &action, sizeof(action));
	if (error)
		return error;
	if (!is_signal(signal))
		return -EINVAL;
	before = process->signals->actions[signal - 1];
	if (arguments[1])
		error = set_action(process, signal, &action);
	if (!error && arguments[2])
		error = guest_write(process, arguments[2], &before, sizeof(before));
	return error;
}

/*
 * Masks.
 */

static int64_t change_mask(struct process *process, int how, uint64_t set)
{
	uint64_t blocked = process->signals->blocked;

	switch (how) {
	case SIG_BLOCK:
		return signals_block(process, blocked | set);
	case SIG_UNBLOCK:
		return signals_block(process, blocked & ~set);
	case SIG_SETMASK:
		return signals_block(process, set);
	default:
		return -EINVAL;
	}
}

int64_t sys_rt_sigprocmask(struct process *process, const uint64_t arguments[6])
{
	uint64_t set, before = process->signals->blocked;
	int64_t error = 0;

	if (arguments[3] != SET_SIZE)
		return -EINVAL;
	if (arguments[1]) {
		error = guest_read(process, arguments[1], &set, sizeof(set));
		if (!error)
			error = change_mask(process, (int)arguments[0], set);
	}
	if (!error && arguments[2])
		error = guest_write(process, arguments[2], &before, sizeof(before));
	return error;
}

int64_t sys_rt_sigpending(struct process *process, const uint64_t arguments[6])
{
	uint64_t pending = process->signals->pending & process->signals->blocked;

	if (arguments[1] > SET_SIZE)
		return -EINVAL;
	return guest_write(process, arguments[0], &pending, arguments[1]);
}

/*
 * The alternate stack: man 2 sigaltstack.
 */

#define STACK_MINIMUM 2048
#define STACK_FLAG_DISARM (1u << 31) /* SS_AUTODISARM */

static int64_t set_stack(struct process *process, struct signal_stack *stack)
{
	uint32_t mode = (uint32_t)stack->flags & ~STACK_FLAG_DISARM;
	int error;

	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		stack->address = 0;
		stack->size = 0;
	} else if (stack->size < STACK_MINIMUM) {
		return -ENOMEM;
	}
	error = signals_make_own(process);
	if (error)
		return error;
	process->signals->stack = *stack;
	process->signals->stack.unused = 0;
	return 0;
}

int64_t sys_sigaltstack(struct process *process, const uint64_t arguments[6])
{
	struct signal_stack stack, before = process->signals->stack;
	int64_t error = 0;

	if (arguments[0]) {
		error = guest_read(process, arguments[0], &stack, sizeof(stack));
		if (!error)
			error = set_stack(process, &stack);
	}
	if (!error && arguments[1])
		error = guest_write(process, arguments[1], &before, sizeof(before));
	return error;
}

/*
 * Sending.
 */

static int64_t send_to(struct process *process, bool exists, uint64_t number)
{
	int signal = (int)number;

	/* Linux looks for the process first. */
	if (!exists)
		return -ESRCH;
	if (signal != 0 && !is_signal(signal))
		return -EINVAL;
	return signal ? signals_raise(process, signal) : 0;
}

/* man 2 kill: 0 and -PROCESS_ID are its own process group; -1 is everybody else. */
int64_t sys_kill(struct process *process, const uint64_t arguments[6])
{
	int32_t id = (int32_t)arguments[0];

	return send_to(process, id == PROCESS_ID || id == 0 || id == -PROCESS_ID, arguments[1]);
}

int64_t sys_tkill(struct process *process, const uint64_t arguments[6])
{
	int32_t id = (int32_t)arguments[0];

	return id <= 0 ? -EINVAL : send_to(process, id == PROCESS_ID, arguments[1]);
}

int64_t sys_tgkill(struct process *process, const uint64_t arguments[6])
{
	int32_t group = (int32_t)arguments[0], id = (int32_t)arguments[1];

	if (group <= 0 || id <= 0)
		return -EINVAL;
	return send_to(process, group == PROCESS_ID && id == PROCESS_ID, arguments[2]);
}

/*
 * Waiting for one: none comes from outside.
 */

int64_t sys_pause(struct process *process, const uint64_t arguments[6])
{
	(void)arguments;
	return deadline_sleep(process, DEADLINE_NEVER);
}

int64_t sys_rt_sigsuspend(struct process *process, const uint64_t arguments[6])
{
	uint64_t mask;
	int error;

	if (arguments[1] != SET_SIZE)
		return -EINVAL;
	error = guest_read(process, arguments[0], &mask, sizeof(mask));
	if (!error)
		error = signals_block(process, mask);
	if (!error && process->end == PROCESS_RUNS)
		error = deadline_sleep(process, DEADLINE_NEVER);
	return error;
}
