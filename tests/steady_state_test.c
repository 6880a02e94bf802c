/* SPDX-License-Identifier: MIT */
/*
 * In steady state a call is one KVM_RUN and no other system call at all, and a
 * reset of a small working set is none. Counted in two independent ways: by
 * ptrace(2) of a process that does a thousand operations between two marks,
 * and by an ioctl() of our own in the place of libc's.
 *
 * The traced process is this program again: "--traced CASE ENTRY".
 */
#include "sandbox_fixture.h"
#include "response_body.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPERATIONS 1000
#define WARM_UP 5
/* No such system call: what the tracer looks for. */
#define MARK_NUMBER 0x4d41
#define WRITTEN_PAGES 16
#define OUTS 3
#define PROCESS_NUMBER 1000
/* No timer may fire in between: it is re-armed then, as it should be. */
#define TIME_LIMIT (UINT64_C(3600) * 1000000000u)

/* What is called, and what it is called on. */
struct subject {
	struct kvmsb *master;
	struct kvmsb *fork, *other;
	uint64_t empty, touch, add_up, get_pids_by_out;
	uint64_t kvm_runs, others_kvm_runs; /* by the results; of them the other fork's */
};

struct steady_case {
	const char *name;
	void (*operate)(struct subject *subject);
	unsigned kvm_runs; /* of one operation */
};

static void call(struct subject *subject, struct kvmsb *fork, struct kvmsb_call *what, uint64_t value)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	if (kvmsb_vmcall(fork, what, &result) < 0)
		fail_msg("kvmsb_vmcall: %s", kvmsb_detail(fork));
	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	if (value != 0)
		assert_int_equal(result.value, value);
	subject->kvm_runs += result.kvm_runs;
	if (fork == subject->other)
		subject->others_kvm_runs += result.kvm_runs;
}

static void call_empty(struct subject *subject, struct kvmsb *fork)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;

	what.address = subject->empty;
	call(subject, fork, &what, 0);
}

static void reset(struct subject *subject)
{
	assert_int_equal(kvmsb_reset(subject->fork), 0);
}

static void operate_call(struct subject *subject)
{
	call_empty(subject, subject->fork);
}

static void operate_buffers(struct subject *subject)
{
	static uint8_t input[256], output[sizeof(input)];
	struct kvmsb_call what = KVMSB_CALL_INIT;

	memset(input, 3, sizeof(input));
	memset(output, 0, sizeof(output));
	what.address = subject->add_up;
	what.argument_count = 3;
	what.arguments[0] = (struct kvmsb_argument){
		.kind = KVMSB_ARGUMENT_IN, .input = input, .length = sizeof(input)};
	what.arguments[1] = (struct kvmsb_argument){.value = sizeof(input)};
	what.arguments[2] = (struct kvmsb_argument){
		.kind = KVMSB_ARGUMENT_OUT, .output = output, .length = sizeof(output)};
	call(subject, subject->fork, &what, 3 * sizeof(input));
	assert_memory_equal(input, output, sizeof(input));
}

static void operate_turns(struct subject *subject)
{
	call_empty(subject, subject->fork);
	call_empty(subject, subject->other);
}

static void operate_reset_call(struct subject *subject)
{
	reset(subject);
	call_empty(subject, subject->fork);
}

/* The pages that it writes were 1 in the master: the sum says whether the reset was one. */
static void operate_reset_writes(struct subject *subject)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;

	reset(subject);
	what.address = subject->touch;
	what.argument_count = 2;
	what.arguments[1].value = WRITTEN_PAGES;
	call(subject, subject->fork, &what, WRITTEN_PAGES);
}

/* Each OUT of the guest is one more, also where KVM leaves RIP at it. */
static void operate_outs(struct subject *subject)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;

	what.address = subject->get_pids_by_out;
	what.argument_count = 1;
	what.arguments[0].value = OUTS;
	call(subject, subject->fork, &what, PROCESS_NUMBER);
}

static void operate_request(struct subject *subject)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	request.url = "/steady";
	if (kvmsb_request(subject->fork, &request, &response, &result) < 0)
		fail_msg("kvmsb_request: %s", kvmsb_detail(subject->fork));
	assert_outcome(subject->fork, &result, KVMSB_OUTCOME_HYPERCALL);
	assert_int_equal(response.status, 200);
	assert_true(body_is(&response, request.url, strlen(request.url)));
	subject->kvm_runs += result.kvm_runs;
}

static void operate_reset_request(struct subject *subject)
{
	reset(subject);
	operate_request(subject);
}

static const struct steady_case cases[] = {
	{"vmcall", operate_call, 1},
	{"vmcall with buffers", operate_buffers, 1},
	{"vmcall of two forks in turn", operate_turns, 2},
	{"reset and vmcall", operate_reset_call, 1},
	{"reset and vmcall that writes pages", operate_reset_writes, 1},
	{"vmcall that makes OUT hypercalls", operate_outs, 1 + OUTS},
	{"request", operate_request, 1},
	{"reset and request", operate_reset_request, 1},
};

static void open_subject(struct subject *subject, enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("bench-static"));

	options.run_timeout_ns = TIME_LIMIT;
	options.call_timeout_ns = TIME_LIMIT;
	options.entry = entry;
	subject->master = fixture_master(&options);
	subject->fork = fixture_fork(subject->master);
	subject->other = fixture_fork(subject->master);
	subject->empty = fixture_symbol(subject->master, "empty");
	subject->touch = fixture_symbol(subject->master, "touch");
	subject->add_up = fixture_symbol(subject->master, "add_up");
	subject->get_pids_by_out = fixture_symbol(subject->master, "get_pids_by_out");
}

static void close_subject(struct subject *subject)
{
	kvmsb_destroy(subject->other);
	kvmsb_destroy(subject->fork);
	kvmsb_destroy(subject->master);
}

static void warm_up(struct subject *subject, const struct steady_case *which)
{
	for (int i = 0; i < WARM_UP; i++)
		which->operate(subject);
	subject->kvm_runs = subject->others_kvm_runs = 0;
}

/* By ptrace. */

static void mark(void)
{
	syscall(MARK_NUMBER);
}

/* In the traced process, outside of any cmocka test: a failed assertion exits. */
static int be_traced(const struct steady_case *which, enum kvmsb_entry entry)
{
	struct subject subject = {0};

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		return CANNOT_RUN;
	open_subject(&subject, entry);
	warm_up(&subject, which);
	raise(SIGSTOP);
	mark();
	for (int i = 0; i < OPERATIONS; i++)
		which->operate(&subject);
	mark();
	_exit(0);
}

struct tally {
	unsigned marks;
	unsigned kvm_runs;
	unsigned others;
	char first_others[256];
};

static const char *system_call_name(uint64_t number)
{
	static const struct {
		long number;
		const char *name;
	} names[] = {
		{SYS_read, "read"},
		{SYS_write, "write"},
		{SYS_mmap, "mmap"},
		{SYS_munmap, "munmap"},
		{SYS_mprotect, "mprotect"},
		{SYS_madvise, "madvise"},
		{SYS_brk, "brk"},
		{SYS_ioctl, "ioctl"},
		{SYS_futex, "futex"},
		{SYS_gettid, "gettid"},
		{SYS_clock_gettime, "clock_gettime"},
		{SYS_rt_sigprocmask, "rt_sigprocmask"},
		{SYS_rt_sigtimedwait, "rt_sigtimedwait"},
		{SYS_timer_create, "timer_create"},
		{SYS_timer_settime, "timer_settime"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if ((uint64_t)names[i].number == number)
			return names[i].name;
	return "system call";
}

static void count_entry(struct tally *tally, const struct user_regs_struct *registers)
{
	size_t used = strlen(tally->first_others);

	if (registers->orig_rax == MARK_NUMBER) {
		tally->marks++;
		return;
	}
	if (tally->marks != 1)
		return;
	if (registers->orig_rax == SYS_ioctl && registers->rsi == KVM_RUN) {
		tally->kvm_runs++;
		return;
	}
	tally->others++;
	snprintf(tally->first_others + used, sizeof(tally->first_others) - used, " %s(%llu, %#llx)",
	         system_call_name(registers->orig_rax), registers->orig_rax, registers->rsi);
}

/* From the stop before the first mark to the process's end: its wait status. */
static int trace(pid_t child, struct tally *tally)
{
	struct user_regs_struct registers;
	int status, entering = 1;

	ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSTOPPED(status))
			return status;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (entering) {
			assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
			count_entry(tally, &registers);
		}
		entering = !entering;
	}
}

static pid_t start_traced(size_t number, enum kvmsb_entry entry)
{
	char case_text[16], entry_text[16];
	pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0)
		return child;
	snprintf(case_text, sizeof(case_text), "%zu", number);
	snprintf(entry_text, sizeof(entry_text), "%d", (int)entry);
	/*
	 * A sanitizer's own system calls are not the library's: no search for leaks, which
	 * ptrace would end, and no quarantine, which maps memory all the time.
	 */
	setenv("ASAN_OPTIONS",
	       "detect_leaks=0:quarantine_size_mb=0:thread_local_quarantine_size_kb=0", 1);
	execl("/proc/self/exe", "steady_state_test", "--traced", case_text, entry_text, (char *)NULL);
	_exit(126);
}

static void check_traced(size_t number, enum kvmsb_entry entry)
{
	struct tally tally = {0};
	pid_t child = start_traced(number, entry);
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSTOPPED(status))
		fail_msg("%s: the traced process ended early, status %#x", cases[number].name,
		         status);
	status = trace(child, &tally);
	if (status != 0)
		fail_msg("%s: the traced process ended with status %#x", cases[number].name, status);
	print_message("%s, %s: %u KVM_RUN and %u other system calls in %d operations%s\n",
	              cases[number].name, fixture_entry_name(entry), tally.kvm_runs, tally.others,
	              OPERATIONS, tally.first_others);
	assert_int_equal(tally.marks, 2);
	assert_int_equal(tally.others, 0);
	assert_int_equal(tally.kvm_runs, OPERATIONS * cases[number].kvm_runs);
}

static void test_traced(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_traced(i, KVMSB_ENTRY_AUTOMATIC);
}

/* By an ioctl() of our own. */

static uint64_t ioctls, ioctls_kvm_run;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	ioctls++;
	ioctls_kvm_run += request == KVM_RUN;
	return __real_ioctl(fd, request, argument);
}

static void check_wrapped(const struct steady_case *which, enum kvmsb_entry entry)
{
	struct subject subject = {0};
	struct kvmsb_statistics before, after;

	open_subject(&subject, entry);
	warm_up(&subject, which);
	before = fixture_statistics(subject.fork);
	ioctls = ioctls_kvm_run = 0;
	for (int i = 0; i < OPERATIONS; i++)
		which->operate(&subject);
	after = fixture_statistics(subject.fork);
	print_message("%s, %s: %lu ioctls, %lu of them KVM_RUN\n", which->name,
	              fixture_entry_name(entry), (unsigned long)ioctls,
	              (unsigned long)ioctls_kvm_run);
	assert_int_equal(ioctls_kvm_run, OPERATIONS * which->kvm_runs);
	assert_int_equal(ioctls, ioctls_kvm_run);
	/* What the library itself says of it. */
	assert_int_equal(subject.kvm_runs, ioctls_kvm_run);
	assert_int_equal(after.kvm_runs - before.kvm_runs, ioctls_kvm_run - subject.others_kvm_runs);
	assert_int_equal(after.machine_drains, before.machine_drains);
	assert_int_equal(after.page_faults, before.page_faults);
	close_subject(&subject);
}

static void test_wrapped(void **state)
{
	(void)state;
	for (size_t entry = 0; entry < ARRAY_SIZE(fixture_entries); entry++) {
		if (!fixture_entry_possible(fixture_entries[entry]))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			check_wrapped(&cases[i], fixture_entries[entry]);
	}
}

/* A fork settles at once: how many KVM_RUN calls its first operations take. */
static void test_settles(void **state)
{
	struct subject subject = {0};

	(void)state;
	open_subject(&subject, KVMSB_ENTRY_AUTOMATIC);
	for (int i = 0; i < WARM_UP; i++) {
		uint64_t before = subject.kvm_runs;

		operate_reset_writes(&subject);
		print_message("operation %d: %lu KVM_RUN\n", i + 1,
		              (unsigned long)(subject.kvm_runs - before));
		if (i > 0)
			assert_int_equal(subject.kvm_runs - before, 1);
	}
	close_subject(&subject);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_settles),
	};

	if (argc == 4 && strcmp(argv[1], "--traced") == 0)
		return be_traced(&cases[strtoul(argv[2], NULL, 10) % ARRAY_SIZE(cases)],
		                 (enum kvmsb_entry)strtol(argv[3], NULL, 10));
	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
