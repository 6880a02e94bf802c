/* SPDX-License-Identifier: MIT */
/*
 * One function for each way to do what a guest must not, or may and must come
 * back from. Where an instruction is to fault, NAME_at is its address and
 * NAME_after what follows; if it does not, the function returns 0x600d.
 */
#include "api.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LAST_PAGE ((unsigned char *)0x7f7ffffff000)

EXPORTED uint64_t counter;
EXPORTED const uint64_t constant = 1;
EXPORTED unsigned char data_page[4096] __attribute__((aligned(4096))) = {0xc3};
EXPORTED unsigned char fresh_pages[64 * 4096] __attribute__((aligned(4096)));
EXPORTED unsigned char *heap_page, *read_only_page, *unmapped_page;
EXPORTED unsigned char *stack_page;
EXPORTED unsigned char *last_page = LAST_PAGE;

EXPORTED uint64_t answer(uint64_t number)
{
	counter++;
	return number * 3 + counter;
}

#define TRY(name, before, instruction)                                                             \
	__asm__(".text\n.globl " #name ", " #name "_at, " #name "_after\n.type " #name             \
	        ", @function\n" #name ":\n" before "\n" #name "_at:\n" instruction "\n" #name      \
	        "_after:\nmov $0x600d, %eax\nret\n")

/* The argument is where. RAX says it in the result. */
TRY(read_at, "mov %rdi, %rax", "mov (%rax), %rcx");
TRY(write_at, "mov %rdi, %rax", "mov %rcx, (%rax)");
TRY(change_at, "mov %rdi, %rax", "lock incq (%rax)");
TRY(jump_to, "mov %rdi, %rax", "jmp *%rax");
TRY(call_to, "mov %rdi, %rax", "call *%rax");
TRY(return_to, "mov %rdi, %rax; push %rax", "ret");
TRY(push_at, "mov %rdi, %rax; mov %rax, %rsp", "push %rcx");
TRY(read_stack_at, "mov %rdi, %rax; mov %rax, %rbp", "mov (%rbp), %rcx");
TRY(prefetch_at, "mov %rdi, %rax", "prefetcht0 (%rax); clflush (%rsp)");
TRY(save_at, "mov %rdi, %rax", "fxsave64 (%rax)");
TRY(set_fs_base, "mov %rdi, %rax", "wrfsbase %rax");
TRY(set_gs_base, "mov %rdi, %rax", "wrgsbase %rax");

/* Arithmetic. */
TRY(divide_by_zero, "xor %edx, %edx; xor %ecx, %ecx; mov $1, %eax", "div %rcx");
TRY(divide_overflow, "mov $1, %eax; shl $63, %rax; cqo; mov $-1, %rcx", "idiv %rcx");
TRY(unmasked_x87, "fninit; push $0x37b; fldcw (%rsp); pop %rax; fldz; fld1; fdivp %st, %st(1)",
    "fwait");
TRY(unmasked_sse,
    "push $0x1d80; ldmxcsr (%rsp); pop %rax; xorps %xmm0, %xmm0; mov $1, %eax; "
    "cvtsi2ss %eax, %xmm1",
    "divss %xmm0, %xmm1");
TRY(misaligned_vector, "lea 1+data_page(%rip), %rax", "movaps (%rax), %xmm0");

/* Instructions that are traps, or none. */
TRY(undefined, "", "ud2");
TRY(breakpoint, "", "int3");
TRY(int_3, "", ".byte 0xcd, 3");
TRY(int_4, "", "int $4");
TRY(int_0, "", "int $0");
TRY(int_1, "", "int $1");
TRY(int_2, "", "int $2");
TRY(int_8, "", "int $8");
TRY(int_13, "", "int $13");
TRY(int_14, "", "int $14");
TRY(int_18, "", "int $18");
TRY(int_31, "", "int $31");
TRY(int_32, "", "int $32");
TRY(int_128, "mov $20, %eax", "int $0x80");
TRY(int_255, "", "int $255");
TRY(icebp, "", ".byte 0xf1");
TRY(into, "", ".byte 0xce");
TRY(bound, "", ".byte 0x62, 0x04, 0x24");
TRY(vmcall, "mov $-1, %eax", "vmcall");
TRY(vmmcall, "mov $-1, %eax", "vmmcall");
TRY(sysenter, "mov %rsp, %rcx; lea sysenter_after(%rip), %rdx; mov $39, %eax", "sysenter");

/* Privileged instructions. */
TRY(hlt, "", "hlt");
TRY(cli, "", "cli");
TRY(sti, "", "sti");
TRY(lgdt, "", "lgdt data_page(%rip)");
TRY(lidt, "", "lidt data_page(%rip)");
TRY(lldt, "xor %eax, %eax", "lldt %ax");
TRY(ltr, "mov $0x28, %eax", "ltr %ax");
TRY(lmsw, "xor %eax, %eax", "lmsw %ax");
TRY(clts, "", "clts");
TRY(invd, "", "invd");
TRY(wbinvd, "", "wbinvd");
TRY(invlpg, "", "invlpg data_page(%rip)");
TRY(read_cr0, "", "mov %cr0, %rax");
TRY(read_cr2, "", "mov %cr2, %rax");
TRY(read_cr3, "", "mov %cr3, %rax");
TRY(read_cr4, "", "mov %cr4, %rax");
TRY(read_cr8, "", "mov %cr8, %rax");
TRY(write_cr0, "xor %eax, %eax", "mov %rax, %cr0");
TRY(write_cr3, "xor %eax, %eax", "mov %rax, %cr3");
TRY(write_cr4, "xor %eax, %eax", "mov %rax, %cr4");
TRY(read_dr0, "", "mov %dr0, %rax");
TRY(read_dr7, "", "mov %dr7, %rax");
TRY(write_dr0, "xor %eax, %eax", "mov %rax, %dr0");
TRY(write_dr7, "xor %eax, %eax", "mov %rax, %dr7");
TRY(rdmsr, "mov $0xc0000082, %ecx", "rdmsr");
TRY(wrmsr, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx", "wrmsr");
TRY(rdpmc, "xor %ecx, %ecx", "rdpmc");
TRY(xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "xsetbv");
TRY(swapgs, "", "swapgs");
TRY(monitor, "lea data_page(%rip), %rax; xor %ecx, %ecx; xor %edx, %edx", "monitor");
TRY(mwait, "xor %eax, %eax; xor %ecx, %ecx", "mwait");
TRY(sysretq, "lea sysretq_after(%rip), %rcx; pushf; pop %r11", "sysretq");
TRY(sysexit, "", "sysexitl");
TRY(sgdt, "", "sgdt -16(%rsp)");
TRY(sidt, "", "sidt -16(%rsp)");
TRY(sldt, "", "sldt %eax");
TRY(str, "", "str %eax");
TRY(smsw, "", "smsw %eax");
TRY(rsm, "", "rsm");
TRY(vmrun, "xor %eax, %eax", "vmrun");
TRY(vmload, "xor %eax, %eax", "vmload");
TRY(stgi, "", "stgi");
TRY(vmxoff, "", "vmxoff");

/* Ports. The argument is the port. */
TRY(out_8, "mov %edi, %edx; xor %eax, %eax", "out %al, %dx");
TRY(out_16, "mov %edi, %edx; xor %eax, %eax", "out %ax, %dx");
TRY(out_32, "mov %edi, %edx; mov $0x12345678, %eax", "out %eax, %dx");
TRY(in_8, "mov %edi, %edx; xor %eax, %eax", "in %dx, %al");
TRY(in_16, "mov %edi, %edx; xor %eax, %eax", "in %dx, %ax");
TRY(in_32, "mov %edi, %edx; xor %eax, %eax", "in %dx, %eax");
TRY(outs_8, "mov %edi, %edx; lea data_page(%rip), %rsi", "outsb");
TRY(outs_16, "mov %edi, %edx; lea data_page(%rip), %rsi", "outsw");
TRY(outs_32, "mov %edi, %edx; lea data_page(%rip), %rsi; mov $0x12345678, %eax", "outsl");
TRY(rep_outs_8, "mov %edi, %edx; lea data_page(%rip), %rsi; mov $64, %ecx", "rep outsb");
TRY(rep_outs_32, "mov %edi, %edx; lea data_page(%rip), %rsi; mov $64, %ecx", "rep outsl");
TRY(rep_outs_1, "mov %edi, %edx; lea data_page(%rip), %rsi; mov $1, %ecx; mov $0x12345678, %eax",
    "rep outsl");
TRY(rep_outs_unmapped, "mov %edi, %edx; mov $8, %esi; mov $64, %ecx", "rep outsl");
TRY(ins_8, "mov %edi, %edx; lea data_page(%rip), %rdi", "insb");
TRY(ins_32, "mov %edi, %edx; lea data_page(%rip), %rdi", "insl");
TRY(rep_ins_32, "mov %edi, %edx; lea data_page(%rip), %rdi; mov $64, %ecx", "rep insl");
TRY(out_8_immediate, "", "outb %al, $0");
TRY(out_16_immediate, "", "outw %ax, $0");
TRY(out_32_forged_syscall, "mov $39, %eax", "outl %eax, $0x20");
TRY(out_32_forged_exception, "mov $39, %eax", "outl %eax, $0x24");
TRY(in_32_immediate, "", "inl $0, %eax");

/* What the stub of SYSCALL does, done by hand. The argument is where to go on, 0: here. */
TRY(forged_syscall,
    "lea forged_syscall_after(%rip), %rcx; test %rdi, %rdi; cmovnz %rdi, %rcx; "
    "mov $0x3202, %r11d; mov $39, %eax",
    "outl %eax, $4");
TRY(forged_iopl, "lea forged_iopl_at(%rip), %rcx; mov $0x3202, %r11d; mov $39, %eax; outl %eax, $4",
    "cli");

/* A system call by OUT in other encodings than the usual one. */
TRY(out_dx, "mov $39, %eax; xor %edx, %edx", "out %eax, %dx; ret");
TRY(out_prefixed, "mov $39, %eax", ".byte 0x67, 0xe7, 0; ret");
TRY(out_dx_prefixed, "mov $39, %eax; xor %edx, %edx", ".byte 0x2e, 0x3e, 0x26, 0x67, 0x48, 0xef; ret");

/* Flags. The argument is what POPF loads, beside what is fixed. */
TRY(set_flags, "push %rdi; popf; pushf; pop %rax; push $2; popf; ret", "nop");
TRY(trap_flag, "pushf; orl $0x100, (%rsp)", "popf; nop");
TRY(interrupts_by_flags, "push $0x3202; popf", "cli");
TRY(alignment_check, "lea 1+data_page(%rip), %rax; pushf; orl $0x40000, (%rsp); popf",
    "mov (%rax), %rcx");
TRY(nested_task,
    "mov %rsp, %rcx; push $0x1b; push %rcx; pushf; push $0x23; lea nested_task_after(%rip), %rax; "
    "push %rax; push $0x4002; popf",
    "iretq");
TRY(iret_user,
    "mov %ss, %eax; mov %cs, %edx; mov %rsp, %rcx; push %rax; push %rcx; push $0x3202; push %rdx; "
    "lea iret_user_after(%rip), %rax; push %rax",
    "iretq");
TRY(iret_kernel,
    "mov %rsp, %rcx; push $0x10; push %rcx; push $0x202; push $8; lea iret_kernel_after(%rip), "
    "%rax; push %rax",
    "iretq");
TRY(lahf, "stc; lahf; sahf", "nop");

/* Far returns, and loads of segment registers. The argument is the selector. */
TRY(far_return, "push %rdi; lea far_return_after(%rip), %rax; push %rax", "lretq");
TRY(far_jump,
    "lea far_jump_after(%rip), %rax; mov %rax, -16(%rsp); mov %di, -8(%rsp)", ".byte 0x48; ljmp *-16(%rsp)");
TRY(load_ds, "", "mov %edi, %ds");
TRY(load_es, "", "mov %edi, %es");
TRY(load_fs, "mov %fs:0, %rax", "mov %edi, %fs");
TRY(load_gs, "", "mov %edi, %gs");
TRY(load_ss, "", "mov %edi, %ss");

/* RSP of anywhere (the argument) while the kernel is entered. */
__asm__(".text\n.globl syscall_with_stack\n.type syscall_with_stack, @function\n"
        "syscall_with_stack:\nmov %rsp, %rbx\nmov %rdi, %rsp\nmov $39, %eax\nsyscall\n"
        "mov %rsp, %rcx\nmov %rbx, %rsp\ncmp %rcx, %rdi\nje 1f\nmov $-1, %rax\n1: ret\n");
__asm__(".text\n.globl fault_with_stack\n.type fault_with_stack, @function\n"
        "fault_with_stack:\nmov %rsp, %rbx\nmov %rdi, %rsp\nmovb $7, fresh_pages(%rip)\n"
        "movzbl fresh_pages(%rip), %eax\nmov %rsp, %rcx\nmov %rbx, %rsp\ncmp %rcx, %rdi\nje 1f\n"
        "mov $-1, %rax\n1: ret\n");

/* The 128 bytes below RSP across what DISTURBS: how many of them have changed. */
#define RED_ZONE(name, disturbs)                                                                   \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n"                \
	        "mov %rdi, %r8\nmov $-16, %rdx\n"                                                  \
	        "1: mov %rdx, (%rsp, %rdx, 8)\nnotq (%rsp, %rdx, 8)\ninc %rdx\njnz 1b\n" disturbs  \
	        "\nxor %eax, %eax\nmov $-16, %rdx\n"                                               \
	        "2: mov (%rsp, %rdx, 8), %rcx\nnot %rcx\ncmp %rcx, %rdx\nje 3f\ninc %eax\n"        \
	        "3: inc %rdx\njnz 2b\nret\n")
RED_ZONE(red_zone_syscall, "mov $39, %eax; syscall; mov $39, %eax; syscall");
RED_ZONE(red_zone_read, "mov fresh_pages+4096*8(%rip), %rcx");
RED_ZONE(red_zone_write, "movb $1, fresh_pages+4096*9(%rip); movb $1, data_page+1(%rip)");
RED_ZONE(red_zone_out, "mov $39, %eax; outl %eax, $0");

/*
 * Every register but what DISTURBS may change, flags too, across it: how many
 * have changed. RSP is right if the function returns. R11 and RCX are SYSCALL's.
 */
#define KEPT(name, disturbs)                                                                       \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n"                \
	        "mov $0x1111, %ebx; mov $0x2222, %ebp; mov $0x3333, %edi; mov $0x4444, %esi\n"     \
	        "mov $0x5555, %edx; mov $0x8888, %r8d; mov $0x9999, %r9d; mov $0xaaaa, %r10d\n"    \
	        "mov $0xcccc, %r12d; mov $0xdddd, %r13d; mov $0xeeee, %r14d; mov $0xffff, %r15d\n" \
	        "push $0x2406d5; popf\n" disturbs "\npushf; pop %rcx; push $2; popf\n"            \
	        "xor %eax, %eax\n"                                                                 \
	        "cmp $0x1111, %rbx; je 1f; inc %eax; 1: cmp $0x2222, %rbp; je 1f; inc %eax\n"      \
	        "1: cmp $0x3333, %rdi; je 1f; inc %eax; 1: cmp $0x4444, %rsi; je 1f; inc %eax\n"   \
	        "1: cmp $0x5555, %rdx; je 1f; inc %eax; 1: cmp $0x8888, %r8; je 1f; inc %eax\n"    \
	        "1: cmp $0x9999, %r9; je 1f; inc %eax; 1: cmp $0xaaaa, %r10; je 1f; inc %eax\n"    \
	        "1: cmp $0xcccc, %r12; je 1f; inc %eax; 1: cmp $0xdddd, %r13; je 1f; inc %eax\n"   \
	        "1: cmp $0xeeee, %r14; je 1f; inc %eax; 1: cmp $0xffff, %r15; je 1f; inc %eax\n"   \
	        "1: cmp $0x2406d7, %rcx; je 1f; inc %eax\n1: ret\n")
KEPT(kept_by_syscall, "mov $39, %eax; syscall; cmp $1000, %eax; jne 1f; mov $0x2406d7, %eax; cmp %rax, "
                      "%r11; jne 1f; mov $39, %eax; push $0x2406d5; popf; syscall; jmp 2f\n1: xor %ebx, "
                      "%ebx\n2:");
KEPT(kept_by_fault, "movb $1, fresh_pages+4096*11(%rip)");
KEPT(kept_by_read, "mov fresh_pages+4096*12(%rip), %al");
KEPT(kept_by_out, "mov $39, %eax; outl %eax, $0");

/* The next SYSCALL returns to the entry window itself, the last to a RET before it. */
EXPORTED uint64_t syscall_in_last_page(int with_return)
{
	static const unsigned char code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
	size_t length = with_return ? sizeof(code) : sizeof(code) - 1;
	unsigned char *start = LAST_PAGE + 4096 - length;

	memcpy(start, code, length);
	return ((uint64_t(*)(void))(uintptr_t)start)();
}

EXPORTED __attribute__((noinline)) uint64_t recurse(uint64_t depth)
{
	volatile unsigned char room[512];

	if (depth == UINT64_MAX)
		return 0;
	room[depth % sizeof(room)] = 1;
	return recurse(depth + 1) + room[depth % sizeof(room)];
}

EXPORTED void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

EXPORTED void spin_with_system_calls(void)
{
	for (;;)
		api_call(39, 0, 0, 0, 0);
}

/* Each round takes a page away and touches it anew. */
EXPORTED void spin_with_faults(void)
{
	for (;;) {
		madvise(fresh_pages, sizeof(fresh_pages), MADV_DONTNEED);
		fresh_pages[0] = 1;
	}
}

EXPORTED void sleep_long(void)
{
	const struct timespec hour = {.tv_sec = 3600};

	for (;;)
		nanosleep(&hour, NULL);
}

EXPORTED long set_fs_by_call(uint64_t base)
{
	return api_call(158, 0x1002, (long)base, 0, 0);
}

EXPORTED long set_gs_by_call(uint64_t base)
{
	return api_call(158, 0x1001, (long)base, 0, 0);
}

/* It ran on it a moment ago. */
EXPORTED void unmap_own_stack(void)
{
	char *here = __builtin_frame_address(0);
	uintptr_t page = (uintptr_t)here & ~4095ul;

	munmap((void *)(page - 65536 + 4096), 65536);
	*(volatile char *)here = 1;
}

static unsigned char *map(int protection)
{
	return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(void)
{
	static const unsigned char ret = 0xc3;
	unsigned char here[2 * 4096];

	stack_page = (unsigned char *)(((uintptr_t)here + 4095) & ~4095ul);
	*stack_page = ret;
	heap_page = map(PROT_READ | PROT_WRITE);
	*heap_page = ret;
	read_only_page = map(PROT_READ);
	unmapped_page = map(PROT_READ | PROT_WRITE);
	*unmapped_page = ret;
	munmap(unmapped_page, 4096);
	if (mmap(LAST_PAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != LAST_PAGE)
		return 1;
	memset(LAST_PAGE, 0xcc, 4096);
	wait_for_requests();
	return 99;
}
