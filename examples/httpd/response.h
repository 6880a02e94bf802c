/* SPDX-License-Identifier: MIT */
/*
 * Responses for libmicrohttpd: of what a guest answered, and of the server's own.
 */
#ifndef KVMSB_HTTPD_RESPONSE_H
#define KVMSB_HTTPD_RESPONSE_H

#include "request.h"

#include <kvmsandbox.h>
#include <microhttpd.h>

/* How the body of a guest's response goes out. */
enum response_kind {
	RESPONSE_COPIED,   /* small: the fork is free at once */
	RESPONSE_LENT,     /* straight from the guest's memory: request_wait_returned() */
	RESPONSE_STREAMED, /* from request->output, which the worker fills */
};

enum response_kind response_kind_of(const struct request *request,
                                    const struct kvmsb_http_response *response);

/* NULL: no memory, or more fields than a client should get. */
struct MHD_Response *response_create(struct request *request,
                                     const struct kvmsb_http_response *response,
                                     enum response_kind kind);

/* "404 Not Found", as text. NULL: no memory. */
struct MHD_Response *response_of_status(unsigned status);

/* A text of malloc(3), which this takes over. NULL: no memory. */
struct MHD_Response *response_of_text(char *text, size_t length, const char *type);

/* One that lives for ever, or as long as the response. */
struct MHD_Response *response_of_constant(const char *text, size_t length, const char *type);

#endif
