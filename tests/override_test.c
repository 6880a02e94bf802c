/* SPDX-License-Identifier: MIT */
/*
 * System calls that the host answers itself: in the library's place or before
 * it, in programs and forks, with guest memory, and what is refused.
 */
#include "sandbox_fixture.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BENCH GUEST("bench-static")
#define OWN_NUMBER 5000 /* Linux has none of it */
#define ANSWER 4711

struct record {
	unsigned calls;
	struct kvmsb_system_call last;
	int64_t result;
	int busy, written;
	char text[16];
};

static int64_t answer(void *user, const struct kvmsb_system_call *call)
{
	struct record *record = user;

	record->calls++;
	record->last = *call;
	return record->result;
}

static struct kvmsb *master_with(const struct kvmsb_override *overrides, size_t count)
{
	struct kvmsb_options options = fixture_options(BENCH);

	options.overrides = overrides;
	options.override_count = count;
	return fixture_master(&options);
}

static int64_t system_call(struct kvmsb *fork, uint64_t number, uint64_t first, uint64_t second)
{
	return (int64_t)fixture_value(fork, "raw_call", NUMBERS(number, first, second));
}

static void test_answers_in_place_of_the_library(void **state)
{
	struct record ids = {.result = ANSWER}, own = {.result = 7};
	const struct kvmsb_override overrides[] = {
		{.number = OWN_NUMBER, .function = answer, .user = &own},
		{.number = SYS_getpid, .function = answer, .user = &ids},
	};
	struct kvmsb *master = master_with(overrides, ARRAY_SIZE(overrides));
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);
	unsigned before = ids.calls;

	(void)state;
	assert_int_equal(system_call(fork, SYS_getpid, 1, UINT64_MAX), ANSWER);
	assert_int_equal(ids.calls, before + 1);
	assert_int_equal(ids.last.number, SYS_getpid);
	assert_int_equal(ids.last.arguments[0], 1);
	assert_int_equal(ids.last.arguments[1], UINT64_MAX);
	assert_ptr_equal(ids.last.sandbox, fork);
	assert_int_equal(system_call(other, OWN_NUMBER, 0, 0), 7);
	assert_ptr_equal(own.last.sandbox, other);
	assert_int_equal(own.last.size, sizeof(own.last));
	own.result = -EPERM;
	assert_int_equal(system_call(fork, OWN_NUMBER, 0, 0), -EPERM);
	own.result = -4096;
	assert_int_equal(system_call(fork, OWN_NUMBER, 0, 0), -4096);
	/* Others are the library's. */
	assert_int_equal(system_call(fork, OWN_NUMBER + 1, 0, 0), -ENOSYS);
	assert_int_equal(system_call(fork, SYS_getppid, 0, 0), 1);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(system_call(fork, SYS_getpid, 0, 0), ANSWER);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_the_library_goes_on(void **state)
{
	struct record record = {.result = KVMSB_SYSTEM_CALL_DEFAULT};
	const struct kvmsb_override overrides[] = {
		{.number = SYS_getpid, .function = answer, .user = &record},
		{.number = OWN_NUMBER, .function = answer, .user = &record},
	};
	struct kvmsb *master = master_with(overrides, ARRAY_SIZE(overrides));
	struct kvmsb *fork = fixture_fork(master);

	(void)state;
	record.calls = 0;
	assert_int_equal(system_call(fork, SYS_getpid, 0, 0), 1000);
	assert_int_equal(system_call(fork, OWN_NUMBER, 0, 0), -ENOSYS);
	assert_int_equal(record.calls, 2);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Text at the first argument, and back in capitals; all else of its sandbox is busy. */
static int64_t use_memory(void *user, const struct kvmsb_system_call *call)
{
	struct record *record = user;

	record->busy = kvmsb_reset(call->sandbox);
	if (kvmsb_memory_read(call->sandbox, call->arguments[0], record->text, 4) < 0)
		return -EFAULT;
	record->written = kvmsb_memory_write(call->sandbox, call->arguments[0], "HELP", 4);
	return record->written < 0 ? record->written : 4;
}

static void test_memory_is_in_reach(void **state)
{
	struct record record = {0};
	const struct kvmsb_override override = {
		.number = OWN_NUMBER, .function = use_memory, .user = &record};
	struct kvmsb *master = master_with(&override, 1), *fork = fixture_fork(master);
	const uint64_t pages = fixture_symbol(fork, "pages");
	char text[5] = "help";

	(void)state;
	assert_int_equal(kvmsb_memory_write(fork, pages, text, 4), 0);
	assert_int_equal(system_call(fork, OWN_NUMBER, pages, 0), 4);
	assert_string_equal(record.text, "help");
	assert_int_equal(record.busy, -EBUSY);
	assert_int_equal(kvmsb_memory_read(fork, pages, text, 4), 0);
	assert_string_equal(text, "HELP");
	/* A page that is still the master's, which keeps its own. */
	assert_int_equal(system_call(fork, OWN_NUMBER, pages + 4096, 0), 4);
	assert_int_equal(fixture_value(fork, "peek_pages", NUMBERS(1, 1)) != 0, 1);
	assert_int_equal(kvmsb_memory_read(fork, pages + 4096, text, 4), 0);
	assert_string_equal(text, "HELP");
	assert_int_equal(kvmsb_memory_read(master, pages + 4096, text, 4), 0);
	assert_string_not_equal(text, "HELP");
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(kvmsb_memory_read(fork, pages + 4096, text, 4), 0);
	assert_string_not_equal(text, "HELP");
	/* What the guest could not use is not the host's either. */
	assert_int_equal(system_call(fork, OWN_NUMBER, 16, 0), -EFAULT);
	assert_int_equal(system_call(fork, OWN_NUMBER, UINT64_MAX - 1, 0), -EFAULT);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static int64_t write_in_vain(void *user, const void *data, size_t length)
{
	struct record *record = user;

	(void)data;
	record->written = kvmsb_memory_write(record->last.sandbox, 0x400000, "x", 1);
	return (int64_t)length;
}

/* Only there: a stream function still has no way to write. */
static void test_other_functions_cannot_write(void **state)
{
	struct record record = {.result = KVMSB_SYSTEM_CALL_DEFAULT};
	const struct kvmsb_override override = {
		.number = SYS_write, .function = answer, .user = &record};
	struct kvmsb_options options = fixture_options(BENCH);
	struct kvmsb *master, *fork;

	(void)state;
	options.overrides = &override;
	options.override_count = 1;
	options.standard_output.write = write_in_vain;
	options.standard_output.user = &record;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	fixture_value(fork, "write_bytes", NUMBERS(1));
	assert_ptr_equal(record.last.sandbox, fork);
	assert_int_equal(record.written, -EBUSY);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static int64_t sleep_long(void *user, const struct kvmsb_system_call *call)
{
	const struct timespec pause = {.tv_nsec = 300000000};

	(void)user;
	(void)call;
	nanosleep(&pause, NULL);
	return 0;
}

static void test_its_time_is_the_runs(void **state)
{
	const struct kvmsb_override override = {.number = OWN_NUMBER, .function = sleep_long};
	struct kvmsb *master = master_with(&override, 1), *fork = fixture_fork(master);
	struct kvmsb_result result = fixture_call_within(fork, "raw_call", NUMBERS(OWN_NUMBER),
	                                                 100000000);

	(void)state;
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static int64_t destroy(void *user, const struct kvmsb_system_call *call)
{
	(void)user;
	kvmsb_destroy(call->sandbox);
	return 5;
}

static void test_sandbox_destroyed_by_its_function(void **state)
{
	const struct kvmsb_override override = {.number = OWN_NUMBER, .function = destroy};
	struct kvmsb *master = master_with(&override, 1), *fork = fixture_fork(master);
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	(void)state;
	call.symbol = "raw_call";
	call.argument_count = 1;
	call.arguments[0].value = OWN_NUMBER;
	assert_int_equal(kvmsb_vmcall(fork, &call, &result), -ECANCELED);
	kvmsb_destroy(master);
}

static void test_wrong_lists(void **state)
{
	const struct kvmsb_override twice[] = {
		{.number = 1, .function = answer},
		{.number = 2, .function = answer},
		{.number = 1, .function = answer},
	};
	const struct kvmsb_override no_function = {.number = 1};
	const struct kvmsb_override hypercall = {.number = 0x10000, .function = answer};
	const struct kvmsb_override reserved = {.number = 1, .function = answer, .reserved = 1};
	const struct {
		const struct kvmsb_override *overrides;
		size_t count;
	} rows[] = {{twice, 3},     {&no_function, 1}, {&hypercall, 1},
	            {&reserved, 1}, {NULL, 1},         {twice, SIZE_MAX}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_options options = fixture_options(BENCH);
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct kvmsb *sandbox = NULL;

		options.overrides = rows[i].overrides;
		options.override_count = rows[i].count;
		assert_int_equal(kvmsb_create(&sandbox, &options, &error), -EINVAL);
		assert_non_null(strstr(error.detail, "options.overrides"));
		assert_null(sandbox);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers_in_place_of_the_library),
		TEST(test_the_library_goes_on),
		TEST(test_memory_is_in_reach),
		TEST(test_other_functions_cannot_write),
		TEST(test_its_time_is_the_runs),
		TEST(test_sandbox_destroyed_by_its_function),
		TEST(test_wrong_lists),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests_name("override", tests, NULL, NULL);
}
