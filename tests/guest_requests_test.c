/* SPDX-License-Identifier: MIT */
/*
 * Requests as programs of the guest API see them: which handler has one, what
 * it is given, how its answer is taken, and what becomes of one that fails. Each
 * test is one rule of the API; tests/guests/requests.c says what it was given.
 */
#include "http_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct scene open_requests(const char *letters, const char *on_error_does)
{
	const struct kvmsb_options options = http_options(GUEST("requests-static"), letters,
	                                                  on_error_does);

	return http_open(&options);
}

static uint64_t sum_of(const void *bytes, size_t length)
{
	const uint8_t *byte = bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = sum * 31 + byte[i];
	return sum;
}

/* ---- Which handler ---- */

static const struct {
	const char *letters;
	const char *without,
		*with; /* how the answers to a request without a body and with one begin; NULL: none */
} choices[] = {
	{"", NULL, NULL},
	{"e", NULL, NULL},
	{"s", NULL, NULL},
	{"g", "get ", NULL},
	{"p", NULL, "post "},
	{"gp", "get ", "post "},
	{"r", "request ", "request "},
	{"gpr", "request ", "request "},
	{"w", "paused ", "paused "},
	{"gw", "get ", "paused "},
	{"pw", "paused ", "post "},
	{"gpw", "get ", "post "},
	{"rw", "request ", "request "},
	{"gps", "get ", "post "},
	{"gs", "get ", NULL},
};

static void check_choice(struct kvmsb *fork, const char *method, bool has_body, const char *wanted)
{
	const struct iovec body = {.iov_base = (void *)(uintptr_t) "body", .iov_len = 4};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct reply reply;

	request.method = method;
	request.url = "/";
	request.body = &body;
	request.body_count = has_body;
	if (wanted == NULL) {
		http_refused(fork, &request, -EOPNOTSUPP);
		return;
	}
	reply = http_ask(fork, &request);
	assert_int_equal(reply.response.status, 200);
	if (strncmp(reply.body, wanted, strlen(wanted)) != 0)
		fail_msg("%s %s a body: %s, not %s", method, has_body ? "with" : "without",
		         reply.body, wanted);
}

static void the_body_decides_who_handles(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const struct scene scene = open_requests(choices[i].letters, NULL);

		/* The second of each is in a sandbox that was kept. */
		check_choice(scene.fork, "GET", false, choices[i].without);
		check_choice(scene.fork, "POST", true, choices[i].with);
		http_reset(&scene);
		check_choice(scene.fork, "DELETE", true, choices[i].with);
		check_choice(scene.fork, "POST", false, choices[i].without);
		http_close(&scene);
	}
}

static void handlers_are_called_as_any_function(void **unused)
{
	const struct scene scene = open_requests("gp", NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct reply reply;

	(void)unused;
	request.url = "/a%20b?c=%64";
	request.argument = "{\"an\": \"argument\"}";
	reply = http_ask(scene.fork, &request);
	assert_text(&reply, 200, "get /a%20b?c=%64 [{\"an\": \"argument\"}]");
	reply = http_get(scene.fork, "");
	assert_text(&reply, 200, "get  []");
	http_close(&scene);
}

/* ---- The first response is the one ---- */

static void the_first_response_counts(void **unused)
{
	static const char *const letters[] = {"g", "r", "w"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct reply reply = http_get(scene.fork, "/twice");

		assert_text(&reply, 201, "first");
		assert_string_equal(reply.response.content_type, "text/first");
		assert_int_equal(reply.result.outcome, KVMSB_OUTCOME_HYPERCALL);
		assert_int_equal(reply.result.hypercall, 0x10010);
		http_close(&scene);
	}
}

/* What it would have done next is never done: the next call is another one. */
static void a_function_ends_with_its_response(void **unused)
{
	static const char *const paths[] = {"/then-crash", "/then-exit", "/then-spin", "/twice"};
	const struct scene scene = open_requests("g", NULL);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct reply reply = http_get(scene.fork, paths[i]);

		assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_HANDLER);
		reply = http_get(scene.fork, "/x");
		assert_text(&reply, 200, "get /x []");
	}
	http_close(&scene);
}

/* ---- Kept and reset ---- */

static void state_is_kept_until_a_reset(void **unused)
{
	static const char *const letters[] = {"g", "r", "w"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct reply reply;

		for (unsigned round = 0; round < 3; round++) {
			reply = http_get(scene.fork, "/count");
			assert_text(&reply, 200, "1");
			reply = http_get(scene.fork, "/count");
			assert_text(&reply, 200, "2");
			http_reset(&scene);
		}
		http_close(&scene);
	}
}

static void a_loop_goes_on_at_the_next_request(void **unused)
{
	static const char *const paths[] = {"/then-crash", "/then-exit", "/then-spin"};
	const struct scene scene = open_requests("w", NULL);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct reply reply = http_get(scene.fork, paths[i]);

		assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_HANDLER);
		reply = http_get(scene.fork, "/x");
		assert_failed(&reply, "VM did not wait for requests after backend request");
		http_reset(&scene);
		reply = http_get(scene.fork, "/x");
		assert_text(&reply, 200, "paused /x []  no data, 0");
	}
	http_close(&scene);
}

/* One answers, and the loop goes on over the others. */
static void further_responses_of_a_loop_are_nothing(void **unused)
{
	const struct scene scene = open_requests("w", NULL);
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		reply = http_get(scene.fork, "/twice");
		assert_text(&reply, 201, "first");
	}
	reply = http_get(scene.fork, "/x");
	assert_text(&reply, 200, "paused /x []  no data, 0");
	http_close(&scene);
}

static void a_reset_forgets_what_a_loop_would_have_done(void **unused)
{
	const struct scene scene = open_requests("w", NULL);
	struct reply reply;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		reply = http_get(scene.fork, "/then-crash");
		assert_text(&reply, 200, "crashes now");
		http_reset(&scene);
	}
	http_close(&scene);
}

/* ---- Failures ---- */

#define NOT_SET "HTTP response not set. Program crashed? Check logs!"
#define PROTECTED "General Protection Fault"

static const struct failure {
	const char *path, *exception;
	enum kvmsb_outcome outcome;
} failures[] = {
	{"/nothing", NOT_SET, KVMSB_OUTCOME_RETURNED},
	{"/exit", NOT_SET, KVMSB_OUTCOME_EXITED},
	{"/abort", NOT_SET, KVMSB_OUTCOME_EXITED},
	{"/null", "Kernel or zero page fault", KVMSB_OUTCOME_FAULTED},
	{"/kernel", "Kernel or zero page fault", KVMSB_OUTCOME_FAULTED},
	{"/unmapped", "page_at: ", KVMSB_OUTCOME_FAULTED},
	{"/text", "page_at: ", KVMSB_OUTCOME_FAULTED},
	{"/jump", "page_at: ", KVMSB_OUTCOME_FAULTED},
	{"/stack", "page_at: ", KVMSB_OUTCOME_FAULTED},
	{"/not-canonical", PROTECTED, KVMSB_OUTCOME_FAULTED},
	{"/privileged", PROTECTED, KVMSB_OUTCOME_FAULTED},
	{"/divide", "Divide-by-zero Error", KVMSB_OUTCOME_FAULTED},
	{"/illegal", "Invalid Opcode", KVMSB_OUTCOME_FAULTED},
	{"/breakpoint", "Breakpoint", KVMSB_OUTCOME_FAULTED},
	{"/stack-segment", "Stack-Segment Fault", KVMSB_OUTCOME_FAULTED},
	{"/x87", "x87 Floating-point Exception", KVMSB_OUTCOME_FAULTED},
	{"/simd", "SIMD Floating-point Exception", KVMSB_OUTCOME_FAULTED},
	{"/spin", "Timeout Exception", KVMSB_OUTCOME_TIMED_OUT},
	{"/devour", "Out of working memory", KVMSB_OUTCOME_OUT_OF_MEMORY},
	{"/bad-status", "Invalid HTTP status code returned by program", KVMSB_OUTCOME_DENIED},
	{"/bad-type", "Content-type length overflow", KVMSB_OUTCOME_DENIED},
	{"/bad-content", "", KVMSB_OUTCOME_DENIED},
	{"/bad-field", "HTTP header field had no colon", KVMSB_OUTCOME_DENIED},
	{"/register", "register_func(): Cannot be called after initialization", KVMSB_OUTCOME_DENIED},
	{"/wait", "wait_for_requests(): Cannot be called after initialization", KVMSB_OUTCOME_DENIED},
	{"/wait-paused", "wait_for_requests", KVMSB_OUTCOME_DENIED},
	{"/ephemeral", "Cannot change ephemeralness after initialization", KVMSB_OUTCOME_DENIED},
};

/* The signal that this processor, which may be an emulated one, ends a process with; 0: none. */
static int signal_of(void (*act)(void))
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		/* cmocka's would go on with the tests here. */
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGFPE, SIG_DFL);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void use_wild_stack(void)
{
	__asm__ volatile("movabsq $0x8000000000000000, %rsp\n\tpopq %rax");
}

static void divide_unmasked(void)
{
	const uint32_t all_unmasked = 0;
	volatile double zero = 0;

	__asm__ volatile("ldmxcsr %0" ::"m"(all_unmasked));
	zero = 1.0 / zero;
}

/*
 * QEMU's emulation of a processor raises #GP for a stack address that is not
 * canonical, where #SS is right (Intel SDM volume 3A, 6.15), and no #XM at all.
 */
static bool is_raised_here(const char *path)
{
	if (strcmp(path, "/stack-segment") == 0)
		return signal_of(use_wild_stack) == SIGBUS;
	return strcmp(path, "/simd") != 0 || signal_of(divide_unmasked) == SIGFPE;
}

static struct reply ask_to_fail(const struct scene *scene, const char *path, uint32_t flags)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = path;
	request.argument = "arg";
	request.flags = flags;
	/* All others end by themselves, however slow the machine is. */
	if (strcmp(path, "/spin") == 0)
		request.timeout_ns = scaled_ms(100);
	return http_ask(scene->fork, &request);
}

/* With little memory, which is soon used up. */
static struct scene open_to_fail(const char *letters)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), letters, NULL);

	options.fork_memory_limit = 8 << 20;
	return http_open(&options);
}

/* The fork is in use again after its reset. */
static void check_recovery(const struct scene *scene)
{
	struct reply reply;

	http_reset(scene);
	reply = http_get(scene->fork, "/x");
	assert_text(&reply, 200, "get /x []");
	http_reset(scene);
}

/* The text that it had is the one that the host has. */
static void check_told(struct reply *reply, const struct failure *failure)
{
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "%s [arg] %s", failure->path, failure->exception);
	if (strncmp(reply->body, wanted, strlen(wanted)) != 0)
		fail_msg("%s: \"%s\", not \"%s\"; %s", failure->path, reply->body, wanted,
		         fixture_describe(reply->sandbox, &reply->result));
	assert_string_equal(strstr(reply->body, "] ") + 2, reply->response.exception);
	assert_int_equal(reply->response.status, 500);
	assert_int_equal(reply->response.source, KVMSB_HTTP_FROM_ON_ERROR);
	assert_string_equal(reply->response.content_type, "text/error");
}

static void on_error_is_told_what_happened(void **unused)
{
	const struct scene scene = open_to_fail("ge");

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		const struct failure *failure = &failures[i];
		struct reply reply;

		if (!is_raised_here(failure->path))
			continue;
		reply = ask_to_fail(&scene, failure->path, 0);
		/* It runs in the memory that is left, which may be none. */
		if (failure->outcome == KVMSB_OUTCOME_OUT_OF_MEMORY &&
		    reply.response.source == KVMSB_HTTP_FROM_HOST)
			assert_failed(&reply, failure->exception);
		else
			check_told(&reply, failure);
		/* That of the handler. */
		assert_outcome(scene.fork, &reply.result, failure->outcome);
		check_recovery(&scene);
	}
	http_close(&scene);
}

static void without_on_error_the_host_answers(void **unused)
{
	const struct scene scene = open_to_fail("g");

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct reply reply;

		if (!is_raised_here(failures[i].path))
			continue;
		reply = ask_to_fail(&scene, failures[i].path, 0);
		assert_failed(&reply, failures[i].exception);
		assert_int_equal(reply.response.field_count, 0);
		assert_outcome(scene.fork, &reply.result, failures[i].outcome);
		check_recovery(&scene);
	}
	http_close(&scene);
}

static void on_error_can_be_left_out(void **unused)
{
	const struct scene scene = open_requests("ge", NULL);
	struct reply reply = ask_to_fail(&scene, "/illegal", KVMSB_HTTP_NO_ON_ERROR);

	(void)unused;
	assert_failed(&reply, "Invalid Opcode");
	http_close(&scene);
}

static const char *const on_error_failures[] = {"/nothing",   "/exit",    "/illegal",
                                                "/spin",      "/devour",  "/bad-status",
                                                "/bad-field", "/register"};

/* The exception stays that of the handler. */
static void on_error_may_fail_as_well(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(on_error_failures); i++) {
		struct kvmsb_options options = http_options(GUEST("requests-static"), "ge",
		                                            on_error_failures[i]);
		struct scene scene;
		struct reply reply;

		options.error_timeout_ns = scaled_ms(100);
		options.fork_memory_limit = 8 << 20;
		scene = http_open(&options);
		reply = ask_to_fail(&scene, "/divide", 0);
		assert_failed(&reply, "Divide-by-zero Error");
		assert_outcome(scene.fork, &reply.result, KVMSB_OUTCOME_FAULTED);
		check_recovery(&scene);
		http_close(&scene);
	}
}

static void on_error_has_its_own_time(void **unused)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), "ge", "/spin");
	struct scene scene;
	struct reply reply;
	struct timespec before, after;
	int64_t took;

	(void)unused;
	options.error_timeout_ns = 50 * 1000000;
	options.stream_timeout_ns = options.call_timeout_ns = scaled_ms(8000);
	scene = http_open(&options);
	clock_gettime(CLOCK_MONOTONIC, &before);
	reply = http_get(scene.fork, "/illegal");
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_failed(&reply, "Invalid Opcode");
	took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	assert_true(took >= 49);
	/* Of all else the limit is eight seconds. */
	assert_true(took < 4000 * (int64_t)time_scale());
	http_close(&scene);
}

struct page {
	char exception[128];
	int status;
};

static int give_page(const struct kvmsb_http_context *context, const char *exception,
                     const char **content_type, struct iovec *body)
{
	static const char text[] = "a page of the host";
	struct page *page = context->user;

	snprintf(page->exception, sizeof(page->exception), "%s", exception);
	*content_type = "text/page";
	*body = (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = sizeof(text) - 1};
	return page->status;
}

static void the_host_may_have_a_page(void **unused)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), "g", NULL);
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;
	struct page page = {.status = 503};
	struct scene scene;
	struct reply reply;

	(void)unused;
	ops.user = &page;
	ops.error_page = give_page;
	options.http = &ops;
	scene = http_open(&options);
	reply = http_get(scene.fork, "/null");
	assert_int_equal(reply.response.status, 503);
	assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_HOST);
	assert_string_equal(reply.body, "a page of the host");
	assert_string_equal(reply.response.content_type, "text/page");
	assert_string_equal(page.exception, "Kernel or zero page fault");
	http_reset(&scene);
	page.status = 0;
	reply = http_get(scene.fork, "/illegal");
	assert_failed(&reply, "Invalid Opcode");
	assert_string_equal(page.exception, "Invalid Opcode");
	http_close(&scene);
}

/* ---- struct kvm_request ---- */

#define FIELD(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct kvmsb_http_field some_fields[] = {
	FIELD("Host: example.org"),
	FIELD("Accept: a"),
	FIELD("X-Empty:"),
	FIELD("accept: b"),
	FIELD("Content-Type: text/field"),
};

static void a_request_has_all_parts(void **unused)
{
	static const char *const letters[] = {"r", "w"};
	const struct iovec body = {.iov_base = (void *)(uintptr_t) "abc", .iov_len = 3};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	request.method = "PATCH";
	request.url = "/describe";
	request.argument = "an argument";
	request.fields = some_fields;
	request.field_count = ARRAY_SIZE(some_fields);
	request.body = &body;
	request.body_count = 1;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);

		for (unsigned again = 0; again < 3; again++) {
			struct reply reply = http_ask(scene.fork, &request);

			assert_text(&reply, 200,
			            "method PATCH\nurl /describe\narg an argument\n"
			            "type text/field\ncontent aligned data, 3, sum 17862\n"
			            "flags 0 reserved 0\n"
			            "colon at 4 of 17: Host: example.org\n"
			            "colon at 6 of 9: Accept: a\n"
			            "colon at 7 of 8: X-Empty:\n"
			            "colon at 6 of 9: accept: b\n"
			            "colon at 12 of 24: Content-Type: text/field\n");
		}
		http_close(&scene);
	}
}

static void a_request_without_anything(void **unused)
{
	static const char *const letters[] = {"r", "w"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct reply reply = http_get(scene.fork, "/describe");

		assert_text(&reply, 200,
		            "method GET\nurl /describe\narg \ntype \ncontent no data, 0\n"
		            "flags 0 reserved 0\nheaders are NULL, 0\n");
		http_close(&scene);
	}
}

/* Only with a body has it a type: the host's word, or the field's. */
static void content_type_comes_with_a_body(void **unused)
{
	const struct scene scene = open_requests("gpr", NULL);
	const struct scene posts = open_requests("p", NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct reply reply;

	(void)unused;
	request.url = "/";
	request.content_type = "text/host";
	request.fields = some_fields;
	request.field_count = ARRAY_SIZE(some_fields);
	reply = http_ask(scene.fork, &request);
	assert_text(&reply, 200, "request / []  no data, 0");
	reply = http_post(posts.fork, "/", "text/host", "a", 1);
	assert_text(&reply, 200, "post / [] text/host aligned data, 1, sum 61");
	reply = http_post(posts.fork, "/", NULL, "a", 1);
	assert_text(&reply, 200, "post / []  aligned data, 1, sum 61");
	http_close(&scene);
	http_close(&posts);
}

static void a_warm_up_is_marked(void **unused)
{
	const struct scene scene = open_requests("r", NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct reply reply;

	(void)unused;
	request.url = "/describe";
	request.flags = KVMSB_HTTP_WARM_UP;
	reply = http_ask(scene.fork, &request);
	assert_non_null(strstr(reply.body, "\nflags 1 reserved 0\n"));
	request.flags = 0;
	reply = http_ask(scene.fork, &request);
	assert_non_null(strstr(reply.body, "\nflags 0 reserved 0\n"));
	http_close(&scene);
}

/* What a warm-up leaves behind is in every fork. */
static void a_program_is_warmed_up_before_it_is_frozen(void **unused)
{
	static const char *const letters[] = {"r", "w", "g"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct kvmsb_options options = http_options(GUEST("requests-static"),
		                                                  letters[i], NULL);
		struct scene scene = {.master = fixture_ready(&options)};
		struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
		struct reply reply;

		request.url = "/count";
		request.flags = KVMSB_HTTP_WARM_UP;
		for (unsigned round = 0; round < 15; round++)
			http_ask(scene.master, &request);
		assert_int_equal(kvmsb_freeze(scene.master), 0);
		scene.fork = fixture_fork(scene.master);
		for (unsigned round = 0; round < 3; round++) {
			reply = http_get(scene.fork, "/count");
			assert_text(&reply, 200, "16");
			http_reset(&scene);
		}
		http_close(&scene);
	}
}

static void remember_random(struct kvmsb *fork, char (*seen)[33], size_t count)
{
	struct reply reply = http_get(fork, "/random");

	assert_int_equal(reply.length, 32);
	for (size_t i = 0; i < count; i++)
		assert_string_not_equal(reply.body, seen[i]);
	memcpy(seen[count], reply.body, 33);
}

/* Neither two requests, nor two forks, nor what comes after a reset. */
static void random_numbers_never_come_twice(void **unused)
{
	static const char *const letters[] = {"r", "w"};
	char seen[2 * 12][33];
	size_t count = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct kvmsb *other = fixture_fork(scene.master);

		for (unsigned round = 0; round < 4; round++) {
			remember_random(scene.fork, seen, count++);
			remember_random(scene.fork, seen, count++);
			remember_random(other, seen, count++);
			http_reset(&scene);
		}
		kvmsb_destroy(other);
		http_close(&scene);
	}
}

/* ---- Limits of what comes in ---- */

static void fields_are_counted(void **unused)
{
	static const char *const letters[] = {"g", "r", "w"};
	struct kvmsb_http_field fields[65];
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = (struct kvmsb_http_field)FIELD("X-Field: value");
	request.url = "/describe";
	request.fields = fields;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct reply reply;

		request.field_count = 64;
		reply = http_ask(scene.fork, &request);
		assert_int_equal(reply.response.status, 200);
		request.field_count = 65;
		http_refused(scene.fork, &request, -EINVAL);
		http_close(&scene);
	}
}

/* Of a guest of sixteen-bit lengths: the texts themselves are whole. */
static void long_texts_arrive(void **unused)
{
	static const char *const letters[] = {"g", "r", "w"};
	const size_t length = 70000;
	char *url = malloc(length + 1);
	struct reply reply;

	(void)unused;
	assert_non_null(url);
	memset(url, 'u', length);
	url[length] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);

		reply = http_get(scene.fork, url);
		assert_int_equal(reply.response.status, 200);
		assert_non_null(strstr(reply.body, url));
		http_close(&scene);
	}
	free(url);
}

static void what_does_not_fit_is_refused(void **unused)
{
	static const char *const letters[] = {"g", "r"};
	const size_t length = 3 << 20;
	char *text = malloc(length + 1);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	assert_non_null(text);
	memset(text, 'u', length);
	text[length] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		const struct scene scene = open_requests(letters[i], NULL);
		struct reply reply;

		request.url = text;
		http_refused(scene.fork, &request, -E2BIG);
		/* And nothing has happened to the fork. */
		reply = http_get(scene.fork, "/count");
		assert_text(&reply, 200, "1");
		http_close(&scene);
	}
	free(text);
}

static void wrong_requests_are_refused(void **unused)
{
	static const struct kvmsb_http_field split[] = {FIELD("A: b\r\nC: d")};
	static const struct kvmsb_http_field nameless[] = {FIELD(": b")};
	const struct scene scene = open_requests("gp", NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	const struct kvmsb_http_request sound = {.size = sizeof(sound), .url = "/x"};

	(void)unused;
	http_refused(scene.fork, &request, -EINVAL);
	request = sound;
	request.method = "GE T";
	http_refused(scene.fork, &request, -EINVAL);
	request.method = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF";
	http_refused(scene.fork, &request, -E2BIG);
	request = sound;
	request.flags = 8;
	http_refused(scene.fork, &request, -EINVAL);
	request.flags = KVMSB_HTTP_BODY_STREAMED;
	http_refused(scene.fork, &request, -EINVAL);
	request = sound;
	request.fields = split;
	request.field_count = 1;
	http_refused(scene.fork, &request, -EINVAL);
	request.fields = nameless;
	http_refused(scene.fork, &request, -EINVAL);
	request = sound;
	request.content_type = "text/plain\r\nX: y";
	http_refused(scene.fork, &request, -EINVAL);
	request = sound;
	request.body_count = 1;
	http_refused(scene.fork, &request, -EINVAL);
	request = sound;
	request.size = 8;
	http_refused(scene.fork, &request, -EINVAL);
	assert_int_equal(http_ask(scene.fork, &sound).response.status, 200);
	http_close(&scene);
}

/* ---- Bodies ---- */

#define MEBIBYTE ((size_t)1 << 20)

static void *some_bytes(size_t length)
{
	uint8_t *bytes = malloc(length);

	assert_non_null(bytes);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	return bytes;
}

static void bodies_of_every_size_arrive(void **unused)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 10 * MEBIBYTE, 1};
	static const char *const letters[] = {"p", "r", "w"}, *const kinds[] = {"post", "request",
	                                                                        "paused"};
	uint8_t *bytes = some_bytes(10 * MEBIBYTE);

	(void)unused;
	for (size_t l = 0; l < ARRAY_SIZE(letters); l++) {
		const struct scene scene = open_requests(letters[l], NULL);

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct reply reply = http_post(scene.fork, "/", "a/b", bytes, sizes[i]);
			char wanted[128];

			snprintf(wanted, sizeof(wanted), "%s / [] a/b aligned data, %zu, sum %llx",
			         kinds[l], sizes[i], (unsigned long long)sum_of(bytes, sizes[i]));
			assert_text(&reply, 200, wanted);
			/* The last two are in a sandbox that was kept, with the first of them. */
			if (sizes[i] < 4097)
				http_reset(&scene);
		}
		http_close(&scene);
	}
	free(bytes);
}

static void a_body_comes_from_many_pieces(void **unused)
{
	const struct scene scene = open_requests("p", NULL);
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct iovec pieces[1000];
	uint8_t *bytes = some_bytes(9990);
	struct reply reply;
	char wanted[128];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct iovec){.iov_base = bytes + i * 10, .iov_len = i == 999 ? 0 : 10};
	request.url = "/";
	request.body = pieces;
	request.body_count = ARRAY_SIZE(pieces);
	reply = http_ask(scene.fork, &request);
	snprintf(wanted, sizeof(wanted), "post / []  aligned data, 9990, sum %llx",
	         (unsigned long long)sum_of(bytes, 9990));
	assert_text(&reply, 200, wanted);
	free(bytes);
	http_close(&scene);
}

static void a_body_goes_back_whole(void **unused)
{
	const struct scene scene = open_requests("p", NULL);
	uint8_t *bytes = some_bytes(10 * MEBIBYTE);
	struct reply reply = http_post(scene.fork, "/echo", "a/b", bytes, 10 * MEBIBYTE);

	(void)unused;
	assert_int_equal(reply.length, 10 * MEBIBYTE);
	assert_memory_equal(reply.body, bytes, 10 * MEBIBYTE);
	assert_string_equal(reply.response.content_type, "a/b");
	free(bytes);
	http_close(&scene);
}

/* Much from little: the same mebibyte again and again. */
static struct reply post_repeated(struct kvmsb *fork, size_t count, const char *url)
{
	static uint8_t piece[1 << 20];
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct iovec *pieces = calloc(count, sizeof(*pieces));
	struct reply reply;

	assert_non_null(pieces);
	/* Pages of zeros take no memory for long. */
	memset(piece, 1, sizeof(piece));
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct iovec){.iov_base = piece, .iov_len = sizeof(piece)};
	request.url = url;
	request.body = pieces;
	request.body_count = count;
	reply = http_ask(fork, &request);
	free(pieces);
	return reply;
}

static void a_body_beyond_memory_fails(void **unused)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), "p", NULL);
	struct scene scene;
	struct reply reply;

	(void)unused;
	options.fork_memory_limit = 16 * MEBIBYTE;
	scene = http_open(&options);
	reply = post_repeated(scene.fork, 32, "/");
	assert_failed(&reply, "Out of working memory");
	assert_outcome(scene.fork, &reply.result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	http_reset(&scene);
	reply = http_post(scene.fork, "/", NULL, "a", 1);
	assert_text(&reply, 200, "post / []  aligned data, 1, sum 61");
	http_close(&scene);
}

static void a_body_beyond_all_limits_is_not_taken(void **unused)
{
	const struct scene scene = open_requests("p", NULL);
	struct reply reply = post_repeated(scene.fork, 513, "/");

	(void)unused;
	assert_int_equal(reply.response.status, 503);
	assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_HOST);
	assert_string_equal(reply.response.exception, "POST request too large");
	assert_int_equal(reply.length, 0);
	http_close(&scene);
}

/* ---- Bodies in pieces ---- */

static void stream_functions_have_the_pieces(void **unused)
{
	static const char *const letters[] = {"ps", "rs"}, *const kinds[] = {"post", "request"};
	static const size_t sizes[] = {1, 4097, 300000, 3 * MEBIBYTE};
	uint8_t *bytes = some_bytes(3 * MEBIBYTE);

	(void)unused;
	for (size_t l = 0; l < ARRAY_SIZE(letters); l++) {
		const struct scene scene = open_requests(letters[l], NULL);

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct reply reply = http_post(scene.fork, "/s", "a/b", bytes, sizes[i]);
			char wanted[256];

			snprintf(wanted, sizeof(wanted),
			         "%s /s [] a/b no data, %zu pieces of %zu, sum %llx [/s  a/b]",
			         kinds[l], sizes[i], sizes[i],
			         (unsigned long long)sum_of(bytes, sizes[i]));
			assert_text(&reply, 200, wanted);
		}
		http_close(&scene);
	}
	free(bytes);
}

static void stream_functions_may_refuse(void **unused)
{
	static const char *const paths[] = {"/refuse", "/refuse-the-second"};
	const struct scene scene = open_requests("gps", NULL);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct reply reply = post_repeated(scene.fork, 3, paths[i]);

		assert_int_equal(reply.response.status, 503);
		assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_HOST);
		assert_int_equal(reply.length, 0);
		check_recovery(&scene);
	}
	http_close(&scene);
}

static const struct failure piece_failures[] = {
	{"/piece-crashes", "Invalid Opcode", KVMSB_OUTCOME_FAULTED},
	{"/piece-spins", "Timeout Exception", KVMSB_OUTCOME_TIMED_OUT},
};

static void stream_functions_may_fail(void **unused)
{
	const struct scene scene = open_requests("gpse", NULL);
	const struct iovec body = {.iov_base = (void *)(uintptr_t) "a", .iov_len = 1};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	request.body = &body;
	request.body_count = 1;
	for (size_t i = 0; i < ARRAY_SIZE(piece_failures); i++) {
		const struct failure *failure = &piece_failures[i];
		struct reply reply;

		request.url = failure->path;
		request.timeout_ns = failure->outcome == KVMSB_OUTCOME_TIMED_OUT ? scaled_ms(100) : 0;
		reply = http_ask(scene.fork, &request);
		assert_int_equal(reply.response.source, KVMSB_HTTP_FROM_ON_ERROR);
		assert_string_equal(reply.response.exception, failure->exception);
		assert_outcome(scene.fork, &reply.result, failure->outcome);
		check_recovery(&scene);
	}
	http_close(&scene);
}

/* That is the answer, and no more of the body is wanted. */
static void stream_functions_may_answer(void **unused)
{
	const struct scene scene = open_requests("gps", NULL);
	struct reply reply = post_repeated(scene.fork, 3, "/piece-answers");

	(void)unused;
	assert_text(&reply, 200, "too early");
	reply = http_post(scene.fork, "/s", "a", "bc", 2);
	assert_text(&reply, 200, "post /s [] a no data, 2 pieces of 2, sum c41 [/s  a]");
	http_close(&scene);
}

struct source {
	size_t left, largest;
	int error;
};

static int64_t give_body(const struct kvmsb_http_context *context, void *buffer, size_t size)
{
	struct source *source = context->request_user;
	size_t length = size < source->largest ? size : source->largest;

	if (source->left == 0)
		return source->error;
	if (length > source->left)
		length = source->left;
	memset(buffer, 'b', length);
	source->left -= length;
	return (int64_t)length;
}

static struct scene open_with_source(const char *letters)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), letters, NULL);
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;

	ops.body_read = give_body;
	options.http = &ops;
	return http_open(&options);
}

static struct reply post_from(struct kvmsb *fork, struct source *source)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.method = "PUT";
	request.url = "/s";
	request.flags = KVMSB_HTTP_BODY_STREAMED;
	request.user = source;
	return http_ask(fork, &request);
}

static void a_body_may_come_from_the_host_in_pieces(void **unused)
{
	static const char *const letters[] = {"p", "ps", "r", "w"};
	static const size_t sizes[] = {1, 5000, 2 * MEBIBYTE};

	(void)unused;
	for (size_t l = 0; l < ARRAY_SIZE(letters); l++) {
		const struct scene scene = open_with_source(letters[l]);

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct source source = {.left = sizes[i], .largest = 3000};
			struct reply reply = post_from(scene.fork, &source);
			char wanted[32];

			assert_int_equal(reply.response.status, 200);
			snprintf(wanted, sizeof(wanted), " data, %zu", sizes[i]);
			if (strstr(reply.body, wanted) == NULL ||
			    strstr(reply.body, "DISORDER") != NULL)
				fail_msg("%s: %s", letters[l], reply.body);
		}
		http_close(&scene);
	}
}

static void a_body_that_breaks_off_fails(void **unused)
{
	static const char *const letters[] = {"gp", "gps"};

	(void)unused;
	for (size_t l = 0; l < ARRAY_SIZE(letters); l++) {
		const struct scene scene = open_with_source(letters[l]);
		struct source source = {.left = 5000, .largest = 3000, .error = -EPIPE};
		struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

		request.url = "/s";
		request.flags = KVMSB_HTTP_BODY_STREAMED;
		request.user = &source;
		http_refused(scene.fork, &request, -EPIPE);
		check_recovery(&scene);
		http_close(&scene);
	}
}

/* ---- Responses ---- */

static void a_response_has_fields_and_cache(void **unused)
{
	const struct scene scene = open_requests("g", NULL);
	struct reply reply = http_get(scene.fork, "/extra");

	(void)unused;
	assert_text(&reply, 200, "extra");
	assert_int_equal(reply.response.field_count, 2);
	assert_string_equal(http_field(&reply, "X-One"), "x-one: 3");
	assert_string_equal(http_field(&reply, "X-Last"), "X-Last: 4");
	assert_int_equal(reply.response.cache.is_set, 1);
	assert_int_equal(reply.response.cache.cacheable, 1);
	assert_true(reply.response.cache.ttl == 1.5 && reply.response.cache.grace == 2.5 &&
	            reply.response.cache.keep == 3.5);
	reply = http_get(scene.fork, "/extra-uncached");
	assert_text(&reply, 200, "extra");
	assert_int_equal(reply.response.cache.is_set, 0);
	assert_int_equal(reply.response.field_count, 0);
	http_close(&scene);
}

static void content_types_have_an_end(void **unused)
{
	const struct scene scene = open_requests("g", NULL);
	struct reply reply = http_get(scene.fork, "/type-of-a-page");

	(void)unused;
	assert_int_equal(reply.response.status, 200);
	assert_int_equal(strlen(reply.response.content_type), 4095);
	reply = http_get(scene.fork, "/type-with-nul");
	assert_string_equal(reply.response.content_type, "text/plain");
	reply = http_get(scene.fork, "/empty");
	assert_text(&reply, 204, "");
	assert_string_equal(reply.response.content_type, "");
	http_close(&scene);
}

/* ---- Before the first request ---- */

static const struct {
	const char *letters;
	enum kvmsb_outcome outcome;
	const char *detail; /* begins so */
} boots[] = {
	{"0", KVMSB_OUTCOME_DENIED, "Invalid address for register_func provided"},
	{"K", KVMSB_OUTCOME_DENIED, "Invalid address for register_func provided"},
	{"I", KVMSB_OUTCOME_DENIED, "register_func(): there is no entry 13"},
	{"a", KVMSB_OUTCOME_DENIED, "sys_backend_response(): There is no request yet"},
	{"gx", KVMSB_OUTCOME_EXITED, ""},
	{"gX", KVMSB_OUTCOME_EXITED, ""},
};

static void programs_have_to_wait_for_requests(void **unused)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	(void)unused;
	request.url = "/";
	for (size_t i = 0; i < ARRAY_SIZE(boots); i++) {
		const struct kvmsb_options options = http_options(GUEST("requests-static"),
		                                                  boots[i].letters, NULL);
		struct kvmsb *sandbox = fixture_create(&options);
		struct kvmsb_result result = KVMSB_RESULT_INIT;

		http_refused(sandbox, &request, -EINVAL);
		assert_int_equal(kvmsb_run(sandbox, &result), 0);
		assert_outcome(sandbox, &result, boots[i].outcome);
		assert_memory_equal(kvmsb_detail(sandbox), boots[i].detail, strlen(boots[i].detail));
		http_refused(sandbox, &request, -ESRCH);
		kvmsb_destroy(sandbox);
	}
}

/* That is a program's without position-independent code. */
static void a_program_lies_below_two_gibibytes(void **unused)
{
	static const char *const environment[] = {"PLACE=of the environment", NULL};
	struct kvmsb_options options = http_options(GUEST("requests-static"), "g", NULL);
	struct scene scene;
	struct reply reply;

	(void)unused;
	options.environment = environment;
	scene = http_open(&options);
	reply = http_get(scene.fork, "/addresses");
	assert_text(&reply, 200, "low low low low low low ");
	http_close(&scene);
}

/* ---- What a program says of itself ---- */

static struct kvmsb_http_program program_of(const struct kvmsb *sandbox)
{
	struct kvmsb_http_program program = KVMSB_HTTP_PROGRAM_INIT;

	assert_int_equal(kvmsb_http_get_program(sandbox, &program), 0);
	return program;
}

static void programs_say_what_they_handle(void **unused)
{
	struct kvmsb_options options = http_options(GUEST("requests-static"), "kgse", NULL);
	struct scene scene = http_open(&options);
	struct kvmsb_http_program program = program_of(scene.fork);

	(void)unused;
	assert_true(program.handlers[1] != 0 && program.handlers[2] == 0 &&
	            program.handlers[3] == 0 && program.handlers[4] != 0 &&
	            program.handlers[5] != 0 && program.handlers[0] == 0);
	assert_int_equal(program.is_paused, 0);
	assert_int_equal(program.is_ephemeral, 1);
	http_close(&scene);

	options = http_options(GUEST("requests-static"), "kw", NULL);
	options.http_flags = KVMSB_HTTP_CONTROL_EPHEMERAL;
	scene = http_open(&options);
	program = program_of(scene.master);
	assert_int_equal(program.is_paused, 1);
	assert_int_equal(program.is_ephemeral, 0);
	assert_int_equal(program_of(scene.fork).is_ephemeral, 0);
	http_close(&scene);
}

/* ---- Registers at the entry of a handler ---- */

static void handlers_begin_with_the_programs_state(void **unused)
{
	const struct kvmsb_options options = http_options(GUEST("handler_state-static"), NULL, NULL);
	const struct scene scene = http_open(&options);

	(void)unused;
	for (unsigned round = 0; round < 3; round++) {
		struct reply reply = http_get(scene.fork, "/url");

		assert_text(&reply, 200,
		            "general 0 flags 0 control 3f80 vectors 77 ff own 41 errno 5 #url #");
		reply = http_get(scene.fork, "/url");
		assert_text(&reply, 200,
		            "general 0 flags 0 control 3f80 vectors 77 ff own 42 errno 5 #url #");
		http_reset(&scene);
	}
	http_close(&scene);
}

/* ---- Programs of every kind ---- */

static void programs_of_every_kind(void **unused)
{
	static const char *const paths[] = {GUEST("requests-static-pie"),
	                                    GUEST("requests-dynamic")};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		static const struct kvmsb_path_rule rules[] = {
			KVMSB_ALLOW_READ("/lib"),
			KVMSB_ALLOW_READ("/lib64"),
			KVMSB_ALLOW_READ("/usr/lib"),
			KVMSB_ALLOW_READ("/etc/ld.so.cache"),
		};
		struct kvmsb_options options = http_options(paths[i], "gpe", NULL);
		struct scene scene;
		struct reply reply;

		options.paths = rules;
		options.path_count = ARRAY_SIZE(rules);
		scene = http_open(&options);
		reply = http_get(scene.fork, "/x");
		assert_text(&reply, 200, "get /x []");
		reply = http_post(scene.fork, "/x", "t", "a", 1);
		assert_text(&reply, 200, "post /x [] t aligned data, 1, sum 61");
		reply = http_get(scene.fork, "/divide");
		assert_string_equal(reply.body, "/divide [] Divide-by-zero Error");
		http_close(&scene);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_body_decides_who_handles),
		TEST(handlers_are_called_as_any_function),
		TEST(the_first_response_counts),
		TEST(a_function_ends_with_its_response),
		TEST(state_is_kept_until_a_reset),
		TEST(a_loop_goes_on_at_the_next_request),
		TEST(further_responses_of_a_loop_are_nothing),
		TEST(a_reset_forgets_what_a_loop_would_have_done),
		TEST(on_error_is_told_what_happened),
		TEST(without_on_error_the_host_answers),
		TEST(on_error_can_be_left_out),
		TEST(on_error_may_fail_as_well),
		TEST(on_error_has_its_own_time),
		TEST(the_host_may_have_a_page),
		TEST(a_request_has_all_parts),
		TEST(a_request_without_anything),
		TEST(content_type_comes_with_a_body),
		TEST(a_warm_up_is_marked),
		TEST(a_program_is_warmed_up_before_it_is_frozen),
		TEST(random_numbers_never_come_twice),
		TEST(fields_are_counted),
		TEST(long_texts_arrive),
		TEST(what_does_not_fit_is_refused),
		TEST(wrong_requests_are_refused),
		TEST(bodies_of_every_size_arrive),
		TEST(a_body_comes_from_many_pieces),
		TEST(a_body_goes_back_whole),
		TEST(a_body_beyond_memory_fails),
		TEST(a_body_beyond_all_limits_is_not_taken),
		TEST(stream_functions_have_the_pieces),
		TEST(stream_functions_may_refuse),
		TEST(stream_functions_may_fail),
		TEST(stream_functions_may_answer),
		TEST(a_body_may_come_from_the_host_in_pieces),
		TEST(a_body_that_breaks_off_fails),
		TEST(a_response_has_fields_and_cache),
		TEST(content_types_have_an_end),
		TEST(programs_have_to_wait_for_requests),
		TEST(a_program_lies_below_two_gibibytes),
		TEST(programs_say_what_they_handle),
		TEST(handlers_begin_with_the_programs_state),
		TEST(programs_of_every_kind),
	};

	return fixture_can_run() ? http_run_tests(tests, ARRAY_SIZE(tests)) : CANNOT_RUN;
}
