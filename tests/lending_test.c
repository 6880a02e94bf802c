/* SPDX-License-Identifier: MIT */
/*
 * More sandboxes than virtual processors: who waits is served in turn, calls
 * that have begun before those that begin, as many wait as may, a thread keeps
 * its processor, and one that cannot be made or set up costs one call.
 */
#include "sandbox_fixture.h"

#include "callers.h"
#include "sandbox.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIMITS GUEST("limits-static")
#define THREADS 16
/* Fewer where each takes milliseconds. */
#define FAIR_CALLS (THREADS * (time_scale() > 1 ? 120ul : 200ul))
/* Not reached unless something is wrong. */
#define AMPLE scaled_ms(10000)

/* What fails, from now on, that many times. */
enum victim {
	NOTHING,
	CREATION,
	MASK_OF_KVM,
	MASK_OF_THREAD,
	TIMER_CREATION,
	TIMER_SETTING,
	EVICTION,
};
static _Atomic int victim;
static _Atomic int failures_left;
/* Who is about to fail waits until so many others wait for a processor. */
static struct machine *held_by;
static unsigned held_until;
static _Atomic unsigned timers_set;
/* Whoever saves another's state waits at this point. */
static _Atomic bool evictions_held, eviction_begun;

/* Threads in the order in which they had a processor set up for them; for one processor. */
static pthread_t served[64];
static unsigned served_count;
static bool noting;

static void note_served(void)
{
	const pthread_t self = pthread_self();

	if (served_count < ARRAY_SIZE(served) &&
	    (served_count == 0 || !pthread_equal(served[served_count - 1], self)))
		served[served_count++] = self;
}

static bool meets(enum victim what)
{
	if (victim != (int)what || failures_left <= 0 || failures_left-- <= 0)
		return false;
	while (held_by != NULL && held_by->vcpu_waiting < held_until)
		caller_sleep(1000000);
	return true;
}

static void let_fail(enum victim what, int times)
{
	failures_left = times;
	victim = (int)what;
}

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (request == KVM_GET_XSAVE && evictions_held) {
		eviction_begun = true;
		while (evictions_held)
			caller_sleep(1000000);
	}
	if ((request == KVM_CREATE_VCPU && meets(CREATION)) ||
	    (request == KVM_SET_SIGNAL_MASK && meets(MASK_OF_KVM)) ||
	    (request == KVM_GET_XSAVE && meets(EVICTION))) {
		errno = ENOMEM;
		return -1;
	}
	if (request == KVM_SET_SIGNAL_MASK && noting)
		note_served();
	return __real_ioctl(fd, request, argument);
}

int __real_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int __wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int __wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	if (!meets(TIMER_CREATION))
		return __real_timer_create(clock, event, timer);
	errno = EAGAIN;
	return -1;
}

int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
                         struct itimerspec *before)
{
	timers_set++;
	if (!meets(TIMER_SETTING))
		return __real_timer_settime(timer, flags, at, before);
	errno = EINVAL;
	return -1;
}

int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	return meets(MASK_OF_THREAD) ? EINVAL : __real_pthread_sigmask(how, set, before);
}

static int end_well(void **state)
{
	let_fail(NOTHING, 0);
	held_by = NULL;
	evictions_held = false;
	return fixture_end_well(state);
}

static struct kvmsb *make(uint32_t vcpu_limit, uint32_t queue_limit)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	options.vcpu_limit = vcpu_limit;
	options.vcpu_queue_limit = queue_limit;
	return fixture_master(&options);
}

static void wait_for_waiters(const struct kvmsb *sandbox, unsigned count)
{
	while (sandbox->machine->vcpu_waiting < count)
		caller_sleep(1000000);
}

/* Takes one for the test itself; machine_vcpu_release() ends it. */
static struct vcpu *take_one(const struct kvmsb *sandbox)
{
	struct vcpu_context context = {.suspended = false};
	struct vcpu *vcpu;

	assert_int_equal(machine_vcpu_acquire(sandbox->machine, &context, INT64_MAX, &vcpu), 0);
	return vcpu;
}

static void check_returned(const struct caller *caller, uint64_t value)
{
	assert_int_equal(caller->failed, 0);
	assert_outcome(caller->fork, &caller->result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(caller->result.value, value);
}

/* Nobody has been forgotten, nor a processor lost. */
static void check_at_rest(struct kvmsb *master)
{
	const struct machine *machine = master->machine;
	unsigned idle = 0;

	assert_int_equal(machine->vcpu_waiting, 0);
	assert_int_equal(machine->vcpu_wanted, 0);
	assert_int_equal(machine->settling, 0);
	for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++) {
		assert_int_not_equal(machine->vcpus[i]->state, VCPU_BUSY);
		assert_null(machine->vcpus[i]->resident);
		idle += machine->vcpus[i]->state == VCPU_IDLE;
	}
	assert_int_equal(machine->vcpu_count, idle);
}

/* In turn. */

struct turns {
	struct kvmsb *fork;
	const char *symbol;
	uint64_t numbers[2];
	pthread_t thread;
	unsigned long count, bad;
};

/* By all threads together: how many calls there have been, and are to be. */
static _Atomic unsigned long turns_taken, turns_wanted;
static pthread_barrier_t turns_begin;

static void *take_turns(void *context)
{
	struct turns *turns = context;
	struct caller caller = {.fork = turns->fork,
	                        .symbol = turns->symbol,
	                        .numbers = {turns->numbers[0], turns->numbers[1]},
	                        .timeout_ns = AMPLE};

	pthread_barrier_wait(&turns_begin);
	while (turns_taken < turns_wanted) {
		caller_call(&caller);
		turns->bad += caller.failed != 0 || caller.result.outcome != KVMSB_OUTCOME_RETURNED ||
		              caller.result.value != 0;
		turns->count++;
		turns_taken++;
	}
	return NULL;
}

static void run_turns(struct turns *turns, size_t count, void *(*run)(void *), unsigned long calls)
{
	turns_taken = 0;
	turns_wanted = calls;
	pthread_barrier_init(&turns_begin, NULL, (unsigned)count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&turns[i].thread, NULL, run, &turns[i]), 0);
	for (size_t i = 0; i < count; i++)
		pthread_join(turns[i].thread, NULL);
	pthread_barrier_destroy(&turns_begin);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(turns[i].bad, 0);
		kvmsb_destroy(turns[i].fork);
	}
}

/* Whether each thread had its share: no less than a half of it, no more than two. */
static bool turns_are_fair(struct kvmsb *master)
{
	struct turns turns[THREADS];
	unsigned long sum = 0, least = ULONG_MAX, most = 0;

	for (size_t i = 0; i < THREADS; i++)
		turns[i] = (struct turns){.fork = fixture_fork(master), .symbol = "nothing"};
	run_turns(turns, THREADS, take_turns, FAIR_CALLS);
	for (size_t i = 0; i < THREADS; i++) {
		sum += turns[i].count;
		least = min_u64(least, turns[i].count);
		most = turns[i].count > most ? turns[i].count : most;
	}
	print_message("%u processors: %lu to %lu calls of each thread\n",
	              master->machine->vcpu_limit, least, most);
	return least * THREADS * 2 >= sum && most * THREADS <= sum * 2;
}

/*
 * However few processors there are. A thread that the host's scheduler leaves
 * aside between two calls does not wait here: there are some tries.
 */
static void waiting_is_fair(void **unused)
{
	(void)unused;
	for (uint32_t limit = 1; limit <= 3; limit++) {
		struct kvmsb *master = make(limit, 0);
		bool fair = false;

		for (int i = 0; i < 5 && !fair; i++)
			fair = turns_are_fair(master);
		assert_true(fair);
		assert_true(master->machine->statistics.vcpu_waits > 0);
		assert_int_equal(master->machine->statistics.vcpu_refusals, 0);
		check_at_rest(master);
		kvmsb_destroy(master);
	}
}

static void first_come_first_served(void **unused)
{
	struct kvmsb *master = make(1, 0);
	struct vcpu *vcpu = take_one(master);
	struct caller callers[8];

	(void)unused;
	served_count = 0;
	noting = true;
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		callers[i] = (struct caller){
			.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
		assert_int_equal(caller_begin(&callers[i]), 0);
		wait_for_waiters(master, i + 1);
	}
	machine_vcpu_release(vcpu, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
		caller_end(&callers[i]);
		check_returned(&callers[i], 1);
		kvmsb_destroy(callers[i].fork);
	}
	noting = false;
	assert_int_equal(served_count, ARRAY_SIZE(callers));
	for (size_t i = 0; i < ARRAY_SIZE(callers); i++)
		assert_true(pthread_equal(served[i], callers[i].thread));
	kvmsb_destroy(master);
}

/* Whoever gives one back while another waits gets it again after that one. */
static void nobody_overtakes(void **unused)
{
	struct kvmsb *master = make(1, 0);
	struct caller caller = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};

	(void)unused;
	for (int i = 0; i < 50; i++) {
		struct vcpu *vcpu = take_one(master);

		assert_int_equal(caller_begin(&caller), 0);
		wait_for_waiters(master, 1);
		machine_vcpu_release(vcpu, NULL);
		vcpu = take_one(master);
		assert_int_equal(master->machine->vcpu_waiting, 0);
		machine_vcpu_release(vcpu, NULL);
		caller_end(&caller);
		check_returned(&caller, 1);
	}
	check_at_rest(master);
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

static void too_many_wait(void **unused)
{
	struct kvmsb *master = make(1, 3);
	struct vcpu *vcpu = take_one(master);
	struct caller late = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
	struct caller waits[3];

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		waits[i] = (struct caller){
			.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
		assert_int_equal(caller_begin(&waits[i]), 0);
		wait_for_waiters(master, i + 1);
	}
	caller_call(&late);
	assert_int_equal(late.failed, -EUSERS);
	assert_string_not_equal(kvmsb_detail(late.fork), "");
	machine_vcpu_release(vcpu, NULL);
	for (size_t i = 0; i < 3; i++) {
		caller_end(&waits[i]);
		check_returned(&waits[i], 1);
		kvmsb_destroy(waits[i].fork);
	}
	assert_int_equal(master->machine->statistics.vcpu_waits, 3);
	assert_int_equal(master->machine->statistics.vcpu_refusals, 1);
	/* Nothing of it was run: it need not be reset. */
	caller_call(&late);
	check_returned(&late, 1);
	check_at_rest(master);
	kvmsb_destroy(late.fork);
	kvmsb_destroy(master);
}

/* Calls that have begun. */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool entered, open;
};

static int64_t pass_gate(void *user, const void *data, size_t length)
{
	struct gate *gate = user;

	(void)data;
	pthread_mutex_lock(&gate->lock);
	gate->entered = true;
	pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
	return (int64_t)length;
}

static void wait_at_gate(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (!gate->entered)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static struct kvmsb *make_gated(struct gate *gate, uint32_t vcpu_limit, uint32_t queue_limit)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
	options.standard_output = (struct kvmsb_stream){.write = pass_gate, .user = gate};
	options.vcpu_limit = vcpu_limit;
	options.vcpu_queue_limit = queue_limit;
	return fixture_master(&options);
}

/*
 * Back from a function of the host with the queue full: it waits all the same,
 * and comes before the one that has waited longer to begin.
 */
static void a_call_that_has_begun_comes_first(void **unused)
{
	struct gate gate = {.open = false};
	struct kvmsb *master = make_gated(&gate, 1, 1);
	struct caller begun = {.fork = fixture_fork(master),
	                       .symbol = "say_and_spin",
	                       .timeout_ns = scaled_ms(1000)};
	struct caller begins = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
	struct vcpu *vcpu;

	(void)unused;
	assert_int_equal(caller_begin(&begun), 0);
	wait_at_gate(&gate);
	vcpu = take_one(master);
	assert_int_equal(caller_begin(&begins), 0);
	wait_for_waiters(master, 1);
	open_gate(&gate);
	wait_for_waiters(master, 2);
	machine_vcpu_release(vcpu, NULL);
	caller_end(&begun);
	caller_end(&begins);
	assert_int_equal(begun.failed, 0);
	assert_outcome(begun.fork, &begun.result, KVMSB_OUTCOME_TIMED_OUT);
	check_returned(&begins, 1);
	assert_true(begins.end >= begun.start + begun.timeout_ns);
	check_at_rest(master);
	kvmsb_destroy(begins.fork);
	kvmsb_destroy(begun.fork);
	kvmsb_destroy(master);
}

/* Its time is over while it waits to go on: it is over, and the rest goes on. */
static void a_call_that_has_begun_times_out(void **unused)
{
	struct gate gate = {.open = false};
	struct kvmsb *master = make_gated(&gate, 1, 0);
	struct caller begun = {
		.fork = fixture_fork(master), .symbol = "say", .timeout_ns = scaled_ms(200)};
	struct vcpu *vcpu;

	(void)unused;
	assert_int_equal(caller_begin(&begun), 0);
	wait_at_gate(&gate);
	vcpu = take_one(master);
	open_gate(&gate);
	caller_end(&begun);
	assert_int_equal(begun.failed, 0);
	assert_outcome(begun.fork, &begun.result, KVMSB_OUTCOME_TIMED_OUT);
	assert_true(begun.end - begun.start < AMPLE / 2);
	machine_vcpu_release(vcpu, NULL);
	check_at_rest(master);
	kvmsb_destroy(begun.fork);
	kvmsb_destroy(master);
}

/*
 * Another takes its processor just when it comes back, and saves its state: it
 * waits for that, and for no more, as there is a second processor. If saving
 * fails, that is the other's failure.
 */
static void check_evicted(bool fails)
{
	struct gate gate = {.open = false};
	struct kvmsb *master = make_gated(&gate, 2, 0);
	struct caller begun = {.fork = fixture_fork(master),
	                       .symbol = "say_with_vector",
	                       .numbers = {5, 1},
	                       .timeout_ns = AMPLE};
	struct caller other = {
		.fork = fixture_fork(master), .symbol = "spin", .timeout_ns = scaled_ms(1000)};
	struct vcpu *vcpu;

	assert_int_equal(caller_begin(&begun), 0);
	wait_at_gate(&gate);
	vcpu = take_one(master);
	assert_null(vcpu->resident);
	eviction_begun = false;
	evictions_held = true;
	let_fail(EVICTION, fails);
	assert_int_equal(caller_begin(&other), 0);
	while (!eviction_begun)
		caller_sleep(1000000);
	open_gate(&gate);
	while (master->machine->vcpu_wanted == 0)
		caller_sleep(1000000);
	machine_vcpu_release(vcpu, NULL);
	evictions_held = false;
	caller_end(&begun);
	check_returned(&begun, 0);
	caller_end(&other);
	assert_int_equal(other.failed, fails ? -ENOMEM : 0);
	if (!fails)
		assert_true(begun.end < other.start + other.timeout_ns);
	check_at_rest(master);
	kvmsb_destroy(other.fork);
	kvmsb_destroy(begun.fork);
	kvmsb_destroy(master);
}

/* It is over while its state is being saved, where it still is the one that is written to. */
static void a_call_ends_while_it_is_evicted(void **unused)
{
	struct gate gate = {.open = false};
	struct kvmsb *master = make_gated(&gate, 1, 0);
	struct caller begun = {
		.fork = fixture_fork(master), .symbol = "say", .timeout_ns = scaled_ms(100)};
	struct caller other = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
	uint64_t saved;

	(void)unused;
	assert_int_equal(caller_begin(&begun), 0);
	wait_at_gate(&gate);
	eviction_begun = false;
	evictions_held = true;
	assert_int_equal(caller_begin(&other), 0);
	while (!eviction_begun)
		caller_sleep(1000000);
	open_gate(&gate);
	caller_sleep(scaled_ms(200));
	saved = caller_now();
	evictions_held = false;
	caller_end(&begun);
	assert_outcome(begun.fork, &begun.result, KVMSB_OUTCOME_TIMED_OUT);
	assert_true(begun.end >= saved);
	caller_end(&other);
	check_returned(&other, 1);
	check_at_rest(master);
	kvmsb_destroy(other.fork);
	kvmsb_destroy(begun.fork);
	kvmsb_destroy(master);
}

static void a_call_comes_back_while_it_is_evicted(void **unused)
{
	(void)unused;
	check_evicted(false);
	check_evicted(true);
}

/* Inside a function of the host: runs a guest of the same few processors. */
static _Thread_local struct kvmsb *inner_fork;
static _Atomic unsigned long inner_bad;

static int64_t run_inner(void *user, const void *data, size_t length)
{
	struct kvmsb *fork = inner_fork;
	struct caller inner = {.fork = fork, .symbol = "one", .timeout_ns = AMPLE};

	(void)user;
	(void)data;
	if (fork == NULL)
		return (int64_t)length;
	caller_call(&inner);
	inner_bad += inner.failed != 0 || inner.result.outcome != KVMSB_OUTCOME_RETURNED;
	return (int64_t)length;
}

static void *take_nested_turns(void *context)
{
	struct turns *turns = context;

	inner_fork = (struct kvmsb *)(uintptr_t)turns->numbers[1];
	turns->numbers[1] = 2;
	return take_turns(turns);
}

/*
 * States are saved and go from processor to processor while others want them:
 * none is lost, no call waits for ever.
 */
static void nested_calls_share_few(void **unused)
{
	(void)unused;
	for (uint32_t limit = 1; limit <= 3; limit++) {
		struct kvmsb_options options = fixture_options(LIMITS);
		struct turns turns[THREADS / 2];
		struct kvmsb *inner[THREADS / 2] = {NULL};
		struct kvmsb *master;

		options.vcpu_limit = limit;
		options.standard_output = (struct kvmsb_stream){.write = run_inner};
		master = fixture_master(&options);
		for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
			/* Every other one has no inner call. */
			inner[i] = i % 2 == 0 ? fixture_fork(master) : NULL;
			turns[i] = (struct turns){.fork = fixture_fork(master),
			                          .symbol = "say_with_vector",
			                          .numbers = {i + 1, (uintptr_t)inner[i]}};
		}
		run_turns(turns, ARRAY_SIZE(turns), take_nested_turns, 400);
		for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
			assert_true(turns[i].count > 0);
			kvmsb_destroy(inner[i]);
		}
		assert_int_equal(inner_bad, 0);
		check_at_rest(master);
		kvmsb_destroy(master);
	}
}

/* Whose a processor is. */

static void a_thread_keeps_its_processor(void **unused)
{
	struct kvmsb *master = make(4, 0);
	struct turns turns[3];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		turns[i] = (struct turns){.fork = fixture_fork(master), .symbol = "nothing"};
	run_turns(turns, ARRAY_SIZE(turns), take_turns, 1000);
	assert_int_equal(fixture_statistics(master).machine_migrations, 0);
	assert_int_equal(fixture_statistics(master).machine_vcpus, 4);
	assert_int_equal(master->machine->statistics.vcpu_waits, 0);
	kvmsb_destroy(master);
}

struct passer_by {
	struct caller caller;
	pid_t id;
};

static void *pass_by(void *context)
{
	struct passer_by *passer_by = context;

	passer_by->id = gettid();
	caller_call(&passer_by->caller);
	return NULL;
}

/* One after the other, each with an id that nobody has when it has ended. */
static void ended_threads_leave_theirs(void **unused)
{
	struct kvmsb *master = make(0, 0);
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (int i = 0; i < 10; i++) {
		struct passer_by passer_by = {.caller = {.fork = fork, .symbol = "one"}};

		assert_int_equal(pthread_create(&passer_by.caller.thread, NULL, pass_by, &passer_by),
		                 0);
		pthread_join(passer_by.caller.thread, NULL);
		check_returned(&passer_by.caller, 1);
		while (syscall(SYS_tgkill, getpid(), passer_by.id, 0) == 0)
			caller_sleep(1000000);
	}
	/* The test's own, and theirs. */
	assert_int_equal(fixture_statistics(master).machine_vcpus, 2);
	assert_int_equal(fixture_statistics(master).machine_migrations, 9);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* A thread that uses many programs in turn has one of each. */
static void many_programs_in_turn(void **unused)
{
	struct kvmsb *masters[20], *forks[20];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(masters); i++) {
		masters[i] = make(0, 0);
		forks[i] = fixture_fork(masters[i]);
	}
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(masters); i++)
			assert_int_equal(fixture_value(forks[i], "one", NO_NUMBERS), 1);
	for (size_t i = 0; i < ARRAY_SIZE(masters); i++) {
		assert_int_equal(fixture_statistics(masters[i]).machine_vcpus, 1);
		assert_int_equal(fixture_statistics(masters[i]).machine_migrations, 0);
		kvmsb_destroy(forks[i]);
		kvmsb_destroy(masters[i]);
	}
}

static void the_timer_is_set_once_for_many(void **unused)
{
	struct kvmsb *master = make(0, 0);
	struct kvmsb *fork = fixture_fork(master);
	unsigned before = timers_set;

	(void)unused;
	for (int i = 0; i < 100; i++) {
		struct kvmsb_result result = fixture_call_within(fork, "one", NO_NUMBERS, AMPLE);

		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	}
	assert_true(timers_set - before <= 2);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* What fails. */

/* A program with one processor at most, and none left. */
static struct kvmsb *make_without(void)
{
	struct kvmsb *master = make(1, 0);
	struct vcpu *vcpu = take_one(master);

	vcpu->broken = true;
	machine_vcpu_release(vcpu, NULL);
	assert_int_equal(fixture_statistics(master).machine_vcpus, 0);
	return master;
}

static void begin_some(struct caller *callers, size_t count, struct kvmsb *master)
{
	for (size_t i = 0; i < count; i++) {
		callers[i] = (struct caller){
			.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
		assert_int_equal(caller_begin(&callers[i]), 0);
	}
}

/* How many failed with that error; the others returned, and none waited for long. */
static unsigned end_some(struct caller *callers, size_t count, int error)
{
	unsigned failures = 0;

	for (size_t i = 0; i < count; i++) {
		caller_end(&callers[i]);
		failures += callers[i].failed == error;
		if (callers[i].failed != error)
			check_returned(&callers[i], 1);
		assert_true(callers[i].end - callers[i].start < AMPLE / 2);
		kvmsb_destroy(callers[i].fork);
	}
	return failures;
}

/*
 * While others wait for the one that is about to be made. The next one tries;
 * who failed has its processor, if that is quick.
 */
static void making_one_fails(void **unused)
{
	(void)unused;
	for (int failures = 1; failures <= 4; failures++) {
		struct kvmsb *master = make_without();
		struct caller callers[4];
		int failed;

		held_by = master->machine;
		held_until = 4 - (unsigned)failures;
		let_fail(CREATION, failures);
		begin_some(callers, ARRAY_SIZE(callers), master);
		failed = (int)end_some(callers, ARRAY_SIZE(callers), -ENOMEM);
		assert_true(failed <= failures && (failures < 4 || failed == 4));
		assert_true(failures_left <= 0);
		let_fail(NOTHING, 0);
		check_at_rest(master);
		kvmsb_destroy(master);
	}
}

/* There is another, and it is busy: whoever could not have one more waits for that one. */
static void making_one_more_fails(void **unused)
{
	struct kvmsb *master = make(2, 0);
	struct vcpu *vcpu = take_one(master);
	struct caller callers[2];

	(void)unused;
	let_fail(CREATION, 1000000);
	begin_some(callers, ARRAY_SIZE(callers), master);
	wait_for_waiters(master, 2);
	machine_vcpu_release(vcpu, NULL);
	assert_int_equal(end_some(callers, ARRAY_SIZE(callers), -ENOMEM), 0);
	assert_int_equal(fixture_statistics(master).machine_vcpus, 1);
	check_at_rest(master);
	kvmsb_destroy(master);
}

/* It breaks while those wait that could not make one of their own: they try again. */
static void the_last_one_breaks(void **unused)
{
	struct kvmsb *master = make(2, 0);
	struct vcpu *vcpu = take_one(master);
	struct caller callers[2];

	(void)unused;
	let_fail(CREATION, 2);
	begin_some(callers, ARRAY_SIZE(callers), master);
	wait_for_waiters(master, 2);
	while (failures_left > 0)
		caller_sleep(1000000);
	vcpu->broken = true;
	machine_vcpu_release(vcpu, NULL);
	assert_int_equal(end_some(callers, ARRAY_SIZE(callers), -ENOMEM), 0);
	check_at_rest(master);
	kvmsb_destroy(master);
}

/* Whoever is served first cannot use it: the others are served all the same. */
static void setting_one_up_fails(void **unused)
{
	static const struct {
		enum victim what;
		int code;
	} rows[] = {
		{MASK_OF_KVM, -ENOMEM},
		{MASK_OF_THREAD, -EINVAL},
		{TIMER_CREATION, -EAGAIN},
		{TIMER_SETTING, -EINVAL},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb *master = make(1, 0);
		struct vcpu *vcpu = take_one(master);
		struct caller callers[3];

		begin_some(callers, ARRAY_SIZE(callers), master);
		wait_for_waiters(master, 3);
		let_fail(rows[i].what, 1);
		machine_vcpu_release(vcpu, NULL);
		assert_int_equal(end_some(callers, ARRAY_SIZE(callers), rows[i].code), 1);
		check_at_rest(master);
		kvmsb_destroy(master);
	}
}

static void *call_and_be_cancelled(void *context)
{
	caller_call(context);
	pthread_testcancel();
	return NULL;
}

/* It gets what it waits for before it goes. */
static void a_waiter_is_cancelled(void **unused)
{
	struct kvmsb *master = make(1, 0);
	struct caller caller = {.fork = fixture_fork(master), .symbol = "one", .timeout_ns = AMPLE};
	struct vcpu *vcpu = take_one(master);
	void *left;

	(void)unused;
	assert_int_equal(pthread_create(&caller.thread, NULL, call_and_be_cancelled, &caller), 0);
	wait_for_waiters(master, 1);
	pthread_cancel(caller.thread);
	caller_sleep(scaled_ms(20));
	machine_vcpu_release(vcpu, NULL);
	pthread_join(caller.thread, &left);
	assert_ptr_equal(left, PTHREAD_CANCELED);
	check_returned(&caller, 1);
	check_at_rest(master);
	assert_int_equal(fixture_value(caller.fork, "one", NO_NUMBERS), 1);
	kvmsb_destroy(caller.fork);
	kvmsb_destroy(master);
}

#define LIMITED(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITED(waiting_is_fair),
		LIMITED(first_come_first_served),
		LIMITED(nobody_overtakes),
		LIMITED(too_many_wait),
		LIMITED(a_call_that_has_begun_comes_first),
		LIMITED(a_call_that_has_begun_times_out),
		LIMITED(a_call_comes_back_while_it_is_evicted),
		LIMITED(a_call_ends_while_it_is_evicted),
		LIMITED(nested_calls_share_few),
		LIMITED(a_thread_keeps_its_processor),
		LIMITED(ended_threads_leave_theirs),
		LIMITED(many_programs_in_turn),
		LIMITED(the_timer_is_set_once_for_many),
		LIMITED(making_one_fails),
		LIMITED(making_one_more_fails),
		LIMITED(the_last_one_breaks),
		LIMITED(setting_one_up_fails),
		LIMITED(a_waiter_is_cancelled),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
