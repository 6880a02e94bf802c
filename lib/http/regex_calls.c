/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls about regular expressions: handles, and what is done with
 * them, by the host's functions where it has some, else by our own. Where a
 * match takes longer than the run may, that ends as one that timed out.
 */
#include "call.h"
#include "fields.h"
#include "header_calls.h"
#include "header_store.h"
#include "regex_table.h"

#include "../linux/deadline.h"
#include "../linux/mm.h"
#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a text to match: it is copied, so that the guest cannot change it meanwhile. */
#define SUBJECT_MAXIMUM (UINT64_C(16) << 20)
/* Of both texts of a substitution, as the guest API has it. */
#define STRING_MAXIMUM 65535u
/* Of what a substitution makes; text and substitution could make it 4 GiB. */
#define OUTPUT_MAXIMUM (UINT64_C(1) << 20)
/* \0 to \9 */
#define SUBSTITUTED_GROUPS 10u
/* Bytes of a pattern that the text of a denial has. */
#define SHOWN_PATTERN 100u

#define SUBSTITUTE_ALL 1u

static bool host_matches(const struct call *call)
{
	return call->hypercalls->config->ops.regex_match != NULL;
}

/* ---- Handles ---- */

/* What may stand in a log as it is. */
static int deny_pattern(struct call *call, const char *pattern, size_t length)
{
	char shown[SHOWN_PATTERN + 1];
	size_t count = length < SHOWN_PATTERN ? length : SHOWN_PATTERN;

	for (size_t i = 0; i < count; i++)
		shown[i] = pattern[i] >= ' ' && pattern[i] <= '~' ? pattern[i] : '?';
	shown[count] = '\0';
	return call_deny(call, "The regex pattern did not compile: %s", shown);
}

/* Returns 0 with *result set, or as a handler. */
static int compile_by_host(struct call *call, struct shared_regex *regex, int *result)
{
	struct kvmsb_http_context context;
	int ended = call_host_begin(call, &context);

	if (ended < 0)
		return ended;
	*result = call->hypercalls->config->ops.regex_compile(&context, regex->pattern,
	                                                      regex->length, &regex->host);
	regex->by_host = *result == 0;
	if (!regex->by_host)
		regex->own = NULL;
	return call_host_end(call);
}

static int compile(struct call *call, struct shared_regex *regex)
{
	int result, ended = 0;

	if (host_matches(call))
		ended = compile_by_host(call, regex, &result);
	else
		result = regex_compile(&regex->own, regex->pattern, regex->length);
	if (ended < 0)
		return ended;
	if (result == -ENOMEM)
		return call_no_memory(call);
	return result != 0 ? deny_pattern(call, regex->pattern, regex->length) : 0;
}

static int add(struct call *call, unsigned handle, const char *pattern, size_t length)
{
	struct hypercalls *hypercalls = call->hypercalls;
	struct shared_regex *regex = shared_regex_new(hypercalls->config, pattern, length), *before;
	int result;

	if (regex == NULL)
		return call_no_memory(call);
	result = compile(call, regex);
	if (result == 0 && regex_table_put(&hypercalls->regexes, handle, regex, &before) < 0)
		result = call_no_memory(call);
	if (result < 0)
		shared_regex_release(regex);
	return result;
}

static int find_or_add(struct call *call, const char *pattern, size_t length)
{
	const struct regex_table *table = call->hypercalls->regexes;
	unsigned handle = regex_table_find(table, pattern, length);
	int result = 0;

	if (handle == REGEX_HANDLES_MAXIMUM) {
		handle = regex_table_vacancy(table);
		if (handle == REGEX_HANDLES_MAXIMUM)
			return call_deny(call, "Too many items in cache: Regex handles");
		result = add(call, handle, pattern, length);
	}
	if (result == 0)
		*call->result = handle;
	return result;
}

int call_regex_compile(struct call *call)
{
	uint64_t length = (uint16_t)call->arguments[1];
	void *pattern;
	int result = call_read_allocated(call, call->arguments[0], length, &pattern);

	if (result < 0)
		return result;
	result = find_or_add(call, pattern, length);
	free(pattern);
	return result;
}

/* The first argument is an int. */
static int get(struct call *call, struct shared_regex **regex)
{
	uint32_t handle = (uint32_t)call->arguments[0];

	*regex = regex_table_get(call->hypercalls->regexes, handle);
	if (*regex != NULL)
		return 0;
	return call_deny(call, "%s(): there is no regex with handle %d", call->name, (int)handle);
}

/* A fork loses only its own handle. */
int call_regex_free(struct call *call)
{
	struct kvmsb_http_context context;
	struct shared_regex *regex, *before;
	int result = get(call, &regex);

	if (result < 0)
		return result;
	if (regex_table_put(&call->hypercalls->regexes, (uint32_t)call->arguments[0], NULL,
	                    &before) < 0)
		return call_no_memory(call);
	if (host_matches(call))
		result = call_host_begin(call, &context);
	shared_regex_release(before);
	if (result == 0 && host_matches(call))
		result = call_host_end(call);
	return result;
}

/* ---- Matching ---- */

/* A text to look in, and what was found there. */
struct search {
	const struct shared_regex *regex;
	const char *text;
	size_t length;
	size_t groups[REGEX_GROUPS_MAXIMUM][2];
	size_t maximum; /* of groups to be filled */
	int count; /* what the guest API gives: 0: nothing; below zero: the host's function failed */
};

/* What the host's function says of groups is not believed. */
static bool groups_are_right(const struct search *search, size_t start)
{
	for (int i = 0; i < search->count; i++) {
		const size_t *group = search->groups[i];
		bool absent = group[0] == SIZE_MAX && group[1] == SIZE_MAX;

		if (absent ? i == 0
		           : group[0] < start || group[0] > group[1] || group[1] > search->length)
			return false;
	}
	return true;
}

static int search_by_host(struct call *call, struct search *search, size_t start)
{
	struct kvmsb_http_context context;
	int result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	memset(search->groups, 0xff, sizeof(search->groups));
	search->count = call->hypercalls->config->ops.regex_match(
		&context, search->regex->host, search->text, search->length, start, search->groups,
		REGEX_GROUPS_MAXIMUM);
	if (search->count > (int)REGEX_GROUPS_MAXIMUM || !groups_are_right(search, start))
		search->count = -EINVAL;
	return call_host_end(call);
}

static int search_ourselves(struct call *call, struct search *search, size_t start)
{
	search->count = regex_match(search->regex->own, search->text, search->length, start,
	                            search->groups, search->maximum, call->process->deadline);
	if (search->count == -ENOMEM)
		return call_no_memory(call);
	if (search->count == -ETIMEDOUT && deadline_over(call->process))
		return -EINTR;
	return 0;
}

/* Returns 0 with search->count set, or as a handler. */
static int search_from(struct call *call, struct search *search, size_t start)
{
	return host_matches(call) ? search_by_host(call, search, start)
	                          : search_ourselves(call, search, start);
}

int call_regex_match(struct call *call)
{
	struct search search = {.length = call->arguments[2]};
	struct shared_regex *regex;
	void *text;
	int result = get(call, &regex);

	if (result < 0)
		return result;
	if (search.length > SUBJECT_MAXIMUM)
		return call_deny(call, "%s(): the subject is too large", call->name);
	result = call_read_allocated(call, call->arguments[1], search.length, &text);
	if (result < 0)
		return result;
	search.regex = regex;
	search.text = text;
	result = search_from(call, &search, 0);
	free(text);
	if (result == 0)
		*call->result = (uint64_t)(int64_t)(search.count != 0 ? search.count : -1);
	return result;
}

/* ---- Substitution ---- */

/* Text that grows up to what the guest has room for. */
struct output {
	char *data;
	uint64_t length, capacity;
	uint64_t room;  /* of the guest, the NUL included; what is beyond is dropped */
	bool too_large; /* the guest has more room than we would make text for */
};

static bool is_full(const struct output *output)
{
	return output->length == output->room || output->too_large;
}

/* Makes place for `length` bytes more. Returns 0 or -ENOMEM. */
static int grow(struct output *output, uint64_t length)
{
	uint64_t needed = output->length + length, capacity;
	char *larger;

	if (needed <= output->capacity)
		return 0;
	capacity = max_u64(needed, 2 * output->capacity);
	larger = realloc(output->data, capacity);
	if (larger == NULL)
		return -ENOMEM;
	output->data = larger;
	output->capacity = capacity;
	return 0;
}

static int put(struct output *output, const char *text, uint64_t length)
{
	length = min_u64(length, output->room - output->length);
	if (length > OUTPUT_MAXIMUM - output->length)
		output->too_large = true;
	if (length == 0 || output->too_large)
		return 0;
	if (grow(output, length) < 0)
		return -ENOMEM;
	memcpy(output->data + output->length, text, length);
	output->length += length;
	return 0;
}

static int put_group(struct output *output, const struct search *search, int group)
{
	const size_t *place = search->groups[group];

	if (group >= search->count || place[0] == SIZE_MAX)
		return 0;
	return put(output, search->text + place[0], place[1] - place[0]);
}

/* As VCL's regsub() has it: \0 or \& is the match, \1 to \9 are groups, \ before others stands for them. */
static int put_substitution(struct output *output, const struct search *search,
                            const char *substitution)
{
	int result = 0;

	for (const char *at = substitution; *at != '\0' && result == 0 && !is_full(output); at++) {
		if (*at == '\\' && at[1] != '\0') {
			at++;
			if (*at == '&' || (*at >= '0' && *at <= '9')) {
				result = put_group(output, search, *at == '&' ? 0 : *at - '0');
				continue;
			}
		}
		result = put(output, at, 1);
	}
	return result;
}

struct substitution {
	const char *text; /* what takes the place of matches */
	bool all;
	struct search search;
	struct output output;
	size_t done;     /* bytes of search.text that are in the output, or replaced */
	size_t last_end; /* of the match before; SIZE_MAX: there was none */
};

/* What lies before a match, and what takes its place. */
static int replace(struct substitution *substitution)
{
	struct search *search = &substitution->search;
	int result = put(&substitution->output, search->text + substitution->done,
	                 search->groups[0][0] - substitution->done);

	if (result == 0)
		result = put_substitution(&substitution->output, search, substitution->text);
	substitution->done = substitution->last_end = search->groups[0][1];
	return result;
}

/*
 * One match after the other. An empty one right behind another does not count:
 * the search goes on a byte further. Returns as a handler.
 */
static int replace_matches(struct call *call, struct substitution *substitution)
{
	struct search *search = &substitution->search;
	size_t start = 0;
	int result;

	while (start <= search->length && !is_full(&substitution->output)) {
		/* Short ones never look at the clock themselves. */
		if (deadline_over(call->process))
			return -EINTR;
		result = search_from(call, search, start);
		if (result < 0 || search->count <= 0)
			return result;
		if (search->groups[0][1] == substitution->last_end) {
			start++;
			continue;
		}
		if (replace(substitution) < 0)
			return call_no_memory(call);
		start = substitution->done;
		if (!substitution->all)
			break;
	}
	return 0;
}

/* The rest, and the NUL if there is room. */
static int finish(struct substitution *substitution)
{
	const struct search *search = &substitution->search;
	int result = put(&substitution->output, search->text + substitution->done,
	                 search->length - substitution->done);

	return result < 0 ? result : put(&substitution->output, "", 1);
}

static int substitute(struct call *call, struct substitution *substitution)
{
	struct output *output = &substitution->output;
	int result = replace_matches(call, substitution);

	if (result < 0)
		return result;
	if (finish(substitution) < 0)
		return call_no_memory(call);
	*call->result = UINT64_MAX;
	if (substitution->search.count < 0 || output->too_large)
		return 0;
	result = call_write(call, call->arguments[3], output->data, output->length);
	if (result == 0)
		*call->result = output->length;
	return result;
}

/* A NUL-terminated text of the guest; free() it. Returns 0 or as a handler. */
static int read_string(struct call *call, uint64_t address, char **text, size_t *length)
{
	char *string = malloc(STRING_MAXIMUM + 1);
	int64_t result;

	if (string == NULL)
		return call_no_memory(call);
	result = guest_read_string(call->process, address, string, STRING_MAXIMUM + 1);
	if (result >= 0) {
		*text = string;
		*length = (size_t)result;
		return 0;
	}
	free(string);
	if (result == -ENOMEM)
		return call_no_memory(call);
	if (result == -ENAMETOOLONG)
		return call_deny(call, "%s(): a text of more than %u bytes", call->name,
		                 STRING_MAXIMUM);
	return call_deny(call, "readable_page_at: %s: cannot read a text at %#llx", call->name,
	                 (unsigned long long)address);
}

int call_regex_subst(struct call *call)
{
	struct substitution substitution = {
		.all = (call->arguments[5] & SUBSTITUTE_ALL) != 0,
		.search.maximum = SUBSTITUTED_GROUPS,
		.output.room = call->arguments[4],
		.last_end = SIZE_MAX,
	};
	char *text = NULL, *replacement = NULL;
	struct shared_regex *regex;
	size_t length;
	int result = get(call, &regex);

	if (result == 0)
		result = read_string(call, call->arguments[1], &text, &substitution.search.length);
	if (result == 0)
		result = read_string(call, call->arguments[2], &replacement, &length);
	if (result == 0) {
		substitution.search.regex = regex;
		substitution.search.text = text;
		substitution.text = replacement;
		result = substitute(call, &substitution);
	}
	free(substitution.output.data);
	free(replacement);
	free(text);
	return result;
}

/* ---- Header fields ---- */

/* Returns 1, 0 (the regex does not match), -ENOSPC (no room), or as a handler. */
static int64_t copy_field(struct call *call, const struct shared_regex *regex,
                          enum kvmsb_http_side to, const char *text, size_t length)
{
	struct search search = {.regex = regex, .text = text, .length = length};
	int64_t result;

	/* What came with a request need not be what a guest may append: that stays where it is. */
	if (field_refusal(text, length) != NULL)
		return 0;
	result = search_from(call, &search, 0);
	if (result < 0 || search.count <= 0)
		return result;
	result = header_store_append(call, to, text, length);
	return result < 0 ? result : 1;
}

/* How many there are, or as a handler. */
static int64_t count_fields(struct call *call, enum kvmsb_http_side side)
{
	int64_t count = 0, result;
	size_t length;
	char *text;

	while ((result = header_store_next(call, side, (size_t)count, &text, &length)) >= 0) {
		free(text);
		count++;
	}
	return result == -ENOENT ? count : result;
}

/* The first `limit` of them. Returns how many were copied, or as a handler. */
static int64_t copy_fields(struct call *call, const struct shared_regex *regex,
                           enum kvmsb_http_side from, enum kvmsb_http_side to, int64_t limit)
{
	int64_t copied = 0, result = 0;

	for (int64_t position = 0; position < limit; position++) {
		size_t length;
		char *text;

		result = header_store_next(call, from, (size_t)position, &text, &length);
		if (result < 0)
			break;
		result = copy_field(call, regex, to, text, length);
		free(text);
		if (result < 0)
			break;
		copied += result;
	}
	return result >= 0 || result == -ENOENT || result == -ENOSPC ? copied : result;
}

int call_regex_copyto(struct call *call)
{
	enum kvmsb_http_side from, to;
	struct shared_regex *regex;
	int64_t count = HEADER_STORE_POSITIONS;
	int result = get(call, &regex);

	if (result == 0)
		result = header_call_side(call, call->arguments[1], &from);
	if (result == 0)
		result = header_call_side(call, call->arguments[2], &to);
	if (result < 0)
		return result;
	/* Not what is appended meanwhile. */
	if (from == to)
		count = count_fields(call, from);
	if (count >= 0)
		count = copy_fields(call, regex, from, to, count);
	if (count < 0)
		return (int)count;
	*call->result = (uint64_t)count;
	return 0;
}
