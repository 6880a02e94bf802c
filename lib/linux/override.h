/* SPDX-License-Identifier: MIT */
/*
 * System calls that the host answers itself: the list of a program, immutable
 * once it is made, and the call of one of its functions.
 */
#ifndef KVMSB_LINUX_OVERRIDE_H
#define KVMSB_LINUX_OVERRIDE_H

#include "process.h"

#include <kvmsandbox/error.h>
#include <kvmsandbox/override.h>

#include <stddef.h>
#include <stdint.h>

/* Numbers from here on are hypercalls. */
#define OVERRIDE_NUMBER_END 0x10000u

struct override_list {
	size_t count;
	struct kvmsb_override overrides[]; /* by number */
};

/*
 * Copies and checks them; none: NULL. Returns 0, -ENOMEM, or with error's detail
 * -EINVAL: no function, a number out of range or given twice, something reserved set.
 */
int override_list_create(struct override_list **list, const struct kvmsb_override *overrides,
                         size_t count, struct kvmsb_error *error);
void override_list_destroy(struct override_list *list); /* NULL is allowed */

/* NULL: not overridden. */
const struct kvmsb_override *override_find(const struct override_list *list, uint32_t number);

/* The function's answer; KVMSB_SYSTEM_CALL_DEFAULT: the library's handler is to give it. */
int64_t override_call(struct process *process, const struct kvmsb_override *override,
                      const uint64_t arguments[6]);

#endif
