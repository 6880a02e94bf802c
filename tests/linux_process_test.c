/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls, the dispatcher, traces, and the handlers of
 * processes, signals, time and waiting; every handler with hostile arguments.
 */
#include "fake_guest.h"

#include "linux/deadline.h"
#include "linux/dispatch.h"
#include "linux/files.h"
#include "linux/policy.h"
#include "linux/signals.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <layout.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define AT (FAKE_START + PAGE_SIZE)
#define AT_2 (FAKE_START + 2 * PAGE_SIZE)
#define AT_3 (FAKE_START + 3 * PAGE_SIZE)

struct trace_record {
	unsigned count;
	char text[1024];
	int64_t result;
	uint64_t number;
	int finished;
};

static void record(void *user, const struct kvmsb_trace_event *event)
{
	struct trace_record *trace = user;

	assert_int_equal(event->size, sizeof(*event));
	assert_non_null(event->name);
	assert_int_equal(strncmp(event->text, event->name, strlen(event->name)), 0);
	trace->count++;
	snprintf(trace->text, sizeof(trace->text), "%s", event->text);
	trace->result = event->result;
	trace->number = event->number;
	trace->finished = event->finished;
}

struct fixture {
	struct fake_guest guest;
	struct process_config config;
	struct trace_record trace;
};

static char program[] = "/bin/tool", directory[] = "/";

static void config_set(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->config.program = program;
	fixture->config.directory = directory;
	fixture->config.stack_size = 1 << 20;
	fixture->config.memory_limit = 64 << 20;
}

static int set_up(void **state)
{
	struct fixture *fixture = malloc(sizeof(*fixture));

	assert_non_null(fixture);
	config_set(fixture);
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int set_up_traced(void **state)
{
	struct fixture *fixture;

	set_up(state);
	fixture = *state;
	fixture->config.trace = record;
	fixture->config.trace_user = &fixture->trace;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fake_guest_destroy(&fixture->guest);
	free(fixture);
	return 0;
}

static struct fake_guest *guest_of(void **state)
{
	return &((struct fixture *)*state)->guest;
}

/*
 * The table.
 */

static const struct {
	uint32_t number;
	const char *name;
	const char *handler;
	int support;
	const char *format;
	const char *note;
} rows[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note)                                  \
	{number, #name, #handler, support, format, note},
#include "linux/syscalls.def"
#undef SYSTEM_CALL
};

static void test_numbers_ascend_without_gaps(void **state)
{
	(void)state;
	assert_int_equal(rows[0].number, 0);
	for (size_t i = 1; i < ARRAY_SIZE(rows); i++) {
		/* Numbers 335 to 423 are not used, so that architectures agree from there on. */
		uint32_t expected = rows[i - 1].number == 334 ? 424 : rows[i - 1].number + 1;

		assert_int_equal(rows[i].number, expected);
	}
	assert_true(rows[ARRAY_SIZE(rows) - 1].number >= 462);
}

/* Calls that the headers may be too old for. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif
#ifndef __NR_futex_wake
#define __NR_futex_wake 454
#endif
#ifndef __NR_futex_wait
#define __NR_futex_wait 455
#endif
#ifndef __NR_futex_requeue
#define __NR_futex_requeue 456
#endif
#ifndef __NR_statmount
#define __NR_statmount 457
#endif
#ifndef __NR_listmount
#define __NR_listmount 458
#endif
#ifndef __NR_lsm_get_self_attr
#define __NR_lsm_get_self_attr 459
#endif
#ifndef __NR_lsm_set_self_attr
#define __NR_lsm_set_self_attr 460
#endif
#ifndef __NR_lsm_list_modules
#define __NR_lsm_list_modules 461
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif
#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#endif
#ifndef __NR_getxattrat
#define __NR_getxattrat 464
#endif
#ifndef __NR_listxattrat
#define __NR_listxattrat 465
#endif
#ifndef __NR_removexattrat
#define __NR_removexattrat 466
#endif
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif
#ifndef __NR_file_getattr
#define __NR_file_getattr 468
#endif
#ifndef __NR_file_setattr
#define __NR_file_setattr 469
#endif

static void test_names_are_those_of_the_kernel(void **state)
{
	static const uint32_t known[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note) __NR_##name,
#include "linux/syscalls.def"
#undef SYSTEM_CALL
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_int_equal(known[i], rows[i].number);
}

static void test_rows_are_consistent(void **state)
{
	size_t supported = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool none = strcmp(rows[i].handler, "sys_unsupported") == 0;

		assert_int_equal(rows[i].support == NONE, none);
		if (rows[i].support == NONE || rows[i].support == PARTIAL)
			assert_true(rows[i].note[0]);
		assert_string_equal(system_call_find(rows[i].number)->name, rows[i].name);
		supported += !none;
	}
	assert_true(supported >= 120);
}

static void test_numbers_without_a_row(void **state)
{
	static const uint64_t numbers[] = {335, 423, 470, 512, 1000, INT32_MAX, UINT32_MAX};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char name[32];

		assert_null(system_call_find((uint32_t)numbers[i]));
		assert_int_equal(CALL(&fixture->guest, (long)numbers[i], 1), -ENOSYS);
		snprintf(name, sizeof(name), "syscall_%u(0x1, ", (unsigned)numbers[i]);
		assert_int_equal(strncmp(fixture->trace.text, name, strlen(name)), 0);
	}
	/* The upper half of RAX does not matter, as in Linux. */
	assert_int_equal(CALL(&fixture->guest, (long)(UINT64_C(7) << 32 | SYS_getpid)), PROCESS_ID);
}

static void test_unsupported_calls_show_in_the_trace(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].support != NONE)
			continue;
		assert_int_equal(CALL(&fixture->guest, rows[i].number), -ENOSYS);
		assert_int_equal(strncmp(fixture->trace.text, rows[i].name, strlen(rows[i].name)), 0);
		assert_non_null(strstr(fixture->trace.text, " = -1 ENOSYS"));
		assert_int_equal(fixture->trace.number, rows[i].number);
		assert_int_equal(fixture->guest.process.end, PROCESS_RUNS);
	}
}

/*
 * Hostile arguments: nothing but an errno or a number may come of them.
 */

static const uint64_t hostile[] = {
	0,
	1,
	2,
	3,
	255,
	256,
	1024,
	1025,
	4096,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	(uint64_t)AT_FDCWD,
	FAKE_START,
	FAKE_START + 1,
	FAKE_END - 4,
	FAKE_END,
	FAKE_HOLE,
	FAKE_HOLE - 8,
	FAKE_READ_ONLY,
	0x7ffffffff000,
	LAYOUT_USER_END - 1,
	LAYOUT_USER_END,
	0x800000000000,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffff800000000000,
	0xfffffffffffff000,
	UINT64_MAX - 7,
	UINT64_MAX,
};

/* Reuses the descriptors and state that earlier calls left, so that combinations meet. */
static void revive(struct fixture *fixture)
{
	struct fake_guest *guest = &fixture->guest;

	if (guest->process.end == PROCESS_RUNS)
		return;
	guest->process.end = PROCESS_RUNS;
	/* A sleep took the time; the next must be as short. */
	guest->process.deadline = time_now() + NANOSECONDS / 1000;
}

static void fill_memory(struct fake_guest *guest, unsigned seed)
{
	uint64_t *words = (uint64_t *)(void *)guest->memory;

	srand(seed);
	for (size_t i = 0; i < FAKE_PAGES * PAGE_SIZE / sizeof(*words); i += 1 + (size_t)rand() % 8)
		words[i] = hostile[(size_t)rand() % ARRAY_SIZE(hostile)];
}

static void check_result(const char *name, int64_t result)
{
	if (result < 0 && result < -4095)
		fail_msg("%s returned %" PRId64, name, result);
}

static void test_each_argument_hostile(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	fill_memory(guest, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned argument = 0; argument < 6; argument++) {
			for (size_t j = 0; j < ARRAY_SIZE(hostile); j++) {
				uint64_t a[6] = {FAKE_START, FAKE_START, 8, 0, FAKE_START, 0};

				a[argument] = hostile[j];
				guest->process.deadline = time_now() + NANOSECONDS / 1000;
				check_result(rows[i].name, fake_call(guest, rows[i].number, a[0],
				                                     a[1], a[2], a[3], a[4], a[5]));
				revive(fixture);
			}
		}
	}
}

static void test_random_hostile_calls(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	fill_memory(guest, 2);
	srand(3);
	for (unsigned round = 0; round < 300000; round++) {
		size_t row = (size_t)rand() % ARRAY_SIZE(rows);
		uint64_t a[6];

		for (unsigned i = 0; i < 6; i++)
			a[i] = rand() % 2 ? hostile[(size_t)rand() % ARRAY_SIZE(hostile)]
			                  : (uint64_t)rand() % 16;
		guest->process.deadline = time_now() + NANOSECONDS / 10000;
		check_result(rows[row].name,
		             fake_call(guest, rows[row].number, a[0], a[1], a[2], a[3], a[4], a[5]));
		revive(fixture);
	}
}

/*
 * Process.
 */

static void test_identity(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct utsname *names = fake_pointer(guest, AT);
	uint32_t *ids = fake_pointer(guest, AT_2);

	assert_int_equal(CALL(guest, SYS_getpid), PROCESS_ID);
	assert_int_equal(CALL(guest, SYS_gettid), PROCESS_ID);
	assert_int_equal(CALL(guest, SYS_getppid), PROCESS_PARENT_ID);
	assert_int_equal(CALL(guest, SYS_getuid), PROCESS_USER);
	assert_int_equal(CALL(guest, SYS_getegid), PROCESS_GROUP);
	assert_int_equal(CALL(guest, SYS_getpgid, 0), PROCESS_ID);
	assert_int_equal(CALL(guest, SYS_getsid, 7), -ESRCH);
	assert_int_equal(CALL(guest, SYS_setsid), -EPERM);
	assert_int_equal(CALL(guest, SYS_setpgid, 0, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_setpgid, 0, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_setpgid, 7, 0), -ESRCH);
	assert_int_equal(CALL(guest, SYS_setfsuid, 0), PROCESS_USER);
	assert_int_equal(CALL(guest, SYS_setfsgid, -1), PROCESS_GROUP);
	assert_int_equal(CALL(guest, SYS_setuid, PROCESS_USER), 0);
	assert_int_equal(CALL(guest, SYS_setuid, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_setuid, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_setresuid, -1, PROCESS_USER, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_getresuid, AT_2, AT_2 + 4, AT_2 + 8), 0);
	assert_int_equal(ids[0] + ids[1] + ids[2], 3 * PROCESS_USER);
	assert_int_equal(CALL(guest, SYS_getgroups, 0, 0), 1);
	assert_int_equal(CALL(guest, SYS_getgroups, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_uname, AT), 0);
	assert_string_equal(names->sysname, "Linux");
	assert_string_equal(names->machine, "x86_64");
	assert_int_equal(CALL(guest, SYS_uname, FAKE_READ_ONLY), -EFAULT);
	assert_int_equal(CALL(guest, SYS_wait4, -1), -ECHILD);
	assert_int_equal(CALL(guest, SYS_fork), -ENOSYS);
	assert_int_equal(CALL(guest, SYS_set_tid_address, AT), PROCESS_ID);
	assert_int_equal(CALL(guest, SYS_set_robust_list, AT, 23), -EINVAL);
	assert_int_equal(CALL(guest, SYS_set_robust_list, 0x1234, 24), 0);
	assert_int_equal(CALL(guest, SYS_get_robust_list, 0, AT, AT_2), 0);
	assert_int_equal(*(uint64_t *)fake_pointer(guest, AT), 0x1234);
	assert_int_equal(*(uint64_t *)fake_pointer(guest, AT_2), 24);
}

static void test_segment_bases(void **state)
{
	struct fake_guest *guest = guest_of(state);

	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_FS, 0x12345678), 0);
	assert_int_equal(guest->registers.fs_base, 0x12345678);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_GET_FS, AT), 0);
	assert_int_equal(*(uint64_t *)fake_pointer(guest, AT), 0x12345678);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_GS, LAYOUT_USER_END - 1), 0);
	assert_int_equal(guest->registers.gs_base, LAYOUT_USER_END - 1);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_GS, LAYOUT_USER_END), -EPERM);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_FS, 0x800000000000), -EPERM);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_FS, LAYOUT_KERNEL), -EPERM);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_FS, UINT64_MAX), -EPERM);
	assert_int_equal(CALL(guest, SYS_arch_prctl, 0x3001, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_GET_FS, FAKE_HOLE), -EFAULT);
	assert_int_equal(guest->registers.fs_base, 0x12345678);
}

static void test_limits(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct rlimit *limit = fake_pointer(guest, AT);

	assert_int_equal(CALL(guest, SYS_getrlimit, RLIMIT_STACK, AT), 0);
	assert_int_equal(limit->rlim_cur, 1 << 20);
	assert_int_equal(CALL(guest, SYS_prlimit64, 0, RLIMIT_NOFILE, 0, AT), 0);
	assert_int_equal(limit->rlim_cur, FILES_MAXIMUM);
	limit->rlim_cur = 10;
	assert_int_equal(CALL(guest, SYS_prlimit64, 0, RLIMIT_NOFILE, AT, 0), 0);
	/* It is kept; the old one is given although the new one has been set. */
	limit->rlim_cur = 5;
	assert_int_equal(CALL(guest, SYS_prlimit64, PROCESS_ID, RLIMIT_NOFILE, AT, AT), 0);
	assert_int_equal(limit->rlim_cur, 10);
	assert_int_equal(CALL(guest, SYS_getrlimit, RLIMIT_NOFILE, AT), 0);
	assert_int_equal(limit->rlim_cur, 5);
	assert_int_equal(limit->rlim_max, FILES_MAXIMUM);
	/* Lowered for good. */
	limit->rlim_max = 100;
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_NOFILE, AT), 0);
	limit->rlim_max = 101;
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_NOFILE, AT), -EPERM);
	assert_int_equal(CALL(guest, SYS_getrlimit, RLIMIT_CORE, AT), 0);
	assert_int_equal(limit->rlim_max, 0);
	assert_int_equal(CALL(guest, SYS_getrlimit, RLIMIT_AS, AT), 0);
	assert_int_equal(limit->rlim_max, RLIM_INFINITY);
	limit->rlim_cur = 10;
	limit->rlim_max = 9;
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_NOFILE, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_NOFILE, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_prlimit64, 0, RLIMIT_NOFILE, 0, FAKE_READ_ONLY), -EFAULT);
	assert_int_equal(CALL(guest, SYS_getrlimit, 16, 0), -EINVAL);
	limit->rlim_max = FILES_MAXIMUM + 1;
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_NOFILE, AT), -EPERM);
	assert_int_equal(CALL(guest, SYS_prlimit64, 5, RLIMIT_NOFILE, 0, AT), -ESRCH);
	assert_int_equal(CALL(guest, SYS_prlimit64, 0, 16, 0, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prlimit64, 0, UINT64_MAX, 0, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getrlimit, 0, 0), -EFAULT);
}

static void test_prctl(void **state)
{
	struct fake_guest *guest = guest_of(state);

	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_NAME, AT), 0);
	assert_string_equal(fake_pointer(guest, AT), "tool");
	fake_string(guest, AT, "a name that is too long");
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_NAME, AT), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_NAME, AT_2), 0);
	assert_string_equal(fake_pointer(guest, AT_2), "a name that is ");
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_NO_NEW_PRIVS), 1);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_NO_NEW_PRIVS, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_NO_NEW_PRIVS, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_PDEATHSIG, 65), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, 0x53564d41, 0, AT + 1, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, 0x53564d41, 1, AT, PAGE_SIZE), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, 0x53564d41, 0, AT, PAGE_SIZE), 0);
	assert_int_equal(CALL(guest, SYS_prctl, 12345), -EINVAL);
}

static void test_prctl_of_what_means_nothing_here(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint32_t *number = fake_pointer(guest, AT);

	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_DUMPABLE, 2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_TIMERSLACK, 7), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_TIMERSLACK), 7);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_TIMERSLACK, 0), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_TIMERSLACK), 50000);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_KEEPCAPS, 2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_KEEPCAPS, 1), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_KEEPCAPS), 1);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_CHILD_SUBREAPER, 5), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_CHILD_SUBREAPER, AT), 0);
	assert_int_equal(*number, 1);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_THP_DISABLE, 7), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_THP_DISABLE, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_THP_DISABLE), 1);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_SECCOMP), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_SECCOMP, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_TSC, AT), 0);
	assert_int_equal(*number, PR_TSC_ENABLE);
	assert_int_equal(CALL(guest, SYS_prctl, PR_GET_TSC, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAPBSET_READ, 40), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAPBSET_READ, 41), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAPBSET_DROP, 1), -EPERM);
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_SECUREBITS, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 1), -EPERM);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 41), -EINVAL);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 1), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), 0);
	assert_int_equal(CALL(guest, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1),
	                 -EINVAL);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_GET_CPUID), 1);
	assert_int_equal(CALL(guest, SYS_arch_prctl, ARCH_SET_CPUID, 0), -ENODEV);
}

static void set_capability_header(struct fake_guest *guest, uint32_t version, int32_t id)
{
	uint32_t *header = fake_pointer(guest, AT);

	header[0] = version;
	header[1] = (uint32_t)id;
}

/* man 2 capget; the three versions of linux/capability.h. */
static void test_capabilities(void **state)
{
	const uint32_t versions[] = {0x19980330, 0x20071026, 0x20080522};
	struct fake_guest *guest = guest_of(state);
	uint32_t *header = fake_pointer(guest, AT), *data = fake_pointer(guest, AT_2);

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		memset(data, 0xff, 32);
		set_capability_header(guest, versions[i], i == 1 ? PROCESS_ID : 0);
		assert_int_equal(CALL(guest, SYS_capget, AT, AT_2), 0);
		assert_int_equal(data[0] | data[1] | data[2], 0);
		assert_int_equal(data[3], i == 0 ? UINT32_MAX : 0);
		assert_int_equal(data[i == 0 ? 3 : 6], UINT32_MAX);
		memset(data, 0, 32);
		assert_int_equal(CALL(guest, SYS_capset, AT, AT_2), 0);
		data[2] = 1;
		assert_int_equal(CALL(guest, SYS_capset, AT, AT_2), -EPERM);
	}
	set_capability_header(guest, 1, 0);
	assert_int_equal(CALL(guest, SYS_capget, AT, AT_2), -EINVAL);
	assert_int_equal(header[0], 0x20080522);
	set_capability_header(guest, 1, 0);
	assert_int_equal(CALL(guest, SYS_capget, AT, 0), 0);
	set_capability_header(guest, 1, 0);
	assert_int_equal(CALL(guest, SYS_capset, AT, AT_2), -EINVAL);
	set_capability_header(guest, versions[2], 77);
	assert_int_equal(CALL(guest, SYS_capget, AT, AT_2), -ESRCH);
	assert_int_equal(CALL(guest, SYS_capset, AT, AT_2), -EPERM);
	set_capability_header(guest, versions[2], -1);
	assert_int_equal(CALL(guest, SYS_capget, AT, AT_2), -EINVAL);
	set_capability_header(guest, versions[2], 0);
	assert_int_equal(CALL(guest, SYS_capget, AT, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_capset, AT, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_capget, FAKE_HOLE, AT_2), -EFAULT);
}

static void test_scheduling(void **state)
{
	struct fake_guest *guest = guest_of(state);
	int32_t *priority = fake_pointer(guest, AT);
	int64_t *slice = fake_pointer(guest, AT_2);

	*priority = 0;
	assert_int_equal(CALL(guest, SYS_sched_setparam, 0, AT), 0);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, SCHED_BATCH, AT), 0);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, SCHED_FIFO, AT), -EINVAL);
	*priority = 1;
	assert_int_equal(CALL(guest, SYS_sched_setparam, PROCESS_ID, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, SCHED_FIFO, AT), -EPERM);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, SCHED_OTHER, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, 77, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 7, SCHED_OTHER, AT), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, -1, SCHED_OTHER, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setscheduler, 0, SCHED_OTHER, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setparam, 0, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setparam, 7, AT), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_getparam, -1, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getscheduler, 0), SCHED_OTHER);
	assert_int_equal(CALL(guest, SYS_sched_getscheduler, 7), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_get_priority_max, SCHED_RR), 99);
	assert_int_equal(CALL(guest, SYS_sched_get_priority_min, 77), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_rr_get_interval, 0, AT_2), 0);
	assert_int_equal(slice[0], 0);
	assert_in_range(slice[1], 1, 999999999);
	assert_int_equal(CALL(guest, SYS_sched_rr_get_interval, 7, AT_2), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_rr_get_interval, -1, AT_2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_rr_get_interval, 0, FAKE_HOLE), -EFAULT);
}

/* man 2 sched_setattr. */
static void test_scheduling_attributes(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint32_t *words = fake_pointer(guest, AT); /* size, policy, flags, flags, nice, priority ... */

	memset(words, 0xff, 64);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, AT, 56, 0), 0);
	assert_int_equal(words[0], 48);
	assert_int_equal(words[1] | words[2] | words[3] | words[4] | words[5], 0);
	assert_int_equal(words[12], UINT32_MAX);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, AT, 47, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, AT, 4097, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, AT, 48, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, 0, 48, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 7, AT, 48, 0), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_getattr, 0, FAKE_HOLE, 48, 0), -EFAULT);
	words[4] = 5;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), 0);
	assert_int_equal(CALL(guest, SYS_getpriority, PRIO_PROCESS, 0), 15);
	words[4] = 4;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), -EPERM);
	words[4] = 20;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), -EINVAL);
	words[4] = 5;
	words[1] = SCHED_FIFO;
	words[5] = 1;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), -EPERM);
	words[1] = words[5] = 0;
	words[0] = 47;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), -E2BIG);
	words[0] = 0;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), 0);
	words[2] = 0x80;
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, AT, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, 0, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_setattr, 7, AT, 0), -ESRCH);
	assert_int_equal(CALL(guest, SYS_sched_setattr, 0, FAKE_HOLE, 0), -EFAULT);
}

static void test_priorities(void **state)
{
	struct fake_guest *guest = guest_of(state);
	const uint64_t best_effort = 2 << 13, idle = 3 << 13, real_time = 1 << 13;

	assert_int_equal(CALL(guest, SYS_getpriority, PRIO_PROCESS, 0), 20);
	assert_int_equal(CALL(guest, SYS_setpriority, PRIO_PROCESS, 0, 100), 0);
	assert_int_equal(CALL(guest, SYS_getpriority, PRIO_PGRP, PROCESS_ID), 1);
	assert_int_equal(CALL(guest, SYS_setpriority, PRIO_USER, PROCESS_USER, 3), -EACCES);
	assert_int_equal(CALL(guest, SYS_setpriority, PRIO_PROCESS, 7, 19), -ESRCH);
	assert_int_equal(CALL(guest, SYS_getpriority, PRIO_USER, 7), -ESRCH);
	assert_int_equal(CALL(guest, SYS_getpriority, 3, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_get, 1, 0), 0);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 0, best_effort | 3), 0);
	assert_int_equal(CALL(guest, SYS_ioprio_get, 3, PROCESS_USER), best_effort | 3);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 2, PROCESS_ID, idle), 0);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 0, best_effort | 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 0, real_time), -EPERM);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 0, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 0, 7 << 13), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 1, 7, idle), -ESRCH);
	assert_int_equal(CALL(guest, SYS_ioprio_set, 0, 0, idle), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_get, 4, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ioprio_get, 1, 0), idle);
}

static void test_machine(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct sysinfo *info = fake_pointer(guest, AT);
	uint64_t *mask = fake_pointer(guest, AT_2);

	assert_int_equal(CALL(guest, SYS_sysinfo, AT), 0);
	assert_int_equal(info->totalram, 64 << 20);
	assert_int_equal(info->mem_unit, 1);
	assert_int_equal(CALL(guest, SYS_sched_getaffinity, 0, 8, AT_2), 8);
	assert_int_equal(*mask, 1);
	assert_int_equal(CALL(guest, SYS_sched_getaffinity, 0, 7, AT_2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sched_getaffinity, 5, 8, AT_2), -ESRCH);
	*mask = 2;
	assert_int_equal(CALL(guest, SYS_sched_setaffinity, 0, 8, AT_2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getrandom, AT, PAGE_SIZE, 0), PAGE_SIZE);
	assert_int_equal(CALL(guest, SYS_getrandom, AT, 0, 0), 0);
	assert_int_equal(CALL(guest, SYS_getrandom, AT, 1, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getrandom, AT, 1, GRND_RANDOM | GRND_INSECURE), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getrandom, FAKE_HOLE, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_getrandom, FAKE_READ_ONLY - 16, 32, 0), 16);
	assert_int_equal(CALL(guest, SYS_getrandom, UINT64_MAX, 32, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_personality, 0xffffffff), 0);
	assert_int_equal(CALL(guest, SYS_personality, 0x40000), 0);
	assert_int_equal(CALL(guest, SYS_personality, 0xffffffff), 0x40000);
	assert_int_equal(CALL(guest, SYS_umask, 077), 022);
	assert_int_equal(CALL(guest, SYS_umask, 07777), 077);
	assert_int_equal(CALL(guest, SYS_umask, 0), 0777);
}

/*
 * Time and waiting.
 */

static void set_time(struct fake_guest *guest, uint64_t address, int64_t seconds, int64_t fraction)
{
	int64_t *time = fake_pointer(guest, address);

	time[0] = seconds;
	time[1] = fraction;
}

static void test_clocks(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct timespec *time_value = fake_pointer(guest, AT), now;
	int64_t seconds;

	assert_int_equal(CALL(guest, SYS_clock_gettime, CLOCK_MONOTONIC, AT), 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_true(now.tv_sec - time_value->tv_sec <= 1);
	assert_int_equal(CALL(guest, SYS_clock_gettime, 99, AT), -EINVAL);
	/* clock_getcpuclockid(3) of itself; of another process; of a descriptor. */
	assert_int_equal(CALL(guest, SYS_clock_gettime, -6, AT), 0);
	assert_int_equal(CALL(guest, SYS_clock_gettime, (~7u << 3) | 2, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_clock_gettime, (~0u << 3) | 3, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_clock_gettime, 0, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_clock_getres, CLOCK_REALTIME, 0), 0);
	assert_int_equal(CALL(guest, SYS_gettimeofday, AT, AT_2), 0);
	assert_true(time_value->tv_nsec < 1000000);
	seconds = CALL(guest, SYS_time, AT);
	assert_true(llabs(seconds - time(NULL)) <= 1);
	assert_int_equal(time_value->tv_sec, seconds);
	assert_int_equal(CALL(guest, SYS_time, FAKE_READ_ONLY), -EFAULT);
	assert_true(CALL(guest, SYS_times, 0) > 0);
}

/* Checked as far as Linux does before it asks for the privilege. */
static void test_nobody_sets_a_clock(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct timex *clock = fake_pointer(guest, AT_2);

	set_time(guest, AT, 1, 0);
	assert_int_equal(CALL(guest, SYS_clock_settime, CLOCK_REALTIME, AT), -EPERM);
	assert_int_equal(CALL(guest, SYS_clock_settime, CLOCK_PROCESS_CPUTIME_ID, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_clock_settime, -6, AT), -EPERM);
	assert_int_equal(CALL(guest, SYS_clock_settime, CLOCK_MONOTONIC, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_clock_settime, 99, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_clock_settime, CLOCK_REALTIME, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_settimeofday, AT, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_settimeofday, 0, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_settimeofday, FAKE_HOLE, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_settimeofday, 0, FAKE_HOLE), -EFAULT);
	set_time(guest, AT, 1, 1000000000);
	assert_int_equal(CALL(guest, SYS_clock_settime, CLOCK_REALTIME, AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_settimeofday, AT, 0), -EINVAL);
	memset(clock, 0, sizeof(*clock));
	assert_int_equal(CALL(guest, SYS_adjtimex, AT_2), TIME_ERROR);
	assert_int_equal(clock->status & STA_UNSYNC, STA_UNSYNC);
	assert_true(llabs(clock->time.tv_sec - time(NULL)) <= 1);
	memset(clock, 0, sizeof(*clock));
	assert_int_equal(CALL(guest, SYS_clock_adjtime, CLOCK_REALTIME, AT_2), TIME_ERROR);
	clock->modes = ADJ_FREQUENCY;
	assert_int_equal(CALL(guest, SYS_adjtimex, AT_2), -EPERM);
	assert_int_equal(CALL(guest, SYS_clock_adjtime, CLOCK_REALTIME, AT_2), -EPERM);
	assert_int_equal(CALL(guest, SYS_clock_adjtime, CLOCK_MONOTONIC, AT_2), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_clock_adjtime, 99, AT_2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_adjtimex, FAKE_HOLE), -EFAULT);
	clock->modes = 0;
	assert_int_equal(CALL(guest, SYS_adjtimex, FAKE_READ_ONLY), -EFAULT);
}

/* Not the host's thread's: that would tell what others had computed on it. */
static void test_processor_time_is_its_own(void **state)
{
	const int clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
	struct fake_guest *guest = guest_of(state);
	struct timespec *value = fake_pointer(guest, AT);

	guest->process.usage.time = 1000000 * NANOSECONDS;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		assert_int_equal(CALL(guest, SYS_clock_gettime, (uint64_t)clocks[i], AT), 0);
		assert_in_range(value->tv_sec, 1000000, 1000060);
	}
	assert_int_equal(CALL(guest, SYS_getrusage, 0, AT), 0);
	assert_in_range(value->tv_sec, 1000000, 1000060);
}

static void test_sleep_and_deadline(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint64_t start = time_now();

	set_time(guest, AT, 0, 20000000);
	assert_int_equal(CALL(guest, SYS_nanosleep, AT, 0), 0);
	assert_true(time_now() - start >= 20000000);
	set_time(guest, AT, 0, 1000000000);
	assert_int_equal(CALL(guest, SYS_nanosleep, AT, 0), -EINVAL);
	set_time(guest, AT, -1, 0);
	assert_int_equal(CALL(guest, SYS_nanosleep, AT, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_nanosleep, FAKE_HOLE, 0), -EFAULT);
	set_time(guest, AT, 1, 0);
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, AT), 0);
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, AT),
	                 -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, AT), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, CLOCK_REALTIME_COARSE, 0, AT), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, 99, 0, AT), -EINVAL);
	guest->process.usage.time = 2 * NANOSECONDS;
	assert_int_equal(
		CALL(guest, SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, AT), 0);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	/* Which does not go on while it waits. */
	assert_int_equal(CALL(guest, SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, AT), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
	guest->process.end = PROCESS_RUNS;
	/* The run's end comes first. */
	set_time(guest, AT, INT64_MAX, 0);
	start = time_now();
	guest->process.deadline = start + 30000000;
	assert_int_equal(CALL(guest, SYS_nanosleep, AT, 0), -EINTR);
	assert_true(time_now() - start >= 30000000);
	assert_true(time_now() - start < 5 * NANOSECONDS);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

/* What waits ends at once, and the clock has gone on. */
static void test_waits_of_a_made_up_clock(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct process_time *passed = &guest->process.attributes.time;
	uint64_t start = time_now();
	uint32_t *word = fake_pointer(guest, AT);

	fixture->config.clock = KVMSB_CLOCK_MADE_UP;
	*word = 5;
	set_time(guest, AT_2, 1000, 0);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT, 5, AT_2), -ETIMEDOUT);
	assert_int_equal(passed->slept, 1000 * NANOSECONDS);
	set_time(guest, AT_2, 3000, 0);
	/* CLOCK_MONOTONIC began at one second. */
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT_BITSET, 5, AT_2, 0, UINT32_MAX),
	                 -ETIMEDOUT);
	assert_int_equal(passed->slept, 2999 * NANOSECONDS);
	assert_int_equal(CALL(guest, SYS_poll, 0, 0, 1000000), 0);
	set_time(guest, AT_2, 1, 0);
	assert_int_equal(CALL(guest, SYS_ppoll, 0, 0, AT_2), 0);
	assert_int_equal(CALL(guest, SYS_select, 0, 0, 0, 0, AT_2), 0);
	set_time(guest, AT_2, 1, 0);
	assert_int_equal(CALL(guest, SYS_pselect6, 0, 0, 0, 0, AT_2), 0);
	assert_int_equal(passed->slept, 4002 * NANOSECONDS);
	assert_int_equal(CALL(guest, SYS_time, 0), 4002);
	assert_int_equal(CALL(guest, SYS_times, 0), 400300);
	assert_int_equal(CALL(guest, SYS_sysinfo, AT_2), 0);
	assert_int_equal(*(int64_t *)fake_pointer(guest, AT_2), 4003);
	assert_int_equal(passed->stepped, 0);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	assert_true(time_now() - start < 60 * NANOSECONDS);
	/* What nothing ends is over, however late it is. */
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT, 5, 0), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_host_signal_does_not_end_a_sleep(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct sigaction action = {.sa_handler = on_alarm}, before;
	struct itimerspec every = {{0, 3000000}, {0, 3000000}};
	uint64_t start = time_now();
	timer_t timer;

	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	set_time(guest, AT, 0, 40000000);
	assert_int_equal(CALL(guest, SYS_nanosleep, AT, 0), 0);
	assert_true(time_now() - start >= 40000000);
	timer_delete(timer);
	sigaction(SIGALRM, &before, NULL);
}

static void test_futex(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint32_t *word = fake_pointer(guest, AT);

	*word = 5;
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAKE_PRIVATE, 1), 0);
	assert_int_equal(CALL(guest, SYS_futex, AT + 1, FUTEX_WAKE, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_futex, LAYOUT_USER_END, FUTEX_WAKE, 1), -EFAULT);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT_PRIVATE, 4), -EAGAIN);
	assert_int_equal(CALL(guest, SYS_futex, FAKE_HOLE, FUTEX_WAIT, 4), -EFAULT);
	set_time(guest, AT_2, 0, 10000000);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT, 5, AT_2), -ETIMEDOUT);
	set_time(guest, AT_2, 1, 0);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT_BITSET, 5, AT_2, 0, UINT32_MAX),
	                 -ETIMEDOUT);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT_BITSET, 5, AT_2, 0, 0), -EINVAL);
	set_time(guest, AT_2, 1, -1);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT, 5, AT_2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_CMP_REQUEUE, 1, 1, AT_2, 6), -EAGAIN);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_CMP_REQUEUE, 1, 1, AT_2, 5), 0);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_LOCK_PI), -ENOSYS);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	assert_int_equal(CALL(guest, SYS_futex, AT, FUTEX_WAIT, 5, 0), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

static void test_poll(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct pollfd *entries = fake_pointer(guest, AT);

	entries[0] = (struct pollfd){0, POLLIN | POLLOUT, 0};
	entries[1] = (struct pollfd){1, POLLOUT, 0};
	entries[2] = (struct pollfd){77, POLLIN, 0};
	entries[3] = (struct pollfd){-1, POLLIN, 77};
	assert_int_equal(CALL(guest, SYS_poll, AT, 4, -1), 3);
	assert_int_equal(entries[0].revents, POLLIN | POLLOUT);
	assert_int_equal(entries[1].revents, POLLOUT);
	assert_int_equal(entries[2].revents, POLLNVAL);
	assert_int_equal(entries[3].revents, 0);
	/* The peer ended the host's process here. */
	assert_int_equal(CALL(guest, SYS_poll, AT, 257, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_poll, AT, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_poll, AT, 1000000, 0), -EINVAL);
	assert_true(CALL(guest, SYS_poll, FAKE_START, 256, 0) >= 0);
	assert_int_equal(CALL(guest, SYS_poll, FAKE_HOLE - 8, 2, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_poll, 0, 0, 1), 0);
	assert_int_equal(CALL(guest, SYS_ppoll, 0, 0, FAKE_HOLE), -EFAULT);
	set_time(guest, AT_2, 0, 1000);
	assert_int_equal(CALL(guest, SYS_ppoll, 0, 0, AT_2, AT_3, 7), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ppoll, 0, 0, AT_2, AT_3, 8), 0);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	assert_int_equal(CALL(guest, SYS_poll, 0, 0, -1), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

static void test_select(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint64_t *sets = fake_pointer(guest, AT);

	set_time(guest, AT_2, 0, 0);
	sets[0] = 1;
	sets[8] = 2 | 4;
	assert_int_equal(CALL(guest, SYS_select, 3, AT, AT + 64, 0, AT_2), 3);
	assert_int_equal(sets[0], 1);
	assert_int_equal(sets[8], 6);
	sets[0] = 1 << 5;
	assert_int_equal(CALL(guest, SYS_select, 6, AT, 0, 0, AT_2), -EBADF);
	sets[0] = 1 << 5;
	assert_int_equal(CALL(guest, SYS_select, 5, AT, 0, 0, AT_2), 0);
	assert_int_equal(sets[0], 0);
	assert_int_equal(CALL(guest, SYS_select, -1, AT, 0, 0, AT_2), -EINVAL);
	memset(sets, 0, 4096);
	assert_int_equal(CALL(guest, SYS_select, INT32_MAX, AT, AT, AT, AT_2), 0);
	assert_int_equal(CALL(guest, SYS_select, 8, FAKE_HOLE, 0, 0, AT_2), -EFAULT);
	set_time(guest, AT_2, 0, -1);
	assert_int_equal(CALL(guest, SYS_select, 0, 0, 0, 0, AT_2), -EINVAL);
	set_time(guest, AT_2, -1, 0);
	assert_int_equal(CALL(guest, SYS_select, 0, 0, 0, 0, AT_2), -EINVAL);
	/* More than a second has: as Linux. */
	sets[0] = 1;
	set_time(guest, AT_2, 0, 1000000);
	assert_int_equal(CALL(guest, SYS_select, 1, AT, 0, 0, AT_2), 1);
	sets[0] = 0;
	sets[1] = 9;
	assert_int_equal(CALL(guest, SYS_pselect6, 0, 0, 0, 0, 0, AT), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

/*
 * Signals.
 */

static void set_action(struct fake_guest *guest, int signal, uint64_t handler)
{
	struct signal_action *action = fake_pointer(guest, AT);

	*action = (struct signal_action){.handler = handler, .mask = UINT64_MAX};
	assert_int_equal(CALL(guest, SYS_rt_sigaction, signal, AT, 0, 8), 0);
}

static void test_signal_actions(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct signal_action *before = fake_pointer(guest, AT_2);

	set_action(guest, SIGUSR1, 0x4000);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, SIGUSR1, 0, AT_2, 8), 0);
	assert_int_equal(before->handler, 0x4000);
	assert_int_equal(before->mask, ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP)));
	assert_int_equal(CALL(guest, SYS_rt_sigaction, SIGKILL, AT, 0, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, SIGKILL, 0, AT_2, 8), 0);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, 0, 0, 0, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, 65, 0, 0, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, 64, 0, 0, 8), 0);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, -1, 0, AT_2, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, SIGUSR1, AT, 0, 4), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigaction, SIGUSR1, FAKE_HOLE, 0, 8), -EFAULT);
	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, SIGUSR1), -ENOSYS);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
}

static void test_signals_end_the_process(void **state)
{
	struct fake_guest *guest = guest_of(state);

	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, 0), 0);
	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, 65), -EINVAL);
	assert_int_equal(CALL(guest, SYS_kill, 1, SIGTERM), -ESRCH);
	assert_int_equal(CALL(guest, SYS_kill, -1, SIGTERM), -ESRCH);
	assert_int_equal(CALL(guest, SYS_kill, INT32_MIN, SIGTERM), -ESRCH);
	assert_int_equal(CALL(guest, SYS_tkill, 0, SIGTERM), -EINVAL);
	assert_int_equal(CALL(guest, SYS_tgkill, PROCESS_ID, 7, SIGTERM), -ESRCH);
	assert_int_equal(CALL(guest, SYS_tkill, PROCESS_ID, SIGCHLD), 0);
	set_action(guest, SIGTERM, 1);
	assert_int_equal(CALL(guest, SYS_kill, 0, SIGTERM), 0);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	CALL(guest, SYS_tgkill, PROCESS_ID, PROCESS_ID, SIGABRT);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
	assert_int_equal(guest->process.exit_signal, SIGABRT);
}

static void test_blocked_signals_wait(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint64_t *set = fake_pointer(guest, AT_3);

	*set = UINT64_MAX;
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, SIG_SETMASK, AT_3, 0, 8), 0);
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, 7, 0, AT_3, 8), 0);
	assert_int_equal(*set, ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP)));
	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, SIGTERM), 0);
	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, SIGUSR2), 0);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	assert_int_equal(CALL(guest, SYS_rt_sigpending, AT_3, 8), 0);
	assert_int_equal(*set, signal_bit(SIGTERM) | signal_bit(SIGUSR2));
	set_action(guest, SIGTERM, 1);
	assert_int_equal(CALL(guest, SYS_rt_sigpending, AT_3, 8), 0);
	assert_int_equal(*set, signal_bit(SIGUSR2));
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, 3, AT_3, 0, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, SIG_SETMASK, FAKE_HOLE, 0, 8), -EFAULT);
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, SIG_SETMASK, AT_3, 0, 16), -EINVAL);
	CALL(guest, SYS_rt_sigprocmask, SIG_UNBLOCK, AT_3, 0, 8);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
	assert_int_equal(guest->process.exit_signal, SIGUSR2);
}

static void test_kill_cannot_be_blocked(void **state)
{
	struct fake_guest *guest = guest_of(state);

	*(uint64_t *)fake_pointer(guest, AT_3) = UINT64_MAX;
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, SIG_BLOCK, AT_3, 0, 8), 0);
	CALL(guest, SYS_kill, PROCESS_ID, SIGKILL);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
}

static void test_alternate_stack(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct signal_stack *stack = fake_pointer(guest, AT), *before = fake_pointer(guest, AT_2);

	*stack = (struct signal_stack){.address = AT_3, .size = 8192};
	assert_int_equal(CALL(guest, SYS_sigaltstack, AT, AT_2), 0);
	assert_int_equal(before->flags, SS_DISABLE);
	assert_int_equal(CALL(guest, SYS_sigaltstack, 0, AT_2), 0);
	assert_int_equal(before->address, AT_3);
	stack->size = 100;
	assert_int_equal(CALL(guest, SYS_sigaltstack, AT, 0), -ENOMEM);
	stack->flags = 8;
	assert_int_equal(CALL(guest, SYS_sigaltstack, AT, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sigaltstack, FAKE_HOLE, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_sigaltstack, 0, FAKE_HOLE), -EFAULT);
}

/*
 * Forks and resets.
 */

static void dirty(struct fake_guest *guest)
{
	struct signal_stack *stack = fake_pointer(guest, AT);

	set_action(guest, SIGHUP, 0x7000);
	*stack = (struct signal_stack){.address = AT_3, .size = 8192};
	assert_int_equal(CALL(guest, SYS_sigaltstack, AT, 0), 0);
	*(uint64_t *)fake_pointer(guest, AT) = signal_bit(SIGINT);
	assert_int_equal(CALL(guest, SYS_rt_sigprocmask, SIG_SETMASK, AT, 0, 8), 0);
	assert_int_equal(CALL(guest, SYS_kill, PROCESS_ID, SIGINT), 0);
	fake_string(guest, AT, "other");
	assert_int_equal(CALL(guest, SYS_prctl, PR_SET_NAME, AT), 0);
	assert_int_equal(CALL(guest, SYS_umask, 0777), 022);
	assert_int_equal(CALL(guest, SYS_set_robust_list, AT, 24), 0);
	assert_int_equal(CALL(guest, SYS_set_tid_address, AT), PROCESS_ID);
	fake_string(guest, AT, "/dev");
	assert_int_equal(CALL(guest, SYS_chdir, AT), 0);
	assert_int_equal(CALL(guest, SYS_personality, 0x40000), 0);
	assert_int_equal(CALL(guest, SYS_close, 0), 0);
	CALL(guest, SYS_exit_group, 9);
}

static void assert_same(const struct fake_guest *a, const struct fake_guest *b)
{
	assert_ptr_equal(a->process.files, b->process.files);
	assert_ptr_equal(a->process.signals, b->process.signals);
	assert_ptr_equal(a->process.mm, b->process.mm);
	assert_memory_equal(&a->process.attributes, &b->process.attributes,
	                    sizeof(a->process.attributes));
	assert_int_equal(a->process.end, PROCESS_RUNS);
	assert_int_equal(a->process.exit_status, 0);
}

static void test_fork_and_reset(void **state)
{
	struct fake_guest *master = guest_of(state), fork, other;
	struct signals *signals = master->process.signals;
	struct signal_action before = signals->actions[SIGHUP - 1];

	fake_guest_fork(&fork, master);
	fake_guest_fork(&other, master);
	assert_same(&fork, &other);
	dirty(&fork);
	assert_ptr_not_equal(fork.process.signals, signals);
	assert_memory_equal(&signals->actions[SIGHUP - 1], &before, sizeof(before));
	assert_int_equal(signals->blocked, 0);
	assert_int_equal(signals->pending, 0);
	assert_string_equal(master->process.files->directory, "/");
	assert_non_null(files_look(&other.process, 0));
	process_reset(&fork.process, &master->process);
	assert_same(&fork, &other);
	dirty(&fork);
	process_reset(&fork.process, &master->process);
	assert_same(&fork, &other);
	fake_guest_destroy(&other);
	fake_guest_destroy(&fork);
	assert_int_equal(master->process.files->references, 1);
	assert_int_equal(master->process.signals->references, 1);
}

static void test_fork_outlives_its_master(void **state)
{
	struct fixture other;
	struct fake_guest fork;

	(void)state;
	config_set(&other);
	fake_guest_create(&other.guest, &other.config);
	fake_guest_fork(&fork, &other.guest);
	fake_guest_destroy(&other.guest);
	dirty(&fork);
	fake_guest_destroy(&fork);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_TRACED(name) cmocka_unit_test_setup_teardown(name, set_up_traced, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_ascend_without_gaps),
		cmocka_unit_test(test_names_are_those_of_the_kernel),
		cmocka_unit_test(test_rows_are_consistent),
		TEST_TRACED(test_numbers_without_a_row),
		TEST_TRACED(test_unsupported_calls_show_in_the_trace),
		TEST(test_each_argument_hostile),
		TEST_TRACED(test_each_argument_hostile),
		TEST(test_random_hostile_calls),
		TEST(test_identity),
		TEST(test_segment_bases),
		TEST(test_limits),
		TEST(test_prctl),
		TEST(test_prctl_of_what_means_nothing_here),
		TEST(test_capabilities),
		TEST(test_scheduling),
		TEST(test_scheduling_attributes),
		TEST(test_priorities),
		TEST(test_nobody_sets_a_clock),
		TEST(test_waits_of_a_made_up_clock),
		TEST(test_machine),
		TEST(test_clocks),
		TEST(test_processor_time_is_its_own),
		TEST(test_sleep_and_deadline),
		TEST(test_host_signal_does_not_end_a_sleep),
		TEST(test_futex),
		TEST(test_poll),
		TEST(test_select),
		TEST(test_signal_actions),
		TEST(test_signals_end_the_process),
		TEST(test_blocked_signals_wait),
		TEST(test_kill_cannot_be_blocked),
		TEST(test_alternate_stack),
		TEST(test_fork_and_reset),
		TEST(test_fork_outlives_its_master),
	};

	return cmocka_run_group_tests_name("linux_process", tests, NULL, NULL);
}
