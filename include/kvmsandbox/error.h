/* SPDX-License-Identifier: MIT */
/*
 * Errors of the host. Functions return 0 or a negative errno; below zero
 * means that the *host* failed or was misused. What the guest did is never an
 * error: it stands in struct kvmsb_result.
 */
#ifndef KVMSANDBOX_ERROR_H
#define KVMSANDBOX_ERROR_H

#include "version.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The detail of an error of a function that creates an object, and therefore
 * has no object yet to keep it in. Filled only on failure. The caller owns it.
 */
struct kvmsb_error {
	size_t size;
	int code;         /* the negative errno that was returned */
	char detail[256]; /* one line of English: what failed, on what, what to do; NUL-terminated */
};
#define KVMSB_ERROR_INIT KVMSB_SIZED(struct kvmsb_error)

#ifdef __cplusplus
}
#endif

#endif
