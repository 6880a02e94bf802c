/* SPDX-License-Identifier: MIT */
/* Forks that hold pages, and means to make them forget; see invalidation_bed.h. */
#include "invalidation_bed.h"

#include "invalidate.h"
#include "machine.h"
#include "sandbox.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CANNOT_RUN 77
#define LARGE_SIZE (UINT64_C(2) << 20)
/* A page of the same 2 MiB that no figure is about: who writes it has tables of its own there. */
#define BESIDE 300u

void give_up(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s\n", what, detail);
	exit(1);
}

/* Guests. */

uint64_t bed_call(struct bed *bed, struct kvmsb *fork, uint64_t function, unsigned pages)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	what.address = function;
	what.argument_count = 2;
	what.arguments[0].value = bed->first;
	what.arguments[1].value = pages;
	if (kvmsb_vmcall(fork, &what, &result) < 0 || result.outcome != KVMSB_OUTCOME_RETURNED)
		give_up("kvmsb_vmcall", kvmsb_detail(fork));
	bed->kvm_runs = result.kvm_runs;
	return result.value;
}

/* Tables of its own, and all of the pages in its shadow. */
void bed_warm(struct bed *bed, struct kvmsb *fork)
{
	uint64_t first = bed->first;

	if (!bed->shared_tables || fork == bed->forks[0]) {
		bed->first = first + BESIDE;
		bed_call(bed, fork, bed->touch, 1);
		bed->first = first;
	}
	bed_call(bed, fork, bed->peek, MOST_FRAMES);
}

static gva_t page_at(const struct bed *bed, unsigned number)
{
	return gva(bed->address + number * PAGE_SIZE);
}

static void find_frames(const struct bed *bed, const struct kvmsb *of, uint8_t **frames)
{
	struct mapping mapping;

	for (unsigned i = 0; i < MOST_FRAMES; i++) {
		if (pagetable_lookup(&of->space->table, page_at(bed, i), &mapping) < 0)
			give_up("pagetable_lookup", "no page");
		frames[i] = memory_data(&of->machine->memory, mapping.frame);
	}
}

void bed_fork(struct bed *bed, struct kvmsb **fork)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	if (kvmsb_fork(bed->master, fork, &error) < 0)
		give_up("kvmsb_fork", error.detail);
}

static void find_functions(struct bed *bed)
{
	uint64_t pages;

	if (kvmsb_symbol(bed->master, "peek_pages", &bed->peek) < 0 ||
	    kvmsb_symbol(bed->master, "rewrite_pages", &bed->rewrite) < 0 ||
	    kvmsb_symbol(bed->master, "touch", &bed->touch) < 0 ||
	    kvmsb_symbol(bed->master, "pages", &pages) < 0)
		give_up("kvmsb_symbol", "the guest lacks a function");
	bed->address = (pages + LARGE_SIZE - 1) & ~(LARGE_SIZE - 1);
	bed->first = (bed->address - pages) / PAGE_SIZE;
}

void bed_open(struct bed *bed, const char *guests, unsigned long shadow_pages)
{
	struct kvmsb_options wanted = KVMSB_OPTIONS_INIT;
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	char program[512];

	snprintf(program, sizeof(program), "%s/bench-static", guests);
	wanted.path = program;
	wanted.learned_pages_limit = KVMSB_NO_LEARNING;
	if (kvmsb_create(&bed->master, &wanted, &error) < 0) {
		fprintf(stderr, "kvmsb_create: %s\n", error.detail);
		exit(CANNOT_RUN);
	}
	if (kvmsb_run(bed->master, &result) < 0 || kvmsb_freeze(bed->master) < 0)
		give_up("master", kvmsb_detail(bed->master));
	/* KVM's own limit, 2 % of the guest's memory, is too few for many forks. */
	if (shadow_pages != 0 && bed->master->machine->host->shadow_paging &&
	    ioctl(bed->master->machine->vm, KVM_SET_NR_MMU_PAGES, shadow_pages) < 0)
		perror("KVM_SET_NR_MMU_PAGES");
	find_functions(bed);
	find_frames(bed, bed->master, bed->shared);
	bed_fork(bed, &bed->owner);
	bed_call(bed, bed->owner, bed->touch, MOST_FRAMES);
	find_frames(bed, bed->owner, bed->owned);
}

void bed_close(struct bed *bed)
{
	for (unsigned i = 0; i < bed->count; i++)
		kvmsb_destroy(bed->forks[i]);
	kvmsb_destroy(bed->owner);
	kvmsb_destroy(bed->master);
}

/* Means. Each makes guests forget the first `count` pages. */

static void toggle(uint8_t *page, size_t length)
{
	if (mprotect(page, length, PROT_READ) < 0 ||
	    mprotect(page, length, PROT_READ | PROT_WRITE) < 0)
		give_up("mprotect", "failed");
}

static void replace(uint8_t *page, size_t length)
{
	static uint8_t contents[MOST_FRAMES * PAGE_SIZE];

	memcpy(contents, page, length);
	if (madvise(page, length, MADV_DONTNEED) < 0)
		give_up("madvise", "failed");
	memcpy(page, contents, length);
}

/* Frames that lie side by side go in one call. */
static void for_runs(uint8_t *const *frames, unsigned count, void (*drop)(uint8_t *, size_t))
{
	for (unsigned i = 0, length; i < count; i += length) {
		for (length = 1; i + length < count; length++)
			if (frames[i + length] != frames[i] + length * PAGE_SIZE)
				break;
		drop(frames[i], length * PAGE_SIZE);
	}
}

static void for_each(uint8_t *const *frames, unsigned count, void (*drop)(uint8_t *, size_t))
{
	for (unsigned i = 0; i < count; i++)
		drop(frames[i], PAGE_SIZE);
}

static void mprotect_each(struct bed *bed, unsigned count)
{
	for_each(bed->shared, count, toggle);
}

static void mprotect_run(struct bed *bed, unsigned count)
{
	for_runs(bed->shared, count, toggle);
}

static void dontneed_each(struct bed *bed, unsigned count)
{
	for_each(bed->owned, count, replace);
}

static void dontneed_run(struct bed *bed, unsigned count)
{
	for_runs(bed->owned, count, replace);
}

static void dummy_slot(struct bed *bed, unsigned count)
{
	(void)count;
	if (invalidate_everything(&bed->master->machine->invalidator) < 0)
		give_up("invalidate_everything", "failed");
}

static void reroot(struct bed *bed, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (pagetable_renew_path(&bed->forks[0]->space->table, page_at(bed, i)) < 0)
			give_up("pagetable_renew_path", "failed");
}

/* For hosts without a shadow, where all that is needed is another CR3. */
static void flush(struct bed *bed, unsigned count)
{
	(void)count;
	invalidate_forget(&bed->forks[0]->space->translations);
}

static void nothing(struct bed *bed, unsigned count)
{
	(void)bed;
	(void)count;
}

const struct means means[] = {
	{"flush", flush, false, false, false, false},
	{"nothing", nothing, false, false, false, false},
	{"mprotect_each", mprotect_each, false, false, false, false},
	{"mprotect_run", mprotect_run, false, false, false, false},
	{"dontneed_each", dontneed_each, true, false, false, false},
	{"dontneed_run", dontneed_run, true, false, false, false},
	{"slot", dummy_slot, false, false, false, false},
	{"reroot", reroot, false, false, false, false},
	{"reroot_whole", reroot, false, false, false, true},
	{"break_write", nothing, false, true, true, false},
	{"break_mprotect_run", mprotect_run, false, true, false, false},
	{"break_reroot", reroot, false, true, false, false},
};

const size_t means_count = ARRAY_SIZE(means);

/* The first is for hosts without a shadow, all others for those with one. */
bool means_exist(const struct bed *bed, const struct means *what)
{
	return (what->drop != flush) == bed->master->machine->host->shadow_paging;
}

struct kvmsb *bed_edited(const struct bed *bed, const struct means *what)
{
	return what->owner ? bed->owner : bed->forks[0];
}

/* The edit of a copy-on-write that the host ends, without what must follow. */
void bed_break_pages(struct bed *bed, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (space_make_private(bed->forks[0]->space, page_at(bed, i), true) < 0)
			give_up("space_make_private", "failed");
}

void bed_renew_fork(struct bed *bed)
{
	bed->forks[0]->space->rebuild = true;
	if (kvmsb_reset(bed->forks[0]) < 0)
		give_up("kvmsb_reset", kvmsb_detail(bed->forks[0]));
}

/* That each means is one: an edit from present to another frame, seen only through it. */

static bool sees_edit(struct bed *bed, const struct means *what)
{
	struct kvmsb *fork = bed_edited(bed, what);
	struct mapping page, other;

	bed_renew_fork(bed);
	for (unsigned i = 0; i < bed->count; i++)
		bed_warm(bed, bed->forks[i]);
	bed_warm(bed, fork);
	if (what->owner) {
		pagetable_lookup(&fork->space->table, page_at(bed, 0), &page);
		pagetable_lookup(&fork->space->table, page_at(bed, 1), &other);
		pagetable_replace(&fork->space->table, page_at(bed, 0), other.frame, other.flags);
	} else {
		bed_break_pages(bed, 1);
		pagetable_lookup(&fork->space->table, page_at(bed, 0), &other);
	}
	*(uint8_t *)memory_data(&fork->machine->memory, other.frame) = 77;
	what->drop(bed, 1);
	if (bed_call(bed, fork, what->writes ? bed->rewrite : bed->peek, 1) != 77)
		return false;
	if (what->owner)
		pagetable_replace(&fork->space->table, page_at(bed, 0), page.frame, page.flags);
	what->drop(bed, 1);
	return true;
}

void means_check(struct bed *bed)
{
	for (size_t i = 0; i < means_count; i++)
		if (means_exist(bed, &means[i]) &&
		    sees_edit(bed, &means[i]) != (means[i].drop != nothing || means[i].writes))
			give_up(means[i].name, "the guest does not see what it should");
}
