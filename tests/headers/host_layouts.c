/* SPDX-License-Identifier: MIT */
/*
 * The library has structures of its own for what lies in a guest's memory:
 * they are those of guest/kvm_api.h, or this does not compile. With each file of
 * the library that has any (PART_...), since their names are each file's own.
 */
#include "kvm_api.h"

#include <stddef.h>

#define SIZE(own, guest)                                                                           \
	_Static_assert(sizeof(struct own) == sizeof(struct guest), "size of struct " #guest)
#define FIELD(own, field, guest, guest_field)                                                      \
	_Static_assert(offsetof(struct own, field) == offsetof(struct guest, guest_field) &&       \
	                       sizeof(((struct own *)0)->field) ==                                 \
	                               sizeof(((struct guest *)0)->guest_field),                   \
	               "struct " #guest ", " #guest_field)
#define NUMBER(own, guest) _Static_assert((int)(own) == (int)(guest), #guest)

#if defined(PART_REQUEST)
#include "http/request_block.c"

SIZE(guest_field, kvm_request_header);
FIELD(guest_field, text, kvm_request_header, field);
FIELD(guest_field, colon, kvm_request_header, field_colon);
FIELD(guest_field, length, kvm_request_header, field_len);
SIZE(guest_request, kvm_request);
FIELD(guest_request, method, kvm_request, method);
FIELD(guest_request, url, kvm_request, url);
FIELD(guest_request, argument, kvm_request, arg);
FIELD(guest_request, content_type, kvm_request, content_type);
FIELD(guest_request, method_length, kvm_request, method_len);
FIELD(guest_request, url_length, kvm_request, url_len);
FIELD(guest_request, argument_length, kvm_request, arg_len);
FIELD(guest_request, content_type_length, kvm_request, content_type_len);
FIELD(guest_request, content, kvm_request, content);
FIELD(guest_request, content_length, kvm_request, content_len);
FIELD(guest_request, fields, kvm_request, headers);
FIELD(guest_request, field_count, kvm_request, num_headers);
FIELD(guest_request, flags, kvm_request, info_flags);
FIELD(guest_request, random, kvm_request, prng);

#elif defined(PART_RESPONSE)
#include "http/response_call.c"

FIELD(extra, fields, BackendResponseExtra, headers);
FIELD(extra, count, BackendResponseExtra, num_headers);
FIELD(extra, cached, BackendResponseExtra, cached);
FIELD(extra, ttl, BackendResponseExtra, ttl);
_Static_assert(sizeof(struct extra) + offsetof(struct extra_cache, grace) ==
                       offsetof(struct BackendResponseExtra, grace),
               "struct BackendResponseExtra, grace");
_Static_assert(sizeof(struct extra) + offsetof(struct extra_cache, keep) ==
                       offsetof(struct BackendResponseExtra, keep),
               "struct BackendResponseExtra, keep");
SIZE(extra_field, ResponseHeader);
FIELD(extra_field, text, ResponseHeader, field);
FIELD(extra_field, length, ResponseHeader, field_len);

#elif defined(PART_FETCH)
#include "http/fetch_call.c"

SIZE(fetch_operation, curl_op);
FIELD(fetch_operation, status, curl_op, status);
FIELD(fetch_operation, post_length, curl_op, post_buflen);
FIELD(fetch_operation, post, curl_op, post_buffer);
FIELD(fetch_operation, head, curl_op, headers);
FIELD(fetch_operation, head_length, curl_op, headers_length);
FIELD(fetch_operation, content, curl_op, content);
FIELD(fetch_operation, content_length, curl_op, content_length);
FIELD(fetch_operation, content_type_length, curl_op, ctlen);
FIELD(fetch_operation, content_type, curl_op, ctype);
SIZE(guest_fields, curl_fields);
FIELD(guest_fields, text, curl_fields, ptr);
FIELD(guest_fields, length, curl_fields, len);
SIZE(guest_options, curl_options);
FIELD(guest_options, interface, curl_options, interface);
FIELD(guest_options, follow_location, curl_options, follow_location);
FIELD(guest_options, dummy_fetch, curl_options, dummy_fetch);
FIELD(guest_options, tcp_fast_open, curl_options, tcp_fast_open);
FIELD(guest_options, dont_verify_host, curl_options, dont_verify_host);

#elif defined(PART_SOCKETS)
#include "http/socket_call.c"

SIZE(socket_event, kvm_socket_event);
FIELD(socket_event, descriptor, kvm_socket_event, fd);
FIELD(socket_event, event, kvm_socket_event, event);
FIELD(socket_event, remote, kvm_socket_event, remote);
FIELD(socket_event, argument, kvm_socket_event, arg);
FIELD(socket_event, data, kvm_socket_event, data);
FIELD(socket_event, length, kvm_socket_event, data_len);
NUMBER(EVENT_WRITABLE, SOCKET_WRITABLE);

#elif defined(PART_SOCKET_EVENTS)
#include "request_sockets.c"

SIZE(socket_event, kvm_socket_event);
FIELD(socket_event, descriptor, kvm_socket_event, fd);
FIELD(socket_event, event, kvm_socket_event, event);
FIELD(socket_event, remote, kvm_socket_event, remote);
FIELD(socket_event, argument, kvm_socket_event, arg);
FIELD(socket_event, data, kvm_socket_event, data);
FIELD(socket_event, length, kvm_socket_event, data_len);

#elif defined(PART_TABLE)
/* Both have such a name. */
#define REQUEST REQUEST_OF_TABLE
#include "http/hypercalls.c"

SIZE(memory_information, meminfo);
FIELD(memory_information, max_memory, meminfo, max_memory);
FIELD(memory_information, max_reqmem, meminfo, max_reqmem);
FIELD(memory_information, reqmem_upper, meminfo, reqmem_upper);
FIELD(memory_information, reqmem_current, meminfo, reqmem_current);
NUMBER(HTTP_ENTRY_GET, KVM_API_ON_GET);
NUMBER(HTTP_ENTRY_POST, KVM_API_ON_POST);
NUMBER(HTTP_ENTRY_REQUEST, KVM_API_ON_REQUEST);
NUMBER(HTTP_ENTRY_STREAM_POST, KVM_API_ON_STREAM_POST);
NUMBER(HTTP_ENTRY_ERROR, KVM_API_ON_ERROR);
NUMBER(HTTP_ENTRY_SOCKET_PAUSE, KVM_API_ON_SOCKET_PAUSE);

#else
#error "which part?"
#endif
