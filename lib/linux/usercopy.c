/* SPDX-License-Identifier: MIT */
/*
 * Copies between host and guest, page by page, faulting pages in as the guest
 * would; see mm.h. The only way by which system calls touch guest memory.
 */
#include "mm_internal.h"

#include "../util.h"
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Read(2) of little into a large buffer should not populate all of it. */
#define PIECES_BYTES (64 * PAGE_SIZE)

/* The user's part ends before the entry window, which every space maps. */
static bool is_user(uint64_t address, uint64_t length)
{
	return range_within(address, length, LAYOUT_USER_END);
}

static int pin_write(struct process *process, uint64_t address, uint64_t *length, void **host)
{
	int result = space_pin_write(process->space, gva(address), length, host);

	if (result != -EFAULT)
		return result;
	result = mm_fault(process, address, SPACE_WRITE, false);
	return result < 0 ? result : space_pin_write(process->space, gva(address), length, host);
}

static int pin_read(struct process *process, uint64_t address, uint64_t *length, const void **host)
{
	int result = space_pin_read(process->space, gva(address), length, host);

	if (result != -EFAULT)
		return result;
	result = mm_fault(process, address, SPACE_READ, false);
	return result < 0 ? result : space_pin_read(process->space, gva(address), length, host);
}

/* At most to the page's end; returns the bytes read. */
static int64_t read_page(struct process *process, uint64_t address, void *data, uint64_t length)
{
	uint64_t part = length;
	const void *host;
	int result = pin_read(process, address, &part, &host);

	if (result == -EREMOTE || (result == -EFAULT && process->space->table.frozen))
		return mm_read_absent(process, address, data, length);
	if (result < 0)
		return result;
	memcpy(data, host, part);
	return (int64_t)part;
}

int guest_read(struct process *process, uint64_t address, void *data, uint64_t length)
{
	char *to = data;

	if (!is_user(address, length))
		return -EFAULT;
	while (length > 0) {
		int64_t part = read_page(process, address, to, length);

		if (part < 0)
			return (int)part;
		to += part;
		address += (uint64_t)part;
		length -= (uint64_t)part;
	}
	return 0;
}

/* At most to the page's end; returns the bytes read. */
static int64_t peek_page(struct process *process, uint64_t address, void *data, uint64_t length)
{
	const void *host;

	if (!is_user(address, 1))
		return -EFAULT;
	if (space_pin_read(process->space, gva(address), &length, &host) < 0)
		return mm_read_absent(process, address, data, length);
	memcpy(data, host, length);
	return (int64_t)length;
}

uint64_t guest_peek(struct process *process, uint64_t address, void *data, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		int64_t part = peek_page(process, address + done, (char *)data + done, length - done);

		if (part < 0)
			break;
		done += (uint64_t)part;
	}
	return done;
}

/* data may be NULL: zeros. */
static int store(struct process *process, uint64_t address, const char *data, uint64_t length)
{
	if (!is_user(address, length))
		return -EFAULT;
	while (length > 0) {
		uint64_t part = length;
		void *host;
		int result = pin_write(process, address, &part, &host);

		if (result < 0)
			return result;
		if (data != NULL) {
			/* A host may give what it was given: pieces of this very memory. */
			memmove(host, data, part);
			data += part;
		} else {
			memset(host, 0, part);
		}
		address += part;
		length -= part;
	}
	return 0;
}

int guest_write(struct process *process, uint64_t address, const void *data, uint64_t length)
{
	return length == 0 ? 0 : store(process, address, data, length);
}

int guest_zero(struct process *process, uint64_t address, uint64_t length)
{
	return store(process, address, NULL, length);
}

int64_t guest_read_string(struct process *process, uint64_t address, char *text, size_t size)
{
	uint64_t done = 0;

	while (done < size) {
		const char *end;
		int64_t part;

		if (!is_user(address, 1))
			return -EFAULT;
		part = read_page(process, address, text + done, size - done);
		if (part < 0)
			return part;
		/* In the copy: the guest may change its own meanwhile. */
		end = memchr(text + done, '\0', (size_t)part);
		if (end != NULL)
			return end - text;
		done += (uint64_t)part;
		address += (uint64_t)part;
	}
	return -ENAMETOOLONG;
}

static int pin_any(struct process *process, uint64_t address, bool for_writing, uint64_t *length,
                   void **host)
{
	const void *readable = NULL;
	int result;

	if (for_writing)
		return pin_write(process, address, length, host);
	result = pin_read(process, address, length, &readable);
	/* The pieces serve both directions; those for reading are only read. */
	*host = (void *)(uintptr_t)readable;
	return result;
}

/*
 * Brings in every page first, and cuts the range where that fails: pins end
 * with the next edit of the space. None of them goes for one that comes later.
 */
static int prepare(struct process *process, uint64_t address, bool for_writing, uint64_t *length)
{
	uint64_t done = 0;

	while (done < *length) {
		uint64_t part = *length - done;
		void *host;
		int result;

		space_need(process->space, align_down(address, PAGE_SIZE),
		           align_down(address + done, PAGE_SIZE) + PAGE_SIZE);
		result = pin_any(process, address + done, for_writing, &part, &host);
		if (result == -EREMOTE) {
			part = min_u64(part, PAGE_SIZE - ((address + done) & (PAGE_SIZE - 1)));
			result = 0;
		}
		if (result < 0 && done == 0)
			return result;
		if (result < 0)
			break;
		done += part;
	}
	*length = done;
	return 0;
}

/* Adds to the last piece what follows it in the host's memory, too; false: no room for another. */
static bool add_piece(struct guest_piece *pieces, unsigned maximum, unsigned *count, void *host,
                      uint64_t length)
{
	struct guest_piece *last = *count > 0 ? &pieces[*count - 1] : NULL;

	if (last != NULL && (char *)last->host + last->length == host) {
		last->length += length;
		return true;
	}
	if (*count == maximum)
		return false;
	pieces[(*count)++] = (struct guest_piece){.host = host, .length = length};
	return true;
}

/* What pages of files have is read into memory of the host's: [0, used) of borrowed_pages. */
static int borrow(struct process *process, uint64_t address, uint64_t length, uint64_t *used,
                  uint64_t *part, void **host)
{
	int64_t got;

	if (process->borrowed_pages == NULL)
		process->borrowed_pages = malloc(length);
	if (process->borrowed_pages == NULL)
		return -ENOMEM;
	*host = (char *)process->borrowed_pages + *used;
	got = mm_read_absent(process, address, *host, length);
	if (got < 0)
		return (int)got;
	*part = (uint64_t)got;
	*used += *part;
	return 0;
}

static void give_back_borrowed(struct process *process)
{
	free(process->borrowed_pages);
	process->borrowed_pages = NULL;
}

int guest_pieces(struct process *process, uint64_t address, uint64_t length, bool for_writing,
                 struct guest_piece *piece, unsigned maximum, unsigned *count)
{
	uint64_t borrowed = 0;
	int result;

	give_back_borrowed(process);
	*count = 0;
	if (!is_user(address, 0))
		return -EFAULT;
	if (length > 0 && address == LAYOUT_USER_END)
		return -EFAULT;
	length = min_u64(length, min_u64(PIECES_BYTES, LAYOUT_USER_END - address));
	space_need_nothing(process->space);
	result = prepare(process, address, for_writing, &length);
	space_need_nothing(process->space);
	while (result == 0 && length > 0) {
		uint64_t part = length;
		void *host;

		result = pin_any(process, address, for_writing, &part, &host);
		/* The first that is borrowed makes room for all that may follow. */
		if (result == -EREMOTE)
			result = borrow(process, address, length, &borrowed, &part, &host);
		if (result < 0 || !add_piece(piece, maximum, count, host, part))
			break;
		address += part;
		length -= part;
	}
	return *count > 0 ? 0 : result;
}

void guest_hold(struct process *process, uint64_t address, uint64_t length)
{
	space_need(process->space, align_down(address, PAGE_SIZE), address + length);
}

void guest_let_go(struct process *process)
{
	space_need_nothing(process->space);
}
