/* SPDX-License-Identifier: MIT */
/* Address spaces; see space.h. */
#include "space.h"

#include "layout.h"
#include "space_internal.h"
#include "working_set.h"
#include "x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Destroyed forks that are kept for the next ones, and what each may hold of frames. */
#define IDLE_SPACES 1024u
#define IDLE_FRAMES 64u
/* What all of them hold, tables too: 256 MiB, and of the machine's memory no more than this share. */
#define IDLE_PAGES 65536u
#define IDLE_SHARE 16u

/* Of what a fork may own, the share that it may keep of earlier requests and hold of learned pages. */
#define KEPT_SHARE 2u

/* What a fork has of tables when it is built: its root and the path to one page. */
#define FORK_TABLES PAGETABLE_ROOT_LEVEL

static struct invalidator *invalidator_of(const struct space *space)
{
	return &space->machine->invalidator;
}

/* Operations of the page-table builder; the context is the space. */

static bool within_limit(struct space *space, uint64_t pages)
{
	uint64_t used = space->frame_count + space->table_count;

	if (range_within(used, pages, space->page_limit + space->table.passing))
		return true;
	space->limit_reached = true;
	return false;
}

static int table_allocate(void *context, gpa_t *table)
{
	struct space *space = context;
	struct memory *memory = &space->machine->memory;
	int result;

	if (!within_limit(space, 1))
		return -ENOMEM;
	invalidate_when_due(invalidator_of(space));
	result = memory_table_allocate(memory, space->translations.epoch, table);
	if (result < 0 && space_reclaim(space->machine))
		result = memory_table_allocate(memory, space->translations.epoch, table);
	if (result == 0) {
		space->table_count++;
		checks_table_taken(space, *table);
	}
	return result;
}

static void table_release(void *context, gpa_t table)
{
	struct space *space = context;

	space->table_count--;
	checks_table_given(space, table);
	invalidate_free_table(invalidator_of(space), table);
}

static uint64_t *table_entries(void *context, gpa_t table)
{
	const struct space *space = context;

	return memory_table(&space->machine->memory, table);
}

static bool leaf_allowed(void *context, gpa_t frame, uint64_t length)
{
	const struct space *space = context;

	return memory_is_data(&space->machine->memory, frame, length) ||
	       memory_is_file(&space->machine->memory, frame, length);
}

static bool table_stale(void *context, gpa_t table)
{
	const struct space *space = context;

	return invalidate_is_stale(invalidator_of(space), &space->translations, table);
}

static const struct pagetable_ops walked_ops = {
	.allocate = table_allocate,
	.release = table_release,
	.entries = table_entries,
	.leaf_allowed = leaf_allowed,
};

static const struct pagetable_ops shadowed_ops = {
	.allocate = table_allocate,
	.release = table_release,
	.entries = table_entries,
	.leaf_allowed = leaf_allowed,
	.stale = table_stale,
};

/* Own frames, in a list through their descriptors. */

static uint32_t number_of(const struct space *space, gpa_t frame)
{
	return window_number(&space->machine->memory.data, frame);
}

static bool owns(const struct space *space, gpa_t frame)
{
	return memory_owns(&space->machine->memory, frame, space->translations.serial);
}

/* For the page at `page`, as a copy of `source` (0: zeros). */
static int take_frame(struct space *space, gva_t page, gpa_t source, enum frame_fate fate,
                      gpa_t *frame)
{
	struct frame *taken;
	int result;

	if (!within_limit(space, 1))
		return -ENOMEM;
	result = memory_frame_allocate(&space->machine->memory, space->translations.serial, frame);
	if (result < 0 && space_reclaim(space->machine))
		result = memory_frame_allocate(&space->machine->memory, space->translations.serial,
		                               frame);
	if (result < 0)
		return result;
	taken = memory_frame(&space->machine->memory, *frame);
	taken->source = source.value;
	taken->page = page.value;
	taken->fate = (uint8_t)fate;
	taken->blank = source.value == 0;
	space->taken_count += fate == FRAME_TAKEN;
	space->reloadable_count += fate == FRAME_KEPT;
	taken->next = space->first_frame;
	if (space->first_frame != FRAME_NONE)
		space_frame(space, space->first_frame)->previous = number_of(space, *frame);
	space->first_frame = number_of(space, *frame);
	space->frame_count++;
	return 0;
}

static void unlink_frame(struct space *space, gpa_t frame)
{
	struct frame *leaving = memory_frame(&space->machine->memory, frame);

	if (leaving->previous != FRAME_NONE)
		space_frame(space, leaving->previous)->next = leaving->next;
	else
		space->first_frame = leaving->next;
	if (leaving->next != FRAME_NONE)
		space_frame(space, leaving->next)->previous = leaving->previous;
	space->frame_count--;
	space->taken_count -= leaving->fate == FRAME_TAKEN;
	space->reloadable_count -= leaving->fate == FRAME_KEPT;
}

static void leave_finish(struct leaving_frames *leaving)
{
	if (leaving->count > 0 &&
	    !invalidate_free_frames(invalidator_of(leaving->space), leaving->first, leaving->count))
		leaving->lost = true;
	leaving->count = 0;
}

static void leave(struct leaving_frames *leaving, gpa_t frame)
{
	unlink_frame(leaving->space, frame);
	if (leaving->count > 0 && frame.value == leaving->first.value + leaving->count * PAGE_SIZE) {
		leaving->count++;
		return;
	}
	if (leaving->count > 0 && frame.value + PAGE_SIZE == leaving->first.value) {
		leaving->first = frame;
		leaving->count++;
		return;
	}
	leave_finish(leaving);
	leaving->first = frame;
	leaving->count = 1;
}

static void free_frame(struct space *space, gpa_t frame)
{
	unlink_frame(space, frame);
	invalidate_free_frames(invalidator_of(space), frame, 1);
}

static uint32_t leaf_flags(unsigned protection)
{
	uint32_t flags = protection != 0 ? MAPPING_USER : 0;

	if ((protection & SPACE_WRITE) != 0)
		flags |= MAPPING_WRITE;
	if ((protection & SPACE_EXECUTE) != 0)
		flags |= MAPPING_EXECUTE;
	return flags;
}

/* Edits. */

void space_edit_begin(struct edit *edit, struct space *space, enum invalidation_count rule)
{
	edit->space = space;
	edit->leaving = (struct leaving_frames){.space = space};
	invalidation_begin(&edit->invalidation, invalidator_of(space), &space->translations,
	                   &space->table, rule);
}

void space_leave_frame(struct edit *edit, gpa_t frame)
{
	leave(&edit->leaving, frame);
}

void space_edit_finish(struct edit *edit)
{
	struct space *space = edit->space;
	int result;

	leave_finish(&edit->leaving);
	result = invalidation_finish(&edit->invalidation);
	if (result == 0 && edit->leaving.lost)
		result = invalidate_everything(invalidator_of(space));
	if (result < 0)
		space->rebuild = space->poisoned = true;
}

/* Creation and destruction. */

static struct space *space_new(struct machine *machine, uint64_t page_limit)
{
	struct space *space = calloc(1, sizeof(*space));

	if (space == NULL)
		return NULL;
	space->machine = machine;
	space->translations.serial = machine->next_serial++;
	space->first_frame = FRAME_NONE;
	space->page_limit = page_limit;
	return space;
}

static const struct pagetable_ops *ops_of(const struct machine *machine)
{
	return machine->host->shadow_paging ? &shadowed_ops : &walked_ops;
}

int space_create(struct space **out, struct machine *machine, uint64_t page_limit)
{
	const unsigned windows[] = {LAYOUT_ENTRY_INDEX, LAYOUT_KERNEL_INDEX};
	struct space *space = space_new(machine, page_limit);
	int result;

	CHECKED_OPERATION(machine, NULL);
	if (space == NULL)
		return -ENOMEM;
	result = pagetable_create(&space->table, ops_of(machine), space);
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(windows); i++)
		result = pagetable_set_root_entry(
			&space->table, windows[i],
			pagetable_root_entry(&machine->kernel_table, windows[i]));
	if (result < 0) {
		space_destroy(space);
		return result;
	}
	checks_made(space);
	*out = space;
	return 0;
}

int space_freeze(struct space *space, const struct fork_rules *rules)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	space->machine->fork_rules = *rules;
	/* Else each request could reach the limit for what others did, and be late for it. */
	space->machine->fork_rules.keep_limit = min_u64(rules->keep_limit,
	                                                rules->page_limit / KEPT_SHARE);
	/* Frozen already: an earlier try got that far. */
	result = space->table.frozen ? 0 : pagetable_freeze(&space->table);
	if (result < 0)
		return result;
	checks_frozen(space);
	/* No rule asks for it; but this comes once, and no writable shadow is left of its tables. */
	return invalidate_everything(invalidator_of(space));
}

static void free_frames(struct space *space)
{
	struct leaving_frames leaving = {.space = space};

	while (space->first_frame != FRAME_NONE)
		leave(&leaving, space_frame_address(space, space->first_frame));
	leave_finish(&leaving);
}

/* All that it has of frames and tables. */
static void drop_all(struct space *space)
{
	free_frames(space);
	invalidate_rebuild(&space->translations, &space->table);
	pagetable_destroy(&space->table);
}

/* A fork's tables, from nothing: all is the master's, but the path to its stack and what was learned. */
static int build_fork(struct space *space)
{
	int result = pagetable_share(&space->master->table, &space->table, space);

	if (result < 0)
		return result;
	space->rebuild = false;
	space->poisoned = false;
	space->shares_zeros = false;
	space->shows_files = false;
	space->learned_version = 0;
	space->unused = 0;
	space->next_sweep = space->sweep_interval = 1;
	result = pagetable_own_path(&space->table, space->machine->fork_rules.call_stack);
	if (result == 0)
		working_set_hold(space);
	return result;
}

static void free_space(struct space *space)
{
	checks_gone(space);
	drop_all(space);
	free(space);
}

static struct space *take_idle(struct machine *machine)
{
	struct space *space;

	pthread_mutex_lock(&machine->lock);
	space = machine->idle_spaces;
	if (space != NULL) {
		machine->idle_spaces = space->next_idle;
		machine->idle_space_count--;
		machine->idle_pages -= space->frame_count + space->table_count;
	}
	pthread_mutex_unlock(&machine->lock);
	return space;
}

bool space_reclaim(struct machine *machine)
{
	bool any = false;

	for (struct space *space = take_idle(machine); space != NULL; space = take_idle(machine)) {
		free_space(space);
		any = true;
	}
	if (memory_quarantined(&machine->memory) > 0 &&
	    invalidate_everything(&machine->invalidator) == 0)
		any = true;
	return any;
}

int space_reserve(struct machine *machine, uint64_t forks)
{
	uint64_t tables;
	int result;

	if (!checked_mul(forks, FORK_TABLES, &tables))
		return -ENOMEM;
	result = memory_reserve(&machine->memory, forks, tables);
	if (result < 0 && space_reclaim(machine))
		result = memory_reserve(&machine->memory, forks, tables);
	return result;
}

/* One that was kept; NULL: none is left that can be entered. */
static struct space *fork_idle(struct machine *machine)
{
	struct space *space;

	while ((space = take_idle(machine)) != NULL) {
		checks_kept(space, false);
		space->copied = space->restored = 0;
		working_set_hold(space);
		if (!space->rebuild)
			return space;
		/* What it held now could not be made known to the processors. */
		free_space(space);
	}
	return NULL;
}

int space_fork(struct space **fork, struct space *master)
{
	struct space *space;
	int result;

	CHECKED_OPERATION(master->machine, NULL);
	*fork = fork_idle(master->machine);
	if (*fork != NULL)
		return 0;
	space = space_new(master->machine, master->machine->fork_rules.page_limit);
	if (space == NULL)
		return -ENOMEM;
	space->master = master;
	result = build_fork(space);
	if (result < 0) {
		free_space(space);
		return result;
	}
	checks_made(space);
	*fork = space;
	return 0;
}

static bool is_restorable(const struct space *space)
{
	return !space->rebuild &&
	       !invalidate_must_rebuild(invalidator_of(space), &space->translations);
}

/*
 * As it was made, but for what it has private; false: it must be built anew, or
 * has more than it may keep.
 */
static bool restore(struct space *space)
{
	space_need_nothing(space);
	working_set_teach(space);
	if (!is_restorable(space) || working_set_is_stale(space) ||
	    space->frame_count - space->taken_count + space->table_count >
	            space->machine->fork_rules.keep_limit)
		return false;
	working_set_restore(space);
	if (space->rebuild)
		return false;
	working_set_hold(space);
	return !space->rebuild;
}

int space_reset(struct space *space)
{
	uint64_t restored = space->restored;
	int result;

	CHECKED_OPERATION(space->machine, space);
	if (restore(space)) {
		machine_count(space->machine, COUNTER_pages_restored, space->restored - restored);
		checks_fresh(space);
		return 0;
	}
	drop_all(space);
	invalidate_when_due(invalidator_of(space));
	result = build_fork(space);
	if (result < 0)
		space->rebuild = true;
	else
		checks_fresh(space);
	return result;
}

static uint64_t idle_pages_most(const struct machine *machine)
{
	return min_u64(IDLE_PAGES, (machine->memory.data.reserved >> PAGE_SHIFT) / IDLE_SHARE);
}

/* A fork that only wrote is as good as new once its contents are restored. */
static bool keep_idle(struct space *space)
{
	struct machine *machine = space->machine;
	uint64_t pages;
	bool kept = false;

	if (!restore(space) || space->frame_count > IDLE_FRAMES + machine->learner.limit)
		return false;
	pages = space->frame_count + space->table_count;
	checks_kept(space, true);
	pthread_mutex_lock(&machine->lock);
	if (machine->idle_space_count < IDLE_SPACES &&
	    range_within(machine->idle_pages, pages, idle_pages_most(machine))) {
		space->next_idle = machine->idle_spaces;
		machine->idle_spaces = space;
		machine->idle_space_count++;
		machine->idle_pages += pages;
		kept = true;
	}
	pthread_mutex_unlock(&machine->lock);
	return kept;
}

void space_destroy(struct space *space)
{
	if (space == NULL)
		return;
	CHECKED_OPERATION(space->machine, NULL);
	/*
	 * A master goes last, and all of the machine's memory with it. In a forked
	 * child the memory is not there: only what is the child's is freed.
	 */
	if (space->master != NULL && machine_is_ours(space->machine)) {
		struct machine *machine = space->machine;

		if (keep_idle(space))
			return;
		free_space(space);
		invalidate_when_due(&machine->invalidator);
		return;
	}
	checks_gone(space);
	free(space);
}

void space_free_idle(struct machine *machine)
{
	while (machine->idle_spaces != NULL) {
		struct space *space = machine->idle_spaces;

		machine->idle_spaces = space->next_idle;
		free(space);
	}
}

void space_enter(struct space *space)
{
	checks_entry(space);
	invalidate_before_entry(&space->translations, &space->table);
}

/* Edits. */

static void unmap_fresh(struct space *space, gva_t va, uint64_t length)
{
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE) {
		struct mapping mapping;
		gva_t page = gva(va.value + offset);

		if (pagetable_lookup(&space->table, page, &mapping) < 0)
			continue;
		pagetable_unmap(&space->table, page, PAGE_SIZE, NULL, NULL);
		free_frame(space, mapping.frame);
	}
}

int space_map_frame(struct edit *edit, gva_t page, uint32_t flags, enum frame_fate fate)
{
	struct space *space = edit->space;
	gpa_t frame;
	int result = take_frame(space, page, gpa(0), fate, &frame);

	if (result < 0)
		return result;
	result = pagetable_map(&space->table, page, frame, PAGE_SIZE, flags);
	if (result < 0)
		free_frame(space, frame);
	return result;
}

static bool any_mapped(const struct space *space, gva_t va, uint64_t length)
{
	struct mapping mapping;

	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE)
		if (pagetable_lookup(&space->table, gva(va.value + offset), &mapping) == 0)
			return true;
	return false;
}

static int map_pages(struct edit *edit, gva_t va, uint64_t length, unsigned protection,
                     enum frame_fate fate)
{
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE) {
		int result = space_map_frame(edit, gva(va.value + offset), leaf_flags(protection),
		                             fate);

		if (result < 0) {
			unmap_fresh(edit->space, va, offset);
			return result;
		}
	}
	return 0;
}

static int check_map(const struct space *space, gva_t va, uint64_t length)
{
	if (length == 0 || !is_aligned(va.value | length, PAGE_SIZE) ||
	    !range_within(va.value, length, LAYOUT_USER_END))
		return -EINVAL;
	return any_mapped(space, va, length) ? -EEXIST : 0;
}

static int try_map(struct space *space, gva_t va, uint64_t length, unsigned protection,
                   enum frame_fate fate)
{
	struct edit edit;
	int result;

	if (!within_limit(space, length >> PAGE_SHIFT))
		return -ENOMEM;
	/* The leaves are new; links to tables that were shared change. */
	space_edit_begin(&edit, space, INVALIDATION_LINKED);
	result = map_pages(&edit, va, length, protection, fate);
	space_edit_finish(&edit);
	return result;
}

int space_map(struct space *space, gva_t va, uint64_t length, unsigned protection,
              enum frame_fate fate)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	result = check_map(space, va, length);
	if (result == 0)
		result = try_map(space, va, length, protection, fate);
	if (space_settle_after(space, result, NULL))
		result = try_map(space, va, length, protection, fate);
	return result;
}

static int map_zeros(struct space *space, gva_t va, uint64_t length, uint32_t flags)
{
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE) {
		int result = pagetable_map(&space->table, gva(va.value + offset),
		                           space->machine->zero_frame, PAGE_SIZE, flags);

		if (result < 0) {
			if (offset > 0)
				pagetable_unmap(&space->table, va, offset, NULL, NULL);
			return result;
		}
	}
	return 0;
}

static int try_map_zeros(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	uint32_t flags = leaf_flags(protection) | MAPPING_BORROWED;
	struct edit edit;
	int result;

	if ((flags & MAPPING_WRITE) != 0)
		flags = (flags & ~MAPPING_WRITE) | MAPPING_COPY_ON_WRITE;
	space->shares_zeros = true;
	space_edit_begin(&edit, space, INVALIDATION_LINKED);
	result = map_zeros(space, va, length, flags);
	space_edit_finish(&edit);
	return result;
}

int space_map_zeros(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	result = check_map(space, va, length);
	if (result == 0)
		result = try_map_zeros(space, va, length, protection);
	if (space_settle_after(space, result, NULL))
		result = try_map_zeros(space, va, length, protection);
	return result;
}

static int map_clock(struct space *space, gva_t va)
{
	gpa_t first = space->machine->clock_frame;
	int result = pagetable_map(&space->table, va, first, PAGE_SIZE,
	                           leaf_flags(SPACE_READ) | MAPPING_BORROWED);

	if (result < 0)
		return result;
	result = pagetable_map(&space->table, gva(va.value + PAGE_SIZE),
	                       gpa(first.value + PAGE_SIZE), LAYOUT_VDSO_SIZE,
	                       leaf_flags(SPACE_READ | SPACE_EXECUTE) | MAPPING_BORROWED);
	if (result < 0)
		pagetable_unmap(&space->table, va, PAGE_SIZE, NULL, NULL);
	return result;
}

int space_map_clock(struct space *space, gva_t va)
{
	struct edit edit;
	int result;

	CHECKED_OPERATION(space->machine, space);
	result = check_map(space, va, MACHINE_CLOCK_FRAMES * PAGE_SIZE);
	if (result < 0)
		return result;
	space_edit_begin(&edit, space, INVALIDATION_LINKED);
	result = map_clock(space, va);
	space_edit_finish(&edit);
	return result;
}

/* Whether a fork's reset has to bring a page of its master back. */
static bool master_has(const struct space *space, gva_t page)
{
	struct mapping mapping;

	return space->master != NULL && pagetable_lookup(&space->master->table, page, &mapping) == 0;
}

/* A page of the fork's own is not what a fork begins with any more. */
static void give_fate_taken(struct space *space, gpa_t address)
{
	struct frame *frame = memory_frame(&space->machine->memory, address);

	space->taken_count += frame->fate != FRAME_TAKEN;
	space->reloadable_count -= frame->fate == FRAME_KEPT;
	frame->fate = FRAME_TAKEN;
}

/* A leaf went. Freeing its frame drops its translations; one that is shared stays. */
static void leaf_unmapped(void *context, gva_t va, const struct mapping *before,
                          const struct mapping *after)
{
	struct edit *edit = context;

	(void)after;
	if (master_has(edit->space, va))
		edit->space->rebuild = true;
	if (owns(edit->space, before->frame))
		leave(&edit->leaving, before->frame);
	else
		invalidation_note(&edit->invalidation, va, before->frame);
}

static int try_unmap(struct space *space, gva_t va, uint64_t length)
{
	struct edit edit;
	int result;

	space_edit_begin(&edit, space, INVALIDATION_REVOKED);
	result = pagetable_unmap(&space->table, va, length, leaf_unmapped, &edit);
	space_edit_finish(&edit);
	return result;
}

int space_unmap(struct space *space, gva_t va, uint64_t length)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	result = try_unmap(space, va, length);
	if (space_settle_after(space, result, NULL))
		result = try_unmap(space, va, length);
	return result;
}

static int stop_at_first(void *context, gva_t va, const struct mapping *mapping)
{
	uint64_t *first = context;

	(void)mapping;
	*first = va.value;
	return 1;
}

/* The first mapped page in [*page, end). */
static bool next_page(const struct space *space, uint64_t *page, uint64_t end)
{
	return *page < end &&
	       pagetable_walk(&space->table, gva(*page), end - *page, stop_at_first, page) > 0;
}

/*
 * Pages of files that a fault brings back: before their mapping becomes one whose
 * pages count as the request's own, whether an earlier one was there or not.
 */
static void drop_reloadable(struct edit *edit, gva_t va, uint64_t length)
{
	struct space *space = edit->space;
	struct mapping mapping;

	if (space->master == NULL)
		return;
	for (uint64_t page = va.value;
	     space->reloadable_count > 0 && next_page(space, &page, va.value + length);
	     page += PAGE_SIZE) {
		pagetable_lookup(&space->table, gva(page), &mapping);
		if (!owns(space, mapping.frame) ||
		    memory_frame(&space->machine->memory, mapping.frame)->fate != FRAME_KEPT)
			continue;
		pagetable_unmap(&space->table, gva(page), PAGE_SIZE, NULL, NULL);
		leave(&edit->leaving, mapping.frame);
	}
}

/* The page is not what it was in the master: a reset takes it away, or builds the tables anew. */
static void alter(struct space *space, gva_t page, gpa_t frame)
{
	if (!owns(space, frame) || master_has(space, page))
		space->rebuild = true;
	else
		give_fate_taken(space, frame);
}

/* A leaf that allows something less; more is seen by itself, at the fault that asks for it. */
static void leaf_protected(void *context, gva_t va, const struct mapping *before,
                           const struct mapping *after)
{
	struct edit *edit = context;
	uint32_t lost = before->flags & ~after->flags &
	                (MAPPING_USER | MAPPING_WRITE | MAPPING_EXECUTE);

	alter(edit->space, va, before->frame);
	if (lost != 0)
		invalidation_note(&edit->invalidation, va, before->frame);
}

static int try_protect(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	struct edit edit;
	int result;

	space_edit_begin(&edit, space, INVALIDATION_REVOKED);
	drop_reloadable(&edit, va, length);
	result = pagetable_protect(&space->table, va, length, leaf_flags(protection),
	                           leaf_protected, &edit);
	space_edit_finish(&edit);
	return result;
}

int space_protect(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	result = try_protect(space, va, length, protection);
	if (space_settle_after(space, result, NULL))
		result = try_protect(space, va, length, protection);
	return result;
}

static void move_page(struct edit *edit, gva_t from, gva_t to)
{
	struct pagetable *table = &edit->space->table;
	struct mapping mapping;

	/* Both paths are private already: nothing here can fail. */
	pagetable_lookup(table, from, &mapping);
	pagetable_unmap(table, from, PAGE_SIZE, NULL, NULL);
	pagetable_map(table, to, mapping.frame, PAGE_SIZE, mapping.flags);
	alter(edit->space, from, mapping.frame);
	if (owns(edit->space, mapping.frame))
		memory_frame(&edit->space->machine->memory, mapping.frame)->page = to.value;
	invalidation_note(&edit->invalidation, from, mapping.frame);
}

/* Makes the paths of all mapped pages private, where they are and where they go. */
static int own_paths(struct space *space, gva_t from, gva_t to, uint64_t length)
{
	for (uint64_t page = from.value; next_page(space, &page, from.value + length);
	     page += PAGE_SIZE) {
		int result = pagetable_own_path(&space->table, gva(page));

		if (result == 0)
			result = pagetable_own_path(&space->table,
			                            gva(to.value + (page - from.value)));
		if (result < 0)
			return result;
	}
	return 0;
}

static int try_move(struct space *space, gva_t from, gva_t to, uint64_t length)
{
	struct edit edit;
	int result;

	space_edit_begin(&edit, space, INVALIDATION_REVOKED);
	drop_reloadable(&edit, from, length);
	result = own_paths(space, from, to, length);
	for (uint64_t page = from.value;
	     result == 0 && next_page(space, &page, from.value + length); page += PAGE_SIZE)
		move_page(&edit, gva(page), gva(to.value + (page - from.value)));
	space_edit_finish(&edit);
	return result;
}

int space_move(struct space *space, gva_t from, gva_t to, uint64_t length)
{
	int result;

	CHECKED_OPERATION(space->machine, space);
	if (!range_within(from.value, length, LAYOUT_USER_END) ||
	    !range_within(to.value, length, LAYOUT_USER_END))
		return -EINVAL;
	result = try_move(space, from, to, length);
	if (space_settle_after(space, result, NULL))
		result = try_move(space, from, to, length);
	return result;
}

bool space_lookup(const struct space *space, gva_t va, unsigned *protection)
{
	struct mapping mapping;

	if (va.value >= LAYOUT_USER_END || pagetable_lookup(&space->table, va, &mapping) < 0)
		return false;
	*protection = space_protection(&mapping);
	return true;
}

/* Puts `frame` in the place of what the page is now. */
static int replace_page(struct edit *edit, gva_t page, const struct mapping *before, gpa_t frame,
                        bool by_guest)
{
	uint32_t flags = before->flags & (MAPPING_USER | MAPPING_EXECUTE);
	int result;

	if ((before->flags & MAPPING_COPY_ON_WRITE) != 0)
		flags |= MAPPING_WRITE;
	result = pagetable_replace(&edit->space->table, page, frame, flags);
	if (result == 0 && !by_guest)
		invalidation_note(&edit->invalidation, page, before->frame);
	return result;
}

int space_copy_page(struct edit *edit, gva_t page, const struct mapping *before, bool by_guest)
{
	struct space *space = edit->space;
	struct memory *memory = &space->machine->memory;
	bool zeros = before->frame.value == space->machine->zero_frame.value;
	gpa_t frame;
	int result;

	/* Who makes a file's pages writable takes them away first, and copies by pread(2). */
	if (memory_is_file(memory, before->frame, PAGE_SIZE))
		return -EREMOTE;
	result = take_frame(space, page, zeros ? gpa(0) : before->frame, FRAME_RESTORED, &frame);
	if (result < 0)
		return result;
	if (!zeros)
		memcpy(memory_data(memory, frame), memory_data(memory, before->frame), PAGE_SIZE);
	result = replace_page(edit, page, before, frame, by_guest);
	if (result < 0) {
		free_frame(space, frame);
		return result;
	}
	space->copied++;
	machine_count(space->machine, COUNTER_pages_copied, 1);
	return 0;
}

static int try_copy(struct space *space, gva_t page, const struct mapping *before, bool by_guest)
{
	struct edit edit;
	int result;

	space_edit_begin(&edit, space, by_guest ? INVALIDATION_FAULTED : INVALIDATION_COPIED);
	result = space_copy_page(&edit, page, before, by_guest);
	space_edit_finish(&edit);
	return result;
}

static int copy_page(struct space *space, gva_t page, const struct mapping *before, bool by_guest)
{
	int result = try_copy(space, page, before, by_guest);

	if (space_settle_after(space, result, &page))
		result = try_copy(space, page, before, by_guest);
	return result;
}

int space_make_private(struct space *space, gva_t va, bool by_guest)
{
	gva_t page = gva(align_down(va.value, PAGE_SIZE));
	struct mapping mapping;

	CHECKED_OPERATION(space->machine, space);
	if (va.value >= LAYOUT_USER_END || pagetable_lookup(&space->table, page, &mapping) < 0)
		return -EFAULT;
	if ((mapping.flags & MAPPING_WRITE) != 0)
		return 0;
	if ((mapping.flags & MAPPING_COPY_ON_WRITE) == 0)
		return -EFAULT;
	return copy_page(space, page, &mapping, by_guest);
}

/* Copies. */

static void *host_address(const struct space *space, gva_t va, const struct mapping *mapping)
{
	gpa_t frame = gpa(align_down(mapping_translate(mapping, va).value, PAGE_SIZE));
	uint8_t *page = memory_data(&space->machine->memory, frame);

	return page + (va.value & (PAGE_SIZE - 1));
}

/* The processor's own writes set the dirty bit. */
static void note_host_write(struct space *space, gva_t va)
{
	if (space->machine->host->dirty_bits)
		pagetable_set_dirty(&space->table, va, true);
}

static void cut_to_page(gva_t va, uint64_t *length)
{
	*length = min_u64(*length, PAGE_SIZE - (va.value & (PAGE_SIZE - 1)));
}

int space_pin_read(const struct space *space, gva_t va, uint64_t *length, const void **host)
{
	struct mapping mapping;

	if (va.value >= LAYOUT_USER_END || pagetable_lookup(&space->table, va, &mapping) < 0 ||
	    (mapping.flags & MAPPING_USER) == 0)
		return -EFAULT;
	if (memory_is_file(&space->machine->memory, mapping.frame, PAGE_SIZE))
		return -EREMOTE;
	cut_to_page(va, length);
	*host = host_address(space, va, &mapping);
	return 0;
}

int space_pin_write(struct space *space, gva_t va, uint64_t *length, void **host)
{
	int result = space_make_private(space, va, false);
	struct mapping mapping;

	if (result < 0)
		return result;
	pagetable_lookup(&space->table, va, &mapping);
	if ((mapping.flags & MAPPING_USER) == 0)
		return -EFAULT;
	note_host_write(space, va);
	cut_to_page(va, length);
	*host = host_address(space, va, &mapping);
	return 0;
}

int space_pin_load(struct space *space, gva_t va, uint64_t *length, void **host)
{
	struct mapping mapping;
	int result = 0;

	CHECKED_OPERATION(space->machine, space);
	if (va.value >= LAYOUT_USER_END || pagetable_lookup(&space->table, va, &mapping) < 0)
		return -EFAULT;
	if (!owns(space, mapping.frame)) {
		result = copy_page(space, gva(align_down(va.value, PAGE_SIZE)), &mapping, false);
		if (result == 0)
			result = pagetable_lookup(&space->table, va, &mapping);
	}
	if (result < 0)
		return result;
	/* What it gets now is not what the guest would find if it went. */
	memory_frame(&space->machine->memory, mapping.frame)->blank = false;
	note_host_write(space, va);
	cut_to_page(va, length);
	*host = host_address(space, va, &mapping);
	return 0;
}
