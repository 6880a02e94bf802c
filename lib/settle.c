/* SPDX-License-Identifier: MIT */
/*
 * Settling a fork: what it has of frames and tables becomes a function of its
 * mappings and contents, so that its limit says nothing of earlier requests and
 * of other forks; see space.h. Knows neither processes nor why a page is there.
 */
#include "layout.h"
#include "space_internal.h"

#include <errno.h>
#include <string.h>

/* No page: nothing is mapped there. */
#define NO_PAGE gva(LAYOUT_USER_END)

static unsigned known_needs(const struct space *space)
{
	return space->need_count < SPACE_NEEDS ? space->need_count : SPACE_NEEDS;
}

void space_need(struct space *space, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < known_needs(space); i++) {
		if (space->needs[i].start != start)
			continue;
		space->needs[i].end = end;
		return;
	}
	space->needs[space->need_count++ % SPACE_NEEDS] = (struct space_need){start, end};
}

struct settling {
	struct edit edit;
	gva_t page; /* that the operation is about, or NO_PAGE */
	gva_t found;
	gpa_t frame; /* of what was found */
};

static bool is_needed(const struct settling *settling, uint64_t page)
{
	const struct space *space = settling->edit.space;

	for (unsigned i = 0; i < known_needs(space); i++)
		if (page >= space->needs[i].start && page < space->needs[i].end)
			return true;
	return page == settling->page.value;
}

/* Whether the guest finds the same without the frame, or after the fault that brings it back. */
static bool is_for_nothing(const struct settling *settling, uint32_t number)
{
	const struct space *space = settling->edit.space;
	const struct frame *frame = space_frame(space, number);

	if (is_needed(settling, frame->page))
		return false;
	if (frame->fate == FRAME_KEPT)
		return true;
	return (frame->source != 0 || frame->blank) &&
	       memcmp(space_frame_contents(space, number), space_contents_before(space, number),
	              PAGE_SIZE) == 0;
}

/* The tables are the fork's own: neither edit needs memory, so neither fails. */
static void give_back(struct settling *settling, uint32_t number)
{
	struct space *space = settling->edit.space;
	const struct frame *frame = space_frame(space, number);
	gva_t page = gva(frame->page);
	struct mapping mapping = {.flags = 0};
	uint32_t flags;

	if (frame->fate == FRAME_KEPT || frame->source == 0) {
		pagetable_unmap(&space->table, page, PAGE_SIZE, NULL, NULL);
	} else {
		pagetable_lookup(&space->table, page, &mapping);
		flags = (mapping.flags & (MAPPING_USER | MAPPING_EXECUTE)) | MAPPING_BORROWED;
		if ((mapping.flags & MAPPING_WRITE) != 0)
			flags |= MAPPING_COPY_ON_WRITE;
		pagetable_replace(&space->table, page, gpa(frame->source), flags);
	}
	space_leave_frame(&settling->edit, space_frame_address(space, number));
}

static void settle_frames(struct settling *settling)
{
	const struct space *space = settling->edit.space;
	uint32_t next;

	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = next) {
		next = space_frame(space, number)->next;
		if (is_for_nothing(settling, number))
			give_back(settling, number);
	}
}

/* A page of all or of a file that a fault brings back, where the master has none. */
static bool is_shared(const struct space *space, gva_t page, const struct mapping *mapping)
{
	const struct machine *machine = space->machine;
	struct mapping masters;

	if (mapping->frame.value == machine->zero_frame.value)
		return true;
	return memory_is_file(&machine->memory, mapping->frame, PAGE_SIZE) &&
	       pagetable_lookup(&space->master->table, page, &masters) < 0;
}

static int stop_at_shared(void *context, gva_t page, const struct mapping *mapping)
{
	struct settling *settling = context;

	if (!is_shared(settling->edit.space, page, mapping) || is_needed(settling, page.value))
		return 0;
	settling->found = page;
	settling->frame = mapping->frame;
	return 1;
}

/* They cost no frames, but tables. */
static void settle_shared(struct settling *settling)
{
	struct space *space = settling->edit.space;

	for (uint64_t at = 0; pagetable_walk(&space->table, gva(at), LAYOUT_USER_END - at,
	                                     stop_at_shared, settling) > 0;
	     at = settling->found.value + PAGE_SIZE) {
		pagetable_unmap(&space->table, settling->found, PAGE_SIZE, NULL, NULL);
		invalidation_note(&settling->edit.invalidation, settling->found, settling->frame);
	}
}

static void settle_leaves(struct space *space, gva_t page)
{
	struct settling settling = {.page = page};

	space_edit_begin(&settling.edit, space, INVALIDATION_REVOKED);
	settle_frames(&settling);
	if (space->shares_zeros || space->shows_files)
		settle_shared(&settling);
	space_edit_finish(&settling.edit);
}

/* Where the host has no memory for it they stay; what follows finds that out. */
static void settle_tables(struct space *space)
{
	struct edit edit;

	space_edit_begin(&edit, space, INVALIDATION_REVOKED);
	pagetable_rejoin(&space->table, &space->master->table, space->machine->fork_rules.call_stack);
	space_edit_finish(&edit);
}

static void settle(struct space *space, gva_t page)
{
	settle_leaves(space, page);
	if (!space->poisoned)
		settle_tables(space);
	/* The next request is to have again what was learned. */
	space->learned_version = 0;
}

void space_settle(struct space *fork)
{
	CHECKED_OPERATION(fork->machine, fork);
	settle(fork, NO_PAGE);
}

bool space_settle_after(struct space *space, int result, const gva_t *page)
{
	bool reached = space->limit_reached;

	space->limit_reached = false;
	if (result != -ENOMEM || !reached || space->master == NULL || space->poisoned)
		return false;
	settle(space, page != NULL ? *page : NO_PAGE);
	return !space->poisoned;
}
