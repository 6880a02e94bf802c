/* SPDX-License-Identifier: MIT */
/*
 * For mapped_files_test.c: main() maps the file that its first argument names,
 * read-only, and reads all of it. With a second argument it prints "cut", upon
 * which the host cuts the file off, and then reads its page of that number:
 * itself, or by write(2) when a third argument follows. If it is "forget", it
 * gives the pages of the file back instead.
 */
#include <kvm_api.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096L

static const char *path;
static long size;
static const volatile unsigned char *content;

/* Calls of byte_at(), for the host to look at. */
extern volatile long reads;
volatile long reads;

/* Called by the host only. */
long address_of(long page);
long add_up(long first, long count);
long byte_at(long page, long offset);
long write_out(long page, long offset, long length);
long write_privately(long page, long value);
long write_mapping(long page, long value);
long map_again(long first, long count, long keep);
long map_for_good(long pages);
long peek(const volatile unsigned char *address);
long fill(void);
long share(void);

long address_of(long page)
{
	return (long)(content + page * PAGE);
}

static long sum_of(const volatile unsigned char *pages, long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++)
		sum += pages[i * PAGE + i % PAGE];
	return sum;
}

long add_up(long first, long count)
{
	return sum_of(content, first, count);
}

long byte_at(long page, long offset)
{
	reads++;
	return content[page * PAGE + offset];
}

/* What write(2) returns. */
long write_out(long page, long offset, long length)
{
	long result = write(1, (const void *)(content + page * PAGE + offset), (size_t)length);

	return result < 0 ? -errno : result;
}

/* What mprotect(2) makes writable: the byte before, or an errno. */
long write_privately(long page, long value)
{
	volatile unsigned char *start = (unsigned char *)content + page * PAGE;
	long before;

	if (mprotect((void *)start, PAGE, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	before = start[page % PAGE];
	start[page % PAGE] = (unsigned char)value;
	return start[page % PAGE] == (unsigned char)value ? before : -EIO;
}

static void *map_file(int protection, int flags, long pages)
{
	/* What main() maps has page tables of its own. */
	void *hint = content == NULL ? (void *)0x500000000 : NULL;
	int file = open(path, O_RDONLY);
	void *start = mmap(hint, (size_t)(pages * PAGE), protection, flags, file, 0);

	close(file);
	return start;
}

/* What is mapped writable from the start. */
long write_mapping(long page, long value)
{
	volatile unsigned char *start = map_file(PROT_READ | PROT_WRITE, MAP_PRIVATE, page + 1);
	long before;

	if (start == MAP_FAILED)
		return -errno;
	before = start[page * PAGE + page % PAGE];
	start[page * PAGE + page % PAGE] = (unsigned char)value;
	return start[page * PAGE + page % PAGE] == (unsigned char)value ? before : -EIO;
}

/* A mapping of its own, from the file's start to the last of these pages. */
long map_again(long first, long count, long keep)
{
	void *start = map_file(PROT_READ, MAP_SHARED, first + count);
	long sum;

	if (start == MAP_FAILED)
		return -errno;
	sum = sum_of(start, first, count);
	if (!keep && munmap(start, (size_t)((first + count) * PAGE)) < 0)
		return -errno;
	return sum;
}

/* The address of a mapping of which every page was read. */
long map_for_good(long pages)
{
	void *start = map_file(PROT_READ, MAP_PRIVATE, pages);

	return start == MAP_FAILED || sum_of(start, 0, pages) == 0 ? 0 : (long)start;
}

long peek(const volatile unsigned char *address)
{
	return *address;
}

/* Writes page after page until there is no memory; `reads` counts them. */
long fill(void)
{
	volatile unsigned char *pages = mmap(NULL, 4096 * PAGE, PROT_READ | PROT_WRITE,
	                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED)
		return 1;
	for (reads = 0; reads < 4096; reads++)
		pages[reads * PAGE] = 1;
	return 2;
}

/* What a shared mapping that is writable is refused with, then one that would become it. */
long share(void)
{
	void *start = map_file(PROT_READ | PROT_WRITE, MAP_SHARED, 1);
	long first = start == MAP_FAILED ? errno : 0;

	start = map_file(PROT_READ, MAP_SHARED, 1);
	if (start == MAP_FAILED || mprotect(start, PAGE, PROT_READ | PROT_WRITE) == 0)
		return 0;
	return first * 1000 + errno;
}

static int after_the_cut(long page, int by_write)
{
	if (write(1, "cut", 3) != 3)
		return 5;
	if (by_write)
		return write_out(page, 0, 1) == -EFAULT ? 0 : 6;
	return byte_at(page, 0) == 0 ? 7 : 8;
}

int main(int count, char **arguments)
{
	struct stat status;
	int result = 0;

	if (count < 2 || stat(arguments[1], &status) < 0)
		return 2;
	path = arguments[1];
	size = (status.st_size + PAGE - 1) / PAGE;
	content = map_file(PROT_READ, MAP_PRIVATE, size);
	if (content == MAP_FAILED)
		return 3;
	if (add_up(0, size) == 0)
		return 4;
	if (count > 2 && strcmp(arguments[2], "forget") == 0)
		result = madvise((void *)content, (size_t)(size * PAGE), MADV_DONTNEED) < 0 ? 9 : 0;
	else if (count > 2)
		result = after_the_cut(strtol(arguments[2], NULL, 10), count > 3);
	if (result != 0)
		return result;
	wait_for_requests();
	return 1;
}
