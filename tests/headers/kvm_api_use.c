/* SPDX-License-Identifier: MIT */
/*
 * Uses everything that guest/kvm_api.h has, as C99 and later and as C++11 and
 * later: so all of it compiles and links. Run outside of a sandbox, where each
 * call must do no harm. With -DPART it is a second file of the same program.
 *
 * usage: kvm_api_use                  exit status 0 when all is as in kvm_api_calls.def
 *        kvm_api_use CALL             makes a call that cannot return: 38
 */
#define _DEFAULT_SOURCE
#define KVM_API_ALREADY_DEFINED
#include "kvm_api.h"

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

void *allocate_in_part(void);

#ifdef PART

void *allocate_in_part(void)
{
	return SHM_ALLOC_TYPE(long);
}

#else

EMBED_BINARY(embedded, EMBEDDED_FILE);

static int failures;

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("line %d: not so: %s\n", __LINE__, #condition);                     \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static void on_get(const char *url, const char *arg)
{
	(void)url;
	(void)arg;
}

static void on_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                    size_t len)
{
	(void)url;
	(void)arg;
	(void)ctype;
	(void)data;
	(void)len;
}

static void on_request(const struct kvm_request *request)
{
	(void)IS_WARMUP_REQUEST(request);
}

static long on_stream_post(const char *url, const char *arg, const char *ctype, const uint8_t *data,
                           size_t len, size_t offset)
{
	on_post(url, arg, ctype, data, len);
	return (long)(len + 0 * offset);
}

static void on_error(const char *url, const char *arg, const char *exception)
{
	(void)exception;
	on_get(url, arg);
}

static void on_live_update(void)
{
}

static void on_live_restore(size_t len)
{
	(void)len;
}

static void on_socket_pause(int system)
{
	(void)system;
}

static struct streaming_content on_stream(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content content;

	content.data = arg;
	content.len = max + 0 * (written + total);
	return content;
}

static void in_storage(size_t n, struct virtbuffer buffers[], size_t res)
{
	(void)n;
	(void)buffers;
	(void)res;
}

static void task(void *data, size_t len)
{
	(void)data;
	(void)len;
}

static void on_processor(void *arg)
{
	(void)arg;
}

static void on_element(int cpu, void *array, size_t size)
{
	(void)cpu;
	(void)array;
	(void)size;
}

static bool is_empty(char *text)
{
	const bool empty = text != NULL && text[0] == '\0';

	free(text);
	return empty;
}

static void expect(const char *call, long got, long wanted)
{
	if (got == wanted)
		return;
	printf("%s: %ld, not %ld\n", call, got, wanted);
	failures++;
}

static void make_calls(void)
{
	struct BackendResponseExtra extra;
	struct kvm_socket_event event;
	struct curl_options options;
	struct curl_fields fields;
	struct virtbuffer buffer;
	struct meminfo memory;
	struct curl_op op;
	long object = 0, array[2] = {0, 0};
	char text[64];

	memset(&extra, 0, sizeof(extra));
	memset(&event, 0, sizeof(event));
	memset(&options, 0, sizeof(options));
	memset(&fields, 0, sizeof(fields));
	memset(&op, 0, sizeof(op));
	buffer.data = "a";
	buffer.len = 1;
#define ANSWERS(call, value) expect(#call, (long)(call), (long)(value));
#define RETURNS(call) call;
#include "kvm_api_calls.def"
	(void)object;
}

static void use_values(void)
{
	struct curl_fields fields;
	struct kvm_request request;
	const long object = 0;

	CURL_SETFIELD(&fields, 0, "Accept: a");
	EXPECT(fields.len[0] == 9 && fields.ptr[0][0] == 'A');
	request.info_flags = 3;
	EXPECT(IS_WARMUP_REQUEST(&request));
	request.info_flags = 2;
	EXPECT(!IS_WARMUP_REQUEST(&request));
	EXPECT(TRUST_ME((const char *)&object) == (void *)(uintptr_t)&object);
	EXPECT(embedded_size == (int)(embedded_end - embedded));
	EXPECT(embedded_size > 2 && memcmp(embedded, "/*", 2) == 0);
	EXPECT(embedded_end[0] == '\0');
}

/* Of the environment that a sandbox's program has. */
static void use_environment(void)
{
	setenv("KVM_NAME", "name", 1);
	setenv("KVM_TYPE", "storage", 1);
	setenv("KVM_DEBUG", "0", 1);
	EXPECT(IS_SANDBOXED_MAIN() && !IS_LINUX_MAIN());
	EXPECT(IS_STORAGE() && !IS_REQUEST() && !IS_DEBUG());
	setenv("KVM_TYPE", "request", 1);
	setenv("KVM_DEBUG", "1", 1);
	EXPECT(!IS_STORAGE() && IS_REQUEST() && IS_DEBUG());
}

static void call_without_return(const char *name)
{
	struct kvm_request request;

	if (strcmp(name, "streaming") == 0)
		begin_streaming_response(200, "a", 1, 100, on_stream, name);
	if (strcmp(name, "storage") == 0)
		storage_noreturn("a", 1);
	if (strcmp(name, "paused") == 0)
		wait_for_requests_paused(&request);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		call_without_return(argv[1]);
		return EXIT_FAILURE;
	}
	make_calls();
	use_values();
	use_environment();
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

#ifdef __cplusplus
}
#endif
