/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls about header fields and the method of the exchange at hand.
 * The rules for fields are in fields.c; here is what the guest passes.
 */
#include "header_calls.h"

#include "../util.h"
#include "call.h"
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fields are numbered behind the five parts of the start lines, as programs know it. */
#define FIRST_INDEX 5u
#define NO_ROOM UINT32_MAX

/* The values of `where`: what a back-end program sees, and what it answers. */
enum side {
	REQUEST = 0,
	RESPONSE = 1,
	BACKEND_REQUEST = 4,
	BACKEND_RESPONSE = 5
};

static int choose(struct call *call, uint64_t where, struct fields **fields)
{
	struct http_exchange *exchange = call->hypercalls->exchange;

	*fields = NULL;
	switch ((uint32_t)where) {
	case REQUEST:
	case BACKEND_REQUEST:
		if (exchange != NULL)
			*fields = &exchange->request_fields;
		break;
	case RESPONSE:
	case BACKEND_RESPONSE:
		if (exchange != NULL)
			*fields = &exchange->response_fields;
		break;
	default:
		break;
	}
	if (*fields != NULL)
		return 0;
	return call_deny(call, "Selected HTTP not available at this time: %d", (int)where);
}

/* Copies a field or name that the guest gives; free() it. */
static int read_text(struct call *call, uint64_t address, uint64_t length, char **text)
{
	void *data;
	int result;

	if (length > FIELD_LENGTH_MAXIMUM)
		return call_deny(call, "HTTP header field too large");
	result = call_read_allocated(call, address, length, &data);
	*text = result == 0 ? data : NULL;
	return result;
}

/* `position` is of fields_append() or fields_set(). */
static int give_index(struct call *call, int position, uint32_t *index)
{
	if (position == -ENOMEM)
		return call_no_memory(call);
	*index = position < 0 ? NO_ROOM : FIRST_INDEX + (uint32_t)position;
	return 0;
}

static int append(struct call *call, struct fields *fields, const char *text, size_t length,
                  uint32_t *index)
{
	const char *refusal = field_refusal(text, length);

	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	return give_index(call, fields_append(fields, text, length), index);
}

static int unset(struct call *call, struct fields *fields, const char *name, size_t length,
                 uint32_t *index)
{
	const char *refusal = field_name_refusal(name, length);
	size_t position;

	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	position = fields_find(fields, name, length);
	*index = 0;
	if (position == fields->count)
		return 0;
	fields_remove(fields, position);
	*index = FIRST_INDEX + (uint32_t)position;
	return 0;
}

static int set(struct call *call, struct fields *fields, const char *text, size_t length,
               uint32_t *index)
{
	const char *refusal;

	if (field_name_length(text, length) == length)
		return unset(call, fields, text, length, index);
	refusal = field_refusal(text, length);
	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	return give_index(call, fields_set(fields, text, length), index);
}

int header_call_set(struct call *call, struct fields *fields, uint64_t address, uint64_t length,
                    uint32_t *index)
{
	char *text;
	int result;

	*index = 0;
	if (length == 0)
		return 0;
	result = read_text(call, address, length, &text);
	if (result < 0)
		return result;
	result = set(call, fields, text, length, index);
	free(text);
	return result;
}

int call_http_append(struct call *call)
{
	uint64_t length = call->arguments[2];
	uint32_t index = NO_ROOM;
	struct fields *fields;
	char *text;
	int result = choose(call, call->arguments[0], &fields);

	if (result < 0)
		return result;
	/* A full list is said before the field is looked at. */
	*call->result = NO_ROOM;
	if (!fields_have_room(fields, 0))
		return 0;
	result = read_text(call, call->arguments[1], length, &text);
	if (result < 0)
		return result;
	result = append(call, fields, text, length, &index);
	free(text);
	*call->result = index;
	return result;
}

int call_http_set(struct call *call)
{
	struct fields *fields;
	uint32_t index;
	int result = choose(call, call->arguments[0], &fields);

	if (result < 0)
		return result;
	result = header_call_set(call, fields, call->arguments[1], call->arguments[2], &index);
	if (result == 0)
		*call->result = index;
	return result;
}

/* Gives the guest a text: its length when there is no buffer, 0 when it does not fit. */
static int give_text(struct call *call, const char *text, size_t length, uint64_t address,
                     uint64_t size)
{
	int result = 0;

	*call->result = length;
	if (address == 0)
		return 0;
	if (size < length)
		*call->result = 0;
	else
		result = call_write(call, address, text, length);
	return result;
}

static int find(struct call *call, const struct fields *fields, const char *name, size_t length)
{
	const char *refusal = field_name_refusal(name, length);
	size_t position;

	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	position = fields_find(fields, name, length);
	*call->result = 0;
	if (position == fields->count)
		return 0;
	return give_text(call, fields->field[position].text, fields->field[position].length,
	                 call->arguments[3], call->arguments[4]);
}

int call_http_find(struct call *call)
{
	uint64_t length = (uint16_t)call->arguments[2];
	struct fields *fields;
	char *name;
	int result = choose(call, call->arguments[0], &fields);

	if (result < 0)
		return result;
	result = read_text(call, call->arguments[1], length, &name);
	if (result < 0)
		return result;
	result = find(call, fields, name, length);
	free(name);
	return result;
}

int call_http_method(struct call *call)
{
	struct fields *fields;
	const char *method;
	int result = choose(call, BACKEND_REQUEST, &fields);

	if (result < 0)
		return result;
	method = call->hypercalls->exchange->method;
	return give_text(call, method, strlen(method), call->arguments[0], call->arguments[1]);
}
