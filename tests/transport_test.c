/* SPDX-License-Identifier: MIT */
/*
 * A guest can make a call by SYSCALL or by OUT: the same source built for each
 * behaves the same, on every entry path, whatever comes of the call; and OUT
 * changes no register but those of the answer.
 */
#include "sandbox_fixture.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- The same results ---- */

struct text {
	char bytes[65536];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	const size_t room = sizeof(text->bytes) - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	assert_true(length >= 0 && (size_t)length < room);
	text->length += (size_t)length;
}

static void add_bytes(struct text *text, const struct iovec *piece)
{
	assert_true(piece->iov_len < sizeof(text->bytes) - text->length);
	memcpy(text->bytes + text->length, piece->iov_base, piece->iov_len);
	text->length += piece->iov_len;
	text->bytes[text->length] = '\0';
}

static void add_streamed(struct text *text, struct kvmsb *sandbox)
{
	char bytes[100];
	int64_t length;

	while ((length = kvmsb_response_read(sandbox, bytes, sizeof(bytes))) > 0) {
		const struct iovec piece = {.iov_base = bytes, .iov_len = (size_t)length};

		add_bytes(text, &piece);
	}
	add(text, "\nread %" PRId64 "\n", length);
}

static void add_response(struct text *text, struct kvmsb *sandbox,
                         const struct kvmsb_http_response *response)
{
	const struct kvmsb_http_cache *cache = &response->cache;

	add(text, "status %d by %d, type %s, %" PRIu64 " bytes, exception %s\n", response->status,
	    response->source, response->content_type, response->body_length,
	    response->exception != NULL ? response->exception : "none");
	add(text, "cache %d %d %g %g %g\n", cache->is_set, cache->cacheable, cache->ttl,
	    cache->grace, cache->keep);
	for (size_t i = 0; i < response->field_count; i++)
		add(text, "%s\n", response->fields[i].text);
	for (size_t i = 0; i < response->body_count; i++)
		add_bytes(text, &response->body[i]);
	if (response->is_streamed)
		add_streamed(text, sandbox);
}

static const char body[] = "the body";

static void request_is(struct kvmsb_http_request *request, const char *url)
{
	static const struct kvmsb_http_field fields[] = {{"X-One: first", 12}, {"X-Ten: tenth", 12}};
	static const struct iovec pieces[] = {{(char *)(uintptr_t)body, 4},
	                                      {(char *)(uintptr_t)body + 4, sizeof(body) - 5}};

	*request = (struct kvmsb_http_request)KVMSB_HTTP_REQUEST_INIT;
	request->url = url;
	request->argument = "argument";
	request->fields = fields;
	request->field_count = ARRAY_SIZE(fields);
	if (url[0] == '+') {
		request->url++;
		request->method = "PUT";
		request->body = pieces;
		request->body_count = ARRAY_SIZE(pieces);
		request->content_type = "text/body";
	}
}

static void add_request(struct text *text, struct kvmsb *sandbox, const char *url)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_http_request request;
	int failed;

	request_is(&request, url);
	failed = kvmsb_request(sandbox, &request, &response, &result);
	add(text, "---- %s: %s, outcome %d, exit status %d, hypercall %#x\n", url,
	    failed < 0 ? strerror(-failed) : "a result", result.outcome, result.exit_status,
	    result.hypercall);
	if (failed == 0)
		add_response(text, sandbox, &response);
}

/* "+": with a body. */
static const char *const urls[] = {
	"/fields",
	"/cache",
	"/expressions",
	"/storage",
	"/storage-call",
	"/storage-task",
	"/itself",
	"/processors",
	"/fetch",
	"/sockets",
	"/unknown",
	"/extra",
	"/streaming",
	"/wait",
	"/register",
	"/find-nothing",
	"/append-elsewhere",
	"/append-no-field",
	"/find-into-nowhere",
	"/respond-from-nowhere",
	"/respond-with-status",
	"/match-without-regex",
	"/return-from-storage",
	"/leave-storage",
	"/ephemeral",
	"/exit",
	"/nothing",
	"+/fields",
	"+/extra",
	"+/wait",
	"+/streaming",
};

static int64_t keep_text(void *user, const void *data, size_t length)
{
	const struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};

	add_bytes(user, &piece);
	return (int64_t)length;
}

/* What the host says begins with the program's name, which tells the ways apart. */
static int64_t keep_log(void *user, const void *data, size_t length)
{
	const char *name_end = memchr(data, ':', length);
	const size_t skipped = name_end != NULL ? (size_t)(name_end - (const char *)data) : 0;

	keep_text(user, (const char *)data + skipped, length - skipped);
	return (int64_t)length;
}

/* A program that waits in no way that this host offers has come to its end by itself. */
static bool becomes_master(struct kvmsb *sandbox, struct text *text)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	add(text, "main: outcome %d, exit status %d\n", result.outcome, result.exit_status);
	return result.outcome == KVMSB_OUTCOME_READY && kvmsb_freeze(sandbox) == 0;
}

static void serve(struct kvmsb *master, struct text *text)
{
	struct kvmsb *fork = fixture_fork(master);

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		add_request(text, fork, urls[i]);
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(fork);
}

/* Requests without a reset between them: each finds what those before have left. */
static void serve_kept(struct kvmsb *master, struct text *text)
{
	struct kvmsb *fork = fixture_fork(master);

	add_request(text, fork, "/nothing");
	add_request(text, fork, "/streaming");
	add_request(text, fork, "/fields");
	kvmsb_destroy(fork);
}

/* Both have one name, which is in their lines of the log. */
static void read_program(const char *path, struct kvmsb_options *options)
{
	static char image[16 << 20];
	FILE *file = fopen(path, "rbe");

	assert_non_null(file);
	options->path = "transport";
	options->image = image;
	options->image_size = fread(image, 1, sizeof(image), file);
	assert_true(options->image_size < sizeof(image));
	fclose(file);
}

/* The rows of lib/http/hypercalls.def, and which of them each transport has made. */
static const struct row {
	uint64_t number;
	const char *name;
} rows[] = {
#define HYPERCALL(number, name, format, when, handler, note) {number, #name},
#include "http/hypercalls.def"
#undef HYPERCALL
};

enum transport {
	BY_SYSCALL,
	BY_OUT,
	TRANSPORTS
};

static bool made[TRANSPORTS][ARRAY_SIZE(rows)];

static void note_call(void *user, const struct kvmsb_trace_event *event)
{
	bool *own = user;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].number == event->number)
			own[i] = true;
}

static void every_call_was_made(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!made[BY_SYSCALL][i] || !made[BY_OUT][i])
			fail_msg("%s: by SYSCALL %d, by OUT %d", rows[i].name, made[BY_SYSCALL][i],
			         made[BY_OUT][i]);
}

static void describe(enum transport transport, const char *way, enum kvmsb_entry entry,
                     struct text *text)
{
	static const char *const guests[TRANSPORTS] = {GUEST("transport-static"),
	                                               GUEST("transport-static-out")};
	const char *const arguments[] = {"transport", way, NULL};
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb *master;

	read_program(guests[transport], &options);
	options.trace = note_call;
	options.trace_user = made[transport];
	*text = (struct text){.length = 0};
	options.entry = entry;
	options.arguments = arguments;
	options.standard_error.write = keep_log;
	options.standard_error.user = text;
	master = fixture_create(&options);
	if (becomes_master(master, text)) {
		serve(master, text);
		serve_kept(master, text);
	}
	kvmsb_destroy(master);
}

static void check_same(const struct text *first, const struct text *second, const char *which)
{
	size_t at = 0, line = 0;

	while (at < first->length && first->bytes[at] == second->bytes[at])
		at++;
	if (first->length == second->length && at == first->length)
		return;
	for (size_t i = 0; i < at; i++)
		if (first->bytes[i] == '\n')
			line = i + 1;
	fail_msg("%s: \"%.300s\" is not \"%.300s\"", which, second->bytes + line,
	         first->bytes + line);
}

static void behaves_the_same(const char *way)
{
	static struct text first, text;
	char which[128];

	first.length = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		for (enum transport j = BY_SYSCALL; j < TRANSPORTS; j++) {
			snprintf(which, sizeof(which), "%s, %s, %s", way,
			         j == 0 ? "SYSCALL" : "OUT", fixture_entry_name(fixture_entries[i]));
			describe(j, way, fixture_entries[i], &text);
			if (first.length == 0)
				first = text;
			check_same(&first, &text, which);
		}
	}
	/* It did answer. */
	assert_non_null(strstr(first.bytes, "x-one \"X-One: first\""));
	assert_non_null(strstr(first.bytes, "status 202 by 1, type text/stream, 1000 bytes"));
	assert_non_null(strstr(strstr(first.bytes, "---- /nothing"), "x-one \"X-One: first\""));
}

static void functions_behave_the_same(void **unused)
{
	(void)unused;
	behaves_the_same("functions");
}

static void on_error_behaves_the_same(void **unused)
{
	(void)unused;
	behaves_the_same("on_error");
}

static void on_request_behaves_the_same(void **unused)
{
	(void)unused;
	behaves_the_same("on_request");
}

static void streamed_bodies_behave_the_same(void **unused)
{
	(void)unused;
	behaves_the_same("stream");
}

static void a_paused_loop_behaves_the_same(void **unused)
{
	(void)unused;
	behaves_the_same("paused");
}

/* ---- The examples ---- */

/* What each example answers to a few requests; its name is on both sides the same. */
static void describe_example(const char *path, struct text *text)
{
	static const char *const asked[] = {"/", "/there?a=b", "+/there"};
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb *master, *fork;

	*text = (struct text){.length = 0};
	read_program(path, &options);
	master = fixture_create(&options);
	if (becomes_master(master, text)) {
		fork = fixture_fork(master);
		for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
			add_request(text, fork, asked[i]);
			assert_int_equal(kvmsb_reset(fork), 0);
		}
		kvmsb_destroy(fork);
	}
	kvmsb_destroy(master);
}

static void check_example(const char *name)
{
	static struct text by_syscall, by_out;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", TEST_EXAMPLE_GUESTS, name);
	describe_example(path, &by_syscall);
	snprintf(path, sizeof(path), "%s/%s-out", TEST_EXAMPLE_GUESTS, name);
	describe_example(path, &by_out);
	check_same(&by_syscall, &by_out, name);
}

/* NAME-out is NAME by the other transport: examples/guests/meson.build. */
static void examples_behave_the_same(void **unused)
{
	static const char suffix[] = "-out";
	DIR *directory = opendir(TEST_EXAMPLE_GUESTS);
	const struct dirent *entry;
	size_t count = 0;

	(void)unused;
	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		char name[256];
		size_t length = strlen(entry->d_name);

		if (length < sizeof(suffix) ||
		    strcmp(entry->d_name + length - (sizeof(suffix) - 1), suffix) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(length - (sizeof(suffix) - 1)),
		         entry->d_name);
		check_example(name);
		count++;
	}
	closedir(directory);
	assert_true(count > 0);
}

/* ---- Registers ---- */

/* Bits of the guest's changed(). */
#define RAX_CHANGED (1u << 0)
#define RCX_CHANGED (1u << 2)
#define RDX_CHANGED (1u << 3)
#define R11_CHANGED (1u << 10)

#define ANY_ANSWER INT64_MIN

/* Indices of its ways. */
enum way {
	PLAIN_OUT,
	PLAIN_SYSCALL,
	WRAPPED_IS_STORAGE,
};

static const struct register_case {
	const char *name;
	enum way way;
	uint64_t number;
	struct numbers numbers; /* RDI, RSI, RDX */
	uint64_t changed;
	int64_t answer;
} register_cases[] = {
	{"is_storage", PLAIN_OUT, 0x10706, NO_NUMBERS, RAX_CHANGED, 0},
	{"is_storage, upper half of RAX", PLAIN_OUT, 0x5555555500010706, NO_NUMBERS, RAX_CHANGED, 0},
	{"unknown", PLAIN_OUT, 0x1fffe, NO_NUMBERS, RAX_CHANGED, -ENOSYS},
	{"no system call either", PLAIN_OUT, 600, NO_NUMBERS, RAX_CHANGED, -ENOSYS},
	{"retired", PLAIN_OUT, 0x10100, NO_NUMBERS, 0, 0x10100},
	{"log of nothing", PLAIN_OUT, 0x7f000, NO_NUMBERS, 0, 0x7f000},
	{"shared_memory_area", PLAIN_OUT, 0x10700, NO_NUMBERS, RAX_CHANGED | RDX_CHANGED, ANY_ANSWER},
	{"getppid", PLAIN_OUT, 110, NO_NUMBERS, RAX_CHANGED, 1},
	{"close", PLAIN_OUT, 3, NUMBERS(99), RAX_CHANGED, -EBADF},
	{"close, by SYSCALL", PLAIN_SYSCALL, 3, NUMBERS(99),
         RAX_CHANGED | RCX_CHANGED | R11_CHANGED, -EBADF},
	{"is_storage, by SYSCALL", PLAIN_SYSCALL, 0x10706, NO_NUMBERS,
         RAX_CHANGED | RCX_CHANGED | R11_CHANGED, 0},
	{"is_storage, wrapped", WRAPPED_IS_STORAGE, 0, NO_NUMBERS, 0, 0},
	{"is_storage, wrapped, RAX in use", WRAPPED_IS_STORAGE, 1, NO_NUMBERS, RAX_CHANGED, 0},
};

static void check_registers(struct kvmsb *sandbox, const struct register_case *what, bool flags)
{
	const uint64_t *numbers = what->numbers.value;
	uint64_t changed = fixture_value(
		sandbox, "changed",
		NUMBERS(what->way, what->number, numbers[0], numbers[1], numbers[2], flags));
	int64_t answer = (int64_t)fixture_value(sandbox, "value_of", NUMBERS(0));

	if (changed != what->changed || (answer != what->answer && what->answer != ANY_ANSWER))
		fail_msg("%s, flags %d: changed %#" PRIx64 ", answer %" PRId64, what->name, flags,
		         changed, answer);
}

static void only_answers_change_registers(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(GUEST("registers-static"));
		struct kvmsb *sandbox;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		sandbox = fixture_ready(&options);
		for (size_t j = 0; j < ARRAY_SIZE(register_cases); j++) {
			check_registers(sandbox, &register_cases[j], false);
			check_registers(sandbox, &register_cases[j], true);
		}
		kvmsb_destroy(sandbox);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_behave_the_same),
		cmocka_unit_test(on_error_behaves_the_same),
		cmocka_unit_test(on_request_behaves_the_same),
		cmocka_unit_test(streamed_bodies_behave_the_same),
		cmocka_unit_test(a_paused_loop_behaves_the_same),
		cmocka_unit_test(every_call_was_made),
		cmocka_unit_test(examples_behave_the_same),
		cmocka_unit_test(only_answers_change_registers),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
