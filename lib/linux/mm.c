/* SPDX-License-Identifier: MIT */
/*
 * The memory map: mapping, unmapping, protecting, moving, the brk heap; see
 * mm.h. Every change reserves what it needs, then edits the space, which may
 * fail and then has changed nothing, then the ranges, which cannot fail.
 */
#include "mm_internal.h"

#include "../space_files.h"
#include "../util.h"
#include "files.h"
#include "layout.h"

#include <errno.h>
#include <stdlib.h>

/* Where Linux puts MAP_32BIT mappings (arch/x86/kernel/sys_x86_64.c): clear of the brk heap. */
#define LOW_START 0x40000000

static bool is_fork(const struct process *process)
{
	return process->space->master != NULL;
}

/* Creation, sharing, the process's own copy. */

int mm_create(struct mm **out)
{
	struct mm *mm = calloc(1, sizeof(*mm));

	if (mm == NULL)
		return -ENOMEM;
	mm->references = 1;
	*out = mm;
	return 0;
}

struct mm *mm_share(struct mm *mm)
{
	atomic_fetch_add_explicit(&mm->references, 1, memory_order_relaxed);
	return mm;
}

void mm_release(struct mm *mm)
{
	if (mm == NULL || atomic_fetch_sub(&mm->references, 1) > 1)
		return;
	ranges_destroy(&mm->ranges);
	free(mm);
}

int mm_make_own(struct process *process)
{
	struct mm *shared = process->mm, *own;
	int result;

	if (atomic_load(&shared->references) == 1)
		return 0;
	result = mm_create(&own);
	if (result < 0)
		return result;
	result = ranges_copy(&own->ranges, &shared->ranges);
	if (result < 0) {
		mm_release(own);
		return result;
	}
	own->brk_start = shared->brk_start;
	own->brk = shared->brk;
	own->call_stack_start = shared->call_stack_start;
	own->call_stack_end = shared->call_stack_end;
	process->mm = own;
	mm_release(shared);
	return 0;
}

uint64_t mm_next_memory_file(const struct process *process, size_t *index)
{
	const struct ranges *ranges = &process->mm->ranges;

	while (*index < ranges->count) {
		const struct file *file = ranges->array[(*index)++].file;

		if (file != NULL && file->inode != 0)
			return file->inode;
	}
	return 0;
}

void mm_set_call_stack(struct process *process, uint64_t start, uint64_t end)
{
	process->mm->call_stack_start = start;
	process->mm->call_stack_end = end;
}

void mm_call_stack(const struct process *process, uint64_t *start, uint64_t *end)
{
	*start = process->mm->call_stack_start;
	*end = process->mm->call_stack_end;
}

/* Edits. */

/* x86 pages that can be written or executed can be read, and programs see that. */
static unsigned effective(unsigned protection)
{
	return protection != 0 ? protection | SPACE_READ : 0;
}

/* The part of [*start, *end) outside of which no page can exist; false: no part. */
static bool populated_part(const struct ranges *ranges, uint64_t *start, uint64_t *end)
{
	uint64_t first = 0, last = 0;

	for (size_t i = ranges_above(ranges, *start); i < ranges->count; i++) {
		const struct range *range = &ranges->array[i];

		if (range->start >= *end)
			break;
		if ((range->flags & RANGE_RESERVED) != 0)
			continue;
		if (last == 0)
			first = range->start;
		last = range->end;
	}
	*start = max_u64(*start, first);
	*end = min_u64(*end, last);
	return last != 0;
}

int mm_discard(struct process *process, uint64_t start, uint64_t end)
{
	if (!populated_part(&process->mm->ranges, &start, &end))
		return 0;
	return space_unmap(process->space, gva(start), end - start);
}

/* Rounds the length up and checks the range, for unmapping and protecting. */
static int check_range(uint64_t address, uint64_t length, uint64_t *end)
{
	if (!is_aligned(address, PAGE_SIZE) || !checked_align_up(length, PAGE_SIZE, &length) ||
	    !range_within(address, length, LAYOUT_USER_END))
		return -EINVAL;
	*end = address + length;
	return 0;
}

int mm_unmap(struct process *process, uint64_t address, uint64_t length)
{
	uint64_t end;
	int result = length > 0 ? check_range(address, length, &end) : -EINVAL;

	if (result < 0)
		return result;
	if (ranges_free(&process->mm->ranges, address, end))
		return 0;
	result = mm_make_own(process);
	if (result == 0)
		result = ranges_reserve(&process->mm->ranges, address, end, true, 0);
	if (result == 0)
		result = mm_discard(process, address, end);
	if (result == 0)
		ranges_remove(&process->mm->ranges, address, end);
	return result;
}

static bool forbidden(const struct range *range, unsigned protection)
{
	return ((range->flags & RANGE_SHARED) != 0 && (protection & SPACE_WRITE) != 0) ||
	       ((range->flags & RANGE_DATA) != 0 && (protection & SPACE_EXECUTE) != 0);
}

/* Whether the ranges of [start, end) may get the protection; *differs: whether any has another. */
static int check_protection(const struct ranges *ranges, uint64_t start, uint64_t end,
                            unsigned protection, bool *differs)
{
	*differs = false;
	if (!ranges_cover(ranges, start, end))
		return -ENOMEM;
	for (size_t i = ranges_above(ranges, start); i < ranges->count; i++) {
		const struct range *range = &ranges->array[i];

		if (range->start >= end)
			break;
		if (forbidden(range, protection))
			return -EACCES;
		if (range->protection != protection)
			*differs = true;
	}
	return 0;
}

/* Pages that are a file's own are never to be written: from now on they are copied. */
static int protect_pages(struct process *process, uint64_t start, uint64_t end, unsigned protection)
{
	int result = 0;

	if (!populated_part(&process->mm->ranges, &start, &end))
		return 0;
	if ((protection & SPACE_WRITE) != 0)
		result = space_drop_files(process->space, gva(start), end - start);
	if (result < 0)
		return result;
	return space_protect(process->space, gva(start), end - start, protection);
}

int mm_protect(struct process *process, uint64_t address, uint64_t length, unsigned protection)
{
	unsigned lost = RANGE_RESERVED | (is_fork(process) ? RANGE_ORIGINAL : 0);
	bool differs;
	uint64_t end;
	int result = check_range(address, length, &end);

	if (result < 0)
		return result;
	protection = effective(protection);
	result = check_protection(&process->mm->ranges, address, end, protection, &differs);
	if (result < 0 || !differs)
		return result;
	result = mm_make_own(process);
	if (result == 0)
		result = ranges_reserve(&process->mm->ranges, address, end, false, 0);
	if (result == 0)
		result = protect_pages(process, address, end, protection);
	if (result == 0)
		ranges_protect(&process->mm->ranges, address, end, protection, lost);
	return result;
}

/* Placing. */

int mm_choose(const struct process *process, uint64_t hint, uint64_t length, unsigned flags,
              uint64_t *address)
{
	const struct ranges *ranges = &process->mm->ranges;
	bool low = (flags & MM_BELOW_2G) != 0;
	uint64_t end = low ? LAYOUT_LOW_END : LAYOUT_USER_END;

	hint = align_down(hint, PAGE_SIZE);
	if (hint != 0)
		hint = max_u64(hint, LAYOUT_USER_START);
	if (hint != 0 && range_within(hint, length, end) && ranges_free(ranges, hint, hint + length)) {
		*address = hint;
		return 0;
	}
	return ranges_gap(ranges, low ? LOW_START : LAYOUT_MMAP_START, end, length, address)
	               ? 0
	               : -ENOMEM;
}

static int check_fixed(const struct process *process, uint64_t address, uint64_t length,
                       unsigned flags)
{
	if (!is_aligned(address, PAGE_SIZE))
		return -EINVAL;
	if (address < LAYOUT_USER_START || !range_within(address, length, LAYOUT_USER_END))
		return -EPERM;
	if ((flags & MM_FIXED_NOREPLACE) != 0 &&
	    !ranges_free(&process->mm->ranges, address, address + length))
		return -EEXIST;
	return 0;
}

/* Where a mapping goes: turns *address into its start. */
static int place(const struct process *process, uint64_t *address, uint64_t length, unsigned flags)
{
	if ((flags & (MM_FIXED | MM_FIXED_NOREPLACE)) != 0)
		return check_fixed(process, *address, length, flags);
	return mm_choose(process, *address, length, flags, address);
}

static unsigned range_flags(const struct process *process, unsigned protection, unsigned flags)
{
	return (protection == 0 ? RANGE_RESERVED : 0) | (is_fork(process) ? 0 : RANGE_ORIGINAL) |
	       ((flags & MM_GROWS_DOWN) != 0 ? RANGE_GROWS_DOWN : 0) |
	       ((flags & MM_SHARED) != 0 ? RANGE_SHARED : 0);
}

/* Puts a range where it says, in place of all that is there. Takes a reference of its file. */
static int replace(struct process *process, const struct range *range)
{
	int result = mm_make_own(process);

	if (result == 0)
		result = ranges_reserve(&process->mm->ranges, range->start, range->end, true, 1);
	if (result == 0)
		result = mm_discard(process, range->start, range->end);
	if (result < 0)
		return result;
	ranges_remove(&process->mm->ranges, range->start, range->end);
	if (range->file != NULL)
		file_reference(range->file);
	ranges_insert(&process->mm->ranges, range);
	return 0;
}

int mm_map(struct process *process, uint64_t *address, uint64_t length, unsigned protection,
           unsigned flags, struct file *file, uint64_t offset)
{
	uint64_t start = *address;
	struct range range;
	int result;

	if (length == 0 || !is_aligned(offset, PAGE_SIZE))
		return -EINVAL;
	if (!checked_align_up(length, PAGE_SIZE, &length) || length > LAYOUT_USER_END)
		return -ENOMEM;
	if (!range_within(offset, length, (uint64_t)INT64_MAX + 1))
		return -EINVAL;
	result = place(process, &start, length, flags);
	if (result < 0)
		return result;
	protection = effective(protection);
	range = (struct range){
		.start = start,
		.end = start + length,
		.file = file,
		.offset = file != NULL ? offset : 0,
		.protection = protection,
		.flags = range_flags(process, protection, flags),
	};
	result = replace(process, &range);
	if (result == 0)
		*address = start;
	return result;
}

/* The clock's page and the vDSO. */

int mm_map_clock(struct process *process, uint64_t address)
{
	const unsigned flags = RANGE_SHARED | RANGE_MACHINE | (is_fork(process) ? 0 : RANGE_ORIGINAL);
	const struct range parts[] = {
		{.start = address,
	         .end = address + PAGE_SIZE,
	         .protection = SPACE_READ,
	         .flags = flags | RANGE_DATA},
		{.start = address + PAGE_SIZE,
	         .end = address + PAGE_SIZE + LAYOUT_VDSO_SIZE,
	         .protection = SPACE_READ | SPACE_EXECUTE,
	         .flags = flags},
	};
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && result == 0; i++)
		result = replace(process, &parts[i]);
	return result < 0 ? result : space_map_clock(process->space, gva(address));
}

bool mm_covers(const struct process *process, uint64_t start, uint64_t end)
{
	return ranges_cover(&process->mm->ranges, start, end);
}

/* mremap(2). */

/* Whether the upper range goes on where the lower ends, for what a program can tell. */
static bool looks_continued(const struct range *lower, const struct range *upper)
{
	const unsigned hidden = RANGE_RESERVED | RANGE_ORIGINAL;

	return lower->end == upper->start && lower->protection == upper->protection &&
	       ((lower->flags ^ upper->flags) & ~hidden) == 0 && lower->file == upper->file &&
	       (lower->file == NULL || lower->offset + (lower->end - lower->start) == upper->offset);
}

uint64_t mm_mapping_end(const struct process *process, uint64_t address)
{
	const struct ranges *ranges = &process->mm->ranges;
	const struct range *range = ranges_find(ranges, address);
	const struct range *last = ranges->array + ranges->count;

	if (range == NULL)
		return 0;
	while (range + 1 < last && looks_continued(range, range + 1))
		range++;
	return range->end;
}

bool mm_next_mapping(const struct process *process, uint64_t address, struct mm_mapping *mapping)
{
	const struct mm *mm = process->mm;
	size_t index = ranges_above(&mm->ranges, address);
	const struct range *range;

	if (index == mm->ranges.count)
		return false;
	range = &mm->ranges.array[index];
	*mapping = (struct mm_mapping){
		.start = range->start,
		.end = mm_mapping_end(process, range->start),
		.offset = range->offset,
		.protection = range->protection,
		.is_shared = (range->flags & RANGE_SHARED) != 0,
		.is_stack = (range->flags & RANGE_GROWS_DOWN) != 0,
		.path = range->file != NULL && range->file->path[0] ? range->file->path : NULL,
	};
	mapping->is_heap = ranges_overlap(range->start, mapping->end, mm->brk_start, mm->brk);
	return true;
}

/* What a mapping would be that starts at `address` of the range, elsewhere or longer. */
static int derive(const struct process *process, const struct range *range, uint64_t address,
                  uint64_t to, uint64_t to_end, struct range *derived)
{
	*derived = *range;
	derived->start = to;
	derived->end = to_end;
	if (is_fork(process))
		derived->flags &= ~RANGE_ORIGINAL;
	if (range->file == NULL)
		return 0;
	derived->offset += address - range->start;
	return range_within(derived->offset, to_end - to, (uint64_t)INT64_MAX + 1) ? 0 : -EINVAL;
}

int mm_extend(struct process *process, uint64_t end, uint64_t new_end)
{
	const struct range *range = ranges_find(&process->mm->ranges, end - 1);
	struct range more;
	int result;

	if (range == NULL)
		return -EFAULT;
	if (new_end > LAYOUT_USER_END || !ranges_free(&process->mm->ranges, end, new_end))
		return -ENOMEM;
	result = derive(process, range, end, end, new_end, &more);
	if (result < 0)
		return result;
	return replace(process, &more);
}

/* Room for three ranges more, which is what Linux asks for, too (mm/mremap.c, move_vma). */
static int reserve_move(struct process *process, uint64_t from, uint64_t from_end)
{
	int result = mm_make_own(process);

	if (result < 0)
		return result;
	if (process->mm->ranges.count + 3 > RANGES_MAXIMUM)
		return -ENOMEM;
	return ranges_reserve(&process->mm->ranges, from, from_end, false, 1);
}

int mm_duplicate(struct process *process, uint64_t from, uint64_t to, uint64_t to_end)
{
	const struct range *range = ranges_find(&process->mm->ranges, from);
	struct range another;
	int result;

	if (range == NULL)
		return -EFAULT;
	result = derive(process, range, from, to, to_end, &another);
	return result < 0 ? result : replace(process, &another);
}

int mm_move(struct process *process, uint64_t from, uint64_t from_end, uint64_t to, uint64_t to_end,
            bool keep)
{
	struct ranges *ranges;
	struct range moved;
	int result;

	if (mm_mapping_end(process, from) < from_end)
		return -EFAULT;
	result = reserve_move(process, from, from_end);
	if (result < 0)
		return result;
	ranges = &process->mm->ranges;
	/* Pieces that differ in what only this module sees become one. */
	if (ranges_find(ranges, from)->end < from_end)
		ranges_clear(ranges, from, from_end,
		             RANGE_RESERVED | (is_fork(process) ? RANGE_ORIGINAL : 0));
	result = derive(process, ranges_find(ranges, from), from, to, to_end, &moved);
	if (result == 0 && (moved.flags & RANGE_RESERVED) == 0)
		result = space_move(process->space, gva(from), gva(to), from_end - from);
	if (result < 0)
		return result;
	if (moved.file != NULL)
		file_reference(moved.file);
	if (!keep)
		ranges_remove(ranges, from, from_end);
	ranges_insert(ranges, &moved);
	return 0;
}

/* brk(2). */

int mm_set_brk(struct process *process, uint64_t start)
{
	int result = mm_make_own(process);

	if (result < 0)
		return result;
	process->mm->brk_start = start;
	process->mm->brk = start;
	return 0;
}

static int move_brk(struct process *process, uint64_t top, uint64_t new_top)
{
	const unsigned data = SPACE_READ | SPACE_WRITE;
	int result;

	if (new_top < top)
		return mm_unmap(process, new_top, top - new_top);
	/* As Linux: a page stays free between the heap and what follows. */
	if (new_top > top && !ranges_free(&process->mm->ranges, top, new_top + PAGE_SIZE))
		return -ENOMEM;
	if (new_top == top)
		return 0;
	result = mm_map(process, &top, new_top - top, data, MM_FIXED_NOREPLACE, NULL, 0);
	if (result == 0)
		mm_prefault(process, top, new_top);
	return result;
}

uint64_t mm_brk(struct process *process, uint64_t address)
{
	const struct mm *mm = process->mm;
	uint64_t top, new_top;

	if (mm->brk_start == 0 || address < mm->brk_start || address > LAYOUT_LOW_END ||
	    address == mm->brk)
		return mm->brk;
	top = align_down(mm->brk + PAGE_SIZE - 1, PAGE_SIZE);
	new_top = align_down(address + PAGE_SIZE - 1, PAGE_SIZE);
	/* The map becomes the process's own first: then setting the end cannot fail. */
	if (mm_make_own(process) < 0 || move_brk(process, top, new_top) < 0)
		return process->mm->brk;
	process->mm->brk = address;
	return address;
}
