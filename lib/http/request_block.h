/* SPDX-License-Identifier: MIT */
/*
 * A request as a guest is given it in one piece: struct kvm_request of
 * guest/kvm_api.h with all texts and the list of header fields behind it.
 * Bytes only: knows neither where it goes nor who wants it.
 */
#ifndef KVMSB_HTTP_REQUEST_BLOCK_H
#define KVMSB_HTTP_REQUEST_BLOCK_H

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of struct kvm_request, which comes first. */
#define REQUEST_BLOCK_HEAD 104u

/* Texts are NUL-terminated, none is NULL; fields have a colon. */
struct request_parts {
	const char *method, *url, *argument, *content_type;
	const struct kvmsb_http_field *fields;
	size_t field_count;
	uint64_t content, content_length; /* guest address; 0: no body */
	bool is_warm_up;
	uint64_t random[2];
};

/* Bytes that it takes. Cannot overflow with what the host has in memory. */
uint64_t request_block_size(const struct request_parts *parts);

/* Writes request_block_size() bytes, for the guest to find at `address` (a multiple of 8). */
void request_block_fill(const struct request_parts *parts, uint64_t address, void *block);

#endif
