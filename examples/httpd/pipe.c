/* SPDX-License-Identifier: MIT */
/* A bounded buffer between two threads; see pipe.h. */
#include "pipe.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t pipe_room(struct pipe *pipe, char **place)
{
	const size_t at = pipe->written % PIPE_SIZE;

	*place = pipe->bytes + at;
	return smaller(PIPE_SIZE - at, PIPE_SIZE - (size_t)(pipe->written - pipe->taken));
}

size_t pipe_content(struct pipe *pipe, const char **place)
{
	const size_t at = pipe->taken % PIPE_SIZE;

	*place = pipe->bytes + at;
	return smaller(PIPE_SIZE - at, (size_t)(pipe->written - pipe->taken));
}

void pipe_written(struct pipe *pipe, size_t count)
{
	pipe->written += count;
}

void pipe_taken(struct pipe *pipe, size_t count)
{
	pipe->taken += count;
}

/* At most two pieces: up to the end of the buffer, and from its start. */
size_t pipe_put(struct pipe *pipe, const char *data, size_t length)
{
	size_t done = 0, room;
	char *place;

	while (done < length && (room = pipe_room(pipe, &place)) > 0) {
		room = smaller(room, length - done);
		memcpy(place, data + done, room);
		pipe_written(pipe, room);
		done += room;
	}
	return done;
}

size_t pipe_get(struct pipe *pipe, char *data, size_t length)
{
	size_t done = 0, content;
	const char *place;

	while (done < length && (content = pipe_content(pipe, &place)) > 0) {
		content = smaller(content, length - done);
		memcpy(data + done, place, content);
		pipe_taken(pipe, content);
		done += content;
	}
	return done;
}
