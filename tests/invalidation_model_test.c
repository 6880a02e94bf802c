/* SPDX-License-Identifier: MIT */
/*
 * The rules of invalidate.h against processors that cache everything. Spaces,
 * page tables and frames are the library's own; KVM is not there. In its place
 * simulated processors walk the tables, keep all they ever read, read ahead
 * whatever they could reach, and forget only what the module orders: a CR3 that
 * differs, a host page given back or protected, a memory slot that goes. Long
 * random sequences of edits, runs, resets and moves from one processor to
 * another follow; every access is compared with what the page should hold.
 *
 * Then each rule is left out, one at a time: the same sequences must notice.
 *
 * MODEL_SEED and MODEL_STEPS in the environment choose another sequence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "invalidate.h"
#include "layout.h"
#include "machine.h"
#include "sequence.h"
#include "space.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define CPUS 3u
#define FORKS 6u
#define REGIONS 5u
#define REGION_PAGES 8u
#define PAGES (REGIONS * REGION_PAGES)
#define PAGE_LIMIT 4096u
#define LEARNED_PAGES 24u
/* Of lower seeds, every other one learns: not those that leave out a rule. */
#define LEARNING_SEEDS 200u
#define STEPS 4000u
/* Times that the host may refuse: frames that it will not discard are lost. */
#define REFUSALS 60u

/* Few enough frames for all to be used again and again. */
#define DATA_BYTES (UINT64_C(4) << 20)
#define TABLE_BYTES (UINT64_C(2) << 20)

/* Regions that share tables of every level, and none. */
static const uint64_t region_start[REGIONS] = {0x400000, 0x600000, 0x40000000, 0x8000000000,
                                               0x8000200000};

enum kind {
	WALKED,
	SHADOW,
	KINDS
};
static const char *const kind_names[KINDS] = {"walked", "shadow"};

/* One entry that a processor, or the shadow, has read. */
struct known {
	uint64_t place; /* WALKED: prefix of the address; SHADOW: gpa of the entry */
	uint64_t entry;
	unsigned level;
};

struct cache {
	struct known known[4096];
	size_t count;
};

struct processor {
	struct cached_translations cached; /* what the library keeps of it */
	uint64_t cr3;
	struct cache tlb; /* WALKED */
};

struct page_model {
	bool mapped;
	bool untouched; /* zeros in the program's memory, where the master has no page; not edited since */
	unsigned protection;
	uint64_t value;
};

struct member {
	struct space *space;
	struct page_model pages[PAGES];
	bool over; /* has to be reset */
};

struct model {
	enum kind kind;
	struct machine machine;
	struct host_behaviour host;
	uint32_t alive;
	struct member master;
	struct member forks[FORKS];
	struct processor processors[CPUS];
	struct cache shadow;
	unsigned fork, processor; /* that most steps are about, for a while */
	uint64_t random, values, steps;
	const char *step;
	unsigned refusals; /* left */
	bool refuse_all;
	char problem[200]; /* what was seen that must not be; "" so far */
	bool noisy;
};

/* For the functions below that stand in for the host's; NULL: none is running. */
static struct model *running;

static unsigned below(struct model *model, unsigned limit)
{
	return sequence_below(&model->random, limit);
}

static gva_t address_of(unsigned page)
{
	return gva(region_start[page / REGION_PAGES] + page % REGION_PAGES * PAGE_SIZE);
}

__attribute__((format(printf, 2, 3))) static void problem(struct model *model, const char *format, ...)
{
	va_list arguments;

	if (model->problem[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(model->problem, sizeof(model->problem), format, arguments);
	va_end(arguments);
	if (model->noisy)
		print_error("%s, step %" PRIu64 " (%s): %s\n", kind_names[model->kind],
		            model->steps, model->step, model->problem);
}

/* What processors know. */

static struct known *find(struct cache *cache, uint64_t place, unsigned level)
{
	for (size_t i = 0; i < cache->count; i++)
		if (cache->known[i].place == place && cache->known[i].level == level)
			return &cache->known[i];
	return NULL;
}

static struct known *keep(struct cache *cache, uint64_t place, unsigned level, uint64_t entry)
{
	struct known *known = find(cache, place, level);

	if (known == NULL) {
		/* One that is full forgets all, as processors may at any time. */
		cache->count = cache->count < ARRAY_SIZE(cache->known) ? cache->count : 0;
		known = &cache->known[cache->count++];
	}
	*known = (struct known){.place = place, .entry = entry, .level = level};
	return known;
}

static void forget_frames(struct cache *cache, uint64_t first, uint64_t end)
{
	for (size_t i = 0; i < cache->count;) {
		struct known *known = &cache->known[i];
		uint64_t frame = known->entry & PTE_ADDRESS;

		if (known->level == 1 && frame >= first && frame < end)
			*known = cache->known[--cache->count];
		else
			i++;
	}
}

/* The MMU notifier: the host's pages behind these frames went, or lost a permission. */
static void notify(const void *host, size_t length)
{
	struct memory_window *data;
	uint64_t offset;

	if (running == NULL)
		return;
	data = &running->machine.memory.data;
	offset = (uint64_t)((const uint8_t *)host - data->host);
	if (data->host == NULL || offset >= data->reserved)
		return;
	forget_frames(&running->shadow, data->base + offset, data->base + offset + length);
	for (unsigned i = 0; i < CPUS; i++)
		forget_frames(&running->processors[i].tlb, data->base + offset,
		              data->base + offset + length);
}

int __real_madvise(void *address, size_t length, int advice);
int __real_mprotect(void *address, size_t length, int protection);
int __wrap_madvise(void *address, size_t length, int advice);
int __wrap_mprotect(void *address, size_t length, int protection);
int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host);

/* A host whose memory is locked, or used up. */
static bool refuses(void)
{
	if (running == NULL)
		return false;
	errno = EINVAL;
	if (running->refuse_all)
		return true;
	if (running->refusals == 0 || below(running, 100) != 0)
		return false;
	running->refusals--;
	return true;
}

int __wrap_madvise(void *address, size_t length, int advice)
{
	if ((advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED) && refuses())
		return -1;
	if (advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED)
		notify(address, length);
	return __real_madvise(address, length, advice);
}

int __wrap_mprotect(void *address, size_t length, int protection)
{
	if ((protection & PROT_WRITE) == 0)
		notify(address, length);
	return __real_mprotect(address, length, protection);
}

int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	(void)vm;
	(void)gpa;
	(void)host;
	if (slot != 0)
		return 0;
	if (refuses())
		return -ENOMEM;
	if (size == 0 && running != NULL)
		running->shadow.count = 0;
	return 0;
}

/* Walks. */

static uint64_t *entry_in(struct model *model, uint64_t table, uint64_t address, unsigned level)
{
	static uint64_t nothing;
	uint64_t *entries = memory_table(&model->machine.memory, gpa(table & PTE_ADDRESS));

	if (entries == NULL) {
		problem(model, "%#" PRIx64 " is no table", table & PTE_ADDRESS);
		return &nothing;
	}
	return entries + (address >> (PAGE_SHIFT + 9 * (level - 1)) & 511);
}

static uint64_t place_of(const struct model *model, uint64_t table, uint64_t address, unsigned level)
{
	uint64_t shift = PAGE_SHIFT + 9 * (level - 1);

	if (model->kind == WALKED)
		return address >> shift;
	return (table & PTE_ADDRESS) + (address >> shift & 511) * sizeof(uint64_t);
}

static struct cache *cache_of(struct model *model, struct processor *processor)
{
	return model->kind == WALKED ? &processor->tlb : &model->shadow;
}

/* A walk's result: rights of all levels, and the leaf. */
struct walk {
	bool present;
	uint64_t leaf;
	uint64_t rights; /* PTE_WRITE, PTE_USER */
	uint64_t table;  /* the one that the leaf was in */
};

/* What is known goes before what the tables say now; all that is read becomes known. */
static struct walk walk(struct model *model, struct processor *processor, uint64_t address)
{
	struct walk found = {.rights = PTE_WRITE | PTE_USER, .table = processor->cr3};
	struct cache *cache = cache_of(model, processor);

	for (unsigned level = PAGETABLE_ROOT_LEVEL;; level--) {
		uint64_t place = place_of(model, found.table, address, level);
		struct known *known = find(cache, place, level);
		uint64_t entry = known != NULL ? known->entry
		                               : *entry_in(model, found.table, address, level);

		if ((entry & PTE_PRESENT) == 0)
			return found;
		if (known == NULL)
			keep(cache, place, level, entry);
		found.rights &= entry;
		if (level == 1) {
			found.leaf = entry;
			found.present = true;
			return found;
		}
		found.table = entry & PTE_ADDRESS;
	}
}

/* Reads ahead all that the processor can reach from where it is. */
static void read_ahead(struct model *model, struct processor *processor)
{
	for (unsigned page = 0; page < PAGES; page++)
		walk(model, processor, address_of(page).value);
}

/*
 * KVM's way through a fault of its shadow: what the guest's own tables say now,
 * if that allows the access, becomes the leaf of the path that the shadow has.
 */
static void read_again(struct model *model, struct processor *processor, uint64_t address, bool write)
{
	struct walk shadow = walk(model, processor, address);
	uint64_t table = processor->cr3, rights = PTE_WRITE | PTE_USER, entry = 0;

	for (unsigned level = PAGETABLE_ROOT_LEVEL; level > 0; level--) {
		entry = *entry_in(model, table, address, level);
		if ((entry & PTE_PRESENT) == 0)
			return;
		rights &= entry;
		table = entry & PTE_ADDRESS;
	}
	if (shadow.present && (rights & PTE_USER) != 0 && (!write || (rights & PTE_WRITE) != 0))
		keep(&model->shadow, place_of(model, shadow.table, address, 1), 1, entry);
}

/* Sets the dirty bit as a processor does: in the table that it found the leaf in. */
static bool set_dirty(struct model *model, struct processor *processor, uint64_t address,
                      struct walk *found)
{
	uint64_t *entry = entry_in(model, found->table, address, 1);

	if ((found->leaf & PTE_DIRTY) != 0)
		return true;
	if ((*entry & PTE_PRESENT) == 0 || (*entry & PTE_WRITE) == 0)
		return false;
	*entry |= PTE_DIRTY;
	found->leaf = *entry;
	keep(&processor->tlb, place_of(model, found->table, address, 1), 1, *entry);
	return true;
}

static bool allowed(const struct walk *found, bool write)
{
	return found->present && (found->rights & PTE_USER) != 0 &&
	       (!write || (found->rights & PTE_WRITE) != 0);
}

/* The word that the access reaches, or NULL: a fault that the library sees. */
static uint64_t *access_page(struct model *model, struct processor *processor, uint64_t address,
                             bool write)
{
	struct walk found = walk(model, processor, address);
	uint64_t *word;

	if (!allowed(&found, write) && model->kind == SHADOW) {
		read_again(model, processor, address, write);
		found = walk(model, processor, address);
	}
	if (!allowed(&found, write))
		return NULL;
	if (write && model->kind == WALKED && !set_dirty(model, processor, address, &found))
		return NULL;
	word = memory_data(&model->machine.memory, gpa(found.leaf & PTE_ADDRESS));
	if (word == NULL)
		problem(model, "%#" PRIx64 " is no frame", found.leaf & PTE_ADDRESS);
	return word;
}

/* Runs. */

static void enter(struct model *model, struct processor *processor, struct member *member)
{
	uint64_t cr3;

	space_enter(member->space);
	cr3 = invalidate_entry(&model->machine.invalidator, &processor->cached,
	                       &member->space->translations);
	if (cr3 != processor->cr3)
		processor->tlb.count = 0;
	processor->cr3 = cr3;
	if (below(model, 2) == 0)
		read_ahead(model, processor);
}

static bool may(const struct page_model *page, bool write)
{
	return page->mapped && (page->protection & (write ? SPACE_WRITE : SPACE_READ)) != 0;
}

/* Nobody had it yet, or settling gave it back: as mm_fault() does. */
static int bring_in(struct model *model, struct member *member, unsigned page, bool write)
{
	const struct page_model *wanted = &member->pages[page];

	if (wanted->value != 0)
		problem(model, "page %u: its contents are gone", page);
	if (write || !wanted->untouched)
		return space_map(member->space, address_of(page), PAGE_SIZE, wanted->protection,
		                 wanted->untouched ? FRAME_RESTORED : FRAME_TAKEN);
	return space_map_zeros(member->space, address_of(page), PAGE_SIZE, wanted->protection);
}

/* As mm_fault(): 0 when there is a reason to try again. */
static int answer_fault(struct model *model, struct member *member, unsigned page, bool write)
{
	uint64_t copied = member->space->copied;
	unsigned protection;
	int result = 0;

	if (!space_lookup(member->space, address_of(page), &protection))
		return may(&member->pages[page], write) ? bring_in(model, member, page, write)
		                                        : -EFAULT;
	if ((protection & (write ? SPACE_WRITE : SPACE_READ)) == 0)
		return -EFAULT;
	if (write)
		result = space_make_private(member->space, address_of(page), true);
	if (result == 0 && member->space->copied == copied)
		invalidate_forget(&member->space->translations);
	return result;
}

/* A page fault may make its processor forget what it knows of the address, or not. */
static void forget_address(struct model *model, struct processor *processor, uint64_t address)
{
	struct known *known;

	if (model->kind == SHADOW || below(model, 2) == 0)
		return;
	for (unsigned level = PAGETABLE_ROOT_LEVEL; level > 0; level--) {
		known = find(&processor->tlb, place_of(model, 0, address, level), level);
		if (known != NULL)
			*known = processor->tlb.known[--processor->tlb.count];
	}
}

/* One access, with the faults on its way. False when the run is over. */
static bool use_page(struct model *model, struct processor *processor, struct member *member,
                     unsigned page, bool write)
{
	struct page_model *wanted = &member->pages[page];
	uint64_t address = address_of(page).value, *word;
	int answer;

	for (unsigned tries = 0; tries < 4; tries++) {
		word = access_page(model, processor, address, write);
		if (word != NULL)
			break;
		forget_address(model, processor, address);
		member->over = true;
		answer = answer_fault(model, member, page, write);
		if (answer == -EFAULT && may(wanted, write))
			problem(model, "page %u: refused", page);
		/* Or its time is over before the instruction is tried again. */
		if (answer < 0 || member->space->poisoned || below(model, 12) == 0)
			return false;
		member->over = false;
		enter(model, processor, member);
	}
	if (word == NULL) {
		problem(model, "page %u: faults without end", page);
		return false;
	}
	invalidate_went_on(&member->space->translations);
	if (!may(wanted, write))
		problem(model, "page %u: allowed", page);
	else if (write)
		*word = wanted->value = ++model->values;
	else if (*word != wanted->value)
		problem(model, "page %u: %" PRIu64 ", not %" PRIu64, page, *word, wanted->value);
	return true;
}

/* Mostly accesses that are allowed: others end the run. */
static void run_member(struct model *model, struct member *member, struct processor *processor)
{
	if (member->over || member->space->poisoned)
		return;
	enter(model, processor, member);
	for (unsigned i = 0; i < PAGES / 2; i++) {
		unsigned page = below(model, PAGES);
		bool write = below(model, 2) == 0;

		if (!may(&member->pages[page], write) && below(model, 20) != 0)
			continue;
		if (!use_page(model, processor, member, page, write))
			return;
	}
}

/* Steps: edits, as system calls make them between two entries. */

static struct member *some_fork(struct model *model)
{
	if (below(model, 8) == 0)
		model->fork = below(model, FORKS);
	return &model->forks[model->fork];
}

static struct processor *some_processor(struct model *model)
{
	if (below(model, 3) == 0)
		model->processor = below(model, CPUS);
	return &model->processors[model->processor];
}

static void step_run(struct model *model)
{
	run_member(model, some_fork(model), some_processor(model));
}

static void step_unmap(struct model *model)
{
	struct member *member = some_fork(model);
	unsigned first = below(model, PAGES), count = 1 + below(model, REGION_PAGES);

	if (count > REGION_PAGES - first % REGION_PAGES)
		count = REGION_PAGES - first % REGION_PAGES;
	if (space_unmap(member->space, address_of(first), count * PAGE_SIZE) < 0)
		return;
	for (unsigned i = 0; i < count; i++)
		member->pages[first + i] = (struct page_model){.mapped = false};
}

static void step_map(struct model *model)
{
	struct member *member = some_fork(model);
	unsigned page = below(model, PAGES);

	if (space_map(member->space, address_of(page), PAGE_SIZE, SPACE_READ | SPACE_WRITE,
	              FRAME_TAKEN) < 0)
		return;
	member->pages[page] = (struct page_model){.mapped = true,
	                                          .protection = SPACE_READ | SPACE_WRITE};
}

static void step_protect(struct model *model)
{
	static const unsigned protections[] = {0, SPACE_READ, SPACE_READ | SPACE_WRITE};
	struct member *member = some_fork(model);
	unsigned page = below(model, PAGES), protection = protections[below(model, 3)];

	if (space_protect(member->space, address_of(page), PAGE_SIZE, protection) < 0)
		return;
	member->pages[page].protection = protection;
	member->pages[page].untouched = false;
}

static void step_move(struct model *model)
{
	struct member *member = some_fork(model);
	unsigned from = below(model, PAGES), to = below(model, PAGES);

	if (!member->pages[from].mapped || member->pages[to].mapped ||
	    space_move(member->space, address_of(from), address_of(to), PAGE_SIZE) < 0)
		return;
	member->pages[to] = member->pages[from];
	member->pages[to].untouched = false;
	member->pages[from] = (struct page_model){.mapped = false};
}

/* A system call puts a result into the page. */
static void step_host_write(struct model *model)
{
	struct member *member = some_fork(model);
	unsigned page = below(model, PAGES);
	uint64_t length = sizeof(uint64_t);
	void *host;

	if (member->over || !may(&member->pages[page], true) ||
	    space_pin_write(member->space, address_of(page), &length, &host) < 0)
		return;
	member->pages[page].value = ++model->values;
	memcpy(host, &member->pages[page].value, sizeof(uint64_t));
}

static void as_the_master(struct model *model, struct member *member)
{
	memcpy(member->pages, model->master.pages, sizeof(member->pages));
	member->over = false;
}

static void step_reset(struct model *model)
{
	struct member *member = some_fork(model);

	member->over = true;
	if (space_reset(member->space) == 0)
		as_the_master(model, member);
}

static void step_replace(struct model *model)
{
	struct member *member = some_fork(model);
	unsigned left;

	space_destroy(member->space);
	member->space = NULL;
	do
		left = model->refusals;
	while (space_fork(&member->space, model->master.space) < 0 && left > 0);
	assert_non_null(member->space);
	as_the_master(model, member);
}

/* The fork reaches its limit, or has room again. */
static void step_limit(struct model *model)
{
	struct space *space = some_fork(model)->space;

	space->page_limit = below(model, 3) == 0 ? space->frame_count + space->table_count + 2
	                                         : PAGE_LIMIT;
}

/* What it can do without goes, however far from its limit it is. */
static void step_settle(struct model *model)
{
	space_settle(some_fork(model)->space);
}

/* A vCPU was cleaned: what it holds is not known. */
static void step_clean(struct model *model)
{
	model->processors[below(model, CPUS)].cached.serial = 0;
}

/* Resets and runs without an end in between: what keeps pages. */
static void step_requests(struct model *model)
{
	struct member *member = some_fork(model);

	for (unsigned i = 0; i < 12 && model->problem[0] == '\0'; i++) {
		if (space_reset(member->space) < 0)
			return;
		as_the_master(model, member);
		run_member(model, member, some_processor(model));
	}
}

static const struct {
	const char *name;
	void (*function)(struct model *model);
	unsigned weight;
} steps[] = {
	{"run", step_run, 24},    {"unmap", step_unmap, 4},
	{"map", step_map, 4},     {"protect", step_protect, 4},
	{"move", step_move, 3},   {"host write", step_host_write, 12},
	{"reset", step_reset, 5}, {"replace", step_replace, 2},
	{"clean", step_clean, 1}, {"requests", step_requests, 1},
	{"limit", step_limit, 1}, {"settle", step_settle, 2},
};

static size_t some_step(struct model *model)
{
	unsigned total = 0, chosen;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		total += steps[i].weight;
	chosen = below(model, total);
	for (size_t i = 0;; i++) {
		if (chosen < steps[i].weight)
			return i;
		chosen -= steps[i].weight;
	}
}

/* A machine without KVM. */

static void make_machine(struct model *model)
{
	struct machine *machine = &model->machine;

	model->host = (struct host_behaviour){.shadow_paging = model->kind == SHADOW,
	                                      .dirty_bits = model->kind == WALKED};
	model->alive = 1;
	machine->host = &model->host;
	machine->alive = &model->alive;
	machine->next_serial = 1;
	pthread_mutex_init(&machine->lock, NULL);
	assert_int_equal(memory_init(&machine->memory, -1, DATA_BYTES, TABLE_BYTES, 48,
	                             model->kind == SHADOW),
	                 0);
	assert_int_equal(memory_frame_allocate(&machine->memory, 0, &machine->zero_frame), 0);
	/* A fork that learns takes fewer faults: many sequences are without. */
	assert_int_equal(learner_init(&machine->learner,
	                              model->random < LEARNING_SEEDS && model->random % 4 == 1
	                                      ? LEARNED_PAGES
	                                      : 0),
	                 0);
	invalidator_init(&machine->invalidator, -1, &machine->memory, model->kind == SHADOW, NULL);
}

/* Three pages of four are there, some of them read-only; the program writes, then waits. */
static void make_master(struct model *model)
{
	const struct fork_rules rules = {.page_limit = PAGE_LIMIT,
	                                 .keep_limit = PAGE_LIMIT / 16,
	                                 .call_stack = address_of(0)};
	struct member *master = &model->master;

	assert_int_equal(space_create(&master->space, &model->machine, PAGE_LIMIT), 0);
	for (unsigned page = 0; page < PAGES; page++) {
		unsigned protection = page % 5 == 2 ? SPACE_READ : SPACE_READ | SPACE_WRITE;

		if (page % 4 == 3)
			continue;
		assert_int_equal(space_map(master->space, address_of(page), PAGE_SIZE, protection,
		                           FRAME_RESTORED),
		                 0);
		master->pages[page] = (struct page_model){.mapped = true, .protection = protection};
	}
	for (unsigned i = 0; i < 20 && !master->over; i++)
		run_member(model, master, &model->processors[i % CPUS]);
	for (unsigned page = 3; page < PAGES; page += 8)
		master->pages[page] = (struct page_model){
			.mapped = true, .untouched = true, .protection = SPACE_READ | SPACE_WRITE};
	assert_int_equal(space_freeze(master->space, &rules), 0);
}

static struct model *make(enum kind kind, uint64_t seed)
{
	struct model *model = test_calloc(1, sizeof(*model));

	model->kind = kind;
	model->random = seed * 2 + 1;
	model->step = "start";
	running = model;
	for (unsigned i = 0; i < CPUS; i++)
		model->processors[i].cached.index = i;
	make_machine(model);
	make_master(model);
	for (unsigned i = 0; i < FORKS; i++) {
		assert_int_equal(space_fork(&model->forks[i].space, model->master.space), 0);
		as_the_master(model, &model->forks[i]);
	}
	return model;
}

static void unmake(struct model *model)
{
	for (unsigned i = 0; i < FORKS; i++)
		space_destroy(model->forks[i].space);
	space_free_idle(&model->machine);
	space_destroy(model->master.space);
	learner_destroy(&model->machine.learner, true);
	invalidator_destroy(&model->machine.invalidator, true);
	memory_destroy(&model->machine.memory, true);
	pthread_mutex_destroy(&model->machine.lock);
	running = NULL;
	test_free(model);
}

/* True when nothing was seen that must not be. Adds up what the module did. */
static bool follow(enum kind kind, uint64_t seed, bool noisy, uint64_t *counts)
{
	struct model *model = make(kind, seed);
	uint64_t most = sequence_setting("MODEL_STEPS", STEPS);
	bool right;

	model->noisy = noisy;
	model->refusals = REFUSALS;
	while (model->steps < most && model->problem[0] == '\0') {
		size_t step = some_step(model);

		model->steps++;
		model->step = steps[step].name;
		steps[step].function(model);
	}
	right = model->problem[0] == '\0';
	for (size_t i = 0; i < INVALIDATION_COUNTS; i++)
		counts[i] += invalidator_count(&model->machine.invalidator,
		                               (enum invalidation_count)i);
	unmake(model);
	return right;
}

static const char *const rule_names[] = {
#define NAME(name) #name,
	INVALIDATION_RULES(NAME) INVALIDATION_MEANS(NAME)
#undef NAME
};

/*
 * What each kind of host needs; a rule that has nothing to order there is not to
 * be seen there. A link that changed (LINKED) leads a processor that walks the
 * tables to a copy with the same leaves: it is ordered only to save a fault.
 */
static const bool needed[KINDS][INVALIDATION_COUNTS] = {
	[WALKED] =
		{
			[INVALIDATION_REVOKED] = true,
			[INVALIDATION_COPIED] = true,
			[INVALIDATION_FAULTED] = true,
			[INVALIDATION_CLEANED] = true,
			[INVALIDATION_MIGRATED] = true,
			[INVALIDATION_REUSED] = true,
			[INVALIDATION_FLUSH] = true,
		},
	[SHADOW] =
		{
			[INVALIDATION_REVOKED] = true,
			[INVALIDATION_COPIED] = true,
			[INVALIDATION_FAULTED] = true,
			[INVALIDATION_LINKED] = true,
			[INVALIDATION_FREED] = true,
			[INVALIDATION_RELEASED] = true,
			[INVALIDATION_PAGE] = true,
			[INVALIDATION_PATH] = true,
			[INVALIDATION_SHADOW] = true,
		},
};

static void nothing_stale_is_used(void **unused)
{
	uint64_t first = sequence_setting("MODEL_SEED", 1);

	(void)unused;
	for (enum kind kind = WALKED; kind < KINDS; kind++) {
		uint64_t counts[INVALIDATION_COUNTS] = {0};

		for (uint64_t seed = first; seed < first + 8; seed++)
			if (!follow(kind, seed, true, counts))
				fail_msg("%s: seed %" PRIu64, kind_names[kind], seed);
		for (size_t i = 0; i < INVALIDATION_COUNTS; i++) {
			print_message("%s %-8s %8" PRIu64 "\n", kind_names[kind], rule_names[i],
			              counts[i]);
			/* A sequence that never needs a rule proves nothing about it. */
			assert_true(counts[i] > 0 || !needed[kind][i]);
		}
	}
}

/* How many sequences it takes to notice; 0: all passed. */
static unsigned noticed_after(enum kind kind, enum invalidation_count rule)
{
	uint64_t counts[INVALIDATION_COUNTS] = {0};
	bool right = true;
	unsigned tries;

	invalidation_left_out = rule;
	for (tries = 0; right && tries < (needed[kind][rule] ? 40 : 12); tries++)
		right = follow(kind, 100 + tries, false, counts);
	invalidation_left_out = INVALIDATION_COUNTS;
	return right ? 0 : tries;
}

/* What the host will not discard is not used again, and the guest loses it all the same. */
static void a_page_that_cannot_be_dropped(void **unused)
{
	const gva_t page = gva(UINT64_C(0x10000000000));

	(void)unused;
	for (enum kind kind = WALKED; kind < KINDS; kind++) {
		struct model *model = make(kind, 1);
		struct space *space = model->forks[0].space;
		struct processor *processor = &model->processors[0];

		assert_int_equal(
			space_map(space, page, PAGE_SIZE, SPACE_READ | SPACE_WRITE, FRAME_TAKEN), 0);
		enter(model, processor, &model->forks[0]);
		assert_non_null(access_page(model, processor, page.value, true));
		model->refuse_all = true;
		assert_int_equal(space_unmap(space, page, PAGE_SIZE), 0);
		/* Where translations could not be dropped at all, it does not run again. */
		assert_int_equal(space->poisoned, kind == SHADOW);
		model->refuse_all = false;
		assert_int_equal(space_reset(space), 0);
		enter(model, processor, &model->forks[0]);
		assert_null(access_page(model, processor, page.value, false));
		unmake(model);
	}
}

/* Moving a path takes tables for a moment: a fork that has reached its limit may do so. */
static void a_path_moves_at_the_limit(void **unused)
{
	const uint64_t start = UINT64_C(0x10000000000), length = 3 * PAGE_SIZE;
	struct model *model = make(SHADOW, 1);
	struct space *space = model->forks[0].space;
	const struct invalidator *invalidator = &model->machine.invalidator;
	uint64_t shadows = invalidator_count(invalidator, INVALIDATION_SHADOW);

	(void)unused;
	assert_int_equal(space_map(space, gva(start), length, SPACE_READ | SPACE_WRITE, FRAME_TAKEN),
	                 0);
	space->page_limit = space->frame_count + space->table_count;
	for (unsigned i = 0; i < 10; i++) {
		uint64_t paths = invalidator_count(invalidator, INVALIDATION_PATH);

		enter(model, &model->processors[0], &model->forks[0]);
		for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE)
			assert_non_null(
				access_page(model, &model->processors[0], start + offset, true));
		assert_int_equal(space_protect(space, gva(start), length, SPACE_READ), 0);
		assert_int_equal(invalidator_count(invalidator, INVALIDATION_PATH), paths + 1);
		assert_int_equal(space_protect(space, gva(start), length, SPACE_READ | SPACE_WRITE),
		                 0);
	}
	assert_int_equal(invalidator_count(invalidator, INVALIDATION_SHADOW), shadows);
	unmake(model);
}

/* All table frames that are free; none is left for a path. Returns how many. */
static uint64_t take_tables(struct memory *memory, gpa_t *tables)
{
	uint64_t count = 0;

	while (memory_table_allocate(memory, 0, &tables[count]) == 0)
		count++;
	return count;
}

/*
 * A space that was kept gets a page that was learned meanwhile, in a table that
 * processors know, and they cannot be told: it is not handed out.
 */
static void a_kept_space_that_is_not_known(void **unused)
{
	gpa_t tables[TABLE_BYTES / PAGE_SIZE + 1];

	(void)unused;
	for (enum kind kind = WALKED; kind < KINDS; kind++) {
		/* A seed that learns. */
		struct model *model = make(kind, 2);
		struct member *member = &model->forks[0];
		struct learned_page page = {.page = address_of(1).value};
		struct memory *memory = &model->machine.memory;
		uint64_t taken;
		int result;

		enter(model, &model->processors[0], member);
		assert_non_null(access_page(model, &model->processors[0], page.page, false));
		space_destroy(member->space);
		assert_int_equal(model->machine.idle_space_count, 1);
		for (unsigned i = 0; i < LEARNER_SIGHTINGS; i++)
			learner_sight(&model->machine.learner, &page, 1);
		taken = take_tables(memory, tables);
		model->refuse_all = true;
		result = space_fork(&member->space, model->master.space);
		/* Its tables wait for the processors to be told, so that there are none for another. */
		assert_int_equal(result, kind == SHADOW ? -ENOMEM : 0);
		model->refuse_all = false;
		assert_int_equal(model->machine.idle_space_count, 0);
		while (taken > 0)
			memory_table_free(memory, tables[--taken]);
		if (result < 0)
			assert_int_equal(space_fork(&member->space, model->master.space), 0);
		assert_true(member->space->frame_count > 0);
		as_the_master(model, member);
		model->random = 1;
		run_member(model, member, &model->processors[0]);
		assert_string_equal(model->problem, "");
		unmake(model);
	}
}

/* What is kept of destroyed forks has a limit, however much each of them held. */
static void kept_spaces_share_a_limit(void **unused)
{
	struct model *model = make(WALKED, 1);
	const struct machine *machine = &model->machine;
	const uint64_t most = (DATA_BYTES >> PAGE_SHIFT) / 16;
	uint64_t pages = 0;

	(void)unused;
	for (unsigned i = 0; i < FORKS; i++) {
		for (unsigned page = 0; page < 2 * REGION_PAGES; page++)
			space_make_private(model->forks[i].space, address_of(page), false);
		pages += model->forks[i].space->frame_count + model->forks[i].space->table_count;
	}
	for (unsigned i = 0; i < FORKS; i++)
		space_destroy(model->forks[i].space);
	assert_true(pages > most && machine->idle_pages <= most);
	assert_in_range(machine->idle_space_count, 2, FORKS - 1);
	assert_int_equal(machine->idle_pages * FORKS, machine->idle_space_count * pages);
	for (unsigned i = 0; i < FORKS; i++)
		assert_int_equal(space_fork(&model->forks[i].space, model->master.space), 0);
	assert_int_equal(machine->idle_pages, 0);
	unmake(model);
}

static void a_rule_left_out_is_noticed(void **unused)
{
	(void)unused;
	for (enum kind kind = WALKED; kind < KINDS; kind++)
		for (enum invalidation_count rule = 0; rule <= INVALIDATION_REUSED; rule++) {
			unsigned after = noticed_after(kind, rule);

			if (needed[kind][rule] && after == 0)
				fail_msg("%s without %s: not noticed", kind_names[kind],
				         rule_names[rule]);
			if (!needed[kind][rule] && after != 0)
				fail_msg("%s without %s: needed after all", kind_names[kind],
				         rule_names[rule]);
			if (after != 0)
				print_message("%s without %s: noticed in sequence %u\n",
				              kind_names[kind], rule_names[rule], after);
		}
}

/* One page in each of `regions`, written by the guest, then taken away from it by one edit. */
static void protect_regions(uint64_t regions, uint64_t paths, uint64_t shadows)
{
	const uint64_t start = UINT64_C(0x10000000000), distance = UINT64_C(2) << 20;
	struct model *model = make(SHADOW, 1);
	struct member *member = &model->forks[0];
	struct processor *processor = &model->processors[0];
	const struct invalidator *invalidator = &model->machine.invalidator;
	uint64_t before[2];

	for (uint64_t i = 0; i < regions; i++)
		assert_int_equal(space_map(member->space, gva(start + i * distance), PAGE_SIZE,
		                           SPACE_READ | SPACE_WRITE, FRAME_TAKEN),
		                 0);
	enter(model, processor, member);
	for (uint64_t i = 0; i < regions; i++)
		assert_non_null(access_page(model, processor, start + i * distance, true));
	before[0] = invalidator_count(invalidator, INVALIDATION_PATH);
	before[1] = invalidator_count(invalidator, INVALIDATION_SHADOW);
	assert_int_equal(space_protect(member->space, gva(start), regions * distance, SPACE_READ), 0);
	assert_int_equal(invalidator_count(invalidator, INVALIDATION_PATH), before[0] + paths);
	assert_int_equal(invalidator_count(invalidator, INVALIDATION_SHADOW), before[1] + shadows);
	enter(model, processor, member);
	for (uint64_t i = 0; i < regions; i++) {
		assert_null(access_page(model, processor, start + i * distance, true));
		assert_non_null(access_page(model, processor, start + i * distance, false));
	}
	unmake(model);
}

/* Few pages by themselves, regions by their paths, too many regions by dropping all. */
static void the_means_follow_the_size_of_the_edit(void **unused)
{
	(void)unused;
	protect_regions(INVALIDATION_PAGES, 0, 0);
	protect_regions(INVALIDATION_PAGES + 1, INVALIDATION_PAGES + 1, 0);
	protect_regions(100, 100, 0);
	protect_regions(INVALIDATION_REGIONS + 1, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_means_follow_the_size_of_the_edit),
		cmocka_unit_test(a_page_that_cannot_be_dropped),
		cmocka_unit_test(a_path_moves_at_the_limit),
		cmocka_unit_test(a_kept_space_that_is_not_known),
		cmocka_unit_test(kept_spaces_share_a_limit),
		cmocka_unit_test(nothing_stale_is_used),
		cmocka_unit_test(a_rule_left_out_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
