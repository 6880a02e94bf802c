/* SPDX-License-Identifier: MIT */
/* Allocations of which one fails when it is told to; see failing_allocations.h. */
#include "failing_allocations.h"

#include <stddef.h>

static unsigned fail_at, allocations; /* 0: none fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
char *__wrap_strdup(const char *text);

void allocations_fail_at(unsigned number)
{
	allocations = 0;
	fail_at = number;
}

bool allocations_stop_failing(void)
{
	bool failed = allocations >= fail_at;

	fail_at = 0;
	return failed;
}

static bool fails(void)
{
	return fail_at && ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
	return fails() ? NULL : __real_realloc(pointer, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}
