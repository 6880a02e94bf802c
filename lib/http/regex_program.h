/* SPDX-License-Identifier: MIT */
/*
 * The programs that patterns become: what regex_compile.c writes and
 * regex_match.c runs.
 */
#ifndef KVMSB_HTTP_REGEX_PROGRAM_H
#define KVMSB_HTTP_REGEX_PROGRAM_H

#include "byte_set.h"
#include "regex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum regex_operation {
	/* These take a byte of the text. */
	REGEX_BYTE, /* `byte`, or `other` */
	REGEX_SET,  /* one of sets[index] */

	REGEX_MATCH, /* the end */

	/* These take none. Jumps are relative, so that a part can be moved and copied. */
	REGEX_JUMP,
	REGEX_NEXT_FIRST, /* both ways: first the next step, then the jump */
	REGEX_JUMP_FIRST, /* the other way round */
	REGEX_SAVE,       /* the position is offset `index`: 2 * group, or that + 1 for its end */

	/* These go on if it is so. */
	REGEX_TEXT_BEGIN,
	REGEX_LINE_BEGIN,
	REGEX_TEXT_END,
	REGEX_LAST_LINE_END, /* the text's, or before a newline there */
	REGEX_LINE_END,
	REGEX_WORD_EDGE,
	REGEX_NO_WORD_EDGE,
};

struct regex_step {
	uint8_t operation;
	uint8_t byte, other;
	uint16_t index;
	int16_t jump;
};

struct regex {
	size_t count;          /* of steps */
	size_t groups;         /* the whole match included */
	bool only_at_begin;    /* of the text */
	bool matches_anything; /* what is empty, too: `first` says nothing */
	struct byte_set first; /* what a match can begin with */
	const struct byte_set *sets;
	struct regex_step steps[];
};

#endif
