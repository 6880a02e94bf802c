/* SPDX-License-Identifier: MIT */
/*
 * poll, ppoll, select, pselect6. If nothing is ready, nothing will be: the call
 * waits for its time-out, and without one the run ends as timed out.
 */
#include "deadline.h"
#include "files.h"
#include "guest_time.h"
#include "handlers.h"
#include "mm.h"
#include "readiness.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

/*
 * poll
 */

static int64_t do_poll(struct process *process, uint64_t address, uint64_t count, uint64_t nanoseconds)
{
	struct pollfd entries[FILES_MAXIMUM];
	int64_t ready = 0;
	int error;

	/* man 2 poll: EINVAL, more than RLIMIT_NOFILE. */
	if (count > FILES_MAXIMUM)
		return -EINVAL;
	error = guest_read(process, address, entries, count * sizeof(*entries));
	if (error)
		return error;
	for (uint64_t i = 0; i < count; i++) {
		int events = entries[i].events | POLLERR | POLLHUP | POLLNVAL;

		entries[i].revents = 0;
		if (entries[i].fd >= 0)
			entries[i].revents = (short)(events &
			                             readiness_of_descriptor(process, entries[i].fd));
		ready += entries[i].revents != 0;
	}
	error = guest_write(process, address, entries, count * sizeof(*entries));
	if (error)
		return error;
	return ready ? ready : readiness_wait(process, nanoseconds);
}

int64_t sys_poll(struct process *process, const uint64_t arguments[6])
{
	int32_t milliseconds = (int32_t)arguments[2];
	uint64_t nanoseconds = milliseconds < 0 ? DEADLINE_NEVER : (uint64_t)milliseconds * 1000000;

	return do_poll(process, arguments[0], (uint32_t)arguments[1], nanoseconds);
}

/* A signal mask may be given for the time of the call; no signal comes from outside. */
static int check_mask(struct process *process, uint64_t address, uint64_t size)
{
	uint64_t mask;

	if (!address)
		return 0;
	return size == sizeof(mask) ? guest_read(process, address, &mask, sizeof(mask)) : -EINVAL;
}

/* NULL: no time-out. */
static int read_time_out(struct process *process, uint64_t address, int64_t units,
                         uint64_t *nanoseconds)
{
	*nanoseconds = DEADLINE_NEVER;
	return address ? guest_time_read(process, address, units, nanoseconds) : 0;
}

int64_t sys_ppoll(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	int error = read_time_out(process, arguments[2], GUEST_TIMESPEC, &nanoseconds);

	if (!error)
		error = check_mask(process, arguments[3], arguments[4]);
	return error ? error : do_poll(process, arguments[0], (uint32_t)arguments[1], nanoseconds);
}

/*
 * select
 */

#define SET_WORDS (FILES_MAXIMUM / 64)

struct select {
	uint64_t address[3]; /* readfds, writefds, exceptfds; 0: not given */
	uint64_t asked[3][SET_WORDS];
	uint64_t ready[3][SET_WORDS];
	uint32_t count; /* descriptors below this */
};

static uint64_t set_size(const struct select *select)
{
	return (select->count + 63) / 64 * sizeof(uint64_t);
}

static int read_sets(struct process *process, struct select *select)
{
	int error = 0;

	for (int i = 0; i < 3 && !error; i++)
		if (select->address[i])
			error = guest_read(process, select->address[i], select->asked[i],
			                   set_size(select));
	return error;
}

static int write_sets(struct process *process, const struct select *select)
{
	int error = 0;

	for (int i = 0; i < 3 && !error; i++)
		if (select->address[i])
			error = guest_write(process, select->address[i], select->ready[i],
			                    set_size(select));
	return error;
}

/* Linux fs/select.c: the poll events that each set stands for; O_PATH has POLLNVAL only. */
static int select_one(struct process *process, struct select *select, uint32_t fd)
{
	static const int events[3] = {READY_TO_READ | POLLHUP | POLLERR | POLLNVAL,
	                              READY_TO_WRITE | POLLERR | POLLNVAL, POLLPRI | POLLNVAL};
	uint64_t bit = UINT64_C(1) << (fd % 64);
	int is, ready = 0;

	if (!((select->asked[0][fd / 64] | select->asked[1][fd / 64] | select->asked[2][fd / 64]) &
	      bit))
		return 0;
	if (!files_look(process, (int)fd))
		return -EBADF;
	is = readiness_of_descriptor(process, (int)fd);
	for (int i = 0; i < 3; i++) {
		if (!(select->asked[i][fd / 64] & bit) || !(is & events[i]))
			continue;
		select->ready[i][fd / 64] |= bit;
		ready++;
	}
	return ready;
}

static int64_t do_select(struct process *process, const uint64_t arguments[6], uint64_t nanoseconds)
{
	struct select select = {.address = {arguments[1], arguments[2], arguments[3]}};
	int64_t ready = 0;
	int result;

	if ((int32_t)arguments[0] < 0)
		return -EINVAL;
	/* As Linux, which looks no further than the table reaches. */
	select.count = (uint32_t)min_u64((uint32_t)arguments[0], FILES_MAXIMUM);
	result = read_sets(process, &select);
	for (uint32_t fd = 0; fd < select.count && result >= 0; fd++) {
		result = select_one(process, &select, fd);
		ready += result;
	}
	if (result < 0)
		return result;
	if (!ready) {
		result = (int)readiness_wait(process, nanoseconds);
		if (result)
			return result;
	}
	result = write_sets(process, &select);
	return result ? result : ready;
}

/* Unlike other calls, Linux fs/select.c takes more microseconds than a second has. */
static int read_select_time_out(struct process *process, uint64_t address, uint64_t *nanoseconds)
{
	struct guest_time time = {0};
	uint64_t seconds;
	int error = address ? guest_read(process, address, &time, sizeof(time)) : 0;

	*nanoseconds = DEADLINE_NEVER;
	if (error || !address)
		return error;
	if (time.seconds < 0 || time.fraction < 0)
		return -EINVAL;
	seconds = (uint64_t)time.seconds + (uint64_t)(time.fraction / GUEST_TIMEVAL);
	*nanoseconds = DEADLINE_NEVER - 1;
	if (seconds < DEADLINE_NEVER / NANOSECONDS)
		*nanoseconds = seconds * NANOSECONDS +
		               (uint64_t)(time.fraction % GUEST_TIMEVAL) * 1000;
	return 0;
}

int64_t sys_select(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	int64_t result = read_select_time_out(process, arguments[4], &nanoseconds);

	if (result)
		return result;
	result = do_select(process, arguments, nanoseconds);
	/* man 2 select: Linux stores the time not slept; that it cannot is no error. */
	if (result == 0 && arguments[4])
		guest_time_write(process, arguments[4], GUEST_TIMEVAL, 0);
	return result;
}

/* The sixth argument points to { const sigset_t *, size_t }. */
static int check_packed_mask(struct process *process, uint64_t address)
{
	uint64_t packed[2];
	int error;

	if (!address)
		return 0;
	error = guest_read(process, address, packed, sizeof(packed));
	return error ? error : check_mask(process, packed[0], packed[1]);
}

int64_t sys_pselect6(struct process *process, const uint64_t arguments[6])
{
	uint64_t nanoseconds;
	int error = read_time_out(process, arguments[4], GUEST_TIMESPEC, &nanoseconds);

	if (!error)
		error = check_packed_mask(process, arguments[5]);
	return error ? error : do_select(process, arguments, nanoseconds);
}
