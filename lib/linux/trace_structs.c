/* SPDX-License-Identifier: MIT */
/*
 * Structures of system calls as text. Each is copied once; one that cannot be
 * read is shown as its address, and of an array only the beginning.
 */
#include "trace_structs.h"

#include "../util.h"
#include "mm.h"
#include "trace_names.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

/* Elements of an array that are shown. */
#define ELEMENTS 4

/* false: the address is there instead. */
static bool take(struct trace_line *line, struct process *process, uint64_t address, void *data,
                 size_t size)
{
	if (guest_peek(process, address, data, size) == size)
		return true;
	trace_add_pointer(line, address);
	return false;
}

/*
 * Arrays: [first, second, ...]. Each element is read on its own, since no count
 * of the guest's is a reason for a large copy.
 */
struct array {
	uint64_t address, count, element_size;
	void (*add)(struct trace_line *line, struct process *process, const void *element,
	            int64_t result);
};

static void add_array(struct trace_line *line, struct process *process, const struct array *array,
                      int64_t result)
{
	uint64_t element[4]; /* the largest of them */

	if (array->count > 0 && !take(line, process, array->address, element, array->element_size))
		return;
	trace_add(line, "[");
	for (uint64_t i = 0; i < array->count && i < ELEMENTS; i++) {
		trace_add(line, i > 0 ? ", " : "");
		if (!take(line, process, array->address + i * array->element_size, element,
		          array->element_size))
			break;
		array->add(line, process, element, result);
	}
	trace_add(line, array->count > ELEMENTS ? ", ...]" : "]");
}

/* Numbers. */

static void add_int(struct trace_line *line, struct process *process, const uint64_t *argument,
                    int64_t result)
{
	int32_t value;

	(void)result;
	if (take(line, process, *argument, &value, sizeof(value)))
		trace_add(line, "[%" PRId32 "]", value);
}

static void add_long(struct trace_line *line, struct process *process, const uint64_t *argument,
                     int64_t result)
{
	int64_t value;

	(void)result;
	if (take(line, process, *argument, &value, sizeof(value)))
		trace_add(line, "[%" PRId64 "]", value);
}

static void add_pair(struct trace_line *line, struct process *process, const uint64_t *argument,
                     int64_t result)
{
	int32_t pair[2];

	(void)result;
	if (take(line, process, *argument, pair, sizeof(pair)))
		trace_add(line, "[%" PRId32 ", %" PRId32 "]", pair[0], pair[1]);
}

static void add_output_string(struct trace_line *line, struct process *process,
                              const uint64_t *argument, int64_t result)
{
	(void)result;
	trace_add_string(line, process, *argument);
}

/* Files. */

static void add_mode(struct trace_line *line, uint32_t mode)
{
	trace_add_named(line, "file_type", mode & S_IFMT);
	trace_add(line, "|%#03" PRIo32, mode & ~(uint32_t)S_IFMT);
}

static void add_size(struct trace_line *line, const char *prefix, uint32_t mode, uint64_t size,
                     uint64_t major, uint64_t minor)
{
	if (S_ISCHR(mode) || S_ISBLK(mode))
		trace_add(line, ", %srdev=%#" PRIx64 ":%#" PRIx64 ", ...}", prefix, major, minor);
	else
		trace_add(line, ", %ssize=%" PRIu64 ", ...}", prefix, size);
}

/* The C library's is the kernel's on x86-64. */
static void add_stat(struct trace_line *line, struct process *process, const uint64_t *argument,
                     int64_t result)
{
	struct stat status;

	(void)result;
	if (!take(line, process, *argument, &status, sizeof(status)))
		return;
	trace_add(line, "{st_mode=");
	add_mode(line, status.st_mode);
	add_size(line, "st_", status.st_mode, (uint64_t)status.st_size,
	         (status.st_rdev >> 8) & 0xfff, (status.st_rdev & 0xff));
}

static void add_statx(struct trace_line *line, struct process *process, const uint64_t *argument,
                      int64_t result)
{
	struct statx status;

	(void)result;
	if (!take(line, process, *argument, &status, sizeof(status)))
		return;
	trace_add(line, "{stx_mask=");
	trace_add_named(line, "statx", status.stx_mask);
	trace_add(line, ", stx_mode=");
	add_mode(line, status.stx_mode);
	add_size(line, "stx_", status.stx_mode, status.stx_size, status.stx_rdev_major,
	         status.stx_rdev_minor);
}

static void add_statfs(struct trace_line *line, struct process *process, const uint64_t *argument,
                       int64_t result)
{
	struct statfs status;

	(void)result;
	if (take(line, process, *argument, &status, sizeof(status)))
		trace_add(line, "{f_type=%#lx, f_bsize=%ld, f_blocks=%lu, f_bfree=%lu, ...}",
		          (unsigned long)status.f_type, (long)status.f_bsize,
		          (unsigned long)status.f_blocks, (unsigned long)status.f_bfree);
}

/* openat2(2). */
static void add_open_how(struct trace_line *line, struct process *process, const uint64_t *argument,
                         int64_t result)
{
	struct {
		uint64_t flags, mode, resolve;
	} how;

	(void)result;
	if (!take(line, process, *argument, &how, sizeof(how)))
		return;
	trace_add(line, "{flags=");
	trace_add_named(line, "open", how.flags);
	trace_add(line, ", mode=%#" PRIo64 ", resolve=", how.mode);
	trace_add_named(line, "resolve", how.resolve);
	trace_add(line, "}");
}

/* The third argument of fcntl(2): what it is depends on the second. */
static void add_fcntl(struct trace_line *line, struct process *process, const uint64_t *argument,
                      int64_t result)
{
	(void)process;
	(void)result;
	switch ((int32_t)argument[-1]) {
	case F_SETFL:
		trace_add_named(line, "open", *argument);
		break;
	case F_SETFD:
		trace_add_named(line, "descriptor", *argument);
		break;
	case F_ADD_SEALS:
		trace_add_named(line, "seal", *argument);
		break;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_SETPIPE_SZ:
		trace_add(line, "%" PRId32, (int32_t)*argument);
		break;
	default:
		trace_add(line, *argument ? "%#" PRIx64 : "%" PRIx64, *argument);
		break;
	}
}

/* Times. */

static void add_times(struct trace_line *line, struct process *process, const uint64_t *argument,
                      const char *fraction, unsigned count)
{
	int64_t times[4];

	if (!take(line, process, *argument, times, 2 * count * sizeof(times[0])))
		return;
	trace_add(line, count > 1 ? "[" : "");
	for (unsigned i = 0; i < count; i++)
		trace_add(line, "%s{tv_sec=%" PRId64 ", %s=%" PRId64 "}", i > 0 ? ", " : "",
		          times[2 * i], fraction, times[2 * i + 1]);
	trace_add(line, count > 1 ? "]" : "");
}

static void add_timespec(struct trace_line *line, struct process *process, const uint64_t *argument,
                         int64_t result)
{
	(void)result;
	add_times(line, process, argument, "tv_nsec", 1);
}

static void add_timespecs(struct trace_line *line, struct process *process,
                          const uint64_t *argument, int64_t result)
{
	(void)result;
	add_times(line, process, argument, "tv_nsec", 2);
}

static void add_timeval(struct trace_line *line, struct process *process, const uint64_t *argument,
                        int64_t result)
{
	(void)result;
	add_times(line, process, argument, "tv_usec", 1);
}

static void add_timevals(struct trace_line *line, struct process *process, const uint64_t *argument,
                         int64_t result)
{
	(void)result;
	add_times(line, process, argument, "tv_usec", 2);
}

static void add_rusage(struct trace_line *line, struct process *process, const uint64_t *argument,
                       int64_t result)
{
	struct rusage usage;

	(void)result;
	if (take(line, process, *argument, &usage, sizeof(usage)))
		trace_add(
			line,
			"{ru_utime={tv_sec=%ld, tv_usec=%ld}, ru_stime={tv_sec=%ld, tv_usec=%ld}, "
			"...}",
			(long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec,
			(long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec);
}

/* Limits and the system. */

static void add_limit(struct trace_line *line, uint64_t limit)
{
	if (limit == UINT64_MAX)
		trace_add(line, "RLIM64_INFINITY");
	else
		trace_add(line, "%" PRIu64, limit);
}

static void add_rlimit(struct trace_line *line, struct process *process, const uint64_t *argument,
                       int64_t result)
{
	uint64_t limits[2];

	(void)result;
	if (!take(line, process, *argument, limits, sizeof(limits)))
		return;
	trace_add(line, "{rlim_cur=");
	add_limit(line, limits[0]);
	trace_add(line, ", rlim_max=");
	add_limit(line, limits[1]);
	trace_add(line, "}");
}

static void add_utsname(struct trace_line *line, struct process *process, const uint64_t *argument,
                        int64_t result)
{
	struct utsname names;

	(void)result;
	if (!take(line, process, *argument, &names, sizeof(names)))
		return;
	trace_add(line, "{sysname=");
	trace_add_quoted(line, names.sysname, strnlen(names.sysname, TRACE_STRING), false);
	trace_add(line, ", nodename=");
	trace_add_quoted(line, names.nodename, strnlen(names.nodename, TRACE_STRING), false);
	trace_add(line, ", ...}");
}

static void add_sysinfo(struct trace_line *line, struct process *process, const uint64_t *argument,
                        int64_t result)
{
	struct sysinfo information;

	(void)result;
	if (take(line, process, *argument, &information, sizeof(information)))
		trace_add(line, "{uptime=%ld, totalram=%lu, freeram=%lu, mem_unit=%u, ...}",
		          information.uptime, information.totalram, information.freeram,
		          information.mem_unit);
}

/* Signals. */

static void add_signals(struct trace_line *line, uint64_t set)
{
	const char *separator = "";

	/* What is not in a nearly full set is shorter. */
	if (__builtin_popcountll(set) > 32) {
		trace_add(line, "~");
		set = ~set;
	}
	trace_add(line, "[");
	for (unsigned signal = 1; signal <= 64; signal++) {
		if (!(set >> (signal - 1) & 1))
			continue;
		trace_add(line, "%s", separator);
		trace_add_named(line, "signal", signal);
		separator = " ";
	}
	trace_add(line, "]");
}

static void add_sigset(struct trace_line *line, struct process *process, const uint64_t *argument,
                       int64_t result)
{
	uint64_t set;

	(void)result;
	if (take(line, process, *argument, &set, sizeof(set)))
		add_signals(line, set);
}

/* The kernel's own struct sigaction. */
static void add_sigaction(struct trace_line *line, struct process *process,
                          const uint64_t *argument, int64_t result)
{
	struct {
		uint64_t handler, flags, restorer, mask;
	} action;

	(void)result;
	if (!take(line, process, *argument, &action, sizeof(action)))
		return;
	if (action.handler <= 1)
		trace_add(line, "{sa_handler=%s", action.handler ? "SIG_IGN" : "SIG_DFL");
	else
		trace_add(line, "{sa_handler=%#" PRIx64, action.handler);
	trace_add(line, ", sa_mask=");
	add_signals(line, action.mask);
	trace_add(line, ", sa_flags=");
	trace_add_named(line, "signal_action", action.flags);
	trace_add(line, "}");
}

static void add_stack(struct trace_line *line, struct process *process, const uint64_t *argument,
                      int64_t result)
{
	stack_t stack;

	(void)result;
	if (!take(line, process, *argument, &stack, sizeof(stack)))
		return;
	trace_add(line, "{ss_sp=");
	trace_add_pointer(line, (uintptr_t)stack.ss_sp);
	trace_add(line, ", ss_flags=");
	trace_add_named(line, "stack", (uint32_t)stack.ss_flags);
	trace_add(line, ", ss_size=%zu}", stack.ss_size);
}

/* Lists. */

static void add_pollfd_element(struct trace_line *line, struct process *process,
                               const void *element, int64_t result)
{
	struct pollfd entry;

	(void)process;
	memcpy(&entry, element, sizeof(entry));
	trace_add(line, "{fd=%d, events=", entry.fd);
	trace_add_named(line, "poll", (uint16_t)entry.events);
	if (result > 0 && entry.revents) {
		trace_add(line, ", revents=");
		trace_add_named(line, "poll", (uint16_t)entry.revents);
	}
	trace_add(line, "}");
}

static void add_pollfd(struct trace_line *line, struct process *process, const uint64_t *argument,
                       int64_t result)
{
	const struct array array = {*argument, (uint32_t)argument[1], sizeof(struct pollfd),
	                            add_pollfd_element};

	add_array(line, process, &array, result);
}

static void add_epoll_element(struct trace_line *line, struct process *process, const void *element,
                              int64_t result)
{
	struct epoll_event event;

	(void)process;
	(void)result;
	memcpy(&event, element, sizeof(event));
	trace_add(line, "{events=");
	trace_add_named(line, "epoll_events", event.events);
	trace_add(line, ", data=%#" PRIx64 "}", (uint64_t)event.data.u64);
}

static void add_epoll_event(struct trace_line *line, struct process *process,
                            const uint64_t *argument, int64_t result)
{
	struct epoll_event event;

	if (take(line, process, *argument, &event, sizeof(event)))
		add_epoll_element(line, process, &event, result);
}

static void add_epoll_events(struct trace_line *line, struct process *process,
                             const uint64_t *argument, int64_t result)
{
	const struct array array = {*argument, (uint64_t)result, sizeof(struct epoll_event),
	                            add_epoll_element};

	add_array(line, process, &array, result);
}

static void add_iovec_element(struct trace_line *line, struct process *process, const void *element,
                              int64_t result)
{
	uint64_t range[2];

	(void)result;
	memcpy(range, element, sizeof(range));
	trace_add(line, "{iov_base=");
	trace_add_buffer(line, process, range[0], range[1]);
	trace_add(line, ", iov_len=%" PRIu64 "}", range[1]);
}

static void add_iovec(struct trace_line *line, struct process *process, const uint64_t *argument,
                      int64_t result)
{
	const struct array array = {*argument, (uint32_t)argument[1], sizeof(struct iovec),
	                            add_iovec_element};

	add_array(line, process, &array, result);
}

/* As add_iovec(), of what was read: only so much of the buffers is the call's. */
static void add_filled_iovec(struct trace_line *line, struct process *process,
                             const uint64_t *argument, int64_t result)
{
	uint64_t left = (uint64_t)result, range[2];
	uint32_t count = (uint32_t)argument[1];

	trace_add(line, "[");
	for (uint32_t i = 0; i < count && i < ELEMENTS; i++) {
		trace_add(line, i > 0 ? ", " : "");
		if (!take(line, process, *argument + i * sizeof(range), range, sizeof(range)))
			break;
		trace_add(line, "{iov_base=");
		trace_add_buffer(line, process, range[0], min_u64(range[1], left));
		trace_add(line, ", iov_len=%" PRIu64 "}", range[1]);
		left -= min_u64(range[1], left);
	}
	trace_add(line, count > ELEMENTS ? ", ...]" : "]");
}

/* A list of pointers to strings that ends with NULL, as of execve(2). */
static void add_strings(struct trace_line *line, struct process *process, const uint64_t *argument,
                        int64_t result)
{
	uint64_t string;

	(void)result;
	if (!take(line, process, *argument, &string, sizeof(string)))
		return;
	trace_add(line, "[");
	for (unsigned i = 0; i <= ELEMENTS; i++) {
		if (guest_peek(process, *argument + i * sizeof(string), &string, sizeof(string)) <
		            sizeof(string) ||
		    !string)
			break;
		trace_add(line, i > 0 ? ", " : "");
		if (i == ELEMENTS)
			trace_add(line, "...");
		else
			trace_add_string(line, process, string);
	}
	trace_add(line, "]");
}

static const struct {
	const char *name;
	trace_struct add;
} kinds[] = {
	{"int", add_int},
	{"long", add_long},
	{"pair", add_pair},
	{"string", add_output_string},
	{"stat", add_stat},
	{"statx", add_statx},
	{"statfs", add_statfs},
	{"open_how", add_open_how},
	{"fcntl", add_fcntl},
	{"timespec", add_timespec},
	{"timespecs", add_timespecs},
	{"timeval", add_timeval},
	{"timevals", add_timevals},
	{"itimerval", add_timevals},
	{"itimerspec", add_timespecs},
	{"rusage", add_rusage},
	{"rlimit", add_rlimit},
	{"utsname", add_utsname},
	{"sysinfo", add_sysinfo},
	{"sigset", add_sigset},
	{"sigaction", add_sigaction},
	{"stack", add_stack},
	{"pollfd", add_pollfd},
	{"epoll_event", add_epoll_event},
	{"epoll_events", add_epoll_events},
	{"iovec", add_iovec},
	{"filled_iovec", add_filled_iovec},
	{"strings", add_strings},
};

trace_struct trace_struct_find(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(kinds[i].name, name, length) == 0 && kinds[i].name[length] == '\0')
			return kinds[i].add;
	return NULL;
}
