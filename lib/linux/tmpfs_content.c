/* SPDX-License-Identifier: MIT */
/*
 * Content of files in the file system in memory: chunks, and holes where there
 * are none. What a chunk holds past the end of the file is zeros always.
 */
#include "tmpfs_internal.h"

#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A write that adds a chunk adds at most this, and is refused if there is less. */
#define CHUNK_COST (sizeof(struct chunk) + ALLOCATION_COST)
#define GROWTH_MAXIMUM (CHUNK_COST + UINT64_C(16) * SPARSE_NODE_COST)

static int check_regular(const struct inode *inode)
{
	if (!inode)
		return -ENOENT;
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	return S_ISREG(inode->mode) ? 0 : -EINVAL;
}

uint64_t tmpfs_size(const struct tmpfs *fs, uint64_t number)
{
	const struct inode *inode = tmpfs_get(fs, number);

	return check_regular(inode) ? 0 : inode->size;
}

static const struct chunk *get_chunk(const struct inode *inode, uint64_t offset)
{
	return (const struct chunk *)(const void *)sparse_get(&inode->content,
	                                                      offset / TMPFS_CHUNK_SIZE);
}

/* From an offset to the end of its chunk, at most so much. */
static uint64_t part_of_chunk(uint64_t offset, uint64_t length)
{
	return min_u64(length, TMPFS_CHUNK_SIZE - offset % TMPFS_CHUNK_SIZE);
}

/*
 * Reading.
 */

static void read_piece(const struct inode *inode, uint64_t offset, uint8_t *data, uint64_t length)
{
	const struct chunk *chunk;
	uint64_t part;

	for (; length > 0; offset += part, data += part, length -= part) {
		part = part_of_chunk(offset, length);
		chunk = get_chunk(inode, offset);
		if (chunk)
			memcpy(data, chunk->data + offset % TMPFS_CHUNK_SIZE, part);
		else
			memset(data, 0, part);
	}
}

int64_t tmpfs_read(const struct tmpfs *fs, uint64_t number, uint64_t offset,
                   const struct iovec *pieces, unsigned count)
{
	const struct inode *inode = tmpfs_get(fs, number);
	int error = check_regular(inode);
	uint64_t done = 0, part;

	if (error)
		return error;
	for (unsigned i = 0; i < count && offset + done < inode->size; i++) {
		part = min_u64(pieces[i].iov_len, inode->size - offset - done);
		read_piece(inode, offset + done, pieces[i].iov_base, part);
		done += part;
	}
	return (int64_t)done;
}

/*
 * Writing.
 */

static struct chunk *create_chunk(const struct chunk *from)
{
	struct chunk *chunk = from ? malloc(sizeof(*chunk)) : calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	if (from)
		memcpy(chunk->data, from->data, sizeof(chunk->data));
	shared_init(&chunk->shared);
	return chunk;
}

/* A chunk where none is: counted. */
static int add_chunk(struct inode *inode, uint64_t index, struct chunk **chunk)
{
	*chunk = create_chunk(NULL);
	if (!*chunk)
		return -ENOMEM;
	if (sparse_set(&inode->content, index, &(*chunk)->shared)) {
		free(*chunk);
		return -ENOMEM;
	}
	inode->item_bytes += CHUNK_COST;
	return 0;
}

/* The chunk at an index, the inode's own. */
static int take_chunk(struct inode *inode, uint64_t index, struct chunk **chunk)
{
	struct chunk *old;
	struct shared **slot;

	if (sparse_reach(&inode->content, index, &slot))
		return -ENOMEM;
	old = (struct chunk *)(void *)*slot;
	*chunk = old;
	if (shared_is_own(*slot))
		return 0;
	*chunk = create_chunk(old);
	if (!*chunk)
		return -ENOMEM;
	*slot = &(*chunk)->shared;
	if (shared_drop(&old->shared))
		free(old);
	return 0;
}

static int write_chunk(struct inode *inode, uint64_t offset, const uint8_t *data, uint64_t length,
                       uint64_t room)
{
	uint64_t index = offset / TMPFS_CHUNK_SIZE;
	struct chunk *chunk;
	int error;

	if (sparse_get(&inode->content, index))
		error = take_chunk(inode, index, &chunk);
	else
		error = room < GROWTH_MAXIMUM ? -ENOSPC : add_chunk(inode, index, &chunk);
	if (!error)
		memcpy(chunk->data + offset % TMPFS_CHUNK_SIZE, data, length);
	return error;
}

/* A sealed file, and one past the largest offset: as mm/shmem.c shmem_write_begin(). */
static int check_write(const struct inode *inode, uint64_t offset, uint64_t length)
{
	if (inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if ((inode->seals & F_SEAL_GROW) && offset + length > inode->size)
		return -EPERM;
	return 0;
}

static uint64_t room_left(const struct tmpfs *fs, uint64_t taken)
{
	uint64_t used = tmpfs_used(fs) + taken;

	return used < fs->options.bytes ? fs->options.bytes - used : 0;
}

/* Bytes that the inode has gained since tmpfs_take(). */
static uint64_t inode_bytes(const struct inode *inode)
{
	return sizeof(*inode) + ALLOCATION_COST + inode->item_bytes +
	       inode->content.nodes * SPARSE_NODE_COST;
}

static int64_t write_piece(struct tmpfs *fs, struct inode *inode, uint64_t offset,
                           const uint8_t *data, uint64_t length)
{
	uint64_t done = 0, part;
	int error = 0;

	while (done < length && !error) {
		part = part_of_chunk(offset + done, length - done);
		error = check_write(inode, offset + done, part);
		if (!error)
			error = write_chunk(inode, offset + done, data + done, part,
			                    room_left(fs, inode_bytes(inode)));
		if (!error)
			done += part;
	}
	return done ? (int64_t)done : error;
}

static int64_t write_pieces(struct tmpfs *fs, struct inode *inode, uint64_t offset,
                            const struct iovec *pieces, unsigned count)
{
	uint64_t done = 0, length;
	int64_t result = 0;

	for (unsigned i = 0; i < count && offset + done < INT64_MAX; i++) {
		length = min_u64(pieces[i].iov_len, INT64_MAX - offset - done);
		result = write_piece(fs, inode, offset + done, pieces[i].iov_base, length);
		if (result > 0)
			done += (uint64_t)result;
		if (result < (int64_t)length)
			break;
	}
	return done ? (int64_t)done : result;
}

static uint64_t length_of(const struct iovec *pieces, unsigned count)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < count; i++)
		length += pieces[i].iov_len;
	return length;
}

int64_t tmpfs_write(struct tmpfs *fs, uint64_t number, uint64_t offset, const struct iovec *pieces,
                    unsigned count)
{
	int error = check_regular(tmpfs_get(fs, number));
	struct inode *inode;
	int64_t result;

	if (error || length_of(pieces, count) == 0)
		return error;
	if (offset >= INT64_MAX)
		return -EFBIG;
	error = tmpfs_take(fs, number, &inode);
	if (error)
		return error;
	result = write_pieces(fs, inode, offset, pieces, count);
	if (result > 0) {
		inode->size = max_u64(inode->size, offset + (uint64_t)result);
		inode->modified = inode->changed = fs->options.now;
	}
	tmpfs_put(fs, inode);
	return result;
}

/*
 * Removing and adding.
 */

/* Zeros within one chunk, if it is there. */
static int zero_part(struct inode *inode, uint64_t offset, uint64_t length)
{
	struct chunk *chunk;
	int error;

	if (length == 0 || !get_chunk(inode, offset))
		return 0;
	error = take_chunk(inode, offset / TMPFS_CHUNK_SIZE, &chunk);
	if (!error)
		memset(chunk->data + offset % TMPFS_CHUNK_SIZE, 0, length);
	return error;
}

/* Removes the chunks of [first, end). */
static int remove_chunks(struct inode *inode, uint64_t first, uint64_t end)
{
	int error = 0;

	for (; !error && sparse_next(&inode->content, &first) && first < end; first++) {
		error = sparse_remove(&inode->content, first);
		if (!error)
			inode->item_bytes -= CHUNK_COST;
	}
	return error;
}

/* Makes a range a hole, as far as whole chunks, and zeros elsewhere. */
static int clear(struct inode *inode, uint64_t offset, uint64_t end)
{
	uint64_t first = offset / TMPFS_CHUNK_SIZE + (offset % TMPFS_CHUNK_SIZE != 0);
	uint64_t last = end / TMPFS_CHUNK_SIZE;
	int error;

	if (first > last)
		return zero_part(inode, offset, end - offset);
	error = zero_part(inode, offset, first * TMPFS_CHUNK_SIZE - offset);
	if (!error)
		error = zero_part(inode, last * TMPFS_CHUNK_SIZE, end % TMPFS_CHUNK_SIZE);
	return error ? error : remove_chunks(inode, first, last);
}

static int set_size(struct inode *inode, uint64_t size)
{
	int error = 0;

	if ((size < inode->size && (inode->seals & F_SEAL_SHRINK)) ||
	    (size > inode->size && (inode->seals & F_SEAL_GROW)))
		return -EPERM;
	if (size == 0) {
		sparse_release(&inode->content);
		inode->item_bytes = 0;
	} else if (size < inode->size) {
		/* What fallocate(2) put past the end goes, too. */
		error = clear(inode, size, align_down(UINT64_MAX, TMPFS_CHUNK_SIZE));
	}
	if (!error)
		inode->size = size;
	return error;
}

/* A change of the whole file, all or nothing. */
typedef int (*change_function)(struct tmpfs *fs, struct inode *inode, uint64_t a, uint64_t b);

static int change(struct tmpfs *fs, uint64_t number, change_function function, uint64_t a, uint64_t b)
{
	int error = check_regular(tmpfs_get(fs, number));
	struct tmpfs_state saved;
	struct inode *inode;

	if (error)
		return error;
	tmpfs_begin(fs, &saved);
	error = tmpfs_take(fs, number, &inode);
	if (!error) {
		error = function(fs, inode, a, b);
		inode->modified = inode->changed = fs->options.now;
		tmpfs_put(fs, inode);
	}
	return tmpfs_commit(fs, &saved, error);
}

static int truncate_inode(struct tmpfs *fs, struct inode *inode, uint64_t size, uint64_t unused)
{
	(void)fs;
	(void)unused;
	return set_size(inode, size);
}

int tmpfs_truncate(struct tmpfs *fs, uint64_t number, uint64_t size)
{
	return size > INT64_MAX ? -EINVAL : change(fs, number, truncate_inode, size, 0);
}

/* man 2 fallocate, and mm/shmem.c shmem_fallocate() for the seals. */

static int punch(struct tmpfs *fs, struct inode *inode, uint64_t offset, uint64_t end)
{
	(void)fs;
	if (inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	/* Past the end there are chunks, too, which KEEP_SIZE allocated. */
	return clear(inode, offset, end);
}

static int reserve(struct tmpfs *fs, struct inode *inode, uint64_t offset, uint64_t end)
{
	struct chunk *chunk;
	int error = 0;

	for (uint64_t at = offset / TMPFS_CHUNK_SIZE; at * TMPFS_CHUNK_SIZE < end && !error; at++) {
		if (sparse_get(&inode->content, at))
			continue;
		error = room_left(fs, inode_bytes(inode)) < GROWTH_MAXIMUM
		                ? -ENOSPC
		                : add_chunk(inode, at, &chunk);
	}
	return error;
}

static int reserve_and_grow(struct tmpfs *fs, struct inode *inode, uint64_t offset, uint64_t end)
{
	int error;

	if ((inode->seals & F_SEAL_GROW) && end > inode->size)
		return -EPERM;
	error = reserve(fs, inode, offset, end);
	if (!error)
		inode->size = max_u64(inode->size, end);
	return error;
}

static int zero(struct tmpfs *fs, struct inode *inode, uint64_t offset, uint64_t end)
{
	int error = punch(fs, inode, offset, end);

	return error ? error : reserve(fs, inode, offset, end);
}

static int zero_and_grow(struct tmpfs *fs, struct inode *inode, uint64_t offset, uint64_t end)
{
	int error = punch(fs, inode, offset, end);

	return error ? error : reserve_and_grow(fs, inode, offset, end);
}

int tmpfs_allocate(struct tmpfs *fs, uint64_t number, uint32_t mode, uint64_t offset, uint64_t length)
{
	static const struct {
		uint32_t mode;
		change_function function;
	} modes[] = {
		{0, reserve_and_grow},
		{FALLOC_FL_KEEP_SIZE, reserve},
		{FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, punch},
		{FALLOC_FL_ZERO_RANGE, zero_and_grow},
		{FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, zero},
	};

	if (offset > INT64_MAX || length == 0 || length > INT64_MAX)
		return -EINVAL;
	if (!range_within(offset, length, INT64_MAX))
		return -EFBIG;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].mode == mode)
			return change(fs, number, modes[i].function, offset, offset + length);
	return -EOPNOTSUPP;
}

/*
 * Seeking.
 */

int64_t tmpfs_seek_data(const struct tmpfs *fs, uint64_t number, uint64_t offset)
{
	const struct inode *inode = tmpfs_get(fs, number);
	uint64_t index = offset / TMPFS_CHUNK_SIZE;
	int error = check_regular(inode);

	if (error)
		return error;
	if (offset >= inode->size || !sparse_next(&inode->content, &index) ||
	    index * TMPFS_CHUNK_SIZE >= inode->size)
		return -ENXIO;
	return (int64_t)max_u64(offset, index * TMPFS_CHUNK_SIZE);
}

int64_t tmpfs_seek_hole(const struct tmpfs *fs, uint64_t number, uint64_t offset)
{
	const struct inode *inode = tmpfs_get(fs, number);
	uint64_t index = offset / TMPFS_CHUNK_SIZE;
	int error = check_regular(inode);

	if (error)
		return error;
	if (offset >= inode->size)
		return -ENXIO;
	while (sparse_get(&inode->content, index))
		index++;
	return (int64_t)min_u64(inode->size, max_u64(offset, index * TMPFS_CHUNK_SIZE));
}
