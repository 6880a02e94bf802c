/* SPDX-License-Identifier: MIT */
/*
 * The working set of a fork: the pages that it has private, since a request
 * wrote them or its master learned that requests do. A reset restores their
 * contents and keeps them mapped, so that the next request takes no fault.
 *
 * Between space.c and learner.h; used by space.c only, by the thread that uses
 * the space.
 */
#ifndef KVMSB_WORKING_SET_H
#define KVMSB_WORKING_SET_H

#include <stdbool.h>

struct space;

/* Tells the learner what was written since the last time. Before the contents are restored. */
void working_set_teach(struct space *space);

/*
 * The contents of before. Where dirty bits can be used, only of what was written
 * since they were cleared: what is written again and again keeps its bit, what
 * is not loses it once, so that few resets cost the flush that clearing takes.
 */
void working_set_restore(struct space *space);

/* Whether so many of its pages are restored for nothing that building its tables anew is cheaper. */
bool working_set_is_stale(const struct space *space);

/* Makes the pages private that the master has learned since the last time, as far as limits allow. */
void working_set_hold(struct space *space);

#endif
