/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls of the guest API: what each does, its rules and limits, and
 * hostile arguments. The reference for numbers, texts and limits is the
 * guest API's description; see guest/kvm_api.h.
 */
#include "fake_api_guest.h"
#include "hypercall_answers.h"
#include "response_body.h"

#include "http/exchange.h"
#include "http/fields.h"
#include "layout.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	REGISTER = 0x10000,
	WAIT = 0x10001,
	RESPOND = 0x10010,
	STREAM = 0x10012,
	APPEND = 0x10020,
	SET = 0x10021,
	FIND = 0x10022,
	METHOD = 0x10023,
	SHARED_MEMORY = 0x10700,
	MEMORY = 0x10a00,
	LOG = 0x7f000,
};

#define NO_ROOM UINT64_C(0xffffffff)

static int set_up(void **state)
{
	*state = fake_guest_create();
	return 0;
}

/* With a request at hand. */
static int set_up_request(void **state)
{
	static const struct kvmsb_http_field fields[] = {
		{"Host: example.org", 17}, {"Accept: a", 9}, {"accept: b", 9}, {"X-Empty:", 8}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct fake_guest *guest = fake_guest_create();

	request.url = "/";
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	guest->hypercalls.ready = true;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
	*state = guest;
	return 0;
}

static int tear_down(void **state)
{
	fake_guest_destroy(*state);
	return 0;
}

/* Looks a field up on a side; "" if there is none. */
static const char *find(struct fake_guest *guest, uint64_t where, const char *name)
{
	static char text[256];
	struct answer answer;
	uint64_t out;

	fake_rewind(guest);
	out = fake_put(guest, text, sizeof(text));
	answer = CALL(guest, FIND, where, fake_put_text(guest, name), strlen(name), out, 255);
	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	memcpy(text, fake_at(guest, out), answer.value);
	text[answer.value] = '\0';
	return text;
}

/* ---- The table ---- */

static const struct {
	uint32_t number;
	const char *name, *handler;
} rows[] = {
#define HYPERCALL(number, name, format, when, handler, note) {number, #name, #handler},
#include "http/hypercalls.def"
#undef HYPERCALL
};

static void test_rows_have_names_and_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(hypercalls_name(rows[i].number), rows[i].name);
		assert_true(rows[i].number >= 0x10000);
		assert_true(i == 0 || rows[i - 1].number < rows[i].number);
	}
	assert_null(hypercalls_name(0));
	assert_null(hypercalls_name(0x10003));
	assert_null(hypercalls_name(0x80010000));
}

static void test_unknown_and_unsupported_answer_enosys(void **state)
{
	static const uint32_t unknown[] = {0x10003,    0x10200, 0x10203, 0x1ffff,
	                                   0x7fffffff, 0,       1,       UINT32_MAX};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_value(CALL(guest, unknown[i], 1, 2, 3, 4, 5, 6), (uint64_t)-ENOSYS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].handler, "unsupported") == 0)
			assert_value(CALL(guest, rows[i].number, 1, 2, 3, 4, 5, 6),
			             (uint64_t)-ENOSYS);
}

static void test_calls_with_fixed_answers(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, 0x10100, 0), UNCHANGED);        /* set_backend */
	assert_value(CALL(guest, 0x10706, 0), 0);                /* sys_is_storage */
	assert_value(CALL(guest, 0x10707, 0x10000), UINT64_MAX); /* sys_storage_allow */
	assert_value(CALL(guest, 0x10713, 0), 0);                /* multiprocess_wait */
	assert_value(CALL(guest, 0x7fdeb, 0), 0);                /* sys_is_debug */
}

/* ---- Registration and waiting ---- */

static void test_register_takes_every_entry(void **state)
{
	struct fake_guest *guest = *state;

	for (uint32_t i = 0; i <= 12; i++)
		assert_value(CALL(guest, REGISTER, i, 0x400000 + i), UNCHANGED);
	for (uint32_t i = 0; i <= 12; i++)
		assert_int_equal(guest->hypercalls.entries[i], 0x400000 + i);
	/* The index is an int: the upper half of the register is anything. */
	assert_value(CALL(guest, REGISTER, 0xabcd00000001, 0x7eff00000000), UNCHANGED);
	assert_int_equal(guest->hypercalls.entries[HTTP_ENTRY_GET], 0x7eff00000000);
}

static void test_register_refuses_wrong_index(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, CALL(guest, REGISTER, 13, 0x400000),
	              "register_func(): there is no entry 13");
	assert_denied(guest, CALL(guest, REGISTER, UINT64_MAX, 0x400000),
	              "register_func(): there is no entry 4294967295");
}

static void test_register_refuses_wrong_address(void **state)
{
	static const uint64_t wrong[] = {0,
	                                 LAYOUT_USER_START - 1,
	                                 LAYOUT_USER_END,
	                                 LAYOUT_ENTRY_TEXT,
	                                 LAYOUT_KERNEL_TEXT,
	                                 UINT64_MAX};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_denied(guest, CALL(guest, REGISTER, 1, wrong[i]),
		              "Invalid address for register_func provided");
	assert_value(CALL(guest, REGISTER, 1, LAYOUT_USER_START), UNCHANGED);
	assert_value(CALL(guest, REGISTER, 1, LAYOUT_USER_END - 1), UNCHANGED);
}

static void test_waiting_ends_initialization(void **state)
{
	struct fake_guest *guest = *state;

	assert_false(guest->hypercalls.ready);
	assert_int_equal(CALL(guest, WAIT, 0).action, HYPERCALL_READY);
	assert_true(guest->hypercalls.ready);
	assert_denied(guest, CALL(guest, WAIT, 0),
	              "wait_for_requests(): Cannot be called after initialization");
	assert_denied(guest, CALL(guest, REGISTER, 1, 0x400000),
	              "register_func(): Cannot be called after initialization");
	assert_int_equal(guest->hypercalls.entries[1], 0);
}

static void test_forks_start_with_the_masters_entries(void **state)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct fake_guest *guest = *state;
	struct hypercalls fork;

	CALL(guest, REGISTER, 1, 0x400000);
	CALL(guest, WAIT, 0);
	memset(&fork, 0xaa, sizeof(fork));
	hypercalls_fork(&fork, &guest->hypercalls);
	assert_int_equal(fork.entries[1], 0x400000);
	assert_true(fork.ready);
	assert_null(fork.exchange);
	assert_int_equal(hypercalls_begin(&fork, &request), 0);
	assert_non_null(fork.exchange);
	fork.entries[1] = 1;
	hypercalls_reset(&fork, &guest->hypercalls);
	assert_int_equal(fork.entries[1], 0x400000);
	assert_null(fork.exchange);
	hypercalls_destroy(&fork);
	hypercalls_destroy(&fork);
}

/* ---- Requests ---- */

static int begin_with(struct fake_guest *guest, const char *method, const char *text, size_t length)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	const struct kvmsb_http_field field = {text, length};

	request.method = method;
	request.fields = &field;
	request.field_count = text != NULL;
	return hypercalls_begin(&guest->hypercalls, &request);
}

static void test_request_fields_are_checked(void **state)
{
	static char large[FIELD_LENGTH_MAXIMUM + 1] = "Name:";
	struct fake_guest *guest = *state;

	assert_int_equal(begin_with(guest, NULL, NULL, 0), 0);
	assert_int_equal(begin_with(guest, NULL, "Name:", 5), 0);
	assert_int_equal(begin_with(guest, NULL, "Name:x", 6), 0);
	assert_int_equal(begin_with(guest, NULL, "Name", 4), -EINVAL);
	assert_null(guest->hypercalls.exchange);
	assert_int_equal(begin_with(guest, NULL, "", 0), -EINVAL);
	assert_int_equal(begin_with(guest, NULL, ": x", 3), -EINVAL);
	assert_int_equal(begin_with(guest, NULL, "Na me: x", 8), -EINVAL);
	assert_int_equal(begin_with(guest, NULL, "Name: x\r", 8), -EINVAL);
	assert_int_equal(begin_with(guest, NULL, "Name: \nx", 8), -EINVAL);
	assert_int_equal(begin_with(guest, NULL, "Name: \0x", 8), -EINVAL);
	memset(large + 5, 'x', sizeof(large) - 5);
	assert_int_equal(begin_with(guest, NULL, large, FIELD_LENGTH_MAXIMUM), 0);
	assert_int_equal(begin_with(guest, NULL, large, FIELD_LENGTH_MAXIMUM + 1), -E2BIG);
}

static void test_request_method_is_checked(void **state)
{
	struct fake_guest *guest = *state;

	assert_int_equal(begin_with(guest, "M-SEARCH", NULL, 0), 0);
	assert_int_equal(begin_with(guest, "1234567890123456789012345678901", NULL, 0), 0);
	assert_int_equal(begin_with(guest, "12345678901234567890123456789012", NULL, 0), -E2BIG);
	assert_int_equal(begin_with(guest, "", NULL, 0), -EINVAL);
	assert_int_equal(begin_with(guest, "GE T", NULL, 0), -EINVAL);
}

static void test_request_has_at_most_64_fields(void **state)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_field fields[FIELDS_MAXIMUM + 1];
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = (struct kvmsb_http_field){"A: b", 4};
	request.fields = fields;
	request.field_count = FIELDS_MAXIMUM;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
	request.field_count++;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), -EINVAL);
	request.field_count = 1;
	request.fields = NULL;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), -EINVAL);
	fields[0].text = NULL;
	request.fields = fields;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), -EINVAL);
}

/* ---- Header calls ---- */

static const struct {
	const char *text;
	const char *refusal; /* NULL: it is a field */
} field_rules[] = {
	{"A: b", NULL},
	{"Name: value", NULL},
	{"Name: a: b", NULL},
	{"Name: http://host:80/:", NULL},
	{"Name:  two", NULL},
	{"Name: tab\there", NULL},
	{"Name: \xc3\xa4", NULL},
	{"!#$%&'*+-.^_`|~09: x", NULL},
	{"", "HTTP header field was too small"},
	{"A:b", "HTTP header field was too small"},
	{"Name value", "HTTP header field had no colon"},
	{": value", "HTTP header field starts with colon"},
	{"Name:", "HTTP header field ends with colon"},
	{"Name:value", "HTTP header field colon has no space after"},
	{"Name:\tvalue", "HTTP header field colon has no space after"},
	{" Name: value", "HTTP header field begins with space"},
	{"Name: value ", "HTTP header field ends with space"},
	{"Name: ", "HTTP header field ends with space"},
	{"Name: a\r\nB: c", "HTTP header field had an illegal character"},
	{"Name: a\nB", "HTTP header field had an illegal character"},
	{"Name: a\rB", "HTTP header field had an illegal character"},
	{"Name: a\x7f", "HTTP header field had an illegal character"},
	{"Name: \x01", "HTTP header field had an illegal character"},
	{"Na me: a", "HTTP header field name had an illegal character"},
	{"Name : a", "HTTP header field name had an illegal character"},
	{"N\nme: a", "HTTP header field name had an illegal character"},
	{"N\xc3\xa4: a", "HTTP header field name had an illegal character"},
	{"N(me: a", "HTTP header field name had an illegal character"},
};

static void test_append_checks_fields(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t index = 5;

	for (size_t i = 0; i < ARRAY_SIZE(field_rules); i++) {
		struct answer answer = text_call(guest, APPEND, 1, field_rules[i].text);

		if (field_rules[i].refusal == NULL)
			assert_value(answer, index++);
		else
			assert_denied(guest, answer, field_rules[i].refusal);
	}
}

static void test_set_checks_fields(void **state)
{
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(field_rules); i++) {
		const char *text = field_rules[i].text;
		struct answer answer;

		/* Without a colon it is a name, and an empty one is nothing. */
		if (strchr(text, ':') == NULL)
			continue;
		answer = text_call(guest, SET, 1, text);
		if (field_rules[i].refusal == NULL)
			assert_int_equal(answer.action, HYPERCALL_CONTINUE);
		else
			assert_denied(guest, answer, field_rules[i].refusal);
	}
}

static void test_nul_in_a_field_is_illegal(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t text = fake_put(guest, "Name: a\0b", 9);

	assert_denied(guest, CALL(guest, APPEND, 1, text, 9),
	              "HTTP header field had an illegal character");
	assert_denied(guest, CALL(guest, SET, 1, text, 9),
	              "HTTP header field had an illegal character");
	text = fake_put(guest, "Na\0me: a", 8);
	assert_denied(guest, CALL(guest, APPEND, 1, text, 8),
	              "HTTP header field name had an illegal character");
}

static void test_where_chooses_a_side(void **state)
{
	struct fake_guest *guest = *state;

	assert_string_equal(find(guest, 0, "host"), "Host: example.org");
	assert_string_equal(find(guest, 4, "HOST"), "Host: example.org");
	assert_string_equal(find(guest, 1, "host"), "");
	assert_value(text_call(guest, APPEND, 5, "A: response"), 5);
	assert_value(text_call(guest, APPEND, 4, "A: request"), 9);
	assert_string_equal(find(guest, 1, "a"), "A: response");
	assert_string_equal(find(guest, 0, "a"), "A: request");
	/* It is an int. */
	assert_string_equal(find(guest, UINT64_C(1) << 32, "a"), "A: request");
}

static void test_wrong_sides_are_denied(void **state)
{
	static const struct {
		uint64_t where;
		const char *text;
	} wrong[] = {
		{2, "Selected HTTP not available at this time: 2"},
		{3, "Selected HTTP not available at this time: 3"},
		{6, "Selected HTTP not available at this time: 6"},
		{UINT64_MAX, "Selected HTTP not available at this time: -1"},
		{0x80000000, "Selected HTTP not available at this time: -2147483648"},
	};
	static const uint32_t calls[] = {APPEND, SET, FIND};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		for (size_t j = 0; j < ARRAY_SIZE(calls); j++)
			assert_denied(guest, text_call(guest, calls[j], wrong[i].where, "A: b"),
			              wrong[i].text);
}

static void test_header_calls_need_a_request(void **state)
{
	static const uint32_t calls[] = {APPEND, SET, FIND};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_denied(guest, text_call(guest, calls[i], 1, "A: b"),
		              "Selected HTTP not available at this time: 1");
	assert_denied(guest, CALL(guest, METHOD, 0, 0),
	              "Selected HTTP not available at this time: 4");
}

static void test_set_replaces_the_first_of_its_name(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(text_call(guest, SET, 0, "ACCEPT: new"), 6);
	assert_string_equal(find(guest, 0, "accept"), "ACCEPT: new");
	assert_value(text_call(guest, SET, 0, "Fresh: one"), 9);
	/* The second one is still there. */
	assert_value(text_call(guest, SET, 0, "accept"), 6);
	assert_string_equal(find(guest, 0, "accept"), "accept: b");
}

static void test_set_without_colon_unsets(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(text_call(guest, SET, 0, "host"), 5);
	assert_string_equal(find(guest, 0, "host"), "");
	assert_value(text_call(guest, SET, 0, "host"), 0);
	assert_string_equal(find(guest, 0, "accept"), "Accept: a");
	assert_value(text_call(guest, SET, 0, ""), 0);
	assert_denied(guest, text_call(guest, SET, 0, "a b"),
	              "HTTP header field name had an illegal character");
}

static void test_set_of_nothing_reads_nothing(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, SET, 0, 0, 0), 0);
	assert_value(CALL(guest, SET, 0, UINT64_MAX, 0), 0);
}

static void test_find_gives_length_or_text(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t key = fake_put_text(guest, "host");
	uint64_t out = fake_put(guest, "xxxxxxxxxxxxxxxxxxxxxxx", 24);

	assert_value(CALL(guest, FIND, 0, key, 4, 0, 0), 17);
	assert_value(CALL(guest, FIND, 0, key, 4, out, 16), 0);
	assert_memory_equal(fake_at(guest, out), "xx", 2);
	assert_value(CALL(guest, FIND, 0, key, 4, out, 17), 17);
	assert_memory_equal(fake_at(guest, out), "Host: example.orgxx", 19);
	assert_value(CALL(guest, FIND, 0, key, 4, out, UINT64_MAX), 17);
	/* Part of a name is no name. */
	assert_value(CALL(guest, FIND, 0, key, 3, 0, 0), 0);
	/* The length has 16 bits. */
	assert_value(CALL(guest, FIND, 0, key, 0xabc0004, 0, 0), 17);
}

/* Another byte that no name has is not said to be wrong: there is no such field. */
static void test_odd_keys_find_nothing(void **state)
{
	static const char *const keys[] = {"h(st", "h\tst", "\xc3\xa4", "ho\nst", "\x7f"};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_value(text_call(guest, FIND, 0, keys[i]), 0);
		assert_value(text_call(guest, SET, 0, keys[i]), 0);
	}
	assert_string_equal(find(guest, 0, "host"), "Host: example.org");
}

static void test_find_refuses_what_is_no_name(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t key = fake_put(guest, "ho\0t", 4);

	assert_denied(guest, text_call(guest, FIND, 0, ""), "HTTP header field name was too small");
	assert_denied(guest, text_call(guest, FIND, 0, "host:"),
	              "HTTP header field name had an illegal character");
	assert_denied(guest, text_call(guest, FIND, 0, "ho st"),
	              "HTTP header field name had an illegal character");
	key = fake_put(guest, "ho\0t", 4);
	assert_denied(guest, CALL(guest, FIND, 0, key, 4, 0, 0),
	              "HTTP header field name had an illegal character");
}

static void test_find_needs_a_writable_buffer(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t key = fake_put_text(guest, "host");

	assert_denied(guest, CALL(guest, FIND, 0, key, 4, FAKE_READ_ONLY, 100),
	              "writable_page_at: sys_http_find: cannot write 17 bytes at 0x600000");
	assert_denied(guest, CALL(guest, FIND, 0, key, 4, UINT64_MAX - 3, 100),
	              "writable_page_at: sys_http_find: cannot write 17 bytes at 0xfffffffffffffffc");
	assert_denied(guest, CALL(guest, FIND, 0, key, 4, LAYOUT_USER_END - 16, 100),
	              "writable_page_at: sys_http_find: cannot write 17 bytes at 0x7f7ffffffff0");
}

static void test_method(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t out = fake_put(guest, "xxxxxxxx", 8);

	assert_value(CALL(guest, METHOD, 0, 0), 3);
	assert_value(CALL(guest, METHOD, out, 2), 0);
	assert_value(CALL(guest, METHOD, out, 3), 3);
	assert_memory_equal(fake_at(guest, out), "GETx", 4);
	assert_denied(guest, CALL(guest, METHOD, 8, 100),
	              "writable_page_at: sys_http_method: cannot write 3 bytes at 0x8");
}

static void test_field_lengths(void **state)
{
	struct fake_guest *guest = *state;
	char *field = fake_at(guest, FAKE_ARENA);

	memset(field, 'x', FIELD_LENGTH_MAXIMUM + 1);
	memcpy(field, "A: ", 3);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM), 5);
	assert_denied(guest, CALL(guest, APPEND, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM + 1),
	              "HTTP header field too large");
	assert_denied(guest, CALL(guest, SET, 1, FAKE_ARENA, UINT64_MAX),
	              "HTTP header field too large");
	assert_value(CALL(guest, SET, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM), 5);
}

static void test_unreadable_fields_are_denied(void **state)
{
	static const struct {
		uint64_t address, length;
	} wrong[] = {{0, 10},
	             {FAKE_ARENA - 4, 8},
	             {FAKE_END, 8},
	             {LAYOUT_USER_END - 4, 8},
	             {LAYOUT_KERNEL_TEXT, 8},
	             {UINT64_MAX - 4, 8}};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_unreadable(guest, CALL(guest, APPEND, 1, wrong[i].address, wrong[i].length));
		assert_unreadable(guest, CALL(guest, SET, 1, wrong[i].address, wrong[i].length));
		assert_unreadable(guest,
		                  CALL(guest, FIND, 1, wrong[i].address, wrong[i].length, 0, 0));
	}
}

static void test_a_full_list_has_no_room(void **state)
{
	struct fake_guest *guest = *state;

	for (uint64_t i = 0; i < FIELDS_MAXIMUM; i++)
		assert_value(text_call(guest, APPEND, 1, "A: b"), 5 + i);
	assert_value(text_call(guest, APPEND, 1, "A: b"), NO_ROOM);
	/* That is said before the field is looked at. */
	assert_value(CALL(guest, APPEND, 1, 0, UINT64_MAX), NO_ROOM);
	assert_value(text_call(guest, SET, 1, "New: b"), NO_ROOM);
	assert_value(text_call(guest, SET, 1, "A: c"), 5);
	assert_value(text_call(guest, SET, 1, "A"), 5);
	assert_value(text_call(guest, APPEND, 1, "A: b"), 5 + FIELDS_MAXIMUM - 1);
	/* The other side is a list of its own. */
	assert_value(text_call(guest, APPEND, 0, "A: b"), 9);
}

static void test_bytes_of_all_fields_are_bounded(void **state)
{
	struct fake_guest *guest = *state;
	char *field = fake_at(guest, FAKE_ARENA);
	uint64_t fitting = FIELDS_BYTES_MAXIMUM / FIELD_LENGTH_MAXIMUM;
	uint64_t rest = FIELDS_BYTES_MAXIMUM - fitting * FIELD_LENGTH_MAXIMUM;

	memset(field, 'x', FIELD_LENGTH_MAXIMUM);
	memcpy(field, "A: ", 3);
	for (uint64_t i = 0; i < fitting; i++)
		assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM), 5 + i);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, rest + 1), NO_ROOM);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, rest), 5 + fitting);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, 4), NO_ROOM);
	/* A replacement counts for what it replaces. */
	assert_value(CALL(guest, SET, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM), 5);
	assert_value(CALL(guest, SET, 1, FAKE_ARENA, 4), 5);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, FIELD_LENGTH_MAXIMUM - 4), 6 + fitting);
	assert_value(CALL(guest, SET, 1, FAKE_ARENA, 5), NO_ROOM);
	/* What is taken away makes room. */
	assert_value(CALL(guest, SET, 1, FAKE_ARENA, 1), 5);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, 5), NO_ROOM);
	assert_value(CALL(guest, APPEND, 1, FAKE_ARENA, 4), 6 + fitting);
}

/* ---- Responses ---- */

struct response_arguments {
	uint64_t status, type, type_length, content, content_length, extra;
};

static struct answer respond_with(struct fake_guest *guest, struct response_arguments arguments)
{
	return CALL(guest, RESPOND, arguments.status, arguments.type, arguments.type_length,
	            arguments.content, arguments.content_length, arguments.extra);
}

static void assert_no_response(struct fake_guest *guest)
{
	struct kvmsb_http_response response = response_of(guest);

	assert_int_equal(response.status, 0);
	assert_string_equal(response.content_type, "");
	assert_int_equal(response.field_count, 0);
	assert_int_equal(response.body_length, 0);
}

static void test_response_is_kept(void **state)
{
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;
	struct response_arguments arguments = {
		.status = 0xffff0000 + 404,
		.type = fake_put_text(guest, "text/plain"),
		.type_length = 10,
		.content = fake_put(guest, "a\0b", 3),
		.content_length = 3,
	};

	assert_no_response(guest);
	assert_int_equal(respond_with(guest, arguments).action, HYPERCALL_STOP);
	response = response_of(guest);
	assert_int_equal(response.status, 404);
	assert_string_equal(response.content_type, "text/plain");
	assert_true(body_is(&response, "a\0b", 3));
	assert_int_equal(response.field_count, 0);
	assert_int_equal(response.size, sizeof(response));
}

static void test_response_has_the_fields_of_its_side(void **state)
{
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;

	text_call(guest, APPEND, 1, "A: b");
	text_call(guest, APPEND, 1, "C: d");
	assert_no_response(guest);
	respond_with(guest, (struct response_arguments){.status = 200});
	response = response_of(guest);
	assert_int_equal(response.field_count, 2);
	assert_string_equal(response.fields[0].text, "A: b");
	assert_int_equal(response.fields[1].length, 4);
	assert_string_equal(response.content_type, "");
	assert_int_equal(response.body_length, 0);
}

static void test_response_fills_what_the_caller_has(void **state)
{
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;

	respond_with(guest, (struct response_arguments){.status = 200});
	memset(&response, 0xaa, sizeof(response));
	response.size = offsetof(struct kvmsb_http_response, content_type);
	assert_int_equal(hypercalls_response(&guest->hypercalls, &response), 0);
	assert_int_equal(response.status, 200);
	assert_int_equal(*(unsigned char *)&response.content_type, 0xaa);
	response.size = 4;
	assert_int_equal(hypercalls_response(&guest->hypercalls, &response), -EINVAL);
}

static void test_response_before_a_request_is_denied(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, respond_with(guest, (struct response_arguments){.status = 200}),
	              "sys_backend_response(): There is no request yet");
}

static void test_response_in_a_plain_call_stops(void **state)
{
	struct fake_guest *guest = *state;

	guest->hypercalls.ready = true;
	assert_int_equal(respond_with(guest, (struct response_arguments){.status = 200}).action,
	                 HYPERCALL_STOP);
	assert_no_response(guest);
}

static void test_second_response_takes_the_place_of_the_first(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t text = fake_put_text(guest, "one two three");

	respond_with(guest, (struct response_arguments){200, text, 3, text, 3, 0});
	respond_with(guest, (struct response_arguments){201, text, 7, text, 7, 0});
	assert_int_equal(response_of(guest).status, 201);
	assert_int_equal(response_of(guest).body_length, 7);
	hypercalls_end(&guest->hypercalls);
	assert_no_response(guest);
}

static void test_status_is_checked(void **state)
{
	static const struct {
		uint64_t status;
		bool valid;
	} statuses[] = {{0, false},      {100, false},        {199, false},
	                {200, true},     {599, true},         {600, false},
	                {999, false},    {0x7fff, false},     {0xffc8, false},
	                {0x100c8, true}, {UINT64_MAX, false}, {0xff00000000c8, true}};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct answer answer = respond_with(
			guest, (struct response_arguments){.status = statuses[i].status});

		if (statuses[i].valid)
			assert_int_equal(answer.action, HYPERCALL_STOP);
		else
			assert_denied(guest, answer, "Invalid HTTP status code returned by program");
	}
}

static void test_content_type_length(void **state)
{
	struct fake_guest *guest = *state;
	struct response_arguments arguments = {.status = 200, .type = FAKE_ARENA};

	memset(fake_at(guest, FAKE_ARENA), 'x', 0x2000);
	arguments.type_length = 0xfff;
	assert_int_equal(respond_with(guest, arguments).action, HYPERCALL_STOP);
	assert_int_equal(strlen(response_of(guest).content_type), 0xfff);
	arguments.type_length = 0x1000;
	assert_denied(guest, respond_with(guest, arguments), "Content-type length overflow");
	arguments.type_length = UINT64_MAX;
	assert_denied(guest, respond_with(guest, arguments), "Content-type length overflow");
	/* The length has 16 bits. */
	arguments.type_length = 0x10002;
	assert_int_equal(respond_with(guest, arguments).action, HYPERCALL_STOP);
	assert_string_equal(response_of(guest).content_type, "xx");
	arguments.type_length = 0x10000;
	arguments.type = 0;
	assert_int_equal(respond_with(guest, arguments).action, HYPERCALL_STOP);
	assert_string_equal(response_of(guest).content_type, "");
}

static void test_content_type_ends_at_a_nul(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t type = fake_put(guest, "a/b\0\r\n", 6);

	assert_int_equal(respond_with(guest, (struct response_arguments){200, type, 6, 0, 0, 0}).action,
	                 HYPERCALL_STOP);
	assert_string_equal(response_of(guest).content_type, "a/b");
}

static void test_content_type_cannot_split_the_response(void **state)
{
	static const char *const types[] = {"a\r\nB: c", "a\n", "\ra", "a\x01", "a\x7f"};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_denied(
			guest,
			respond_with(guest,
		                     (struct response_arguments){200, fake_put_text(guest, types[i]),
		                                                 strlen(types[i]), 0, 0, 0}),
			"Content-type had an illegal character");
	assert_no_response(guest);
}

static void test_content_of_every_size(void **state)
{
	/* Around pages. */
	static const uint64_t lengths[] = {1,
	                                   4095,
	                                   4096,
	                                   4097,
	                                   (256 << 10) - 1,
	                                   256 << 10,
	                                   (256 << 10) + 1,
	                                   (512 << 10) + 1,
	                                   FAKE_ARENA_SIZE};
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;
	uint8_t *memory = fake_at(guest, FAKE_ARENA);

	for (size_t i = 0; i < FAKE_ARENA_SIZE; i++)
		memory[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint64_t start = FAKE_ARENA_SIZE - lengths[i];

		assert_int_equal(respond_with(guest, (struct response_arguments){200, 0, 0,
		                                                                 FAKE_ARENA + start,
		                                                                 lengths[i], 0})
		                         .action,
		                 HYPERCALL_STOP);
		response = response_of(guest);
		assert_true(body_is(&response, memory + start, lengths[i]));
	}
}

static void test_content_must_be_readable(void **state)
{
	static const struct {
		uint64_t address, length;
	} wrong[] = {
		{0, 1},
		{FAKE_ARENA - 1, 2},
		{FAKE_END, 1},
		{LAYOUT_USER_END - 1, 2},
		{LAYOUT_USER_END, 1},
		{LAYOUT_ENTRY_TEXT, 16},
		{LAYOUT_KERNEL_TEXT, 16},
		{UINT64_MAX, 1},
		{UINT64_MAX, 2},
		{UINT64_MAX - 10, 512 << 20},
		{LAYOUT_USER_END - 4096, 512 << 20},
	};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_unreadable(guest, respond_with(guest, (struct response_arguments){
								     200, 0, 0, wrong[i].address,
								     wrong[i].length, 0}));
	assert_no_response(guest);
	assert_string_equal(guest->hypercalls.detail,
	                    "readable_page_at: sys_backend_response: cannot read 536870912 bytes at 0x7f7ffffff000");
	/* Empty content is not looked at. */
	assert_int_equal(
		respond_with(guest, (struct response_arguments){200, 0, 0, UINT64_MAX, 0, 0}).action,
		HYPERCALL_STOP);
}

static void test_content_is_bounded(void **state)
{
	static const uint64_t wrong[] = {(512 << 20) + 1, UINT64_C(1) << 32, UINT64_C(1) << 63,
	                                 UINT64_MAX};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_denied(guest,
		              respond_with(guest, (struct response_arguments){200, 0, 0, FAKE_ARENA,
		                                                              wrong[i], 0}),
		              "Response content is larger than 512 MiB");
	assert_int_equal(guest->read, 0);
}

/* The most address space that this process ever had. */
static uint64_t peak_kilobytes(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long peak = 0;
	char line[256];

	assert_non_null(file);
	while (peak == 0 && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmPeak: %llu", &peak);
	fclose(file);
	assert_true(peak > 0);
	return peak;
}

/* A length is worth an allocation only as far as the memory behind it was read. */
static void test_hostile_length_allocates_little(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t before = peak_kilobytes();

	assert_unreadable(guest,
	                  respond_with(guest, (struct response_arguments){200, 0, 0, FAKE_ARENA - 1,
	                                                                  512 << 20, 0}));
	guest->process.end = PROCESS_RUNS;
	respond_with(guest, (struct response_arguments){200, 0, 0, FAKE_ARENA, 512 << 20, 0});
	assert_int_equal(guest->process.end, PROCESS_OUT_OF_MEMORY);
	assert_true(peak_kilobytes() - before < (64 << 10));
}

static void test_memory_limit_ends_the_run(void **state)
{
	struct fake_guest *guest = *state;
	struct answer answer = respond_with(
		guest, (struct response_arguments){200, 0, 0, FAKE_ARENA, FAKE_ARENA_SIZE + 8192, 0});

	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	assert_int_equal(guest->process.end, PROCESS_OUT_OF_MEMORY);
	assert_no_response(guest);
}

/* Where the guest has it: what it holds when the host looks. */
static void test_content_stays_in_place(void **state)
{
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;

	memset(fake_at(guest, FAKE_ARENA), 'a', 3 * 4096);
	respond_with(guest, (struct response_arguments){200, 0, 0, FAKE_ARENA + 100, 2 * 4096, 0});
	response = response_of(guest);
	assert_int_equal(response.body_count, 3);
	assert_ptr_equal(response.body[0].iov_base, fake_at(guest, FAKE_ARENA + 100));
	assert_ptr_equal(response.body[1].iov_base, fake_at(guest, FAKE_ARENA + 4096));
	assert_int_equal(guest->read, 0);
	/* The list is the same for whoever asks, until the exchange ends. */
	assert_ptr_equal(response_of(guest).body, response.body);
}

/* ---- Streamed responses ---- */

struct stream_arguments {
	uint64_t status, type, type_length, total, function, argument;
};

static struct answer stream_with(struct fake_guest *guest, struct stream_arguments arguments)
{
	return CALL(guest, STREAM, arguments.status, arguments.type, arguments.type_length,
	            arguments.total, arguments.function, arguments.argument);
}

static void test_stream_is_begun(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t type = fake_put_text(guest, "video/mp4");
	struct kvmsb_http_response response;
	const struct http_stream *stream;

	respond_with(guest, (struct response_arguments){200, 0, 0, FAKE_ARENA, 100, 0});
	assert_int_equal(stream_with(guest, (struct stream_arguments){206, type, 9, UINT64_C(1) << 40,
	                                                              0x400000, UINT64_MAX})
	                         .action,
	                 HYPERCALL_STOP);
	response = response_of(guest);
	assert_int_equal(response.status, 206);
	assert_string_equal(response.content_type, "video/mp4");
	assert_int_equal(response.is_streamed, 1);
	assert_int_equal(response.body_count, 0);
	assert_null(response.body);
	assert_int_equal(response.body_length, UINT64_C(1) << 40);
	assert_int_equal(response.source, KVMSB_HTTP_FROM_HANDLER);
	stream = &guest->hypercalls.exchange->stream;
	assert_int_equal(stream->function, 0x400000);
	assert_int_equal(stream->argument, UINT64_MAX);
	assert_int_equal(stream->total, UINT64_C(1) << 40);
	assert_int_equal(stream->given, 0);

	respond_with(guest, (struct response_arguments){.status = 200});
	assert_int_equal(response_of(guest).is_streamed, 0);
}

static void test_stream_is_checked(void **state)
{
	static const struct {
		struct stream_arguments arguments;
		const char *text;
	} wrong[] = {
		{{199, 0, 0, 1, 0x400000, 0}, "Invalid HTTP status code returned by program"},
		{{600, 0, 0, 1, 0x400000, 0}, "Invalid HTTP status code returned by program"},
		{{200, 0, 0x1000, 1, 0x400000, 0}, "Content-type length overflow"},
		{{200, 0, 0, 0, 0x400000, 0}, "Cannot stream zero-length response"},
		{{200, 0, 0, 0, 0, 0}, "Cannot stream zero-length response"},
		{{200, 0, 0, 1, 0, 0}, "Cannot stream using invalid callback (address is 0x0)"},
		{{200, 0, 0, 1, LAYOUT_USER_START - 1, 0},
	         "Cannot stream using invalid callback (address is 0xffff)"},
		{{200, 0, 0, 1, UINT64_MAX, 0},
	         "Cannot stream using invalid callback (address is 0xffffffffffffffff)"},
	};
	struct fake_guest *guest = *state;
	uint64_t type = fake_put_text(guest, "a\nb");

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_denied(guest, stream_with(guest, wrong[i].arguments), wrong[i].text);
	assert_int_equal(
		stream_with(guest, (struct stream_arguments){200, 0, 0, 1, LAYOUT_USER_END, 0}).action,
		HYPERCALL_DENIED);
	assert_denied(guest,
	              stream_with(guest, (struct stream_arguments){200, type, 3, 1, 0x400000, 0}),
	              "Content-type had an illegal character");
	assert_unreadable(guest,
	                  stream_with(guest, (struct stream_arguments){200, 0, 3, 1, 0x400000, 0}));
	assert_no_response(guest);
	assert_int_equal(guest->hypercalls.exchange->stream.function, 0);
}

static void test_stream_needs_a_request(void **state)
{
	const struct stream_arguments right = {200, 0, 0, 1, 0x400000, 0};
	struct fake_guest *guest = *state;

	assert_denied(guest, stream_with(guest, right),
	              "begin_streaming_response(): There is no request yet");
	CALL(guest, WAIT, 0);
	/* In a function that the host called by itself it only stops. */
	assert_int_equal(stream_with(guest, right).action, HYPERCALL_STOP);
	assert_int_equal(stream_with(guest, (struct stream_arguments){.status = 1}).action,
	                 HYPERCALL_STOP);
	assert_no_response(guest);
}

/* ---- BackendResponseExtra ---- */

struct extra {
	uint64_t fields;
	uint16_t count;
	uint8_t cached, unused[5];
};

struct extra_field {
	uint64_t text, length;
};

static struct answer respond_with_extra(struct fake_guest *guest, uint64_t fields, uint16_t count)
{
	struct extra extra = {.fields = fields, .count = count};

	memset(extra.unused, 0xaa, sizeof(extra.unused));
	return respond_with(
		guest, (struct response_arguments){.status = 200,
	                                           .extra = fake_put(guest, &extra, sizeof(extra))});
}

static uint64_t put_fields(struct fake_guest *guest, const char *const *texts, size_t count)
{
	struct extra_field fields[FIELDS_MAXIMUM];

	for (size_t i = 0; i < count; i++)
		fields[i] = (struct extra_field){fake_put_text(guest, texts[i]), strlen(texts[i])};
	return fake_put(guest, fields, count * sizeof(fields[0]));
}

static void test_extra_fields_follow_the_rules_of_set(void **state)
{
	static const char *const texts[] = {"A: new", "B", "C: c", "", "Missing"};
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;

	text_call(guest, APPEND, 1, "a: old");
	text_call(guest, APPEND, 1, "B: b");
	assert_int_equal(respond_with_extra(guest, put_fields(guest, texts, ARRAY_SIZE(texts)),
	                                    ARRAY_SIZE(texts))
	                         .action,
	                 HYPERCALL_STOP);
	response = response_of(guest);
	assert_int_equal(response.field_count, 2);
	assert_string_equal(response.fields[0].text, "A: new");
	assert_string_equal(response.fields[1].text, "C: c");
}

static void test_extra_fields_are_checked(void **state)
{
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(field_rules); i++) {
		const char *text = field_rules[i].text;
		struct answer answer;

		if (strchr(text, ':') == NULL)
			continue;
		fake_rewind(guest);
		answer = respond_with_extra(guest, put_fields(guest, &text, 1), 1);
		if (field_rules[i].refusal == NULL)
			assert_int_equal(answer.action, HYPERCALL_STOP);
		else
			assert_denied(guest, answer, field_rules[i].refusal);
	}
}

static void test_extra_pointers_are_checked(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest,
	              respond_with(guest, (struct response_arguments){.status = 200, .extra = 1}),
	              "Invalid BackendResponseExtra pointer");
	assert_denied(guest,
	              respond_with(guest, (struct response_arguments){.status = 200, .extra = 0xfff}),
	              "Invalid BackendResponseExtra pointer");
	assert_unreadable(guest, respond_with(guest, (struct response_arguments){.status = 200,
	                                                                         .extra = 0x1000}));
	assert_unreadable(guest, respond_with(guest, (struct response_arguments){
							     .status = 200, .extra = UINT64_MAX}));
	assert_denied(guest, respond_with_extra(guest, 0, 0),
	              "Invalid BackendResponseExtra headers pointer");
	assert_denied(guest, respond_with_extra(guest, 0xfff, 1),
	              "Invalid BackendResponseExtra headers pointer");
	assert_int_equal(respond_with_extra(guest, 0x1000, 0).action, HYPERCALL_STOP);
	assert_unreadable(guest, respond_with_extra(guest, 0x1000, 1));
	assert_unreadable(guest, respond_with_extra(guest, UINT64_MAX - 15, 64));
}

static void test_extra_counts_are_bounded(void **state)
{
	struct fake_guest *guest = *state;
	const char *texts[FIELDS_MAXIMUM];
	char names[FIELDS_MAXIMUM][8];
	uint64_t fields;

	for (size_t i = 0; i < FIELDS_MAXIMUM; i++) {
		snprintf(names[i], sizeof(names[i]), "A%zu: b", i);
		texts[i] = names[i];
	}
	fields = put_fields(guest, texts, FIELDS_MAXIMUM);
	assert_int_equal(respond_with_extra(guest, fields, FIELDS_MAXIMUM).action, HYPERCALL_STOP);
	assert_int_equal(response_of(guest).field_count, FIELDS_MAXIMUM);
	assert_denied(guest, respond_with_extra(guest, fields, FIELDS_MAXIMUM + 1),
	              "Too many headers in BackendResponseExtra");
	assert_denied(guest, respond_with_extra(guest, fields, UINT16_MAX),
	              "Too many headers in BackendResponseExtra");
	texts[0] = "New: one";
	assert_denied(guest, respond_with_extra(guest, put_fields(guest, texts, 1), 1),
	              "Too many headers in BackendResponseExtra");
}

static void test_extra_field_lengths_are_checked(void **state)
{
	struct fake_guest *guest = *state;
	struct extra_field field = {FAKE_ARENA, UINT64_MAX};

	assert_denied(guest, respond_with_extra(guest, fake_put(guest, &field, sizeof(field)), 1),
	              "HTTP header field too large");
	field = (struct extra_field){UINT64_MAX - 4, 5};
	assert_unreadable(guest,
	                  respond_with_extra(guest, fake_put(guest, &field, sizeof(field)), 1));
	assert_no_response(guest);
}

/* ---- Log ---- */

static void assert_log(const struct fake_guest *guest, const char *text, size_t length)
{
	assert_int_equal(guest->log_length, length);
	assert_memory_equal(guest->log, text, length);
}

static void test_log_goes_to_standard_error(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, LOG, fake_put(guest, "one\0two\n", 8), 8), UNCHANGED);
	assert_log(guest, "one\0two\n", 8);
	assert_int_equal(guest->callbacks, 1);
	/* A stream that takes little at once. */
	guest->log_take = 3;
	assert_value(CALL(guest, LOG, fake_put_text(guest, "12345678"), 8), UNCHANGED);
	assert_int_equal(guest->log_length, 8 + 3);
}

static void test_log_length(void **state)
{
	struct fake_guest *guest = *state;

	memset(fake_at(guest, FAKE_ARENA), 'x', 0x10000);
	assert_value(CALL(guest, LOG, FAKE_ARENA, 0xffff), UNCHANGED);
	assert_int_equal(guest->log_length, 0xffff);
	assert_value(CALL(guest, LOG, 0, 0), UNCHANGED);
	assert_value(CALL(guest, LOG, FAKE_ARENA, 0x30001), UNCHANGED);
	assert_int_equal(guest->log_length, 0x10000);
	assert_unreadable(guest, CALL(guest, LOG, 0, 1));
	assert_unreadable(guest, CALL(guest, LOG, UINT64_MAX, 0xffff));
}

static void test_log_that_cannot_be_written_is_dropped(void **state)
{
	struct fake_guest *guest = *state;

	guest->log_take = 0;
	assert_value(CALL(guest, LOG, fake_put_text(guest, "text"), 4), UNCHANGED);
	guest->config.streams[2] = (struct kvmsb_stream){.use_descriptor = 1, .descriptor = -1};
	assert_value(CALL(guest, LOG, fake_put_text(guest, "text"), 4), UNCHANGED);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
}

static void log_to_pipe(struct fake_guest *guest, const int ends[2], int use_descriptor)
{
	guest->config.streams[2] = (struct kvmsb_stream){.use_descriptor = use_descriptor,
	                                                 .descriptor = ends[1]};
	assert_value(CALL(guest, LOG, fake_put_text(guest, "text"), 4), UNCHANGED);
}

static void test_log_goes_to_a_descriptor(void **state)
{
	struct fake_guest *guest = *state;
	char text[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	log_to_pipe(guest, ends, 0);
	log_to_pipe(guest, ends, 1);
	/* Only the second one was wanted. */
	assert_int_equal(read(ends[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "text", 4);
	close(ends[0]);
	close(ends[1]);
}

/* As a write(2) of the guest's own: a signal for it, and none for this process. */
static void test_log_to_a_broken_pipe(void **state)
{
	struct fake_guest *guest = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	log_to_pipe(guest, ends, 1);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
	assert_int_equal(guest->process.exit_signal, SIGPIPE);
	close(ends[1]);
}

/* ---- Memory ---- */

static void test_shared_memory_area_has_no_room(void **state)
{
	struct fake_guest *guest = *state;
	struct answer answer = CALL(guest, SHARED_MEMORY, 0);

	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	/* What a program's allocation does: align, add, compare. Nothing fits, nothing wraps. */
	for (uint64_t size = 1; size != 0 && size < UINT64_C(1) << 46; size <<= 1) {
		uint64_t aligned = (answer.value + 63) & ~UINT64_C(63);

		assert_true(aligned != 0);
		assert_true(aligned + size > guest->registers.rdx);
	}
}

static void test_memory_information(void **state)
{
	struct fake_guest *guest = *state;
	struct space master = {0};
	uint64_t information[4] = {0};
	uint64_t out = fake_put(guest, information, sizeof(information));

	assert_value(CALL(guest, MEMORY, out), UNCHANGED);
	memcpy(information, fake_at(guest, out), sizeof(information));
	assert_int_equal(information[0], 123 << 20);
	assert_int_equal(information[3], 0);
	guest->space.master = &master;
	guest->space.page_limit = 100;
	guest->space.frame_count = 3;
	guest->space.table_count = 2;
	assert_value(CALL(guest, MEMORY, out), UNCHANGED);
	memcpy(information, fake_at(guest, out), sizeof(information));
	assert_int_equal(information[1], 100 * 4096);
	/* What it holds may be what others wrote. */
	assert_int_equal(information[2], 0);
	assert_int_equal(information[3], 0);
	assert_int_equal(CALL(guest, MEMORY, 0).action, HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, MEMORY, FAKE_READ_ONLY).action, HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, MEMORY, UINT64_MAX - 8).action, HYPERCALL_DENIED);
}

/* ---- Traces ---- */

static void keep_event(void *user, const struct kvmsb_trace_event *event)
{
	struct fake_guest *guest = user;

	assert_true(guest->in_callback);
	assert_int_equal(event->size, sizeof(*event));
	guest->log_length = (size_t)snprintf(guest->log, sizeof(guest->log), "%s|%d|%s",
	                                     event->name, event->finished, event->text);
}

static void test_calls_are_traced(void **state)
{
	struct fake_guest *guest = *state;

	guest->config.trace = keep_event;
	guest->config.trace_user = guest;
	CALL(guest, 0x10706, 0);
	assert_string_equal(guest->log, "sys_is_storage|1|sys_is_storage() = 0");
	CALL(guest, REGISTER, 1, 0x400000);
	assert_string_equal(guest->log, "register_func|1|register_func(1, 0x400000)");
	CALL(guest, 0x10005, 1, 2, 3, 4);
	assert_string_equal(guest->log, "sys_set_cacheable|0|sys_set_cacheable(1, 2, 3, 4) = "
	                                "denied: CTX was null");
	CALL(guest, LOG, fake_put_text(guest, "hello\n"), 6);
	assert_string_equal(guest->log, "sys_log|1|sys_log(\"hello\\n\", 6)");
	CALL(guest, LOG, FAKE_END, 6);
	assert_non_null(strstr(guest->log, "|0|sys_log(0x"));
	CALL(guest, 0x10003, 1);
	assert_string_equal(guest->log, "hypercall_0x10003|1|hypercall_0x10003(0x1, 0, 0, 0, 0, 0)"
	                                " = -1 ENOSYS (Function not implemented)");
	CALL(guest, WAIT, 0);
	assert_string_equal(guest->log, "wait_for_requests|0|wait_for_requests() = ?");
	CALL(guest, WAIT, 0);
	assert_string_equal(guest->log,
	                    "wait_for_requests|0|wait_for_requests() = denied: "
	                    "wait_for_requests(): Cannot be called after initialization");
}

static void test_longest_trace_fits(void **state)
{
	struct fake_guest *guest = *state;

	guest->config.trace = keep_event;
	guest->config.trace_user = guest;
	memset(guest->hypercalls.detail, 'x', sizeof(guest->hypercalls.detail) - 1);
	CALL(guest, RESPOND, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	assert_non_null(strstr(guest->log, "There is no request yet"));
}

/* ---- Anything at all ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t random_argument(void)
{
	static const uint64_t interesting[] = {0,
	                                       1,
	                                       4,
	                                       5,
	                                       200,
	                                       0xfff,
	                                       0x1000,
	                                       0xffff,
	                                       0x10000,
	                                       512 << 20,
	                                       FAKE_ARENA,
	                                       FAKE_ARENA + 16,
	                                       FAKE_ARENA_END - 8,
	                                       FAKE_READ_ONLY,
	                                       FAKE_NO_MEMORY,
	                                       FAKE_END,
	                                       LAYOUT_USER_END - 8,
	                                       LAYOUT_USER_END,
	                                       LAYOUT_KERNEL_TEXT,
	                                       INT64_MAX,
	                                       UINT64_MAX - 8,
	                                       UINT64_MAX};
	uint64_t choice = random_number() % (ARRAY_SIZE(interesting) + 3);

	if (choice < ARRAY_SIZE(interesting))
		return interesting[choice];
	return random_number() >> (random_number() % 64);
}

static void fill_with_fields(struct fake_guest *guest)
{
	static const char text[] = "A: bHost: c\0\r\n\x7f :x";
	char *memory = fake_at(guest, FAKE_ARENA);

	for (size_t i = 0; i < 4096; i++)
		memory[i] = text[random_number() % (sizeof(text) - 1)];
}

static void test_random_calls_do_no_harm(void **state)
{
	struct fake_guest *guest = *state;

	for (unsigned round = 0; round < 20000; round++) {
		uint64_t arguments[6];

		if (round % 64 == 0)
			fill_with_fields(guest);
		for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
			arguments[i] = random_argument();
		guest->log_length = 0;
		guest->process.end = PROCESS_RUNS;
		call(guest, rows[random_number() % ARRAY_SIZE(rows)].number, arguments);
		assert_true(response_of(guest).status == 0 || response_of(guest).status >= 200);
	}
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define REQUESTED(test) cmocka_unit_test_setup_teardown(test, set_up_request, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_have_names_and_order),
		PLAIN(test_unknown_and_unsupported_answer_enosys),
		PLAIN(test_calls_with_fixed_answers),
		PLAIN(test_register_takes_every_entry),
		PLAIN(test_register_refuses_wrong_index),
		PLAIN(test_register_refuses_wrong_address),
		PLAIN(test_waiting_ends_initialization),
		PLAIN(test_forks_start_with_the_masters_entries),
		PLAIN(test_request_fields_are_checked),
		PLAIN(test_request_method_is_checked),
		PLAIN(test_request_has_at_most_64_fields),
		REQUESTED(test_append_checks_fields),
		REQUESTED(test_set_checks_fields),
		REQUESTED(test_nul_in_a_field_is_illegal),
		REQUESTED(test_where_chooses_a_side),
		REQUESTED(test_wrong_sides_are_denied),
		PLAIN(test_header_calls_need_a_request),
		REQUESTED(test_set_replaces_the_first_of_its_name),
		REQUESTED(test_set_without_colon_unsets),
		REQUESTED(test_set_of_nothing_reads_nothing),
		REQUESTED(test_find_gives_length_or_text),
		REQUESTED(test_odd_keys_find_nothing),
		REQUESTED(test_find_refuses_what_is_no_name),
		REQUESTED(test_find_needs_a_writable_buffer),
		REQUESTED(test_method),
		REQUESTED(test_field_lengths),
		REQUESTED(test_unreadable_fields_are_denied),
		REQUESTED(test_a_full_list_has_no_room),
		REQUESTED(test_bytes_of_all_fields_are_bounded),
		REQUESTED(test_response_is_kept),
		REQUESTED(test_response_has_the_fields_of_its_side),
		REQUESTED(test_response_fills_what_the_caller_has),
		PLAIN(test_response_before_a_request_is_denied),
		PLAIN(test_response_in_a_plain_call_stops),
		REQUESTED(test_second_response_takes_the_place_of_the_first),
		REQUESTED(test_status_is_checked),
		REQUESTED(test_content_type_length),
		REQUESTED(test_content_type_ends_at_a_nul),
		REQUESTED(test_content_type_cannot_split_the_response),
		REQUESTED(test_content_of_every_size),
		REQUESTED(test_content_must_be_readable),
		REQUESTED(test_content_is_bounded),
		REQUESTED(test_hostile_length_allocates_little),
		REQUESTED(test_memory_limit_ends_the_run),
		REQUESTED(test_content_stays_in_place),
		REQUESTED(test_stream_is_begun),
		REQUESTED(test_stream_is_checked),
		PLAIN(test_stream_needs_a_request),
		REQUESTED(test_extra_fields_follow_the_rules_of_set),
		REQUESTED(test_extra_fields_are_checked),
		REQUESTED(test_extra_pointers_are_checked),
		REQUESTED(test_extra_counts_are_bounded),
		REQUESTED(test_extra_field_lengths_are_checked),
		PLAIN(test_log_goes_to_standard_error),
		PLAIN(test_log_length),
		PLAIN(test_log_that_cannot_be_written_is_dropped),
		PLAIN(test_log_goes_to_a_descriptor),
		PLAIN(test_log_to_a_broken_pipe),
		PLAIN(test_shared_memory_area_has_no_room),
		PLAIN(test_memory_information),
		PLAIN(test_calls_are_traced),
		PLAIN(test_longest_trace_fits),
		REQUESTED(test_random_calls_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
