/* SPDX-License-Identifier: MIT */
/*
 * Files that are made by us: the tree, its links, its listings. See man 5 proc,
 * man 2 getdents. Rows name the process's own directory by its number; its one
 * thread's directory has the same files.
 */
#include "made_files.h"

#include "../util.h"
#include "files.h"
#include "made_texts.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct made_row {
	const char *path;
	mode_t mode;
	made_function write;
	const char *text;
};

static const struct made_row rows[] = {
#define MADE(path, mode, write, text) {path, mode, write, text},
#include "made_files.def"
#undef MADE
};

_Static_assert(PROCESS_ID == 1000 && sizeof(MADE_SELF) == sizeof("/proc/1000"),
               "the paths of made_files.def");

#define FD_DIRECTORY MADE_SELF "/fd"
#define TASK_DIRECTORY MADE_SELF "/task"
#define THREAD_DIRECTORY TASK_DIRECTORY "/1000"

bool made_owns(const char *path)
{
	return path_is_within(path, "/proc") || path_is_within(path, "/sys") ||
	       path_is_within(path, "/dev");
}

/*
 * Paths as the rows have them.
 */

/* FNV-1a; never 0, which readdir(3) takes for a deleted entry. */
static uint64_t inode_of(const char *path)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	return hash >> 8 | 1;
}

/* What lies behind the directory, without a slash; NULL: the path is not within it. */
static const char *behind(const char *path, const char *directory)
{
	if (!path_is_within(path, directory))
		return NULL;
	path += strlen(directory);
	return *path ? path + 1 : path;
}

/* A thread has what its process has, but no threads. NULL: there is no such path. */
static const char *as_process(const char *path, char buffer[PATH_SIZE])
{
	const char *rest = behind(path, THREAD_DIRECTORY);

	if (!rest || !*rest)
		return path;
	if (path_is_within(path, THREAD_DIRECTORY "/task"))
		return NULL;
	snprintf(buffer, PATH_SIZE, "%s/%s", MADE_SELF, rest);
	return buffer;
}

static const struct made_row *find_row(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].path, path) == 0)
			return &rows[i];
	return NULL;
}

/* The row whose file or link the path lies beneath, as if it were a directory. */
static const struct made_row *find_row_above(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!S_ISDIR(rows[i].mode) && behind(path, rows[i].path) &&
		    *behind(path, rows[i].path))
			return &rows[i];
	return NULL;
}

static long file_system_of(const char *path)
{
	if (path_is_within(path, "/proc"))
		return PROC_SUPER_MAGIC;
	return path_is_within(path, "/sys") ? SYSFS_MAGIC : TMPFS_MAGIC;
}

static bool is_directory(const char *path)
{
	if (strcmp(path, THREAD_DIRECTORY) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (path_is_within(rows[i].path, path) &&
		    (S_ISDIR(rows[i].mode) || rows[i].path[strlen(path)] == '/'))
			return true;
	return false;
}

/*
 * fd/N
 */

/* The number that text begins with, up to a slash or its end; -1: it is none. */
static int parse_number(const char *text, const char **end)
{
	int number = 0;

	*end = text;
	for (; **end >= '0' && **end <= '9' && number < (int)FILES_MAXIMUM; ++*end)
		number = number * 10 + (**end - '0');
	if (*end == text || (**end && **end != '/') || (*text == '0' && *end - text > 1))
		return -1;
	return number;
}

static int find_descriptor(struct process *process, const struct path *path, const char *rest,
                           struct made_node *node)
{
	const char *end;
	int number = parse_number(rest, &end);

	if (!files_get(process, number))
		return -ENOENT;
	node->mode = S_IFLNK | 0700;
	node->descriptor = number;
	/* In the path itself, which `rest` may be a rewritten copy of. */
	node->rest = *end ? path->text + path->length - strlen(end + 1) : NULL;
	return 0;
}

/*
 * Looking up.
 */

int made_write(struct process *process, const struct made_node *node, struct text *text)
{
	*text = (struct text){0};
	if (node->row->write)
		node->row->write(process, text);
	else
		text_add_bytes(text, node->row->text, strlen(node->row->text));
	if (text->error) {
		int error = text->error;

		text_end(text);
		return error;
	}
	return 0;
}

/* path = target of the link, as seen from its directory, + what came behind the link. */
static int follow_link(struct process *process, struct path *path, const struct made_row *row,
                       const char *rest)
{
	struct made_node node = {.row = row};
	char joined[2 * PATH_SIZE];
	struct path parent;
	struct text text;
	bool directory = path->directory;
	int error = made_write(process, &node, &text);

	if (error)
		return error;
	snprintf(joined, sizeof(joined), "%.*s%s%s", (int)text.length, text.data ? text.data : "",
	         *rest ? "/" : "", rest);
	text_end(&text);
	error = path_normalise(&parent, "/", row->path);
	if (error)
		return error;
	path_to_parent(&parent);
	error = path_normalise(path, parent.text, joined);
	path->directory = directory;
	return error ? error : -EXDEV;
}

static int found(const char *path, const struct made_row *row, mode_t mode, struct made_node *node)
{
	node->row = row;
	node->mode = mode;
	node->inode = inode_of(path);
	return 0;
}

static int find_as_process(struct process *process, struct path *path, const char *text,
                           bool follow, struct made_node *node)
{
	const struct made_row *row = find_row(text);

	if (row && S_ISLNK(row->mode) && (follow || path->directory))
		return follow_link(process, path, row, "");
	if (row && S_ISCHR(row->mode))
		return -ENOENT;
	if (row && !S_ISDIR(row->mode) && path->directory)
		return -ENOTDIR;
	if (row)
		return found(path->text, row, row->mode, node);
	if (is_directory(text))
		return found(path->text, NULL, S_IFDIR | 0555, node);
	row = find_row_above(text);
	if (row && S_ISLNK(row->mode))
		return follow_link(process, path, row, behind(text, row->path));
	return row && S_ISREG(row->mode) ? -ENOTDIR : -ENOENT;
}

int made_find(struct process *process, struct path *path, bool follow, struct made_node *node)
{
	char buffer[PATH_SIZE];
	const char *text = as_process(path->text, buffer), *rest;

	*node = (struct made_node){.descriptor = -1, .file_system = file_system_of(path->text)};
	if (!text)
		return -ENOENT;
	rest = behind(text, FD_DIRECTORY);
	if (rest && *rest) {
		node->inode = inode_of(path->text);
		return find_descriptor(process, path, rest, node);
	}
	return find_as_process(process, path, text, follow, node);
}

/*
 * Listing. Offsets: 0 ".", 1 "..", then entries.
 */

struct listing {
	const struct process *process;
	const char *path;       /* of the directory */
	const char *as_process; /* the same, for the rows */
	uint8_t *data;
	uint64_t size, length;
};

/* Stores an entry with the offset behind it. Returns false when it does not fit. */
static bool put(struct listing *listing, const char *name, size_t length, unsigned char type,
                uint64_t next)
{
	const size_t head = offsetof(struct dirent64, d_name);
	/* With its NUL; entries are 8-aligned. */
	const size_t size = (head + length + 1 + 7) & ~(size_t)7;
	struct dirent64 entry = {.d_off = (int64_t)next, .d_reclen = (uint16_t)size, .d_type = type};
	char path[PATH_SIZE];

	if (size > listing->size - listing->length)
		return false;
	snprintf(path, sizeof(path), "%s/%.*s", listing->path, (int)length, name);
	entry.d_ino = inode_of(path);
	memset(listing->data + listing->length, 0, size);
	memcpy(listing->data + listing->length, &entry, head);
	memcpy(listing->data + listing->length + head, name, length);
	listing->length += size;
	return true;
}

/* The component that the row has beneath the directory, or NULL; *is_last: it is the row itself. */
static const char *component(const struct listing *listing, const struct made_row *row,
                             size_t *length, bool *is_last)
{
	const char *name = behind(row->path, listing->as_process);

	if (!name || !*name)
		return NULL;
	if (listing->path != listing->as_process && strcmp(row->path, TASK_DIRECTORY) == 0)
		return NULL;
	*length = strcspn(name, "/");
	*is_last = name[*length] == '\0';
	return name;
}

/* Whether a row before this one has the same component: directories are listed once. */
static bool is_listed(const struct listing *listing, size_t index, const char *name, size_t length)
{
	const char *other;
	size_t other_length;
	bool is_last;

	for (size_t i = 0; i < index; i++) {
		other = component(listing, &rows[i], &other_length, &is_last);
		if (other && other_length == length && memcmp(name, other, length) == 0)
			return true;
	}
	return false;
}

static bool list_rows(struct listing *listing, uint64_t *offset)
{
	for (; *offset - 2 < ARRAY_SIZE(rows); ++*offset) {
		size_t index = *offset - 2, length;
		bool is_last;
		const char *name = component(listing, &rows[index], &length, &is_last);

		if (!name || is_listed(listing, index, name, length))
			continue;
		if (!put(listing, name, length,
		         (unsigned char)(is_last ? IFTODT(rows[index].mode) : DT_DIR), *offset + 1))
			return false;
	}
	return true;
}

static bool list_descriptors(struct listing *listing, uint64_t *offset)
{
	char name[16];

	for (; *offset - 2 < FILES_MAXIMUM; ++*offset) {
		int fd = (int)(*offset - 2);

		if (!files_look(listing->process, fd))
			continue;
		if (!put(listing, name, (size_t)snprintf(name, sizeof(name), "%d", fd), DT_LNK,
		         *offset + 1))
			return false;
	}
	return true;
}

static bool list_tasks(struct listing *listing, uint64_t *offset)
{
	if (*offset == 2 && !put(listing, "1000", 4, DT_DIR, 3))
		return false;
	*offset = 3;
	return true;
}

static bool list_dots(struct listing *listing, uint64_t *offset)
{
	for (; *offset < 2; ++*offset)
		if (!put(listing, "..", *offset + 1, DT_DIR, *offset + 1))
			return false;
	return true;
}

static bool list_entries(struct listing *listing, uint64_t *offset)
{
	if (strcmp(listing->as_process, FD_DIRECTORY) == 0)
		return list_descriptors(listing, offset);
	if (strcmp(listing->as_process, TASK_DIRECTORY) == 0)
		return list_tasks(listing, offset);
	return list_rows(listing, offset);
}

int64_t made_list(const struct process *process, const char *path, uint64_t *offset, void *data,
                  uint64_t size)
{
	char buffer[PATH_SIZE];
	struct listing listing = {.process = process, .path = path, .data = data, .size = size};
	bool all;

	listing.as_process = as_process(path, buffer);
	/* The thread's own directory is the process's, too. */
	if (strcmp(path, THREAD_DIRECTORY) == 0)
		listing.as_process = MADE_SELF;
	all = list_dots(&listing, offset) && list_entries(&listing, offset);
	return listing.length || all ? (int64_t)listing.length : -EINVAL;
}
