/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what its URL, or its first argument, says: for what
 * kvmsb-run prints and exits with, and what it lets a program read and write.
 */
#include "kvm_api.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void crash(void)
{
	/* Volatile itself, so that the compiler does not see where it points. */
	volatile int *volatile nowhere = (volatile int *)16;

	*nowhere = 1;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

/* Writes for ever, much at once. */
static void flood(void)
{
	static char data[1 << 20];

	while (fwrite(data, sizeof(data), 1, stdout) == 1)
		;
	exit(7);
}

static void fill_memory(void)
{
	const size_t piece = 1 << 20;

	for (;;) {
		char *memory = malloc(piece);

		if (memory == NULL)
			exit(9);
		memset(memory, 1, piece);
	}
}

/* A fork's buffers end with it. */
static void print_environment(void)
{
	const char *extra = getenv("EXTRA");

	printf("%s %s %s\n", getenv("KVM_NAME"), getenv("KVM_TYPE"), extra != NULL ? extra : "none");
	fflush(stdout);
}

static void must(int works)
{
	if (works)
		return;
	printf("%s\n", strerror(errno));
	exit(8);
}

/* Under another name first, as programs do that leave no half-written file. */
static void copy(const char *from, const char *to)
{
	char data[4096], name[4096], *directory = getcwd(name, sizeof(name));
	size_t length;
	FILE *file = fopen(from, "r");

	must(file != NULL && directory != NULL);
	printf("%s\n", directory);
	length = fread(data, 1, sizeof(data), file);
	snprintf(name, sizeof(name), "%s.new", to);
	file = fopen(name, "w");
	must(file != NULL && fwrite(data, 1, length, file) == length && fclose(file) == 0);
	must(rename(name, to) == 0);
	exit(0);
}

/* Five bytes of a streamed response, and no more. */
static struct streaming_content give_half(void *arg, size_t max, size_t written, size_t total)
{
	(void)arg;
	(void)max;
	(void)total;
	if (written > 0)
		crash();
	return (struct streaming_content){"half ", 5};
}

static void do_what(const char *what)
{
	if (strcmp(what, "crash") == 0)
		crash();
	if (strcmp(what, "spin") == 0)
		spin();
	if (strcmp(what, "flood") == 0)
		flood();
	if (strcmp(what, "memory") == 0)
		fill_memory();
	if (strcmp(what, "abort") == 0)
		abort();
	if (strcmp(what, "terminate") == 0)
		raise(SIGTERM);
	if (strcmp(what, "exit") == 0)
		exit(42);
	if (strcmp(what, "wait") == 0)
		wait_for_requests();
	if (strcmp(what, "status") == 0)
		backend_response_str(99, "text/plain", "");
	if (strcmp(what, "log") == 0)
		vlogf("a log of %s\n", what);
	if (strcmp(what, "environment") == 0)
		print_environment();
	if (strcmp(what, "half") == 0)
		begin_streaming_response(200, "", 0, 10, give_half, NULL);
}

static void on_get(const char *url, const char *arg)
{
	do_what(url + 1);
	if (strcmp(url, "/headers") != 0)
		return;
	if (strcmp(arg, "append") == 0)
		http_append_str(BERESP, "X-One: 1");
	http_append_str(BERESP, "X-One: 2");
	http_set_str(BERESP, "Content-Length: 77");
	backend_response_str(204, "", "no line end");
}

/* For --call. */
unsigned long respond(void)
{
	backend_response_str(200, "text/plain", "text");
	return 7;
}

size_t length_of(const char *text, long more)
{
	return strlen(text) + (size_t)more;
}

int main(int argc, char **argv)
{
	if (argc > 3)
		copy(argv[2], argv[3]);
	if (argc > 1)
		do_what(argv[1]);
	set_backend_get(on_get);
	wait_for_requests();
	return 0;
}
