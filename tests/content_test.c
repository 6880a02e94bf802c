/* SPDX-License-Identifier: MIT */
/*
 * The content of responses, read where the guest has it: from every kind of
 * memory, hostile ranges, at a fork's limit, and for how long it stays as it is
 * while everything around it changes.
 */
#include "sandbox_fixture.h"

#include "response_body.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONTENT GUEST("content-static")
#define PAGE UINT64_C(4096)
#define MEBIBYTE (UINT64_C(1) << 20)

/* As the guest has them. */
#define LARGE_SIZE UINT64_C(10000000)
#define HEAP_SIZE UINT64_C(100000)
#define STACK_SIZE UINT64_C(20000)
#define LARGE_SEED 1u
#define HEAP_SEED 2u
#define STACK_SEED 7u
#define BODY_SEED 30u

#define FILE_SIZE (30 * PAGE + 100)
#define FILE_SEED 3u

/* What the guest fills memory with. */
static uint8_t byte_of(uint64_t index, uint64_t seed)
{
	return (uint8_t)(index % 251 + index / 4096 + seed);
}

/* Bytes as of `offset` in memory that was filled; free() them. */
static uint8_t *filled(uint64_t offset, uint64_t length, uint64_t seed)
{
	uint8_t *bytes = malloc(length);

	assert_non_null(bytes);
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = byte_of(offset + i, seed);
	return bytes;
}

static char file_path[] = "/tmp/kvmsb-content-XXXXXX";
static int file = -1;

static int begin(void **unused)
{
	uint8_t *bytes = filled(0, FILE_SIZE, FILE_SEED);
	ssize_t written;

	memcpy(file_path + sizeof(file_path) - 7, "XXXXXX", 6);
	file = mkstemp(file_path);
	written = write(file, bytes, FILE_SIZE);
	free(bytes);
	return written == (ssize_t)FILE_SIZE ? fixture_end_hangs(unused) : -1;
}

static int end(void **unused)
{
	close(file);
	unlink(file_path);
	return fixture_end_well(unused);
}

static struct kvmsb_options options_with_file(void)
{
	static const struct kvmsb_path_rule rules[] = {
		KVMSB_ALLOW_MAPPED("/content", file_path, KVMSB_PATH_READ)};
	struct kvmsb_options options = fixture_options(CONTENT);

	options.paths = rules;
	options.path_count = ARRAY_SIZE(rules);
	return options;
}

/* One request. */
struct answer {
	struct kvmsb_http_response response;
	struct kvmsb_result result;
};

static struct answer request_url(struct kvmsb *sandbox, const char *url)
{
	struct answer answer = {KVMSB_HTTP_RESPONSE_INIT, KVMSB_RESULT_INIT};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.url = url;
	assert_int_equal(kvmsb_request(sandbox, &request, &answer.response, &answer.result), 0);
	return answer;
}

static struct answer request(struct kvmsb *sandbox, uint64_t address, uint64_t length)
{
	char url[64];

	snprintf(url, sizeof(url), "/%llx/%llx", (unsigned long long)address,
	         (unsigned long long)length);
	return request_url(sandbox, url);
}

static bool is_filled(const struct answer *answer, uint64_t offset, uint64_t length, uint64_t seed)
{
	uint8_t *wanted = filled(offset, length, seed);
	bool same = answer->response.status == 200 && body_is(&answer->response, wanted, length);

	free(wanted);
	return same;
}

#define assert_filled(answer, offset, length, seed)                                                \
	assert_true(is_filled(answer, offset, length, seed))

static bool is_zeros(const struct answer *answer, uint64_t length)
{
	const struct kvmsb_http_response *response = &answer->response;
	uint64_t sum = 0;

	for (size_t i = 0; i < response->body_count; i++) {
		const uint8_t *bytes = response->body[i].iov_base;
		size_t size = response->body[i].iov_len;

		if (bytes[0] != 0 || memcmp(bytes, bytes + 1, size - 1) != 0)
			return false;
		sum += size;
	}
	return response->status == 200 && response->body_length == length && sum == length;
}

static void assert_refused(struct kvmsb *fork, uint64_t address, uint64_t length, const char *text)
{
	struct answer answer = request(fork, address, length);

	assert_outcome(fork, &answer.result, KVMSB_OUTCOME_DENIED);
	assert_non_null(strstr(kvmsb_detail(fork), text));
	assert_int_not_equal(answer.response.source, KVMSB_HTTP_FROM_HANDLER);
	assert_int_equal(answer.response.body_length, 0);
	assert_int_equal(kvmsb_reset(fork), 0);
}

/* A range, from its start and from odd places in it. */
static void check_range(struct kvmsb *fork, uint64_t address, uint64_t size, uint64_t seed)
{
	const struct {
		uint64_t offset, length;
	} parts[] = {{0, size}, {1, size - 1}, {PAGE - 1, 2}, {PAGE - 1, PAGE + 2}, {100, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct answer answer = request(fork, address + parts[i].offset, parts[i].length);

		assert_filled(&answer, parts[i].offset, parts[i].length, seed);
	}
}

/* A page of memory that is filled, written by the host. */
static void write_filled(struct kvmsb *fork, uint64_t start, uint64_t offset, uint64_t seed)
{
	uint8_t *bytes = filled(offset, PAGE, seed);

	assert_int_equal(kvmsb_memory_write(fork, start + offset, bytes, PAGE), 0);
	free(bytes);
}

/* ---- From everywhere ---- */

static void test_content_from_the_program(void **state)
{
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);
	struct answer answer;

	(void)state;
	check_range(fork, fixture_symbol(fork, "large"), LARGE_SIZE, LARGE_SEED);
	check_range(fork, fixture_value(fork, "heap", NO_NUMBERS), HEAP_SIZE, HEAP_SEED);
	answer = request_url(fork, "/stack");
	assert_filled(&answer, 0, STACK_SIZE, STACK_SEED);
	answer = request(fork, fixture_symbol(fork, "constant"), 21);
	assert_true(body_is(&answer.response, "what nobody can write", 21));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Where there is no master. */
static void test_content_of_what_is_not_a_fork(void **state)
{
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *sandbox = fixture_ready(&options);
	struct answer answer;

	(void)state;
	check_range(sandbox, fixture_symbol(sandbox, "large"), LARGE_SIZE, LARGE_SEED);
	answer = request(sandbox, fixture_symbol(sandbox, "untouched"), LARGE_SIZE);
	assert_true(is_zeros(&answer, LARGE_SIZE));
	kvmsb_destroy(sandbox);
}

static void test_content_that_a_request_made(void **state)
{
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);
	uint64_t size = 300 * PAGE, large = fixture_symbol(fork, "large");
	uint64_t address = fixture_value(fork, "map_anonymous", NUMBERS(size));
	struct answer answer;

	(void)state;
	fixture_value(fork, "fill", NUMBERS(address, size, 9));
	check_range(fork, address, size, 9);
	/* Some of the master's pages are the fork's own now; the rest are not. */
	fixture_value(fork, "fill", NUMBERS(large + 10 * PAGE, 10 * PAGE, 8));
	answer = request(fork, large + 10 * PAGE, 10 * PAGE);
	assert_filled(&answer, 0, 10 * PAGE, 8);
	answer = request(fork, large + 20 * PAGE, 10 * PAGE);
	assert_filled(&answer, 20 * PAGE, 10 * PAGE, LARGE_SEED);
	answer = request(fork, large, 30 * PAGE);
	assert_int_equal(answer.response.body_length, 30 * PAGE);
	assert_int_equal(kvmsb_reset(fork), 0);
	answer = request(fork, large, 30 * PAGE);
	assert_filled(&answer, 0, 30 * PAGE, LARGE_SEED);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* In place where it is copied into the guest, in copies where it is the host's own page cache. */
static void test_content_of_a_file(void **state)
{
	struct kvmsb_options options = options_with_file();
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);

	(void)state;
	for (uint64_t writable = 0; writable < 2; writable++) {
		uint64_t address = fixture_value(fork, "map_file", NUMBERS(FILE_SIZE, writable));

		check_range(fork, address, FILE_SIZE, FILE_SEED);
		/* A page of its own in the middle. */
		if (writable != 0)
			write_filled(fork, address, 5 * PAGE, FILE_SEED);
		check_range(fork, address, FILE_SIZE, FILE_SEED);
		/* Behind the file's end: zeros to the page's, and nothing beyond. */
		assert_int_equal(request(fork, address, FILE_SIZE + 1).response.body_length,
		                 FILE_SIZE + 1);
		assert_refused(fork,
		               fixture_value(fork, "map_file", NUMBERS(2 * FILE_SIZE, writable)),
		               FILE_SIZE + PAGE, "cannot read");
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_content_of_a_file_that_changes(void **state)
{
	struct kvmsb_options options = options_with_file();
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);
	uint64_t address = fixture_value(fork, "map_file", NUMBERS(FILE_SIZE, 0));
	struct answer answer = request(fork, address, FILE_SIZE);

	(void)state;
	assert_int_equal(pwrite(file, "changed", 7, 100), 7);
	assert_int_equal(ftruncate(file, PAGE), 0);
	assert_filled(&answer, 0, FILE_SIZE, FILE_SEED);
	assert_refused(fork, address, FILE_SIZE, "cannot read");
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Nothing is brought in ---- */

static void test_untouched_memory_costs_nothing(void **state)
{
	const uint64_t most = 512 * MEBIBYTE;
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *master, *fork;
	struct answer answer;
	uint64_t address, before;

	(void)state;
	options.fork_memory_limit = 2 * MEBIBYTE;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	answer = request(fork, fixture_symbol(fork, "untouched"), 1);
	before = fixture_statistics(fork).pages_private;
	answer = request(fork, fixture_symbol(fork, "untouched"), LARGE_SIZE);
	assert_true(is_zeros(&answer, LARGE_SIZE));
	address = fixture_value(fork, "map_anonymous", NUMBERS(most + PAGE));
	answer = request(fork, address + 1, most);
	assert_true(is_zeros(&answer, most));
	/* The same zeros again and again. */
	assert_ptr_equal(answer.response.body[1].iov_base, answer.response.body[2].iov_base);
	assert_true(fixture_statistics(fork).pages_private <= before + 16);
	assert_refused(fork, address, most + 1, "larger than 512 MiB");
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Whatever a fork may own: what it answers with is there already. */
static void test_content_at_a_forks_limit(void **state)
{
	struct kvmsb_options options = fixture_options(CONTENT);
	uint64_t own, address, length;
	struct kvmsb *master, *fork;
	struct answer answer;

	(void)state;
	options.fork_memory_limit = 2 * MEBIBYTE;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	own = fixture_value(fork, "map_anonymous", NUMBERS(4 * MEBIBYTE));
	request(fork, own, 1);
	/* One page after the other, until the fork has no more. */
	for (address = own; kvmsb_memory_write(fork, address, "full", 4) == 0; address += PAGE)
		continue;
	length = address - own;
	assert_in_range(length, MEBIBYTE, 2 * MEBIBYTE);
	answer = request(fork, fixture_symbol(fork, "large"), LARGE_SIZE);
	assert_outcome(fork, &answer.result, KVMSB_OUTCOME_HYPERCALL);
	assert_filled(&answer, 0, LARGE_SIZE, LARGE_SEED);
	answer = request(fork, own, length);
	assert_int_equal(answer.response.body_length, length);
	assert_memory_equal(answer.response.body[0].iov_base, "full", 4);
	/* Not even the tables of this would fit. */
	answer = request(fork, fixture_symbol(fork, "untouched"), LARGE_SIZE);
	assert_true(is_zeros(&answer, LARGE_SIZE));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Hostile ranges ---- */

static void test_content_must_be_the_guests(void **state)
{
	const uint64_t user_end = UINT64_C(0x7f8000000000);
	static const uint64_t kernel[] = {UINT64_C(0xffff800000000000),
	                                  UINT64_C(0xffffffff80000000),
	                                  UINT64_C(0x7ffffffff000),
	                                  UINT64_C(0x800000000000),
	                                  UINT64_MAX,
	                                  0,
	                                  0x1000};
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++) {
		assert_refused(fork, kernel[i], 1, "cannot read");
		assert_refused(fork, kernel[i], PAGE, "cannot read");
	}
	assert_refused(fork, user_end - PAGE, 512 * MEBIBYTE, "cannot read");
	assert_refused(fork, UINT64_MAX - 10, 512 * MEBIBYTE, "cannot read");
	assert_refused(fork, 0x400000, UINT64_MAX, "larger than 512 MiB");
	assert_refused(fork, fixture_symbol(fork, "large"), UINT64_C(1) << 63, "larger than 512 MiB");
	/* Empty content is not looked at. */
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++) {
		struct answer answer = request(fork, kernel[i], 0);

		assert_int_equal(answer.response.status, 200);
		assert_int_equal(answer.response.body_length, 0);
		assert_int_equal(answer.response.body_count, 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* A range with a page in it that cannot be read; what is before it and behind it can. */
static void check_hole(struct kvmsb *fork, const char *how, struct numbers more)
{
	const uint64_t hole = 3 * PAGE, size = 6 * PAGE;
	uint64_t address = fixture_value(fork, "map_anonymous", NUMBERS(size));
	struct answer answer;

	fixture_value(fork, "fill", NUMBERS(address, size, 4));
	more.value[0] = address + hole;
	more.value[1] = PAGE;
	assert_int_equal(fixture_value(fork, how, more), 0);
	answer = request(fork, address, hole);
	assert_filled(&answer, 0, hole, 4);
	answer = request(fork, address + hole + PAGE, size - hole - PAGE);
	assert_filled(&answer, hole + PAGE, size - hole - PAGE, 4);
	assert_refused(fork, address, hole + 1, "cannot read");
}

static void test_content_with_a_hole(void **state)
{
	struct kvmsb_options options = fixture_options(CONTENT);
	struct kvmsb *master = fixture_master(&options), *fork = fixture_fork(master);

	(void)state;
	check_hole(fork, "unmap", NO_NUMBERS);
	check_hole(fork, "protect", NUMBERS(0, 0, PROT_NONE));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- How long it stays ---- */

static struct kvmsb *small_master(void)
{
	struct kvmsb_options options = fixture_options(CONTENT);

	options.fork_memory_limit = 2 * MEBIBYTE;
	options.total_fork_memory = 4 * MEBIBYTE;
	return fixture_master(&options);
}

/* Uses up the memory of all, is reset, and again. */
static void run_hard(struct kvmsb *fork)
{
	uint64_t large = fixture_symbol(fork, "large"), size = 2 * MEBIBYTE;

	for (unsigned i = 0; i < 5; i++) {
		struct kvmsb_result result = fixture_call(fork, "fill",
		                                          NUMBERS(large, size, 100 + i));

		assert_outcome(fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
		assert_int_equal(kvmsb_reset(fork), 0);
		fixture_value(fork, "fill", NUMBERS(large, 64 * PAGE, 100 + i));
		assert_int_equal(kvmsb_reset(fork), 0);
	}
}

/* Pages of its own and of its master. */
static void test_content_outlives_what_others_do(void **state)
{
	struct kvmsb *master = small_master(), *fork = fixture_fork(master);
	struct kvmsb *other = fixture_fork(master);
	uint64_t large = fixture_symbol(fork, "large");
	uint8_t *wanted = filled(0, LARGE_SIZE, LARGE_SEED);
	struct answer answer;

	(void)state;
	fixture_value(fork, "fill", NUMBERS(large + PAGE, 40 * PAGE, 9));
	for (uint64_t i = 0; i < 40 * PAGE; i++)
		wanted[PAGE + i] = byte_of(i, 9);
	answer = request(fork, large, LARGE_SIZE);
	assert_true(body_is(&answer.response, wanted, LARGE_SIZE));
	for (unsigned i = 0; i < 3; i++) {
		run_hard(other);
		kvmsb_destroy(other);
		other = fixture_fork(master);
	}
	kvmsb_destroy(master);
	run_hard(other);
	assert_true(body_is(&answer.response, wanted, LARGE_SIZE));
	kvmsb_destroy(other);
	assert_true(body_is(&answer.response, wanted, LARGE_SIZE));
	kvmsb_destroy(fork);
	free(wanted);
}

/*
 * Pages that are the fork's own but hold what its master has would go where the
 * fork is settled; not while the host may still read them.
 */
static void test_content_is_kept_when_the_host_reaches_the_limit(void **state)
{
	struct kvmsb *master = small_master(), *fork = fixture_fork(master);
	uint64_t large = fixture_symbol(fork, "large"),
		 untouched = fixture_symbol(fork, "untouched");
	uint64_t size = 100 * PAGE, address;
	struct answer answer;

	(void)state;
	fixture_value(fork, "fill", NUMBERS(large, size, LARGE_SEED + 1));
	fixture_value(fork, "fill", NUMBERS(large, size, LARGE_SEED));
	answer = request(fork, large, size);
	for (address = untouched; kvmsb_memory_write(fork, address, "full", 4) == 0; address += PAGE)
		continue;
	assert_in_range(address - untouched, 100 * PAGE, 2 * MEBIBYTE);
	assert_filled(&answer, 0, size, LARGE_SEED);
	run_hard(fork);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* The next call may have all of the limit again. */
static void test_next_call_is_not_in_the_way_of_the_last(void **state)
{
	struct kvmsb *master = small_master(), *fork = fixture_fork(master);
	uint64_t large = fixture_symbol(fork, "large"), size = 300 * PAGE;
	struct answer answer;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		/* As the master has them: these pages are there for nothing. */
		fixture_value(fork, "fill", NUMBERS(large, size, LARGE_SEED));
		answer = request(fork, large, size);
		assert_filled(&answer, 0, size, LARGE_SEED);
		fixture_value(fork, "fill", NUMBERS(large + size, size, 20 + i));
		answer = request(fork, large + size, size);
		assert_filled(&answer, 0, size, 20 + i);
		fixture_value(fork, "fill", NUMBERS(large + size, size, LARGE_SEED));
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_host_may_write_to_it(void **state)
{
	struct kvmsb *master = small_master(), *fork = fixture_fork(master);
	uint64_t large = fixture_symbol(fork, "large");
	struct answer answer;
	char text[5] = "";

	(void)state;
	answer = request(fork, large, 2 * PAGE);
	assert_int_equal(kvmsb_memory_write(fork, large, "host", 4), 0);
	/* A page of the master's: the guest has another now. */
	assert_filled(&answer, 0, 2 * PAGE, LARGE_SEED);
	assert_int_equal(kvmsb_memory_read(fork, large, text, 4), 0);
	assert_string_equal(text, "host");
	answer = request(fork, large, 4);
	assert_true(body_is(&answer.response, "host", 4));
	assert_int_equal(kvmsb_memory_write(fork, large, "most", 4), 0);
	assert_true(body_is(&answer.response, "most", 4));
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* ---- Bodies, there and back ---- */

struct sender {
	uint64_t length, sent;
	unsigned calls;
	uint64_t read_from, read_to; /* of the guest's memory, meanwhile */
};

static int64_t send_body(const struct kvmsb_http_context *context, void *buffer, size_t size)
{
	struct sender *sender = context->request_user;
	uint64_t length = min_u64(size, sender->length - sender->sent);
	char byte;

	for (; sender->read_from < sender->read_to; sender->read_from += PAGE)
		if (kvmsb_memory_read(context->sandbox, sender->read_from, &byte, 1) < 0)
			break;
	for (uint64_t i = 0; i < length; i++)
		((uint8_t *)buffer)[i] = byte_of(sender->sent + i, BODY_SEED);
	sender->sent += length;
	sender->calls++;
	return (int64_t)length;
}

static struct answer post(struct kvmsb *sandbox, struct sender *sender)
{
	struct answer answer = {KVMSB_HTTP_RESPONSE_INIT, KVMSB_RESULT_INIT};
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;

	request.method = "POST";
	request.url = "/";
	request.flags = KVMSB_HTTP_BODY_STREAMED;
	request.user = sender;
	assert_int_equal(kvmsb_request(sandbox, &request, &answer.response, &answer.result), 0);
	return answer;
}

/* Free frames that do not lie beside each other: copied one by one for two forks in turn. */
static struct kvmsb *scatter(struct kvmsb *master)
{
	struct kvmsb *stays = fixture_fork(master), *goes = fixture_fork(master);
	uint64_t large = fixture_symbol(master, "large");

	for (uint64_t page = large; page < large + LARGE_SIZE; page += PAGE) {
		assert_int_equal(kvmsb_memory_write(stays, page, "x", 1), 0);
		assert_int_equal(kvmsb_memory_write(goes, page, "x", 1), 0);
	}
	kvmsb_destroy(goes);
	return stays;
}

/* With a body of 10 MB at most, from send_body(). */
static struct kvmsb *body_master(const char *const *arguments, uint64_t fork_memory_limit)
{
	struct kvmsb_http_ops ops = KVMSB_HTTP_OPS_INIT;
	struct kvmsb_options options = fixture_options(CONTENT);

	ops.body_read = send_body;
	options.http = &ops;
	options.arguments = arguments;
	options.fork_memory_limit = fork_memory_limit;
	return fixture_master(&options);
}

static void test_body_is_stored_and_read_in_place(void **state)
{
	struct kvmsb *master = body_master(NULL, 0), *fork = fixture_fork(master), *other = NULL;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sender sender = {.length = LARGE_SIZE};
		struct answer answer = post(fork, &sender);

		assert_filled(&answer, 0, LARGE_SIZE, BODY_SEED);
		assert_int_equal(sender.sent, LARGE_SIZE);
		/* Every piece, and that there are no more. */
		assert_true(sender.calls <= LARGE_SIZE / PAGE + 2);
		assert_int_equal(kvmsb_reset(fork), 0);
		if (other == NULL)
			other = scatter(master);
	}
	kvmsb_destroy(other);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* What reads bring in takes the place of pages that hold nothing yet, but of none that the body goes to. */
static void check_reading_meanwhile(const char *const *arguments)
{
	struct kvmsb *master = body_master(arguments, 2 * MEBIBYTE), *fork = fixture_fork(master);
	struct sender sender = {.length = 50 * PAGE};
	struct answer answer;

	sender.read_from = fixture_value(fork, "map_anonymous", NUMBERS(4 * MEBIBYTE));
	sender.read_to = sender.read_from + 4 * MEBIBYTE;
	answer = post(fork, &sender);
	assert_outcome(fork, &answer.result, KVMSB_OUTCOME_HYPERCALL);
	assert_int_equal(sender.read_from, sender.read_to);
	assert_filled(&answer, 0, arguments == NULL ? sender.length : 0, BODY_SEED);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void test_host_may_read_while_it_stores(void **state)
{
	static const char *const streaming[] = {"content", "streaming", NULL};

	(void)state;
	check_reading_meanwhile(NULL);
	check_reading_meanwhile(streaming);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CONTENT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CONTENT_TEST(test_content_from_the_program),
		CONTENT_TEST(test_content_of_what_is_not_a_fork),
		CONTENT_TEST(test_content_that_a_request_made),
		CONTENT_TEST(test_content_of_a_file),
		CONTENT_TEST(test_content_of_a_file_that_changes),
		CONTENT_TEST(test_untouched_memory_costs_nothing),
		CONTENT_TEST(test_content_at_a_forks_limit),
		CONTENT_TEST(test_content_must_be_the_guests),
		CONTENT_TEST(test_content_with_a_hole),
		CONTENT_TEST(test_content_outlives_what_others_do),
		CONTENT_TEST(test_content_is_kept_when_the_host_reaches_the_limit),
		CONTENT_TEST(test_next_call_is_not_in_the_way_of_the_last),
		CONTENT_TEST(test_host_may_write_to_it),
		CONTENT_TEST(test_body_is_stored_and_read_in_place),
		CONTENT_TEST(test_host_may_read_while_it_stores),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
