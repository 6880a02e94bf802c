/* SPDX-License-Identifier: MIT */
/*
 * The parts of a pattern that stand for bytes: escapes, and classes in
 * brackets. Below the grammar, which is regex_compile.c's.
 */
#ifndef KVMSB_HTTP_REGEX_ESCAPE_H
#define KVMSB_HTTP_REGEX_ESCAPE_H

#include "byte_set.h"
#include "regex_program.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pattern, as far as it has been read. */
struct regex_source {
	const uint8_t *text;
	size_t length, position;
	bool quoted; /* between \Q and \E */
};

enum regex_escape_kind {
	REGEX_ESCAPE_BYTE,
	REGEX_ESCAPE_SET,
	REGEX_ESCAPE_ASSERTION,
	REGEX_ESCAPE_NOTHING, /* \Q, \E */
};

struct regex_escape {
	enum regex_escape_kind kind;
	uint8_t byte;
	struct byte_set set;
	enum regex_operation assertion;
};

static inline size_t regex_source_left(const struct regex_source *source)
{
	return source->length - source->position;
}

/* The byte `ahead` of the next one, or -1. */
static inline int regex_source_peek(const struct regex_source *source, size_t ahead)
{
	return ahead < regex_source_left(source) ? source->text[source->position + ahead] : -1;
}

/* Whether that byte is next; then it is read. */
bool regex_source_take(struct regex_source *source, char byte);

/* While quoted: reads the \E that ends it, if that is next. */
bool regex_source_unquote(struct regex_source *source);

/* Reads what follows a backslash. Returns 0 or -EINVAL. */
int regex_escape_read(struct regex_source *source, bool in_class, struct regex_escape *escape);

/* Reads a class up to its "]"; "[" has been read. Returns 0 or -EINVAL. */
int regex_class_read(struct regex_source *source, bool ignore_case, struct byte_set *set);

#endif
