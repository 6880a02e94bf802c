/* SPDX-License-Identifier: MIT */
/*
 * Functions that open, write and read files: for policy_test.c. A file that
 * main() opened is every fork's.
 */
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG "/data/log"

static int log_file;

/* A descriptor, or a negative errno. */
EXPORTED long open_file(const char *path, long flags)
{
	int fd = open(path, (int)flags, 0644);

	return fd >= 0 ? fd : -errno;
}

EXPORTED long look_at(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_size : -errno;
}

EXPORTED long write_file(long fd, const char *text)
{
	return write((int)fd, text, strlen(text));
}

EXPORTED long write_log(const char *text)
{
	return write_file(log_file, text);
}

EXPORTED long log_offset(void)
{
	return lseek(log_file, 0, SEEK_CUR);
}

/* In one call: each is an exit. */
EXPORTED long make_and_rename(const char *from, const char *to)
{
	int fd = open(from, O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd < 0 || write(fd, "made", 4) != 4 || close(fd) || rename(from, to))
		return -errno;
	return 0;
}

/* Whether a variable has this value. */
EXPORTED long has_variable(const char *name, const char *value)
{
	const char *found = getenv(name);

	return found ? strcmp(found, value) == 0 : -1;
}

int main(void)
{
	log_file = open(LOG, O_CREAT | O_RDWR, 0644);
	write_log("main ");
	wait_for_requests();
	return 0;
}
