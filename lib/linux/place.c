/* SPDX-License-Identifier: MIT */
/*
 * What a path is for the guest: rules of the policy, devices, the directories
 * above them. See man 2 open and man 7 path_resolution for the errors.
 */
#include "place.h"

#include "../util.h"
#include "ask.h"
#include "memory_place.h"
#include "tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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
	    policy_has_beneath(view->policy, path) ||
	    (memory_is_mounted(view->process) && path_is_within(MEMORY_PATH, path)))
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
		int error;

		if (view->resolve)
			return -ELOOP;
		error = path_normalise(path, view->directory, view->program);
		return error ? error : PLACE_AGAIN;
	}
	if (path->directory)
		return -ENOTDIR;
	place->kind = PLACE_LINK;
	return 0;
}

bool place_follows_by_hand(const struct place_view *view, const struct policy_rule *rule)
{
	return view->resolve || rule->nested || ask_is_needed(view->process);
}

const struct policy_rule *place_rule(const struct place_view *view, const struct path *path)
{
	if (strcmp(path->text, PROGRAM_LINK) == 0 || find_device(path->text))
		return NULL;
	return policy_match(view->policy, path->text);
}

/* Within view->root, which RESOLVE_IN_ROOT takes for "/" and RESOLVE_BENEATH never leaves. */
static int normalise_in_root(const struct place_view *view, struct path *path, const char *base,
                             const char *text)
{
	struct path inner;
	int error;

	if ((view->resolve & RESOLVE_BENEATH) && *text == '/')
		return -EXDEV;
	error = path_normalise(&inner, base, text);
	if (error)
		return error;
	if ((view->resolve & RESOLVE_BENEATH) && inner.above)
		return -EXDEV;
	error = path_normalise(path, view->root, inner.length > 1 ? inner.text + 1 : ".");
	path->directory = inner.directory;
	path->dots = inner.dots;
	return error;
}

int place_resolve(const struct place_view *view, struct path *path, const char *base, const char *text)
{
	if (!(view->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)))
		return path_normalise(path, base, text);
	/* The host may have put another path in its place. */
	if (!path_is_within(base, view->root))
		return -EXDEV;
	return normalise_in_root(view, path, base + (view->root[1] ? strlen(view->root) : 0), text);
}

/* path = directory of the link + target + what came behind the link (from `end` on). */
int place_splice(const struct place_view *view, struct path *path, size_t end, char target[PATH_SIZE])
{
	size_t length = strlen(target);
	unsigned dots = path->dots;
	struct path parent;
	int error;

	if (length + strlen(path->text + end) + 1 >= PATH_SIZE)
		return -ENAMETOOLONG;
	strcpy(target + length, path->text + end);
	if (path->directory)
		strcat(target + length, "/");
	memcpy(parent.text, path->text, end);
	parent.text[end] = '\0';
	parent.length = end;
	path_to_parent(&parent);
	error = place_resolve(view, path, parent.text, target);
	if (!error && dots)
		path->dots = dots;
	return error ? error : PLACE_AGAIN;
}

int place_follow(const struct place_view *view, const struct policy_rule *rule, struct path *path,
                 bool follow_last)
{
	char target[PATH_SIZE];
	size_t end;
	int error;

	if (view->resolve & RESOLVE_NO_SYMLINKS)
		return -ELOOP;
	error = policy_find_link(rule, path, follow_last, target, &end);
	/* Something was put in the way meanwhile. */
	if (error == -EXDEV)
		return PLACE_AGAIN;
	return error ? error : place_splice(view, path, end, target);
}

static int find_host(const struct place_view *view, const struct policy_rule *rule,
                     struct path *path, bool follow, struct place *place)
{
	int flags = O_PATH;

	if (!follow && !path->directory)
		flags |= O_NOFOLLOW;
	if (path->directory)
		flags |= O_DIRECTORY;
	place->kind = PLACE_HOST;
	place->access = rule->access;
	place->descriptor = policy_rule_open(rule, path->text, flags,
	                                     place_follows_by_hand(view, rule));
	if (place->descriptor != -EXDEV)
		return place->descriptor < 0 ? place->descriptor : 0;
	return place_follow(view, rule, path, follow || path->directory);
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

/* RESOLVE_NO_XDEV: a rule is a mount. */
static bool crosses_rules(const struct place_view *view, const struct path *path)
{
	return (view->resolve & RESOLVE_NO_XDEV) &&
	       (policy_match(view->policy, path->text) != policy_match(view->policy, view->root) ||
	        memory_holds(view, path->text) != memory_holds(view, view->root));
}

int place_find_once(const struct place_view *view, struct path *path, bool follow, struct place *place)
{
	const struct policy_rule *rule = place_rule(view, path);
	int error = -ENOENT;

	*place = (struct place){.descriptor = -1};
	if (crosses_rules(view, path))
		return -EXDEV;
	if (strcmp(path->text, PROGRAM_LINK) == 0)
		return find_program(view, path, follow, place);
	if (memory_holds(view, path->text)) {
		error = memory_find(view, path, follow, place);
		/* Only what is above a rule's path is made up there: the current directory may be gone. */
		if (error == -ENOENT && !policy_has_beneath(view->policy, path->text))
			return error;
	} else if (rule) {
		error = find_host(view, rule, path, follow, place);
	}
	if (error == -ENOENT)
		error = find_made_up(view, path, place);
	return error == -ENOENT && !rule ? process_deny(view->process, error) : error;
}

int place_find(const struct place_view *view, struct path *path, bool follow, struct place *place)
{
	int error;

	for (int links = 0; links <= PLACE_LINKS; links++) {
		error = ask_path(view->process, view->access, path);
		if (!error)
			error = place_find_once(view, path, follow, place);
		if (error != PLACE_AGAIN)
			return error;
	}
	return -ELOOP;
}

void place_set_memory(struct place *place, struct process *process, uint64_t inode)
{
	place->kind = PLACE_MEMORY;
	place->access = KVMSB_PATH_READ | KVMSB_PATH_WRITE;
	place->process = process;
	place->inode = inode;
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
	if (file->inode) {
		place_set_memory(place, view->process, file->inode);
		return 0;
	}
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
		place->access = file->access;
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
	case PLACE_MEMORY:
		return tmpfs_stat(place->process->tmpfs, place->inode, status);
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
	if (place->kind == PLACE_MEMORY) {
		tmpfs_statfs(place->process->tmpfs, status);
	} else if (place->kind != PLACE_HOST) {
		*status = (struct statfs){
			.f_type = place->kind == PLACE_PIPE ? PIPEFS_MAGIC : TMPFS_MAGIC,
			.f_bsize = (long)PAGE_SIZE,
			.f_frsize = (long)PAGE_SIZE,
			.f_namelen = 255,
		};
	} else if (fstatfs(place->descriptor, status)) {
		return -errno;
	}
	if (!(place->access & KVMSB_PATH_WRITE))
		status->f_flags |= ST_RDONLY;
	return 0;
}

/*
 * Opening.
 */

static bool wants_read(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

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
                            uint32_t access, const struct path *path, struct file **file)
{
	int error = policy_take_descriptor(view->policy) ? create_file(kind, path, file) : -ENFILE;

	if (error) {
		if (error == -ENOMEM)
			policy_give_descriptor(view->policy);
		close(descriptor);
		return error;
	}
	(*file)->descriptor = descriptor;
	(*file)->access = access;
	(*file)->policy = view->policy;
	return 0;
}

static int open_ancestor(const struct place_view *view, const struct path *path, uint32_t flags,
                         struct file **file)
{
	if (flags & O_PATH)
		return create_file(FILE_PATH, path, file);
	return process_deny(view->process,
	                    wants_write(flags) || (flags & O_CREAT) ? -EISDIR : -EACCES);
}

static int open_device(const struct place *place, const struct path *path, uint32_t flags,
                       struct file **file)
{
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	return create_file(flags & O_PATH ? FILE_PATH : place->device->kind, path, file);
}

static int check_access(uint32_t access, uint32_t flags)
{
	if (wants_write(flags) && !(access & KVMSB_PATH_WRITE))
		return -EROFS;
	return wants_read(flags) && !(access & KVMSB_PATH_READ) ? -EACCES : 0;
}

/* Why what was found can not be opened, or 0. */
static int check_host(mode_t mode, uint32_t flags, uint32_t access)
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
	return check_access(access, flags);
}

/* What the host opens: O_TRUNC comes later, on what was opened, and needs to write. */
static int host_flags(uint32_t flags)
{
	return (flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY ? O_RDWR
	                                                            : (int)(flags & O_ACCMODE);
}

/* What place_find() found may have been replaced before it was opened. */
static int check_opened(int descriptor, uint32_t flags, uint32_t access, enum file_kind *kind)
{
	struct stat status;

	if (fstat(descriptor, &status) || check_host(status.st_mode, flags, access))
		return -EACCES;
	*kind = S_ISDIR(status.st_mode) ? FILE_DIRECTORY : FILE_REGULAR;
	return (flags & O_TRUNC) && ftruncate(descriptor, 0) ? -errno : 0;
}

static int open_again(const struct place_view *view, const struct path *path, uint32_t flags,
                      struct file **file)
{
	const struct policy_rule *rule = place_rule(view, path);
	enum file_kind kind;
	int descriptor, error;

	descriptor = policy_rule_open(rule, path->text, host_flags(flags),
	                              place_follows_by_hand(view, rule));
	if (descriptor < 0)
		return descriptor == -EXDEV ? PLACE_AGAIN : descriptor;
	error = check_opened(descriptor, flags, rule->access, &kind);
	if (error) {
		close(descriptor);
		return error;
	}
	return create_host_file(view, kind, descriptor, rule->access, path, file);
}

static int open_host(const struct place_view *view, struct place *place, const struct path *path,
                     uint32_t flags, struct file **file)
{
	struct stat status;
	int error = place_stat(place, &status);

	if (!error)
		error = check_host(status.st_mode, flags, place->access);
	if (error)
		return error;
	if (!(flags & O_PATH))
		return open_again(view, path, flags, file);
	error = create_host_file(view, FILE_PATH, place->descriptor, place->access, path, file);
	place->descriptor = -1;
	return error;
}

static int open_found(const struct place_view *view, struct place *place, const struct path *path,
                      uint32_t flags, uint32_t mode, struct file **file)
{
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	switch (place->kind) {
	case PLACE_HOST:
		return open_host(view, place, path, flags, file);
	case PLACE_MEMORY:
		return memory_open(place, path, flags, mode, file);
	case PLACE_DEVICE:
		return open_device(place, path, flags, file);
	case PLACE_LINK:
		return flags & O_PATH ? create_file(FILE_PATH, path, file) : -ELOOP;
	default:
		return open_ancestor(view, path, flags, file);
	}
}

/*
 * A link at the name that leads to nothing is followed, as Linux does; else
 * somebody was faster, and it can be opened.
 */
static int after_exists(const struct place_view *view, const struct place_entry *entry,
                        struct path *path, uint32_t flags)
{
	int error;

	if (flags & (O_EXCL | O_NOFOLLOW))
		return -EEXIST;
	error = place_follow(view, entry->rule, path, true);
	return error == -EACCES ? PLACE_AGAIN : error;
}

static int create_in_host(const struct place_view *view, const struct place_entry *entry,
                          struct path *path, uint32_t flags, uint32_t mode, struct file **file)
{
	int descriptor, error = check_access(entry->rule->access, flags);

	if (error)
		return error;
	descriptor = policy_create_file(entry->directory, entry->name, (int)(flags & O_ACCMODE),
	                                mode & 0777);
	if (descriptor == -EEXIST)
		return after_exists(view, entry, path, flags);
	if (descriptor < 0)
		return descriptor;
	return create_host_file(view, FILE_REGULAR, descriptor, entry->rule->access, path, file);
}

static int create_missing(const struct place_view *view, struct path *path, uint32_t flags,
                          uint32_t mode, struct file **file)
{
	struct place_entry entry;
	int error;

	if (path->directory || (flags & O_DIRECTORY))
		return -EISDIR;
	error = place_entry_find_once(view, path, PLACE_CREATE, &entry);
	if (error)
		return error;
	if (entry.kind == PLACE_MEMORY)
		error = memory_create(&entry, path, mode, file);
	else
		error = create_in_host(view, &entry, path, flags, mode, file);
	place_entry_close(&entry);
	return error;
}

static int open_once(const struct place_view *view, struct path *path, uint32_t flags,
                     uint32_t mode, struct file **file)
{
	const uint32_t exclusive = O_CREAT | O_EXCL;
	struct place place;
	int error = place_find(view, path,
	                       !(flags & O_NOFOLLOW) && (flags & exclusive) != exclusive, &place);

	if (error == -ENOENT && (flags & O_CREAT) && !(flags & O_PATH))
		return create_missing(view, path, flags, mode, file);
	if (error)
		return error;
	error = open_found(view, &place, path, flags, mode, file);
	place_close(&place);
	return error;
}

/* fs/namei.c open_last_lookups(): a file to make has no name that ends in "/", whatever is there. */
static int check_name(const struct place_view *view, const struct path *path, uint32_t flags)
{
	struct path name = *path;
	struct place place;

	if (!(flags & O_CREAT) || (flags & O_PATH) || !path->directory || path->dots)
		return 0;
	name.directory = false;
	if (place_find(view, &name, false, &place))
		return 0;
	place_close(&place);
	return -EISDIR;
}

int place_open(const struct place_view *view, struct path *path, uint32_t flags, uint32_t mode,
               struct file **file)
{
	int error = check_name(view, path, flags);

	if (error)
		return error;
	for (int links = 0; links <= PLACE_LINKS; links++) {
		error = open_once(view, path, flags, mode, file);
		if (error != PLACE_AGAIN)
			return error;
	}
	return -ELOOP;
}
