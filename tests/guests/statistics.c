/* SPDX-License-Identifier: MIT */
/*
 * Functions that leave a number of exits of each kind, or end in one way: for
 * statistics_test.c.
 */
#include "api.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define MUNMAP 11
/* No hypercall has this number. */
#define API_NOTHING 0x1ffff

/* Written by main(): every page of it is the master's own. */
static volatile uint8_t pages[PAGES][PAGE] __attribute__((aligned(PAGE)));

EXPORTED long work(long system_calls, long hypercalls, long writes)
{
	for (long i = 0; i < system_calls; i++)
		api_call(SYS_getppid, 0, 0, 0, 0);
	for (long i = 0; i < hypercalls; i++)
		api_call(API_NOTHING, 0, 0, 0, 0);
	for (long i = 0; i < writes; i++)
		pages[i][0]++;
	return system_calls + hypercalls + writes;
}

EXPORTED long say(void)
{
	return api_call(SYS_write, 1, (long)"x", 1, 0);
}

EXPORTED void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

EXPORTED void crash(void)
{
	volatile char *volatile nowhere = (volatile char *)8;

	*nowhere = 1;
}

EXPORTED void undefined(void)
{
	__asm__ volatile("ud2");
}

/* From the port of hypercalls, which only OUT may use. */
EXPORTED void read_port(void)
{
	uint8_t value;

	__asm__ volatile("inb $0, %0" : "=a"(value));
}

EXPORTED void quit(void)
{
	_exit(3);
}

EXPORTED void respond(void)
{
	api_call(API_BACKEND_RESPONSE, 200, 0, 0, 0);
}

EXPORTED void wait_again(void)
{
	wait_for_requests();
}

/* RSP at a function's entry, less the return address. */
__asm__(".globl entry_stack\n.type entry_stack, @function\nentry_stack:\n"
        "lea 8(%rsp), %rax\nret\n");

/* Touches no stack from then on. */
EXPORTED void unmap_and_respond(long start, long length)
{
	api_call(MUNMAP, start, length, 0, 0);
	api_call(API_BACKEND_RESPONSE, 200, 0, 0, 0);
}

/* Writes to fresh pages until it is stopped. */
EXPORTED void devour(void)
{
	for (;;) {
		char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (block == MAP_FAILED)
			_exit(12);
		for (size_t i = 0; i < 1 << 20; i += PAGE)
			block[i] = 1;
	}
}

int main(void)
{
	for (size_t i = 0; i < PAGES; i++)
		pages[i][0] = 1;
	wait_for_requests();
	return 99;
}
