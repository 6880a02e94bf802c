/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-httpd: an HTTP/1.1 server whose requests are answered by programs in
 * sandboxes. See kvmsb-httpd --help.
 */
#include "options.h"
#include "server.h"

#include <signal.h>
#include <stdlib.h>

/* All threads inherit this: the signals come to sigwait(3) alone. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(const struct httpd_options *options)
{
	struct server server;
	sigset_t signals;
	int status = EXIT_FAILURE, number;

	block_signals(&signals);
	if (server_start(&server, options) == 0) {
		sigwait(&signals, &number);
		status = EXIT_SUCCESS;
	}
	server_stop(&server, &signals);
	return status;
}

int main(int argc, char **argv)
{
	struct httpd_options options;
	int status = options_parse(&options, argc, argv);

	if (status < 0)
		status = serve(&options);
	options_free(&options);
	return status;
}
