/* SPDX-License-Identifier: MIT */
/*
 * Guests that mean harm by what they ask of the guest API: each attack ends
 * with its clear error or has a harmless answer, nobody else's request is touched,
 * and the fork that was attacked from is as new after its reset. The attacks are
 * those of tests/guests/hostile.c.
 */
#include "http_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Of all that a guest may log in a request, and of the line that says that this was all. */
#define LOG_LIMIT 100000u
#define LAST_LINE 200u

static uint64_t logged;

static int64_t count_logged(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	logged += length;
	return (int64_t)length;
}

static int fetch_nothing(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                         struct kvmsb_fetch_answer *answer)
{
	(void)context;
	(void)fetch;
	kvmsb_fetch_status(answer, 204, NULL);
	return 0;
}

static struct scene open_hostile(const char *argument)
{
	struct kvmsb_options options = http_options(GUEST("hostile-static"), argument, NULL);
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;

	ops.fetch = fetch_nothing;
	options.http = &ops;
	options.standard_error.write = count_logged;
	options.log_limit = LOG_LIMIT;
	options.fork_memory_limit = 16 << 20;
	return http_open(&options);
}

#define STATUS "Invalid HTTP status code returned by program"
#define ILLEGAL "HTTP header field had an illegal character"
#define TOO_MANY "Too many headers in BackendResponseExtra"

/* What the exception has in it; or the guest's answer, where it is to have one. */
static const struct attack {
	const char *path;
	const char *exception;
	int status;
	const char *body;
} attacks[] = {
	{"/status_zero", STATUS, 0, NULL},
	{"/status_low", STATUS, 0, NULL},
	{"/status_high", STATUS, 0, NULL},
	{"/status_negative", STATUS, 0, NULL},
	{"/status_wide", NULL, 200, ""},
	{"/type_splits", "Content-type had an illegal character", 0, NULL},
	{"/type_with_newline", "Content-type had an illegal character", 0, NULL},
	{"/type_with_control", "Content-type had an illegal character", 0, NULL},
	{"/type_too_long", "Content-type length overflow", 0, NULL},
	{"/type_unended", NULL, 200, ""},
	{"/type_at_an_edge", NULL, 200, ""},
	{"/type_over_an_edge", "cannot read 2 bytes", 0, NULL},
	{"/type_of_kernel", "cannot read 10 bytes", 0, NULL},
	{"/type_of_null", "cannot read 10 bytes", 0, NULL},
	{"/content_of_null", "cannot read 1 bytes", 0, NULL},
	{"/content_of_kernel", "cannot read 4096 bytes", 0, NULL},
	{"/content_up_to_kernel", "cannot read 100 bytes", 0, NULL},
	{"/content_unmapped", "cannot read 100 bytes", 0, NULL},
	{"/content_without_access", "cannot read 4096 bytes", 0, NULL},
	{"/content_half_there", "cannot read 200 bytes", 0, NULL},
	{"/content_not_canonical", "cannot read 1 bytes", 0, NULL},
	{"/content_wraps", "larger than 512 MiB", 0, NULL},
	{"/content_wraps_to_all", "larger than 512 MiB", 0, NULL},
	{"/content_of_a_terabyte", "larger than 512 MiB", 0, NULL},
	{"/content_too_large", "larger than 512 MiB", 0, NULL},
	/* A program may give away its own. */
	{"/content_of_text", NULL, 200, NULL},
	{"/extra_of_nothing", "Invalid BackendResponseExtra pointer", 0, NULL},
	{"/extra_of_kernel", "cannot read", 0, NULL},
	{"/extra_unmapped", "cannot read", 0, NULL},
	{"/extra_headers_of_nothing", "Invalid BackendResponseExtra headers pointer", 0, NULL},
	{"/extra_headers_of_kernel", "cannot read 16 bytes", 0, NULL},
	{"/extra_too_many", TOO_MANY, 0, NULL},
	{"/extra_far_too_many", TOO_MANY, 0, NULL},
	{"/extra_splits", ILLEGAL, 0, NULL},
	{"/extra_text_of_kernel", "cannot read 10 bytes", 0, NULL},
	{"/extra_length_wraps", "HTTP header field too large", 0, NULL},
	{"/extra_length_is_wide", "HTTP header field too large", 0, NULL},
	{"/field_splits", ILLEGAL, 0, NULL},
	{"/field_with_nul", ILLEGAL, 0, NULL},
	{"/field_with_control", ILLEGAL, 0, NULL},
	{"/field_with_odd_name", "HTTP header field name had an illegal character", 0, NULL},
	{"/field_folded", ILLEGAL, 0, NULL},
	{"/field_without_end", "HTTP header field too large", 0, NULL},
	{"/field_of_kernel", "cannot read 10 bytes", 0, NULL},
	{"/field_too_long", "HTTP header field too large", 0, NULL},
	{"/fields_without_number", NULL, 200, "full"},
	{"/fields_without_room", NULL, 200, "full"},
	{"/field_of_no_side", "Selected HTTP not available at this time: 7", 0, NULL},
	{"/find_to_kernel", "cannot write 9 bytes", 0, NULL},
	{"/find_to_read_only", "cannot write 9 bytes", 0, NULL},
	{"/find_to_text", "cannot write 9 bytes", 0, NULL},
	{"/find_by_odd_name", "HTTP header field name had an illegal character", 0, NULL},
	{"/method_to_kernel", "cannot write 3 bytes", 0, NULL},
	{"/memory_to_kernel", "cannot write 32 bytes", 0, NULL},
	{"/log_of_kernel", "cannot read 10 bytes", 0, NULL},
	{"/log_flood", NULL, 200, "survived"},
	{"/call_without_end", "Timeout Exception", 0, NULL},
	{"/unknown_without_end", "Timeout Exception", 0, NULL},
	{"/every_number", NULL, 200, "survived"},
	{"/unmap_stack", NULL, 200, ""},
	{"/unmap_all", "page_at: ", 0, NULL},
	{"/close_all", NULL, 200, "survived"},
	{"/respond_twice", NULL, 201, "first"},
	{"/regex_explodes", NULL, 200, "survived"},
	{"/regex_is_huge", "The regex pattern did not compile: ", 0, NULL},
	{"/regex_is_deep", "The regex pattern did not compile: ", 0, NULL},
	{"/regex_is_broken", "The regex pattern did not compile: a(b", 0, NULL},
	{"/regex_of_kernel", "cannot read 10 bytes", 0, NULL},
	{"/regex_handle_is_wild", "", 0, NULL},
	{"/regex_handle_is_negative", "", 0, NULL},
	{"/regexes_without_number", "Too many items in cache: Regex handles", 0, NULL},
	{"/regex_text_unended", "cannot read", 0, NULL},
	{"/regex_grows", NULL, 200, "survived"},
	{"/fetch_from_kernel", "cannot read", 0, NULL},
	{"/fetch_to_kernel", "cannot ", 0, NULL},
	{"/fetch_without_end", "String buffer too large", 0, NULL},
};

static struct kvmsb_http_request attack_request(const char *path)
{
	static const struct kvmsb_http_field host[] = {{"Host: abc", 9}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = path;
	request.fields = host;
	request.field_count = ARRAY_SIZE(host);
	/* All others end by themselves, however slow the machine is. */
	if (strcmp(path, "/call_without_end") == 0 || strcmp(path, "/unknown_without_end") == 0)
		request.timeout_ns = scaled_ms(200);
	return request;
}

static struct reply attack_by(struct kvmsb *fork, const char *path)
{
	const struct kvmsb_http_request request = attack_request(path);

	return http_ask(fork, &request);
}

static bool is_as_wanted(const struct attack *attack, const struct reply *reply)
{
	const struct kvmsb_http_response *response = &reply->response;

	if (attack->exception == NULL)
		return response->source == KVMSB_HTTP_FROM_HANDLER &&
		       response->status == attack->status &&
		       (attack->body == NULL || strcmp(reply->body, attack->body) == 0);
	return response->source == KVMSB_HTTP_FROM_HOST && response->status == 500 &&
	       response->body_length == 0 && response->field_count == 0 &&
	       response->content_type[0] == '\0' &&
	       strstr(response->exception, attack->exception) != NULL;
}

/* Whatever came of it, no head of a response can be split by what is in it. */
static void check_head(const struct reply *reply)
{
	assert_null(strpbrk(reply->response.content_type, "\r\n"));
	for (size_t i = 0; i < reply->response.field_count; i++) {
		const struct kvmsb_http_field *field = &reply->response.fields[i];

		assert_int_equal(strlen(field->text), field->length);
		assert_null(strpbrk(field->text, "\r\n"));
	}
}

static void check_unharmed(struct kvmsb *fork)
{
	struct reply reply = attack_by(fork, "/no attack");

	assert_text(&reply, 404, "no such attack");
	assert_string_equal(reply.response.content_type, "text/plain");
}

/* Says so where it is not as wanted. Returns the number of failures. */
static unsigned check_attack(const struct attack *attack, const struct reply *reply)
{
	check_head(reply);
	if (is_as_wanted(attack, reply) && logged <= LOG_LIMIT + LAST_LINE)
		return 0;
	print_error("%s: %d from %s, \"%.100s\", exception: %s; %llu bytes logged; %s\n",
	            attack->path, reply->response.status, http_source_name(reply->response.source),
	            reply->body,
	            reply->response.exception != NULL ? reply->response.exception : "none",
	            (unsigned long long)logged, fixture_describe(reply->sandbox, &reply->result));
	return 1;
}

static void attacks_do_no_harm(void **unused)
{
	const struct scene scene = open_hostile(NULL);
	struct kvmsb *other = fixture_fork(scene.master);
	unsigned failures = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		struct reply reply;

		logged = 0;
		reply = attack_by(scene.fork, attacks[i].path);
		failures += check_attack(&attacks[i], &reply);
		check_unharmed(other);
		http_reset(&scene);
		check_unharmed(scene.fork);
		http_reset(&scene);
	}
	assert_int_equal(failures, 0);
	kvmsb_destroy(other);
	http_close(&scene);
}

/* The same from a sandbox that is not reset in between, where that goes on. */
static void attacks_follow_each_other(void **unused)
{
	const struct scene scene = open_hostile(NULL);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		struct reply reply;

		if (attacks[i].exception != NULL || strcmp(attacks[i].path, "/unmap_stack") == 0 ||
		    strcmp(attacks[i].path, "/close_all") == 0)
			continue;
		logged = 0;
		reply = attack_by(scene.fork, attacks[i].path);
		assert_int_equal(check_attack(&attacks[i], &reply), 0);
		check_unharmed(scene.fork);
	}
	http_close(&scene);
}

struct attacker {
	struct kvmsb *fork;
	unsigned failures; /* of the host: there are to be none */
	atomic_bool is_done;
};

/* In a thread of its own, where nothing of cmocka's works. */
static void *attack_with_all(void *argument)
{
	struct attacker *attacker = argument;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		const struct kvmsb_http_request request = attack_request(attacks[i].path);
		struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
		struct kvmsb_result result = KVMSB_RESULT_INIT;

		attacker->failures += kvmsb_request(attacker->fork, &request, &response, &result) < 0;
		attacker->failures += kvmsb_reset(attacker->fork) < 0;
	}
	atomic_store(&attacker->is_done, true);
	return NULL;
}

static void others_are_answered_meanwhile(void **unused)
{
	const struct scene scene = open_hostile(NULL);
	struct attacker attacker = {.fork = fixture_fork(scene.master)};
	pthread_t thread;

	(void)unused;
	assert_int_equal(pthread_create(&thread, NULL, attack_with_all, &attacker), 0);
	do {
		check_unharmed(scene.fork);
		http_reset(&scene);
	} while (!atomic_load(&attacker.is_done));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(attacker.failures, 0);
	kvmsb_destroy(attacker.fork);
	http_close(&scene);
}

static const char *const waits[] = {
	"wait-at-kernel", "wait-at-null", "wait-at-unmapped", "wait-at-read-only",
	"wait-at-text",   "wait-at-edge", "wait-at-end",
};

/* Either the program is not accepted, or each of its requests fails. */
static void requests_go_where_the_guest_can_write(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		const struct kvmsb_options options = http_options(GUEST("hostile-static"), waits[i],
		                                                  NULL);
		struct scene scene = {.master = fixture_create(&options)};
		struct kvmsb_result result = KVMSB_RESULT_INIT;

		assert_int_equal(kvmsb_run(scene.master, &result), 0);
		if (result.outcome == KVMSB_OUTCOME_READY) {
			assert_int_equal(kvmsb_freeze(scene.master), 0);
			scene.fork = fixture_fork(scene.master);
			for (unsigned round = 0; round < 2; round++) {
				struct reply reply = http_get(scene.fork, "/");

				assert_failed(&reply, "");
				http_reset(&scene);
			}
		} else {
			assert_outcome(scene.master, &result, KVMSB_OUTCOME_DENIED);
		}
		http_close(&scene);
	}
}

/* The guest's own loss: it has the next one whole, or that one fails. */
static void check_whole_or_failed(const struct reply *reply, const char *wanted)
{
	if (reply->response.source == KVMSB_HTTP_FROM_HOST)
		assert_failed(reply, "");
	else
		assert_text(reply, 200, wanted);
}

static const char *const ways[] = {"/unmap", "/protect", "/hide", "/replace"};

static void bodies_may_lose_their_ground(void **unused)
{
	const struct scene scene = open_hostile(NULL);
	static const char bytes[10000] = {[9999] = 'b'};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct reply reply = http_post(scene.fork, ways[i], "a", bytes, 5000);

		assert_text(&reply, 200, "5000: 00");
		reply = http_post(scene.fork, "/", "a", bytes, sizeof(bytes));
		check_whole_or_failed(&reply, "10000: 62");
		http_reset(&scene);
		reply = http_post(scene.fork, "/", "a", bytes, sizeof(bytes));
		assert_text(&reply, 200, "10000: 62");
		http_reset(&scene);
	}
	http_close(&scene);
}

static void requests_may_lose_their_ground(void **unused)
{
	const struct scene scene = open_hostile("take-requests-away");

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct reply reply = http_get(scene.fork, ways[i]);

		assert_text(&reply, 200, ways[i]);
		reply = http_get(scene.fork, "/next");
		check_whole_or_failed(&reply, "/next");
		http_reset(&scene);
		reply = http_get(scene.fork, "/after");
		assert_text(&reply, 200, "/after");
		http_reset(&scene);
	}
	http_close(&scene);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(attacks_do_no_harm),
		TEST(attacks_follow_each_other),
		TEST(others_are_answered_meanwhile),
		TEST(requests_go_where_the_guest_can_write),
		TEST(bodies_may_lose_their_ground),
		TEST(requests_may_lose_their_ground),
	};

	return fixture_can_run() ? http_run_tests(tests, ARRAY_SIZE(tests)) : CANNOT_RUN;
}
