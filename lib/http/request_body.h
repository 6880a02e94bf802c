/* SPDX-License-Identifier: MIT */
/*
 * The body of a request on its way into the guest's memory: a mapping made for
 * it, filled in order, by copies or by the host directly. Knows nothing of
 * requests, hypercalls or who calls the guest afterwards.
 *
 * The mapping is the guest's like any other: a reset takes it away. Where there is
 * none in between, the next body goes into the same one, if it looks as it was made:
 * a guest that has unmapped or protected it gets another, and one that has put
 * memory of its own there has it written over. Not to be used while the guest runs.
 */
#ifndef KVMSB_HTTP_REQUEST_BODY_H
#define KVMSB_HTTP_REQUEST_BODY_H

#include "../linux/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define REQUEST_BODY_MAXIMUM (UINT64_C(512) << 20)

/* As length: whatever comes, up to the maximum. */
#define REQUEST_BODY_UNKNOWN UINT64_MAX

/* The mapping of bodies that a sandbox has; all zero: none. Copied as it is for a fork. */
struct body_region {
	uint64_t address;
	uint64_t size; /* whole pages */
};

struct request_body {
	struct process *process;
	struct body_region *region;
	uint64_t room;   /* bytes that may come; the region has this much */
	uint64_t length; /* that have come */
	uint64_t ahead;  /* bytes that the next piece may have */
	bool is_open;    /* nobody knows how many will come */
};

/*
 * length: of the body, or REQUEST_BODY_UNKNOWN. region: the sandbox's, changed.
 * Nothing has to be undone when something fails.
 * Returns 0, -E2BIG (longer than the maximum), -ENOMEM (the host's memory, or no
 * place in the guest's).
 */
int request_body_begin(struct request_body *body, struct process *process,
                       struct body_region *region, uint64_t length);

/*
 * Copies what the pieces hold behind what has come. Returns 0, -E2BIG (more than
 * was said, or than the maximum), -ENOMEM (a limit, or the host's memory), -EFAULT
 * (the guest's memory cannot be written). All but -E2BIG: some may have come.
 */
int request_body_append(struct request_body *body, const struct iovec *pieces, size_t count);

/*
 * Where the next bytes go: guest memory for the host to store into, with room for
 * *length bytes, at most 256 KiB. It lives until anything of the guest's memory is
 * used otherwise, but for guest_peek(). *length 0: what was said has come.
 * Returns 0, -ENOMEM or -EFAULT, as above.
 */
int request_body_room(struct request_body *body, void **host, size_t *length);

/* So many bytes were stored there, at most as many as there was room for. */
void request_body_stored(struct request_body *body, size_t length);

/*
 * All has come: gives back what was reserved for more. Returns where body->length
 * bytes are, at the start of a page; 0 when there are none.
 */
uint64_t request_body_finish(struct request_body *body);

#endif
