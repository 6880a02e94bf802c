/* SPDX-License-Identifier: MIT */
/*
 * Uses everything that guest/kvm_api.h has, as C99 and later and as C++11 and
 * later: so all of it compiles and links. Run outside of a sandbox, where each
 * call must do no harm. With -DPART it is a second file of the same program.
 *
 * usage: kvm_api_use                  exit status 0 when all is as documented
 *        kvm_api_use CALL             makes a call that cannot return: 38
 */
#define KVM_API_ALREADY_DEFINED
#include "kvm_api.h"

#ifdef __cplusplus
#include <cerrno>
#define ASSERT(name, condition) static_assert(condition, #name)
extern "C" {
#else
#include <errno.h>
#define ASSERT(name, condition) typedef char assert_##name[(condition) ? 1 : -1]
#endif

void *allocate_in_part(void);

#ifdef PART

void *allocate_in_part(void)
{
	return SHM_ALLOC_TYPE(long);
}

#else

/* Where the host and programs of other languages expect them. */
ASSERT(header_size, sizeof(struct kvm_request_header) == 16);
ASSERT(header_colon, offsetof(struct kvm_request_header, field_colon) == 8);
ASSERT(header_len, offsetof(struct kvm_request_header, field_len) == 12);
ASSERT(request_size, sizeof(struct kvm_request) == 104);
ASSERT(request_url, offsetof(struct kvm_request, url) == 8);
ASSERT(request_arg, offsetof(struct kvm_request, arg) == 16);
ASSERT(request_type, offsetof(struct kvm_request, content_type) == 24);
ASSERT(request_method_len, offsetof(struct kvm_request, method_len) == 32);
ASSERT(request_url_len, offsetof(struct kvm_request, url_len) == 34);
ASSERT(request_arg_len, offsetof(struct kvm_request, arg_len) == 36);
ASSERT(request_type_len, offsetof(struct kvm_request, content_type_len) == 38);
ASSERT(request_content, offsetof(struct kvm_request, content) == 40);
ASSERT(request_content_len, offsetof(struct kvm_request, content_len) == 48);
ASSERT(request_headers, offsetof(struct kvm_request, headers) == 56);
ASSERT(request_num_headers, offsetof(struct kvm_request, num_headers) == 64);
ASSERT(request_flags, offsetof(struct kvm_request, info_flags) == 66);
ASSERT(request_prng, offsetof(struct kvm_request, prng) == 72);
ASSERT(request_reserved, offsetof(struct kvm_request, reserved) == 88);
ASSERT(response_header_size, sizeof(struct ResponseHeader) == 16);
ASSERT(extra_size, sizeof(struct BackendResponseExtra) == 56);
ASSERT(extra_num_headers, offsetof(struct BackendResponseExtra, num_headers) == 8);
ASSERT(extra_cached, offsetof(struct BackendResponseExtra, cached) == 10);
ASSERT(extra_ttl, offsetof(struct BackendResponseExtra, ttl) == 12);
ASSERT(extra_grace, offsetof(struct BackendResponseExtra, grace) == 16);
ASSERT(extra_keep, offsetof(struct BackendResponseExtra, keep) == 20);
ASSERT(extra_reserved, offsetof(struct BackendResponseExtra, reserved) == 24);
ASSERT(streaming_size, sizeof(struct streaming_content) == 16);
ASSERT(virtbuffer_size, sizeof(struct virtbuffer) == 16);
ASSERT(shared_size, sizeof(struct shared_memory_info) == 16);
ASSERT(meminfo_size, sizeof(struct meminfo) == 32);
ASSERT(op_size, sizeof(struct curl_op) == 176);
ASSERT(op_post, offsetof(struct curl_op, post_buffer) == 8);
ASSERT(op_headers, offsetof(struct curl_op, headers) == 16);
ASSERT(op_headers_length, offsetof(struct curl_op, headers_length) == 24);
ASSERT(op_content, offsetof(struct curl_op, content) == 32);
ASSERT(op_content_length, offsetof(struct curl_op, content_length) == 40);
ASSERT(op_ctlen, offsetof(struct curl_op, ctlen) == 44);
ASSERT(op_ctype, offsetof(struct curl_op, ctype) == 48);
ASSERT(fields_size, sizeof(struct curl_fields) == 120);
ASSERT(fields_len, offsetof(struct curl_fields, len) == 96);
ASSERT(options_size, sizeof(struct curl_options) == 24);
ASSERT(options_follow, offsetof(struct curl_options, follow_location) == 16);
ASSERT(options_verify, offsetof(struct curl_options, dont_verify_host) == 19);
ASSERT(event_size, sizeof(struct kvm_socket_event) == 40);
ASSERT(event_remote, offsetof(struct kvm_socket_event, remote) == 8);
ASSERT(event_arg, offsetof(struct kvm_socket_event, arg) == 16);
ASSERT(event_data, offsetof(struct kvm_socket_event, data) == 24);
ASSERT(event_len, offsetof(struct kvm_socket_event, data_len) == 32);
ASSERT(format_size, HTTP_FMT_SIZE == 4096);
ASSERT(fields_count, CURL_FIELDS_COUNT == 12u);

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

static void register_all(void)
{
	set_backend_get(on_get);
	set_backend_post(on_post);
	set_backend_request(on_request);
	set_backend_stream_post(on_stream_post);
	set_on_error(on_error);
	set_on_live_update(on_live_update);
	set_on_live_restore(on_live_restore);
	set_socket_prepare_for_pause(on_socket_pause);
	register_func(1, on_get);
	wait_for_requests();
}

static void respond_all(void)
{
	struct ResponseHeader header;
	struct BackendResponseExtra extra;

	memset(&extra, 0, sizeof(extra));
	header.field = "A: b";
	header.field_len = 4;
	extra.headers = &header;
	extra.num_headers = 1;
	backend_response(200, "a", 1, "b", 1);
	backend_response_str(200, "a", "b");
	backend_response_extra(200, "a", 1, "b", 1, &extra);
	sys_backend_response(200, "a", 1, "b", 1, &extra);
	EXPECT(set_cacheable(true, 1.5f, 0, 0) == -ENOSYS);
	EXPECT(sys_set_cacheable(true, 1, 2, 3) == -ENOSYS);
}

static void use_headers(void)
{
	char text[64];
	char *found = http_alloc_find(BEREQ, "Host");
	char *method = http_alloc_method();

	EXPECT(strcmp(found, "") == 0);
	EXPECT(strcmp(method, "") == 0);
	free(found);
	free(method);
	EXPECT(sys_http_append(REQ, "A: b", 4) == -ENOSYS);
	EXPECT(sys_http_set(REQ, "A: b", 4) == -ENOSYS);
	EXPECT(sys_http_find(REQ, "A", 1, NULL, 0) == -ENOSYS);
	EXPECT(http_append_str(REQ, "A: b") == -ENOSYS);
	EXPECT(http_appendf(REQUEST, "A: %d", 1) == -ENOSYS);
	EXPECT(http_appendf(REQUEST, "%5000d", 1) == -ENOSYS);
	EXPECT(http_set_str(RESP, "A: b") == -ENOSYS);
	EXPECT(http_setf(RESPONSE, "A: %s", "b") == -ENOSYS);
	EXPECT(http_unset_str(BERESP, "A") == -ENOSYS);
	EXPECT(http_unset(BERESP, "A", 1) == -ENOSYS);
	EXPECT(http_find_str(BEREQ, "A", text, sizeof(text)) == -ENOSYS);
	EXPECT(http_find_strlen(BEREQ, "A") == -ENOSYS);
	EXPECT(sys_http_method(text, sizeof(text)) == -ENOSYS);
	EXPECT(REQ == 0 && REQUEST == 0 && BEREQ == 0);
	EXPECT(RESP == 1 && RESPONSE == 1 && BERESP == 1);
}

static void use_expressions(void)
{
	char text[64];

	EXPECT(sys_regex_compile("a", 1) == -ENOSYS);
	EXPECT(sys_regex_match(0, "a", 1) == -ENOSYS);
	EXPECT(sys_regex_subst(0, "a", "b", text, sizeof(text), 1) == -ENOSYS);
	EXPECT(sys_regex_copyto(0, BEREQ, BERESP) == -ENOSYS);
	sys_regex_free(0);
	sys_log("a", 1);
	vlogf("%d", 1);
	vlogf("%5000d", 1);
}

static void use_storage(void)
{
	struct virtbuffer buffer;
	char text[8];

	buffer.data = "a";
	buffer.len = 1;
	EXPECT(storage_call(in_storage, "a", 1, text, sizeof(text)) == -ENOSYS);
	EXPECT(storage_callv(in_storage, 1, &buffer, text, sizeof(text)) == -ENOSYS);
	EXPECT(storage_task(task, "a", 1) == -ENOSYS);
	EXPECT(schedule_storage_task(task, "a", 1, 0.5f, 1) == -ENOSYS);
	EXPECT(sys_storage_task(task, "a", 1, 500, 1000) == -ENOSYS);
	EXPECT(stop_storage_task(1) == -ENOSYS);
	EXPECT(sys_storage_allow(in_storage) == -ENOSYS);
	EXPECT(STORAGE_ALLOW(task) == -ENOSYS);
	storage_return("a", 1);
	storage_return_nothing();
}

static void use_memory(void)
{
	struct shared_memory_info info = shared_memory_area();
	struct meminfo memory;
	long object = 0;
	long *shared = SHM_ALLOC(object);

	EXPECT(info.ptr == info.end);
	EXPECT(shared == NULL);
	EXPECT(SHM_ALLOC_TYPE(struct meminfo) == NULL);
	EXPECT(SHM_ALLOC_BYTES(1) == NULL);
	EXPECT(SHM_ALLOC_BYTES(0) == NULL);
	EXPECT(SHM_ALLOC_BYTES((size_t)-1) == NULL);
	EXPECT(allocate_in_part() == NULL);
	get_meminfo(&memory);
	EXPECT(memory.max_memory == 0 && memory.reqmem_current == 0);
	EXPECT(TRUST_ME((const char *)&object) == (void *)&object);
}

static void use_processors(void)
{
	long array[2] = {0, 0};

	EXPECT(vcpuid() == 0);
	EXPECT(vcpureqid() == 0);
	EXPECT(multiprocess(2, on_processor, array) == -ENOSYS);
	EXPECT(multiprocess_array(2, on_element, array, sizeof(array[0])) == -ENOSYS);
	EXPECT(multiprocess_clone(2, array, sizeof(array)) == -ENOSYS);
	EXPECT(multiprocess_wait() == -ENOSYS);
	EXPECT(sys_make_ephemeral(1) == -ENOSYS);
	EXPECT(sys_is_storage() == -ENOSYS);
	EXPECT(sys_is_debug() == -ENOSYS);
	sys_breakpoint();
}

static void use_network(void)
{
	struct kvm_socket_event event;
	struct curl_options options;
	struct curl_fields fields;
	struct curl_op op;

	memset(&event, 0, sizeof(event));
	memset(&options, 0, sizeof(options));
	memset(&fields, 0, sizeof(fields));
	memset(&op, 0, sizeof(op));
	event.event = SOCKET_CONNECT + SOCKET_READ + SOCKET_WRITABLE + SOCKET_DISCONNECT;
	CURL_SETFIELD(&fields, 0, "Accept: a");
	EXPECT(fields.len[0] == 9 && fields.ptr[0][0] == 'A');
	EXPECT(sys_fetch("/", 1, &op, &fields, &options) == -ENOSYS);
	EXPECT(sys_request("/", 1, &op, &fields, &options) == -ENOSYS);
	EXPECT(wait_for_socket_events_paused(&event, 1) == -ENOSYS);
	EXPECT(wait_for_socket_event_paused(&event) == -ENOSYS);
	sys_sockets_write(&event, 1);
}

static void use_environment(void)
{
	EXPECT(!IS_SANDBOXED_MAIN());
	EXPECT(IS_LINUX_MAIN());
	EXPECT(!IS_STORAGE() && !IS_REQUEST() && !IS_DEBUG());
	EXPECT(embedded_size == (int)(embedded_end - embedded));
	EXPECT(embedded_size > 2 && memcmp(embedded, "/*", 2) == 0);
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
	register_all();
	respond_all();
	use_headers();
	use_expressions();
	use_storage();
	use_memory();
	use_processors();
	use_network();
	use_environment();
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

#ifdef __cplusplus
}
#endif
