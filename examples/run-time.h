/* SPDX-License-Identifier: MIT */
/* Points in time on the command line of kvmsb-run. */
#ifndef RUN_TIME_H
#define RUN_TIME_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "@SECONDS" or "SECONDS" since 1970, or "YYYY-MM-DDTHH:MM:SS" with "Z" or an offset
 * "+HH:MM" (RFC 3339); seconds with up to nine decimals. In ns since 1970; false:
 * none of these, or not between 1970 and 2262.
 */
bool run_time_parse(const char *text, uint64_t *nanoseconds);

#endif
