/* SPDX-License-Identifier: MIT */
/*
 * The buffer of a pipe within one sandbox.
 */
#include "pipe.h"

#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pipe *pipe_create(void)
{
	return calloc(1, sizeof(struct pipe));
}

struct pipe *pipe_copy(const struct pipe *pipe)
{
	struct pipe *copy = pipe_create();

	if (!copy)
		return NULL;
	copy->written = pipe->written;
	copy->taken = pipe->taken;
	if (pipe->length == 0)
		return copy;
	copy->data = malloc(pipe->length);
	if (!copy->data) {
		free(copy);
		return NULL;
	}
	memcpy(copy->data, pipe->data + pipe->start, pipe->length);
	copy->length = pipe->length;
	copy->room = pipe->length;
	return copy;
}

void pipe_destroy(struct pipe *pipe)
{
	if (!pipe)
		return;
	free(pipe->data);
	free(pipe);
}

void pipe_skip(struct pipe *pipe, uint32_t length)
{
	pipe->taken++;
	pipe->start += length;
	pipe->length -= length;
	if (pipe->length == 0)
		pipe->start = 0;
}

int64_t pipe_read(struct pipe *pipe, struct transfer *transfer)
{
	int64_t moved;

	if (pipe->length == 0)
		return 0;
	moved = transfer_scatter(transfer, pipe->data + pipe->start, pipe->length);
	if (moved > 0)
		pipe_skip(pipe, (uint32_t)moved);
	return moved;
}

/* Room for `length` more bytes behind what is there; both together fit the capacity. */
static int make_room(struct pipe *pipe, uint32_t length)
{
	uint32_t room = pipe->room ? pipe->room : 4096;
	uint8_t *data;

	if (pipe->start) {
		memmove(pipe->data, pipe->data + pipe->start, pipe->length);
		pipe->start = 0;
	}
	while (room < pipe->length + length)
		room *= 2;
	if (room == pipe->room)
		return 0;
	data = realloc(pipe->data, room);
	if (!data)
		return -ENOMEM;
	pipe->data = data;
	pipe->room = room;
	return 0;
}

int64_t pipe_write(struct pipe *pipe, struct transfer *transfer)
{
	uint32_t length = (uint32_t)min_u64(transfer->left, PIPE_CAPACITY - pipe->length);
	int64_t moved;
	int error;

	if (length == 0)
		return 0;
	error = make_room(pipe, length);
	if (error)
		return error;
	moved = transfer_gather(transfer, pipe->data + pipe->length, length);
	if (moved > 0) {
		pipe->written++;
		pipe->length += (uint32_t)moved;
	}
	return moved;
}
