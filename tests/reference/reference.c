/* SPDX-License-Identifier: MIT */
/*
 * Prints the reference of system calls or of hypercalls, as lib/linux/SYSCALLS.md
 * and lib/http/HYPERCALLS.md have it, from their tables and nothing else: it
 * needs no library and no headers but C's, so that it can be compiled anywhere.
 *
 * usage: reference syscalls | hypercalls
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct row {
	unsigned number;
	const char *name, *handler, *support, *note;
};

static const struct row system_calls[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note)                                  \
	{number, #name, #handler, #support, note},
#include "linux/syscalls.def"
#undef SYSTEM_CALL
};

/* support: when it may be called. */
static const struct row hypercalls[] = {
#define HYPERCALL(number, name, format, when, handler, note) {number, #name, #handler, #when, note},
#include "http/hypercalls.def"
#undef HYPERCALL
};

static const char generated[] = "\n"
				"Generated from [`%s`](%s), one row a call; after a change there:\n"
				"`tests/reference/update`.\n"
				"\n";

/* '|' would end a cell. */
static void print_cell(const char *text)
{
	for (; *text != '\0'; text++)
		printf(*text == '|' ? "\\%c" : "%c", *text);
	printf(" |\n");
}

static bool is_supported(const struct row *row, const char *support)
{
	return strcmp(row->support, support) == 0;
}

static unsigned count(const char *support)
{
	unsigned found = 0;

	for (size_t i = 0; i < COUNT(system_calls); i++)
		found += is_supported(&system_calls[i], support);
	return found;
}

static const char *level(const struct row *row)
{
	if (is_supported(row, "FULL"))
		return "full";
	return is_supported(row, "PARTIAL") ? "partial" : "stub";
}

static void print_system_calls_there(void)
{
	printf("| number | call | support | note |\n|---:|---|---|---|\n");
	for (size_t i = 0; i < COUNT(system_calls); i++) {
		const struct row *row = &system_calls[i];

		if (is_supported(row, "NONE"))
			continue;
		printf("| %u | `%s` | %s | ", row->number, row->name, level(row));
		print_cell(row->note);
	}
}

/* All calls of one reason, if this row is the first of them. */
static void print_reason(size_t first)
{
	const char *note = system_calls[first].note;

	for (size_t i = 0; i < first; i++)
		if (is_supported(&system_calls[i], "NONE") && strcmp(system_calls[i].note, note) == 0)
			return;
	printf("| ");
	for (size_t i = first; i < COUNT(system_calls); i++)
		if (is_supported(&system_calls[i], "NONE") && strcmp(system_calls[i].note, note) == 0)
			printf("%s`%s`", i > first ? ", " : "", system_calls[i].name);
	printf(" | ");
	print_cell(note);
}

static void print_system_calls(void)
{
	printf("# System calls\n");
	printf(generated, "syscalls.def", "syscalls.def");
	printf("Of %zu calls of x86-64 Linux %u are full (as their manual pages say, within what\n"
	       "a sandbox is), %u partial (as the note says), %u stubs (an answer without an\n"
	       "effect); the other %u, and numbers that Linux does not have, answer `ENOSYS`.\n\n",
	       COUNT(system_calls), count("FULL"), count("PARTIAL"), count("STUB"), count("NONE"));
	print_system_calls_there();
	printf("\n## Not there\n\n| calls | what they are |\n|---|---|\n");
	for (size_t i = 0; i < COUNT(system_calls); i++)
		if (is_supported(&system_calls[i], "NONE"))
			print_reason(i);
}

static const char *allowed(const struct row *row)
{
	if (strncmp(row->support, "BOOT", 4) == 0)
		return "until the program waits";
	return strncmp(row->support, "REQUEST", 7) == 0 ? "in a request" : "always";
}

static void print_hypercalls(void)
{
	printf("# Hypercalls\n");
	printf(generated, "hypercalls.def", "hypercalls.def");
	printf("What [`guest/kvm_api.h`](../../guest/kvm_api.h) calls. Those that are not there, "
	       "and\n"
	       "numbers that are not here, answer `ENOSYS`.\n\n"
	       "| number | call | support | allowed | note |\n|---:|---|---|---|---|\n");
	for (size_t i = 0; i < COUNT(hypercalls); i++) {
		const struct row *row = &hypercalls[i];

		printf("| %#x | `%s` | %s | %s | ", row->number, row->name,
		       strcmp(row->handler, "unsupported") == 0 ? "none" : "full",
		       allowed(row));
		print_cell(row->note);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "syscalls") == 0)
		print_system_calls();
	else if (argc == 2 && strcmp(argv[1], "hypercalls") == 0)
		print_hypercalls();
	else
		return 2;
	return fflush(stdout) == 0 ? 0 : 1;
}
