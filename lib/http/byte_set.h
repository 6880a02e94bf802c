/* SPDX-License-Identifier: MIT */
/*
 * Sets of bytes, as character classes of regular expressions have them. Bytes
 * are bytes: no locale, no UTF-8. Knows nothing of patterns.
 */
#ifndef KVMSB_HTTP_BYTE_SET_H
#define KVMSB_HTTP_BYTE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYTE_SET_WORDS 4u

struct byte_set {
	uint64_t bits[BYTE_SET_WORDS];
};

static inline bool byte_set_has(const struct byte_set *set, uint8_t byte)
{
	return (set->bits[byte / 64] >> (byte % 64) & 1) != 0;
}

static inline void byte_set_add(struct byte_set *set, uint8_t byte)
{
	set->bits[byte / 64] |= UINT64_C(1) << (byte % 64);
}

/* `first` up to `last`, both included. */
static inline void byte_set_add_range(struct byte_set *set, unsigned first, unsigned last)
{
	for (unsigned byte = first; byte <= last; byte++)
		byte_set_add(set, (uint8_t)byte);
}

static inline void byte_set_add_all(struct byte_set *set, const struct byte_set *other)
{
	for (size_t i = 0; i < BYTE_SET_WORDS; i++)
		set->bits[i] |= other->bits[i];
}

static inline void byte_set_invert(struct byte_set *set)
{
	for (size_t i = 0; i < BYTE_SET_WORDS; i++)
		set->bits[i] = ~set->bits[i];
}

static inline bool byte_is_letter(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* ASCII letters in their other case; everything else as it is. */
static inline uint8_t byte_other_case(uint8_t byte)
{
	return byte_is_letter(byte) ? byte ^ 0x20 : byte;
}

/* Adds the other case of each letter in it. */
void byte_set_ignore_case(struct byte_set *set);

/* Adds the class [:name:] of POSIX, "word" and "ascii" included. False: there is none. */
bool byte_set_add_class(struct byte_set *set, const char *name, size_t length);

#endif
