/* SPDX-License-Identifier: MIT */
/*
 * The test bed of kvmsb-bench-invalidation: a master, forks that hold its pages
 * in their shadow, and the means to make them forget. What fails ends the
 * program. Knows nothing of time.
 */
#ifndef INVALIDATION_BED_H
#define INVALIDATION_BED_H

#include <kvmsandbox.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_FRAMES 256u
#define MOST_FORKS 512u

struct bed {
	struct kvmsb *master;
	struct kvmsb *forks[MOST_FORKS]; /* the first is the one that is edited */
	struct kvmsb *owner;             /* its pages are private */
	unsigned count;
	uint64_t peek, rewrite, touch;
	uint64_t first;               /* index of the first page of an aligned 2 MiB */
	uint64_t address;             /* its address */
	uint8_t *shared[MOST_FRAMES]; /* the master's frames of these pages, by address */
	uint8_t *owned[MOST_FRAMES];
	bool shared_tables; /* of all but the first */
	uint64_t kvm_runs;  /* of the last call */
};

/*
 * breaks: pages of the fork are copied by the host first. writes: the guest
 * writes them before it reads them. whole: it reads all, not only those.
 */
struct means {
	const char *name;
	void (*drop)(struct bed *bed, unsigned count); /* makes guests forget the first pages */
	bool owner, breaks, writes, whole;
};

extern const struct means means[];
extern const size_t means_count;

__attribute__((noreturn)) void give_up(const char *what, const char *detail);

/* shadow_pages: KVM's limit of them; 0: its own. Exits with 77 where KVM cannot be used. */
void bed_open(struct bed *bed, const char *guests, unsigned long shadow_pages);
void bed_close(struct bed *bed);
void bed_fork(struct bed *bed, struct kvmsb **fork);

/* A function of the guest, with the first `pages` pages. */
uint64_t bed_call(struct bed *bed, struct kvmsb *fork, uint64_t function, unsigned pages);

/* Gives a fork tables of its own, and gets all of the pages into its shadow. */
void bed_warm(struct bed *bed, struct kvmsb *fork);

/* The first fork as it was born. */
void bed_renew_fork(struct bed *bed);

/* The edit of a copy-on-write that the host ends in the first fork, without what must follow. */
void bed_break_pages(struct bed *bed, unsigned count);

/* Whose pages these means are for. */
struct kvmsb *bed_edited(const struct bed *bed, const struct means *what);

/* Whether this kind of host has them. */
bool means_exist(const struct bed *bed, const struct means *what);

/* That an edit from present to another frame is seen through each, and not without. */
void means_check(struct bed *bed);

#endif
