/* SPDX-License-Identifier: MIT */
/* Descriptor tables and special registers; see segments.h. */
#include "segments.h"

#include "layout.h"
#include "util.h"
#include "x86.h"

#include <string.h>

/* Code and data descriptors, SDM 3A 3.4.5, with the accessed bit set: the table is read-only. */
#define DESCRIPTOR_KERNEL_CODE UINT64_C(0x00af9b000000ffff)
#define DESCRIPTOR_KERNEL_DATA UINT64_C(0x00cf93000000ffff)
#define DESCRIPTOR_USER_DATA UINT64_C(0x00cff3000000ffff)
#define DESCRIPTOR_USER_CODE UINT64_C(0x00affb000000ffff)
#define GDT_ENTRIES 5u

#define GATE_INTERRUPT 0xeu
#define GATE_PRESENT 0x80u
#define GATE_DPL3 0x60u

/* 64-bit TSS, SDM 3A figure 8-11. One bitmap bit a port, 1 is closed; a byte of ones ends it. */
#define TSS_PORTS 256u
struct task_state {
	uint32_t reserved_0;
	uint64_t stack[3];
	uint64_t reserved_1;
	uint64_t interrupt_stack[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t bitmap_offset;
	uint8_t bitmap[TSS_PORTS / 8 + 1];
} __attribute__((packed));

_Static_assert(offsetof(struct task_state, interrupt_stack) == 36, "SDM 3A figure 8-11");
_Static_assert(offsetof(struct task_state, bitmap) == 104, "SDM 3A figure 8-11");
_Static_assert(PORT_RING3_END % 8 == 0 && PORT_RING3_END < TSS_PORTS, "whole bytes are opened");

void segments_write_gdt(void *page)
{
	uint64_t *entries = page;

	memset(page, 0, PAGE_SIZE);
	entries[SELECTOR_KERNEL_CODE >> 3] = DESCRIPTOR_KERNEL_CODE;
	entries[SELECTOR_KERNEL_DATA >> 3] = DESCRIPTOR_KERNEL_DATA;
	entries[SELECTOR_USER_DATA >> 3] = DESCRIPTOR_USER_DATA;
	entries[SELECTOR_USER_CODE >> 3] = DESCRIPTOR_USER_CODE;
}

/* Interrupt gate, SDM 3A 6.14.1, on interrupt stack 1. INT3 and INTO are ring 3's to use. */
static void write_gate(uint64_t *gate, uint64_t handler, bool from_ring3)
{
	uint64_t type = GATE_PRESENT | GATE_INTERRUPT | (from_ring3 ? GATE_DPL3 : 0);

	gate[0] = (handler & 0xffff) | (uint64_t)SELECTOR_KERNEL_CODE << 16 | UINT64_C(1) << 32 |
	          type << 40 | ((handler >> 16) & 0xffff) << 48;
	gate[1] = handler >> 32;
}

void segments_write_idt(void *page)
{
	uint64_t *gates = page;

	memset(page, 0, PAGE_SIZE);
	for (unsigned vector = 0; vector < VECTOR_COUNT; vector++)
		write_gate(&gates[vector * 2ul],
		           LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_EXCEPTIONS +
		                   vector * (uint64_t)LAYOUT_KERNEL_EXCEPTION_STRIDE,
		           vector == VECTOR_BP || vector == VECTOR_OF);
}

void segments_write_tss(void *page, uint64_t interrupt_stack_top, bool open_ports)
{
	struct task_state state = {.bitmap_offset = offsetof(struct task_state, bitmap)};

	memset(state.bitmap, 0xff, sizeof(state.bitmap));
	if (open_ports)
		memset(state.bitmap, 0, PORT_RING3_END / 8);
	for (unsigned i = 0; i < ARRAY_SIZE(state.stack); i++)
		state.stack[i] = interrupt_stack_top;
	for (unsigned i = 0; i < ARRAY_SIZE(state.interrupt_stack); i++)
		state.interrupt_stack[i] = interrupt_stack_top;
	memset(page, 0, PAGE_SIZE);
	memcpy(page, &state, sizeof(state));
}

static struct kvm_segment null_segment(void)
{
	return (struct kvm_segment){.unusable = 1};
}

void segments_set_user(struct kvm_sregs *sregs, uint64_t tss_address, unsigned tss_type,
                       uint64_t cr4_extra)
{
	sregs->cs = (struct kvm_segment){.limit = UINT32_MAX,
	                                 .selector = SELECTOR_USER_CODE,
	                                 .type = 11,
	                                 .present = 1,
	                                 .dpl = 3,
	                                 .s = 1,
	                                 .l = 1,
	                                 .g = 1};
	sregs->ss = (struct kvm_segment){.limit = UINT32_MAX,
	                                 .selector = SELECTOR_USER_DATA,
	                                 .type = 3,
	                                 .present = 1,
	                                 .dpl = 3,
	                                 .s = 1,
	                                 .db = 1,
	                                 .g = 1};
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ldt = null_segment();
	sregs->ldt.type = 2;
	sregs->tr = (struct kvm_segment){.base = tss_address,
	                                 .limit = sizeof(struct task_state) - 1,
	                                 .selector = SELECTOR_TSS,
	                                 .type = (uint8_t)tss_type,
	                                 .present = 1};
	sregs->gdt.base = LAYOUT_KERNEL_GDT;
	sregs->gdt.limit = GDT_ENTRIES * 8 - 1;
	sregs->idt.base = LAYOUT_KERNEL_IDT;
	sregs->idt.limit = VECTOR_COUNT * 16 - 1;
	/* Write protection is what keeps ring 0 out of pages that forks share. */
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	sregs->cr2 = 0;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | cr4_extra;
	sregs->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
}

void segments_set_msrs(struct kvm_msr_entry entries[SEGMENTS_MSR_COUNT], uint64_t lstar,
                       uint64_t flag_mask)
{
	/* SYSRET: CS from STAR's bits 63:48 plus 16, SS plus 8. SYSCALL: CS from bits 47:32. */
	const struct kvm_msr_entry values[SEGMENTS_MSR_COUNT] = {
		{.index = MSR_STAR,
	         .data = (uint64_t)(SELECTOR_USER_DATA - 8) << 48 | (uint64_t)SELECTOR_KERNEL_CODE
	                                                                    << 32},
		{.index = MSR_LSTAR, .data = lstar},
		{.index = MSR_CSTAR, .data = lstar},
		{.index = MSR_SFMASK, .data = flag_mask},
	};

	memcpy(entries, values, sizeof(values));
}
