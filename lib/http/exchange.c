/* SPDX-License-Identifier: MIT */
/* A request and its response; see exchange.h. */
#include "exchange.h"

#include "../sized.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_method(struct http_exchange *exchange, const char *method)
{
	size_t length = strlen(method);

	if (length > EXCHANGE_METHOD_MAXIMUM)
		return -E2BIG;
	if (field_name_refusal(method, length) != NULL)
		return -EINVAL;
	memcpy(exchange->method, method, length + 1);
	return 0;
}

/*
 * What a server received may look odd ("Accept:" without a value is legal), so
 * a request's field need not pass what a guest's must; but no field may end
 * early or hold two.
 */
static int copy_field(struct fields *fields, const struct kvmsb_http_field *field)
{
	size_t name;
	int result;

	if (field->text == NULL)
		return -EINVAL;
	if (field->length > FIELD_LENGTH_MAXIMUM)
		return -E2BIG;
	name = field_name_length(field->text, field->length);
	if (name == field->length || field_name_refusal(field->text, name) != NULL)
		return -EINVAL;
	if (!field_is_one_line(field->text, field->length))
		return -EINVAL;
	result = fields_append(fields, field->text, field->length);
	if (result == -ENOSPC)
		return -E2BIG;
	return result < 0 ? result : 0;
}

static int copy_request(struct http_exchange *exchange, const struct kvmsb_http_request *request)
{
	int result = copy_method(exchange, request->method != NULL ? request->method : "GET");

	if (request->field_count > FIELDS_MAXIMUM ||
	    (request->field_count > 0 && request->fields == NULL))
		return -EINVAL;
	for (size_t i = 0; i < request->field_count && result == 0; i++)
		result = copy_field(&exchange->request_fields, &request->fields[i]);
	return result;
}

int exchange_create(struct http_exchange **out, const struct kvmsb_http_request *request)
{
	struct http_exchange *exchange = calloc(1, sizeof(*exchange));
	int result;

	if (exchange == NULL)
		return -ENOMEM;
	exchange->user = request->user;
	result = copy_request(exchange, request);
	if (result < 0) {
		exchange_destroy(exchange);
		return result;
	}
	*out = exchange;
	return 0;
}

bool exchange_status_is_legal(int status)
{
	return status >= 200 && status <= 599;
}

void exchange_destroy(struct http_exchange *exchange)
{
	if (exchange == NULL)
		return;
	fields_clear(&exchange->request_fields);
	fields_clear(&exchange->response_fields);
	free(exchange->content_type);
	free(exchange->exception);
	content_clear(&exchange->content);
	free(exchange);
}

void content_clear(struct http_content *content)
{
	free(content->pieces);
	free(content->copies);
	*content = (struct http_content){0};
}

int content_of_bytes(struct http_content *content, void *bytes, uint64_t length)
{
	struct iovec *piece = malloc(sizeof(*piece));

	if (piece == NULL) {
		free(bytes);
		return -ENOMEM;
	}
	*piece = (struct iovec){.iov_base = bytes, .iov_len = length};
	*content = (struct http_content){
		.pieces = piece, .count = 1, .length = length, .copies = bytes};
	return 0;
}

void exchange_respond(struct http_exchange *exchange, enum kvmsb_http_source source, int status,
                      char *content_type, const struct http_content *content)
{
	free(exchange->content_type);
	content_clear(&exchange->content);
	exchange->stream = (struct http_stream){0};
	exchange->status = status;
	exchange->source = source;
	exchange->content_type = content_type;
	exchange->content = *content;
}

void exchange_stream(struct http_exchange *exchange, int status, char *content_type,
                     const struct http_stream *stream)
{
	const struct http_content nothing = {.count = 0};

	exchange_respond(exchange, KVMSB_HTTP_FROM_HANDLER, status, content_type, &nothing);
	exchange->stream = *stream;
}

int exchange_response(const struct http_exchange *exchange, struct kvmsb_http_response *response)
{
	struct kvmsb_http_response own = {.content_type = ""};

	if (exchange != NULL && exchange->status != 0) {
		own.status = exchange->status;
		if (exchange->content_type != NULL)
			own.content_type = exchange->content_type;
		own.fields = exchange->response_fields.field;
		own.field_count = exchange->response_fields.count;
		own.body = exchange->content.pieces;
		own.body_count = exchange->content.count;
		own.body_length = exchange->content.length;
		own.is_streamed = exchange->stream.function != 0;
		if (own.is_streamed)
			own.body_length = exchange->stream.total;
		own.source = (int32_t)exchange->source;
		own.exception = exchange->exception;
		own.cache = exchange->cache;
	}
	return sized_copy_out(response, &own, sizeof(own));
}
