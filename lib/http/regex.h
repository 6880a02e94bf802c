/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions in Perl's syntax, without back references and
 * look-around: a pattern becomes a program for a machine that goes through the
 * text once, with all ways to match side by side (R. Pike). Time is linear in
 * the text, memory and recursion do not depend on it. libc's regcomp(3) cannot
 * be bounded so: it recurses as deep as a pattern is nested, expands counted
 * repetitions into any amount of memory, and takes exponential time for back
 * references; and here patterns and texts are a hostile guest's.
 *
 * What matches is what Perl finds, but in a loop around something that can be
 * empty: a round that takes no text does not count after one that took some.
 *
 * Bytes, not UTF-8. A compiled pattern never changes: any number of threads
 * may match with it at once. Knows nothing of guests.
 */
#ifndef KVMSB_HTTP_REGEX_H
#define KVMSB_HTTP_REGEX_H

#include <stddef.h>
#include <stdint.h>

/*
 * Steps of a program. The worst pattern takes all of them for each byte of the
 * text, at some 2 ns each: 64 KiB of text are through in one to two tenths of a second.
 */
#define REGEX_PROGRAM_MAXIMUM 1024u
/* Groups within groups, as PCRE2 has it by default; each costs the parser a frame. */
#define REGEX_DEPTH_MAXIMUM 250u
/* Groups of a pattern, the whole match included; more of them than \0..\9 only count. */
#define REGEX_GROUPS_MAXIMUM 100u
/* Bytes of a text: its positions are 32 bits wide. */
#define REGEX_TEXT_MAXIMUM (1u << 30)

struct regex;

/*
 * Returns 0, or
 *  -EINVAL  not a pattern, or one with what is not supported
 *  -E2BIG   more steps, depth, groups or classes than the maximum
 *  -ENOMEM
 */
int regex_compile(struct regex **regex, const char *pattern, size_t length);

/* NULL is allowed. */
void regex_destroy(struct regex *regex);

/*
 * The first match in text[start..length), by Perl's rules of preference; what
 * lies before `start` counts for anchors and word edges. Returns one more than
 * the number of the highest group that took part (so at least 1; it may be more
 * than maximum), with begin and end of the first `maximum` groups in `groups`
 * (two of SIZE_MAX: did not take part); 0: no match; or
 *  -ETIMEDOUT  time_now() passed deadline
 *  -E2BIG      the text is too long
 *  -ENOMEM
 */
int regex_match(const struct regex *regex, const char *text, size_t length, size_t start,
                size_t groups[][2], size_t maximum, uint64_t deadline);

#endif
