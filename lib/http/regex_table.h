/* SPDX-License-Identifier: MIT */
/*
 * The regular expressions of a sandbox, by the handles that its guest has for
 * them. A table is immutable while it is shared (a master's, by its forks) and
 * copied by the first change; patterns are never copied. Knows no guest.
 */
#ifndef KVMSB_HTTP_REGEX_TABLE_H
#define KVMSB_HTTP_REGEX_TABLE_H

#include "config.h"
#include "regex.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the guest API has. */
#define REGEX_HANDLES_MAXIMUM 64u

/* A compiled pattern: the host's where it has functions for them, else our own. */
struct shared_regex {
	_Atomic uint32_t references;
	const struct http_config *config;
	bool by_host; /* and compiled */
	union {
		void *host;
		struct regex *own;
	};
	size_t length;
	char pattern[];
};

struct regex_table {
	_Atomic uint32_t references;
	struct shared_regex *regexes[REGEX_HANDLES_MAXIMUM]; /* NULL: the handle is free */
};

/* With one reference, and nothing compiled yet. NULL: no memory. */
struct shared_regex *shared_regex_new(const struct http_config *config, const char *pattern,
                                      size_t length);
/* Calls the host's regex_free() with the last reference. */
void shared_regex_release(struct shared_regex *regex);

/* A table that is NULL is empty. */

/* NULL: there is none with that handle. */
struct shared_regex *regex_table_get(const struct regex_table *table, uint64_t handle);

/* The handle of a pattern, else of what is free; or REGEX_HANDLES_MAXIMUM. */
unsigned regex_table_find(const struct regex_table *table, const char *pattern, size_t length);
unsigned regex_table_vacancy(const struct regex_table *table);

/*
 * What a handle stands for from now on: takes over a reference to `regex`, which may be
 * NULL; the one that it stood for before is the caller's, *before. Returns 0, or
 * -ENOMEM: nothing has changed.
 */
int regex_table_put(struct regex_table **table, unsigned handle, struct shared_regex *regex,
                    struct shared_regex **before);

/* NULL is allowed, for both. */
struct regex_table *regex_table_share(struct regex_table *table);
void regex_table_release(struct regex_table *table);

#endif
