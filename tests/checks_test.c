/* SPDX-License-Identifier: MIT */
/*
 * The checked build notices: each test plants something that must never be so,
 * in page tables, frame descriptors, lists or counters, behind the back of who
 * owns them, and the next operation has to end the process and say why. A
 * process of its own is this program, given the number of the plant.
 */
#include "sandbox_fixture.h"

#include "machine.h"
#include "sandbox.h"
#include "space.h"
#include "x86.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define CALLS GUEST("calls-static")

/* What the first call of count() in a fork returns. */
#define COUNTED 11u

#define PAGE_GLOBAL (UINT64_C(1) << 8)

/* The master's memory. Forks begin with what translates DATA as their own. */
#define DATA UINT64_C(0x400000)
#define DATA_PAGES 4u
#define CODE UINT64_C(0x410000)
#define FAR UINT64_C(0x40000000)
#define FARTHER UINT64_C(0x80000000)
#define NOTHING UINT64_C(0x500000)
#define PLENTY 1000u

/* Operations after which also what is looked at now and then was looked at. */
#define MANY_OPERATIONS 64u

struct scene {
	struct machine *machine;
	struct space *master, *fork, *other;
};

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "not possible: %s\n", what);
	_exit(3);
}

static gva_t data_page(unsigned number)
{
	return gva(DATA + number * PAGE_SIZE);
}

static void set_up(struct scene *scene)
{
	const struct machine_limits limits = {.data_bytes = UINT64_C(64) << 20,
	                                      .table_bytes = UINT64_C(16) << 20,
	                                      .vcpu_limit = 1,
	                                      .timeout_signal = SIGURG,
	                                      .entry = KVMSB_ENTRY_AUTOMATIC};
	const struct fork_rules rules = {
		.page_limit = PLENTY, .keep_limit = PLENTY, .call_stack = gva(DATA)};
	const unsigned writable = SPACE_READ | SPACE_WRITE;
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct space *master = NULL;

	must(machine_create(&scene->machine, &limits, &error) == 0, error.detail);
	must(space_create(&master, scene->machine, PLENTY) == 0, "space_create");
	must(space_map(master, gva(DATA), DATA_PAGES * PAGE_SIZE, writable, FRAME_RESTORED) == 0 &&
	             space_map(master, gva(CODE), PAGE_SIZE, SPACE_READ | SPACE_EXECUTE,
	                       FRAME_RESTORED) == 0 &&
	             space_map(master, gva(FAR), PAGE_SIZE, writable, FRAME_RESTORED) == 0 &&
	             space_map(master, gva(FARTHER), PAGE_SIZE, writable, FRAME_RESTORED) == 0 &&
	             space_freeze(master, &rules) == 0,
	     "a master");
	must(space_fork(&scene->fork, master) == 0 && space_fork(&scene->other, master) == 0 &&
	             space_make_private(scene->fork, data_page(1), false) == 0 &&
	             space_make_private(scene->other, data_page(1), false) == 0,
	     "forks");
	scene->master = master;
}

/* Ways behind. */

static uint64_t *entry_at(const struct pagetable *table, const struct memory *memory, uint64_t va,
                          unsigned level)
{
	gpa_t at = table->root;

	for (unsigned above = PAGETABLE_ROOT_LEVEL;; above--) {
		uint64_t *entry = memory_table(memory, at) +
		                  (va >> (PAGE_SHIFT + 9 * (above - 1)) & (PAGETABLE_ENTRIES - 1));

		if (above == level)
			return entry;
		at = gpa(*entry & PTE_ADDRESS);
	}
}

static uint64_t *entry_of(const struct space *space, uint64_t va, unsigned level)
{
	return entry_at(&space->table, &space->machine->memory, va, level);
}

static uint64_t *leaf_of(const struct space *space, gva_t page)
{
	return entry_of(space, page.value, MAPPING_4K);
}

static gpa_t frame_of(const struct space *space, gva_t page)
{
	return gpa(*leaf_of(space, page) & PTE_ADDRESS);
}

static struct frame *descriptor_of(const struct space *space, gva_t page)
{
	return memory_frame(&space->machine->memory, frame_of(space, page));
}

static uint64_t *kernel_leaf(const struct scene *scene, uint64_t va)
{
	return entry_at(&scene->machine->kernel_table, &scene->machine->memory, va, MAPPING_4K);
}

/* An operation that changes nothing. */
static void operate(struct space *space)
{
	space_make_private(space, gva(NOTHING), false);
}

/* What is planted: leaves. */

static void frame_of_another_fork(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(1)) = *leaf_of(scene->other, data_page(1));
}

static void frame_of_the_master_writable(struct scene *scene)
{
	uint64_t *leaf = leaf_of(scene->fork, data_page(2));

	*leaf = (*leaf & ~(PTE_SOFTWARE_2 | PTE_SOFTWARE_3)) | PTE_WRITE;
}

static void copy_on_write_and_writable(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(2)) |= PTE_WRITE;
}

static void frame_that_was_freed(struct scene *scene)
{
	uint64_t leaf = *leaf_of(scene->fork, data_page(1));

	space_unmap(scene->fork, data_page(1), PAGE_SIZE);
	*leaf_of(scene->fork, data_page(1)) = leaf;
}

static void table_as_data(struct scene *scene)
{
	uint64_t *leaf = leaf_of(scene->fork, data_page(1));

	*leaf = (*leaf & ~PTE_ADDRESS) | scene->fork->table.root.value;
}

static void page_executable(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(1)) &= ~PTE_NO_EXECUTE;
}

static void page_global(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(1)) |= PAGE_GLOBAL;
}

static void page_missing(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(2)) = 0;
}

static void page_mapped_twice(struct scene *scene)
{
	scene->fork->rebuild = true;
	*leaf_of(scene->fork, gva(NOTHING)) = *leaf_of(scene->fork, data_page(1));
}

static void page_of_the_master_elsewhere(struct scene *scene)
{
	*leaf_of(scene->fork, data_page(2)) = *leaf_of(scene->fork, data_page(3));
}

/* Links and windows. */

static void table_of_another_fork(struct scene *scene)
{
	*entry_of(scene->fork, DATA, MAPPING_2M) = *entry_of(scene->other, DATA, MAPPING_2M);
}

static void table_linked_twice(struct scene *scene)
{
	uint64_t *root = entry_of(scene->fork, 0, PAGETABLE_ROOT_LEVEL);

	root[1] = root[0];
}

static void shared_link_elsewhere(struct scene *scene)
{
	*entry_of(scene->fork, FAR, MAPPING_1G) = *entry_of(scene->fork, FARTHER, MAPPING_1G);
}

static void shared_link_writable(struct scene *scene)
{
	*entry_of(scene->fork, FAR, MAPPING_1G) |= PTE_WRITE;
}

static void kernel_of_its_own(struct scene *scene)
{
	*entry_of(scene->fork, LAYOUT_KERNEL,
	          PAGETABLE_ROOT_LEVEL) = *entry_of(scene->fork, LAYOUT_ENTRY, PAGETABLE_ROOT_LEVEL);
}

static void kernel_open(struct scene *scene)
{
	*kernel_leaf(scene, LAYOUT_KERNEL_TEXT) |= PTE_USER;
}

static void entry_writable(struct scene *scene)
{
	*kernel_leaf(scene, LAYOUT_ENTRY_DATA) |= PTE_WRITE;
}

static void kernel_table_grows(struct scene *scene)
{
	*kernel_leaf(scene, LAYOUT_KERNEL_IDT + PAGE_SIZE) = *kernel_leaf(scene, LAYOUT_KERNEL_IDT);
}

static void kernel_code_changes(struct scene *scene)
{
	gpa_t text = gpa(*kernel_leaf(scene, LAYOUT_KERNEL_TEXT) & PTE_ADDRESS);

	*(uint8_t *)memory_data(&scene->machine->memory, text) ^= 1;
}

/* Frames, lists, counters. */

static void frame_in_two_lists(struct scene *scene)
{
	struct frame *last = descriptor_of(scene->fork, data_page(1));

	last->next = scene->other->first_frame;
	scene->fork->frame_count++;
}

static void frame_in_no_list(struct scene *scene)
{
	scene->fork->first_frame = FRAME_NONE;
	scene->fork->frame_count = 0;
}

static void frame_not_mapped(struct scene *scene)
{
	scene->fork->rebuild = true;
	*leaf_of(scene->fork, data_page(1)) = 0;
}

static void frame_of_another_source(struct scene *scene)
{
	descriptor_of(scene->fork, data_page(1))->source = frame_of(scene->fork, data_page(2)).value;
}

static void frame_freed_twice(struct scene *scene)
{
	struct memory_window *data = &scene->machine->memory.data;

	space_unmap(scene->fork, data_page(1), PAGE_SIZE);
	data->free[data->free_count] = data->free[data->free_count - 1];
	data->free_count++;
}

static void frame_count_wrong(struct scene *scene)
{
	scene->fork->frame_count++;
}

static void table_count_wrong(struct scene *scene)
{
	scene->fork->table_count--;
}

static void frames_in_use_wrong(struct scene *scene)
{
	scene->machine->memory.frames_in_use++;
}

static void tables_in_use_wrong(struct scene *scene)
{
	scene->machine->memory.tables_in_use--;
}

/* Contents. */

static void master_page_changes(struct scene *scene)
{
	*(uint8_t *)memory_data(&scene->machine->memory, frame_of(scene->master, data_page(2))) = 1;
}

/* A page that nothing looks at before the end. */
static void master_page_changes_at_its_end(struct scene *scene)
{
	master_page_changes(scene);
	space_destroy(scene->master);
}

static void master_table_changes(struct scene *scene)
{
	*leaf_of(scene->master, gva(FAR)) &= ~PTE_NO_EXECUTE;
}

/* Written between its reset and the next fork. */
static void kept_page_changes(struct scene *scene)
{
	uint8_t *page = memory_data(&scene->machine->memory, frame_of(scene->fork, data_page(1)));

	space_destroy(scene->fork);
	*page = 1;
	must(space_fork(&scene->fork, scene->master) == 0, "a fork");
}

/* What a reset ends with, had it left out a page. */
static void reset_forgets_a_page(struct scene *scene)
{
	uint8_t *page = memory_data(&scene->machine->memory, frame_of(scene->fork, data_page(1)));

	*page = 1;
	checks_fresh(scene->fork);
}

static const struct plant {
	const char *name;
	void (*plant)(struct scene *scene);
	const char *message; /* part of it */
	unsigned operations; /* until it must be noticed; 0: in plant() */
} plants[] = {
	{"frame_of_another_fork", frame_of_another_fork, "reaches a frame that is not its own", 1},
	{"frame_of_the_master_writable", frame_of_the_master_writable, "can write to a frame", 1},
	{"copy_on_write_and_writable", copy_on_write_and_writable, "writable although others", 1},
	{"frame_that_was_freed", frame_that_was_freed, "reaches a frame that is not its own", 1},
	{"table_as_data", table_as_data, "leads out of data memory and files", 1},
	{"page_executable", page_executable, "not the master's permissions", 1},
	{"page_global", page_global, "a leaf of bits that none has", 1},
	{"page_missing", page_missing, "what the master has is missing", 1},
	{"page_mapped_twice", page_mapped_twice, "a frame is mapped twice", 1},
	{"page_of_the_master_elsewhere", page_of_the_master_elsewhere, "not the page that", 1},
	{"table_of_another_fork", table_of_another_fork, "a table is not the space's own", 1},
	{"table_linked_twice", table_linked_twice, "a table is linked twice", 1},
	{"shared_link_elsewhere", shared_link_elsewhere, "a shared link leads elsewhere", 1},
	{"shared_link_writable", shared_link_writable, "a link of bits that none has", 1},
	{"kernel_of_its_own", kernel_of_its_own, "a window is not the machine's", 1},
	{"kernel_open", kernel_open, "open to programs", MANY_OPERATIONS},
	{"entry_writable", entry_writable, "entry window is writable", MANY_OPERATIONS},
	{"kernel_table_grows", kernel_table_grows, "table of the kernel", MANY_OPERATIONS},
	{"kernel_code_changes", kernel_code_changes, "kernel's code", MANY_OPERATIONS},
	{"frame_in_two_lists", frame_in_two_lists, "of a space that is not its owner", 1},
	{"frame_in_no_list", frame_in_no_list, "1 frames are mapped, 0 listed", 1},
	{"frame_not_mapped", frame_not_mapped, "that nothing leads to", 1},
	{"frame_of_another_source", frame_of_another_source, "restored from another", 1},
	{"frame_freed_twice", frame_freed_twice, "free twice", MANY_OPERATIONS},
	{"frame_count_wrong", frame_count_wrong, "1 listed, 2 counted", 1},
	{"table_count_wrong", table_count_wrong, "tables are linked", 1},
	{"frames_in_use_wrong", frames_in_use_wrong, "are owned", MANY_OPERATIONS},
	{"tables_in_use_wrong", tables_in_use_wrong, "are owned", MANY_OPERATIONS},
	{"master_page_changes", master_page_changes, "frozen master has changed", MANY_OPERATIONS},
	{"master_page_changes_at_its_end", master_page_changes_at_its_end,
         "frozen master has changed", 0},
	{"master_table_changes", master_table_changes, "table of a frozen", MANY_OPERATIONS},
	{"kept_page_changes", kept_page_changes, "not what it is in a new fork", 0},
	{"reset_forgets_a_page", reset_forgets_a_page, "not what it is in a new fork", 0},
};

/* In a process of its own. Returns when nobody noticed. */
static void run_plant(const struct plant *plant)
{
	struct scene scene;

	set_up(&scene);
	for (unsigned i = 0; i < MANY_OPERATIONS; i++)
		operate(scene.fork);
	plant->plant(&scene);
	for (unsigned i = 0; i < plant->operations; i++)
		operate(scene.fork);
}

/* What the memory map says is known where a sandbox runs. */
static void run_wrong_protection(void)
{
	const struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *fork = fixture_fork(fixture_master(&options));
	gva_t page = gva(align_down(fixture_symbol(fork, "counter"), PAGE_SIZE));

	fixture_value(fork, "count", NO_NUMBERS);
	fork->space->rebuild = true;
	*leaf_of(fork->space, page) &= ~PTE_NO_EXECUTE;
	fixture_call(fork, "empty", NO_NUMBERS);
}

/* The tests. */

/* All that it wrote to the standard error stream. */
static void read_all(int descriptor, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(descriptor, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
}

static void expect_abort(const char *name, const char *message)
{
	char own_path[] = "/proc/self/exe", argument[64], text[2048];
	char *arguments[] = {own_path, argument, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status;
	pid_t child;

	snprintf(argument, sizeof(argument), "%s", name);
	assert_int_equal(pipe(ends), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	assert_int_equal(posix_spawn(&child, own_path, &actions, NULL, arguments, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	read_all(ends[0], text, sizeof(text));
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("%s: nobody noticed (status %#x): %s", name, (unsigned)status, text);
	if (strstr(text, "isolation is broken") == NULL || strstr(text, message) == NULL)
		fail_msg("%s: not \"%s\": %s", name, message, text);
}

static void a_plant_is_noticed(void **state)
{
	const struct plant *plant = *state;

	expect_abort(plant->name, plant->message);
}

static void a_wrong_protection_is_noticed(void **unused)
{
	(void)unused;
	expect_abort("wrong_protection", "but the process has mapped");
}

static void nothing_wrong_is_no_violation(void **unused)
{
	const struct kvmsb_options options = fixture_options(CALLS);
	struct kvmsb *master = fixture_master(&options);

	(void)unused;
	for (unsigned round = 0; round < 50; round++) {
		struct kvmsb *forks[] = {fixture_fork(master), fixture_fork(master)};

		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(fixture_value(forks[0], "count", NO_NUMBERS), COUNTED);
			assert_int_equal(fixture_value(forks[1], "count", NO_NUMBERS), COUNTED + i);
			assert_int_equal(kvmsb_reset(forks[0]), 0);
		}
		kvmsb_destroy(forks[round % 2]);
		kvmsb_destroy(forks[1 - round % 2]);
	}
	kvmsb_destroy(master);
}

static int run_named(const char *name)
{
	if (strcmp(name, "wrong_protection") == 0)
		run_wrong_protection();
	for (size_t i = 0; i < ARRAY_SIZE(plants); i++)
		if (strcmp(plants[i].name, name) == 0)
			run_plant(&plants[i]);
	return 0;
}

int main(int count, char **arguments)
{
	struct CMUnitTest tests[ARRAY_SIZE(plants) + 2] = {
		cmocka_unit_test(nothing_wrong_is_no_violation),
		cmocka_unit_test(a_wrong_protection_is_noticed),
	};

	if (count > 1)
		return run_named(arguments[1]);
	if (!fixture_can_run())
		return CANNOT_RUN;
	for (size_t i = 0; i < ARRAY_SIZE(plants); i++)
		tests[i + 2] = (struct CMUnitTest){
			.name = plants[i].name,
			.test_func = a_plant_is_noticed,
			.initial_state = (void *)(uintptr_t)&plants[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
