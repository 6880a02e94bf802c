/* SPDX-License-Identifier: MIT */
/*
 * One request and the response to it, as the host keeps them: copies of the
 * request's method and fields, which the guest may look up and change, and
 * what it answers. Knows nothing of guests or hypercalls.
 */
#ifndef KVMSB_HTTP_EXCHANGE_H
#define KVMSB_HTTP_EXCHANGE_H

#include "fields.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_METHOD_MAXIMUM 31u

/* A body: pieces in the guest's memory, or in `copies`. All zero: empty. */
struct http_content {
	struct iovec *pieces; /* owned */
	size_t count;
	uint64_t length;
	void *copies;         /* owned; what cannot be had in the guest's memory; NULL: nothing */
};

/* A response whose body the guest gives piece by piece. function 0: it is none. */
struct http_stream {
	uint64_t function, argument; /* content_stream_func and its first argument: the guest's, hostile */
	uint64_t total;              /* bytes, above 0 */
	uint64_t given;              /* that the host has read */
	bool failed;                 /* no more comes */
};

struct http_exchange {
	char method[EXCHANGE_METHOD_MAXIMUM + 1];
	struct fields request_fields;
	struct fields response_fields;

	void *user;         /* kvmsb_http_request.user */
	uint64_t logged;    /* bytes that sys_log() has passed on */

	/* The response. status 0: none yet. The memory is the exchange's. */
	int status;
	enum kvmsb_http_source source;
	char *content_type; /* NULL: none */
	struct http_content content;
	struct http_stream stream;
	struct kvmsb_http_cache cache;
	char *exception;    /* why the handler gave none; NULL: it did, or has not failed yet */
};

/*
 * A new exchange with copies of the request's method and fields. Returns 0, or
 *  -EINVAL  the method is no token; more than 64 fields; one without a name
 *           and a colon, or with a control character
 *  -E2BIG   a method, a field or all fields are too long
 *  -ENOMEM
 */
int exchange_create(struct http_exchange **exchange, const struct kvmsb_http_request *request);

/* Whether a response may have it: 200..599. */
bool exchange_status_is_legal(int status);

/* NULL is allowed. */
void exchange_destroy(struct http_exchange *exchange);

/* Takes over content_type, which malloc() made, and the content; frees an earlier response's. */
void exchange_respond(struct http_exchange *exchange, enum kvmsb_http_source source, int status,
                      char *content_type, const struct http_content *content);

/* As a handler's response whose body the guest gives piece by piece. */
void exchange_stream(struct http_exchange *exchange, int status, char *content_type,
                     const struct http_stream *stream);

/* Frees what a content has, and empties it. */
void content_clear(struct http_content *content);

/* A content of one piece: takes over `bytes`, which malloc() made, also when it fails. Returns 0 or -ENOMEM. */
int content_of_bytes(struct http_content *content, void *bytes, uint64_t length);

/* Fills what response->size reaches; exchange may be NULL. Returns 0 or -EINVAL (size). */
int exchange_response(const struct http_exchange *exchange, struct kvmsb_http_response *response);

#endif
