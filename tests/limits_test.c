/* SPDX-License-Identifier: MIT */
/*
 * Time limits hold whatever the host does with its threads and signals: a
 * thread's id comes again, the signal is unblocked, other signals wait, two
 * programs have different signals, one guest runs inside another's callback.
 */
#include "sandbox_fixture.h"

#include "layout.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LIMITS GUEST("limits-static")
#define LAST_ID "/proc/sys/kernel/ns_last_pid"
#define SECOND UINT64_C(1000000000)
#define LIMIT scaled_ms(100)
/* Not reached unless something is wrong. */
#define AMPLE scaled_ms(10000)
#define TRIES 200

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* The n-th KVM_RUN from now on begins late. */

static unsigned late_run;
static uint64_t late_by;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	const struct timespec time = {.tv_sec = (time_t)(late_by / SECOND),
	                              .tv_nsec = (long)(late_by % SECOND)};

	if (request == KVM_RUN && late_run > 0 && --late_run == 0)
		nanosleep(&time, NULL);
	return __real_ioctl(fd, request, argument);
}

struct pair {
	struct kvmsb *master, *fork;
};

static struct pair make_with(int32_t timeout_signal)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct pair pair;

	options.timeout_signal = timeout_signal;
	pair.master = fixture_master(&options);
	pair.fork = fixture_fork(pair.master);
	return pair;
}

static struct pair make(void)
{
	return make_with(0);
}

static void unmake(struct pair pair)
{
	kvmsb_destroy(pair.fork);
	kvmsb_destroy(pair.master);
}

static void check_time_limit(struct kvmsb *fork)
{
	struct kvmsb_result result = fixture_call_within(fork, "spin", NO_NUMBERS, LIMIT);

	assert_outcome(fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(kvmsb_reset(fork), 0);
}

/* In at most a few entries: it is not interrupted over and over. */
static void check_undisturbed(struct kvmsb *fork)
{
	struct kvmsb_result result = fixture_call_within(fork, "one", NO_NUMBERS, AMPLE);

	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	assert_true(result.kvm_runs < 10);
}

/* Threads. */

struct visit {
	struct kvmsb *fork;
	const char *symbol;
	pid_t only; /* 0: any thread */
	pid_t id;
	struct kvmsb_result result;
	int failed;
};

static void *visit(void *context)
{
	struct visit *visit = context;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	visit->id = gettid();
	if (visit->only != 0 && visit->only != visit->id)
		return NULL;
	visit->result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	call.symbol = visit->symbol;
	call.timeout_ns = LIMIT;
	visit->failed = kvmsb_vmcall(visit->fork, &call, &visit->result);
	return NULL;
}

static void in_thread(struct visit *what)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, visit, what), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void each_thread_has_its_limit(void **unused)
{
	struct pair pair = make();

	(void)unused;
	for (int i = 0; i < 3; i++) {
		struct visit first = {.fork = pair.fork, .symbol = "one"};
		struct visit second = {.fork = pair.fork, .symbol = "spin"};

		in_thread(&first);
		assert_int_equal(first.failed, 0);
		assert_outcome(pair.fork, &first.result, KVMSB_OUTCOME_RETURNED);
		in_thread(&second);
		assert_int_equal(second.failed, 0);
		assert_outcome(pair.fork, &second.result, KVMSB_OUTCOME_TIMED_OUT);
		assert_int_equal(kvmsb_reset(pair.fork), 0);
	}
	unmake(pair);
}

/* The next thread or process gets the id, if nothing else begins meanwhile. */
static bool ask_for_id(pid_t id)
{
	FILE *file = fopen(LAST_ID, "w");
	bool asked;

	if (file == NULL)
		return false;
	asked = fprintf(file, "%d", (int)id - 1) > 0;
	return fclose(file) == 0 && asked;
}

static void a_thread_id_comes_again(void **unused)
{
	struct pair pair = make();
	struct visit first = {.fork = pair.fork, .symbol = "one"};
	struct visit second = {.fork = pair.fork, .symbol = "spin"};

	(void)unused;
	in_thread(&first);
	second.only = first.id;
	for (int i = 0; i < TRIES && second.id != first.id; i++) {
		if (!ask_for_id(first.id))
			break;
		in_thread(&second);
	}
	if (second.id == first.id) {
		assert_int_equal(second.failed, 0);
		assert_outcome(pair.fork, &second.result, KVMSB_OUTCOME_TIMED_OUT);
	} else {
		print_message("not tested: no thread got the id of another again (%s: %s)\n", LAST_ID,
		              access(LAST_ID, W_OK) == 0 ? "writable" : strerror(errno));
	}
	unmake(pair);
}

/* Signals. */

static void the_signal_is_unblocked(void **unused)
{
	struct pair pair = make();
	sigset_t before, none;

	(void)unused;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	check_time_limit(pair.fork);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	check_time_limit(pair.fork);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	check_time_limit(pair.fork);
	unmake(pair);
}

static void a_signal_is_blocked_later(void **unused)
{
	const struct timespec at_once = {0};
	struct pair pair = make();
	sigset_t others, before;

	(void)unused;
	check_undisturbed(pair.fork);
	sigemptyset(&others);
	sigaddset(&others, SIGTERM);
	sigaddset(&others, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &others, &before);
	raise(SIGTERM);
	check_undisturbed(pair.fork);
	check_time_limit(pair.fork);
	raise(SIGCHLD);
	check_undisturbed(pair.fork);
	/* They are the host's still. */
	assert_true(sigtimedwait(&others, NULL, &at_once) > 0);
	assert_true(sigtimedwait(&others, NULL, &at_once) > 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	unmake(pair);
}

/* What one program's timer leaves pending does not stop the other's guests. */
static void two_programs_with_two_signals(void **unused)
{
	const struct timespec pause = {.tv_nsec = 150000000};
	struct pair other, pair;
	struct kvmsb_result result;
	sigset_t none;

	(void)unused;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	other = make_with(SIGWINCH);
	/* Its timer is armed, and KVM was told what is blocked, before the second one begins. */
	check_undisturbed(other.fork);
	pair = make();
	result = fixture_call_within(pair.fork, "one", NO_NUMBERS, scaled_ms(100));
	if (result.outcome == KVMSB_OUTCOME_TIMED_OUT)
		kvmsb_reset(pair.fork);
	for (unsigned i = 0; i < time_scale(); i++)
		nanosleep(&pause, NULL);
	check_undisturbed(other.fork);
	check_time_limit(other.fork);
	check_time_limit(pair.fork);
	unmake(other);
	unmake(pair);
}

static void signals_of_no_use_are_refused(void **unused)
{
	const struct {
		int32_t number;
		int wanted;
	} rows[] = {
		{SIGKILL, -EINVAL}, {SIGSTOP, -EINVAL}, {SIGSEGV, -EINVAL}, {SIGBUS, -EINVAL},
		{SIGFPE, -EINVAL},  {SIGILL, -EINVAL},  {SIGTRAP, -EINVAL}, {SIGSYS, -EINVAL},
		{32, -EINVAL},      {33, -EINVAL},      {0, 0},             {SIGURG, 0},
		{SIGWINCH, 0},      {SIGUSR1, 0},       {64, 0},
	};
	unsigned wrong = 0;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_options options = fixture_options(LIMITS);
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct kvmsb *sandbox = NULL;
		int result;

		options.timeout_signal = rows[i].number;
		result = kvmsb_create(&sandbox, &options, &error);
		kvmsb_destroy(sandbox);
		if (result == rows[i].wanted &&
		    (result == 0 || strstr(error.detail, "timeout_signal") != NULL))
			continue;
		print_error("timeout_signal %d: %d, \"%s\"\n", rows[i].number, result, error.detail);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* One guest inside another's callback. */

struct inner {
	struct kvmsb *fork;
	struct kvmsb_result result;
	int failed;
	unsigned calls;
};

static int64_t run_inner(void *user, const void *data, size_t length)
{
	struct inner *inner = user;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	(void)data;
	call.symbol = "spin";
	call.timeout_ns = LIMIT;
	inner->calls++;
	inner->result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	inner->failed = kvmsb_vmcall(inner->fork, &call, &inner->result);
	return (int64_t)length;
}

static void check_inner(struct inner *inner, unsigned calls)
{
	assert_int_equal(inner->calls, calls);
	assert_int_equal(inner->failed, 0);
	assert_outcome(inner->fork, &inner->result, KVMSB_OUTCOME_TIMED_OUT);
	assert_int_equal(kvmsb_reset(inner->fork), 0);
}

/* The inner limit ends the inner guest alone; the outer one holds afterwards. */
static void check_nested(struct kvmsb *outer, struct inner *inner)
{
	struct kvmsb_result result = fixture_call_within(outer, "say", NO_NUMBERS, AMPLE);

	assert_outcome(outer, &result, KVMSB_OUTCOME_RETURNED);
	check_inner(inner, 1);
	result = fixture_call_within(outer, "say_and_spin", NO_NUMBERS, 4 * LIMIT);
	assert_outcome(outer, &result, KVMSB_OUTCOME_TIMED_OUT);
	check_inner(inner, 2);
	assert_int_equal(kvmsb_reset(outer), 0);
	check_time_limit(outer);
}

static void limits_are_nested(void **unused)
{
	const int32_t inner_signals[] = {SIGWINCH, SIGURG};
	struct kvmsb_options options = fixture_options(LIMITS);
	struct inner inner = {0};
	struct kvmsb *master, *outer;

	(void)unused;
	options.standard_output = (struct kvmsb_stream){.write = run_inner, .user = &inner};
	options.vcpu_limit = 1;
	master = fixture_master(&options);
	outer = fixture_fork(master);
	/* Another program's with either signal; a sibling on the one virtual processor. */
	for (size_t i = 0; i < ARRAY_SIZE(inner_signals); i++) {
		struct pair pair = make_with(inner_signals[i]);

		inner = (struct inner){.fork = pair.fork};
		check_nested(outer, &inner);
		unmake(pair);
	}
	inner = (struct inner){.fork = fixture_fork(master)};
	check_nested(outer, &inner);
	kvmsb_destroy(inner.fork);
	kvmsb_destroy(outer);
	kvmsb_destroy(master);
}

/* Interrupted on the way back from a system call, in the stub: the registers are the guest's. */
static void registers_are_never_of_a_stub(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(LIMITS);
		struct kvmsb_result result;
		struct kvmsb *sandbox;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		sandbox = fixture_ready(&options);
		late_run = 4;
		late_by = 2 * LIMIT;
		result = fixture_call_within(sandbox, "call_always", NO_NUMBERS, LIMIT);
		assert_outcome(sandbox, &result, KVMSB_OUTCOME_TIMED_OUT);
		print_message("%s: %s\n", fixture_entry_name(fixture_entries[i]),
		              fixture_describe(sandbox, &result));
		assert_true(result.registers.rip < LAYOUT_USER_END);
		assert_true(result.registers.rsp < LAYOUT_USER_END);
		kvmsb_destroy(sandbox);
	}
}

/* A limit that is over before the guest has begun is a limit all the same. */
static void a_late_entry_is_over(void **unused)
{
	struct pair pair = make();
	uint64_t start = now();
	struct kvmsb_result result;

	(void)unused;
	late_run = 1;
	late_by = 2 * LIMIT;
	result = fixture_call_within(pair.fork, "spin", NO_NUMBERS, LIMIT);
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_TIMED_OUT);
	assert_true(now() - start < AMPLE);
	unmake(pair);
}

#define LIMITED(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, fixture_end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITED(each_thread_has_its_limit),
		LIMITED(a_thread_id_comes_again),
		LIMITED(the_signal_is_unblocked),
		LIMITED(a_signal_is_blocked_later),
		LIMITED(two_programs_with_two_signals),
		LIMITED(signals_of_no_use_are_refused),
		LIMITED(limits_are_nested),
		LIMITED(registers_are_never_of_a_stub),
		LIMITED(a_late_entry_is_over),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
