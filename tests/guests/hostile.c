/* SPDX-License-Identifier: MIT */
/*
 * A guest that means harm: one function for each attack, chosen by the path of
 * the request. What an attack leaves alive answers "survived".
 *
 * Calls are made by their numbers, with whatever is in the registers: the
 * functions of kvm_api.h would convert some of it.
 */
#include "kvm_api.h"
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEBIBYTE (1ul << 20)
#define KERNEL 0xffffffff80000000ul
#define UNMAPPED 0x7000deadb000ul
#define NOT_CANONICAL 0x8000000000000000ul

static char bytes[70000];
static void *no_access, *read_only;

static long call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                 unsigned long e, unsigned long f)
{
	return kvm_api_call(number, (long)a, (long)b, (long)c, (long)d, (long)e, (long)f);
}

static unsigned long at(const void *pointer)
{
	return (unsigned long)(uintptr_t)pointer;
}

static void respond(unsigned long status, unsigned long type, unsigned long type_length,
                    unsigned long content, unsigned long length, unsigned long extra)
{
	call(KVM_API_BACKEND_RESPONSE, status, type, type_length, content, length, extra);
}

/* ---- Status ---- */

static void status_zero(void)
{
	respond(0, 0, 0, 0, 0, 0);
}

static void status_low(void)
{
	respond(199, 0, 0, 0, 0, 0);
}

static void status_high(void)
{
	respond(600, 0, 0, 0, 0, 0);
}

static void status_negative(void)
{
	respond(-200ul, 0, 0, 0, 0, 0);
}

/* Sixteen bits are a status, whatever is above. */
static void status_wide(void)
{
	respond(0xdead00c8, 0, 0, 0, 0, 0);
}

/* ---- Content type ---- */

static void type_of(const char *type)
{
	respond(200, at(type), strlen(type), 0, 0, 0);
}

static void type_splits(void)
{
	type_of("text/html\r\nSet-Cookie: a=b\r\n\r\n<script>");
}

static void type_with_newline(void)
{
	type_of("text/html\n");
}

static void type_with_control(void)
{
	type_of("text/\033html");
}

static void type_too_long(void)
{
	memset(bytes, 'a', sizeof(bytes));
	respond(200, at(bytes), 4096, 0, 0, 0);
}

/* No NUL in sight: it ends where it was said to. */
static void type_unended(void)
{
	memset(bytes, 'a', sizeof(bytes));
	respond(200, at(bytes), 10, 0, 0, 0);
}

/* The last byte of the last page that there is. */
static void type_at_an_edge(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 4096, 4096);
	page[4095] = 'a';
	respond(200, at(page) + 4095, 1, 0, 0, 0);
}

static void type_over_an_edge(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 4096, 4096);
	respond(200, at(page) + 4095, 2, 0, 0, 0);
}

static void type_of_kernel(void)
{
	respond(200, KERNEL, 10, 0, 0, 0);
}

static void type_of_null(void)
{
	respond(200, 0, 10, 0, 0, 0);
}

/* ---- Content ---- */

static void content_of(unsigned long address, unsigned long length)
{
	respond(200, 0, 0, address, length, 0);
}

static void content_of_null(void)
{
	content_of(0, 1);
}

static void content_of_kernel(void)
{
	content_of(KERNEL, 4096);
}

static void content_up_to_kernel(void)
{
	content_of(LAYOUT_USER_END - 10, 100);
}

static void content_unmapped(void)
{
	content_of(UNMAPPED, 100);
}

static void content_without_access(void)
{
	content_of(at(no_access), 4096);
}

static void content_half_there(void)
{
	content_of(at(no_access) - 100, 200);
}

static void content_not_canonical(void)
{
	content_of(NOT_CANONICAL, 1);
}

static void content_wraps(void)
{
	content_of(at(bytes), -at(bytes));
}

static void content_wraps_to_all(void)
{
	content_of(at(bytes), ~0ul);
}

static void content_of_a_terabyte(void)
{
	content_of(at(bytes), 1ul << 40);
}

static void content_too_large(void)
{
	content_of(at(bytes), 513 * MEBIBYTE);
}

static void content_of_text(void)
{
	content_of(at(content_of_text), 16);
}

/* ---- Extras ---- */

static struct ResponseHeader headers[100];
static struct BackendResponseExtra extra = {.headers = headers};

static void with_extra(const void *pointer)
{
	respond(200, 0, 0, 0, 0, at(pointer));
}

static void one_header(const char *text, unsigned long length)
{
	headers[0] = (struct ResponseHeader){text, length};
	extra.num_headers = 1;
	with_extra(&extra);
}

static void extra_of_nothing(void)
{
	with_extra((const void *)8);
}

static void extra_of_kernel(void)
{
	with_extra((const void *)KERNEL);
}

static void extra_unmapped(void)
{
	with_extra((const void *)UNMAPPED);
}

static void extra_headers_of_nothing(void)
{
	extra.headers = NULL;
	with_extra(&extra);
}

static void extra_headers_of_kernel(void)
{
	extra.headers = (const struct ResponseHeader *)KERNEL;
	extra.num_headers = 1;
	with_extra(&extra);
}

static void extra_too_many(void)
{
	extra.num_headers = 65;
	with_extra(&extra);
}

static void extra_far_too_many(void)
{
	extra.num_headers = 65535;
	with_extra(&extra);
}

static void extra_splits(void)
{
	one_header("A: b\r\nC: d", 10);
}

static void extra_text_of_kernel(void)
{
	one_header((const char *)KERNEL, 10);
}

static void extra_length_wraps(void)
{
	one_header(bytes, ~0ul);
}

/* 0x1000a: the low half alone would do. */
static void extra_length_is_wide(void)
{
	one_header("A: b and more", 0x10004);
}

/* ---- Fields ---- */

static long set(const char *text)
{
	return call(KVM_API_HTTP_SET, 1, at(text), strlen(text), 0, 0, 0);
}

static void field_splits(void)
{
	set("A: b\r\nSet-Cookie: c");
}

static void field_with_nul(void)
{
	call(KVM_API_HTTP_APPEND, 1, at("A: b\0c"), 6, 0, 0, 0);
}

static void field_with_control(void)
{
	set("A: b\001");
}

static void field_with_odd_name(void)
{
	set("A(b): c");
}

static void field_folded(void)
{
	set("A: b\r\n\tc");
}

static void field_without_end(void)
{
	call(KVM_API_HTTP_APPEND, 1, at("A: b"), ~0ul, 0, 0, 0);
}

static void field_of_kernel(void)
{
	call(KVM_API_HTTP_APPEND, 1, KERNEL, 10, 0, 0, 0);
}

static void field_too_long(void)
{
	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "A: ", 3);
	call(KVM_API_HTTP_APPEND, 1, at(bytes), 65536, 0, 0, 0);
}

/* A full table is an answer, not a crime. */
static void fields_without_number(void)
{
	unsigned long refused = 0;

	for (unsigned i = 0; i < 200; i++)
		refused += call(KVM_API_HTTP_APPEND, 1, at("A: b"), 4, 0, 0, 0) == 0xffffffff;
	if (refused == 200 - 64)
		respond(200, 0, 0, at("full"), 4, 0);
}

static void fields_without_room(void)
{
	unsigned long refused = 0;

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "A: ", 3);
	for (unsigned i = 0; i < 64; i++)
		refused += call(KVM_API_HTTP_APPEND, 1, at(bytes), 65535, 0, 0, 0) == 0xffffffff;
	if (refused == 64 - 16)
		respond(200, 0, 0, at("full"), 4, 0);
}

static void field_of_no_side(void)
{
	call(KVM_API_HTTP_APPEND, 7, at("A: b"), 4, 0, 0, 0);
}

static void find_to_kernel(void)
{
	call(KVM_API_HTTP_FIND, 0, at("Host"), 4, KERNEL, 100, 0);
}

static void find_to_read_only(void)
{
	call(KVM_API_HTTP_FIND, 0, at("Host"), 4, at(read_only), 100, 0);
}

static void find_to_text(void)
{
	call(KVM_API_HTTP_FIND, 0, at("Host"), 4, at(find_to_text), 100, 0);
}

static void find_by_odd_name(void)
{
	call(KVM_API_HTTP_FIND, 0, at("Ho:st"), 5, 0, 0, 0);
}

static void method_to_kernel(void)
{
	call(KVM_API_HTTP_METHOD, KERNEL, 100, 0, 0, 0, 0);
}

static void memory_to_kernel(void)
{
	call(KVM_API_GET_MEMINFO, KERNEL, 0, 0, 0, 0, 0);
}

/* ---- Logs ---- */

static void log_of_kernel(void)
{
	call(KVM_API_LOG, KERNEL, 10, 0, 0, 0, 0);
}

/* 13 MB, most of which nobody is to have. */
static void log_flood(void)
{
	memset(bytes, 'l', sizeof(bytes));
	for (unsigned i = 0; i < 200; i++)
		call(KVM_API_LOG, at(bytes), 65535, 0, 0, 0, 0);
}

/* ---- Calls without end ---- */

static void call_without_end(void)
{
	for (;;)
		call(KVM_API_IS_STORAGE, 0, 0, 0, 0, 0, 0);
}

static void unknown_without_end(void)
{
	for (;;)
		call(0x12345, 0, 0, 0, 0, 0, 0);
}

static void every_number(void)
{
	for (long number = 0x10800; number < 0x10a80; number++)
		if (call(number, at(bytes), at(bytes), 1, 1, 1, 1) != -38 &&
		    number != KVM_API_GET_MEMINFO)
			return;
}

/* ---- The ground under its feet ---- */

/* No stack is left for anything that comes. */
static void unmap_stack(void)
{
	const unsigned long here = at(__builtin_frame_address(0)) & ~0xffful;

	__asm__ volatile("syscall" ::"a"(11L), "D"(here - 16 * MEBIBYTE), "S"(32 * MEBIBYTE)
	                 : "rcx", "r11", "memory");
	__asm__ volatile("syscall" ::"a"(0x10010L), "D"(200L), "S"(0L), "d"(0L)
	                 : "rcx", "r11", "memory");
}

static void unmap_all(void)
{
	__asm__ volatile("syscall" ::"a"(11L), "D"((long)LAYOUT_USER_START),
	                 "S"(LAYOUT_USER_END - LAYOUT_USER_START)
	                 : "rcx", "r11", "memory");
}

static void close_all(void)
{
	for (int i = 0; i < 300; i++)
		close(i);
}

static void respond_twice(void)
{
	respond(201, 0, 0, at("first"), 5, 0);
	respond(202, 0, 0, at("second"), 6, 0);
}

/* ---- Regular expressions ---- */

static int compiled(const char *pattern)
{
	return sys_regex_compile(pattern, strlen(pattern));
}

/* Exponential for a matcher that goes back. */
static void regex_explodes(void)
{
	int handle = compiled("^(a+)+$");

	memset(bytes, 'a', 60000);
	bytes[59999] = 'b';
	if (sys_regex_match(handle, bytes, 60000) >= 0)
		exit(1);
}

/* Each {} multiplies. */
static void regex_is_huge(void)
{
	compiled("(((((a{1,100}){1,100}){1,100}){1,100}){1,100}){1,100}");
}

static void regex_is_deep(void)
{
	memset(bytes, '(', 30000);
	memset(bytes + 30000, ')', 30000);
	sys_regex_compile(bytes, 60000);
}

static void regex_is_broken(void)
{
	compiled("a(b");
}

static void regex_of_kernel(void)
{
	sys_regex_compile((const char *)KERNEL, 10);
}

static void regex_handle_is_wild(void)
{
	sys_regex_match(1000000, "a", 1);
}

static void regex_handle_is_negative(void)
{
	sys_regex_free(-1);
}

static void regexes_without_number(void)
{
	for (unsigned i = 0; i < 65; i++) {
		char pattern[16];

		snprintf(pattern, sizeof(pattern), "a%u", i);
		compiled(pattern);
	}
}

/* The text is in no page's end. */
static void regex_text_unended(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 4096, 4096);
	memset(page, 'a', 4096);
	sys_regex_subst(compiled("a"), page, "b", bytes, sizeof(bytes), 1);
}

/* Grows with each replacement; what does not fit is cut. */
static void regex_grows(void)
{
	char *text = mmap(NULL, MEBIBYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int handle = compiled("a");

	memset(text, 'a', 65000);
	memset(bytes, 'b', 65000);
	bytes[65000] = '\0';
	if (sys_regex_subst(handle, text, bytes, text, 100, 1) > 100)
		exit(1);
}

/* ---- Fetching ---- */

static void fetch_from_kernel(void)
{
	struct curl_op op = {0};

	call(KVM_API_FETCH, KERNEL, 100, at(&op), 0, 0, 0);
}

static void fetch_to_kernel(void)
{
	call(KVM_API_FETCH, at("http://127.0.0.1:1/"), 19, KERNEL, 0, 0, 0);
}

static void fetch_without_end(void)
{
	struct curl_op op = {0};

	call(KVM_API_FETCH, at(bytes), ~0ul, at(&op), 0, 0, 0);
}

#define ATTACK(name)                                                                               \
	{                                                                                          \
		"/" #name, name                                                                    \
	}
static const struct {
	const char *path;
	void (*run)(void);
} attacks[] = {
	ATTACK(status_zero),
	ATTACK(status_low),
	ATTACK(status_high),
	ATTACK(status_negative),
	ATTACK(status_wide),
	ATTACK(type_splits),
	ATTACK(type_with_newline),
	ATTACK(type_with_control),
	ATTACK(type_too_long),
	ATTACK(type_unended),
	ATTACK(type_at_an_edge),
	ATTACK(type_over_an_edge),
	ATTACK(type_of_kernel),
	ATTACK(type_of_null),
	ATTACK(content_of_null),
	ATTACK(content_of_kernel),
	ATTACK(content_up_to_kernel),
	ATTACK(content_unmapped),
	ATTACK(content_without_access),
	ATTACK(content_half_there),
	ATTACK(content_not_canonical),
	ATTACK(content_wraps),
	ATTACK(content_wraps_to_all),
	ATTACK(content_of_a_terabyte),
	ATTACK(content_too_large),
	ATTACK(content_of_text),
	ATTACK(extra_of_nothing),
	ATTACK(extra_of_kernel),
	ATTACK(extra_unmapped),
	ATTACK(extra_headers_of_nothing),
	ATTACK(extra_headers_of_kernel),
	ATTACK(extra_too_many),
	ATTACK(extra_far_too_many),
	ATTACK(extra_splits),
	ATTACK(extra_text_of_kernel),
	ATTACK(extra_length_wraps),
	ATTACK(extra_length_is_wide),
	ATTACK(field_splits),
	ATTACK(field_with_nul),
	ATTACK(field_with_control),
	ATTACK(field_with_odd_name),
	ATTACK(field_folded),
	ATTACK(field_without_end),
	ATTACK(field_of_kernel),
	ATTACK(field_too_long),
	ATTACK(fields_without_number),
	ATTACK(fields_without_room),
	ATTACK(field_of_no_side),
	ATTACK(find_to_kernel),
	ATTACK(find_to_read_only),
	ATTACK(find_to_text),
	ATTACK(find_by_odd_name),
	ATTACK(method_to_kernel),
	ATTACK(memory_to_kernel),
	ATTACK(log_of_kernel),
	ATTACK(log_flood),
	ATTACK(call_without_end),
	ATTACK(unknown_without_end),
	ATTACK(every_number),
	ATTACK(unmap_stack),
	ATTACK(unmap_all),
	ATTACK(close_all),
	ATTACK(respond_twice),
	ATTACK(regex_explodes),
	ATTACK(regex_is_huge),
	ATTACK(regex_is_deep),
	ATTACK(regex_is_broken),
	ATTACK(regex_of_kernel),
	ATTACK(regex_handle_is_wild),
	ATTACK(regex_handle_is_negative),
	ATTACK(regexes_without_number),
	ATTACK(regex_text_unended),
	ATTACK(regex_grows),
	ATTACK(fetch_from_kernel),
	ATTACK(fetch_to_kernel),
	ATTACK(fetch_without_end),
};

static void on_get(const char *url, const char *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		if (strcmp(url, attacks[i].path) == 0) {
			attacks[i].run();
			backend_response_str(200, "text/plain", "survived");
		}
	}
	backend_response_str(404, "text/plain", "no such attack");
}

/* ---- What the host has put into its memory ---- */

static void take_away(const void *start, size_t length, const char *how)
{
	const unsigned long first = at(start) & ~0xffful, end = at(start) + length;
	const size_t whole = (end - first + 4095) & ~0xffful;
	void *pages = (void *)first;

	if (strcmp(how, "/unmap") == 0)
		munmap(pages, whole);
	if (strcmp(how, "/protect") == 0)
		mprotect(pages, whole, PROT_READ);
	if (strcmp(how, "/hide") == 0)
		mprotect(pages, whole, PROT_NONE);
	if (strcmp(how, "/replace") == 0)
		mmap(pages, whole, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	char text[32];

	(void)arg;
	(void)ctype;
	snprintf(text, sizeof(text), "%zu: %02x", len, data[len - 1]);
	take_away(data, len, url);
	backend_response_str(200, "text/plain", text);
}

/* The texts of a request, each time anew. */
static void take_requests_away(void)
{
	for (;;) {
		static struct kvm_request request;
		static char how[32];

		wait_for_requests_paused(&request);
		snprintf(how, sizeof(how), "%s", request.url);
		take_away(request.url, 100, how);
		backend_response_str(200, "text/plain", how);
	}
}

/*
 * In place of functions, a loop that wants its request where it does not
 * belong. The first request comes to the address, all others well.
 */
static void wait_at(unsigned long address)
{
	static struct kvm_request request;

	call(KVM_API_WAIT_PAUSED, address, 0, 0, 0, 0, 0);
	for (;;) {
		backend_response_str(200, "text/plain", "survived");
		wait_for_requests_paused(&request);
	}
}

int main(int argc, char **argv)
{
	char *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                   0);

	memset(pages, 'p', 4 * 4096);
	no_access = pages + 4096;
	mprotect(no_access, 4096, PROT_NONE);
	read_only = pages + 2 * 4096;
	mprotect(read_only, 4096, PROT_READ);
	if (argc > 1 && strcmp(argv[1], "take-requests-away") == 0)
		take_requests_away();
	if (argc > 1 && strcmp(argv[1], "wait-at-kernel") == 0)
		wait_at(KERNEL);
	if (argc > 1 && strcmp(argv[1], "wait-at-null") == 0)
		wait_at(0);
	if (argc > 1 && strcmp(argv[1], "wait-at-unmapped") == 0)
		wait_at(UNMAPPED);
	if (argc > 1 && strcmp(argv[1], "wait-at-read-only") == 0)
		wait_at(at(read_only));
	if (argc > 1 && strcmp(argv[1], "wait-at-text") == 0)
		wait_at(at(wait_at));
	if (argc > 1 && strcmp(argv[1], "wait-at-edge") == 0)
		wait_at(at(no_access) - 50);
	if (argc > 1 && strcmp(argv[1], "wait-at-end") == 0)
		wait_at(~0ul - 10);
	set_backend_get(on_get);
	set_backend_post(on_post);
	wait_for_requests();
	return 0;
}
