/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: page tables plus the frames they own, copy-on-write between
 * a master and its forks, reset.
 *
 * A fork's space shares the master's tables and frames until it writes. The
 * pages it made private stay mapped across a reset, which restores their
 * contents (working_set.h) and takes away what was mapped in it since; only
 * where pages of the master were unmapped, protected or moved is it built anew.
 *
 * A limit is reached by what the request at hand did, never by what others did
 * before it: where page_limit would be passed, a fork first is settled. It gives
 * back all that it has only because an earlier request, or learning, or a fault
 * close by brought it in: copies that differ in nothing from what they are copies
 * of, contents of files, zeros, tables that say what the master's say. What is left
 * depends on its mappings and contents alone, and decides.
 *
 * Invalidation rules live in invalidate.h; every edit here goes through them.
 * One thread at a time uses a space, but for reading a frozen one.
 */
#ifndef KVMSB_SPACE_H
#define KVMSB_SPACE_H

#include "address.h"
#include "checks.h"
#include "invalidate.h"
#include "memory.h"
#include "pagetable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fork_rules;
struct machine;

/* Pages that the instruction or the system call at hand has to have at once. */
struct space_need {
	uint64_t start, end;
};

/* More than one instruction of the guest reads, writes and is read from. */
#define SPACE_NEEDS 8u

struct space {
	struct machine *machine;
	struct pagetable table;
	struct translations translations; /* the same for processors (invalidate.h) */
	const struct space *master; /* NULL: not a fork */
	uint32_t first_frame;  /* of the list of its own data frames (memory.h) */
	uint64_t frame_count;
	uint64_t table_count;
	uint64_t page_limit;   /* of frames and tables together */
	bool limit_reached;    /* since it was last asked: page_limit refused something */
	struct space_need needs[SPACE_NEEDS]; /* the last ones of need_count, in turn */
	uint32_t need_count;
	uint64_t taken_count;  /* frames that a reset takes away */
	uint64_t reloadable_count; /* frames of files, which a fault brings back */
	bool shares_zeros;     /* the machine's zero page is mapped, or was */
	bool shows_files;      /* in a fork: pages that are files' own are mapped, or were */
	bool rebuild;          /* pages of the master are not as a fork has them: a reset builds it anew */
	bool poisoned;         /* stale translations may be left: must not be entered before it is reset */
	uint32_t sweep_interval, next_sweep; /* in resets: when dirty bits are cleared */
	uint64_t learned_version;  /* of the pages it holds since its master learned them */
	uint64_t taught_epoch;     /* of translations, when it last told what it wrote */
	uint32_t runs_taught;
	uint32_t unused;       /* frames that no request has written for long */
	uint64_t held;         /* statistics: pages made private before a request wrote them */
	uint64_t copied;       /* pages copied from the master */
	uint64_t restored;     /* pages restored by resets */
	struct space *next_idle;
	CHECKED_MEMBER_OF_SPACE
};

/* Protection of a mapping; 0 is for nobody (PROT_NONE), others include reading. */
#define SPACE_READ 1u
#define SPACE_WRITE 2u
#define SPACE_EXECUTE 4u

/*
 * A new empty space of the machine. page_limit: frames and tables it may own.
 * Returns 0, -ENOMEM.
 */
int space_create(struct space **space, struct machine *machine, uint64_t page_limit);

/* Ends all change to a space; it can be forked from now on, by these rules. Returns 0, -ENOMEM. */
int space_freeze(struct space *space, const struct fork_rules *rules);

/*
 * A fork of a frozen space. The forks of a machine have one master and one set of
 * rules: what a destroyed one left serves the next. Returns 0, -ENOMEM.
 */
int space_fork(struct space **fork, struct space *master);

/*
 * Populates memory for so many more forks of the machine's master: what
 * space_fork() takes and the first page that each writes. Returns 0 or -ENOMEM.
 */
int space_reserve(struct machine *machine, uint64_t forks);

/* A fork as it was at space_fork(). Returns 0 or -ENOMEM (it is then only good for destroy or reset). */
int space_reset(struct space *fork);

/* NULL is allowed. A fork's space may be kept by the machine for the next fork. */
void space_destroy(struct space *space);

/*
 * Gives the machine's memory all that no fork uses: what is kept of destroyed
 * ones, and the tables that wait. True if there was something.
 */
bool space_reclaim(struct machine *machine);

/* Frees the kept ones; the machine is going. */
void space_free_idle(struct machine *machine);

/*
 * Gives back what the fork has and need not have; where page_limit is passed this
 * is done by itself. Pages may be gone after it that were mapped: those that a
 * fault brings back as they were.
 */
void space_settle(struct space *fork);

/*
 * Settling leaves the pages in [start, end) as they are, until space_need_nothing()
 * or for the next SPACE_NEEDS calls; one with the same start replaces the one before.
 * An instruction of the guest needs several pages at once, a read(2) fills a few.
 */
void space_need(struct space *space, uint64_t start, uint64_t end);

static inline void space_need_nothing(struct space *space)
{
	space->need_count = 0;
}

/* The guest is about to run in the space: its tables will be cached. Call before every entry. */
void space_enter(struct space *space);

/*
 * Maps `length` bytes of fresh zeroed frames at va (page aligned, nothing may
 * be mapped there: -EEXIST). fate: what a reset of a fork does with them. A page
 * that is still zeros, or FRAME_KEPT, may be gone after any later operation, for a
 * fault to bring it back; not so once space_pin_load() was used for it.
 * Returns 0, -ENOMEM (limit or host; nothing of it is mapped then), -EINVAL.
 */
int space_map(struct space *space, gva_t va, uint64_t length, unsigned protection,
              enum frame_fate fate);

/* The same as zeros that all share, until the first write to a page. A reset of a fork leaves them. */
int space_map_zeros(struct space *space, gva_t va, uint64_t length, unsigned protection);

/*
 * The machine's clock page and vDSO, at va and behind it: the first to be read,
 * the others to be executed; never to be written. As space_map().
 */
int space_map_clock(struct space *space, gva_t va);

/*
 * Takes away whatever is mapped in the range; private frames are freed.
 * Returns 0 or -ENOMEM, -EINVAL; nothing is changed then.
 */
int space_unmap(struct space *space, gva_t va, uint64_t length);

/* Changes the protection of whatever is mapped in the range. As space_unmap(). */
int space_protect(struct space *space, gva_t va, uint64_t length, unsigned protection);

/* Moves what is mapped in [from, from + length) to `to`, where nothing is mapped (mremap). */
int space_move(struct space *space, gva_t from, gva_t to, uint64_t length);

/* What a leaf allows: WRITE also when the first write has yet to copy the page. */
static inline unsigned space_protection(const struct mapping *mapping)
{
	unsigned protection = SPACE_READ;

	if ((mapping->flags & MAPPING_USER) == 0)
		return 0;
	if ((mapping->flags & (MAPPING_WRITE | MAPPING_COPY_ON_WRITE)) != 0)
		protection |= SPACE_WRITE;
	if ((mapping->flags & MAPPING_EXECUTE) != 0)
		protection |= SPACE_EXECUTE;
	return protection;
}

/*
 * What a page is: not mapped, or mapped with `protection` (WRITE also when the
 * first write has yet to copy it).
 */
bool space_lookup(const struct space *space, gva_t va, unsigned *protection);

/*
 * Makes the page at va private and writable; it is mapped with SPACE_WRITE.
 * by_guest: a write of the guest faulted on it just now; else the host does
 * it, and the guest's old translation is invalidated.
 * Returns 0, -ENOMEM, -EFAULT (not mapped or not writable).
 */
int space_make_private(struct space *space, gva_t va, bool by_guest);

/*
 * Host pointers for copies. One page at most: *length is cut to the page's
 * end. The page must be mapped with the protection (-EFAULT otherwise: the
 * caller may populate it and try again). space_pin_write() makes it private
 * first. Pointers live until the next edit of the space.
 * -EREMOTE: a file's own page (space_files.h), which the host must not touch:
 * the file is to be read instead.
 */
int space_pin_read(const struct space *space, gva_t va, uint64_t *length, const void **host);
int space_pin_write(struct space *space, gva_t va, uint64_t *length, void **host);

/* As space_pin_write(), whatever the protection: for the loader and for file content. */
int space_pin_load(struct space *space, gva_t va, uint64_t *length, void **host);

#endif
