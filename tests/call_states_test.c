/* SPDX-License-Identifier: MIT */
/*
 * Every call of the guest API in every state of a program: what it answers, or
 * with which text it ends the run. The program is tests/guests/states.c.
 */
#include "http_fixture.h"
#include "time_scale.h"

#include "layout.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum state {
	IN_MAIN,
	IN_HANDLER,
	IN_STREAM,
	IN_ON_ERROR,
	IN_VMCALL,
	STATES
};

static const char *const state_names[STATES] = {"main", "handler", "stream", "on_error", "vmcall"};

/* Beside a decimal number for what it answers: */
#define SAME "same"   /* it answers nothing: RAX is as before, its own number */
#define STOPS "stops" /* the run ends there, as with a response */
#define READY "ready" /* it waits for requests */
#define NEITHER "-38" /* ENOSYS: the host has no function for it */
#define DENIED(text) "!" text
/* It is denied, and what comes of that is not for hosts to see. */
#define DENIED_QUIETLY "!"

/* A stream is a response already. */
#define RESPONSE(name)                                                                             \
	{                                                                                          \
		DENIED(name "(): There is no request yet"), STOPS,                                 \
			DENIED("the function for the response: "), STOPS, STOPS                    \
	}
/* Nothing of storage programs: the run ends, without a response. */
#define STORAGE_RETURN                                                                             \
	{                                                                                          \
		DENIED("Program did not wait for requests"), DENIED("HTTP response not set"),      \
			DENIED(""), DENIED_QUIETLY, STOPS                                          \
	}
#define NO_CONTEXT DENIED("CTX was null")
#define NO_HTTP(where) DENIED("Selected HTTP not available at this time: " where)
#define LATE(name) DENIED(name "(): Cannot be called after initialization")
#define EVERYWHERE(answer)                                                                         \
	{                                                                                          \
		answer, answer, answer, answer, answer                                             \
	}
/* Only for main(). */
#define BOOT(answer, late)                                                                         \
	{                                                                                          \
		answer, late, late, DENIED_QUIETLY, late                                           \
	}
/* Only with a request at hand. */
#define REQUEST(answer, without)                                                                   \
	{                                                                                          \
		without, answer, without, answer, without                                          \
	}

/* As lib/http/hypercalls.def has them: every row is here. */
static const struct row {
	uint32_t number;
	const char *name;
	const char *wanted[STATES];
} rows[] = {
	{0x10000, "register_func", BOOT(SAME, LATE("register_func"))},
	{0x10001, "wait_for_requests", BOOT(READY, LATE("wait_for_requests"))},
	{0x10002, "wait_for_requests_paused", BOOT(READY, DENIED("wait_for_requests"))},
	{0x10005, "sys_set_cacheable", REQUEST("0", NO_CONTEXT)},
	{0x10010, "sys_backend_response", RESPONSE("sys_backend_response")},
	{0x10011, "storage_return", STORAGE_RETURN},
	{0x10012, "begin_streaming_response", RESPONSE("begin_streaming_response")},
	{0x10013, "storage_noreturn", STORAGE_RETURN},
	{0x10020, "sys_http_append", REQUEST("5", NO_HTTP("1"))},
	{0x10021, "sys_http_set", REQUEST("5", NO_HTTP("1"))},
	{0x10022, "sys_http_find", REQUEST("13", NO_HTTP("0"))},
	{0x10023, "sys_http_method", REQUEST("3", NO_HTTP("4"))},
	{0x10030, "sys_regex_compile", EVERYWHERE("0")},
	{0x10031, "sys_regex_free", EVERYWHERE(SAME)},
	{0x10032, "sys_regex_match", EVERYWHERE("1")},
	{0x10033, "sys_regex_subst", EVERYWHERE("2")},
	{0x10035, "sys_regex_copyto", REQUEST("1", NO_HTTP("0"))},
	{0x10100, "set_backend", EVERYWHERE(SAME)},
	{0x10500, "sys_sockets_write", EVERYWHERE(SAME)},
	/* LAYOUT_USER_END. */
	{0x10700, "shared_memory_area", EVERYWHERE("140187732541440")},
	{0x10703, "sys_make_ephemeral",
         BOOT("-1", DENIED("Cannot change ephemeralness after initialization"))},
	{0x10706, "sys_is_storage", EVERYWHERE("0")},
	{0x10707, "sys_storage_allow", EVERYWHERE("-1")},
	{0x10708, "storage_callv", EVERYWHERE(DENIED("Storage not initialized"))},
	{0x10709, "sys_storage_task", EVERYWHERE(DENIED("Storage not initialized"))},
	{0x1070a, "stop_storage_task", EVERYWHERE("0")},
	{0x10710, "multiprocess", EVERYWHERE("-1")},
	{0x10711, "multiprocess_array", EVERYWHERE("-1")},
	{0x10712, "multiprocess_clone", EVERYWHERE("-1")},
	{0x10713, "multiprocess_wait", EVERYWHERE("0")},
	{0x10a00, "get_meminfo", EVERYWHERE(SAME)},
	{0x20000, "sys_fetch", EVERYWHERE(NEITHER)},
	{0x20001, "sys_request", EVERYWHERE(NEITHER)},
	{0x7f000, "sys_log", EVERYWHERE(SAME)},
	{0x7f7f7, "sys_breakpoint", REQUEST(SAME, NO_CONTEXT)},
	{0x7fdeb, "sys_is_debug", EVERYWHERE("0")},
	/* What nobody knows. */
	{0x10003, NULL, EVERYWHERE(NEITHER)},
	{0x12345, NULL, EVERYWHERE(NEITHER)},
};
_Static_assert(LAYOUT_USER_END == 140187732541440, "the answer of shared_memory_area");

static const struct {
	uint32_t number;
	const char *name;
} table[] = {
#define HYPERCALL(number, name, format, when, handler, note) {number, #name},
#include "http/hypercalls.def"
#undef HYPERCALL
};

static void every_call_has_a_row(void **unused)
{
	(void)unused;
	assert_true(ARRAY_SIZE(rows) >= ARRAY_SIZE(table));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(rows[i].number, table[i].number);
		assert_string_equal(rows[i].name, table[i].name);
	}
}

static int64_t ignore(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	return (int64_t)length;
}

static struct kvmsb_options options_with(const char *argument)
{
	struct kvmsb_options options = http_options(GUEST("states-static"), argument, NULL);

	options.standard_error.write = ignore;
	return options;
}

/* What was seen, in the words of the table. */
struct seen {
	char text[256];
};

static struct seen seen_answer(const struct row *row, const char *answer)
{
	struct seen seen;
	char same[32];

	snprintf(same, sizeof(same), "%" PRIu32, row->number);
	snprintf(seen.text, sizeof(seen.text), "%s", strcmp(answer, same) == 0 ? SAME : answer);
	return seen;
}

static struct seen seen_value(const struct row *row, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, (int64_t)value);
	return seen_answer(row, text);
}

static struct seen seen_denied(const char *text)
{
	struct seen seen;

	snprintf(seen.text, sizeof(seen.text), "!%s", text);
	return seen;
}

static struct seen in_main(const struct row *row)
{
	char number[32];
	struct kvmsb_options options = options_with(number);
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct seen seen = {READY};
	struct kvmsb *sandbox;
	int is_answered = 0;
	int64_t answer = 0;

	snprintf(number, sizeof(number), "%" PRIu32, row->number);
	sandbox = fixture_create(&options);
	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	assert_int_equal(kvmsb_memory_read(sandbox, fixture_symbol(sandbox, "is_answered"),
	                                   &is_answered, sizeof(is_answered)),
	                 0);
	assert_int_equal(kvmsb_memory_read(sandbox, fixture_symbol(sandbox, "answer"), &answer,
	                                   sizeof(answer)),
	                 0);
	if (result.outcome == KVMSB_OUTCOME_DENIED)
		seen = seen_denied(kvmsb_detail(sandbox));
	else if (result.outcome == KVMSB_OUTCOME_HYPERCALL)
		seen = (struct seen){STOPS};
	else if (is_answered)
		seen = seen_value(row, (uint64_t)answer);
	kvmsb_destroy(sandbox);
	return seen;
}

static struct reply get(struct kvmsb *fork, const char *prefix, const struct row *row)
{
	static const struct kvmsb_http_field host[] = {{"Host: example", 13}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	char url[64];

	snprintf(url, sizeof(url), "%s%" PRIu32, prefix, row->number);
	request.url = url;
	request.fields = host;
	request.field_count = 1;
	return http_ask(fork, &request);
}

/* Of an answer that the program makes of what the call answered. */
static struct seen seen_reply(const struct row *row, const struct reply *reply)
{
	if (reply->response.source == KVMSB_HTTP_FROM_HOST)
		return seen_denied(reply->response.exception);
	if (reply->stream_failed != 0)
		return seen_denied(kvmsb_detail(reply->sandbox));
	if (reply->response.status != 200)
		return (struct seen){STOPS};
	return seen_answer(row, reply->body);
}

static struct seen in_handler(struct kvmsb *fork, const struct row *row)
{
	struct reply reply = get(fork, "/", row);

	return seen_reply(row, &reply);
}

static struct seen in_stream(struct kvmsb *fork, const struct row *row)
{
	struct reply reply = get(fork, "/stream/", row);

	return seen_reply(row, &reply);
}

static struct seen in_on_error(struct kvmsb *fork, const struct row *row)
{
	struct reply reply = get(fork, "/error/", row);

	if (reply.response.source == KVMSB_HTTP_FROM_HOST)
		return (struct seen){DENIED_QUIETLY};
	return seen_reply(row, &reply);
}

static struct seen in_vmcall(struct kvmsb *fork, const struct row *row)
{
	struct kvmsb_result result = fixture_call(fork, "attempt", NUMBERS(row->number));

	if (result.outcome == KVMSB_OUTCOME_DENIED)
		return seen_denied(kvmsb_detail(fork));
	if (result.outcome == KVMSB_OUTCOME_HYPERCALL)
		return (struct seen){STOPS};
	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	return seen_value(row, result.value);
}

static bool is_wanted(const char *wanted, const char *seen)
{
	if (wanted[0] == '!')
		return strncmp(wanted, seen, strlen(wanted)) == 0;
	return strcmp(wanted, seen) == 0;
}

static unsigned check(const struct row *row, enum state state, struct seen seen)
{
	const char *wanted = row->wanted[state];

	/* What ends on_error shows in no text of the host's. */
	if (state == IN_ON_ERROR && wanted[0] == '!')
		wanted = DENIED_QUIETLY;
	if (is_wanted(wanted, seen.text))
		return 0;
	print_error("%s (%#" PRIx32 ") in %s: \"%s\", not \"%s\"\n",
	            row->name != NULL ? row->name : "unknown", row->number, state_names[state],
	            seen.text, wanted);
	return 1;
}

static void every_call_in_every_state(void **unused)
{
	const struct kvmsb_options options = options_with(NULL);
	const struct scene scene = http_open(&options);
	unsigned failures = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		failures += check(&rows[i], IN_MAIN, in_main(&rows[i]));
		failures += check(&rows[i], IN_HANDLER, in_handler(scene.fork, &rows[i]));
		http_reset(&scene);
		failures += check(&rows[i], IN_STREAM, in_stream(scene.fork, &rows[i]));
		http_reset(&scene);
		failures += check(&rows[i], IN_ON_ERROR, in_on_error(scene.fork, &rows[i]));
		http_reset(&scene);
		failures += check(&rows[i], IN_VMCALL, in_vmcall(scene.fork, &rows[i]));
		http_reset(&scene);
	}
	assert_int_equal(failures, 0);
	http_close(&scene);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(every_call_has_a_row),
		TEST(every_call_in_every_state),
	};

	return fixture_can_run() ? http_run_tests(tests, ARRAY_SIZE(tests)) : CANNOT_RUN;
}
