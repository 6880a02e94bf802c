/* SPDX-License-Identifier: MIT */
/*
 * The checked build (meson setup -Dchecks=true): after every operation on a
 * space its page tables, its frames and its counters are looked at, and what
 * must never be so ends the process: a line on the standard error stream, and
 * abort(). Only this build prints or aborts. In the normal one this header is
 * all there is of it, and comes to nothing.
 *
 * What is looked at when:
 *   each operation (fork, fault, map, unmap, protect, move, reset, freeze ...)
 *   and each entry of the guest; one in some, if the space is large
 *     the space at hand: all its own tables, down to each leaf; that a link to
 *     its master's tables is the one that the master has there, below which all
 *     is the master's; the list of its frames; its counters; the windows of the
 *     machine in its root. A few of the master's frames, in turn: unchanged?
 *     From run.c also: each page is as the process has mapped it (mm_check.h)
 *   fork, reset, destroy
 *     that always, and every private page: it holds what the master has there,
 *     or zeros
 *   one operation in as many as make it affordable (all of them in a machine of
 *   few tables), and the end of a master
 *     all spaces, the kernel's tables and code, free lists, the sums of all
 *     counters; at the end of a master also all of its frames
 *
 * Why the space at hand is enough for "no frame is writable from two spaces":
 * a frame has one owner, by a serial that no other space gets, and only its
 * owner may write to it. checks.c says so in one function, reach_of().
 *
 * Threads: all operations on the spaces of a machine exclude each other in this
 * build, by a lock that is taken before any other. A guest that runs meanwhile
 * changes nothing but accessed and dirty bits, and contents of its own frames.
 * In a forked child, whose parent's memory is not there, nothing is looked at.
 */
#ifndef KVMSB_CHECKS_H
#define KVMSB_CHECKS_H

#include "address.h"
#include "pagetable.h"

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct space;

#ifdef KVMSB_CHECKS

struct checks;

struct checked_space {
	struct space *next;
	struct space **link; /* NULL: not in the list of its machine */
	bool idle;           /* kept for the next fork */
	bool map_checked;    /* since the last operation: see linux/mm_check.h */
	uint64_t skip;       /* operations and entries until it is looked at again */
};

#define CHECKED_MEMBER_OF_MACHINE struct checks *checks;
#define CHECKED_MEMBER_OF_SPACE struct checked_space checked;

/* The machine's kernel is built. Returns 0 or -ENOMEM. */
int checks_create(struct machine *machine);
void checks_destroy(struct machine *machine);

struct checks_operation {
	struct machine *machine; /* NULL: not looked at */
	struct space *space;     /* NULL: not one that exists before and after */
};

struct checks_operation checks_operation_begin(struct machine *machine, struct space *space);
void checks_operation_end(struct checks_operation *operation);

/* In the block that it stands in, from here on to whichever end, an operation is at work. */
#define CHECKED_OPERATION(machine, space)                                                          \
	__attribute__((unused, cleanup(checks_operation_end))) struct checks_operation             \
		checked_operation = checks_operation_begin(machine, space)

/* Within an operation. */
void checks_made(struct space *space);   /* exists from now on */
void checks_frozen(struct space *space); /* its frames don't change from now on */
void checks_fresh(struct space *space);  /* as good as a new fork */
void checks_kept(struct space *space, bool idle);
void checks_gone(struct space *space);   /* is about to be freed: a master, and all with it */
void checks_table_taken(struct space *space, gpa_t table);
void checks_table_given(struct space *space, gpa_t table);

/* The guest is about to run. */
void checks_entry(struct space *space);

/* All leaves of a space, those of its master too, but for the machine's windows. */
void checks_visit_leaves(const struct space *space, pagetable_visit_fn *visit, void *context);

/* Says what is wrong where, and aborts. */
__attribute__((noreturn, format(printf, 4, 5))) void checks_violation(const struct space *space,
                                                                      gva_t va, gpa_t frame,
                                                                      const char *format, ...);

#else

#define CHECKED_MEMBER_OF_MACHINE
#define CHECKED_MEMBER_OF_SPACE
#define CHECKED_OPERATION(machine, space) ((void)0)

static inline int checks_create(struct machine *machine)
{
	(void)machine;
	return 0;
}

static inline void checks_destroy(struct machine *machine)
{
	(void)machine;
}

static inline void checks_made(struct space *space)
{
	(void)space;
}

static inline void checks_frozen(struct space *space)
{
	(void)space;
}

static inline void checks_fresh(struct space *space)
{
	(void)space;
}

static inline void checks_kept(struct space *space, bool idle)
{
	(void)space;
	(void)idle;
}

static inline void checks_gone(struct space *space)
{
	(void)space;
}

static inline void checks_table_taken(struct space *space, gpa_t table)
{
	(void)space;
	(void)table;
}

static inline void checks_table_given(struct space *space, gpa_t table)
{
	(void)space;
	(void)table;
}

static inline void checks_entry(struct space *space)
{
	(void)space;
}

#endif

#endif
