/* SPDX-License-Identifier: MIT */
/*
 * Makes the n-th call of a kind of function fail, of libc and of lib/memory.h,
 * and counts what libc's functions give out and take back: blocks of the heap, mapped bytes, timers,
 * descriptors. Linked into a test in the place of the functions (--wrap); until
 * something is injected they do what they always do. For one thread.
 */
#ifndef KVMSB_TESTS_FAULT_INJECTION_H
#define KVMSB_TESTS_FAULT_INJECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A kind of functions that fail alike. */
enum fault_kind {
	FAULT_ALLOCATION,
	FAULT_FRAME, /* of guest memory */
	FAULT_TABLE, /* of page tables */
	FAULT_MMAP,
	FAULT_MPROTECT,
	FAULT_MADVISE,
	FAULT_IOCTL,          /* all but KVM_RUN */
	FAULT_KVM_RUN,        /* EFAULT */
	FAULT_KVM_RUN_MEMORY, /* ENOMEM */
	FAULT_KVM_RUN_SIGNAL, /* EINTR, as when a signal came: nothing must be noticed */
	FAULT_KVM_RUN_AGAIN,  /* EAGAIN: the same */
	FAULT_OPEN,           /* EMFILE */
	FAULT_READ,           /* EIO */
	FAULT_WRITE,          /* ENOSPC */
	FAULT_STATUS,         /* fstat, stat, lseek, fcntl: EIO */
	FAULT_SYSTEM_CALL,    /* by syscall(2): EMFILE */
	FAULT_TIMER,          /* EAGAIN */
	FAULT_THREAD,         /* signal mask, locks, random bytes */
	FAULT_KINDS,
};

const char *fault_name(enum fault_kind kind);

/* Whether a function that meets it is done again, so that it may be met only once. */
bool fault_is_passing(enum fault_kind kind);

/* From now on call `number` (from 1) of that kind fails; with `lasting` all later ones, too. */
void fault_inject(enum fault_kind kind, unsigned number, bool lasting);
/* Ends it. Whether a call failed. */
bool fault_stop(void);
/* Ends it, and none has failed. */
void fault_forget(void);
/* Whether one has failed since fault_inject(). */
bool fault_was_hit(void);
/* The function that failed first: "ioctl 0xae80 (call 3)"; lives until the next one. */
const char *fault_place(void);

/* For functions that fail: whether this call is to; then errno is set. */
bool fault_meets(enum fault_kind kind, const char *function, unsigned long detail);

/* Answers of /dev/kvm, whatever is injected; all zero: the true ones. */
struct fault_kvm {
	int open_error; /* errno of open("/dev/kvm") */
	int version;    /* of KVM_GET_API_VERSION */
	bool lacks;     /* KVM_CHECK_EXTENSION of `capability` answers 0 */
	unsigned long capability;
};
extern struct fault_kvm fault_kvm;

/* What is held right now. */
struct resources {
	long blocks; /* of the heap */
	long mapped; /* bytes */
	long timers;
	long descriptors;
};
struct resources resources_now(void);

/*
 * Address space of the process as the kernel sees it, the heap left out. What
 * the counters above cannot see: mappings that libc made.
 */
struct address_space {
	size_t mappings, bytes;
};
struct address_space address_space_now(void);

#endif
