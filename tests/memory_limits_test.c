/* SPDX-License-Identifier: MIT */
/*
 * Where memory ends: a fork's own limit, that of all forks together, the
 * host's. Whoever meets it is told, by an outcome or an error; all others go on,
 * everyone can be reset while nothing is left, and what was taken comes back.
 */
#include "sandbox_fixture.h"

#include "failing_run.h"
#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#define CALLS GUEST("calls-static")
#define MEBIBYTE (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)
/* count() of a new fork. */
#define FIRST_COUNT 11
/* More than there is room for. */
#define FORKS_MOST 4000

static int64_t give_bytes(void *user, void *data, size_t length)
{
	(void)user;
	memset(data, 'x', length);
	return (int64_t)length;
}

/* A fork may take all of the machine's memory. */
static struct kvmsb *make_master(uint64_t fork_memory_limit)
{
	struct kvmsb_options options = fixture_options(CALLS);

	options.memory_limit = 2 * MEBIBYTE;
	options.total_fork_memory = MEBIBYTE;
	options.fork_memory_limit = fork_memory_limit;
	options.standard_input = (struct kvmsb_stream){.read = give_bytes};
	return fixture_master(&options);
}

static void devour(struct kvmsb *fork)
{
	struct kvmsb_result result = fixture_call(fork, "devour", NO_NUMBERS);

	assert_outcome(fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
}

static int write_page(struct kvmsb *fork, uint64_t address)
{
	const uint64_t word = 5;

	return kvmsb_memory_write(fork, address, &word, sizeof(word));
}

static void fill_three_pages(struct kvmsb *fork, enum kvmsb_outcome wanted)
{
	struct kvmsb_result result = fixture_call(
		fork, "fill_bytes", NUMBERS(fixture_symbol(fork, "untouched"), 3 * PAGE, 1));

	assert_outcome(fork, &result, wanted);
}

/* All memory of the program's forks, taken by one of them. */

struct crowd {
	struct kvmsb *master, *greedy, *worker, *newcomer;
};

static struct crowd make_crowd(void)
{
	struct crowd crowd = {.master = make_master(64 * MEBIBYTE)};

	crowd.greedy = fixture_fork(crowd.master);
	crowd.worker = fixture_fork(crowd.master);
	crowd.newcomer = fixture_fork(crowd.master);
	assert_int_equal(fixture_value(crowd.worker, "count", NO_NUMBERS), FIRST_COUNT);
	devour(crowd.greedy);
	return crowd;
}

static void unmake_crowd(struct crowd crowd)
{
	kvmsb_destroy(crowd.newcomer);
	kvmsb_destroy(crowd.worker);
	kvmsb_destroy(crowd.greedy);
	kvmsb_destroy(crowd.master);
}

/* Everybody has what it needs again. */
static void check_all_work(struct crowd *crowd)
{
	struct kvmsb *const forks[] = {crowd->worker, crowd->newcomer, fixture_fork(crowd->master)};

	for (size_t i = 0; i < ARRAY_SIZE(forks); i++) {
		assert_int_equal(kvmsb_reset(forks[i]), 0);
		fill_three_pages(forks[i], KVMSB_OUTCOME_RETURNED);
		assert_int_equal(fixture_value(forks[i], "count", NO_NUMBERS), FIRST_COUNT);
	}
	kvmsb_destroy(forks[2]);
}

/* A sibling has what it has, and is told when it wants more. */
static void siblings_go_on(void **unused)
{
	struct crowd crowd = make_crowd();
	struct kvmsb_result result;

	(void)unused;
	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(fixture_value(crowd.worker, "count", NO_NUMBERS), FIRST_COUNT + i);
	fill_three_pages(crowd.worker, KVMSB_OUTCOME_OUT_OF_MEMORY);
	/* This one has not even a stack. */
	result = fixture_call(crowd.newcomer, "count", NO_NUMBERS);
	assert_outcome(crowd.newcomer, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	kvmsb_destroy(crowd.greedy);
	crowd.greedy = NULL;
	check_all_work(&crowd);
	unmake_crowd(crowd);
}

/* While nothing is left: of one with little, of one that takes the rest, of the greedy one. */
static void resets_need_no_memory(void **unused)
{
	struct crowd crowd = make_crowd();

	(void)unused;
	for (int i = 0; i < 3; i++) {
		fill_three_pages(crowd.worker, KVMSB_OUTCOME_OUT_OF_MEMORY);
		assert_int_equal(kvmsb_reset(crowd.worker), 0);
		assert_int_equal(kvmsb_reset(crowd.newcomer), 0);
	}
	assert_int_equal(kvmsb_reset(crowd.greedy), 0);
	check_all_work(&crowd);
	devour(crowd.worker);
	devour(crowd.newcomer);
	devour(crowd.greedy);
	assert_int_equal(kvmsb_reset(crowd.newcomer), 0);
	assert_int_equal(kvmsb_reset(crowd.greedy), 0);
	assert_int_equal(kvmsb_reset(crowd.worker), 0);
	check_all_work(&crowd);
	unmake_crowd(crowd);
}

/* The host's own copies are refused, and harm nobody. */
static void host_copies_are_refused(void **unused)
{
	struct crowd crowd = make_crowd();
	uint64_t untouched = fixture_symbol(crowd.worker, "untouched");
	uint64_t counter = fixture_symbol(crowd.worker, "counter");

	(void)unused;
	assert_int_equal(write_page(crowd.worker, untouched), -ENOMEM);
	assert_int_equal(write_page(crowd.newcomer, counter), -ENOMEM);
	assert_int_equal(write_page(crowd.worker, 0), -EFAULT);
	assert_int_equal(write_page(crowd.worker, UINT64_MAX - 3), -EFAULT);
	assert_int_equal(kvmsb_memory_write(crowd.worker, untouched, &crowd, SIZE_MAX), -EFAULT);
	/* What is its own already. */
	assert_int_equal(write_page(crowd.worker, counter), 0);
	assert_int_equal(fixture_value(crowd.worker, "count", NO_NUMBERS), 6);
	assert_int_equal(kvmsb_reset(crowd.greedy), 0);
	assert_int_equal(write_page(crowd.worker, untouched), 0);
	assert_int_equal(write_page(crowd.newcomer, counter), 0);
	assert_int_equal(fixture_value(crowd.newcomer, "count", NO_NUMBERS), 6);
	check_all_work(&crowd);
	unmake_crowd(crowd);
}

/* As is a read(2) that the guest asks for. */
static void a_system_call_that_writes(void **unused)
{
	struct crowd crowd = make_crowd();
	struct kvmsb_result result = fixture_call(
		crowd.worker, "ask", NUMBERS(fixture_symbol(crowd.worker, "untouched"), 2 * PAGE));

	(void)unused;
	assert_outcome(crowd.worker, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	kvmsb_destroy(crowd.greedy);
	crowd.greedy = NULL;
	assert_int_equal(kvmsb_reset(crowd.worker), 0);
	assert_int_equal(fixture_value(crowd.worker, "ask",
	                               NUMBERS(fixture_symbol(crowd.worker, "untouched"), 2 * PAGE)),
	                 2 * PAGE);
	check_all_work(&crowd);
	unmake_crowd(crowd);
}

/* Forks until there are no more. */
static size_t fork_all(struct kvmsb *master, struct kvmsb **forks)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	size_t count = 0;
	int failed = 0;

	while (count < FORKS_MOST && failed == 0) {
		failed = kvmsb_fork(master, &forks[count], &error);
		count += failed == 0;
	}
	assert_int_equal(failed, -ENOMEM);
	assert_int_equal(error.code, -ENOMEM);
	assert_string_not_equal(error.detail, "");
	return count;
}

/* No fork can be made, those there are live, and each that goes makes room for another. */
static void forks_until_there_are_no_more(void **unused)
{
	static struct kvmsb *forks[FORKS_MOST];
	struct kvmsb *master = make_master(64 * MEBIBYTE);
	size_t first = 0, count;

	(void)unused;
	for (int round = 0; round < 3; round++) {
		count = fork_all(master, forks);
		print_message("%zu forks\n", count);
		first = round == 0 ? count : first;
		assert_true(count >= first);
		for (size_t i = 0; i < count; i += 97)
			assert_int_equal(kvmsb_reset(forks[i]), 0);
		assert_int_equal(fixture_value(forks[0], "same", NUMBERS(3)), 3);
		kvmsb_destroy(forks[count / 2]);
		forks[count / 2] = fixture_fork(master);
		assert_int_equal(kvmsb_fork(master, &forks[count], NULL), -ENOMEM);
		for (size_t i = 0; i < count; i++)
			kvmsb_destroy(forks[i]);
	}
	kvmsb_destroy(master);
}

/* Of a fork whose tables are to be built anew, while all tables are in use. */
static void a_reset_needs_no_tables(void **unused)
{
	static struct kvmsb *forks[FORKS_MOST];
	struct kvmsb *master = make_master(64 * MEBIBYTE);
	struct kvmsb *fork = fixture_fork(master);
	uint64_t unmapped = fixture_symbol(fork, "untouched");
	size_t count;

	(void)unused;
	for (int round = 0; round < 3; round++) {
		struct kvmsb_result result = fixture_call(fork, "unmap_and_respond",
		                                          NUMBERS(unmapped, PAGE));

		assert_outcome(fork, &result, KVMSB_OUTCOME_HYPERCALL);
		count = fork_all(master, forks);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(fixture_value(fork, "same", NUMBERS(3)), 3);
		for (size_t i = 0; i < count; i++)
			kvmsb_destroy(forks[i]);
		fill_three_pages(fork, KVMSB_OUTCOME_RETURNED);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* One fork's own limit. */

static void a_fork_at_its_limit(void **unused)
{
	struct kvmsb *master = make_master(64 * PAGE);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);
	uint64_t untouched = fixture_symbol(fork, "untouched");

	(void)unused;
	devour(fork);
	assert_int_equal(write_page(fork, untouched), -ENOMEM);
	assert_true(fixture_statistics(fork).pages_private <= 64);
	fill_three_pages(other, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(write_page(fork, untouched), 0);
	fill_three_pages(fork, KVMSB_OUTCOME_RETURNED);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* KVM has no memory for one fork. */
static void kvm_is_out_of_memory(void **unused)
{
	struct kvmsb *master = make_master(0);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	(void)unused;
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), FIRST_COUNT);
	call.symbol = "count";
	kvm_run_error = ENOMEM;
	assert_int_equal(kvmsb_vmcall(fork, &call, &result), -ENOMEM);
	assert_string_not_equal(kvmsb_detail(fork), "");
	assert_int_equal(fixture_value(other, "count", NO_NUMBERS), FIRST_COUNT + 1);
	assert_int_equal(kvmsb_vmcall(fork, &call, &result), -ESRCH);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fixture_value(fork, "count", NO_NUMBERS), FIRST_COUNT);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_go_on),
		cmocka_unit_test(resets_need_no_memory),
		cmocka_unit_test(host_copies_are_refused),
		cmocka_unit_test(a_system_call_that_writes),
		cmocka_unit_test(forks_until_there_are_no_more),
		cmocka_unit_test(a_reset_needs_no_tables),
		cmocka_unit_test(a_fork_at_its_limit),
		cmocka_unit_test(kvm_is_out_of_memory),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
