/* SPDX-License-Identifier: MIT */
/*
 * The guest's address space and the ports of its exits: what the assembly in
 * kernel.S, which runs inside, and the library, which builds the tables, must
 * agree on. Included by both, so plain numbers only.
 *
 *   0x0000000000010000  lowest address a program may map
 *   below 2 GiB         program, its interpreter, stack, brk heap
 *   0x000000007fffe000  the clock's page, then the vDSO; a program may unmap or move them
 *   4 GiB ..            mmap area
 *   0x00007f8000000000  entry window (PML4 255): pages that ring 3 may use
 *   0xffff800000000000  kernel (PML4 256): supervisor pages
 *
 * The two windows are the same tables in every space of a machine. The entry
 * window lies in the lower half because some hosts let ring 3 execute nothing
 * in the upper one.
 */
#ifndef KVMSB_LAYOUT_H
#define KVMSB_LAYOUT_H

#define LAYOUT_USER_START 0x10000
#define LAYOUT_LOW_END 0x80000000
#define LAYOUT_MMAP_START 0x100000000
#define LAYOUT_USER_END 0x7f8000000000

/* At the end of the gap above the stack, whose page tables every program has: vdso_page.h, vdso.c. */
#define LAYOUT_CLOCK_PAGE 0x7fffe000
#define LAYOUT_VDSO 0x7ffff000
#define LAYOUT_VDSO_SIZE 0x1000

/* Entry window. Text: executable; data: read-only; both user pages. */
#define LAYOUT_ENTRY_INDEX 255
#define LAYOUT_ENTRY 0x7f8000000000
#define LAYOUT_ENTRY_TEXT LAYOUT_ENTRY
#define LAYOUT_ENTRY_DATA 0x7f8000001000
#define LAYOUT_ENTRY_XSAVE 0x7f8000002000
#define LAYOUT_ENTRY_XSAVE_PAGES 2

/* Offsets in the entry text; kernel.S places its code by them. */
#define LAYOUT_ENTRY_SYSCALL 0x00
#define LAYOUT_ENTRY_START 0x10
#define LAYOUT_ENTRY_START_SELECTORS 0x30
#define LAYOUT_ENTRY_CLEAR_SELECTORS 0x80
#define LAYOUT_ENTRY_RETURN 0xc0
#define LAYOUT_ENTRY_RESUME 0xd0
#define LAYOUT_ENTRY_RESUME_SELECTORS 0xf0
#define LAYOUT_ENTRY_TEXT_SIZE 0x140

/* Offset of the OUT in the code at LAYOUT_ENTRY_RETURN. */
#define LAYOUT_ENTRY_RETURN_OUT 0xc8

/* What LAYOUT_ENTRY_RESUME leaves alone below the stack it goes on with: psABI 3.2.2, the red zone. */
#define LAYOUT_RED_ZONE 128

/* Kernel window: pages from its start. */
#define LAYOUT_KERNEL_INDEX 256
#define LAYOUT_KERNEL 0xffff800000000000
#define LAYOUT_KERNEL_TEXT 0xffff800000000000
#define LAYOUT_KERNEL_GDT 0xffff800000001000
#define LAYOUT_KERNEL_IDT 0xffff800000002000
/* Per vCPU: a page with the TSS, then the page of its interrupt stack. */
#define LAYOUT_KERNEL_VCPU 0xffff800000010000
#define LAYOUT_KERNEL_VCPU_STRIDE 0x2000
#define LAYOUT_VCPU_MAXIMUM 128

/* Offsets in the kernel text. */
#define LAYOUT_KERNEL_SYSCALL 0x00
#define LAYOUT_KERNEL_EXCEPTIONS 0x40
#define LAYOUT_KERNEL_EXCEPTION_STRIDE 8
#define LAYOUT_KERNEL_TEXT_SIZE 0x140

/* Offsets in the probe's text. */
#define LAYOUT_PROBE_OUT 0x00
#define LAYOUT_PROBE_SYSCALL 0x10
#define LAYOUT_PROBE_READ 0x20
#define LAYOUT_PROBE_SET_SELECTOR 0x30
#define LAYOUT_PROBE_GET_SELECTOR 0x40
#define LAYOUT_PROBE_READ_BASE 0x50
#define LAYOUT_PROBE_WRITE 0x60
#define LAYOUT_PROBE_READ_TSC 0x70
#define LAYOUT_PROBE_TEXT_SIZE 0x80

/* What ring 3 may find at this place of the descriptor table of a Linux host: user data. */
#define PROBE_HOST_SELECTOR 0x2b

/*
 * Ports, all written by a 4-byte OUT with an immediate port. The I/O bitmap
 * opens the first two to ring 3; the others answer in ring 0 only.
 */
#define PORT_HYPERCALL 0x00 /* EAX: number; 4th argument in RCX. guest/kvm_api.h */
#define PORT_SYSCALL_RING3 0x04
#define PORT_SYSCALL_RING0 0x20
#define PORT_EXCEPTION 0x24
#define PORT_RING3_END 0x08

/* Segment selectors. SYSRET wants user code two descriptors above user data - 8. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA 0x1b
#define SELECTOR_USER_CODE 0x23
#define SELECTOR_TSS 0x28

/* EAX of PORT_HYPERCALL that ends a call: the function's value is in RDI, RDX. */
#define HYPERCALL_RETURN 0xffff

#endif
