/* SPDX-License-Identifier: MIT */
/*
 * What a path is for the guest: rules of the policy, devices, the directories
 * above them. See man 2 open and man 7 path_resolution for the errors.
 */
#include "place.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* man 7 path_resolution: links followed in one path. */
#define LINKS_MAXIMUM 40

#define PROGRAM_LINK "/proc/self/exe"

struct place_device {
	const char *path;
	enum file_kind kind;
	unsigned minor; /* of the memory devices, major 1: man 4 null, man 4 full, man 4 random */
};

static const struct place_device devices[] = {
	{"/dev/null", FILE_NULL, 3},     {"/dev/zero", FILE_ZERO, 5},
	{"/dev/full", FILE_FULL, 7},     {"/dev/urandom", FILE_RANDOM, 9},
	{"/dev/random", FILE_RANDOM, 8},
};

static const struct place_device *find_device(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (strcmp(devices[i].path, path) == 0)
			return &devices[i];
	return NULL;
}

static bool is_ancestor(const struct place_view *view, const char *path)
{
	if (path_is_within(view->directory, path) || path_is_within(PROGRAM_LINK, path) ||
	    policy_has_beneath(view->policy, path))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (path_is_within(devices[i].path, path))
			return true;
	return false;
}

/*
 * Looking up.
 */

static int find_program(const struct place_view *view, struct path *path, bool follow,
                        struct place *place)
{
	if (!view->program || !*view->program)
		return -ENOENT;
	if (follow) {
		int error = path_normalise(path, view->directory, view->program);

		return error ? error : -EXDEV;
	}
	if (path->directory)
		return -ENOTDIR;
	place->kind = PLACE_LINK;
	return 0;
}

static int find_host(const struct policy_rule *rule, struct path *path, bool follow,
                     struct place *place)
{
	int flags = O_PATH;
	int error;

	if (!follow && !path->directory)
		flags |= O_NOFOLLOW;
	if (path->directory)
		flags |= O_DIRECTORY;
	place->kind = PLACE_HOST;
	place->descriptor = policy_rule_open(rule, path->text, flags);
	if (place->descriptor != -EXDEV)
		return place->descriptor < 0 ? place->descriptor : 0;
	error = policy_follow(rule, path, follow || path->directory);
	return error ? error : -EXDEV;
}

static int find_made_up(const struct place_view *view, const struct path *path, struct place *place)
{
	place->device = find_device(path->text);
	if (place->device) {
		place->kind = PLACE_DEVICE;
		return path->directory ? -ENOTDIR : 0;
	}
	place->kind = PLACE_ANCESTOR;
	return is_ancestor(view, path->text) ? 0 : -ENOENT;
}

/* One step of place_find(): -EXDEV says that the path was replaced by a link's target. */
static int find_once(const struct place_view *view, struct path *path, bool follow,
                     struct place *place)
{
	const struct policy_rule *rule;
	int error = -ENOENT;

	if (strcmp(path->text, PROGRAM_LINK) == 0)
		return find_program(view, path, follow, place);
	rule = policy_match(view->policy, path->text);
	if (rule && !find_device(path->text))
		error = find_host(rule, path, follow, place);
	return error == -ENOENT ? find_made_up(view, path, place) : error;
}

int place_find(const struct place_view *view, struct path *path, bool follow, struct place *place)
{
	int error;

	for (int links = 0; links <= LINKS_MAXIMUM; links++) {
		*place = (struct place){.descriptor = -1};
		error = find_once(view, path, follow, place);
		if (error != -EXDEV)
			return error;
	}
	return -ELOOP;
}

void place_close(struct place *place)
{
	if (place->descriptor >= 0 && !place->borrowed)
		close(place->descriptor);
	place->descriptor = -1;
}

static int find_again(const struct place_view *view, const struct file *file, struct place *place)
{
	struct path path;
	int error = path_normalise(&path, "/", file->path);

	return error ? error : place_find(view, &path, false, place);
}

/* Of the two random devices, which are the same, the first. */
static const struct place_device *device_of_kind(enum file_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].kind == kind)
			return &devices[i];
	return NULL;
}

int place_of_file(const struct place_view *view, const struct file *file, struct place *place)
{
	*place = (struct place){.descriptor = -1};
	switch (file->kind) {
	case FILE_STREAM:
	case FILE_PIPE:
		place->kind = PLACE_PIPE;
		return 0;
	case FILE_REGULAR:
	case FILE_DIRECTORY:
	case FILE_PATH:
		if (file->descriptor < 0)
			return find_again(view, file, place);
		place->kind = PLACE_HOST;
		place->descriptor = file->descriptor;
		place->borrowed = true;
		return 0;
	default:
		place->kind = PLACE_DEVICE;
		place->device = device_of_kind(file->kind);
		return 0;
	}
}

/*
 * Looking at.
 */

static void make_stat(struct stat *status, mode_t mode, unsigned minor)
{
	*status = (struct stat){
		.st_dev = makedev(0, 1),
		.st_ino = 1 + minor,
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_blksize = PAGE_SIZE,
	};
	if (S_ISCHR(mode))
		status->st_rdev = makedev(1, minor);
}

int place_stat(const struct place *place, struct stat *status)
{
	switch (place->kind) {
	case PLACE_HOST:
		return fstat(place->descriptor, status) ? -errno : 0;
	case PLACE_DEVICE:
		make_stat(status, S_IFCHR | 0666, place->device->minor);
		return 0;
	case PLACE_LINK:
		make_stat(status, S_IFLNK | 0777, 1);
		return 0;
	case PLACE_PIPE:
		make_stat(status, S_IFIFO | 0600, 2);
		return 0;
	case PLACE_ANCESTOR:
		make_stat(status, S_IFDIR | 0555, 0);
		return 0;
	}
	return -EINVAL;
}

int place_statfs(const struct place *place, struct statfs *status)
{
	if (place->kind != PLACE_HOST) {
		*status = (struct statfs){
			.f_type = place->kind == PLACE_PIPE ? PIPEFS_MAGIC : TMPFS_MAGIC,
			.f_bsize = (long)PAGE_SIZE,
			.f_frsize = (long)PAGE_SIZE,
			.f_namelen = 255,
		};
	} else if (fstatfs(place->descriptor, status)) {
		return -errno;
	}
	status->f_flags |= ST_RDONLY;
	return 0;
}

/*
 * Opening.
 */

static bool wants_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int create_file(enum file_kind kind, const struct path *path, struct file **file)
{
	*file = file_create(kind, -1, path->text);
	return *file ? 0 : -ENOMEM;
}

/* One that holds a descriptor of the host: takes it over, on failure too. */
static int create_host_file(const struct place_view *view, enum file_kind kind, int descriptor,
                            const struct path *path, struct file **file)
{
	int error = policy_take_descriptor(view->policy) ? create_file(kind, path, file) : -ENFILE;

	if (error) {
		if (error == -ENOMEM)
			policy_give_descriptor(view->policy);
		close(descriptor);
		return error;
	}
	(*file)->descriptor = descriptor;
	(*file)->policy = view->policy;
	return 0;
}

static int open_ancestor(const struct path *path, uint32_t flags, struct file **file)
{
	if (flags & O_PATH)
		return create_file(FILE_PATH, path, file);
	return wants_write(flags) || (flags & O_CREAT) ? -EISDIR : -EACCES;
}

static int open_device(const struct place *place, const struct path *path, uint32_t flags,
                       struct file **file)
{
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	return create_file(flags & O_PATH ? FILE_PATH : place->device->kind, path, file);
}

/* Why what was found can not be opened, or 0. */
static int check_host(mode_t mode, uint32_t flags)
{
	if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode) && (wants_write(flags) || (flags & O_CREAT)))
		return -EISDIR;
	if (!S_ISDIR(mode) && !S_ISREG(mode))
		return -EACCES;
	return wants_write(flags) ? -EROFS : 0;
}

/* Opens for reading what place_find() just found; it may have been replaced since. */
static int open_for_reading(const struct place_view *view, const struct path *path, struct file **file)
{
	const struct policy_rule *rule = policy_match(view->policy, path->text);
	struct stat status;
	int descriptor;

	descriptor = policy_rule_open(rule, path->text, O_RDONLY);
	if (descriptor < 0)
		return descriptor == -EXDEV ? -EACCES : descriptor;
	if (fstat(descriptor, &status) || check_host(status.st_mode, O_RDONLY)) {
		close(descriptor);
		return -EACCES;
	}
	return create_host_file(view, S_ISDIR(status.st_mode) ? FILE_DIRECTORY : FILE_REGULAR,
	                        descriptor, path, file);
}

static int open_host(const struct place_view *view, struct place *place, const struct path *path,
                     uint32_t flags, struct file **file)
{
	struct stat status;
	int error = place_stat(place, &status);

	if (!error)
		error = check_host(status.st_mode, flags);
	if (error)
		return error;
	if (!(flags & O_PATH))
		return open_for_reading(view, path, file);
	error = create_host_file(view, FILE_PATH, place->descriptor, path, file);
	place->descriptor = -1;
	return error;
}

static int open_found(const struct place_view *view, struct place *place, const struct path *path,
                      uint32_t flags, struct file **file)
{
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	switch (place->kind) {
	case PLACE_HOST:
		return open_host(view, place, path, flags, file);
	case PLACE_DEVICE:
		return open_device(place, path, flags, file);
	case PLACE_LINK:
		return flags & O_PATH ? create_file(FILE_PATH, path, file) : -ELOOP;
	default:
		return open_ancestor(path, flags, file);
	}
}

int place_open(const struct place_view *view, struct path *path, uint32_t flags, struct file **file)
{
	bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct place place;
	int error;

	error = place_find(view, path, follow, &place);
	if (error == -ENOENT && (flags & O_CREAT) && !(flags & O_PATH))
		return place_refuse(view, path, PLACE_CREATE);
	if (error)
		return error;
	error = open_found(view, &place, path, flags, file);
	place_close(&place);
	return error;
}

/*
 * Refusing changes.
 */

static int refuse_create(const struct place_view *view, struct path *path)
{
	struct place place;
	int error;

	path_to_parent(path);
	error = place_find(view, path, true, &place);
	if (error)
		return error;
	place_close(&place);
	return place.kind == PLACE_ANCESTOR ? -EACCES : -EROFS;
}

int place_refuse(const struct place_view *view, struct path *path, enum place_change change)
{
	struct place place;
	int error;

	/* mkdir("new/") is a usual way to write it. */
	path->directory = false;
	error = place_find(view, path, false, &place);
	if (error)
		return error == -ENOENT && change == PLACE_CREATE ? refuse_create(view, path) : error;
	place_close(&place);
	if (change == PLACE_CREATE)
		return -EEXIST;
	return place.kind == PLACE_ANCESTOR ? -EACCES : -EROFS;
}
