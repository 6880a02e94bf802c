/* SPDX-License-Identifier: MIT */
/*
 * Directories of the file system in memory: names looked up, made, moved,
 * removed and listed.
 *
 * A directory has its names at positions that only grow, so that one that is
 * read while it changes gives each name that stays once; and the positions in
 * buckets by the names' hashes. When there are more names than buckets, one
 * bucket is split in two (linear hashing), so that no call ever has to touch
 * them all. A guest can choose names with one hash: its own calls then take as
 * long as that bucket is, which its limit of inodes bounds.
 */
#include "tmpfs_internal.h"

#include "../util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAXIMUM UINT32_C(0x7fffffff)

/* "." and ".." are before all names. */
#define POSITION_FIRST 2u

struct bucket_slot {
	uint64_t position;
	uint32_t hash;
};

struct bucket {
	struct shared shared;
	uint32_t count;
	struct bucket_slot slot[];
};

/* FNV-1a, its bits mixed since the lowest ones choose the bucket. */
static uint32_t hash_of(const char *text, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32);
}

/* Of `count` buckets, the one of a hash: by as many low bits as that many buckets need. */
static uint64_t bucket_of(uint32_t hash, uint64_t count)
{
	uint64_t mask = 1;

	while (mask < count)
		mask *= 2;
	return (hash & (mask - 1)) < count ? hash & (mask - 1) : hash & (mask / 2 - 1);
}

static const struct bucket *get_bucket(const struct inode *directory, uint64_t index)
{
	return (const struct bucket *)(const void *)sparse_get(&directory->buckets, index);
}

static const struct text *get_name(const struct inode *directory, uint64_t position)
{
	return as_text(sparse_get(&directory->content, position));
}

/* The entry of a name; NULL: there is none. */
static const struct text *find(const struct inode *directory, const char *name, size_t length,
                               uint64_t *position)
{
	uint32_t hash = hash_of(name, length);
	const struct bucket *bucket = NULL;
	const struct text *entry;

	if (directory->bucket_count)
		bucket = get_bucket(directory, bucket_of(hash, directory->bucket_count));
	for (uint32_t i = 0; bucket && i < bucket->count; i++) {
		if (bucket->slot[i].hash != hash)
			continue;
		*position = bucket->slot[i].position;
		entry = get_name(directory, *position);
		if (entry->length == length && memcmp(entry->text, name, length) == 0)
			return entry;
	}
	return NULL;
}

/*
 * Buckets. They are replaced, never changed.
 */

static uint64_t bucket_cost(const struct bucket *bucket)
{
	return bucket ? sizeof(*bucket) + bucket->count * sizeof(bucket->slot[0]) + ALLOCATION_COST
	              : 0;
}

static struct bucket *create_bucket(uint32_t room)
{
	struct bucket *bucket = malloc(sizeof(*bucket) + room * sizeof(bucket->slot[0]));

	if (!bucket)
		return NULL;
	shared_init(&bucket->shared);
	bucket->count = 0;
	return bucket;
}

/* Takes the bucket over, on failure too. An empty one is none. */
static int put_bucket(struct inode *directory, uint64_t index, struct bucket *bucket)
{
	uint64_t before = bucket_cost(get_bucket(directory, index));
	uint64_t after = bucket->count ? bucket_cost(bucket) : 0;
	int error;

	if (bucket->count == 0) {
		free(bucket);
		error = sparse_remove(&directory->buckets, index);
	} else {
		error = sparse_set(&directory->buckets, index, &bucket->shared);
		if (error)
			free(bucket);
	}
	if (!error)
		directory->item_bytes = directory->item_bytes + after - before;
	return error;
}

static int add_to_bucket(struct inode *directory, uint32_t hash, uint64_t position)
{
	uint64_t index = bucket_of(hash, directory->bucket_count);
	const struct bucket *old = get_bucket(directory, index);
	struct bucket *bucket = create_bucket(old ? old->count + 1 : 1);

	if (!bucket)
		return -ENOMEM;
	if (old) {
		memcpy(bucket->slot, old->slot, old->count * sizeof(old->slot[0]));
		bucket->count = old->count;
	}
	bucket->slot[bucket->count++] = (struct bucket_slot){position, hash};
	return put_bucket(directory, index, bucket);
}

static int remove_from_bucket(struct inode *directory, uint32_t hash, uint64_t position)
{
	uint64_t index = bucket_of(hash, directory->bucket_count);
	const struct bucket *old = get_bucket(directory, index);
	struct bucket *bucket = create_bucket(old->count);

	if (!bucket)
		return -ENOMEM;
	for (uint32_t i = 0; i < old->count; i++)
		if (old->slot[i].position != position)
			bucket->slot[bucket->count++] = old->slot[i];
	return put_bucket(directory, index, bucket);
}

/* Moves to the new last bucket what belongs there now. */
static int split_bucket(struct inode *directory)
{
	uint64_t last = directory->bucket_count++;
	uint64_t from = last ? last - (UINT64_C(1) << (63 - __builtin_clzll(last))) : 0;
	const struct bucket *old = last ? get_bucket(directory, from) : NULL;
	struct bucket *stay, *move;
	int error;

	if (!old)
		return 0;
	stay = create_bucket(old->count);
	move = create_bucket(old->count);
	if (!stay || !move) {
		free(stay);
		free(move);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < old->count; i++) {
		struct bucket *to = bucket_of(old->slot[i].hash, directory->bucket_count) == last
		                            ? move
		                            : stay;

		to->slot[to->count++] = old->slot[i];
	}
	error = put_bucket(directory, from, stay);
	if (error)
		free(move);
	return error ? error : put_bucket(directory, last, move);
}

/*
 * Names. Whoever calls these is within tmpfs_begin() and tmpfs_commit().
 */

static int insert(struct inode *directory, struct text *entry, uint64_t *position)
{
	int error = directory->names >= directory->bucket_count ? split_bucket(directory) : 0;

	*position = directory->next_position;
	if (!error)
		error = add_to_bucket(directory, hash_of(entry->text, entry->length), *position);
	if (!error)
		error = sparse_set(&directory->content, *position, &entry->shared);
	if (error) {
		free(entry);
		return error;
	}
	directory->item_bytes += tmpfs_text_cost(entry);
	directory->next_position++;
	directory->names++;
	return 0;
}

static int delete (struct inode *directory, const struct text *entry, uint64_t position)
{
	uint64_t entry_cost = tmpfs_text_cost(entry);
	int error = remove_from_bucket(directory, hash_of(entry->text, entry->length), position);

	if (!error)
		error = sparse_remove(&directory->content, position);
	if (error)
		return error;
	directory->item_bytes -= entry_cost;
	if (--directory->names == 0)
		directory->bucket_count = 0;
	return 0;
}

/* Adds (1) or takes away (-1) what "..", in a directory beneath, is as a link. */
static void count_parent_link(struct inode *directory, bool beneath, int change)
{
	if (beneath)
		directory->links += (uint32_t)change;
}

/* A name for an inode, which gets its parent if it is a directory. */
static int add_name(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t number)
{
	struct text *entry = tmpfs_create_text(name->text, name->length, number);
	struct inode *directory, *inode;
	uint64_t position;
	int error;

	if (!entry)
		return -ENOMEM;
	error = tmpfs_take(fs, name->directory, &directory);
	if (error) {
		free(entry);
		return error;
	}
	error = insert(directory, entry, &position);
	directory->modified = directory->changed = fs->options.now;
	count_parent_link(directory, S_ISDIR(tmpfs_get(fs, number)->mode), 1);
	tmpfs_put(fs, directory);
	if (!error)
		error = tmpfs_take(fs, number, &inode);
	if (error)
		return error;
	inode->changed = fs->options.now;
	inode->parent = S_ISDIR(inode->mode) ? name->directory : 0;
	inode->position = position;
	tmpfs_put(fs, inode);
	return 0;
}

static int remove_name(struct tmpfs *fs, const struct tmpfs_name *name)
{
	const struct text *entry;
	struct inode *directory;
	uint64_t position;
	int error = tmpfs_take(fs, name->directory, &directory);

	if (error)
		return error;
	entry = find(directory, name->text, name->length, &position);
	if (entry) {
		count_parent_link(directory, S_ISDIR(tmpfs_get(fs, entry->inode)->mode), -1);
		error = delete (directory, entry, position);
	}
	directory->modified = directory->changed = fs->options.now;
	tmpfs_put(fs, directory);
	return entry ? error : -ENOENT;
}

static int add_link(struct tmpfs *fs, uint64_t number)
{
	struct inode *inode;
	int error = tmpfs_take(fs, number, &inode);

	if (error)
		return error;
	if (inode->links == 0)
		fs->state.orphan_count--;
	inode->links += S_ISDIR(inode->mode) ? 2 : 1;
	tmpfs_put(fs, inode);
	return 0;
}

/*
 * Checks.
 */

int tmpfs_look_up(const struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *inode)
{
	const struct inode *directory = tmpfs_get(fs, name->directory);
	const struct text *entry;
	uint64_t position;

	*inode = 0;
	if (!directory)
		return -ENOENT;
	if (!S_ISDIR(directory->mode))
		return -ENOTDIR;
	if (name->length > TMPFS_NAME_MAXIMUM)
		return -ENAMETOOLONG;
	if (!(directory->mode & S_IXUSR))
		return -EACCES;
	entry = find(directory, name->text, name->length, &position);
	if (entry)
		*inode = entry->inode;
	return 0;
}

/* Whether names in the directory can be changed. */
static int check_directory(const struct tmpfs *fs, uint64_t directory)
{
	return tmpfs_access(fs, directory, W_OK | X_OK);
}

static int check_new(const struct tmpfs *fs, const struct tmpfs_name *name)
{
	uint64_t inode;
	int error = tmpfs_look_up(fs, name, &inode);

	if (error)
		return error;
	if (inode)
		return -EEXIST;
	/* A directory that was removed, man 2 mkdir. */
	if (tmpfs_get(fs, name->directory)->links == 0)
		return -ENOENT;
	return check_directory(fs, name->directory);
}

/* What is there, and may be removed. */
static int check_old(const struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *inode)
{
	int error = tmpfs_look_up(fs, name, inode);

	if (error)
		return error;
	return *inode ? check_directory(fs, name->directory) : -ENOENT;
}

static bool is_directory(const struct tmpfs *fs, uint64_t inode)
{
	return S_ISDIR(tmpfs_get(fs, inode)->mode);
}

/*
 * Making.
 */

static int make(struct tmpfs *fs, const struct tmpfs_name *name, mode_t mode, uint64_t *inode)
{
	int error = tmpfs_add_inode(fs, mode, inode);

	if (!error)
		error = add_name(fs, name, *inode);
	return error ? error : add_link(fs, *inode);
}

int tmpfs_make(struct tmpfs *fs, const struct tmpfs_name *name, mode_t mode, uint64_t *inode)
{
	struct tmpfs_state saved;
	int error = check_new(fs, name);

	if (error)
		return error;
	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return -EPERM;
	tmpfs_begin(fs, &saved);
	error = make(fs, name, mode, inode);
	return tmpfs_commit(fs, &saved, error);
}

int tmpfs_make_unnamed(struct tmpfs *fs, mode_t mode, uint32_t seals, uint64_t *number)
{
	struct tmpfs_state saved;
	struct inode *inode;
	int error;

	tmpfs_begin(fs, &saved);
	error = tmpfs_add_inode(fs, S_IFREG | mode, number);
	if (!error)
		error = tmpfs_take(fs, *number, &inode);
	if (!error) {
		inode->seals = seals;
		tmpfs_put(fs, inode);
	}
	return tmpfs_commit(fs, &saved, error);
}

static int set_target(struct tmpfs *fs, uint64_t number, const char *target, size_t length)
{
	struct text *text = tmpfs_create_text(target, length, 0);
	struct inode *inode;
	int error = text ? tmpfs_take(fs, number, &inode) : -ENOMEM;

	if (!error) {
		error = sparse_set(&inode->content, 0, &text->shared);
		inode->size = length;
		inode->item_bytes = tmpfs_text_cost(text);
		tmpfs_put(fs, inode);
	}
	if (error)
		free(text);
	return error;
}

int tmpfs_make_link(struct tmpfs *fs, const struct tmpfs_name *name, const char *target, size_t length)
{
	struct tmpfs_state saved;
	uint64_t inode;
	int error = check_new(fs, name);

	if (error)
		return error;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	tmpfs_begin(fs, &saved);
	error = make(fs, name, S_IFLNK | 0777, &inode);
	if (!error)
		error = set_target(fs, inode, target, length);
	return tmpfs_commit(fs, &saved, error);
}

int tmpfs_link(struct tmpfs *fs, uint64_t number, const struct tmpfs_name *name)
{
	const struct inode *inode = tmpfs_get(fs, number);
	struct tmpfs_state saved;
	int error;

	if (!inode)
		return -ENOENT;
	error = check_new(fs, name);
	if (error)
		return error;
	if (S_ISDIR(inode->mode))
		return -EPERM;
	if (inode->links >= LINKS_MAXIMUM)
		return -EMLINK;
	tmpfs_begin(fs, &saved);
	error = add_name(fs, name, number);
	if (!error)
		error = add_link(fs, number);
	return tmpfs_commit(fs, &saved, error);
}

/*
 * Removing.
 */

static int remove_both(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t inode,
                       uint64_t *orphan)
{
	int error = remove_name(fs, name);

	return error ? error : tmpfs_drop_link(fs, inode, orphan);
}

static int remove_checked(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t inode,
                          uint64_t *orphan)
{
	struct tmpfs_state saved;
	int error;

	tmpfs_begin(fs, &saved);
	error = remove_both(fs, name, inode, orphan);
	return tmpfs_commit(fs, &saved, error);
}

int tmpfs_unlink(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *orphan)
{
	uint64_t inode;
	int error = check_old(fs, name, &inode);

	*orphan = 0;
	if (!error && is_directory(fs, inode))
		error = -EISDIR;
	return error ? error : remove_checked(fs, name, inode, orphan);
}

int tmpfs_remove_directory(struct tmpfs *fs, const struct tmpfs_name *name, uint64_t *orphan)
{
	uint64_t inode;
	int error = check_old(fs, name, &inode);

	*orphan = 0;
	if (!error && !is_directory(fs, inode))
		error = -ENOTDIR;
	if (!error && tmpfs_get(fs, inode)->names > 0)
		error = -ENOTEMPTY;
	return error ? error : remove_checked(fs, name, inode, orphan);
}

/*
 * Renaming: the order of checks is that of fs/namei.c, do_renameat2() and vfs_rename().
 */

struct rename {
	const struct tmpfs_name *from, *to;
	uint64_t source, target; /* inodes; target 0: there is none */
	uint32_t flags;
};

/* Whether `inode` is `directory` or one above it. */
static bool is_above(const struct tmpfs *fs, uint64_t inode, uint64_t directory)
{
	while (directory != inode && directory != TMPFS_ROOT && directory)
		directory = tmpfs_get(fs, directory)->parent;
	return directory == inode;
}

/* What is there goes away. */
static int check_replaced(const struct tmpfs *fs, const struct rename *rename)
{
	bool directory = is_directory(fs, rename->source);

	if (is_directory(fs, rename->target) && is_above(fs, rename->target, rename->from->directory))
		return -ENOTEMPTY;
	if (directory && !is_directory(fs, rename->target))
		return -ENOTDIR;
	if (!directory && is_directory(fs, rename->target))
		return -EISDIR;
	return tmpfs_get(fs, rename->target)->names > 0 && directory ? -ENOTEMPTY : 0;
}

static int check_rename(const struct tmpfs *fs, const struct rename *rename)
{
	bool exchange = rename->flags & RENAME_EXCHANGE;

	if (rename->target && (rename->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!rename->target && exchange)
		return -ENOENT;
	if (is_directory(fs, rename->source) && is_above(fs, rename->source, rename->to->directory))
		return -EINVAL;
	if (exchange)
		return is_directory(fs, rename->target) &&
		                       is_above(fs, rename->target, rename->from->directory)
		               ? -EINVAL
		               : 0;
	if (rename->target && rename->target != rename->source)
		return check_replaced(fs, rename);
	return 0;
}

static int look_up_both(const struct tmpfs *fs, struct rename *rename)
{
	int error = tmpfs_look_up(fs, rename->from, &rename->source);

	if (!error)
		error = tmpfs_look_up(fs, rename->to, &rename->target);
	if (!error && !rename->source)
		error = -ENOENT;
	if (!error)
		error = check_rename(fs, rename);
	if (!error)
		error = check_directory(fs, rename->from->directory);
	return error ? error : check_directory(fs, rename->to->directory);
}

static int move_names(struct tmpfs *fs, const struct rename *rename, uint64_t *orphan)
{
	int error = remove_name(fs, rename->from);

	if (!error && rename->target)
		error = remove_name(fs, rename->to);
	if (!error && rename->target && !(rename->flags & RENAME_EXCHANGE))
		error = tmpfs_drop_link(fs, rename->target, orphan);
	if (!error)
		error = add_name(fs, rename->to, rename->source);
	if (!error && (rename->flags & RENAME_EXCHANGE))
		error = add_name(fs, rename->from, rename->target);
	return error;
}

int tmpfs_rename(struct tmpfs *fs, const struct tmpfs_name *from, const struct tmpfs_name *to,
                 uint32_t flags, uint64_t *orphan)
{
	struct rename rename = {.from = from, .to = to, .flags = flags};
	struct tmpfs_state saved;
	int error;

	*orphan = 0;
	if (flags && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	error = look_up_both(fs, &rename);
	/* man 2 rename: two names of one file both stay. */
	if (error || rename.source == rename.target)
		return error;
	tmpfs_begin(fs, &saved);
	error = move_names(fs, &rename, orphan);
	return tmpfs_commit(fs, &saved, error);
}

/*
 * Paths.
 */

/* One component, from walk->directory. Returns 1 when the walk ends with it. */
static int step(const struct tmpfs *fs, bool last, bool follow, struct tmpfs_walk *walk)
{
	const struct tmpfs_name name = {walk->directory, walk->name, walk->length};
	int error = tmpfs_look_up(fs, &name, &walk->inode);

	if (error)
		return error;
	if (!walk->inode)
		return last ? 1 : -ENOENT;
	walk->link = S_ISLNK(tmpfs_get(fs, walk->inode)->mode) && (follow || !last);
	return last || walk->link;
}

int tmpfs_walk(const struct tmpfs *fs, const char *path, bool follow, struct tmpfs_walk *walk)
{
	int result = 0;

	*walk = (struct tmpfs_walk){.inode = TMPFS_ROOT, .name = path};
	while (result == 0 && walk->name[walk->length] == '/' && walk->name[walk->length + 1]) {
		walk->directory = walk->inode;
		walk->name += walk->length + 1;
		walk->length = strcspn(walk->name, "/");
		result = step(fs, walk->name[walk->length] == '\0', follow, walk);
	}
	return result < 0 ? result : 0;
}

/* The name of a directory in its parent, or NULL. */
static const struct text *own_name(const struct tmpfs *fs, const struct inode *inode)
{
	const struct inode *parent = tmpfs_get(fs, inode->parent);

	return parent ? get_name(parent, inode->position) : NULL;
}

int64_t tmpfs_path(const struct tmpfs *fs, uint64_t number, char *text, size_t size)
{
	const struct inode *inode = tmpfs_get(fs, number);
	const struct text *name;
	size_t at = size;

	if (!inode || !S_ISDIR(inode->mode))
		return inode ? -ENOTDIR : -ENOENT;
	/* From its end, at the end of the buffer. */
	for (; number != TMPFS_ROOT; number = inode->parent, inode = tmpfs_get(fs, number)) {
		name = own_name(fs, inode);
		if (!name)
			return -ENOENT;
		if (name->length + 2 > at)
			return -ENAMETOOLONG;
		at -= name->length + 1;
		text[at] = '/';
		memcpy(text + at + 1, name->text, name->length);
	}
	if (at == size && size > 1)
		text[--at] = '/';
	memmove(text, text + at, size - at);
	text[size - at] = '\0';
	return (int64_t)(size - at);
}

int64_t tmpfs_target(const struct tmpfs *fs, uint64_t number, const char **target)
{
	const struct inode *inode = tmpfs_get(fs, number);
	const struct text *text;

	if (!inode || !S_ISLNK(inode->mode))
		return -EINVAL;
	text = as_text(sparse_get(&inode->content, 0));
	*target = text->text;
	return text->length;
}

/*
 * Listing.
 */

struct listing {
	uint8_t *data;
	size_t size, done;
};

/* As the kernel's filldir64(): records of whole 8 bytes, padded with zeros. */
static bool put_entry(struct listing *listing, const char *name, size_t length, uint64_t inode,
                      uint64_t next, mode_t mode)
{
	struct dirent64 entry = {
		.d_ino = inode,
		.d_off = (int64_t)next,
		.d_type = (unsigned char)IFTODT(mode),
	};
	size_t header = offsetof(struct dirent64, d_name);
	size_t record = (header + length + 1 + 7) & ~(size_t)7;

	if (record > listing->size - listing->done)
		return false;
	entry.d_reclen = (unsigned short)record;
	memset(listing->data + listing->done, 0, record);
	memcpy(listing->data + listing->done, &entry, header);
	memcpy(listing->data + listing->done + header, name, length);
	listing->done += record;
	return true;
}

static bool list_dots(const struct inode *inode, uint64_t number, uint64_t *position,
                      struct listing *listing)
{
	uint64_t parent = inode->parent ? inode->parent : number;

	for (; *position < POSITION_FIRST; ++*position)
		if (!put_entry(listing, "..", *position + 1, *position ? parent : number,
		               *position + 1, S_IFDIR))
			return false;
	return true;
}

int64_t tmpfs_list(const struct tmpfs *fs, uint64_t number, uint64_t *position, void *data,
                   size_t size)
{
	const struct inode *inode = tmpfs_get(fs, number);
	struct listing listing = {.data = data, .size = size};
	const struct text *name;
	uint64_t at;
	bool fits;

	if (!inode || !S_ISDIR(inode->mode))
		return -ENOTDIR;
	/* man 2 getdents: a directory that was removed. */
	if (inode->links == 0)
		return -ENOENT;
	fits = list_dots(inode, number, position, &listing);
	for (at = *position - POSITION_FIRST; fits && sparse_next(&inode->content, &at); at++) {
		name = get_name(inode, at);
		fits = put_entry(&listing, name->text, name->length, name->inode,
		                 at + 1 + POSITION_FIRST, tmpfs_get(fs, name->inode)->mode);
		if (fits)
			*position = at + 1 + POSITION_FIRST;
	}
	return listing.done || fits ? (int64_t)listing.done : -EINVAL;
}
