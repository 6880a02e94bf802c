/* SPDX-License-Identifier: MIT */
/*
 * The interest list of an epoll instance.
 */
#include "epoll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 8u

struct epoll *epoll_create_empty(void)
{
	return calloc(1, sizeof(struct epoll));
}

struct epoll *epoll_copy(const struct epoll *epoll)
{
	struct epoll *copy = epoll_create_empty();

	if (!copy || epoll->count == 0)
		return copy;
	copy->items = calloc(epoll->count, sizeof(*copy->items));
	if (!copy->items) {
		free(copy);
		return NULL;
	}
	memcpy(copy->items, epoll->items, epoll->count * sizeof(*copy->items));
	copy->count = epoll->count;
	copy->room = epoll->count;
	copy->first = epoll->first;
	return copy;
}

void epoll_destroy(struct epoll *epoll)
{
	if (!epoll)
		return;
	free(epoll->items);
	free(epoll);
}

struct epoll_item *epoll_find(struct epoll *epoll, uint32_t open, int32_t fd)
{
	for (uint32_t i = 0; i < epoll->count; i++)
		if (epoll->items[i].open == open && epoll->items[i].fd == fd)
			return &epoll->items[i];
	return NULL;
}

static int grow(struct epoll *epoll)
{
	uint32_t room = epoll->room ? epoll->room * 2 : ROOM_FIRST;
	struct epoll_item *items = realloc(epoll->items, room * sizeof(*items));

	if (!items)
		return -ENOMEM;
	epoll->items = items;
	epoll->room = room;
	return 0;
}

int epoll_add(struct epoll *epoll, const struct epoll_item *item)
{
	int error = 0;

	if (epoll->count == EPOLL_ITEMS)
		return -ENOSPC;
	if (epoll->count == epoll->room)
		error = grow(epoll);
	if (!error)
		epoll->items[epoll->count++] = *item;
	return error;
}

void epoll_remove(struct epoll *epoll, struct epoll_item *item)
{
	const struct epoll_item *end = epoll->items + epoll->count;

	memmove(item, item + 1, (size_t)(end - item - 1) * sizeof(*item));
	epoll->count--;
}

void epoll_forget(struct epoll *epoll, uint32_t open)
{
	for (uint32_t i = epoll->count; i > 0; i--)
		if (epoll->items[i - 1].open == open)
			epoll_remove(epoll, &epoll->items[i - 1]);
}
