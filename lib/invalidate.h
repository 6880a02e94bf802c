/* SPDX-License-Identifier: MIT */
/*
 * What must happen after an edit of page tables so that no processor goes on
 * using what was there before. The only module that knows; who edits tables
 * (space.c) says what it did, who enters a space (vcpu.c) asks for its CR3.
 *
 * Two kinds of host, told apart by the probe:
 *
 * WALKED: the processor walks the guest's tables and keeps in each vCPU's TLB
 * and paging-structure caches what it read (SDM 3A 4.10, APM 2 5.5). KVM
 * flushes a vCPU when the CR3 it is given differs from the one it has, and only
 * then. So every change of a present entry changes the space's generation, each
 * vCPU remembers which space it ran at which generation, and an entry that does
 * not match is given a CR3 that differs: by its address, else by its PWT bit.
 *
 * SHADOW: KVM keeps tables of its own, of all spaces of the machine, made from
 * what it read. It reads an entry again only when a translation is missing, or
 * when a write to a page that it took for read-only faults. It never notices
 * what the host process writes to tables, whatever CR3 is loaded. A table is
 * stale once its space was entered after it was made: only then can KVM have
 * read it.
 *
 *  edit                         | WALKED               | SHADOW
 *  -----------------------------+----------------------+---------------------------
 *  absent -> present            | nothing              | nothing
 *  leaf in a table not stale    | generation           | nothing
 *  REVOKED: a leaf went, lost a | generation           | the page's translation is
 *    permission, or moved; its  |                      |   dropped; the table moved
 *    table went for an equal one|                      |   (LINKED, RELEASED)
 *  COPIED: another frame,       | generation           | the same
 *    writable, by the host      |                      |
 *  FAULTED: the same, answering | generation           | nothing: read at that write;
 *    the guest's write fault    |                      |   if that never comes, the
 *                               |                      |   tables are built anew
 *  LINKED: a present link or    | generation, to save  | never in place: the builder
 *    2 MiB leaf                 |   a fault: the leaves |   moves the table (stale)
 *                               |   behind it are equal|
 *  FREED: a data frame gets     | generation of the    | its translations are dropped
 *    another use                |   leaf's edit; and the frame's host page goes: through
 *                               |   the MMU notifier KVM forgets it everywhere, on both
 *  RELEASED: a table frame gets | generation, or REUSED| it waits for a drop of the
 *    another use                |                      |   whole shadow
 *  frozen: leaves of a master   | nothing: it never    | nothing: so do the links by
 *    lose W                     |   runs again         |   which forks reach them
 *  CLEANED: dirty bits cleared  | generation           | never done
 *  MIGRATED: edited while       | generation, kept by  | nothing
 *    another vCPU ran it        |   each vCPU          |
 *  REUSED: a root frame of      | serial differs       | waited (RELEASED)
 *    another space before       |                      |
 *
 * One walk is KVM's own and knows no rule: it completes an INS after any of
 * these edits. vcpu.c lets it do so in tables of which it can write nothing.
 *
 * Dropping the translation of a page on a SHADOW host, by what was measured to be
 * cheapest (tests/bench/invalidation.c; microseconds for the host, then for the
 * guest that reads the pages again; PVM):
 *   PAGE   the host's page goes and comes back with its contents: the MMU notifier
 *          makes KVM drop the frame. Only of a frame that nobody else has:
 *          5 + 4 for one page, 4 and 1 more for each other
 *   PATH   the tables that translate it move to fresh frames, up to a new root:
 *          2 + 12, for up to eight pages of a 2 MiB region, then hardly more. What
 *          others share is not touched, so it costs the same among 500 forks,
 *          where an mprotect(2) pair of a shared frame takes hundreds
 *   SHADOW a memory slot is added and deleted, which drops all of the machine's
 *          shadow: 400 to 3000, and 15 and more for each space's next run. Only
 *          when there is no memory for a PATH, for an edit of too many regions,
 *          and to free tables that wait. A guest can bring it about (SECURITY.md)
 * Not used: a write that the guest makes before anything else, in a trampoline, is
 * the cheapest after COPIED (4 for one page), but it takes two registers that are
 * free only after SYSCALL, and a fork pays for each page only once.
 *
 * Each row in capitals is a rule: counted, and left out on purpose, one at a time,
 * in builds of the tests (KVMSB_PLANTED_BUGS), which must notice where it orders
 * something that is needed.
 *
 * Threads: any. One thread at a time edits a space or enters it.
 */
#ifndef KVMSB_INVALIDATE_H
#define KVMSB_INVALIDATE_H

#include "address.h"
#include "layout.h"
#include "memory.h"
#include "pagetable.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The rules: edits first, in terms of the table above. */
#define INVALIDATION_RULES(X)                                                                      \
	X(REVOKED)                                                                                 \
	X(COPIED)                                                                                  \
	X(FAULTED)                                                                                 \
	X(CLEANED)                                                                                 \
	X(LINKED)                                                                                  \
	X(FREED)                                                                                   \
	X(RELEASED)                                                                                \
	X(MIGRATED)                                                                                \
	X(REUSED)

/* The means: what was done. */
#define INVALIDATION_MEANS(X)                                                                      \
	X(FLUSH)                                                                                   \
	X(PAGE)                                                                                    \
	X(PATH)                                                                                    \
	X(SHADOW)

enum invalidation_count {
#define COUNT(name) INVALIDATION_##name,
	INVALIDATION_RULES(COUNT)
	INVALIDATION_MEANS(COUNT)
#undef COUNT
		INVALIDATION_COUNTS
};

/*
 * Of the entries with one vCPU, written by who has borrowed it: entering is on
 * the way of every request, and no two threads may write one line there.
 */
struct entry_counts {
	_Atomic uint64_t flushes, migrations, reuses;
	uint8_t apart[104]; /* from the next one's, wherever the array begins */
};

/* Of a machine. */
struct invalidator {
	int vm;
	struct memory *memory;
	bool shadow;               /* the host keeps shadow page tables */
	uint8_t *slot_page;        /* any page of host memory, for the slot that comes and goes */
	pthread_mutex_t drop_lock; /* one drop of the shadow at a time; takes memory.lock inside */
	_Atomic uint64_t counts[INVALIDATION_COUNTS]; /* but for what entries count */
	struct entry_counts entries[LAYOUT_VCPU_MAXIMUM]; /* by index of the vCPU */
};

void invalidator_init(struct invalidator *invalidator, int vm, struct memory *memory, bool shadow,
                      uint8_t *slot_page);
/* in_parent: false in a forked child. */
void invalidator_destroy(struct invalidator *invalidator, bool in_parent);

/* How often `what` was ordered or done. Any thread. */
uint64_t invalidator_count(const struct invalidator *invalidator, enum invalidation_count what);

/* A space as processors know it. Its owner keeps it at one address. */
struct translations {
	gpa_t root;
	uint64_t serial;     /* of the space: never 0, never used twice in a machine */
	uint64_t generation; /* of the last entry */
	uint64_t extra;      /* generations that struct pagetable does not count */
	uint64_t epoch;      /* counts entries: tables made since the last one are not stale */
	bool unread;         /* a write fault was answered, and its instruction not seen done */
	uint32_t last_vcpu;  /* index + 1 of the one that ran it last; 0: none */
};

/* What a vCPU's TLB may hold: of which space, as of when. */
struct cached_translations {
	uint64_t cr3;    /* as loaded */
	uint64_t serial; /* 0: nobody knows */
	uint64_t generation;
	uint32_t index; /* of the vCPU */
};

/* A space is about to be entered with these tables: from here on they are stale. */
void invalidate_before_entry(struct translations *translations, const struct pagetable *table);

/*
 * The vCPU is about to enter the space. Returns the CR3 to load, which differs
 * from cached->cr3 where the vCPU has something to forget, and keeps all that in
 * *cached. Costs no system call.
 */
uint64_t invalidate_entry(struct invalidator *invalidator, struct cached_translations *cached,
                          struct translations *translations);

/*
 * A fault for which there is no reason in the tables: the next entry forgets all
 * translations. Only a WALKED host can need it.
 */
static inline void invalidate_forget(struct translations *translations)
{
	translations->extra++;
}

/*
 * The guest has gone on past the instruction whose write fault was answered
 * (FAULTED); until it has, the page may be taken for what it was, and only
 * building the space's tables anew helps when it is reset. A RIP that differs
 * tells, as long as nothing but its own code moves it.
 */
static inline void invalidate_went_on(struct translations *translations)
{
	translations->unread = false;
}
bool invalidate_must_rebuild(const struct invalidator *invalidator,
                             const struct translations *translations);

/* The space's tables were given back, and others are built: no generation comes twice. */
void invalidate_rebuild(struct translations *translations, const struct pagetable *table);

/* 2 MiB regions that one edit may change leaves of; more than these: the whole shadow is dropped. */
#define INVALIDATION_REGIONS 256u
/* Pages that are cheaper to drop one by one than with their path. */
#define INVALIDATION_PAGES 2u

struct invalidation {
	struct invalidator *invalidator;
	struct translations *translations;
	struct pagetable *table;
	enum invalidation_count rule;
	uint64_t generation; /* of the table before the edit */
	uint64_t pages;      /* noted */
	uint32_t regions;
	bool shared;         /* some of their frames are not the space's own */
	gpa_t frames[INVALIDATION_PAGES];
	gva_t region[INVALIDATION_REGIONS]; /* a page in each */
};

/* Every edit of a table whose space may have run: begin, edit, note each leaf it changed, finish. */
void invalidation_begin(struct invalidation *invalidation, struct invalidator *invalidator,
                        struct translations *translations, struct pagetable *table,
                        enum invalidation_count rule);

/*
 * A leaf that was present was changed: `page` led to `frame`, which is not about
 * to be freed. May be called from within the edit (pagetable_changed_fn).
 */
void invalidation_note(struct invalidation *invalidation, gva_t page, gpa_t frame);

/*
 * Before the guest runs again. May move the table's root. Returns 0, or -errno:
 * translations may be left, so the space must not run again.
 */
int invalidation_finish(struct invalidation *invalidation);

/* Whether KVM may have read a table of the space's own, see above. */
bool invalidate_is_stale(const struct invalidator *invalidator,
                         const struct translations *translations, gpa_t table);

/*
 * Frees data frames in a row; their contents and all translations to them are
 * dropped. False: the host would not, so they are never used again, and a shadow
 * of tables that live on may still lead to them.
 */
bool invalidate_free_frames(struct invalidator *invalidator, gpa_t first, uint64_t count);

/* Frees a table frame, as soon as no processor can know it any more. */
void invalidate_free_table(struct invalidator *invalidator, gpa_t table);

/*
 * Drops the whole shadow of the machine and frees the table frames that waited
 * for it. Every space's next accesses are slower. Returns 0 or -errno.
 */
int invalidate_everything(struct invalidator *invalidator);

/* Drops the shadow if enough table frames wait for it. */
void invalidate_when_due(struct invalidator *invalidator);

#ifdef KVMSB_PLANTED_BUGS
/* The rule that is broken; INVALIDATION_COUNTS: none. */
extern enum invalidation_count invalidation_left_out;
#endif

#endif
