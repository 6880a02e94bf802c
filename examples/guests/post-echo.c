/* SPDX-License-Identifier: MIT */
/*
 * A guest that answers a request's body with the body. It has all of it at once,
 * in memory that is its own; whether there is one decides who is called, not the
 * method.
 */
#include "kvm_api.h"

#include <stdio.h>

static void on_get(const char *url, const char *arg)
{
	(void)url;
	(void)arg;
	backend_response_str(400, "text/plain", "There is no body to answer with.\n");
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	(void)url;
	(void)arg;
	http_setf(BERESP, "X-Length: %zu", len);
	backend_response(200, ctype, strlen(ctype), data, len);
}

int main(void)
{
	printf("post-echo is ready\n");
	set_backend_get(on_get);
	set_backend_post(on_post);
	wait_for_requests();
	return 0;
}
