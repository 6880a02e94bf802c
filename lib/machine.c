/* SPDX-License-Identifier: MIT */
/* The machine: VM, kernel pages, its end; see machine.h. Its vCPUs are lent in lending.c. */
#include "machine.h"

#include "error.h"
#include "guest_code.h"
#include "kvm.h"
#include "segments.h"
#include "space.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Kernel pages: frames of nobody, in tables that are never stale (only additions are made). */

static int kernel_table_allocate(void *context, gpa_t *table)
{
	struct machine *machine = context;

	return memory_table_allocate(&machine->memory, 0, table);
}

static void kernel_table_release(void *context, gpa_t table)
{
	struct machine *machine = context;

	memory_table_free(&machine->memory, table);
}

static uint64_t *kernel_table_entries(void *context, gpa_t table)
{
	struct machine *machine = context;

	return memory_table(&machine->memory, table);
}

static bool kernel_leaf_allowed(void *context, gpa_t frame, uint64_t length)
{
	struct machine *machine = context;

	return memory_is_data(&machine->memory, frame, length);
}

static const struct pagetable_ops kernel_table_ops = {
	.allocate = kernel_table_allocate,
	.release = kernel_table_release,
	.entries = kernel_table_entries,
	.leaf_allowed = kernel_leaf_allowed,
};

/* Pages in a row, at va; they are the first frames of the machine, so their host memory is in a row. */
static int map_kernel_pages(struct machine *machine, uint64_t va, unsigned count, uint32_t flags,
                            uint8_t **host)
{
	for (unsigned i = 0; i < count; i++) {
		gpa_t frame;
		int result = memory_frame_allocate(&machine->memory, 0, &frame);

		if (result == 0)
			result = pagetable_map(&machine->kernel_table, gva(va + i * PAGE_SIZE),
			                       frame, PAGE_SIZE, flags);
		if (result < 0)
			return result;
		if (i == 0)
			*host = memory_data(&machine->memory, frame);
	}
	return 0;
}

/* An XSAVE image in which every component is in its initial state, SDM 1 13.6. */
static void write_initial_state(uint8_t *image)
{
	const uint32_t mxcsr = 0x1f80;
	const uint16_t fcw = 0x37f;

	memset(image, 0, LAYOUT_ENTRY_XSAVE_PAGES * PAGE_SIZE);
	memcpy(image, &fcw, sizeof(fcw));
	memcpy(image + 24, &mxcsr, sizeof(mxcsr));
}

/* Frames in a row, as map_kernel_pages() has them. */
static int build_clock(struct machine *machine, bool by_system_calls)
{
	const struct timekeeper_source by_calls = {.khz = 0};
	gpa_t frame = gpa(0);

	for (unsigned i = 0; i < MACHINE_CLOCK_FRAMES; i++) {
		int result = memory_frame_allocate(&machine->memory, 0, &frame);

		if (result < 0)
			return result;
		if (i == 0)
			machine->clock_frame = frame;
		else
			memcpy(memory_data(&machine->memory, frame),
			       guest_vdso + (i - 1) * PAGE_SIZE, PAGE_SIZE);
	}
	timekeeper_init(&machine->timekeeper, memory_data(&machine->memory, machine->clock_frame),
	                by_system_calls ? &by_calls : &machine->host->clock);
	return 0;
}

static int build_kernel(struct machine *machine)
{
	uint8_t *text = NULL, *gdt = NULL, *idt = NULL, *entry_text = NULL, *entry_data = NULL;
	const struct {
		uint64_t va;
		unsigned pages;
		uint32_t flags;
		uint8_t **host;
	} parts[] = {
		{LAYOUT_KERNEL_TEXT, 1, MAPPING_EXECUTE, &text},
		{LAYOUT_KERNEL_GDT, 1, 0, &gdt},
		{LAYOUT_KERNEL_IDT, 1, 0, &idt},
		{LAYOUT_KERNEL_VCPU, 2 * machine->vcpu_limit, MAPPING_WRITE, &machine->vcpu_pages},
		{LAYOUT_ENTRY_TEXT, 1, MAPPING_USER | MAPPING_EXECUTE, &entry_text},
		{LAYOUT_ENTRY_DATA, 1, MAPPING_USER, &entry_data},
		{LAYOUT_ENTRY_XSAVE, LAYOUT_ENTRY_XSAVE_PAGES, MAPPING_USER, &machine->state_image},
	};
	int result = pagetable_create(&machine->kernel_table, &kernel_table_ops, machine);

	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(parts); i++)
		result = map_kernel_pages(machine, parts[i].va, parts[i].pages, parts[i].flags,
		                          parts[i].host);
	if (result == 0)
		result = memory_frame_allocate(&machine->memory, 0, &machine->zero_frame);
	if (result < 0)
		return result;
	memcpy(text, guest_kernel_text, LAYOUT_KERNEL_TEXT_SIZE);
	memcpy(entry_text, guest_entry_text, LAYOUT_ENTRY_TEXT_SIZE);
	segments_write_gdt(gdt);
	segments_write_idt(idt);
	write_initial_state(machine->state_image);
	return 0;
}

static int make_alive_page(struct machine *machine)
{
	uint32_t *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                      -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	machine->alive = page;
	if (madvise(page, PAGE_SIZE, MADV_WIPEONFORK) < 0)
		return -errno;
	*page = 1;
	return 0;
}

static int make_locks(struct machine *machine)
{
	int result = pthread_condattr_init(&machine->monotonic);

	if (result != 0)
		return -result;
	/* None of these fails with default attributes on Linux. */
	pthread_condattr_setclock(&machine->monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&machine->settled, &machine->monotonic);
	pthread_mutex_init(&machine->lock, NULL);
	return 0;
}

static int open_vm(struct machine *machine, struct kvmsb_error *error)
{
	machine->kvm = kvm_open(error);
	if (machine->kvm < 0)
		return machine->kvm;
	machine->vm = kvm_vm_create(machine->kvm, error);
	return machine->vm < 0 ? machine->vm : 0;
}

static int build(struct machine *machine, const struct machine_limits *limits,
                 struct kvmsb_error *error)
{
	int result = probe_host(&machine->host, error);

	if (result == 0)
		result = probe_choose_entry(machine->host, limits->entry, &machine->entry, error);
	if (result == 0)
		result = open_vm(machine, error);
	if (result < 0)
		return result;
	result = make_alive_page(machine);
	if (result == 0)
		result = memory_init(&machine->memory, machine->vm, limits->data_bytes,
		                     limits->table_bytes, machine->host->features.physical_bits,
		                     machine->host->shadow_paging);
	if (result < 0)
		return error_set(error, result, "guest memory of %llu MiB: %s",
		                 (unsigned long long)(limits->data_bytes >> 20), strerror(-result));
	result = build_kernel(machine);
	if (result == 0)
		result = build_clock(machine, limits->clock_by_system_calls);
	if (result == 0)
		result = learner_init(&machine->learner, limits->learned_pages);
	if (result < 0)
		return error_set(error, result, "the guest's kernel pages: %s", strerror(-result));
	invalidator_init(&machine->invalidator, machine->vm, &machine->memory,
	                 machine->host->shadow_paging, machine->vcpu_pages);
	result = checks_create(machine);
	return result < 0 ? error_set(error, result, "out of memory") : 0;
}

int machine_create(struct machine **out, const struct machine_limits *limits,
                   struct kvmsb_error *error)
{
	static _Atomic uint64_t identities;
	struct machine *machine = calloc(1, sizeof(*machine));
	int result;

	if (machine == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	machine->references = 1;
	machine->kvm = machine->vm = -1;
	machine->vcpu_limit = limits->vcpu_limit;
	machine->vcpu_queue_limit = limits->vcpu_queue_limit;
	machine->identity = ++identities;
	machine->timeout_signal = limits->timeout_signal;
	machine->next_serial = 1;
	result = make_locks(machine);
	if (result < 0) {
		free(machine);
		return error_set(error, result, "%s", strerror(-result));
	}
	result = build(machine, limits, error);
	if (result < 0) {
		machine_release(machine);
		return result;
	}
	*out = machine;
	return 0;
}

struct machine *machine_reference(struct machine *machine)
{
	machine->references++;
	return machine;
}

/* struct kvm with its hash of page tables (32 KiB), its files, the MSR filter. */
#define VM_BYTES (UINT64_C(128) << 10)
/* struct kvm_vcpu, FPU state, control structures of the processor, the pages of kvm_run. */
#define VCPU_BYTES (UINT64_C(64) << 10)
/* Pages that each vCPU holds ready for page tables; as many again for shadows of tables. */
#define VCPU_READY_BYTES (40 * PAGE_SIZE)

uint64_t machine_kernel_bytes(const struct machine *machine)
{
	uint64_t ready = machine->host->shadow_paging ? 2 * VCPU_READY_BYTES : VCPU_READY_BYTES;

	return VM_BYTES + memory_kernel_bytes(&machine->memory) +
	       machine->vcpu_count * (VCPU_BYTES + ready);
}

void machine_release(struct machine *machine)
{
	bool ours;

	if (machine == NULL || --machine->references > 0)
		return;
	ours = machine->alive != NULL && machine_is_ours(machine);
	space_free_idle(machine);
	for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++) {
		vcpu_destroy(machine->vcpus[i]);
		free(machine->vcpus[i]);
	}
	if (machine->vm >= 0)
		close(machine->vm);
	if (machine->kvm >= 0)
		close(machine->kvm);
	learner_destroy(&machine->learner, ours);
	checks_destroy(machine);
	invalidator_destroy(&machine->invalidator, ours);
	memory_destroy(&machine->memory, ours);
	if (machine->alive != NULL)
		munmap((void *)(uintptr_t)machine->alive, PAGE_SIZE);
	/* In a forked child other threads' holds and waits on these would never end. */
	if (ours) {
		pthread_cond_destroy(&machine->settled);
		pthread_mutex_destroy(&machine->lock);
		pthread_condattr_destroy(&machine->monotonic);
	}
	free(machine);
}

uint64_t machine_thread(void)
{
	static _Atomic uint64_t names;
	static _Thread_local uint64_t name;

	if (name == 0)
		name = ++names;
	return name;
}

/* Counting. */

void machine_count(struct machine *machine, enum counter which, uint64_t more)
{
	uint64_t own = LAYOUT_VCPU_MAXIMUM + machine_thread() % MACHINE_COUNTERS_OF_THREADS;

	counters_add_shared(&machine->counters[own], which, more);
}

void machine_totals(const struct machine *machine, uint64_t totals[COUNTERS])
{
	memset(totals, 0, COUNTERS * sizeof(totals[0]));
	for (size_t i = 0; i < ARRAY_SIZE(machine->counters); i++)
		for (unsigned which = 0; which < COUNTERS; which++)
			totals[which] += counters_value(&machine->counters[i], (enum counter)which);
}
