/* SPDX-License-Identifier: MIT */
/*
 * The guest API's host side: what a hypercall of guest/kvm_api.h does. Works on
 * an emulated process and the request at hand; knows nothing of vCPUs, spaces
 * or the sandbox, which routes hypercalls here and ends the run when told to.
 */
#ifndef KVMSB_HTTP_HYPERCALLS_H
#define KVMSB_HTTP_HYPERCALLS_H

#include "../linux/process.h"
#include "config.h"
#include "request_body.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stdint.h>

/* Entries of register_func(), by index. */
enum http_entry {
	HTTP_ENTRY_GET = 1,
	HTTP_ENTRY_POST = 2,
	HTTP_ENTRY_REQUEST = 3,
	HTTP_ENTRY_STREAM_POST = 4,
	HTTP_ENTRY_ERROR = 5,
	HTTP_ENTRY_SOCKET_PAUSE = 12,
	HTTP_ENTRY_COUNT = 13
};

/* What is in RAX when wait_for_requests_paused() returns: its number. */
#define HYPERCALL_WAIT_PAUSED 0x10002u

/* What the run does after a hypercall. */
enum hypercall_action {
	HYPERCALL_CONTINUE, /* *result goes to RAX, unless process->end says that the run is over */
	HYPERCALL_READY,    /* the guest waits for requests */
	HYPERCALL_STOP,     /* there is a response: the guest stops here */
	HYPERCALL_DENIED,   /* a rule was broken: `detail` says which */
};

struct http_exchange; /* request fields, response; http/exchange.c */
struct regex_table;   /* http/regex_table.h */

struct hypercalls {
	const struct http_config *config; /* never NULL while the guest runs */
	uint64_t entries[HTTP_ENTRY_COUNT]; /* guest addresses; 0: none */
	bool ready;                         /* has waited: no more register_func() */
	bool paused;                        /* main() waits in a loop, for what it gets at: */
	uint64_t wait_address, wait_count;  /* first arguments of its last wait: hostile */
	bool in_loop;                       /* that loop is what runs */
	uint64_t inputs_address, inputs_size; /* guest memory for texts of requests to it; size 0: none yet */
	bool persistent;                    /* sys_make_ephemeral(0): not to be reset after each request */
	uint8_t timers_known;               /* timers that were ever started have numbers below */
	uint16_t timers;                    /* those that still repeat, a bit each */
	uint64_t logged;                    /* bytes that sys_log() has passed on, of a run without request */
	struct http_exchange *exchange;     /* NULL: no request at hand */
	struct body_region body;            /* where bodies of requests go */
	struct regex_table *regexes;        /* by handle; a fork's is its master's until it changes; NULL: none */
	char detail[160];                   /* why DENIED */
};

/* All zero is the state of a new sandbox. A fork starts with its master's, but without a request. */
void hypercalls_fork(struct hypercalls *hypercalls, const struct hypercalls *master);
/* Back to what hypercalls_fork() made; frees the exchange. */
void hypercalls_reset(struct hypercalls *hypercalls, const struct hypercalls *master);
void hypercalls_destroy(struct hypercalls *hypercalls);

/*
 * Runs hypercall `number` (0x10000 and above; others answer -ENOSYS).
 * arguments: by the C calling convention, whatever instruction it came by.
 * result: holds RAX as it is, which calls without an answer leave alone.
 * Guest memory that is needed but cannot be read or written is DENIED; a
 * memory limit that is reached meanwhile is process->end.
 */
enum hypercall_action hypercalls_run(struct hypercalls *hypercalls, struct process *process,
                                     uint32_t number, const uint64_t arguments[6], uint64_t *result);

/* Name of a hypercall as guest/kvm_api.h has it; NULL: there is none. Static memory. */
const char *hypercalls_name(uint32_t number);

/*
 * Begins an exchange with a copy of the request's method and fields, in place
 * of the one before; that one is freed, whatever this returns.
 * Returns 0, -EINVAL (more than 64 fields, one that is no field), -E2BIG, -ENOMEM.
 */
int hypercalls_begin(struct hypercalls *hypercalls, const struct kvmsb_http_request *request);

/* What a function of the host (http.h) is told of whose call it is. */
struct kvmsb_http_context hypercalls_context(const struct hypercalls *hypercalls,
                                             struct kvmsb *sandbox);

/* Ends the exchange, if there is one: a call that is no request is next. */
void hypercalls_end(struct hypercalls *hypercalls);

/* What the program has said of itself. Fills what program->size reaches. Returns 0 or -EINVAL (size, it has not waited). */
int hypercalls_program(const struct hypercalls *hypercalls, struct kvmsb_http_program *program);

/*
 * Fills what response->size reaches; all empty when the guest gave none.
 * Returns 0 or -EINVAL (size).
 */
int hypercalls_response(const struct hypercalls *hypercalls, struct kvmsb_http_response *response);

#endif
