/* SPDX-License-Identifier: MIT */
/*
 * The smallest host: shows that what is installed compiles, links and answers.
 */
#include <kvmsandbox.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
	printf("libkvmsandbox %s\n", kvmsb_version());
	return strncmp(kvmsb_version(), "0.", 2) != 0;
}
