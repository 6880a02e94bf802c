/* SPDX-License-Identifier: MIT */
/*
 * What tests of random sequences share: numbers that are the same each time for
 * the same seed, and the environment's say in which sequence it is.
 */
#ifndef KVMSB_TESTS_SEQUENCE_H
#define KVMSB_TESTS_SEQUENCE_H

#include <stdint.h>
#include <stdlib.h>

/* xorshift64*; the state is never 0. */
static inline uint64_t sequence_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline unsigned sequence_below(uint64_t *state, unsigned limit)
{
	return (unsigned)((sequence_next(state) >> 32) % limit);
}

/* A number from the environment. */
static inline uint64_t sequence_setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

#endif
