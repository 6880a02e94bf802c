/* SPDX-License-Identifier: MIT */
/*
 * The body of a request: piece by piece onto the stack for the guest's function
 * that takes it so, or as a whole into its memory (http/request_body.h).
 */
#include "request.h"

#include "linux/mm.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/* On the stack, for a function that takes pieces. */
#define CHUNK_MAXIMUM ((uint64_t)64 << 10)
#define PIECES 16

static const char too_large[] = "POST request too large";
static const char not_taken[] = "The program did not take the request's body";

/* Where the host's bytes come from: what is left of its pieces, or its function. */
struct source {
	struct delivery *delivery;
	const struct iovec *piece;
	size_t count, offset;
	bool is_streamed, has_ended;
	int unusable; /* -EFAULT, -ENOMEM: guest memory for it, which is the guest's own affair */
};

static struct source source_of(struct delivery *delivery)
{
	return (struct source){
		.delivery = delivery,
		.piece = delivery->request.body,
		.count = delivery->request.body_count,
		.is_streamed = (delivery->request.flags & KVMSB_HTTP_BODY_STREAMED) != 0,
	};
}

/* Asks the host's function. Returns as that does, but never more than `size`. */
static int64_t ask(struct source *source, void *buffer, size_t size)
{
	struct kvmsb *sandbox = source->delivery->sandbox;
	const struct kvmsb_http_context context = hypercalls_context(&sandbox->hypercalls, sandbox);
	int64_t length = sandbox->hypercalls.config->ops.body_read(&context, buffer, size);

	if (sandbox->doomed)
		return -ECANCELED;
	if (length > 0 && (uint64_t)length > size)
		length = -EIO;
	if (length < 0)
		return sandbox_fail(sandbox, (int)length, "ops.body_read: %s",
		                    strerror((int)-length));
	source->has_ended = length == 0;
	return length;
}

/* ---- Piece by piece ---- */

/* Stores what the host's function gives; less than `size` only at the end, or where it gave less. */
static int64_t store_streamed(struct source *source, uint64_t address, uint64_t size)
{
	struct guest_piece pieces[PIECES];
	int64_t stored = 0;
	unsigned count;

	source->unusable = guest_pieces(&source->delivery->sandbox->process, address, size, true,
	                                pieces, PIECES, &count);
	if (source->unusable < 0)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		int64_t length = ask(source, pieces[i].host, pieces[i].length);

		if (length < 0)
			return length;
		stored += length;
		if ((uint64_t)length < pieces[i].length)
			break;
	}
	return stored;
}

/* Copies from the host's pieces. */
static int64_t store_pieces(struct source *source, uint64_t address, uint64_t size)
{
	struct process *process = &source->delivery->sandbox->process;
	uint64_t stored = 0;

	while (stored < size && source->count > 0 && source->unusable == 0) {
		uint64_t left = source->piece->iov_len - source->offset;
		uint64_t length = min_u64(size - stored, left);

		source->unusable = guest_write(process, address + stored,
		                               (const char *)source->piece->iov_base + source->offset,
		                               length);
		stored += length;
		source->offset += length;
		if (length < left)
			continue;
		source->piece++;
		source->count--;
		source->offset = 0;
	}
	source->has_ended = source->count == 0;
	return (int64_t)stored;
}

/* Room on the stack with the next bytes in it. Returns how many, or -errno of the host. */
static int64_t push_piece(struct source *source, struct call_stack *stack, uint64_t *address)
{
	const uint64_t room = min_u64(CHUNK_MAXIMUM, (stack->end - stack->start) / 4);
	int result = call_stack_reserve(stack, room, address);

	if (result < 0)
		return result;
	return source->is_streamed ? store_streamed(source, *address, room)
	                           : store_pieces(source, *address, room);
}

/* Calls the guest's function with a piece; `over` unless it has taken it. */
static int give_piece(struct delivery *delivery, struct call_stack *stack, uint64_t address,
                      uint64_t length, bool *over)
{
	const struct entry_call call = {
		.function = delivery_entry(delivery, HTTP_ENTRY_STREAM_POST),
		.texts = {delivery->request.url, delivery->request.argument, delivery->content_type},
		.numbers = {address, length, delivery->body_length},
		.number_count = 3,
		.timeout = delivery->timeout,
	};
	int failed = delivery_enter(delivery, stack, &call);

	*over = true;
	if (failed < 0 || delivery->result.outcome != KVMSB_OUTCOME_RETURNED)
		return failed;
	if (delivery->result.value != length)
		return delivery_refuse(delivery, STATUS_BODY_REFUSED, not_taken);
	delivery->body_length += length;
	*over = false;
	return 0;
}

/* The guest's memory, which is its own affair, or more than there may be. */
static int end_with(struct delivery *delivery, int code, uint64_t address, bool *over)
{
	struct kvmsb_result result;

	*over = true;
	if (code == -E2BIG)
		return delivery_refuse(delivery, STATUS_BODY_REFUSED, too_large);
	return delivery_note(delivery, call_end_unusable(delivery->sandbox, code, address, &result),
	                     &result);
}

static int stream(struct delivery *delivery, bool *over)
{
	struct source source = source_of(delivery);

	while (!*over && !source.has_ended) {
		struct call_stack stack = call_stack_of(delivery->sandbox);
		uint64_t address;
		int64_t length = push_piece(&source, &stack, &address);
		int failed = 0;

		if (length < 0)
			return (int)length;
		if (source.unusable < 0)
			return end_with(delivery, source.unusable, address, over);
		if (length > 0)
			failed = give_piece(delivery, &stack, address, (uint64_t)length, over);
		if (failed < 0)
			return failed;
	}
	return 0;
}

/* ---- As a whole ---- */

static uint64_t length_of(const struct kvmsb_http_request *request)
{
	uint64_t length = 0;

	if ((request->flags & KVMSB_HTTP_BODY_STREAMED) != 0)
		return REQUEST_BODY_UNKNOWN;
	for (size_t i = 0; i < request->body_count; i++)
		if (!checked_add(length, request->body[i].iov_len, &length))
			return REQUEST_BODY_UNKNOWN - 1;
	return length;
}

/* Returns 0 with the next bytes stored, at the end none; or -errno of the host. */
static int read_piece(struct source *source, struct request_body *body)
{
	int64_t length;
	size_t size;
	void *room;
	char one;

	source->unusable = request_body_room(body, &room, &size);
	if (source->unusable < 0)
		return 0;
	/* As much as there may be: is it all? */
	length = size > 0 ? ask(source, room, size) : ask(source, &one, sizeof(one));
	if (length > 0 && size > 0)
		request_body_stored(body, (size_t)length);
	else if (length > 0)
		source->unusable = -E2BIG;
	return length < 0 ? (int)length : 0;
}

/* Returns 0 with all of it stored, or unusable set; or -errno of the host. */
static int store_whole(struct source *source, struct request_body *body)
{
	int failed = 0;

	if (!source->is_streamed) {
		source->unusable = request_body_append(body, source->piece, source->count);
		return 0;
	}
	while (failed == 0 && source->unusable == 0 && !source->has_ended)
		failed = read_piece(source, body);
	return failed;
}

static int place(struct delivery *delivery, bool *over)
{
	struct kvmsb *sandbox = delivery->sandbox;
	struct source source = source_of(delivery);
	struct request_body body;
	int failed = 0;

	source.unusable = request_body_begin(&body, &sandbox->process, &sandbox->hypercalls.body,
	                                     length_of(&delivery->request));
	if (source.unusable == 0)
		failed = store_whole(&source, &body);
	if (failed < 0)
		return failed;
	if (source.unusable < 0)
		return end_with(delivery, source.unusable, sandbox->hypercalls.body.address, over);
	delivery->body = request_body_finish(&body);
	delivery->body_length = body.length;
	return 0;
}

int delivery_body(struct delivery *delivery, bool *over)
{
	*over = false;
	return delivery_entry(delivery, HTTP_ENTRY_STREAM_POST) != 0 ? stream(delivery, over)
	                                                             : place(delivery, over);
}
