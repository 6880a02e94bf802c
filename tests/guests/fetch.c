/* SPDX-License-Identifier: MIT */
/*
 * Fetches what the test has written into its memory: from main() ("boot" as the
 * argument), from functions that the test calls, and from the handler of a
 * request, which answers with what it got. By SYSCALL or by OUT.
 */
#include "kvm_api.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the host looks up by name. */
#define EXPORTED __attribute__((used, visibility("default")))

EXPORTED char url[1100] = "http://example/boot";
EXPORTED struct curl_op op;
EXPORTED struct curl_fields fields;
EXPORTED struct curl_options options;
EXPORTED char buffer[8192] __attribute__((aligned(4096)));

/* As programs do that were built for the original header: the fourth argument is in RCX. */
static long call_by_out(long number, const void *first, size_t second)
{
	register const struct curl_options *r8 __asm__("r8") = &options;
	long result;

	__asm__ volatile("outl %%eax, $0"
	                 : "=a"(result)
	                 : "0"(number), "D"(first), "S"(second), "d"(&op), "c"(&fields), "r"(r8)
	                 : "memory");
	return result;
}

EXPORTED long do_fetch(long by_out)
{
	if (by_out)
		return call_by_out(KVM_API_FETCH, url, strlen(url));
	return sys_fetch(url, strlen(url), &op, &fields, &options);
}

/* To itself, whatever the url. */
EXPORTED long do_request(long by_out)
{
	if (by_out)
		return call_by_out(KVM_API_REQUEST, url, strlen(url));
	return sys_request(url, strlen(url), &op, &fields, &options);
}

/* Reads the content, and writes it, too: it is the program's own. */
EXPORTED uint64_t sum_content(void)
{
	unsigned char *bytes = op.content;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < op.content_length; i++)
		sum += bytes[i]++;
	return sum;
}

EXPORTED size_t length_of_head(void)
{
	return op.headers != NULL ? strlen(op.headers) : SIZE_MAX;
}

/* Past the pages that hold the content nothing is mapped. */
EXPORTED void read_past_content(void)
{
	volatile char *end = (char *)op.content + ((op.content_length + 4095) & ~4095ul);

	(void)*end;
}

EXPORTED long drop_content(void)
{
	return munmap(op.content, (op.content_length + 4095) & ~4095ul);
}

/* Where the next mapping would be. */
EXPORTED uint64_t next_mapping(void)
{
	void *next = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(next, 4096);
	return (uintptr_t)next;
}

EXPORTED void make_read_only(void)
{
	mprotect(buffer + 4096, 4096, PROT_READ);
}

/* In a row: pages of the program's file, pages that were written, and some never used. */
#define PART 16384ul
static const char of_file[PART] __attribute__((aligned(4096))) = {3, [PART - 1] = 4};
static unsigned char *posted;

EXPORTED uintptr_t make_posted(void)
{
	const int flags = MAP_PRIVATE | MAP_FIXED;
	int file = open("/proc/self/exe", O_RDONLY);

	posted = mmap(NULL, 3 * PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mmap(posted, PART, PROT_READ, flags, file, 0) == MAP_FAILED)
		return 0;
	memset(posted + PART, 7, PART);
	memcpy(posted + PART, of_file, 4096);
	close(file);
	return (uintptr_t)posted;
}

EXPORTED size_t length_of_posted(void)
{
	return 3 * PART;
}

/* Without using what has not been used. */
EXPORTED uint64_t sum_posted(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < 2 * PART; i++)
		sum += posted[i];
	return sum;
}

static void serve(const char *path, const char *argument)
{
	struct curl_op own = {.content = NULL};
	long result;

	(void)path;
	result = sys_fetch(argument, strlen(argument), &own, NULL, NULL);
	if (result == 0)
		backend_response((int16_t)own.status, own.ctype, own.ctlen, own.content,
		                 own.content_length);
	else
		backend_response_str(502, "text/plain", "it failed");
}

/* The failure of a request: fetched, too. */
static void serve_error(const char *path, const char *argument, const char *exception)
{
	(void)exception;
	serve(path, argument);
}

int main(int argc, char **argv)
{
	op.ctlen = 0;
	if (argc > 1 && strcmp(argv[1], "boot") == 0 && do_fetch(0) != 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "on_error") == 0)
		set_on_error(serve_error);
	set_backend_get(serve);
	wait_for_requests();
	return 2;
}
