/* SPDX-License-Identifier: MIT */
/* What the process holds of the system's, by /proc; see soak.h. */
#include "soak.h"

#include "proc_bytes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

/* Lines that begin with a text; 0 also where the kernel has no such file. */
static unsigned count_lines(const char *path, const char *start)
{
	FILE *file = fopen(path, "re");
	unsigned count = 0;
	char line[1024];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		count += strncmp(line, start, strlen(start)) == 0;
	if (file != NULL)
		fclose(file);
	return count;
}

struct holdings holdings_now(void)
{
	static const char *const resident[] = {"VmRSS:", NULL};
	static const char *const kernel[] = {"SUnreclaim:", "PageTables:", "SecPageTables:", NULL};

	return (struct holdings){
		.descriptors = count_descriptors(),
		.mappings = count_lines("/proc/self/maps", ""),
		.timers = count_lines("/proc/self/timers", "ID:"),
		.resident = proc_bytes("/proc/self/status", resident),
		.kernel = proc_bytes("/proc/meminfo", kernel),
	};
}
