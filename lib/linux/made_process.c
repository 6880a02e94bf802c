/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self says, made by us: man 5 proc. Everything here is the guest's
 * own state or a constant; what Linux counts and we do not is 0.
 */
#include "made_texts.h"

#include "../util.h"
#include "deadline.h"
#include "files.h"
#include "mm.h"
#include "path.h"
#include "process_clock.h"
#include "resource_limits.h"
#include "signals.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/*
 * What lies on the stack since the program was loaded. The guest may have
 * changed it, or unmapped it: then there is nothing, as in Linux.
 */
static void add_memory(struct process *process, struct text *text, uint64_t start, uint64_t end)
{
	uint64_t length = min_u64(end - start, TEXT_MAXIMUM / 2);
	char *to = length ? text_room(text, length) : NULL;

	if (!to)
		return;
	if (guest_read(process, start, to, length) == 0)
		text_grow(text, length);
}

void made_cmdline(struct process *process, struct text *text)
{
	const struct process_attributes *attributes = &process->attributes;

	add_memory(process, text, attributes->arguments_start, attributes->arguments_end);
}

void made_environ(struct process *process, struct text *text)
{
	const struct process_attributes *attributes = &process->attributes;

	add_memory(process, text, attributes->arguments_end, attributes->environment_end);
}

void made_auxv(struct process *process, struct text *text)
{
	const struct process_attributes *attributes = &process->attributes;

	add_memory(process, text, attributes->auxiliary_start, attributes->auxiliary_end);
}

void made_comm(struct process *process, struct text *text)
{
	text_add(text, "%s\n", process->attributes.name);
}

void made_cwd(struct process *process, struct text *text)
{
	text_add(text, "%s", process->files->directory);
}

/* The program may have been given relative to the initial directory. */
void made_exe(struct process *process, struct text *text)
{
	const char *program = process->config->program;
	struct path path;

	if (program && path_normalise(&path, process->files->directory, program) == 0)
		text_add_bytes(text, path.text, path.length);
}

void made_io(struct process *process, struct text *text)
{
	(void)process;
	text_add(text, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
	               "cancelled_write_bytes: 0\n");
}

static void add_limit(struct text *text, uint64_t value)
{
	if (value == RLIM64_INFINITY)
		text_add(text, "%-20s ", "unlimited");
	else
		text_add(text, "%-20" PRIu64 " ", value);
}

void made_limits(struct process *process, struct text *text)
{
	static const struct {
		const char *name, *unit;
	} limits[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = {"Max cpu time", "seconds"},
		[RLIMIT_FSIZE] = {"Max file size", "bytes"},
		[RLIMIT_DATA] = {"Max data size", "bytes"},
		[RLIMIT_STACK] = {"Max stack size", "bytes"},
		[RLIMIT_CORE] = {"Max core file size", "bytes"},
		[RLIMIT_RSS] = {"Max resident set", "bytes"},
		[RLIMIT_NPROC] = {"Max processes", "processes"},
		[RLIMIT_NOFILE] = {"Max open files", "files"},
		[RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
		[RLIMIT_AS] = {"Max address space", "bytes"},
		[RLIMIT_LOCKS] = {"Max file locks", "locks"},
		[RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
		[RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
		[RLIMIT_NICE] = {"Max nice priority", ""},
		[RLIMIT_RTPRIO] = {"Max realtime priority", ""},
		[RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};

	text_add(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (uint32_t i = 0; i < LIMITS_COUNT; i++) {
		const struct limit *limit = &process->limits->limit[i];

		text_add(text, "%-25s ", limits[i].name);
		add_limit(text, limit->current);
		add_limit(text, limit->maximum);
		text_add(text, "%-10s\n", limits[i].unit);
	}
}

/*
 * Memory.
 */

static const char *name_of(const struct mm_mapping *mapping)
{
	if (mapping->path)
		return mapping->path;
	if (mapping->is_stack)
		return "[stack]";
	return mapping->is_heap ? "[heap]" : "";
}

/* Columns as of Linux: the name begins at the 73rd. */
static void add_mapping(struct text *text, const struct mm_mapping *mapping)
{
	const char *name = name_of(mapping);
	char line[128];
	int length = snprintf(
		line, sizeof(line), "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " 00:%02x %u ",
		mapping->start, mapping->end, mapping->protection & SPACE_READ ? 'r' : '-',
		mapping->protection & SPACE_WRITE ? 'w' : '-',
		mapping->protection & SPACE_EXECUTE ? 'x' : '-', mapping->is_shared ? 's' : 'p',
		mapping->offset, mapping->path ? 1u : 0u, mapping->path ? 1u : 0u);

	if (*name)
		text_add(text, "%-*s%s\n", length > 73 ? length : 73, line, name);
	else
		text_add(text, "%s\n", line);
}

void made_maps(struct process *process, struct text *text)
{
	struct mm_mapping mapping = {.end = 0};

	while (mm_next_mapping(process, mapping.end, &mapping))
		add_mapping(text, &mapping);
}

struct memory_use {
	uint64_t size, text, data, stack; /* bytes */
};

/* Reservations that nothing can be stored in count too, as in Linux. */
static struct memory_use measure(const struct process *process)
{
	struct mm_mapping mapping = {.end = 0};
	struct memory_use use = {0};

	while (mm_next_mapping(process, mapping.end, &mapping)) {
		uint64_t size = mapping.end - mapping.start;

		use.size += size;
		if (mapping.is_stack)
			use.stack += size;
		else if (mapping.protection & SPACE_WRITE)
			use.data += size;
		else if (mapping.protection & SPACE_EXECUTE)
			use.text += size;
	}
	return use;
}

/* Nobody counts which pages are there: what can hold something, up to the limit. */
static uint64_t resident(const struct process *process, const struct memory_use *use)
{
	return min_u64(use->text + use->data + use->stack, process->config->memory_limit);
}

void made_statm(struct process *process, struct text *text)
{
	struct memory_use use = measure(process);
	uint64_t pages = resident(process, &use) >> PAGE_SHIFT;

	text_add(text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 %" PRIu64 " 0\n",
	         use.size >> PAGE_SHIFT, pages, use.text >> PAGE_SHIFT, use.text >> PAGE_SHIFT,
	         (use.data + use.stack) >> PAGE_SHIFT);
}

/*
 * State.
 */

#define TICK (NANOSECONDS / 100)

static void signal_sets(const struct process *process, uint64_t *ignored, uint64_t *caught)
{
	*ignored = 0;
	*caught = 0;
	for (int signal = 1; signal <= SIGNALS_COUNT; signal++) {
		uint64_t handler = process->signals->actions[signal - 1].handler;

		if (handler == 1)
			*ignored |= signal_bit(signal);
		else if (handler)
			*caught |= signal_bit(signal);
	}
}

/* Fields 1 to 52 of man 5 proc, /proc/pid/stat. */
void made_process_stat(struct process *process, struct text *text)
{
	struct memory_use use = measure(process);
	uint64_t used = 0, ignored, caught;

	process_clock_read(process, CLOCK_PROCESS_CPUTIME_ID, &used);
	signal_sets(process, &ignored, &caught);
	text_add(text, "%d (%s) R %d %d %d 0 -1 0 %" PRIu64 " 0 0 0 %" PRIu64 " 0 0 0 ", PROCESS_ID,
	         process->attributes.name, PROCESS_PARENT_ID, PROCESS_ID, PROCESS_ID,
	         process->usage.faults, used / TICK);
	text_add(text, "%d %d 1 0 0 ", 20 + process->attributes.nice, process->attributes.nice);
	text_add(text, "%" PRIu64 " %" PRIu64 " 18446744073709551615 0 0 0 0 0 ", use.size,
	         resident(process, &use) >> PAGE_SHIFT);
	text_add(text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 0 17 0 0 0 0 0 0 0 0 0 ",
	         process->signals->pending & INT32_MAX, process->signals->blocked & INT32_MAX,
	         ignored & INT32_MAX, caught & INT32_MAX);
	text_add(text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0\n",
	         process->attributes.arguments_start, process->attributes.arguments_end,
	         process->attributes.arguments_end, process->attributes.environment_end);
}

static void add_ids(const struct process *process, struct text *text)
{
	text_add(text, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\n", process->attributes.name,
	         process->attributes.umask);
	text_add(text, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", PROCESS_ID,
	         PROCESS_ID, PROCESS_PARENT_ID);
	text_add(text, "Uid:\t%d\t%d\t%d\t%d\n", PROCESS_USER, PROCESS_USER, PROCESS_USER,
	         PROCESS_USER);
	text_add(text, "Gid:\t%d\t%d\t%d\t%d\n", PROCESS_GROUP, PROCESS_GROUP, PROCESS_GROUP,
	         PROCESS_GROUP);
	text_add(text, "FDSize:\t%u\nGroups:\t%d \n", FILES_MAXIMUM, PROCESS_GROUP);
}

static void add_use(struct text *text, const char *name, uint64_t bytes)
{
	text_add(text, "%s:\t%8" PRIu64 " kB\n", name, bytes >> 10);
}

static void add_memory_use(const struct process *process, struct text *text)
{
	struct memory_use use = measure(process);
	uint64_t pages = resident(process, &use);

	add_use(text, "VmPeak", use.size);
	add_use(text, "VmSize", use.size);
	add_use(text, "VmLck", 0);
	add_use(text, "VmPin", 0);
	add_use(text, "VmHWM", pages);
	add_use(text, "VmRSS", pages);
	add_use(text, "VmData", use.data);
	add_use(text, "VmStk", use.stack);
	add_use(text, "VmExe", use.text);
	add_use(text, "VmLib", 0);
	add_use(text, "VmSwap", 0);
}

static void add_signals(const struct process *process, struct text *text)
{
	uint64_t ignored, caught;

	signal_sets(process, &ignored, &caught);
	text_add(text, "Threads:\t1\nSigQ:\t0/0\nSigPnd:\t%016" PRIx64 "\nShdPnd:\t%016x\n",
	         process->signals->pending, 0u);
	text_add(text, "SigBlk:\t%016" PRIx64 "\nSigIgn:\t%016" PRIx64 "\nSigCgt:\t%016" PRIx64 "\n",
	         process->signals->blocked, ignored, caught);
}

void made_status(struct process *process, struct text *text)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

	add_ids(process, text);
	add_memory_use(process, text);
	add_signals(process, text);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		text_add(text, "%s:\t0000000000000000\n", sets[i]);
	text_add(text, "NoNewPrivs:\t%u\nSeccomp:\t0\n", process->attributes.no_new_privileges);
	text_add(text, "Cpus_allowed:\t1\nCpus_allowed_list:\t0\n"
	               "Mems_allowed:\t1\nMems_allowed_list:\t0\n"
	               "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
}
