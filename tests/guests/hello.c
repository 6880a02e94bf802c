/* SPDX-License-Identifier: MIT */
/*
 * The plainest program: says what it was given, and uses the libc's formatted
 * output, its heap (both the small and the mapped kind) and thread-local data.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static _Thread_local unsigned int lines;

static void say_arguments(int count, char **arguments)
{
	for (int i = 0; i < count; i++, lines++)
		printf("argument %d: %s\n", i, arguments[i]);
}

static size_t count_environment(void)
{
	size_t count = 0;

	while (environ[count])
		count++;
	return count;
}

static int fill(size_t size)
{
	char *block = malloc(size);
	unsigned long sum = 0;

	if (!block)
		return -1;
	memset(block, 'x', size);
	for (size_t i = 0; i < size; i++)
		sum += (unsigned char)block[i];
	free(block);
	printf("%zu bytes, sum %lu\n", size, sum);
	lines++;
	return 0;
}

int main(int argc, char **argv)
{
	volatile double two = 2.0;

	say_arguments(argc, argv);
	printf("environment: %zu\n", count_environment());
	printf("one seventh of two: %.17g\n", two / 7);
	lines += 2;
	if (fill(1000) || fill(3 << 20)) {
		fprintf(stderr, "no memory\n");
		return 1;
	}
	printf("%u lines before this one\n", lines);
	return argc > 9 ? 9 : argc - 1;
}
