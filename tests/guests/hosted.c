/* SPDX-License-Identifier: MIT */
/*
 * Asks its host for everything that it may have a part in: header fields,
 * caching, the log, sockets; and for what a sandbox does not have. Arguments:
 * "keep" wants to keep its state between requests; others are logged by main().
 */
#include "kvm_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((used, visibility("default")))

static const char constant[] = "from read-only memory";
static char untouched[8192];
static long kept = 1;

static void respond(const char *text)
{
	backend_response_str(200, "text/plain", text);
}

static void use_headers(void)
{
	char *asked = http_alloc_find(REQ, "x-ask"), *method = http_alloc_method();
	char text[128];

	http_setf(RESP, "X-Answer: %s", asked + strlen("X-Ask: "));
	http_append_str(RESP, "X-More: 1");
	http_append_str(RESP, "X-More: 2");
	http_unset_str(RESP, "X-MORE");
	snprintf(text, sizeof(text), "%s %ld %ld", method, http_find_strlen(RESP, "x-more"),
	         set_cacheable(true, 1.5f, 2, 3));
	respond(text);
}

static void use_log(const char *argument)
{
	long count = atol(argument);

	for (long i = 0; i < count; i++)
		vlogf("line %ld\n", i);
	respond("logged");
}

static void use_sockets(void)
{
	static char large[1 << 20];
	struct kvm_socket_event events[4];
	char text[128];

	memset(events, 0, sizeof(events));
	memset(large, 'l', sizeof(large));
	for (int i = 0; i < 4; i++) {
		events[i].fd = 100 + i;
		events[i].event = SOCKET_WRITABLE;
	}
	events[0].data = (void *)(uintptr_t)constant;
	events[0].data_len = sizeof(constant) - 1;
	events[1].data = (void *)(untouched + 4000);
	events[1].data_len = 200;
	events[2].data = (void *)large;
	events[2].data_len = sizeof(large);
	events[3].event = SOCKET_READ;
	sys_sockets_write(events, 4);
	snprintf(text, sizeof(text), "%d %d %d %d", events[0].fd, events[1].fd, events[2].fd > 4096,
	         events[3].fd);
	respond(text);
}

static void storage_function(size_t count, struct virtbuffer buffers[], size_t size)
{
	(void)count;
	(void)buffers;
	(void)size;
}

static void task_function(void *data, size_t length)
{
	(void)data;
	(void)length;
}

static void processor_function(void *argument)
{
	(void)argument;
}

static void use_what_there_is_not(void)
{
	char text[128];
	long timer = schedule_storage_task(task_function, NULL, 0, 1, 1);
	long stopped = stop_storage_task(timer);

	sys_breakpoint();
	snprintf(text, sizeof(text), "%ld %ld %ld %ld %ld %ld %ld", timer, stopped,
	         stop_storage_task(7), multiprocess(2, processor_function, NULL),
	         multiprocess_wait(), sys_is_storage(), sys_storage_allow(storage_function));
	respond(text);
}

static void on_get(const char *url, const char *argument)
{
	if (strcmp(url, "/headers") == 0)
		use_headers();
	if (strcmp(url, "/log") == 0)
		use_log(argument);
	if (strcmp(url, "/sockets") == 0)
		use_sockets();
	if (strcmp(url, "/absent") == 0)
		use_what_there_is_not();
	if (strcmp(url, "/storage") == 0)
		storage_call(storage_function, "x", 1, NULL, 0);
	if (strcmp(url, "/ephemeral") == 0)
		sys_make_ephemeral(1);
	if (strcmp(url, "/return") == 0)
		storage_return(constant, sizeof(constant));
	respond(kept == 0 ? "kept" : "refused");
}

static void on_error(const char *url, const char *argument, const char *exception)
{
	(void)url;
	(void)argument;
	backend_response_str(500, "text/plain", exception);
}

/* For calls that are no requests. */
EXPORTED void log_line(void)
{
	vlogf("from a call");
}

EXPORTED void cache(void)
{
	set_cacheable(true, 1, 1, 1);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "keep") == 0)
			kept = sys_make_ephemeral(0);
		else
			vlogf("%s", argv[i]);
	}
	set_backend_get(on_get);
	set_on_error(on_error);
	wait_for_requests();
	return 0;
}
