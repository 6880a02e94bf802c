/* SPDX-License-Identifier: MIT */
/*
 * What a process is and may ask about itself and its machine: identity, end,
 * usage. One process with one thread on one processor, and no more of the host
 * than its clocks.
 */
#include "deadline.h"
#include "files.h"
#include "handlers.h"
#include "input_output.h"
#include "mm.h"
#include "process_clock.h"
#include "transfer.h"

#include "../util.h"

#include <errno.h>
#include <string.h>
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

/* man 2 setpgid: a session's leader stays where it is. */
int64_t sys_setpgid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	/* 0: the group of that number. */
	if ((int32_t)(arguments[1] != 0 ? arguments[1] : arguments[0]) < 0)
		return -EINVAL;
	return arguments[0] == 0 || (int32_t)arguments[0] == PROCESS_ID ? -EPERM : -ESRCH;
}

/* setsid: a leader of a group cannot; setgroups: it is not root. */
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
	if ((uint32_t)arguments[0] == UINT32_MAX)
		return -EINVAL;
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

/* man 2 setfsuid: returns what it was, whether or not it can be what is asked. */
int64_t sys_setfsuid(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return PROCESS_USER;
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
		.sysname = PROCESS_SYSTEM,
		.nodename = PROCESS_NODE,
		.release = PROCESS_RELEASE,
		.version = PROCESS_VERSION,
		.machine = "x86_64",
		.domainname = PROCESS_DOMAIN,
	};

	return guest_write(process, arguments[0], &names, sizeof(names));
}

int64_t sys_sysinfo(struct process *process, const uint64_t arguments[6])
{
	uint64_t uptime = 0;
	struct sysinfo info = {
		.totalram = process->config->memory_limit,
		.freeram = process->config->memory_limit,
		.procs = 1,
		.mem_unit = 1,
	};

	process_clock_read(process, CLOCK_BOOTTIME, &uptime);
	info.uptime = (long)((uptime + NANOSECONDS - 1) / NANOSECONDS);
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

/* Neither system time nor sizes: those are the host's, and tell of other forks. */
int64_t sys_getrusage(struct process *process, const uint64_t arguments[6])
{
	int32_t who = (int32_t)arguments[0];
	struct rusage usage = {0};
	uint64_t used;

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return -EINVAL;
	if (who != RUSAGE_CHILDREN) {
		process_clock_read(process, CLOCK_PROCESS_CPUTIME_ID, &used);
		usage.ru_utime = (struct timeval){(time_t)(used / NANOSECONDS),
		                                  (suseconds_t)(used % NANOSECONDS / 1000)};
		usage.ru_minflt = (long)process->usage.faults;
	}
	return guest_write(process, arguments[1], &usage, sizeof(usage));
}

int64_t sys_nothing(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return 0;
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
