/* SPDX-License-Identifier: MIT */
/*
 * Requests of a program whose main() waits for them in a loop: it goes on where
 * it waits, and runs on to the next wait when the request after that comes in.
 */
#include "request_loop.h"

#include "linux/mm.h"
#include "request.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From a response to where main() waits again. */
#define LOOP_TIMEOUT UINT64_C(1000000000)

/* Of the area for texts: what programs for the guest API have always had. */
#define INPUTS_LEAST ((uint64_t)64 << 10)

static const char did_not_wait[] = "VM did not wait for requests after backend request";

int loop_make(struct kvmsb *sandbox)
{
	if (sandbox->loop == NULL)
		sandbox->loop = calloc(1, sizeof(*sandbox->loop));
	if (sandbox->loop == NULL)
		return sandbox_fail(sandbox, -ENOMEM, "out of memory");
	sandbox->loop->translations = &sandbox->space->translations;
	return 0;
}

/* A function that served sockets has returned: what waits, if anything does, is main(). */
static void stop_waiting(struct kvmsb *sandbox)
{
	sandbox->loop_state = LOOP_AT_START;
	if (sandbox->master != NULL)
		sandbox->hypercalls.paused = sandbox->master->hypercalls.paused;
}

int loop_run(struct kvmsb *sandbox, uint64_t timeout, struct kvmsb_result *result)
{
	int failed;

	sandbox_use(sandbox, sandbox->loop);
	sandbox->hypercalls.in_loop = sandbox->in_call = true;
	failed = sandbox_run(sandbox, timeout, result);
	sandbox->hypercalls.in_loop = sandbox->in_call = false;
	if (failed < 0)
		return failed;
	if (result->outcome == KVMSB_OUTCOME_READY)
		sandbox->loop_state = sandbox->master != NULL ? LOOP_WAITS : LOOP_AT_START;
	else if (result->outcome == KVMSB_OUTCOME_HYPERCALL)
		sandbox->loop_state = LOOP_ANSWERED;
	else if (result->outcome == KVMSB_OUTCOME_RETURNED)
		stop_waiting(sandbox);
	return 0;
}

int sandbox_finish_loop(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	struct http_exchange *exchange = sandbox->hypercalls.exchange;
	int failed;

	memset(result, 0, sizeof(*result));
	result->outcome = KVMSB_OUTCOME_READY;
	if (sandbox->loop_state != LOOP_ANSWERED)
		return 0;
	sandbox->hypercalls.exchange = NULL;
	failed = loop_run(sandbox, LOOP_TIMEOUT, result);
	sandbox->hypercalls.exchange = exchange;
	return failed;
}

int sandbox_make_inputs(struct kvmsb *sandbox, uint64_t size, uint64_t *address)
{
	struct hypercalls *hypercalls = &sandbox->hypercalls;
	int result;

	if (size <= hypercalls->inputs_size) {
		*address = hypercalls->inputs_address;
		return 0;
	}
	size = max_u64(size, INPUTS_LEAST);
	*address = 0;
	result = mm_map(&sandbox->process, address, size, SPACE_READ | SPACE_WRITE, 0, NULL, 0);
	if (result < 0)
		return -ENOMEM;
	/* A smaller one before it stays: the guest may still read a request in there. */
	hypercalls->inputs_address = *address;
	hypercalls->inputs_size = size;
	return 0;
}

/* Returns 0, or what guest_write() failed with. */
static int resume_at_start(struct kvmsb *sandbox, uint64_t value)
{
	struct kvmsb_registers at = sandbox->start;
	struct resume_frame frame;

	at.rax = value;
	frame = vcpu_context_resume(sandbox->loop, sandbox->machine, &at);

	return guest_write(&sandbox->process, frame.address, frame.values, sizeof(frame.values));
}

int loop_make_inputs(struct kvmsb *sandbox, struct loop_inputs *inputs)
{
	int failed = sandbox_make_inputs(sandbox, inputs->size, &inputs->address);

	if (failed < 0)
		return failed;
	inputs->block = malloc(inputs->size);
	return inputs->block != NULL ? 0 : -ENOMEM;
}

int loop_give(struct kvmsb *sandbox, const struct loop_inputs *inputs)
{
	struct process *process = &sandbox->process;
	int failed = guest_write(process, inputs->address, inputs->block, inputs->size);

	if (failed == 0)
		failed = guest_write(process, sandbox->hypercalls.wait_address, inputs->block,
		                     inputs->head);
	if (failed < 0)
		return failed;
	if (sandbox->loop_state == LOOP_AT_START)
		return resume_at_start(sandbox, inputs->value);
	sandbox->loop->registers.rax = inputs->value;
	return 0;
}

/* Returns 0, or -EFAULT, -ENOMEM: the guest's own memory. */
static int give_request(struct kvmsb *sandbox, const struct request_parts *parts)
{
	struct loop_inputs inputs = {.size = request_block_size(parts),
	                             .head = REQUEST_BLOCK_HEAD,
	                             .value = HYPERCALL_WAIT_PAUSED};
	int failed = loop_make_inputs(sandbox, &inputs);

	if (failed < 0)
		return failed;
	request_block_fill(parts, inputs.address, inputs.block);
	failed = loop_give(sandbox, &inputs);
	free(inputs.block);
	return failed;
}

static int go_on(struct delivery *delivery)
{
	struct kvmsb *sandbox = delivery->sandbox;
	struct kvmsb_result result = {0};
	struct request_parts parts;
	int failed = delivery_parts(delivery, &parts);

	if (failed < 0)
		return failed;
	failed = give_request(sandbox, &parts);
	if (failed == 0)
		failed = loop_run(sandbox, delivery->timeout, &result);
	else
		failed = call_end_unusable(sandbox, failed, sandbox->hypercalls.wait_address,
		                           &result);
	return delivery_note(delivery, failed, &result);
}

int delivery_resume(struct delivery *delivery)
{
	struct kvmsb_result result;
	int failed = loop_make(delivery->sandbox);

	if (failed == 0)
		failed = sandbox_finish_loop(delivery->sandbox, &result);
	if (failed < 0)
		return failed;
	if (result.outcome != KVMSB_OUTCOME_READY) {
		delivery_note(delivery, 0, &result);
		return delivery_refuse(delivery, STATUS_FAILED, did_not_wait);
	}
	delivery->result.kvm_runs += result.kvm_runs;
	return go_on(delivery);
}
