/* SPDX-License-Identifier: MIT */
/*
 * A guest with functions that its host calls by name. It needs no header and
 * does not wait: a program that has returned from main() can be called, too.
 */
#include <stdio.h>
#include <string.h>

static int calls;

/* How often it was called, since main(). */
int count(void)
{
	return ++calls;
}

long add(long a, long b)
{
	return a + b;
}

/* Reverses a text in place. Returns its length. */
size_t reverse(char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length / 2; i++) {
		char character = text[i];

		text[i] = text[length - 1 - i];
		text[length - 1 - i] = character;
	}
	return length;
}

int main(void)
{
	printf("hello-c is ready\n");
	return 0;
}
