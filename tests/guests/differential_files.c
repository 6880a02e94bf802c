/* SPDX-License-Identifier: MIT */
/*
 * Calls that look at files and directories by name, and those that would change
 * them where nothing may be changed; hostile arguments included; see
 * differential.h. The current directory is the tree that the test has made.
 */
#include "differential.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <utime.h>

static const char *const names[] = {
	"file",
	"./file",
	".//file",
	"file/",
	"file/.",
	"file/..",
	"empty",
	"program",
	"directory",
	"directory/",
	"directory/.",
	"directory/..",
	"directory/../file",
	"directory/inner",
	"directory/deeper/../inner",
	"directory/absent/../inner",
	"directory/up",
	"link",
	"link/",
	"directory-link",
	"directory-link/",
	"directory-link/inner",
	"directory-link/../file",
	"dangling",
	"dangling/",
	"loop",
	"loop/x",
	"absent",
	"absent/",
	"absent/file",
	"file/absent",
	"",
	".",
	"./",
	"..",
	"/",
	"//",
	"/..",
	"/dev/null",
	"/dev/null/",
	"/dev/null/x",
	"/dev/zero",
	"/dev/full",
	"/dev/urandom",
	"/proc/self/fd/0",
	"/absent",
	"outside",
};

/* What is the same for a file natively and inside. */
static void tell_stat(const struct stat *status)
{
	const bool regular = S_ISREG(status->st_mode);

	printf("  what it is [%s] = mode %o size %ld", circumstance, status->st_mode,
	       regular ? (long)status->st_size : 0);
	if (regular)
		printf(" links %ld times %ld.%09ld %ld.%09ld", (long)status->st_nlink,
		       status->st_atim.tv_sec, status->st_atim.tv_nsec, status->st_mtim.tv_sec,
		       status->st_mtim.tv_nsec);
	if (S_ISCHR(status->st_mode))
		printf(" device %u:%u", major(status->st_rdev), minor(status->st_rdev));
	printf("\n");
}

static bool is_told(const char *name)
{
	return strcmp(name, "..") != 0 && strncmp(name, "/", 1) != 0 &&
	       strcmp(name, "outside") != 0 && strcmp(name, ".") != 0 && strcmp(name, "./") != 0;
}

static void look_at(const char *name)
{
	char text[PATH_MAX];
	struct stat status;
	struct statx extended;
	long length;
	int fd;

	within("\"%s\"", name);
	memset(&status, 0, sizeof(status));
	TRY(stat, name, &status);
	if (is_told(name))
		tell_stat(&status);
	memset(&status, 0, sizeof(status));
	TRY(lstat, name, &status);
	if (is_told(name))
		tell_stat(&status);
	TRY(newfstatat, AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW);
	memset(&extended, 0, sizeof(extended));
	TRY(statx, AT_FDCWD, name, 0, STATX_BASIC_STATS, &extended);
	if (is_told(name))
		say(extended.stx_mode, "statx: the mode");
	TRY(access, name, F_OK);
	TRY(access, name, R_OK);
	TRY(access, name, W_OK);
	TRY(access, name, X_OK);
	TRY(faccessat, AT_FDCWD, name, R_OK | X_OK);
	TRY(faccessat2, AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW);
	length = TRY(readlink, name, text, sizeof(text));
	if (is_told(name))
		say(digest(text, length > 0 ? (size_t)length : 0), "its target");
	TRY(readlinkat, AT_FDCWD, name, text, 2);
	fd = (int)TRY_OK(open, name, O_RDONLY);
	TRY(fcntl, fd, F_GETFL);
	TRY_OK(open, name, O_RDONLY | O_NOFOLLOW);
	TRY_OK(open, name, O_RDONLY | O_DIRECTORY);
	TRY_OK(open, name, O_PATH | O_NOFOLLOW);
	TRY_OK(open, name, O_PATH);
	for (fd = 3; fd < 20; fd++)
		close(fd);
	if (name[0] == '/')
		return;
	TRY_OK(open, name, O_WRONLY);
	TRY_OK(open, name, O_RDWR);
	TRY_OK(open, name, O_RDONLY | O_CREAT | O_EXCL, 0600);
	TRY_OK(open, name, O_RDONLY | O_TRUNC);
	for (fd = 3; fd < 20; fd++)
		close(fd);
}

static void look_at_names(void)
{
	for (size_t i = 0; i < COUNT(names); i++)
		look_at(names[i]);
	without();
}

/* Of paths too long: all of it, one name, and just not. */
static void long_names(void)
{
	static const size_t lengths[] = {254, 255, 256, 4094, 4095, 4096, 5000};
	static char name[6000];
	struct stat status;

	for (size_t i = 0; i < COUNT(lengths); i++) {
		within("a name of %zu", lengths[i]);
		memset(name, 'n', lengths[i]);
		name[lengths[i]] = '\0';
		TRY(stat, name, &status);
		TRY_OK(open, name, O_RDONLY);
		within("slashes: %zu", lengths[i]);
		memset(name, '/', lengths[i]);
		TRY(access, name, F_OK);
		within("dots: %zu", lengths[i]);
		for (size_t at = 0; at + 1 < lengths[i]; at += 2)
			memcpy(name + at, "./", 2);
		TRY(access, name, F_OK);
		TRY(chdir, name);
	}
	without();
	memset(page_end - 10, '/', 10);
	TRY(stat, page_end - 10, &status);
	memcpy(page_end - 5, "file", 5);
	TRY(stat, page_end - 5, &status);
}

static void open_flags(void)
{
	static const int flags[] = {O_WRONLY | O_RDWR,
	                            O_RDONLY | O_CREAT,
	                            O_TMPFILE | O_RDWR,
	                            O_TMPFILE,
	                            O_PATH | O_WRONLY,
	                            O_PATH | O_CREAT,
	                            O_DIRECTORY | O_CREAT,
	                            O_APPEND,
	                            O_NONBLOCK,
	                            O_SYNC,
	                            O_NOCTTY,
	                            O_CLOEXEC,
	                            O_PATH | O_CLOEXEC,
	                            0x40000000,
	                            O_SYNC | O_CREAT,
	                            O_APPEND | O_NONBLOCK,
	                            O_ASYNC,
	                            O_EXCL,
	                            O_NOFOLLOW | O_CLOEXEC,
	                            O_DSYNC};
	static const char *const targets[] = {"file", "directory", "link", "absent", "/dev/null"};

	for (size_t t = 0; t < COUNT(targets); t++)
		for (size_t i = 0; i < COUNT(flags); i++) {
			int fd;

			within("%s, %#x", targets[t], flags[i]);
			fd = (int)TRY_OK(openat, AT_FDCWD, targets[t], flags[i], 0600);
			TRY(fcntl, fd, F_GETFL);
			TRY(fcntl, fd, F_GETFD);
			close(fd);
		}
	without();
}

static void open_how(void)
{
	static const struct open_how hows[] = {
		{.flags = O_RDONLY},
		{.flags = O_RDONLY, .mode = 0600},
		{.flags = O_RDONLY | O_CREAT, .mode = 0600},
		{.flags = O_RDONLY | O_CREAT, .mode = 010000},
		{.flags = 1ull << 40},
		{.flags = 0x40000000},
		{.flags = O_PATH | O_WRONLY},
		{.flags = O_PATH},
		{.flags = O_WRONLY | O_RDWR},
		{.flags = O_RDONLY, .resolve = 0x1000},
		{.flags = O_RDONLY, .resolve = RESOLVE_BENEATH},
		{.flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS},
		{.flags = O_RDONLY, .resolve = RESOLVE_NO_MAGICLINKS},
		{.flags = O_RDONLY, .resolve = RESOLVE_NO_XDEV},
		{.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT},
		{.flags = O_RDONLY, .resolve = RESOLVE_BENEATH | RESOLVE_IN_ROOT},
	};
	static const char *const targets[] = {"file", "link", "directory/up", "/dev/null", "absent"};
	char large[sizeof(struct open_how) + 8] = {0};

	for (size_t t = 0; t < COUNT(targets); t++)
		for (size_t i = 0; i < COUNT(hows); i++) {
			within("%s, %zu", targets[t], i);
			close((int)TRY_OK(openat2, AT_FDCWD, targets[t], &hows[i], sizeof(hows[i])));
		}
	without();
	TRY(openat2, AT_FDCWD, "file", &hows[0], 0);
	TRY(openat2, AT_FDCWD, "file", &hows[0], sizeof(hows[0]) - 1);
	TRY(openat2, AT_FDCWD, "file", &hows[0], -1);
	TRY(openat2, AT_FDCWD, "file", &hows[0], 5000);
	close((int)TRY_OK(openat2, AT_FDCWD, "file", large, sizeof(large)));
	large[sizeof(large) - 1] = 1;
	TRY(openat2, AT_FDCWD, "file", large, sizeof(large));
	FOR_UNREADABLE(bad)
	{
		TRY(openat2, AT_FDCWD, "file", bad, sizeof(hows[0]));
		TRY(openat2, AT_FDCWD, bad, &hows[0], sizeof(hows[0]));
	}
}

/* Relative to descriptors of all kinds. */
static void relative(void)
{
	const int directory = open("directory", O_RDONLY), path = open("directory", O_PATH);
	const int file = open("file", O_RDONLY), null = open("/dev/null", O_RDONLY);
	const int link = open("link", O_PATH | O_NOFOLLOW);
	const int at[] = {directory, path, file,     null,      link,
	                  -1,        99,   AT_FDCWD, INT32_MAX, INT32_MIN};
	static const char *const kind[] = {"directory", "path", "file",     "null", "link",
	                                   "-1",        "99",   "AT_FDCWD", "most", "least"};
	static const char *const relative_names[] = {"inner",   "deeper", "..",
	                                             "../file", "",       "/dev/null"};
	struct stat status;
	struct statx extended;
	char text[64];

	for (size_t i = 0; i < COUNT(at); i++)
		for (size_t n = 0; n < COUNT(relative_names); n++) {
			const char *name = relative_names[n];

			within("%s, \"%s\"", kind[i], name);
			TRY(newfstatat, at[i], name, &status, 0);
			TRY(newfstatat, at[i], name, &status, AT_EMPTY_PATH);
			TRY(newfstatat, at[i], name, &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
			TRY(statx, at[i], name, AT_EMPTY_PATH, STATX_ALL, &extended);
			TRY(faccessat, at[i], name, R_OK);
			TRY(faccessat2, at[i], name, R_OK, AT_EMPTY_PATH);
			TRY(readlinkat, at[i], name, text, sizeof(text));
			close((int)TRY_OK(openat, at[i], name, O_RDONLY));
			close((int)TRY_OK(openat, at[i], name, O_PATH));
		}
	without();
	for (int fd = 3; fd < 20; fd++)
		close(fd);
}

static void bad_arguments(void)
{
	struct stat status;
	struct statx extended;
	struct statfs system;
	char text[64];

	TRY(newfstatat, AT_FDCWD, "file", &status, 0x1);
	TRY(newfstatat, AT_FDCWD, "file", &status, -1);
	TRY(newfstatat, AT_FDCWD, "file", &status, AT_NO_AUTOMOUNT);
	TRY(statx, AT_FDCWD, "file", 0x1, STATX_ALL, &extended);
	TRY(statx, AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_ALL, &extended);
	TRY(statx, AT_FDCWD, "file", AT_STATX_SYNC_TYPE, STATX_ALL, &extended);
	TRY(statx, AT_FDCWD, "file", 0, 1u << 31, &extended);
	TRY(statx, AT_FDCWD, "file", 0, 0, &extended);
	TRY(access, "file", 8);
	TRY(access, "file", -1);
	TRY(faccessat2, AT_FDCWD, "file", R_OK, 1);
	TRY(faccessat2, AT_FDCWD, "file", R_OK, AT_EACCESS);
	TRY(readlink, "link", text, 0);
	TRY(readlink, "link", text, -1);
	TRY(readlink, "link", text, 1ul << 31);
	TRY(readlink, "link", text, 1ul << 32);
	TRY(readlink, "file", text, 0);
	FOR_UNREADABLE(bad)
	{
		TRY(stat, bad, &status);
		TRY(lstat, bad, &status);
		TRY(statx, AT_FDCWD, bad, 0, STATX_ALL, &extended);
		TRY(open, bad, O_RDONLY);
		TRY(openat, AT_FDCWD, bad, O_RDONLY);
		TRY(access, bad, F_OK);
		TRY(readlink, bad, text, sizeof(text));
		TRY(chdir, bad);
		TRY(statfs, bad, &system);
		TRY(unlink, bad);
		TRY(mkdir, bad, 0700);
		TRY(rename, "absent", bad);
		TRY(rename, bad, "absent");
		TRY(truncate, bad, 0);
		TRY(symlink, bad, "absent");
		TRY(symlink, "absent", bad);
	}
	FOR_UNWRITABLE(bad)
	{
		TRY(stat, "file", bad);
		TRY(stat, "absent", bad);
		TRY(lstat, "link", bad);
		TRY(fstat, 0, bad);
		TRY(fstat, 99, bad);
		TRY(newfstatat, AT_FDCWD, "file", bad, 0);
		TRY(statx, AT_FDCWD, "file", 0, STATX_ALL, bad);
		TRY(statfs, ".", bad);
		TRY(fstatfs, 0, bad);
		TRY(readlink, "link", bad, 10);
		TRY(readlink, "link", bad, 4);
		TRY(getcwd, bad, 4096);
	}
}

static void file_systems(void)
{
	struct statfs system;

	for (size_t i = 0; i < COUNT(names); i++) {
		within("\"%s\"", names[i]);
		TRY(statfs, names[i], &system);
	}
	without();
	TRY(fstatfs, -1, &system);
	TRY(fstatfs, 99, &system);
	TRY(fstatfs, open(".", O_RDONLY), &system);
	TRY(fstatfs, open(".", O_PATH), &system);
	TRY(syncfs, 99);
	TRY(syncfs, open("file", O_RDONLY));
	TRY(syncfs, open("file", O_PATH));
	for (int fd = 3; fd < 20; fd++)
		close(fd);
}

static void current_directory(void)
{
	char text[PATH_MAX], again[PATH_MAX];
	const int here = open(".", O_RDONLY), file = open("file", O_RDONLY);
	const int path = open("directory", O_PATH);
	const long length = TRY_OK(getcwd, text, sizeof(text));

	say(length == (long)strlen(text) + 1, "getcwd counts its end");
	TRY(getcwd, text, 0);
	TRY(getcwd, text, 1);
	TRY(getcwd, text, length - 1);
	TRY_OK(getcwd, text, length);
	TRY_OK(getcwd, text, -1);
	for (size_t i = 0; i < COUNT(names); i++) {
		within("\"%s\"", names[i]);
		TRY(chdir, names[i]);
		/* Outside of what is allowed there is nothing to compare. */
		CALL(getcwd, again, sizeof(again));
		printf("now in [%s] = %s\n", circumstance,
		       strncmp(again, text, (size_t)length - 1) == 0 ? again + length - 1
		                                                     : "another one");
		if (fchdir(here) != 0)
			exit(95);
	}
	without();
	TRY(fchdir, -1);
	TRY(fchdir, 99);
	TRY(fchdir, file);
	TRY(fchdir, 0);
	TRY(fchdir, path);
	TRY(access, "inner", F_OK);
	TRY(fchdir, here);
	for (int fd = 3; fd < 20; fd++)
		close(fd);
}

/* Names, in order, and how entries are laid out. */
static void tell_directory(int fd, size_t size)
{
	static char entries[65536];
	unsigned long count = 0, sum = 0;
	bool aligned = true;
	long got;

	while ((got = CALL(getdents64, fd, entries, size)) > 0)
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(entries + at);

			count++;
			sum += (unsigned long)digest(entry->d_name, strlen(entry->d_name)) +
			       entry->d_type;
			aligned &= entry->d_reclen % 8 == 0;
			at += entry->d_reclen;
		}
	say(got, "the end of a directory in pieces of %zu", size);
	say((long)count, "entries");
	say((long)sum, "their names and types");
	say(aligned, "aligned");
}

static void list_directories(void)
{
	static const size_t sizes[] = {32, 48, 100, 1024, 65536};
	const int many = open("many", O_RDONLY), file = open("file", O_RDONLY);
	const int here = open(".", O_RDONLY | O_DIRECTORY), path = open("many", O_PATH);
	struct stat status;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		tell_directory(many, sizes[i]);
		TRY(lseek, many, 0, SEEK_SET);
		tell_directory(here, sizes[i]);
		TRY(lseek, here, 0, SEEK_SET);
	}
	TRY(getdents64, many, page, 0);
	TRY(getdents64, many, page, 10);
	TRY(getdents64, many, page, 23);
	TRY_OK(getdents64, many, page, -1);
	TRY(getdents64, file, page, 4096);
	TRY(getdents64, path, page, 4096);
	TRY(getdents64, 0, page, 4096);
	TRY(getdents64, -1, page, 4096);
	FOR_UNWRITABLE(bad)
	{
		TRY(lseek, many, 0, SEEK_SET);
		TRY(getdents64, many, bad, 4096);
		TRY(getdents64, file, bad, 4096);
	}
	TRY(read, many, page, 100);
	TRY(pread64, many, page, 100, 0);
	TRY(write, many, page, 100);
	TRY(lseek, many, 0, SEEK_SET);
	TRY(lseek, many, -1, SEEK_SET);
	TRY(fstat, many, &status);
	say(S_ISDIR(status.st_mode), "a directory");
	TRY(ftruncate, many, 0);
	TRY(fsync, many);
	for (int fd = 3; fd < 20; fd++)
		close(fd);
}

/* Where nothing can be changed. */
static void changes(void)
{
	static const char *const targets[] = {"file",     "absent", "directory",  "link",
	                                      "dangling", "",       "file/x",     "absent/x",
	                                      "loop",     ".",      "directory/", "absent/"};
	struct timespec times[2] = {{1, 0}, {2, 0}}, bad_times[2] = {{1, -1}, {2, 0}};
	struct timeval values[2] = {{1, 0}, {2, 0}}, bad_values[2] = {{1, -1}, {2, 0}};
	struct utimbuf seconds = {1, 2};

	for (size_t i = 0; i < COUNT(targets); i++) {
		const char *name = targets[i];

		within("\"%s\"", name);
		TRY(unlink, name);
		TRY(unlinkat, AT_FDCWD, name, 0);
		TRY(unlinkat, AT_FDCWD, name, AT_REMOVEDIR);
		TRY(rmdir, name);
		TRY(mkdir, name, 0700);
		TRY(mkdirat, AT_FDCWD, name, 0700);
		TRY(mknod, name, S_IFREG | 0600, 0);
		TRY(mknodat, AT_FDCWD, name, S_IFIFO | 0600, 0);
		TRY(creat, name, 0600);
		TRY(link, "file", name);
		TRY(link, name, "absent");
		TRY(linkat, AT_FDCWD, name, AT_FDCWD, "absent", AT_SYMLINK_FOLLOW);
		TRY(symlink, "target", name);
		TRY(symlinkat, "target", AT_FDCWD, name);
		TRY(rename, name, "absent");
		TRY(rename, "file", name);
		TRY(renameat, AT_FDCWD, name, AT_FDCWD, "absent");
		TRY(renameat2, AT_FDCWD, name, AT_FDCWD, "absent", 1);
		TRY(chmod, name, 0600);
		TRY(fchmodat, AT_FDCWD, name, 0600);
		TRY(chown, name, 0, 0);
		TRY(lchown, name, -1, -1);
		TRY(fchownat, AT_FDCWD, name, 0, 0, AT_SYMLINK_NOFOLLOW);
		TRY(truncate, name, 5);
		TRY(utime, name, &seconds);
		TRY(utimes, name, values);
		TRY(futimesat, AT_FDCWD, name, values);
		TRY(utimensat, AT_FDCWD, name, times, 0);
		TRY(utimensat, AT_FDCWD, name, 0, AT_SYMLINK_NOFOLLOW);
		TRY(setxattr, name, "user.name", "value", 5, 0);
		TRY(lsetxattr, name, "user.name", "value", 5, 0);
		TRY(getxattr, name, "user.name", page, 10);
		TRY(lgetxattr, name, "user.name", page, 10);
		TRY(listxattr, name, page, 100);
		TRY(llistxattr, name, page, 100);
		TRY(removexattr, name, "user.name");
		TRY(lremovexattr, name, "user.name");
	}
	without();
	TRY(unlinkat, AT_FDCWD, "file", 1);
	TRY(unlinkat, 99, "file", 0);
	TRY(mkdirat, 99, "absent", 0700);
	TRY(mknod, "absent", S_IFMT, 0);
	TRY(mknod, "absent", S_IFCHR | 0600, makedev(1, 3));
	TRY(linkat, AT_FDCWD, "file", AT_FDCWD, "absent", 1);
	TRY(linkat, 99, "file", AT_FDCWD, "absent", 0);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 8);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 3);
	TRY(renameat2, AT_FDCWD, "file", 99, "absent", 0);
	TRY(fchownat, AT_FDCWD, "file", 0, 0, 1);
	TRY(utimensat, AT_FDCWD, "file", bad_times, 0);
	TRY(utimensat, AT_FDCWD, "file", times, 1);
	TRY(utimensat, 99, "file", times, 0);
	TRY(utimensat, 99, 0, times, 0);
	TRY(utimensat, AT_FDCWD, 0, times, 0);
	TRY(utimes, "file", bad_values);
	TRY(truncate, "file", -1);
	TRY(setxattr, "file", "name", "value", 5, 0);
	TRY(setxattr, "file", "user.name", "value", 5, 4);
	TRY(setxattr, "file", "", "value", 5, 0);
	TRY(setxattr, "file", bad_addresses[2].address, "value", 5, 0);
	TRY(getxattr, "file", "", page, 10);
	TRY(getxattr, "file", bad_addresses[2].address, page, 10);
	FOR_UNREADABLE(bad)
	{
		TRY(utimensat, AT_FDCWD, "file", bad, 0);
		TRY(utimes, "file", bad);
		TRY(utime, "file", bad);
	}
}

int main(void)
{
	prepare();
	look_at_names();
	long_names();
	open_flags();
	open_how();
	relative();
	bad_arguments();
	file_systems();
	current_directory();
	list_directories();
	changes();
	return 0;
}
