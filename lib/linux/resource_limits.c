/* SPDX-License-Identifier: MIT */
/* Resource limits; see resource_limits.h. */
#include "resource_limits.h"

#include "../util.h"
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

_Static_assert(RLIM_NLIMITS == LIMITS_COUNT, "one for each resource");

/* What there is none of is as small as can be; the rest has no limit of its own. */
static void set_all(struct limit limit[LIMITS_COUNT], const struct process_config *config)
{
	const uint64_t none[] = {RLIMIT_CORE, RLIMIT_NICE, RLIMIT_RTPRIO};

	for (unsigned i = 0; i < LIMITS_COUNT; i++)
		limit[i] = (struct limit){RLIM64_INFINITY, RLIM64_INFINITY};
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
		limit[none[i]] = (struct limit){0, 0};
	limit[RLIMIT_STACK] = (struct limit){config->stack_size, config->stack_size};
	limit[RLIMIT_NOFILE] = (struct limit){FILES_MAXIMUM, FILES_MAXIMUM};
	if (config->file_size_limit)
		limit[RLIMIT_FSIZE] = (struct limit){config->file_size_limit, config->file_size_limit};
	limit[RLIMIT_NPROC] = (struct limit){1, 1};
}

int limits_create(struct limits **limits, const struct process_config *config)
{
	struct limits *created = malloc(sizeof(*created));

	if (!created)
		return -ENOMEM;
	atomic_init(&created->references, 1);
	set_all(created->limit, config);
	*limits = created;
	return 0;
}

struct limits *limits_share(struct limits *limits)
{
	atomic_fetch_add_explicit(&limits->references, 1, memory_order_relaxed);
	return limits;
}

void limits_release(struct limits *limits)
{
	if (limits && atomic_fetch_sub_explicit(&limits->references, 1, memory_order_acq_rel) == 1)
		free(limits);
}

static int make_own(struct process *process)
{
	struct limits *own;

	if (atomic_load_explicit(&process->limits->references, memory_order_acquire) == 1)
		return 0;
	own = malloc(sizeof(*own));
	if (!own)
		return -ENOMEM;
	atomic_init(&own->references, 1);
	memcpy(own->limit, process->limits->limit, sizeof(own->limit));
	limits_release(process->limits);
	process->limits = own;
	return 0;
}

int limits_set(struct process *process, uint32_t resource, const struct limit *limit)
{
	int error = make_own(process);

	if (!error)
		process->limits->limit[resource] = *limit;
	return error;
}
