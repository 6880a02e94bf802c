/* SPDX-License-Identifier: MIT */
/*
 * Requests of programs whose main() waits for them in a loop: it goes on with
 * every register as it was, sees the request, is back at its wait after a reset,
 * and where it is not reset runs on to it when the next request comes in.
 */
#include "response_body.h"
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const transports[] = {"syscall", "out"};

static struct kvmsb *ready(enum kvmsb_entry entry, const char *transport)
{
	const char *const arguments[] = {"loop", transport, NULL};
	struct kvmsb_options options = fixture_options(GUEST("loop-static"));

	options.entry = entry;
	options.arguments = arguments;
	return fixture_ready(&options);
}

static struct kvmsb *master(enum kvmsb_entry entry, const char *transport)
{
	struct kvmsb *made = ready(entry, transport);

	assert_int_equal(kvmsb_freeze(made), 0);
	return made;
}

/* The response's text; lives until the next request. */
static const char *ask_with(struct kvmsb *sandbox, const char *url, uint32_t flags,
                            struct kvmsb_http_response *response, struct kvmsb_result *result)
{
	static const struct kvmsb_http_field fields[] = {{"Host: example", 13}, {"A: b", 4}};
	static char text[256];
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	size_t length = 0;

	*response = (struct kvmsb_http_response)KVMSB_HTTP_RESPONSE_INIT;
	*result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	request.method = "PUT";
	request.url = url;
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	request.flags = flags;
	if (kvmsb_request(sandbox, &request, response, result) < 0)
		fail_msg("kvmsb_request: %s", kvmsb_detail(sandbox));
	for (size_t i = 0; i < response->body_count; i++) {
		assert_true(length + response->body[i].iov_len < sizeof(text));
		memcpy(text + length, response->body[i].iov_base, response->body[i].iov_len);
		length += response->body[i].iov_len;
	}
	text[length] = '\0';
	return text;
}

static void expect(struct kvmsb *sandbox, const char *url, uint32_t flags, const char *text)
{
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	const char *got = ask_with(sandbox, url, flags, &response, &result);

	assert_int_equal(response.source, KVMSB_HTTP_FROM_HANDLER);
	assert_int_equal(response.status, 200);
	assert_string_equal(got, text);
}

/* Each of the forks is at the wait that was frozen. */
static void begin_anew(enum kvmsb_entry entry, const char *transport)
{
	struct kvmsb *frozen = master(entry, transport);
	struct kvmsb *fork = fixture_fork(frozen), *other = fixture_fork(frozen);

	for (unsigned i = 0; i < 3; i++) {
		expect(fork, "/some/path", 0, "1 0 0 PUT /some/path 2 0");
		assert_int_equal(kvmsb_reset(fork), 0);
		expect(other, "/else", 0, "1 0 0 PUT /else 2 0");
		assert_int_equal(kvmsb_reset(other), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(other);
	kvmsb_destroy(frozen);
}

/* Code behind the answer runs when the next request is there; registers are as they were. */
static void go_on(enum kvmsb_entry entry, const char *transport)
{
	struct kvmsb *frozen = master(entry, transport);
	struct kvmsb *fork = fixture_fork(frozen), *other = fixture_fork(frozen);
	char text[64];

	for (unsigned i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%u %u 0 PUT /x 2 0", i + 1, i);
		expect(fork, "/x", 0, text);
		/* Another one's registers come between. */
		expect(other, "/x", 0, text);
	}
	assert_int_equal(kvmsb_reset(fork), 0);
	expect(fork, "/x", 0, "1 0 0 PUT /x 2 0");
	kvmsb_destroy(other);
	expect(fork, "/x", 0, "2 1 0 PUT /x 2 0");
	kvmsb_destroy(fork);
	kvmsb_destroy(frozen);
}

/* Requests before the freeze: forks begin where the program waits after them. */
static void warm_up(enum kvmsb_entry entry, const char *transport)
{
	struct kvmsb *program = ready(entry, transport);
	struct kvmsb *fork;

	for (unsigned i = 1; i <= 3; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%u %u 0 PUT /warm 2 1", i, i - 1);
		expect(program, "/warm", KVMSB_HTTP_WARM_UP, text);
	}
	assert_int_equal(kvmsb_freeze(program), 0);
	fork = fixture_fork(program);
	for (unsigned i = 0; i < 2; i++) {
		expect(fork, "/x", 0, "4 3 0 PUT /x 2 0");
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(program);
}

static void on_each(void (*check)(enum kvmsb_entry entry, const char *transport))
{
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++)
		for (size_t j = 0; j < ARRAY_SIZE(transports); j++)
			if (fixture_entry_possible(fixture_entries[i]))
				check(fixture_entries[i], transports[j]);
}

static void a_loop_begins_anew(void **unused)
{
	(void)unused;
	on_each(begin_anew);
}

static void a_loop_goes_on(void **unused)
{
	(void)unused;
	on_each(go_on);
}

static void a_loop_is_warmed_up(void **unused)
{
	(void)unused;
	on_each(warm_up);
}

/* One KVM_RUN brings the request in and the answer out. */
static void a_request_is_one_kvm_run(void **unused)
{
	struct kvmsb *frozen = master(KVMSB_ENTRY_AUTOMATIC, "syscall");
	struct kvmsb *fork = fixture_fork(frozen);
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	(void)unused;
	for (unsigned i = 0; i < 20; i++) {
		ask_with(fork, "/x", 0, &response, &result);
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	ask_with(fork, "/x", 0, &response, &result);
	assert_int_equal(result.kvm_runs, 1);
	kvmsb_destroy(fork);
	kvmsb_destroy(frozen);
}

static void fails(struct kvmsb *fork, const char *url, const char *exception)
{
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	ask_with(fork, url, 0, &response, &result);
	assert_int_equal(response.source, KVMSB_HTTP_FROM_HOST);
	assert_int_equal(response.status, 500);
	assert_int_equal(response.body_length, 0);
	assert_string_equal(response.content_type, "");
	assert_string_equal(response.exception, exception);
}

static void what_goes_wrong_in_a_loop_is_told(void **unused)
{
	static const char *const urls[] = {"/crash", "/exit", "/spin", "/again"};
	struct kvmsb *frozen = master(KVMSB_ENTRY_AUTOMATIC, "out");
	struct kvmsb *fork = fixture_fork(frozen);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	(void)unused;
	/* After the answer: the next request finds that it does not come back. */
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		ask_with(fork, urls[i], 0, &response, &result);
		assert_int_equal(response.status, 200);
		fails(fork, "/x", "VM did not wait for requests after backend request");
		request.url = "/x";
		assert_int_equal(kvmsb_request(fork, &request, &response, &result), -ESRCH);
		assert_int_equal(kvmsb_reset(fork), 0);
		expect(fork, "/x", 0, "1 0 0 PUT /x 2 0");
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(frozen);
}

/* A body, more texts than their area has had room for, and calls in between. */
static void a_loop_takes_what_comes(void **unused)
{
	struct kvmsb *frozen = master(KVMSB_ENTRY_AUTOMATIC, "syscall");
	struct kvmsb *fork = fixture_fork(frozen);
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	static char large[60000];
	struct kvmsb_http_field fields[4];

	(void)unused;
	memset(large, 'x', sizeof(large));
	memcpy(large, "X: ", 3);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = (struct kvmsb_http_field){large, sizeof(large)};
	request.url = "/large";
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(kvmsb_request(fork, &request, &response, &result), 0);
		assert_int_equal(response.status, 200);
		if (i == 1)
			assert_int_equal(kvmsb_reset(fork), 0);
	}
	expect(fork, "/x", 0, "2 1 0 PUT /x 2 0");
	kvmsb_destroy(fork);
	kvmsb_destroy(frozen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_begins_anew),
		cmocka_unit_test(a_loop_goes_on),
		cmocka_unit_test(a_loop_is_warmed_up),
		cmocka_unit_test(a_request_is_one_kvm_run),
		cmocka_unit_test(what_goes_wrong_in_a_loop_is_told),
		cmocka_unit_test(a_loop_takes_what_comes),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
