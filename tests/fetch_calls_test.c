/* SPDX-License-Identifier: MIT */
/*
 * sys_fetch and sys_request: what the host's function is given, where its
 * answer goes, and what is left when anything fails. The guest's structures are
 * those of guest/kvm_api.h.
 */
#include "failing_allocations.h"
#include "fake_api_guest.h"

#include "http/fetch_answer.h"
#include "kvm_api.h"
#include "layout.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FETCH 0x20000u
#define REQUEST 0x20001u
#define UNCHANGED UINT64_C(0x1122334455667788)
#define URL_MALFORMAT ((uint64_t)-3)
#define WRITE_ERROR ((uint64_t)-23)
#define DEADLINE UINT64_C(987654321)

struct piece {
	const void *data;
	size_t length;
	int wanted; /* what storing it is to return */
};

struct host {
	/* What it answers. */
	int code;
	uint32_t status;
	const char *type;
	struct piece head[4], body[4];
	bool silent;  /* it answers nothing at all */
	bool cancels; /* it destroys the sandbox */

	/* What it was given; texts are copies. */
	struct kvmsb_http_context context;
	unsigned calls, self_calls;
	struct kvmsb_fetch fetch;
	char url[2048], interface[512], fields[13][256];
	size_t field_lengths[13];
	uint8_t *body_given;
};

struct scene {
	struct fake_guest *guest;
	struct host host;
	struct curl_op op;
	uint64_t op_address, url_address, url_length;
	uint64_t fields, options;
};

/* ---- The host ---- */

static void keep(struct host *host, const struct kvmsb_fetch *fetch)
{
	host->fetch = *fetch;
	assert_int_equal(fetch->size, sizeof(*fetch));
	assert_int_equal(strlen(fetch->url), fetch->url_length);
	strcpy(host->url, fetch->url);
	assert_true(fetch->field_count <= ARRAY_SIZE(host->fields));
	for (size_t i = 0; i < fetch->field_count; i++) {
		assert_int_equal(strlen(fetch->fields[i].text), fetch->fields[i].length);
		strncpy(host->fields[i], fetch->fields[i].text, sizeof(host->fields[i]) - 1);
		host->field_lengths[i] = fetch->fields[i].length;
	}
	if (fetch->interface != NULL)
		strcpy(host->interface, fetch->interface);
	free(host->body_given);
	host->body_given = malloc(fetch->body_length + 1);
	for (size_t i = 0, done = 0; i < fetch->body_count && host->body_given != NULL; i++) {
		memcpy(host->body_given + done, fetch->body[i].iov_base, fetch->body[i].iov_len);
		done += fetch->body[i].iov_len;
	}
}

static void answer_with(const struct host *host, struct kvmsb_fetch_answer *answer)
{
	kvmsb_fetch_status(answer, host->status, host->type);
	for (size_t i = 0; i < ARRAY_SIZE(host->head) && host->head[i].data != NULL; i++)
		assert_int_equal(kvmsb_fetch_head(answer, host->head[i].data, host->head[i].length),
		                 host->head[i].wanted);
	for (size_t i = 0; i < ARRAY_SIZE(host->body) && host->body[i].data != NULL; i++)
		assert_int_equal(kvmsb_fetch_body(answer, host->body[i].data, host->body[i].length),
		                 host->body[i].wanted);
}

static struct fake_guest *guest_of(struct host *host)
{
	return container_of(host, struct scene, host)->guest;
}

static int fetch(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                 struct kvmsb_fetch_answer *answer)
{
	struct host *host = context->user;

	assert_true(guest_of(host)->in_callback);
	host->context = *context;
	host->calls++;
	keep(host, request);
	if (!host->silent)
		answer_with(host, answer);
	if (host->cancels)
		guest_of(host)->process.end = PROCESS_CANCELLED;
	return host->code;
}

static int self_request(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                        struct kvmsb_fetch_answer *answer)
{
	((struct host *)context->user)->self_calls++;
	return fetch(context, request, answer);
}

/* ---- The guest ---- */

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static uint64_t address_of(const void *guests)
{
	return (uint64_t)(uintptr_t)guests;
}

static void set_url(struct scene *scene, const void *url, size_t length)
{
	scene->url_address = fake_put(scene->guest, url, length);
	scene->url_length = length;
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->guest = fake_guest_create();
	scene->guest->process.deadline = DEADLINE;
	scene->guest->http.ops.user = &scene->host;
	scene->guest->http.ops.fetch = fetch;
	scene->guest->http.ops.self_request = self_request;
	scene->host.status = 200;
	scene->op_address = fake_put(scene->guest, &scene->op, sizeof(scene->op));
	set_url(scene, "http://a/", 9);
	/* Nothing is wanted but the status: no mapping is made by chance. */
	scene->op.content = pointer(FAKE_ARENA);
	scene->op.headers_length = 1;
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	free(scene->host.body_given);
	fake_guest_destroy(scene->guest);
	free(scene);
	return 0;
}

static enum hypercall_action run(struct scene *scene, uint32_t number, uint64_t *value)
{
	const uint64_t arguments[6] = {scene->url_address, scene->url_length, scene->op_address,
	                               scene->fields,      scene->options,    UNCHANGED};
	enum hypercall_action action;

	*value = UNCHANGED;
	action = hypercalls_run(&scene->guest->hypercalls, &scene->guest->process, number,
	                        arguments, value);
	assert_int_equal(action == HYPERCALL_DENIED, scene->guest->hypercalls.detail[0] != '\0');
	return action;
}

/* Writes the operation, calls, and reads it back: RAX. */
static uint64_t call(struct scene *scene, uint32_t number)
{
	uint64_t value;

	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	assert_int_equal(run(scene, number, &value), HYPERCALL_CONTINUE);
	assert_int_equal(scene->guest->process.end, PROCESS_RUNS);
	memcpy(&scene->op, fake_at(scene->guest, scene->op_address), sizeof(scene->op));
	return value;
}

/* It must end with RAX, with the operation as it was, and without a mapping. */
static void assert_fails(struct scene *scene, uint64_t wanted)
{
	const struct curl_op before = scene->op;

	assert_int_equal(call(scene, FETCH), wanted);
	assert_memory_equal(&scene->op, &before, sizeof(before));
	assert_int_equal(fake_mapping_count(scene->guest), 0);
}

static void assert_denied(struct scene *scene, const char *text)
{
	unsigned calls = scene->host.calls;
	uint64_t value;

	if (scene->op_address <= FAKE_ARENA_END - sizeof(scene->op))
		memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	assert_int_equal(run(scene, FETCH, &value), HYPERCALL_DENIED);
	if (strstr(scene->guest->hypercalls.detail, text) == NULL)
		fail_msg("denied for \"%s\", not \"%s\"", scene->guest->hypercalls.detail, text);
	assert_int_equal(scene->host.calls, calls);
	assert_int_equal(value, UNCHANGED);
	assert_int_equal(scene->guest->process.end, PROCESS_RUNS);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
}

/* ---- Which function ---- */

static void test_without_functions_there_is_nothing(void **state)
{
	struct scene *scene = *state;

	scene->guest->http.ops.fetch = NULL;
	assert_fails(scene, (uint64_t)-ENOSYS);
	assert_int_equal(call(scene, REQUEST), 0);
	scene->guest->http.ops.self_request = NULL;
	assert_int_equal(call(scene, REQUEST), (uint64_t)-ENOSYS);
	set_url(scene, "/path", 5);
	scene->guest->http.ops.fetch = fetch;
	assert_fails(scene, (uint64_t)-ENOSYS);
	assert_int_equal(scene->host.calls, 1);
}

static void test_paths_are_requests_to_the_host_itself(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.self_calls, 0);
	assert_int_equal(call(scene, REQUEST), 0);
	assert_int_equal(scene->host.self_calls, 1);
	assert_string_equal(scene->host.url, "http://a/");
	set_url(scene, "/p", 2);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(call(scene, REQUEST), 0);
	assert_int_equal(scene->host.self_calls, 3);
	assert_string_equal(scene->host.url, "/p");
}

static void test_context_is_of_the_request(void **state)
{
	struct scene *scene = *state;
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb *sandbox = (struct kvmsb *)(void *)scene;
	int user;

	scene->guest->process.sandbox = sandbox;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.context.size, sizeof(scene->host.context));
	assert_null(scene->host.context.request_user);
	assert_int_equal(scene->host.fetch.deadline_ns, DEADLINE);
	request.url = "/";
	request.user = &user;
	assert_int_equal(hypercalls_begin(&scene->guest->hypercalls, &request), 0);
	assert_int_equal(call(scene, FETCH), 0);
	assert_ptr_equal(scene->host.context.request_user, &user);
	assert_ptr_equal(scene->host.context.sandbox, sandbox);
	assert_int_equal(scene->guest->callbacks, 2);
}

/* ---- What is asked for ---- */

static void test_url_has_1_to_1024_bytes(void **state)
{
	struct scene *scene = *state;
	char url[1025];

	memset(url, 'u', sizeof(url));
	set_url(scene, url, 0);
	assert_fails(scene, URL_MALFORMAT);
	scene->url_address = 0;
	assert_fails(scene, URL_MALFORMAT);
	set_url(scene, url, 1024);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.url_length, 1024);
	assert_memory_equal(scene->host.url, url, 1024);
	set_url(scene, url, 1025);
	assert_denied(scene, "String buffer too large");
	scene->url_length = UINT64_MAX;
	assert_denied(scene, "String buffer too large");
	scene->url_length = UINT64_C(1) << 32;
	assert_denied(scene, "String buffer too large");
}

static void test_url_must_be_readable(void **state)
{
	static const uint64_t wrong[] = {0,
	                                 1,
	                                 FAKE_ARENA - 1,
	                                 FAKE_NO_MEMORY + 0x1000,
	                                 LAYOUT_USER_END,
	                                 LAYOUT_USER_END - 1,
	                                 UINT64_MAX,
	                                 UINT64_MAX - 4};
	struct scene *scene = *state;

	scene->url_length = 8;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		scene->url_address = wrong[i];
		assert_denied(scene, "sys_fetch: cannot read 8 bytes at");
	}
}

static void test_url_has_no_control_characters(void **state)
{
	static const char wrong[][10] = {"http://\r\n", "http://\n/",   "http://\0/",
	                                 "http://\t/",  "http://\x7f/", "\1ttp://a/"};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		set_url(scene, wrong[i], 9);
		assert_fails(scene, URL_MALFORMAT);
	}
	assert_int_equal(scene->host.calls, 0);
	set_url(scene, "\xc3\xa4 ~", 4);
	assert_int_equal(call(scene, FETCH), 0);
}

static void set_field(struct scene *scene, struct curl_fields *fields, unsigned index,
                      const char *text, size_t length)
{
	fields->ptr[index] = pointer(fake_put(scene->guest, text, length));
	fields->len[index] = (uint16_t)length;
}

static void put_fields(struct scene *scene, const struct curl_fields *fields)
{
	scene->fields = fake_put(scene->guest, fields, sizeof(*fields));
}

static void test_fields_end_with_the_first_empty_one(void **state)
{
	struct curl_fields fields = {{0}, {0}};
	struct scene *scene = *state;

	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 0);
	for (unsigned i = 0; i < CURL_FIELDS_COUNT; i++)
		set_field(scene, &fields, i, "A: b", 4);
	put_fields(scene, &fields);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 12);
	assert_string_equal(scene->host.fields[11], "A: b");
	fields.len[5] = 0;
	put_fields(scene, &fields);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 5);
	fields.ptr[3] = NULL;
	put_fields(scene, &fields);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 3);
}

static void test_fields_are_as_libcurl_takes_them(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *given;
	} rows[] = {
		{"X-A: b", 6, "X-A: b"},
		{"Expect:", 7, "Expect:"},
		{"a:b", 3, "a:b"},
		{"X-A: b\0", 7, "X-A: b"},
		{"X-A: b\0\r\n", 9, "X-A: b"},
		{"X-A:\tb ", 7, "X-A:\tb "},
		{"X-A: \xff", 6, "X-A: \xff"},
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct curl_fields fields = {{0}, {0}};

		fake_rewind(scene->guest);
		scene->op_address = fake_put(scene->guest, &scene->op, sizeof(scene->op));
		set_url(scene, "http://a/", 9);
		set_field(scene, &fields, 0, rows[i].text, rows[i].length);
		put_fields(scene, &fields);
		assert_int_equal(call(scene, FETCH), 0);
		assert_string_equal(scene->host.fields[0], rows[i].given);
	}
}

static void test_illegal_fields_are_denied(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *why;
	} rows[] = {
		{"X-A: b\r\nX: y", 12, "illegal character"},
		{"X-A: b\n", 7, "illegal character"},
		{"X-A: \x7f", 6, "illegal character"},
		{"X-A", 3, "no colon"},
		{"X A: b", 6, "illegal character"},
		{": b", 3, "too small"},
		{"X-A\r\n: b", 8, "illegal character"},
		{"\0: b", 4, "too small"},
		{"X-A;", 4, "illegal character"},
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct curl_fields fields = {{0}, {0}};

		set_field(scene, &fields, 0, "A: b", 4);
		set_field(scene, &fields, 1, rows[i].text, rows[i].length);
		put_fields(scene, &fields);
		assert_denied(scene, rows[i].why);
	}
}

static void test_fields_must_be_readable(void **state)
{
	struct curl_fields fields = {{pointer(FAKE_ARENA - 1)}, {4}};
	struct scene *scene = *state;

	scene->fields = FAKE_ARENA - 1;
	assert_denied(scene, "cannot read 120 bytes");
	scene->fields = UINT64_MAX - 8;
	assert_denied(scene, "cannot read 120 bytes");
	put_fields(scene, &fields);
	assert_denied(scene, "cannot read 4 bytes");
	fields.ptr[0] = pointer(UINT64_MAX - 1);
	put_fields(scene, &fields);
	assert_denied(scene, "cannot read 4 bytes");
	/* A field of the greatest length. */
	memset(fake_at(scene->guest, FAKE_ARENA + 0x10000), 'x', 0xffff);
	memcpy(fake_at(scene->guest, FAKE_ARENA + 0x10000), "A: ", 3);
	fields.ptr[0] = pointer(FAKE_ARENA + 0x10000);
	fields.len[0] = 0xffff;
	put_fields(scene, &fields);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.field_lengths[0], 0xffff);
}

static void test_content_type_on_entry_is_a_field(void **state)
{
	struct scene *scene = *state;
	struct curl_fields fields = {{0}, {0}};

	for (unsigned i = 0; i < CURL_FIELDS_COUNT; i++)
		set_field(scene, &fields, i, "A: b", 4);
	put_fields(scene, &fields);
	strcpy(scene->op.ctype, "text/plain; charset");
	scene->op.ctlen = 10;
	scene->host.type = "";
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 13);
	assert_string_equal(scene->host.fields[12], "Content-Type: text/plain");
}

static void test_content_type_has_1_to_127_bytes(void **state)
{
	struct scene *scene = *state;

	memset(scene->op.ctype, 't', sizeof(scene->op.ctype));
	scene->op.ctlen = 128;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 0);
	memset(scene->op.ctype, 't', sizeof(scene->op.ctype));
	scene->op.ctlen = UINT32_MAX;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 0);
	memset(scene->op.ctype, 't', sizeof(scene->op.ctype));
	scene->op.ctlen = 127;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(strlen(scene->host.fields[0]), 14 + 127);
	/* As an answer leaves it: with its NUL, or none. */
	strcpy(scene->op.ctype, "a/b");
	scene->op.ctlen = 4;
	assert_int_equal(call(scene, FETCH), 0);
	assert_string_equal(scene->host.fields[0], "Content-Type: a/b");
	scene->op.ctlen = 100;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.field_count, 0);
	strcpy(scene->op.ctype, "a/b\r\nX: y");
	scene->op.ctlen = 9;
	assert_denied(scene, "illegal character");
}

static void put_options(struct scene *scene, const struct curl_options *options)
{
	scene->options = fake_put(scene->guest, options, sizeof(*options));
}

static void test_options_are_passed_on(void **state)
{
	struct curl_options options = {.unused = UINT64_MAX, .unused_opt5 = UINT32_MAX};
	struct scene *scene = *state;
	const struct kvmsb_fetch *given = &scene->host.fetch;

	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(given->follow_redirects, 1);
	assert_int_equal(given->only_head | given->tcp_fast_open | given->no_host_check, 0);
	assert_null(given->interface);
	put_options(scene, &options);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(given->follow_redirects, 0);
	for (unsigned i = 0; i < 4; i++) {
		options.follow_location = i == 0 ? -128 : 0;
		options.dummy_fetch = i == 1;
		options.tcp_fast_open = i == 2 ? 2 : 0;
		options.dont_verify_host = i == 3;
		put_options(scene, &options);
		assert_int_equal(call(scene, FETCH), 0);
		assert_int_equal(given->follow_redirects, i == 0);
		assert_int_equal(given->only_head, i == 1);
		assert_int_equal(given->tcp_fast_open, i == 2);
		assert_int_equal(given->no_host_check, i == 3);
	}
	scene->options = LAYOUT_USER_END - 8;
	assert_denied(scene, "cannot read 24 bytes");
}

static void test_interface_is_a_short_text(void **state)
{
	struct curl_options options = {.unused = 0};
	struct scene *scene = *state;
	char text[257];

	options.interface = pointer(fake_put(scene->guest, "eth0", 5));
	put_options(scene, &options);
	assert_int_equal(call(scene, FETCH), 0);
	assert_string_equal(scene->host.interface, "eth0");
	options.interface = pointer(fake_put(scene->guest, "", 1));
	put_options(scene, &options);
	assert_int_equal(call(scene, FETCH), 0);
	assert_null(scene->host.fetch.interface);
	memset(text, 'i', sizeof(text));
	text[255] = '\0';
	options.interface = pointer(fake_put(scene->guest, text, 256));
	put_options(scene, &options);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(strlen(scene->host.interface), 255);
	text[255] = 'i';
	options.interface = pointer(fake_put(scene->guest, text, 257));
	put_options(scene, &options);
	assert_denied(scene, "String buffer too large");
	options.interface = pointer(fake_put(scene->guest, "e\n", 3));
	put_options(scene, &options);
	assert_denied(scene, "illegal character");
	options.interface = pointer(1);
	put_options(scene, &options);
	assert_denied(scene, "cannot read the interface at 0x1");
}

static void test_memory_runs_out_while_it_is_read(void **state)
{
	struct curl_options options = {.interface = pointer(FAKE_NO_MEMORY)};
	struct scene *scene = *state;
	uint64_t value;

	put_options(scene, &options);
	run(scene, FETCH, &value);
	assert_int_equal(scene->guest->process.end, PROCESS_OUT_OF_MEMORY);
	assert_int_equal(scene->host.calls, 0);
}

static void test_body_needs_an_address_and_a_length(void **state)
{
	struct scene *scene = *state;
	const uint64_t body = fake_put(scene->guest, "posted", 6);

	scene->op.post_buffer = pointer(body);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.body_count, 0);
	assert_int_equal(scene->host.fetch.body_length, 0);
	scene->op.post_buffer = NULL;
	scene->op.post_buflen = 6;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.body_count, 0);
	scene->op.post_buffer = pointer(body);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.body_length, 6);
	assert_memory_equal(scene->host.body_given, "posted", 6);
	scene->op.post_buffer = pointer(FAKE_ARENA);
	scene->op.post_buflen = FAKE_ARENA_SIZE;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->host.fetch.body_length, FAKE_ARENA_SIZE);
	assert_int_equal(scene->host.fetch.body_count, FAKE_ARENA_SIZE / PAGE_SIZE);
}

static void test_bodies_that_cannot_be(void **state)
{
	struct scene *scene = *state;

	scene->op.post_buffer = pointer(FAKE_ARENA);
	scene->op.post_buflen = (256u << 20) + 1;
	assert_denied(scene, "larger than 256 MiB");
	scene->op.post_buflen = UINT32_MAX;
	assert_denied(scene, "larger than 256 MiB");
	scene->op.post_buffer = pointer(UINT64_MAX - 10);
	scene->op.post_buflen = 100;
	assert_denied(scene, "sys_fetch: cannot read");
	scene->op.post_buffer = pointer(8);
	assert_denied(scene, "sys_fetch: cannot read");
}

/* The guest's memory ends far before: no more is read, or allocated, than is there. */
static void test_body_longer_than_the_guests_memory(void **state)
{
	struct scene *scene = *state;
	uint64_t value;

	scene->op.post_buffer = pointer(FAKE_ARENA);
	scene->op.post_buflen = 256u << 20;
	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	run(scene, FETCH, &value);
	assert_int_equal(scene->guest->process.end, PROCESS_OUT_OF_MEMORY);
	assert_int_equal(scene->host.calls, 0);
	assert_true(scene->guest->read < FAKE_END - FAKE_ARENA + 4096);
}

static void test_operation_must_be_there(void **state)
{
	static const uint64_t wrong[] = {0, FAKE_ARENA - 1, FAKE_END - 8, LAYOUT_USER_END - 175,
	                                 UINT64_MAX - 8};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint64_t value;

		scene->op_address = wrong[i];
		run(scene, FETCH, &value);
		assert_true(scene->guest->hypercalls.detail[0] != '\0' ||
		            scene->guest->process.end == PROCESS_OUT_OF_MEMORY);
		assert_int_equal(scene->host.calls, 0);
	}
}

/* ---- The answer ---- */

static void test_status_and_type(void **state)
{
	struct scene *scene = *state;
	char type[200];

	memset(type, 't', sizeof(type));
	type[199] = '\0';
	scene->host.type = "text/html";
	scene->host.status = 404;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.status, 404);
	assert_string_equal(scene->op.ctype, "text/html");
	assert_int_equal(scene->op.ctlen, 10);
	scene->host.type = type;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(strlen(scene->op.ctype), 127);
	assert_int_equal(scene->op.ctlen, 128);
	type[127] = '\0';
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.ctlen, 128);
	scene->host.type = "";
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.ctlen, 0);
	assert_int_equal(scene->op.ctype[0], 0);
	scene->host.type = NULL;
	strcpy(scene->op.ctype, "left");
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.ctlen, 0);
	assert_string_equal(scene->op.ctype, "");
}

static void test_silent_host_answers_nothing(void **state)
{
	struct scene *scene = *state;

	scene->host.silent = true;
	scene->op = (struct curl_op){.status = 7, .unused1 = 9};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.status, 0);
	assert_null(scene->op.content);
	assert_int_equal(scene->op.content_length, 0);
	assert_null(scene->op.headers);
	assert_int_equal(scene->op.headers_length, 0);
	assert_int_equal(scene->op.unused1, 9);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
}

static void test_body_in_the_guests_buffer(void **state)
{
	struct scene *scene = *state;
	uint64_t buffer = fake_put(scene->guest, "................", 16);

	scene->op.content = pointer(buffer);
	scene->op.content_length = 10;
	scene->host.body[0] = (struct piece){"01234", 5, 0};
	scene->host.body[1] = (struct piece){"", 0, 0};
	scene->host.body[2] = (struct piece){"56789", 5, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(address_of(scene->op.content), buffer);
	assert_int_equal(scene->op.content_length, 10);
	assert_memory_equal(fake_at(scene->guest, buffer), "0123456789......", 16);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
	/* One byte more than there is room for: what came before is there. */
	scene->host.body[2] = (struct piece){"abcdef", 6, -ENOSPC};
	scene->host.body[3] = (struct piece){"x", 1, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
	assert_memory_equal(fake_at(scene->guest, buffer), "0123456789......", 16);
	scene->op.content_length = 0;
	scene->host.body[0].wanted = -ENOSPC;
	scene->host.body[1].wanted = -ENOSPC;
	assert_fails(scene, WRITE_ERROR);
	scene->host.body[0] = (struct piece){"", SIZE_MAX, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
}

static void test_buffers_that_cannot_be_written(void **state)
{
	static const uint64_t wrong[] = {1,
	                                 FAKE_READ_ONLY,
	                                 FAKE_READ_ONLY - 3,
	                                 FAKE_NO_MEMORY,
	                                 LAYOUT_USER_END - 2,
	                                 LAYOUT_USER_END,
	                                 UINT64_MAX - 2};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		scene->op.content = pointer(wrong[i]);
		scene->op.content_length = 100;
		scene->host.body[0] = (struct piece){"01234", 5, -EFAULT};
		scene->host.body[1] = (struct piece){"", 0, -EFAULT};
		scene->host.head[0] = (struct piece){NULL, 0, 0};
		assert_fails(scene, WRITE_ERROR);
		scene->host.body[0] = (struct piece){NULL, 0, 0};
		scene->host.head[0] = (struct piece){"01234", 5, -EFAULT};
		scene->op.headers = pointer(wrong[i]);
		scene->op.headers_length = 64;
		assert_fails(scene, WRITE_ERROR);
		scene->op.headers_length = 1;
	}
}

static void test_body_in_a_mapping(void **state)
{
	struct scene *scene = *state;
	char bytes[4096];
	uint64_t address;

	memset(bytes, 'b', sizeof(bytes));
	scene->op.content = NULL;
	scene->op.content_length = 5;
	scene->host.body[0] = (struct piece){"0", 1, 0};
	scene->host.body[1] = (struct piece){bytes, sizeof(bytes), 0};
	assert_int_equal(call(scene, FETCH), 0);
	address = address_of(scene->op.content);
	assert_int_equal(scene->op.content_length, 4097);
	assert_int_equal(fake_mapping_count(scene->guest), 1);
	assert_int_equal(fake_mapping_length(scene->guest, address), 8192);
	assert_memory_equal(fake_at(scene->guest, address), "0bbb", 4);
	assert_memory_equal(fake_at(scene->guest, address + 4093), "bbbb\0", 5);
	/* Another one lies elsewhere; whole pages are cut to nothing more. */
	scene->op.content = NULL;
	scene->host.body[0] = (struct piece){bytes, sizeof(bytes), 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_not_equal(address_of(scene->op.content), address);
	assert_int_equal(fake_mapping_length(scene->guest, address_of(scene->op.content)), 8192);
	assert_int_equal(fake_mapping_length(scene->guest, address), 8192);
	fake_unmap_all(scene->guest);
}

static void test_body_has_at_most_256_mib(void **state)
{
	struct scene *scene = *state;
	uint64_t buffer = FAKE_ARENA_END - 16;

	scene->op.content = NULL;
	scene->host.body[0] = (struct piece){"0", FETCH_BODY_MAXIMUM + 1, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
	scene->host.body[0] = (struct piece){"0", 1, 0};
	scene->host.body[1] = (struct piece){"0", FETCH_BODY_MAXIMUM, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
	/* In a buffer of 4 GiB, too. */
	scene->op.content = pointer(buffer);
	scene->op.content_length = UINT32_MAX;
	assert_fails(scene, WRITE_ERROR);
}

static void test_memory_runs_out_in_a_mapping(void **state)
{
	struct scene *scene = *state;

	scene->op.content = NULL;
	scene->guest->mapped_room = 4;
	scene->host.body[0] = (struct piece){"0123", 4, 0};
	scene->host.body[1] = (struct piece){"4", 1, -ENOMEM};
	scene->host.body[2] = (struct piece){"5", 1, -ENOMEM};
	assert_fails(scene, WRITE_ERROR);
	/* No room for a mapping at all. */
	scene->guest->mapped_room = UINT64_MAX;
	scene->host.body[1].wanted = 0;
	scene->host.body[2].wanted = 0;
	for (unsigned i = 0; i < FAKE_MAPPINGS_MAXIMUM; i++) {
		scene->op.content = NULL;
		assert_int_equal(call(scene, FETCH), 0);
	}
	scene->op.content = NULL;
	for (unsigned i = 0; i < 3; i++)
		scene->host.body[i].wanted = -ENOMEM;
	assert_int_equal(call(scene, FETCH), WRITE_ERROR);
	assert_int_equal(fake_mapping_count(scene->guest), FAKE_MAPPINGS_MAXIMUM);
}

static void set_head(struct scene *scene, uint64_t address, uint32_t length)
{
	scene->op.headers = pointer(address);
	scene->op.headers_length = length;
}

static void test_head_is_kept_where_it_is_wanted(void **state)
{
	static const struct {
		bool given;
		uint32_t length;
		bool mapped, stored;
	} rows[] = {
		{false, 0, true, false},  {false, 64, true, false},  {false, 63, false, false},
		{false, 1, false, false}, {true, 0, false, false},   {true, 63, false, false},
		{true, 64, false, true},  {true, 4096, false, true},
	};
	struct scene *scene = *state;
	const uint64_t buffer = fake_put(scene->guest, "12345678", 8);

	scene->host.head[0] = (struct piece){"AB", 2, 0};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(fake_at(scene->guest, buffer), "12345678", 8);
		set_head(scene, rows[i].given ? buffer : 0, rows[i].length);
		assert_int_equal(call(scene, FETCH), 0);
		assert_int_equal(fake_mapping_count(scene->guest), rows[i].mapped);
		assert_memory_equal(fake_at(scene->guest, buffer), rows[i].stored ? "AB\0" : "123",
		                    3);
		assert_int_equal(scene->op.headers_length,
		                 rows[i].mapped || rows[i].stored ? 2 : rows[i].length);
		if (rows[i].mapped)
			assert_string_equal(fake_at(scene->guest, address_of(scene->op.headers)),
			                    "AB");
		else
			assert_int_equal(address_of(scene->op.headers), rows[i].given ? buffer : 0);
		fake_unmap_all(scene->guest);
	}
}

static void test_head_is_cut_to_its_buffer(void **state)
{
	struct scene *scene = *state;
	uint64_t buffer = FAKE_ARENA_END - 64;
	char head[64];

	memset(head, 'h', sizeof(head));
	set_head(scene, buffer, 64);
	scene->host.head[0] = (struct piece){head, 60, 0};
	scene->host.head[1] = (struct piece){"abc", 3, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.headers_length, 63);
	assert_memory_equal(fake_at(scene->guest, buffer + 60), "abc\0", 4);
	set_head(scene, buffer, 64);
	scene->host.head[1] = (struct piece){"defg", 4, 0};
	scene->host.head[2] = (struct piece){"more", 4, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.headers_length, 63);
	assert_memory_equal(fake_at(scene->guest, buffer + 60), "def\0", 4);
	/* None came: an empty text. */
	scene->host.head[0].data = NULL;
	set_head(scene, buffer, 64);
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.headers_length, 0);
	assert_string_equal(fake_at(scene->guest, buffer), "");
}

/* Whose NUL is all that cannot be written. */
static void test_head_without_room_for_its_end(void **state)
{
	struct scene *scene = *state;
	char head[64] = "";

	set_head(scene, FAKE_ARENA_END - 63, 64);
	scene->host.head[0] = (struct piece){head, 63, 0};
	assert_fails(scene, WRITE_ERROR);
	scene->op.content = NULL;
	scene->host.body[0] = (struct piece){"mapped", 6, 0};
	assert_fails(scene, WRITE_ERROR);
}

static void test_mapped_head_is_a_text(void **state)
{
	struct scene *scene = *state;
	char head[4096];

	memset(head, 'h', sizeof(head));
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){head, 4095, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(fake_mapping_length(scene->guest, address_of(scene->op.headers)), 4096);
	fake_unmap_all(scene->guest);
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){head, 4096, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.headers_length, 4096);
	assert_int_equal(fake_mapping_length(scene->guest, address_of(scene->op.headers)), 8192);
	assert_int_equal(strlen(fake_at(scene->guest, address_of(scene->op.headers))), 4096);
	fake_unmap_all(scene->guest);
	set_head(scene, 0, 0);
	scene->host.head[1] = (struct piece){head, FETCH_HEAD_MAXIMUM, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
}

static void test_greatest_head_that_is_mapped(void **state)
{
	struct scene *scene = *state;
	char *head = malloc(FETCH_HEAD_MAXIMUM);

	assert_non_null(head);
	memset(head, 'h', FETCH_HEAD_MAXIMUM);
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){head, FETCH_HEAD_MAXIMUM, 0};
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.headers_length, FETCH_HEAD_MAXIMUM);
	assert_int_equal(strlen(fake_at(scene->guest, address_of(scene->op.headers))),
	                 FETCH_HEAD_MAXIMUM);
	free(head);
}

/* ---- Failing ---- */

static void test_errors_of_the_host_are_the_guests(void **state)
{
	static const struct {
		int code;
		uint64_t value;
	} rows[] = {{-7, (uint64_t)-7},
	            {-1, UINT64_MAX},
	            {-28, (uint64_t)-28},
	            {7, UINT64_MAX},
	            {INT32_MIN, (uint64_t)INT32_MIN}};
	struct scene *scene = *state;

	scene->op.content = NULL;
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){"head", 4, 0};
	scene->host.body[0] = (struct piece){"body", 4, 0};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scene->host.code = rows[i].code;
		assert_fails(scene, rows[i].value);
	}
	/* Whatever it says when something could not be stored. */
	scene->host.body[1] = (struct piece){"body", FETCH_BODY_MAXIMUM, -ENOSPC};
	assert_fails(scene, WRITE_ERROR);
	scene->host.code = 0;
	assert_fails(scene, WRITE_ERROR);
}

/* NULL with a length: also where the guest has no use for it. */
static int misuse(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                  struct kvmsb_fetch_answer *answer)
{
	(void)context;
	(void)request;
	kvmsb_fetch_status(answer, 500, "a/b");
	kvmsb_fetch_status(answer, 200, NULL);
	assert_int_equal(kvmsb_fetch_body(answer, NULL, 0), 0);
	assert_int_equal(kvmsb_fetch_head(answer, NULL, 0), 0);
	assert_int_equal(kvmsb_fetch_body(answer, NULL, 1), -EFAULT);
	assert_int_equal(kvmsb_fetch_body(answer, "x", 1), -EFAULT);
	assert_int_equal(kvmsb_fetch_head(answer, "x", 1), -EFAULT);
	return 0;
}

static int status_twice(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                        struct kvmsb_fetch_answer *answer)
{
	(void)context;
	(void)request;
	kvmsb_fetch_status(answer, 500, "long/type");
	kvmsb_fetch_status(answer, 201, "t");
	return 0;
}

static void test_misuse_by_the_host(void **state)
{
	struct scene *scene = *state;

	scene->guest->http.ops.fetch = misuse;
	assert_fails(scene, WRITE_ERROR);
	scene->op.content = NULL;
	set_head(scene, 0, 0);
	assert_fails(scene, WRITE_ERROR);
	scene->guest->http.ops.fetch = status_twice;
	assert_int_equal(call(scene, FETCH), 0);
	assert_int_equal(scene->op.status, 201);
	assert_int_equal(scene->op.ctlen, 2);
}

/* The guest's operation is where it can be read, but not written. */
static void test_operation_that_cannot_be_written(void **state)
{
	struct scene *scene = *state;
	uint64_t value;

	scene->op.content = NULL;
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){"head", 4, 0};
	scene->host.body[0] = (struct piece){"body", 4, 0};
	scene->op_address = FAKE_READ_ONLY + 64;
	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	assert_int_equal(run(scene, FETCH, &value), HYPERCALL_DENIED);
	assert_non_null(strstr(scene->guest->hypercalls.detail, "cannot write 176 bytes"));
	assert_int_equal(scene->host.calls, 1);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
}

static void test_run_that_ends_meanwhile(void **state)
{
	struct scene *scene = *state;
	uint64_t value;

	scene->op.content = NULL;
	scene->host.body[0] = (struct piece){"body", 4, 0};
	scene->host.cancels = true;
	scene->guest->callbacks_end = -ECANCELED;
	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	assert_int_equal(run(scene, FETCH, &value), HYPERCALL_CONTINUE);
	assert_int_equal(scene->host.calls, 1);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
	assert_memory_equal(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	/* No function is called any more. */
	assert_int_equal(run(scene, FETCH, &value), HYPERCALL_CONTINUE);
	assert_int_equal(scene->host.calls, 1);
}

static void test_mapping_that_cannot_be_cut(void **state)
{
	struct scene *scene = *state;
	uint64_t value;

	scene->op.content = NULL;
	scene->host.body[0] = (struct piece){"body", 4, 0};
	scene->guest->unmap_fails = 1;
	assert_fails(scene, WRITE_ERROR);
	/* What cannot be taken away either would stay for good. */
	scene->guest->unmap_fails = 2;
	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	run(scene, FETCH, &value);
	assert_int_equal(scene->guest->process.end, PROCESS_OUT_OF_MEMORY);
}

/* Everything that can be allocated is. */
static void set_large_request(struct scene *scene)
{
	struct curl_fields fields = {{0}, {0}};

	set_field(scene, &fields, 0, "A: b", 4);
	set_field(scene, &fields, 1, "C: d", 4);
	put_fields(scene, &fields);
	strcpy(scene->op.ctype, "a/b");
	scene->op.ctlen = 3;
	scene->op.post_buffer = pointer(FAKE_ARENA);
	scene->op.post_buflen = 1u << 20;
	scene->op.content = NULL;
	set_head(scene, 0, 0);
	scene->host.head[0] = (struct piece){"head", 4, 0};
	scene->host.body[0] = (struct piece){"body", 4, 0};
}

/* As fetch(), but for what the host itself allocates and expects. */
static int fetch_calmly(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                        struct kvmsb_fetch_answer *answer)
{
	(void)context;
	(void)request;
	kvmsb_fetch_status(answer, 200, "c/d");
	return kvmsb_fetch_head(answer, "head", 4) < 0 || kvmsb_fetch_body(answer, "body", 4) < 0;
}

/* True when an allocation failed: nothing of the call is left then. */
static bool try_without_memory(struct scene *scene, unsigned number)
{
	uint64_t value;
	bool failed;

	memcpy(fake_at(scene->guest, scene->op_address), &scene->op, sizeof(scene->op));
	allocations_fail_at(number);
	assert_int_equal(run(scene, FETCH, &value), HYPERCALL_CONTINUE);
	failed = allocations_stop_failing();
	if (!failed)
		return false;
	assert_true(scene->guest->process.end == PROCESS_OUT_OF_MEMORY || value == WRITE_ERROR);
	assert_int_equal(fake_mapping_count(scene->guest), 0);
	scene->guest->process.end = PROCESS_RUNS;
	return true;
}

static void test_every_allocation_fails_once(void **state)
{
	struct scene *scene = *state;
	unsigned number = 1;

	scene->guest->http.ops.fetch = fetch_calmly;
	set_large_request(scene);
	while (try_without_memory(scene, number))
		number++;
	/* Three fields, a body in several steps, two mappings. */
	assert_true(number > 7);
	assert_int_equal(fake_mapping_count(scene->guest), 2);
}

/* ---- Anything ---- */

static uint64_t anything(unsigned *seed)
{
	static const uint64_t values[] = {0,
	                                  1,
	                                  63,
	                                  64,
	                                  4096,
	                                  FAKE_ARENA,
	                                  FAKE_ARENA + 8,
	                                  FAKE_READ_ONLY - 8,
	                                  FAKE_READ_ONLY,
	                                  FAKE_END - 1,
	                                  LAYOUT_USER_END - 1,
	                                  LAYOUT_USER_END,
	                                  UINT64_C(1) << 32,
	                                  UINT64_MAX - 1,
	                                  UINT64_MAX};

	return values[(unsigned)rand_r(seed) % ARRAY_SIZE(values)];
}

static int take_anything(const struct kvmsb_http_context *context,
                         const struct kvmsb_fetch *request, struct kvmsb_fetch_answer *answer)
{
	static const char bytes[5000];

	assert_true(request->field_count <= 13 && request->url_length <= 1024);
	for (size_t i = 0; i < request->field_count; i++)
		assert_null(memchr(request->fields[i].text, '\n', request->fields[i].length));
	kvmsb_fetch_head(answer, bytes, request->url_length);
	kvmsb_fetch_body(answer, bytes, sizeof(bytes));
	return ((struct host *)context->user)->code;
}

/* Whatever the guest does, it gets an answer, is denied or out of memory. */
static void test_random_operations_do_no_harm(void **state)
{
	struct scene *scene = *state;
	unsigned seed = 6;

	scene->guest->http.ops.fetch = take_anything;
	for (unsigned i = 0; i < 20000; i++) {
		struct curl_op *op = fake_at(scene->guest, scene->op_address);
		uint64_t value;

		*op = (struct curl_op){.post_buflen = (uint32_t)anything(&seed) & 0xffff,
		                       .post_buffer = pointer(anything(&seed)),
		                       .headers = pointer(anything(&seed)),
		                       .headers_length = (uint32_t)anything(&seed),
		                       .content = pointer(anything(&seed)),
		                       .content_length = (uint32_t)anything(&seed),
		                       .ctlen = (uint32_t)anything(&seed)};
		scene->fields = i % 3 == 0 ? anything(&seed) : 0;
		scene->options = i % 5 == 0 ? anything(&seed) : 0;
		scene->host.code = (int)(i % 7) - 3;
		set_url(scene, "http://a/", 9);
		run(scene, i % 2 == 0 ? FETCH : REQUEST, &value);
		scene->guest->process.end = PROCESS_RUNS;
		fake_unmap_all(scene->guest);
		fake_rewind(scene->guest);
		scene->op_address = fake_put(scene->guest, op, sizeof(*op));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_functions_there_is_nothing),
		TEST(test_paths_are_requests_to_the_host_itself),
		TEST(test_context_is_of_the_request),
		TEST(test_url_has_1_to_1024_bytes),
		TEST(test_url_must_be_readable),
		TEST(test_url_has_no_control_characters),
		TEST(test_fields_end_with_the_first_empty_one),
		TEST(test_fields_are_as_libcurl_takes_them),
		TEST(test_illegal_fields_are_denied),
		TEST(test_fields_must_be_readable),
		TEST(test_content_type_on_entry_is_a_field),
		TEST(test_content_type_has_1_to_127_bytes),
		TEST(test_options_are_passed_on),
		TEST(test_interface_is_a_short_text),
		TEST(test_memory_runs_out_while_it_is_read),
		TEST(test_body_needs_an_address_and_a_length),
		TEST(test_bodies_that_cannot_be),
		TEST(test_body_longer_than_the_guests_memory),
		TEST(test_operation_must_be_there),
		TEST(test_status_and_type),
		TEST(test_silent_host_answers_nothing),
		TEST(test_body_in_the_guests_buffer),
		TEST(test_buffers_that_cannot_be_written),
		TEST(test_body_in_a_mapping),
		TEST(test_body_has_at_most_256_mib),
		TEST(test_memory_runs_out_in_a_mapping),
		TEST(test_head_is_kept_where_it_is_wanted),
		TEST(test_head_is_cut_to_its_buffer),
		TEST(test_head_without_room_for_its_end),
		TEST(test_mapped_head_is_a_text),
		TEST(test_greatest_head_that_is_mapped),
		TEST(test_errors_of_the_host_are_the_guests),
		TEST(test_misuse_by_the_host),
		TEST(test_operation_that_cannot_be_written),
		TEST(test_run_that_ends_meanwhile),
		TEST(test_mapping_that_cannot_be_cut),
		TEST(test_every_allocation_fails_once),
		TEST(test_random_operations_do_no_harm),
	};

	return cmocka_run_group_tests_name("fetch_calls", tests, NULL, NULL);
}
