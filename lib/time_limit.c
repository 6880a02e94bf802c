/* SPDX-License-Identifier: MIT */
/* Time limits; see time_limit.h. */
#include "time_limit.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define SIGNALS 64

uint64_t time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void time_limit_forget(struct time_limit *limit)
{
	if (limit->made)
		timer_delete(limit->timer);
	limit->made = false;
	limit->expiry = 0;
}

static void only(sigset_t *set, int number)
{
	sigemptyset(set);
	sigaddset(set, number);
}

int time_limit_block(const struct time_limit *limit, uint64_t *mask)
{
	sigset_t ours, before;
	int result;

	only(&ours, limit->signal);
	result = pthread_sigmask(SIG_BLOCK, &ours, &before);
	*mask = 0;
	for (int number = 1; result == 0 && number <= SIGNALS; number++)
		if (number != limit->signal && sigismember(&before, number) == 1)
			*mask |= UINT64_C(1) << (number - 1);
	return -result;
}

bool time_limit_armed(const struct time_limit *limit, uint64_t deadline, uint64_t now)
{
	/* One in the past is spent: whoever ran on this thread since may have had its signal. */
	return limit->expiry <= deadline && limit->expiry > now;
}

static int make(struct time_limit *limit)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = limit->signal};

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &limit->timer) < 0)
		return -errno;
	limit->made = true;
	return 0;
}

int time_limit_arm(struct time_limit *limit, uint64_t deadline)
{
	const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(deadline / SECOND),
	                                           .tv_nsec = (long)(deadline % SECOND)}};
	int result = limit->made ? 0 : make(limit);

	if (result < 0)
		return result;
	if (timer_settime(limit->timer, TIMER_ABSTIME, &at, NULL) < 0)
		return -errno;
	limit->expiry = deadline;
	return 0;
}

bool time_limit_over(struct time_limit *limit, uint64_t deadline)
{
	const struct timespec at_once = {0};
	uint64_t now = time_now();
	sigset_t ours;

	only(&ours, limit->signal);
	while (sigtimedwait(&ours, NULL, &at_once) > 0)
		;
	if (limit->expiry <= now)
		limit->expiry = 0;
	return now >= deadline;
}
