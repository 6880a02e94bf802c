/* SPDX-License-Identifier: MIT */
/*
 * The least that a host program needs: load a guest, run it until it waits for
 * requests, freeze it, fork it, and hand the fork requests, with a reset after
 * each. Copy it and go on from here.
 *
 * usage: hello-host GUEST [URL]     (GUEST: for instance examples/guests/hello-http)
 */
#include <kvmsandbox.h>

#include <stdio.h>
#include <string.h>

#define REQUESTS 3

static int failed(const struct kvmsb *sandbox, const char *what, int error)
{
	fprintf(stderr, "%s: %s (%s)\n", what, strerror(-error), kvmsb_detail(sandbox));
	return 1;
}

/* The guest did something else than what it should: not an error of the host. */
static int unexpected(const struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	char text[256];

	kvmsb_describe(sandbox, result, text, sizeof(text));
	fprintf(stderr, "the guest: %s\n", text);
	return 1;
}

static int serve(struct kvmsb *fork, const char *url)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int error;

	request.url = url;
	error = kvmsb_request(fork, &request, &response, &result);
	if (error < 0)
		return failed(fork, "request", error);
	if (response.status == 0)
		return unexpected(fork, &result);
	printf("%d %s\n", response.status, response.content_type);
	for (size_t i = 0; i < response.body_count; i++)
		fwrite(response.body[i].iov_base, 1, response.body[i].iov_len, stdout);
	error = kvmsb_reset(fork); /* the response lives until here */
	return error < 0 ? failed(fork, "reset", error) : 0;
}

int main(int argc, char **argv)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;
	struct kvmsb_error detail = KVMSB_ERROR_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *master = NULL, *fork = NULL;
	int error, status = 1;

	options.path = argc > 1 ? argv[1] : "hello-http";
	if (kvmsb_create(&master, &options, &detail) < 0) {
		fprintf(stderr, "%s: %s\n", options.path, detail.detail);
		return 1;
	}
	error = kvmsb_run(master, &result);
	if (error < 0)
		status = failed(master, "run", error);
	else if (result.outcome != KVMSB_OUTCOME_READY)
		status = unexpected(master, &result);
	else if ((error = kvmsb_freeze(master)) < 0)
		status = failed(master, "freeze", error);
	else if (kvmsb_fork(master, &fork, &detail) < 0)
		fprintf(stderr, "fork: %s\n", detail.detail);
	else
		for (int i = status = 0; i < REQUESTS && status == 0; i++)
			status = serve(fork, argc > 2 ? argv[2] : "/hello");
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
	return status;
}
