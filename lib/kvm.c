/* SPDX-License-Identifier: MIT */
/* KVM's ioctls; see kvm.h. */
#include "kvm.h"

#include "error.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the library cannot do without. */
static const struct {
	const char *name;
	int number;
	int least; /* the value KVM_CHECK_EXTENSION must have, or bits it must include */
} required_capabilities[] = {
	{"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY, 1},
	{"KVM_CAP_NR_MEMSLOTS", KVM_CAP_NR_MEMSLOTS, 32},
	{"KVM_CAP_SYNC_REGS", KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS},
	{"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT, 1},
	{"KVM_CAP_XSAVE", KVM_CAP_XSAVE, 1},
	{"KVM_CAP_XCRS", KVM_CAP_XCRS, 1},
	{"KVM_CAP_MP_STATE", KVM_CAP_MP_STATE, 1},
	{"KVM_CAP_VCPU_EVENTS", KVM_CAP_VCPU_EVENTS, 1},
	{"KVM_CAP_X86_MSR_FILTER", KVM_CAP_X86_MSR_FILTER, 1},
};

_Static_assert(offsetof(struct kvm_msrs, nmsrs) == 0, "the count comes first");

static int call(int fd, unsigned long request, void *argument)
{
	int value;

	do
		value = ioctl(fd, request, argument);
	while (value < 0 && errno == EINTR);
	return value < 0 ? -errno : value;
}

static int call_number(int fd, unsigned long request, unsigned long argument)
{
	/* A number in the place of a pointer: what ioctl(2) of KVM takes. */
	return call(fd, request, (void *)(uintptr_t)argument); // NOLINT
}

static int open_failed(int code, struct kvmsb_error *error)
{
	const char *advice = "see open(2)";

	if (code == -ENOENT || code == -ENXIO || code == -ENODEV)
		advice = "this kernel offers no KVM here: load kvm_intel or kvm_amd, "
			 "or enable virtualisation in the firmware or the cloud's machine type";
	else if (code == -EACCES || code == -EPERM)
		advice = "the user needs read and write permission: join the group that owns it "
			 "(kvm)";
	else if (code == -EMFILE || code == -ENFILE)
		advice = "too many open files";
	return error_set(error, code, "cannot open /dev/kvm: %s; %s", strerror(-code), advice);
}

static int check_capabilities(int kvm, struct kvmsb_error *error)
{
	int version = call_number(kvm, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION)
		return error_set(error, version < 0 ? version : -EOPNOTSUPP,
		                 "/dev/kvm has API version %d, version %d is needed", version,
		                 KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(required_capabilities); i++) {
		int value = call_number(kvm, KVM_CHECK_EXTENSION,
		                        (unsigned long)required_capabilities[i].number);

		if (value < required_capabilities[i].least)
			return error_set(error, value < 0 ? value : -EOPNOTSUPP,
			                 "this kernel's KVM lacks %s (has %d, %d is needed): "
			                 "use Linux 5.10 or newer",
			                 required_capabilities[i].name, value,
			                 required_capabilities[i].least);
	}
	return 0;
}

int kvm_open(struct kvmsb_error *error)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int result;

	if (kvm < 0)
		return open_failed(-errno, error);
	result = check_capabilities(kvm, error);
	if (result < 0) {
		close(kvm);
		return result;
	}
	return kvm;
}

/*
 * Ring 3 cannot touch MSRs, and nothing of ours in ring 0 does: deny all, for
 * depth. KVM wants one range at least when the default is to deny.
 */
static int deny_msrs(int vm)
{
	uint8_t none = 0;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges[0] = {.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
	                      .nmsrs = 1,
	                      .base = 0,
	                      .bitmap = &none},
	};

	return call(vm, KVM_X86_SET_MSR_FILTER, &filter);
}

int kvm_vm_create(int kvm, struct kvmsb_error *error)
{
	int vm = call_number(kvm, KVM_CREATE_VM, 0);
	int result;

	if (vm < 0)
		return error_set(error, vm, "KVM_CREATE_VM: %s", strerror(-vm));
	result = deny_msrs(vm);
	if (result < 0) {
		close(vm);
		return error_set(error, result, "KVM_X86_SET_MSR_FILTER: %s", strerror(-result));
	}
	return vm;
}

static int set_slot(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};

	return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

int kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	return set_slot(vm, slot, 0, gpa, size, host);
}

int kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	return set_slot(vm, slot, KVM_MEM_READONLY, gpa, size, host);
}

int kvm_shadow_pages(int vm, uint64_t pages)
{
	return call_number(vm, KVM_SET_NR_MMU_PAGES, pages);
}

int kvm_supported_cpuid(int kvm, struct kvm_cpuid2 **cpuid)
{
	/* KVM answers E2BIG until the table is large enough. */
	for (uint32_t entries = 128; entries <= 4096; entries *= 2) {
		struct kvm_cpuid2 *table = calloc(1, sizeof(*table) +
		                                             entries * sizeof(table->entries[0]));
		int result;

		if (table == NULL)
			return -ENOMEM;
		table->nent = entries;
		result = call(kvm, KVM_GET_SUPPORTED_CPUID, table);
		if (result >= 0) {
			*cpuid = table;
			return 0;
		}
		free(table);
		if (result != -E2BIG)
			return result;
	}
	return -E2BIG;
}

int kvm_vcpu_create(int vm, unsigned long id)
{
	return call_number(vm, KVM_CREATE_VCPU, id);
}

int kvm_vcpu_map_size(int kvm, size_t *size)
{
	int result = call_number(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (result < 0)
		return result;
	if ((size_t)result < sizeof(struct kvm_run))
		return -EOPNOTSUPP;
	*size = (size_t)result;
	return 0;
}

int kvm_vcpu_run(int vcpu)
{
	return ioctl(vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
}

int kvm_vcpu_set_cpuid(int vcpu, struct kvm_cpuid2 *cpuid)
{
	return call(vcpu, KVM_SET_CPUID2, cpuid);
}

int kvm_vcpu_get_sregs(int vcpu, struct kvm_sregs *sregs)
{
	return call(vcpu, KVM_GET_SREGS, sregs);
}

int kvm_vcpu_set_sregs(int vcpu, struct kvm_sregs *sregs)
{
	return call(vcpu, KVM_SET_SREGS, sregs);
}

int kvm_vcpu_set_xcr0(int vcpu, uint64_t xcr0)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = xcr0}};

	return call(vcpu, KVM_SET_XCRS, &xcrs);
}

int kvm_vcpu_set_msrs(int vcpu, const struct kvm_msr_entry *entries, uint32_t count)
{
	_Alignas(struct kvm_msrs)
		uint8_t argument[sizeof(struct kvm_msrs) + KVM_MSRS_MAXIMUM * sizeof(*entries)] = {0};
	int set;

	if (count > KVM_MSRS_MAXIMUM)
		return -E2BIG;
	memcpy(argument, &count, sizeof(count));
	memcpy(argument + sizeof(struct kvm_msrs), entries, count * sizeof(*entries));
	set = call(vcpu, KVM_SET_MSRS, argument);
	if (set < 0)
		return set;
	return (uint32_t)set == count ? 0 : -ENOENT;
}

int kvm_vcpu_get_xsave(int vcpu, struct kvm_xsave *xsave)
{
	return call(vcpu, KVM_GET_XSAVE, xsave);
}

int kvm_vcpu_set_xsave(int vcpu, struct kvm_xsave *xsave)
{
	return call(vcpu, KVM_SET_XSAVE, xsave);
}

int kvm_vcpu_set_events(int vcpu, struct kvm_vcpu_events *events)
{
	return call(vcpu, KVM_SET_VCPU_EVENTS, events);
}

int kvm_vcpu_set_runnable(int vcpu)
{
	struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

	return call(vcpu, KVM_SET_MP_STATE, &state);
}

int kvm_vcpu_set_signal_mask(int vcpu, uint64_t mask)
{
	/* struct kvm_signal_mask ends in an array: its length, then the mask, unaligned. */
	uint32_t argument[3] = {sizeof(mask)};

	memcpy(&argument[1], &mask, sizeof(mask));
	return call(vcpu, KVM_SET_SIGNAL_MASK, argument);
}

int kvm_vcpu_set_tsc_offset(int vcpu, uint64_t offset)
{
	struct kvm_device_attr attribute = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uint64_t)(uintptr_t)&offset,
	};

	return call(vcpu, KVM_SET_DEVICE_ATTR, &attribute);
}

int kvm_vcpu_tsc_khz(int vcpu)
{
	return call_number(vcpu, KVM_GET_TSC_KHZ, 0);
}
