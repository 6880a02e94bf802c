/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls about what a sandbox does not have: a storage beside it, further
 * processors, a debugger. They answer as the guest API says where a program is
 * run without.
 */
#include "log_call.h"

#include "../util.h"

#define CALL_BUFFERS_MAXIMUM 64u
#define TASK_ARGUMENT_MAXIMUM ((uint64_t)2 << 20)
#define TIMERS_MAXIMUM 15u

static int no_storage(struct call *call)
{
	return call_deny(call, "Storage not initialized");
}

int call_storage_callv(struct call *call)
{
	if (call->arguments[1] > CALL_BUFFERS_MAXIMUM)
		return call_refuse(call);
	return no_storage(call);
}

/*
 * A timer asks for the storage when it is over, and who started it does not
 * hear what became of that. One that runs once is over without it.
 */
static int start_timer(struct call *call, bool repeats)
{
	struct hypercalls *hypercalls = call->hypercalls;

	for (uint8_t i = 0; i < TIMERS_MAXIMUM; i++) {
		const uint16_t slot = (uint16_t)(1u << i);

		if ((hypercalls->timers & slot) != 0)
			continue;
		if (repeats)
			hypercalls->timers |= slot;
		if (hypercalls->timers_known <= i)
			hypercalls->timers_known = (uint8_t)(i + 1);
		*call->result = i;
		return 0;
	}
	return call_refuse(call);
}

int call_storage_task(struct call *call)
{
	const uint64_t length = call->arguments[2];
	const uint64_t start = call->arguments[3], period = call->arguments[4];

	if (length > TASK_ARGUMENT_MAXIMUM)
		return call_deny(call, "String buffer too large");
	if (start == 0 && period == 0)
		return no_storage(call);
	return start_timer(call, period != 0);
}

int call_stop_storage_task(struct call *call)
{
	struct hypercalls *hypercalls = call->hypercalls;
	const uint64_t timer = call->arguments[0];

	*call->result = timer < hypercalls->timers_known;
	if (*call->result != 0)
		hypercalls->timers &= (uint16_t) ~(1u << timer);
	return 0;
}

/* The guest stops, as a storage does: what it answered stands in its registers. */
int call_storage_return(struct call *call)
{
	if (!call->hypercalls->ready)
		return call_deny(call, "Program did not wait for requests");
	call->action = HYPERCALL_STOP;
	return 0;
}

int call_multiprocess(struct call *call)
{
	*call->result = UINT64_MAX;
	return log_call_line(call, "%s(): there is one processor", call->name);
}

int call_breakpoint(struct call *call)
{
	return log_call_line(call, "%s(): no debugger listens", call->name);
}
