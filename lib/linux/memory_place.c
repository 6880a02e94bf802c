/* SPDX-License-Identifier: MIT */
/*
 * Places in the file system in memory; see memory_place.h.
 */
#include "memory_place.h"

#include "../util.h"
#include "memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>

/* What O_TMPFILE adds to O_DIRECTORY. */
#define FLAG_UNNAMED (uint32_t)(O_TMPFILE & ~O_DIRECTORY)

#define MODE_BITS 07777u

bool memory_is_mounted(const struct process *process)
{
	return process->config->temporary_size > 0;
}

bool memory_holds(const struct place_view *view, const char *path)
{
	const struct policy_rule *rule;

	if (!memory_is_mounted(view->process) || !path_is_within(path, MEMORY_PATH))
		return false;
	rule = policy_match(view->policy, path);
	return !rule || path_is_within(MEMORY_PATH, rule->path);
}

/* The path as the file system itself has it. */
static const char *within(const struct path *path)
{
	const char *rest = path->text + strlen(MEMORY_PATH);

	return *rest ? rest : "/";
}

/*
 * Looking up.
 */

/* A link in the path, which ends at walk's name, is replaced by what it leads to. */
static int follow_link(const struct place_view *view, struct path *path, const struct tmpfs_walk *walk)
{
	const char *text = NULL;
	char target[PATH_SIZE];
	int64_t length = tmpfs_target(view->process->tmpfs, walk->inode, &text);

	if (view->resolve & RESOLVE_NO_SYMLINKS)
		return -ELOOP;
	if (length < 0)
		return (int)length;
	memcpy(target, text, (size_t)length + 1);
	return place_splice(view, path, (size_t)(walk->name + walk->length - path->text), target);
}

static bool is_type(const struct process *process, uint64_t inode, mode_t type)
{
	struct stat status;

	return tmpfs_stat(process->tmpfs, inode, &status) == 0 && (status.st_mode & S_IFMT) == type;
}

int memory_find(const struct place_view *view, struct path *path, bool follow, struct place *place)
{
	struct tmpfs_walk walk;
	int error = tmpfs_walk(view->process->tmpfs, within(path), follow || path->directory, &walk);

	if (error)
		return error;
	if (walk.link)
		return follow_link(view, path, &walk);
	if (!walk.inode)
		return -ENOENT;
	if (path->directory && !is_type(view->process, walk.inode, S_IFDIR))
		return -ENOTDIR;
	place_set_memory(place, view->process, walk.inode);
	return 0;
}

int memory_directory_path(const struct process *process, const struct file *file, char *text)
{
	int64_t length = tmpfs_path(process->tmpfs, file->inode, text + strlen(MEMORY_PATH),
	                            PATH_SIZE - strlen(MEMORY_PATH));

	if (length < 0)
		return (int)length;
	memcpy(text, MEMORY_PATH, strlen(MEMORY_PATH));
	/* "/" itself. */
	if (length == 1)
		text[strlen(MEMORY_PATH)] = '\0';
	return 0;
}

/*
 * Opening.
 */

static int access_mask(uint32_t flags)
{
	static const int masks[] = {[O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK};

	return masks[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);
}

static int make_file(enum file_kind kind, uint64_t inode, const struct path *path, struct file **file)
{
	*file = memory_file_create(kind, inode, path->text);
	return *file ? 0 : -ENOMEM;
}

/* man 2 open, O_TMPFILE. */
static int open_unnamed(struct process *process, const struct path *path, uint32_t flags,
                        uint32_t mode, struct file **file)
{
	uint64_t inode;
	int error = memory_begin_change(process);

	if (!(access_mask(flags) & W_OK))
		return -EINVAL;
	if (error)
		return error;
	do
		error = tmpfs_make_unnamed(process->tmpfs, mode & MODE_BITS, F_SEAL_SEAL, &inode);
	while (memory_try_again(process, error));
	if (error)
		return error;
	error = make_file(FILE_MEMORY, inode, path, file);
	if (error)
		tmpfs_forget(process->tmpfs, inode);
	return error;
}

static int open_directory(struct place *place, const struct path *path, uint32_t flags,
                          uint32_t mode, struct file **file)
{
	int error;

	if (flags & FLAG_UNNAMED)
		return open_unnamed(place->process, path, flags, mode, file);
	if ((access_mask(flags) & W_OK) || (flags & O_CREAT))
		return -EISDIR;
	error = tmpfs_access(place->process->tmpfs, place->inode, R_OK);
	return error ? error : make_file(FILE_MEMORY_DIRECTORY, place->inode, path, file);
}

static int open_file(struct place *place, const struct path *path, uint32_t flags, struct file **file)
{
	int error = tmpfs_access(place->process->tmpfs, place->inode, access_mask(flags));

	if (!error)
		error = make_file(FILE_MEMORY, place->inode, path, file);
	if (error || !(flags & O_TRUNC))
		return error;
	error = memory_truncate(place->process, *file, 0);
	if (error)
		file_release(*file);
	return error;
}

int memory_open(struct place *place, const struct path *path, uint32_t flags, uint32_t mode,
                struct file **file)
{
	struct stat status;
	int error = place_stat(place, &status);

	if (error)
		return error;
	if ((flags & O_DIRECTORY) && !S_ISDIR(status.st_mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return make_file(FILE_PATH, place->inode, path, file);
	if (S_ISLNK(status.st_mode))
		return -ELOOP;
	if (S_ISDIR(status.st_mode))
		return open_directory(place, path, flags, mode, file);
	return open_file(place, path, flags, file);
}

/*
 * At the beginning.
 */

static int make_directory(struct process *process, const char *text)
{
	struct tmpfs_walk walk;
	uint64_t inode;
	int error = tmpfs_walk(process->tmpfs, text, false, &walk);
	const struct tmpfs_name name = {walk.directory, walk.name, walk.length};

	return error || walk.inode ? error
	                           : tmpfs_make(process->tmpfs, &name, S_IFDIR | 0755, &inode);
}

int memory_make_directories(struct process *process, const char *text)
{
	struct path path;
	int error = path_normalise(&path, "/", text);
	char *end = path.text + strlen(MEMORY_PATH), behind;

	if (error || !memory_is_mounted(process) || !path_is_within(path.text, MEMORY_PATH))
		return 0;
	while (*end && !error) {
		end += 1 + strcspn(end + 1, "/");
		behind = *end;
		*end = '\0';
		error = make_directory(process, within(&path));
		*end = behind;
	}
	return error == -ENOMEM ? error : 0;
}

/*
 * Changing names.
 */

int memory_entry_find(const struct place_view *view, struct path *path, enum place_change change,
                      struct place_entry *entry)
{
	struct tmpfs_walk walk;
	int error = tmpfs_walk(view->process->tmpfs, within(path), false, &walk);

	if (error)
		return error;
	if (walk.link)
		return follow_link(view, path, &walk);
	if (walk.directory == 0)
		return change == PLACE_CREATE ? -EEXIST : -EBUSY;
	if (walk.length > NAME_MAX)
		return -ENAMETOOLONG;
	entry->kind = PLACE_MEMORY;
	entry->process = view->process;
	entry->inode = walk.directory;
	memcpy(entry->name, walk.name, walk.length + 1);
	return 0;
}

static struct tmpfs_name name_of(const struct place_entry *entry)
{
	return (struct tmpfs_name){entry->inode, entry->name, strlen(entry->name)};
}

int memory_check_create(const struct place_entry *entry)
{
	const struct tmpfs_name name = name_of(entry);
	uint64_t inode;
	int error = tmpfs_look_up(entry->process->tmpfs, &name, &inode);

	return !error && inode ? -EEXIST : error;
}

static int make(const struct place_entry *entry, uint32_t mode, uint64_t *inode)
{
	const struct tmpfs_name name = name_of(entry);
	int error = memory_begin_change(entry->process);

	if (error)
		return error;
	do
		error = tmpfs_make(entry->process->tmpfs, &name, mode, inode);
	while (memory_try_again(entry->process, error));
	return error;
}

int memory_make(const struct place_entry *entry, uint32_t mode)
{
	uint64_t inode;

	return make(entry, mode & (S_IFMT | MODE_BITS), &inode);
}

static int remove_inode(const struct place_entry *entry, bool directory)
{
	const struct tmpfs_name name = name_of(entry);
	struct tmpfs *fs;
	uint64_t orphan;
	int error = memory_begin_change(entry->process);

	if (error)
		return error;
	fs = entry->process->tmpfs;
	error = directory ? tmpfs_remove_directory(fs, &name, &orphan)
	                  : tmpfs_unlink(fs, &name, &orphan);
	if (!error)
		memory_collect(entry->process, orphan);
	return error;
}

int memory_create(const struct place_entry *entry, const struct path *path, uint32_t mode,
                  struct file **file)
{
	uint64_t inode;
	int error = make(entry, S_IFREG | (mode & MODE_BITS), &inode);

	if (error)
		return error;
	error = make_file(FILE_MEMORY, inode, path, file);
	if (error)
		remove_inode(entry, false);
	return error;
}

int memory_make_link(const struct place_entry *entry, const char *target)
{
	const struct tmpfs_name name = name_of(entry);
	int error = memory_begin_change(entry->process);

	if (error)
		return error;
	do
		error = tmpfs_make_link(entry->process->tmpfs, &name, target, strlen(target));
	while (memory_try_again(entry->process, error));
	return error;
}

/* What is written with a slash at its end must be a directory, if it is there. */
static int check_slash(const struct place_entry *entry, const struct path *path)
{
	const struct tmpfs_name name = name_of(entry);
	uint64_t inode;
	int error = path->directory ? tmpfs_look_up(entry->process->tmpfs, &name, &inode) : 0;

	if (error || !path->directory || !inode)
		return error;
	return is_type(entry->process, inode, S_IFDIR) ? 0 : -ENOTDIR;
}

int memory_remove(const struct place_entry *entry, const struct path *path, bool directory)
{
	int error = check_slash(entry, path);

	return error ? error : remove_inode(entry, directory);
}

/* A slash behind a name that is not there yet: only directories can get it. */
static int check_slashes(const struct place_entry *from, const struct path *from_path,
                         const struct place_entry *to, const struct path *to_path)
{
	struct path from_too = *from_path;
	int error = check_slash(to, to_path);

	from_too.directory |= to_path->directory;
	return error ? error : check_slash(from, &from_too);
}

int memory_rename(const struct place_entry *from, const struct path *from_path,
                  const struct place_entry *to, const struct path *to_path, uint32_t flags)
{
	const struct tmpfs_name names[2] = {name_of(from), name_of(to)};
	struct process *process = from->process;
	uint64_t orphan;
	int error = check_slashes(from, from_path, to, to_path);

	if (!error)
		error = memory_begin_change(process);
	if (error)
		return error;
	do
		error = tmpfs_rename(process->tmpfs, &names[0], &names[1], flags, &orphan);
	while (memory_try_again(process, error));
	if (!error)
		memory_collect(process, orphan);
	return error;
}

int memory_link(const struct place_entry *from, const struct place_entry *to)
{
	const struct tmpfs_name names[2] = {name_of(from), name_of(to)};
	struct process *process = from->process;
	uint64_t inode;
	int error = tmpfs_look_up(process->tmpfs, &names[0], &inode);

	if (!error && !inode)
		error = -ENOENT;
	if (!error)
		error = memory_begin_change(process);
	if (error)
		return error;
	do
		error = tmpfs_link(process->tmpfs, inode, &names[1]);
	while (memory_try_again(process, error));
	return error;
}

/*
 * Changing what was found.
 */

int memory_set_mode(const struct place *place, uint32_t mode)
{
	int error = memory_begin_change(place->process);

	return error ? error : tmpfs_set_mode(place->process->tmpfs, place->inode, mode & MODE_BITS);
}

int memory_set_times(const struct place *place, const struct timespec times[2])
{
	int error = memory_begin_change(place->process);

	return error ? error : tmpfs_set_times(place->process->tmpfs, place->inode, times);
}
