/* SPDX-License-Identifier: MIT */
/* What the handlers of hypercalls share; see call.h. */
#include "call.h"

#include "../linux/mm.h"
#include "../util.h"
#include "layout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * What is allocated before any of the guest's memory was seen to be there;
 * from then on as much again as was read.
 */
#define FIRST_PIECE ((uint64_t)256 << 10)

bool call_has_request(const struct call *call)
{
	return call->hypercalls->exchange != NULL;
}

int call_deny(struct call *call, const char *format, ...)
{
	va_list arguments;

	call->action = HYPERCALL_DENIED;
	va_start(arguments, format);
	vsnprintf(call->hypercalls->detail, sizeof(call->hypercalls->detail), format, arguments);
	va_end(arguments);
	return -EPERM;
}

int call_no_memory(struct call *call)
{
	call->process->end = PROCESS_OUT_OF_MEMORY;
	return -ENOMEM;
}

int call_host_begin(struct call *call, struct kvmsb_http_context *context)
{
	*context = hypercalls_context(call->hypercalls, call->process->sandbox);
	return process_call_begin(call->process);
}

int call_host_end(struct call *call)
{
	return process_call_end(call->process);
}

/* The first word is what programs for the guest API look for. */
static int failed(struct call *call, int error, const char *what, uint64_t address, uint64_t length)
{
	if (error == -ENOMEM)
		return call_no_memory(call);
	return call_deny(call, "%s: %s: cannot %s %llu bytes at %#llx",
	                 what[0] == 'r' ? "readable_page_at" : "writable_page_at", call->name, what,
	                 (unsigned long long)length, (unsigned long long)address);
}

int call_read(struct call *call, uint64_t address, void *data, uint64_t length)
{
	int error = -EFAULT;

	if (length == 0)
		return 0;
	if (range_within(address, length, LAYOUT_USER_END))
		error = guest_read(call->process, address, data, length);
	return error < 0 ? failed(call, error, "read", address, length) : 0;
}

int call_write(struct call *call, uint64_t address, const void *data, uint64_t length)
{
	int error = -EFAULT;

	if (length == 0)
		return 0;
	if (range_within(address, length, LAYOUT_USER_END))
		error = guest_write(call->process, address, data, length);
	return error < 0 ? failed(call, error, "write", address, length) : 0;
}

int call_pieces(struct call *call, uint64_t address, uint64_t length, struct guest_piece *piece,
                unsigned maximum, unsigned *count)
{
	int error = -EFAULT;

	if (range_within(address, length, LAYOUT_USER_END))
		error = guest_pieces(call->process, address, length, false, piece, maximum, count);
	return error < 0 ? failed(call, error, "read", address, length) : 0;
}

int call_content(struct call *call, uint64_t address, uint64_t length, struct guest_content *content)
{
	int error = -EFAULT;

	if (range_within(address, length, LAYOUT_USER_END))
		error = guest_content(call->process, address, length, content);
	return error < 0 ? failed(call, error, "read", address, length) : 0;
}

int call_read_allocated(struct call *call, uint64_t address, uint64_t length, void **data)
{
	uint64_t done = 0, capacity;
	uint8_t *copy = NULL, *larger;
	int result;

	if (!range_within(address, length, LAYOUT_USER_END))
		return failed(call, -EFAULT, "read", address, length);
	do {
		capacity = min_u64(length, max_u64(FIRST_PIECE, 2 * done));
		larger = realloc(copy, capacity + 1);
		if (larger == NULL) {
			result = call_no_memory(call);
			goto free_copy;
		}
		copy = larger;
		result = call_read(call, address + done, copy + done, capacity - done);
		if (result < 0)
			goto free_copy;
		done = capacity;
	} while (done < length);
	copy[length] = '\0';
	*data = copy;
	return 0;

free_copy:
	free(copy);
	return result;
}
