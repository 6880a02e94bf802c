/* SPDX-License-Identifier: MIT */
/*
 * sys_sockets_write: data for connections that the host serves, handed over
 * where it lies in the guest's memory.
 */
#include "call.h"
#include "socket_event.h"

#include "../linux/mm.h"
#include "../linux/transfer.h"
#include "../util.h"

#include <errno.h>
#include <sys/uio.h>

#define EVENT_WRITABLE 2

/* Most that Linux has as an errno (MAX_ERRNO). */
#define ERRNO_MAXIMUM 4095

/* Pieces of guest memory that cover a prefix of the data, as long as one call of the host's is. */
static int find_pieces(struct call *call, const struct socket_event *event,
                       struct iovec pieces[TRANSFER_PIECES], size_t *count, uint64_t *length)
{
	struct guest_piece found[TRANSFER_PIECES];
	unsigned found_count;
	int result;

	*count = 0;
	*length = 0;
	if (event->length == 0)
		return 0;
	result = call_pieces(call, event->data, event->length, found, TRANSFER_PIECES, &found_count);
	if (result < 0)
		return result;
	for (unsigned i = 0; i < found_count; i++) {
		pieces[i] = (struct iovec){found[i].host, found[i].length};
		*length += found[i].length;
	}
	*count = found_count;
	return 0;
}

/* *written: what the host's function says, made sound. */
static int ask_host(struct call *call, const struct socket_event *event, const struct iovec *pieces,
                    size_t count, uint64_t length, int64_t *written)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	struct kvmsb_http_context context;
	int result;

	*written = -ENOSYS;
	if (ops->socket_write == NULL)
		return 0;
	result = call_host_begin(call, &context);
	if (result < 0)
		return result;
	*written = ops->socket_write(&context, event->descriptor, pieces, count);
	if (*written < -ERRNO_MAXIMUM || *written > (int64_t)length)
		*written = -EIO;
	return call_host_end(call);
}

/* The event's descriptor becomes what was written, unless the connection takes nothing just now. */
static int write_event(struct call *call, const struct socket_event *event, uint64_t address)
{
	struct iovec pieces[TRANSFER_PIECES];
	uint64_t length;
	int64_t written = -EAGAIN;
	size_t count;
	int32_t answer;
	int result = find_pieces(call, event, pieces, &count, &length);

	if (result == 0)
		result = ask_host(call, event, pieces, count, length, &written);
	if (result < 0 || written == -EAGAIN)
		return result;
	answer = (int32_t)written;
	return call_write(call, address, &answer, sizeof(answer));
}

int call_sockets_write(struct call *call)
{
	const uint64_t address = call->arguments[0];
	const uint64_t count = max_u64(1, min_u64(call->arguments[1], SOCKET_EVENTS_MAXIMUM));
	struct socket_event events[SOCKET_EVENTS_MAXIMUM];
	int result = call_read(call, address, events, count * sizeof(events[0]));

	for (uint64_t i = 0; i < count && result == 0; i++)
		if (events[i].event == EVENT_WRITABLE)
			result = write_event(call, &events[i], address + i * sizeof(events[0]));
	return result;
}
