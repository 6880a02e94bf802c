/* SPDX-License-Identifier: MIT */
/*
 * The guest API: what a program that runs in a sandbox calls to be given
 * requests and to answer them. C (gnu99 and later) and C++ (11 and later), gcc
 * and clang, any libc; everything is in this header, which may be included in
 * several files of a program.
 *
 * Programs written for the kvm_api.h of the KVM VMOD compile with this one. A
 * call is a system call with a number that Linux does not have: outside of a
 * sandbox it does nothing and answers -ENOSYS, and so it does in a sandbox
 * whose host does not offer it. Calls that answer nothing then simply return,
 * so a program can be run and tested on the command line; those that cannot
 * return say so and end the program.
 *
 * With KVM_API_TRANSPORT_OUT defined, in all files of a program, a call is the
 * instruction OUT %eax, $0 instead, with the fourth argument in RCX: for hosts
 * that know nothing else. Such a program runs in this library's sandboxes, too;
 * outside of any it faults (SIGSEGV) at its first call.
 *
 *     static void on_get(const char *url, const char *arg)
 *     {
 *             http_set_str(BERESP, "X-Served-By: sandbox");
 *             backend_response_str(200, "text/plain", "Hello");
 *     }
 *
 *     int main(void)
 *     {
 *             set_backend_get(on_get);
 *             wait_for_requests();
 *     }
 */
#ifndef KVM_API_H
#define KVM_API_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__x86_64__) || defined(__ILP32__)
#error "kvm_api.h is for x86-64 programs"
#endif

/*
 * Users of headers with definitions in them define KVM_API_ALREADY_DEFINED in
 * all files but one. Here it changes nothing: all definitions are inline.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define KVM_API_NORETURN __attribute__((__noreturn__))
#define KVM_API_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/* ---- The numbers of the calls ---- */

enum kvm_api_number {
	KVM_API_REGISTER_FUNC = 0x10000,
	KVM_API_WAIT_FOR_REQUESTS = 0x10001,
	KVM_API_WAIT_PAUSED = 0x10002,
	KVM_API_SET_CACHEABLE = 0x10005,
	KVM_API_BACKEND_RESPONSE = 0x10010,
	KVM_API_STORAGE_RETURN = 0x10011,
	KVM_API_STREAMING_RESPONSE = 0x10012,
	KVM_API_STORAGE_NORETURN = 0x10013,
	KVM_API_HTTP_APPEND = 0x10020,
	KVM_API_HTTP_SET = 0x10021,
	KVM_API_HTTP_FIND = 0x10022,
	KVM_API_HTTP_METHOD = 0x10023,
	KVM_API_REGEX_COMPILE = 0x10030,
	KVM_API_REGEX_FREE = 0x10031,
	KVM_API_REGEX_MATCH = 0x10032,
	KVM_API_REGEX_SUBST = 0x10033,
	KVM_API_REGEX_COPYTO = 0x10035,
	KVM_API_SOCKETS_WRITE = 0x10500,
	KVM_API_SHARED_MEMORY_AREA = 0x10700,
	KVM_API_MAKE_EPHEMERAL = 0x10703,
	KVM_API_IS_STORAGE = 0x10706,
	KVM_API_STORAGE_ALLOW = 0x10707,
	KVM_API_STORAGE_CALLV = 0x10708,
	KVM_API_STORAGE_TASK = 0x10709,
	KVM_API_STOP_STORAGE_TASK = 0x1070a,
	KVM_API_MULTIPROCESS = 0x10710,
	KVM_API_MULTIPROCESS_ARRAY = 0x10711,
	KVM_API_MULTIPROCESS_CLONE = 0x10712,
	KVM_API_MULTIPROCESS_WAIT = 0x10713,
	KVM_API_GET_MEMINFO = 0x10a00,
	KVM_API_FETCH = 0x20000,
	KVM_API_REQUEST = 0x20001,
	KVM_API_LOG = 0x7f000,
	KVM_API_BREAKPOINT = 0x7f7f7,
	KVM_API_IS_DEBUG = 0x7fdeb
};

/* ---- How a call is made ---- */

/* `high` receives RDX, where a call has a second answer. Other registers stay as they are. */
#ifdef KVM_API_TRANSPORT_OUT

static inline long kvm_api_call_pair(long number, long a, long b, long c, long d, long e, long f,
                                     long *high)
{
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;
	long low;

	__asm__ volatile("outl %%eax, $0"
	                 : "=a"(low), "+d"(c)
	                 : "0"(number), "D"(a), "S"(b), "c"(d), "r"(fifth), "r"(sixth)
	                 : "memory");
	*high = c;
	return low;
}

#else

/* SYSCALL takes RCX and R11 for itself, hence the fourth argument in R10. */
static inline long kvm_api_call_pair(long number, long a, long b, long c, long d, long e, long f,
                                     long *high)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;
	long low;

	__asm__ volatile("syscall"
	                 : "=a"(low), "+d"(c)
	                 : "0"(number), "D"(a), "S"(b), "r"(fourth), "r"(fifth), "r"(sixth)
	                 : "rcx", "r11", "memory");
	*high = c;
	return low;
}

#endif

static inline long kvm_api_call(long number, long a, long b, long c, long d, long e, long f)
{
	long high;

	return kvm_api_call_pair(number, a, b, c, d, e, f, &high);
}

/* A pointer, to an object or to a function, as an argument. */
#define KVM_API_POINTER(pointer) ((long)(uintptr_t)(pointer))

/* Ends a program that cannot go on outside of a sandbox. */
KVM_API_NORETURN static inline void kvm_api_unavailable(const char *name)
{
	fflush(stdout);
	fprintf(stderr, "%s(): only in a sandbox that offers it\n", name);
	for (;;)
		kvm_api_call(231 /* exit_group */, 38 /* ENOSYS */, 0, 0, 0, 0, 0);
}

/* Whether an environment variable has this value. */
static inline bool kvm_api_environment_is(const char *name, const char *value)
{
	const char *found = getenv(name);

	return found != NULL && strcmp(found, value) == 0;
}

/* ---- Where the program runs ---- */

/* In a sandbox, or as a plain program. */
#define IS_SANDBOXED_MAIN() (getenv("KVM_NAME") != NULL)
#define IS_LINUX_MAIN() (!IS_SANDBOXED_MAIN())

/* In the sandbox that stores, in one that answers requests. */
#define IS_STORAGE() kvm_api_environment_is("KVM_TYPE", "storage")
#define IS_REQUEST() kvm_api_environment_is("KVM_TYPE", "request")

/* Where a debugger may listen. */
#define IS_DEBUG() kvm_api_environment_is("KVM_DEBUG", "1")

static inline long sys_is_storage(void)
{
	return kvm_api_call(KVM_API_IS_STORAGE, 0, 0, 0, 0, 0, 0);
}

static inline long sys_is_debug(void)
{
	return kvm_api_call(KVM_API_IS_DEBUG, 0, 0, 0, 0, 0, 0);
}

/* A pointer without its const, by your word that this is right. */
#define TRUST_ME(pointer) ((void *)(uintptr_t)(pointer))

/* ---- Requests ---- */

struct kvm_request_header {
	const char *field;    /* "Name: value", NUL-terminated */
	uint32_t field_colon; /* index of the colon */
	uint32_t field_len;   /* without the NUL */
};

/* Texts are NUL-terminated and never NULL; their lengths are cut to 16 bits. */
struct kvm_request {
	const char *method;
	const char *url;
	const char *arg;
	const char *content_type; /* "" without a body */
	uint16_t method_len;
	uint16_t url_len;
	uint16_t arg_len;
	uint16_t content_type_len;
	const uint8_t *content; /* NULL without a body */
	size_t content_len;
	const struct kvm_request_header *headers; /* NULL if there are none */
	uint16_t num_headers;
	uint16_t info_flags;
	uint32_t reserved0;
	uint64_t prng[2]; /* random numbers, new ones for each request */
	uint64_t reserved[2];
};

/* A request of the host itself, made so that the program is warm when it is frozen. */
#define IS_WARMUP_REQUEST(request) (((request)->info_flags & 1) != 0)

enum kvm_api_entry {
	KVM_API_ON_RECEIVE = 0,
	KVM_API_ON_GET = 1,
	KVM_API_ON_POST = 2,
	KVM_API_ON_REQUEST = 3,
	KVM_API_ON_STREAM_POST = 4,
	KVM_API_ON_ERROR = 5,
	KVM_API_ON_LIVE_UPDATE = 6,
	KVM_API_ON_LIVE_RESTORE = 7,
	KVM_API_ON_SOCKET_PAUSE = 12
};

/*
 * Says which function handles what; before waiting only. A wrong index or
 * address, or a call later on, ends the program.
 */
static inline void kvm_api_register(int index, long function)
{
	kvm_api_call(KVM_API_REGISTER_FUNC, index, function, 0, 0, 0, 0);
}

/* The second argument is any function. */
static inline void register_func(int index, ...)
{
	va_list arguments;
	void (*function)(void);

	va_start(arguments, index);
	function = va_arg(arguments, void (*)(void));
	va_end(arguments);
	kvm_api_register(index, KVM_API_POINTER(function));
}

/* A request without a body. */
static inline void set_backend_get(void (*function)(const char *url, const char *arg))
{
	kvm_api_register(KVM_API_ON_GET, KVM_API_POINTER(function));
}

/* A request with a body. */
static inline void set_backend_post(void (*function)(const char *url, const char *arg,
                                                     const char *ctype, const uint8_t *data,
                                                     size_t len))
{
	kvm_api_register(KVM_API_ON_POST, KVM_API_POINTER(function));
}

/* Every request; goes before the two above. */
static inline void set_backend_request(void (*function)(const struct kvm_request *request))
{
	kvm_api_register(KVM_API_ON_REQUEST, KVM_API_POINTER(function));
}

/*
 * Called with each piece of a body as it arrives; returns len to go on. Then
 * the function of set_backend_post() is called with data NULL and the body's
 * length.
 */
static inline void set_backend_stream_post(long (*function)(const char *url, const char *arg,
                                                            const char *ctype, const uint8_t *data,
                                                            size_t len, size_t offset))
{
	kvm_api_register(KVM_API_ON_STREAM_POST, KVM_API_POINTER(function));
}

/* Called when a request has failed, with what happened; it may still answer. */
static inline void set_on_error(void (*function)(const char *url, const char *arg,
                                                 const char *exception))
{
	kvm_api_register(KVM_API_ON_ERROR, KVM_API_POINTER(function));
}

/* In storage: the old program gives its state with storage_return() ... */
static inline void set_on_live_update(void (*function)(void))
{
	kvm_api_register(KVM_API_ON_LIVE_UPDATE, KVM_API_POINTER(function));
}

/* ... and the new one says with storage_return() where it wants the len bytes. */
static inline void set_on_live_restore(void (*function)(size_t len))
{
	kvm_api_register(KVM_API_ON_LIVE_RESTORE, KVM_API_POINTER(function));
}

/*
 * Ends main() without ending the program: it is kept as it is now, and the
 * functions registered are called for requests, each on a stack of its own.
 * Call it last. It returns only outside of a sandbox.
 *
 * What is still in stdout's buffer is written first: it would be lost, or be
 * written by every fork.
 */
static inline void wait_for_requests(void)
{
	fflush(stdout);
	kvm_api_call(KVM_API_WAIT_FOR_REQUESTS, 0, 0, 0, 0, 0, 0);
}

/* Waits here, and returns with a request; used in a loop, in place of functions. */
static inline void wait_for_requests_paused(struct kvm_request *request)
{
	fflush(stdout);
	if (kvm_api_call(KVM_API_WAIT_PAUSED, KVM_API_POINTER(request), 0, 0, 0, 0, 0) < 0)
		kvm_api_unavailable("wait_for_requests_paused");
}

/* ---- Responses ---- */

struct ResponseHeader {
	const char *field; /* "Name: value"; a text without a colon takes that field away */
	size_t field_len;
};

struct BackendResponseExtra {
	const struct ResponseHeader *headers; /* must be a valid pointer */
	uint16_t num_headers;                 /* at most 64 */
	bool cached;                          /* the three below count */
	float ttl;                            /* seconds */
	float grace;
	float keep;
	uint64_t reserved[4];
};

/*
 * Answers the request; the first answer counts, and in a sandbox a handler does
 * not go on after it. status: 200..599. A content type is at most 4095 bytes and may be
 * empty; without content its pointer is not used.
 */
static inline void sys_backend_response(int16_t status, const void *ctype, size_t ctype_len,
                                        const void *content, size_t content_len,
                                        const struct BackendResponseExtra *extra)
{
	kvm_api_call(KVM_API_BACKEND_RESPONSE, status, KVM_API_POINTER(ctype), (long)ctype_len,
	             KVM_API_POINTER(content), (long)content_len, KVM_API_POINTER(extra));
}

static inline void backend_response(int16_t status, const void *ctype, size_t ctype_len,
                                    const void *content, size_t content_len)
{
	sys_backend_response(status, ctype, ctype_len, content, content_len, NULL);
}

static inline void backend_response_str(int16_t status, const char *ctype, const char *content)
{
	sys_backend_response(status, ctype, strlen(ctype), content, strlen(content), NULL);
}

/* With header fields, and how long it may be cached. */
static inline void backend_response_extra(int16_t status, const void *ctype, size_t ctype_len,
                                          const void *content, size_t content_len,
                                          const struct BackendResponseExtra *extra)
{
	sys_backend_response(status, ctype, ctype_len, content, content_len, extra);
}

/* A piece of a streamed response. */
struct streaming_content {
	const void *data;
	size_t len; /* 1..max */
};

/* Gives the next piece; `written` bytes of `total` have been given before. */
typedef struct streaming_content (*content_stream_func)(void *arg, size_t max, size_t written,
                                                        size_t total);

/*
 * Answers with content_len bytes (not 0) that the host fetches piece by piece.
 * It returns where backend_response() would: when a loop goes on with the next
 * request.
 */
static inline void begin_streaming_response(int16_t status, const void *ctype, size_t ctype_len,
                                            size_t content_len, content_stream_func function,
                                            const void *arg)
{
	const long enosys = 38;

	if (kvm_api_call(KVM_API_STREAMING_RESPONSE, status, KVM_API_POINTER(ctype),
	                 (long)ctype_len, (long)content_len, KVM_API_POINTER(function),
	                 KVM_API_POINTER(arg)) == -enosys)
		kvm_api_unavailable("begin_streaming_response");
}

/* ---- Header fields ---- */

/* `where`: the request, or the response. */
static const int REQ __attribute__((__unused__)) = 0;
static const int REQUEST __attribute__((__unused__)) = 0;
static const int BEREQ __attribute__((__unused__)) = 0;
static const int RESP __attribute__((__unused__)) = 1;
static const int RESPONSE __attribute__((__unused__)) = 1;
static const int BERESP __attribute__((__unused__)) = 1;

/* What http_appendf() and http_setf() make, with its NUL. */
#define HTTP_FMT_SIZE 4096

/*
 * Adds "Name: value". Returns the field's index, or 0xffffffff when there is
 * no room. A text that is no field ends the program.
 */
static inline long sys_http_append(int where, const char *field, size_t len)
{
	return kvm_api_call(KVM_API_HTTP_APPEND, where, KVM_API_POINTER(field), (long)len, 0, 0, 0);
}

/*
 * Replaces the field of that name, or adds it. A text without a colon is a
 * name, and takes the first such field away. Returns the field's index; 0 when
 * there was nothing to take away.
 */
static inline long sys_http_set(int where, const char *field, size_t len)
{
	return kvm_api_call(KVM_API_HTTP_SET, where, KVM_API_POINTER(field), (long)len, 0, 0, 0);
}

/*
 * Looks a field up by its name, in any case. Writes the whole "Name: value",
 * without a NUL, and returns its length; 0 when there is none, or no room for
 * it. With `out` NULL the length is returned.
 */
static inline long sys_http_find(int where, const char *key, size_t key_len, const void *out,
                                 size_t out_len)
{
	return kvm_api_call(KVM_API_HTTP_FIND, where, KVM_API_POINTER(key), (long)key_len,
	                    KVM_API_POINTER(out), (long)out_len, 0);
}

/* The request's method, without a NUL. Returns as sys_http_find(). */
static inline long sys_http_method(const void *out, size_t out_len)
{
	return kvm_api_call(KVM_API_HTTP_METHOD, KVM_API_POINTER(out), (long)out_len, 0, 0, 0, 0);
}

static inline long http_append_str(int where, const char *field)
{
	return sys_http_append(where, field, strlen(field));
}

static inline long http_set_str(int where, const char *field)
{
	return sys_http_set(where, field, strlen(field));
}

/* Length of a formatted text that did not necessarily fit. */
static inline size_t kvm_api_fitted(int length, size_t size)
{
	if (length < 0)
		return 0;
	return (size_t)length < size ? (size_t)length : size - 1;
}

KVM_API_PRINTF(2, 3) static inline long http_appendf(int where, const char *format, ...)
{
	char text[HTTP_FMT_SIZE];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return sys_http_append(where, text, kvm_api_fitted(length, sizeof(text)));
}

KVM_API_PRINTF(2, 3) static inline long http_setf(int where, const char *format, ...)
{
	char text[HTTP_FMT_SIZE];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return sys_http_set(where, text, kvm_api_fitted(length, sizeof(text)));
}

/* Takes the first field of that name away. */
static inline long http_unset(int where, const char *key, size_t len)
{
	return sys_http_set(where, key, len);
}

static inline long http_unset_str(int where, const char *key)
{
	return sys_http_set(where, key, strlen(key));
}

static inline long http_find_str(int where, const char *key, const void *out, size_t out_len)
{
	return sys_http_find(where, key, strlen(key), out, out_len);
}

static inline long http_find_strlen(int where, const char *key)
{
	return sys_http_find(where, key, strlen(key), NULL, 0);
}

/* The whole field, NUL-terminated, "" when there is none; free() it. */
static inline char *http_alloc_find(int where, const char *key)
{
	long found = http_find_strlen(where, key);
	size_t length = found > 0 ? (size_t)found : 0;
	char *text = (char *)malloc(length + 1);

	if (text == NULL)
		return NULL;
	if (length > 0)
		found = http_find_str(where, key, text, length);
	text[found > 0 ? length : 0] = '\0';
	return text;
}

/* The request's method, NUL-terminated; free() it. */
static inline char *http_alloc_method(void)
{
	const size_t size = 64;
	char *text = (char *)malloc(size);
	long length;

	if (text == NULL)
		return NULL;
	length = sys_http_method(text, size - 1);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

/* ---- Caching ---- */

/* Milliseconds. Returns 0, or -1 when there is no response to cache. */
static inline long sys_set_cacheable(bool cached, long ttl, long grace, long keep)
{
	return kvm_api_call(KVM_API_SET_CACHEABLE, cached, ttl, grace, keep, 0, 0);
}

/* Seconds. */
static inline long set_cacheable(bool cached, float ttl, float grace, float keep)
{
	return sys_set_cacheable(cached, (long)(ttl * 1000.0f), (long)(grace * 1000.0f),
	                         (long)(keep * 1000.0f));
}

/* ---- Regular expressions (PCRE) ---- */

/* Returns a handle; the same one for the same pattern. */
static inline int sys_regex_compile(const char *pattern, size_t len)
{
	return (int)kvm_api_call(KVM_API_REGEX_COMPILE, KVM_API_POINTER(pattern), (long)len, 0, 0,
	                         0, 0);
}

static inline void sys_regex_free(int handle)
{
	kvm_api_call(KVM_API_REGEX_FREE, handle, 0, 0, 0, 0, 0);
}

/* Returns the number of groups that matched, the whole one included; below zero if none did. */
static inline int sys_regex_match(int handle, const char *subject, size_t len)
{
	return (int)kvm_api_call(KVM_API_REGEX_MATCH, handle, KVM_API_POINTER(subject), (long)len,
	                         0, 0, 0);
}

/* Both texts are NUL-terminated; \0..\9 are groups. flags: 1 replaces all. Returns bytes or -1. */
static inline int sys_regex_subst(int handle, const char *text, const char *subst, const void *out,
                                  size_t out_len, uint32_t flags)
{
	return (int)kvm_api_call(KVM_API_REGEX_SUBST, handle, KVM_API_POINTER(text),
	                         KVM_API_POINTER(subst), KVM_API_POINTER(out), (long)out_len,
	                         (long)flags);
}

/* Appends the fields that match to another list of fields. Returns how many. */
static inline int sys_regex_copyto(int handle, int from, int to)
{
	return (int)kvm_api_call(KVM_API_REGEX_COPYTO, handle, from, to, 0, 0, 0);
}

/* ---- Logging ---- */

/* At most 65535 bytes. */
static inline void sys_log(const void *text, size_t len)
{
	kvm_api_call(KVM_API_LOG, KVM_API_POINTER(text), (long)len, 0, 0, 0, 0);
}

KVM_API_PRINTF(1, 2) static inline void vlogf(const char *format, ...)
{
	static const char overflow[] = "(ERROR: Log buffer overflowed)";
	char text[2048];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < sizeof(text))
		sys_log(text, (size_t)length);
	else
		sys_log(overflow, sizeof(overflow) - 1);
}

/* ---- Storage: one sandbox that keeps its memory, called by those that do not ---- */

struct virtbuffer {
	const void *data;
	size_t len;
};

/* A function of the storage sandbox; res: how much the caller can take. */
typedef void (*storage_func)(size_t n, struct virtbuffer buffers[], size_t res);
typedef void (*storage_task_func)(void *data, size_t len);

/*
 * Storage only, before waiting: requests may call this function, a storage_func
 * or a storage_task_func. Returns 0 or -1.
 */
static inline long kvm_api_storage_allow(long function)
{
	return kvm_api_call(KVM_API_STORAGE_ALLOW, function, 0, 0, 0, 0, 0);
}
#define sys_storage_allow(function) kvm_api_storage_allow(KVM_API_POINTER(function))
#define STORAGE_ALLOW(function) sys_storage_allow(function)

/*
 * Calls a function of the storage with copies of n (at most 64) buffers.
 * Returns the length of what it gave back, or below zero.
 */
static inline long storage_callv(storage_func function, size_t n, const struct virtbuffer buffers[],
                                 void *dst, size_t dst_len)
{
	return kvm_api_call(KVM_API_STORAGE_CALLV, KVM_API_POINTER(function), (long)n,
	                    KVM_API_POINTER(buffers), KVM_API_POINTER(dst), (long)dst_len, 0);
}

static inline long storage_call(storage_func function, const void *src, size_t len, void *dst,
                                size_t dst_len)
{
	struct virtbuffer buffer;

	buffer.data = src;
	buffer.len = len;
	return storage_callv(function, 1, &buffer, dst, dst_len);
}

/* Milliseconds. Returns 0, a timer's id when start or period is not 0, or -1. */
static inline long sys_storage_task(storage_task_func function, const void *data, size_t len,
                                    int64_t start, int64_t period)
{
	return kvm_api_call(KVM_API_STORAGE_TASK, KVM_API_POINTER(function), KVM_API_POINTER(data),
	                    (long)len, (long)start, (long)period, 0);
}

/* Runs a function in the storage, later, with a copy of the data. */
static inline long storage_task(storage_task_func function, const void *data, size_t len)
{
	return sys_storage_task(function, data, len, 0, 0);
}

/* Seconds: first after `start`, then every `period` (0: once). Returns a timer's id or -1. */
static inline long schedule_storage_task(storage_task_func function, const void *data, size_t len,
                                         float start, float period)
{
	return sys_storage_task(function, data, len, (int64_t)(start * 1000.0f),
	                        (int64_t)(period * 1000.0f));
}

/* Returns 1 if there was such a timer, else 0. */
static inline long stop_storage_task(long task)
{
	return kvm_api_call(KVM_API_STOP_STORAGE_TASK, task, 0, 0, 0, 0, 0);
}

/* In the storage: gives the answer, then goes on. */
static inline void storage_return(const void *data, size_t len)
{
	kvm_api_call(KVM_API_STORAGE_RETURN, KVM_API_POINTER(data), (long)len, 0, 0, 0, 0);
}

static inline void storage_return_nothing(void)
{
	storage_return(NULL, 0);
}

/* In the storage: gives the answer and ends there. */
KVM_API_NORETURN static inline void storage_noreturn(const void *data, size_t len)
{
	kvm_api_call(KVM_API_STORAGE_NORETURN, KVM_API_POINTER(data), (long)len, 0, 0, 0, 0);
	kvm_api_unavailable("storage_noreturn");
}

/* ---- Shared memory: the same for all sandboxes of a program, not reset ---- */

struct shared_memory_info {
	uintptr_t ptr;
	uintptr_t end;
};

/* Empty outside of a sandbox. */
static inline struct shared_memory_info shared_memory_area(void)
{
	struct shared_memory_info info;
	long end = 0;
	long begin = kvm_api_call_pair(KVM_API_SHARED_MEMORY_AREA, 0, 0, 0, 0, 0, 0, &end);
	const bool is_error = begin < 0;

	info.ptr = is_error ? 0 : (uintptr_t)begin;
	info.end = is_error ? 0 : (uintptr_t)end;
	return info;
}

/* One for the whole program, whatever its files: 0 until the first use. */
extern uintptr_t kvm_api_shared_memory_next;
__attribute__((__weak__)) uintptr_t kvm_api_shared_memory_next;

/* Before waiting only. NULL when the area is full. */
static inline void *kvm_api_shared_memory_allocate(size_t size, size_t alignment)
{
	struct shared_memory_info info = shared_memory_area();
	uintptr_t next = kvm_api_shared_memory_next != 0 ? kvm_api_shared_memory_next : info.ptr;

	if (next > info.end || info.end - next < alignment - 1)
		return NULL;
	next = (next + alignment - 1) & ~(uintptr_t)(alignment - 1);
	if (size == 0 || info.end - next < size)
		return NULL;
	kvm_api_shared_memory_next = next + size;
	return (void *)next;
}

#define SHM_ALLOC_BYTES(size) kvm_api_shared_memory_allocate((size), 8)
#define SHM_ALLOC_TYPE(type)                                                                       \
	((__typeof__(type) *)kvm_api_shared_memory_allocate(sizeof(type),                          \
	                                                    __alignof__(__typeof__(type))))
#define SHM_ALLOC(object) SHM_ALLOC_TYPE(object)

/* ---- Several processors ---- */

/* Whether GS points to a table of the sandbox: outside of one its base is 0. */
static inline bool kvm_api_has_cpu_table(void)
{
#ifdef KVM_API_TRANSPORT_OUT
	return true;
#else
	const long arch_prctl = 158, get_gs = 0x1004;
	unsigned long base = 0;

	kvm_api_call(arch_prctl, get_gs, KVM_API_POINTER(&base), 0, 0, 0, 0);
	return base != 0;
#endif
}

static inline uint32_t kvm_api_read_cpu_table(size_t offset)
{
	uint32_t value;

	if (!kvm_api_has_cpu_table())
		return 0;
	__asm__ volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"(offset));
	return value;
}

/* Which processor runs this: 0, but in multiprocess functions. */
static inline int vcpuid(void)
{
	return (int)kvm_api_read_cpu_table(0);
}

/* Which of the program's request sandboxes this is. */
static inline int vcpureqid(void)
{
	return (int)kvm_api_read_cpu_table(4);
}

typedef void (*multiprocess_func)(void *arg);
typedef void (*multiprocess_array_func)(int cpu, void *array, size_t array_size);

/* Calls f(arg) on n - 1 more processors. Returns 0 or -1. */
static inline long multiprocess(size_t n, multiprocess_func function, void *arg)
{
	return kvm_api_call(KVM_API_MULTIPROCESS, (long)n, KVM_API_POINTER(function),
	                    KVM_API_POINTER(arg), 0, 0, 0);
}

/* Each processor gets an element of the array. */
static inline long multiprocess_array(size_t n, multiprocess_array_func function, void *array,
                                      size_t element_size)
{
	return kvm_api_call(KVM_API_MULTIPROCESS_ARRAY, (long)n, KVM_API_POINTER(function),
	                    KVM_API_POINTER(array), (long)element_size, 0, 0);
}

/* Waits until the other processors are done. Returns 0 or -1. */
static inline long multiprocess_wait(void)
{
	return kvm_api_call(KVM_API_MULTIPROCESS_WAIT, 0, 0, 0, 0, 0, 0);
}

/*
 * Every processor comes back from here, each with a stack of its own, so the
 * calling function may not touch its old one: use it from assembly.
 */
static inline long multiprocess_clone(size_t n, void *stack_base, size_t stack_size)
{
	return kvm_api_call(KVM_API_MULTIPROCESS_CLONE, (long)n, KVM_API_POINTER(stack_base),
	                    (long)stack_size, 0, 0, 0);
}

/* ---- The sandbox itself ---- */

/* Whether it is reset after each request; before waiting only. Returns 0 or -1. */
static inline long sys_make_ephemeral(int ephemeral)
{
	return kvm_api_call(KVM_API_MAKE_EPHEMERAL, ephemeral, 0, 0, 0, 0, 0);
}

/* Bytes. */
struct meminfo {
	uint64_t max_memory;     /* limit of the program */
	uint64_t max_reqmem;     /* limit of a request's private memory */
	uint64_t reqmem_upper;   /* that it holds; 0: the host does not say */
	uint64_t reqmem_current; /* that it uses; 0: the host does not say */
};

/* All zero outside of a sandbox. */
static inline void get_meminfo(struct meminfo *info)
{
	memset(info, 0, sizeof(*info));
	kvm_api_call(KVM_API_GET_MEMINFO, KVM_API_POINTER(info), 0, 0, 0, 0, 0);
}

/* Stops for a debugger, where one may listen. */
static inline void sys_breakpoint(void)
{
	kvm_api_call(KVM_API_BREAKPOINT, 0, 0, 0, 0, 0, 0);
}

/* ---- Fetching ---- */

struct curl_op {
	uint32_t status;
	uint32_t post_buflen;
	const void *post_buffer;
	void *headers;
	uint32_t headers_length;
	uint32_t unused1;
	void *content; /* NULL: the host makes room for it */
	uint32_t content_length;
	uint32_t ctlen; /* of ctype, with its NUL */
	char ctype[128];
};

#define CURL_FIELDS_COUNT 12u

/* Request fields, up to the first that is NULL. */
struct curl_fields {
	const char *ptr[CURL_FIELDS_COUNT];
	uint16_t len[CURL_FIELDS_COUNT];
};

#define CURL_SETFIELD(fields, index, text)                                                         \
	do {                                                                                       \
		const char *kvm_api_text = (text);                                                 \
		(fields)->ptr[(index)] = kvm_api_text;                                             \
		(fields)->len[(index)] = (uint16_t)strlen(kvm_api_text);                           \
	} while (0)

struct curl_options {
	const char *interface;
	uint64_t unused;
	int8_t follow_location;
	int8_t dummy_fetch; /* only the head */
	int8_t tcp_fast_open;
	int8_t dont_verify_host;
	uint32_t unused_opt5;
};

/* fields and options may be NULL. Returns 0, or a negative error of libcurl. */
static inline long sys_fetch(const char *url, size_t url_len, struct curl_op *op,
                             struct curl_fields *fields, struct curl_options *options)
{
	return kvm_api_call(KVM_API_FETCH, KVM_API_POINTER(url), (long)url_len, KVM_API_POINTER(op),
	                    KVM_API_POINTER(fields), KVM_API_POINTER(options), 0);
}

/* A request to the host itself. */
static inline long sys_request(const char *url, size_t url_len, struct curl_op *op,
                               struct curl_fields *fields, struct curl_options *options)
{
	return kvm_api_call(KVM_API_REQUEST, KVM_API_POINTER(url), (long)url_len, KVM_API_POINTER(op),
	                    KVM_API_POINTER(fields), KVM_API_POINTER(options), 0);
}

/* ---- Sockets ---- */

enum SocketEvent {
	SOCKET_CONNECT = 0,
	SOCKET_READ = 1,
	SOCKET_WRITABLE = 2,
	SOCKET_DISCONNECT = 3
};

struct kvm_socket_event {
	int fd;
	int event; /* enum SocketEvent */
	const char *remote;
	const char *arg;
	const uint8_t *data;
	size_t data_len;
};

/* Called once in each sandbox that serves sockets; it then waits for events in a loop. */
static inline void set_socket_prepare_for_pause(void (*function)(int system))
{
	kvm_api_register(KVM_API_ON_SOCKET_PAUSE, KVM_API_POINTER(function));
}

/* Waits, and returns the number of events; below zero where there are none to come. */
static inline int wait_for_socket_events_paused(struct kvm_socket_event *events, size_t n)
{
	fflush(stdout);
	return (int)kvm_api_call(KVM_API_WAIT_PAUSED, KVM_API_POINTER(events), (long)n, 0, 0, 0, 0);
}

static inline int wait_for_socket_event_paused(struct kvm_socket_event *event)
{
	return wait_for_socket_events_paused(event, 1);
}

/* Writes the data of each writable event; its fd becomes the bytes written or an error. */
static inline void sys_sockets_write(struct kvm_socket_event *events, size_t n)
{
	kvm_api_call(KVM_API_SOCKETS_WRITE, KVM_API_POINTER(events), (long)n, 0, 0, 0, 0);
}

/* ---- Files in the program ---- */

#ifdef __cplusplus
#define KVM_API_EXTERN extern "C"
#else
#define KVM_API_EXTERN extern
#endif

/*
 * At file scope: the content of a file as name .. name_end, its size as int
 * name_size.
 */
#define EMBED_BINARY(name, filename)                                                               \
	__asm__(".pushsection .rodata, \"a\", @progbits\n"                                         \
	        "	.balign 16\n"                                                                    \
	        "	.globl " #name ", " #name "_end, " #name "_size\n" #name ":\n"             \
	        "	.incbin \"" filename "\"\n" #name "_end:\n"                                \
	        "	.byte 0\n"                                                                       \
	        "	.balign 4\n" #name "_size:\n"                                              \
	        "	.long " #name "_end - " #name "\n"                                         \
	        "	.type " #name ", @object\n"                                                \
	        "	.type " #name "_size, @object\n"                                           \
	        "	.size " #name ", " #name "_end - " #name "\n"                              \
	        "	.size " #name "_size, 4\n"                                                 \
	        "	.popsection\n");                                                           \
	KVM_API_EXTERN const char name[];                                                          \
	KVM_API_EXTERN const char name##_end[];                                                    \
	KVM_API_EXTERN const int name##_size

#ifdef __cplusplus
}
#endif

#endif
