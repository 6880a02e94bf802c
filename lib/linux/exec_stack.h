/* SPDX-License-Identifier: MIT */
/*
 * The initial stack of a program: argc, argv, envp, auxiliary vector and the
 * strings they point to, as Linux lays them out (fs/exec.c, fs/binfmt_elf.c;
 * System V psABI for x86-64, 3.4.1). Knows nothing of ELF files.
 */
#ifndef KVMSB_LINUX_EXEC_STACK_H
#define KVMSB_LINUX_EXEC_STACK_H

#include "process.h"

#include <kvmsandbox/error.h>

#include <stdint.h>

struct exec_stack {
	uint64_t top; /* end of the stack; its size is process->config->stack_size */
	uint64_t size;
	const char *name;               /* AT_EXECFN */
	const char *const *arguments;   /* NULL-terminated */
	const char *const *environment; /* NULL-terminated */
	uint64_t program_headers;       /* AT_PHDR */
	uint64_t program_header_count;  /* AT_PHNUM */
	uint64_t program_header_size;   /* AT_PHENT */
	uint64_t base;                  /* AT_BASE: of the interpreter; 0: none */
	uint64_t entry;                 /* AT_ENTRY: of the program */
};

/*
 * Writes it to the guest's memory. Returns 0 with *pointer (RSP), or with the
 * error's detail: -E2BIG (arguments and environment need more than a quarter
 * of the stack), -ENOMEM, errors of getrandom(2).
 */
int exec_stack_write(struct process *process, const struct exec_stack *stack, uint64_t *pointer,
                     struct kvmsb_error *error);

#endif
