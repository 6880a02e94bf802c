/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory of a machine: two windows of frames (window.h), one for
 * data and one for page tables; and one of files, which are nobody's frames
 * (file_window.h).
 *
 * Every frame has exactly one owner: a space (by its serial), the kernel
 * pages (serial 0 of the machine), the free stack, or for table frames the
 * quarantine. There are no counts of references: what a fork shares with its
 * master is the master's, and a master goes last. Data frames are handed out
 * zeroed, tables are not. When a frame may go back to the free stack is not
 * decided here: frames of spaces come back by way of invalidate.h only.
 *
 * Frames are taken and given back under one lock that is held for some ten
 * instructions; pages are populated, and slots added, under another. No thread
 * keeps frames for itself. A fork that is built takes the lock five times: 9 ns
 * each, and 15 to 85 where two threads do nothing else (PVM), so a third of a
 * microsecond of two at most; and what a thread kept would be missing at the limit.
 *
 * Host pointers into frames are valid as long as the machine lives; only the
 * process that created the machine may follow them. All functions may be
 * called from any thread.
 */
#ifndef KVMSB_MEMORY_H
#define KVMSB_MEMORY_H

#include "address.h"
#include "file_window.h"
#include "util.h"
#include "window.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_NONE UINT32_MAX

/* Slot 0 is the one that invalidate.h adds and deletes. */
#define MEMORY_FIRST_SLOT 1u

/* What a reset does with a fork's own frame. */
enum frame_fate {
	FRAME_RESTORED, /* gives it the contents of `source` again */
	FRAME_KEPT,     /* nothing: contents of a file that nobody could change */
	FRAME_TAKEN,    /* unmaps and frees it: the master has nothing there */
};

/* What a data frame of a space is for; kept beside the frames, not in them. */
struct frame {
	uint64_t owner;  /* serial of its space; 0: nobody's or the kernel's */
	uint64_t source; /* gpa of the master's page it is a copy of; 0: zero page */
	uint64_t page;   /* gva where it is mapped */
	uint32_t previous, next; /* in its space's list, newest first; FRAME_NONE at the ends */
	uint8_t fate;    /* enum frame_fate */
	bool sighted;    /* a reset has seen it: see learner.h */
	bool blank;      /* came as zeros, and where nothing is mapped the guest finds zeros, too */
	uint8_t unwritten; /* samples in a row that found it as it was; saturates */
};

struct memory {
	int vm;
	bool shadow;                 /* the host keeps shadow page tables */
	pthread_mutex_t lock;        /* of both windows' use and stacks, and the quarantine */
	pthread_mutex_t growth_lock; /* of their growth, of files and next_slot; takes lock inside */
	struct memory_window data;
	struct memory_window tables;
	struct file_window files;
	struct frame *frames;        /* of the data window, one for each */
	uint64_t *table_epochs;      /* of the tables window: see invalidate.h */
	uint32_t *quarantine;        /* table frames that wait for a shadow drop */
	_Atomic uint32_t quarantine_count;
	uint32_t next_slot;
	_Atomic uint64_t shadow_pages; /* that KVM may keep, as it was told; 0: its own default */
	bool initialised;
	_Atomic uint64_t frames_in_use, tables_in_use; /* those in quarantine included */
};

/*
 * vm: the KVM VM. data_bytes, tables_bytes: address space to reserve (rounded
 * up to 2 MiB). physical_bits: the guest's MAXPHYADDR. shadow: whether the host
 * keeps shadow page tables. Returns 0, -ENOMEM, or -EINVAL when the windows do
 * not fit the guest's physical address space.
 */
int memory_init(struct memory *memory, int vm, uint64_t data_bytes, uint64_t tables_bytes,
                unsigned physical_bits, bool shadow);

/* in_parent: false in a forked child, which must not touch the reservations. */
void memory_destroy(struct memory *memory, bool in_parent);

/* A zeroed data frame. Returns 0, -ENOMEM, or an error of the new memory slot. */
int memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame);

/*
 * Populates memory for so many more frames and table frames, those included that
 * came back: allocating them takes no page fault of the host, as long as nobody
 * else takes them. Returns 0 or -ENOMEM; what was populated stays.
 */
int memory_reserve(struct memory *memory, uint64_t frames, uint64_t tables);

/*
 * Gives the host's pages behind frames in a row back: contents become zero, and
 * KVM forgets every translation to them (MMU notifiers). False when the host
 * cannot: nothing has changed.
 */
bool memory_frames_discard(struct memory *memory, gpa_t first, uint64_t count);
/* Zeroed frames that no processor knows go to the free list. */
void memory_frames_release(struct memory *memory, gpa_t first, uint64_t count);
/* Frames that a processor may know for ever are given up. */
void memory_frames_lose(struct memory *memory, gpa_t first, uint64_t count);

/* A table frame, contents as they are. epoch is kept with it: when it was made, see invalidate.h. */
int memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table);
/* One that no processor knows goes to the free list. */
void memory_table_free(struct memory *memory, gpa_t table);
/* One that the shadow may know waits for a drop of it. */
void memory_table_quarantine(struct memory *memory, gpa_t table);
uint64_t memory_table_epoch(const struct memory *memory, gpa_t table);

/* How many table frames wait; the shadow was dropped: the first `count` of them are free. */
uint32_t memory_quarantined(const struct memory *memory);
void memory_quarantine_release(struct memory *memory, uint32_t count);

/*
 * Where the file's page at `offset` is; see file_window_place(). descriptor: of
 * an open file of the host. Returns 0, or -EOPNOTSUPP: it is to be copied.
 */
int memory_map_file(struct memory *memory, int descriptor, uint64_t offset, uint64_t *length,
                    gpa_t *frame);

/*
 * What KVM has allocated in the kernel for the slots and for its own page tables,
 * at most, in bytes. An upper bound of each part: see memory.c.
 */
uint64_t memory_kernel_bytes(const struct memory *memory);

/* Host pointer to a frame, NULL when gpa is in no committed window of frames. */
void *memory_data(const struct memory *memory, gpa_t frame);
uint64_t *memory_table(const struct memory *memory, gpa_t table);

static inline bool memory_is_data(const struct memory *memory, gpa_t frame, uint64_t length)
{
	uint64_t offset = frame.value - memory->data.base;

	return range_within(offset, length, memory->data.committed);
}

/* Whether a guest finds a file's own pages there, which the host must not touch. */
static inline bool memory_is_file(const struct memory *memory, gpa_t frame, uint64_t length)
{
	return file_window_holds(&memory->files, frame, length);
}

/* Three quarters are in use: what is merely useful should do without. */
static inline bool memory_is_scarce(const struct memory *memory)
{
	return memory->frames_in_use > (memory->data.reserved >> PAGE_SHIFT) / 4 * 3;
}

static inline struct frame *memory_frame(const struct memory *memory, gpa_t frame)
{
	return &memory->frames[window_number(&memory->data, frame)];
}

/* False for what is no data frame. */
static inline bool memory_owns(const struct memory *memory, gpa_t frame, uint64_t owner)
{
	return memory_is_data(memory, frame, PAGE_SIZE) &&
	       memory_frame(memory, frame)->owner == owner;
}

#endif
