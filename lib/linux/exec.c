/* SPDX-License-Identifier: MIT */
/*
 * Loads a program and its interpreter; see exec.h. Follows Linux's
 * fs/binfmt_elf.c, but content is copied at once: the file is in memory.
 *
 *   0x00200000           position-independent program; others where they say
 *   after the program    brk heap
 *   0x40000000           interpreter
 *   below 0x80000000     gap, call stack, gap, main stack, gap with the vDSO in it
 */
#include "exec.h"

#include "../error.h"
#include "../util.h"
#include "exec_stack.h"
#include "layout.h"
#include "mm_internal.h"
#include "policy.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM_START UINT64_C(0x200000)
#define INTERPRETER_START UINT64_C(0x40000000)
#define INTERPRETER_MAXIMUM (UINT64_C(64) << 20)

/* Linux's stack_guard_gap: 256 pages. */
#define STACK_GAP (UINT64_C(256) << PAGE_SHIFT)
#define STACK_MAXIMUM (UINT64_C(256) << 20)

struct loader {
	struct process *process;
	struct kvmsb_error *error;
	const char *name;
	const struct elf_image *image;
	uint64_t bias;
	uint64_t mapped_end; /* of the segments before */
};

static int fail(const struct loader *loader, int result)
{
	if (result == -ENOMEM)
		return error_set(
			loader->error, result,
			"%s: does not fit the memory limit of %llu bytes, or the host is out "
			"of memory",
			loader->name, (unsigned long long)loader->process->config->memory_limit);
	return error_set(loader->error, result, "%s: %s", loader->name, strerror(-result));
}

/* Segments. */

/* x86 can read what it can write or execute. */
static unsigned segment_protection(const struct elf_image_segment *segment)
{
	unsigned protection = (segment->writable ? SPACE_WRITE : 0) |
	                      (segment->executable ? SPACE_EXECUTE : 0);

	return segment->readable || protection != 0 ? protection | SPACE_READ : 0;
}

/* While it is loaded: pages of a segment that nobody may use are made as readable ones. */
static unsigned loading_protection(const struct elf_image_segment *segment)
{
	unsigned protection = segment_protection(segment);

	return protection != 0 ? protection : SPACE_READ;
}

static int copy_to_pages(struct process *process, uint64_t address, const unsigned char *from,
                         uint64_t length)
{
	while (length > 0) {
		uint64_t part = length;
		void *host;
		int result = space_pin_load(process->space, gva(address), &part, &host);

		if (result < 0)
			return result;
		memcpy(host, from, part);
		address += part;
		from += part;
		length -= part;
	}
	return 0;
}

/*
 * The file's pages that hold the segment: as with mmap(2), what lies around it
 * in them comes along, but zeros where the segment goes on beyond its file part.
 */
static int load_file_pages(const struct loader *loader, const struct elf_image_segment *segment,
                           uint64_t start)
{
	const struct elf_image *image = loader->image;
	uint64_t first = align_down(segment->file_offset, PAGE_SIZE);
	uint64_t last = segment->file_offset + segment->file_size, pages_end;
	int result;

	if (!checked_align_up(last, PAGE_SIZE, &pages_end))
		return -ENOEXEC;
	result = space_map(loader->process->space, gva(start), pages_end - first,
	                   loading_protection(segment), FRAME_RESTORED);
	if (result < 0)
		return result;
	if (segment->memory_size == segment->file_size)
		last = min_u64(pages_end, image->size);
	return copy_to_pages(loader->process, start, image->bytes + first, last - first);
}

/*
 * A segment without file content that begins in the last page of the one
 * before: that page keeps what it has up to there, and gets this protection.
 */
static int share_page(const struct loader *loader, uint64_t address, unsigned protection)
{
	uint64_t page = align_down(address, PAGE_SIZE), length = PAGE_SIZE - (address - page);
	void *host;
	int result = mm_protect(loader->process, page, PAGE_SIZE, protection);

	if (result < 0)
		return result;
	result = space_pin_load(loader->process->space, gva(address), &length, &host);
	/* Not there: zeros already. */
	if (result == 0)
		memset(host, 0, length);
	return result == -EFAULT ? 0 : result;
}

static int map_segment(struct loader *loader, const struct elf_image_segment *segment)
{
	unsigned protection = loading_protection(segment);
	uint64_t address = segment->address + loader->bias;
	uint64_t start = align_down(address, PAGE_SIZE);
	uint64_t end = align_down(address + segment->memory_size + PAGE_SIZE - 1, PAGE_SIZE);
	int result = 0;

	if (segment->file_size == 0 && start < loader->mapped_end) {
		result = share_page(loader, address, protection);
		start = loader->mapped_end;
	}
	if (result == 0 && start < end)
		result = mm_map(loader->process, &start, end - start, protection, MM_FIXED, NULL, 0);
	if (result == 0 && segment->file_size > 0)
		result = load_file_pages(loader, segment, start);
	if (result == 0 && segment_protection(segment) == 0)
		result = mm_protect(loader->process, align_down(address, PAGE_SIZE),
		                    end - align_down(address, PAGE_SIZE), 0);
	loader->mapped_end = end;
	return result;
}

/* The image at its bias; nothing may be there. */
static int map_image(struct loader *loader)
{
	const struct elf_image *image = loader->image;
	uint64_t start = image->lowest + loader->bias, length = image->highest - image->lowest;
	int result = 0;

	if (start < LAYOUT_USER_START || !range_within(start, length, LAYOUT_USER_END) ||
	    !ranges_free(&loader->process->mm->ranges, start, start + length))
		return error_set(
			loader->error, -ENOEXEC,
			"%s: its segments at 0x%llx to 0x%llx lie where the guest's stack, "
			"interpreter or kernel goes",
			loader->name, (unsigned long long)start,
			(unsigned long long)(start + length));
	loader->mapped_end = 0;
	for (unsigned i = 0; i < image->segment_count && result == 0; i++)
		result = map_segment(loader, &image->segments[i]);
	return result < 0 ? fail(loader, result) : 0;
}

static int parse(const struct loader *loader, struct elf_image *image, const void *bytes, size_t size)
{
	struct elf_image_error detail;

	if (elf_image_parse(image, bytes, size, &detail) < 0)
		return error_set(loader->error, -ENOEXEC, "%s: %s", loader->name, detail.text);
	if (!image->has_entry)
		return error_set(loader->error, -ENOEXEC,
		                 "%s: a shared object, which has no entry point", loader->name);
	return 0;
}

/* The interpreter. */

struct interpreter {
	void *bytes;
	size_t size;
	struct elf_image image;
	uint64_t bias;
};

/* At offsets: the descriptor may be a rule's, which others use, too. */
static int read_all(int descriptor, char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = pread(descriptor, bytes + done, size - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	return 0;
}

static int read_descriptor(int descriptor, void **bytes, size_t *size)
{
	struct stat status;
	int result;

	if (fstat(descriptor, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	if ((uint64_t)status.st_size > INTERPRETER_MAXIMUM)
		return -EFBIG;
	*size = (size_t)status.st_size;
	*bytes = malloc(*size + 1);
	if (*bytes == NULL)
		return -ENOMEM;
	result = read_all(descriptor, *bytes, *size);
	if (result < 0) {
		free(*bytes);
		*bytes = NULL;
	}
	return result;
}

/*
 * The interpreters of glibc and musl. A program may be hostile, and would else
 * name any file of the host: others must be allowed by a rule.
 */
static const char *const well_known[] = {
	"/lib64/ld-linux-x86-64.so.2",
	"/lib/ld-linux-x86-64.so.2",
	"/lib/ld-musl-x86_64.so.1",
	"/usr/lib64/ld-linux-x86-64.so.2",
};

static int open_interpreter(const struct process *process, const char *path)
{
	const struct policy_rule *rule = policy_match(process->config->policy, path);

	for (size_t i = 0; i < ARRAY_SIZE(well_known); i++)
		if (strcmp(path, well_known[i]) == 0) {
			int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

			return descriptor < 0 ? -errno : descriptor;
		}
	return rule == NULL ? -EACCES : policy_rule_open(rule, path, O_RDONLY, false);
}

static int read_interpreter(const struct process *process, const char *path, void **bytes,
                            size_t *size)
{
	int descriptor = open_interpreter(process, path);
	int result;

	if (descriptor < 0)
		return descriptor;
	result = read_descriptor(descriptor, bytes, size);
	close(descriptor);
	return result;
}

/* At INTERPRETER_START or the next place where it fits. */
static int place_interpreter(struct loader *loader)
{
	const struct elf_image *image = loader->image;
	uint64_t length = image->highest - image->lowest + image->alignment - PAGE_SIZE;
	uint64_t start;

	if (image->type == ET_EXEC)
		return 0;
	if (mm_choose(loader->process, INTERPRETER_START, length, MM_BELOW_2G, &start) < 0)
		return error_set(loader->error, -ENOMEM, "%s: no room below 2 GiB", loader->name);
	loader->bias = align_down(start - image->lowest + image->alignment - 1, image->alignment);
	return 0;
}

static int map_interpreter(struct loader *loader, struct interpreter *interpreter)
{
	int result = parse(loader, &interpreter->image, interpreter->bytes, interpreter->size);

	if (result < 0)
		return result;
	loader->image = &interpreter->image;
	result = place_interpreter(loader);
	if (result == 0)
		result = map_image(loader);
	interpreter->bias = loader->bias;
	return result;
}

static int load_interpreter(const struct loader *program, struct interpreter *interpreter)
{
	struct loader loader = {
		.process = program->process,
		.error = program->error,
		.name = program->image->interpreter,
	};
	int result = read_interpreter(loader.process, loader.name, &interpreter->bytes,
	                              &interpreter->size);

	if (result < 0)
		return error_set(loader.error, result, "%s: its interpreter %s: %s", program->name,
		                 loader.name, strerror(-result));
	result = map_interpreter(&loader, interpreter);
	free(interpreter->bytes);
	interpreter->bytes = NULL;
	return result;
}

/* Stacks and heap. */

/* Keeps all of [start, LAYOUT_LOW_END) from being used but by the stacks in it. */
static int map_gaps(struct process *process, uint64_t start)
{
	return mm_map(process, &start, LAYOUT_LOW_END - start, 0, MM_FIXED_NOREPLACE, NULL, 0);
}

static int map_stack(struct process *process, uint64_t start, uint64_t size, bool executable)
{
	return mm_map(process, &start, size,
	              SPACE_READ | SPACE_WRITE | (executable ? SPACE_EXECUTE : 0),
	              MM_FIXED | MM_GROWS_DOWN, NULL, 0);
}

static int map_stacks(const struct loader *loader, struct exec_stack *stack)
{
	struct process *process = loader->process;
	bool executable = loader->image->stack_executable;
	uint64_t size = align_down(process->config->stack_size, PAGE_SIZE), start, call_start;
	int result;

	if (size == 0 || size > STACK_MAXIMUM)
		return error_set(loader->error, -EINVAL,
		                 "stack_size: %llu is not between one page and 256 MiB",
		                 (unsigned long long)process->config->stack_size);
	stack->top = LAYOUT_LOW_END - STACK_GAP;
	stack->size = size;
	start = stack->top - size;
	call_start = start - STACK_GAP - size;
	result = map_gaps(process, call_start - STACK_GAP);
	if (result == 0)
		result = map_stack(process, start, size, executable);
	if (result == 0)
		result = map_stack(process, call_start, size, executable);
	if (result == 0)
		result = mm_map_clock(process, LAYOUT_CLOCK_PAGE);
	if (result < 0)
		return fail(loader, result);
	mm_set_call_stack(process, call_start, call_start + size);
	return 0;
}

/* After the program, as in Linux, if that is below 2 GiB, where heaps must be. */
static int start_heap(const struct loader *loader)
{
	uint64_t end = loader->image->highest + loader->bias;
	int result = mm_set_brk(loader->process, end < LAYOUT_LOW_END ? end : PROGRAM_START);

	return result < 0 ? fail(loader, result) : 0;
}

/* The program. */

static uint64_t choose_bias(const struct elf_image *image)
{
	if (image->type == ET_EXEC)
		return 0;
	/* Modulo 2^64: a lowest address above PROGRAM_START gives what is negative. */
	return align_down(PROGRAM_START - image->lowest + image->alignment - 1, image->alignment);
}

static int load_images(struct loader *loader, struct exec_stack *stack, uint64_t *entry)
{
	struct interpreter interpreter = {0};
	int result = map_stacks(loader, stack);

	if (result == 0)
		result = map_image(loader);
	if (result == 0)
		result = start_heap(loader);
	*entry = stack->entry;
	if (result < 0 || loader->image->interpreter == NULL)
		return result;
	result = load_interpreter(loader, &interpreter);
	*entry = interpreter.image.entry + interpreter.bias;
	stack->base = interpreter.bias;
	return result;
}

static struct exec_stack describe(const struct loader *loader, const char *const *arguments,
                                  const char *const *environment)
{
	const struct elf_image *image = loader->image;
	uint64_t headers = image->program_headers;

	return (struct exec_stack){
		.name = loader->name,
		.arguments = arguments,
		.environment = environment,
		.program_headers = headers != 0 ? headers + loader->bias : 0,
		.program_header_count = image->program_header_count,
		.program_header_size = image->program_header_size,
		.entry = image->entry + loader->bias,
	};
}

int exec_load(struct process *process, struct exec_program *program, const char *const *arguments,
              const char *const *environment, struct kvmsb_error *error)
{
	const char *name = process->config->program != NULL ? process->config->program : "";
	const char *const only_name[] = {name, NULL}, *const nothing[] = {NULL};
	struct loader loader = {.process = process, .error = error, .name = name};
	struct exec_stack stack;
	uint64_t entry, pointer;
	int result = parse(&loader, &program->image, program->bytes, program->size);

	if (result < 0)
		return result;
	/* As Linux, a program never sees an empty argv: argv[0] would be the environment. */
	if (arguments == NULL || arguments[0] == NULL)
		arguments = only_name;
	program->bias = choose_bias(&program->image);
	loader.image = &program->image;
	loader.bias = program->bias;
	stack = describe(&loader, arguments, environment != NULL ? environment : nothing);
	result = load_images(&loader, &stack, &entry);
	if (result == 0)
		result = exec_stack_write(process, &stack, &pointer, error);
	if (result < 0)
		return result;
	*process->registers = (struct kvmsb_registers){.rip = entry, .rsp = pointer};
	return 0;
}
