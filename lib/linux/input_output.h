/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing open files of every kind.
 */
#ifndef KVMSB_LINUX_INPUT_OUTPUT_H
#define KVMSB_LINUX_INPUT_OUTPUT_H

#include "files.h"
#include "transfer.h"

#include <stdint.h>

/* Instead of an offset: at the open file's own, which moves. */
#define OFFSET_CURRENT UINT64_MAX

/*
 * Whether a descriptor can be used for `access` (O_RDONLY, O_WRONLY) at an
 * offset. Comes first, as in Linux, before the guest's buffer is looked at.
 * Returns 0, -EBADF (not open for it), -ESPIPE (an offset for what has none).
 */
int input_output_check(const struct process *process, int fd, uint32_t access, uint64_t offset);

/*
 * Return the bytes moved; or -errno when there were none: -EISDIR, -EAGAIN,
 * -EFAULT, -EPIPE, ... The descriptor was checked.
 *
 * A blocking read of an empty pipe whose writing end is open waits for this
 * very process: the run ends as timed out. So does a blocking write to a full one.
 */
int64_t input(struct process *process, int fd, struct transfer *transfer, uint64_t offset);
int64_t output(struct process *process, int fd, struct transfer *transfer, uint64_t offset);

/* Fills guest memory with random bytes of the host's generator. */
int64_t input_random(struct transfer *transfer);

#endif
