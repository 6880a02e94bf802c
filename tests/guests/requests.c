/* SPDX-License-Identifier: MIT */
/*
 * Handlers for the tests of requests: each says who it is and what it was
 * given, or does what the path of the request asks for. The letters of the first
 * argument say what main() registers:
 *
 *   g get   p post   r request   s stream post   e on_error   w waits paused
 *   k wants to be kept
 *
 * and what none should do: x returns, X exits, 0 no function, K a kernel's, I an
 * entry that there is not, a answers before anybody has asked.
 *
 * The second is what on_error does: a path of `actions`.
 */
#include "kvm_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char page[256 << 10];
static size_t page_length;
static const char *on_error_does = "/say";

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(page + page_length, sizeof(page) - page_length, format, arguments);
	va_end(arguments);
	page_length += (size_t)length;
	if (length < 0 || page_length >= sizeof(page))
		page_length = 0;
}

/*
 * Of every handler, with its __builtin_frame_address(0), which is a multiple of 16
 * where the stack at its entry was as psABI 3.2.2 wants it.
 */
static void begin(const void *frame)
{
	page_length = 0;
	if ((uintptr_t)frame % 16 != 0)
		say("MISALIGNED ");
}

static void answer(void)
{
	backend_response(200, "text/plain", strlen("text/plain"), page, page_length);
}

static uint64_t sum_of(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

/* ---- Ways to fail ---- */

static volatile int *volatile nowhere;
static volatile unsigned zero;
static volatile double float_zero;
static int handled;

static void do_nothing(void)
{
}

static void do_exit(void)
{
	_exit(0);
}

static void read_null(void)
{
	(void)*nowhere;
}

static void read_unmapped(void)
{
	nowhere = (volatile int *)0x7000deadb000;
	(void)*nowhere;
}

static void read_kernel(void)
{
	nowhere = (volatile int *)0xffff800000000000;
	(void)*nowhere;
}

static void write_text(void)
{
	nowhere = (volatile int *)(uintptr_t)write_text;
	*nowhere = 1;
}

static void read_not_canonical(void)
{
	nowhere = (volatile int *)0x8000000000000000;
	(void)*nowhere;
}

static void divide(void)
{
	zero = 100 / zero;
}

static void illegal(void)
{
	__asm__ volatile("ud2");
}

static void breakpoint(void)
{
	__asm__ volatile("int3");
}

/* SS is used for RBP and RSP. */
static void stack_segment(void)
{
	__asm__ volatile("push %%rbp\n"
	                 "movabs $0x8000000000000000, %%rbp\n"
	                 "mov (%%rbp), %%rax\n"
	                 "pop %%rbp\n" ::
	                         : "rax");
}

static void x87(void)
{
	const uint16_t all_unmasked = 0x340;

	__asm__ volatile("fldcw %0\nfld1\nfldz\nfdivrp\nfwait" ::"m"(all_unmasked));
}

static void simd(void)
{
	const uint32_t all_unmasked = 0;

	__asm__ volatile("ldmxcsr %0" ::"m"(all_unmasked));
	float_zero = 1.0 / float_zero;
}

static void privileged(void)
{
	__asm__ volatile("hlt");
}

static void jump_nowhere(void)
{
	void (*volatile function)(void) = (void (*)(void))(uintptr_t)0x7000deadb000;

	function();
}

static void overflow_stack(void)
{
	__asm__ volatile("1: push %rax\n jmp 1b");
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

static void devour(void)
{
	for (;;) {
		char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (block == MAP_FAILED)
			spin();
		for (size_t i = 0; i < 1 << 20; i += 4096)
			block[i] = 1;
	}
}

static void bad_status(void)
{
	backend_response_str(600, "text/plain", "");
}

static void bad_type_length(void)
{
	backend_response(200, page, 4096, NULL, 0);
}

static void bad_content(void)
{
	backend_response(200, NULL, 0, (const void *)0x7000deadb000, 10);
}

static void bad_field(void)
{
	http_append_str(BERESP, "no colon");
}

static void do_register(void)
{
	set_backend_get(NULL);
}

static void do_wait(void)
{
	wait_for_requests();
}

static void do_wait_paused(void)
{
	struct kvm_request request;

	wait_for_requests_paused(&request);
}

static void do_ephemeral(void)
{
	sys_make_ephemeral(0);
}

static void assert_something(void)
{
	abort();
}

/* ---- What answers in its own way ---- */

static void twice(void)
{
	backend_response_str(201, "text/first", "first");
	backend_response_str(404, "text/second", "second");
}

static void then_crash(void)
{
	backend_response_str(200, "text/plain", "crashes now");
	illegal();
}

static void then_exit(void)
{
	backend_response_str(200, "text/plain", "exits now");
	_exit(0);
}

static void then_spin(void)
{
	backend_response_str(200, "text/plain", "spins now");
	spin();
}

static void count(void)
{
	handled++;
	say("%d", handled);
	answer();
}

static void extra(void)
{
	static const struct ResponseHeader headers[] = {{"X-One: 1", 8},
	                                                {"X-Two: 2", 8},
	                                                {"x-one: 3", 8},
	                                                {"X-Two", 5},
	                                                {"X-Last: 4 and more", 9}};
	const struct BackendResponseExtra more = {
		.headers = headers,
		.num_headers = sizeof(headers) / sizeof(headers[0]),
		.cached = true,
		.ttl = 1.5f,
		.grace = 2.5f,
		.keep = 3.5f,
		.reserved = {~0ull, ~0ull, ~0ull, ~0ull},
	};

	backend_response_extra(200, "text/plain", 10, "extra", 5, &more);
}

/* With `cached` 0 the rest of it says nothing. */
static void extra_uncached(void)
{
	static const struct ResponseHeader none[1];
	const struct BackendResponseExtra more = {.headers = none, .ttl = 1.5f};

	backend_response_extra(200, "text/plain", 10, "extra", 5, &more);
}

static void type_of_a_page(void)
{
	memset(page, 't', 4095);
	backend_response(200, page, 4095, NULL, 0);
}

/* Old programs keep such pointers in an int, which is extended by its sign. */
static void addresses(void)
{
	const void *const pointers[] = {
		page, &handled, __builtin_frame_address(0), getenv("PLACE"), malloc(100), sbrk(0)};

	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		say("%s", (uintptr_t)pointers[i] < 1u << 31 ? "low " : "HIGH ");
	answer();
}

static void type_with_nul(void)
{
	backend_response(200, "text/plain", sizeof("text/plain"), "x", 1);
}

static void empty(void)
{
	backend_response(204, NULL, 0, (const void *)0x10, 0);
}

static const struct {
	const char *path;
	void (*act)(void);
} actions[] = {
	{"/nothing", do_nothing},
	{"/exit", do_exit},
	{"/abort", assert_something},
	{"/null", read_null},
	{"/unmapped", read_unmapped},
	{"/kernel", read_kernel},
	{"/text", write_text},
	{"/not-canonical", read_not_canonical},
	{"/divide", divide},
	{"/illegal", illegal},
	{"/breakpoint", breakpoint},
	{"/stack-segment", stack_segment},
	{"/x87", x87},
	{"/simd", simd},
	{"/privileged", privileged},
	{"/jump", jump_nowhere},
	{"/stack", overflow_stack},
	{"/spin", spin},
	{"/devour", devour},
	{"/bad-status", bad_status},
	{"/bad-type", bad_type_length},
	{"/bad-content", bad_content},
	{"/bad-field", bad_field},
	{"/register", do_register},
	{"/wait", do_wait},
	{"/wait-paused", do_wait_paused},
	{"/ephemeral", do_ephemeral},
	{"/twice", twice},
	{"/then-crash", then_crash},
	{"/then-exit", then_exit},
	{"/then-spin", then_spin},
	{"/count", count},
	{"/extra", extra},
	{"/extra-uncached", extra_uncached},
	{"/type-of-a-page", type_of_a_page},
	{"/type-with-nul", type_with_nul},
	{"/addresses", addresses},
	{"/empty", empty},
};

/* Whether the path is one of an action, which has been done. */
static bool act(const char *path)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(path, actions[i].path) == 0) {
			actions[i].act();
			return true;
		}
	}
	return false;
}

/* ---- Handlers ---- */

static void say_content(const uint8_t *data, size_t len)
{
	if (data == NULL)
		say(" no data, %zu", len);
	else
		say(" %s data, %zu, sum %llx", (uintptr_t)data % 4096 == 0 ? "aligned" : "unaligned",
		    len, (unsigned long long)sum_of(data, len));
}

static void on_get(const char *url, const char *arg)
{
	begin(__builtin_frame_address(0));
	if (act(url))
		return;
	say("get %s [%s]", url, arg);
	answer();
}

/* Pieces of a body as they came. */
static struct {
	size_t count, length, largest;
	uint64_t sum;
	bool in_order;
	char url[64], arg[64], type[64];
} pieces;

static long on_piece(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                     size_t len, size_t offset)
{
	if (offset == 0) {
		memset(&pieces, 0, sizeof(pieces));
		pieces.in_order = true;
	}
	pieces.in_order &= offset == pieces.length && len > 0;
	pieces.count++;
	pieces.length += len;
	if (len > pieces.largest)
		pieces.largest = len;
	for (size_t i = 0; i < len; i++)
		pieces.sum = pieces.sum * 31 + data[i];
	snprintf(pieces.url, sizeof(pieces.url), "%s", url);
	snprintf(pieces.arg, sizeof(pieces.arg), "%s", arg);
	snprintf(pieces.type, sizeof(pieces.type), "%s", ctype);
	if (strcmp(url, "/refuse") == 0)
		return (long)len - 1;
	if (strcmp(url, "/refuse-the-second") == 0 && offset > 0)
		return -1;
	if (strcmp(url, "/piece-crashes") == 0)
		illegal();
	if (strcmp(url, "/piece-answers") == 0)
		backend_response_str(200, "text/plain", "too early");
	if (strcmp(url, "/piece-spins") == 0)
		spin();
	return (long)len;
}

static void say_pieces(void)
{
	if (pieces.count != 0)
		say(" %s of %zu, sum %llx [%s %s %s]", pieces.in_order ? "pieces" : "DISORDER",
		    pieces.length, (unsigned long long)pieces.sum, pieces.url, pieces.arg,
		    pieces.type);
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	begin(__builtin_frame_address(0));
	if (act(url))
		return;
	if (strcmp(url, "/echo") == 0)
		backend_response(200, ctype, strlen(ctype), data, len);
	say("post %s [%s] %s", url, arg, ctype);
	say_content(data, len);
	say_pieces();
	answer();
}

/* A text that is as long as is said, and ends there. */
static void say_text(const char *name, const char *text, size_t length)
{
	if (text == NULL)
		say("%s is NULL\n", name);
	else if ((uint16_t)strlen(text) != length)
		say("%s has the wrong length\n", name);
	else
		say("%s %s\n", name, text);
}

static void describe(const struct kvm_request *request)
{
	say_text("method", request->method, request->method_len);
	say_text("url", request->url, request->url_len);
	say_text("arg", request->arg, request->arg_len);
	say_text("type", request->content_type, request->content_type_len);
	say("content");
	say_content(request->content, request->content_len);
	say("\nflags %d", request->info_flags);
	say(" reserved %lu\n",
	    (unsigned long)(request->reserved0 | request->reserved[0] | request->reserved[1]));
	if (request->headers == NULL)
		say("headers are NULL, %u\n", request->num_headers);
	for (unsigned i = 0; i < request->num_headers; i++) {
		const struct kvm_request_header *header = &request->headers[i];

		say("%s at %u of %u: %s\n",
		    header->field[header->field_len] == '\0' ? "colon" : "UNENDED",
		    header->field_colon, header->field_len, header->field);
	}
}

static void handle(const char *kind, const struct kvm_request *request)
{
	if (act(request->url))
		return;
	if (strcmp(request->url, "/describe") == 0)
		describe(request);
	else if (strcmp(request->url, "/random") == 0)
		say("%016llx%016llx", (unsigned long long)request->prng[0],
		    (unsigned long long)request->prng[1]);
	else {
		say("%s %s [%s] %s", kind, request->url, request->arg, request->content_type);
		say_content(request->content, request->content_len);
		say_pieces();
	}
	answer();
}

static void on_request(const struct kvm_request *request)
{
	begin(__builtin_frame_address(0));
	handle("request", request);
}

static void on_error(const char *url, const char *arg, const char *exception)
{
	begin(__builtin_frame_address(0));
	if (act(on_error_does))
		return;
	say("%s [%s] %s", url, arg, exception);
	backend_response(500, "text/error", 10, page, page_length);
}

static void be_paused(void)
{
	for (;;) {
		struct kvm_request request;

		wait_for_requests_paused(&request);
		begin(NULL);
		handle("paused", &request);
	}
}

static void prepare(char letter)
{
	switch (letter) {
	case 'g':
		set_backend_get(on_get);
		break;
	case 'p':
		set_backend_post(on_post);
		break;
	case 'r':
		set_backend_request(on_request);
		break;
	case 's':
		set_backend_stream_post(on_piece);
		break;
	case 'e':
		set_on_error(on_error);
		break;
	case 'k':
		sys_make_ephemeral(0);
		break;
	case 'w':
		be_paused();
		break;
	case 'X':
		exit(3);
	case '0':
		set_backend_get(NULL);
		break;
	case 'K':
		register_func(1, (void (*)(void))(uintptr_t)0xffffffff80000000);
		break;
	case 'I':
		register_func(13, on_get);
		break;
	case 'a':
		backend_response_str(200, "text/plain", "nobody has asked");
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc > 2)
		on_error_does = argv[2];
	for (const char *letter = argc > 1 ? argv[1] : ""; *letter != '\0'; letter++)
		prepare(*letter);
	if (argc > 1 && strchr(argv[1], 'x') != NULL)
		return 3;
	wait_for_requests();
	return 0;
}
