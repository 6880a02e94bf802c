/* SPDX-License-Identifier: MIT */
/*
 * The clock's page: what the host tells all guests of a machine about time, and
 * how a time is read from it. Included by the vDSO (vdso.c) and by the library,
 * which writes the page and answers system calls from it, so that a guest gets
 * the same times by either way. Read-only for guests.
 *
 * A reader takes the page while `sequence` is even, and again when that has
 * changed meanwhile. A time is never below `floor`, which is what a reader could
 * have had from the page before.
 */
#ifndef KVMSB_VDSO_PAGE_H
#define KVMSB_VDSO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/* linux/time.h; both sides may do without libc's headers. */
enum vdso_clock {
	VDSO_REALTIME = 0,
	VDSO_MONOTONIC = 1,
	VDSO_PROCESS_TIME = 2,
	VDSO_THREAD_TIME = 3,
	VDSO_MONOTONIC_RAW = 4,
	VDSO_REALTIME_COARSE = 5,
	VDSO_MONOTONIC_COARSE = 6,
	VDSO_BOOTTIME = 7,
	VDSO_TAI = 11,
	VDSO_CLOCKS = 12,
};

enum vdso_mode {
	VDSO_BY_SYSTEM_CALL = 0, /* what a page of zeros says */
	VDSO_BY_TSC = 1,
};

/* Nanoseconds at vdso_page.tsc, in a tick of the TSC (by 2^-48), and the least. */
struct vdso_line {
	uint64_t base;
	uint64_t multiplier;
	uint64_t floor;
};
#define VDSO_SHIFT 48

struct vdso_page {
	uint32_t sequence;
	uint32_t mode;
	uint64_t tsc;
	struct vdso_line monotonic, raw;
	/* By clock, but for CLOCK_MONOTONIC_RAW: what to add to CLOCK_MONOTONIC, modulo 2^64. */
	uint64_t offset[VDSO_CLOCKS];
};

/* How often a reader tries before it leaves it to a system call: the writer may have lost its processor. */
#define VDSO_TRIES 1000u

/* All loads before it are done: the time is not one of before they were asked for. */
static inline uint64_t vdso_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#define VDSO_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static inline uint64_t vdso_line_at(const struct vdso_line *line, uint64_t base_tsc, uint64_t tsc)
{
	/* Processors' counters may differ by a few ticks. */
	uint64_t ticks = tsc > base_tsc ? tsc - base_tsc : 0;
	uint64_t floor = VDSO_LOAD(line->floor);
	uint64_t time = VDSO_LOAD(line->base) +
	                (uint64_t)(((unsigned __int128)ticks * VDSO_LOAD(line->multiplier)) >>
	                           VDSO_SHIFT);

	return time > floor ? time : floor;
}

/* Whether the page has a clock of that number. */
static inline bool vdso_page_has(uint32_t clock)
{
	const uint32_t clocks = 1u << VDSO_REALTIME | 1u << VDSO_MONOTONIC | 1u << VDSO_MONOTONIC_RAW |
	                        1u << VDSO_REALTIME_COARSE | 1u << VDSO_MONOTONIC_COARSE |
	                        1u << VDSO_BOOTTIME | 1u << VDSO_TAI;

	return clock < VDSO_CLOCKS && (clocks >> clock & 1) != 0;
}

/* Within a try; the clock is one that the page has. Coarse clocks are as good as the others. */
static inline uint64_t vdso_page_time(const struct vdso_page *page, uint32_t clock, uint64_t tsc)
{
	uint64_t base = VDSO_LOAD(page->tsc);

	if (clock == VDSO_MONOTONIC_RAW)
		return vdso_line_at(&page->raw, base, tsc);
	return vdso_line_at(&page->monotonic, base, tsc) + VDSO_LOAD(page->offset[clock]);
}

/* The time of the clock now, in ns; false: not by the page, now or at all. */
static inline bool vdso_page_read(const struct vdso_page *page, uint32_t clock, uint64_t *time)
{
	if (!vdso_page_has(clock))
		return false;
	for (unsigned i = 0; i < VDSO_TRIES; i++) {
		uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);

		if (VDSO_LOAD(page->mode) != VDSO_BY_TSC)
			return false;
		*time = vdso_page_time(page, clock, vdso_tsc());
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if ((sequence & 1) == 0 && VDSO_LOAD(page->sequence) == sequence)
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

#endif
