/* SPDX-License-Identifier: MIT */
/*
 * All code of ours that runs inside a guest: the kernel text (ring 0) and the
 * entry text (ring 3). Both are position-independent and are copied from the
 * library's read-only data into guest pages; .org and layout.h fix every
 * label's place, so a mismatch does not assemble.
 *
 * On some hosts ring 0 is emulated, at 0.75 us an instruction: keep the kernel
 * text to a few plain instructions. No stack is ever written by it.
 */
#include "layout.h"

	.section .rodata, "a", @progbits
	.balign 64

	.globl guest_kernel_text
	.hidden guest_kernel_text
guest_kernel_text:

/*
 * LSTAR where SYSCALL enters ring 0. In: as SYSCALL leaves it (RAX number,
 * arguments in RDI RSI RDX R10 R8 R9, RCX return address, R11 flags, the
 * user's RSP). Clobbers nothing; RAX is set by the host. Leaves by SYSRET.
 */
	.org guest_kernel_text + LAYOUT_KERNEL_SYSCALL, 0xcc
	outl	%eax, $PORT_SYSCALL_RING0
	sysretq

/*
 * One handler for each vector, on the interrupt stack with the processor's
 * frame at its end. The host lifts the frame off and never comes back here;
 * HLT stops a processor that would run on.
 */
	.set	vector, 0
	.rept	32
	.org guest_kernel_text + LAYOUT_KERNEL_EXCEPTIONS + vector * LAYOUT_KERNEL_EXCEPTION_STRIDE, 0xcc
	outl	%eax, $PORT_EXCEPTION
	hlt
	.set	vector, vector + 1
	.endr
	.org guest_kernel_text + LAYOUT_KERNEL_TEXT_SIZE, 0xcc

	.balign 64
	.globl guest_entry_text
	.hidden guest_entry_text
guest_entry_text:

/*
 * LSTAR where SYSCALL stays in ring 3. In and out as above; RCX and R11 are
 * SYSCALL's to clobber.
 */
	.org guest_entry_text + LAYOUT_ENTRY_SYSCALL, 0xcc
	outl	%eax, $PORT_SYSCALL_RING3
	jmp	*%rcx

/*
 * Begins a context: a call of a guest function, or main(). In: EDX:EAX all
 * ones, R10 what RDX is to be, R11 where to go, RSP and the other registers
 * as they are to be. Loads the master's x87 and vector state, all of XCR0.
 * Out: RAX and R10 zero, RDX set, R11 the target. Leaves by a jump.
 */
	.macro	load_state
	xrstor64 guest_entry_text + (LAYOUT_ENTRY_XSAVE - LAYOUT_ENTRY_TEXT)(%rip)
	movq	%r10, %rdx
	xorl	%eax, %eax
	xorl	%r10d, %r10d
	.endm

	.org guest_entry_text + LAYOUT_ENTRY_START, 0xcc
	load_state
	jmp	*%r11

/*
 * Null selectors for DS, ES, FS, GS; the bases of FS and GS stay. Clobbers
 * \scratch alone. For hosts that leave what the last program loaded in them.
 */
	.macro	clear_selectors scratch
	movw	no_selector(%rip), %ds
	movw	no_selector(%rip), %es
	rdfsbase \scratch
	movw	no_selector(%rip), %fs
	wrfsbase \scratch
	rdgsbase \scratch
	movw	no_selector(%rip), %gs
	wrgsbase \scratch
	.endm

/* As LAYOUT_ENTRY_START, on such a host. */
	.org guest_entry_text + LAYOUT_ENTRY_START_SELECTORS, 0xcc
	load_state
	clear_selectors %rax
	xorl	%eax, %eax
	jmp	*%r11

/*
 * On such a host, run by itself before a context goes on after which others
 * have run on its thread. In: the bases. Clobbers RAX. Ends in an exit.
 */
	.org guest_entry_text + LAYOUT_ENTRY_CLEAR_SELECTORS, 0xcc
	clear_selectors %rax
	outl	%eax, $PORT_HYPERCALL
	ud2

/*
 * Where a called function returns to. In: RAX, RDX its value. Out: RDI, RDX,
 * EAX the number of the hypercall that ends a call. The host does not come
 * back; the trap is for a guest that jumps here.
 */
	.org guest_entry_text + LAYOUT_ENTRY_RETURN, 0xcc
	movq	%rax, %rdi
	movl	$HYPERCALL_RETURN, %eax
	.org guest_entry_text + LAYOUT_ENTRY_RETURN_OUT, 0xcc
	outl	%eax, $PORT_HYPERCALL
	ud2
no_selector:
	.word	0

/*
 * Goes on where main() waits for requests in a loop. In: EDX:EAX all ones; at
 * RSP what RDX and RAX are to be, then where to go; RSP is to be LAYOUT_RED_ZONE
 * and these three higher; all other registers as they are to be. Loads the
 * master's x87 and vector state.
 */
	.macro	go_on
	popq	%rdx
	popq	%rax
	ret	$LAYOUT_RED_ZONE
	.endm

	.org guest_entry_text + LAYOUT_ENTRY_RESUME, 0xcc
	xrstor64 guest_entry_text + (LAYOUT_ENTRY_XSAVE - LAYOUT_ENTRY_TEXT)(%rip)
	go_on

/* As LAYOUT_ENTRY_RESUME, where selectors stay. */
	.org guest_entry_text + LAYOUT_ENTRY_RESUME_SELECTORS, 0xcc
	xrstor64 guest_entry_text + (LAYOUT_ENTRY_XSAVE - LAYOUT_ENTRY_TEXT)(%rip)
	clear_selectors %rax
	go_on
	.org guest_entry_text + LAYOUT_ENTRY_TEXT_SIZE, 0xcc

	.section .note.GNU-stack, "", @progbits
