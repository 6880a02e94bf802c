/* SPDX-License-Identifier: MIT */
/*
 * The buffer of a pipe within one sandbox: 64 KiB, memory only for what is in
 * it. Knows nothing of descriptors; who holds which end is in files.h.
 */
#ifndef KVMSB_LINUX_PIPE_H
#define KVMSB_LINUX_PIPE_H

#include "transfer.h"

#include <stddef.h>
#include <stdint.h>

/* man 7 pipe: the default capacity. */
#define PIPE_CAPACITY 65536u

struct pipe {
	uint8_t *data;
	uint32_t room;  /* allocated */
	uint32_t start; /* of what was written and not yet read */
	uint32_t length;
	uint32_t written, taken; /* times that something was: readiness.h */
};

/* NULL: no memory. */
struct pipe *pipe_create(void);
struct pipe *pipe_copy(const struct pipe *pipe);
void pipe_destroy(struct pipe *pipe);

/*
 * Moves as much as there is, or as there is room for. Returns the bytes moved
 * (0: it is empty, or full), or -EFAULT, -ENOMEM when nothing was.
 */
int64_t pipe_read(struct pipe *pipe, struct transfer *transfer);
int64_t pipe_write(struct pipe *pipe, struct transfer *transfer);

/* Takes away `length` bytes, which are there. */
void pipe_skip(struct pipe *pipe, uint32_t length);

static inline uint32_t pipe_room(const struct pipe *pipe)
{
	return PIPE_CAPACITY - pipe->length;
}

#endif
