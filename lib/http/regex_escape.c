/* SPDX-License-Identifier: MIT */
/*
 * Escapes and classes, as perlre(1) and pcre2pattern(3) have them; see
 * regex_escape.h. What those two know and this engine cannot do, and letters
 * that mean nothing, are refused: a pattern must not silently mean less.
 */
#include "regex_escape.h"

#include "../util.h"

#include <errno.h>
#include <string.h>

#define BYTE_MAXIMUM 0xffu

bool regex_source_take(struct regex_source *source, char byte)
{
	if (regex_source_peek(source, 0) != (uint8_t)byte)
		return false;
	source->position++;
	return true;
}

bool regex_source_unquote(struct regex_source *source)
{
	if (regex_source_peek(source, 0) != '\\' || regex_source_peek(source, 1) != 'E')
		return false;
	source->position += 2;
	source->quoted = false;
	return true;
}

static int digit_value(int byte, unsigned base)
{
	int value = -1;

	if (byte >= '0' && byte <= '9')
		value = byte - '0';
	else if (byte >= 'a' && byte <= 'f')
		value = byte - 'a' + 10;
	else if (byte >= 'A' && byte <= 'F')
		value = byte - 'A' + 10;
	return value < (int)base ? value : -1;
}

/* At most `maximum` digits; none are 0. Returns how many there were. */
static size_t read_digits(struct regex_source *source, unsigned base, size_t maximum, unsigned *value)
{
	size_t count = 0;
	int digit;

	*value = 0;
	while (count < maximum && (digit = digit_value(regex_source_peek(source, 0), base)) >= 0) {
		*value = *value * base + (unsigned)digit;
		source->position++;
		count++;
	}
	return count;
}

static int give_byte(struct regex_escape *escape, unsigned value)
{
	if (value > BYTE_MAXIMUM)
		return -EINVAL;
	escape->kind = REGEX_ESCAPE_BYTE;
	escape->byte = (uint8_t)value;
	return 0;
}

/* \x{41} and \o{101}: "{" has been read. More digits than a byte has are zeros, or too much. */
static int read_braced(struct regex_source *source, unsigned base, struct regex_escape *escape)
{
	const size_t digits_maximum = 8;
	unsigned value;

	if (read_digits(source, base, digits_maximum, &value) == 0 || !regex_source_take(source, '}'))
		return -EINVAL;
	return give_byte(escape, value);
}

static int read_hexadecimal(struct regex_source *source, struct regex_escape *escape)
{
	unsigned value;

	if (regex_source_take(source, '{'))
		return read_braced(source, 16, escape);
	read_digits(source, 16, 2, &value);
	return give_byte(escape, value);
}

/* The first digit is read again. Outside of a class only \0 is none of a back reference. */
static int read_octal(struct regex_source *source, bool in_class, struct regex_escape *escape)
{
	unsigned value;

	source->position--;
	if ((!in_class && regex_source_peek(source, 0) != '0') ||
	    read_digits(source, 8, 3, &value) == 0)
		return -EINVAL;
	return give_byte(escape, value);
}

/* \cA is control-A; the other half of ASCII by the same bit. */
static int read_control(struct regex_source *source, struct regex_escape *escape)
{
	int byte = regex_source_peek(source, 0);

	if (byte < ' ' || byte > '~')
		return -EINVAL;
	source->position++;
	return give_byte(escape, (unsigned)(byte >= 'a' && byte <= 'z' ? byte - 0x20 : byte) ^ 0x40);
}

static void add_blanks(struct byte_set *set)
{
	byte_set_add(set, '\t');
	byte_set_add(set, ' ');
	byte_set_add(set, 0xa0);
}

static void add_line_ends(struct byte_set *set)
{
	byte_set_add_range(set, '\n', '\r');
	byte_set_add(set, 0x85);
}

/* In capitals: all others. */
static bool read_set(int letter, struct byte_set *set)
{
	*set = (struct byte_set){0};
	switch (letter | 0x20) {
	case 'd':
		byte_set_add_class(set, "digit", 5);
		break;
	case 'w':
		byte_set_add_class(set, "word", 4);
		break;
	case 's':
		byte_set_add_class(set, "space", 5);
		break;
	case 'h':
		add_blanks(set);
		break;
	case 'v':
		add_line_ends(set);
		break;
	default:
		return false;
	}
	if (letter < 'a')
		byte_set_invert(set);
	return true;
}

static bool read_assertion(int letter, enum regex_operation *assertion)
{
	static const struct {
		char letter;
		enum regex_operation assertion;
	} assertions[] = {
		{'A', REGEX_TEXT_BEGIN}, {'z', REGEX_TEXT_END},     {'Z', REGEX_LAST_LINE_END},
		{'b', REGEX_WORD_EDGE},  {'B', REGEX_NO_WORD_EDGE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(assertions); i++) {
		if (assertions[i].letter != letter)
			continue;
		*assertion = assertions[i].assertion;
		return true;
	}
	return false;
}

/* Letters for control characters. */
static bool read_letter(int letter, uint8_t *byte)
{
	static const char letters[] = "aefnrt", bytes[] = "\a\033\f\n\r\t";
	const char *found = strchr(letters, letter);

	if (found == NULL)
		return false;
	*byte = (uint8_t)bytes[found - letters];
	return true;
}

static int read_by_letter(struct regex_source *source, int letter, bool in_class,
                          struct regex_escape *escape)
{
	if (letter == 'Q' || letter == 'E') {
		escape->kind = REGEX_ESCAPE_NOTHING;
		source->quoted = letter == 'Q';
	} else if (letter == 'b' && in_class) {
		return give_byte(escape, '\b');
	} else if (letter == 'N' && !in_class) {
		escape->kind = REGEX_ESCAPE_SET;
		escape->set = (struct byte_set){0};
		byte_set_add(&escape->set, '\n');
		byte_set_invert(&escape->set);
	} else if (read_letter(letter, &escape->byte)) {
		escape->kind = REGEX_ESCAPE_BYTE;
	} else if (read_set(letter, &escape->set)) {
		escape->kind = REGEX_ESCAPE_SET;
	} else if (!in_class && read_assertion(letter, &escape->assertion)) {
		escape->kind = REGEX_ESCAPE_ASSERTION;
	} else {
		return -EINVAL;
	}
	return 0;
}

int regex_escape_read(struct regex_source *source, bool in_class, struct regex_escape *escape)
{
	int byte = regex_source_peek(source, 0);

	if (byte < 0)
		return -EINVAL;
	source->position++;
	if (byte == 'x')
		return read_hexadecimal(source, escape);
	if (byte == 'c')
		return read_control(source, escape);
	if (byte == 'o')
		return regex_source_take(source, '{') ? read_braced(source, 8, escape) : -EINVAL;
	if (byte >= '0' && byte <= '9')
		return read_octal(source, in_class, escape);
	if (byte_is_letter((uint8_t)byte))
		return read_by_letter(source, byte, in_class, escape);
	return give_byte(escape, (unsigned)byte);
}

/* ---- Classes ---- */

/*
 * The length of a name in brackets ("[:name:]", or with "." or "=", which exist in
 * POSIX but not in Perl) that begins here; 0: it is none, but a "[" in a class.
 */
static size_t bracketed_length(const struct regex_source *source)
{
	int mark = regex_source_peek(source, 1), byte;

	if (mark != ':' && mark != '.' && mark != '=')
		return 0;
	for (size_t i = 2; (byte = regex_source_peek(source, i)) >= 0; i++) {
		if (byte == mark && regex_source_peek(source, i + 1) == ']')
			return i + 2;
		if (byte == ']' || byte == '[' || byte == '\\')
			break;
	}
	return 0;
}

static int read_bracketed(struct regex_source *source, size_t length, struct byte_set *set)
{
	const char *name = (const char *)source->text + source->position + 2;
	size_t name_length = length - 4;
	bool inverted = name_length > 0 && name[0] == '^';

	if (regex_source_peek(source, 1) != ':')
		return -EINVAL;
	*set = (struct byte_set){0};
	if (!byte_set_add_class(set, name + inverted, name_length - inverted))
		return -EINVAL;
	if (inverted)
		byte_set_invert(set);
	source->position += length;
	return 0;
}

/* A byte, a set, or nothing. */
static int read_member(struct regex_source *source, struct regex_escape *member)
{
	size_t bracketed = source->quoted ? 0 : bracketed_length(source);
	int byte = regex_source_peek(source, 0);

	if (byte < 0)
		return -EINVAL;
	if (byte == '[' && bracketed > 0) {
		member->kind = REGEX_ESCAPE_SET;
		return read_bracketed(source, bracketed, &member->set);
	}
	if (source->quoted && regex_source_unquote(source)) {
		member->kind = REGEX_ESCAPE_NOTHING;
		return 0;
	}
	source->position++;
	if (byte == '\\' && !source->quoted)
		return regex_escape_read(source, true, member);
	return give_byte(member, (unsigned)byte);
}

/* "-" after a byte, and not the last: up to the next one. Before a set it is itself, as in Perl. */
static int add_from(struct regex_source *source, uint8_t first, struct byte_set *set)
{
	struct regex_escape last;
	int result;

	byte_set_add(set, first);
	if (source->quoted || regex_source_peek(source, 0) != '-' ||
	    regex_source_peek(source, 1) == ']')
		return 0;
	source->position++;
	result = read_member(source, &last);
	if (result < 0)
		return result;
	switch (last.kind) {
	case REGEX_ESCAPE_BYTE:
		if (last.byte < first)
			return -EINVAL;
		byte_set_add_range(set, first, last.byte);
		return 0;
	case REGEX_ESCAPE_SET:
		byte_set_add(set, '-');
		byte_set_add_all(set, &last.set);
		return 0;
	default:
		return -EINVAL;
	}
}

static int read_members(struct regex_source *source, struct byte_set *set)
{
	struct regex_escape member;
	bool first = true;
	int result;

	/* "]" is a member where no class could end yet. */
	for (; source->quoted || first || !regex_source_take(source, ']'); first = false) {
		result = read_member(source, &member);
		if (result < 0)
			return result;
		if (member.kind == REGEX_ESCAPE_SET)
			byte_set_add_all(set, &member.set);
		else if (member.kind == REGEX_ESCAPE_BYTE)
			result = add_from(source, member.byte, set);
		if (result < 0)
			return result;
	}
	return 0;
}

int regex_class_read(struct regex_source *source, bool ignore_case, struct byte_set *set)
{
	bool inverted = regex_source_take(source, '^');
	int result;

	*set = (struct byte_set){0};
	result = read_members(source, set);
	if (result < 0)
		return result;
	if (ignore_case)
		byte_set_ignore_case(set);
	if (inverted)
		byte_set_invert(set);
	return 0;
}
