/* SPDX-License-Identifier: MIT */
/*
 * Leaves marks in every register and ends in every way (leave, end_*), and
 * says what it finds in its registers (report): one fork must not find what
 * another one left. hold keeps its own across system calls.
 */
#include "handover.h"

#include "api.h"

#include <cpuid.h>
#include <string.h>

EXPORTED struct handover_report report_area;
EXPORTED unsigned char held_before[HANDOVER_EXTENDED] __attribute__((aligned(64)));
EXPORTED unsigned char held_after[HANDOVER_EXTENDED] __attribute__((aligned(64)));
EXPORTED unsigned char page[4096] __attribute__((aligned(4096)));
EXPORTED uint64_t counter;

/* For the assembly below. */
EXPORTED unsigned char pattern[2048] __attribute__((aligned(64)));
EXPORTED unsigned char has_xsave, has_avx, has_avx512, has_fsgsbase, has_pkru;

#define FUNCTION(name, code)                                                                       \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" code "\n")

/* Every register at the entry, as far as this processor has it. Returns 0. */
FUNCTION(report,
         "mov %rax, report_area(%rip); mov %rbx, report_area+8(%rip); mov %rcx, report_area+16(%rip)\n"
         "mov %rdx, report_area+24(%rip); mov %rsi, report_area+32(%rip)\n"
         "mov %rdi, report_area+40(%rip); mov %rbp, report_area+48(%rip)\n"
         "mov %rsp, report_area+56(%rip); mov %r8, report_area+64(%rip)\n"
         "mov %r9, report_area+72(%rip); mov %r10, report_area+80(%rip)\n"
         "mov %r11, report_area+88(%rip); mov %r12, report_area+96(%rip)\n"
         "mov %r13, report_area+104(%rip); mov %r14, report_area+112(%rip)\n"
         "mov %r15, report_area+120(%rip)\n"
         "pushfq; popq report_area+128(%rip); cld\n"
         "mov %cs, %eax; mov %rax, report_area+136(%rip); mov %ds, %eax; mov %rax, report_area+144(%rip)\n"
         "mov %es, %eax; mov %rax, report_area+152(%rip); mov %fs, %eax; mov %rax, report_area+160(%rip)\n"
         "mov %gs, %eax; mov %rax, report_area+168(%rip); mov %ss, %eax; mov %rax, report_area+176(%rip)\n"
         "fxsave64 report_area+512(%rip)\n"
         "cmpb $0, has_xsave(%rip); je 1f\n"
         "mov $-1, %eax; mov $-1, %edx; xsave64 report_area+1024(%rip)\n"
         "xor %ecx, %ecx; xgetbv; mov %rax, report_area+208(%rip)\n"
         "1: cmpb $0, has_fsgsbase(%rip); je 2f\n"
         "rdfsbase %rax; mov %rax, report_area+184(%rip)\n"
         "rdgsbase %rax; mov %rax, report_area+192(%rip)\n"
         "2: cmpb $0, has_pkru(%rip); je 3f\n"
         "xor %ecx, %ecx; rdpkru; mov %rax, report_area+200(%rip)\n"
         "3: xor %eax, %eax; ret");

/* All of `pattern` into x87 and vector registers; the control words as far from normal as can be. */
FUNCTION(fill,
         "fninit; fldpi; fldl2e; fld1; fldlg2; fldln2; fldl2t; fldpi; fld1\n"
         "push $0xf7f; fldcw (%rsp); movl $0xffff, (%rsp); ldmxcsr (%rsp); pop %rax\n"
         ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
         "movaps pattern+64*\\n(%rip), %xmm\\n\n.endr\n"
         "cmpb $0, has_avx(%rip); je 1f\n"
         ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
         "vmovaps pattern+64*\\n(%rip), %ymm\\n\n.endr\n"
         "1: cmpb $0, has_avx512(%rip); je 2f\n"
         ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
         "vmovaps pattern+64*\\n(%rip), %zmm\\n\n.endr\n"
         ".irp n, 0,1,2,3,4,5,6,7\nkmovw pattern+64*\\n(%rip), %k\\n\n.endr\n"
         "2: ret");

/* RDI: what ends it, with RSI and RDX as its arguments. Marks in all other registers. */
FUNCTION(leave_marks,
         "push %rdi; push %rsi; push %rdx; call fill; pop %rsi; pop %rdi; pop %r11\n"
         "mov $0x6d61726b6d61726b, %rbx; mov %rbx, %rbp; mov %rbx, %r8; mov %rbx, %r9\n"
         "mov %rbx, %r10; mov %rbx, %r12; mov %rbx, %r13; mov %rbx, %r14; mov %rbx, %r15\n"
         "mov %rbx, %rcx; mov %rbx, %rdx; mov %rbx, %rax; jmp *%r11");

/*
 * Marks where leave_marks leaves none: RSI, RDI, R11, flags, bases, RSP, selectors (of this table
 * of descriptors or of a Linux host's), and other control words and x87 registers than the
 * master's. end_show_marks reports all marks, and returns 0; end_with_marks ends with them: it
 * returns, or, with 1 in RDI, faults.
 */
EXPORTED unsigned char other_stack[4096] __attribute__((aligned(64)));
EXPORTED uint64_t own_stack;
#define MARK_THE_REST                                                                              \
	"mov %rsp, own_stack(%rip); mov $0x1b, %ecx; verr %cx; je 1f; mov $0x2b, %ecx\n"           \
	"1: mov %ecx, %ds; mov %ecx, %es; mov %ecx, %fs; mov %ecx, %gs\n"                          \
	"cmpb $0, has_fsgsbase(%rip); je 1f\n"                                                     \
	"mov $0x6d61726b6d61, %rcx; wrfsbase %rcx; wrgsbase %rcx\n"                                \
	"1: lea other_stack+2048(%rip), %rsp; fninit; fldz; fldlg2; fldln2; fldl2t; fld1; fldz\n"  \
	"fldl2e; fld1; fucomi; fstp %st(0); push $0x25f; fldcw (%rsp); movl $0x9f80, (%rsp)\n"     \
	"ldmxcsr (%rsp); mov %rbx, %rcx; mov %rbx, %rsi; mov %rbx, %r11\n"
FUNCTION(end_show_marks, MARK_THE_REST
         "mov %rbx, %rdi; push $0x244ed7; popf; call report; cld; mov own_stack(%rip), %rsp; ret");
FUNCTION(end_with_marks, MARK_THE_REST
         "test %edi, %edi; mov %rbx, %rdi; jnz 2f; push $0x244ed7; popf\n"
         "mov own_stack(%rip), %rsp; ret; 2: push $0x244ed7; popf; ud2");

/* Returns. */
FUNCTION(end_return, "ret");
FUNCTION(end_return_flags, "push $0x244ed7; popf; ret");
FUNCTION(end_return_direction, "std; ret");
FUNCTION(end_return_bases, "wrfsbase %rbx; wrgsbase %rbx; ret");
FUNCTION(end_return_selectors,
         "mov $0x1b, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; ret");
FUNCTION(end_return_selector_in_all, "mov %edi, %ds; mov %edi, %es; mov %edi, %fs; mov %edi, %gs; ret");
FUNCTION(end_return_pkru, "xor %ecx, %ecx; xor %edx, %edx; mov $0x55555554, %eax; wrpkru; ret");
FUNCTION(end_return_avx_clear, "vzeroall; ret");
FUNCTION(end_return_x87, "fninit; fld1; fldz; fdivrp; fldpi; fsin; ret");

/* Exceptions. */
FUNCTION(end_read, "mov 8, %rax");
FUNCTION(end_write, "mov %rax, 8");
FUNCTION(end_jump, "mov $8, %eax; jmp *%rax");
FUNCTION(end_jump_kernel, "mov $0xffff800000000000, %rax; jmp *%rax");
FUNCTION(end_jump_nowhere, "mov $0x8000000000000000, %rax; jmp *%rax");
FUNCTION(end_undefined, "ud2");
FUNCTION(end_breakpoint, "int3");
FUNCTION(end_icebp, ".byte 0xf1");
FUNCTION(end_int, "int $0x80");
FUNCTION(end_divide, "xor %ecx, %ecx; div %ecx");
FUNCTION(end_hlt, "hlt");
FUNCTION(end_stack, "mov $0x8000000000000000, %rsp; push %rax");
FUNCTION(end_trap, "push $0x102; popf; nop; nop; ud2");
FUNCTION(end_alignment, "push $0x40002; popf; mov pattern+1(%rip), %rax");
FUNCTION(end_sse, "push $0x1d80; ldmxcsr (%rsp); xorps %xmm0, %xmm0; cvtsi2ss %ebx, %xmm1; divss %xmm0, %xmm1");
FUNCTION(end_x87, "fninit; push $0x37b; fldcw (%rsp); fldz; fld1; fdivp %st, %st(1); fwait");

/* Without an end. */
FUNCTION(end_spin, "1: jmp 1b");
FUNCTION(end_spin_flags, "push $0x244ed7; popf; 1: jmp 1b");
FUNCTION(end_spin_system_calls, "1: mov $39, %eax; syscall; jmp 1b");
FUNCTION(end_spin_outs, "xor %edx, %edx; lea page(%rip), %rsi; 1: outsl; lea page(%rip), %rsi; jmp 1b");
FUNCTION(end_spin_rep_outs,
         "1: xor %edx, %edx; lea page(%rip), %rsi; mov $1024, %ecx; rep outsl; jmp 1b");
FUNCTION(end_spin_stack, "mov $0x8000000000000000, %rsp; 1: jmp 1b");

/* Input and output that nobody answers. RDI: the port. */
FUNCTION(end_out_8, "mov %edi, %edx; out %al, %dx; ud2");
FUNCTION(end_out_16, "mov %edi, %edx; out %ax, %dx; ud2");
FUNCTION(end_out_32, "mov %edi, %edx; mov $0x1234567, %eax; out %eax, %dx; ud2");
FUNCTION(end_in_8, "mov %edi, %edx; in %dx, %al; ud2");
FUNCTION(end_in_16, "mov %edi, %edx; in %dx, %ax; ud2");
FUNCTION(end_in_32, "mov %edi, %edx; in %dx, %eax; ud2");
FUNCTION(end_outs_8, "mov %edi, %edx; lea page(%rip), %rsi; outsb; ud2");
FUNCTION(end_outs_16, "mov %edi, %edx; lea page(%rip), %rsi; outsw; ud2");
FUNCTION(end_outs_32, "mov %edi, %edx; lea page(%rip), %rsi; outsl; ud2");
FUNCTION(end_ins_8, "mov %edi, %edx; lea page(%rip), %rdi; insb; ud2");
FUNCTION(end_ins_32, "mov %edi, %edx; lea page(%rip), %rdi; insl; ud2");
FUNCTION(end_rep_outs_8, "mov %edi, %edx; lea page(%rip), %rsi; mov $4096, %ecx; rep outsb; ud2");
FUNCTION(end_rep_outs_32, "mov %edi, %edx; lea page(%rip), %rsi; mov $1024, %ecx; rep outsl; ud2");
FUNCTION(end_rep_ins_8, "mov %edi, %edx; lea page(%rip), %rdi; mov $4096, %ecx; rep insb; ud2");
FUNCTION(end_rep_ins_32, "mov %edi, %edx; lea page(%rip), %rdi; mov $1024, %ecx; rep insl; ud2");
FUNCTION(end_rep_outs_down,
         "mov %edi, %edx; lea page+4092(%rip), %rsi; mov $1024, %ecx; std; rep outsl; ud2");

/* Stops and ends of calls by OUT in other forms than those of ours. RDI: the number. */
FUNCTION(end_number_syscall, "mov %edi, %eax; mov $200, %edi; syscall; ud2");
FUNCTION(end_number_out, "mov %edi, %eax; out %eax, $0; ud2");
FUNCTION(end_number_out_dx, "mov %edi, %eax; xor %edx, %edx; out %eax, %dx; ud2");
FUNCTION(end_number_out_67, "mov %edi, %eax; .byte 0x67, 0xe7, 0; ud2");
FUNCTION(end_number_out_rex, "mov %edi, %eax; .byte 0x48, 0xe7, 0; ud2");
FUNCTION(end_number_out_rep, "mov %edi, %eax; mov $3, %ecx; .byte 0xf3, 0xe7, 0; ud2");
FUNCTION(end_number_out_many,
         "mov %edi, %eax; xor %edx, %edx; .byte 0x2e, 0x3e, 0x26, 0x67, 0x64, 0x48, 0xef; ud2");
FUNCTION(end_number_outs, "mov %edi, %eax; xor %edx, %edx; lea page(%rip), %rsi; outsl; ud2");
FUNCTION(end_number_rep_outs,
         "mov %edi, %eax; xor %edx, %edx; lea page(%rip), %rsi; mov $1, %ecx; rep outsl; ud2");
FUNCTION(end_number_rep_outs_2,
         "mov %edi, %eax; xor %edx, %edx; lea page(%rip), %rsi; mov $2, %ecx; rep outsl; ud2");
FUNCTION(end_number_stub, "mov %edi, %eax; jmp *%rsi");
FUNCTION(end_number_stack, "mov %edi, %eax; mov $0x8000000000000000, %rsp; out %eax, $0; ud2");
FUNCTION(end_number_shadow, "mov %edi, %eax; mov %ss, %edx; mov %edx, %ss; out %eax, $0; ud2");
FUNCTION(end_number_shadow_syscall,
         "mov %edi, %eax; mov $200, %edi; mov %ss, %edx; mov %edx, %ss; syscall; ud2");
FUNCTION(end_number_trap, "mov %edi, %eax; push $0x102; popf; out %eax, $0; ud2");
FUNCTION(end_number_trap_dx, "mov %edi, %eax; xor %edx, %edx; push $0x102; popf; out %eax, %dx; ud2");
FUNCTION(end_number_trap_syscall, "mov %edi, %eax; push $0x102; popf; syscall; ud2");
FUNCTION(end_trap_out_8, "xor %edx, %edx; push $0x102; popf; out %al, %dx; ud2");
FUNCTION(end_trap_outs, "xor %edx, %edx; lea page(%rip), %rsi; mov $64, %ecx; push $0x102; popf; rep outsl; ud2");

/*
 * A call of the host in the middle of a function, with arguments that are good
 * for something. Returns 0x600d, and only if the next instruction to run is
 * the next one. RDI: the number.
 */
#define MIDDLE(name, enter)                                                                        \
	FUNCTION(name, "mov %edi, %eax; mov $200, %edi; lea page(%rip), %rsi; mov $4, %edx\n"      \
	               "lea page(%rip), %r10; mov %r10, %rcx; mov $4, %r8d; xor %r9d, %r9d\n" enter \
	               "\npush $0x600d; pop %rax; ret")
MIDDLE(middle_by_syscall, "syscall");
MIDDLE(middle_by_out, ".byte 0xe7, 0");
MIDDLE(middle_by_out_dx, "xor %edx, %edx; out %eax, %dx");
/* The form that is passed by length, after what leaves RIP elsewhere, and in an interrupt shadow. */
FUNCTION(outs_then_out, "mov $39, %eax; xor %edx, %edx; lea page(%rip), %rsi; outsl; .byte 0xe7, 0; ret");
FUNCTION(shadow_then_out, "mov $39, %eax; mov %ss, %edx; mov %edx, %ss; .byte 0xe7, 0; ret");
FUNCTION(shadow_then_port_4, "mov $39, %eax; lea 1f(%rip), %rcx; mov $0x202, %r11d; mov %ss, %edx\n"
                             "mov %edx, %ss; outl %eax, $4; 1: ret");

/* 32-bit code, where the host has a segment for it. RDI: its selector, RSI: the number. */
FUNCTION(end_compat_out, "mov %esi, %eax; push %rdi; push $1f; lretq; .code32; 1: out %eax, $0; ud2; .code64");
FUNCTION(end_compat_spin, "push %rdi; push $1f; lretq; .code32; 1: jmp 1b; .code64");
FUNCTION(end_compat_undefined, "push %rdi; push $1f; lretq; .code32; 1: ud2; .code64");
FUNCTION(end_compat_int, "mov $20, %eax; push %rdi; push $1f; lretq; .code32; 1: int $0x80; ud2; .code64");
FUNCTION(end_compat_syscall, "mov $20, %eax; push %rdi; push $1f; lretq; .code32; 1: syscall; ud2; .code64");
FUNCTION(end_compat_sysenter, "mov $20, %eax; push %rdi; push $1f; lretq; .code32; 1: sysenter; ud2; .code64");
FUNCTION(end_compat_return,
         "push %rdi; push $1f; lretq; .code32; 1: xor %eax, %eax; mov %eax, %ss; ud2; .code64");

/* Exits. */
FUNCTION(end_exit, "mov $231, %eax; mov $5, %edi; syscall; ud2");
FUNCTION(end_exit_out, "mov $231, %eax; mov $5, %edi; outl %eax, $0; ud2");

/*
 * An OUT right behind a SYSCALL: with the 39 that write(2) returned it is a
 * getpid. stop_at_out leaves another's OUT at the same address.
 */
__asm__(".text\n.globl write_then_out, stop_at_out\n.type write_then_out, @function\n"
        ".type stop_at_out, @function\nwrite_then_out:\nmov $1, %eax\nmov $1, %edi\n"
        "lea pattern(%rip), %rsi\nmov $39, %edx\nsyscall\n1: out %eax, $0\nret\n"
        "stop_at_out:\nmov %edi, %eax\njmp 1b\n");

/*
 * write(1, writes, 65535) by a forged OUT, that goes on at RDI, which is the OUT
 * where calls end: what write returned is its number. The call returns 1.
 */
EXPORTED unsigned char writes[0xffff];
FUNCTION(write_then_return,
         "mov %rdi, %rcx; mov $1, %eax; mov $1, %edi; lea writes(%rip), %rsi; mov $0xffff, %edx\n"
         "mov $2, %r11d; outl %eax, $4; ud2");

/*
 * write(1, pattern, RDI) with all registers full: by SYSCALL, by OUT. Returns
 * what write did. Behind the XSAVE area the selectors are kept, at its end.
 */
#define HOLD(name, enter)                                                                          \
	FUNCTION(name, "push %rdi; call fill; call save_before\n"                                  \
	               "mov $1, %eax; mov $1, %edi; lea pattern(%rip), %rsi; mov (%rsp), %rdx\n" enter \
	               "\ncall save_after; pop %rdi; ret")
HOLD(hold_by_syscall, "syscall");
HOLD(hold_by_out, "out %eax, $0");
#define SAVE(name, area)                                                                           \
	FUNCTION(name, "push %rax; fxsave64 " area "(%rip); cmpb $0, has_xsave(%rip); je 1f\n"     \
	               "mov $-1, %eax; mov $-1, %edx; xsave64 " area "(%rip)\n"                    \
	               "1: mov %ds, %eax; mov %ax, " area "+4080(%rip); mov %es, %eax\n"           \
	               "mov %ax, " area "+4082(%rip); mov %fs, %eax; mov %ax, " area "+4084(%rip)\n" \
	               "mov %gs, %eax; mov %ax, " area "+4086(%rip); pop %rax; ret")
SAVE(save_before, "held_before");
SAVE(save_after, "held_after");

EXPORTED uint64_t answer(uint64_t number)
{
	counter++;
	return number * 3 + counter;
}

/* Other marks for leave_marks and hold. */
EXPORTED void set_pattern(int mark)
{
	memset(pattern, mark, sizeof(pattern));
}

static void find_features(void)
{
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	has_xsave = (c >> 27 & 1) != 0;
	has_avx = (c >> 28 & 1) != 0;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		has_fsgsbase = (b & 1) != 0;
		has_avx512 = (b >> 16 & 1) != 0;
		has_pkru = (c >> 4 & 1) != 0;
	}
}

/* With an argument it starts as programs built for KVM VMOD do: by OUT. */
int main(int argc, char **argv)
{
	(void)argv;
	memset(page, HANDOVER_PAGE_MARK, sizeof(page));
	find_features();
	set_pattern(HANDOVER_MASTERS_MARK);
	if (argc > 1)
		__asm__ volatile("sub $128, %%rsp; call fill; mov $0x10000, %%eax; mov $1, %%edi\n"
		                 "lea report(%%rip), %%rsi; outl %%eax, $0\n"
		                 "mov $0x10001, %%eax; outl %%eax, $0; ud2" ::
		                         : "memory", "rax", "rdi", "rsi");
	__asm__ volatile("sub $128, %%rsp; call fill; mov $0x10001, %%eax; syscall; ud2" ::
	                         : "memory", "rax", "rcx", "r11");
	return 99;
}
