/* SPDX-License-Identifier: MIT */
/* What other handlers need of caching. Internal to http/. */
#ifndef KVMSB_HTTP_CACHE_CALL_H
#define KVMSB_HTTP_CACHE_CALL_H

#include "call.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>

/*
 * Notes what the guest says of its response. ttl, grace, keep: seconds, whatever
 * number the guest made of them. Needs a request at hand. Returns 0 or as a handler.
 */
int cache_call_note(struct call *call, bool cacheable, double ttl, double grace, double keep);

#endif
