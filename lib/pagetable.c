/* SPDX-License-Identifier: MIT */
/*
 * Page tables, see pagetable.h. Every edit has two phases: first the paths it
 * needs are made private and editable, which may run out of memory and changes
 * no translation (pagetable_own_path's core, make_path); then entries are
 * written, which cannot fail. Nothing else changes links.
 */
#include "pagetable.h"

#include <errno.h>
#include <string.h>

#include "util.h"
#include "x86.h"

#define LARGE_SIZE (UINT64_C(1) << 21)
#define HALF_SIZE (UINT64_C(1) << 47)
#define UPPER_HALF (UINT64_MAX - HALF_SIZE + 1)
#define PHYSICAL_LIMIT (UINT64_C(1) << 52)

#define LINK_OWNED (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)
#define LINK_SHARED PTE_SOFTWARE_1
#define LINK_FOREIGN PTE_SOFTWARE_2
#define LINK_VERBATIM PTE_SOFTWARE_3
#define LEAF_COPY_ON_WRITE PTE_SOFTWARE_2
#define LEAF_BORROWED PTE_SOFTWARE_3
#define SOFTWARE_BITS (PTE_SOFTWARE_1 | PTE_SOFTWARE_2 | PTE_SOFTWARE_3)

#define ROOT_ENTRY_BITS                                                                            \
	(PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_NO_EXECUTE | PTE_ADDRESS)

#define LEAF_FLAGS                                                                                 \
	(MAPPING_USER | MAPPING_WRITE | MAPPING_EXECUTE | MAPPING_COPY_ON_WRITE | MAPPING_BORROWED)

/* A present leaf. effective is its entry with the permissions of the links above applied. */
struct leaf {
	uint64_t address;
	uint64_t last; /* its last byte: the end of the last leaf is not representable */
	uint64_t *entry;
	uint64_t effective;
	unsigned level;
};

/* One level of the path that translates an address. */
struct step {
	gpa_t table;    /* when exists */
	gpa_t fresh;    /* when replace: the frame to put in its place */
	uint64_t entry; /* its entry for the address, 0 at the bottom and where no table is */
	bool exists;
	bool owned;
	bool replace;
};

/* Indexed by level; those from bottom to the root are in use. */
struct path {
	uint64_t address;
	unsigned bottom;
	struct step steps[PAGETABLE_ROOT_LEVEL + 1];
};

struct edit {
	bool remove;
	uint32_t flags; /* unless remove */
	pagetable_changed_fn *changed;
	void *context;
};

/* Frames set aside, chained through their first entries. */
struct reserve {
	const struct pagetable *pt;
	gpa_t first;
	size_t count;
};

/* Entries */

static uint64_t *entry_at(const struct pagetable *pt, gpa_t table, uint64_t address, unsigned level)
{
	uint64_t index = address >> (PAGE_SHIFT + 9 * (level - 1)) & (PAGETABLE_ENTRIES - 1);

	return pt->ops->entries(pt->context, table) + index;
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == MAPPING_4K || (entry & PTE_LARGE);
}

static bool is_link(uint64_t entry)
{
	return (entry & PTE_PRESENT) && !(entry & PTE_LARGE);
}

/* Whether the table behind an entry of an owned table of level 2 or more is pt's own. */
static bool is_owned_link(const struct pagetable *pt, uint64_t entry)
{
	uint64_t others = LINK_VERBATIM | (pt->frozen ? LINK_FOREIGN : LINK_SHARED);

	return is_link(entry) && !(entry & others);
}

static bool is_stale(const struct pagetable *pt, gpa_t table)
{
	return pt->ops->stale && pt->ops->stale(pt->context, table);
}

static gpa_t link_table(uint64_t entry)
{
	return gpa(entry & PTE_ADDRESS);
}

static uint32_t complete_flags(uint32_t flags)
{
	return flags & MAPPING_COPY_ON_WRITE ? flags | MAPPING_BORROWED : flags;
}

static uint64_t leaf_entry(uint64_t frame, uint32_t flags, unsigned level)
{
	uint64_t entry = frame | PTE_PRESENT | PTE_ACCESSED;

	if (flags & MAPPING_USER)
		entry |= PTE_USER;
	if (flags & MAPPING_WRITE)
		entry |= PTE_WRITE | PTE_DIRTY;
	if (!(flags & MAPPING_EXECUTE))
		entry |= PTE_NO_EXECUTE;
	if (flags & MAPPING_COPY_ON_WRITE)
		entry |= LEAF_COPY_ON_WRITE;
	if (flags & MAPPING_BORROWED)
		entry |= LEAF_BORROWED;
	return level == MAPPING_4K ? entry : entry | PTE_LARGE;
}

static uint32_t leaf_flags(uint64_t entry)
{
	uint32_t flags = 0;

	if (entry & PTE_USER)
		flags |= MAPPING_USER;
	if (entry & PTE_WRITE)
		flags |= MAPPING_WRITE;
	if (!(entry & PTE_NO_EXECUTE))
		flags |= MAPPING_EXECUTE;
	if (entry & LEAF_COPY_ON_WRITE)
		flags |= MAPPING_COPY_ON_WRITE;
	if (entry & LEAF_BORROWED)
		flags |= MAPPING_BORROWED;
	return flags;
}

/* Bit 12 of a large leaf is its PAT bit, not address. */
static uint64_t leaf_frame(uint64_t entry, unsigned level)
{
	return align_down(entry & PTE_ADDRESS, mapping_length(level));
}

static struct mapping leaf_mapping(uint64_t entry, unsigned level)
{
	return (struct mapping){gpa(leaf_frame(entry, level)), level, leaf_flags(entry)};
}

/* Arguments */

static bool range_valid(uint64_t address, uint64_t length)
{
	if (length == 0 || !is_aligned(address | length, PAGE_SIZE))
		return false;
	if (address >= UPPER_HALF)
		return range_within(address - UPPER_HALF, length, HALF_SIZE);
	return range_within(address, length, HALF_SIZE);
}

static bool frames_valid(gpa_t frame, uint64_t length)
{
	return is_aligned(frame.value, PAGE_SIZE) &&
	       range_within(frame.value, length, PHYSICAL_LIMIT);
}

static bool flags_valid(uint32_t flags, uint32_t allowed)
{
	if (flags & ~allowed)
		return false;
	return !(flags & MAPPING_WRITE) || !(flags & (MAPPING_COPY_ON_WRITE | MAPPING_BORROWED));
}

static bool range_is_verbatim(const struct pagetable *pt, uint64_t first, uint64_t last)
{
	const uint64_t *entry = entry_at(pt, pt->root, first, PAGETABLE_ROOT_LEVEL);
	const uint64_t *end = entry_at(pt, pt->root, last, PAGETABLE_ROOT_LEVEL);

	for (; entry <= end; entry++) {
		if (*entry & LINK_VERBATIM)
			return true;
	}
	return false;
}

static int check_edit(const struct pagetable *pt, gva_t address, uint64_t length)
{
	if (!pt->ops || !range_valid(address.value, length))
		return -EINVAL;
	if (pt->frozen)
		return -EROFS;
	return range_is_verbatim(pt, address.value, address.value + length - 1) ? -EPERM : 0;
}

static int check_leaves(const struct pagetable *pt, gva_t address, gpa_t frame, uint64_t length)
{
	int result;

	if (!frames_valid(frame, length))
		return -EINVAL;
	result = check_edit(pt, address, length);
	if (result)
		return result;
	return pt->ops->leaf_allowed(pt->context, frame, length) ? 0 : -EPERM;
}

/* Finding leaves */

/*
 * Descends to the entry for address that is absent or a leaf. Returns its level;
 * *effective is the entry with the permissions of the links above applied.
 */
static unsigned descend(const struct pagetable *pt, uint64_t address, uint64_t **entry,
                        uint64_t *effective)
{
	uint64_t granted = PTE_WRITE | PTE_USER;
	uint64_t denied = 0;
	unsigned level = PAGETABLE_ROOT_LEVEL;
	gpa_t table = pt->root;

	for (;; level--) {
		*entry = entry_at(pt, table, address, level);
		if (!(**entry & PTE_PRESENT) || is_leaf(**entry, level))
			break;
		granted &= **entry;
		denied |= **entry & PTE_NO_EXECUTE;
		table = link_table(**entry);
	}
	*effective = (**entry & (granted | ~(PTE_WRITE | PTE_USER))) | denied;
	return level;
}

/* The first leaf that touches [address, last]. */
static bool find_leaf(const struct pagetable *pt, uint64_t address, uint64_t last, struct leaf *leaf)
{
	for (;;) {
		leaf->level = descend(pt, address, &leaf->entry, &leaf->effective);
		leaf->address = align_down(address, mapping_length(leaf->level));
		leaf->last = leaf->address + mapping_length(leaf->level) - 1;
		if (*leaf->entry & PTE_PRESENT)
			return true;
		if (leaf->last >= last)
			return false;
		address = leaf->last + 1;
	}
}

static bool next_leaf(const struct pagetable *pt, uint64_t last, struct leaf *leaf)
{
	return leaf->last < last && find_leaf(pt, leaf->last + 1, last, leaf);
}

/* Paths: the only code that changes links of a pagetable that is in use */

static void trace_path(const struct pagetable *pt, struct path *path)
{
	struct step *step = &path->steps[PAGETABLE_ROOT_LEVEL];
	unsigned level;

	*step = (struct step){.table = pt->root, .exists = true, .owned = true};
	for (level = PAGETABLE_ROOT_LEVEL; level > path->bottom; level--, step--) {
		if (step->exists)
			step->entry = *entry_at(pt, step->table, path->address, level);
		step[-1] = (struct step){
			.table = link_table(step->entry),
			.exists = is_link(step->entry),
			/* All links below a shared one are shared: freezing made them so. */
			.owned = is_owned_link(pt, step->entry),
		};
	}
}

/*
 * Decides which tables need a fresh frame. change: the bottom table's present
 * entry will be changed. Those replaced are contiguous from the bottom on:
 * returns the first level that stays, PAGETABLE_ROOT_LEVEL + 1 if none does.
 */
static unsigned plan_path(const struct pagetable *pt, struct path *path, bool change)
{
	unsigned level;

	for (level = path->bottom; level <= PAGETABLE_ROOT_LEVEL; level++) {
		struct step *step = &path->steps[level];

		step->replace = !step->owned || (change && is_stale(pt, step->table));
		if (!step->replace)
			break;
		if (level < PAGETABLE_ROOT_LEVEL)
			change = path->steps[level + 1].entry & PTE_PRESENT;
	}
	return level;
}

static bool gives_back(const struct step *step)
{
	return step->exists && step->owned;
}

static int allocate_path(struct pagetable *pt, struct path *path, unsigned top)
{
	unsigned level;
	int result = 0;

	for (level = path->bottom; level < top; level++)
		pt->passing += gives_back(&path->steps[level]);
	for (level = path->bottom; level < top && !result; level++)
		result = pt->ops->allocate(pt->context, &path->steps[level].fresh);
	pt->passing = 0;
	if (!result)
		return 0;
	/* The last one that was asked for did not come. */
	for (level--; level-- > path->bottom;)
		pt->ops->release(pt->context, path->steps[level].fresh);
	return result;
}

static void split_leaf(uint64_t large, uint64_t *entries)
{
	uint64_t frame = leaf_frame(large, MAPPING_2M);
	uint32_t flags = leaf_flags(large);
	unsigned i;

	for (i = 0; i < PAGETABLE_ENTRIES; i++)
		entries[i] = leaf_entry(frame + i * PAGE_SIZE, flags, MAPPING_4K);
}

/* Gives the fresh frame of a level the contents that the path has there. */
static void fill_fresh(const struct pagetable *pt, const struct path *path, unsigned level)
{
	const struct step *step = &path->steps[level];
	uint64_t *entries = pt->ops->entries(pt->context, step->fresh);

	if (step->exists)
		memcpy(entries, pt->ops->entries(pt->context, step->table), PAGE_SIZE);
	else if (level < PAGETABLE_ROOT_LEVEL && (step[1].entry & PTE_LARGE))
		split_leaf(step[1].entry, entries);
	else
		memset(entries, 0, PAGE_SIZE);
	if (level > path->bottom)
		*entry_at(pt, step->fresh, path->address, level) = step[-1].fresh.value | LINK_OWNED;
}

/* Bottom up, so that the one store that makes the new tables visible comes last. */
static void commit_path(struct pagetable *pt, const struct path *path, unsigned top)
{
	const struct step *step;
	unsigned level;

	for (level = path->bottom; level < top; level++)
		fill_fresh(pt, path, level);
	step = &path->steps[top];
	if (top > PAGETABLE_ROOT_LEVEL) {
		pt->root = path->steps[PAGETABLE_ROOT_LEVEL].fresh;
		pt->generation++;
	} else {
		*entry_at(pt, step->table, path->address, top) = step[-1].fresh.value | LINK_OWNED;
		if (step->entry & PTE_PRESENT)
			pt->generation++;
	}
	for (level = path->bottom; level < top; level++) {
		step = &path->steps[level];
		if (gives_back(step))
			pt->ops->release(pt->context, step->table);
	}
}

/*
 * Makes the tables that translate address exist and be private to pt, down to
 * level bottom. change: also makes the bottom table one whose present links and
 * large leaves may be changed. All or nothing.
 */
static int make_path(struct pagetable *pt, uint64_t address, unsigned bottom, bool change)
{
	struct path path = {.address = address, .bottom = bottom};
	unsigned top;
	int result;

	trace_path(pt, &path);
	top = plan_path(pt, &path, change);
	if (top == bottom)
		return 0;
	result = allocate_path(pt, &path, top);
	if (result)
		return result;
	commit_path(pt, &path, top);
	return 0;
}

int pagetable_own_path(struct pagetable *pt, gva_t address)
{
	int result = check_edit(pt, address, PAGE_SIZE);

	return result ? result : make_path(pt, address.value, MAPPING_4K, false);
}

/* The path down to the last table that exists. */
static struct path trace_existing(const struct pagetable *pt, uint64_t address)
{
	struct path path = {.address = address, .bottom = MAPPING_4K};

	trace_path(pt, &path);
	while (!path.steps[path.bottom].exists)
		path.bottom++;
	return path;
}

bool pagetable_leaf_stale(const struct pagetable *pt, gva_t address)
{
	struct path path = trace_existing(pt, address.value);

	return is_stale(pt, path.steps[path.bottom].table);
}

int pagetable_renew_path(struct pagetable *pt, gva_t address)
{
	uint64_t page = align_down(address.value, PAGE_SIZE);
	int result = check_edit(pt, gva(page), PAGE_SIZE);

	return result ? result : make_path(pt, page, trace_existing(pt, page).bottom, true);
}

/* The leaf of address, if it is writable and nobody else's. */
static uint64_t *own_writable_leaf(const struct pagetable *pt, uint64_t address)
{
	uint64_t *entry, effective;

	descend(pt, address, &entry, &effective);
	return (effective & PTE_PRESENT) && (effective & PTE_WRITE) ? entry : NULL;
}

bool pagetable_is_dirty(const struct pagetable *pt, gva_t address)
{
	const uint64_t *entry = own_writable_leaf(pt, address.value);

	return !entry || (*entry & PTE_DIRTY);
}

void pagetable_set_dirty(struct pagetable *pt, gva_t address, bool dirty)
{
	uint64_t *entry = own_writable_leaf(pt, address.value);

	if (!entry || !(*entry & PTE_DIRTY) == !dirty)
		return;
	*entry ^= PTE_DIRTY;
	if (!dirty)
		pt->generation++;
}

/* Life */

/* With a root that the caller fills. */
static int create(struct pagetable *pt, const struct pagetable_ops *ops, void *context)
{
	int result;

	*pt = (struct pagetable){0};
	result = ops->allocate(context, &pt->root);
	if (result) {
		*pt = (struct pagetable){0};
		return result;
	}
	pt->ops = ops;
	pt->context = context;
	return 0;
}

int pagetable_create(struct pagetable *pt, const struct pagetable_ops *ops, void *context)
{
	int result;

	*pt = (struct pagetable){0};
	if (!ops || !ops->allocate || !ops->release || !ops->entries || !ops->leaf_allowed)
		return -EINVAL;
	result = create(pt, ops, context);
	if (result)
		return result;
	memset(ops->entries(context, pt->root), 0, PAGE_SIZE);
	return 0;
}

static int visit_table(const struct pagetable *pt, gpa_t table, unsigned level,
                       pagetable_visit_table_fn *visit, void *context)
{
	const uint64_t *entries = pt->ops->entries(pt->context, table);
	unsigned i;
	int result;

	for (i = 0; level > 1 && i < PAGETABLE_ENTRIES; i++) {
		if (!is_owned_link(pt, entries[i]))
			continue;
		result = visit_table(pt, link_table(entries[i]), level - 1, visit, context);
		if (result)
			return result;
	}
	return visit(context, table, level);
}

int pagetable_visit_tables(const struct pagetable *pt, pagetable_visit_table_fn *visit, void *context)
{
	return pt->ops ? visit_table(pt, pt->root, PAGETABLE_ROOT_LEVEL, visit, context) : 0;
}

static int count_table(void *context, gpa_t table, unsigned level)
{
	(void)table;
	(void)level;
	(*(size_t *)context)++;
	return 0;
}

size_t pagetable_count_tables(const struct pagetable *pt)
{
	size_t count = 0;

	pagetable_visit_tables(pt, count_table, &count);
	return count;
}

static int release_table(void *context, gpa_t table, unsigned level)
{
	const struct pagetable *pt = context;

	(void)level;
	pt->ops->release(pt->context, table);
	return 0;
}

void pagetable_destroy(struct pagetable *pt)
{
	if (!pt)
		return;
	pagetable_visit_tables(pt, release_table, pt);
	*pt = (struct pagetable){0};
}

/* Mapping */

static uint64_t piece_length(uint64_t address, uint64_t length)
{
	return min_u64(length, LARGE_SIZE - (address & (LARGE_SIZE - 1)));
}

/* The path to the level 2 entry of a range that is known to hold no leaf. */
static struct path trace_piece(const struct pagetable *pt, uint64_t address)
{
	struct path path = {.address = address, .bottom = MAPPING_4K};

	trace_path(pt, &path);
	return path;
}

static int prepare_map(struct pagetable *pt, uint64_t address, uint64_t frame, uint64_t length,
                       uint32_t flags)
{
	uint64_t offset, piece;
	bool large;
	int result;

	for (offset = 0; offset < length; offset += piece) {
		piece = piece_length(address + offset, length - offset);
		large = (flags & MAPPING_ALLOW_LARGE) && piece == LARGE_SIZE &&
		        is_aligned(frame + offset, LARGE_SIZE) &&
		        !trace_piece(pt, address + offset).steps[MAPPING_4K].exists;
		result = make_path(pt, address + offset, large ? MAPPING_2M : MAPPING_4K, false);
		if (result)
			return result;
	}
	return 0;
}

/* Where preparing made no level 1 table, the piece is a 2 MiB leaf. */
static void map_piece(struct pagetable *pt, uint64_t address, uint64_t frame, uint64_t length,
                      uint32_t flags)
{
	struct path path = trace_piece(pt, address);
	const struct step *step = &path.steps[MAPPING_4K];
	uint64_t offset, *entry;

	if (!step->exists) {
		entry = entry_at(pt, path.steps[MAPPING_2M].table, address, MAPPING_2M);
		*entry = leaf_entry(frame, flags, MAPPING_2M);
		return;
	}
	entry = entry_at(pt, step->table, address, MAPPING_4K);
	for (offset = 0; offset < length; offset += PAGE_SIZE)
		*entry++ = leaf_entry(frame + offset, flags, MAPPING_4K);
}

int pagetable_map(struct pagetable *pt, gva_t address, gpa_t frame, uint64_t length, uint32_t flags)
{
	uint64_t offset, piece;
	struct leaf leaf;
	int result;

	if (!flags_valid(flags, LEAF_FLAGS | MAPPING_ALLOW_LARGE))
		return -EINVAL;
	result = check_leaves(pt, address, frame, length);
	if (result)
		return result;
	if (find_leaf(pt, address.value, address.value + length - 1, &leaf))
		return -EEXIST;
	result = prepare_map(pt, address.value, frame.value, length, flags);
	if (result)
		return result;
	flags = complete_flags(flags & LEAF_FLAGS);
	for (offset = 0; offset < length; offset += piece) {
		piece = piece_length(address.value + offset, length - offset);
		map_piece(pt, address.value + offset, frame.value + offset, piece, flags);
	}
	return 0;
}

/* Changing leaves */

/* A frame that has other users never becomes writable by a change of permissions. */
static uint32_t protected_flags(uint32_t old, uint32_t flags)
{
	if (!(old & MAPPING_BORROWED))
		return complete_flags(flags);
	if (flags & MAPPING_WRITE)
		flags = (flags & ~MAPPING_WRITE) | MAPPING_COPY_ON_WRITE;
	return flags | MAPPING_BORROWED;
}

static bool edit_changes(const struct edit *edit, const struct leaf *leaf)
{
	uint32_t flags = leaf_flags(leaf->effective);

	return edit->remove || protected_flags(flags, edit->flags) != flags;
}

/* Makes the path to a leaf editable; *done is the last byte that this covers. */
static int prepare_leaf(struct pagetable *pt, uint64_t first, uint64_t last,
                        const struct edit *edit, const struct leaf *leaf, uint64_t *done)
{
	uint64_t address = max_u64(first, leaf->address);

	*done = leaf->last;
	if (!edit_changes(edit, leaf))
		return 0;
	if (leaf->level == MAPPING_2M && leaf->address >= first && leaf->last <= last)
		return make_path(pt, address, MAPPING_2M, edit->remove);
	*done = address | (LARGE_SIZE - 1);
	return make_path(pt, address, MAPPING_4K, false);
}

static int prepare_edit(struct pagetable *pt, uint64_t first, uint64_t last, const struct edit *edit)
{
	uint64_t done = first;
	struct leaf leaf;
	bool more;
	int result;

	for (more = find_leaf(pt, first, last, &leaf); more;
	     more = done < last && find_leaf(pt, done + 1, last, &leaf)) {
		result = prepare_leaf(pt, first, last, edit, &leaf, &done);
		if (result)
			return result;
	}
	return 0;
}

static void edit_leaf(struct pagetable *pt, const struct edit *edit, const struct leaf *leaf)
{
	struct mapping before = leaf_mapping(*leaf->entry, leaf->level);
	struct mapping after = before;

	after.flags = protected_flags(before.flags, edit->flags);
	*leaf->entry = edit->remove ? 0 : leaf_entry(before.frame.value, after.flags, leaf->level);
	pt->generation++;
	if (edit->changed)
		edit->changed(edit->context, gva(leaf->address), &before,
		              edit->remove ? NULL : &after);
}

static int edit_range(struct pagetable *pt, gva_t address, uint64_t length, const struct edit *edit)
{
	uint64_t first = address.value;
	uint64_t last = first + length - 1;
	struct leaf leaf;
	bool more;
	int result;

	result = check_edit(pt, address, length);
	if (result)
		return result;
	result = prepare_edit(pt, first, last, edit);
	if (result)
		return result;
	for (more = find_leaf(pt, first, last, &leaf); more; more = next_leaf(pt, last, &leaf)) {
		if (edit_changes(edit, &leaf))
			edit_leaf(pt, edit, &leaf);
	}
	return 0;
}

int pagetable_unmap(struct pagetable *pt, gva_t address, uint64_t length,
                    pagetable_changed_fn *changed, void *context)
{
	struct edit edit = {.remove = true, .changed = changed, .context = context};

	return edit_range(pt, address, length, &edit);
}

int pagetable_protect(struct pagetable *pt, gva_t address, uint64_t length, uint32_t flags,
                      pagetable_changed_fn *changed, void *context)
{
	struct edit edit = {.flags = flags, .changed = changed, .context = context};

	if (!flags_valid(flags, LEAF_FLAGS))
		return -EINVAL;
	return edit_range(pt, address, length, &edit);
}

int pagetable_replace(struct pagetable *pt, gva_t address, gpa_t frame, uint32_t flags)
{
	struct leaf leaf;
	int result;

	if (!flags_valid(flags, LEAF_FLAGS))
		return -EINVAL;
	result = check_leaves(pt, address, frame, PAGE_SIZE);
	if (result)
		return result;
	if (!find_leaf(pt, address.value, address.value, &leaf))
		return -ENOENT;
	result = make_path(pt, address.value, MAPPING_4K, false);
	if (result)
		return result;
	find_leaf(pt, address.value, address.value, &leaf);
	*leaf.entry = leaf_entry(frame.value, complete_flags(flags), MAPPING_4K);
	pt->generation++;
	return 0;
}

/* Reading */

int pagetable_lookup(const struct pagetable *pt, gva_t address, struct mapping *mapping)
{
	uint64_t page = align_down(address.value, PAGE_SIZE);
	struct leaf leaf;

	if (!pt->ops || !range_valid(page, PAGE_SIZE))
		return -EINVAL;
	if (!find_leaf(pt, page, page, &leaf))
		return -ENOENT;
	*mapping = leaf_mapping(leaf.effective, leaf.level);
	return 0;
}

int pagetable_walk(const struct pagetable *pt, gva_t address, uint64_t length,
                   pagetable_visit_fn *visit, void *context)
{
	uint64_t last = address.value + length - 1;
	struct leaf leaf;
	int result = 0;
	bool more;

	if (!pt->ops || !range_valid(address.value, length))
		return -EINVAL;
	for (more = find_leaf(pt, address.value, last, &leaf); more && !result;
	     more = next_leaf(pt, last, &leaf)) {
		struct mapping mapping = leaf_mapping(leaf.effective, leaf.level);

		result = visit(context, gva(leaf.address), &mapping);
	}
	return result;
}

/* Freezing and sharing */

static int reserve_frame(struct reserve *reserve)
{
	const struct pagetable *pt = reserve->pt;
	gpa_t frame;
	int result;

	result = pt->ops->allocate(pt->context, &frame);
	if (result)
		return result;
	*pt->ops->entries(pt->context, frame) = reserve->first.value;
	reserve->first = frame;
	reserve->count++;
	return 0;
}

static gpa_t take_reserved(struct reserve *reserve)
{
	const struct pagetable *pt = reserve->pt;
	gpa_t frame = reserve->first;

	reserve->first = gpa(*pt->ops->entries(pt->context, frame));
	reserve->count--;
	return frame;
}

static void release_reserved(struct reserve *reserve)
{
	while (reserve->count)
		reserve->pt->ops->release(reserve->pt->context, take_reserved(reserve));
}

/* Whether freezing changes links in a stale table: that one has to move. */
static bool freeze_moves(const struct pagetable *pt, gpa_t table, unsigned level)
{
	const uint64_t *entries = pt->ops->entries(pt->context, table);
	unsigned i;

	for (i = 0; level > 1 && i < PAGETABLE_ENTRIES; i++) {
		if (is_link(entries[i]) && !(entries[i] & LINK_VERBATIM))
			return is_stale(pt, table);
	}
	return false;
}

static int reserve_for_table(void *context, gpa_t table, unsigned level)
{
	struct reserve *reserve = context;

	return freeze_moves(reserve->pt, table, level) ? reserve_frame(reserve) : 0;
}

static uint64_t frozen_leaf(uint64_t entry, unsigned level)
{
	struct mapping mapping = leaf_mapping(entry, level);
	uint32_t flags = protected_flags(mapping.flags | MAPPING_BORROWED, mapping.flags);

	/* A copy-on-write leaf stays one: its flags don't say MAPPING_WRITE. */
	return leaf_entry(mapping.frame.value, flags, level);
}

static gpa_t freeze_table(const struct pagetable *pt, gpa_t table, unsigned level,
                          struct reserve *reserve);

static uint64_t frozen_entry(const struct pagetable *pt, uint64_t entry, unsigned level,
                             struct reserve *reserve)
{
	if (!(entry & PTE_PRESENT))
		return entry;
	if (is_leaf(entry, level))
		return frozen_leaf(entry, level);
	if (entry & LINK_VERBATIM)
		return entry;
	if (entry & LINK_SHARED)
		return entry | LINK_FOREIGN;
	entry = freeze_table(pt, link_table(entry), level - 1, reserve).value | LINK_OWNED;
	return (entry & ~PTE_WRITE) | LINK_SHARED;
}

/* Returns where the table is now. */
static gpa_t freeze_table(const struct pagetable *pt, gpa_t table, unsigned level,
                          struct reserve *reserve)
{
	bool moves = freeze_moves(pt, table, level);
	gpa_t target = moves ? take_reserved(reserve) : table;
	uint64_t *entries = pt->ops->entries(pt->context, target);
	unsigned i;

	if (moves)
		memcpy(entries, pt->ops->entries(pt->context, table), PAGE_SIZE);
	for (i = 0; i < PAGETABLE_ENTRIES; i++)
		entries[i] = frozen_entry(pt, entries[i], level, reserve);
	if (moves)
		pt->ops->release(pt->context, table);
	return target;
}

int pagetable_freeze(struct pagetable *pt)
{
	struct reserve reserve = {.pt = pt};
	int result;

	if (!pt->ops)
		return -EINVAL;
	if (pt->frozen)
		return -EROFS;
	result = pagetable_visit_tables(pt, reserve_for_table, &reserve);
	if (result) {
		release_reserved(&reserve);
		return result;
	}
	pt->root = freeze_table(pt, pt->root, PAGETABLE_ROOT_LEVEL, &reserve);
	pt->frozen = true;
	pt->generation++;
	return 0;
}

int pagetable_share(const struct pagetable *master, struct pagetable *child, void *context)
{
	int result;

	*child = (struct pagetable){0};
	if (!master->frozen)
		return -EINVAL;
	result = create(child, master->ops, context);
	if (result)
		return result;
	memcpy(child->ops->entries(context, child->root),
	       master->ops->entries(master->context, master->root), PAGE_SIZE);
	return 0;
}

/* Rejoining */

/* What the processor writes to an entry. */
#define MARKS (PTE_ACCESSED | PTE_DIRTY)

struct rejoin {
	struct pagetable *pt;
	const struct pagetable *master;
	uint64_t keep;
	bool apply;   /* else only counts */
	size_t moves; /* tables that stay, change and are stale */
	bool changed;
	struct reserve reserve; /* for them */
};

/* A table at its place: `inherited` is the entry of the level above that the master has for it. */
struct place {
	gpa_t table;
	uint64_t inherited;
	uint64_t address;
	unsigned level;
};

/* What a child that never wrote has in an entry of the table. */
static uint64_t inherited_entry(const struct rejoin *rejoin, const struct place *place, unsigned index)
{
	const struct pagetable *master = rejoin->master;

	if (!(place->inherited & PTE_PRESENT))
		return 0;
	if (place->inherited & PTE_LARGE)
		return leaf_entry(leaf_frame(place->inherited, MAPPING_2M) + index * PAGE_SIZE,
		                  leaf_flags(place->inherited), MAPPING_4K);
	return master->ops->entries(master->context, link_table(place->inherited))[index];
}

static bool is_kept(const struct rejoin *rejoin, const struct place *place)
{
	return place->level == PAGETABLE_ROOT_LEVEL ||
	       (place->address ^ rejoin->keep) < mapping_length(place->level + 1);
}

static uint64_t rejoin_table(struct rejoin *rejoin, const struct place *place);

/* Fills in what the entries will be; true when all are the master's. */
static bool rejoin_entries(struct rejoin *rejoin, const struct place *place,
                           uint64_t after[PAGETABLE_ENTRIES])
{
	const struct pagetable *pt = rejoin->pt;
	const uint64_t *entries = pt->ops->entries(pt->context, place->table);
	bool same = true;

	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		struct place below = {.table = link_table(entries[i]),
		                      .inherited = inherited_entry(rejoin, place, i),
		                      .address = place->address + i * mapping_length(place->level),
		                      .level = place->level - 1};

		after[i] = entries[i];
		if (place->level > MAPPING_4K && is_owned_link(pt, entries[i]))
			after[i] = rejoin_table(rejoin, &below);
		if ((after[i] ^ below.inherited) & ~MARKS)
			same = false;
	}
	return same;
}

/* Where a table is whose entries will differ from what they are. */
static gpa_t rejoin_target(struct rejoin *rejoin, gpa_t table)
{
	const struct pagetable *pt = rejoin->pt;
	gpa_t target;

	rejoin->changed = true;
	if (!is_stale(pt, table))
		return table;
	rejoin->moves++;
	/* Only counted: it will be somewhere else. */
	if (!rejoin->apply)
		return gpa(0);
	target = take_reserved(&rejoin->reserve);
	pt->ops->release(pt->context, table);
	return target;
}

/* Returns the entry that leads to what takes the table's place. */
static uint64_t rejoin_table(struct rejoin *rejoin, const struct place *place)
{
	const struct pagetable *pt = rejoin->pt;
	uint64_t *entries = pt->ops->entries(pt->context, place->table);
	uint64_t after[PAGETABLE_ENTRIES];
	gpa_t target;

	if (rejoin_entries(rejoin, place, after) && !is_kept(rejoin, place)) {
		if (rejoin->apply)
			pt->ops->release(pt->context, place->table);
		return place->inherited;
	}
	if (memcmp(entries, after, PAGE_SIZE) == 0)
		return place->table.value | LINK_OWNED;
	target = rejoin_target(rejoin, place->table);
	if (rejoin->apply)
		memcpy(pt->ops->entries(pt->context, target), after, PAGE_SIZE);
	return target.value | LINK_OWNED;
}

static uint64_t rejoin_root(struct rejoin *rejoin)
{
	const struct place root = {.table = rejoin->pt->root,
	                           .inherited = rejoin->master->root.value | LINK_OWNED,
	                           .level = PAGETABLE_ROOT_LEVEL};

	return rejoin_table(rejoin, &root);
}

static int reserve_moves(struct rejoin *rejoin)
{
	struct pagetable *pt = rejoin->pt;
	int result = 0;

	pt->passing = rejoin->moves;
	while (result == 0 && rejoin->reserve.count < rejoin->moves)
		result = reserve_frame(&rejoin->reserve);
	pt->passing = 0;
	if (result)
		release_reserved(&rejoin->reserve);
	return result;
}

int pagetable_rejoin(struct pagetable *pt, const struct pagetable *master, gva_t keep)
{
	struct rejoin rejoin = {.pt = pt, .master = master, .keep = keep.value, .reserve = {.pt = pt}};
	int result;

	if (!pt->ops || !master->frozen)
		return -EINVAL;
	if (pt->frozen)
		return -EROFS;
	rejoin_root(&rejoin);
	if (!rejoin.changed)
		return 0;
	result = reserve_moves(&rejoin);
	if (result)
		return result;
	rejoin.apply = true;
	pt->root = link_table(rejoin_root(&rejoin));
	pt->generation++;
	return 0;
}

/* Verbatim root entries */

static bool root_entry_valid(uint64_t entry)
{
	return entry == 0 || ((entry & PTE_PRESENT) && !(entry & ~ROOT_ENTRY_BITS));
}

int pagetable_set_root_entry(struct pagetable *pt, unsigned index, uint64_t entry)
{
	uint64_t address = (uint64_t)index << 39;
	uint64_t old;
	int result;

	if (!pt->ops || index >= PAGETABLE_ENTRIES || !root_entry_valid(entry))
		return -EINVAL;
	if (pt->frozen)
		return -EROFS;
	if (entry)
		entry |= LINK_VERBATIM;
	old = *entry_at(pt, pt->root, address, PAGETABLE_ROOT_LEVEL);
	if ((old & PTE_PRESENT) && !(old & LINK_VERBATIM))
		return -EEXIST;
	if (old == entry)
		return 0;
	result = make_path(pt, address, PAGETABLE_ROOT_LEVEL, old & PTE_PRESENT);
	if (result)
		return result;
	*entry_at(pt, pt->root, address, PAGETABLE_ROOT_LEVEL) = entry;
	if (old)
		pt->generation++;
	return 0;
}

uint64_t pagetable_root_entry(const struct pagetable *pt, unsigned index)
{
	if (!pt->ops || index >= PAGETABLE_ENTRIES)
		return 0;
	return pt->ops->entries(pt->context, pt->root)[index] & ~SOFTWARE_BITS;
}
