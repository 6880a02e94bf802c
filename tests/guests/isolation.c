/* SPDX-License-Identifier: MIT */
/*
 * Operations on pages of every kind of memory, by number (isolation.h): each
 * page is filled with one value, by which the host knows whose it is.
 */
#define _GNU_SOURCE
#include "isolation.h"

#include "api.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define AREA_PAGES 4ul
#define SLOT_ADDRESS 0x200000000ul
#define SLOT_DISTANCE 0x13000ul

EXPORTED uint64_t data_area[AREA_PAGES * WORDS] __attribute__((aligned(4096))) = {1};
EXPORTED uint64_t bss_area[AREA_PAGES * WORDS] __attribute__((aligned(4096)));
EXPORTED uint64_t untouched_area[AREA_PAGES * WORDS] __attribute__((aligned(4096)));

static uint64_t *areas[6];

EXPORTED volatile uint64_t *address_of(unsigned page)
{
	if (page >= ISOLATION_SLOTS)
		return (uint64_t *)(SLOT_ADDRESS + (page - ISOLATION_SLOTS) * SLOT_DISTANCE);
	return areas[page / AREA_PAGES] + page % AREA_PAGES * WORDS;
}

static uint64_t value_of(unsigned page)
{
	volatile uint64_t *words = address_of(page);
	uint64_t value = words[0];

	for (size_t i = 1; i < WORDS; i++)
		if (words[i] != value)
			return ISOLATION_TORN;
	return value;
}

static void fill(unsigned page, uint64_t value)
{
	volatile uint64_t *words = address_of(page);

	for (size_t i = 0; i < WORDS; i++)
		words[i] = value;
}

/* The values of the pages in the mask. */
EXPORTED void look(uint64_t *values, uint64_t mask)
{
	for (unsigned page = 0; page < ISOLATION_PAGES; page++)
		if ((mask >> page & 1) != 0)
			values[page] = value_of(page);
}

EXPORTED void poke(unsigned page, uint64_t value)
{
	fill(page, value);
}

/* One word of the page: the others stay. */
EXPORTED void poke_word(unsigned page, unsigned word, uint64_t value)
{
	address_of(page)[word] = value;
}

EXPORTED uint64_t peek(unsigned page)
{
	return address_of(page)[0];
}

/* Reads the page, lets read(2) fill it, and says what it then sees. */
EXPORTED uint64_t read_in(unsigned page)
{
	uint64_t before = value_of(page);
	long count = api_call(SYS_read, 0, (long)address_of(page), PAGE, 0);

	return count == (long)PAGE ? value_of(page) : before + 1;
}

/* The same with system calls that fill a struct; then the page gets the value. 0 when they did. */
EXPORTED int clock_in(unsigned page, uint64_t value)
{
	volatile uint64_t *words = address_of(page);
	uint64_t before = words[0];
	long failed = api_call(SYS_clock_gettime, 1, (long)words, 0, 0);
	int seen = words[0] != before && words[1] < 1000000000;

	fill(page, value);
	return failed != 0 || !seen;
}

EXPORTED int stat_in(unsigned page, uint64_t value)
{
	volatile uint64_t *words = address_of(page);
	volatile struct stat *status = (volatile struct stat *)words;
	uint64_t before = words[0];
	long failed = api_call(SYS_fstat, 1, (long)words, 0, 0);
	int seen = (words[0] != before || before == 0) && (status->st_mode & S_IFMT) != 0;

	fill(page, value);
	return failed != 0 || !seen;
}

EXPORTED int map(unsigned page)
{
	void *address = (void *)address_of(page);

	return mmap(address, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	            0) == address
	               ? 0
	               : errno;
}

EXPORTED int unmap(unsigned page)
{
	return munmap((void *)address_of(page), PAGE) == 0 ? 0 : errno;
}

EXPORTED int protect(unsigned page, int protection)
{
	return mprotect((void *)address_of(page), PAGE, protection) == 0 ? 0 : errno;
}

EXPORTED int move(unsigned from, unsigned to)
{
	void *target = (void *)address_of(to);

	return mremap((void *)address_of(from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) ==
	                       target
	               ? 0
	               : errno;
}

EXPORTED int discard(unsigned page)
{
	return madvise((void *)address_of(page), PAGE, MADV_DONTNEED) == 0 ? 0 : errno;
}

static uint64_t *aligned(void *start)
{
	return (uint64_t *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));
}

int main(void)
{
	uint64_t here[(AREA_PAGES + 1) * WORDS];

	areas[0] = data_area;
	areas[1] = bss_area;
	areas[2] = aligned(sbrk((AREA_PAGES + 1) * PAGE));
	areas[3] = aligned(here);
	areas[4] = mmap(NULL, AREA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                0);
	areas[5] = untouched_area;
	for (unsigned page = 0; page < ISOLATION_UNTOUCHED; page++)
		fill(page, ISOLATION_INITIAL(page));
	wait_for_requests();
	return 99;
}
