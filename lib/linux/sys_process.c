/* SPDX-License-Identifier: MIT */
/*
 * What a process is and may ask about itself and its machine: identity, end,
 * limits, usage, segment bases, prctl, scheduling. One process with one thread
 * on one processor, and no more of the host than its clocks.
 */
#include "deadline.h"
#include "files.h"
#include "guest_time.h"
#include "handlers.h"
#include "input_output.h"
#include "mm.h"
#include "transfer.h"

#include "../util.h"

#include <asm/prctl.h>
#include <errno.h>
#include <layout.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

/*
 * The end: man 2 exit_group. With one thread, exit is the same.
 */

int64_t sys_exit(struct process *process, const uint64_t arguments[6])
{
	process->end = PROCESS_EXITED;
	process->exit_status = (int)(arguments[0] & 0xff);
	return 0;
}

/*
 * Identity.
 */

int64_t sys_getpid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return PROCESS_ID;
}

int64_t sys_getppid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return PROCESS_PARENT_ID;
}

int64_t sys_getuid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return PROCESS_USER;
}

int64_t sys_getgid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return PROCESS_GROUP;
}

/* getpgid, getsid: it leads its own group and session. */
int64_t sys_getpgid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return arguments[0] == 0 || (int32_t)arguments[0] == PROCESS_ID ? PROCESS_ID : -ESRCH;
}

/* man 2 setpgid, setsid: a session's leader can change neither. */
int64_t sys_not_permitted(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return -EPERM;
}

/* Changing ids to what they are is allowed: -1 means no change. */
static int64_t keep_ids(const uint64_t *ids, unsigned count, uint32_t is)
{
	for (unsigned i = 0; i < count; i++)
		if ((uint32_t)ids[i] != is && (uint32_t)ids[i] != UINT32_MAX)
			return -EPERM;
	return 0;
}

int64_t sys_setuid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return keep_ids(arguments, 1, PROCESS_USER);
}

int64_t sys_setreuid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return keep_ids(arguments, 2, PROCESS_USER);
}

int64_t sys_setresuid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return keep_ids(arguments, 3, PROCESS_USER);
}

/* man 2 getresuid; user and group have the same number. */
_Static_assert(PROCESS_USER == PROCESS_GROUP, "one handler answers for both");

int64_t sys_getresuid(struct process *process, const uint64_t arguments[6])
{
	static const uint32_t id = PROCESS_USER;
	int error = 0;

	for (int i = 0; i < 3 && !error; i++)
		error = guest_write(process, arguments[i], &id, sizeof(id));
	return error;
}

int64_t sys_getgroups(struct process *process, const uint64_t arguments[6])
{
	static const uint32_t group = PROCESS_GROUP;
	int error;

	if ((int32_t)arguments[0] < 0)
		return -EINVAL;
	if ((int32_t)arguments[0] == 0)
		return 1;
	error = guest_write(process, arguments[1], &group, sizeof(group));
	return error ? error : 1;
}

/* man 2 set_tid_address: nobody waits for this thread's end. */
int64_t sys_set_tid_address(struct process *process, const uint64_t arguments[6])
{
	process->attributes.child_tid = arguments[0];
	return PROCESS_ID;
}

/* man 2 get_robust_list; the length is that of struct robust_list_head. */
#define ROBUST_LIST_SIZE UINT64_C(24)

int64_t sys_set_robust_list(struct process *process, const uint64_t arguments[6])
{
	if (arguments[1] != ROBUST_LIST_SIZE)
		return -EINVAL;
	process->attributes.robust_list = arguments[0];
	return 0;
}

int64_t sys_get_robust_list(struct process *process, const uint64_t arguments[6])
{
	static const uint64_t size = ROBUST_LIST_SIZE;
	int32_t id = (int32_t)arguments[0];
	int error;

	if (id != 0 && id != PROCESS_ID)
		return -ESRCH;
	error = guest_write(process, arguments[2], &size, sizeof(size));
	return error ? error
	             : guest_write(process, arguments[1], &process->attributes.robust_list,
	                           sizeof(process->attributes.robust_list));
}

/*
 * The machine. Nothing here is the host's, so that guests cannot tell hosts apart.
 */

int64_t sys_uname(struct process *process, const uint64_t arguments[6])
{
	static const struct utsname names = {
		.sysname = "Linux",
		.nodename = "sandbox",
		.release = "6.1.0-kvmsandbox",
		.version = "#1 SMP",
		.machine = "x86_64",
		.domainname = "(none)",
	};

	return guest_write(process, arguments[0], &names, sizeof(names));
}

int64_t sys_sysinfo(struct process *process, const uint64_t arguments[6])
{
	struct sysinfo info = {
		.uptime = (long)(time_now() / NANOSECONDS),
		.totalram = process->config->memory_limit,
		.freeram = process->config->memory_limit,
		.procs = 1,
		.mem_unit = 1,
	};

	return guest_write(process, arguments[0], &info, sizeof(info));
}

/* man 2 getcpu; the third argument has no use since Linux 2.6.24. */
int64_t sys_getcpu(struct process *process, const uint64_t arguments[6])
{
	static const uint32_t zero;
	int error = 0;

	if (arguments[0])
		error = guest_write(process, arguments[0], &zero, sizeof(zero));
	if (!error && arguments[1])
		error = guest_write(process, arguments[1], &zero, sizeof(zero));
	return error;
}

int64_t sys_getrandom(struct process *process, const uint64_t arguments[6])
{
	uint32_t flags = (uint32_t)arguments[2];
	struct transfer transfer;
	int error;

	if ((flags & ~(uint32_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	error = transfer_buffer(&transfer, process, arguments[0], arguments[1]);
	return error ? error : input_random(&transfer);
}

/*
 * Limits: fixed. Setting one succeeds when it does not raise it, and changes
 * nothing.
 */

static struct rlimit64 limit_of(const struct process *process, uint32_t resource)
{
	uint64_t value = RLIM64_INFINITY;

	switch (resource) {
	case RLIMIT_STACK:
		value = process->config->stack_size;
		break;
	case RLIMIT_NOFILE:
		value = FILES_MAXIMUM;
		break;
	case RLIMIT_NPROC:
		value = 1;
		break;
	case RLIMIT_CORE:
	case RLIMIT_NICE:
	case RLIMIT_RTPRIO:
		value = 0;
		break;
	default:
		break;
	}
	return (struct rlimit64){value, value};
}

static int64_t set_limit(struct process *process, uint32_t resource, uint64_t address)
{
	struct rlimit64 limit = limit_of(process, resource), wanted;
	int error = guest_read(process, address, &wanted, sizeof(wanted));

	if (error)
		return error;
	if (wanted.rlim_cur > wanted.rlim_max)
		return -EINVAL;
	return wanted.rlim_max > limit.rlim_max ? -EPERM : 0;
}

static int64_t get_limit(struct process *process, uint32_t resource, uint64_t address)
{
	struct rlimit64 limit = limit_of(process, resource);

	return guest_write(process, address, &limit, sizeof(limit));
}

static int64_t limits(struct process *process, uint32_t resource, uint64_t set, uint64_t get)
{
	int64_t error = 0;

	if (resource >= RLIMIT_NLIMITS)
		return -EINVAL;
	if (set)
		error = set_limit(process, resource, set);
	if (!error && get)
		error = get_limit(process, resource, get);
	return error;
}

int64_t sys_prlimit64(struct process *process, const uint64_t arguments[6])
{
	int32_t id = (int32_t)arguments[0];

	if (id != 0 && id != PROCESS_ID)
		return -ESRCH;
	return limits(process, (uint32_t)arguments[1], arguments[2], arguments[3]);
}

int64_t sys_getrlimit(struct process *process, const uint64_t arguments[6])
{
	if (!arguments[1])
		return -EFAULT;
	return limits(process, (uint32_t)arguments[0], 0, arguments[1]);
}

int64_t sys_setrlimit(struct process *process, const uint64_t arguments[6])
{
	if (!arguments[1])
		return -EFAULT;
	return limits(process, (uint32_t)arguments[0], arguments[1], 0);
}

int64_t sys_getrusage(struct process *process, const uint64_t arguments[6])
{
	int32_t who = (int32_t)arguments[0];
	struct rusage usage = {0};
	struct timespec used;

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return -EINVAL;
	used = guest_time_used(process);
	if (who != RUSAGE_CHILDREN)
		usage.ru_utime = (struct timeval){used.tv_sec, used.tv_nsec / 1000};
	return guest_write(process, arguments[1], &usage, sizeof(usage));
}

/*
 * Segment bases: man 2 arch_prctl.
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
	default:
		return -EINVAL;
	}
}

/*
 * prctl(2): what can be set can be read back, and means nothing else.
 */

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

static int64_t control_privileges(struct process *process, const uint64_t arguments[6])
{
	uint32_t *no_new_privileges = &process->attributes.no_new_privileges;

	if (arguments[2] || arguments[3] || arguments[4])
		return -EINVAL;
	if ((int32_t)arguments[0] == PR_GET_NO_NEW_PRIVS)
		return arguments[1] ? -EINVAL : (int64_t)*no_new_privileges;
	return arguments[1] == 1 ? set_number(no_new_privileges, 1, 1) : -EINVAL;
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
		return set_number(&attributes->timer_slack, value, UINT32_MAX);
	case PR_GET_TIMERSLACK:
		return attributes->timer_slack;
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
		return control_privileges(process, arguments);
	case PR_GET_SECCOMP:
	case PR_GET_KEEPCAPS:
	case PR_CAPBSET_READ:
		return 0;
	default:
		return -EINVAL;
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

/*
 * Scheduling: SCHED_OTHER, on processor 0.
 */

static bool is_self(uint64_t id)
{
	return (int32_t)id == 0 || (int32_t)id == PROCESS_ID;
}

int64_t sys_nothing(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return 0;
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
	uint8_t mask = 0;
	int error;

	if (!is_self(arguments[0]))
		return -ESRCH;
	if ((uint32_t)arguments[1] == 0)
		return -EINVAL;
	error = guest_read(process, arguments[2], &mask, sizeof(mask));
	if (error)
		return error;
	return mask & 1 ? 0 : -EINVAL;
}

int64_t sys_sched_getparam(struct process *process, const uint64_t arguments[6])
{
	static const int32_t priority;

	if ((int32_t)arguments[0] < 0 || !arguments[1])
		return -EINVAL;
	if (!is_self(arguments[0]))
		return -ESRCH;
	return guest_write(process, arguments[1], &priority, sizeof(priority));
}

int64_t sys_sched_getscheduler(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	if ((int32_t)arguments[0] < 0)
		return -EINVAL;
	return is_self(arguments[0]) ? SCHED_OTHER : -ESRCH;
}

int64_t sys_sched_setscheduler(struct process *process, const uint64_t arguments[6])
{
	int32_t policy = (int32_t)arguments[1], priority;
	int error;

	if ((int32_t)arguments[0] < 0 || !arguments[2])
		return -EINVAL;
	if (!is_self(arguments[0]))
		return -ESRCH;
	error = guest_read(process, arguments[2], &priority, sizeof(priority));
	if (error)
		return error;
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return -EPERM;
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE)
		return -EINVAL;
	return priority == 0 ? 0 : -EINVAL;
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

/* man 2 getpriority: the system call returns 20 - nice. */
int64_t sys_getpriority(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	if ((uint32_t)arguments[0] > PRIO_USER)
		return -EINVAL;
	return 20;
}

int64_t sys_setpriority(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	if ((uint32_t)arguments[0] > PRIO_USER)
		return -EINVAL;
	return (int32_t)arguments[2] < 0 ? -EACCES : 0;
}

/* man 2 membarrier: no command is supported, as the query says. */
int64_t sys_membarrier(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	return (int32_t)arguments[0] == 0 && (uint32_t)arguments[1] == 0 ? 0 : -EINVAL;
}

/* man 2 wait4: there are no children. */
int64_t sys_no_children(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return -ECHILD;
}
