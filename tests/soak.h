/* SPDX-License-Identifier: MIT */
/*
 * The soak (soak.c): random use of forks by several threads, with a model of
 * what each fork holds, so that every answer can be checked. What the parts have
 * from each other: soak_operations.c does one random thing to one fork,
 * soak_leaks.c looks at what the process holds.
 */
#ifndef KVMSB_TESTS_SOAK_H
#define KVMSB_TESTS_SOAK_H

#include "guests/soak.h"

#include <kvmsandbox.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Functions and objects of the guest: a name, and an address in struct master. */
#define SOAK_SYMBOLS(X)                                                                            \
	X(digest)                                                                                  \
	X(write_pages)                                                                             \
	X(map)                                                                                     \
	X(unmap)                                                                                   \
	X(protect)                                                                                 \
	X(write_slot)                                                                              \
	X(grow)                                                                                    \
	X(shrink)                                                                                  \
	X(open_file)                                                                               \
	X(close_file)                                                                              \
	X(read_in)                                                                                 \
	X(write_out)                                                                               \
	X(crash)                                                                                   \
	X(leave)                                                                                   \
	X(spin)                                                                                    \
	X(spin_calling)                                                                            \
	X(devour)                                                                                  \
	X(pages)                                                                                   \
	X(heap)

struct addresses {
#define ADDRESS(name) uint64_t name;
	SOAK_SYMBOLS(ADDRESS)
#undef ADDRESS
};

struct master {
	const char *name;
	struct kvmsb *sandbox;
	struct addresses at;
	uint64_t heap_start;
	uint64_t frames, tables; /* of the machine, in use just after the freeze */
};

/* What a fork holds. */
struct model {
	uint64_t pages[SOAK_PAGES];
	enum soak_slot slots[SOAK_SLOTS];
	uint64_t slot_values[SOAK_SLOTS];
	uint64_t heap[SOAK_HEAP_PAGES];
	unsigned heap_pages;
	unsigned files;
	bool over;
};

/* A place for a fork, used by whichever thread holds the lock. */
struct member {
	pthread_mutex_t lock;
	struct master *master;
	struct kvmsb *fork; /* NULL: none at the moment */
	struct model model;
};

struct worker {
	pthread_t thread;
	struct soak *soak;
	unsigned number;
	uint64_t random;
	uint64_t values;      /* given out */
	uint64_t operations;
	const char *at;       /* the operation at hand */
	struct kvmsb *helper; /* a fork of its own, for use from inside callbacks */
	/* For the callbacks of the run at hand: */
	uint64_t input;       /* what each word of the standard input is */
	uint64_t output;      /* what each word of the output has to be */
	struct kvmsb *doomed; /* destroyed by the callback; NULL: none */
	bool nest;            /* the callback runs the helper */
	bool callback_failed;
};

#define SOAK_MASTERS 3
#define SOAK_THREADS 4
#define SOAK_MEMBERS 60 /* of each master */

struct soak {
	char program[512];
	uint64_t seed;
	struct master masters[SOAK_MASTERS];
	struct member members[SOAK_MASTERS * SOAK_MEMBERS];
	struct worker workers[SOAK_THREADS];
	uint64_t stop_at; /* CLOCK_MONOTONIC ns */
	atomic_bool failed;
};

/* Says what and where. Returns -1. */
__attribute__((format(printf, 2, 3))) int soak_fail(struct worker *worker, const char *format, ...);

/* A master of the soak's guest. Returns 0 or -errno after saying why. */
int master_open(const struct soak *soak, struct master *master, const struct kvmsb_options *options);
struct kvmsb_options master_options(const struct soak *soak);

/* One random operation on a random member. Returns 0, or -1 after saying what was wrong. */
int operate(struct worker *worker);

/* The last look at a member's fork, and its end. */
int member_retire(struct worker *worker, struct member *member);

/* Nothing but a call, which must say what a new fork says. */
int helper_call(struct worker *worker);

/* How often each operation was done, by all workers so far. */
void operations_print(void);

/* What the process holds of the system's. */
struct holdings {
	unsigned descriptors, mappings, timers;
	uint64_t resident; /* bytes */
	uint64_t kernel;   /* bytes, of the whole system, that cannot be taken back */
};

struct holdings holdings_now(void);

#endif
