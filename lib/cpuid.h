/* SPDX-License-Identifier: MIT */
/*
 * What a guest may see of the processor: KVM's supported CPUID with everything
 * taken out that cannot be handed over cleanly between forks (AMX, protection
 * keys, shadow stacks, TSX), that no guest of ours has (virtualisation, APIC,
 * performance counters) or that KVM's own guest interface would need.
 */
#ifndef KVMSB_CPUID_H
#define KVMSB_CPUID_H

#include <linux/kvm.h>
#include <stdint.h>

struct cpuid_features {
	uint64_t xcr0;          /* state components the guest gets */
	uint64_t cr4;           /* CR4 bits its features allow: FSGSBASE, SMEP, UMIP */
	unsigned physical_bits; /* MAXPHYADDR */
};

/* Filters the table in place and tells what is left. */
void cpuid_filter(struct kvm_cpuid2 *cpuid, struct cpuid_features *features);

#endif
