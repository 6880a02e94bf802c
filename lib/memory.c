/* SPDX-License-Identifier: MIT */
/* Guest-physical memory; see memory.h. */
#include "memory.h"

#include "kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Data begins above what KVM may claim below 4 GiB (its TSS, the APIC's page). */
#define DATA_BASE (UINT64_C(4) << 30)

#define FIRST_DATA_GROWTH (UINT64_C(16) << 20)
#define FIRST_TABLE_GROWTH (UINT64_C(2) << 20)

/* Address space for files, where the guest's physical addresses reach so far: slots of 46 MB in KVM. */
#define FILE_BYTES (UINT64_C(16) << 30)

/*
 * Shadow pages that KVM may keep: of the pages in slots the share that it takes
 * by default, and at least so many. A fork that runs has four of its own, and is
 * called in 28 us as long as KVM keeps them, in 60 when they are made anew (PVM).
 * The least serves a hundred forks in turn. It costs up to 3.6 MiB of the
 * kernel's memory, which is what a thousand idle forks have left of their 24 KiB
 * each; more forks bring more slots.
 */
#define SHADOW_SHARE 50u
#define SHADOW_LEAST 448u

static int init_windows(struct memory *memory, uint64_t data_bytes, uint64_t tables_base,
                        uint64_t tables_bytes)
{
	struct memory_window *data = &memory->data, *tables = &memory->tables;
	int result = window_init(data, DATA_BASE, data_bytes, FIRST_DATA_GROWTH, false);

	if (result == 0)
		result = window_init(tables, tables_base, tables_bytes, FIRST_TABLE_GROWTH, true);
	if (result < 0)
		return result;
	memory->frames = window_add_array(data, sizeof(*memory->frames));
	memory->table_epochs = window_add_array(tables, sizeof(*memory->table_epochs));
	memory->quarantine = window_add_array(tables, sizeof(*memory->quarantine));
	return memory->frames == NULL || memory->table_epochs == NULL || memory->quarantine == NULL
	               ? -ENOMEM
	               : 0;
}

static int init_locks(struct memory *memory)
{
	if (pthread_mutex_init(&memory->lock, NULL) != 0)
		return -ENOMEM;
	if (pthread_mutex_init(&memory->growth_lock, NULL) == 0)
		return 0;
	pthread_mutex_destroy(&memory->lock);
	return -ENOMEM;
}

int memory_init(struct memory *memory, int vm, uint64_t data_bytes, uint64_t tables_bytes,
                unsigned physical_bits, bool shadow)
{
	uint64_t tables_base, end;
	int result;

	memset(memory, 0, sizeof(*memory));
	memory->vm = vm;
	memory->shadow = shadow;
	memory->next_slot = MEMORY_FIRST_SLOT;
	if (!checked_align_up(data_bytes, LARGE_PAGE, &data_bytes) ||
	    !checked_align_up(tables_bytes, LARGE_PAGE, &tables_bytes) ||
	    !checked_add(DATA_BASE, data_bytes, &tables_base) ||
	    !checked_add(tables_base, tables_bytes, &end) || physical_bits > 52 ||
	    end > UINT64_C(1) << physical_bits)
		return -EINVAL;
	result = init_locks(memory);
	if (result < 0)
		return result;
	memory->initialised = true;
	file_window_init(&memory->files, end,
	                 min_u64(FILE_BYTES, (UINT64_C(1) << physical_bits) - end));
	result = init_windows(memory, data_bytes, tables_base, tables_bytes);
	if (result < 0)
		memory_destroy(memory, true);
	return result;
}

void memory_destroy(struct memory *memory, bool in_parent)
{
	if (!memory->initialised)
		return;
	window_destroy(&memory->data, in_parent);
	window_destroy(&memory->tables, in_parent);
	file_window_destroy(&memory->files, in_parent);
	if (in_parent) {
		pthread_mutex_destroy(&memory->lock);
		pthread_mutex_destroy(&memory->growth_lock);
	}
	memset(memory, 0, sizeof(*memory));
}

/* Growth. */

static uint64_t committed_bytes(const struct memory *memory)
{
	return memory->data.committed + memory->tables.committed + memory->files.committed;
}

/* KVM no longer follows the slots itself once it was told a number. */
static void allow_shadow_pages(struct memory *memory)
{
	uint64_t pages = (committed_bytes(memory) >> PAGE_SHIFT) / SHADOW_SHARE;

	pages = max_u64(pages, SHADOW_LEAST);
	if (!memory->shadow || pages <= memory->shadow_pages)
		return;
	/* What KVM refuses it does with fewer. */
	if (kvm_shadow_pages(memory->vm, pages) == 0)
		memory->shadow_pages = pages;
}

/* Under growth_lock: more than is populated is wanted. */
static int extend(struct memory *memory, struct memory_window *window, uint64_t bytes)
{
	if (window->populated == window->committed) {
		int result = window_grow(window, memory->vm, memory->next_slot);

		if (result < 0)
			return result;
		memory->next_slot++;
		allow_shadow_pages(memory);
	}
	return window_populate(window, bytes);
}

static uint64_t available(struct memory *memory, const struct memory_window *window)
{
	uint64_t frames;

	pthread_mutex_lock(&memory->lock);
	frames = window_available(window);
	pthread_mutex_unlock(&memory->lock);
	return frames;
}

/* A frame was wanted, and none was there. */
static int extend_for_one(struct memory *memory, struct memory_window *window)
{
	int result = 0;

	pthread_mutex_lock(&memory->growth_lock);
	/* Whoever held the lock may have left enough. */
	if (available(memory, window) == 0)
		result = extend(memory, window, window_step(window));
	pthread_mutex_unlock(&memory->growth_lock);
	return result;
}

static bool try_take(struct memory *memory, struct memory_window *window, uint32_t *number)
{
	bool taken;

	pthread_mutex_lock(&memory->lock);
	taken = window_take(window, number);
	if (taken)
		++*(window == &memory->data ? &memory->frames_in_use : &memory->tables_in_use);
	pthread_mutex_unlock(&memory->lock);
	return taken;
}

static int take(struct memory *memory, struct memory_window *window, uint32_t *number)
{
	int result = 0;

	while (result == 0 && !try_take(memory, window, number))
		result = extend_for_one(memory, window);
	return result;
}

/* Populates up to `target` bytes of the window, letting others in after every 2 MiB. */
static int extend_to(struct memory *memory, struct memory_window *window, uint64_t target)
{
	int result = 0;

	while (result == 0 && window->populated < target) {
		pthread_mutex_lock(&memory->growth_lock);
		if (window->populated < target)
			result = extend(memory, window,
			                min_u64(target, window_boundary(window)) - window->populated);
		pthread_mutex_unlock(&memory->growth_lock);
	}
	return result;
}

static int reserve_fresh(struct memory *memory, struct memory_window *window, uint64_t frames)
{
	uint64_t ready = available(memory, window);
	uint64_t target = window->populated;

	if (frames <= ready)
		return 0;
	frames -= ready;
	if (frames > (window->reserved - target) >> PAGE_SHIFT)
		return -ENOMEM;
	return extend_to(memory, window, target + (frames << PAGE_SHIFT));
}

/* Under the lock: free frames in a row, those that are taken after `skip` others. */
static uint32_t free_run(const struct memory_window *window, uint64_t skip, uint64_t most,
                         uint32_t *first)
{
	const uint32_t *top = window->free + window->free_count - skip;
	uint64_t count = 0;

	if (skip >= window->free_count)
		return 0;
	most = min_u64(most, window->free_count - skip);
	*first = top[-1];
	while (count < most && top[-1 - (int64_t)count] == *first + count)
		count++;
	return (uint32_t)count;
}

/* Those that came back have no host page. That another thread takes one just now does no harm. */
static int reserve_returned(struct memory *memory, struct memory_window *window, uint64_t frames)
{
	uint32_t first = 0, count = 1;
	int result = 0;

	for (uint64_t done = 0; result == 0 && count > 0 && done < frames; done += count) {
		pthread_mutex_lock(&memory->lock);
		count = free_run(window, done, frames - done, &first);
		pthread_mutex_unlock(&memory->lock);
		if (count > 0)
			result = window_repopulate(window, first, count);
	}
	return result;
}

int memory_reserve(struct memory *memory, uint64_t frames, uint64_t tables)
{
	int result = reserve_fresh(memory, &memory->tables, tables);

	if (result == 0)
		result = reserve_fresh(memory, &memory->data, frames);
	return result == 0 ? reserve_returned(memory, &memory->data, frames) : result;
}

int memory_map_file(struct memory *memory, int descriptor, uint64_t offset, uint64_t *length,
                    gpa_t *frame)
{
	int result;

	pthread_mutex_lock(&memory->growth_lock);
	result = file_window_place(&memory->files, memory->vm, &memory->next_slot, descriptor,
	                           offset, length, frame);
	allow_shadow_pages(memory);
	pthread_mutex_unlock(&memory->growth_lock);
	return result;
}

/* Frames. */

int memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame)
{
	uint32_t number = 0;
	int result = take(memory, &memory->data, &number);

	if (result < 0)
		return result;
	*frame = window_frame(&memory->data, number);
	memory->frames[number] = (struct frame){
		.owner = owner, .previous = FRAME_NONE, .next = FRAME_NONE};
	return 0;
}

/* Memory that mlockall(2) locked takes an advice of its own, since Linux 5.18. */
static bool drop_contents(void *host, uint64_t length)
{
	return madvise(host, length, MADV_DONTNEED) == 0 ||
	       (errno == EINVAL && madvise(host, length, MADV_DONTNEED_LOCKED) == 0);
}

bool memory_frames_discard(struct memory *memory, gpa_t first, uint64_t count)
{
	return drop_contents(memory_data(memory, first), count * PAGE_SIZE);
}

/* The lowest is handed out first: neighbours stay neighbours. */
void memory_frames_release(struct memory *memory, gpa_t first, uint64_t count)
{
	struct memory_window *window = &memory->data;
	uint32_t number = window_number(window, first);

	pthread_mutex_lock(&memory->lock);
	memory->frames_in_use -= count;
	for (uint64_t i = count; i-- > 0;) {
		memory->frames[number + i].owner = 0;
		window_give(window, (uint32_t)(number + i));
	}
	pthread_mutex_unlock(&memory->lock);
}

void memory_frames_lose(struct memory *memory, gpa_t first, uint64_t count)
{
	uint32_t number = window_number(&memory->data, first);

	memory->frames_in_use -= count;
	for (uint64_t i = 0; i < count; i++)
		memory->frames[number + i].owner = 0;
}

int memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table)
{
	uint32_t number = 0;
	int result = take(memory, &memory->tables, &number);

	if (result < 0)
		return result;
	*table = window_frame(&memory->tables, number);
	memory->table_epochs[number] = epoch;
	return 0;
}

void memory_table_free(struct memory *memory, gpa_t table)
{
	pthread_mutex_lock(&memory->lock);
	window_give(&memory->tables, window_number(&memory->tables, table));
	memory->tables_in_use--;
	pthread_mutex_unlock(&memory->lock);
}

void memory_table_quarantine(struct memory *memory, gpa_t table)
{
	pthread_mutex_lock(&memory->lock);
	memory->quarantine[memory->quarantine_count++] = window_number(&memory->tables, table);
	pthread_mutex_unlock(&memory->lock);
}

uint64_t memory_table_epoch(const struct memory *memory, gpa_t table)
{
	return memory->table_epochs[window_number(&memory->tables, table)];
}

uint32_t memory_quarantined(const struct memory *memory)
{
	return memory->quarantine_count;
}

void memory_quarantine_release(struct memory *memory, uint32_t count)
{
	struct memory_window *window = &memory->tables;

	pthread_mutex_lock(&memory->lock);
	for (uint32_t i = 0; i < count; i++)
		window_give(window, memory->quarantine[i]);
	memory->quarantine_count -= count;
	memory->tables_in_use -= count;
	memmove(memory->quarantine, memory->quarantine + count,
	        memory->quarantine_count * sizeof(*memory->quarantine));
	pthread_mutex_unlock(&memory->lock);
}

void *memory_data(const struct memory *memory, gpa_t frame)
{
	return window_host(&memory->data, frame);
}

uint64_t *memory_table(const struct memory *memory, gpa_t table)
{
	return window_host(&memory->tables, table);
}

/*
 * For each page in a slot a head of its reverse map and a count of write
 * tracking (8 + 2), for each 2 MiB of it the same for large pages (8 + 4): under
 * nested paging newer kernels (5.13, 5.15) do without most of it.
 */
#define SLOT_BYTES_A_PAGE 11u
/* A page table, the addresses it was made from, and its header. */
#define SHADOW_PAGE_BYTES (2 * PAGE_SIZE + 256)
/* Nested paging: one table for each 2 MiB that were used, and its header; those above are few. */
#define NESTED_TABLE_BYTES (PAGE_SIZE + 256)
#define NESTED_TABLES_ABOVE 8u

static uint64_t nested_tables(uint64_t bytes)
{
	return bytes / LARGE_PAGE + 1;
}

uint64_t memory_kernel_bytes(const struct memory *memory)
{
	uint64_t pages = committed_bytes(memory) >> PAGE_SHIFT;
	uint64_t slots = pages * SLOT_BYTES_A_PAGE;

	if (memory->shadow)
		return slots +
		       max_u64(memory->shadow_pages, pages / SHADOW_SHARE) * SHADOW_PAGE_BYTES;
	return slots +
	       (nested_tables(memory->data.populated) + nested_tables(memory->tables.populated) +
	        nested_tables(memory->files.placed) + NESTED_TABLES_ABOVE) *
	               NESTED_TABLE_BYTES;
}
