/* SPDX-License-Identifier: MIT */
/*
 * Data on its way between guest memory and a file: one buffer or an iovec
 * list of the guest, checked once and copied, then consumed piece by piece.
 * Knows nothing of files.
 */
#ifndef KVMSB_LINUX_TRANSFER_H
#define KVMSB_LINUX_TRANSFER_H

#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Most that Linux moves in one call (MAX_RW_COUNT, man 2 read). */
#define TRANSFER_MAXIMUM UINT64_C(0x7ffff000)

/* Entries of an iovec list (IOV_MAX). */
#define TRANSFER_RANGES 1024u

/* Pieces of host memory that one call of the host takes: at least 256 KiB. */
#define TRANSFER_PIECES 64u

/* Largest copy that is made of data on its way. */
#define TRANSFER_CHUNK 65536u

struct transfer_range {
	uint64_t address, length; /* the guest's struct iovec */
};

struct transfer {
	struct process *process;
	uint64_t left;                 /* bytes to go */
	uint64_t done;                 /* bytes that went */
	struct transfer_range *ranges; /* `few`, or allocated; the first one is what comes next */
	struct transfer_range *next, *end;
	struct transfer_range few[8];
	uint8_t *host; /* not guest memory, but this (sendfile, splice) */
};

/*
 * One buffer of the guest. Longer than TRANSFER_MAXIMUM is cut, as Linux does.
 * Returns 0, or -EFAULT when it does not lie in the user's half.
 */
int transfer_buffer(struct transfer *transfer, struct process *process, uint64_t address,
                    uint64_t length);

/*
 * The guest's iovec list. Returns 0, -EINVAL (more than 1024 entries, a
 * negative length), -EFAULT, -ENOMEM. transfer_end() frees.
 */
int transfer_vector(struct transfer *transfer, struct process *process, uint64_t address,
                    uint64_t count);

/* Memory of the host itself. */
void transfer_host(struct transfer *transfer, struct process *process, void *data, uint64_t length);

void transfer_end(struct transfer *transfer);

/*
 * Host memory of what comes next (something is left), for the host to read
 * (for_writing: to fill): at most TRANSFER_PIECES pieces and `limit` bytes.
 * They live until the next call. Returns 0, -EFAULT or -ENOMEM.
 */
struct transfer_pieces {
	struct iovec piece[TRANSFER_PIECES];
	unsigned count;  /* > 0 */
	uint64_t length; /* of all */
};
int transfer_pieces(struct transfer *transfer, bool for_writing, uint64_t limit,
                    struct transfer_pieces *pieces);

/* `length` bytes went. */
void transfer_advance(struct transfer *transfer, uint64_t length);

/*
 * Copies what comes next out of the guest, or into it, and advances. Returns
 * the bytes copied, which are fewer than `length` when a later entry of the
 * list is bad, or -errno when the first one is.
 */
int64_t transfer_gather(struct transfer *transfer, void *data, uint64_t length);
int64_t transfer_scatter(struct transfer *transfer, const void *data, uint64_t length);

/* Zeros into the guest. As above. */
int64_t transfer_zero(struct transfer *transfer, uint64_t length);

/* What a system call returns that moved done bytes and then met `error` (or 0). */
static inline int64_t transfer_result(const struct transfer *transfer, int64_t error)
{
	return transfer->done || error >= 0 ? (int64_t)transfer->done : error;
}

#endif
