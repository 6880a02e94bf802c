/* SPDX-License-Identifier: MIT */
/* Invalidation of translations; see invalidate.h. */
#include "invalidate.h"

#include "counters.h"
#include "kvm.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SHADOW_SLOT 0u
/* A guest physical page that nothing else uses: data begins at 4 GiB. */
#define SHADOW_SLOT_ADDRESS PAGE_SIZE

/*
 * Table frames in quarantine that are worth a drop: 16 MiB, and more where there
 * is more to drop, so that each frame's share of the cost stays the same.
 */
#define QUARANTINE_LEAST 4096u
#define QUARANTINE_SHARE 4u

#ifdef KVMSB_PLANTED_BUGS
enum invalidation_count invalidation_left_out = INVALIDATION_COUNTS;
#define left_out(rule) (invalidation_left_out == (rule))
#else
#define left_out(rule) ((void)(rule), false)
#endif

static void count(struct invalidator *invalidator, enum invalidation_count what, uint64_t times)
{
	invalidator->counts[what] += times;
}

static uint64_t counted_at_entries(const struct entry_counts *entries, enum invalidation_count what)
{
	switch (what) {
	case INVALIDATION_FLUSH:
		return atomic_load_explicit(&entries->flushes, memory_order_relaxed);
	case INVALIDATION_MIGRATED:
		return atomic_load_explicit(&entries->migrations, memory_order_relaxed);
	case INVALIDATION_REUSED:
		return atomic_load_explicit(&entries->reuses, memory_order_relaxed);
	default:
		return 0;
	}
}

uint64_t invalidator_count(const struct invalidator *invalidator, enum invalidation_count what)
{
	uint64_t sum = atomic_load_explicit(&invalidator->counts[what], memory_order_relaxed);

	for (unsigned i = 0; i < LAYOUT_VCPU_MAXIMUM; i++)
		sum += counted_at_entries(&invalidator->entries[i], what);
	return sum;
}

void invalidator_init(struct invalidator *invalidator, int vm, struct memory *memory, bool shadow,
                      uint8_t *slot_page)
{
	invalidator->vm = vm;
	invalidator->memory = memory;
	invalidator->shadow = shadow;
	invalidator->slot_page = slot_page;
	/* With default attributes this does not fail on Linux. */
	pthread_mutex_init(&invalidator->drop_lock, NULL);
}

void invalidator_destroy(struct invalidator *invalidator, bool in_parent)
{
	/* In a forked child another thread's hold on it would never end. */
	if (in_parent && invalidator->memory != NULL)
		pthread_mutex_destroy(&invalidator->drop_lock);
}

/* Entering. */

void invalidate_before_entry(struct translations *translations, const struct pagetable *table)
{
	translations->epoch++;
	translations->root = table->root;
	translations->generation = translations->extra + table->generation;
}

void invalidate_rebuild(struct translations *translations, const struct pagetable *table)
{
	translations->extra += table->generation + 1;
	translations->unread = false;
}

bool invalidate_must_rebuild(const struct invalidator *invalidator,
                             const struct translations *translations)
{
	return invalidator->shadow && translations->unread && !left_out(INVALIDATION_FAULTED);
}

/* Whether the vCPU holds nothing of the space that is out of date. */
static bool up_to_date(const struct cached_translations *cached,
                       const struct translations *translations)
{
	if (cached->serial != translations->serial)
		return left_out(INVALIDATION_REUSED) && cached->serial != 0;
	return cached->generation == translations->generation ||
	       (left_out(INVALIDATION_MIGRATED) && translations->last_vcpu != cached->index + 1);
}

/*
 * Where shadow paging is, CR3 alone tells spaces apart, and nothing else
 * depends on it. PWT has no effect on memory that is all write-back.
 */
static uint64_t choose_cr3(struct invalidator *invalidator, const struct cached_translations *cached,
                           const struct translations *translations)
{
	uint64_t root = translations->root.value;

	if ((cached->cr3 & ~CR3_PWT) != root)
		return root;
	if (invalidator->shadow || up_to_date(cached, translations))
		return cached->cr3;
	if (cached->serial != 0 && cached->serial != translations->serial)
		count_alone(&invalidator->entries[cached->index].reuses, 1);
	count_alone(&invalidator->entries[cached->index].flushes, 1);
	return cached->cr3 ^ CR3_PWT;
}

uint64_t invalidate_entry(struct invalidator *invalidator, struct cached_translations *cached,
                          struct translations *translations)
{
	uint64_t cr3 = choose_cr3(invalidator, cached, translations);

	if (translations->last_vcpu != cached->index + 1) {
		if (translations->last_vcpu != 0)
			count_alone(&invalidator->entries[cached->index].migrations, 1);
		translations->last_vcpu = cached->index + 1;
	}
	*cached = (struct cached_translations){.cr3 = cr3,
	                                       .serial = translations->serial,
	                                       .generation = translations->generation,
	                                       .index = cached->index};
	return cr3;
}

/* Edits. */

void invalidation_begin(struct invalidation *invalidation, struct invalidator *invalidator,
                        struct translations *translations, struct pagetable *table,
                        enum invalidation_count rule)
{
	invalidation->invalidator = invalidator;
	invalidation->translations = translations;
	invalidation->table = table;
	invalidation->rule = rule;
	invalidation->generation = table->generation;
	invalidation->pages = 0;
	invalidation->regions = 0;
	invalidation->shared = false;
}

static void note_region(struct invalidation *invalidation, gva_t page)
{
	uint32_t number = invalidation->regions;

	/* Edits come in the order of addresses. */
	if (number > INVALIDATION_REGIONS ||
	    (number > 0 &&
	     (invalidation->region[number - 1].value ^ page.value) < mapping_length(MAPPING_2M)))
		return;
	if (number < INVALIDATION_REGIONS)
		invalidation->region[number] = page;
	invalidation->regions = number + 1;
}

void invalidation_note(struct invalidation *invalidation, gva_t page, gpa_t frame)
{
	if (!invalidation->invalidator->shadow || !pagetable_leaf_stale(invalidation->table, page))
		return;
	if (invalidation->pages < INVALIDATION_PAGES)
		invalidation->frames[invalidation->pages] = frame;
	if (!memory_owns(invalidation->invalidator->memory, frame, invalidation->translations->serial))
		invalidation->shared = true;
	invalidation->pages++;
	note_region(invalidation, page);
}

/* Nobody else uses the frame, so its page can go and come back. */
static int drop_page(struct invalidator *invalidator, gpa_t frame)
{
	uint8_t *page = memory_data(invalidator->memory, frame);
	uint8_t contents[PAGE_SIZE];

	memcpy(contents, page, sizeof(contents));
	if (!memory_frames_discard(invalidator->memory, frame, 1))
		return -ENOMEM;
	memcpy(page, contents, sizeof(contents));
	count(invalidator, INVALIDATION_PAGE, 1);
	return 0;
}

static int drop_pages(struct invalidation *invalidation)
{
	int result = 0;

	for (uint64_t i = 0; i < invalidation->pages && result == 0; i++)
		result = drop_page(invalidation->invalidator, invalidation->frames[i]);
	return result;
}

static int renew_paths(struct invalidation *invalidation)
{
	int result = 0;

	if (invalidation->regions > INVALIDATION_REGIONS)
		return -E2BIG;
	for (uint32_t i = 0; i < invalidation->regions && result == 0; i++) {
		result = pagetable_renew_path(invalidation->table, invalidation->region[i]);
		if (result == 0)
			count(invalidation->invalidator, INVALIDATION_PATH, 1);
	}
	return result;
}

static int drop_noted(struct invalidation *invalidation)
{
	bool few = !invalidation->shared && invalidation->pages <= INVALIDATION_PAGES;
	int result = few ? drop_pages(invalidation) : renew_paths(invalidation);

	return result < 0 ? invalidate_everything(invalidation->invalidator) : 0;
}

int invalidation_finish(struct invalidation *invalidation)
{
	bool changed = invalidation->table->generation != invalidation->generation;

	if (changed)
		count(invalidation->invalidator, invalidation->rule, 1);
	if (changed && invalidation->rule == INVALIDATION_FAULTED)
		invalidation->translations->unread = true;
	if (left_out(invalidation->rule)) {
		invalidation->translations->extra -= invalidation->table->generation -
		                                     invalidation->generation;
		return 0;
	}
	return invalidation->pages > 0 ? drop_noted(invalidation) : 0;
}

bool invalidate_is_stale(const struct invalidator *invalidator,
                         const struct translations *translations, gpa_t table)
{
	return memory_table_epoch(invalidator->memory, table) != translations->epoch &&
	       !left_out(INVALIDATION_LINKED);
}

/* Frames. */

bool invalidate_free_frames(struct invalidator *invalidator, gpa_t first, uint64_t frames)
{
	struct memory *memory = invalidator->memory;
	bool planted = left_out(INVALIDATION_FREED);

	count(invalidator, INVALIDATION_FREED, frames);
	if (!planted && memory_frames_discard(memory, first, frames)) {
		memory_frames_release(memory, first, frames);
		return true;
	}
	memset(memory_data(memory, first), 0, frames * PAGE_SIZE);
	if (planted)
		memory_frames_release(memory, first, frames);
	else
		memory_frames_lose(memory, first, frames);
	return planted;
}

void invalidate_free_table(struct invalidator *invalidator, gpa_t table)
{
	if (!invalidator->shadow || left_out(INVALIDATION_RELEASED)) {
		memory_table_free(invalidator->memory, table);
		return;
	}
	count(invalidator, INVALIDATION_RELEASED, 1);
	memory_table_quarantine(invalidator->memory, table);
}

int invalidate_everything(struct invalidator *invalidator)
{
	uint32_t waiting;
	int result;

	if (!invalidator->shadow)
		return 0;
	pthread_mutex_lock(&invalidator->drop_lock);
	waiting = memory_quarantined(invalidator->memory);
	result = kvm_memory_slot(invalidator->vm, SHADOW_SLOT, SHADOW_SLOT_ADDRESS, PAGE_SIZE,
	                         invalidator->slot_page);
	if (result == 0)
		result = kvm_memory_slot(invalidator->vm, SHADOW_SLOT, SHADOW_SLOT_ADDRESS, 0,
		                         invalidator->slot_page);
	if (result == 0) {
		memory_quarantine_release(invalidator->memory, waiting);
		count(invalidator, INVALIDATION_SHADOW, 1);
	}
	pthread_mutex_unlock(&invalidator->drop_lock);
	return result;
}

void invalidate_when_due(struct invalidator *invalidator)
{
	const struct memory *memory = invalidator->memory;
	uint32_t waiting = memory_quarantined(memory);

	/* Nothing is lost when it fails: they go on waiting. */
	if (waiting >= QUARANTINE_LEAST && waiting >= memory->tables_in_use / QUARANTINE_SHARE)
		invalidate_everything(invalidator);
}
