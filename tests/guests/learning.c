/* SPDX-License-Identifier: MIT */
/* For learning_test.c: writes and reads pages that main() wrote, and pages that it never touched. */
#define _GNU_SOURCE
#include <kvm_api.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 512

static volatile unsigned char written[PAGES][PAGE] __attribute__((aligned(PAGE))) = {{1}};
static volatile unsigned char untouched[PAGES][PAGE] __attribute__((aligned(PAGE)));

/* Of a file that main() mapped and did not read. */
#define FILE_PAGES 64
static volatile unsigned char *file_pages;

/* Of what runs out of memory: how far it came. */
volatile long progress;

/* Called by the host only. */
long count_up(long first, long count);
long count_up_untouched(long first, long count);
long add_up(long first, long count);
long add_up_untouched(long first, long count);
long map_and_write(long count);
long map_write_and_unmap(long count);
long grow_heap(long count);
long nothing(void);
long read_file_pages(void);
long protect_untouched(void);
long read_into_mapping(void);
long touch_mapping(void);
long touch_untouched(void);
long cross_pages(void);
long copy_file(void);
long map_far_apart(void);
long move_untouched(void);

static long increment(volatile unsigned char (*pages)[PAGE], long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++)
		sum += pages[i % PAGES][7]++;
	return sum;
}

static long sum_of(volatile unsigned char (*pages)[PAGE], long first, long count)
{
	long sum = 0;

	for (long i = first; i < first + count; i++)
		sum += pages[i % PAGES][7];
	return sum;
}

/* What stood there before, added up. */
long count_up(long first, long count)
{
	return increment(written, first, count);
}

long count_up_untouched(long first, long count)
{
	return increment(untouched, first, count);
}

long add_up(long first, long count)
{
	return sum_of(written, first, count);
}

long add_up_untouched(long first, long count)
{
	return sum_of(untouched, first, count);
}

static volatile unsigned char *fill(volatile unsigned char *pages, long count)
{
	for (long i = 0; i < count; i++)
		pages[i * PAGE] = 5;
	return pages;
}

static void *map(long count)
{
	return mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	            -1, 0);
}

/* Its address. */
long map_and_write(long count)
{
	void *pages = map(count);

	return pages == MAP_FAILED ? -1 : (long)fill(pages, count);
}

long map_write_and_unmap(long count)
{
	void *pages = map(count);

	return pages == MAP_FAILED ? -1 : (fill(pages, count), munmap(pages, (size_t)count * PAGE));
}

/* Where it began. */
long grow_heap(long count)
{
	void *heap = sbrk(count * PAGE);

	return heap == (void *)-1 ? -1 : (long)fill(heap, count);
}

long nothing(void)
{
	return 0;
}

long read_file_pages(void)
{
	long sum = 0;

	for (int i = 0; i < FILE_PAGES; i++)
		sum += file_pages[i * PAGE];
	return sum;
}

/* From here on these pages are not the mapping of before, and count as this request's. */
long protect_untouched(void)
{
	return mprotect((void *)untouched, sizeof(untouched), PROT_READ) +
	       mprotect((void *)untouched, sizeof(untouched), PROT_READ | PROT_WRITE) +
	       mprotect((void *)file_pages, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE);
}

long move_untouched(void)
{
	return mremap((void *)(untouched + 1), PAGES / 2 * PAGE, PAGES / 2 * PAGE,
	              MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x100000000000) == MAP_FAILED;
}

/* The bytes that come; of as many as asked for, if there were memory. */
long read_into_mapping(void)
{
	const size_t size = 4096 * PAGE;
	char *to = map(4096);
	ssize_t got;

	progress = 0;
	while ((size_t)progress < size && (got = read(0, to + progress, size - (size_t)progress)) > 0)
		progress += got;
	return progress;
}

static long touch(volatile unsigned char *pages, long count)
{
	for (progress = 0; progress < count; progress++)
		pages[progress * PAGE] = 5;
	return progress;
}

long touch_mapping(void)
{
	return touch(map(4096), 4096);
}

/* Each store needs two pages, of which none was there. */
long cross_pages(void)
{
	unsigned char *pages = map(4096);

	for (progress = 0; progress < 4094; progress += 2)
		*(volatile long
		  __attribute__((aligned(1))) *)(pages + (progress + 1) * PAGE - 4) = -1;
	return progress;
}

/* Each instruction needs a page of the file and one of the program's own. */
long copy_file(void)
{
	unsigned char *to = map(4096);

	for (progress = 0; progress < 4096; progress++) {
		const void *from = (const void *)(file_pages + progress % FILE_PAGES * PAGE);
		void *into = to + progress * PAGE;
		unsigned long count = PAGE;

		__asm__ volatile("rep movsb" : "+S"(from), "+D"(into), "+c"(count) : : "memory");
		*(volatile unsigned char *)(to + progress * PAGE) = 5;
	}
	return progress;
}

long touch_untouched(void)
{
	return touch(untouched[0], PAGES);
}

/* Each has tables of its own. */
long map_far_apart(void)
{
	for (progress = 0; progress < 200; progress++) {
		volatile char *page = mmap((void *)((200 - progress) << 39), PAGE,
		                           PROT_READ | PROT_WRITE,
		                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (page == MAP_FAILED)
			break;
		*page = 5;
	}
	return progress;
}

/* The argument, if there is one: a file. */
int main(int count, char **arguments)
{
	if (count > 1)
		file_pages = mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_PRIVATE,
		                  open(arguments[1], O_RDONLY), 0);
	for (int i = 0; i < PAGES; i++)
		written[i][7] = 1;
	wait_for_requests();
	return 1;
}
