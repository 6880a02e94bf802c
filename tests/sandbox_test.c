/* SPDX-License-Identifier: MIT */
/*
 * Tests of kvmsandbox/sandbox.h: the table of states cell by cell, options,
 * arguments and results of calls, memory, streams and what may be done from
 * inside their functions, time limits, fork(2), lifetimes.
 */
#include "sandbox_fixture.h"

#include "layout.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS GUEST("calls-static")
#define SECOND UINT64_C(1000000000)

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* The table of states. */

enum state {
	NEW,
	READY,
	EXITED,
	OVER,
	MASTER,
	FORK,
	FORK_OVER,
	STATES
};

static const char *const state_names[STATES] = {"new",    "ready", "exited",    "over",
                                                "master", "fork",  "fork, over"};

struct made {
	struct kvmsb *sandbox;
	struct kvmsb *master; /* of a fork */
};

static struct kvmsb *run_with(const char *argument)
{
	const char *const arguments[] = {"calls", argument, NULL};
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *sandbox;

	options.arguments = arguments;
	sandbox = fixture_create(&options);
	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	return sandbox;
}

static struct made make(enum state state)
{
	const struct kvmsb_options options = fixture_options(CALLS);
	struct made made = {0};

	switch (state) {
	case NEW:
		made.sandbox = fixture_create(&options);
		break;
	case READY:
		made.sandbox = fixture_ready(&options);
		break;
	case EXITED:
		made.sandbox = run_with("exit");
		break;
	case OVER:
		made.sandbox = run_with("crash");
		break;
	case MASTER:
		made.sandbox = fixture_master(&options);
		break;
	default:
		made.master = fixture_master(&options);
		made.sandbox = fixture_fork(made.master);
		break;
	}
	if (state == FORK_OVER)
		fixture_call(made.sandbox, "crash", NO_NUMBERS);
	return made;
}

static void unmake(struct made made)
{
	kvmsb_destroy(made.sandbox);
	kvmsb_destroy(made.master);
}

static int do_run(struct kvmsb *sandbox)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	return kvmsb_run(sandbox, &result);
}

static int do_fork(struct kvmsb *sandbox)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *fork = NULL;
	int result = kvmsb_fork(sandbox, &fork, &error);

	if (result < 0) {
		assert_int_equal(error.code, result);
		assert_string_not_equal(error.detail, "");
	}
	kvmsb_destroy(fork);
	return result;
}

static int do_reserve(struct kvmsb *sandbox)
{
	return kvmsb_reserve(sandbox, 10);
}

static int do_vmcall(struct kvmsb *sandbox)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	call.symbol = "empty";
	return kvmsb_vmcall(sandbox, &call, &result);
}

static int do_request(struct kvmsb *sandbox)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	request.url = "/";
	return kvmsb_request(sandbox, &request, &response, &result);
}

static int do_write(struct kvmsb *sandbox)
{
	const uint64_t value = 5;

	return kvmsb_memory_write(sandbox, fixture_symbol(sandbox, "counter"), &value, sizeof(value));
}

static int do_read(struct kvmsb *sandbox)
{
	uint64_t value = 0;

	return kvmsb_memory_read(sandbox, fixture_symbol(sandbox, "counter"), &value, sizeof(value));
}

static int do_symbol(struct kvmsb *sandbox)
{
	uint64_t address;

	return kvmsb_symbol(sandbox, "count", &address);
}

static int do_statistics(struct kvmsb *sandbox)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	return kvmsb_get_statistics(sandbox, &statistics);
}

static int do_describe(struct kvmsb *sandbox)
{
	const struct kvmsb_result result = KVMSB_RESULT_INIT;
	char text[64] = "";

	return kvmsb_describe(sandbox, &result, text, sizeof(text)) == strlen(text) &&
	                       kvmsb_detail(sandbox) != NULL
	               ? 0
	               : -EIO;
}

/* The columns of sandbox.h. The guest has no handler: a request that may begin is -EOPNOTSUPP. */
static const struct {
	const char *name;
	int (*function)(struct kvmsb *sandbox);
	int wanted[STATES];
} cells[] = {
	{"run", do_run, {0, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL}},
	{"freeze", kvmsb_freeze, {-EINVAL, 0, 0, -ESRCH, -EINVAL, -EINVAL, -EINVAL}},
	{"fork", do_fork, {-EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -EINVAL, -EINVAL}},
	{"reserve", do_reserve, {-EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -EINVAL, -EINVAL}},
	{"vmcall", do_vmcall, {-EINVAL, 0, -ESRCH, -ESRCH, -EROFS, 0, -ESRCH}},
	{"request", do_request, {-EINVAL, -EOPNOTSUPP, -ESRCH, -ESRCH, -EROFS, -EOPNOTSUPP, -ESRCH}},
	{"reset", kvmsb_reset, {-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, 0}},
	{"memory_write", do_write, {0, 0, 0, 0, -EROFS, 0, 0}},
	{"memory_read", do_read, {0, 0, 0, 0, 0, 0, 0}},
	{"symbol", do_symbol, {0, 0, 0, 0, 0, 0, 0}},
	{"statistics", do_statistics, {0, 0, 0, 0, 0, 0, 0}},
	{"describe", do_describe, {0, 0, 0, 0, 0, 0, 0}},
};

static void every_function_in_every_state(void **unused)
{
	unsigned wrong = 0;

	(void)unused;
	for (enum state state = NEW; state < STATES; state++) {
		for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
			struct made made = make(state);
			int result = cells[i].function(made.sandbox);

			if (result != cells[i].wanted[state]) {
				print_error("%s of one that is %s: %d, not %d\n", cells[i].name,
				            state_names[state], result, cells[i].wanted[state]);
				wrong++;
			}
			unmake(made);
		}
	}
	assert_int_equal(wrong, 0);
}

/* What a function leaves behind: the state that follows. */
static void states_follow_each_other(void **unused)
{
	struct made made = make(FORK_OVER);

	(void)unused;
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 12);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	unmake(made);

	made = make(READY);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	assert_int_equal(kvmsb_freeze(made.sandbox), 0);
	made.master = made.sandbox;
	made.sandbox = fixture_fork(made.master);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 12);
	unmake(made);
}

/* A program that has exited still has its memory; a fork of it that "waits" stays a fork. */
static void exited_program_is_frozen(void **unused)
{
	struct made made = make(EXITED);
	struct kvmsb_result result;

	(void)unused;
	assert_int_equal(kvmsb_freeze(made.sandbox), 0);
	made.master = made.sandbox;
	made.sandbox = fixture_fork(made.master);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 8);
	result = fixture_call(made.sandbox, "wait_again", NO_NUMBERS);
	assert_int_not_equal(result.outcome, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(kvmsb_freeze(made.sandbox), -EINVAL);
	assert_int_equal(do_fork(made.sandbox), -EINVAL);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 8);
	unmake(made);
}

static void waiting_twice_is_denied(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_result result = fixture_call(made.sandbox, "wait_again", NO_NUMBERS);

	(void)unused;
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_DENIED);
	assert_int_equal(result.hypercall, 0x10001);
	assert_string_not_equal(kvmsb_detail(made.sandbox), "");
	assert_int_equal(do_vmcall(made.sandbox), -ESRCH);
	unmake(made);
}

/* How main() can end. */

static void run_outcomes(void **unused)
{
	const struct {
		const char *argument;
		enum kvmsb_outcome outcome;
		int status;
	} rows[] = {
		{"wait", KVMSB_OUTCOME_READY, 0},
		{"exit", KVMSB_OUTCOME_EXITED, 3},
		{"crash", KVMSB_OUTCOME_FAULTED, 0},
		{"spin", KVMSB_OUTCOME_TIMED_OUT, 0},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const arguments[] = {"calls", rows[i].argument, NULL};
		struct kvmsb_options options = fixture_options(CALLS);
		struct kvmsb_result result = KVMSB_RESULT_INIT;
		struct kvmsb *sandbox;

		options.arguments = arguments;
		if (rows[i].outcome == KVMSB_OUTCOME_TIMED_OUT)
			options.run_timeout_ns = scaled_ms(100);
		sandbox = fixture_create(&options);
		assert_int_equal(kvmsb_run(sandbox, &result), 0);
		assert_outcome(sandbox, &result, rows[i].outcome);
		assert_int_equal(result.exit_status, rows[i].status);
		assert_true(result.kvm_runs > 0);
		kvmsb_destroy(sandbox);
	}
}

/* Options. */

static const struct {
	const char *about; /* stands in the error's detail */
	struct kvmsb_options options;
	int wanted;
} bad_options[] = {
	{"size", {.size = 8, .path = CALLS}, -EINVAL},
	{"size", {.size = offsetof(struct kvmsb_options, trace_user), .path = CALLS}, -EINVAL},
	{"path", {.size = sizeof(struct kvmsb_options)}, -EINVAL},
	{"memory_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .memory_limit = 4096},
         -EINVAL},
	{"memory_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .memory_limit = UINT64_MAX},
         -EINVAL},
	{"fork_memory_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .fork_memory_limit = 1},
         -EINVAL},
	{"total_fork_memory",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .total_fork_memory = UINT64_MAX},
         -EINVAL},
	{"fork_keep_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .fork_keep_limit = 4096},
         -EINVAL},
	{"temporary_size",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .temporary_size = 65535},
         -EINVAL},
	{"temporary_size",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .temporary_size = UINT64_MAX},
         -EINVAL},
	{"learned_pages_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .learned_pages_limit = 4097},
         -EINVAL},
	{"stack_size",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .stack_size = 4096},
         -EINVAL},
	{"stack_size",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .stack_size = UINT64_MAX - 4095},
         -EINVAL},
	{"timeout_signal",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .timeout_signal = 65},
         -EINVAL},
	{"timeout_signal",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .timeout_signal = -1},
         -EINVAL},
	{"vcpu_limit",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .vcpu_limit = 129},
         -EINVAL},
	{"entry", {.size = sizeof(struct kvmsb_options), .path = CALLS, .entry = 99}, -EINVAL},
	{"directory",
         {.size = sizeof(struct kvmsb_options), .path = CALLS, .directory = "tmp"},
         -EINVAL},
	{"paths", {.size = sizeof(struct kvmsb_options), .path = CALLS, .path_count = 1}, -EINVAL},
	{"/nonexistent",
         {.size = sizeof(struct kvmsb_options), .path = "/nonexistent/program"},
         -ENOENT},
	{"/tmp", {.size = sizeof(struct kvmsb_options), .path = "/tmp"}, -ENOEXEC},
	{"/dev/null", {.size = sizeof(struct kvmsb_options), .path = "/dev/null"}, -ENOEXEC},
	{"",
         {.size = sizeof(struct kvmsb_options),
          .path = "script",
          .image = "#!/bin/sh\nexit\n",
          .image_size = 15},
         -ENOEXEC},
	{"", {.size = sizeof(struct kvmsb_options), .image = "\177ELF", .image_size = 4}, -ENOEXEC},
	{"", {.size = sizeof(struct kvmsb_options), .image = "\177ELF", .image_size = 0}, -ENOEXEC},
};

static void bad_options_are_refused(void **unused)
{
	unsigned wrong = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad_options); i++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct kvmsb *sandbox = NULL;
		int result = kvmsb_create(&sandbox, &bad_options[i].options, &error);

		if (result == bad_options[i].wanted && error.code == result &&
		    error.detail[0] != '\0' && strstr(error.detail, bad_options[i].about) != NULL)
			continue;
		print_error("row %zu (%s): %d, not %d; code %d, \"%s\"\n", i, bad_options[i].about,
		            result, bad_options[i].wanted, error.code, error.detail);
		kvmsb_destroy(sandbox);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void unknown_tails(void **unused)
{
	struct {
		struct kvmsb_options options;
		uint64_t unknown;
	} larger = {.options = KVMSB_OPTIONS_INIT};
	struct kvmsb *sandbox = NULL;

	(void)unused;
	larger.options.size = sizeof(larger);
	larger.options.path = CALLS;
	assert_int_equal(kvmsb_create(&sandbox, &larger.options, NULL), 0);
	kvmsb_destroy(sandbox);
	larger.unknown = 1;
	assert_int_equal(kvmsb_create(&sandbox, &larger.options, NULL), -E2BIG);
}

static uint8_t *read_program(const char *path, size_t *size)
{
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes;

	assert_true(file >= 0);
	assert_int_equal(fstat(file, &status), 0);
	*size = (size_t)status.st_size;
	bytes = malloc(*size);
	assert_non_null(bytes);
	assert_int_equal(read(file, bytes, *size), *size);
	close(file);
	return bytes;
}

static void program_from_memory(void **unused)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	uint8_t *image = read_program(CALLS, &options.image_size);
	struct kvmsb *sandbox;

	(void)unused;
	options.image = image;
	sandbox = fixture_create(&options);
	memset(image, 0, options.image_size);
	free(image);
	assert_int_equal(do_run(sandbox), 0);
	assert_int_equal(fixture_value(sandbox, "count", NO_NUMBERS), 11);
	kvmsb_destroy(sandbox);
}

static int create_damaged(const uint8_t *program, size_t size, size_t kept, size_t at,
                          uint8_t value, struct kvmsb_error *error)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb *sandbox = NULL;
	uint8_t *image = malloc(size);
	int result;

	assert_non_null(image);
	memcpy(image, program, size);
	image[at] = value;
	options.image = image;
	options.image_size = kept;
	result = kvmsb_create(&sandbox, &options, error);
	kvmsb_destroy(sandbox);
	free(image);
	return result;
}

/* Offsets of Elf64_Ehdr: e_ident[4] class, e_type 16, e_machine 18. */
static void damaged_programs(void **unused)
{
	size_t size;
	uint8_t *program = read_program(CALLS, &size);
	const struct {
		size_t kept, at;
		uint8_t value;
	} rows[] = {
		{64, 0, 0x7f}, {200, 0, 0x7f}, {size / 2, 0, 0x7f}, {size, 0, 0x7e},
		{size, 4, 1},  {size, 16, 1},  {size, 18, 183},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;

		assert_int_equal(create_damaged(program, size, rows[i].kept, rows[i].at,
		                                rows[i].value, &error),
		                 -ENOEXEC);
		assert_string_not_equal(error.detail, "");
	}
	free(program);
}

/* PT_INTERP of a program may name what its host did not allow, or what is not there. */
static void interpreter_cannot_be_had(void **unused)
{
	static const char name[] = "/lib64/ld-linux-x86-64.so.2";
	const struct kvmsb_path_rule libraries[] = {{.path = "/usr/lib"}};
	const struct {
		const char *name;
		int wanted;
	} rows[] = {
		{"/usr/lib/no/such/ld.so.2222", -ENOENT},
		{"/etc/ld-linux-x86-64.so.222", -EACCES},
	};
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	uint8_t *image = read_program(GUEST("calls-dynamic"), &options.image_size);
	char *found = memmem(image, options.image_size, name, sizeof(name));

	(void)unused;
	assert_non_null(found);
	options.image = image;
	options.paths = libraries;
	options.path_count = ARRAY_SIZE(libraries);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct kvmsb *sandbox = NULL;

		assert_int_equal(strlen(rows[i].name), strlen(name));
		memcpy(found, rows[i].name, sizeof(name));
		assert_int_equal(kvmsb_create(&sandbox, &options, &error), rows[i].wanted);
		assert_non_null(strstr(error.detail, rows[i].name));
	}
	free(image);
}

static void too_many_arguments(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *sandbox = NULL;
	char *text = malloc(32768);
	const char *const arguments[] = {"calls", text, NULL};

	(void)unused;
	assert_non_null(text);
	memset(text, 'x', 32767);
	text[32767] = '\0';
	options.stack_size = 65536;
	options.arguments = arguments;
	assert_int_equal(kvmsb_create(&sandbox, &options, NULL), -E2BIG);
	options.arguments = NULL;
	options.environment = arguments;
	assert_int_equal(kvmsb_create(&sandbox, &options, NULL), -E2BIG);
	free(text);
}

/* In a child process, whose exit status is `wanted`, or 77 when it could not try. */
static void in_child(int (*function)(void), const char *what)
{
	int status = -1;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(function());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT_RUN)
		print_message("%s: cannot be tried here\n", what);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
}

static struct kvmsb_options image_options;

/* 0 when creation fails as wanted, and the detail says something of /dev/kvm. */
static int create_fails(int wanted, const char *about)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox = NULL;
	int result = kvmsb_create(&sandbox, &image_options, &error);

	if (result == wanted && strstr(error.detail, about) != NULL)
		return 0;
	fprintf(stderr, "%d, not %d: %s\n", result, wanted, error.detail);
	return 1;
}

static int without_device(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) < 0)
		return CANNOT_RUN;
	return create_fails(-ENOENT, "/dev/kvm");
}

static int without_permission(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0 || access("/dev/kvm", R_OK | W_OK) == 0)
		return CANNOT_RUN;
	return create_fails(-EACCES, "/dev/kvm");
}

static int without_descriptors(void)
{
	const struct rlimit none = {.rlim_cur = 3, .rlim_max = 3};

	closefrom(3);
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return CANNOT_RUN;
	return create_fails(-EMFILE, "");
}

static void kvm_cannot_be_had(void **unused)
{
	uint8_t *image;

	(void)unused;
	image_options = (struct kvmsb_options)KVMSB_OPTIONS_INIT;
	image = read_program(CALLS, &image_options.image_size);
	image_options.image = image;
	in_child(without_device, "no /dev/kvm");
	in_child(without_permission, "no permission for /dev/kvm");
	in_child(without_descriptors, "no descriptors");
	free(image);
}

/* Calls. */

static void integer_arguments(void **unused)
{
	struct made made = make(FORK);

	(void)unused;
	assert_int_equal(fixture_value(made.sandbox, "weigh", NUMBERS(1, 2, 3, 4, 5, 6)),
	                 1 + 4 + 9 + 20 + 35 + 66);
	assert_int_equal(fixture_value(made.sandbox, "weigh",
	                               NUMBERS(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
	                                       UINT64_MAX, UINT64_MAX)),
	                 UINT64_MAX - 28);
	assert_int_equal(fixture_value(made.sandbox, "same", NUMBERS(UINT64_C(1) << 63)),
	                 UINT64_C(1) << 63);
	assert_int_equal(fixture_value(made.sandbox, "entry_stack", NO_NUMBERS) % 16, 0);
	unmake(made);
}

static void sixteen_byte_value(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_result result = fixture_call(made.sandbox, "pair", NUMBERS(0xa1, 0xb2));

	(void)unused;
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(result.value, 0xa1);
	assert_int_equal(result.value_high, 0xb2);
	unmake(made);
}

static struct kvmsb_result call_with(struct kvmsb *sandbox, const char *symbol, size_t count,
                                     const struct kvmsb_argument *arguments)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	call.symbol = symbol;
	call.argument_count = count;
	memcpy(call.arguments, arguments, count * sizeof(*arguments));
	assert_int_equal(kvmsb_vmcall(sandbox, &call, &result), 0);
	return result;
}

#define VALUE(number)                                                                              \
	{                                                                                          \
		.kind = KVMSB_ARGUMENT_VALUE, .value = (number)                                    \
	}
#define IN(bytes, count)                                                                           \
	{                                                                                          \
		.kind = KVMSB_ARGUMENT_IN, .input = (bytes), .length = (count)                     \
	}
#define OUT(bytes, count)                                                                          \
	{                                                                                          \
		.kind = KVMSB_ARGUMENT_OUT, .output = (bytes), .length = (count)                   \
	}
#define INOUT(bytes, count)                                                                        \
	{                                                                                          \
		.kind = KVMSB_ARGUMENT_INOUT, .output = (bytes), .length = (count)                 \
	}
#define STRING(text)                                                                               \
	{                                                                                          \
		.kind = KVMSB_ARGUMENT_STRING, .input = (text)                                     \
	}

static void buffer_arguments(void **unused)
{
	const size_t sizes[] = {0, 1, 15, 16, 17, 4095, 4096, 4097, 100000};
	struct made made = make(FORK);
	uint8_t *bytes = malloc(100001);

	(void)unused;
	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];
		const struct kvmsb_argument in[] = {IN(bytes, size), VALUE(size)};
		const struct kvmsb_argument out[] = {OUT(bytes, size), VALUE(size), VALUE(9)};
		const struct kvmsb_argument inout[] = {INOUT(bytes, size), VALUE(size)};
		struct kvmsb_result result;

		memset(bytes, 3, 100001);
		result = call_with(made.sandbox, "sum_bytes", 2, in);
		assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, 3 * size);
		result = call_with(made.sandbox, "fill_bytes", 3, out);
		assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_RETURNED);
		for (size_t k = 0; k <= size; k++)
			assert_int_equal(bytes[k], k < size ? 9 : 3);
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)k;
		result = call_with(made.sandbox, "reverse", 2, inout);
		assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_RETURNED);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(bytes[k], (uint8_t)(size - 1 - k));
	}
	free(bytes);
	unmake(made);
}

/* A room for output is zeroed, whatever lay on the stack before. */
static void output_room_is_zero(void **unused)
{
	struct made made = make(FORK);
	uint8_t bytes[64];
	const struct kvmsb_argument full[] = {OUT(bytes, sizeof(bytes)), VALUE(64), VALUE(0xee)};
	const struct kvmsb_argument sum[] = {OUT(bytes, sizeof(bytes)), VALUE(64)};

	(void)unused;
	call_with(made.sandbox, "fill_bytes", 3, full);
	assert_int_equal(call_with(made.sandbox, "sum_bytes", 2, sum).value, 0);
	unmake(made);
}

static void string_arguments(void **unused)
{
	struct made made = make(FORK);
	const struct kvmsb_argument empty[] = {STRING("")};
	const struct kvmsb_argument text[] = {STRING("twelve chars")};
	const struct kvmsb_argument six[] = {STRING("1"), STRING("2"), STRING("3"),
	                                     STRING("4"), STRING("5"), STRING("6")};
	struct kvmsb_result result;

	(void)unused;
	assert_int_equal(call_with(made.sandbox, "length_of", 1, empty).value, 0);
	assert_int_equal(call_with(made.sandbox, "length_of", 1, text).value, 12);
	result = call_with(made.sandbox, "weigh", 6, six);
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_RETURNED);
	unmake(made);
}

static void buffers_come_back_from_a_stop(void **unused)
{
	struct made made = make(FORK);
	uint8_t bytes[100] = {0};
	const struct kvmsb_argument arguments[] = {OUT(bytes, sizeof(bytes)), VALUE(sizeof(bytes)),
	                                           VALUE(7)};
	struct kvmsb_result result = call_with(made.sandbox, "fill_and_respond", 3, arguments);

	(void)unused;
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_HYPERCALL);
	assert_int_equal(result.hypercall, 0x10010);
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 7);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	unmake(made);
}

static void bad_calls_are_refused(void **unused)
{
	static char big[3 << 20];
	const struct {
		struct kvmsb_call call;
		int wanted;
	} rows[] = {
		{{.size = 8}, -EINVAL},
		{{.size = sizeof(struct kvmsb_call), .symbol = "nothing of this name"}, -ENOENT},
		{{.size = sizeof(struct kvmsb_call), .symbol = ""}, -ENOENT},
		{{.size = sizeof(struct kvmsb_call), .symbol = "empty", .argument_count = 7}, -EINVAL},
		{{.size = sizeof(struct kvmsb_call), .symbol = "empty", .argument_count = SIZE_MAX},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {{.kind = 99}}},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {IN(NULL, 1)}},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {OUT(NULL, 1)}},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {INOUT(NULL, 1)}},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {STRING(NULL)}},
	         -EINVAL},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {IN(big, sizeof(big))}},
	         -E2BIG},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 1,
	          .arguments = {OUT(big, SIZE_MAX)}},
	         -E2BIG},
		{{.size = sizeof(struct kvmsb_call),
	          .symbol = "empty",
	          .argument_count = 3,
	          .arguments = {IN(big, 1 << 20), IN(big, 512 << 10), IN(big, 512 << 10)}},
	         -E2BIG},
	};
	struct made made = make(FORK);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_result result = KVMSB_RESULT_INIT;
		int failed = kvmsb_vmcall(made.sandbox, &rows[i].call, &result);

		if (failed != rows[i].wanted)
			fail_msg("row %zu: %d, not %d", i, failed, rows[i].wanted);
		assert_int_equal(result.outcome, KVMSB_OUTCOME_NONE);
		assert_string_not_equal(kvmsb_detail(made.sandbox), "");
	}
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	unmake(made);
}

static void unknown_tail_of_a_call(void **unused)
{
	struct {
		struct kvmsb_call call;
		uint64_t unknown;
	} larger = {.call = KVMSB_CALL_INIT};
	struct made made = make(FORK);
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	(void)unused;
	larger.call.size = sizeof(larger);
	larger.call.symbol = "empty";
	assert_int_equal(kvmsb_vmcall(made.sandbox, &larger.call, &result), 0);
	larger.unknown = 1;
	assert_int_equal(kvmsb_vmcall(made.sandbox, &larger.call, &result), -E2BIG);
	unmake(made);
}

/* An out-struct is filled as far as it reaches. */
static void short_result(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_result result;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	(void)unused;
	memset(&result, 0x5a, sizeof(result));
	result.size = offsetof(struct kvmsb_result, value_high);
	call.symbol = "same";
	call.argument_count = 1;
	call.arguments[0].value = 77;
	assert_int_equal(kvmsb_vmcall(made.sandbox, &call, &result), 0);
	assert_int_equal(result.value, 77);
	assert_int_equal(result.value_high, 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(result.kvm_runs, 0x5a5a5a5a5a5a5a5a);
	unmake(made);
}

static void outcomes_of_calls(void **unused)
{
	const struct {
		const char *symbol;
		uint64_t argument;
		enum kvmsb_outcome outcome;
		int status, signal;
	} rows[] = {
		{"empty", 0, KVMSB_OUTCOME_RETURNED, 0, 0},
		{"quit", 300, KVMSB_OUTCOME_EXITED, 300 & 255, 0},
		{"give_up", 0, KVMSB_OUTCOME_EXITED, 0, SIGABRT},
		{"crash", 0, KVMSB_OUTCOME_FAULTED, 0, 0},
		{"respond", 204, KVMSB_OUTCOME_HYPERCALL, 0, 0},
		{"wait_again", 0, KVMSB_OUTCOME_DENIED, 0, 0},
		{"spin", 0, KVMSB_OUTCOME_TIMED_OUT, 0, 0},
	};
	struct made made = make(FORK);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_result result = fixture_call_within(
			made.sandbox, rows[i].symbol, NUMBERS(rows[i].argument), scaled_ms(200));

		assert_outcome(made.sandbox, &result, rows[i].outcome);
		assert_int_equal(result.exit_status, rows[i].status);
		assert_int_equal(result.exit_signal, rows[i].signal);
		assert_int_equal(kvmsb_reset(made.sandbox), 0);
		assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	}
	unmake(made);
}

static void memory_limits_are_outcomes(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *master, *fork;
	struct kvmsb_result result;

	(void)unused;
	options.fork_memory_limit = 4 << 20;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	result = fixture_call(fork, "devour", NO_NUMBERS);
	assert_outcome(fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	assert_int_equal(do_vmcall(fork), -ESRCH);
	assert_true(fixture_statistics(fork).pages_private <= (4 << 20) / 4096);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fixture_value(fork, "count", NO_NUMBERS), 11);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* All forks together. The one that has no more is told, the others go on. */
static void total_memory_limit(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *master, *greedy, *other;
	struct kvmsb_result result;

	(void)unused;
	options.memory_limit = 2 << 20;
	options.total_fork_memory = 1 << 20;
	master = fixture_master(&options);
	other = fixture_fork(master);
	greedy = fixture_fork(master);
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), 11);
	result = fixture_call(greedy, "devour", NO_NUMBERS);
	assert_outcome(greedy, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), 12);
	assert_int_equal(kvmsb_reset(greedy), 0);
	assert_int_equal(fixture_value(greedy, "count", NO_NUMBERS), 11);
	kvmsb_destroy(greedy);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

/* The host's own part of a call fails: that is the guest's outcome, too. */
static void call_stack_is_gone(void **unused)
{
	struct made made = make(FORK);
	uint64_t stack = fixture_value(made.sandbox, "entry_stack", NO_NUMBERS) & PAGE_MASK;
	struct kvmsb_result result = fixture_call(made.sandbox, "unmap_and_respond",
	                                          NUMBERS(stack - 0x10000, 0x11000));

	(void)unused;
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_HYPERCALL);
	result = fixture_call(made.sandbox, "count", NO_NUMBERS);
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(do_vmcall(made.sandbox), -ESRCH);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	unmake(made);
}

static void no_memory_for_arguments(void **unused)
{
	static uint8_t bytes[512 << 10];
	const struct kvmsb_argument arguments[] = {IN(bytes, sizeof(bytes)), VALUE(sizeof(bytes))};
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb_result result;
	struct made made;

	(void)unused;
	/* Zeros would not count. */
	memset(bytes, 1, sizeof(bytes));
	options.fork_memory_limit = 64 * 4096;
	made.master = fixture_master(&options);
	made.sandbox = fixture_fork(made.master);
	result = call_with(made.sandbox, "sum_bytes", 2, arguments);
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	assert_int_equal(do_vmcall(made.sandbox), -ESRCH);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	unmake(made);
}

/* Symbols. */

static void symbols_of_each_linkage(void **unused)
{
	const char *const programs[] = {GUEST("calls-static"), GUEST("calls-static-pie"),
	                                GUEST("calls-dynamic")};
	const struct kvmsb_path_rule libraries[] = {
		{.path = "/lib"}, {.path = "/lib64"}, {.path = "/usr/lib"}};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct kvmsb_options options = fixture_options(programs[i]);
		struct kvmsb *master, *fork;
		struct kvmsb_call call = KVMSB_CALL_INIT;
		struct kvmsb_result result = KVMSB_RESULT_INIT;
		uint64_t counter = 0, address = 0;
		char text[10];

		options.paths = libraries;
		options.path_count = ARRAY_SIZE(libraries);
		master = fixture_master(&options);
		fork = fixture_fork(master);
		assert_int_equal(fixture_value(fork, "count", NO_NUMBERS), 11);
		assert_int_equal(
			kvmsb_memory_read(fork, fixture_symbol(fork, "counter"), &counter, 8), 0);
		assert_int_equal(counter, 11);
		assert_int_equal(
			kvmsb_memory_read(master, fixture_symbol(master, "counter"), &counter, 8), 0);
		assert_int_equal(counter, 10);
		assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "constant"), text, 10),
		                 0);
		assert_string_equal(text, "read only");
		assert_int_equal(kvmsb_symbol(fork, "nothing of this name", &address), -ENOENT);
		call.address = fixture_symbol(master, "count");
		assert_int_equal(kvmsb_vmcall(fork, &call, &result), 0);
		assert_int_equal(result.value, 12);
		kvmsb_destroy(fork);
		kvmsb_destroy(master);
	}
}

/* Memory. */

static void memory_ranges(void **unused)
{
	struct made made = make(FORK);
	uint64_t data = fixture_symbol(made.sandbox, "untouched");
	uint64_t text = fixture_symbol(made.sandbox, "empty");
	uint64_t constant = fixture_symbol(made.sandbox, "constant");
	const struct {
		uint64_t address;
		size_t length;
		int read, write;
	} rows[] = {
		{data, 3 * 4096, 0, 0},
		{data + 4095, 2, 0, 0},
		{data, 0, 0, 0},
		{text, 16, 0, -EFAULT},
		{constant, 10, 0, -EFAULT},
		{0, 1, -EFAULT, -EFAULT},
		{8, 8, -EFAULT, -EFAULT},
		{0x123456789000, 8, -EFAULT, -EFAULT},
		{LAYOUT_USER_END - 4, 8, -EFAULT, -EFAULT},
		{LAYOUT_KERNEL_TEXT, 8, -EFAULT, -EFAULT},
		{LAYOUT_KERNEL_GDT, 8, -EFAULT, -EFAULT},
		{LAYOUT_KERNEL_VCPU, 8, -EFAULT, -EFAULT},
		{UINT64_C(1) << 47, 8, -EFAULT, -EFAULT},
		{UINT64_MAX - 7, 8, -EFAULT, -EFAULT},
		{UINT64_MAX - 7, 16, -EFAULT, -EFAULT},
		{data, SIZE_MAX, -EFAULT, -EFAULT},
	};
	static uint8_t bytes[64 << 20];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int read, write;

		/* A length that no buffer has must fail before the buffer ends. */
		if (rows[i].length > sizeof(bytes))
			continue;
		read = kvmsb_memory_read(made.sandbox, rows[i].address, bytes, rows[i].length);
		write = kvmsb_memory_write(made.sandbox, rows[i].address, bytes, rows[i].length);
		if (read != rows[i].read || write != rows[i].write)
			fail_msg("%#llx + %zu: read %d, write %d",
			         (unsigned long long)rows[i].address, rows[i].length, read, write);
	}
	unmake(made);
}

static void memory_is_the_forks_own(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb *other = fixture_fork(made.master);
	uint64_t counter = fixture_symbol(made.sandbox, "counter"), value = 100;

	(void)unused;
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	assert_int_equal(kvmsb_memory_write(made.sandbox, counter, &value, 8), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 101);
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), 11);
	assert_int_equal(kvmsb_memory_write(made.master, counter, &value, 8), -EROFS);
	assert_int_equal(kvmsb_memory_read(made.master, counter, &value, 8), 0);
	assert_int_equal(value, 10);
	kvmsb_destroy(other);
	unmake(made);
}

/* Texts. */

static void descriptions(void **unused)
{
	const struct {
		const char *symbol;
		uint64_t argument;
		const char *text[3];
	} rows[] = {
		{"same", 0x1234, {"returned 0x1234"}},
		{"quit", 9, {"exited with status 9"}},
		{"give_up", 0, {"killed by signal 6"}},
		{"crash", 0, {"page fault (vector 14", "writing 0xa ", "crash+"}},
		{"spin", 0, {"timed out", "spin+"}},
		{"respond", 200, {"hypercall"}},
		{"wait_again", 0, {"denied"}},
	};
	struct made made = make(FORK);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_result result = fixture_call_within(
			made.sandbox, rows[i].symbol, NUMBERS(rows[i].argument), scaled_ms(100));
		char text[320], small[8];
		size_t length = kvmsb_describe(made.sandbox, &result, text, sizeof(text));

		assert_int_equal(length, strlen(text));
		for (size_t k = 0; k < 3 && rows[i].text[k] != NULL; k++)
			if (strstr(text, rows[i].text[k]) == NULL)
				fail_msg("\"%s\" is not in \"%s\"", rows[i].text[k], text);
		assert_int_equal(kvmsb_describe(made.sandbox, &result, small, sizeof(small)), length);
		assert_int_equal(strlen(small), sizeof(small) - 1);
		assert_memory_equal(small, text, sizeof(small) - 1);
		assert_int_equal(kvmsb_describe(made.sandbox, &result, NULL, 0), length);
		assert_int_equal(kvmsb_reset(made.sandbox), 0);
	}
	assert_string_equal(kvmsb_outcome_name(1000), "unknown outcome");
	assert_string_equal(kvmsb_vector_name(1000), "exception");
	assert_string_equal(kvmsb_vector_name(14), "page fault");
	unmake(made);
}

/* Streams, and what their functions may do. */

struct stream_user {
	struct kvmsb *sandbox; /* whose stream it is */
	struct kvmsb *master, *other;
	void (*act)(struct stream_user *user);
	unsigned calls;
	char data[256];
	size_t length;
	int64_t answer; /* not 0: returned instead of the length */
};

static int64_t stream_write(void *context, const void *data, size_t length)
{
	struct stream_user *user = context;

	user->calls++;
	user->length = min_u64(length, sizeof(user->data));
	memcpy(user->data, data, user->length);
	if (user->act != NULL)
		user->act(user);
	return user->answer != 0 ? user->answer : (int64_t)length;
}

static int64_t stream_read(void *context, void *data, size_t length)
{
	struct stream_user *user = context;
	size_t count = min_u64(length, user->length);

	user->calls++;
	if (user->act != NULL)
		user->act(user);
	memcpy(data, user->data, count);
	return user->answer != 0 ? user->answer : (int64_t)count;
}

static void stream_setup(struct stream_user *user)
{
	struct kvmsb_options options = fixture_options(CALLS);

	options.standard_output.write = stream_write;
	options.standard_output.user = user;
	options.standard_input.read = stream_read;
	options.standard_input.user = user;
	user->master = fixture_master(&options);
	user->sandbox = fixture_fork(user->master);
	user->other = fixture_fork(user->master);
}

static void stream_teardown(struct stream_user *user)
{
	kvmsb_destroy(user->sandbox);
	kvmsb_destroy(user->other);
	kvmsb_destroy(user->master);
}

static struct kvmsb_result say(struct kvmsb *sandbox)
{
	const struct kvmsb_argument arguments[] = {IN("abc", 3), VALUE(3)};

	return call_with(sandbox, "say", 2, arguments);
}

static void streams(void **unused)
{
	struct stream_user user = {0};
	struct kvmsb_result result;
	char text[16] = "";
	const struct kvmsb_argument arguments[] = {OUT(text, sizeof(text)), VALUE(sizeof(text))};

	(void)unused;
	stream_setup(&user);
	result = say(user.sandbox);
	assert_int_equal(result.value, 3);
	assert_int_equal(user.calls, 1);
	assert_memory_equal(user.data, "abc", 3);
	user.answer = -ENOSPC;
	result = say(user.sandbox);
	assert_outcome(user.sandbox, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal((int64_t)result.value, -1);
	user.answer = 2;
	assert_int_equal(say(user.sandbox).value, 2);
	user.answer = 0;
	memcpy(user.data, "hello", 5);
	user.length = 5;
	result = call_with(user.sandbox, "ask", 2, arguments);
	assert_int_equal(result.value, 5);
	assert_string_equal(text, "hello");
	user.length = 0;
	assert_int_equal(call_with(user.sandbox, "ask", 2, arguments).value, 0);
	user.answer = -EIO;
	assert_int_equal((int64_t)call_with(user.sandbox, "ask", 2, arguments).value, -1);
	stream_teardown(&user);
}

/* Without a stream: output is dropped, input is at its end. */
static void no_streams(void **unused)
{
	struct made made = make(FORK);
	char text[16] = "";
	const struct kvmsb_argument arguments[] = {OUT(text, sizeof(text)), VALUE(sizeof(text))};

	(void)unused;
	assert_int_equal(say(made.sandbox).value, 3);
	assert_int_equal(call_with(made.sandbox, "ask", 2, arguments).value, 0);
	unmake(made);
}

static void act_call_other(struct stream_user *user)
{
	assert_int_equal(fixture_value(user->other, "count", NO_NUMBERS), 11);
	assert_int_equal(kvmsb_reset(user->other), 0);
	assert_int_equal(do_fork(user->master), 0);
}

static void act_use_itself(struct stream_user *user)
{
	struct kvmsb *self = user->sandbox;
	uint64_t value = 0, address = 0;

	assert_int_equal(do_run(self), -EBUSY);
	assert_int_equal(kvmsb_freeze(self), -EBUSY);
	assert_int_equal(do_vmcall(self), -EBUSY);
	assert_int_equal(do_request(self), -EBUSY);
	assert_int_equal(kvmsb_reset(self), -EBUSY);
	assert_int_equal(do_write(self), -EBUSY);
	assert_int_equal(kvmsb_symbol(self, "counter", &address), 0);
	assert_int_equal(kvmsb_memory_read(self, address, &value, sizeof(value)), 0);
	assert_int_equal(value, 10);
	assert_int_equal(do_statistics(self), 0);
}

static void act_fault_other(struct stream_user *user)
{
	struct kvmsb_result result = fixture_call(user->other, "crash", NO_NUMBERS);

	assert_outcome(user->other, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(kvmsb_reset(user->other), 0);
}

static void act_destroy_other(struct stream_user *user)
{
	kvmsb_destroy(user->other);
	user->other = NULL;
}

static void act_destroy_master(struct stream_user *user)
{
	kvmsb_destroy(user->master);
	user->master = NULL;
}

static void functions_use_sandboxes(void **unused)
{
	void (*const acts[])(struct stream_user *) = {
		act_call_other,    act_use_itself,     act_fault_other,
		act_destroy_other, act_destroy_master,
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		struct stream_user user = {.act = acts[i]};
		struct kvmsb_result result;

		stream_setup(&user);
		result = say(user.sandbox);
		assert_outcome(user.sandbox, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, 3);
		assert_int_equal(user.calls, 1);
		assert_int_equal(fixture_value(user.sandbox, "count", NO_NUMBERS), 11);
		stream_teardown(&user);
	}
}

static void act_destroy_itself(struct stream_user *user)
{
	kvmsb_destroy(user->sandbox);
}

static void destroyed_by_its_own_function(void **unused)
{
	struct stream_user user = {.act = act_destroy_itself};
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	(void)unused;
	stream_setup(&user);
	call.symbol = "say";
	call.argument_count = 2;
	call.arguments[0] = (struct kvmsb_argument)IN("abc", 3);
	call.arguments[1].value = 3;
	assert_int_equal(kvmsb_vmcall(user.sandbox, &call, &result), -ECANCELED);
	user.sandbox = NULL;
	assert_int_equal(fixture_value(user.other, "count", NO_NUMBERS), 11);
	assert_int_equal(fixture_statistics(user.master).machine_forks, 1);
	stream_teardown(&user);
}

/* A master in the making that its own function destroys. */
static void run_destroyed_by_its_own_function(void **unused)
{
	const char *const arguments[] = {"calls", "say", NULL};
	struct stream_user user = {.act = act_destroy_itself};
	struct kvmsb_options options = fixture_options(CALLS);

	(void)unused;
	options.arguments = arguments;
	options.standard_output.write = stream_write;
	options.standard_output.user = &user;
	user.sandbox = fixture_create(&options);
	assert_int_equal(do_run(user.sandbox), -ECANCELED);
	assert_int_equal(user.calls, 1);
}

static void act_sleep(struct stream_user *user)
{
	const uint64_t time = scaled_ms(60);
	const struct timespec pause = {.tv_sec = (time_t)(time / SECOND),
	                               .tv_nsec = (long)(time % SECOND)};

	(void)user;
	nanosleep(&pause, NULL);
}

static void time_passes_in_functions(void **unused)
{
	struct stream_user user = {.act = act_sleep};
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	(void)unused;
	stream_setup(&user);
	call.symbol = "say";
	call.argument_count = 2;
	call.arguments[0] = (struct kvmsb_argument)IN("abc", 3);
	call.arguments[1].value = 3;
	call.timeout_ns = scaled_ms(30);
	assert_int_equal(kvmsb_vmcall(user.sandbox, &call, &result), 0);
	assert_outcome(user.sandbox, &result, KVMSB_OUTCOME_TIMED_OUT);
	stream_teardown(&user);
}

/* Every call of another one deeper, all on one thread. */
#define DEPTH 8

struct nest {
	struct kvmsb *forks[DEPTH];
	unsigned level;
	uint64_t sum;
};

static int64_t nest_write(void *context, const void *data, size_t length)
{
	struct nest *nest = context;

	(void)data;
	if (++nest->level < DEPTH)
		nest->sum += say(nest->forks[nest->level]).value;
	return (int64_t)length;
}

static void functions_nest(void **unused)
{
	struct nest nest = {0};
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *master;

	(void)unused;
	options.standard_output.write = nest_write;
	options.standard_output.user = &nest;
	options.vcpu_limit = 1;
	master = fixture_master(&options);
	for (unsigned i = 0; i < DEPTH; i++)
		nest.forks[i] = fixture_fork(master);
	assert_int_equal(say(nest.forks[0]).value, 3);
	assert_int_equal(nest.sum, 3 * (DEPTH - 1));
	assert_int_equal(fixture_statistics(master).machine_vcpus, 1);
	for (unsigned i = 0; i < DEPTH; i++)
		kvmsb_destroy(nest.forks[i]);
	kvmsb_destroy(master);
}

static void count_events(void *context, const struct kvmsb_trace_event *event)
{
	uint64_t *events = context;

	if (strcmp(event->name, "getppid") == 0 && event->number == 110 && event->result > 0 &&
	    strncmp(event->text, "getppid()", 9) == 0 && event->finished)
		++*events;
}

static void trace_sees_each_system_call(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	uint64_t events = 0;
	struct kvmsb *master, *fork;

	(void)unused;
	options.trace = count_events;
	options.trace_user = &events;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	fixture_value(fork, "system_calls", NUMBERS(5));
	assert_int_equal(events, 5);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Time limits and signals. */

static void spin_is_stopped(struct kvmsb *fork, uint64_t milliseconds)
{
	uint64_t begin = now(), limit = scaled_ms(milliseconds), took;
	struct kvmsb_result result = fixture_call_within(fork, "spin", NO_NUMBERS, limit);

	took = now() - begin;
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_true(took >= limit);
	assert_true(took < limit + scaled_ms(500));
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fixture_value(fork, "count", NO_NUMBERS), 11);
}

static void limits_one_after_the_other(void **unused)
{
	struct made made = make(FORK);

	(void)unused;
	spin_is_stopped(made.sandbox, 20);
	spin_is_stopped(made.sandbox, 5);
	spin_is_stopped(made.sandbox, 50);
	unmake(made);
}

/*
 * Two machines, so two timers, signal one thread: a signal that comes while
 * the other one runs must not be the end of the first one's limits.
 */
static void limits_of_two_programs_on_one_thread(void **unused)
{
	struct made a = make(FORK), b = make(FORK);

	(void)unused;
	fixture_call_within(a.sandbox, "count", NO_NUMBERS, scaled_ms(30));
	assert_int_equal(kvmsb_reset(a.sandbox), 0);
	spin_is_stopped(b.sandbox, 60);
	spin_is_stopped(a.sandbox, 60);
	unmake(a);
	unmake(b);
}

static void no_time_at_all(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_result result = fixture_call_within(made.sandbox, "spin", NO_NUMBERS, 1);

	(void)unused;
	assert_outcome(made.sandbox, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	spin_is_stopped(made.sandbox, 20);
	unmake(made);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

/* Signals of others are let in, and the call goes on. */
static void other_signals_do_not_end_a_call(void **unused)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval often = {.it_interval.tv_usec = 2000, .it_value.tv_usec = 2000};
	const struct itimerval never = {0};
	struct made made = make(FORK);
	struct sigaction before;

	(void)unused;
	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	alarms = 0;
	setitimer(ITIMER_REAL, &often, NULL);
	spin_is_stopped(made.sandbox, 100);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_true(alarms > 5);
	unmake(made);
}

/* The library's own signal, sent by somebody else, is no time limit. */
static void foreign_time_signal(void **unused)
{
	struct made made = make(FORK);

	(void)unused;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pthread_kill(pthread_self(), SIGURG), 0);
		assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11 + i);
	}
	unmake(made);
}

/* No disposition is changed and the signal stays blocked. */
static void signals_are_left_alone(void **unused)
{
	struct made made = make(FORK);
	struct sigaction action;
	sigset_t mask;

	(void)unused;
	assert_int_equal(do_vmcall(made.sandbox), 0);
	assert_int_equal(sigaction(SIGURG, NULL, &action), 0);
	assert_true(action.sa_handler == SIG_DFL);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGURG), 1);
	unmake(made);
}

static void another_time_signal(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *master, *fork;

	(void)unused;
	options.timeout_signal = SIGRTMIN + 3;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	spin_is_stopped(fork, 20);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Threads. */

struct thread_user {
	struct kvmsb *fork;
	uint64_t value;
	int failed;
};

static void *count_in_thread(void *context)
{
	struct thread_user *user = context;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = "count";
	user->failed = kvmsb_vmcall(user->fork, &call, &result);
	user->value = result.outcome == KVMSB_OUTCOME_RETURNED ? result.value : 0;
	return NULL;
}

/* A sandbox goes from thread to thread; threads end. */
static void threads_come_and_go(void **unused)
{
	struct made made = make(FORK);

	(void)unused;
	for (unsigned i = 0; i < 8; i++) {
		struct thread_user user = {.fork = made.sandbox};
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, count_in_thread, &user), 0);
		pthread_join(thread, NULL);
		assert_int_equal(user.failed, 0);
		assert_int_equal(user.value, 11 + 2 * i);
		assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 12 + 2 * i);
	}
	unmake(made);
}

/* A processor that goes from thread to thread takes its time limit along. */
static void limits_of_a_migrated_processor(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct thread_user user = {0};
	struct kvmsb *master;
	pthread_t thread;

	(void)unused;
	options.vcpu_limit = 1;
	master = fixture_master(&options);
	user.fork = fixture_fork(master);
	assert_int_equal(pthread_create(&thread, NULL, count_in_thread, &user), 0);
	pthread_join(thread, NULL);
	assert_int_equal(user.value, 11);
	assert_int_equal(kvmsb_reset(user.fork), 0);
	spin_is_stopped(user.fork, 20);
	assert_true(fixture_statistics(master).machine_migrations >= 2);
	kvmsb_destroy(user.fork);
	kvmsb_destroy(master);
}

/* The only processor is busy for longer than the call may take. */
struct spinner {
	struct kvmsb *fork;
	int failed;
	enum kvmsb_outcome outcome;
};

static void *spin_in_thread(void *context)
{
	struct spinner *spinner = context;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = "spin";
	call.timeout_ns = scaled_ms(400);
	spinner->failed = kvmsb_vmcall(spinner->fork, &call, &result);
	spinner->outcome = result.outcome;
	return NULL;
}

static int call_briefly(struct kvmsb *fork)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = "count";
	call.timeout_ns = scaled_ms(20);
	return kvmsb_vmcall(fork, &call, &result);
}

static void no_processor_in_time(void **unused)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct spinner spinner;
	struct kvmsb *master, *fork;
	pthread_t thread;
	int result = 0;

	(void)unused;
	options.vcpu_limit = 1;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	spinner = (struct spinner){.fork = fixture_fork(master)};
	assert_int_equal(pthread_create(&thread, NULL, spin_in_thread, &spinner), 0);
	/* Until the other thread has it. */
	for (unsigned i = 0; i < 300 && result == 0; i++) {
		const struct timespec pause = {.tv_nsec = 1000000};

		nanosleep(&pause, NULL);
		result = call_briefly(fork);
		if (result == 0)
			assert_int_equal(kvmsb_reset(fork), 0);
	}
	assert_int_equal(result, -ETIMEDOUT);
	pthread_join(thread, NULL);
	assert_int_equal(spinner.failed, 0);
	assert_int_equal(spinner.outcome, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(fixture_value(fork, "count", NO_NUMBERS), 11);
	kvmsb_destroy(spinner.fork);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static int without_timers(void)
{
	const struct kvmsb_options options = fixture_options(CALLS);
	const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
	struct kvmsb *sandbox = NULL;
	int result;

	if (kvmsb_create(&sandbox, &options, NULL) < 0 || setrlimit(RLIMIT_SIGPENDING, &none) < 0)
		return CANNOT_RUN;
	result = do_run(sandbox);
	kvmsb_destroy(sandbox);
	return result == -EAGAIN ? 0 : 1;
}

static void no_timers_left(void **unused)
{
	(void)unused;
	in_child(without_timers, "no timers");
}

/* fork(2). */

static struct made inherited;

static int use_in_child(void)
{
	uint64_t value = 0;
	int wrong = 0;

	wrong |= (do_run(inherited.sandbox) != -ECHILD) << 0;
	wrong |= (kvmsb_freeze(inherited.sandbox) != -ECHILD) << 1;
	wrong |= (kvmsb_fork(inherited.master, &inherited.sandbox, NULL) != -ECHILD) << 2;
	wrong |= (kvmsb_reserve(inherited.master, 1) != -ECHILD) << 2;
	wrong |= (do_vmcall(inherited.sandbox) != -ECHILD) << 3;
	wrong |= (kvmsb_reset(inherited.sandbox) != -ECHILD) << 4;
	wrong |= (kvmsb_memory_read(inherited.sandbox, 0x400000, &value, 8) != -ECHILD) << 5;
	wrong |= (kvmsb_memory_write(inherited.sandbox, 0x400000, &value, 8) != -ECHILD) << 5;
	wrong |= (do_symbol(inherited.sandbox) != -ECHILD) << 6;
	wrong |= (do_statistics(inherited.sandbox) != -ECHILD) << 6;
	wrong |= (do_request(inherited.sandbox) != -ECHILD) << 6;
	kvmsb_destroy(inherited.sandbox);
	kvmsb_destroy(inherited.master);
	return wrong;
}

static void forked_host(void **unused)
{
	(void)unused;
	inherited = make(FORK);
	assert_int_equal(fixture_value(inherited.sandbox, "count", NO_NUMBERS), 11);
	in_child(use_in_child, "fork(2)");
	assert_int_equal(fixture_value(inherited.sandbox, "count", NO_NUMBERS), 12);
	spin_is_stopped(inherited.sandbox, 20);
	unmake(inherited);
}

static int create_in_child(void)
{
	struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *sandbox = NULL;
	int failed;

	kvmsb_destroy(inherited.sandbox);
	kvmsb_destroy(inherited.master);
	if (kvmsb_create(&sandbox, &options, &error) < 0) {
		fprintf(stderr, "%s\n", error.detail);
		return 1;
	}
	failed = kvmsb_run(sandbox, &result);
	if (failed < 0 || result.outcome != KVMSB_OUTCOME_READY)
		fprintf(stderr, "%d: %s\n", failed, kvmsb_detail(sandbox));
	kvmsb_destroy(sandbox);
	return failed < 0 || result.outcome != KVMSB_OUTCOME_READY ? 2 : 0;
}

static void forked_host_makes_its_own(void **unused)
{
	(void)unused;
	inherited = make(FORK);
	in_child(create_in_child, "fork(2)");
	assert_int_equal(fixture_value(inherited.sandbox, "count", NO_NUMBERS), 11);
	unmake(inherited);
}

/* Lifetimes. */

static void master_goes_before_its_forks(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb *other = fixture_fork(made.master);

	(void)unused;
	kvmsb_destroy(made.master);
	made.master = NULL;
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	assert_int_equal(fixture_value(made.sandbox, "count", NO_NUMBERS), 11);
	kvmsb_destroy(made.sandbox);
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), 11);
	kvmsb_destroy(other);
}

static void nothing_is_destroyed(void **unused)
{
	(void)unused;
	kvmsb_destroy(NULL);
}

static void statistics_count(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_statistics before = fixture_statistics(made.sandbox), after;
	struct kvmsb *other;

	(void)unused;
	assert_int_equal(before.machine_forks, 1);
	assert_int_equal(before.calls, 0);
	other = fixture_fork(made.master);
	assert_int_equal(fixture_statistics(made.master).machine_forks, 2);
	kvmsb_destroy(other);
	fixture_value(made.sandbox, "count", NO_NUMBERS);
	fixture_value(made.sandbox, "system_calls", NUMBERS(3));
	fixture_call(made.sandbox, "respond", NUMBERS(200));
	assert_int_equal(kvmsb_reset(made.sandbox), 0);
	after = fixture_statistics(made.sandbox);
	assert_int_equal(after.machine_forks, 1);
	assert_int_equal(after.calls, 3);
	assert_int_equal(after.resets, 1);
	assert_int_equal(after.system_calls, 3);
	assert_int_equal(after.hypercalls, 1);
	assert_true(after.kvm_runs >= 6);
	assert_true(after.pages_private >= 1);
	assert_true(after.pages_restored >= 1);
	assert_true(after.machine_vcpus >= 1);
	assert_true(after.machine_memory > 0);
	unmake(made);
}

static void statistics_of_any_size(void **unused)
{
	struct made made = make(FORK);
	struct kvmsb_statistics statistics;

	(void)unused;
	memset(&statistics, 0x5a, sizeof(statistics));
	statistics.size = offsetof(struct kvmsb_statistics, kvm_runs);
	assert_int_equal(kvmsb_get_statistics(made.sandbox, &statistics), 0);
	assert_int_equal(statistics.calls, 0);
	assert_int_equal(statistics.kvm_runs, 0x5a5a5a5a5a5a5a5a);
	statistics.size = 0;
	assert_int_equal(kvmsb_get_statistics(made.sandbox, &statistics), -EINVAL);
	unmake(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function_in_every_state),
		cmocka_unit_test(states_follow_each_other),
		cmocka_unit_test(exited_program_is_frozen),
		cmocka_unit_test(waiting_twice_is_denied),
		cmocka_unit_test(run_outcomes),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(unknown_tails),
		cmocka_unit_test(program_from_memory),
		cmocka_unit_test(damaged_programs),
		cmocka_unit_test(interpreter_cannot_be_had),
		cmocka_unit_test(too_many_arguments),
		cmocka_unit_test(kvm_cannot_be_had),
		cmocka_unit_test(integer_arguments),
		cmocka_unit_test(sixteen_byte_value),
		cmocka_unit_test(buffer_arguments),
		cmocka_unit_test(output_room_is_zero),
		cmocka_unit_test(string_arguments),
		cmocka_unit_test(buffers_come_back_from_a_stop),
		cmocka_unit_test(bad_calls_are_refused),
		cmocka_unit_test(unknown_tail_of_a_call),
		cmocka_unit_test(short_result),
		cmocka_unit_test(outcomes_of_calls),
		cmocka_unit_test(memory_limits_are_outcomes),
		cmocka_unit_test(total_memory_limit),
		cmocka_unit_test(call_stack_is_gone),
		cmocka_unit_test(no_memory_for_arguments),
		cmocka_unit_test(symbols_of_each_linkage),
		cmocka_unit_test(memory_ranges),
		cmocka_unit_test(memory_is_the_forks_own),
		cmocka_unit_test(descriptions),
		cmocka_unit_test(streams),
		cmocka_unit_test(no_streams),
		cmocka_unit_test(functions_use_sandboxes),
		cmocka_unit_test(destroyed_by_its_own_function),
		cmocka_unit_test(run_destroyed_by_its_own_function),
		cmocka_unit_test(time_passes_in_functions),
		cmocka_unit_test(functions_nest),
		cmocka_unit_test(trace_sees_each_system_call),
		cmocka_unit_test(limits_one_after_the_other),
		cmocka_unit_test(limits_of_two_programs_on_one_thread),
		cmocka_unit_test(no_time_at_all),
		cmocka_unit_test(other_signals_do_not_end_a_call),
		cmocka_unit_test(foreign_time_signal),
		cmocka_unit_test(signals_are_left_alone),
		cmocka_unit_test(another_time_signal),
		cmocka_unit_test(threads_come_and_go),
		cmocka_unit_test(limits_of_a_migrated_processor),
		cmocka_unit_test(no_processor_in_time),
		cmocka_unit_test(no_timers_left),
		cmocka_unit_test(forked_host),
		cmocka_unit_test(forked_host_makes_its_own),
		cmocka_unit_test(master_goes_before_its_forks),
		cmocka_unit_test(nothing_is_destroyed),
		cmocka_unit_test(statistics_count),
		cmocka_unit_test(statistics_of_any_size),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
