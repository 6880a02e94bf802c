/* SPDX-License-Identifier: MIT */
/*
 * What tests of requests share: asking a guest, with whatever body its answer
 * has read to the end, and saying what came when it is not what a test wanted.
 * As sandbox_fixture.h: for the thread of the cmocka test.
 */
#ifndef KVMSB_TESTS_HTTP_FIXTURE_H
#define KVMSB_TESTS_HTTP_FIXTURE_H

#include "sandbox_fixture.h"

#include <kvmsandbox/http.h>

/* The entry path of the test that runs: see http_run_tests(). */
extern enum kvmsb_entry http_entry;

/* Runs the tests once for each entry path that this host has. Returns as cmocka. */
int http_run_tests(const struct CMUnitTest *tests, size_t count);

/* A program that waits, frozen, and a fork of it. */
struct scene {
	struct kvmsb *master;
	struct kvmsb *fork;
};

/* Options for a guest program with up to two arguments, which may be NULL; by http_entry. */
struct kvmsb_options http_options(const char *path, const char *first, const char *second);
struct scene http_open(const struct kvmsb_options *options);
void http_reset(const struct scene *scene);
void http_close(const struct scene *scene);

/* What came of a request. Lives until the next one for the sandbox, body until the next for any. */
struct reply {
	struct kvmsb *sandbox;
	struct kvmsb_http_response response;
	struct kvmsb_result result;
	const char *body;      /* all of it, with a NUL behind */
	size_t length;
	int64_t stream_failed; /* of a streamed body that did not come whole: what kvmsb_response_read() returned */
};

/* The host must succeed. A streamed body is read in pieces of `piece` bytes, 0: 64 KiB. */
struct reply http_ask_in_pieces(struct kvmsb *sandbox, const struct kvmsb_http_request *request,
                                size_t piece);
struct reply http_ask(struct kvmsb *sandbox, const struct kvmsb_http_request *request);
struct reply http_get(struct kvmsb *sandbox, const char *url);
struct reply http_post(struct kvmsb *sandbox, const char *url, const char *content_type,
                       const void *body, size_t length);

/* The host must refuse the request so. */
void http_refused(struct kvmsb *sandbox, const struct kvmsb_http_request *request, int error);

/* A field of the response, "" if there is none. */
const char *http_field(const struct reply *reply, const char *name);

/* The handler answered with that text. */
void http_check_text(const struct reply *reply, int status, const char *text, const char *file,
                     int line);
#define assert_text(reply, status, text) http_check_text(reply, status, text, __FILE__, __LINE__)

/* The handler did not answer, for a reason that begins so; the host did, by 500 without a body. */
void http_check_failed(const struct reply *reply, const char *exception, const char *file, int line);
#define assert_failed(reply, exception) http_check_failed(reply, exception, __FILE__, __LINE__)

/* Name of enum kvmsb_http_source. */
const char *http_source_name(int source);

#endif
