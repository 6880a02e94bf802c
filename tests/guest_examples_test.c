/* SPDX-License-Identifier: MIT */
/*
 * The guest programs of examples/guests, through the library: what each
 * promises at its head, in sandboxes that are reset and in those that are kept.
 */
#include "http_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its path; lives until the next one. */
#define EXAMPLE(name) example_path(TEST_EXAMPLES "/" name)
#define FIELD(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* Its calls are made by OUT. */
static bool is_by_out;

static const char *example_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s%s", name, is_by_out ? "-out" : "");
	return path;
}

static int64_t ignore(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	return (int64_t)length;
}

/* What they say in main() is not for the test's output. */
static struct scene open_example(const char *path, const char *argument, uint32_t flags)
{
	struct kvmsb_options options = http_options(path, argument, NULL);

	options.standard_output.write = ignore;
	options.http_flags = flags;
	return http_open(&options);
}

static struct reply get_with(struct kvmsb *fork, const char *url,
                             const struct kvmsb_http_field *fields, size_t count)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = url;
	request.fields = fields;
	request.field_count = count;
	return http_ask(fork, &request);
}

static void hello(void **unused)
{
	static const struct kvmsb_http_field agent[] = {FIELD("user-agent: test")};
	const struct scene scene = open_example(EXAMPLE("hello-http"), NULL, 0);
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		reply = get_with(scene.fork, "/you", agent, 1);
		assert_text(&reply, 200,
		            "Hello from /you\nargument: \"\"\ncounter: 1\nuser-agent: test\n");
		assert_string_equal(http_field(&reply, "x-counter"), "X-Counter: 1");
		http_reset(&scene);
	}
	http_close(&scene);
}

static void counter(void **unused)
{
	static const char *const kept[] = {"11\n", "12\n", "13\n"};
	struct scene scene = open_example(EXAMPLE("counter"), NULL, 0);
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;

	(void)unused;
	for (unsigned i = 0; i < 6; i++) {
		struct reply reply = http_get(scene.fork, "/");

		assert_text(&reply, 200, kept[i % 3]);
		if (i % 3 == 2)
			http_reset(&scene);
	}
	assert_int_equal(kvmsb_http_get_program(scene.fork, &program), 0);
	assert_int_equal(program.is_ephemeral, 1);
	http_close(&scene);
	scene = open_example(EXAMPLE("counter"), "keep", KVMSB_HTTP_CONTROL_EPHEMERAL);
	assert_int_equal(kvmsb_http_get_program(scene.fork, &program), 0);
	assert_int_equal(program.is_ephemeral, 0);
	http_close(&scene);
}

static void paused(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("paused"), NULL, 0);
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		reply = http_get(scene.fork, "/a");
		assert_text(&reply, 200, "GET /a, 0 bytes, after 0 others\n");
		reply = http_post(scene.fork, "/b", "text/plain", "12345", 5);
		assert_text(&reply, 200, "POST /b, 5 bytes, after 1 others\n");
		reply = http_get(scene.fork, "/c");
		assert_text(&reply, 200, "GET /c, 0 bytes, after 2 others\n");
		http_reset(&scene);
	}
	http_close(&scene);
}

static void streaming(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("streaming"), NULL, 0);
	struct reply reply = http_get(scene.fork, "/small");

	(void)unused;
	assert_text(&reply, 200, "twenty bytes, piece.");
	assert_int_equal(reply.response.is_streamed, 1);
	reply = http_get(scene.fork, "/large");
	assert_int_equal(reply.length, 1 << 20);
	for (size_t i = 0; i < reply.length; i += 16)
		assert_int_equal(strtoul(reply.body + i, NULL, 10), i / 16);
	http_reset(&scene);
	reply = http_get(scene.fork, "/large?33");
	assert_text(&reply, 200, "000000000000000\n000000000000001\n0");
	reply = http_get(scene.fork, "/large?0");
	assert_text(&reply, 400, "A stream has at least one byte.\n");
	reply = http_get(scene.fork, "/");
	assert_text(&reply, 404, "There are /small and /large?BYTES.\n");
	http_close(&scene);
}

static void post_echo(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("post-echo"), NULL, 0);
	struct reply reply = http_post(scene.fork, "/", "text/x", "to and fro", 10);

	(void)unused;
	assert_text(&reply, 200, "to and fro");
	assert_string_equal(reply.response.content_type, "text/x");
	assert_string_equal(http_field(&reply, "X-Length"), "X-Length: 10");
	reply = http_get(scene.fork, "/");
	assert_text(&reply, 400, "There is no body to answer with.\n");
	http_close(&scene);
}

static void post_checksum(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("post-checksum"), NULL, 0);
	static const char zeros[1 << 20];
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		/* The values are zlib's. */
		reply = http_post(scene.fork, "/", "text/x", "Wikipedia", 9);
		assert_text(&reply, 200, "9 bytes, 11e60398\n");
		reply = http_post(scene.fork, "/", "text/x", zeros, sizeof(zeros));
		assert_text(&reply, 200, "1048576 bytes, 00f00001\n");
	}
	http_close(&scene);
}

static void headers(void **unused)
{
	static const struct kvmsb_http_field fields[] = {FIELD("Host: here"), FIELD("USER-agent: me"),
	                                                 FIELD("Accept: */*"), FIELD("X-Empty:")};
	const struct scene scene = open_example(EXAMPLE("headers"), NULL, 0);
	struct reply reply = get_with(scene.fork, "/", fields, ARRAY_SIZE(fields));

	(void)unused;
	assert_text(&reply, 200, "Host: here\nUSER-agent: me\nAccept: */*\nX-Empty:\n");
	assert_int_equal(reply.response.field_count, 4);
	assert_string_equal(reply.response.fields[0].text, "X-Agent-Length: 14");
	assert_string_equal(reply.response.fields[1].text, "Vary: Accept");
	assert_string_equal(reply.response.fields[2].text, "Vary: User-Agent");
	assert_string_equal(reply.response.fields[3].text,
	                    "x-state: replaced, whatever the case of the name");
	reply = http_get(scene.fork, "/");
	assert_text(&reply, 200, "");
	assert_string_equal(http_field(&reply, "X-Agent-Length"), "X-Agent-Length: 0");
	http_close(&scene);
}

static void regex(void **unused)
{
	static const struct kvmsb_http_field fields[] = {
		FIELD("x-trace-id: 7"), FIELD("Accept: */*"), FIELD("X-Trace-Hop: 1")};
	const struct scene scene = open_example(EXAMPLE("regex"), NULL, 0);
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		reply = get_with(scene.fork, "/date/2024-02-29", fields, ARRAY_SIZE(fields));
		assert_text(&reply, 200, "29.02.2024");
		assert_int_equal(reply.response.field_count, 2);
		assert_string_equal(http_field(&reply, "X-Trace-Id"), "x-trace-id: 7");
		assert_string_equal(http_field(&reply, "X-Trace-Hop"), "X-Trace-Hop: 1");
		reply = http_get(scene.fork, "/1/date/22-3");
		assert_text(&reply, 404, "/#/date/##-#");
		http_reset(&scene);
	}
	http_close(&scene);
}

static const struct {
	const char *url, *page;
} failures[] = {
	{"/null", "/null has failed: Kernel or zero page fault\n"},
	{"/divide", "/divide has failed: Divide-by-zero Error\n"},
	{"/illegal", "/illegal has failed: Invalid Opcode\n"},
	{"/loop", "/loop has failed: Timeout Exception\n"},
	{"/abort", "/abort has failed: HTTP response not set. Program crashed? Check logs!\n"},
	{"/nothing", "/nothing has failed: HTTP response not set. Program crashed? Check logs!\n"},
	{"/status", "/status has failed: Invalid HTTP status code returned by program\n"},
};

static void error_page(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("error-page"), NULL, 0);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct reply reply;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		request.url = failures[i].url;
		request.timeout_ns = strcmp(failures[i].url, "/loop") == 0 ? scaled_ms(100) : 0;
		reply = http_ask(scene.fork, &request);
		assert_int_equal(reply.response.status, 500);
		assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_ON_ERROR);
		assert_string_equal(reply.body, failures[i].page);
		http_reset(&scene);
	}
	reply = http_get(scene.fork, "/");
	assert_text(&reply, 200, "nothing has failed\n");
	http_close(&scene);
}

static void image(void **unused)
{
	const struct scene scene = open_example(EXAMPLE("image"), NULL, 0);
	struct reply reply = http_get(scene.fork, "/image.svg");
	struct kvmsb_http_field condition = {.text = NULL};
	char text[64];

	(void)unused;
	assert_int_equal(reply.response.status, 200);
	assert_string_equal(reply.response.content_type, "image/svg+xml");
	assert_memory_equal(reply.body, "<svg ", 5);
	assert_string_equal(reply.body + reply.length - 7, "</svg>\n");
	assert_string_equal(http_field(&reply, "Cache-Control"),
	                    "Cache-Control: public, max-age=3600");
	assert_true(reply.response.cache.is_set && reply.response.cache.cacheable &&
	            reply.response.cache.ttl == 3600 && reply.response.cache.keep == 86400);
	snprintf(text, sizeof(text), "If-None-Match: %s", http_field(&reply, "ETag") + 6);
	condition = (struct kvmsb_http_field){.text = text, .length = strlen(text)};
	http_reset(&scene);
	reply = get_with(scene.fork, "/image.svg", &condition, 1);
	assert_text(&reply, 304, "");
	text[strlen(text) - 2] ^= 1;
	reply = get_with(scene.fork, "/image.svg", &condition, 1);
	assert_int_equal(reply.response.status, 200);
	reply = http_get(scene.fork, "/image.png");
	assert_text(&reply, 404, "There is /image.svg.\n");
	http_close(&scene);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(hello),         TEST(counter), TEST(paused), TEST(streaming),  TEST(post_echo),
		TEST(post_checksum), TEST(headers), TEST(regex),  TEST(error_page), TEST(image),
	};
	int failed;

	if (!fixture_can_run())
		return CANNOT_RUN;
	failed = http_run_tests(tests, ARRAY_SIZE(tests));
	is_by_out = true;
	return failed + http_run_tests(tests, ARRAY_SIZE(tests));
}
