/* SPDX-License-Identifier: MIT */
/*
 * A guest whose state is a variable. A sandbox that is reset after each request
 * counts from where main() left it, so always answers 11; one that is kept goes on.
 * With the argument "keep" the program asks to be kept: the host may refuse.
 */
#include "kvm_api.h"

#include <stdio.h>

static unsigned long counter;

static void on_get(const char *url, const char *arg)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%lu\n", ++counter);

	(void)url;
	(void)arg;
	backend_response(200, "text/plain", strlen("text/plain"), text, (size_t)length);
}

int main(int argc, char **argv)
{
	const bool keep = argc > 1 && strcmp(argv[1], "keep") == 0;

	counter = 10;
	if (keep && sys_make_ephemeral(0) != 0)
		printf("counter will be reset all the same\n");
	printf("counter is ready\n");
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
