/* SPDX-License-Identifier: MIT */
/* Filters CPUID; see cpuid.h. Leaves: Intel SDM 2A CPUID, AMD APM 3 appendix E. */
#include "cpuid.h"

#include "util.h"
#include "x86.h"

#include <stddef.h>

#define BIT(n) (UINT32_C(1) << (n))

enum cpuid_register {
	EAX,
	EBX,
	ECX,
	EDX
};

/* Features that are taken away: leaf, subleaf, register, bits. */
static const struct {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t bits;
} hidden_features[] = {
	/* DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, PDCM, PCID, DCA, x2APIC, TSC deadline */
	{1, 0, ECX,
         BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(15) | BIT(17) |
                 BIT(18) | BIT(21) | BIT(24)},
	/* MCE, APIC, MTRR, MCA, DS, ACPI, HTT, TM */
	{1, 0, EDX, BIT(7) | BIT(9) | BIT(12) | BIT(14) | BIT(21) | BIT(22) | BIT(28) | BIT(29)},
	/* HLE, INVPCID, RTM, RDT-M, MPX, RDT-A, processor trace */
	{7, 0, EBX, BIT(4) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25)},
	/* PKU, OSPKE, WAITPKG, shadow stacks, key locker, bus lock, ENQCMD, SGX LC, PKS */
	{7, 0, ECX,
         BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(23) | BIT(24) | BIT(29) | BIT(30) | BIT(31)},
	/* UINTR, TSXLDTRK, PCONFIG, LBR, indirect branch tracking, AMX */
	{7, 0, EDX,
         BIT(5) | BIT(11) | BIT(13) | BIT(16) | BIT(18) | BIT(19) | BIT(20) | BIT(22) | BIT(24) |
                 BIT(25)},
	/* XSAVES and XFD: supervisor state is not handed over */
	{0xd, 1, EAX, BIT(3) | BIT(4)},
	/* SVM, extended APIC space, IBS, SKINIT, watchdog, LWP, topology, counters, MWAITX */
	{0x80000001, 0, ECX,
         BIT(2) | BIT(3) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(22) | BIT(23) | BIT(24) |
                 BIT(26) | BIT(28) | BIT(29)},
};

/* Leaves that are emptied: monitor, thermal, counters, KVM's own, SVM, IBS, LWP. */
static const struct {
	uint32_t first, last;
} hidden_leaves[] = {
	{0x5, 0x6},
	{0x9, 0xa},
	{0xf, 0x10},
	{0x12, 0x12},
	{0x14, 0x14},
	{0x17, 0x1e},
	{0x20, 0x23},
	{0x40000000, 0x4fffffff},
	{0x8000000a, 0x8000000a},
	{0x8000001b, 0x8000001c},
	{0x8000001f, 0x8000001f},
};

/* x87, SSE, AVX, AVX-512: what XRSTOR in the entry trampoline hands over. */
#define XCR0_OFFERED UINT64_C(0xe7)
#define XCR0_LEAST UINT64_C(0x3)

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		bool indexed = (entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;

		if (entry->function == leaf && (!indexed || entry->index == subleaf))
			return entry;
	}
	return NULL;
}

static uint32_t *register_of(struct kvm_cpuid_entry2 *entry, enum cpuid_register reg)
{
	switch (reg) {
	case EAX:
		return &entry->eax;
	case EBX:
		return &entry->ebx;
	case ECX:
		return &entry->ecx;
	case EDX:
		break;
	}
	return &entry->edx;
}

static bool has(struct kvm_cpuid2 *cpuid, uint32_t leaf, enum cpuid_register reg, unsigned bit)
{
	struct kvm_cpuid_entry2 *entry = find(cpuid, leaf, 0);

	return entry != NULL && (*register_of(entry, reg) & BIT(bit)) != 0;
}

/* Which of the host's processors this is. */
static void hide_identity(struct kvm_cpuid_entry2 *entry)
{
	if (entry->function == 0x1)
		entry->ebx &= 0x00ffffff;
	else if (entry->function == 0xb)
		entry->edx = 0;
	else if (entry->function == 0x8000001e)
		entry->eax = entry->ebx = entry->ecx = 0;
}

static void hide(struct kvm_cpuid2 *cpuid)
{
	for (size_t i = 0; i < ARRAY_SIZE(hidden_features); i++) {
		struct kvm_cpuid_entry2 *entry = find(cpuid, hidden_features[i].leaf,
		                                      hidden_features[i].subleaf);

		if (entry != NULL)
			*register_of(entry, hidden_features[i].reg) &= ~hidden_features[i].bits;
	}
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		hide_identity(entry);
		for (size_t k = 0; k < ARRAY_SIZE(hidden_leaves); k++)
			if (entry->function >= hidden_leaves[k].first &&
			    entry->function <= hidden_leaves[k].last)
				entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
	}
}

/* Leaf 0xd: the components that remain, and the size of their area in the standard format. */
static uint64_t limit_state(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *main_leaf = find(cpuid, 0xd, 0);
	uint32_t size = 512 + 64;
	uint64_t xcr0;

	if (main_leaf == NULL)
		return XCR0_LEAST;
	xcr0 = main_leaf->eax & XCR0_OFFERED;
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function != 0xd || entry->index < 2)
			continue;
		if (entry->index < 32 && (xcr0 & BIT(entry->index)) != 0)
			size = (uint32_t)max_u64(size, (uint64_t)entry->ebx + entry->eax);
		else
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
	}
	main_leaf->eax = (uint32_t)xcr0;
	main_leaf->edx = 0;
	main_leaf->ebx = main_leaf->ecx = size;
	return xcr0;
}

void cpuid_filter(struct kvm_cpuid2 *cpuid, struct cpuid_features *features)
{
	struct kvm_cpuid_entry2 *sizes = find(cpuid, 0x80000008, 0);

	hide(cpuid);
	features->xcr0 = limit_state(cpuid);
	features->physical_bits = sizes != NULL ? sizes->eax & 0xff : 36;
	features->cr4 = (has(cpuid, 7, EBX, 0) ? CR4_FSGSBASE : 0) |
	                (has(cpuid, 7, EBX, 7) ? CR4_SMEP : 0) |
	                (has(cpuid, 7, ECX, 2) ? CR4_UMIP : 0);
}
