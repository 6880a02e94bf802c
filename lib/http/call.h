/* SPDX-License-Identifier: MIT */
/*
 * One hypercall on its way through its handler, and what handlers share:
 * checked access to guest memory and ways to end a call. Internal to http/.
 *
 * A handler returns 0 when it is through (call->action and *call->result say
 * what it did; by default the guest goes on with RAX unchanged), and below
 * zero when it failed: action and detail are set by then.
 */
#ifndef KVMSB_HTTP_CALL_H
#define KVMSB_HTTP_CALL_H

#include "hypercalls.h"

#include <stdbool.h>
#include <stdint.h>

struct call {
	struct hypercalls *hypercalls;
	struct process *process;
	uint32_t number;
	const char *name; /* NULL: there is no such call */
	const char *format; /* of its arguments, for traces */
	const uint64_t *arguments;
	uint64_t *result;
	enum hypercall_action action;
};

/* Whether there is a request at hand, for what asks about it or changes it. */
bool call_has_request(const struct call *call);

/* The guest broke a rule. Returns -EPERM. */
__attribute__((format(printf, 2, 3))) int call_deny(struct call *call, const char *format, ...);

/* The host has no more memory: the run ends so. Returns -ENOMEM. */
int call_no_memory(struct call *call);

/*
 * Copies `length` bytes out of the guest or into it. A range that the guest
 * could not use itself is denied; a memory limit ends the run. Returns 0 or
 * below zero, as a handler.
 */
int call_read(struct call *call, uint64_t address, void *data, uint64_t length);
int call_write(struct call *call, uint64_t address, const void *data, uint64_t length);

/*
 * As call_read(), into memory of its own with a NUL behind it; free() it. The
 * guest's length is believed only as far as its memory has been read.
 */
int call_read_allocated(struct call *call, uint64_t address, uint64_t length, void **data);

/* As call_read(), in place: see guest_content(); guest_pieces(), of a prefix. */
struct guest_content;
struct guest_piece;
int call_pieces(struct call *call, uint64_t address, uint64_t length, struct guest_piece *piece,
                unsigned maximum, unsigned *count);
int call_content(struct call *call, uint64_t address, uint64_t length,
                 struct guest_content *content);

/*
 * Around a function of the host (hypercalls->config->ops): the vCPU is given
 * back meanwhile, and who owns guest memory may change its content, but nothing
 * else of it. Begin: 0 with the context filled, end: 0; or below zero, as a handler:
 * the run is over.
 */
int call_host_begin(struct call *call, struct kvmsb_http_context *context);
int call_host_end(struct call *call);

/*
 * Tells the host's trace function, which there is. answered: the call has a
 * result. duration: of the handler, in ns.
 */
void call_trace(const struct call *call, bool answered, uint64_t duration);

/* Of numbers without a row. */
int call_unsupported(struct call *call);

#define HYPERCALL(number, name, format, when, handler, note) int call_##handler(struct call *call);
/* One prototype for each row; handlers of several rows are declared more than once. */
#include "hypercalls.def"
#undef HYPERCALL

#endif
