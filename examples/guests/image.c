/* SPDX-License-Identifier: MIT */
/*
 * A guest that serves a file which is part of the program, as a web server would:
 * with its type, an entity tag (RFC 9110, 8.8.3), how long it may be kept, and
 * "304 Not Modified" for clients that have it.
 */
#include "kvm_api.h"

#include <stdio.h>

EMBED_BINARY(image, "image.svg");

static char tag[sizeof("\"0123456789abcdef\"")];

/* FNV-1a: whatever changes with the content will do. */
static void make_tag(void)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (int i = 0; i < image_size; i++)
		hash = (hash ^ (uint8_t)image[i]) * 0x100000001b3;
	snprintf(tag, sizeof(tag), "\"%016llx\"", (unsigned long long)hash);
}

/* One tag, several, or "*": RFC 9110, 13.1.2. */
static bool client_has_it(void)
{
	char *condition = http_alloc_find(BEREQ, "If-None-Match");
	const char *value = strchr(condition, ':');
	const bool has = value != NULL && (strstr(value, tag) != NULL || strchr(value, '*') != NULL);

	free(condition);
	return has;
}

static void on_get(const char *url, const char *arg)
{
	const char *type = "image/svg+xml";
	const float hour = 3600, day = 86400;

	(void)arg;
	if (strcmp(url, "/") != 0 && strcmp(url, "/image.svg") != 0)
		backend_response_str(404, "text/plain", "There is /image.svg.\n");
	http_setf(BERESP, "ETag: %s", tag);
	http_set_str(BERESP, "Cache-Control: public, max-age=3600");
	set_cacheable(true, hour, day, day);
	if (client_has_it())
		backend_response(304, NULL, 0, NULL, 0);
	backend_response(200, type, strlen(type), image, (size_t)image_size);
}

int main(void)
{
	make_tag();
	printf("image is ready: %d bytes, ETag %s\n", image_size, tag);
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
