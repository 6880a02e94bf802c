/* SPDX-License-Identifier: MIT */
/* Numbers with units on a command line; see units.h. */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static bool parse(const char *text, const struct unit *units, uint64_t *value)
{
	uint64_t number;
	char *end;

	/* strtoull() takes signs and spaces. */
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	for (; units->name != NULL; units++)
		if (strcasecmp(end, units->name) == 0)
			return !__builtin_mul_overflow(number, units->factor, value);
	return false;
}

bool units_size(const char *text, uint64_t *size)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};

	return parse(text, units, size);
}

bool units_duration(const char *text, uint64_t *nanoseconds)
{
	static const struct unit units[] = {
		{"", 1000000000}, {"s", 1000000000}, {"ms", 1000000}, {"m", 60000000000}, {NULL, 0}};

	return parse(text, units, nanoseconds);
}

bool units_exact_duration(const char *text, uint64_t *nanoseconds)
{
	static const struct unit units[] = {
		{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {NULL, 0}};

	return parse(text, units, nanoseconds);
}

bool units_number(const char *text, uint64_t *number)
{
	static const struct unit units[] = {{"", 1}, {NULL, 0}};

	return parse(text, units, number);
}
