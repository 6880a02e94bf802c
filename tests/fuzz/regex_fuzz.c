/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for regular expressions: a pattern up to the first NUL, then
 * a text. Nothing may crash or take long, what is found lies in the text, and
 * is the same however many groups are asked for.
 */
#include "http/regex.h"

#include "time_limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "wrong: %s\n", what);
	abort();
}

static void check_group(const size_t group[2], size_t start, size_t length)
{
	if (group[0] == SIZE_MAX && group[1] == SIZE_MAX)
		return;
	check(group[0] >= start && group[0] <= group[1] && group[1] <= length, "a group's place");
}

static void check_match(const struct regex *regex, const char *text, size_t length, size_t start)
{
	size_t all[REGEX_GROUPS_MAXIMUM][2], some[2][2];
	uint64_t deadline = time_now() + 10 * SECOND;
	int count = regex_match(regex, text, length, start, all, REGEX_GROUPS_MAXIMUM, deadline);

	check(count >= 0 && count <= (int)REGEX_GROUPS_MAXIMUM, "how it ended");
	check(regex_match(regex, text, length, start, NULL, 0, deadline) == count, "the count");
	check(regex_match(regex, text, length, start, some, 2, deadline) == count, "the count");
	if (count == 0)
		return;
	check(all[0][0] != SIZE_MAX, "the whole match");
	for (int i = 0; i < count; i++)
		check_group(all[i], start, length);
	check(count == 1 || all[count - 1][0] != SIZE_MAX, "the last group");
	for (size_t i = (size_t)count; i < REGEX_GROUPS_MAXIMUM; i++)
		check(all[i][0] == SIZE_MAX && all[i][1] == SIZE_MAX, "groups behind the last");
	check(memcmp(all, some, sizeof(some)) == 0, "groups");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t pattern_length = end != NULL ? (size_t)(end - data) : size;
	size_t length = end != NULL ? size - pattern_length - 1 : 0;
	/* Copies, so that a byte too far is seen. */
	char *pattern = malloc(pattern_length), *text = malloc(length);
	struct regex *regex;
	int result;

	check(text != NULL && pattern != NULL, "memory");
	if (pattern_length > 0)
		memcpy(pattern, data, pattern_length);
	if (length > 0)
		memcpy(text, end + 1, length);
	result = regex_compile(&regex, pattern, pattern_length);
	check((result == 0) == (regex != NULL), "result and object");
	if (result == 0) {
		check_match(regex, text, length, 0);
		check_match(regex, text, length, length / 2);
	}
	regex_destroy(regex);
	free(pattern);
	free(text);
	return 0;
}
