/* SPDX-License-Identifier: MIT */
/*
 * What a call leaves of the registers. The host names a call, the way it is
 * made, and RDI, RSI, RDX; changed() fills every register with a value of its
 * own, makes the call, and says which registers are not what they were.
 *
 * A way is the instruction alone, as compilers place it between others, or a
 * function of its own as guest programs have it: number to EAX, OUT, return.
 */
#include "api.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum register_index {
	RAX,
	RBX,
	RCX,
	RDX,
	RSI,
	RDI,
	RBP,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15,
	GENERAL
};

#define VECTORS 16

/* At the offsets that the assembly below has. */
struct registers {
	uint64_t general[GENERAL];
	uint64_t flags;
	uint64_t vectors[VECTORS][4];
};
_Static_assert(offsetof(struct registers, flags) == 120, "assembly below");
_Static_assert(offsetof(struct registers, vectors) == 128, "assembly below");

/* Carry, parity, adjust, zero, sign, direction, overflow. */
#define FLAGS 0xcd5u

struct registers registers_in, registers_out;
uint64_t instruction_address, wide_vectors, stack_before, stack_after;

void exchange_registers(void);
void plain_out(void);
void plain_syscall(void);
void wrapped_is_storage(void);

#define EACH_GENERAL(step)                                                                         \
	step(rbx, 8) step(rcx, 16) step(rdx, 24) step(rsi, 32) step(rdi, 40) step(rbp, 48)         \
		step(r8, 56) step(r9, 64) step(r10, 72) step(r11, 80) step(r12, 88) step(r13, 96)  \
			step(r14, 104) step(r15, 112)
#define LOAD(name, offset) "movq registers_in+" #offset "(%rip), %" #name "\n"
#define STORE(name, offset) "movq %" #name ", registers_out+" #offset "(%rip)\n"

#define EACH_VECTOR(instruction)                                                                   \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" instruction ".endr\n"

/* In: all of registers_in, instruction_address. Out: registers_out. C's own are kept. */
/* clang-format off */
__asm__(".pushsection .text\n"
        "exchange_registers:\n"
        "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rax\n"
        "cmpq $0, wide_vectors(%rip)\n"
        "je 1f\n"
        EACH_VECTOR("vmovdqu registers_in+128+32*\\n(%rip), %ymm\\n\n")
        "jmp 2f\n"
        "1:\n"
        EACH_VECTOR("movdqu registers_in+128+32*\\n(%rip), %xmm\\n\n")
        "2:\n"
        EACH_GENERAL(LOAD)
        "movq %rsp, stack_before(%rip)\n"
        "pushq registers_in+120(%rip)\n"
        "movq registers_in(%rip), %rax\n"
        "popfq\n"
        "call *instruction_address(%rip)\n"
        "pushfq\n"
        "popq registers_out+120(%rip)\n"
        "cld\n"
        "movq %rsp, stack_after(%rip)\n"
        "movq %rax, registers_out(%rip)\n"
        EACH_GENERAL(STORE)
        "cmpq $0, wide_vectors(%rip)\n"
        "je 3f\n"
        EACH_VECTOR("vmovdqu %ymm\\n, registers_out+128+32*\\n(%rip)\n")
        "vzeroupper\n"
        "jmp 4f\n"
        "3:\n"
        EACH_VECTOR("movdqu %xmm\\n, registers_out+128+32*\\n(%rip)\n")
        "4:\n"
        "pop %rax\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "ret\n"
        "plain_out: out %eax, $0\n ret\n"
        "plain_syscall: syscall\n ret\n"
        "wrapped_is_storage: mov $0x10706, %eax\n out %eax, $0\n ret\n"
        ".popsection\n");
/* clang-format on */

static void (*const ways[])(void) = {plain_out, plain_syscall, wrapped_is_storage};

static void fill(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
	for (unsigned i = 0; i < GENERAL; i++)
		registers_in.general[i] = 0x1111111111111111u * (i + 1);
	for (unsigned i = 0; i < VECTORS * 4; i++)
		registers_in.vectors[i / 4][i % 4] = 0x0102030405060708u + i;
	registers_in.general[RAX] = number;
	registers_in.general[RDI] = rdi;
	registers_in.general[RSI] = rsi;
	registers_in.general[RDX] = rdx;
	memcpy(&registers_out, &registers_in, sizeof(registers_out));
}

/* A bit for each register that is not what it was: general ones, 16 flags, 17 vectors, 18 stack. */
static uint64_t differences(void)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < GENERAL; i++)
		bits |= (uint64_t)(registers_out.general[i] != registers_in.general[i]) << i;
	bits |= (uint64_t)(((registers_out.flags ^ registers_in.flags) & FLAGS) != 0) << 16;
	bits |= (uint64_t)(memcmp(registers_out.vectors, registers_in.vectors,
	                          sizeof(registers_in.vectors)) != 0)
	        << 17;
	return bits | (uint64_t)(stack_after != stack_before) << 18;
}

/* The bits that a call changed. `set`: with all flags of arithmetic set, or none. */
EXPORTED uint64_t changed(uint64_t way, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
                          uint64_t set)
{
	fill(number, rdi, rsi, rdx);
	registers_in.flags = set != 0 ? 0x202 | FLAGS : 0x202;
	wide_vectors = __builtin_cpu_supports("avx") != 0;
	instruction_address = (uint64_t)(uintptr_t)ways[way];
	exchange_registers();
	return differences();
}

/* Of the call before. */
EXPORTED uint64_t value_of(uint64_t index)
{
	return registers_out.general[index];
}

int main(void)
{
	__builtin_cpu_init();
	wait_for_requests();
	return 0;
}
