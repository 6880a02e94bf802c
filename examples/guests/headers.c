/* SPDX-License-Identifier: MIT */
/*
 * A guest that looks at the fields of its request and sets those of its
 * response: all of them in order, from the request's structure; one by its name,
 * in any case; and appended, replaced and taken away.
 */
#include "kvm_api.h"

#include <stdio.h>

static char list[64 << 10];

/* Each field on a line of its own; what does not fit is left out. */
static size_t list_fields(const struct kvm_request *request)
{
	size_t length = 0;

	for (unsigned i = 0; i < request->num_headers; i++) {
		const struct kvm_request_header *header = &request->headers[i];

		if (header->field_len + 1 > sizeof(list) - length)
			break;
		memcpy(list + length, header->field, header->field_len);
		length += header->field_len;
		list[length++] = '\n';
	}
	return length;
}

static void on_request(const struct kvm_request *request)
{
	/* Of the whole field, "Name: value"; 0 if there is none. */
	http_setf(BERESP, "X-Agent-Length: %ld", http_find_strlen(BEREQ, "user-agent"));
	http_append_str(BERESP, "Vary: Accept");
	http_append_str(BERESP, "Vary: User-Agent");
	http_set_str(BERESP, "X-State: unfinished");
	http_set_str(BERESP, "x-state: replaced, whatever the case of the name");
	http_set_str(BERESP, "X-Secret: not for clients");
	http_unset_str(BERESP, "X-Secret");
	backend_response(200, "text/plain", strlen("text/plain"), list, list_fields(request));
}

int main(void)
{
	printf("headers is ready\n");
	set_backend_request(on_request);
	wait_for_requests();
	return 0;
}
