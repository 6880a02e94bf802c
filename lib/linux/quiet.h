/* SPDX-License-Identifier: MIT */
/*
 * Calls of the host that may raise a signal in the calling thread because of
 * what a guest wants, made without that: SIGPIPE for a pipe without a reader
 * (man 7 pipe; after a part, too), SIGXFSZ at RLIMIT_FSIZE. They are blocked
 * meanwhile, and taken back unless pending before. Blocked, SIGTTOU is never sent.
 */
#ifndef KVMSB_LINUX_QUIET_H
#define KVMSB_LINUX_QUIET_H

#include <signal.h>

struct quiet {
	sigset_t pending, before;
};

void quiet_begin(struct quiet *quiet);

/* errno stays. */
void quiet_end(const struct quiet *quiet);

#endif
