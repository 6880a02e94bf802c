/* SPDX-License-Identifier: MIT */
/* Handles for regular expressions; see regex_table.h. */
#include "regex_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void refer(_Atomic uint32_t *references)
{
	atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
}

/* Whether it was the last. */
static bool drop(_Atomic uint32_t *references)
{
	return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

struct shared_regex *shared_regex_new(const struct http_config *config, const char *pattern,
                                      size_t length)
{
	struct shared_regex *regex = calloc(1, sizeof(*regex) + length);

	if (regex == NULL)
		return NULL;
	atomic_init(&regex->references, 1);
	regex->config = config;
	regex->length = length;
	memcpy(regex->pattern, pattern, length);
	return regex;
}

void shared_regex_release(struct shared_regex *regex)
{
	if (regex == NULL || !drop(&regex->references))
		return;
	if (regex->by_host)
		regex->config->ops.regex_free(regex->config->ops.user, regex->host);
	else
		regex_destroy(regex->own);
	free(regex);
}

struct shared_regex *regex_table_get(const struct regex_table *table, uint64_t handle)
{
	return table != NULL && handle < REGEX_HANDLES_MAXIMUM ? table->regexes[handle] : NULL;
}

unsigned regex_table_find(const struct regex_table *table, const char *pattern, size_t length)
{
	unsigned handle;

	if (table == NULL)
		return REGEX_HANDLES_MAXIMUM;
	for (handle = 0; handle < REGEX_HANDLES_MAXIMUM; handle++) {
		const struct shared_regex *regex = table->regexes[handle];

		if (regex != NULL && regex->length == length &&
		    memcmp(regex->pattern, pattern, length) == 0)
			break;
	}
	return handle;
}

unsigned regex_table_vacancy(const struct regex_table *table)
{
	unsigned handle = 0;

	if (table == NULL)
		return 0;
	while (handle < REGEX_HANDLES_MAXIMUM && table->regexes[handle] != NULL)
		handle++;
	return handle;
}

/* That nobody else has. NULL: no memory. */
static struct regex_table *copy_of(const struct regex_table *table)
{
	struct regex_table *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		return NULL;
	atomic_init(&copy->references, 1);
	for (unsigned i = 0; table != NULL && i < REGEX_HANDLES_MAXIMUM; i++) {
		copy->regexes[i] = table->regexes[i];
		if (copy->regexes[i] != NULL)
			refer(&copy->regexes[i]->references);
	}
	return copy;
}

static int make_own(struct regex_table **table)
{
	struct regex_table *own;

	if (*table != NULL && atomic_load_explicit(&(*table)->references, memory_order_acquire) == 1)
		return 0;
	own = copy_of(*table);
	if (own == NULL)
		return -ENOMEM;
	regex_table_release(*table);
	*table = own;
	return 0;
}

int regex_table_put(struct regex_table **table, unsigned handle, struct shared_regex *regex,
                    struct shared_regex **before)
{
	int result = make_own(table);

	if (result < 0)
		return result;
	*before = (*table)->regexes[handle];
	(*table)->regexes[handle] = regex;
	return 0;
}

struct regex_table *regex_table_share(struct regex_table *table)
{
	if (table != NULL)
		refer(&table->references);
	return table;
}

void regex_table_release(struct regex_table *table)
{
	if (table == NULL || !drop(&table->references))
		return;
	for (unsigned i = 0; i < REGEX_HANDLES_MAXIMUM; i++)
		shared_regex_release(table->regexes[i]);
	free(table);
}
