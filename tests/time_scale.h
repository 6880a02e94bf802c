/* SPDX-License-Identifier: MIT */
/*
 * Wall-clock limits of tests: multiplied by KVMSB_TIME_SCALE where the machine
 * is slow (the hardware leg sets it).
 */
#ifndef KVMSB_TESTS_TIME_SCALE_H
#define KVMSB_TESTS_TIME_SCALE_H

#include <stdint.h>
#include <stdlib.h>

static inline unsigned time_scale(void)
{
	const char *text = getenv("KVMSB_TIME_SCALE");
	unsigned long scale = text != NULL ? strtoul(text, NULL, 10) : 1;

	return scale >= 1 && scale <= 1000 ? (unsigned)scale : 1;
}

static inline uint64_t scaled_ms(uint64_t milliseconds)
{
	return milliseconds * time_scale() * 1000000u;
}

#endif
