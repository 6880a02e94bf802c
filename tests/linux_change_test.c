/* SPDX-License-Identifier: MIT */
/*
 * Files of the host that a guest may change: what it makes, writes, renames and
 * removes beneath a writable rule, that none of it leads out, also while the host
 * puts something in the way, and that the host's policy is asked for every path.
 */
#include "fake_guest.h"

#include "failing_allocations.h"
#include "linux/dispatch.h"
#include "linux/files.h"
#include "linux/handlers.h"
#include "linux/policy.h"
#include "open_descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME_SIZE 256

#define PATH_AT FAKE_START
#define PATH_2_AT (FAKE_START + 8 * PAGE_SIZE)
#define DATA_AT (FAKE_START + 16 * PAGE_SIZE)
#define VECTOR_AT (FAKE_START + 200 * PAGE_SIZE)

#define RENAME_NOREPLACE_FLAG 1
#define RENAME_EXCHANGE_FLAG 2

/*
 * Beneath the root, whose name is the guest's for all but "/data":
 *   write/    may be read and written: file "content", sub/deep "deep"
 *   write/inner  may be read only: file "inner"
 *   read/     may be read: file "read"
 *   only/     may be written: file "hidden"
 *   single    a file that may be read and written: "single"
 *   outside/  no rule: secret "secret"
 *   real/     is "/data" for the guest, may be read and written: file "real"
 */
struct fixture {
	char root[64];
	struct policy *policy;
	struct process_config config;
	struct fake_guest guest;
	char program[NAME_SIZE], directory[NAME_SIZE];
};

/* The host's name of a path; one that begins with "/" is taken as it is. */
static const char *host(const struct fixture *fixture, const char *name)
{
	static char paths[4][NAME_SIZE];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	if (*name == '/')
		return name;
	assert_true((size_t)snprintf(path, NAME_SIZE, "%s/%s", fixture->root, name) < NAME_SIZE);
	return path;
}

static void make_file(const struct fixture *fixture, const char *name, const char *content)
{
	FILE *file = fopen(host(fixture, name), "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void make_link(const struct fixture *fixture, const char *name, const char *target)
{
	unlink(host(fixture, name));
	assert_int_equal(symlink(target, host(fixture, name)), 0);
}

static void assert_host(const struct fixture *fixture, const char *name, const char *content)
{
	char data[1024] = "";
	FILE *file = fopen(host(fixture, name), "r");

	assert_non_null(file);
	data[fread(data, 1, sizeof(data) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(data, content);
}

static bool exists(const struct fixture *fixture, const char *name)
{
	struct stat status;

	return lstat(host(fixture, name), &status) == 0;
}

static mode_t mode_of(const struct fixture *fixture, const char *name)
{
	struct stat status;

	assert_int_equal(lstat(host(fixture, name), &status), 0);
	return status.st_mode & 07777;
}

static void make_tree(struct fixture *fixture)
{
	static const char *const directories[] = {"write", "write/sub", "write/inner", "read",
	                                          "only",  "outside",   "real"};
	static const char *const files[][2] = {
		{"write/file", "content"},     {"write/sub/deep", "deep"},
		{"write/inner/file", "inner"}, {"read/file", "read"},
		{"only/file", "hidden"},       {"single", "single"},
		{"outside/secret", "secret"},  {"real/file", "real"},
	};

	strcpy(fixture->root, "/tmp/kvmsb-change-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(host(fixture, directories[i]), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(fixture, files[i][0], files[i][1]);
}

static void make_policy(struct fixture *fixture)
{
	char names[6][NAME_SIZE];
	static const char *const texts[] = {"write", "write/inner", "read",
	                                    "only",  "single",      "real"};
	const struct kvmsb_path_rule rules[] = {
		KVMSB_ALLOW_WRITE(names[0]),
		KVMSB_ALLOW_DIRECTORY(names[1]),
		KVMSB_ALLOW_READ(names[2]),
		KVMSB_ALLOW_MAPPED(names[3], NULL, KVMSB_PATH_WRITE),
		KVMSB_ALLOW_WRITE(names[4]),
		KVMSB_ALLOW_MAPPED("/data", names[5], KVMSB_PATH_READ | KVMSB_PATH_WRITE),
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		strcpy(names[i], host(fixture, texts[i]));
	assert_int_equal(policy_create(&fixture->policy, rules, ARRAY_SIZE(rules), NULL), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	umask(0);
	make_tree(fixture);
	make_policy(fixture);
	strcpy(fixture->directory, host(fixture, "write"));
	strcpy(fixture->program, host(fixture, "read/file"));
	fixture->config.policy = fixture->policy;
	fixture->config.directory = fixture->directory;
	fixture->config.program = fixture->program;
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[256];

	fake_guest_destroy(&fixture->guest);
	policy_destroy(fixture->policy);
	snprintf(command, sizeof(command), "chmod -R u+rwx %s && rm -rf %s", fixture->root,
	         fixture->root);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

static uint64_t put(struct fixture *fixture, uint64_t address, const char *name)
{
	return fake_string(&fixture->guest, address, host(fixture, name));
}

static int64_t open_mode(struct fixture *fixture, const char *name, int flags, unsigned mode)
{
	return CALL(&fixture->guest, SYS_openat, AT_FDCWD, put(fixture, PATH_AT, name), flags, mode);
}

static int64_t open_flags(struct fixture *fixture, const char *name, int flags)
{
	return open_mode(fixture, name, flags, 0666);
}

/* A call whose first argument is a path. */
static int64_t on_path(struct fixture *fixture, long number, const char *name, uint64_t b)
{
	return CALL(&fixture->guest, number, put(fixture, PATH_AT, name), b);
}

static int64_t on_paths(struct fixture *fixture, long number, const char *a, const char *b)
{
	return CALL(&fixture->guest, number, put(fixture, PATH_AT, a), put(fixture, PATH_2_AT, b));
}

static int64_t rename_flags(struct fixture *fixture, const char *a, const char *b, unsigned flags)
{
	return CALL(&fixture->guest, SYS_renameat2, AT_FDCWD, put(fixture, PATH_AT, a), AT_FDCWD,
	            put(fixture, PATH_2_AT, b), flags);
}

static int64_t make_symlink(struct fixture *fixture, const char *target, const char *name)
{
	fake_string(&fixture->guest, PATH_2_AT, target);
	return CALL(&fixture->guest, SYS_symlink, PATH_2_AT, put(fixture, PATH_AT, name));
}

static int64_t write_text(struct fixture *fixture, int64_t fd, const char *text)
{
	fake_string(&fixture->guest, DATA_AT, text);
	return CALL(&fixture->guest, SYS_write, fd, DATA_AT, strlen(text));
}

static int64_t offset_of(struct fake_guest *guest, int64_t fd)
{
	return CALL(guest, SYS_lseek, fd, 0, SEEK_CUR);
}

/* Nothing outside of the rules is other than it was made. */
static void assert_outside(const struct fixture *fixture)
{
	assert_host(fixture, "outside/secret", "secret");
	assert_host(fixture, "read/file", "read");
	assert_host(fixture, "write/inner/file", "inner");
	assert_false(exists(fixture, "outside/new"));
	assert_false(exists(fixture, "read/new"));
	assert_false(exists(fixture, "new"));
}

/*
 * Rules.
 */

static void test_rules(void **state)
{
	struct fixture *fixture = *state;
	char path[NAME_SIZE];
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb_path_rule rule = KVMSB_ALLOW_MAPPED("/v", "relative", KVMSB_PATH_READ);
	struct policy *policy;

	strcpy(path, host(fixture, "single"));
	assert_int_equal(policy_create(&policy, &rule, 1, &error), -EINVAL);
	assert_non_null(strstr(error.detail, "target"));
	rule.target = "/does/not/exist";
	assert_int_equal(policy_create(&policy, &rule, 1, &error), -ENOENT);
	rule = (struct kvmsb_path_rule){.path = path, .access = 4};
	assert_int_equal(policy_create(&policy, &rule, 1, &error), -EINVAL);
	rule = (struct kvmsb_path_rule)KVMSB_ALLOW_FILE("/tmp");
	assert_int_equal(policy_create(&policy, &rule, 1, &error), -EISDIR);
	rule = (struct kvmsb_path_rule)KVMSB_ALLOW_MAPPED("/x", path, 0);
	assert_int_equal(policy_create(&policy, &rule, 1, &error), 0);
	assert_int_equal(policy_match(policy, "/x")->access, KVMSB_PATH_READ);
	policy_destroy(policy);
}

/* The order of the host's list does not matter, but for two with one path. */
static void test_nested_rules_are_found(void **state)
{
	struct fixture *fixture = *state;
	char a[NAME_SIZE], b[NAME_SIZE], c[NAME_SIZE];
	const struct kvmsb_path_rule rules[] = {
		KVMSB_ALLOW_MAPPED("/a/b", a, KVMSB_PATH_READ),
		KVMSB_ALLOW_MAPPED("/a.b", b, KVMSB_PATH_READ),
		KVMSB_ALLOW_MAPPED("/a", c, KVMSB_PATH_READ),
		KVMSB_ALLOW_MAPPED("/a", a, KVMSB_PATH_WRITE),
		KVMSB_ALLOW_MAPPED("/c", b, KVMSB_PATH_READ),
	};
	struct policy *policy;

	strcpy(a, host(fixture, "read"));
	strcpy(b, host(fixture, "real"));
	strcpy(c, host(fixture, "write"));
	assert_int_equal(policy_create(&policy, rules, ARRAY_SIZE(rules), NULL), 0);
	assert_true(policy_match(policy, "/a/x")->nested);
	assert_int_equal(policy_match(policy, "/a/x")->access, KVMSB_PATH_READ);
	assert_false(policy_match(policy, "/a/b")->nested);
	assert_false(policy_match(policy, "/a.b/x")->nested);
	assert_false(policy_match(policy, "/c")->nested);
	assert_null(policy_match(policy, "/b"));
	policy_destroy(policy);
}

static void test_mapped_rule(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "/data/new", O_CREAT | O_WRONLY);

	assert_int_equal(write_text(fixture, fd, "made"), 4);
	assert_host(fixture, "real/new", "made");
	assert_int_equal(open_flags(fixture, "real/file", O_RDONLY), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "/data/new", "/data/newer"), 0);
	assert_host(fixture, "real/newer", "made");
	assert_int_equal(on_path(fixture, SYS_chdir, "/data", 0), 0);
	assert_int_equal(CALL(guest, SYS_unlink, fake_string(guest, PATH_AT, "newer")), 0);
	assert_false(exists(fixture, "real/newer"));
	/* An absolute link is the guest's. */
	make_link(fixture, "real/link", "/data/file");
	fd = open_flags(fixture, "/data/link", O_RDWR);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 4);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "real", 4);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 100), 10);
}

/*
 * Content.
 */

static void test_opening_for_writing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd;

	CALL(guest, SYS_umask, 027);
	fd = open_mode(fixture, "write/new", O_CREAT | O_RDWR | O_EXCL, 06777);
	assert_true(fd >= 3);
	assert_int_equal(mode_of(fixture, "write/new"), 0750);
	assert_int_equal(open_flags(fixture, "write/new", O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(write_text(fixture, fd, "some text"), 9);
	assert_int_equal(offset_of(guest, fd), 9);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 5, SEEK_SET), 5);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 4);
	assert_host(fixture, "write/new", "some text");
	fd = open_flags(fixture, "write/new", O_CREAT | O_TRUNC | O_WRONLY);
	assert_host(fixture, "write/new", "");
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), -EBADF);
	/* man 2 open: the mode does not count for the descriptor that makes the file. */
	fd = open_mode(fixture, "write/closed", O_CREAT | O_WRONLY, 0);
	assert_int_equal(write_text(fixture, fd, "x"), 1);
	fd = open_flags(fixture, "write/file", O_RDONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_host(fixture, "write/file", "");
	assert_int_equal(write_text(fixture, fd, "x"), -EBADF);
	assert_int_equal(CALL(guest, SYS_creat, put(fixture, PATH_AT, "write/c"), 0600) >= 0, 1);
	assert_true(exists(fixture, "write/c"));
	assert_int_equal(open_flags(fixture, "write", O_WRONLY), -EISDIR);
	assert_int_equal(open_flags(fixture, "write/sub", O_RDWR | O_TMPFILE), -EISDIR);
	assert_int_equal(open_flags(fixture, "write/new/", O_CREAT | O_RDWR), -EISDIR);
	assert_int_equal(open_flags(fixture, "write/none/", O_CREAT | O_RDWR), -EISDIR);
	assert_int_equal(open_flags(fixture, "write/none/x", O_CREAT | O_RDWR), -ENOENT);
	assert_int_equal(open_flags(fixture, "write/file/x", O_CREAT | O_RDWR), -ENOTDIR);
	assert_int_equal(open_flags(fixture, "write/none", O_RDWR), -ENOENT);
	assert_outside(fixture);
}

static void put_vector(struct fixture *fixture, unsigned index, uint64_t address, uint64_t length)
{
	const uint64_t entry[2] = {address, length};

	memcpy(fake_pointer(&fixture->guest, VECTOR_AT + index * sizeof(entry)), entry,
	       sizeof(entry));
}

static void test_writing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/new", O_CREAT | O_RDWR);

	fake_string(guest, DATA_AT, "abcdef");
	put_vector(fixture, 0, DATA_AT, 3);
	put_vector(fixture, 1, DATA_AT + 3, 0);
	put_vector(fixture, 2, DATA_AT + 4, 2);
	assert_int_equal(CALL(guest, SYS_writev, fd, VECTOR_AT, 3), 5);
	assert_host(fixture, "write/new", "abcef");
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 2, 3), 2);
	assert_host(fixture, "write/new", "abcab");
	assert_int_equal(offset_of(guest, fd), 5);
	assert_int_equal(CALL(guest, SYS_pwritev, fd, VECTOR_AT, 3, 1), 5);
	assert_host(fixture, "write/new", "aabcef");
	assert_int_equal(CALL(guest, SYS_pwritev2, fd, VECTOR_AT, 1, -1, 0, 0), 3);
	assert_host(fixture, "write/new", "aabceabc");
	assert_int_equal(offset_of(guest, fd), 8);
	assert_int_equal(CALL(guest, SYS_pwritev2, fd, VECTOR_AT, 1, 0, 0, 0), 3);
	assert_host(fixture, "write/new", "abcceabc");
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 1, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_write, fd, FAKE_HOLE, 1), -EFAULT);
	assert_int_equal(CALL(guest, SYS_write, fd, FAKE_HOLE - 4, 100), 4);
	assert_int_equal(offset_of(guest, fd), 12);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 0), 0);
	assert_int_equal(CALL(guest, SYS_fsync, fd), 0);
	assert_int_equal(CALL(guest, SYS_fdatasync, fd), 0);
}

static void test_large_writes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	const uint64_t length = 150 * PAGE_SIZE + 77;
	int64_t fd = open_flags(fixture, "write/new", O_CREAT | O_RDWR), copy;
	uint8_t *data = fake_pointer(guest, DATA_AT);
	struct stat status;

	for (uint64_t i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, length), length);
	assert_int_equal(stat(host(fixture, "write/new"), &status), 0);
	assert_int_equal(status.st_size, length);
	copy = open_flags(fixture, "write/copy", O_CREAT | O_RDWR);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_SET), 0);
	assert_int_equal(CALL(guest, SYS_sendfile, copy, fd, 0, length), length);
	assert_int_equal(offset_of(guest, copy), length);
	memset(fake_pointer(guest, DATA_AT + 160 * PAGE_SIZE), 0, length);
	assert_int_equal(CALL(guest, SYS_pread64, copy, DATA_AT + 160 * PAGE_SIZE, length, 0),
	                 length);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 160 * PAGE_SIZE), data, length);
}

static void test_appending(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/file", O_WRONLY | O_APPEND), other;

	assert_int_equal(offset_of(guest, fd), 0);
	assert_int_equal(write_text(fixture, fd, "+a"), 2);
	assert_int_equal(offset_of(guest, fd), 9);
	other = open_flags(fixture, "write/file", O_WRONLY);
	CALL(guest, SYS_lseek, other, 0, SEEK_END);
	assert_int_equal(write_text(fixture, other, "+b"), 2);
	assert_int_equal(write_text(fixture, fd, "+c"), 2);
	assert_host(fixture, "write/file", "content+a+b+c");
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETFL, 0), 0);
	CALL(guest, SYS_lseek, fd, 0, SEEK_SET);
	assert_int_equal(write_text(fixture, fd, "C"), 1);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETFL, O_APPEND), 0);
	assert_int_equal(write_text(fixture, fd, "+d"), 2);
	assert_host(fixture, "write/file", "Content+a+b+c+d");
}

static void test_sizes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/file", O_RDWR);
	int64_t readable = open_flags(fixture, "write/file", O_RDONLY);
	struct stat status;

	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 4), 0);
	assert_host(fixture, "write/file", "cont");
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ftruncate, readable, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ftruncate, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_ftruncate, 99, 0), -EBADF);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/file", 2), 0);
	assert_host(fixture, "write/file", "co");
	assert_int_equal(on_path(fixture, SYS_truncate, "write/file", (uint64_t)-1), -EINVAL);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/sub", 0), -EISDIR);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/none", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_truncate, "read/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_truncate, "outside/secret", 0), -ENOENT);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, 5000), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_int_equal(status.st_size, 5000);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, -1, 5), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, INT64_MAX, 5), -EFBIG);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0x8000, 0, 5), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_fallocate, readable, 0, 0, 5), -EBADF);
	assert_int_equal(CALL(guest, SYS_fallocate, 1, 0, 0, 5), -ENODEV);
	assert_outside(fixture);
}

static void test_file_size_limit(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint64_t *limit;
	int64_t fd;

	fake_guest_destroy(guest);
	fixture->config.file_size_limit = 10;
	fake_guest_create(guest, &fixture->config);
	fd = open_flags(fixture, "write/new", O_CREAT | O_RDWR);
	limit = fake_pointer(guest, DATA_AT);
	assert_int_equal(CALL(guest, SYS_getrlimit, RLIMIT_FSIZE, DATA_AT), 0);
	assert_int_equal(limit[0], 10);
	/* SIGXFSZ would end the process. */
	CALL(guest, SYS_rt_sigprocmask, SIG_BLOCK,
	     (memset(fake_pointer(guest, DATA_AT), 0xff, 8), DATA_AT), 0, 8);
	assert_int_equal(write_text(fixture, fd, "123456789012345"), 10);
	assert_int_equal(write_text(fixture, fd, "x"), -EFBIG);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 5, 8), 2);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 11), -EFBIG);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 10), 0);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, 11), -EFBIG);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/file", 11), -EFBIG);
	fd = open_flags(fixture, "write/new", O_WRONLY | O_APPEND);
	assert_int_equal(write_text(fixture, fd, "x"), -EFBIG);
	/* A lower one of its own. */
	limit[0] = limit[1] = 3;
	assert_int_equal(CALL(guest, SYS_setrlimit, RLIMIT_FSIZE, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 4), -EFBIG);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 3), 0);
	CALL(guest, SYS_rt_sigpending, DATA_AT, 8);
	assert_int_equal(*(uint64_t *)fake_pointer(guest, DATA_AT), 1ul << (SIGXFSZ - 1));
	assert_int_equal(guest->process.end, PROCESS_RUNS);
	CALL(guest, SYS_rt_sigprocmask, SIG_SETMASK,
	     (memset(fake_pointer(guest, DATA_AT), 0, 8), DATA_AT), 0, 8);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
	assert_int_equal(guest->process.exit_signal, SIGXFSZ);
}

/* The host's own limit raises a signal in the thread that meets it: not for a guest. */
static void test_limit_of_the_host(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/new", O_CREAT | O_RDWR);
	struct rlimit before, limit;
	sigset_t pending;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 8;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 1, 8), -EFBIG);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 9), -EFBIG);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, 9), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	sigpending(&pending);
	assert_int_equal(sigismember(&pending, SIGXFSZ), 0);
}

static void test_too_many_descriptors_make_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	while (CALL(guest, SYS_dup, 0) >= 0)
		;
	assert_int_equal(open_flags(fixture, "write/new", O_CREAT | O_WRONLY), -EMFILE);
	assert_false(exists(fixture, "write/new"));
	assert_int_equal(open_flags(fixture, "write/file", O_TRUNC | O_WRONLY), -EMFILE);
	assert_host(fixture, "write/file", "content");
}

/* A descriptor that the master opened is each fork's, at an offset of its own. */
static void test_forks_write_at_their_own_offsets(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, a, b;
	int64_t fd = open_flags(fixture, "write/new", O_CREAT | O_RDWR);

	assert_int_equal(write_text(fixture, fd, "master"), 6);
	fake_guest_fork(&a, master);
	fake_guest_fork(&b, master);
	fake_string(&a, DATA_AT, "AAAA");
	fake_string(&b, DATA_AT, "bb");
	assert_int_equal(CALL(&a, SYS_write, fd, DATA_AT, 4), 4);
	assert_host(fixture, "write/new", "masterAAAA");
	assert_int_equal(offset_of(&b, fd), 6);
	assert_int_equal(CALL(&b, SYS_write, fd, DATA_AT, 2), 2);
	assert_host(fixture, "write/new", "masterbbAA");
	assert_int_equal(offset_of(&a, fd), 10);
	assert_int_equal(offset_of(&b, fd), 8);
	assert_int_equal(offset_of(master, fd), 6);
	process_reset(&a.process, &master->process);
	assert_int_equal(offset_of(&a, fd), 6);
	/* What was written stays: it is the host's. */
	assert_int_equal(CALL(&a, SYS_read, fd, DATA_AT, 100), 4);
	assert_memory_equal(fake_pointer(&a, DATA_AT), "bbAA", 4);
	fake_guest_destroy(&a);
	fake_guest_destroy(&b);
}

/*
 * Names.
 */

static void test_directories(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	CALL(guest, SYS_umask, 022);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/d", 07777), 0);
	assert_int_equal(mode_of(fixture, "write/d"), 01755);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/d", 0777), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/d/e/", 0777), 0);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/none/e", 0777), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/file/e", 0777), -ENOTDIR);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write", 0777), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/inner", 0777), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/none/.", 0777), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/sub/..", 0777), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/d", 0), -ENOTEMPTY);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/d/.", 0), -EINVAL);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/d/e/..", 0), -ENOTEMPTY);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/d/e", 0), 0);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/d/", 0), 0);
	assert_false(exists(fixture, "write/d"));
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/file", 0), -ENOTDIR);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write", 0), -EBUSY);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/inner", 0), -EROFS);
	fake_string(guest, PATH_AT, "here");
	assert_int_equal(CALL(guest, SYS_mkdirat, AT_FDCWD, PATH_AT, 0700), 0);
	assert_true(exists(fixture, "write/here"));
	assert_int_equal(CALL(guest, SYS_unlinkat, AT_FDCWD, PATH_AT, 0), -EISDIR);
	assert_int_equal(CALL(guest, SYS_unlinkat, AT_FDCWD, PATH_AT, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_unlinkat, AT_FDCWD, PATH_AT, AT_REMOVEDIR), 0);
	assert_outside(fixture);
}

static void test_removing(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(on_path(fixture, SYS_unlink, "write/file/", 0), -ENOTDIR);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/sub/.", 0), -EISDIR);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/file", 0), 0);
	assert_false(exists(fixture, "write/file"));
	assert_int_equal(on_path(fixture, SYS_unlink, "write/file", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/sub", 0), -EISDIR);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/inner/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_unlink, "read/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_unlink, "outside/secret", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_unlink, "single", 0), -EBUSY);
	/* A link itself goes, not what it leads to. */
	make_link(fixture, "write/out", "../outside/secret");
	make_link(fixture, "write/dir", "../outside");
	assert_int_equal(on_path(fixture, SYS_unlink, "write/dir/secret", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_rmdir, "write/dir/", 0), -ENOTDIR);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/out", 0), 0);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/dir", 0), 0);
	assert_outside(fixture);
}

static void test_renaming(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/sub/moved"), 0);
	assert_host(fixture, "write/sub/moved", "content");
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub/moved", "write/sub/deep"), 0);
	assert_host(fixture, "write/sub/deep", "content");
	make_file(fixture, "write/file", "file");
	assert_int_equal(rename_flags(fixture, "write/file", "write/sub/deep", RENAME_NOREPLACE_FLAG),
	                 -EEXIST);
	assert_int_equal(rename_flags(fixture, "write/file", "write/sub/deep", RENAME_EXCHANGE_FLAG),
	                 0);
	assert_host(fixture, "write/file", "content");
	assert_int_equal(rename_flags(fixture, "write/file", "write/sub/deep", 3), -EINVAL);
	assert_int_equal(rename_flags(fixture, "write/file", "write/sub/deep", 4), -EINVAL);
	assert_int_equal(rename_flags(fixture, "write/file", "write/none", RENAME_EXCHANGE_FLAG),
	                 -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub", "write/sub/x"), -EINVAL);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub/", "write/renamed/"), 0);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/renamed", "write/sub"), 0);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file/", "write/x"), -ENOTDIR);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/sub"), -EISDIR);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub", "write/file"), -ENOTDIR);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/none", "write/x"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "/data/x"), -EXDEV);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub/.", "write/x"), -EBUSY);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/sub/.."), -EBUSY);
	assert_int_equal(on_paths(fixture, SYS_rename, "write", "write2"), -EBUSY);
	assert_int_equal(on_paths(fixture, SYS_rename, "single", "write/x"), -EBUSY);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "single"), -EBUSY);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "read/new"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "read/file"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_rename, "read/file", "write/new"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "outside/new"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "new"), -EACCES);
	assert_int_equal(on_paths(fixture, SYS_rename, "outside/secret", "write/new"), -ENOENT);
	assert_outside(fixture);
}

static void test_hard_links(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "write/sub/again"), 0);
	assert_host(fixture, "write/sub/again", "content");
	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "write/sub/again"), -EEXIST);
	assert_int_equal(on_paths(fixture, SYS_link, "write/sub", "write/x"), -EPERM);
	assert_int_equal(on_paths(fixture, SYS_link, "write/sub/", "write/x"), -EPERM);
	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "write/x/"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_link, "write/none", "write/x"), -ENOENT);
	/* Another name would have the other rule's rights. */
	assert_int_equal(on_paths(fixture, SYS_link, "read/file", "write/x"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_link, "write/inner/file", "write/x"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_link, "only/file", "write/x"), -EXDEV);
	assert_int_equal(on_paths(fixture, SYS_link, "single", "write/x"), -EXDEV);
	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "read/new"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "outside/new"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_link, "outside/secret", "write/x"), -ENOENT);
	/* A link is linked itself, unless it is to be followed: then it leads nowhere else. */
	make_link(fixture, "write/out", "../outside/secret");
	make_link(fixture, "write/in", "sub/deep");
	assert_int_equal(on_paths(fixture, SYS_link, "write/out", "write/out2"), 0);
	assert_true(readlink(host(fixture, "write/out2"), (char[100]){0}, 100) > 0);
	put(fixture, PATH_AT, "write/out");
	put(fixture, PATH_2_AT, "write/x");
	assert_int_equal(
		CALL(guest, SYS_linkat, AT_FDCWD, PATH_AT, AT_FDCWD, PATH_2_AT, AT_SYMLINK_FOLLOW),
		-ENOENT);
	put(fixture, PATH_AT, "write/in");
	assert_int_equal(
		CALL(guest, SYS_linkat, AT_FDCWD, PATH_AT, AT_FDCWD, PATH_2_AT, AT_SYMLINK_FOLLOW),
		0);
	assert_host(fixture, "write/x", "deep");
	assert_int_equal(CALL(guest, SYS_linkat, AT_FDCWD, PATH_AT, AT_FDCWD, PATH_2_AT, 0x100),
	                 -EINVAL);
	assert_outside(fixture);
}

static void test_symbolic_links(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct stat before, after;

	assert_int_equal(make_symlink(fixture, "file", "write/good"), 0);
	assert_int_equal(make_symlink(fixture, "file", "write/good"), -EEXIST);
	assert_int_equal(make_symlink(fixture, "", "write/x"), -ENOENT);
	assert_int_equal(make_symlink(fixture, "x", "write/x/"), -ENOENT);
	assert_int_equal(make_symlink(fixture, "x", "read/new"), -EROFS);
	assert_int_equal(make_symlink(fixture, "x", "outside/new"), -ENOENT);
	/* It may say anything, and leads nowhere. */
	assert_int_equal(make_symlink(fixture, host(fixture, "outside"), "write/absolute"), 0);
	assert_int_equal(make_symlink(fixture, "../outside", "write/relative"), 0);
	assert_int_equal(make_symlink(fixture, "../outside/new", "write/dangling"), 0);
	assert_int_equal(make_symlink(fixture, "../read/new", "write/to-read"), 0);
	assert_int_equal(make_symlink(fixture, "inner/file", "write/to-inner"), 0);
	assert_int_equal(make_symlink(fixture, "sub/fresh", "write/to-new"), 0);
	assert_int_equal(make_symlink(fixture, "loop", "write/loop"), 0);
	assert_int_equal(stat(host(fixture, "outside"), &before), 0);
	assert_int_equal(open_flags(fixture, "write/absolute/new", O_CREAT | O_WRONLY), -ENOENT);
	assert_int_equal(open_flags(fixture, "write/relative/secret", O_WRONLY), -ENOENT);
	assert_int_equal(open_flags(fixture, "write/dangling", O_CREAT | O_WRONLY), -ENOENT);
	assert_int_equal(open_flags(fixture, "write/dangling", O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(open_flags(fixture, "write/dangling", O_CREAT | O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_flags(fixture, "write/to-read", O_CREAT | O_WRONLY), -EROFS);
	assert_int_equal(open_flags(fixture, "write/to-inner", O_WRONLY), -EROFS);
	assert_int_equal(open_flags(fixture, "write/loop", O_CREAT | O_WRONLY), -ELOOP);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/relative/new", 0777), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_mkdir, "write/dangling", 0777), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/absolute/secret", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/relative/secret", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/relative", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/relative/secret", 0), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_utime, "write/relative", 0), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/relative/secret", "write/x"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/relative/new"), -ENOENT);
	assert_int_equal(on_paths(fixture, SYS_link, "write/absolute/secret", "write/x"), -ENOENT);
	assert_int_equal(stat(host(fixture, "outside"), &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
	/* Within, a link that leads to nothing makes what it leads to. */
	assert_int_equal(write_text(fixture, open_flags(fixture, "write/to-new", O_CREAT | O_WRONLY),
	                            "fresh"),
	                 5);
	assert_host(fixture, "write/sub/fresh", "fresh");
	assert_int_equal(CALL(guest, SYS_readlink, put(fixture, PATH_AT, "write/good"), DATA_AT, 99),
	                 4);
	assert_outside(fixture);
}

static void test_nodes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_int_equal(CALL(guest, SYS_umask, 022), 022);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/new", S_IFREG | 0666), 0);
	assert_int_equal(mode_of(fixture, "write/new"), 0644);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/new", 0666), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/new", S_IFIFO | 0666), -EEXIST);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/fifo", S_IFIFO | 0666), -EPERM);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/device", S_IFCHR | 0666), -EPERM);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/device", S_IFBLK | 0666), -EPERM);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/socket", S_IFSOCK | 0666), -EPERM);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/link", S_IFLNK | 0666), -EINVAL);
	assert_int_equal(on_path(fixture, SYS_mknod, "write/x/", 0666), -ENOENT);
	assert_int_equal(on_path(fixture, SYS_mknod, "read/new", 0666), -EROFS);
	assert_int_equal(on_path(fixture, SYS_mknod, "outside/new", 0666), -ENOENT);
	put(fixture, PATH_AT, "write/new2");
	assert_int_equal(CALL(guest, SYS_mknodat, AT_FDCWD, PATH_AT, S_IFREG | 0600, 0), 0);
	assert_false(exists(fixture, "write/fifo"));
	assert_outside(fixture);
}

static void test_modes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/file", O_RDONLY);

	assert_int_equal(on_path(fixture, SYS_chmod, "write/file", 07751), 0);
	assert_int_equal(mode_of(fixture, "write/file"), 01751);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 06640), 0);
	assert_int_equal(mode_of(fixture, "write/file"), 0640);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/sub", 0700), 0);
	assert_int_equal(on_path(fixture, SYS_chmod, "write", 0750), 0);
	assert_int_equal(mode_of(fixture, "write"), 0750);
	assert_int_equal(on_path(fixture, SYS_chmod, "single", 0600), 0);
	assert_int_equal(mode_of(fixture, "single"), 0600);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/file", 0), 0);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/file", 0644), 0);
	put(fixture, PATH_AT, "write/file");
	assert_int_equal(CALL(guest, SYS_fchmodat, AT_FDCWD, PATH_AT, 0600), 0);
	assert_int_equal(mode_of(fixture, "write/file"), 0600);
	make_link(fixture, "write/link", "file");
	put(fixture, PATH_AT, "write/link");
	assert_int_equal(CALL(guest, 452, AT_FDCWD, PATH_AT, 0640, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, 452, AT_FDCWD, PATH_AT, 0640, 0), 0);
	assert_int_equal(mode_of(fixture, "write/file"), 0640);
	assert_int_equal(on_path(fixture, SYS_chmod, "read/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/inner/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_chmod, "/dev/null", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_chmod, "outside/secret", 0), -ENOENT);
	fd = open_flags(fixture, "read/file", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 0), -EROFS);
	assert_int_equal(CALL(guest, SYS_fchmod, 1, 0), -EROFS);
	assert_int_equal(CALL(guest, SYS_fchmod, 99, 0), -EBADF);
	fd = open_flags(fixture, "write/file", O_PATH);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 0), -EBADF);
	assert_outside(fixture);
}

static void test_owners(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_flags(fixture, "write/file", O_RDONLY);

	put(fixture, PATH_AT, "write/file");
	assert_int_equal(CALL(guest, SYS_chown, PATH_AT, PROCESS_USER, PROCESS_GROUP), 0);
	assert_int_equal(CALL(guest, SYS_chown, PATH_AT, -1, -1), 0);
	assert_int_equal(CALL(guest, SYS_chown, PATH_AT, 0, -1), -EPERM);
	assert_int_equal(CALL(guest, SYS_lchown, PATH_AT, -1, 5), -EPERM);
	assert_int_equal(CALL(guest, SYS_fchown, fd, -1, PROCESS_GROUP), 0);
	assert_int_equal(CALL(guest, SYS_fchownat, AT_FDCWD, PATH_AT, -1, -1, 0), 0);
	assert_int_equal(CALL(guest, SYS_fchownat, AT_FDCWD, PATH_AT, -1, -1, 1), -EINVAL);
	put(fixture, PATH_AT, "read/file");
	assert_int_equal(CALL(guest, SYS_chown, PATH_AT, -1, -1), -EROFS);
}

static void test_times(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t *times = fake_pointer(guest, DATA_AT), fd;
	struct stat status;

	memcpy(times, (int64_t[4]){1000, 5, 2000, 6}, 32);
	put(fixture, PATH_AT, "write/file");
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, DATA_AT, 0), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_int_equal(status.st_atim.tv_sec, 1000);
	assert_int_equal(status.st_mtim.tv_nsec, 6);
	assert_int_equal(CALL(guest, SYS_utimes, PATH_AT, DATA_AT), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_int_equal(status.st_mtim.tv_nsec, 6000);
	times[1] = 3000;
	assert_int_equal(CALL(guest, SYS_utime, PATH_AT, DATA_AT), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_int_equal(status.st_mtim.tv_sec, 3000);
	times[1] = 1000000;
	assert_int_equal(CALL(guest, SYS_utimes, PATH_AT, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_futimesat, AT_FDCWD, PATH_AT, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_futimesat, AT_FDCWD, PATH_AT, 0), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_true(status.st_mtim.tv_sec > 1000000);
	times[1] = -1;
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, DATA_AT, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, FAKE_HOLE, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, 0, 1), -EINVAL);
	fd = open_flags(fixture, "write/file", O_RDONLY);
	memcpy(times, (int64_t[4]){7, 0, 0, UTIME_OMIT}, 32);
	assert_int_equal(CALL(guest, SYS_utimensat, fd, 0, DATA_AT, 0), 0);
	assert_int_equal(stat(host(fixture, "write/file"), &status), 0);
	assert_int_equal(status.st_atim.tv_sec, 7);
	/* A link's own times. */
	make_link(fixture, "write/link", "../outside/secret");
	put(fixture, PATH_AT, "write/link");
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, DATA_AT, AT_SYMLINK_NOFOLLOW),
	                 0);
	assert_int_equal(lstat(host(fixture, "write/link"), &status), 0);
	assert_int_equal(status.st_atim.tv_sec, 7);
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, DATA_AT, 0), -ENOENT);
	put(fixture, PATH_AT, "read/file");
	assert_int_equal(CALL(guest, SYS_utimensat, AT_FDCWD, PATH_AT, 0, 0), -EROFS);
	fd = open_flags(fixture, "read/file", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_utimensat, fd, 0, 0, 0), -EROFS);
}

static void test_write_only(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd;

	assert_int_equal(open_flags(fixture, "only/file", O_RDONLY), -EACCES);
	assert_int_equal(open_flags(fixture, "only/file", O_RDWR), -EACCES);
	assert_int_equal(open_flags(fixture, "only", O_RDONLY | O_DIRECTORY), -EACCES);
	assert_int_equal(open_flags(fixture, "only/new", O_CREAT | O_RDWR), -EACCES);
	assert_false(exists(fixture, "only/new"));
	fd = open_flags(fixture, "only/file", O_WRONLY | O_APPEND);
	assert_int_equal(write_text(fixture, fd, "+"), 1);
	assert_host(fixture, "only/file", "hidden+");
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(on_path(fixture, SYS_access, "only/file", R_OK), -EACCES);
	assert_int_equal(on_path(fixture, SYS_access, "only/file", W_OK), 0);
	assert_int_equal(on_path(fixture, SYS_access, "read/file", W_OK), -EROFS);
	assert_int_equal(on_path(fixture, SYS_access, "write/file", R_OK | W_OK), 0);
	assert_int_equal(on_paths(fixture, SYS_rename, "only/file", "write/x"), -EXDEV);
}

static void test_file_rule(void **state)
{
	struct fixture *fixture = *state;
	int64_t fd = open_flags(fixture, "single", O_RDWR | O_CREAT);

	assert_int_equal(write_text(fixture, fd, "SING"), 4);
	assert_host(fixture, "single", "SINGle");
	fd = open_flags(fixture, "single", O_WRONLY | O_TRUNC);
	assert_int_equal(write_text(fixture, fd, "new"), 3);
	assert_host(fixture, "single", "new");
	assert_int_equal(open_flags(fixture, "single", O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(open_flags(fixture, "single/x", O_CREAT | O_WRONLY), -ENOTDIR);
	/* It is that file for good. */
	make_link(fixture, "single", "outside/secret");
	fd = open_flags(fixture, "single", O_WRONLY);
	assert_int_equal(write_text(fixture, fd, "old"), 3);
	assert_outside(fixture);
}

/* Moved away, the inner rule's files would have the outer one's rights. */
static void test_inner_rule(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(on_paths(fixture, SYS_rename, "write/inner", "write/x"), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub", "write/inner"), -EROFS);
	assert_int_equal(rename_flags(fixture, "write/sub", "write/inner", RENAME_EXCHANGE_FLAG),
	                 -EROFS);
	assert_int_equal(make_symlink(fixture, "inner", "write/link"), 0);
	assert_int_equal(make_symlink(fixture, "../write/link", "write/around"), 0);
	assert_int_equal(open_flags(fixture, "write/link/file", O_WRONLY), -EROFS);
	assert_int_equal(open_flags(fixture, "write/around/file", O_RDWR), -EROFS);
	assert_int_equal(open_flags(fixture, "write/link/new", O_CREAT | O_WRONLY), -EROFS);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/around/file", 0), -EROFS);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/around/file", 0), -EROFS);
	assert_int_equal(on_paths(fixture, SYS_link, "write/link/file", "write/x"), -EROFS);
	assert_true(open_flags(fixture, "write/around/file", O_RDONLY) >= 0);
	assert_outside(fixture);
}

static void test_directory_above_an_inner_rule(void **state)
{
	struct fixture *fixture = *state;
	char outer[NAME_SIZE], inner[NAME_SIZE];
	const struct kvmsb_path_rule rules[] = {KVMSB_ALLOW_WRITE(outer), KVMSB_ALLOW_READ(inner)};
	struct policy *policy;

	strcpy(outer, host(fixture, "write"));
	strcpy(inner, host(fixture, "write/sub/deep"));
	assert_int_equal(policy_create(&policy, rules, 2, NULL), 0);
	fixture->config.policy = policy;
	assert_int_equal(on_paths(fixture, SYS_rename, "write/sub", "write/x"), -EBUSY);
	assert_int_equal(rename_flags(fixture, "write/file", "write/sub", RENAME_EXCHANGE_FLAG),
	                 -EBUSY);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/sub/deep", 0), -EROFS);
	assert_int_equal(open_flags(fixture, "write/sub/deep", O_WRONLY), -EROFS);
	assert_host(fixture, "write/sub/deep", "deep");
	fixture->config.policy = fixture->policy;
	policy_destroy(policy);
}

static void test_special_files_are_never_opened(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(mkfifo(host(fixture, "write/fifo"), 0666), 0);
	assert_int_equal(open_flags(fixture, "write/fifo", O_RDWR), -EACCES);
	assert_int_equal(open_flags(fixture, "write/fifo", O_WRONLY | O_CREAT), -EACCES);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/fifo", 0), -EACCES);
	assert_int_equal(on_path(fixture, SYS_chmod, "write/fifo", 0), -EPERM);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/fifo", 0), 0);
}

/*
 * openat2(2)
 */

static int64_t open_how(struct fixture *fixture, int64_t dirfd, const char *text, uint64_t flags,
                        uint64_t resolve)
{
	struct open_how how = {.flags = flags, .resolve = resolve, .mode = flags & O_CREAT ? 0666 : 0};

	memcpy(fake_pointer(&fixture->guest, DATA_AT), &how, sizeof(how));
	return CALL(&fixture->guest, SYS_openat2, dirfd,
	            fake_string(&fixture->guest, PATH_AT, text), DATA_AT, sizeof(how));
}

static void test_resolve_flags(void **state)
{
	struct fixture *fixture = *state;
	int64_t sub = open_flags(fixture, "write/sub", O_PATH | O_DIRECTORY);
	int64_t write = open_flags(fixture, "write", O_PATH | O_DIRECTORY);

	make_link(fixture, "write/sub/up", "../file");
	make_link(fixture, "write/sub/here", "deep");
	make_link(fixture, "write/sub/root", "/deep");
	make_link(fixture, "write/link", "sub");
	assert_true(open_how(fixture, sub, "deep", O_RDONLY, RESOLVE_BENEATH) >= 0);
	assert_true(open_how(fixture, sub, "here", O_RDONLY, RESOLVE_BENEATH) >= 0);
	assert_true(open_how(fixture, sub, "up", O_RDONLY, 0) >= 0);
	assert_int_equal(open_how(fixture, sub, "up", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(open_how(fixture, sub, "../file", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(open_how(fixture, sub, "../sub/deep", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(open_how(fixture, sub, "root", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_int_equal(open_how(fixture, sub, "/deep", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_true(open_how(fixture, sub, "root", O_RDONLY, RESOLVE_IN_ROOT) >= 0);
	assert_true(open_how(fixture, sub, "/../../deep", O_RDONLY, RESOLVE_IN_ROOT) >= 0);
	assert_int_equal(open_how(fixture, sub, "up", O_RDONLY, RESOLVE_IN_ROOT), -ENOENT);
	assert_true(open_how(fixture, sub, "/new", O_CREAT | O_WRONLY, RESOLVE_IN_ROOT) >= 0);
	assert_true(exists(fixture, "write/sub/new"));
	assert_int_equal(open_how(fixture, sub, "here", O_RDONLY, RESOLVE_NO_SYMLINKS), -ELOOP);
	assert_int_equal(open_how(fixture, write, "link/deep", O_RDONLY, RESOLVE_NO_SYMLINKS),
	                 -ELOOP);
	assert_true(open_how(fixture, sub, "deep", O_RDONLY, RESOLVE_NO_SYMLINKS) >= 0);
	assert_true(open_how(fixture, sub, "here", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS) >= 0);
	assert_int_equal(open_how(fixture, write, "inner/file", O_RDONLY, RESOLVE_NO_XDEV), -EXDEV);
	assert_true(open_how(fixture, write, "link/deep", O_RDONLY, RESOLVE_NO_XDEV) >= 0);
	assert_int_equal(
		open_how(fixture, AT_FDCWD, "/proc/self/fd/0", O_RDONLY, RESOLVE_NO_MAGICLINKS),
		-ELOOP);
	assert_int_equal(
		open_how(fixture, AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS),
		-ELOOP);
	assert_int_equal(open_how(fixture, sub, "deep", O_RDONLY, RESOLVE_CACHED), -EAGAIN);
	assert_int_equal(open_how(fixture, sub, "deep", O_RDONLY, 0x40), -EINVAL);
	assert_int_equal(open_how(fixture, sub, "deep", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT),
	                 -EINVAL);
	assert_int_equal(open_how(fixture, 99, "deep", O_RDONLY, RESOLVE_BENEATH), -EBADF);
}

/*
 * The host's policy.
 */

#define DENIED (-ECONNRESET) /* nothing else answers that */

struct asked {
	unsigned count;
	uint32_t access;
	char path[PATH_SIZE];
	int answer;
	const char *only;      /* the answer is for this one; NULL: for all */
	const char *from, *to; /* rewritten */
};

static int ask(void *user, struct kvmsb_path_request *request)
{
	struct asked *asked = user;

	assert_int_equal(request->size, sizeof(*request));
	assert_int_equal(request->rewritten_size, PATH_SIZE);
	assert_int_equal(*request->rewritten, '\0');
	asked->count++;
	asked->access = request->access;
	strcpy(asked->path, request->path);
	if (asked->from && strcmp(request->path, asked->from) == 0)
		strcpy(request->rewritten, asked->to);
	return !asked->only || strcmp(request->path, asked->only) == 0 ? asked->answer : 0;
}

static void be_asked(struct fixture *fixture, struct asked *asked)
{
	*asked = (struct asked){.answer = 0};
	fixture->config.ask = (struct kvmsb_policy){
		.size = sizeof(fixture->config.ask), .user = asked, .path = ask};
}

struct row {
	long number;
	const char *name, *format;
	bool implemented;
};

static const struct row rows[] = {
#define IMPLEMENTED_FULL true
#define IMPLEMENTED_PARTIAL true
#define IMPLEMENTED_STUB true
#define IMPLEMENTED_NONE false
#define SYSTEM_CALL(number, name, handler, support, format, note)                                  \
	{number, #name, format, IMPLEMENTED_##support},
#include "linux/syscalls.def"
#undef SYSTEM_CALL
};

/* The letter of the next argument, at which *format then no longer is: '[', '<' and '{' name a kind. */
static char next_letter(const char **format)
{
	char letter = **format;

	if (letter == '[' || letter == '<' || letter == '{')
		*format += strcspn(*format, "]>}");
	if (letter)
		++*format;
	return letter;
}

static bool takes_path(const struct row *row)
{
	const char *format = row->format;
	bool found = false;
	char letter;

	/* Their texts are names of something else. */
	if (!row->implemented || *format == 'f' || strcmp(row->name, "memfd_create") == 0)
		return false;
	while ((letter = next_letter(&format)))
		found |= letter == 's';
	return found;
}

static uint64_t harmless(char letter)
{
	switch (letter) {
	case 's':
		return PATH_AT;
	case 'D':
		return (uint64_t)AT_FDCWD;
	case 'p':
	case 'r':
	case '<':
	case '{':
		return DATA_AT;
	case 'u':
		return sizeof(struct open_how);
	default:
		return 0;
	}
}

/* All of its paths are `name`; the rest is as harmless as can be. */
static int64_t call_with_path(struct fixture *fixture, const struct row *row, const char *name)
{
	uint64_t arguments[6] = {0};
	const char *format = row->format + (*row->format == '*');
	unsigned count = 0;
	char letter;

	put(fixture, PATH_AT, name);
	memset(fake_pointer(&fixture->guest, DATA_AT), 0, PAGE_SIZE);
	while ((letter = next_letter(&format))) {
		assert_true(count < ARRAY_SIZE(arguments));
		arguments[count++] = harmless(letter);
	}
	return fake_call(&fixture->guest, row->number, arguments[0], arguments[1], arguments[2],
	                 arguments[3], arguments[4], arguments[5]);
}

/* Each call that takes a path asks for it, for the text it names, and does as it is told. */
static void test_every_call_asks(void **state)
{
	static const char *const names[] = {"write/file", "write/none",     "outside/secret",
	                                    "/dev/null",  "/proc/self/exe", "/proc/self/fd/0"};
	struct fixture *fixture = *state;
	struct asked asked;
	unsigned calls = 0;

	be_asked(fixture, &asked);
	asked.answer = DENIED;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t j = 0; takes_path(&rows[i]) && j < ARRAY_SIZE(names); j++) {
			asked.count = 0;
			if (call_with_path(fixture, &rows[i], names[j]) != DENIED)
				fail_msg("%s: %s was not denied", rows[i].name, names[j]);
			if (asked.count != 1 || strcmp(asked.path, host(fixture, names[j])) != 0)
				fail_msg("%s: asked %u times, for \"%s\"", rows[i].name,
				         asked.count, asked.path);
			assert_true(asked.access != 0);
			calls++;
		}
	}
	assert_true(calls >= 40 * ARRAY_SIZE(names));
	assert_host(fixture, "write/file", "content");
	assert_outside(fixture);
}

static void test_what_is_asked(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;
	char only[NAME_SIZE];

	be_asked(fixture, &asked);
	CALL(&fixture->guest, SYS_close, open_flags(fixture, "write/file", O_RDONLY));
	assert_int_equal(asked.access, KVMSB_ACCESS_READ);
	assert_int_equal(asked.count, 1);
	open_flags(fixture, "write/file", O_RDWR | O_CREAT);
	assert_int_equal(asked.access, KVMSB_ACCESS_READ | KVMSB_ACCESS_WRITE | KVMSB_ACCESS_CREATE);
	open_flags(fixture, "write/file", O_PATH);
	assert_int_equal(asked.access, KVMSB_ACCESS_LOOK);
	open_flags(fixture, "write/file", O_RDONLY | O_TRUNC);
	assert_int_equal(asked.access, KVMSB_ACCESS_READ | KVMSB_ACCESS_WRITE);
	on_path(fixture, SYS_unlink, "write/none", 0);
	assert_int_equal(asked.access, KVMSB_ACCESS_REMOVE);
	on_path(fixture, SYS_mkdir, "write/d", 0700);
	assert_int_equal(asked.access, KVMSB_ACCESS_CREATE);
	on_path(fixture, SYS_chmod, "write/d", 0700);
	assert_int_equal(asked.access, KVMSB_ACCESS_WRITE);
	assert_int_equal(asked.count, 7);
	/* Both names are asked for before anything is done. */
	asked.only = strcpy(only, host(fixture, "write/sub/new"));
	asked.answer = DENIED;
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/sub/new"), DENIED);
	assert_int_equal(on_paths(fixture, SYS_link, "write/file", "write/sub/new"), DENIED);
	assert_int_equal(asked.access, KVMSB_ACCESS_CREATE);
	assert_int_equal(on_paths(fixture, SYS_link, "write/sub/new", "write/x"), DENIED);
	assert_int_equal(asked.access, KVMSB_ACCESS_LINK);
	/* What the host answers wrongly is a refusal. */
	asked.answer = 1;
	assert_int_equal(open_flags(fixture, "write/sub/new", O_RDONLY), -EACCES);
	asked.answer = -100000;
	assert_int_equal(open_flags(fixture, "write/sub/new", O_RDONLY), -EACCES);
	/* What has ended the run meanwhile is not the answer's. */
	asked.answer = 0;
	fixture->guest.callback_error = -1;
	assert_int_equal(open_flags(fixture, "write/file", O_RDONLY), -EINTR);
	assert_int_equal(fixture->guest.begins, fixture->guest.ends);
	assert_true(fixture->guest.begins > 10);
	fixture->guest.process.end = PROCESS_CANCELLED;
	asked.count = 0;
	assert_int_equal(open_flags(fixture, "write/file", O_RDONLY), -EINTR);
	assert_int_equal(asked.count, 0);
	fixture->guest.process.end = PROCESS_RUNS;
}

/* A link is no way around the answer. */
static void test_links_are_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;
	char secret[NAME_SIZE];

	strcpy(secret, host(fixture, "write/sub/deep"));
	be_asked(fixture, &asked);
	asked.only = secret;
	asked.answer = DENIED;
	assert_int_equal(open_flags(fixture, "write/sub/deep", O_RDONLY), DENIED);
	assert_int_equal(make_symlink(fixture, "sub/deep", "write/relative"), 0);
	assert_int_equal(make_symlink(fixture, secret, "write/absolute"), 0);
	assert_int_equal(make_symlink(fixture, "sub", "write/directory"), 0);
	assert_int_equal(open_flags(fixture, "write/relative", O_RDONLY), DENIED);
	assert_int_equal(open_flags(fixture, "write/absolute", O_RDWR), DENIED);
	assert_int_equal(open_flags(fixture, "write/directory/deep", O_RDONLY), DENIED);
	assert_int_equal(on_path(fixture, SYS_stat, "write/relative", DATA_AT), DENIED);
	assert_int_equal(on_path(fixture, SYS_lstat, "write/relative", DATA_AT), 0);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/directory/deep", 0), DENIED);
	assert_int_equal(on_paths(fixture, SYS_rename, "write/file", "write/directory/deep"), DENIED);
	assert_int_equal(on_path(fixture, SYS_truncate, "write/absolute", 0), DENIED);
	/* Also where no other rule lies beneath. */
	asked.only = strcpy(secret, "/data/file");
	assert_int_equal(make_symlink(fixture, "file", "/data/link"), 0);
	assert_int_equal(open_flags(fixture, "/data/link", O_RDONLY), DENIED);
	assert_int_equal(on_path(fixture, SYS_chmod, "/data/link", 0), DENIED);
	assert_int_equal(on_path(fixture, SYS_unlink, "write/relative", 0), 0);
	assert_host(fixture, "write/sub/deep", "deep");
}

static void test_rewriting(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct asked asked;
	char from[NAME_SIZE], to[NAME_SIZE];
	int64_t fd;

	be_asked(fixture, &asked);
	asked.from = "/etc/motd";
	asked.to = strcpy(to, host(fixture, "write//sub/../file"));
	fd = open_flags(fixture, "/etc/motd", O_RDWR);
	assert_int_equal(asked.count, 1);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 7);
	assert_int_equal(on_path(fixture, SYS_stat, "/etc/motd", DATA_AT), 0);
	assert_int_equal(on_paths(fixture, SYS_rename, "/etc/motd", "write/renamed"), 0);
	assert_host(fixture, "write/renamed", "content");
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	fd = open_flags(fixture, "/etc/motd", O_CREAT | O_WRONLY);
	assert_int_equal(write_text(fixture, fd, "motd"), 4);
	assert_host(fixture, "write/file", "motd");
	/* It is subject to the rules and leads nowhere else. */
	asked.to = strcpy(to, host(fixture, "outside/secret"));
	assert_int_equal(open_flags(fixture, "/etc/motd", O_RDONLY), -ENOENT);
	assert_int_equal(open_flags(fixture, "/etc/motd", O_CREAT | O_WRONLY), -ENOENT);
	make_link(fixture, "write/out", "../outside/secret");
	asked.to = strcpy(to, host(fixture, "write/out"));
	assert_int_equal(open_flags(fixture, "/etc/motd", O_RDONLY), -ENOENT);
	asked.to = strcpy(to, host(fixture, "read/new"));
	assert_int_equal(open_flags(fixture, "/etc/motd", O_CREAT | O_WRONLY), -EROFS);
	asked.to = "relative";
	assert_int_equal(open_flags(fixture, "/etc/motd", O_RDONLY), -EACCES);
	asked.to = "/dev/null";
	assert_true(open_flags(fixture, "/etc/motd", O_RDWR) >= 0);
	asked.to = "/proc/self/fd/0";
	assert_true(open_flags(fixture, "/etc/motd", O_RDONLY) >= 0);
	/* Out of where openat2(2) may go. */
	fd = open_flags(fixture, "read", O_PATH);
	asked.from = strcpy(from, host(fixture, "read/x"));
	make_link(fixture, "write/again", "file");
	asked.to = strcpy(to, host(fixture, "write/again"));
	assert_int_equal(open_how(fixture, fd, "x", O_RDONLY, RESOLVE_BENEATH), -EXDEV);
	assert_outside(fixture);
}

/*
 * Without a policy.
 */

static void test_no_rules_reach_nothing(void **state)
{
	static const char *const names[] = {"write/file",     "outside/secret", "/etc/passwd",
	                                    "/proc/self/mem", "/sys/class",     "/root"};
	struct fixture *fixture = *state;
	struct policy *policy;

	assert_int_equal(policy_create(&policy, NULL, 0, NULL), 0);
	fixture->config.policy = policy;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t j = 0; takes_path(&rows[i]) && j < ARRAY_SIZE(names); j++) {
			int64_t result = call_with_path(fixture, &rows[i], names[j]);

			/* The current directory is one of those that can be looked at. */
			if (result != -ENOENT && result != -EACCES)
				fail_msg("%s: %s: %d", rows[i].name, names[j], (int)result);
		}
	}
	fixture->config.policy = fixture->policy;
	policy_destroy(policy);
	assert_host(fixture, "write/file", "content");
	assert_outside(fixture);
}

/* A number is the guest's own: no call reaches what the host has open there. */
static void test_no_descriptor_of_the_host(void **state)
{
	struct fixture *fixture = *state;
	int secret = fcntl(STDOUT_FILENO, F_DUPFD, 100);

	assert_int_equal(secret, 100);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *format = rows[i].format + (*rows[i].format == '*');
		int64_t result;

		if (!rows[i].implemented || *format != 'f' || strcmp(rows[i].name, "close_range") == 0)
			continue;
		/* splice(2) of no bytes looks at nothing: its length is the fifth. */
		result = fake_call(&fixture->guest, rows[i].number, 100, DATA_AT, 1, 0, 1, 0);
		/* epoll_ctl(2) reads its event first. */
		if (result != -EBADF && result != -EINVAL && result != -EPERM && result != -EFAULT)
			fail_msg("%s: %d", rows[i].name, (int)result);
	}
	assert_int_equal(fcntl(secret, F_GETFD), 0);
	close(secret);
}

/*
 * Without memory, and with a host that fails.
 */

static unsigned calls, call_to_fail;

/* Calls of the host on files. */

static bool call_fails(void)
{
	if (!call_to_fail || ++calls != call_to_fail)
		return false;
	errno = EIO;
	return true;
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
int __real_fstat64(int fd, struct stat *status);
int __real_fstatfs64(int fd, void *status);
ssize_t __real_pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
int __real_ftruncate64(int fd, off_t length);
int __real_mkdirat(int fd, const char *name, mode_t mode);
int __real_unlinkat(int fd, const char *name, int flags);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
int __wrap_fstat64(int fd, struct stat *status);
int __wrap_fstatfs64(int fd, void *status);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
int __wrap_ftruncate64(int fd, off_t length);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_unlinkat(int fd, const char *name, int flags);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	return call_fails() ? -1 : __real_syscall(number, a, b, c, d, e, f);
}

int __wrap_fstat64(int fd, struct stat *status)
{
	return call_fails() ? -1 : __real_fstat64(fd, status);
}

int __wrap_fstatfs64(int fd, void *status)
{
	return call_fails() ? -1 : __real_fstatfs64(fd, status);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	return call_fails() ? -1 : __real_pwritev64v2(fd, parts, count, offset, flags);
}

int __wrap_ftruncate64(int fd, off_t length)
{
	return call_fails() ? -1 : __real_ftruncate64(fd, length);
}

int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
	return call_fails() ? -1 : __real_mkdirat(fd, name, mode);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
	return call_fails() ? -1 : __real_unlinkat(fd, name, flags);
}

/* What changes files; stops at the first call that fails and returns its result. */
static int64_t change_files(struct fixture *fixture)
{
	struct fake_guest *guest = &fixture->guest;
	int64_t result, fd = open_flags(fixture, "write/made", O_CREAT | O_RDWR);

	if (fd < 0)
		return fd;
	result = write_text(fixture, fd, "text") == 4 ? 0 : -ENOMEM;
	for (unsigned i = 0; i < 20; i++)
		put_vector(fixture, i, DATA_AT, 1);
	if (!result)
		result = CALL(guest, SYS_writev, fd, VECTOR_AT, 20) == 20 ? 0 : -ENOMEM;
	if (!result)
		result = CALL(guest, SYS_sendfile, fd, 0, 0, 10) == -EINVAL ? 0 : -ENOMEM;
	if (!result)
		result = on_path(fixture, SYS_truncate, "write/made", 0);
	if (!result)
		result = on_path(fixture, SYS_unlink, "write/made", 0);
	if (!result)
		result = on_path(fixture, SYS_mknod, "write/made", 0600);
	if (!result)
		result = on_path(fixture, SYS_mkdir, "write/d", 0700);
	if (!result)
		result = on_paths(fixture, SYS_rename, "write/made", "write/d/made");
	if (!result)
		result = on_path(fixture, SYS_chdir, "write/d", 0);
	return result;
}

static void clean(struct fixture *fixture)
{
	CALL(&fixture->guest, SYS_close_range, 3, 255, 0);
	unlink(host(fixture, "write/made"));
	unlink(host(fixture, "write/d/made"));
	rmdir(host(fixture, "write/d"));
}

static void test_every_allocation_fails_once(void **state)
{
	struct fixture *fixture = *state;
	struct policy *policy = fixture->policy;
	unsigned before = count_descriptors(), n;
	int64_t result = -ENOMEM;

	for (n = 1; n < 100 && result; n++) {
		allocations_fail_at(n);
		result = change_files(fixture);
		allocations_stop_failing();
		assert_true(result == 0 || result == -ENOMEM);
		clean(fixture);
		assert_int_equal(count_descriptors(), before);
	}
	assert_true(n > 3 && n < 100);
	for (n = 1; n < 100; n++) {
		const struct kvmsb_path_rule rules[] = {KVMSB_ALLOW_MAPPED("/a", "/tmp", 3),
		                                        KVMSB_ALLOW_MAPPED("/a/b", "/tmp", 1)};

		allocations_fail_at(n);
		result = policy_create(&policy, rules, 2, NULL);
		allocations_stop_failing();
		if (result == 0)
			break;
		assert_int_equal(result, -ENOMEM);
		assert_int_equal(count_descriptors(), before);
	}
	assert_int_equal(n, 4);
	policy_destroy(policy);
}

static void test_every_call_of_the_host_fails_once(void **state)
{
	struct fixture *fixture = *state;
	unsigned before = count_descriptors(), n;
	int64_t result = -EIO;

	for (n = 1; n < 200 && result; n++) {
		calls = 0;
		call_to_fail = n;
		result = change_files(fixture);
		call_to_fail = 0;
		/* What cannot be looked at is hidden or denied. */
		if (result != 0 && result != -EIO && result != -ENOENT && result != -EACCES &&
		    result != -ENOMEM)
			fail_msg("call %u: %d", n, (int)result);
		clean(fixture);
		assert_int_equal(count_descriptors(), before);
	}
	assert_true(n > 20 && n < 200);
	assert_outside(fixture);
}

/*
 * Races.
 */

struct racer {
	char a[NAME_SIZE], b[NAME_SIZE];
	atomic_int stop;
};

/* Swaps what is there and a link that leads out, as fast as it can. */
static void *race(void *user)
{
	struct racer *racer = user;

	while (!atomic_load(&racer->stop))
		syscall(SYS_renameat2, AT_FDCWD, racer->a, AT_FDCWD, racer->b, RENAME_EXCHANGE_FLAG);
	return NULL;
}

/* The guest's name of something beneath `base`, which is "write" or "/data". */
static const char *below(const char *base, const char *name)
{
	static char paths[4][64];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static bool renames(struct fixture *fixture, const char *base, const char *from, const char *to)
{
	return on_paths(fixture, SYS_rename, below(base, from), below(base, to)) == 0;
}

static bool does(struct fixture *fixture, long number, const char *base, const char *name)
{
	return on_path(fixture, number, below(base, name), 0) == 0;
}

static void open_and_write(struct fixture *fixture, const char *base)
{
	int64_t fd = open_flags(fixture, below(base, "sub/new"), O_CREAT | O_RDWR);

	if (fd >= 0)
		assert_int_equal(write_text(fixture, fd, "new"), 3);
	open_flags(fixture, below(base, "sub/secret"), O_RDWR | O_TRUNC);
	open_flags(fixture, below(base, "sub/secret"), O_CREAT | O_WRONLY);
	CALL(&fixture->guest, SYS_close_range, 3, 255, 0);
}

/* Everything that changes something, beneath what is a directory now and a link then. */
static unsigned change_all(struct fixture *fixture, const char *base)
{
	unsigned done = 0;

	open_and_write(fixture, base);
	done += renames(fixture, base, "sub/new", "sub/newer");
	done += does(fixture, SYS_mkdir, base, "sub/directory");
	done += does(fixture, SYS_chmod, base, "sub/secret");
	done += does(fixture, SYS_truncate, base, "sub/secret");
	done += does(fixture, SYS_utime, base, "sub/secret");
	done += on_paths(fixture, SYS_link, below(base, "sub/secret"), below(base, "linked")) == 0;
	done += make_symlink(fixture, "x", below(base, "sub/link")) == 0;
	done += does(fixture, SYS_unlink, base, "sub/newer");
	done += does(fixture, SYS_unlink, base, "sub/link");
	done += does(fixture, SYS_unlink, base, "linked");
	done += does(fixture, SYS_rmdir, base, "sub/directory");
	done += renames(fixture, base, "sub/secret", "taken");
	done += renames(fixture, base, "taken", "sub/secret");
	return done;
}

/* Directories of one host, and the guest's name of them: with links followed by hand, and not. */
static const char *const bases[][2] = {{"write", "write"}, {"real", "/data"}};

static void race_in(struct fixture *fixture, const char *const base[2], const char *swapped,
                    const char *with, const char *outside)
{
	struct racer racer = {.stop = 0};
	struct stat status;
	unsigned done = 0;
	pthread_t thread;

	mkdir(host(fixture, below(base[0], "sub")), 0755);
	make_file(fixture, below(base[0], "sub/secret"), "public");
	make_link(fixture, below(base[0], with), outside);
	strcpy(racer.a, host(fixture, below(base[0], swapped)));
	strcpy(racer.b, host(fixture, below(base[0], with)));
	assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
	for (unsigned i = 0; i < 60; i++)
		done += change_all(fixture, base[1]);
	atomic_store(&racer.stop, 1);
	pthread_join(thread, NULL);
	assert_true(done > 0);
	if (lstat(racer.a, &status) == 0 && S_ISLNK(status.st_mode))
		syscall(SYS_renameat2, AT_FDCWD, racer.a, AT_FDCWD, racer.b, RENAME_EXCHANGE_FLAG);
}

static void run_race(struct fixture *fixture, const char *swapped, const char *with,
                     const char *outside)
{
	struct stat before, after, secret_before, secret_after;

	assert_int_equal(stat(host(fixture, "outside"), &before), 0);
	assert_int_equal(stat(host(fixture, "outside/secret"), &secret_before), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		race_in(fixture, bases[i], swapped, with, outside);
	assert_int_equal(stat(host(fixture, "outside"), &after), 0);
	assert_int_equal(stat(host(fixture, "outside/secret"), &secret_after), 0);
	assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
	assert_memory_equal(&secret_before.st_ctim, &secret_after.st_ctim, sizeof(before.st_ctim));
	assert_outside(fixture);
}

static void test_races(void **state)
{
	run_race(*state, "sub", "swap", "../outside");
}

static void test_races_of_names(void **state)
{
	run_race(*state, "sub/secret", "sub/swap", "../../outside/secret");
}

static void test_races_when_asked(void **state)
{
	struct asked asked;

	be_asked(*state, &asked);
	run_race(*state, "sub", "swap", "../outside");
	run_race(*state, "sub/secret", "sub/swap", "../../outside/secret");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rules),
		TEST(test_nested_rules_are_found),
		TEST(test_mapped_rule),
		TEST(test_opening_for_writing),
		TEST(test_writing),
		TEST(test_large_writes),
		TEST(test_appending),
		TEST(test_sizes),
		TEST(test_file_size_limit),
		TEST(test_limit_of_the_host),
		TEST(test_too_many_descriptors_make_nothing),
		TEST(test_forks_write_at_their_own_offsets),
		TEST(test_directories),
		TEST(test_removing),
		TEST(test_renaming),
		TEST(test_hard_links),
		TEST(test_symbolic_links),
		TEST(test_nodes),
		TEST(test_modes),
		TEST(test_owners),
		TEST(test_times),
		TEST(test_write_only),
		TEST(test_file_rule),
		TEST(test_inner_rule),
		TEST(test_directory_above_an_inner_rule),
		TEST(test_special_files_are_never_opened),
		TEST(test_resolve_flags),
		TEST(test_every_call_asks),
		TEST(test_what_is_asked),
		TEST(test_links_are_asked_for),
		TEST(test_rewriting),
		TEST(test_no_rules_reach_nothing),
		TEST(test_no_descriptor_of_the_host),
		TEST(test_every_allocation_fails_once),
		TEST(test_every_call_of_the_host_fails_once),
		TEST(test_races),
		TEST(test_races_of_names),
		TEST(test_races_when_asked),
	};

	return cmocka_run_group_tests_name("linux_change", tests, NULL, NULL);
}
