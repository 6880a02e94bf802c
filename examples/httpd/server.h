/* SPDX-License-Identifier: MIT */
/*
 * The server: programs, addresses that it listens at, and how it begins and ends.
 */
#ifndef KVMSB_HTTPD_SERVER_H
#define KVMSB_HTTPD_SERVER_H

#include "fetch.h"
#include "metrics.h"
#include "options.h"
#include "program.h"
#include "request.h"

#include <microhttpd.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct listener {
	struct MHD_Daemon *daemon;
	int socket; /* -1: closed, or libmicrohttpd's */
	char url[128];
};

struct server {
	const struct httpd_options *options;
	struct fetcher *fetcher; /* NULL: no program fetches */
	struct program *programs;
	size_t program_count;
	struct metrics *others; /* requests that no program takes */
	FILE *access_log;
	struct listener *listeners;
	size_t listener_count;
	struct request_gate gate;
	atomic_bool is_stopping; /* connections are closed behind their response */
};

/*
 * Boots all programs, then listens, and prints where. Returns 0, or -1 with what is
 * wrong printed. In the end, whatever it returned, server_stop().
 */
int server_start(struct server *server, const struct httpd_options *options);

/*
 * Ends what runs, for as long as options->stop_timeout unless a signal of `signals`
 * comes; then closes all connections and frees everything.
 */
void server_stop(struct server *server, const sigset_t *signals);

#endif
