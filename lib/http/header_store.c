/* SPDX-License-Identifier: MIT */
/* Header fields in memory, or the host's; see header_store.h. */
#include "header_store.h"

#include "../util.h"
#include "exchange.h"
#include "fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fields *in_memory(const struct call *call, enum kvmsb_http_side side)
{
	struct http_exchange *exchange = call->hypercalls->exchange;

	return side == KVMSB_HTTP_REQUEST ? &exchange->request_fields : &exchange->response_fields;
}

/* The five functions come together: http/config.c. */
static bool is_hosts(const struct call *call)
{
	return call->hypercalls->config->ops.header_find != NULL;
}

/* What the list in memory answered. */
static int64_t answer(struct call *call, int64_t result)
{
	return result == -ENOMEM ? call_no_memory(call) : result;
}

static int64_t nonsense(struct call *call, const char *function, int64_t result)
{
	return call_deny(call, "%s: the host's %s failed: %lld", call->name, function,
	                 (long long)result);
}

/* Ends a call of the host's function. refusal: what it may answer other than a position. */
static int64_t host_answer(struct call *call, const char *function, int64_t result, int refusal)
{
	int ended = call_host_end(call);

	if (ended < 0)
		return ended;
	if (result == refusal || (result >= 0 && result < HEADER_STORE_POSITIONS))
		return result;
	return nonsense(call, function, result);
}

/* A field that the host gave. */
static int64_t check_field(struct call *call, const char *function,
                           const struct kvmsb_http_field *field, int64_t result)
{
	if (result < 0)
		return result;
	if (field->text == NULL || field->length > FIELD_LENGTH_MAXIMUM ||
	    !field_is_one_line(field->text, field->length))
		return call_deny(call, "%s: the host's %s gave no field", call->name, function);
	return result;
}

static int64_t host_find(struct call *call, enum kvmsb_http_side side, const char *name,
                         size_t length, struct kvmsb_http_field *field)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	struct kvmsb_http_context context;
	int64_t result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	result = ops->header_find(&context, side, name, length, field);
	result = host_answer(call, "header_find", result, -ENOENT);
	return check_field(call, "header_find", field, result);
}

static int64_t host_next(struct call *call, enum kvmsb_http_side side, size_t position,
                         struct kvmsb_http_field *field)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	struct kvmsb_http_context context;
	int64_t result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	result = ops->header_next(&context, side, position, field);
	result = host_answer(call, "header_next", result, -ENOENT);
	return check_field(call, "header_next", field, result);
}

typedef int64_t (*host_function)(const struct kvmsb_http_context *context,
                                 enum kvmsb_http_side side, const char *text, size_t length);

static int64_t host_change(struct call *call, const char *name, host_function function,
                           enum kvmsb_http_side side, const char *text, size_t length, int refusal)
{
	struct kvmsb_http_context context;
	int64_t result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	result = function(&context, side, text, length);
	return host_answer(call, name, result, refusal);
}

int64_t header_store_find(struct call *call, enum kvmsb_http_side side, const char *name,
                          size_t length, struct kvmsb_http_field *field)
{
	const struct fields *fields;
	size_t position;

	*field = (struct kvmsb_http_field){0};
	if (is_hosts(call))
		return host_find(call, side, name, length, field);
	fields = in_memory(call, side);
	position = fields_find(fields, name, length);
	if (position == fields->count)
		return -ENOENT;
	*field = fields->field[position];
	return (int64_t)position;
}

static int64_t field_at(struct call *call, enum kvmsb_http_side side, size_t position,
                        struct kvmsb_http_field *field)
{
	const struct fields *fields;

	if (is_hosts(call))
		return host_next(call, side, position, field);
	fields = in_memory(call, side);
	if (position >= fields->count)
		return -ENOENT;
	*field = fields->field[position];
	return (int64_t)position;
}

int64_t header_store_next(struct call *call, enum kvmsb_http_side side, size_t position,
                          char **text, size_t *length)
{
	struct kvmsb_http_field field = {0};
	int64_t result;

	if (position >= HEADER_STORE_POSITIONS)
		return -ENOENT;
	result = field_at(call, side, position, &field);
	if (result < 0)
		return result;
	*text = field_copy(field.text, field.length);
	*length = field.length;
	return *text == NULL ? call_no_memory(call) : result;
}

int64_t header_store_append(struct call *call, enum kvmsb_http_side side, const char *text,
                            size_t length)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;

	if (is_hosts(call))
		return host_change(call, "header_append", ops->header_append, side, text, length,
		                   -ENOSPC);
	return answer(call, fields_append(in_memory(call, side), text, length));
}

int64_t header_store_set(struct call *call, enum kvmsb_http_side side, const char *text, size_t length)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;

	if (is_hosts(call))
		return host_change(call, "header_set", ops->header_set, side, text, length, -ENOSPC);
	return answer(call, fields_set(in_memory(call, side), text, length));
}

int64_t header_store_unset(struct call *call, enum kvmsb_http_side side, const char *name,
                           size_t length)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	struct fields *fields;
	size_t position;

	if (is_hosts(call))
		return host_change(call, "header_unset", ops->header_unset, side, name, length,
		                   -ENOENT);
	fields = in_memory(call, side);
	position = fields_find(fields, name, length);
	if (position == fields->count)
		return -ENOENT;
	fields_remove(fields, position);
	return (int64_t)position;
}

bool header_store_full(const struct call *call, enum kvmsb_http_side side)
{
	return !is_hosts(call) && !fields_have_room(in_memory(call, side), 0);
}

/* The host's text may change once the function for it has returned: copied, then checked. */
static int host_method(struct call *call, char method[EXCHANGE_METHOD_MAXIMUM + 1])
{
	struct kvmsb_http_context context;
	const char *given;
	size_t length = 0;
	int result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	given = call->hypercalls->config->ops.method(&context);
	if (given != NULL) {
		length = strnlen(given, EXCHANGE_METHOD_MAXIMUM + 1);
		memcpy(method, given, min_u64(length, EXCHANGE_METHOD_MAXIMUM));
	}
	result = call_host_end(call);
	if (result < 0)
		return result;
	if (length > EXCHANGE_METHOD_MAXIMUM || field_name_refusal(method, length) != NULL)
		return call_deny(call, "%s: the host's function gave no method", call->name);
	method[length] = '\0';
	return 0;
}

int header_store_method(struct call *call, char method[])
{
	if (call->hypercalls->config->ops.method != NULL)
		return host_method(call, method);
	memcpy(method, call->hypercalls->exchange->method, EXCHANGE_METHOD_MAXIMUM + 1);
	return 0;
}
