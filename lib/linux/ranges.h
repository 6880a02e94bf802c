/* SPDX-License-Identifier: MIT */
/*
 * A sorted array of address ranges that do not overlap: what is mapped where.
 * Neighbours that mean the same are one range. Room for a change is reserved
 * first; the change itself then cannot fail. Knows nothing of pages, spaces or
 * where the ranges should lie.
 */
#ifndef KVMSB_LINUX_RANGES_H
#define KVMSB_LINUX_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;

/* Linux's default of /proc/sys/vm/max_map_count. */
#define RANGES_MAXIMUM 65530u

#define RANGE_GROWS_DOWN 1u /* a stack */
#define RANGE_SHARED 2u     /* of a file, MAP_SHARED: must not become writable */
#define RANGE_RESERVED 4u   /* never was accessible: no page of it exists */
#define RANGE_ORIGINAL 8u   /* the master's as it was frozen: a reset can restore it */
#define RANGE_MACHINE 16u   /* the clock's page or the vDSO: as RANGE_SHARED, and its pages came with it */
#define RANGE_DATA 32u      /* must not become executable */

struct range {
	uint64_t start, end; /* whole pages */
	struct file *file;   /* referenced; NULL: anonymous */
	uint64_t offset;     /* of start in the file; 0 for anonymous memory */
	unsigned protection; /* SPACE_* */
	unsigned flags;      /* RANGE_* */
};

struct ranges {
	struct range *array;
	size_t count, capacity;
};

/* All zeros is an empty set. Copies take references of the files. Returns 0 or -ENOMEM. */
int ranges_copy(struct ranges *to, const struct ranges *from);
void ranges_destroy(struct ranges *ranges);

/* Index of the first range that ends above the address; count when there is none. */
size_t ranges_above(const struct ranges *ranges, uint64_t address);

/* The range that holds the address, or NULL. */
const struct range *ranges_find(const struct ranges *ranges, uint64_t address);

/* Whether nothing of [start, end) is in a range; whether all of it is. */
bool ranges_free(const struct ranges *ranges, uint64_t start, uint64_t end);
bool ranges_cover(const struct ranges *ranges, uint64_t start, uint64_t end);

/* The lowest free place of `length` bytes in [low, high). Returns false when there is none. */
bool ranges_gap(const struct ranges *ranges, uint64_t low, uint64_t high, uint64_t length,
                uint64_t *start);

/*
 * Makes room for any one of the changes below, or ranges_remove() and then
 * ranges_insert(), at these addresses. added: how many ranges are inserted.
 * replaced: [start, end) will be removed; else it is only split off.
 * Returns 0 or -ENOMEM (too many ranges, or no memory of the host).
 */
int ranges_reserve(struct ranges *ranges, uint64_t start, uint64_t end, bool replaced, size_t added);

/* What is in [start, end) goes; ranges that reach over it are cut. */
void ranges_remove(struct ranges *ranges, uint64_t start, uint64_t end);

/* Inserts a range where nothing is, taking over the caller's reference of its file. */
void ranges_insert(struct ranges *ranges, const struct range *range);

/* Changes the protection of all in [start, end); what changes loses these flags. */
void ranges_protect(struct ranges *ranges, uint64_t start, uint64_t end, unsigned protection,
                    unsigned lost);

/* Clears flags of all in [start, end). */
void ranges_clear(struct ranges *ranges, uint64_t start, uint64_t end, unsigned flags);

#endif
