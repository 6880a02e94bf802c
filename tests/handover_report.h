/* SPDX-License-Identifier: MIT */
/* The registers of a fork as its guest has stored them (guests/handover.h). */
#ifndef KVMSB_TESTS_HANDOVER_REPORT_H
#define KVMSB_TESTS_HANDOVER_REPORT_H

#include "sandbox_fixture.h"

#include "guests/handover.h"

#include <string.h>

static inline void read_report(struct kvmsb *fork, struct handover_report *report)
{
	const size_t header = 512;

	assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "report_area"), report,
	                                   sizeof(*report)),
	                 0);
	/* Which components XSAVE found in their initial state; their bytes say the same. */
	memset(report->extended + header, 0, 64);
}

#endif
