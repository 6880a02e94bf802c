/* SPDX-License-Identifier: MIT */
/*
 * What functions of the host may do while a guest waits for them, whichever it
 * is: the sandbox is busy, it can be destroyed, others can be used, and the
 * guest's time goes on. Each function of the host that a request can lead to is
 * a row; a request to a url of its name leads to it (guests/callbacks.c).
 */
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define PROGRAM GUEST("callbacks-static")

struct place {
	const char *name;
	bool in_guests_time; /* the guest waits for it inside of a run, which has an end */
	bool fails;          /* the request fails, whatever the function does */
	bool needs_body;
};

static const struct place places[] = {
	{"log", true, false, false},           {"method", true, false, false},
	{"cache_policy", true, false, false},  {"header_find", true, false, false},
	{"header_append", true, false, false}, {"header_set", true, false, false},
	{"header_unset", true, false, false},  {"fetch", true, false, false},
	{"self_request", true, false, false},  {"socket_write", true, false, false},
	{"regex_compile", true, false, false}, {"regex_match", true, false, false},
	{"write", true, false, false},         {"read", true, false, false},
	{"trace", true, false, false},         {"override", true, false, false},
	{"path", true, false, false},          {"body_read", false, false, true},
	{"error_page", false, true, false},
};

struct host {
	const char *where; /* the function that does something; NULL: none */
	void (*act)(struct host *host);
	struct kvmsb *master, *fork;
	_Atomic unsigned calls; /* of all functions */
	unsigned visits;        /* of the one that acts */
	unsigned left;          /* bytes of the body */
	int results[8];
	unsigned good;
};

/* Every function of the host begins with it. */
static void meet(struct host *host, const char *name)
{
	host->calls++;
	if (host->where == NULL || host->act == NULL || strcmp(host->where, name) != 0)
		return;
	host->visits++;
	host->act(host);
}

/* ---- The functions ---- */

static int64_t header_find(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                           const char *name, size_t length, struct kvmsb_http_field *field)
{
	(void)side;
	(void)name;
	(void)length;
	(void)field;
	meet(context->user, "header_find");
	return -ENOENT;
}

static int64_t header_next(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                           size_t position, struct kvmsb_http_field *field)
{
	(void)side;
	(void)position;
	(void)field;
	meet(context->user, "header_next");
	return -ENOENT;
}

static int64_t header_append(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                             const char *text, size_t length)
{
	(void)side;
	(void)text;
	(void)length;
	meet(context->user, "header_append");
	return 0;
}

static int64_t header_set(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                          const char *text, size_t length)
{
	(void)side;
	(void)text;
	(void)length;
	meet(context->user, "header_set");
	return 0;
}

static int64_t header_unset(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
                            const char *name, size_t length)
{
	(void)side;
	(void)name;
	(void)length;
	meet(context->user, "header_unset");
	return -ENOENT;
}

static const char *method(const struct kvmsb_http_context *context)
{
	meet(context->user, "method");
	return "GET";
}

static int cache_policy(const struct kvmsb_http_context *context,
                        const struct kvmsb_http_cache *policy)
{
	(void)policy;
	meet(context->user, "cache_policy");
	return 0;
}

static void log_text(const struct kvmsb_http_context *context, const char *text, size_t length)
{
	(void)text;
	(void)length;
	meet(context->user, "log");
}

static int fetch(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                 struct kvmsb_fetch_answer *answer)
{
	(void)request;
	meet(context->user, "fetch");
	return kvmsb_fetch_body(answer, "body", 4);
}

static int self_request(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                        struct kvmsb_fetch_answer *answer)
{
	(void)request;
	(void)answer;
	meet(context->user, "self_request");
	return -1;
}

static int64_t body_read(const struct kvmsb_http_context *context, void *buffer, size_t size)
{
	struct host *host = context->user;
	unsigned length = (unsigned)min_u64(host->left, size);

	meet(host, "body_read");
	memset(buffer, 'b', length);
	host->left -= length;
	return length;
}

static int64_t socket_write(const struct kvmsb_http_context *context, int descriptor,
                            const struct iovec *pieces, size_t count)
{
	(void)descriptor;
	(void)pieces;
	(void)count;
	meet(context->user, "socket_write");
	return 4;
}

static int regex_compile(const struct kvmsb_http_context *context, const char *pattern,
                         size_t length, void **regex)
{
	(void)pattern;
	(void)length;
	*regex = context->user;
	meet(context->user, "regex_compile");
	return 0;
}

static int regex_match(const struct kvmsb_http_context *context, void *regex, const char *text,
                       size_t length, size_t start, size_t groups[][2], size_t maximum)
{
	(void)regex;
	(void)text;
	(void)maximum;
	meet(context->user, "regex_match");
	groups[0][0] = start;
	groups[0][1] = length;
	return 1;
}

/* Not one of those that a guest waits for: it comes with the end of a sandbox, too. */
static void regex_free(void *user, void *regex)
{
	assert_ptr_equal(user, regex);
}

static int error_page(const struct kvmsb_http_context *context, const char *exception,
                      const char **content_type, struct iovec *body)
{
	(void)exception;
	(void)content_type;
	(void)body;
	meet(context->user, "error_page");
	return 555;
}

static int64_t stream_write(void *user, const void *data, size_t length)
{
	(void)data;
	meet(user, "write");
	return (int64_t)length;
}

static int64_t stream_read(void *user, void *data, size_t length)
{
	(void)data;
	(void)length;
	meet(user, "read");
	return 0;
}

static void trace(void *user, const struct kvmsb_trace_event *event)
{
	(void)event;
	meet(user, "trace");
}

static int64_t override(void *user, const struct kvmsb_system_call *call)
{
	(void)call;
	meet(user, "override");
	return 7;
}

static int path(void *user, struct kvmsb_path_request *request)
{
	(void)request;
	meet(user, "path");
	return -ENOENT;
}

/* ---- A world with all of them ---- */

struct world {
	struct host host;
	struct kvmsb_http_ops http;
	struct kvmsb_policy policy;
	struct kvmsb_override override;
	struct kvmsb_options options;
};

static void set_http(struct world *world)
{
	world->http = (struct kvmsb_http_ops){
		.size = sizeof(world->http),
		.user = &world->host,
		.header_find = header_find,
		.header_next = header_next,
		.header_append = header_append,
		.header_set = header_set,
		.header_unset = header_unset,
		.method = method,
		.cache_policy = cache_policy,
		.log = log_text,
		.fetch = fetch,
		.self_request = self_request,
		.regex_compile = regex_compile,
		.regex_match = regex_match,
		.regex_free = regex_free,
		.body_read = body_read,
		.socket_write = socket_write,
		.error_page = error_page,
	};
	world->options.http = &world->http;
}

static void set_options(struct world *world, const char *const *arguments)
{
	struct kvmsb_options *options = &world->options;

	*options = fixture_options(PROGRAM);
	options->arguments = arguments;
	options->standard_output.write = stream_write;
	options->standard_output.user = &world->host;
	options->standard_input.read = stream_read;
	options->standard_input.user = &world->host;
	options->trace = trace;
	options->trace_user = &world->host;
	world->policy = (struct kvmsb_policy)KVMSB_POLICY_INIT;
	world->policy.user = &world->host;
	world->policy.path = path;
	options->policy = &world->policy;
	world->override = (struct kvmsb_override){
		.number = SYS_getppid, .function = override, .user = &world->host};
	options->overrides = &world->override;
	options->override_count = 1;
}

static void start(struct world *world, const char *kind)
{
	const char *const arguments[] = {"callbacks", kind, NULL};

	*world = (struct world){.host = {.where = NULL}};
	set_options(world, arguments);
	set_http(world);
	/* What a function uses has the processor of the guest that waits for it. */
	world->options.vcpu_limit = 1;
	world->host.master = fixture_master(&world->options);
	world->host.fork = fixture_fork(world->host.master);
}

static void finish(struct world *world)
{
	kvmsb_destroy(world->host.fork);
	kvmsb_destroy(world->host.master);
}

struct outcome {
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	int code;
};

static struct outcome ask(struct kvmsb *fork, const char *url, bool with_body, uint64_t timeout_ns)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct outcome outcome = {.response = KVMSB_HTTP_RESPONSE_INIT, .result = KVMSB_RESULT_INIT};

	request.url = url;
	request.timeout_ns = timeout_ns;
	request.flags = with_body ? KVMSB_HTTP_BODY_STREAMED : 0;
	outcome.code = kvmsb_request(fork, &request, &outcome.response, &outcome.result);
	return outcome;
}

/* Leads to the place, where the host acts so. */
static struct outcome lead_to(struct host *host, const struct place *place,
                              void (*act)(struct host *host), uint64_t timeout_ns)
{
	char url[32];

	snprintf(url, sizeof(url), "/%s", place->name);
	host->where = place->name;
	host->act = act;
	host->visits = 0;
	host->left = 100000;
	return ask(host->fork, url, place->needs_body, timeout_ns);
}

static void on_each_place(struct world *world,
                          void (*check)(struct world *world, const struct place *place))
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		print_message(" %s", places[i].name);
		check(world, &places[i]);
		world->host.where = NULL;
		assert_int_equal(kvmsb_reset(world->host.fork), 0);
		assert_int_equal(ask(world->host.fork, "/none", false, 0).response.status, 200);
		assert_int_equal(kvmsb_reset(world->host.fork), 0);
	}
}

/* Handlers with bodies as a whole and in pieces, and a loop. */
static void in_each_kind(void (*check)(struct world *world, const struct place *place))
{
	static const char *const kinds[] = {"handlers", "stream", "loop"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct world world;

		print_message("%s:", kinds[i]);
		start(&world, kinds[i]);
		on_each_place(&world, check);
		print_message("\n");
		finish(&world);
	}
}

static void assert_served(const struct outcome *outcome, const struct place *place)
{
	assert_int_equal(outcome->code, 0);
	assert_int_equal(outcome->response.status, place->fails ? 555 : 200);
}

/* ---- The sandbox is busy ---- */

static void try_everything(struct host *host)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	int *next = host->results;
	char byte;

	call.symbol = "main";
	*next++ = ask(host->fork, "/none", false, 0).code;
	*next++ = kvmsb_vmcall(host->fork, &call, &result);
	*next++ = kvmsb_reset(host->fork);
	*next++ = kvmsb_run(host->fork, &result);
	*next++ = kvmsb_freeze(host->fork);
	*next++ = (int)kvmsb_response_read(host->fork, &byte, 1);
	host->good = kvmsb_memory_read(host->fork, fixture_symbol(host->fork, "main"), &byte, 1) == 0;
}

static void check_busy(struct world *world, const struct place *place)
{
	struct outcome outcome = lead_to(&world->host, place, try_everything, 0);

	assert_served(&outcome, place);
	assert_true(world->host.visits > 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(world->host.results[i], -EBUSY);
	assert_int_equal(world->host.good, 1);
}

static void sandbox_is_busy(void **unused)
{
	(void)unused;
	in_each_kind(check_busy);
}

/* ---- It is destroyed ---- */

static void destroy(struct host *host)
{
	kvmsb_destroy(host->fork);
	host->fork = NULL;
	host->calls = 0;
}

static void check_destroyed(struct world *world, const struct place *place)
{
	struct host *host = &world->host;
	struct outcome outcome = lead_to(host, place, destroy, 0);

	host->fork = fixture_fork(host->master);
	assert_int_equal(outcome.code, -ECANCELED);
	assert_int_equal(outcome.response.status, 0);
	assert_int_equal(host->visits, 1);
	/* Whose sandbox it was hears of it no more. */
	assert_int_equal(host->calls, 0);
}

static void sandbox_is_destroyed(void **unused)
{
	(void)unused;
	in_each_kind(check_destroyed);
}

/* ---- Others are used ---- */

/* Another fork of the master: made, asked, reset, asked, destroyed. */
static void use_another(struct host *host)
{
	const char *const where = host->where;
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *other;

	/* That one's requests are without a function that acts. */
	host->where = NULL;
	if (kvmsb_fork(host->master, &other, &error) == 0) {
		for (unsigned i = 0; i < 2; i++)
			if (ask(other, "/fetch", false, 0).response.status != 200 ||
			    kvmsb_reset(other) < 0)
				host->good = 1000;
		host->good++;
		kvmsb_destroy(other);
	}
	host->where = where;
}

static void check_another(struct world *world, const struct place *place)
{
	struct outcome outcome;

	world->host.good = 0;
	outcome = lead_to(&world->host, place, use_another, 0);
	assert_served(&outcome, place);
	assert_true(world->host.visits > 0);
	assert_int_equal(world->host.good, world->host.visits);
}

static void others_are_used(void **unused)
{
	(void)unused;
	in_each_kind(check_another);
}

/* ---- Time goes on ---- */

#define TIME_LIMIT scaled_ms(20)

static void sleep_past_limit(struct host *host)
{
	const uint64_t time = TIME_LIMIT + scaled_ms(10);
	const struct timespec pause = {.tv_sec = (time_t)(time / 1000000000),
	                               .tv_nsec = (long)(time % 1000000000)};

	/* Once: there may be many calls of it. */
	host->act = NULL;
	nanosleep(&pause, NULL);
}

static void check_time(struct world *world, const struct place *place)
{
	struct outcome outcome = lead_to(&world->host, place, sleep_past_limit, TIME_LIMIT);

	assert_int_equal(world->host.visits, 1);
	if (!place->in_guests_time) {
		assert_served(&outcome, place);
		return;
	}
	assert_int_equal(outcome.code, 0);
	assert_outcome(world->host.fork, &outcome.result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(outcome.response.status, 555);
	assert_int_equal(outcome.response.source, KVMSB_HTTP_FROM_HOST);
	assert_string_equal(outcome.response.exception, "Timeout Exception");
}

static void time_goes_on(void **unused)
{
	(void)unused;
	in_each_kind(check_time);
}

/* ---- Between requests, and piece by piece ---- */

/* main() runs on to its wait when the next request comes in. */
static void before_the_next_request(void **unused)
{
	struct world world;
	struct host *host = &world.host;
	struct outcome outcome;

	(void)unused;
	start(&world, "loop");
	host->where = "fetch";
	host->act = try_everything;
	assert_int_equal(ask(host->fork, "/later/fetch", false, 0).response.status, 200);
	assert_int_equal(host->visits, 0);
	assert_int_equal(ask(host->fork, "/later/fetch", false, 0).response.status, 200);
	assert_int_equal(host->visits, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(host->results[i], -EBUSY);
	host->act = destroy;
	outcome = ask(host->fork, "/none", false, 0);
	host->fork = fixture_fork(host->master);
	assert_int_equal(outcome.code, -ECANCELED);
	assert_int_equal(host->calls, 0);
	finish(&world);
}

/* Or when it is frozen after it was warmed up. */
static void while_it_is_frozen(void **unused)
{
	const char *const arguments[] = {"callbacks", "loop", NULL};
	struct world world = {.host = {.where = NULL}};
	struct host *host = &world.host;

	(void)unused;
	set_options(&world, arguments);
	set_http(&world);
	for (unsigned i = 0; i < 2; i++) {
		host->fork = fixture_ready(&world.options);
		host->where = "fetch";
		host->act = i == 0 ? try_everything : destroy;
		host->visits = 0;
		assert_int_equal(ask(host->fork, "/later/fetch", false, 0).response.status, 200);
		assert_int_equal(host->visits, 0);
		assert_int_equal(kvmsb_freeze(host->fork), i == 0 ? 0 : -ECANCELED);
		assert_int_equal(host->visits, 1);
		if (i == 0)
			kvmsb_destroy(host->fork);
	}
	assert_int_equal(host->calls, 0);
}

static void while_a_response_is_read(void **unused)
{
	struct world world;
	struct host *host = &world.host;
	char bytes[32];

	(void)unused;
	start(&world, "handlers");
	host->where = "fetch";
	host->act = try_everything;
	assert_int_equal(ask(host->fork, "/stream/fetch", false, 0).response.is_streamed, 1);
	assert_int_equal(kvmsb_response_read(host->fork, bytes, sizeof(bytes)), 10);
	assert_int_equal(host->visits, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(host->results[i], -EBUSY);
	host->act = use_another;
	host->good = 0;
	assert_int_equal(kvmsb_response_read(host->fork, bytes, sizeof(bytes)), 10);
	assert_int_equal(host->good, 1);
	assert_int_equal(kvmsb_response_read(host->fork, bytes, sizeof(bytes)), 0);
	assert_int_equal(ask(host->fork, "/stream/fetch", false, 0).response.is_streamed, 1);
	host->act = destroy;
	assert_int_equal(kvmsb_response_read(host->fork, bytes, sizeof(bytes)), -ECANCELED);
	assert_int_equal(host->calls, 0);
	finish(&world);
}

/* ---- Threads ---- */

struct client {
	pthread_t thread;
	struct kvmsb *fork;
	unsigned good;
};

static void *be_client(void *user)
{
	static const char *const urls[] = {"/log",   "/fetch", "/header_set", "/socket_write",
	                                   "/write", "/path",  "/override",   "/self_request"};
	struct client *client = user;

	for (size_t i = 0; i < 40; i++)
		if (ask(client->fork, urls[i % ARRAY_SIZE(urls)], false, 0).response.status == 200 &&
		    kvmsb_reset(client->fork) == 0)
			client->good++;
	return NULL;
}

/* None of the functions does more than to count: they are called by several threads at once. */
static void forks_on_several_threads(void **unused)
{
	const char *const arguments[] = {"callbacks", NULL};
	struct world world = {.host = {.where = NULL}};
	struct client clients[3];

	(void)unused;
	set_options(&world, arguments);
	set_http(&world);
	world.host.master = fixture_master(&world.options);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = (struct client){.fork = fixture_fork(world.host.master)};
		assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		pthread_join(clients[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_int_equal(clients[i].good, 40);
		kvmsb_destroy(clients[i].fork);
	}
	kvmsb_destroy(world.host.master);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sandbox_is_busy),          TEST(sandbox_is_destroyed),
		TEST(others_are_used),          TEST(time_goes_on),
		TEST(before_the_next_request),  TEST(while_it_is_frozen),
		TEST(while_a_response_is_read), TEST(forks_on_several_threads),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
