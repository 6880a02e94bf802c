/* SPDX-License-Identifier: MIT */
/* Files of the host in guest-physical memory; see file_window.h. */
#include "file_window.h"

#include "kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SLOT_GRANULE (UINT64_C(2) << 20)
#define FIRST_GROWTH (UINT64_C(16) << 20)
#define LARGEST_GROWTH (UINT64_C(256) << 20)

/* Parts of a file that get places one by one: a slot costs the kernel 11 bytes a page. */
#define PART_BYTES (UINT64_C(64) << 20)

/* Copying less costs no more than mapping it, and needs no mapping of the host. */
#define LEAST_BYTES (UINT64_C(64) << 10)

struct identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct file_place {
	struct identity file;
	uint64_t offset, length; /* in the file, whole pages */
	uint64_t start;          /* in the window */
	struct file_place *next; /* in its bucket */
};

void file_window_init(struct file_window *window, uint64_t base, uint64_t bytes)
{
	*window = (struct file_window){.base = base, .reserved = bytes, .growth = FIRST_GROWTH};
}

void file_window_destroy(struct file_window *window, bool in_parent)
{
	for (size_t i = 0; i < FILE_WINDOW_BUCKETS; i++) {
		while (window->places[i] != NULL) {
			struct file_place *place = window->places[i];

			window->places[i] = place->next;
			free(place);
		}
	}
	/* In a child something else may be in its place. */
	if (in_parent && window->host != NULL)
		munmap(window->host, window->reserved);
	*window = (struct file_window){0};
}

/* Files and places. */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_file(const struct identity *a, const struct identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* Of a file that may have a place. */
static int identify(int descriptor, struct identity *file)
{
	struct stat status;

	if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode) ||
	    status.st_size < (off_t)LEAST_BYTES)
		return -EOPNOTSUPP;
	*file = (struct identity){.device = status.st_dev,
	                          .inode = status.st_ino,
	                          .size = status.st_size,
	                          .modified = status.st_mtim,
	                          .changed = status.st_ctim};
	return 0;
}

static struct file_place **bucket_of(struct file_window *window, const struct identity *file,
                                     uint64_t offset)
{
	uint64_t key = file->inode * 31 + offset / PART_BYTES;

	return &window->places[key % FILE_WINDOW_BUCKETS];
}

static const struct file_place *find(struct file_window *window, const struct identity *file,
                                     uint64_t part)
{
	const struct file_place *place = *bucket_of(window, file, part);

	while (place != NULL && (place->offset != part || !same_file(&place->file, file)))
		place = place->next;
	return place;
}

/* Room. */

static void *map_nothing(void *address, uint64_t bytes, int flags)
{
	return mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags,
	            -1, 0);
}

/* KVM's slots stay where they are: the reservation is never moved. */
static int reserve(struct file_window *window)
{
	void *host;

	if (window->host != NULL)
		return 0;
	host = map_nothing(NULL, window->reserved, 0);
	if (host == MAP_FAILED)
		return -ENOMEM;
	madvise(host, window->reserved, MADV_DONTFORK);
	madvise(host, window->reserved, MADV_DONTDUMP);
	window->host = host;
	return 0;
}

static int add_slot(struct file_window *window, int vm, uint32_t slot, uint64_t bytes)
{
	uint64_t gpa = window->base + window->committed;
	uint8_t *host = window->host + window->committed;
	int result = -EINVAL;

	if (!window->plain_slots)
		result = kvm_memory_slot_read_only(vm, slot, gpa, bytes, host);
	if (result != -EINVAL)
		return result;
	/* Nothing is lost with it: no leaf there is writable, nor is the host's mapping. */
	result = kvm_memory_slot(vm, slot, gpa, bytes, host);
	if (result == 0)
		window->plain_slots = true;
	return result;
}

static int commit(struct file_window *window, int vm, uint32_t *next_slot, uint64_t end)
{
	uint64_t bytes, room = window->reserved - window->committed;
	int result;

	if (end <= window->committed)
		return 0;
	if (!checked_align_up(end - window->committed, SLOT_GRANULE, &bytes) || bytes > room)
		return -ENOMEM;
	bytes = min_u64(max_u64(bytes, window->growth), room);
	result = add_slot(window, vm, *next_slot, bytes);
	if (result < 0)
		return result;
	++*next_slot;
	window->committed += bytes;
	window->growth = min_u64(window->growth * 2, LARGEST_GROWTH);
	return 0;
}

/*
 * Puts the file there. MAP_SHARED of a descriptor that is open for reading: the
 * host itself cannot make it writable any more. Whatever mmap(2) may have left
 * there when it failed is reserved again; else somebody's memory could come there.
 */
static int map_file(struct file_window *window, int descriptor, uint64_t offset, uint64_t length)
{
	uint8_t *host = window->host + window->placed;

	if (mmap(host, length, PROT_READ, MAP_SHARED | MAP_FIXED, descriptor, (off_t)offset) !=
	    MAP_FAILED) {
		madvise(host, length, MADV_DONTFORK);
		madvise(host, length, MADV_DONTDUMP);
		return 0;
	}
	if (map_nothing(host, length, MAP_FIXED) == MAP_FAILED)
		window->count = FILE_WINDOW_PLACES;
	return -EOPNOTSUPP;
}

static const struct file_place *add(struct file_window *window, int vm, uint32_t *next_slot,
                                    int descriptor, const struct file_place *wanted)
{
	struct file_place **bucket = bucket_of(window, &wanted->file, wanted->offset);
	struct file_place *place;

	if (window->count >= FILE_WINDOW_PLACES ||
	    !range_within(window->placed, wanted->length, window->reserved) || reserve(window) < 0 ||
	    commit(window, vm, next_slot, window->placed + wanted->length) < 0)
		return NULL;
	place = malloc(sizeof(*place));
	if (place == NULL)
		return NULL;
	*place = *wanted;
	place->start = window->placed;
	place->next = *bucket;
	if (map_file(window, descriptor, place->offset, place->length) < 0) {
		free(place);
		return NULL;
	}
	*bucket = place;
	window->placed += place->length;
	window->count++;
	return place;
}

int file_window_place(struct file_window *window, int vm, uint32_t *next_slot, int descriptor,
                      uint64_t offset, uint64_t *length, gpa_t *frame)
{
	struct file_place wanted = {.offset = align_down(offset, PART_BYTES)};
	const struct file_place *place;
	uint64_t end;
	int result = identify(descriptor, &wanted.file);

	if (result < 0)
		return result;
	if (!checked_align_up((uint64_t)wanted.file.size, PAGE_SIZE, &end) || offset >= end)
		return -EOPNOTSUPP;
	wanted.length = min_u64(PART_BYTES, end - wanted.offset);
	place = find(window, &wanted.file, wanted.offset);
	if (place == NULL)
		place = add(window, vm, next_slot, descriptor, &wanted);
	if (place == NULL)
		return -EOPNOTSUPP;
	offset -= place->offset;
	*length = min_u64(*length, place->length - offset);
	*frame = gpa(window->base + place->start + offset);
	return 0;
}
