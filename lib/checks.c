/* SPDX-License-Identifier: MIT */
/*
 * The checks of the checked build; see checks.h. What an entry may be is taken
 * from what pagetable.h says, not from what pagetable.c does: the walk below
 * shares no code with it but for reading a leaf of a master.
 */
#include "checks.h"

#include "layout.h"
#include "machine.h"
#include "space.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Links, as pagetable.h has them. */
#define LINK_OWNED (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)
#define LINK_SHARED ((LINK_OWNED & ~PTE_WRITE) | PTE_SOFTWARE_1)
#define LINK_FOREIGN (LINK_SHARED | PTE_SOFTWARE_2)
#define LINK_VERBATIM PTE_SOFTWARE_3

#define LEAF_COPY_ON_WRITE PTE_SOFTWARE_2
#define LEAF_BORROWED PTE_SOFTWARE_3
#define LEAF_BITS                                                                                  \
	(PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_NO_EXECUTE |          \
	 PTE_ADDRESS | LEAF_COPY_ON_WRITE | LEAF_BORROWED)

/* Owner of the kernel's tables; no space has this serial. */
#define KERNEL_OWNER UINT64_MAX

/* What one operation may cost: frozen frames that are looked at, steps to find them. */
#define FROZEN_FRAMES 4u
#define FROZEN_STEPS 64u
/* Units of work, each about a table's, that looking at everything may add to an operation. */
#define SHARE_OF_ALL 16u
#define FRAMES_A_UNIT 8u
#define FREE_A_UNIT 512u
#define KERNEL_UNITS 16u
/* Tables that are looked at for an operation, if there are more: taken over some. */
#define SHARE_OF_SPACE 32u

struct checks {
	pthread_mutex_t lock; /* recursive: operations use each other */
	unsigned depth;
	bool over; /* the master is gone */
	struct space *spaces;
	uint64_t operations, next_all;
	uint64_t walk;  /* number of the one at hand */
	uint64_t units; /* of work, of the look at everything at hand */
	uint64_t kernel_frames, kernel_tables;
	uint64_t kernel_code; /* a hash */
	uint32_t cursor;      /* among frames: the next to look at whether it is unchanged */
	/* By number of the frame; hashes are 0 where nothing is frozen. */
	uint64_t *frame_hash, *frame_walk;
	uint64_t *table_owner, *table_hash, *table_walk;
	size_t bytes; /* of these */
};

/* Saying it. */

static void describe_frame(const struct memory *memory, const struct checks *checks, gpa_t frame,
                           char *text, size_t size)
{
	uint64_t table = (frame.value - memory->tables.base) >> PAGE_SHIFT;

	if (memory_is_data(memory, frame, 1))
		snprintf(text, size, ", owner %" PRIu64, memory_frame(memory, frame)->owner);
	else if (memory_table(memory, gpa(align_down(frame.value, PAGE_SIZE))) != NULL)
		snprintf(text, size, ", a table, owner %" PRId64,
		         (int64_t)checks->table_owner[table]);
	else
		text[0] = '\0';
}

void checks_violation(const struct space *space, gva_t va, gpa_t frame, const char *format, ...)
{
	char what[256], where[128] = "", owner[64] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (space != NULL) {
		snprintf(where, sizeof(where), "space %" PRIu64 ", fork of %" PRIu64 ", ",
		         space->translations.serial,
		         space->master != NULL ? space->master->translations.serial : 0);
		describe_frame(&space->machine->memory, space->machine->checks, frame, owner,
		               sizeof(owner));
	}
	fprintf(stderr,
	        "kvmsandbox: isolation is broken: %s (%saddress %#" PRIx64 ", frame %#" PRIx64
	        "%s)\n",
	        what, where, va.value, frame.value, owner);
	abort();
}

/* Contents. */

/* Never 0. */
static uint64_t hash_page(const uint64_t *words, uint64_t ignored)
{
	uint64_t hash = 1;

	for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i++) {
		hash = (hash ^ (words[i] & ~ignored)) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash | 1;
}

/* Processors may set these, if they are not set from the start. */
static uint64_t hash_table(const struct memory *memory, gpa_t table)
{
	return hash_page(memory_table(memory, table), PTE_ACCESSED | PTE_DIRTY);
}

static void check_unchanged(const struct space *space, gva_t va, gpa_t frame)
{
	const struct memory *memory = &space->machine->memory;
	uint64_t hash = space->machine->checks->frame_hash[window_number(&memory->data, frame)];

	if (hash != 0 && hash != hash_page(memory_data(memory, frame), 0))
		checks_violation(space, va, frame, "a page of a frozen master has changed");
}

/* The walk of one space. */

struct walk {
	const struct space *space;
	struct checks *checks;
	uint64_t frames, tables; /* of its own, found */
};

/* One entry of one of its tables. */
struct place {
	uint64_t entry;
	uint64_t address; /* that it translates first */
	uint64_t master;  /* the master's entry in a table of this level; 0: none */
	unsigned level;
};

__attribute__((noreturn)) static void wrong(const struct walk *walk, const struct place *place,
                                            const char *what)
{
	checks_violation(walk->space, gva(place->address), gpa(place->entry & PTE_ADDRESS),
	                 "%s: level %u, entry %#" PRIx64, what, place->level, place->entry);
}

enum reach {
	REACH_NOT,
	REACH_READ,
	REACH_WRITE
};

/* Forks share it where they only read, and their master has nothing. */
static bool is_zero_frame(const struct space *space, gpa_t frame)
{
	return space->master != NULL && frame.value == space->machine->zero_frame.value;
}

/* All may read them; nobody but the host writes the first. */
static bool is_clock_frame(const struct space *space, gpa_t frame)
{
	gpa_t first = space->machine->clock_frame;

	return frame.value >= first.value &&
	       frame.value < first.value + MACHINE_CLOCK_FRAMES * PAGE_SIZE;
}

/* Whether a program may reach a data frame, and how: the one place that says it. */
static enum reach reach_of(const struct space *space, gpa_t frame)
{
	const struct memory *memory = &space->machine->memory;

	if (memory_owns(memory, frame, space->translations.serial))
		return space->table.frozen ? REACH_READ : REACH_WRITE;
	if (memory_is_file(memory, frame, PAGE_SIZE))
		return REACH_READ;
	for (const struct space *above = space->master; above != NULL; above = above->master)
		if (memory_owns(memory, frame, above->translations.serial))
			return REACH_READ;
	return is_zero_frame(space, frame) || is_clock_frame(space, frame) ? REACH_READ : REACH_NOT;
}

static bool is_own(const struct space *space, gpa_t frame)
{
	return memory_owns(&space->machine->memory, frame, space->translations.serial);
}

static uint32_t flags_of(uint64_t entry)
{
	return ((entry & PTE_USER) != 0 ? MAPPING_USER : 0) |
	       ((entry & PTE_WRITE) != 0 ? MAPPING_WRITE : 0) |
	       ((entry & PTE_NO_EXECUTE) == 0 ? MAPPING_EXECUTE : 0) |
	       ((entry & LEAF_COPY_ON_WRITE) != 0 ? MAPPING_COPY_ON_WRITE : 0) |
	       ((entry & LEAF_BORROWED) != 0 ? MAPPING_BORROWED : 0);
}

/* The flags that the first write gives a page of the master's. */
static uint32_t flags_of_copy(uint32_t flags)
{
	return (flags & (MAPPING_USER | MAPPING_EXECUTE)) |
	       ((flags & MAPPING_COPY_ON_WRITE) != 0 ? MAPPING_WRITE : 0);
}

static struct mapping mapping_of(uint64_t entry, unsigned level)
{
	return (struct mapping){
		.frame = gpa(align_down(entry & PTE_ADDRESS, mapping_length(level))),
		.level = level,
		.flags = flags_of(entry),
	};
}

/* What the master has at the page; false: nothing. */
static bool masters_page(const struct space *space, const struct place *place, gva_t page,
                         struct mapping *mapping)
{
	if (place->level != MAPPING_4K || (place->master & PTE_PRESENT) == 0)
		return pagetable_lookup(&space->master->table, page, mapping) == 0;
	*mapping = mapping_of(place->master, MAPPING_4K);
	return true;
}

/*
 * In a fork that a reset would not build anew, nothing differs from its master
 * but what was written and what came where nothing was.
 */
static void check_against_master(const struct walk *walk, const struct place *place, gva_t page,
                                 gpa_t frame)
{
	const struct space *space = walk->space;
	const struct memory *memory = &space->machine->memory;
	struct mapping mapping;
	gpa_t source = gpa(0);

	if (masters_page(space, place, page, &mapping)) {
		source = mapping_translate(&mapping, page);
		if (!is_own(space, frame) && source.value != frame.value)
			wrong(walk, place, "not the page that the master has there");
		if (flags_of(place->entry) !=
		    (is_own(space, frame) ? flags_of_copy(mapping.flags) : mapping.flags))
			wrong(walk, place, "not the master's permissions");
	} else if (!is_own(space, frame) && !is_zero_frame(space, frame) &&
	           !memory_is_file(memory, frame, PAGE_SIZE)) {
		wrong(walk, place, "a page of the master's where it has none");
	}
	if (is_own(space, frame) && memory_frame(memory, frame)->source != source.value)
		wrong(walk, place, "a page would be restored from another one of the master's");
}

static void check_own_frame(struct walk *walk, const struct place *place, gva_t page, gpa_t frame)
{
	const struct memory *memory = &walk->space->machine->memory;
	uint64_t *last_walk = &walk->checks->frame_walk[window_number(&memory->data, frame)];

	if (*last_walk == walk->checks->walk)
		wrong(walk, place, "a frame is mapped twice");
	*last_walk = walk->checks->walk;
	walk->frames++;
	if (!walk->space->rebuild && memory_frame(memory, frame)->page != page.value)
		wrong(walk, place, "a frame is not mapped where its descriptor says");
}

static void check_frame(struct walk *walk, const struct place *place, gva_t page, gpa_t frame)
{
	const struct space *space = walk->space;
	enum reach reach = reach_of(space, frame);
	bool borrowed = (place->entry & LEAF_BORROWED) != 0;

	if (reach == REACH_NOT)
		wrong(walk, place, "a sandbox reaches a frame that is not its own");
	if (reach == REACH_READ && (place->entry & PTE_WRITE) != 0)
		wrong(walk, place, "a sandbox can write to a frame that others have");
	if (memory_is_file(&space->machine->memory, frame, PAGE_SIZE) &&
	    (place->entry & LEAF_COPY_ON_WRITE) != 0)
		wrong(walk, place, "a write would have the host copy a file's page");
	if (borrowed != (reach == REACH_READ))
		wrong(walk, place, "a leaf is marked as borrowed where it is not, or the other way");
	if (is_own(space, frame))
		check_own_frame(walk, place, page, frame);
	if (space->master != NULL && !space->rebuild)
		check_against_master(walk, place, page, frame);
}

static void check_leaf_bits(const struct walk *walk, const struct place *place)
{
	uint64_t known = LEAF_BITS | (place->level == MAPPING_2M ? PTE_LARGE : 0);
	uint64_t entry = place->entry;

	if (place->level > MAPPING_2M || (entry & ~known) != 0 || (entry & PTE_ACCESSED) == 0)
		wrong(walk, place, "a leaf of bits that none has");
	if ((entry & PTE_WRITE) != 0 && (entry & (LEAF_COPY_ON_WRITE | LEAF_BORROWED)) != 0)
		wrong(walk, place, "a leaf is writable although others have its frame");
	if ((entry & LEAF_COPY_ON_WRITE) != 0 && (entry & LEAF_BORROWED) == 0)
		wrong(walk, place, "a leaf is to be copied although nobody else has its frame");
	if ((entry & PTE_DIRTY) != 0 && (entry & PTE_WRITE) == 0)
		wrong(walk, place, "a leaf is dirty although it is not writable");
}

static void check_leaf(struct walk *walk, const struct place *place)
{
	const struct memory *memory = &walk->space->machine->memory;
	uint64_t length = mapping_length(place->level);
	gpa_t first = gpa(place->entry & PTE_ADDRESS);

	check_leaf_bits(walk, place);
	if (!range_within(place->address, length, LAYOUT_USER_END))
		wrong(walk, place, "a page outside of the program's part");
	if (!is_aligned(first.value, length) ||
	    (!memory_is_data(memory, first, length) && !memory_is_file(memory, first, length)))
		wrong(walk, place, "a leaf leads out of data memory and files");
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE)
		check_frame(walk, place, gva(place->address + offset), gpa(first.value + offset));
}

static unsigned index_at(uint64_t address, unsigned level)
{
	return (unsigned)(address >> (PAGE_SHIFT + 9 * (level - 1))) & (PAGETABLE_ENTRIES - 1);
}

/* The master's table of this level that translates the address; NULL: it has none. */
static const uint64_t *master_table(const struct space *space, uint64_t address, unsigned level)
{
	const struct memory *memory = &space->machine->memory;
	const uint64_t *entries = memory_table(memory, space->master->table.root);

	for (unsigned above = PAGETABLE_ROOT_LEVEL; entries != NULL && above > level; above--) {
		uint64_t entry = entries[index_at(address, above)];

		if ((entry & PTE_PRESENT) == 0 || (entry & PTE_LARGE) != 0)
			return NULL;
		entries = memory_table(memory, gpa(entry & PTE_ADDRESS));
	}
	return entries;
}

/* What lies behind such a link is checked where the master is. */
static void check_shared_link(const struct walk *walk, const struct place *place)
{
	if ((place->master & PTE_PRESENT) == 0 ||
	    ((place->master ^ place->entry) & (PTE_ADDRESS | PTE_LARGE)) != 0)
		wrong(walk, place, "a shared link leads elsewhere than the master's");
}

static void walk_table(struct walk *walk, gpa_t table, unsigned level, uint64_t address);

static void check_link(struct walk *walk, const struct place *place)
{
	bool frozen = walk->space->table.frozen;
	uint64_t bits = place->entry & ~PTE_ADDRESS;

	if (bits == (frozen ? LINK_SHARED : LINK_OWNED))
		walk_table(walk, gpa(place->entry & PTE_ADDRESS), place->level - 1, place->address);
	else if (bits == (frozen ? LINK_FOREIGN : LINK_SHARED))
		check_shared_link(walk, place);
	else
		wrong(walk, place, "a link of bits that none has");
}

static bool is_window(const struct place *place)
{
	unsigned index = index_at(place->address, PAGETABLE_ROOT_LEVEL);

	return place->level == PAGETABLE_ROOT_LEVEL &&
	       (index == LAYOUT_ENTRY_INDEX || index == LAYOUT_KERNEL_INDEX);
}

static void check_window(const struct walk *walk, const struct place *place)
{
	const struct pagetable *kernel = &walk->space->machine->kernel_table;
	unsigned index = index_at(place->address, PAGETABLE_ROOT_LEVEL);

	if (place->entry != (pagetable_root_entry(kernel, index) | LINK_VERBATIM))
		wrong(walk, place, "a window is not the machine's");
}

static void check_absent(const struct walk *walk, const struct place *place)
{
	if (place->entry != 0)
		wrong(walk, place, "bits in an entry that is not present");
	if ((place->master & PTE_PRESENT) != 0 && !walk->space->rebuild)
		wrong(walk, place, "what the master has is missing");
}

static void check_entry(struct walk *walk, const struct place *place)
{
	if (is_window(place))
		check_window(walk, place);
	else if ((place->entry & PTE_PRESENT) == 0)
		check_absent(walk, place);
	else if (place->level == MAPPING_4K || (place->entry & PTE_LARGE) != 0)
		check_leaf(walk, place);
	else
		check_link(walk, place);
}

/* The table's entries, once it is known to be the space's own and met for the first time. */
static const uint64_t *claim_table(struct walk *walk, gpa_t table, uint64_t address)
{
	const struct memory *memory = &walk->space->machine->memory;
	const uint64_t *entries = memory_table(memory, table);
	uint32_t number = window_number(&memory->tables, table);

	if (entries == NULL)
		checks_violation(walk->space, gva(address), table,
		                 "a link leads out of the memory of tables");
	if (walk->checks->table_owner[number] != walk->space->translations.serial)
		checks_violation(walk->space, gva(address), table, "a table is not the space's own");
	if (walk->checks->table_walk[number] == walk->checks->walk)
		checks_violation(walk->space, gva(address), table, "a table is linked twice");
	walk->checks->table_walk[number] = walk->checks->walk;
	walk->tables++;
	if (walk->space->table.frozen && walk->checks->table_hash[number] != hash_table(memory, table))
		checks_violation(walk->space, gva(address), table,
		                 "a table of a frozen master has changed");
	return entries;
}

/* Addresses of the upper half are of the form that pagetable.h has. */
static uint64_t address_of_entry(uint64_t table_address, unsigned level, unsigned index)
{
	uint64_t address = table_address + index * mapping_length(level);

	return (address >> 47) != 0 ? address | ~((UINT64_C(1) << 47) - 1) : address;
}

static void walk_table(struct walk *walk, gpa_t table, unsigned level, uint64_t address)
{
	const uint64_t *entries = claim_table(walk, table, address);
	const uint64_t *masters = walk->space->master != NULL
	                                  ? master_table(walk->space, address, level)
	                                  : NULL;

	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		const struct place place = {.entry = entries[i],
		                            .address = address_of_entry(address, level, i),
		                            .master = masters != NULL ? masters[i] : 0,
		                            .level = level};

		/* Most are: this is what a walk takes its time for. */
		if ((place.entry | place.master) != 0 || level == PAGETABLE_ROOT_LEVEL)
			check_entry(walk, &place);
	}
}

/* The list of its frames. */

static void check_listed(const struct walk *walk, uint32_t number, uint32_t previous)
{
	const struct space *space = walk->space;
	const struct memory *memory = &space->machine->memory;
	gpa_t frame = window_frame(&memory->data, number);
	const struct frame *listed = memory_frame(memory, frame);
	gva_t page = gva(listed->page);

	if (listed->owner != space->translations.serial)
		checks_violation(space, page, frame,
		                 "a frame in the list of a space that is not its owner");
	if (listed->previous != previous)
		checks_violation(space, page, frame, "a list of frames is broken");
	if (walk->checks->frame_walk[number] != walk->checks->walk)
		checks_violation(space, page, frame, "a frame of a space that nothing leads to");
	if (listed->source != 0 && (!memory_is_data(memory, gpa(listed->source), PAGE_SIZE) ||
	                            reach_of(space, gpa(listed->source)) != REACH_READ))
		checks_violation(space, page, frame,
		                 "a copy of what is not the master's: %#" PRIx64, listed->source);
}

static void check_list(const struct walk *walk)
{
	const struct space *space = walk->space;
	const struct memory *memory = &space->machine->memory;
	uint32_t previous = FRAME_NONE;
	uint64_t count = 0;

	for (uint32_t number = space->first_frame; number != FRAME_NONE;
	     number = memory->frames[number].next) {
		if (number >= memory->data.used >> PAGE_SHIFT || count == space->frame_count)
			checks_violation(space, gva(0), window_frame(&memory->data, number),
			                 "a list of frames is broken");
		check_listed(walk, number, previous);
		previous = number;
		count++;
	}
	if (count != space->frame_count || walk->frames != count)
		checks_violation(space, gva(0), gpa(0),
		                 "%" PRIu64 " frames are mapped, %" PRIu64 " listed, %" PRIu64
		                 " counted",
		                 walk->frames, count, space->frame_count);
}

static void check_space(struct checks *checks, struct space *space)
{
	struct walk walk = {.space = space, .checks = checks};

	checks->walk++;
	/* None: a reset that failed left nothing. */
	if (space->table.ops != NULL)
		walk_table(&walk, space->table.root, PAGETABLE_ROOT_LEVEL, 0);
	if (walk.tables != space->table_count)
		checks_violation(space, gva(0), space->table.root,
		                 "%" PRIu64 " tables are linked, %" PRIu64 " counted", walk.tables,
		                 space->table_count);
	check_list(&walk);
	space->checked.map_checked = false;
	space->checked.skip = walk.tables / SHARE_OF_SPACE;
	checks->units += walk.tables + walk.frames / FRAMES_A_UNIT;
}

static void check_sometimes(struct checks *checks, struct space *space)
{
	if (space->checked.skip > 0)
		space->checked.skip--;
	else
		check_space(checks, space);
}

/* Every private page is what a new fork would see there. */
static void check_contents(struct checks *checks, const struct space *space)
{
	static const uint8_t zeros[PAGE_SIZE];
	const struct memory *memory = &space->machine->memory;
	const struct frame *own;

	for (uint32_t number = space->first_frame; number != FRAME_NONE; number = own->next) {
		gpa_t frame = window_frame(&memory->data, number);
		const void *wanted = zeros;

		own = &memory->frames[number];
		if (own->fate == FRAME_TAKEN)
			checks_violation(space, gva(own->page), frame,
			                 "a page that a new fork does not have");
		if (own->fate == FRAME_KEPT)
			continue;
		if (own->source != 0) {
			check_unchanged(space, gva(own->page), gpa(own->source));
			wanted = memory_data(memory, gpa(own->source));
		}
		if (memcmp(memory_data(memory, frame), wanted, PAGE_SIZE) != 0)
			checks_violation(space, gva(own->page), frame,
			                 "a page is not what it is in a new fork");
		checks->units++;
	}
}

/* Leaves in tables that a check was satisfied with: effective permissions are their own. */
static void visit_leaves(const struct memory *memory, gpa_t table, unsigned level, uint64_t address,
                         pagetable_visit_fn *visit, void *context)
{
	const uint64_t *entries = memory_table(memory, table);

	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		uint64_t entry = entries[i], at = address_of_entry(address, level, i);
		struct mapping mapping;

		if ((entry & PTE_PRESENT) == 0)
			continue;
		if (level == MAPPING_4K || (entry & PTE_LARGE) != 0) {
			mapping = mapping_of(entry, level);
			visit(context, gva(at), &mapping);
		} else if (level < PAGETABLE_ROOT_LEVEL || (entry & LINK_VERBATIM) == 0) {
			visit_leaves(memory, gpa(entry & PTE_ADDRESS), level - 1, at, visit, context);
		}
	}
}

void checks_visit_leaves(const struct space *space, pagetable_visit_fn *visit, void *context)
{
	visit_leaves(&space->machine->memory, space->table.root, PAGETABLE_ROOT_LEVEL, 0, visit,
	             context);
}

/* The kernel's part. */

struct kernel_walk {
	struct machine *machine;
	uint64_t code; /* a hash */
};

static int check_kernel_leaf(void *context, gva_t address, const struct mapping *mapping)
{
	struct kernel_walk *walk = context;
	const struct memory *memory = &walk->machine->memory;
	bool user = (mapping->flags & MAPPING_USER) != 0;
	bool write = (mapping->flags & MAPPING_WRITE) != 0;
	bool execute = (mapping->flags & MAPPING_EXECUTE) != 0;

	if (user != (address.value < LAYOUT_KERNEL))
		checks_violation(NULL, address, mapping->frame, "a page of the %s",
		                 user ? "kernel is open to programs" : "entry window is closed");
	if (write && (user || execute))
		checks_violation(NULL, address, mapping->frame, "a page of the %s is writable",
		                 user ? "entry window" : "kernel's code");
	if (mapping->level != MAPPING_4K || !memory_is_data(memory, mapping->frame, PAGE_SIZE) ||
	    memory_frame(memory, mapping->frame)->owner != 0)
		checks_violation(NULL, address, mapping->frame,
		                 "a frame of the kernel is not its own");
	/* What programs only read is data of the library: the state that calls start with. */
	if (execute || (!user && !write))
		walk->code = (walk->code ^ hash_page(memory_data(memory, mapping->frame), 0)) *
		             UINT64_C(0x9e3779b97f4a7c15);
	return 0;
}

static uint64_t walk_kernel(struct machine *machine)
{
	struct kernel_walk walk = {.machine = machine};

	visit_leaves(&machine->memory, machine->kernel_table.root, PAGETABLE_ROOT_LEVEL, 0,
	             check_kernel_leaf, &walk);
	return walk.code;
}

static int check_kernel_table(void *context, gpa_t table, unsigned level)
{
	const struct machine *machine = context;
	const struct checks *checks = machine->checks;
	uint32_t number = window_number(&machine->memory.tables, table);

	(void)level;
	if (checks->table_owner[number] != KERNEL_OWNER ||
	    checks->table_hash[number] != hash_table(&machine->memory, table))
		checks_violation(NULL, gva(LAYOUT_KERNEL), table,
		                 "a table of the kernel has changed");
	return 0;
}

static int adopt_kernel_table(void *context, gpa_t table, unsigned level)
{
	const struct machine *machine = context;
	struct checks *checks = machine->checks;
	uint32_t number = window_number(&machine->memory.tables, table);

	(void)level;
	checks->table_owner[number] = KERNEL_OWNER;
	checks->table_hash[number] = hash_table(&machine->memory, table);
	return 0;
}

static void check_kernel(struct machine *machine)
{
	uint64_t code = walk_kernel(machine);

	pagetable_visit_tables(&machine->kernel_table, check_kernel_table, machine);
	if (code != machine->checks->kernel_code)
		checks_violation(NULL, gva(LAYOUT_KERNEL), gpa(0), "the kernel's code has changed");
	machine->checks->units += KERNEL_UNITS;
}

/* The machine's memory. */

static void check_free_frames(struct checks *checks, const struct memory *memory)
{
	checks->walk++;
	for (uint32_t i = 0; i < memory->data.free_count; i++) {
		uint32_t number = memory->data.free[i];

		if (number >= memory->data.used >> PAGE_SHIFT ||
		    memory->frames[number].owner != 0 || checks->frame_walk[number] == checks->walk)
			checks_violation(NULL, gva(0), window_frame(&memory->data, number),
			                 "a free frame has an owner, or is free twice");
		checks->frame_walk[number] = checks->walk;
	}
	checks->units += memory->data.free_count / FREE_A_UNIT;
}

static void check_free_table(struct checks *checks, const struct memory *memory, uint32_t number)
{
	if (number >= memory->tables.used >> PAGE_SHIFT || checks->table_owner[number] != 0 ||
	    checks->table_walk[number] == checks->walk)
		checks_violation(NULL, gva(0),
		                 gpa(memory->tables.base + ((uint64_t)number << PAGE_SHIFT)),
		                 "a free table has an owner, or is free twice");
	checks->table_walk[number] = checks->walk;
}

static void check_free_tables(struct checks *checks, const struct memory *memory)
{
	checks->walk++;
	for (uint32_t i = 0; i < memory->tables.free_count; i++)
		check_free_table(checks, memory, memory->tables.free[i]);
	for (uint32_t i = 0; i < memory->quarantine_count; i++)
		check_free_table(checks, memory, memory->quarantine[i]);
	checks->units += memory->tables.free_count / FREE_A_UNIT;
}

static void check_sums(const struct checks *checks, const struct memory *memory)
{
	uint64_t frames = checks->kernel_frames;
	uint64_t tables = checks->kernel_tables + memory->quarantine_count;

	for (const struct space *space = checks->spaces; space != NULL; space = space->checked.next) {
		frames += space->frame_count;
		tables += space->table_count;
	}
	if (frames != memory->frames_in_use || tables != memory->tables_in_use)
		checks_violation(NULL, gva(0), gpa(0),
		                 "%" PRIu64 " frames and %" PRIu64 " tables are owned, %" PRIu64
		                 " and %" PRIu64 " in use",
		                 frames, tables, memory->frames_in_use, memory->tables_in_use);
}

static void check_all(struct machine *machine)
{
	struct checks *checks = machine->checks;

	checks->units = 0;
	for (struct space *space = checks->spaces; space != NULL; space = space->checked.next) {
		check_space(checks, space);
		if (space->checked.idle)
			check_contents(checks, space);
	}
	check_kernel(machine);
	pthread_mutex_lock(&machine->memory.lock);
	check_free_frames(checks, &machine->memory);
	check_free_tables(checks, &machine->memory);
	check_sums(checks, &machine->memory);
	pthread_mutex_unlock(&machine->memory.lock);
	checks->next_all = checks->operations + 1 + checks->units / SHARE_OF_ALL;
}

static void check_some_frozen(struct machine *machine)
{
	struct checks *checks = machine->checks;
	const struct memory *memory = &machine->memory;
	unsigned checked = 0;

	for (unsigned i = 0; i < FROZEN_STEPS && checked < FROZEN_FRAMES; i++) {
		if (++checks->cursor >= memory->data.used >> PAGE_SHIFT)
			checks->cursor = 0;
		if (checks->frame_hash[checks->cursor] == 0)
			continue;
		checked++;
		if (checks->frame_hash[checks->cursor] !=
		    hash_page(memory_data(memory, window_frame(&memory->data, checks->cursor)), 0))
			checks_violation(NULL, gva(memory->frames[checks->cursor].page),
			                 window_frame(&memory->data, checks->cursor),
			                 "a page of a frozen master has changed");
	}
}

/* Life. */

static int reserve_arrays(struct checks *checks, const struct memory *memory)
{
	uint64_t frames = memory->data.reserved >> PAGE_SHIFT;
	uint64_t tables = memory->tables.reserved >> PAGE_SHIFT;
	uint64_t *array;

	checks->bytes = (2 * frames + 3 * tables) * sizeof(*array);
	array = mmap(NULL, checks->bytes, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (array == MAP_FAILED)
		return -ENOMEM;
	checks->frame_hash = array;
	checks->frame_walk = array + frames;
	checks->table_owner = array + 2 * frames;
	checks->table_hash = checks->table_owner + tables;
	checks->table_walk = checks->table_hash + tables;
	return 0;
}

static void init_lock(struct checks *checks)
{
	pthread_mutexattr_t recursive;

	/* None of these fails on Linux. */
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&checks->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
}

int checks_create(struct machine *machine)
{
	struct checks *checks = calloc(1, sizeof(*checks));
	int result;

	if (checks == NULL)
		return -ENOMEM;
	result = reserve_arrays(checks, &machine->memory);
	if (result < 0) {
		free(checks);
		return result;
	}
	init_lock(checks);
	machine->checks = checks;
	checks->kernel_frames = machine->memory.frames_in_use;
	checks->kernel_tables = machine->memory.tables_in_use;
	checks->kernel_code = walk_kernel(machine);
	pagetable_visit_tables(&machine->kernel_table, adopt_kernel_table, machine);
	return 0;
}

void checks_destroy(struct machine *machine)
{
	struct checks *checks = machine->checks;

	if (checks == NULL)
		return;
	/* In a forked child another thread's hold on it would never end. */
	if (machine_is_ours(machine))
		pthread_mutex_destroy(&checks->lock);
	munmap(checks->frame_hash, checks->bytes);
	free(checks);
	machine->checks = NULL;
}

/* Tests of single layers have machines without. */
static bool is_checked(const struct machine *machine)
{
	return machine->checks != NULL && machine_is_ours(machine);
}

struct checks_operation checks_operation_begin(struct machine *machine, struct space *space)
{
	if (!is_checked(machine))
		return (struct checks_operation){0};
	pthread_mutex_lock(&machine->checks->lock);
	machine->checks->depth++;
	return (struct checks_operation){.machine = machine, .space = space};
}

void checks_operation_end(struct checks_operation *operation)
{
	struct machine *machine = operation->machine;
	struct checks *checks;

	if (machine == NULL)
		return;
	checks = machine->checks;
	if (--checks->depth == 0 && !checks->over) {
		if (operation->space != NULL)
			check_sometimes(checks, operation->space);
		check_some_frozen(machine);
		if (++checks->operations >= checks->next_all)
			check_all(machine);
	}
	pthread_mutex_unlock(&checks->lock);
}

void checks_entry(struct space *space)
{
	struct checks *checks = space->machine->checks;

	if (!is_checked(space->machine))
		return;
	pthread_mutex_lock(&checks->lock);
	check_sometimes(checks, space);
	pthread_mutex_unlock(&checks->lock);
}

void checks_made(struct space *space)
{
	struct checks *checks = space->machine->checks;

	if (!is_checked(space->machine))
		return;
	space->checked.next = checks->spaces;
	space->checked.link = &checks->spaces;
	if (checks->spaces != NULL)
		checks->spaces->checked.link = &space->checked.next;
	checks->spaces = space;
	checks_fresh(space);
}

static int hash_frozen_table(void *context, gpa_t table, unsigned level)
{
	const struct space *space = context;
	const struct memory *memory = &space->machine->memory;

	(void)level;
	space->machine->checks->table_hash[window_number(&memory->tables, table)] = hash_table(
		memory, table);
	return 0;
}

void checks_frozen(struct space *space)
{
	const struct memory *memory = &space->machine->memory;

	if (!is_checked(space->machine))
		return;
	for (uint32_t number = space->first_frame; number != FRAME_NONE;
	     number = memory->frames[number].next)
		space->machine->checks->frame_hash[number] = hash_page(
			memory_data(memory, window_frame(&memory->data, number)), 0);
	pagetable_visit_tables(&space->table, hash_frozen_table, space);
}

void checks_fresh(struct space *space)
{
	struct checks *checks = space->machine->checks;

	if (!is_checked(space->machine))
		return;
	check_space(checks, space);
	check_contents(checks, space);
}

void checks_kept(struct space *space, bool idle)
{
	if (!is_checked(space->machine))
		return;
	space->checked.idle = idle;
	checks_fresh(space);
}

static void check_end(struct machine *machine, const struct space *master)
{
	const struct memory *memory = &machine->memory;

	check_all(machine);
	for (uint32_t number = master->first_frame; number != FRAME_NONE;
	     number = memory->frames[number].next)
		check_unchanged(master, gva(memory->frames[number].page),
		                window_frame(&memory->data, number));
	machine->checks->over = true;
}

void checks_gone(struct space *space)
{
	struct checks *checks = space->machine->checks;

	if (!is_checked(space->machine) || space->checked.link == NULL)
		return;
	if (!checks->over)
		check_space(checks, space);
	if (space->master == NULL && !checks->over)
		check_end(space->machine, space);
	*space->checked.link = space->checked.next;
	if (space->checked.next != NULL)
		space->checked.next->checked.link = space->checked.link;
	space->checked.link = NULL;
}

void checks_table_taken(struct space *space, gpa_t table)
{
	struct checks *checks = space->machine->checks;
	uint64_t *owner;

	if (!is_checked(space->machine))
		return;
	owner = &checks->table_owner[window_number(&space->machine->memory.tables, table)];
	if (*owner != 0)
		checks_violation(space, gva(0), table, "a table was handed out that has an owner");
	*owner = space->translations.serial;
}

void checks_table_given(struct space *space, gpa_t table)
{
	struct checks *checks = space->machine->checks;
	uint64_t *owner;

	if (!is_checked(space->machine))
		return;
	owner = &checks->table_owner[window_number(&space->machine->memory.tables, table)];
	if (*owner != space->translations.serial)
		checks_violation(space, gva(0), table,
		                 "a table is given back by another than its owner");
	*owner = 0;
}
