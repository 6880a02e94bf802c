/* SPDX-License-Identifier: MIT */
/*
 * Page tables: builds, edits, freezes and shares 4-level x86-64 tables with
 * 4 KiB and 2 MiB leaves (SDM 3A 4.5). Pure: memory comes and goes through the
 * caller's operations; knows nothing of KVM, of data frames or of who runs on
 * the tables. Telling processors about an edit is the caller's work; this
 * module says which edits need it (generation, pagetable_changed_fn).
 *
 * All functions return 0 or -errno. Addresses and lengths are in bytes.
 *
 * Ranges: an address range [address, address + length) is page aligned, not
 * empty, and lies in the lower half [0, 2^47) or in the upper half
 * [2^64 - 2^47, 2^64). It neither wraps nor crosses the hole. Anything else is
 * -EINVAL. Other arguments are checked in this order, and a call that fails for
 * any reason has changed no mapping:
 *   -EINVAL  a bad argument, or a pagetable that was not created
 *   -EROFS   an edit of a frozen pagetable
 *   -EPERM   an edit below a verbatim root entry, or a leaf to a forbidden frame
 *   -EEXIST, -ENOENT  as each function says
 *   -ENOMEM  what ops->allocate answered; any other error of it passes as well.
 *            Tables made private or split before that stay so: no translation
 *            and no permission differs, but generation may.
 *
 * Ownership: a pagetable owns the table frames it allocated, gives each back
 * once, and never writes to or releases another's. A link (an entry that points
 * to a table) says which it is:
 *   owned   present, writable, user, accessed; NX clear
 *   shared  the same with W clear and PTE_SOFTWARE_1: frozen. In a pagetable
 *           that is not frozen, the table belongs to another one. In a frozen
 *           one it is owned, unless PTE_SOFTWARE_2 says that it was another's
 *           already when this one was frozen.
 * PTE_SOFTWARE_3 marks verbatim root entries. In leaves PTE_SOFTWARE_2 is
 * MAPPING_COPY_ON_WRITE and PTE_SOFTWARE_3 is MAPPING_BORROWED. A and, in
 * writable leaves, D are preset, so that no processor writes to a shared table.
 * Outside verbatim root entries a leaf's own permissions are the effective ones.
 * Tables are released by pagetable_destroy or when replaced, not when they get
 * empty.
 *
 * Stale tables: some hosts (shadow paging) keep what they read of a table frame
 * and see a change from absent to present, but never one of a present entry.
 * Therefore in a table for which ops->stale answers true this module
 *   - never changes or removes a present link,
 *   - never splits or removes a present 2 MiB leaf,
 * but moves the table to a fresh frame and changes it there. Its parent's link
 * changes with that, so parents move as needed, up to the root. Leaves that only
 * change permissions and 4 KiB leaves are changed in place: the caller drops
 * translations of data frames by other means.
 *
 * Threads: one at a time for each pagetable, and no processor may run on it
 * during an edit. A frozen one may be read and shared from by many at once.
 */
#ifndef KVMSB_PAGETABLE_H
#define KVMSB_PAGETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

/* Entries of one table. */
#define PAGETABLE_ENTRIES 512u

/* Levels of tables: 1 is the one whose entries are 4 KiB leaves. */
#define PAGETABLE_ROOT_LEVEL 4u

/* Levels of leaves. The last is only ever met behind verbatim root entries. */
#define MAPPING_4K 1u
#define MAPPING_2M 2u
#define MAPPING_1G 3u

/* Ring 3 may use it. */
#define MAPPING_USER (UINT32_C(1) << 0)
/* Writable now. Excludes MAPPING_COPY_ON_WRITE and MAPPING_BORROWED. */
#define MAPPING_WRITE (UINT32_C(1) << 1)
#define MAPPING_EXECUTE (UINT32_C(1) << 2)
/* Logically writable: a write is to be answered with pagetable_replace. Implies MAPPING_BORROWED. */
#define MAPPING_COPY_ON_WRITE (UINT32_C(1) << 3)
/*
 * The frame has other users (freezing marks every leaf): pagetable_protect
 * turns MAPPING_WRITE into MAPPING_COPY_ON_WRITE here, also after the mapping
 * was read-only for a while. Only pagetable_replace ends it.
 */
#define MAPPING_BORROWED (UINT32_C(1) << 4)
/* For pagetable_map only: 2 MiB leaves may be used. Never reported. */
#define MAPPING_ALLOW_LARGE (UINT32_C(1) << 5)

struct mapping {
	gpa_t frame;    /* what the leaf's first byte translates to */
	uint32_t level; /* MAPPING_4K, MAPPING_2M, MAPPING_1G */
	uint32_t flags; /* MAPPING_USER to MAPPING_BORROWED */
};

struct pagetable_ops {
	/*
	 * A 4 KiB frame that no processor has cached as a table, contents as they
	 * are, or -errno (-ENOMEM). Frames lie below 2^52.
	 */
	int (*allocate)(void *context, gpa_t *table);
	/*
	 * Takes a frame back, contents as they are. Processors may still walk it:
	 * it must get no other use before they were made to forget it.
	 */
	void (*release)(void *context, gpa_t table);
	/* The 512 entries of a table of this or of any pagetable it shares with. */
	uint64_t *(*entries)(void *context, gpa_t table);
	/*
	 * Whether leaves may point into [frame, frame + length). Must say no for
	 * every table frame: a guest that could write one would own the machine.
	 */
	bool (*leaf_allowed)(void *context, gpa_t frame, uint64_t length);
	/*
	 * Whether a processor may have cached this table's entries. NULL: never.
	 * The answer for a table doesn't change during a call of this module.
	 */
	bool (*stale)(void *context, gpa_t table);
};

struct pagetable {
	gpa_t root;                      /* for CR3; edits may move it */
	const struct pagetable_ops *ops; /* NULL: not created */
	void *context;                   /* for ops */
	/*
	 * Grows with every change of a present entry, links included. A processor
	 * that ran at another generation has to drop its TLB and paging-structure
	 * caches before it runs again: even pagetable_map changes a present link
	 * when it has to copy a shared table.
	 */
	uint64_t generation;
	/* While ops->allocate is called: tables that this edit gives back once it is made. */
	uint64_t passing;
	bool frozen;
};

/* address: of the leaf's first byte. Non-zero stops the walk and is returned by it. */
typedef int pagetable_visit_fn(void *context, gva_t address, const struct mapping *mapping);

/* level: 4 (the root) to 1. Non-zero stops and is returned. */
typedef int pagetable_visit_table_fn(void *context, gpa_t table, unsigned level);

/*
 * A present leaf was changed; after is NULL when it is gone. Must not edit the
 * pagetable.
 */
typedef void pagetable_changed_fn(void *context, gva_t address, const struct mapping *before,
                                  const struct mapping *after);

/* Bytes that a leaf of this level spans. */
static inline uint64_t mapping_length(uint32_t level)
{
	return UINT64_C(1) << (12 + 9 * (level - 1));
}

/* Where an address that this mapping covers leads to. */
static inline gpa_t mapping_translate(const struct mapping *mapping, gva_t address)
{
	return gpa(mapping->frame.value + (address.value & (mapping_length(mapping->level) - 1)));
}

/*
 * An empty pagetable: one root table. ops and context stay the caller's and
 * outlive it. On failure *pt is zeroed, which pagetable_destroy accepts.
 * -EINVAL: an op other than stale is missing. -ENOMEM.
 */
int pagetable_create(struct pagetable *pt, const struct pagetable_ops *ops, void *context);

/*
 * Releases every owned table, once each, and zeroes *pt. Takes NULL, a zeroed
 * struct, a frozen pagetable. A frozen one must outlive all that share with it,
 * directly or through a frozen child: the caller counts references.
 */
void pagetable_destroy(struct pagetable *pt);

/*
 * Maps the range to the frames from frame on. With MAPPING_ALLOW_LARGE, aligned
 * 2 MiB pieces become one leaf each where no table stands in the way.
 * -EINVAL: frame is unaligned or the frames reach past 2^52; unknown flags, or
 *          MAPPING_WRITE with one it excludes.
 * -EROFS, -EPERM.
 * -EEXIST: some page of the range is mapped. -ENOMEM.
 */
int pagetable_map(struct pagetable *pt, gva_t address, gpa_t frame, uint64_t length, uint32_t flags);

/*
 * Removes all leaves of the range; holes are fine. A 2 MiB leaf of which only
 * part goes is split, and reported as 4 KiB leaves. changed may be NULL.
 * -EINVAL, -EROFS, -EPERM, -ENOMEM (no callback was made).
 */
int pagetable_unmap(struct pagetable *pt, gva_t address, uint64_t length,
                    pagetable_changed_fn *changed, void *context);

/*
 * Gives all leaves of the range these flags; holes are fine. Frames stay, so
 * MAPPING_BORROWED does, and MAPPING_WRITE becomes MAPPING_COPY_ON_WRITE there.
 * Leaves that have the flags already are neither changed nor reported.
 * Splitting and changed: as pagetable_unmap.
 * -EINVAL: also unknown flags, or MAPPING_WRITE with one it excludes.
 * -EROFS, -EPERM, -ENOMEM (no callback was made).
 */
int pagetable_protect(struct pagetable *pt, gva_t address, uint64_t length, uint32_t flags,
                      pagetable_changed_fn *changed, void *context);

/*
 * Changes frame and flags of the 4 KiB page at address, out of a 2 MiB leaf if
 * it stands in one (which is split): what completes a copy-on-write.
 * -EINVAL, -EROFS, -EPERM as pagetable_map.
 * -ENOENT: nothing is mapped there. -ENOMEM: nothing at all has changed.
 */
int pagetable_replace(struct pagetable *pt, gva_t address, gpa_t frame, uint32_t flags);

/*
 * The leaf that translates address (any byte), with effective permissions: W
 * and U of all levels, NX of any. Frozen pagetables and verbatim root entries too.
 * -EINVAL: not created, or not canonical. -ENOENT: nothing is mapped there.
 */
int pagetable_lookup(const struct pagetable *pt, gva_t address, struct mapping *mapping);

/*
 * Visits every leaf that touches the range, in order, as pagetable_lookup sees
 * it; the first may begin before the range. visit must not edit pt.
 * -EINVAL; else what visit returned last, 0 if it was never called.
 */
int pagetable_walk(const struct pagetable *pt, gva_t address, uint64_t length,
                   pagetable_visit_fn *visit, void *context);

/*
 * Visits every owned table once, each after the tables below it, the root last:
 * visit may release what it is shown when pt is not used again.
 * Returns what visit returned last; 0 for a pagetable that was not created.
 */
int pagetable_visit_tables(const struct pagetable *pt, pagetable_visit_table_fn *visit,
                           void *context);

/* How many tables it owns; 0 when not created. */
size_t pagetable_count_tables(const struct pagetable *pt);

/*
 * Makes pt an immutable master: every leaf becomes MAPPING_BORROWED, writable
 * ones MAPPING_COPY_ON_WRITE, every link shared; verbatim root entries stay. It
 * keeps its tables, and edits answer -EROFS from here on. A pagetable that
 * shares another's tables may be frozen and shared in turn.
 * The caller drops translations of all frames that were mapped writable.
 * -EINVAL, -EROFS. -ENOMEM (only where tables are stale): nothing has changed.
 */
int pagetable_freeze(struct pagetable *pt);

/*
 * Creates child from a frozen master: a root of its own, everything below
 * shared, verbatim root entries included. context is for the ops of the child.
 * On failure *child is zeroed.
 * -EINVAL: master is not frozen. -ENOMEM.
 */
int pagetable_share(const struct pagetable *master, struct pagetable *child, void *context);

/*
 * Gives back what pt, a child of master, need not have of its own: a table of
 * which each entry is what the master has there goes, and so does an empty one
 * where the master has none. Those that translate `keep` stay. What is left
 * depends on pt's leaves alone, not on the edits that made them. No translation
 * and no permission differs; accessed and dirty bits may.
 * -EINVAL: not created, or master is not frozen. -EROFS.
 * -ENOMEM (only where tables are stale): nothing has changed.
 */
int pagetable_rejoin(struct pagetable *pt, const struct pagetable *master, gva_t keep);

/*
 * Makes every table that translates address private to pt, down to the one with
 * 4 KiB leaves: allocates missing ones, copies shared ones, splits a 2 MiB leaf.
 * No later edit within the same aligned 2 MiB needs memory then.
 * -EINVAL, -EROFS, -EPERM. -ENOMEM: nothing at all has changed.
 */
int pagetable_own_path(struct pagetable *pt, gva_t address);

/*
 * Whether a processor may have read the entry that translates address, or says
 * that nothing does: ops->stale of the table it stands in now. Needs a created
 * pagetable and a canonical address outside of verbatim root entries.
 */
bool pagetable_leaf_stale(const struct pagetable *pt, gva_t address);

/*
 * Moves the table that the entry for address stands in, and as many of those
 * above as it takes, to fresh frames, so that no processor has read them. No
 * translation and no permission differs. Nothing is done where that table is
 * pt's own and not stale.
 * -EINVAL, -EROFS, -EPERM. -ENOMEM: nothing at all has changed.
 */
int pagetable_renew_path(struct pagetable *pt, gva_t address);

/*
 * The dirty bit of the leaf of address (any byte). Processors set it when they
 * write through a translation that they read while it was clear; one that they
 * read before goes on without it, so clearing counts as a change (generation).
 * Tables of writable leaves set it from the start. Where there is no leaf that is
 * writable now, in a table of pt's own, it is reported as set and never changed.
 */
bool pagetable_is_dirty(const struct pagetable *pt, gva_t address);
void pagetable_set_dirty(struct pagetable *pt, gva_t address, bool dirty);

/*
 * Registers a verbatim root entry: a link to a table that another owns, kept as
 * it is (W included) by freezing and sharing, never followed by edits (-EPERM)
 * or pagetable_destroy. Zero removes the entry.
 * -EINVAL: index is 512 or more; entry is not zero and not present, or has bits
 *          other than P, W, U, A, NX and the address.
 * -EROFS.
 * -EEXIST: the entry is in use by tables of pt.
 * -ENOMEM: nothing has changed (only when a present entry of a stale root changes).
 */
int pagetable_set_root_entry(struct pagetable *pt, unsigned index, uint64_t entry);

/*
 * The root entry in the form that pagetable_set_root_entry of another pagetable
 * takes, 0 when absent, out of range or not created. It is good until an edit
 * moves the table it points to.
 */
uint64_t pagetable_root_entry(const struct pagetable *pt, unsigned index);

#endif
