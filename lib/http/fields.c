/* SPDX-License-Identifier: MIT */
/*
 * Header fields and their rules; see fields.h. The texts of refusals are those
 * that the guest API promises; a control character in a field is refused as
 * well, since it could end the header and begin a response of its own
 * (RFC 9112, 11.1).
 */
#include "fields.h"

#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "A: b" */
#define FIELD_LENGTH_MINIMUM 4u

void fields_clear(struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++)
		free((void *)(uintptr_t)fields->field[i].text);
	*fields = (struct fields){0};
}

/* RFC 9110, 5.6.2: tchar. */
static bool is_token_character(unsigned char character)
{
	if ((character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
	    (character >= 'A' && character <= 'Z'))
		return true;
	return character != '\0' && strchr("!#$%&'*+-.^_`|~", character) != NULL;
}

/* RFC 9110, 5.5: visible characters, blanks, and bytes that are not ASCII. */
static bool is_value_character(unsigned char character)
{
	return character == '\t' || (character >= ' ' && character != 0x7f);
}

static bool all_are(bool (*is)(unsigned char), const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!is((unsigned char)text[i]))
			return false;
	return true;
}

bool field_value_is_legal(const char *value, size_t length)
{
	return all_are(is_value_character, value, length);
}

bool field_is_one_line(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0' || text[i] == '\r' || text[i] == '\n')
			return false;
	return true;
}

size_t field_name_length(const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length);

	return colon == NULL ? length : (size_t)(colon - text);
}

const char *field_name_refusal(const char *name, size_t length)
{
	if (length == 0)
		return "HTTP header field name was too small";
	if (!all_are(is_token_character, name, length))
		return "HTTP header field name had an illegal character";
	return NULL;
}

const char *field_refusal(const char *text, size_t length)
{
	size_t colon;

	if (length > FIELD_LENGTH_MAXIMUM)
		return "HTTP header field too large";
	if (length < FIELD_LENGTH_MINIMUM)
		return "HTTP header field was too small";
	colon = field_name_length(text, length);
	if (colon == length)
		return "HTTP header field had no colon";
	if (colon == 0)
		return "HTTP header field starts with colon";
	if (colon == length - 1)
		return "HTTP header field ends with colon";
	if (text[colon + 1] != ' ')
		return "HTTP header field colon has no space after";
	if (text[0] == ' ')
		return "HTTP header field begins with space";
	if (text[length - 1] == ' ')
		return "HTTP header field ends with space";
	if (!field_value_is_legal(text + colon, length - colon))
		return "HTTP header field had an illegal character";
	return field_name_refusal(text, colon);
}

size_t fields_find(const struct fields *fields, const char *name, size_t length)
{
	for (size_t i = 0; i < fields->count; i++) {
		const struct kvmsb_http_field *field = &fields->field[i];

		if (field_name_length(field->text, field->length) == length &&
		    strncasecmp(field->text, name, length) == 0)
			return i;
	}
	return fields->count;
}

bool fields_have_room(const struct fields *fields, size_t length)
{
	return fields->count < FIELDS_MAXIMUM && length <= FIELDS_BYTES_MAXIMUM - fields->bytes;
}

char *field_copy(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

int fields_append(struct fields *fields, const char *text, size_t length)
{
	char *copy;

	if (!fields_have_room(fields, length))
		return -ENOSPC;
	copy = field_copy(text, length);
	if (copy == NULL)
		return -ENOMEM;
	fields->field[fields->count] = (struct kvmsb_http_field){.text = copy, .length = length};
	fields->bytes += length;
	return (int)fields->count++;
}

static int replace(struct fields *fields, size_t position, const char *text, size_t length)
{
	struct kvmsb_http_field *field = &fields->field[position];
	size_t others = fields->bytes - field->length;
	char *copy;

	if (length > FIELDS_BYTES_MAXIMUM - others)
		return -ENOSPC;
	copy = field_copy(text, length);
	if (copy == NULL)
		return -ENOMEM;
	free((void *)(uintptr_t)field->text);
	*field = (struct kvmsb_http_field){.text = copy, .length = length};
	fields->bytes = others + length;
	return (int)position;
}

int fields_set(struct fields *fields, const char *text, size_t length)
{
	size_t position = fields_find(fields, text, field_name_length(text, length));

	if (position == fields->count)
		return fields_append(fields, text, length);
	return replace(fields, position, text, length);
}

void fields_remove(struct fields *fields, size_t position)
{
	struct kvmsb_http_field *field = &fields->field[position];

	fields->bytes -= field->length;
	free((void *)(uintptr_t)field->text);
	fields->count--;
	memmove(field, field + 1, (fields->count - position) * sizeof(*field));
}
