/* SPDX-License-Identifier: MIT */
/*
 * What the sources of spaces have from each other: space.c, the edits;
 * space_files.c, pages of files; working_set.c, the pages that a fork has private;
 * settle.c, what of these it can do without.
 */
#ifndef KVMSB_SPACE_INTERNAL_H
#define KVMSB_SPACE_INTERNAL_H

#include "invalidate.h"
#include "machine.h"
#include "space.h"

static inline struct frame *space_frame(const struct space *space, uint32_t number)
{
	return &space->machine->memory.frames[number];
}

static inline gpa_t space_frame_address(const struct space *space, uint32_t number)
{
	return window_frame(&space->machine->memory.data, number);
}

static inline void *space_frame_contents(const struct space *space, uint32_t number)
{
	return memory_data(&space->machine->memory, space_frame_address(space, number));
}

/* What a page of the space held when it became its own. */
static inline const void *space_contents_before(const struct space *space, uint32_t number)
{
	const struct machine *machine = space->machine;
	uint64_t source = space_frame(space, number)->source;

	return memory_data(&machine->memory, source != 0 ? gpa(source) : machine->zero_frame);
}

/* Frames on their way out, neighbours together: freeing costs a system call each time. */
struct leaving_frames {
	struct space *space;
	gpa_t first;
	uint64_t count;
	bool lost; /* some of them: translations to them may be left */
};

/* An edit of a space: begun, made, finished. */
struct edit {
	struct space *space;
	struct invalidation invalidation;
	struct leaving_frames leaving;
};

void space_edit_begin(struct edit *edit, struct space *space, enum invalidation_count rule);

/*
 * The edit is made. Where translations of before may be left, nothing is to be
 * undone: the space must not run any more.
 */
void space_edit_finish(struct edit *edit);

/* The frame has no leaf any more. */
void space_leave_frame(struct edit *edit, gpa_t frame);

/* Within an edit: gives the page a frame of its own; `before` is what it is. Returns 0 or -errno. */
int space_copy_page(struct edit *edit, gva_t page, const struct mapping *before, bool by_guest);

/* Within an edit: a frame of zeros where nothing is, with these MAPPING_* flags. Returns 0 or -errno. */
int space_map_frame(struct edit *edit, gva_t page, uint32_t flags, enum frame_fate fate);

/*
 * An operation answered `result`. True if that was for its limit: the fork is
 * settled now, and the operation worth another try, which decides. page: what it is
 * about, and has to be there as it is; NULL: nothing that is mapped.
 */
bool space_settle_after(struct space *space, int result, const gva_t *page);

#endif
