/* SPDX-License-Identifier: MIT */
/*
 * The emulated Linux process inside a sandbox: what its system calls work on.
 *
 * State that forks share with their master until they change it (memory map,
 * descriptors, signal table) is reference counted and copied by the first
 * change. Handlers never touch the vCPU, KVM or the public API.
 */
#ifndef KVMSB_LINUX_PROCESS_H
#define KVMSB_LINUX_PROCESS_H

#include "../space.h"

#include <kvmsandbox/policy.h>
#include <kvmsandbox/result.h>
#include <kvmsandbox/sandbox.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm;
struct files;
struct signals;
struct limits;
struct policy;
struct tmpfs;
struct process;
struct timekeeper;
struct override_list;

/* What all sandboxes of one program share, and nobody changes after creation. */
struct process_config {
	struct kvmsb_stream streams[3];
	struct policy *policy; /* linux/policy.h */
	struct kvmsb_policy ask; /* linux/ask.h */
	uint64_t file_size_limit; /* of files of the host that guests write; 0: none */
	kvmsb_trace_function trace;
	void *trace_user;
	struct override_list *overrides; /* linux/override.h; NULL: none */
	char *directory;       /* initial current directory, absolute */
	char *program;         /* AT_EXECFN, /proc/self/exe */
	uint64_t stack_size;
	uint64_t memory_limit;
	enum kvmsb_clock clock;
	uint64_t clock_start;  /* of a made-up clock: CLOCK_REALTIME at first, in ns */
	uint64_t clock_step;   /* and what each look at it adds */
	uint64_t temporary_size;    /* of /tmp in memory; 0: there is none */
	uint64_t memory_file_limit; /* bytes of all files in memory, /tmp included */
};

enum process_end {
	PROCESS_RUNS = 0,
	PROCESS_EXITED,        /* exit_status */
	PROCESS_KILLED,        /* exit_signal: a signal of its own */
	PROCESS_OUT_OF_MEMORY, /* a limit was reached where no errno can tell */
	PROCESS_TIMED_OUT,     /* its time ended inside a system call */
	PROCESS_CANCELLED,     /* its sandbox was destroyed by a function of the host: none is called any more */
};

/* What it has used; forks begin with their master's. */
struct process_usage {
	uint64_t time;   /* that the guest itself has run, in ns */
	uint64_t faults; /* page faults that were answered */
};

/* How far a made-up clock has gone, in ns: process_clock.h. */
struct process_time {
	uint64_t stepped, slept;
};

/* The small things that a process can set; forks get a copy. */
struct process_attributes {
	uint32_t umask;
	uint32_t personality;
	uint32_t dumpable, death_signal, no_new_privileges, timer_slack; /* prctl(2) */
	char name[16];           /* PR_SET_NAME, NUL-terminated */
	uint64_t child_tid;      /* set_tid_address(2) */
	uint64_t robust_list;    /* set_robust_list(2) */
	int32_t nice;            /* setpriority(2) */
	uint32_t io_priority;    /* ioprio_set(2) */
	uint32_t keep_capabilities, child_subreaper, no_huge_pages; /* prctl(2) */
	struct process_time time;

	/* Where exec put them: arguments, the environment behind them, the auxiliary vector. */
	uint64_t arguments_start, arguments_end, environment_end;
	uint64_t auxiliary_start, auxiliary_end;
};

struct process {
	struct space *space;
	struct kvmsb_registers *registers; /* of the running thread, the user's view */
	const struct process_config *config;

	struct mm *mm;           /* linux/mm.h */
	struct files *files;     /* linux/files.h: descriptors and the current directory */
	struct signals *signals; /* linux/signals.h */
	struct limits *limits;   /* linux/resource_limits.h */
	struct tmpfs *tmpfs;     /* linux/tmpfs.h: /tmp and files of memfd_create(2) */
	struct process_attributes attributes;
	struct process_usage usage;

	bool copies_files;       /* KVM could not read one: none is mapped by the host any more */
	void *borrowed_pages;    /* what guest_pieces() read from files: until its next call */

	const struct timekeeper *timekeeper; /* of its machine; NULL: the host's clocks as they are */
	uint64_t deadline;       /* time_now() at the end of this run */
	enum process_end end;    /* set by a handler that ends the run */
	bool denied;             /* the host's policy refused what this call asked for: for traces */
	int exit_status;
	int exit_signal;

	struct kvmsb *sandbox;   /* whose process it is: for functions of the host; else unknown here */
	bool in_override;        /* the host's function for a system call is running */

	/* For process_call_begin() and process_call_end(); may be NULL. */
	void (*callback_begin)(struct process *process);
	int (*callback_end)(struct process *process); /* -errno: the run ends, return -EINTR to the guest */
};

/* The ids every guest sees: one process with one thread, an unprivileged user. */
#define PROCESS_ID 1000
#define PROCESS_PARENT_ID 1
#define PROCESS_USER 1000
#define PROCESS_GROUP 1000

/* What uname(2) and /proc say of the machine. Nothing is the host's: guests cannot tell hosts apart. */
#define PROCESS_SYSTEM "Linux"
#define PROCESS_NODE "sandbox"
#define PROCESS_RELEASE "6.1.0-kvmsandbox"
#define PROCESS_VERSION "#1 SMP"
#define PROCESS_DOMAIN "(none)"

#define PROCESS_TIMER_SLACK 50000u /* ns */

/*
 * An empty process of the space: no mappings, standard descriptors 0, 1, 2.
 * Returns 0 or -ENOMEM.
 */
int process_init(struct process *process, struct space *space, const struct process_config *config);

/* The process of a fork: everything shared with the (frozen) master's. */
int process_fork(struct process *process, const struct process *master, struct space *space);

/*
 * A fork's process as it was after process_fork(). What the caller set (space,
 * registers, deadline, callbacks) stays; the space is reset by the caller.
 * Cannot fail.
 */
void process_reset(struct process *process, const struct process *master);

/* Accepts half-made objects. */
void process_destroy(struct process *process);

/*
 * The system call in the registers (RAX number; RDI RSI RDX R10 R8 R9): runs
 * its handler, stores the result in RAX, traces. Never fails: what goes wrong
 * is the guest's errno, or process->end.
 */
void process_system_call(struct process *process);

/* Answers `error`, and notes that it is the host's policy that refuses. */
static inline int process_deny(struct process *process, int error)
{
	process->denied = true;
	return error;
}

/*
 * Around every call of a function of the host (streams, traces): the vCPU is
 * given back meanwhile. Begin: 0, or -EINTR when none may be called any more.
 * End: 0, or -EINTR when the run has ended with it.
 */
static inline int process_call_begin(struct process *process)
{
	if (process->end == PROCESS_CANCELLED)
		return -EINTR;
	if (process->callback_begin != NULL)
		process->callback_begin(process);
	return 0;
}

static inline int process_call_end(struct process *process)
{
	return process->callback_end != NULL && process->callback_end(process) != 0 ? -EINTR : 0;
}

#endif
