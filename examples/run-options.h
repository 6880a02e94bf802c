/* SPDX-License-Identifier: MIT */
/*
 * The command line of kvmsb-run, as options of the library and what to do with
 * the program.
 */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

#include <kvmsandbox.h>

#include <stdbool.h>
#include <stddef.h>

/* What kvmsb-run exits with when it is not the program's own status. */
enum run_status {
	STATUS_TIMED_OUT = 124,
	STATUS_HOST_FAILED = 125,
	STATUS_GUEST_FAILED = 126,
	STATUS_NOT_FOUND = 127,
	STATUS_SIGNAL = 128, /* plus the signal's number */
	STATUS_USAGE = 2,
};

struct run_options {
	struct kvmsb_options sandbox;

	const char *name;              /* of the program, as given */
	char *program;                 /* its path */
	struct kvmsb_path_rule *paths; /* sandbox.paths; their texts are owned */
	const char **environment;      /* sandbox.environment; texts are borrowed or for ever */
	size_t environment_count;
	char *name_variable; /* one of them */
	char *directory; /* sandbox.directory */
	char *here;      /* the current directory of this process */

	const char *get; /* URL; NULL: no request */
	const char *argument;
	struct kvmsb_http_field fields[64];
	size_t field_count;

	const char *call; /* function; NULL: no call */
	char **call_arguments;
	size_t call_argument_count;

	unsigned long repeat;
	bool default_paths;
	unsigned trace; /* 1: a line for each call, 2: with its time */
	bool trace_summary;
	bool statistics;
};

/*
 * Reads the command line. Returns -1 to go on, or the status to exit with:
 * --help and --version were printed, or an error was. Then and in the end,
 * run_options_free().
 */
int run_options_parse(struct run_options *options, int argc, char **argv);
void run_options_free(struct run_options *options);

#endif
