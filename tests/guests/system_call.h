/* SPDX-License-Identifier: MIT */
/* Any system call with six arguments: its bare result, a negative errno for a failure. */
#ifndef KVMSB_TESTS_GUESTS_SYSTEM_CALL_H
#define KVMSB_TESTS_GUESTS_SYSTEM_CALL_H

static inline long system_call(long number, const long *arguments)
{
	register long r10 __asm__("r10") = arguments[3];
	register long r8 __asm__("r8") = arguments[4];
	register long r9 __asm__("r9") = arguments[5];
	long result = number;

	__asm__ volatile("syscall"
	                 : "+a"(result)
	                 : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10),
	                   "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}

#endif
