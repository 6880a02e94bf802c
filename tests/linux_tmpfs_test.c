/* SPDX-License-Identifier: MIT */
/*
 * /tmp in memory and files of memfd_create(2), through system calls: what each
 * answers, also to hostile arguments; what forks see of their master's files;
 * and where files that nobody can reach any more go. What the file system itself
 * does is tmpfs_test.c's.
 */
#include "fake_guest.h"

#include "linux/files.h"
#include "linux/memory_place.h"
#include "linux/mm.h"
#include "linux/path.h"
#include "linux/policy.h"
#include "linux/tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_AT FAKE_START
#define PATH_2_AT (FAKE_START + 8 * PAGE_SIZE)
#define DATA_AT (FAKE_START + 16 * PAGE_SIZE)
#define MEBIBYTE (UINT64_C(1) << 20)

struct fixture {
	char host[64]; /* a directory of the host with a file "inner" */
	struct policy *policy;
	struct process_config config;
	struct fake_guest guest;
};

static char directory[] = "/", program[] = "/program";

/* One rule for a file beneath /tmp, and one that allows writing elsewhere. */
static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char file[80];
	struct kvmsb_path_rule rules[] = {
		{.path = "/tmp/rules/inner", .target = file},
		{.path = "/writable",
	         .target = fixture ? fixture->host : NULL,
	         .access = KVMSB_PATH_READ | KVMSB_PATH_WRITE},
	};

	assert_non_null(fixture);
	strcpy(fixture->host, "/tmp/kvmsb-tmpfs-XXXXXX");
	assert_non_null(mkdtemp(fixture->host));
	sprintf(file, "%s/inner", fixture->host);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(policy_create(&fixture->policy, rules, 2, NULL), 0);
	fixture->config = (struct process_config){
		.policy = fixture->policy,
		.directory = directory,
		.program = program,
		.temporary_size = MEBIBYTE,
		.memory_file_limit = MEBIBYTE,
	};
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	fake_guest_destroy(&fixture->guest);
	policy_destroy(fixture->policy);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->host);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

static struct fake_guest *guest_of(void **state)
{
	return &((struct fixture *)*state)->guest;
}

static uint64_t path(struct fake_guest *guest, const char *text)
{
	return fake_string(guest, PATH_AT, text);
}

static uint64_t other(struct fake_guest *guest, const char *text)
{
	return fake_string(guest, PATH_2_AT, text);
}

static int open_file(struct fake_guest *guest, const char *name, int flags)
{
	return (int)CALL(guest, SYS_open, path(guest, name), flags, 0644);
}

static int64_t write_text(struct fake_guest *guest, int fd, const char *text)
{
	return CALL(guest, SYS_write, fd, fake_string(guest, DATA_AT, text), strlen(text));
}

static void put(struct fake_guest *guest, const char *name, const char *text)
{
	int fd = open_file(guest, name, O_CREAT | O_EXCL | O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write_text(guest, fd, text), strlen(text));
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
}

static void assert_content_of(struct fake_guest *guest, int fd, const char *text)
{
	memset(fake_pointer(guest, DATA_AT), 0, 256);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 256, 0), strlen(text));
	assert_string_equal(fake_pointer(guest, DATA_AT), text);
}

static void assert_content(struct fake_guest *guest, const char *name, const char *text)
{
	int fd = open_file(guest, name, O_RDONLY);

	assert_true(fd >= 0);
	assert_content_of(guest, fd, text);
	CALL(guest, SYS_close, fd);
}

static const struct stat *status_of(struct fake_guest *guest, const char *name)
{
	assert_int_equal(CALL(guest, SYS_lstat, path(guest, name), DATA_AT), 0);
	return fake_pointer(guest, DATA_AT);
}

#define MKDIR(name) CALL(guest, SYS_mkdir, path(guest, name), 0755)
#define RENAME(from, to) CALL(guest, SYS_rename, path(guest, from), other(guest, to))

/*
 * Places.
 */

static void there_is_none_by_default(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest other_guest;
	struct fake_guest *guest = &other_guest;
	struct process_config config = fixture->config;

	config.temporary_size = 0;
	fake_guest_create(guest, &config);
	assert_int_equal(open_file(guest, "/tmp/a", O_CREAT | O_WRONLY), -EACCES);
	config.policy = NULL;
	assert_int_equal(open_file(guest, "/tmp/a", O_CREAT | O_WRONLY), -ENOENT);
	/* But files without names. */
	assert_true(CALL(guest, SYS_memfd_create, path(guest, "x"), 0) >= 0);
	fake_guest_destroy(guest);
}

/* The current directory of the beginning is there, and whatever else its path says. */
static void first_directory(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest other_guest;
	struct fake_guest *guest = &other_guest;
	struct process_config config = fixture->config;
	char first[] = "/tmp/a/b";

	config.directory = first;
	fake_guest_create(guest, &config);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), 9);
	put(guest, "f", "x");
	assert_content(guest, "/tmp/a/b/f", "x");
	fake_guest_destroy(guest);
}

static void open_flags(void **state)
{
	struct fake_guest *guest = guest_of(state);
	int fd;

	assert_int_equal(open_file(guest, "/tmp/f", O_RDWR), -ENOENT);
	put(guest, "/tmp/f", "content");
	assert_int_equal(open_file(guest, "/tmp/f", O_CREAT | O_EXCL | O_RDWR), -EEXIST);
	assert_int_equal(open_file(guest, "/tmp/f/", O_RDONLY), -ENOTDIR);
	assert_int_equal(open_file(guest, "/tmp/f/g", O_CREAT | O_RDWR), -ENOTDIR);
	assert_int_equal(open_file(guest, "/tmp/new/", O_CREAT | O_RDWR), -EISDIR);
	assert_int_equal(open_file(guest, "/tmp", O_RDWR), -EISDIR);
	assert_int_equal(open_file(guest, "/tmp/f", O_DIRECTORY), -ENOTDIR);
	assert_int_equal(open_file(guest, "/tmp/none/f", O_CREAT | O_RDWR), -ENOENT);
	fd = open_file(guest, "/tmp/f", O_WRONLY | O_APPEND);
	assert_int_equal(write_text(guest, fd, " more"), 5);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 12);
	assert_content(guest, "/tmp/f", "content more");
	assert_true(open_file(guest, "/tmp/f", O_RDONLY | O_TRUNC) >= 0);
	assert_content(guest, "/tmp/f", "");
	fd = open_file(guest, "/tmp/f", O_PATH);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_chmod, path(guest, "/tmp/f"), 0), 0);
	assert_int_equal(open_file(guest, "/tmp/f", O_RDONLY), -EACCES);
	assert_int_equal(CALL(guest, SYS_access, path(guest, "/tmp/f"), R_OK), -EACCES);
	assert_int_equal(CALL(guest, SYS_access, path(guest, "/tmp/f"), F_OK), 0);
}

static void owner_and_umask(void **state)
{
	struct fake_guest *guest = guest_of(state);
	const struct stat *status;

	CALL(guest, SYS_umask, 027);
	put(guest, "/tmp/f", "");
	assert_int_equal(MKDIR("/tmp/d/"), 0);
	status = status_of(guest, "/tmp/d");
	assert_int_equal(status->st_mode, S_IFDIR | 0750);
	status = status_of(guest, "/tmp/f");
	assert_int_equal(status->st_mode, S_IFREG | 0640);
	assert_int_equal(status->st_uid, PROCESS_USER);
	assert_int_equal(CALL(guest, SYS_chown, path(guest, "/tmp/f"), PROCESS_USER, -1), 0);
	assert_int_equal(CALL(guest, SYS_chown, path(guest, "/tmp/f"), 0, -1), -EPERM);
}

static void times(void **state)
{
	struct fake_guest *guest = guest_of(state);
	const struct timespec values[2] = {{.tv_sec = 5, .tv_nsec = 6}, {.tv_nsec = UTIME_OMIT}};
	const struct stat *status;
	struct timespec made;

	put(guest, "/tmp/f", "x");
	made = status_of(guest, "/tmp/f")->st_mtim;
	assert_in_range(made.tv_sec, time(NULL) - 100, time(NULL));
	memcpy(fake_pointer(guest, DATA_AT), values, sizeof(values));
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, path(guest, "/tmp/f"), DATA_AT, 0), 0);
	status = status_of(guest, "/tmp/f");
	assert_int_equal(status->st_atim.tv_sec, 5);
	assert_int_equal(status->st_atim.tv_nsec, 6);
	assert_memory_equal(&status->st_mtim, &made, sizeof(made));
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, path(guest, "/tmp/f"), FAKE_HOLE, 0),
	                 -EFAULT);
}

/* With a clock that is made up, files have its times: the same in each run. */
static void times_made_up(void **state)
{
	struct fixture *fixture = *state;
	struct process_config config = fixture->config;
	struct timespec made[2];

	config.clock = KVMSB_CLOCK_MADE_UP;
	config.clock_start = UINT64_C(7000000000);
	config.clock_step = 1000;
	for (int i = 0; i < 2; i++) {
		struct fake_guest other_guest;
		struct fake_guest *guest = &other_guest;

		fake_guest_create(guest, &config);
		put(guest, "/tmp/f", "x");
		made[i] = status_of(guest, "/tmp/f")->st_mtim;
		assert_int_equal(made[i].tv_sec, 7);
		assert_int_equal(status_of(guest, "/tmp")->st_atim.tv_sec, 7);
		fake_guest_destroy(guest);
	}
	assert_memory_equal(&made[0], &made[1], sizeof(made[0]));
}

static void mount_point(void **state)
{
	struct fake_guest *guest = guest_of(state);

	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp")), -EBUSY);
	assert_int_equal(RENAME("/tmp", "/tmp/x"), -EBUSY);
	assert_int_equal(MKDIR("/tmp"), -EEXIST);
	assert_int_equal(status_of(guest, "/tmp")->st_mode, S_IFDIR | 01777);
	assert_int_equal(CALL(guest, SYS_access, path(guest, "/tmp"), W_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, path(guest, "/"), W_OK), -EACCES);
}

/* Rules for paths beneath go first, and nothing moves between file systems. */
static void rules_and_other_file_systems(void **state)
{
	struct fake_guest *guest = guest_of(state);

	put(guest, "/tmp/f", "x");
	assert_true(open_file(guest, "/tmp/rules/inner", O_RDONLY) >= 0);
	assert_int_equal(open_file(guest, "/tmp/rules/inner", O_WRONLY), -EROFS);
	assert_int_equal(open_file(guest, "/tmp/rules", O_RDONLY), -EACCES);
	assert_int_equal(CALL(guest, SYS_unlink, path(guest, "/tmp/rules/inner")), -EROFS);
	assert_int_equal(RENAME("/tmp/f", "/writable/f"), -EXDEV);
	assert_int_equal(RENAME("/writable/inner", "/tmp/g"), -EXDEV);
	assert_int_equal(CALL(guest, SYS_link, path(guest, "/tmp/f"), other(guest, "/writable/f")),
	                 -EXDEV);
	assert_int_equal(CALL(guest, SYS_link, path(guest, "/writable/inner"), other(guest, "/tmp/g")),
	                 -EXDEV);
	assert_content(guest, "/tmp/f", "x");
	/* A link leads from one to the other. */
	assert_int_equal(
		CALL(guest, SYS_symlink, path(guest, "/writable/inner"), other(guest, "/tmp/l")), 0);
	assert_true(open_file(guest, "/tmp/l", O_RDWR) >= 0);
	assert_int_equal(CALL(guest, SYS_symlink, path(guest, "../secret"), other(guest, "/tmp/m")),
	                 0);
	assert_int_equal(open_file(guest, "/tmp/m", O_RDONLY), -ENOENT);
}

static void links(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS};
	char name[16], target[16];

	put(guest, "/tmp/f", "x");
	assert_int_equal(MKDIR("/tmp/d"), 0);
	put(guest, "/tmp/d/g", "y");
	assert_int_equal(CALL(guest, SYS_symlink, path(guest, "d"), other(guest, "/tmp/l")), 0);
	assert_content(guest, "/tmp/l/g", "y");
	assert_int_equal(open_file(guest, "/tmp/l", O_NOFOLLOW), -ELOOP);
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp/l")), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_symlink, path(guest, "x"), other(guest, "/tmp/l")), -EEXIST);
	assert_int_equal(CALL(guest, SYS_readlink, path(guest, "/tmp/l"), DATA_AT, 100), 1);
	assert_int_equal(CALL(guest, SYS_readlink, path(guest, "/tmp/f"), DATA_AT, 100), -EINVAL);
	memcpy(fake_pointer(guest, DATA_AT), &how, sizeof(how));
	assert_int_equal(
		CALL(guest, SYS_openat2, AT_FDCWD, path(guest, "/tmp/l/g"), DATA_AT, sizeof(how)),
		-ELOOP);
	/* To itself, and a chain of forty and one more. */
	assert_int_equal(CALL(guest, SYS_symlink, path(guest, "loop"), other(guest, "/tmp/loop")), 0);
	assert_int_equal(open_file(guest, "/tmp/loop", O_RDONLY), -ELOOP);
	for (int i = 0; i < 41; i++) {
		sprintf(target, i ? "c%d" : "f", i);
		sprintf(name, "/tmp/c%d", i + 1);
		assert_int_equal(CALL(guest, SYS_symlink, path(guest, target), other(guest, name)),
		                 0);
	}
	assert_content(guest, "/tmp/c40", "x");
	assert_int_equal(open_file(guest, "/tmp/c41", O_RDONLY), -ELOOP);
	/* A dangling link is made what it leads to. */
	assert_int_equal(CALL(guest, SYS_symlink, path(guest, "d/new"), other(guest, "/tmp/n")), 0);
	assert_true(open_file(guest, "/tmp/n", O_CREAT | O_WRONLY) >= 0);
	assert_content(guest, "/tmp/d/new", "");
	assert_int_equal(CALL(guest, SYS_linkat, AT_FDCWD, path(guest, "/tmp/c1"), AT_FDCWD,
	                      other(guest, "/tmp/hard"), AT_SYMLINK_FOLLOW),
	                 0);
	assert_int_equal(status_of(guest, "/tmp/f")->st_nlink, 2);
}

static void names(void **state)
{
	struct fake_guest *guest = guest_of(state);
	char name[300] = "/tmp/";

	memset(name + 5, 'n', 256);
	assert_int_equal(open_file(guest, name, O_CREAT | O_WRONLY), -ENAMETOOLONG);
	assert_int_equal(MKDIR(name), -ENAMETOOLONG);
	name[5 + 255] = '\0';
	assert_int_equal(MKDIR(name), 0);
	assert_int_equal(MKDIR(name), -EEXIST);
	put(guest, "/tmp/f", "x");
	assert_int_equal(CALL(guest, SYS_unlink, path(guest, "/tmp/f/")), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp/f")), -ENOTDIR);
	assert_int_equal(RENAME("/tmp/f", "/tmp/g/"), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_link, path(guest, "/tmp/f"), other(guest, "/tmp/g/")),
	                 -ENOENT);
	assert_int_equal(CALL(guest, SYS_mknod, path(guest, "/tmp/g/"), S_IFREG | 0600, 0), -ENOENT);
	assert_int_equal(CALL(guest, SYS_mknod, path(guest, "/tmp/g"), S_IFCHR | 0600, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_mknod, path(guest, "/tmp/g"), S_IFREG | 0600, 0), 0);
	assert_int_equal(CALL(guest, SYS_unlink, path(guest, name)), -EISDIR);
	sprintf(name, "/tmp/d");
	assert_int_equal(MKDIR(name), 0);
	put(guest, "/tmp/d/f", "x");
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, name)), -ENOTEMPTY);
	assert_int_equal(RENAME("/tmp/d", "/tmp/d/e"), -EINVAL);
	assert_int_equal(RENAME("/tmp/d", "/tmp/f"), -ENOTDIR);
}

/* As deep as a path can say. */
static void deep_directories(void **state)
{
	struct fake_guest *guest = guest_of(state);
	char name[PATH_SIZE] = "/tmp";
	unsigned depth = 0;

	while (strlen(name) + 3 < sizeof(name)) {
		strcat(name, "/d");
		assert_int_equal(MKDIR(name), 0);
		depth++;
	}
	assert_int_equal(depth, 2045);
	strcat(name, "d");
	assert_int_equal(strlen(name), PATH_SIZE - 1);
	put(guest, name, "deep");
	assert_content(guest, name, "deep");
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp/d")), -ENOTEMPTY);
}

/*
 * Directories that are open or the current one.
 */

static void current_directory_removed(void **state)
{
	struct fake_guest *guest = guest_of(state);

	assert_int_equal(MKDIR("/tmp/d"), 0);
	assert_int_equal(CALL(guest, SYS_chdir, path(guest, "/tmp/d")), 0);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), 7);
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp/d")), 0);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), -ENOENT);
	assert_int_equal(open_file(guest, "f", O_CREAT | O_WRONLY), -ENOENT);
	assert_int_equal(CALL(guest, SYS_stat, path(guest, "."), DATA_AT), -ENOENT);
	assert_int_equal(CALL(guest, SYS_chdir, path(guest, "..")), 0);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), 5);
}

/* What is open is found wherever it was moved. */
static void open_directory_moved(void **state)
{
	struct fake_guest *guest = guest_of(state);
	int fd;

	assert_int_equal(MKDIR("/tmp/d"), 0);
	put(guest, "/tmp/d/f", "x");
	fd = open_file(guest, "/tmp/d", O_RDONLY | O_DIRECTORY);
	assert_int_equal(MKDIR("/tmp/e"), 0);
	assert_int_equal(RENAME("/tmp/d", "/tmp/e/g"), 0);
	assert_true(CALL(guest, SYS_openat, fd, path(guest, "f"), O_RDONLY) >= 0);
	assert_int_equal(CALL(guest, SYS_unlinkat, fd, path(guest, "f"), 0), 0);
	assert_int_equal(CALL(guest, SYS_fchdir, fd), 0);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), 9);
	assert_string_equal(fake_pointer(guest, DATA_AT), "/tmp/e/g");
	assert_int_equal(CALL(guest, SYS_rmdir, path(guest, "/tmp/e/g")), 0);
	assert_int_equal(CALL(guest, SYS_openat, fd, path(guest, "f"), O_CREAT | O_WRONLY, 0600),
	                 -ENOENT);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 1024), -ENOENT);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_fchdir, fd), -ENOENT);
}

static void listing(void **state)
{
	struct fake_guest *guest = guest_of(state);
	struct dirent64 *entry = fake_pointer(guest, DATA_AT);
	int fd;

	put(guest, "/tmp/f", "x");
	fd = open_file(guest, "/tmp", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 23), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 24), 24);
	assert_string_equal(entry->d_name, ".");
	assert_int_equal(CALL(guest, SYS_getdents64, fd, FAKE_HOLE, 100), -EFAULT);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 100), 48);
	assert_string_equal(entry->d_name, "..");
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 100), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 2, SEEK_SET), 2);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 100), 24);
	assert_string_equal(entry->d_name, "f");
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 100), 0);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), -EISDIR);
}

/*
 * Content.
 */

static void hostile_numbers(void **state)
{
	struct fake_guest *guest = guest_of(state);
	int fd;

	put(guest, "/tmp/f", "content");
	fd = open_file(guest, "/tmp/f", O_RDWR);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 1, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 1, INT64_MAX), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 9, INT64_MAX - 2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 2, INT64_MAX - 2), 2);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_END), INT64_MAX);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 1, SEEK_END), -EOVERFLOW);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, UINT64_MAX), -EFAULT);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 7), 0);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, INT64_MAX, INT64_MAX), -EFBIG);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, INT64_MAX), -ENOSPC);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
	                 -EOPNOTSUPP);
	assert_content(guest, "/tmp/f", "content");
	/* What the guest cannot be given, or take from, moves nothing; what can, before it. */
	assert_int_equal(CALL(guest, SYS_pread64, fd, FAKE_HOLE, 7, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_pread64, fd, FAKE_READ_ONLY, 7, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, FAKE_HOLE, 7, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, FAKE_HOLE - 5, 10, 0), 5);
}

/* Through pieces of guest memory of one page each, at odd places. */
static void large_transfers(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint8_t *data = fake_pointer(guest, DATA_AT);
	const uint64_t length = 100 * PAGE_SIZE + 77;
	uint8_t *copy = malloc(length);
	int fd = open_file(guest, "/tmp/f", O_CREAT | O_RDWR);

	assert_non_null(copy);
	for (uint64_t i = 0; i < length; i++)
		copy[i] = data[3 + i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT + 3, length, 1001), length);
	memset(data, 0, length + 100);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT + 11, length + 5000, 1001), length);
	assert_memory_equal(data + 11, copy, length);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_HOLE), 1001 + length);
	assert_int_equal(CALL(guest, SYS_copy_file_range, fd, 0, fd, 0, 1, 0), -ENOSYS);
	free(copy);
}

static void room(void **state)
{
	struct fake_guest *guest = guest_of(state);
	const struct statfs *status = fake_pointer(guest, DATA_AT);
	int fd = open_file(guest, "/tmp/f", O_CREAT | O_RDWR);
	uint64_t written = 0;
	int64_t result;
	int second;

	while ((result = CALL(guest, SYS_write, fd, DATA_AT, 60000)) > 0)
		written += (uint64_t)result;
	assert_int_equal(result, -ENOSPC);
	assert_in_range(written, MEBIBYTE * 9 / 10, MEBIBYTE);
	assert_int_equal(CALL(guest, SYS_statfs, path(guest, "/tmp"), DATA_AT), 0);
	assert_int_equal(status->f_type, 0x01021994);
	assert_in_range(status->f_bfree, 0, 2);
	/* Files without a name count with the others, and those that are still open. */
	second = (int)CALL(guest, SYS_memfd_create, path(guest, "x"), 0);
	assert_int_equal(CALL(guest, SYS_write, second, DATA_AT, 60000), -ENOSPC);
	assert_int_equal(CALL(guest, SYS_unlink, path(guest, "/tmp/f")), 0);
	assert_int_equal(CALL(guest, SYS_write, second, DATA_AT, 60000), -ENOSPC);
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	assert_int_equal(CALL(guest, SYS_write, second, DATA_AT, 60000), 60000);
}

/* Files without a name go with their last descriptor, by whichever call. */
static void files_without_names_go(void **state)
{
	struct fake_guest *guest = guest_of(state);
	uint64_t before = tmpfs_used(guest->process.tmpfs);
	int fd, second;

	fd = open_file(guest, "/tmp", O_TMPFILE | O_RDWR);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 100000), 100000);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(((struct stat *)fake_pointer(guest, DATA_AT))->st_nlink, 0);
	second = (int)CALL(guest, SYS_dup, fd);
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	assert_true(tmpfs_used(guest->process.tmpfs) > before + 100000);
	assert_int_equal(CALL(guest, SYS_dup2, 0, second), second);
	assert_int_equal(tmpfs_used(guest->process.tmpfs), before);
	fd = (int)CALL(guest, SYS_memfd_create, path(guest, "x"), 0);
	assert_int_equal(CALL(guest, SYS_close_range, fd, fd, 0), 0);
	assert_int_equal(tmpfs_used(guest->process.tmpfs), before);
	put(guest, "/tmp/f", "x");
	put(guest, "/tmp/g", "y");
	assert_int_equal(RENAME("/tmp/f", "/tmp/g"), 0);
	assert_int_equal(tmpfs_inodes(guest->process.tmpfs), 2);
	assert_int_equal(CALL(guest, SYS_unlink, path(guest, "/tmp/g")), 0);
	assert_int_equal(tmpfs_used(guest->process.tmpfs), before);
	assert_int_equal(open_file(guest, "/tmp", O_TMPFILE | O_RDONLY), -EINVAL);
}

static void memfd(void **state)
{
	struct fake_guest *guest = guest_of(state);
	char name[300];
	int fd;

	memset(name, 'n', sizeof(name));
	name[250] = '\0';
	assert_int_equal(CALL(guest, SYS_memfd_create, path(guest, name), 0), -EINVAL);
	name[249] = '\0';
	assert_true(CALL(guest, SYS_memfd_create, path(guest, name), 0) >= 0);
	assert_int_equal(CALL(guest, SYS_memfd_create, FAKE_HOLE, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_memfd_create, path(guest, "x"), MFD_HUGETLB), -EINVAL);
	assert_int_equal(CALL(guest, SYS_memfd_create, path(guest, "x"), 0x18), -EINVAL);
	fd = (int)CALL(guest, SYS_memfd_create, path(guest, "x"), MFD_CLOEXEC);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GET_SEALS), F_SEAL_SEAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);
	fd = (int)CALL(guest, SYS_memfd_create, path(guest, "x"), MFD_ALLOW_SEALING);
	assert_int_equal(write_text(guest, fd, "text"), 4);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(write_text(guest, fd, "text"), -EPERM);
	assert_content_of(guest, fd, "text");
	sprintf(name, "/proc/self/fd/%d", fd);
	assert_int_equal(CALL(guest, SYS_readlink, path(guest, name), DATA_AT, 100), 18);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "/memfd:x (deleted)", 18);
	fd = (int)CALL(guest, SYS_memfd_create, path(guest, "x"), 8);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 0700), -EPERM);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 0600), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, 0, F_GET_SEALS), -EINVAL);
}

/*
 * Forks.
 */

static void forks(void **state)
{
	struct fake_guest *master = guest_of(state);
	struct fake_guest first, second;
	int named, unnamed, memory;

	put(master, "/tmp/f", "master");
	put(master, "/tmp/g", "unnamed");
	named = open_file(master, "/tmp/f", O_RDWR);
	unnamed = open_file(master, "/tmp/g", O_RDWR);
	memory = (int)CALL(master, SYS_memfd_create, path(master, "x"), 0);
	CALL(master, SYS_unlink, path(master, "/tmp/g"));
	fake_guest_fork(&first, master);
	fake_guest_fork(&second, master);
	assert_ptr_equal(first.process.tmpfs, master->process.tmpfs);
	/* With offsets of their own, and what they wrote themselves. */
	assert_int_equal(write_text(&first, named, "FIRST"), 5);
	assert_int_equal(write_text(&first, unnamed, "FIRST"), 5);
	assert_int_equal(write_text(&first, memory, "FIRST"), 5);
	assert_int_equal(CALL(&second, SYS_read, named, DATA_AT, 3), 3);
	assert_ptr_equal(second.process.tmpfs, master->process.tmpfs);
	assert_content(&first, "/tmp/f", "FIRSTr");
	assert_content_of(&first, unnamed, "FIRSTed");
	assert_content_of(&second, unnamed, "unnamed");
	assert_content_of(&second, memory, "");
	/* What one of them closes is still there for the others. */
	assert_int_equal(CALL(&second, SYS_close, unnamed), 0);
	assert_content_of(&first, unnamed, "FIRSTed");
	process_reset(&first.process, &master->process);
	assert_ptr_equal(first.process.tmpfs, master->process.tmpfs);
	assert_content(&first, "/tmp/f", "master");
	assert_content_of(&first, unnamed, "unnamed");
	fake_guest_destroy(&first);
	fake_guest_destroy(&second);
}

/* A read, a look and a list leave nothing of a fork's own. */
static void looking_shares(void **state)
{
	struct fake_guest *master = guest_of(state);
	struct fake_guest fork;

	put(master, "/tmp/f", "x");
	fake_guest_fork(&fork, master);
	assert_content(&fork, "/tmp/f", "x");
	status_of(&fork, "/tmp/f");
	assert_int_equal(open_file(&fork, "/tmp/f", O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
	assert_int_equal(open_file(&fork, "/tmp", O_WRONLY), -EISDIR);
	assert_ptr_equal(fork.process.tmpfs, master->process.tmpfs);
	fake_guest_destroy(&fork);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(there_is_none_by_default),
		TEST(first_directory),
		TEST(open_flags),
		TEST(owner_and_umask),
		TEST(times),
		TEST(times_made_up),
		TEST(mount_point),
		TEST(rules_and_other_file_systems),
		TEST(links),
		TEST(names),
		TEST(deep_directories),
		TEST(current_directory_removed),
		TEST(open_directory_moved),
		TEST(listing),
		TEST(hostile_numbers),
		TEST(large_transfers),
		TEST(room),
		TEST(files_without_names_go),
		TEST(memfd),
		TEST(forks),
		TEST(looking_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
