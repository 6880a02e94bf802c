/* SPDX-License-Identifier: MIT */
/*
 * The files that are made by us: what they say, how they are found, opened,
 * listed and followed; that a guest cannot fill the host with them; that every
 * allocation may fail.
 */
#include "fake_guest.h"

#include "failing_allocations.h"
#include "linux/deadline.h"
#include "linux/files.h"
#include "linux/policy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_AT FAKE_START
#define ARGUMENTS_AT (FAKE_START + 4 * PAGE_SIZE)
#define DATA_AT (FAKE_START + 16 * PAGE_SIZE)
#define DATA_SIZE (128 * PAGE_SIZE)

#define MEBIBYTE (UINT64_C(1) << 20)

struct fixture {
	char directory[64], file[96];
	struct policy *policy;
	struct process_config config;
	struct fake_guest guest;
};

static char program[] = "/bin/program";

/* A directory of the host with one file, allowed and current. */
static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct kvmsb_path_rule rule;
	int descriptor;

	assert_non_null(fixture);
	strcpy(fixture->directory, "/tmp/kvmsb-made-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->file, sizeof(fixture->file), "%s/file", fixture->directory);
	descriptor = open(fixture->file, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(descriptor, "content", 7), 7);
	close(descriptor);
	rule = (struct kvmsb_path_rule){.path = fixture->directory};
	assert_int_equal(policy_create(&fixture->policy, &rule, 1, NULL), 0);
	fixture->config.policy = fixture->policy;
	fixture->config.directory = fixture->directory;
	fixture->config.program = program;
	fixture->config.stack_size = 8 * MEBIBYTE;
	fixture->config.memory_limit = 64 * MEBIBYTE;
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fake_guest_destroy(&fixture->guest);
	policy_destroy(fixture->policy);
	unlink(fixture->file);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

/*
 * Calls with a path.
 */

static int64_t open_path(struct fake_guest *guest, const char *path, int flags)
{
	return CALL(guest, SYS_open, fake_string(guest, PATH_AT, path), flags);
}

static int64_t stat_path(struct fake_guest *guest, const char *path, struct stat *status)
{
	int64_t result = CALL(guest, SYS_stat, fake_string(guest, PATH_AT, path), DATA_AT);

	memcpy(status, fake_pointer(guest, DATA_AT), sizeof(*status));
	return result;
}

static mode_t mode_of(struct fake_guest *guest, const char *path)
{
	struct stat status;

	assert_int_equal(stat_path(guest, path, &status), 0);
	return status.st_mode;
}

static const char *link_of(struct fake_guest *guest, const char *path)
{
	int64_t length = CALL(guest, SYS_readlink, fake_string(guest, PATH_AT, path), DATA_AT, 4096);

	if (length < 0)
		return strerror((int)-length);
	((char *)fake_pointer(guest, DATA_AT))[length] = '\0';
	return fake_pointer(guest, DATA_AT);
}

/* What the open descriptor reads, to its end; it is closed. Until the next call. */
static const char *read_whole(struct fake_guest *guest, int64_t fd)
{
	uint64_t done = 0;
	int64_t result;

	do {
		result = CALL(guest, SYS_read, fd, DATA_AT + done, DATA_SIZE - 1 - done);
		assert_true(result >= 0);
		done += (uint64_t)result;
	} while (result > 0);
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	((char *)fake_pointer(guest, DATA_AT))[done] = '\0';
	return fake_pointer(guest, DATA_AT);
}

static const char *content(struct fake_guest *guest, const char *path)
{
	int64_t fd = open_path(guest, path, O_RDONLY);

	if (fd < 0)
		return strerror((int)-fd);
	return read_whole(guest, fd);
}

#define assert_content(path, expected) assert_string_equal(content(guest, path), expected)
#define assert_holds(path, part) assert_non_null(strstr(content(guest, path), part))

/*
 * What they say.
 */

static void test_machine(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_content("/sys/devices/system/cpu/online", "0\n");
	assert_content("/sys/devices/system/cpu/possible", "0\n");
	assert_content("/sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
	assert_content("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
	assert_content("/proc/sys/kernel/osrelease", PROCESS_RELEASE "\n");
	assert_content("/proc/sys/kernel/hostname", "sandbox\n");
	assert_content("/proc/sys/vm/overcommit_memory", "1\n");
	assert_content("/proc/sys/fs/file-max", "256\n");
	assert_content("/proc/sys/fs/file-nr", "3\t0\t256\n");
	assert_content("/proc/version",
	               "Linux version " PROCESS_RELEASE " (kvmsandbox) " PROCESS_VERSION "\n");
	assert_holds("/proc/mounts", "proc /proc proc ro");
	assert_holds("/proc/self/mountinfo", " - proc proc ro");
	assert_holds("/proc/filesystems", "nodev\tproc\n");
	assert_holds("/proc/meminfo", "MemTotal:          65536 kB\n");
	assert_holds("/proc/meminfo", "MemAvailable:      65536 kB\n");
	assert_holds("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: ");
	assert_holds("/proc/cpuinfo", " sse2");
	assert_null(strstr(content(guest, "/proc/cpuinfo"), "processor\t: 1"));
	assert_holds("/proc/stat", "\nbtime ");
	assert_null(strstr(content(guest, "/proc/stat"), "cpu1"));
}

static void test_times(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	double up = 0, now = (double)time_now() / (double)NANOSECONDS;
	unsigned long btime = 0;

	assert_int_equal(sscanf(content(guest, "/proc/uptime"), "%lf", &up), 1);
	assert_true(up >= now - 1 && up < now + 60);
	assert_int_equal(sscanf(strstr(content(guest, "/proc/stat"), "btime"), "btime %lu", &btime),
	                 1);
	assert_true((double)btime + up > (double)time(NULL) - 60);
}

static void test_uuids(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	char first[64];

	strcpy(first, content(guest, "/proc/sys/kernel/random/uuid"));
	assert_int_equal(strlen(first), 37);
	assert_int_equal(first[14], '4');
	assert_string_not_equal(content(guest, "/proc/sys/kernel/random/uuid"), first);
	strcpy(first, content(guest, "/proc/sys/kernel/random/boot_id"));
	assert_int_equal(strlen(first), 37);
	assert_content("/proc/sys/kernel/random/boot_id", first);
}

static void put_strings(struct fake_guest *guest)
{
	static const char arguments[] = "program\0-x\0A=1\0B=2";
	struct process_attributes *attributes = &guest->process.attributes;

	memcpy(fake_pointer(guest, ARGUMENTS_AT), arguments, sizeof(arguments));
	attributes->arguments_start = ARGUMENTS_AT;
	attributes->arguments_end = ARGUMENTS_AT + 11;
	attributes->environment_end = ARGUMENTS_AT + sizeof(arguments);
	attributes->auxiliary_start = ARGUMENTS_AT + 64;
	attributes->auxiliary_end = ARGUMENTS_AT + 96;
}

static void test_strings_of_exec(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd;

	put_strings(guest);
	fd = open_path(guest, "/proc/self/cmdline", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 11);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "program\0-x", 11);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 0);
	fd = open_path(guest, "/proc/self/environ", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 100, 4), 4);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "B=2", 4);
	fd = open_path(guest, "/proc/1000/auxv", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 32);
	/* What the guest unmapped is not there any more. */
	guest->process.attributes.arguments_start = FAKE_HOLE;
	guest->process.attributes.arguments_end = FAKE_HOLE + 10;
	assert_content("/proc/self/cmdline", "");
	/* No program was loaded. */
	guest->process.attributes.arguments_start = guest->process.attributes.arguments_end = 0;
	assert_content("/proc/self/cmdline", "");
}

static void test_process(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	char text[4096], *next;
	unsigned fields = 0;

	strcpy(text, content(guest, "/proc/self/stat"));
	for (char *field = strtok_r(text, " \n", &next); field; field = strtok_r(NULL, " \n", &next))
		fields++;
	assert_int_equal(fields, 52);
	assert_int_equal(
		strncmp(content(guest, "/proc/self/stat"), "1000 (program) R 1 1000 1000 ", 29), 0);
	assert_content("/proc/self/comm", "program\n");
	assert_content("/proc/self/cgroup", "0::/\n");
	assert_content("/proc/self/oom_score_adj", "0\n");
	assert_holds("/proc/self/status", "Name:\tprogram\nUmask:\t0022\nState:\tR (running)\n");
	assert_holds("/proc/self/status", "Uid:\t1000\t1000\t1000\t1000\n");
	assert_holds("/proc/self/status", "Threads:\t1\n");
	assert_holds("/proc/self/limits", "Max open files            256                  256");
	assert_holds("/proc/self/limits", "Max stack size            8388608 ");
	assert_holds("/proc/self/limits", "Max cpu time              unlimited ");
	assert_holds("/proc/self/io", "rchar: 0\n");
	/* 510 pages, the hole, one page. */
	assert_int_equal(strncmp(content(guest, "/proc/self/statm"), "511 ", 4), 0);
	assert_content("/proc/self/maps", "00100000-002fe000 rw-p 00000000 00:00 0 "
	                                  "                                 [heap]\n"
	                                  "002ff000-00300000 rw-p 00000000 00:00 0 "
	                                  "                                 [stack]\n");
}

static void test_name_and_signals(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint64_t *action = fake_pointer(guest, DATA_AT);

	fake_string(guest, PATH_AT, "other");
	assert_int_equal(CALL(guest, SYS_prctl, 15, PATH_AT), 0);
	memset(action, 0, 32);
	action[0] = 1;
	assert_int_equal(CALL(guest, SYS_rt_sigaction, 1, DATA_AT, 0, 8), 0);
	action[0] = 4096;
	assert_int_equal(CALL(guest, SYS_rt_sigaction, 2, DATA_AT, 0, 8), 0);
	assert_content("/proc/self/comm", "other\n");
	assert_holds("/proc/self/stat", "(other)");
	assert_holds("/proc/self/status", "SigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n");
}

/*
 * Links.
 */

static void test_links(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	char path[256];

	assert_string_equal(link_of(guest, "/proc/self"), "1000");
	assert_string_equal(link_of(guest, "/proc/thread-self"), "1000/task/1000");
	assert_string_equal(link_of(guest, "/proc/self/exe"), program);
	assert_string_equal(link_of(guest, "/proc/self/cwd"), fixture->directory);
	assert_string_equal(link_of(guest, "/proc/self/root"), "/");
	assert_string_equal(link_of(guest, "/proc/mounts"), "self/mounts");
	assert_string_equal(link_of(guest, "/dev/fd"), "/proc/self/fd");
	assert_string_equal(link_of(guest, "/dev/stdin"), "/proc/self/fd/0");
	assert_string_equal(link_of(guest, "/proc/cpuinfo"), strerror(EINVAL));
	assert_string_equal(link_of(guest, "/proc/self/"), strerror(EINVAL));
	assert_string_equal(link_of(guest, "/proc/nothing"), strerror(ENOENT));
	assert_content("/proc/self/cwd/file", "content");
	snprintf(path, sizeof(path), "/proc/thread-self/root%s", fixture->file);
	assert_content(path, "content");
	snprintf(path, sizeof(path), "/proc/self/root/proc/self/root/proc/1000/root%s",
	         fixture->file);
	assert_content(path, "content");
	/* The program is not allowed. */
	assert_content("/proc/self/exe", strerror(ENOENT));
	assert_content("/proc/self/cwd/../../etc/passwd", strerror(ENOENT));
	assert_int_equal(open_path(guest, "/proc/self", O_RDONLY | O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_path(guest, "/dev/fd", O_RDONLY | O_NOFOLLOW), -ELOOP);
	assert_true(open_path(guest, "/proc/self", O_PATH | O_NOFOLLOW) >= 0);
}

static void test_threads_directory(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_content("/proc/thread-self/comm", "program\n");
	assert_content("/proc/self/task/1000/comm", "program\n");
	assert_content("/proc/1000/task/1000/comm", "program\n");
	assert_content("/proc/1000/task/1000/task", strerror(ENOENT));
	assert_content("/proc/1000/task/1001/comm", strerror(ENOENT));
	assert_content("/proc/1001/comm", strerror(ENOENT));
	assert_content("/proc/1/comm", strerror(ENOENT));
	assert_true(S_ISDIR(mode_of(guest, "/proc/self/task")));
	assert_true(S_ISDIR(mode_of(guest, "/proc/self/task/1000")));
}

static void test_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int32_t *ends = fake_pointer(guest, DATA_AT);
	struct stat status, other;
	char pipe[64];

	assert_int_equal(open_path(guest, "file", O_RDONLY), 3);
	assert_string_equal(link_of(guest, "/proc/self/fd/3"), fixture->file);
	assert_content("/proc/self/fd/3", "content");
	assert_content("/dev/fd/3", "content");
	assert_content("/proc/thread-self/fd/3", "content");
	/* The same file with an offset of its own. */
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT, 100), 7);
	assert_content("/proc/self/fd/3", "content");
	assert_int_equal(open_path(guest, "/proc/self/fd/3", O_WRONLY), -EACCES);
	assert_int_equal(open_path(guest, "/proc/self/fd/3", O_RDONLY | O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_path(guest, "/proc/self/fd/3", O_DIRECTORY), -ENOTDIR);
	assert_int_equal(open_path(guest, "/proc/self/fd/3/", O_RDONLY), -ENOTDIR);
	assert_int_equal(open_path(guest, "/proc/self/fd/4", O_RDONLY), -ENOENT);
	assert_int_equal(open_path(guest, "/proc/self/fd/03", O_RDONLY), -ENOENT);
	assert_int_equal(open_path(guest, "/proc/self/fd/3x", O_RDONLY), -ENOENT);
	assert_int_equal(open_path(guest, "/proc/self/fd/4294967299", O_RDONLY), -ENOENT);
	assert_int_equal(CALL(guest, SYS_pipe2, DATA_AT, 0), 0);
	assert_int_equal(ends[0], 4);
	strcpy(pipe, link_of(guest, "/proc/self/fd/4"));
	assert_int_equal(strncmp(pipe, "pipe:[", 6), 0);
	assert_string_equal(link_of(guest, "/proc/self/fd/5"), pipe);
	assert_string_not_equal(link_of(guest, "/proc/self/fd/0"), pipe);
	assert_int_equal(stat_path(guest, "/proc/self/fd/4", &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
	assert_int_equal(stat_path(guest, "/proc/self/fd/5", &other), 0);
	assert_int_equal(status.st_ino, other.st_ino);
	assert_int_equal(CALL(guest, SYS_lstat, PATH_AT, DATA_AT), 0);
	assert_true(S_ISLNK(((struct stat *)fake_pointer(guest, DATA_AT))->st_mode));
	assert_int_equal(open_path(guest, "/proc/self/fd/5/x", O_RDONLY), -ENOTDIR);
}

static void test_beneath_a_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_int_equal(open_path(guest, ".", O_RDONLY | O_DIRECTORY), 3);
	assert_content("/proc/self/fd/3/file", "content");
	assert_content("/dev/fd/3/./file", "content");
	assert_content("/proc/self/fd/3/../../etc/passwd", strerror(ENOENT));
	assert_int_equal(open_path(guest, "/proc/self/fd/3/", O_RDONLY | O_DIRECTORY), 4);
	assert_int_equal(CALL(guest, SYS_chdir, fake_string(guest, PATH_AT, "/proc")), 0);
	assert_int_equal(CALL(guest, SYS_chdir, fake_string(guest, PATH_AT, "self/fd/3")), 0);
	assert_string_equal(link_of(guest, "/proc/self/cwd"), fixture->directory);
}

/*
 * Directories.
 */

/* The names in the directory, each with a space behind; read by `size` bytes at a time. */
static const char *names_in(struct fake_guest *guest, const char *path, uint64_t size, long number)
{
	static char names[8192];
	int64_t fd = open_path(guest, path, O_RDONLY | O_DIRECTORY), length;
	const size_t name = number == SYS_getdents ? 18 : 19;

	assert_true(fd >= 0);
	names[0] = '\0';
	while ((length = CALL(guest, number, fd, DATA_AT, size)) > 0) {
		for (int64_t at = 0; at < length;) {
			struct dirent64 *entry = fake_pointer(guest, DATA_AT + (uint64_t)at);

			strcat(strcat(names, (char *)entry + name), " ");
			at += entry->d_reclen;
			assert_true(entry->d_ino != 0);
		}
	}
	assert_int_equal(length, 0);
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	return names;
}

static void test_listings(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	char all[2048];

	assert_string_equal(names_in(guest, "/proc", 4096, SYS_getdents64),
	                    ". .. self thread-self 1000 cpuinfo filesystems loadavg meminfo mounts "
	                    "stat uptime version sys ");
	assert_string_equal(names_in(guest, "/sys/devices/system/cpu/", 4096, SYS_getdents64),
	                    ". .. cpu0 kernel_max offline online possible present ");
	assert_string_equal(names_in(guest, "/dev", 4096, SYS_getdents64),
	                    ". .. fd full null random stderr stdin stdout tty urandom zero ");
	assert_string_equal(names_in(guest, "/proc/self/task", 4096, SYS_getdents64), ". .. 1000 ");
	/* The descriptor that lists is there, too. */
	assert_string_equal(names_in(guest, "/proc/self/fd", 4096, SYS_getdents64),
	                    ". .. 0 1 2 3 ");
	assert_int_equal(CALL(guest, SYS_dup2, 1, 200), 200);
	assert_string_equal(names_in(guest, "/dev/fd/", 24, SYS_getdents64), ". .. 0 1 2 3 200 ");
	strcpy(all, names_in(guest, "/proc/self", 4096, SYS_getdents64));
	assert_string_equal(names_in(guest, "/proc/self", 40, SYS_getdents64), all);
	assert_string_equal(names_in(guest, "/proc/self", 40, SYS_getdents), all);
	assert_string_equal(names_in(guest, "/proc/self", 4096, SYS_getdents), all);
	assert_non_null(strstr(all, " cmdline comm cwd environ exe fd "));
	assert_non_null(strstr(all, " task "));
	assert_null(strstr(names_in(guest, "/proc/thread-self", 4096, SYS_getdents64), " task "));
}

/* The type in the old form is in the last byte of an entry. */
static void test_types_of_entries(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_path(guest, "/dev", O_RDONLY);
	struct dirent64 *entry = fake_pointer(guest, DATA_AT);

	assert_int_equal(CALL(guest, SYS_lseek, fd, 2, SEEK_SET), 2);
	assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 24), 24);
	assert_int_equal(entry->d_type, DT_LNK);
	assert_string_equal(entry->d_name, "fd");
	assert_int_equal(CALL(guest, SYS_getdents, fd, DATA_AT, 24), 24);
	assert_string_equal((char *)entry + 18, "full");
	assert_int_equal(((char *)entry)[23], DT_CHR);
}

static void test_hostile_listings(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	static const char *const paths[] = {"/proc", "/proc/self/fd", "/proc/self/task", "/dev"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int64_t fd = open_path(guest, paths[i], O_RDONLY);

		assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 0), -EINVAL);
		assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 23), -EINVAL);
		assert_int_equal(CALL(guest, SYS_getdents, fd, DATA_AT, 23), -EINVAL);
		assert_int_equal(CALL(guest, SYS_getdents64, fd, FAKE_HOLE, 4096), -EFAULT);
		assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 0);
		assert_true(CALL(guest, SYS_getdents64, fd, DATA_AT, UINT64_MAX) > 0);
		assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
		assert_int_equal(CALL(guest, SYS_getdents64, fd, DATA_AT, 4096), 0);
		assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 10), -EISDIR);
		assert_int_equal(CALL(guest, SYS_close, fd), 0);
	}
	assert_int_equal(open_path(guest, "/proc/stat", O_RDONLY), 3);
	assert_int_equal(CALL(guest, SYS_getdents64, 3, DATA_AT, 4096), -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_getdents, 9, DATA_AT, 4096), -EBADF);
}

static void test_relative_to_directories(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_path(guest, "/proc/sys/kernel", O_PATH);

	fd = CALL(guest, SYS_openat, fd, fake_string(guest, PATH_AT, "hostname"), O_RDONLY);
	assert_string_equal(read_whole(guest, fd), "sandbox\n");
	fd = open_path(guest, "/proc/self", O_RDONLY);
	fd = CALL(guest, SYS_openat, fd, fake_string(guest, PATH_AT, "../sys/kernel/ostype"),
	          O_RDONLY);
	assert_string_equal(read_whole(guest, fd), "Linux\n");
	assert_int_equal(CALL(guest, SYS_chdir, fake_string(guest, PATH_AT, "/proc/self")), 0);
	assert_content("comm", "program\n");
	assert_int_equal(CALL(guest, SYS_getcwd, DATA_AT, 100), 11);
	assert_string_equal(fake_pointer(guest, DATA_AT), "/proc/1000");
	fd = open_path(guest, "/sys/devices", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_fchdir, fd), 0);
	assert_content("system/cpu/online", "0\n");
	assert_int_equal(CALL(guest, SYS_chdir, fake_string(guest, PATH_AT, "/proc/stat")), -ENOTDIR);
}

/*
 * Opening.
 */

static void test_open_flags(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd;

	assert_int_equal(open_path(guest, "/proc/stat", O_WRONLY), -EACCES);
	assert_int_equal(open_path(guest, "/proc/stat", O_RDWR), -EACCES);
	assert_int_equal(open_path(guest, "/proc/stat", O_RDONLY | O_TRUNC), -EACCES);
	assert_int_equal(open_path(guest, "/proc/stat", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	assert_int_equal(open_path(guest, "/proc/stat/", O_RDONLY), -ENOTDIR);
	assert_int_equal(open_path(guest, "/proc/stat/x", O_RDONLY), -ENOTDIR);
	assert_int_equal(open_path(guest, "/proc/stat", O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(open_path(guest, "/proc/new", O_CREAT | O_WRONLY), -EACCES);
	assert_int_equal(open_path(guest, "/proc", O_WRONLY), -EISDIR);
	assert_int_equal(open_path(guest, "/proc", O_CREAT), -EISDIR);
	assert_int_equal(open_path(guest, "/proc/", O_RDONLY | O_NOFOLLOW), 3);
	assert_int_equal(open_path(guest, "/dev/tty", O_RDWR), -ENXIO);
	assert_int_equal(open_path(guest, "/dev/kvm", O_RDWR), -ENOENT);
	assert_true(S_ISCHR(mode_of(guest, "/dev/tty")));
	fd = open_path(guest, "/proc/stat", O_PATH);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_fstat, fd, DATA_AT), 0);
	fd = open_path(guest, "/proc/stat", O_RDONLY);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_END), -EINVAL);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 10), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 1, SEEK_SET), 1);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 2), 2);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "pu", 2);
	assert_int_equal(CALL(guest, SYS_read, fd, FAKE_HOLE, 10), -EFAULT);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 3);
	assert_int_equal(CALL(guest, SYS_unlink, fake_string(guest, PATH_AT, "/proc/stat")), -EACCES);
}

static void test_status(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct stat status, other;
	struct statfs *system = fake_pointer(guest, DATA_AT);

	assert_int_equal(mode_of(guest, "/proc"), S_IFDIR | 0555);
	assert_int_equal(mode_of(guest, "/proc/self/fd"), S_IFDIR | 0500);
	assert_int_equal(mode_of(guest, "/proc/self/environ"), S_IFREG | 0400);
	assert_int_equal(stat_path(guest, "/proc/self/environ", &status), 0);
	assert_int_equal(status.st_uid, PROCESS_USER);
	assert_int_equal(status.st_size, 0);
	assert_int_equal(stat_path(guest, "/proc/1000/environ", &other), 0);
	assert_int_equal(status.st_ino, other.st_ino);
	assert_int_equal(open_path(guest, "/proc/self/environ", O_RDONLY), 3);
	assert_int_equal(CALL(guest, SYS_fstat, 3, DATA_AT), 0);
	assert_int_equal(((struct stat *)fake_pointer(guest, DATA_AT))->st_ino, status.st_ino);
	assert_int_equal(CALL(guest, SYS_fstatfs, 3, DATA_AT), 0);
	assert_int_equal(system->f_type, 0x9fa0);
	assert_int_equal(CALL(guest, SYS_statfs, fake_string(guest, PATH_AT, "/sys"), DATA_AT), 0);
	assert_int_equal(system->f_type, 0x62656572);
	fake_string(guest, PATH_AT, "/proc/cpuinfo");
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, R_OK), 0);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, W_OK), -EACCES);
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, X_OK), -EACCES);
	fake_string(guest, PATH_AT, "/proc/self");
	assert_int_equal(CALL(guest, SYS_access, PATH_AT, R_OK | X_OK), 0);
}

/*
 * Forks and limits.
 */

static void test_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest, fork;
	static const char *const paths[] = {"/proc/self/maps", "/proc/cpuinfo", "/proc/meminfo",
	                                    "/proc/self/status", "/proc/sys/kernel/random/boot_id"};
	char text[8192];

	assert_int_equal(open_path(guest, "/proc/self/comm", O_RDONLY), 3);
	fake_guest_fork(&fork, guest);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		strcpy(text, content(guest, paths[i]));
		assert_string_equal(content(&fork, paths[i]), text);
	}
	fake_string(&fork, PATH_AT, "marked");
	assert_int_equal(CALL(&fork, SYS_prctl, 15, PATH_AT), 0);
	assert_string_equal(content(&fork, "/proc/self/comm"), "marked\n");
	/* What was opened before says what it said then, from where the master was. */
	assert_int_equal(CALL(&fork, SYS_read, 3, DATA_AT, 4), 4);
	process_reset(&fork.process, &guest->process);
	assert_string_equal(content(&fork, "/proc/self/comm"), "program\n");
	assert_int_equal(CALL(&fork, SYS_read, 3, DATA_AT, 100), 8);
	fake_guest_destroy(&fork);
}

/* A long environment, opened as often as there are descriptors. */
static void test_content_is_limited(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd, opened = 0;

	guest->process.attributes.arguments_end = FAKE_START;
	guest->process.attributes.environment_end = FAKE_START + 256 * PAGE_SIZE;
	while ((fd = open_path(guest, "/proc/self/environ", O_RDONLY)) >= 0)
		opened++;
	assert_int_equal(fd, -ENFILE);
	assert_true(opened >= 4 && opened < 100);
	assert_true(files_made_bytes(&guest->process) <= FILES_MADE_MAXIMUM);
	assert_int_equal(CALL(guest, SYS_close, 3), 0);
	assert_int_equal(open_path(guest, "/proc/self/environ", O_RDONLY), 3);
	assert_int_equal(CALL(guest, SYS_close_range, 3, 255, 0), 0);
	assert_int_equal(files_made_bytes(&guest->process), 0);
}

/* What the host allows within comes first. */
static void test_rules_come_first(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct kvmsb_path_rule rules[] = {{.path = "/"}, {.path = "/proc/version"}};
	struct policy *policy;
	char host[512] = "";
	int descriptor = open("/proc/version", O_RDONLY | O_CLOEXEC);

	assert_true(read(descriptor, host, sizeof(host) - 1) > 0);
	close(descriptor);
	assert_int_equal(policy_create(&policy, rules, 2, NULL), 0);
	fixture->config.policy = policy;
	assert_content("/proc/version", host);
	assert_content("/proc/sys/kernel/hostname", "sandbox\n");
	assert_content("/sys/devices/system/cpu/online", "0\n");
	assert_content("/sys/class", strerror(ENOENT));
	assert_content("/proc/1/status", strerror(ENOENT));
	fixture->config.policy = fixture->policy;
	policy_destroy(policy);
}

/*
 * No memory.
 */

/* In a fork, so that each of the opens also copies the table. */
static bool open_without_memory(struct fixture *fixture, const char *path, unsigned n)
{
	struct fake_guest fork;
	int64_t result;
	bool failed;

	fake_guest_fork(&fork, &fixture->guest);
	allocations_fail_at(n);
	result = open_path(&fork, path, O_RDONLY);
	failed = allocations_stop_failing();
	if (failed)
		assert_int_equal(result, -ENOMEM);
	else
		assert_true(result >= 0);
	/* It works, once there is memory. */
	assert_true(open_path(&fork, path, O_RDONLY) >= 0);
	fake_guest_destroy(&fork);
	return failed;
}

static void test_no_memory(void **state)
{
	static const char *const paths[] = {
		"/proc/self/status", "/proc/self/maps", "/proc/self/fd",     "/proc/mounts",
		"/dev/fd/3",         "/dev/fd/3/file",  "/proc/self/environ"};
	struct fixture *fixture = *state;
	unsigned n;

	assert_int_equal(open_path(&fixture->guest, ".", O_RDONLY), 3);
	put_strings(&fixture->guest);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		for (n = 1; open_without_memory(fixture, paths[i], n); n++)
			;
		assert_true(n > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_machine),
		TEST(test_times),
		TEST(test_uuids),
		TEST(test_strings_of_exec),
		TEST(test_process),
		TEST(test_name_and_signals),
		TEST(test_links),
		TEST(test_threads_directory),
		TEST(test_descriptors),
		TEST(test_beneath_a_descriptor),
		TEST(test_listings),
		TEST(test_types_of_entries),
		TEST(test_hostile_listings),
		TEST(test_relative_to_directories),
		TEST(test_open_flags),
		TEST(test_status),
		TEST(test_forks),
		TEST(test_content_is_limited),
		TEST(test_rules_come_first),
		TEST(test_no_memory),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
