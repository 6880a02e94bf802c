/* SPDX-License-Identifier: MIT */
/*
 * Requests of a program whose main() waits for them in a loop: it goes on where
 * it waits, and runs on to the next wait when the request after that comes in.
 */
#include "request.h"

#include "linux/mm.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* From a response to where main() waits again. */
#define LOOP_TIMEOUT UINT64_C(1000000000)

/* Of the area for texts: what programs for the guest API have always had. */
#define INPUTS_LEAST ((uint64_t)64 << 10)

static const char did_not_wait[] = "VM did not wait for requests after backend request";

static int make_loop(struct kvmsb *sandbox)
{
	if (sandbox->loop == NULL)
		sandbox->loop = calloc(1, sizeof(*sandbox->loop));
	if (sandbox->loop == NULL)
		return sandbox_fail(sandbox, -ENOMEM, "out of memory");
	sandbox->loop->translations = &sandbox->space->translations;
	return 0;
}

/* Runs it from where it is. */
static int run_loop(struct kvmsb *sandbox, uint64_t timeout, struct kvmsb_result *result)
{
	int failed;

	sandbox_use(sandbox, sandbox->loop);
	sandbox->hypercalls.in_loop = true;
	failed = sandbox_run(sandbox, timeout, result);
	sandbox->hypercalls.in_loop = false;
	if (failed < 0)
		return failed;
	if (result->outcome == KVMSB_OUTCOME_READY)
		sandbox->loop_state = sandbox->master != NULL ? LOOP_WAITS : LOOP_AT_START;
	else if (result->outcome == KVMSB_OUTCOME_HYPERCALL)
		sandbox->loop_state = LOOP_ANSWERED;
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
	failed = run_loop(sandbox, LOOP_TIMEOUT, result);
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
static int resume_at_start(struct kvmsb *sandbox)
{
	const struct resume_frame frame = vcpu_context_resume(sandbox->loop, sandbox->machine,
	                                                      &sandbox->start);
	const uint64_t values[2] = {frame.rdx, frame.rip};

	return guest_write(&sandbox->process, frame.address, values, sizeof(values));
}

/* The texts into the area for them, the struct to where the guest waits for it. */
static int write_inputs(struct kvmsb *sandbox, const void *block, uint64_t size, uint64_t address)
{
	int failed = guest_write(&sandbox->process, address, block, size);

	if (failed == 0)
		failed = guest_write(&sandbox->process, sandbox->hypercalls.wait_address, block,
		                     REQUEST_BLOCK_HEAD);
	if (failed == 0 && sandbox->loop_state == LOOP_AT_START)
		failed = resume_at_start(sandbox);
	return failed;
}

/* Returns 0, or -EFAULT, -ENOMEM: the guest's own memory. */
static int give_inputs(struct kvmsb *sandbox, const struct request_parts *parts)
{
	uint64_t size = request_block_size(parts), address;
	int failed = sandbox_make_inputs(sandbox, size, &address);
	void *block;

	if (failed < 0)
		return failed;
	block = malloc(size);
	if (block == NULL)
		return -ENOMEM;
	request_block_fill(parts, address, block);
	failed = write_inputs(sandbox, block, size, address);
	free(block);
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
	failed = give_inputs(sandbox, &parts);
	if (failed == 0)
		failed = run_loop(sandbox, delivery->timeout, &result);
	else
		failed = call_end_unusable(sandbox, failed, sandbox->hypercalls.wait_address,
		                           &result);
	return delivery_note(delivery, failed, &result);
}

int delivery_resume(struct delivery *delivery)
{
	struct kvmsb_result result;
	int failed = make_loop(delivery->sandbox);

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
