/* SPDX-License-Identifier: MIT */
/*
 * Asking the host about paths.
 */
#include "ask.h"

#include "../util.h"

#include <errno.h>
#include <string.h>

/* What Linux gives as an errno at most (MAX_ERRNO). */
#define ERRNO_MAXIMUM 4095

static int take_answer(struct path *path, char rewritten[PATH_SIZE])
{
	rewritten[PATH_SIZE - 1] = '\0';
	if (!*rewritten)
		return 0;
	if (*rewritten != '/' || path_normalise(path, "/", rewritten))
		return -EACCES;
	return 0;
}

int ask_path(struct process *process, uint32_t access, struct path *path)
{
	const struct kvmsb_policy *policy = &process->config->ask;
	char rewritten[PATH_SIZE] = "";
	struct kvmsb_path_request request = {
		.size = sizeof(request),
		.path = path->text,
		.access = access,
		.rewritten = rewritten,
		.rewritten_size = sizeof(rewritten),
	};
	int error;

	if (!policy->path || path->answered)
		return 0;
	error = process_call_begin(process);
	if (error)
		return error;
	error = policy->path(policy->user, &request);
	if (process_call_end(process))
		return -EINTR;
	if (error)
		return process_deny(process, error < 0 && error >= -ERRNO_MAXIMUM ? error : -EACCES);
	error = take_answer(path, rewritten);
	path->answered = true;
	return error;
}
