/* SPDX-License-Identifier: MIT */
/* The values of lines "Name:   123 kB" in a file of /proc, added up, in bytes. */
#ifndef KVMSB_TESTS_PROC_BYTES_H
#define KVMSB_TESTS_PROC_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* names end with NULL. 0 where the file cannot be read. */
static inline uint64_t proc_bytes(const char *path, const char *const *names)
{
	FILE *file = fopen(path, "re");
	uint64_t sum = 0;
	char line[1024];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		for (size_t i = 0; names[i] != NULL; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0)
				sum += strtoull(line + strlen(names[i]), NULL, 10) * 1024;
	if (file != NULL)
		fclose(file);
	return sum;
}

#endif
