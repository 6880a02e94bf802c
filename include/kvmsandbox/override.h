/* SPDX-License-Identifier: MIT */
/*
 * System calls that the host answers itself, in place of the library or before
 * it: kvmsb_options.overrides.
 */
#ifndef KVMSANDBOX_OVERRIDE_H
#define KVMSANDBOX_OVERRIDE_H

#include "version.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvmsb;

/* A system call of the guest, for a function of the host. Lives until that returns. */
struct kvmsb_system_call {
	size_t size;
	struct kvmsb *sandbox; /* the one that makes it: a program's, or any fork of it */
	uint64_t number;
	uint64_t arguments[6]; /* as passed in registers; every one is the guest's choice: hostile */
};

/*
 * Returns what the guest gets in RAX, a negative errno for a failure; or
 * KVMSB_SYSTEM_CALL_DEFAULT: the library goes on as if there were no override.
 *
 * Called in the thread that runs the guest, for every call of that number. The
 * rules for stream functions hold (policy.h), but for this: kvmsb_memory_write()
 * of call->sandbox works as kvmsb_memory_read() does. An address is checked by
 * these two; a string or structure is copied once, checked, then used, since
 * threads of the guest may change it meanwhile. Forks inherit the overrides of
 * their master: the functions must then be safe to call from several threads at
 * once. What a function keeps for itself is not undone by kvmsb_reset(). The time
 * it takes is the run's: one that returns after the deadline ends it.
 */
typedef int64_t (*kvmsb_system_call_function)(void *user, const struct kvmsb_system_call *call);
#define KVMSB_SYSTEM_CALL_DEFAULT INT64_MIN

/* One system call to be overridden. */
struct kvmsb_override {
	uint64_t number; /* of x86-64 Linux (syscall(2)), or one it does not have; below 0x10000 */
	kvmsb_system_call_function function; /* not NULL */
	void *user;                          /* stays the host's; must live as long as sandboxes of the program */
	uint64_t reserved;                   /* zero */
};

#ifdef __cplusplus
}
#endif

#endif
