/* SPDX-License-Identifier: MIT */
/*
 * sys_backend_response, begin_streaming_response: take the guest's answer, or the
 * function that gives it piece by piece. Everything small is checked before the
 * content, which is not copied and comes last.
 */
#include "../linux/mm.h"
#include "../util.h"
#include "cache_call.h"
#include "call.h"
#include "exchange.h"
#include "header_calls.h"
#include "layout.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT_TYPE_LIMIT 0x1000u
#define CONTENT_MAXIMUM ((uint64_t)512 << 20)

/* No pointer of a program is as small. */
#define POINTER_MINIMUM 0x1000u
#define EXTRA_FIELDS_MAXIMUM 64u

/*
 * The part of struct BackendResponseExtra that all programs have: bindings
 * differ in what lies behind it.
 */
struct extra {
	uint64_t fields;
	uint16_t count;
	uint8_t cached;
	uint8_t unused;
	float ttl; /* seconds, as the others */
};
_Static_assert(sizeof(struct extra) == 16, "the guest's layout");

/* What follows, for those that say how long a response may be kept. */
struct extra_cache {
	float grace;
	float keep;
};

/* struct ResponseHeader. */
struct extra_field {
	uint64_t text;
	uint64_t length;
};

static int read_status(struct call *call, int *status)
{
	*status = (int16_t)call->arguments[0];
	if (!exchange_status_is_legal(*status))
		return call_deny(call, "Invalid HTTP status code returned by program");
	return 0;
}

/* The text ends at its first NUL: some programs count theirs. *type stays when there is none. */
static int read_content_type(struct call *call, char **type)
{
	uint64_t length = (uint16_t)call->arguments[2];
	void *text;
	int result;

	if (length == 0)
		return 0;
	if (length >= CONTENT_TYPE_LIMIT)
		return call_deny(call, "Content-type length overflow");
	result = call_read_allocated(call, call->arguments[1], length, &text);
	if (result < 0)
		return result;
	if (!field_value_is_legal(text, strlen(text))) {
		free(text);
		return call_deny(call, "Content-type had an illegal character");
	}
	*type = text;
	return 0;
}

static int read_extra_fields(struct call *call, const struct extra *extra)
{
	struct extra_field field[EXTRA_FIELDS_MAXIMUM];
	int result = call_read(call, extra->fields, field, extra->count * sizeof(field[0]));

	for (unsigned i = 0; i < extra->count && result == 0; i++) {
		uint32_t index;

		result = header_call_set(call, KVMSB_HTTP_RESPONSE, field[i].text, field[i].length,
		                         &index);
		if (result == 0 && index == UINT32_MAX)
			result = call_deny(call, "Too many headers in BackendResponseExtra");
	}
	return result;
}

static int read_extra_cache(struct call *call, const struct extra *extra, uint64_t address)
{
	struct extra_cache cache;
	int result;

	if (extra->cached == 0)
		return 0;
	result = call_read(call, address, &cache, sizeof(cache));
	if (result < 0)
		return result;
	return cache_call_note(call, true, (double)extra->ttl, (double)cache.grace,
	                       (double)cache.keep);
}

static int read_extra(struct call *call)
{
	uint64_t address = call->arguments[5];
	struct extra extra;
	int result;

	if (address == 0)
		return 0;
	if (address < POINTER_MINIMUM)
		return call_deny(call, "Invalid BackendResponseExtra pointer");
	result = call_read(call, address, &extra, sizeof(extra));
	if (result < 0)
		return result;
	if (extra.fields < POINTER_MINIMUM)
		return call_deny(call, "Invalid BackendResponseExtra headers pointer");
	if (extra.count > EXTRA_FIELDS_MAXIMUM)
		return call_deny(call, "Too many headers in BackendResponseExtra");
	result = read_extra_fields(call, &extra);
	return result < 0 ? result : read_extra_cache(call, &extra, address + sizeof(extra));
}

/* Where the guest has it: it is read when the host sends it, and the guest does not run before. */
static int read_content(struct call *call, struct http_content *content)
{
	uint64_t address = call->arguments[3], length = call->arguments[4];
	struct guest_content guests;
	int result;

	if (length == 0)
		return 0;
	if (length > CONTENT_MAXIMUM)
		return call_deny(call, "Response content is larger than 512 MiB");
	result = call_content(call, address, length, &guests);
	if (result < 0)
		return result;
	*content = (struct http_content){.pieces = guests.pieces,
	                                 .count = guests.count,
	                                 .length = length,
	                                 .copies = guests.copies};
	return 0;
}

static int take_response(struct call *call)
{
	char *type = NULL;
	struct http_content content = {0};
	int status;
	int result = read_status(call, &status);

	if (result == 0)
		result = read_content_type(call, &type);
	if (result == 0)
		result = read_extra(call);
	if (result == 0)
		result = read_content(call, &content);
	if (result < 0) {
		free(type);
		return result;
	}
	exchange_respond(call->hypercalls->exchange, KVMSB_HTTP_FROM_HANDLER, status, type, &content);
	return 0;
}

static int check_stream(struct call *call, const struct http_stream *stream)
{
	if (stream->total == 0)
		return call_deny(call, "Cannot stream zero-length response");
	if (stream->function < LAYOUT_USER_START || stream->function >= LAYOUT_USER_END)
		return call_deny(call, "Cannot stream using invalid callback (address is 0x%llx)",
		                 (unsigned long long)stream->function);
	return 0;
}

static int take_stream(struct call *call)
{
	const struct http_stream stream = {.total = call->arguments[3],
	                                   .function = call->arguments[4],
	                                   .argument = call->arguments[5]};
	char *type = NULL;
	int status;
	int result = read_status(call, &status);

	if (result == 0)
		result = read_content_type(call, &type);
	if (result == 0)
		result = check_stream(call, &stream);
	if (result < 0) {
		free(type);
		return result;
	}
	exchange_stream(call->hypercalls->exchange, status, type, &stream);
	return 0;
}

/*
 * Without a request, in a function that the host called by itself, the guest
 * only stops: what it answered stands in its registers. In a loop it has
 * answered before, and the first answer counts: it goes on to where it waits.
 */
static int respond(struct call *call, int (*take)(struct call *call))
{
	int result = 0;

	if (!call->hypercalls->ready)
		return call_deny(call, "%s(): There is no request yet", call->name);
	if (call->hypercalls->exchange != NULL)
		result = take(call);
	if (result == 0 && (call->hypercalls->exchange != NULL || !call->hypercalls->in_loop))
		call->action = HYPERCALL_STOP;
	return result;
}

int call_backend_response(struct call *call)
{
	return respond(call, take_response);
}

/* Its content is asked for afterwards, by calling its function. */
int call_begin_streaming_response(struct call *call)
{
	return respond(call, take_stream);
}
