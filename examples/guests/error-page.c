/* SPDX-License-Identifier: MIT */
/*
 * A guest that fails in several ways, and answers each failure itself: the
 * function of set_on_error() is called with what happened, in the memory that the
 * failed one left behind, and has a second.
 */
#include "kvm_api.h"

#include <stdio.h>

/* Not an address that a compiler knows: it would leave such an access out. */
static volatile int *volatile nowhere;
static volatile unsigned zero;

static void read_nothing(void)
{
	(void)*nowhere;
}

static void divide(void)
{
	zero = 100 / zero;
}

static void illegal_instruction(void)
{
	__asm__ volatile("ud2");
}

static void loop(void)
{
	for (;;)
		__asm__ volatile("");
}

static void answer_nothing(void)
{
}

static void bad_status(void)
{
	backend_response_str(99, "text/plain", "nobody reads this");
}

static const struct {
	const char *url;
	void (*fail)(void);
} ways[] = {
	{"/null", read_nothing}, {"/divide", divide}, {"/illegal", illegal_instruction},
	{"/loop", loop},         {"/abort", abort},   {"/nothing", answer_nothing},
	{"/status", bad_status},
};

static void on_get(const char *url, const char *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(url, ways[i].url) == 0) {
			ways[i].fail();
			return;
		}
	}
	backend_response_str(200, "text/plain", "nothing has failed\n");
}

static void on_error(const char *url, const char *arg, const char *exception)
{
	char page[1024];
	int length = snprintf(page, sizeof(page), "%s has failed: %s\n", url, exception);

	(void)arg;
	if ((size_t)length >= sizeof(page))
		length = (int)sizeof(page) - 1;
	backend_response(500, "text/plain", strlen("text/plain"), page, (size_t)length);
}

int main(void)
{
	printf("error-page is ready\n");
	set_backend_get(on_get);
	set_on_error(on_error);
	wait_for_requests();
	return 0;
}
