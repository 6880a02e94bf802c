/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls in which the host has a part: header fields and methods that it
 * keeps, caching, the log and its limit, sockets; hosts that answer nonsense;
 * and calls about what a sandbox does not have.
 */
#include "hypercall_answers.h"

#include "http/exchange.h"
#include "http/header_store.h"
#include "layout.h"
#include "util.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	REGISTER = 0x10000,
	WAIT = 0x10001,
	CACHEABLE = 0x10005,
	RESPOND = 0x10010,
	STORAGE_RETURN = 0x10011,
	STORAGE_NORETURN = 0x10013,
	APPEND = 0x10020,
	SET = 0x10021,
	FIND = 0x10022,
	METHOD = 0x10023,
	SOCKETS = 0x10500,
	EPHEMERAL = 0x10703,
	STORAGE_CALL = 0x10708,
	TASK = 0x10709,
	STOP_TASK = 0x1070a,
	MULTIPROCESS = 0x10710,
	MULTIPROCESS_ARRAY = 0x10711,
	MULTIPROCESS_CLONE = 0x10712,
	LOG = 0x7f000,
	BREAKPOINT = 0x7f7f7,
};

#define NO_ROOM UINT64_C(0xffffffff)
#define ANSWER_TRUTH INT64_C(0x5a5a5a5a5a5a)

/* A host that keeps fields in lists of its own, and can be told to lie. */
struct host {
	struct fake_guest *guest;
	struct fields fields[2];
	int64_t answer;                /* other than ANSWER_TRUTH: what the function answers */
	struct kvmsb_http_field field; /* and gives, then */
	int calls;
	const char *method;
	struct kvmsb_http_cache policy;
	int policy_answer;
	char log[1 << 17]; /* texts with a '|' behind each */
	size_t log_length;
	unsigned logs;
	uint8_t sent[1 << 17];
	size_t sent_length;
	size_t piece_count;
	int descriptors[64];
	int sends;
	int user; /* its address is the request's */
};

static struct host *begin(const struct kvmsb_http_context *context)
{
	struct host *host = context->user;

	assert_true(host->guest->in_callback);
	assert_int_equal(context->size, sizeof(*context));
	assert_ptr_equal(context->sandbox, host->guest->process.sandbox);
	assert_ptr_equal(context->request_user,
	                 host->guest->hypercalls.exchange != NULL ? &host->user : NULL);
	host->calls++;
	return host;
}

static int64_t host_find(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                         const char *name, size_t length, struct kvmsb_http_field *field)
{
	struct host *host = begin(context);
	size_t position = fields_find(&host->fields[side], name, length);

	assert_null(field_name_refusal(name, length));
	if (host->answer != ANSWER_TRUTH) {
		*field = host->field;
		return host->answer;
	}
	if (position == host->fields[side].count)
		return -ENOENT;
	*field = host->fields[side].field[position];
	return (int64_t)position;
}

static int64_t host_next(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                         size_t position, struct kvmsb_http_field *field)
{
	struct host *host = begin(context);

	if (host->answer != ANSWER_TRUTH) {
		*field = host->field;
		return host->answer;
	}
	if (position >= host->fields[side].count)
		return -ENOENT;
	*field = host->fields[side].field[position];
	return (int64_t)position;
}

static int64_t host_append(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                           const char *text, size_t length)
{
	struct host *host = begin(context);

	assert_null(field_refusal(text, length));
	return host->answer != ANSWER_TRUTH ? host->answer
	                                    : fields_append(&host->fields[side], text, length);
}

static int64_t host_set(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                        const char *text, size_t length)
{
	struct host *host = begin(context);

	assert_null(field_refusal(text, length));
	return host->answer != ANSWER_TRUTH ? host->answer
	                                    : fields_set(&host->fields[side], text, length);
}

static int64_t host_unset(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                          const char *name, size_t length)
{
	struct host *host = begin(context);
	size_t position = fields_find(&host->fields[side], name, length);

	assert_null(field_name_refusal(name, length));
	if (host->answer != ANSWER_TRUTH)
		return host->answer;
	if (position == host->fields[side].count)
		return -ENOENT;
	fields_remove(&host->fields[side], position);
	return (int64_t)position;
}

static const char *host_method(const struct kvmsb_http_context *context)
{
	return begin(context)->method;
}

static int host_policy(const struct kvmsb_http_context *context, const struct kvmsb_http_cache *policy)
{
	struct host *host = begin(context);

	host->policy = *policy;
	return host->policy_answer;
}

static void host_log(const struct kvmsb_http_context *context, const char *text, size_t length)
{
	struct host *host = begin(context);

	assert_true(host->log_length + length < sizeof(host->log));
	memcpy(host->log + host->log_length, text, length);
	host->log_length += length;
	host->log[host->log_length++] = '|';
	host->logs++;
}

static int64_t host_socket(const struct kvmsb_http_context *context, int descriptor,
                           const struct iovec *pieces, size_t count)
{
	struct host *host = begin(context);
	size_t before = host->sent_length;

	host->descriptors[host->sends++] = descriptor;
	host->piece_count = count;
	for (size_t i = 0; i < count; i++) {
		size_t taken = min_u64(pieces[i].iov_len, sizeof(host->sent) - host->sent_length);

		memcpy(host->sent + host->sent_length, pieces[i].iov_base, taken);
		host->sent_length += taken;
	}
	return host->answer != ANSWER_TRUTH ? host->answer : (int64_t)(host->sent_length - before);
}

static struct host *host_of(struct fake_guest *guest)
{
	return guest->http.ops.user;
}

static void begin_request(struct fake_guest *guest)
{
	static const struct kvmsb_http_field fields[] = {{"Host: example.org", 17}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	request.user = &host_of(guest)->user;
	guest->hypercalls.ready = true;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
}

/* A host without functions. */
static int set_up(void **state)
{
	struct fake_guest *guest = fake_guest_create();
	struct host *host = calloc(1, sizeof(*host));

	assert_non_null(host);
	host->guest = guest;
	host->answer = ANSWER_TRUTH;
	host->method = "PURGE";
	guest->http.ops.user = host;
	*state = guest;
	return 0;
}

static int set_up_request(void **state)
{
	set_up(state);
	begin_request(*state);
	return 0;
}

static void give_functions(struct fake_guest *guest)
{
	guest->http.ops = (struct kvmsb_http_ops){
		.user = host_of(guest),
		.header_find = host_find,
		.header_next = host_next,
		.header_append = host_append,
		.header_set = host_set,
		.header_unset = host_unset,
		.method = host_method,
		.cache_policy = host_policy,
		.log = host_log,
		.socket_write = host_socket,
	};
}

static int set_up_host(void **state)
{
	set_up(state);
	give_functions(*state);
	return 0;
}

static int set_up_host_request(void **state)
{
	set_up_request(state);
	give_functions(*state);
	return 0;
}

static int tear_down(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);

	fake_guest_destroy(guest);
	fields_clear(&host->fields[0]);
	fields_clear(&host->fields[1]);
	free(host);
	return 0;
}

/* ---- Header fields of the host's ---- */

static void test_host_keeps_the_fields(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	uint64_t out = FAKE_ARENA + 4096;

	/* The request's own are the library's to deliver, not to be found here. */
	assert_value(text_call(guest, FIND, 0, "host"), 0);
	assert_value(text_call(guest, APPEND, 0, "A: request"), 5);
	assert_value(text_call(guest, APPEND, 1, "A: response"), 5);
	assert_value(text_call(guest, APPEND, 5, "B: b"), 6);
	assert_value(text_call(guest, SET, 4, "a: other"), 5);
	assert_value(text_call(guest, SET, 5, "C: c"), 7);
	assert_value(text_call(guest, SET, 5, "b"), 6);
	assert_value(text_call(guest, SET, 5, "b"), 0);
	assert_int_equal(host->fields[0].count, 1);
	assert_int_equal(host->fields[1].count, 2);
	assert_string_equal(host->fields[1].field[1].text, "C: c");
	assert_value(CALL(guest, FIND, 0, fake_put_text(guest, "A"), 1, out, 64), 8);
	assert_memory_equal(fake_at(guest, out), "a: other", 9);
	assert_value(CALL(guest, FIND, 0, fake_put_text(guest, "A"), 1, 0, 0), 8);
	assert_value(CALL(guest, FIND, 0, fake_put_text(guest, "A"), 1, out, 7), 0);
	assert_int_equal(CALL(guest, RESPOND, 200).action, HYPERCALL_STOP);
	assert_int_equal(response_of(guest).field_count, 0);
}

struct extra {
	uint64_t fields;
	uint16_t count;
	uint8_t cached, unused;
	float ttl, grace, keep;
};

static struct answer respond_with_extra(struct fake_guest *guest, uint64_t address)
{
	return CALL(guest, RESPOND, 200, 0, 0, 0, 0, address);
}

static void test_extra_fields_go_to_the_host(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	const uint64_t fields[2][2] = {{fake_put_text(guest, "A: a"), 4},
	                               {fake_put_text(guest, "B: b"), 4}};
	const struct extra extra = {.fields = fake_put(guest, fields, sizeof(fields)), .count = 2};
	const uint64_t address = fake_put(guest, &extra, sizeof(extra));

	assert_int_equal(CALL(guest, APPEND, 1, fields[1][0], 4).action, HYPERCALL_CONTINUE);
	assert_int_equal(respond_with_extra(guest, address).action, HYPERCALL_STOP);
	assert_int_equal(host->fields[1].count, 2);
	host->answer = -ENOSPC;
	assert_denied(guest, respond_with_extra(guest, address),
	              "Too many headers in BackendResponseExtra");
}

/* What could split a response never reaches the host. */
static void test_rules_come_before_the_host(void **state)
{
	static const char *const texts[] = {"A: b\r\nC: d", "A: \nb", "A\r: b", "A:b c",
	                                    "no colon",     ": xyz",  "A: b ",  "A: \x01"};
	struct fake_guest *guest = *state;
	uint64_t nul = fake_put(guest, "A: b\0c", 6);

	assert_int_equal(CALL(guest, APPEND, 1, nul, 6).action, HYPERCALL_DENIED);
	assert_int_equal(CALL(guest, SET, 1, nul, 6).action, HYPERCALL_DENIED);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(text_call(guest, APPEND, 1, texts[i]).action, HYPERCALL_DENIED);
		assert_int_equal(text_call(guest, SET, 1, texts[i]).action, HYPERCALL_DENIED);
	}
	assert_int_equal(text_call(guest, FIND, 1, "a:").action, HYPERCALL_DENIED);
	assert_value(text_call(guest, FIND, 1, "a\r\nb"), 0);
	assert_value(text_call(guest, SET, 1, "a\r\nb"), 0);
	assert_denied(guest, text_call(guest, APPEND, 2, "A: b"),
	              "Selected HTTP not available at this time: 2");
	assert_int_equal(host_of(guest)->calls, 0);
}

static void test_host_needs_a_request(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, text_call(guest, APPEND, 1, "A: b"),
	              "Selected HTTP not available at this time: 1");
	assert_denied(guest, CALL(guest, METHOD, 0, 0),
	              "Selected HTTP not available at this time: 4");
	assert_denied(guest, CALL(guest, CACHEABLE, 1, 1, 1, 1), "CTX was null");
	assert_int_equal(host_of(guest)->calls, 0);
}

static void test_host_has_no_room(void **state)
{
	struct fake_guest *guest = *state;

	host_of(guest)->answer = -ENOSPC;
	assert_value(text_call(guest, APPEND, 1, "A: b"), NO_ROOM);
	assert_value(text_call(guest, SET, 1, "A: b"), NO_ROOM);
	/* Nobody knows that before the host is asked. */
	assert_denied(guest, text_call(guest, APPEND, 1, "A:b c"),
	              "HTTP header field colon has no space after");
}

/* How many came with the request says nothing of the host's list. */
static void test_host_has_room(void **state)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_field fields[FIELDS_MAXIMUM];
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = (struct kvmsb_http_field){"A: b", 4};
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	request.user = &host_of(guest)->user;
	assert_int_equal(hypercalls_begin(&guest->hypercalls, &request), 0);
	assert_value(text_call(guest, APPEND, 0, "A: b"), 5);
}

static void assert_failed(struct fake_guest *guest, struct answer answer, const char *function)
{
	char text[64];

	snprintf(text, sizeof(text), ": the host's %s failed: ", function);
	assert_int_equal(answer.action, HYPERCALL_DENIED);
	assert_non_null(strstr(guest->hypercalls.detail, text));
}

static void test_nonsense_of_the_host_is_denied(void **state)
{
	static const int64_t nonsense[] = {
		HEADER_STORE_POSITIONS,
		UINT32_MAX,
		INT64_MAX,
		-EIO,
		-EPERM,
		-ENOMEM,
		-EINTR,
		INT64_MIN,
	};
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);

	host->field = (struct kvmsb_http_field){"A: b", 4};
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		host->answer = nonsense[i];
		assert_failed(guest, text_call(guest, FIND, 1, "a"), "header_find");
		assert_failed(guest, text_call(guest, APPEND, 1, "A: b"), "header_append");
		assert_failed(guest, text_call(guest, SET, 1, "A: b"), "header_set");
		assert_failed(guest, text_call(guest, SET, 1, "A"), "header_unset");
	}
	host->answer = -ENOSPC;
	assert_failed(guest, text_call(guest, FIND, 1, "a"), "header_find");
	assert_failed(guest, text_call(guest, SET, 1, "A"), "header_unset");
	host->answer = -ENOENT;
	assert_failed(guest, text_call(guest, APPEND, 1, "A: b"), "header_append");
	assert_failed(guest, text_call(guest, SET, 1, "A: b"), "header_set");
	host->answer = HEADER_STORE_POSITIONS - 1;
	assert_value(text_call(guest, APPEND, 1, "A: b"), 5 + HEADER_STORE_POSITIONS - 1);
	assert_value(text_call(guest, FIND, 1, "a"), 4);
}

static char too_long[FIELD_LENGTH_MAXIMUM + 1];

static const struct kvmsb_http_field no_fields[] = {
	{NULL, 0},     {NULL, 4},    {too_long, sizeof(too_long)}, {"A: b\r\nC: d", 10},
	{"A: \0b", 5}, {"A: \n", 4},
};

static void test_what_is_no_field_is_denied(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);

	host->answer = 0;
	memset(too_long, 'x', sizeof(too_long));
	for (size_t i = 0; i < ARRAY_SIZE(no_fields); i++) {
		host->field = no_fields[i];
		assert_denied(guest, text_call(guest, FIND, 1, "a"),
		              "sys_http_find: the host's header_find gave no field");
	}
}

/* ---- Walking fields ---- */

static struct call own_call(struct fake_guest *guest)
{
	return (struct call){
		.hypercalls = &guest->hypercalls, .process = &guest->process, .name = "walk"};
}

static void test_all_fields_are_visited(void **state)
{
	struct fake_guest *guest = *state;
	struct call call = own_call(guest);
	char *text;
	size_t length;

	for (unsigned i = 0; i < 2; i++) {
		text_call(guest, APPEND, 1, "A: a");
		text_call(guest, APPEND, 1, "B: bb");
		assert_int_equal(header_store_next(&call, KVMSB_HTTP_RESPONSE, 0, &text, &length), 0);
		assert_string_equal(text, "A: a");
		free(text);
		assert_int_equal(header_store_next(&call, KVMSB_HTTP_RESPONSE, 1, &text, &length), 1);
		assert_string_equal(text, "B: bb");
		assert_int_equal(length, 5);
		free(text);
		assert_int_equal(header_store_next(&call, KVMSB_HTTP_RESPONSE, 2, &text, &length),
		                 -ENOENT);
		assert_int_equal(
			header_store_next(&call, KVMSB_HTTP_RESPONSE, SIZE_MAX, &text, &length),
			-ENOENT);
		give_functions(guest);
	}
	assert_int_equal(host_of(guest)->calls, 5);
}

/* A host whose list has no end. */
static void test_walking_ends(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	struct call call = own_call(guest);
	size_t position = 0, length;
	char *text;

	host->answer = 0;
	host->field = (struct kvmsb_http_field){"A: b", 4};
	while (header_store_next(&call, KVMSB_HTTP_REQUEST, position, &text, &length) >= 0) {
		free(text);
		position++;
	}
	assert_int_equal(position, HEADER_STORE_POSITIONS);
	for (size_t i = 0; i < ARRAY_SIZE(no_fields); i++) {
		host->field = no_fields[i];
		assert_int_equal(header_store_next(&call, KVMSB_HTTP_REQUEST, 0, &text, &length),
		                 -EPERM);
		assert_string_equal(guest->hypercalls.detail,
		                    "walk: the host's header_next gave no field");
	}
	host->answer = -EIO;
	assert_int_equal(header_store_next(&call, KVMSB_HTTP_REQUEST, 0, &text, &length), -EPERM);
}

/* ---- Method ---- */

static void test_method_of_the_host(void **state)
{
	static const char *const wrong[] = {NULL, "", "GE T", "GET\r\n",
	                                    "12345678901234567890123456789012"};
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	uint64_t out = fake_put(guest, "xxxxxxxx", 8);

	assert_value(CALL(guest, METHOD, 0, 0), 5);
	assert_value(CALL(guest, METHOD, out, 4), 0);
	assert_value(CALL(guest, METHOD, out, 5), 5);
	assert_memory_equal(fake_at(guest, out), "PURGEx", 6);
	host->method = "1234567890123456789012345678901";
	assert_value(CALL(guest, METHOD, 0, 0), 31);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		host->method = wrong[i];
		assert_denied(guest, CALL(guest, METHOD, 0, 0),
		              "sys_http_method: the host's function gave no method");
	}
}

/* ---- Caching ---- */

static void assert_cache(struct fake_guest *guest, int cacheable, double ttl, double grace,
                         double keep)
{
	const struct kvmsb_http_cache *cache = &guest->hypercalls.exchange->cache;

	assert_int_equal(cache->is_set, 1);
	assert_int_equal(cache->cacheable, cacheable);
	assert_true(cache->ttl == ttl);
	assert_true(cache->grace == grace);
	assert_true(cache->keep == keep);
}

static void test_cacheable_is_noted(void **state)
{
	struct fake_guest *guest = *state;
	struct kvmsb_http_response response;

	CALL(guest, RESPOND, 200);
	assert_int_equal(response_of(guest).cache.is_set, 0);
	assert_value(CALL(guest, CACHEABLE, 1, 1500, 1, 60000), 0);
	assert_cache(guest, 1, 1.5, 0.001, 60);
	/* It is a bool: what lies above it is anything. */
	assert_value(CALL(guest, CACHEABLE, 0xab00, 1000, 0, 0), 0);
	assert_cache(guest, 0, 1, 0, 0);
	CALL(guest, RESPOND, 200);
	response = response_of(guest);
	assert_int_equal(response.cache.is_set, 1);
	assert_int_equal(response.cache.cacheable, 0);
	begin_request(guest);
	CALL(guest, RESPOND, 200);
	assert_int_equal(response_of(guest).cache.is_set, 0);
}

static void test_times_are_made_sound(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, CACHEABLE, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63), 0);
	assert_cache(guest, 1, 0, 2147483648.0, 0);
	assert_value(CALL(guest, CACHEABLE, 1, 2147483648000, 2147483647999, 2147483648001), 0);
	assert_cache(guest, 1, 2147483648.0, 2147483647.999, 2147483648.0);
}

static void test_what_is_uncacheable_stays_so(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, CACHEABLE, 0, 1000, 0, 0), 0);
	assert_int_equal(guest->log_length, 0);
	assert_value(CALL(guest, CACHEABLE, 1, 2000, 0, 0), 0);
	assert_cache(guest, 0, 2, 0, 0);
	guest->log[guest->log_length] = '\0';
	assert_string_equal(guest->log, "guest: Ignoring attempt to reset beresp.uncacheable\n");
}

static void test_host_hears_of_caching(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);

	assert_value(CALL(guest, CACHEABLE, 1, 2000, 3000, UINT64_MAX), 0);
	assert_int_equal(host->policy.is_set, 1);
	assert_int_equal(host->policy.cacheable, 1);
	assert_true(host->policy.ttl == 2 && host->policy.grace == 3 && host->policy.keep == 0);
	host->policy_answer = -1;
	assert_value(CALL(guest, CACHEABLE, 1, 4000, 0, 0), UINT64_MAX);
	assert_cache(guest, 1, 4, 0, 0);
	host->policy_answer = 17;
	assert_value(CALL(guest, CACHEABLE, 1, 4000, 0, 0), UINT64_MAX);
}

static struct answer respond_cached(struct fake_guest *guest, float ttl, float grace, float keep)
{
	const struct extra extra = {
		.fields = 0x1000, .cached = 1, .ttl = ttl, .grace = grace, .keep = keep};

	return respond_with_extra(guest, fake_put(guest, &extra, sizeof(extra)));
}

static void test_extra_says_how_to_cache(void **state)
{
	struct fake_guest *guest = *state;

	assert_int_equal(respond_cached(guest, 1.5f, 2, 3).action, HYPERCALL_STOP);
	assert_cache(guest, 1, 1.5, 2, 3);
	assert_int_equal(respond_cached(guest, NAN, -1, INFINITY).action, HYPERCALL_STOP);
	assert_cache(guest, 1, 0, 0, 2147483648.0);
	assert_int_equal(respond_cached(guest, -INFINITY, -0.0f, 1e38f).action, HYPERCALL_STOP);
	assert_cache(guest, 1, 0, 0, 2147483648.0);
	CALL(guest, CACHEABLE, 0, 0, 0, 0);
	assert_int_equal(respond_cached(guest, 1, 2, 3).action, HYPERCALL_STOP);
	assert_cache(guest, 0, 1, 2, 3);
}

/* Bindings differ in what lies behind: it need not even be there. */
static void test_extra_may_be_short(void **state)
{
	struct fake_guest *guest = *state;
	struct extra extra = {.fields = 0x1000, .ttl = 1, .grace = 2, .keep = 3};
	const uint64_t last = FAKE_NO_MEMORY;

	memcpy(fake_at(guest, last - 16), &extra, 16);
	assert_int_equal(respond_with_extra(guest, last - 16).action, HYPERCALL_STOP);
	assert_int_equal(response_of(guest).cache.is_set, 0);
	extra.cached = 0xff;
	memcpy(fake_at(guest, last - 24), &extra, 24);
	assert_int_equal(respond_with_extra(guest, last - 24).action, HYPERCALL_STOP);
	assert_cache(guest, 1, 1, 2, 3);
	/* What says that it is to be cached has to say how long. */
	memcpy(fake_at(guest, last - 23), &extra, 23);
	respond_with_extra(guest, last - 23);
	assert_int_equal(guest->process.end, PROCESS_OUT_OF_MEMORY);
}

/* ---- Log ---- */

static struct answer log_text(struct fake_guest *guest, const char *text)
{
	fake_rewind(guest);
	return CALL(guest, LOG, fake_put_text(guest, text), strlen(text));
}

static void assert_host_log(struct fake_guest *guest, const char *texts)
{
	struct host *host = host_of(guest);

	assert_int_equal(host->log_length, strlen(texts));
	assert_memory_equal(host->log, texts, host->log_length);
}

static void test_host_logs(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(log_text(guest, "one\n"), UNCHANGED);
	assert_value(log_text(guest, "two\n\n"), UNCHANGED);
	assert_value(log_text(guest, "three"), UNCHANGED);
	assert_value(log_text(guest, "\n"), UNCHANGED);
	assert_value(log_text(guest, ""), UNCHANGED);
	assert_host_log(guest, "one|two\n|three||");
	begin_request(guest);
	assert_value(CALL(guest, LOG, fake_put(guest, "a\0b\n", 4), 4), UNCHANGED);
	assert_memory_equal(host_of(guest)->log + 16, "a\0b|", 4);
	assert_int_equal(guest->log_length, 0);
}

#define LIMIT_TEXT "(log limit reached: what follows is dropped)"

static void test_log_of_a_run_is_limited(void **state)
{
	struct fake_guest *guest = *state;

	guest->http.log_limit = 10;
	log_text(guest, "12345");
	log_text(guest, "6789\n");
	assert_host_log(guest, "12345|6789|");
	assert_value(log_text(guest, "more"), UNCHANGED);
	assert_host_log(guest, "12345|6789|" LIMIT_TEXT "|");
	guest->read = 0;
	assert_value(log_text(guest, "more"), UNCHANGED);
	/* It is not even looked at. */
	assert_value(CALL(guest, LOG, UINT64_MAX, 0xffff), UNCHANGED);
	assert_int_equal(guest->read, 0);
	assert_int_equal(host_of(guest)->logs, 3);
	/* A call that is no request is a run of its own. */
	hypercalls_end(&guest->hypercalls);
	log_text(guest, "again");
	assert_int_equal(host_of(guest)->logs, 4);
}

static void test_log_of_a_request_is_limited(void **state)
{
	struct fake_guest *guest = *state;

	guest->http.log_limit = 6;
	log_text(guest, "main");
	begin_request(guest);
	log_text(guest, "1234");
	/* As much of it as there is room for. */
	log_text(guest, "56789");
	log_text(guest, "x");
	assert_host_log(guest, "main|1234|56|" LIMIT_TEXT "|");
	begin_request(guest);
	log_text(guest, "123456");
	assert_host_log(guest, "main|1234|56|" LIMIT_TEXT "|123456|");
}

static void test_log_on_the_stream_is_limited(void **state)
{
	struct fake_guest *guest = *state;

	guest->http.log_limit = 6;
	log_text(guest, "1234567");
	log_text(guest, "8");
	guest->log[guest->log_length] = '\0';
	assert_string_equal(guest->log, "123456\n" LIMIT_TEXT "\n");
	assert_int_equal(guest->callbacks, 2);
}

static void test_a_flood_costs_the_host_nothing(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t text = fake_put_text(guest, "0123456789abcdef");
	int callbacks;

	guest->http.log_limit = 1000;
	for (unsigned i = 0; i < 100; i++)
		CALL(guest, LOG, text, 16);
	callbacks = guest->callbacks;
	for (unsigned i = 0; i < 1000000; i++)
		CALL(guest, i % 2 == 0 ? LOG : 0x10003, text, 16);
	assert_int_equal(guest->callbacks, callbacks);
	assert_int_equal(host_of(guest)->logs, 64);
}

/* What a mistake means is said in the guest's log. */
static void test_unknown_numbers_are_logged(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, 0x10003, 0), (uint64_t)-ENOSYS);
	assert_value(CALL(guest, UINT32_MAX, 0), (uint64_t)-ENOSYS);
	assert_host_log(guest, "guest: Unhandled system call 65539|"
	                       "guest: Unhandled system call 4294967295|");
}

/* ---- Keeping state between requests ---- */

static void test_ephemeral_is_the_hosts_to_allow(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, EPHEMERAL, 0), UINT64_MAX);
	assert_false(guest->hypercalls.persistent);
	assert_host_log(guest, "guest: Cannot change ephemeralness. Option 'control_ephemeral' not "
	                       "enabled|");
	guest->http.flags = KVMSB_HTTP_CONTROL_EPHEMERAL;
	assert_value(CALL(guest, EPHEMERAL, 0), 0);
	assert_true(guest->hypercalls.persistent);
	assert_value(CALL(guest, EPHEMERAL, 1), 0);
	assert_false(guest->hypercalls.persistent);
	/* It is an int. */
	assert_value(CALL(guest, EPHEMERAL, UINT64_C(1) << 32), 0);
	assert_true(guest->hypercalls.persistent);
	CALL(guest, WAIT, 0);
	assert_denied(guest, CALL(guest, EPHEMERAL, 1),
	              "Cannot change ephemeralness after initialization");
	assert_true(guest->hypercalls.persistent);
	assert_int_equal(host_of(guest)->logs, 1);
}

static void test_program_describes_itself(void **state)
{
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;
	struct fake_guest *guest = *state;

	assert_int_equal(hypercalls_program(&guest->hypercalls, &program), -EINVAL);
	guest->http.flags = KVMSB_HTTP_CONTROL_EPHEMERAL;
	for (uint64_t i = 0; i < 13; i++)
		CALL(guest, REGISTER, i, 0x400000 + i);
	CALL(guest, WAIT, 0);
	assert_int_equal(hypercalls_program(&guest->hypercalls, &program), 0);
	for (uint64_t i = 0; i < 13; i++)
		assert_int_equal(program.handlers[i], 0x400000 + i);
	assert_int_equal(program.is_ephemeral, 1);
	assert_int_equal(program.is_paused, 0);
	guest->hypercalls.persistent = true;
	assert_int_equal(hypercalls_program(&guest->hypercalls, &program), 0);
	assert_int_equal(program.is_ephemeral, 0);
	program.size = 4;
	assert_int_equal(hypercalls_program(&guest->hypercalls, &program), -EINVAL);
}

/* ---- What there is not ---- */

static void test_there_is_no_storage(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, CALL(guest, STORAGE_CALL, 0x400000, 64, FAKE_ARENA, 0, 0),
	              "Storage not initialized");
	assert_value(CALL(guest, STORAGE_CALL, 0x400000, 65, FAKE_ARENA, 0, 0), UINT64_MAX);
	assert_value(CALL(guest, STORAGE_CALL, 0x400000, UINT64_MAX, 0, 0, 0), UINT64_MAX);
	assert_denied(guest, CALL(guest, TASK, 0x400000, FAKE_ARENA, 2 << 20, 0, 0),
	              "Storage not initialized");
	assert_denied(guest, CALL(guest, TASK, 0x400000, FAKE_ARENA, (2 << 20) + 1, 0, 0),
	              "String buffer too large");
	assert_denied(guest, CALL(guest, TASK, 0x400000, FAKE_ARENA, UINT64_MAX, 1, 1),
	              "String buffer too large");
}

static void test_timers_have_numbers(void **state)
{
	struct fake_guest *guest = *state;
	struct hypercalls fork;

	assert_value(CALL(guest, STOP_TASK, 0), 0);
	/* One that runs once is over. */
	assert_value(CALL(guest, TASK, 0x400000, 0, 0, 5, 0), 0);
	for (uint64_t i = 0; i < 15; i++)
		assert_value(CALL(guest, TASK, 0x400000, 0, 0, 0, 1), i);
	assert_value(CALL(guest, TASK, 0x400000, 0, 0, 0, 1), UINT64_MAX);
	assert_value(CALL(guest, TASK, 0x400000, 0, 0, 1, 0), UINT64_MAX);
	assert_value(CALL(guest, STOP_TASK, 14), 1);
	assert_value(CALL(guest, STOP_TASK, 3), 1);
	assert_value(CALL(guest, STOP_TASK, 3), 1);
	assert_value(CALL(guest, STOP_TASK, 15), 0);
	assert_value(CALL(guest, STOP_TASK, UINT64_MAX), 0);
	assert_value(CALL(guest, TASK, 0x400000, 0, 0, 0, 1), 3);
	hypercalls_fork(&fork, &guest->hypercalls);
	assert_int_equal(fork.timers, (1 << 14) - 1);
	assert_int_equal(fork.timers_known, 15);
}

static void test_storage_return_stops(void **state)
{
	static const uint32_t numbers[] = {STORAGE_RETURN, STORAGE_NORETURN};
	struct fake_guest *guest = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		guest->hypercalls.ready = false;
		assert_denied(guest, CALL(guest, numbers[i], 1, 2),
		              "Program did not wait for requests");
		guest->hypercalls.ready = true;
		assert_int_equal(CALL(guest, numbers[i], UINT64_MAX, 2).action, HYPERCALL_STOP);
	}
	begin_request(guest);
	assert_int_equal(CALL(guest, STORAGE_RETURN, 1, 2).action, HYPERCALL_STOP);
	assert_int_equal(response_of(guest).status, 0);
}

static void test_there_is_one_processor(void **state)
{
	struct fake_guest *guest = *state;

	assert_value(CALL(guest, MULTIPROCESS, 2, 0x400000), UINT64_MAX);
	assert_value(CALL(guest, MULTIPROCESS_ARRAY, 0, 0), UINT64_MAX);
	assert_value(CALL(guest, MULTIPROCESS_CLONE, UINT64_MAX), UINT64_MAX);
	assert_host_log(guest, "guest: multiprocess(): there is one processor|"
	                       "guest: multiprocess_array(): there is one processor|"
	                       "guest: multiprocess_clone(): there is one processor|");
}

static void test_there_is_no_debugger(void **state)
{
	struct fake_guest *guest = *state;

	assert_denied(guest, CALL(guest, BREAKPOINT, 0), "CTX was null");
	begin_request(guest);
	assert_value(CALL(guest, BREAKPOINT, 0), UNCHANGED);
	assert_host_log(guest, "guest: sys_breakpoint(): no debugger listens|");
}

/* ---- Sockets ---- */

struct event {
	int32_t descriptor, event;
	uint64_t remote, argument, data, length;
};

static struct event *put_event(struct fake_guest *guest, int event, uint64_t data, uint64_t length,
                               uint64_t *address)
{
	const struct event own = {.descriptor = 7, .event = event, .data = data, .length = length};

	*address = fake_put(guest, &own, sizeof(own));
	return fake_at(guest, *address);
}

static void test_sockets_get_the_data_where_it_is(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	uint64_t data = FAKE_ARENA + 0x2f00, address;
	struct event *event = put_event(guest, 2, data, 0x1200, &address);

	memset(fake_at(guest, data), 'd', 0x1200);
	assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
	assert_int_equal(event->descriptor, 0x1200);
	assert_int_equal(host->descriptors[0], 7);
	assert_int_equal(host->sent_length, 0x1200);
	assert_int_equal(host->piece_count, 3);
	assert_memory_equal(host->sent, fake_at(guest, data), 0x1200);
	/* From what can only be read; and not all of it at once. */
	event->data = FAKE_READ_ONLY;
	event->length = 8;
	assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
	assert_int_equal(event->descriptor, 8);
	event->data = FAKE_ARENA;
	event->length = FAKE_ARENA_SIZE;
	host->answer = 5;
	assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
	assert_int_equal(event->descriptor, 5);
}

static void test_only_writable_events_are_written(void **state)
{
	static const int32_t others[] = {0, 1, 3, -1, INT32_MAX, 258};
	struct fake_guest *guest = *state;
	uint64_t address;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct event *event = put_event(guest, others[i], UINT64_MAX, UINT64_MAX, &address);

		assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
		assert_int_equal(event->descriptor, 7);
	}
	assert_int_equal(host_of(guest)->sends, 0);
}

static void test_number_of_events_is_bounded(void **state)
{
	struct fake_guest *guest = *state;
	struct host *host = host_of(guest);
	struct event events[33];
	uint64_t address;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = (struct event){
			.descriptor = (int32_t)(100 + i), .event = 2, .data = FAKE_ARENA, .length = 1};
	address = fake_put(guest, events, sizeof(events));
	assert_value(CALL(guest, SOCKETS, address, 0), UNCHANGED);
	assert_int_equal(host->sends, 1);
	assert_value(CALL(guest, SOCKETS, address, UINT64_MAX), UNCHANGED);
	assert_int_equal(host->sends, 33);
	assert_int_equal(host->descriptors[32], 131);
	memcpy(events, fake_at(guest, address), sizeof(events));
	assert_int_equal(events[31].descriptor, 1);
	assert_int_equal(events[32].descriptor, 132);
}

static void test_answers_of_sockets(void **state)
{
	static const struct {
		int64_t answer;
		int32_t descriptor;
	} rows[] = {
		{4, 4},
		{3, 3},
		{0, 0},
		{-EAGAIN, 7},
		{-EPIPE, -EPIPE},
		{5, -EIO},
		{-4095, -4095},
		{-4096, -EIO},
		{INT64_MIN, -EIO},
		{INT64_MAX, -EIO},
		{1L << 32, -EIO},
	};
	struct fake_guest *guest = *state;
	uint64_t address;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event *event = put_event(guest, 2, FAKE_ARENA, 4, &address);

		host_of(guest)->answer = rows[i].answer;
		assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
		assert_int_equal(event->descriptor, rows[i].descriptor);
	}
}

static void test_nothing_to_write(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t address;
	struct event *event = put_event(guest, 2, UINT64_MAX, 0, &address);

	assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
	assert_int_equal(event->descriptor, 0);
	assert_int_equal(host_of(guest)->piece_count, 0);
}

static void test_hostile_events_are_denied(void **state)
{
	static const uint64_t wrong[][2] = {
		{0, 1},
		{FAKE_ARENA - 1, 2},
		{FAKE_END, 1},
		{LAYOUT_USER_END - 1, 2},
		{LAYOUT_KERNEL_TEXT, 1},
		{UINT64_MAX, 2},
		{FAKE_ARENA, UINT64_MAX},
		{FAKE_ARENA, INT64_MAX},
	};
	struct fake_guest *guest = *state;
	uint64_t address;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		put_event(guest, 2, wrong[i][0], wrong[i][1], &address);
		assert_unreadable(guest, CALL(guest, SOCKETS, address, 1));
		assert_unreadable(guest, CALL(guest, SOCKETS, wrong[i][0], 32));
	}
	assert_int_equal(host_of(guest)->sends, 0);
	/* The answer has nowhere to go. */
	memcpy(fake_at(guest, FAKE_READ_ONLY), fake_at(guest, address), sizeof(struct event));
	((struct event *)fake_at(guest, FAKE_READ_ONLY))->length = 1;
	assert_denied(guest, CALL(guest, SOCKETS, FAKE_READ_ONLY, 1),
	              "writable_page_at: sys_sockets_write: cannot write 4 bytes at 0x600000");
	put_event(guest, 2, FAKE_NO_MEMORY, 1, &address);
	CALL(guest, SOCKETS, address, 1);
	assert_int_equal(guest->process.end, PROCESS_OUT_OF_MEMORY);
}

static void test_host_without_sockets(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t address;
	struct event *event = put_event(guest, 2, FAKE_ARENA, 4, &address);

	assert_value(CALL(guest, SOCKETS, address, 1), UNCHANGED);
	assert_int_equal(event->descriptor, -ENOSYS);
}

/* ---- Functions that end the run ---- */

static int end_the_run(struct process *process)
{
	struct fake_guest *guest = container_of(process, struct fake_guest, process);

	guest->in_callback = false;
	process->end = PROCESS_CANCELLED;
	return -ECANCELED;
}

static void assert_over(struct fake_guest *guest, struct answer answer)
{
	int calls = host_of(guest)->calls;

	assert_int_equal(answer.action, HYPERCALL_CONTINUE);
	assert_int_equal(guest->process.end, PROCESS_CANCELLED);
	/* None is called any more. */
	text_call(guest, FIND, 1, "a");
	CALL(guest, METHOD, 0, 0);
	CALL(guest, CACHEABLE, 1, 1, 1, 1);
	log_text(guest, "text");
	assert_int_equal(host_of(guest)->calls, calls);
	guest->process.end = PROCESS_RUNS;
}

static void test_a_sandbox_is_destroyed_by_its_host(void **state)
{
	struct fake_guest *guest = *state;
	uint64_t address;

	guest->process.callback_end = end_the_run;
	assert_over(guest, text_call(guest, FIND, 1, "a"));
	assert_over(guest, text_call(guest, APPEND, 1, "A: b"));
	assert_over(guest, text_call(guest, SET, 1, "A: b"));
	assert_over(guest, text_call(guest, SET, 1, "A"));
	assert_over(guest, CALL(guest, METHOD, 0, 0));
	assert_over(guest, CALL(guest, CACHEABLE, 1, 1, 1, 1));
	assert_over(guest, log_text(guest, "text"));
	put_event(guest, 2, FAKE_ARENA, 1, &address);
	assert_over(guest, CALL(guest, SOCKETS, address, 1));
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
	static const uint64_t interesting[] = {
		0,
		1,
		2,
		4,
		5,
		32,
		200,
		0xffff,
		FAKE_ARENA,
		FAKE_ARENA + 40,
		FAKE_ARENA_END - 8,
		FAKE_READ_ONLY,
		FAKE_NO_MEMORY,
		LAYOUT_USER_END - 8,
		UINT64_MAX,
	};
	uint64_t choice = random_number() % (ARRAY_SIZE(interesting) + 1);

	return choice < ARRAY_SIZE(interesting) ? interesting[choice]
	                                        : random_number() >> (random_number() % 64);
}

/* Events and the texts of fields, in random order. */
static void fill(struct fake_guest *guest)
{
	static const char texts[] = "A: bHost: c\0\r\n :x\2\0\0\0";
	char *memory = fake_at(guest, FAKE_ARENA);

	for (size_t i = 0; i < 4096; i++)
		memory[i] = texts[random_number() % (sizeof(texts) - 1)];
}

static void lie(struct host *host)
{
	static const int64_t answers[] = {ANSWER_TRUTH, ANSWER_TRUTH, 0,        1,
	                                  65535,        65536,        -ENOENT,  -ENOSPC,
	                                  -EAGAIN,      INT64_MAX,    INT64_MIN};

	host->answer = answers[random_number() % ARRAY_SIZE(answers)];
	host->field = no_fields[random_number() % ARRAY_SIZE(no_fields)];
	host->policy_answer = (int)random_number();
	host->log_length = 0;
	host->sent_length = 0;
	host->sends = 0;
}

static void test_random_calls_and_hosts_do_no_harm(void **state)
{
	static const uint32_t numbers[] = {CACHEABLE, RESPOND, APPEND, SET,       FIND,
	                                   METHOD,    SOCKETS, TASK,   STOP_TASK, LOG};
	struct fake_guest *guest = *state;

	for (unsigned round = 0; round < 20000; round++) {
		uint64_t arguments[6];

		if (round % 64 == 0)
			fill(guest);
		for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
			arguments[i] = random_argument();
		lie(host_of(guest));
		guest->process.end = PROCESS_RUNS;
		call(guest, numbers[random_number() % ARRAY_SIZE(numbers)], arguments);
		assert_int_equal(response_of(guest).field_count, 0);
	}
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define REQUESTED(test) cmocka_unit_test_setup_teardown(test, set_up_request, tear_down)
#define HOSTED(test) cmocka_unit_test_setup_teardown(test, set_up_host, tear_down)
#define BOTH(test) cmocka_unit_test_setup_teardown(test, set_up_host_request, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_host_keeps_the_fields),
		BOTH(test_extra_fields_go_to_the_host),
		BOTH(test_rules_come_before_the_host),
		HOSTED(test_host_needs_a_request),
		BOTH(test_host_has_room),
		BOTH(test_host_has_no_room),
		BOTH(test_nonsense_of_the_host_is_denied),
		BOTH(test_what_is_no_field_is_denied),
		REQUESTED(test_all_fields_are_visited),
		BOTH(test_walking_ends),
		BOTH(test_method_of_the_host),
		REQUESTED(test_cacheable_is_noted),
		REQUESTED(test_times_are_made_sound),
		REQUESTED(test_what_is_uncacheable_stays_so),
		BOTH(test_host_hears_of_caching),
		REQUESTED(test_extra_says_how_to_cache),
		REQUESTED(test_extra_may_be_short),
		HOSTED(test_host_logs),
		HOSTED(test_log_of_a_run_is_limited),
		HOSTED(test_log_of_a_request_is_limited),
		PLAIN(test_log_on_the_stream_is_limited),
		HOSTED(test_a_flood_costs_the_host_nothing),
		HOSTED(test_unknown_numbers_are_logged),
		HOSTED(test_ephemeral_is_the_hosts_to_allow),
		PLAIN(test_program_describes_itself),
		PLAIN(test_there_is_no_storage),
		PLAIN(test_timers_have_numbers),
		PLAIN(test_storage_return_stops),
		HOSTED(test_there_is_one_processor),
		HOSTED(test_there_is_no_debugger),
		HOSTED(test_sockets_get_the_data_where_it_is),
		HOSTED(test_only_writable_events_are_written),
		HOSTED(test_number_of_events_is_bounded),
		HOSTED(test_answers_of_sockets),
		HOSTED(test_nothing_to_write),
		HOSTED(test_hostile_events_are_denied),
		PLAIN(test_host_without_sockets),
		BOTH(test_a_sandbox_is_destroyed_by_its_host),
		BOTH(test_random_calls_and_hosts_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
