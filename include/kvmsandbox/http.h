/* SPDX-License-Identifier: MIT */
/*
 * Handing an HTTP-like request to a guest that uses kvm_api.h, and taking its
 * response; and the functions by which a host takes part in what guests ask for
 * meanwhile (kvmsb_http_ops), each of which may be left out.
 *
 * A request is handled in the first of these ways that the program has:
 *
 *   set_backend_request()              every request
 *   set_backend_get()                  a request without a body
 *   set_backend_post()                 a request with one
 *   wait_for_requests_paused()         every request: main() goes on with it
 *
 * A body is what decides, never the method. Where the program has
 * set_backend_stream_post() that is called first, with each piece of a body; the
 * functions above are then given its length alone. A response that it gives by then
 * is the response, and the rest of the body is left.
 */
#ifndef KVMSANDBOX_HTTP_H
#define KVMSANDBOX_HTTP_H

#include "sandbox.h"
#include "version.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A header field "Name: value", without line ending. */
struct kvmsb_http_field {
	const char *text;
	size_t length;
};

/* Which fields a call of the guest is about. */
enum kvmsb_http_side {
	KVMSB_HTTP_REQUEST = 0,
	KVMSB_HTTP_RESPONSE = 1,
};

/* How long a response may be kept, in seconds, as Varnish has it. */
struct kvmsb_http_cache {
	int32_t is_set;    /* 0: the guest said nothing */
	int32_t cacheable; /* 0 or 1 */
	double ttl;
	double grace;
	double keep;
};

/* ---- Functions of the host ---- */

/* Whose call it is: the first argument of each function. Lives until that returns. */
struct kvmsb_http_context {
	size_t size;
	void *user;            /* kvmsb_http_ops.user */
	void *request_user;    /* kvmsb_http_request.user; NULL outside of requests */
	struct kvmsb *sandbox; /* it runs: the rules for stream functions (policy.h) hold */
};

/*
 * A request that a guest makes (sys_fetch). Texts are NUL-terminated copies. Lives until the
 * function returns. What it asks for is hostile: where it leads is the host's to check.
 */
struct kvmsb_fetch {
	size_t size;
	const char *url;    /* 1..1024 bytes, as the guest gave it, without control characters */
	size_t url_length;
	const struct kvmsb_http_field *fields; /* at most 12, and Content-Type: a name that is a token, a
	                                          colon, a value without control characters, maybe empty */
	size_t field_count;
	const struct iovec *body; /* to be sent by POST, in the guest's memory: what of the answer is
	                             stored there may show in it; body_count 0: none */
	size_t body_count;
	uint64_t body_length;
	const char *interface;    /* to send from; NULL: any */
	int32_t follow_redirects; /* these are 0 or 1 */
	int32_t only_head;
	int32_t tcp_fast_open;
	int32_t no_host_check;    /* the guest does not want the name in a certificate checked */
	uint64_t deadline_ns;     /* CLOCK_MONOTONIC at the end of the guest's run */
};

/*
 * The answer, as it comes in: kvmsb_fetch_status() once (of several the last
 * counts, of none it is 0 and no type), kvmsb_fetch_head() and kvmsb_fetch_body() as
 * often as there is a piece, which is copied straight into the guest's memory. Only
 * until the fetch function that was given it returns, by one thread at a time; for
 * these the sandbox is not busy.
 */
struct kvmsb_fetch_answer;

/* content_type may be NULL; of a longer one the first 127 bytes count. */
KVMSB_EXPORT void kvmsb_fetch_status(struct kvmsb_fetch_answer *answer, uint32_t status,
                                     const char *content_type);
/*
 * The head as received: status line and fields with their line ends. Kept where the guest wants
 * it: in its buffer, of which the last byte is a NUL and what does not fit is dropped, or in a
 * mapping of its own, of at most 1 MiB.
 */
KVMSB_EXPORT int kvmsb_fetch_head(struct kvmsb_fetch_answer *answer, const void *data,
                                  size_t length);
/*
 * The body: into the guest's buffer, or a mapping of its own, of at most 256 MiB.
 *
 * Both return 0, -ENOSPC (that room is used up), -EFAULT (the guest's room is not its to
 * write, or data is NULL), -ENOMEM (a memory limit): then the function is to give up and
 * return what it likes. The guest gets -23 (CURLE_WRITE_ERROR), and later calls the same error.
 */
KVMSB_EXPORT int kvmsb_fetch_body(struct kvmsb_fetch_answer *answer, const void *data,
                                  size_t length);

/*
 * What a host does for guests. In-struct of kvmsb_create(), copied; every
 * function may be NULL. Forks inherit them: they must then be safe to call from
 * several threads at once. They run in the thread that runs the guest; the rules
 * for stream functions (policy.h) hold, and their time is the guest's. What
 * they are given lives until they return; what they return pointers to must live
 * until the next call for the same sandbox.
 */
struct kvmsb_http_ops {
	size_t size;
	void *user; /* stays the host's; must live as long as sandboxes of the program */

	/*
	 * Header fields kept by the host: these five, or none of them (-EINVAL).
	 * By default the library keeps them: the request's are those of
	 * kvmsb_http_request.fields, the response's are empty and end up in
	 * kvmsb_http_response.fields.
	 *
	 * Texts have passed the rules of fields (a name that is a token, a colon, a
	 * space, a value without control characters). Names are compared without
	 * regard to case; NUL-termination is not to be relied on. Positions count
	 * from 0 and stay below 65536. A field that is given has at most 64 KiB and no
	 * CR, LF or NUL.
	 *
	 * find: position of the first field of that name, with *field set. next: the
	 * field at the position. append: its position. set: replaces the first of its
	 * name, or appends; its position. unset: removes the first of that name; the
	 * position it had. Each returns it, or -ENOENT (there is none), -ENOSPC (no
	 * room: find, next and unset never), another negative errno: the call is
	 * denied and the run over.
	 */
	int64_t (*header_find)(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
	                       const char *name, size_t length, struct kvmsb_http_field *field);
	int64_t (*header_next)(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
	                       size_t position, struct kvmsb_http_field *field);
	int64_t (*header_append)(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
	                         const char *text, size_t length);
	int64_t (*header_set)(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
	                      const char *text, size_t length);
	int64_t (*header_unset)(const struct kvmsb_http_context *context, enum kvmsb_http_side side,
	                        const char *name, size_t length);

	/* The method, NUL-terminated. Default: kvmsb_http_request.method. */
	const char *(*method)(const struct kvmsb_http_context *context);

	/* set_cacheable(): returns 0, or -1 where nothing can be cached. Default: 0; in both
	 * cases kvmsb_http_response.cache has it. Times are 0..2^31 seconds. What a response
	 * says of itself (BackendResponseExtra) only is there. */
	int (*cache_policy)(const struct kvmsb_http_context *context,
	                    const struct kvmsb_http_cache *policy);

	/* sys_log(): one text, without the line end that it may have had; it may hold any byte.
	 * And lines of the library about the guest's mistakes, "PROGRAM: ...". All of it within
	 * options.log_limit. Default: as if the guest had written it to its standard error. */
	void (*log)(const struct kvmsb_http_context *context, const char *text, size_t length);

	/*
	 * sys_fetch(): returns 0, or what the guest gets: a negative CURLcode, or -1 (which is also
	 * what it gets for anything above 0): then its struct curl_op stays as it was.
	 * self_request: the same for an url that begins with "/", and sys_request(). Default:
	 * -ENOSYS. Called in main() and in any function of the guest, too.
	 */
	int (*fetch)(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
	             struct kvmsb_fetch_answer *answer);
	int (*self_request)(const struct kvmsb_http_context *context,
	                    const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer);

	/*
	 * Regular expressions: these three, or none (-EINVAL). By default the library's
	 * own, in time linear in the text: Perl's syntax without back references and
	 * look-around.
	 *
	 * compile: 0 with *regex set, -EINVAL (not a pattern), -ENOMEM. match: the first
	 * match that begins at `start` or behind; what lies before counts for anchors and
	 * word edges. Number of groups that there is something to say about, the whole match
	 * included (at most `maximum`, at least 1), with begin and end of each in `groups`
	 * (two of SIZE_MAX: did not take part); 0: no match; below zero: failed, or took too
	 * long. A regex is used by several threads at once. free: no sandbox uses it.
	 */
	int (*regex_compile)(const struct kvmsb_http_context *context, const char *pattern,
	                     size_t length, void **regex);
	int (*regex_match)(const struct kvmsb_http_context *context, void *regex, const char *text,
	                   size_t length, size_t start, size_t groups[][2], size_t maximum);
	void (*regex_free)(void *user, void *regex);

	/*
	 * The next piece of the body of a request with KVMSB_HTTP_BODY_STREAMED, stored
	 * straight into the guest's memory: returns its length (at most `size`), 0 at the
	 * end, or a negative errno: kvmsb_request() returns that. It may wait; the time limits
	 * of requests are of the guest's own time. Default: no such requests.
	 */
	int64_t (*body_read)(const struct kvmsb_http_context *context, void *buffer, size_t size);

	/*
	 * sys_sockets_write(): data for a connection, in the guest's memory; of much data
	 * the first 256 KiB, or less. Returns the bytes taken or a negative errno; -EAGAIN
	 * leaves the guest's event as it is. Default: -ENOSYS.
	 */
	int64_t (*socket_write)(const struct kvmsb_http_context *context, int descriptor,
	                        const struct iovec *pieces, size_t count);

	/*
	 * The response to a request that failed and that the guest's on_error did not
	 * answer either: an error page. exception: what happened, as on_error has it.
	 * Fills *body with a body that the library copies, and *content_type ("" at
	 * first). Returns the status, 200..599, or 0: the default, 500 without a body.
	 */
	int (*error_page)(const struct kvmsb_http_context *context, const char *exception,
	                  const char **content_type, struct iovec *body);
};
#define KVMSB_HTTP_OPS_INIT KVMSB_SIZED(struct kvmsb_http_ops)

/* ---- Requests ---- */

/* kvmsb_http_request.flags */
#define KVMSB_HTTP_WARM_UP 1u       /* IS_WARMUP_REQUEST() of the guest is true */
#define KVMSB_HTTP_BODY_STREAMED 2u /* there is a body, which ops.body_read gives; `body` is not used */
#define KVMSB_HTTP_NO_ON_ERROR 4u   /* the guest's on_error is not called */

/* In-struct of kvmsb_request(). Strings are NUL-terminated; everything is copied. */
struct kvmsb_http_request {
	size_t size;
	const char *method;   /* NULL: "GET" */
	const char *url;      /* "/path?query"; needed */
	const char *argument; /* the handler's second argument; NULL: "" */
	const struct kvmsb_http_field *fields;
	size_t field_count; /* at most 64 */
	uint64_t timeout_ns; /* of each entry into the guest; 0: options.call_timeout_ns */

	const struct iovec *body; /* pieces; body_count 0, or no byte in them: no body */
	size_t body_count;
	const char *content_type; /* of the body; NULL: the value of field Content-Type, or "" */
	uint32_t flags;           /* KVMSB_HTTP_...; others: -EINVAL */
	uint32_t reserved;        /* zero */
	void *user;               /* for the functions of the host */
};
#define KVMSB_HTTP_REQUEST_INIT KVMSB_SIZED(struct kvmsb_http_request)

/* Who made a response. Open: later releases may add values. */
enum kvmsb_http_source {
	KVMSB_HTTP_FROM_NOBODY = 0, /* there is none: the call failed */
	KVMSB_HTTP_FROM_HANDLER,    /* the guest, as it should */
	KVMSB_HTTP_FROM_ON_ERROR,   /* the guest's on_error */
	KVMSB_HTTP_FROM_HOST,       /* an error page */
};

/*
 * Out-struct of kvmsb_request(). The memory it points to belongs to the
 * sandbox, and lives, unchanged, until it is reset, run again or destroyed; that
 * is up to the host, which may keep a fork for as long as it sends, and serve the
 * next request by another: making one costs less than copying a large body. Only a
 * kvmsb_memory_write() to where the body lies may change it, or may not. Any thread
 * may read it. Pieces may be the same memory more than once: zeros, where the guest
 * never used what it answered with.
 */
struct kvmsb_http_response {
	size_t size;
	int32_t status;           /* 200..599; 0 when there is no response */
	const char *content_type; /* NUL-terminated, "" when the guest gave none */
	const struct kvmsb_http_field *fields; /* that the guest set or appended, in order */
	size_t field_count;
	const struct iovec *body; /* pieces, straight in the guest's memory: to be read only */
	size_t body_count;
	uint64_t body_length;
	int32_t is_streamed;      /* no pieces: body_length bytes come from kvmsb_response_read() */
	int32_t source;           /* enum kvmsb_http_source */
	const char *exception;    /* why there is no response of the handler's, as on_error has it; or NULL */
	struct kvmsb_http_cache cache;
};
#define KVMSB_HTTP_RESPONSE_INIT KVMSB_SIZED(struct kvmsb_http_response)

/*
 * Hands the guest a request and takes its response: the first it gives, where
 * it stops. What it does after that runs, where main() waits in
 * wait_for_requests_paused(), at the start of the next request, if the sandbox is
 * not reset before.
 *
 * A request that fails (the handler returns or exits without a response, faults,
 * times out, uses up its memory, is denied) is the guest's on_error's to answer, in
 * the sandbox as it is then, within options.error_timeout_ns; else the host's
 * (ops.error_page): 500 and no body by default. A body of more than 512 MiB, and
 * one that the guest's stream function did not take, are answered by 503.
 *
 * Returns 0 with response and result filled: response->status is never 0 then,
 * and result is that of the handler, not of on_error. result->outcome is
 * KVMSB_OUTCOME_HYPERCALL where the handler gave the response. Or
 *  -EINVAL   wrong state; no url; more than 64 fields; a method or the name of a
 *            field that is no token (RFC 9110, 5.6.2); CR, LF or NUL in a field or
 *            content_type; unknown flags; a streamed body without ops.body_read
 *  -EOPNOTSUPP  the program has no way to handle such a request
 *  -E2BIG    url, argument and fields do not fit a half of the stack; a method
 *            longer than 31 bytes, a field than 64 KiB, all fields than 1 MiB; an
 *            unknown tail
 *  -EROFS, -ESRCH, -EBUSY, -ECHILD, -ENOMEM, -EMFILE, -ETIMEDOUT, -EUSERS, -ECANCELED:
 *  as kvmsb_vmcall()
 */
KVMSB_EXPORT int kvmsb_request(struct kvmsb *sandbox, const struct kvmsb_http_request *request,
                               struct kvmsb_http_response *response, struct kvmsb_result *result);

/*
 * The next bytes of a streamed response: copies at most `size` of what the
 * guest's function gives, which is called for it within
 * options.stream_timeout_ns. It may be called while the host still sends what it
 * read before.
 *
 * Returns 1..size; 0: all of body_length has been read; or
 *  -EPROTO   the guest failed: its function faulted, timed out, gave nothing or
 *            memory that is not its own; kvmsb_detail() says what. No more comes.
 *  -EINVAL   size 0; no streamed response at hand
 *  and as kvmsb_vmcall().
 */
KVMSB_EXPORT int64_t kvmsb_response_read(struct kvmsb *sandbox, void *buffer, size_t size);

/* ---- Sockets ---- */

/* enum SocketEvent of guest/kvm_api.h. */
enum kvmsb_socket_event_kind {
	KVMSB_SOCKET_CONNECT = 0,
	KVMSB_SOCKET_READ = 1,
	KVMSB_SOCKET_WRITABLE = 2,
	KVMSB_SOCKET_DISCONNECT = 3,
};

/* What happened on a connection of the host's. Strings are NUL-terminated; everything is copied. */
struct kvmsb_socket_event {
	int32_t descriptor; /* the guest's name for the connection: the host's choice */
	int32_t kind;       /* enum kvmsb_socket_event_kind */
	const char *remote;   /* NULL: "" */
	const char *argument; /* NULL: "" */
	const void *data;
	size_t data_length; /* at most 1 MiB */
};

/*
 * Calls the function that a program has registered by
 * set_socket_prepare_for_pause() with the number `system`, up to where it waits for
 * events. Needed where main() itself does not wait for events.
 *
 * Returns 0 with result filled (KVMSB_OUTCOME_READY: it waits), -EOPNOTSUPP (there
 * is no such function), -EINVAL (not a fork), or as kvmsb_vmcall().
 */
KVMSB_EXPORT int kvmsb_socket_prepare(struct kvmsb *fork, int system, uint64_t timeout_ns,
                                      struct kvmsb_result *result);

/*
 * Hands events to a guest that waits in wait_for_socket_events_paused(), and runs it
 * until it waits again. What it writes meanwhile goes to ops.socket_write. A
 * program that waits for requests takes the first event for one: the host knows its
 * programs.
 *
 * Returns how many events were taken: as many as there are, or as the guest has room
 * for (1..32). result->outcome is KVMSB_OUTCOME_READY when it waits again. Or
 *  -EINVAL   no events; one with more than 1 MiB; no function of the guest waits
 *  and as kvmsb_vmcall(). Time limit: timeout_ns, 0: options.call_timeout_ns.
 */
KVMSB_EXPORT int kvmsb_socket_events(struct kvmsb *sandbox, const struct kvmsb_socket_event *events,
                                     size_t count, uint64_t timeout_ns,
                                     struct kvmsb_result *result);

/* ---- What a program has said of itself ---- */

/* Out-struct of kvmsb_http_get_program(). */
struct kvmsb_http_program {
	size_t size;
	uint64_t handlers[13]; /* guest addresses by index of register_func(), 0: none: 1 GET, 2 POST,
	                          3 request, 4 streamed POST, 5 on_error, 6 and 7 live update, 12 sockets */
	int32_t is_paused;     /* waits in wait_for_requests_paused() */
	int32_t is_ephemeral;  /* wants to be reset after each request; 0 only by sys_make_ephemeral(0),
	                          and options.http_flags that allow it */
};
#define KVMSB_HTTP_PROGRAM_INIT KVMSB_SIZED(struct kvmsb_http_program)

/*
 * Returns 0, -EINVAL (size; it has not waited for requests), -ECHILD. Of a master:
 * any thread; else the sandbox must not be running or reset meanwhile.
 */
KVMSB_EXPORT int kvmsb_http_get_program(const struct kvmsb *sandbox,
                                        struct kvmsb_http_program *program);

#ifdef __cplusplus
}
#endif

#endif
