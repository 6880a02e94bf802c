/* SPDX-License-Identifier: MIT */
/*
 * main(), or a function of the guest, that waits in a loop for what comes
 * (wait_for_requests_paused, wait_for_socket_events_paused): how it is given that,
 * and goes on.
 */
#ifndef KVMSB_REQUEST_LOOP_H
#define KVMSB_REQUEST_LOOP_H

#include "sandbox.h"

#include <stdint.h>

/* What it is given: a block of bytes at a guest address, whose first `head` bytes go to where it waits. */
struct loop_inputs {
	uint64_t address; /* of sandbox_make_inputs() */
	void *block;
	uint64_t size, head;
	uint64_t value;   /* that its call returns */
};

/* Its context: made, where there is none. Returns 0 or -ENOMEM with its detail. */
int loop_make(struct kvmsb *sandbox);

/*
 * Room for inputs->size bytes in the guest, and a block to be filled for it, which
 * the caller frees. Returns 0 or -ENOMEM.
 */
int loop_make_inputs(struct kvmsb *sandbox, struct loop_inputs *inputs);

/*
 * Writes the inputs, and prepares the loop to go on. Returns 0, or -EFAULT, -ENOMEM:
 * the guest's memory cannot take them.
 */
int loop_give(struct kvmsb *sandbox, const struct loop_inputs *inputs);

/* Runs it from where it is. Returns as sandbox_run(). */
int loop_run(struct kvmsb *sandbox, uint64_t timeout, struct kvmsb_result *result);

#endif
