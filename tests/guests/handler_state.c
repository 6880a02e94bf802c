/* SPDX-License-Identifier: MIT */
/*
 * With what registers a handler begins: GET is handled in assembly that keeps all
 * of them before the C function goes on, which also looks at its thread's
 * variables, and writes to its strings.
 */
#include "kvm_api.h"

#include <errno.h>
#include <stdio.h>

#define GENERAL 16

/* In the order of the assembly below: without RCX and R11, which SYSRET leaves addresses and flags in. */
uint64_t general[GENERAL];
uint64_t flags;
uint32_t control;
uint8_t vector[2][16] __attribute__((aligned(16)));

static __thread int own = 1;

void get(const char *url, const char *arg);

__asm__(".pushsection .text\n"
        ".globl entry\n.type entry, @function\n"
        "entry:\n"
        "	mov %rax, general(%rip)\n"
        "	mov %rbx, general + 8(%rip)\n"
        "	mov %rdx, general + 24(%rip)\n"
        "	mov %rbp, general + 32(%rip)\n"
        "	mov %r8, general + 40(%rip)\n"
        "	mov %r9, general + 48(%rip)\n"
        "	mov %r10, general + 56(%rip)\n"
        "	mov %r12, general + 72(%rip)\n"
        "	mov %r13, general + 80(%rip)\n"
        "	mov %r14, general + 88(%rip)\n"
        "	mov %r15, general + 96(%rip)\n"
        "	pushf\n"
        "	popq flags(%rip)\n"
        "	stmxcsr control(%rip)\n"
        "	movaps %xmm7, vector(%rip)\n"
        "	movaps %xmm15, vector + 16(%rip)\n"
        /* Faults where the stack is not aligned as for any function. */
        "	movaps %xmm0, -24(%rsp)\n"
        "	jmp get\n"
        ".size entry, . - entry\n"
        ".popsection\n");

extern void entry(const char *url, const char *arg);

void get(const char *url, const char *arg)
{
	const uint64_t direction = 0x400;
	char text[1024];
	char *writable = TRUST_ME(url);
	uint64_t rest = 0;
	int length;

	for (size_t i = 0; i < GENERAL; i++)
		rest |= general[i];
	writable[0] = '#';
	((char *)TRUST_ME(arg))[0] = '#';
	errno = 5;
	length = snprintf(
		text, sizeof(text),
		"general %llx flags %llx control %x vectors %02x %02x own %d errno %d %s %s",
		(unsigned long long)rest, (unsigned long long)flags & direction, control, vector[0][0],
		vector[1][15], own++, errno, url, arg);
	backend_response(200, "text/plain", 10, text, (size_t)length);
}

/* Rounds down, and has vectors that no C code leaves: for the handler to find. */
static void wait_with_state(void)
{
	static uint8_t seven[16] __attribute__((aligned(16)));
	static uint8_t fifteen[16] __attribute__((aligned(16)));
	static const uint32_t rounds_down = 0x3f80;

	memset(seven, 0x77, sizeof(seven));
	memset(fifteen, 0xff, sizeof(fifteen));
	__asm__ volatile("ldmxcsr %2\n"
	                 "movaps %0, %%xmm7\n"
	                 "movaps %1, %%xmm15\n"
	                 "mov $0x10001, %%eax\n"
	                 "syscall\n" ::"m"(seven),
	                 "m"(fifteen), "m"(rounds_down)
	                 : "rax", "rcx", "r11", "xmm7", "xmm15", "memory");
}

int main(void)
{
	own = 41;
	set_backend_get(entry);
	wait_with_state();
	return 0;
}
