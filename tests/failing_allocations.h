/* SPDX-License-Identifier: MIT */
/*
 * Tests that have malloc(), calloc(), realloc() and strdup() replaced by the
 * linker: the n-th of them from now on fails. For one thread.
 */
#ifndef KVMSB_TESTS_FAILING_ALLOCATIONS_H
#define KVMSB_TESTS_FAILING_ALLOCATIONS_H

#include <stdbool.h>

/* number: from 1. */
void allocations_fail_at(unsigned number);

/* Ends it. Whether there were so many that one has failed. */
bool allocations_stop_failing(void);

#endif
