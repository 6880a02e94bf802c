/* SPDX-License-Identifier: MIT */
/* Values to names; the tables are in trace_names.def. */
#include "trace_names.h"

#include "../util.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SCHED_DEADLINE /* only linux/sched.h has it, which is at odds with sched.h */
#define SCHED_DEADLINE 6
#endif

struct trace_name {
	uint64_t value, mask;
	const char *name;
};

#define TABLE(name, bits) static const struct trace_name names_##name[] = {
#define FIELD(name, mask) {(uint64_t)(name), (uint64_t)(mask), #name},
#define VALUE(name) {(uint64_t)(name), UINT64_MAX, #name},
#define FLAG(name) {(uint64_t)(name), (uint64_t)(name), #name},
#define NAMED(value, name) {value, value, name},
#define ERROR(name, text) {name, UINT64_MAX, #name " (" text ")"},
#define END_TABLE                                                                                  \
	}                                                                                          \
	;
#include "trace_names.def"
#undef TABLE
#undef FIELD
#undef VALUE
#undef FLAG
#undef NAMED
#undef ERROR
#undef END_TABLE

struct trace_table {
	const char *name;
	const struct trace_name *names;
	size_t count;
	uint64_t bits;
};

static const struct trace_table tables[] = {
#define TABLE(name, bits)                                                                          \
	{#name, names_##name, ARRAY_SIZE(names_##name), UINT64_MAX >> (64 - (bits))},
#define FIELD(name, mask)
#define VALUE(name)
#define FLAG(name)
#define NAMED(value, name)
#define ERROR(name, text)
#define END_TABLE
#include "trace_names.def"
};

const struct trace_table *trace_names_find(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (strncmp(tables[i].name, name, length) == 0 && tables[i].name[length] == '\0')
			return &tables[i];
	return NULL;
}

void trace_add_names(struct trace_line *line, const struct trace_table *table, uint64_t value)
{
	uint64_t rest = value & table->bits;
	const char *separator = "";

	for (size_t i = 0; i < table->count; i++) {
		const struct trace_name *row = &table->names[i];
		const uint64_t mask = row->mask & table->bits;

		if ((rest & mask) != (row->value & table->bits))
			continue;
		trace_add(line, "%s%s", separator, row->name);
		separator = "|";
		rest &= ~mask;
		if (rest == 0)
			return;
	}
	trace_add(line, rest ? "%s0x%" PRIx64 : "%s%" PRIx64, separator, rest);
}

void trace_add_named(struct trace_line *line, const char *table, uint64_t value)
{
	trace_add_names(line, trace_names_find(table, strlen(table)), value);
}
