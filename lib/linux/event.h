/* SPDX-License-Identifier: MIT */
/*
 * The counter of an eventfd(2) within one sandbox. Knows nothing of
 * descriptors, nor of waiting.
 */
#ifndef KVMSB_LINUX_EVENT_H
#define KVMSB_LINUX_EVENT_H

#include "transfer.h"

#include <stdbool.h>
#include <stdint.h>

struct event {
	uint64_t count; /* at most EVENT_MAXIMUM */
	bool semaphore; /* EFD_SEMAPHORE: reading takes 1 */
	uint32_t written, taken; /* times that something was: readiness.h */
};

#define EVENT_MAXIMUM (UINT64_MAX - 1)

/*
 * read(2) and write(2) of 8 bytes. Return 8, -EAGAIN (it would wait), -EINVAL
 * (fewer bytes; UINT64_MAX is written), -EFAULT, -ENOMEM.
 */
int64_t event_read(struct event *event, struct transfer *transfer);
int64_t event_write(struct event *event, struct transfer *transfer);

#endif
