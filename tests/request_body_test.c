/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests in the guest's memory, over a fake space: copied and
 * stored directly, of a length that is known or not, one after another in the
 * same sandbox, and what a guest has done to the mapping in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_space.h"

#include "http/request_body.h"
#include "layout.h"
#include "linux/mm.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLENTY (UINT64_C(1) << 20)
#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)
#define CONTENT PAGES(200)

struct world {
	struct fake_space fake;
	struct process process;
	struct body_region region;
};

static uint8_t content[CONTENT];

static void world_begin(struct world *world, uint64_t page_limit)
{
	memset(world, 0, sizeof(*world));
	fake_space_init(&world->fake, page_limit);
	world->process.space = &world->fake.space;
	assert_int_equal(mm_create(&world->process.mm), 0);
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i % 251 + i / PAGE_SIZE);
}

static void world_fork(struct world *fork, struct world *master)
{
	memset(fork, 0, sizeof(*fork));
	master->fake.space.table.frozen = true;
	fake_space_fork(&fork->fake, &master->fake, PLENTY);
	fork->process.space = &fork->fake.space;
	fork->process.mm = mm_share(master->process.mm);
	fork->region = master->region;
}

static void world_end(struct world *world)
{
	mm_release(world->process.mm);
	free(world->process.borrowed_pages);
	fake_space_destroy(&world->fake);
}

static uint64_t mapped_bytes(const struct world *world)
{
	struct mm_mapping mapping;
	uint64_t bytes = 0;

	for (uint64_t at = 0; mm_next_mapping(&world->process, at, &mapping); at = mapping.end)
		bytes += mapping.end - mapping.start;
	return bytes;
}

static void assert_content(struct world *world, uint64_t address, size_t length)
{
	static uint8_t copy[CONTENT];

	assert_true(length <= sizeof(copy));
	assert_true(is_aligned(address, PAGE_SIZE));
	assert_int_equal(guest_peek(&world->process, address, copy, length), length);
	assert_memory_equal(copy, content, length);
}

/* A body of a known length, by copies. Returns its address. */
static uint64_t copy_body(struct world *world, size_t length)
{
	struct iovec piece = {content, length};
	struct request_body body;

	assert_int_equal(request_body_begin(&body, &world->process, &world->region, length), 0);
	assert_int_equal(request_body_append(&body, &piece, 1), 0);
	assert_int_equal(body.length, length);
	return request_body_finish(&body);
}

/* As much as there is room for, but no more than this at once; returns the bytes stored. */
static size_t fill(struct request_body *body, size_t total, size_t most)
{
	size_t done = 0, room;
	void *host;

	while (done < total) {
		assert_int_equal(request_body_room(body, &host, &room), 0);
		if (room == 0)
			break;
		assert_true(room <= 64 * PAGE_SIZE);
		room = min_u64(min_u64(room, most), total - done);
		memcpy(host, content + done, room);
		request_body_stored(body, room);
		done += room;
	}
	return done;
}

static void test_pieces_follow_each_other(void **state)
{
	struct iovec pieces[] = {{content, 1},
	                         {NULL, 0},
	                         {content + 1, 4095},
	                         {content + 4096, 10},
	                         {content + 4106, 9000}};
	struct request_body body;
	struct world world;

	(void)state;
	world_begin(&world, PLENTY);
	assert_int_equal(request_body_begin(&body, &world.process, &world.region, 13106), 0);
	assert_int_equal(request_body_append(&body, pieces, 3), 0);
	assert_int_equal(request_body_append(&body, pieces + 3, 2), 0);
	assert_int_equal(body.length, 13106);
	assert_content(&world, request_body_finish(&body), 13106);
	assert_int_equal(mapped_bytes(&world), PAGES(4));
	world_end(&world);
}

static void test_nothing_needs_no_mapping(void **state)
{
	struct world world;

	(void)state;
	world_begin(&world, PLENTY);
	assert_int_equal(copy_body(&world, 0), 0);
	assert_int_equal(mapped_bytes(&world), 0);
	world_end(&world);
}

static void test_host_stores_directly(void **state)
{
	static const size_t at_once[] = {1000, 4096, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at_once); i++) {
		struct request_body body;
		struct world world;
		size_t room;
		void *host;

		world_begin(&world, PLENTY);
		assert_int_equal(
			request_body_begin(&body, &world.process, &world.region, CONTENT - 7), 0);
		assert_int_equal(fill(&body, CONTENT, at_once[i]), CONTENT - 7);
		assert_int_equal(request_body_room(&body, &host, &room), 0);
		assert_int_equal(room, 0);
		assert_content(&world, request_body_finish(&body), CONTENT - 7);
		world_end(&world);
	}
}

static void test_more_than_there_was_room_for_is_not_believed(void **state)
{
	struct request_body body;
	struct world world;

	(void)state;
	world_begin(&world, PLENTY);
	assert_int_equal(request_body_begin(&body, &world.process, &world.region, 100), 0);
	request_body_stored(&body, SIZE_MAX);
	assert_int_equal(body.length, 100);
	world_end(&world);
}

static void test_unknown_length_is_reserved_and_given_back(void **state)
{
	struct request_body body;
	struct world world;

	(void)state;
	world_begin(&world, PLENTY);
	assert_int_equal(
		request_body_begin(&body, &world.process, &world.region, REQUEST_BODY_UNKNOWN), 0);
	assert_int_equal(mapped_bytes(&world), REQUEST_BODY_MAXIMUM);
	assert_int_equal(fill(&body, PAGES(3) + 1, SIZE_MAX), PAGES(3) + 1);
	assert_content(&world, request_body_finish(&body), PAGES(3) + 1);
	assert_int_equal(mapped_bytes(&world), PAGES(4));
	assert_int_equal(world.region.size, PAGES(4));

	assert_int_equal(
		request_body_begin(&body, &world.process, &world.region, REQUEST_BODY_UNKNOWN), 0);
	assert_int_equal(request_body_finish(&body), 0);
	assert_int_equal(mapped_bytes(&world), 0);
	assert_int_equal(world.region.size, 0);
	world_end(&world);
}

static void test_lengths_are_bounded(void **state)
{
	struct iovec more = {content, 11}, huge = {NULL, SIZE_MAX};
	struct request_body body;
	struct world world;

	(void)state;
	world_begin(&world, PLENTY);
	assert_int_equal(
		request_body_begin(&body, &world.process, &world.region, REQUEST_BODY_MAXIMUM + 1),
		-E2BIG);
	assert_int_equal(request_body_begin(&body, &world.process, &world.region, UINT64_MAX - 1),
	                 -E2BIG);
	assert_int_equal(
		request_body_begin(&body, &world.process, &world.region, REQUEST_BODY_MAXIMUM), 0);
	assert_int_equal(request_body_append(&body, &huge, 1), -E2BIG);
	body.length = REQUEST_BODY_MAXIMUM - 10;
	assert_int_equal(request_body_append(&body, &more, 1), -E2BIG);
	more.iov_len = 10;
	assert_int_equal(request_body_append(&body, &more, 1), 0);
	assert_int_equal(request_body_append(&body, &more, 1), -E2BIG);
	assert_int_equal(request_body_begin(&body, &world.process, &world.region, 9), 0);
	assert_int_equal(request_body_append(&body, &more, 1), -E2BIG);
	assert_int_equal(body.length, 0);
	world_end(&world);
}

static void test_next_body_has_the_same_place(void **state)
{
	struct world world;
	uint64_t first, larger;

	(void)state;
	world_begin(&world, PLENTY);
	first = copy_body(&world, PAGES(3));
	assert_int_equal(copy_body(&world, 100), first);
	assert_int_equal(copy_body(&world, PAGES(3)), first);
	assert_int_equal(mapped_bytes(&world), PAGES(3));
	larger = copy_body(&world, PAGES(100));
	assert_int_equal(larger, first);
	assert_content(&world, larger, PAGES(100));
	assert_int_equal(mapped_bytes(&world), PAGES(100));
	world_end(&world);
}

static void map_at(struct world *world, uint64_t address, uint64_t length, unsigned protection)
{
	assert_int_equal(mm_map(&world->process, &address, length, protection, MM_FIXED, NULL, 0), 0);
}

/* Something of the guest's right behind it: more does not fit there. */
static void test_larger_body_moves_on(void **state)
{
	struct world world;
	uint64_t first, second;

	(void)state;
	world_begin(&world, PLENTY);
	first = copy_body(&world, PAGES(3));
	map_at(&world, first + PAGES(3), PAGES(1), SPACE_READ);
	second = copy_body(&world, PAGES(4));
	assert_true(second > first);
	assert_content(&world, second, PAGES(4));
	assert_int_equal(mapped_bytes(&world), PAGES(5));
	world_end(&world);
}

static void test_what_the_guest_did_to_it_is_respected(void **state)
{
	struct world world;
	uint64_t first, second;

	(void)state;
	world_begin(&world, PLENTY);
	first = copy_body(&world, PAGES(3));
	assert_int_equal(mm_unmap(&world.process, first + PAGES(1), PAGES(1)), 0);
	second = copy_body(&world, PAGES(3));
	assert_content(&world, second, PAGES(3));
	assert_int_not_equal(second, first);
	assert_int_equal(mapped_bytes(&world), PAGES(5));

	assert_int_equal(mm_protect(&world.process, second, PAGES(1), SPACE_READ), 0);
	assert_content(&world, copy_body(&world, PAGES(3)), PAGES(3));
	assert_int_equal(mapped_bytes(&world), PAGES(8));
	world_end(&world);
}

static void test_limit_is_reached(void **state)
{
	struct iovec piece = {content, PAGES(20)};
	struct request_body body;
	struct world world;
	size_t room = 0;
	void *host;

	(void)state;
	world_begin(&world, 10);
	assert_int_equal(request_body_begin(&body, &world.process, &world.region, PAGES(20)), 0);
	assert_int_equal(request_body_append(&body, &piece, 1), -ENOMEM);
	assert_int_equal(body.length, 0);
	assert_int_equal(fill(&body, PAGES(10), SIZE_MAX), PAGES(10));
	assert_int_equal(request_body_room(&body, &host, &room), -ENOMEM);
	assert_int_equal(room, 0);
	request_body_finish(&body);
	world_end(&world);
}

static void test_fork_starts_with_its_masters(void **state)
{
	struct world master, fork;
	uint64_t first;

	(void)state;
	world_begin(&master, PLENTY);
	first = copy_body(&master, PAGES(3));
	world_fork(&fork, &master);
	memset(content, 'f', PAGES(3));
	assert_int_equal(copy_body(&fork, PAGES(3)), first);
	assert_content(&fork, first, PAGES(3));
	world_end(&fork);
	assert_int_equal(((uint8_t *)fake_page_at(&master.fake, first)->bytes)[1], 1);
	world_end(&master);
}

/* The n-th allocation fails; what is there afterwards is good for the next body. */
static void test_without_memory(void **state)
{
	bool passed = false;

	(void)state;
	for (uint64_t n = 1; !passed; n++) {
		struct iovec piece = {content, PAGES(3)};
		struct request_body body;
		struct world world;
		int result;

		world_begin(&world, PLENTY);
		copy_body(&world, PAGES(1));
		fake_fail_allocation = n;
		result = request_body_begin(&body, &world.process, &world.region,
		                            REQUEST_BODY_UNKNOWN);
		if (result == 0)
			result = request_body_append(&body, &piece, 1);
		if (result == 0)
			assert_content(&world, request_body_finish(&body), PAGES(3));
		else
			assert_int_equal(result, -ENOMEM);
		passed = fake_fail_allocation > 0;
		fake_fail_allocation = 0;
		assert_true(result == 0 || !passed);
		assert_content(&world, copy_body(&world, PAGES(5)), PAGES(5));
		world_end(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_follow_each_other),
		cmocka_unit_test(test_nothing_needs_no_mapping),
		cmocka_unit_test(test_host_stores_directly),
		cmocka_unit_test(test_more_than_there_was_room_for_is_not_believed),
		cmocka_unit_test(test_unknown_length_is_reserved_and_given_back),
		cmocka_unit_test(test_lengths_are_bounded),
		cmocka_unit_test(test_next_body_has_the_same_place),
		cmocka_unit_test(test_larger_body_moves_on),
		cmocka_unit_test(test_what_the_guest_did_to_it_is_respected),
		cmocka_unit_test(test_limit_is_reached),
		cmocka_unit_test(test_fork_starts_with_its_masters),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
