/* SPDX-License-Identifier: MIT */
/*
 * Calls of the host without signals for it.
 */
#include "quiet.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

/* Takes a signal that this thread has blocked, if one is pending. */
static void take_back(int number)
{
	static const struct timespec at_once;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	while (sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR)
		;
}

static void take_back_new(const struct quiet *quiet, const sigset_t *now, int number)
{
	if (sigismember(now, number) && !sigismember(&quiet->pending, number))
		take_back(number);
}

void quiet_begin(struct quiet *quiet)
{
	sigset_t raised;

	sigemptyset(&raised);
	sigaddset(&raised, SIGPIPE);
	sigaddset(&raised, SIGXFSZ);
	sigaddset(&raised, SIGTTOU);
	quiet->begun = true;
	sigpending(&quiet->pending);
	pthread_sigmask(SIG_BLOCK, &raised, &quiet->before);
}

void quiet_begin_with_file(struct quiet *quiet)
{
	struct rlimit limit;

	quiet->begun = false;
	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY)
		quiet_begin(quiet);
}

void quiet_end(const struct quiet *quiet)
{
	int error = errno;
	sigset_t now;

	if (!quiet->begun)
		return;
	sigpending(&now);
	take_back_new(quiet, &now, SIGPIPE);
	take_back_new(quiet, &now, SIGXFSZ);
	pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
	errno = error;
}
