/* SPDX-License-Identifier: MIT */
/*
 * Guest programs that are not C with kvm_api.h: in C++ with kvm_api.hpp, and
 * old ones whose calls are functions of their own that end in OUT. Each row is
 * a request, and the response that the program must give to it, on each entry
 * path, in each way that the program can take requests.
 */
#include "sandbox_fixture.h"

#include "util.h"

#include <stdio.h>
#include <string.h>

struct request_case {
	const char *url;
	const char *body; /* of the request; NULL: none */
	int status;
	const char *type;
	const char *fields; /* each with a line's end; then how long it may be cached, if it says so */
	const char *text;
};

struct kept {
	char text[65536];
	size_t length;
};

static void keep(struct kept *kept, const void *data, size_t length)
{
	assert_true(length < sizeof(kept->text) - kept->length);
	memcpy(kept->text + kept->length, data, length);
	kept->length += length;
	kept->text[kept->length] = '\0';
}

static void ask(struct kvmsb *sandbox, const char *url, const char *body,
                struct kvmsb_http_response *response)
{
	static const struct kvmsb_http_field fields[] = {{"X-One: first", 12}, {"Host: here", 10}};
	const struct iovec piece = {(void *)(uintptr_t)body, body != NULL ? strlen(body) : 0};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	*response = (struct kvmsb_http_response)KVMSB_HTTP_RESPONSE_INIT;
	request.url = url;
	request.argument = "argument";
	request.method = body != NULL ? "POST" : "GET";
	request.content_type = body != NULL ? "text/body" : NULL;
	request.body = &piece;
	request.body_count = body != NULL ? 1 : 0;
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	if (kvmsb_request(sandbox, &request, response, &result) < 0)
		fail_msg("%s: %s", url, kvmsb_detail(sandbox));
}

static void keep_body(struct kept *kept, const struct kvmsb_http_response *response)
{
	kept->length = 0;
	kept->text[0] = '\0';
	for (size_t i = 0; i < response->body_count; i++)
		keep(kept, response->body[i].iov_base, response->body[i].iov_len);
}

/* By a buffer that is smaller than what the guest has. */
static void keep_streamed(struct kept *kept, struct kvmsb *sandbox)
{
	char bytes[8];
	int64_t length;

	while ((length = kvmsb_response_read(sandbox, bytes, sizeof(bytes))) > 0)
		keep(kept, bytes, (size_t)length);
	assert_int_equal(length, 0);
}

static void keep_fields(struct kept *kept, const struct kvmsb_http_response *response)
{
	const struct kvmsb_http_cache *cache = &response->cache;
	char text[64];

	kept->length = 0;
	kept->text[0] = '\0';
	for (size_t i = 0; i < response->field_count; i++) {
		keep(kept, response->fields[i].text, response->fields[i].length);
		keep(kept, "\n", 1);
	}
	if (!cache->is_set)
		return;
	snprintf(text, sizeof(text), "cached for %g, %g, %g\n", cache->ttl, cache->grace,
	         cache->keep);
	if (!cache->cacheable)
		snprintf(text, sizeof(text), "not cached\n");
	keep(kept, text, strlen(text));
}

static void check(struct kvmsb *sandbox, const struct request_case *what)
{
	static struct kept body, fields;
	struct kvmsb_http_response response;

	ask(sandbox, what->url, what->body, &response);
	keep_body(&body, &response);
	if (response.is_streamed)
		keep_streamed(&body, sandbox);
	keep_fields(&fields, &response);
	if (response.status != what->status || strcmp(response.content_type, what->type) != 0 ||
	    strcmp(fields.text, what->fields) != 0 || strcmp(body.text, what->text) != 0)
		fail_msg("%s: %d %s\n%s%s", what->url, response.status, response.content_type,
		         fields.text, body.text);
}

/* Answers what it was asked: the number of fields, the length of the body, where it comes from. */
static int fetch(const struct kvmsb_http_context *context, const struct kvmsb_fetch *what,
                 struct kvmsb_fetch_answer *answer)
{
	char text[64];

	(void)context;
	if (strcmp(what->url, "http://there/") != 0)
		return -7;
	snprintf(text, sizeof(text), "%zu %zu %d", what->field_count, (size_t)what->body_length,
	         what->body_count > 0 && memcmp(what->body[0].iov_base, "posted", 6) == 0);
	kvmsb_fetch_status(answer, 203, "text/fetched");
	assert_int_equal(kvmsb_fetch_head(answer, "HTTP/1.1 203", 12), 0);
	assert_int_equal(kvmsb_fetch_body(answer, text, strlen(text)), 0);
	return 0;
}

static struct kvmsb *master_of(const char *path, const char *way, enum kvmsb_entry entry)
{
	const char *const arguments[] = {path, way, NULL};
	const char *const environment[] = {"KVM_NAME=its-name", "KVM_TYPE=request", NULL};
	struct kvmsb_options options = fixture_options(path);
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;

	ops.fetch = fetch;
	options.http = &ops;
	options.arguments = arguments;
	options.environment = environment;
	options.entry = entry;
	return fixture_master(&options);
}

static void check_each(const char *path, const char *way, const struct request_case *cases,
                       size_t count)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb *master, *fork;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		master = master_of(path, way, fixture_entries[i]);
		fork = fixture_fork(master);
		for (size_t j = 0; j < count; j++) {
			check(fork, &cases[j]);
			assert_int_equal(kvmsb_reset(fork), 0);
		}
		kvmsb_destroy(fork);
		kvmsb_destroy(master);
	}
}

/* ---- Old programs ---- */

static const struct request_case old_cases[] = {
	{"/environment", NULL, 200, "text/plain", "", "its-name"},
	{"/cpu", NULL, 200, "text/plain", "", "cpu 0"},
	{"/fields", NULL, 200, "text/plain", "X-One: 1\nX-Two: 2\n", "X-One: first GET"},
	{"/extra", NULL, 201, "text/extra", "X-One: 1\nX-Two: 2\ncached for 1.5, 2, 3\n", "extra"},
	{"/expressions", NULL, 200, "text/plain", "", "<word>"},
	{"/cache", NULL, 200, "text/plain", "cached for 1.5, 2, 3\n", "cached"},
	{"/streaming", NULL, 200, "text/stream", "", "0123456789"},
	{"/twice", NULL, 200, "text/plain", "", "the first"},
	{"/asset", NULL, 200, "text/asset", "", "embedded in old_style\n"},
	{"/log", NULL, 200, "text/plain", "", "argument"},
	{"/body", "some text", 200, "text/body", "", "some text"},
};

static const struct request_case old_failures[] = {
	{"/nothing", NULL, 503, "text/error", "",
         "HTTP response not set. Program crashed? Check logs!"},
};

static void old_programs_answer(void **unused)
{
	(void)unused;
	check_each(GUEST("old_style"), NULL, old_cases, ARRAY_SIZE(old_cases));
	check_each(GUEST("old_style"), NULL, old_failures, ARRAY_SIZE(old_failures));
}

static void old_programs_answer_in_other_ways(void **unused)
{
	(void)unused;
	check_each(GUEST("old_style"), "request", old_cases, ARRAY_SIZE(old_cases));
	check_each(GUEST("old_style"), "request", old_failures, ARRAY_SIZE(old_failures));
	check_each(GUEST("old_style"), "paused", old_cases, ARRAY_SIZE(old_cases));
}

/* ---- C++ ---- */

static const char *const objects[] = {
	GUEST("objects-static"),
	GUEST("objects-static-out"),
	GUEST("objects-static-bare"),
};

static const struct request_case object_cases[] = {
	{"/fields", NULL, 200, "", "X-Two: 3\n",
         "\"first\"nothing true true true true false \"3\" true true"},
	{"/extra", NULL, 201, "text/extra", "X-Two: 1\nX-Two: 2\nX-One: 2\ncached for 1.5, 2, 0\n",
         "bytes"},
	{"/stream", NULL, 200, "text/stream", "X-One: 1\n", "first, second, third"},
	{"/expressions", NULL, 200, "", "", "true false \"<1> and 22\"\"<1> and <22>\"\"none\" 7201"},
	{"/borrow", NULL, 200, "", "", "embedded"},
	{"/literal", NULL, 200, "", "", "literal"},
	{"/fetch", NULL, 203, "text/fetched",
         "X-Head: 12 0\nX-Failed: false -7\nX-Without: true 0 0 0\n", "3 6 1"},
	{"/no-cache", NULL, 404, "", "not cached\n", ""},
	{"/log", NULL, 200, "text/plain", "", "GET /log argument   0"},
	{"/there", "some text", 200, "text/plain", "", "POST /there argument text/body some text 9"},
};

static void objects_answer(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		check_each(objects[i], NULL, object_cases, ARRAY_SIZE(object_cases));
}

/* Where the program has the whole request, it has the fields, too. */
static const struct request_case whole_cases[] = {
	{"/there", "some text", 200, "text/plain", "",
         "POST /there argument text/body some text 9 [X-One=first] [Host=here]"},
	{"/there", NULL, 200, "text/plain", "", "GET /there argument   0 [X-One=first] [Host=here]"},
	{"/extra", NULL, 201, "text/extra", "X-Two: 1\nX-Two: 2\nX-One: 2\ncached for 1.5, 2, 0\n",
         "bytes"},
};

static void objects_answer_whole_requests(void **unused)
{
	static const char *const ways[] = {"request", "loop", "serve"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		for (size_t j = 0; j < ARRAY_SIZE(ways); j++)
			check_each(objects[i], ways[j], whole_cases, ARRAY_SIZE(whole_cases));
}

static const struct request_case streamed_cases[] = {
	{"/streamed", "some text", 200, "", "", "0:some text  9"},
};

static void objects_take_pieces(void **unused)
{
	(void)unused;
	check_each(objects[0], "stream", streamed_cases, ARRAY_SIZE(streamed_cases));
}

/* The handler of a failure is called with what it has captured. */
static void objects_answer_failures(void **unused)
{
	struct kvmsb *master = master_of(objects[0], NULL, KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	static struct kept body;

	(void)unused;
	ask(fork, "/fault", NULL, &response);
	keep_body(&body, &response);
	assert_int_equal(response.status, 500);
	assert_int_equal(response.source, KVMSB_HTTP_FROM_ON_ERROR);
	assert_ptr_equal(
		strstr(body.text, "captured by on_error, long enough to be on the heap /fault: "),
		body.text);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Nothing is lost at responses, where the program is stopped in the middle of a function. */
static void objects_free_what_they_had(const char *way)
{
	struct kvmsb *master = master_of(objects[0], way, KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	static struct kept first, last;

	for (int i = 0; i < 4; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(object_cases); j++)
			ask(fork, object_cases[j].url, object_cases[j].body, &response);
		ask(fork, "/memory", NULL, &response);
		keep_body(i == 1 ? &first : &last, &response);
	}
	assert_string_equal(first.text, last.text);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void kept_sandboxes_do_not_grow(void **unused)
{
	(void)unused;
	objects_free_what_they_had(NULL);
	objects_free_what_they_had("request");
	objects_free_what_they_had("loop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_programs_answer),
		cmocka_unit_test(old_programs_answer_in_other_ways),
		cmocka_unit_test(objects_answer),
		cmocka_unit_test(objects_answer_whole_requests),
		cmocka_unit_test(objects_take_pieces),
		cmocka_unit_test(objects_answer_failures),
		cmocka_unit_test(kept_sandboxes_do_not_grow),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
