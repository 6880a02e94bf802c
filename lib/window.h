/* SPDX-License-Identifier: MIT */
/*
 * A window of frames in a machine's guest-physical memory: one reservation of
 * host address space, committed slot by slot from its start, populated ahead of
 * use, and a stack of frames that came back.
 *
 *   0 <= used <= populated <= committed <= reserved
 *
 * Below `used` every frame is somebody's or on the stack; up to `populated` the
 * host has a page for each, but for those that were given back to it since.
 *
 * Population goes ahead by an eighth of what there is, in steps of at least 64
 * and at most 256 KiB: a step costs 1.4 us a page (PVM), a touch 2 to 3. A window
 * whose frames are never given back to the host takes 2 MiB pages, once such a
 * page is no more than a quarter of what there is: 0.3 us for each 4 KiB. Where
 * frames are given back one by one they do not pay: the first one splits the
 * page, and its memory stays with the host's split page, out of reach.
 *
 * No locks here; memory.h says which of its own are held.
 */
#ifndef KVMSB_WINDOW_H
#define KVMSB_WINDOW_H

#include "address.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>

#define LARGE_PAGE (UINT64_C(2) << 20)

/* Arrays with an entry for each frame, committed with it; see window_add_array(). */
#define WINDOW_ARRAYS 3u

struct window_array {
	uint8_t *host;
	uint64_t entry; /* bytes */
};

struct memory_window {
	uint8_t *host;     /* start of the reservation */
	uint64_t base;     /* its gpa */
	uint64_t reserved; /* bytes, as all that follow */
	_Atomic uint64_t committed; /* have a memory slot; only grows */
	_Atomic uint64_t populated; /* only grows */
	uint64_t used;              /* handed out at least once */
	uint64_t growth;            /* of the next slot */
	bool large;                 /* takes 2 MiB pages: no frame is ever given back to the host */
	uint32_t *free;             /* stack of frame numbers */
	uint32_t free_count;
	struct window_array arrays[WINDOW_ARRAYS];
	unsigned array_count;
};

/* bytes: a multiple of 2 MiB. growth: of the first slot. Returns 0 or -errno; destroy it in any case. */
int window_init(struct memory_window *window, uint64_t base, uint64_t bytes, uint64_t growth,
                bool large);
/* in_parent: false in a forked child, where the reservation is not. A zeroed one is allowed. */
void window_destroy(struct memory_window *window, bool in_parent);

/* Reserves an array of `entry` bytes for each frame; it goes with the window. NULL: no memory. */
void *window_add_array(struct memory_window *window, uint64_t entry);

/*
 * One more slot, number `slot` of the VM. What the host has no memory for is
 * tried at half the size, down to 2 MiB. Returns 0, -ENOMEM (also at the end of
 * the window), or an error of the slot; nothing has changed then.
 */
int window_grow(struct memory_window *window, int vm, uint32_t slot);

/*
 * Populates up to `bytes` more of what is committed, at least a page, as many as
 * the host has. Returns 0 or -ENOMEM. A host that cannot populate (before Linux
 * 5.14) gives pages as they are touched.
 */
int window_populate(struct memory_window *window, uint64_t bytes);
/* How many it is to be when a frame is wanted, and there is none. */
uint64_t window_step(const struct memory_window *window);

/* Where the next large page would begin. */
uint64_t window_boundary(const struct memory_window *window);

/* Populates frames in a row that were given back; their contents stay. 0 or -ENOMEM. */
int window_repopulate(struct memory_window *window, uint32_t first, uint32_t count);

/* A frame, if one can be had without growing. */
bool window_take(struct memory_window *window, uint32_t *number);

static inline void window_give(struct memory_window *window, uint32_t number)
{
	window->free[window->free_count++] = number;
}

/* How many window_take() can take. */
static inline uint64_t window_available(const struct memory_window *window)
{
	return window->free_count + ((window->populated - window->used) >> PAGE_SHIFT);
}

static inline gpa_t window_frame(const struct memory_window *window, uint32_t number)
{
	return gpa(window->base + ((uint64_t)number << PAGE_SHIFT));
}

static inline uint32_t window_number(const struct memory_window *window, gpa_t frame)
{
	return (uint32_t)((frame.value - window->base) >> PAGE_SHIFT);
}

/* NULL when it is not committed. */
static inline void *window_host(const struct memory_window *window, gpa_t frame)
{
	uint64_t offset = frame.value - window->base;

	return range_within(offset, PAGE_SIZE, window->committed) ? window->host + offset : NULL;
}

#endif
