/* SPDX-License-Identifier: MIT */
/*
 * What guests see of time: by the vDSO without an exit, by system calls where
 * the host has no such clock, made up where the host wants that. Never
 * backwards, over threads, forks, resets and the writing of the clock's page, and
 * nobody's to write.
 */
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "layout.h"
#include "machine.h"
#include "sandbox.h"
#include "util.h"
#include "vdso_page.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define READS 1000
#define THREADS 4
#define ROUNDS 150

static const int clocks[] = {CLOCK_REALTIME,
                             CLOCK_MONOTONIC,
                             CLOCK_MONOTONIC_RAW,
                             CLOCK_REALTIME_COARSE,
                             CLOCK_MONOTONIC_COARSE,
                             CLOCK_BOOTTIME,
                             CLOCK_TAI};

static uint64_t host_clock(int clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t value(struct kvmsb *sandbox, const char *symbol, uint64_t first, uint64_t second)
{
	return fixture_value(sandbox, symbol, NUMBERS(first, second));
}

static struct timekeeper *timekeeper_of(struct kvmsb *sandbox)
{
	return &sandbox->machine->timekeeper;
}

static bool has_page(struct kvmsb *sandbox)
{
	return timekeeper_of(sandbox)->page->mode == VDSO_BY_TSC;
}

static struct kvmsb *master_of(const char *path)
{
	const struct kvmsb_options options = fixture_options(path);

	return fixture_master(&options);
}

/* Where the host has another clock, what needs the page is not tried. */
static struct kvmsb *master_with_page(void)
{
	struct kvmsb *master = master_of(GUEST("clock-static"));

	if (has_page(master))
		return master;
	print_message("the host's clocks do not come from its time-stamp counter\n");
	kvmsb_destroy(master);
	return NULL;
}

/* As on such a host. */
static void leave_it_to_system_calls(struct kvmsb *sandbox)
{
	timekeeper_of(sandbox)->due = UINT64_MAX;
	timekeeper_of(sandbox)->page->mode = VDSO_BY_SYSTEM_CALL;
}

/* Reading. */

static void reading_takes_no_exit(void **unused)
{
	struct kvmsb *master = master_with_page(), *fork;

	(void)unused;
	if (master == NULL)
		return;
	fork = fixture_fork(master);
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		struct kvmsb_result result;

		value(fork, "read_often", (uint64_t)clocks[i], READS);
		result = fixture_call(fork, "read_often", NUMBERS((uint64_t)clocks[i], READS));
		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, 0);
		assert_int_equal(result.kvm_runs, 1);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void check_near_the_host(struct kvmsb *fork, const char *symbol)
{
	const uint64_t near = scaled_ms(1);

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		uint64_t before = host_clock(clocks[i]);
		uint64_t read = value(fork, symbol, (uint64_t)clocks[i], 0);
		uint64_t after = host_clock(clocks[i]);

		/* The host's coarse clocks are as old as its last tick, up to 10 ms. */
		if (clocks[i] == CLOCK_REALTIME_COARSE || clocks[i] == CLOCK_MONOTONIC_COARSE)
			after += 10 * near;
		assert_in_range(read, before - near, after + near);
	}
}

static void clocks_are_the_hosts(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);

	(void)unused;
	check_near_the_host(fork, "by_vdso");
	check_near_the_host(fork, "by_system_call");
	leave_it_to_system_calls(master);
	check_near_the_host(fork, "by_vdso");
	check_near_the_host(fork, "by_system_call");
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void without_the_counter_it_is_a_system_call(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);
	struct kvmsb_result result;

	(void)unused;
	leave_it_to_system_calls(master);
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		value(fork, "read_often", (uint64_t)clocks[i], 10);
		result = fixture_call(fork, "read_often", NUMBERS((uint64_t)clocks[i], 10));
		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, 0);
		assert_int_equal(result.kvm_runs, 11);
	}
	assert_int_equal(value(fork, "check_functions", 0, 0), 0);
	assert_int_equal(value(fork, "check_other_clocks", 0, 0), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void every_libc_finds_the_vdso(void **unused)
{
	const char *const paths[] = {GUEST("clock-static"), GUEST("clock-dynamic"),
	                             GUEST("clock-musl-static")};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct kvmsb_options options = fixture_options(paths[i]);
		const struct kvmsb_path_rule rules[] = {
			{.path = "/lib", .kind = KVMSB_PATH_DIRECTORY},
			{.path = "/usr/lib", .kind = KVMSB_PATH_DIRECTORY},
		};
		struct kvmsb *sandbox;
		struct kvmsb_result result;
		FILE *file = fopen(paths[i], "re");

		if (file == NULL)
			continue;
		fclose(file);
		options.paths = rules;
		options.path_count = ARRAY_SIZE(rules);
		sandbox = fixture_ready(&options);
		assert_int_equal(value(sandbox, "vdso_address", 0, 0), LAYOUT_VDSO);
		assert_int_equal(value(sandbox, "check_functions", 0, 0), 0);
		assert_int_equal(value(sandbox, "check_other_clocks", 0, 0), 0);
		value(sandbox, "read_often", CLOCK_MONOTONIC, 1);
		result = fixture_call(sandbox, "read_often", NUMBERS(CLOCK_MONOTONIC, READS));
		if (has_page(sandbox))
			assert_int_equal(result.kvm_runs, 1);
		kvmsb_destroy(sandbox);
	}
}

/* Never backwards. */

static void both_ways_agree(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++)
		assert_int_equal(value(fork, "read_in_turn", (uint64_t)clocks[i], 500), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* The page is written anew at each entry, with a clock that was ahead, and one that was behind. */
static void no_writing_of_the_page_steps_back(void **unused)
{
	struct kvmsb *master = master_with_page(), *fork;
	uint64_t before = 0, raw_before = 0;

	(void)unused;
	if (master == NULL)
		return;
	fork = fixture_fork(master);
	for (int i = 0; i < 300; i++) {
		struct vdso_page *page = timekeeper_of(master)->page;
		uint64_t now, raw;

		/* 0.5 % fast, or slow: of the 40 us or so until the next entry. */
		if (i % 2)
			page->monotonic.multiplier += page->monotonic.multiplier / 200;
		else
			page->monotonic.multiplier -= page->monotonic.multiplier / 200;
		page->raw.multiplier += page->raw.multiplier / 200;
		now = value(fork, "by_vdso", CLOCK_MONOTONIC, 0);
		timekeeper_of(master)->due = 0;
		raw = value(fork, "by_vdso", CLOCK_MONOTONIC_RAW, 0);
		assert_true(now >= before);
		assert_true(raw >= raw_before);
		before = now;
		raw_before = raw;
	}
	assert_in_range(before, host_clock(CLOCK_MONOTONIC) - scaled_ms(20),
	                host_clock(CLOCK_MONOTONIC));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

struct reader {
	struct kvmsb *fork;
	_Atomic uint64_t *latest; /* that any of them has seen */
	unsigned backwards, failed;
	pthread_t thread;
};

static bool call_quietly(struct kvmsb *fork, const char *symbol, uint64_t number, uint64_t *read)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = symbol;
	call.argument_count = 1;
	call.arguments[0].value = number;
	if (kvmsb_vmcall(fork, &call, &result) < 0 || result.outcome != KVMSB_OUTCOME_RETURNED)
		return false;
	*read = result.value;
	return true;
}

static void *read_all_the_time(void *argument)
{
	struct reader *reader = argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before = atomic_load(reader->latest), now = 0, latest = before;

		timekeeper_of(reader->fork)->due = 0;
		if (!call_quietly(reader->fork, i % 5 == 4 ? "by_system_call" : "by_vdso",
		                  CLOCK_MONOTONIC, &now) ||
		    (i % 3 == 0 && kvmsb_reset(reader->fork) < 0))
			reader->failed++;
		reader->backwards += now < before;
		while (latest < now && !atomic_compare_exchange_weak(reader->latest, &latest, now))
			;
	}
	return NULL;
}

static void threads_forks_and_resets_never_see_it_step_back(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static"));
	struct reader readers[THREADS];
	_Atomic uint64_t latest = 0;

	(void)unused;
	for (int i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.fork = fixture_fork(master), .latest = &latest};
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, read_all_the_time, &readers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].failed, 0);
		assert_int_equal(readers[i].backwards, 0);
		kvmsb_destroy(readers[i].fork);
	}
	kvmsb_destroy(master);
}

/* Without an exit nothing writes the page; the rate must be right. */
static void a_long_run_stays_near_the_hosts_clock(void **unused)
{
	struct kvmsb *master = master_with_page(), *fork;
	uint64_t read, after;

	(void)unused;
	if (master == NULL)
		return;
	fork = fixture_fork(master);
	read = value(fork, "spin_until", host_clock(CLOCK_MONOTONIC) + 300 * MILLISECOND, 0);
	after = host_clock(CLOCK_MONOTONIC);
	/* 500 ppm, which is all that adjtimex(2) can bend the host's; more is a wrong rate. */
	assert_in_range(read, after - scaled_ms(20), after + 150000);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Waiting. */

static void nobody_wakes_early(void **unused)
{
	const int slept_on[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(slept_on); i++) {
		struct kvmsb_result result = fixture_call(fork, "earliest_wake",
		                                          NUMBERS((uint64_t)slept_on[i], 50000, 40));

		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
		assert_in_range(result.value, 0, scaled_ms(1000));
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void processor_time_is_what_the_guest_ran(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);
	uint64_t begin = value(fork, "processor_time", 0, 0), spun, slept;

	(void)unused;
	value(fork, "spin_until", host_clock(CLOCK_MONOTONIC) + 30 * MILLISECOND, 0);
	spun = value(fork, "processor_time", 0, 0);
	assert_in_range(spun - begin, 20 * MILLISECOND, scaled_ms(1000));
	value(fork, "sleep_for", 200 * MILLISECOND, 0);
	slept = value(fork, "processor_time", 0, 0);
	assert_in_range(slept - spun, 1, 150 * MILLISECOND * time_scale());
	assert_true(value(fork, "user_time_of_usage", 0, 0) >= slept / 1000 * 1000);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void a_reset_puts_clocks_back(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);
	long faults;

	(void)unused;
	assert_int_equal(value(fork, "wait_in_poll", 1, 0), 0);
	faults = (long)value(fork, "faults_of_usage", 0, 0);
	value(fork, "touch_fresh_pages", 10, 0);
	assert_true((long)value(fork, "faults_of_usage", 0, 0) >= faults + 5);
	assert_true(fork->process.usage.time > master->process.usage.time);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_memory_equal(&fork->process.usage, &master->process.usage,
	                    sizeof(fork->process.usage));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Made up. */

static struct kvmsb *made_up_master(uint64_t start, uint64_t step)
{
	struct kvmsb_options options = fixture_options(GUEST("clock-static"));

	options.clock = KVMSB_CLOCK_MADE_UP;
	options.clock_start_ns = start;
	options.clock_step_ns = step;
	return fixture_master(&options);
}

static void a_made_up_clock_stands_still(void **unused)
{
	const uint64_t start = 1700000000 * SECOND + 5;
	struct kvmsb *master = made_up_master(start, 0), *fork = fixture_fork(master);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		bool real = clocks[i] == CLOCK_REALTIME || clocks[i] == CLOCK_REALTIME_COARSE ||
		            clocks[i] == CLOCK_TAI;

		assert_int_equal(value(fork, "by_vdso", (uint64_t)clocks[i], 0),
		                 real ? start : SECOND);
		assert_int_equal(value(fork, "by_system_call", (uint64_t)clocks[i], 0),
		                 real ? start : SECOND);
	}
	assert_int_equal(value(fork, "processor_time", 0, 0), 0);
	assert_int_equal(value(fork, "check_functions", 0, 0), 0);
	assert_int_equal(value(fork, "check_other_clocks", 0, 0), 0);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void what_is_slept_passes_at_once(void **unused)
{
	const uint64_t start = 1700000000 * SECOND, year = 365 * 86400 * SECOND;
	struct kvmsb *master = made_up_master(start, 0), *fork = fixture_fork(master), *other;
	uint64_t before = host_clock(CLOCK_MONOTONIC);

	(void)unused;
	assert_int_equal(value(fork, "sleep_for", year, 0), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start + year);
	assert_int_equal(value(fork, "by_vdso", CLOCK_MONOTONIC, 0), SECOND + year);
	assert_int_equal(value(fork, "wait_in_poll", 3000000, 0), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start + year + 3000 * SECOND);
	assert_int_equal(value(fork, "sleep_until", CLOCK_REALTIME, start + 2 * year), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start + 2 * year);
	/* It is over already. */
	assert_int_equal(value(fork, "sleep_until", CLOCK_REALTIME, start + year), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start + 2 * year);
	assert_true(host_clock(CLOCK_MONOTONIC) - before < scaled_ms(5000));
	/* The fork's own. */
	other = fixture_fork(master);
	assert_int_equal(value(other, "by_vdso", CLOCK_REALTIME, 0), start);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start);
	/* What no number can say stays the last one. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(value(fork, "sleep_for", INT64_MAX, 0), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), INT64_MAX);
	assert_int_equal(value(fork, "by_vdso", CLOCK_MONOTONIC, 0), INT64_MAX);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void each_look_adds_a_step(void **unused)
{
	const uint64_t start = 1000 * SECOND, step = 1000;
	struct kvmsb *master = made_up_master(start, step), *fork = fixture_fork(master);
	uint64_t first = value(fork, "by_vdso", CLOCK_REALTIME, 0);

	(void)unused;
	assert_int_equal(first, start);
	for (uint64_t i = 1; i < 10; i++)
		assert_int_equal(value(fork, i % 2 ? "by_vdso" : "by_system_call", CLOCK_REALTIME, 0),
		                 start + i * step);
	/* So that who waits by looking gets there. */
	assert_int_equal(value(fork, "spin_until", SECOND + 20 * step, 0), SECOND + 20 * step);
	assert_int_equal(value(fork, "processor_time", 0, 0), 21 * step);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_REALTIME, 0), start);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Only the guest's time is made up. */
static void a_made_up_clock_is_no_way_around_time_limits(void **unused)
{
	struct kvmsb *master = made_up_master(0, 0), *fork = fixture_fork(master);
	struct kvmsb_result result = fixture_call_within(fork, "spin_until", NUMBERS(SECOND + 1),
	                                                 30 * MILLISECOND);

	(void)unused;
	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(value(fork, "by_vdso", CLOCK_MONOTONIC, 0), SECOND);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void check_refused(struct kvmsb_options options, const char *named)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox = NULL;

	assert_int_equal(kvmsb_create(&sandbox, &options, &error), -EINVAL);
	assert_non_null(strstr(error.detail, named));
}

static void options_out_of_range_are_refused(void **unused)
{
	struct kvmsb_options options = fixture_options(GUEST("clock-static"));

	(void)unused;
	options.clock = (enum kvmsb_clock)(KVMSB_CLOCK_MADE_UP + 1);
	check_refused(options, "options.clock:");
	options.clock = KVMSB_CLOCK_MADE_UP;
	options.clock_start_ns = (uint64_t)INT64_MAX + 1;
	check_refused(options, "options.clock_start_ns:");
	options.clock_start_ns = 0;
	options.clock_step_ns = SECOND + 1;
	check_refused(options, "options.clock_step_ns:");
}

/* Programs, by kvmsb-run. */

static int run_date(const char *options, char *text, size_t size)
{
	char command[512];
	FILE *output;

	snprintf(command, sizeof(command), "'%s' %s /bin/date -u +%%s%%N 2>/dev/null",
	         TEST_KVMSB_RUN, options);
	output = popen(command, "re");
	assert_non_null(output);
	text[0] = '\0';
	if (fgets(text, (int)size, output) != NULL)
		text[strcspn(text, "\n")] = '\0';
	return pclose(output) >> 8;
}

static void kvmsb_run_fakes_the_time(void **unused)
{
	static const struct {
		const char *options, *printed; /* NULL: refused */
	} rows[] = {
		{"--fake-time 0", "0000000000"},
		{"--fake-time @1700000000", "1700000000000000000"},
		{"--fake-time 1700000000.5", "1700000000500000000"},
		{"--fake-time 2026-01-31T12:00:00Z", "1769860800000000000"},
		{"--fake-time 2026-01-31T12:00:00.000000001+01:30", "1769855400000000001"},
		{"--fake-time 2024-02-29t00:00:00-00:30", "1709166600000000000"},
		{"--fake-time 9223372036.854775807", "9223372036854775807"},
		{"--fake-time 9223372036.854775808", NULL},
		{"--fake-time 2023-02-29T00:00:00Z", NULL},
		{"--fake-time 2026-01-31T12:00:00", NULL},
		{"--fake-time 2026-01-31T12:00:60Z", NULL},
		{"--fake-time 2026-01-31T12:00:00+24:00", NULL},
		{"--fake-time 1969-12-31T23:59:59Z", NULL},
		{"--fake-time -1", NULL},
		{"--fake-time ''", NULL},
		{"--fake-time 1.", NULL},
		{"--fake-time 1x", NULL},
		{"--fake-time 0 --fake-step 2s", NULL},
		{"--fake-time 0 --fake-step 5", NULL},
		{"--fake-step 1ms", NULL},
	};
	char text[64];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(run_date(rows[i].options, text, sizeof(text)),
		                 rows[i].printed != NULL ? 0 : 2);
		assert_string_equal(text, rows[i].printed != NULL ? rows[i].printed : "");
	}
}

static void a_program_tells_the_hosts_time(void **unused)
{
	uint64_t before = host_clock(CLOCK_REALTIME), after;
	char text[64];

	(void)unused;
	assert_int_equal(run_date("", text, sizeof(text)), 0);
	after = host_clock(CLOCK_REALTIME);
	assert_in_range(strtoull(text, NULL, 10), before - scaled_ms(1), after + scaled_ms(1));
}

/* Nobody's to write. */

static void check_fault(struct kvmsb *fork, const char *symbol, uint64_t address)
{
	struct kvmsb_result result = fixture_call(fork, symbol, NUMBERS(address));

	assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.address, address);
	assert_int_equal(kvmsb_reset(fork), 0);
}

static void no_guest_writes_the_clock(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);
	struct kvmsb *other = fixture_fork(master);
	uint64_t zero = 0;

	(void)unused;
	check_fault(fork, "write_to", LAYOUT_CLOCK_PAGE);
	check_fault(fork, "write_to", LAYOUT_CLOCK_PAGE + PAGE_SIZE - 8);
	check_fault(fork, "write_to", LAYOUT_VDSO);
	check_fault(fork, "jump_to", LAYOUT_CLOCK_PAGE);
	assert_int_equal(value(fork, "try_changes", 0, 0), 0);
	assert_int_equal(kvmsb_memory_write(fork, LAYOUT_CLOCK_PAGE, &zero, 8), -EFAULT);
	assert_int_equal(kvmsb_memory_write(fork, LAYOUT_VDSO, &zero, 8), -EFAULT);
	assert_int_equal(kvmsb_memory_read(fork, LAYOUT_CLOCK_PAGE, &zero, 8), 0);
	check_near_the_host(other, "by_vdso");
	assert_int_equal(value(other, "check_functions", 0, 0), 0);
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* A fork that moves or unmaps them loses its own only, until it is reset. */
static void pages_can_be_moved_and_unmapped(void **unused)
{
	struct kvmsb *master = master_of(GUEST("clock-static")), *fork = fixture_fork(master);
	struct kvmsb *other = fixture_fork(master);

	(void)unused;
	for (int i = 0; i < 3; i++) {
		struct kvmsb_result result;

		assert_int_equal(value(fork, "move_away", 0, 0), 0);
		result = fixture_call(fork, "by_vdso", NUMBERS(CLOCK_MONOTONIC));
		assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
		assert_int_equal(value(other, "check_functions", 0, 0), 0);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(value(fork, "check_functions", 0, 0), 0);
		check_near_the_host(fork, "by_vdso");
	}
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reading_takes_no_exit),
		TEST(clocks_are_the_hosts),
		TEST(without_the_counter_it_is_a_system_call),
		TEST(every_libc_finds_the_vdso),
		TEST(both_ways_agree),
		TEST(no_writing_of_the_page_steps_back),
		TEST(threads_forks_and_resets_never_see_it_step_back),
		TEST(a_long_run_stays_near_the_hosts_clock),
		TEST(nobody_wakes_early),
		TEST(processor_time_is_what_the_guest_ran),
		TEST(a_reset_puts_clocks_back),
		TEST(a_made_up_clock_stands_still),
		TEST(what_is_slept_passes_at_once),
		TEST(each_look_adds_a_step),
		TEST(a_made_up_clock_is_no_way_around_time_limits),
		TEST(options_out_of_range_are_refused),
		TEST(kvmsb_run_fakes_the_time),
		TEST(a_program_tells_the_hosts_time),
		TEST(no_guest_writes_the_clock),
		TEST(pages_can_be_moved_and_unmapped),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
