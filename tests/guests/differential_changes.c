/* SPDX-License-Identifier: MIT */
/*
 * Calls that change files and directories, where they may: what each answers for
 * names of all kinds, and what is there afterwards; see differential.h. The
 * current directory is empty and the program's own.
 */
#include "differential.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#define NOREPLACE 1
#define EXCHANGE 2

/* What is there before each call: set_up(). The rest leads there, or to nothing. */
static const char *const names[] = {
	"file",    "file/",    "file/x",        "link",        "directory", "directory/",
	"full",    "full/",    "to-full/inner", "to-full/new", "to-full/",  "absent",
	"absent/", "absent/x", "dangling",      "dangling/",   "loop",      "",
	".",       "full/.",   "full/..",
};
static const char *const few[] = {
	"file",     "directory", "full", "to-full/inner", "absent",
	"absent/x", "dangling",  ".",    "full/",
};

static void remove_all(const char *name)
{
	DIR *list = opendir(name);
	struct dirent *entry;

	while (list && (entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(list), entry->d_name, 0) == 0)
			continue;
		if (fchmodat(dirfd(list), entry->d_name, 0700, 0) == 0 && chdir(name) == 0) {
			remove_all(entry->d_name);
			if (chdir(strcmp(name, ".") == 0 ? "." : "..") != 0)
				exit(94);
		}
		unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
	}
	if (list)
		closedir(list);
}

static void make_file(const char *name, const char *content)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	if (fd < 0 || write(fd, content, strlen(content)) != (long)strlen(content) || close(fd) != 0)
		exit(93);
}

static void set_up(void)
{
	remove_all(".");
	make_file("file", "content");
	if (mkdir("directory", 0755) || mkdir("full", 0755))
		exit(92);
	make_file("full/inner", "inner");
	if (symlink("file", "link") || symlink("full", "to-full") ||
	    symlink("absent", "dangling") || symlink("loop", "loop"))
		exit(91);
}

/* The names in a directory in any order, with what they are. */
static unsigned long sum_of(const char *name)
{
	DIR *list = opendir(name);
	unsigned long sum = 0;
	struct dirent *entry;

	while (list && (entry = readdir(list)))
		sum += (unsigned long)digest(entry->d_name, strlen(entry->d_name)) *
		       (entry->d_type + 1u);
	if (list)
		closedir(list);
	return sum;
}

static void tell_mode(const char *name)
{
	struct stat status;

	if (lstat(name, &status) == 0)
		printf(" %s:%o:%ld:%ld", name, status.st_mode,
		       S_ISREG(status.st_mode) ? (long)status.st_size : 0,
		       S_ISREG(status.st_mode) ? (long)status.st_nlink : 0);
}

static void tell_state(void)
{
	printf("  what is there [%s] = %lu %lu", circumstance, sum_of("."), sum_of("full"));
	tell_mode("file");
	tell_mode("absent");
	tell_mode("full/new");
	tell_mode("directory");
	printf("\n");
	set_up();
}

/* What has failed has changed nothing, which the next one that succeeds tells. */
#define CHANGE(...)                                                                                \
	do {                                                                                       \
		if (TRY(__VA_ARGS__) >= 0)                                                         \
			tell_state();                                                              \
	} while (0)

static void one_name(const char *name)
{
	const struct timespec times[2] = {{1000, 1}, {2000, 2}};
	const struct timeval old_times[2] = {{1000, 1}, {2000, 2}};
	const struct utimbuf oldest_times = {3000, 4000};

	within("\"%s\"", name);
	CHANGE(mkdir, name, 0750);
	CHANGE(mkdirat, AT_FDCWD, name, 0);
	CHANGE(rmdir, name);
	CHANGE(unlink, name);
	CHANGE(unlinkat, AT_FDCWD, name, AT_REMOVEDIR);
	CHANGE(unlinkat, AT_FDCWD, name, 1);
	CHANGE(symlink, "anything", name);
	CHANGE(symlinkat, "", AT_FDCWD, name);
	CHANGE(mknod, name, S_IFREG | 0666, 0);
	CHANGE(mknodat, AT_FDCWD, name, 0600, 0);
	CHANGE(mknod, name, S_IFCHR | 0600, 0x103);
	CHANGE(truncate, name, 3);
	CHANGE(truncate, name, 100);
	CHANGE(truncate, name, -1);
	CHANGE(chmod, name, 0700);
	CHANGE(chmod, name, 01777);
	CHANGE(fchmodat, AT_FDCWD, name, 0711);
	CHANGE(chown, name, -1, -1);
	CHANGE(lchown, name, 0, 0);
	CHANGE(fchownat, AT_FDCWD, name, -1, -1, AT_SYMLINK_NOFOLLOW);
	CHANGE(utimensat, AT_FDCWD, name, times, 0);
	CHANGE(utimensat, AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW);
	CHANGE(futimesat, AT_FDCWD, name, old_times);
	CHANGE(utimes, name, old_times);
	CHANGE(utime, name, &oldest_times);
	CHANGE(access, name, W_OK);
}

/* Each way to open, and what a write then does. */
static void open_name(const char *name)
{
	static const int flags[] = {
		O_WRONLY,
		O_RDWR,
		O_WRONLY | O_TRUNC,
		O_RDONLY | O_TRUNC,
		O_RDONLY | O_CREAT,
		O_WRONLY | O_CREAT,
		O_RDWR | O_CREAT | O_EXCL,
		O_RDWR | O_CREAT | O_TRUNC,
		O_WRONLY | O_CREAT | O_NOFOLLOW,
		O_WRONLY | O_APPEND,
		O_WRONLY | O_CREAT | O_APPEND,
		O_RDWR | O_NOFOLLOW,
	};

	for (size_t i = 0; i < COUNT(flags); i++) {
		int fd;

		within("\"%s\", %#x", name, flags[i]);
		fd = (int)TRY_OK(open, name, flags[i], 0666);
		TRY(write, fd, "text", 4);
		TRY(lseek, fd, 0, SEEK_CUR);
		close(fd);
		if (fd >= 0)
			tell_state();
	}
	close((int)TRY_OK(creat, name, 0640));
	tell_state();
}

static void two_names(const char *from, const char *to)
{
	within("\"%s\", \"%s\"", from, to);
	CHANGE(rename, from, to);
	CHANGE(renameat, AT_FDCWD, from, AT_FDCWD, to);
	CHANGE(renameat2, AT_FDCWD, from, AT_FDCWD, to, NOREPLACE);
	CHANGE(renameat2, AT_FDCWD, from, AT_FDCWD, to, EXCHANGE);
	CHANGE(link, from, to);
	CHANGE(linkat, AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

static void content(void)
{
	int fd = (int)TRY_OK(open, "file", O_RDWR), only = (int)TRY_OK(open, "file", O_RDONLY);

	TRY(pwrite64, fd, "abc", 3, 5);
	TRY(pwrite64, fd, "abc", 3, -1);
	TRY(pwrite64, only, "abc", 3, 0);
	TRY(ftruncate, fd, 6);
	TRY(ftruncate, only, 6);
	TRY(ftruncate, fd, -1);
	TRY(fallocate, fd, 0, 0, 20);
	TRY(fallocate, fd, 0, 0, 0);
	TRY(fallocate, only, 0, 0, 20);
	TRY(fallocate, fd, 0x1000, 0, 20);
	TRY(fsync, fd);
	TRY(fdatasync, only);
	TRY(fchmod, only, 0604);
	TRY(fchown, only, -1, -1);
	TRY(utimensat, only, 0, 0, 0);
	TRY(fcntl, fd, F_SETFL, O_APPEND);
	TRY(pwrite64, fd, "xyz", 3, 0);
	TRY(write, fd, "end", 3);
	TRY(lseek, fd, 0, SEEK_CUR);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 3);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 8);
	TRY(linkat, AT_FDCWD, "file", AT_FDCWD, "absent", 1);
	TRY(unlinkat, fd, "x", 0);
	TRY(mkdirat, 99, "x", 0700);
	close(fd);
	close(only);
	tell_state();
}

static void masks(void)
{
	static const int values[] = {0, 022, 077, 0777};

	for (size_t i = 0; i < COUNT(values); i++) {
		umask((mode_t)values[i]);
		within("umask %#o", values[i]);
		close((int)TRY_OK(open, "absent", O_CREAT | O_WRONLY, 0666));
		TRY(mkdir, "full/new", 0777);
		umask(022);
		tell_state();
	}
	without();
}

int main(void)
{
	prepare();
	set_up();
	for (size_t i = 0; i < COUNT(names); i++) {
		one_name(names[i]);
		open_name(names[i]);
	}
	for (size_t i = 0; i < COUNT(few); i++)
		for (size_t j = 0; j < COUNT(few); j++)
			two_names(few[i], few[j]);
	without();
	content();
	masks();
	return 0;
}
