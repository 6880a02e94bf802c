/* SPDX-License-Identifier: MIT */
/*
 * What forks hold private from the start and keep through a reset: pages that
 * requests were seen to write, as many as the options allow, with the contents
 * that a fork sees who learned nothing.
 */
#include "sandbox_fixture.h"

#include "sandbox.h"

#include <errno.h>
#include <string.h>

#define LEARNING GUEST("learning-static")

/* Of the guest's pages, in one test. */
#define FIRST 40
#define COUNT 16

/* Samples until what no request writes is given back; see lib/working_set.c. */
#define SAMPLE_INTERVAL 32
#define SAMPLES_UNUSED 8

static struct kvmsb *master_with(uint32_t learned_pages, uint64_t keep_limit)
{
	struct kvmsb_options options = fixture_options(LEARNING);

	options.learned_pages_limit = learned_pages;
	options.fork_keep_limit = keep_limit;
	return fixture_master(&options);
}

/* The page faults of a call that must return `wanted`, and how many KVM_RUN calls it took. */
static uint64_t faults_of(struct kvmsb *fork, const char *symbol, struct numbers numbers,
                          uint64_t wanted, uint64_t *kvm_runs)
{
	uint64_t before = fixture_statistics(fork).page_faults;
	struct kvmsb_result result = fixture_call(fork, symbol, numbers);

	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(result.value, wanted);
	if (kvm_runs != NULL)
		*kvm_runs = result.kvm_runs;
	return fixture_statistics(fork).page_faults - before;
}

/* `times` forks are made, write the pages, and are gone; others are kept from each that is held. */
static void teach(struct kvmsb *master, const char *symbol, uint64_t wanted, unsigned times)
{
	struct kvmsb *forks[8];

	for (unsigned i = 0; i < times; i++) {
		forks[i] = fixture_fork(master);
		faults_of(forks[i], symbol, NUMBERS(FIRST, COUNT), wanted, NULL);
		assert_int_equal(kvmsb_reset(forks[i]), 0);
	}
	for (unsigned i = 0; i < times; i++)
		kvmsb_destroy(forks[i]);
	space_reclaim(master->machine);
}

static void a_learned_request_takes_no_fault(void **unused)
{
	static const struct {
		const char *write, *read;
		uint64_t sum;
	} kinds[] = {{"count_up", "add_up", COUNT}, {"count_up_untouched", "add_up_untouched", 0}};

	(void)unused;
	for (size_t kind = 0; kind < 2; kind++) {
		struct kvmsb *master = master_with(0, 0), *fork;
		uint64_t kvm_runs;

		teach(master, kinds[kind].write, kinds[kind].sum, 2);
		fork = fixture_fork(master);
		assert_true(fixture_statistics(fork).pages_private >= COUNT);
		assert_true(fixture_statistics(fork).pages_held >= COUNT);
		assert_true(fixture_statistics(fork).machine_learned_pages >= COUNT);
		assert_int_equal(fixture_value(fork, kinds[kind].read, NUMBERS(FIRST, COUNT)),
		                 kinds[kind].sum);
		for (unsigned round = 0; round < 3; round++) {
			assert_int_equal(faults_of(fork, kinds[kind].write, NUMBERS(FIRST, COUNT),
			                           kinds[kind].sum, &kvm_runs),
			                 0);
			assert_int_equal(kvm_runs, 1);
			assert_int_equal(kvmsb_reset(fork), 0);
		}
		kvmsb_destroy(fork);
		kvmsb_destroy(master);
	}
}

static void an_older_fork_learns_at_its_reset(void **unused)
{
	struct kvmsb *master = master_with(0, 0), *older = fixture_fork(master);

	(void)unused;
	/* It has run: processors know its tables. */
	assert_int_equal(fixture_value(older, "add_up", NUMBERS(0, 500)), 500);
	teach(master, "count_up", COUNT, 2);
	assert_int_equal(kvmsb_reset(older), 0);
	assert_int_equal(faults_of(older, "count_up", NUMBERS(FIRST, COUNT), COUNT, NULL), 0);
	assert_int_equal(fixture_value(older, "add_up", NUMBERS(0, 500)), 500 + COUNT);
	assert_int_equal(kvmsb_reset(older), 0);
	assert_int_equal(fixture_value(older, "add_up", NUMBERS(0, 500)), 500);
	kvmsb_destroy(older);
	kvmsb_destroy(master);
}

static void one_odd_request_teaches_nothing(void **unused)
{
	struct kvmsb *master = master_with(0, 0), *fork;

	(void)unused;
	teach(master, "count_up", COUNT, 1);
	fork = fixture_fork(master);
	assert_true(fixture_statistics(fork).pages_private < COUNT);
	assert_int_equal(faults_of(fork, "count_up", NUMBERS(FIRST, COUNT), COUNT, NULL), COUNT);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void learning_can_be_limited_and_switched_off(void **unused)
{
	static const struct {
		uint32_t limit;
		uint64_t most;
	} rows[] = {{KVMSB_NO_LEARNING, 0}, {1, 1}, {5, 5}, {0, COUNT + 8}};

	(void)unused;
	for (size_t i = 0; i < 4; i++) {
		struct kvmsb *master = master_with(rows[i].limit, 0), *fork;

		teach(master, "count_up", COUNT, 4);
		fork = fixture_fork(master);
		assert_true(fixture_statistics(fork).pages_private <= rows[i].most);
		assert_true(fixture_statistics(fork).pages_private >= rows[i].most / 2);
		assert_int_equal(fixture_value(fork, "count_up", NUMBERS(0, 500)), 500);
		kvmsb_destroy(fork);
		kvmsb_destroy(master);
	}
}

/*
 * A limit is reached by what a request does. How far one comes is the same in a
 * fork that is new, after whatever others did, and with pages held in advance.
 */

#define LIMIT_PAGES 448u

static int64_t give_bytes(void *user, void *data, size_t length)
{
	(void)user;
	memset(data, 'x', length);
	return (int64_t)length;
}

static struct kvmsb *limited_master(uint32_t learned_pages)
{
	const char *const arguments[] = {"learning", LEARNING, NULL};
	const struct kvmsb_path_rule rule = {.path = LEARNING};
	struct kvmsb_options options = fixture_options(LEARNING);

	options.arguments = arguments;
	options.paths = &rule;
	options.path_count = 1;
	options.learned_pages_limit = learned_pages;
	options.fork_memory_limit = LIMIT_PAGES * PAGE_SIZE;
	options.fork_keep_limit = LIMIT_PAGES * PAGE_SIZE;
	options.standard_input = (struct kvmsb_stream){.read = give_bytes};
	return fixture_master(&options);
}

/* Before it, in the same request: what makes pages of before look like the request's own. */
struct measure {
	const char *before, *symbol;
};

static const struct measure measures[] = {
	{"nothing", "read_into_mapping"},
	{"nothing", "touch_mapping"},
	{"nothing", "touch_untouched"},
	{"nothing", "map_far_apart"},
	{"nothing", "cross_pages"},
	{"nothing", "copy_file"},
	{"protect_untouched", "copy_file"},
	{"read_file_pages", "touch_mapping"},
	{"protect_untouched", "touch_mapping"},
	{"protect_untouched", "read_into_mapping"},
	{"protect_untouched", "map_far_apart"},
	{"move_untouched", "touch_mapping"},
	{"move_untouched", "map_far_apart"},
};

static long how_far(struct kvmsb *fork, const struct measure *measure)
{
	struct kvmsb_result result;
	long progress = -1;

	fixture_value(fork, measure->before, NO_NUMBERS);
	result = fixture_call(fork, measure->symbol, NO_NUMBERS);
	if (result.outcome != KVMSB_OUTCOME_OUT_OF_MEMORY)
		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "progress"), &progress,
	                                   sizeof(progress)),
	                 0);
	assert_true(fixture_statistics(fork).pages_private <= LIMIT_PAGES);
	return progress;
}

/* Requests that leave of pages, of tables and of files what a reset keeps. */
static void leave_much(struct kvmsb *fork, unsigned what)
{
	fixture_value(fork, "count_up", NUMBERS(30, what % 2 == 0 ? 80 : 3));
	fixture_value(fork, "add_up_untouched", NUMBERS(0, 500));
	fixture_value(fork, "count_up_untouched", NUMBERS(100, 40 + what));
	if (what > 1)
		fixture_value(fork, "read_file_pages", NO_NUMBERS);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_true(fixture_statistics(fork).pages_private > 40);
}

static void check_measure(struct kvmsb *master, const struct measure *measure, long wanted)
{
	struct kvmsb *fork = fixture_fork(master);

	for (unsigned what = 0; what < 4; what++) {
		leave_much(fork, what);
		assert_int_equal(how_far(fork, measure), wanted);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(how_far(fork, measure), wanted);
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	leave_much(fork, 0);
	kvmsb_destroy(fork);
	/* The same space, for another fork. */
	fork = fixture_fork(master);
	assert_int_equal(how_far(fork, measure), wanted);
	kvmsb_destroy(fork);
	space_reclaim(master->machine);
	fork = fixture_fork(master);
	assert_int_equal(how_far(fork, measure), wanted);
	kvmsb_destroy(fork);
}

static void a_limit_is_the_requests_own(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
		struct kvmsb *masters[] = {limited_master(KVMSB_NO_LEARNING), limited_master(0)};
		struct kvmsb *fresh = fixture_fork(masters[0]);
		long wanted = how_far(fresh, &measures[i]);

		print_message("%s after %s: %ld\n", measures[i].symbol, measures[i].before, wanted);
		assert_true(wanted > 50);
		kvmsb_destroy(fresh);
		for (size_t learns = 0; learns < 2; learns++) {
			check_measure(masters[learns], &measures[i], wanted);
			kvmsb_destroy(masters[learns]);
		}
	}
}

static void what_is_above_the_ceiling_is_given_back(void **unused)
{
	const uint64_t pages = 64;
	struct kvmsb *master = master_with(KVMSB_NO_LEARNING, pages * PAGE_SIZE);
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	assert_int_equal(fixture_value(fork, "count_up", NUMBERS(0, pages / 2)), pages / 2);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_true(fixture_statistics(fork).pages_private >= pages / 2);
	assert_int_equal(fixture_value(fork, "count_up", NUMBERS(0, 2 * pages)), 2 * pages);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_true(fixture_statistics(fork).pages_private <= 1);
	assert_int_equal(fixture_value(fork, "add_up", NUMBERS(0, 500)), 500);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Reading costs no page, and what is written then is the fork's own. */
static void zeros_are_shared_until_written(void **unused)
{
	struct kvmsb *master = master_with(0, 0);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);
	uint64_t before;

	(void)unused;
	assert_int_equal(fixture_value(fork, "nothing", NO_NUMBERS), 0);
	before = fixture_statistics(fork).pages_private;
	assert_int_equal(fixture_value(fork, "add_up_untouched", NUMBERS(0, 500)), 0);
	assert_int_equal(fixture_value(other, "add_up_untouched", NUMBERS(0, 500)), 0);
	assert_int_equal(fixture_statistics(fork).pages_private, before);
	assert_int_equal(fixture_value(fork, "count_up_untouched", NUMBERS(100, 3)), 0);
	assert_int_equal(fixture_statistics(fork).pages_private, before + 3);
	assert_int_equal(fixture_value(fork, "add_up_untouched", NUMBERS(0, 500)), 3);
	assert_int_equal(fixture_value(other, "add_up_untouched", NUMBERS(0, 500)), 0);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fixture_value(fork, "add_up_untouched", NUMBERS(0, 500)), 0);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* What a request mapped is gone after the reset; what it wrote beside is kept. */
static void a_reset_takes_away_what_was_mapped(void **unused)
{
	static const char *const ways[] = {"map_and_write", "grow_heap"};
	struct kvmsb *master = master_with(KVMSB_NO_LEARNING, 0);
	struct kvmsb *fork = fixture_fork(master);
	uint64_t kept;

	(void)unused;
	assert_int_equal(fixture_value(fork, "count_up", NUMBERS(FIRST, COUNT)), COUNT);
	assert_int_equal(kvmsb_reset(fork), 0);
	kept = fixture_statistics(fork).pages_private;
	assert_int_equal(fixture_value(fork, "map_write_and_unmap", NUMBERS(30)), 0);
	for (size_t i = 0; i < 2; i++) {
		uint64_t address = fixture_value(fork, ways[i], NUMBERS(30));
		char byte = 0;

		assert_int_equal(kvmsb_memory_read(fork, address, &byte, 1), 0);
		assert_int_equal(byte, 5);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(kvmsb_memory_read(fork, address, &byte, 1), -EFAULT);
		assert_true(fixture_statistics(fork).pages_private <= kept + 4);
		assert_int_equal(faults_of(fork, "count_up", NUMBERS(FIRST, COUNT), COUNT, NULL), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* A fork that holds what no request writes any more gives it back in the end. */
static void unused_pages_are_given_back(void **unused)
{
	struct kvmsb *master = master_with(0, 0), *fork = fixture_fork(master);
	unsigned resets = 0;

	(void)unused;
	assert_int_equal(fixture_value(fork, "count_up", NUMBERS(0, 64)), 64);
	assert_int_equal(kvmsb_reset(fork), 0);
	while (fixture_statistics(fork).pages_private >= 64) {
		assert_int_equal(fixture_value(fork, "count_up", NUMBERS(0, COUNT)), COUNT);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_true(++resets <= SAMPLE_INTERVAL * (SAMPLES_UNUSED + 2));
	}
	assert_true(resets >= SAMPLE_INTERVAL * (SAMPLES_UNUSED - 1));
	assert_int_equal(fixture_value(fork, "add_up", NUMBERS(0, 500)), 500);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* With little room left, forks hold nothing that they may do without. */
static void little_memory_is_not_held(void **unused)
{
	struct kvmsb_options options = fixture_options(LEARNING);
	struct kvmsb *master, *forks[400];
	unsigned made = 0;

	(void)unused;
	/* The data of 16 pages for each would not fit. */
	options.memory_limit = UINT64_C(8) << 20;
	options.total_fork_memory = UINT64_C(16) << 20;
	master = fixture_master(&options);
	teach(master, "count_up", COUNT, 2);
	for (; made < 400; made++)
		forks[made] = fixture_fork(master);
	for (unsigned i = 0; i < made; i += 50)
		assert_int_equal(fixture_value(forks[i], "count_up", NUMBERS(FIRST, COUNT)), COUNT);
	assert_true(fixture_statistics(forks[0]).pages_private >= COUNT);
	while (made > 0)
		kvmsb_destroy(forks[--made]);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_learned_request_takes_no_fault),
		cmocka_unit_test(an_older_fork_learns_at_its_reset),
		cmocka_unit_test(one_odd_request_teaches_nothing),
		cmocka_unit_test(learning_can_be_limited_and_switched_off),
		cmocka_unit_test(a_limit_is_the_requests_own),
		cmocka_unit_test(what_is_above_the_ceiling_is_given_back),
		cmocka_unit_test(zeros_are_shared_until_written),
		cmocka_unit_test(a_reset_takes_away_what_was_mapped),
		cmocka_unit_test(unused_pages_are_given_back),
		cmocka_unit_test(little_memory_is_not_held),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
