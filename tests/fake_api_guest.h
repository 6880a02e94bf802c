/* SPDX-License-Identifier: MIT */
/*
 * A guest without KVM for tests of lib/http/: the copying functions of
 * lib/linux/mm.h over an arena of the host's memory, mappings beside it, and a process
 * whose standard error is kept. Stricter than the real thing: a range that wraps or
 * leaves the user's half fails the test, since the code under test has to see
 * that itself.
 */
#ifndef KVMSB_TESTS_FAKE_API_GUEST_H
#define KVMSB_TESTS_FAKE_API_GUEST_H

#include "http/hypercalls.h"
#include "linux/process.h"
#include "space.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The arena: readable and writable, then a read-only page, then a page that
 * runs out of memory when it is touched; nothing else is mapped.
 */
#define FAKE_ARENA 0x200000u
#define FAKE_ARENA_SIZE (4u << 20)
#define FAKE_ARENA_END (FAKE_ARENA + FAKE_ARENA_SIZE)
#define FAKE_READ_ONLY FAKE_ARENA_END
#define FAKE_NO_MEMORY (FAKE_READ_ONLY + 0x1000u)
#define FAKE_END (FAKE_NO_MEMORY + 0x1000u)

/* Where mappings are made, each with nothing beside it; never more than these at once. */
#define FAKE_MAPPINGS UINT64_C(0x100000000)
#define FAKE_MAPPING_DISTANCE UINT64_C(0x40000000)
#define FAKE_MAPPINGS_MAXIMUM 4u

struct fake_mapping {
	uint64_t length;   /* 0: there is none */
	uint64_t reserved; /* bytes at `memory` */
	uint8_t *memory;
	void *record;      /* what a mapping takes of the host's heap: it may fail */
};

struct fake_guest {
	struct process process;
	struct process_config config;
	struct space space;
	struct kvmsb_registers registers;
	struct hypercalls hypercalls;
	struct http_config http;
	uint8_t memory[FAKE_END - FAKE_ARENA];
	uint64_t read;     /* bytes copied out of the arena */
	uint64_t next;     /* address of the next fake_put() */
	char log[1 << 17]; /* standard error */
	size_t log_length;
	size_t log_take; /* bytes that the stream takes at once; 0: fails */
	int callbacks;   /* begun; fails when one is not ended */
	bool in_callback;
	int callbacks_end; /* below zero: the run is over when one has ended */
	struct fake_mapping mappings[FAKE_MAPPINGS_MAXIMUM];
	uint64_t mapped_room;  /* bytes of a mapping from its start: what lies behind runs out of memory */
	unsigned unmap_fails;  /* so many calls of mm_unmap() from now on */
};

/* The guest is one at a time: the copying functions have no other way to find it. */
struct fake_guest *fake_guest_create(void);
void fake_guest_destroy(struct fake_guest *guest);

/* Copies into the arena, behind what was put there before. Returns the address. */
uint64_t fake_put(struct fake_guest *guest, const void *data, size_t length);
uint64_t fake_put_text(struct fake_guest *guest, const char *text);
/* Forgets what was put. */
void fake_rewind(struct fake_guest *guest);

/* Mappings that are there. */
unsigned fake_mapping_count(const struct fake_guest *guest);
/* Length of the one that begins at the address; 0: there is none. */
uint64_t fake_mapping_length(const struct fake_guest *guest, uint64_t address);
/* Takes all of them away. */
void fake_unmap_all(struct fake_guest *guest);

/* The memory at an address of the guest, of the arena or a mapping. */
void *fake_at(struct fake_guest *guest, uint64_t address);

#endif
