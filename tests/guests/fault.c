/* SPDX-License-Identifier: MIT */
/*
 * The guest of fault_test: functions that make the host allocate, map and do
 * system calls, and that say which of their steps did not work.
 */
#include <kvm_api.h>

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 16
#define MAPPED (8 * PAGE)
#define GROWN (20L << 20)

/* main() writes it, so it is the master's; 1 everywhere. */
static volatile unsigned char pages[PAGES][PAGE] __attribute__((aligned(PAGE)));
static volatile long runs;

/*
 * Called by the host only: 0, or the number of the step that failed, from
 * WRONG on when memory was not what it must be, whatever fails.
 */
#define WRONG 100
long work(const char *path);
long restructure(void);
long grow(void);
long fetch(const char *path);
long intact(void);

static long use_mapping(void)
{
	volatile unsigned char *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
	                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = 1;

	if (memory == MAP_FAILED)
		return 1;
	for (size_t at = 0; at < MAPPED; at += PAGE) {
		zero &= memory[at] == 0;
		memory[at] = 2;
	}
	if (!zero)
		return WRONG + 1;
	return munmap((void *)memory, MAPPED) < 0 ? 2 : 0;
}

/* Into a page that was read before and is the master's: the host has to copy it. */
static long read_file(const char *path)
{
	volatile unsigned char *page = pages[PAGES / 2];
	int file = open(path, O_RDONLY);
	long length;

	if (file < 0)
		return 3;
	if (page[0] != 1)
		return WRONG + 2;
	length = read(file, (void *)page, PAGE);
	close(file);
	if (length != PAGE)
		return page[0] == 1 ? 4 : WRONG + 3;
	return page[0] == 0x7f && page[1] == 'E' ? 0 : WRONG + 4;
}

long work(const char *path)
{
	struct timespec now;
	long failed;

	for (size_t i = 0; i < PAGES / 2; i++)
		pages[i][0]++;
	runs++;
	failed = use_mapping();
	if (failed == 0 && write(STDOUT_FILENO, "worked\n", 7) != 7)
		failed = 5;
	if (failed == 0)
		failed = read_file(path);
	if (failed == 0 && clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		failed = 6;
	return failed;
}

/* Leaves a mapping, a hole and a page that cannot be written. */
long restructure(void)
{
	unsigned char *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	runs++;
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 3, MAPPED);
	if (munmap(memory + PAGE, PAGE) < 0)
		return 2;
	pages[1][0] = 4;
	if (mprotect((void *)pages, PAGE, PROT_READ) < 0)
		return 3;
	return 0;
}

/* More memory than the machine has slots for so far. */
long grow(void)
{
	unsigned char *memory = mmap(NULL, GROWN, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	for (long at = 0; at < GROWN; at += PAGE)
		memory[at] = 5;
	return 0;
}

/* Where the next mapping would be; 0: nowhere. */
static unsigned long next_mapping(void)
{
	void *next = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (next == MAP_FAILED)
		return 0;
	munmap(next, PAGE);
	return (unsigned long)next;
}

/* Of what could not be fetched nothing may be left. */
long fetch(const char *path)
{
	struct curl_op op = {.post_buffer = path, .post_buflen = (uint32_t)strlen(path)};
	const unsigned long before = next_mapping();
	long result = sys_fetch("http://host/", 12, &op, NULL, NULL);
	unsigned long after;

	runs++;
	if (result == 0) {
		const char *content = op.content;

		if (op.content_length != 2 * PAGE + 1 || content[0] != 0 || content[2 * PAGE] != path[0])
			return WRONG + 7;
		return op.headers_length == 16 && strlen(op.headers) == 16 ? 0 : WRONG + 8;
	}
	after = next_mapping();
	if (result != -23 || op.content != NULL || op.status != 0)
		return WRONG + 9;
	return before != 0 && after != 0 && after != before ? WRONG + 10 : 7;
}

/* Whether everything is as main() left it and can be written. */
long intact(void)
{
	if (runs != 0)
		return WRONG + 5;
	for (size_t i = 0; i < PAGES; i++) {
		if (pages[i][0] != 1 || pages[i][1] != 0)
			return WRONG + 6;
		pages[i][0] = 1;
	}
	return 0;
}

static void get(const char *url, const char *argument)
{
	(void)argument;
	runs++;
	http_append_str(RESPONSE, "X-Kind: fault");
	backend_response_str(200, "text/plain", url);
}

static void post(const char *url, const char *argument, const char *type, const uint8_t *data,
                 size_t length)
{
	(void)url;
	(void)argument;
	runs++;
	backend_response(200, type, strlen(type), data, length);
}

int main(void)
{
	for (size_t i = 0; i < PAGES; i++)
		pages[i][0] = 1;
	set_backend_get(get);
	set_backend_post(post);
	wait_for_requests();
	return 1;
}
