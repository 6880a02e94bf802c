/* SPDX-License-Identifier: MIT */
/*
 * What the guest soak.c and its host (tests/soak*.c) agree on: the pages and
 * mappings there are, and the one number that tells what all of them hold.
 */
#ifndef KVMSB_TESTS_GUESTS_SOAK_H
#define KVMSB_TESTS_GUESTS_SOAK_H

#include <stdint.h>

#define SOAK_PAGE 4096ul
#define SOAK_WORDS (SOAK_PAGE / 8)

/* Pages of the program's data; main() fills each with SOAK_INITIAL. */
#define SOAK_PAGES 40
#define SOAK_INITIAL(page) (0x5000ul + (page))

/* Places for mappings, where main() leaves nothing. */
#define SOAK_SLOTS 6
#define SOAK_SLOT_PAGES 3
#define SOAK_SLOT_ADDRESS(slot) (0x200000000ul + (slot) * 0x33000ul)

/* Pages that brk has added, at most; and descriptors opened. */
#define SOAK_HEAP_PAGES 24
#define SOAK_FILES 6

enum soak_slot {
	SOAK_ABSENT,
	SOAK_WRITABLE,
	SOAK_READ_ONLY,
	SOAK_NO_ACCESS,
};

enum soak_crash {
	SOAK_CRASH_WRITE,   /* to SOAK_NOWHERE */
	SOAK_CRASH_OPCODE,  /* #UD */
	SOAK_CRASH_DIVIDE,  /* #DE */
	SOAK_CRASH_HALT,    /* #GP */
	SOAK_CRASH_EXECUTE, /* of the first page */
	SOAK_CRASHES,
};
#define SOAK_NOWHERE 0x18ul

static inline uint64_t soak_mix(uint64_t digest, uint64_t value)
{
	return (digest ^ value) * UINT64_C(0x100000001b3) ^ digest >> 29;
}

#endif
