/* SPDX-License-Identifier: MIT */
/*
 * Changing what paths name: each change is made in a directory that was found
 * and opened first, by a name in it that is one component, so that nothing that
 * is put in the way meanwhile leads it out of a rule. See place.h.
 */
#include "place.h"

#include "../util.h"
#include "ask.h"
#include "memory_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* fchmodat2(2), Linux 6.6. */
#define NUMBER_FCHMODAT2 452

/* No set-user-ID and set-group-ID bits. */
#define MODE_BITS 01777u

static int result_of(int result)
{
	return result ? -errno : 0;
}

/*
 * Refusing, where there is nothing that may be changed.
 */

/* Directories that nobody may write to. */
static bool is_made_up(const struct place *place)
{
	return place->kind == PLACE_ANCESTOR || place->kind == PLACE_MADE;
}

static int refuse_new(const struct place_view *view, const struct path *path)
{
	struct path parent = *path;
	struct place place;
	int error;

	path_to_parent(&parent);
	error = place_find(view, &parent, true, &place);
	if (error)
		return error;
	place_close(&place);
	return process_deny(view->process, is_made_up(&place) ? -EACCES : -EROFS);
}

static int refuse(const struct place_view *view, struct path *path, enum place_change change)
{
	struct place place;
	int error;

	/* mkdir("new/") is a usual way to write it. */
	path->directory = false;
	error = place_find_once(view, path, false, &place);
	if (error == -ENOENT && change != PLACE_REMOVE)
		return refuse_new(view, path);
	if (error)
		return error;
	place_close(&place);
	if (change == PLACE_CREATE)
		return -EEXIST;
	return process_deny(view->process, is_made_up(&place) ? -EACCES : -EROFS);
}

/*
 * Entries.
 */

static int set_name(struct place_entry *entry, const struct path *path)
{
	const char *name = strrchr(path->text, '/') + 1;
	size_t length = strlen(name);

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(entry->name, name, length + 1);
	return 0;
}

/* Of what ends in "/" only a directory may be changed: the kernel sees to it, and follows nothing. */
static void require_directory(struct place_entry *entry, const struct path *path)
{
	if (path->directory && entry->kind == PLACE_HOST)
		strcat(entry->name, "/");
}

static int open_parent(const struct place_view *view, const struct policy_rule *rule,
                       struct path *path, struct place_entry *entry)
{
	bool by_hand = place_follows_by_hand(view, rule);
	struct path parent = *path;
	int error = set_name(entry, path);

	if (error)
		return error;
	path_to_parent(&parent);
	entry->kind = PLACE_HOST;
	entry->rule = rule;
	entry->directory = policy_rule_open(rule, parent.text, O_PATH | O_DIRECTORY, by_hand);
	if (entry->directory == -EXDEV)
		return place_follow(view, rule, path, false);
	return entry->directory < 0 ? entry->directory : 0;
}

/* A path that ends in "." or "..": what it names has no name there. */
static int refuse_dots(const struct place_view *view, struct path *path, enum place_change change)
{
	struct place place;
	int error = place_find_once(view, path, true, &place);

	if (error)
		return error;
	place_close(&place);
	return change == PLACE_CREATE ? -EEXIST : -EBUSY;
}

int place_entry_find_once(const struct place_view *view, struct path *path,
                          enum place_change change, struct place_entry *entry)
{
	const struct policy_rule *rule = place_rule(view, path);

	*entry = (struct place_entry){.directory = -1};
	if (path->dots)
		return refuse_dots(view, path, change);
	if (memory_holds(view, path->text))
		return memory_entry_find(view, path, change, entry);
	if (!rule || !(rule->access & KVMSB_PATH_WRITE))
		return refuse(view, path, change);
	if (policy_is_own_path(rule, path->text))
		return change == PLACE_CREATE ? -EEXIST : -EBUSY;
	/* The inner rule's files would be left behind with the outer one's rights. */
	if (change != PLACE_CREATE && policy_has_beneath(view->policy, path->text))
		return -EBUSY;
	return open_parent(view, rule, path, entry);
}

int place_entry_find(const struct place_view *view, struct path *path, enum place_change change,
                     struct place_entry *entry)
{
	int error;

	for (int links = 0; links <= PLACE_LINKS; links++) {
		error = ask_path(view->process, view->access, path);
		if (!error)
			error = place_entry_find_once(view, path, change, entry);
		if (error != PLACE_AGAIN)
			return error;
	}
	return -ELOOP;
}

void place_entry_close(struct place_entry *entry)
{
	if (entry->directory >= 0)
		close(entry->directory);
	entry->directory = -1;
}

/*
 * Making and removing.
 */

int place_check_create(const struct place_view *view, struct path *path)
{
	struct place_entry entry;
	struct stat status;
	int error = place_entry_find(view, path, PLACE_CREATE, &entry);

	if (error)
		return error;
	if (entry.kind == PLACE_MEMORY)
		error = memory_check_create(&entry);
	else if (fstatat(entry.directory, entry.name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		error = -EEXIST;
	/* man 2 mknod: only a directory's name could end in "/". */
	if (!error && path->directory)
		error = -ENOENT;
	place_entry_close(&entry);
	return error;
}

int place_make_directory(const struct place_view *view, struct path *path, uint32_t mode)
{
	struct place_entry entry;
	int error = place_entry_find(view, path, PLACE_CREATE, &entry);

	if (error)
		return error;
	if (entry.kind == PLACE_MEMORY)
		error = memory_make(&entry, S_IFDIR | (mode & 01777));
	else
		error = result_of(mkdirat(entry.directory, entry.name, mode & MODE_BITS));
	place_entry_close(&entry);
	return error;
}

static int make_file(const struct place_entry *entry, uint32_t mode)
{
	int descriptor;

	if (entry->kind == PLACE_MEMORY)
		return memory_make(entry, S_IFREG | mode);
	descriptor = policy_create_file(entry->directory, entry->name, O_WRONLY, mode & 0777);
	if (descriptor < 0)
		return descriptor;
	close(descriptor);
	return 0;
}

int place_make_file(const struct place_view *view, struct path *path, uint32_t mode)
{
	struct place_entry entry;
	int error = path->directory ? place_check_create(view, path) : 0;

	if (!error)
		error = place_entry_find(view, path, PLACE_CREATE, &entry);

	if (error)
		return error;
	error = make_file(&entry, mode);
	place_entry_close(&entry);
	return error;
}

int place_make_link(const struct place_view *view, struct path *path, const char *target)
{
	struct place_entry entry;
	int error = place_entry_find(view, path, PLACE_CREATE, &entry);

	if (error)
		return error;
	require_directory(&entry, path);
	if (entry.kind == PLACE_MEMORY)
		error = path->directory ? -ENOENT : memory_make_link(&entry, target);
	else
		error = result_of(symlinkat(target, entry.directory, entry.name));
	place_entry_close(&entry);
	return error;
}

/* man 2 rmdir, man 2 unlink: what ends in dots. */
static int refuse_to_remove_dots(const struct path *path, bool directory)
{
	if (!path->dots)
		return 0;
	if (!directory)
		return -EISDIR;
	return path->dots == 1 ? -EINVAL : -ENOTEMPTY;
}

int place_remove(const struct place_view *view, struct path *path, bool directory)
{
	struct place_entry entry;
	int error = refuse_to_remove_dots(path, directory);

	if (!error)
		error = place_entry_find(view, path, PLACE_REMOVE, &entry);
	if (error)
		return error;
	require_directory(&entry, path);
	if (entry.kind == PLACE_MEMORY)
		error = memory_remove(&entry, path, directory);
	else
		error = result_of(unlinkat(entry.directory, entry.name, directory ? AT_REMOVEDIR : 0));
	place_entry_close(&entry);
	return error;
}

/*
 * Two names.
 */

static int rename_entries(struct place_entry *from, const struct path *from_path,
                          struct place_entry *to, const struct path *to_path, uint32_t flags)
{
	if (from->kind != to->kind || from->rule != to->rule)
		return -EXDEV;
	if (from->kind == PLACE_MEMORY)
		return memory_rename(from, from_path, to, to_path, flags);
	require_directory(from, from_path);
	require_directory(to, to_path);
	return result_of((int)syscall(SYS_renameat2, from->directory, from->name, to->directory,
	                              to->name, flags));
}

int place_rename(const struct place_view *from_view, struct path *from,
                 const struct place_view *to_view, struct path *to, uint32_t flags)
{
	struct place_entry from_entry, to_entry;
	int error = place_entry_find(from_view, from, PLACE_REMOVE, &from_entry);

	if (error)
		return error;
	error = place_entry_find(to_view, to, PLACE_REPLACE, &to_entry);
	/* fs/namei.c do_renameat2(): "." and ".." are there, which counts more than that they stay. */
	if (error == -EBUSY && to->dots && (flags & RENAME_NOREPLACE))
		error = -EEXIST;
	else if (!error) {
		error = rename_entries(&from_entry, from, &to_entry, to, flags);
		place_entry_close(&to_entry);
	}
	place_entry_close(&from_entry);
	return error;
}

/* Whether there is something; with `follow` links at the end are replaced by what they lead to. */
static int find_last(const struct place_view *view, struct path *path, bool follow)
{
	struct stat status;
	struct place place;
	int error;

	for (int links = 0; links <= PLACE_LINKS; links++) {
		error = place_find(view, path, false, &place);
		if (error)
			return error;
		error = place_stat(&place, &status);
		place_close(&place);
		if (error || !follow || !S_ISLNK(status.st_mode) || place.kind == PLACE_MADE)
			return error;
		if (place.kind == PLACE_MEMORY)
			error = memory_find(view, path, true, &place);
		else
			error = place_follow(view, place_rule(view, path), path, true);
		if (error != PLACE_AGAIN && error != -EACCES)
			return error;
	}
	return -ELOOP;
}

static int link_entries(const struct place_entry *from, const struct place_entry *to)
{
	if (from->kind != to->kind || from->rule != to->rule)
		return -EXDEV;
	if (from->kind == PLACE_MEMORY)
		return memory_link(from, to);
	return result_of(linkat(from->directory, from->name, to->directory, to->name, 0));
}

/* A directory has one name: man 2 link, EPERM, after what there is to say of the new one. */
static int refuse_directory(const struct place_view *from_view, struct path *from,
                            const struct place_view *to_view, struct path *to)
{
	struct place place;
	int error;

	if (!from->directory)
		return 0;
	error = place_find(from_view, from, true, &place);
	if (error)
		return error;
	place_close(&place);
	error = place_check_create(to_view, to);
	return error ? error : -EPERM;
}

int place_link(const struct place_view *from_view, struct path *from,
               const struct place_view *to_view, struct path *to, bool follow)
{
	struct place_entry from_entry, to_entry;
	int error = refuse_directory(from_view, from, to_view, to);

	if (!error)
		error = find_last(from_view, from, follow);
	if (!error)
		error = place_entry_find(from_view, from, PLACE_REMOVE, &from_entry);
	if (error)
		return error == -EBUSY ? -EXDEV : error;
	error = place_entry_find(to_view, to, PLACE_CREATE, &to_entry);
	if (!error) {
		require_directory(&to_entry, to);
		error = to->directory && to_entry.kind == PLACE_MEMORY
		                ? -ENOENT
		                : link_entries(&from_entry, &to_entry);
		place_entry_close(&to_entry);
	}
	place_entry_close(&from_entry);
	return error;
}

/*
 * Changing what was found.
 */

int place_check_change(const struct place *place)
{
	switch (place->kind) {
	case PLACE_HOST:
	case PLACE_MEMORY:
		return place->access & KVMSB_PATH_WRITE ? 0 : -EROFS;
	case PLACE_ANCESTOR:
	case PLACE_MADE:
		return -EACCES;
	case PLACE_PIPE:
		return -EPERM;
	default:
		return -EROFS;
	}
}

/* The link to a descriptor of this process leads to what is open, whatever has its name now. */
static void name_descriptor(char name[32], int descriptor)
{
	snprintf(name, 32, "/proc/self/fd/%d", descriptor);
}

/* fchmod(2) does not take an O_PATH descriptor; what does is newer, or needs a procfs. */
static int set_host_mode(int descriptor, mode_t mode)
{
	char name[32];

	if (fchmod(descriptor, mode) == 0)
		return 0;
	if (errno != EBADF)
		return -errno;
	if (syscall(NUMBER_FCHMODAT2, descriptor, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOSYS)
		return -errno;
	name_descriptor(name, descriptor);
	if (chmod(name, mode) == 0)
		return 0;
	return errno == ENOENT ? -EOPNOTSUPP : -errno;
}

int place_set_mode(const struct place *place, uint32_t mode)
{
	struct stat status;
	int error = place_check_change(place);

	if (!error)
		error = place_stat(place, &status);
	if (error)
		return error;
	/* Also what is neither: the host's own device keeps its mode. */
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return S_ISLNK(status.st_mode) ? -EOPNOTSUPP : -EPERM;
	if (place->kind == PLACE_MEMORY)
		return memory_set_mode(place, mode);
	return set_host_mode(place->descriptor, mode & MODE_BITS);
}

/* All files are the guest's user's; the host's owner stays. */
int place_set_owner(const struct place *place, uint32_t user, uint32_t group)
{
	int error = place_check_change(place);

	if (error)
		return error;
	if ((user != UINT32_MAX && user != PROCESS_USER) ||
	    (group != UINT32_MAX && group != PROCESS_GROUP))
		return -EPERM;
	return 0;
}

static int set_host_times(int descriptor, const struct timespec times[2])
{
	char name[32];

	/* AT_EMPTY_PATH: Linux 5.8. */
	if (utimensat(descriptor, "", times, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOENT)
		return -errno;
	name_descriptor(name, descriptor);
	return utimensat(AT_FDCWD, name, times, 0) == 0 ? 0 : -errno;
}

int place_set_times(const struct place *place, const struct timespec times[2])
{
	int error = place_check_change(place);

	if (error)
		return error;
	return place->kind == PLACE_MEMORY ? memory_set_times(place, times)
	                                   : set_host_times(place->descriptor, times);
}
