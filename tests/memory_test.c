/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory without KVM: how it grows and is populated ahead, what
 * a reservation is good for, what happens when the host refuses slots, pages or
 * address space, and that frames never have two owners, from many threads.
 */
#include "memory.h"

#include "kvm.h"
#include "sanitized.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define MEBIBYTE (UINT64_C(1) << 20)
#define WINDOW (64 * MEBIBYTE)
#define WINDOW_FRAMES (WINDOW / PAGE_SIZE)
#define OWNER 7
#define THREADS 4
#define THREAD_FRAMES 300
#define THREAD_ROUNDS 200

/* The host: refuses what is larger than the limit that is set. */

static struct host {
	uint64_t slot_limit, commit_limit, populate_limit; /* bytes; 0: refuses nothing */
	int populate_error;
	int shadow_error;
	unsigned slots;
	uint64_t slot_bytes, largest_slot;
	uint64_t populated_at_once; /* the most that was asked for and given */
	uint64_t shadow_pages;
} host;

int __real_mprotect(void *address, size_t length, int protection);
int __real_madvise(void *address, size_t length, int advice);
int __wrap_mprotect(void *address, size_t length, int protection);
int __wrap_madvise(void *address, size_t length, int advice);
int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *memory);
int __wrap_kvm_shadow_pages(int vm, uint64_t pages);

static bool exceeds(uint64_t bytes, uint64_t limit)
{
	return limit != 0 && bytes > limit;
}

int __wrap_mprotect(void *address, size_t length, int protection)
{
	if (protection != PROT_NONE && exceeds(length, host.commit_limit)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_mprotect(address, length, protection);
}

int __wrap_madvise(void *address, size_t length, int advice)
{
	if (advice != MADV_POPULATE_WRITE)
		return __real_madvise(address, length, advice);
	if (exceeds(length, host.populate_limit)) {
		errno = host.populate_error;
		return -1;
	}
	host.populated_at_once = max_u64(host.populated_at_once, length);
	return __real_madvise(address, length, advice);
}

int __wrap_kvm_memory_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *memory)
{
	(void)vm;
	(void)slot;
	(void)gpa;
	(void)memory;
	if (exceeds(size, host.slot_limit))
		return -ENOMEM;
	host.slots++;
	host.slot_bytes += size;
	host.largest_slot = max_u64(host.largest_slot, size);
	return 0;
}

int __wrap_kvm_shadow_pages(int vm, uint64_t pages)
{
	(void)vm;
	if (host.shadow_error < 0)
		return host.shadow_error;
	host.shadow_pages = pages;
	return 0;
}

static struct memory memory;

static int make(void **state)
{
	(void)state;
	host = (struct host){.populate_error = ENOMEM};
	return memory_init(&memory, -1, WINDOW, WINDOW, 48, true);
}

static int unmake(void **state)
{
	(void)state;
	memory_destroy(&memory, true);
	return 0;
}

static gpa_t take_frame(void)
{
	gpa_t frame;

	assert_int_equal(memory_frame_allocate(&memory, OWNER, &frame), 0);
	return frame;
}

static gpa_t take_table(void)
{
	gpa_t table;

	assert_int_equal(memory_table_allocate(&memory, 1, &table), 0);
	return table;
}

static bool is_zero(const void *page)
{
	static const uint8_t zeros[PAGE_SIZE];

	return memcmp(page, zeros, PAGE_SIZE) == 0;
}

static void fill(gpa_t frame)
{
	memset(memory_data(&memory, frame), 0xa5, PAGE_SIZE);
}

static void give_frames(gpa_t first, uint64_t count)
{
	assert_true(memory_frames_discard(&memory, first, count));
	memory_frames_release(&memory, first, count);
}

/* Faults of this thread that a page was missing for. */
static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* Whether it can be told how many pages were missing. */
static bool counts_faults(void)
{
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                  0);
	bool can = page != MAP_FAILED && __real_madvise(page, PAGE_SIZE, MADV_POPULATE_WRITE) == 0;

	munmap(page, PAGE_SIZE);
	return can && !SANITIZED;
}

/* Growing. */

static void frames_are_zero_and_stay_so_when_they_come_back(void **state)
{
	gpa_t first = take_frame(), second = take_frame();

	(void)state;
	assert_int_equal(second.value, first.value + PAGE_SIZE);
	assert_true(is_zero(memory_data(&memory, first)));
	fill(first);
	fill(second);
	give_frames(first, 2);
	assert_int_equal(take_frame().value, first.value);
	assert_int_equal(take_frame().value, second.value);
	assert_true(is_zero(memory_data(&memory, first)));
	assert_true(is_zero(memory_data(&memory, second)));
	assert_int_equal(memory.frames_in_use, 2);
}

/* A small program has little that it does not use, a large one a share. */
static void little_is_populated_ahead(void **state)
{
	(void)state;
	for (uint64_t used = PAGE_SIZE; used <= WINDOW; used += PAGE_SIZE) {
		uint64_t ahead;

		take_frame();
		ahead = memory.data.populated - used;
		assert_true(ahead <= max_u64(used / 8, 64 << 10));
		take_table();
		ahead = memory.tables.populated - used;
		assert_true(ahead <= max_u64(used / 4, 64 << 10));
	}
	assert_true(host.populated_at_once == 2 * MEBIBYTE);
}

static void the_end_of_a_window_is_an_error(void **state)
{
	gpa_t frame, last = {0};

	(void)state;
	for (uint64_t i = 0; i < WINDOW_FRAMES; i++)
		last = take_frame();
	assert_int_equal(memory_frame_allocate(&memory, OWNER, &frame), -ENOMEM);
	assert_int_equal(memory.frames_in_use, WINDOW_FRAMES);
	assert_int_equal(memory.data.committed, WINDOW);
	give_frames(last, 1);
	assert_int_equal(take_frame().value, last.value);
	/* The other window has its own. */
	take_table();
}

static void slots_get_smaller_before_it_fails(void **state)
{
	gpa_t frame;

	(void)state;
	host.slot_limit = 4 * MEBIBYTE;
	for (uint64_t i = 0; i < WINDOW_FRAMES / 2; i++)
		take_frame();
	assert_int_equal(host.largest_slot, 4 * MEBIBYTE);
	assert_int_equal(host.slot_bytes, WINDOW / 2);
	host.slot_limit = PAGE_SIZE;
	assert_int_equal(memory_frame_allocate(&memory, OWNER, &frame), -ENOMEM);
	assert_int_equal(memory.data.committed, WINDOW / 2);
	assert_null(memory_data(&memory, gpa(memory.data.base + WINDOW / 2)));
	assert_int_equal(memory.frames_in_use, WINDOW_FRAMES / 2);
	host.slot_limit = 0;
	take_frame();
}

static void address_space_gets_smaller_before_it_fails(void **state)
{
	gpa_t frame;

	(void)state;
	host.commit_limit = PAGE_SIZE;
	assert_int_equal(memory_frame_allocate(&memory, OWNER, &frame), -ENOMEM);
	assert_int_equal(memory.data.committed, 0);
	host.commit_limit = 2 * MEBIBYTE;
	fill(take_frame());
	assert_int_equal(memory.data.committed, 2 * MEBIBYTE);
}

static void pages_that_are_refused(void **state)
{
	gpa_t frame;

	(void)state;
	host.populate_limit = 1;
	assert_int_equal(memory_frame_allocate(&memory, OWNER, &frame), -ENOMEM);
	assert_int_equal(memory_table_allocate(&memory, 1, &frame), -ENOMEM);
	assert_int_equal(memory_reserve(&memory, 1, 0), -ENOMEM);
	assert_int_equal(memory.frames_in_use + memory.tables_in_use, 0);
	/* One is enough to go on. */
	host.populate_limit = PAGE_SIZE;
	fill(take_frame());
	take_table();
	/* A kernel that cannot populate gives them when they are touched. */
	host.populate_limit = 1;
	host.populate_error = EINVAL;
	for (unsigned i = 0; i < 1000; i++) {
		fill(take_frame());
		memset(memory_table(&memory, take_table()), 1, PAGE_SIZE);
	}
}

/* Reserving. */

/* 600 frames, the first 300 of which were used and came back in two pieces, and 1500 tables. */
static void what_is_reserved_takes_no_fault(void **state)
{
	gpa_t frames[300];
	long before;

	(void)state;
	if (!counts_faults())
		skip();
	for (unsigned i = 0; i < 300; i++)
		frames[i] = take_frame();
	give_frames(frames[0], 100);
	give_frames(frames[100], 200);
	assert_int_equal(memory_reserve(&memory, 600, 1500), 0);
	before = faults();
	for (unsigned i = 0; i < 600; i++)
		memset(memory_data(&memory, take_frame()), 1, PAGE_SIZE);
	for (unsigned i = 0; i < 1500; i++)
		memset(memory_table(&memory, take_table()), 1, PAGE_SIZE);
	assert_int_equal(faults() - before, 0);
}

static void a_reservation_is_no_use(void **state)
{
	(void)state;
	assert_int_equal(memory_reserve(&memory, 100, 100), 0);
	assert_int_equal(memory.frames_in_use + memory.tables_in_use, 0);
	assert_true(memory.data.populated >= 100 * PAGE_SIZE);
	assert_true(memory.tables.populated >= 100 * PAGE_SIZE);
	/* What is there already is not populated again. */
	assert_int_equal(memory_reserve(&memory, 100, 100), 0);
	assert_int_equal(memory.data.populated, 100 * PAGE_SIZE);
	assert_int_equal(memory.tables.populated, 100 * PAGE_SIZE);
}

static void more_than_there_is(void **state)
{
	const uint64_t many[] = {WINDOW_FRAMES + 1, UINT64_MAX / PAGE_SIZE,
	                         UINT64_MAX / PAGE_SIZE + 2, UINT64_MAX};

	(void)state;
	take_frame();
	take_table();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		uint64_t before = memory.data.populated;

		assert_int_equal(memory_reserve(&memory, many[i], 0), -ENOMEM);
		assert_int_equal(memory_reserve(&memory, 0, many[i]), -ENOMEM);
		assert_int_equal(memory.data.populated, before);
	}
	assert_int_equal(memory_reserve(&memory, WINDOW_FRAMES - 1, WINDOW_FRAMES - 1), 0);
	assert_int_equal(memory_reserve(&memory, WINDOW_FRAMES, 0), -ENOMEM);
	assert_int_equal(memory.data.populated, WINDOW);
	assert_int_equal(memory.tables.populated, WINDOW);
}

/* Half of it can be had: that is kept for those who come, and it can be tried again. */
static void a_reservation_that_fails_half_way(void **state)
{
	(void)state;
	assert_int_equal(memory_reserve(&memory, 1000, 0), 0);
	host.slot_limit = PAGE_SIZE;
	assert_int_equal(memory_reserve(&memory, 10000, 0), -ENOMEM);
	assert_int_equal(memory.data.populated, 16 * MEBIBYTE);
	fill(take_frame());
	host.slot_limit = 0;
	assert_int_equal(memory_reserve(&memory, 10000, 0), 0);
}

/* What KVM needs. */

static void shadow_pages_follow_the_memory(void **state)
{
	uint64_t first, bytes;

	(void)state;
	take_frame();
	take_table();
	first = host.shadow_pages;
	assert_true(first >= 64 * 4 + 64); /* 64 forks in turn, and what they share */
	bytes = memory_kernel_bytes(&memory);
	assert_true(bytes >= first * PAGE_SIZE);
	memory_destroy(&memory, true);
	assert_int_equal(memory_init(&memory, -1, 32 * WINDOW, WINDOW, 48, true), 0);
	assert_int_equal(memory_reserve(&memory, 0, 0), 0);
	host.populate_limit = 1;
	host.populate_error = EINVAL;
	assert_int_equal(memory_reserve(&memory, 32 * WINDOW_FRAMES, 0), 0);
	assert_int_equal(host.shadow_pages, 32 * WINDOW_FRAMES / 50);
	assert_true(memory_kernel_bytes(&memory) > bytes);
	/* Not more than what it is for. */
	assert_true(memory_kernel_bytes(&memory) < 32 * WINDOW / 16);
}

static void a_refusal_of_shadow_pages_is_harmless(void **state)
{
	(void)state;
	host.shadow_error = -EINVAL;
	take_frame();
	assert_int_equal(memory.shadow_pages, 0);
	assert_true(memory_kernel_bytes(&memory) > 0);
}

static void nested_paging_is_told_nothing(void **state)
{
	uint64_t bytes;

	(void)state;
	memory_destroy(&memory, true);
	assert_int_equal(memory_init(&memory, -1, WINDOW, WINDOW, 48, false), 0);
	take_frame();
	bytes = memory_kernel_bytes(&memory);
	assert_int_equal(memory_reserve(&memory, WINDOW_FRAMES - 1, 0), 0);
	assert_int_equal(host.shadow_pages, 0);
	/* At least the nested tables of what is populated. */
	assert_true(memory_kernel_bytes(&memory) >= bytes + WINDOW / 512 / 2);
}

/* Threads. */

static pthread_barrier_t together;

static bool is_mine(gpa_t frame, gpa_t table, uint64_t number)
{
	return *(const uint64_t *)memory_data(&memory, frame) == number &&
	       *memory_table(&memory, table) == number && memory_owns(&memory, frame, number);
}

/* Takes, writes its number, looks whether it is still there, gives back. */
static bool work_once(uint64_t number)
{
	gpa_t frames[THREAD_FRAMES], tables[THREAD_FRAMES];
	bool good = true;

	for (unsigned i = 0; i < THREAD_FRAMES; i++) {
		if (memory_frame_allocate(&memory, number, &frames[i]) < 0 ||
		    memory_table_allocate(&memory, 1, &tables[i]) < 0)
			return false;
		good = good && *(const uint64_t *)memory_data(&memory, frames[i]) == 0;
		*(uint64_t *)memory_data(&memory, frames[i]) = number;
		*memory_table(&memory, tables[i]) = number;
	}
	for (unsigned i = 0; i < THREAD_FRAMES; i++) {
		good = good && is_mine(frames[i], tables[i], number);
		memory_table_free(&memory, tables[i]);
		good = good && memory_frames_discard(&memory, frames[i], 1);
		memory_frames_release(&memory, frames[i], 1);
	}
	return good;
}

static void *work(void *argument)
{
	uint64_t number = (uint64_t)(uintptr_t)argument;
	bool good = true;

	pthread_barrier_wait(&together);
	for (unsigned round = 0; round < THREAD_ROUNDS && good; round++) {
		if (round % 16 == number)
			good = memory_reserve(&memory, 200, 800) == 0;
		good = good && work_once(number);
	}
	return good ? argument : NULL;
}

static void threads_never_share_a_frame(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	pthread_barrier_init(&together, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0); // NOLINT
	for (uintptr_t i = 0; i < THREADS; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_int_equal((uintptr_t)result, i + 1);
	}
	pthread_barrier_destroy(&together);
	assert_int_equal(memory.frames_in_use, 0);
	assert_int_equal(memory.tables_in_use, 0);
	/* What they gave back anyone can take: no thread keeps any. */
	for (uint64_t i = 0; i < WINDOW_FRAMES; i++)
		take_frame();
}

#define MEMORY(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEMORY(frames_are_zero_and_stay_so_when_they_come_back),
		MEMORY(little_is_populated_ahead),
		MEMORY(the_end_of_a_window_is_an_error),
		MEMORY(slots_get_smaller_before_it_fails),
		MEMORY(address_space_gets_smaller_before_it_fails),
		MEMORY(pages_that_are_refused),
		MEMORY(what_is_reserved_takes_no_fault),
		MEMORY(a_reservation_is_no_use),
		MEMORY(more_than_there_is),
		MEMORY(a_reservation_that_fails_half_way),
		MEMORY(shadow_pages_follow_the_memory),
		MEMORY(a_refusal_of_shadow_pages_is_harmless),
		MEMORY(nested_paging_is_told_nothing),
		MEMORY(threads_never_share_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
