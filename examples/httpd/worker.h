/* SPDX-License-Identifier: MIT */
/*
 * A worker of a program: one thread with one fork, that takes requests from the
 * program's queue, has the fork answer them, keeps the fork for as long as its
 * memory is sent, and resets it when the client has its response.
 */
#ifndef KVMSB_HTTPD_WORKER_H
#define KVMSB_HTTPD_WORKER_H

#include "program.h"

#include <stddef.h>
#include <stdint.h>

struct worker;

/* An array, for free(3), of workers that do not run yet. NULL: no memory. */
struct worker *workers_create(struct program *program, size_t count);

/* Starts one; returns 0 once it has its fork, or -1 with what is wrong printed: then it has ended. */
int worker_start(struct worker *workers, size_t index);

/* Waits for its end, which comes when program_take() has no more. */
void worker_join(struct worker *workers, size_t index);

/* Pages that the forks have for themselves, as of some second ago. */
uint64_t workers_private_pages(const struct worker *workers, size_t count);

#endif
