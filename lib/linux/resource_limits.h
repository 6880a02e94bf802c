/* SPDX-License-Identifier: MIT */
/*
 * The resource limits that a process is told of and may lower: man 2 getrlimit.
 * They are kept and mean nothing else, but for RLIMIT_FSIZE, which holds for files
 * of the host: the limits of the sandbox hold whatever these say.
 *
 * A struct limits is immutable while it is shared and copied by the first
 * change, like struct signals.
 */
#ifndef KVMSB_LINUX_RESOURCE_LIMITS_H
#define KVMSB_LINUX_RESOURCE_LIMITS_H

#include "process.h"

#include <stdatomic.h>
#include <stdint.h>

#define LIMITS_COUNT 16u /* RLIM_NLIMITS */

/* struct rlimit64 */
struct limit {
	uint64_t current, maximum;
};

struct limits {
	_Atomic uint32_t references;
	struct limit limit[LIMITS_COUNT];
};

/* What a program begins with. Returns 0 or -ENOMEM. */
int limits_create(struct limits **limits, const struct process_config *config);
struct limits *limits_share(struct limits *limits);
void limits_release(struct limits *limits); /* NULL is allowed */

/* Sets one (below LIMITS_COUNT) of the process alone. Returns 0 or -ENOMEM. */
int limits_set(struct process *process, uint32_t resource, const struct limit *limit);

#endif
