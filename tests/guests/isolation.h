/* SPDX-License-Identifier: MIT */
/* The pages that the guest isolation.c and its host talk about by number. */
#ifndef KVMSB_TESTS_GUESTS_ISOLATION_H
#define KVMSB_TESTS_GUESTS_ISOLATION_H

/* Four pages each, with content from main(): */
#define ISOLATION_DATA 0   /* initialised data of the program */
#define ISOLATION_BSS 4
#define ISOLATION_HEAP 8   /* brk */
#define ISOLATION_STACK 12 /* main()'s */
#define ISOLATION_MAPPED 16
/* ... never touched by main(): */
#define ISOLATION_UNTOUCHED 20
/* Eight addresses where nothing is mapped. */
#define ISOLATION_SLOTS 24
#define ISOLATION_PAGES 32

/* What main() fills a page with. */
#define ISOLATION_INITIAL(page) (0x1000ul + (page))

/* The value of a page whose bytes are not all the same words: half of one write, half of another. */
#define ISOLATION_TORN 0xbadbadbadul

#endif
