/* SPDX-License-Identifier: MIT */
/*
 * Guest buffers and iovec lists: checked once, copied, consumed piece by piece.
 * Follows man 2 readv and lib/iov_iter.c of Linux for the order of checks.
 */
#include "transfer.h"

#include "../util.h"
#include "mm.h"

#include <errno.h>
#include <layout.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct iovec) == sizeof(struct transfer_range), "the guest's struct iovec");

static void begin(struct transfer *transfer, struct process *process)
{
	*transfer = (struct transfer){.process = process};
	transfer->ranges = transfer->few;
	transfer->next = transfer->few;
	transfer->end = transfer->few;
}

int transfer_buffer(struct transfer *transfer, struct process *process, uint64_t address,
                    uint64_t length)
{
	begin(transfer, process);
	if (!range_within(address, length, LAYOUT_USER_END))
		return -EFAULT;
	transfer->left = min_u64(length, TRANSFER_MAXIMUM);
	transfer->few[0] = (struct transfer_range){address, transfer->left};
	transfer->end++;
	return 0;
}

void transfer_host(struct transfer *transfer, struct process *process, void *data, uint64_t length)
{
	begin(transfer, process);
	transfer->host = data;
	transfer->left = length;
}

/* Linux cuts the list where the sum reaches the maximum, and refuses no sum. */
static int check_ranges(struct transfer *transfer, uint64_t count)
{
	struct transfer_range *range;

	for (uint64_t i = 0; i < count; i++) {
		range = &transfer->ranges[i];
		if (range->length > INT64_MAX)
			return -EINVAL;
		if (!range_within(range->address, range->length, LAYOUT_USER_END))
			return -EFAULT;
		range->length = min_u64(range->length, TRANSFER_MAXIMUM - transfer->left);
		transfer->left += range->length;
	}
	transfer->next = transfer->ranges;
	transfer->end = transfer->ranges + count;
	return 0;
}

int transfer_vector(struct transfer *transfer, struct process *process, uint64_t address,
                    uint64_t count)
{
	int error;

	begin(transfer, process);
	if (count > TRANSFER_RANGES)
		return -EINVAL;
	if (count > ARRAY_SIZE(transfer->few)) {
		transfer->ranges = calloc(count, sizeof(*transfer->ranges));
		if (!transfer->ranges)
			return -ENOMEM;
	}
	error = guest_read(process, address, transfer->ranges, count * sizeof(*transfer->ranges));
	if (!error)
		error = check_ranges(transfer, count);
	if (error)
		transfer_end(transfer);
	return error;
}

void transfer_end(struct transfer *transfer)
{
	if (transfer->ranges != transfer->few)
		free(transfer->ranges);
	transfer->ranges = NULL;
}

/* The range with what comes next; there is one as long as something is left. */
static struct transfer_range *current(struct transfer *transfer)
{
	while (transfer->next < transfer->end && transfer->next->length == 0)
		transfer->next++;
	return transfer->next;
}

int transfer_pieces(struct transfer *transfer, bool for_writing, uint64_t limit,
                    struct transfer_pieces *pieces)
{
	struct guest_piece found[TRANSFER_PIECES];
	struct transfer_range *range;
	int error;

	pieces->length = min_u64(limit, transfer->left);
	pieces->piece[0] = (struct iovec){transfer->host, pieces->length};
	pieces->count = 1;
	if (transfer->host)
		return 0;
	range = current(transfer);
	error = guest_pieces(transfer->process, range->address, min_u64(range->length, limit),
	                     for_writing, found, TRANSFER_PIECES, &pieces->count);
	if (error)
		return error;
	pieces->length = 0;
	for (unsigned i = 0; i < pieces->count; i++) {
		pieces->piece[i] = (struct iovec){found[i].host, found[i].length};
		pieces->length += found[i].length;
	}
	return 0;
}

void transfer_advance(struct transfer *transfer, uint64_t length)
{
	struct transfer_range *range;
	uint64_t step;

	transfer->left -= length;
	transfer->done += length;
	if (transfer->host) {
		transfer->host += length;
		return;
	}
	while (length > 0) {
		range = current(transfer);
		step = min_u64(length, range->length);
		range->address += step;
		range->length -= step;
		length -= step;
	}
}

/* One step of a copy, within one range: the host's data out of the guest, or into it. */
typedef int (*copy_function)(struct process *process, uint64_t address, void *data, uint64_t length);

static int copy_out(struct process *process, uint64_t address, void *data, uint64_t length)
{
	return guest_read(process, address, data, length);
}

static int copy_in(struct process *process, uint64_t address, void *data, uint64_t length)
{
	return guest_write(process, address, data, length);
}

static int copy_zero(struct process *process, uint64_t address, void *data, uint64_t length)
{
	(void)data;
	return guest_zero(process, address, length);
}

static int64_t copy(struct transfer *transfer, copy_function function, uint8_t *data, uint64_t length)
{
	struct transfer_range *range;
	uint64_t copied = 0, step;
	int error;

	length = min_u64(length, transfer->left);
	while (copied < length) {
		range = current(transfer);
		step = min_u64(range->length, length - copied);
		error = function(transfer->process, range->address, data ? data + copied : NULL,
		                 step);
		if (error)
			return copied ? (int64_t)copied : error;
		transfer_advance(transfer, step);
		copied += step;
	}
	return (int64_t)copied;
}

int64_t transfer_gather(struct transfer *transfer, void *data, uint64_t length)
{
	if (!transfer->host)
		return copy(transfer, copy_out, data, length);
	length = min_u64(length, transfer->left);
	memcpy(data, transfer->host, length);
	transfer_advance(transfer, length);
	return (int64_t)length;
}

int64_t transfer_scatter(struct transfer *transfer, const void *data, uint64_t length)
{
	if (transfer->host) {
		length = min_u64(length, transfer->left);
		memcpy(transfer->host, data, length);
		transfer_advance(transfer, length);
		return (int64_t)length;
	}
	/* copy_in() only reads it. */
	return copy(transfer, copy_in, (uint8_t *)(uintptr_t)data, length);
}

/* As Linux, page by page: what lies before one that is bad is done, and counted. */
int64_t transfer_zero(struct transfer *transfer, uint64_t length)
{
	uint64_t zeroed = 0, in_page;
	int64_t result;

	length = min_u64(length, transfer->left);
	if (transfer->host) {
		memset(transfer->host, 0, length);
		transfer_advance(transfer, length);
		return (int64_t)length;
	}
	while (zeroed < length) {
		in_page = PAGE_SIZE - (current(transfer)->address & (PAGE_SIZE - 1));
		result = copy(transfer, copy_zero, NULL, min_u64(in_page, length - zeroed));
		if (result < 0)
			return zeroed ? (int64_t)zeroed : result;
		zeroed += (uint64_t)result;
	}
	return (int64_t)zeroed;
}
