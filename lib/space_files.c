/* SPDX-License-Identifier: MIT */
/* Pages of files in address spaces; see space_files.h. */
#include "space_files.h"

#include "layout.h"
#include "space_internal.h"

#include <errno.h>

static int try_map(struct space *space, gva_t va, uint64_t length, gpa_t frame, uint32_t flags)
{
	struct edit edit;
	int result;

	space->shows_files = true;
	space_edit_begin(&edit, space, INVALIDATION_LINKED);
	result = pagetable_map(&space->table, va, frame, length, flags);
	space_edit_finish(&edit);
	return result;
}

int64_t space_map_file(struct space *space, gva_t va, uint64_t length, unsigned protection,
                       enum frame_fate fate, int descriptor, uint64_t offset)
{
	uint32_t flags = MAPPING_USER | MAPPING_BORROWED |
	                 ((protection & SPACE_EXECUTE) != 0 ? MAPPING_EXECUTE : 0);
	gpa_t frame;
	int result;

	CHECKED_OPERATION(space->machine, space);
	if ((protection & SPACE_WRITE) != 0 || !range_within(va.value, length, LAYOUT_USER_END))
		return -EINVAL;
	result = memory_map_file(&space->machine->memory, descriptor, offset, &length, &frame);
	if (result < 0)
		return result;
	result = try_map(space, va, length, frame, flags);
	if (space_settle_after(space, result, NULL))
		result = try_map(space, va, length, frame, flags);
	if (result == 0 && space->master != NULL && fate == FRAME_TAKEN)
		space->rebuild = true;
	return result < 0 ? result : (int64_t)length;
}

bool space_is_file(const struct space *space, gva_t va)
{
	struct mapping mapping;

	return va.value < LAYOUT_USER_END && pagetable_lookup(&space->table, va, &mapping) == 0 &&
	       memory_is_file(&space->machine->memory, mapping.frame, PAGE_SIZE);
}

/* Pages of files in a row: the first ones of a range. */
struct file_run {
	const struct memory *memory;
	uint64_t start, end;
};

static int extend_run(void *context, gva_t va, const struct mapping *mapping)
{
	struct file_run *run = context;
	bool is_file = memory_is_file(run->memory, mapping->frame, PAGE_SIZE);

	if (run->end > run->start && (!is_file || va.value != run->end))
		return 1;
	if (is_file && run->end == run->start)
		run->start = va.value;
	if (is_file)
		run->end = va.value + PAGE_SIZE;
	return 0;
}

int space_drop_files(struct space *space, gva_t va, uint64_t length)
{
	uint64_t address = va.value, end = va.value + length;
	int any = 0;

	while (address < end) {
		struct file_run run = {.memory = &space->machine->memory};
		int result;

		pagetable_walk(&space->table, gva(address), end - address, extend_run, &run);
		if (run.start == run.end)
			break;
		result = space_unmap(space, gva(run.start), run.end - run.start);
		if (result < 0)
			return result;
		any = 1;
		address = run.end;
	}
	return any;
}

uint64_t space_room(const struct space *space)
{
	uint64_t used = space->frame_count + space->table_count;
	uint64_t limit = space->page_limit;

	if (used >= limit || memory_is_scarce(&space->machine->memory))
		return 0;
	return limit - used;
}
