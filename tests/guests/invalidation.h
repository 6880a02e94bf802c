/* SPDX-License-Identifier: MIT */
/*
 * What the guest invalidation.c and its host agree on: pages by number, and the
 * steps that the guest takes with them, many in one call or one in each.
 */
#ifndef KVMSB_TESTS_GUESTS_INVALIDATION_H
#define KVMSB_TESTS_GUESTS_INVALIDATION_H

#include <stdint.h>

/* Pages apart from each other, with nothing mapped between: */
#define PAGE_FILLED 0u    /* four that main() fills */
#define PAGE_READABLE 4u  /* filled, then made read-only */
#define PAGE_CODE 5u      /* filled with functions, readable and executable */
#define PAGE_UNTOUCHED 6u /* mapped, never touched by main() */
/* ... where nothing is mapped: */
#define PAGE_SLOT 7u     /* two among the pages above, in the same page table */
#define PAGE_FAR 9u      /* with no page table of its level */
#define PAGE_FARTHER 10u /* with none of the next level either */
#define PAGES 11u

/* What main() fills a page with: no mode of a file, no time. */
#define INITIAL(page) (0xa000000000000ul + (page))

/* A word that is a function: it returns the 32-bit number. */
#define FUNCTION(number) (0x9090c300000000b8ul | (uint64_t)(number) << 8)
#define INITIAL_NUMBER 0x77u

/* Besides, in a row: pages that main() fills, too. */
#define AREA_PAGES 64u

enum step_kind {
	STEP_END, /* of a list */
	/* The guest compares: the whole page holds the value, or the function there returns it. */
	STEP_LOOK,
	STEP_CALL,
	/* Edits, by itself or by system calls. The value: what to write; the protection; where to move. */
	STEP_FILL,
	STEP_UNMAP,
	STEP_PROTECT,
	STEP_MAP, /* MAP_FIXED, zeros */
	STEP_MOVE,
	STEP_DISCARD,
	STEP_READ_IN, /* read(2) from standard input */
	STEP_CLOCK_IN,
	STEP_STAT_IN,
	/* Accesses that the host wants to fault, or to be cut short. */
	STEP_READ,
	STEP_WRITE,
	STEP_STRADDLE, /* the last bytes of the page and the first after it, by one instruction */
	STEP_HANG,     /* writes, then waits for its end */
	STEP_GUEST_KINDS,
};

struct invalidation_step {
	uint32_t kind;
	uint32_t page;
	uint64_t value;
};

#endif
