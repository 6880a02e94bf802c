/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, reading and writing, pipes, standard streams, sendfile; what
 * forks share of them and what a reset puts back.
 */
#include "fake_guest.h"

#include "failing_allocations.h"
#include "linux/deadline.h"
#include "linux/files.h"
#include "linux/pipe.h"
#include "linux/policy.h"
#include "linux/signals.h"
#include "linux/transfer.h"
#include "open_descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <layout.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_AT FAKE_START
#define VECTOR_AT (FAKE_START + 2 * PAGE_SIZE)
#define DATA_AT (FAKE_START + 16 * PAGE_SIZE)

/* A page and a bit more than TRANSFER_PIECES pages. */
#define FILE_SIZE (70 * PAGE_SIZE + 123)

/* The host's side of the standard streams. */
struct host {
	char written[1 << 20];
	size_t length;
	unsigned writes, reads;
	size_t largest, most; /* seen by write; taken at once (0: all) */
	int64_t answer;       /* instead, when not 0 */
	const char *input;
};

struct fixture {
	char path[64];
	uint8_t content[FILE_SIZE];
	struct policy *policy;
	struct process_config config;
	struct fake_guest guest;
	struct host host;
};

static int64_t host_write(void *user, const void *data, size_t length)
{
	struct host *host = user;

	host->writes++;
	if (host->answer)
		return host->answer;
	host->largest = length > host->largest ? length : host->largest;
	if (host->most && length > host->most)
		length = host->most;
	assert_true(host->length + length <= sizeof(host->written));
	memcpy(host->written + host->length, data, length);
	host->length += length;
	return (int64_t)length;
}

static int64_t host_read(void *user, void *data, size_t length)
{
	struct host *host = user;
	size_t left = strlen(host->input);

	host->reads++;
	if (host->answer)
		return host->answer;
	length = length < left ? length : left;
	memcpy(data, host->input, length);
	host->input += length;
	return (int64_t)length;
}

static char directory[] = "/", program[] = "/program";

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct kvmsb_path_rule rule;
	int descriptor;

	assert_non_null(fixture);
	for (size_t i = 0; i < FILE_SIZE; i++)
		fixture->content[i] = (uint8_t)(i * 7 + i / 251);
	strcpy(fixture->path, "/tmp/kvmsb-files-XXXXXX");
	descriptor = mkstemp(fixture->path);
	assert_int_equal(write(descriptor, fixture->content, FILE_SIZE), FILE_SIZE);
	close(descriptor);
	rule = (struct kvmsb_path_rule){.path = fixture->path};
	assert_int_equal(policy_create(&fixture->policy, &rule, 1, NULL), 0);
	fixture->config.policy = fixture->policy;
	fixture->config.directory = directory;
	fixture->config.program = program;
	fixture->config.streams[0] = (struct kvmsb_stream){.read = host_read, .user = &fixture->host};
	fixture->config.streams[1] = (struct kvmsb_stream){.write = host_write,
	                                                   .user = &fixture->host};
	fixture->config.streams[2] = (struct kvmsb_stream){.use_descriptor = 1, .descriptor = -1};
	fixture->host.input = "";
	fake_guest_create(&fixture->guest, &fixture->config);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fake_guest_destroy(&fixture->guest);
	policy_destroy(fixture->policy);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

static int64_t open_file(struct fixture *fixture, struct fake_guest *guest)
{
	int64_t fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, fixture->path), O_RDONLY);

	assert_true(fd >= 0);
	return fd;
}

static void put_vector(struct fake_guest *guest, unsigned index, uint64_t address, uint64_t length)
{
	uint64_t *vector = fake_pointer(guest, VECTOR_AT + index * sizeof(struct iovec));

	vector[0] = address;
	vector[1] = length;
}

/*
 * Descriptors.
 */

static void test_lowest_free_number(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	assert_int_equal(open_file(fixture, guest), 3);
	assert_int_equal(CALL(guest, SYS_dup, 3), 4);
	assert_int_equal(CALL(guest, SYS_dup2, 1, 9), 9);
	assert_int_equal(CALL(guest, SYS_fcntl, 3, F_DUPFD, 9), 10);
	assert_int_equal(CALL(guest, SYS_close, 0), 0);
	assert_int_equal(open_file(fixture, guest), 0);
	assert_int_equal(CALL(guest, SYS_close, 0), 0);
	assert_int_equal(CALL(guest, SYS_close, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_close, 256), -EBADF);
	assert_int_equal(CALL(guest, SYS_close, UINT64_MAX), -EBADF);
	assert_int_equal(CALL(guest, SYS_close, INT32_MIN), -EBADF);
	assert_int_equal(CALL(guest, SYS_dup, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_dup2, 3, 256), -EBADF);
	assert_int_equal(CALL(guest, SYS_dup2, 3, -1), -EBADF);
	assert_int_equal(CALL(guest, SYS_dup2, 3, 3), 3);
	assert_int_equal(CALL(guest, SYS_dup2, 77, 77), -EBADF);
	assert_int_equal(CALL(guest, SYS_dup3, 3, 3, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_dup3, 3, 5, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_dup3, 3, 5, O_CLOEXEC), 5);
	assert_int_equal(CALL(guest, SYS_fcntl, 5, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(guest, SYS_fcntl, 3, F_DUPFD, 256), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, 3, F_DUPFD, UINT64_MAX), -EINVAL);
}

static void test_limit_of_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	for (int fd = 3; fd < (int)FILES_MAXIMUM; fd++)
		assert_int_equal(fd % 2 ? open_file(fixture, guest) : CALL(guest, SYS_dup, 3), fd);
	assert_int_equal(CALL(guest, SYS_open, PATH_AT, O_RDONLY), -EMFILE);
	assert_int_equal(CALL(guest, SYS_dup, 3), -EMFILE);
	assert_int_equal(CALL(guest, SYS_pipe, DATA_AT), -EMFILE);
	assert_int_equal(CALL(guest, SYS_close, 100), 0);
	assert_int_equal(CALL(guest, SYS_pipe, DATA_AT), -EMFILE);
	assert_int_equal(open_file(fixture, guest), 100);
	assert_int_equal(CALL(guest, SYS_dup2, 3, 255), 255);
	assert_int_equal(CALL(guest, SYS_close_range, 10, UINT64_MAX, 0), 0);
	assert_int_equal(open_file(fixture, guest), 10);
	assert_int_equal(CALL(guest, SYS_close_range, 5, 4, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_close_range, 3, 9, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_close_range, 3, 9, CLOSE_RANGE_CLOEXEC), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, 9, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(guest, SYS_fcntl, 10, F_GETFD), 0);
}

static void test_duplicates_share_an_offset(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t a = open_file(fixture, guest), b = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_dup, a), 5);
	assert_int_equal(CALL(guest, SYS_lseek, a, 100, SEEK_SET), 100);
	assert_int_equal(CALL(guest, SYS_lseek, 5, 0, SEEK_CUR), 100);
	assert_int_equal(CALL(guest, SYS_lseek, b, 0, SEEK_CUR), 0);
	assert_int_equal(CALL(guest, SYS_close, a), 0);
	assert_int_equal(CALL(guest, SYS_read, 5, DATA_AT, 10), 10);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content + 100, 10);
}

static void test_fcntl(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct flock *lock = fake_pointer(guest, DATA_AT);
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_fcntl, 99, F_GETFL), -EBADF);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFL), 0100000);
	assert_int_equal(CALL(guest, SYS_fcntl, 1, F_GETFL), O_WRONLY);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETFL, O_NONBLOCK | O_WRONLY | O_CREAT), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFL), 0100000 | O_NONBLOCK);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETFD, 1), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFD), 1);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, 9999), -EINVAL);
	lock->l_type = F_RDLCK;
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETLK, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETLK, DATA_AT), 0);
	assert_int_equal(lock->l_type, F_UNLCK);
	lock->l_type = F_WRLCK;
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETLKW, DATA_AT), -EBADF);
	lock->l_type = 77;
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETLK, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETLK, FAKE_HOLE), -EFAULT);
	assert_int_equal(CALL(guest, SYS_flock, fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(CALL(guest, SYS_flock, fd, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_flock, 99, LOCK_SH), -EBADF);
}

static void test_ioctl(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int32_t *count = fake_pointer(guest, DATA_AT);
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_ioctl, 1, TCGETS, DATA_AT), -ENOTTY);
	assert_int_equal(CALL(guest, SYS_ioctl, 1, TIOCGWINSZ, DATA_AT), -ENOTTY);
	assert_int_equal(CALL(guest, SYS_ioctl, 99, TCGETS, DATA_AT), -EBADF);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIONREAD, DATA_AT), 0);
	assert_int_equal(*count, FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIONREAD, DATA_AT), 0);
	assert_int_equal(*count, 0);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIONREAD, FAKE_READ_ONLY), -EFAULT);
	*count = 1;
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIONBIO, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIOCLEX), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFD), 1);
}

static void test_lseek(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_lseek, fd, -1, SEEK_SET), -EINVAL);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_END), FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 1, SEEK_CUR), FILE_SIZE + 1);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 5), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_CUR), -EOVERFLOW);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MIN, SEEK_CUR), -EINVAL);
	assert_int_equal(CALL(guest, SYS_lseek, fd, INT64_MAX, SEEK_SET), INT64_MAX);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 5), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, 5), -EINVAL);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_DATA), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_HOLE), FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_lseek, fd, FILE_SIZE + 5, SEEK_DATA), -ENXIO);
	assert_int_equal(CALL(guest, SYS_lseek, 1, 0, SEEK_CUR), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_lseek, 99, 0, SEEK_CUR), -EBADF);
}

/*
 * Reading files.
 */

static void test_read_whole_file(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	static const unsigned pieces[] = {0, 1, 3};
	static const uint64_t offsets[] = {0, 1, 4095};

	for (size_t i = 0; i < ARRAY_SIZE(pieces) * ARRAY_SIZE(offsets); i++) {
		uint64_t at = DATA_AT + offsets[i % 3];
		int64_t fd = open_file(fixture, guest);

		guest->pieces_maximum = pieces[i / 3];
		memset(fake_pointer(guest, DATA_AT), 0, 100 * PAGE_SIZE);
		assert_int_equal(CALL(guest, SYS_read, fd, at, 100 * PAGE_SIZE), FILE_SIZE);
		assert_memory_equal(fake_pointer(guest, at), fixture->content, FILE_SIZE);
		assert_int_equal(*(char *)fake_pointer(guest, at + FILE_SIZE), 0);
		assert_int_equal(CALL(guest, SYS_read, fd, at, 100), 0);
		assert_int_equal(CALL(guest, SYS_close, fd), 0);
	}
}

static void test_read_sizes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	uint64_t at = 0;

	srand(1);
	while (at < FILE_SIZE) {
		uint64_t size = (uint64_t)rand() % 20000, expected = min_u64(size, FILE_SIZE - at);

		assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT + 77, size), expected);
		assert_memory_equal(fake_pointer(guest, DATA_AT + 77), fixture->content + at,
		                    expected);
		at += expected;
	}
}

static void test_read_faults(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_read, 99, FAKE_HOLE, 5), -EBADF);
	assert_int_equal(CALL(guest, SYS_read, 1, DATA_AT, 5), -EBADF);
	assert_int_equal(CALL(guest, SYS_read, fd, FAKE_HOLE, 5), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, FAKE_READ_ONLY, 5), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, UINT64_MAX - 2, 5), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, UINT64_MAX), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, LAYOUT_USER_END - 4, 5), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, LAYOUT_KERNEL, 5), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, UINT64_MAX, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, 0, 0), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 0);
	/* As far as it goes; the offset moves so far. */
	assert_int_equal(CALL(guest, SYS_read, fd, FAKE_READ_ONLY - 6, 100), 6);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 6);
	assert_int_equal(CALL(guest, SYS_read, fd, FAKE_READ_ONLY - PAGE_SIZE * 60, 1 << 30),
	                 PAGE_SIZE * 60);
}

static void test_positioned_reads(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 10, 500), 10);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content + 500, 10);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 0);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 10, -1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pread64, 99, DATA_AT, 10, INT64_MIN), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pread64, 99, DATA_AT, 10, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_pread64, 0, DATA_AT, 10, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_pwrite64, 1, DATA_AT, 10, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_pwrite64, fd, DATA_AT, 10, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 10, INT64_MAX), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 10, INT64_MAX - 10), 0);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 10, FILE_SIZE - 3), 3);
	put_vector(guest, 0, DATA_AT, 3);
	put_vector(guest, 1, DATA_AT + 100, 4);
	assert_int_equal(CALL(guest, SYS_preadv, fd, VECTOR_AT, 2, 9), 7);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 100), fixture->content + 12, 4);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 2, -1, 0, 0), 7);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 7);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 2, 0, 0, 1 << 30), -EOPNOTSUPP);
}

static void test_vectors(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);

	for (unsigned i = 0; i < TRANSFER_RANGES; i++)
		put_vector(guest, i, DATA_AT + i * 8, i % 3 ? i % 5 : 0);
	assert_true(CALL(guest, SYS_readv, fd, VECTOR_AT, 1024) > 1000);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 1025), -EINVAL);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, UINT64_MAX), -EINVAL);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, UINT64_C(1) << 60), -EINVAL);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 0), 0);
	assert_int_equal(CALL(guest, SYS_readv, fd, FAKE_HOLE, 1), -EFAULT);
	assert_int_equal(CALL(guest, SYS_readv, fd, FAKE_HOLE - 16, 2), -EFAULT);
	assert_int_equal(CALL(guest, SYS_readv, 99, FAKE_HOLE, UINT64_MAX), -EBADF);
}

/* The peer added lengths until they wrapped. */
static void test_vector_totals_that_wrap(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);

	put_vector(guest, 0, DATA_AT, 16);
	put_vector(guest, 1, DATA_AT, UINT64_MAX - 15);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 2), -EINVAL);
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 2), -EINVAL);
	put_vector(guest, 1, DATA_AT, INT64_MAX);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 2), -EFAULT);
	put_vector(guest, 1, UINT64_MAX - 7, 16);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 2), -EFAULT);
	/* Many that are long, and a sum that is cut instead of wrapping. */
	for (unsigned i = 0; i < 1024; i++)
		put_vector(guest, i, DATA_AT, UINT64_C(0x7f0000000000));
	fixture->host.most = 100;
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 1024), 100);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 0);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 1024), FILE_SIZE);
	fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/null"), O_WRONLY);
	assert_int_equal(CALL(guest, SYS_writev, fd, VECTOR_AT, 1024), TRANSFER_MAXIMUM);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, UINT64_C(0x7f0000000000)),
	                 TRANSFER_MAXIMUM);
}

static void test_truncated_file(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	char data[16];

	assert_int_equal(truncate(fixture->path, 100), 0);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100 * PAGE_SIZE), 100);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100 * PAGE_SIZE), 0);
	assert_int_equal(file_pread(files_get(&guest->process, (int)fd), data, 16, 90), 10);
	assert_int_equal(file_pread(files_get(&guest->process, (int)fd), data, 16, 200), 0);
	assert_int_equal(file_pread(files_get(&guest->process, (int)fd), data, 16, UINT64_MAX - 4),
	                 -EINVAL);
	assert_int_equal(file_pread(files_get(&guest->process, 1), data, 16, 0), -EINVAL);
}

static void test_mappable(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int fd = (int)open_file(fixture, guest);
	struct file *file = NULL;
	uint64_t size;

	assert_int_equal(files_get_mappable(&guest->process, fd, &file), 0);
	assert_ptr_equal(file, files_get(&guest->process, fd));
	assert_int_equal(file_size(file, &size), 0);
	assert_int_equal(size, FILE_SIZE);
	file_reference(file);
	assert_int_equal(CALL(guest, SYS_close, fd), 0);
	assert_int_equal(file_size(file, &size), 0);
	file_release(file);
	assert_int_equal(files_get_mappable(&guest->process, 99, &file), -EBADF);
	assert_int_equal(files_get_mappable(&guest->process, -1, &file), -EBADF);
	assert_int_equal(files_get_mappable(&guest->process, 0, &file), -ENODEV);
	assert_int_equal(files_get_mappable(&guest->process, 1, &file), -EACCES);
}

/*
 * Standard streams: functions.
 */

static void test_written_data_arrives(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct host *host = &fixture->host;

	memcpy(fake_pointer(guest, DATA_AT), fixture->content, FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), 10);
	assert_int_equal(host->writes, 1);
	assert_int_equal(guest->begins, 1);
	assert_int_equal(guest->ends, 1);
	put_vector(guest, 0, DATA_AT + 10, 10);
	put_vector(guest, 1, DATA_AT + 20, 0);
	put_vector(guest, 2, DATA_AT + 20, 5000);
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 3), 5010);
	assert_int_equal(host->writes, 2);
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT + 5020, FILE_SIZE - 5020),
	                 FILE_SIZE - 5020);
	assert_int_equal(host->largest, 65536);
	assert_int_equal(host->length, FILE_SIZE);
	assert_memory_equal(host->written, fixture->content, FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 0), 0);
	assert_int_equal(CALL(guest, SYS_read, 1, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_write, 0, DATA_AT, 1), -EBADF);
}

static void test_partial_writes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct host *host = &fixture->host;

	host->most = 7;
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), 7);
	put_vector(guest, 0, DATA_AT, 4);
	put_vector(guest, 1, DATA_AT, 4);
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 2), 7);
	host->most = 0;
	assert_int_equal(CALL(guest, SYS_write, 1, FAKE_HOLE, 4), -EFAULT);
	assert_int_equal(CALL(guest, SYS_write, 1, FAKE_HOLE - 3, 9), -EFAULT);
	put_vector(guest, 0, DATA_AT, 4);
	put_vector(guest, 1, FAKE_HOLE, 4);
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 2), 4);
	assert_int_equal(CALL(guest, SYS_write, 1, UINT64_MAX - 3, 9), -EFAULT);
}

static void test_answers_of_the_host(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct host *host = &fixture->host;

	host->answer = -ENOSPC;
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), -ENOSPC);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 10), -ENOSPC);
	host->answer = 11;
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), -EIO);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 10), -EIO);
	host->answer = INT64_MIN;
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), -EIO);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 10), -EIO);
	host->answer = -5000;
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 10), -EIO);
	host->answer = 0;
	host->input = "hello";
	guest->callback_error = -EAGAIN;
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 10), -EINTR);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 10), -EINTR);
	guest->callback_error = 0;
	/* man 7 pipe: EPIPE comes with the signal, whose default is the end. */
	host->answer = -EPIPE;
	CALL(guest, SYS_write, 1, DATA_AT, 10);
	assert_int_equal(guest->process.end, PROCESS_KILLED);
	assert_int_equal(guest->process.exit_signal, SIGPIPE);
}

static void test_input(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;

	fixture->host.input = "hello world";
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 5), 5);
	put_vector(guest, 0, DATA_AT + 5, 3);
	put_vector(guest, 1, DATA_AT + 8, 100000);
	assert_int_equal(CALL(guest, SYS_readv, 0, VECTOR_AT, 2), 6);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "hello world", 11);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 5), 0);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 0), 0);
	fixture->host.input = "x";
	assert_int_equal(CALL(guest, SYS_read, 0, FAKE_HOLE, 5), -EFAULT);
}

static void test_unconnected_streams(void **state)
{
	struct process_config config = {.directory = directory};
	struct fake_guest guest;

	(void)state;
	fake_guest_create(&guest, &config);
	assert_int_equal(CALL(&guest, SYS_write, 1, DATA_AT, 10), 10);
	assert_int_equal(CALL(&guest, SYS_write, 2, DATA_AT, 10), 10);
	assert_int_equal(CALL(&guest, SYS_read, 0, DATA_AT, 10), 0);
	assert_int_equal(CALL(&guest, SYS_read, 1, DATA_AT, 10), -EBADF);
	fake_guest_destroy(&guest);
}

static void test_own_descriptors_by_path(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd;

	fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/stdout"), O_WRONLY);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 10), 10);
	assert_int_equal(fixture->host.length, 10);
	assert_int_equal(CALL(guest, SYS_open, PATH_AT, O_RDONLY), -EACCES);
	fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/proc/self/fd/0"), O_RDONLY);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 10), 0);
	assert_int_equal(CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/fd/99"), 0),
	                 -ENOENT);
	assert_int_equal(CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/fd/0/"), 0),
	                 -ENOTDIR);
	assert_int_equal(CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/fd/4294967296"), 0),
	                 -ENOENT);
	assert_int_equal(CALL(guest, SYS_stat, fake_string(guest, PATH_AT, "/dev/stdin"), DATA_AT),
	                 0);
	fd = open_file(fixture, guest);
	snprintf(fake_pointer(guest, PATH_AT), 64, "/proc/self/fd/%d", (int)fd);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 4096), strlen(fixture->path));
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->path, strlen(fixture->path));
}

/*
 * Standard streams: descriptors.
 */

struct reader {
	int descriptor;
	uint8_t *data;
	size_t length;
};

static void *read_all(void *user)
{
	struct reader *reader = user;
	ssize_t result;

	while ((result = read(reader->descriptor, reader->data + reader->length,
	                      FILE_SIZE - reader->length)) > 0)
		reader->length += (size_t)result;
	return NULL;
}

static void connect_to(struct fixture *fixture, int input, int output)
{
	fake_guest_destroy(&fixture->guest);
	fixture->config.streams[0] = (struct kvmsb_stream){.use_descriptor = 1, .descriptor = input};
	fixture->config.streams[1] = (struct kvmsb_stream){.use_descriptor = 1, .descriptor = output};
	fake_guest_create(&fixture->guest, &fixture->config);
}

static void check_output(struct fixture *fixture, int reading, int writing)
{
	struct fake_guest *guest = &fixture->guest;
	struct reader reader = {.descriptor = reading};
	pthread_t thread;
	uint64_t done = 0;

	reader.data = malloc(FILE_SIZE);
	connect_to(fixture, -1, writing);
	memcpy(fake_pointer(guest, DATA_AT), fixture->content, FILE_SIZE);
	assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
	put_vector(guest, 0, DATA_AT, 3);
	put_vector(guest, 1, DATA_AT + 3, 9000);
	assert_int_equal(CALL(guest, SYS_writev, 1, VECTOR_AT, 2), 9003);
	for (done = 9003; done < FILE_SIZE;) {
		int64_t result = CALL(guest, SYS_write, 1, DATA_AT + done, FILE_SIZE - done);

		assert_true(result > 0);
		done += (uint64_t)result;
	}
	close(writing);
	pthread_join(thread, NULL);
	assert_int_equal(reader.length, FILE_SIZE);
	assert_memory_equal(reader.data, fixture->content, FILE_SIZE);
	free(reader.data);
	close(reading);
}

static void test_output_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	check_output(fixture, ends[0], ends[1]);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	fcntl(ends[0], F_SETFL, 0);
	check_output(fixture, ends[0], ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_output(fixture, ends[0], ends[1]);
}

static void test_broken_pipe_raises_nothing_in_the_host(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	sigset_t before, after, pending;
	int ends[2];

	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (int kind = 0; kind < 2; kind++) {
		if (kind == 0)
			assert_int_equal(pipe(ends), 0);
		else
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		close(ends[0]);
		connect_to(fixture, -1, ends[1]);
		CALL(guest, SYS_write, 1, DATA_AT, 10);
		assert_int_equal(guest->registers.rax, (uint64_t)-EPIPE);
		assert_int_equal(guest->process.end, PROCESS_KILLED);
		assert_int_equal(guest->process.exit_signal, SIGPIPE);
		close(ends[1]);
	}
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
}

/* One that the host has pending already is the host's, and stays. */
static void test_pending_sigpipe_of_the_host_stays(void **state)
{
	struct fixture *fixture = *state;
	sigset_t set, pending;
	int ends[2], taken;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGPIPE);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	connect_to(fixture, -1, ends[1]);
	CALL(&fixture->guest, SYS_write, 1, DATA_AT, 10);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGPIPE));
	assert_int_equal(sigwait(&set, &taken), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	close(ends[1]);
}

static void test_input_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int descriptor = open(fixture->path, O_RDONLY), ends[2];
	uint64_t done = 0;

	connect_to(fixture, descriptor, -1);
	for (int64_t result = 1; result > 0; done += (uint64_t)result) {
		result = CALL(guest, SYS_read, 0, DATA_AT + done, 100 * PAGE_SIZE);
		assert_true(result >= 0);
	}
	assert_int_equal(done, FILE_SIZE);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content, FILE_SIZE);
	close(descriptor);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 1), -EBADF);
	assert_int_equal(CALL(guest, SYS_write, 1, DATA_AT, 1), -EBADF);
	assert_int_equal(pipe(ends), 0);
	connect_to(fixture, ends[0], -1);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 100), 3);
	/* Nothing comes: the time limit holds. */
	guest->process.deadline = time_now() + 20000000;
	assert_int_equal(CALL(guest, SYS_read, 0, DATA_AT, 100), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
	close(ends[0]);
	close(ends[1]);
}

/*
 * Pipes.
 */

static void make_pipe(struct fake_guest *guest, uint64_t flags, int32_t ends[2])
{
	assert_int_equal(CALL(guest, SYS_pipe2, DATA_AT, flags), 0);
	memcpy(ends, fake_pointer(guest, DATA_AT), 2 * sizeof(*ends));
}

static void test_pipe(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int32_t ends[2];

	make_pipe(guest, O_CLOEXEC, ends);
	assert_int_equal(ends[0], 3);
	assert_int_equal(ends[1], 4);
	assert_int_equal(CALL(guest, SYS_fcntl, 3, F_GETFD), 1);
	memcpy(fake_pointer(guest, DATA_AT), "hello", 5);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 5), 5);
	assert_int_equal(CALL(guest, SYS_write, 3, DATA_AT, 5), -EBADF);
	assert_int_equal(CALL(guest, SYS_read, 4, DATA_AT, 5), -EBADF);
	assert_int_equal(CALL(guest, SYS_pread64, 3, DATA_AT, 5, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_lseek, 3, 0, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_ioctl, 3, FIONREAD, VECTOR_AT), 0);
	assert_int_equal(*(int32_t *)fake_pointer(guest, VECTOR_AT), 5);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT + 100, 2), 2);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT + 102, 200), 3);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 100), "hello", 5);
	assert_int_equal(CALL(guest, SYS_close, 4), 0);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT, 5), 0);
	assert_int_equal(CALL(guest, SYS_pipe2, DATA_AT, 1), -EINVAL);
	assert_int_equal(CALL(guest, SYS_pipe, FAKE_READ_ONLY), -EFAULT);
	assert_int_equal(CALL(guest, SYS_dup, 3), 4);
}

static void test_pipe_is_limited(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct pollfd *entries = fake_pointer(guest, VECTOR_AT);
	int32_t ends[2];

	make_pipe(guest, O_NONBLOCK, ends);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT, 5), -EAGAIN);
	entries[0] = (struct pollfd){3, POLLIN, 0};
	entries[1] = (struct pollfd){4, POLLOUT, 0};
	assert_int_equal(CALL(guest, SYS_poll, VECTOR_AT, 2, 0), 1);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 40000), 40000);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 40000), 25536);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 1), -EAGAIN);
	assert_int_equal(CALL(guest, SYS_poll, VECTOR_AT, 2, 0), 1);
	assert_int_equal(entries[0].revents, POLLIN);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT, 100), 100);
	/* PIPE_BUF: all or nothing. */
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 101), -EAGAIN);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 100), 100);
	assert_int_equal(CALL(guest, SYS_close, 3), 0);
	assert_int_equal(CALL(guest, SYS_poll, VECTOR_AT, 2, 0), 2);
	assert_true(entries[1].revents & POLLERR);
	CALL(guest, SYS_write, 4, DATA_AT, 1);
	assert_int_equal(guest->registers.rax, (uint64_t)-EPIPE);
	assert_int_equal(guest->process.exit_signal, SIGPIPE);
}

static void test_pipe_keeps_order(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint64_t written = 0, read_back = 0;
	int32_t ends[2];

	make_pipe(guest, O_NONBLOCK, ends);
	srand(5);
	while (read_back < FILE_SIZE) {
		uint64_t size = min_u64((uint64_t)rand() % 9000, FILE_SIZE - written);
		int64_t result;

		memcpy(fake_pointer(guest, DATA_AT), fixture->content + written, size);
		result = CALL(guest, SYS_write, ends[1], DATA_AT, size);
		written += result > 0 ? (uint64_t)result : 0;
		result = CALL(guest, SYS_read, ends[0], DATA_AT, (uint64_t)rand() % 9000);
		if (result <= 0)
			continue;
		assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content + read_back,
		                    (size_t)result);
		read_back += (uint64_t)result;
	}
}

static void test_waiting_for_oneself_ends_the_run(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	uint64_t start = time_now();
	int32_t ends[2];

	make_pipe(guest, 0, ends);
	assert_int_equal(CALL(guest, SYS_read, 3, DATA_AT, 5), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
	guest->process.end = PROCESS_RUNS;
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 65536), 65536);
	assert_int_equal(CALL(guest, SYS_write, 4, DATA_AT, 5), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
	assert_true(time_now() - start < 5 * NANOSECONDS);
}

/*
 * sendfile
 */

static void test_sendfile(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	int64_t *offset = fake_pointer(guest, DATA_AT);
	int32_t ends[2];

	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, 0, 0x1000000), FILE_SIZE);
	assert_memory_equal(fixture->host.written, fixture->content, FILE_SIZE);
	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, 0, 0x1000000), 0);
	*offset = 5;
	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, DATA_AT, 10), 10);
	assert_int_equal(*offset, 15);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), FILE_SIZE);
	*offset = -1;
	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, DATA_AT, 10), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, FAKE_HOLE, 10), -EFAULT);
	assert_int_equal(CALL(guest, SYS_sendfile, fd, fd, 0, 10), -EBADF);
	assert_int_equal(CALL(guest, SYS_sendfile, 1, 0, 0, 10), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sendfile, 1, 99, 0, 10), -EBADF);
	make_pipe(guest, O_NONBLOCK, ends);
	*offset = 0;
	assert_int_equal(CALL(guest, SYS_sendfile, ends[1], fd, DATA_AT, UINT64_MAX), 65536);
	assert_int_equal(*offset, 65536);
	assert_int_equal(CALL(guest, SYS_sendfile, ends[1], fd, DATA_AT, 10), -EAGAIN);
	fixture->host.most = 100;
	*offset = 0;
	assert_int_equal(CALL(guest, SYS_sendfile, 1, fd, DATA_AT, 1000), 100);
	assert_int_equal(*offset, 100);
}

/*
 * Events.
 */

static void put_count(struct fake_guest *guest, uint64_t value)
{
	memcpy(fake_pointer(guest, DATA_AT), &value, sizeof(value));
}

static uint64_t get_count(struct fake_guest *guest)
{
	uint64_t value;

	memcpy(&value, fake_pointer(guest, DATA_AT), sizeof(value));
	return value;
}

static int events_of(struct fake_guest *guest, int64_t fd)
{
	struct pollfd *entry = fake_pointer(guest, VECTOR_AT);

	*entry = (struct pollfd){.fd = (int)fd, .events = POLLIN | POLLOUT};
	assert_true(CALL(guest, SYS_poll, VECTOR_AT, 1, 0) >= 0);
	return entry->revents;
}

static void test_event(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = CALL(guest, SYS_eventfd2, 5, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_int_equal(fd, 3);
	assert_int_equal(CALL(guest, SYS_eventfd2, 5, 1 << 5), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETFL), O_RDWR | O_NONBLOCK);
	assert_int_equal(events_of(guest, fd), POLLIN | POLLOUT);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 7), -EINVAL);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 100), 8);
	assert_int_equal(get_count(guest), 5);
	assert_int_equal(events_of(guest, fd), POLLOUT);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 8), -EAGAIN);
	put_count(guest, UINT64_MAX);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 8), -EINVAL);
	put_count(guest, UINT64_MAX - 1);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 7), -EINVAL);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 9), 8);
	assert_int_equal(events_of(guest, fd), POLLIN);
	put_count(guest, 1);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 8), -EAGAIN);
	put_count(guest, 0);
	assert_int_equal(CALL(guest, SYS_write, fd, DATA_AT, 8), 8);
	assert_int_equal(CALL(guest, SYS_write, fd, FAKE_HOLE, 8), -EFAULT);
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 8), 8);
	assert_true(get_count(guest) == UINT64_MAX - 1);
	assert_int_equal(CALL(guest, SYS_pread64, fd, DATA_AT, 8, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 0);
	assert_int_equal(CALL(guest, SYS_ioctl, fd, FIONREAD, DATA_AT), -ENOTTY);
	put_vector(guest, 0, DATA_AT, 4);
	put_vector(guest, 1, DATA_AT + 4, 4);
	put_count(guest, 9);
	assert_int_equal(CALL(guest, SYS_writev, fd, VECTOR_AT, 2), 8);
	assert_int_equal(CALL(guest, SYS_readv, fd, VECTOR_AT, 2), 8);
	assert_int_equal(get_count(guest), 9);
}

static void test_event_as_semaphore(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = CALL(guest, SYS_eventfd2, 2, EFD_SEMAPHORE);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 8), 8);
		assert_int_equal(get_count(guest), 1);
	}
	/* Nobody else would ever add to it. */
	assert_int_equal(CALL(guest, SYS_read, fd, DATA_AT, 8), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

static void test_events_of_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, fork;
	int64_t fd = CALL(master, SYS_eventfd, 7);
	struct stat *status = fake_pointer(master, DATA_AT);
	char link[32] = "";

	assert_int_equal(CALL(master, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(status->st_mode, 0600);
	fake_string(master, PATH_AT, "/proc/self/fd/3");
	assert_int_equal(CALL(master, SYS_readlink, PATH_AT, DATA_AT, 31), 20);
	memcpy(link, fake_pointer(master, DATA_AT), 20);
	assert_string_equal(link, "anon_inode:[eventfd]");
	assert_int_equal(CALL(master, SYS_open, PATH_AT, O_RDWR), -ENXIO);
	fake_guest_fork(&fork, master);
	put_count(&fork, 1);
	assert_int_equal(CALL(&fork, SYS_dup, fd), 4);
	assert_int_equal(CALL(&fork, SYS_write, 4, DATA_AT, 8), 8);
	assert_int_equal(CALL(&fork, SYS_read, fd, DATA_AT, 8), 8);
	assert_int_equal(get_count(&fork), 8);
	process_reset(&fork.process, &master->process);
	assert_int_equal(CALL(&fork, SYS_read, fd, DATA_AT, 8), 8);
	assert_int_equal(get_count(&fork), 7);
	fake_guest_destroy(&fork);
	assert_int_equal(CALL(master, SYS_read, fd, DATA_AT, 8), 8);
	assert_int_equal(get_count(master), 7);
}

/*
 * epoll.
 */

static int64_t control(struct fake_guest *guest, int64_t epfd, int operation, int64_t fd,
                       uint32_t events)
{
	struct epoll_event *event = fake_pointer(guest, VECTOR_AT);

	*event = (struct epoll_event){.events = events, .data.u64 = (uint64_t)fd << 32 | 7};
	return CALL(guest, SYS_epoll_ctl, epfd, operation, fd, VECTOR_AT);
}

/* The one event that there is, or 0. */
static uint32_t wait_for_one(struct fake_guest *guest, int64_t epfd, int64_t fd)
{
	struct epoll_event *event = fake_pointer(guest, DATA_AT);
	int64_t count = CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 10, 0);

	if (count == 0)
		return 0;
	assert_int_equal(count, 1);
	assert_true(event->data.u64 == ((uint64_t)fd << 32 | 7));
	return event->events;
}

static int64_t write_some(struct fake_guest *guest, int64_t fd)
{
	put_count(guest, 1);
	return CALL(guest, SYS_write, fd, DATA_AT, 8);
}

static void test_epoll(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t epfd = CALL(guest, SYS_epoll_create1, EPOLL_CLOEXEC);
	int32_t ends[2];

	assert_int_equal(CALL(guest, SYS_fcntl, epfd, F_GETFD), FD_CLOEXEC);
	make_pipe(guest, 0, ends);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, ends[0], EPOLLIN), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), 0);
	assert_int_equal(events_of(guest, epfd), 0);
	assert_int_equal(write_some(guest, ends[1]), 8);
	assert_int_equal(events_of(guest, epfd), POLLIN);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), EPOLLIN);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), EPOLLIN);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 100), 8);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), 0);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, ends[0], EPOLLOUT), 0);
	assert_int_equal(CALL(guest, SYS_close, ends[1]), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), EPOLLHUP);
	/* A duplicate keeps what is waited for open: man 7 epoll, questions and answers. */
	assert_int_equal(CALL(guest, SYS_dup, ends[0]), ends[1]);
	assert_int_equal(CALL(guest, SYS_close, ends[0]), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), EPOLLHUP);
	assert_int_equal(CALL(guest, SYS_close, ends[1]), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[0]), 0);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, 1, EPOLLOUT), 0);
	assert_int_equal(wait_for_one(guest, epfd, 1), EPOLLOUT);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_DEL, 1, 0), 0);
	assert_int_equal(CALL(guest, SYS_read, epfd, DATA_AT, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_write, epfd, DATA_AT, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 1, 20), 0);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 1, -1), -EINTR);
	assert_int_equal(guest->process.end, PROCESS_TIMED_OUT);
}

static void test_edges_of_epoll(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t epfd = CALL(guest, SYS_epoll_create, 1), fd = CALL(guest, SYS_eventfd, 1);
	int32_t ends[2];

	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET), 0);
	assert_int_equal(wait_for_one(guest, epfd, fd), EPOLLIN);
	assert_int_equal(wait_for_one(guest, epfd, fd), 0);
	assert_int_equal(write_some(guest, fd), 8);
	assert_int_equal(wait_for_one(guest, epfd, fd), EPOLLIN);
	assert_int_equal(wait_for_one(guest, epfd, fd), 0);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET), 0);
	assert_int_equal(wait_for_one(guest, epfd, fd), EPOLLIN);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT), 0);
	assert_int_equal(wait_for_one(guest, epfd, fd), EPOLLIN);
	assert_int_equal(write_some(guest, fd), 8);
	assert_int_equal(wait_for_one(guest, epfd, fd), 0);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_DEL, fd, 0), 0);
	/* What it writes itself is no news for the writing end; what is read is. */
	make_pipe(guest, 0, ends);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, ends[1], EPOLLOUT | EPOLLET), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[1]), EPOLLOUT);
	assert_int_equal(write_some(guest, ends[1]), 8);
	assert_int_equal(wait_for_one(guest, epfd, ends[1]), 0);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 100), 8);
	assert_int_equal(wait_for_one(guest, epfd, ends[1]), EPOLLOUT);
	assert_int_equal(CALL(guest, SYS_close, ends[0]), 0);
	assert_int_equal(wait_for_one(guest, epfd, ends[1]), EPOLLOUT | EPOLLERR);
	assert_int_equal(wait_for_one(guest, epfd, ends[1]), 0);
}

static void test_epoll_refuses(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t epfd = CALL(guest, SYS_epoll_create, 1), other = CALL(guest, SYS_epoll_create, 1);
	int64_t fd = open_file(fixture, guest), event = CALL(guest, SYS_eventfd, 1);

	assert_int_equal(CALL(guest, SYS_epoll_create, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_create1, 1), -EINVAL);
	assert_int_equal(control(guest, 99, EPOLL_CTL_ADD, event, EPOLLIN), -EBADF);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, 99, EPOLLIN), -EBADF);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, fd, EPOLLIN), -EPERM);
	assert_int_equal(control(guest, event, EPOLL_CTL_ADD, event, EPOLLIN), -EINVAL);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, epfd, EPOLLIN), -EINVAL);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, other, EPOLLIN), -ELOOP);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, event, EPOLLIN), -ENOENT);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_DEL, event, EPOLLIN), -ENOENT);
	assert_int_equal(control(guest, epfd, 9, event, EPOLLIN), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, event, FAKE_HOLE), -EFAULT);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE), 0);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, event, EPOLLIN), -EEXIST);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, event, EPOLLIN), -EINVAL);
	assert_int_equal(control(guest, epfd, EPOLL_CTL_MOD, event, EPOLLEXCLUSIVE), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 0, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, INT32_MIN, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, INT32_MAX, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, INT32_MAX / 12, 0), 1);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, UINT64_MAX - 5, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, FAKE_HOLE, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_epoll_wait, event, DATA_AT, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_wait, 99, DATA_AT, 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_epoll_pwait, epfd, DATA_AT, 1, 0, PATH_AT, 4), -EINVAL);
	assert_int_equal(CALL(guest, SYS_epoll_pwait2, epfd, DATA_AT, 1, FAKE_HOLE, 0, 8), -EFAULT);
	assert_int_equal(CALL(guest, SYS_pread64, epfd, DATA_AT, 1, 0), -ESPIPE);
	fake_string(guest, PATH_AT, "/proc/self/fd/3");
	assert_int_equal(CALL(guest, SYS_open, PATH_AT, O_RDWR), -ENXIO);
	assert_int_equal(CALL(guest, SYS_readlink, PATH_AT, DATA_AT, 100), 22);
}

/* Each in its turn, though only one fits; as many lists as there are, none of them endless. */
static void test_limits_of_epoll(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t epfd = CALL(guest, SYS_epoll_create, 1), added = 0, result = 0;
	uint64_t seen = 0;

	for (int i = 0; i < 5; i++) {
		int64_t fd = CALL(guest, SYS_eventfd, 1);

		assert_int_equal(control(guest, epfd, EPOLL_CTL_ADD, fd, EPOLLIN), 0);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 1, 0), 1);
		seen |= UINT64_C(1)
		        << (((struct epoll_event *)fake_pointer(guest, DATA_AT))->data.u64 >> 32);
	}
	assert_int_equal(seen, 0x1f0);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 3, 0), 3);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 100, 0), 5);
	/* One descriptor after the other, each of which stays open as another number. */
	for (int keep = 20; keep < 250 && !result; keep++) {
		assert_int_equal(CALL(guest, SYS_eventfd, 1), 9);
		for (int number = 10; number < 14 && !result; number++) {
			CALL(guest, SYS_dup2, 9, number);
			result = control(guest, epfd, EPOLL_CTL_ADD, number, EPOLLIN);
			added += !result;
		}
		CALL(guest, SYS_dup2, 9, keep);
		CALL(guest, SYS_close, 9);
	}
	assert_int_equal(result, -ENOSPC);
	assert_int_equal(added, EPOLL_ITEMS - 5);
	assert_int_equal(CALL(guest, SYS_epoll_wait, epfd, DATA_AT, 4096, 0), 256);
}

static void test_epoll_of_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, fork;
	int64_t epfd = CALL(master, SYS_epoll_create, 1), fd = CALL(master, SYS_eventfd, 0);

	assert_int_equal(control(master, epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET), 0);
	fake_guest_fork(&fork, master);
	assert_int_equal(write_some(&fork, fd), 8);
	assert_int_equal(wait_for_one(&fork, epfd, fd), EPOLLIN);
	assert_int_equal(wait_for_one(&fork, epfd, fd), 0);
	assert_int_equal(control(&fork, epfd, EPOLL_CTL_DEL, fd, 0), 0);
	process_reset(&fork.process, &master->process);
	assert_int_equal(wait_for_one(&fork, epfd, fd), 0);
	assert_int_equal(write_some(&fork, fd), 8);
	assert_int_equal(wait_for_one(&fork, epfd, fd), EPOLLIN);
	fake_guest_destroy(&fork);
	assert_int_equal(wait_for_one(master, epfd, fd), 0);
}

/*
 * splice, tee, vmsplice.
 */

static void test_splice_in(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	uint64_t *offset = fake_pointer(guest, PATH_AT);
	int32_t ends[2];

	make_pipe(guest, 0, ends);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, ends[1], 0, 100, 0), 100);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 100);
	*offset = 50;
	assert_int_equal(CALL(guest, SYS_splice, fd, PATH_AT, ends[1], 0, 10, SPLICE_F_MORE), 10);
	assert_int_equal(*offset, 60);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 1000), 110);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content, 100);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 100), fixture->content + 50, 10);
	/* No more than there is room for; and then it would wait. */
	*offset = 0;
	assert_int_equal(CALL(guest, SYS_splice, fd, PATH_AT, ends[1], 0, UINT64_MAX, 0), 65536);
	assert_int_equal(CALL(guest, SYS_splice, fd, PATH_AT, ends[1], 0, 1, SPLICE_F_NONBLOCK),
	                 -EAGAIN);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 65536), 65536);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content, 65536);
	*offset = FILE_SIZE;
	assert_int_equal(CALL(guest, SYS_splice, fd, PATH_AT, ends[1], 0, 10, 0), 0);
	*offset = UINT64_MAX;
	assert_int_equal(CALL(guest, SYS_splice, fd, PATH_AT, ends[1], 0, 10, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, fd, FAKE_HOLE, ends[1], 0, 10, 0), -EFAULT);
	fixture->host.input = "from the stream";
	assert_int_equal(CALL(guest, SYS_splice, 0, 0, ends[1], 0, 100, 0), 15);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 100), 15);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "from the stream", 15);
	fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/zero"), O_RDONLY);
	memset(fake_pointer(guest, DATA_AT), 1, 5);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, ends[1], 0, 5, 0), 5);
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 100), 5);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "\0\0\0\0\0", 5);
}

static void test_splice_out(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int32_t ends[2], others[2];

	make_pipe(guest, O_NONBLOCK, ends);
	make_pipe(guest, 0, others);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, 1, 0, 10, 0), -EAGAIN);
	memcpy(fake_pointer(guest, DATA_AT), "0123456789", 10);
	assert_int_equal(CALL(guest, SYS_write, ends[1], DATA_AT, 10), 10);
	assert_int_equal(CALL(guest, SYS_tee, ends[0], others[1], 4, 0), 4);
	fixture->host.most = 3;
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, 1, 0, 100, 0), 3);
	fixture->host.most = 0;
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, 1, 0, 4, 0), 4);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, others[1], 0, 100, 0), 3);
	assert_memory_equal(fixture->host.written, "0123456", 7);
	assert_int_equal(CALL(guest, SYS_read, others[0], DATA_AT, 100), 7);
	assert_memory_equal(fake_pointer(guest, DATA_AT), "0123789", 7);
	/* A function that fails takes nothing. */
	assert_int_equal(CALL(guest, SYS_write, ends[1], DATA_AT, 10), 10);
	fixture->host.answer = -EIO;
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, 1, 0, 4, 0), -EIO);
	fixture->host.answer = 0;
	assert_int_equal(CALL(guest, SYS_read, ends[0], DATA_AT, 100), 10);
	assert_int_equal(CALL(guest, SYS_close, ends[1]), 0);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, 1, 0, 10, 0), 0);
	assert_int_equal(CALL(guest, SYS_close, others[0]), 0);
	assert_int_equal(CALL(guest, SYS_splice, 0, 0, others[1], 0, 10, 0), -EPIPE);
	assert_int_equal(guest->process.exit_signal, SIGPIPE);
}

static void test_splice_refused(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest), null, event, made, directory_fd;
	int32_t ends[2];

	null = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/dev/null"), O_RDWR);
	made = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/proc/stat"), O_RDONLY);
	directory_fd = CALL(guest, SYS_open, fake_string(guest, PATH_AT, "/proc"), O_RDONLY);
	event = CALL(guest, SYS_eventfd, 1);
	make_pipe(guest, O_NONBLOCK, ends);
	assert_int_equal(CALL(guest, SYS_splice, 99, 0, 98, 0, 0, UINT64_MAX), 0);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, ends[1], 0, 1, 0x100), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, 99, 0, ends[1], 0, 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, ends[0], 0, 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_splice, ends[1], 0, ends[0], 0, 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, null, 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, ends[1], 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], DATA_AT, null, 0, 1, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_splice, fd, 0, ends[1], DATA_AT, 1, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_splice, null, 0, ends[1], 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, made, 0, ends[1], 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, directory_fd, 0, ends[1], 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, event, 0, ends[1], 0, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_splice, ends[0], 0, event, 0, 8, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_tee, ends[0], ends[1], 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_tee, ends[0], null, 1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_tee, 99, 98, 0, 0), 0);
	assert_int_equal(CALL(guest, SYS_tee, 99, ends[1], 1, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_sendfile, null, made, 0, 10), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sendfile, null, directory_fd, 0, 10), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sendfile, null, event, 0, 10), -EINVAL);
}

static void test_vmsplice(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int32_t ends[2];

	make_pipe(guest, 0, ends);
	memcpy(fake_pointer(guest, DATA_AT), "abcdef", 6);
	put_vector(guest, 0, DATA_AT, 2);
	put_vector(guest, 1, DATA_AT + 4, 2);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[1], VECTOR_AT, 2, SPLICE_F_GIFT), 4);
	put_vector(guest, 0, DATA_AT + 100, 3);
	put_vector(guest, 1, DATA_AT + 200, 100);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], VECTOR_AT, 2, 0), 4);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 100), "abe", 3);
	assert_memory_equal(fake_pointer(guest, DATA_AT + 200), "f", 1);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], VECTOR_AT, 2, SPLICE_F_NONBLOCK),
	                 -EAGAIN);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], VECTOR_AT, 2, 0x100), -EINVAL);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], VECTOR_AT, 1025, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], FAKE_HOLE, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_vmsplice, 1, VECTOR_AT, 2, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_vmsplice, 99, VECTOR_AT, 0, 0), -EBADF);
	put_vector(guest, 0, UINT64_MAX - 10, 100);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[1], VECTOR_AT, 1, 0), -EFAULT);
	assert_int_equal(CALL(guest, SYS_vmsplice, ends[0], VECTOR_AT, 0, 0), 0);
}

/*
 * Flags and advice.
 */

static void test_flags_of_reads(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	int32_t ends[2];

	make_pipe(guest, 0, ends);
	put_vector(guest, 0, DATA_AT, 4);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 1, 7, 0, RWF_NOWAIT | RWF_HIPRI), 4);
	assert_memory_equal(fake_pointer(guest, DATA_AT), fixture->content + 7, 4);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 1, -1, -1, RWF_SYNC), 4);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_CUR), 4);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 1, -2, -1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_preadv2, fd, VECTOR_AT, 1, 0, 0, 1 << 30), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_preadv2, 99, VECTOR_AT, 1, 0, 0, 1 << 30), -EBADF);
	assert_int_equal(CALL(guest, SYS_preadv2, ends[0], VECTOR_AT, 1, 0, 0, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_preadv2, ends[0], VECTOR_AT, 1, -1, -1, RWF_NOWAIT),
	                 -EAGAIN);
	assert_int_equal(CALL(guest, SYS_pwritev2, ends[1], VECTOR_AT, 1, -1, -1, RWF_NOWAIT), 4);
	assert_int_equal(CALL(guest, SYS_preadv2, ends[0], VECTOR_AT, 1, -1, -1, RWF_NOWAIT), 4);
	assert_int_equal(CALL(guest, SYS_pwritev2, 1, VECTOR_AT, 1, -1, -1, RWF_NOWAIT), -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_pwritev2, 1, VECTOR_AT, 1, -1, -1, RWF_DSYNC), 4);
	assert_int_equal(guest->process.end, PROCESS_RUNS);
}

static void test_advice(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	int32_t ends[2];

	make_pipe(guest, 0, ends);
	assert_int_equal(CALL(guest, SYS_sync_file_range, fd, 0, 0, 7), 0);
	assert_int_equal(CALL(guest, SYS_sync_file_range, fd, 0, 0, 8), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sync_file_range, fd, -1, 0, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sync_file_range, fd, 1, INT64_MAX, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_sync_file_range, ends[0], 0, 0, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_sync_file_range, 99, 0, 0, 0), -EBADF);
	assert_int_equal(CALL(guest, SYS_fadvise64, fd, 0, 0, 3), 0);
	assert_int_equal(CALL(guest, SYS_fadvise64, fd, 0, 0, 6), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fadvise64, fd, 0, -1, 0), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fadvise64, ends[0], 0, 0, 0), -ESPIPE);
	assert_int_equal(CALL(guest, SYS_readahead, fd, 0, 100), 0);
	assert_int_equal(CALL(guest, SYS_readahead, ends[0], 0, 100), -EINVAL);
	assert_int_equal(CALL(guest, SYS_readahead, ends[1], 0, 100), -EBADF);
	assert_int_equal(CALL(guest, SYS_syncfs, fd), 0);
	assert_int_equal(CALL(guest, SYS_syncfs, 99), -EBADF);
	fake_string(guest, PATH_AT, fixture->path);
	assert_int_equal(CALL(guest, SYS_name_to_handle_at, AT_FDCWD, PATH_AT, DATA_AT, DATA_AT, 0),
	                 -EOPNOTSUPP);
	assert_int_equal(CALL(guest, SYS_name_to_handle_at, AT_FDCWD, PATH_AT, DATA_AT, DATA_AT, 1),
	                 -EINVAL);
	fake_string(guest, PATH_AT, "/nowhere");
	assert_int_equal(CALL(guest, SYS_name_to_handle_at, AT_FDCWD, PATH_AT, DATA_AT, DATA_AT, 0),
	                 -ENOENT);
	assert_int_equal(CALL(guest, SYS_open_by_handle_at, fd, DATA_AT, 0), -EPERM);
	assert_int_equal(CALL(guest, SYS_inotify_init), -ENOSYS);
}

static void test_ranges_of_locks(void **state)
{
	static const struct {
		short whence;
		int64_t start, length, result;
	} cases[] = {
		{SEEK_SET, -1, 0, -EINVAL},
		{3, 0, 0, -EINVAL},
		{SEEK_SET, 0, -1, -EINVAL},
		{SEEK_SET, 10, -5, 0},
		{SEEK_SET, 10, -11, -EINVAL},
		{SEEK_SET, 1, INT64_MAX, 0},
		{SEEK_SET, INT64_MAX, 2, -EOVERFLOW},
		{SEEK_SET, 10, INT64_MIN, -EINVAL},
		{SEEK_END, INT64_MAX, 0, -EOVERFLOW},
		{SEEK_END, -(int64_t)FILE_SIZE, 0, 0},
		{SEEK_END, -(int64_t)FILE_SIZE - 1, 0, -EINVAL},
		{SEEK_CUR, -5, 0, 0},
		{SEEK_CUR, -6, 0, -EINVAL},
	};
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	struct flock *lock = fake_pointer(guest, DATA_AT);
	int64_t fd = open_file(fixture, guest);

	assert_int_equal(CALL(guest, SYS_lseek, fd, 5, SEEK_SET), 5);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int command = F_GETLK; command <= F_SETLKW; command++) {
			*lock = (struct flock){.l_type = F_RDLCK,
			                       .l_whence = cases[i].whence,
			                       .l_start = cases[i].start,
			                       .l_len = cases[i].length};
			assert_int_equal(CALL(guest, SYS_fcntl, fd, command, DATA_AT),
			                 cases[i].result);
		}
	}
	*lock = (struct flock){.l_type = F_RDLCK, .l_pid = 5};
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_OFD_SETLK, DATA_AT), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETLK, DATA_AT), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETOWN, 999), -ESRCH);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETOWN, INT32_MIN), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_SETOWN, -1000), 0);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETLEASE), F_UNLCK);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GET_SEALS), -EINVAL);
	assert_int_equal(CALL(guest, SYS_fcntl, fd, F_GETPIPE_SZ), -EBADF);
}

static void test_seek_over_holes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *guest = &fixture->guest;
	int64_t fd = open_file(fixture, guest);
	const int64_t end = 1 << 20;

	assert_int_equal(truncate(fixture->path, end), 0);
	assert_int_equal(CALL(guest, SYS_lseek, fd, end - 1, SEEK_HOLE), end - 1);
	assert_int_equal(CALL(guest, SYS_lseek, fd, end, SEEK_DATA), -ENXIO);
	assert_int_equal(CALL(guest, SYS_lseek, fd, end, SEEK_HOLE), -ENXIO);
	assert_int_equal(CALL(guest, SYS_lseek, fd, -1, SEEK_DATA), -ENXIO);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 0, SEEK_HOLE) > 0, 1);
	assert_int_equal(CALL(guest, SYS_lseek, fd, 5, SEEK_DATA), 5);
}

/*
 * Forks and resets.
 */

static void test_offsets_of_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, a, b;
	int64_t fd = open_file(fixture, master);

	assert_int_equal(CALL(master, SYS_read, fd, DATA_AT, 100), 100);
	fake_guest_fork(&a, master);
	fake_guest_fork(&b, master);
	assert_ptr_equal(a.process.files, master->process.files);
	assert_int_equal(CALL(&a, SYS_read, fd, DATA_AT, 50), 50);
	assert_memory_equal(fake_pointer(&a, DATA_AT), fixture->content + 100, 50);
	assert_int_equal(CALL(&b, SYS_read, fd, DATA_AT, 10), 10);
	assert_memory_equal(fake_pointer(&b, DATA_AT), fixture->content + 100, 10);
	assert_int_equal(CALL(&a, SYS_lseek, fd, 0, SEEK_CUR), 150);
	assert_int_equal(CALL(&b, SYS_lseek, fd, 0, SEEK_CUR), 110);
	assert_int_equal(files_look(&master->process, (int)fd)->offset, 100);
	/* Looking does not copy. */
	process_reset(&a.process, &master->process);
	assert_int_equal(CALL(&a, SYS_lseek, fd, 0, SEEK_CUR), 100);
	assert_int_equal(CALL(&a, SYS_pread64, fd, DATA_AT, 10, 0), 10);
	assert_int_equal(CALL(&a, SYS_fstat, fd, DATA_AT), 0);
	assert_int_equal(CALL(&a, SYS_write, 1, DATA_AT, 10), 10);
	assert_int_equal(CALL(&a, SYS_fcntl, fd, F_SETFD, 0), 0);
	assert_ptr_equal(a.process.files, master->process.files);
	fake_guest_destroy(&a);
	fake_guest_destroy(&b);
}

static void test_flags_of_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, fork;
	int64_t fd = open_file(fixture, master);

	fake_guest_fork(&fork, master);
	assert_int_equal(CALL(&fork, SYS_fcntl, fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(CALL(&fork, SYS_fcntl, fd, F_SETFD, 1), 0);
	assert_int_equal(CALL(&fork, SYS_close, 1), 0);
	assert_int_equal(files_look(&master->process, (int)fd)->flags & O_NONBLOCK, 0);
	assert_int_equal(files_close_on_exec(&master->process, (int)fd), 0);
	assert_non_null(files_look(&master->process, 1));
	process_reset(&fork.process, &master->process);
	assert_int_equal(CALL(&fork, SYS_fcntl, fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(CALL(&fork, SYS_fcntl, fd, F_GETFD), 0);
	assert_int_equal(CALL(&fork, SYS_write, 1, DATA_AT, 1), 1);
	fake_guest_destroy(&fork);
}

static void test_pipes_of_forks(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, a, b;
	int32_t ends[2];

	make_pipe(master, O_NONBLOCK, ends);
	memcpy(fake_pointer(master, DATA_AT), "left", 4);
	assert_int_equal(CALL(master, SYS_write, ends[1], DATA_AT, 4), 4);
	assert_int_equal(CALL(master, SYS_dup, ends[0]), 5);
	fake_guest_fork(&a, master);
	fake_guest_fork(&b, master);
	memcpy(fake_pointer(&a, DATA_AT), "more", 4);
	assert_int_equal(CALL(&a, SYS_write, ends[1], DATA_AT, 4), 4);
	assert_int_equal(CALL(&a, SYS_read, 5, DATA_AT, 100), 8);
	assert_memory_equal(fake_pointer(&a, DATA_AT), "leftmore", 8);
	assert_int_equal(CALL(&b, SYS_read, ends[0], DATA_AT, 100), 4);
	assert_int_equal(CALL(&b, SYS_read, ends[0], DATA_AT, 100), -EAGAIN);
	process_reset(&a.process, &master->process);
	assert_int_equal(CALL(&a, SYS_read, ends[0], DATA_AT, 100), 4);
	fake_guest_destroy(&a);
	fake_guest_destroy(&b);
	assert_int_equal(CALL(master, SYS_read, ends[0], DATA_AT, 100), 4);
}

static void test_reset_closes(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, fork;
	unsigned before;
	int32_t ends[2];

	open_file(fixture, master);
	before = count_descriptors();
	fake_guest_fork(&fork, master);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(open_file(fixture, &fork), 4);
		assert_int_equal(open_file(fixture, &fork), 5);
		make_pipe(&fork, 0, ends);
		assert_int_equal(count_descriptors(), before + 2);
		process_reset(&fork.process, &master->process);
		assert_int_equal(count_descriptors(), before);
	}
	open_file(fixture, &fork);
	fake_guest_destroy(&fork);
	assert_int_equal(count_descriptors(), before);
}

/* Two forks on two threads use one file of the host. */
struct worker {
	struct fixture *fixture;
	struct fake_guest *guest;
	int64_t fd;
	unsigned seed;
	bool failed;
};

static void *work(void *user)
{
	struct worker *worker = user;
	struct process *process = &worker->guest->process;

	for (int i = 0; i < 3000; i++) {
		uint64_t at = (uint64_t)rand_r(&worker->seed) % (FILE_SIZE - 100);

		if (CALL(worker->guest, SYS_lseek, worker->fd, at, SEEK_SET) != (int64_t)at ||
		    CALL(worker->guest, SYS_read, worker->fd, DATA_AT, 100) != 100 ||
		    memcmp(fake_pointer(worker->guest, DATA_AT), worker->fixture->content + at, 100))
			worker->failed = true;
		if (i % 10 == 0)
			process_reset(process, &worker->fixture->guest.process);
	}
	return NULL;
}

static void test_forks_in_parallel(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest forks[2];
	struct worker workers[2];
	pthread_t threads[2];
	int64_t fd = open_file(fixture, &fixture->guest);

	for (int i = 0; i < 2; i++) {
		fake_guest_fork(&forks[i], &fixture->guest);
		workers[i] = (struct worker){fixture, &forks[i], fd, (unsigned)i, false};
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].failed);
		fake_guest_destroy(&forks[i]);
	}
}

/*
 * Every allocation failing once.
 */

/* What needs memory; stops at the first call that fails and returns its result. */
static int64_t use_memory(struct fixture *fixture, struct fake_guest *guest)
{
	int64_t fd, result;

	fake_string(guest, PATH_AT, fixture->path);
	for (int i = 0; i < 9; i++) {
		fd = CALL(guest, SYS_open, PATH_AT, O_RDONLY);
		if (fd < 0)
			return fd;
	}
	result = CALL(guest, SYS_pipe, DATA_AT);
	if (!result)
		result = CALL(guest, SYS_sendfile, 13, 3, 0, 60000) == 60000 ? 0 : -ENOMEM;
	for (unsigned i = 0; i < 20; i++)
		put_vector(guest, i, DATA_AT, 1);
	if (!result)
		result = CALL(guest, SYS_readv, 12, VECTOR_AT, 20) == 20 ? 0 : -ENOMEM;
	fake_string(guest, PATH_AT, "/dev");
	if (!result)
		result = CALL(guest, SYS_chdir, PATH_AT);
	memset(fake_pointer(guest, DATA_AT), 0, 64);
	if (!result)
		result = CALL(guest, SYS_rt_sigaction, SIGHUP, DATA_AT, 0, 8);
	if (!result)
		result = CALL(guest, SYS_eventfd, 1) > 0 ? 0 : -ENOMEM;
	if (!result)
		result = CALL(guest, SYS_epoll_create, 1) > 0 ? 0 : -ENOMEM;
	if (!result)
		result = control(guest, 15, EPOLL_CTL_ADD, 14, EPOLLIN);
	if (!result)
		result = CALL(guest, SYS_splice, 3, 0, 13, 0, 10, 0) == 10 ? 0 : -ENOMEM;
	/* A copy for the host's function is smaller without memory, and the write goes on. */
	if (!result)
		result = CALL(guest, SYS_write, 1, DATA_AT, 5000) == 5000 ? 0 : -EIO;
	return result;
}

static void test_every_allocation_fails_once(void **state)
{
	struct fixture *fixture = *state;
	struct fake_guest *master = &fixture->guest, fork;
	unsigned before = count_descriptors();
	int64_t result = -ENOMEM;
	int32_t ends[2];
	unsigned n;
	bool failed;

	make_pipe(master, 0, ends);
	assert_int_equal(CALL(master, SYS_write, ends[1], DATA_AT, 100), 100);
	assert_int_equal(CALL(master, SYS_epoll_create, 1), 5);
	assert_int_equal(control(master, 5, EPOLL_CTL_ADD, ends[0], EPOLLIN), 0);
	assert_int_equal(CALL(master, SYS_dup2, 5, 40), 40);
	assert_int_equal(CALL(master, SYS_close, 5), 0);
	for (n = 1; n < 200; n++) {
		fake_guest_fork(&fork, master);
		allocations_fail_at(n);
		result = CALL(&fork, SYS_close_range, ends[0], ends[1], 0);
		if (!result)
			result = use_memory(fixture, &fork);
		failed = allocations_stop_failing();
		assert_true(result == 0 || result == -ENOMEM);
		process_reset(&fork.process, &master->process);
		fake_guest_destroy(&fork);
		assert_int_equal(count_descriptors(), before);
		if (!failed)
			break;
	}
	assert_int_equal(result, 0);
	assert_true(n > 20 && n < 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lowest_free_number),
		TEST(test_limit_of_descriptors),
		TEST(test_duplicates_share_an_offset),
		TEST(test_fcntl),
		TEST(test_ioctl),
		TEST(test_lseek),
		TEST(test_read_whole_file),
		TEST(test_read_sizes),
		TEST(test_read_faults),
		TEST(test_positioned_reads),
		TEST(test_vectors),
		TEST(test_vector_totals_that_wrap),
		TEST(test_truncated_file),
		TEST(test_mappable),
		TEST(test_written_data_arrives),
		TEST(test_partial_writes),
		TEST(test_answers_of_the_host),
		TEST(test_input),
		cmocka_unit_test(test_unconnected_streams),
		TEST(test_own_descriptors_by_path),
		TEST(test_output_descriptors),
		TEST(test_broken_pipe_raises_nothing_in_the_host),
		TEST(test_pending_sigpipe_of_the_host_stays),
		TEST(test_input_descriptors),
		TEST(test_pipe),
		TEST(test_pipe_is_limited),
		TEST(test_pipe_keeps_order),
		TEST(test_waiting_for_oneself_ends_the_run),
		TEST(test_sendfile),
		TEST(test_event),
		TEST(test_event_as_semaphore),
		TEST(test_events_of_forks),
		TEST(test_epoll),
		TEST(test_edges_of_epoll),
		TEST(test_epoll_refuses),
		TEST(test_limits_of_epoll),
		TEST(test_epoll_of_forks),
		TEST(test_splice_in),
		TEST(test_splice_out),
		TEST(test_splice_refused),
		TEST(test_vmsplice),
		TEST(test_flags_of_reads),
		TEST(test_advice),
		TEST(test_ranges_of_locks),
		TEST(test_seek_over_holes),
		TEST(test_offsets_of_forks),
		TEST(test_flags_of_forks),
		TEST(test_pipes_of_forks),
		TEST(test_reset_closes),
		TEST(test_forks_in_parallel),
		TEST(test_every_allocation_fails_once),
	};

	return cmocka_run_group_tests_name("linux_files", tests, NULL, NULL);
}
