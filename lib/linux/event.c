/* SPDX-License-Identifier: MIT */
/*
 * The counter of an eventfd(2): man 2 eventfd.
 */
#include "event.h"

#include <errno.h>

int64_t event_read(struct event *event, struct transfer *transfer)
{
	uint64_t value = event->semaphore ? 1 : event->count;
	int64_t moved;

	if (transfer->left < sizeof(value))
		return -EINVAL;
	if (event->count == 0)
		return -EAGAIN;
	/* Linux counts first: what then cannot be stored is lost. */
	event->count -= value;
	event->taken++;
	moved = transfer_scatter(transfer, &value, sizeof(value));
	return moved < 0 || moved == sizeof(value) ? moved : -EFAULT;
}

int64_t event_write(struct event *event, struct transfer *transfer)
{
	uint64_t value;
	int64_t moved;

	if (transfer->left < sizeof(value))
		return -EINVAL;
	moved = transfer_gather(transfer, &value, sizeof(value));
	if (moved != sizeof(value))
		return moved < 0 ? moved : -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	if (value > EVENT_MAXIMUM - event->count)
		return -EAGAIN;
	event->count += value;
	event->written++;
	return sizeof(value);
}
