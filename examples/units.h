/* SPDX-License-Identifier: MIT */
/* Numbers with units on a command line. */
#ifndef KVMSB_EXAMPLES_UNITS_H
#define KVMSB_EXAMPLES_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Each is false when the text is no such thing, or does not fit 64 bits. */

/* Bytes, or with K, M, G. */
bool units_size(const char *text, uint64_t *size);

/* Seconds, or with ms, s, m; in ns. */
bool units_duration(const char *text, uint64_t *nanoseconds);

/* Of ns, us, ms, s, one of which is needed; in ns. */
bool units_exact_duration(const char *text, uint64_t *nanoseconds);

bool units_number(const char *text, uint64_t *number);

#endif
