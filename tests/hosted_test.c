/* SPDX-License-Identifier: MIT */
/*
 * The functions of a host, asked by a real guest: header fields, caching, the
 * log, sockets; and what a program says of itself.
 */
#include "response_body.h"
#include "sandbox_fixture.h"

#include "http/fields.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct host {
	struct fields fields[2];
	struct kvmsb_http_cache policy;
	char log[4096]; /* texts with a '|' behind each */
	size_t log_length;
	unsigned logs;
	size_t sent[128];
	bool is_right; /* what was sent */
	int request_user;
};

static struct host *host_of(const struct kvmsb_http_context *context)
{
	return context->user;
}

static int64_t find(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                    const char *name, size_t length, struct kvmsb_http_field *field)
{
	const struct fields *fields = &host_of(context)->fields[side];
	size_t position = fields_find(fields, name, length);

	assert_ptr_equal(context->request_user, &host_of(context)->request_user);
	if (position == fields->count)
		return -ENOENT;
	*field = fields->field[position];
	return (int64_t)position;
}

static int64_t next(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                    size_t position, struct kvmsb_http_field *field)
{
	const struct fields *fields = &host_of(context)->fields[side];

	if (position >= fields->count)
		return -ENOENT;
	*field = fields->field[position];
	return (int64_t)position;
}

static int64_t append(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                      const char *text, size_t length)
{
	return fields_append(&host_of(context)->fields[side], text, length);
}

static int64_t set(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                   const char *text, size_t length)
{
	return fields_set(&host_of(context)->fields[side], text, length);
}

static int64_t unset(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                     const char *name, size_t length)
{
	struct fields *fields = &host_of(context)->fields[side];
	size_t position = fields_find(fields, name, length);

	if (position == fields->count)
		return -ENOENT;
	fields_remove(fields, position);
	return (int64_t)position;
}

static const char *method(const struct kvmsb_http_context *context)
{
	(void)context;
	return "PURGE";
}

static int cache_policy(const struct kvmsb_http_context *context,
                        const struct kvmsb_http_cache *policy)
{
	host_of(context)->policy = *policy;
	return -1;
}

static void keep_log(const struct kvmsb_http_context *context, const char *text, size_t length)
{
	struct host *host = host_of(context);

	host->logs++;
	if (length >= sizeof(host->log) - host->log_length)
		return;
	memcpy(host->log + host->log_length, text, length);
	host->log_length += length;
	host->log[host->log_length++] = '|';
	host->log[host->log_length] = '\0';
}

static bool is_expected(int descriptor, const struct iovec *piece)
{
	static const char zeros[8192];

	switch (descriptor) {
	case 100:
		return memcmp(piece->iov_base, "from read-only memory", piece->iov_len) == 0;
	case 101:
		return memcmp(piece->iov_base, zeros, piece->iov_len) == 0;
	default:
		return *(const char *)piece->iov_base == 'l';
	}
}

/* A host that reads its guest's memory meanwhile: what it was given stays where it is. */
static int64_t socket_write(const struct kvmsb_http_context *context, int descriptor,
                            const struct iovec *pieces, size_t count)
{
	struct host *host = host_of(context);
	size_t length = 0;
	char byte;

	kvmsb_memory_read(context->sandbox, fixture_symbol(context->sandbox, "main"), &byte, 1);
	for (size_t i = 0; i < count; i++) {
		host->is_right = host->is_right && is_expected(descriptor, &pieces[i]);
		length += pieces[i].iov_len;
	}
	host->sent[descriptor] += length;
	return (int64_t)length;
}

static struct kvmsb_http_ops ops_of(struct host *host)
{
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;

	ops.user = host;
	ops.header_find = find;
	ops.header_next = next;
	ops.header_append = append;
	ops.header_set = set;
	ops.header_unset = unset;
	ops.method = method;
	ops.cache_policy = cache_policy;
	ops.log = keep_log;
	ops.socket_write = socket_write;
	return ops;
}

struct world {
	struct host host;
	struct kvmsb_http_ops ops;
	struct kvmsb_options options;
	struct kvmsb *master, *fork;
	struct kvmsb_http_response response;
};

static const char *const no_arguments[] = {"hosted", NULL};

static void prepare(struct world *world)
{
	*world = (struct world){0};
	world->ops = ops_of(&world->host);
	world->options = fixture_options(GUEST("hosted-static"));
	world->options.http = &world->ops;
	world->options.arguments = no_arguments;
	world->host.is_right = true;
}

static void start(struct world *world)
{
	world->master = fixture_master(&world->options);
	world->fork = fixture_fork(world->master);
}

static void finish(struct world *world)
{
	kvmsb_destroy(world->fork);
	kvmsb_destroy(world->master);
	fields_clear(&world->host.fields[0]);
	fields_clear(&world->host.fields[1]);
}

static void ask(struct world *world, const char *url, const char *argument)
{
	static const struct kvmsb_http_field fields[] = {{"X-Ask: why", 10}};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	request.url = url;
	request.argument = argument;
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	request.user = &world->host.request_user;
	world->response = (struct kvmsb_http_response)KVMSB_HTTP_RESPONSE_INIT;
	assert_int_equal(kvmsb_request(world->fork, &request, &world->response, &result), 0);
}

static void expect(struct world *world, const char *url, const char *argument, int status,
                   const char *text)
{
	ask(world, url, argument);
	assert_int_equal(world->response.status, status);
	assert_true(body_is(&world->response, text, strlen(text)));
}

static void fields_are_the_librarys(void **unused)
{
	struct world world;

	(void)unused;
	prepare(&world);
	world.options.http = NULL;
	start(&world);
	expect(&world, "/headers", NULL, 200, "GET 9 0");
	assert_int_equal(world.response.field_count, 2);
	assert_string_equal(world.response.fields[0].text, "X-Answer: why");
	assert_string_equal(world.response.fields[1].text, "X-More: 2");
	assert_int_equal(world.response.cache.is_set, 1);
	assert_int_equal(world.response.cache.cacheable, 1);
	assert_true(world.response.cache.ttl == 1.5 && world.response.cache.keep == 3);
	expect(&world, "/log", "0", 200, "logged");
	assert_int_equal(world.response.field_count, 0);
	assert_int_equal(world.response.cache.is_set, 0);
	finish(&world);
}

static void fields_are_the_hosts(void **unused)
{
	struct world world;

	(void)unused;
	prepare(&world);
	start(&world);
	assert_int_equal(fields_append(&world.host.fields[0], "x-ask: mine", 11), 0);
	expect(&world, "/headers", NULL, 200, "PURGE 9 -1");
	assert_int_equal(world.response.field_count, 0);
	assert_int_equal(world.host.fields[1].count, 2);
	assert_string_equal(world.host.fields[1].field[0].text, "X-Answer: mine");
	assert_true(world.host.policy.ttl == 1.5 && world.host.policy.grace == 2);
	assert_true(world.response.cache.keep == 3);
	finish(&world);
}

/* Each run of main(), each request and each call has a log of its own. */
static void logs_are_limited(void **unused)
{
	static const char *const arguments[] = {"hosted", "one", "two", "0123456789012345678901",
	                                        NULL};
	struct world world;

	(void)unused;
	prepare(&world);
	world.options.arguments = arguments;
	world.options.log_limit = 20;
	start(&world);
	assert_string_equal(world.host.log, "one|two|01234567890123|"
	                                    "(log limit reached: what follows is dropped)|");
	world.host.log_length = 0;
	expect(&world, "/log", "3", 200, "logged");
	assert_string_equal(world.host.log, "line 0|line 1|line 2"
	                                    "|(log limit reached: what follows is dropped)|");
	world.host.log_length = 0;
	fixture_call(world.fork, "log_line", NO_NUMBERS);
	fixture_call(world.fork, "log_line", NO_NUMBERS);
	assert_string_equal(world.host.log, "from a call|from a call|");
	world.host.logs = 0;
	expect(&world, "/log", "3000", 200, "logged");
	assert_int_equal(world.host.logs, 4);
	finish(&world);
}

static void sockets_get_guest_memory(void **unused)
{
	struct world world;

	(void)unused;
	prepare(&world);
	start(&world);
	for (unsigned i = 1; i <= 3; i++) {
		expect(&world, "/sockets", NULL, 200, "21 200 1 103");
		assert_true(world.host.is_right);
		assert_int_equal(world.host.sent[100], i * 21);
		assert_int_equal(world.host.sent[101], i * 200);
		assert_int_equal(world.host.sent[103], 0);
		assert_int_equal(kvmsb_reset(world.fork), 0);
	}
	finish(&world);
}

static void what_there_is_not_says_so(void **unused)
{
	struct world world;

	(void)unused;
	prepare(&world);
	start(&world);
	expect(&world, "/absent", NULL, 200, "0 1 0 -1 0 0 -1");
	assert_string_equal(world.host.log,
	                    "hosted-static: sys_breakpoint(): no debugger listens|"
	                    "hosted-static: multiprocess(): there is one processor|");
	expect(&world, "/storage", NULL, 500, "Storage not initialized");
	assert_int_equal(kvmsb_reset(world.fork), 0);
	expect(&world, "/ephemeral", NULL, 500, "Cannot change ephemeralness after initialization");
	assert_int_equal(kvmsb_reset(world.fork), 0);
	expect(&world, "/return", NULL, 500, "HTTP response not set. Program crashed? Check logs!");
	assert_int_equal(kvmsb_reset(world.fork), 0);
	assert_outcome(world.fork,
	               &(struct kvmsb_result[]){fixture_call(world.fork, "cache", NO_NUMBERS)}[0],
	               KVMSB_OUTCOME_DENIED);
	assert_string_equal(kvmsb_detail(world.fork), "CTX was null");
	finish(&world);
}

static void check_program(const struct kvmsb *sandbox, int is_ephemeral)
{
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;

	assert_int_equal(kvmsb_http_get_program(sandbox, &program), 0);
	assert_int_equal(program.is_ephemeral, is_ephemeral);
	assert_int_equal(program.is_paused, 0);
	for (size_t i = 0; i < ARRAY_SIZE(program.handlers); i++)
		assert_int_equal(program.handlers[i] != 0, i == 1 || i == 5);
}

static void programs_say_what_they_are(void **unused)
{
	static const char *const arguments[] = {"hosted", "keep", NULL};
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;
	struct world world;
	struct kvmsb *fresh;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		prepare(&world);
		world.options.arguments = arguments;
		world.options.http_flags = i == 0 ? 0 : KVMSB_HTTP_CONTROL_EPHEMERAL;
		start(&world);
		check_program(world.master, i == 0);
		check_program(world.fork, i == 0);
		expect(&world, "/", NULL, 200, i == 0 ? "refused" : "kept");
		assert_int_equal(kvmsb_reset(world.fork), 0);
		check_program(world.fork, i == 0);
		program.size = 1;
		assert_int_equal(kvmsb_http_get_program(world.master, &program), -EINVAL);
		finish(&world);
	}
	fresh = fixture_create(&world.options);
	program.size = sizeof(program);
	assert_int_equal(kvmsb_http_get_program(fresh, &program), -EINVAL);
	kvmsb_destroy(fresh);
}

static void a_loop_says_that_it_waits(void **unused)
{
	struct kvmsb_options options = fixture_options(GUEST("loop-static"));
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;
	struct kvmsb *master = fixture_master(&options);

	(void)unused;
	assert_int_equal(kvmsb_http_get_program(master, &program), 0);
	assert_int_equal(program.is_paused, 1);
	assert_int_equal(program.handlers[1], 0);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_the_librarys),
		cmocka_unit_test(fields_are_the_hosts),
		cmocka_unit_test(logs_are_limited),
		cmocka_unit_test(sockets_get_guest_memory),
		cmocka_unit_test(what_there_is_not_says_so),
		cmocka_unit_test(programs_say_what_they_are),
		cmocka_unit_test(a_loop_says_that_it_waits),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
