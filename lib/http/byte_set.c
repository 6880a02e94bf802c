/* SPDX-License-Identifier: MIT */
/* Sets of bytes with names; see byte_set.h. */
#include "byte_set.h"

#include "../util.h"

#include <string.h>

#define RANGES_MAXIMUM 4u

struct byte_class {
	const char *name;
	unsigned count;
	uint8_t ranges[RANGES_MAXIMUM][2];
};

/* POSIX.1-2017, XBD 7.3.1, for the POSIX locale. */
static const struct byte_class classes[] = {
	{"alpha", 2, {{'a', 'z'}, {'A', 'Z'}}},
	{"digit", 1, {{'0', '9'}}},
	{"alnum", 3, {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}}},
	{"upper", 1, {{'A', 'Z'}}},
	{"lower", 1, {{'a', 'z'}}},
	{"space", 2, {{'\t', '\r'}, {' ', ' '}}},
	{"blank", 2, {{'\t', '\t'}, {' ', ' '}}},
	{"punct", 4, {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
	{"print", 1, {{' ', '~'}}},
	{"graph", 1, {{'!', '~'}}},
	{"cntrl", 2, {{0, 0x1f}, {0x7f, 0x7f}}},
	{"xdigit", 3, {{'0', '9'}, {'a', 'f'}, {'A', 'F'}}},
	{"word", 4, {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {'_', '_'}}},
	{"ascii", 1, {{0, 0x7f}}},
};

void byte_set_ignore_case(struct byte_set *set)
{
	const struct byte_set before = *set;

	for (unsigned byte = 'A'; byte <= 'z'; byte++)
		if (byte_set_has(&before, (uint8_t)byte))
			byte_set_add(set, byte_other_case((uint8_t)byte));
}

bool byte_set_add_class(struct byte_set *set, const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		const struct byte_class *class = &classes[i];

		if (strlen(class->name) != length || memcmp(class->name, name, length) != 0)
			continue;
		for (unsigned j = 0; j < class->count; j++)
			byte_set_add_range(set, class->ranges[j][0], class->ranges[j][1]);
		return true;
	}
	return false;
}
