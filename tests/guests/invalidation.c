/* SPDX-License-Identifier: MIT */
/*
 * Does what its host says with pages (invalidation.h) and compares what it then
 * sees from inside: all steps of a list in one run, so that a stale translation
 * has no entry in between at which it could be forgotten.
 */
#define _GNU_SOURCE
#include "invalidation.h"

#include "api.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
/* 2 MiB aligned: page tables that nothing else uses. */
#define START 0x200000000ul
#define DISTANCE 0x10000ul

/* In RAX and RDX. */
struct verdict {
	uint64_t wrong; /* 1 + the number of the first step that went wrong; 0: none */
	uint64_t seen;
};

static uint64_t area[AREA_PAGES][WORDS] __attribute__((aligned(4096)));

EXPORTED volatile uint64_t *address_of(unsigned page)
{
	if (page == PAGE_FAR)
		return (uint64_t *)(START + (2ul << 20));
	if (page == PAGE_FARTHER)
		return (uint64_t *)(START + (4ul << 30));
	return (uint64_t *)(START + page * DISTANCE);
}

/* The value, or the first word that differs. */
static uint64_t look(volatile uint64_t *words, uint64_t value)
{
	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != value)
			return words[i];
	return value;
}

static void fill(volatile uint64_t *words, uint64_t value)
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = value;
}

static uint64_t call(volatile uint64_t *words)
{
	return ((uint32_t(*)(void))(uintptr_t)words)();
}

static void straddle(volatile uint64_t *words)
{
	__asm__ volatile("movdqu %%xmm0, (%0)" : : "r"(&words[WORDS - 1]) : "memory");
}

static _Noreturn void hang(volatile uint64_t *words, uint64_t value)
{
	words[0] = value;
	for (;;)
		__asm__ volatile("pause");
}

static int map(void *address, int flags)
{
	/* MAP_NORESERVE: the page comes when it is touched, as the rows have it. */
	return mmap(address, PAGE, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0) == address;
}

static int move(void *from, void *to)
{
	return mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

static int clock_in(volatile uint64_t *words)
{
	uint64_t before = words[0];

	return api_call(SYS_clock_gettime, 0, (long)words, 0, 0) == 0 && words[0] != before &&
	       words[1] < 1000000000;
}

static int stat_in(volatile uint64_t *words)
{
	volatile struct stat *status = (volatile struct stat *)words;
	unsigned before = status->st_mode & S_IFMT;

	return api_call(SYS_fstat, 1, (long)words, 0, 0) == 0 && before == 0 &&
	       (status->st_mode & S_IFMT) != 0;
}

/* What a step saw: its value when all is right. */
static uint64_t edit(const struct invalidation_step *step, volatile uint64_t *words)
{
	uint64_t value = step->value, other = ~value;
	void *page = (void *)words;

	switch ((enum step_kind)step->kind) {
	case STEP_UNMAP:
		return munmap(page, PAGE) == 0 ? value : other;
	case STEP_PROTECT:
		return mprotect(page, PAGE, (int)value) == 0 ? value : other;
	case STEP_MAP:
		return map(page, MAP_FIXED) ? value : other;
	case STEP_MOVE:
		return move(page, (void *)address_of((unsigned)value)) ? value : other;
	case STEP_DISCARD:
		return madvise(page, PAGE, MADV_DONTNEED) == 0 ? value : other;
	case STEP_READ_IN:
		return api_call(SYS_read, 0, (long)page, PAGE, 0) == (long)PAGE ? value : other;
	case STEP_CLOCK_IN:
		return clock_in(words) ? value : words[0];
	case STEP_STAT_IN:
		return stat_in(words) ? value : words[3];
	default:
		return other;
	}
}

static uint64_t take(const struct invalidation_step *step)
{
	volatile uint64_t *words = address_of(step->page);

	switch ((enum step_kind)step->kind) {
	case STEP_LOOK:
		return look(words, step->value);
	case STEP_CALL:
		return call(words);
	case STEP_FILL:
		return fill(words, step->value), step->value;
	case STEP_READ:
		return words[0], step->value;
	case STEP_WRITE:
		return words[0] = step->value;
	case STEP_STRADDLE:
		return straddle(words), step->value;
	case STEP_HANG:
		hang(words, step->value);
	default:
		return edit(step, words);
	}
}

EXPORTED struct verdict perform(const struct invalidation_step *steps, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t seen = take(&steps[i]);

		if (seen != steps[i].value)
			return (struct verdict){.wrong = i + 1, .seen = seen};
	}
	return (struct verdict){0};
}

/* Writes to one word of each page, in turn another one. */
EXPORTED void touch_area(unsigned first, unsigned count, uint64_t value)
{
	for (unsigned page = first; page < first + count; page++)
		((volatile uint64_t *)area[page])[value % WORDS] = value;
}

/* 1 + the number of the first page that is not as main() left it. */
EXPORTED unsigned changed_in_area(void)
{
	for (unsigned page = 0; page < AREA_PAGES; page++)
		if (look(area[page], INITIAL(page)) != INITIAL(page))
			return page + 1;
	return 0;
}

EXPORTED void *area_address(void)
{
	return area;
}

int main(void)
{
	for (unsigned page = 0; page <= PAGE_UNTOUCHED; page++) {
		volatile uint64_t *words = address_of(page);

		if (!map((void *)words, MAP_FIXED))
			return 1;
		if (page != PAGE_UNTOUCHED)
			fill(words, page == PAGE_CODE ? FUNCTION(INITIAL_NUMBER) : INITIAL(page));
	}
	if (mprotect((void *)address_of(PAGE_READABLE), PAGE, PROT_READ) != 0 ||
	    mprotect((void *)address_of(PAGE_CODE), PAGE, PROT_READ | PROT_EXEC) != 0)
		return 1;
	for (unsigned page = 0; page < AREA_PAGES; page++)
		fill(area[page], INITIAL(page));
	wait_for_requests();
	return 99;
}
