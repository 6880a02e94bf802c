/* SPDX-License-Identifier: MIT */
/* The least that a program does: what creating a sandbox costs is measured with it. */
#include <stdio.h>

int main(void)
{
	puts("Hello");
	return 0;
}
