/* SPDX-License-Identifier: MIT */
/*
 * Entering a function of the guest: its stack, its arguments, its end. What
 * calls (call.c) and requests (request.c) share.
 */
#ifndef KVMSB_CALL_H
#define KVMSB_CALL_H

#include "sandbox.h"

#include <stdint.h>

#define CALL_ARGUMENTS_MAXIMUM 6u

/* The stack of the call at hand: buffers grow down from its end. */
struct call_stack {
	uint64_t start, end;
	uint64_t next; /* lowest address used so far */
};

/* A new stack: what earlier calls left there is gone. */
struct call_stack call_stack_of(struct kvmsb *sandbox);

/*
 * Room for length bytes, aligned to 16; half of the stack stays the function's.
 * Returns 0 with *address set, or -E2BIG.
 */
int call_stack_reserve(struct call_stack *stack, uint64_t length, uint64_t *address);

/* Room with a copy of the bytes. Returns 0, -E2BIG, or what guest_write() failed with. */
int call_stack_push(struct kvmsb *sandbox, struct call_stack *stack, const void *data,
                    uint64_t length, uint64_t *address);

/*
 * The return address, below 16-byte alignment: as a function finds it (psABI
 * 3.2.2). Returns 0, or what guest_write() failed with.
 */
int call_stack_push_return(struct kvmsb *sandbox, struct call_stack *stack);

/*
 * Calls the function with what is on the stack, up to its end, the end of its
 * time, or a hypercall that stops it. failed: of making the stack, which is the
 * guest's doing but for -E2BIG; nothing is run then. Fills result but not size.
 * Returns 0, -E2BIG with its detail, or as sandbox_run().
 */
int call_enter(struct kvmsb *sandbox, int failed, struct call_stack *stack, uint64_t function,
               const uint64_t values[CALL_ARGUMENTS_MAXIMUM], uint64_t timeout_ns,
               struct kvmsb_result *result);

/*
 * As if a function had been entered and failed: guest memory that is needed for
 * it cannot be used (code -EFAULT, at `address`), or there is no more (-ENOMEM).
 * Returns 0.
 */
int call_end_unusable(struct kvmsb *sandbox, int code, uint64_t address,
                      struct kvmsb_result *result);

#endif
