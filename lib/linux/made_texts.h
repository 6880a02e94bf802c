/* SPDX-License-Identifier: MIT */
/*
 * The functions that write the content of files that are made by us: those
 * about the process are in made_process.c, those about the machine in
 * made_machine.c. What fails is remembered in the text.
 */
#ifndef KVMSB_LINUX_MADE_TEXTS_H
#define KVMSB_LINUX_MADE_TEXTS_H

#include "process.h"
#include "text.h"

typedef void (*made_function)(struct process *process, struct text *text);

void made_auxv(struct process *process, struct text *text);
void made_cmdline(struct process *process, struct text *text);
void made_comm(struct process *process, struct text *text);
void made_cwd(struct process *process, struct text *text);
void made_environ(struct process *process, struct text *text);
void made_exe(struct process *process, struct text *text);
void made_io(struct process *process, struct text *text);
void made_limits(struct process *process, struct text *text);
void made_maps(struct process *process, struct text *text);
void made_process_stat(struct process *process, struct text *text);
void made_statm(struct process *process, struct text *text);
void made_status(struct process *process, struct text *text);

void made_cpuinfo(struct process *process, struct text *text);
void made_file_max(struct process *process, struct text *text);
void made_file_nr(struct process *process, struct text *text);
void made_meminfo(struct process *process, struct text *text);
void made_mountinfo(struct process *process, struct text *text);
void made_mounts(struct process *process, struct text *text);
void made_pipe_size(struct process *process, struct text *text);
void made_stat(struct process *process, struct text *text);
void made_uptime(struct process *process, struct text *text);
void made_uuid(struct process *process, struct text *text);

#endif
