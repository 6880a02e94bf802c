/* SPDX-License-Identifier: MIT */
/* Requests for tests; see http_fixture.h. */
#include "http_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of the last reply; as large as the largest so far. */
static char *body;
static size_t capacity;

enum kvmsb_entry http_entry;

int http_run_tests(const struct CMUnitTest *tests, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(fixture_entries) / sizeof(fixture_entries[0]); i++) {
		http_entry = fixture_entries[i];
		if (fixture_entry_possible(http_entry))
			failed += _cmocka_run_group_tests(fixture_entry_name(http_entry), tests,
			                                  count, NULL, NULL);
	}
	return failed;
}

struct kvmsb_options http_options(const char *path, const char *first, const char *second)
{
	static const char *arguments[4];
	struct kvmsb_options options = fixture_options(path);

	arguments[0] = path;
	arguments[1] = first;
	arguments[2] = second;
	options.arguments = arguments;
	options.entry = http_entry;
	return options;
}

struct scene http_open(const struct kvmsb_options *options)
{
	struct kvmsb *master = fixture_master(options);

	return (struct scene){.master = master, .fork = fixture_fork(master)};
}

void http_reset(const struct scene *scene)
{
	assert_int_equal(kvmsb_reset(scene->fork), 0);
}

void http_close(const struct scene *scene)
{
	kvmsb_destroy(scene->fork);
	kvmsb_destroy(scene->master);
}

static void make_room(size_t length)
{
	char *larger;

	if (length < capacity)
		return;
	larger = realloc(body, length + 1);
	assert_non_null(larger);
	body = larger;
	capacity = length + 1;
}

static void copy_pieces(struct reply *reply)
{
	make_room(reply->response.body_length);
	for (size_t i = 0; i < reply->response.body_count; i++) {
		const struct iovec *piece = &reply->response.body[i];

		assert_true(piece->iov_len <= reply->response.body_length - reply->length);
		memcpy(body + reply->length, piece->iov_base, piece->iov_len);
		reply->length += piece->iov_len;
	}
	assert_int_equal(reply->length, reply->response.body_length);
}

static void read_stream(struct reply *reply, size_t piece)
{
	for (;;) {
		int64_t got;

		make_room(reply->length + piece);
		got = kvmsb_response_read(reply->sandbox, body + reply->length, piece);
		if (got <= 0) {
			reply->stream_failed = got;
			break;
		}
		assert_true((uint64_t)got <= piece);
		reply->length += (size_t)got;
		assert_true(reply->length <= reply->response.body_length);
	}
	if (reply->stream_failed == 0)
		assert_int_equal(reply->length, reply->response.body_length);
}

struct reply http_ask_in_pieces(struct kvmsb *sandbox, const struct kvmsb_http_request *request,
                                size_t piece)
{
	struct reply reply = {
		.sandbox = sandbox,
		.response = KVMSB_HTTP_RESPONSE_INIT,
		.result = KVMSB_RESULT_INIT,
	};
	int failed = kvmsb_request(sandbox, request, &reply.response, &reply.result);

	if (failed < 0)
		fail_msg("kvmsb_request(%s): %s: %s", request->url, strerror(-failed),
		         kvmsb_detail(sandbox));
	/* There is always an answer, and whose it is. */
	assert_in_range(reply.response.status, 200, 599);
	assert_int_not_equal(reply.response.source, KVMSB_HTTP_FROM_NOBODY);
	assert_int_equal(reply.response.source == KVMSB_HTTP_FROM_HANDLER,
	                 reply.response.exception == NULL);
	if (reply.response.is_streamed)
		read_stream(&reply, piece != 0 ? piece : 64 << 10);
	else
		copy_pieces(&reply);
	body[reply.length] = '\0';
	reply.body = body;
	return reply;
}

struct reply http_ask(struct kvmsb *sandbox, const struct kvmsb_http_request *request)
{
	return http_ask_in_pieces(sandbox, request, 0);
}

struct reply http_get(struct kvmsb *sandbox, const char *url)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = url;
	return http_ask(sandbox, &request);
}

struct reply http_post(struct kvmsb *sandbox, const char *url, const char *content_type,
                       const void *bytes, size_t length)
{
	const struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.method = "POST";
	request.url = url;
	request.content_type = content_type;
	request.body = &piece;
	request.body_count = 1;
	return http_ask(sandbox, &request);
}

void http_refused(struct kvmsb *sandbox, const struct kvmsb_http_request *request, int error)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	assert_int_equal(kvmsb_request(sandbox, request, &response, &result), error);
}

const char *http_field(const struct reply *reply, const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = 0; i < reply->response.field_count; i++) {
		const struct kvmsb_http_field *field = &reply->response.fields[i];

		if (field->length > length && field->text[length] == ':' &&
		    strncasecmp(field->text, name, length) == 0)
			return field->text;
	}
	return "";
}

const char *http_source_name(int source)
{
	static const char *const names[] = {"nobody", "handler", "on_error", "host"};

	return (size_t)source < sizeof(names) / sizeof(names[0]) ? names[source] : "?";
}

static void describe(const struct reply *reply)
{
	print_error("%d from %s, %zu bytes: \"%.200s\"; exception: %s; the guest: %s; %s\n",
	            reply->response.status, http_source_name(reply->response.source), reply->length,
	            reply->body,
	            reply->response.exception != NULL ? reply->response.exception : "none",
	            fixture_describe(reply->sandbox, &reply->result), kvmsb_detail(reply->sandbox));
}

void http_check_text(const struct reply *reply, int status, const char *text, const char *file,
                     int line)
{
	if (reply->response.status == status && reply->length == strlen(text) &&
	    memcmp(reply->body, text, reply->length) == 0 &&
	    reply->response.source == KVMSB_HTTP_FROM_HANDLER && reply->stream_failed == 0)
		return;
	print_error("wanted: %d \"%s\"\n", status, text);
	describe(reply);
	_fail(file, line);
}

void http_check_failed(const struct reply *reply, const char *exception, const char *file, int line)
{
	if (reply->response.source == KVMSB_HTTP_FROM_HOST && reply->response.status == 500 &&
	    reply->length == 0 && reply->response.content_type[0] == '\0' &&
	    strncmp(reply->response.exception, exception, strlen(exception)) == 0)
		return;
	print_error("wanted: a failure, \"%s\"\n", exception);
	describe(reply);
	_fail(file, line);
}
