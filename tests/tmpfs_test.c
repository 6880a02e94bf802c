/* SPDX-License-Identifier: MIT */
/*
 * The file system in memory, without a guest: random operations compared with
 * a real directory of the host, which says what Linux does; what its limits
 * count; what several owners share, and that they do not see each other; that
 * an allocation that fails changes nothing; and hostile arguments.
 */
#include "linux/sparse.h"
#include "linux/tmpfs.h"

#include "sequence.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define MEBIBYTE (UINT64_C(1) << 20)
#define PATH_SIZE 4096

static const struct timespec now = {.tv_sec = 1000};
static const struct timespec later = {.tv_sec = 2000, .tv_nsec = 5};

/* Allocations: counted, and the n-th fails. */
static _Atomic uint64_t allocated;
static unsigned failing;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool fails(size_t size)
{
	allocated += size;
	return failing > 0 && --failing == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(count * size) ? NULL : __real_calloc(count, size);
}

/*
 * By paths, as system calls have them.
 */

static struct tmpfs *create(uint64_t bytes, uint64_t inodes)
{
	const struct tmpfs_options options = {
		.bytes = bytes, .inodes = inodes, .user = 7, .group = 8, .now = now};
	struct tmpfs *fs;

	assert_int_equal(tmpfs_create(&fs, &options), 0);
	return fs;
}

static int walk(const struct tmpfs *fs, const char *path, struct tmpfs_name *name, uint64_t *inode)
{
	struct tmpfs_walk found;
	int error = tmpfs_walk(fs, path, false, &found);

	*name = (struct tmpfs_name){found.directory, found.name, found.length};
	*inode = found.inode;
	return error;
}

static int make(struct tmpfs *fs, const char *path, mode_t mode)
{
	struct tmpfs_name name;
	uint64_t inode;
	int error = walk(fs, path, &name, &inode);

	return error ? error : tmpfs_make(fs, &name, mode, &inode);
}

static int make_link(struct tmpfs *fs, const char *target, const char *path)
{
	struct tmpfs_name name;
	uint64_t inode;
	int error = walk(fs, path, &name, &inode);

	return error ? error : tmpfs_make_link(fs, &name, target, strlen(target));
}

/* Frees what is left: nothing is ever open here. */
static int drop(struct tmpfs *fs, int error, uint64_t orphan)
{
	if (orphan)
		assert_int_equal(tmpfs_forget(fs, orphan), 0);
	return error;
}

static int remove_path(struct tmpfs *fs, const char *path, bool directory)
{
	struct tmpfs_name name;
	uint64_t inode, orphan = 0;
	int error = walk(fs, path, &name, &inode);

	if (!error)
		error = directory ? tmpfs_remove_directory(fs, &name, &orphan)
		                  : tmpfs_unlink(fs, &name, &orphan);
	return drop(fs, error, orphan);
}

static int rename_path(struct tmpfs *fs, const char *from, const char *to, uint32_t flags)
{
	struct tmpfs_name names[2];
	uint64_t inode, orphan = 0;
	int error = walk(fs, from, &names[0], &inode);

	if (!error)
		error = walk(fs, to, &names[1], &inode);
	if (!error)
		error = tmpfs_rename(fs, &names[0], &names[1], flags, &orphan);
	return drop(fs, error, orphan);
}

static int link_path(struct tmpfs *fs, const char *from, const char *to)
{
	uint64_t inode, other;
	struct tmpfs_name name;
	int error = walk(fs, from, &name, &inode);

	if (!error && !inode)
		error = -ENOENT;
	if (!error)
		error = walk(fs, to, &name, &other);
	return error ? error : tmpfs_link(fs, inode, &name);
}

/* 0: there is nothing. */
static uint64_t find(const struct tmpfs *fs, const char *path)
{
	struct tmpfs_name name;
	uint64_t inode;

	return walk(fs, path, &name, &inode) ? 0 : inode;
}

static int64_t write_at(struct tmpfs *fs, uint64_t inode, uint64_t offset, const void *data,
                        size_t length)
{
	const struct iovec piece = {(void *)(uintptr_t)data, length};

	return tmpfs_write(fs, inode, offset, &piece, 1);
}

static int64_t read_at(const struct tmpfs *fs, uint64_t inode, uint64_t offset, void *data,
                       size_t length)
{
	const struct iovec piece = {data, length};

	return tmpfs_read(fs, inode, offset, &piece, 1);
}

static void put(struct tmpfs *fs, const char *path, const char *text)
{
	assert_int_equal(make(fs, path, S_IFREG | 0644), 0);
	assert_int_equal(write_at(fs, find(fs, path), 0, text, strlen(text)), strlen(text));
}

static void assert_content(const struct tmpfs *fs, const char *path, const char *text)
{
	char data[256];
	int64_t length = read_at(fs, find(fs, path), 0, data, sizeof(data));

	assert_int_equal(length, strlen(text));
	assert_memory_equal(data, text, (size_t)length);
}

/* Another owner of the same, that may change it. */
static struct tmpfs *fork_of(struct tmpfs *fs)
{
	struct tmpfs *fork = tmpfs_share(fs);

	assert_int_equal(tmpfs_make_own(&fork, later), 0);
	return fork;
}

/*
 * Random operations, here and in a directory of the host.
 */

struct pair {
	struct tmpfs *fs;
	char host[64];
	uint64_t random;
	bool counts_directories; /* the host's file system counts links of directories */
};

static const char *host_path(const struct pair *pair, const char *path)
{
	static char text[2][PATH_SIZE + 80];
	static unsigned next;
	char *chosen = text[next++ % 2];

	snprintf(chosen, sizeof(text[0]), "%s%s", pair->host, path);
	return chosen;
}

static unsigned below(struct pair *pair, unsigned limit)
{
	return sequence_below(&pair->random, limit);
}

/* Few names, so that they meet. Links on the way are for the caller to follow, so there is none. */
static void random_path(struct pair *pair, char *path)
{
	struct tmpfs_walk walk;

	do {
		unsigned depth = 1 + below(pair, 3);
		size_t length = 0;

		for (unsigned i = 0; i < depth; i++)
			length += (size_t)sprintf(path + length, "/%c", 'a' + (char)below(pair, 4));
	} while (tmpfs_walk(pair->fs, path, false, &walk) == 0 && walk.link);
}

static int result_of(long result)
{
	return result < 0 ? -errno : 0;
}

static int host_write(const char *path, uint64_t offset, const void *data, size_t length)
{
	int file = open(path, O_WRONLY | O_NOFOLLOW), result;

	if (file < 0)
		return -errno;
	result = result_of(pwrite(file, data, length, (off_t)offset));
	close(file);
	return result;
}

static int own_write(struct tmpfs *fs, const char *path, uint64_t offset, const void *data,
                     size_t length)
{
	struct tmpfs_name name;
	struct stat status;
	uint64_t inode;
	int64_t result = walk(fs, path, &name, &inode);

	if (!result)
		result = tmpfs_stat(fs, inode, &status);
	if (!result && S_ISLNK(status.st_mode))
		result = -ELOOP;
	if (!result)
		result = write_at(fs, inode, offset, data, length);
	return result < 0 ? (int)result : 0;
}

static void do_write(struct pair *pair, const char *path, int results[2])
{
	uint64_t offset = below(pair, 3 * TMPFS_CHUNK_SIZE);
	size_t length = 1 + below(pair, 2 * TMPFS_CHUNK_SIZE);
	uint8_t data[2 * TMPFS_CHUNK_SIZE];

	if (below(pair, 8) == 0)
		offset += (uint64_t)below(pair, 1000) << 20;
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)sequence_next(&pair->random);
	results[0] = own_write(pair->fs, path, offset, data, length);
	results[1] = host_write(host_path(pair, path), offset, data, length);
}

static void do_truncate(struct pair *pair, const char *path, int results[2])
{
	uint64_t size = below(pair, 5 * TMPFS_CHUNK_SIZE);
	int file = open(host_path(pair, path), O_WRONLY | O_NOFOLLOW);
	struct stat status;
	uint64_t inode = find(pair->fs, path);

	/* Only of files: how others are refused is for whoever opens them. */
	results[0] = results[1] = 0;
	assert_int_equal(file >= 0,
	                 tmpfs_stat(pair->fs, inode, &status) == 0 && S_ISREG(status.st_mode));
	if (file < 0)
		return;
	if (below(pair, 3) == 0) {
		uint64_t length = 1 + below(pair, 3 * TMPFS_CHUNK_SIZE);

		results[0] = tmpfs_allocate(
			pair->fs, inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size, length);
		results[1] = result_of(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		                                 (off_t)size, (off_t)length));
	} else {
		results[0] = tmpfs_truncate(pair->fs, inode, size);
		results[1] = result_of(ftruncate(file, (off_t)size));
	}
	close(file);
}

static void do_make(struct pair *pair, const char *path, mode_t mode, int results[2])
{
	const char *host = host_path(pair, path);
	int file;

	results[0] = make(pair->fs, path, mode);
	if (S_ISDIR(mode)) {
		results[1] = result_of(mkdir(host, mode & 07777));
		return;
	}
	file = open(host, O_CREAT | O_EXCL | O_WRONLY, mode & 07777);
	results[1] = result_of(file);
	if (file >= 0)
		close(file);
}

static void do_mode(struct pair *pair, const char *path, int results[2])
{
	struct stat status;
	mode_t mode = 0700 | below(pair, 0100);
	uint64_t inode = find(pair->fs, path);

	results[0] = results[1] = 0;
	if (tmpfs_stat(pair->fs, inode, &status) || S_ISLNK(status.st_mode))
		return;
	results[0] = tmpfs_set_mode(pair->fs, inode, mode);
	results[1] = result_of(chmod(host_path(pair, path), mode));
}

static void operate(struct pair *pair, int results[2], char *what)
{
	static const uint32_t flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	char a[32], b[32];
	unsigned operation = below(pair, 10), flag = flags[below(pair, ARRAY_SIZE(flags))];

	random_path(pair, a);
	random_path(pair, b);
	sprintf(what, "operation %u of %s and %s, flags %u", operation, a, b, flag);
	switch (operation) {
	case 0:
		do_make(pair, a, S_IFREG | 0644, results);
		return;
	case 1:
	case 2:
		do_make(pair, a, S_IFDIR | 0755, results);
		return;
	case 3:
		results[0] = make_link(pair->fs, b, a);
		results[1] = result_of(symlink(b, host_path(pair, a)));
		return;
	case 4:
		results[0] = remove_path(pair->fs, a, false);
		results[1] = result_of(unlink(host_path(pair, a)));
		return;
	case 5:
		results[0] = remove_path(pair->fs, a, true);
		results[1] = result_of(rmdir(host_path(pair, a)));
		return;
	case 6:
		results[0] = rename_path(pair->fs, a, b, flag);
		results[1] = result_of(syscall(SYS_renameat2, AT_FDCWD, host_path(pair, a),
		                               AT_FDCWD, host_path(pair, b), flag));
		return;
	case 7:
		results[0] = link_path(pair->fs, a, b);
		results[1] = result_of(link(host_path(pair, a), host_path(pair, b)));
		return;
	case 8:
		do_write(pair, a, results);
		return;
	default:
		if (below(pair, 2))
			do_mode(pair, a, results);
		else
			do_truncate(pair, a, results);
	}
}

static void compare_files(struct pair *pair, uint64_t inode, const char *path,
                          const struct stat *status)
{
	static uint8_t mine[64 * 1024], theirs[sizeof(mine)];
	int file = open(host_path(pair, path), O_RDONLY);
	off_t at = 0;

	assert_true(file >= 0);
	/* Only where there is data: the holes are large. */
	while (at < status->st_size) {
		int64_t data = tmpfs_seek_data(pair->fs, inode, (uint64_t)at);
		off_t expected = lseek(file, at, SEEK_DATA);

		if (expected < 0) {
			assert_int_equal(data, -ENXIO);
			break;
		}
		assert_int_equal(data, expected);
		at = expected;
		assert_int_equal(read_at(pair->fs, inode, (uint64_t)at, mine, sizeof(mine)),
		                 pread(file, theirs, sizeof(theirs), at));
		assert_memory_equal(mine, theirs,
		                    min_u64(sizeof(mine), (uint64_t)(status->st_size - at)));
		assert_int_equal(tmpfs_seek_hole(pair->fs, inode, (uint64_t)at),
		                 lseek(file, at, SEEK_HOLE));
		at += (off_t)sizeof(mine);
	}
	close(file);
}

static void compare_status(struct pair *pair, const char *path, const struct stat *status)
{
	struct stat mine;
	char target[PATH_SIZE];
	const char *text;
	uint64_t inode = find(pair->fs, path);

	assert_int_equal(tmpfs_stat(pair->fs, inode, &mine), 0);
	assert_int_equal(mine.st_mode, status->st_mode);
	if (!S_ISDIR(status->st_mode) || pair->counts_directories)
		assert_int_equal(mine.st_nlink, status->st_nlink);
	if (!S_ISDIR(status->st_mode))
		assert_int_equal(mine.st_size, status->st_size);
	if (S_ISREG(status->st_mode))
		compare_files(pair, inode, path, status);
	if (S_ISLNK(status->st_mode)) {
		ssize_t length = readlink(host_path(pair, path), target, sizeof(target));

		assert_int_equal(tmpfs_target(pair->fs, inode, &text), length);
		assert_memory_equal(text, target, (size_t)length);
	}
}

/* A record of getdents64(2) may be shorter than the struct. */
static size_t entry_at(const uint8_t *data, const char **name)
{
	uint16_t length;

	memcpy(&length, data + offsetof(struct dirent64, d_reclen), sizeof(length));
	*name = (const char *)data + offsetof(struct dirent64, d_name);
	return length;
}

/* How many entries a directory has, listed in small pieces. */
static unsigned count_entries(const struct tmpfs *fs, uint64_t directory)
{
	uint8_t data[64] __attribute__((aligned(8)));
	uint64_t position = 0;
	unsigned count = 0;
	const char *name;
	int64_t length;

	while ((length = tmpfs_list(fs, directory, &position, data, sizeof(data))) > 0)
		for (int64_t at = 0; at < length; count++)
			at += (int64_t)entry_at(data + at, &name);
	assert_int_equal(length, 0);
	return count;
}

static void compare_trees(struct pair *pair, const char *path)
{
	DIR *directory = opendir(host_path(pair, path));
	struct dirent *entry;
	char below[64], text[PATH_SIZE];
	struct stat status;
	unsigned count = 0;

	assert_non_null(directory);
	assert_true(tmpfs_path(pair->fs, find(pair->fs, path), text, sizeof(text)) > 0);
	assert_string_equal(text, path);
	while ((entry = readdir(directory)) != NULL) {
		count++;
		if (entry->d_name[0] == '.')
			continue;
		sprintf(below, "%s/%.8s", path[1] ? path : "", entry->d_name);
		assert_int_equal(lstat(host_path(pair, below), &status), 0);
		compare_status(pair, below, &status);
		if (S_ISDIR(status.st_mode))
			compare_trees(pair, below);
	}
	closedir(directory);
	assert_int_equal(count_entries(pair->fs, find(pair->fs, path)), count);
}

static void begin_pair(struct pair *pair, uint64_t seed)
{
	struct stat status;

	*pair = (struct pair){.fs = create(1024 * MEBIBYTE, 100000), .random = seed};
	snprintf(pair->host, sizeof(pair->host), "%s/kvmsb-tmpfs-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(pair->host));
	assert_int_equal(stat(pair->host, &status), 0);
	pair->counts_directories = status.st_nlink == 2;
	chmod(pair->host, 01777);
}

static void end_pair(struct pair *pair)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", pair->host);
	assert_int_equal(system(command), 0);
	tmpfs_release(pair->fs);
}

static void random_operations(void **state)
{
	uint64_t first = sequence_setting("KVMSB_SEED", 1);
	mode_t mask = umask(0);

	(void)state;
	for (uint64_t seed = first; seed < first + 6; seed++) {
		struct pair pair;
		char what[128];

		begin_pair(&pair, seed * UINT64_C(0x9e3779b97f4a7c15));
		for (unsigned i = 0; i < 3000; i++) {
			struct tmpfs *before = tmpfs_share(pair.fs);
			int results[2];

			assert_int_equal(tmpfs_make_own(&pair.fs, now), 0);
			operate(&pair, results, what);
			tmpfs_release(before);
			if (results[0] != results[1])
				fail_msg("seed %lu, step %u, %s: %d, Linux says %d", seed, i, what,
				         results[0], results[1]);
			if (i % 100 == 99)
				compare_trees(&pair, "/");
		}
		end_pair(&pair);
	}
	umask(mask);
}

/*
 * Content.
 */

static void holes_and_ends(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	uint8_t data[3 * TMPFS_CHUNK_SIZE];
	struct stat status;
	uint64_t file;

	(void)state;
	put(fs, "/f", "begin");
	file = find(fs, "/f");
	assert_int_equal(write_at(fs, file, UINT64_C(1) << 40, "end", 3), 3);
	assert_int_equal(tmpfs_size(fs, file), (UINT64_C(1) << 40) + 3);
	assert_int_equal(tmpfs_stat(fs, file, &status), 0);
	assert_int_equal(status.st_blocks, 16);
	assert_int_equal(tmpfs_seek_hole(fs, file, 0), TMPFS_CHUNK_SIZE);
	assert_int_equal(tmpfs_seek_data(fs, file, TMPFS_CHUNK_SIZE), UINT64_C(1) << 40);
	/* What lies past the end is zeros when the file grows again. */
	assert_int_equal(tmpfs_truncate(fs, file, 2), 0);
	assert_int_equal(tmpfs_truncate(fs, file, sizeof(data) + 1), 0);
	assert_int_equal(read_at(fs, file, 0, data, sizeof(data)), sizeof(data));
	assert_memory_equal(data, "be\0\0\0", 5);
	for (size_t i = 2; i < sizeof(data); i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(read_at(fs, file, sizeof(data), data, 100), 1);
	assert_int_equal(read_at(fs, file, sizeof(data) + 1, data, 100), 0);
	tmpfs_release(fs);
}

/* Room that fallocate(2) made past the end is given back by truncating. */
static void allocation(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	uint64_t file, before, after;

	(void)state;
	put(fs, "/f", "text");
	file = find(fs, "/f");
	before = tmpfs_used(fs);
	assert_int_equal(tmpfs_allocate(fs, file, FALLOC_FL_KEEP_SIZE, 0, 100 * 1024), 0);
	assert_int_equal(tmpfs_size(fs, file), 4);
	after = tmpfs_used(fs);
	assert_true(after >= before + 96 * 1024);
	assert_int_equal(tmpfs_allocate(fs, file, 0, 0, 2 * MEBIBYTE), -ENOSPC);
	assert_int_equal(tmpfs_used(fs), after);
	assert_int_equal(tmpfs_allocate(fs, file, 0, 0, 200 * 1024), 0);
	assert_int_equal(tmpfs_size(fs, file), 200 * 1024);
	assert_int_equal(tmpfs_allocate(fs, file, FALLOC_FL_ZERO_RANGE, 1, 2), 0);
	assert_int_equal(tmpfs_truncate(fs, file, 4), 0);
	assert_int_equal(tmpfs_used(fs), before);
	tmpfs_release(fs);
}

static void hostile_numbers(void **state)
{
	static const uint64_t numbers[] = {INT64_MAX - 1, INT64_MAX, (uint64_t)INT64_MAX + 1,
	                                   UINT64_MAX - 1, UINT64_MAX};
	struct tmpfs *fs = create(MEBIBYTE, 100);
	const struct iovec list[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cd", 2}};
	char data[8];
	uint64_t file;

	(void)state;
	put(fs, "/f", "x");
	file = find(fs, "/f");
	for (size_t i = 1; i < ARRAY_SIZE(numbers); i++) {
		uint64_t number = numbers[i];

		assert_int_equal(write_at(fs, file, number, "ab", 2), -EFBIG);
		assert_int_equal(read_at(fs, file, number, data, sizeof(data)), 0);
		assert_int_equal(tmpfs_truncate(fs, file, number), number > INT64_MAX ? -EINVAL : 0);
		assert_int_equal(tmpfs_truncate(fs, file, 1), 0);
		assert_true(tmpfs_allocate(fs, file, 0, number, number) < 0);
		assert_true(tmpfs_allocate(fs, file, 0, 1, number) < 0);
		assert_int_equal(tmpfs_seek_data(fs, file, number), -ENXIO);
		assert_int_equal(tmpfs_seek_hole(fs, file, number), -ENXIO);
	}
	/* Up to the largest offset, and no further. */
	assert_int_equal(tmpfs_write(fs, file, INT64_MAX - 3, list, 2), 3);
	assert_int_equal(tmpfs_size(fs, file), INT64_MAX);
	assert_int_equal(read_at(fs, file, INT64_MAX - 3, data, sizeof(data)), 3);
	assert_memory_equal(data, "abc", 3);
	assert_int_equal(
		tmpfs_allocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, INT64_MAX),
		0);
	/* The last chunk is not a whole one. */
	assert_int_equal(tmpfs_seek_data(fs, file, 0), align_down(INT64_MAX, TMPFS_CHUNK_SIZE));
	assert_int_equal(read_at(fs, file, INT64_MAX - 3, data, 3), 3);
	assert_memory_equal(data, "\0\0\0", 3);
	assert_int_equal(tmpfs_allocate(fs, file, 0, 0, 0), -EINVAL);
	assert_int_equal(tmpfs_allocate(fs, file, 0x40, 0, 1), -EOPNOTSUPP);
	tmpfs_release(fs);
}

static void what_is_no_file(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	const char *target;
	char data[1];

	(void)state;
	assert_int_equal(make_link(fs, "/x", "/l"), 0);
	assert_int_equal(read_at(fs, TMPFS_ROOT, 0, data, 1), -EISDIR);
	assert_int_equal(write_at(fs, TMPFS_ROOT, 0, data, 1), -EISDIR);
	assert_int_equal(tmpfs_truncate(fs, TMPFS_ROOT, 0), -EISDIR);
	assert_int_equal(write_at(fs, find(fs, "/l"), 0, data, 1), -EINVAL);
	assert_int_equal(tmpfs_target(fs, TMPFS_ROOT, &target), -EINVAL);
	assert_int_equal(write_at(fs, 0, 0, data, 1), -ENOENT);
	assert_int_equal(write_at(fs, UINT64_MAX, 0, data, 1), -ENOENT);
	assert_int_equal(tmpfs_seals(fs, TMPFS_ROOT), -EINVAL);
	assert_int_equal(make(fs, "/device", S_IFCHR | 0666), -EPERM);
	tmpfs_release(fs);
}

static void seals(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	uint64_t file;

	(void)state;
	assert_int_equal(tmpfs_make_unnamed(fs, 0777, 0, &file), 0);
	assert_int_equal(write_at(fs, file, 0, "text", 4), 4);
	assert_int_equal(tmpfs_add_seals(fs, file, 0x1000), -EINVAL);
	assert_int_equal(tmpfs_add_seals(fs, file, F_SEAL_GROW), 0);
	assert_int_equal(write_at(fs, file, 2, "abc", 3), -EPERM);
	assert_int_equal(write_at(fs, file, 2, "ab", 2), 2);
	assert_int_equal(tmpfs_truncate(fs, file, 5), -EPERM);
	assert_int_equal(tmpfs_allocate(fs, file, 0, 0, 5), -EPERM);
	assert_int_equal(tmpfs_truncate(fs, file, 3), 0);
	assert_int_equal(tmpfs_add_seals(fs, file, F_SEAL_SHRINK), 0);
	assert_int_equal(tmpfs_truncate(fs, file, 2), -EPERM);
	assert_int_equal(tmpfs_add_seals(fs, file, F_SEAL_WRITE | F_SEAL_SEAL), 0);
	assert_int_equal(write_at(fs, file, 0, "x", 1), -EPERM);
	assert_int_equal(tmpfs_allocate(fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1),
	                 -EPERM);
	assert_int_equal(tmpfs_add_seals(fs, file, F_SEAL_GROW), -EPERM);
	assert_int_equal(tmpfs_seals(fs, file),
	                 F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL);
	tmpfs_release(fs);
}

/*
 * Names.
 */

static void long_names(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	uint8_t data[512] __attribute__((aligned(8)));
	char path[300] = "/";
	uint64_t position = 2;
	const char *name;

	(void)state;
	memset(path + 1, 'n', 256);
	assert_int_equal(make(fs, path, S_IFREG | 0600), -ENAMETOOLONG);
	path[256] = '\0';
	assert_int_equal(make(fs, path, S_IFREG | 0600), 0);
	assert_true(find(fs, path) != 0);
	assert_int_equal(tmpfs_list(fs, TMPFS_ROOT, &position, data, 200), -EINVAL);
	assert_int_equal(tmpfs_list(fs, TMPFS_ROOT, &position, data, sizeof(data)), 280);
	entry_at(data, &name);
	assert_string_equal(name, path + 1);
	tmpfs_release(fs);
}

/* A path of 4096 characters, and deeper by moving: nothing here calls itself. */
static void deep_directories(void **state)
{
	struct tmpfs *fs = create(64 * MEBIBYTE, 100000);
	static char path[PATH_SIZE], other[PATH_SIZE], text[PATH_SIZE];
	size_t length = 0;

	(void)state;
	while (length + 2 < PATH_SIZE) {
		length += (size_t)sprintf(path + length, "/d");
		assert_int_equal(make(fs, path, S_IFDIR | 0700), 0);
	}
	assert_int_equal(tmpfs_path(fs, find(fs, path), text, sizeof(text)), length);
	assert_string_equal(text, path);
	assert_int_equal(tmpfs_path(fs, find(fs, path), text, length), -ENAMETOOLONG);
	for (unsigned i = 0; i < 20; i++) {
		/* The root's chain goes to the end of a new one. */
		uint64_t deepest;

		length = 0;
		while (length + 4 < PATH_SIZE) {
			length += (size_t)sprintf(other + length, "/e");
			assert_int_equal(make(fs, other, S_IFDIR | 0700), 0);
		}
		sprintf(other + length, "/d");
		assert_int_equal(rename_path(fs, "/d", other, 0), 0);
		deepest = find(fs, other);
		assert_int_equal(tmpfs_path(fs, deepest, text, 10), -ENAMETOOLONG);
		assert_int_equal(rename_path(fs, "/e", other, 0), -EINVAL);
		assert_int_equal(rename_path(fs, "/e", "/d", 0), 0);
	}
	tmpfs_release(fs);
}

static void renaming(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);

	(void)state;
	assert_int_equal(make(fs, "/d", S_IFDIR | 0700), 0);
	assert_int_equal(make(fs, "/d/e", S_IFDIR | 0700), 0);
	put(fs, "/d/e/f", "content");
	assert_int_equal(rename_path(fs, "/d", "/d/e/g", 0), -EINVAL);
	assert_int_equal(rename_path(fs, "/d", "/d/g", 0), -EINVAL);
	assert_int_equal(rename_path(fs, "/d/e/f", "/d", 0), -ENOTEMPTY);
	assert_int_equal(rename_path(fs, "/d/e/f", "/d/e", 0), -ENOTEMPTY);
	assert_int_equal(rename_path(fs, "/d", "/d/e/f", 0), -EINVAL);
	assert_int_equal(rename_path(fs, "/d/e", "/d/e/f", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_path(fs, "/d/e/f", "/d/e/f", 0), 0);
	assert_int_equal(rename_path(fs, "/d/e/f", "/x", 5), -EINVAL);
	assert_int_equal(rename_path(fs, "/d/e/f", "/x", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(rename_path(fs, "/d/e/f", "/x", 0), 0);
	assert_int_equal(rename_path(fs, "/x", "/d/e", 0), -EISDIR);
	assert_content(fs, "/x", "content");
	assert_int_equal(rename_path(fs, "/d", "/x", 0), -ENOTDIR);
	assert_int_equal(rename_path(fs, "/d/e", "/x", RENAME_EXCHANGE), 0);
	assert_content(fs, "/d/e", "content");
	assert_int_equal(count_entries(fs, find(fs, "/x")), 2);
	tmpfs_release(fs);
}

static void permissions(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);

	(void)state;
	assert_int_equal(make(fs, "/d", S_IFDIR | 0700), 0);
	put(fs, "/d/f", "x");
	assert_int_equal(tmpfs_set_mode(fs, find(fs, "/d"), 0500), 0);
	assert_int_equal(make(fs, "/d/g", S_IFREG | 0600), -EACCES);
	assert_int_equal(remove_path(fs, "/d/f", false), -EACCES);
	assert_int_equal(rename_path(fs, "/d/f", "/f", 0), -EACCES);
	assert_content(fs, "/d/f", "x");
	assert_int_equal(tmpfs_set_mode(fs, find(fs, "/d"), 0600), 0);
	assert_int_equal(remove_path(fs, "/d/f", false), -EACCES);
	assert_int_equal(find(fs, "/d/f"), 0);
	assert_int_equal(tmpfs_access(fs, find(fs, "/d"), R_OK | W_OK), 0);
	assert_int_equal(tmpfs_access(fs, find(fs, "/d"), X_OK), -EACCES);
	tmpfs_release(fs);
}

/* A directory that changes while it is read gives what stays, once. */
static void listing_while_changing(void **state)
{
	struct tmpfs *fs = create(16 * MEBIBYTE, 10000);
	uint8_t data[160] __attribute__((aligned(8)));
	unsigned seen[300] = {0}, number;
	uint64_t position = 0;
	char path[32];
	int64_t length;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		sprintf(path, "/%u", i);
		assert_int_equal(make(fs, path, S_IFREG | 0600), 0);
	}
	while ((length = tmpfs_list(fs, TMPFS_ROOT, &position, data, sizeof(data))) > 0) {
		for (int64_t at = 0; at < length;) {
			const char *name;

			at += (int64_t)entry_at(data + at, &name);
			if (sscanf(name, "%u", &number) == 1 && number < 300)
				seen[number]++;
			/* Odd ones go, and new ones come, but not for ever. */
			if (name[0] == '.' || number % 2 == 0 || number >= 300)
				continue;
			sprintf(path, "/%u", number);
			assert_int_equal(remove_path(fs, path, false), 0);
			sprintf(path, "/%u", number + 1000);
			assert_int_equal(make(fs, path, S_IFREG | 0600), 0);
		}
	}
	assert_int_equal(length, 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(seen[i], 1);
	tmpfs_release(fs);
}

/* What was open when its name went: there until it is forgotten. */
static void without_a_name(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	struct tmpfs_name name;
	uint64_t inode, orphan, other = 0, used = tmpfs_used(fs);
	struct stat status;

	(void)state;
	put(fs, "/f", "content");
	assert_false(tmpfs_next_orphan(fs, &other));
	assert_int_equal(walk(fs, "/f", &name, &inode), 0);
	assert_int_equal(tmpfs_unlink(fs, &name, &orphan), 0);
	assert_int_equal(orphan, inode);
	assert_int_equal(tmpfs_stat(fs, inode, &status), 0);
	assert_int_equal(status.st_nlink, 0);
	assert_int_equal(write_at(fs, inode, 7, "!", 1), 1);
	other = 0;
	assert_true(tmpfs_next_orphan(fs, &other));
	assert_int_equal(other, inode);
	assert_int_equal(tmpfs_forget(fs, inode), 0);
	assert_int_equal(tmpfs_stat(fs, inode, &status), -ENOENT);
	assert_int_equal(tmpfs_used(fs), used);
	assert_int_equal(tmpfs_forget(fs, TMPFS_ROOT), 0);
	assert_int_equal(tmpfs_stat(fs, TMPFS_ROOT, &status), 0);
	tmpfs_release(fs);
}

/* In a directory that was removed while open nothing can be made. */
static void removed_directory(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	struct tmpfs_name name, inside;
	uint64_t inode, orphan, position = 0;
	char text[100];

	(void)state;
	assert_int_equal(make(fs, "/d", S_IFDIR | 0700), 0);
	assert_int_equal(walk(fs, "/d", &name, &inode), 0);
	assert_int_equal(tmpfs_remove_directory(fs, &name, &orphan), 0);
	inside = (struct tmpfs_name){inode, "f", 1};
	assert_int_equal(tmpfs_make(fs, &inside, S_IFREG | 0600, &orphan), -ENOENT);
	assert_int_equal(tmpfs_list(fs, inode, &position, text, sizeof(text)), -ENOENT);
	assert_int_equal(tmpfs_path(fs, inode, text, sizeof(text)), -ENOENT);
	tmpfs_release(fs);
}

/*
 * Limits.
 */

static void limit_of_bytes(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);
	static uint8_t data[2 * MEBIBYTE];
	struct statfs status;
	int64_t written;

	(void)state;
	put(fs, "/f", "");
	written = write_at(fs, find(fs, "/f"), 0, data, sizeof(data));
	assert_in_range(written, MEBIBYTE / 2, MEBIBYTE);
	assert_true(tmpfs_used(fs) <= MEBIBYTE);
	assert_int_equal(write_at(fs, find(fs, "/f"), (uint64_t)written, data, 1), -ENOSPC);
	tmpfs_statfs(fs, &status);
	assert_in_range(status.f_bfree, 0, 2);
	assert_int_equal(status.f_blocks, 256);
	/* What is there can still be changed, and removed. */
	assert_int_equal(write_at(fs, find(fs, "/f"), 0, "x", 1), 1);
	assert_int_equal(remove_path(fs, "/f", false), 0);
	assert_true(tmpfs_used(fs) < 1024);
	tmpfs_release(fs);
}

static void limit_of_inodes(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 3);
	uint64_t used;

	(void)state;
	put(fs, "/a", "");
	put(fs, "/b", "");
	used = tmpfs_used(fs);
	assert_int_equal(make(fs, "/c", S_IFREG | 0600), -ENOSPC);
	assert_int_equal(make_link(fs, "x", "/c"), -ENOSPC);
	assert_int_equal(tmpfs_used(fs), used);
	assert_int_equal(tmpfs_inodes(fs), 3);
	assert_int_equal(link_path(fs, "/a", "/c"), 0);
	assert_int_equal(remove_path(fs, "/b", false), 0);
	assert_int_equal(make(fs, "/b", S_IFREG | 0600), 0);
	tmpfs_release(fs);
}

/* Names count too: empty files and hard links come to an end. */
static void limit_of_names(void **state)
{
	struct tmpfs *fs = create(MEBIBYTE, 1000000);
	unsigned count = 0;
	char path[300];
	int error;

	(void)state;
	put(fs, "/f", "");
	do {
		sprintf(path, "/%0200u", count++);
		error = count % 2 ? link_path(fs, "/f", path) : make(fs, path, S_IFDIR | 0700);
	} while (!error);
	assert_int_equal(error, -ENOSPC);
	assert_in_range(count, 1000, 4000);
	assert_true(tmpfs_used(fs) <= MEBIBYTE);
	assert_true(tmpfs_used(fs) > MEBIBYTE - 4096);
	tmpfs_release(fs);
}

/* What is counted is what is allocated, within some percent. */
static void what_counts_is_what_is_taken(void **state)
{
	struct tmpfs *fs = create(256 * MEBIBYTE, 1000000);
	char path[32];
	uint64_t before, used, inode;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		sprintf(path, "/%u", i);
		assert_int_equal(make(fs, path, S_IFREG | 0600), 0);
	}
	used = tmpfs_used(fs);
	before = allocated;
	inode = find(fs, "/77");
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(write_at(fs, inode, i * TMPFS_CHUNK_SIZE, "x", 1), 1);
	assert_in_range(tmpfs_used(fs) - used, allocated - before, (allocated - before) * 11 / 10);
	assert_in_range(used, 10000 * 250, 10000 * 500);
	for (unsigned i = 0; i < 10000; i++) {
		sprintf(path, "/%u", i);
		assert_int_equal(remove_path(fs, path, false), 0);
	}
	/* All of it comes back, but for nodes above the numbers that come next. */
	assert_true(tmpfs_used(fs) < 4096);
	tmpfs_release(fs);
}

/*
 * Several owners.
 */

static void forks_do_not_see_each_other(void **state)
{
	struct tmpfs *master = create(MEBIBYTE, 100), *first, *second;
	uint64_t inode;

	(void)state;
	assert_int_equal(make(master, "/d", S_IFDIR | 0700), 0);
	put(master, "/d/f", "master");
	inode = find(master, "/d/f");
	first = fork_of(master);
	second = fork_of(master);
	assert_int_equal(write_at(first, inode, 0, "FIRST", 5), 5);
	assert_int_equal(rename_path(second, "/d/f", "/g", 0), 0);
	assert_int_equal(tmpfs_truncate(second, inode, 3), 0);
	put(first, "/new", "x");
	assert_content(master, "/d/f", "master");
	assert_content(first, "/d/f", "FIRSTr");
	assert_content(second, "/g", "mas");
	assert_int_equal(find(master, "/new"), 0);
	assert_int_equal(find(second, "/d/f"), 0);
	assert_int_equal(find(first, "/g"), 0);
	/* The last owner of what the others gave up. */
	tmpfs_release(master);
	tmpfs_release(second);
	assert_content(first, "/d/f", "FIRSTr");
	assert_int_equal(remove_path(first, "/d/f", false), 0);
	assert_int_equal(remove_path(first, "/d", true), 0);
	tmpfs_release(first);
}

/* A fork pays for what it changes, whatever there is. */
static void changes_are_small(void **state)
{
	struct tmpfs *master = create(256 * MEBIBYTE, 1000000), *fork;
	static uint8_t data[MEBIBYTE];
	uint64_t before;
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		sprintf(path, "/%u", i);
		assert_int_equal(make(master, path, S_IFREG | 0600), 0);
	}
	put(master, "/f", "");
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(write_at(master, find(master, "/f"), i * MEBIBYTE, data, MEBIBYTE),
		                 MEBIBYTE);
	before = allocated;
	fork = tmpfs_share(master);
	assert_true(allocated == before);
	assert_int_equal(tmpfs_make_own(&fork, later), 0);
	assert_true(allocated - before < 512);
	assert_int_equal(write_at(fork, find(fork, "/f"), 50 * MEBIBYTE, "x", 1), 1);
	assert_true(allocated - before < 8192);
	before = allocated;
	put(fork, "/new", "");
	assert_int_equal(remove_path(fork, "/77", false), 0);
	assert_true(allocated - before < 16384);
	tmpfs_release(fork);
	tmpfs_release(master);
}

/* Threads change forks of one master at once, and some see it go. */
struct work {
	struct tmpfs *fs;
	uint64_t random;
};

static void *use_fork(void *argument)
{
	struct work *work = argument;
	char path[32], other[32];

	for (unsigned i = 0; i < 30; i++) {
		struct tmpfs *fork = fork_of(work->fs);

		for (unsigned j = 0; j < 60; j++) {
			sprintf(path, "/%u", sequence_below(&work->random, 40));
			sprintf(other, "/%u", sequence_below(&work->random, 40));
			make(fork, path, S_IFREG | 0600);
			write_at(fork, find(fork, path), sequence_below(&work->random, 9) * 4000,
			         path, 3);
			rename_path(fork, path, other, 0);
			remove_path(fork, path, false);
		}
		tmpfs_release(fork);
	}
	tmpfs_release(work->fs);
	return NULL;
}

static void forks_in_threads(void **state)
{
	struct tmpfs *master = create(MEBIBYTE, 1000);
	struct work work[4];
	pthread_t thread[4];
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		sprintf(path, "/%u", i);
		put(master, path, path);
	}
	for (unsigned i = 0; i < 4; i++) {
		work[i] = (struct work){tmpfs_share(master), i + 1};
		assert_int_equal(pthread_create(&thread[i], NULL, use_fork, &work[i]), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		sprintf(path, "/%u", i);
		assert_content(master, path, path);
	}
	tmpfs_release(master);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

/*
 * Allocations that fail.
 */

/* All there is, as a number. */
static uint64_t digest(const struct tmpfs *fs)
{
	uint64_t value = tmpfs_inodes(fs), position;
	uint8_t data[4096] __attribute__((aligned(8)));
	struct stat status;

	for (uint64_t inode = 1; inode < 64; inode++) {
		int64_t length;

		if (tmpfs_stat(fs, inode, &status))
			continue;
		status.st_blocks = 0;
		position = 0;
		length = S_ISDIR(status.st_mode)
		                 ? tmpfs_list(fs, inode, &position, data, sizeof(data))
		                 : read_at(fs, inode, 0, data, sizeof(data));
		for (size_t i = 0; i < sizeof(status); i++)
			value = value * 31 + ((uint8_t *)&status)[i];
		for (int64_t i = 0; i < length; i++)
			value = value * 31 + data[i];
	}
	return value;
}

static int step_make(struct tmpfs *fs)
{
	return make(fs, "/d/new", S_IFREG | 0600);
}

static int step_link(struct tmpfs *fs)
{
	return make_link(fs, "target", "/d/new");
}

static int step_hard_link(struct tmpfs *fs)
{
	return link_path(fs, "/f", "/d/new");
}

static int step_unlink(struct tmpfs *fs)
{
	return remove_path(fs, "/d/f", false);
}

static int step_rename(struct tmpfs *fs)
{
	return rename_path(fs, "/f", "/d/f", 0);
}

static int step_exchange(struct tmpfs *fs)
{
	return rename_path(fs, "/f", "/d/f", RENAME_EXCHANGE);
}

static int step_rmdir(struct tmpfs *fs)
{
	return remove_path(fs, "/e", true);
}

static int step_truncate(struct tmpfs *fs)
{
	return tmpfs_truncate(fs, find(fs, "/f"), 1);
}

static int step_allocate(struct tmpfs *fs)
{
	return tmpfs_allocate(fs, find(fs, "/f"), 0, 0, 20000);
}

static int step_mode(struct tmpfs *fs)
{
	return tmpfs_set_mode(fs, find(fs, "/f"), 0100);
}

static int step_write(struct tmpfs *fs)
{
	return (int)write_at(fs, find(fs, "/f"), 5000, "x", 1);
}

static struct tmpfs *prepared(void)
{
	struct tmpfs *fs = create(MEBIBYTE, 100);

	assert_int_equal(make(fs, "/d", S_IFDIR | 0700), 0);
	assert_int_equal(make(fs, "/e", S_IFDIR | 0700), 0);
	put(fs, "/f", "one");
	put(fs, "/d/f", "two");
	put(fs, "/d/g", "three");
	return fs;
}

static void every_allocation_fails(void **state)
{
	static int (*const steps[])(struct tmpfs *) = {
		step_make,  step_link, step_hard_link, step_unlink,   step_rename, step_exchange,
		step_rmdir, step_mode, step_truncate,  step_allocate, step_write,
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int result = -ENOMEM;

		for (unsigned n = 1; result == -ENOMEM; n++) {
			struct tmpfs *master = prepared(), *fork = fork_of(master);
			uint64_t before = digest(master), used = tmpfs_used(fork);

			failing = n;
			result = steps[i](fork);
			failing = 0;
			assert_true(digest(master) == before);
			if (result < 0) {
				assert_int_equal(result, -ENOMEM);
				assert_true(digest(fork) == before);
				assert_in_range(tmpfs_used(fork), used, used + 4 * SPARSE_NODE_COST);
			} else {
				assert_true(n > 2);
				assert_true(digest(fork) != before);
			}
			tmpfs_release(fork);
			tmpfs_release(master);
		}
	}
}

/*
 * Sparse arrays by themselves: compared with a plain array.
 */

struct number {
	struct shared shared;
	uint64_t value;
};

static void destroy_number(struct shared *shared)
{
	free(shared);
}

static struct shared *create_number(uint64_t value)
{
	struct number *number = malloc(sizeof(*number));

	assert_non_null(number);
	shared_init(&number->shared);
	number->value = value;
	return &number->shared;
}

static void sparse_arrays(void **state)
{
	static const uint64_t bases[] = {0, 4090, UINT64_C(1) << 40, UINT64_MAX - 500};
	uint64_t model[ARRAY_SIZE(bases)][500] = {{0}}, random = 5;
	struct sparse array;

	(void)state;
	sparse_init(&array, destroy_number);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned base = sequence_below(&random, ARRAY_SIZE(bases));
		unsigned index = sequence_below(&random, 500);
		uint64_t at = bases[base] + index, next;
		struct sparse before = sparse_share(&array);
		struct number *found;

		if (sequence_below(&random, 3)) {
			model[base][index] = step + 1;
			assert_int_equal(sparse_set(&array, at, create_number(step + 1)), 0);
		} else {
			model[base][index] = 0;
			assert_int_equal(sparse_remove(&array, at), 0);
		}
		sparse_release(&before);
		index = sequence_below(&random, 500);
		next = at = bases[base] + index;
		found = (struct number *)(void *)sparse_get(&array, at);
		assert_int_equal(found ? found->value : 0, model[base][index]);
		while (index < 500 && !model[base][index])
			index++;
		if (index < 500) {
			assert_true(sparse_next(&array, &next));
			assert_true(next == bases[base] + index);
		}
	}
	for (unsigned base = 0; base < ARRAY_SIZE(bases); base++)
		for (unsigned i = 0; i < 500; i++)
			assert_int_equal(sparse_remove(&array, bases[base] + i), 0);
	assert_null(array.root);
	assert_int_equal(array.nodes, 0);
	sparse_release(&array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sparse_arrays),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(holes_and_ends),
		cmocka_unit_test(allocation),
		cmocka_unit_test(hostile_numbers),
		cmocka_unit_test(what_is_no_file),
		cmocka_unit_test(seals),
		cmocka_unit_test(long_names),
		cmocka_unit_test(deep_directories),
		cmocka_unit_test(renaming),
		cmocka_unit_test(permissions),
		cmocka_unit_test(listing_while_changing),
		cmocka_unit_test(without_a_name),
		cmocka_unit_test(removed_directory),
		cmocka_unit_test(limit_of_bytes),
		cmocka_unit_test(limit_of_inodes),
		cmocka_unit_test(limit_of_names),
		cmocka_unit_test(what_counts_is_what_is_taken),
		cmocka_unit_test(forks_do_not_see_each_other),
		cmocka_unit_test(changes_are_small),
		cmocka_unit_test(forks_in_threads),
		cmocka_unit_test(every_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
