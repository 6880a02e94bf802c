/* SPDX-License-Identifier: MIT */
/*
 * Each url makes the host's function of that name be called, and the log after
 * it; then the request is answered. Argument "loop": main() waits for requests
 * itself; "stream": bodies come piece by piece.
 */
#include "kvm_api.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fetch(const char *url)
{
	struct curl_op op = {.content = NULL};

	sys_fetch(url, strlen(url), &op, NULL, NULL);
}

static void write_to_socket(void)
{
	struct kvm_socket_event event = {.fd = 3, .event = SOCKET_WRITABLE};

	event.data = (const uint8_t *)"data";
	event.data_len = 4;
	sys_sockets_write(&event, 1);
}

static void use_regex(void)
{
	int handle = sys_regex_compile("a.c", 3);

	sys_regex_match((uint32_t)handle, "abc", 3);
	sys_regex_free((uint32_t)handle);
}

static void read_input(void)
{
	char byte;

	(void)!read(0, &byte, 1);
}

static void visit_http(const char *url)
{
	char text[64];

	if (strcmp(url, "/method") == 0)
		sys_http_method(text, sizeof(text));
	if (strcmp(url, "/cache_policy") == 0)
		set_cacheable(true, 1, 1, 1);
	if (strcmp(url, "/header_find") == 0)
		http_find_strlen(REQ, "A");
	if (strcmp(url, "/header_append") == 0)
		http_append_str(RESP, "A: b");
	if (strcmp(url, "/header_set") == 0)
		http_set_str(RESP, "A: b");
	if (strcmp(url, "/header_unset") == 0)
		http_unset_str(RESP, "A");
}

static void visit(const char *url)
{
	visit_http(url);
	if (strcmp(url, "/fetch") == 0)
		fetch("http://host/");
	if (strcmp(url, "/self_request") == 0)
		fetch("/path");
	if (strcmp(url, "/socket_write") == 0)
		write_to_socket();
	if (strncmp(url, "/regex_", 7) == 0)
		use_regex();
	if (strcmp(url, "/write") == 0)
		(void)!write(1, "x", 1);
	if (strcmp(url, "/read") == 0)
		read_input();
	if (strcmp(url, "/override") == 0)
		syscall(SYS_getppid);
	if (strcmp(url, "/path") == 0)
		close(open("/some/file", O_RDONLY));
	/* Of the host's function for logs there is also this one call. */
	sys_log("after", 5);
	if (strcmp(url, "/error_page") == 0)
		__builtin_trap();
}

static void answer(void)
{
	backend_response_str(200, "text/plain", "done");
}

static void on_get(const char *url, const char *argument)
{
	(void)argument;
	visit(url);
	answer();
}

static void on_post(const char *url, const char *argument, const char *type, const uint8_t *data,
                    size_t length)
{
	(void)type;
	(void)data;
	(void)length;
	on_get(url, argument);
}

static long on_stream_post(const char *url, const char *argument, const char *type,
                           const uint8_t *data, size_t length, size_t offset)
{
	(void)url;
	(void)argument;
	(void)type;
	(void)data;
	(void)offset;
	return (long)length;
}

/* It does not answer: the host's page is asked for. */
static void on_error(const char *url, const char *argument, const char *exception)
{
	(void)url;
	(void)argument;
	sys_log(exception, strlen(exception));
}

/* "/later/NAME" visits after the answer: before the next request, or the freeze. */
static void serve_in_loop(void)
{
	static const char later[] = "/later";
	struct kvm_request request;

	for (;;) {
		wait_for_requests_paused(&request);
		if (strncmp(request.url, later, sizeof(later) - 1) != 0)
			visit(request.url);
		answer();
		if (strncmp(request.url, later, sizeof(later) - 1) == 0)
			visit(request.url + sizeof(later) - 1);
	}
}

static struct streaming_content give(void *argument, size_t most, size_t written, size_t total)
{
	const struct streaming_content content = {"0123456789", 10};

	(void)most;
	(void)written;
	(void)total;
	visit(argument);
	return content;
}

/* "/stream/NAME" is answered piece by piece, and visits for each. */
static void on_get_streamed(const char *url, const char *argument)
{
	static const char streamed[] = "/stream";
	static char name[64];

	if (strncmp(url, streamed, sizeof(streamed) - 1) != 0)
		on_get(url, argument);
	strncpy(name, url + sizeof(streamed) - 1, sizeof(name) - 1);
	begin_streaming_response(200, "text/plain", 10, 20, give, name);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "loop") == 0)
		serve_in_loop();
	if (argc > 1 && strcmp(argv[1], "stream") == 0)
		set_backend_stream_post(on_stream_post);
	set_backend_get(on_get_streamed);
	set_backend_post(on_post);
	set_on_error(on_error);
	wait_for_requests();
	return 0;
}
