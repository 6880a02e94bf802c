/* SPDX-License-Identifier: MIT */
/*
 * Probes the host's KVM; see probe.h. A VM of sixteen pages is built, a few
 * instructions are run in it, and it is thrown away.
 */
#include "probe.h"

#include "cpuid.h"
#include "error.h"
#include "guest_code.h"
#include "kvm.h"
#include "pagetable.h"
#include "segments.h"
#include "util.h"
#include "vdso_page.h"
#include "x86.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Pages of the probe's VM, by number; page tables come after them. */
enum probe_page {
	PAGE_KERNEL_TEXT,
	PAGE_GDT,
	PAGE_IDT,
	PAGE_TSS,
	PAGE_STACK,
	PAGE_ENTRY_TEXT,
	PAGE_PROBE_TEXT,
	PAGE_DATA_A,
	PAGE_DATA_B,
	PAGE_WRITTEN,
	PAGE_TABLES,
	PAGE_COUNT = 32,
};

#define PROBE_TEXT UINT64_C(0x400000)
#define PROBE_DATA UINT64_C(0x500000)
#define PROBE_WRITTEN UINT64_C(0x501000)
#define VALUE_A UINT64_C(0x0a0a0a0a)
#define VALUE_B UINT64_C(0x0b0b0b0b)

struct probe {
	int kvm, vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_size;
	struct kvm_cpuid2 *cpuid; /* until the probe's result takes it */
	struct cpuid_features features;
	struct pagetable table;
	unsigned tables_used;
	struct kvm_sregs sregs;
	uint64_t address;  /* in RDI */
	uint64_t selector; /* in RSI */
	struct kvmsb_error *error;
};

static uint8_t *page(struct probe *probe, unsigned number)
{
	return probe->memory + number * PAGE_SIZE;
}

static int table_allocate(void *context, gpa_t *table)
{
	struct probe *probe = context;
	unsigned number = PAGE_TABLES + probe->tables_used;

	if (number >= PAGE_COUNT)
		return -ENOMEM;
	probe->tables_used++;
	*table = gpa(number * PAGE_SIZE);
	return 0;
}

static void table_release(void *context, gpa_t table)
{
	(void)context;
	(void)table;
}

static uint64_t *table_entries(void *context, gpa_t table)
{
	struct probe *probe = context;

	return (uint64_t *)(void *)(probe->memory + table.value);
}

static bool leaf_allowed(void *context, gpa_t frame, uint64_t length)
{
	(void)context;
	return range_within(frame.value, length, PAGE_TABLES * PAGE_SIZE);
}

static const struct pagetable_ops table_ops = {
	.allocate = table_allocate,
	.release = table_release,
	.entries = table_entries,
	.leaf_allowed = leaf_allowed,
};

static int build_tables(struct probe *probe)
{
	const struct {
		uint64_t va;
		enum probe_page page;
		uint32_t flags;
	} mappings[] = {
		{LAYOUT_KERNEL_TEXT, PAGE_KERNEL_TEXT, MAPPING_EXECUTE},
		{LAYOUT_KERNEL_GDT, PAGE_GDT, 0},
		{LAYOUT_KERNEL_IDT, PAGE_IDT, 0},
		{LAYOUT_KERNEL_VCPU, PAGE_TSS, 0},
		{LAYOUT_KERNEL_VCPU + PAGE_SIZE, PAGE_STACK, MAPPING_WRITE},
		{LAYOUT_ENTRY_TEXT, PAGE_ENTRY_TEXT, MAPPING_USER | MAPPING_EXECUTE},
		{PROBE_TEXT, PAGE_PROBE_TEXT, MAPPING_USER | MAPPING_EXECUTE},
		{PROBE_DATA, PAGE_DATA_A, MAPPING_USER},
		{PROBE_WRITTEN, PAGE_WRITTEN, MAPPING_USER | MAPPING_WRITE},
	};
	int result = pagetable_create(&probe->table, &table_ops, probe);

	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(mappings); i++)
		result = pagetable_map(&probe->table, gva(mappings[i].va),
		                       gpa(mappings[i].page * PAGE_SIZE), PAGE_SIZE,
		                       mappings[i].flags);
	return result;
}

static void fill_pages(struct probe *probe)
{
	memcpy(page(probe, PAGE_KERNEL_TEXT), guest_kernel_text, LAYOUT_KERNEL_TEXT_SIZE);
	memcpy(page(probe, PAGE_ENTRY_TEXT), guest_entry_text, LAYOUT_ENTRY_TEXT_SIZE);
	memcpy(page(probe, PAGE_PROBE_TEXT), guest_probe_text, LAYOUT_PROBE_TEXT_SIZE);
	segments_write_gdt(page(probe, PAGE_GDT));
	segments_write_idt(page(probe, PAGE_IDT));
	segments_write_tss(page(probe, PAGE_TSS), LAYOUT_KERNEL_VCPU + 2 * PAGE_SIZE, true);
	memcpy(page(probe, PAGE_DATA_A), &(uint64_t){VALUE_A}, sizeof(uint64_t));
	memcpy(page(probe, PAGE_DATA_B), &(uint64_t){VALUE_B}, sizeof(uint64_t));
}

static int set_lstar(struct probe *probe, uint64_t lstar)
{
	struct kvm_msr_entry entries[SEGMENTS_MSR_COUNT];
	int result;

	segments_set_msrs(entries, lstar, 0);
	result = kvm_vcpu_set_msrs(probe->vcpu, entries, SEGMENTS_MSR_COUNT);
	if (result < 0)
		error_set(probe->error, result, "probing KVM: KVM_SET_MSRS: %s", strerror(-result));
	return result;
}

static int build_vcpu(struct probe *probe)
{
	int result;

	probe->vcpu = kvm_vcpu_create(probe->vm, 0);
	if (probe->vcpu < 0)
		return probe->vcpu;
	result = kvm_vcpu_map_size(probe->kvm, &probe->run_size);
	if (result < 0)
		return result;
	probe->run = mmap(NULL, probe->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->vcpu, 0);
	if (probe->run == MAP_FAILED) {
		probe->run = NULL;
		return -errno;
	}
	result = kvm_supported_cpuid(probe->kvm, &probe->cpuid);
	if (result < 0)
		return result;
	cpuid_filter(probe->cpuid, &probe->features);
	result = kvm_vcpu_set_cpuid(probe->vcpu, probe->cpuid);
	if (result == 0)
		result = kvm_vcpu_get_sregs(probe->vcpu, &probe->sregs);
	probe->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return result;
}

static int build(struct probe *probe)
{
	void *memory;
	int result;

	probe->kvm = kvm_open(probe->error);
	if (probe->kvm < 0)
		return probe->kvm;
	probe->vm = kvm_vm_create(probe->kvm, probe->error);
	if (probe->vm < 0)
		return probe->vm;
	memory = mmap(NULL, PAGE_COUNT * PAGE_SIZE, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return error_set(probe->error, -errno, "no memory to probe KVM with");
	probe->memory = memory;
	result = kvm_memory_slot(probe->vm, 0, 0, PAGE_COUNT * PAGE_SIZE, memory);
	if (result == 0)
		result = build_tables(probe);
	fill_pages(probe);
	if (result == 0)
		result = build_vcpu(probe);
	if (result < 0)
		error_set(probe->error, result, "probing KVM: %s", strerror(-result));
	return result;
}

static void destroy(struct probe *probe)
{
	if (probe->run != NULL)
		munmap(probe->run, probe->run_size);
	if (probe->vcpu >= 0)
		close(probe->vcpu);
	if (probe->vm >= 0)
		close(probe->vm);
	if (probe->kvm >= 0)
		close(probe->kvm);
	if (probe->memory != NULL)
		munmap(probe->memory, PAGE_COUNT * PAGE_SIZE);
	free(probe->cpuid);
}

/* Runs the probe's text from `offset` to its first exit; the port it came by, or -errno. */
static int run(struct probe *probe, uint64_t offset, uint64_t cr3)
{
	struct kvm_sync_regs *sync = &probe->run->s.regs;
	int result;

	sync->regs = (struct kvm_regs){.rip = PROBE_TEXT + offset,
	                               .rflags = RFLAGS_FIXED | RFLAGS_IF,
	                               .rdi = probe->address,
	                               .rsi = probe->selector};
	sync->sregs = probe->sregs;
	sync->sregs.cr3 = cr3;
	probe->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	do
		result = kvm_vcpu_run(probe->vcpu);
	while (result == -EINTR || result == -EAGAIN);
	probe->run->kvm_dirty_regs = 0;
	if (result < 0)
		return error_set(probe->error, result, "probing KVM: KVM_RUN: %s", strerror(-result));
	if (probe->run->exit_reason != KVM_EXIT_IO)
		return error_set(probe->error, -EOPNOTSUPP,
		                 "probing KVM: unexpected exit %u from ring 3 code",
		                 probe->run->exit_reason);
	return probe->run->io.port;
}

static bool in_ring3(const struct probe *probe)
{
	return (probe->run->s.regs.sregs.cs.selector & 3) == 3;
}

/* Which TSS lets ring 3 use an open port, if any does. */
static int probe_out(struct probe *probe, struct host_behaviour *found)
{
	const unsigned types[] = {TSS_BUSY, TSS_AVAILABLE};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint64_t rip;
		int port;

		segments_set_user(&probe->sregs, LAYOUT_KERNEL_VCPU, types[i], probe->features.cr4);
		port = run(probe, LAYOUT_PROBE_OUT, probe->table.root.value);
		if (port < 0)
			return port;
		if (port != PORT_HYPERCALL || !in_ring3(probe))
			continue;
		rip = probe->run->s.regs.regs.rip;
		found->bitmap_exits = true;
		found->tss_type = types[i];
		found->rip_past_out = rip != PROBE_TEXT + LAYOUT_PROBE_OUT;
		return 0;
	}
	found->tss_type = TSS_BUSY;
	/* The exception's own OUT tells as well; its stub is two bytes, too. */
	found->rip_past_out = (probe->run->s.regs.regs.rip & 7) != 0;
	return 0;
}

static int probe_syscall(struct probe *probe, struct host_behaviour *found)
{
	int port = set_lstar(probe, LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL);

	if (port < 0)
		return port;
	port = run(probe, LAYOUT_PROBE_SYSCALL, probe->table.root.value);
	if (port < 0)
		return port;
	found->syscall_enters_ring0 = port == PORT_SYSCALL_RING0;
	found->syscall_faults = port == PORT_EXCEPTION &&
	                        probe->run->s.regs.sregs.cr2 ==
	                                LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL;
	if (found->syscall_enters_ring0)
		return 0;
	port = set_lstar(probe, LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_SYSCALL);
	if (port == 0)
		port = run(probe, LAYOUT_PROBE_SYSCALL, probe->table.root.value);
	if (port < 0)
		return port;
	found->syscall_runs_in_ring3 = port == PORT_SYSCALL_RING3 && in_ring3(probe);
	return 0;
}

/*
 * Reads a page, points its entry elsewhere, and reads again with a CR3 that
 * differs, which flushes every TLB. Without ring-3 exits nothing is seen:
 * shadow paging is then assumed, which is safe everywhere.
 */
static int probe_shadow(struct probe *probe, struct host_behaviour *found)
{
	int result;

	found->shadow_paging = true;
	if (!found->bitmap_exits)
		return 0;
	result = run(probe, LAYOUT_PROBE_READ, probe->table.root.value);
	if (result < 0)
		return result;
	result = pagetable_replace(&probe->table, gva(PROBE_DATA), gpa(PAGE_DATA_B * PAGE_SIZE),
	                           MAPPING_USER);
	if (result < 0)
		return error_set(probe->error, result, "probing KVM: %s", strerror(-result));
	/* KVM would take an OUT at the address of a pending one for the same. */
	result = run(probe, LAYOUT_PROBE_OUT, probe->table.root.value);
	if (result >= 0)
		result = run(probe, LAYOUT_PROBE_READ, probe->table.root.value | CR3_PWT);
	if (result < 0)
		return result;
	found->shadow_paging = probe->run->s.regs.regs.rax != VALUE_B;
	return 0;
}

/*
 * Clears a dirty bit that the processor has seen set. After a flush, a read
 * leaves it clear, and a write through the translation of that read sets it.
 */
static int probe_dirty(struct probe *probe, struct host_behaviour *found)
{
	const gva_t page = gva(PROBE_WRITTEN);
	uint64_t root = probe->table.root.value;
	bool after_read;
	int result;

	if (found->shadow_paging)
		return 0;
	probe->address = PROBE_WRITTEN;
	result = run(probe, LAYOUT_PROBE_WRITE, root);
	if (result < 0)
		return result;
	pagetable_set_dirty(&probe->table, page, false);
	result = run(probe, LAYOUT_PROBE_READ, root | CR3_PWT);
	if (result < 0)
		return result;
	after_read = pagetable_is_dirty(&probe->table, page);
	result = run(probe, LAYOUT_PROBE_WRITE, root | CR3_PWT);
	found->dirty_bits = !after_read && pagetable_is_dirty(&probe->table, page);
	return result < 0 ? result : 0;
}

/* Whether the selector, if ring 3 can load it at all, is there again in the next context. */
static int probe_selector(struct probe *probe, uint64_t selector, struct host_behaviour *found)
{
	int port;

	probe->selector = selector;
	port = run(probe, LAYOUT_PROBE_SET_SELECTOR, probe->table.root.value);
	if (port != PORT_HYPERCALL)
		return port < 0 ? port : 0;
	port = run(probe, LAYOUT_PROBE_GET_SELECTOR, probe->table.root.value);
	if (port < 0)
		return port;
	if ((uint16_t)probe->run->s.regs.regs.rax == selector)
		found->selectors_stay = true;
	return 0;
}

/* Looked for only where the entry text could repair it: that takes RDFSBASE, whatever CPUID says. */
static int probe_selectors(struct probe *probe, struct host_behaviour *found)
{
	int result;

	if (!found->bitmap_exits)
		return 0;
	result = run(probe, LAYOUT_PROBE_READ_BASE, probe->table.root.value);
	if (result != PORT_HYPERCALL)
		return result < 0 ? result : 0;
	result = probe_selector(probe, SELECTOR_USER_DATA, found);
	return result < 0 ? result : probe_selector(probe, PROBE_HOST_SELECTOR, found);
}

/* Whether a guest reads the host's counter, whatever KVM says of offsets and scales. */
static int probe_tsc(struct probe *probe, bool *same)
{
	uint64_t before, read, after;
	int result;

	/* As for every vCPU (vcpu.c); a host without such a control has no offset. */
	kvm_vcpu_set_tsc_offset(probe->vcpu, 0);
	before = vdso_tsc();
	result = run(probe, LAYOUT_PROBE_READ_TSC, probe->table.root.value);
	after = vdso_tsc();
	read = probe->run->s.regs.regs.rax;
	*same = result >= 0 && before <= read && read <= after;
	return result < 0 ? result : 0;
}

static int probe_clock(struct probe *probe, struct host_behaviour *found)
{
	int khz = kvm_vcpu_tsc_khz(probe->vcpu);
	bool same = false;
	int result = probe_tsc(probe, &same);

	if (result < 0 || !same || khz <= 0 || !host_clock_is_tsc())
		return result;
	found->clock.khz = (uint64_t)khz;
	host_clock_sample(&found->clock.first, found->clock.khz);
	return 0;
}

static int probe_once(struct host_behaviour *found, struct kvmsb_error *error)
{
	struct probe probe = {.kvm = -1, .vm = -1, .vcpu = -1, .address = PROBE_DATA, .error = error};
	int result = build(&probe);

	if (result == 0)
		result = probe_out(&probe, found);
	if (result == 0)
		result = probe_syscall(&probe, found);
	if (result == 0)
		result = probe_shadow(&probe, found);
	if (result == 0)
		result = probe_dirty(&probe, found);
	if (result == 0)
		result = probe_selectors(&probe, found);
	if (result == 0)
		result = probe_clock(&probe, found);
	if (result == 0) {
		found->features = probe.features;
		found->cpuid = probe.cpuid;
		probe.cpuid = NULL;
	}
	destroy(&probe);
	return result;
}

/* No lock: a fork(2) would leave it locked in the child. Who comes second probes in vain. */
int probe_host(const struct host_behaviour **behaviour, struct kvmsb_error *error)
{
	static _Atomic(struct host_behaviour *) remembered;
	struct host_behaviour *found, *none = NULL;
	int result;

	*behaviour = remembered;
	if (*behaviour != NULL)
		return 0;
	found = calloc(1, sizeof(*found));
	if (found == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	result = probe_once(found, error);
	if (result < 0 || !atomic_compare_exchange_strong(&remembered, &none, found)) {
		free(found->cpuid);
		free(found);
	}
	*behaviour = remembered;
	return result;
}

static bool can_do(const struct host_behaviour *behaviour, enum kvmsb_entry entry)
{
	switch (entry) {
	case KVMSB_ENTRY_RING0:
		return behaviour->syscall_enters_ring0 && behaviour->bitmap_exits;
	case KVMSB_ENTRY_RING3:
		return behaviour->syscall_runs_in_ring3 && behaviour->bitmap_exits;
	case KVMSB_ENTRY_EXCEPTION:
		return behaviour->syscall_enters_ring0 || behaviour->syscall_faults;
	case KVMSB_ENTRY_AUTOMATIC:
		break;
	}
	return false;
}

int probe_choose_entry(const struct host_behaviour *behaviour, enum kvmsb_entry wanted,
                       enum kvmsb_entry *entry, struct kvmsb_error *error)
{
	const enum kvmsb_entry preferred[] = {KVMSB_ENTRY_RING0, KVMSB_ENTRY_RING3,
	                                      KVMSB_ENTRY_EXCEPTION};

	for (size_t i = 0; i < ARRAY_SIZE(preferred); i++) {
		if ((wanted == KVMSB_ENTRY_AUTOMATIC || wanted == preferred[i]) &&
		    can_do(behaviour, preferred[i])) {
			*entry = preferred[i];
			return 0;
		}
	}
	if ((unsigned)wanted > KVMSB_ENTRY_EXCEPTION)
		return error_set(error, -EINVAL, "options.entry: no such way to enter");
	return error_set(error, -EOPNOTSUPP, "this host's KVM cannot do the entry path wanted (%u)",
	                 (unsigned)wanted);
}
