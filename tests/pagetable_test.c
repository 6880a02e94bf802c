/* SPDX-License-Identifier: MIT */
/*
 * Tests of lib/pagetable.h: every documented error and behaviour one by one,
 * then long random sequences over several sharing pagetables, where after each
 * step a checker compares everything with a model: mappings in both directions,
 * ownership, a shadow MMU that never looks at a present entry twice.
 * The checker reads raw tables with bits of its own, not through the module.
 * PAGETABLE_SEED and PAGETABLE_STEPS in the environment choose another sequence.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pagetable.h"
#include "sequence.h"
#include "util.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define PAGE (4 * KIB)
#define HALF (UINT64_C(1) << 47)
#define UPPER (UINT64_MAX - HALF + 1)

/* Bits of entries, written down apart from lib/x86.h. */
#define P UINT64_C(0x1)
#define W UINT64_C(0x2)
#define U UINT64_C(0x4)
#define A UINT64_C(0x20)
#define D UINT64_C(0x40)
#define PS UINT64_C(0x80)
#define S1 UINT64_C(0x200)
#define S2 UINT64_C(0x400)
#define S3 UINT64_C(0x800)
#define NX UINT64_C(0x8000000000000000)
#define FRAME UINT64_C(0x000ffffffffff000)

#define RW (MAPPING_USER | MAPPING_WRITE)
#define COW (MAPPING_USER | MAPPING_COPY_ON_WRITE)
#define COW_SEEN (COW | MAPPING_BORROWED)
#define LARGE MAPPING_ALLOW_LARGE
#define PERMISSIONS (MAPPING_USER | MAPPING_WRITE | MAPPING_EXECUTE)

/* The machine: table frames, who has them, and what a shadow MMU cached of them. */

#define POOL_FRAMES 1024u
#define WINDOW (UINT64_C(1) << 40)
#define DATA_PAGES 4096u
#define NEVER UINT32_MAX

enum frame_state {
	FRAME_FREE,
	FRAME_USED,
	FRAME_QUARANTINED
};

struct machine {
	uint64_t real[POOL_FRAMES][512];
	uint64_t shadow[POOL_FRAMES][512]; /* present: cached; large only: a zapped large leaf */
	bool cached[POOL_FRAMES];
	unsigned cached_level[POOL_FRAMES];
	enum frame_state state[POOL_FRAMES];
	uint32_t used;
	uint32_t fail_in; /* allocations that succeed before the one that fails */
	uint32_t allocations;
	bool invalid[DATA_PAGES]; /* data frames whose translations are to be dropped */
};

/* The ops context: each pagetable has its own, so mixed-up contexts show. */
struct client {
	struct machine *machine;
	uint32_t held;
};

static uint64_t current_seed;
static unsigned current_step;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %llu step %u: %s", (unsigned long long)current_seed,        \
			         current_step, #condition);                                        \
	} while (0)

static uint32_t frame_index(gpa_t table)
{
	CHECK((table.value & (PAGE - 1)) == 0);
	CHECK(table.value >= WINDOW && table.value < WINDOW + POOL_FRAMES * PAGE);
	return (uint32_t)((table.value - WINDOW) / PAGE);
}

static gpa_t frame_address(uint32_t index)
{
	return gpa(WINDOW + index * PAGE);
}

static int allocate(void *context, gpa_t *table)
{
	struct client *client = context;
	struct machine *machine = client->machine;
	uint32_t i;

	machine->allocations++;
	if (machine->fail_in != NEVER && machine->fail_in-- == 0) {
		machine->fail_in = 0;
		return -ENOMEM;
	}
	for (i = 0; i < POOL_FRAMES && machine->state[i] != FRAME_FREE; i++)
		;
	CHECK(i < POOL_FRAMES);
	machine->state[i] = FRAME_USED;
	/* What it was before must show nowhere: present, writable and the user's. */
	memset(machine->real[i], 0xff, PAGE);
	machine->used++;
	client->held++;
	*table = frame_address(i);
	return 0;
}

static void release(void *context, gpa_t table)
{
	struct client *client = context;
	struct machine *machine = client->machine;
	uint32_t i = frame_index(table);

	CHECK(machine->state[i] == FRAME_USED);
	CHECK(client->held > 0);
	client->held--;
	machine->used--;
	machine->state[i] = machine->cached[i] ? FRAME_QUARANTINED : FRAME_FREE;
	memset(machine->real[i], 0xa5, PAGE);
}

static uint64_t *entries(void *context, gpa_t table)
{
	struct client *client = context;
	uint32_t i = frame_index(table);

	CHECK(client->machine->state[i] == FRAME_USED);
	return client->machine->real[i];
}

static bool leaf_allowed(void *context, gpa_t frame, uint64_t length)
{
	(void)context;
	return !ranges_overlap(frame.value, frame.value + length, WINDOW,
	                       WINDOW + POOL_FRAMES * PAGE);
}

static bool stale(void *context, gpa_t table)
{
	struct client *client = context;
	uint32_t i = frame_index(table);

	CHECK(client->machine->state[i] == FRAME_USED);
	return client->machine->cached[i];
}

static const struct pagetable_ops ops = {allocate, release, entries, leaf_allowed, stale};

/* The shadow MMU: what it read of a present entry it believes until told otherwise. */

static uint64_t shadow_read(struct machine *machine, uint32_t frame, unsigned index, unsigned level)
{
	uint64_t *shadow = &machine->shadow[frame][index];
	uint64_t real = machine->real[frame][index];

	CHECK(machine->state[frame] == FRAME_USED);
	if (*shadow & P)
		return *shadow;
	/* What hangs below a large leaf is kept when its translations go: it has to fit. */
	if (*shadow)
		CHECK((real & (P | PS)) == (P | PS) && ((real ^ *shadow) & FRAME) == 0);
	machine->cached[frame] = true;
	machine->cached_level[frame] = level;
	if (real & P)
		*shadow = real;
	return real;
}

/* The leaf at address with effective permissions as a processor sees it, 0 if absent. */
static uint64_t shadow_translate(struct machine *machine, gpa_t root, uint64_t address)
{
	uint64_t granted = W | U, denied = 0, entry;
	gpa_t table = root;
	unsigned level;

	for (level = 4;; level--) {
		unsigned index = (unsigned)(address >> (12 + 9 * (level - 1)) & 511);

		entry = shadow_read(machine, frame_index(table), index, level);
		if (!(entry & P))
			return 0;
		if (level == 1 || (entry & PS))
			break;
		granted &= entry;
		denied |= entry & NX;
		table = gpa(entry & FRAME);
	}
	if (level == 2)
		entry = (entry & ~PS) + (address & (2 * MIB - PAGE));
	return (entry & ~(W | U)) | (entry & granted & (W | U)) | denied;
}

static void note_invalid(struct machine *machine, uint64_t frame, uint64_t length)
{
	uint64_t page;

	for (page = frame / PAGE; page < (frame + length) / PAGE; page++) {
		CHECK(page < DATA_PAGES);
		machine->invalid[page] = true;
	}
}

static bool leaf_is_invalid(const struct machine *machine, uint64_t leaf, uint64_t pages)
{
	uint64_t page = (leaf & FRAME) / PAGE, end = page + pages;

	for (; page < end && page < DATA_PAGES; page++) {
		if (machine->invalid[page])
			return true;
	}
	return false;
}

/* Drops cached translations of the noted data frames, as an MMU notifier does. */
static void drop_invalid(struct machine *machine)
{
	uint32_t i;
	unsigned k;

	for (i = 0; i < POOL_FRAMES; i++) {
		unsigned level = machine->cached_level[i];

		for (k = 0; machine->cached[i] && level <= 2 && k < 512; k++) {
			uint64_t *entry = &machine->shadow[i][k];

			if (!(*entry & P) || (level == 2 && !(*entry & PS)))
				continue;
			if (leaf_is_invalid(machine, *entry, level == 2 ? 512 : 1))
				*entry = level == 2 ? *entry & ~P : 0;
		}
	}
	memset(machine->invalid, 0, sizeof(machine->invalid));
}

/* What a host does to make all processors forget everything. */
static void drop_shadow(struct machine *machine)
{
	uint32_t i;

	for (i = 0; i < POOL_FRAMES; i++) {
		if (machine->cached[i])
			memset(machine->shadow[i], 0, PAGE);
		machine->cached[i] = false;
		if (machine->state[i] == FRAME_QUARANTINED)
			machine->state[i] = FRAME_FREE;
	}
}

static uint64_t hash_words(uint64_t hash, const uint64_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Of all tables that exist. */
static uint64_t machine_digest(const struct machine *machine)
{
	uint64_t hash = machine->used, i;

	for (i = 0; i < POOL_FRAMES; i++) {
		if (machine->state[i] == FRAME_USED)
			hash = hash_words(hash_words(hash, &i, 1), machine->real[i], 512);
	}
	return hash;
}

/* Fixtures */

struct fixture {
	struct machine machine;
	struct client clients[3];
	struct pagetable pt, child, grandchild;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	if (!f)
		return -1;
	current_seed = 0;
	current_step = 0;
	f->machine.fail_in = NEVER;
	for (i = 0; i < ARRAY_SIZE(f->clients); i++)
		f->clients[i].machine = &f->machine;
	*state = f;
	return pagetable_create(&f->pt, &ops, &f->clients[0]);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t i;

	f->machine.fail_in = NEVER;
	pagetable_destroy(&f->grandchild);
	pagetable_destroy(&f->child);
	pagetable_destroy(&f->pt);
	for (i = 0; i < ARRAY_SIZE(f->clients); i++)
		assert_int_equal(f->clients[i].held, 0);
	assert_int_equal(f->machine.used, 0);
	free(f);
	return 0;
}

static int map(struct pagetable *pt, uint64_t address, uint64_t frame, uint64_t length, uint32_t flags)
{
	return pagetable_map(pt, gva(address), gpa(frame), length, flags);
}

static int unmap(struct pagetable *pt, uint64_t address, uint64_t length)
{
	return pagetable_unmap(pt, gva(address), length, NULL, NULL);
}

static int protect(struct pagetable *pt, uint64_t address, uint64_t length, uint32_t flags)
{
	return pagetable_protect(pt, gva(address), length, flags, NULL, NULL);
}

static int replace(struct pagetable *pt, uint64_t address, uint64_t frame, uint32_t flags)
{
	return pagetable_replace(pt, gva(address), gpa(frame), flags);
}

/* The table of a level on the way to address: raw, whoever owns it. */
static uint64_t *raw_entry(struct fixture *f, const struct pagetable *pt, uint64_t address,
                           unsigned bottom)
{
	gpa_t table = pt->root;
	unsigned level;

	for (level = 4;; level--) {
		uint64_t *entry =
			&f->machine.real[frame_index(table)][address >> (12 + 9 * (level - 1)) & 511];

		if (level == bottom)
			return entry;
		assert_true((*entry & (P | PS)) == P);
		table = gpa(*entry & FRAME);
	}
}

static void assert_mapped(const struct pagetable *pt, uint64_t address, uint64_t frame,
                          uint32_t level, uint32_t flags)
{
	struct mapping m;

	assert_int_equal(pagetable_lookup(pt, gva(address), &m), 0);
	assert_int_equal(mapping_translate(&m, gva(address)).value, frame);
	assert_int_equal(m.level, level);
	assert_int_equal(m.flags, flags);
}

static void assert_absent(const struct pagetable *pt, uint64_t address)
{
	struct mapping m;

	assert_int_equal(pagetable_lookup(pt, gva(address), &m), -ENOENT);
}

/* The shadow MMU reads the way to address, so that its tables are stale. */
static void touch(struct fixture *f, const struct pagetable *pt, uint64_t address)
{
	shadow_translate(&f->machine, pt->root, address);
}

/* Unit tests: life */

static void test_create_errors(void **state)
{
	struct fixture *f = *state;
	struct pagetable pt;
	struct pagetable_ops bad;

	memset(&pt, 0xff, sizeof(pt));
	assert_int_equal(pagetable_create(&pt, NULL, &f->clients[1]), -EINVAL);
	bad = ops;
	bad.allocate = NULL;
	assert_int_equal(pagetable_create(&pt, &bad, &f->clients[1]), -EINVAL);
	bad = ops;
	bad.release = NULL;
	assert_int_equal(pagetable_create(&pt, &bad, &f->clients[1]), -EINVAL);
	bad = ops;
	bad.entries = NULL;
	assert_int_equal(pagetable_create(&pt, &bad, &f->clients[1]), -EINVAL);
	bad = ops;
	bad.leaf_allowed = NULL;
	assert_int_equal(pagetable_create(&pt, &bad, &f->clients[1]), -EINVAL);
	memset(&pt, 0xff, sizeof(pt));
	f->machine.fail_in = 0;
	assert_int_equal(pagetable_create(&pt, &ops, &f->clients[1]), -ENOMEM);
	assert_null(pt.ops);
	pagetable_destroy(&pt);
}

static void test_destroy_accepts_nothing(void **state)
{
	struct pagetable pt = {0};

	(void)state;
	pagetable_destroy(NULL);
	pagetable_destroy(&pt);
	pagetable_destroy(&pt);
}

static int count_visit(void *context, gpa_t table, unsigned level)
{
	(void)table;
	(void)level;
	(*(unsigned *)context)++;
	return 0;
}

static int ignore_leaf(void *context, gva_t address, const struct mapping *mapping)
{
	(void)context;
	(void)address;
	(void)mapping;
	return 1;
}

static void test_not_created(void **state)
{
	struct pagetable pt = {0}, child;
	struct mapping m;
	unsigned visited = 0;

	(void)state;
	assert_int_equal(map(&pt, 0, 0, PAGE, 0), -EINVAL);
	assert_int_equal(unmap(&pt, 0, PAGE), -EINVAL);
	assert_int_equal(protect(&pt, 0, PAGE, 0), -EINVAL);
	assert_int_equal(replace(&pt, 0, 0, 0), -EINVAL);
	assert_int_equal(pagetable_own_path(&pt, gva(0)), -EINVAL);
	assert_int_equal(pagetable_lookup(&pt, gva(0), &m), -EINVAL);
	assert_int_equal(pagetable_walk(&pt, gva(0), PAGE, ignore_leaf, NULL), -EINVAL);
	assert_int_equal(pagetable_freeze(&pt), -EINVAL);
	assert_int_equal(pagetable_share(&pt, &child, NULL), -EINVAL);
	assert_null(child.ops);
	assert_int_equal(pagetable_set_root_entry(&pt, 0, 0), -EINVAL);
	assert_int_equal(pagetable_root_entry(&pt, 0), 0);
	assert_int_equal(pagetable_count_tables(&pt), 0);
	assert_int_equal(pagetable_visit_tables(&pt, count_visit, &visited), 0);
	assert_int_equal(visited, 0);
}

/* Unit tests: arguments */

static const struct {
	uint64_t address, length;
} bad_ranges[] = {
	{0, 0},
	{1, PAGE},
	{0, 1},
	{PAGE, PAGE + 8},
	{HALF, PAGE},
	{HALF - PAGE, 2 * PAGE},
	{UPPER - PAGE, PAGE},
	{UPPER - PAGE, 2 * PAGE},
	{0, HALF + PAGE},
	{0, UINT64_MAX - PAGE + 1},
	{UINT64_MAX - PAGE + 1, 2 * PAGE},
	{UPPER, HALF + PAGE},
	{UPPER, UINT64_MAX - PAGE + 1},
	{HALF - PAGE, UPPER},
};

static void test_bad_ranges(void **state)
{
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad_ranges); i++) {
		uint64_t address = bad_ranges[i].address, length = bad_ranges[i].length;

		assert_int_equal(map(&f->pt, address, 0, length, 0), -EINVAL);
		assert_int_equal(unmap(&f->pt, address, length), -EINVAL);
		assert_int_equal(protect(&f->pt, address, length, 0), -EINVAL);
		assert_int_equal(pagetable_walk(&f->pt, gva(address), length, ignore_leaf, NULL),
		                 -EINVAL);
	}
	assert_int_equal(pagetable_count_tables(&f->pt), 1);
}

static void test_bad_addresses(void **state)
{
	struct fixture *f = *state;
	const uint64_t bad[] = {1, PAGE - 1, HALF, UPPER - PAGE, HALF + 5 * PAGE};
	struct mapping m;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(replace(&f->pt, bad[i], 0, 0), -EINVAL);
		assert_int_equal(pagetable_own_path(&f->pt, gva(bad[i])), -EINVAL);
	}
	assert_int_equal(pagetable_lookup(&f->pt, gva(HALF), &m), -EINVAL);
	assert_int_equal(pagetable_lookup(&f->pt, gva(UPPER - 1), &m), -EINVAL);
	assert_int_equal(pagetable_count_tables(&f->pt), 1);
}

static void test_bad_frames(void **state)
{
	struct fixture *f = *state;
	const uint64_t limit = UINT64_C(1) << 52;

	assert_int_equal(map(&f->pt, 0, 1, PAGE, 0), -EINVAL);
	assert_int_equal(map(&f->pt, 0, limit, PAGE, 0), -EINVAL);
	assert_int_equal(map(&f->pt, 0, limit - PAGE, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(map(&f->pt, 0, UINT64_MAX - PAGE + 1, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(map(&f->pt, 0, limit - PAGE, PAGE, 0), 0);
	assert_mapped(&f->pt, 0, limit - PAGE, MAPPING_4K, 0);
	assert_int_equal(replace(&f->pt, 0, 1, 0), -EINVAL);
	assert_int_equal(replace(&f->pt, 0, limit, 0), -EINVAL);
	assert_mapped(&f->pt, 0, limit - PAGE, MAPPING_4K, 0);
}

static void test_bad_flags(void **state)
{
	struct fixture *f = *state;
	const uint32_t bad[] = {
		UINT32_C(1) << 6,
		UINT32_C(1) << 31,
		MAPPING_WRITE | MAPPING_COPY_ON_WRITE,
		MAPPING_WRITE | MAPPING_BORROWED,
	};
	size_t i;

	assert_int_equal(map(&f->pt, PAGE, 0, PAGE, RW), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(map(&f->pt, 0, 0, PAGE, bad[i]), -EINVAL);
		assert_int_equal(protect(&f->pt, PAGE, PAGE, bad[i]), -EINVAL);
		assert_int_equal(replace(&f->pt, PAGE, 0, bad[i]), -EINVAL);
	}
	assert_int_equal(protect(&f->pt, PAGE, PAGE, MAPPING_ALLOW_LARGE), -EINVAL);
	assert_int_equal(replace(&f->pt, PAGE, 0, MAPPING_ALLOW_LARGE), -EINVAL);
	assert_mapped(&f->pt, PAGE, 0, MAPPING_4K, RW);
}

static void test_table_window_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 0, WINDOW, PAGE, 0), -EPERM);
	assert_int_equal(map(&f->pt, 0, WINDOW - PAGE, 2 * PAGE, 0), -EPERM);
	assert_int_equal(map(&f->pt, 0, WINDOW - 2 * MIB, 4 * MIB, LARGE), -EPERM);
	assert_int_equal(map(&f->pt, 0, WINDOW - PAGE, PAGE, RW), 0);
	assert_int_equal(replace(&f->pt, 0, WINDOW, RW), -EPERM);
	assert_mapped(&f->pt, 0, WINDOW - PAGE, MAPPING_4K, RW);
}

/* Unit tests: mapping */

static void test_entry_bits(void **state)
{
	struct fixture *f = *state;
	unsigned level;

	assert_int_equal(map(&f->pt, 0, 0x5000, PAGE, RW), 0);
	assert_int_equal(*raw_entry(f, &f->pt, 0, 1), 0x5000 | P | W | U | A | D | NX);
	for (level = 2; level <= 4; level++)
		assert_int_equal(*raw_entry(f, &f->pt, 0, level) & ~FRAME, P | W | U | A);
	assert_int_equal(map(&f->pt, PAGE, 0x6000, PAGE, MAPPING_USER | MAPPING_EXECUTE), 0);
	assert_int_equal(*raw_entry(f, &f->pt, PAGE, 1), 0x6000 | P | U | A);
	assert_int_equal(map(&f->pt, 2 * PAGE, 0x7000, PAGE, 0), 0);
	assert_int_equal(*raw_entry(f, &f->pt, 2 * PAGE, 1), 0x7000 | P | A | NX);
	assert_int_equal(map(&f->pt, 3 * PAGE, 0x8000, PAGE, COW), 0);
	assert_int_equal(*raw_entry(f, &f->pt, 3 * PAGE, 1), 0x8000 | P | U | A | NX | S2 | S3);
	assert_mapped(&f->pt, 3 * PAGE + 5, 0x8005, MAPPING_4K, COW_SEEN);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(*raw_entry(f, &f->pt, 2 * MIB, 2), 2 * MIB | P | W | U | A | D | PS | NX);
	assert_int_equal(f->pt.generation, 0);
}

static void test_map_extremes(void **state)
{
	struct fixture *f = *state;
	const uint64_t ends[] = {0, HALF - PAGE, UPPER, UINT64_MAX - PAGE + 1};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		assert_int_equal(map(&f->pt, ends[i], i * PAGE, PAGE, RW), 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		assert_mapped(&f->pt, ends[i] + PAGE - 1, i * PAGE + PAGE - 1, MAPPING_4K, RW);
	assert_int_equal(unmap(&f->pt, UPPER, HALF), 0);
	assert_int_equal(unmap(&f->pt, 0, HALF), 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		assert_absent(&f->pt, ends[i]);
}

static void test_map_across_boundaries(void **state)
{
	struct fixture *f = *state;
	const uint64_t edges[] = {2 * MIB, GIB, 512 * GIB};
	size_t i;
	uint64_t k;

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		assert_int_equal(map(&f->pt, edges[i] - 2 * PAGE, 8 * PAGE, 4 * PAGE, RW), 0);
		for (k = 0; k < 4; k++)
			assert_mapped(&f->pt, edges[i] - 2 * PAGE + k * PAGE, (8 + k) * PAGE,
			              MAPPING_4K, RW);
		assert_absent(&f->pt, edges[i] - 3 * PAGE);
		assert_absent(&f->pt, edges[i] + 2 * PAGE);
	}
}

static void test_map_large(void **state)
{
	struct fixture *f = *state;

	/* A page, two whole pieces, a page: only the pieces are large. */
	assert_int_equal(map(&f->pt, 2 * MIB - PAGE, 2 * MIB - PAGE, 4 * MIB + 2 * PAGE, RW | LARGE),
	                 0);
	assert_mapped(&f->pt, 2 * MIB - PAGE, 2 * MIB - PAGE, MAPPING_4K, RW);
	assert_mapped(&f->pt, 2 * MIB, 2 * MIB, MAPPING_2M, RW);
	assert_mapped(&f->pt, 6 * MIB - 1, 6 * MIB - 1, MAPPING_2M, RW);
	assert_mapped(&f->pt, 6 * MIB, 6 * MIB, MAPPING_4K, RW);
	assert_absent(&f->pt, 6 * MIB + PAGE);
	/* Not allowed; frames unaligned; a table (even empty) in the way. */
	assert_int_equal(map(&f->pt, 8 * MIB, 2 * MIB, 2 * MIB, RW), 0);
	assert_mapped(&f->pt, 8 * MIB, 2 * MIB, MAPPING_4K, RW);
	assert_int_equal(map(&f->pt, 10 * MIB, PAGE, 2 * MIB, RW | LARGE), 0);
	assert_mapped(&f->pt, 10 * MIB, PAGE, MAPPING_4K, RW);
	assert_int_equal(unmap(&f->pt, 8 * MIB, 2 * MIB), 0);
	assert_int_equal(map(&f->pt, 8 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_mapped(&f->pt, 10 * MIB - 1, 4 * MIB - 1, MAPPING_4K, RW);
}

static void test_map_exists(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;

	assert_int_equal(map(&f->pt, 4 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(map(&f->pt, 3 * PAGE, 0, PAGE, RW), 0);
	digest = machine_digest(&f->machine);
	assert_int_equal(map(&f->pt, 0, 0, 4 * PAGE, RW), -EEXIST);
	assert_int_equal(map(&f->pt, 3 * PAGE, 0, PAGE, RW), -EEXIST);
	assert_int_equal(map(&f->pt, 5 * MIB, 0, PAGE, RW), -EEXIST);
	assert_int_equal(map(&f->pt, 2 * MIB, 0, 4 * MIB, RW | LARGE), -EEXIST);
	assert_int_equal(machine_digest(&f->machine), digest);
	assert_int_equal(map(&f->pt, 0, 0, 3 * PAGE, RW), 0);
}

static void test_map_out_of_memory(void **state)
{
	struct fixture *f = *state;
	const uint64_t start = 512 * GIB - 2 * MIB - PAGE, length = 4 * MIB + 2 * PAGE;
	uint32_t n;
	int result = -ENOMEM;

	for (n = 0; result; n++) {
		f->machine.fail_in = n;
		result = map(&f->pt, start, 2 * MIB - PAGE, length, RW | LARGE);
		assert_true(result == 0 || result == -ENOMEM);
		assert_int_equal(pagetable_walk(&f->pt, gva(0), HALF, ignore_leaf, NULL), !result);
	}
	assert_true(n > 3);
	assert_mapped(&f->pt, start, 2 * MIB - PAGE, MAPPING_4K, RW);
	assert_mapped(&f->pt, 512 * GIB, 4 * MIB, MAPPING_2M, RW);
}

/* Unit tests: unmap, protect, replace */

struct changes {
	unsigned count, large, removed;
	uint64_t first, last;
};

static void count_change(void *context, gva_t address, const struct mapping *before,
                         const struct mapping *after)
{
	struct changes *changes = context;

	if (!changes->count)
		changes->first = address.value;
	changes->last = address.value;
	changes->count++;
	changes->large += before->level == MAPPING_2M;
	changes->removed += !after;
	if (after)
		assert_true(before->flags != after->flags &&
		            before->frame.value == after->frame.value &&
		            before->level == after->level);
}

static void test_unmap(void **state)
{
	struct fixture *f = *state;
	struct changes c = {0};

	assert_int_equal(pagetable_unmap(&f->pt, gva(0), HALF, count_change, &c), 0);
	assert_int_equal(c.count, 0);
	assert_int_equal(map(&f->pt, PAGE, 0, PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 512 * GIB, PAGE, 2 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 4 * MIB, RW | LARGE), 0);
	assert_int_equal(pagetable_unmap(&f->pt, gva(0), 512 * GIB + PAGE, count_change, &c), 0);
	assert_int_equal(c.count, 4);
	assert_int_equal(c.removed, 4);
	assert_int_equal(c.large, 2);
	assert_int_equal(c.first, PAGE);
	assert_int_equal(c.last, 512 * GIB);
	assert_int_equal(f->pt.generation, 4);
	assert_absent(&f->pt, PAGE);
	assert_absent(&f->pt, 512 * GIB);
	assert_mapped(&f->pt, 512 * GIB + PAGE, 2 * PAGE, MAPPING_4K, RW);
}

static void test_unmap_splits(void **state)
{
	struct fixture *f = *state;
	struct changes c = {0};

	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 6 * MIB, RW | LARGE), 0);
	assert_int_equal(
		pagetable_unmap(&f->pt, gva(4 * MIB - PAGE), 2 * MIB + 2 * PAGE, count_change, &c),
		0);
	assert_int_equal(c.count, 3);
	assert_int_equal(c.large, 1);
	assert_mapped(&f->pt, 2 * MIB, 2 * MIB, MAPPING_4K, RW);
	assert_int_equal(*raw_entry(f, &f->pt, 2 * MIB + PAGE, 1),
	                 (2 * MIB + PAGE) | P | W | U | A | D | NX);
	assert_mapped(&f->pt, 4 * MIB - 2 * PAGE, 4 * MIB - 2 * PAGE, MAPPING_4K, RW);
	assert_absent(&f->pt, 4 * MIB - PAGE);
	assert_absent(&f->pt, 4 * MIB);
	assert_absent(&f->pt, 6 * MIB);
	assert_mapped(&f->pt, 6 * MIB + PAGE, 6 * MIB + PAGE, MAPPING_4K, RW);
}

static void test_edit_out_of_memory(void **state)
{
	struct fixture *f = *state;
	struct changes c = {0};
	const gva_t start = gva(4 * MIB - PAGE);

	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 4 * MIB, RW | LARGE), 0);
	/* One split works, the second doesn't: no page may differ. */
	f->machine.fail_in = 1;
	assert_int_equal(pagetable_unmap(&f->pt, start, 2 * PAGE, count_change, &c), -ENOMEM);
	f->machine.fail_in = 0;
	assert_int_equal(pagetable_protect(&f->pt, start, 2 * PAGE, 0, count_change, &c), -ENOMEM);
	assert_int_equal(c.count, 0);
	assert_mapped(&f->pt, 4 * MIB - PAGE, 4 * MIB - PAGE, MAPPING_4K, RW);
	assert_mapped(&f->pt, 4 * MIB, 4 * MIB, MAPPING_2M, RW);
	f->machine.fail_in = NEVER;
	assert_int_equal(pagetable_protect(&f->pt, start, 2 * PAGE, 0, count_change, &c), 0);
	assert_int_equal(c.count, 2);
}

static void test_protect(void **state)
{
	struct fixture *f = *state;
	struct changes c = {0};

	assert_int_equal(map(&f->pt, 0, 0, 2 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 4 * PAGE, 0, PAGE, MAPPING_USER), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(pagetable_protect(&f->pt, gva(PAGE), GIB, MAPPING_USER, count_change, &c),
	                 0);
	/* The page that was read-only already is not reported. */
	assert_int_equal(c.count, 2);
	assert_int_equal(c.large, 1);
	assert_int_equal(c.removed, 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, RW);
	assert_int_equal(*raw_entry(f, &f->pt, PAGE, 1), PAGE | P | U | A | NX);
	assert_mapped(&f->pt, 2 * MIB, 2 * MIB, MAPPING_2M, MAPPING_USER);
	assert_absent(&f->pt, 3 * PAGE);
	assert_int_equal(protect(&f->pt, 3 * MIB, PAGE, RW | MAPPING_EXECUTE), 0);
	assert_mapped(&f->pt, 3 * MIB - 1, 3 * MIB - 1, MAPPING_4K, MAPPING_USER);
	assert_int_equal(*raw_entry(f, &f->pt, 3 * MIB, 1), 3 * MIB | P | W | U | A | D);
	assert_mapped(&f->pt, 3 * MIB + PAGE, 3 * MIB + PAGE, MAPPING_4K, MAPPING_USER);
}

static void test_protect_never_writes_borrowed_frames(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, MAPPING_USER | MAPPING_BORROWED), 0);
	assert_int_equal(protect(&f->pt, 0, PAGE, RW), 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, COW_SEEN);
	assert_int_equal(protect(&f->pt, 0, PAGE, MAPPING_USER), 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, MAPPING_USER | MAPPING_BORROWED);
	assert_int_equal(protect(&f->pt, 0, PAGE, RW | MAPPING_EXECUTE), 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, COW_SEEN | MAPPING_EXECUTE);
	assert_int_equal(replace(&f->pt, 0, PAGE, RW), 0);
	assert_mapped(&f->pt, 0, PAGE, MAPPING_4K, RW);
	assert_int_equal(protect(&f->pt, 0, PAGE, MAPPING_USER), 0);
	assert_int_equal(protect(&f->pt, 0, PAGE, RW), 0);
	assert_mapped(&f->pt, 0, PAGE, MAPPING_4K, RW);
	assert_int_equal(protect(&f->pt, 0, PAGE, COW), 0);
	assert_mapped(&f->pt, 0, PAGE, MAPPING_4K, COW_SEEN);
}

static void test_replace(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;

	assert_int_equal(replace(&f->pt, 0, 0, RW), -ENOENT);
	assert_int_equal(pagetable_count_tables(&f->pt), 1);
	assert_int_equal(map(&f->pt, 0, 0, 2 * PAGE, COW), 0);
	assert_int_equal(replace(&f->pt, PAGE, 9 * PAGE, RW), 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, COW_SEEN);
	assert_mapped(&f->pt, PAGE, 9 * PAGE, MAPPING_4K, RW);
	assert_int_equal(f->pt.generation, 1);
	/* Out of a large leaf. */
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, COW | LARGE), 0);
	digest = machine_digest(&f->machine);
	f->machine.fail_in = 0;
	assert_int_equal(replace(&f->pt, 3 * MIB, 0, RW), -ENOMEM);
	assert_int_equal(machine_digest(&f->machine), digest);
	f->machine.fail_in = NEVER;
	assert_int_equal(replace(&f->pt, 3 * MIB, 0, RW), 0);
	assert_mapped(&f->pt, 3 * MIB, 0, MAPPING_4K, RW);
	assert_mapped(&f->pt, 3 * MIB - PAGE, 3 * MIB - PAGE, MAPPING_4K, COW_SEEN);
	assert_mapped(&f->pt, 3 * MIB + PAGE, 3 * MIB + PAGE, MAPPING_4K, COW_SEEN);
}

/* Unit tests: reading */

struct seen {
	uint64_t addresses[8];
	unsigned count, stop_at;
};

static int see_leaf(void *context, gva_t address, const struct mapping *mapping)
{
	struct seen *seen = context;

	(void)mapping;
	assert_true(seen->count < ARRAY_SIZE(seen->addresses));
	seen->addresses[seen->count++] = address.value;
	return seen->count == seen->stop_at ? 77 : 0;
}

static void test_walk(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {.stop_at = 0};
	const uint64_t last = UINT64_MAX - PAGE + 1;

	assert_int_equal(map(&f->pt, last, 0, PAGE, 0), 0);
	assert_int_equal(map(&f->pt, UPPER, 0, PAGE, 0), 0);
	assert_int_equal(pagetable_walk(&f->pt, gva(UPPER), HALF, see_leaf, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.addresses[0], UPPER);
	assert_int_equal(seen.addresses[1], last);
	assert_int_equal(pagetable_walk(&f->pt, gva(0), HALF, see_leaf, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(map(&f->pt, 2 * MIB, 0, 2 * MIB, LARGE), 0);
	assert_int_equal(map(&f->pt, 4 * MIB, 0, 2 * PAGE, 0), 0);
	seen = (struct seen){.stop_at = 2};
	assert_int_equal(pagetable_walk(&f->pt, gva(3 * MIB), 2 * MIB, see_leaf, &seen), 77);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.addresses[0], 2 * MIB);
	assert_int_equal(seen.addresses[1], 4 * MIB);
}

struct table_order {
	unsigned last, count, roots;
};

static int see_table(void *context, gpa_t table, unsigned level)
{
	struct table_order *order = context;

	(void)table;
	order->count++;
	order->last = level;
	order->roots += level == 4;
	return order->count == 100 ? 1 : 0;
}

static int stop_at_once(void *context, gpa_t table, unsigned level)
{
	(void)context;
	(void)table;
	return -(int)level;
}

static void test_visit_tables(void **state)
{
	struct fixture *f = *state;
	struct table_order order = {0};

	assert_int_equal(map(&f->pt, 512 * GIB - PAGE, 0, 2 * PAGE, 0), 0);
	assert_int_equal(map(&f->pt, 512 * GIB + 2 * MIB, 0, 2 * MIB, LARGE), 0);
	assert_int_equal(pagetable_visit_tables(&f->pt, see_table, &order), 0);
	assert_int_equal(order.count, 7);
	assert_int_equal(order.roots, 1);
	assert_int_equal(order.last, 4);
	assert_int_equal(pagetable_count_tables(&f->pt), 7);
	assert_int_equal(pagetable_visit_tables(&f->pt, stop_at_once, NULL), -1);
}

/* Unit tests: verbatim root entries */

#define KERNEL_INDEX 300u
#define KERNEL_ADDRESS ((UINT64_C(0xffff) << 48) | ((uint64_t)KERNEL_INDEX << 39))

/* child serves as the kernel's own pagetable: a supervisor page. */
static uint64_t kernel_entry(struct fixture *f)
{
	assert_int_equal(pagetable_create(&f->child, &ops, &f->clients[1]), 0);
	assert_int_equal(map(&f->child, KERNEL_ADDRESS, 7 * PAGE, PAGE, RW | MAPPING_EXECUTE), 0);
	return pagetable_root_entry(&f->child, KERNEL_INDEX);
}

static void test_root_entry_errors(void **state)
{
	struct fixture *f = *state;
	uint64_t entry = kernel_entry(f);

	assert_int_equal(pagetable_set_root_entry(&f->pt, 512, entry), -EINVAL);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry & ~P), -EINVAL);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry | PS), -EINVAL);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry | S1), -EINVAL);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry | S3), -EINVAL);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry | UINT64_C(1) << 52), -EINVAL);
	assert_int_equal(pagetable_root_entry(&f->pt, 300), 0);
	assert_int_equal(pagetable_root_entry(&f->pt, 512), 0);
	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 0, entry), -EEXIST);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 0, 0), -EEXIST);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 300, entry), -EROFS);
}

static void test_verbatim_is_not_edited(void **state)
{
	struct fixture *f = *state;
	uint64_t entry = kernel_entry(f);
	const uint64_t below = KERNEL_ADDRESS - PAGE;
	struct seen seen = {.stop_at = 0};

	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry), 0);
	assert_int_equal(map(&f->pt, KERNEL_ADDRESS + PAGE, 0, PAGE, RW), -EPERM);
	assert_int_equal(map(&f->pt, below, 0, 2 * PAGE, RW), -EPERM);
	assert_int_equal(unmap(&f->pt, KERNEL_ADDRESS, PAGE), -EPERM);
	assert_int_equal(unmap(&f->pt, UPPER, HALF), -EPERM);
	assert_int_equal(protect(&f->pt, below, 2 * PAGE, 0), -EPERM);
	assert_int_equal(replace(&f->pt, KERNEL_ADDRESS, 0, 0), -EPERM);
	assert_int_equal(pagetable_own_path(&f->pt, gva(KERNEL_ADDRESS)), -EPERM);
	assert_int_equal(pagetable_count_tables(&f->pt), 1);
	assert_mapped(&f->pt, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, RW | MAPPING_EXECUTE);
	assert_int_equal(pagetable_walk(&f->pt, gva(UPPER), HALF, see_leaf, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(map(&f->pt, below, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, 0), 0);
	assert_absent(&f->pt, KERNEL_ADDRESS);
	assert_mapped(&f->child, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, RW | MAPPING_EXECUTE);
}

static void test_effective_permissions(void **state)
{
	struct fixture *f = *state;
	uint64_t entry = kernel_entry(f);

	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry & ~W), 0);
	assert_mapped(&f->pt, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, MAPPING_USER | MAPPING_EXECUTE);
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry & ~U), 0);
	assert_mapped(&f->pt, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, MAPPING_WRITE | MAPPING_EXECUTE);
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry | NX), 0);
	assert_mapped(&f->pt, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, RW);
	assert_int_equal(f->pt.generation, 2);
}

/* Another's tables may hold 1 GiB leaves, and large leaves with their PAT bit, 12, set. */
static void test_leaves_of_others(void **state)
{
	struct fixture *f = *state;
	const uint64_t bits = P | W | U | A | D | PS | UINT64_C(1) << 12;
	const uint64_t address = KERNEL_ADDRESS;

	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, kernel_entry(f)), 0);
	*raw_entry(f, &f->child, address + GIB, 3) = GIB | bits;
	*raw_entry(f, &f->child, address + 2 * MIB, 2) = 6 * MIB | bits;
	assert_mapped(&f->pt, address + GIB + 5 * MIB, GIB + 5 * MIB, MAPPING_1G,
	              RW | MAPPING_EXECUTE);
	assert_mapped(&f->pt, address + 2 * MIB + PAGE, 6 * MIB + PAGE, MAPPING_2M,
	              RW | MAPPING_EXECUTE);
}

static void test_verbatim_survives_freeze_and_share(void **state)
{
	struct fixture *f = *state;
	uint64_t entry = kernel_entry(f);

	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry), 0);
	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_root_entry(&f->pt, KERNEL_INDEX), entry);
	assert_int_equal(pagetable_share(&f->pt, &f->grandchild, &f->clients[2]), 0);
	assert_int_equal(pagetable_root_entry(&f->grandchild, KERNEL_INDEX), entry);
	assert_mapped(&f->grandchild, KERNEL_ADDRESS, 7 * PAGE, MAPPING_4K, RW | MAPPING_EXECUTE);
	assert_int_equal(map(&f->grandchild, KERNEL_ADDRESS + PAGE, 0, PAGE, RW), -EPERM);
	assert_int_equal(pagetable_set_root_entry(&f->grandchild, 0, entry), -EEXIST);
}

/* Unit tests: freezing and sharing */

static void test_frozen_refuses_edits(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_true(f->pt.frozen);
	digest = machine_digest(&f->machine);
	assert_int_equal(map(&f->pt, PAGE, 0, PAGE, RW), -EROFS);
	assert_int_equal(unmap(&f->pt, 0, PAGE), -EROFS);
	assert_int_equal(protect(&f->pt, 0, PAGE, 0), -EROFS);
	assert_int_equal(replace(&f->pt, 0, 0, RW), -EROFS);
	assert_int_equal(pagetable_own_path(&f->pt, gva(PAGE)), -EROFS);
	assert_int_equal(pagetable_freeze(&f->pt), -EROFS);
	assert_int_equal(pagetable_set_root_entry(&f->pt, 5, 0), -EROFS);
	assert_int_equal(machine_digest(&f->machine), digest);
	assert_int_equal(pagetable_count_tables(&f->pt), 4);
}

static void test_freeze_bits(void **state)
{
	struct fixture *f = *state;
	unsigned level;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(map(&f->pt, PAGE, PAGE, PAGE, MAPPING_USER | MAPPING_EXECUTE), 0);
	assert_int_equal(map(&f->pt, 2 * PAGE, PAGE, PAGE, MAPPING_WRITE), 0);
	assert_int_equal(map(&f->pt, 3 * PAGE, PAGE, PAGE, COW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(*raw_entry(f, &f->pt, 0, 1), P | U | A | NX | S2 | S3);
	assert_int_equal(*raw_entry(f, &f->pt, PAGE, 1), PAGE | P | U | A | S3);
	assert_int_equal(*raw_entry(f, &f->pt, 2 * PAGE, 1), PAGE | P | A | NX | S2 | S3);
	assert_int_equal(*raw_entry(f, &f->pt, 3 * PAGE, 1), PAGE | P | U | A | NX | S2 | S3);
	assert_int_equal(*raw_entry(f, &f->pt, 2 * MIB, 2), 2 * MIB | P | U | A | PS | NX | S2 | S3);
	for (level = 2; level <= 4; level++)
		assert_int_equal(*raw_entry(f, &f->pt, 0, level) & ~FRAME, P | U | A | S1);
}

static void share_three_regions(struct fixture *f)
{
	assert_int_equal(map(&f->pt, 0, 0, 4 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(map(&f->pt, 512 * GIB, 5 * PAGE, PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
}

/* Each region gets tables of the child's own, and none is left different from what it was. */
static void edit_and_undo(struct fixture *f)
{
	assert_int_equal(replace(&f->child, PAGE, 9 * PAGE, RW), 0);
	assert_int_equal(replace(&f->child, 3 * MIB, 9 * PAGE, RW), 0);
	assert_int_equal(pagetable_own_path(&f->child, gva(512 * GIB)), 0);
	assert_int_equal(map(&f->child, 1024 * GIB, 0, PAGE, RW), 0);
	assert_int_equal(f->clients[1].held, 11);
	assert_int_equal(replace(&f->child, PAGE, PAGE, COW), 0);
	assert_int_equal(replace(&f->child, 3 * MIB, 3 * MIB, COW), 0);
	assert_int_equal(unmap(&f->child, 1024 * GIB, PAGE), 0);
	assert_int_equal(f->clients[1].held, 11);
}

static void assert_as_shared(struct fixture *f)
{
	assert_mapped(&f->child, PAGE, PAGE, MAPPING_4K, COW_SEEN);
	assert_mapped(&f->child, 3 * MIB, 3 * MIB, MAPPING_2M, COW_SEEN);
	assert_mapped(&f->child, 512 * GIB, 5 * PAGE, MAPPING_4K, COW_SEEN);
	assert_absent(&f->child, 1024 * GIB);
}

static void test_rejoin(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(0)), -EINVAL);
	share_three_regions(f);
	assert_int_equal(pagetable_rejoin(&f->pt, &f->pt, gva(0)), -EROFS);
	assert_int_equal(pagetable_rejoin(&f->child, &f->grandchild, gva(0)), -EINVAL);
	edit_and_undo(f);
	generation = f->child.generation;
	/* Only the path to what is kept is left, and the root. */
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(512 * GIB + 5)), 0);
	assert_int_equal(f->clients[1].held, 4);
	assert_true(f->child.generation > generation);
	assert_as_shared(f);
	generation = f->child.generation;
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(512 * GIB)), 0);
	assert_int_equal(f->child.generation, generation);
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(1024 * GIB)), 0);
	assert_int_equal(f->clients[1].held, 1);
	assert_as_shared(f);
}

/* One leaf in which it differs, be it by a permission, holds the tables above it. */
static void test_rejoin_leaves_what_differs(void **state)
{
	struct fixture *f = *state;

	share_three_regions(f);
	edit_and_undo(f);
	*raw_entry(f, &f->child, 0, 1) &= ~A;
	assert_int_equal(protect(&f->child, 512 * GIB, PAGE, MAPPING_USER), 0);
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(1536 * GIB)), 0);
	assert_int_equal(f->clients[1].held, 4);
	assert_mapped(&f->child, 512 * GIB, 5 * PAGE, MAPPING_4K, MAPPING_USER | MAPPING_BORROWED);
	assert_int_equal(unmap(&f->child, 512 * GIB, PAGE), 0);
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(1536 * GIB)), 0);
	assert_int_equal(f->clients[1].held, 4);
	assert_absent(&f->child, 512 * GIB);
	assert_mapped(&f->child, PAGE, PAGE, MAPPING_4K, COW_SEEN);
}

/* Links of stale tables are not changed in place: those move, and no others. */
static void test_rejoin_stale(void **state)
{
	struct fixture *f = *state;
	gpa_t root, stays;
	uint64_t digest;

	share_three_regions(f);
	edit_and_undo(f);
	assert_int_equal(map(&f->child, 6 * MIB, PAGE, PAGE, RW), 0);
	for (uint64_t at = 0; at < 8 * MIB; at += MIB)
		touch(f, &f->child, at);
	touch(f, &f->child, 512 * GIB);
	touch(f, &f->child, 1024 * GIB);
	root = f->child.root;
	stays = gpa(*raw_entry(f, &f->child, 6 * MIB, 2) & FRAME);
	digest = machine_digest(&f->machine);
	/* The root, and two tables on the way to the leaf that stays. */
	for (f->machine.allocations = 0; f->machine.allocations < 3;) {
		uint32_t n = f->machine.allocations;

		f->machine.fail_in = n;
		f->machine.allocations = 0;
		assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(1536 * GIB)), -ENOMEM);
		assert_int_equal(machine_digest(&f->machine), digest);
		assert_int_equal(f->machine.allocations, n + 1);
	}
	f->machine.fail_in = NEVER;
	f->machine.allocations = 0;
	assert_int_equal(pagetable_rejoin(&f->child, &f->pt, gva(1536 * GIB)), 0);
	assert_int_equal(f->machine.allocations, 3);
	assert_int_equal(f->clients[1].held, 4);
	assert_true(f->child.root.value != root.value);
	assert_int_equal(*raw_entry(f, &f->child, 6 * MIB, 2) & FRAME, stays.value);
	assert_as_shared(f);
	for (uint64_t at = 0; at < 4 * MIB; at += MIB)
		assert_true((shadow_translate(&f->machine, f->child.root, at) & W) == 0);
}

static void test_share_errors(void **state)
{
	struct fixture *f = *state;

	memset(&f->child, 0xff, sizeof(f->child));
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), -EINVAL);
	assert_null(f->child.ops);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	memset(&f->child, 0xff, sizeof(f->child));
	f->machine.fail_in = 0;
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), -ENOMEM);
	assert_null(f->child.ops);
}

static void test_child_copies_what_it_edits(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaf;
	unsigned level;

	assert_int_equal(map(&f->pt, 0, 0, 4 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	leaf = raw_entry(f, &f->pt, 0, 1);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(f->clients[1].held, 1);
	assert_ptr_equal(raw_entry(f, &f->child, 0, 1), leaf);
	assert_int_equal(replace(&f->child, PAGE, 9 * PAGE, RW), 0);
	assert_int_equal(f->clients[1].held, 4);
	assert_int_equal(pagetable_count_tables(&f->child), 4);
	assert_true(f->child.generation > 1);
	for (level = 2; level <= 4; level++)
		assert_int_equal(*raw_entry(f, &f->child, 0, level) & ~FRAME, P | W | U | A);
	assert_int_equal(*raw_entry(f, &f->child, 2 * MIB, 2) & ~FRAME, P | U | A | S1);
	assert_mapped(&f->child, 0, 0, MAPPING_4K, COW_SEEN);
	assert_mapped(&f->child, PAGE, 9 * PAGE, MAPPING_4K, RW);
	assert_mapped(&f->pt, PAGE, PAGE, MAPPING_4K, COW_SEEN);
	assert_int_equal(unmap(&f->child, 2 * MIB, PAGE), 0);
	assert_mapped(&f->pt, 2 * MIB, 0, MAPPING_4K, COW_SEEN);
}

/* Mapping changes a present link when it copies a shared table: processors have to know. */
static void test_generation_counts_links(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(f->pt.generation, 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(f->pt.generation, 1);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(f->child.generation, 0);
	assert_int_equal(map(&f->child, PAGE, 0, PAGE, RW), 0);
	assert_int_equal(f->child.generation, 1);
	assert_int_equal(map(&f->child, 2 * PAGE, 0, PAGE, RW), 0);
	assert_int_equal(f->child.generation, 1);
}

static void test_child_holes_cost_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, MAPPING_USER), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(unmap(&f->child, PAGE, HALF - PAGE), 0);
	assert_int_equal(protect(&f->child, 0, HALF, MAPPING_USER), 0);
	assert_int_equal(replace(&f->child, PAGE, 0, RW), -ENOENT);
	assert_int_equal(pagetable_count_tables(&f->child), 1);
	assert_int_equal(f->child.generation, 0);
}

/* An edit that spans tables makes each its own before it changes any. */
static void test_child_edits_across_tables(void **state)
{
	struct fixture *f = *state;
	uint64_t i, edge;

	for (i = 1; i <= 4; i++)
		assert_int_equal(map(&f->pt, i * 2 * MIB - PAGE, 0, 2 * PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(unmap(&f->child, 2 * MIB - PAGE, 2 * PAGE), 0);
	assert_int_equal(pagetable_count_tables(&f->child), 5);
	assert_int_equal(unmap(&f->child, 0, GIB), 0);
	for (i = 1; i <= 4; i++) {
		edge = i * 2 * MIB;
		assert_absent(&f->child, edge - PAGE);
		assert_absent(&f->child, edge);
		assert_mapped(&f->pt, edge - PAGE, 0, MAPPING_4K, COW_SEEN);
		assert_mapped(&f->pt, edge, PAGE, MAPPING_4K, COW_SEEN);
	}
}

/* The master's empty table is as little the child's as a full one. */
static void test_child_maps_over_an_empty_shared_table(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 2 * MIB, 0, PAGE, RW), 0);
	assert_int_equal(unmap(&f->pt, 2 * MIB, PAGE), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(map(&f->child, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_mapped(&f->child, 2 * MIB, 2 * MIB, MAPPING_4K, RW);
	assert_absent(&f->pt, 2 * MIB);
	assert_int_equal(pagetable_count_tables(&f->child), 4);
}

static void test_fork_of_a_fork(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(&f->pt, 0, 0, 4 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, GIB, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	assert_int_equal(replace(&f->child, PAGE, 9 * PAGE, RW), 0);
	assert_int_equal(pagetable_freeze(&f->child), 0);
	assert_int_equal(*raw_entry(f, &f->child, 0, 2) & ~FRAME, P | U | A | S1);
	assert_int_equal(*raw_entry(f, &f->child, GIB, 3) & ~FRAME, P | U | A | S1 | S2);
	assert_int_equal(pagetable_count_tables(&f->child), 4);
	assert_int_equal(pagetable_share(&f->child, &f->grandchild, &f->clients[2]), 0);
	assert_mapped(&f->grandchild, PAGE, 9 * PAGE, MAPPING_4K, COW_SEEN);
	assert_mapped(&f->grandchild, GIB, 0, MAPPING_4K, COW_SEEN);
	assert_int_equal(replace(&f->grandchild, GIB, 5 * PAGE, RW), 0);
	assert_int_equal(replace(&f->grandchild, 0, 6 * PAGE, RW), 0);
	assert_int_equal(pagetable_count_tables(&f->grandchild), 6);
	assert_int_equal(pagetable_count_tables(&f->child), 4);
	assert_mapped(&f->child, GIB, 0, MAPPING_4K, COW_SEEN);
}

static void test_own_path(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;
	uint32_t n;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	digest = machine_digest(&f->machine);
	for (n = 0; n < 3; n++) {
		f->machine.fail_in = n;
		assert_int_equal(pagetable_own_path(&f->child, gva(3 * MIB)), -ENOMEM);
		assert_int_equal(machine_digest(&f->machine), digest);
	}
	f->machine.fail_in = 3;
	assert_int_equal(pagetable_own_path(&f->child, gva(3 * MIB)), 0);
	assert_int_equal(pagetable_own_path(&f->child, gva(2 * MIB)), 0);
	assert_mapped(&f->child, 3 * MIB, 3 * MIB, MAPPING_4K, COW_SEEN);
	assert_int_equal(replace(&f->child, 3 * MIB, 0, RW), 0);
	assert_int_equal(protect(&f->child, 2 * MIB, PAGE, MAPPING_USER), 0);
	assert_int_equal(unmap(&f->child, 2 * MIB, 2 * MIB), 0);
	assert_int_equal(map(&f->child, 2 * MIB, 0, 2 * MIB, RW), 0);
	assert_int_equal(pagetable_count_tables(&f->child), 4);
	f->machine.fail_in = NEVER;
	assert_int_equal(pagetable_own_path(&f->child, gva(512 * GIB)), 0);
	assert_int_equal(pagetable_count_tables(&f->child), 7);
}

/* Unit tests: stale tables */

static void test_stale_in_place(void **state)
{
	struct fixture *f = *state;
	gpa_t root = f->pt.root;
	const uint32_t before = 4;

	assert_int_equal(map(&f->pt, 0, 0, PAGE, RW), 0);
	touch(f, &f->pt, 0);
	f->machine.allocations = 0;
	/* Leaves, and absent to present, on all levels. */
	assert_int_equal(protect(&f->pt, 0, PAGE, MAPPING_USER), 0);
	assert_int_equal(replace(&f->pt, 0, PAGE, RW), 0);
	assert_int_equal(map(&f->pt, PAGE, 0, PAGE, RW), 0);
	assert_int_equal(unmap(&f->pt, 0, PAGE), 0);
	assert_int_equal(f->machine.allocations, 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 0, PAGE, RW), 0);
	assert_int_equal(map(&f->pt, GIB, 0, 2 * MIB, RW | LARGE), 0);
	touch(f, &f->pt, GIB);
	assert_int_equal(protect(&f->pt, GIB, 2 * MIB, MAPPING_USER), 0);
	assert_int_equal(map(&f->pt, 512 * GIB, 0, PAGE, RW), 0);
	assert_int_equal(pagetable_count_tables(&f->pt), before + 1 + 1 + 3);
	assert_int_equal(f->machine.used, before + 1 + 1 + 3);
	assert_int_equal(f->pt.root.value, root.value);
}

static void test_stale_split_moves_up_to_the_root(void **state)
{
	struct fixture *f = *state;
	gpa_t root = f->pt.root;
	uint64_t digest;
	uint32_t n;

	assert_int_equal(map(&f->pt, 0, 0, 2 * MIB, RW | LARGE), 0);
	touch(f, &f->pt, 0);
	digest = machine_digest(&f->machine);
	for (n = 0; n < 4; n++) {
		f->machine.fail_in = n;
		assert_int_equal(replace(&f->pt, PAGE, 0, RW), -ENOMEM);
		assert_int_equal(machine_digest(&f->machine), digest);
		assert_int_equal(f->pt.root.value, root.value);
	}
	f->machine.fail_in = NEVER;
	assert_int_equal(replace(&f->pt, PAGE, 0, RW), 0);
	assert_true(f->pt.root.value != root.value);
	assert_int_equal(f->machine.used, 4);
	assert_int_equal(f->machine.state[frame_index(root)], FRAME_QUARANTINED);
	assert_mapped(&f->pt, PAGE, 0, MAPPING_4K, RW);
	assert_mapped(&f->pt, 2 * PAGE, 2 * PAGE, MAPPING_4K, RW);
}

/* The copy of a shared table needs a change of its parent only as far up as that is stale. */
static void test_stale_moves_no_further_than_needed(void **state)
{
	struct fixture *f = *state;
	gpa_t root;

	assert_int_equal(map(&f->pt, 0, 0, 2 * MIB, RW | LARGE), 0);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	root = f->child.root;
	f->machine.cached[frame_index(gpa(*raw_entry(f, &f->child, 0, 3) & FRAME))] = true;
	assert_int_equal(replace(&f->child, 0, PAGE, RW), 0);
	assert_int_equal(f->child.root.value, root.value);
	f->machine.cached[frame_index(gpa(*raw_entry(f, &f->child, 0, 3) & FRAME))] = true;
	assert_int_equal(map(&f->child, 2 * MIB, 0, PAGE, RW), 0);
	assert_int_equal(f->child.root.value, root.value);
	assert_int_equal(f->clients[1].held, 5);
}

/* What translates a page moves, and nothing else: no leaf differs, and nothing of it is stale. */
static void test_renew_path(void **state)
{
	struct fixture *f = *state;
	uint64_t digest;
	uint32_t n;

	assert_int_equal(pagetable_renew_path(&f->pt, gva(HALF)), -EINVAL);
	assert_int_equal(map(&f->pt, 0, 0, 2 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * MIB, 2 * MIB, 2 * MIB, RW | LARGE), 0);
	assert_false(pagetable_leaf_stale(&f->pt, gva(PAGE)));
	n = f->machine.allocations;
	assert_int_equal(pagetable_renew_path(&f->pt, gva(PAGE)), 0);
	assert_int_equal(f->machine.allocations, n);
	touch(f, &f->pt, PAGE);
	touch(f, &f->pt, 3 * MIB);
	assert_true(pagetable_leaf_stale(&f->pt, gva(PAGE)));
	assert_true(pagetable_leaf_stale(&f->pt, gva(3 * MIB)));
	digest = machine_digest(&f->machine);
	for (n = 0; n < 4; n++) {
		f->machine.fail_in = n;
		assert_int_equal(pagetable_renew_path(&f->pt, gva(PAGE + 8)), -ENOMEM);
		assert_int_equal(machine_digest(&f->machine), digest);
	}
	f->machine.fail_in = NEVER;
	assert_int_equal(pagetable_renew_path(&f->pt, gva(PAGE + 8)), 0);
	assert_false(pagetable_leaf_stale(&f->pt, gva(PAGE)));
	assert_false(pagetable_leaf_stale(&f->pt, gva(3 * MIB)));
	assert_mapped(&f->pt, PAGE, PAGE, MAPPING_4K, RW);
	assert_mapped(&f->pt, 2 * MIB, 2 * MIB, MAPPING_2M, RW);
	assert_int_equal(f->machine.used, 4);
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_renew_path(&f->pt, gva(PAGE)), -EROFS);
}

/* A large leaf stays one; of a hole it is the last table that moves. */
static void test_renew_path_above_the_lowest_tables(void **state)
{
	struct fixture *f = *state;
	gpa_t root = f->pt.root;

	assert_int_equal(map(&f->pt, 0, 0, 2 * MIB, RW | LARGE), 0);
	touch(f, &f->pt, 0);
	assert_int_equal(pagetable_renew_path(&f->pt, gva(PAGE)), 0);
	assert_mapped(&f->pt, 0, 0, MAPPING_2M, RW);
	assert_true(f->pt.root.value != root.value);
	assert_int_equal(f->machine.used, 3);
	root = f->pt.root;
	touch(f, &f->pt, 0);
	assert_int_equal(pagetable_renew_path(&f->pt, gva(512 * GIB)), 0);
	assert_true(f->pt.root.value != root.value);
	assert_int_equal(f->machine.used, 3);
	assert_mapped(&f->pt, 0, 0, MAPPING_2M, RW);
}

static void test_dirty_bits(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	assert_int_equal(map(&f->pt, 0, 0, 2 * PAGE, RW), 0);
	assert_int_equal(map(&f->pt, 2 * PAGE, 2 * PAGE, PAGE, MAPPING_USER), 0);
	assert_true(pagetable_is_dirty(&f->pt, gva(8)));
	generation = f->pt.generation;
	pagetable_set_dirty(&f->pt, gva(8), true);
	assert_int_equal(f->pt.generation, generation);
	pagetable_set_dirty(&f->pt, gva(8), false);
	assert_int_equal(f->pt.generation, generation + 1);
	assert_false(pagetable_is_dirty(&f->pt, gva(16)));
	assert_true(pagetable_is_dirty(&f->pt, gva(PAGE)));
	assert_mapped(&f->pt, 0, 0, MAPPING_4K, RW);
	pagetable_set_dirty(&f->pt, gva(0), false);
	pagetable_set_dirty(&f->pt, gva(0), true);
	assert_int_equal(f->pt.generation, generation + 1);
	assert_true(pagetable_is_dirty(&f->pt, gva(0)));
	/* Read-only, absent: always dirty. */
	pagetable_set_dirty(&f->pt, gva(2 * PAGE), false);
	pagetable_set_dirty(&f->pt, gva(GIB), false);
	assert_true(pagetable_is_dirty(&f->pt, gva(2 * PAGE)));
	assert_true(pagetable_is_dirty(&f->pt, gva(GIB)));
	/* The master's are not the child's to clear. */
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_int_equal(pagetable_share(&f->pt, &f->child, &f->clients[1]), 0);
	generation = machine_digest(&f->machine);
	pagetable_set_dirty(&f->child, gva(PAGE), false);
	assert_true(pagetable_is_dirty(&f->child, gva(PAGE)));
	assert_int_equal(machine_digest(&f->machine), generation);
}

static void test_stale_large_leaf_is_not_removed_in_place(void **state)
{
	struct fixture *f = *state;
	gpa_t root = f->pt.root;

	assert_int_equal(map(&f->pt, 0, 0, 4 * MIB, RW | LARGE), 0);
	touch(f, &f->pt, 0);
	f->machine.fail_in = 0;
	assert_int_equal(unmap(&f->pt, 0, 2 * MIB), -ENOMEM);
	assert_mapped(&f->pt, 0, 0, MAPPING_2M, RW);
	f->machine.fail_in = NEVER;
	assert_int_equal(unmap(&f->pt, 0, 4 * MIB), 0);
	assert_true(f->pt.root.value != root.value);
	assert_int_equal(f->machine.used, 3);
}

static void test_stale_freeze(void **state)
{
	struct fixture *f = *state;
	gpa_t root = f->pt.root;
	uint64_t digest;
	uint32_t n, moved;

	assert_int_equal(map(&f->pt, 512 * GIB - PAGE, 0, 2 * PAGE, RW), 0);
	touch(f, &f->pt, 512 * GIB);
	touch(f, &f->pt, 512 * GIB - PAGE);
	digest = machine_digest(&f->machine);
	moved = 5;
	for (n = 0; n < moved; n++) {
		f->machine.fail_in = n;
		assert_int_equal(pagetable_freeze(&f->pt), -ENOMEM);
		assert_int_equal(machine_digest(&f->machine), digest);
		assert_false(f->pt.frozen);
	}
	f->machine.fail_in = moved;
	assert_int_equal(pagetable_freeze(&f->pt), 0);
	assert_true(f->pt.root.value != root.value);
	assert_int_equal(f->machine.used, 7);
	assert_mapped(&f->pt, 512 * GIB, PAGE, MAPPING_4K, COW_SEEN);
}

static void test_stale_root_entry(void **state)
{
	struct fixture *f = *state;
	uint64_t entry = kernel_entry(f), digest;
	gpa_t root = f->pt.root;

	touch(f, &f->pt, KERNEL_ADDRESS);
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry), 0);
	assert_int_equal(f->pt.root.value, root.value);
	touch(f, &f->pt, KERNEL_ADDRESS);
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, entry), 0);
	assert_int_equal(f->pt.root.value, root.value);
	digest = machine_digest(&f->machine);
	f->machine.fail_in = 0;
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, 0), -ENOMEM);
	assert_int_equal(machine_digest(&f->machine), digest);
	f->machine.fail_in = NEVER;
	assert_int_equal(pagetable_set_root_entry(&f->pt, KERNEL_INDEX, 0), 0);
	assert_true(f->pt.root.value != root.value);
	assert_absent(&f->pt, KERNEL_ADDRESS);
}

static void test_never_stale_without_the_op(void **state)
{
	struct fixture *f = *state;
	struct pagetable_ops plain = ops;
	gpa_t root;

	plain.stale = NULL;
	assert_int_equal(pagetable_create(&f->child, &plain, &f->clients[1]), 0);
	root = f->child.root;
	assert_int_equal(map(&f->child, 0, 0, 2 * MIB, RW | LARGE), 0);
	touch(f, &f->child, 0);
	assert_int_equal(unmap(&f->child, 0, PAGE), 0);
	assert_int_equal(pagetable_freeze(&f->child), 0);
	assert_int_equal(f->child.root.value, root.value);
	pagetable_destroy(&f->child);
}

/* Random sequences: the model */

static const struct region {
	uint64_t address;
	unsigned pages;
} regions[] = {
	{0, 3},
	{GIB - 2 * MIB - 3 * PAGE, 3 + 512 + 512 + 3},
	{512 * GIB - 3 * PAGE, 6},
	{HALF - 3 * PAGE, 3},
	{UPPER, 3},
	{UINT64_MAX - 3 * PAGE + 1, 3},
};

#define PAGES (3 + 1030 + 6 + 3 + 3 + 3)
#define SPACES 6
#define KERNELS 2
#define OPERATIONS 9
#define RECORDS (PAGES + 64)

struct page {
	bool present;
	uint64_t frame;
	uint32_t flags;
};

/* A present entry somewhere in a space's tables. */
struct record {
	uint64_t address, entry;
	unsigned level;
};

struct space {
	struct pagetable pt;
	struct client client;
	bool live, frozen;
	int parent;               /* index of the space it shares with, -1 if none */
	int kernel;               /* which kernel stands at KERNEL_INDEX, -1 if none */
	struct page pages[PAGES]; /* the model, ordered by address */
	uint64_t frozen_digest;
	uint64_t generation; /* at the last check */
	struct record records[RECORDS];
	size_t record_count;
};

struct world {
	struct machine machine;
	struct space spaces[SPACES];
	struct pagetable kernels[KERNELS];
	struct client kernel_client;
	uint64_t random;
	int owner[POOL_FRAMES];
	bool visited[POOL_FRAMES];
	unsigned owner_level[POOL_FRAMES];
	unsigned successes[OPERATIONS]; /* by kind of operation */
	unsigned failures;              /* operations that met -ENOMEM at least once */
};

static uint64_t page_address(unsigned index)
{
	const struct region *region = regions;

	while (index >= region->pages)
		index -= (region++)->pages;
	return region->address + index * PAGE;
}

/* -1: no page of the model. */
static int page_index(uint64_t address)
{
	unsigned first = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(regions); first += regions[i++].pages) {
		if (address >= regions[i].address &&
		    (address - regions[i].address) / PAGE < regions[i].pages)
			return (int)(first + (address - regions[i].address) / PAGE);
	}
	return -1;
}

static uint32_t pick(struct world *world, uint32_t below)
{
	world->random = world->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((world->random >> 33) % below);
}

static uint32_t pick_flags(struct world *world)
{
	uint32_t flags = 0;

	if (pick(world, 8))
		flags |= MAPPING_USER;
	if (!pick(world, 3))
		flags |= MAPPING_EXECUTE;
	switch (pick(world, 8)) {
	case 0:
		return flags | MAPPING_COPY_ON_WRITE;
	case 1:
		return flags | MAPPING_BORROWED;
	case 2:
	case 3:
		return flags;
	default:
		return flags | MAPPING_WRITE;
	}
}

/* A range of model pages, within one region. */
struct range {
	unsigned first, count;
};

static struct range pick_range(struct world *world)
{
	const unsigned counts[] = {1, 1, 2, 3, 6, 515, 512, 1024, 1027, 1030};
	unsigned region = pick(world, 9), start = 0, i, offset;
	unsigned wanted = counts[pick(world, ARRAY_SIZE(counts))];

	region = region < ARRAY_SIZE(regions) ? region : 1;
	for (i = 0; i < region; i++)
		start += regions[i].pages;
	switch (pick(world, 4)) {
	case 0: /* a page next to an edge of 2 MiB */
		offset = 3 * pick(world, 2) + 512 * pick(world, 3) + pick(world, 3);
		break;
	case 1: /* whole pieces of 2 MiB */
		offset = 3 + 512 * pick(world, 2);
		wanted = 512 + 512 * pick(world, 2);
		break;
	case 2:
		offset = 0;
		break;
	default:
		offset = pick(world, regions[region].pages);
	}
	offset %= regions[region].pages;
	return (struct range){start + offset,
	                      (unsigned)min_u64(wanted, regions[region].pages - offset)};
}

/* Random sequences: the checker */

static bool is_ancestor(const struct world *world, int ancestor, int space)
{
	int i;

	for (i = world->spaces[space].parent; i >= 0; i = world->spaces[i].parent) {
		if (i == ancestor)
			return true;
	}
	return false;
}

static void claim(struct world *world, uint32_t frame, unsigned level, int owner)
{
	CHECK(world->machine.state[frame] == FRAME_USED);
	CHECK(world->owner[frame] == -1);
	world->owner[frame] = owner;
	world->owner_level[frame] = level;
}

/* First pass: whose is each table, by the links alone. Returns how many. */
static uint32_t claim_tables(struct world *world, gpa_t table, unsigned level, int owner, bool frozen)
{
	uint32_t frame = frame_index(table), count = 1;
	unsigned i;

	claim(world, frame, level, owner);
	for (i = 0; level > 1 && i < 512; i++) {
		uint64_t entry = world->machine.real[frame][i];

		if (!(entry & P) || (level == 2 && (entry & PS)) || (level == 4 && (entry & S3)))
			continue;
		if (entry & (frozen ? S2 : S1))
			continue;
		count += claim_tables(world, gpa(entry & FRAME), level - 1, owner, frozen);
	}
	return count;
}

struct scan {
	struct world *world;
	struct space *space;
	int index;
	bool seen[PAGES];
	struct record records[RECORDS];
	size_t record_count;
};

static void scan_record(struct scan *scan, uint64_t address, unsigned level, uint64_t entry)
{
	CHECK(scan->record_count < RECORDS);
	scan->records[scan->record_count++] = (struct record){address, entry & ~(S1 | S2 | S3),
	                                                      level};
}

static uint32_t raw_flags(uint64_t entry)
{
	return (entry & U ? MAPPING_USER : 0) | (entry & W ? MAPPING_WRITE : 0) |
	       (entry & NX ? 0 : MAPPING_EXECUTE) | (entry & S2 ? MAPPING_COPY_ON_WRITE : 0) |
	       (entry & S3 ? MAPPING_BORROWED : 0);
}

static void scan_leaf(struct scan *scan, uint64_t address, unsigned level, uint64_t entry,
                      uint64_t granted)
{
	uint64_t frame = entry & FRAME, pages = level == 2 ? 512 : 1, i;

	CHECK(entry & A);
	CHECK(!(entry & W) == !(entry & D));
	CHECK(!(entry & S1));
	CHECK(!(entry & S2) || ((entry & S3) && !(entry & W)));
	CHECK(!(entry & S3) || !(entry & W));
	/* The permissions of the links take nothing away. */
	CHECK((entry & (W | U) & ~granted) == 0);
	CHECK(level == 1 || (frame & (2 * MIB - 1)) == 0);
	CHECK(frame + pages * PAGE <= DATA_PAGES * PAGE);
	for (i = 0; i < pages; i++) {
		int index = page_index(address + i * PAGE);
		const struct page *page = &scan->space->pages[index < 0 ? 0 : index];

		CHECK(index >= 0);
		CHECK(page->present && !scan->seen[index]);
		CHECK(page->frame == frame + i * PAGE);
		CHECK(page->flags == raw_flags(entry));
		scan->seen[index] = true;
	}
}

/* What the shadow MMU believes of an entry must be so. */
static void check_shadow(uint64_t shadow, uint64_t entry)
{
	if (shadow & P)
		CHECK(((shadow ^ entry) & ~(S1 | S2 | S3)) == 0);
	else if (shadow)
		CHECK((entry & (P | PS)) == (P | PS) && ((entry ^ shadow) & FRAME) == 0);
}

static void check_link(const struct scan *scan, uint64_t entry, bool in_own_table, unsigned level)
{
	const struct space *space = scan->space;
	uint64_t bits = entry & ~FRAME & ~S2;
	bool own = in_own_table && !(entry & (space->frozen ? S2 : S1));
	uint32_t frame = frame_index(gpa(entry & FRAME));
	int owner = scan->world->owner[frame];

	CHECK(scan->world->owner_level[frame] == level - 1);
	if (in_own_table && !space->frozen && own) {
		CHECK((entry & ~FRAME) == (P | W | U | A));
	} else {
		CHECK(bits == (P | U | A | S1));
	}
	if (own) {
		CHECK(owner == scan->index);
	} else {
		CHECK(owner >= 0 && is_ancestor(scan->world, owner, scan->index));
	}
}

static void check_kernel_entry(const struct scan *scan, uint64_t entry, unsigned index)
{
	CHECK(index == KERNEL_INDEX && scan->space->kernel >= 0);
	CHECK(entry ==
	      (pagetable_root_entry(&scan->world->kernels[scan->space->kernel], KERNEL_INDEX) | S3));
}

/* Second pass: every entry that can be reached. */
static void scan_table(struct scan *scan, gpa_t table, unsigned level, uint64_t base, bool own,
                       uint64_t granted)
{
	const uint64_t *real = scan->world->machine.real[frame_index(table)];
	const uint64_t *shadow = scan->world->machine.shadow[frame_index(table)];
	unsigned i;

	for (i = 0; i < 512; i++) {
		uint64_t entry = real[i];
		uint64_t address = base + ((uint64_t)i << (12 + 9 * (level - 1)));

		if (shadow[i])
			check_shadow(shadow[i], entry);
		if (!entry)
			continue;
		CHECK(entry & P);
		if (level == 4 && i >= 256)
			address |= UINT64_C(0xffff) << 48;
		scan_record(scan, address, level, entry);
		if (level == 1 || (level == 2 && (entry & PS))) {
			scan_leaf(scan, address, level, entry, granted);
		} else if (level == 4 && (entry & S3)) {
			check_kernel_entry(scan, entry, i);
		} else {
			check_link(scan, entry, own, level);
			scan_table(scan, gpa(entry & FRAME), level - 1, address,
			           own && !(entry & (scan->space->frozen ? S2 : S1)),
			           granted & entry);
		}
	}
}

/* As long as the generation stays, every entry that was present still is the same. */
static void check_generation(struct scan *scan)
{
	struct space *space = scan->space;
	size_t i, k = 0;

	CHECK(space->pt.generation >= space->generation);
	if (space->pt.generation == space->generation) {
		for (i = 0; i < space->record_count; i++, k++) {
			const struct record *old = &space->records[i];

			while (k < scan->record_count && (scan->records[k].address != old->address ||
			                                  scan->records[k].level != old->level))
				k++;
			CHECK(k < scan->record_count && scan->records[k].entry == old->entry);
		}
	}
	space->generation = space->pt.generation;
	memcpy(space->records, scan->records, scan->record_count * sizeof(struct record));
	space->record_count = scan->record_count;
}

static uint64_t space_digest(const struct world *world, int index)
{
	uint64_t hash = 0, i;

	for (i = 0; i < POOL_FRAMES; i++) {
		if (world->owner[i] == index)
			hash = hash_words(hash_words(hash, &i, 1), world->machine.real[i], 512);
	}
	return hash;
}

struct visit {
	struct world *world;
	int index;
	uint32_t count;
};

static int check_visited_table(void *context, gpa_t table, unsigned level)
{
	struct visit *visit = context;
	struct world *world = visit->world;
	uint32_t frame = frame_index(table);
	unsigned i;

	CHECK(!world->visited[frame]);
	CHECK(world->owner[frame] == visit->index);
	CHECK(world->owner_level[frame] == level);
	for (i = 0; level > 1 && i < 512; i++) {
		uint64_t entry = world->machine.real[frame][i];

		if (!(entry & P) || (entry & PS) || (level == 4 && (entry & S3)))
			continue;
		frame = frame_index(gpa(entry & FRAME));
		CHECK(world->owner[frame] != visit->index || world->visited[frame]);
		frame = frame_index(table);
	}
	world->visited[frame] = true;
	visit->count++;
	return 0;
}

struct walk {
	const struct space *space;
	unsigned next; /* the first page not accounted for yet */
	unsigned kernel_leaves;
};

static int check_walked_leaf(void *context, gva_t address, const struct mapping *mapping)
{
	struct walk *walk = context;
	uint64_t pages = mapping_length(mapping->level) / PAGE, i;
	int index = page_index(address.value);

	if (address.value == KERNEL_ADDRESS) {
		walk->kernel_leaves++;
		return 0;
	}
	CHECK(index >= (int)walk->next);
	while (walk->next < (unsigned)index)
		CHECK(!walk->space->pages[walk->next++].present);
	for (i = 0; i < pages; i++) {
		const struct page *page = &walk->space->pages[walk->next++];

		CHECK(page->present && page->frame == mapping->frame.value + i * PAGE);
		CHECK(page->flags == mapping->flags);
	}
	return 0;
}

/* The module's own reading functions against the model. */
static void check_reading(const struct space *space)
{
	struct walk walk = {.space = space};
	struct mapping m;
	unsigned i;

	CHECK(pagetable_walk(&space->pt, gva(0), HALF, check_walked_leaf, &walk) == 0);
	CHECK(pagetable_walk(&space->pt, gva(UPPER), HALF, check_walked_leaf, &walk) == 0);
	while (walk.next < PAGES)
		CHECK(!space->pages[walk.next++].present);
	CHECK(walk.kernel_leaves == (space->kernel >= 0));
	for (i = 0; i < PAGES; i++) {
		gva_t address = gva(page_address(i) + i);
		int result = pagetable_lookup(&space->pt, address, &m);

		CHECK(result == (space->pages[i].present ? 0 : -ENOENT));
		if (result)
			continue;
		CHECK(mapping_translate(&m, address).value == space->pages[i].frame + i);
		CHECK(m.flags == space->pages[i].flags);
	}
	CHECK(pagetable_lookup(&space->pt, gva(KERNEL_ADDRESS), &m) ==
	      (space->kernel >= 0 ? 0 : -ENOENT));
}

static void check_space(struct world *world, int index)
{
	static struct scan scan;
	struct space *space = &world->spaces[index];
	struct visit visit = {.world = world, .index = index};
	unsigned i;

	memset(&scan, 0, sizeof(scan));
	scan.world = world;
	scan.space = space;
	scan.index = index;
	CHECK(space->pt.frozen == space->frozen);
	scan_record(&scan, 0, 5, space->pt.root.value);
	scan_table(&scan, space->pt.root, 4, 0, true, W | U);
	for (i = 0; i < PAGES; i++)
		CHECK(scan.seen[i] == space->pages[i].present);
	CHECK((space->kernel >= 0) ==
	      (world->machine.real[frame_index(space->pt.root)][KERNEL_INDEX] != 0));
	check_generation(&scan);
	CHECK(pagetable_visit_tables(&space->pt, check_visited_table, &visit) == 0);
	CHECK(visit.count == space->client.held);
	CHECK(pagetable_count_tables(&space->pt) == visit.count);
	if (space->frozen && !space->frozen_digest)
		space->frozen_digest = space_digest(world, index);
	if (space->frozen)
		CHECK(space->frozen_digest == space_digest(world, index));
}

/* Everything, and for the space that was worked on also what the module reads. */
static void check_world(struct world *world, int changed)
{
	uint32_t tables = 0;
	int i;

	for (i = 0; i < (int)POOL_FRAMES; i++)
		world->owner[i] = -1;
	memset(world->visited, 0, sizeof(world->visited));
	for (i = 0; i < KERNELS; i++)
		tables += claim_tables(world, world->kernels[i].root, 4, SPACES + i, false);
	for (i = 0; i < SPACES; i++) {
		struct space *space = &world->spaces[i];
		uint32_t own = 0;

		if (space->live)
			own = claim_tables(world, space->pt.root, 4, i, space->frozen);
		CHECK(own == space->client.held);
		tables += own;
	}
	CHECK(tables == world->machine.used);
	for (i = 0; i < SPACES; i++) {
		if (world->spaces[i].live)
			check_space(world, i);
	}
	if (changed >= 0 && world->spaces[changed].live)
		check_reading(&world->spaces[changed]);
}

/* Random sequences: the operations. Each returns what the module did. */

struct operation {
	struct world *world;
	int index;
	struct space *space;
	struct range range;
	uint32_t flags;
	uint64_t frame;
	bool remove;
	bool called_back;
	bool pending[PAGES]; /* pages that must be reported as changed */
	int kernel;
	int target;
};

static uint32_t model_protect(uint32_t old, uint32_t flags)
{
	bool borrowed = (old & MAPPING_BORROWED) ||
	                (flags & (MAPPING_BORROWED | MAPPING_COPY_ON_WRITE));
	bool writes = flags & (MAPPING_WRITE | MAPPING_COPY_ON_WRITE);
	uint32_t result = flags & (MAPPING_USER | MAPPING_EXECUTE);

	if (writes)
		result |= borrowed ? MAPPING_COPY_ON_WRITE : MAPPING_WRITE;
	return borrowed ? result | MAPPING_BORROWED : result;
}

static uint64_t range_address(const struct operation *op)
{
	return page_address(op->range.first);
}

static void choose_map(struct operation *op)
{
	struct world *world = op->world;

	op->range = pick_range(world);
	op->flags = pick_flags(world);
	op->frame = pick(world, DATA_PAGES - 1030 - 512) * PAGE;
	if (pick(world, 4))
		op->flags |= MAPPING_ALLOW_LARGE;
	/* Frames that lie to 2 MiB as the addresses do. */
	if (pick(world, 4))
		op->frame = (op->frame & ~(2 * MIB - 1)) | (range_address(op) & (2 * MIB - 1));
}

static int run_map(struct operation *op)
{
	struct space *space = op->space;
	bool exists = false;
	unsigned i;
	int result;

	for (i = 0; i < op->range.count; i++)
		exists |= space->pages[op->range.first + i].present;
	result = pagetable_map(&space->pt, gva(range_address(op)), gpa(op->frame),
	                       op->range.count * PAGE, op->flags);
	if (result == -ENOMEM)
		return result;
	CHECK(result == (space->frozen ? -EROFS : exists ? -EEXIST : 0));
	for (i = 0; result == 0 && i < op->range.count; i++) {
		struct page *page = &space->pages[op->range.first + i];

		*page = (struct page){true, op->frame + i * PAGE,
		                      model_protect(0, op->flags & ~MAPPING_ALLOW_LARGE)};
	}
	return result;
}

static void check_change(void *context, gva_t address, const struct mapping *before,
                         const struct mapping *after)
{
	struct operation *op = context;
	uint64_t pages = mapping_length(before->level) / PAGE, i;
	int index = page_index(address.value);

	op->called_back = true;
	CHECK(index >= 0);
	CHECK(!after == op->remove);
	CHECK(!after || (after->frame.value == before->frame.value && after->level == before->level));
	for (i = 0; i < pages; i++, index++) {
		const struct page *page = &op->space->pages[index];

		CHECK(op->pending[index]);
		op->pending[index] = false;
		CHECK(page->frame == before->frame.value + i * PAGE);
		CHECK(page->flags == before->flags);
		CHECK(!after || after->flags == model_protect(page->flags, op->flags));
	}
	note_invalid(&op->world->machine, before->frame.value, pages * PAGE);
}

static void choose_edit(struct operation *op)
{
	op->range = pick_range(op->world);
	op->flags = pick_flags(op->world);
	/* The whole lower half. */
	if (!pick(op->world, 40))
		op->range = (struct range){0, PAGES - 6};
}

static void expect_changes(struct operation *op)
{
	unsigned i;

	memset(op->pending, 0, sizeof(op->pending));
	op->called_back = false;
	for (i = op->range.first; i < op->range.first + op->range.count; i++) {
		const struct page *page = &op->space->pages[i];

		op->pending[i] = page->present &&
		                 (op->remove || model_protect(page->flags, op->flags) != page->flags);
	}
}

static int run_edit(struct operation *op, bool remove)
{
	struct space *space = op->space;
	uint64_t length = op->range.count == PAGES - 6 ? HALF : op->range.count * PAGE;
	gva_t address = gva(op->range.count == PAGES - 6 ? 0 : range_address(op));
	unsigned i;
	int result;

	op->remove = remove;
	expect_changes(op);
	result = remove ? pagetable_unmap(&space->pt, address, length, check_change, op)
	                : pagetable_protect(&space->pt, address, length, op->flags, check_change, op);
	CHECK(result == (space->frozen ? -EROFS : 0) || result == -ENOMEM);
	CHECK(!result || !op->called_back);
	for (i = op->range.first; !result && i < op->range.first + op->range.count; i++) {
		struct page *page = &space->pages[i];

		CHECK(!op->pending[i]);
		if (page->present && remove)
			*page = (struct page){0};
		else if (page->present)
			page->flags = model_protect(page->flags, op->flags);
	}
	drop_invalid(&op->world->machine);
	return result;
}

static int run_unmap(struct operation *op)
{
	return run_edit(op, true);
}

static int run_protect(struct operation *op)
{
	return run_edit(op, false);
}

/* Operations on one path change nothing at all when they fail. */
static int intact_on_failure(struct operation *op, int result, uint64_t digest, gpa_t root)
{
	if (result == -ENOMEM) {
		CHECK(machine_digest(&op->world->machine) == digest);
		CHECK(op->space->pt.root.value == root.value);
	}
	return result;
}

static void choose_page(struct operation *op)
{
	op->range = pick_range(op->world);
	op->flags = pick_flags(op->world);
	op->frame = pick(op->world, DATA_PAGES) * PAGE;
}

static int run_replace(struct operation *op)
{
	struct space *space = op->space;
	struct page *page = &space->pages[op->range.first];
	uint64_t digest = machine_digest(&op->world->machine);
	gpa_t root = space->pt.root;
	int result;

	result = pagetable_replace(&space->pt, gva(range_address(op)), gpa(op->frame), op->flags);
	if (result == -ENOMEM)
		return intact_on_failure(op, result, digest, root);
	CHECK(result == (space->frozen ? -EROFS : page->present ? 0 : -ENOENT));
	if (result == 0) {
		note_invalid(&op->world->machine, page->frame, PAGE);
		drop_invalid(&op->world->machine);
		*page = (struct page){true, op->frame, model_protect(0, op->flags)};
	}
	return result;
}

static int run_own_path(struct operation *op)
{
	struct space *space = op->space;
	uint64_t digest = machine_digest(&op->world->machine);
	gpa_t root = space->pt.root;
	int result = pagetable_own_path(&space->pt, gva(range_address(op)));

	CHECK(result == (space->frozen ? -EROFS : 0) || result == -ENOMEM);
	return intact_on_failure(op, result, digest, root);
}

/* Whatever was done before, the tables that are left are those that its leaves ask for. */
static int run_rejoin(struct operation *op)
{
	struct space *space = op->space;
	struct machine *machine = &op->world->machine;
	uint64_t digest = machine_digest(machine);
	uint32_t held = space->client.held;
	gpa_t root = space->pt.root;
	const struct pagetable *parent;
	int result;

	if (space->parent < 0)
		return 0;
	parent = &op->world->spaces[space->parent].pt;
	result = pagetable_rejoin(&space->pt, parent, gva(range_address(op)));
	CHECK(result == (space->frozen ? -EROFS : 0) || result == -ENOMEM);
	if (result)
		return intact_on_failure(op, result, digest, root);
	CHECK(space->client.held <= held);
	digest = machine_digest(machine);
	CHECK(pagetable_rejoin(&space->pt, parent, gva(range_address(op))) == 0);
	CHECK(machine_digest(machine) == digest);
	return 0;
}

static int run_freeze(struct operation *op)
{
	struct space *space = op->space;
	uint64_t digest = machine_digest(&op->world->machine);
	gpa_t root = space->pt.root;
	int result = pagetable_freeze(&space->pt);
	unsigned i;

	CHECK(result == (space->frozen ? -EROFS : 0) || result == -ENOMEM);
	for (i = 0; !result && i < PAGES; i++) {
		struct page *page = &space->pages[i];

		if (page->present && (page->flags & MAPPING_WRITE))
			note_invalid(&op->world->machine, page->frame, PAGE);
		if (page->present)
			page->flags = model_protect(MAPPING_BORROWED, page->flags);
	}
	drop_invalid(&op->world->machine);
	if (!result)
		space->frozen = true;
	return intact_on_failure(op, result, digest, root);
}

static void choose_target(struct operation *op)
{
	op->target = (int)pick(op->world, SPACES);
}

static void start_space(struct world *world, int index, int parent)
{
	struct space *space = &world->spaces[index];

	space->live = true;
	space->frozen = false;
	space->frozen_digest = 0;
	space->parent = parent;
	space->kernel = parent < 0 ? -1 : world->spaces[parent].kernel;
	space->generation = 0;
	space->record_count = 0;
	memset(space->pages, 0, sizeof(space->pages));
	if (parent >= 0)
		memcpy(space->pages, world->spaces[parent].pages, sizeof(space->pages));
}

static int run_share(struct operation *op)
{
	struct world *world = op->world;
	struct space *target = &world->spaces[op->target];
	uint64_t digest = machine_digest(&world->machine);
	int result;

	if (target->live)
		return 0;
	result = pagetable_share(&op->space->pt, &target->pt, &target->client);
	CHECK(result == (op->space->frozen ? 0 : -EINVAL) || result == -ENOMEM);
	if (result)
		CHECK(!target->pt.ops);
	else
		start_space(world, op->target, op->index);
	return intact_on_failure(op, result, digest, op->space->pt.root);
}

static void run_destroy(struct world *world, int index)
{
	struct space *space = &world->spaces[index];
	int i;

	for (i = 0; i < SPACES; i++) {
		if (world->spaces[i].live && world->spaces[i].parent == index)
			return;
	}
	pagetable_destroy(&space->pt);
	space->live = false;
	CHECK(space->client.held == 0);
}

static void choose_kernel(struct operation *op)
{
	op->kernel = (int)pick(op->world, KERNELS + 1) - 1;
}

static int run_root_entry(struct operation *op)
{
	struct space *space = op->space;
	uint64_t digest = machine_digest(&op->world->machine), entry = 0;
	gpa_t root = space->pt.root;
	int result;

	if (op->kernel >= 0)
		entry = pagetable_root_entry(&op->world->kernels[op->kernel], KERNEL_INDEX);
	result = pagetable_set_root_entry(&space->pt, KERNEL_INDEX, entry);
	CHECK(result == (space->frozen ? -EROFS : 0) || result == -ENOMEM);
	if (!result) {
		space->kernel = op->kernel;
		if (op->kernel >= 0)
			CHECK(unmap(&space->pt, UPPER, HALF) == -EPERM);
	}
	return intact_on_failure(op, result, digest, root);
}

/* A processor runs: what it sees, through all it cached, is what the model says. */
static void run_accesses(struct world *world, const struct space *space)
{
	unsigned count = 1 + pick(world, 12);

	while (count--) {
		struct range range = pick_range(world);
		const struct page *page = &space->pages[range.first];
		uint64_t leaf = shadow_translate(&world->machine, space->pt.root,
		                                 page_address(range.first));

		CHECK(!leaf == !page->present);
		if (!leaf)
			continue;
		CHECK((leaf & FRAME) == page->frame);
		CHECK(((raw_flags(leaf) ^ page->flags) & PERMISSIONS) == 0);
	}
	if (space->kernel >= 0)
		CHECK((shadow_translate(&world->machine, space->pt.root, KERNEL_ADDRESS) & FRAME) ==
		      (uint64_t)space->kernel * PAGE);
}

static const struct {
	void (*choose)(struct operation *op);
	int (*run)(struct operation *op);
	uint32_t weight;
} operations[OPERATIONS] = {
	{choose_map, run_map, 30},      {choose_edit, run_unmap, 20},
	{choose_edit, run_protect, 20}, {choose_page, run_replace, 25},
	{choose_page, run_own_path, 8}, {choose_page, run_freeze, 4},
	{choose_target, run_share, 12}, {choose_kernel, run_root_entry, 6},
	{choose_page, run_rejoin, 10},
};

static size_t pick_operation(struct world *world)
{
	uint32_t total = 0, chosen;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	chosen = pick(world, total);
	for (i = 0; chosen >= operations[i].weight; i++)
		chosen -= operations[i].weight;
	return i;
}

/* Sometimes the first allocation fails, then the second, until the operation succeeds. */
static void run_operation(struct world *world, int index)
{
	struct operation op = {.world = world, .index = index, .space = &world->spaces[index]};
	size_t kind = pick_operation(world);
	bool faults = pick(world, 3) == 0;
	uint32_t n;
	int result = -ENOMEM;

	operations[kind].choose(&op);
	for (n = 0; result == -ENOMEM; n++) {
		world->machine.fail_in = faults ? n : NEVER;
		result = operations[kind].run(&op);
		world->machine.fail_in = NEVER;
		CHECK(faults || result != -ENOMEM);
		if (result == -ENOMEM)
			check_world(world, index);
	}
	if (n > 1)
		world->failures++;
	if (result == 0)
		world->successes[kind]++;
}

static void run_step(struct world *world)
{
	int index = (int)pick(world, SPACES);
	struct space *space = &world->spaces[index];

	if (!space->live) {
		if (pick(world, 4) == 0) {
			CHECK(pagetable_create(&space->pt, &ops, &space->client) == 0);
			start_space(world, index, -1);
		}
	} else if (pick(world, 60) == 0) {
		run_destroy(world, index);
	} else if (pick(world, 4) == 0) {
		run_accesses(world, space);
	} else {
		run_operation(world, index);
	}
	if (pick(world, 100) == 0 || world->machine.used > POOL_FRAMES / 4)
		drop_shadow(&world->machine);
	check_world(world, index);
}

static void start_world(struct world *world, uint64_t seed)
{
	int i;

	memset(world, 0, sizeof(*world));
	world->machine.fail_in = NEVER;
	world->random = seed;
	world->kernel_client.machine = &world->machine;
	for (i = 0; i < SPACES; i++)
		world->spaces[i].client.machine = &world->machine;
	for (i = 0; i < KERNELS; i++) {
		CHECK(pagetable_create(&world->kernels[i], &ops, &world->kernel_client) == 0);
		CHECK(map(&world->kernels[i], KERNEL_ADDRESS, (uint64_t)i * PAGE, PAGE,
		          MAPPING_WRITE) == 0);
	}
}

static void finish_world(struct world *world)
{
	int i, round;

	/* Children before the spaces they share with. */
	for (round = 0; round < SPACES; round++) {
		for (i = 0; i < SPACES; i++) {
			if (world->spaces[i].live)
				run_destroy(world, i);
		}
	}
	for (i = 0; i < KERNELS; i++)
		pagetable_destroy(&world->kernels[i]);
	CHECK(world->machine.used == 0);
	CHECK(world->kernel_client.held == 0);
}

static void run_sequence(struct world *world, uint64_t seed, unsigned steps)
{
	unsigned i;

	current_seed = seed;
	current_step = 0;
	start_world(world, seed);
	for (current_step = 1; current_step <= steps; current_step++)
		run_step(world);
	/* The sequence did something of everything, failures included. */
	for (i = 0; steps >= 500 && i < OPERATIONS; i++)
		CHECK(world->successes[i] > 0);
	CHECK(steps < 500 || world->failures > 0);
	finish_world(world);
}

static void test_random_sequences(void **state)
{
	const uint64_t seeds[] = {1, 20240229, 0xfeedface};
	uint64_t seed = sequence_setting("PAGETABLE_SEED", 0);
	unsigned steps = (unsigned)sequence_setting("PAGETABLE_STEPS", 800);
	struct world *world = malloc(sizeof(*world));
	size_t i;

	(void)state;
	assert_non_null(world);
	if (seed)
		run_sequence(world, seed, steps);
	for (i = 0; !seed && i < ARRAY_SIZE(seeds); i++)
		run_sequence(world, seeds[i], steps);
	free(world);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_create_errors),
		UNIT(test_destroy_accepts_nothing),
		UNIT(test_not_created),
		UNIT(test_bad_ranges),
		UNIT(test_bad_addresses),
		UNIT(test_bad_frames),
		UNIT(test_bad_flags),
		UNIT(test_table_window_is_refused),
		UNIT(test_entry_bits),
		UNIT(test_map_extremes),
		UNIT(test_map_across_boundaries),
		UNIT(test_map_large),
		UNIT(test_map_exists),
		UNIT(test_map_out_of_memory),
		UNIT(test_unmap),
		UNIT(test_unmap_splits),
		UNIT(test_edit_out_of_memory),
		UNIT(test_protect),
		UNIT(test_protect_never_writes_borrowed_frames),
		UNIT(test_replace),
		UNIT(test_walk),
		UNIT(test_visit_tables),
		UNIT(test_root_entry_errors),
		UNIT(test_verbatim_is_not_edited),
		UNIT(test_effective_permissions),
		UNIT(test_leaves_of_others),
		UNIT(test_verbatim_survives_freeze_and_share),
		UNIT(test_rejoin),
		UNIT(test_rejoin_leaves_what_differs),
		UNIT(test_rejoin_stale),
		UNIT(test_frozen_refuses_edits),
		UNIT(test_freeze_bits),
		UNIT(test_share_errors),
		UNIT(test_child_copies_what_it_edits),
		UNIT(test_generation_counts_links),
		UNIT(test_child_holes_cost_nothing),
		UNIT(test_child_edits_across_tables),
		UNIT(test_child_maps_over_an_empty_shared_table),
		UNIT(test_fork_of_a_fork),
		UNIT(test_own_path),
		UNIT(test_stale_in_place),
		UNIT(test_stale_split_moves_up_to_the_root),
		UNIT(test_stale_moves_no_further_than_needed),
		UNIT(test_renew_path),
		UNIT(test_renew_path_above_the_lowest_tables),
		UNIT(test_dirty_bits),
		UNIT(test_stale_large_leaf_is_not_removed_in_place),
		UNIT(test_stale_freeze),
		UNIT(test_stale_root_entry),
		UNIT(test_never_stale_without_the_op),
		cmocka_unit_test(test_random_sequences),
	};

	return cmocka_run_group_tests_name("pagetable", tests, NULL, NULL);
}
