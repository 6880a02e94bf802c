/* SPDX-License-Identifier: MIT */
/*
 * Lines of traces: what each kind of argument looks like, that a row's format
 * fits its call, and that nothing a guest passes or keeps in its memory harms.
 */
#include "fake_guest.h"

#include "linux/dispatch.h"
#include "linux/policy.h"
#include "linux/trace.h"
#include "linux/trace_names.h"
#include "linux/trace_structs.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct fake_guest guest;
	struct process_config config;
	unsigned count;
	char text[TRACE_TEXT_SIZE];
	struct kvmsb_trace_event event;
};

static void record(void *user, const struct kvmsb_trace_event *event)
{
	struct fixture *fixture = user;
	const size_t length = strlen(event->text);

	assert_int_equal(event->size, sizeof(*event));
	assert_int_equal(strncmp(event->text, event->name, strlen(event->name)), 0);
	assert_true(length < TRACE_TEXT_SIZE);
	for (size_t i = 0; i < length; i++)
		assert_in_range(event->text[i], ' ', '~');
	memcpy(fixture->text, event->text, length + 1);
	fixture->event = *event;
	fixture->count++;
}

static char program[] = "/bin/tool", directory[] = "/";

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->config = (struct process_config){
		.program = program,
		.directory = directory,
		.stack_size = 1 << 20,
		.memory_limit = 64 << 20,
		.trace = record,
		.trace_user = fixture,
	};
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fake_guest_destroy(&fixture->guest);
	free(fixture);
	return 0;
}

/* ---- What is in the guest's memory, a page each ---- */

#define PLACE(number) (FAKE_START + (number)*PAGE_SIZE)
#define TEXT PLACE(1)
#define LONG_TEXT PLACE(2)
#define STAT PLACE(3)
#define DEVICE PLACE(4)
#define TIME PLACE(5)
#define VECTOR PLACE(6)
#define LIMIT PLACE(7)
#define NAMES PLACE(8)
#define SET PLACE(9)
#define FULL_SET PLACE(10)
#define ACTION PLACE(11)
#define POLL PLACE(12)
#define PAIR PLACE(13)
#define HOW PLACE(14)
#define ALTERNATE PLACE(15)
#define EVENT PLACE(16)
#define FILE_SYSTEM PLACE(17)
#define WORDS PLACE(18)
#define STATX PLACE(19)
#define USAGE PLACE(20)
#define SYSTEM PLACE(21)
#define ESCAPES PLACE(22)
#define UNENDED (FAKE_HOLE - 4) /* a string that runs into what is not there */
#define WILD FAKE_HOLE

static void put(struct fake_guest *guest, uint64_t address, const void *data, size_t size)
{
	memcpy(fake_pointer(guest, address), data, size);
}
#define PUT(address, type, ...) put(guest, address, &(type)__VA_ARGS__, sizeof(type))

static void put_files(struct fake_guest *guest)
{
	fake_string(guest, TEXT, "/etc/motd");
	fake_string(guest, LONG_TEXT, "0123456789012345678901234567890123456789");
	fake_string(guest, ESCAPES,
	            "a\"b\\c\n\t\x01"
	            "2\x01z\xff");
	memset(fake_pointer(guest, UNENDED), 'x', 4);
	PUT(STAT, struct stat, {.st_mode = S_IFREG | 0644, .st_size = 286});
	PUT(DEVICE, struct stat, {.st_mode = S_IFCHR | 0666, .st_rdev = 0x103});
	PUT(STATX, struct statx,
	    {.stx_mask = STATX_BASIC_STATS, .stx_mode = S_IFDIR | S_ISVTX | 0777, .stx_size = 40});
	PUT(FILE_SYSTEM, struct statfs,
	    {.f_type = 0x1021994, .f_bsize = 4096, .f_blocks = 10, .f_bfree = 9});
	PUT(HOW, uint64_t[3], {O_RDWR | O_CREAT, 0600, 8}); /* struct open_how */
	PUT(PAIR, int32_t[2], {3, 4});
	PUT(VECTOR, struct iovec[5],
	    {{(void *)TEXT, 4}, {(void *)LONG_TEXT, 40}, {(void *)WILD, 9}, {NULL, 0}, {NULL, 0}});
	PUT(WORDS, uint64_t[3], {TEXT, LONG_TEXT, 0});
}

static void put_others(struct fake_guest *guest)
{
	PUT(TIME, int64_t[4], {7, 500, -1, 8});
	PUT(LIMIT, uint64_t[2], {8192 * 1024, UINT64_MAX});
	PUT(NAMES, struct utsname, {.sysname = "Linux", .nodename = "sandbox"});
	PUT(SET, uint64_t, {1u << (SIGINT - 1) | 1u << (SIGTERM - 1) | UINT64_C(1) << 33});
	PUT(FULL_SET, uint64_t, {~(UINT64_C(1) << (SIGCHLD - 1))});
	PUT(ACTION, uint64_t[4], {0x401000, SA_RESTART | 0x04000000, 0x402000, 2});
	PUT(POLL, struct pollfd[2], {{0, POLLIN, POLLIN}, {5, POLLOUT, 0}});
	PUT(ALTERNATE, stack_t, {.ss_sp = (void *)0x7000, .ss_size = 8192, .ss_flags = SS_DISABLE});
	PUT(EVENT, struct epoll_event, {.events = EPOLLIN | EPOLLET, .data.u64 = 5});
	PUT(USAGE, struct rusage, {.ru_utime = {1, 2}, .ru_stime = {3, 4}});
	PUT(SYSTEM, struct sysinfo, {.uptime = 9, .totalram = 64, .freeram = 32, .mem_unit = 1});
}

/* ---- Lines ---- */

static const struct {
	long number;
	int64_t result;
	uint64_t a[6];
	const char *text;
} lines[] = {
#define LINE(call, result, text, ...) {SYS_##call, result, {__VA_ARGS__}, #call text},
#include "trace_lines.def"
#undef LINE
};

static void trace(struct fixture *fixture, uint32_t number, const uint64_t arguments[6],
                  int64_t result)
{
	unsigned before = fixture->count;

	trace_system_call(&fixture->guest.process, number, system_call_find(number), arguments,
	                  result, 1234);
	assert_int_equal(fixture->count, before + 1);
}

static void test_lines(void **state)
{
	struct fixture *fixture = *state;
	unsigned wrong = 0;

	put_files(&fixture->guest);
	put_others(&fixture->guest);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		trace(fixture, (uint32_t)lines[i].number, lines[i].a, lines[i].result);
		if (strcmp(fixture->text, lines[i].text) == 0)
			continue;
		print_error("expected %s\n     got %s\n", lines[i].text, fixture->text);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_every_error_has_a_name(void **state)
{
	static const uint64_t arguments[6];
	struct fixture *fixture = *state;

	trace(fixture, SYS_getpid, arguments, -ENOTEMPTY);
	assert_string_equal(fixture->text, "getpid() = -1 ENOTEMPTY (Directory not empty)");
	trace(fixture, SYS_getpid, arguments, -4095);
	assert_string_equal(fixture->text, "getpid() = -1 0xfff");
	trace(fixture, SYS_getpid, arguments, -4096);
	assert_string_equal(fixture->text, "getpid() = -4096");
	trace(fixture, SYS_brk, arguments, -4096);
	assert_string_equal(fixture->text, "brk(NULL) = 0xfffffffffffff000");
}

static void test_number_without_a_name(void **state)
{
	static const uint64_t arguments[6] = {1, 0, UINT64_MAX};
	struct fixture *fixture = *state;

	trace(fixture, 5000, arguments, -ENOSYS);
	assert_string_equal(fixture->text, "syscall_5000(0x1, 0, 0xffffffffffffffff, 0, 0, 0) = -1 "
	                                   "ENOSYS (Function not implemented)");
}

/* ---- What events say beside the text ---- */

static void test_calls_are_told_as_they_end(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct timespec pause = {.tv_nsec = 2000000};

	put(guest, TIME, &pause, sizeof(pause));
	CALL(guest, SYS_nanosleep, TIME);
	assert_string_equal(fixture->text, "nanosleep({tv_sec=0, tv_nsec=2000000}, NULL) = 0");
	assert_int_equal(fixture->event.finished, 1);
	assert_int_equal(fixture->event.denied, 0);
	assert_true(fixture->event.duration_ns >= 2000000);
	assert_true(fixture->event.duration_ns < 60000000000);
	CALL(guest, SYS_exit_group, 3);
	assert_string_equal(fixture->text, "exit_group(3) = ?");
	assert_int_equal(fixture->event.finished, 0);
	assert_int_equal(guest->begins, 2);
	assert_int_equal(guest->ends, 2);
}

static void test_denials_are_told(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	fake_string(guest, TEXT, "/etc/motd");
	CALL(guest, SYS_openat, AT_FDCWD, TEXT, O_RDONLY);
	assert_string_equal(fixture->text, "openat(AT_FDCWD, \"/etc/motd\", O_RDONLY) = -1 ENOENT "
	                                   "(No such file or directory) (denied by policy)");
	assert_int_equal(fixture->event.denied, 1);
	assert_int_equal(fixture->event.result, -ENOENT);
	fake_string(guest, TEXT, "");
	CALL(guest, SYS_openat, AT_FDCWD, TEXT, O_RDONLY);
	assert_string_equal(fixture->text, "openat(AT_FDCWD, \"\", O_RDONLY) = -1 ENOENT "
	                                   "(No such file or directory)");
	assert_int_equal(fixture->event.denied, 0);
	fake_string(guest, TEXT, "/");
	CALL(guest, SYS_open, TEXT, O_RDONLY | O_DIRECTORY);
	assert_int_equal(fixture->event.denied, 1);
	assert_int_equal(fixture->event.result, -EACCES);
	CALL(guest, SYS_rmdir, TEXT);
	assert_int_equal(fixture->event.denied, 1);
	CALL(guest, SYS_stat, TEXT, STAT);
	assert_int_equal(fixture->event.denied, 0);
}

/* ---- Formats ---- */

static const struct {
	const char *name, *format;
	uint32_t number;
} rows[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note) {#name, format, number},
#include "linux/syscalls.def"
#undef SYSTEM_CALL
};

static bool is_known(const struct trace_token *token)
{
	switch (token->kind) {
	case '[':
		return trace_names_find(token->name, token->length) != NULL;
	case '<':
	case '{':
		return trace_struct_find(token->name, token->length) != NULL;
	default:
		return strchr("dluxofDpswrm", token->kind) != NULL;
	}
}

static bool is_named(const struct trace_token *token, const char *name)
{
	return token->length == strlen(name) && memcmp(token->name, name, token->length) == 0;
}

/* A count behind it, or before it what it depends on. */
static bool needs_next(const struct trace_token *token)
{
	return token->kind == 'w' || is_named(token, "iovec") || is_named(token, "filled_iovec") ||
	       is_named(token, "pollfd");
}

static bool needs_previous(const struct trace_token *token)
{
	return token->kind == 'm' || is_named(token, "fcntl");
}

static void check_format(const char *name, const char *format)
{
	struct trace_token token;
	unsigned count = 0;

	while (trace_next_token(&format, &token)) {
		if (!is_known(&token) || (count == 0 && needs_previous(&token)))
			fail_msg("%s: argument %u", name, count);
		if (needs_next(&token) && *format != 'u' && *format != 'd')
			fail_msg("%s: argument %u needs a count", name, count);
		count++;
	}
	assert_true(count <= 6);
}

static void test_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_format(rows[i].name, rows[i].format + (rows[i].format[0] == '*'));
#define HYPERCALL(number, name, format, when, handler, note) check_format(#name, format);
#include "http/hypercalls.def"
#undef HYPERCALL
}

/* ---- Anything at all ---- */

static const uint64_t wild[] = {
	0,
	1,
	2,
	31,
	64,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	FAKE_START,
	FAKE_START + 1,
	FAKE_END - 1,
	FAKE_END - 8,
	FAKE_END,
	FAKE_HOLE,
	FAKE_HOLE - 1,
	FAKE_HOLE - 24,
	FAKE_READ_ONLY,
	0x7fffffffffff,
	0x800000000000,
	0x8000000000000000,
	0xfffffffffffff000,
	UINT64_MAX - 7,
	UINT64_MAX,
};

static const int64_t results[] = {0, 1, 5, 64, INT32_MAX, INT64_MAX, INT64_MIN, -1, -EFAULT, -4096};

static void fill_memory(struct fake_guest *guest, bool with_pointers)
{
	uint64_t *words = (uint64_t *)(void *)guest->memory;

	for (size_t i = 0; i < FAKE_PAGES * PAGE_SIZE / sizeof(*words); i++)
		words[i] = with_pointers ? wild[(size_t)rand() % ARRAY_SIZE(wild)] : UINT64_MAX;
}

static void trace_wildly(struct fixture *fixture, size_t row)
{
	for (unsigned round = 0; round < 200; round++) {
		uint64_t a[6];

		for (unsigned i = 0; i < 6; i++)
			a[i] = wild[(size_t)rand() % ARRAY_SIZE(wild)];
		trace(fixture, rows[row].number, a, results[(size_t)rand() % ARRAY_SIZE(results)]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		const uint64_t a[6] = {wild[i], wild[i], wild[i], wild[i], wild[i], wild[i]};

		for (size_t j = 0; j < ARRAY_SIZE(results); j++)
			trace(fixture, rows[row].number, a, results[j]);
	}
}

static void test_nothing_harms(void **state)
{
	struct fixture *fixture = *state;

	srand(1);
	for (int with_pointers = 0; with_pointers < 2; with_pointers++) {
		fill_memory(&fixture->guest, with_pointers);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			trace_wildly(fixture, i);
	}
}

/* The longest: what does not fit is cut, and the result is there. */
static void test_long_lines_end_with_their_result(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	const uint64_t a[6] = {1, VECTOR, 5};
	const struct iovec part = {(void *)LONG_TEXT, 40};

	memset(fake_pointer(guest, LONG_TEXT), 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < 5; i++)
		put(guest, VECTOR + i * sizeof(part), &part, sizeof(part));
	trace(fixture, SYS_writev, a, 200);
	assert_non_null(strstr(fixture->text, "...) = 200"));
	assert_int_equal(strlen(fixture->text),
	                 TRACE_TEXT_SIZE - TRACE_END_SIZE - 1 + strlen(") = 200"));
}

/* The guest's memory is as it was. */
static void test_traces_leave_memory_alone(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint8_t *before = malloc(FAKE_PAGES * PAGE_SIZE);

	assert_non_null(before);
	srand(2);
	fill_memory(guest, true);
	memcpy(before, guest->memory, FAKE_PAGES * PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		trace_wildly(fixture, i);
	assert_memory_equal(before, guest->memory, FAKE_PAGES * PAGE_SIZE);
	free(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_every_error_has_a_name),
		TEST(test_number_without_a_name),
		TEST(test_calls_are_told_as_they_end),
		TEST(test_denials_are_told),
		cmocka_unit_test(test_formats),
		TEST(test_nothing_harms),
		TEST(test_long_lines_end_with_their_result),
		TEST(test_traces_leave_memory_alone),
	};

	return cmocka_run_group_tests_name("linux_trace", tests, NULL, NULL);
}
