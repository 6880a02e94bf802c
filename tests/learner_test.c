/* SPDX-License-Identifier: MIT */
/* lib/learner.h: what is learned, what is not, what is forgotten, and what readers keep. */
#include "learner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIMIT 8u
/* Sighted pages that are remembered; see learner.c. */
#define REMEMBERED (4 * LIMIT)

static uint64_t page_number(uint64_t number)
{
	return number << 12;
}

static void sight(struct learner *learner, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		const struct learned_page page = {.page = page_number(i)};

		learner_sight(learner, &page, 1);
	}
}

/* The numbers of the learned pages, in a set of bits; they come sorted. */
static uint64_t learned(struct learner *learner)
{
	struct learned_pages *pages = learner_pages(learner);
	uint64_t set = 0;

	for (uint32_t i = 0; pages != NULL && i < pages->count; i++) {
		assert_true(i == 0 || pages->pages[i].page > pages->pages[i - 1].page);
		set |= UINT64_C(1) << (pages->pages[i].page >> 12);
	}
	learned_pages_release(pages);
	return set;
}

static void pages_are_learned_at_the_second_sighting(void **unused)
{
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, LIMIT), 0);
	assert_int_equal(learner_version(&learner), 0);
	sight(&learner, 3, 3);
	assert_int_equal(learner_version(&learner), 0);
	assert_null(learner_pages(&learner));
	sight(&learner, 5, 1);
	assert_int_equal(learned(&learner), 1u << 5);
	sight(&learner, 3, 2);
	assert_int_equal(learned(&learner), 7u << 3);
	/* What is known changes nothing. */
	uint64_t version = learner_version(&learner);
	sight(&learner, 3, 3);
	assert_int_equal(learner_version(&learner), version);
	learner_destroy(&learner, true);
}

static void a_set_lives_as_long_as_it_is_used(void **unused)
{
	struct learned_pages *before;
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, LIMIT), 0);
	sight(&learner, 1, 1);
	sight(&learner, 1, 1);
	before = learner_pages(&learner);
	sight(&learner, 2, 1);
	sight(&learner, 2, 1);
	assert_int_equal(learned(&learner), 3u << 1);
	assert_int_not_equal(before->version, learner_version(&learner));
	learner_destroy(&learner, true);
	assert_int_equal(before->count, 1);
	assert_int_equal(before->pages[0].page, page_number(1));
	learned_pages_release(before);
}

static void what_is_known_of_a_page_is_kept(void **unused)
{
	const struct learned_page page = {.page = page_number(9), .flags = 6, .zeros = true};
	struct learned_pages *pages;
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, LIMIT), 0);
	for (unsigned i = 0; i < LEARNER_SIGHTINGS; i++)
		learner_sight(&learner, &page, 1);
	pages = learner_pages(&learner);
	assert_int_equal(pages->pages[0].flags, 6);
	assert_true(pages->pages[0].zeros);
	learned_pages_release(pages);
	learner_destroy(&learner, true);
}

/* One request that writes a lot teaches nothing, and cannot drive out what was learned. */
static void there_is_a_limit(void **unused)
{
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, LIMIT), 0);
	sight(&learner, 0, 4);
	sight(&learner, 0, 4);
	for (uint64_t round = 0; round < 100; round++)
		sight(&learner, 64 + round * 1000, 1000);
	assert_int_equal(learned(&learner), 0xf);
	assert_true(learner.count <= REMEMBERED);
	sight(&learner, 10, 20);
	sight(&learner, 10, 20);
	assert_int_equal(__builtin_popcountll(learned(&learner)), LIMIT);
	assert_int_equal(learned(&learner) & 0xf, 0xf);
	learner_destroy(&learner, true);
}

static void what_is_not_written_is_forgotten(void **unused)
{
	const struct learned_page used = {.page = page_number(1)},
				  strange = {.page = page_number(40)};
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, LIMIT), 0);
	sight(&learner, 0, 3);
	sight(&learner, 0, 3);
	for (unsigned i = 0; i < 2 * LEARNER_MEMORY; i++) {
		/* Right after the start nothing is forgotten. */
		if (i < LEARNER_MEMORY)
			assert_int_equal(learned(&learner), 7);
		learner_written(&learner, &used, 1);
		learner_written(&learner, &strange, 1);
		learner_sampled(&learner);
	}
	assert_int_equal(learned(&learner), 1u << 1);
	/* And can be learned again. */
	sight(&learner, 0, 1);
	sight(&learner, 0, 1);
	assert_int_equal(learned(&learner), 3);
	for (unsigned i = 0; i < 2 * LEARNER_MEMORY; i++)
		learner_sampled(&learner);
	assert_int_equal(learned(&learner), 0);
	assert_int_equal(learner.count, 0);
	learner_destroy(&learner, true);
}

static void without_a_limit_nothing_is_learned(void **unused)
{
	const struct learned_page page = {.page = page_number(1)};
	struct learner learner;

	(void)unused;
	assert_int_equal(learner_init(&learner, 0), 0);
	sight(&learner, 0, 100);
	sight(&learner, 0, 100);
	learner_written(&learner, &page, 1);
	learner_sampled(&learner);
	assert_int_equal(learner_version(&learner), 0);
	assert_null(learner_pages(&learner));
	learner_destroy(&learner, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_learned_at_the_second_sighting),
		cmocka_unit_test(a_set_lives_as_long_as_it_is_used),
		cmocka_unit_test(what_is_known_of_a_page_is_kept),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(what_is_not_written_is_forgotten),
		cmocka_unit_test(without_a_limit_nothing_is_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
