/* SPDX-License-Identifier: MIT */
/* The private pages of a fork: taught, restored, held; see working_set.h. */
#include "working_set.h"

#include "space_internal.h"

#include <string.h>

/*
 * Dirty bits are cleared in spaces of this many frames or more, after 1, 2, 4
 * ... resets, at most this many: the flush that this costs is that of one entry,
 * and a frame that need not be copied saves 0.1 us at each reset.
 */
#define SWEEP_LEAST 16u
#define SWEEP_RAREST 256u

/* Of this many resets of a space one compares all its pages, for as much as restoring them costs. */
#define SAMPLE_INTERVAL 32u

/*
 * After this many samples without a write a page is not used: one in 256 requests
 * or less needs it. A copy costs about that share of a fault. Some are kept, since
 * building anew costs as much as a fault or two.
 */
#define SAMPLES_UNUSED 8u
#define UNUSED_KEPT 16u

/* Pages told to the learner at once. */
#define BATCH 64u

/* Tables that one more page may take. */
#define PATH_TABLES (PAGETABLE_ROOT_LEVEL - 1)

static bool is_written(const struct space *space, uint32_t number)
{
	return space_frame(space, number)->fate == FRAME_RESTORED &&
	       memcmp(space_frame_contents(space, number), space_contents_before(space, number),
	              PAGE_SIZE) != 0;
}

/* Whether later forks can have the page from the start, and as what. */
static bool describe(const struct space *space, const struct frame *frame, struct learned_page *page)
{
	struct mapping mapping;

	*page = (struct learned_page){.page = frame->page, .zeros = frame->source == 0};
	if (!page->zeros)
		return true;
	if (pagetable_lookup(&space->table, gva(frame->page), &mapping) < 0 ||
	    (mapping.flags & MAPPING_WRITE) == 0)
		return false;
	page->flags = mapping.flags;
	return true;
}

/* A frame that no reset has seen before. */
static bool sight_frame(struct space *space, uint32_t number, struct learned_page *page)
{
	struct frame *frame = space_frame(space, number);

	frame->sighted = true;
	return is_written(space, number) && describe(space, frame, page);
}

/* Whether the frame was written; counts for how long it was not. */
static bool sample_frame(struct space *space, uint32_t number, struct learned_page *page)
{
	struct frame *frame = space_frame(space, number);

	page->page = frame->page;
	if (is_written(space, number)) {
		frame->unwritten = 0;
		return true;
	}
	if (frame->unwritten < SAMPLES_UNUSED)
		frame->unwritten++;
	space->unused += frame->unwritten == SAMPLES_UNUSED && frame->fate == FRAME_RESTORED;
	return false;
}

/* Frames as they came, newest first: up to the first that was sighted before, or all. */
static void tell(struct space *space, bool only_new,
                 bool (*chosen)(struct space *, uint32_t, struct learned_page *),
                 void (*hear)(struct learner *, const struct learned_page *, size_t))
{
	struct learner *learner = &space->machine->learner;
	struct learned_page pages[BATCH];
	const struct frame *frame;
	size_t count = 0;

	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = frame->next) {
		frame = space_frame(space, number);
		if (only_new && frame->sighted)
			break;
		if (chosen(space, number, &pages[count]))
			count++;
		if (count == BATCH) {
			hear(learner, pages, count);
			count = 0;
		}
	}
	hear(learner, pages, count);
}

static void sample(struct space *space)
{
	space->unused = 0;
	tell(space, false, sample_frame, learner_written);
	learner_sampled(&space->machine->learner);
}

void working_set_teach(struct space *space)
{
	if (space->machine->learner.limit == 0 || space->taught_epoch == space->translations.epoch)
		return;
	space->taught_epoch = space->translations.epoch;
	tell(space, true, sight_frame, learner_sight);
	if (++space->runs_taught % SAMPLE_INTERVAL == 0)
		sample(space);
}

bool working_set_is_stale(const struct space *space)
{
	return space->unused > UNUSED_KEPT;
}

/* Whether this reset clears the dirty bits, so that the next one knows what was written. */
static bool sweep_is_due(struct space *space)
{
	if (!space->machine->host->dirty_bits || space->frame_count < SWEEP_LEAST ||
	    --space->next_sweep > 0)
		return false;
	space->sweep_interval = (uint32_t)min_u64(space->sweep_interval * 2, SWEEP_RAREST);
	space->next_sweep = space->sweep_interval;
	return true;
}

static void clear_dirty_bits(struct space *space)
{
	const struct frame *frame;
	struct edit edit;

	space_edit_begin(&edit, space, INVALIDATION_CLEANED);
	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = frame->next) {
		frame = space_frame(space, number);
		pagetable_set_dirty(&space->table, gva(frame->page), false);
	}
	space_edit_finish(&edit);
}

static void restore_frame(struct space *space, uint32_t number)
{
	void *page = space_frame_contents(space, number);

	if (space_frame(space, number)->source != 0)
		memcpy(page, space_contents_before(space, number), PAGE_SIZE);
	else
		memset(page, 0, PAGE_SIZE);
	space->restored++;
}

/* What is mapped in the fork only. */
static void take_away(struct space *space)
{
	struct edit edit;
	uint32_t next;

	space_edit_begin(&edit, space, INVALIDATION_REVOKED);
	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = next) {
		const struct frame *frame = space_frame(space, number);

		next = frame->next;
		if (frame->fate != FRAME_TAKEN)
			continue;
		/* Its tables are the fork's own: this needs no memory. */
		pagetable_unmap(&space->table, gva(frame->page), PAGE_SIZE, NULL, NULL);
		space_leave_frame(&edit, space_frame_address(space, number));
	}
	space_edit_finish(&edit);
}

void working_set_restore(struct space *space)
{
	bool choose = space->machine->host->dirty_bits;
	const struct frame *frame;

	if (space->taken_count > 0)
		take_away(space);
	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = frame->next) {
		frame = space_frame(space, number);
		if (frame->fate == FRAME_RESTORED &&
		    (!choose || pagetable_is_dirty(&space->table, gva(frame->page))))
			restore_frame(space, number);
	}
	if (sweep_is_due(space))
		clear_dirty_bits(space);
}

static bool has_room(const struct space *space)
{
	return space->frame_count + space->table_count + PATH_TABLES <
	               space->machine->fork_rules.keep_limit &&
	       !memory_is_scarce(&space->machine->memory);
}

/* 0 also where there is nothing to do: what is there says whether a copy is right. */
static int hold_page(struct edit *edit, const struct learned_page *page)
{
	struct space *space = edit->space;
	struct mapping mapping;
	int result = 0;

	if (pagetable_lookup(&space->table, gva(page->page), &mapping) == 0) {
		if ((mapping.flags & MAPPING_COPY_ON_WRITE) == 0)
			return 0;
		result = space_copy_page(edit, gva(page->page), &mapping, false);
	} else if (page->zeros) {
		result = space_map_frame(edit, gva(page->page), page->flags, FRAME_RESTORED);
	} else {
		return 0;
	}
	if (result == 0) {
		space_frame(space, space->first_frame)->sighted = true;
		space->held++;
	}
	return result;
}

void working_set_hold(struct space *space)
{
	struct learner *learner = &space->machine->learner;
	struct learned_pages *pages;
	struct edit edit;

	if (space->learned_version == learner_version(learner))
		return;
	pages = learner_pages(learner);
	space->learned_version = pages->version;
	space_edit_begin(&edit, space, INVALIDATION_COPIED);
	for (uint32_t i = 0; i < pages->count && has_room(space); i++)
		if (hold_page(&edit, &pages->pages[i]) < 0)
			break;
	space_edit_finish(&edit);
	learned_pages_release(pages);
}
