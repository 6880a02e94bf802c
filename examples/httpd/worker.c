/* SPDX-License-Identifier: MIT */
/* One thread with one fork; see worker.h. */
#include "worker.h"

#include "response.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct worker {
	struct program *program;
	struct kvmsb *fork; /* NULL: there was no memory for one; the next request tries again */
	pthread_t thread;
	uint64_t measured; /* when private_pages was */
	_Atomic uint64_t private_pages;

	/* How the thread began, for who started it. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int begun; /* 0: not yet, 1: it has its fork, -1: it has none */
};

/* ---- The fork ---- */

static int make_fork(struct worker *worker)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	int result = kvmsb_fork(worker->program->master, &worker->fork, &error);

	if (result < 0) {
		worker->fork = NULL;
		fprintf(stderr, "kvmsb-httpd: %s: fork: %s\n", worker->program->options->name,
		        error.detail);
	}
	return result;
}

/* One that cannot be reset is given up: what it holds is the next one's to have. */
static void reset(struct worker *worker)
{
	const uint64_t begin = clock_now();

	if (kvmsb_reset(worker->fork) == 0) {
		metrics_reset(worker->program->metrics, clock_now() - begin);
		return;
	}
	kvmsb_destroy(worker->fork);
	make_fork(worker);
}

/* Off the response's path, and seldom: it adds up what all forks have. */
static void measure(struct worker *worker)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
	const uint64_t now = clock_now();

	if (worker->fork == NULL || now - worker->measured < SECOND)
		return;
	worker->measured = now;
	if (kvmsb_get_statistics(worker->fork, &statistics) == 0)
		worker->private_pages = statistics.pages_private;
}

/* ---- A request ---- */

/* What the client gets when the host could not run the guest. */
static unsigned status_of_error(int error)
{
	switch (error) {
	case -EINVAL:
		return MHD_HTTP_BAD_REQUEST;
	case -E2BIG:
		return MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
	case -ETIMEDOUT:
	case -EUSERS:
	case -ENOMEM:
	case -EMFILE:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

static int run_request(struct worker *worker, struct request *request,
                       struct kvmsb_http_response *response, struct kvmsb_result *result)
{
	const struct iovec body = {.iov_base = request->body, .iov_len = request->body_length};
	struct kvmsb_http_request call = KVMSB_HTTP_REQUEST_INIT;

	call.method = request->method;
	call.url = request->url;
	call.argument = worker->program->options->argument;
	call.fields = request->fields;
	call.field_count = request->field_count;
	call.body = &body;
	call.body_count = body.iov_len > 0;
	call.flags = request->input != NULL ? KVMSB_HTTP_BODY_STREAMED : 0;
	call.user = request;
	return kvmsb_request(worker->fork, &call, response, result);
}

static void note_exception(struct request *request, const char *exception)
{
	if (exception == NULL)
		return;
	snprintf(request->exception, sizeof(request->exception), "%s", exception);
	request->sample.exception = request->exception;
}

static void note(struct request *request, const struct kvmsb_http_response *response,
                 const struct kvmsb_result *result)
{
	struct metrics_sample *sample = &request->sample;

	sample->outcome = result->outcome;
	sample->kvm_runs = result->kvm_runs;
	sample->source = response->source;
	sample->bytes_out = response->body_length;
	note_exception(request, response->exception);
}

static void refuse(struct request *request, unsigned status)
{
	request->sample.source = KVMSB_HTTP_FROM_NOBODY;
	request->sample.bytes_out = 0;
	request_answer(request, (int)status, response_of_status(status));
}

/*
 * Fills the response as the client takes it. What fails leaves it short: the
 * connection is closed then, so that the client sees that.
 */
static void stream(struct worker *worker, struct request *request)
{
	size_t room;
	char *place;

	while ((room = request_wait_room(request, &place)) > 0) {
		int64_t length = kvmsb_response_read(worker->fork, place, room);

		if (length <= 0)
			break;
		request_written(request, (size_t)length);
	}
	request_output_end(request);
}

static void answer(struct worker *worker, struct request *request,
                   const struct kvmsb_http_response *response)
{
	const enum response_kind kind = response_kind_of(request, response);
	struct MHD_Response *made = response_create(request, response, kind);

	if (made == NULL) {
		refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR);
		return;
	}
	request_answer(request, response->status, made);
	if (kind == RESPONSE_LENT)
		request_wait_returned(request, response->body_length);
	if (kind == RESPONSE_STREAMED && !request->is_head)
		stream(worker, request);
}

/* Returns whether the fork is to be reset. */
static bool serve(struct worker *worker, struct request *request)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	const uint64_t begin = request->started = clock_now();
	int error;
	bool needs_reset;

	request->sample.queue_ns = begin - request->submitted;
	if (begin - request->submitted > worker->program->server->queue_timeout ||
	    (worker->fork == NULL && make_fork(worker) < 0)) {
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE);
		return false;
	}
	error = run_request(worker, request, &response, &result);
	request->sample.run_ns = clock_now() - begin;
	note(request, &response, &result);
	if (error < 0)
		note_exception(request, kvmsb_detail(worker->fork));
	needs_reset = worker->program->is_ephemeral || error < 0 ||
	              response.source != KVMSB_HTTP_FROM_HANDLER;
	if (error < 0)
		refuse(request, status_of_error(error));
	else
		answer(worker, request, &response);
	return needs_reset;
}

static void *work(void *user)
{
	struct worker *worker = user;
	struct request *request;

	make_fork(worker);
	pthread_mutex_lock(&worker->lock);
	worker->begun = worker->fork != NULL ? 1 : -1;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	while (worker->begun > 0 && (request = program_take(worker->program)) != NULL) {
		if (serve(worker, request))
			reset(worker);
		request_release(request);
		measure(worker);
		worker->program->busy--;
	}
	kvmsb_destroy(worker->fork);
	return NULL;
}

/* ---- Threads ---- */

struct worker *workers_create(struct program *program, size_t count)
{
	struct worker *workers = calloc(count, sizeof(*workers));

	for (size_t i = 0; workers != NULL && i < count; i++)
		workers[i].program = program;
	return workers;
}

static int wait_begun(struct worker *worker)
{
	int begun;

	pthread_mutex_lock(&worker->lock);
	while (worker->begun == 0)
		pthread_cond_wait(&worker->changed, &worker->lock);
	begun = worker->begun;
	pthread_mutex_unlock(&worker->lock);
	return begun;
}

int worker_start(struct worker *workers, size_t index)
{
	struct worker *worker = &workers[index];
	int error;

	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	error = pthread_create(&worker->thread, NULL, work, worker);
	if (error != 0) {
		fprintf(stderr, "kvmsb-httpd: a thread: %s\n", strerror(error));
		return -1;
	}
	if (wait_begun(worker) > 0)
		return 0;
	worker_join(workers, index);
	return -1;
}

void worker_join(struct worker *workers, size_t index)
{
	pthread_join(workers[index].thread, NULL);
	pthread_cond_destroy(&workers[index].changed);
	pthread_mutex_destroy(&workers[index].lock);
}

uint64_t workers_private_pages(const struct worker *workers, size_t count)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < count; i++)
		pages += workers[i].private_pages;
	return pages;
}
