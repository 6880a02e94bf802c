/* SPDX-License-Identifier: MIT */
/*
 * The sandbox: one program in an address space of its own.
 *
 *   kvmsb_create -> kvmsb_run -> kvmsb_freeze -> kvmsb_fork -> kvmsb_vmcall,
 *   kvmsb_request (http.h), kvmsb_reset -> ... -> kvmsb_destroy
 *
 * STATES, and what each function does in them:
 *
 *                 | new     | ready   | exited  | over    | master  | fork    | fork, over
 *   --------------+---------+---------+---------+---------+---------+---------+-----------
 *   run           | yes     | -EINVAL | -EINVAL | -EINVAL | -EINVAL | -EINVAL | -EINVAL
 *   freeze        | -EINVAL | yes     | yes     | -ESRCH  | -EINVAL | -EINVAL | -EINVAL
 *   fork          | -EINVAL | -EINVAL | -EINVAL | -EINVAL | yes     | -EINVAL | -EINVAL
 *   reserve       | -EINVAL | -EINVAL | -EINVAL | -EINVAL | yes     | -EINVAL | -EINVAL
 *   vmcall        | -EINVAL | yes     | -ESRCH  | -ESRCH  | -EROFS  | yes     | -ESRCH
 *   request       | -EINVAL | yes     | -ESRCH  | -ESRCH  | -EROFS  | yes     | -ESRCH
 *   reset         | -EINVAL | -EINVAL | -EINVAL | -EINVAL | -EINVAL | yes     | yes
 *   memory_write  | yes     | yes     | yes     | yes     | -EROFS  | yes     | yes
 *   all others    | yes     | yes     | yes     | yes     | yes     | yes     | yes
 *
 * "ready": run ended with KVMSB_OUTCOME_READY. "exited": it ended with
 * KVMSB_OUTCOME_EXITED; such a sandbox can be frozen (its memory is still
 * what the program left there), but libc's exit handlers have then run.
 * "over": a fault, a time-out, a limit. A fork that exits is over, too.
 *
 * -EBUSY: the sandbox is running: used from inside its own callback. Only
 * kvmsb_memory_read(), kvmsb_symbol() and kvmsb_get_statistics() work there, and
 * kvmsb_memory_write() in the function of an override (override.h).
 *
 * -ECHILD: the calling process is not the one that created the sandbox but a
 * fork(2) of it. Only kvmsb_destroy() works there; it frees the child's copy
 * and leaves the parent's alone.
 *
 * THREADS: one sandbox is used by one thread at a time. Different sandboxes,
 * forks of one master included, are used in parallel. kvmsb_fork() and
 * kvmsb_reserve() of one master are safe from several threads at once, as are the
 * functions that only read it (symbol, describe, statistics).
 *
 * SIGNALS: time limits use a timer per borrowed virtual processor and a signal
 * (SIGURG unless the options say otherwise). kvmsb_run(), kvmsb_vmcall() and
 * kvmsb_request() leave that signal BLOCKED in the calling thread, and open it
 * only while a guest runs. IT MUST STAY BLOCKED there: a host that restores a
 * signal mask from before its first call loses the time limits of later ones.
 * Other signals are, while a guest runs, as the thread had them when it first
 * ran a guest of that program or when one came in since; one that comes in is
 * handled as ever, and the guest goes on. One of that number from elsewhere is
 * lost there. No handler is installed and no disposition changed.
 *
 * LIFETIMES: kvmsb_destroy() of a master with live forks is allowed: what they
 * share lives until the last of them is gone.
 */
#ifndef KVMSANDBOX_SANDBOX_H
#define KVMSANDBOX_SANDBOX_H

#include "error.h"
#include "override.h"
#include "policy.h"
#include "result.h"
#include "version.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvmsb;
struct kvmsb_http_ops;

/*
 * How a guest's ring 3 reaches the host. The library probes once per process
 * what this machine's KVM really does and chooses; a forced choice is for
 * tests, and refused with -EOPNOTSUPP where the host cannot do it.
 */
enum kvmsb_entry {
	KVMSB_ENTRY_AUTOMATIC = 0,
	KVMSB_ENTRY_RING0,     /* SYSCALL enters a stub in ring 0 */
	KVMSB_ENTRY_RING3,     /* SYSCALL stays in ring 3 and runs a stub there */
	KVMSB_ENTRY_EXCEPTION, /* no exit from ring 3: all go through the exception handlers */
};

/*
 * Which time a guest sees.
 *
 * HOST: the host's clocks. A guest reads them without an exit, by its vDSO, where the
 * host's own come from the processor's time-stamp counter.
 *
 * MADE_UP: for runs that are the same each time. CLOCK_REALTIME begins at
 * options.clock_start_ns and CLOCK_MONOTONIC at one second; both stand still but for what
 * the guest sleeps or waits, which takes no time of the host's, and
 * options.clock_step_ns, which each reading of a clock adds. Every clock, times of
 * files that the guest makes and time-outs follow; processor time is what the steps
 * sum up to. Forks go on from where their master's clock stood; a reset puts it
 * back. A guest that waits for a clock to go on by itself needs a step. Time limits of runs
 * and calls stay the host's, as is the time for which a stream has nothing to read.
 * Not covered: the time-stamp counter (RDTSC gives the host's: not every KVM lets it
 * be trapped), random numbers, and times of files that are the host's.
 */
enum kvmsb_clock {
	KVMSB_CLOCK_HOST = 0,
	KVMSB_CLOCK_MADE_UP,
};

/* In-struct of kvmsb_create(). Everything it points to is copied. */
struct kvmsb_options {
	size_t size;

	/* The program: a file's path, or `image` with `image_size` bytes of an ELF file. With
	 * both, `image` is loaded and `path` names it (argv[0], AT_EXECFN). */
	const char *path;
	const void *image;
	size_t image_size;

	const char *const *arguments;   /* argv, NULL-terminated; NULL: { path } */
	const char *const *environment; /* "NAME=value", NULL-terminated; NULL: empty */
	const char *directory;          /* current directory the guest sees; NULL: "/" */

	uint64_t memory_limit;      /* bytes of the program, page tables included; 0: 256 MiB */
	uint64_t fork_memory_limit; /* private bytes of each fork, page tables included; 0: 64 MiB.
	                               Near it pages give way that hold what they held in the master, or
	                               zeros, or a file's contents that nobody changed */
	uint64_t stack_size;        /* bytes of the main stack; 0: 4 MiB */
	uint64_t total_fork_memory; /* private bytes of all forks together; 0: 16 GiB */

	uint64_t run_timeout_ns;  /* time limit of kvmsb_run(); 0: 16 s */
	uint64_t call_timeout_ns; /* time limit of calls and requests; 0: 8 s */
	int32_t timeout_signal;   /* 0: SIGURG. One that is ignored, by default or by the host; -EINVAL for
	                             one that cannot be blocked, is libc's or the processor's */
	uint32_t vcpu_limit;      /* virtual processors of this program; 0: 64; at most 128 */
	enum kvmsb_entry entry;

	struct kvmsb_stream standard_input;
	struct kvmsb_stream standard_output;
	struct kvmsb_stream standard_error;

	const struct kvmsb_path_rule *paths; /* what it may read and write */
	size_t path_count;

	kvmsb_trace_function trace; /* NULL: no tracing */
	void *trace_user;

	/* A fork that has more private bytes, page tables included, gives them back when it is
	 * reset: the next request pays for each page that it writes again. 0: a sixteenth of
	 * fork_memory_limit, at least 64 KiB, which is the least; never more than half of it. */
	uint64_t fork_keep_limit;

	/* Pages that forks hold private from the start, since requests were seen to write them:
	 * such a request takes no page fault. Costs their memory in each fork. 0: 256; at most
	 * 4096; KVMSB_NO_LEARNING: none. */
	uint32_t learned_pages_limit;

	uint32_t vcpu_queue_limit; /* calls that may wait for a virtual processor at once; 0: 1024 */

	enum kvmsb_clock clock;
	uint64_t clock_start_ns; /* MADE_UP: CLOCK_REALTIME at first, in ns since 1970; up to INT64_MAX */
	uint64_t clock_step_ns;  /* MADE_UP: what each reading adds; up to a second */

	const struct kvmsb_policy *policy; /* functions that decide beside `paths`; NULL: none */
	/* Bytes that a file of the host may reach by what guests write (as RLIMIT_FSIZE, with
	 * SIGXFSZ and -EFBIG for the guest); 0: no limit but the host's. */
	uint64_t file_size_limit;

	/* Bytes of a private /tmp in memory, names and all else counted; at least 64 KiB; 0: there
	 * is none. It is empty at first, but for options.directory where that lies in it. What the
	 * master left in it its forks see, each changes its own, and a reset puts the master's
	 * back. It hides what the host has there, but for rules of `paths` beneath it. It is memory
	 * of the host beyond fork_memory_limit, for each sandbox that changes something as much as
	 * it changes. Files of memfd_create(2) count with it; without it they may take 64 MiB, or
	 * fork_memory_limit where that is less. Such files can be mapped MAP_PRIVATE, and
	 * MAP_SHARED for reading; a page keeps what the file had when it was first used.
	 * MAP_SHARED for writing is -ENODEV. */
	uint64_t temporary_size;

	const struct kvmsb_override *overrides; /* system calls that the host answers itself (override.h) */
	size_t override_count;

	const struct kvmsb_http_ops *http; /* what the host does for requests (http.h); NULL: defaults */
	uint64_t error_timeout_ns;  /* time limit of a guest's on_error; 0: 1 s */
	uint64_t stream_timeout_ns; /* of each call for a piece of a streamed response; 0: 2 s */
	uint64_t log_limit;         /* bytes that sys_log() passes on in a run of main() or a request; what
	                               comes after is dropped. 0: 1 MiB */
	uint32_t http_flags;        /* KVMSB_HTTP_CONTROL_EPHEMERAL; others: -EINVAL */
	uint32_t reserved;          /* zero */
};
#define KVMSB_HTTP_CONTROL_EPHEMERAL 1u /* sys_make_ephemeral() works */
#define KVMSB_NO_LEARNING UINT32_MAX
#define KVMSB_OPTIONS_INIT KVMSB_SIZED(struct kvmsb_options)

/*
 * Loads a program into a new sandbox. Nothing of it runs yet.
 *
 * sandbox: receives the handle, which kvmsb_destroy() frees.
 * error: may be NULL; receives the detail of a failure.
 *
 * Returns 0, or
 *  -EINVAL        an option is out of its range, or no program is given
 *  -E2BIG         options or options->policy has an unknown non-zero tail; or arguments and
 *                 environment do not fit a quarter of the stack
 *  -ENOENT, -EACCES and other errors of open(2) and read(2): of /dev/kvm, of the
 *                 program or its interpreter (PT_INTERP, which is one of the
 *                 usual ones of glibc and musl, or allowed by options.paths);
 *                 the detail says which
 *  -ENOEXEC       the program is not one that can be loaded; the detail names
 *                 the field of the ELF file
 *  -EOPNOTSUPP    this kernel lacks something that is needed: the detail names it
 *  -ENOMEM        the program does not fit its limit, or the host is out of memory
 *  -EMFILE        no more descriptors
 * Any thread.
 */
KVMSB_EXPORT int kvmsb_create(struct kvmsb **sandbox, const struct kvmsb_options *options,
                              struct kvmsb_error *error);

/*
 * Runs main() until the program waits for requests, exits, faults, or its
 * time (options.run_timeout_ns) is over.
 *
 * Returns 0 with result filled, or -EINVAL (already run), -EBUSY, -ECHILD,
 * -ENOMEM, -EMFILE, -ETIMEDOUT (all virtual processors were busy for all of
 * the time limit; nothing was run), -EUSERS (options.vcpu_queue_limit calls
 * wait for one already; nothing was run), -ECANCELED (destroyed by its own
 * callback), -EAGAIN (no timer left: RLIMIT_SIGPENDING), or another error of
 * KVM_RUN (-EFAULT, -EIO). State: new.
 */
KVMSB_EXPORT int kvmsb_run(struct kvmsb *sandbox, struct kvmsb_result *result);

/*
 * Freezes a sandbox that is ready (or has exited): it becomes a master, never
 * runs again, and can be forked.
 *
 * One that has answered requests, to be warm, in the loop of its main() runs on
 * to where it waits for the next, for at most a second.
 *
 * Returns 0, -EINVAL (not in such a state), -ESRCH (over, or it does not wait
 * again), -EBUSY, -ECHILD, -ENOMEM (it can be tried again; calls may answer -EROFS
 * until it succeeds), or what kvmsb_run() may fail with.
 */
KVMSB_EXPORT int kvmsb_freeze(struct kvmsb *sandbox);

/*
 * Makes a fork of a master: the same memory, shared until written.
 *
 * Returns 0, -EINVAL (not a master), -ECHILD, -ENOMEM (options.total_fork_memory
 * or the host's memory is used up). error may be NULL.
 */
KVMSB_EXPORT int kvmsb_fork(struct kvmsb *master, struct kvmsb **fork, struct kvmsb_error *error);

/*
 * Commits and populates guest memory for so many more forks of a master, their
 * page tables and the first page that each writes, so that making them takes no
 * page fault of the host for it. To be called off a request's path: it takes
 * about 10 us a fork where the host gives no large pages, more where the host
 * is itself a guest that never used that memory. The memory is the program's:
 * whatever runs takes of it, and it is kept when forks are destroyed. How much
 * memory there is the host must know: as with any memory that is touched, the
 * kernel may kill a process for too much of it.
 *
 * Returns 0, -EINVAL (not a master), -ECHILD, -ENOMEM (options.total_fork_memory
 * or the host's memory does not hold so many; those that there are go on, and
 * what was populated by then serves the next forks). Any thread.
 */
KVMSB_EXPORT int kvmsb_reserve(struct kvmsb *master, size_t forks);

enum kvmsb_argument_kind {
	KVMSB_ARGUMENT_VALUE = 0, /* `value`: an integer or a guest address */
	KVMSB_ARGUMENT_IN,        /* `length` bytes at `input` are copied onto the call's stack, and their
	                             address there is passed */
	KVMSB_ARGUMENT_OUT,       /* room for `length` bytes (zeroed) is passed, and copied to `output` when
	                             the call has ended */
	KVMSB_ARGUMENT_INOUT,     /* both, with `output`: copied in, passed, copied back */
	KVMSB_ARGUMENT_STRING,    /* as IN: the NUL-terminated string at `input` */
};

struct kvmsb_argument {
	enum kvmsb_argument_kind kind;
	uint64_t value;
	const void *input;
	void *output;
	size_t length;
};

/* In-struct of kvmsb_vmcall(). */
struct kvmsb_call {
	size_t size;
	const char *symbol; /* the function's name; NULL: `address` */
	uint64_t address;
	size_t argument_count; /* 0..6 */
	struct kvmsb_argument arguments[6];
	uint64_t timeout_ns; /* 0: options.call_timeout_ns */
};
#define KVMSB_CALL_INIT KVMSB_SIZED(struct kvmsb_call)

/*
 * Calls a function of the guest, by the System V x86-64 calling convention, on
 * a fresh stack, with integer or pointer arguments in RDI, RSI, RDX, RCX, R8,
 * R9. Vector and x87 registers are those of the master (of the ready sandbox).
 *
 * OUT and INOUT buffers are copied back when the outcome is RETURNED or
 * HYPERCALL. A look-up by name costs time: take the address once with
 * kvmsb_symbol().
 *
 * Returns 0 with result filled (the call may have faulted: that is an
 * outcome), or
 *  -EINVAL   wrong state; more than six arguments; NULL with a length
 *  -ENOENT   no such symbol
 *  -E2BIG    the buffers do not fit a half of the stack; unknown tail in `call`
 *  -EROFS    a master: fork it
 *  -ESRCH    it is over: reset it
 *  -ETIMEDOUT   all virtual processors were busy for all of the time limit;
 *            nothing was run
 *  -EUSERS   options.vcpu_queue_limit calls wait for one already; nothing was run
 *  -ECANCELED   destroyed by its own callback
 *  -EBUSY, -ECHILD, -ENOMEM, -EMFILE, -EAGAIN, an error of KVM_RUN: as kvmsb_run()
 *
 * A guest that has unmapped its stack of calls, or has no memory left for the
 * arguments, is over: FAULTED, OUT_OF_MEMORY.
 */
KVMSB_EXPORT int kvmsb_vmcall(struct kvmsb *sandbox, const struct kvmsb_call *call,
                              struct kvmsb_result *result);

/*
 * Makes a fork what it was when it was created: memory, registers, files,
 * everything. Responses (http.h) of before become invalid.
 *
 * Returns 0, -EINVAL (not a fork), -EBUSY, -ECHILD, -ENOMEM (the fork is then
 * over and can be reset again or destroyed).
 */
KVMSB_EXPORT int kvmsb_reset(struct kvmsb *fork);

/*
 * Frees a sandbox. NULL is allowed. Inside its own callback it does nothing
 * but mark: it is freed when the run ends, which then returns -ECANCELED.
 */
KVMSB_EXPORT void kvmsb_destroy(struct kvmsb *sandbox);

/*
 * Address of a function or an object of the program's own .symtab or .dynsym,
 * relocated.
 *
 * Returns 0, -ENOENT, -ECHILD.
 */
KVMSB_EXPORT int kvmsb_symbol(const struct kvmsb *sandbox, const char *name, uint64_t *address);

/*
 * Copies between the host and the guest's memory as the guest itself could:
 * reading needs a readable mapping, writing a writable one. In a callback of the
 * sandbox reading changes nothing in it.
 *
 * Returns 0, -EFAULT (some of the range is not the guest's to use; what lies
 * before it may have been copied), -EROFS (write to a master), -EBUSY (write
 * from a callback other than an override's), -ECHILD, -ENOMEM.
 */
KVMSB_EXPORT int kvmsb_memory_read(struct kvmsb *sandbox, uint64_t address, void *data,
                                   size_t length);
KVMSB_EXPORT int kvmsb_memory_write(struct kvmsb *sandbox, uint64_t address, const void *data,
                                    size_t length);

/*
 * Out-struct of kvmsb_get_statistics(). A sandbox's own counts start at
 * kvmsb_create() or kvmsb_fork() and are exact. Those of the machine, which is
 * the program with all its forks, hold what its sandboxes counted, those destroyed
 * since included. While other threads run or make forks, each of them is
 * between what it was when the function was called and what it is when that
 * returns, and never goes back; two of them may be of different moments.
 */
struct kvmsb_statistics {
	size_t size;
	uint64_t calls;               /* that have ended: kvmsb_run, kvmsb_vmcall, and each function of the
	                                 guest that a request or a streamed response enters */
	uint64_t resets;
	/* KVM_RUN calls. Each is one of the next nine or outcome_returned; a guest that
	 * sets a register to what no processor loads has an exception without a KVM_RUN. */
	uint64_t kvm_runs;
	uint64_t system_calls;
	uint64_t hypercalls;
	uint64_t page_faults;         /* that reached the process */
	uint64_t exceptions;          /* others of the processor */
	uint64_t time_limits;         /* the guest's time was over */
	uint64_t interruptions;       /* by a signal, or the timer of an earlier call; the guest went on */
	uint64_t stray_accesses;      /* input or output that no guest may do */
	uint64_t failures;            /* KVM could not go on, or KVM_RUN failed */
	uint64_t cleaning_runs;       /* to complete what an exit left, or to clear registers; no guest's code */
	uint64_t guest_ns;            /* in KVM_RUN, but for cleaning */
	/* How calls ended; the sum is `calls`. */
	uint64_t outcome_returned;
	uint64_t outcome_hypercall;
	uint64_t outcome_ready;
	uint64_t outcome_exited;
	uint64_t outcome_faulted;
	uint64_t outcome_timed_out;
	uint64_t outcome_out_of_memory;
	uint64_t outcome_denied;
	uint64_t outcome_internal;
	uint64_t outcome_other;       /* any that has no line here */
	uint64_t calls_failed;        /* the host failed, or had no virtual processor in time: below zero */
	uint64_t pages_private;       /* pages the fork holds private now */
	uint64_t pages_copied;        /* made private since creation */
	uint64_t pages_restored;      /* copied back by resets */
	uint64_t pages_held;          /* made private before a request wrote them, by this fork and by those
	                                 before it whose memory it took over */
	uint64_t file_memory;         /* bytes of files in memory that it sees now, the master's included, as
	                                 options.temporary_size counts them */

	/* The machine now. */
	uint64_t machine_forks;       /* live forks of the program */
	uint64_t machine_forks_idle;  /* destroyed ones that are kept for the next */
	uint64_t machine_vcpus;       /* virtual processors of the program */
	uint64_t machine_memory;      /* bytes of guest memory and page tables in use */
	uint64_t machine_kernel_memory; /* bytes that KVM may take for the program: an estimate, from above */
	uint64_t machine_learned_pages; /* that forks made now hold from the start */
	/* And since it was created; what has the name of a count above is its total. */
	uint64_t machine_forks_made;
	uint64_t machine_vcpu_waits;    /* calls that waited for a virtual processor */
	uint64_t machine_vcpu_refusals; /* calls that found options.vcpu_queue_limit waiting */
	uint64_t machine_calls;
	uint64_t machine_resets;
	uint64_t machine_kvm_runs;
	uint64_t machine_system_calls;
	uint64_t machine_hypercalls;
	uint64_t machine_page_faults;
	uint64_t machine_exceptions;
	uint64_t machine_time_limits;
	uint64_t machine_interruptions;
	uint64_t machine_stray_accesses;
	uint64_t machine_failures;
	uint64_t machine_cleaning_runs;
	uint64_t machine_guest_ns;
	uint64_t machine_outcome_returned;
	uint64_t machine_outcome_hypercall;
	uint64_t machine_outcome_ready;
	uint64_t machine_outcome_exited;
	uint64_t machine_outcome_faulted;
	uint64_t machine_outcome_timed_out;
	uint64_t machine_outcome_out_of_memory;
	uint64_t machine_outcome_denied;
	uint64_t machine_outcome_internal;
	uint64_t machine_outcome_other;
	uint64_t machine_calls_failed;
	uint64_t machine_pages_copied;
	uint64_t machine_pages_restored;
	uint64_t machine_migrations;  /* a virtual processor taken over by another thread */
	uint64_t machine_drains;      /* pending I/O drained before a virtual processor went on */
	uint64_t machine_forced_flushes; /* TLB flushes forced at entry */
	uint64_t machine_shadow_drops;   /* whole shadow dropped */
	uint64_t machine_frame_drops;    /* translations of single frames dropped */
	/* Edits of page tables after which a processor has something to forget, and how it is told: */
	uint64_t machine_path_moves;     /* tables moved, so that a translation is out of reach */
	uint64_t machine_revocations;    /* edits that took away pages or permissions, or moved pages */
	uint64_t machine_host_copies;    /* copies on write for a system call */
	uint64_t machine_guest_copies;   /* copies on write for the guest's own write */
	uint64_t machine_unsharing_maps; /* mappings that made tables of the master a fork's own */
	uint64_t machine_frames_freed;   /* pages of guest memory taken back */
	uint64_t machine_tables_waited;  /* page tables that waited for a drop of the shadow */
	uint64_t machine_dirty_sweeps;   /* resets that cleared dirty bits */
	uint64_t machine_space_moves;    /* an address space run by another vCPU than before */
	uint64_t machine_roots_reused;   /* flushes since the root had been another space's */
};
#define KVMSB_STATISTICS_INIT KVMSB_SIZED(struct kvmsb_statistics)

/* Returns 0, -EINVAL (size), -ECHILD. */
KVMSB_EXPORT int kvmsb_get_statistics(const struct kvmsb *sandbox,
                                      struct kvmsb_statistics *statistics);

/*
 * One line of English about a result: outcome, and for a fault vector,
 * address, RIP and the symbol there. Written like snprintf(3): at most length
 * bytes with the NUL, and the full length is returned.
 */
KVMSB_EXPORT size_t kvmsb_describe(const struct kvmsb *sandbox, const struct kvmsb_result *result,
                                   char *text, size_t length);

/*
 * Detail of the last failure (a function that returned below zero, or an
 * outcome that has more to say); "" if there is none. The text belongs to the
 * sandbox and lives until its next call.
 */
KVMSB_EXPORT const char *kvmsb_detail(const struct kvmsb *sandbox);

#ifdef __cplusplus
}
#endif

#endif
