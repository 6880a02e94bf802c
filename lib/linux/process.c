/* SPDX-License-Identifier: MIT */
/*
 * Life of an emulated process: made empty, shared by its forks, put back by a
 * reset. What system calls do to it is in the sys_*.c files.
 */
#include "process.h"

#include "files.h"
#include "memory_place.h"
#include "mm.h"
#include "process_clock.h"
#include "resource_limits.h"
#include "signals.h"
#include "tmpfs.h"

#include <stdlib.h>
#include <string.h>

/* man 2 umask, man 2const PR_SET_TIMERSLACK: what a login shell starts with. */
static void set_attributes(struct process_attributes *attributes, const struct process_config *config)
{
	const char *program = config->program;
	const char *name = program ? strrchr(program, '/') : NULL;

	*attributes = (struct process_attributes){
		.umask = 022, .dumpable = 1, .timer_slack = PROCESS_TIMER_SLACK};
	name = name ? name + 1 : program;
	if (name)
		strncpy(attributes->name, name, sizeof(attributes->name) - 1);
}

/* A name, an inode and what holds them are not less than this. */
#define INODE_LEAST 512u

static int create_tmpfs(struct process *process)
{
	struct tmpfs_options options = {
		.bytes = process->config->memory_file_limit,
		.inodes = process->config->memory_file_limit / INODE_LEAST,
		.user = PROCESS_USER,
		.group = PROCESS_GROUP,
	};
	uint64_t now = process->config->clock_start;
	int error;

	/* Looking at a made-up clock moves it. */
	if (!process_clock_is_made_up(process))
		now = process_clock_realtime(process);
	options.now = process_clock_timespec(now);
	error = tmpfs_create(&process->tmpfs, &options);
	return error ? error : memory_make_directories(process, process->files->directory);
}

int process_init(struct process *process, struct space *space, const struct process_config *config)
{
	int error;

	*process = (struct process){.space = space, .config = config};
	set_attributes(&process->attributes, config);
	error = mm_create(&process->mm);
	if (!error)
		error = files_create(&process->files, config);
	if (!error)
		error = signals_create(&process->signals);
	if (!error)
		error = limits_create(&process->limits, config);
	if (!error)
		error = create_tmpfs(process);
	if (error)
		process_destroy(process);
	return error;
}

static void share(struct process *process, const struct process *master)
{
	process->mm = mm_share(master->mm);
	process->files = files_share(master->files);
	process->signals = signals_share(master->signals);
	process->limits = limits_share(master->limits);
	process->tmpfs = tmpfs_share(master->tmpfs);
	process->attributes = master->attributes;
	process->usage = master->usage;
	process->copies_files = master->copies_files;
}

static void release(struct process *process)
{
	mm_release(process->mm);
	files_release(process->files);
	signals_release(process->signals);
	limits_release(process->limits);
	tmpfs_release(process->tmpfs);
	process->mm = NULL;
	process->files = NULL;
	process->signals = NULL;
	process->limits = NULL;
	process->tmpfs = NULL;
	free(process->borrowed_pages);
	process->borrowed_pages = NULL;
}

int process_fork(struct process *process, const struct process *master, struct space *space)
{
	*process = (struct process){
		.space = space, .config = master->config, .timekeeper = master->timekeeper};
	share(process, master);
	return 0;
}

void process_reset(struct process *process, const struct process *master)
{
	/* What is still shared needs no count, which the forks of all threads would write. */
	if (process->mm != master->mm) {
		mm_release(process->mm);
		process->mm = mm_share(master->mm);
	}
	if (process->files != master->files) {
		files_release(process->files);
		process->files = files_share(master->files);
	}
	if (process->signals != master->signals) {
		signals_release(process->signals);
		process->signals = signals_share(master->signals);
	}
	if (process->limits != master->limits) {
		limits_release(process->limits);
		process->limits = limits_share(master->limits);
	}
	if (process->tmpfs != master->tmpfs) {
		tmpfs_release(process->tmpfs);
		process->tmpfs = tmpfs_share(master->tmpfs);
	}
	process->attributes = master->attributes;
	process->usage = master->usage;
	process->copies_files = master->copies_files;
	free(process->borrowed_pages);
	process->borrowed_pages = NULL;
	process->end = PROCESS_RUNS;
	process->denied = false;
	process->exit_status = 0;
	process->exit_signal = 0;
}

void process_destroy(struct process *process)
{
	release(process);
}
