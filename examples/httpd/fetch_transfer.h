/* SPDX-License-Identifier: MIT */
/*
 * One request by libcurl and the answer to it, as it comes in. Follows no redirect,
 * and does not ask whether the host is allowed: who calls it does both.
 */
#ifndef KVMSB_HTTPD_FETCH_TRANSFER_H
#define KVMSB_HTTPD_FETCH_TRANSFER_H

#include <kvmsandbox.h>

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch_transfer {
	CURL *curl;
	CURLU *url;
	const struct kvmsb_fetch *fetch;
	struct kvmsb_fetch_answer *answer;
	bool sends_body;    /* else it is GET or HEAD */
	bool has_left_home; /* the host is another than that of the guest's url */
	uint64_t end_ns;    /* CLOCK_MONOTONIC */

	/* While it runs. */
	size_t piece, offset; /* of the body, to be sent next */
	bool has_location;    /* in the head that came last */
	bool has_status;      /* the answer has been told */
};

uint64_t fetch_clock(void);

/*
 * A redirect that the guest wants followed is left unanswered, but for its head. Returns a
 * CURLcode.
 */
CURLcode fetch_transfer_run(struct fetch_transfer *transfer);

#endif
