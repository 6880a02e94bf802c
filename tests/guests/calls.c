/* SPDX-License-Identifier: MIT */
/*
 * Functions for the tests of the public API: arguments, return values, memory,
 * streams and every way a call can end.
 */
#include "api.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

EXPORTED uint64_t counter = 7;
EXPORTED const char constant[] = "read only";
EXPORTED unsigned char untouched[3 * 4096] __attribute__((aligned(4096)));

EXPORTED void empty(void)
{
}

EXPORTED uint64_t weigh(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return a + 2 * b + 3 * c + 5 * d + 7 * e + 11 * f;
}

EXPORTED unsigned __int128 pair(uint64_t low, uint64_t high)
{
	return (unsigned __int128)high << 64 | low;
}

EXPORTED uint64_t count(void)
{
	return ++counter;
}

EXPORTED uint64_t sum_bytes(const unsigned char *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

EXPORTED void fill_bytes(unsigned char *bytes, size_t length, int value)
{
	memset(bytes, value, length);
}

EXPORTED void reverse(char *bytes, size_t length)
{
	for (size_t i = 0; i < length / 2; i++) {
		char byte = bytes[i];

		bytes[i] = bytes[length - 1 - i];
		bytes[length - 1 - i] = byte;
	}
}

EXPORTED size_t length_of(const char *text)
{
	return strlen(text);
}

EXPORTED uint64_t same(uint64_t value)
{
	return value;
}

/* RSP at a function's entry, less the return address: a multiple of 16. */
__asm__(".globl entry_stack\n.type entry_stack, @function\nentry_stack:\n"
        "lea 8(%rsp), %rax\nret\n");

EXPORTED long say(const char *text, size_t length)
{
	return write(1, text, length);
}

EXPORTED long ask(char *text, size_t length)
{
	return read(0, text, length);
}

EXPORTED void quit(int status)
{
	_exit(status);
}

EXPORTED void give_up(void)
{
	abort();
}

EXPORTED void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

/* counter is a small number, and no address. */
EXPORTED void crash(void)
{
	volatile char *nowhere = (volatile char *)counter;

	*nowhere = 1;
}

EXPORTED long respond(long status)
{
	return api_call(API_BACKEND_RESPONSE, status, 0, 0, 0);
}

EXPORTED long fill_and_respond(unsigned char *bytes, size_t length, int value)
{
	memset(bytes, value, length);
	return api_call(API_BACKEND_RESPONSE, 200, 0, 0, 0);
}

/* Touches no stack from then on. */
EXPORTED void unmap_and_respond(long start, long length)
{
	api_call(11, start, length, 0, 0); /* munmap */
	api_call(API_BACKEND_RESPONSE, 200, 0, 0, 0);
}

EXPORTED void wait_again(void)
{
	wait_for_requests();
}

/* Writes to fresh pages until it is stopped. */
EXPORTED void devour(void)
{
	for (;;) {
		char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		                   -1, 0);

		if (block == MAP_FAILED)
			_exit(12);
		for (size_t i = 0; i < 1 << 20; i += 4096)
			block[i] = 1;
	}
}

EXPORTED long system_calls(long times)
{
	long last = 0;

	for (long i = 0; i < times; i++)
		last = api_call(110, 0, 0, 0, 0); /* getppid */
	return last;
}

/* "exit" as the argument: ends by itself instead of waiting. */
int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "exit") == 0)
		return 3;
	if (argc > 1 && strcmp(argv[1], "spin") == 0)
		spin();
	if (argc > 1 && strcmp(argv[1], "crash") == 0)
		crash();
	if (argc > 1 && strcmp(argv[1], "say") == 0)
		say("hello\n", 6);
	counter = 10;
	wait_for_requests();
	return 99;
}
