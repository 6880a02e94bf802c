/* SPDX-License-Identifier: MIT */
/*
 * Calls that change what is in files and what is told of them, where they may,
 * relative to descriptors as well, hostile arguments included; see
 * differential.h. The current directory is the program's own.
 */
#include "differential.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <utime.h>

/* What a name is now, and a file's contents. */
static void show(const char *name)
{
	static char data[100000];
	struct stat status = {0};
	long length = 0;
	int fd;

	CALL(lstat, name, &status);
	fd = S_ISREG(status.st_mode) ? open(name, O_RDONLY) : -1;
	if (fd >= 0) {
		length = read(fd, data, sizeof(data));
		close(fd);
	}
	printf("now \"%s\" = mode %o, %ld bytes, %ld links, content %ld\n", name, status.st_mode,
	       S_ISDIR(status.st_mode) ? 0 : (long)status.st_size,
	       S_ISDIR(status.st_mode) ? 0 : (long)status.st_nlink,
	       digest(data, length > 0 ? (size_t)length : 0));
}

static void make_file(const char *name, size_t length)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char data[1000];

	for (size_t i = 0; i < length; i++)
		data[i] = (char)(i * 7 + i / 100);
	if (write(fd, data, length) != (ssize_t)length)
		exit(94);
	close(fd);
}

static void fresh(void)
{
	static const char *const names[] = {
		"full/inner",   "full",        "a",         "b",   "link", "hard",
		"absent/inner", "absent",      "new/inner", "new", "file", "directory/inner",
		"directory",    "other/inner", "other",     "d",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		if (unlink(names[i]) != 0)
			rmdir(names[i]);
	close_range(3, ~0u, 0);
	make_file("file", 1000);
	mkdir("directory", 0755);
	make_file("directory/inner", 10);
	CALL(symlink, "file", "link");
}

static void write_at(void)
{
	struct iovec vector[2] = {{"first", 5}, {"second", 6}};
	struct iovec bad_vector[2] = {{"good", 4}, {(void *)bad_addresses[2].address, 4}};
	int fd, twin;

	fresh();
	fd = open("a", O_RDWR | O_CREAT, 0644);
	twin = open("a", O_RDONLY);
	TRY(write, fd, "hello", 5);
	TRY(write, fd, "", 0);
	show("a");
	TRY(read, twin, page, 100);
	TRY(pwrite64, fd, "world", 5, 100);
	show("a");
	TRY(lseek, fd, 0, SEEK_CUR);
	TRY(lseek, fd, 10, SEEK_END);
	TRY(writev, fd, vector, 2);
	show("a");
	TRY(pwritev, fd, vector, 2, 3);
	TRY(pwritev2, fd, vector, 2, -1, 0, 0);
	show("a");
	TRY(writev, fd, bad_vector, 2);
	TRY(write, fd, page_end - 10, 20);
	show("a");
	TRY(pwrite64, fd, "x", 1, -1);
	TRY(pwrite64, fd, "x", 1, INT64_MAX);
	TRY(pwrite64, twin, "x", 1, 0);
	TRY(lseek, fd, INT64_MAX, SEEK_SET);
	TRY(lseek, fd, 0, SEEK_SET);
	FOR_UNREADABLE(bad)
	{
		TRY(write, fd, bad, 10);
		TRY(pwrite64, fd, bad, 10, 0);
	}
	TRY(fcntl, fd, F_SETFL, O_APPEND);
	TRY(write, fd, "appended", 8);
	TRY(pwrite64, fd, "at 0?", 5, 0);
	show("a");
	TRY(lseek, fd, 0, SEEK_CUR);
	TRY(read, fd, page, 100);
	TRY(fsync, fd);
	TRY(fdatasync, fd);
	TRY(sync_file_range, fd, 0, 0, 0);
	TRY(sync_file_range, fd, -1, 0, 0);
	TRY(sync_file_range, fd, 0, 0, 8);
	TRY(close, fd);
	TRY(lseek, twin, 0, SEEK_END);
}

static void resize(void)
{
	int fd;

	fresh();
	fd = open("file", O_RDWR);
	TRY(ftruncate, fd, 500);
	show("file");
	TRY(ftruncate, fd, 5000);
	show("file");
	TRY(ftruncate, fd, -1);
	TRY(ftruncate, fd, INT64_MAX);
	TRY(truncate, "file", 100);
	TRY(truncate, "link", 50);
	show("file");
	TRY(truncate, "file", -1);
	TRY(truncate, "file", INT64_MAX);
	TRY(truncate, "directory", 0);
	TRY(truncate, "absent", 0);
	TRY(fallocate, fd, 0, 0, 9000);
	show("file");
	TRY(fallocate, fd, FALLOC_FL_KEEP_SIZE, 9000, 9000);
	TRY(fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, 10);
	TRY(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10);
	TRY(fallocate, fd, FALLOC_FL_ZERO_RANGE, 10, 10);
	show("file");
	TRY(fallocate, fd, 0x1000, 0, 10);
	TRY(fallocate, fd, 0, -1, 10);
	TRY(fallocate, fd, 0, 0, 0);
	TRY(fallocate, fd, 0, 0, -1);
	TRY(fallocate, fd, 0, INT64_MAX, 10);
	close(fd);
	fd = open("file", O_RDONLY);
	TRY(ftruncate, fd, 0);
	TRY(fallocate, fd, 0, 0, 10);
	fd = open("directory", O_RDONLY);
	TRY(ftruncate, fd, 0);
	TRY(fallocate, fd, 0, 0, 10);
}

static void exchange(void)
{
	fresh();
	make_file("a", 5);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "a", 1);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "a", 2);
	show("file");
	show("a");
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 2);
	TRY(renameat2, AT_FDCWD, "file", AT_FDCWD, "absent", 1);
	TRY(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 3);
	TRY(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 8);
	TRY(renameat, 99, "a", AT_FDCWD, "b");
	TRY(renameat, AT_FDCWD, "a", 99, "b");
	FOR_UNREADABLE(bad)
	{
		TRY(rename, bad, "b");
		TRY(rename, "a", bad);
	}
	show("a");
}

static void attributes(void)
{
	const struct timespec times[] = {{1000, 1}, {2000, 2}}, omit[] = {{5, UTIME_OMIT}, {7, 7}};
	const struct timespec bad_times[] = {{1, -1}, {2, 0}}, large[] = {{1, 1000000000}, {2, 0}};
	const struct timeval values[] = {{3000, 3}, {4000, 4}};
	const struct utimbuf seconds = {5000, 6000};
	struct stat status;
	int fd;

	fresh();
	fd = open("file", O_RDWR);
	TRY(chmod, "file", 0123);
	show("file");
	TRY(chmod, "file", 07644);
	show("file");
	TRY(chmod, "file", 0177777);
	show("file");
	TRY(fchmod, fd, 0640);
	show("file");
	TRY(fchmodat, AT_FDCWD, "link", 0600);
	show("file");
	TRY(fchmodat, AT_FDCWD, "absent", 0600);
	TRY(fchmodat, 99, "file", 0600);
	TRY(chown, "file", -1, -1);
	TRY(fchown, fd, -1, -1);
	TRY(lchown, "link", -1, -1);
	TRY(chown, "file", 1, -1);
	TRY(chown, "absent", -1, -1);
	TRY(fchownat, AT_FDCWD, "file", -1, -1, AT_SYMLINK_NOFOLLOW);
	TRY(fchownat, AT_FDCWD, "file", -1, -1, 1);
	TRY(fchownat, fd, "", -1, -1, AT_EMPTY_PATH);
	TRY(utimensat, AT_FDCWD, "file", times, 0);
	stat("file", &status);
	say(status.st_atim.tv_sec * 10 + status.st_mtim.tv_nsec, "times");
	TRY(utimensat, AT_FDCWD, "file", omit, 0);
	stat("file", &status);
	say(status.st_atim.tv_sec * 10 + status.st_mtim.tv_nsec, "times, one left as it was");
	TRY(utimensat, fd, 0, times, 0);
	TRY(utimensat, AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW);
	TRY(utimensat, AT_FDCWD, "absent", times, 0);
	TRY(utimensat, AT_FDCWD, "file", bad_times, 0);
	TRY(utimensat, AT_FDCWD, "file", large, 0);
	TRY(utimensat, AT_FDCWD, "file", times, 1);
	TRY(utimensat, AT_FDCWD, 0, times, 0);
	TRY(utimensat, AT_FDCWD, "file", 0, 0);
	stat("file", &status);
	say(status.st_mtim.tv_sec > 1000000, "now");
	TRY(utimes, "file", values);
	stat("file", &status);
	say(status.st_atim.tv_sec + status.st_mtim.tv_nsec, "times of utimes");
	TRY(utime, "file", &seconds);
	stat("file", &status);
	say(status.st_atim.tv_sec + status.st_mtim.tv_nsec, "times of utime");
	TRY(futimesat, AT_FDCWD, "file", values);
	FOR_UNREADABLE(bad)
	{
		if (bad) {
			TRY(utimensat, AT_FDCWD, "file", bad, 0);
			TRY(utimes, "file", bad);
			TRY(utime, "file", bad);
		}
		TRY(chmod, bad, 0600);
	}
}

static void relative(void)
{
	int directory, path, file, here;

	fresh();
	here = open(".", O_RDONLY);
	directory = open("directory", O_RDONLY);
	path = open("directory", O_PATH);
	file = open("file", O_RDONLY);
	TRY_OK(openat, directory, "new", O_RDWR | O_CREAT, 0600);
	show("directory/new");
	TRY(mkdirat, path, "deeper", 0700);
	TRY(renameat, path, "new", directory, "deeper/moved");
	show("directory/deeper/moved");
	TRY(linkat, directory, "inner", path, "hard", 0);
	TRY(linkat, file, "", path, "hard2", AT_EMPTY_PATH);
	TRY(symlinkat, "inner", path, "soft");
	TRY(mknodat, path, "node", S_IFREG | 0600, 0);
	TRY(unlinkat, path, "node", 0);
	TRY(unlinkat, directory, "soft", 0);
	TRY(unlinkat, directory, "hard", 0);
	TRY(unlinkat, directory, "deeper", 0);
	TRY(unlinkat, directory, "deeper", AT_REMOVEDIR);
	TRY(unlinkat, directory, "deeper/moved", 0);
	TRY(unlinkat, directory, "deeper", AT_REMOVEDIR);
	TRY(mkdirat, file, "x", 0700);
	TRY(mkdirat, 99, "x", 0700);
	TRY(unlinkat, file, "x", 0);
	/* A directory that is gone. */
	unlink("directory/inner");
	unlink("directory/hard2");
	TRY(rmdir, "directory");
	TRY_OK(openat, directory, "new", O_RDWR | O_CREAT, 0600);
	TRY(mkdirat, path, "new", 0700);
	TRY(getdents64, directory, page, 4096);
	TRY(fchdir, directory);
	CALL(fchdir, here);
}

/* A file that is open lives on without a name. */
static void removed_while_open(void)
{
	int fd;
	struct stat status;

	fresh();
	fd = open("file", O_RDWR);
	TRY(unlink, "file");
	TRY(write, fd, "still", 5);
	TRY(lseek, fd, 0, SEEK_SET);
	TRY(read, fd, page, 10);
	TRY(fstat, fd, &status);
	say((long)status.st_nlink, "links");
	TRY_OK(open, "file", O_RDONLY);
	TRY(ftruncate, fd, 3);
	TRY(fstat, fd, &status);
	say(status.st_size, "its size");
}

static void map_writable(void)
{
	char *mapped;
	int fd, reading;

	fresh();
	fd = open("file", O_RDWR);
	reading = open("file", O_RDONLY);
	TRY(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reading, 0);
	mapped = (char *)TRY_OK(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	mapped[0] = 'x';
	show("file");
	mapped = (char *)TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	TRY(ftruncate, fd, 0);
	TRY(access, mapped, F_OK);
	TRY(write, fd, mapped, 10);
}

static void lock_and_copy(void)
{
	int fd, other, ends[2];
	off_t from = 0;

	fresh();
	fd = open("file", O_RDWR);
	other = open("b", O_RDWR | O_CREAT, 0644);
	TRY(flock, fd, LOCK_EX);
	TRY(flock, fd, LOCK_UN);
	TRY(sendfile, other, fd, 0, 300);
	show("b");
	TRY(sendfile, other, fd, &from, 2000);
	show("b");
	TRY(copy_file_range, fd, &from, other, 0, 10, 0);
	TRY(copy_file_range, fd, &from, other, 0, 10, 1);
	TRY(copy_file_range, fd, 0, fd, 0, 10, 0);
	show("b");
	if (pipe(ends) == 0) {
		TRY(sendfile, ends[1], other, 0, 10);
		TRY(write, ends[1], "data", 4);
	}
	TRY(ioctl, fd, 0x5421, &(int){1});
	TRY(readahead, fd, 0, 100);
	TRY(fadvise64, fd, 0, 0, POSIX_FADV_DONTNEED);
}

int main(void)
{
	prepare();
	write_at();
	resize();
	exchange();
	attributes();
	relative();
	removed_while_open();
	map_writable();
	lock_and_copy();
	fresh();
	return 0;
}
