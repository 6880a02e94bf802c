/* SPDX-License-Identifier: MIT */
/*
 * Paths as text: absolute ones without ".", ".." and double slashes. Pure:
 * knows no file system, so ".." after a symbolic link is taken lexically.
 */
#ifndef KVMSB_LINUX_PATH_H
#define KVMSB_LINUX_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* With the NUL (PATH_MAX). */
#define PATH_SIZE 4096

struct path {
	char text[PATH_SIZE]; /* begins with '/', and does not end with it but for "/" itself */
	size_t length;
	bool directory; /* it was written so that it must be a directory: ends in '/', '.', '..' */
	unsigned dots;  /* its last component was written as: 1 ".", 2 "..", 0 neither */
	bool above;     /* a ".." led above "/", where it has no effect */
	bool answered;  /* the policy was asked for this very text (place.h); not for text that is new */
};

/*
 * The absolute path of `text` as seen from the directory `base` (absolute and
 * normalised; not used when text is absolute). They may lie in `path` itself.
 * Returns 0, -ENOENT (text is empty) or -ENAMETOOLONG.
 */
int path_normalise(struct path *path, const char *base, const char *text);

/* Whether `path` is `directory` or lies beneath it; both are normalised. */
bool path_is_within(const char *path, const char *directory);

/* Drops the last component; "/" stays. */
void path_to_parent(struct path *path);

#endif
