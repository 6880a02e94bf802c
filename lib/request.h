/* SPDX-License-Identifier: MIT */
/*
 * A request on its way into the guest: what the files that deliver one
 * (request.c: the whole, request_post.c: its body, request_loop.c: main() that
 * waits for it) have from each other.
 */
#ifndef KVMSB_REQUEST_H
#define KVMSB_REQUEST_H

#include "call.h"
#include "http/exchange.h"
#include "http/request_body.h"
#include "http/request_block.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stdint.h>

/* Statuses of responses that the library makes. */
#define STATUS_FAILED 500
#define STATUS_BODY_REFUSED 503

struct delivery {
	struct kvmsb *sandbox;
	struct kvmsb_http_request request; /* complete: no NULL where a text belongs */
	const char *content_type;   /* "" without a body */
	char *own_content_type;     /* owned; NULL without a body */
	bool has_body;
	uint64_t body, body_length; /* in the guest; body 0: there is none, or it was streamed */
	int (*handle)(struct delivery *); /* the way that the program has for it */
	uint64_t timeout;           /* ns, of each entry */
	const char *failure;        /* what the library found wrong; NULL: `result` says it */
	int failure_status;         /* of the response to that */
	struct kvmsb_result result; /* of the last entry, but for kvm_runs: those of all */
};

/* A function with texts for its first arguments, and numbers behind them. */
struct entry_call {
	uint64_t function;
	const char *texts[3]; /* NULL: no more */
	uint64_t numbers[3];
	unsigned number_count;
	uint64_t timeout; /* ns */
};

static inline struct http_exchange *delivery_exchange(const struct delivery *delivery)
{
	return delivery->sandbox->hypercalls.exchange;
}

static inline uint64_t delivery_entry(const struct delivery *delivery, enum http_entry entry)
{
	return delivery->sandbox->hypercalls.entries[entry];
}

/* Whether the guest has given its response. */
bool delivery_is_answered(const struct delivery *delivery);

/* The request fails: on_error may answer, else this status does. Returns 0. */
int delivery_refuse(struct delivery *delivery, int status, const char *text);

/* Takes over what an entry came to. Returns `failed`. */
int delivery_note(struct delivery *delivery, int failed, const struct kvmsb_result *last);

/* Calls a handler; `stack` may hold what its numbers point to. Returns as sandbox_run(). */
int delivery_enter(struct delivery *delivery, struct call_stack *stack,
                   const struct entry_call *call);

/* What a block (http/request_block.h) is made of. Returns 0 or -errno with its detail. */
int delivery_parts(struct delivery *delivery, struct request_parts *parts);

/*
 * The body: piece by piece to the guest's function for that, or as a whole into
 * its memory. Returns 0, or -errno when the host failed. *over: no handler is to be
 * called; the guest has answered, or delivery says why it failed.
 */
int delivery_body(struct delivery *delivery, bool *over);

/* main() goes on with the request. Returns as sandbox_run(). */
int delivery_resume(struct delivery *delivery);

#endif
