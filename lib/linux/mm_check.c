/* SPDX-License-Identifier: MIT */
/* Compares page tables with the memory map; see mm_check.h. */
#include "mm_check.h"

#include "../space_files.h"
#include "mm_internal.h"

struct comparison {
	const struct process *process;
	const struct range *range; /* of the last page; NULL: none yet */
};

static const struct range *find_range(struct comparison *comparison, uint64_t page)
{
	const struct range *range = comparison->range;

	if (range == NULL || page < range->start || page >= range->end)
		comparison->range = ranges_find(&comparison->process->mm->ranges, page);
	return comparison->range;
}

static void check_page(struct comparison *comparison, gva_t page, const struct mapping *mapping)
{
	const struct space *space = comparison->process->space;
	const struct range *range = find_range(comparison, page.value);
	unsigned protection = space_protection(mapping);

	if (range == NULL)
		checks_violation(space, page, mapping->frame,
		                 "a page where the process has mapped nothing");
	if ((range->flags & RANGE_RESERVED) != 0)
		checks_violation(space, page, mapping->frame,
		                 "a page of a mapping that never was accessible");
	if (protection != range->protection)
		checks_violation(space, page, mapping->frame,
		                 "protection %#x, but the process has mapped %#x", protection,
		                 range->protection);
	if (space_is_file(space, page) && (range->file == NULL || (protection & SPACE_WRITE) != 0))
		checks_violation(space, page, mapping->frame,
		                 "a file's page where the process has none, or can write");
	if ((range->flags & RANGE_SHARED) != 0 && (protection & SPACE_WRITE) != 0)
		checks_violation(space, page, mapping->frame, "a shared file's page is writable");
}

static int check_leaf(void *context, gva_t address, const struct mapping *mapping)
{
	uint64_t end = address.value + mapping_length(mapping->level);

	for (uint64_t page = address.value; page < end; page += PAGE_SIZE)
		check_page(context, gva(page), mapping);
	return 0;
}

void mm_check(const struct process *process, bool always)
{
	struct comparison comparison = {.process = process};
	struct space *space = process->space;

	if (space->table.ops == NULL || (space->checked.map_checked && !always))
		return;
	checks_visit_leaves(space, check_leaf, &comparison);
	space->checked.map_checked = true;
}
