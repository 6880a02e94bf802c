/* SPDX-License-Identifier: MIT */
/*
 * Leaves a mark by any channel of channels.def (leave), looks for it (look),
 * and makes each system call and hypercall that writes to memory do so at any
 * place of it (output). Everything is by raw system calls: what libc remembers
 * is not what is looked for.
 */
#define _GNU_SOURCE
#include "channels.h"

#include "api.h"
#include "system_call.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define LARGE_PAGE 0x200000ul
#define HEAP_PAGES 16ul
#define CLOCK_PAGE 0x7fffe000ul
#define BEYOND_USER 0xffff800000000000ul
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)
#define REQUEST_FIELDS 0
#define RESPONSE_FIELDS 1
#define MARK 0x6d61726b6d61726bul

#define A(object) ((uintptr_t)(object))
#define P(pointer) ((long)(uintptr_t)(pointer))
#define CALL(name, ...) system_call(SYS_##name, (const long[6]){__VA_ARGS__})
#define call_host(number, ...) system_call(number, (const long[6]){__VA_ARGS__})

/* Where main() maps things, each with nothing beside it. */
enum slot {
	SLOT_MAPPED,
	SLOT_ABSENT,
	SLOT_LARGE,
	SLOT_FILE_PRIVATE,
	SLOT_FILE_WRITTEN,
	SLOT_FILE_READ_ONLY,
	SLOT_FILE_SHARED,
	SLOT_READ_ONLY_PAGE,
	SLOT_NO_ACCESS_PAGE,
	SLOT_CODE,
	SLOT_EDGE,
	SLOT_LAST_PAGE,
	SLOT_TO_EXECUTE,
	SLOT_TO_PROTECT,
	SLOT_TO_CLOSE,
	SLOT_CODE_TO_CLOSE,
	SLOT_TO_UNMAP,
	SLOT_ABSENT_TO_UNMAP,
	SLOT_FILE_TO_UNMAP,
	SLOT_TO_MOVE,
	SLOT_TO_MOVE_TOO,
	SLOT_TO_GROW,
	SLOT_TO_SHRINK,
	SLOT_TO_DISCARD,
	SLOT_TO_DISCARD_TOO,
	SLOT_FILE_TO_DISCARD,
	SLOT_TO_REPLACE,
	SLOT_TO_USE_UP,
	SLOT_MEMORY_FILE,
	/* Nothing is mapped there. */
	SLOT_NOTHING,
	SLOT_EMPTY,
	SLOT_EMPTY_TOO,
	SLOT_FILE_EMPTY,
	SLOT_HINTED,
	SLOT_MOVED,
	SLOT_MOVED_TOO,
	SLOT_VDSO_MOVED,
};
#define SLOT(name) (0x200000000ul + SLOT_##name * 0x2000000ul)
#define USED_UP 0x1000000ul

/* struct curl_op of guest/kvm_api.h. */
struct curl_operation {
	uint32_t status, post_length;
	uint64_t post, headers;
	uint32_t headers_length, unused;
	uint64_t content;
	uint32_t content_length, type_length;
	char type[128];
};
#define CURL_WRITE_ERROR (-23)

/* select(2) is asked of the first eight. */
enum {
	FD_FILE = 3,
	FD_DIRECTORY,
	FD_PIPE_IN,
	FD_PIPE_OUT,
	FD_NULL,
	FD_ZERO,
	FD_RANDOM,
	FD_TO_CLOSE,
	FD_TO_CLOSE_TOO,
	FD_TO_REPLACE,
	FD_FILE_TO_READ,
	FD_FILE_TO_SEND,
	FD_PIPE_TO_DRAIN,
	FD_PIPE_TO_DRAIN_OUT,
	FD_PIPE_TO_TURN,
	FD_PIPE_TO_TURN_OUT,
	FD_PIPE_TO_CLOSE_IN,
	FD_PIPE_TO_CLOSE_OUT,
	FD_WRITTEN,
	FD_MEMORY,
	FD_MEMORY_MAPPED,
	FD_MEMORY_TO_SEEK,
	FD_MEMORY_WITHOUT_NAME,
	FD_MEMORY_DIRECTORY,
	FD_MEMFD,
	FD_EVENT,
	FD_EVENT_TO_DRAIN,
	FD_FILE_TO_SPLICE,
	FD_PIPE_TO_SPLICE,
	FD_PIPE_TO_SPLICE_OUT,
	FD_EVENT_TO_WATCH,
	FD_EPOLL,
	FD_EPOLL_TO_CHANGE,
	FD_EPOLL_TO_EMPTY,
	FD_EPOLL_TO_WAIT,
};

static uint64_t data_area[2 * WORDS] __attribute__((aligned(4096))) = {1};
static uint64_t replaced_data[WORDS] __attribute__((aligned(4096))) = {1};
static uint64_t bss_area[2 * WORDS] __attribute__((aligned(4096)));
static uint64_t untouched_area[2 * WORDS] __attribute__((aligned(4096)));
static const uint64_t constant_page[WORDS] __attribute__((aligned(4096))) = {1};
static uintptr_t heap, main_stack, deep_stack, environment_page;
static char directory[4096];
static const struct timespec no_time;
static volatile uintptr_t nowhere = 8;

/* Thread-local data as the compiler needs it, elsewhere. */
static uint64_t other_thread_area[2 * WORDS] __attribute__((aligned(4096)));

/* Pages of code: return 1. */
extern const unsigned char code_page[], replaced_text[];
extern const char __executable_start[], _end[];
__asm__(".text\n.balign 4096\ncode_page: mov $1, %eax\nret\n"
        ".balign 4096\nreplaced_text: mov $1, %eax\nret\n.balign 4096\n");

static uint64_t mix(uint64_t a, uint64_t b)
{
	return (a ^ b) * 0x9e3779b97f4a7c15ul + (a >> 29);
}

static uint64_t hash(const void *data, size_t length)
{
	const volatile unsigned char *bytes = data;
	uint64_t value = length;

	for (size_t i = 0; i < length; i++)
		value = mix(value, bytes[i]);
	return value;
}

/* Pages. */

/* prlimit(2) reads the new limit of core files, which is 0 and cannot be raised. */
static int can_be_read(uintptr_t address)
{
	return CALL(prlimit64, 0, 4, (long)(address & ~(PAGE - 1)), 0) != -EFAULT;
}

static uint64_t protection_of(uintptr_t address)
{
	unsigned char resident;
	long result = CALL(mincore, (long)(address & ~(PAGE - 1)), PAGE, P(&resident));

	return mix((uint64_t)result, (uint64_t)can_be_read(address));
}

/* What the page that holds the address is, and all that is in it. */
static uint64_t page(uintptr_t address)
{
	const volatile uint64_t *words = (const uint64_t *)(address & ~(PAGE - 1));
	uint64_t value = protection_of(address);
	size_t count = can_be_read(address) ? WORDS : 0;

	for (size_t i = 0; i < count; i++)
		value = mix(value, words[i]);
	return value;
}

static uint64_t two_pages(uintptr_t address)
{
	return mix(page(address), page(address + PAGE));
}

/* At both ends of the page. */
static int stamp(uintptr_t address)
{
	volatile uint64_t *words = (uint64_t *)(address & ~(PAGE - 1));

	words[0] = MARK;
	words[WORDS - 1] = ~MARK;
	return 1;
}

static int protect(uintptr_t address, int protection)
{
	return CALL(mprotect, (long)address, PAGE, protection) == 0;
}

static int rewrite_code(uintptr_t address)
{
	volatile unsigned char *code = (unsigned char *)address;

	if (!protect(address, RW))
		return 0;
	code[1] = 2;
	return protect(address, RX);
}

static uint64_t run_code(uintptr_t address)
{
	return mix(page(address), (uint64_t)((int (*)(void))address)());
}

static __attribute__((noinline)) uintptr_t deep_in_call(void)
{
	return ((uintptr_t)__builtin_frame_address(0) - 0x8000) & ~(PAGE - 1);
}

/* Mappings. */

static int map(uintptr_t address, size_t length, int protection, int flags, int fd)
{
	return CALL(mmap, (long)address, (long)length, protection, flags | MAP_FIXED, fd, 0) ==
	       (long)address;
}

static int map_at(uintptr_t address)
{
	return map(address, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int map_file(uintptr_t address, int protection, int flags)
{
	return map(address, PAGE, protection, flags, FD_FILE);
}

static int map_anywhere(uintptr_t hint)
{
	return CALL(mmap, (long)hint, 5 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) > 0;
}

static uint64_t next_mapping(uintptr_t hint)
{
	long address = CALL(mmap, (long)hint, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CALL(munmap, address, PAGE);
	return (uint64_t)address;
}

static int unmap(uintptr_t address)
{
	return CALL(munmap, (long)address, PAGE) == 0;
}

static int move(uintptr_t from, uintptr_t to)
{
	return CALL(mremap, (long)from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to) ==
	       (long)to;
}

static int grow(uintptr_t address)
{
	return CALL(mremap, (long)address, 2 * PAGE, 3 * PAGE, 0) == (long)address &&
	       stamp(address + 2 * PAGE);
}

static int shrink(uintptr_t address)
{
	return CALL(mremap, (long)address, 2 * PAGE, PAGE, 0) == (long)address;
}

static int discard(uintptr_t address)
{
	return CALL(madvise, (long)address, PAGE, MADV_DONTNEED) == 0;
}

static uint64_t get_brk(void)
{
	return (uint64_t)CALL(brk, 0);
}

static int set_brk(uintptr_t address)
{
	return CALL(brk, (long)address) == (long)address;
}

/* The process. */

static uint64_t look_umask(void)
{
	long before = CALL(umask, 0);

	CALL(umask, before);
	return (uint64_t)before;
}

/* What a call gives whose argument `pointer` receives something; signal sets have a size behind. */
static uint64_t look_into(long number, long first, unsigned pointer)
{
	unsigned char given[64] = {0};
	long arguments[6] = {first};
	long result;

	arguments[pointer] = P(given);
	if (number == SYS_rt_sigprocmask || number == SYS_rt_sigpending)
		arguments[pointer + 1] = 8;
	result = system_call(number, arguments);
	return mix(hash(given, sizeof(given)), (uint64_t)result);
}

/* RLIMIT_STACK; a mark can be left again where one is. */
static int set_limit(long number)
{
	const uint64_t limit[2] = {PAGE, 2 * PAGE};

	return system_call(number, number == SYS_prlimit64 ? (const long[6]){0, 3, P(limit), 0}
	                                                   : (const long[6]){3, P(limit)}) == 0;
}

static int set_nice_by_attributes(int nice)
{
	const struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t times[3];
	} attributes = {.size = 48, .nice = nice};

	return CALL(sched_setattr, 0, P(&attributes), 0) == 0;
}

static long read_capabilities(long at)
{
	uint32_t header[2] = {0x20080522, 0};

	return CALL(capget, P(header), at);
}

static uint64_t look_robust_list(void)
{
	uint64_t given[2] = {0};

	CALL(get_robust_list, 0, P(&given[0]), P(&given[1]));
	return hash(given, sizeof(given));
}

static int set_disposition(int signal, uint64_t handler)
{
	const uint64_t action[4] = {handler, 0x4000000, A(code_page), 0x10};

	return CALL(rt_sigaction, signal, P(action), 0, 8) == 0;
}

static uint64_t look_disposition(int signal)
{
	uint64_t action[4] = {0};
	long result = CALL(rt_sigaction, signal, 0, P(action), 8);

	return mix(hash(action, sizeof(action)), (uint64_t)result);
}

static int block_signal(int signal)
{
	const uint64_t set = 1ul << (signal - 1);

	return CALL(rt_sigprocmask, SIG_BLOCK, P(&set), 0, 8) == 0;
}

static int set_signal_stack(void)
{
	const stack_t stack = {.ss_sp = (void *)SLOT(MAPPED), .ss_size = 0x4000};

	return CALL(sigaltstack, P(&stack), 0) == 0;
}

/* For what reads thread-local data meanwhile, it is the same there. */
static int move_fs_base(void)
{
	uintptr_t to = A(other_thread_area) + PAGE, from;

	CALL(arch_prctl, ARCH_GET_FS, P(&from));
	memcpy((char *)to - 0x200, (const char *)from - 0x200, 0x400);
	return CALL(arch_prctl, ARCH_SET_FS, (long)to) == 0;
}

/* Descriptors. */

static uint64_t next_descriptor(void)
{
	long fd = CALL(dup, 2);

	CALL(close, fd);
	return (uint64_t)fd;
}

static uint64_t look_file(int fd)
{
	struct stat status = {0};
	long result = CALL(fstat, fd, P(&status));

	return mix(mix((uint64_t)result, status.st_mode), mix(status.st_ino, status.st_rdev));
}

static int set_nonblocking(int fd)
{
	const int on = 1;

	return CALL(ioctl, fd, FIONBIO, P(&on)) == 0;
}

static uint64_t look_offset(int fd)
{
	return (uint64_t)CALL(lseek, fd, 0, SEEK_CUR);
}

static int read_some(int fd)
{
	char data[2];

	return CALL(read, fd, P(data), sizeof(data)) == sizeof(data);
}

static int read_directory(int fd)
{
	char entries[256];

	return CALL(getdents64, fd, P(entries), sizeof(entries)) > 0;
}

static uint64_t look_directory(int fd)
{
	uint64_t offset = look_offset(fd);
	char entries[256] = {0};

	CALL(getdents64, fd, P(entries), sizeof(entries));
	CALL(lseek, fd, (long)offset, SEEK_SET);
	return mix(offset, hash(entries, sizeof(entries)));
}

static uint64_t look_directory_name(void)
{
	char name[4096];

	memset(name, 0, sizeof(name));
	CALL(getcwd, P(name), sizeof(name));
	return hash(name, sizeof(name));
}

static uint64_t look_pipe(int fd)
{
	int length = -1;
	long result = CALL(ioctl, fd, FIONREAD, P(&length));

	return mix((uint64_t)length, (uint64_t)result);
}

static uint64_t look_poll(int fd)
{
	struct pollfd poll = {.fd = fd, .events = POLLIN};

	long result = CALL(poll, P(&poll), 1, 0);

	return mix((uint64_t)poll.revents, (uint64_t)result);
}

/* Takes what is in the pipe, and puts it back. */
static uint64_t turn_pipe(void)
{
	char data[16] = {0};
	long length = CALL(read, FD_PIPE_TO_TURN, P(data), sizeof(data));

	CALL(write, FD_PIPE_TO_TURN_OUT, P(data), length);
	return hash(data, sizeof(data));
}

/* As much as there was. */
static int write_into_pipe(void)
{
	return read_some(FD_PIPE_TO_TURN) && CALL(write, FD_PIPE_TO_TURN_OUT, P("XY"), 2) == 2;
}

static uint64_t look_event(int fd)
{
	struct pollfd poll = {.fd = fd, .events = POLLIN};

	return CALL(poll, P(&poll), 1, 0) == 1;
}

static int add_to_event(void)
{
	uint64_t value = 3;

	return CALL(write, FD_EVENT, P(&value), 8) == 8;
}

static int watch(int epfd, int operation, unsigned events)
{
	struct epoll_event event = {.events = events, .data.u64 = MARK};

	return CALL(epoll_ctl, epfd, operation, FD_EVENT_TO_WATCH, P(&event)) == 0;
}

static int wait_for_events(int epfd)
{
	struct epoll_event event;

	return CALL(epoll_wait, epfd, P(&event), 1, 0) == 1;
}

static int drain_event(void)
{
	uint64_t value;

	return CALL(read, FD_EVENT_TO_DRAIN, P(&value), 8) == 8;
}

static int make_pipe(void)
{
	int ends[2];

	return CALL(pipe, P(ends)) == 0;
}

/* Files in memory. */

static uint64_t look_status(const struct stat *status, long result)
{
	uint64_t value = mix((uint64_t)result, mix(status->st_mode, status->st_ino));

	value = mix(value, mix((uint64_t)status->st_size, (uint64_t)status->st_blocks));
	value = mix(value, mix((uint64_t)status->st_mtime, (uint64_t)status->st_ctime));
	return mix(value, mix((uint64_t)status->st_nlink, (uint64_t)status->st_atime));
}

static uint64_t look_path(const char *path)
{
	struct stat status = {0};
	long result = CALL(lstat, P(path), P(&status));

	return look_status(&status, result);
}

/* All but the time. */
static uint64_t look_memory(int fd)
{
	struct stat status = {0};
	long result = CALL(fstat, fd, P(&status));
	char data[3 * PAGE];

	memset(data, 0, sizeof(data));
	CALL(pread64, fd, P(data), sizeof(data), 0);
	return mix(hash(data, sizeof(data)), look_status(&status, result));
}

static int write_memory(int fd, long offset)
{
	return CALL(pwrite64, fd, P("mark"), 4, offset) == 4;
}

static int punch(int fd)
{
	return CALL(fallocate, fd, 3, 0, PAGE) == 0;
}

static int make_file(const char *path)
{
	long fd = CALL(open, P(path), O_CREAT | O_EXCL | O_RDWR, 0600);

	return fd >= 0 && CALL(write, fd, P("mark"), 4) == 4 && CALL(close, fd) == 0;
}

static int make_memfd(void)
{
	return CALL(memfd_create, P("mark"), 0) >= 0;
}

static uint64_t look_space(void)
{
	struct statfs status;
	long result;

	memset(&status, 0, sizeof(status));
	result = CALL(statfs, P("/tmp"), P(&status));
	return mix((uint64_t)result, mix(status.f_bfree, status.f_ffree));
}

/* The names in the directory, in their order and at their positions. */
static uint64_t look_names(int fd)
{
	uint64_t offset = look_offset(fd), value;
	char entries[1024];

	memset(entries, 0, sizeof(entries));
	CALL(lseek, fd, 0, SEEK_SET);
	CALL(getdents64, fd, P(entries), sizeof(entries));
	CALL(lseek, fd, (long)offset, SEEK_SET);
	value = hash(entries, sizeof(entries));
	return value;
}

static int set_times(const char *path)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};

	return CALL(utimensat, AT_FDCWD, P(path), P(times), 0) == 0;
}

/* What the master mapped and never touched, after the file was written. */
static int use_mapping(void)
{
	return write_memory(FD_MEMORY_MAPPED, 8) && page(SLOT(MEMORY_FILE)) != 0;
}

/* Requests. */

static int http_set(int where, const char *text)
{
	call_host(0x10021, where, P(text), (long)strlen(text));
	return 1;
}

static int http_append(int where, const char *text)
{
	call_host(0x10020, where, P(text), (long)strlen(text));
	return 1;
}

static uint64_t http_find(int where, const char *name)
{
	char text[64] = {0};
	long length = call_host(0x10022, where, P(name), (long)strlen(name), P(text), sizeof(text));

	return mix(hash(text, sizeof(text)), (uint64_t)length);
}

/* Fetches, of which the host knows the answer. */

/* RAX, but where the content could not be stored, -EFAULT; or where it was without an address. */
static long fetch(uintptr_t content, unsigned length)
{
	static const char url[] = "http://channels/";
	struct curl_operation operation = {.content = content, .content_length = length};
	long result = call_host(0x20000, P(url), sizeof(url) - 1, P(&operation), 0, 0);

	if (result != 0)
		return result == CURL_WRITE_ERROR ? -EFAULT : result;
	return content == 0 ? (long)operation.content : 0;
}

/* What is there may be no operation: then it would be denied. */
static long request_at(uintptr_t at)
{
	const struct curl_operation *operation = (const struct curl_operation *)at;

	if (!can_be_read(at) || !can_be_read(at + sizeof(*operation) - 1) || operation->post != 0)
		return -EFAULT;
	return call_host(0x20001, P("/"), 1, at, 0, 0);
}

/* Compiled by main(). */
#define REGEX_OF_MAIN "t.x"

static long regex_compile(const char *pattern)
{
	return call_host(0x10030, P(pattern), (long)strlen(pattern));
}

static int regex_free(const char *pattern)
{
	call_host(0x10031, regex_compile(pattern));
	return 1;
}

/* The first handle that is free. */
static uint64_t look_for_regexes(void)
{
	long handle = regex_compile("looking");

	call_host(0x10031, handle);
	return (uint64_t)handle;
}

static int copy_fields(void)
{
	call_host(0x10035, regex_compile("X-Given"), REQUEST_FIELDS, RESPONSE_FIELDS);
	return 1;
}

/* Endings. */

static void use_all_memory(void)
{
	for (size_t i = 0; i < USED_UP; i += PAGE)
		*(volatile uint64_t *)(SLOT(TO_USE_UP) + i) = MARK;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

static void unmap_call_stack(void)
{
	uintptr_t here = A(__builtin_frame_address(0)) & ~(PAGE - 1);

	CALL(munmap, (long)(here - PAGE), 2 * PAGE);
}

static void unmap_program(void)
{
	CALL(munmap, P(__executable_start), (P(_end) - P(__executable_start) + 4095) & ~4095l);
}

/* What the host calls. */

static int leave_one(unsigned channel)
{
	switch (channel) {
#define CHANNEL(name, lives, touch, address, leave, look)                                          \
	case CHANNEL_##name:                                                                       \
		return (leave);
#include "../channels.def"
	default:
		return 0;
	}
}

static uint64_t look_one(unsigned channel)
{
	switch (channel) {
#define CHANNEL(name, lives, touch, address, leave, look)                                          \
	case CHANNEL_##name:                                                                       \
		return (look);
#include "../channels.def"
	default:
		return 0;
	}
}

/* Whether it could; what is then seen goes to *seen. */
EXPORTED int leave(unsigned channel, uint64_t *seen)
{
	int left = leave_one(channel);

	*seen = look_one(channel);
	return left;
}

EXPORTED uint64_t look(unsigned channel)
{
	return look_one(channel);
}

EXPORTED void look_at_all(uint64_t *seen)
{
	for (unsigned channel = 0; channel < CHANNEL_COUNT; channel++)
		seen[channel] = look_one(channel);
}

EXPORTED uintptr_t address_of_channel(unsigned channel)
{
	switch (channel) {
#define CHANNEL(name, lives, touch, address, leave, look)                                          \
	case CHANNEL_##name:                                                                       \
		return (address);
#include "../channels.def"
	default:
		return 0;
	}
}

EXPORTED uintptr_t address_of_place(unsigned place)
{
	switch (place) {
#define PLACE(name, content, address)                                                              \
	case PLACE_##name:                                                                         \
		return (address);
#include "../channels.def"
	default:
		return 0;
	}
}

EXPORTED void store(uintptr_t address)
{
	*(volatile uint64_t *)(address + 8) = MARK;
}

EXPORTED void jump(uintptr_t address)
{
	((void (*)(void))address)();
}

static void end(unsigned ending)
{
	switch (ending) {
#define ENDING(name, outcome, code)                                                                \
	case ENDING_##name:                                                                        \
		(void)(code);                                                                      \
		break;
#include "../channels.def"
	default:
		break;
	}
}

/* Marks in everything at once. Some undo others: that all are there is not said. */
EXPORTED void leave_all(unsigned ending)
{
	for (unsigned channel = 0; channel < CHANNEL_COUNT; channel++)
		leave_one(channel);
	end(ending);
}

EXPORTED uint64_t look_at_place(unsigned place)
{
	return two_pages(address_of_place(place));
}

static long read_vector_of(long number, int fd, uintptr_t at)
{
	char here[1];
	const struct iovec vector[3] = {
		{.iov_base = (void *)at, .iov_len = 40},
		{.iov_base = here, .iov_len = sizeof(here)},
		{.iov_base = (void *)(at + 40), .iov_len = 24},
	};

	return system_call(number, (const long[6]){fd, P(vector), 3});
}

static long read_vector(long number, uintptr_t at)
{
	return read_vector_of(number, FD_FILE, at);
}

static long make_output(unsigned row, uintptr_t address)
{
	const long at = (long)address;
	uint64_t here = 0;
	unsigned next = 0;

#define OUTPUT(call, variant, changes, code)                                                       \
	if (row == next++)                                                                         \
		return (code);
#include "../channels.def"
#define HYPERCALL_OUTPUT(call, variant, changes, code)                                             \
	if (row == next++)                                                                         \
		return (code);
#include "../channels.def"
	return (long)here - 1;
}

EXPORTED void output(struct output_seen *seen, unsigned row, unsigned place)
{
	uintptr_t at = address_of_place(place);

	seen->before = two_pages(at);
	seen->result = make_output(row, at);
	seen->after = two_pages(at);
}

/* Of requests: "/leave", "/look", "/output" with the argument as its number, or a response. */
EXPORTED struct output_seen handled;

static uint64_t look_in_request(unsigned channel)
{
	switch (channel) {
#define REQUEST_CHANNEL(name, leave, look)                                                         \
	case REQUEST_CHANNEL_##name:                                                               \
		return (look);
#include "../channels.def"
	default:
		return 0;
	}
}

static int leave_in_request(unsigned channel)
{
	switch (channel) {
#define REQUEST_CHANNEL(name, leave, look)                                                         \
	case REQUEST_CHANNEL_##name:                                                               \
		return (leave);
#include "../channels.def"
	default:
		return 0;
	}
}

static void on_get(const char *url, const char *argument)
{
	unsigned number = 0;

	for (; *argument != '\0'; argument++)
		number = number * 10 + (unsigned)(*argument - '0');
	if (strcmp(url, "/output") == 0)
		return output(&handled, number / PLACE_COUNT, number % PLACE_COUNT);
	if (strcmp(url, "/leave") == 0)
		leave_in_request(number);
	if (strcmp(url, "/respond") == 0)
		call_host(0x10010, 200, P("text/marked"), 11, P("marked"), 6);
	handled.after = look_in_request(number);
}

/* The program. */

static void fill(uintptr_t address)
{
	for (size_t i = 0; i < 2 * WORDS; i++)
		((volatile uint64_t *)address)[i] = PLACE_WORD;
}

static void move_descriptor(int from, int to)
{
	if (from == to)
		return;
	CALL(dup2, from, to);
	CALL(close, from);
}

static void open_as(const char *path, int fd)
{
	move_descriptor((int)CALL(open, P(path), O_RDONLY), fd);
}

static void pipe_as(int in, int out)
{
	int ends[2];

	CALL(pipe, P(ends));
	/* The lowest numbers first: they may be the other's. */
	move_descriptor(ends[0], in);
	move_descriptor(ends[1], out);
	CALL(write, out, P("ab"), 2);
}

/* In the order of their numbers, so that none is in the way of another. */
static void open_descriptors(const char *file)
{
	open_as(file, FD_FILE);
	open_as(directory, FD_DIRECTORY);
	pipe_as(FD_PIPE_IN, FD_PIPE_OUT);
	move_descriptor((int)CALL(open, P("/dev/null"), O_RDWR), FD_NULL);
	open_as("/dev/zero", FD_ZERO);
	open_as("/dev/urandom", FD_RANDOM);
	open_as(file, FD_TO_CLOSE);
	open_as(file, FD_TO_CLOSE_TOO);
	open_as(directory, FD_TO_REPLACE);
	open_as(file, FD_FILE_TO_READ);
	open_as(file, FD_FILE_TO_SEND);
	pipe_as(FD_PIPE_TO_DRAIN, FD_PIPE_TO_DRAIN_OUT);
	pipe_as(FD_PIPE_TO_TURN, FD_PIPE_TO_TURN_OUT);
	pipe_as(FD_PIPE_TO_CLOSE_IN, FD_PIPE_TO_CLOSE_OUT);
	move_descriptor((int)CALL(open, P("/written"), O_RDWR), FD_WRITTEN);
}

static void open_events(const char *file)
{
	move_descriptor((int)CALL(eventfd2, 0, 0), FD_EVENT);
	move_descriptor((int)CALL(eventfd2, 1, 0), FD_EVENT_TO_DRAIN);
	open_as(file, FD_FILE_TO_SPLICE);
	pipe_as(FD_PIPE_TO_SPLICE, FD_PIPE_TO_SPLICE_OUT);
	move_descriptor((int)CALL(eventfd2, 1, 0), FD_EVENT_TO_WATCH);
	for (int fd = FD_EPOLL; fd <= FD_EPOLL_TO_WAIT; fd++)
		move_descriptor((int)CALL(epoll_create1, 0), fd);
	watch(FD_EPOLL_TO_CHANGE, EPOLL_CTL_ADD, EPOLLIN);
	watch(FD_EPOLL_TO_EMPTY, EPOLL_CTL_ADD, EPOLLIN);
	watch(FD_EPOLL_TO_WAIT, EPOLL_CTL_ADD, EPOLLIN | EPOLLONESHOT);
}

static void memory_as(int fd, long opened)
{
	char data[PAGE];

	memset(data, 'c', sizeof(data));
	move_descriptor((int)opened, fd);
	for (int i = 0; i < 2; i++)
		CALL(write, fd, P(data), sizeof(data));
	CALL(lseek, fd, 0, SEEK_SET);
}

static void make_as(int fd, const char *path)
{
	memory_as(fd, CALL(open, P(path), O_CREAT | O_RDWR, 0644));
}

static void make_memory_files(void)
{
	make_as(FD_MEMORY, "/tmp/file");
	make_as(FD_MEMORY_MAPPED, "/tmp/mapped");
	make_as(FD_MEMORY_TO_SEEK, "/tmp/to-seek");
	make_as(FD_MEMORY_WITHOUT_NAME, "/tmp/without-name");
	CALL(unlink, P("/tmp/without-name"));
	open_as("/tmp", FD_MEMORY_DIRECTORY);
	memory_as(FD_MEMFD, CALL(memfd_create, P("memfd"), 2));
	CALL(mkdir, P("/tmp/directory"), 0755);
	CALL(mkdir, P("/tmp/to-remove"), 0755);
	CALL(symlink, P("file"), P("/tmp/link"));
	make_file("/tmp/directory/to-unlink");
	make_file("/tmp/directory/to-rename");
	make_file("/tmp/directory/to-change");
	map(SLOT(MEMORY_FILE), 2 * PAGE, PROT_READ, MAP_PRIVATE, FD_MEMORY_MAPPED);
}

static void map_filled(uintptr_t address, int protection)
{
	map(address, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(address);
	CALL(mprotect, (long)address, 2 * PAGE, protection);
}

static void map_absent(uintptr_t address, size_t length)
{
	map(address, length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void map_code(uintptr_t address)
{
	map_absent(address, 2 * PAGE);
	memcpy((void *)address, code_page, PAGE);
	CALL(mprotect, (long)address, 2 * PAGE, RX);
}

static void map_two_of_file(uintptr_t address, int protection, int flags)
{
	map(address, 2 * PAGE, protection, flags, FD_FILE);
}

static void map_files(void)
{
	map_two_of_file(SLOT(FILE_PRIVATE), RW, MAP_PRIVATE);
	map_two_of_file(SLOT(FILE_WRITTEN), RW, MAP_PRIVATE);
	fill(SLOT(FILE_WRITTEN));
	map_two_of_file(SLOT(FILE_READ_ONLY), PROT_READ, MAP_PRIVATE);
	map_two_of_file(SLOT(FILE_SHARED), PROT_READ, MAP_SHARED);
	map_two_of_file(SLOT(FILE_TO_UNMAP), RW, MAP_PRIVATE);
	map_two_of_file(SLOT(FILE_TO_DISCARD), RW, MAP_PRIVATE);
	fill(SLOT(FILE_TO_DISCARD));
}

static void map_all(void)
{
	for (enum slot slot = SLOT_TO_EXECUTE; slot < SLOT_TO_USE_UP; slot++)
		map_filled(SLOT(MAPPED) + (slot - SLOT_MAPPED) * (SLOT(ABSENT) - SLOT(MAPPED)), RW);
	map_filled(SLOT(MAPPED), RW);
	map_filled(SLOT(READ_ONLY_PAGE), PROT_READ);
	map_filled(SLOT(NO_ACCESS_PAGE), PROT_NONE);
	map_filled(SLOT(LAST_PAGE), RW);
	map_filled(SLOT(EDGE), RW);
	CALL(mprotect, SLOT(EDGE) + PAGE, PAGE, PROT_READ);
	map_absent(SLOT(ABSENT), 2 * PAGE);
	CALL(munmap, SLOT(ABSENT_TO_UNMAP), 2 * PAGE);
	map_absent(SLOT(ABSENT_TO_UNMAP), 2 * PAGE);
	map_absent(SLOT(TO_USE_UP), USED_UP);
	map_absent(SLOT(LARGE), 2 * LARGE_PAGE);
	fill(SLOT(LARGE));
	fill(SLOT(LARGE) + LARGE_PAGE - PAGE);
	fill(SLOT(LARGE) + LARGE_PAGE);
	fill(SLOT(LARGE) + 2 * LARGE_PAGE - 2 * PAGE);
	map_code(SLOT(CODE));
	map_code(SLOT(CODE_TO_CLOSE));
	map_files();
}

static void use_heap(void)
{
	heap = (get_brk() + PAGE - 1) & ~(PAGE - 1);
	set_brk(heap + HEAP_PAGES * PAGE);
	for (size_t i = 0; i < HEAP_PAGES; i += 2)
		fill(heap + i * PAGE);
}

/* Arguments: its own file, and the directory of it. */
int main(int argc, char **argv)
{
	uint64_t here[3 * WORDS];

	if (argc < 3)
		return 1;
	strncpy(directory, argv[2], sizeof(directory) - 1);
	main_stack = (A(here) + PAGE - 1) & ~(PAGE - 1);
	deep_stack = main_stack - 100 * PAGE;
	environment_page = A(argv[0]) & ~(PAGE - 1);
	open_descriptors(argv[1]);
	map_all();
	make_memory_files();
	open_events(argv[1]);
	use_heap();
	fill(main_stack);
	fill(A(data_area));
	fill(A(bss_area));
	fill(A(replaced_data));
	*(volatile uint64_t *)deep_stack = MARK + 1;
	regex_compile(REGEX_OF_MAIN);
	call_host(0x10000, 1, P(on_get));
	wait_for_requests();
	return 99;
}
