/* SPDX-License-Identifier: MIT */
/*
 * What lib/probe.c runs in ring 3 to see how this host's KVM behaves. Copied
 * into a guest page like kernel.S.
 */
#include "layout.h"

	.section .rodata, "a", @progbits
	.balign 64
	.globl guest_probe_text
	.hidden guest_probe_text
guest_probe_text:

/* Does OUT in ring 3 exit? */
	.org guest_probe_text + LAYOUT_PROBE_OUT, 0xcc
	outl	%eax, $PORT_HYPERCALL
	ud2

/* Where does SYSCALL go? Clobbers RCX, R11. */
	.org guest_probe_text + LAYOUT_PROBE_SYSCALL, 0xcc
	syscall
	ud2

/* What does this space show at RDI? Out: RAX. */
	.org guest_probe_text + LAYOUT_PROBE_READ, 0xcc
	movq	(%rdi), %rax
	outl	%eax, $PORT_HYPERCALL
	ud2

/* Does a selector (RSI) that ring 3 loads outlive the host's loading of others? Out: RAX. */
	.org guest_probe_text + LAYOUT_PROBE_SET_SELECTOR, 0xcc
	movl	%esi, %es
	outl	%eax, $PORT_HYPERCALL
	ud2

	.org guest_probe_text + LAYOUT_PROBE_GET_SELECTOR, 0xcc
	movl	%es, %eax
	outl	%eax, $PORT_HYPERCALL
	ud2

/* Can ring 3 read (and write) its segment bases? Clobbers RAX. */
	.org guest_probe_text + LAYOUT_PROBE_READ_BASE, 0xcc
	rdfsbase %rax
	outl	%eax, $PORT_HYPERCALL
	ud2

/* Does a write to RDI set the dirty bit of its page? */
	.org guest_probe_text + LAYOUT_PROBE_WRITE, 0xcc
	movq	%rdi, (%rdi)
	outl	%eax, $PORT_HYPERCALL
	ud2

/* Which time-stamp counter is the guest's? Out: RAX. Clobbers RDX. */
	.org guest_probe_text + LAYOUT_PROBE_READ_TSC, 0xcc
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	outl	%eax, $PORT_HYPERCALL
	ud2
	.org guest_probe_text + LAYOUT_PROBE_TEXT_SIZE, 0xcc

	.section .note.GNU-stack, "", @progbits
