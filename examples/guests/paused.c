/* SPDX-License-Identifier: MIT */
/*
 * A guest that takes its requests in a loop of main() instead of in functions:
 * wait_for_requests_paused() returns with the next one. What comes after the
 * answer runs at the start of the next request, if the sandbox is kept.
 */
#include "kvm_api.h"

#include <stdio.h>

int main(void)
{
	unsigned long answered = 0;

	printf("paused is ready\n");
	for (;;) {
		struct kvm_request request;
		char text[1024];
		int length;

		wait_for_requests_paused(&request);
		length = snprintf(text, sizeof(text), "%s %s, %zu bytes, after %lu others\n",
		                  request.method, request.url, request.content_len, answered);
		if ((size_t)length >= sizeof(text))
			length = (int)sizeof(text) - 1;
		backend_response(200, "text/plain", strlen("text/plain"), text, (size_t)length);
		answered++;
	}
}
