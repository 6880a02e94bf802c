/* SPDX-License-Identifier: MIT */
/*
 * Guests that fetch through a function of the host: by both instructions, from
 * main(), calls and requests; memory limits, resets; and what such a function
 * may do with the sandbox that waits for it, and with others.
 */
#include "response_body.h"
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "kvm_api.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRAM GUEST("fetch-static")
#define PAGE 4096u
#define WRITE_ERROR (-23)
#define HEAD "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"

/* The answers of the host, and what it saw. */
struct host {
	const void *body;
	size_t length, piece; /* piece 0: all at once */
	int code;
	void (*act)(struct host *host, const struct kvmsb_http_context *context,
	            const struct kvmsb_fetch *fetch); /* NULL: nothing */
	bool destroys, sums_first;
	struct kvmsb *other;

	unsigned calls;
	struct kvmsb_http_context context;
	uint64_t posted_length, posted_sum;
	int results[16];
	int stored; /* of the last piece */
};

static unsigned char pattern[256u << 10];

static uint64_t sum_of(const unsigned char *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

static void sum_posted(struct host *host, const struct kvmsb_fetch *fetch)
{
	host->posted_sum = 0;
	for (size_t i = 0; i < fetch->body_count; i++)
		host->posted_sum += sum_of(fetch->body[i].iov_base, fetch->body[i].iov_len);
}

static int answer(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                  struct kvmsb_fetch_answer *answer)
{
	struct host *host = context->user;
	size_t piece = host->piece != 0 ? host->piece : host->length;

	host->calls++;
	host->context = *context;
	host->posted_length = fetch->body_length;
	if (host->act != NULL)
		host->act(host, context, fetch);
	if (host->destroys)
		kvmsb_destroy(context->sandbox);
	if (host->sums_first)
		sum_posted(host, fetch);
	kvmsb_fetch_status(answer, 200, "text/plain");
	kvmsb_fetch_head(answer, HEAD, strlen(HEAD));
	for (size_t done = 0; done < host->length; done += piece)
		host->stored = kvmsb_fetch_body(answer, (const char *)host->body + done,
		                                min_u64(piece, host->length - done));
	if (!host->sums_first)
		sum_posted(host, fetch);
	return host->code;
}

static struct kvmsb_options options_for(struct host *host, struct kvmsb_http_ops *http)
{
	struct kvmsb_options options = fixture_options(PROGRAM);

	*http = (struct kvmsb_http_ops)KVMSB_HTTP_OPS_INIT;
	http->user = host;
	http->fetch = answer;
	http->self_request = answer;
	options.http = http;
	return options;
}

static struct kvmsb *master_for(struct host *host)
{
	struct kvmsb_http_ops http;
	const struct kvmsb_options options = options_for(host, &http);

	if (host->body == NULL) {
		host->body = pattern;
		host->length = sizeof(pattern);
	}
	return fixture_master(&options);
}

/* ---- Memory of the guest ---- */

static void write_at(struct kvmsb *sandbox, const char *symbol, const void *data, size_t length)
{
	assert_int_equal(kvmsb_memory_write(sandbox, fixture_symbol(sandbox, symbol), data, length),
	                 0);
}

static void set_op(struct kvmsb *sandbox, const struct curl_op *op)
{
	write_at(sandbox, "op", op, sizeof(*op));
}

static struct curl_op op_of(struct kvmsb *sandbox)
{
	struct curl_op op;

	assert_int_equal(kvmsb_memory_read(sandbox, fixture_symbol(sandbox, "op"), &op, sizeof(op)),
	                 0);
	return op;
}

static uint64_t address_of(const void *guests)
{
	return (uint64_t)(uintptr_t)guests;
}

static int64_t fetch(struct kvmsb *sandbox)
{
	return (int64_t)fixture_value(sandbox, "do_fetch", NUMBERS(0));
}

/* ---- What guests get ---- */

static void check_transport(struct kvmsb *fork, struct host *host, bool by_out)
{
	const struct curl_op asked = {.post_buffer = (void *)(uintptr_t)fixture_symbol(fork, "url"),
	                              .post_buflen = 7};
	struct curl_op op;

	host->piece = 10007;
	set_op(fork, &asked);
	assert_int_equal(fixture_value(fork, "do_fetch", NUMBERS(by_out)), 0);
	assert_ptr_equal(host->context.sandbox, fork);
	assert_int_equal(host->posted_length, 7);
	assert_int_equal(host->posted_sum, sum_of((const unsigned char *)"http://", 7));
	op = op_of(fork);
	assert_int_equal(op.status, 200);
	assert_string_equal(op.ctype, "text/plain");
	assert_int_equal(op.ctlen, 11);
	assert_int_equal(op.content_length, sizeof(pattern));
	assert_int_equal(op.headers_length, strlen(HEAD));
	assert_int_equal(fixture_value(fork, "length_of_head", NO_NUMBERS), strlen(HEAD));
	assert_int_equal(fixture_value(fork, "sum_content", NO_NUMBERS),
	                 sum_of(pattern, sizeof(pattern)));
	assert_int_equal(fixture_value(fork, "drop_content", NO_NUMBERS), 0);
	set_op(fork, &asked);
	assert_int_equal(fixture_value(fork, "do_request", NUMBERS(by_out)), 0);
	assert_int_equal(op_of(fork).content_length, sizeof(pattern));
}

static void test_both_transports_on_each_path(void **state)
{
	unsigned paths = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct host host = {.body = pattern, .length = sizeof(pattern)};
		struct kvmsb_http_ops http;
		struct kvmsb_options options = options_for(&host, &http);
		struct kvmsb *master, *fork;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		master = fixture_master(&options);
		fork = fixture_fork(master);
		check_transport(fork, &host, false);
		check_transport(fork, &host, true);
		kvmsb_destroy(fork);
		kvmsb_destroy(master);
		paths++;
	}
	assert_true(paths > 0);
}

static void test_without_a_function_there_is_nothing(void **state)
{
	struct kvmsb_options options = fixture_options(PROGRAM);
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);

	(void)state;
	assert_int_equal(fetch(fork), -ENOSYS);
	assert_int_equal(fixture_value(fork, "do_fetch", NUMBERS(1)), (uint64_t)-ENOSYS);
	assert_int_equal(fixture_value(fork, "do_request", NUMBERS(1)), (uint64_t)-ENOSYS);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_guests_own_buffer(void **state)
{
	struct host host = {.body = "0123456789", .length = 10, .piece = 3};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	uint64_t buffer = fixture_symbol(fork, "buffer");
	struct curl_op op = {.content = (void *)(uintptr_t)(buffer + PAGE - 5),
	                     .content_length = 10,
	                     .headers_length = 1};
	char text[16] = "";

	(void)state;
	set_op(fork, &op);
	assert_int_equal(fetch(fork), 0);
	assert_int_equal(kvmsb_memory_read(fork, buffer + PAGE - 5, text, 11), 0);
	assert_string_equal(text, "0123456789");
	assert_ptr_equal(op_of(fork).content, op.content);
	op.content_length = 9;
	set_op(fork, &op);
	assert_int_equal(fetch(fork), WRITE_ERROR);
	assert_int_equal(host.stored, -ENOSPC);
	assert_int_equal(op_of(fork).status, 0);
	/* Half of it in a page that can only be read. */
	fixture_value(fork, "make_read_only", NO_NUMBERS);
	op.content_length = 10;
	set_op(fork, &op);
	assert_int_equal(fetch(fork), WRITE_ERROR);
	assert_int_equal(host.stored, -EFAULT);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_mapping_ends_with_the_content(void **state)
{
	struct host host = {.body = pattern, .length = 3 * PAGE};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_result result;

	(void)state;
	assert_int_equal(fetch(fork), 0);
	assert_int_equal(op_of(fork).content_length, 3 * PAGE);
	result = fixture_call(fork, "read_past_content", NO_NUMBERS);
	assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.address, address_of(op_of(fork).content) + 3 * PAGE);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* What a call fetched is there for the next, until a reset. */
static void test_reset_takes_what_was_fetched(void **state)
{
	struct host host = {.body = NULL};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	uint64_t next = fixture_value(fork, "next_mapping", NO_NUMBERS), pages;

	(void)state;
	assert_int_equal(kvmsb_reset(fork), 0);
	pages = fixture_statistics(fork).pages_private;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fetch(fork), 0);
		assert_int_not_equal(fixture_value(fork, "next_mapping", NO_NUMBERS), next);
		assert_true(fixture_statistics(fork).pages_private >= pages + sizeof(pattern) / PAGE);
		assert_int_equal(fixture_value(fork, "sum_content", NO_NUMBERS),
		                 sum_of(pattern, sizeof(pattern)));
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_true(fixture_statistics(fork).pages_private < sizeof(pattern) / PAGE);
		assert_int_equal(fixture_value(fork, "next_mapping", NO_NUMBERS), next);
		assert_null(op_of(fork).content);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Limits and failures ---- */

static void test_memory_limit_of_a_fork(void **state)
{
	struct host host = {.body = pattern, .length = sizeof(pattern), .piece = 5000};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb *master, *fork;
	uint64_t next, pages;

	(void)state;
	options.fork_memory_limit = 256u << 10;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	next = fixture_value(fork, "next_mapping", NO_NUMBERS);
	pages = fixture_statistics(fork).pages_private;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fetch(fork), WRITE_ERROR);
		assert_int_equal(host.stored, -ENOMEM);
		assert_int_equal(fixture_value(fork, "next_mapping", NO_NUMBERS), next);
		assert_in_range(fixture_statistics(fork).pages_private, pages, pages + 4);
	}
	/* What fits is still there to be had. */
	host.length = 16u << 10;
	assert_int_equal(fetch(fork), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_failure_leaves_nothing(void **state)
{
	struct host host = {.code = -7};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	uint64_t next = fixture_value(fork, "next_mapping", NO_NUMBERS), pages;
	const struct curl_op before = op_of(fork);
	struct curl_op after;

	(void)state;
	pages = fixture_statistics(fork).pages_private;
	assert_int_equal(fetch(fork), -7);
	after = op_of(fork);
	assert_memory_equal(&after, &before, sizeof(before));
	assert_int_equal(fixture_value(fork, "next_mapping", NO_NUMBERS), next);
	assert_in_range(fixture_statistics(fork).pages_private, pages, pages + 4);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_denials_end_the_run(void **state)
{
	struct host host = {.body = NULL};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_result result;
	char url[1026];

	(void)state;
	memset(url, 'u', sizeof(url));
	url[1025] = '\0';
	write_at(fork, "url", url, sizeof(url));
	result = fixture_call(fork, "do_fetch", NUMBERS(0));
	assert_outcome(fork, &result, KVMSB_OUTCOME_DENIED);
	assert_string_equal(kvmsb_detail(fork), "String buffer too large");
	assert_int_equal(kvmsb_reset(fork), 0);
	url[1024] = '\0';
	write_at(fork, "url", url, sizeof(url));
	assert_int_equal(fetch(fork), 0);
	assert_int_equal(host.calls, 1);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/*
 * What is posted lies in pages of all kinds (of the program's file, written, copied, never
 * used), and stays as it is while the answer fills the fork's memory up to its limit.
 */
static void test_what_is_posted_stays(void **state)
{
	const struct kvmsb_path_rule rule = KVMSB_ALLOW_READ(PROGRAM);
	struct host host = {.body = pattern, .length = sizeof(pattern), .piece = 3 * PAGE};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb *master, *fork;
	struct curl_op op = {.post_buflen = 0};
	uint64_t wanted;

	(void)state;
	options.fork_memory_limit = 1u << 20;
	options.paths = &rule;
	options.path_count = 1;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	op.post_buffer = (void *)(uintptr_t)fixture_value(fork, "make_posted", NO_NUMBERS);
	assert_non_null(op.post_buffer);
	op.post_buflen = (uint32_t)fixture_value(fork, "length_of_posted", NO_NUMBERS);
	wanted = fixture_value(fork, "sum_posted", NO_NUMBERS);
	for (unsigned i = 0; i < 8; i++) {
		host.sums_first = i % 2 == 0;
		set_op(fork, &op);
		if (fetch(fork) == WRITE_ERROR)
			break;
		assert_int_equal(host.posted_length, op.post_buflen);
		assert_int_equal(host.posted_sum, wanted);
	}
	/* The last one found no room; both ways of it. */
	assert_int_equal(host.stored, -ENOMEM);
	assert_int_equal(host.posted_sum, wanted);
	host.sums_first = !host.sums_first;
	assert_int_equal(fetch(fork), WRITE_ERROR);
	assert_int_equal(host.posted_sum, wanted);
	assert_int_equal(fixture_value(fork, "sum_posted", NO_NUMBERS), wanted);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* The answer is stored where the body is: the guest gets the answer. */
static void test_answer_over_what_is_posted(void **state)
{
	struct host host = {.body = "answer", .length = 6, .sums_first = true};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	uint64_t buffer = fixture_symbol(fork, "buffer");
	const struct curl_op op = {.post_buffer = (void *)(uintptr_t)buffer,
	                           .post_buflen = 8192,
	                           .content = (void *)(uintptr_t)(buffer + PAGE),
	                           .content_length = 6};
	char text[7] = "";

	(void)state;
	set_op(fork, &op);
	assert_int_equal(fetch(fork), 0);
	assert_int_equal(host.posted_sum, 0);
	assert_int_equal(kvmsb_memory_read(fork, buffer + PAGE, text, 6), 0);
	assert_string_equal(text, "answer");
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Gives back what was posted. */
static int echo(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                struct kvmsb_fetch_answer *answer)
{
	(void)context;
	for (size_t i = 0; i < fetch->body_count; i++)
		kvmsb_fetch_body(answer, fetch->body[i].iov_base, fetch->body[i].iov_len);
	return 0;
}

/* The piece that is stored and where it goes are the same memory, or nearly. */
static void test_echo_over_what_is_posted(void **state)
{
	struct kvmsb_http_ops http = KVMSB_HTTP_OPS_INIT;
	struct kvmsb_options options = fixture_options(PROGRAM);
	struct kvmsb *master, *fork;
	char text[9] = "";

	(void)state;
	http.fetch = echo;
	options.http = &http;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	for (unsigned distance = 0; distance < 3; distance++) {
		uint64_t buffer = fixture_symbol(fork, "buffer");
		const struct curl_op op = {.post_buffer = (void *)(uintptr_t)(buffer + distance),
		                           .post_buflen = 8,
		                           .content = (void *)(uintptr_t)(buffer + 1),
		                           .content_length = 8};

		write_at(fork, "buffer", "abcdefghijklmnop", 16);
		set_op(fork, &op);
		assert_int_equal(fetch(fork), 0);
		assert_int_equal(kvmsb_memory_read(fork, buffer + 1, text, 8), 0);
		assert_memory_equal(text, &"abcdefghijklmnop"[distance], 8);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Main and requests ---- */

static void test_main_fetches_for_all_forks(void **state)
{
	const char *const arguments[] = {"fetch", "boot", NULL};
	struct host host = {.body = pattern, .length = sizeof(pattern)};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb *master, *fork;

	(void)state;
	options.arguments = arguments;
	master = fixture_master(&options);
	assert_int_equal(host.calls, 1);
	assert_null(host.context.request_user);
	for (unsigned i = 0; i < 2; i++) {
		fork = fixture_fork(master);
		assert_int_equal(op_of(fork).content_length, sizeof(pattern));
		assert_int_equal(fixture_value(fork, "sum_content", NO_NUMBERS),
		                 sum_of(pattern, sizeof(pattern)));
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(fixture_value(fork, "sum_content", NO_NUMBERS),
		                 sum_of(pattern, sizeof(pattern)));
		kvmsb_destroy(fork);
	}
	assert_int_equal(host.calls, 1);
	kvmsb_destroy(master);
}

static int request(struct kvmsb *fork, const char *argument, uint64_t timeout_ns, void *user,
                   struct kvmsb_http_response *response, struct kvmsb_result *result)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	*response = (struct kvmsb_http_response)KVMSB_HTTP_RESPONSE_INIT;
	*result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	request.url = "/";
	request.argument = argument;
	request.timeout_ns = timeout_ns;
	request.user = user;
	return kvmsb_request(fork, &request, response, result);
}

static void test_handler_answers_with_what_it_fetched(void **state)
{
	struct host host = {.body = NULL};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(request(fork, "http://x/", 0, &host, &response, &result), 0);
		assert_int_equal(response.status, 200);
		assert_string_equal(response.content_type, "text/plain");
		assert_true(body_is(&response, pattern, sizeof(pattern)));
		assert_ptr_equal(host.context.request_user, &host);
		if (i == 1)
			assert_int_equal(kvmsb_reset(fork), 0);
	}
	host.code = -28;
	assert_int_equal(request(fork, "http://x/", 0, &host, &response, &result), 0);
	assert_int_equal(response.status, 502);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- What a function of the host may do meanwhile ---- */

static void try_everything(struct host *host, const struct kvmsb_http_context *context,
                           const struct kvmsb_fetch *fetch)
{
	struct kvmsb *sandbox = context->sandbox;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	int *next = host->results;
	char byte;

	(void)fetch;
	call.symbol = "next_mapping";
	*next++ = request(sandbox, "x", 0, NULL, &response, &result);
	*next++ = kvmsb_vmcall(sandbox, &call, &result);
	*next++ = kvmsb_reset(sandbox);
	*next++ = kvmsb_run(sandbox, &result);
	*next++ = kvmsb_freeze(sandbox);
	*next++ = kvmsb_memory_write(sandbox, fixture_symbol(sandbox, "buffer"), "x", 1);
	*next++ = (int)kvmsb_response_read(sandbox, &byte, 1);
	*next++ = kvmsb_memory_read(sandbox, fixture_symbol(sandbox, "url"), &byte, 1);
}

static void test_sandbox_is_busy_meanwhile(void **state)
{
	struct host host = {.act = try_everything};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		memset(host.results, 0, sizeof(host.results));
		if (i == 0)
			assert_int_equal(fetch(fork), 0);
		else
			assert_int_equal(request(fork, "x", 0, NULL, &response, &result), 0);
		for (unsigned j = 0; j < 7; j++)
			assert_int_equal(host.results[j], -EBUSY);
		assert_int_equal(host.results[7], 0);
	}
	assert_int_equal(response.status, 200);
	assert_true(body_is(&response, pattern, sizeof(pattern)));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Before it has answered: what it stores then goes nowhere that could hurt. */
static void test_sandbox_destroyed_meanwhile(void **state)
{
	struct host host = {.destroys = true};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	(void)state;
	call.symbol = "do_fetch";
	assert_int_equal(kvmsb_vmcall(fork, &call, &result), -ECANCELED);
	fork = fixture_fork(master);
	assert_int_equal(request(fork, "x", 0, NULL, &response, &result), -ECANCELED);
	assert_int_equal(response.status, 0);
	host.destroys = false;
	fork = fixture_fork(master);
	assert_int_equal(fetch(fork), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* main() that fetches is ended, and freed, as a request is. */
static void test_program_destroyed_before_it_waits(void **state)
{
	const char *const arguments[] = {"fetch", "boot", NULL};
	struct host host = {.body = pattern, .length = sizeof(pattern), .destroys = true};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	(void)state;
	options.arguments = arguments;
	assert_int_equal(kvmsb_run(fixture_create(&options), &result), -ECANCELED);
	assert_int_equal(host.calls, 1);
}

/* Nothing of the host is called for what it has destroyed: on_error would fetch, too. */
static void test_destroyed_sandbox_is_over(void **state)
{
	const char *const arguments[] = {"fetch", "on_error", NULL};
	struct host host = {.destroys = true};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	struct kvmsb *master;

	(void)state;
	options.arguments = arguments;
	master = fixture_master(&options);
	assert_int_equal(request(fixture_fork(master), "x", 0, NULL, &response, &result), -ECANCELED);
	assert_int_equal(host.calls, 1);
	kvmsb_destroy(master);
}

static void sleep_long(struct host *host, const struct kvmsb_http_context *context,
                       const struct kvmsb_fetch *fetch)
{
	const struct timespec pause = {.tv_nsec = 120000000};
	struct timespec now;
	uint64_t left;

	(void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left = fetch->deadline_ns - ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	host->results[0] = left <= 60000000;
	nanosleep(&pause, NULL);
	host->act = NULL;
}

static void test_time_is_over_meanwhile(void **state)
{
	struct host host = {.act = sleep_long};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	struct kvmsb_result result = fixture_call_within(fork, "do_fetch", NUMBERS(0), 60000000);

	(void)state;
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(host.results[0], 1);
	assert_int_equal(kvmsb_reset(fork), 0);
	host.act = sleep_long;
	assert_int_equal(request(fork, "x", 60000000, NULL, &response, &result), 0);
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(response.status, 500);
	assert_int_equal(response.source, KVMSB_HTTP_FROM_HOST);
	assert_string_equal(response.exception, "Timeout Exception");
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fetch(fork), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* on_error begins with time of its own, and may fetch what it answers. */
static void test_on_error_fetches(void **state)
{
	const char *const arguments[] = {"fetch", "on_error", NULL};
	struct host host = {.body = "page", .length = 4, .act = sleep_long};
	struct kvmsb_http_ops http;
	struct kvmsb_options options = options_for(&host, &http);
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	struct kvmsb *master, *fork;

	(void)state;
	options.arguments = arguments;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	assert_int_equal(request(fork, "x", 60000000, NULL, &response, &result), 0);
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(response.source, KVMSB_HTTP_FROM_ON_ERROR);
	assert_int_equal(response.status, 200);
	assert_true(body_is(&response, "page", 4));
	assert_int_equal(host.calls, 2);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Requests to the host itself ---- */

struct chain {
	struct kvmsb *forks[6];
	unsigned depth, deepest;
	int failed;
};

/* Another fork handles it, and what that answers is the answer. */
static int handle_by_next(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                          struct kvmsb_fetch_answer *answer)
{
	struct chain *chain = context->user;
	struct kvmsb *next = chain->forks[++chain->depth];
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	if (next == NULL) {
		chain->deepest = chain->depth--;
		kvmsb_fetch_status(answer, 203, "the/end");
		return kvmsb_fetch_body(answer, pattern, 5000);
	}
	if (request(next, fetch->url, 0, NULL, &response, &result) < 0)
		chain->failed++;
	kvmsb_fetch_status(answer, (uint32_t)response.status, response.content_type);
	for (size_t i = 0; i < response.body_count; i++)
		kvmsb_fetch_body(answer, response.body[i].iov_base, response.body[i].iov_len);
	chain->depth--;
	return 0;
}

static void test_forks_call_each_other(void **state)
{
	struct chain chain = {.depth = 0};
	struct kvmsb_options options = fixture_options(PROGRAM);
	struct kvmsb_http_ops http = KVMSB_HTTP_OPS_INIT;
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	struct kvmsb *master;

	(void)state;
	http.user = &chain;
	http.self_request = handle_by_next;
	options.http = &http;
	master = fixture_master(&options);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(chain.forks); i++)
		chain.forks[i] = fixture_fork(master);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(request(chain.forks[0], "/next", 0, NULL, &response, &result), 0);
		assert_int_equal(response.status, 203);
		assert_string_equal(response.content_type, "the/end");
		assert_true(body_is(&response, pattern, 5000));
		assert_int_equal(chain.deepest, ARRAY_SIZE(chain.forks) - 1);
		assert_int_equal(chain.failed, 0);
		for (size_t j = 0; j + 1 < ARRAY_SIZE(chain.forks); j++)
			assert_int_equal(kvmsb_reset(chain.forks[j]), 0);
	}
	for (size_t i = 0; i + 1 < ARRAY_SIZE(chain.forks); i++)
		kvmsb_destroy(chain.forks[i]);
	kvmsb_destroy(master);
}

/* A program that fetches from itself: the sandbox is busy, and hears so. */
static void ask_itself(struct host *host, const struct kvmsb_http_context *context,
                       const struct kvmsb_fetch *fetch)
{
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	host->results[0] = request(context->sandbox, fetch->url, 0, NULL, &response, &result);
	host->code = -1;
}

static void test_sandbox_cannot_call_itself(void **state)
{
	struct host host = {.act = ask_itself};
	struct kvmsb *master = master_for(&host), *fork = fixture_fork(master);
	struct kvmsb_http_response response;
	struct kvmsb_result result;

	(void)state;
	assert_int_equal(request(fork, "/itself", 0, NULL, &response, &result), 0);
	assert_int_equal(response.status, 502);
	assert_int_equal(host.results[0], -EBUSY);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Several threads ---- */

struct client {
	pthread_t thread;
	struct kvmsb *fork;
	unsigned good;
};

static int answer_to_any(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                         struct kvmsb_fetch_answer *answer)
{
	unsigned char own[9000];

	(void)context;
	memset(own, fetch->url[0], sizeof(own));
	kvmsb_fetch_status(answer, 200, NULL);
	return kvmsb_fetch_body(answer, own, sizeof(own));
}

static void *be_client(void *user)
{
	struct client *client = user;

	for (unsigned i = 0; i < 50; i++) {
		struct kvmsb_http_response response;
		struct kvmsb_result result;
		const char argument[] = {(char)('a' + i % 26), '\0'};
		unsigned char wanted[9000];

		memset(wanted, argument[0], sizeof(wanted));
		if (request(client->fork, argument, 0, client, &response, &result) == 0 &&
		    response.status == 200 && body_is(&response, wanted, sizeof(wanted)) &&
		    kvmsb_reset(client->fork) == 0)
			client->good++;
	}
	return NULL;
}

static void test_forks_fetch_at_once(void **state)
{
	struct kvmsb_options options = fixture_options(PROGRAM);
	struct kvmsb_http_ops http = KVMSB_HTTP_OPS_INIT;
	struct client clients[3];
	struct kvmsb *master;

	(void)state;
	http.fetch = answer_to_any;
	options.http = &http;
	master = fixture_master(&options);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = (struct client){.fork = fixture_fork(master)};
		assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		pthread_join(clients[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_int_equal(clients[i].good, 50);
		kvmsb_destroy(clients[i].fork);
	}
	kvmsb_destroy(master);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_transports_on_each_path),
		TEST(test_without_a_function_there_is_nothing),
		TEST(test_guests_own_buffer),
		TEST(test_mapping_ends_with_the_content),
		TEST(test_reset_takes_what_was_fetched),
		TEST(test_memory_limit_of_a_fork),
		TEST(test_failure_leaves_nothing),
		TEST(test_denials_end_the_run),
		TEST(test_what_is_posted_stays),
		TEST(test_answer_over_what_is_posted),
		TEST(test_echo_over_what_is_posted),
		TEST(test_main_fetches_for_all_forks),
		TEST(test_handler_answers_with_what_it_fetched),
		TEST(test_sandbox_is_busy_meanwhile),
		TEST(test_sandbox_destroyed_meanwhile),
		TEST(test_program_destroyed_before_it_waits),
		TEST(test_destroyed_sandbox_is_over),
		TEST(test_time_is_over_meanwhile),
		TEST(test_on_error_fetches),
		TEST(test_forks_call_each_other),
		TEST(test_sandbox_cannot_call_itself),
		TEST(test_forks_fetch_at_once),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (unsigned char)(i * 7 + i / 4096);
	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
