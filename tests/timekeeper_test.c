/* SPDX-License-Identifier: MIT */
/*
 * The clock of a machine without a machine: its page is memory of the test's
 * own, which reads it as a guest does. Where the host's clocks do not come from
 * the time-stamp counter, only what does without is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "timekeeper.h"
#include "vdso_page.h"

#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static const uint32_t clocks[] = {VDSO_REALTIME,
                                  VDSO_MONOTONIC,
                                  VDSO_MONOTONIC_RAW,
                                  VDSO_REALTIME_COARSE,
                                  VDSO_MONOTONIC_COARSE,
                                  VDSO_BOOTTIME,
                                  VDSO_TAI};

static uint64_t host_clock(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void pass(uint64_t nanoseconds)
{
	const uint64_t end = host_clock(CLOCK_MONOTONIC) + nanoseconds;

	while (host_clock(CLOCK_MONOTONIC) < end)
		;
}

/* What KVM would say, measured. */
static uint64_t measure_khz(void)
{
	uint64_t time = host_clock(CLOCK_MONOTONIC_RAW), ticks = vdso_tsc();

	pass(30 * MILLISECOND);
	ticks = vdso_tsc() - ticks;
	return ticks * MILLISECOND / (host_clock(CLOCK_MONOTONIC_RAW) - time);
}

struct fixture {
	struct vdso_page page;
	struct timekeeper timekeeper;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct timekeeper_source source = {.khz = 0};

	assert_non_null(fixture);
	if (host_clock_is_tsc()) {
		source.khz = measure_khz();
		host_clock_sample(&source.first, source.khz);
	}
	timekeeper_init(&fixture->timekeeper, &fixture->page, &source);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static uint64_t read_page(const struct fixture *fixture, uint32_t clock)
{
	uint64_t time = 0;

	assert_true(vdso_page_read(&fixture->page, clock, &time));
	return time;
}

static bool has_counter(const struct fixture *fixture)
{
	if (fixture->timekeeper.khz != 0)
		return true;
	print_message("the host's clocks do not come from its time-stamp counter\n");
	return false;
}

static void test_times_are_the_hosts(void **state)
{
	const uint64_t near = MILLISECOND;
	struct fixture *fixture = *state;

	if (!has_counter(fixture))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		uint64_t before = host_clock((clockid_t)clocks[i]), read, same;

		read = read_page(fixture, clocks[i]);
		assert_int_equal(timekeeper_read(&fixture->timekeeper, (int32_t)clocks[i], &same), 0);
		/* A coarse clock of the host's is as old as its last tick. */
		assert_in_range(read, before - near, host_clock((clockid_t)clocks[i]) + 11 * near);
		assert_in_range(same - read, 0, 100 * MILLISECOND);
	}
}

static void test_without_a_counter_the_page_says_so(void **state)
{
	const struct timekeeper_source none = {.khz = 0};
	struct vdso_page page = {.mode = VDSO_BY_SYSTEM_CALL};
	struct timekeeper timekeeper;
	uint64_t time = 0;

	(void)state;
	timekeeper_init(&timekeeper, &page, &none);
	timekeeper_tick(&timekeeper, UINT64_MAX - 1);
	timekeeper_refresh(&timekeeper);
	assert_int_equal(page.mode, VDSO_BY_SYSTEM_CALL);
	assert_false(vdso_page_read(&page, VDSO_MONOTONIC, &time));
	assert_int_equal(timekeeper_read(&timekeeper, CLOCK_MONOTONIC, &time), 0);
	assert_in_range(host_clock(CLOCK_MONOTONIC) - time, 0, 100 * MILLISECOND);
	assert_int_equal(timekeeper_read(NULL, CLOCK_MONOTONIC, &time), 0);
	assert_int_equal(timekeeper_read(NULL, 12345, &time), -EINVAL);
}

static void test_clocks_that_the_page_has_not(void **state)
{
	static const uint32_t others[] = {2, 3, 8, 9, 10, 12, 31, 32, 33, UINT32_MAX};
	struct fixture *fixture = *state;
	uint64_t time;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(vdso_page_read(&fixture->page, others[i], &time));
}

static void test_a_page_that_is_being_written_is_not_read(void **state)
{
	struct fixture *fixture = *state;
	uint64_t time;

	if (!has_counter(fixture))
		return;
	fixture->page.sequence++;
	assert_false(vdso_page_read(&fixture->page, VDSO_MONOTONIC, &time));
	fixture->page.sequence++;
	assert_true(vdso_page_read(&fixture->page, VDSO_MONOTONIC, &time));
}

static void test_it_is_written_when_it_is_old(void **state)
{
	struct fixture *fixture = *state;
	uint32_t sequence = fixture->page.sequence;

	if (!has_counter(fixture))
		return;
	timekeeper_tick(&fixture->timekeeper, fixture->timekeeper.due - 1);
	assert_int_equal(fixture->page.sequence, sequence);
	timekeeper_tick(&fixture->timekeeper, fixture->timekeeper.due);
	/* A sample that was interrupted is not taken. */
	assert_true(fixture->page.sequence == sequence + 2 || fixture->page.sequence == sequence);
	assert_true(fixture->timekeeper.due > host_clock(CLOCK_MONOTONIC));
}

/* Until it is written: the thread may be interrupted each time. */
static void rewrite(struct fixture *fixture)
{
	uint32_t sequence = fixture->page.sequence;

	for (int i = 0; i < 1000 && fixture->page.sequence == sequence; i++)
		timekeeper_refresh(&fixture->timekeeper);
	assert_int_equal(fixture->page.sequence, sequence + 2);
}

static void test_a_clock_that_was_ahead_stands_still(void **state)
{
	struct fixture *fixture = *state;
	uint64_t ahead, raw, after;

	if (!has_counter(fixture))
		return;
	rewrite(fixture);
	fixture->page.monotonic.multiplier *= 2;
	fixture->page.raw.multiplier *= 2;
	pass(MILLISECOND / 2);
	ahead = read_page(fixture, VDSO_MONOTONIC);
	raw = read_page(fixture, VDSO_MONOTONIC_RAW);
	rewrite(fixture);
	/* Ahead by half a millisecond or more: what is above one is not kept. */
	if (ahead < fixture->page.monotonic.base + MILLISECOND) {
		assert_true(read_page(fixture, VDSO_MONOTONIC) >= ahead);
		assert_true(read_page(fixture, VDSO_MONOTONIC_RAW) >= raw);
	}
	pass(3 * MILLISECOND);
	after = host_clock(CLOCK_MONOTONIC);
	assert_in_range(read_page(fixture, VDSO_MONOTONIC), after - MILLISECOND / 10,
	                after + 50 * MILLISECOND);
}

/* The host slept while its counter went on: nobody has seen what the page would say. */
static void test_a_time_that_nobody_ran_is_not_kept(void **state)
{
	struct fixture *fixture = *state;
	uint64_t after;

	if (!has_counter(fixture))
		return;
	rewrite(fixture);
	fixture->page.monotonic.base += 3600 * SECOND;
	rewrite(fixture);
	after = host_clock(CLOCK_MONOTONIC);
	assert_in_range(read_page(fixture, VDSO_MONOTONIC), after - MILLISECOND,
	                after + 50 * MILLISECOND);
}

static void test_a_clock_that_was_set_is_followed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t after, before;

	if (!has_counter(fixture))
		return;
	before = fixture->page.offset[VDSO_REALTIME];
	rewrite(fixture);
	/* What clocks that are read one after another differ by is none. */
	assert_int_equal(fixture->page.offset[VDSO_REALTIME], before);
	fixture->page.offset[VDSO_REALTIME] -= 3600 * SECOND;
	fixture->page.offset[VDSO_BOOTTIME] += 3600 * SECOND;
	rewrite(fixture);
	after = host_clock(CLOCK_REALTIME);
	assert_in_range(read_page(fixture, VDSO_REALTIME), after - MILLISECOND,
	                after + 50 * MILLISECOND);
	assert_int_equal(fixture->page.offset[VDSO_REALTIME_COARSE],
	                 fixture->page.offset[VDSO_REALTIME]);
	assert_int_equal(
		(fixture->page.offset[VDSO_TAI] - fixture->page.offset[VDSO_REALTIME]) % SECOND, 0);
	after = host_clock(CLOCK_BOOTTIME);
	assert_in_range(read_page(fixture, VDSO_BOOTTIME), after - MILLISECOND,
	                after + 50 * MILLISECOND);
}

/* The rate is that of the last seconds, and none that no clock has. */
static void test_rates(void **state)
{
	struct fixture *fixture = *state;
	struct timekeeper *timekeeper = &fixture->timekeeper;
	uint64_t nominal, measured;

	if (!has_counter(fixture))
		return;
	nominal = (uint64_t)(((unsigned __int128)MILLISECOND << VDSO_SHIFT) / timekeeper->khz);
	pass(110 * MILLISECOND);
	rewrite(fixture);
	measured = fixture->page.monotonic.multiplier;
	assert_in_range(measured, nominal - nominal / 1000, nominal + nominal / 1000);
	assert_int_not_equal(measured, nominal);
	/* As after a suspension: far less time than ticks. */
	timekeeper->since.tsc -= timekeeper->khz * 1000;
	rewrite(fixture);
	assert_int_equal(fixture->page.monotonic.multiplier, nominal);
	assert_true(timekeeper->since.monotonic > host_clock(CLOCK_MONOTONIC) - SECOND);
}

struct readers {
	struct fixture *fixture;
	_Atomic uint64_t latest;
	_Atomic unsigned backwards;
	_Atomic bool over;
};

static void *read_on(void *argument)
{
	struct readers *readers = argument;

	while (!atomic_load(&readers->over)) {
		uint64_t before = atomic_load(&readers->latest), now, latest = before;

		timekeeper_read(&readers->fixture->timekeeper, CLOCK_MONOTONIC, &now);
		readers->backwards += now < before;
		while (latest < now && !atomic_compare_exchange_weak(&readers->latest, &latest, now))
			;
	}
	return NULL;
}

/* Each time with a rate that was a little wrong. */
static void test_readers_never_see_it_step_back(void **state)
{
	struct readers readers = {.fixture = *state};
	struct vdso_page *page = &readers.fixture->page;
	pthread_t threads[2];

	if (!has_counter(readers.fixture))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
	for (int i = 0; i < 20000; i++) {
		__atomic_store_n(&page->monotonic.multiplier,
		                 page->monotonic.multiplier + page->monotonic.multiplier / 100,
		                 __ATOMIC_RELAXED);
		timekeeper_refresh(&readers.fixture->timekeeper);
	}
	atomic_store(&readers.over, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(readers.backwards, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_times_are_the_hosts),
		TEST(test_without_a_counter_the_page_says_so),
		TEST(test_clocks_that_the_page_has_not),
		TEST(test_a_page_that_is_being_written_is_not_read),
		TEST(test_it_is_written_when_it_is_old),
		TEST(test_a_clock_that_was_ahead_stands_still),
		TEST(test_a_time_that_nobody_ran_is_not_kept),
		TEST(test_a_clock_that_was_set_is_followed),
		TEST(test_rates),
		TEST(test_readers_never_see_it_step_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
