/* SPDX-License-Identifier: MIT */
/* The host's own system calls; see override.h. */
#include "override.h"

#include "../error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check(const struct kvmsb_override *override, struct kvmsb_error *error)
{
	const char *wrong = NULL;

	if (override->number >= OVERRIDE_NUMBER_END)
		wrong = "not the number of a system call";
	else if (override->function == NULL)
		wrong = "no function";
	else if (override->reserved != 0)
		wrong = "what is reserved must be zero";
	return wrong == NULL ? 0
	                     : error_set(error, -EINVAL, "options.overrides: %llu: %s",
	                                 (unsigned long long) override->number, wrong);
}

static int by_number(const void *left, const void *right)
{
	const struct kvmsb_override *a = left, *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

static int check_all(const struct override_list *list, struct kvmsb_error *error)
{
	for (size_t i = 0; i < list->count; i++) {
		int result = check(&list->overrides[i], error);

		if (result < 0)
			return result;
		if (i > 0 && list->overrides[i - 1].number == list->overrides[i].number)
			return error_set(error, -EINVAL, "options.overrides: %llu is there twice",
			                 (unsigned long long)list->overrides[i].number);
	}
	return 0;
}

int override_list_create(struct override_list **out, const struct kvmsb_override *overrides,
                         size_t count, struct kvmsb_error *error)
{
	struct override_list *list;
	int result;

	*out = NULL;
	if (count == 0)
		return 0;
	if (overrides == NULL || count > OVERRIDE_NUMBER_END)
		return error_set(error, -EINVAL, "options.overrides: %zu of them, but %s", count,
		                 overrides == NULL ? "NULL" : "there are not so many numbers");
	list = malloc(sizeof(*list) + count * sizeof(list->overrides[0]));
	if (list == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	list->count = count;
	memcpy(list->overrides, overrides, count * sizeof(list->overrides[0]));
	qsort(list->overrides, count, sizeof(list->overrides[0]), by_number);
	result = check_all(list, error);
	if (result < 0) {
		override_list_destroy(list);
		return result;
	}
	*out = list;
	return 0;
}

void override_list_destroy(struct override_list *list)
{
	free(list);
}

const struct kvmsb_override *override_find(const struct override_list *list, uint32_t number)
{
	const struct kvmsb_override wanted = {.number = number};

	return list == NULL ? NULL
	                    : bsearch(&wanted, list->overrides, list->count,
	                              sizeof(list->overrides[0]), by_number);
}

int64_t override_call(struct process *process, const struct kvmsb_override *override,
                      const uint64_t arguments[6])
{
	struct kvmsb_system_call call = {
		.size = sizeof(call), .sandbox = process->sandbox, .number = override->number};
	int64_t result;

	if (process_call_begin(process) < 0)
		return -EINTR;
	memcpy(call.arguments, arguments, sizeof(call.arguments));
	process->in_override = true;
	result = override->function(override->user, &call);
	process->in_override = false;
	/* It may have used up the time, or destroyed the sandbox. */
	return process_call_end(process) < 0 || process->end != PROCESS_RUNS ? -EINTR : result;
}
