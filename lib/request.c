/* SPDX-License-Identifier: MIT */
/*
 * Requests: which way the program handles one, and what becomes of one that
 * fails. What guests call meanwhile is in http/; see request.h.
 */
#include "request.h"

#include "http/exception.h"
#include "linux/mm.h"
#include "sized.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_FLAGS (KVMSB_HTTP_WARM_UP | KVMSB_HTTP_BODY_STREAMED | KVMSB_HTTP_NO_ON_ERROR)

/* ---- Entering the guest ---- */

bool delivery_is_answered(const struct delivery *delivery)
{
	return delivery->result.outcome == KVMSB_OUTCOME_HYPERCALL &&
	       delivery_exchange(delivery)->status != 0;
}

int delivery_refuse(struct delivery *delivery, int status, const char *text)
{
	delivery->failure = text;
	delivery->failure_status = status;
	return 0;
}

int delivery_note(struct delivery *delivery, int failed, const struct kvmsb_result *last)
{
	uint64_t before = delivery->result.kvm_runs;

	delivery->result = *last;
	delivery->result.kvm_runs += before;
	return failed;
}

static int push_texts(struct kvmsb *sandbox, struct call_stack *stack,
                      const struct entry_call *call, uint64_t *values, unsigned *count)
{
	int result = 0;

	for (*count = 0; *count < 3 && call->texts[*count] != NULL && result == 0; ++*count)
		result = call_stack_push(sandbox, stack, call->texts[*count],
		                         strlen(call->texts[*count]) + 1, &values[*count]);
	return result;
}

static int enter(struct kvmsb *sandbox, struct call_stack *stack, const struct entry_call *call,
                 struct kvmsb_result *result)
{
	uint64_t values[CALL_ARGUMENTS_MAXIMUM] = {0};
	unsigned texts;
	int failed = push_texts(sandbox, stack, call, values, &texts);

	for (unsigned i = 0; i < call->number_count; i++)
		values[texts + i] = call->numbers[i];
	return call_enter(sandbox, failed, stack, call->function, values, call->timeout, result);
}

int delivery_enter(struct delivery *delivery, struct call_stack *stack, const struct entry_call *call)
{
	struct kvmsb_result result = {0};
	int failed = enter(delivery->sandbox, stack, call, &result);

	return delivery_note(delivery, failed, &result);
}

static int call_get(struct delivery *delivery)
{
	const struct entry_call call = {
		.function = delivery_entry(delivery, HTTP_ENTRY_GET),
		.texts = {delivery->request.url, delivery->request.argument},
		.timeout = delivery->timeout,
	};
	struct call_stack stack = call_stack_of(delivery->sandbox);

	return delivery_enter(delivery, &stack, &call);
}

static int call_post(struct delivery *delivery)
{
	const struct entry_call call = {
		.function = delivery_entry(delivery, HTTP_ENTRY_POST),
		.texts = {delivery->request.url, delivery->request.argument, delivery->content_type},
		.numbers = {delivery->body, delivery->body_length},
		.number_count = 2,
		.timeout = delivery->timeout,
	};
	struct call_stack stack = call_stack_of(delivery->sandbox);

	return delivery_enter(delivery, &stack, &call);
}

int delivery_parts(struct delivery *delivery, struct request_parts *parts)
{
	const struct kvmsb_http_request *request = &delivery->request;
	int result;

	*parts = (struct request_parts){
		.method = delivery_exchange(delivery)->method,
		.url = request->url,
		.argument = request->argument,
		.content_type = delivery->content_type,
		.fields = request->fields,
		.field_count = request->field_count,
		.content = delivery->body,
		.content_length = delivery->body_length,
		.is_warm_up = (request->flags & KVMSB_HTTP_WARM_UP) != 0,
	};
	result = program_random(delivery->sandbox->program, parts->random);
	if (result == 0)
		return 0;
	return sandbox_fail(delivery->sandbox, result, "random numbers: %s", strerror(-result));
}

/* Writes the block to the stack. Returns 0, -E2BIG, -EFAULT, -ENOMEM: as call_enter() wants it. */
static int push_block(struct delivery *delivery, struct call_stack *stack,
                      const struct request_parts *parts, uint64_t *address)
{
	uint64_t size = request_block_size(parts);
	int result = call_stack_reserve(stack, size, address);
	void *block;

	if (result < 0)
		return result;
	block = malloc(size);
	if (block == NULL)
		return -ENOMEM;
	request_block_fill(parts, *address, block);
	result = guest_write(&delivery->sandbox->process, *address, block, size);
	free(block);
	return result;
}

static int call_request(struct delivery *delivery)
{
	struct call_stack stack = call_stack_of(delivery->sandbox);
	uint64_t values[CALL_ARGUMENTS_MAXIMUM] = {0};
	struct kvmsb_result result = {0};
	struct request_parts parts;
	int failed = delivery_parts(delivery, &parts);

	if (failed < 0)
		return failed;
	failed = push_block(delivery, &stack, &parts, &values[0]);
	failed = call_enter(delivery->sandbox, failed, &stack,
	                    delivery_entry(delivery, HTTP_ENTRY_REQUEST), values, delivery->timeout,
	                    &result);
	return delivery_note(delivery, failed, &result);
}

/* ---- Which way ---- */

/* NULL: the program has none for such a request. */
static int (*choose(const struct delivery *delivery))(struct delivery *)
{
	if (delivery_entry(delivery, HTTP_ENTRY_REQUEST) != 0)
		return call_request;
	if (!delivery->has_body && delivery_entry(delivery, HTTP_ENTRY_GET) != 0)
		return call_get;
	if (delivery->has_body && delivery_entry(delivery, HTTP_ENTRY_POST) != 0)
		return call_post;
	return delivery->sandbox->hypercalls.paused ? delivery_resume : NULL;
}

static int deliver(struct delivery *delivery)
{
	bool over = false;
	int failed = delivery->has_body ? delivery_body(delivery, &over) : 0;

	return failed < 0 || over ? failed : delivery->handle(delivery);
}

/* ---- What becomes of a failure ---- */

static int call_on_error(struct delivery *delivery, const char *text)
{
	struct kvmsb *sandbox = delivery->sandbox;
	const struct entry_call call = {
		.function = delivery_entry(delivery, HTTP_ENTRY_ERROR),
		.texts = {delivery->request.url, delivery->request.argument, text},
		.timeout = sandbox->hypercalls.config->error_timeout,
	};
	struct call_stack stack = call_stack_of(sandbox);
	struct http_exchange *exchange = delivery_exchange(delivery);
	struct kvmsb_result result = {0};
	int failed = enter(sandbox, &stack, &call, &result);

	delivery->result.kvm_runs += result.kvm_runs;
	if (failed == 0 && result.outcome == KVMSB_OUTCOME_HYPERCALL && exchange->status != 0)
		exchange->source = KVMSB_HTTP_FROM_ON_ERROR;
	return failed;
}

/* The status of the host's error page, which is copied; 0: it has none. */
static int ask_for_page(struct delivery *delivery, const char *text, char **content_type,
                        struct http_content *content)
{
	const struct kvmsb_http_ops *ops = &delivery->sandbox->hypercalls.config->ops;
	const struct kvmsb_http_context context = hypercalls_context(&delivery->sandbox->hypercalls,
	                                                             delivery->sandbox);
	struct iovec body = {0};
	const char *type = "";
	void *copy;
	int status = ops->error_page != NULL ? ops->error_page(&context, text, &type, &body) : 0;

	if (delivery->sandbox->doomed || !exchange_status_is_legal(status))
		return 0;
	if (type != NULL && type[0] != '\0' && field_value_is_legal(type, strlen(type)))
		*content_type = strdup(type);
	if (body.iov_len == 0)
		return status;
	copy = malloc(body.iov_len);
	if (copy == NULL)
		return status;
	memcpy(copy, body.iov_base, body.iov_len);
	/* Without memory for it: a page without a body. */
	(void)content_of_bytes(content, copy, body.iov_len);
	return status;
}

static void answer_for_guest(struct delivery *delivery, const char *text)
{
	struct http_exchange *exchange = delivery_exchange(delivery);
	struct http_content content = {0};
	char *content_type = NULL;
	int status = ask_for_page(delivery, text, &content_type, &content);

	if (status == 0)
		status = delivery->failure != NULL ? delivery->failure_status : STATUS_FAILED;
	fields_clear(&exchange->response_fields);
	exchange_respond(exchange, KVMSB_HTTP_FROM_HOST, status, content_type, &content);
}

/* Only a host that failed, or is to be gone, is an error. */
static int recover(struct delivery *delivery)
{
	struct kvmsb *sandbox = delivery->sandbox;
	struct http_exchange *exchange = delivery_exchange(delivery);
	char text[sizeof(sandbox->detail)], detail[sizeof(sandbox->detail)];
	int failed = 0;

	memcpy(detail, sandbox->detail, sizeof(detail));
	if (delivery->failure != NULL)
		snprintf(text, sizeof(text), "%s", delivery->failure);
	else
		exception_text(&delivery->result, sandbox->detail, text, sizeof(text));
	exchange->exception = strdup(text);
	if (delivery_entry(delivery, HTTP_ENTRY_ERROR) != 0 &&
	    (delivery->request.flags & KVMSB_HTTP_NO_ON_ERROR) == 0)
		failed = call_on_error(delivery, text);
	/* It fits no stack: a guest with arguments as large has had its chance. */
	if (failed == -E2BIG)
		failed = 0;
	if (failed == 0 && exchange->source != KVMSB_HTTP_FROM_ON_ERROR)
		answer_for_guest(delivery, text);
	memcpy(sandbox->detail, detail, sizeof(detail));
	return failed;
}

/* ---- The public functions ---- */

static int check_request(struct kvmsb *sandbox, const struct kvmsb_http_request *theirs,
                         struct kvmsb_http_request *request)
{
	int result = sized_copy_in(request, sizeof(*request),
	                           SIZE_THROUGH(struct kvmsb_http_request, timeout_ns), theirs);

	if (result < 0)
		return sandbox_fail(sandbox, result, "request.size is not one this library knows");
	if (request->url == NULL || (request->field_count > 0 && request->fields == NULL) ||
	    (request->body_count > 0 && request->body == NULL))
		return sandbox_fail(sandbox, -EINVAL, "request: no url, no fields, or no body");
	if ((request->flags & ~KNOWN_FLAGS) != 0 || request->reserved != 0)
		return sandbox_fail(sandbox, -EINVAL, "request.flags: %#x is not known",
		                    request->flags);
	if ((request->flags & KVMSB_HTTP_BODY_STREAMED) != 0 &&
	    sandbox->hypercalls.config->ops.body_read == NULL)
		return sandbox_fail(sandbox, -EINVAL, "request: there is no ops.body_read");
	if (request->content_type != NULL &&
	    !field_value_is_legal(request->content_type, strlen(request->content_type)))
		return sandbox_fail(sandbox, -EINVAL, "request.content_type: not a header's value");
	if (request->argument == NULL)
		request->argument = "";
	return 0;
}

static bool has_body(const struct kvmsb_http_request *request)
{
	if ((request->flags & KVMSB_HTTP_BODY_STREAMED) != 0)
		return true;
	for (size_t i = 0; i < request->body_count; i++)
		if (request->body[i].iov_len > 0)
			return true;
	return false;
}

/* A copy: the guest may change its fields before the last of its functions is called. */
static int set_content_type(struct delivery *delivery)
{
	static const char name[] = "Content-Type";
	const struct fields *fields = &delivery_exchange(delivery)->request_fields;
	const char *value = delivery->request.content_type;
	size_t position;

	delivery->content_type = "";
	if (!delivery->has_body)
		return 0;
	position = fields_find(fields, name, sizeof(name) - 1);
	if (value == NULL && position < fields->count) {
		value = fields->field[position].text + sizeof(name);
		value += strspn(value, " \t");
	}
	delivery->own_content_type = strdup(value != NULL ? value : "");
	delivery->content_type = delivery->own_content_type;
	return delivery->content_type != NULL
	               ? 0
	               : sandbox_fail(delivery->sandbox, -ENOMEM, "out of memory");
}

static int begin(struct delivery *delivery, const struct kvmsb_http_request *theirs)
{
	struct kvmsb *sandbox = delivery->sandbox;
	struct kvmsb_http_request *request = &delivery->request;
	int result = check_request(sandbox, theirs, request);

	if (result < 0)
		return result;
	delivery->has_body = has_body(request);
	delivery->handle = choose(delivery);
	if (delivery->handle == NULL)
		return sandbox_fail(sandbox, -EOPNOTSUPP,
		                    "the program has no way to handle such a request");
	delivery->timeout = request->timeout_ns != 0 ? request->timeout_ns
	                                             : sandbox->program->options.call_timeout_ns;
	sandbox_end_exchange(sandbox);
	result = hypercalls_begin(&sandbox->hypercalls, request);
	if (result < 0)
		return sandbox_fail(sandbox, result, "request: %s", strerror(-result));
	return set_content_type(delivery);
}

static int serve(struct delivery *delivery)
{
	struct kvmsb *sandbox = delivery->sandbox;
	int failed;

	sandbox->busy = true;
	failed = deliver(delivery);
	/* For what the host has destroyed none of its functions is called any more. */
	if (failed == 0 && !sandbox->doomed && !delivery_is_answered(delivery))
		failed = recover(delivery);
	sandbox->busy = false;
	return sandbox->doomed ? -ECANCELED : failed;
}

int kvmsb_request(struct kvmsb *sandbox, const struct kvmsb_http_request *theirs,
                  struct kvmsb_http_response *response, struct kvmsb_result *result)
{
	struct delivery delivery = {.sandbox = sandbox};
	int failed = sandbox_check_idle(sandbox);

	if (failed == 0)
		failed = sandbox_check_callable(sandbox);
	if (failed == 0 && (sized_check_out(result) < 0 || sized_check_out(response) < 0))
		failed = sandbox_fail(sandbox, -EINVAL, "result.size or response.size is not set");
	if (failed == 0)
		failed = begin(&delivery, theirs);
	if (failed < 0)
		return failed;
	failed = serve(&delivery);
	free(delivery.own_content_type);
	if (failed < 0)
		sandbox_end_exchange(sandbox);
	/* Its memory goes with the sandbox: a doomed one has none to give. */
	if (!sandbox->doomed)
		hypercalls_response(&sandbox->hypercalls, response);
	sized_copy_out(result, &delivery.result, sizeof(delivery.result));
	return sandbox_finish(sandbox, failed);
}

/* ---- Streamed responses ---- */

/* A denial has its text already. */
static int64_t stream_failed(struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	char text[sizeof(sandbox->detail) / 2];

	if (result->outcome == KVMSB_OUTCOME_DENIED)
		return -EPROTO;
	kvmsb_describe(sandbox, result, text, sizeof(text));
	return sandbox_fail(sandbox, -EPROTO, "the function for the response: %s", text);
}

/* What the guest says it gives: {data, length} in RAX and RDX. */
static int64_t take_piece(struct kvmsb *sandbox, const struct kvmsb_result *result, void *buffer,
                          uint64_t most)
{
	uint64_t length = min_u64(result->value_high, most);

	if (result->outcome != KVMSB_OUTCOME_RETURNED)
		return stream_failed(sandbox, result);
	if (length == 0)
		return sandbox_fail(sandbox, -EPROTO, "the function for the response gave nothing");
	if (guest_read(&sandbox->process, result->value, buffer, length) < 0)
		return sandbox_fail(sandbox, -EPROTO,
		                    "the function for the response gave memory it cannot read");
	return (int64_t)length;
}

static int64_t read_piece(struct kvmsb *sandbox, const struct http_stream *stream, void *buffer,
                          size_t size)
{
	const uint64_t values[CALL_ARGUMENTS_MAXIMUM] = {stream->argument, size, stream->given,
	                                                 stream->total};
	struct call_stack stack = call_stack_of(sandbox);
	struct kvmsb_result result = {0};
	int failed = call_enter(sandbox, 0, &stack, stream->function, values,
	                        sandbox->hypercalls.config->stream_timeout, &result);

	if (failed < 0)
		return failed;
	return take_piece(sandbox, &result, buffer, min_u64(size, stream->total - stream->given));
}

/* No request is at hand while the function runs: it has been answered. */
static int64_t read_stream(struct kvmsb *sandbox, void *buffer, size_t size)
{
	struct http_exchange *exchange = sandbox->hypercalls.exchange;
	int64_t result;

	sandbox->hypercalls.exchange = NULL;
	sandbox->busy = true;
	result = read_piece(sandbox, &exchange->stream, buffer, size);
	sandbox->busy = false;
	sandbox->hypercalls.exchange = exchange;
	if (result > 0)
		exchange->stream.given += (uint64_t)result;
	else
		exchange->stream.failed = true;
	return result;
}

int64_t kvmsb_response_read(struct kvmsb *sandbox, void *buffer, size_t size)
{
	int failed = sandbox_check_idle(sandbox);
	const struct http_exchange *exchange;
	int64_t result;

	if (failed < 0)
		return failed;
	exchange = sandbox->hypercalls.exchange;
	if (size == 0 || exchange == NULL || exchange->stream.function == 0)
		return sandbox_fail(sandbox, -EINVAL, "no streamed response is at hand, or no room");
	if (exchange->stream.given == exchange->stream.total)
		return 0;
	if (exchange->stream.failed)
		return -EPROTO;
	/* The program is over where on_error has answered for it; its functions can still be called. */
	if (exchange->source != KVMSB_HTTP_FROM_ON_ERROR)
		failed = sandbox_check_callable(sandbox);
	if (failed < 0)
		return failed;
	result = read_stream(sandbox, buffer, size);
	return sandbox->doomed ? sandbox_finish(sandbox, -ECANCELED) : result;
}
