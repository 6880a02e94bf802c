/* SPDX-License-Identifier: MIT */
/*
 * The interest list of an epoll instance, man 7 epoll: which open files, by
 * which descriptor, for which events. An open file is known by its place in the
 * table, which copies of the table keep. Knows nothing of what is ready.
 */
#ifndef KVMSB_LINUX_EPOLL_H
#define KVMSB_LINUX_EPOLL_H

#include <stdbool.h>
#include <stdint.h>

/* Most in one list: /proc/sys/fs/epoll/max_user_watches. */
#define EPOLL_ITEMS 512u

struct epoll_item {
	uint32_t open;          /* index into files->open */
	int32_t fd;
	uint32_t events;        /* of the guest; EPOLLERR and EPOLLHUP included */
	uint64_t data;          /* the guest's */
	uint32_t written, taken; /* edges that were told: readiness.h */
	bool told;              /* since it was added or changed */
	bool disabled;          /* EPOLLONESHOT: told, and not changed since */
};

struct epoll {
	struct epoll_item *items;
	uint32_t count, room;
	uint32_t first; /* where the next wait begins to look, so that none starves */
};

/* NULL: no memory. */
struct epoll *epoll_create_empty(void);
struct epoll *epoll_copy(const struct epoll *epoll);
void epoll_destroy(struct epoll *epoll); /* NULL is allowed */

/* The item, until the list changes; or NULL. */
struct epoll_item *epoll_find(struct epoll *epoll, uint32_t open, int32_t fd);

/* Adds one that is not there. Returns 0, -ENOSPC, -ENOMEM. */
int epoll_add(struct epoll *epoll, const struct epoll_item *item);
void epoll_remove(struct epoll *epoll, struct epoll_item *item);

/* The open file is closed for good. */
void epoll_forget(struct epoll *epoll, uint32_t open);

#endif
