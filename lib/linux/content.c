/* SPDX-License-Identifier: MIT */
/*
 * A whole range of guest memory for the host to read where it is, for longer
 * than a call; see guest_content() in mm.h. Brings nothing in: what is not there
 * is read as the guest would find it, so that no limit is reached on the way and
 * no page goes for a later one.
 */
#include "mm_internal.h"

#include "../util.h"
#include "layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define FIRST_PIECES 16u

/* Of a file. */
#define READ_AT_ONCE (UINT64_C(1) << 20)

/* What anonymous memory holds that nobody has used: as often as it is needed. */
static const uint8_t zeros[PAGE_SIZE];

struct building {
	struct process *process;
	struct guest_content *content;
	uint64_t address, left; /* what comes next */
	size_t capacity;
	uint64_t copied;
};

static int grow(struct building *building)
{
	struct guest_content *content = building->content;
	size_t capacity = building->capacity == 0 ? FIRST_PIECES : 2 * building->capacity;
	struct iovec *pieces = realloc(content->pieces, capacity * sizeof(*pieces));

	if (pieces == NULL)
		return -ENOMEM;
	content->pieces = pieces;
	building->capacity = capacity;
	return 0;
}

/* The next bytes are there. */
static int add(struct building *building, const void *host, uint64_t length)
{
	struct guest_content *content = building->content;
	struct iovec *last = content->count > 0 ? &content->pieces[content->count - 1] : NULL;

	building->address += length;
	building->left -= length;
	if (last != NULL && (const uint8_t *)last->iov_base + last->iov_len == host) {
		last->iov_len += length;
		return 0;
	}
	if (content->count == building->capacity && grow(building) < 0)
		return -ENOMEM;
	/* Whoever gets the pieces only reads them. */
	content->pieces[content->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)host,
	                                                   .iov_len = length};
	return 0;
}

enum source {
	IN_PLACE,
	ZEROS,
	OF_FILE, /* must not be dereferenced, or is not there */
};

/* At most to the page's end. */
static enum source look(const struct process *process, uint64_t address, uint64_t *length,
                        const void **host)
{
	int result = space_pin_read(process->space, gva(address), length, host);

	if (result == 0)
		return IN_PLACE;
	*length = min_u64(*length, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
	*host = zeros;
	return result == -EFAULT && mm_absent_is_zeros(process, address) ? ZEROS : OF_FILE;
}

/* How much of the next `length` bytes has to be copied; first: up to what has not. */
static uint64_t count_copies(const struct building *building, uint64_t length, bool first)
{
	uint64_t address = building->address, end = address + length, copies = 0;

	while (address < end) {
		uint64_t part = end - address;
		const void *host;

		if (look(building->process, address, &part, &host) == OF_FILE)
			copies += part;
		else if (first)
			break;
		address += part;
	}
	return copies;
}

/* No more than is read then: who maps a page here and a page there costs no more for it. */
static uint64_t next_copies(const struct building *building)
{
	const struct range *range = ranges_find(&building->process->mm->ranges, building->address);
	uint64_t length = min_u64(building->left, range->end - building->address);

	return count_copies(building, min_u64(length, READ_AT_ONCE), true);
}

/* The next bytes and what follows them of their file. */
static int copy(struct building *building)
{
	struct guest_content *content = building->content;
	uint8_t *to;
	int64_t got;

	/* One piece of memory for all: it must not move once there are pointers to it. */
	if (content->copies == NULL)
		content->copies = malloc(count_copies(building, building->left, false));
	if (content->copies == NULL)
		return -ENOMEM;
	to = (uint8_t *)content->copies + building->copied;
	got = mm_read_range(building->process, building->address, to, next_copies(building));
	if (got < 0)
		return (int)got;
	building->copied += (uint64_t)got;
	return add(building, to, (uint64_t)got);
}

static int build(struct building *building)
{
	int result = 0;

	while (building->left > 0 && result == 0) {
		uint64_t part = building->left;
		const void *host;

		if (look(building->process, building->address, &part, &host) == OF_FILE)
			result = copy(building);
		else
			result = add(building, host, part);
	}
	return result;
}

int guest_content(struct process *process, uint64_t address, uint64_t length,
                  struct guest_content *content)
{
	struct building building = {
		.process = process, .content = content, .address = address, .left = length};
	int result;

	*content = (struct guest_content){.count = 0};
	if (!range_within(address, length, LAYOUT_USER_END) ||
	    !mm_covers(process, address, address + length))
		return -EFAULT;
	result = build(&building);
	if (result < 0) {
		guest_content_free(content);
		return result;
	}
	guest_hold(process, address, length);
	return 0;
}

void guest_content_free(struct guest_content *content)
{
	free(content->pieces);
	free(content->copies);
	*content = (struct guest_content){.count = 0};
}
