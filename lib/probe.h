/* SPDX-License-Identifier: MIT */
/*
 * What this host's KVM really does. Decided by behaviour: a page of guest code
 * is run once per process, nothing goes by the name of the host.
 */
#ifndef KVMSB_PROBE_H
#define KVMSB_PROBE_H

#include "cpuid.h"
#include "timekeeper.h"

#include <kvmsandbox/error.h>
#include <kvmsandbox/sandbox.h>

#include <stdbool.h>
#include <stdint.h>

struct host_behaviour {
	bool syscall_enters_ring0; /* SYSCALL in ring 3 reaches LSTAR in ring 0 */
	bool syscall_runs_in_ring3; /* ... or runs a user page there, in ring 3 */
	bool syscall_faults;       /* ... or, where LSTAR is a supervisor page, faults on it */
	bool bitmap_exits;         /* OUT in ring 3 to a port open in the I/O bitmap exits */
	bool shadow_paging;        /* a page-table entry edited by the host stays stale past a load of CR3 */
	bool dirty_bits;           /* one that the host clears is set again by the guest's next write, and not by a read */
	bool selectors_stay;       /* DS, ES, FS, GS of one context are seen by the next, whatever is loaded */
	bool rip_past_out;         /* RIP after an OUT exit is past the instruction */
	unsigned tss_type;         /* of the TSS whose I/O bitmap works here: busy (11) or available (9) */
	struct timekeeper_source clock; /* khz 0: the guest's counter or the host's clock is another */
	struct kvm_cpuid2 *cpuid;  /* what guests see, filtered */
	struct cpuid_features features;
};

/*
 * The behaviour of this host, probed at the first call, then remembered.
 * Returns 0, or -errno with the detail in error. Any thread.
 */
int probe_host(const struct host_behaviour **behaviour, struct kvmsb_error *error);

/* Whether the host can do a forced choice, and what AUTOMATIC means on it; -EOPNOTSUPP. */
int probe_choose_entry(const struct host_behaviour *behaviour, enum kvmsb_entry wanted,
                       enum kvmsb_entry *entry, struct kvmsb_error *error);

#endif
