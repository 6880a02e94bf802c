/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls when the host has no memory: every allocation of an exchange
 * fails once. Nothing leaks, the guest's run ends as out of memory, and what
 * was there before is still sound.
 */
#include "fake_api_guest.h"
#include "fault_injection.h"

#include "http/header_store.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A guest's steps in one exchange; a step is a hypercall. */
struct step {
	uint32_t number;
	uint64_t arguments[6];
};

#define LARGE (1u << 20)

struct scene {
	struct fake_guest *guest;
	struct hypercalls fresh; /* what each try begins with */
	struct step steps[12];
	size_t count;
};

static void add(struct scene *scene, struct step step)
{
	scene->steps[scene->count++] = step;
}

static uint64_t put_extra(struct fake_guest *guest, const char *text)
{
	const uint64_t field[2] = {fake_put_text(guest, text), strlen(text)};
	const uint64_t extra[7] = {fake_put(guest, field, sizeof(field)), 1};

	return fake_put(guest, extra, sizeof(extra));
}

/* Every call that allocates. */
static void write_scene(struct scene *scene, bool streamed)
{
	struct fake_guest *guest = scene->guest;
	uint64_t field = fake_put_text(guest, "A: b");
	uint64_t name = fake_put_text(guest, "Host");
	uint64_t type = fake_put_text(guest, "text/plain");

	add(scene, (struct step){0x10020, {1, field, 4}});
	add(scene, (struct step){0x10021, {1, field, 4}});
	add(scene, (struct step){0x10022, {0, name, 4, 0, 0}});
	add(scene, (struct step){0x7f000, {field, 4}});
	add(scene, (struct step){0x10030, {name, 4}});
	add(scene, (struct step){0x10032, {0, name, 4}});
	add(scene, (struct step){0x10033, {0, name, name, FAKE_ARENA + LARGE, 64, 1}});
	add(scene, (struct step){0x10035, {0, 0, 1}});
	add(scene, (struct step){0x10031, {0}});
	if (streamed)
		add(scene, (struct step){0x10012, {200, type, 10, 5, 0x400000, 1}});
	else
		add(scene,
		    (struct step){0x10010,
		                  {200, type, 10, FAKE_ARENA, LARGE, put_extra(guest, "C: d")}});
}

static bool begin(struct fake_guest *guest)
{
	static const struct kvmsb_http_field field = {"Host: a", 7};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	int result;

	request.fields = &field;
	request.field_count = 1;
	result = hypercalls_begin(&guest->hypercalls, &request);
	if (result == 0)
		return true;
	assert_int_equal(result, -ENOMEM);
	assert_null(guest->hypercalls.exchange);
	return false;
}

/* Until one fails. */
static void play(struct scene *scene)
{
	struct fake_guest *guest = scene->guest;

	guest->process.end = PROCESS_RUNS;
	for (size_t i = 0; i < scene->count && guest->process.end == PROCESS_RUNS; i++) {
		const struct step *step = &scene->steps[i];
		uint64_t value = 0;
		enum hypercall_action action = hypercalls_run(&guest->hypercalls, &guest->process,
		                                              step->number, step->arguments, &value);

		assert_int_equal(action, i == scene->count - 1 && guest->process.end == PROCESS_RUNS
		                                 ? HYPERCALL_STOP
		                                 : HYPERCALL_CONTINUE);
	}
}

/* Whether an allocation failed. */
static bool try_with_failure(struct scene *scene, unsigned number)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	const long before = resources_now().blocks;
	bool begun, hit;

	fault_inject(FAULT_ALLOCATION, number, false);
	begun = begin(scene->guest);
	if (begun)
		play(scene);
	hit = fault_stop();
	assert_int_equal(hypercalls_response(&scene->guest->hypercalls, &response), 0);
	if (begun)
		assert_int_equal(scene->guest->process.end,
		                 hit ? PROCESS_OUT_OF_MEMORY : PROCESS_RUNS);
	assert_int_equal(response.status, hit ? 0 : 200);
	hypercalls_reset(&scene->guest->hypercalls, &scene->fresh);
	assert_int_equal(resources_now().blocks, before);
	return hit;
}

static void fail_every_allocation(bool streamed)
{
	struct scene scene = {.guest = fake_guest_create()};
	unsigned number = 1;

	scene.guest->hypercalls.ready = true;
	scene.fresh = scene.guest->hypercalls;
	write_scene(&scene, streamed);
	while (try_with_failure(&scene, number))
		number++;
	/*
	 * Exchange, field; text and field of two calls; two texts; five for a regex, two for
	 * its match, five for a substitution, three for a field to copy; the response's.
	 */
	assert_true(number > (streamed ? 23 : 25));
	fake_guest_destroy(scene.guest);
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	fail_every_allocation(false);
	fail_every_allocation(true);
}

static void test_walking_fields_without_memory(void **state)
{
	struct fake_guest *guest = fake_guest_create();
	struct call call = {.hypercalls = &guest->hypercalls, .process = &guest->process};
	int64_t position;
	char *text = NULL;
	size_t length;

	(void)state;
	assert_true(begin(guest));
	fault_inject(FAULT_ALLOCATION, 1, false);
	position = header_store_next(&call, KVMSB_HTTP_REQUEST, 0, &text, &length);
	assert_true(fault_stop());
	assert_int_equal(position, -ENOMEM);
	assert_null(text);
	assert_int_equal(guest->process.end, PROCESS_OUT_OF_MEMORY);
	fake_guest_destroy(guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_fails_once),
		cmocka_unit_test(test_walking_fields_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
