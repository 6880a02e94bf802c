/* SPDX-License-Identifier: MIT */
/*
 * The vDSO of guests: man 7 vdso. Clocks from the page before it (vdso_page.h),
 * without an exit; by a system call where that page says so or has no such
 * clock. One processor, so getcpu(2) needs no page at all.
 *
 * A shared object without relocations: it runs wherever it is mapped behind the
 * clock's page. It touches no stack protector, thread-local or vector state.
 */
#include "vdso_page.h"

#define SYSTEM_CALL_GETTIMEOFDAY 96
#define SYSTEM_CALL_TIME 201
#define SYSTEM_CALL_CLOCK_GETTIME 228
#define SYSTEM_CALL_CLOCK_GETRES 229

#define SECOND UINT64_C(1000000000)

struct guest_timespec {
	int64_t seconds, nanoseconds;
};

struct guest_timeval {
	int64_t seconds, microseconds;
};

struct guest_timezone {
	int32_t minutes_west, daylight;
};

/* vdso.lds puts it one page before the image. */
extern const struct vdso_page vdso_page __attribute__((visibility("hidden")));

static inline long system_call(long number, long first, long second)
{
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(first), "S"(second)
	                 : "rcx", "r11", "memory");
	return result;
}

int __vdso_clock_gettime(int32_t clock, struct guest_timespec *time);
int __vdso_clock_getres(int32_t clock, struct guest_timespec *resolution);
int __vdso_gettimeofday(struct guest_timeval *time, struct guest_timezone *zone);
int64_t __vdso_time(int64_t *time);
long __vdso_getcpu(uint32_t *processor, uint32_t *node, void *unused);

int __vdso_clock_gettime(int32_t clock, struct guest_timespec *time)
{
	uint64_t now;

	if (!vdso_page_read(&vdso_page, (uint32_t)clock, &now))
		return (int)system_call(SYSTEM_CALL_CLOCK_GETTIME, clock, (long)time);
	time->seconds = (int64_t)(now / SECOND);
	time->nanoseconds = (int64_t)(now % SECOND);
	return 0;
}

int __vdso_clock_getres(int32_t clock, struct guest_timespec *resolution)
{
	if (!vdso_page_has((uint32_t)clock))
		return (int)system_call(SYSTEM_CALL_CLOCK_GETRES, clock, (long)resolution);
	if (resolution)
		*resolution = (struct guest_timespec){.nanoseconds = 1};
	return 0;
}

int __vdso_gettimeofday(struct guest_timeval *time, struct guest_timezone *zone)
{
	uint64_t now;

	if (!vdso_page_read(&vdso_page, VDSO_REALTIME, &now))
		return (int)system_call(SYSTEM_CALL_GETTIMEOFDAY, (long)time, (long)zone);
	if (time) {
		time->seconds = (int64_t)(now / SECOND);
		time->microseconds = (int64_t)(now % SECOND / 1000);
	}
	if (zone)
		*zone = (struct guest_timezone){0};
	return 0;
}

int64_t __vdso_time(int64_t *time)
{
	uint64_t now;

	if (!vdso_page_read(&vdso_page, VDSO_REALTIME, &now))
		return system_call(SYSTEM_CALL_TIME, (long)time, 0);
	if (time)
		*time = (int64_t)(now / SECOND);
	return (int64_t)(now / SECOND);
}

long __vdso_getcpu(uint32_t *processor, uint32_t *node, void *unused)
{
	(void)unused;
	if (processor)
		*processor = 0;
	if (node)
		*node = 0;
	return 0;
}

#define ALSO_CALLED(name, target)                                                                  \
	extern __typeof__(target) name __attribute__((weak, alias(#target)))

ALSO_CALLED(clock_gettime, __vdso_clock_gettime);
ALSO_CALLED(clock_getres, __vdso_clock_getres);
ALSO_CALLED(gettimeofday, __vdso_gettimeofday);
ALSO_CALLED(time, __vdso_time);
ALSO_CALLED(getcpu, __vdso_getcpu);
