/* SPDX-License-Identifier: MIT */
/*
 * main() waits for requests in a loop, by either instruction, and answers each
 * with what it finds: registers as they were where it waited, how often it has
 * been round, and the request. Argument: "syscall" or "out". Urls say what goes
 * wrong after the answer.
 */
#include "kvm_api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In this order: RAX RBX RCX RDX RSI RDI RBP R8..R15, then XMM0, XMM15, MXCSR, the x87 control word. */
struct state {
	uint64_t general[15];
	uint64_t vector[2][2];
	uint32_t mxcsr;
	uint16_t control;
};

static struct state before, after;
static struct kvm_request request;
static unsigned rounds, continued;

#define LOAD                                                                                       \
	"ldmxcsr before+152(%%rip)\n fldcw before+156(%%rip)\n"                                    \
	"movups before+120(%%rip), %%xmm0\n movups before+136(%%rip), %%xmm15\n"                   \
	"movq before+8(%%rip), %%rbx\n movq before+16(%%rip), %%rcx\n"                             \
	"movq before+24(%%rip), %%rdx\n movq before+32(%%rip), %%rsi\n"                            \
	"leaq request(%%rip), %%rdi\n movq before+48(%%rip), %%rbp\n"                              \
	"movq before+56(%%rip), %%r8\n movq before+64(%%rip), %%r9\n"                              \
	"movq before+72(%%rip), %%r10\n movq before+80(%%rip), %%r11\n"                            \
	"movq before+88(%%rip), %%r12\n movq before+96(%%rip), %%r13\n"                            \
	"movq before+104(%%rip), %%r14\n movq before+112(%%rip), %%r15\n"                          \
	"movl $0x10002, %%eax\n"
#define STORE                                                                                      \
	"movq %%rax, after(%%rip)\n movq %%rbx, after+8(%%rip)\n"                                  \
	"movq %%rcx, after+16(%%rip)\n movq %%rdx, after+24(%%rip)\n"                              \
	"movq %%rsi, after+32(%%rip)\n movq %%rdi, after+40(%%rip)\n"                              \
	"movq %%rbp, after+48(%%rip)\n movq %%r8, after+56(%%rip)\n"                               \
	"movq %%r9, after+64(%%rip)\n movq %%r10, after+72(%%rip)\n"                               \
	"movq %%r11, after+80(%%rip)\n movq %%r12, after+88(%%rip)\n"                              \
	"movq %%r13, after+96(%%rip)\n movq %%r14, after+104(%%rip)\n"                             \
	"movq %%r15, after+112(%%rip)\n movups %%xmm0, after+120(%%rip)\n"                         \
	"movups %%xmm15, after+136(%%rip)\n stmxcsr after+152(%%rip)\n"                            \
	"fnstcw after+156(%%rip)\n"

/* The red zone, which a wait may not touch, holds a value meanwhile. */
#define WAIT(instruction)                                                                          \
	__asm__ volatile("pushq %%rbp\n pushq %%rbx\n"                                             \
	                 "movq $0x5a5a, -8(%%rsp)\n movq $0x6b6b, -128(%%rsp)\n" LOAD instruction  \
	                 "\n" STORE "popq %%rbx\n popq %%rbp\n"                                    \
	                 :                                                                         \
	                 :                                                                         \
	                 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",     \
	                   "r13", "r14", "r15", "xmm0", "xmm15", "memory")

static __attribute__((noinline)) void wait_by_syscall(void)
{
	WAIT("syscall");
}

static __attribute__((noinline)) void wait_by_out(void)
{
	WAIT("outl %%eax, $0");
}

static void choose_values(void)
{
	for (unsigned i = 0; i < 15; i++)
		before.general[i] = 0x1111111111111111u * (i + 1) ^ rounds;
	before.general[0] = 0x10002;
	before.general[5] = (uintptr_t)&request;
	before.vector[0][0] = 0xabcdef + rounds;
	before.vector[0][1] = ~0u;
	before.vector[1][0] = 7 * rounds;
	before.vector[1][1] = 77;
	before.mxcsr = 0x1f80 | (rounds % 4) << 13;
	before.control = (uint16_t)(0x37f ^ (rounds % 4) << 10);
}

/* Registers that differ, as bits; SYSCALL takes RCX and R11 for itself. */
static unsigned differing(bool by_out)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < 15; i++)
		if (before.general[i] != after.general[i] && (by_out || (i != 2 && i != 10)))
			mask |= 1u << i;
	if (memcmp(before.vector, after.vector, sizeof(before.vector)) != 0)
		mask |= 1u << 16;
	if (before.mxcsr != after.mxcsr || before.control != after.control)
		mask |= 1u << 17;
	return mask;
}

static void answer(bool by_out)
{
	char text[256];
	int length = snprintf(text, sizeof(text), "%u %u %x %s %s %u %u", rounds, continued,
	                      differing(by_out), request.method, request.url, request.num_headers,
	                      request.info_flags);

	backend_response(200, "text/plain", 10, text, (size_t)length);
	backend_response(201, "text/plain", 10, "twice", 5);
	/* Not before the next request. */
	continued++;
}

static void misbehave(void)
{
	if (strcmp(request.url, "/exit") == 0)
		_exit(3);
	if (strcmp(request.url, "/spin") == 0)
		for (;;)
			;
	if (strcmp(request.url, "/crash") == 0)
		__builtin_trap();
	if (strcmp(request.url, "/again") == 0)
		wait_for_requests();
}

int main(int argc, char **argv)
{
	const bool by_out = argc > 1 && strcmp(argv[1], "out") == 0;

	for (;;) {
		choose_values();
		if (by_out)
			wait_by_out();
		else
			wait_by_syscall();
		rounds++;
		if (strncmp(request.url, "/before", 7) != 0)
			answer(by_out);
		misbehave();
		if (strncmp(request.url, "/before", 7) == 0)
			answer(by_out);
	}
}
