/* SPDX-License-Identifier: MIT */
/*
 * A machine: one KVM VM with its memory, its kernel pages and its vCPUs. A
 * master and all its forks live in one machine; programs never share one.
 *
 * Reference counted: every sandbox holds one reference. Functions may be
 * called from any thread of the process that created it.
 */
#ifndef KVMSB_MACHINE_H
#define KVMSB_MACHINE_H

#include "address.h"
#include "counters.h"
#include "checks.h"
#include "invalidate.h"
#include "layout.h"
#include "learner.h"
#include "memory.h"
#include "pagetable.h"
#include "probe.h"
#include "timekeeper.h"
#include "vcpu.h"

#include <kvmsandbox/error.h>
#include <kvmsandbox/sandbox.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct space;

/* What every fork of the machine's master is made by; set when that is frozen. */
struct fork_rules {
	uint64_t page_limit; /* frames and tables that it may own */
	uint64_t keep_limit; /* and how many of these it keeps through a reset; at most half */
	gva_t call_stack;    /* the page that the first instruction of a call writes */
};

/* The clock's page and the vDSO. */
#define MACHINE_CLOCK_FRAMES (1 + LAYOUT_VDSO_SIZE / PAGE_SIZE)

struct machine_statistics {
	_Atomic uint64_t forks; /* live */
	_Atomic uint64_t migrations;
	_Atomic uint64_t vcpu_waits;    /* calls that had to wait for a vCPU */
	_Atomic uint64_t vcpu_refusals; /* calls that were not allowed to */
};

/* First come, first served; lending.c has what a waiter is. */
struct vcpu_queue {
	struct vcpu_waiter *first, *last;
};

/* For what threads count while they have no vCPU: each its own, up to this many threads. */
#define MACHINE_COUNTERS_OF_THREADS 32u

struct machine {
	_Atomic uint32_t references;
	int kvm;
	int vm;
	const struct host_behaviour *host;
	enum kvmsb_entry entry;    /* chosen; never AUTOMATIC */
	struct fork_rules fork_rules;
	const uint32_t *alive;     /* 1; wiped in a forked child (MADV_WIPEONFORK) */
	struct memory memory;
	struct invalidator invalidator;
	struct learner learner;
	struct timekeeper timekeeper;
	gpa_t clock_frame;         /* its page, and the vDSO's that reads it, behind it: for all spaces to read */
	gpa_t zero_frame;          /* zeros, which forks share until they write; mapped by nobody for writing */
	struct pagetable kernel_table; /* the two windows of layout.h, for the root of every space */
	uint8_t *vcpu_pages;       /* host's view of LAYOUT_KERNEL_VCPU */
	uint8_t *state_image;      /* host's view of LAYOUT_ENTRY_XSAVE */
	int timeout_signal;
	unsigned vcpu_limit;
	uint32_t vcpu_queue_limit;
	uint64_t identity;         /* that no machine of this process had before, nor of its parents */
	pthread_condattr_t monotonic; /* for deadlines */

	/* Read at each call, written only when somebody waits, or begins to be somebody's. */
	_Atomic unsigned vcpu_wanted; /* threads that must hear of a vCPU given back */
	_Atomic unsigned vcpu_count;  /* made */
	_Atomic unsigned long next_vcpu_id;

	pthread_mutex_t lock;      /* of what follows */
	struct vcpu *vcpus[LAYOUT_VCPU_MAXIMUM]; /* by index; NULL: never made; stays until the machine goes */
	struct vcpu_queue returning; /* calls that have begun, back from a function of the host */
	struct vcpu_queue arriving;
	_Atomic unsigned vcpu_waiting; /* in both queues */
	pthread_cond_t settled;    /* a suspended context's state has been saved, or is to stay */
	unsigned settling;         /* threads that wait for that */
	struct space *idle_spaces; /* of destroyed forks, restored: last in, first out */
	unsigned idle_space_count;
	uint64_t idle_pages;       /* frames and tables that they have */

	_Atomic uint64_t next_serial;
	struct machine_statistics statistics;

	/* Those of vCPUs, by index, then those of threads. */
	struct counters counters[LAYOUT_VCPU_MAXIMUM + MACHINE_COUNTERS_OF_THREADS];
	CHECKED_MEMBER_OF_MACHINE
};

/* What machine_create() needs to know; all set. */
struct machine_limits {
	uint64_t data_bytes, table_bytes; /* guest memory, page tables: address space to reserve */
	unsigned vcpu_limit;
	uint32_t learned_pages; /* 0: learning is off */
	uint32_t vcpu_queue_limit;
	int timeout_signal;
	enum kvmsb_entry entry;
	bool clock_by_system_calls; /* the vDSO is not to tell the time */
};

/* Returns 0 with one reference, or -errno with error's detail. */
int machine_create(struct machine **machine, const struct machine_limits *limits,
                   struct kvmsb_error *error);
struct machine *machine_reference(struct machine *machine);
void machine_release(struct machine *machine); /* NULL is allowed */

/*
 * What the machine has allocated in the kernel, at most, in bytes: KVM's objects,
 * its slots and page tables (memory.h), and its vCPUs. Not what is in VmRSS.
 */
uint64_t machine_kernel_bytes(const struct machine *machine);

/* Whether the calling process is the one that created it, and no fork(2) of that one. */
static inline bool machine_is_ours(const struct machine *machine)
{
	return *(const volatile uint32_t *)machine->alive != 0;
}

/*
 * Lends a vCPU to the calling thread until machine_vcpu_release(): the one
 * that holds the context's state if that is idle, else the thread's own, else
 * one of a thread that has ended, else a new one, else any other. Without a
 * lock where it is the thread's own and nobody waits.
 *
 * While all are busy it waits until `deadline` (CLOCK_MONOTONIC ns), and gets
 * what is given back when all who came before have theirs. A suspended context
 * comes before those that begin, and is not subject to machine->vcpu_queue_limit.
 *
 * Returns 0, -ETIMEDOUT, -EUSERS (too many wait), or -errno of making, adopting
 * or evicting one.
 */
int machine_vcpu_acquire(struct machine *machine, struct vcpu_context *context, uint64_t deadline,
                         struct vcpu **vcpu);

/* suspended: the context goes on later, and its x87 and vector state must be kept; else NULL. */
void machine_vcpu_release(struct vcpu *vcpu, struct vcpu_context *suspended);

/* A suspended context will not go on; one that is not suspended is allowed. */
void machine_context_forget(struct machine *machine, struct vcpu_context *context);

/* A name for the calling thread that, unlike gettid(2), no later thread gets. */
uint64_t machine_thread(void);

/* Counts what happens without a vCPU. */
void machine_count(struct machine *machine, enum counter which, uint64_t more);

/* Sum of all that was counted; of each count, what is older than the call is in it. */
void machine_totals(const struct machine *machine, uint64_t totals[COUNTERS]);

/* The two pages (TSS, interrupt stack) of vCPU `index`. */
static inline uint8_t *machine_vcpu_pages(const struct machine *machine, unsigned index)
{
	return machine->vcpu_pages + index * (uint64_t)LAYOUT_KERNEL_VCPU_STRIDE;
}

#endif
