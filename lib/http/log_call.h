/* SPDX-License-Identifier: MIT */
/* What other handlers need of the guest's log. Internal to http/. */
#ifndef KVMSB_HTTP_LOG_CALL_H
#define KVMSB_HTTP_LOG_CALL_H

#include "call.h"

/*
 * A line of the library's own in the guest's log, "PROGRAM: text", within its
 * limit: what a guest's mistake means. Returns 0 or as a handler.
 */
__attribute__((format(printf, 2, 3))) int log_call_line(struct call *call, const char *format, ...);

#endif
