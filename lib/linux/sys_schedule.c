/* SPDX-License-Identifier: MIT */
/*
 * Scheduling: man 7 sched, getpriority, ioprio_set. One thread of SCHED_OTHER on
 * processor 0; priorities are kept, and mean nothing else.
 */
#include "handlers.h"
#include "mm.h"

#include "../util.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

/* What Linux gives SCHED_OTHER on one processor. */
#define TIME_SLICE_NS 4000000

static bool is_self(uint64_t id)
{
	return (int32_t)id == 0 || (int32_t)id == PROCESS_ID;
}

/* The first argument of most: 0, or -EINVAL, -ESRCH. */
static int check_id(uint64_t id)
{
	if ((int32_t)id < 0)
		return -EINVAL;
	return is_self(id) ? 0 : -ESRCH;
}

int64_t sys_sched_getaffinity(struct process *process, const uint64_t arguments[6])
{
	static const uint64_t mask = 1;
	int error;

	if ((uint32_t)arguments[1] < sizeof(mask) || (arguments[1] & (sizeof(mask) - 1)))
		return -EINVAL;
	if (!is_self(arguments[0]))
		return -ESRCH;
	error = guest_write(process, arguments[2], &mask, sizeof(mask));
	return error ? error : (int64_t)sizeof(mask);
}

int64_t sys_sched_setaffinity(struct process *process, const uint64_t arguments[6])
{
	uint64_t mask = 0;
	int error;

	if (!is_self(arguments[0]))
		return -ESRCH;
	if ((uint32_t)arguments[1] == 0)
		return -EINVAL;
	/* As Linux, which has a mask of so many processors. */
	error = guest_read(process, arguments[2], &mask,
	                   min_u64((uint32_t)arguments[1], sizeof(mask)));
	if (error)
		return error;
	return mask & 1 ? 0 : -EINVAL;
}

int64_t sys_sched_getparam(struct process *process, const uint64_t arguments[6])
{
	static const int32_t priority;
	int error = arguments[1] ? check_id(arguments[0]) : -EINVAL;

	return error ? error : guest_write(process, arguments[1], &priority, sizeof(priority));
}

int64_t sys_sched_getscheduler(struct process *process, const uint64_t arguments[6])
{
	int error = check_id(arguments[0]);

	(void)process;
	return error ? error : SCHED_OTHER;
}

static int check_policy(int32_t policy, int32_t priority)
{
	switch (policy) {
	case SCHED_FIFO:
	case SCHED_RR:
		return priority >= 1 && priority <= 99 ? -EPERM : -EINVAL;
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return priority == 0 ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_setscheduler(struct process *process, const uint64_t arguments[6])
{
	int32_t priority;
	int error = arguments[2] ? check_id(arguments[0]) : -EINVAL;

	if (!error)
		error = guest_read(process, arguments[2], &priority, sizeof(priority));
	return error ? error : check_policy((int32_t)arguments[1] & ~SCHED_RESET_ON_FORK, priority);
}

int64_t sys_sched_setparam(struct process *process, const uint64_t arguments[6])
{
	int32_t priority;
	int error = arguments[1] ? check_id(arguments[0]) : -EINVAL;

	if (!error)
		error = guest_read(process, arguments[1], &priority, sizeof(priority));
	return error ? error : check_policy(SCHED_OTHER, priority);
}

static int64_t priority_bound(uint64_t policy, int64_t real_time)
{
	switch ((int32_t)policy) {
	case SCHED_FIFO:
	case SCHED_RR:
		return real_time;
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_get_priority_max(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return priority_bound(arguments[0], 99);
}

int64_t sys_sched_get_priority_min(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return priority_bound(arguments[0], 1);
}

int64_t sys_sched_rr_get_interval(struct process *process, const uint64_t arguments[6])
{
	static const int64_t slice[2] = {0, TIME_SLICE_NS};
	int error = check_id(arguments[0]);

	return error ? error : guest_write(process, arguments[1], slice, sizeof(slice));
}

/* man 2 sched_setattr: of the first version, which is all that means something here. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct attributes) == 48, "SCHED_ATTR_SIZE_VER0");

/* For a guest that asks for a newer version, size says what it got. */
int64_t sys_sched_getattr(struct process *process, const uint64_t arguments[6])
{
	const struct attributes attributes = {
		.size = sizeof(attributes), .policy = SCHED_OTHER, .nice = process->attributes.nice};
	uint32_t size = (uint32_t)arguments[2];
	int error;

	if (!arguments[1] || size < sizeof(attributes) || size > PAGE_SIZE || arguments[3] != 0)
		return -EINVAL;
	error = check_id(arguments[0]);
	return error ? error : guest_write(process, arguments[1], &attributes, sizeof(attributes));
}

static int64_t set_nice(struct process *process, int32_t nice)
{
	if (nice < process->attributes.nice)
		return -EACCES;
	process->attributes.nice = nice > 19 ? 19 : nice;
	return 0;
}

static int64_t set_attributes(struct process *process, const struct attributes *attributes)
{
	const uint64_t known = 0x7f; /* SCHED_FLAG_ALL */
	int error = (attributes->flags & ~known) != 0 || attributes->nice < -20 ||
	                            attributes->nice > 19
	                    ? -EINVAL
	                    : check_policy((int32_t)attributes->policy,
	                                   (int32_t)attributes->priority);

	if (error)
		return error;
	return set_nice(process, attributes->nice) < 0 ? -EPERM : 0;
}

int64_t sys_sched_setattr(struct process *process, const uint64_t arguments[6])
{
	struct attributes attributes;
	uint32_t size = 0;
	int error = arguments[1] && arguments[2] == 0 && (int32_t)arguments[0] >= 0 ? 0 : -EINVAL;

	if (!error)
		error = guest_read(process, arguments[1], &size, sizeof(size));
	/* 0: what wrote it knows the first version only. */
	if (!error && size != 0 && (size < sizeof(attributes) || size > PAGE_SIZE))
		error = -E2BIG;
	if (!error)
		error = guest_read(process, arguments[1], &attributes, sizeof(attributes));
	if (!error)
		error = check_id(arguments[0]);
	return error ? error : set_attributes(process, &attributes);
}

/* Whether (which, who) of getpriority(2), ioprio_get(2) is this process; `first`: of the three. */
static int check_target(uint64_t which, uint64_t who, uint32_t first)
{
	uint32_t kind = (uint32_t)which - first;

	if (kind > PRIO_USER)
		return -EINVAL;
	if (kind == PRIO_USER)
		return (uint32_t)who == 0 || (uint32_t)who == PROCESS_USER ? 0 : -ESRCH;
	return is_self(who) ? 0 : -ESRCH;
}

/* The system call returns 20 - nice. */
int64_t sys_getpriority(struct process *process, const uint64_t arguments[6])
{
	int error = check_target(arguments[0], arguments[1], PRIO_PROCESS);

	return error ? error : 20 - process->attributes.nice;
}

int64_t sys_setpriority(struct process *process, const uint64_t arguments[6])
{
	int32_t nice = (int32_t)arguments[2];
	int error = check_target(arguments[0], arguments[1], PRIO_PROCESS);

	return error ? error : set_nice(process, nice < -20 ? -20 : nice);
}

/* man 2 ioprio_set: classes, in the upper bits; a class has eight levels. */
#define IO_PRIORITY_FIRST 1u /* IOPRIO_WHO_PROCESS */
#define IO_CLASS_SHIFT 13
#define IO_LEVELS 8u
enum io_class {
	IO_CLASS_NONE,
	IO_CLASS_REAL_TIME,
	IO_CLASS_BEST_EFFORT,
	IO_CLASS_IDLE
};

int64_t sys_ioprio_get(struct process *process, const uint64_t arguments[6])
{
	int error = check_target(arguments[0], arguments[1], IO_PRIORITY_FIRST);

	return error ? error : (int64_t)process->attributes.io_priority;
}

static int check_io_priority(uint32_t priority)
{
	uint32_t level = priority & ((1u << IO_CLASS_SHIFT) - 1);

	switch (priority >> IO_CLASS_SHIFT) {
	case IO_CLASS_NONE:
		return level == 0 ? 0 : -EINVAL;
	case IO_CLASS_REAL_TIME:
		return -EPERM;
	case IO_CLASS_BEST_EFFORT:
		return level < IO_LEVELS ? 0 : -EINVAL;
	case IO_CLASS_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_ioprio_set(struct process *process, const uint64_t arguments[6])
{
	int error = check_io_priority((uint32_t)arguments[2]);

	if (!error)
		error = check_target(arguments[0], arguments[1], IO_PRIORITY_FIRST);
	if (!error)
		process->attributes.io_priority = (uint32_t)arguments[2];
	return error;
}
