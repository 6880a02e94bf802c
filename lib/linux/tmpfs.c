/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory: its life, inodes, their attributes and what they
 * cost. See tmpfs.h.
 */
#include "tmpfs_internal.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* man 2 stat: in units of this, whatever the block size is. */
#define STAT_BLOCK 512u

/* F_SEAL_EXEC: whether it can be executed stays as it is. Linux 6.3. */
#define SEAL_EXECUTE 0x20u

#define SEALS_KNOWN                                                                                   \
	((uint32_t)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) | \
	 SEAL_EXECUTE)

/*
 * Objects.
 */

static void destroy_inode(struct shared *shared)
{
	struct inode *inode = (struct inode *)(void *)shared;

	sparse_release(&inode->content);
	sparse_release(&inode->buckets);
	free(inode);
}

static void destroy_item(struct shared *shared)
{
	free(shared);
}

static struct inode *create_inode(mode_t mode, struct timespec now)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	shared_init(&inode->shared);
	inode->mode = mode;
	inode->accessed = inode->modified = inode->changed = now;
	sparse_init(&inode->content, destroy_item);
	sparse_init(&inode->buckets, destroy_item);
	return inode;
}

static struct inode *copy_inode(const struct inode *from)
{
	struct inode *inode = malloc(sizeof(*inode));

	if (!inode)
		return NULL;
	/* The count of references is others' to change meanwhile. */
	memcpy((char *)inode + sizeof(inode->shared), (const char *)from + sizeof(from->shared),
	       sizeof(*inode) - sizeof(inode->shared));
	shared_init(&inode->shared);
	inode->content = sparse_share(&from->content);
	inode->buckets = sparse_share(&from->buckets);
	return inode;
}

struct text *tmpfs_create_text(const char *text, size_t length, uint64_t inode)
{
	struct text *created = malloc(sizeof(*created) + length + 1);

	if (!created)
		return NULL;
	shared_init(&created->shared);
	created->length = (uint32_t)length;
	created->inode = inode;
	memcpy(created->text, text, length);
	created->text[length] = '\0';
	return created;
}

uint64_t tmpfs_text_cost(const struct text *text)
{
	return sizeof(*text) + text->length + 1 + ALLOCATION_COST;
}

/*
 * The file system itself.
 */

static int make_root(struct tmpfs *fs)
{
	struct inode *root;
	uint64_t number;
	int error = tmpfs_add_inode(fs, S_IFDIR | 01777, &number);

	if (!error)
		error = tmpfs_take(fs, number, &root);
	if (error)
		return error;
	root->links = 2;
	root->parent = number;
	fs->state.orphan_count--;
	tmpfs_put(fs, root);
	return 0;
}

int tmpfs_create(struct tmpfs **fs, const struct tmpfs_options *options)
{
	struct tmpfs *created = calloc(1, sizeof(*created));
	int error;

	if (!created)
		return -ENOMEM;
	shared_init(&created->shared);
	created->options = *options;
	created->state.next_inode = TMPFS_ROOT;
	sparse_init(&created->state.inodes, destroy_inode);
	error = make_root(created);
	if (error) {
		tmpfs_release(created);
		return error;
	}
	*fs = created;
	return 0;
}

struct tmpfs *tmpfs_share(struct tmpfs *fs)
{
	shared_reference(&fs->shared);
	return fs;
}

void tmpfs_release(struct tmpfs *fs)
{
	if (!fs || !shared_drop(&fs->shared))
		return;
	sparse_release(&fs->state.inodes);
	free(fs);
}

int tmpfs_make_own(struct tmpfs **fs, struct timespec now)
{
	struct tmpfs *copy;

	if (!shared_is_own(&(*fs)->shared)) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		shared_init(&copy->shared);
		copy->options = (*fs)->options;
		tmpfs_begin(*fs, &copy->state);
		tmpfs_release(*fs);
		*fs = copy;
	}
	(*fs)->options.now = now;
	return 0;
}

uint64_t tmpfs_used(const struct tmpfs *fs)
{
	return fs->state.used + fs->state.inodes.nodes * SPARSE_NODE_COST;
}

uint64_t tmpfs_inodes(const struct tmpfs *fs)
{
	return fs->state.inode_count;
}

void tmpfs_begin(const struct tmpfs *fs, struct tmpfs_state *saved)
{
	*saved = fs->state;
	saved->inodes = sparse_share(&fs->state.inodes);
}

/* What only becomes smaller is never refused. */
static bool is_past_limit(const struct tmpfs *fs, const struct tmpfs_state *before)
{
	uint64_t used_before = before->used + before->inodes.nodes * SPARSE_NODE_COST;

	return (tmpfs_used(fs) > fs->options.bytes && tmpfs_used(fs) > used_before) ||
	       (fs->state.inode_count > fs->options.inodes &&
	        fs->state.inode_count > before->inode_count);
}

int tmpfs_commit(struct tmpfs *fs, struct tmpfs_state *saved, int error)
{
	if (!error && is_past_limit(fs, saved))
		error = -ENOSPC;
	if (error) {
		sparse_release(&fs->state.inodes);
		fs->state = *saved;
	} else {
		sparse_release(&saved->inodes);
	}
	return error;
}

/*
 * Inodes.
 */

static uint64_t cost(const struct inode *inode)
{
	return sizeof(*inode) + ALLOCATION_COST + inode->item_bytes +
	       (inode->content.nodes + inode->buckets.nodes) * SPARSE_NODE_COST;
}

const struct inode *tmpfs_get(const struct tmpfs *fs, uint64_t number)
{
	return (const struct inode *)(const void *)sparse_get(&fs->state.inodes, number);
}

int tmpfs_take(struct tmpfs *fs, uint64_t number, struct inode **inode)
{
	struct shared **slot;
	struct inode *found, *copy;

	if (!tmpfs_get(fs, number))
		return -ENOENT;
	if (sparse_reach(&fs->state.inodes, number, &slot))
		return -ENOMEM;
	found = (struct inode *)(void *)*slot;
	if (!shared_is_own(*slot)) {
		copy = copy_inode(found);
		if (!copy)
			return -ENOMEM;
		*slot = &copy->shared;
		if (shared_drop(&found->shared))
			destroy_inode(&found->shared);
		found = copy;
	}
	fs->state.used -= cost(found);
	*inode = found;
	return 0;
}

void tmpfs_put(struct tmpfs *fs, const struct inode *inode)
{
	fs->state.used += cost(inode);
}

int tmpfs_add_inode(struct tmpfs *fs, mode_t mode, uint64_t *number)
{
	struct inode *inode = create_inode(mode, fs->options.now);

	if (!inode)
		return -ENOMEM;
	if (sparse_set(&fs->state.inodes, fs->state.next_inode, &inode->shared)) {
		free(inode);
		return -ENOMEM;
	}
	fs->state.inode_count++;
	fs->state.orphan_count++;
	*number = fs->state.next_inode++;
	tmpfs_put(fs, inode);
	return 0;
}

int tmpfs_drop_link(struct tmpfs *fs, uint64_t number, uint64_t *orphan)
{
	struct inode *inode;
	int error = tmpfs_take(fs, number, &inode);

	if (error)
		return error;
	inode->links = S_ISDIR(inode->mode) ? 0 : inode->links - 1;
	inode->parent = 0;
	inode->changed = fs->options.now;
	if (inode->links == 0) {
		fs->state.orphan_count++;
		*orphan = number;
	}
	tmpfs_put(fs, inode);
	return 0;
}

int tmpfs_forget(struct tmpfs *fs, uint64_t number)
{
	const struct inode *inode = tmpfs_get(fs, number);
	uint64_t freed;
	int error;

	if (!inode || inode->links > 0)
		return 0;
	freed = cost(inode);
	error = sparse_remove(&fs->state.inodes, number);
	if (error)
		return error;
	fs->state.used -= freed;
	fs->state.inode_count--;
	fs->state.orphan_count--;
	return 0;
}

bool tmpfs_next_orphan(const struct tmpfs *fs, uint64_t *inode)
{
	if (fs->state.orphan_count == 0)
		return false;
	for (; sparse_next(&fs->state.inodes, inode); (*inode)++)
		if (tmpfs_get(fs, *inode)->links == 0)
			return true;
	return false;
}

/*
 * Attributes.
 */

int tmpfs_stat(const struct tmpfs *fs, uint64_t number, struct stat *status)
{
	const struct inode *inode = tmpfs_get(fs, number);

	if (!inode)
		return -ENOENT;
	*status = (struct stat){
		.st_dev = makedev(0, 2),
		.st_ino = number,
		.st_mode = inode->mode,
		.st_nlink = inode->links,
		.st_uid = fs->options.user,
		.st_gid = fs->options.group,
		.st_size = (off_t)inode->size,
		.st_blksize = (blksize_t)TMPFS_CHUNK_SIZE,
		.st_atim = inode->accessed,
		.st_mtim = inode->modified,
		.st_ctim = inode->changed,
	};
	if (S_ISREG(inode->mode))
		status->st_blocks = (blkcnt_t)(inode->item_bytes / sizeof(struct chunk) *
		                               (TMPFS_CHUNK_SIZE / STAT_BLOCK));
	if (S_ISDIR(inode->mode))
		status->st_size = (off_t)((inode->names + 2) * 20);
	return 0;
}

void tmpfs_statfs(const struct tmpfs *fs, struct statfs *status)
{
	uint64_t used = min_u64(tmpfs_used(fs), fs->options.bytes);
	uint64_t inodes = min_u64(fs->state.inode_count, fs->options.inodes);

	*status = (struct statfs){
		.f_type = TMPFS_MAGIC,
		.f_bsize = (long)TMPFS_CHUNK_SIZE,
		.f_frsize = (long)TMPFS_CHUNK_SIZE,
		.f_blocks = fs->options.bytes / TMPFS_CHUNK_SIZE,
		.f_bfree = (fs->options.bytes - used) / TMPFS_CHUNK_SIZE,
		.f_bavail = (fs->options.bytes - used) / TMPFS_CHUNK_SIZE,
		.f_files = fs->options.inodes,
		.f_ffree = fs->options.inodes - inodes,
		.f_namelen = TMPFS_NAME_MAXIMUM,
	};
}

int tmpfs_access(const struct tmpfs *fs, uint64_t number, int mask)
{
	const struct inode *inode = tmpfs_get(fs, number);
	mode_t wanted = (mask & R_OK ? S_IRUSR : 0u) | (mask & W_OK ? S_IWUSR : 0u) |
	                (mask & X_OK ? S_IXUSR : 0u);

	if (!inode)
		return -ENOENT;
	return (inode->mode & wanted) == wanted ? 0 : -EACCES;
}

int tmpfs_set_mode(struct tmpfs *fs, uint64_t number, mode_t mode)
{
	struct inode *inode;
	int error = tmpfs_take(fs, number, &inode);

	if (error)
		return error;
	if ((inode->seals & SEAL_EXECUTE) && ((inode->mode ^ mode) & 0111)) {
		error = -EPERM;
	} else {
		inode->mode = (inode->mode & S_IFMT) | (mode & 07777);
		inode->changed = fs->options.now;
	}
	tmpfs_put(fs, inode);
	return error;
}

static void set_time(struct timespec *time, struct timespec value, struct timespec now)
{
	if (value.tv_nsec == UTIME_NOW)
		*time = now;
	else if (value.tv_nsec != UTIME_OMIT)
		*time = value;
}

int tmpfs_set_times(struct tmpfs *fs, uint64_t number, const struct timespec times[2])
{
	struct inode *inode;
	int error = tmpfs_take(fs, number, &inode);

	if (error)
		return error;
	set_time(&inode->accessed, times[0], fs->options.now);
	set_time(&inode->modified, times[1], fs->options.now);
	inode->changed = fs->options.now;
	tmpfs_put(fs, inode);
	return 0;
}

int64_t tmpfs_seals(const struct tmpfs *fs, uint64_t number)
{
	const struct inode *inode = tmpfs_get(fs, number);

	return inode && S_ISREG(inode->mode) ? (int64_t)inode->seals : -EINVAL;
}

int tmpfs_add_seals(struct tmpfs *fs, uint64_t number, uint32_t seals)
{
	int64_t before = tmpfs_seals(fs, number);
	struct inode *inode;
	int error;

	if (before < 0 || (seals & ~SEALS_KNOWN))
		return -EINVAL;
	if (before & F_SEAL_SEAL)
		return -EPERM;
	error = tmpfs_take(fs, number, &inode);
	if (error)
		return error;
	inode->seals |= seals;
	tmpfs_put(fs, inode);
	return 0;
}
