/* SPDX-License-Identifier: MIT */
/*
 * Work that needs the processor only, compiled into kvmsb-bench and into the
 * guest it runs: the same source, natively and inside.
 */
#ifndef BENCH_COMPUTE_H
#define BENCH_COMPUTE_H

#include <stdint.h>

/* Integer, floating point and memory in the first-level cache, `rounds` times. */
static inline uint64_t bench_compute_rounds(uint64_t rounds)
{
	static double table[256];
	uint64_t state = 88172645463325252u;
	double sum = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		table[state & 255] += (double)(state >> 40);
		sum += table[state >> 8 & 255] * 0.5;
	}
	return state + (uint64_t)sum;
}

#endif
