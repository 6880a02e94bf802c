/* SPDX-License-Identifier: MIT */
/* A guest program, its queue and its workers; see program.h. */
#include "program.h"

#include "log.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(void)
{
	fputs("kvmsb-httpd: out of memory\n", stderr);
	return -1;
}

/* ---- What the server does for guests ---- */

static void take_log(const struct kvmsb_http_context *context, const char *text, size_t length)
{
	const struct program *program = context->user;

	log_guest(program->options->name, text, length);
}

static int64_t take_output(void *user, const void *data, size_t length)
{
	const struct program *program = user;

	log_guest(program->options->name, data, length);
	return (int64_t)length;
}

static int64_t read_body(const struct kvmsb_http_context *context, void *buffer, size_t size)
{
	return request_read_body(context->request_user, buffer, size);
}

/* What went wrong is for the log alone. */
static int error_page(const struct kvmsb_http_context *context, const char *exception,
                      const char **content_type, struct iovec *body)
{
	static char page[] = "500 Internal Server Error\n";

	(void)context, (void)exception;
	*content_type = "text/plain; charset=utf-8";
	*body = (struct iovec){.iov_base = page, .iov_len = strlen(page)};
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static int fetch(const struct kvmsb_http_context *context, const struct kvmsb_fetch *request,
                 struct kvmsb_fetch_answer *answer)
{
	const struct program *program = context->user;
	struct metrics_fetch_sample sample = {.is_self = request->url[0] == '/'};
	const uint64_t begin = clock_now();
	const int result = fetch_by_curl(program->fetcher, &program->fetch_rules, request, answer);

	sample.failed = result != 0;
	sample.duration_ns = clock_now() - begin;
	metrics_fetch(program->metrics, &sample);
	return result;
}

/* ---- Options ---- */

/* What kvm_api.h asks the environment for, and C libraries for their locale. */
static const char *const first_variables[] = {"LC_TYPE=C", "LC_ALL=C", "USER=root"};
static const char *const last_variables[] = {"KVM_GROUP=kvmsb-httpd", "KVM_TYPE=request",
                                             "KVM_STATE=state", "KVM_DEBUG=0"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* For free(3), with `name` in it; NULL: no memory. */
static const char **make_environment(const struct texts *own, const char *name)
{
	const char **list = calloc(
		COUNT(first_variables) + own->count + 1 + COUNT(last_variables) + 1, sizeof(*list));
	size_t used = 0;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < COUNT(first_variables); i++)
		list[used++] = first_variables[i];
	for (size_t i = 0; i < own->count; i++)
		list[used++] = own->text[i];
	list[used++] = name;
	for (size_t i = 0; i < COUNT(last_variables); i++)
		list[used++] = last_variables[i];
	return list;
}

static const char **make_arguments(const struct texts *words, const char *name)
{
	const char **list = calloc(words->count + 2, sizeof(*list));

	if (list == NULL)
		return NULL;
	list[0] = name;
	for (size_t i = 0; i < words->count; i++)
		list[i + 1] = words->text[i];
	return list;
}

static void fill_ops(struct program *program, struct kvmsb_http_ops *ops)
{
	ops->user = program;
	ops->log = take_log;
	ops->body_read = read_body;
	ops->error_page = error_page;
	if (program->options->fetch_hosts.count > 0)
		ops->fetch = fetch;
	if (program->options->may_fetch_self)
		ops->self_request = fetch;
}

static int take_fetch_rules(struct program *program)
{
	const struct texts *hosts = &program->options->fetch_hosts;
	int error = 0;

	for (size_t i = 0; i < hosts->count && error == 0; i++)
		error = fetch_rules_add(&program->fetch_rules, hosts->text[i]);
	return error < 0 ? out_of_memory() : 0;
}

static void fill_options(struct program *program, struct kvmsb_options *options)
{
	const struct program_options *own = program->options;
	const struct kvmsb_stream output = {.write = take_output, .user = program};

	options->path = own->file;
	options->directory = own->directory;
	options->paths = own->paths;
	options->path_count = own->path_count;
	options->memory_limit = own->memory;
	options->fork_memory_limit = own->fork_memory;
	options->temporary_size = own->temporary;
	options->run_timeout_ns = own->boot_timeout;
	options->call_timeout_ns = own->timeout;
	/* One for each fork, and one for the master while it runs. */
	options->vcpu_limit = own->concurrency < 128 ? (uint32_t)own->concurrency + 1 : 128;
	options->standard_output = output;
	options->standard_error = output;
	options->http_flags = own->control_ephemeral ? KVMSB_HTTP_CONTROL_EPHEMERAL : 0;
}

static int load(struct program *program)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	char name[256];
	int result = -ENOMEM;

	snprintf(name, sizeof(name), "KVM_NAME=%s", program->options->name);
	fill_ops(program, &ops);
	fill_options(program, &options);
	options.http = &ops;
	options.environment = make_environment(&program->options->environment, name);
	options.arguments = make_arguments(&program->options->arguments, program->options->name);
	if (options.environment != NULL && options.arguments != NULL)
		result = kvmsb_create(&program->master, &options, &error);
	free((void *)(uintptr_t)options.environment);
	free((void *)(uintptr_t)options.arguments);
	if (result < 0)
		fprintf(stderr, "kvmsb-httpd: %s: %s\n", program->options->name,
		        error.detail[0] != '\0' ? error.detail : strerror(-result));
	return result < 0 ? -1 : 0;
}

/* ---- From loaded to frozen ---- */

static int host_failed(const struct program *program, const char *what, int error)
{
	const char *detail = kvmsb_detail(program->master);

	fprintf(stderr, "kvmsb-httpd: %s: %s: %s\n", program->options->name, what,
	        detail[0] != '\0' ? detail : strerror(-error));
	return -1;
}

static int unexpected(const struct program *program, const char *what,
                      const struct kvmsb_result *result)
{
	const char *detail = kvmsb_detail(program->master);
	char text[512];

	kvmsb_describe(program->master, result, text, sizeof(text));
	fprintf(stderr, "kvmsb-httpd: %s: %s: %s%s%s\n", program->options->name, what, text,
	        detail[0] != '\0' ? ": " : "", detail);
	return -1;
}

static int run_main(struct program *program)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int error = kvmsb_run(program->master, &result);

	if (error < 0)
		return host_failed(program, "run", error);
	if (result.outcome != KVMSB_OUTCOME_READY)
		return unexpected(program, "it did not wait for requests", &result);
	return 0;
}

static int warm_up(struct program *program)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	request.url = program->options->warm_up_url;
	request.argument = program->options->argument;
	request.flags = KVMSB_HTTP_WARM_UP | KVMSB_HTTP_NO_ON_ERROR;
	for (uint64_t i = 0; i < program->options->warm_up; i++) {
		int error = kvmsb_request(program->master, &request, &response, &result);

		if (error < 0)
			return host_failed(program, "warm-up", error);
		if (result.outcome != KVMSB_OUTCOME_HYPERCALL)
			return unexpected(program, "warm-up", &result);
	}
	return 0;
}

static int freeze(struct program *program)
{
	struct kvmsb_http_program said = KVMSB_HTTP_PROGRAM_INIT;
	int error = kvmsb_freeze(program->master);

	if (error < 0)
		return host_failed(program, "freeze", error);
	error = kvmsb_http_get_program(program->master, &said);
	if (error < 0)
		return host_failed(program, "what it registered", error);
	program->takes_stream = said.handlers[4] != 0;
	program->is_ephemeral = said.is_ephemeral && !program->options->keeps_state;
	return 0;
}

static int describe(struct program *program)
{
	const struct metrics_program about = {
		.route = program->options->route,
		.file = program->options->file,
		.concurrency = (uint32_t)program->options->concurrency,
		.is_ephemeral = program->is_ephemeral,
	};

	return metrics_describe(program->metrics, &about) == 0 ? 0 : out_of_memory();
}

int program_create(struct program *program, const struct program_options *options,
                   const struct httpd_options *server, struct fetcher *fetcher)
{
	*program = (struct program){.options = options, .server = server, .fetcher = fetcher};
	program->last = &program->first;
	pthread_mutex_init(&program->lock, NULL);
	pthread_cond_init(&program->changed, NULL);
	program->metrics = metrics_create(options->name);
	if (program->metrics == NULL)
		return out_of_memory();
	if (take_fetch_rules(program) < 0 || load(program) < 0 || run_main(program) < 0 ||
	    warm_up(program) < 0 || freeze(program) < 0)
		return -1;
	return describe(program);
}

void program_destroy(struct program *program)
{
	kvmsb_destroy(program->master);
	metrics_destroy(program->metrics);
	fetch_rules_clear(&program->fetch_rules);
	pthread_cond_destroy(&program->changed);
	pthread_mutex_destroy(&program->lock);
}

/* ---- Workers ---- */

int program_start(struct program *program)
{
	const size_t count = (size_t)program->options->concurrency;

	program->workers = workers_create(program, count);
	if (program->workers == NULL)
		return out_of_memory();
	for (size_t i = 0; i < count; i++) {
		if (worker_start(program->workers, i) < 0)
			return -1;
		program->worker_count++;
	}
	return 0;
}

void program_stop(struct program *program)
{
	pthread_mutex_lock(&program->lock);
	program->is_stopping = true;
	pthread_cond_broadcast(&program->changed);
	pthread_mutex_unlock(&program->lock);
	for (size_t i = 0; i < program->worker_count; i++)
		worker_join(program->workers, i);
	free(program->workers);
	program->workers = NULL;
	program->worker_count = 0;
}

/* ---- The queue ---- */

bool program_submit(struct program *program, struct request *request)
{
	bool has_room;

	request->submitted = clock_now();
	request_hold(request);
	pthread_mutex_lock(&program->lock);
	/* A worker that is free takes one at once, which then does not wait. */
	has_room = !program->is_stopping &&
	           program->waiting + program->busy <
	                   program->options->queue_limit + program->worker_count;
	if (has_room) {
		request->next = NULL;
		*program->last = request;
		program->last = &request->next;
		program->waiting++;
		pthread_cond_signal(&program->changed);
	}
	pthread_mutex_unlock(&program->lock);
	if (!has_room)
		request_release(request);
	return has_room;
}

struct request *program_take(struct program *program)
{
	struct request *request;

	pthread_mutex_lock(&program->lock);
	while (program->first == NULL && !program->is_stopping)
		pthread_cond_wait(&program->changed, &program->lock);
	request = program->first;
	if (request != NULL) {
		program->first = request->next;
		if (program->first == NULL)
			program->last = &program->first;
		program->waiting--;
		program->busy++;
	}
	pthread_mutex_unlock(&program->lock);
	return request;
}

/* ---- Figures ---- */

void program_measure(struct program *program)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
	struct metrics_now now = {.state = METRICS_READY};

	pthread_mutex_lock(&program->lock);
	now.busy = program->busy;
	now.queued = (uint32_t)program->waiting;
	if (program->is_stopping)
		now.state = METRICS_STOPPING;
	pthread_mutex_unlock(&program->lock);
	now.private_pages = workers_private_pages(program->workers, program->worker_count);
	metrics_now(program->metrics, &now);
	if (kvmsb_get_statistics(program->master, &statistics) == 0)
		metrics_machine(program->metrics, &statistics);
}
