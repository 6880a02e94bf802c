/* SPDX-License-Identifier: MIT */
/*
 * Places of files without KVM: one for each file and part, none for what cannot
 * have one, slots as they are needed, and what happens when the host refuses
 * slots, mappings or room.
 */
#include "file_window.h"

#include "kvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEBIBYTE (UINT64_C(1) << 20)
#define BASE (UINT64_C(8) << 30)
#define ROOM (UINT64_C(1) << 30)
#define PART (64 * MEBIBYTE)
#define LEAST (64 * UINT64_C(1024))

/* The host. */

static struct host {
	int read_only_error, plain_error; /* of slots; 0: none */
	unsigned read_only_slots, plain_slots;
	uint64_t slot_end; /* of the last one, which must begin where the one before ends */
	int mapping_error; /* of the next file that is mapped; 0: none */
	bool reserves_not; /* nor can anything be put in its place */
} host;

void *__real_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *memory);
int __wrap_kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size,
                                     void *memory);

void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (fd < 0 && host.reserves_not) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (fd < 0 || host.mapping_error == 0)
		return __real_mmap64(address, length, protection, flags, fd, offset);
	errno = host.mapping_error;
	host.mapping_error = 0;
	/* As a kernel that has given up what was there before. */
	munmap(address, length);
	return MAP_FAILED;
}

static void add_slot(uint32_t slot, uint64_t gpa, uint64_t size)
{
	assert_int_equal(slot, 5 + host.read_only_slots + host.plain_slots);
	assert_int_equal(gpa, host.slot_end);
	assert_true(size > 0 && is_aligned(size, PAGE_SIZE));
	host.slot_end = gpa + size;
}

int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *memory)
{
	(void)vm;
	(void)memory;
	if (host.plain_error != 0)
		return host.plain_error;
	add_slot(slot, gpa, size);
	host.plain_slots++;
	return 0;
}

int __wrap_kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *memory)
{
	(void)vm;
	(void)memory;
	if (host.read_only_error != 0)
		return host.read_only_error;
	add_slot(slot, gpa, size);
	host.read_only_slots++;
	return 0;
}

/* The window. */

static struct file_window window;
static uint32_t next_slot;

static void begin(uint64_t room)
{
	host = (struct host){.slot_end = BASE};
	next_slot = 5;
	file_window_init(&window, BASE, room);
}

static void end(void)
{
	file_window_destroy(&window, true);
}

static int new_file(uint64_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int place(int fd, uint64_t offset, uint64_t *length, gpa_t *frame)
{
	return file_window_place(&window, 1, &next_slot, fd, offset, length, frame);
}

/* A page that must have a place: where. */
static uint64_t place_of(int fd, uint64_t offset)
{
	uint64_t length = PAGE_SIZE;
	gpa_t frame;

	assert_int_equal(place(fd, offset, &length, &frame), 0);
	assert_int_equal(length, PAGE_SIZE);
	assert_true(file_window_holds(&window, frame, PAGE_SIZE));
	assert_true(frame.value + PAGE_SIZE <= host.slot_end);
	return frame.value;
}

static void assert_copied(int fd, uint64_t offset)
{
	uint64_t length = PAGE_SIZE;
	gpa_t frame;

	assert_int_equal(place(fd, offset, &length, &frame), -EOPNOTSUPP);
}

static char byte_at(uint64_t address)
{
	return *(const char *)(window.host + (address - BASE));
}

static void files_have_one_place(void **unused)
{
	int first, second, again;
	char path[64];
	uint64_t place;

	(void)unused;
	begin(ROOM);
	first = new_file(LEAST);
	second = new_file(LEAST + 1);
	assert_int_equal(pwrite(first, "a", 1, PAGE_SIZE), 1);
	assert_int_equal(pwrite(second, "b", 1, PAGE_SIZE), 1);
	assert_int_equal(pwrite(second, "c", 1, LEAST), 1);
	place = place_of(first, PAGE_SIZE);
	assert_int_equal(place_of(first, 0), place - PAGE_SIZE);
	assert_int_equal(byte_at(place), 'a');
	assert_int_equal(byte_at(place_of(second, PAGE_SIZE)), 'b');
	assert_int_equal(byte_at(place_of(second, LEAST)), 'c');
	/* By whatever descriptor. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", first);
	again = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(place_of(again, PAGE_SIZE), place);
	assert_int_equal(window.count, 2);
	assert_int_equal(host.read_only_slots, 1);
	assert_int_equal(next_slot, 6);
	/* The place outlives it. */
	close(again);
	close(first);
	assert_int_equal(byte_at(place), 'a');
	close(second);
	end();
}

/* What was changed may be another file by the same name of device and inode. */
static void a_changed_file_gets_another(void **unused)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	int fd;
	uint64_t before;

	(void)unused;
	begin(ROOM);
	fd = new_file(LEAST);
	before = place_of(fd, 0);
	assert_int_equal(futimens(fd, times), 0);
	assert_int_not_equal(place_of(fd, 0), before);
	before = place_of(fd, 0);
	assert_int_equal(ftruncate(fd, LEAST + PAGE_SIZE), 0);
	assert_int_not_equal(place_of(fd, 0), before);
	place_of(fd, LEAST);
	close(fd);
	end();
}

static void what_cannot_have_one_is_copied(void **unused)
{
	int pipes[2], fd = new_file(LEAST - 1);

	(void)unused;
	begin(ROOM);
	assert_copied(fd, 0);
	assert_copied(-1, 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_copied(pipes[0], 0);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(ftruncate(fd, LEAST + 1), 0);
	place_of(fd, LEAST);
	assert_copied(fd, LEAST + PAGE_SIZE);
	assert_copied(fd, UINT64_MAX - PAGE_SIZE + 1);
	assert_copied(fd, INT64_MAX - PAGE_SIZE + 1);
	close(fd);
	end();
	/* Nothing but small files: no address space was taken. */
	begin(ROOM);
	assert_null(window.host);
	end();
}

/* A large file is placed in parts, as they are asked for, in slots that grow. */
static void large_files_come_in_parts(void **unused)
{
	uint64_t length = UINT64_MAX, first;
	gpa_t frame;
	int fd;

	(void)unused;
	begin(ROOM);
	fd = new_file(3 * PART + 10);
	assert_int_equal(place(fd, PART + PAGE_SIZE, &length, &frame), 0);
	assert_int_equal(length, PART - PAGE_SIZE);
	assert_int_equal(frame.value, BASE + PAGE_SIZE);
	assert_int_equal(window.count, 1);
	assert_true(window.committed <= PART + 16 * MEBIBYTE);
	first = place_of(fd, 0);
	assert_int_not_equal(first, BASE);
	length = UINT64_MAX;
	assert_int_equal(place(fd, 3 * PART, &length, &frame), 0);
	assert_int_equal(length, PAGE_SIZE);
	assert_int_equal(window.count, 3);
	assert_false(file_window_holds(&window, gpa(BASE + window.placed), PAGE_SIZE));
	assert_false(file_window_holds(&window, gpa(BASE + window.placed - PAGE_SIZE), 2 * PAGE_SIZE));
	assert_false(file_window_holds(&window, gpa(BASE - PAGE_SIZE), PAGE_SIZE));
	close(fd);
	end();
}

static void room_ends(void **unused)
{
	int fd, large;

	(void)unused;
	begin(2 * MEBIBYTE);
	large = new_file(2 * MEBIBYTE + 1);
	assert_copied(large, 0);
	for (unsigned i = 0; i < 2 * MEBIBYTE / LEAST; i++) {
		fd = new_file(LEAST);
		place_of(fd, 0);
		close(fd);
	}
	fd = new_file(LEAST);
	assert_copied(fd, 0);
	assert_int_equal(window.placed, 2 * MEBIBYTE);
	assert_int_equal(window.committed, 2 * MEBIBYTE);
	end();
	begin(0);
	assert_copied(fd, 0);
	close(fd);
	close(large);
	end();
}

static void places_are_limited(void **unused)
{
	int fd;

	(void)unused;
	begin(ROOM);
	for (unsigned i = 0; i < FILE_WINDOW_PLACES; i++) {
		fd = new_file(LEAST);
		place_of(fd, 0);
		close(fd);
	}
	fd = new_file(LEAST);
	assert_copied(fd, 0);
	close(fd);
	end();
}

static void slots_are_refused(void **unused)
{
	int fd = new_file(LEAST), other = new_file(LEAST);

	(void)unused;
	/* No read-only ones: plain ones, and no further try. */
	begin(ROOM);
	host.read_only_error = -EINVAL;
	place_of(fd, 0);
	assert_true(window.plain_slots);
	host.read_only_error = 0;
	close(other);
	other = new_file(PART);
	place_of(other, 0);
	assert_int_equal(host.plain_slots, 2);
	assert_int_equal(host.read_only_slots, 0);
	end();
	/* None at all, for now. */
	begin(ROOM);
	host.read_only_error = -ENOMEM;
	assert_copied(fd, 0);
	assert_int_equal(next_slot, 5);
	host.read_only_error = 0;
	place_of(fd, 0);
	assert_int_equal(host.read_only_slots, 1);
	end();
	begin(ROOM);
	host.read_only_error = host.plain_error = -EINVAL;
	assert_copied(fd, 0);
	assert_int_equal(window.placed, 0);
	end();
	close(fd);
	close(other);
}

/* The address space of a mapping that failed is reserved again. */
static void mappings_are_refused(void **unused)
{
	int fd = new_file(LEAST);
	unsigned char resident;

	(void)unused;
	begin(ROOM);
	host.mapping_error = ENODEV;
	assert_copied(fd, 0);
	assert_int_equal(window.placed, 0);
	assert_int_equal(window.count, 0);
	assert_int_equal(mincore(window.host, PAGE_SIZE, &resident), 0);
	place_of(fd, 0);
	end();
	/* Where even that fails, nothing gets a place any more: it might be in another's memory. */
	begin(ROOM);
	place_of(fd, 0);
	close(fd);
	fd = new_file(LEAST);
	host.mapping_error = ENODEV;
	host.reserves_not = true;
	assert_copied(fd, 0);
	host.reserves_not = false;
	assert_copied(fd, 0);
	assert_int_equal(window.placed, LEAST);
	end();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_have_one_place),
		cmocka_unit_test(a_changed_file_gets_another),
		cmocka_unit_test(what_cannot_have_one_is_copied),
		cmocka_unit_test(large_files_come_in_parts),
		cmocka_unit_test(room_ends),
		cmocka_unit_test(places_are_limited),
		cmocka_unit_test(slots_are_refused),
		cmocka_unit_test(mappings_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
