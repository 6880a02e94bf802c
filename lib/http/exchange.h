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

#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_METHOD_MAXIMUM 31u

struct http_exchange {
	char method[EXCHANGE_METHOD_MAXIMUM + 1];
	struct fields request_fields;
	struct fields response_fields;

	/* The response. status 0: none yet. The memory is the exchange's. */
	int status;
	char *content_type; /* NULL: none */
	void *body;         /* NULL: empty */
	size_t body_length;
};

/*
 * A new exchange with copies of the request's method and fields. Returns 0, or
 *  -EINVAL  the method is no token; more than 64 fields; one without a name
 *           and a colon, or with a control character
 *  -E2BIG   a method, a field or all fields are too long
 *  -ENOMEM
 */
int exchange_create(struct http_exchange **exchange, const struct kvmsb_http_request *request);

/* NULL is allowed. */
void exchange_destroy(struct http_exchange *exchange);

/* Takes over content_type and body, which malloc() made; frees an earlier response's. */
void exchange_respond(struct http_exchange *exchange, int status, char *content_type, void *body,
                      size_t body_length);

/* Fills what response->size reaches; exchange may be NULL. Returns 0 or -EINVAL (size). */
int exchange_response(const struct http_exchange *exchange, struct kvmsb_http_response *response);

#endif
