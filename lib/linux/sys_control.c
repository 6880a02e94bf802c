/* SPDX-License-Identifier: MIT */
/*
 * What a process may change about itself: man 2 prctl, arch_prctl, capget,
 * prlimit, personality. What can be set can be read back, and most of it means
 * nothing else: there are no privileges to gain or to lose.
 */
#include "handlers.h"
#include "mm.h"
#include "resource_limits.h"

#include "../util.h"

#include <asm/prctl.h>
#include <errno.h>
#include <layout.h>
#include <linux/capability.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static bool is_self(uint64_t id)
{
	return (int32_t)id == 0 || (int32_t)id == PROCESS_ID;
}

/*
 * Limits: kept, and lowered for good.
 */

static int64_t set_limit(struct process *process, uint32_t resource, uint64_t address)
{
	struct limit wanted;
	int error = guest_read(process, address, &wanted, sizeof(wanted));

	if (error)
		return error;
	if (wanted.current > wanted.maximum)
		return -EINVAL;
	if (wanted.maximum > process->limits->limit[resource].maximum)
		return -EPERM;
	return limits_set(process, resource, &wanted);
}

/* As Linux, the old one is given although the new one has been set. */
static int64_t limits(struct process *process, uint32_t resource, uint64_t set, uint64_t get)
{
	struct limit before;
	int64_t error = 0;

	if (resource >= LIMITS_COUNT)
		return -EINVAL;
	before = process->limits->limit[resource];
	if (set)
		error = set_limit(process, resource, set);
	if (!error && get)
		error = guest_write(process, get, &before, sizeof(before));
	return error;
}

int64_t sys_prlimit64(struct process *process, const uint64_t arguments[6])
{
	if (!is_self(arguments[0]))
		return -ESRCH;
	return limits(process, (uint32_t)arguments[1], arguments[2], arguments[3]);
}

int64_t sys_getrlimit(struct process *process, const uint64_t arguments[6])
{
	if ((uint32_t)arguments[0] < LIMITS_COUNT && !arguments[1])
		return -EFAULT;
	return limits(process, (uint32_t)arguments[0], 0, arguments[1]);
}

int64_t sys_setrlimit(struct process *process, const uint64_t arguments[6])
{
	if (!arguments[1])
		return -EFAULT;
	return limits(process, (uint32_t)arguments[0], arguments[1], 0);
}

/*
 * Capabilities: none, in three versions of the header.
 */

/* How many struct __user_cap_data_struct the version has; 0: an unknown one, which is told the newest. */
static int read_capability_header(struct process *process, uint64_t address, uint32_t *count,
                                  int32_t *id)
{
	static const uint32_t newest = _LINUX_CAPABILITY_VERSION_3;
	const uint64_t id_at = address + offsetof(struct __user_cap_header_struct, pid);
	uint32_t version;
	int error = guest_read(process, address, &version, sizeof(version));

	if (error)
		return error;
	*count = 0;
	if (version == _LINUX_CAPABILITY_VERSION_1)
		*count = _LINUX_CAPABILITY_U32S_1;
	else if (version == _LINUX_CAPABILITY_VERSION_2 || version == newest)
		*count = _LINUX_CAPABILITY_U32S_3;
	return *count ? guest_read(process, id_at, id, sizeof(*id))
	              : guest_write(process, address, &newest, sizeof(newest));
}

int64_t sys_capget(struct process *process, const uint64_t arguments[6])
{
	static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	uint32_t count = 0;
	int32_t id = 0;
	int error = read_capability_header(process, arguments[0], &count, &id);

	if (error)
		return error;
	/* Without data it only asks for the version. */
	if (count == 0 || !arguments[1])
		return count == 0 && arguments[1] ? -EINVAL : 0;
	if (id < 0)
		return -EINVAL;
	if (!is_self((uint32_t)id))
		return -ESRCH;
	return guest_write(process, arguments[1], none, count * sizeof(none[0]));
}

int64_t sys_capset(struct process *process, const uint64_t arguments[6])
{
	struct __user_cap_data_struct wanted[_LINUX_CAPABILITY_U32S_3] = {0};
	uint32_t count = 0;
	int32_t id = 0;
	int error = read_capability_header(process, arguments[0], &count, &id);

	if (error)
		return error;
	if (count == 0)
		return -EINVAL;
	if (!is_self((uint32_t)id))
		return -EPERM;
	error = guest_read(process, arguments[1], wanted, count * sizeof(wanted[0]));
	for (uint32_t i = 0; i < count && !error; i++)
		if (wanted[i].effective | wanted[i].permitted | wanted[i].inheritable)
			error = -EPERM;
	return error;
}

/*
 * Segment bases, CPUID: man 2 arch_prctl.
 */

static int64_t set_base(uint64_t *base, uint64_t value)
{
	if (value >= LAYOUT_USER_END)
		return -EPERM;
	*base = value;
	return 0;
}

int64_t sys_arch_prctl(struct process *process, const uint64_t arguments[6])
{
	struct kvmsb_registers *registers = process->registers;
	uint64_t value = arguments[1];

	switch ((int32_t)arguments[0]) {
	case ARCH_SET_FS:
		return set_base(&registers->fs_base, value);
	case ARCH_SET_GS:
		return set_base(&registers->gs_base, value);
	case ARCH_GET_FS:
		return guest_write(process, value, &registers->fs_base, sizeof(uint64_t));
	case ARCH_GET_GS:
		return guest_write(process, value, &registers->gs_base, sizeof(uint64_t));
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return -ENODEV; /* as on a processor that cannot make CPUID fault */
	default:
		return -EINVAL;
	}
}

/*
 * prctl(2).
 */

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* The newest that Linux 6.1 has: CAP_CHECKPOINT_RESTORE. */
#define CAPABILITY_LAST 40

static int64_t set_name(struct process *process, uint64_t address)
{
	char name[sizeof(process->attributes.name)] = "";
	int64_t length = guest_read_string(process, address, name, sizeof(name));

	/* A longer name is cut. */
	if (length == -ENAMETOOLONG)
		length = guest_read(process, address, name, sizeof(name) - 1);
	if (length < 0)
		return length;
	name[sizeof(name) - 1] = '\0';
	memcpy(process->attributes.name, name, sizeof(name));
	return 0;
}

static int64_t set_number(uint32_t *number, uint64_t value, uint64_t maximum)
{
	if (value > maximum)
		return -EINVAL;
	*number = (uint32_t)value;
	return 0;
}

static bool any_from(const uint64_t arguments[6], unsigned first)
{
	for (unsigned i = first; i < 5; i++)
		if (arguments[i] != 0)
			return true;
	return false;
}

static int64_t control_privileges(struct process *process, const uint64_t arguments[6])
{
	uint32_t *no_new_privileges = &process->attributes.no_new_privileges;

	if (any_from(arguments, 2))
		return -EINVAL;
	if ((int32_t)arguments[0] == PR_GET_NO_NEW_PRIVS)
		return arguments[1] ? -EINVAL : (int64_t)*no_new_privileges;
	return arguments[1] == 1 ? set_number(no_new_privileges, 1, 1) : -EINVAL;
}

static int64_t control_huge_pages(struct process *process, const uint64_t arguments[6])
{
	uint32_t *no_huge_pages = &process->attributes.no_huge_pages;

	if ((int32_t)arguments[0] == PR_GET_THP_DISABLE)
		return any_from(arguments, 1) ? -EINVAL : (int64_t)*no_huge_pages;
	if (any_from(arguments, 2))
		return -EINVAL;
	*no_huge_pages = arguments[1] != 0;
	return 0;
}

/* No mapping shows its name anywhere; the range must be one. */
static int64_t name_mapping(const uint64_t arguments[6])
{
	uint64_t end;

	if (arguments[1] != PR_SET_VMA_ANON_NAME || !is_aligned(arguments[2], PAGE_SIZE) ||
	    !checked_add(arguments[2], arguments[3], &end))
		return -EINVAL;
	return 0;
}

static int64_t control_ambient(const uint64_t arguments[6])
{
	bool clears = arguments[1] == PR_CAP_AMBIENT_CLEAR_ALL;

	if (arguments[3] || arguments[4] ||
	    (clears ? arguments[2] != 0 : arguments[2] > CAPABILITY_LAST))
		return -EINVAL;
	switch (arguments[1]) {
	case PR_CAP_AMBIENT_RAISE:
		return -EPERM;
	case PR_CAP_AMBIENT_CLEAR_ALL:
	case PR_CAP_AMBIENT_IS_SET:
	case PR_CAP_AMBIENT_LOWER:
		return 0;
	default:
		return -EINVAL;
	}
}

/* man 2 prctl: 0 is back to the default. */
static int64_t set_timer_slack(struct process *process, uint64_t value)
{
	process->attributes.timer_slack = value != 0 ? (uint32_t)min_u64(value, UINT32_MAX)
	                                             : PROCESS_TIMER_SLACK;
	return 0;
}

/* What only privileged processes may do, what means nothing here, and what there is not. */
static int64_t control_rest(struct process *process, const uint64_t arguments[6])
{
	static const int32_t enabled = PR_TSC_ENABLE;

	switch ((int32_t)arguments[0]) {
	case PR_GET_SECCOMP:
	case PR_GET_SECUREBITS:
	case PR_GET_TIMING:
		return 0;
	case PR_SET_TIMING:
		return arguments[1] == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TSC:
		return guest_write(process, arguments[1], &enabled, sizeof(enabled));
	case PR_SET_TSC:
		return arguments[1] == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_CAPBSET_READ:
		return arguments[1] <= CAPABILITY_LAST ? 0 : -EINVAL;
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
	case PR_SET_MM:
		return -EPERM;
	case PR_CAP_AMBIENT:
		return control_ambient(arguments);
	case PR_SET_VMA:
		return name_mapping(arguments);
	default:
		return -EINVAL;
	}
}

static int64_t control_flags(struct process *process, const uint64_t arguments[6])
{
	struct process_attributes *attributes = &process->attributes;

	switch ((int32_t)arguments[0]) {
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
		return control_privileges(process, arguments);
	case PR_SET_THP_DISABLE:
	case PR_GET_THP_DISABLE:
		return control_huge_pages(process, arguments);
	case PR_SET_KEEPCAPS:
		return set_number(&attributes->keep_capabilities, arguments[1], 1);
	case PR_GET_KEEPCAPS:
		return attributes->keep_capabilities;
	case PR_SET_CHILD_SUBREAPER:
		return set_number(&attributes->child_subreaper, arguments[1] != 0, 1);
	case PR_GET_CHILD_SUBREAPER:
		return guest_write(process, arguments[1], &attributes->child_subreaper,
		                   sizeof(uint32_t));
	default:
		return control_rest(process, arguments);
	}
}

int64_t sys_prctl(struct process *process, const uint64_t arguments[6])
{
	struct process_attributes *attributes = &process->attributes;
	uint64_t value = arguments[1];

	switch ((int32_t)arguments[0]) {
	case PR_SET_NAME:
		return set_name(process, value);
	case PR_GET_NAME:
		return guest_write(process, value, attributes->name, sizeof(attributes->name));
	case PR_SET_DUMPABLE:
		return set_number(&attributes->dumpable, value, 1);
	case PR_GET_DUMPABLE:
		return attributes->dumpable;
	case PR_SET_PDEATHSIG:
		return set_number(&attributes->death_signal, value, 64);
	case PR_GET_PDEATHSIG:
		return guest_write(process, value, &attributes->death_signal, sizeof(uint32_t));
	case PR_SET_TIMERSLACK:
		return set_timer_slack(process, value);
	case PR_GET_TIMERSLACK:
		return attributes->timer_slack;
	default:
		return control_flags(process, arguments);
	}
}

/* man 2 personality: 0xffffffff only asks. */
int64_t sys_personality(struct process *process, const uint64_t arguments[6])
{
	uint32_t before = process->attributes.personality;

	if ((uint32_t)arguments[0] != UINT32_MAX)
		process->attributes.personality = (uint32_t)arguments[0];
	return before;
}
