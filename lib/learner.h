/* SPDX-License-Identifier: MIT */
/*
 * What a master learns from its forks: the pages that their requests write.
 * Later forks hold copies of them from the start. A first write to a page of the
 * master costs an exit, as long as hundreds of copied pages.
 *
 * A page is sighted when a reset finds that a fork made it private and that its
 * contents differ. It is learned when it was sighted twice, while there is room:
 * one odd request teaches nothing. It is forgotten when for long no sample (a
 * reset that looks at all pages of its fork) found it written.
 *
 * Forks read a set that never changes, and know by its version when there is
 * another. Knows nothing of page tables or frames. Any thread.
 */
#ifndef KVMSB_LEARNER_H
#define KVMSB_LEARNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sightings after which a page is learned, and samples after which it is forgotten. */
#define LEARNER_SIGHTINGS 2u
#define LEARNER_MEMORY 256u

struct learned_page {
	uint64_t page;  /* gva */
	uint32_t flags; /* MAPPING_*, of a page of which the master has nothing: zeros */
	bool zeros;
};

/* Sorted by page. */
struct learned_pages {
	_Atomic uint32_t references;
	uint64_t version; /* never 0 */
	uint32_t count;
	struct learned_page pages[];
};

struct learner {
	pthread_mutex_t lock;
	bool initialised;
	uint32_t limit;                 /* pages learned at once; 0: learning is off */
	_Atomic uint64_t version;       /* of `learned`; 0: nothing was learned yet */
	struct learned_pages *learned;  /* NULL: nothing */
	struct sighting *sightings;     /* sorted by page */
	uint32_t count, capacity;
	uint32_t learned_count;
	uint64_t samples, sighted;      /* so far */
};

/* Returns 0 or -ENOMEM. A limit of 0 costs nothing and learns nothing. */
int learner_init(struct learner *learner, uint32_t limit);
/* in_parent: false in a forked child, where another thread may hold the lock for ever. */
void learner_destroy(struct learner *learner, bool in_parent);

/* A fork wrote these for the first time since it has its page tables. */
void learner_sight(struct learner *learner, const struct learned_page *pages, size_t count);

/* A sample is all pages that a fork holds: these of them were written; that was one sample. */
void learner_written(struct learner *learner, const struct learned_page *pages, size_t count);
void learner_sampled(struct learner *learner);

/* The pages to hold: a reference, or NULL when there are none. */
struct learned_pages *learner_pages(struct learner *learner);
void learned_pages_release(struct learned_pages *pages); /* NULL is allowed */

/* How many are learned now. */
uint32_t learner_count(struct learner *learner);

static inline uint64_t learner_version(const struct learner *learner)
{
	return atomic_load_explicit(&learner->version, memory_order_acquire);
}

#endif
