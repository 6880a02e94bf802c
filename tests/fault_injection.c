/* SPDX-License-Identifier: MIT */
/* Functions that fail on demand; see fault_injection.h. */
#include "fault_injection.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Descriptors that a test may have; there are no more than a few dozen. */
#define DESCRIPTORS 256

static const struct {
	const char *name;
	int error;
	bool passing;
} kinds[FAULT_KINDS] = {
	[FAULT_ALLOCATION] = {"allocation", ENOMEM, false},
	[FAULT_FRAME] = {"frame", ENOMEM, false},
	[FAULT_TABLE] = {"table", ENOMEM, false},
	[FAULT_MMAP] = {"mmap", ENOMEM, false},
	[FAULT_MPROTECT] = {"mprotect", ENOMEM, false},
	[FAULT_MADVISE] = {"madvise", ENOMEM, false},
	[FAULT_IOCTL] = {"ioctl", ENOMEM, false},
	[FAULT_KVM_RUN] = {"KVM_RUN (EFAULT)", EFAULT, false},
	[FAULT_KVM_RUN_MEMORY] = {"KVM_RUN (ENOMEM)", ENOMEM, false},
	[FAULT_KVM_RUN_SIGNAL] = {"KVM_RUN (EINTR)", EINTR, true},
	[FAULT_KVM_RUN_AGAIN] = {"KVM_RUN (EAGAIN)", EAGAIN, true},
	[FAULT_OPEN] = {"open", EMFILE, false},
	[FAULT_READ] = {"read", EIO, false},
	[FAULT_WRITE] = {"write", ENOSPC, false},
	[FAULT_STATUS] = {"file status", EIO, false},
	[FAULT_SYSTEM_CALL] = {"system call", EMFILE, false},
	[FAULT_TIMER] = {"timer", EAGAIN, false},
	[FAULT_THREAD] = {"thread", EAGAIN, false},
};

struct fault_kvm fault_kvm;

static struct {
	bool injected, lasting, hit;
	enum fault_kind kind;
	unsigned number, seen;
	char place[64];
} fault;

static struct resources held;

const char *fault_name(enum fault_kind kind)
{
	return kinds[kind].name;
}

bool fault_is_passing(enum fault_kind kind)
{
	return kinds[kind].passing;
}

void fault_inject(enum fault_kind kind, unsigned number, bool lasting)
{
	fault.kind = kind;
	fault.number = number;
	fault.lasting = lasting;
	fault.seen = 0;
	fault.hit = false;
	fault.place[0] = '\0';
	fault.injected = true;
}

bool fault_stop(void)
{
	fault.injected = false;
	return fault.hit;
}

void fault_forget(void)
{
	fault.injected = fault.hit = false;
	fault.place[0] = '\0';
}

bool fault_was_hit(void)
{
	return fault.hit;
}

const char *fault_place(void)
{
	return fault.place;
}

bool fault_meets(enum fault_kind kind, const char *function, unsigned long detail)
{
	if (!fault.injected || kind != fault.kind)
		return false;
	fault.seen++;
	if (fault.seen < fault.number || (fault.seen > fault.number && !fault.lasting))
		return false;
	if (!fault.hit)
		snprintf(fault.place, sizeof(fault.place), "%s %#lx (call %u)", function, detail,
		         fault.seen);
	fault.hit = true;
	errno = kinds[kind].error;
	return true;
}

/* The heap. */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static void *given(void *block)
{
	held.blocks += block != NULL;
	return block;
}

void *__wrap_malloc(size_t size)
{
	return fault_meets(FAULT_ALLOCATION, "malloc", size) ? NULL : given(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fault_meets(FAULT_ALLOCATION, "calloc", count * size)
	               ? NULL
	               : given(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
	if (fault_meets(FAULT_ALLOCATION, "realloc", size))
		return NULL;
	return block == NULL ? given(__real_realloc(NULL, size)) : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
	return fault_meets(FAULT_ALLOCATION, "strdup", 0) ? NULL : given(__real_strdup(text));
}

void __wrap_free(void *block)
{
	held.blocks -= block != NULL;
	__real_free(block);
}

/* Mappings. */

void *__real_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t length);
int __real_mprotect(void *address, size_t length, int protection);
int __real_madvise(void *address, size_t length, int advice);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t length);
int __wrap_mprotect(void *address, size_t length, int protection);
int __wrap_madvise(void *address, size_t length, int advice);

static long whole_pages(size_t length)
{
	return (long)align_down(length + PAGE_SIZE - 1, PAGE_SIZE);
}

void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *mapped = MAP_FAILED;

	if (!fault_meets(FAULT_MMAP, "mmap", length))
		mapped = __real_mmap64(address, length, protection, flags, fd, offset);
	/* In the place of something that is mapped already it is nothing more. */
	if (mapped != MAP_FAILED && (flags & MAP_FIXED) == 0)
		held.mapped += whole_pages(length);
	return mapped;
}

int __wrap_munmap(void *address, size_t length)
{
	int result = __real_munmap(address, length);

	if (result == 0)
		held.mapped -= whole_pages(length);
	return result;
}

int __wrap_mprotect(void *address, size_t length, int protection)
{
	return fault_meets(FAULT_MPROTECT, "mprotect", length)
	               ? -1
	               : __real_mprotect(address, length, protection);
}

int __wrap_madvise(void *address, size_t length, int advice)
{
	return fault_meets(FAULT_MADVISE, "madvise", (unsigned)advice)
	               ? -1
	               : __real_madvise(address, length, advice);
}

/* KVM. */

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

static bool run_fails(void)
{
	/* A late time-limit signal of an earlier run: KVM_RUN takes the registers, then gives up. */
	if (fault_meets(FAULT_KVM_RUN_SIGNAL, "KVM_RUN", 0))
		raise(SIGURG);
	return fault_meets(FAULT_KVM_RUN, "KVM_RUN", 0) ||
	       fault_meets(FAULT_KVM_RUN_MEMORY, "KVM_RUN", 0) ||
	       fault_meets(FAULT_KVM_RUN_AGAIN, "KVM_RUN", 0);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (request == KVM_RUN ? run_fails() : fault_meets(FAULT_IOCTL, "ioctl", request))
		return -1;
	if (request == KVM_GET_API_VERSION && fault_kvm.version != 0)
		return fault_kvm.version;
	if (request == KVM_CHECK_EXTENSION && fault_kvm.lacks &&
	    (unsigned long)(uintptr_t)argument == fault_kvm.capability)
		return 0;
	return __real_ioctl(fd, request, argument);
}

/* Files. */

int __real_open64(const char *path, int flags, mode_t mode);
int __real_fcntl64(int fd, int command, long argument);
ssize_t __real_read(int fd, void *data, size_t length);
ssize_t __real_pread64(int fd, void *data, size_t length, off_t offset);
ssize_t __real_readv(int fd, const struct iovec *parts, int count);
ssize_t __real_preadv64(int fd, const struct iovec *parts, int count, off_t offset);
ssize_t __real_write(int fd, const void *data, size_t length);
ssize_t __real_writev(int fd, const struct iovec *parts, int count);
int __real_fstat64(int fd, struct stat *status);
int __real_stat64(const char *path, struct stat *status);
off_t __real_lseek64(int fd, off_t offset, int whence);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_fcntl64(int fd, int command, long argument);
ssize_t __wrap_read(int fd, void *data, size_t length);
ssize_t __wrap_pread64(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_readv(int fd, const struct iovec *parts, int count);
ssize_t __wrap_preadv64(int fd, const struct iovec *parts, int count, off_t offset);
ssize_t __wrap_write(int fd, const void *data, size_t length);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
int __wrap_fstat64(int fd, struct stat *status);
int __wrap_stat64(const char *path, struct stat *status);
off_t __wrap_lseek64(int fd, off_t offset, int whence);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

int __wrap_open64(const char *path, int flags, mode_t mode)
{
	if (fault_meets(FAULT_OPEN, path, 0))
		return -1;
	if (fault_kvm.open_error != 0 && strcmp(path, "/dev/kvm") == 0) {
		errno = fault_kvm.open_error;
		return -1;
	}
	return __real_open64(path, flags, mode);
}

int __wrap_fcntl64(int fd, int command, long argument)
{
	return fault_meets(FAULT_STATUS, "fcntl", (unsigned)command)
	               ? -1
	               : __real_fcntl64(fd, command, argument);
}

ssize_t __wrap_read(int fd, void *data, size_t length)
{
	return fault_meets(FAULT_READ, "read", length) ? -1 : __real_read(fd, data, length);
}

ssize_t __wrap_pread64(int fd, void *data, size_t length, off_t offset)
{
	return fault_meets(FAULT_READ, "pread", length) ? -1
	                                                : __real_pread64(fd, data, length, offset);
}

ssize_t __wrap_readv(int fd, const struct iovec *parts, int count)
{
	return fault_meets(FAULT_READ, "readv", 0) ? -1 : __real_readv(fd, parts, count);
}

ssize_t __wrap_preadv64(int fd, const struct iovec *parts, int count, off_t offset)
{
	return fault_meets(FAULT_READ, "preadv", 0) ? -1 : __real_preadv64(fd, parts, count, offset);
}

ssize_t __wrap_write(int fd, const void *data, size_t length)
{
	return fault_meets(FAULT_WRITE, "write", length) ? -1 : __real_write(fd, data, length);
}

ssize_t __wrap_writev(int fd, const struct iovec *parts, int count)
{
	return fault_meets(FAULT_WRITE, "writev", 0) ? -1 : __real_writev(fd, parts, count);
}

int __wrap_fstat64(int fd, struct stat *status)
{
	return fault_meets(FAULT_STATUS, "fstat", 0) ? -1 : __real_fstat64(fd, status);
}

int __wrap_stat64(const char *path, struct stat *status)
{
	return fault_meets(FAULT_STATUS, "stat", 0) ? -1 : __real_stat64(path, status);
}

off_t __wrap_lseek64(int fd, off_t offset, int whence)
{
	return fault_meets(FAULT_STATUS, "lseek", 0) ? -1 : __real_lseek64(fd, offset, whence);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	return fault_meets(FAULT_SYSTEM_CALL, "syscall", (unsigned long)number)
	               ? -1
	               : __real_syscall(number, a, b, c, d, e, f);
}

/* Timers and threads. */

int __real_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
	                 struct itimerspec *before);
int __real_timer_delete(timer_t timer);
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_condattr_init(pthread_condattr_t *attributes);
ssize_t __real_getrandom(void *data, size_t length, unsigned flags);
int __wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
	                 struct itimerspec *before);
int __wrap_timer_delete(timer_t timer);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_condattr_init(pthread_condattr_t *attributes);
ssize_t __wrap_getrandom(void *data, size_t length, unsigned flags);

int __wrap_timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	int result = fault_meets(FAULT_TIMER, "timer_create", 0)
	                     ? -1
	                     : __real_timer_create(clock, event, timer);

	held.timers += result == 0;
	return result;
}

int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *at,
	                 struct itimerspec *before)
{
	return fault_meets(FAULT_TIMER, "timer_settime", 0)
	               ? -1
	               : __real_timer_settime(timer, flags, at, before);
}

int __wrap_timer_delete(timer_t timer)
{
	int result = __real_timer_delete(timer);

	held.timers -= result == 0;
	return result;
}

/* These return what went wrong instead of setting errno. */

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	return fault_meets(FAULT_THREAD, "pthread_sigmask", 0)
	               ? EAGAIN
	               : __real_pthread_sigmask(how, set, before);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	return fault_meets(FAULT_THREAD, "pthread_mutex_init", 0)
	               ? EAGAIN
	               : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_condattr_init(pthread_condattr_t *attributes)
{
	return fault_meets(FAULT_THREAD, "pthread_condattr_init", 0)
	               ? EAGAIN
	               : __real_pthread_condattr_init(attributes);
}

ssize_t __wrap_getrandom(void *data, size_t length, unsigned flags)
{
	return fault_meets(FAULT_THREAD, "getrandom", length)
	               ? -1
	               : __real_getrandom(data, length, flags);
}

/* Counting. */

struct resources resources_now(void)
{
	struct resources now = held;

	now.descriptors = 0;
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		now.descriptors += __real_fcntl64(fd, F_GETFD, 0) >= 0;
	return now;
}

struct address_space address_space_now(void)
{
	struct address_space now = {0};
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start, end;

		if (strstr(line, "[heap]") != NULL || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		now.mappings++;
		now.bytes += end - start;
	}
	if (maps != NULL)
		fclose(maps);
	return now;
}
