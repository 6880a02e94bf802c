/* SPDX-License-Identifier: MIT */
/*
 * Makes one call of the guest API, with arguments that are sound where it is
 * allowed at all, in each state in which a program can be: in main(), for which
 * the number is the first argument; in a handler ("/NUMBER"), in the function of
 * a streamed response ("/stream/NUMBER"), in on_error ("/error/NUMBER"), and in a
 * function that the host calls (attempt).
 */
#include "kvm_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((used, visibility("default")))
#define MADE_SIZE 32

/* Of the call in main(). */
EXPORTED long answer;
EXPORTED int is_answered;

static char made[MADE_SIZE], out[64];
static struct kvm_request request;
static struct kvm_socket_event event = {.fd = 5, .event = SOCKET_READ};
static struct curl_op op;
static struct meminfo memory;

static struct streaming_content give(void *arg, size_t max, size_t written, size_t total)
{
	(void)arg;
	(void)max;
	return (struct streaming_content){made + written, total - written};
}

static void handle(const char *url, const char *arg);

/* By the calling convention of the call. */
static void arguments_of(long number, long list[6])
{
	const long text = KVM_API_POINTER("text"), function = KVM_API_POINTER(handle);
	const struct {
		long number;
		long list[6];
	} calls[] = {
		{KVM_API_REGISTER_FUNC, {KVM_API_ON_GET, function}},
		{KVM_API_WAIT_FOR_REQUESTS, {0}},
		{KVM_API_WAIT_PAUSED, {KVM_API_POINTER(&request)}},
		{KVM_API_SET_CACHEABLE, {1, 1000, 2000, 3000}},
		{KVM_API_BACKEND_RESPONSE, {201, text, 4, text, 4}},
		{KVM_API_STORAGE_RETURN, {text, 4}},
		{KVM_API_STREAMING_RESPONSE, {202, text, 4, 10, KVM_API_POINTER(give)}},
		{KVM_API_STORAGE_NORETURN, {text, 4}},
		{KVM_API_HTTP_APPEND, {1, KVM_API_POINTER("A: b"), 4}},
		{KVM_API_HTTP_SET, {1, KVM_API_POINTER("A: b"), 4}},
		{KVM_API_HTTP_FIND, {0, KVM_API_POINTER("Host"), 4}},
		{KVM_API_HTTP_METHOD, {0}},
		{KVM_API_REGEX_COMPILE, {KVM_API_POINTER("a"), 1}},
		{KVM_API_REGEX_FREE, {0}},
		{KVM_API_REGEX_MATCH, {0, KVM_API_POINTER("a"), 1}},
		{KVM_API_REGEX_SUBST,
	         {0, KVM_API_POINTER("a"), KVM_API_POINTER("b"), KVM_API_POINTER(out), sizeof(out)}},
		{KVM_API_REGEX_COPYTO, {0, 0, 1}},
		{KVM_API_SOCKETS_WRITE, {KVM_API_POINTER(&event), 1}},
		{KVM_API_MAKE_EPHEMERAL, {1}},
		{KVM_API_STORAGE_ALLOW, {function}},
		{KVM_API_STORAGE_CALLV, {function}},
		{KVM_API_STORAGE_TASK, {function, text, 4}},
		{KVM_API_MULTIPROCESS, {2, function}},
		{KVM_API_MULTIPROCESS_ARRAY, {2, function, text, 1}},
		{KVM_API_MULTIPROCESS_CLONE, {2, text, 4096}},
		{KVM_API_GET_MEMINFO, {KVM_API_POINTER(&memory)}},
		{KVM_API_FETCH, {KVM_API_POINTER("http://a/"), 9, KVM_API_POINTER(&op)}},
		{KVM_API_REQUEST, {KVM_API_POINTER("/a"), 2, KVM_API_POINTER(&op)}},
		{KVM_API_LOG, {text, 4}},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].number == number)
			memcpy(list, calls[i].list, sizeof(calls[i].list));
}

EXPORTED long attempt(long number)
{
	long list[6] = {0};

	arguments_of(number, list);
	return kvm_api_call(number, list[0], list[1], list[2], list[3], list[4], list[5]);
}

static struct streaming_content attempt_and_give(void *arg, size_t max, size_t written, size_t total)
{
	snprintf(made, sizeof(made), "%ld", attempt((long)(uintptr_t)arg));
	return give(NULL, max, written, total);
}

static void attempt_and_answer(const char *url, const char *arg, const char *exception)
{
	(void)arg;
	(void)exception;
	snprintf(made, sizeof(made), "%ld", attempt(atol(strrchr(url, '/') + 1)));
	backend_response_str(200, "text/plain", made);
}

static void handle(const char *url, const char *arg)
{
	if (strncmp(url, "/error/", 7) == 0)
		__builtin_trap();
	if (strncmp(url, "/stream/", 8) == 0)
		begin_streaming_response(200, "", 0, MADE_SIZE, attempt_and_give,
		                         (void *)(uintptr_t)atol(url + 8));
	attempt_and_answer(url, arg, NULL);
}

int main(int argc, char **argv)
{
	sys_regex_compile("a", 1);
	if (argc > 1) {
		answer = attempt(atol(argv[1]));
		is_answered = 1;
	}
	set_backend_get(handle);
	set_on_error(attempt_and_answer);
	wait_for_requests();
	return 0;
}
