/* SPDX-License-Identifier: MIT */
/*
 * A guest that uses the host's regular expressions, compiled once in main():
 * to route by path, to rewrite a text, and to copy fields by pattern.
 *
 *   /date/2024-02-29   answers "29.02.2024"
 *   anything else      is "not found", with its digits hidden
 *
 * Fields of the request that begin with "X-Trace-" are sent back.
 */
#include "kvm_api.h"

#include <stdio.h>

static int date, digits, traces;

static int compile(const char *pattern)
{
	return sys_regex_compile(pattern, strlen(pattern));
}

static void on_get(const char *url, const char *arg)
{
	const uint32_t all = 1;
	char text[1024];
	bool is_date = sys_regex_match(date, url, strlen(url)) > 0;
	int written;

	(void)arg;
	sys_regex_copyto(traces, BEREQ, BERESP);
	written = is_date ? sys_regex_subst(date, url, "\\3.\\2.\\1", text, sizeof(text), 0)
	                  : sys_regex_subst(digits, url, "#", text, sizeof(text), all);
	/* The NUL is counted. */
	if (written <= 0)
		backend_response_str(500, "text/plain", "cannot rewrite\n");
	backend_response(is_date ? 200 : 404, "text/plain", strlen("text/plain"), text,
	                 (size_t)written - 1);
}

int main(void)
{
	date = compile("^/date/([0-9]{4})-([0-9]{2})-([0-9]{2})$");
	digits = compile("[0-9]");
	traces = compile("^(?i)x-trace-");
	if (date < 0 || digits < 0 || traces < 0)
		printf("regex: the host has none\n");
	printf("regex is ready\n");
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
