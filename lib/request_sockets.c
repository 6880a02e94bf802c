/* SPDX-License-Identifier: MIT */
/*
 * Events on connections of the host's, for guests that wait for them in a loop:
 * main(), or the function that a program has for that.
 */
#include "call.h"
#include "http/socket_event.h"
#include "request_loop.h"
#include "sized.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAXIMUM ((size_t)1 << 20)

static const char *text_of(const char *text)
{
	return text != NULL ? text : "";
}

static uint64_t size_of(const struct kvmsb_socket_event *events, size_t count)
{
	uint64_t size = count * sizeof(struct socket_event);

	for (size_t i = 0; i < count; i++)
		size += strlen(text_of(events[i].remote)) + strlen(text_of(events[i].argument)) +
		        2 + events[i].data_length;
	return size;
}

/* Returns the guest's address of the copy. */
static uint64_t add(const struct loop_inputs *inputs, uint64_t *used, const void *bytes, size_t length)
{
	uint64_t address = inputs->address + *used;

	if (length > 0)
		memcpy((uint8_t *)inputs->block + *used, bytes, length);
	*used += length;
	return address;
}

static void fill(struct loop_inputs *inputs, const struct kvmsb_socket_event *events, size_t count)
{
	uint64_t used = inputs->head;

	for (size_t i = 0; i < count; i++) {
		const struct kvmsb_socket_event *event = &events[i];
		const char *remote = text_of(event->remote), *argument = text_of(event->argument);
		const struct socket_event copy = {
			.descriptor = event->descriptor,
			.event = event->kind,
			.remote = add(inputs, &used, remote, strlen(remote) + 1),
			.argument = add(inputs, &used, argument, strlen(argument) + 1),
			.data = event->data_length > 0
		                        ? add(inputs, &used, event->data, event->data_length)
		                        : 0,
			.length = event->data_length,
		};

		memcpy((uint8_t *)inputs->block + i * sizeof(copy), &copy, sizeof(copy));
	}
}

/* Returns 0, or -EFAULT, -ENOMEM: the guest's own memory. */
static int give_events(struct kvmsb *sandbox, const struct kvmsb_socket_event *events, size_t count)
{
	struct loop_inputs inputs = {.size = size_of(events, count),
	                             .head = count * sizeof(struct socket_event),
	                             .value = count};
	int failed = loop_make_inputs(sandbox, &inputs);

	if (failed < 0)
		return failed;
	fill(&inputs, events, count);
	failed = loop_give(sandbox, &inputs);
	free(inputs.block);
	return failed;
}

static uint64_t limit_of(const struct kvmsb *sandbox, uint64_t timeout_ns)
{
	return timeout_ns != 0 ? timeout_ns : sandbox->program->options.call_timeout_ns;
}

static int check(struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	int failed = sandbox_check_idle(sandbox);

	if (failed == 0)
		failed = sandbox_check_callable(sandbox);
	if (failed == 0 && sized_check_out(result) < 0)
		failed = sandbox_fail(sandbox, -EINVAL, "result.size is not set");
	return failed;
}

static int check_events(struct kvmsb *sandbox, const struct kvmsb_socket_event *events, size_t count)
{
	if (events == NULL || count == 0)
		return sandbox_fail(sandbox, -EINVAL, "there are no events");
	for (size_t i = 0; i < count; i++)
		if (events[i].data_length > DATA_MAXIMUM ||
		    (events[i].data_length > 0 && events[i].data == NULL))
			return sandbox_fail(sandbox, -EINVAL, "events[%zu]: no data, or too much", i);
	if (!sandbox->hypercalls.paused || sandbox->loop_state == LOOP_ANSWERED)
		return sandbox_fail(sandbox, -EINVAL, "no function of the guest waits for events");
	return loop_make(sandbox);
}

int kvmsb_socket_events(struct kvmsb *sandbox, const struct kvmsb_socket_event *events,
                        size_t count, uint64_t timeout_ns, struct kvmsb_result *result)
{
	struct kvmsb_result own = {0};
	int failed = check(sandbox, result);

	if (failed < 0)
		return failed;
	count = min_u64(count, SOCKET_EVENTS_MAXIMUM);
	failed = check_events(sandbox, events, count);
	if (failed < 0)
		return failed;
	count = min_u64(count, max_u64(1, sandbox->hypercalls.wait_count));
	sandbox_end_exchange(sandbox);
	failed = give_events(sandbox, events, count);
	if (failed == 0)
		failed = loop_run(sandbox, limit_of(sandbox, timeout_ns), &own);
	else
		failed = call_end_unusable(sandbox, failed, sandbox->hypercalls.wait_address, &own);
	sized_copy_out(result, &own, sizeof(own));
	failed = sandbox_finish(sandbox, failed);
	return failed < 0 ? failed : (int)count;
}

/* The function runs as what waits, not as a call: it goes on there. */
static void enter(struct kvmsb *fork, uint64_t function, int system, const struct call_stack *stack)
{
	const struct kvmsb_registers arguments = {
		.rdi = (uint64_t)(int64_t)system,
		.rsp = stack->next,
		.fs_base = fork->start.fs_base,
		.gs_base = fork->start.gs_base,
	};

	machine_context_forget(fork->machine, fork->loop);
	vcpu_context_begin(fork->loop, fork->machine, function, &arguments);
}

int kvmsb_socket_prepare(struct kvmsb *fork, int system, uint64_t timeout_ns,
                         struct kvmsb_result *result)
{
	const uint64_t function = fork->hypercalls.entries[HTTP_ENTRY_SOCKET_PAUSE];
	struct call_stack stack;
	struct kvmsb_result own = {0};
	int failed = check(fork, result);

	if (failed == 0 && fork->master == NULL)
		failed = sandbox_fail(fork, -EINVAL, "only a fork serves sockets");
	if (failed == 0 && function == 0)
		failed = sandbox_fail(fork, -EOPNOTSUPP, "the program has no function for sockets");
	if (failed == 0)
		failed = loop_make(fork);
	if (failed < 0)
		return failed;
	stack = call_stack_of(fork);
	failed = call_stack_push_return(fork, &stack);
	if (failed < 0) {
		failed = call_end_unusable(fork, failed, stack.next, &own);
	} else {
		enter(fork, function, system, &stack);
		failed = loop_run(fork, limit_of(fork, timeout_ns), &own);
	}
	sized_copy_out(result, &own, sizeof(own));
	return sandbox_finish(fork, failed);
}
