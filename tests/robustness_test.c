/* SPDX-License-Identifier: MIT */
/*
 * What a hostile guest, an unlucky host or a careless caller does to the core
 * stays where it belongs: with that guest, that call. A fork(2) beside waiting
 * threads, limits across resets, numbers that wrap, memory that nobody
 * accounts for, KVM's failures, sizes never set.
 */
#include "sandbox_fixture.h"

#include "proc_bytes.h"
#include "sandbox.h"
#include "sanitized.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMITS GUEST("limits-static")
#define SECOND UINT64_C(1000000000)
#define MEBIBYTE (UINT64_C(1) << 20)
#define BUFFER_SIZE 65536
#define SMALL_LIMIT (2 * MEBIBYTE)
/* Pages of one edit that is made known by moving tables. */
#define MANY 512
#define CHILD_SKIPS 2
/* More than fit into 24 MiB. */
#define MOST_FORKS 4000

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* The next ioctl() of that request fails. */

static _Atomic unsigned long failing_request;
static int failing_errno;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	unsigned long expected = request;

	if (!atomic_compare_exchange_strong(&failing_request, &expected, 0))
		return __real_ioctl(fd, request, argument);
	errno = failing_errno;
	return -1;
}

static void fail_next(unsigned long request, int code)
{
	failing_errno = code;
	failing_request = request;
}

/* True if it has failed; it does no more. */
static bool has_failed(void)
{
	return atomic_exchange(&failing_request, 0) == 0;
}

static int end_well(void **state)
{
	failing_request = 0;
	return fixture_end_well(state);
}

struct pair {
	struct kvmsb *master, *fork;
};

static struct pair make_with(const struct kvmsb_options *options)
{
	struct pair pair = {.master = fixture_master(options)};

	pair.fork = fixture_fork(pair.master);
	return pair;
}

static struct pair make(void)
{
	const struct kvmsb_options options = fixture_options(LIMITS);

	return make_with(&options);
}

static void unmake(struct pair pair)
{
	kvmsb_destroy(pair.fork);
	kvmsb_destroy(pair.master);
}

static bool has_shadow(const struct pair *pair)
{
	return pair->master->machine->host->shadow_paging;
}

static void check_works(struct kvmsb *fork)
{
	assert_int_equal(fixture_value(fork, "one", NO_NUMBERS), 1);
}

/* For threads and child processes: without cmocka. */
static int plain_call(struct kvmsb *sandbox, const char *symbol, uint64_t number,
                      uint64_t timeout_ns, struct kvmsb_result *result)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;

	*result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	call.symbol = symbol;
	call.argument_count = 1;
	call.arguments[0].value = number;
	call.timeout_ns = timeout_ns;
	return kvmsb_vmcall(sandbox, &call, result);
}

/* Waiting for a virtual processor. */

struct caller {
	struct kvmsb *fork;
	const char *symbol;
	uint64_t timeout_ns, duration_ns;
	pthread_t thread;
	struct kvmsb_result result;
	int failed;
};

static void *call_it(void *context)
{
	struct caller *caller = context;
	uint64_t start = now();

	caller->failed = plain_call(caller->fork, caller->symbol, 0, caller->timeout_ns,
	                            &caller->result);
	caller->duration_ns = now() - start;
	return NULL;
}

static void begin_call(struct caller *caller)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	assert_int_equal(pthread_create(&caller->thread, NULL, call_it, caller), 0);
	for (unsigned i = 0; i < time_scale(); i++)
		nanosleep(&pause, NULL);
}

static struct kvmsb *make_narrow(void)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	options.vcpu_limit = 1;
	return fixture_master(&options);
}

/* In a child of fork(2), which has neither the threads nor what they wait for. */
static int destroy_in_child(struct kvmsb *const *sandboxes, size_t count)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		alarm(5 * time_scale());
		for (size_t i = 0; i < count; i++)
			kvmsb_destroy(sandboxes[i]);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_child_destroys_beside_a_waiter(void **unused)
{
	struct kvmsb *master = make_narrow();
	struct caller runs = {
		.fork = fixture_fork(master), .symbol = "spin", .timeout_ns = scaled_ms(300)};
	struct caller waits = {
		.fork = fixture_fork(master), .symbol = "one", .timeout_ns = scaled_ms(9000)};
	struct kvmsb *const sandboxes[] = {runs.fork, waits.fork, master};

	(void)unused;
	begin_call(&runs);
	begin_call(&waits);
	assert_int_equal(destroy_in_child(sandboxes, ARRAY_SIZE(sandboxes)), 0);
	pthread_join(runs.thread, NULL);
	pthread_join(waits.thread, NULL);
	assert_int_equal(waits.failed, 0);
	assert_outcome(waits.fork, &waits.result, KVMSB_OUTCOME_RETURNED);
	for (size_t i = 0; i < ARRAY_SIZE(sandboxes); i++)
		kvmsb_destroy(sandboxes[i]);
}

/* The one that is woken fails to take the processor: the other is woken then. */
static void a_failing_waiter_wakes_the_next(void **unused)
{
	struct kvmsb *master = make_narrow();
	struct caller runs = {
		.fork = fixture_fork(master), .symbol = "spin", .timeout_ns = scaled_ms(200)};
	struct caller waits[2];
	unsigned failures = 0;

	(void)unused;
	begin_call(&runs);
	fail_next(KVM_SET_SIGNAL_MASK, EIO);
	for (size_t i = 0; i < 2; i++) {
		waits[i] = (struct caller){.fork = fixture_fork(master),
		                           .symbol = "one",
		                           .timeout_ns = scaled_ms(4000)};
		begin_call(&waits[i]);
	}
	pthread_join(runs.thread, NULL);
	for (size_t i = 0; i < 2; i++)
		pthread_join(waits[i].thread, NULL);
	for (size_t i = 0; i < 2; i++) {
		failures += waits[i].failed == -EIO;
		assert_true(waits[i].failed == 0 || waits[i].failed == -EIO);
		assert_true(waits[i].duration_ns < scaled_ms(2000));
		kvmsb_destroy(waits[i].fork);
	}
	assert_int_equal(failures, 1);
	kvmsb_destroy(runs.fork);
	kvmsb_destroy(master);
}

/* Another thread's is idle: that will do. */
static void a_processor_that_cannot_be_made(void **unused)
{
	struct pair pair = make();
	struct caller other = {.fork = pair.fork, .symbol = "one", .timeout_ns = scaled_ms(4000)};

	(void)unused;
	check_works(pair.fork);
	fail_next(KVM_CREATE_VCPU, ENOMEM);
	begin_call(&other);
	pthread_join(other.thread, NULL);
	assert_true(has_failed());
	assert_int_equal(other.failed, 0);
	assert_outcome(pair.fork, &other.result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(fixture_statistics(pair.fork).machine_vcpus, 1);
	unmake(pair);
}

/* Memory. */

/* What one request touched does not count against the next one's limit. */
static void a_request_does_not_starve_the_next(void **unused)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	const struct numbers pages = NUMBERS(1200);
	struct pair pair;

	(void)unused;
	options.fork_memory_limit = 8 * MEBIBYTE;
	pair = make_with(&options);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_value(pair.fork, "touch_a", pages), 1200);
		assert_int_equal(kvmsb_reset(pair.fork), 0);
		assert_int_equal(fixture_value(pair.fork, "touch_b", pages), 1200);
		assert_int_equal(kvmsb_reset(pair.fork), 0);
	}
	unmake(pair);
}

/* After 2^32 forks a fork is not taken for its master. */
static void serial_numbers_do_not_wrap(void **unused)
{
	struct pair pair = make();
	struct machine *machine = pair.master->machine;
	struct kvmsb *late;

	(void)unused;
	machine->next_serial = (UINT64_C(1) << 32) + pair.master->space->translations.serial;
	late = fixture_fork(pair.master);
	assert_int_not_equal(late->space->translations.serial,
	                     pair.master->space->translations.serial);
	assert_int_equal(fixture_value(late, "unmap_marked", NO_NUMBERS), 0);
	assert_int_equal(fixture_value(pair.fork, "peek_marked", NO_NUMBERS), 5);
	assert_int_equal(kvmsb_reset(late), 0);
	assert_int_equal(fixture_value(late, "peek_marked", NO_NUMBERS), 5);
	kvmsb_destroy(late);
	unmake(pair);
}

static uint64_t counted_pages(const struct pair *pair)
{
	return fixture_statistics(pair->master).machine_memory >> PAGE_SHIFT;
}

/* Tables that wait for a drop of the shadow have an end, and are counted. */
static void waiting_tables_are_bounded(void **unused)
{
	const char *const arguments[] = {"limits", "1500", NULL};
	const uint64_t regions = 1500;
	struct kvmsb_options options = fixture_options(LIMITS);
	uint64_t counted, waiting, more;
	struct pair pair;

	(void)unused;
	options.arguments = arguments;
	options.memory_limit = 1024 * MEBIBYTE;
	pair = make_with(&options);
	counted = counted_pages(&pair);
	waiting = memory_quarantined(&pair.master->machine->memory);
	assert_int_equal(fixture_value(pair.fork, "touch_sparse", NO_NUMBERS), regions);
	more = memory_quarantined(&pair.master->machine->memory);
	print_message("%lu tables wait, %lu before\n", (unsigned long)more, (unsigned long)waiting);
	assert_true(more <= 4096);
	/* A page and a table in each region. */
	assert_true(counted_pages(&pair) + waiting >= counted + 2 * regions + more);
	unmake(pair);
}

/* What destroyed forks left is there for those that live. */
static void kept_memory_is_given_back(void **unused)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct kvmsb *forks[300], *master;
	size_t count = 0;
	struct pair pair;

	(void)unused;
	options.total_fork_memory = 16 * MEBIBYTE;
	options.memory_limit = 16 * MEBIBYTE;
	options.fork_memory_limit = 8 * MEBIBYTE;
	master = fixture_master(&options);
	while (count < ARRAY_SIZE(forks) && kvmsb_fork(master, &forks[count], NULL) == 0) {
		struct kvmsb_result result = fixture_call(forks[count++], "touch_a", NUMBERS(50));

		if (result.outcome != KVMSB_OUTCOME_RETURNED)
			break;
	}
	assert_true(count < ARRAY_SIZE(forks));
	for (size_t i = 0; i < count; i++)
		kvmsb_destroy(forks[i]);
	pair = (struct pair){.master = master, .fork = fixture_fork(master)};
	assert_int_equal(fixture_value(pair.fork, "touch_b", NUMBERS(1500)), 1500);
	unmake(pair);
}

/* Whether locked memory can be given back here: since Linux 5.18. */
static bool locked_memory_works(void)
{
	const int dontneed_locked = 24;
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                  0);

	return page != MAP_FAILED && mlock(page, PAGE_SIZE) == 0 &&
	       madvise(page, PAGE_SIZE, dontneed_locked) == 0;
}

/* More pages than there are, in turns; 0 when each turn had its own. */
static int take_turns(void)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct kvmsb *master = NULL, *fork = NULL;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	options.total_fork_memory = 16 * MEBIBYTE;
	options.memory_limit = 16 * MEBIBYTE;
	options.fork_memory_limit = 8 * MEBIBYTE;
	if (kvmsb_create(&master, &options, NULL) < 0 || kvmsb_run(master, &result) < 0 ||
	    kvmsb_freeze(master) < 0 || kvmsb_fork(master, &fork, NULL) < 0)
		return 10;
	if (mlockall(MCL_CURRENT | MCL_ONFAULT) < 0)
		return CHILD_SKIPS;
	for (int i = 0; i < 14; i++) {
		if (plain_call(fork, "touch_new", 1000, 0, &result) < 0 ||
		    result.outcome != KVMSB_OUTCOME_RETURNED)
			return 20 + i;
		if (kvmsb_reset(fork) < 0)
			return 11;
	}
	return 0;
}

/* In a process of its own: the lock is the whole process's. */
static void locked_memory_is_given_back(void **unused)
{
	pid_t child = fork();
	int status = -1;

	(void)unused;
	if (child == 0) {
		alarm(20 * time_scale());
		_exit(locked_memory_works() ? take_turns() : CHILD_SKIPS);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		print_message("not tested: memory cannot be locked here\n");
	else
		assert_int_equal(status, 0);
}

/* What a guest does to its own stack of calls is an outcome. */

/* A host that has no memory left. */

static bool returns_one(struct kvmsb *fork)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	return plain_call(fork, "one", 0, 0, &result) == 0 &&
	       result.outcome == KVMSB_OUTCOME_RETURNED && result.value == 1;
}

/* Bytes of private memory that may be written: what RLIMIT_DATA limits. */
static uint64_t data_bytes(void)
{
	static const char *const names[] = {"VmData:", NULL};

	return proc_bytes("/proc/self/status", names);
}

static bool limit_data(uint64_t more)
{
	const struct rlimit limit = {.rlim_cur = data_bytes() + more, .rlim_max = RLIM_INFINITY};

	return setrlimit(RLIMIT_DATA, &limit) == 0;
}

/* Forks that have each run, until there is no memory for another. Returns how many. */
static size_t fork_until_full(struct kvmsb *master, struct kvmsb **forks, size_t most, int *code)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	size_t made = 0;

	for (*code = 0; made < most; made++) {
		*code = kvmsb_fork(master, &forks[made], NULL);
		if (*code < 0)
			break;
		*code = plain_call(forks[made], "one", 0, 0, &result);
		/* The page that it writes first may be the one that is not there. */
		if (*code < 0 || result.outcome != KVMSB_OUTCOME_RETURNED) {
			kvmsb_destroy(forks[made]);
			*code = *code == 0 && result.outcome == KVMSB_OUTCOME_OUT_OF_MEMORY ? -ENOMEM
			                                                                    : *code;
			break;
		}
	}
	return made;
}

static void destroy_some(struct kvmsb **forks, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		kvmsb_destroy(forks[i]);
}

/* 0 if all that were there go on, and half of them leave room for as many. */
static int fill_the_host(struct kvmsb *master)
{
	static struct kvmsb *forks[MOST_FORKS];
	int code;
	size_t made = fork_until_full(master, forks, MOST_FORKS, &code), again;

	if (code != -ENOMEM || made < 100 || kvmsb_reserve(master, MOST_FORKS) != -ENOMEM)
		return 20;
	for (size_t i = 0; i < made; i++)
		if (!returns_one(forks[i]))
			return 21;
	destroy_some(forks, made / 2, made);
	again = made / 2 + fork_until_full(master, forks + made / 2, MOST_FORKS - made / 2, &code);
	if (code != -ENOMEM || again < made - 8)
		return 22;
	if (!limit_data(256 * MEBIBYTE) || kvmsb_reserve(master, MOST_FORKS) != 0)
		return 23;
	again += fork_until_full(master, forks + again, MOST_FORKS - again, &code);
	if (code != 0 || again != MOST_FORKS)
		return 24;
	destroy_some(forks, 0, again);
	kvmsb_destroy(master);
	return 0;
}

static int run_out_of_memory(void)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct kvmsb *master = NULL;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	/* The sanitizer ends the process when there is no memory for itself. */
	if (SANITIZED)
		return CHILD_SKIPS;
	if (kvmsb_create(&master, &options, NULL) < 0 || kvmsb_run(master, &result) < 0 ||
	    kvmsb_freeze(master) < 0)
		return 10;
	return limit_data(24 * MEBIBYTE) ? fill_the_host(master) : CHILD_SKIPS;
}

/* In a process of its own, whose address space for data ends. */
static void no_memory_of_the_host_is_left(void **unused)
{
	pid_t child = fork();
	int status = -1;

	(void)unused;
	if (child == 0) {
		alarm(60 * time_scale());
		_exit(run_out_of_memory());
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		print_message("not tested: no limit can be set here\n");
	else
		assert_int_equal(status, 0);
}

static void the_stack_of_calls_is_gone(void **unused)
{
	struct pair pair = make();
	struct kvmsb_result result;

	(void)unused;
	assert_int_equal(fixture_value(pair.fork, "drop_stack", NO_NUMBERS), 7);
	result = fixture_call(pair.fork, "one", NO_NUMBERS);
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.vector, 14);
	assert_string_not_equal(kvmsb_detail(pair.fork), "");
	assert_int_equal(plain_call(pair.fork, "one", 0, 0, &result), -ESRCH);
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	check_works(pair.fork);
	unmake(pair);
}

/* A call with a buffer for its result, filled with ones before. */
static struct kvmsb_result call_with_buffer(struct kvmsb *sandbox, const char *symbol, uint8_t *buffer)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;

	memset(buffer, 1, BUFFER_SIZE);
	call.symbol = symbol;
	call.argument_count = 3;
	call.arguments[0] = (struct kvmsb_argument){
		.kind = KVMSB_ARGUMENT_INOUT, .output = buffer, .length = BUFFER_SIZE};
	call.arguments[1].value = BUFFER_SIZE;
	call.arguments[2].value = SMALL_LIMIT / PAGE_SIZE;
	assert_int_equal(kvmsb_vmcall(sandbox, &call, &result), 0);
	return result;
}

static struct pair make_small(void)
{
	struct kvmsb_options options = fixture_options(LIMITS);

	options.fork_memory_limit = SMALL_LIMIT;
	return make_with(&options);
}

static void no_memory_for_arguments(void **unused)
{
	static uint8_t buffer[BUFFER_SIZE];
	struct pair pair = make_small();
	struct kvmsb_result result;

	(void)unused;
	fixture_value(pair.fork, "eat", NUMBERS(SMALL_LIMIT / PAGE_SIZE));
	result = call_with_buffer(pair.fork, "one", buffer);
	assert_outcome(pair.fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	assert_int_equal(plain_call(pair.fork, "one", 0, 0, &result), -ESRCH);
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	check_works(pair.fork);
	unmake(pair);
}

/* What cannot be read back is zeros; nothing of before is left. */
static void results_are_gone(void **unused)
{
	static const char *const symbols[] = {"lose_buffer", "starve_buffer"};
	static const uint8_t zeros[BUFFER_SIZE];
	static uint8_t buffer[BUFFER_SIZE];
	struct pair pair = make_small();

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		struct kvmsb_result result = call_with_buffer(pair.fork, symbols[i], buffer);

		assert_outcome(pair.fork, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, 0);
		assert_memory_equal(buffer, zeros, sizeof(buffer));
		assert_int_equal(kvmsb_reset(pair.fork), 0);
	}
	unmake(pair);
}

/* KVM fails. */

/* An edit that processors cannot be told of: the guest does not go on with old translations. */
static void an_edit_that_is_not_known(void **unused)
{
	const struct numbers pages = NUMBERS(MANY);
	struct pair pair = make();
	struct kvmsb_result result;
	uint64_t limit;

	(void)unused;
	assert_int_equal(fixture_value(pair.fork, "touch_a", pages), MANY);
	/* No table can be had, so that all must be dropped. */
	limit = pair.fork->space->page_limit;
	pair.fork->space->page_limit = 0;
	fail_next(KVM_SET_USER_MEMORY_REGION, ENOMEM);
	result = fixture_call(pair.fork, "protect_a", pages);
	pair.fork->space->page_limit = limit;
	assert_int_equal(has_failed(), has_shadow(&pair));
	if (has_shadow(&pair)) {
		assert_outcome(pair.fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
		assert_string_not_equal(kvmsb_detail(pair.fork), "");
		assert_int_equal(plain_call(pair.fork, "one", 0, 0, &result), -ESRCH);
	}
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	assert_int_equal(fixture_value(pair.fork, "touch_a", pages), MANY);
	unmake(pair);
}

/* A processor that failed is set up again, and takes the next call without a detour. */
static void a_failed_entry_leaves_nothing(void **unused)
{
	struct pair pair = make();
	struct kvmsb_statistics before, after;
	struct kvmsb_result result;

	(void)unused;
	check_works(pair.fork);
	fail_next(KVM_RUN, EFAULT);
	assert_int_equal(plain_call(pair.fork, "one", 0, 0, &result), -EFAULT);
	assert_true(has_failed());
	assert_int_equal(kvmsb_reset(pair.fork), 0);
	before = fixture_statistics(pair.fork);
	check_works(pair.fork);
	after = fixture_statistics(pair.fork);
	assert_int_equal(after.page_faults, before.page_faults);
	unmake(pair);
}

/* One that cannot be cleaned is given up, and makes room for another. */
static void a_broken_processor_is_replaced(void **unused)
{
	struct kvmsb_options options = fixture_options(LIMITS);
	struct kvmsb_result result;
	struct pair pair;

	(void)unused;
	options.vcpu_limit = 1;
	pair = make_with(&options);
	for (int i = 0; i < 3; i++) {
		result = fixture_call_within(pair.fork, "spin", NO_NUMBERS, scaled_ms(30));
		assert_outcome(pair.fork, &result, KVMSB_OUTCOME_TIMED_OUT);
		assert_int_equal(kvmsb_reset(pair.fork), 0);
		fail_next(KVM_RUN, EFAULT);
		assert_true(plain_call(pair.fork, "one", 0, 0, &result) < 0);
		assert_true(has_failed());
		assert_int_equal(fixture_statistics(pair.fork).machine_vcpus, 0);
		assert_int_equal(kvmsb_reset(pair.fork), 0);
		check_works(pair.fork);
	}
	unmake(pair);
}

/* Upper-half bases are canonical: ring 3 may have them. */
static void bases_in_the_upper_half(void **unused)
{
	const uint64_t base = UINT64_C(0xffff900000000000);
	struct pair pair = make();
	struct kvmsb_result result;

	(void)unused;
	result = fixture_call(pair.fork, "keep_gs_base", NUMBERS(base));
	if (result.outcome == KVMSB_OUTCOME_FAULTED && result.fault.vector == 6) {
		print_message("not tested: no WRGSBASE here\n");
	} else {
		assert_outcome(pair.fork, &result, KVMSB_OUTCOME_RETURNED);
		assert_int_equal(result.value, base);
	}
	unmake(pair);
}

/* Callers' structs. */

static void a_result_without_a_size(void **unused)
{
	const struct kvmsb_options options = fixture_options(LIMITS);
	struct kvmsb *sandbox = fixture_create(&options);
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = {0};

	(void)unused;
	assert_int_equal(kvmsb_run(sandbox, &result), -EINVAL);
	result.size = SIZE_MAX;
	assert_int_equal(kvmsb_run(sandbox, &result), -EINVAL);
	result.size = sizeof(result);
	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	assert_outcome(sandbox, &result, KVMSB_OUTCOME_READY);
	call.symbol = "touch_a";
	call.argument_count = 1;
	call.arguments[0].value = 3;
	result.size = 0;
	assert_int_equal(kvmsb_vmcall(sandbox, &call, &result), -EINVAL);
	assert_int_equal(fixture_statistics(sandbox).calls, 1);
	kvmsb_destroy(sandbox);
}

static void a_response_without_a_size(void **unused)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = {0};
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct pair pair = make();

	(void)unused;
	request.url = "/";
	assert_int_equal(kvmsb_request(pair.fork, &request, &response, &result), -EINVAL);
	assert_int_equal(fixture_statistics(pair.fork).calls, 0);
	response.size = sizeof(response);
	assert_int_equal(kvmsb_request(pair.fork, &request, &response, &result), 0);
	assert_int_equal(response.status, 200);
	unmake(pair);
}

static int64_t destroy_it(void *user, const void *data, size_t length)
{
	struct kvmsb **sandbox = user;

	(void)data;
	kvmsb_destroy(*sandbox);
	return (int64_t)length;
}

/* Its memory goes with it: no response points there. */
static void destroyed_while_it_responds(void **unused)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_options options = fixture_options(LIMITS);
	struct pair pair;

	(void)unused;
	options.standard_output = (struct kvmsb_stream){.write = destroy_it, .user = &pair.fork};
	pair = make_with(&options);
	request.url = "/";
	assert_int_equal(kvmsb_request(pair.fork, &request, &response, &result), -ECANCELED);
	assert_int_equal(response.status, 0);
	assert_int_equal(response.body_count, 0);
	assert_null(response.body);
	assert_null(response.content_type);
	assert_null(response.fields);
	kvmsb_destroy(pair.master);
}

/* An in-struct at the end of what can be read, with a size that was never set. */
static void a_size_of_garbage_is_not_read(void **unused)
{
	static const size_t sizes[] = {SIZE_MAX, UINT64_C(1) << 40, 1000000};
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	uint8_t *pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
	                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *place = pages + PAGE_SIZE - sizeof(struct kvmsb_options);

	(void)unused;
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kvmsb_options options = fixture_options(LIMITS);
		struct kvmsb *sandbox = NULL;

		options.size = sizes[i];
		memcpy(place, &options, sizeof(options));
		assert_int_equal(kvmsb_create(&sandbox, (const void *)place, &error), -E2BIG);
	}
	munmap(pages, 2 * PAGE_SIZE);
}

#define LIMITED(test) cmocka_unit_test_setup_teardown(test, fixture_end_hangs, end_well)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITED(a_child_destroys_beside_a_waiter),
		LIMITED(a_failing_waiter_wakes_the_next),
		LIMITED(a_processor_that_cannot_be_made),
		LIMITED(a_request_does_not_starve_the_next),
		LIMITED(serial_numbers_do_not_wrap),
		LIMITED(waiting_tables_are_bounded),
		LIMITED(kept_memory_is_given_back),
		LIMITED(locked_memory_is_given_back),
		LIMITED(the_stack_of_calls_is_gone),
		LIMITED(no_memory_for_arguments),
		LIMITED(results_are_gone),
		LIMITED(an_edit_that_is_not_known),
		LIMITED(a_failed_entry_leaves_nothing),
		LIMITED(a_broken_processor_is_replaced),
		LIMITED(bases_in_the_upper_half),
		LIMITED(no_memory_of_the_host_is_left),
		LIMITED(a_result_without_a_size),
		LIMITED(a_response_without_a_size),
		LIMITED(destroyed_while_it_responds),
		LIMITED(a_size_of_garbage_is_not_read),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
