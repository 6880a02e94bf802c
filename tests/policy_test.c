/* SPDX-License-Identifier: MIT */
/*
 * What options.paths and options.policy let real guests do: files of the host
 * under other names, written by forks; functions of the host that decide, and
 * what these may do with sandboxes meanwhile.
 */
#include "sandbox_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define POLICY GUEST("policy-static")
#define CANNOT_RUN 77

/* The directory root/data is "/data" for the guest. */
struct bench {
	char root[64], data[96];
	struct kvmsb_policy policy;
	struct kvmsb *master, *fork, *other;

	/* The host's function. */
	int answer;
	unsigned asked;
	char path[256];
	uint32_t access;
	const char *from, *to;
	int (*meanwhile)(struct bench *bench);
	int meanwhile_result;

	char line[256]; /* of the trace: the last one that names a path */
};

static int decide(void *user, struct kvmsb_path_request *request)
{
	struct bench *bench = user;

	bench->asked++;
	bench->access = request->access;
	snprintf(bench->path, sizeof(bench->path), "%s", request->path);
	if (bench->from != NULL && strcmp(request->path, bench->from) == 0)
		snprintf(request->rewritten, request->rewritten_size, "%s", bench->to);
	if (bench->meanwhile != NULL)
		bench->meanwhile_result = bench->meanwhile(bench);
	return bench->answer;
}

static void keep_line(void *user, const struct kvmsb_trace_event *event)
{
	struct bench *bench = user;

	if (strcmp(event->name, "open") == 0 || strcmp(event->name, "openat") == 0)
		snprintf(bench->line, sizeof(bench->line), "%s", event->text);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	fixture_end_hangs(state);
	assert_non_null(bench);
	strcpy(bench->root, "/tmp/kvmsb-rules-XXXXXX");
	assert_non_null(mkdtemp(bench->root));
	snprintf(bench->data, sizeof(bench->data), "%s/data", bench->root);
	assert_int_equal(mkdir(bench->data, 0755), 0);
	bench->policy = (struct kvmsb_policy)KVMSB_POLICY_INIT;
	bench->policy.user = bench;
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	char command[128];

	kvmsb_destroy(bench->other);
	kvmsb_destroy(bench->fork);
	kvmsb_destroy(bench->master);
	snprintf(command, sizeof(command), "rm -rf %s", bench->root);
	assert_int_equal(system(command), 0);
	free(bench);
	return fixture_end_well(state);
}

static void start(struct bench *bench)
{
	const struct kvmsb_path_rule rule = KVMSB_ALLOW_MAPPED("/data", bench->data,
	                                                       KVMSB_PATH_READ | KVMSB_PATH_WRITE);
	const char *const environment[] = {"KEPT=1", "SECRET=2", "CHANGED=3", NULL};
	struct kvmsb_options options = fixture_options(POLICY);

	options.paths = &rule;
	options.path_count = 1;
	options.policy = &bench->policy;
	options.environment = environment;
	options.trace = keep_line;
	options.trace_user = bench;
	bench->master = fixture_master(&options);
	bench->fork = fixture_fork(bench->master);
	bench->other = fixture_fork(bench->master);
	/* What it points to was copied. */
	memset(&bench->policy, 0xff, sizeof(bench->policy));
}

/* Strings are passed as such, the last argument as a number. */
static int64_t call(struct kvmsb *sandbox, const char *symbol, const char *a, const char *b,
                    uint64_t number)
{
	const char *const texts[] = {a, b};
	struct kvmsb_call request = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int error;

	request.symbol = symbol;
	for (size_t i = 0; i < 2; i++)
		if (texts[i] != NULL)
			request.arguments[request.argument_count++] = (struct kvmsb_argument){
				.kind = KVMSB_ARGUMENT_STRING, .input = texts[i]};
	request.arguments[request.argument_count++] = (struct kvmsb_argument){.value = number};
	error = kvmsb_vmcall(sandbox, &request, &result);
	if (error != 0)
		return error;
	assert_outcome(sandbox, &result, KVMSB_OUTCOME_RETURNED);
	return (int64_t)result.value;
}

static int64_t open_file(struct kvmsb *sandbox, const char *path, int flags)
{
	return call(sandbox, "open_file", path, NULL, (uint64_t)flags);
}

static void assert_host(const struct bench *bench, const char *name, const char *content)
{
	char path[160], data[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", bench->data, name);
	file = fopen(path, "r");
	assert_non_null(file);
	data[fread(data, 1, sizeof(data) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(data, content);
}

/* A descriptor of the master's is each fork's, at an offset of its own, again after a reset. */
static void forks_write_at_their_own_offsets(void **state)
{
	struct bench *bench = *state;

	start(bench);
	assert_host(bench, "log", "main ");
	assert_int_equal(call(bench->fork, "write_log", "fork", NULL, 0), 4);
	assert_int_equal(call(bench->fork, "log_offset", NULL, NULL, 0), 9);
	assert_int_equal(call(bench->other, "log_offset", NULL, NULL, 0), 5);
	assert_int_equal(call(bench->other, "write_log", "OT", NULL, 0), 2);
	assert_host(bench, "log", "main OTrk");
	assert_int_equal(kvmsb_reset(bench->fork), 0);
	assert_int_equal(call(bench->fork, "log_offset", NULL, NULL, 0), 5);
	assert_int_equal(call(bench->fork, "make_and_rename", "/data/a", "/data/b", 0), 0);
	assert_host(bench, "b", "made");
	assert_int_equal(call(bench->fork, "make_and_rename", "/data/b", "/data/c", 0), -EEXIST);
	/* A reset does not take back what is the host's. */
	assert_int_equal(kvmsb_reset(bench->fork), 0);
	assert_int_equal(call(bench->fork, "look_at", "/data/b", NULL, 0), 4);
	assert_int_equal(open_file(bench->fork, "/etc/passwd", O_RDONLY), -ENOENT);
	assert_int_equal(open_file(bench->fork, bench->data, O_RDONLY), -ENOENT);
}

static void the_host_decides(void **state)
{
	struct bench *bench = *state;

	bench->policy.path = decide;
	start(bench);
	assert_string_equal(bench->path, "/data/log");
	assert_int_equal(bench->access, KVMSB_ACCESS_READ | KVMSB_ACCESS_WRITE | KVMSB_ACCESS_CREATE);
	bench->asked = 0;
	bench->answer = -EACCES;
	assert_int_equal(open_file(bench->fork, "/data/log", O_RDWR), -EACCES);
	assert_int_equal(bench->asked, 1);
	/* A denial is seen in the trace, as what Linux would say. */
	assert_non_null(strstr(bench->line, "\"/data/log\""));
	assert_non_null(strstr(bench->line, " = -1 EACCES"));
	assert_int_equal(call(bench->fork, "look_at", "/data/log", NULL, 0), -EACCES);
	bench->answer = 0;
	assert_true(open_file(bench->fork, "/data/log", O_RDWR) >= 0);
	bench->from = "/virtual";
	bench->to = "/data/log";
	assert_int_equal(call(bench->fork, "look_at", "/virtual", NULL, 0), 5);
	bench->to = "/etc/passwd";
	assert_int_equal(call(bench->fork, "look_at", "/virtual", NULL, 0), -ENOENT);
}

static int use_itself(struct bench *bench)
{
	struct kvmsb_call request = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	request.symbol = "log_offset";
	return kvmsb_vmcall(bench->fork, &request, &result);
}

static int use_another(struct bench *bench)
{
	bench->meanwhile = NULL;
	return (int)open_file(bench->other, "/data/log", O_RDONLY);
}

static int destroy(struct bench *bench)
{
	bench->meanwhile = NULL;
	kvmsb_destroy(bench->fork);
	bench->fork = NULL;
	return 0;
}

static void sandboxes_are_used_meanwhile(void **state)
{
	struct bench *bench = *state;

	bench->policy.path = decide;
	start(bench);
	bench->meanwhile = use_itself;
	assert_true(open_file(bench->fork, "/data/log", O_RDONLY) >= 0);
	assert_int_equal(bench->meanwhile_result, -EBUSY);
	bench->meanwhile = use_another;
	assert_true(open_file(bench->fork, "/data/log", O_RDONLY) >= 0);
	assert_true(bench->meanwhile_result >= 0);
	bench->meanwhile = destroy;
	assert_int_equal(open_file(bench->fork, "/data/new", O_CREAT | O_WRONLY), -ECANCELED);
	/* What was asked for then was not done. */
	assert_int_equal(call(bench->other, "look_at", "/data/new", NULL, 0), -ENOENT);
}

static const char *choose(void *user, const char *variable)
{
	(void)user;
	if (strncmp(variable, "SECRET=", 7) == 0)
		return NULL;
	return strncmp(variable, "CHANGED=", 8) == 0 ? "OTHER=4" : variable;
}

static void variables_are_chosen(void **state)
{
	struct bench *bench = *state;

	bench->policy.environment = choose;
	start(bench);
	assert_int_equal(call(bench->fork, "has_variable", "KEPT", "1", 0), 1);
	assert_int_equal(call(bench->fork, "has_variable", "SECRET", "2", 0), -1);
	assert_int_equal(call(bench->fork, "has_variable", "CHANGED", "3", 0), -1);
	assert_int_equal(call(bench->fork, "has_variable", "OTHER", "4", 0), 1);
}

static void sizes_are_checked(void **state)
{
	struct {
		struct kvmsb_policy policy;
		uint64_t unknown;
	} larger = {.policy = KVMSB_POLICY_INIT};
	struct kvmsb_options options = fixture_options(POLICY);
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox = NULL;

	(void)state;
	options.policy = &larger.policy;
	larger.policy.size = sizeof(larger);
	assert_int_equal(kvmsb_create(&sandbox, &options, &error), 0);
	kvmsb_destroy(sandbox);
	larger.unknown = 1;
	assert_int_equal(kvmsb_create(&sandbox, &options, &error), -E2BIG);
	assert_non_null(strstr(error.detail, "policy"));
	larger.policy.size = sizeof(size_t);
	assert_int_equal(kvmsb_create(&sandbox, &options, &error), -EINVAL);
}

static void paths_within(void **state)
{
	(void)state;
	assert_true(kvmsb_path_is_within("/a/b", "/a"));
	assert_true(kvmsb_path_is_within("/a/b", "/a/"));
	assert_true(kvmsb_path_is_within("/a", "/a"));
	assert_true(kvmsb_path_is_within("/a", "/"));
	assert_true(kvmsb_path_is_within("/", "/"));
	assert_false(kvmsb_path_is_within("/ab", "/a"));
	assert_false(kvmsb_path_is_within("/a", "/a/b"));
	assert_false(kvmsb_path_is_within("/a", ""));
}

/* As a limit of Linux, it is the guest's end unless it takes the signal. */
static void a_limit_of_sizes(void **state)
{
	struct bench *bench = *state;
	const struct kvmsb_path_rule rule = KVMSB_ALLOW_MAPPED("/data", bench->data,
	                                                       KVMSB_PATH_READ | KVMSB_PATH_WRITE);
	struct kvmsb_options options = fixture_options(POLICY);
	struct kvmsb_argument text = {.kind = KVMSB_ARGUMENT_STRING, .input = "123456"};
	struct kvmsb_call request = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	options.paths = &rule;
	options.path_count = 1;
	options.file_size_limit = 8;
	bench->master = fixture_master(&options);
	bench->fork = fixture_fork(bench->master);
	request.symbol = "write_log";
	request.arguments[0] = text;
	request.argument_count = 1;
	assert_int_equal(kvmsb_vmcall(bench->fork, &request, &result), 0);
	assert_outcome(bench->fork, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(result.value, 3);
	assert_int_equal(kvmsb_vmcall(bench->fork, &request, &result), 0);
	assert_outcome(bench->fork, &result, KVMSB_OUTCOME_EXITED);
	assert_host(bench, "log", "main 123");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(forks_write_at_their_own_offsets),
		TEST(the_host_decides),
		TEST(sandboxes_are_used_meanwhile),
		TEST(variables_are_chosen),
		TEST(sizes_are_checked),
		TEST(paths_within),
		TEST(a_limit_of_sizes),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
