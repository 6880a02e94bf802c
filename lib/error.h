/* SPDX-License-Identifier: MIT */
/*
 * Detail texts of errors, kept by the object or the caller that the failure
 * belongs to; never in a global.
 */
#ifndef KVMSB_ERROR_H
#define KVMSB_ERROR_H

#include <kvmsandbox/error.h>

/*
 * Writes code and text, at most as much as error->size reaches. error may be
 * NULL. Returns code, so that `return error_set(error, -EINVAL, ...)` reads.
 */
__attribute__((format(printf, 3, 4))) int error_set(struct kvmsb_error *error, int code,
                                                    const char *format, ...);

#endif
