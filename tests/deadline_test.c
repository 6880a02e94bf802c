/* SPDX-License-Identifier: MIT */
/*
 * A limit that is reached is reported as that and nothing else, at its time,
 * whatever the guest is doing, however many run, whatever signals come; and
 * nothing but the limit ends a run.
 */
#include "sandbox_fixture.h"

#include "callers.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMITS GUEST("limits-static")
#define LIMIT (time_scale() > 5 ? scaled_ms(25) : scaled_ms(100))
/* By which a limit may be late on a machine that others use as well. */
#define TOLERANCE scaled_ms(1000)
/* Not reached unless something is wrong. */
#define AMPLE scaled_ms(10000)
/* More than there are processors of the host. */
#define SPINNERS 6
#define MIX_ROUNDS 300000

static struct kvmsb *make(uint32_t vcpu_limit)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	options.vcpu_limit = vcpu_limit;
	return fixture_master(&options);
}

static void check_on_time(const struct caller *caller)
{
	uint64_t duration = caller->end - caller->start;

	if (duration < caller->timeout_ns || duration > caller->timeout_ns + TOLERANCE)
		fail_msg("%s: a limit of %llu us after %llu us", caller->symbol,
		         (unsigned long long)caller->timeout_ns / 1000,
		         (unsigned long long)duration / 1000);
}

static void check_timed_out(const struct caller *caller)
{
	assert_int_equal(caller->failed, 0);
	assert_outcome(caller->fork, &caller->result, KVMSB_OUTCOME_TIMED_OUT);
	check_on_time(caller);
}

static void check_returned(const struct caller *caller, uint64_t value)
{
	assert_int_equal(caller->failed, 0);
	assert_outcome(caller->fork, &caller->result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(caller->result.value, value);
}

/* Whatever the guest does. */

static int64_t take_all(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	return (int64_t)length;
}

static int64_t take_long(void *user, const void *data, size_t length)
{
	(void)user;
	(void)data;
	caller_sleep(2 * LIMIT);
	return (int64_t)length;
}

static void whatever_the_guest_does(void **unused)
{
	static const char *const symbols[] = {"spin", "call_always", "ask_always", "fault_always",
	                                      "say_always"};
	const uint64_t step = scaled_ms(1) / 4;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(LIMITS);
		struct kvmsb *sandbox;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		options.standard_output = (struct kvmsb_stream){.write = take_all};
		sandbox = fixture_master(&options);
		for (size_t j = 0; j < 8 * ARRAY_SIZE(symbols); j++) {
			struct caller caller = {.fork = fixture_fork(sandbox),
			                        .symbol = symbols[j % ARRAY_SIZE(symbols)],
			                        .timeout_ns = step * (1 + j)};

			caller_call(&caller);
			check_timed_out(&caller);
			assert_int_equal(kvmsb_reset(caller.fork), 0);
			assert_int_equal(fixture_value(caller.fork, "one", NO_NUMBERS), 1);
			kvmsb_destroy(caller.fork);
		}
		kvmsb_destroy(sandbox);
	}
}

/* A function of the host takes longer than the guest may: that ends when the function does. */
static void the_host_takes_too_long(void **unused)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct caller caller = {.symbol = "say", .timeout_ns = LIMIT};
	struct kvmsb *master;

	(void)unused;
	options.standard_output = (struct kvmsb_stream){.write = take_long};
	master = fixture_master(&options);
	caller.fork = fixture_fork(master);
	caller_call(&caller);
	check_timed_out(&caller);
	assert_int_equal(kvmsb_reset(caller.fork), 0);
	assert_int_equal(fixture_value(caller.fork, "one", NO_NUMBERS), 1);
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

/* However many run. */

/* More threads than the host has processors spin, while others make short calls. */
static void spinning_guests_starve_nobody(void **unused)
{
	struct kvmsb *master = make(SPINNERS + 2);
	struct caller spinners[SPINNERS];
	unsigned calls = 0;
	struct caller caller = {
		.fork = fixture_fork(master), .symbol = "one", .timeout_ns = TOLERANCE};
	uint64_t end;

	(void)unused;
	for (size_t i = 0; i < SPINNERS; i++) {
		spinners[i] = (struct caller){.fork = fixture_fork(master),
		                              .symbol = "spin",
		                              .timeout_ns = LIMIT * (2 + i)};
		assert_int_equal(caller_begin(&spinners[i]), 0);
	}
	for (end = caller_now() + 4 * LIMIT; caller_now() < end; calls++) {
		caller_call(&caller);
		check_returned(&caller, 1);
	}
	assert_true(calls > 0);
	for (size_t i = 0; i < SPINNERS; i++) {
		caller_end(&spinners[i]);
		check_timed_out(&spinners[i]);
		kvmsb_destroy(spinners[i].fork);
	}
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

/* Fewer virtual processors: a wait counts, and one that got none at all is told so, on time. */
static void waiting_for_a_processor_counts(void **unused)
{
	struct kvmsb *master = make(2);
	struct caller spinners[SPINNERS];
	unsigned ran = 0;

	(void)unused;
	for (size_t i = 0; i < SPINNERS; i++) {
		spinners[i] = (struct caller){
			.fork = fixture_fork(master), .symbol = "spin", .timeout_ns = LIMIT};
		assert_int_equal(caller_begin(&spinners[i]), 0);
	}
	for (size_t i = 0; i < SPINNERS; i++) {
		caller_end(&spinners[i]);
		assert_true(spinners[i].failed == 0 || spinners[i].failed == -ETIMEDOUT);
		ran += spinners[i].failed == 0;
		if (spinners[i].failed == 0)
			check_timed_out(&spinners[i]);
		check_on_time(&spinners[i]);
		kvmsb_destroy(spinners[i].fork);
	}
	assert_true(ran >= 2);
	kvmsb_destroy(master);
}

/* Signals of others. */

static _Atomic unsigned signals_handled;

static void handle(int number)
{
	(void)number;
	signals_handled++;
}

struct sender {
	pthread_t target, thread;
	int number;
	_Atomic bool stop;
	unsigned long sent;
};

static void *send(void *context)
{
	struct sender *sender = context;

	while (!sender->stop) {
		pthread_kill(sender->target, sender->number);
		sender->sent++;
		caller_sleep(scaled_ms(1));
	}
	return NULL;
}

static void check_under_signals(struct kvmsb *master, uint64_t mixed)
{
	struct caller mixes = {.fork = fixture_fork(master),
	                       .symbol = "mix",
	                       .numbers = {MIX_ROUNDS},
	                       .timeout_ns = AMPLE};
	struct caller spins = {.fork = mixes.fork, .symbol = "spin", .timeout_ns = 2 * LIMIT};

	for (int i = 0; i < 50; i++) {
		caller_call(&mixes);
		check_returned(&mixes, mixed);
	}
	caller_call(&spins);
	check_timed_out(&spins);
	kvmsb_destroy(mixes.fork);
}

static void check_signal(struct kvmsb *master, int number, void (*handler)(int), uint64_t mixed)
{
	struct sender sender = {.target = pthread_self(), .number = number};
	struct sigaction action = {.sa_handler = handler}, before;

	sigaction(number, &action, &before);
	assert_int_equal(pthread_create(&sender.thread, NULL, send, &sender), 0);
	check_under_signals(master, mixed);
	sender.stop = true;
	pthread_join(sender.thread, NULL);
	sigaction(number, &before, NULL);
	assert_true(sender.sent > 20);
}

static void signals_of_others_change_nothing(void **unused)
{
	struct kvmsb *master = make(0);
	struct kvmsb *fork = fixture_fork(master);
	uint64_t mixed = fixture_value(fork, "mix", NUMBERS(MIX_ROUNDS));

	(void)unused;
	check_signal(master, SIGUSR1, handle, mixed);
	assert_true(signals_handled > 20);
	check_signal(master, SIGUSR2, SIG_IGN, mixed);
	/* Even the number of ours, from elsewhere. */
	check_signal(master, SIGURG, SIG_DFL, mixed);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Limits in turn, and inside each other. */

static void long_and_short_in_turn(void **unused)
{
	struct kvmsb *master = make(0);
	struct caller ample = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
	struct caller brief = {.fork = ample.fork, .symbol = "spin", .timeout_ns = LIMIT / 4};
	struct caller quick = {.fork = ample.fork, .symbol = "one", .timeout_ns = LIMIT};
	struct caller later = {.fork = ample.fork, .symbol = "spin", .timeout_ns = 2 * LIMIT};

	(void)unused;
	for (int i = 0; i < 3; i++) {
		caller_call(&ample);
		check_returned(&ample, 1);
		caller_call(&brief);
		check_timed_out(&brief);
		assert_int_equal(kvmsb_reset(brief.fork), 0);
		/* Its timer is to fire in the middle of the next. */
		caller_call(&quick);
		check_returned(&quick, 1);
		caller_call(&later);
		check_timed_out(&later);
		assert_int_equal(kvmsb_reset(later.fork), 0);
	}
	kvmsb_destroy(ample.fork);
	kvmsb_destroy(master);
}

/* Each calls the next from inside a function of the host. */
struct level {
	struct caller caller;
	struct level *next;
};
static struct level *level;

static int64_t go_deeper(void *user, const void *data, size_t length)
{
	struct level *here = level;

	(void)user;
	(void)data;
	if (here->next == NULL)
		return (int64_t)length;
	level = here->next;
	caller_call(&level->caller);
	level = here;
	return (int64_t)length;
}

static struct kvmsb *make_nested(void)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	options.standard_output = (struct kvmsb_stream){.write = go_deeper};
	options.vcpu_limit = 1;
	return fixture_master(&options);
}

/* The innermost is of the same program as the outermost. */
static void run_levels(struct level *levels, struct kvmsb *master, struct kvmsb *other)
{
	levels[0].caller.fork = fixture_fork(master);
	levels[1].caller.fork = fixture_fork(other);
	levels[2].caller.fork = fixture_fork(master);
	levels[0].next = &levels[1];
	levels[1].next = &levels[2];
	level = &levels[0];
	caller_call(&levels[0].caller);
}

static void destroy_levels(struct level *levels)
{
	for (int i = 0; i < 3; i++)
		kvmsb_destroy(levels[i].caller.fork);
}

static void limits_three_deep(void **unused)
{
	struct kvmsb *master = make_nested(), *other = make_nested();
	struct level inner_ends[3] = {{.caller = {.symbol = "say", .timeout_ns = AMPLE}},
	                              {.caller = {.symbol = "say", .timeout_ns = AMPLE}},
	                              {.caller = {.symbol = "spin", .timeout_ns = LIMIT}}};
	struct level outer_ends[3] = {{.caller = {.symbol = "say", .timeout_ns = LIMIT}},
	                              {.caller = {.symbol = "say", .timeout_ns = AMPLE}},
	                              {.caller = {.symbol = "spin", .timeout_ns = 3 * LIMIT}}};
	struct level middle_ends[3] = {{.caller = {.symbol = "say", .timeout_ns = AMPLE}},
	                               {.caller = {.symbol = "say_and_spin", .timeout_ns = 2 * LIMIT}},
	                               {.caller = {.symbol = "one", .timeout_ns = LIMIT}}};

	(void)unused;
	run_levels(inner_ends, master, other);
	check_returned(&inner_ends[0].caller, 1);
	check_returned(&inner_ends[1].caller, 1);
	check_timed_out(&inner_ends[2].caller);
	destroy_levels(inner_ends);
	/* The outermost's time is over while the innermost runs, which has its own. */
	run_levels(outer_ends, master, other);
	check_timed_out(&outer_ends[0].caller);
	check_returned(&outer_ends[1].caller, 1);
	check_timed_out(&outer_ends[2].caller);
	destroy_levels(outer_ends);
	run_levels(middle_ends, master, other);
	check_returned(&middle_ends[0].caller, 1);
	check_timed_out(&middle_ends[1].caller);
	check_returned(&middle_ends[2].caller, 1);
	destroy_levels(middle_ends);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

/* A host whose timers come a second after their time. */
static _Thread_local bool timers_are_late;

int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before);

int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before)
{
	struct itimerspec later = *at;

	later.it_value.tv_sec += timers_are_late;
	return __real_timer_settime(timer, flags, &later, before);
}

/* Time that is over before the guest is entered: nothing of it runs. */
static void no_time_at_all(void **unused)
{
	struct kvmsb *master = make(1);
	struct caller caller = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = 1};

	(void)unused;
	timers_are_late = true;
	for (unsigned i = 0; i < 100; i++) {
		caller_call(&caller);
		assert_int_equal(caller.failed, 0);
		assert_outcome(caller.fork, &caller.result, KVMSB_OUTCOME_TIMED_OUT);
		assert_int_equal(kvmsb_reset(caller.fork), 0);
	}
	timers_are_late = false;
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

/* A thread ends with a processor that is idle and a timer that is armed: the next has its own. */
static void a_thread_ends_before_its_timer(void **unused)
{
	struct kvmsb *master = make(1);
	struct caller caller = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = LIMIT};
	struct caller after = {
		.fork = fixture_fork(master), .symbol = "spin", .timeout_ns = 2 * LIMIT};

	(void)unused;
	assert_int_equal(caller_begin(&caller), 0);
	caller_end(&caller);
	check_returned(&caller, 1);
	assert_int_equal(caller_begin(&after), 0);
	caller_end(&after);
	check_timed_out(&after);
	kvmsb_destroy(after.fork);
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

#define LIMITED(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITED(whatever_the_guest_does),
		LIMITED(the_host_takes_too_long),
		LIMITED(spinning_guests_starve_nobody),
		LIMITED(waiting_for_a_processor_counts),
		LIMITED(signals_of_others_change_nothing),
		LIMITED(long_and_short_in_turn),
		LIMITED(limits_three_deep),
		LIMITED(no_time_at_all),
		LIMITED(a_thread_ends_before_its_timer),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
