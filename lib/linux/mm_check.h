/* SPDX-License-Identifier: MIT */
/*
 * The checked build (checks.h): each page that a process has is one of its
 * memory map, with the protection that the map says: W^X as mapped.
 */
#ifndef KVMSB_LINUX_MM_CHECK_H
#define KVMSB_LINUX_MM_CHECK_H

#include <stdbool.h>

struct process;

#ifdef KVMSB_CHECKS

/* always: also when there was no operation on its space since the last time. */
void mm_check(const struct process *process, bool always);

#else

static inline void mm_check(const struct process *process, bool always)
{
	(void)process;
	(void)always;
}

#endif

#endif
