/* SPDX-License-Identifier: MIT */
/*
 * Loading programs: real ones of this machine and small ones made here are
 * loaded into a fake space, then every page is compared with what the file's
 * program headers say, and the initial stack is read back field by field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_space.h"

#include "layout.h"
#include "linux/exec.h"
#include "linux/mm_internal.h"
#include "linux/policy.h"
#include "util.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define STACK_SIZE (UINT64_C(4) << 20)
#define PLENTY (UINT64_C(1) << 20) /* pages */

struct world {
	struct fake_space fake;
	struct process process;
	struct process_config config;
	struct kvmsb_registers registers;
	struct exec_program program;
	struct kvmsb_error error;
};

static const char *const some_arguments[] = {"program", "first", "", "third argument", NULL};
static const char *const some_environment[] = {"HOME=/", "EMPTY=", "no equals sign", NULL};

static void world_begin(struct world *world, const char *name, const void *bytes, size_t size)
{
	memset(world, 0, sizeof(*world));
	fake_space_init(&world->fake, PLENTY);
	world->config.program = (char *)(uintptr_t)name;
	world->config.stack_size = STACK_SIZE;
	world->config.memory_limit = PLENTY * PAGE_SIZE;
	world->process.space = &world->fake.space;
	world->process.config = &world->config;
	world->process.registers = &world->registers;
	memset(&world->registers, 0x5a, sizeof(world->registers));
	world->program.bytes = bytes;
	world->program.size = size;
	world->error = (struct kvmsb_error)KVMSB_ERROR_INIT;
	assert_int_equal(mm_create(&world->process.mm), 0);
}

static void world_end(struct world *world)
{
	mm_release(world->process.mm);
	fake_space_destroy(&world->fake);
}

static int world_load(struct world *world)
{
	return exec_load(&world->process, &world->program, some_arguments, some_environment,
	                 &world->error);
}

/* A failure tells its code and says something. */
static void assert_fails(struct world *world, int expected, const char *text)
{
	int result = world_load(world);

	assert_int_equal(result, expected);
	assert_int_equal(world->error.code, expected);
	if (strstr(world->error.detail, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", world->error.detail, text);
}

/* What the program headers say, page by page, made without the code under test. */

struct expected_page {
	uint8_t bytes[4096];
	unsigned protection;
	bool mapped;
};

struct expected {
	uint64_t lowest, pages; /* addresses of the file */
	struct expected_page *page;
};

static Elf64_Phdr header_at(const uint8_t *file, unsigned index)
{
	Elf64_Ehdr header;
	Elf64_Phdr result;

	memcpy(&header, file, sizeof(header));
	memcpy(&result, file + header.e_phoff + index * sizeof(result), sizeof(result));
	return result;
}

static unsigned header_count(const uint8_t *file)
{
	Elf64_Ehdr header;

	memcpy(&header, file, sizeof(header));
	return header.e_phnum;
}

static void expect_byte(struct expected *expected, const uint8_t *file, size_t size,
                        const Elf64_Phdr *load, uint64_t address)
{
	struct expected_page *page = &expected->page[(address - expected->lowest) >> 12];
	uint64_t offset = load->p_offset - load->p_vaddr + address;
	bool beyond = load->p_memsz > load->p_filesz && address >= load->p_vaddr + load->p_filesz;

	page->bytes[address & 4095] = beyond || offset >= size ? 0 : file[offset];
}

/* Whole pages of the file, in the order of the headers; zeros after the file's part. */
static void expect_segment(struct expected *expected, const uint8_t *file, size_t size,
                           const Elf64_Phdr *load)
{
	uint64_t start = load->p_vaddr & ~UINT64_C(4095);
	uint64_t end = (load->p_vaddr + load->p_memsz + 4095) & ~UINT64_C(4095);

	for (uint64_t page = start; page < end; page += 4096) {
		struct expected_page *entry = &expected->page[(page - expected->lowest) >> 12];

		entry->mapped = true;
		entry->protection = (load->p_flags & PF_R ? SPACE_READ : 0) |
		                    (load->p_flags & PF_W ? SPACE_WRITE | SPACE_READ : 0) |
		                    (load->p_flags & PF_X ? SPACE_EXECUTE | SPACE_READ : 0);
	}
	/* Without file content, the bytes below in the first page stay. */
	if (load->p_filesz == 0)
		start = load->p_vaddr;
	for (uint64_t address = start; address < end; address++)
		expect_byte(expected, file, size, load, address);
}

static void expect_file(struct expected *expected, const uint8_t *file, size_t size)
{
	uint64_t lowest = UINT64_MAX, highest = 0;

	for (unsigned i = 0; i < header_count(file); i++) {
		Elf64_Phdr load = header_at(file, i);

		if (load.p_type != PT_LOAD || load.p_memsz == 0)
			continue;
		lowest = min_u64(lowest, load.p_vaddr & ~UINT64_C(4095));
		highest = max_u64(highest, load.p_vaddr + load.p_memsz);
	}
	expected->lowest = lowest;
	expected->pages = (highest - lowest + 4095) >> 12;
	expected->page = calloc(expected->pages, sizeof(*expected->page));
	for (unsigned i = 0; i < header_count(file); i++) {
		Elf64_Phdr load = header_at(file, i);

		if (load.p_type == PT_LOAD && load.p_memsz != 0)
			expect_segment(expected, file, size, &load);
	}
}

static void compare_page(struct world *world, const struct expected_page *page, uint64_t address)
{
	const struct range *range = ranges_find(&world->process.mm->ranges, address);
	uint8_t bytes[4096];

	if (!page->mapped) {
		assert_null(range);
		return;
	}
	assert_non_null(range);
	assert_int_equal(range->protection, page->protection);
	if (page->protection == 0) {
		assert_int_equal(mm_fault(&world->process, address, SPACE_READ, true), -EFAULT);
		assert_int_equal(mm_protect(&world->process, address, 4096, SPACE_READ), 0);
	}
	assert_int_equal(guest_read(&world->process, address, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, page->bytes, sizeof(bytes));
	assert_int_equal(fake_page_at(&world->fake, address)->protection,
	                 page->protection != 0 ? page->protection : SPACE_READ);
}

static void compare_image(struct world *world, const uint8_t *file, size_t size, uint64_t bias)
{
	struct expected expected;

	expect_file(&expected, file, size);
	for (uint64_t i = 0; i < expected.pages; i++)
		compare_page(world, &expected.page[i], expected.lowest + bias + (i << 12));
	free(expected.page);
}

/* Files. */

static uint8_t *read_whole(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;

	if (file == NULL)
		return NULL;
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	*size = (size_t)ftell(file);
	rewind(file);
	bytes = malloc(*size);
	assert_int_equal(fread(bytes, 1, *size, file), *size);
	fclose(file);
	return bytes;
}

/* The initial stack. */

static uint64_t word_at(struct world *world, uint64_t address)
{
	uint64_t word;

	assert_int_equal(guest_read(&world->process, address, &word, sizeof(word)), 0);
	return word;
}

static void assert_string(struct world *world, uint64_t address, const char *expected)
{
	char text[256];

	assert_true(address < LAYOUT_LOW_END);
	assert_int_equal(guest_read_string(&world->process, address, text, sizeof(text)),
	                 strlen(expected));
	assert_string_equal(text, expected);
}

/* Returns the address after the vector's NULL. */
static uint64_t assert_vector(struct world *world, uint64_t address, const char *const *strings)
{
	for (; *strings != NULL; strings++, address += 8)
		assert_string(world, word_at(world, address), *strings);
	assert_int_equal(word_at(world, address), 0);
	return address + 8;
}

struct auxiliary {
	uint64_t value[64];
	bool present[64];
	unsigned count;
};

static uint64_t read_auxiliary(struct world *world, uint64_t address, struct auxiliary *vector)
{
	memset(vector, 0, sizeof(*vector));
	for (;; address += 16) {
		uint64_t key = word_at(world, address);

		assert_true(key < ARRAY_SIZE(vector->value));
		assert_false(vector->present[key]);
		vector->present[key] = true;
		vector->value[key] = word_at(world, address + 8);
		vector->count++;
		if (key == AT_NULL)
			return address + 16;
	}
}

struct initial_stack {
	struct auxiliary auxiliary;
	uint64_t end; /* of the vectors */
};

static void read_stack(struct world *world, const char *const *arguments,
                       const char *const *environment, struct initial_stack *stack)
{
	uint64_t address = world->registers.rsp, count = 0;

	assert_int_equal(address % 16, 0);
	while (arguments[count] != NULL)
		count++;
	assert_int_equal(word_at(world, address), count);
	address = assert_vector(world, address + 8, arguments);
	address = assert_vector(world, address, environment);
	stack->end = read_auxiliary(world, address, &stack->auxiliary);
}

static void check_constants(const struct auxiliary *vector)
{
	static const struct {
		unsigned key;
		uint64_t value;
	} rows[] = {
		{AT_NULL, 0},
		{AT_PAGESZ, 4096},
		{AT_CLKTCK, 100},
		{AT_FLAGS, 0},
		{AT_UID, 1000},
		{AT_EUID, 1000},
		{AT_GID, 1000},
		{AT_EGID, 1000},
		{AT_SECURE, 0},
		{AT_HWCAP2, 2},
		{AT_PHENT, sizeof(Elf64_Phdr)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(vector->present[rows[i].key]);
		assert_int_equal(vector->value[rows[i].key], rows[i].value);
	}
	assert_int_equal(vector->value[AT_HWCAP], getauxval(AT_HWCAP));
	assert_true(vector->value[AT_MINSIGSTKSZ] >= 944 + 512);
	assert_int_equal(vector->value[AT_SYSINFO_EHDR], LAYOUT_VDSO);
	assert_int_equal(vector->count, 21);
}

static void check_strings(struct world *world, const struct initial_stack *stack)
{
	const uint64_t *value = stack->auxiliary.value;
	uint64_t top = LAYOUT_LOW_END - (UINT64_C(1) << 20);

	assert_string(world, value[AT_EXECFN], world->config.program);
	assert_string(world, value[AT_PLATFORM], "x86_64");
	assert_true(value[AT_RANDOM] >= stack->end && value[AT_RANDOM] + 16 <= top);
	/* As Linux: eight zero bytes, and the program's name right below them. */
	assert_int_equal(word_at(world, top - 8), 0);
	assert_int_equal(value[AT_EXECFN] + strlen(world->config.program) + 1, top - 8);
}

static void check_program(struct world *world, const struct auxiliary *vector)
{
	const struct elf_image *image = &world->program.image;
	uint64_t bias = world->program.bias;
	uint8_t *headers = malloc(image->program_header_count * sizeof(Elf64_Phdr));
	Elf64_Ehdr file;

	memcpy(&file, world->program.bytes, sizeof(file));
	assert_int_equal(vector->value[AT_ENTRY], file.e_entry + bias);
	assert_int_equal(vector->value[AT_PHNUM], file.e_phnum);
	assert_int_equal(vector->value[AT_PHDR], image->program_headers + bias);
	assert_int_equal(guest_read(&world->process, vector->value[AT_PHDR], headers,
	                            file.e_phnum * sizeof(Elf64_Phdr)),
	                 0);
	assert_memory_equal(headers, (const uint8_t *)world->program.bytes + file.e_phoff,
	                    file.e_phnum * sizeof(Elf64_Phdr));
	free(headers);
}

/* Everything but the instruction pointer, which only the caller knows, is 0. */
static void check_registers(const struct world *world)
{
	struct kvmsb_registers expected = {.rip = world->registers.rip, .rsp = world->registers.rsp};

	assert_memory_equal(&world->registers, &expected, sizeof(expected));
}

/* Stacks, gaps around them, the heap. */

static void assert_no_access(struct world *world, uint64_t address)
{
	assert_int_equal(mm_fault(&world->process, address, SPACE_READ, true), -EFAULT);
}

static void check_stack_range(struct world *world, uint64_t start, uint64_t end, unsigned protection)
{
	const struct range *range = ranges_find(&world->process.mm->ranges, start);

	assert_non_null(range);
	assert_int_equal(range->start, start);
	assert_int_equal(range->end, end);
	assert_int_equal(range->protection, protection);
	assert_int_equal(range->flags & RANGE_GROWS_DOWN, RANGE_GROWS_DOWN);
	for (uint64_t gap = PAGE_SIZE; gap <= 256 * PAGE_SIZE; gap += PAGE_SIZE) {
		assert_no_access(world, start - gap);
		if (end + gap <= LAYOUT_CLOCK_PAGE)
			assert_no_access(world, end + gap - PAGE_SIZE);
	}
}

static void check_memory(struct world *world, unsigned stack_protection)
{
	const uint64_t gap = UINT64_C(1) << 20;
	uint64_t top = LAYOUT_LOW_END - gap, start, end, brk = mm_brk(&world->process, 0);

	check_stack_range(world, top - STACK_SIZE, top, stack_protection);
	mm_call_stack(&world->process, &start, &end);
	assert_int_equal(end, top - STACK_SIZE - gap);
	assert_int_equal(end - start, STACK_SIZE);
	check_stack_range(world, start, end, stack_protection);
	assert_int_equal(brk, world->program.image.highest + world->program.bias);
	assert_int_equal(mm_brk(&world->process, brk + 100000), brk + 100000);
	assert_int_equal(mm_fault(&world->process, brk + 99999, SPACE_WRITE, true), 0);
}

static void check_interpreter(struct world *world, const struct auxiliary *vector)
{
	Elf64_Ehdr header;
	uint8_t *bytes;
	size_t size;

	if (world->program.image.interpreter == NULL) {
		assert_int_equal(vector->value[AT_BASE], 0);
		assert_int_equal(world->registers.rip, vector->value[AT_ENTRY]);
		return;
	}
	bytes = read_whole(world->program.image.interpreter, &size);
	memcpy(&header, bytes, sizeof(header));
	assert_int_equal(vector->value[AT_BASE], 0x40000000);
	assert_int_equal(world->registers.rip, 0x40000000 + header.e_entry);
	compare_image(world, bytes, size, 0x40000000);
	free(bytes);
}

static void check_loaded(struct world *world, unsigned stack_protection)
{
	struct initial_stack stack;

	compare_image(world, world->program.bytes, world->program.size, world->program.bias);
	check_registers(world);
	read_stack(world, some_arguments, some_environment, &stack);
	check_constants(&stack.auxiliary);
	check_strings(world, &stack);
	check_program(world, &stack.auxiliary);
	check_interpreter(world, &stack.auxiliary);
	check_memory(world, stack_protection);
}

static bool load_real(const char *path, uint16_t type, bool interpreted)
{
	struct world world;
	size_t size;
	uint8_t *bytes = read_whole(path, &size);

	if (bytes == NULL) {
		print_message("%s: not there\n", path);
		return false;
	}
	world_begin(&world, path, bytes, size);
	assert_int_equal(world_load(&world), 0);
	assert_int_equal(world.program.image.type, type);
	assert_int_equal(world.program.image.interpreter != NULL, interpreted);
	assert_int_equal(world.program.image.lowest + world.program.bias,
	                 type == ET_DYN ? 0x200000 : world.program.image.lowest);
	check_loaded(&world, SPACE_READ | SPACE_WRITE);
	world_end(&world);
	free(bytes);
	return true;
}

static void test_real_programs(void **state)
{
	(void)state;
	assert_true(load_real("/bin/ls", ET_DYN, true));
	assert_true(load_real("/lib64/ld-linux-x86-64.so.2", ET_DYN, false));
	assert_true(load_real(TEST_GUESTS "/hello-static", ET_EXEC, false));
	assert_true(load_real(TEST_GUESTS "/hello-static-pie", ET_DYN, false));
	assert_true(load_real(TEST_GUESTS "/hello-dynamic", ET_DYN, true));
	load_real("/usr/bin/busybox", ET_EXEC, false);
	load_real(TEST_GUESTS "/hello-musl-static", ET_EXEC, false);
	load_real(TEST_GUESTS "/hello-musl-dynamic", ET_DYN, true);
}

/* Programs made here: headers, then 16 pages of bytes of which each tells its place. */

#define SAMPLE_SIZE 0x10000
#define SAMPLE_HEADERS 6

struct sample {
	uint8_t bytes[SAMPLE_SIZE];
	unsigned count;
};

static void sample_begin(struct sample *sample, uint16_t type, uint64_t entry)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = type,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
	};

	for (unsigned i = 0; i < SAMPLE_SIZE; i++)
		sample->bytes[i] = (uint8_t)(1 + i % 251);
	memcpy(sample->bytes, &header, sizeof(header));
	sample->count = 0;
}

static void sample_header(struct sample *sample, const Elf64_Phdr *program_header)
{
	Elf64_Ehdr header;

	assert_true(sample->count < SAMPLE_HEADERS);
	memcpy(sample->bytes + sizeof(header) + sample->count * sizeof(*program_header),
	       program_header, sizeof(*program_header));
	sample->count++;
	memcpy(&header, sample->bytes, sizeof(header));
	header.e_phnum = (uint16_t)sample->count;
	memcpy(sample->bytes, &header, sizeof(header));
}

static void sample_load(struct sample *sample, uint32_t flags, uint64_t address, uint64_t offset,
                        uint64_t file_size, uint64_t memory_size)
{
	const Elf64_Phdr header = {
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = address,
		.p_filesz = file_size,
		.p_memsz = memory_size,
		.p_align = 4096,
	};

	sample_header(sample, &header);
}

static void sample_interpreter(struct sample *sample, const char *path)
{
	Elf64_Phdr header = {.p_type = PT_INTERP, .p_flags = PF_R, .p_offset = 0x800, .p_align = 1};

	header.p_filesz = header.p_memsz = strlen(path) + 1;
	memcpy(sample->bytes + header.p_offset, path, header.p_filesz);
	sample_header(sample, &header);
}

static void sample_stack(struct sample *sample, uint32_t flags)
{
	const Elf64_Phdr header = {.p_type = PT_GNU_STACK, .p_flags = flags, .p_align = 16};

	sample_header(sample, &header);
}

static void load_sample(const struct sample *sample, unsigned stack_protection)
{
	struct world world;

	world_begin(&world, "sample", sample->bytes, SAMPLE_SIZE);
	if (world_load(&world) < 0)
		fail_msg("%s", world.error.detail);
	check_loaded(&world, stack_protection);
	world_end(&world);
}

static void test_segments_with_bss(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1800, 0x1800);
	sample_load(&sample, PF_R | PF_W, 0x402800, 0x1800, 0x900, 0x5000);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);
}

/* The tail of a file page is zeroed even if the segment ends in the same page. */
static void test_short_bss(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_load(&sample, PF_R | PF_W, 0x401010, 0x2010, 0x100, 0x108);
	sample_load(&sample, PF_R, 0x403010, 0x3010, 0x100, 0x108);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);
}

/* Two segments in one page: the later one's page of the file, and its protection. */
static void test_shared_page(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1800, 0x1800);
	sample_load(&sample, PF_R | PF_W, 0x401800, 0x1800, 0x900, 0x900);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);

	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1800, 0x1800);
	sample_load(&sample, PF_R | PF_W, 0x401900, 0x5900, 0x900, 0x2900);
	sample_load(&sample, PF_R, 0x404300, 0x7300, 0x10, 0x10);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);
}

/* A segment of zeros that begins in the page of another keeps what is below it. */
static void test_zero_segment_in_shared_page(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1800, 0x1800);
	sample_load(&sample, PF_R | PF_W, 0x401900, 0, 0, 0x100);
	sample_load(&sample, PF_R | PF_W, 0x401b00, 0, 0, 0x3000);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);

	/* Right behind, in no shared page. */
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_load(&sample, PF_R | PF_W, 0x401000, 0, 0, 0x1000);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);

	/* The page of the one before was never written. */
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_load(&sample, PF_R | PF_W, 0x402000, 0, 0, 0x1100);
	sample_load(&sample, PF_R, 0x403200, 0, 0, 0x100);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);
}

static void test_protections(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_load(&sample, PF_W, 0x402000, 0x2000, 0x1000, 0x1000);
	sample_load(&sample, PF_R | PF_W | PF_X, 0x404000, 0x4000, 0x1000, 0x2000);
	sample_load(&sample, PF_X, 0x406000, 0x6000, 0x1000, 0x1000);
	sample_load(&sample, 0, 0x408000, 0x8000, 0x1000, 0x2000);
	load_sample(&sample, SPACE_READ | SPACE_WRITE);
}

static void test_executable_stack(void **state)
{
	struct sample sample;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_stack(&sample, PF_R | PF_W | PF_X);
	load_sample(&sample, SPACE_READ | SPACE_WRITE | SPACE_EXECUTE);
}

static void test_bias(void **state)
{
	static const struct {
		uint64_t lowest, alignment, start;
	} rows[] = {
		{0, 0x1000, 0x200000},
		{0x1000, 0x1000, 0x200000},
		{0x400000, 0x1000, 0x200000},
		{0x3000, 0x200000, 0x203000},
		{0, 0x400000, 0x400000},
		{0x7000000, 0x200000, 0x200000},
		{0x10000000000, 0x1000, 0x200000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Elf64_Phdr load = {.p_type = PT_LOAD,
		                   .p_flags = PF_R | PF_X,
		                   .p_vaddr = rows[i].lowest,
		                   .p_filesz = 0x1000,
		                   .p_memsz = 0x1000,
		                   .p_align = rows[i].alignment};
		struct sample sample;
		struct world world;

		/* The offset is congruent to the address. */
		load.p_offset = rows[i].lowest % rows[i].alignment % SAMPLE_SIZE;
		sample_begin(&sample, ET_DYN, rows[i].lowest + 0x100);
		sample_header(&sample, &load);
		world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
		assert_int_equal(world_load(&world), 0);
		assert_int_equal(world.program.image.lowest + world.program.bias, rows[i].start);
		assert_int_equal(world.registers.rip, rows[i].start + 0x100);
		compare_image(&world, sample.bytes, SAMPLE_SIZE, world.program.bias);
		world_end(&world);
	}
}

/* The heap of a program that lies above 2 GiB is below all the same. */
static void test_high_program(void **state)
{
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x7f0000000100);
	sample_load(&sample, PF_R | PF_X, 0x7f0000000000, 0, 0x1000, 0x1000);
	world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
	assert_int_equal(world_load(&world), 0);
	assert_int_equal(mm_brk(&world.process, 0), 0x200000);
	compare_image(&world, sample.bytes, SAMPLE_SIZE, 0);
	world_end(&world);
}

/* Program headers that no segment holds are nowhere. */
static void test_headers_not_loaded(void **state)
{
	struct initial_stack stack;
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_DYN, 0x1100);
	sample_load(&sample, PF_R | PF_X, 0x1000, 0x1000, 0x1000, 0x1000);
	world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
	assert_int_equal(world_load(&world), 0);
	read_stack(&world, some_arguments, some_environment, &stack);
	assert_int_equal(stack.auxiliary.value[AT_PHDR], 0);
	assert_int_equal(stack.auxiliary.value[AT_PHNUM], 1);
	world_end(&world);
}

/* The interpreter goes where there is room. */
static void test_interpreter_moves(void **state)
{
	struct sample sample;
	struct initial_stack stack;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x40001000);
	sample_load(&sample, PF_R | PF_X, 0x40001000, 0x1000, 0x1000, 0x1000);
	sample_load(&sample, PF_R | PF_W, 0x41000000, 0, 0, 0x1000);
	sample_interpreter(&sample, "/lib64/ld-linux-x86-64.so.2");
	world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
	assert_int_equal(world_load(&world), 0);
	read_stack(&world, some_arguments, some_environment, &stack);
	assert_int_equal(stack.auxiliary.value[AT_BASE], 0x40002000);
	assert_int_equal(stack.auxiliary.value[AT_PHDR], 0);
	world_end(&world);
}

/* Refusals. */

static void assert_refused(const struct sample *sample, int code, const char *text)
{
	struct world world;

	world_begin(&world, "sample", sample->bytes, SAMPLE_SIZE);
	assert_fails(&world, code, text);
	world_end(&world);
}

/* Under a rule for everything, or under none. */
static void refuse_by(bool everything, const char *path, int code, const char *text)
{
	const struct kvmsb_path_rule rule = {.path = "/"};
	struct sample sample;
	struct world world;

	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	sample_interpreter(&sample, path);
	world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
	if (everything)
		assert_int_equal(policy_create(&world.config.policy, &rule, 1, NULL), 0);
	assert_fails(&world, code, text);
	policy_destroy(world.config.policy);
	world_end(&world);
}

static void refuse_interpreter(const char *path, int code, const char *text)
{
	refuse_by(true, path, code, text);
}

/* A hostile program would have any file of the host mapped. */
static void test_interpreters_not_allowed(void **state)
{
	(void)state;
	refuse_by(false, "/bin/sh", -EACCES, "/bin/sh");
	refuse_by(false, "/nonexistent/ld.so", -EACCES, "/nonexistent/ld.so");
	refuse_by(false, "/lib64/../bin/sh", -EACCES, "/lib64/../bin/sh");
	refuse_by(true, "/proc/self/exe", -ELOOP, "/proc/self/exe");
}

static void test_broken_interpreters(void **state)
{
	char fifo[] = "/tmp/kvmsb-exec-test-XXXXXX", path[64];
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(fifo));
	snprintf(path, sizeof(path), "%s/fifo", fifo);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuse_interpreter(path, -EACCES, "interpreter /tmp");
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/file", fifo);
	file = fopen(path, "wb");
	assert_int_equal(ftruncate(fileno(file), 65 << 20), 0);
	refuse_interpreter(path, -EFBIG, "too large");
	assert_int_equal(ftruncate(fileno(file), 0), 0);
	refuse_interpreter(path, -ENOEXEC, path);
	fclose(file);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(fifo), 0);
	refuse_interpreter("/nonexistent/ld.so", -ENOENT, "/nonexistent/ld.so");
	refuse_interpreter("/usr", -EACCES, "interpreter /usr");
	refuse_interpreter("/dev/zero", -EACCES, "/dev/zero");
	refuse_interpreter("/etc/passwd", -ENOEXEC, "/etc/passwd");
}

static void test_broken_programs(void **state)
{
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_DYN, 0);
	sample_load(&sample, PF_R | PF_X, 0, 0, 0x1000, 0x1000);
	assert_refused(&sample, -ENOEXEC, "shared object");
	sample_begin(&sample, ET_EXEC, 0x7ff00000);
	sample_load(&sample, PF_R | PF_X, 0x7ff00000, 0, 0x1000, 0x1000);
	assert_refused(&sample, -ENOEXEC, "0x7ff00000");
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x80000000);
	assert_refused(&sample, -ENOEXEC, "stack");
	sample_begin(&sample, ET_EXEC, 0x7f7fffffff00);
	sample_load(&sample, PF_R | PF_X, 0x7f7ffffff000, 0, 0x1000, 0x2000);
	assert_refused(&sample, -ENOEXEC, "kernel");
	sample.bytes[0] = 0;
	assert_refused(&sample, -ENOEXEC, "sample: ");
	world_begin(&world, "empty", NULL, 0);
	assert_fails(&world, -ENOEXEC, "empty: ");
	world_end(&world);
}

static void test_stack_sizes(void **state)
{
	static const uint64_t bad[] = {
		0, 1, 4095, (256u << 20) + 4096, UINT64_MAX, UINT64_MAX << 12, UINT64_C(1) << 63};
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
		world.config.stack_size = bad[i];
		assert_fails(&world, -EINVAL, "stack_size");
		world_end(&world);
	}
	for (uint64_t size = 4096; size <= 256 << 20; size *= 2) {
		world_begin(&world, "sample", sample.bytes, SAMPLE_SIZE);
		world.config.stack_size = size + 1;
		assert_int_equal(world_load(&world), 0);
		world_end(&world);
	}
}

/* Arguments and environment. */

static int load_with(struct world *world, const struct sample *sample, const char *const *arguments,
                     const char *const *environment)
{
	world_begin(world, "sample", sample->bytes, SAMPLE_SIZE);
	return exec_load(&world->process, &world->program, arguments, environment, &world->error);
}

static void test_arguments(void **state)
{
	static const char *const none[] = {NULL}, *const name[] = {"sample", NULL};
	char texts[32][40];
	const char *list[33] = {NULL};
	struct initial_stack stack;
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	assert_int_equal(load_with(&world, &sample, NULL, NULL), 0);
	read_stack(&world, name, none, &stack);
	world_end(&world);
	assert_int_equal(load_with(&world, &sample, none, none), 0);
	read_stack(&world, name, none, &stack);
	world_end(&world);
	for (unsigned count = 1; count < 32; count++) {
		snprintf(texts[count - 1], sizeof(texts[0]), "%*s", (int)(count * 7 % 33), "x");
		list[count - 1] = texts[count - 1];
		assert_int_equal(load_with(&world, &sample, list, list + count / 2), 0);
		read_stack(&world, list, list + count / 2, &stack);
		check_constants(&stack.auxiliary);
		check_strings(&world, &stack);
		world_end(&world);
	}
}

/* A quarter of the stack for strings and the pointers to them, and not a byte more. */
static void test_too_many_arguments(void **state)
{
	const size_t quarter = STACK_SIZE / 4;
	char *text = malloc(quarter + 1);
	const char *const list[] = {text, NULL}, *const none[] = {NULL};
	struct initial_stack stack;
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	memset(text, 'a', quarter);
	text[quarter] = '\0';
	assert_int_equal(load_with(&world, &sample, list, none), -E2BIG);
	assert_non_null(strstr(world.error.detail, "quarter"));
	world_end(&world);
	text[quarter - sizeof("sample") - 8] = '\0';
	assert_int_equal(load_with(&world, &sample, list, none), -E2BIG);
	world_end(&world);
	assert_int_equal(load_with(&world, &sample, none, list), -E2BIG);
	world_end(&world);
	text[quarter - sizeof("sample") - 8 - 1] = '\0';
	assert_int_equal(load_with(&world, &sample, list, none), 0);
	assert_int_equal(world.registers.rsp % 16, 0);
	assert_int_equal(word_at(&world, world.registers.rsp), 1);
	world_end(&world);
	/* As environment, "sample" is an argument, too. */
	text[quarter - 2 * (sizeof("sample") + 8) - 1] = '\0';
	assert_int_equal(load_with(&world, &sample, none, list), 0);
	world_end(&world);
	text[100] = '\0';
	assert_int_equal(load_with(&world, &sample, none, list), 0);
	read_stack(&world, (const char *const[]){"sample", NULL}, list, &stack);
	world_end(&world);
	free(text);
}

static void test_no_name(void **state)
{
	struct initial_stack stack;
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	world_begin(&world, NULL, sample.bytes, SAMPLE_SIZE);
	assert_int_equal(world_load(&world), 0);
	read_stack(&world, some_arguments, some_environment, &stack);
	assert_string(&world, stack.auxiliary.value[AT_EXECFN], "");
	world_end(&world);
}

static void test_random_bytes_differ(void **state)
{
	uint8_t bytes[2][16], zeros[16] = {0};
	struct initial_stack stack;
	struct sample sample;
	struct world world;

	(void)state;
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1000, 0x1000);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(load_with(&world, &sample, NULL, NULL), 0);
		read_stack(&world, (const char *const[]){"sample", NULL}, some_environment + 3,
		           &stack);
		assert_int_equal(guest_read(&world.process, stack.auxiliary.value[AT_RANDOM],
		                            bytes[i], sizeof(bytes[i])),
		                 0);
		assert_memory_not_equal(bytes[i], zeros, sizeof(zeros));
		world_end(&world);
	}
	assert_memory_not_equal(bytes[0], bytes[1], sizeof(zeros));
}

/* Failures at every step: an error, and nothing is lost (the leak checker looks). */

enum step {
	STEP_ALLOCATION,
	STEP_PAGE,
	STEP_EDIT,
	STEP_READ,
};

static uint64_t fail_read;
static int read_errno;
static bool short_reads;

ssize_t __real_pread64(int descriptor, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread64(int descriptor, void *buffer, size_t length, off_t offset);

ssize_t __wrap_pread64(int descriptor, void *buffer, size_t length, off_t offset)
{
	if (fail_read > 0 && --fail_read == 0) {
		errno = read_errno;
		return read_errno == 0 ? 0 : -1;
	}
	return __real_pread64(descriptor, buffer, short_reads && length > 4099 ? 4099 : length,
	                      offset);
}

static int load_failing(const uint8_t *bytes, size_t size, enum step step, uint64_t n, bool *happened)
{
	struct world world;
	int result;

	world_begin(&world, "program", bytes, size);
	fake_fail_allocation = step == STEP_ALLOCATION ? n : 0;
	world.fake.fail_page = step == STEP_PAGE ? n : 0;
	world.fake.fail_edit = step == STEP_EDIT ? n : 0;
	fail_read = step == STEP_READ ? n : 0;
	result = world_load(&world);
	*happened = fake_fail_allocation == 0 && world.fake.fail_page == 0 &&
	            world.fake.fail_edit == 0 && fail_read == 0;
	fake_fail_allocation = 0;
	fail_read = 0;
	if (result < 0) {
		assert_int_equal(world.error.code, result);
		assert_true(strlen(world.error.detail) > 0);
	} else {
		check_registers(&world);
	}
	world_end(&world);
	return result;
}

static void fail_each(const uint8_t *bytes, size_t size, enum step step, int expected)
{
	bool happened = true;
	uint64_t n = 1;

	for (; happened; n++) {
		int result = load_failing(bytes, size, step, n, &happened);

		/* Without the page only the others of its window do without. */
		if (step == STEP_PAGE && result == 0)
			continue;
		assert_int_equal(result, happened ? expected : 0);
	}
	assert_true(n > 3);
}

static void test_failures(void **state)
{
	struct sample sample;
	int lowest_descriptor;
	uint8_t *bytes;
	size_t size;

	(void)state;
	lowest_descriptor = dup(0);
	assert_int_equal(close(lowest_descriptor), 0);
	bytes = read_whole("/bin/ls", &size);
	fail_each(bytes, size, STEP_ALLOCATION, -ENOMEM);
	fail_each(bytes, size, STEP_PAGE, -ENOMEM);
	short_reads = true;
	read_errno = EIO;
	fail_each(bytes, size, STEP_READ, -EIO);
	read_errno = 0;
	fail_each(bytes, size, STEP_READ, -EIO);
	read_errno = EINTR;
	fail_each(bytes, size, STEP_READ, 0);
	short_reads = false;
	free(bytes);
	/* Pages that two segments share are replaced or protected. */
	sample_begin(&sample, ET_EXEC, 0x400100);
	sample_load(&sample, PF_R | PF_X, 0x400000, 0, 0x1800, 0x1800);
	sample_load(&sample, PF_R | PF_W, 0x401900, 0x1900, 0x100, 0x200);
	sample_load(&sample, PF_R, 0x401b00, 0, 0, 0x3000);
	fail_each(sample.bytes, SAMPLE_SIZE, STEP_EDIT, -ENOMEM);
	fail_each(sample.bytes, SAMPLE_SIZE, STEP_PAGE, -ENOMEM);
	/* No descriptor was left open. */
	assert_int_equal(dup(0), lowest_descriptor);
	assert_int_equal(close(lowest_descriptor), 0);
}

static void test_memory_limit(void **state)
{
	struct world world;
	size_t size;
	uint8_t *bytes = read_whole("/bin/ls", &size);

	(void)state;
	for (uint64_t pages = 0; pages < 90; pages += 10) {
		world_begin(&world, "program", bytes, size);
		world.fake.space.page_limit = pages;
		assert_fails(&world, -ENOMEM, "memory limit");
		assert_true(world.fake.space.frame_count <= pages);
		world_end(&world);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_programs),
		cmocka_unit_test(test_segments_with_bss),
		cmocka_unit_test(test_short_bss),
		cmocka_unit_test(test_shared_page),
		cmocka_unit_test(test_zero_segment_in_shared_page),
		cmocka_unit_test(test_protections),
		cmocka_unit_test(test_executable_stack),
		cmocka_unit_test(test_bias),
		cmocka_unit_test(test_high_program),
		cmocka_unit_test(test_headers_not_loaded),
		cmocka_unit_test(test_interpreter_moves),
		cmocka_unit_test(test_broken_interpreters),
		cmocka_unit_test(test_interpreters_not_allowed),
		cmocka_unit_test(test_broken_programs),
		cmocka_unit_test(test_stack_sizes),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_too_many_arguments),
		cmocka_unit_test(test_no_name),
		cmocka_unit_test(test_random_bytes_differ),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_memory_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
