/* SPDX-License-Identifier: MIT */
/*
 * Text that grows up to a limit, for files whose content is made by us. What
 * goes wrong on the way is remembered and told once, at the end. Knows nothing
 * of files or processes.
 */
#ifndef KVMSB_LINUX_TEXT_H
#define KVMSB_LINUX_TEXT_H

#include <stddef.h>

/* Most that one text may hold: a memory map of several thousand lines. */
#define TEXT_MAXIMUM (512u << 10)

struct text {
	char *data; /* not terminated */
	size_t length, room;
	int error; /* -ENOMEM; nothing is added any more */
};

/* All zeros is an empty text. What does not fit TEXT_MAXIMUM is left out whole. */
__attribute__((format(printf, 2, 3))) void text_add(struct text *text, const char *format, ...);
void text_add_bytes(struct text *text, const void *bytes, size_t length);

/* Room for `length` bytes behind what is there, or NULL; text_grow() says how many were filled. */
char *text_room(struct text *text, size_t length);
void text_grow(struct text *text, size_t length);

void text_end(struct text *text);

#endif
