/* SPDX-License-Identifier: MIT */
/*
 * A list of HTTP header fields, "Name: value" each, with the rules that the
 * guest API has for them: what a field may look like, case-insensitive names,
 * append, set, unset, find. Bounded in number and bytes. Knows nothing of
 * guests: texts are the host's copies.
 */
#ifndef KVMSB_HTTP_FIELDS_H
#define KVMSB_HTTP_FIELDS_H

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>

#define FIELDS_MAXIMUM 64u              /* in a list */
#define FIELD_LENGTH_MAXIMUM 0xffffu    /* of one field */
#define FIELDS_BYTES_MAXIMUM (1u << 20) /* of all fields of a list */

struct fields {
	struct kvmsb_http_field field[FIELDS_MAXIMUM]; /* texts are NUL-terminated and the list's */
	size_t count;
	size_t bytes;
};

/* All zero is the empty list. */
void fields_clear(struct fields *fields);

/* NULL if a guest may add the field, else why not. */
const char *field_refusal(const char *text, size_t length);

/* NULL if it can be the name of a field, else why not. */
const char *field_name_refusal(const char *name, size_t length);

/* Whether a header's value may hold it: no control characters but tabs. */
bool field_value_is_legal(const char *value, size_t length);

/* Whether it neither ends a line nor a text: no CR, LF or NUL. The least that any field has to be. */
bool field_is_one_line(const char *text, size_t length);

/* A NUL-terminated copy to free(); NULL without memory. */
char *field_copy(const char *text, size_t length);

/* Length of the name: the bytes before the first colon; `length` if there is none. */
size_t field_name_length(const char *text, size_t length);

/* Position of the first field of that name; fields->count if there is none. */
size_t fields_find(const struct fields *fields, const char *name, size_t length);

/* Whether a field of that length can be appended. */
bool fields_have_room(const struct fields *fields, size_t length);

/*
 * Adds a copy of a field at the end. Returns its position, -ENOSPC (the list
 * is full), -ENOMEM.
 */
int fields_append(struct fields *fields, const char *text, size_t length);

/* Replaces the first field of the same name, or appends. Returns as fields_append(). */
int fields_set(struct fields *fields, const char *text, size_t length);

/* Removes the field at the position; those behind it move up. */
void fields_remove(struct fields *fields, size_t position);

#endif
