/* SPDX-License-Identifier: MIT */
/*
 * The little that test guests need of the guest API, by SYSCALL; written apart
 * from guest/kvm_api.h so that a fault there does not hide one in the core.
 */
#ifndef KVMSB_TESTS_GUESTS_API_H
#define KVMSB_TESTS_GUESTS_API_H

#define API_WAIT_FOR_REQUESTS 0x10001
#define API_BACKEND_RESPONSE 0x10010

/* What the host looks up by name. */
#define EXPORTED __attribute__((used, visibility("default")))

static inline long api_call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result = number;

	__asm__ volatile("syscall"
	                 : "+a"(result)
	                 : "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	return result;
}

static inline void wait_for_requests(void)
{
	api_call(API_WAIT_FOR_REQUESTS, 0, 0, 0, 0);
}

#endif
