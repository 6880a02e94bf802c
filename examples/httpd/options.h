/* SPDX-License-Identifier: MIT */
/*
 * The command line of kvmsb-httpd: what the server does, and a set of options
 * for each program. Texts are those of the command line, or the options' own.
 */
#ifndef KVMSB_HTTPD_OPTIONS_H
#define KVMSB_HTTPD_OPTIONS_H

#include <kvmsandbox.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_USAGE 2
#define SECOND UINT64_C(1000000000)

/* A list of texts that ends with NULL. All zero is the empty list. */
struct texts {
	const char **text;
	size_t count;
};

/* One program: what --program and the options behind it say. */
struct program_options {
	const char *route; /* "/path", "host:NAME" or "host:NAME/path" */
	const char *file;
	const char *name;  /* no two have the same */
	struct texts arguments;   /* argv[1] and what follows */
	struct texts environment; /* "NAME=value" */
	const char *directory;
	struct kvmsb_path_rule *paths;
	size_t path_count;
	uint64_t memory, fork_memory, temporary; /* bytes; 0: the library's default */
	uint64_t boot_timeout, timeout;          /* ns; 0: the library's default */
	const char *argument;                    /* of the handler */
	uint64_t concurrency;                    /* forks, each with a thread of its own */
	uint64_t queue_limit;                    /* requests that wait for one */
	uint64_t body_limit;                     /* bytes of a request */
	uint64_t warm_up;                        /* requests before it is frozen */
	const char *warm_up_url;
	bool keeps_state;        /* no reset after each request */
	bool control_ephemeral;  /* the program may say so itself */
	struct texts fetch_hosts; /* "HOST[:PORT]", for fetch_rules_add() */
	bool may_fetch_self;      /* from this server */
};

struct httpd_options {
	struct texts listen; /* "ADDRESS:PORT" */
	const char *native;  /* a route that is answered without a guest; NULL: none */
	uint64_t threads;    /* for input and output, per address */
	uint64_t idle_timeout, send_timeout, queue_timeout, stop_timeout; /* ns */
	const char *access_log; /* file; "-": standard output; NULL: none */
	const char *status_prefix; /* goes before all programs; NULL: the root, behind them */
	bool no_status;

	struct program_options *programs;
	size_t program_count;

	struct program_options defaults; /* what is said before the first program */
	struct texts owned;              /* what free(3) gets */
	char *here;                      /* current directory */
};

/*
 * Reads the command line. Returns -1 to go on, or the status to exit with:
 * --help and --version were printed, or an error was. Then and in the end,
 * options_free().
 */
int options_parse(struct httpd_options *options, int argc, char **argv);
void options_free(struct httpd_options *options);

#endif
