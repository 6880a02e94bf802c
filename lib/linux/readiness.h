/* SPDX-License-Identifier: MIT */
/*
 * What open files are ready for: the answer to poll(2), select(2) and
 * epoll_wait(2). Files, devices and standard streams always are; a pipe, an
 * eventfd and an epoll instance are what they are.
 */
#ifndef KVMSB_LINUX_READINESS_H
#define KVMSB_LINUX_READINESS_H

#include "files.h"

#include <poll.h>
#include <stdint.h>

#define READY_TO_READ (POLLIN | POLLRDNORM)
#define READY_TO_WRITE (POLLOUT | POLLWRNORM)

/* What is true of it, whatever was asked: POLLIN, ..., POLLHUP, POLLERR. */
int readiness_of(const struct process *process, const struct open_file *open);

/* The same of a descriptor; POLLNVAL when it is not open. */
int readiness_of_descriptor(const struct process *process, int fd);

/*
 * How often something was put into it, and taken out, since it was made: what
 * edge-triggered waiting tells apart. Returns false for what has no edges.
 */
bool readiness_edges(const struct file *file, uint32_t *written, uint32_t *taken);

/* What an item of an interest list is to be told now. */
uint32_t readiness_of_item(const struct process *process, const struct epoll_item *item);

/*
 * Waits for a time-out, as nothing that is not ready ever will be: 0 afterwards,
 * or -EINTR when the run's time ends first. DEADLINE_NEVER: without one.
 */
int64_t readiness_wait(struct process *process, uint64_t nanoseconds);

#endif
