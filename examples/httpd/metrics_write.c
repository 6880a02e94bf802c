/* SPDX-License-Identifier: MIT */
/*
 * Texts and times as Prometheus' format and JSON want them. Names come from command
 * lines and exceptions from guests: any byte may be in them, and none may end
 * the string that it stands in.
 */
#include "metrics_internal.h"

#include <inttypes.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define SECOND UINT64_C(1000000000)

/* Whether the byte is between the two, both included. */
static bool between(unsigned char byte, unsigned low, unsigned high)
{
	return byte >= low && byte <= high;
}

/* Second bytes that make too long forms, surrogates and what is above U+10FFFF are none. */
static bool is_second(unsigned char first, unsigned char second)
{
	return between(second,
	               first == 0xe0   ? 0xa0
	               : first == 0xf0 ? 0x90
	                               : 0x80,
	               first == 0xed   ? 0x9f
	               : first == 0xf4 ? 0x8f
	                               : 0xbf);
}

/* Bytes of the character at `text`, by the Unicode standard's table 3-7; 0: it is none. */
static size_t character_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80                 ? 1
	                : between(text[0], 0xc2, 0xdf) ? 2
	                : between(text[0], 0xe0, 0xef) ? 3
	                : between(text[0], 0xf0, 0xf4) ? 4
	                                               : 0;

	if (length > 1 && !is_second(text[0], text[1]))
		return 0;
	for (size_t i = 2; i < length; i++)
		if (!between(text[i], 0x80, 0xbf))
			return 0;
	return length;
}

static void write_escaped(FILE *file, const char *text,
                          bool (*escape)(FILE *file, unsigned char byte))
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at != '\0') {
		size_t length = character_length(at);

		if (length == 0)
			fputs(REPLACEMENT, file);
		else if (length > 1 || !escape(file, *at))
			fwrite(at, 1, length, file);
		at += length > 0 ? length : 1;
	}
}

static bool escape_label(FILE *file, unsigned char byte)
{
	if (byte == '\n')
		fputs("\\n", file);
	else if (byte == '\\' || byte == '"')
		fprintf(file, "\\%c", byte);
	else
		return false;
	return true;
}

static bool escape_json(FILE *file, unsigned char byte)
{
	if (byte < 0x20 || byte == 0x7f)
		fprintf(file, "\\u%04x", byte);
	else if (byte == '\\' || byte == '"')
		fprintf(file, "\\%c", byte);
	else
		return false;
	return true;
}

void write_label(FILE *file, const char *text)
{
	write_escaped(file, text, escape_label);
}

void write_json_text(FILE *file, const char *text)
{
	write_escaped(file, text, escape_json);
}

void write_seconds(FILE *file, uint64_t nanoseconds)
{
	char decimals[16];
	size_t length;

	fprintf(file, "%" PRIu64, nanoseconds / SECOND);
	if (nanoseconds % SECOND == 0)
		return;
	length = (size_t)snprintf(decimals, sizeof(decimals), ".%09" PRIu64, nanoseconds % SECOND);
	while (decimals[length - 1] == '0')
		length--;
	fwrite(decimals, 1, length, file);
}
