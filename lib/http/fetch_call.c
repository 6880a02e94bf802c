/* SPDX-License-Identifier: MIT */
/*
 * sys_fetch and sys_request: takes what the guest asks for out of its memory,
 * checked, has the host's function fetch it, and gives the guest the answer.
 *
 * The rules for fields are libcurl's, who removes a field of its own where one
 * without a value is given; but none may end early or hold two. What a NUL
 * ends for libcurl it ends here.
 */
#include "call.h"
#include "exchange.h"
#include "fetch_answer.h"
#include "fields.h"

#include "../linux/mm.h"
#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAXIMUM 1024u
#define INTERFACE_SIZE 256u
#define SELF_REQUEST 0x20001u
#define FIELDS_OF_GUEST 12u
#define CONTENT_TYPE_FIELD "Content-Type: "

/* As guests know them: the negative numbers of libcurl's errors. */
enum curl_result {
	CURL_OK = 0,
	CURL_HOST_FAILED = -1,
	CURL_URL_MALFORMAT = -3,
	CURL_WRITE_ERROR = -23,
};

typedef int (*fetch_function)(const struct kvmsb_http_context *context,
                              const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer);

/* struct curl_fields of guest/kvm_api.h. */
struct guest_fields {
	uint64_t text[FIELDS_OF_GUEST];
	uint16_t length[FIELDS_OF_GUEST];
};
_Static_assert(sizeof(struct guest_fields) == 120, "the guest's layout");

/* struct curl_options. */
struct guest_options {
	uint64_t interface;
	uint64_t unused;
	int8_t follow_location;
	int8_t dummy_fetch;
	int8_t tcp_fast_open;
	int8_t dont_verify_host;
	uint32_t unused_too;
};
_Static_assert(sizeof(struct guest_options) == 24, "the guest's layout");

struct request {
	struct kvmsb_fetch fetch;
	struct fetch_operation operation;
	char url[URL_MAXIMUM + 1];
	char interface[INTERFACE_SIZE];
	struct kvmsb_http_field fields[FIELDS_OF_GUEST + 1]; /* owned */
	struct guest_content body;                           /* owned */
};

static void request_free(struct request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(request->fields); i++)
		free((void *)(uintptr_t)request->fields[i].text);
	guest_content_free(&request->body);
}

static int read_url(struct call *call, struct request *request)
{
	uint64_t length = call->arguments[1];
	int result;

	if (length > URL_MAXIMUM)
		return call_deny(call, "String buffer too large");
	result = call_read(call, call->arguments[0], request->url, length);
	request->fetch.url = request->url;
	request->fetch.url_length = length;
	return result;
}

/* Owns the text from here on, whatever it returns. */
static int add_field(struct call *call, struct request *request, char *text)
{
	size_t length = strlen(text), name = field_name_length(text, length);
	const char *refusal = field_name_refusal(text, name);

	request->fields[request->fetch.field_count++] = (struct kvmsb_http_field){.text = text,
	                                                                          .length = length};
	if (refusal != NULL)
		return call_deny(call, "%s", refusal);
	if (name == length)
		return call_deny(call, "HTTP header field had no colon");
	if (!field_value_is_legal(text + name, length - name))
		return call_deny(call, "HTTP header field had an illegal character");
	return 0;
}

static int read_fields(struct call *call, struct request *request)
{
	struct guest_fields fields;
	int result = 0;

	request->fetch.fields = request->fields;
	if (call->arguments[3] == 0)
		return 0;
	result = call_read(call, call->arguments[3], &fields, sizeof(fields));
	for (size_t i = 0; i < FIELDS_OF_GUEST && result == 0; i++) {
		void *text;

		if (fields.text[i] == 0 || fields.length[i] == 0)
			break;
		result = call_read_allocated(call, fields.text[i], fields.length[i], &text);
		if (result == 0)
			result = add_field(call, request, text);
	}
	return result;
}

/* From the operation: a content type that is there on entry is the request's. */
static int add_content_type(struct call *call, struct request *request)
{
	const struct fetch_operation *operation = &request->operation;
	const size_t name = strlen(CONTENT_TYPE_FIELD);
	size_t length;
	char *text;

	if (operation->content_type_length >= FETCH_TYPE_SIZE)
		return 0;
	length = strnlen(operation->content_type, operation->content_type_length);
	if (length == 0)
		return 0;
	text = malloc(name + length + 1);
	if (text == NULL)
		return call_no_memory(call);
	memcpy(text, CONTENT_TYPE_FIELD, name);
	memcpy(text + name, operation->content_type, length);
	text[name + length] = '\0';
	return add_field(call, request, text);
}

static int read_interface(struct call *call, struct request *request, uint64_t address)
{
	int64_t length;

	if (address == 0)
		return 0;
	length = guest_read_string(call->process, address, request->interface,
	                           sizeof(request->interface));
	if (length == -ENOMEM)
		return call_no_memory(call);
	if (length == -ENAMETOOLONG)
		return call_deny(call, "String buffer too large");
	if (length < 0)
		return call_deny(call, "readable_page_at: %s: cannot read the interface at %#llx",
		                 call->name, (unsigned long long)address);
	if (!field_value_is_legal(request->interface, (size_t)length))
		return call_deny(call, "%s: the interface has an illegal character", call->name);
	request->fetch.interface = length > 0 ? request->interface : NULL;
	return 0;
}

static int read_options(struct call *call, struct request *request)
{
	struct guest_options options;
	int result;

	request->fetch.follow_redirects = 1;
	if (call->arguments[4] == 0)
		return 0;
	result = call_read(call, call->arguments[4], &options, sizeof(options));
	if (result < 0)
		return result;
	request->fetch.follow_redirects = options.follow_location != 0;
	request->fetch.only_head = options.dummy_fetch != 0;
	request->fetch.tcp_fast_open = options.tcp_fast_open != 0;
	request->fetch.no_host_check = options.dont_verify_host != 0;
	return read_interface(call, request, options.interface);
}

static int read_body(struct call *call, struct request *request)
{
	const uint64_t length = request->operation.post_length;
	int result;

	if (request->operation.post == 0 || length == 0)
		return 0;
	if (length > FETCH_BODY_MAXIMUM)
		return call_deny(call, "Content to fetch with is larger than 256 MiB");
	result = call_content(call, request->operation.post, length, &request->body);
	if (result < 0)
		return result;
	request->fetch.body = request->body.pieces;
	request->fetch.body_count = request->body.count;
	request->fetch.body_length = length;
	return 0;
}

/* The body comes last: nothing may bring pages in once there are pieces of it. */
static int read_request(struct call *call, struct request *request)
{
	int result = call_read(call, call->arguments[2], &request->operation,
	                       sizeof(request->operation));

	if (result == 0)
		result = read_options(call, request);
	if (result == 0)
		result = read_fields(call, request);
	if (result == 0)
		result = add_content_type(call, request);
	if (result == 0)
		result = read_body(call, request);
	request->fetch.deadline_ns = call->process->deadline;
	return result;
}

/*
 * Storing the answer brings pages in, for which none of the body's goes: it is held.
 * Calls it. *code: what the guest gets. Returns 0, or below zero: the run is over.
 */
static int call_host(struct call *call, const struct request *request, fetch_function function,
                     struct kvmsb_fetch_answer *answer, int *code)
{
	struct kvmsb_http_context context;
	int result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	*code = function(&context, &request->fetch, answer);
	guest_let_go(call->process);
	/* No error of libcurl's is above zero here. */
	if (*code > 0)
		*code = CURL_HOST_FAILED;
	return call_host_end(call);
}

static int give_answer(struct call *call, struct request *request,
                       const struct kvmsb_fetch_answer *answer)
{
	fetch_answer_describe(answer, &request->operation);
	return call_write(call, call->arguments[2], &request->operation, sizeof(request->operation));
}

static int perform(struct call *call, struct request *request, fetch_function function)
{
	struct kvmsb_fetch_answer answer;
	int code = CURL_HOST_FAILED;
	int result;

	fetch_answer_begin(&answer, call->process, &request->operation);
	result = call_host(call, request, function, &answer, &code);
	if (result == 0 && answer.failed < 0)
		code = CURL_WRITE_ERROR;
	if (result == 0 && code == CURL_OK && fetch_answer_finish(&answer) < 0)
		code = CURL_WRITE_ERROR;
	if (result == 0 && code == CURL_OK)
		result = give_answer(call, request, &answer);
	if ((result < 0 || code != CURL_OK) && fetch_answer_discard(&answer) < 0)
		return call_no_memory(call);
	if (result == 0)
		*call->result = (uint64_t)(int64_t)code;
	return result;
}

/* Control characters, which no URL has (RFC 3986, 2), could be a second line of a request. */
static bool url_is_legal(const struct kvmsb_fetch *fetch)
{
	return fetch->url_length > 0 && memchr(fetch->url, '\t', fetch->url_length) == NULL &&
	       field_value_is_legal(fetch->url, fetch->url_length);
}

/* A path alone is one of this host's. */
static fetch_function choose(const struct call *call, const struct request *request)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;

	return call->number == SELF_REQUEST || request->url[0] == '/' ? ops->self_request
	                                                              : ops->fetch;
}

int call_fetch(struct call *call)
{
	struct request request = {.fetch = {.size = sizeof(request.fetch)}};
	fetch_function function;
	int result = read_url(call, &request);

	if (result < 0)
		return result;
	function = choose(call, &request);
	if (function == NULL) {
		*call->result = (uint64_t)-ENOSYS;
		return 0;
	}
	if (!url_is_legal(&request.fetch)) {
		*call->result = (uint64_t)CURL_URL_MALFORMAT;
		return 0;
	}
	result = read_request(call, &request);
	if (result == 0)
		result = perform(call, &request, function);
	request_free(&request);
	return result;
}
