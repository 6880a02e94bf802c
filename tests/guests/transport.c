/* SPDX-License-Identifier: MIT */
/*
 * Makes every call of guest/kvm_api.h and answers with what came of it: built
 * once for each instruction that can make a call, and compared. The URL says
 * which calls; arguments are such that no answer depends on where the linker
 * has put something.
 *
 * usage: transport [paused|on_request|stream|on_error]
 */
#include "kvm_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_ADDRESS ((const char *)0x10000)

static char report[16384];
static size_t reported;
static size_t streamed;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	const size_t room = sizeof(report) - reported;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(report + reported, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		reported += (size_t)length < room ? (size_t)length : room - 1;
}
#define SAY(call) say("%s = %ld\n", #call, (long)(call))

static void answer(void)
{
	backend_response(200, "text/plain", 10, report, reported);
}

static void say_text(const char *name, const char *text)
{
	say("%s \"%s\"\n", name, text);
}

static void call_fields(void)
{
	char text[64] = "";
	char *found = http_alloc_find(BEREQ, "x-one");
	char *method = http_alloc_method();

	say_text("x-one", found);
	say_text("method", method);
	free(found);
	free(method);
	SAY(http_append_str(BERESP, "X-Two: 2"));
	SAY(http_append_str(BERESP, "X-Two: 3"));
	SAY(http_appendf(BERESP, "X-%s: %d", "Three", 3));
	SAY(http_set_str(BERESP, "X-Two: 4"));
	SAY(http_setf(BEREQ, "X-Own: %d", 5));
	SAY(http_find_str(BERESP, "x-two", text, sizeof(text)));
	say_text("x-two", text);
	SAY(http_find_str(BERESP, "x-two", text, 3));
	SAY(http_find_strlen(BEREQ, "X-Own"));
	SAY(http_find_strlen(BEREQ, "X-None"));
	SAY(http_unset_str(BERESP, "X-Three"));
	SAY(http_unset(BERESP, "X-Three", 7));
	SAY(sys_http_method(NULL, 0));
	SAY(sys_http_method(text, 1));
}

static void call_cache(void)
{
	SAY(set_cacheable(true, 1.5f, 2.25f, 3));
	SAY(sys_set_cacheable(false, 1, 2, 3));
}

static void call_expressions(void)
{
	char text[64] = "";
	int handle = sys_regex_compile("^X-(T[a-z]+): ", 14);

	SAY(handle);
	SAY(sys_regex_compile("^X-(T[a-z]+): ", 14));
	SAY(http_append_str(BEREQ, "X-Two: copied"));
	if (handle < 0)
		return;
	SAY(sys_regex_match(handle, "X-Two: ", 7));
	SAY(sys_regex_match(handle, "Y-Two: ", 7));
	SAY(sys_regex_subst(handle, "X-Two: a", "\\1=", text, sizeof(text), 0));
	say_text("replaced", text);
	SAY(sys_regex_copyto(handle, BEREQ, BERESP));
	sys_regex_free(handle);
}

static void in_storage(size_t n, struct virtbuffer buffers[], size_t res)
{
	(void)buffers;
	storage_return(NULL, n + res);
}

static void task(void *data, size_t len)
{
	(void)data;
	(void)len;
}

/* Without a storage these are refused, or end the run: each by itself. */
static void call_storage(void)
{
	SAY(sys_storage_allow(in_storage));
	SAY(STORAGE_ALLOW(task));
	SAY(stop_storage_task(77));
}

static void call_storage_call(void)
{
	char text[16] = "";

	SAY(storage_call(in_storage, "some", 4, text, sizeof(text)));
}

static void call_storage_task(void)
{
	SAY(storage_task(task, "some", 4));
	SAY(schedule_storage_task(task, "some", 4, 100, 100));
}

static void call_itself(void)
{
	const struct shared_memory_info area = shared_memory_area();
	struct meminfo memory;

	SAY(sys_is_storage());
	SAY(sys_is_debug());
	SAY(vcpuid());
	SAY(area.end - area.ptr);
	get_meminfo(&memory);
	SAY(memory.max_memory);
	SAY(memory.max_reqmem);
	sys_log("a text\n", 7);
	vlogf("%s %d", "a text of", 2);
	sys_breakpoint();
}

static void call_processors(void)
{
	SAY(multiprocess_wait());
	SAY(multiprocess(1, free, NULL));
	SAY(multiprocess_array(1, NULL, report, 1));
	SAY(multiprocess_clone(1, report, 1));
}

static void call_fetch(void)
{
	struct curl_options options;
	struct curl_fields fields;
	struct curl_op operation;
	const char url[] = "http://[::1]:1/";

	memset(&options, 0, sizeof(options));
	memset(&fields, 0, sizeof(fields));
	memset(&operation, 0, sizeof(operation));
	CURL_SETFIELD(&fields, 0, "X-One: 1");
	SAY(sys_fetch(url, sizeof(url) - 1, &operation, &fields, &options));
	SAY(sys_fetch(url, sizeof(url) - 1, &operation, NULL, NULL));
	SAY(sys_request("/", 1, &operation, NULL, NULL));
	SAY(operation.status);
}

static void call_sockets(void)
{
	struct kvm_socket_event event;

	memset(&event, 0, sizeof(event));
	event.event = SOCKET_WRITABLE;
	event.fd = 9;
	event.data = (const uint8_t *)"data";
	event.data_len = 4;
	sys_sockets_write(&event, 1);
	SAY(event.fd);
}

/* All six arguments, and both answers, of numbers that nobody has. */
static void call_unknown(void)
{
	static const long numbers[] = {0x10003, 0x10100, 0x10200, 0x1ffff, 0x7ffff, 0xfffff};
	long high;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		say("%#lx = %ld", numbers[i], kvm_api_call_pair(numbers[i], 1, 2, 3, 4, 5, 6, &high));
		say(", %ld\n", high);
	}
}

static void respond_extra(void)
{
	struct ResponseHeader fields[] = {{"X-One: 1", 8}, {"X-Two: 2", 8}, {"X-One", 5}};
	struct BackendResponseExtra extra;

	memset(&extra, 0, sizeof(extra));
	extra.headers = fields;
	extra.num_headers = 3;
	extra.cached = true;
	extra.ttl = 1.5f;
	extra.grace = 2.5f;
	extra.keep = 3.5f;
	backend_response_extra(201, "text/extra", 10, "extra", 5, &extra);
}

static struct streaming_content next_piece(void *arg, size_t max, size_t written, size_t total)
{
	static char piece[64];
	struct streaming_content content;

	memset(piece, *(const char *)arg + (char)(streamed++ % 26), sizeof(piece));
	content.data = piece;
	content.len = total - written < sizeof(piece) ? total - written : sizeof(piece);
	if (content.len > max)
		content.len = max;
	return content;
}

static void respond_streaming(void)
{
	begin_streaming_response(202, "text/stream", 11, 1000, next_piece, "a");
}

/* What is denied, and says why. */
static void wait_again(void)
{
	wait_for_requests();
}

static void register_late(void)
{
	register_func(KVM_API_ON_GET, wait_again);
}

static void find_nothing(void)
{
	http_find_strlen(BEREQ, "");
}

static void append_elsewhere(void)
{
	http_append_str(7, "X-One: 1");
}

static void append_no_field(void)
{
	http_append_str(BERESP, "X-One");
}

static void find_into_nowhere(void)
{
	http_find_str(BEREQ, "X-One", BAD_ADDRESS, 100);
}

static void respond_from_nowhere(void)
{
	backend_response(200, "text/plain", 10, BAD_ADDRESS, 100);
}

static void respond_with_status(void)
{
	backend_response_str(600, "text/plain", "");
}

static void match_without_regex(void)
{
	SAY(sys_regex_match(12345, "", 0));
}

static void return_from_storage(void)
{
	storage_return("some", 4);
}

static void leave_storage(void)
{
	storage_noreturn("some", 4);
}

static void change_ephemeral(void)
{
	SAY(sys_make_ephemeral(1));
}

static void stop_at_nothing(void)
{
	kvm_api_call(231 /* exit_group */, 3, 0, 0, 0, 0, 0);
}

static const struct {
	const char *url;
	void (*function)(void);
} functions[] = {
	{"/fields", call_fields},
	{"/cache", call_cache},
	{"/expressions", call_expressions},
	{"/storage", call_storage},
	{"/storage-call", call_storage_call},
	{"/storage-task", call_storage_task},
	{"/itself", call_itself},
	{"/processors", call_processors},
	{"/fetch", call_fetch},
	{"/sockets", call_sockets},
	{"/unknown", call_unknown},
	{"/extra", respond_extra},
	{"/streaming", respond_streaming},
	{"/wait", wait_again},
	{"/register", register_late},
	{"/find-nothing", find_nothing},
	{"/append-elsewhere", append_elsewhere},
	{"/append-no-field", append_no_field},
	{"/find-into-nowhere", find_into_nowhere},
	{"/respond-from-nowhere", respond_from_nowhere},
	{"/respond-with-status", respond_with_status},
	{"/match-without-regex", match_without_regex},
	{"/return-from-storage", return_from_storage},
	{"/leave-storage", leave_storage},
	{"/ephemeral", change_ephemeral},
	{"/exit", stop_at_nothing},
};

static void run(const char *url)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcmp(functions[i].url, url) == 0)
			functions[i].function();
	answer();
}

static void on_get(const char *url, const char *arg)
{
	say("GET %s %s\n", url, arg);
	run(url);
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	say("POST %s %s %s %zu %.*s %zu\n", url, arg, ctype, len, data != NULL ? (int)len : 0,
	    data != NULL ? (const char *)data : "", streamed);
	run(url);
}

static long on_stream_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                           size_t len, size_t offset)
{
	say("piece of %s %s %s at %zu: %.*s\n", url, arg, ctype, offset, (int)len,
	    (const char *)data);
	streamed += len;
	return (long)len;
}

static void on_error(const char *url, const char *arg, const char *exception)
{
	say("error in %s %s: %s\n", url, arg, exception);
	backend_response(500, "text/plain", 10, report, reported);
}

static void say_request(const struct kvm_request *request)
{
	say("%s %s %s %s %d %d %d %d %zu %.*s %d\n", request->method, request->url, request->arg,
	    request->content_type, request->method_len, request->url_len, request->arg_len,
	    request->content_type_len, request->content_len, (int)request->content_len,
	    request->content != NULL ? (const char *)request->content : "",
	    IS_WARMUP_REQUEST(request));
	for (uint16_t i = 0; i < request->num_headers; i++)
		say("%s %u %u\n", request->headers[i].field, request->headers[i].field_colon,
		    request->headers[i].field_len);
}

static void on_request(const struct kvm_request *request)
{
	say_request(request);
	run(request->url);
}

/* As long as the host lets it: each request finds what the one before has left. */
static void serve_paused(void)
{
	struct kvm_request request;

	for (;;) {
		wait_for_requests_paused(&request);
		on_request(&request);
	}
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";

	SAY(sys_make_ephemeral(1));
	if (strcmp(way, "on_error") == 0)
		set_on_error(on_error);
	if (strcmp(way, "paused") == 0)
		serve_paused();
	if (strcmp(way, "on_request") == 0)
		set_backend_request(on_request);
	if (strcmp(way, "stream") == 0)
		set_backend_stream_post(on_stream_post);
	set_backend_get(on_get);
	set_backend_post(on_post);
	wait_for_requests();
	return 0;
}
