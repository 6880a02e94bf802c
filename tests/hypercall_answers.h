/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls of the fake guest, and what is expected of their answers.
 */
#ifndef KVMSB_TESTS_HYPERCALL_ANSWERS_H
#define KVMSB_TESTS_HYPERCALL_ANSWERS_H

#include "fake_api_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RAX before each call: what a call without an answer leaves. */
#define UNCHANGED UINT64_C(0x1122334455667788)

#define CALL(guest, number, ...) call(guest, number, (const uint64_t[6]){__VA_ARGS__})

struct answer {
	enum hypercall_action action;
	uint64_t value;
};

static inline struct answer call(struct fake_guest *guest, uint32_t number, const uint64_t arguments[6])
{
	struct answer answer = {.value = UNCHANGED};

	answer.action = hypercalls_run(&guest->hypercalls, &guest->process, number, arguments,
	                               &answer.value);
	/* A denial has a text, and nothing else has. */
	assert_int_equal(answer.action == HYPERCALL_DENIED, guest->hypercalls.detail[0] != '\0');
	return answer;
}

static inline struct kvmsb_http_response response_of(struct fake_guest *guest)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;

	assert_int_equal(hypercalls_response(&guest->hypercalls, &response), 0);
	return response;
}

/* A call with `where`, a text and its length. */
static inline struct answer text_call(struct fake_guest *guest, uint32_t number, uint64_t where,
                                      const char *text)
{
	fake_rewind(guest);
	return CALL(guest, number, where, fake_put_text(guest, text), strlen(text));
}

static inline void assert_value(struct answer answer, uint64_t value)
{
	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	assert_int_equal(answer.value, value);
}

static inline void assert_denied(struct fake_guest *guest, struct answer answer, const char *text)
{
	assert_int_equal(answer.action, HYPERCALL_DENIED);
	assert_string_equal(guest->hypercalls.detail, text);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
}

static inline void assert_unreadable(struct fake_guest *guest, struct answer answer)
{
	assert_int_equal(answer.action, HYPERCALL_DENIED);
	assert_non_null(strstr(guest->hypercalls.detail, ": cannot read "));
}

#endif
