/* SPDX-License-Identifier: MIT */
/*
 * One request from its first line to its end, which two threads work on: that of
 * its connection (libmicrohttpd's), which never waits but suspends the
 * connection, and the worker's, which waits here for the connection to take or
 * to bring something. Each of them holds a reference.
 */
#ifndef KVMSB_HTTPD_REQUEST_H
#define KVMSB_HTTPD_REQUEST_H

#include "metrics.h"
#include "pipe.h"

#include <kvmsandbox.h>
#include <microhttpd.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REQUEST_FIELDS_MAXIMUM 64u

struct program;

/* All requests of a server, so that it can end: libmicrohttpd cannot stop while a connection is
 * suspended. */
struct request_gate {
	atomic_uint requests;  /* begun and not ended */
	atomic_uint suspended; /* connections */
	atomic_bool is_shut;   /* none is suspended any more, nobody waits for a client */
};

struct request {
	/* The connection's, and unchanged once a worker has the request. */
	struct MHD_Connection *connection;
	struct request_gate *gate;
	int socket;
	struct program *program; /* that is to answer; NULL: none */
	char *url;               /* as received */
	char *method;            /* NULL: the head is not here yet */
	bool is_head;            /* by HEAD: the response's body is not sent */
	struct kvmsb_http_field fields[REQUEST_FIELDS_MAXIMUM]; /* texts are the request's */
	size_t field_count;
	char *body;
	size_t body_length, body_room;
	uint64_t send_timeout; /* ns; see request_pace() */
	uint64_t arrived, submitted; /* CLOCK_MONOTONIC, ns */
	uint64_t started;            /* by the worker */
	struct request *next;        /* in the program's queue */

	/* The connection's alone. */
	unsigned refusal;  /* the status to answer once the body is here; 0: none */
	uint64_t received; /* bytes of the body */
	int sent_status;   /* 0: none */
	bool is_submitted;
	char version[16];

	/* Of both, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned references;
	bool is_suspended;
	bool is_closed;   /* the connection is gone */
	bool is_lent;     /* a response is out that uses memory of the guest */
	bool is_answered; /* all below is final */
	struct MHD_Response *response;
	int status;
	struct pipe *input;  /* a body that is handed on as it comes; NULL: `body` */
	struct pipe *output; /* a response that is made as it is sent; NULL: it is not */
	struct metrics_sample sample;
	char exception[256];
};

uint64_t clock_now(void);

/* With one reference. NULL: no memory. */
struct request *request_create(struct request_gate *gate, struct MHD_Connection *connection,
                               const char *url);
void request_hold(struct request *request);
void request_release(struct request *request);

/* ---- For the connection ---- */

/*
 * The response, with its status, which is the caller's then; NULL with 0: there is
 * none yet, and the connection is suspended. NULL with -1: close the connection.
 */
struct MHD_Response *request_take_response(struct request *request, int *status);

/*
 * Takes of a body what fits; where nothing does, suspends the connection.
 * Returns how much it took, or -1: close the connection.
 */
ssize_t request_input(struct request *request, const char *data, size_t length);
void request_input_end(struct request *request);

/* As MHD_ContentReaderCallback. */
ssize_t request_output(void *request, uint64_t position, char *data, size_t length);

/* A response that used memory of the guest is gone. As MHD_ContentReaderFreeCallback. */
void request_returned(void *request);

/* Nothing more will be taken or brought. */
void request_close(struct request *request);

/* ---- For the worker ---- */

/* The answer: takes the response over; the sample is complete. */
void request_answer(struct request *request, int status, struct MHD_Response *response);

/* When a transfer of so many bytes since `begin` has taken too long: CLOCK_MONOTONIC in ns. */
uint64_t request_pace(const struct request *request, uint64_t begin, uint64_t bytes);

/* Waits until a response does not use the guest's memory any more; cuts off a slow client. */
void request_wait_returned(struct request *request, uint64_t length);

/* The next bytes of a body: how many, 0 at its end, -ECONNRESET, -ETIMEDOUT. */
int64_t request_read_body(struct request *request, void *data, size_t length);

/*
 * Waits for room for a piece of a response. Returns its size, or 0: the client is
 * gone or too slow. *place stays the worker's until request_written().
 */
size_t request_wait_room(struct request *request, char **place);
void request_written(struct request *request, size_t length);
void request_output_end(struct request *request);

#endif
