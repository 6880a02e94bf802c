/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory from inside: what tmpfs.c (inodes and their
 * attributes), tmpfs_names.c and tmpfs_content.c share.
 */
#ifndef KVMSB_LINUX_TMPFS_INTERNAL_H
#define KVMSB_LINUX_TMPFS_INTERNAL_H

#include "tmpfs.h"

/* What the allocator takes for each object beside its size. */
#define ALLOCATION_COST 16u

struct chunk {
	struct shared shared;
	uint8_t data[TMPFS_CHUNK_SIZE];
};

/* A name in a directory, or the target of a symbolic link. Immutable. */
struct text {
	struct shared shared;
	uint32_t length;
	uint64_t inode;
	char text[]; /* with a NUL */
};

struct inode {
	struct shared shared;
	mode_t mode;
	uint32_t links, seals;
	uint64_t size; /* of a regular file, or a target */
	struct timespec accessed, modified, changed;
	uint64_t item_bytes;    /* what the items of both arrays cost */
	struct sparse content;  /* a file: chunks; a directory: names by position; a link: its target at 0 */

	/* A directory: */
	struct sparse buckets;  /* positions by the hashes of names */
	uint64_t bucket_count;
	uint64_t names;         /* in it */
	uint64_t next_position; /* for the next name */
	uint64_t parent;        /* 0: it was removed */
	uint64_t position;      /* of its own name in the parent */
};

/* All that a change may change; copying it and sharing `inodes` keeps what was. */
struct tmpfs_state {
	struct sparse inodes;
	uint64_t used;         /* bytes of all inodes and what they hold */
	uint64_t inode_count, orphan_count;
	uint64_t next_inode;
};

struct tmpfs {
	struct shared shared;
	struct tmpfs_options options;
	struct tmpfs_state state;
};

/*
 * A change that is all or nothing: commit() gives `error`, or -ENOSPC when what
 * grew is past a limit; if there is one of both, all is as it was at begin().
 */
void tmpfs_begin(const struct tmpfs *fs, struct tmpfs_state *saved);
int tmpfs_commit(struct tmpfs *fs, struct tmpfs_state *saved, int error);

/* To look at: NULL when there is none. */
const struct inode *tmpfs_get(const struct tmpfs *fs, uint64_t number);

/*
 * To change, not shared any more. What it costs is taken off the sum until
 * tmpfs_put() adds it again. Returns 0, -ENOENT, -ENOMEM.
 */
int tmpfs_take(struct tmpfs *fs, uint64_t number, struct inode **inode);
void tmpfs_put(struct tmpfs *fs, const struct inode *inode);

/* A new one with no links. Returns 0 or -ENOMEM, -ENOSPC. */
int tmpfs_add_inode(struct tmpfs *fs, mode_t mode, uint64_t *number);

/* Takes a link away, all those of a directory; orphan: set when that was the last. */
int tmpfs_drop_link(struct tmpfs *fs, uint64_t number, uint64_t *orphan);

struct text *tmpfs_create_text(const char *text, size_t length, uint64_t inode);
uint64_t tmpfs_text_cost(const struct text *text);

static inline const struct text *as_text(const struct shared *shared)
{
	return (const struct text *)(const void *)shared;
}

#endif
