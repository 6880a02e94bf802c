/* SPDX-License-Identifier: MIT */
/*
 * A guest without KVM for tests of the emulated Linux: its memory is an array
 * of the host, with a protection for each page. Stands in for lib/linux/mm.c,
 * usercopy.c and sys_mm.c. guest_pieces() gives a piece for every page, so
 * that nothing can rely on larger ones.
 */
#ifndef KVMSB_TESTS_FAKE_GUEST_H
#define KVMSB_TESTS_FAKE_GUEST_H

#include "linux/process.h"

#include <stdint.h>

#define FAKE_PAGES 512u
#define FAKE_START UINT64_C(0x100000)
#define FAKE_END (FAKE_START + FAKE_PAGES * PAGE_SIZE)

/* Pages that differ from the rest, which can be read and written. */
#define FAKE_READ_ONLY (FAKE_END - 3 * PAGE_SIZE)
#define FAKE_HOLE (FAKE_END - 2 * PAGE_SIZE) /* not mapped; the last page is again */

struct fake_guest {
	struct process process;
	struct kvmsb_registers registers;
	uint8_t *memory;
	unsigned pieces_maximum; /* most that guest_pieces() gives at once; 0: all that are asked */
	unsigned begins, ends;   /* calls of the callback functions */
	int callback_error;      /* what callback_end() returns */
};

/* An empty process; its deadline is far away. Asserts that it succeeds. */
void fake_guest_create(struct fake_guest *guest, const struct process_config *config);
void fake_guest_fork(struct fake_guest *guest, const struct fake_guest *master);
void fake_guest_destroy(struct fake_guest *guest);

/* Host pointer of a guest address within the arena, whatever its protection. */
void *fake_pointer(struct fake_guest *guest, uint64_t address);

/* Stores a string; returns its address. */
uint64_t fake_string(struct fake_guest *guest, uint64_t address, const char *text);

/* Runs a system call through process_system_call() and returns RAX. */
int64_t fake_call(struct fake_guest *guest, long number, uint64_t a, uint64_t b, uint64_t c,
                  uint64_t d, uint64_t e, uint64_t f);

/* With fewer arguments; those not given are 0. */
#define CALL_6(guest, number, a, b, c, d, e, f, ...)                                               \
	fake_call(guest, number, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d),       \
	          (uint64_t)(e), (uint64_t)(f))
#define CALL(guest, ...) CALL_6(guest, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
