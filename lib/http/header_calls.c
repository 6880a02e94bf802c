/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls about header fields and the method of the exchange at hand.
 * The rules for fields are in fields.c; here is what the guest passes.
 */
#include "header_calls.h"

#include "../util.h"
#include "call.h"
#include "exchange.h"
#include "fields.h"
#include "header_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fields are numbered behind the five parts of the start lines, as programs know it. */
#define FIRST_INDEX 5u
#define NO_ROOM UINT32_MAX

/* The values of `where`: what a back-end program sees, and what it answers. */
enum where {
	REQUEST = 0,
	RESPONSE = 1,
	BACKEND_REQUEST = 4,
	BACKEND_RESPONSE = 5
};

int header_call_side(struct call *call, uint64_t where, enum kvmsb_http_side *side)
{
	if (call_has_request(call)) {
		switch ((uint32_t)where) {
		case REQUEST:
		case BACKEND_REQUEST:
			*side = KVMSB_HTTP_REQUEST;
			return 0;
		case RESPONSE:
		case BACKEND_RESPONSE:
			*side = KVMSB_HTTP_RESPONSE;
			return 0;
		default:
			break;
		}
	}
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

/* `position` is of header_store_append() or header_store_set(). */
static int give_index(int64_t position, uint32_t *index)
{
	if (position < 0 && position != -ENOSPC)
		return (int)position;
	*index = position < 0 ? NO_ROOM : FIRST_INDEX + (uint32_t)position;
	return 0;
}

static int append(struct call *call, enum kvmsb_http_side side, const char *text, size_t length,
                  uint32_t *index)
{
	const char *refusal = field_refusal(text, length);

	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	return give_index(header_store_append(call, side, text, length), index);
}

/*
 * What a guest looks for. Denied is only what the guest API says: another byte that
 * no name has (*can_be: false) makes a field that is not there.
 */
static int check_key(struct call *call, const char *name, size_t length, bool *can_be)
{
	const char *refusal = field_name_refusal(name, length);

	*can_be = refusal == NULL;
	if (length > 0 && memchr(name, ':', length) == NULL && memchr(name, ' ', length) == NULL &&
	    memchr(name, '\0', length) == NULL)
		return 0;
	return call_deny(call, "%s", refusal);
}

static int unset(struct call *call, enum kvmsb_http_side side, const char *name, size_t length,
                 uint32_t *index)
{
	int64_t position = -ENOENT;
	bool can_be;
	int result = check_key(call, name, length, &can_be);

	*index = 0;
	if (result < 0)
		return result;
	if (can_be)
		position = header_store_unset(call, side, name, length);
	return position == -ENOENT ? 0 : give_index(position, index);
}

static int set(struct call *call, enum kvmsb_http_side side, const char *text, size_t length,
               uint32_t *index)
{
	const char *refusal;

	if (field_name_length(text, length) == length)
		return unset(call, side, text, length, index);
	refusal = field_refusal(text, length);
	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	return give_index(header_store_set(call, side, text, length), index);
}

int header_call_set(struct call *call, enum kvmsb_http_side side, uint64_t address, uint64_t length,
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
	result = set(call, side, text, length, index);
	free(text);
	return result;
}

int call_http_append(struct call *call)
{
	uint64_t length = call->arguments[2];
	uint32_t index = NO_ROOM;
	enum kvmsb_http_side side;
	char *text;
	int result = header_call_side(call, call->arguments[0], &side);

	if (result < 0)
		return result;
	/* A full list is said before the field is looked at. */
	*call->result = NO_ROOM;
	if (header_store_full(call, side))
		return 0;
	result = read_text(call, call->arguments[1], length, &text);
	if (result < 0)
		return result;
	result = append(call, side, text, length, &index);
	free(text);
	*call->result = index;
	return result;
}

int call_http_set(struct call *call)
{
	enum kvmsb_http_side side;
	uint32_t index;
	int result = header_call_side(call, call->arguments[0], &side);

	if (result < 0)
		return result;
	result = header_call_set(call, side, call->arguments[1], call->arguments[2], &index);
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

static int find(struct call *call, enum kvmsb_http_side side, const char *name, size_t length)
{
	struct kvmsb_http_field field;
	int64_t position = -ENOENT;
	bool can_be;
	int result = check_key(call, name, length, &can_be);

	if (result < 0)
		return result;
	*call->result = 0;
	if (can_be)
		position = header_store_find(call, side, name, length, &field);
	if (position < 0)
		return position == -ENOENT ? 0 : (int)position;
	return give_text(call, field.text, field.length, call->arguments[3], call->arguments[4]);
}

int call_http_find(struct call *call)
{
	uint64_t length = (uint16_t)call->arguments[2];
	enum kvmsb_http_side side;
	char *name;
	int result = header_call_side(call, call->arguments[0], &side);

	if (result < 0)
		return result;
	result = read_text(call, call->arguments[1], length, &name);
	if (result < 0)
		return result;
	result = find(call, side, name, length);
	free(name);
	return result;
}

int call_http_method(struct call *call)
{
	char method[EXCHANGE_METHOD_MAXIMUM + 1];
	enum kvmsb_http_side side;
	int result = header_call_side(call, BACKEND_REQUEST, &side);

	if (result == 0)
		result = header_store_method(call, method);
	if (result < 0)
		return result;
	return give_text(call, method, strlen(method), call->arguments[0], call->arguments[1]);
}
