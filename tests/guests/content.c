/* SPDX-License-Identifier: MIT */
/*
 * Answers requests with content from anywhere: a GET of "/ADDRESS/LENGTH", in
 * hexadecimal, with what lies there, whatever that is; a POST with its body. For
 * the test of response content and the figures of large responses.
 */
#include <kvm_api.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_SIZE 10000000u
#define HEAP_SIZE 100000u
#define STACK_SIZE 20000u
#define BODY_SEED 30u

/* Looked up by the host. */
extern uint8_t large[LARGE_SIZE], untouched[LARGE_SIZE];
extern const char constant[];
uint8_t large[LARGE_SIZE], untouched[LARGE_SIZE];
const char constant[] = "what nobody can write";

uint64_t heap(void);
uint64_t map_anonymous(uint64_t length);
uint64_t map_file(uint64_t length, uint64_t writable);
long unmap(uint64_t address, uint64_t length);
long protect(uint64_t address, uint64_t length, long protection);
long fill(uint64_t address, uint64_t length, uint64_t seed);

static void *heap_block;

/* As the host has it, too. */
static uint8_t byte_of(uint64_t index, uint64_t seed)
{
	return (uint8_t)(index % 251 + index / 4096 + seed);
}

static void fill_bytes(uint8_t *bytes, uint64_t length, uint64_t seed)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = byte_of(i, seed);
}

uint64_t heap(void)
{
	return (uint64_t)(uintptr_t)heap_block;
}

uint64_t map_anonymous(uint64_t length)
{
	return (uint64_t)(uintptr_t)mmap(NULL, length, PROT_READ | PROT_WRITE,
	                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Of /content, which the host allows. */
uint64_t map_file(uint64_t length, uint64_t writable)
{
	int file = open("/content", O_RDONLY);
	void *address = mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_PRIVATE,
	                     file, 0);

	close(file);
	return (uint64_t)(uintptr_t)address;
}

long unmap(uint64_t address, uint64_t length)
{
	return munmap((void *)address, length);
}

long protect(uint64_t address, uint64_t length, long protection)
{
	return mprotect((void *)address, length, (int)protection);
}

long fill(uint64_t address, uint64_t length, uint64_t seed)
{
	fill_bytes((uint8_t *)address, length, seed);
	return 0;
}

static void answer_from_stack(void)
{
	uint8_t bytes[STACK_SIZE];

	fill_bytes(bytes, sizeof(bytes), 7);
	backend_response(200, "stack", 5, bytes, sizeof(bytes));
}

/* Made anew by each request, as a program does that makes its answers. */
static void answer_allocated(const char *seed)
{
	void *bytes = malloc(LARGE_SIZE);

	memset(bytes, seed[0] + 1, LARGE_SIZE);
	backend_response(200, "large", 5, bytes, LARGE_SIZE);
}

static void get(const char *url, const char *argument)
{
	char *end;
	uint64_t address;

	if (strcmp(url, "/stack") == 0)
		answer_from_stack();
	if (strcmp(url, "/allocated") == 0)
		answer_allocated(argument);
	address = strtoull(url + 1, &end, 16);
	backend_response(200, "bytes", 5, (const void *)address, strtoull(end + 1, NULL, 16));
}

/* A body is its own answer. */
static void post(const char *url, const char *argument, const char *type, const uint8_t *data,
                 size_t length)
{
	(void)url;
	(void)argument;
	backend_response(200, type, strlen(type), data, data != NULL ? length : 0);
}

/* Of bytes as fill_bytes() makes them. */
static long take_piece(const char *url, const char *argument, const char *type, const uint8_t *data,
                       size_t length, size_t offset)
{
	(void)url;
	(void)argument;
	(void)type;
	for (size_t i = 0; i < length; i++)
		if (data[i] != byte_of(offset + i, BODY_SEED))
			return -1;
	return (long)length;
}

/* An argument: bodies come in pieces. */
int main(int argc, char **argv)
{
	(void)argv;
	fill_bytes(large, sizeof(large), 1);
	heap_block = malloc(HEAP_SIZE);
	fill_bytes(heap_block, HEAP_SIZE, 2);
	set_backend_get(get);
	set_backend_post(post);
	if (argc > 1)
		set_backend_stream_post(take_piece);
	wait_for_requests();
	return 1;
}
