/* SPDX-License-Identifier: MIT */
/* What the guest API calls a failure: the text that on_error is given. */
#ifndef KVMSB_HTTP_EXCEPTION_H
#define KVMSB_HTTP_EXCEPTION_H

#include <kvmsandbox/result.h>

#include <stddef.h>

/*
 * How a run without a response ended. detail: what the sandbox has to say of a
 * denial. Writes at most `size` bytes, NUL included.
 */
void exception_text(const struct kvmsb_result *result, const char *detail, char *text, size_t size);

#endif
