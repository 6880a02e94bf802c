/* SPDX-License-Identifier: MIT */
/*
 * The figures that have a goal: what the goal is, and whether it is met.
 */
#ifndef BENCH_GOALS_H
#define BENCH_GOALS_H

#include "series.h"

#include <stdbool.h>

/* Whether the table of goals needs this figure. */
bool goals_need(const char *figure);

/* Of a finished table. */
void goals_print(const struct table *table);

#endif
