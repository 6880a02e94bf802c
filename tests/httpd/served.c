/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what its URL says behind "do=": for what kvmsb-httpd sends,
 * and how it takes what goes wrong.
 */
#include "kvm_api.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGE ((size_t)10 << 20)

static unsigned long counter;
static bool was_warmed;

static void text(const char *content)
{
	backend_response_str(200, "text/plain", content);
}

static void crash(void)
{
	/* Volatile itself, so that the compiler does not see where it points. */
	volatile int *volatile nowhere = (volatile int *)16;

	*nowhere = 1;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

/* Byte i is i modulo 251: a piece that is missing or twice shows. */
static void fill(char *data, size_t length, size_t from)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (char)((from + i) % 251);
}

static void send_large(size_t length)
{
	char *data = malloc(length);

	fill(data, length, 0);
	backend_response(200, "application/octet-stream", strlen("application/octet-stream"), data,
	                 length);
}

static void send_fields(void)
{
	http_append_str(BERESP, "X-One: 1");
	http_append_str(BERESP, "X-One: 2");
	http_append_str(BERESP, "X-Tab: a\tb");
	http_append_str(BERESP, "Connection: close");
	http_append_str(BERESP, "Transfer-Encoding: chunked");
	http_append_str(BERESP, "Content-Length: 5");
	http_append_str(BERESP, "Content-Type: text/evil");
	http_append_str(BERESP, "Server: mine");
	text("fields");
}

/* More than a client should get. */
static void send_many_bytes(void)
{
	static char field[30000] = "X-Long: ";

	memset(field + 8, 'x', sizeof(field) - 9);
	http_append_str(BERESP, field);
	text("long");
}

static void send_request(const char *arg)
{
	static char content[8192];
	char *host = http_alloc_find(BEREQ, "Host");
	char *other = http_alloc_find(BEREQ, "X-Other");
	char *method = http_alloc_method();

	snprintf(content, sizeof(content), "%s|%s|%s|%s", method, arg, host, other);
	text(content);
}

static void send_environment(void)
{
	extern char **environ;
	static char content[8192];
	size_t used = 0;

	for (char **variable = environ; *variable != NULL; variable++)
		used += (size_t)snprintf(content + used, sizeof(content) - used, "%s\n", *variable);
	text(content);
}

/* The result, and the start of what came. */
static void fetch(const char *url)
{
	static char content[8192];
	struct curl_op operation = {0};
	long result = sys_fetch(url, strlen(url), &operation, NULL, NULL);

	snprintf(content, sizeof(content), "%ld %.*s", result < 0 ? result : (long)operation.status,
	         result < 0 ? 0 : (int)operation.content_length, (const char *)operation.content);
	text(content);
}

static void do_what(const char *what, const char *arg)
{
	if (strncmp(what, "fetch", 5) == 0)
		fetch(what + 5);
	if (strcmp(what, "crash") == 0)
		crash();
	if (strcmp(what, "spin") == 0)
		spin();
	if (strcmp(what, "abort") == 0)
		abort();
	if (strcmp(what, "exit") == 0)
		exit(3);
	if (strcmp(what, "fields") == 0)
		send_fields();
	if (strcmp(what, "long-field") == 0)
		send_many_bytes();
	if (strcmp(what, "large") == 0)
		send_large(LARGE);
	if (strcmp(what, "medium") == 0)
		send_large(4 << 20);
	if (strcmp(what, "just-lent") == 0)
		send_large(16384);
	if (strcmp(what, "just-copied") == 0)
		send_large(16383);
	if (strcmp(what, "request") == 0)
		send_request(arg);
	if (strcmp(what, "environment") == 0)
		send_environment();
	if (strcmp(what, "empty") == 0)
		backend_response(204, "", 0, NULL, 0);
	if (strcmp(what, "wrong-empty") == 0)
		backend_response_str(204, "", "a body all the same");
	if (strcmp(what, "wrong-large") == 0) {
		char *data = calloc(1, 100000);

		backend_response(304, "", 0, data, 100000);
	}
	if (strcmp(what, "cached") == 0) {
		set_cacheable(true, 90.0f, 1.0f, 1.0f);
		text("cached");
	}
	if (strcmp(what, "uncached") == 0) {
		set_cacheable(false, 90.0f, 1.0f, 1.0f);
		text("uncached");
	}
	if (strcmp(what, "missing") == 0)
		backend_response_str(404, "text/plain", "not here");
	if (strcmp(what, "log") == 0) {
		vlogf("a line\nand \033[31m another");
		text("logged");
	}
	if (strcmp(what, "warm") == 0)
		text(was_warmed ? "warm" : "cold");
}

static void on_get(const char *url, const char *arg)
{
	const char *what = strstr(url, "do=");
	char content[64];

	counter++;
	was_warmed = was_warmed || strcmp(url, "/warm-up") == 0;
	if (what != NULL)
		do_what(what + 3, arg);
	else if (strcmp(url, "/nothing") != 0) {
		snprintf(content, sizeof(content), "%lu", counter);
		text(content);
	}
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	(void)url, (void)arg;
	backend_response(201, ctype, strlen(ctype), data, len);
}

/* A response that is made while it is sent. */
static struct streaming_content give(void *arg, size_t max, size_t written, size_t total)
{
	static char piece[5000];
	size_t length = sizeof(piece) < max ? sizeof(piece) : max;

	if (total - written < length)
		length = total - written;
	if (*(bool *)arg && written > 100000)
		crash();
	fill(piece, length, written);
	return (struct streaming_content){piece, length};
}

/* What was posted, piece by piece. */
static size_t pieces, sum;

static long on_piece(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                     size_t len, size_t offset)
{
	(void)url, (void)arg, (void)ctype, (void)offset;
	pieces++;
	for (size_t i = 0; i < len; i++)
		sum += data[i];
	return (long)len;
}

static void on_streamed(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                        size_t len)
{
	char content[128];

	(void)url, (void)arg, (void)ctype;
	snprintf(content, sizeof(content), "%zu %zu %s %s", len, sum,
	         data == NULL ? "none" : "data", pieces > 1 ? "pieces" : "one");
	text(content);
}

static void on_get_stream(const char *url, const char *arg)
{
	static bool breaks; /* the functions for pieces have a new stack */

	(void)arg;
	breaks = strstr(url, "do=break") != NULL;
	begin_streaming_response(200, "application/octet-stream",
	                         strlen("application/octet-stream"), LARGE, give, &breaks);
}

static void on_error(const char *url, const char *arg, const char *exception)
{
	char content[512];

	(void)url, (void)arg;
	snprintf(content, sizeof(content), "sorry: %s", exception);
	backend_response_str(503, "text/plain", content);
}

/* A loop in place of functions: what is behind a response runs at the next request. */
static void loop(void)
{
	struct kvm_request request;
	char content[128];

	for (unsigned long rounds = 1;; rounds++) {
		wait_for_requests_paused(&request);
		if (strcmp(request.url, "/crash") == 0)
			crash();
		snprintf(content, sizeof(content), "%lu %s %s %zu", rounds, request.method,
		         request.url, request.content_len);
		text(content);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "fail") == 0)
		return 4;
	if (strcmp(mode, "loop") == 0)
		loop();
	if (strcmp(mode, "sorry") == 0)
		set_on_error(on_error);
	if (strcmp(mode, "stream") == 0) {
		set_backend_get(on_get_stream);
		set_backend_post(on_streamed);
		set_backend_stream_post(on_piece);
	} else {
		set_backend_get(on_get);
		set_backend_post(on_post);
	}
	if (strcmp(mode, "keep") == 0)
		sys_make_ephemeral(0);
	wait_for_requests();
	return 0;
}
