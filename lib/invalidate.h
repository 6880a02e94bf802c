/* SPDX-License-Identifier: MIT */
/*
 * What must happen after an edit of page tables so that no processor goes on
 * using what was there before. The only module that knows.
 *
 * Hosts where hardware walks the guest's tables: translations live in TLBs
 * only. Every edit of a present entry changes the space's generation; a vCPU
 * that enters a space at another generation than it ran last forces a flush
 * (vcpu.c). Nothing else is needed, and the functions here do nothing but count.
 *
 * Hosts with shadow paging keep their own copy of the tables and never notice
 * an edit by the host:
 *   absent -> present                      seen at the next access: nothing
 *   read-only -> another frame, writable,
 *     after the guest's write faulted      seen at that write: nothing
 *   a link between tables, a large leaf    never: the builder replaces the
 *                                          tables (pagetable.h, stale), and
 *                                          replaced frames wait in quarantine
 *                                          for a drop of the whole shadow
 *   any other change of a 4 KiB leaf       translations of its *frame* are
 *                                          dropped through the MMU notifier
 *
 * Freeing a data frame (memory.h) drops its translations on every host.
 */
#ifndef KVMSB_INVALIDATE_H
#define KVMSB_INVALIDATE_H

#include "address.h"

#include <stdbool.h>
#include <stdint.h>

struct machine;

/* Leaves whose frames stay, changed by one edit. */
#define INVALIDATION_FRAMES 256u
struct invalidation {
	struct machine *machine;
	uint32_t count; /* more than INVALIDATION_FRAMES: everything */
	struct {
		gpa_t frame;
		bool shared; /* others use it: its contents must stay readable throughout */
	} changed[INVALIDATION_FRAMES];
};

/* Begins an edit; note every changed leaf; finish before the guest runs again. */
void invalidation_begin(struct invalidation *invalidation, struct machine *machine);
void invalidation_note(struct invalidation *invalidation, gpa_t frame, bool shared);

/* Returns 0, or -errno: translations may be left, so the space must not run again. */
int invalidation_finish(struct invalidation *invalidation);

/*
 * Drops the whole shadow of the machine and frees the table frames that waited
 * for it. Every space's next accesses are slower. Returns 0 or -errno.
 */
int invalidate_everything(struct machine *machine);

/* Drops the shadow if enough table frames wait for it. */
void invalidate_when_due(struct machine *machine);

#endif
