/* SPDX-License-Identifier: MIT */
/*
 * Where hosts, and programs of other languages, expect what the structures of
 * guest/kvm_api.h hold, and the numbers of its calls. Compiles, as C11 and as
 * C++11, or the header is wrong.
 */
#include "kvm_api.h"

#ifndef __cplusplus
#define static_assert _Static_assert
#endif

#define SIZE(type, size) static_assert(sizeof(struct type) == (size), "size of " #type)
#define FIELD(type, field, offset, size)                                                           \
	static_assert(offsetof(struct type, field) == (offset) &&                                  \
	                      sizeof(((struct type *)0)->field) == (size),                         \
	              #type "." #field)
#define NUMBER(name, number) static_assert(KVM_API_##name == (number), #name)
#define EQUAL(name, value) static_assert((name) == (value), #name)

SIZE(kvm_request_header, 16);
FIELD(kvm_request_header, field, 0, 8);
FIELD(kvm_request_header, field_colon, 8, 4);
FIELD(kvm_request_header, field_len, 12, 4);

SIZE(kvm_request, 104);
FIELD(kvm_request, method, 0, 8);
FIELD(kvm_request, url, 8, 8);
FIELD(kvm_request, arg, 16, 8);
FIELD(kvm_request, content_type, 24, 8);
FIELD(kvm_request, method_len, 32, 2);
FIELD(kvm_request, url_len, 34, 2);
FIELD(kvm_request, arg_len, 36, 2);
FIELD(kvm_request, content_type_len, 38, 2);
FIELD(kvm_request, content, 40, 8);
FIELD(kvm_request, content_len, 48, 8);
FIELD(kvm_request, headers, 56, 8);
FIELD(kvm_request, num_headers, 64, 2);
FIELD(kvm_request, info_flags, 66, 2);
FIELD(kvm_request, reserved0, 68, 4);
FIELD(kvm_request, prng, 72, 16);
FIELD(kvm_request, reserved, 88, 16);

SIZE(ResponseHeader, 16);
FIELD(ResponseHeader, field, 0, 8);
FIELD(ResponseHeader, field_len, 8, 8);

SIZE(BackendResponseExtra, 56);
FIELD(BackendResponseExtra, headers, 0, 8);
FIELD(BackendResponseExtra, num_headers, 8, 2);
FIELD(BackendResponseExtra, cached, 10, 1);
FIELD(BackendResponseExtra, ttl, 12, 4);
FIELD(BackendResponseExtra, grace, 16, 4);
FIELD(BackendResponseExtra, keep, 20, 4);
FIELD(BackendResponseExtra, reserved, 24, 32);

SIZE(streaming_content, 16);
FIELD(streaming_content, data, 0, 8);
FIELD(streaming_content, len, 8, 8);

SIZE(virtbuffer, 16);
FIELD(virtbuffer, data, 0, 8);
FIELD(virtbuffer, len, 8, 8);

SIZE(shared_memory_info, 16);
FIELD(shared_memory_info, ptr, 0, 8);
FIELD(shared_memory_info, end, 8, 8);

SIZE(meminfo, 32);
FIELD(meminfo, max_memory, 0, 8);
FIELD(meminfo, max_reqmem, 8, 8);
FIELD(meminfo, reqmem_upper, 16, 8);
FIELD(meminfo, reqmem_current, 24, 8);

SIZE(curl_op, 176);
FIELD(curl_op, status, 0, 4);
FIELD(curl_op, post_buflen, 4, 4);
FIELD(curl_op, post_buffer, 8, 8);
FIELD(curl_op, headers, 16, 8);
FIELD(curl_op, headers_length, 24, 4);
FIELD(curl_op, unused1, 28, 4);
FIELD(curl_op, content, 32, 8);
FIELD(curl_op, content_length, 40, 4);
FIELD(curl_op, ctlen, 44, 4);
FIELD(curl_op, ctype, 48, 128);

SIZE(curl_fields, 120);
FIELD(curl_fields, ptr, 0, 96);
FIELD(curl_fields, len, 96, 24);

SIZE(curl_options, 24);
FIELD(curl_options, interface, 0, 8);
FIELD(curl_options, unused, 8, 8);
FIELD(curl_options, follow_location, 16, 1);
FIELD(curl_options, dummy_fetch, 17, 1);
FIELD(curl_options, tcp_fast_open, 18, 1);
FIELD(curl_options, dont_verify_host, 19, 1);
FIELD(curl_options, unused_opt5, 20, 4);

SIZE(kvm_socket_event, 40);
FIELD(kvm_socket_event, fd, 0, 4);
FIELD(kvm_socket_event, event, 4, 4);
FIELD(kvm_socket_event, remote, 8, 8);
FIELD(kvm_socket_event, arg, 16, 8);
FIELD(kvm_socket_event, data, 24, 8);
FIELD(kvm_socket_event, data_len, 32, 8);

NUMBER(REGISTER_FUNC, 0x10000);
NUMBER(WAIT_FOR_REQUESTS, 0x10001);
NUMBER(WAIT_PAUSED, 0x10002);
NUMBER(SET_CACHEABLE, 0x10005);
NUMBER(BACKEND_RESPONSE, 0x10010);
NUMBER(STORAGE_RETURN, 0x10011);
NUMBER(STREAMING_RESPONSE, 0x10012);
NUMBER(STORAGE_NORETURN, 0x10013);
NUMBER(HTTP_APPEND, 0x10020);
NUMBER(HTTP_SET, 0x10021);
NUMBER(HTTP_FIND, 0x10022);
NUMBER(HTTP_METHOD, 0x10023);
NUMBER(REGEX_COMPILE, 0x10030);
NUMBER(REGEX_FREE, 0x10031);
NUMBER(REGEX_MATCH, 0x10032);
NUMBER(REGEX_SUBST, 0x10033);
NUMBER(REGEX_COPYTO, 0x10035);
NUMBER(SOCKETS_WRITE, 0x10500);
NUMBER(SHARED_MEMORY_AREA, 0x10700);
NUMBER(MAKE_EPHEMERAL, 0x10703);
NUMBER(IS_STORAGE, 0x10706);
NUMBER(STORAGE_ALLOW, 0x10707);
NUMBER(STORAGE_CALLV, 0x10708);
NUMBER(STORAGE_TASK, 0x10709);
NUMBER(STOP_STORAGE_TASK, 0x1070a);
NUMBER(MULTIPROCESS, 0x10710);
NUMBER(MULTIPROCESS_ARRAY, 0x10711);
NUMBER(MULTIPROCESS_CLONE, 0x10712);
NUMBER(MULTIPROCESS_WAIT, 0x10713);
NUMBER(GET_MEMINFO, 0x10a00);
NUMBER(FETCH, 0x20000);
NUMBER(REQUEST, 0x20001);
NUMBER(LOG, 0x7f000);
NUMBER(BREAKPOINT, 0x7f7f7);
NUMBER(IS_DEBUG, 0x7fdeb);

NUMBER(ON_RECEIVE, 0);
NUMBER(ON_GET, 1);
NUMBER(ON_POST, 2);
NUMBER(ON_REQUEST, 3);
NUMBER(ON_STREAM_POST, 4);
NUMBER(ON_ERROR, 5);
NUMBER(ON_LIVE_UPDATE, 6);
NUMBER(ON_LIVE_RESTORE, 7);
NUMBER(ON_SOCKET_PAUSE, 12);

EQUAL(SOCKET_CONNECT, 0);
EQUAL(SOCKET_READ, 1);
EQUAL(SOCKET_WRITABLE, 2);
EQUAL(SOCKET_DISCONNECT, 3);
EQUAL(HTTP_FMT_SIZE, 4096);
EQUAL(CURL_FIELDS_COUNT, 12u);
