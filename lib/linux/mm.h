/* SPDX-License-Identifier: MIT */
/*
 * The memory map of a process: which ranges exist, with which protection and
 * content (anonymous or a private copy of a file), the brk heap, and page
 * faults on them. Pages come on demand, a window at a time.
 *
 * A struct mm is immutable while it is shared (reference count above one) and
 * copied by the first change. The host itself reads file content with pread(2)
 * only: a file that is truncated meanwhile is zeros or an error. What the guest
 * may not write it reads where the host has it mapped (space_files.h), if it can.
 */
#ifndef KVMSB_LINUX_MM_H
#define KVMSB_LINUX_MM_H

#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct mm;
struct file; /* linux/files.h: reference counted open file of the host */

/* An empty map. Returns 0 or -ENOMEM. */
int mm_create(struct mm **mm);
struct mm *mm_share(struct mm *mm);
void mm_release(struct mm *mm); /* NULL is allowed */

/* Flags of mm_map(). */
#define MM_FIXED 1u           /* exactly there; what is there is replaced */
#define MM_FIXED_NOREPLACE 2u /* exactly there, or -EEXIST */
#define MM_BELOW_2G 4u        /* MAP_32BIT */
#define MM_GROWS_DOWN 8u      /* a stack: described as such, never grown */

/*
 * Adds a mapping of `length` bytes (rounded up to pages) at *address, or near
 * it, or anywhere (0) when not fixed. file (may be NULL) is referenced;
 * offset is page aligned. protection: SPACE_*.
 * Returns 0 with *address set, or -EINVAL, -ENOMEM, -EEXIST, -EPERM (below
 * LAYOUT_USER_START or past LAYOUT_USER_END).
 */
int mm_map(struct process *process, uint64_t *address, uint64_t length, unsigned protection,
           unsigned flags, struct file *file, uint64_t offset);
int mm_unmap(struct process *process, uint64_t address, uint64_t length);
int mm_protect(struct process *process, uint64_t address, uint64_t length, unsigned protection);

/* What /proc/self/maps says of a mapping. */
struct mm_mapping {
	uint64_t start, end, offset;
	unsigned protection; /* SPACE_* */
	bool is_shared, is_stack, is_heap;
	const char *path; /* of the file, until the map's next change; NULL: anonymous */
};

/* The first mapping that ends above the address, as Linux would have it. Returns false when there is none. */
bool mm_next_mapping(const struct process *process, uint64_t address, struct mm_mapping *mapping);

/*
 * A page fault, or a copy by the host, at `address`: makes the access
 * (one of SPACE_READ, SPACE_WRITE, SPACE_EXECUTE) possible.
 * by_guest: the guest's own instruction faulted just now.
 * Returns 0 (try again), -EFAULT (the guest must not), -ENOMEM (a limit or
 * the host's memory).
 */
int mm_fault(struct process *process, uint64_t address, unsigned access, bool by_guest);

/*
 * Maps the clock's page and the vDSO behind it at `address`, where nothing is. As
 * Linux's [vvar] and [vdso] they can be unmapped, moved and protected further, but
 * not grow, not be written, and the clock's page not be executed.
 * Returns 0, -ENOMEM.
 */
int mm_map_clock(struct process *process, uint64_t address);

/*
 * KVM_RUN failed with EFAULT: the guest used memory that the host cannot give.
 * Takes away all pages that are files' own, which are copied from now on, so that
 * a file that was cut off or cannot be read is the guest's fault (-EFAULT of
 * mm_fault()). Returns 1; 0: there were none, so it was something else; -ENOMEM.
 */
int mm_files_failed(struct process *process);

/* Start of the brk heap (page aligned); set once by the loader. */
int mm_set_brk(struct process *process, uint64_t start);

/*
 * The inode of a mapped file in memory (linux/tmpfs.h), one after another: *index
 * is 0 at first. 0: there are no more. A file with several mappings comes again.
 */
uint64_t mm_next_memory_file(const struct process *process, size_t *index);

/* Where the calls of the host run: lowest address and end of their stack. */
void mm_set_call_stack(struct process *process, uint64_t start, uint64_t end);
void mm_call_stack(const struct process *process, uint64_t *start, uint64_t *end);

/*
 * Copies between host and guest, faulting pages in as the guest would. 0 or
 * -EFAULT, -ENOMEM; what lies before a failure may have been copied. Copy
 * once, check the copy, use the copy.
 */
int guest_read(struct process *process, uint64_t address, void *data, uint64_t length);
int guest_write(struct process *process, uint64_t address, const void *data, uint64_t length);
int guest_zero(struct process *process, uint64_t address, uint64_t length);

/*
 * As guest_read(), but leaves everything as it is: no page is brought in, no
 * limit reached. Returns how many bytes from the start could be read.
 */
uint64_t guest_peek(struct process *process, uint64_t address, void *data, uint64_t length);

/*
 * A NUL-terminated string of at most size - 1 characters. Returns its length,
 * -EFAULT, -ENOMEM, or -ENAMETOOLONG.
 */
int64_t guest_read_string(struct process *process, uint64_t address, char *text, size_t size);

/*
 * Gives the range to the host in pieces that lie in one piece of host memory
 * each, so that read(2) and write(2) can work on guest memory directly.
 * for_writing: the host is going to store into it. On return piece[0..*count)
 * covers a prefix of the range; *count is at most `maximum`. Pieces live until
 * the next call of anything here. Returns 0 with *count > 0, or -EFAULT,
 * -ENOMEM when not even the first byte can be had.
 */
struct guest_piece {
	void *host;
	uint64_t length;
};
int guest_pieces(struct process *process, uint64_t address, uint64_t length, bool for_writing,
                 struct guest_piece *piece, unsigned maximum, unsigned *count);

/*
 * The pages of the range stay where they are while others copy out of the guest or
 * into it, which at a limit could take them away: for what lives longer than a
 * call. Until guest_let_go(), or until the guest goes on. Another one with the same
 * address takes the place of the one before.
 */
void guest_hold(struct process *process, uint64_t address, uint64_t length);
void guest_let_go(struct process *process);

/*
 * The whole range, for the host to read for as long as the guest does not go on:
 * pieces of guest memory, those that follow each other in one; zeros for what
 * nobody has used yet, and copies of what are a file's own pages, which the host
 * must not touch. Brings no page in. Returns 0; -EFAULT: the guest could not read
 * all of it itself; -ENOMEM: of the host. guest_content_free() frees what it has, and
 * leaves the guest's memory as it is.
 *
 * The pieces stay, and what they hold, until the guest runs, or the space is reset
 * or destroyed:
 *  - Data frames have one owner and do not move; a space's are taken by edits of
 *    that space alone. No call of the guest makes one while it does not run, and
 *    what is reclaimed under pressure is of spaces that nobody has (space_reclaim()).
 *  - Reads and writes by the host between calls (kvmsb_memory_read()) may bring pages
 *    in and settle the fork at its limit: the pages of the range are held. A write
 *    into the range changes what a piece holds, or, where the page was shared, gives
 *    the guest another page and leaves the piece as it was.
 *  - Frames that are the master's never change once it is frozen, and stay while it
 *    has forks: each has a reference, also of a master that the host has destroyed.
 *  - The machine's page of zeros is written by nobody, nor is that of this function.
 *  - The learner and the restoring of contents work in resets and new forks only.
 *  - Files' pages come and go with the file window: they are copied here.
 */
struct guest_content {
	struct iovec *pieces; /* malloc()ed, as is `copies`: whoever takes them over frees them */
	size_t count;
	void *copies; /* NULL: none were needed */
};
int guest_content(struct process *process, uint64_t address, uint64_t length,
                  struct guest_content *content);
void guest_content_free(struct guest_content *content);

#endif
