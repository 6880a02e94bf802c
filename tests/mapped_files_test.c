/* SPDX-License-Identifier: MIT */
/*
 * Files in guests' memory: read where the host has them mapped, copied as soon as
 * somebody writes, and cut off while master, forks and the host use them. With
 * read-only memory slots, with plain ones, and (but for the cutting) with copies.
 */
#include "sandbox_fixture.h"

#include "memory.h"
#include "sandbox.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAPPED GUEST("mapped-static")

#define PAGES 300u
#define TAIL 100u
#define SIZE (PAGES * PAGE_SIZE + TAIL)

/* After the cut: whole pages, and bytes in the next. */
#define CUT_PAGES 10u
#define CUT_TAIL 50u
#define CUT_SIZE (CUT_PAGES * PAGE_SIZE + CUT_TAIL)

/* What the host can do. */

static bool plain_slots_only, copies_only;

int __real_kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host);
int __wrap_kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host);
int __real_memory_map_file(struct memory *memory, int descriptor, uint64_t offset, uint64_t *length,
                           gpa_t *frame);
int __wrap_memory_map_file(struct memory *memory, int descriptor, uint64_t offset, uint64_t *length,
                           gpa_t *frame);

int __wrap_kvm_memory_slot_read_only(int vm, uint32_t slot, uint64_t gpa, uint64_t size, void *host)
{
	return plain_slots_only ? -EINVAL
	                        : __real_kvm_memory_slot_read_only(vm, slot, gpa, size, host);
}

int __wrap_memory_map_file(struct memory *memory, int descriptor, uint64_t offset, uint64_t *length,
                           gpa_t *frame)
{
	return copies_only ? -EOPNOTSUPP
	                   : __real_memory_map_file(memory, descriptor, offset, length, frame);
}

/* The file. */

static char path[] = "/tmp/kvmsb-mapped-XXXXXX";
static int file = -1;

static uint8_t byte_of(uint64_t page)
{
	return (uint8_t)(1 + (page * 7 + 3) % 251);
}

static void fill(void)
{
	uint8_t page[PAGE_SIZE];

	assert_int_equal(ftruncate(file, 0), 0);
	for (uint64_t i = 0; i <= PAGES; i++) {
		ssize_t length = i < PAGES ? (ssize_t)sizeof(page) : (ssize_t)TAIL;

		memset(page, byte_of(i), sizeof(page));
		assert_int_equal(pwrite(file, page, (size_t)length, (off_t)(i * PAGE_SIZE)), length);
	}
}

static uint64_t sum_of(uint64_t first, uint64_t count)
{
	uint64_t sum = 0;

	/* The last page's byte that is added up lies in what is zeros after the file's end. */
	for (uint64_t i = first; i < first + count; i++)
		sum += i == PAGES ? 0 : byte_of(i);
	return sum;
}

static void cut(void)
{
	assert_int_equal(ftruncate(file, CUT_SIZE), 0);
}

/* What the program writes: to a descriptor, from its memory, or to a function, by a copy. */

static int output = -1;
static bool by_function;

static int begin(void **unused)
{
	file = mkstemp(path);
	output = memfd_create("output", MFD_CLOEXEC);
	if (file < 0 || output < 0)
		return -1;
	fill();
	return fixture_end_hangs(unused);
}

static int end(void **unused)
{
	close(file);
	close(output);
	unlink(path);
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	plain_slots_only = copies_only = by_function = false;
	return fixture_end_well(unused);
}

static int64_t collect(void *user, const void *data, size_t length)
{
	(void)user;
	if (length == 3 && memcmp(data, "cut", 3) == 0) {
		cut();
		return 3;
	}
	return write(output, data, length);
}

static void forget_output(void)
{
	assert_int_equal(ftruncate(output, 0), 0);
	assert_int_equal(lseek(output, 0, SEEK_SET), 0);
}

#define FORK_LIMIT (UINT64_C(2) << 20)

static struct kvmsb *new_sandbox(const char *page, const char *by_write)
{
	const char *const arguments[] = {MAPPED, path, page, by_write, NULL};
	const struct kvmsb_path_rule rule = {.path = path};
	struct kvmsb_options options = fixture_options(MAPPED);

	options.arguments = arguments;
	options.paths = &rule;
	options.path_count = 1;
	options.fork_memory_limit = FORK_LIMIT;
	if (by_function)
		options.standard_output.write = collect;
	else
		options.standard_output = (struct kvmsb_stream){.use_descriptor = 1,
		                                                .descriptor = output};
	return fixture_create(&options);
}

/* forget: it has no page of the file when it is frozen. */
static struct kvmsb *new_master_that(const char *forget)
{
	struct kvmsb *master = new_sandbox(forget, NULL);
	struct kvmsb_result result = {.size = sizeof(result)};

	assert_int_equal(kvmsb_run(master, &result), 0);
	assert_outcome(master, &result, KVMSB_OUTCOME_READY);
	assert_int_equal(kvmsb_freeze(master), 0);
	return master;
}

static struct kvmsb *new_master(void)
{
	return new_master_that(NULL);
}

static uint64_t frames_of(const struct kvmsb *sandbox)
{
	return sandbox->machine->memory.frames_in_use;
}

static void assert_sum(struct kvmsb *fork, uint64_t first, uint64_t count)
{
	assert_int_equal(fixture_value(fork, "add_up", NUMBERS(first, count)), sum_of(first, count));
}

/* write(2) of file pages, from within one, over several, and all. */
static void assert_written(struct kvmsb *fork, uint64_t page, uint64_t offset, uint64_t length)
{
	static uint8_t written[PAGES * PAGE_SIZE];

	forget_output();
	assert_int_equal(fixture_value(fork, "write_out", NUMBERS(page, offset, length)), length);
	assert_int_equal(pread(output, written, sizeof(written), 0), length);
	for (uint64_t i = 0; i < length; i++)
		assert_int_equal(written[i], byte_of(page + (offset + i) / PAGE_SIZE));
}

static void assert_read_by_host(struct kvmsb *sandbox, uint64_t address)
{
	uint8_t bytes[PAGE_SIZE];

	assert_int_equal(kvmsb_memory_read(sandbox, address + 100, bytes, sizeof(bytes)), 0);
	assert_int_equal(bytes[0], byte_of(7));
	assert_int_equal(bytes[sizeof(bytes) - 1], byte_of(8));
}

static void check_contents(void)
{
	struct kvmsb *master = new_master();
	struct kvmsb *fork = fixture_fork(master);
	uint64_t address = fixture_value(fork, "address_of", NUMBERS(7));

	assert_sum(fork, 0, PAGES + 1);
	assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(PAGES, TAIL - 1)), byte_of(PAGES));
	assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(PAGES, TAIL)), 0);
	assert_written(fork, 3, 100, 50);
	assert_written(fork, 3, 100, 3 * PAGE_SIZE);
	assert_written(fork, 0, 0, PAGES * PAGE_SIZE);
	assert_read_by_host(master, address);
	assert_read_by_host(fork, address);
	assert_int_equal(kvmsb_memory_write(fork, address, "x", 1), -EFAULT);
	assert_int_equal(fixture_value(fork, "share", NO_NUMBERS), EACCES * 1000 + EACCES);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void contents_are_the_files(void **unused)
{
	(void)unused;
	check_contents();
	plain_slots_only = true;
	check_contents();
	by_function = true;
	check_contents();
	plain_slots_only = false;
	copies_only = true;
	check_contents();
	by_function = false;
	check_contents();
}

static void nothing_is_copied(void **unused)
{
	struct kvmsb *mapped, *copied, *fork;
	uint64_t frames;

	(void)unused;
	mapped = new_master();
	copies_only = true;
	copied = new_master();
	copies_only = false;
	assert_true(frames_of(copied) >= frames_of(mapped) + PAGES);
	fork = fixture_fork(mapped);
	frames = frames_of(mapped);
	assert_sum(fork, 0, PAGES);
	assert_true(frames_of(mapped) <= frames + 4);
	/* Of its own, too. */
	assert_int_equal(fixture_value(fork, "map_again", NUMBERS(0, PAGES, 1)), sum_of(0, PAGES));
	assert_true(frames_of(mapped) <= frames + 4);
	/* All have one place. */
	assert_int_equal(mapped->machine->memory.files.count, 1);
	kvmsb_destroy(fork);
	kvmsb_destroy(copied);
	kvmsb_destroy(mapped);
}

static void check_writes(void)
{
	struct kvmsb *master = new_master();
	struct kvmsb *fork = fixture_fork(master), *sibling = fixture_fork(master);
	uint8_t byte;

	for (unsigned round = 0; round < 3; round++) {
		assert_sum(fork, 0, PAGES);
		assert_int_equal(fixture_value(fork, "write_privately", NUMBERS(5, 255)), byte_of(5));
		assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(5, 5)), 255);
		assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(5, 6)), byte_of(5));
		assert_int_equal(fixture_value(fork, "write_mapping", NUMBERS(9, 255)), byte_of(9));
		assert_sum(sibling, 0, PAGES);
		assert_int_equal(pread(file, &byte, 1, 5 * PAGE_SIZE + 5), 1);
		assert_int_equal(byte, byte_of(5));
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(sibling);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

static void writes_are_private(void **unused)
{
	(void)unused;
	check_writes();
	plain_slots_only = true;
	check_writes();
	plain_slots_only = false;
	copies_only = true;
	check_writes();
}

/* A reset takes the pages of such a mapping away. */
static void assert_taken_away(struct kvmsb *fork, uint64_t pages)
{
	uint64_t address = fixture_value(fork, "map_for_good", NUMBERS(pages));
	struct kvmsb_result result;

	assert_int_not_equal(address, 0);
	assert_int_equal(fixture_value(fork, "peek", NUMBERS(address)), byte_of(0));
	assert_int_equal(kvmsb_reset(fork), 0);
	result = fixture_call(fork, "peek", NUMBERS(address));
	assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.address, address);
	assert_int_equal(kvmsb_reset(fork), 0);
}

/* Small mappings and large ones, kept or not: a reset takes them away, and nothing piles up. */
static void a_reset_takes_mappings_away(void **unused)
{
	static const uint64_t pages[] = {1, 3, 63, 64, PAGES};
	struct kvmsb *master, *fork;
	uint64_t frames = 0;

	(void)unused;
	master = new_master();
	fork = fixture_fork(master);
	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
			for (unsigned keep = 0; keep < 2; keep++)
				assert_int_equal(fixture_value(fork, "map_again",
				                               NUMBERS(0, pages[i], keep)),
				                 sum_of(0, pages[i]));
			assert_int_equal(kvmsb_reset(fork), 0);
			assert_sum(fork, 0, PAGES);
			assert_taken_away(fork, pages[i]);
		}
		assert_int_equal(kvmsb_reset(fork), 0);
		if (round == 0)
			frames = frames_of(master);
		assert_true(frames_of(master) <= frames);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Pages that the fork can write until its limit is reached. */
static uint64_t filled(struct kvmsb *fork)
{
	struct kvmsb_result result = fixture_call(fork, "fill", NO_NUMBERS);
	uint64_t pages = 0;

	assert_outcome(fork, &result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	assert_int_equal(
		kvmsb_memory_read(fork, fixture_symbol(fork, "reads"), &pages, sizeof(pages)), 0);
	return pages;
}

/* What was read of files, by this request or one before, leaves as much of the limit. */
static void reading_takes_nothing_of_the_limit(void **unused)
{
	struct kvmsb *master = new_master_that("forget"), *fork = fixture_fork(master);
	uint64_t pages = filled(fork);

	(void)unused;
	assert_true(pages > FORK_LIMIT / PAGE_SIZE / 2);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_sum(fork, 0, PAGES);
	assert_int_equal(filled(fork), pages);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_sum(fork, 0, PAGES);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(filled(fork), pages);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_sum(fork, 0, PAGES);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* Files that are cut off. */

static void assert_faults(struct kvmsb *fork, uint64_t page)
{
	struct kvmsb_result result;
	uint64_t reads = 0;

	assert_int_equal(kvmsb_reset(fork), 0);
	result = fixture_call(fork, "byte_at", NUMBERS(page, 0));

	assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.vector, VECTOR_PF);
	/* It went on where it was, and not from the beginning of the call. */
	assert_int_equal(
		kvmsb_memory_read(fork, fixture_symbol(fork, "reads"), &reads, sizeof(reads)), 0);
	assert_int_equal(reads, 1);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(result.fault.address, fixture_value(fork, "address_of", NUMBERS(page)));
}

static void assert_cut(struct kvmsb *fork)
{
	assert_sum(fork, 0, CUT_PAGES);
	assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(CUT_PAGES, CUT_TAIL - 1)),
	                 byte_of(CUT_PAGES));
	assert_int_equal(fixture_value(fork, "byte_at", NUMBERS(CUT_PAGES, CUT_TAIL)), 0);
	/* The host's accesses: an error, or what comes before. */
	forget_output();
	assert_int_equal(fixture_value(fork, "write_out", NUMBERS(CUT_PAGES + 1, 0, 1)), -EFAULT);
	assert_int_equal(lseek(output, 0, SEEK_END), 0);
	assert_int_equal(fixture_value(fork, "write_out", NUMBERS(0, 0, 20 * PAGE_SIZE)),
	                 (CUT_PAGES + 1) * PAGE_SIZE);
	assert_faults(fork, CUT_PAGES + 1);
	assert_faults(fork, PAGES - 1);
	assert_sum(fork, 0, CUT_PAGES);
}

static void check_cut(void)
{
	struct kvmsb *master = new_master();
	struct kvmsb *fork = fixture_fork(master), *sibling = fixture_fork(master);
	uint64_t address = fixture_value(fork, "address_of", NUMBERS(PAGES - 1));
	uint8_t byte;

	assert_sum(fork, 0, PAGES);
	cut();
	assert_int_equal(kvmsb_memory_read(master, address, &byte, 1), -EFAULT);
	assert_int_equal(kvmsb_memory_read(sibling, address, &byte, 1), -EFAULT);
	assert_cut(fork);
	assert_cut(sibling);
	kvmsb_destroy(sibling);
	sibling = fixture_fork(master);
	assert_cut(sibling);
	/* It is whole again: so are the forks. */
	fill();
	assert_sum(fork, 0, PAGES);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_sum(fork, 0, PAGES);
	assert_sum(sibling, 0, PAGES);
	kvmsb_destroy(sibling);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
	fill();
}

static void a_cut_file_is_the_forks_fault(void **unused)
{
	(void)unused;
	check_cut();
	plain_slots_only = true;
	check_cut();
}

static void run_and_cut(const char *by_write, enum kvmsb_outcome wanted)
{
	struct kvmsb *sandbox = new_sandbox("200", by_write);
	struct kvmsb_result result = {.size = sizeof(result)};

	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	assert_outcome(sandbox, &result, wanted);
	if (wanted == KVMSB_OUTCOME_FAULTED)
		assert_int_equal(result.fault.vector, VECTOR_PF);
	kvmsb_destroy(sandbox);
	fill();
}

static void a_cut_file_is_the_masters_fault(void **unused)
{
	(void)unused;
	by_function = true;
	run_and_cut(NULL, KVMSB_OUTCOME_FAULTED);
	run_and_cut("by write", KVMSB_OUTCOME_READY);
	plain_slots_only = true;
	run_and_cut(NULL, KVMSB_OUTCOME_FAULTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(contents_are_the_files, begin, end),
		cmocka_unit_test_setup_teardown(nothing_is_copied, begin, end),
		cmocka_unit_test_setup_teardown(writes_are_private, begin, end),
		cmocka_unit_test_setup_teardown(a_reset_takes_mappings_away, begin, end),
		cmocka_unit_test_setup_teardown(reading_takes_nothing_of_the_limit, begin, end),
		cmocka_unit_test_setup_teardown(a_cut_file_is_the_forks_fault, begin, end),
		cmocka_unit_test_setup_teardown(a_cut_file_is_the_masters_fault, begin, end),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
