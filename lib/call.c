/* SPDX-License-Identifier: MIT */
/*
 * Calling a function of the guest: arguments on a fresh stack, registers, the
 * return.
 */
#include "call.h"

#include "layout.h"
#include "linux/mm.h"
#include "sized.h"
#include "x86.h"

#include <errno.h>
#include <string.h>

/* Of each buffer on the call's stack; psABI 3.2.2 wants it of RSP. */
#define BUFFER_ALIGNMENT 16u

int sandbox_check_callable(struct kvmsb *sandbox)
{
	switch (sandbox->state) {
	case SANDBOX_READY:
		/* A freeze that failed half-way can be tried again, and nothing else. */
		if (sandbox->space->table.frozen)
			return sandbox_fail(sandbox, -EROFS, "half frozen: freeze it again");
		return 0;
	case SANDBOX_FORK:
		return 0;
	case SANDBOX_MASTER:
		return sandbox_fail(sandbox, -EROFS, "a master never runs: fork it");
	case SANDBOX_EXITED:
	case SANDBOX_OVER:
		return sandbox_fail(sandbox, -ESRCH, "the program is over");
	case SANDBOX_FORK_OVER:
		return sandbox_fail(sandbox, -ESRCH, "the fork is over: reset it");
	case SANDBOX_NEW:
		break;
	}
	return sandbox_fail(sandbox, -EINVAL, "the program has not run yet");
}

struct call_stack call_stack_of(struct kvmsb *sandbox)
{
	struct call_stack stack;

	mm_call_stack(&sandbox->process, &stack.start, &stack.end);
	stack.next = stack.end;
	return stack;
}

int call_stack_reserve(struct call_stack *stack, uint64_t length, uint64_t *address)
{
	uint64_t room = stack->next - (stack->start + (stack->end - stack->start) / 2);

	if (length > room || room - length < BUFFER_ALIGNMENT)
		return -E2BIG;
	stack->next = align_down(stack->next - length, BUFFER_ALIGNMENT);
	*address = stack->next;
	return 0;
}

int call_stack_push(struct kvmsb *sandbox, struct call_stack *stack, const void *data,
                    uint64_t length, uint64_t *address)
{
	int result = call_stack_reserve(stack, length, address);

	return result < 0 ? result : guest_write(&sandbox->process, *address, data, length);
}

static uint64_t argument_length(const struct kvmsb_argument *argument)
{
	if (argument->kind == KVMSB_ARGUMENT_STRING)
		return argument->input == NULL ? 0 : strlen(argument->input) + 1;
	return argument->length;
}

static const void *argument_source(const struct kvmsb_argument *argument)
{
	return argument->kind == KVMSB_ARGUMENT_INOUT ? argument->output : argument->input;
}

static bool goes_in(const struct kvmsb_argument *argument)
{
	return argument->kind != KVMSB_ARGUMENT_OUT;
}

static bool comes_back(const struct kvmsb_argument *argument)
{
	return argument->kind == KVMSB_ARGUMENT_OUT || argument->kind == KVMSB_ARGUMENT_INOUT;
}

static bool argument_is_sound(const struct kvmsb_argument *argument)
{
	switch (argument->kind) {
	case KVMSB_ARGUMENT_VALUE:
		return true;
	case KVMSB_ARGUMENT_STRING:
		return argument->input != NULL;
	case KVMSB_ARGUMENT_IN:
		return argument->input != NULL || argument->length == 0;
	case KVMSB_ARGUMENT_OUT:
	case KVMSB_ARGUMENT_INOUT:
		return argument->output != NULL || argument->length == 0;
	}
	return false;
}

static int place_argument(struct kvmsb *sandbox, struct call_stack *stack,
                          const struct kvmsb_argument *argument, uint64_t *value)
{
	uint64_t length;
	int result;

	*value = argument->value;
	if (argument->kind == KVMSB_ARGUMENT_VALUE)
		return 0;
	length = argument_length(argument);
	result = call_stack_reserve(stack, length, value);
	if (result < 0)
		return result;
	return goes_in(argument)
	               ? guest_write(&sandbox->process, *value, argument_source(argument), length)
	               : guest_zero(&sandbox->process, *value, length);
}

/* What the guest has taken away from under its own results is zeros. */
static void fetch_arguments(struct kvmsb *sandbox, const struct kvmsb_argument *arguments,
                            size_t count, const uint64_t *values)
{
	for (size_t i = 0; i < count; i++) {
		const struct kvmsb_argument *argument = &arguments[i];

		if (comes_back(argument) && argument->length > 0 &&
		    guest_read(&sandbox->process, values[i], argument->output, argument->length) < 0)
			memset(argument->output, 0, argument->length);
	}
}

static void begin(struct kvmsb *sandbox, uint64_t function, const uint64_t *values, uint64_t stack)
{
	const struct kvmsb_registers arguments = {
		.rdi = values[0],
		.rsi = values[1],
		.rdx = values[2],
		.rcx = values[3],
		.r8 = values[4],
		.r9 = values[5],
		.rsp = stack,
		.fs_base = sandbox->start.fs_base,
		.gs_base = sandbox->start.gs_base,
	};

	vcpu_context_begin(&sandbox->context, sandbox->machine, function, &arguments);
}

int call_stack_push_return(struct kvmsb *sandbox, struct call_stack *stack)
{
	const uint64_t address = LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN;

	stack->next = align_down(stack->next, BUFFER_ALIGNMENT) - sizeof(address);
	return guest_write(&sandbox->process, stack->next, &address, sizeof(address));
}

int call_end_unusable(struct kvmsb *sandbox, int code, uint64_t address, struct kvmsb_result *result)
{
	memset(result, 0, sizeof(*result));
	result->outcome = KVMSB_OUTCOME_OUT_OF_MEMORY;
	if (code == -EFAULT) {
		result->outcome = KVMSB_OUTCOME_FAULTED;
		result->fault.vector = VECTOR_PF;
		result->fault.error_code = (uint32_t)(FAULT_WRITE | FAULT_USER);
		result->fault.address = address;
	}
	sandbox_fail(sandbox, code, "what the host gives the guest cannot be written");
	sandbox_count(sandbox, COUNTER_calls);
	sandbox_count_outcome(sandbox, result->outcome);
	sandbox->state = sandbox->master != NULL ? SANDBOX_FORK_OVER : SANDBOX_OVER;
	return 0;
}

int call_enter(struct kvmsb *sandbox, int failed, struct call_stack *stack, uint64_t function,
               const uint64_t values[CALL_ARGUMENTS_MAXIMUM], uint64_t timeout_ns,
               struct kvmsb_result *result)
{
	if (failed == 0)
		failed = call_stack_push_return(sandbox, stack);
	if (failed == -E2BIG)
		return sandbox_fail(sandbox, failed, "arguments do not fit a half of the stack");
	if (failed < 0)
		return call_end_unusable(sandbox, failed, stack->next, result);
	sandbox_use(sandbox, &sandbox->context);
	begin(sandbox, function, values, stack->next);
	sandbox->in_call = true;
	failed = sandbox_run(sandbox, timeout_ns, result);
	sandbox->in_call = false;
	return failed;
}

static int place_arguments(struct kvmsb *sandbox, struct call_stack *stack,
                           const struct kvmsb_argument *arguments, size_t count, uint64_t *values)
{
	int result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = place_argument(sandbox, stack, &arguments[i], &values[i]);
	return result;
}

static int call_function(struct kvmsb *sandbox, const struct kvmsb_call *call,
                         struct kvmsb_result *result)
{
	const uint64_t timeout = call->timeout_ns != 0 ? call->timeout_ns
	                                               : sandbox->program->options.call_timeout_ns;
	struct call_stack stack = call_stack_of(sandbox);
	uint64_t values[CALL_ARGUMENTS_MAXIMUM] = {0};
	int failed = place_arguments(sandbox, &stack, call->arguments, call->argument_count, values);

	failed = call_enter(sandbox, failed, &stack, call->address, values, timeout, result);
	if (failed == 0 && (result->outcome == KVMSB_OUTCOME_RETURNED ||
	                    result->outcome == KVMSB_OUTCOME_HYPERCALL))
		fetch_arguments(sandbox, call->arguments, call->argument_count, values);
	return failed;
}

static int check_call(struct kvmsb *sandbox, const struct kvmsb_call *theirs, struct kvmsb_call *call)
{
	int result = sized_copy_in(call, sizeof(*call), SIZE_THROUGH(struct kvmsb_call, timeout_ns),
	                           theirs);

	if (result < 0)
		return sandbox_fail(sandbox, result, "call.size is not one this library knows");
	if (call->argument_count > CALL_ARGUMENTS_MAXIMUM)
		return sandbox_fail(sandbox, -EINVAL, "call.argument_count: %zu is more than %u",
		                    call->argument_count, CALL_ARGUMENTS_MAXIMUM);
	for (size_t i = 0; i < call->argument_count; i++)
		if (!argument_is_sound(&call->arguments[i]))
			return sandbox_fail(sandbox, -EINVAL, "call.arguments[%zu] is not sound", i);
	if (call->symbol == NULL)
		return 0;
	result = kvmsb_symbol(sandbox, call->symbol, &call->address);
	if (result < 0)
		return sandbox_fail(sandbox, result, "no symbol \"%s\"", call->symbol);
	return 0;
}

static int check_result(struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	return sized_check_out(result) < 0 ? sandbox_fail(sandbox, -EINVAL, "result.size is not set")
	                                   : 0;
}

int kvmsb_vmcall(struct kvmsb *sandbox, const struct kvmsb_call *theirs, struct kvmsb_result *result)
{
	struct kvmsb_result own = {0};
	struct kvmsb_call call;
	int failed = sandbox_check_idle(sandbox);

	if (failed == 0)
		failed = sandbox_check_callable(sandbox);
	if (failed == 0)
		failed = check_result(sandbox, result);
	if (failed == 0)
		failed = check_call(sandbox, theirs, &call);
	if (failed < 0)
		return failed;
	sandbox_end_exchange(sandbox);
	failed = call_function(sandbox, &call, &own);
	sized_copy_out(result, &own, sizeof(own));
	return sandbox_finish(sandbox, failed);
}
