/* SPDX-License-Identifier: MIT */
/*
 * Ranges of guest memory for the host to read in place, over a fake space: what
 * is there, what nobody has used, what is a file's own, and what is none of
 * these; and the host without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_space.h"

#include "layout.h"
#include "linux/mm.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLENTY (UINT64_C(1) << 20)
#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)
#define BASE ((uint64_t)LAYOUT_MMAP_START)
#define FILE_BYTES (PAGES(20) - 1000)

struct world {
	struct fake_space fake;
	struct process process;
};

static uint8_t content[FILE_BYTES];

static void world_begin(struct world *world, bool shows_files)
{
	memset(world, 0, sizeof(*world));
	fake_space_init(&world->fake, PLENTY);
	world->fake.shows_files = shows_files;
	world->process.space = &world->fake.space;
	assert_int_equal(mm_create(&world->process.mm), 0);
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(1 + i % 251);
	fake_file_open(1, content, sizeof(content));
}

static void world_end(struct world *world)
{
	mm_release(world->process.mm);
	free(world->process.borrowed_pages);
	fake_space_destroy(&world->fake);
	fake_file_close(1);
}

static void map(struct world *world, uint64_t address, uint64_t length, unsigned protection,
                struct file *file)
{
	assert_int_equal(mm_map(&world->process, &address, length, protection, MM_FIXED, file, 0), 0);
}

/* As one piece; how much of it there is. */
static uint64_t join(const struct guest_content *got, uint8_t *bytes, uint64_t size)
{
	uint64_t length = 0;

	for (size_t i = 0; i < got->count; i++) {
		assert_true(range_within(length, got->pieces[i].iov_len, size));
		memcpy(bytes + length, got->pieces[i].iov_base, got->pieces[i].iov_len);
		length += got->pieces[i].iov_len;
	}
	return length;
}

static void assert_content(struct world *world, uint64_t address, const uint8_t *wanted,
                           uint64_t length)
{
	static uint8_t bytes[PAGES(64)];
	uint64_t maps = world->fake.maps + world->fake.shown;
	struct guest_content got;

	assert_int_equal(guest_content(&world->process, address, length, &got), 0);
	assert_int_equal(join(&got, bytes, sizeof(bytes)), length);
	assert_memory_equal(bytes, wanted, length);
	/* Nothing was brought in. */
	assert_int_equal(world->fake.maps + world->fake.shown, maps);
	guest_content_free(&got);
	assert_null(got.pieces);
}

static void test_pages_are_given_in_place(void **state)
{
	uint8_t wanted[PAGES(3)];
	struct guest_content got;
	struct world world;

	(void)state;
	world_begin(&world, false);
	map(&world, BASE, PAGES(3), SPACE_READ | SPACE_WRITE, NULL);
	memset(wanted, 'w', sizeof(wanted));
	assert_int_equal(guest_write(&world.process, BASE, wanted, sizeof(wanted)), 0);
	assert_content(&world, BASE, wanted, sizeof(wanted));
	assert_content(&world, BASE + 4095, wanted, 2);
	assert_int_equal(guest_content(&world.process, BASE + 10, PAGES(2), &got), 0);
	assert_int_equal(got.count, 3);
	assert_null(got.copies);
	assert_ptr_equal(got.pieces[0].iov_base, fake_page_at(&world.fake, BASE)->bytes + 10);
	assert_ptr_equal(got.pieces[1].iov_base, fake_page_at(&world.fake, BASE + PAGE_SIZE)->bytes);
	guest_content_free(&got);
	world_end(&world);
}

static void test_unused_memory_is_zeros(void **state)
{
	static const uint8_t zeros[PAGES(40)];
	uint8_t wanted[PAGES(40)] = {0};
	struct guest_content got;
	struct world world;

	(void)state;
	world_begin(&world, false);
	map(&world, BASE, PAGES(40), SPACE_READ | SPACE_WRITE, NULL);
	assert_content(&world, BASE, zeros, sizeof(zeros));
	assert_int_equal(guest_write(&world.process, BASE + PAGES(39) + 7, "used", 4), 0);
	memcpy(wanted + PAGES(39) + 7, "used", 4);
	assert_content(&world, BASE, wanted, sizeof(wanted));
	assert_content(&world, BASE + 5, wanted + 5, PAGES(40) - 5);
	assert_int_equal(guest_content(&world.process, BASE, PAGES(3), &got), 0);
	assert_ptr_equal(got.pieces[0].iov_base, got.pieces[2].iov_base);
	assert_null(got.copies);
	guest_content_free(&got);
	assert_int_equal(guest_content(&world.process, BASE, 0, &got), 0);
	assert_int_equal(got.count, 0);
	guest_content_free(&got);
	world_end(&world);
}

/* There or not, the file's own or a copy. */
static void check_file(bool shows_files, bool used)
{
	uint8_t wanted[PAGES(24)] = {0}, byte;
	struct world world;

	world_begin(&world, shows_files);
	map(&world, BASE, PAGES(2), SPACE_READ | SPACE_WRITE, NULL);
	map(&world, BASE + PAGES(2), PAGES(20), SPACE_READ, fake_files[1].file);
	map(&world, BASE + PAGES(22), PAGES(2), SPACE_READ | SPACE_WRITE, NULL);
	memcpy(wanted + PAGES(2), content, sizeof(content));
	memcpy(wanted + PAGES(23), "used", 4);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(23), "used", 4), 0);
	if (used)
		assert_int_equal(guest_read(&world.process, BASE + PAGES(3), &byte, 1), 0);
	assert_content(&world, BASE, wanted, sizeof(wanted));
	assert_content(&world, BASE + PAGES(2) + 1, wanted + PAGES(2) + 1, FILE_BYTES - 1);
	assert_content(&world, BASE + PAGES(7) + 100, wanted + PAGES(7) + 100, 1);
	world_end(&world);
}

static void test_files_are_copied(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		check_file((i & 1) != 0, (i & 2) != 0);
}

/* Neighbours that are of different files, or of other places of one. */
static void test_mappings_are_read_one_by_one(void **state)
{
	static const uint64_t places[] = {3, 4, 0, 19, 18, 5};
	uint8_t wanted[ARRAY_SIZE(places) * PAGE_SIZE] = {0};
	struct world world;

	(void)state;
	world_begin(&world, true);
	for (uint64_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t address = BASE + PAGES(i), offset = PAGES(places[i]);

		assert_int_equal(mm_map(&world.process, &address, PAGE_SIZE, SPACE_READ, MM_FIXED,
		                        fake_files[1].file, offset),
		                 0);
		memcpy(wanted + PAGES(i), content + offset, min_u64(PAGE_SIZE, FILE_BYTES - offset));
	}
	assert_content(&world, BASE, wanted, sizeof(wanted));
	assert_content(&world, BASE + 1, wanted + 1, sizeof(wanted) - 2);
	world_end(&world);
}

static void assert_fault(struct world *world, uint64_t address, uint64_t length)
{
	struct guest_content got;

	assert_int_equal(guest_content(&world->process, address, length, &got), -EFAULT);
	assert_null(got.pieces);
	assert_null(got.copies);
}

static void test_all_of_it_must_be_the_guests(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world, true);
	map(&world, BASE, PAGES(3), SPACE_READ | SPACE_WRITE, NULL);
	map(&world, BASE + PAGES(3), PAGES(30), SPACE_READ, fake_files[1].file);
	map(&world, BASE + PAGES(33), PAGES(1), 0, NULL);
	map(&world, BASE + PAGES(34), PAGES(1), SPACE_READ, NULL);
	assert_fault(&world, BASE - 1, 2);
	assert_fault(&world, BASE + PAGES(35) - 1, 2);
	/* Behind the file's last page, and what nobody may read. */
	assert_fault(&world, BASE, PAGES(23) + 1);
	assert_fault(&world, BASE + PAGES(33), 1);
	assert_fault(&world, BASE + PAGES(33) + 4095, 2);
	assert_fault(&world, LAYOUT_USER_END, 1);
	assert_fault(&world, LAYOUT_USER_END - 1, 2);
	assert_fault(&world, UINT64_MAX, 1);
	assert_fault(&world, UINT64_MAX - 10, PAGES(1));
	assert_fault(&world, BASE, UINT64_MAX);
	fake_files[1].error = -EIO;
	assert_fault(&world, BASE, PAGES(4));
	world_end(&world);
}

static void test_without_memory(void **state)
{
	struct guest_content got;
	struct world world;
	uint64_t number = 1;
	int result;

	(void)state;
	world_begin(&world, true);
	map(&world, BASE, PAGES(40), SPACE_READ | SPACE_WRITE, NULL);
	map(&world, BASE + PAGES(40), PAGES(20), SPACE_READ, fake_files[1].file);
	for (;; number++) {
		fake_fail_allocation = number;
		result = guest_content(&world.process, BASE, PAGES(60), &got);
		if (result == 0)
			break;
		assert_int_equal(result, -ENOMEM);
		assert_null(got.pieces);
	}
	fake_fail_allocation = 0;
	guest_content_free(&got);
	/* Pieces: 16, 32, 64; the copies. */
	assert_int_equal(number, 5);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_given_in_place),
		cmocka_unit_test(test_unused_memory_is_zeros),
		cmocka_unit_test(test_files_are_copied),
		cmocka_unit_test(test_mappings_are_read_one_by_one),
		cmocka_unit_test(test_all_of_it_must_be_the_guests),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
