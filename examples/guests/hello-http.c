/* SPDX-License-Identifier: MIT */
/*
 * A guest that answers GET requests: with what was asked, and a counter that
 * every request finds as main() left it.
 */
#include "kvm_api.h"

#include <stdio.h>

static int counter;

static void on_get(const char *url, const char *arg)
{
	char *agent = http_alloc_find(BEREQ, "User-Agent");
	char text[1024];
	int length;

	counter++;
	length = snprintf(text, sizeof(text), "Hello from %s\nargument: \"%s\"\ncounter: %d\n%s%s",
	                  url, arg, counter, agent, agent[0] != '\0' ? "\n" : "");
	if ((size_t)length >= sizeof(text))
		length = (int)sizeof(text) - 1;
	http_setf(BERESP, "X-Counter: %d", counter);
	backend_response(200, "text/plain", strlen("text/plain"), text, (size_t)length);
}

int main(void)
{
	printf("hello-http is ready\n");
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
