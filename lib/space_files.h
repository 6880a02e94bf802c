/* SPDX-License-Identifier: MIT */
/*
 * Pages of an address space that are a file's own in the host's page cache
 * (file_window.h): read-only, nobody's frames, never dereferenced by the host.
 */
#ifndef KVMSB_SPACE_FILES_H
#define KVMSB_SPACE_FILES_H

#include "space.h"

/*
 * Maps up to `length` bytes of a file at va, where nothing may be mapped
 * (-EEXIST). All is page aligned. protection: without SPACE_WRITE. fate: KEPT,
 * or TAKEN: a reset of a fork builds its tables anew to take them away.
 * Returns how many bytes it mapped (at least a page), -EOPNOTSUPP (what is there
 * is to be copied), -ENOMEM (tables).
 */
int64_t space_map_file(struct space *space, gva_t va, uint64_t length, unsigned protection,
                       enum frame_fate fate, int descriptor, uint64_t offset);

/* Whether a file's own page is mapped there: space_pin_read() and its like give -EREMOTE. */
bool space_is_file(const struct space *space, gva_t va);

/*
 * Takes such pages away wherever they are in the range, and leaves others.
 * Returns 1 if there were some, 0, or -ENOMEM.
 */
int space_drop_files(struct space *space, gva_t va, uint64_t length);

/* How many more frames and tables it may own; 0 when memory is scarce. */
uint64_t space_room(const struct space *space);

#endif
