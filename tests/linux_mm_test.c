/* SPDX-License-Identifier: MIT */
/*
 * The memory map and its system calls over a fake space: every call compared
 * with its manual page, the windows of page faults, hostile numbers, and long
 * random sequences (some with failures) compared after every step with a
 * model that knows nothing but single pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_space.h"

#include "layout.h"
#include "linux/handlers.h"
#include "linux/mm_internal.h"
#include "space_files.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define CALL(world, name, ...) sys_##name(&(world)->process, (const uint64_t[6]){__VA_ARGS__})

#define PLENTY (UINT64_C(1) << 20)
#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)
#define BASE ((uint64_t)LAYOUT_MMAP_START)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define NO_FILE ((uint64_t)-1)

struct world {
	struct fake_space fake;
	struct process process;
};

static void world_begin(struct world *world)
{
	memset(world, 0, sizeof(*world));
	fake_space_init(&world->fake, PLENTY);
	world->process.space = &world->fake.space;
	world->process.deadline = UINT64_MAX;
	assert_int_equal(mm_create(&world->process.mm), 0);
}

static void world_freeze(struct world *world)
{
	world->fake.space.table.frozen = true;
}

static void world_fork(struct world *fork, struct world *master)
{
	memset(fork, 0, sizeof(*fork));
	fake_space_fork(&fork->fake, &master->fake, PLENTY);
	fork->fake.shows_files = master->fake.shows_files;
	fork->process.space = &fork->fake.space;
	fork->process.deadline = UINT64_MAX;
	fork->process.mm = mm_share(master->process.mm);
}

static void world_end(struct world *world)
{
	mm_release(world->process.mm);
	free(world->process.borrowed_pages);
	fake_space_destroy(&world->fake);
}

static const struct range *range_at(const struct world *world, uint64_t address)
{
	return ranges_find(&world->process.mm->ranges, address);
}

static size_t range_count(const struct world *world)
{
	return world->process.mm->ranges.count;
}

static void map_at(struct world *world, uint64_t address, uint64_t pages, int prot)
{
	assert_int_equal(CALL(world, mmap, address, PAGES(pages), (uint64_t)prot,
	                      ANONYMOUS | MAP_FIXED | MAP_NORESERVE, NO_FILE, 0),
	                 address);
}

static bool present(const struct world *world, uint64_t address)
{
	return fake_page_at(&world->fake, address) != NULL;
}

/* The sole run of pages that the space has. */
static void assert_present(const struct world *world, uint64_t start, uint64_t end)
{
	assert_int_equal(world->fake.count, (end - start) >> PAGE_SHIFT);
	for (uint64_t page = start; page < end; page += PAGE_SIZE)
		assert_true(present(world, page));
}

static uint8_t content[PAGES(100)];

static void fill_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(1 + i % 251);
}

/* mmap(2): errors and placing. */

static void test_mmap_errors(void **state)
{
	const uint64_t huge = UINT64_MAX - PAGE_SIZE + 2, fixed = ANONYMOUS | MAP_FIXED;
	const uint64_t top = LAYOUT_USER_END;
	const struct {
		uint64_t address, length, prot, flags, fd, offset;
		int result;
	} rows[] = {
		{0, 0, RW, ANONYMOUS, NO_FILE, 0, -EINVAL},
		{0, huge, RW, ANONYMOUS, NO_FILE, 0, -ENOMEM},
		{0, UINT64_MAX, RW, ANONYMOUS, NO_FILE, 0, -ENOMEM},
		{0, top, RW, ANONYMOUS, NO_FILE, 0, -ENOMEM},
		{0, top + PAGE_SIZE, RW, ANONYMOUS, NO_FILE, 0, -ENOMEM},
		{0, UINT64_C(1) << 63, RW, ANONYMOUS, NO_FILE, 0, -ENOMEM},
		{0, 4096, RW, ANONYMOUS, NO_FILE, 1, -EINVAL},
		{0, 4096, RW, MAP_ANONYMOUS, NO_FILE, 0, -EINVAL},
		{0, 4096, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, NO_FILE, 0, -EINVAL},
		{0, 4096, PROT_READ, 0, 1, 0, -EINVAL},
		{0, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, 1, 0, -EOPNOTSUPP},
		{0, 4096, RW, ANONYMOUS | MAP_HUGETLB, NO_FILE, 0, -ENOMEM},
		{0, 4096, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, 1, 0, -EINVAL},
		{0, 4096, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, NO_FILE, 0, -EINVAL},
		{0, 4096, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, 1, 0, -EINVAL},
		{0, 4096, PROT_READ, MAP_PRIVATE, NO_FILE, 0, -EBADF},
		{0, 4096, PROT_READ, MAP_PRIVATE, 7, 0, -EBADF},
		{0, 4096, PROT_READ, MAP_PRIVATE, 1, 4095, -EINVAL},
		{0, 8192, PROT_READ, MAP_PRIVATE, 1, INT64_MAX - 4095, -EOVERFLOW},
		{0, 4096, PROT_READ, MAP_PRIVATE, 1, UINT64_MAX - 4095, -EOVERFLOW},
		{0, 4096, RW, MAP_SHARED, 1, 0, -EACCES},
		{0, 4096, RW, MAP_SHARED_VALIDATE, 1, 0, -EACCES},
		{0, 4096, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, 1, 0, -EINVAL},
		{BASE + 1, 4096, RW, fixed, NO_FILE, 0, -EINVAL},
		{0, 4096, RW, fixed, NO_FILE, 0, -EPERM},
		{0xf000, 4096, RW, fixed, NO_FILE, 0, -EPERM},
		{top, 4096, RW, fixed, NO_FILE, 0, -ENOMEM},
		{top - 4096, 4097, RW, fixed, NO_FILE, 0, -ENOMEM},
		{UINT64_MAX - 4095, 4096, RW, fixed, NO_FILE, 0, -ENOMEM},
		{UINT64_C(1) << 63, 4096, RW, fixed, NO_FILE, 0, -ENOMEM},
		{LAYOUT_KERNEL, 4096, RW, fixed, NO_FILE, 0, -ENOMEM},
		{BASE, 4096, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, NO_FILE, 0, -EEXIST},
		{BASE - 4096, 8192, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, NO_FILE, 0, -EEXIST},
		{BASE + 1, 4096, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, NO_FILE, 0, -EINVAL},
		{0, 0x40001000, RW, ANONYMOUS | MAP_32BIT, NO_FILE, 0, -ENOMEM},
	};
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, sizeof(content));
	map_at(&world, BASE, 1, PROT_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t result = CALL(&world, mmap, rows[i].address, rows[i].length, rows[i].prot,
		                      rows[i].flags, rows[i].fd, rows[i].offset);

		if (result != rows[i].result)
			fail_msg("row %zu: %lld", i, (long long)result);
		assert_int_equal(range_count(&world), 1);
	}
	assert_int_equal(world.fake.maps + world.fake.unmaps + world.fake.protects, 0);
	world_end(&world);
	fake_file_close(1);
}

static void test_mmap_placing(void **state)
{
	const uint64_t low = ANONYMOUS | MAP_32BIT;
	const struct {
		uint64_t address, length, flags;
		int64_t expected;
	} rows[] = {
		{0, 1, ANONYMOUS, BASE},
		{0, 4097, ANONYMOUS, BASE + PAGES(1)},
		{BASE + PAGES(10), 4096, ANONYMOUS, BASE + PAGES(10)},
		{BASE + PAGES(10), 4096, ANONYMOUS, BASE + PAGES(3)}, /* taken */
		{BASE + PAGES(20) + 5, 4096, ANONYMOUS, BASE + PAGES(20)},
		{1, 4096, ANONYMOUS, BASE + PAGES(4)},
		{4096, 4096, ANONYMOUS, 0x10000}, /* below the lowest address */
		{LAYOUT_USER_END, 4096, ANONYMOUS, BASE + PAGES(5)},
		{LAYOUT_USER_END - 4096, 8192, ANONYMOUS, BASE + PAGES(6)},
		{UINT64_MAX, 4096, ANONYMOUS, BASE + PAGES(8)},
		{0, PAGES(2), ANONYMOUS, BASE + PAGES(11)}, /* the gap before has one page */
		{0, PAGES(1), ANONYMOUS, BASE + PAGES(9)},
		{0, 4096, low, 0x40000000},
		{0, 4096, low, 0x40001000},
		{BASE, 4096, low, 0x40002000},
		{0x7ffff000, 4096, low, 0x7ffff000},
		{0x7ffff000, 8192, low, 0x40003000},
		{0x300000, 4096, low, 0x300000},
		{0x300000, 4096, ANONYMOUS | MAP_FIXED, 0x300000},
		{0x301000, 4096, ANONYMOUS | MAP_FIXED_NOREPLACE, 0x301000},
		{LAYOUT_USER_END - 4096, 4096, ANONYMOUS | MAP_FIXED, LAYOUT_USER_END - 4096},
		{0x10000, 4096, ANONYMOUS | MAP_FIXED, 0x10000},
		{0, 0x3fffb000, low, -ENOMEM},
		{0, UINT64_C(1) << 46, ANONYMOUS, BASE + PAGES(21)},
		{0, UINT64_C(1) << 46, ANONYMOUS, -ENOMEM},
	};
	struct world world;

	(void)state;
	world_begin(&world);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t result = CALL(&world, mmap, rows[i].address, rows[i].length, RW,
		                      rows[i].flags, NO_FILE, 0);

		if (result != rows[i].expected)
			fail_msg("row %zu: 0x%llx", i, (unsigned long long)result);
	}
	world_end(&world);
}

/* Terabytes that nobody may touch cost one entry and no call of the space. */
static void test_reservations(void **state)
{
	const uint64_t size = UINT64_C(64) << 40;
	struct world world;
	int64_t address;

	(void)state;
	world_begin(&world);
	address = CALL(&world, mmap, 0, size, PROT_NONE, ANONYMOUS | MAP_NORESERVE, NO_FILE, 0);
	assert_int_equal(address, BASE);
	assert_int_equal(CALL(&world, mprotect, BASE + size / 2, PAGES(4), RW), 0);
	assert_int_equal(CALL(&world, madvise, BASE, size / 4, MADV_DONTNEED), 0);
	assert_int_equal(range_count(&world), 3);
	assert_int_equal(mm_fault(&world.process, BASE + size / 2, SPACE_WRITE, true), 0);
	assert_int_equal(mm_fault(&world.process, BASE + size / 2 + PAGES(4), SPACE_READ, true),
	                 -EFAULT);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), -EFAULT);
	assert_int_equal(world.fake.unmaps + world.fake.protects, 0);
	assert_int_equal(CALL(&world, munmap, BASE, size / 2), 0);
	assert_int_equal(CALL(&world, mremap, BASE + size / 2 + PAGES(4), PAGES(8), PAGES(16),
	                      MREMAP_MAYMOVE),
	                 BASE);
	assert_int_equal(world.fake.unmaps + world.fake.protects + world.fake.moves, 0);
	assert_int_equal(CALL(&world, munmap, BASE, size), 0);
	assert_int_equal(world.fake.unmaps, 1);
	assert_int_equal(range_count(&world), 0);
	assert_int_equal(world.fake.count, 0);
	world_end(&world);
}

static void test_munmap(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 8, RW);
	assert_int_equal(CALL(&world, munmap, BASE, 0), -EINVAL);
	assert_int_equal(CALL(&world, munmap, BASE + 1, PAGES(1)), -EINVAL);
	assert_int_equal(CALL(&world, munmap, BASE, UINT64_MAX), -EINVAL);
	assert_int_equal(CALL(&world, munmap, BASE, UINT64_MAX - PAGES(1)), -EINVAL);
	assert_int_equal(CALL(&world, munmap, LAYOUT_USER_END, PAGES(1)), -EINVAL);
	assert_int_equal(CALL(&world, munmap, LAYOUT_KERNEL, PAGES(1)), -EINVAL);
	assert_int_equal(CALL(&world, munmap, BASE - PAGES(4), PAGES(4)), 0);
	assert_int_equal(CALL(&world, munmap, 0, PAGES(4)), 0);
	assert_int_equal(range_at(&world, BASE)->end, BASE + PAGES(8));
	assert_int_equal(CALL(&world, munmap, BASE + PAGES(2), PAGES(1) + 1), 0);
	assert_int_equal(range_count(&world), 2);
	assert_int_equal(range_at(&world, BASE)->end, BASE + PAGES(2));
	assert_int_equal(range_at(&world, BASE + PAGES(4))->start, BASE + PAGES(4));
	world_end(&world);
}

static void test_mprotect(void **state)
{
	const uint64_t both = PROT_GROWSDOWN | PROT_GROWSUP;
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 8, RW);
	assert_int_equal(CALL(&world, mprotect, BASE + 1, PAGES(1), PROT_READ), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), 0x10), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), UINT64_C(1) << 40), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), both | PROT_READ), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), PROT_GROWSUP | PROT_READ), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), PROT_GROWSDOWN | PROT_READ), -EINVAL);
	assert_int_equal(CALL(&world, mprotect, BASE, UINT64_MAX, PROT_READ), -ENOMEM);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(9), PROT_READ), -ENOMEM);
	assert_int_equal(CALL(&world, mprotect, BASE - PAGES(1), PAGES(2), PROT_READ), -ENOMEM);
	assert_int_equal(CALL(&world, mprotect, LAYOUT_KERNEL, PAGES(2), PROT_READ), -ENOMEM);
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(100), 0, PROT_READ), 0);
	assert_int_equal(range_count(&world), 1);
	assert_int_equal(world.fake.protects, 0);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(8), RW), 0);
	assert_int_equal(world.fake.protects, 0);
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(2), 1, PROT_READ | 8), 0);
	assert_int_equal(range_count(&world), 3);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(2), SPACE_WRITE, true), -EFAULT);
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(2), PAGES(1), RW), 0);
	assert_int_equal(range_count(&world), 1);
	/* A JIT may have memory that is writable and executable, as on Linux. */
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(8), RW | PROT_EXEC), 0);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_EXECUTE, true), 0);
	world_end(&world);
}

static void test_mprotect_of_stack(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	assert_int_equal(CALL(&world, mmap, BASE, PAGES(8), RW,
	                      ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NO_FILE, 0),
	                 BASE);
	assert_int_equal(
		CALL(&world, mprotect, BASE + PAGES(6), PAGES(1), RW | PROT_EXEC | PROT_GROWSDOWN),
		0);
	assert_int_equal(range_at(&world, BASE)->end, BASE + PAGES(7));
	assert_int_equal(range_at(&world, BASE)->protection, RW | PROT_EXEC);
	assert_int_equal(range_at(&world, BASE + PAGES(7))->protection, RW);
	assert_int_equal(CALL(&world, mprotect, BASE - PAGES(1), PAGES(1), RW | PROT_GROWSDOWN),
	                 -ENOMEM);
	world_end(&world);
}

/* MAP_SHARED of a file that nobody opened for writing. */
static void test_shared_file(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, sizeof(content));
	assert_int_equal(CALL(&world, mmap, 0, PAGES(4), PROT_READ, MAP_SHARED, 1, PAGES(2)), BASE);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), RW), -EACCES);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), PROT_READ | PROT_EXEC), 0);
	assert_int_equal(CALL(&world, mmap, 0, PAGES(4), RW, MAP_SHARED | MAP_ANONYMOUS, NO_FILE, 0),
	                 BASE + PAGES(4));
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(4), PAGES(4), PROT_READ), 0);
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(4), PAGES(4), RW), 0);
	world_end(&world);
	fake_file_close(1);
}

/* The clock's page and the vDSO behind it. */
static void test_clock(void **state)
{
	const uint64_t page = BASE + PAGES(10), text = page + PAGE_SIZE;
	const uint64_t read_execute = PROT_READ | PROT_EXEC;
	struct world world;

	(void)state;
	world_begin(&world);
	assert_int_equal(mm_map_clock(&world.process, page), 0);
	assert_int_equal(range_at(&world, page)->protection, SPACE_READ);
	assert_int_equal(range_at(&world, text)->protection, SPACE_READ | SPACE_EXECUTE);
	assert_int_equal(mm_fault(&world.process, page, SPACE_READ, true), 0);
	assert_int_equal(mm_fault(&world.process, page, SPACE_WRITE, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, page, SPACE_EXECUTE, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, text, SPACE_WRITE, true), -EFAULT);
	assert_int_equal(CALL(&world, mprotect, page, PAGE_SIZE, RW), -EACCES);
	assert_int_equal(CALL(&world, mprotect, page, PAGE_SIZE, read_execute), -EACCES);
	assert_int_equal(CALL(&world, mprotect, text, PAGE_SIZE, RW), -EACCES);
	assert_int_equal(CALL(&world, mprotect, page, PAGES(2), PROT_NONE), 0);
	assert_int_equal(CALL(&world, mprotect, page, PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(CALL(&world, mprotect, text, PAGE_SIZE, read_execute), 0);
	assert_int_equal(CALL(&world, madvise, page, PAGES(2), MADV_DONTNEED), -EINVAL);
	assert_int_equal(CALL(&world, madvise, text, PAGE_SIZE, MADV_FREE), -EINVAL);
	assert_int_equal(CALL(&world, madvise, page, PAGES(2), MADV_WILLNEED), 0);
	assert_int_equal(CALL(&world, mremap, text, PAGE_SIZE, PAGES(2), MREMAP_MAYMOVE), -EFAULT);
	assert_int_equal(CALL(&world, mremap, page, 0, PAGE_SIZE, MREMAP_MAYMOVE), -EINVAL);
	assert_int_equal(
		CALL(&world, mremap, page, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, BASE),
		-EFAULT);
	assert_int_equal(CALL(&world, mremap, page, PAGE_SIZE, PAGE_SIZE,
	                      MREMAP_MAYMOVE | MREMAP_FIXED, BASE),
	                 BASE);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGE_SIZE, RW), -EACCES);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), 0);
	assert_int_equal(mm_fault(&world.process, page, SPACE_READ, true), -EFAULT);
	assert_int_equal(CALL(&world, munmap, BASE, PAGE_SIZE), 0);
	map_at(&world, text, 1, RW);
	assert_int_equal(mm_fault(&world.process, text, SPACE_WRITE, true), 0);
	assert_int_equal(world.fake.space.frame_count, world.fake.count);
	world_end(&world);
}

static void test_zero_device(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, NULL, 0);
	fake_files[1].file->kind = FILE_ZERO;
	assert_int_equal(CALL(&world, mmap, 0, PAGES(4), RW, MAP_PRIVATE, 1, 0), BASE);
	assert_null(range_at(&world, BASE)->file);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_WRITE, true), 0);
	world_end(&world);
	fake_file_close(1);
}

/* mremap(2). */

static void test_mremap_errors(void **state)
{
	const struct {
		uint64_t from, length, new_length, flags, to;
		int result;
	} rows[] = {
		{BASE, PAGES(1), PAGES(2), 8, 0, -EINVAL},
		{BASE, PAGES(1), PAGES(2), UINT64_C(1) << 32, 0, -EINVAL},
		{BASE, PAGES(1), PAGES(1), MREMAP_DONTUNMAP, 0, -EINVAL},
		{BASE, PAGES(1), PAGES(1), MREMAP_DONTUNMAP | MREMAP_FIXED, BASE + PAGES(100),
	         -EINVAL},
		{BASE, PAGES(1), PAGES(2), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0, -EINVAL},
		{BASE, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 1, -EINVAL},
		{BASE, PAGES(1), PAGES(1), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, BASE, -EINVAL},
		{BASE, 0, 0, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0, -EINVAL},
		{BASE, 0, PAGES(1), MREMAP_MAYMOVE, 0, -EINVAL},
		{BASE, PAGES(1), PAGES(2), MREMAP_FIXED, BASE + PAGES(100), -EINVAL},
		{BASE + 1, PAGES(1), PAGES(2), MREMAP_MAYMOVE, 0, -EINVAL},
		{BASE, PAGES(1), 0, MREMAP_MAYMOVE, 0, -EINVAL},
		{BASE, PAGES(1), UINT64_MAX, MREMAP_MAYMOVE, 0, -EINVAL},
		{BASE, 0, PAGES(1), MREMAP_MAYMOVE, 0, -EINVAL},
		{BASE, UINT64_MAX, PAGES(1), 0, 0, -EINVAL},
		{BASE, PAGES(9), PAGES(10), MREMAP_MAYMOVE, 0, -EFAULT},
		{BASE - PAGES(1), PAGES(2), PAGES(3), MREMAP_MAYMOVE, 0, -EFAULT},
		{LAYOUT_KERNEL, PAGES(1), PAGES(3), MREMAP_MAYMOVE, 0, -EFAULT},
		{BASE, UINT64_C(1) << 63, UINT64_C(3) << 62, MREMAP_MAYMOVE, 0, -EFAULT},
		{BASE, PAGES(8), PAGES(10), 0, 0, -ENOMEM},
		{BASE, PAGES(8), UINT64_C(1) << 62, MREMAP_MAYMOVE, 0, -ENOMEM},
		{BASE, PAGES(8), UINT64_C(1) << 46, 0, 0, -ENOMEM},
		{BASE, PAGES(4), PAGES(5), 0, 0, -ENOMEM},
		{BASE, PAGES(1), PAGES(1), 3, BASE + 1, -EINVAL},
		{BASE, PAGES(1), PAGES(1), 3, BASE, -EINVAL},
		{BASE, PAGES(2), PAGES(2), 3, BASE + PAGES(1), -EINVAL},
		{BASE + PAGES(4), PAGES(1), PAGES(5), 3, BASE, -EINVAL},
		{BASE, PAGES(1), PAGES(1), 3, LAYOUT_USER_END, -EINVAL},
		{BASE, PAGES(1), PAGES(2), 3, LAYOUT_USER_END - PAGES(1), -EINVAL},
		{BASE, PAGES(1), PAGES(2), 3, UINT64_MAX - 4095, -EINVAL},
		{BASE, PAGES(1), PAGES(1), 3, 0xf000, -EPERM},
		{BASE + PAGES(100), PAGES(1), PAGES(1), 3, BASE, -EFAULT},
		{BASE, PAGES(9), PAGES(9), 3, BASE + PAGES(100), -EFAULT},
	};
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 8, RW);
	map_at(&world, BASE + PAGES(9), 1, RW);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t result = CALL(&world, mremap, rows[i].from, rows[i].length,
		                      rows[i].new_length, rows[i].flags, rows[i].to);

		if (result != rows[i].result)
			fail_msg("row %zu: %lld", i, (long long)result);
		assert_int_equal(range_count(&world), 2);
		assert_int_equal(range_at(&world, BASE)->end, BASE + PAGES(8));
	}
	world_end(&world);
}

static void test_mremap(void **state)
{
	uint64_t word = 42;
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, RW);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(3), &word, sizeof(word)), 0);
	/* In place, shorter, and away. */
	assert_int_equal(CALL(&world, mremap, BASE, PAGES(4), PAGES(6), 0), BASE);
	assert_int_equal(CALL(&world, mremap, BASE, PAGES(6), PAGES(5), 0), BASE);
	assert_int_equal(range_at(&world, BASE)->end, BASE + PAGES(5));
	map_at(&world, BASE + PAGES(5), 1, PROT_READ);
	assert_int_equal(CALL(&world, mremap, BASE, PAGES(5), PAGES(8), MREMAP_MAYMOVE),
	                 BASE + PAGES(6));
	assert_null(range_at(&world, BASE));
	word = 0;
	assert_int_equal(guest_read(&world.process, BASE + PAGES(9), &word, sizeof(word)), 0);
	assert_int_equal(word, 42);
	/* In place of another; the part that is cut off goes, too. */
	assert_int_equal(CALL(&world, mremap, BASE + PAGES(9), PAGES(4), PAGES(2), 3, BASE + PAGES(5)),
	                 BASE + PAGES(5));
	assert_int_equal(guest_read(&world.process, BASE + PAGES(5), &word, sizeof(word)), 0);
	assert_int_equal(word, 42);
	assert_int_equal(range_at(&world, BASE + PAGES(5))->end, BASE + PAGES(9));
	assert_null(range_at(&world, BASE + PAGES(9)));
	assert_non_null(range_at(&world, BASE + PAGES(13)));
	world_end(&world);
}

static void test_mremap_of_file(void **state)
{
	uint8_t byte;
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, sizeof(content));
	assert_int_equal(CALL(&world, mmap, 0, PAGES(2), PROT_READ, MAP_PRIVATE, 1, PAGES(3)), BASE);
	assert_int_equal(CALL(&world, mremap, BASE, PAGES(2), PAGES(4), 0), BASE);
	assert_int_equal(
		CALL(&world, mremap, BASE + PAGES(1), PAGES(1), PAGES(1), 3, BASE + PAGES(10)),
		BASE + PAGES(10));
	assert_int_equal(range_at(&world, BASE + PAGES(10))->offset, PAGES(4));
	assert_int_equal(range_at(&world, BASE + PAGES(2))->offset, PAGES(5));
	assert_int_equal(guest_read(&world.process, BASE + PAGES(10) + 7, &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(4) + 7]);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(3) + 7, &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(6) + 7]);
	/* Not further than offsets can be. */
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(20), PAGES(1), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED, 1, INT64_MAX - 4095),
	                 BASE + PAGES(20));
	assert_int_equal(CALL(&world, mremap, BASE + PAGES(20), PAGES(1), PAGES(2), 0), -ENOMEM);
	assert_int_equal(CALL(&world, mremap, BASE + PAGES(20), PAGES(1), PAGES(2), 1), -EINVAL);
	world_end(&world);
	fake_file_close(1);
}

/* As the page would be, and it is as little there as before. */
static void test_peek_brings_nothing_in(void **state)
{
	uint64_t words[2] = {1, 2};
	uint8_t bytes[32];
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, sizeof(content));
	map_at(&world, BASE, 2, RW);
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(2), PAGES(1), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, 1, PAGES(1)),
	                 BASE + PAGES(2));
	map_at(&world, BASE + PAGES(4), 1, 0);
	assert_int_equal(guest_peek(&world.process, BASE + PAGES(1), words, 16), 16);
	assert_int_equal(words[0] | words[1], 0);
	assert_int_equal(guest_peek(&world.process, BASE + PAGES(2) - 8, bytes, 32), 32);
	assert_int_equal(bytes[7], 0);
	assert_memory_equal(bytes + 8, content + PAGES(1), 24);
	assert_int_equal(guest_peek(&world.process, BASE + PAGES(3) - 3, bytes, 32), 3);
	assert_int_equal(guest_peek(&world.process, BASE + PAGES(4), bytes, 32), 0);
	assert_int_equal(guest_peek(&world.process, LAYOUT_USER_END - 1, bytes, 32), 0);
	assert_int_equal(guest_peek(&world.process, UINT64_MAX, bytes, 32), 0);
	assert_int_equal(world.fake.count, 0);
	words[0] = 42;
	assert_int_equal(guest_write(&world.process, BASE, words, sizeof(words)), 0);
	words[0] = 0;
	assert_int_equal(guest_peek(&world.process, BASE, words, sizeof(words)), 16);
	assert_int_equal(words[0], 42);
	world_end(&world);
	fake_file_close(1);
}

/* What only the map itself sees does not make two mappings of one. */
static void test_mremap_of_pieces(void **state)
{
	struct world master, fork;

	(void)state;
	world_begin(&master);
	map_at(&master, BASE, 8, RW);
	world_freeze(&master);
	world_fork(&fork, &master);
	assert_int_equal(CALL(&fork, mprotect, BASE + PAGES(2), PAGES(2), PROT_READ), 0);
	assert_int_equal(CALL(&fork, mprotect, BASE + PAGES(2), PAGES(2), RW), 0);
	assert_int_equal(range_count(&fork), 3);
	assert_int_equal(CALL(&fork, mremap, BASE, PAGES(8), PAGES(16), MREMAP_MAYMOVE), BASE);
	map_at(&fork, BASE + PAGES(16), 1, PROT_NONE);
	assert_int_equal(CALL(&fork, mremap, BASE + PAGES(1), PAGES(15), PAGES(20), MREMAP_MAYMOVE),
	                 BASE + PAGES(17));
	assert_int_equal(range_at(&fork, BASE + PAGES(17))->end, BASE + PAGES(37));
	assert_int_equal(range_count(&master), 1);
	world_end(&fork);
	world_end(&master);
}

/* Pages that nobody may use now go along with those that nobody ever might. */
static void test_mremap_of_inaccessible_pieces(void **state)
{
	uint64_t word = 42;
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, PROT_NONE);
	map_at(&world, BASE + PAGES(4), 4, RW);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(5), &word, sizeof(word)), 0);
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(4), PAGES(4), PROT_NONE), 0);
	assert_int_equal(CALL(&world, mremap, BASE, PAGES(8), PAGES(8), 3, BASE + PAGES(20)),
	                 BASE + PAGES(20));
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(20), PAGES(8), RW), 0);
	word = 0;
	assert_int_equal(guest_read(&world.process, BASE + PAGES(25), &word, sizeof(word)), 0);
	assert_int_equal(word, 42);
	world_end(&world);
}

/* brk(2). */

static void test_brk(void **state)
{
	const uint64_t start = 0x200000;
	struct world world;

	(void)state;
	world_begin(&world);
	assert_int_equal(CALL(&world, brk, 0), 0);
	assert_int_equal(CALL(&world, brk, start), 0);
	assert_int_equal(mm_set_brk(&world.process, start), 0);
	assert_int_equal(CALL(&world, brk, 0), start);
	assert_int_equal(CALL(&world, brk, start - 1), start);
	assert_int_equal(CALL(&world, brk, UINT64_MAX), start);
	assert_int_equal(CALL(&world, brk, UINT64_C(1) << 63), start);
	assert_int_equal(CALL(&world, brk, LAYOUT_LOW_END + 1), start);
	assert_int_equal(CALL(&world, brk, start + 1), start + 1);
	assert_int_equal(range_at(&world, start)->end, start + PAGES(1));
	assert_int_equal(CALL(&world, brk, start + PAGES(1)), start + PAGES(1));
	assert_int_equal(CALL(&world, brk, start + PAGES(3) - 5), start + PAGES(3) - 5);
	assert_int_equal(range_at(&world, start)->end, start + PAGES(3));
	assert_int_equal(mm_fault(&world.process, start + PAGES(2), SPACE_WRITE, true), 0);
	assert_int_equal(CALL(&world, brk, start + 1), start + 1);
	assert_int_equal(range_at(&world, start)->end, start + PAGES(1));
	assert_false(present(&world, start + PAGES(2)));
	/* Up to one page below what follows. */
	map_at(&world, start + PAGES(10), 1, PROT_NONE);
	assert_int_equal(CALL(&world, brk, start + PAGES(9) + 1), start + 1);
	assert_int_equal(CALL(&world, brk, start + PAGES(9)), start + PAGES(9));
	assert_int_equal(CALL(&world, brk, start), start);
	assert_null(range_at(&world, start));
	assert_int_equal(CALL(&world, munmap, start + PAGES(10), PAGES(1)), 0);
	assert_int_equal(CALL(&world, brk, LAYOUT_LOW_END), LAYOUT_LOW_END);
	world_end(&world);
}

/* madvise(2), msync(2), mincore(2), mlock(2). */

static void test_madvise(void **state)
{
	uint64_t word = 42;
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, RW);
	map_at(&world, BASE + PAGES(5), 1, RW);
	assert_int_equal(CALL(&world, madvise, BASE + 1, PAGES(1), MADV_DONTNEED), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, UINT64_MAX, MADV_DONTNEED), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, UINT64_MAX - BASE, MADV_DONTNEED), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), 5), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), 26), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), UINT32_MAX), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), MADV_HWPOISON), -EPERM);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), MADV_REMOVE), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE + PAGES(4000), PAGES(1), MADV_REMOVE), -ENOMEM);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1), MADV_WIPEONFORK), 0);
	assert_int_equal(CALL(&world, madvise, BASE, 0, MADV_DONTNEED), 0);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_HUGEPAGE), 0);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(5), MADV_WILLNEED), -ENOMEM);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(1), &word, sizeof(word)), 0);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(2), &word, sizeof(word)), 0);
	assert_int_equal(CALL(&world, madvise, BASE + PAGES(2), PAGES(1), MADV_DONTNEED), 0);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(2), &word, sizeof(word)), 0);
	assert_int_equal(word, 0);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(1), &word, sizeof(word)), 0);
	assert_int_equal(word, 42);
	/* Done, and the hole is told. */
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(6), MADV_DONTNEED), -ENOMEM);
	assert_int_equal(world.fake.count, 0);
	assert_int_equal(CALL(&world, madvise, LAYOUT_KERNEL, PAGES(1), MADV_DONTNEED), -ENOMEM);
	world_end(&world);
}

static void test_madvise_of_file(void **state)
{
	uint8_t byte = 77;
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, PAGES(3));
	assert_int_equal(CALL(&world, mmap, 0, PAGES(4), RW, MAP_PRIVATE, 1, 0), BASE);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_FREE), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_REMOVE), -EACCES);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_WIPEONFORK), -EINVAL);
	assert_int_equal(guest_write(&world.process, BASE + 5, &byte, 1), 0);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_DONTNEED), 0);
	assert_int_equal(guest_read(&world.process, BASE + 5, &byte, 1), 0);
	assert_int_equal(byte, content[5]);
	/* The last page lies beyond the end. */
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(4), MADV_POPULATE_READ), -EFAULT);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(3), MADV_POPULATE_WRITE), 0);
	world_end(&world);
	fake_file_close(1);
}

static void test_populate(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	assert_int_equal(CALL(&world, mmap, BASE, 4097, PROT_READ,
	                      ANONYMOUS | MAP_FIXED | MAP_POPULATE, NO_FILE, 0),
	                 BASE);
	assert_present(&world, BASE, BASE + PAGES(2));
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(2), MADV_POPULATE_WRITE), -EINVAL);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(3), MADV_POPULATE_READ), -ENOMEM);
	map_at(&world, BASE + PAGES(2), 1000, RW);
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1002), MADV_POPULATE_READ), 0);
	assert_present(&world, BASE, BASE + PAGES(1002));
	/* It fails where the limit is, and mmap(2) does not tell. */
	world.fake.space.page_limit = 2000;
	assert_int_equal(
		CALL(&world, mmap, 0, UINT64_C(1) << 40, RW, ANONYMOUS | MAP_POPULATE, NO_FILE, 0),
		BASE + PAGES(1002));
	assert_int_equal(world.fake.count, 2000);
	assert_int_equal(CALL(&world, madvise, BASE, UINT64_C(1) << 40, MADV_POPULATE_WRITE),
	                 -EINVAL);
	assert_int_equal(
		CALL(&world, madvise, BASE + PAGES(2), UINT64_C(1) << 40, MADV_POPULATE_WRITE),
		-ENOMEM);
	world_end(&world);
}

/* A guest cannot hold the host's thread longer than its time. */
static void test_deadline(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 1 << 20, RW);
	world.process.deadline = 1;
	assert_int_equal(CALL(&world, madvise, BASE, PAGES(1 << 20), MADV_POPULATE_WRITE), -EINTR);
	assert_int_equal(world.process.end, PROCESS_TIMED_OUT);
	assert_true(world.fake.count <= 512);
	world.process.end = PROCESS_RUNS;
	assert_int_equal(CALL(&world, mincore, BASE, PAGES(1 << 20), BASE), -EINTR);
	assert_int_equal(world.process.end, PROCESS_TIMED_OUT);
	world_end(&world);
}

static void test_msync_mlock(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, PROT_NONE);
	assert_int_equal(CALL(&world, msync, BASE, PAGES(4), MS_SYNC), 0);
	assert_int_equal(CALL(&world, msync, BASE, PAGES(4), 0), 0);
	assert_int_equal(CALL(&world, msync, BASE + PAGES(9), 0, 0), 0);
	assert_int_equal(CALL(&world, msync, BASE, PAGES(4), MS_SYNC | MS_ASYNC), -EINVAL);
	assert_int_equal(CALL(&world, msync, BASE, PAGES(4), 8), -EINVAL);
	assert_int_equal(CALL(&world, msync, BASE + 1, PAGES(1), MS_SYNC), -EINVAL);
	assert_int_equal(CALL(&world, msync, BASE, PAGES(5), MS_SYNC), -ENOMEM);
	assert_int_equal(CALL(&world, msync, BASE, UINT64_MAX, MS_SYNC), 0);
	assert_int_equal(CALL(&world, msync, BASE, UINT64_MAX - 4095, MS_SYNC), -ENOMEM);
	assert_int_equal(CALL(&world, mlock, BASE + 5, PAGES(4) - 5), 0);
	assert_int_equal(CALL(&world, mlock, BASE + 5, PAGES(4)), -ENOMEM);
	assert_int_equal(CALL(&world, mlock, BASE, UINT64_MAX), 0);
	assert_int_equal(CALL(&world, mlock, BASE, UINT64_MAX - 4095), -EINVAL);
	assert_int_equal(CALL(&world, mlock, BASE + PAGES(8), 0), 0);
	assert_int_equal(CALL(&world, mlock2, BASE, PAGES(4), 1), 0);
	assert_int_equal(CALL(&world, mlock2, BASE, PAGES(4), 2), -EINVAL);
	assert_int_equal(CALL(&world, munlock, BASE, PAGES(5)), -ENOMEM);
	assert_int_equal(CALL(&world, munlock, BASE, PAGES(4)), 0);
	assert_int_equal(CALL(&world, mlockall, 0), -EINVAL);
	assert_int_equal(CALL(&world, mlockall, MCL_ONFAULT), -EINVAL);
	assert_int_equal(CALL(&world, mlockall, 8), -EINVAL);
	assert_int_equal(CALL(&world, mlockall, MCL_CURRENT | MCL_FUTURE), 0);
	assert_int_equal(CALL(&world, munlockall, 0), 0);
	world_end(&world);
}

static void test_mincore(void **state)
{
	uint8_t vector[40];
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 40, RW);
	map_at(&world, BASE + PAGES(100), 1, RW);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(8), SPACE_READ, true), 0);
	assert_int_equal(CALL(&world, mincore, BASE, PAGES(40) - 1, BASE + PAGES(100)), 0);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(100), vector, sizeof(vector)), 0);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(vector[i], 1);
	map_at(&world, BASE + PAGES(1000), 5000, RW);
	assert_int_equal(CALL(&world, mincore, BASE + PAGES(1000), PAGES(5000), BASE + PAGES(10)), 0);
	/* To the last page, and no byte further; whether a page was touched is not told. */
	assert_int_equal(guest_read(&world.process, BASE + PAGES(10) + 4990, vector, 11), 0);
	for (unsigned i = 0; i < 11; i++)
		assert_int_equal(vector[i], i <= 9);
	assert_int_equal(CALL(&world, mincore, BASE + 1, PAGES(1), BASE), -EINVAL);
	assert_int_equal(CALL(&world, mincore, BASE, PAGES(41), BASE), -ENOMEM);
	assert_int_equal(CALL(&world, mincore, BASE, UINT64_MAX, BASE), -ENOMEM);
	assert_int_equal(CALL(&world, mincore, LAYOUT_KERNEL, PAGES(1), BASE), -ENOMEM);
	assert_int_equal(CALL(&world, mincore, BASE, PAGES(1), BASE + PAGES(200)), -EFAULT);
	assert_int_equal(CALL(&world, mincore, BASE, PAGES(1), UINT64_MAX), -EFAULT);
	assert_int_equal(CALL(&world, mincore, BASE, 0, BASE), 0);
	world_end(&world);
}

/* Page faults: which pages come. */

static void test_fault_windows(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 100, RW);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(10) + 123, SPACE_READ, true), 0);
	assert_present(&world, BASE + PAGES(10), BASE + PAGES(42));
	/* To what is there, and to the mapping's end. */
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(3), SPACE_WRITE, true), 0);
	assert_present(&world, BASE + PAGES(3), BASE + PAGES(42));
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(99), SPACE_WRITE, true), 0);
	assert_true(present(&world, BASE + PAGES(99)));
	assert_int_equal(world.fake.count, 40);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(100), SPACE_READ, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, BASE - 1, SPACE_READ, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_EXECUTE, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, UINT64_MAX, SPACE_READ, true), -EFAULT);
	world_end(&world);
}

static void test_fault_stack(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	assert_int_equal(CALL(&world, mmap, BASE, PAGES(100), RW,
	                      ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NO_FILE, 0),
	                 BASE);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(99), SPACE_WRITE, true), 0);
	assert_present(&world, BASE + PAGES(68), BASE + PAGES(100));
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(5), SPACE_WRITE, true), 0);
	assert_true(present(&world, BASE));
	assert_false(present(&world, BASE + PAGES(6)));
	world_end(&world);
}

static void test_fault_file(void **state)
{
	struct world world;
	uint8_t byte;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, PAGES(90) + 100);
	assert_int_equal(
		CALL(&world, mmap, 0, PAGES(128), PROT_READ, MAP_PRIVATE | MAP_NORESERVE, 1, 0),
		BASE);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(50), SPACE_READ, true), 0);
	assert_present(&world, BASE, BASE + PAGES(64));
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(70), SPACE_READ, true), 0);
	assert_present(&world, BASE, BASE + PAGES(91));
	for (uint64_t i = 0; i < PAGES(91); i += 61) {
		assert_int_equal(guest_read(&world.process, BASE + i, &byte, 1), 0);
		assert_int_equal(byte, i < PAGES(90) + 100 ? content[i] : 0);
	}
	/* SIGBUS: nothing of the file is in that page. */
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(91), SPACE_READ, true), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(91), &byte, 1), -EFAULT);
	assert_int_equal(world.fake.count, 91);
	assert_false(world.fake.space.rebuild);
	world_end(&world);
	fake_file_close(1);
}

/* A file that shrinks or cannot be read: an error, and no page that looks read. */
static void test_fault_bad_file(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, PAGES(90));
	assert_int_equal(
		CALL(&world, mmap, 0, PAGES(90), PROT_READ, MAP_PRIVATE | MAP_NORESERVE, 1, 0), BASE);
	fake_files[1].error = -EIO;
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), -EFAULT);
	assert_int_equal(world.fake.count, 0);
	fake_files[1].error = 0;
	fake_files[1].size = 0;
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), -EFAULT);
	assert_int_equal(world.fake.count, 0);
	fake_files[1].size = PAGES(2);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), 0);
	assert_present(&world, BASE, BASE + PAGES(2));
	world_end(&world);
	fake_file_close(1);
}

static enum frame_fate fate_at(const struct world *world, uint64_t address)
{
	const struct fake_page *page = fake_page_at(&world->fake, address);

	assert_non_null(page);
	return page->fate;
}

static void test_fault_fork(void **state)
{
	struct world master, fork;
	uint64_t used;

	(void)state;
	world_begin(&master);
	fake_file_open(1, content, sizeof(content));
	map_at(&master, BASE, 100, RW);
	assert_int_equal(CALL(&master, mmap, BASE + PAGES(200), PAGES(100), RW,
	                      ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NO_FILE, 0),
	                 BASE + PAGES(200));
	assert_int_equal(CALL(&master, mmap, BASE + PAGES(400), PAGES(100), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, 1, 0),
	                 BASE + PAGES(400));
	assert_int_equal(CALL(&master, mmap, BASE + PAGES(510), PAGES(50), RW,
	                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, 1, 0),
	                 BASE + PAGES(510));
	assert_int_equal(mm_set_brk(&master.process, 0x200000), 0);
	assert_int_equal(CALL(&master, brk, 0x300000), 0x300000);
	assert_int_equal(mm_fault(&master.process, BASE, SPACE_READ, true), 0);
	world_freeze(&master);
	world_fork(&fork, &master);
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(40), SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.last_map_start, BASE + PAGES(40));
	assert_int_equal(fork.fake.last_map_length, PAGES(8));
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(299), SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.last_map_length, PAGES(1));
	assert_int_equal(mm_fault(&fork.process, 0x280000, SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.last_map_length, PAGES(1));
	assert_int_equal(fate_at(&fork, BASE + PAGES(40)), FRAME_RESTORED);
	assert_int_equal(fate_at(&fork, 0x280000), FRAME_RESTORED);
	/* A file's content that nobody can change may stay; what can be written goes. */
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(420), SPACE_READ, true), 0);
	assert_int_equal(fate_at(&fork, BASE + PAGES(420)), FRAME_KEPT);
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(520), SPACE_READ, true), 0);
	assert_int_equal(fate_at(&fork, BASE + PAGES(520)), FRAME_TAKEN);
	/* Reading where the master never was: zeros that cost no page. */
	used = fork.fake.space.frame_count;
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(60), SPACE_READ, true), 0);
	assert_int_equal(fork.fake.last_map_length, PAGES(8));
	assert_int_equal(fork.fake.space.frame_count, used);
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(60), SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.space.frame_count, used + 1);
	assert_false(fork.fake.space.rebuild);
	assert_int_equal(master.fake.count, 64);
	assert_ptr_equal(fork.process.mm, master.process.mm);
	world_end(&fork);
	world_end(&master);
	fake_file_close(1);
}

static void test_fault_copies(void **state)
{
	const uint64_t word = 1;
	uint64_t seen;
	struct world master, fork;

	(void)state;
	world_begin(&master);
	map_at(&master, BASE, 2, RW);
	map_at(&master, BASE + PAGES(2), 1, PROT_READ);
	assert_int_equal(mm_populate(&master.process, BASE, BASE + PAGES(3), SPACE_READ), 0);
	world_freeze(&master);
	world_fork(&fork, &master);
	assert_int_equal(mm_fault(&fork.process, BASE, SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.space.copied, 1);
	assert_int_equal(fork.fake.space.translations.extra, 0);
	/* Stale translations: the fault is the guest's own, the page is there. */
	assert_int_equal(mm_fault(&fork.process, BASE, SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.space.translations.extra, 1);
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(1), SPACE_READ, true), 0);
	assert_int_equal(fork.fake.space.translations.extra, 2);
	assert_int_equal(fork.fake.space.copied, 1);
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(2), SPACE_WRITE, true), -EFAULT);
	assert_int_equal(guest_write(&fork.process, BASE + PAGES(1), &word, sizeof(word)), 0);
	assert_int_equal(guest_read(&master.process, BASE + PAGES(1), &seen, sizeof(seen)), 0);
	assert_int_equal(seen, 0);
	world_end(&fork);
	world_end(&master);
}

/* Near the limit, the page that is needed comes without its neighbours. */
static void test_fault_limit(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	world.fake.space.page_limit = 3;
	map_at(&world, BASE, 100, RW);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mm_fault(&world.process, BASE + PAGES(3 * i), SPACE_WRITE, true), 0);
	assert_int_equal(world.fake.count, 3);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(20), SPACE_WRITE, true), -ENOMEM);
	assert_int_equal(world.fake.count, 3);
	world_end(&world);
}

/* What a fork adds to its master's mappings is not the master's: a reset cannot restore it. */
static void test_fault_added(void **state)
{
	static const unsigned ways = 3;
	struct world master, fork;

	(void)state;
	world_begin(&master);
	map_at(&master, BASE, 4, RW);
	assert_int_equal(mm_set_brk(&master.process, 0x200000), 0);
	assert_int_equal(CALL(&master, brk, 0x201000), 0x201000);
	world_freeze(&master);
	for (unsigned way = 0; way < ways; way++) {
		world_fork(&fork, &master);
		if (way == 0)
			assert_int_equal(CALL(&fork, mremap, BASE, PAGES(4), PAGES(8), 0), BASE);
		else if (way == 1)
			map_at(&fork, BASE + PAGES(4), 4, RW);
		else
			assert_int_equal(CALL(&fork, brk, 0x202000), 0x202000);
		assert_int_equal(
			mm_fault(&fork.process, way == 2 ? 0x200000 : BASE, SPACE_WRITE, true), 0);
		assert_int_equal(fate_at(&fork, way == 2 ? 0x200000 : BASE), FRAME_RESTORED);
		for (unsigned access = SPACE_READ; access <= SPACE_WRITE; access++) {
			uint64_t page = way == 2 ? 0x201000 : BASE + PAGES(4);

			assert_int_equal(mm_fault(&fork.process, page, access, true), 0);
			assert_int_equal(fate_at(&fork, page), FRAME_TAKEN);
		}
		assert_false(fork.fake.space.rebuild);
		world_end(&fork);
	}
	world_end(&master);
}

/* Copies. */

static void test_copies(void **state)
{
	static uint8_t out[PAGES(3)], in[PAGES(3)];
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, RW);
	map_at(&world, BASE + PAGES(4), 1, PROT_READ);
	map_at(&world, BASE + PAGES(5), 1, PROT_NONE);
	memcpy(out, content, sizeof(out));
	assert_int_equal(guest_write(&world.process, BASE + 100, out, sizeof(out)), 0);
	assert_int_equal(guest_read(&world.process, BASE + 100, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(guest_zero(&world.process, BASE + 200, PAGES(2)), 0);
	memset(out + 100, 0, PAGES(2));
	assert_int_equal(guest_read(&world.process, BASE + 100, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(guest_write(&world.process, BASE + PAGES(4) - 1, out, 2), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(5) - 1, in, 2), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(5) - 1, in, 1), 0);
	world_end(&world);
}

static void test_hostile_copies(void **state)
{
	static const uint64_t addresses[] = {0,
	                                     1,
	                                     LAYOUT_USER_END - 1,
	                                     LAYOUT_USER_END,
	                                     LAYOUT_ENTRY_DATA,
	                                     LAYOUT_KERNEL,
	                                     UINT64_MAX - 7,
	                                     UINT64_MAX};
	struct guest_piece pieces[2];
	uint8_t bytes[16];
	unsigned count;
	struct world world;

	(void)state;
	world_begin(&world);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		assert_int_equal(guest_read(&world.process, addresses[i], bytes, 16), -EFAULT);
		assert_int_equal(guest_write(&world.process, addresses[i], bytes, 16), -EFAULT);
		assert_int_equal(guest_zero(&world.process, addresses[i], 16), -EFAULT);
		assert_int_equal(guest_zero(&world.process, addresses[i], UINT64_MAX), -EFAULT);
		assert_int_equal(guest_read_string(&world.process, addresses[i], (char *)bytes, 16),
		                 -EFAULT);
		for (unsigned writing = 0; writing < 2; writing++) {
			assert_int_equal(guest_pieces(&world.process, addresses[i], 16, writing,
			                              pieces, 2, &count),
			                 -EFAULT);
			assert_int_equal(guest_pieces(&world.process, addresses[i], UINT64_MAX,
			                              writing, pieces, 2, &count),
			                 -EFAULT);
		}
	}
	/* Over the end of what is the user's. */
	map_at(&world, LAYOUT_USER_END - PAGE_SIZE, 1, RW);
	assert_int_equal(guest_read(&world.process, LAYOUT_USER_END - 8, bytes, 16), -EFAULT);
	assert_int_equal(guest_write(&world.process, LAYOUT_USER_END - 8, bytes, 16), -EFAULT);
	assert_int_equal(world.fake.count, 0);
	assert_int_equal(guest_read(&world.process, LAYOUT_USER_END - 8, bytes, 8), 0);
	assert_int_equal(
		guest_pieces(&world.process, LAYOUT_USER_END - 8, 16, true, pieces, 2, &count), 0);
	assert_int_equal(pieces[0].length, 8);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(guest_write(&world.process, LAYOUT_USER_END - 8, bytes, 8), 0);
	assert_int_equal(guest_read_string(&world.process, LAYOUT_USER_END - 8, (char *)bytes, 16),
	                 -EFAULT);
	assert_int_equal(guest_read(&world.process, 0, bytes, 0), 0);
	assert_int_equal(guest_write(&world.process, 0, NULL, 0), 0);
	assert_int_equal(guest_zero(&world.process, 0, 0), 0);
	assert_int_equal(guest_pieces(&world.process, 0, 0, true, pieces, 2, &count), 0);
	assert_int_equal(count, 0);
	world_end(&world);
}

static void test_strings(void **state)
{
	char text[64];
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 2, RW);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(1) - 4, "abcdefgh", 9), 0);
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(1) - 4, text, sizeof(text)),
	                 8);
	assert_string_equal(text, "abcdefgh");
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(1) - 4, text, 9), 8);
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(1) - 4, text, 8),
	                 -ENAMETOOLONG);
	assert_int_equal(guest_read_string(&world.process, BASE, text, 1), 0);
	assert_int_equal(guest_read_string(&world.process, BASE, text, 0), -ENAMETOOLONG);
	memset(text, 'x', sizeof(text));
	assert_int_equal(guest_write(&world.process, BASE + PAGES(2) - 10, text, 10), 0);
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(2) - 10, text, 64), -EFAULT);
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(2) - 10, text, 10),
	                 -ENAMETOOLONG);
	/* It ends with the memory. */
	assert_int_equal(guest_write(&world.process, BASE + PAGES(2) - 1, "", 1), 0);
	assert_int_equal(guest_read_string(&world.process, BASE + PAGES(2) - 10, text, 64), 9);
	world_end(&world);
}

static void check_pieces(struct world *world, uint64_t address, const struct guest_piece *pieces,
                         unsigned count, uint64_t expected)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < count; i++) {
		assert_true(pieces[i].length > 0);
		for (uint64_t j = 0; j < pieces[i].length; j += 97) {
			const struct fake_page *page = fake_page_at(&world->fake, address + done + j);

			assert_ptr_equal((uint8_t *)pieces[i].host + j,
			                 page->bytes + ((address + done + j) & (PAGE_SIZE - 1)));
		}
		done += pieces[i].length;
	}
	assert_int_equal(done, expected);
}

static void test_pieces(void **state)
{
	struct guest_piece pieces[100];
	unsigned count;
	struct world world;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 200, RW);
	map_at(&world, BASE + PAGES(4), 1, PROT_READ);
	assert_int_equal(guest_pieces(&world.process, BASE + 10, 100, true, pieces, 1, &count), 0);
	check_pieces(&world, BASE + 10, pieces, count, 100);
	/* Up to what can be written; all of it can be read. */
	assert_int_equal(
		guest_pieces(&world.process, BASE + 10, PAGES(6), true, pieces, 100, &count), 0);
	check_pieces(&world, BASE + 10, pieces, count, PAGES(4) - 10);
	assert_int_equal(
		guest_pieces(&world.process, BASE + 10, PAGES(6), false, pieces, 100, &count), 0);
	check_pieces(&world, BASE + 10, pieces, count, PAGES(6));
	assert_int_equal(guest_pieces(&world.process, BASE + PAGES(4), 1, true, pieces, 100, &count),
	                 -EFAULT);
	assert_int_equal(count, 0);
	/* No more than asked for, and no more than a quarter of a megabyte. */
	assert_int_equal(guest_pieces(&world.process, BASE, PAGES(3), false, pieces, 2, &count), 0);
	assert_in_range(count, 1, 2);
	assert_int_equal(guest_pieces(&world.process, BASE + PAGES(5), PAGES(150), true, pieces,
	                              100, &count),
	                 0);
	check_pieces(&world, BASE + PAGES(5), pieces, count, PAGES(64));
	assert_int_equal(guest_pieces(&world.process, BASE + PAGES(5), UINT64_MAX, true, pieces,
	                              100, &count),
	                 0);
	world.fake.space.page_limit = world.fake.count;
	assert_int_equal(guest_pieces(&world.process, BASE + PAGES(190), 1, true, pieces, 100, &count),
	                 -ENOMEM);
	world_end(&world);
}

/* The memory of a frozen master can be looked at, where it never was used, too. */
static void test_frozen_master(void **state)
{
	uint8_t bytes[PAGES(2)], zeros[PAGES(2)] = {0};
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, PAGES(2) + 10);
	map_at(&world, BASE, 4, RW);
	map_at(&world, BASE + PAGES(4), 1, PROT_NONE);
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(8), PAGES(4), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, 1, 0),
	                 BASE + PAGES(8));
	world_freeze(&world);
	memset(bytes, 1, sizeof(bytes));
	assert_int_equal(guest_read(&world.process, BASE + 10, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, zeros, sizeof(bytes));
	assert_int_equal(guest_read(&world.process, BASE + PAGES(8) + 5, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, content + 5, sizeof(bytes));
	assert_int_equal(guest_read(&world.process, BASE + PAGES(10) + 8, bytes, 4), 0);
	assert_memory_equal(bytes, content + PAGES(2) + 8, 2);
	assert_int_equal(bytes[2] + bytes[3], 0);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(11), bytes, 1), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(4), bytes, 1), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(5), bytes, 1), -EFAULT);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_READ, true), -EFAULT);
	fake_files[1].error = -EIO;
	assert_int_equal(guest_read(&world.process, BASE + PAGES(8), bytes, 1), -EFAULT);
	assert_int_equal(world.fake.count, 0);
	world_end(&world);
	fake_file_close(1);
}

/* A stack for calls belongs to the map, and goes with copies of it. */
static void test_call_stack(void **state)
{
	struct world master, fork;
	uint64_t start, end;

	(void)state;
	world_begin(&master);
	mm_set_call_stack(&master.process, 1000, 2000);
	assert_int_equal(mm_set_brk(&master.process, 0x200000), 0);
	world_freeze(&master);
	world_fork(&fork, &master);
	map_at(&fork, BASE, 1, RW);
	assert_ptr_not_equal(fork.process.mm, master.process.mm);
	mm_call_stack(&fork.process, &start, &end);
	assert_int_equal(start, 1000);
	assert_int_equal(end, 2000);
	assert_int_equal(CALL(&fork, brk, 0), 0x200000);
	world_end(&master);
	/* The last one with a map changes it in place. */
	map_at(&fork, BASE + PAGES(4), 1, RW);
	world_end(&fork);
}

/* What changes nothing copies nothing. */
static void test_sharing_is_kept(void **state)
{
	struct world master, fork;

	(void)state;
	world_begin(&master);
	map_at(&master, BASE, 4, RW);
	assert_int_equal(mm_set_brk(&master.process, 0x200000), 0);
	world_freeze(&master);
	world_fork(&fork, &master);
	assert_int_equal(CALL(&fork, mprotect, BASE, PAGES(4), RW), 0);
	assert_int_equal(CALL(&fork, munmap, BASE + PAGES(8), PAGES(4)), 0);
	assert_int_equal(CALL(&fork, brk, 0), 0x200000);
	assert_int_equal(CALL(&fork, brk, 0x200000), 0x200000);
	assert_int_equal(CALL(&fork, madvise, BASE, PAGES(4), MADV_DONTNEED), 0);
	assert_int_equal(mm_fault(&fork.process, BASE, SPACE_WRITE, true), 0);
	assert_ptr_equal(fork.process.mm, master.process.mm);
	world_end(&fork);
	world_end(&master);
	mm_release(NULL);
}

/* As many mappings as Linux allows, and what helps then still works. */
static void test_too_many_mappings(void **state)
{
	struct world world;
	uint64_t last = BASE + PAGES(2 * (RANGES_MAXIMUM - 2));

	(void)state;
	world_begin(&world);
	for (uint64_t i = 0; i < RANGES_MAXIMUM - 1; i++)
		map_at(&world, BASE + PAGES(2 * i), 1, PROT_NONE);
	map_at(&world, 0x200000, 4, RW);
	assert_int_equal(range_count(&world), RANGES_MAXIMUM);
	assert_int_equal(CALL(&world, mmap, 0x100000, PAGES(1), RW, ANONYMOUS, NO_FILE, 0), -ENOMEM);
	assert_int_equal(CALL(&world, munmap, 0x201000, PAGES(1)), -ENOMEM);
	assert_int_equal(CALL(&world, mprotect, 0x200000, PAGES(1), PROT_READ), -ENOMEM);
	assert_int_equal(CALL(&world, mremap, 0x200000, PAGES(1), PAGES(1), 3, 0x100000), -ENOMEM);
	assert_int_equal(range_count(&world), RANGES_MAXIMUM);
	assert_int_equal(CALL(&world, mprotect, 0x200000, PAGES(4), PROT_READ), 0);
	assert_int_equal(CALL(&world, munmap, 0x200000, PAGES(1)), 0);
	assert_int_equal(CALL(&world, munmap, last, PAGES(1)), 0);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(1), RW), 0);
	assert_int_equal(CALL(&world, munmap, 0x203000, PAGES(1)), 0);
	assert_int_equal(range_count(&world), RANGES_MAXIMUM - 1);
	assert_int_equal(CALL(&world, munmap, BASE, PAGES(2 * RANGES_MAXIMUM)), 0);
	assert_int_equal(range_count(&world), 1);
	world_end(&world);
}

/* Neighbours that mean the same become one, on both sides and of files, too. */
static void test_merging(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, sizeof(content));
	fake_file_open(2, content, sizeof(content));
	map_at(&world, BASE, 1, RW);
	map_at(&world, BASE + PAGES(2), 1, RW);
	map_at(&world, BASE + PAGES(1), 1, RW);
	assert_int_equal(range_count(&world), 1);
	for (uint64_t i = 4; i < 8; i++)
		assert_int_equal(CALL(&world, mmap, BASE + PAGES(i), PAGES(1), PROT_READ,
		                      MAP_PRIVATE | MAP_FIXED, 1, PAGES(i)),
		                 BASE + PAGES(i));
	assert_int_equal(range_count(&world), 2);
	assert_int_equal(fake_files[1].file->references, 2);
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(5), PAGES(1), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED, 1, PAGES(6)),
	                 BASE + PAGES(5));
	assert_int_equal(range_count(&world), 4);
	assert_int_equal(fake_files[1].file->references, 4);
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(5), PAGES(1), PROT_READ,
	                      MAP_PRIVATE | MAP_FIXED, 2, PAGES(5)),
	                 BASE + PAGES(5));
	assert_int_equal(range_count(&world), 4);
	assert_int_equal(CALL(&world, mmap, BASE + PAGES(5), PAGES(1), PROT_READ,
	                      MAP_SHARED | MAP_FIXED, 1, PAGES(5)),
	                 BASE + PAGES(5));
	assert_int_equal(range_count(&world), 4);
	world_end(&world);
	fake_file_close(1);
	fake_file_close(2);
}

/*
 * The model: what Linux would do, page by page, in three windows. The rest of
 * the address space is taken by ranges that the model never touches.
 */

#define WINDOWS 3
#define WINDOW_PAGES 48u
#define FILE_BYTES (PAGES(20) + 2000)

static const uint64_t window_start[WINDOWS] = {0x200000, 0x40000000, LAYOUT_MMAP_START};

struct model_page {
	bool mapped;
	unsigned protection;
	unsigned file; /* descriptor; 0: anonymous */
	uint64_t file_page;
	bool shared;
	uint64_t value; /* what was written to its first bytes; 0: nothing */
};

struct model {
	struct model_page page[WINDOWS][WINDOW_PAGES];
	uint64_t brk;
};

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

/* Pages from `address` on; NULL outside of the windows. */
static struct model_page *model_at(struct model *model, uint64_t address)
{
	for (unsigned i = 0; i < WINDOWS; i++)
		if (address >= window_start[i] && address < window_start[i] + PAGES(WINDOW_PAGES))
			return &model->page[i][(address - window_start[i]) >> PAGE_SHIFT];
	return NULL;
}

static bool model_free(struct model *model, uint64_t address, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		const struct model_page *page = model_at(model, address + PAGES(i));

		if (page == NULL || page->mapped)
			return false;
	}
	return true;
}

static bool model_covers(struct model *model, uint64_t address, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (!model_at(model, address + PAGES(i))->mapped)
			return false;
	return true;
}

static uint64_t model_gap(struct model *model, unsigned window, uint64_t pages)
{
	for (uint64_t i = 0; i + pages <= WINDOW_PAGES; i++)
		if (model_free(model, window_start[window] + PAGES(i), pages))
			return window_start[window] + PAGES(i);
	return (uint64_t)-ENOMEM;
}

static void model_unmap(struct model *model, uint64_t address, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		*model_at(model, address + PAGES(i)) = (struct model_page){0};
}

static void model_drop(struct model *model, uint64_t address, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		model_at(model, address + PAGES(i))->value = 0;
}

static bool model_same(const struct model_page *lower, const struct model_page *upper)
{
	return lower->mapped && upper->mapped && lower->protection == upper->protection &&
	       lower->file == upper->file && lower->shared == upper->shared &&
	       (lower->file == 0 || lower->file_page + 1 == upper->file_page);
}

/* Pages of the mapping from here on. */
static uint64_t model_mapping(struct model *model, uint64_t address)
{
	uint64_t pages = 1;
	struct model_page *page = model_at(model, address), *next;

	if (!page->mapped)
		return 0;
	while (next = model_at(model, address + PAGES(pages)),
	       next != NULL && model_same(page, next)) {
		page = next;
		pages++;
	}
	return pages;
}

static bool model_beyond_end(const struct model_page *page)
{
	return page->file != 0 && PAGES(page->file_page) >= FILE_BYTES;
}

static bool model_allows(const struct model_page *page, unsigned access)
{
	return page->mapped && (page->protection & access) != 0 && !model_beyond_end(page);
}

static void model_content(const struct model_page *page, uint8_t bytes[4096])
{
	memset(bytes, 0, 4096);
	if (page->file != 0)
		memcpy(bytes, content + PAGES(page->file_page),
		       min_u64(FILE_BYTES - PAGES(page->file_page), 4096));
	if (page->value != 0)
		memcpy(bytes, &page->value, sizeof(page->value));
}

/* Comparing: NULL, or what differs. */

static const char *compare_ranges(const struct world *world)
{
	const struct ranges *ranges = &world->process.mm->ranges;

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->array[i], *next = range + 1;

		if (range->start >= range->end || !is_aligned(range->start | range->end, PAGE_SIZE))
			return "a range is empty or not of pages";
		if ((range->flags & RANGE_RESERVED) != 0 && range->protection != 0)
			return "a reserved range is accessible";
		if (range->file == NULL && (range->offset != 0 || (range->flags & RANGE_SHARED) != 0))
			return "an anonymous range has an offset or is shared";
		if (i + 1 == ranges->count)
			break;
		if (range->end > next->start)
			return "ranges overlap or are not sorted";
		if (range->end == next->start && range->protection == next->protection &&
		    range->flags == next->flags && range->file == next->file &&
		    (range->file == NULL || range->offset + range->end - range->start == next->offset))
			return "neighbours are not merged";
	}
	return ranges->count <= ranges->capacity ? NULL : "more ranges than room";
}

static const char *compare_page(const struct world *world, const struct model_page *page,
                                uint64_t address)
{
	const struct fake_page *real = fake_page_at(&world->fake, address);
	const struct range *range = range_at(world, address);
	uint8_t bytes[4096];

	if (!page->mapped)
		return range != NULL  ? "mapped, but should not be"
		       : real != NULL ? "a page where nothing is mapped"
		                      : NULL;
	if (range == NULL)
		return "not mapped";
	if (range->protection != page->protection)
		return "wrong protection";
	if (range->file != fake_files[page->file].file ||
	    (range->file != NULL && range->offset + address - range->start != PAGES(page->file_page)))
		return "wrong file or offset";
	if (((range->flags & RANGE_SHARED) != 0) != page->shared)
		return "shared wrongly";
	if (real == NULL)
		return page->value != 0 ? "its content is lost" : NULL;
	if ((range->flags & RANGE_RESERVED) != 0)
		return "a page in a reserved range";
	if (real->protection != page->protection)
		return "the page's protection is not the range's";
	model_content(page, bytes);
	return memcmp(bytes, real->bytes, sizeof(bytes)) != 0 ? "wrong content" : NULL;
}

static const char *compare(struct world *world, struct model *model)
{
	const char *difference = compare_ranges(world);
	uint64_t pages = 0;

	for (unsigned i = 0; i < WINDOWS && difference == NULL; i++) {
		for (uint64_t j = 0; j < WINDOW_PAGES && difference == NULL; j++) {
			uint64_t address = window_start[i] + PAGES(j);

			difference = compare_page(world, &model->page[i][j], address);
			pages += present(world, address);
		}
	}
	if (difference == NULL && pages != world->fake.count)
		difference = "pages outside of the windows";
	if (difference == NULL && mm_brk(&world->process, 0) != model->brk)
		difference = "wrong brk";
	return difference;
}

/* Steps: each does the call and changes the model as Linux would. */

struct step {
	struct world *world;
	struct model *model;
	struct model before;
	char text[160];
	int64_t result, expected;
	/* Where a failed mremap(2) may have left things: its first parts are done. */
	struct model partial[2];
	unsigned partials;
};

static const unsigned protections[] = {
	0, PROT_READ, RW, RW, RW, PROT_READ | PROT_EXEC, RW | PROT_EXEC, PROT_WRITE, PROT_EXEC};

static unsigned random_protection(void)
{
	return protections[random_below(ARRAY_SIZE(protections))];
}

/* Some pages in one window: returns the address. */
static uint64_t random_place(uint64_t maximum, uint64_t *pages)
{
	uint64_t first = random_below(WINDOW_PAGES);

	*pages = 1 + random_below(min_u64(maximum, WINDOW_PAGES - first));
	return window_start[random_below(WINDOWS)] + PAGES(first);
}

struct mmap_arguments {
	uint64_t address, pages, flags, file_page;
	unsigned protection, file;
};

/* The processor cannot tell writing or executing from reading, too. */
static unsigned model_protection(unsigned protection)
{
	return protection != 0 ? protection | PROT_READ : 0;
}

static int64_t model_mmap_place(struct model *model, const struct mmap_arguments *arguments)
{
	bool low = (arguments->flags & MAP_32BIT) != 0;
	uint64_t address = arguments->address;

	if ((arguments->flags & MAP_FIXED_NOREPLACE) != 0)
		return model_free(model, address, arguments->pages) ? (int64_t)address : -EEXIST;
	if ((arguments->flags & MAP_FIXED) != 0)
		return (int64_t)address;
	if (address != 0 && model_free(model, address, arguments->pages) &&
	    (!low || address < LAYOUT_LOW_END))
		return (int64_t)address;
	return (int64_t)model_gap(model, low ? 1 : 2, arguments->pages);
}

static int64_t model_mmap(struct model *model, const struct mmap_arguments *arguments)
{
	bool shared = arguments->file != 0 && (arguments->flags & MAP_TYPE) == MAP_SHARED;
	int64_t address;

	if (shared && (arguments->protection & PROT_WRITE) != 0)
		return -EACCES;
	address = model_mmap_place(model, arguments);
	for (uint64_t i = 0; address > 0 && i < arguments->pages; i++)
		*model_at(model, (uint64_t)address + PAGES(i)) = (struct model_page){
			.mapped = true,
			.protection = model_protection(arguments->protection),
			.file = arguments->file,
			.file_page = arguments->file != 0 ? arguments->file_page + i : 0,
			.shared = shared,
		};
	return address;
}

static void step_mmap(struct step *step)
{
	static const uint64_t placings[] = {0,        0, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE,
	                                    MAP_32BIT};
	struct mmap_arguments arguments = {.protection = random_protection()};

	arguments.address = random_place(10, &arguments.pages);
	arguments.flags = placings[random_below(ARRAY_SIZE(placings))];
	if ((arguments.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0 && random_below(2) == 0)
		arguments.address = 0;
	arguments.file = random_below(3) == 0 ? 1 + (unsigned)random_below(2) : 0;
	arguments.file_page = random_below(22);
	arguments.flags |= random_below(3) == 0 ? MAP_SHARED : MAP_PRIVATE;
	if (arguments.file == 0)
		arguments.flags |= MAP_ANONYMOUS;
	snprintf(step->text, sizeof(step->text),
	         "mmap(0x%llx, %llu pages, %u, 0x%llx, %u, page %llu)",
	         (unsigned long long)arguments.address, (unsigned long long)arguments.pages,
	         arguments.protection, (unsigned long long)arguments.flags, arguments.file,
	         (unsigned long long)arguments.file_page);
	step->expected = model_mmap(step->model, &arguments);
	step->result = CALL(step->world, mmap, arguments.address,
	                    PAGES(arguments.pages) - random_below(PAGE_SIZE), arguments.protection,
	                    arguments.flags, arguments.file, PAGES(arguments.file_page));
}

static void step_munmap(struct step *step)
{
	uint64_t pages, address = random_place(12, &pages);

	snprintf(step->text, sizeof(step->text), "munmap(0x%llx, %llu pages)",
	         (unsigned long long)address, (unsigned long long)pages);
	model_unmap(step->model, address, pages);
	step->result = CALL(step->world, munmap, address, PAGES(pages));
}

static int64_t model_mprotect(struct model *model, uint64_t address, uint64_t pages,
                              unsigned protection)
{
	if (!model_covers(model, address, pages))
		return -ENOMEM;
	for (uint64_t i = 0; i < pages; i++)
		if (model_at(model, address + PAGES(i))->shared && (protection & PROT_WRITE) != 0)
			return -EACCES;
	for (uint64_t i = 0; i < pages; i++)
		model_at(model, address + PAGES(i))->protection = model_protection(protection);
	return 0;
}

static void step_mprotect(struct step *step)
{
	uint64_t pages, address = random_place(random_below(2) == 0 ? 3 : 12, &pages);
	unsigned protection = random_protection();

	snprintf(step->text, sizeof(step->text), "mprotect(0x%llx, %llu pages, %u)",
	         (unsigned long long)address, (unsigned long long)pages, protection);
	step->expected = model_mprotect(step->model, address, pages, protection);
	step->result = CALL(step->world, mprotect, address, PAGES(pages), protection);
}

struct mremap_arguments {
	uint64_t from, pages, new_pages, flags, to;
};

static bool mremap_overlaps(const struct mremap_arguments *arguments)
{
	return ranges_overlap(arguments->from, arguments->from + PAGES(arguments->pages),
	                      arguments->to, arguments->to + PAGES(arguments->new_pages));
}

/* Takes the pages away, and puts them there with more of the same behind. */
static int64_t model_move(struct model *model, const struct mremap_arguments *arguments, uint64_t to)
{
	uint64_t pages = min_u64(arguments->pages, arguments->new_pages);
	struct model_page moved[WINDOW_PAGES];

	for (uint64_t i = 0; i < arguments->new_pages; i++) {
		if (i < pages) {
			moved[i] = *model_at(model, arguments->from + PAGES(i));
			continue;
		}
		moved[i] = moved[i - 1];
		moved[i].value = 0;
		if (moved[i].file != 0)
			moved[i].file_page++;
	}
	if ((arguments->flags & MREMAP_DONTUNMAP) != 0)
		model_drop(model, arguments->from, pages);
	else
		model_unmap(model, arguments->from, pages);
	for (uint64_t i = 0; i < arguments->new_pages; i++)
		*model_at(model, to + PAGES(i)) = moved[i];
	return (int64_t)to;
}

/* A mapping of a file, shared, once more. */
static int64_t model_duplicate(struct model *model, const struct mremap_arguments *arguments,
                               uint64_t to)
{
	struct model_page page = *model_at(model, arguments->from);

	if (!page.mapped)
		return -EFAULT;
	page.value = 0;
	for (uint64_t i = 0; i < arguments->new_pages; i++, page.file_page++)
		*model_at(model, to + PAGES(i)) = page;
	return (int64_t)to;
}

/* Where MREMAP_DONTUNMAP moves to: what is given is a hint. */
static uint64_t model_hinted(struct model *model, const struct mremap_arguments *arguments)
{
	if (model_free(model, arguments->to, arguments->new_pages))
		return arguments->to;
	return model_gap(model, 2, arguments->new_pages);
}

static int64_t model_mremap_to(struct step *step, const struct mremap_arguments *arguments)
{
	struct model *model = step->model;
	uint64_t to = arguments->to;

	if (mremap_overlaps(arguments))
		return -EINVAL;
	if (model_mapping(model, arguments->from) == 0)
		return -EFAULT;
	if (arguments->pages == 0 && !model_at(model, arguments->from)->shared)
		return -EINVAL;
	if (model_mapping(model, arguments->from) < min_u64(arguments->pages, arguments->new_pages))
		return -EFAULT;
	if ((arguments->flags & MREMAP_FIXED) != 0)
		model_unmap(model, to, arguments->new_pages);
	else
		to = model_hinted(model, arguments);
	if (to == (uint64_t)-ENOMEM)
		return -ENOMEM;
	step->partial[step->partials++] = *model;
	if (arguments->pages == 0)
		return model_duplicate(model, arguments, to);
	if (arguments->pages > arguments->new_pages)
		model_unmap(model, arguments->from + PAGES(arguments->new_pages),
		            arguments->pages - arguments->new_pages);
	step->partial[step->partials++] = *model;
	return model_move(model, arguments, to);
}

static int64_t model_mremap(struct step *step, const struct mremap_arguments *arguments)
{
	struct model *model = step->model;
	uint64_t mapping = model_mapping(model, arguments->from);
	uint64_t end = arguments->from + PAGES(arguments->pages), to;

	if ((arguments->flags & ~UINT64_C(7)) != 0 || arguments->new_pages == 0 ||
	    ((arguments->flags & 6) != 0 && (arguments->flags & MREMAP_MAYMOVE) == 0) ||
	    ((arguments->flags & MREMAP_DONTUNMAP) != 0 && arguments->pages != arguments->new_pages))
		return -EINVAL;
	if ((arguments->flags & 6) != 0)
		return model_mremap_to(step, arguments);
	if (mapping == 0)
		return -EFAULT;
	if (arguments->pages == 0 && !model_at(model, arguments->from)->shared)
		return -EINVAL;
	if (arguments->pages >= arguments->new_pages) {
		model_unmap(model, arguments->from + PAGES(arguments->new_pages),
		            arguments->pages - arguments->new_pages);
		return (int64_t)arguments->from;
	}
	if (mapping < arguments->pages)
		return -EFAULT;
	if (arguments->pages > 0 && mapping == arguments->pages &&
	    model_free(model, end, arguments->new_pages - arguments->pages))
		return model_move(model, arguments, arguments->from);
	if ((arguments->flags & MREMAP_MAYMOVE) == 0)
		return -ENOMEM;
	to = model_gap(model, 2, arguments->new_pages);
	if (to == (uint64_t)-ENOMEM)
		return -ENOMEM;
	return arguments->pages == 0 ? model_duplicate(model, arguments, to)
	                             : model_move(model, arguments, to);
}

static void step_mremap(struct step *step)
{
	static const uint64_t choices[] = {0, 1, 1, 1, 3, 3, 3, 2, 5, 5, 7, 7, 4, 8};
	struct mremap_arguments arguments;

	arguments.from = random_place(10, &arguments.pages);
	if (random_below(2) == 0 && model_mapping(step->model, arguments.from) > 0)
		arguments.pages = min_u64(arguments.pages,
		                          model_mapping(step->model, arguments.from));
	arguments.to = random_place(14, &arguments.new_pages);
	arguments.flags = choices[random_below(ARRAY_SIZE(choices))];
	if (random_below(16) == 0)
		arguments.pages = 0;
	if ((arguments.flags & MREMAP_DONTUNMAP) != 0 && random_below(8) > 0)
		arguments.pages = arguments.new_pages = min_u64(arguments.pages, arguments.new_pages);
	if (random_below(40) == 0)
		arguments.new_pages = 0;
	snprintf(step->text, sizeof(step->text),
	         "mremap(0x%llx, %llu pages, %llu pages, %llu, 0x%llx)",
	         (unsigned long long)arguments.from, (unsigned long long)arguments.pages,
	         (unsigned long long)arguments.new_pages, (unsigned long long)arguments.flags,
	         (unsigned long long)arguments.to);
	step->expected = model_mremap(step, &arguments);
	step->result = CALL(step->world, mremap, arguments.from, PAGES(arguments.pages),
	                    PAGES(arguments.new_pages), arguments.flags, arguments.to);
}

static int64_t model_brk(struct model *model, uint64_t address)
{
	uint64_t top = (model->brk + 4095) & ~UINT64_C(4095),
		 new_top = (address + 4095) & ~UINT64_C(4095);

	if (address < window_start[0])
		return (int64_t)model->brk;
	if (new_top < top)
		model_unmap(model, new_top, (top - new_top) >> PAGE_SHIFT);
	if (new_top > top) {
		if (!model_free(model, top, ((new_top - top) >> PAGE_SHIFT) + 1))
			return (int64_t)model->brk;
		for (; top < new_top; top += PAGE_SIZE)
			*model_at(model, top) = (struct model_page){.mapped = true, .protection = RW};
	}
	model->brk = address;
	return (int64_t)address;
}

static void step_brk(struct step *step)
{
	uint64_t address = window_start[0] - PAGE_SIZE + random_below(PAGES(WINDOW_PAGES / 2));

	snprintf(step->text, sizeof(step->text), "brk(0x%llx)", (unsigned long long)address);
	step->expected = model_brk(step->model, address);
	step->result = CALL(step->world, brk, address);
}

static int64_t model_madvise(struct model *model, uint64_t address, uint64_t pages, unsigned advice)
{
	bool covers = model_covers(model, address, pages);
	unsigned access = advice == MADV_POPULATE_READ    ? PROT_READ
	                  : advice == MADV_POPULATE_WRITE ? PROT_WRITE
	                                                  : 0;

	if (access != 0 && !covers)
		return -ENOMEM;
	for (uint64_t i = 0; i < pages; i++) {
		const struct model_page *page = model_at(model, address + PAGES(i));

		if ((access & ~page->protection) != 0 || (advice == MADV_FREE && page->file != 0))
			return -EINVAL;
	}
	for (uint64_t i = 0; access != 0 && i < pages; i++)
		if (model_beyond_end(model_at(model, address + PAGES(i))))
			return -EFAULT;
	if (advice == MADV_DONTNEED || advice == MADV_FREE)
		model_drop(model, address, pages);
	return covers ? 0 : -ENOMEM;
}

static void step_madvise(struct step *step)
{
	static const unsigned choices[] = {MADV_DONTNEED, MADV_DONTNEED,      MADV_FREE,
	                                   MADV_WILLNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE};
	unsigned advice = choices[random_below(ARRAY_SIZE(choices))];
	uint64_t pages, address = random_place(8, &pages);

	snprintf(step->text, sizeof(step->text), "madvise(0x%llx, %llu pages, %u)",
	         (unsigned long long)address, (unsigned long long)pages, advice);
	step->expected = model_madvise(step->model, address, pages, advice);
	step->result = CALL(step->world, madvise, address, PAGES(pages), advice);
}

static void step_write(struct step *step)
{
	uint64_t pages, address = random_place(1, &pages), value = 1 + random_below(1000000);
	struct model_page *page = model_at(step->model, address);

	snprintf(step->text, sizeof(step->text), "write to 0x%llx", (unsigned long long)address);
	step->expected = model_allows(page, PROT_WRITE) ? 0 : -EFAULT;
	if (step->expected == 0)
		page->value = value;
	step->result = guest_write(&step->world->process, address, &value, sizeof(value));
}

static void step_read(struct step *step)
{
	uint64_t pages, address = random_place(1, &pages);
	const struct model_page *page = model_at(step->model, address);
	uint8_t bytes[4096], expected[4096];

	snprintf(step->text, sizeof(step->text), "read of 0x%llx", (unsigned long long)address);
	step->expected = model_allows(page, PROT_READ) ? 0 : -EFAULT;
	step->result = guest_read(&step->world->process, address, bytes, sizeof(bytes));
	if (step->result < 0 || step->expected < 0)
		return;
	model_content(page, expected);
	assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void step_fault(struct step *step)
{
	unsigned access = 1u << random_below(3);
	uint64_t pages, address = random_place(1, &pages);

	snprintf(step->text, sizeof(step->text), "fault at 0x%llx, %u", (unsigned long long)address,
	         access);
	step->expected = model_allows(model_at(step->model, address), access) ? 0 : -EFAULT;
	step->result = mm_fault(&step->world->process, address + random_below(PAGE_SIZE), access,
	                        true);
	if (step->result == 0)
		assert_true(present(step->world, address));
}

static void take_step(struct step *step)
{
	static void (*const steps[])(struct step * step) = {
		step_mmap,     step_mmap,   step_mmap,   step_munmap, step_mprotect,
		step_mprotect, step_mremap, step_mremap, step_brk,    step_madvise,
		step_write,    step_write,  step_write,  step_read,   step_fault,
	};

	step->before = *step->model;
	step->expected = 0;
	step->partials = 0;
	steps[random_below(ARRAY_SIZE(steps))](step);
}

static void check_step(struct step *step, uint64_t number)
{
	const char *difference = step->result != step->expected ? "another result"
	                                                        : compare(step->world, step->model);

	if (difference != NULL)
		fail_msg("step %llu: %s = %lld, expected %lld: %s", (unsigned long long)number,
		         step->text, (long long)step->result, (long long)step->expected, difference);
}

/* Nothing is free but the windows. */
/* shows_files: what is only read may be a file's own page. */
static void model_begin(struct world *world, struct model *model, bool shows_files)
{
	static const uint64_t ends[WINDOWS] = {0x40000000, LAYOUT_LOW_END, LAYOUT_USER_END};

	memset(model, 0, sizeof(*model));
	world_begin(world);
	world->fake.shows_files = shows_files;
	fake_file_open(1, content, FILE_BYTES);
	fake_file_open(2, content, FILE_BYTES);
	for (unsigned i = 0; i < WINDOWS; i++) {
		uint64_t start = window_start[i] + PAGES(WINDOW_PAGES);

		assert_int_equal(mm_map(&world->process, &start, ends[i] - start, 0,
		                        MM_FIXED_NOREPLACE | MM_GROWS_DOWN, NULL, 0),
		                 0);
	}
	assert_int_equal(mm_set_brk(&world->process, window_start[0]), 0);
	model->brk = window_start[0];
}

static void model_end(struct world *world)
{
	world_end(world);
	fake_file_close(1);
	fake_file_close(2);
}

static void run_steps(struct world *world, struct model *model, uint64_t count)
{
	struct step *step = calloc(1, sizeof(*step));

	step->world = world;
	step->model = model;
	for (uint64_t i = 0; i < count; i++) {
		take_step(step);
		check_step(step, i);
	}
	free(step);
}

static void test_model(void **state)
{
	struct world world;
	struct model model;

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		model_begin(&world, &model, seed % 2 == 0);
		run_steps(&world, &model, 8000);
		model_end(&world);
	}
}

/* Failures: the call says so and nothing has changed, or it did not need what failed. */

static void arm(struct world *world)
{
	uint64_t n = 1 + random_below(4);

	switch (random_below(4)) {
	case 0:
		fake_fail_allocation = n;
		break;
	case 1:
		world->fake.fail_page = n;
		break;
	default:
		world->fake.fail_edit = 1 + random_below(2);
		break;
	}
}

static void disarm(struct world *world)
{
	fake_fail_allocation = 0;
	world->fake.fail_page = 0;
	world->fake.fail_edit = 0;
}

/* Some calls have their own reason for -ENOMEM, and then have done what they could. */
static bool failed(const struct step *step)
{
	if (strncmp(step->text, "brk", 3) == 0)
		return step->result != step->expected;
	return step->result == -ENOMEM &&
	       (step->expected != -ENOMEM || compare(step->world, step->model) != NULL);
}

static void check_failed_step(struct step *step, uint64_t number)
{
	const char *difference = compare(step->world, &step->before);
	bool partial = false;

	for (unsigned i = 0; i < step->partials; i++)
		partial |= compare(step->world, &step->partial[i]) == NULL;
	if (difference != NULL && !partial)
		fail_msg("step %llu: %s failed: %s", (unsigned long long)number, step->text,
		         difference);
}

/* The model goes on from what the failed call left. */
static void undo_step(struct step *step)
{
	*step->model = step->before;
	for (unsigned i = 0; i < step->partials; i++)
		if (compare(step->world, step->model) != NULL)
			*step->model = step->partial[i];
}

static void run_failing_steps(struct world *world, struct model *model, uint64_t count)
{
	struct step *step = calloc(1, sizeof(*step));

	step->world = world;
	step->model = model;
	for (uint64_t i = 0; i < count; i++) {
		if (random_below(2) == 0)
			arm(world);
		take_step(step);
		disarm(world);
		if (failed(step)) {
			check_failed_step(step, i);
			undo_step(step);
		} else {
			check_step(step, i);
		}
	}
	free(step);
}

static void test_failures(void **state)
{
	struct world world;
	struct model model;

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		model_begin(&world, &model, seed % 2 == 0);
		run_failing_steps(&world, &model, 5000);
		model_end(&world);
	}
}

/* Forks. */

static uint64_t checksum(const struct fake_space *fake)
{
	uint64_t sum = fake->count;

	for (size_t i = 0; i < fake->count; i++) {
		sum = sum * 31 + fake->pages[i].va + fake->pages[i].protection;
		for (size_t j = 0; j < PAGE_SIZE; j++)
			sum = sum * 31 + fake->pages[i].bytes[j];
	}
	return sum;
}

/*
 * A fork whose contents are restored (its own pages from the master's, or
 * zeros) and which gets the master's map back must be as a new one.
 */
static void check_restorable(const struct world *fork, const struct world *master)
{
	if (fork->fake.space.rebuild)
		return;
	for (size_t i = 0; i < fork->fake.count; i++) {
		const struct fake_page *page = &fork->fake.pages[i];

		if (page->fate == FRAME_TAKEN)
			continue;
		const struct fake_page *source = fake_page_at(&master->fake, page->va);
		const struct range *range = range_at(master, page->va);

		assert_non_null(range);
		assert_int_equal(page->protection, range->protection);
		assert_true(source != NULL || range->file == NULL || page->fate == FRAME_KEPT);
		assert_true(page->fate != FRAME_KEPT || (page->protection & SPACE_WRITE) == 0);
	}
	for (size_t i = 0; i < master->fake.count; i++)
		assert_true(present(fork, master->fake.pages[i].va));
}

static void run_fork(struct world *master, const struct model *model, uint64_t steps, bool failing)
{
	struct model own = *model;
	struct world fork;

	world_fork(&fork, master);
	for (uint64_t i = 0; i < steps; i++) {
		if (failing)
			run_failing_steps(&fork, &own, 1);
		else
			run_steps(&fork, &own, 1);
		check_restorable(&fork, master);
	}
	world_end(&fork);
}

static void test_forks(void **state)
{
	struct world master;
	struct model model, frozen;
	uint64_t sum;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		model_begin(&master, &model, seed % 2 == 0);
		run_steps(&master, &model, 200);
		world_freeze(&master);
		frozen = model;
		sum = checksum(&master.fake);
		for (unsigned i = 0; i < 60; i++) {
			run_fork(&master, &model, 1 + random_below(20), i % 3 == 0);
			assert_null(compare(&master, &frozen));
		}
		assert_int_equal(checksum(&master.fake), sum);
		model_end(&master);
	}
}

/* MREMAP_DONTUNMAP: the pages go, the mapping stays and is as new. */
static void test_mremap_kept(void **state)
{
	const uint64_t flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP, to = BASE + PAGES(500);
	struct world world, fork;
	char byte;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4, RW);
	assert_int_equal(guest_write(&world.process, BASE + PAGES(1), "a", 1), 0);
	world_freeze(&world);
	world_fork(&fork, &world);
	assert_int_equal(guest_write(&fork.process, BASE + PAGES(2), "b", 1), 0);
	/* The hint is taken. */
	assert_int_equal(CALL(&fork, mremap, BASE, PAGES(4), PAGES(4), flags, to), to);
	assert_true(fork.fake.space.rebuild);
	assert_int_equal(guest_read(&fork.process, to + PAGES(1), &byte, 1), 0);
	assert_int_equal(byte, 'a');
	assert_int_equal(guest_read(&fork.process, to + PAGES(2), &byte, 1), 0);
	assert_int_equal(byte, 'b');
	for (uint64_t page = BASE; page < BASE + PAGES(4); page += PAGE_SIZE) {
		assert_int_equal(guest_read(&fork.process, page, &byte, 1), 0);
		assert_int_equal(byte, 0);
	}
	/* What is in the way of the hint stays; with MREMAP_FIXED it goes. */
	assert_int_equal(CALL(&fork, mremap, BASE, PAGES(4), PAGES(4), flags, to), BASE + PAGES(4));
	assert_int_equal(CALL(&fork, mremap, BASE, PAGES(4), PAGES(4), flags | MREMAP_FIXED, to), to);
	assert_int_equal(guest_read(&fork.process, to + PAGES(1), &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(CALL(&fork, mremap, BASE, PAGES(9), PAGES(9), flags, to + PAGES(100)),
	                 -EFAULT);
	world_end(&fork);
	world_end(&world);
}

/* An old size of 0: once more the same of a shared mapping, from there on. */
static void test_mremap_doubled(void **state)
{
	struct world world;
	uint64_t address, to = BASE + PAGES(500);
	uint8_t byte;

	(void)state;
	world_begin(&world);
	fake_file_open(1, content, PAGES(90));
	address = (uint64_t)CALL(&world, mmap, 0, PAGES(4), PROT_READ, MAP_SHARED, 1, PAGES(3));
	assert_int_equal(CALL(&world, mremap, address + PAGES(1), 0, PAGES(2), 0, 0), -ENOMEM);
	assert_int_equal(CALL(&world, mremap, address + PAGES(1), 0, PAGES(2),
	                      MREMAP_MAYMOVE | MREMAP_FIXED, to),
	                 to);
	assert_int_equal(guest_read(&world.process, to, &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(4)]);
	assert_int_equal(guest_read(&world.process, address + PAGES(1), &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(4)]);
	assert_int_equal(CALL(&world, mprotect, to, PAGES(2), RW), -EACCES);
	assert_int_equal(CALL(&world, mremap, address, 0, PAGES(2), MREMAP_MAYMOVE, 0),
	                 address + PAGES(4));
	assert_int_equal(
		CALL(&world, mremap, address, 0, PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, address),
		-EFAULT);
	address = (uint64_t)CALL(&world, mmap, 0, PAGES(4), PROT_READ, MAP_PRIVATE, 1, 0);
	assert_int_equal(CALL(&world, mremap, address, 0, PAGES(2), MREMAP_MAYMOVE, 0), -EINVAL);
	world_end(&world);
	fake_file_close(1);
}

/* What is brought in before it is used. */

static void test_prefault(void **state)
{
	const struct {
		uint64_t pages, prot, flags, fd;
		uint64_t master, fork; /* pages that are there then */
	} rows[] = {
		{1, RW, ANONYMOUS, NO_FILE, 1, 1},
		{16, RW, ANONYMOUS, NO_FILE, 16, 16},
		{17, RW, ANONYMOUS, NO_FILE, 17, 8},
		{64, RW, ANONYMOUS, NO_FILE, 64, 8},
		{65, RW, ANONYMOUS, NO_FILE, 32, 8},
		{UINT64_C(1) << 28, RW, ANONYMOUS, NO_FILE, 32, 8},
		{32, PROT_READ, ANONYMOUS, NO_FILE, 0, 0},
		{32, PROT_NONE, ANONYMOUS, NO_FILE, 0, 0},
		{UINT64_C(1) << 28, PROT_NONE, ANONYMOUS, NO_FILE, 0, 0},
		{32, RW, ANONYMOUS | MAP_NORESERVE, NO_FILE, 0, 0},
		{32, RW, ANONYMOUS | MAP_STACK, NO_FILE, 0, 0},
		{32, RW, ANONYMOUS | MAP_GROWSDOWN, NO_FILE, 0, 0},
		{70, RW, MAP_PRIVATE, 1, 70, 8},
		{128, RW, MAP_PRIVATE, 1, 90, 8},
		{129, PROT_READ, MAP_PRIVATE, 1, 64, 8},
		{70, PROT_READ, MAP_PRIVATE | MAP_DENYWRITE, 1, 0, 0},
	};
	struct world world, fork;

	(void)state;
	fake_file_open(1, content, PAGES(90));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_begin(&world);
		assert_int_equal(CALL(&world, mmap, 0, PAGES(rows[i].pages), rows[i].prot,
		                      rows[i].flags, rows[i].fd, 0),
		                 BASE);
		assert_present(&world, BASE, BASE + PAGES(rows[i].master));
		world_end(&world);
		world_begin(&world);
		world_freeze(&world);
		world_fork(&fork, &world);
		CALL(&fork, mmap, 0, PAGES(rows[i].pages), rows[i].prot, rows[i].flags, rows[i].fd,
		     0);
		assert_present(&fork, BASE, BASE + PAGES(rows[i].fork));
		world_end(&fork);
		world_end(&world);
	}
	fake_file_close(1);
}

static void test_prefault_later(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world);
	/* As malloc(3) in a heap of its own. */
	map_at(&world, BASE, 1000, PROT_NONE);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(33), RW), 0);
	assert_present(&world, BASE, BASE + PAGES(33));
	/* A stack. */
	assert_int_equal(CALL(&world, mprotect, BASE + PAGES(100), PAGES(800), RW), 0);
	assert_int_equal(world.fake.count, 33);
	assert_int_equal(CALL(&world, mprotect, BASE, PAGES(33), PROT_READ), 0);
	assert_int_equal(world.fake.count, 33);
	CALL(&world, munmap, BASE, PAGES(1000));
	fake_file_open(1, content, PAGES(90));
	CALL(&world, mmap, BASE, PAGES(90), PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, 1, 0);
	assert_int_equal(world.fake.count, 0);
	assert_int_equal(CALL(&world, madvise, BASE + PAGES(10), PAGES(70), MADV_WILLNEED), 0);
	assert_present(&world, BASE + PAGES(10), BASE + PAGES(80));
	CALL(&world, munmap, BASE, PAGES(90));
	fake_file_close(1);
	assert_int_equal(mm_set_brk(&world.process, 0x200000), 0);
	assert_int_equal(CALL(&world, brk, 0x200000 + PAGES(10)), 0x200000 + PAGES(10));
	assert_present(&world, 0x200000, 0x200000 + PAGES(10));
	assert_int_equal(CALL(&world, brk, 0x200000 + PAGES(100)), 0x200000 + PAGES(100));
	assert_present(&world, 0x200000, 0x200000 + PAGES(42));
	world_end(&world);
}

/* Near a limit less is brought in, and no call fails for it. */
static void test_prefault_limit(void **state)
{
	struct world world;

	(void)state;
	for (uint64_t limit = 0; limit < 300; limit += 7) {
		world_begin(&world);
		world.fake.space.page_limit = limit;
		assert_int_equal(CALL(&world, mmap, 0, PAGES(100), RW, ANONYMOUS, NO_FILE, 0), BASE);
		assert_true(world.fake.count <= limit / 8);
		world.fake.fail_page = 1;
		assert_int_equal(CALL(&world, mmap, 0, PAGES(100), RW, ANONYMOUS, NO_FILE, 0),
		                 BASE + PAGES(100));
		world_end(&world);
	}
}

/* Who goes through memory gets twice as much each time. */
static void test_growing_windows(void **state)
{
	static const uint64_t masters[] = {32, 64, 128, 256, 512, 512};
	static const uint64_t forks[] = {8, 16, 32, 64, 64};
	struct world world, fork;
	uint64_t page = BASE;

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4000, RW);
	for (size_t i = 0; i < ARRAY_SIZE(masters); i++) {
		assert_int_equal(mm_fault(&world.process, page, SPACE_WRITE, true), 0);
		assert_int_equal(world.fake.last_map_start, page);
		assert_int_equal(world.fake.last_map_length, PAGES(masters[i]));
		page += PAGES(masters[i]);
	}
	/* Not who leaves a page out. */
	assert_int_equal(mm_fault(&world.process, page + PAGES(1), SPACE_WRITE, true), 0);
	assert_int_equal(world.fake.last_map_length, PAGES(32));
	world_freeze(&world);
	world_fork(&fork, &world);
	assert_int_equal(mm_fault(&fork.process, page + PAGES(33), SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.last_map_length, PAGES(8));
	map_at(&fork, BASE + PAGES(5000), 1000, RW);
	page = BASE + PAGES(5000);
	for (size_t i = 0; i < ARRAY_SIZE(forks); i++) {
		assert_int_equal(mm_fault(&fork.process, page, SPACE_WRITE, true), 0);
		assert_int_equal(fork.fake.last_map_length, PAGES(forks[i]));
		page += PAGES(forks[i]);
	}
	world_end(&fork);
	world_end(&world);
}

/* Who fills memory from its end does, too. */
static void test_windows_that_go_down(void **state)
{
	static const uint64_t masters[] = {32, 64, 128, 256, 512, 512};
	struct world world, fork;
	uint64_t page = BASE + PAGES(3999);

	(void)state;
	world_begin(&world);
	map_at(&world, BASE, 4000, RW);
	assert_int_equal(mm_fault(&world.process, page, SPACE_WRITE, true), 0);
	assert_int_equal(world.fake.last_map_length, PAGES(1));
	for (size_t i = 0; i < ARRAY_SIZE(masters); i++) {
		assert_int_equal(mm_fault(&world.process, page - PAGES(1), SPACE_WRITE, true), 0);
		page -= world.fake.last_map_length;
		assert_int_equal(world.fake.last_map_start, page);
		assert_int_equal(world.fake.last_map_length, PAGES(masters[i]));
	}
	/* No further than to what is there. */
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(10), SPACE_WRITE, true), 0);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_WRITE, true), 0);
	assert_int_equal(world.fake.last_map_start, BASE);
	assert_int_equal(world.fake.last_map_length, PAGES(10));
	world_freeze(&world);
	world_fork(&fork, &world);
	/* What its master has above says nothing of the fork. */
	assert_int_equal(mm_fault(&fork.process, BASE + PAGES(2000), SPACE_WRITE, true), 0);
	assert_int_equal(fork.fake.last_map_start, BASE + PAGES(2000));
	world_end(&fork);
	world_end(&world);
}

/* Files' own pages. */

static uint64_t map_content(struct world *world, uint64_t pages, uint64_t prot, uint64_t flags)
{
	int64_t address = CALL(world, mmap, 0, PAGES(pages), prot, flags, 1, 0);

	assert_true(address > 0);
	return (uint64_t)address;
}

static bool shown(const struct world *world, uint64_t address)
{
	return space_is_file(&world->fake.space, gva(address));
}

static void test_shown_files(void **state)
{
	struct guest_piece pieces[4];
	uint8_t bytes[PAGES(3)];
	struct world world;
	unsigned count;

	(void)state;
	world_begin(&world);
	world.fake.shows_files = true;
	fake_file_open(1, content, PAGES(90) + 100);
	assert_int_equal(map_content(&world, 128, PROT_READ | PROT_EXEC, MAP_PRIVATE), BASE);
	assert_present(&world, BASE, BASE + PAGES(91));
	assert_true(shown(&world, BASE) && shown(&world, BASE + PAGES(90)));
	assert_int_equal(world.fake.space.frame_count, 0);
	assert_int_equal(mm_fault(&world.process, BASE + PAGES(91), SPACE_READ, true), -EFAULT);
	assert_int_equal(mm_fault(&world.process, BASE, SPACE_WRITE, true), -EFAULT);
	assert_int_equal(guest_write(&world.process, BASE, bytes, 1), -EFAULT);
	/* The host reads the file. */
	assert_int_equal(guest_read(&world.process, BASE + 100, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, content + 100, sizeof(bytes));
	assert_int_equal(
		guest_pieces(&world.process, BASE + 100, PAGES(40), false, pieces, 4, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pieces[0].length, PAGES(40));
	assert_memory_equal(pieces[0].host, content + 100, PAGES(40));
	assert_int_equal(
		guest_pieces(&world.process, BASE + PAGES(89), PAGES(10), false, pieces, 4, &count),
		0);
	assert_int_equal(pieces[0].length, PAGES(2));
	fake_files[1].size = PAGES(1);
	assert_int_equal(guest_pieces(&world.process, BASE + PAGES(1), 1, false, pieces, 4, &count),
	                 -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(1), bytes, 1), -EFAULT);
	assert_int_equal(guest_read(&world.process, BASE + PAGES(1) - 1, bytes, 1), 0);
	world_end(&world);
	fake_file_close(1);
}

/* What can be written is copied, from the start or from then on. */
static void test_shown_files_that_become_writable(void **state)
{
	struct world world;
	uint64_t address;
	uint8_t byte;

	(void)state;
	world_begin(&world);
	world.fake.shows_files = true;
	fake_file_open(1, content, PAGES(90));
	address = map_content(&world, 10, RW, MAP_PRIVATE);
	assert_false(shown(&world, address));
	assert_int_equal(world.fake.space.frame_count, 10);
	address = map_content(&world, 90, PROT_READ, MAP_PRIVATE);
	assert_int_equal(CALL(&world, mprotect, address + PAGES(20), PAGES(80), RW), -ENOMEM);
	assert_true(shown(&world, address + PAGES(20)));
	world.fake.fail_edit = 1;
	assert_int_equal(CALL(&world, mprotect, address + PAGES(20), PAGES(2), RW), -ENOMEM);
	assert_true(shown(&world, address + PAGES(20)));
	assert_int_equal(CALL(&world, mprotect, address + PAGES(20), PAGES(2), RW), 0);
	assert_true(shown(&world, address + PAGES(19)) && shown(&world, address + PAGES(22)));
	assert_false(shown(&world, address + PAGES(20)) || shown(&world, address + PAGES(21)));
	assert_int_equal(guest_write(&world.process, address + PAGES(20), "x", 1), 0);
	assert_int_equal(guest_read(&world.process, address + PAGES(20) + 1, &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(20) + 1]);
	/* Read-only again: the copy stays. */
	assert_int_equal(CALL(&world, mprotect, address + PAGES(20), PAGES(2), PROT_READ), 0);
	assert_int_equal(guest_read(&world.process, address + PAGES(20), &byte, 1), 0);
	assert_int_equal(byte, 'x');
	assert_int_equal(CALL(&world, madvise, address, PAGES(90), MADV_DONTNEED), 0);
	assert_int_equal(guest_read(&world.process, address + PAGES(20), &byte, 1), 0);
	assert_int_equal(byte, content[PAGES(20)]);
	assert_true(shown(&world, address + PAGES(20)));
	world_end(&world);
	fake_file_close(1);
}

/* glibc's linker maps the whole first, then parts over it: the beginning comes with the second. */
static void test_shown_library(void **state)
{
	const uint64_t first = MAP_PRIVATE | MAP_DENYWRITE;
	struct world world;

	(void)state;
	world_begin(&world);
	world.fake.shows_files = true;
	fake_file_open(1, content, PAGES(90));
	assert_int_equal(map_content(&world, 95, PROT_READ, first), BASE);
	assert_int_equal(world.fake.count, 0);
	CALL(&world, mmap, BASE + PAGES(10), PAGES(50), PROT_READ | PROT_EXEC, first | MAP_FIXED, 1,
	     PAGES(10));
	assert_present(&world, BASE, BASE + PAGES(60));
	CALL(&world, mmap, BASE + PAGES(60), PAGES(20), PROT_READ, first | MAP_FIXED, 1, PAGES(60));
	CALL(&world, mmap, BASE + PAGES(80), PAGES(10), RW, first | MAP_FIXED, 1, PAGES(80));
	assert_present(&world, BASE, BASE + PAGES(90));
	assert_int_equal(world.fake.space.frame_count, 10);
	world_end(&world);
	fake_file_close(1);
}

static void test_shown_files_of_forks(void **state)
{
	struct world master, fork;
	uint64_t original, address;

	(void)state;
	world_begin(&master);
	master.fake.shows_files = true;
	fake_file_open(1, content, PAGES(90));
	original = map_content(&master, 90, PROT_READ, MAP_PRIVATE | MAP_NORESERVE);
	world_freeze(&master);
	world_fork(&fork, &master);
	/* A reset can leave what its master has mapped; what the fork maps it takes away. */
	assert_int_equal(mm_fault(&fork.process, original + PAGES(5), SPACE_READ, true), 0);
	assert_true(shown(&fork, original) && shown(&fork, original + PAGES(89)));
	assert_int_equal(fate_at(&fork, original), FRAME_KEPT);
	address = map_content(&fork, 63, PROT_READ, MAP_PRIVATE);
	assert_false(shown(&fork, address));
	assert_int_equal(fate_at(&fork, address), FRAME_TAKEN);
	assert_false(fork.fake.space.rebuild);
	address = map_content(&fork, 64, PROT_READ, MAP_PRIVATE);
	assert_true(shown(&fork, address));
	assert_true(fork.fake.space.rebuild);
	world_end(&fork);
	world_end(&master);
	fake_file_close(1);
}

/* KVM could not read one: they are taken away, and copied from now on. */
static void test_files_failed(void **state)
{
	struct world world;
	uint64_t address;

	(void)state;
	world_begin(&world);
	world.fake.shows_files = true;
	fake_file_open(1, content, PAGES(90));
	map_at(&world, BASE + PAGES(1000), 1, RW);
	assert_int_equal(mm_files_failed(&world.process), 0);
	address = map_content(&world, 90, PROT_READ, MAP_PRIVATE);
	world.fake.fail_edit = 1;
	assert_int_equal(mm_files_failed(&world.process), -ENOMEM);
	assert_int_equal(mm_files_failed(&world.process), 1);
	assert_int_equal(world.fake.count, 0);
	assert_int_equal(mm_files_failed(&world.process), 0);
	fake_files[1].size = PAGES(10);
	assert_int_equal(mm_fault(&world.process, address + PAGES(9), SPACE_READ, true), 0);
	assert_false(shown(&world, address + PAGES(9)));
	assert_int_equal(mm_fault(&world.process, address + PAGES(10), SPACE_READ, true), -EFAULT);
	fake_files[1].error = -EIO;
	CALL(&world, madvise, address, PAGES(90), MADV_DONTNEED);
	assert_int_equal(mm_fault(&world.process, address, SPACE_READ, true), -EFAULT);
	world_end(&world);
	fake_file_close(1);
}

/* Numbers that a guest makes up: any answer, but the map stays one. */
static void test_hostile_numbers(void **state)
{
	static const uint64_t numbers[] = {0,
	                                   1,
	                                   4095,
	                                   4096,
	                                   4097,
	                                   0x10000,
	                                   0x200000,
	                                   0x40000000,
	                                   LAYOUT_LOW_END,
	                                   LAYOUT_MMAP_START,
	                                   LAYOUT_USER_END - 4096,
	                                   LAYOUT_USER_END,
	                                   LAYOUT_KERNEL,
	                                   UINT64_C(1) << 62,
	                                   INT64_MAX,
	                                   UINT64_C(1) << 63,
	                                   UINT64_MAX - 4095,
	                                   UINT64_MAX};
	typedef int64_t handler(struct process * process, const uint64_t arguments[6]);
	static handler *const handlers[] = {sys_mmap,      sys_munmap,  sys_mprotect, sys_mremap,
	                                    sys_brk,       sys_madvise, sys_msync,    sys_mincore,
	                                    sys_mlock,     sys_mlock2,  sys_munlock,  sys_mlockall,
	                                    sys_munlockall};
	struct world world;

	(void)state;
	random_state = 42;
	world_begin(&world);
	fake_file_open(1, content, FILE_BYTES);
	world.fake.space.page_limit = 100;
	assert_int_equal(mm_set_brk(&world.process, 0x200000), 0);
	for (unsigned i = 0; i < 60000; i++) {
		uint64_t arguments[6];
		int64_t result;

		for (unsigned j = 0; j < 6; j++)
			arguments[j] = random_below(3) == 0
			                       ? random_below(64)
			                       : numbers[random_below(ARRAY_SIZE(numbers))];
		if (random_below(2) == 0)
			arguments[3] = (arguments[3] & ~UINT64_C(3)) | ANONYMOUS;
		result = handlers[random_below(ARRAY_SIZE(handlers))](&world.process, arguments);
		assert_true(result >= -4095);
		assert_null(compare_ranges(&world));
		if (i % 500 == 0)
			assert_int_equal(CALL(&world, munmap, 0, LAYOUT_USER_END), 0);
	}
	world_end(&world);
	fake_file_close(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mmap_errors),
		cmocka_unit_test(test_mmap_placing),
		cmocka_unit_test(test_reservations),
		cmocka_unit_test(test_munmap),
		cmocka_unit_test(test_mprotect),
		cmocka_unit_test(test_mprotect_of_stack),
		cmocka_unit_test(test_shared_file),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_zero_device),
		cmocka_unit_test(test_mremap_errors),
		cmocka_unit_test(test_mremap),
		cmocka_unit_test(test_mremap_of_file),
		cmocka_unit_test(test_mremap_of_pieces),
		cmocka_unit_test(test_peek_brings_nothing_in),
		cmocka_unit_test(test_mremap_of_inaccessible_pieces),
		cmocka_unit_test(test_brk),
		cmocka_unit_test(test_madvise),
		cmocka_unit_test(test_madvise_of_file),
		cmocka_unit_test(test_populate),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_msync_mlock),
		cmocka_unit_test(test_mincore),
		cmocka_unit_test(test_fault_windows),
		cmocka_unit_test(test_fault_stack),
		cmocka_unit_test(test_fault_file),
		cmocka_unit_test(test_fault_bad_file),
		cmocka_unit_test(test_fault_fork),
		cmocka_unit_test(test_fault_copies),
		cmocka_unit_test(test_fault_limit),
		cmocka_unit_test(test_fault_added),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_hostile_copies),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_frozen_master),
		cmocka_unit_test(test_call_stack),
		cmocka_unit_test(test_sharing_is_kept),
		cmocka_unit_test(test_too_many_mappings),
		cmocka_unit_test(test_merging),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_mremap_kept),
		cmocka_unit_test(test_mremap_doubled),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_prefault_later),
		cmocka_unit_test(test_prefault_limit),
		cmocka_unit_test(test_growing_windows),
		cmocka_unit_test(test_windows_that_go_down),
		cmocka_unit_test(test_shown_files),
		cmocka_unit_test(test_shown_files_that_become_writable),
		cmocka_unit_test(test_shown_library),
		cmocka_unit_test(test_shown_files_of_forks),
		cmocka_unit_test(test_files_failed),
		cmocka_unit_test(test_hostile_numbers),
	};

	fill_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
