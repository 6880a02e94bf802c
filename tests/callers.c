/* SPDX-License-Identifier: MIT */
/* Calls on threads of their own; see callers.h. */
#include "callers.h"

#include <errno.h>

#define SECOND UINT64_C(1000000000)

uint64_t caller_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void caller_sleep(uint64_t nanoseconds)
{
	struct timespec time = {.tv_sec = (time_t)(nanoseconds / SECOND),
	                        .tv_nsec = (long)(nanoseconds % SECOND)};

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

void caller_call(struct caller *caller)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;

	caller->result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	call.symbol = caller->symbol;
	call.argument_count = 2;
	call.arguments[0].value = caller->numbers[0];
	call.arguments[1].value = caller->numbers[1];
	call.timeout_ns = caller->timeout_ns;
	caller->start = caller_now();
	caller->failed = kvmsb_vmcall(caller->fork, &call, &caller->result);
	caller->end = caller_now();
}

static void *run(void *context)
{
	caller_call(context);
	return NULL;
}

int caller_begin(struct caller *caller)
{
	return pthread_create(&caller->thread, NULL, run, caller);
}

void caller_end(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
}
