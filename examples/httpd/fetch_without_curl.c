/* SPDX-License-Identifier: MIT */
/* Fetches of a server that was built without libcurl: there are none; see fetch.h. */
#include "fetch.h"

#include <errno.h>

struct fetcher *fetcher_create(const char *self)
{
	(void)self;
	return NULL;
}

void fetcher_destroy(struct fetcher *fetcher)
{
	(void)fetcher;
}

int fetch_by_curl(struct fetcher *fetcher, const struct fetch_rules *rules,
                  const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer)
{
	(void)fetcher;
	(void)rules;
	(void)fetch;
	(void)answer;
	return -ENOSYS;
}
