/* SPDX-License-Identifier: MIT */
/* Events on sockets for guests that wait for them: in a function for that, in main(). */
#include "response_body.h"
#include "sandbox_fixture.h"

#include "util.h"

#include <errno.h>
#include <string.h>

static const struct kvmsb_socket_event two[] = {
	{.descriptor = 5, .kind = KVMSB_SOCKET_CONNECT, .remote = "(unknown)"},
	{.descriptor = 6, .kind = KVMSB_SOCKET_READ, .argument = "x", .data = "hello", .data_length = 5},
};

static struct kvmsb *master_of(const char *mode)
{
	const char *const arguments[] = {"sockets", mode, NULL};
	struct kvmsb_options options = fixture_options(GUEST("sockets-static"));

	options.arguments = arguments;
	return fixture_master(&options);
}

static void has_seen(struct kvmsb *fork, const char *text)
{
	char seen[4096] = "";

	assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "seen"), seen, sizeof(seen)),
	                 0);
	assert_string_equal(seen, text);
}

static void give(struct kvmsb *fork, const struct kvmsb_socket_event *events, size_t count,
                 int taken, enum kvmsb_outcome outcome)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	assert_int_equal(kvmsb_socket_events(fork, events, count, 0, &result), taken);
	assert_outcome(fork, &result, outcome);
}

static void prepare(struct kvmsb *fork, int system)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	assert_int_equal(kvmsb_socket_prepare(fork, system, 0, &result), 0);
	assert_outcome(fork, &result, KVMSB_OUTCOME_READY);
}

static void a_function_is_given_events(void **unused)
{
	struct kvmsb *master = master_of("handlers");
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);

	(void)unused;
	prepare(fork, 3);
	prepare(other, 4);
	give(fork, two, 2, 2, KVMSB_OUTCOME_READY);
	give(other, two, 1, 1, KVMSB_OUTCOME_READY);
	give(fork, two + 1, 1, 1, KVMSB_OUTCOME_READY);
	has_seen(fork, "system 3;[2]5 0 (unknown)  ;6 1  x hello;[1]6 1  x hello;");
	has_seen(other, "system 4;[1]5 0 (unknown)  ;");
	kvmsb_destroy(fork);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

/* A reset takes it back to before; a call in between does it no harm. */
static void a_function_begins_anew(void **unused)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *master = master_of("handlers");
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kvmsb_socket_events(fork, two, 2, 0, &result), -EINVAL);
		prepare(fork, i);
		give(fork, two, 1, 1, KVMSB_OUTCOME_READY);
		assert_int_equal(kvmsb_reset(fork), 0);
		has_seen(fork, "");
	}
	prepare(fork, 9);
	request.url = "/";
	assert_int_equal(kvmsb_request(fork, &request, &response, &result), 0);
	assert_true(body_is(&response, "system 9;", 9));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void main_is_given_events(void **unused)
{
	struct kvmsb *master = master_of("main");
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (int i = 0; i < 2; i++) {
		give(fork, two, 2, 2, KVMSB_OUTCOME_READY);
		give(fork, two, 1, 1, KVMSB_OUTCOME_READY);
		has_seen(fork, "system -1;[2]5 0 (unknown)  ;6 1  x hello;[1]5 0 (unknown)  ;");
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* No more than the guest has room for. */
static void events_are_cut_to_the_room(void **unused)
{
	struct kvmsb_socket_event many[40] = {{0}};
	struct kvmsb *master = master_of("handlers");
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	prepare(fork, 0);
	give(fork, many, ARRAY_SIZE(many), 4, KVMSB_OUTCOME_READY);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void what_ends_is_told(void **unused)
{
	const struct kvmsb_socket_event returns = {.descriptor = 100,
	                                           .kind = KVMSB_SOCKET_DISCONNECT};
	const struct kvmsb_socket_event exits = {.descriptor = 101, .kind = KVMSB_SOCKET_DISCONNECT};
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *master = master_of("handlers");
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	prepare(fork, 0);
	give(fork, &returns, 1, 1, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(kvmsb_socket_events(fork, two, 1, 0, &result), -EINVAL);
	prepare(fork, 1);
	give(fork, &exits, 1, 1, KVMSB_OUTCOME_EXITED);
	assert_int_equal(kvmsb_socket_events(fork, two, 1, 0, &result), -ESRCH);
	assert_int_equal(kvmsb_reset(fork), 0);
	prepare(fork, 2);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void misuse_is_refused(void **unused)
{
	static char large[(1 << 20) + 1];
	struct kvmsb_socket_event event = {.data = large, .data_length = sizeof(large)};
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *master = master_of("handlers");
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	assert_int_equal(kvmsb_socket_prepare(master, 0, 0, &result), -EROFS);
	prepare(fork, 0);
	assert_int_equal(kvmsb_socket_events(fork, NULL, 0, 0, &result), -EINVAL);
	assert_int_equal(kvmsb_socket_events(fork, two, 0, 0, &result), -EINVAL);
	assert_int_equal(kvmsb_socket_events(fork, &event, 1, 0, &result), -EINVAL);
	event.data_length--;
	give(fork, &event, 1, 1, KVMSB_OUTCOME_READY);
	event.data = NULL;
	assert_int_equal(kvmsb_socket_events(fork, &event, 1, 0, &result), -EINVAL);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_is_given_events),
		cmocka_unit_test(a_function_begins_anew),
		cmocka_unit_test(main_is_given_events),
		cmocka_unit_test(events_are_cut_to_the_room),
		cmocka_unit_test(what_ends_is_told),
		cmocka_unit_test(misuse_is_refused),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
