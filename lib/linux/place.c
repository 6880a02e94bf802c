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

struct place_device {
	const char *path;
	enum file_kind kind;
	unsigned major, minor; /* man 4 null, man 4 full, man 4 random, man 4 tty */
};

/* There is no terminal: opening it is -ENXIO. */
#define NO_FILE FILE_KINDS

static const struct place_device devices[] = {
	{"/dev/null", FILE_NULL, 1, 3},     {"/dev/zero", FILE_ZERO, 1, 5},
	{"/dev/full", FILE_FULL, 1, 7},     {"/dev/urandom", FILE_RANDOM, 1, 9},
	{"/dev/random", FILE_RANDOM, 1, 8}, {"/dev/tty", NO_FILE, 5, 0},
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
	return path_is_within(view->directory, path) || policy_has_beneath(view->policy, path) ||
	       (memory_is_mounted(view->process) && path_is_within(MEMORY_PATH, path)) ||
	       path_is_within("/proc", path) || path_is_within("/sys", path) ||
	       path_is_within("/dev", path);
}

/*
 * Looking up.
 */

/* The path of an open file; a directory in memory may have been moved. */
static int path_of_file(const struct place_view *view, const struct file *file, struct path *path)
{
	char text[PATH_SIZE];
	int error = 0;

	if (file->kind == FILE_MEMORY_DIRECTORY)
		error = memory_directory_path(view->process, file, text);
	if (error)
		return error;
	return path_normalise(path, "/", file->kind == FILE_MEMORY_DIRECTORY ? text : file->path);
}

/* As `path` was written: whether it must be a directory. */
static int require_directory(const struct place *place, const struct path *path)
{
	struct stat status;
	int error = path->directory ? place_stat(place, &status) : 0;

	return !error && path->directory && !S_ISDIR(status.st_mode) ? -ENOTDIR : error;
}

/* What a descriptor of the process refers to; the path becomes the file's, where it has one. */
static int find_own(const struct place_view *view, struct path *path, int number, struct place *place)
{
	const struct file *file = files_get(view->process, number);
	bool directory = path->directory;
	int error = place_of_file(view, file, place);

	if (!error)
		error = require_directory(place, path);
	if (!error && file->path[0])
		error = path_of_file(view, file, path);
	if (error)
		place_close(place);
	path->directory = directory;
	place->is_own = true;
	place->own = number;
	return error;
}

/* path = the open directory's + what came behind the link to it. */
static int find_beneath_own(const struct place_view *view, struct path *path,
                            const struct made_node *node)
{
	const struct file *file = files_get(view->process, node->descriptor);
	struct path target, base;
	int error = file->path[0] ? path_of_file(view, file, &base) : -ENOTDIR;

	if (!error)
		error = path_normalise(&target, base.text, node->rest);
	if (error)
		return error;
	target.directory = path->directory;
	target.dots = path->dots;
	*path = target;
	return PLACE_AGAIN;
}

static int find_made(const struct place_view *view, struct path *path, bool follow,
                     struct place *place)
{
	bool followed = follow || path->directory;
	int error = made_find(view->process, path, follow, &place->made);

	place->kind = PLACE_MADE;
	/* Where these links lead is none of what openat2(2) promises about. */
	if (view->resolve && (error == -EXDEV || (!error && place->made.descriptor >= 0 &&
	                                          (followed || place->made.rest))))
		return -ELOOP;
	if (error == -EXDEV)
		return PLACE_AGAIN;
	if (error || place->made.descriptor < 0)
		return error;
	if (place->made.rest)
		return find_beneath_own(view, path, &place->made);
	return followed ? find_own(view, path, place->made.descriptor, place) : 0;
}

/* Whether the path is one of what we make, and no rule of the host's is for it. */
static bool is_made(const struct policy_rule *rule, const char *path)
{
	return made_owns(path) && !(rule && made_owns(rule->path));
}

bool place_follows_by_hand(const struct place_view *view, const struct policy_rule *rule)
{
	return view->resolve || rule->nested || ask_is_needed(view->process);
}

const struct policy_rule *place_rule(const struct place_view *view, const struct path *path)
{
	const struct policy_rule *rule = policy_match(view->policy, path->text);

	return is_made(rule, path->text) || find_device(path->text) ? NULL : rule;
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
	const struct policy_rule *rule = policy_match(view->policy, path->text);
	const struct policy_rule *root = policy_match(view->policy, view->root);

	return rule != root || memory_holds(view, path->text) != memory_holds(view, view->root) ||
	       is_made(rule, path->text) != is_made(root, view->root);
}

int place_find_once(const struct place_view *view, struct path *path, bool follow, struct place *place)
{
	const struct policy_rule *rule = place_rule(view, path);
	int error = -ENOENT;

	*place = (struct place){.descriptor = -1};
	if ((view->resolve & RESOLVE_NO_XDEV) && crosses_rules(view, path))
		return -EXDEV;
	if (memory_holds(view, path->text)) {
		error = memory_find(view, path, follow, place);
		/* Only what is above a rule's path is made up there: the current directory may be gone. */
		if (error == -ENOENT && !policy_has_beneath(view->policy, path->text))
			return error;
	} else if (rule) {
		error = find_host(view, rule, path, follow, place);
	} else if (made_owns(path->text)) {
		error = find_made(view, path, follow, place);
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
	case FILE_EVENT:
	case FILE_EPOLL:
		place->kind = PLACE_PIPE;
		place->mode = file->kind == FILE_EVENT || file->kind == FILE_EPOLL ? 0600
		                                                                   : S_IFIFO | 0600;
		place->number = file->number;
		return 0;
	case FILE_REGULAR:
	case FILE_DIRECTORY:
	case FILE_MADE:
	case FILE_MADE_DIRECTORY:
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

static void make_stat(struct stat *status, mode_t mode, uint64_t inode)
{
	*status = (struct stat){
		.st_dev = makedev(0, 1),
		.st_ino = inode,
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_blksize = PAGE_SIZE,
	};
}

/* The process's own files are its user's, as in man 5 proc. */
static void stat_made(const struct made_node *node, struct stat *status)
{
	make_stat(status, node->mode, node->inode);
	status->st_dev = makedev(0, 2);
	if (!(node->mode & S_IROTH)) {
		status->st_uid = PROCESS_USER;
		status->st_gid = PROCESS_GROUP;
	}
}

int place_stat(const struct place *place, struct stat *status)
{
	switch (place->kind) {
	case PLACE_HOST:
		return fstat(place->descriptor, status) ? -errno : 0;
	case PLACE_MEMORY:
		return tmpfs_stat(place->process->tmpfs, place->inode, status);
	case PLACE_DEVICE:
		make_stat(status, S_IFCHR | 0666, 1 + place->device->minor);
		status->st_rdev = makedev(place->device->major, place->device->minor);
		return 0;
	case PLACE_MADE:
		stat_made(&place->made, status);
		return 0;
	case PLACE_PIPE:
		make_stat(status, place->mode, place->number);
		status->st_dev = makedev(0, 3);
		return 0;
	case PLACE_ANCESTOR:
		make_stat(status, S_IFDIR | 0555, 1);
		return 0;
	}
	return -EINVAL;
}

static long file_system_of(const struct place *place)
{
	if (place->kind == PLACE_MADE)
		return place->made.file_system;
	if (place->kind != PLACE_PIPE)
		return TMPFS_MAGIC;
	return S_ISFIFO(place->mode) ? PIPEFS_MAGIC : ANON_INODE_FS_MAGIC;
}

int place_statfs(const struct place *place, struct statfs *status)
{
	if (place->kind == PLACE_MEMORY) {
		tmpfs_statfs(place->process->tmpfs, status);
	} else if (place->kind != PLACE_HOST) {
		*status = (struct statfs){
			.f_type = file_system_of(place),
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
	if (place->device->kind == NO_FILE && !(flags & O_PATH))
		return -ENXIO;
	return create_file(flags & O_PATH ? FILE_PATH : place->device->kind, path, file);
}

static int create_made(const struct place_view *view, const struct place *place,
                       const struct path *path, struct file **file)
{
	struct text text;
	int error = made_write(view->process, &place->made, &text);

	if (!error && files_made_bytes(view->process) + text.length > FILES_MADE_MAXIMUM)
		error = -ENFILE;
	if (!error)
		error = create_file(FILE_MADE, path, file);
	if (error) {
		text_end(&text);
		return error;
	}
	(*file)->content = text.data;
	(*file)->content_length = text.length;
	return 0;
}

static int open_made(const struct place_view *view, const struct place *place,
                     const struct path *path, uint32_t flags, struct file **file)
{
	mode_t mode = place->made.mode;

	if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return create_file(FILE_PATH, path, file);
	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode))
		return wants_write(flags) || (flags & O_CREAT)
		               ? -EISDIR
		               : create_file(FILE_MADE_DIRECTORY, path, file);
	return wants_write(flags) ? -EACCES : create_made(view, place, path, file);
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
	case PLACE_MADE:
		return open_made(view, place, path, flags, file);
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
                     uint32_t mode, struct file **file, int *own)
{
	const uint32_t exclusive = O_CREAT | O_EXCL;
	struct place place;
	int error = place_find(view, path,
	                       !(flags & O_NOFOLLOW) && (flags & exclusive) != exclusive, &place);

	if (error == -ENOENT && (flags & O_CREAT) && !(flags & O_PATH))
		return create_missing(view, path, flags, mode, file);
	if (error)
		return error;
	*own = place.own;
	error = place.is_own ? PLACE_OWN : open_found(view, &place, path, flags, mode, file);
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
               struct file **file, int *own)
{
	int error = check_name(view, path, flags);

	if (error)
		return error;
	for (int links = 0; links <= PLACE_LINKS; links++) {
		error = open_once(view, path, flags, mode, file, own);
		if (error != PLACE_AGAIN)
			return error;
	}
	return -ELOOP;
}
