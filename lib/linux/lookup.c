/* SPDX-License-Identifier: MIT */
/*
 * Paths and descriptors in the arguments of system calls, looked up: man 2 open
 * ("openat"), man 7 path_resolution.
 */
#include "lookup.h"

#include "../util.h"
#include "ask.h"
#include "files.h"
#include "memory_place.h"
#include "mm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct place_view lookup_view(struct process *process, uint32_t access)
{
	return (struct place_view){
		.process = process,
		.access = access,
		.policy = process->config->policy,
		.directory = process->files->directory,
	};
}

/* With O_PATH anything can be open. */
static bool is_directory(struct process *process, const struct file *file)
{
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);
	struct stat status = {0};
	struct place place;

	if (file->kind != FILE_PATH)
		return file_is_directory(file);
	if (place_of_file(&view, file, &place))
		return false;
	if (place_stat(&place, &status))
		status.st_mode = 0;
	place_close(&place);
	return S_ISDIR(status.st_mode);
}

int lookup_base(struct process *process, int dirfd, const char **base)
{
	const struct open_file *open;

	*base = process->files->directory;
	if (dirfd == AT_FDCWD)
		return 0;
	open = files_look(process, dirfd);
	if (!open)
		return -EBADF;
	if (!is_directory(process, open->file))
		return -ENOTDIR;
	*base = open->file->path;
	return 0;
}

/* An open directory in memory is found wherever it was moved. */
static int find_moved(const struct process *process, int dirfd, const char **base, char *text)
{
	const struct open_file *open = dirfd == AT_FDCWD ? NULL : files_look(process, dirfd);
	int error = 0;

	if (open && open->file->kind == FILE_MEMORY_DIRECTORY) {
		error = memory_directory_path(process, open->file, text);
		*base = text;
	}
	return error;
}

static int resolve(const struct place_view *view, int dirfd, const char *text, struct path *path)
{
	char moved[PATH_SIZE];
	const char *base = "/";
	int error = 0;

	/* With a root, also what is absolute is seen from there. */
	if ((*text != '/' || view->resolve) && *text)
		error = lookup_base(view->process, dirfd, &base);
	if (!error && base[1])
		error = find_moved(view->process, dirfd, &base, moved);
	if (!error)
		error = place_resolve(view, path, base, text);
	return error ? error : ask_path(view->process, view->access, path);
}

int lookup_path(const struct place_view *view, int dirfd, uint64_t address, struct path *path)
{
	char text[PATH_SIZE];
	int64_t length = guest_read_string(view->process, address, text, sizeof(text));

	return length < 0 ? (int)length : resolve(view, dirfd, text, path);
}

static int lookup_directory(const struct place_view *view, struct place *place)
{
	struct path path;
	int error = path_normalise(&path, "/", view->directory);

	return error ? error : place_find(view, &path, true, place);
}

int lookup_descriptor(struct process *process, int fd, struct place *place)
{
	const struct open_file *open = files_look(process, fd);
	struct place_view view = lookup_view(process, KVMSB_ACCESS_LOOK);

	return open ? place_of_file(&view, open->file, place) : -EBADF;
}

static int lookup_empty(const struct place_view *view, int dirfd, struct place *place)
{
	if (dirfd == AT_FDCWD)
		return lookup_directory(view, place);
	return lookup_descriptor(view->process, dirfd, place);
}

int lookup_place(const struct place_view *view, int dirfd, uint64_t address, unsigned flags,
                 struct place *place)
{
	char text[PATH_SIZE];
	struct path path;
	int64_t length;
	int error;

	length = guest_read_string(view->process, address, text, sizeof(text));
	if (length < 0)
		return (int)length;
	if (length == 0 && (flags & AT_EMPTY_PATH))
		return lookup_empty(view, dirfd, place);
	error = resolve(view, dirfd, text, &path);
	if (error)
		return error;
	return place_find(view, &path, !(flags & AT_SYMLINK_NOFOLLOW), place);
}
