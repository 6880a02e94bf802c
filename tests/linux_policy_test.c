/* SPDX-License-Identifier: MIT */
/*
 * The allow-list of paths: what a guest reaches through it and what it does
 * not, by text, by symbolic links, by devices; and the system calls that take
 * paths.
 */
#include "fake_guest.h"

#include "linux/files.h"
#include "linux/path.h"
#include "linux/place.h"
#include "linux/policy.h"
#include "open_descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

/* Longest path of the host that is used here. */
#define NAME_SIZE 256

#define PATH_AT FAKE_START
#define PATH_2_AT (FAKE_START + 8 * PAGE_SIZE)
#define DATA_AT (FAKE_START + 16 * PAGE_SIZE)

/*
 * root/allowed/file        "content"     root/outside/secret
 * root/allowed/sub/deep    "deep"        root/other/file      "other"
 * root/single              "single"      root/listed -> single
 */
struct fixture {
	char root[64];
	struct policy *policy;
	struct process_config config;
	struct fake_guest guest;
	char program[NAME_SIZE], directory[NAME_SIZE];
};

static void make_path(const struct fixture *fixture, char *path, const char *name)
{
	assert_true((size_t)snprintf(path, NAME_SIZE, "%s/%s", fixture->root, name) < NAME_SIZE);
}

static void make_file(const struct fixture *fixture, const char *name, const char *content)
{
	char path[NAME_SIZE];
	FILE *file;

	make_path(fixture, path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void make_directory(const struct fixture *fixture, const char *name)
{
	char path[NAME_SIZE];

	make_path(fixture, path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct fixture *fixture, const char *name, const char *target)
{
	char path[NAME_SIZE];

	make_path(fixture, path, name);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

/* A link to an absolute path within the root. */
static void make_root_link(const struct fixture *fixture, const char *name, const char *target)
{
	char path[NAME_SIZE];

	make_path(fixture, path, target);
	make_link(fixture, name, path);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char allowed[NAME_SIZE], other[NAME_SIZE], listed[NAME_SIZE];
	struct kvmsb_path_rule rules[] = {
		{.path = allowed},
		{.path = other, .kind = KVMSB_PATH_DIRECTORY},
		{.path = listed, .kind = KVMSB_PATH_FILE},
	};

	assert_non_null(fixture);
	strcpy(fixture->root, "/tmp/kvmsb-policy-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	make_directory(fixture, "allowed");
	make_directory(fixture, "allowed/sub");
	make_directory(fixture, "outside");
	make_directory(fixture, "other");
	make_file(fixture, "allowed/file", "content");
	make_file(fixture, "allowed/sub/deep", "deep");
	make_file(fixture, "outside/secret", "secret");
	make_file(fixture, "other/file", "other");
	make_file(fixture, "single", "single");
	make_link(fixture, "listed", "single");
	make_path(fixture, allowed, "allowed");
	make_path(fixture, other, "outside/../other/");
	make_path(fixture, listed, "listed");
	make_path(fixture, fixture->directory, "allowed");
	make_path(fixture, fixture->program, "allowed/file");
	assert_int_equal(policy_create(&fixture->policy, rules, ARRAY_SIZE(rules), NULL), 0);
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
	snprintf(command, sizeof(command), "rm -rf %s", fixture->root);
	assert_int_equal(system(command), 0);
	free(fixture);
	return 0;
}

/* Address of the path `name` within the root; an absolute one is taken as it is. */
static uint64_t put_path(struct fixture *fixture, const char *name)
{
	char path[NAME_SIZE];

	make_path(fixture, path, name);
	return fake_string(&fixture->guest, PATH_AT, *name == '/' ? name : path);
}

static int64_t open_flags(struct fixture *fixture, const char *name, int flags)
{
	return CALL(&fixture->guest, SYS_openat, AT_FDCWD, put_path(fixture, name), flags, 0644);
}

static int64_t open_path(struct fixture *fixture, const char *name)
{
	return open_flags(fixture, name, O_RDONLY);
}

static void assert_content(struct fixture *fixture, const char *name, const char *content)
{
	int64_t fd = open_path(fixture, name);

	assert_true(fd >= 3);
	assert_int_equal(CALL(&fixture->guest, SYS_read, fd, DATA_AT, 100), strlen(content));
	assert_memory_equal(fake_pointer(&fixture->guest, DATA_AT), content, strlen(content));
	assert_int_equal(CALL(&fixture->guest, SYS_close, fd), 0);
}

static int64_t stat_path(struct fixture *fixture, const char *name, struct stat *status)
{
	int64_t result = CALL(&fixture->guest, SYS_stat, put_path(fixture, name), DATA_AT);

	memcpy(status, fake_pointer(&fixture->guest, DATA_AT), sizeof(*status));
	return result;
}

/*
 * Text.
 */

static void test_normalisation(void **state)
{
	static const struct {
		const char *base, *text, *result;
		bool directory;
	} cases[] = {
		{"/", "/", "/", true},
		{"/", "//", "/", true},
		{"/", "..", "/", true},
		{"/", "/../../..", "/", true},
		{"/a/b", "c", "/a/b/c", false},
		{"/a/b", "../c/", "/a/c", true},
		{"/a/b", ".", "/a/b", true},
		{"/a/b", "./././c", "/a/b/c", false},
		{"/a/b", "/c//d///e", "/c/d/e", false},
		{"/a/b", "../../../../x", "/x", false},
		{"/a", "...", "/a/...", false},
		{"/a", "..b", "/a/..b", false},
		{"/a", ".b/..", "/a", true},
		{"/a", "b/.", "/a/b", true},
	};
	struct path path;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(path_normalise(&path, cases[i].base, cases[i].text), 0);
		assert_string_equal(path.text, cases[i].result);
		assert_int_equal(path.length, strlen(path.text));
		assert_int_equal(path.directory, cases[i].directory);
	}
	assert_int_equal(path_normalise(&path, "/", ""), -ENOENT);
}

static void test_long_paths(void **state)
{
	char text[2 * PATH_SIZE];
	struct path path;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[PATH_SIZE - 1] = '\0';
	assert_int_equal(path_normalise(&path, "/", text), 0);
	assert_int_equal(path.length, PATH_SIZE - 1);
	/* Its base and text may be the result's own. */
	assert_int_equal(path_normalise(&path, path.text, path.text), 0);
	assert_int_equal(path_normalise(&path, "/y", text + 1), -ENAMETOOLONG);
	text[PATH_SIZE - 1] = 'x';
	text[PATH_SIZE] = '\0';
	assert_int_equal(path_normalise(&path, "/", text), -ENAMETOOLONG);
	assert_true(path_is_within("/a/b", "/a"));
	assert_true(path_is_within("/a", "/a"));
	assert_true(path_is_within("/a", "/"));
	assert_false(path_is_within("/ab", "/a"));
	assert_false(path_is_within("/a", "/a/b"));
}

/*
 * Making a policy.
 */

static int create(const char *path, enum kvmsb_path_kind kind)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb_path_rule rule = {.path = path, .kind = kind};
	struct policy *policy = NULL;
	int result = policy_create(&policy, &rule, 1, &error);

	if (result) {
		assert_null(policy);
		assert_int_equal(error.code, result);
		assert_non_null(strstr(error.detail, path ? path : "(null)"));
	}
	policy_destroy(policy);
	return result;
}

static void test_rules_are_checked(void **state)
{
	struct fixture *fixture = *state;
	char fifo[NAME_SIZE], file[NAME_SIZE], directory[NAME_SIZE], missing[NAME_SIZE];
	struct kvmsb_path_rule rule = {.path = file, .reserved = 1};
	struct policy *policy;

	make_path(fixture, fifo, "fifo");
	make_path(fixture, file, "single");
	make_path(fixture, directory, "allowed");
	make_path(fixture, missing, "missing");
	assert_int_equal(mkfifo(fifo, 0644), 0);
	assert_int_equal(create(NULL, KVMSB_PATH_FILE), -EINVAL);
	assert_int_equal(create("", KVMSB_PATH_FILE), -EINVAL);
	assert_int_equal(create("relative", KVMSB_PATH_FILE), -EINVAL);
	assert_int_equal(create(file, (enum kvmsb_path_kind)3), -EINVAL);
	assert_int_equal(create(missing, KVMSB_PATH_AUTOMATIC), -ENOENT);
	assert_int_equal(create(directory, KVMSB_PATH_FILE), -EISDIR);
	assert_int_equal(create(file, KVMSB_PATH_DIRECTORY), -ENOTDIR);
	assert_int_equal(create(fifo, KVMSB_PATH_AUTOMATIC), -EINVAL);
	assert_int_equal(create("/dev/tty", KVMSB_PATH_AUTOMATIC), -EINVAL);
	assert_int_equal(create(file, KVMSB_PATH_AUTOMATIC), 0);
	assert_int_equal(policy_create(&policy, &rule, 1, NULL), -EINVAL);
	assert_int_equal(policy_create(&policy, NULL, 0, NULL), 0);
	policy_destroy(policy);
	policy_destroy(NULL);
}

static void test_failure_closes_descriptors(void **state)
{
	struct fixture *fixture = *state;
	char file[NAME_SIZE], missing[NAME_SIZE];
	struct kvmsb_path_rule rules[] = {{.path = file}, {.path = file}, {.path = missing}};
	struct policy *policy = NULL;
	unsigned before = count_descriptors();

	make_path(fixture, file, "single");
	make_path(fixture, missing, "missing");
	assert_int_equal(policy_create(&policy, rules, 3, NULL), -ENOENT);
	assert_int_equal(count_descriptors(), before);
}

/*
 * Reaching.
 */

static void test_allowed_files(void **state)
{
	struct fixture *fixture = *state;

	assert_content(fixture, "allowed/file", "content");
	assert_content(fixture, "allowed/sub/deep", "deep");
	assert_content(fixture, "allowed/sub/../file", "content");
	assert_content(fixture, "outside/../allowed//./file", "content");
	assert_content(fixture, "other/file", "other");
	assert_content(fixture, "listed", "single");
	assert_int_equal(open_path(fixture, "single"), -ENOENT);
	assert_int_equal(open_path(fixture, "outside/secret"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/../outside/secret"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowedness"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/missing"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/file/x"), -ENOTDIR);
	assert_int_equal(open_path(fixture, "allowed/file/"), -ENOTDIR);
	assert_int_equal(open_path(fixture, "listed/x"), -ENOTDIR);
	assert_int_equal(open_path(fixture, "listed/"), -ENOTDIR);
	assert_int_equal(open_path(fixture, "/etc/passwd"), -ENOENT);
	assert_int_equal(CALL(&fixture->guest, SYS_open, fake_string(&fixture->guest, PATH_AT, "")),
	                 -ENOENT);
	assert_int_equal(CALL(&fixture->guest, SYS_open, FAKE_HOLE), -EFAULT);
}

static void test_file_rule_is_that_file_for_good(void **state)
{
	struct fixture *fixture = *state;

	make_link(fixture, "listed", "outside/secret");
	assert_content(fixture, "listed", "single");
}

static void test_no_policy_reaches_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	fixture->config.policy = NULL;
	assert_int_equal(open_path(fixture, "allowed/file"), -ENOENT);
	assert_int_equal(open_path(fixture, "/etc/passwd"), -ENOENT);
	assert_int_equal(stat_path(fixture, "/", &status), 0);
	assert_int_equal(open_path(fixture, "/"), -EACCES);
	assert_true(open_path(fixture, "/dev/null") >= 0);
	fixture->config.policy = fixture->policy;
}

static void test_relative_paths(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	char path[NAME_SIZE];
	int64_t directory;

	fake_string(guest, PATH_2_AT, "sub/deep");
	assert_true(CALL(guest, SYS_open, PATH_2_AT, O_RDONLY) >= 0);
	directory = open_flags(fixture, "allowed/sub", O_RDONLY | O_DIRECTORY);
	assert_true(directory >= 0);
	fake_string(guest, PATH_2_AT, "../file");
	assert_true(CALL(guest, SYS_openat, directory, PATH_2_AT, O_RDONLY) >= 0);
	fake_string(guest, PATH_2_AT, "../../outside/secret");
	assert_int_equal(CALL(guest, SYS_openat, directory, PATH_2_AT, O_RDONLY), -ENOENT);
	assert_int_equal(CALL(guest, SYS_openat, 99, PATH_2_AT, O_RDONLY), -EBADF);
	assert_int_equal(CALL(guest, SYS_openat, 1, PATH_2_AT, O_RDONLY), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_fchdir, directory), 0);
	assert_true(CALL(guest, SYS_getcwd, DATA_AT, 4096) > 0);
	make_path(fixture, path, "allowed/sub");
	assert_string_equal(fake_pointer(guest, DATA_AT), path);
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 5), -ERANGE);
	assert_int_equal(CALL(guest, SYS_chdir, put_path(fixture, "outside")), -ENOENT);
	assert_int_equal(CALL(guest, SYS_chdir, put_path(fixture, "allowed/file")), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_chdir, put_path(fixture, ".")), 0);
	fake_string(guest, PATH_2_AT, "outside/secret");
	assert_int_equal(CALL(guest, SYS_open, PATH_2_AT, O_RDONLY), -ENOENT);
	assert_int_equal(CALL(guest, SYS_fchdir, 1), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_fchdir, 99), -EBADF);
}

/*
 * Symbolic links.
 */

static void test_links_within(void **state)
{
	struct fixture *fixture = *state;

	make_link(fixture, "allowed/relative", "sub/deep");
	make_link(fixture, "allowed/sub/up", "../file");
	make_root_link(fixture, "allowed/absolute", "allowed/sub/deep");
	make_root_link(fixture, "allowed/sub/directory", "allowed");
	make_root_link(fixture, "allowed/across", "other/file");
	make_link(fixture, "allowed/across-relative", "../other");
	assert_content(fixture, "allowed/relative", "deep");
	assert_content(fixture, "allowed/sub/up", "content");
	assert_content(fixture, "allowed/absolute", "deep");
	assert_content(fixture, "allowed/sub/directory/sub/up", "content");
	assert_content(fixture, "allowed/across", "other");
	assert_content(fixture, "allowed/across-relative/file", "other");
	assert_int_equal(open_flags(fixture, "allowed/relative", O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_flags(fixture, "allowed/absolute", O_NOFOLLOW), -ELOOP);
}

static void test_links_out(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	make_link(fixture, "allowed/dots", "../outside/secret");
	make_link(fixture, "allowed/sub/dots", "../../outside/secret");
	make_link(fixture, "allowed/out", "../outside");
	make_root_link(fixture, "allowed/absolute", "outside/secret");
	make_root_link(fixture, "allowed/directory", "outside");
	make_link(fixture, "allowed/passwd", "/etc/passwd");
	make_link(fixture, "allowed/root", "/");
	make_link(fixture, "allowed/chain", "sub/dots");
	make_link(fixture, "allowed/loop", "loop");
	make_link(fixture, "allowed/far", "/../../../../../../../../etc/passwd");
	assert_int_equal(open_path(fixture, "allowed/dots"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/sub/dots"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/out/secret"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/absolute"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/directory/secret"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/passwd"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/root/etc/passwd"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/chain"), -ENOENT);
	assert_int_equal(open_path(fixture, "allowed/loop"), -ELOOP);
	assert_int_equal(open_path(fixture, "allowed/far"), -ENOENT);
	assert_int_equal(stat_path(fixture, "allowed/passwd", &status), -ENOENT);
	assert_int_equal(stat_path(fixture, "allowed/out/secret", &status), -ENOENT);
	assert_int_equal(CALL(&fixture->guest, SYS_access, put_path(fixture, "allowed/dots"), 0),
	                 -ENOENT);
	assert_int_equal(CALL(&fixture->guest, SYS_chdir, put_path(fixture, "allowed/out")), -ENOENT);
	/* The link itself is the directory's: it can be looked at. */
	assert_int_equal(
		CALL(&fixture->guest, SYS_lstat, put_path(fixture, "allowed/passwd"), DATA_AT), 0);
	assert_int_equal(CALL(&fixture->guest, SYS_readlink, put_path(fixture, "allowed/passwd"),
	                      DATA_AT, 100),
	                 strlen("/etc/passwd"));
}

/* Two absolute links that point at each other, in different rules. */
static void test_links_across_rules_end(void **state)
{
	struct fixture *fixture = *state;

	make_root_link(fixture, "allowed/ping", "other/pong");
	make_root_link(fixture, "other/pong", "allowed/ping");
	assert_int_equal(open_path(fixture, "allowed/ping"), -ELOOP);
	make_link(fixture, "allowed/grow", "/x/../");
	make_root_link(fixture, "allowed/grow", "allowed/grow/grow");
	assert_int_equal(open_path(fixture, "allowed/grow"), -ELOOP);
}

/* A rule for everything does not reach the host's own process. */
static void test_procfs_of_the_host(void **state)
{
	static const char *const hidden[] = {
		"/proc/self/mem",       "/proc/1/environ",      "/proc/thread-self/mem",
		"/proc/self/fd/../mem", "/proc/self/fd/100",    "/proc/self/root/proc/kcore",
		"/dev/fd/100",          "/proc/sys/kernel/tainted",
		"/sys/class",           "/dev/mem",             "/proc/self/cwd/proc/1",
	};
	struct kvmsb_path_rule rules[] = {{.path = "/"}, {.path = "/proc/meminfo"}};
	struct fixture *fixture = *state;
	struct policy *policy;
	struct stat status;
	int secret;

	secret = fcntl(STDOUT_FILENO, F_DUPFD, 100);
	assert_int_equal(secret, 100);
	assert_int_equal(policy_create(&policy, rules, 2, NULL), 0);
	fixture->config.policy = policy;
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		int64_t result = open_path(fixture, hidden[i]);

		assert_true(result == -ENOENT || result == -ELOOP);
		result = CALL(&fixture->guest, SYS_readlink, PATH_AT, DATA_AT, 100);
		assert_true(result == -ENOENT || result == -ELOOP);
	}
	assert_true(open_path(fixture, "/proc/meminfo") >= 0);
	assert_int_equal(stat_path(fixture, "/proc/self", &status), 0);
	assert_content(fixture, "/proc/sys/kernel/hostname", "sandbox\n");
	assert_content(fixture, "outside/secret", "secret");
	assert_content(fixture, "/proc/self/exe", "content");
	/* Files are counted by the policy that opened them. */
	assert_int_equal(CALL(&fixture->guest, SYS_close_range, 3, 255, 0), 0);
	fixture->config.policy = fixture->policy;
	policy_destroy(policy);
	close(secret);
	assert_int_equal(create("/proc", KVMSB_PATH_AUTOMATIC), -EINVAL);
	assert_int_equal(create("/proc/self/task", KVMSB_PATH_AUTOMATIC), -EINVAL);
}

struct racer {
	char a[NAME_SIZE], b[NAME_SIZE];
	atomic_int stop;
};

/* Swaps a directory and a link that leads out, as fast as it can. */
static void *race(void *user)
{
	struct racer *racer = user;

	while (!atomic_load(&racer->stop))
		syscall(SYS_renameat2, AT_FDCWD, racer->a, AT_FDCWD, racer->b,
		        2 /* RENAME_EXCHANGE */);
	return NULL;
}

static void test_rename_race(void **state)
{
	struct fixture *fixture = *state;
	struct racer racer = {.stop = 0};
	pthread_t thread;
	unsigned opened = 0;

	make_file(fixture, "allowed/sub/secret", "public");
	make_link(fixture, "allowed/swap", "../outside");
	make_path(fixture, racer.a, "allowed/sub");
	make_path(fixture, racer.b, "allowed/swap");
	assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
	for (unsigned i = 0; i < 5000; i++) {
		int64_t fd = open_path(fixture, "allowed/sub/secret");

		if (fd < 0)
			continue;
		assert_int_equal(CALL(&fixture->guest, SYS_read, fd, DATA_AT, 100), 6);
		assert_memory_equal(fake_pointer(&fixture->guest, DATA_AT), "public", 6);
		CALL(&fixture->guest, SYS_close, fd);
		opened++;
	}
	atomic_store(&racer.stop, 1);
	pthread_join(thread, NULL);
	assert_true(opened > 0);
}

/*
 * What is no file.
 */

static void test_special_files_are_never_opened(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	char path[NAME_SIZE];
	int descriptor;

	make_path(fixture, path, "allowed/fifo");
	assert_int_equal(mkfifo(path, 0666), 0);
	make_path(fixture, path, "allowed/socket");
	memcpy(address.sun_path, path, strlen(path) + 1);
	descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(open_path(fixture, "allowed/fifo"), -EACCES);
	assert_int_equal(open_flags(fixture, "allowed/fifo", O_WRONLY | O_NONBLOCK), -EACCES);
	assert_int_equal(open_path(fixture, "allowed/socket"), -EACCES);
	assert_int_equal(stat_path(fixture, "allowed/fifo", &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
	make_path(fixture, path, "allowed/device");
	if (mknod(path, S_IFCHR | 0666, 1 << 8 | 5) == 0)
		assert_int_equal(open_path(fixture, "allowed/device"), -EACCES);
	close(descriptor);
}

static void test_devices(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint8_t *data = fake_pointer(guest, DATA_AT);
	struct stat status;
	int64_t fd = open_flags(fixture, "/dev/null", O_RDWR | O_CREAT | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 10), 10);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 10), 0);
	fd = open_flags(fixture, "/dev/zero", O_RDONLY);
	memset(data, 7, 3 * PAGE_SIZE);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 2 * PAGE_SIZE + 5), 2 * PAGE_SIZE + 5);
	assert_int_equal(data[0] + data[2 * PAGE_SIZE + 4], 0);
	assert_int_equal(data[2 * PAGE_SIZE + 5], 7);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -EBADF);
	fd = open_flags(fixture, "/dev/full", O_WRONLY);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -ENOSPC);
	fd = open_flags(fixture, "/dev/urandom", O_RDONLY);
	memset(data, 0, 64);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 64), 64);
	assert_memory_not_equal(data, data + PAGE_SIZE * 3, 64);
	assert_int_equal(stat_path(fixture, "/dev/null", &status), 0);
	assert_true(S_ISCHR(status.st_mode));
	assert_int_equal(status.st_rdev, 0x103);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(((struct stat *)(void *)data)->st_rdev, 0x109);
	assert_int_equal(open_path(fixture, "/dev/null/x"), -ENOENT);
	assert_int_equal(open_path(fixture, "/dev/null/"), -ENOTDIR);
	assert_int_equal(open_path(fixture, "/dev/tty"), -ENXIO);
	assert_int_equal(open_path(fixture, "/dev/kvm"), -ENOENT);
	assert_int_equal(open_flags(fixture, "/dev/null", O_CREAT | O_EXCL), -EEXIST);
}

static void test_directories_above(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct stat status;

	assert_int_equal(stat_path(fixture, "/tmp", &status), 0);
	assert_true(S_ISDIR(status.st_mode));
	assert_int_equal(stat_path(fixture, ".", &status), 0);
	assert_int_equal(stat_path(fixture, "/proc/self", &status), 0);
	assert_int_equal(stat_path(fixture, "/tmp/x", &status), -ENOENT);
	assert_int_equal(stat_path(fixture, "/etc", &status), -ENOENT);
	assert_int_equal(open_path(fixture, "/tmp"), -EACCES);
	assert_int_equal(open_flags(fixture, ".", O_DIRECTORY), -EACCES);
	assert_int_equal(CALL(guest, SYS_readlink, put_path(fixture, "/tmp"), DATA_AT, 10), -EINVAL);
	assert_int_equal(CALL(guest, SYS_chdir, put_path(fixture, "/tmp")), 0);
	assert_int_equal(CALL(guest, SYS_access, put_path(fixture, "/tmp"), X_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, put_path(fixture, "/tmp"), R_OK), -EACCES);
	assert_true(open_flags(fixture, "/tmp", O_PATH) >= 0);
}

static void test_program_link(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t length;

	put_path(fixture, "/proc/self/exe");
	length = CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 4096);
	assert_int_equal(length, strlen(fixture->program));
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->program, (size_t)length);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 4), 4);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, -1), -EINVAL);
	assert_content(fixture, "/proc/self/exe", "content");
	strcpy(fixture->program, "file");
	assert_true(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 4096) == length);
	make_path(fixture, fixture->program, "outside/secret");
	assert_int_equal(open_path(fixture, "/proc/self/exe"), -ENOENT);
}

/*
 * The calls that look.
 */

static void test_stat_family(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct stat *status = fake_pointer(guest, DATA_AT);
	struct statx *extended = fake_pointer(guest, DATA_AT);
	int64_t fd = open_path(fixture, "allowed/file");

	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(status->st_size, 7);
	fake_string(guest, PATH_2_AT, "");
	assert_int_equal(CALL(guest, SYS_newfstatat, fd, PATH_2_AT, DATA_AT, AT_EMPTY_PATH), 0);
	assert_int_equal(status->st_size, 7);
	assert_int_equal(CALL(guest, SYS_newfstatat, fd, PATH_2_AT, DATA_AT, 0), -ENOENT);
	assert_int_equal(CALL(guest, SYS_newfstatat, 99, PATH_2_AT, DATA_AT, AT_EMPTY_PATH), -EBADF);
	assert_int_equal(CALL(guest, SYS_newfstatat, AT_FDCWD, PATH_2_AT, DATA_AT, AT_EMPTY_PATH), 0);
	assert_true(S_ISDIR(status->st_mode));
	put_path(fixture, "allowed/file");
	assert_int_equal(CALL(guest, SYS_newfstatat, AT_FDCWD, PATH_AT, DATA_AT, 0x10000), -EINVAL);
	assert_int_equal(CALL(guest, SYS_stat, PATH_AT, FAKE_READ_ONLY), -EFAULT);
	assert_int_equal(CALL(guest, SYS_stat, PATH_AT, FAKE_HOLE - 8), -EFAULT);
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0, STATX_BASIC_STATS, DATA_AT), 0);
	assert_int_equal(extended->stx_size, 7);
	assert_int_equal(CALL(guest, SYS_statx, fd, PATH_2_AT, AT_EMPTY_PATH, STATX_SIZE, DATA_AT),
	                 0);
	assert_int_equal(extended->stx_size, 7);
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0x8000, 0, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0x6000, 0, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0, 0x80000000, DATA_AT), -EINVAL);
	/* The peer asked its policy and went on whatever it said. */
	put_path(fixture, "outside/secret");
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0, STATX_BASIC_STATS, DATA_AT),
	                 -ENOENT);
	put_path(fixture, "/dev/zero");
	assert_int_equal(CALL(guest, SYS_statx, AT_FDCWD, PATH_AT, 0, STATX_BASIC_STATS, DATA_AT), 0);
	assert_int_equal(extended->stx_rdev_major, 1);
	assert_int_equal(extended->stx_rdev_minor, 5);
	assert_int_equal(CALL(guest, SYS_fstat, 1, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_fstat, 99, DATA_AT), -EBADF);
}

static void test_statfs(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct statfs *status = fake_pointer(guest, DATA_AT);

	assert_int_equal(CALL(guest, SYS_statfs, put_path(fixture, "allowed"), DATA_AT), 0);
	assert_true(status->f_flags & 1);
	assert_int_equal(CALL(guest, SYS_statfs, put_path(fixture, "/"), DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_statfs, put_path(fixture, "outside"), DATA_AT), -ENOENT);
	assert_int_equal(CALL(guest, SYS_fstatfs, 99, DATA_AT), -EBADF);
	assert_int_equal(CALL(guest, SYS_fstatfs, 1, DATA_AT), 0);
}

static void test_access(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	put_path(fixture, "allowed/file");
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, F_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, R_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, X_OK), -EACCES);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, W_OK), -EROFS);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_faccessat2, AT_FDCWD, PATH_AT, 0, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_faccessat2, AT_FDCWD, PATH_AT, R_OK, AT_EACCESS), 0);
	assert_int_equal(CALL(guest, SYS_faccessat, 99, put_path(fixture, "/dev/null"), W_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, put_path(fixture, "outside"), F_OK), -ENOENT);
	assert_int_equal(CALL(guest, SYS_getxattr, put_path(fixture, "allowed/file"), PATH_AT, 0, 0),
	                 -EOPNOTSUPP);
}

static unsigned list(struct fixture *fixture, int64_t fd, uint64_t size, char *names)
{
	unsigned count = 0;
	int64_t length;

	*names = '\0';
	while ((length = CALL(&fixture->guest, SYS_getdents64, fd, DATA_AT, size)) > 0) {
		const uint8_t *data = fake_pointer(&fixture->guest, DATA_AT);

		for (int64_t at = 0; at < length; count++) {
			const struct dirent64 *entry = (const void *)(data + at);

			strcat(strcat(names, entry->d_name), " ");
			at += entry->d_reclen;
			/* Nothing of the host's stack is in what the kernel leaves out. */
			for (const char *end = strchr(entry->d_name, '\0');
			     end < (const char *)data + at; end++)
				assert_int_equal(*end, 0);
		}
	}
	assert_int_equal(length, 0);
	return count;
}

static void test_directory_listing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest, fork;
	char all[1024], names[1024];
	int64_t fd = open_flags(fixture, "allowed", O_RDONLY | O_DIRECTORY);

	assert_int_equal(list(fixture, fd, 4096, all), 4);
	assert_non_null(strstr(all, "file "));
	assert_non_null(strstr(all, "sub "));
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_SET), 0);
	/* One entry a call. */
	assert_int_equal(list(fixture, fd, 32, names), 4);
	assert_string_equal(names, all);
	/* A fork's position is its own, though the host's descriptor is one. */
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_SET), 0);
	assert_true(CALL(guest, SYS_getdents64, fd, DATA_AT, 32) > 0);
	fake_guest_fork(&fork, guest);
	assert_true(CALL(&fork, SYS_getdents64, fd, DATA_AT, 4096) > 32);
	assert_int_equal(CALL(&fork, SYS_getdents64, fd, DATA_AT, 4096), 0);
	assert_int_equal(list(fixture, fd, 4096, names), 3);
	fake_guest_destroy(&fork);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_SET), 0);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, FAKE_HOLE, 4096), -EFAULT);
	assert_true(CALL(guest, SYS_getdents64, fd, DATA_AT, 4096) > 0);
	assert_int_equal(CALL(guest, SYS_getdents64, 0, DATA_AT, 4096), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_getdents64, 99, DATA_AT, 4096), -EBADF);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 10), -EISDIR);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
	CALL(guest, SYS_getdents64, fd, DATA_AT, 4096);
}

/*
 * The calls that would change.
 */

static void test_nothing_can_be_written(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_path(fixture, "allowed/file");

	assert_int_equal(open_flags(fixture, "allowed/file", O_WRONLY), -EROFS);
	assert_int_equal(open_flags(fixture, "allowed/file", O_RDWR), -EROFS);
	assert_int_equal(open_flags(fixture, "allowed/file", O_RDONLY | O_TRUNC), -EROFS);
	assert_int_equal(open_flags(fixture, "allowed/file", O_ACCMODE), -EINVAL);
	assert_int_equal(open_flags(fixture, "listed", O_RDWR), -EROFS);
	assert_int_equal(open_flags(fixture, "allowed/new", O_WRONLY | O_CREAT), -EROFS);
	assert_int_equal(open_flags(fixture, "allowed/file", O_CREAT | O_EXCL), -EEXIST);
	assert_true(open_flags(fixture, "allowed/file", O_RDONLY | O_CREAT) >= 0);
	assert_int_equal(open_flags(fixture, "allowed", O_WRONLY), -EISDIR);
	assert_int_equal(open_flags(fixture, "allowed", O_RDWR | O_TMPFILE), -EISDIR);
	assert_int_equal(open_flags(fixture, "new", O_WRONLY | O_CREAT), -EACCES);
	assert_int_equal(open_flags(fixture, "outside/new", O_WRONLY | O_CREAT), -ENOENT);
	assert_int_equal(open_flags(fixture, "outside/secret", O_WRONLY), -ENOENT);
	assert_int_equal(CALL(guest, SYS_creat, put_path(fixture, "allowed/file"), 0644), -EROFS);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_ftruncate, fd, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fallocate, fd, 0, 0, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_fchmod, fd, 0777), -EROFS);
	assert_int_equal(CALL(guest, SYS_fchmod, 99, 0777), -EBADF);
	assert_int_equal(CALL(guest, SYS_utimensat, fd, 0, 0, 0), -EROFS);
}

static void test_refused_changes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	static const struct {
		long number;
		const char *path;
		int64_t result;
	} cases[] = {
		{SYS_mkdir, "allowed/new", -EROFS},
		{SYS_mkdir, "allowed/new/", -EROFS},
		{SYS_mkdir, "allowed/sub", -EEXIST},
		{SYS_mkdir, "new", -EACCES},
		{SYS_mkdir, "outside/new", -ENOENT},
		{SYS_mkdir, "/", -EEXIST},
		{SYS_mkdir, "/new", -EACCES},
		{SYS_mkdir, "/etc/new", -ENOENT},
		{SYS_unlink, "allowed/file", -EROFS},
		{SYS_unlink, "allowed/no", -ENOENT},
		{SYS_unlink, "outside/secret", -ENOENT},
		{SYS_rmdir, "allowed/sub", -EROFS},
		{SYS_rmdir, "/tmp", -EACCES},
		{SYS_chmod, "allowed/file", -EROFS},
		{SYS_chmod, "outside/secret", -ENOENT},
		{SYS_chown, "listed", -EROFS},
		{SYS_truncate, "allowed/file", -EROFS},
		{SYS_truncate, "outside/secret", -ENOENT},
		{SYS_utime, "allowed/file", -EROFS},
		{SYS_rename, "allowed/file", -EROFS},
		{SYS_rename, "outside/secret", -ENOENT},
		{SYS_link, "allowed/file", -EROFS},
		{SYS_setxattr, "allowed/file", -EROFS},
		{SYS_mknod, "allowed/new", -EROFS},
	};

	fake_string(guest, PATH_2_AT, "name");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			CALL(guest, cases[i].number, put_path(fixture, cases[i].path), PATH_2_AT),
			cases[i].result);
	assert_int_equal(CALL(guest, SYS_symlink, PATH_2_AT, put_path(fixture, "allowed/new")),
	                 -EROFS);
	assert_int_equal(CALL(guest, SYS_rename, put_path(fixture, "allowed/file"), FAKE_HOLE),
	                 -EFAULT);
	assert_int_equal(CALL(guest, SYS_unlinkat, 99, PATH_2_AT, 0), -EBADF);
	assert_content(fixture, "allowed/file", "content");
}

static void test_openat2(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct open_how *how = fake_pointer(guest, DATA_AT);

	put_path(fixture, "allowed/file");
	assert_true(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, sizeof(*how)) >= 0);
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, 8), -EINVAL);
	assert_true(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, 64) >= 0);
	((uint8_t *)how)[63] = 1;
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, 64), -E2BIG);
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, UINT64_MAX), -E2BIG);
	how->flags = UINT64_MAX;
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, 24), -EINVAL);
	how->flags = O_RDONLY;
	how->resolve = RESOLVE_BENEATH;
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, DATA_AT, 24), -EXDEV);
	assert_int_equal(CALL(guest, SYS_openat2, AT_FDCWD, PATH_AT, FAKE_HOLE, 24), -EFAULT);
}

static void test_path_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct stat *status = fake_pointer(guest, DATA_AT);
	int64_t fd;

	make_link(fixture, "allowed/link", "file");
	fd = open_flags(fixture, "allowed/link", O_PATH | O_NOFOLLOW | O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_true(S_ISLNK(status->st_mode));
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, 0x5401, DATA_AT), -EBADF);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, 0), -EBADF);
	fd = open_flags(fixture, "allowed", O_PATH);
	fake_string(guest, PATH_2_AT, "file");
	assert_true(CALL(guest, SYS_openat, fd, PATH_2_AT, O_RDONLY) >= 0);
	fd = open_flags(fixture, "/dev/null", O_PATH);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	assert_true(S_ISCHR(status->st_mode));
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void test_descriptors_are_counted(void **state)
{
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_create(&policy, NULL, 0, NULL), 0);
	for (unsigned i = 0; i < POLICY_DESCRIPTORS; i++)
		assert_true(policy_take_descriptor(policy));
	assert_false(policy_take_descriptor(policy));
	assert_false(policy_take_descriptor(policy));
	policy_give_descriptor(policy);
	assert_true(policy_take_descriptor(policy));
	policy_destroy(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors_are_counted),
		cmocka_unit_test(test_normalisation),
		cmocka_unit_test(test_long_paths),
		TEST(test_rules_are_checked),
		TEST(test_failure_closes_descriptors),
		TEST(test_allowed_files),
		TEST(test_file_rule_is_that_file_for_good),
		TEST(test_no_policy_reaches_nothing),
		TEST(test_relative_paths),
		TEST(test_links_within),
		TEST(test_links_out),
		TEST(test_links_across_rules_end),
		TEST(test_procfs_of_the_host),
		TEST(test_rename_race),
		TEST(test_special_files_are_never_opened),
		TEST(test_devices),
		TEST(test_directories_above),
		TEST(test_program_link),
		TEST(test_stat_family),
		TEST(test_statfs),
		TEST(test_access),
		TEST(test_directory_listing),
		TEST(test_nothing_can_be_written),
		TEST(test_refused_changes),
		TEST(test_openat2),
		TEST(test_path_descriptors),
	};

	return cmocka_run_group_tests_name("linux_policy", tests, NULL, NULL);
}
