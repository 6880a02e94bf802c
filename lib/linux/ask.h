/* SPDX-License-Identifier: MIT */
/*
 * The one point where the host's own policy (kvmsb_options.policy) is asked:
 * for each path that a system call names or that a link leads to, before
 * anything of it is looked at. What it allows still goes through the rules
 * (policy.h).
 */
#ifndef KVMSB_LINUX_ASK_H
#define KVMSB_LINUX_ASK_H

#include "path.h"
#include "process.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether there is anyone to ask: links are then followed by hand. */
static inline bool ask_is_needed(const struct process *process)
{
	return process->config->ask.path != NULL;
}

/*
 * Asks for what KVMSB_ACCESS_... says, once for each text; the path may be
 * replaced by what the host wants instead. Returns 0, or what the guest gets:
 * the host's errno, -EACCES for a wrong answer of the host, -EINTR when the run
 * ended meanwhile.
 */
int ask_path(struct process *process, uint32_t access, struct path *path);

#endif
