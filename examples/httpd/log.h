/* SPDX-License-Identifier: MIT */
/*
 * What the server writes down: a line for each request, in the Common Log Format
 * with more behind it, and what guests say. Texts of clients and guests are made
 * harmless to terminals and to who reads lines.
 */
#ifndef KVMSB_HTTPD_LOG_H
#define KVMSB_HTTPD_LOG_H

#include "request.h"

#include <stddef.h>
#include <stdio.h>

/* NULL for the path: none. Returns 0 or a negative errno. */
int log_open(FILE **log, const char *path);
void log_close(FILE *log);

/*
 * CLIENT - - [DATE] "METHOD URL VERSION" STATUS BYTES DURATIONus PROGRAM SOURCE "EXCEPTION"
 * status and sample: what became of it; exception may be "".
 */
void log_access(FILE *log, const struct request *request, const struct metrics_sample *sample);

/* What a guest says, on standard error: each line with the program's name before it. */
void log_guest(const char *program, const char *text, size_t length);

#endif
