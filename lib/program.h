/* SPDX-License-Identifier: MIT */
/*
 * What a master and all its forks share and nobody changes once it is made:
 * the options, checked and completed, the program's file, the policy. Owned by
 * the master.
 */
#ifndef KVMSB_PROGRAM_H
#define KVMSB_PROGRAM_H

#include "http/config.h"
#include "linux/exec.h"
#include "linux/process.h"
#include "machine.h"

#include <kvmsandbox/sandbox.h>

#include <pthread.h>
#include <stdint.h>

struct program {
	struct kvmsb_options options; /* no zero defaults left; its pointers are the caller's: use only in create */
	struct process_config config;
	struct http_config http;
	struct exec_program executable;
	void *bytes; /* of executable, owned */

	/* Random numbers for requests, some in advance. */
	pthread_mutex_t random_lock;
	uint64_t random[32];
	unsigned random_left;
};

/*
 * Checks and completes the options, reads the program's file, makes the
 * policy. Returns 0 or -errno with error's detail.
 */
int program_create(struct program **program, const struct kvmsb_options *options,
                   struct kvmsb_error *error);
void program_destroy(struct program *program); /* NULL is allowed */

/* Two random numbers. Returns 0 or -errno of getrandom(2). Any thread. */
int program_random(struct program *program, uint64_t numbers[2]);

/* What the machine for it must hold. */
struct machine_limits program_machine_limits(const struct program *program);

#endif
