/* SPDX-License-Identifier: MIT */
/*
 * A window of a machine's guest-physical memory in which files of the host are
 * mapped, read-only: guests read the page cache, and nothing is copied. Every
 * file has one place in it, whoever maps it and how often, in parts of 64 MiB.
 *
 * One reservation of host address space, made when the first file comes. Memory
 * slots cover it from its start, a large one at a time: making one costs 15 to 40
 * us, mapping a file into one 5 (PVM). A place is kept until the window goes:
 * taking it away would have KVM search its tables each time. What does not fit
 * any more has no place, and is to be copied.
 *
 * The host must never dereference what is mapped here: a file that somebody cuts
 * off would end the process (SIGBUS, man 2 mmap). A guest that does so makes
 * KVM_RUN fail with EFAULT; see mm_files_failed() in linux/mm.h.
 *
 * A file is known by device, inode, size and times, so that what was replaced by
 * another (or copied up by an overlay) gets a place of its own. One that is
 * written in place changes for those who have mapped it, as for all of Linux.
 *
 * No locks here, but for file_window_holds(); memory.h says which are held.
 */
#ifndef KVMSB_FILE_WINDOW_H
#define KVMSB_FILE_WINDOW_H

#include "address.h"
#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_place; /* part of a file, and where it is */

/* Places are host mappings, of which a process can have some 65 000 (vm.max_map_count). */
#define FILE_WINDOW_PLACES 512u
#define FILE_WINDOW_BUCKETS 64u

struct file_window {
	uint8_t *host;              /* start of the reservation; NULL: none yet */
	uint64_t base;              /* its gpa */
	uint64_t reserved;          /* bytes, as all that follow; 0: nothing has a place */
	_Atomic uint64_t committed; /* have a memory slot */
	_Atomic uint64_t placed;    /* have a file */
	uint64_t growth;            /* of the next slot */
	bool plain_slots;           /* KVM has no read-only ones here */
	uint32_t count;             /* of places */
	struct file_place *places[FILE_WINDOW_BUCKETS];
};

/* bytes: at most so much address space; a multiple of 2 MiB. Takes no memory. */
void file_window_init(struct file_window *window, uint64_t base, uint64_t bytes);
/* in_parent: false in a forked child, where the reservation is not. A zeroed one is allowed. */
void file_window_destroy(struct file_window *window, bool in_parent);

/*
 * Finds or makes the place of a file's page at `offset` (page aligned): *frame,
 * and *length, cut to what is in a row there; not 0. descriptor: open for
 * reading, and not needed afterwards. A new slot gets the number *next_slot,
 * which grows.
 * -EOPNOTSUPP: it has no place, and is to be copied: a small file, nothing of it
 * at this offset, no more room, or no kind of file that can be mapped.
 */
int file_window_place(struct file_window *window, int vm, uint32_t *next_slot, int descriptor,
                      uint64_t offset, uint64_t *length, gpa_t *frame);

/* Whether all of [frame, frame + length) has been given to files. Any thread. */
static inline bool file_window_holds(const struct file_window *window, gpa_t frame, uint64_t length)
{
	return range_within(frame.value - window->base, length, window->placed);
}

#endif
