/* SPDX-License-Identifier: MIT */
/*
 * A guest that goes to its limits, and takes from under itself what its host
 * relies on: for limits_test.c, robustness_test.c, lending_test.c and
 * deadline_test.c.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define AREA_PAGES 2048ul
#define REGION (2ul << 20)
#define API_REGISTER_FUNC 0x10000
#define API_ON_GET 1
#define API_IS_DEBUG 0x7fdeb

EXPORTED volatile uint64_t marked[PAGE / 8] __attribute__((aligned(4096))) = {5};
EXPORTED volatile char area_a[AREA_PAGES * PAGE] __attribute__((aligned(4096)));
EXPORTED volatile char area_b[AREA_PAGES * PAGE] __attribute__((aligned(4096)));

static volatile char *sparse;
static long regions;

EXPORTED long one(void)
{
	return 1;
}

EXPORTED long nothing(void)
{
	return 0;
}

EXPORTED void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

/* Makes system calls for ever. */
EXPORTED void call_always(void)
{
	for (;;)
		api_call(SYS_getppid, 0, 0, 0, 0);
}

/* Hypercalls, exceptions that the host mends, its functions: for ever. */
EXPORTED void ask_always(void)
{
	for (;;)
		api_call(API_IS_DEBUG, 0, 0, 0, 0);
}

EXPORTED void fault_always(void)
{
	for (;;) {
		area_a[0] = 1;
		madvise((void *)(uintptr_t)area_a, PAGE, MADV_DONTNEED);
	}
}

EXPORTED void say_always(void)
{
	for (;;)
		api_call(SYS_write, 1, (long)"x", 1, 0);
}

/* What only uninterrupted computing gives. */
EXPORTED uint64_t mix(uint64_t rounds)
{
	uint64_t value = 1;

	for (uint64_t i = 0; i < rounds; i++)
		value = (value ^ i) * 0x9e3779b97f4a7c15u;
	return value;
}

EXPORTED long say(void)
{
	return api_call(SYS_write, 1, (long)"x", 1, 0);
}

/* The vector register that a function of the host finds is there when it is done: how often not. */
EXPORTED long say_with_vector(uint64_t value, long times)
{
	const uint64_t before[2] = {value, ~value};
	uint64_t after[2];
	long lost = 0;

	for (long i = 0; i < times; i++) {
		register long result __asm__("rax") = SYS_write;

		__asm__ volatile("movdqu %2, %%xmm9\n\tsyscall\n\tmovdqu %%xmm9, %1"
		                 : "+a"(result), "=m"(after)
		                 : "m"(before), "D"(1l), "S"("x"), "d"(1l)
		                 : "rcx", "r11", "xmm9", "memory");
		lost += memcmp(before, after, sizeof(before)) != 0;
	}
	return lost;
}

EXPORTED void say_and_spin(void)
{
	say();
	spin();
}

static long touch(volatile char *area, long pages)
{
	for (long i = 0; i < pages; i++)
		area[(size_t)i * PAGE] = 1;
	return pages;
}

EXPORTED long touch_a(long pages)
{
	return touch(area_a, pages);
}

EXPORTED long touch_b(long pages)
{
	return touch(area_b, pages);
}

EXPORTED long touch_new(long pages)
{
	char *block = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return block == MAP_FAILED ? -1 : touch(block, pages);
}

/* One page each in regions that have page tables of their own. */
EXPORTED long touch_sparse(void)
{
	for (long i = 0; i < regions; i++)
		sparse[(size_t)i * REGION] = 2;
	return regions;
}

EXPORTED uint64_t peek_marked(void)
{
	return marked[0];
}

EXPORTED int unmap_marked(void)
{
	return munmap((void *)(uintptr_t)marked, PAGE);
}

/* Writes them first: their translations are there. */
EXPORTED int protect_a(long pages)
{
	touch(area_a, pages);
	return mprotect((void *)(uintptr_t)area_a, (size_t)pages * PAGE, PROT_READ);
}

/* Maps that many pages, or as many as there are: populating fails without a word. */
EXPORTED void eat(long pages)
{
	/* What fails writes here, when nothing is left. */
	errno = EAGAIN;
	for (long i = 0; i < pages; i++)
		/* No zeros, which would not count, and by the kernel, which goes on where there is no more. */
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC,
		        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static char *inner_pages(char *buffer, size_t length, size_t *size)
{
	uintptr_t start = ((uintptr_t)buffer + PAGE - 1) & ~(PAGE - 1);

	*size = (((uintptr_t)buffer + length) & ~(PAGE - 1)) - start;
	return (char *)start;
}

/* Unmaps what its result was to be written to. */
EXPORTED int lose_buffer(char *buffer, size_t length)
{
	size_t size;
	char *pages = inner_pages(buffer, length, &size);

	memset(buffer, 7, length);
	return munmap(pages, size);
}

/* Puts pages there that nothing is left for. */
EXPORTED int starve_buffer(char *buffer, size_t length, long all_pages)
{
	size_t size;
	char *pages = inner_pages(buffer, length, &size);

	if (mmap(pages, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	         0) != pages)
		return 1;
	eat(all_pages);
	return 0;
}

/* void drop_stack(void): unmaps the stack of calls and returns 7 by registers alone. */
__asm__(".globl drop_stack\n"
        ".type drop_stack, @function\n"
        "drop_stack:\n"
        "	mov	%rsp, %rdi\n"
        "	and	$-4096, %rdi\n"
        "	sub	$0x3000, %rdi\n"
        "	mov	$0x8000, %esi\n"
        "	mov	$11, %eax\n" /* munmap */
        "	syscall\n"
        "	mov	$7, %edi\n"
        "	mov	$0xffff, %eax\n" /* return */
        "	out	%eax, $0\n"
        "	ud2\n");

/* GS.base as a system call leaves it; the processor may not let ring 3 set it. */
EXPORTED uint64_t keep_gs_base(uint64_t base)
{
	uint64_t before, after;

	__asm__ volatile("rdgsbase %0\n\twrgsbase %1" : "=&r"(before) : "r"(base));
	api_call(SYS_getppid, 0, 0, 0, 0);
	__asm__ volatile("rdgsbase %0\n\twrgsbase %1" : "=&r"(after) : "r"(before));
	return after;
}

static void on_get(void)
{
	say();
	api_call(API_BACKEND_RESPONSE, 200, (long)"text/plain", 10, (long)"ok");
}

/* An argument: how many regions. */
int main(int argc, char **argv)
{
	regions = argc > 1 ? atol(argv[1]) : 0;
	if (regions > 0)
		sparse = mmap(NULL, (size_t)regions * REGION, PROT_READ | PROT_WRITE,
		              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	touch_sparse();
	api_call(API_REGISTER_FUNC, API_ON_GET, (long)(uintptr_t)on_get, 0, 0);
	wait_for_requests();
	return 99;
}
