/* SPDX-License-Identifier: MIT */
/*
 * A guest that takes a body piece by piece as it arrives, so that one of any
 * length needs no memory, and answers with its length and Adler-32 checksum
 * (RFC 1950, 8.2).
 */
#include "kvm_api.h"

#include <stdio.h>

#define ADLER_MODULUS 65521u

/* A sandbox may be kept: offset 0 begins anew. */
static uint32_t low, high;

static long on_piece(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                     size_t len, size_t offset)
{
	(void)url;
	(void)arg;
	(void)ctype;
	if (offset == 0) {
		low = 1;
		high = 0;
	}
	for (size_t i = 0; i < len; i++) {
		low = (low + data[i]) % ADLER_MODULUS;
		high = (high + low) % ADLER_MODULUS;
	}
	/* Another number would say that the rest is not wanted. */
	return (long)len;
}

/* All pieces have been: data is NULL, and len the length of all. */
static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%zu bytes, %08x\n", len, high << 16 | low);

	(void)url;
	(void)arg;
	(void)ctype;
	(void)data;
	backend_response(200, "text/plain", strlen("text/plain"), text, (size_t)length);
}

int main(void)
{
	printf("post-checksum is ready\n");
	set_backend_stream_post(on_piece);
	set_backend_post(on_post);
	wait_for_requests();
	return 0;
}
