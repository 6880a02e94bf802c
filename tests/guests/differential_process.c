/* SPDX-License-Identifier: MIT */
/*
 * Calls about the process, its limits and its signals, hostile arguments
 * included; see differential.h. Ids differ by nature: told as relations. No
 * call here asks for another process that could exist.
 */
#include "differential.h"

#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* Larger than any process id. */
#define NOBODY 0x7fffffff

static void ids(void)
{
	const long self = CALL(getpid, 0), user = CALL(getuid, 0), group = CALL(getgid, 0);
	uint32_t three[3] = {0, 0, 0};

	TRY_OK(getpid, 0);
	TRY_OK(getppid, 0);
	say(CALL(gettid, 0) == self, "gettid is getpid");
	TRY_OK(gettid, 0);
	TRY_OK(getuid, 0);
	TRY_OK(getgid, 0);
	say(CALL(geteuid, 0) == user && CALL(getegid, 0) == group, "effective ids");
	TRY_OK(geteuid, 0);
	TRY_OK(getegid, 0);
	TRY(getresuid, &three[0], &three[1], &three[2]);
	say(three[0] == user && three[1] == user && three[2] == user, "getresuid");
	TRY(getresgid, &three[0], &three[1], &three[2]);
	say(three[0] == group && three[1] == group && three[2] == group, "getresgid");
	FOR_UNWRITABLE(bad)
	{
		TRY(getresuid, bad, &three[1], &three[2]);
		TRY(getresgid, &three[0], &three[1], bad);
	}
	TRY(setuid, user);
	TRY(setuid, 0);
	TRY(setuid, -1);
	TRY(setgid, group);
	TRY(setgid, 0);
	TRY(setgid, -1);
	TRY(setreuid, user, user);
	TRY(setreuid, -1, -1);
	TRY(setreuid, 0, -1);
	TRY(setreuid, -1, 0);
	TRY(setregid, group, -1);
	TRY(setregid, 0, 0);
	TRY(setresuid, -1, -1, -1);
	TRY(setresuid, user, user, user);
	TRY(setresuid, -1, -1, 0);
	TRY(setresgid, group, -1, group);
	TRY(setresgid, 0, -1, -1);
	say(CALL(setfsuid, user) == user && CALL(setfsuid, 0) == user,
	    "setfsuid tells the one before");
	say(CALL(setfsgid, group) == group && CALL(setfsgid, -1) == group, "setfsgid too");
	TRY_OK(setfsuid, user);
	TRY_OK(setfsgid, group);
	TRY_OK(setfsuid, user);
	TRY_OK(setfsgid, group);
	say(CALL(setfsuid, 0) == user && CALL(setfsuid, -1) == user, "setfsuid tells what it was");
	say(CALL(setfsgid, 0) == group && CALL(setfsgid, -1) == group,
	    "setfsgid tells what it was");
	TRY(setgroups, 0, 0);
	TRY(setgroups, 1, bad_addresses[2].address);
	TRY(setgroups, -1, 0);
	TRY(getgroups, -1, page);
	TRY_OK(getgroups, 0, 0);
	TRY_OK(getgroups, 100, page);
}

static void capabilities(void)
{
	static const uint32_t versions[] = {_LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_2,
	                                    _LINUX_CAPABILITY_VERSION_3, 0, 1};
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];

	for (size_t i = 0; i < COUNT(versions); i++) {
		within("version %x", versions[i]);
		memset(data, 1, sizeof(data));
		header = (struct __user_cap_header_struct){.version = versions[i]};
		TRY(capget, &header, data);
		say(digest(data, sizeof(data)), "capabilities");
		say(header.version == _LINUX_CAPABILITY_VERSION_3, "the newest version");
		header.version = versions[i];
		TRY(capget, &header, 0);
		header.version = versions[i];
		memset(data, 0, sizeof(data));
		TRY(capset, &header, data);
		header.version = versions[i];
		data[0].permitted = 1;
		TRY(capset, &header, data);
		header = (struct __user_cap_header_struct){.version = versions[i], .pid = NOBODY};
		TRY(capget, &header, data);
		header = (struct __user_cap_header_struct){.version = versions[i], .pid = -1};
		TRY(capget, &header, data);
	}
	without();
	header = (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
	FOR_UNWRITABLE(bad)
	TRY(capget, &header, bad);
	FOR_UNREADABLE(bad)
	{
		TRY(capget, bad, data);
		TRY(capset, bad, data);
		TRY(capset, &header, bad);
	}
}

static void groups_and_sessions(void)
{
	const long self = CALL(getpid, 0);

	TRY(setpgid, -1, 0);
	TRY(setpgid, 0, -1);
	TRY(setpgid, NOBODY, 0);
	TRY_OK(getpgid, 0);
	TRY_OK(getpgrp, 0);
	say(CALL(getpgid, 0) == CALL(getpgrp, 0) && CALL(getpgid, self) == CALL(getpgrp, 0),
	    "getpgrp is getpgid");
	TRY(getpgid, NOBODY);
	TRY(getpgid, -1);
	TRY_OK(getsid, 0);
	TRY(getsid, NOBODY);
	TRY(getsid, -1);
	/* The test has made it one. */
	say(CALL(getsid, 0) == self && CALL(getpgrp, 0) == self, "it leads its session");
	TRY(setsid, 0);
	TRY(setpgid, 0, 0);
	TRY(setpgid, self, self);
}

static void machine(void)
{
	struct utsname name;
	struct sysinfo info;
	unsigned processor = 7, node = 7;

	TRY(uname, &name);
	say(strcmp(name.sysname, "Linux") == 0 && strcmp(name.machine, "x86_64") == 0, "uname");
	TRY(sysinfo, &info);
	say(info.mem_unit > 0 && info.totalram > 0 && info.freeram <= info.totalram &&
	            info.procs > 0 && info.uptime > 0,
	    "sysinfo");
	TRY(getcpu, &processor, &node, 0);
	say(processor < 4096 && node < 1024, "getcpu");
	TRY(getcpu, 0, 0, 0);
	TRY(getcpu, &processor, 0, bad_addresses[2].address);
	TRY(getrandom, page, 100, 0);
	TRY(getrandom, page, 0, 0);
	TRY(getrandom, page, 100, 1);
	TRY(getrandom, page, 100, 2);
	TRY(getrandom, page, 100, 4);
	TRY(getrandom, page, 100, 6);
	TRY(getrandom, page, 100, 8);
	TRY(getrandom, page, 100, -1);
	TRY(getrandom, page_end - 10, 20, 0);
	TRY(getrandom, page, -1, 0);
	FOR_UNWRITABLE(bad)
	{
		TRY(uname, bad);
		TRY(sysinfo, bad);
		TRY(getcpu, bad, 0, 0);
		TRY(getcpu, 0, bad, 0);
		TRY(getrandom, bad, 8, 0);
		TRY(getrandom, bad, 0, 0);
	}
	TRY_OK(membarrier, 0, 0, 0);
	TRY(membarrier, 0, 1, 0);
	TRY(membarrier, 0x40000000, 0, 0);
	TRY(membarrier, -1, 0, 0);
	TRY(sync, 0);
}

static void limits(void)
{
	struct rlimit64 limit, wanted;

	for (int i = -1; i <= 17; i++) {
		within("limit %d", i);
		if (TRY(getrlimit, i, &limit) == 0)
			say(limit.rlim_cur <= limit.rlim_max, "soft is no more than hard");
		TRY(prlimit64, 0, i, 0, &limit);
		TRY(prlimit64, 0, i, 0, 0);
		if (i == RLIMIT_CPU || i == RLIMIT_AS || i < 0 || i >= RLIM_NLIMITS)
			continue;
		wanted = limit;
		TRY(setrlimit, i, &wanted);
		TRY(prlimit64, 0, i, &wanted, 0);
		wanted.rlim_cur = limit.rlim_max;
		wanted.rlim_max = limit.rlim_max - 1;
		TRY(setrlimit, i, &wanted);
	}
	without();
	getrlimit64(RLIMIT_NOFILE, &limit);
	limit.rlim_max++;
	TRY(setrlimit, RLIMIT_NOFILE, &limit);
	getrlimit64(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 32;
	TRY(setrlimit, RLIMIT_NOFILE, &limit);
	TRY(getrlimit, RLIMIT_NOFILE, &limit);
	say((long)limit.rlim_cur, "the soft limit is what it was set to");
	TRY(dup2, 0, 31);
	TRY(dup2, 0, 32);
	TRY(prlimit64, NOBODY, RLIMIT_NOFILE, 0, &limit);
	TRY(prlimit64, -1, RLIMIT_NOFILE, 0, &limit);
	TRY(prlimit64, CALL(getpid, 0), RLIMIT_NOFILE, 0, &limit);
	FOR_UNWRITABLE(bad)
	{
		TRY(getrlimit, RLIMIT_CORE, bad);
		TRY(prlimit64, 0, RLIMIT_CORE, 0, bad);
	}
	FOR_UNREADABLE(bad)
	{
		TRY(setrlimit, RLIMIT_CORE, bad);
		TRY(prlimit64, 0, RLIMIT_CORE, bad, 0);
	}
}

static void attributes(void)
{
	uint32_t number = 99;

	TRY(prctl, PR_SET_NAME, "a name that is too long");
	TRY(prctl, PR_GET_NAME, page);
	printf("name: %s\n", page);
	TRY(prctl, PR_SET_NAME, "");
	TRY(prctl, PR_GET_NAME, page);
	printf("name: %s\n", page);
	memset(page_end - 4, 'n', 4);
	TRY(prctl, PR_SET_NAME, page_end - 4);
	FOR_UNREADABLE(bad)
	TRY(prctl, PR_SET_NAME, bad);
	FOR_UNWRITABLE(bad)
	{
		TRY(prctl, PR_GET_NAME, bad);
		TRY(prctl, PR_GET_PDEATHSIG, bad);
	}
	TRY(prctl, PR_SET_DUMPABLE, 0);
	TRY(prctl, PR_GET_DUMPABLE, 0);
	TRY(prctl, PR_SET_DUMPABLE, 1);
	TRY(prctl, PR_GET_DUMPABLE, 0);
	TRY(prctl, PR_SET_DUMPABLE, 2);
	TRY(prctl, PR_SET_DUMPABLE, -1);
	TRY(prctl, PR_SET_PDEATHSIG, 65);
	TRY(prctl, PR_SET_PDEATHSIG, -1);
	TRY(prctl, PR_SET_PDEATHSIG, 9);
	TRY(prctl, PR_GET_PDEATHSIG, &number);
	say(number, "the parent's death signal");
	TRY(prctl, PR_SET_PDEATHSIG, 0);
	TRY(prctl, PR_SET_TIMERSLACK, 12345);
	TRY(prctl, PR_GET_TIMERSLACK, 0);
	TRY(prctl, PR_SET_TIMERSLACK, 0);
	TRY(prctl, PR_GET_TIMERSLACK, 0);
	TRY(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	TRY(prctl, PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0);
	TRY(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
	TRY(prctl, PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0);
	TRY(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0);
	TRY(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	TRY(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	TRY(prctl, PR_GET_SECCOMP, 0);
	TRY(prctl, PR_GET_KEEPCAPS, 0);
	TRY(prctl, PR_CAPBSET_READ, 1000);
	TRY(prctl, PR_SET_KEEPCAPS, 2);
	TRY(prctl, 0, 0);
	TRY(prctl, -1, 0);
	TRY(prctl, 12345678, 0);
	TRY(umask, 027);
	TRY(umask, 0777777);
	TRY(umask, 022);
	TRY(personality, 0xffffffff);
	TRY(personality, 0x0040000);
	TRY(personality, 0xffffffff);
	TRY(personality, 0);
}

static void bases(void)
{
	uintptr_t base = 1, before = 0;

	TRY(arch_prctl, ARCH_GET_FS, &before);
	say(before == (uintptr_t)__builtin_thread_pointer(), "FS is the thread's");
	TRY(arch_prctl, ARCH_SET_FS, before);
	TRY(arch_prctl, ARCH_SET_FS, 1ul << 63);
	TRY(arch_prctl, ARCH_SET_FS, -1);
	TRY(arch_prctl, ARCH_SET_FS, 0x7ffffffff000);
	TRY(arch_prctl, ARCH_SET_GS, page);
	TRY(arch_prctl, ARCH_GET_GS, &base);
	say(base == (uintptr_t)page, "GS is what it was set to");
	TRY(arch_prctl, ARCH_SET_GS, 1ul << 47);
	TRY(arch_prctl, ARCH_GET_GS, &base);
	say(base == (uintptr_t)page, "GS is what it was set to");
	TRY(arch_prctl, 0, 0);
	TRY(arch_prctl, 0x1005, 0);
	TRY(arch_prctl, -1, 0);
	FOR_UNWRITABLE(bad)
	{
		TRY(arch_prctl, ARCH_GET_FS, bad);
		TRY(arch_prctl, ARCH_GET_GS, bad);
	}
}

/* As the kernel has them. */
struct capabilities {
	uint32_t version;
	int32_t process;
};

static void privileges(void)
{
	struct capabilities header = {0x20080522, 0}, old = {0x19980330, 0}, unknown = {7, 0};
	struct capabilities nobody = {0x20080522, NOBODY}, negative = {0x20080522, -1};
	uint32_t sets[6] = {0}, all[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};

	TRY(capget, &header, sets);
	say(sets[0] | sets[1] | sets[3] | sets[4], "it has none");
	TRY(capget, &header, 0);
	TRY(capget, &old, sets);
	TRY(capget, &unknown, sets);
	say(unknown.version, "the version that it has to be");
	unknown.version = 7;
	TRY(capget, &unknown, 0);
	TRY(capget, &nobody, sets);
	TRY(capget, &negative, sets);
	memset(sets, 0, sizeof(sets));
	TRY(capset, &header, sets);
	TRY(capset, &header, all);
	TRY(capset, &nobody, sets);
	unknown.version = 7;
	TRY(capset, &unknown, sets);
	FOR_UNREADABLE(bad)
	{
		TRY(capget, bad, sets);
		TRY(capset, bad, sets);
		TRY(capset, &header, bad);
	}
}

static void scheduling(void)
{
	static const int policies[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH,
	                               4,           SCHED_IDLE, 7,        -1};
	struct sched_param parameters = {0}, one = {1};
	cpu_set_t set;

	TRY(sched_yield, 0);
	TRY(sched_getparam, 0, &parameters);
	say(parameters.sched_priority, "its priority");
	TRY(sched_getparam, -1, &parameters);
	TRY(sched_getparam, NOBODY, &parameters);
	TRY(sched_getscheduler, 0);
	TRY(sched_getscheduler, -1);
	TRY(sched_getscheduler, NOBODY);
	for (size_t i = 0; i < COUNT(policies); i++) {
		within("policy %d", policies[i]);
		TRY(sched_get_priority_max, policies[i]);
		TRY(sched_get_priority_min, policies[i]);
		TRY(sched_setscheduler, 0, policies[i], &one);
	}
	without();
	TRY(sched_setscheduler, 0, SCHED_OTHER, &parameters);
	TRY(sched_setscheduler, -1, SCHED_OTHER, &parameters);
	TRY(sched_setscheduler, NOBODY, SCHED_OTHER, &parameters);
	FOR_UNWRITABLE(bad)
	TRY(sched_getparam, 0, bad);
	FOR_UNREADABLE(bad)
	TRY(sched_setscheduler, 0, SCHED_OTHER, bad);

	TRY_OK(sched_getaffinity, 0, sizeof(set), &set);
	say(CPU_COUNT(&set) > 0, "it may run somewhere");
	TRY(sched_getaffinity, 0, 7, &set);
	TRY(sched_getaffinity, 0, 12, &set);
	TRY(sched_getaffinity, 0, 0, &set);
	TRY(sched_getaffinity, NOBODY, sizeof(set), &set);
	TRY(sched_getaffinity, -1, sizeof(set), &set);
	TRY(sched_setaffinity, 0, sizeof(set), &set);
	TRY(sched_setaffinity, NOBODY, sizeof(set), &set);
	TRY(sched_setaffinity, 0, 0, &set);
	memset(&set, 0, sizeof(set));
	TRY(sched_setaffinity, 0, sizeof(set), &set);
	FOR_UNWRITABLE(bad)
	TRY(sched_getaffinity, 0, 128, bad);
	FOR_UNREADABLE(bad)
	TRY(sched_setaffinity, 0, 128, bad);

	TRY(sched_setparam, 0, &parameters);
	TRY(sched_setparam, 0, &one);
	TRY(sched_setparam, -1, &parameters);
	TRY(sched_setparam, NOBODY, &parameters);
	TRY(sched_rr_get_interval, -1, page);
	TRY(sched_rr_get_interval, NOBODY, page);
	TRY(sched_rr_get_interval, 0, page);
	TRY(sched_getattr, 0, page, 48, 0);
	TRY(sched_setattr, 0, page, 0);
	TRY(sched_getattr, 0, page, 47, 0);
	TRY(sched_getattr, 0, page, 48, 1);
	TRY(sched_getattr, -1, page, 48, 0);
	TRY(sched_getattr, NOBODY, page, 48, 0);
	TRY(sched_setattr, 0, 0, 0);
	TRY(sched_setattr, 0, page, 1);
	TRY(sched_setattr, -1, page, 0);
	TRY(ioprio_get, 1, 0);
	TRY(ioprio_get, 9, 0);
	TRY(ioprio_get, 1, NOBODY);
	TRY(ioprio_set, 1, 0, 2 << 13 | 4);
	TRY(ioprio_set, 1, 0, 1 << 13 | 4);
	TRY(ioprio_set, 1, 0, 9 << 13);
	TRY(ioprio_set, 9, 0, 2 << 13 | 4);
	TRY(ioprio_set, 1, NOBODY, 2 << 13 | 4);
	FOR_UNWRITABLE(bad)
	{
		TRY(sched_rr_get_interval, 0, bad);
		TRY(sched_getattr, 0, bad, 48, 0);
	}
	FOR_UNREADABLE(bad)
	{
		TRY(sched_setparam, 0, bad);
		TRY(sched_setattr, 0, bad, 0);
	}
	TRY(getpriority, PRIO_PROCESS, 0);
	TRY(getpriority, PRIO_PGRP, 0);
	TRY(getpriority, 3, 0);
	TRY(getpriority, -1, 0);
	TRY(getpriority, PRIO_PROCESS, NOBODY);
	TRY(getpriority, PRIO_PROCESS, -1);
	TRY(setpriority, PRIO_PROCESS, 0, 0);
	TRY(setpriority, PRIO_PROCESS, 0, -1);
	TRY(setpriority, PRIO_PROCESS, NOBODY, 0);
	TRY(setpriority, 3, 0, 0);
}

static void scheduling_attributes(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t times[3];
	} attributes = {0};
	struct sched_param parameters = {0}, one = {1};
	struct {
		long seconds, nanoseconds;
	} slice = {9, 0};

	TRY(sched_getattr, 0, &attributes, sizeof(attributes), 0);
	say(attributes.size == sizeof(attributes) && attributes.policy == SCHED_OTHER,
	    "its attributes");
	TRY(sched_getattr, 0, &attributes, sizeof(attributes) - 1, 0);
	TRY(sched_getattr, 0, &attributes, 5000, 0);
	TRY(sched_getattr, 0, &attributes, sizeof(attributes), 1);
	TRY(sched_getattr, NOBODY, &attributes, sizeof(attributes), 0);
	TRY(sched_getattr, -1, &attributes, sizeof(attributes), 0);
	memset(&attributes, 0, sizeof(attributes));
	TRY(sched_setattr, 0, &attributes, 0);
	attributes.size = sizeof(attributes);
	TRY(sched_setattr, 0, &attributes, 0);
	TRY(sched_setattr, 0, &attributes, 1);
	TRY(sched_setattr, NOBODY, &attributes, 0);
	TRY(sched_setattr, -1, &attributes, 0);
	attributes.size = sizeof(attributes) - 1;
	TRY(sched_setattr, 0, &attributes, 0);
	attributes.size = sizeof(attributes);
	attributes.policy = SCHED_FIFO;
	TRY(sched_setattr, 0, &attributes, 0);
	attributes.priority = 1;
	TRY(sched_setattr, 0, &attributes, 0);
	attributes.policy = 77;
	TRY(sched_setattr, 0, &attributes, 0);
	FOR_UNREADABLE(bad)
	TRY(sched_setattr, 0, bad, 0);
	FOR_UNWRITABLE(bad)
	{
		TRY(sched_getattr, 0, bad, sizeof(attributes), 0);
		TRY(sched_rr_get_interval, 0, bad);
	}
	TRY(sched_rr_get_interval, 0, &slice);
	say(slice.seconds == 0 && slice.nanoseconds >= 0, "a slice of time");
	TRY(sched_rr_get_interval, NOBODY, &slice);
	TRY(sched_rr_get_interval, -1, &slice);
	TRY(sched_setparam, 0, &parameters);
	TRY(sched_setparam, 0, &one);
	TRY(sched_setparam, 0, 0);
	TRY(sched_setparam, NOBODY, &parameters);
	TRY(sched_setparam, -1, &parameters);
	FOR_UNREADABLE(bad)
	TRY(sched_setparam, 0, bad);
}

static void io_priorities(void)
{
	TRY(ioprio_set, 1, 0, 2 << 13 | 5);
	TRY(ioprio_get, 1, 0);
	TRY(ioprio_set, 1, 0, 2 << 13 | 8);
	TRY(ioprio_set, 1, 0, 3 << 13);
	TRY(ioprio_get, 1, 0);
	TRY(ioprio_set, 1, 0, 5 << 13);
	TRY(ioprio_set, 1, 0, 1);
	TRY(ioprio_set, 1, NOBODY, 2 << 13);
	TRY(ioprio_set, 0, 0, 2 << 13);
	TRY(ioprio_set, 4, 0, 2 << 13);
	TRY(ioprio_set, 1, 0, 0);
	TRY(ioprio_get, 1, NOBODY);
	TRY(ioprio_get, 0, 0);
	TRY(ioprio_get, 4, 0);
}

static void threads(void)
{
	static uint32_t word = 5;
	struct timespec none = {0, 0}, bad_time = {0, 2000000000};
	void *list = NULL;
	size_t length = 0;

	say(CALL(set_tid_address, &word) == CALL(gettid, 0), "set_tid_address tells the thread");
	TRY_OK(set_tid_address, 0);
	TRY(set_robust_list, page, 24);
	TRY(set_robust_list, page, 23);
	TRY(set_robust_list, page, 0);
	TRY(get_robust_list, 0, &list, &length);
	say(list == page && length == 24, "the robust list");
	TRY(get_robust_list, NOBODY, &list, &length);
	TRY(get_robust_list, -1, &list, &length);
	FOR_UNWRITABLE(bad)
	{
		TRY(get_robust_list, 0, bad, &length);
		TRY(get_robust_list, 0, &list, bad);
	}
	TRY(set_robust_list, 0, 24);

	TRY(futex, &word, FUTEX_WAIT, 6, 0, 0, 0);
	TRY(futex, &word, FUTEX_WAIT, 5, &none, 0, 0);
	TRY(futex, &word, FUTEX_WAIT, 5, &bad_time, 0, 0);
	TRY(futex, &word, FUTEX_WAIT_PRIVATE, 5, &none, 0, 0);
	TRY(futex, &word, FUTEX_WAIT_BITSET, 5, &none, 0, 1);
	TRY(futex, &word, FUTEX_WAIT_BITSET, 5, &none, 0, 0);
	TRY(futex, (char *)&word + 1, FUTEX_WAIT, 5, &none, 0, 0);
	TRY(futex, &word, FUTEX_WAKE, 1, 0, 0, 0);
	TRY(futex, &word, FUTEX_WAKE, -1, 0, 0, 0);
	TRY(futex, (char *)&word + 1, FUTEX_WAKE, 1, 0, 0, 0);
	TRY(futex, &word, FUTEX_WAKE_BITSET, 1, 0, 0, 1);
	TRY(futex, &word, FUTEX_WAKE_BITSET, 1, 0, 0, 0);
	TRY(futex, &word, FUTEX_REQUEUE, 1, 1, page, 0);
	TRY(futex, &word, FUTEX_CMP_REQUEUE, 1, 1, page, 5);
	TRY(futex, &word, FUTEX_CMP_REQUEUE, 1, 1, page, 6);
	TRY(futex, &word, FUTEX_REQUEUE, -1, 1, page, 0);
	TRY(futex, &word, 99, 1, 0, 0, 0);
	TRY(futex, &word, -1, 1, 0, 0, 0);
	FOR_UNREADABLE(bad)
	{
		TRY(futex, bad, FUTEX_WAIT, 5, &none, 0, 0);
		TRY(futex, &word, FUTEX_WAIT, 6, bad, 0, 0);
	}

	TRY(wait4, -1, 0, 0, 0);
	TRY(wait4, -1, &word, WNOHANG, 0);
	TRY(wait4, -1, 0, 0x100, 0);
	TRY(wait4, NOBODY, 0, 0, 0);
	TRY(waitid, P_ALL, 0, 0, WEXITED, 0);
	TRY(waitid, P_ALL, 0, 0, 0, 0);
	TRY(waitid, P_ALL, 0, 0, 0x100, 0);
	TRY(waitid, 99, 0, 0, WEXITED, 0);
	TRY(waitid, P_PID, 0, 0, WEXITED, 0);
	TRY(waitid, P_PID, NOBODY, 0, WEXITED, 0);
}

/* As the kernel has it. */
struct action {
	uintptr_t handler;
	uint64_t flags;
	uintptr_t restorer;
	uint64_t mask;
};

static void dispositions(void)
{
	struct action ignore = {.handler = 1, .mask = UINT64_MAX}, before = {0};

	for (int signal = -1; signal <= 66; signal++) {
		within("signal %d", signal);
		TRY(rt_sigaction, signal, 0, &before, 8);
		say((long)before.handler, "its handler");
	}
	within("KILL");
	TRY(rt_sigaction, SIGKILL, &ignore, 0, 8);
	within("STOP");
	TRY(rt_sigaction, SIGSTOP, &ignore, 0, 8);
	without();
	TRY(rt_sigaction, SIGUSR1, &ignore, 0, 8);
	TRY(rt_sigaction, SIGUSR1, 0, &before, 8);
	say((long)before.handler, "what was set");
	say(digest(&before.mask, 8), "its mask, without KILL and STOP");
	TRY(rt_sigaction, SIGUSR1, 0, &before, 7);
	TRY(rt_sigaction, SIGUSR1, 0, &before, 16);
	TRY(rt_sigaction, SIGUSR1, 0, &before, 0);
	TRY(rt_sigaction, 99, bad_addresses[2].address, 0, 8);
	FOR_UNREADABLE(bad)
	TRY(rt_sigaction, SIGUSR2, bad, 0, 8);
	FOR_UNWRITABLE(bad)
	TRY(rt_sigaction, SIGUSR2, 0, bad, 8);
}

static void masks(void)
{
	uint64_t set = 1ul << (SIGUSR1 - 1) | 1ul << (SIGKILL - 1), before = 9, pending = 9;

	TRY(rt_sigprocmask, SIG_SETMASK, &set, &before, 8);
	say((long)before, "the mask before");
	TRY(rt_sigprocmask, SIG_BLOCK, 0, &before, 8);
	say((long)before, "the mask, without KILL");
	set = 1ul << (SIGTERM - 1);
	TRY(rt_sigprocmask, SIG_BLOCK, &set, &before, 8);
	TRY(rt_sigprocmask, SIG_UNBLOCK, &set, &before, 8);
	say((long)before, "the mask with another one");
	TRY(rt_sigprocmask, 3, &set, 0, 8);
	TRY(rt_sigprocmask, -1, &set, 0, 8);
	TRY(rt_sigprocmask, 99, 0, &before, 8);
	TRY(rt_sigprocmask, SIG_BLOCK, &set, 0, 4);
	TRY(rt_sigprocmask, SIG_BLOCK, &set, 0, 128);
	FOR_UNREADABLE(bad)
	TRY(rt_sigprocmask, SIG_BLOCK, bad, 0, 8);
	FOR_UNWRITABLE(bad)
	{
		TRY(rt_sigprocmask, SIG_BLOCK, 0, bad, 8);
		TRY(rt_sigpending, bad, 8);
	}
	/* USR1 is ignored: it must not become pending, blocked or not. */
	TRY(rt_sigpending, &pending, 8);
	say((long)pending, "nothing is pending");
	set = 1ul << (SIGUSR2 - 1) | 1ul << (SIGTERM - 1);
	TRY(rt_sigprocmask, SIG_SETMASK, &set, 0, 8);
	TRY(kill, CALL(getpid, 0), SIGUSR2);
	TRY(tgkill, CALL(getpid, 0), CALL(gettid, 0), SIGTERM);
	TRY(rt_sigpending, &pending, 8);
	say((long)pending, "what is pending");
	TRY(rt_sigpending, &pending, 4);
	TRY(rt_sigpending, &pending, 0);
	TRY(rt_sigpending, &pending, 16);
	/* Ignoring one that is pending discards it. */
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	TRY(rt_sigpending, &pending, 8);
	say((long)pending, "what is pending after it was ignored");
	set = 0;
	TRY(rt_sigprocmask, SIG_SETMASK, &set, 0, 8);
}

static void alternate_stack(void)
{
	stack_t stack = {.ss_sp = page, .ss_size = PAGE}, before;

	TRY(sigaltstack, 0, &before);
	say(before.ss_flags, "flags before");
	TRY(sigaltstack, &stack, 0);
	TRY(sigaltstack, 0, &before);
	say(before.ss_sp == page && before.ss_size == PAGE && before.ss_flags == 0, "what was set");
	stack.ss_size = 100;
	TRY(sigaltstack, &stack, 0);
	stack.ss_size = 2047;
	TRY(sigaltstack, &stack, 0);
	stack.ss_size = PAGE;
	stack.ss_flags = SS_ONSTACK;
	TRY(sigaltstack, &stack, 0);
	stack.ss_flags = 4;
	TRY(sigaltstack, &stack, 0);
	stack.ss_flags = 3;
	TRY(sigaltstack, &stack, 0);
	stack.ss_flags = (int)(1u << 31);
	TRY(sigaltstack, &stack, 0);
	TRY(sigaltstack, 0, &before);
	say(before.ss_flags, "flags with SS_AUTODISARM");
	stack.ss_flags = SS_DISABLE;
	stack.ss_size = 0;
	TRY(sigaltstack, &stack, 0);
	TRY(sigaltstack, 0, &before);
	say(before.ss_flags, "flags after");
	say((long)before.ss_sp, "address after");
	FOR_UNREADABLE(bad)
	TRY(sigaltstack, bad, 0);
	FOR_UNWRITABLE(bad)
	TRY(sigaltstack, 0, bad);
}

static void sending(void)
{
	const long self = CALL(getpid, 0);

	TRY(kill, self, 0);
	TRY(kill, 0, 0);
	TRY(kill, -self, 0);
	TRY(kill, NOBODY, 0);
	TRY(kill, -NOBODY, 0);
	TRY(kill, (long)INT32_MIN, 0);
	TRY(kill, self, 65);
	TRY(kill, self, -1);
	TRY(kill, NOBODY, 65);
	/* Ignored ones, by default or asked for. */
	TRY(kill, self, SIGCHLD);
	TRY(kill, self, SIGWINCH);
	TRY(kill, self, SIGUSR1);
	TRY(tkill, self, 0);
	TRY(tkill, self, SIGUSR1);
	TRY(tkill, 0, 0);
	TRY(tkill, -1, 0);
	TRY(tkill, NOBODY, 0);
	TRY(tkill, self, 65);
	TRY(tgkill, self, self, 0);
	TRY(tgkill, self, self, SIGUSR1);
	TRY(tgkill, 0, self, 0);
	TRY(tgkill, self, 0, 0);
	TRY(tgkill, -1, self, 0);
	TRY(tgkill, self, NOBODY, 0);
	TRY(tgkill, NOBODY, self, 0);
	TRY(tgkill, self, self, 65);
	TRY(rt_sigsuspend, page, 7);
	TRY(rt_sigsuspend, bad_addresses[2].address, 8);
}

int main(void)
{
	prepare();
	ids();
	capabilities();
	groups_and_sessions();
	machine();
	attributes();
	bases();
	privileges();
	scheduling();
	scheduling_attributes();
	io_priorities();
	threads();
	dispositions();
	masks();
	alternate_stack();
	sending();
	/* The last one: it changes how many descriptors there can be. */
	limits();
	return 0;
}
