/* SPDX-License-Identifier: MIT */
/*
 * Looks at its clocks, by the vDSO as libc does and by system call, finds the
 * vDSO's functions as a libc would, and tries what it may not do to its pages.
 */
#define _GNU_SOURCE
#include "api.h"

#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define SECOND 1000000000ul
#define APART (512 * PAGE) /* no page fault brings in so much */

static uint64_t in_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * SECOND + (uint64_t)time->tv_nsec;
}

EXPORTED uint64_t by_vdso(int clock)
{
	struct timespec now = {0};

	return clock_gettime(clock, &now) == 0 ? in_ns(&now) : 0;
}

EXPORTED uint64_t by_system_call(int clock)
{
	struct timespec now = {0};

	return syscall(SYS_clock_gettime, clock, &now) == 0 ? in_ns(&now) : 0;
}

/* How often a clock went backwards while it was read so many times. */
EXPORTED long read_often(int clock, long count)
{
	uint64_t before = 0, now;
	long backwards = 0;

	for (long i = 0; i < count; i++) {
		now = by_vdso(clock);
		backwards += now < before;
		before = now;
	}
	return backwards;
}

/* The same by either way in turn. */
EXPORTED long read_in_turn(int clock, long count)
{
	uint64_t before = 0, now;
	long backwards = 0;

	for (long i = 0; i < count; i++) {
		now = i % 2 ? by_system_call(clock) : by_vdso(clock);
		backwards += now < before;
		before = now;
	}
	return backwards;
}

/* Without an exit; the time at its end. */
EXPORTED uint64_t spin_until(uint64_t end)
{
	uint64_t now;

	do
		now = by_vdso(CLOCK_MONOTONIC);
	while (now < end);
	return now;
}

/* The functions of the vDSO. */

static const char *image;
static const Elf64_Sym *symbols;
static const char *names;
static const uint16_t *versions;
static uint32_t symbol_count;

static const void *at(uint64_t address)
{
	return image + address;
}

static void take_entry(const Elf64_Dyn *entry)
{
	switch (entry->d_tag) {
	case DT_SYMTAB:
		symbols = at(entry->d_un.d_ptr);
		break;
	case DT_STRTAB:
		names = at(entry->d_un.d_ptr);
		break;
	case DT_VERSYM:
		versions = at(entry->d_un.d_ptr);
		break;
	case DT_HASH:
		symbol_count = ((const uint32_t *)at(entry->d_un.d_ptr))[1];
		break;
	default:
		break;
	}
}

static void find_tables(void)
{
	const Elf64_Ehdr *header;
	const Elf64_Phdr *segments;

	image = (const char *)getauxval(AT_SYSINFO_EHDR);
	header = at(0);
	segments = at(header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_DYNAMIC)
			for (const Elf64_Dyn *entry = at(segments[i].p_vaddr);
			     entry->d_tag != DT_NULL; entry++)
				take_entry(entry);
}

static const void *find(const char *name)
{
	for (uint32_t i = 1; i < symbol_count; i++)
		if (strcmp(names + symbols[i].st_name, name) == 0 && symbols[i].st_shndx != 0 &&
		    (versions[i] & 0x7fff) == 2)
			return at(symbols[i].st_value);
	return NULL;
}

static int are_there(void)
{
	static const char *const all[] = {
		"__vdso_clock_gettime",
		"__vdso_clock_getres",
		"__vdso_gettimeofday",
		"__vdso_time",
		"__vdso_getcpu",
		"clock_gettime",
		"clock_getres",
		"gettimeofday",
		"time",
		"getcpu",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (find(all[i]) == NULL)
			return 0;
	return 1;
}

static int is_near(int64_t seconds)
{
	int64_t now = (int64_t)(by_vdso(CLOCK_REALTIME) / SECOND);

	return now - seconds == 0 || now - seconds == 1;
}

#define FUNCTION(name, result, ...)                                                                \
	result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))(uintptr_t)find("__vdso_" #name)

/* 0, or the number of the check that fails. */
EXPORTED int check_functions(void)
{
	struct timeval now = {0};
	struct timezone zone = {1, 1};
	struct timespec resolution = {1, 0};
	unsigned processor = 9, node = 9;
	time_t stored = 0;

	find_tables();
	if (!are_there())
		return 1;
	FUNCTION(gettimeofday, int, struct timeval *, struct timezone *);
	FUNCTION(time, time_t, time_t *);
	FUNCTION(getcpu, long, unsigned *, unsigned *, void *);
	FUNCTION(clock_getres, int, int, struct timespec *);
	if (gettimeofday(&now, &zone) != 0 || !is_near(now.tv_sec) || now.tv_usec >= 1000000 ||
	    zone.tz_minuteswest != 0 || zone.tz_dsttime != 0 || gettimeofday(NULL, NULL) != 0)
		return 2;
	if (!is_near(time(&stored)) || !is_near(stored) || !is_near(time(NULL)))
		return 3;
	if (getcpu(&processor, &node, NULL) != 0 || processor != 0 || node != 0 ||
	    getcpu(NULL, NULL, NULL) != 0)
		return 4;
	if (clock_getres(CLOCK_REALTIME, &resolution) != 0 || resolution.tv_sec != 0 ||
	    resolution.tv_nsec != 1 || clock_getres(CLOCK_TAI, NULL) != 0)
		return 5;
	return 0;
}

/* What the page does not have: by way of a system call, with its errors. */
EXPORTED int check_other_clocks(void)
{
	struct timespec now;
	int (*gettime)(int, struct timespec *), (*getres)(int, struct timespec *);

	find_tables();
	gettime = (int (*)(int, struct timespec *))(uintptr_t)find("__vdso_clock_gettime");
	getres = (int (*)(int, struct timespec *))(uintptr_t)find("__vdso_clock_getres");
	if (gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0 ||
	    gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
		return 1;
	if (gettime(10, &now) != -EINVAL || gettime(12, &now) != -EINVAL ||
	    gettime(32, &now) != -EINVAL || gettime(-1, &now) != -EINVAL ||
	    gettime(INT32_MIN, &now) != -EINVAL)
		return 2;
	if (getres(10, &now) != -EINVAL || getres(CLOCK_PROCESS_CPUTIME_ID, &now) != 0)
		return 3;
	return 0;
}

/* Its pages. */

EXPORTED uintptr_t vdso_address(void)
{
	return getauxval(AT_SYSINFO_EHDR);
}

EXPORTED void write_to(uintptr_t address)
{
	*(volatile uint64_t *)address = 0;
}

EXPORTED void jump_to(uintptr_t address)
{
	((void (*)(void))address)();
}

static int fails(long result, int error)
{
	return result == -1 && errno == error;
}

/* 0, or the number of the check that fails. */
EXPORTED int try_changes(void)
{
	const uintptr_t text = vdso_address(), page = text - PAGE;
	const long read_write = PROT_READ | PROT_WRITE;
	int ends[2];

	if (!fails(syscall(SYS_mprotect, page, PAGE, read_write), EACCES) ||
	    !fails(syscall(SYS_mprotect, text, PAGE, read_write | PROT_EXEC), EACCES) ||
	    !fails(syscall(SYS_mprotect, page, 2 * PAGE, read_write), EACCES))
		return 1;
	if (!fails(syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_EXEC), EACCES))
		return 2;
	if (!fails(syscall(SYS_mremap, page, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT) ||
	    !fails(syscall(SYS_mremap, text, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT) ||
	    !fails(syscall(SYS_mremap, page, 0, PAGE, MREMAP_MAYMOVE), EINVAL))
		return 3;
	if (!fails(syscall(SYS_madvise, page, PAGE, MADV_DONTNEED), EINVAL) ||
	    !fails(syscall(SYS_madvise, text, PAGE, MADV_FREE), EINVAL) ||
	    !fails(syscall(SYS_madvise, page, PAGE, 23 /* MADV_POPULATE_WRITE */), EINVAL))
		return 4;
	if (!fails(syscall(SYS_clock_gettime, CLOCK_REALTIME, page), EFAULT) ||
	    !fails(syscall(SYS_getrandom, page + 8, 8, 0), EFAULT) ||
	    !fails(syscall(SYS_getrandom, text + 8, 8, 0), EFAULT))
		return 5;
	/* They can be read, as any memory. */
	if (pipe(ends) != 0 || write(ends[1], (void *)page, 2 * PAGE) != 2 * PAGE ||
	    !fails(read(ends[0], (void *)page, PAGE), EFAULT))
		return 6;
	return by_vdso(CLOCK_MONOTONIC) != 0 ? 0 : 7;
}

/* As Linux allows it; 0, or the number of the check that fails. */
EXPORTED int move_away(void)
{
	const uintptr_t text = vdso_address(), page = text - PAGE;
	const uintptr_t to = 0x300000000;
	long (*getcpu)(unsigned *, unsigned *, void *);
	int (*gettime)(int, struct timespec *);
	struct timespec now = {0};
	unsigned processor = 9;

	find_tables();
	gettime = (int (*)(int, struct timespec *))(uintptr_t)find("__vdso_clock_gettime");
	gettime = (int (*)(int, struct timespec *))((uintptr_t)gettime + (to + PAGE - text));
	getcpu = (long (*)(unsigned *, unsigned *, void *))(uintptr_t)find("__vdso_getcpu");
	getcpu = (long (*)(unsigned *, unsigned *, void *))((uintptr_t)getcpu + (to + PAGE - text));
	if (syscall(SYS_mremap, page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != (long)to ||
	    syscall(SYS_mremap, text, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) !=
	            (long)(to + PAGE))
		return 1;
	if (gettime(CLOCK_MONOTONIC, &now) != 0 || in_ns(&now) == 0)
		return 2;
	if (!fails(syscall(SYS_mprotect, to, PAGE, PROT_READ | PROT_WRITE), EACCES))
		return 3;
	if (syscall(SYS_mprotect, to, PAGE, PROT_NONE) != 0 ||
	    syscall(SYS_mprotect, to, PAGE, PROT_READ) != 0 || gettime(CLOCK_MONOTONIC, &now) != 0)
		return 4;
	if (munmap((void *)to, PAGE) != 0 || getcpu(&processor, NULL, NULL) != 0 || processor != 0)
		return 5;
	return munmap((void *)(to + PAGE), PAGE) == 0 ? 0 : 6;
}

/* Waiting, and what it used. */

EXPORTED int sleep_for(uint64_t nanoseconds)
{
	const struct timespec length = {(time_t)(nanoseconds / SECOND), (long)(nanoseconds % SECOND)};

	return nanosleep(&length, NULL);
}

EXPORTED int sleep_until(int clock, uint64_t nanoseconds)
{
	const struct timespec end = {(time_t)(nanoseconds / SECOND), (long)(nanoseconds % SECOND)};

	return clock_nanosleep(clock, TIMER_ABSTIME, &end, NULL);
}

/* By how much the clock is late after sleeps; below 0: it was early. */
EXPORTED int64_t earliest_wake(int clock, uint64_t nanoseconds, long count)
{
	int64_t earliest = INT64_MAX;

	for (long i = 0; i < count; i++) {
		uint64_t end = by_vdso(clock) + nanoseconds;
		int64_t late;

		sleep_until(clock, end);
		late = (int64_t)(by_vdso(clock) - end);
		if (late < earliest)
			earliest = late;
	}
	return earliest;
}

EXPORTED int wait_in_poll(int milliseconds)
{
	return poll(NULL, 0, milliseconds);
}

EXPORTED uint64_t processor_time(void)
{
	return by_system_call(CLOCK_PROCESS_CPUTIME_ID);
}

EXPORTED uint64_t user_time_of_usage(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_utime.tv_sec * SECOND +
	                                                     (uint64_t)usage.ru_utime.tv_usec * 1000
	                                           : 0;
}

EXPORTED long faults_of_usage(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt : -1;
}

EXPORTED void touch_fresh_pages(long count)
{
	char *pages = mmap(NULL, (size_t)count * APART, PROT_READ | PROT_WRITE,
	/* MAP_NORESERVE: none comes before it is touched. */
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (long i = 0; i < count; i++)
		*(volatile char *)(pages + i * APART) = 1;
}

int main(void)
{
	wait_for_requests();
	return 99;
}
