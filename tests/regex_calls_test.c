/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls about regular expressions: handles, matches, substitutions,
 * with our own functions and with the host's, and what hostile guests pass.
 * What patterns mean is regex_test.c's.
 */
#include "fake_api_guest.h"

#include "http/exchange.h"
#include "http/regex_table.h"
#include "layout.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	COMPILE = 0x10030,
	FREE = 0x10031,
	MATCH = 0x10032,
	SUBST = 0x10033,
	COPY = 0x10035,
};

/* RAX before each call: what a call without an answer leaves. */
#define UNCHANGED UINT64_C(0x1122334455667788)
#define STRING_MAXIMUM 65535u

#define CALL(guest, number, ...) call(guest, number, (const uint64_t[6]){__VA_ARGS__})

struct answer {
	enum hypercall_action action;
	uint64_t value;
};

static struct answer call(struct fake_guest *guest, uint32_t number, const uint64_t arguments[6])
{
	struct answer answer = {.value = UNCHANGED};

	answer.action = hypercalls_run(&guest->hypercalls, &guest->process, number, arguments,
	                               &answer.value);
	assert_int_equal(answer.action == HYPERCALL_DENIED, guest->hypercalls.detail[0] != '\0');
	return answer;
}

static void assert_value(struct answer answer, uint64_t value)
{
	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	assert_int_equal(answer.value, value);
}

static void assert_denied(struct fake_guest *guest, struct answer answer, const char *text)
{
	assert_int_equal(answer.action, HYPERCALL_DENIED);
	assert_string_equal(guest->hypercalls.detail, text);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
}

/* The run is over, and not by a denial. */
static void assert_end(struct fake_guest *guest, struct answer answer, enum process_end end)
{
	assert_value(answer, UNCHANGED);
	assert_int_equal(guest->process.end, end);
	guest->process.end = PROCESS_RUNS;
}

static struct answer compile(struct fake_guest *guest, const char *pattern)
{
	fake_rewind(guest);
	return CALL(guest, COMPILE, fake_put_text(guest, pattern), strlen(pattern));
}

static struct answer match(struct fake_guest *guest, uint64_t handle, const char *text)
{
	fake_rewind(guest);
	return CALL(guest, MATCH, handle, fake_put_text(guest, text), strlen(text));
}

static uint64_t put_string(struct fake_guest *guest, const char *text)
{
	return fake_put(guest, text, strlen(text) + 1);
}

/* What a substitution gives; lives until the next one. */
static const char *subst(struct fake_guest *guest, uint64_t handle, const char *text,
                         const char *substitution, uint64_t flags)
{
	struct answer answer;
	uint64_t out;

	fake_rewind(guest);
	out = fake_put(guest, NULL, 0);
	guest->next += 4096;
	answer = CALL(guest, SUBST, handle, put_string(guest, text),
	              put_string(guest, substitution), out, 4096, flags);
	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	if (answer.value == UINT64_MAX)
		return "failed";
	assert_int_equal(answer.value, strlen(fake_at(guest, out)) + 1);
	return fake_at(guest, out);
}

static int set_up(void **state)
{
	*state = fake_guest_create();
	return 0;
}

static int tear_down(void **state)
{
	fake_guest_destroy(*state);
	return 0;
}

/* ---- Handles ---- */

static void test_equal_patterns_have_one_handle(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t pattern;

	assert_value(compile(guest, "a"), 0);
	assert_value(compile(guest, "b"), 1);
	assert_value(compile(guest, "a"), 0);
	assert_value(compile(guest, "ab"), 2);
	assert_value(compile(guest, ""), 3);
	assert_value(compile(guest, ""), 3);
	pattern = fake_put(guest, "a\0b", 3);
	assert_value(CALL(guest, COMPILE, pattern, 3), 4);
	assert_value(CALL(guest, COMPILE, pattern, 2), 5);
	/* The length has 16 bits. */
	assert_value(CALL(guest, COMPILE, pattern, 0xabcd0001), 0);
	assert_value(CALL(guest, COMPILE, 0, 0x10000), 3);
}

static void test_patterns_of_every_length(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t pattern;
	char *text = malloc(0xffff);

	assert_non_null(text);
	memset(text, 'a', 0xffff);
	/* A comment, but for the last byte. */
	memcpy(text, "(?#", 3);
	text[0xfffd] = ')';
	pattern = fake_put(guest, text, 0xffff);
	free(text);
	assert_value(CALL(guest, COMPILE, pattern, 0xffff), 0);
	assert_value(match(guest, 0, "a"), 1);
	assert_value(match(guest, 0, "b"), UINT64_MAX);
}

static void test_handles_are_bounded(void **state)
{
	struct fake_guest *guest = *state;
	char pattern[16];

	for (unsigned i = 0; i < REGEX_HANDLES_MAXIMUM; i++) {
		snprintf(pattern, sizeof(pattern), "a%u", i);
		assert_value(compile(guest, pattern), i);
	}
	assert_denied(guest, compile(guest, "b"), "Too many items in cache: Regex handles");
	/* Known ones have their place. */
	assert_value(compile(guest, "a63"), 63);
	assert_value(CALL(guest, FREE, 17), UNCHANGED);
	assert_value(compile(guest, "b"), 17);
	assert_denied(guest, compile(guest, "a17"), "Too many items in cache: Regex handles");
}

static void test_what_is_no_pattern_is_denied(void **state)
{
	struct fake_guest *guest = *state;
	char long_pattern[201] = {0};
	char expected[200];

	assert_denied(guest, compile(guest, "a(b"), "The regex pattern did not compile: a(b");
	assert_denied(guest, compile(guest, "(a)\\1"), "The regex pattern did not compile: (a)\\1");
	assert_denied(guest, compile(guest, "a{5000}"), "The regex pattern did not compile: a{5000}");
	/* What is said ends up in logs. */
	assert_denied(guest, compile(guest, "[\n\x1b\xff"),
	              "The regex pattern did not compile: [???");
	memset(long_pattern, '(', 200);
	snprintf(expected, sizeof(expected), "The regex pattern did not compile: %.100s",
	         long_pattern);
	assert_denied(guest, compile(guest, long_pattern), expected);
	assert_value(compile(guest, "a"), 0);
}

static void test_patterns_must_be_readable(void **state)
{
	struct fake_guest *guest = *state;
	static const uint64_t wrong[] = {0, FAKE_END, LAYOUT_USER_END - 4, LAYOUT_KERNEL_TEXT,
	                                 UINT64_MAX - 4};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(CALL(guest, COMPILE, wrong[i], 8).action, HYPERCALL_DENIED);
		assert_non_null(strstr(guest->hypercalls.detail, "sys_regex_compile: cannot read"));
	}
	assert_end(guest, CALL(guest, COMPILE, FAKE_NO_MEMORY - 4, 8), PROCESS_OUT_OF_MEMORY);
	assert_null(guest->hypercalls.regexes);
}

static void test_wrong_handles_are_denied(void **state)
{
	static const uint64_t wrong[] = {1, 63, 64, 65, INT32_MAX, UINT32_MAX, UINT64_MAX};
	struct fake_guest *guest = *state;
	char text[100];

	assert_denied(guest, CALL(guest, FREE, 0),
	              "sys_regex_free(): there is no regex with handle 0");
	assert_value(compile(guest, "a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "sys_regex_free(): there is no regex with handle %d",
		         (int)wrong[i]);
		assert_denied(guest, CALL(guest, FREE, wrong[i]), text);
		snprintf(text, sizeof(text), "sys_regex_match(): there is no regex with handle %d",
		         (int)wrong[i]);
		assert_denied(guest, CALL(guest, MATCH, wrong[i], FAKE_ARENA, 1), text);
		snprintf(text, sizeof(text), "sys_regex_subst(): there is no regex with handle %d",
		         (int)wrong[i]);
		assert_denied(guest, CALL(guest, SUBST, wrong[i], FAKE_ARENA, FAKE_ARENA), text);
	}
	/* A handle is an int. */
	assert_value(match(guest, UINT64_C(0xabcd00000000), "a"), 1);
	assert_value(CALL(guest, FREE, UINT64_C(0xabcd00000000)), UNCHANGED);
	assert_denied(guest, CALL(guest, FREE, 0),
	              "sys_regex_free(): there is no regex with handle 0");
}

/* ---- Matches ---- */

static void test_match_counts_groups(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "(a)(b)?(c)?"), 0);
	assert_value(match(guest, 0, "xa"), 2);
	assert_value(match(guest, 0, "ab"), 3);
	assert_value(match(guest, 0, "ac"), 4);
	assert_value(match(guest, 0, "b"), UINT64_MAX);
	assert_value(match(guest, 0, ""), UINT64_MAX);
	assert_value(compile(guest, "^$"), 1);
	assert_value(match(guest, 1, ""), 1);
	assert_value(CALL(guest, MATCH, 1, 0, 0), 1);
	/* A NUL is a byte, and what lies behind the length does not count. */
	assert_value(CALL(guest, MATCH, 0, fake_put(guest, "\0ab", 3), 2), 2);
}

static void test_subjects_are_checked(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "b"), 0);
	assert_denied(guest, CALL(guest, MATCH, 0, FAKE_ARENA, (16 << 20) + 1),
	              "sys_regex_match(): the subject is too large");
	assert_denied(guest, CALL(guest, MATCH, 0, FAKE_ARENA, UINT64_MAX),
	              "sys_regex_match(): the subject is too large");
	assert_int_equal(CALL(guest, MATCH, 0, FAKE_END, 16 << 20).action, HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, MATCH, 0, UINT64_MAX, 16).action, HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, MATCH, 0, LAYOUT_KERNEL_TEXT, 16).action, HYPERCALL_DENIED);
	assert_end(guest, CALL(guest, MATCH, 0, FAKE_NO_MEMORY - 1, 2), PROCESS_OUT_OF_MEMORY);
	memset(fake_at(guest, FAKE_ARENA), 'a', FAKE_ARENA_SIZE);
	*(char *)fake_at(guest, FAKE_ARENA_END - 1) = 'b';
	assert_value(CALL(guest, MATCH, 0, FAKE_ARENA, FAKE_ARENA_SIZE), 1);
	assert_value(CALL(guest, MATCH, 0, FAKE_ARENA, FAKE_ARENA_SIZE - 1), UINT64_MAX);
}

static void test_the_end_of_the_run_ends_a_match(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "(?:a?){300}b"), 0);
	memset(fake_at(guest, FAKE_ARENA), 'a', 10000);
	guest->process.deadline = 1;
	assert_end(guest, CALL(guest, MATCH, 0, FAKE_ARENA, 10000), PROCESS_TIMED_OUT);
	/* Many that are too short to look at the clock. */
	assert_value(compile(guest, "b|$"), 1);
	assert_end(guest, CALL(guest, SUBST, 1, FAKE_ARENA, FAKE_ARENA, FAKE_ARENA, 10, 1),
	           PROCESS_TIMED_OUT);
}

/* ---- Substitution ---- */

static void test_substitution(void **state)
{
	static const struct {
		const char *pattern, *text, *substitution;
		uint64_t flags;
		const char *result;
	} rows[] = {
		{"b", "abab", "X", 0, "aXab"},
		{"b", "abab", "X", 1, "aXaX"},
		{"b", "abab", "X", 2, "aXab"},
		{"b", "abab", "X", UINT64_MAX, "aXaX"},
		{"x", "abab", "X", 1, "abab"},
		{"b", "", "X", 1, ""},
		{"", "", "X", 1, "X"},
		{"", "ab", "-", 0, "-ab"},
		{"", "ab", "-", 1, "-a-b-"},
		{"a*", "baac", "-", 1, "-b-c-"},
		{"a*", "aaa", "-", 1, "-"},
		{"^a", "aaa", "x", 1, "xaa"},
		{"a$", "aaa", "x", 1, "aax"},
		{"\\ba", "aa a", "x", 1, "xa x"},
		{"b", "abc", "", 1, "ac"},
		{"(a)(b)?", "abac", "[\\0|\\1|\\2|\\3]", 1, "[ab|a|b|][a|a||]c"},
		{"a", "a", "\\&\\\\\\x\\", 0, "a\\x\\"},
		{"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", "abcdefghij", "\\9\\10", 0, "ia0"},
		{"(?i)HOST: *", "host:  x", "Host: ", 0, "Host: x"},
	};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t handle = compile(guest, rows[i].pattern).value;

		assert_string_equal(
			subst(guest, handle, rows[i].text, rows[i].substitution, rows[i].flags),
			rows[i].result);
		if (CALL(guest, FREE, handle).action != HYPERCALL_CONTINUE)
			fail();
	}
}

static void test_what_a_substitution_has_no_room_for_is_dropped(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t text = put_string(guest, "abc"), with = put_string(guest, "XYZ");
	uint64_t out = fake_put(guest, "................", 16);

	assert_value(compile(guest, "b"), 0);
	/* compile() has put its pattern where the text was. */
	memcpy(fake_at(guest, text), "abc", 4);
	for (uint64_t room = 0; room <= 8; room++) {
		uint64_t taken = min_u64(room, 6);

		memset(fake_at(guest, out), '.', 16);
		assert_value(CALL(guest, SUBST, 0, text, with, out, room, 0), taken);
		assert_memory_equal(fake_at(guest, out), "aXYZc", taken);
		assert_int_equal(*(char *)fake_at(guest, out + taken), '.');
	}
	assert_value(CALL(guest, SUBST, 0, text, with, out, UINT64_MAX, 0), 6);
	/* Where nothing is written nothing needs to be there. */
	assert_value(CALL(guest, SUBST, 0, text, with, UINT64_MAX, 0, 0), 0);
}

static void test_substitutions_need_their_memory(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t text, out = FAKE_ARENA + 4096;

	assert_value(compile(guest, "b"), 0);
	text = put_string(guest, "abc");
	assert_denied(guest, CALL(guest, SUBST, 0, 0, text, out, 16, 0),
	              "readable_page_at: sys_regex_subst: cannot read a text at 0");
	assert_denied(guest, CALL(guest, SUBST, 0, text, LAYOUT_KERNEL_TEXT, out, 16, 0),
	              "readable_page_at: sys_regex_subst: cannot read a text at 0xffff800000000000");
	assert_int_equal(CALL(guest, SUBST, 0, text, text, FAKE_READ_ONLY, 16, 0).action,
	                 HYPERCALL_DENIED);
	assert_non_null(strstr(guest->hypercalls.detail, "writable_page_at: sys_regex_subst: cannot write"));
	assert_int_equal(CALL(guest, SUBST, 0, text, text, UINT64_MAX, 16, 0).action,
	                 HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, SUBST, 0, text, text, 0, 16, 0).action, HYPERCALL_DENIED);
	memset(fake_at(guest, FAKE_NO_MEMORY - 8), 'a', 8);
	assert_end(guest, CALL(guest, SUBST, 0, FAKE_NO_MEMORY - 8, text, out, 16, 0),
	           PROCESS_OUT_OF_MEMORY);
	assert_end(guest, CALL(guest, SUBST, 0, text, FAKE_NO_MEMORY - 8, out, 16, 0),
	           PROCESS_OUT_OF_MEMORY);
}

static void test_texts_of_substitutions_are_bounded(void **state)
{
	struct fake_guest *guest = *state;
	const uint64_t text = FAKE_ARENA + 4096, out = text + 2 * STRING_MAXIMUM;

	assert_value(compile(guest, "b"), 0);
	memset(fake_at(guest, text), 'a', STRING_MAXIMUM);
	*(char *)fake_at(guest, text + STRING_MAXIMUM) = '\0';
	assert_value(CALL(guest, SUBST, 0, text, text, out, UINT64_MAX, 0), STRING_MAXIMUM + 1);
	assert_memory_equal(fake_at(guest, out), fake_at(guest, text), STRING_MAXIMUM + 1);
	memcpy(fake_at(guest, text + STRING_MAXIMUM), "a", 2);
	assert_denied(guest, CALL(guest, SUBST, 0, text, text + STRING_MAXIMUM, out, 16, 0),
	              "sys_regex_subst(): a text of more than 65535 bytes");
	assert_denied(guest, CALL(guest, SUBST, 0, text + STRING_MAXIMUM, text, out, 16, 0),
	              "sys_regex_subst(): a text of more than 65535 bytes");
}

/* Text and substitution could make 4 GiB. */
static void test_what_substitutions_make_is_bounded(void **state)
{
	struct fake_guest *guest = *state;
	const uint64_t text = FAKE_ARENA + 4096, out = FAKE_ARENA + (1 << 20);
	char *memory = fake_at(guest, text);

	assert_value(compile(guest, "a"), 0);
	memset(memory, 'a', STRING_MAXIMUM);
	memory[1024] = '\0';
	/* 1024 bytes for each of 1023, and the NUL; then 1 MiB, and one byte too many. */
	assert_value(CALL(guest, SUBST, 0, text + 1, text, out, UINT64_MAX, 1), (1023 << 10) + 1);
	assert_value(CALL(guest, SUBST, 0, text, text, out, UINT64_MAX, 1), UINT64_MAX);
	assert_value(CALL(guest, SUBST, 0, text, text, out, 1 << 20, 1), 1 << 20);
	assert_value(CALL(guest, SUBST, 0, text, text, out, (1 << 20) + 1, 1), UINT64_MAX);
	memory[1024] = 'a';
	memory[STRING_MAXIMUM] = '\0';
	assert_value(CALL(guest, SUBST, 0, text, text, out, UINT64_MAX, 1), UINT64_MAX);
}

/* ---- Header fields ---- */

static void begin_request(struct fake_guest *guest)
{
	static const struct kvmsb_http_field fields[] = {
		{"Host: example.org", 17}, {"Accept: a", 9}, {"accept: b", 9}, {"X-Empty:", 8}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = "/";
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
}

/* The response's fields as one text. */
static void assert_fields(struct fake_guest *guest, const char *expected)
{
	const struct fields *fields = &guest->hypercalls.exchange->response_fields;
	char text[256] = "";

	for (size_t i = 0; i < fields->count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? "|" : "",
		         fields->field[i].text);
	assert_string_equal(text, expected);
}

static void test_fields_are_copied(void **state)
{
	struct fake_guest *guest = *state;

	begin_request(guest);
	assert_value(compile(guest, "^(?i:accept): |org$"), 0);
	assert_value(CALL(guest, COPY, 0, 0, 1), 3);
	assert_fields(guest, "Host: example.org|Accept: a|accept: b");
	/* Back-end programs have other numbers for the sides; all are ints. */
	assert_value(CALL(guest, COPY, 0, 4, 5), 3);
	assert_value(CALL(guest, COPY, 0, UINT64_C(7) << 32 | 1, 0), 6);
	assert_value(CALL(guest, COPY, 0, 0, 1), 9);
	assert_value(compile(guest, "nothing"), 1);
	assert_value(CALL(guest, COPY, 1, 0, 1), 0);
	begin_request(guest);
	assert_value(CALL(guest, COPY, 0, 1, 0), 0);
	assert_fields(guest, "");
}

static void test_a_list_copied_to_itself_ends(void **state)
{
	struct fake_guest *guest = *state;

	begin_request(guest);
	assert_value(compile(guest, "(?i)accept"), 0);
	for (unsigned count = 2; count <= 16; count *= 2)
		assert_value(CALL(guest, COPY, 0, 0, 4), count);
	/* A list has room for 64, and there were two more. */
	assert_value(CALL(guest, COPY, 0, 0, 0), 30);
	assert_value(CALL(guest, COPY, 0, 0, 0), 0);
	assert_value(compile(guest, "Host"), 1);
	assert_value(CALL(guest, COPY, 1, 0, 1), 1);
	assert_fields(guest, "Host: example.org");
}

/* A request's field may be none that a guest could make: it must not get into a response. */
static void test_fields_that_are_none_for_guests_are_not_copied(void **state)
{
	struct fake_guest *guest = *state;

	begin_request(guest);
	assert_value(compile(guest, "X-Empty|b$"), 0);
	assert_value(CALL(guest, COPY, 0, 0, 1), 1);
	assert_fields(guest, "accept: b");
}

static void test_copies_need_sides_and_a_request(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, CALL(guest, COPY, 0, 0, 1),
	              "sys_regex_copyto(): there is no regex with handle 0");
	assert_value(compile(guest, "a"), 0);
	assert_denied(guest, CALL(guest, COPY, 0, 0, 1),
	              "Selected HTTP not available at this time: 0");
	begin_request(guest);
	assert_denied(guest, CALL(guest, COPY, 0, 2, 1),
	              "Selected HTTP not available at this time: 2");
	assert_denied(guest, CALL(guest, COPY, 0, 0, 3),
	              "Selected HTTP not available at this time: 3");
	assert_value(CALL(guest, COPY, 0, 0, 1), 3);
}

static void test_the_end_of_the_run_ends_a_copy(void **state)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct fake_guest *guest = *state;
	char *text = malloc(60000);
	const struct kvmsb_http_field field = {text, 60000};

	assert_non_null(text);
	memset(text, 'a', 60000);
	memcpy(text, "A: ", 3);
	request.fields = &field;
	request.field_count = 1;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
	free(text);
	assert_value(compile(guest, "(?:a?){300}b"), 0);
	guest->process.deadline = 1;
	assert_end(guest, CALL(guest, COPY, 0, 0, 1), PROCESS_TIMED_OUT);
}

/* ---- Forks ---- */

static struct answer call_as(struct fake_guest *guest, struct hypercalls *other, uint32_t number,
                             const char *text)
{
	const struct hypercalls own = guest->hypercalls;
	struct answer answer;

	guest->hypercalls = *other;
	fake_rewind(guest);
	answer = number == COMPILE ? compile(guest, text) : CALL(guest, number, 0, 0, 0);
	*other = guest->hypercalls;
	guest->hypercalls = own;
	return answer;
}

static void test_forks_have_what_main_compiled(void **state)
{
	struct fake_guest *guest = *state;
	struct hypercalls fork;
	const struct regex_table *table;

	assert_value(compile(guest, "a?"), 0);
	table = guest->hypercalls.regexes;
	hypercalls_fork(&fork, &guest->hypercalls);
	assert_ptr_equal(fork.regexes, table);
	assert_value(call_as(guest, &fork, MATCH, NULL), 1);
	assert_value(call_as(guest, &fork, COMPILE, "a?"), 0);
	assert_ptr_equal(fork.regexes, table);
	hypercalls_reset(&fork, &guest->hypercalls);
	assert_ptr_equal(fork.regexes, table);
	hypercalls_destroy(&fork);
	assert_value(match(guest, 0, ""), 1);
}

static void test_forks_change_only_their_own(void **state)
{
	struct fake_guest *guest = *state;
	struct hypercalls fork, other;

	assert_value(compile(guest, "a?"), 0);
	hypercalls_fork(&fork, &guest->hypercalls);
	hypercalls_fork(&other, &guest->hypercalls);
	assert_value(call_as(guest, &fork, FREE, NULL), UNCHANGED);
	assert_int_equal(call_as(guest, &fork, MATCH, NULL).action, HYPERCALL_DENIED);
	assert_value(call_as(guest, &fork, COMPILE, "other"), 0);
	assert_value(call_as(guest, &other, COMPILE, "other"), 1);
	assert_value(call_as(guest, &other, MATCH, NULL), 1);
	assert_value(match(guest, 0, ""), 1);
	hypercalls_reset(&fork, &guest->hypercalls);
	assert_ptr_equal(fork.regexes, guest->hypercalls.regexes);
	assert_value(call_as(guest, &fork, MATCH, NULL), 1);
	assert_value(call_as(guest, &fork, COMPILE, "third"), 1);
	hypercalls_destroy(&fork);
	hypercalls_destroy(&other);
	assert_value(compile(guest, "a?"), 0);
	assert_value(compile(guest, "new"), 1);
}

static void test_forks_of_a_master_without_any(void **state)
{
	struct fake_guest *guest = *state;
	struct hypercalls fork;

	hypercalls_fork(&fork, &guest->hypercalls);
	assert_null(fork.regexes);
	assert_value(call_as(guest, &fork, COMPILE, "a"), 0);
	assert_non_null(fork.regexes);
	assert_null(guest->hypercalls.regexes);
	hypercalls_reset(&fork, &guest->hypercalls);
	assert_null(fork.regexes);
	hypercalls_destroy(&fork);
}

/* ---- Functions of the host ---- */

/* A host whose patterns are texts to find: one group for the second byte of the match on. */
struct host {
	struct fake_guest *guest;
	int compiled, freed, matched;
	int compile_result;
	int match_result; /* in place of what is true; 0: none */
	size_t group[2];  /* in place of the first one; if match_result */
	size_t last_start;
	bool outside; /* a regex may be freed outside of calls */
	bool cancels; /* the sandbox is destroyed meanwhile */
};

static struct host host;

static void check_context(const struct kvmsb_http_context *context)
{
	assert_true(host.guest->in_callback);
	assert_int_equal(context->size, sizeof(*context));
	assert_ptr_equal(context->user, &host);
	if (host.cancels)
		host.guest->process.end = PROCESS_CANCELLED;
}

static int host_compile(const struct kvmsb_http_context *context, const char *pattern,
                        size_t length, void **regex)
{
	check_context(context);
	if (host.compile_result != 0)
		return host.compile_result;
	*regex = strndup(pattern, length);
	assert_non_null(*regex);
	host.compiled++;
	return 0;
}

static int host_match(const struct kvmsb_http_context *context, void *regex, const char *text,
                      size_t length, size_t start, size_t groups[][2], size_t maximum)
{
	const char *found = memmem(text + start, length - start, regex, strlen(regex));

	check_context(context);
	assert_true(maximum >= 10);
	assert_in_range(start, 0, length);
	host.matched++;
	host.last_start = start;
	if (host.match_result != 0) {
		memcpy(groups[0], host.group, sizeof(host.group));
		return host.match_result;
	}
	if (found == NULL)
		return 0;
	groups[0][0] = (size_t)(found - text);
	groups[0][1] = groups[0][0] + strlen(regex);
	groups[1][0] = groups[0][0] + 1;
	groups[1][1] = groups[0][1];
	return 2;
}

static void host_free(void *user, void *regex)
{
	assert_ptr_equal(user, &host);
	assert_true(host.outside || host.guest->in_callback);
	host.freed++;
	free(regex);
}

static int set_up_host(void **state)
{
	struct fake_guest *guest = fake_guest_create();

	host = (struct host){.guest = guest};
	guest->http.ops.user = &host;
	guest->http.ops.regex_compile = host_compile;
	guest->http.ops.regex_match = host_match;
	guest->http.ops.regex_free = host_free;
	*state = guest;
	return 0;
}

static int tear_down_host(void **state)
{
	host.outside = true;
	fake_guest_destroy(*state);
	assert_int_equal(host.compiled, host.freed);
	return 0;
}

static void test_the_hosts_functions_are_asked(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "a("), 0);
	assert_value(compile(guest, "a("), 0);
	assert_int_equal(host.compiled, 1);
	assert_value(match(guest, 0, "xa("), 2);
	assert_value(match(guest, 0, "xa"), UINT64_MAX);
	assert_string_equal(subst(guest, 0, "a(ba(a(", "<\\1\\2>", 1), "<(>b<(><(>");
	assert_int_equal(host.last_start, 7);
	assert_int_equal(host.matched, 2 + 4);
	assert_int_equal(host.freed, 0);
	begin_request(guest);
	assert_value(compile(guest, "ccept: "), 1);
	assert_value(CALL(guest, COPY, 1, 0, 1), 2);
	assert_int_equal(host.matched, 2 + 4 + 3);
	host.match_result = -1;
	assert_value(CALL(guest, COPY, 1, 0, 1), 0);
	assert_value(CALL(guest, FREE, 0), UNCHANGED);
	assert_int_equal(host.freed, 1);
}

static void test_the_host_refuses_patterns(void **state)
{
	struct fake_guest *guest = *state;

	host.compile_result = -EINVAL;
	assert_denied(guest, compile(guest, "a"), "The regex pattern did not compile: a");
	host.compile_result = 5;
	assert_denied(guest, compile(guest, "a"), "The regex pattern did not compile: a");
	host.compile_result = -ENOMEM;
	assert_end(guest, compile(guest, "a"), PROCESS_OUT_OF_MEMORY);
	host.compile_result = 0;
	assert_value(compile(guest, "a"), 0);
}

static void test_the_hosts_match_fails(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "a"), 0);
	host.match_result = -47;
	assert_value(match(guest, 0, "a"), (uint64_t)-47);
	assert_string_equal(subst(guest, 0, "a", "b", 1), "failed");
}

static void test_groups_of_the_host_are_not_believed(void **state)
{
	static const struct {
		int result;
		size_t group[2];
	} wrong[] = {
		{1, {0, 5}},        {1, {4, 3}},        {1, {5, 5}},   {1, {SIZE_MAX, SIZE_MAX}},
		{1, {0, SIZE_MAX}}, {1, {SIZE_MAX, 0}}, {101, {0, 1}}, {INT_MAX, {0, 1}},
	};
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		host.match_result = wrong[i].result;
		memcpy(host.group, wrong[i].group, sizeof(host.group));
		assert_value(match(guest, 0, "text"), (uint64_t)-EINVAL);
		assert_string_equal(subst(guest, 0, "text", "b", 1), "failed");
	}
	/* One that lies before the start. */
	host.match_result = 1;
	memcpy(host.group, (const size_t[2]){0, 1}, sizeof(host.group));
	assert_string_equal(subst(guest, 0, "text", "b", 1), "failed");
	assert_string_equal(subst(guest, 0, "text", "b", 0), "bext");
	/* Always empty, right there. */
	memcpy(host.group, (const size_t[2]){4, 4}, sizeof(host.group));
	assert_string_equal(subst(guest, 0, "text", "b", 1), "textb");
}

static void test_the_host_frees_once(void **state)
{
	struct fake_guest *guest = *state;
	struct hypercalls forks[3];

	assert_value(compile(guest, "a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(forks); i++)
		hypercalls_fork(&forks[i], &guest->hypercalls);
	assert_value(call_as(guest, &forks[0], FREE, NULL), UNCHANGED);
	assert_value(call_as(guest, &forks[1], COMPILE, "b"), 1);
	assert_int_equal(host.freed, 0);
	host.outside = true;
	hypercalls_reset(&forks[1], &guest->hypercalls);
	assert_int_equal(host.freed, 1);
	hypercalls_reset(&forks[0], &guest->hypercalls);
	for (size_t i = 0; i < ARRAY_SIZE(forks); i++)
		hypercalls_destroy(&forks[i]);
	assert_int_equal(host.freed, 1);
	hypercalls_destroy(&guest->hypercalls);
	assert_int_equal(host.freed, 2);
}

static void test_nothing_is_asked_once_all_is_over(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(compile(guest, "a"), 0);
	guest->process.end = PROCESS_CANCELLED;
	assert_end(guest, compile(guest, "b"), PROCESS_CANCELLED);
	guest->process.end = PROCESS_CANCELLED;
	assert_end(guest, match(guest, 0, "a"), PROCESS_CANCELLED);
	assert_int_equal(host.compiled, 1);
	assert_int_equal(host.matched, 0);
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define HOSTED(test) cmocka_unit_test_setup_teardown(test, set_up_host, tear_down_host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(test_equal_patterns_have_one_handle),
		PLAIN(test_patterns_of_every_length),
		PLAIN(test_handles_are_bounded),
		PLAIN(test_what_is_no_pattern_is_denied),
		PLAIN(test_patterns_must_be_readable),
		PLAIN(test_wrong_handles_are_denied),
		PLAIN(test_match_counts_groups),
		PLAIN(test_subjects_are_checked),
		PLAIN(test_the_end_of_the_run_ends_a_match),
		PLAIN(test_substitution),
		PLAIN(test_what_a_substitution_has_no_room_for_is_dropped),
		PLAIN(test_substitutions_need_their_memory),
		PLAIN(test_texts_of_substitutions_are_bounded),
		PLAIN(test_what_substitutions_make_is_bounded),
		PLAIN(test_fields_are_copied),
		PLAIN(test_a_list_copied_to_itself_ends),
		PLAIN(test_fields_that_are_none_for_guests_are_not_copied),
		PLAIN(test_copies_need_sides_and_a_request),
		PLAIN(test_the_end_of_the_run_ends_a_copy),
		PLAIN(test_forks_have_what_main_compiled),
		PLAIN(test_forks_change_only_their_own),
		PLAIN(test_forks_of_a_master_without_any),
		HOSTED(test_the_hosts_functions_are_asked),
		HOSTED(test_the_host_refuses_patterns),
		HOSTED(test_the_hosts_match_fails),
		HOSTED(test_groups_of_the_host_are_not_believed),
		HOSTED(test_the_host_frees_once),
		HOSTED(test_nothing_is_asked_once_all_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
