/* SPDX-License-Identifier: MIT */
/*
 * Arrays with 64-bit indices of which few are used, that several owners share
 * until one changes its own: a change copies the nodes on the way to it, and
 * nothing else. What they hold are items with a count of references.
 *
 * A node or an item with one reference, reached by nodes that all have one,
 * is its array's alone and may be changed in place; every other is immutable.
 * Arrays that share something are used by different threads at the same time.
 */
#ifndef KVMSB_LINUX_SPARSE_H
#define KVMSB_LINUX_SPARSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* First member of every item. */
struct shared {
	_Atomic uint32_t references;
};

struct sparse {
	struct shared *root;                   /* a node; the item at 0 when the height is 0 */
	void (*destroy)(struct shared *item);  /* called with the last reference of an item */
	unsigned height;                       /* levels of nodes */
	uint64_t nodes;                        /* that can be reached, shared ones too */
};

/* Bytes of memory that each of `nodes` takes, the allocator's included. */
#define SPARSE_NODE_COST 160u

void shared_init(struct shared *shared);
void shared_reference(struct shared *shared);
/* Whether that was the last reference. */
bool shared_drop(struct shared *shared);
/* Whether there is one reference only. */
bool shared_is_own(const struct shared *shared);

void sparse_init(struct sparse *array, void (*destroy)(struct shared *item));

/* Another owner of the same content. Costs the same for any size. */
struct sparse sparse_share(const struct sparse *array);

/* Empties it. */
void sparse_release(struct sparse *array);

/* Borrowed, to look at; NULL: there is nothing. */
struct shared *sparse_get(const struct sparse *array, uint64_t index);

/* The first index from *index on where something is. False: there is none. */
bool sparse_next(const struct sparse *array, uint64_t *index);

/*
 * Puts an item there in place of what is. Takes over the caller's reference.
 * Returns 0, or -ENOMEM: nothing has changed, and the reference is the caller's.
 */
int sparse_set(struct sparse *array, uint64_t index, struct shared *item);

/*
 * Where the item at an index stands, with all nodes on the way the array's own;
 * something is there. The item itself may still be shared: whoever changes it
 * copies it, stores the copy here, and drops a reference of the other. Returns
 * 0 or -ENOMEM. *slot lives until the next change.
 */
int sparse_reach(struct sparse *array, uint64_t index, struct shared ***slot);

/* Removes what is there, if anything. Returns 0, or -ENOMEM: nothing has changed. */
int sparse_remove(struct sparse *array, uint64_t index);

#endif
