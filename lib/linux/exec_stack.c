/* SPDX-License-Identifier: MIT */
/*
 * The initial stack; see exec_stack.h. Made in a buffer of the host and copied
 * to the guest at once. From its top down:
 *
 *   8 zero bytes, AT_EXECFN, environment strings, argument strings, "x86_64",
 *   AT_RANDOM's bytes, padding, auxiliary vector, envp, argv, argc (16-aligned)
 */
#include "exec_stack.h"

#include "../error.h"
#include "../util.h"
#include "layout.h"
#include "mm.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define RANDOM_BYTES 16u
#define CLOCK_TICKS 100u

/* What AT_HWCAP2 says on x86: asm/hwcap2.h. Ring 3 may use RDFSBASE and its like. */
#define HWCAP2_FSGSBASE 2u

/* A host before Linux 5.14 does not say: enough for the state of AVX-512. */
#define SIGNAL_STACK_SIZE 3632u

static const char platform[] = "x86_64";

struct builder {
	const struct exec_stack *stack;
	char *bytes; /* of the stack's last `length` bytes */
	uint64_t length;
	uint64_t strings;                      /* offset of the next string */
	uint64_t words;                        /* offset of the next word */
	struct process_attributes *attributes; /* are told where things are */
};

struct counts {
	uint64_t arguments, environment; /* strings */
	uint64_t length;                 /* of all strings and their pointers */
};

static bool count_strings(const char *const *strings, uint64_t *count, uint64_t *length)
{
	*count = 0;
	for (; strings[*count] != NULL; ++*count)
		if (!checked_add(*length, strlen(strings[*count]) + 1 + sizeof(uint64_t), length))
			return false;
	return true;
}

/* A quarter of the stack, as execve(2) "Limits on size of arguments and environment" has it. */
static int count_all(const struct exec_stack *stack, struct counts *counts, struct kvmsb_error *error)
{
	uint64_t limit = stack->size / 4;

	*counts = (struct counts){.length = strlen(stack->name) + 1};
	if (!count_strings(stack->arguments, &counts->arguments, &counts->length) ||
	    !count_strings(stack->environment, &counts->environment, &counts->length) ||
	    counts->length > limit)
		return error_set(error, -E2BIG,
		                 "arguments and environment need more than a quarter of the stack "
		                 "(%llu bytes); stack_size makes it larger",
		                 (unsigned long long)limit);
	return 0;
}

static uint64_t address_of(const struct builder *builder, uint64_t offset)
{
	return builder->stack->top - builder->length + offset;
}

/* Returns the guest's address of the bytes. */
static uint64_t put_bytes(struct builder *builder, const void *bytes, uint64_t length)
{
	uint64_t offset = builder->strings;

	memcpy(builder->bytes + offset, bytes, length);
	builder->strings += length;
	return address_of(builder, offset);
}

static uint64_t put_string(struct builder *builder, const char *string)
{
	return put_bytes(builder, string, strlen(string) + 1);
}

static void put_word(struct builder *builder, uint64_t word)
{
	memcpy(builder->bytes + builder->words, &word, sizeof(word));
	builder->words += sizeof(word);
}

/* The strings go up from where the builder is, the pointers to them likewise. */
static void put_vector(struct builder *builder, const char *const *strings)
{
	for (; *strings != NULL; strings++)
		put_word(builder, put_string(builder, *strings));
	put_word(builder, 0);
}

/* The host's: its processor is the guest's, which has no more state to save than that. */
static uint64_t signal_stack_size(void)
{
	uint64_t size = getauxval(AT_MINSIGSTKSZ);

	return size != 0 ? size : SIGNAL_STACK_SIZE;
}

struct addresses {
	uint64_t random, name, platform;
};

/* In Linux's order: create_elf_tables(). One user with one group: never more rights than before. */
#define AUXILIARY_ENTRIES 21u
static void put_auxiliary(struct builder *builder, const struct addresses *addresses)
{
	const struct exec_stack *stack = builder->stack;
	const uint64_t vector[AUXILIARY_ENTRIES][2] = {
		{AT_SYSINFO_EHDR, LAYOUT_VDSO},
		{AT_MINSIGSTKSZ, signal_stack_size()},
		{AT_HWCAP, getauxval(AT_HWCAP)},
		{AT_PAGESZ, PAGE_SIZE},
		{AT_CLKTCK, CLOCK_TICKS},
		{AT_PHDR, stack->program_headers},
		{AT_PHENT, stack->program_header_size},
		{AT_PHNUM, stack->program_header_count},
		{AT_BASE, stack->base},
		{AT_FLAGS, 0},
		{AT_ENTRY, stack->entry},
		{AT_UID, PROCESS_USER},
		{AT_EUID, PROCESS_USER},
		{AT_GID, PROCESS_GROUP},
		{AT_EGID, PROCESS_GROUP},
		{AT_SECURE, 0},
		{AT_RANDOM, addresses->random},
		{AT_HWCAP2, HWCAP2_FSGSBASE},
		{AT_EXECFN, addresses->name},
		{AT_PLATFORM, addresses->platform},
		{AT_NULL, 0},
	};

	for (size_t i = 0; i < AUXILIARY_ENTRIES; i++) {
		put_word(builder, vector[i][0]);
		put_word(builder, vector[i][1]);
	}
}

static int random_bytes(unsigned char bytes[RANDOM_BYTES])
{
	ssize_t got;

	do {
		got = getrandom(bytes, RANDOM_BYTES, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	/* man 2 getrandom: up to 256 bytes come whole. */
	return got == RANDOM_BYTES ? 0 : -EIO;
}

/* Where strings begin and how long the whole is; RSP, its start, is 16-aligned. */
static int make_buffer(struct builder *builder, const struct counts *counts)
{
	/* argc, the NULLs of argv and envp, the vector; then strings and the null word at the top. */
	uint64_t words = 3 + counts->arguments + counts->environment + 2 * AUXILIARY_ENTRIES;
	uint64_t pointers = (counts->arguments + counts->environment) * sizeof(uint64_t);
	uint64_t strings = counts->length - pointers + sizeof(platform) + RANDOM_BYTES +
	                   sizeof(uint64_t);

	builder->length = align_down(words * sizeof(uint64_t) + strings + 15, 16);
	builder->strings = builder->length - strings;
	builder->bytes = calloc(1, builder->length);
	return builder->bytes != NULL ? 0 : -ENOMEM;
}

static int fill(struct builder *builder, const struct counts *counts)
{
	const struct exec_stack *stack = builder->stack;
	unsigned char entropy[RANDOM_BYTES];
	struct addresses addresses;
	int result = random_bytes(entropy);

	if (result < 0)
		return result;
	addresses.random = put_bytes(builder, entropy, RANDOM_BYTES);
	addresses.platform = put_string(builder, platform);
	put_word(builder, counts->arguments);
	builder->attributes->arguments_start = address_of(builder, builder->strings);
	put_vector(builder, stack->arguments);
	builder->attributes->arguments_end = address_of(builder, builder->strings);
	put_vector(builder, stack->environment);
	builder->attributes->environment_end = address_of(builder, builder->strings);
	addresses.name = put_string(builder, stack->name);
	builder->attributes->auxiliary_start = address_of(builder, builder->words);
	put_auxiliary(builder, &addresses);
	builder->attributes->auxiliary_end = address_of(builder, builder->words);
	return 0;
}

int exec_stack_write(struct process *process, const struct exec_stack *stack, uint64_t *pointer,
                     struct kvmsb_error *error)
{
	struct builder builder = {.stack = stack, .attributes = &process->attributes};
	struct counts counts;
	int result = count_all(stack, &counts, error);

	if (result < 0)
		return result;
	result = make_buffer(&builder, &counts);
	if (result == 0)
		result = fill(&builder, &counts);
	*pointer = address_of(&builder, 0);
	if (result == 0)
		result = guest_write(process, *pointer, builder.bytes, builder.length);
	free(builder.bytes);
	return result < 0 ? error_set(error, result, "the initial stack: %s", strerror(-result)) : 0;
}
