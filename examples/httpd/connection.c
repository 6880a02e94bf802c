/* SPDX-License-Identifier: MIT */
/* Callbacks of libmicrohttpd; see connection.h. */
#include "connection.h"

#include "log.h"
#include "response.h"
#include "routes.h"
#include "server.h"
#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of a body that nobody wants; what sends more has its connection closed. */
#define DISCARDED_MAXIMUM (UINT64_C(16) << 20)

/* ---- The head ---- */

/* "http://host/path" is what proxies are sent (RFC 9112, 3.2.2): the path is what counts. */
static const char *path_of(const char *url)
{
	const char *authority = strstr(url, "://");
	const char *path;

	if (url[0] == '/' || authority == NULL)
		return url;
	path = strchr(authority + 3, '/');
	return path != NULL ? path : "/";
}

void *connection_begin(void *user, const char *url, struct MHD_Connection *connection)
{
	struct server *server = user;
	struct request *request = request_create(&server->gate, connection, path_of(url));

	if (request == NULL)
		return NULL;
	request->send_timeout = server->options->send_timeout;
	server->gate.requests++;
	return request;
}

static struct program *find_program(struct server *server, const struct request *request)
{
	const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
	                                               MHD_HTTP_HEADER_HOST);
	struct program *best = NULL;
	unsigned best_fit = 0;

	for (size_t i = 0; i < server->program_count; i++) {
		unsigned fit = route_fit(server->programs[i].options->route, host, request->url);

		if (fit <= best_fit)
			continue;
		best_fit = fit;
		best = &server->programs[i];
	}
	return best;
}

static enum MHD_Result take_field(void *user, enum MHD_ValueKind kind, const char *name,
                                  size_t name_length, const char *value, size_t value_length)
{
	struct request *request = user;
	struct kvmsb_http_field *field = &request->fields[request->field_count];
	const size_t length = name_length + 2 + value_length;
	char *text;

	(void)kind;
	if (request->field_count == REQUEST_FIELDS_MAXIMUM || (text = malloc(length + 1)) == NULL) {
		request->refusal = MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
		return MHD_NO;
	}
	memcpy(text, name, name_length);
	memcpy(text + name_length, ": ", 2);
	if (value_length > 0)
		memcpy(text + name_length + 2, value, value_length);
	text[length] = '\0';
	*field = (struct kvmsb_http_field){.text = text, .length = length};
	request->field_count++;
	return MHD_YES;
}

static const char *field_of(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Libmicrohttpd has refused what is no number. UINT64_MAX: in chunks, nobody knows. */
static uint64_t announced_length(const struct request *request)
{
	const char *length = field_of(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

	if (field_of(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
		return UINT64_MAX;
	return length != NULL ? strtoull(length, NULL, 10) : 0;
}

static void submit(struct request *request)
{
	request->is_submitted = program_submit(request->program, request);
	if (!request->is_submitted)
		request->refusal = MHD_HTTP_SERVICE_UNAVAILABLE;
}

/* The body goes to the guest as it comes: its worker begins now. */
static void begin_stream(struct request *request)
{
	request->input = calloc(1, sizeof(*request->input));
	if (request->input == NULL)
		request->refusal = MHD_HTTP_SERVICE_UNAVAILABLE;
	else
		submit(request);
}

static enum MHD_Result send_response(struct server *server, struct request *request,
                                     unsigned status, struct MHD_Response *response)
{
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	if (server->is_stopping)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	request->sent_status = (int)status;
	result = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result take_head(struct server *server, struct request *request, const char *method,
                                 const char *version)
{
	const uint64_t length = announced_length(request);
	uint64_t limit;

	request->method = strdup(method);
	if (request->method == NULL)
		return MHD_NO;
	request->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	snprintf(request->version, sizeof(request->version), "%s", version);
	if (!status_is_reserved(server, request->url))
		request->program = find_program(server, request);
	if (request->program == NULL)
		return MHD_YES;
	limit = request->program->options->body_limit;
	/* Now, so that the client need not send it at all. */
	if (length != UINT64_MAX && length > limit)
		return send_response(server, request, MHD_HTTP_CONTENT_TOO_LARGE,
		                     response_of_status(MHD_HTTP_CONTENT_TOO_LARGE));
	MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, take_field, request);
	if (request->refusal == 0 && length > 0 && request->program->takes_stream)
		begin_stream(request);
	return MHD_YES;
}

/* ---- The body ---- */

static bool append_body(struct request *request, const char *data, size_t length)
{
	const size_t needed = request->body_length + length;

	if (needed > request->body_room) {
		size_t room = needed > 2 * request->body_room ? needed : 2 * request->body_room;
		char *larger = realloc(request->body, room);

		if (larger == NULL)
			return false;
		request->body = larger;
		request->body_room = room;
	}
	memcpy(request->body + request->body_length, data, length);
	request->body_length = needed;
	return true;
}

static enum MHD_Result take_body(struct request *request, const char *data, size_t *size)
{
	ssize_t taken = (ssize_t)*size;

	request->received += *size;
	if (request->program != NULL && request->received > request->program->options->body_limit &&
	    request->refusal == 0 && request->input == NULL)
		request->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
	if (request->refusal != 0 || request->program == NULL) {
		if (request->received > DISCARDED_MAXIMUM &&
		    request->received - *size >= DISCARDED_MAXIMUM)
			return MHD_NO;
	} else if (request->input != NULL) {
		taken = request_input(request, data, *size);
		if (taken < 0)
			return MHD_NO;
	} else if (!append_body(request, data, *size)) {
		request->refusal = MHD_HTTP_SERVICE_UNAVAILABLE;
	}
	*size -= (size_t)taken;
	request->received -= *size;
	return MHD_YES;
}

/* ---- The end ---- */

/* What the server answers by itself. */
static enum MHD_Result answer_itself(struct server *server, struct request *request)
{
	struct MHD_Response *response = status_response(server, request->url);
	unsigned status = MHD_HTTP_OK;

	if (response == NULL) {
		status = MHD_HTTP_NOT_FOUND;
		response = response_of_status(status);
	}
	return send_response(server, request, status, response);
}

static enum MHD_Result take_end(struct server *server, struct request *request)
{
	struct MHD_Response *response;
	int status;

	if (request->input != NULL)
		request_input_end(request);
	if (request->program == NULL)
		return answer_itself(server, request);
	if (request->refusal == 0 && !request->is_submitted)
		submit(request);
	if (request->refusal != 0)
		return send_response(server, request, request->refusal,
		                     response_of_status(request->refusal));
	response = request_take_response(request, &status);
	if (response != NULL)
		return send_response(server, request, (unsigned)status, response);
	return status == 0 ? MHD_YES : MHD_NO;
}

enum MHD_Result connection_handle(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
	struct server *server = user;
	struct request *request = *state;

	(void)connection, (void)url;
	if (request == NULL)
		return MHD_NO;
	if (request->method == NULL)
		return take_head(server, request, method, version);
	if (*size > 0)
		return take_body(request, data, size);
	return take_end(server, request);
}

/* What is known of a request now that it is over. A worker may still be at it. */
static struct metrics_sample final_sample(struct request *request, bool is_complete)
{
	struct metrics_sample sample = {0};

	pthread_mutex_lock(&request->lock);
	if (request->is_answered)
		sample = request->sample;
	if (!is_complete)
		sample.bytes_out = request->output != NULL ? request->output->taken : 0;
	pthread_mutex_unlock(&request->lock);
	if (request->is_head)
		sample.bytes_out = 0;
	if (!is_complete && sample.exception == NULL)
		sample.exception = "the connection was closed";
	sample.status = request->sent_status;
	sample.bytes_in = request->received;
	sample.total_ns = clock_now() - request->arrived;
	return sample;
}

void connection_end(void *user, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode code)
{
	struct server *server = user;
	struct request *request = *state;
	struct metrics_sample sample;

	(void)connection;
	*state = NULL;
	if (request == NULL)
		return;
	request_close(request);
	sample = final_sample(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	metrics_request(request->program != NULL ? request->program->metrics : server->others,
	                &sample);
	log_access(server->access_log, request, &sample);
	request_release(request);
	server->gate.requests--;
}
