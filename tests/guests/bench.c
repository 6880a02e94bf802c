/* SPDX-License-Identifier: MIT */
/*
 * Functions that kvmsb-bench and the steady-state test call: each does one
 * thing, so that what it costs can be told.
 */
#include <kvm_api.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 1024

/* Written by main(): every page of it is the master's own. */
static volatile uint8_t pages[PAGES][PAGE] __attribute__((aligned(PAGE)));

/* Called by the host only. */
long empty(void);
long raw_call(long number, long first, long second);
long get_pids(long count);
long get_pids_by_out(long count);
long write_bytes(long count);
long read_clock(long count);
long hypercalls(long count);
long hypercalls_out(long count);
long touch(long first, long count);
long peek_pages(long first, long count);
long rewrite_pages(long first, long count);
uint64_t compute(uint64_t rounds);
long add_up(const uint8_t *data, size_t length, uint8_t *copy);
void out_forever(void);

long empty(void)
{
	return 0;
}

/* Any system call: what is in RAX afterwards. */
long raw_call(long number, long first, long second)
{
	__asm__ volatile("syscall"
	                 : "+a"(number)
	                 : "D"(first), "S"(second), "d"(0L)
	                 : "rcx", "r11", "memory");
	return number;
}

long get_pids(long count)
{
	long pid = 0;

	for (long i = 0; i < count; i++)
		pid = syscall(SYS_getpid);
	return pid;
}

/* As the programs do that were built for KVM VMOD. */
long get_pids_by_out(long count)
{
	long pid = 0;

	for (long i = 0; i < count; i++) {
		pid = SYS_getpid;
		__asm__ volatile("outl %%eax, $0" : "+a"(pid) : : "memory");
	}
	return pid;
}

long write_bytes(long count)
{
	for (long i = 0; i < count; i++)
		if (write(STDOUT_FILENO, "x", 1) != 1)
			return -1;
	return count;
}

/* How often the clock went backwards. */
long read_clock(long count)
{
	struct timespec before = {0}, now;
	long backwards = 0;

	for (long i = 0; i < count; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		backwards += now.tv_sec < before.tv_sec ||
		             (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec);
		before = now;
	}
	return backwards;
}

/* One that needs neither arguments nor a request. */
long hypercalls(long count)
{
	long sum = 0;

	for (long i = 0; i < count; i++)
		sum += sys_is_debug();
	return sum;
}

/* The same as programs make it that know only the older way. */
long hypercalls_out(long count)
{
	long sum = 0;

	for (long i = 0; i < count; i++) {
		long answer;

		__asm__ volatile("movl %1, %%eax\n\toutl %%eax, $0"
		                 : "=&a"(answer)
		                 : "i"(KVM_API_IS_DEBUG)
		                 : "rdx", "memory");
		sum += answer;
	}
	return sum;
}

/* Writes a byte to each of `count` pages; what stood there is added up. */
long touch(long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++)
		sum += pages[i % PAGES][0]++;
	return sum;
}

/* What stands in the first bytes of `count` pages, added up. */
long peek_pages(long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++)
		sum += pages[i % PAGES][0];
	return sum;
}

/* The same, with a write that changes nothing before each read. */
long rewrite_pages(long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++) {
		__asm__ volatile("lock orb $0, %0" : "+m"(pages[i % PAGES][0]));
		sum += pages[i % PAGES][0];
	}
	return sum;
}

/* Integers, floating point and memory in the first-level cache. */
uint64_t compute(uint64_t rounds)
{
	static double table[256];
	uint64_t state = 88172645463325252u;
	double sum = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		table[state & 255] += (double)(state >> 40);
		sum += table[state >> 8 & 255] * 0.5;
	}
	return state + (uint64_t)sum;
}

long add_up(const uint8_t *data, size_t length, uint8_t *copy)
{
	long sum = 0;

	for (size_t i = 0; i < length; i++) {
		sum += data[i];
		copy[i] = data[i];
	}
	return sum;
}

/* OUT to port 0 and a jump: what is left of a call when all but the exit is taken away. */
__asm__(".text\n"
        ".globl out_forever\n"
        ".type out_forever, @function\n"
        "out_forever:\n"
        "	outl	%eax, $0\n"
        "	jmp	out_forever\n"
        ".size out_forever, . - out_forever\n");

/* What a request of a C program is made of: numbers formatted, memory allocated and freed. */
static void answer_formatted(void)
{
	static const size_t sizes[] = {24, 200, 1500, 9000, 40000};
	enum {
		BLOCKS = sizeof(sizes) / sizeof(sizes[0])
	};
	char *blocks[BLOCKS], *copy;
	char body[256];

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(sizes[i]);
		memset(blocks[i], i, sizes[i]);
	}
	snprintf(body, sizeof(body), "%s %d: %.6f, %g\n", "formatted", BLOCKS,
	         (double)sizes[BLOCKS - 1] / 7, 1e300 / (double)sizes[0]);
	copy = strdup(body);
	for (int i = 0; i < BLOCKS; i += 2)
		free(blocks[i]);
	backend_response_str(200, "text/plain", copy);
}

/* "/format" is one; any other URL is its own answer. */
static void get(const char *url, const char *argument)
{
	(void)argument;
	if (url[1] == 'f')
		answer_formatted();
	else
		backend_response_str(200, "text/plain", url);
}

/* Outside of a sandbox, with the rounds as its argument: how many nanoseconds the same code takes. */
static int compute_natively(const char *rounds)
{
	struct timespec start, end;
	volatile uint64_t result;

	clock_gettime(CLOCK_MONOTONIC, &start);
	result = compute(strtoull(rounds, NULL, 10));
	clock_gettime(CLOCK_MONOTONIC, &end);
	(void)result;
	printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return compute_natively(argv[1]);
	for (size_t i = 0; i < PAGES; i++)
		pages[i][0] = 1;
	set_backend_get(get);
	wait_for_requests();
	return 1;
}
