/* SPDX-License-Identifier: MIT */
/*
 * The host's clocks and the time-stamp counter that they may come from, read
 * together. Knows nothing of guests or pages.
 */
#ifndef KVMSB_HOST_CLOCK_H
#define KVMSB_HOST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Times in ns, each as it was when the counter was `tsc`. */
struct host_sample {
	uint64_t tsc;
	uint64_t monotonic, raw;
	uint64_t realtime, boottime, tai;
};

/*
 * Samples all clocks. khz: ticks of the counter in a millisecond, as near as is
 * known. False: the thread was interrupted each time; the sample is then off by
 * a microsecond or more.
 */
bool host_clock_sample(struct host_sample *sample, uint64_t khz);

/*
 * Whether the kernel takes its clocks from the counter, which it does only where
 * that is the same on all processors and never stops: as it says in sysfs.
 */
bool host_clock_is_tsc(void);

#endif
