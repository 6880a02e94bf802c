/* SPDX-License-Identifier: MIT */
/* For learning_test.c: writes and reads pages that main() wrote, and pages that it never touched. */
#include <kvm_api.h>

#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 512

static volatile unsigned char written[PAGES][PAGE] __attribute__((aligned(PAGE))) = {{1}};
static volatile unsigned char untouched[PAGES][PAGE] __attribute__((aligned(PAGE)));

/* Called by the host only. */
long count_up(long first, long count);
long count_up_untouched(long first, long count);
long add_up(long first, long count);
long add_up_untouched(long first, long count);
long map_and_write(long count);
long map_write_and_unmap(long count);
long grow_heap(long count);
long nothing(void);

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

int main(void)
{
	for (int i = 0; i < PAGES; i++)
		written[i][7] = 1;
	wait_for_requests();
	return 1;
}
