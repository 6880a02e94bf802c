/* SPDX-License-Identifier: MIT */
/*
 * What long mode wants of a processor before it runs: descriptor tables, the
 * task-state segment with its I/O bitmap, special registers, system-call MSRs.
 * Pure but for the types of linux/kvm.h; layout.h says where things are.
 */
#ifndef KVMSB_SEGMENTS_H
#define KVMSB_SEGMENTS_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* Types of a 64-bit TSS descriptor, SDM 3A 3.5. VMX demands the busy one. */
#define TSS_AVAILABLE 9u
#define TSS_BUSY 11u

/* Each fills a page of 4096 bytes. */
void segments_write_gdt(void *page);
void segments_write_idt(void *page);
/* interrupt_stack_top: a guest virtual address. open_ports: PORT_HYPERCALL.. answer in ring 3. */
void segments_write_tss(void *page, uint64_t interrupt_stack_top, bool open_ports);

/*
 * Changes *sregs, as KVM gave it for a new vCPU, into that of a processor in
 * ring 3 of 64-bit mode. The page tables (CR3) are the caller's. cr4_extra:
 * CR4 bits that this guest's CPUID allows.
 */
void segments_set_user(struct kvm_sregs *sregs, uint64_t tss_address, unsigned tss_type,
                       uint64_t cr4_extra);

/* MSRs of SYSCALL: where it goes, and which flags it clears. */
#define SEGMENTS_MSR_COUNT 4u
void segments_set_msrs(struct kvm_msr_entry entries[SEGMENTS_MSR_COUNT], uint64_t lstar,
                       uint64_t flag_mask);

#endif
