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

#define LARGE_PAGE (UINT64_C(2) << 20)

/* Data begins above what KVM may claim below 4 GiB (its TSS, the APIC's page). */
#define DATA_BASE (UINT64_C(4) << 30)

#define FIRST_DATA_GROWTH (UINT64_C(16) << 20)
#define FIRST_TABLE_GROWTH (UINT64_C(2) << 20)
#define LARGEST_GROWTH (UINT64_C(256) << 20)

static void *reserve(uint64_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	                     -1, 0);

	return address == MAP_FAILED ? NULL : address;
}

static int commit(void *start, uint64_t from, uint64_t to)
{
	uint64_t first = align_down(from, PAGE_SIZE);
	uint64_t end;

	if (!checked_align_up(to, PAGE_SIZE, &end))
		return -ENOMEM;
	if (first == end)
		return 0;
	return mprotect((uint8_t *)start + first, end - first, PROT_READ | PROT_WRITE) < 0 ? -errno
	                                                                                   : 0;
}

static void unreserve(void *address, uint64_t bytes)
{
	if (address != NULL)
		munmap(address, bytes);
}

static uint64_t frame_count(const struct memory_window *window)
{
	return window->reserved >> PAGE_SHIFT;
}

/* The reservation begins at a 2 MiB boundary, so that huge pages can back it. */
static int window_init(struct memory_window *window, uint64_t base, uint64_t bytes, uint64_t growth)
{
	uint8_t *raw = reserve(bytes + LARGE_PAGE);
	uint64_t skip;

	if (raw == NULL)
		return -ENOMEM;
	skip = -(uint64_t)(uintptr_t)raw & (LARGE_PAGE - 1);
	unreserve(skip != 0 ? raw : NULL, skip);
	munmap(raw + skip + bytes, LARGE_PAGE - skip);
	window->host = raw + skip;
	window->base = base;
	window->reserved = bytes;
	window->growth = growth;
	window->free = reserve(frame_count(window) * sizeof(uint32_t));
	if (window->free == NULL)
		return -ENOMEM;
	if (madvise(window->host, bytes, MADV_DONTFORK) < 0 ||
	    madvise(window->host, bytes, MADV_DONTDUMP) < 0)
		return -errno;
	return 0;
}

static void window_destroy(struct memory_window *window, bool in_parent)
{
	/* In a child the reservation is not there; something else may be in its place. */
	if (in_parent)
		unreserve(window->host, window->reserved);
	unreserve(window->free, frame_count(window) * sizeof(uint32_t));
}

int memory_init(struct memory *memory, int vm, uint64_t data_bytes, uint64_t tables_bytes,
                unsigned physical_bits)
{
	uint64_t tables_base, end, data_frames, table_frames;
	int result;

	memset(memory, 0, sizeof(*memory));
	memory->vm = vm;
	memory->next_slot = MEMORY_FIRST_SLOT;
	if (!checked_align_up(data_bytes, LARGE_PAGE, &data_bytes) ||
	    !checked_align_up(tables_bytes, LARGE_PAGE, &tables_bytes) ||
	    !checked_add(DATA_BASE, data_bytes, &tables_base) ||
	    !checked_add(tables_base, tables_bytes, &end) || physical_bits > 52 ||
	    end > UINT64_C(1) << physical_bits)
		return -EINVAL;
	if (pthread_mutex_init(&memory->lock, NULL) != 0)
		return -ENOMEM;
	memory->initialised = true;
	result = window_init(&memory->data, DATA_BASE, data_bytes, FIRST_DATA_GROWTH);
	if (result == 0)
		result = window_init(&memory->tables, tables_base, tables_bytes, FIRST_TABLE_GROWTH);
	if (result < 0)
		goto destroy;
	data_frames = frame_count(&memory->data);
	table_frames = frame_count(&memory->tables);
	memory->frames = reserve(data_frames * sizeof(*memory->frames));
	memory->table_epochs = reserve(table_frames * sizeof(*memory->table_epochs));
	memory->quarantine = reserve(table_frames * sizeof(*memory->quarantine));
	result = -ENOMEM;
	if (memory->frames == NULL || memory->table_epochs == NULL || memory->quarantine == NULL)
		goto destroy;
	return 0;

destroy:
	memory_destroy(memory, true);
	return result;
}

void memory_destroy(struct memory *memory, bool in_parent)
{
	uint64_t data_frames = frame_count(&memory->data);
	uint64_t table_frames = frame_count(&memory->tables);

	if (!memory->initialised)
		return;
	unreserve(memory->frames, data_frames * sizeof(*memory->frames));
	unreserve(memory->table_epochs, table_frames * sizeof(*memory->table_epochs));
	unreserve(memory->quarantine, table_frames * sizeof(*memory->quarantine));
	window_destroy(&memory->data, in_parent);
	window_destroy(&memory->tables, in_parent);
	if (in_parent)
		pthread_mutex_destroy(&memory->lock);
	memset(memory, 0, sizeof(*memory));
}

static int commit_side_arrays(struct memory *memory, struct memory_window *window, uint64_t committed)
{
	uint64_t frames = committed >> PAGE_SHIFT;
	int result = commit(window->free, 0, frames * sizeof(uint32_t));

	if (result < 0)
		return result;
	if (window == &memory->data)
		return commit(memory->frames, 0, frames * sizeof(*memory->frames));
	result = commit(memory->table_epochs, 0, frames * sizeof(*memory->table_epochs));
	return result < 0 ? result
	                  : commit(memory->quarantine, 0, frames * sizeof(*memory->quarantine));
}

/* One more slot. Pages come from the host as they are touched. */
static int window_grow(struct memory *memory, struct memory_window *window)
{
	uint64_t bytes = min_u64(window->growth, window->reserved - window->committed);
	uint64_t committed = window->committed + bytes;
	int result;

	if (bytes == 0)
		return -ENOMEM;
	result = commit_side_arrays(memory, window, committed);
	if (result == 0)
		result = commit(window->host, window->committed, committed);
	if (result == 0)
		result = kvm_memory_slot(memory->vm, memory->next_slot,
		                         window->base + window->committed, bytes,
		                         window->host + window->committed);
	if (result < 0)
		return result;
	memory->next_slot++;
	window->committed = committed;
	window->growth = min_u64(window->growth * 2, LARGEST_GROWTH);
	return 0;
}

static int window_take(struct memory *memory, struct memory_window *window, uint32_t *number)
{
	int result = 0;

	if (window->free_count > 0) {
		*number = window->free[--window->free_count];
		return 0;
	}
	if (window->used == window->committed)
		result = window_grow(memory, window);
	if (result < 0)
		return result;
	*number = (uint32_t)(window->used >> PAGE_SHIFT);
	window->used += PAGE_SIZE;
	return 0;
}

static gpa_t frame_address(const struct memory_window *window, uint32_t number)
{
	return gpa(window->base + ((uint64_t)number << PAGE_SHIFT));
}

static uint32_t frame_number(const struct memory_window *window, gpa_t frame)
{
	return (uint32_t)((frame.value - window->base) >> PAGE_SHIFT);
}

static void *window_host(const struct memory_window *window, gpa_t frame)
{
	uint64_t offset = frame.value - window->base;

	return range_within(offset, PAGE_SIZE, window->committed) ? window->host + offset : NULL;
}

int memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame)
{
	uint32_t number = 0;
	int result;

	pthread_mutex_lock(&memory->lock);
	result = window_take(memory, &memory->data, &number);
	if (result == 0)
		memory->frames_in_use++;
	pthread_mutex_unlock(&memory->lock);
	if (result < 0)
		return result;
	*frame = frame_address(&memory->data, number);
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
	uint32_t number = frame_number(window, first);

	pthread_mutex_lock(&memory->lock);
	memory->frames_in_use -= count;
	for (uint64_t i = count; i-- > 0;) {
		memory->frames[number + i].owner = 0;
		window->free[window->free_count++] = (uint32_t)(number + i);
	}
	pthread_mutex_unlock(&memory->lock);
}

void memory_frames_lose(struct memory *memory, gpa_t first, uint64_t count)
{
	uint32_t number = frame_number(&memory->data, first);

	memory->frames_in_use -= count;
	for (uint64_t i = 0; i < count; i++)
		memory->frames[number + i].owner = 0;
}

int memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table)
{
	uint32_t number = 0;
	int result;

	pthread_mutex_lock(&memory->lock);
	result = window_take(memory, &memory->tables, &number);
	if (result == 0)
		memory->tables_in_use++;
	pthread_mutex_unlock(&memory->lock);
	if (result < 0)
		return result;
	*table = frame_address(&memory->tables, number);
	memset(window_host(&memory->tables, *table), 0, PAGE_SIZE);
	memory->table_epochs[number] = epoch;
	return 0;
}

void memory_table_free(struct memory *memory, gpa_t table)
{
	struct memory_window *window = &memory->tables;

	pthread_mutex_lock(&memory->lock);
	window->free[window->free_count++] = frame_number(window, table);
	memory->tables_in_use--;
	pthread_mutex_unlock(&memory->lock);
}

void memory_table_quarantine(struct memory *memory, gpa_t table)
{
	pthread_mutex_lock(&memory->lock);
	memory->quarantine[memory->quarantine_count++] = frame_number(&memory->tables, table);
	pthread_mutex_unlock(&memory->lock);
}

uint64_t memory_table_epoch(const struct memory *memory, gpa_t table)
{
	return memory->table_epochs[frame_number(&memory->tables, table)];
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
		window->free[window->free_count++] = memory->quarantine[i];
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
