/* SPDX-License-Identifier: MIT */
/* The body of a request; see request_body.h. */
#include "request_body.h"

#include "../linux/mm.h"
#include "../util.h"
#include "address.h"

#include <errno.h>

/* What is brought in at once to find a piece: all of it is looked at for each one. */
#define AHEAD_LEAST (4 * PAGE_SIZE)
#define AHEAD_MOST (64 * PAGE_SIZE)

/* Whether the guest has left the mapping as it was made; it may have unmapped it, and mapped another. */
static bool is_as_made(const struct process *process, const struct body_region *region)
{
	struct mm_mapping mapping;

	return region->size > 0 && mm_next_mapping(process, region->address, &mapping) &&
	       mapping.start <= region->address && mapping.end - region->address >= region->size &&
	       mapping.protection == (SPACE_READ | SPACE_WRITE) && mapping.path == NULL &&
	       !mapping.is_shared && !mapping.is_stack && !mapping.is_heap;
}

/* Where the last one was, if that is free: a guest that is not reset sees few addresses. */
static int make_region(struct process *process, struct body_region *region, uint64_t size)
{
	uint64_t address = region->address;
	int result = 0;

	if (is_as_made(process, region)) {
		if (region->size >= size)
			return 0;
		result = mm_unmap(process, region->address, region->size);
	}
	if (result < 0)
		return result;
	*region = (struct body_region){0};
	result = mm_map(process, &address, size, SPACE_READ | SPACE_WRITE, 0, NULL, 0);
	if (result < 0)
		return -ENOMEM;
	*region = (struct body_region){.address = address, .size = size};
	return 0;
}

int request_body_begin(struct request_body *body, struct process *process,
                       struct body_region *region, uint64_t length)
{
	bool is_open = length == REQUEST_BODY_UNKNOWN;
	uint64_t size;

	if (is_open)
		length = REQUEST_BODY_MAXIMUM;
	if (length > REQUEST_BODY_MAXIMUM)
		return -E2BIG;
	*body = (struct request_body){.process = process,
	                              .region = region,
	                              .room = length,
	                              .ahead = AHEAD_MOST,
	                              .is_open = is_open};
	if (!checked_align_up(length, PAGE_SIZE, &size))
		return -E2BIG;
	return size == 0 ? 0 : make_region(process, region, size);
}

static uint64_t end_of(const struct request_body *body)
{
	return body->region->address + body->length;
}

int request_body_append(struct request_body *body, const struct iovec *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int result;

		if (pieces[i].iov_len == 0)
			continue;
		if (!range_within(body->length, pieces[i].iov_len, body->room))
			return -E2BIG;
		result = guest_write(body->process, end_of(body), pieces[i].iov_base,
		                     pieces[i].iov_len);
		if (result < 0)
			return result;
		body->length += pieces[i].iov_len;
	}
	return 0;
}

int request_body_room(struct request_body *body, void **host, size_t *length)
{
	uint64_t wanted = min_u64(body->room - body->length, body->ahead);
	struct guest_piece piece;
	unsigned count;
	int result;

	*length = 0;
	if (wanted == 0)
		return 0;
	result = guest_pieces(body->process, end_of(body), wanted, true, &piece, 1, &count);
	if (result < 0)
		return result;
	/* Where frames are scattered, so are the next ones. */
	body->ahead = min_u64(max_u64(2 * piece.length, AHEAD_LEAST), AHEAD_MOST);
	*host = piece.host;
	*length = piece.length;
	return 0;
}

void request_body_stored(struct request_body *body, size_t length)
{
	body->length += min_u64(length, body->room - body->length);
}

/*
 * What is reserved for any length; a mapping as long as was said is kept for the next
 * one. Without memory for it all of it stays, which costs addresses only.
 */
static void trim(struct request_body *body)
{
	struct body_region *region = body->region;
	uint64_t size;

	if (!body->is_open || !checked_align_up(body->length, PAGE_SIZE, &size) ||
	    size >= region->size ||
	    mm_unmap(body->process, region->address + size, region->size - size) < 0)
		return;
	region->size = size;
	if (size == 0)
		region->address = 0;
}

uint64_t request_body_finish(struct request_body *body)
{
	trim(body);
	return body->length > 0 ? body->region->address : 0;
}
