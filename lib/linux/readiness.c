/* SPDX-License-Identifier: MIT */
/*
 * What open files are ready for: man 2 poll, man 7 epoll.
 */
#include "readiness.h"

#include "deadline.h"
#include "epoll.h"
#include "pipe.h"

#include <fcntl.h>
#include <sys/epoll.h>

/* man 7 pipe and Linux fs/pipe.c pipe_poll(). */
static int of_pipe(const struct process *process, const struct open_file *open)
{
	const struct pipe *pipe = open->file->pipe;

	if ((open->flags & O_ACCMODE) == O_RDONLY)
		return (pipe->length > 0 ? READY_TO_READ : 0) |
		       (files_pipe_open(process, open->file, O_WRONLY) ? 0 : POLLHUP);
	return (pipe_room(pipe) > 0 ? READY_TO_WRITE : 0) |
	       (files_pipe_open(process, open->file, O_RDONLY) ? 0 : POLLERR);
}

/* Linux fs/eventfd.c eventfd_poll(). */
static int of_event(const struct event *event)
{
	return (event->count > 0 ? POLLIN : 0) | (event->count < EVENT_MAXIMUM ? POLLOUT : 0);
}

static int of_epoll(const struct process *process, const struct epoll *epoll)
{
	for (uint32_t i = 0; i < epoll->count; i++)
		if (readiness_of_item(process, &epoll->items[i]))
			return READY_TO_READ;
	return 0;
}

int readiness_of(const struct process *process, const struct open_file *open)
{
	switch (open->file->kind) {
	case FILE_PIPE:
		return of_pipe(process, open);
	case FILE_EVENT:
		return of_event(&open->file->event);
	case FILE_EPOLL:
		return of_epoll(process, open->file->epoll);
	case FILE_STREAM:
		return open->file->stream == 0 ? READY_TO_READ : READY_TO_WRITE;
	default:
		return READY_TO_READ | READY_TO_WRITE;
	}
}

int readiness_of_descriptor(const struct process *process, int fd)
{
	const struct open_file *open = files_look(process, fd);

	return open && open->file->kind != FILE_PATH ? readiness_of(process, open) : POLLNVAL;
}

bool readiness_edges(const struct file *file, uint32_t *written, uint32_t *taken)
{
	*written = file->kind == FILE_EVENT ? file->event.written : 0;
	*taken = file->kind == FILE_EVENT ? file->event.taken : 0;
	if (file->kind == FILE_PIPE) {
		*written = file->pipe->written;
		*taken = file->pipe->taken;
	}
	return file->kind == FILE_EVENT || file->kind == FILE_PIPE;
}

/* EPOLLET: of what is ready, that about which something happened since it was told. */
static int new_edges(const struct file *file, const struct epoll_item *item)
{
	uint32_t written, taken;

	if (!readiness_edges(file, &written, &taken) || !item->told)
		return ~0;
	return (written != item->written ? ~(READY_TO_WRITE) : 0) |
	       (taken != item->taken ? ~(READY_TO_READ) : 0);
}

uint32_t readiness_of_item(const struct process *process, const struct epoll_item *item)
{
	const struct open_file *open = &process->files->open[item->open];
	int events = item->disabled ? 0 : readiness_of(process, open);

	if (item->events & EPOLLET)
		events &= new_edges(open->file, item);
	return (uint32_t)events & item->events;
}

int64_t readiness_wait(struct process *process, uint64_t nanoseconds)
{
	if (nanoseconds == DEADLINE_NEVER)
		return deadline_sleep(process, DEADLINE_NEVER);
	return nanoseconds ? deadline_sleep(process, deadline_from_now(process, nanoseconds)) : 0;
}
