/* SPDX-License-Identifier: MIT */
/*
 * What the programs share whose lines differential_test.c compares: a system
 * call as the kernel sees it, and a line "call(arguments) = result" about it.
 * Lines hold nothing that differs by nature: addresses, ids, times and counts
 * of the machine are told as relations. A program that makes a call, makes it
 * through one of the macros here: what was called is read from the lines.
 */
#ifndef KVMSB_TESTS_GUESTS_DIFFERENTIAL_H
#define KVMSB_TESTS_GUESTS_DIFFERENTIAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "system_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Up to six arguments of any scalar type, as the registers have them. */
#define LONGS_1(a) (long)(a)
#define LONGS_2(a, ...) (long)(a), LONGS_1(__VA_ARGS__)
#define LONGS_3(a, ...) (long)(a), LONGS_2(__VA_ARGS__)
#define LONGS_4(a, ...) (long)(a), LONGS_3(__VA_ARGS__)
#define LONGS_5(a, ...) (long)(a), LONGS_4(__VA_ARGS__)
#define LONGS_6(a, ...) (long)(a), LONGS_5(__VA_ARGS__)
#define LONGS_OF(a, b, c, d, e, f, macro, ...) macro
#define LONGS(...)                                                                                 \
	LONGS_OF(__VA_ARGS__, LONGS_6, LONGS_5, LONGS_4, LONGS_3, LONGS_2, LONGS_1, )(__VA_ARGS__)

/* The call alone, without a line. */
#define CALL(name, ...) system_call(SYS_##name, (const long[6]){LONGS(__VA_ARGS__)})

/* The call, and a line with its exact result. Its value is the result. */
#define TRY(name, ...) tell(#name, #__VA_ARGS__, CALL(name, __VA_ARGS__), true)
/* The same where what it returns differs by nature: "ok", or the error. */
#define TRY_OK(name, ...) tell(#name, #__VA_ARGS__, CALL(name, __VA_ARGS__), false)

/* Addresses that no call may take; set up by prepare(). */
struct bad_address {
	const char *name;
	uintptr_t address;
};
static struct bad_address bad_addresses[] = {
	{"NULL", 0},
	{"address 8", 8},
	{"not mapped", 0},
	{"no access", 0},
	{"across the end", 0}, /* four bytes of a page before one that is not mapped */
	{"read-only", 0},      /* the last: bad only where the kernel writes */
	{"last page", 0x7ffffffff000},
	{"not canonical", 0x800000000000},
	{"kernel", 0xffff800000000000},
	{"last byte", UINTPTR_MAX},
};
#define READ_ONLY_INDEX 5

/* What lines say after the call: on what, and which case of a loop it is. */
static const char *subject = "";
static char circumstance[64];

/* A page to read and write, with nothing mapped behind its end; and the place behind it. */
static char *page, *page_end;

static inline void tell_circumstance(void)
{
	if (*subject || *circumstance)
		printf(" [%s%s%s]", subject, *subject && *circumstance ? ", " : "", circumstance);
	printf(" = ");
}

static inline long tell(const char *name, const char *arguments, long result, bool exact)
{
	const char *error = result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;

	/* Arguments that were written over several lines. */
	printf("%s(", name);
	for (; *arguments; arguments++)
		if (*arguments != '\n' && *arguments != '\t')
			putchar(*arguments);
	putchar(')');
	tell_circumstance();
	if (error)
		printf("%s\n", error);
	else if (exact)
		printf("%ld\n", result);
	else
		printf("ok\n");
	return result;
}

/* A line about something else. */
__attribute__((format(printf, 2, 3))) static inline void say(long number, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	tell_circumstance();
	printf("%ld\n", number);
}

__attribute__((format(printf, 1, 2))) static inline void within(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(circumstance, sizeof(circumstance), format, arguments);
	va_end(arguments);
}

static inline void without(void)
{
	circumstance[0] = '\0';
}

/* For every address that cannot be read (or written): name it in the lines, and do this. */
#define FOR_UNREADABLE(variable) FOR_BAD(variable, i_ == READ_ONLY_INDEX)
#define FOR_UNWRITABLE(variable) FOR_BAD(variable, false)
#define FOR_BAD(variable, skip)                                                                    \
	for (size_t i_ = 0; i_ < COUNT(bad_addresses); i_++)                                       \
		for (uintptr_t variable = bad_addresses[i_].address, once_ = (skip) ? 0 : 1;       \
		     once_ && (within("%s", bad_addresses[i_].name), true); once_ = 0, without())

static inline char *map_pages(size_t count, int protection)
{
	char *pages = mmap(NULL, count * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		exit(99);
	return pages;
}

static inline void prepare(void)
{
	char *pages = map_pages(8, PROT_READ | PROT_WRITE);

	setvbuf(stdout, NULL, _IOFBF, 65536);
	/* How far select(2) looks is how large the table of descriptors once was. */
	if (dup2(1, 255) == 255)
		close(255);
	/* page, hole, no access, hole, one byte's page, hole, read-only, hole */
	page = pages;
	page_end = pages + PAGE;
	mprotect(pages + 2 * PAGE, PAGE, PROT_NONE);
	mprotect(pages + 6 * PAGE, PAGE, PROT_READ);
	munmap(pages + PAGE, PAGE);
	munmap(pages + 3 * PAGE, PAGE);
	munmap(pages + 5 * PAGE, PAGE);
	munmap(pages + 7 * PAGE, PAGE);
	bad_addresses[2].address = (uintptr_t)pages + PAGE + 64;
	bad_addresses[3].address = (uintptr_t)pages + 2 * PAGE + 64;
	bad_addresses[4].address = (uintptr_t)pages + 5 * PAGE - 4;
	bad_addresses[5].address = (uintptr_t)pages + 6 * PAGE + 64;
}

/* A number that the same bytes always give. */
static inline long digest(const void *data, size_t length)
{
	const unsigned char *bytes = data;
	uint32_t value = (uint32_t)length;

	for (size_t i = 0; i < length; i++)
		value = (value ^ bytes[i]) * 16777619u;
	return value;
}

#endif
