/* SPDX-License-Identifier: MIT */
/*
 * Guest addresses as types of their own: a guest physical address (gpa_t) and
 * a guest virtual address (gva_t) can be neither dereferenced nor swapped.
 */
#ifndef KVMSB_ADDRESS_H
#define KVMSB_ADDRESS_H

#include <stdint.h>

typedef struct gpa {
	uint64_t value;
} gpa_t;

typedef struct gva {
	uint64_t value;
} gva_t;

static inline gpa_t gpa(uint64_t value)
{
	return (gpa_t){value};
}

static inline gva_t gva(uint64_t value)
{
	return (gva_t){value};
}

#endif
