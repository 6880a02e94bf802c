/* SPDX-License-Identifier: MIT */
/*
 * epoll: man 2 epoll_create, epoll_ctl, epoll_wait. What can be waited for is
 * what can be not ready, and the standard streams; an instance cannot be in the
 * list of another.
 */
#include "deadline.h"
#include "epoll.h"
#include "files.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"
#include "readiness.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <layout.h>
#include <sys/epoll.h>

_Static_assert(sizeof(struct epoll_event) == 12, "struct epoll_event is the kernel's");

/* Most that one call gives at once; the rest is given by the next. */
#define EVENTS_MAXIMUM 256u

/*
 * Making one.
 */

static int64_t create(struct process *process, uint32_t flags)
{
	struct epoll *epoll = epoll_create_empty();
	struct file *file = epoll ? file_create(FILE_EPOLL, -1, "") : NULL;

	if (!file) {
		epoll_destroy(epoll);
		return -ENOMEM;
	}
	file->epoll = epoll;
	file->number = files_new_number(process);
	return files_install(process, file, flags | O_RDWR);
}

int64_t sys_epoll_create(struct process *process, const uint64_t arguments[6])
{
	return (int32_t)arguments[0] > 0 ? create(process, 0) : -EINVAL;
}

int64_t sys_epoll_create1(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[0];

	return flags & ~(uint32_t)EPOLL_CLOEXEC ? -EINVAL : create(process, flags);
}

/*
 * Changing its list.
 */

/* Linux: what has a poll() of its own. */
static bool can_be_waited_for(const struct file *file)
{
	return file->kind == FILE_STREAM || file->kind == FILE_PIPE || file->kind == FILE_EVENT ||
	       file->kind == FILE_EPOLL || file->kind == FILE_RANDOM;
}

/* In Linux's order: fs/eventpoll.c do_epoll_ctl(). */
static int check_control(const struct process *process, int epfd, int fd, int operation,
                         uint32_t events)
{
	const uint32_t exclusive = EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP |
	                           EPOLLWAKEUP | EPOLLET;
	const struct open_file *instance = files_look(process, epfd), *open = files_look(process, fd);

	if (!instance || !open || instance->file->kind == FILE_PATH || open->file->kind == FILE_PATH)
		return -EBADF;
	if (!can_be_waited_for(open->file))
		return -EPERM;
	if (instance->file->kind != FILE_EPOLL || instance->file == open->file)
		return -EINVAL;
	if ((events & EPOLLEXCLUSIVE) &&
	    (operation == EPOLL_CTL_MOD || (events & ~exclusive) || open->file->kind == FILE_EPOLL))
		return -EINVAL;
	return operation == EPOLL_CTL_ADD && open->file->kind == FILE_EPOLL ? -ELOOP : 0;
}

static int change(struct epoll *epoll, int operation, const struct epoll_item *wanted)
{
	struct epoll_item *item = epoll_find(epoll, wanted->open, wanted->fd);

	switch (operation) {
	case EPOLL_CTL_ADD:
		return item ? -EEXIST : epoll_add(epoll, wanted);
	case EPOLL_CTL_MOD:
		if (item && (item->events & EPOLLEXCLUSIVE))
			return -EINVAL;
		if (item)
			*item = *wanted;
		return item ? 0 : -ENOENT;
	case EPOLL_CTL_DEL:
		if (item)
			epoll_remove(epoll, item);
		return item ? 0 : -ENOENT;
	default:
		return -EINVAL;
	}
}

int64_t sys_epoll_ctl(struct process *process, const uint64_t arguments[6])
{
	int epfd = (int)arguments[0], operation = (int)arguments[1], fd = (int)arguments[2];
	struct epoll_event event = {0};
	struct epoll_item item;
	struct open_file *open;
	int error = 0;

	if (operation != EPOLL_CTL_DEL)
		error = guest_read(process, arguments[3], &event, sizeof(event));
	if (!error)
		error = check_control(process, epfd, fd, operation, event.events);
	if (!error)
		error = files_change(process, epfd, &open);
	if (error)
		return error;
	item = (struct epoll_item){
		.open = process->files->descriptors[fd].open - 1u,
		.fd = fd,
		.events = event.events | EPOLLERR | EPOLLHUP,
		.data = event.data.u64,
	};
	return change(open->file->epoll, operation, &item);
}

/*
 * Waiting.
 */

static void tell(const struct process *process, struct epoll_item *item)
{
	readiness_edges(process->files->open[item->open].file, &item->written, &item->taken);
	item->told = true;
	item->disabled = item->events & EPOLLONESHOT;
}

/* The table is the process's own here. */
static uint32_t collect(const struct process *process, struct epoll *epoll,
                        struct epoll_event *events, uint32_t maximum)
{
	uint32_t found = 0, first = epoll->first, looked;

	for (looked = 0; looked < epoll->count && found < maximum; looked++) {
		struct epoll_item *item = &epoll->items[(first + looked) % epoll->count];
		uint32_t ready = readiness_of_item(process, item);

		if (!ready)
			continue;
		events[found++] = (struct epoll_event){.events = ready, .data.u64 = item->data};
		tell(process, item);
		epoll->first = (first + looked + 1) % epoll->count;
	}
	return found;
}

static int64_t wait(struct process *process, const uint64_t arguments[6], uint64_t nanoseconds)
{
	struct epoll_event events[EVENTS_MAXIMUM];
	int32_t maximum = (int32_t)arguments[2];
	struct open_file *open;
	uint32_t found;
	int error;

	if (maximum <= 0 || (uint32_t)maximum > INT32_MAX / sizeof(events[0]))
		return -EINVAL;
	if (!range_within(arguments[1], (uint32_t)maximum * sizeof(events[0]), LAYOUT_USER_END))
		return -EFAULT;
	error = files_change(process, (int)arguments[0], &open);
	if (error)
		return error;
	if (open->file->kind != FILE_EPOLL)
		return open->file->kind == FILE_PATH ? -EBADF : -EINVAL;
	found = collect(process, open->file->epoll, events,
	                (uint32_t)min_u64((uint32_t)maximum, EVENTS_MAXIMUM));
	if (!found)
		return readiness_wait(process, nanoseconds);
	error = guest_write(process, arguments[1], events, found * sizeof(events[0]));
	return error ? error : (int64_t)found;
}

static uint64_t from_milliseconds(uint64_t argument)
{
	int32_t milliseconds = (int32_t)argument;

	return milliseconds < 0 ? DEADLINE_NEVER : (uint64_t)milliseconds * 1000000;
}

int64_t sys_epoll_wait(struct process *process, const uint64_t arguments[6])
{
	return wait(process, arguments, from_milliseconds(arguments[3]));
}

/* A signal mask for the time of the call; no signal comes from outside. */
static int check_mask(struct process *process, uint64_t address, uint64_t size)
{
	uint64_t mask;

	if (!address)
		return 0;
	return size == sizeof(mask) ? guest_read(process, address, &mask, sizeof(mask)) : -EINVAL;
}

int64_t sys_epoll_pwait(struct process *process, const uint64_t arguments[6])
{
	int error = check_mask(process, arguments[4], arguments[5]);

	return error ? error : wait(process, arguments, from_milliseconds(arguments[3]));
}

int64_t sys_epoll_pwait2(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds = DEADLINE_NEVER;
	int error = 0;

	if (arguments[3])
		error = guest_time_read(process, arguments[3], GUEST_TIMESPEC, &nanoseconds);
	if (!error)
		error = check_mask(process, arguments[4], arguments[5]);
	return error ? error : wait(process, arguments, nanoseconds);
}
