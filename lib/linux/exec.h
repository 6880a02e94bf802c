/* SPDX-License-Identifier: MIT */
/*
 * Loads a program into an empty process as execve(2) does: segments, the
 * interpreter of a dynamic program, stack with arguments, environment and
 * auxiliary vector.
 */
#ifndef KVMSB_LINUX_EXEC_H
#define KVMSB_LINUX_EXEC_H

#include "../elf_image.h"
#include "process.h"

#include <kvmsandbox/error.h>

#include <stddef.h>
#include <stdint.h>

struct exec_program {
	const void *bytes; /* the ELF file; must live as long as the process_config */
	size_t size;
	struct elf_image image;
	uint64_t bias; /* added to the image's addresses */
};

/*
 * program->bytes and size are set by the caller; the rest is filled. The
 * interpreter is read from the host's file system: one of the usual ones of
 * glibc and musl, or one that the path rules allow.
 * Registers of the process: RIP, RSP as the kernel sets them, all others 0.
 * Returns 0, or with error's detail: -ENOEXEC, -ENOMEM (limit), -E2BIG
 * (arguments), -EINVAL (stack_size), errors of opening the interpreter. After a
 * failure the process is half loaded and only good for process_destroy().
 */
int exec_load(struct process *process, struct exec_program *program, const char *const *arguments,
              const char *const *environment, struct kvmsb_error *error);

#endif
