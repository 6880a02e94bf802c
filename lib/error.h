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

/* A struct of the host's, `what`, could not be copied in (sized.h): -EINVAL, -E2BIG. Returns code. */
int error_set_size(struct kvmsb_error *error, int code, const char *what);

#endif
