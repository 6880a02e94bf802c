/* SPDX-License-Identifier: MIT */
/* Frames of guest memory and of page tables that are not to be had; see fault_injection.h. */
#include "fault_injection.h"

#include "memory.h"

#include <errno.h>

int __real_memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame);
int __real_memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table);
int __wrap_memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame);
int __wrap_memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table);

int __wrap_memory_frame_allocate(struct memory *memory, uint64_t owner, gpa_t *frame)
{
	return fault_meets(FAULT_FRAME, "memory_frame_allocate", owner)
	               ? -ENOMEM
	               : __real_memory_frame_allocate(memory, owner, frame);
}

int __wrap_memory_table_allocate(struct memory *memory, uint64_t epoch, gpa_t *table)
{
	return fault_meets(FAULT_TABLE, "memory_table_allocate", epoch)
	               ? -ENOMEM
	               : __real_memory_table_allocate(memory, epoch, table);
}
