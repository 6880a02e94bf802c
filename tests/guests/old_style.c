/* SPDX-License-Identifier: MIT */
/*
 * A program as they were written before there was this library: old C, calls of
 * the host in naked functions of its own that end in OUT, some of which go on
 * into nothing since no host ever comes back from them, and functions of libc
 * used without a prototype, so that pointers pass through an int: environment,
 * heap and stack have to lie below 2 GiB. Built as non-PIE.
 */
typedef unsigned char byte;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long size;

struct piece {
	const void *data;
	size len;
};

struct extra {
	struct piece *headers;
	u16 num_headers;
	byte cached;
	float ttl, grace, keep;
	size reserved[4];
};

struct request {
	const char *method, *url, *arg, *ctype;
	u16 method_len, url_len, arg_len, ctype_len;
	const byte *content;
	size content_len;
	const void *headers;
	u16 num_headers, flags;
	u32 reserved;
	size random[2];
	size more[2];
};

#define NAKED(name, number, end)                                                                   \
	__asm__(".pushsection .text\n.globl " #name "\n.type " #name ", @function\n" #name         \
	        ":\n mov $" #number ", %eax\n out %eax, $0\n" end "\n.popsection\n")

NAKED(register_handler, 0x10000, " ret");
NAKED(wait_for_requests, 0x10001, "");
NAKED(wait_paused, 0x10002, " ret");
NAKED(set_cacheable, 0x10005, " ret");
NAKED(respond, 0x10010, "");
NAKED(respond_streaming, 0x10012, "");
NAKED(storage_noreturn, 0x10013, "");
NAKED(http_append, 0x10020, " ret");
NAKED(http_find, 0x10022, " ret");
NAKED(http_method, 0x10023, " ret");
NAKED(regex_compile, 0x10030, " ret");
NAKED(regex_match, 0x10032, " ret");
NAKED(regex_subst, 0x10033, " ret");
NAKED(is_storage, 0x10706, " ret");
NAKED(host_log, 0x7F000, " ret");

extern void register_handler(int index, void *function);
extern void wait_for_requests(void);
extern void wait_paused(struct request *request);
extern long set_cacheable(int cached, long ttl, long grace, long keep);
extern void respond(short status, const void *ctype, size ctype_len, const void *data, size len,
                    const struct extra *extra);
extern void respond_streaming(short status, const void *ctype, size ctype_len, size total,
                              void *function, const void *arg);
extern void storage_noreturn(const void *data, size len);
extern long http_append(int where, const char *field, size len);
extern long http_find(int where, const char *key, size key_len, char *out, size out_len);
extern long http_method(char *out, size len);
extern int regex_compile(const char *pattern, size len);
extern int regex_match(int handle, const char *text, size len);
extern int regex_subst(int handle, const char *text, const char *with, char *out, size len,
                       u32 flags);
extern long is_storage(void);
extern void host_log(const char *text, size len);

extern size strlen(const char *text);
extern int strcmp(const char *one, const char *other);
extern void *malloc(size len);
extern void *memcpy(void *to, const void *from, size len);
extern void exit(int status);

/* A file in the program, as an image would be. */
__asm__(".pushsection .rodata\n.globl asset, asset_end, asset_size\n"
        "asset: .incbin \"" OLD_STYLE_ASSET "\"\nasset_end: .byte 0\n.balign 4\n"
        "asset_size: .int asset_end - asset\n.popsection\n");
extern const char asset[];
extern const int asset_size;

static char text[4096];
static int requests;

static void answer(const char *what)
{
	respond(200, "text/plain", 10, what, strlen(what), 0);
}

/* As a function without a prototype returns a pointer; malloc's is known to compilers. */
#define THROUGH_INT(pointer) ((char *)(long)(int)(long)(pointer))

static void answer_environment(void)
{
	const char *name = (const char *)(long)getenv("KVM_NAME");
	char *on_heap = THROUGH_INT(malloc(100));
	char on_stack[100];

	if (name == 0)
		answer("no KVM_NAME");
	memcpy(THROUGH_INT(on_stack), name, strlen(name) + 1);
	memcpy(on_heap, on_stack, strlen(on_stack) + 1);
	answer(on_heap);
}

static void answer_cpu(void)
{
	int cpu, request_vm;

	__asm__ volatile("mov %%gs:0x0, %%eax\n mov %%gs:0x4, %%edx" : "=a"(cpu), "=d"(request_vm));
	answer(cpu == 0 && request_vm == 0 ? "cpu 0" : "another cpu");
}

static void answer_fields(void)
{
	long length;

	http_append(1, "X-One: 1", 8);
	http_append(1, "X-Two: 2", 8);
	length = http_find(0, "x-one", 5, text, sizeof(text) - 1);
	text[length] = ' ';
	length += 1 + http_method(text + length + 1, 16);
	text[length] = 0;
	answer(text);
}

static void answer_extra(void)
{
	struct piece fields[2];
	struct extra extra;

	fields[0].data = "X-One: 1";
	fields[0].len = 8;
	fields[1].data = "X-Two: 2";
	fields[1].len = 8;
	extra.headers = fields;
	extra.num_headers = 2;
	extra.cached = 1;
	extra.ttl = 1.5f;
	extra.grace = 2;
	extra.keep = 3;
	respond(201, "text/extra", 10, "extra", 5, &extra);
}

static void answer_expressions(void)
{
	int handle = regex_compile("^/([a-z]+)$", 11);

	if (regex_match(handle, "/word", 5) != 2 || regex_match(handle, "/1", 2) >= 0)
		answer("does not match as it should");
	regex_subst(handle, "/word", "<\\1>", text, sizeof(text), 0);
	answer(text);
}

static struct piece next_piece(const char *what, size max, size written, size total)
{
	struct piece piece;

	piece.data = what + written;
	piece.len = total - written < 3 ? total - written : 3;
	if (piece.len > max)
		piece.len = max;
	return piece;
}

/* Not even a return is there after the second: the first counts. */
static void answer_twice(void)
{
	answer("the first");
	respond(500, "text/plain", 10, "the second", 10, 0);
}

static void on_get(const char *url, const char *arg)
{
	requests++;
	if (strcmp(url, "/environment") == 0)
		answer_environment();
	if (strcmp(url, "/cpu") == 0)
		answer_cpu();
	if (strcmp(url, "/fields") == 0)
		answer_fields();
	if (strcmp(url, "/extra") == 0)
		answer_extra();
	if (strcmp(url, "/expressions") == 0)
		answer_expressions();
	if (strcmp(url, "/cache") == 0)
		answer(set_cacheable(1, 1500, 2000, 3000) == 0 ? "cached" : "not cached");
	if (strcmp(url, "/streaming") == 0)
		respond_streaming(200, "text/stream", 11, 10, (void *)next_piece, "0123456789");
	if (strcmp(url, "/storage") == 0)
		storage_noreturn("data", 4);
	if (strcmp(url, "/asset") == 0)
		respond(200, "text/asset", 10, asset, asset_size, 0);
	if (strcmp(url, "/twice") == 0)
		answer_twice();
	if (strcmp(url, "/log") == 0)
		host_log("logged\n", 7);
	if (strcmp(url, "/nothing") == 0)
		return;
	answer(arg);
}

static void on_post(const char *url, const char *arg, const char *ctype, const byte *data, size len)
{
	respond(200, ctype, strlen(ctype), data, len, 0);
}

static void on_request(const struct request *request)
{
	if (request->content_len > 0)
		on_post(request->url, request->arg, request->ctype, request->content,
		        request->content_len);
	on_get(request->url, request->arg);
}

static void on_error(const char *url, const char *arg, const char *what)
{
	respond(503, "text/error", 10, what, strlen(what), 0);
}

static void serve_paused(void)
{
	struct request request;

	for (;;) {
		wait_paused(&request);
		on_request(&request);
	}
}

int main(int argc, char **argv)
{
	const char *type = (const char *)(long)getenv("KVM_TYPE");

	if (type != 0 && strcmp(type, "storage") == 0)
		exit(1);
	if (is_storage() != 0)
		exit(2);
	register_handler(5, (void *)on_error);
	if (argc > 1 && strcmp(argv[1], "paused") == 0)
		serve_paused();
	if (argc > 1 && strcmp(argv[1], "request") == 0)
		register_handler(3, (void *)on_request);
	register_handler(1, (void *)on_get);
	register_handler(2, (void *)on_post);
	wait_for_requests();
}
