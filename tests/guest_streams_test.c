/* SPDX-License-Identifier: MIT */
/*
 * Streamed responses: a function of the guest is called for each piece. Pieces
 * of every size, functions that give too much, nothing, or what is not theirs, and
 * those that fail; tests/guests/streams.c has one way for each.
 */
#include "http_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD 251u

static struct scene open_streams(const char *argument)
{
	struct kvmsb_options options = http_options(GUEST("streams-static"), argument, NULL);

	options.stream_timeout_ns = scaled_ms(100);
	options.fork_memory_limit = 8 << 20;
	return http_open(&options);
}

static struct reply get_in_pieces(struct kvmsb *fork, const char *url, size_t piece)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = url;
	return http_ask_in_pieces(fork, &request, piece);
}

static void check_pattern(const struct reply *reply)
{
	for (size_t i = 0; i < reply->length; i++)
		if ((uint8_t)reply->body[i] != i % PERIOD)
			fail_msg("byte %zu is %u", i, (uint8_t)reply->body[i]);
}

static unsigned calls_of(struct kvmsb *fork)
{
	struct reply reply = http_get(fork, "/");

	return (unsigned)strtoul(reply.body, NULL, 10);
}

/* All of it came, and it is what it should be. */
static void check_whole(const struct reply *reply, size_t length)
{
	assert_int_equal(reply->response.is_streamed, 1);
	assert_int_equal(reply->response.body_count, 0);
	assert_int_equal(reply->response.source, KVMSB_HTTP_FROM_HANDLER);
	assert_int_equal(reply->response.body_length, length);
	assert_int_equal(reply->stream_failed, 0);
	assert_int_equal(reply->length, length);
	check_pattern(reply);
}

static void streams_come_in_pieces_of_any_size(void **unused)
{
	static const size_t totals[] = {1, 20, 251, 4096, 16383, 16384, 1000000};
	static const size_t pieces[] = {7, 4096, 65536, 10000000};
	const struct scene scene = open_streams(NULL);

	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(totals); t++) {
		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
			struct reply reply;
			char url[64];

			if (totals[t] / pieces[p] > 1000)
				continue;
			snprintf(url, sizeof(url), "/%zu/well", totals[t]);
			reply = get_in_pieces(scene.fork, url, pieces[p]);
			check_whole(&reply, totals[t]);
			assert_string_equal(reply.response.content_type, "text/stream");
			assert_string_equal(http_field(&reply, "X-Streamed"), "X-Streamed: yes");
			http_reset(&scene);
		}
	}
	http_close(&scene);
}

/* As many calls as pieces were read, and none once all have been. */
static void the_function_is_called_for_each_piece(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct reply reply;

	(void)unused;
	reply = get_in_pieces(scene.fork, "/100/well", 10);
	check_whole(&reply, 100);
	assert_int_equal(calls_of(scene.fork), 10);
	http_reset(&scene);
	reply = get_in_pieces(scene.fork, "/100/tiny", 10);
	check_whole(&reply, 100);
	assert_int_equal(calls_of(scene.fork), 100);
	http_reset(&scene);
	reply = get_in_pieces(scene.fork, "/100000/strict", 4096);
	check_whole(&reply, 100000);
	http_close(&scene);
}

/* One at a time, with others in between, and of kept sandboxes. */
static void streams_follow_each_other(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct reply reply;

	(void)unused;
	for (unsigned i = 1; i < 10; i++) {
		char url[64];

		snprintf(url, sizeof(url), "/%u/well", i * 1000);
		reply = get_in_pieces(scene.fork, url, 700);
		check_whole(&reply, i * 1000);
	}
	http_close(&scene);
}

static void no_more_is_taken_than_there_is_room_for(void **unused)
{
	static const char *const urls[] = {"/100000/overshoot", "/100000/endless"};
	const struct scene scene = open_streams(NULL);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct reply reply = get_in_pieces(scene.fork, urls[i], 777);

		check_whole(&reply, 100000);
		http_reset(&scene);
		reply = get_in_pieces(scene.fork, urls[i], 99999);
		check_whole(&reply, 100000);
		http_reset(&scene);
	}
	http_close(&scene);
}

static void pieces_are_copied_as_they_are_given(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct reply reply = get_in_pieces(scene.fork, "/500000/fleeting", 50000);

	(void)unused;
	check_whole(&reply, 500000);
	http_close(&scene);
}

static const struct {
	const char *way;
	size_t came; /* bytes before it failed */
} failures[] = {
	{"nothing", 1000},  {"null", 1000},    {"unmapped", 1000},     {"kernel", 1000},
	{"wrapping", 1000}, {"crash", 1000},   {"spin", 1000},         {"leave", 1000},
	{"devour", 1000},   {"respond", 1000}, {"stream-again", 1000}, {"ask-for-field", 1000},
	{"data", 0},
};

static void streams_that_fail_break_off(void **unused)
{
	const struct scene scene = open_streams("on-error");
	struct kvmsb *other = fixture_fork(scene.master);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct reply reply;
		char url[64], byte;

		snprintf(url, sizeof(url), "/100000/%s", failures[i].way);
		reply = get_in_pieces(scene.fork, url, 1000);
		/* The head has been sent by then: there is no other response. */
		assert_int_equal(reply.response.status, 200);
		if (reply.stream_failed != -EPROTO || reply.length != failures[i].came)
			fail_msg("%s: %d after %zu bytes; %s", failures[i].way,
			         (int)reply.stream_failed, reply.length, kvmsb_detail(scene.fork));
		check_pattern(&reply);
		assert_string_not_equal(kvmsb_detail(scene.fork), "");
		assert_int_equal(kvmsb_response_read(scene.fork, &byte, 1), -EPROTO);
		reply = get_in_pieces(other, "/100/well", 10);
		check_whole(&reply, 100);
		http_reset(&scene);
		reply = get_in_pieces(scene.fork, "/100/well", 10);
		check_whole(&reply, 100);
		http_reset(&scene);
	}
	kvmsb_destroy(other);
	http_close(&scene);
}

static const struct {
	const char *url, *argument, *exception;
} refusals[] = {
	{"/0/well", "", "Cannot stream zero-length response"},
	{"/10/no-function", "", "Cannot stream using invalid callback (address is 0x0)"},
	{"/10/elsewhere", "", "Cannot stream using invalid callback (address is 0xffffffff80000000)"},
	{"/10/well", "199", "Invalid HTTP status code returned by program"},
	{"/10/well", "600", "Invalid HTTP status code returned by program"},
};

static void streams_are_checked_at_their_beginning(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct reply reply;

		request.url = refusals[i].url;
		request.argument = refusals[i].argument;
		reply = http_ask(scene.fork, &request);
		assert_failed(&reply, refusals[i].exception);
		assert_int_equal(reply.response.is_streamed, 0);
		http_reset(&scene);
	}
	http_close(&scene);
}

/* Of a program that is over: it has no other way to answer at length. */
static void on_error_may_stream(void **unused)
{
	const struct scene scene = open_streams("on-error");
	struct reply reply = get_in_pieces(scene.fork, "/crash/10000/well", 1000);

	(void)unused;
	assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_ON_ERROR);
	assert_string_equal(reply.response.exception, "Invalid Opcode");
	assert_int_equal(reply.stream_failed, 0);
	assert_int_equal(reply.length, 10000);
	check_pattern(&reply);
	http_reset(&scene);
	reply = get_in_pieces(scene.fork, "/crash/10000/crash", 1000);
	assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_ON_ERROR);
	assert_int_equal(reply.stream_failed, -EPROTO);
	http_reset(&scene);
	reply = get_in_pieces(scene.fork, "/1000/well", 100);
	check_whole(&reply, 1000);
	http_close(&scene);
}

static void a_stream_may_be_left(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct reply reply;
	char bytes[10];

	(void)unused;
	request.url = "/1000/well";
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(kvmsb_request(scene.fork, &request, &response, &result), 0);
		assert_int_equal(kvmsb_response_read(scene.fork, bytes, sizeof(bytes)), 10);
		if (i == 0)
			http_reset(&scene);
		reply = get_in_pieces(scene.fork, "/100/well", 30);
		check_whole(&reply, 100);
	}
	http_close(&scene);
}

static void there_may_be_nothing_to_read(void **unused)
{
	const struct scene scene = open_streams(NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	char byte;

	(void)unused;
	assert_int_equal(kvmsb_response_read(scene.fork, &byte, 1), -EINVAL);
	assert_int_equal(kvmsb_response_read(scene.master, &byte, 1), -EINVAL);
	http_get(scene.fork, "/");
	assert_int_equal(kvmsb_response_read(scene.fork, &byte, 1), -EINVAL);
	request.url = "/10/well";
	assert_int_equal(kvmsb_request(scene.fork, &request, &response, &result), 0);
	assert_int_equal(kvmsb_response_read(scene.fork, &byte, 0), -EINVAL);
	assert_int_equal(kvmsb_response_read(scene.fork, &byte, 1), 1);
	http_reset(&scene);
	assert_int_equal(kvmsb_response_read(scene.fork, &byte, 1), -EINVAL);
	http_close(&scene);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(streams_come_in_pieces_of_any_size),
		TEST(the_function_is_called_for_each_piece),
		TEST(streams_follow_each_other),
		TEST(no_more_is_taken_than_there_is_room_for),
		TEST(pieces_are_copied_as_they_are_given),
		TEST(streams_that_fail_break_off),
		TEST(streams_are_checked_at_their_beginning),
		TEST(on_error_may_stream),
		TEST(a_stream_may_be_left),
		TEST(there_may_be_nothing_to_read),
	};

	return fixture_can_run() ? http_run_tests(tests, ARRAY_SIZE(tests)) : CANNOT_RUN;
}
