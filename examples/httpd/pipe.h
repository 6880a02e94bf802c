/* SPDX-License-Identifier: MIT */
/*
 * A bounded buffer between one thread that fills it and one that empties it, each
 * straight at its place. Has no lock of its own: its owner's guards the calls,
 * but not the bytes between them, which are one side's alone.
 */
#ifndef KVMSB_HTTPD_PIPE_H
#define KVMSB_HTTPD_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIPE_SIZE ((size_t)64 << 10)

struct pipe {
	uint64_t written, taken; /* in all */
	bool has_ended;          /* nothing follows */
	char bytes[PIPE_SIZE];
};

/* Where the next bytes go, and how many fit there; 0: it is full. */
size_t pipe_room(struct pipe *pipe, char **place);
/* Where the next bytes are, and how many lie there; 0: it is empty. */
size_t pipe_content(struct pipe *pipe, const char **place);

/* So many were put there, or taken from there. */
void pipe_written(struct pipe *pipe, size_t count);
void pipe_taken(struct pipe *pipe, size_t count);

/* Copies what fits; returns how much that was. */
size_t pipe_put(struct pipe *pipe, const char *data, size_t length);
size_t pipe_get(struct pipe *pipe, char *data, size_t length);

#endif
