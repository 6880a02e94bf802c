/* SPDX-License-Identifier: MIT */
/*
 * KVM's ioctls, one function each: the only file that issues them. Source:
 * Documentation/virt/kvm/api.rst of the Linux kernel. All return 0 (or what
 * they say) or -errno, and retry what a signal interrupted, KVM_RUN excepted.
 */
#ifndef KVMSB_KVM_H
#define KVMSB_KVM_H

#include <kvmsandbox/error.h>

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Opens /dev/kvm and checks everything this library needs of it. Returns a
 * descriptor, or -errno with a detail that names what is missing and what to do.
 */
int kvm_open(struct kvmsb_error *error);

/* A VM whose guest may touch no MSR. Returns a descriptor or -errno. */
int kvm_vm_create(int kvm, struct kvmsb_error *error);

/* size 0 deletes the slot. host is page aligned. */
int kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host);

/* The same, where the guest can write nothing, whatever its tables say. -EINVAL: KVM has none such. */
int kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host);

/* How many shadow pages KVM may keep of the VM's page tables, instead of its own default. */
int kvm_shadow_pages(int vm, uint64_t pages);

/* What CPUID may show, in memory that the caller frees. */
int kvm_supported_cpuid(int kvm, struct kvm_cpuid2 **cpuid);

/* Returns a descriptor. */
int kvm_vcpu_create(int vm, unsigned long id);
/* Bytes of the shared struct kvm_run. */
int kvm_vcpu_map_size(int kvm, size_t *size);

/* 0, -EINTR, -EAGAIN, or the failure. */
int kvm_vcpu_run(int vcpu);

int kvm_vcpu_set_cpuid(int vcpu, struct kvm_cpuid2 *cpuid);
int kvm_vcpu_get_sregs(int vcpu, struct kvm_sregs *sregs);
int kvm_vcpu_set_sregs(int vcpu, struct kvm_sregs *sregs);
int kvm_vcpu_set_xcr0(int vcpu, uint64_t xcr0);
/* At most KVM_MSRS_MAXIMUM. -ENOENT when KVM refuses one of them. */
#define KVM_MSRS_MAXIMUM 8u
int kvm_vcpu_set_msrs(int vcpu, const struct kvm_msr_entry *entries, uint32_t count);
int kvm_vcpu_get_xsave(int vcpu, struct kvm_xsave *xsave);
int kvm_vcpu_set_xsave(int vcpu, struct kvm_xsave *xsave);
int kvm_vcpu_set_events(int vcpu, struct kvm_vcpu_events *events);
int kvm_vcpu_set_runnable(int vcpu);
/* mask: the kernel's sigset_t, 64 bits, in force during KVM_RUN. */
int kvm_vcpu_set_signal_mask(int vcpu, uint64_t mask);
/* -ENXIO where the host has no such control. */
int kvm_vcpu_set_tsc_offset(int vcpu, uint64_t offset);
/* Ticks of the guest's time-stamp counter in a millisecond; 0 or below where KVM does not say. */
int kvm_vcpu_tsc_khz(int vcpu);

#endif
