/* SPDX-License-Identifier: MIT */
/*
 * The memory map from inside: what mm.c, mm_fault.c, usercopy.c, content.c and the memory
 * system calls (sys_mm.c) share. Everyone else uses mm.h.
 */
#ifndef KVMSB_LINUX_MM_INTERNAL_H
#define KVMSB_LINUX_MM_INTERNAL_H

#include "mm.h"
#include "ranges.h"

#include <stdatomic.h>

struct mm {
	_Atomic uint32_t references;
	struct ranges ranges;
	uint64_t brk_start, brk; /* as brk(2) has it: not rounded; both 0: no heap */
	uint64_t call_stack_start, call_stack_end;
};

/* A further flag of mm_map(): of a file, MAP_SHARED; never becomes writable. */
#define MM_SHARED 16u

/* Gives the process a map of its own if it is shared. Returns 0 or -ENOMEM. */
int mm_make_own(struct process *process);

/* Whether all of [start, end) is mapped, whatever the protection. */
bool mm_covers(const struct process *process, uint64_t start, uint64_t end);

/*
 * brk(2) as the kernel has it: the end of the heap after the call, unchanged
 * when `address` is not possible.
 */
uint64_t mm_brk(struct process *process, uint64_t address);

/* Drops the pages of [start, end): anonymous memory is zeros again. Returns 0 or -ENOMEM. */
int mm_discard(struct process *process, uint64_t start, uint64_t end);

/*
 * [start, end) has just been mapped, or made accessible: brings in what is likely
 * to be used of it soon, within limits. Never fails: what is not there comes by a
 * page fault.
 */
void mm_prefault(struct process *process, uint64_t start, uint64_t end);

/*
 * Makes every page of [start, end) accessible. Returns 0, -EFAULT, -ENOMEM, or
 * -EINTR when the run's time is over (process->end is then set).
 */
int mm_populate(struct process *process, uint64_t start, uint64_t end, unsigned access);

/*
 * [from, from_end), part of one mapping, becomes [to, to_end) with its pages.
 * Both are whole pages and not empty; the new one is not shorter, and nothing is
 * there. keep: the mapping stays, without pages (MREMAP_DONTUNMAP). Returns 0,
 * -EFAULT (not one mapping), -EINVAL (past what a file's offsets can say), -ENOMEM.
 */
int mm_move(struct process *process, uint64_t from, uint64_t from_end, uint64_t to, uint64_t to_end,
            bool keep);

/* [to, to_end) becomes a mapping of the same as what is at `from`, without pages. As mm_move(). */
int mm_duplicate(struct process *process, uint64_t from, uint64_t to, uint64_t to_end);

/* The mapping that ends at `end` grows to new_end, if nothing is there. As mm_move(). */
int mm_extend(struct process *process, uint64_t end, uint64_t new_end);

/* A free place for `length` bytes (whole pages) as mm_map() chooses it. Returns 0 or -ENOMEM. */
int mm_choose(const struct process *process, uint64_t hint, uint64_t length, unsigned flags,
              uint64_t *address);

/* The end of what Linux would have as one mapping that holds the address; 0: nothing there. */
uint64_t mm_mapping_end(const struct process *process, uint64_t address);

/*
 * What a page fault at `address` would bring in, without mapping it: for
 * reading a frozen master. At most to the end of the page; returns the bytes
 * copied or -EFAULT.
 */
int64_t mm_read_absent(const struct process *process, uint64_t address, void *data, uint64_t length);

/* The same past the end of the page, as if nothing were there: of one mapping, and not past its file. */
int64_t mm_read_range(const struct process *process, uint64_t address, void *data, uint64_t length);

/* Whether that is zeros for sure: anonymous memory that may be read. */
bool mm_absent_is_zeros(const struct process *process, uint64_t address);

#endif
