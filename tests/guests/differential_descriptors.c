/* SPDX-License-Identifier: MIT */
/*
 * Calls on descriptors and pipes, hostile arguments included; see
 * differential.h. The current directory is the tree that the test has made:
 * "file" has 10000 bytes. Standard input is a
 * pipe that nobody writes to.
 */
#include "differential.h"

#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>

#define FILE_BYTES 10000
#define PIPE_BYTES 65536

/* One of each kind, all at once, at numbers that are the same everywhere. */
enum {
	INPUT = 0,
	REGULAR = 3,
	DIRECTORY,
	PATH,
	NULL_DEVICE,
	ZERO,
	FULL,
	RANDOM,
	PIPE_IN,
	PIPE_OUT,
	EMPTY,
	KINDS_END,
	CLOSED = 99,
};
static const int kinds[] = {INPUT, REGULAR,   DIRECTORY, PATH,     NULL_DEVICE, ZERO,
                            FULL,  RANDOM,    PIPE_IN,   PIPE_OUT, EMPTY,       CLOSED,
                            -1,    INT32_MAX, INT32_MIN, 255,      256,         1 << 20};
static const char *const kind_names[] = {
	"input",    "file",  "directory", "path", "null", "zero",  "full", "random", "pipe in",
	"pipe out", "empty", "closed",    "-1",   "most", "least", "255",  "256",    "a million"};

static struct iovec vector[3];

static void fill_vector(void)
{
	for (int i = 0; i < 3; i++)
		vector[i] = (struct iovec){page + 100 * i, 10};
}

/* The pipe has 100 bytes. */
static void open_all(void)
{
	close_range(3, ~0u, 0);
	open("file", O_RDONLY);
	open("directory", O_RDONLY);
	open("file", O_PATH);
	open("/dev/null", O_RDWR);
	open("/dev/zero", O_RDWR);
	open("/dev/full", O_RDWR);
	open("/dev/urandom", O_RDONLY);
	if (syscall(SYS_pipe2, (int[2]){0}, O_NONBLOCK) == 0)
		CALL(write, PIPE_OUT, page, 100);
	open("empty", O_RDONLY);
	fill_vector();
}

/* What each call says of each kind. */

static void read_kind(int fd)
{
	TRY(read, fd, page, 10);
	TRY(read, fd, page, 0);
	TRY(read, fd, page, -1);
	TRY(read, fd, page_end - 4, 10);
	TRY(pread64, fd, page, 10, 0);
	TRY(pread64, fd, page, 10, -1);
	TRY(pread64, fd, page, 10, INT64_MAX);
	TRY(pread64, fd, page, 10, FILE_BYTES - 5);
	TRY(readv, fd, vector, 3);
	TRY(readv, fd, vector, 0);
	TRY(readv, fd, vector, -1);
	TRY(readv, fd, vector, 1025);
	TRY(preadv, fd, vector, 3, 1);
	TRY(preadv, fd, vector, 3, -1);
	TRY(preadv2, fd, vector, 3, -1, 0, 0);
	TRY(preadv2, fd, vector, 3, 0, 0, 0);
	TRY(preadv2, fd, vector, 3, -2, 0, 0);
	TRY(preadv2, fd, vector, 3, 0, 0, 1u << 20);
	FOR_UNWRITABLE(bad)
	{
		TRY(read, fd, bad, 10);
		TRY(read, fd, bad, 0);
		TRY(pread64, fd, bad, 10, 0);
		TRY(readv, fd, bad, 1);
	}
}

static void write_kind(int fd)
{
	if (fd == RANDOM)
		return;
	TRY(write, fd, page, 10);
	TRY(write, fd, page, 0);
	TRY(write, fd, page_end - 4, 10);
	TRY(pwrite64, fd, page, 10, 0);
	TRY(pwrite64, fd, page, 10, -1);
	TRY(writev, fd, vector, 3);
	TRY(writev, fd, vector, 0);
	TRY(writev, fd, vector, -1);
	TRY(writev, fd, vector, 1025);
	TRY(pwritev, fd, vector, 3, 1);
	TRY(pwritev, fd, vector, 3, -1);
	TRY(pwritev2, fd, vector, 3, -1, 0, 0);
	TRY(pwritev2, fd, vector, 3, 0, 0, 1u << 20);
	FOR_UNREADABLE(bad)
	{
		TRY(write, fd, bad, 10);
		TRY(write, fd, bad, 0);
		TRY(pwrite64, fd, bad, 10, 0);
		TRY(writev, fd, bad, 1);
	}
}

static void position_kind(int fd)
{
	TRY(lseek, fd, 0, SEEK_CUR);
	TRY(lseek, fd, 100, SEEK_SET);
	TRY(lseek, fd, 10, SEEK_CUR);
	TRY(lseek, fd, -200, SEEK_CUR);
	TRY(lseek, fd, -1, SEEK_SET);
	TRY(lseek, fd, INT64_MIN, SEEK_CUR);
	TRY(lseek, fd, INT64_MAX, SEEK_CUR);
	TRY(lseek, fd, 0, 5);
	TRY(lseek, fd, 0, -1);
	if (fd == DIRECTORY || (fd >= NULL_DEVICE && fd <= RANDOM))
		return;
	TRY(lseek, fd, 0, SEEK_END);
	TRY(lseek, fd, -10, SEEK_END);
	TRY(lseek, fd, 10, SEEK_END);
	TRY(lseek, fd, INT64_MAX, SEEK_END);
	TRY(lseek, fd, 0, SEEK_DATA);
	TRY(lseek, fd, 0, SEEK_HOLE);
	TRY(lseek, fd, FILE_BYTES, SEEK_DATA);
	TRY(lseek, fd, FILE_BYTES, SEEK_HOLE);
	TRY(lseek, fd, -1, SEEK_HOLE);
	TRY(lseek, fd, 1ul << 40, SEEK_SET);
	TRY(read, fd, page, 10);
	TRY(lseek, fd, 0, SEEK_SET);
}

/* Devices are the machine's: all its processes share their locks. */
static bool is_device(int fd)
{
	return fd >= NULL_DEVICE && fd <= RANDOM;
}

static void change_kind(int fd)
{
	TRY(ftruncate, fd, 0);
	TRY(ftruncate, fd, -1);
	TRY(fallocate, fd, 0, 0, 100);
	TRY(fallocate, fd, 0, 0, 0);
	TRY(fallocate, fd, 0, -1, 100);
	TRY(fallocate, fd, 0x1000, 0, 100);
	TRY(fallocate, fd, 0, INT64_MAX, 100);
	TRY(fsync, fd);
	TRY(fdatasync, fd);
	TRY(fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	TRY(fadvise64, fd, 0, 0, 99);
	TRY(fadvise64, fd, 0, -1, POSIX_FADV_WILLNEED);
	TRY(fadvise64, fd, -1, 10, POSIX_FADV_DONTNEED);
	TRY(readahead, fd, 0, 100);
	if (fd < KINDS_END)
		TRY(fchmod, fd, 0600);
	TRY(fchown, fd, 0, 0);
	TRY(fsetxattr, fd, "user.name", "value", 5, 0);
	TRY(fgetxattr, fd, "user.name", page, 10);
	TRY(flistxattr, fd, page, 100);
	TRY(fremovexattr, fd, "user.name");
	if (is_device(fd))
		return;
	TRY(flock, fd, LOCK_SH);
	TRY(flock, fd, LOCK_EX | LOCK_NB);
	TRY(flock, fd, LOCK_UN);
	TRY(flock, fd, 0);
	TRY(flock, fd, 99);
}

static void stat_kind(int fd)
{
	struct stat status = {0};

	TRY(fstat, fd, &status);
	if (fd != INPUT)
		say(status.st_mode & (S_IFMT | 0777), "its mode");
	say(S_ISREG(status.st_mode) ? (long)status.st_size : -1, "its size");
	TRY(fchdir, fd);
	CALL(chdir, "..");
	CALL(chdir, "tree");
}

static void control_kind(int fd)
{
	struct termios terminal;
	struct winsize window;
	int number = -7;

	TRY(fcntl, fd, F_GETFD);
	TRY(fcntl, fd, F_SETFD, FD_CLOEXEC);
	TRY(fcntl, fd, F_GETFD);
	TRY(fcntl, fd, F_SETFD, 0xfffffff0);
	TRY(fcntl, fd, F_GETFD);
	TRY(fcntl, fd, F_GETFL);
	if (fd >= REGULAR && fd < KINDS_END) {
		TRY(fcntl, fd, F_SETFL, O_NONBLOCK);
		TRY(fcntl, fd, F_GETFL);
		TRY(fcntl, fd, F_SETFL, O_APPEND | O_WRONLY | O_CREAT);
		TRY(fcntl, fd, F_GETFL);
		TRY(fcntl, fd, F_SETFL, 0);
		TRY(fcntl, fd, F_GETFL);
	}
	TRY(fcntl, fd, 9999, 0);
	TRY(fcntl, fd, -1, 0);
	TRY(fcntl, fd, F_DUPFD, 256);
	TRY(fcntl, fd, F_DUPFD, -1);
	TRY(fcntl, fd, F_DUPFD, INT32_MAX);
	TRY(fcntl, fd, F_DUPFD_CLOEXEC, 50);
	TRY(fcntl, 50, F_GETFD);
	close(50);
	TRY(fcntl, fd, F_GETPIPE_SZ);
	TRY(ioctl, fd, TCGETS, &terminal);
	TRY(ioctl, fd, TIOCGWINSZ, &window);
	if (fd != DIRECTORY && fd != PATH)
		TRY(ioctl, fd, FIONREAD, &number);
	TRY(ioctl, fd, FIOCLEX, 0);
	TRY(fcntl, fd, F_GETFD);
	TRY(ioctl, fd, FIONCLEX, 0);
	TRY(fcntl, fd, F_GETFD);
	TRY(ioctl, fd, 0xffffffff, 0);
}

static void lock_kind(int fd)
{
	static const int commands[] = {F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK};
	struct flock lock;

	if (is_device(fd) || fd == INPUT)
		return;
	for (size_t i = 0; i < COUNT(commands); i++) {
		lock = (struct flock){.l_type = F_RDLCK};
		TRY(fcntl, fd, commands[i], &lock);
		say(lock.l_type, "the lock's type");
		lock = (struct flock){.l_type = F_WRLCK, .l_start = 10, .l_len = -10};
		TRY(fcntl, fd, commands[i], &lock);
		lock = (struct flock){.l_type = 9};
		TRY(fcntl, fd, commands[i], &lock);
		lock = (struct flock){.l_whence = 9};
		TRY(fcntl, fd, commands[i], &lock);
		lock = (struct flock){.l_start = -1};
		TRY(fcntl, fd, commands[i], &lock);
		TRY(fcntl, fd, commands[i], 0);
	}
}

static void duplicate_kind(int fd)
{
	TRY(dup2, fd, 60);
	TRY(dup2, fd, fd);
	TRY(dup2, fd, -1);
	TRY(dup2, fd, 256);
	TRY(dup2, fd, INT32_MAX);
	TRY(dup3, fd, 61, 0);
	TRY(dup3, fd, 61, O_CLOEXEC);
	TRY(dup3, fd, 61, O_NONBLOCK);
	TRY(dup3, fd, fd, 0);
	TRY(dup3, fd, 256, 0);
	TRY(fcntl, 61, F_GETFD);
	TRY(close, 60);
	TRY(close, 60);
	TRY(close, 61);
	close((int)TRY_OK(dup, fd));
}

static void poll_kind(int fd)
{
	struct pollfd entry = {fd, POLLIN | POLLOUT | POLLPRI, 0x7777};
	const struct timespec none = {0, 0};
	fd_set in, out;

	TRY(poll, &entry, 1, 0);
	say(entry.revents, "what it is ready for");
	entry.events = 0;
	TRY(ppoll, &entry, 1, &none, 0, 8);
	say(entry.revents, "what it is without a question");
	if (fd < 0 || fd >= FD_SETSIZE)
		return;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	TRY(pselect6, fd + 1, &in, &out, 0, &none, 0);
	say(FD_ISSET(fd, &in), "to be read");
	say(FD_ISSET(fd, &out), "to be written");
}

static void send_kind(int fd)
{
	off_t offset = 5;

	TRY(sendfile, NULL_DEVICE, fd, 0, 10);
	TRY(sendfile, NULL_DEVICE, fd, &offset, 10);
	say(offset, "the offset");
	TRY(sendfile, fd, REGULAR, &offset, 10);
	TRY(sendfile, fd, REGULAR, &offset, 0);
	offset = -1;
	TRY(sendfile, NULL_DEVICE, fd, &offset, 10);
	offset = FILE_BYTES;
	TRY(sendfile, NULL_DEVICE, fd, &offset, 10);
	TRY(sendfile, NULL_DEVICE, fd, bad_addresses[2].address, 10);
	TRY(sendfile, NULL_DEVICE, fd, bad_addresses[READ_ONLY_INDEX].address, 10);
}

static void (*const of_kind[])(int fd) = {
	read_kind,    write_kind, position_kind,  change_kind, stat_kind,
	control_kind, lock_kind,  duplicate_kind, poll_kind,   send_kind,
};

static void ask_kinds(void)
{
	for (size_t i = 0; i < COUNT(of_kind); i++)
		for (size_t k = 0; k < COUNT(kinds); k++) {
			open_all();
			subject = kind_names[k];
			of_kind[i](kinds[k]);
		}
	subject = "";
	close_range(3, ~0u, 0);
}

/* Lists of buffers, good and bad mixed. */
static void vectors(void)
{
	static struct iovec many[1024];
	struct iovec mixed[3];

	open_all();
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct iovec){page, 1};
	TRY(readv, REGULAR, many, 1024);
	TRY(writev, NULL_DEVICE, many, 1024);
	for (size_t i = 0; i < COUNT(bad_addresses); i++) {
		within("%s second", bad_addresses[i].name);
		mixed[0] = (struct iovec){page, 10};
		mixed[1] = (struct iovec){(void *)bad_addresses[i].address, 10};
		mixed[2] = (struct iovec){page, 10};
		TRY(readv, REGULAR, mixed, 3);
		TRY(readv, ZERO, mixed, 3);
		TRY(preadv, REGULAR, mixed, 3, 0);
		TRY(lseek, REGULAR, 0, SEEK_CUR);
		TRY(writev, PIPE_OUT, mixed, 3);
		TRY(ioctl, PIPE_IN, FIONREAD, &(int){0});
		TRY(readv, PIPE_IN, mixed, 3);
		TRY(ioctl, PIPE_IN, FIONREAD, &(int){0});
		mixed[0].iov_len = 0;
		TRY(readv, REGULAR, mixed, 3);
		TRY(lseek, REGULAR, 0, SEEK_CUR);
	}
	without();
	mixed[0] = (struct iovec){page, -1};
	TRY(readv, REGULAR, mixed, 1);
	mixed[0] = (struct iovec){page, 1ul << 63};
	TRY(readv, REGULAR, mixed, 1);
	mixed[0] = (struct iovec){page, INT64_MAX};
	TRY(readv, REGULAR, mixed, 1);
	mixed[0] = (struct iovec){page, 10};
	mixed[1] = (struct iovec){page, -1};
	TRY(readv, REGULAR, mixed, 2);
	TRY(writev, PIPE_OUT, mixed, 2);
	mixed[1] = (struct iovec){(void *)-16ul, 32};
	TRY(readv, REGULAR, mixed, 2);
	TRY(writev, PIPE_OUT, mixed, 2);
	say(digest(page, PAGE), "what has been read");
}

static void pipes(void)
{
	static char data[PIPE_BYTES + 4096];
	int ends[2] = {-1, -1}, unread = 0;

	close_range(3, ~0u, 0);
	signal(SIGPIPE, SIG_IGN);
	FOR_UNWRITABLE(bad)
	{
		TRY(pipe, bad);
		TRY(pipe2, bad, 0);
	}
	TRY(fcntl, 3, F_GETFD);
	TRY(pipe2, ends, 1);
	TRY(pipe2, ends, -1);
	TRY(pipe2, ends, O_NONBLOCK | O_CLOEXEC);
	say(ends[0] * 100 + ends[1], "its ends");
	TRY(fcntl, ends[0], F_GETFL);
	TRY(fcntl, ends[1], F_GETFL);
	TRY(fcntl, ends[0], F_GETFD);
	TRY(fcntl, ends[0], F_GETPIPE_SZ);
	TRY(read, ends[0], data, 10);
	TRY(write, ends[1], data, sizeof(data));
	TRY(ioctl, ends[0], FIONREAD, &unread);
	say(unread, "unread");
	TRY(write, ends[1], data, 1);
	TRY(read, ends[0], data, 4095);
	TRY(write, ends[1], data, 4096);
	TRY(read, ends[0], data, 1);
	TRY(write, ends[1], data, 4096);
	TRY(write, ends[1], data, 1);
	TRY(read, ends[0], data, sizeof(data));
	TRY(read, ends[0], data, sizeof(data));
	TRY(read, ends[1], data, 1);
	TRY(write, ends[0], data, 1);
	TRY(write, ends[1], "hello", 5);
	TRY(read, ends[0], bad_addresses[2].address, 5);
	TRY(read, ends[0], page_end - 3, 5);
	TRY(read, ends[0], data, 10);
	TRY(write, ends[1], "rest", 4);
	TRY(close, ends[1]);
	TRY(read, ends[0], data, 2);
	TRY(read, ends[0], data, 10);
	TRY(read, ends[0], data, 10);
	TRY(close, ends[0]);
	TRY(pipe, ends);
	TRY(close, ends[0]);
	TRY(write, ends[1], "hello", 5);
	TRY(write, ends[1], "hello", 0);
	TRY(write, ends[1], bad_addresses[2].address, 5);
	TRY(close, ends[1]);
	TRY(pipe2, ends, O_DIRECT);
	close_range(3, ~0u, 0);
}

static void waiting(void)
{
	struct pollfd entries[300];
	struct timespec times[] = {{0, 0}, {0, 1000000}, {-1, 0}, {0, -1}, {0, 1000000000}};
	struct timeval values[] = {{0, 0}, {0, 1000}, {-1, 0}, {0, -1}, {0, 2000000}};
	fd_set in, out, except;
	uint64_t mask = 0;

	open_all();
	for (size_t i = 0; i < COUNT(entries); i++)
		entries[i] = (struct pollfd){(int)i % 20 - 2, POLLIN | POLLOUT, 1};
	TRY(poll, entries, 20, 0);
	TRY(poll, entries, 256, 0);
	TRY(poll, entries, 257, 0);
	TRY(poll, entries, 0, 1);
	TRY(poll, 0, 0, 1);
	TRY(poll, entries, -1, 0);
	TRY(poll, entries, 1ul << 32, 0);
	CALL(read, PIPE_IN, page, 4096);
	entries[0] = (struct pollfd){PIPE_IN, POLLIN, 1};
	TRY(poll, entries, 1, 5);
	say(entries[0].revents, "nothing");
	TRY(poll, entries, 1, 0);
	close(PIPE_OUT);
	TRY(poll, entries, 1, -1);
	say(entries[0].revents, "hung up");
	FOR_UNWRITABLE(bad)
	{
		TRY(poll, bad, 1, 0);
		TRY(ppoll, bad, 1, &times[0], 0, 8);
		TRY(select, 10, bad, 0, 0, &values[0]);
		TRY(select, 10, 0, bad, 0, &values[0]);
		TRY(select, 10, 0, 0, bad, &values[0]);
	}
	FOR_UNREADABLE(bad)
	{
		if (bad) {
			TRY(ppoll, entries, 1, bad, 0, 8);
			TRY(ppoll, entries, 1, &times[0], bad, 8);
			TRY(select, 0, 0, 0, 0, bad);
			TRY(pselect6, 0, 0, 0, 0, bad, 0);
			TRY(pselect6, 0, 0, 0, 0, &times[0], bad);
		}
	}
	TRY(ppoll, entries, 1, &times[0], &mask, 4);
	TRY(ppoll, entries, 1, &times[0], &mask, 8);
	TRY(ppoll, entries, 1, &times[0], 0, 4);
	for (size_t i = 0; i < COUNT(times); i++) {
		within("time-out %zu", i);
		TRY(ppoll, 0, 0, &times[i], 0, 0);
		FD_ZERO(&out);
		FD_SET(NULL_DEVICE, &out);
		TRY(select, NULL_DEVICE + 1, 0, &out, 0, &values[i]);
		TRY(pselect6, 0, 0, 0, 0, &times[i], 0);
	}
	without();
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&except);
	TRY(select, -1, &in, 0, 0, &values[0]);
	TRY(select, INT32_MAX, 0, 0, 0, &values[0]);
	TRY(select, 1024, &in, &out, &except, &values[0]);
	FD_SET(REGULAR, &in);
	FD_SET(PIPE_IN, &in);
	FD_SET(NULL_DEVICE, &out);
	FD_SET(REGULAR, &except);
	TRY(select, 1024, &in, &out, &except, &values[0]);
	say(digest(&in, 32) ^ digest(&out, 32) ^ digest(&except, 32), "the sets");
	FD_SET(70, &in);
	TRY(select, 1024, &in, &out, &except, &values[0]);
	TRY(select, 70, &in, &out, &except, &values[0]);
	say(digest(&in, 32), "beyond the count it stays");
}

static void closing(void)
{
	open_all();
	TRY(close_range, 5, 4, 0);
	TRY(close_range, 4, 5, 1);
	TRY(close_range, 4, 5, -1);
	TRY(close_range, 4, 5, 4);
	TRY(fcntl, 4, F_GETFD);
	TRY(close_range, 4, 5, 0);
	TRY(fcntl, 4, F_GETFD);
	TRY(fcntl, 5, F_GETFD);
	TRY(fcntl, 6, F_GETFD);
	TRY(close_range, 6, ~0u, 2);
	TRY(fcntl, 6, F_GETFD);
	TRY(close_range, 1000, ~0u, 0);
	TRY(close_range, ~0u, ~0u, 0);
	TRY(close, -1);
	TRY(close, 4);
	TRY(close, 1u << 31);
	TRY(close, 1ul << 32 | 3);
	TRY(fcntl, 3, F_GETFD);
	close_range(3, ~0u, 0);
	/* The lowest that is free. */
	TRY(dup, 0);
	TRY(dup, 0);
	TRY(dup, 0);
	TRY(close, 4);
	TRY(dup, 0);
	TRY(fcntl, 0, F_DUPFD, 4);
	for (int i = 0; i < 300; i++)
		if (CALL(dup, 0) < 0) {
			say(i, "as many as there can be");
			break;
		}
	TRY(dup, 0);
	TRY(open, "file", O_RDONLY);
	TRY(pipe, page);
	TRY(fcntl, 0, F_DUPFD, 3);
	TRY(fcntl, 0, F_DUPFD, 255);
	close(100);
	TRY(pipe, page);
	TRY(dup, 0);
	close_range(3, ~0u, 0);
}

/* Descriptors of one open file share its offset and its flags, and not close-on-exec. */
static void sharing(void)
{
	const int file = open("file", O_RDONLY | O_CLOEXEC), twin = dup(file);
	const int again = open("/proc/self/fd/3", O_RDONLY);

	TRY(read, file, page, 100);
	TRY(lseek, twin, 0, SEEK_CUR);
	TRY(lseek, again, 0, SEEK_CUR);
	TRY(fcntl, twin, F_GETFD);
	TRY(fcntl, twin, F_SETFL, O_NONBLOCK);
	TRY(fcntl, file, F_GETFL);
	TRY(fcntl, again, F_GETFL);
	TRY(pread64, file, page, 100, 500);
	TRY(lseek, file, 0, SEEK_CUR);
	TRY(read, twin, page, FILE_BYTES);
	TRY(read, twin, page, FILE_BYTES);
	TRY(read, file, page, 1);
	TRY(close, file);
	TRY(lseek, twin, 0, SEEK_SET);
	TRY(read, twin, page, PAGE);
	say(digest(page, PAGE), "what has been read");
	close_range(3, ~0u, 0);
}

static void memory_files(void)
{
	const int file = (int)TRY(memfd_create, "name", 0);

	TRY(memfd_create, "name", 0x100);
	TRY(memfd_create, "name", -1);
	TRY(fcntl, (int)TRY(memfd_create, "", MFD_CLOEXEC | MFD_ALLOW_SEALING), F_GETFD);
	memset(page, 'n', 300);
	page[300] = 0;
	TRY(memfd_create, page, 0);
	page[249] = 0;
	TRY(memfd_create, page, 0);
	FOR_UNREADABLE(bad)
	TRY(memfd_create, bad, 0);
	TRY(write, file, page, 100);
	TRY(pwrite64, file, page, 100, 5000);
	TRY(ftruncate, file, 6000);
	TRY(lseek, file, 0, SEEK_END);
	TRY(pread64, file, page, PAGE, 2000);
	say(digest(page, PAGE), "what has been read");
	TRY(fcntl, file, F_GETFL);
	TRY(fallocate, file, 0, 0, 10000);
	TRY(lseek, file, 0, SEEK_END);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 1);
	TRY_OK(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	close_range(3, ~0u, 0);
}

/* Events, and what waits for them. */

static uint64_t count;

static void events(void)
{
	int fd = (int)TRY(eventfd2, 5, EFD_NONBLOCK);

	TRY(eventfd2, 0, 1 << 20);
	TRY(eventfd, 0);
	TRY(read, fd, &count, 7);
	TRY(read, fd, &count, 8);
	say((long)count, "the count");
	TRY(read, fd, &count, 8);
	count = UINT64_MAX;
	TRY(write, fd, &count, 8);
	count = UINT64_MAX - 1;
	TRY(write, fd, &count, 7);
	TRY(write, fd, &count, 8);
	count = 1;
	TRY(write, fd, &count, 8);
	TRY(write, fd, bad_addresses[7].address, 8);
	TRY(pread64, fd, &count, 8, 0);
	TRY(lseek, fd, 0, SEEK_SET);
	TRY(sendfile, NULL_DEVICE, fd, 0, 8);
	fd = (int)TRY(eventfd2, 2, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < 3; i++)
		TRY(read, fd, &count, 100);
	TRY(fcntl, fd, F_GETFD);
}

/* The pipe has 100 bytes; what is told of it, and about a change of it. */
static void watch(int epfd, int fd, unsigned events)
{
	struct epoll_event event = {.events = events, .data.u64 = 7}, told[2];

	within("%#x", events);
	TRY(epoll_ctl, epfd, EPOLL_CTL_MOD, fd, &event);
	for (int i = 0; i < 2; i++)
		if (TRY(epoll_wait, epfd, told, 2, 0) > 0)
			say((long)told[0].events, "the events");
	TRY(write, PIPE_OUT, page, 10);
	if (TRY(epoll_pwait, epfd, told, 2, 0, 0, 8) > 0)
		say((long)told[0].events, "the events");
	without();
}

static void polling(void)
{
	struct epoll_event event = {.events = EPOLLIN}, told[2];
	const struct timespec no_time = {0};
	int epfd, other;

	open_all();
	TRY(epoll_create, 0);
	TRY(epoll_create1, 1);
	epfd = (int)TRY(epoll_create1, EPOLL_CLOEXEC);
	other = (int)TRY(epoll_create, 1);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, REGULAR, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, DIRECTORY, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, NULL_DEVICE, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, PATH, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, CLOSED, &event);
	TRY(epoll_ctl, CLOSED, EPOLL_CTL_ADD, PIPE_IN, &event);
	TRY(epoll_ctl, PIPE_OUT, EPOLL_CTL_ADD, PIPE_IN, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, epfd, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, PIPE_IN, bad_addresses[7].address);
	TRY(epoll_ctl, epfd, 9, PIPE_IN, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_MOD, PIPE_IN, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_DEL, PIPE_IN, 0);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, PIPE_IN, &event);
	TRY(epoll_ctl, epfd, EPOLL_CTL_ADD, PIPE_IN, &event);
	watch(epfd, PIPE_IN, EPOLLIN);
	watch(epfd, PIPE_IN, EPOLLIN | EPOLLET);
	watch(epfd, PIPE_IN, EPOLLIN | EPOLLONESHOT);
	watch(epfd, PIPE_IN, EPOLLOUT);
	TRY(epoll_pwait2, epfd, told, 2, &no_time, 0, 8);
	TRY(epoll_wait, epfd, told, 0, 0);
	TRY(epoll_wait, epfd, told, INT32_MAX, 0);
	TRY(epoll_wait, PIPE_IN, told, 1, 0);
	TRY(epoll_wait, CLOSED, told, 1, 0);
	TRY(epoll_pwait, epfd, told, 1, 0, page, 4);
	TRY(read, other, page, 8);
	TRY(write, other, page, 8);
	TRY(close, PIPE_OUT);
	if (TRY(epoll_wait, epfd, told, 2, 0) > 0)
		say((long)told[0].events, "the events");
	TRY(close, PIPE_IN);
	TRY(epoll_wait, epfd, told, 2, 0);
}

/* Between pipes and files. */

static void moving(void)
{
	long offset = 50;
	int ends[2];

	open_all();
	TRY(pipe2, ends, O_NONBLOCK);
	TRY(splice, REGULAR, 0, PIPE_OUT, 0, 10, 0);
	TRY(splice, REGULAR, &offset, PIPE_OUT, 0, 10, 0);
	say(offset, "the offset");
	TRY(lseek, REGULAR, 0, SEEK_CUR);
	TRY(tee, PIPE_IN, ends[1], 5, 0);
	TRY(splice, PIPE_IN, 0, NULL_DEVICE, 0, 20, 0);
	TRY(splice, PIPE_IN, 0, ends[1], 0, 10, SPLICE_F_NONBLOCK);
	TRY(read, ends[0], page, 100);
	TRY(splice, ends[0], 0, NULL_DEVICE, 0, 1, 0);
	TRY(splice, CLOSED, 0, CLOSED, 0, 0, -1);
	TRY(splice, REGULAR, 0, PIPE_OUT, 0, 1, 0x100);
	TRY(splice, CLOSED, 0, PIPE_OUT, 0, 1, 0);
	TRY(splice, REGULAR, 0, PIPE_IN, 0, 1, 0);
	TRY(splice, REGULAR, 0, NULL_DEVICE, 0, 1, 0);
	TRY(splice, PIPE_IN, 0, PIPE_OUT, 0, 1, 0);
	TRY(splice, PIPE_IN, &offset, NULL_DEVICE, 0, 1, 0);
	TRY(splice, REGULAR, 0, PIPE_OUT, &offset, 1, 0);
	TRY(splice, DIRECTORY, 0, PIPE_OUT, 0, 1, 0);
	offset = -1;
	TRY(splice, REGULAR, &offset, PIPE_OUT, 0, 1, 0);
	TRY(tee, PIPE_IN, PIPE_OUT, 1, 0);
	TRY(tee, PIPE_IN, NULL_DEVICE, 1, 0);
	TRY(tee, CLOSED, CLOSED, 0, 0);
	TRY(tee, CLOSED, PIPE_OUT, 1, 0);
	TRY(tee, PIPE_IN, ends[1], 1, 0x100);
	TRY(vmsplice, PIPE_OUT, vector, 3, 0);
	TRY(vmsplice, PIPE_IN, vector, 2, 0);
	TRY(vmsplice, PIPE_IN, vector, 3, 0x100);
	TRY(vmsplice, REGULAR, vector, 1, 0);
	TRY(vmsplice, CLOSED, vector, 0, 0);
	TRY(sync_file_range, REGULAR, 0, 0, 7);
	TRY(sync_file_range, REGULAR, 0, 0, 8);
	TRY(sync_file_range, REGULAR, -1, 0, 0);
	TRY(sync_file_range, REGULAR, 1, INT64_MAX, 0);
	TRY(sync_file_range, PIPE_IN, 0, 0, 0);
	TRY(sync_file_range, CLOSED, 0, 0, 0);
	TRY(name_to_handle_at, AT_FDCWD, "file", page, page, 0x8000);
	TRY(open_by_handle_at, CLOSED, bad_addresses[7].address, 0);
	TRY_OK(getdents, DIRECTORY, page, PAGE);
	TRY(getdents, DIRECTORY, page, 5);
	TRY(getdents, REGULAR, page, PAGE);
	TRY(getdents, CLOSED, page, PAGE);
	close_range(3, ~0u, 0);
}

int main(void)
{
	prepare();
	signal(SIGPIPE, SIG_IGN);
	ask_kinds();
	vectors();
	pipes();
	waiting();
	closing();
	sharing();
	memory_files();
	events();
	polling();
	moving();
	return 0;
}
