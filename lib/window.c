/* SPDX-License-Identifier: MIT */
/* A window of frames; see window.h. */
#include "window.h"

#include "kvm.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LEAST_GROWTH LARGE_PAGE
#define LARGEST_GROWTH (UINT64_C(256) << 20)

#define STEP_SHARE 8u
#define LEAST_STEP (UINT64_C(64) << 10)
#define LARGEST_STEP (UINT64_C(256) << 10)
/* Where a window begins to take large pages. */
#define LARGE_FROM (4 * LARGE_PAGE)

static void *reserve(uint64_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	                     -1, 0);

	return address == MAP_FAILED ? NULL : address;
}

static void unreserve(void *address, uint64_t bytes)
{
	if (address != NULL)
		munmap(address, bytes);
}

/* The whole pages that hold [from, to). */
static int protect(uint8_t *start, uint64_t from, uint64_t to, int protection)
{
	uint64_t first = align_down(from, PAGE_SIZE);
	uint64_t end;

	if (!checked_align_up(to, PAGE_SIZE, &end))
		return -ENOMEM;
	if (first == end)
		return 0;
	return mprotect(start + first, end - first, protection) < 0 ? -errno : 0;
}

/* The pages that begin in [from, to): the one around `from` was populated with what is before it. */
static int populate(uint8_t *start, uint64_t from, uint64_t to)
{
	uint64_t first = align_down(from + PAGE_SIZE - 1, PAGE_SIZE);
	uint64_t end = align_down(to + PAGE_SIZE - 1, PAGE_SIZE);

	if (first == end || madvise(start + first, end - first, MADV_POPULATE_WRITE) == 0)
		return 0;
	/* EINVAL: a kernel before 5.14. */
	return errno == EINVAL ? 0 : -ENOMEM;
}

static uint64_t frame_count(const struct memory_window *window)
{
	return window->reserved >> PAGE_SHIFT;
}

/* The reservation begins at a 2 MiB boundary, so that large pages can back it. */
static int reserve_window(struct memory_window *window, uint64_t bytes)
{
	uint8_t *raw = reserve(bytes + LARGE_PAGE);
	uint64_t skip;

	if (raw == NULL)
		return -ENOMEM;
	skip = -(uint64_t)(uintptr_t)raw & (LARGE_PAGE - 1);
	unreserve(skip != 0 ? raw : NULL, skip);
	munmap(raw + skip + bytes, LARGE_PAGE - skip);
	window->host = raw + skip;
	window->reserved = bytes;
	return 0;
}

int window_init(struct memory_window *window, uint64_t base, uint64_t bytes, uint64_t growth,
                bool large)
{
	int result = reserve_window(window, bytes);

	if (result < 0)
		return result;
	window->base = base;
	window->growth = growth;
	window->large = large;
	window->free = window_add_array(window, sizeof(*window->free));
	if (window->free == NULL)
		return -ENOMEM;
	if (madvise(window->host, bytes, MADV_DONTFORK) < 0 ||
	    madvise(window->host, bytes, MADV_DONTDUMP) < 0)
		return -errno;
	/* Where large pages are given unasked. A kernel that has none refuses, which is as good. */
	madvise(window->host, bytes, MADV_NOHUGEPAGE);
	return 0;
}

void *window_add_array(struct memory_window *window, uint64_t entry)
{
	void *host = reserve(frame_count(window) * entry);

	if (host != NULL)
		window->arrays[window->array_count++] = (struct window_array){host, entry};
	return host;
}

void window_destroy(struct memory_window *window, bool in_parent)
{
	for (unsigned i = 0; i < window->array_count; i++)
		unreserve(window->arrays[i].host, frame_count(window) * window->arrays[i].entry);
	/* In a child the reservation is not there; something else may be in its place. */
	if (in_parent)
		unreserve(window->host, window->reserved);
}

static int commit_arrays(struct memory_window *window, uint64_t committed)
{
	uint64_t frames = committed >> PAGE_SHIFT;
	int result = 0;

	for (unsigned i = 0; i < window->array_count && result == 0; i++)
		result = protect(window->arrays[i].host, 0, frames * window->arrays[i].entry,
		                 PROT_READ | PROT_WRITE);
	return result;
}

static int add_slot(struct memory_window *window, int vm, uint32_t slot, uint64_t bytes)
{
	uint64_t from = window->committed;
	int result = commit_arrays(window, from + bytes);

	if (result == 0)
		result = protect(window->host, from, from + bytes, PROT_READ | PROT_WRITE);
	if (result < 0)
		return result;
	result = kvm_memory_slot(vm, slot, window->base + from, bytes, window->host + from);
	if (result == 0)
		window->committed = from + bytes;
	else
		protect(window->host, from, from + bytes, PROT_NONE); /* no charge without use */
	return result;
}

int window_grow(struct memory_window *window, int vm, uint32_t slot)
{
	uint64_t bytes = min_u64(window->growth, window->reserved - window->committed);
	int result;

	if (bytes == 0)
		return -ENOMEM;
	result = add_slot(window, vm, slot, bytes);
	while (result < 0 && bytes > LEAST_GROWTH) {
		bytes = align_down(bytes / 2, LARGE_PAGE);
		result = add_slot(window, vm, slot, bytes);
	}
	if (result == 0)
		window->growth = min_u64(bytes * 2, LARGEST_GROWTH);
	return result;
}

/* Populating. */

uint64_t window_boundary(const struct memory_window *window)
{
	return align_down(window->populated, LARGE_PAGE) + LARGE_PAGE;
}

uint64_t window_step(const struct memory_window *window)
{
	uint64_t populated = window->populated;
	uint64_t step = align_down(populated / STEP_SHARE, PAGE_SIZE);

	if (window->large && populated >= LARGE_FROM && is_aligned(populated, LARGE_PAGE))
		return LARGE_PAGE;
	step = max_u64(min_u64(step, LARGEST_STEP), LEAST_STEP);
	/* So that the next one can be a large page. */
	return min_u64(step, window_boundary(window) - populated);
}

/* Large pages for those parts that are wanted whole. Without them small ones come. */
static void ask_for_large_pages(struct memory_window *window, uint64_t from, uint64_t to)
{
	uint64_t first = align_down(from + LARGE_PAGE - 1, LARGE_PAGE);
	uint64_t end = align_down(to, LARGE_PAGE);

	if (window->large && first < end)
		madvise(window->host + first, end - first, MADV_HUGEPAGE);
}

static int populate_frames(struct memory_window *window, uint64_t from, uint64_t to)
{
	int result;

	ask_for_large_pages(window, from, to);
	result = populate(window->host, from, to);
	for (unsigned i = 0; i < window->array_count && result == 0; i++) {
		uint64_t entry = window->arrays[i].entry;

		result = populate(window->arrays[i].host, (from >> PAGE_SHIFT) * entry,
		                  (to >> PAGE_SHIFT) * entry);
	}
	return result;
}

int window_populate(struct memory_window *window, uint64_t bytes)
{
	uint64_t from = window->populated;
	int result;

	bytes = min_u64(bytes, window->committed - from);
	result = populate_frames(window, from, from + bytes);
	while (result < 0 && bytes > PAGE_SIZE) {
		bytes = align_down(bytes / 2, PAGE_SIZE);
		result = populate_frames(window, from, from + bytes);
	}
	if (result == 0)
		window->populated = from + bytes;
	return result;
}

int window_repopulate(struct memory_window *window, uint32_t first, uint32_t count)
{
	uint64_t from = (uint64_t)first << PAGE_SHIFT;

	return populate(window->host, from, from + ((uint64_t)count << PAGE_SHIFT));
}

bool window_take(struct memory_window *window, uint32_t *number)
{
	if (window->free_count > 0) {
		*number = window->free[--window->free_count];
		return true;
	}
	if (window->used == window->populated)
		return false;
	*number = (uint32_t)(window->used >> PAGE_SHIFT);
	window->used += PAGE_SIZE;
	return true;
}
