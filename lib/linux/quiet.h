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
#include <stdbool.h>

struct quiet {
	bool begun;
	sigset_t pending, before;
};

void quiet_begin(struct quiet *quiet);

/*
 * The same for a call on a regular file: only SIGXFSZ can come of it, so that
 * without such a limit nothing is done but to look whether there is one.
 */
void quiet_begin_with_file(struct quiet *quiet);

/* errno stays. */
void quiet_end(const struct quiet *quiet);

#endif
