/* SPDX-License-Identifier: MIT */
/*
 * Each figure of kvmsb_get_statistics() moves when it should and by how much,
 * those of the machine are the sums of its sandboxes', and structs of any size
 * are filled.
 */
#include "sandbox_fixture.h"

#include "failing_run.h"
#include "counters.h"
#include "machine.h"
#include "sandbox.h"
#include "time_limit.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATISTICS GUEST("statistics-static")
#define MEBIBYTE (UINT64_C(1) << 20)

struct pair {
	struct kvmsb *master, *fork;
};

static struct pair make_with(struct kvmsb_options *options)
{
	struct pair pair;

	options->memory_limit = 32 * MEBIBYTE;
	options->fork_memory_limit = 2 * MEBIBYTE;
	pair.master = fixture_master(options);
	pair.fork = fixture_fork(pair.master);
	return pair;
}

static struct pair make(void)
{
	struct kvmsb_options options = fixture_options(STATISTICS);

	return make_with(&options);
}

static void unmake(struct pair pair)
{
	kvmsb_destroy(pair.fork);
	kvmsb_destroy(pair.master);
}

/* What a sandbox and its machine counted, in the order of counters.h. */
struct figures {
	uint64_t own[COUNTERS_OF_SANDBOX], machine[COUNTERS_OF_SANDBOX];
	uint64_t kvm_drains;
};

static const char *const names[] = {
#define NAME(name) #name,
	SANDBOX_COUNTERS(NAME)
#undef NAME
};

static struct figures figures_of(const struct kvmsb *sandbox)
{
	const struct kvmsb_statistics statistics = fixture_statistics(sandbox);

	return (struct figures){
		.own =
			{
#define OWN(name) [COUNTER_##name] = statistics.name,
				SANDBOX_COUNTERS(OWN)
#undef OWN
			},
		.machine =
			{
#define TOTAL(name) [COUNTER_##name] = statistics.machine_##name,
				SANDBOX_COUNTERS(TOTAL)
#undef TOTAL
			},
		.kvm_drains = statistics.machine_drains,
	};
}

/* Each KVM_RUN has one reason, each call one end. */
static void check_sums(const uint64_t counts[COUNTERS_OF_SANDBOX])
{
	uint64_t runs = 0, ends = 0;

	for (unsigned i = COUNTER_system_calls; i <= COUNTER_cleaning_runs; i++)
		runs += counts[i];
	assert_int_equal(runs + counts[COUNTER_outcome_returned], counts[COUNTER_kvm_runs]);
	for (unsigned i = COUNTER_outcome_returned; i <= COUNTER_calls_failed; i++)
		ends += counts[i];
	assert_int_equal(ends, counts[COUNTER_calls]);
}

static uint64_t gained(const struct figures *before, const struct figures *after, enum counter which)
{
	/* Only the fork did anything. */
	assert_int_equal(after->own[which] - before->own[which],
	                 after->machine[which] - before->machine[which]);
	return after->own[which] - before->own[which];
}

/* What the fork counted since `before` of all that is not loose: just `wanted`. */
struct wanted {
	enum counter which;
	uint64_t times;
};

/* The timer of an earlier call may interrupt a later one. */
static bool is_loose(unsigned which)
{
	return which == COUNTER_interruptions || which == COUNTER_kvm_runs ||
	       which == COUNTER_guest_ns || which == COUNTER_cleaning_runs ||
	       which == COUNTER_pages_copied || which == COUNTER_pages_restored;
}

static void check_gained(const struct figures *before, const struct kvmsb *fork,
                         const struct wanted *wanted, size_t count)
{
	const struct figures after = figures_of(fork);
	unsigned wrong = 0;

	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++) {
		uint64_t times = gained(before, &after, (enum counter)i), right = 0;

		for (size_t j = 0; j < count; j++)
			right += wanted[j].which == (enum counter)i ? wanted[j].times : 0;
		if (times == right || is_loose(i))
			continue;
		print_error("%s: %lu, and not %lu\n", names[i], (unsigned long)times,
		            (unsigned long)right);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	check_sums(after.own);
	check_sums(after.machine);
}

#define CHECK_GAINED(before, fork, ...)                                                            \
	check_gained(before, fork, (const struct wanted[]){__VA_ARGS__},                           \
	             sizeof((const struct wanted[]){__VA_ARGS__}) / sizeof(struct wanted))

/* Exits. */

static void check_exits(struct kvmsb *fork)
{
	struct figures before, after;
	struct kvmsb_result result;

	/* Its stack is its own from here on. */
	fixture_value(fork, "work", NUMBERS(0, 0, 0));
	before = figures_of(fork);
	result = fixture_call(fork, "work", NUMBERS(3, 2, 4));
	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	CHECK_GAINED(&before, fork, {COUNTER_calls, 1}, {COUNTER_system_calls, 3},
	             {COUNTER_hypercalls, 2}, {COUNTER_page_faults, 4},
	             {COUNTER_outcome_returned, 1});
	after = figures_of(fork);
	assert_int_equal(gained(&before, &after, COUNTER_kvm_runs), result.kvm_runs);
	assert_int_equal(gained(&before, &after, COUNTER_pages_copied), 4);
	assert_int_equal(gained(&before, &after, COUNTER_pages_restored), 0);
	before = after;
	assert_int_equal(kvmsb_reset(fork), 0);
	CHECK_GAINED(&before, fork, {COUNTER_resets, 1});
	after = figures_of(fork);
	assert_int_equal(gained(&before, &after, COUNTER_kvm_runs), 0);
	assert_int_equal(gained(&before, &after, COUNTER_guest_ns), 0);
	assert_true(gained(&before, &after, COUNTER_pages_restored) >= 4);
	before = after;
	fixture_value(fork, "work", NUMBERS(0, 0, 4));
	CHECK_GAINED(&before, fork, {COUNTER_calls, 1}, {COUNTER_outcome_returned, 1});
}

static void exits_are_counted_by_reason(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(STATISTICS);
		struct pair pair;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		pair = make_with(&options);
		check_exits(pair.fork);
		unmake(pair);
	}
}

static void a_processor_that_is_unclean(void **unused)
{
	struct pair pair = make();
	struct figures before = figures_of(pair.fork), after;
	struct kvmsb_result result = fixture_call(pair.fork, "read_port", NO_NUMBERS);
	bool stray;

	(void)unused;
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_FAULTED);
	after = figures_of(pair.fork);
	stray = after.own[COUNTER_stray_accesses] > 0;
	/* Where there are exits from ring 3 at all. */
	assert_int_equal(stray, pair.fork->machine->entry != KVMSB_ENTRY_EXCEPTION);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 1}, {COUNTER_outcome_faulted, 1},
	             {stray ? COUNTER_stray_accesses : COUNTER_exceptions, 1});
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	before = after;
	fixture_value(pair.fork, "work", NO_NUMBERS);
	after = figures_of(pair.fork);
	assert_int_equal(gained(&before, &after, COUNTER_cleaning_runs) > 0, stray);
	assert_int_equal(after.kvm_drains - before.kvm_drains, stray);
	unmake(pair);
}

/* One that is pending when the guest is entered is one interruption. */
static void foreign_signals_are_interruptions(void **unused)
{
	struct pair pair = make();
	struct figures before, after;

	(void)unused;
	fixture_value(pair.fork, "work", NO_NUMBERS);
	before = figures_of(pair.fork);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pthread_kill(pthread_self(), SIGURG), 0);
		fixture_value(pair.fork, "work", NO_NUMBERS);
	}
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 5}, {COUNTER_outcome_returned, 5});
	after = figures_of(pair.fork);
	assert_int_equal(gained(&before, &after, COUNTER_interruptions), 5);
	unmake(pair);
}

/* The guest's time, and no more than the call's. */
static void time_in_the_guest(void **unused)
{
	const uint64_t limit = scaled_ms(60);
	struct pair pair = make();
	struct figures before, after;
	uint64_t start;

	(void)unused;
	fixture_value(pair.fork, "work", NO_NUMBERS);
	before = figures_of(pair.fork);
	start = time_now();
	fixture_call_within(pair.fork, "spin", NO_NUMBERS, limit);
	start = time_now() - start;
	after = figures_of(pair.fork);
	assert_true(gained(&before, &after, COUNTER_guest_ns) >= limit / 2);
	assert_true(gained(&before, &after, COUNTER_guest_ns) <= start);
	unmake(pair);
}

/* Outcomes. */

static void outcomes_are_counted(void **unused)
{
	/* `exit`: calls, for there is none. */
	static const struct {
		const char *symbol;
		enum counter outcome, exit;
	} ends[] = {
		{"work", COUNTER_outcome_returned, COUNTER_calls},
		{"respond", COUNTER_outcome_hypercall, COUNTER_hypercalls},
		{"wait_again", COUNTER_outcome_denied, COUNTER_hypercalls},
		{"quit", COUNTER_outcome_exited, COUNTER_system_calls},
		{"crash", COUNTER_outcome_faulted, COUNTER_page_faults},
		{"undefined", COUNTER_outcome_faulted, COUNTER_exceptions},
		{"spin", COUNTER_outcome_timed_out, COUNTER_time_limits},
	};
	struct pair pair = make();

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct figures before;

		/* Whatever it writes to is its own. */
		fixture_call_within(pair.fork, ends[i].symbol, NO_NUMBERS, scaled_ms(20));
		assert_int_equal(kvmsb_reset(pair.fork), 0);
		before = figures_of(pair.fork);
		fixture_call_within(pair.fork, ends[i].symbol, NO_NUMBERS, scaled_ms(20));
		print_message("%s\n", ends[i].symbol);
		CHECK_GAINED(&before, pair.fork, {ends[i].outcome, 1}, {COUNTER_calls, 1},
		             {ends[i].exit, ends[i].exit != COUNTER_calls});
		assert_int_equal(kvmsb_reset(pair.fork), 0);
	}
	unmake(pair);
}

static void out_of_memory_is_counted(void **unused)
{
	struct pair pair = make();
	struct figures before = figures_of(pair.fork), after;
	struct kvmsb_result result = fixture_call(pair.fork, "devour", NO_NUMBERS);

	(void)unused;
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	after = figures_of(pair.fork);
	assert_int_equal(gained(&before, &after, COUNTER_outcome_out_of_memory), 1);
	check_sums(after.own);
	check_sums(after.machine);
	unmake(pair);
}

/* The run of main() is the master's. */
static void a_run_is_counted(void **unused)
{
	struct pair pair = make();
	struct figures master = figures_of(pair.master);

	(void)unused;
	assert_int_equal(master.own[COUNTER_calls], 1);
	assert_int_equal(master.own[COUNTER_outcome_ready], 1);
	assert_int_equal(master.own[COUNTER_hypercalls], 1);
	assert_true(master.own[COUNTER_system_calls] > 0);
	assert_true(master.own[COUNTER_guest_ns] > 0);
	check_sums(master.own);
	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++)
		assert_int_equal(master.own[i], master.machine[i]);
	unmake(pair);
}

/* A call that could not even begin ended all the same. */
static void a_call_without_a_stack(void **unused)
{
	struct pair pair = make();
	uint64_t stack = fixture_value(pair.fork, "entry_stack", NO_NUMBERS) & PAGE_MASK;
	struct kvmsb_result result = fixture_call(pair.fork, "unmap_and_respond",
	                                          NUMBERS(stack - 0x10000, 0x11000));
	struct figures before = figures_of(pair.fork);

	(void)unused;
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_HYPERCALL);
	result = fixture_call(pair.fork, "work", NO_NUMBERS);
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_FAULTED);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 1}, {COUNTER_outcome_faulted, 1});
	unmake(pair);
}

static int plain_call(struct kvmsb *fork, uint64_t timeout_ns)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	call.symbol = "work";
	call.timeout_ns = timeout_ns;
	return kvmsb_vmcall(fork, &call, &result);
}

static void failures_of_the_host_are_counted(void **unused)
{
	struct pair pair = make();
	struct figures before = figures_of(pair.fork);

	(void)unused;
	kvm_run_error = EFAULT;
	assert_int_equal(plain_call(pair.fork, 0), -EFAULT);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 1}, {COUNTER_calls_failed, 1},
	             {COUNTER_failures, 1});
	/* What the caller did wrong is no call. */
	before = figures_of(pair.fork);
	assert_int_equal(plain_call(pair.fork, 0), -ESRCH);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 0});
	unmake(pair);
}

static void no_processor_in_time_is_counted(void **unused)
{
	struct kvmsb_options options = fixture_options(STATISTICS);
	struct vcpu_context context = {0};
	struct figures before, after;
	struct pair pair;
	struct vcpu *vcpu;

	(void)unused;
	options.vcpu_limit = 1;
	pair = make_with(&options);
	assert_int_equal(machine_vcpu_acquire(pair.fork->machine, &context,
	                                      time_now() + scaled_ms(1000), &vcpu),
	                 0);
	before = figures_of(pair.fork);
	assert_int_equal(plain_call(pair.fork, scaled_ms(20)), -ETIMEDOUT);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 1}, {COUNTER_calls_failed, 1});
	after = figures_of(pair.fork);
	assert_int_equal(gained(&before, &after, COUNTER_kvm_runs), 0);
	machine_vcpu_release(vcpu, NULL);
	unmake(pair);
}

/* From inside a function of the host: the run so far, whose end is to come. */

struct watch {
	struct kvmsb *fork;
	struct figures seen;
};

static int64_t watch(void *user, const void *data, size_t length)
{
	struct watch *watch = user;

	(void)data;
	if (watch->fork != NULL)
		watch->seen = figures_of(watch->fork);
	return (int64_t)length;
}

static void a_run_so_far(void **unused)
{
	struct kvmsb_options options = fixture_options(STATISTICS);
	struct watch watched = {0};
	struct figures before;
	struct pair pair;

	(void)unused;
	options.standard_output = (struct kvmsb_stream){.write = watch, .user = &watched};
	pair = make_with(&options);
	fixture_value(pair.fork, "say", NO_NUMBERS);
	watched.fork = pair.fork;
	before = figures_of(pair.fork);
	assert_int_equal(fixture_value(pair.fork, "say", NO_NUMBERS), 1);
	assert_int_equal(gained(&before, &watched.seen, COUNTER_kvm_runs), 1);
	assert_int_equal(gained(&before, &watched.seen, COUNTER_system_calls), 1);
	assert_int_equal(gained(&before, &watched.seen, COUNTER_calls), 0);
	assert_true(gained(&before, &watched.seen, COUNTER_guest_ns) > 0);
	CHECK_GAINED(&before, pair.fork, {COUNTER_calls, 1}, {COUNTER_system_calls, 1},
	             {COUNTER_outcome_returned, 1});
	watched.fork = NULL;
	unmake(pair);
}

/* Totals. */

static void add_own(uint64_t sums[COUNTERS_OF_SANDBOX], const struct kvmsb *sandbox)
{
	const struct figures figures = figures_of(sandbox);

	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++)
		sums[i] += figures.own[i];
}

static void check_totals(const uint64_t sums[COUNTERS_OF_SANDBOX], const struct kvmsb *sandbox)
{
	const struct figures figures = figures_of(sandbox);

	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++) {
		if (sums[i] != figures.machine[i])
			print_error("%s\n", names[i]);
		assert_int_equal(sums[i], figures.machine[i]);
	}
	check_sums(sums);
}

/* Those destroyed included, one that is over among them; also when a fork takes their place. */
static void totals_are_sums(void **unused)
{
	struct pair pair = make();
	uint64_t sums[COUNTERS_OF_SANDBOX] = {0};

	(void)unused;
	for (uint64_t i = 0; i < 20; i++) {
		struct kvmsb *fork = fixture_fork(pair.master);

		fixture_value(fork, "work", NUMBERS(i, 2, i + 1));
		if (i % 3 == 0)
			assert_int_equal(kvmsb_reset(fork), 0);
		if (i % 3 == 1)
			fixture_call(fork, "crash", NO_NUMBERS);
		if (i % 7 == 1)
			fixture_call(pair.fork, "respond", NO_NUMBERS);
		add_own(sums, fork);
		kvmsb_destroy(fork);
	}
	assert_int_equal(fixture_statistics(pair.master).machine_forks_made, 21);
	assert_int_equal(fixture_statistics(pair.master).machine_forks, 1);
	assert_true(fixture_statistics(pair.master).machine_forks_idle >= 1);
	add_own(sums, pair.fork);
	add_own(sums, pair.master);
	check_totals(sums, pair.master);
	assert_true(sums[COUNTER_pages_copied] > 0);
	assert_true(sums[COUNTER_pages_restored] > 0);
	unmake(pair);
}

/* A processor that was given up leaves what it counted. */
static void totals_outlive_processors(void **unused)
{
	struct kvmsb_options options = fixture_options(STATISTICS);
	uint64_t sums[COUNTERS_OF_SANDBOX] = {0};
	struct pair pair;

	(void)unused;
	options.vcpu_limit = 1;
	pair = make_with(&options);
	fixture_call_within(pair.fork, "spin", NO_NUMBERS, scaled_ms(20));
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	kvm_run_error = EFAULT;
	assert_true(plain_call(pair.fork, 0) < 0);
	assert_int_equal(fixture_statistics(pair.fork).machine_vcpus, 0);
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	fixture_value(pair.fork, "work", NUMBERS(2, 2, 2));
	add_own(sums, pair.fork);
	add_own(sums, pair.master);
	check_totals(sums, pair.fork);
	unmake(pair);
}

#define THREADS 2
#define ROUNDS 150

struct worker {
	struct kvmsb *master;
	pthread_t thread;
	uint64_t sums[COUNTERS_OF_SANDBOX];
	int failed;
};

/* Not in cmocka's thread: nothing is asserted here. */
static int work_once(struct kvmsb *fork)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	int failed;

	call.symbol = "work";
	call.argument_count = 3;
	call.arguments[0].value = 2;
	call.arguments[1].value = 1;
	call.arguments[2].value = 3;
	failed = kvmsb_vmcall(fork, &call, &result);
	return failed < 0 ? failed : kvmsb_reset(fork);
}

static void *work(void *context)
{
	struct worker *worker = context;

	for (int i = 0; i < ROUNDS && worker->failed == 0; i++) {
		struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
		struct kvmsb *fork;

		worker->failed = kvmsb_fork(worker->master, &fork, NULL);
		if (worker->failed < 0)
			break;
		for (int j = 0; j <= i % 3 && worker->failed == 0; j++)
			worker->failed = work_once(fork);
		if (worker->failed == 0)
			worker->failed = kvmsb_get_statistics(fork, &statistics);
#define ADD(name) worker->sums[COUNTER_##name] += statistics.name;
		SANDBOX_COUNTERS(ADD)
#undef ADD
		kvmsb_destroy(fork);
	}
	return NULL;
}

static void check_growing(const struct kvmsb *master, struct figures *last)
{
	const struct figures now = figures_of(master);

	for (unsigned i = 0; i < COUNTERS_OF_SANDBOX; i++)
		assert_true(now.machine[i] >= last->machine[i]);
	*last = now;
}

static void totals_of_threads_are_exact(void **unused)
{
	struct pair pair = make();
	struct worker workers[THREADS] = {0};
	uint64_t sums[COUNTERS_OF_SANDBOX] = {0};
	struct figures last = figures_of(pair.master);

	(void)unused;
	for (size_t i = 0; i < THREADS; i++) {
		workers[i].master = pair.master;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 2000; i++)
		check_growing(pair.master, &last);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].failed, 0);
		for (unsigned j = 0; j < COUNTERS_OF_SANDBOX; j++)
			sums[j] += workers[i].sums[j];
	}
	assert_int_equal(sums[COUNTER_calls], THREADS * ROUNDS * 2);
	assert_int_equal(sums[COUNTER_resets], THREADS * ROUNDS * 2);
	assert_int_equal(sums[COUNTER_system_calls], THREADS * ROUNDS * 4);
	assert_int_equal(sums[COUNTER_hypercalls], THREADS * ROUNDS * 2);
	add_own(sums, pair.fork);
	add_own(sums, pair.master);
	check_totals(sums, pair.master);
	assert_int_equal(fixture_statistics(pair.master).machine_forks_made, 1 + THREADS * ROUNDS);
	unmake(pair);
}

/* The last of these threads has the place of the first, and counts there at the same time. */

#define COUNTING_THREADS (MACHINE_COUNTERS_OF_THREADS + 1)
#define COUNTED_BY_THOSE 5000000u

struct counting {
	struct machine *machine;
	pthread_barrier_t two; /* of them, or one and the test */
	pthread_t threads[COUNTING_THREADS];
};

static void *count_once(void *context)
{
	struct counting *counting = context;

	machine_count(counting->machine, COUNTER_resets, 1);
	return NULL;
}

static void *count_often(void *context)
{
	struct counting *counting = context;

	pthread_barrier_wait(&counting->two);
	for (unsigned i = 1; i < COUNTED_BY_THOSE; i++)
		machine_count(counting->machine, COUNTER_resets, 1);
	return NULL;
}

static void *count_first(void *context)
{
	struct counting *counting = context;

	count_once(counting);
	/* Now the others may come. */
	pthread_barrier_wait(&counting->two);
	return count_often(counting);
}

static void *count_last(void *context)
{
	count_once(context);
	return count_often(context);
}

static void start(struct counting *counting, size_t number, void *(*function)(void *))
{
	assert_int_equal(pthread_create(&counting->threads[number], NULL, function, counting), 0);
}

static void threads_that_share_a_place(void **unused)
{
	struct pair pair = make();
	struct counting counting = {.machine = pair.master->machine};

	(void)unused;
	pthread_barrier_init(&counting.two, NULL, 2);
	start(&counting, 0, count_first);
	pthread_barrier_wait(&counting.two);
	for (size_t i = 1; i + 1 < COUNTING_THREADS; i++) {
		start(&counting, i, count_once);
		assert_int_equal(pthread_join(counting.threads[i], NULL), 0);
	}
	start(&counting, COUNTING_THREADS - 1, count_last);
	assert_int_equal(pthread_join(counting.threads[0], NULL), 0);
	assert_int_equal(pthread_join(counting.threads[COUNTING_THREADS - 1], NULL), 0);
	assert_int_equal(fixture_statistics(pair.master).machine_resets,
	                 COUNTING_THREADS - 2 + 2 * COUNTED_BY_THOSE);
	pthread_barrier_destroy(&counting.two);
	unmake(pair);
}

/* The struct. */

/* A caller's that is shorter is filled as far as it goes, a longer one's rest is left alone. */
static void structs_of_any_size(void **unused)
{
	struct {
		struct kvmsb_statistics known;
		uint8_t unknown[64];
	} statistics;
	const uint8_t *bytes = (const uint8_t *)&statistics;
	struct pair pair = make();

	(void)unused;
	fixture_value(pair.fork, "work", NUMBERS(1, 0, 0));
	for (size_t size = sizeof(size_t); size <= sizeof(statistics); size += sizeof(uint64_t)) {
		memset(&statistics, 0x5a, sizeof(statistics));
		statistics.known.size = size;
		assert_int_equal(kvmsb_get_statistics(pair.fork, &statistics.known), 0);
		assert_int_equal(statistics.known.size, size);
		for (size_t i = min_u64(size, sizeof(statistics.known)); i < sizeof(statistics); i++)
			assert_int_equal(bytes[i], 0x5a);
		if (size >= offsetof(struct kvmsb_statistics, hypercalls))
			assert_int_equal(statistics.known.system_calls, 1);
	}
	statistics.known.size = sizeof(size_t) - 1;
	assert_int_equal(kvmsb_get_statistics(pair.fork, &statistics.known), -EINVAL);
	statistics.known.size = SIZE_MAX;
	assert_int_equal(kvmsb_get_statistics(pair.fork, &statistics.known), -EINVAL);
	unmake(pair);
}

static void a_forked_host_gets_none(void **unused)
{
	struct pair pair = make();
	int status = -1;
	pid_t child = fork();

	(void)unused;
	if (child == 0) {
		struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
		int master = kvmsb_get_statistics(pair.master, &statistics);
		int fork = kvmsb_get_statistics(pair.fork, &statistics);

		_exit(master != -ECHILD || fork != -ECHILD || statistics.kvm_runs != 0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	unmake(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_are_counted_by_reason),
		cmocka_unit_test(a_processor_that_is_unclean),
		cmocka_unit_test(foreign_signals_are_interruptions),
		cmocka_unit_test(time_in_the_guest),
		cmocka_unit_test(outcomes_are_counted),
		cmocka_unit_test(out_of_memory_is_counted),
		cmocka_unit_test(a_run_is_counted),
		cmocka_unit_test(a_call_without_a_stack),
		cmocka_unit_test(failures_of_the_host_are_counted),
		cmocka_unit_test(no_processor_in_time_is_counted),
		cmocka_unit_test(a_run_so_far),
		cmocka_unit_test(totals_are_sums),
		cmocka_unit_test(totals_outlive_processors),
		cmocka_unit_test(totals_of_threads_are_exact),
		cmocka_unit_test(threads_that_share_a_place),
		cmocka_unit_test(structs_of_any_size),
		cmocka_unit_test(a_forked_host_gets_none),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
