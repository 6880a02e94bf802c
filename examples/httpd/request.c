/* SPDX-License-Identifier: MIT */
/* One request, between its connection and its worker; see request.h. */
#include "request.h"

#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct request *request_create(struct request_gate *gate, struct MHD_Connection *connection,
                               const char *url)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct request *request = calloc(1, sizeof(*request));
	char *copy = strdup(url);

	if (request == NULL || copy == NULL) {
		free(request);
		free(copy);
		return NULL;
	}
	request->connection = connection;
	request->gate = gate;
	request->socket = info != NULL ? info->connect_fd : -1;
	request->url = copy;
	request->arrived = clock_now();
	request->references = 1;
	pthread_mutex_init(&request->lock, NULL);
	condition_init(&request->changed);
	return request;
}

void request_hold(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->references++;
	pthread_mutex_unlock(&request->lock);
}

static void destroy(struct request *request)
{
	if (request->response != NULL)
		MHD_destroy_response(request->response);
	for (size_t i = 0; i < request->field_count; i++)
		free((void *)(uintptr_t)request->fields[i].text);
	pthread_cond_destroy(&request->changed);
	pthread_mutex_destroy(&request->lock);
	free(request->input);
	free(request->output);
	free(request->body);
	free(request->method);
	free(request->url);
	free(request);
}

void request_release(struct request *request)
{
	bool is_last;

	pthread_mutex_lock(&request->lock);
	is_last = --request->references == 0;
	pthread_mutex_unlock(&request->lock);
	if (is_last)
		destroy(request);
}

/* ---- Suspended connections, under the lock ---- */

/* By the connection's thread alone, from inside of a callback. false: not any more. */
static bool suspend(struct request *request)
{
	/* Counted first: who shuts the gate then waits for it, or this sees it shut. */
	request->gate->suspended++;
	if (request->gate->is_shut) {
		request->gate->suspended--;
		return false;
	}
	request->is_suspended = true;
	MHD_suspend_connection(request->connection);
	return true;
}

static void resume(struct request *request)
{
	if (!request->is_suspended)
		return;
	request->is_suspended = false;
	MHD_resume_connection(request->connection);
	request->gate->suspended--;
}

/* ---- The connection's side ---- */

struct MHD_Response *request_take_response(struct request *request, int *status)
{
	struct MHD_Response *response;

	pthread_mutex_lock(&request->lock);
	response = request->response;
	request->response = NULL;
	*status = request->status;
	if (response == NULL)
		*status = request->is_answered || !suspend(request) ? -1 : 0;
	pthread_mutex_unlock(&request->lock);
	return response;
}

ssize_t request_input(struct request *request, const char *data, size_t length)
{
	ssize_t taken = (ssize_t)length;

	pthread_mutex_lock(&request->lock);
	/* Who has answered wants no more of it. */
	if (!request->is_answered)
		taken = (ssize_t)pipe_put(request->input, data, length);
	if (taken == 0 && !suspend(request))
		taken = -1;
	pthread_cond_signal(&request->changed);
	pthread_mutex_unlock(&request->lock);
	return taken;
}

void request_input_end(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->input->has_ended = true;
	pthread_cond_signal(&request->changed);
	pthread_mutex_unlock(&request->lock);
}

ssize_t request_output(void *user, uint64_t position, char *data, size_t length)
{
	struct request *request = user;
	ssize_t result;

	(void)position;
	pthread_mutex_lock(&request->lock);
	result = (ssize_t)pipe_get(request->output, data, length);
	if (result == 0 && request->output->has_ended)
		result = MHD_CONTENT_READER_END_WITH_ERROR;
	if (result == 0 && !suspend(request))
		result = MHD_CONTENT_READER_END_WITH_ERROR;
	pthread_cond_signal(&request->changed);
	pthread_mutex_unlock(&request->lock);
	return result;
}

void request_returned(void *user)
{
	struct request *request = user;

	pthread_mutex_lock(&request->lock);
	request->is_lent = false;
	pthread_cond_signal(&request->changed);
	pthread_mutex_unlock(&request->lock);
	request_release(request);
}

void request_close(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->is_closed = true;
	pthread_cond_signal(&request->changed);
	pthread_mutex_unlock(&request->lock);
}

/* ---- The worker's side ---- */

void request_answer(struct request *request, int status, struct MHD_Response *response)
{
	pthread_mutex_lock(&request->lock);
	request->status = status;
	request->response = response;
	request->is_answered = true;
	resume(request);
	pthread_mutex_unlock(&request->lock);
}

uint64_t request_pace(const struct request *request, uint64_t begin, uint64_t bytes)
{
	uint64_t time, end;

	if (__builtin_mul_overflow(request->send_timeout, (bytes >> 20) + 1, &time) ||
	    __builtin_add_overflow(begin, time, &end))
		return UINT64_MAX;
	return end;
}

static void wait_change(struct request *request, uint64_t until)
{
	const struct timespec time = {
		.tv_sec = (time_t)(until / SECOND),
		.tv_nsec = (long)(until % SECOND),
	};

	pthread_cond_timedwait(&request->changed, &request->lock, &time);
}

/* Waits for a change, or some time; false: the time is over. Nobody tells of a gate that is shut. */
static bool wait_until(struct request *request, uint64_t deadline)
{
	const uint64_t now = clock_now();

	if (now >= deadline || request->gate->is_shut)
		return false;
	wait_change(request, deadline - now < SECOND / 10 ? deadline : now + SECOND / 10);
	return true;
}

/* The response is destroyed before its socket is closed, so that this is still the same one. */
static void cut_off(const struct request *request)
{
	shutdown(request->socket, SHUT_RDWR);
}

void request_wait_returned(struct request *request, uint64_t length)
{
	const uint64_t deadline = request_pace(request, clock_now(), length);
	bool in_time = true;

	pthread_mutex_lock(&request->lock);
	while (request->is_lent && in_time)
		in_time = wait_until(request, deadline);
	if (request->is_lent)
		cut_off(request);
	while (request->is_lent)
		pthread_cond_wait(&request->changed, &request->lock);
	pthread_mutex_unlock(&request->lock);
}

int64_t request_read_body(struct request *request, void *data, size_t length)
{
	struct pipe *input = request->input;
	int64_t result = 0;

	pthread_mutex_lock(&request->lock);
	while (input->written == input->taken && !input->has_ended && result == 0) {
		if (request->is_closed)
			result = -ECONNRESET;
		else if (!wait_until(request, request_pace(request, request->started, input->taken)))
			result = -ETIMEDOUT;
	}
	if (result == 0)
		result = (int64_t)pipe_get(input, data, length);
	resume(request);
	pthread_mutex_unlock(&request->lock);
	return result;
}

size_t request_wait_room(struct request *request, char **place)
{
	struct pipe *output = request->output;
	bool in_time = true;
	size_t room;

	pthread_mutex_lock(&request->lock);
	while ((room = pipe_room(output, place)) == 0 && !request->is_closed && in_time)
		in_time = wait_until(request,
		                     request_pace(request, request->started, output->written));
	if (request->is_closed)
		room = 0;
	pthread_mutex_unlock(&request->lock);
	return room;
}

void request_written(struct request *request, size_t length)
{
	pthread_mutex_lock(&request->lock);
	pipe_written(request->output, length);
	resume(request);
	pthread_mutex_unlock(&request->lock);
}

void request_output_end(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->output->has_ended = true;
	resume(request);
	pthread_mutex_unlock(&request->lock);
}
