/* SPDX-License-Identifier: MIT */
/*
 * Handing an HTTP-like request to a guest that uses kvm_api.h, and taking its
 * response.
 */
#ifndef KVMSANDBOX_HTTP_H
#define KVMSANDBOX_HTTP_H

#include "sandbox.h"
#include "version.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A header field "Name: value", without line ending. */
struct kvmsb_http_field {
	const char *text;
	size_t length;
};

/* In-struct of kvmsb_request(). Strings are NUL-terminated and copied. */
struct kvmsb_http_request {
	size_t size;
	const char *method;   /* NULL: "GET" */
	const char *url;      /* "/path?query"; needed */
	const char *argument; /* the handler's second argument; NULL: "" */
	const struct kvmsb_http_field *fields;
	size_t field_count; /* at most 64 */
	uint64_t timeout_ns; /* 0: options.call_timeout_ns */
};
#define KVMSB_HTTP_REQUEST_INIT KVMSB_SIZED(struct kvmsb_http_request)

/*
 * Out-struct of kvmsb_request(). The memory it points to belongs to the
 * sandbox, and lives until it is reset, run again or destroyed.
 */
struct kvmsb_http_response {
	size_t size;
	int32_t status;           /* 200..599; 0 when there is no response */
	const char *content_type; /* NUL-terminated, "" when the guest gave none */
	const struct kvmsb_http_field *fields; /* that the guest set or appended */
	size_t field_count;
	const void *body;
	size_t body_length;
};
#define KVMSB_HTTP_RESPONSE_INIT KVMSB_SIZED(struct kvmsb_http_response)

/*
 * Calls the guest's GET handler (set_backend_get) with url and argument, and
 * takes the response it gives with backend_response().
 *
 * Returns 0 with result filled. result->outcome is KVMSB_OUTCOME_HYPERCALL
 * (0x10010) when there is a response; anything else means that there is none
 * (response->status 0): the handler returned without one, exited, faulted,
 * timed out. Or
 *  -EINVAL   wrong state; no url; more than 64 fields; a method or the name of a
 *            field that is no token (RFC 9110, 5.6.2); CR, LF or NUL in a field
 *  -EOPNOTSUPP  the guest registered no handler for such a request
 *  -E2BIG    url and argument do not fit a half of the stack; a method longer
 *            than 31 bytes, a field than 64 KiB, all fields than 1 MiB; an
 *            unknown tail
 *  -EROFS, -ESRCH, -EBUSY, -ECHILD, -ENOMEM, -EMFILE, -ETIMEDOUT, -EUSERS, -ECANCELED:
 *  as kvmsb_vmcall()
 */
KVMSB_EXPORT int kvmsb_request(struct kvmsb *sandbox, const struct kvmsb_http_request *request,
                               struct kvmsb_http_response *response, struct kvmsb_result *result);

#ifdef __cplusplus
}
#endif

#endif
