/* SPDX-License-Identifier: MIT */
/*
 * The functions of lib/space.h over a list of pages in the host's memory, for
 * tests of what stands above them without KVM. Stricter than the real thing:
 * an argument that the header does not allow fails the test. Also the files of
 * lib/linux/files.h that memory maps use, with content in memory.
 */
#ifndef TEST_FAKE_SPACE_H
#define TEST_FAKE_SPACE_H

#include "linux/files.h"
#include "space.h"
#include "space_files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_page {
	uint64_t va;
	uint8_t *bytes;
	unsigned protection;
	bool borrowed; /* the bytes are the master's: copied by the first write */
	bool file;     /* a file's own page: nobody writes or pins it */
	enum frame_fate fate;
};

/* What space_map_file() maps at once at most. */
#define FAKE_PLACE_PAGES 37u

struct fake_space {
	struct space space;      /* first: what the code under test sees */
	struct fake_page *pages; /* ascending */
	size_t count, capacity;

	uint64_t fail_page; /* the n-th page from now that is mapped, copied or moved fails; 0: none */
	uint64_t fail_edit; /* the n-th unmap or protect from now fails; 0: none */

	bool shows_files; /* space_map_file() maps; else what is there is to be copied */

	uint64_t shown; /* calls of space_map_file() that mapped */
	uint64_t maps, unmaps, protects, moves; /* calls */
	uint64_t last_map_start, last_map_length;
};

/* page_limit: pages that it may own. A fork shares all of its master's pages. */
void fake_space_init(struct fake_space *fake, uint64_t page_limit);
void fake_space_fork(struct fake_space *fork, struct fake_space *master, uint64_t page_limit);
void fake_space_destroy(struct fake_space *fake);

struct fake_page *fake_page_at(const struct fake_space *fake, uint64_t va);

#define FAKE_FILES 8

struct fake_file {
	struct file *file;
	const uint8_t *bytes; /* the caller's */
	uint64_t size;
	int error; /* returned by file_pread(); 0: none */
};

/* By descriptor, as files_get_mappable() finds them; file NULL: -EBADF. */
extern struct fake_file fake_files[FAKE_FILES];

/* An open file with one reference; closing frees it and expects no other. */
void fake_file_open(unsigned descriptor, const uint8_t *bytes, uint64_t size);
void fake_file_close(unsigned descriptor);

/* The allocation that fails, counted down by the wrapped functions; 0: none. */
extern uint64_t fake_fail_allocation;

#endif
