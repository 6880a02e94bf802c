/* SPDX-License-Identifier: MIT */
/* Looking at a response's body, which comes in pieces. */
#ifndef KVMSB_TESTS_RESPONSE_BODY_H
#define KVMSB_TESTS_RESPONSE_BODY_H

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Whether the body is these bytes, and its pieces are what body_length says. */
static inline bool body_is(const struct kvmsb_http_response *response, const void *bytes, size_t length)
{
	const char *rest = bytes;

	if (response->body_length != length)
		return false;
	for (size_t i = 0; i < response->body_count; i++) {
		const struct iovec *piece = &response->body[i];

		if (piece->iov_len > length || memcmp(piece->iov_base, rest, piece->iov_len) != 0)
			return false;
		rest += piece->iov_len;
		length -= piece->iov_len;
	}
	return length == 0;
}

#endif
