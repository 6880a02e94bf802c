/* SPDX-License-Identifier: MIT */
/* What other handlers need of the header calls. Internal to http/. */
#ifndef KVMSB_HTTP_HEADER_CALLS_H
#define KVMSB_HTTP_HEADER_CALLS_H

#include "call.h"

#include <kvmsandbox/http.h>

#include <stdint.h>

/* Which side the guest's `where` means. Returns 0, or as a handler: there is no such side, or no request. */
int header_call_side(struct call *call, uint64_t where, enum kvmsb_http_side *side);

/*
 * sys_http_set with a text of the guest: sets the field, or unsets it when the
 * text has no colon. *index: that of the field; 0: nothing to unset, or no
 * text; UINT32_MAX: no room. Returns as a handler.
 */
int header_call_set(struct call *call, enum kvmsb_http_side side, uint64_t address, uint64_t length,
                    uint32_t *index);

#endif
