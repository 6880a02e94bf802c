/* SPDX-License-Identifier: MIT */
/*
 * Calls about memory, hostile arguments included; see differential.h. Works on
 * pages of its own, so that what else is mapped doesn't matter.
 */
#include "differential.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define FIXED (ANONYMOUS | MAP_FIXED)
#define TERABYTE (1ul << 40)
#define BEYOND_USER 0x7ffffffff000ul

/* Sixteen pages with a page on each side that nothing is mapped to. */
static char *place(void)
{
	char *pages = map_pages(18, RW);

	munmap(pages, PAGE);
	munmap(pages + 17 * PAGE, PAGE);
	for (int i = 1; i <= 16; i++)
		pages[i * PAGE] = (char)i;
	return pages + PAGE;
}

/* For each page: absent, cannot be read (0), or its first byte. */
static void tell_pages(const char *pages, int count)
{
	unsigned char resident;

	printf("pages =");
	for (int i = 0; i < count; i++) {
		const char *at = pages + i * PAGE;

		if (CALL(mincore, at, PAGE, &resident) == -ENOMEM)
			printf(" -");
		else if (CALL(access, at, 0) == -EFAULT)
			printf(" x");
		else
			printf(" %d", *at);
	}
	printf("\n");
}

static void map(void)
{
	char *area = place();
	char *low;

	TRY(mmap, 0, 0, RW, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, 1, RW, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 1, PAGE, RW, ANONYMOUS, -1, 0);
	TRY(mmap, 0, -1, RW, ANONYMOUS, -1, 0);
	TRY(mmap, 0, -PAGE, RW, ANONYMOUS, -1, 0);
	TRY(mmap, 0, 1ul << 63, PROT_NONE, ANONYMOUS, -1, 0);
	TRY(mmap, 0, BEYOND_USER, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
	TRY_OK(mmap, 0, TERABYTE, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
	TRY_OK(mmap, 0, 4 * TERABYTE, PROT_NONE, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS, -1, 1);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS, -1, PAGE);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS, 77, 0);
	TRY(mmap, 0, PAGE, RW, MAP_PRIVATE, -1, 0);
	TRY(mmap, 0, PAGE, RW, MAP_PRIVATE, 77, 0);
	TRY_OK(mmap, 0, PAGE, 0xff0, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW | PROT_EXEC, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, PROT_WRITE, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, PROT_EXEC, ANONYMOUS, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS | MAP_POPULATE, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS | MAP_LOCKED, -1, 0);
	TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE, -1, 0);
	low = (char *)TRY_OK(mmap, 0, PAGE, RW, ANONYMOUS | MAP_32BIT, -1, 0);
	say((uintptr_t)low < 1ul << 31, "MAP_32BIT is below 2 GiB");
	TRY(mmap, area + 1, PAGE, RW, FIXED, -1, 0);
	TRY(mmap, BEYOND_USER, PAGE, RW, FIXED, -1, 0);
	TRY(mmap, BEYOND_USER - PAGE, 2 * PAGE, RW, FIXED, -1, 0);
	TRY(mmap, 1ul << 63, PAGE, RW, FIXED, -1, 0);
	TRY(mmap, -PAGE, PAGE, RW, FIXED, -1, 0);
	TRY(mmap, area, -PAGE, RW, FIXED, -1, 0);
	TRY(mmap, 0, PAGE, RW, FIXED, -1, 0);
	say(CALL(mmap, area + PAGE, PAGE, RW, FIXED, -1, 0) == (long)area + (long)PAGE,
	    "MAP_FIXED is where it was asked");
	tell_pages(area, 4);
	TRY(mmap, area, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	TRY(mmap, area + 15 * PAGE, 2 * PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	TRY_OK(mmap, area + 16 * PAGE, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	say(CALL(mmap, area, PAGE, RW, ANONYMOUS, -1, 0) != (long)area,
	    "a hint that is taken moves");
	TRY(munmap, area, 17 * PAGE);
	say(CALL(mmap, area, PAGE, RW, ANONYMOUS, -1, 0) == (long)area,
	    "a hint that is free holds");
	TRY(munmap, area, PAGE);
}

static void unmap(void)
{
	char *area = place();

	TRY(munmap, area, 0);
	TRY(munmap, area + 1, PAGE);
	TRY(munmap, area, -1);
	TRY(munmap, area, -PAGE);
	TRY(munmap, -PAGE, PAGE);
	TRY(munmap, BEYOND_USER, PAGE);
	TRY(munmap, BEYOND_USER - PAGE, 2 * PAGE);
	TRY(munmap, 1ul << 63, PAGE);
	TRY(munmap, area + PAGE, 1);
	TRY(munmap, area + PAGE, PAGE);
	TRY(munmap, area + 3 * PAGE, 2 * PAGE + 1);
	TRY(munmap, area - PAGE, 2 * PAGE);
	tell_pages(area, 16);
	TRY(munmap, area, 16 * PAGE);
	tell_pages(area, 16);
	TRY(munmap, area, 16 * PAGE);
}

static void protect(void)
{
	char *area = place();

	TRY(mprotect, area, 0, PROT_NONE);
	TRY(mprotect, area + 1, PAGE, PROT_NONE);
	TRY(mprotect, area + 1, 0, PROT_NONE);
	TRY(mprotect, area, -1, PROT_NONE);
	TRY(mprotect, area, -PAGE, PROT_NONE);
	TRY(mprotect, 1ul << 63, PAGE, PROT_NONE);
	TRY(mprotect, BEYOND_USER, PAGE, PROT_NONE);
	TRY(mprotect, area, PAGE, 0x100);
	TRY(mprotect, area, PAGE, -1);
	TRY(mprotect, area, PAGE, PROT_READ | PROT_GROWSDOWN);
	TRY(mprotect, area, PAGE, PROT_READ | PROT_GROWSUP);
	TRY(mprotect, area, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP);
	TRY(mprotect, area - PAGE, PAGE, PROT_NONE);
	TRY(mprotect, area + PAGE, 1, PROT_NONE);
	TRY(mprotect, area + 3 * PAGE, 2 * PAGE, PROT_NONE);
	TRY(mprotect, area + 6 * PAGE, PAGE, PROT_READ);
	tell_pages(area, 16);
	TRY(mprotect, area, 16 * PAGE, RW);
	tell_pages(area, 16);
	/* The pages before the hole are done. */
	TRY(munmap, area + 8 * PAGE, PAGE);
	TRY(mprotect, area, 16 * PAGE, PROT_NONE);
	tell_pages(area, 16);
	munmap(area, 16 * PAGE);
}

static void move(void)
{
	char *area = place(), *other = place(), *moved;

	TRY(mremap, area + 1, PAGE, PAGE, 0, 0);
	TRY(mremap, area, 2 * PAGE, 0, 0, 0);
	TRY(mremap, area, PAGE, PAGE, 0x100, 0);
	TRY(mremap, area, PAGE, PAGE, MREMAP_FIXED, other);
	TRY(mremap, area, PAGE, -PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, area, -PAGE, PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, area, PAGE, TERABYTE << 8, MREMAP_MAYMOVE, 0);
	TRY(mremap, area, 0, PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, area - PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, area, 20 * PAGE, 30 * PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, 1ul << 63, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
	TRY(mremap, area, PAGE, 2 * PAGE, 0, 0);
	TRY(mremap, area, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE);
	TRY(mremap, area, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other + 1);
	TRY(mremap, area, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, 1ul << 63);
	say(CALL(mremap, area, 16 * PAGE, 14 * PAGE, 0, 0) == (long)area, "shrinking stays");
	tell_pages(area, 16);
	say(CALL(mremap, area + 13 * PAGE, PAGE, 3 * PAGE, 0, 0) == (long)area + 13 * (long)PAGE,
	    "growing into a hole stays");
	tell_pages(area, 16);
	TRY(mremap, area + 12 * PAGE, PAGE, 2 * PAGE, 0, 0);
	say(CALL(mremap, area + 4 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	         other + 8 * PAGE) == (long)other + 8 * (long)PAGE,
	    "MREMAP_FIXED is where it was asked");
	tell_pages(area, 16);
	tell_pages(other, 16);
	moved = (char *)TRY_OK(mremap, area, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE, 0);
	tell_pages(area, 4);
	tell_pages(moved, 4);
	moved = (char *)TRY_OK(mremap, other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	tell_pages(other, 2);
	munmap(area, 16 * PAGE);
	munmap(other, 16 * PAGE);
}

static void advise(void)
{
	static const int advice[] = {MADV_NORMAL,
	                             MADV_RANDOM,
	                             MADV_SEQUENTIAL,
	                             MADV_WILLNEED,
	                             MADV_DONTNEED,
	                             5,
	                             6,
	                             7,
	                             MADV_REMOVE,
	                             MADV_DONTFORK,
	                             MADV_DOFORK,
	                             MADV_MERGEABLE,
	                             MADV_HUGEPAGE,
	                             MADV_NOHUGEPAGE,
	                             MADV_DONTDUMP,
	                             MADV_DODUMP,
	                             MADV_WIPEONFORK,
	                             MADV_KEEPONFORK,
	                             MADV_COLD,
	                             MADV_PAGEOUT,
	                             MADV_POPULATE_READ,
	                             MADV_POPULATE_WRITE,
	                             99,
	                             -1};
	char *area = place();

	for (size_t i = 0; i < COUNT(advice); i++) {
		within("advice %d", advice[i]);
		TRY(madvise, area + 8 * PAGE, PAGE, advice[i]);
		TRY(madvise, area + 8 * PAGE, 0, advice[i]);
	}
	without();
	tell_pages(area, 16);
	TRY(madvise, area + 1, PAGE, MADV_DONTNEED);
	TRY(madvise, area, -1, MADV_DONTNEED);
	TRY(madvise, area, -PAGE, MADV_DONTNEED);
	TRY(madvise, 1ul << 63, PAGE, MADV_DONTNEED);
	TRY(madvise, area + 4 * PAGE, PAGE + 1, MADV_DONTNEED);
	tell_pages(area, 16);
	TRY(munmap, area + 2 * PAGE, PAGE);
	TRY(madvise, area, 4 * PAGE, MADV_DONTNEED);
	TRY(madvise, area, 4 * PAGE, MADV_NORMAL);
	TRY(madvise, area, 4 * PAGE, MADV_POPULATE_READ);
	tell_pages(area, 16);
	TRY(mprotect, area + 6 * PAGE, PAGE, PROT_READ);
	TRY(madvise, area + 6 * PAGE, PAGE, MADV_POPULATE_WRITE);
	TRY(madvise, area + 6 * PAGE, PAGE, MADV_POPULATE_READ);
	munmap(area, 16 * PAGE);
}

static void ask_and_lock(void)
{
	char *area = place();

	TRY(mincore, area + 1, PAGE, page);
	TRY(mincore, area, 0, page);
	TRY(mincore, area, 16 * PAGE, page);
	say(page[0] & 1, "a page that was written is there");
	TRY(mincore, area - PAGE, PAGE, page);
	TRY(mincore, area, 17 * PAGE, page);
	TRY(mincore, area, -1, page);
	TRY(mincore, 1ul << 63, PAGE, page);
	FOR_UNWRITABLE(bad)
	TRY(mincore, area, 16 * PAGE, bad);

	TRY(msync, area, PAGE, MS_SYNC);
	TRY(msync, area, PAGE, MS_ASYNC);
	TRY(msync, area, PAGE, MS_SYNC | MS_ASYNC);
	TRY(msync, area, PAGE, MS_INVALIDATE);
	TRY(msync, area, PAGE, 0);
	TRY(msync, area, PAGE, 0x100);
	TRY(msync, area, 0, MS_SYNC);
	TRY(msync, area + 1, PAGE, MS_SYNC);
	TRY(msync, area - PAGE, PAGE, MS_SYNC);
	TRY(msync, area, 17 * PAGE, MS_SYNC);
	TRY(msync, area, -PAGE, MS_SYNC);
	TRY(msync, area, -1, MS_SYNC);

	TRY(mlock, area, PAGE);
	TRY(mlock, area + 1, 1);
	TRY(mlock, area, 0);
	TRY(mlock, area - PAGE, PAGE);
	TRY(mlock, area, 17 * PAGE);
	TRY(mlock, area, -1);
	TRY(mlock, area, -PAGE);
	TRY(mlock2, area, PAGE, 0);
	TRY(mlock2, area, PAGE, MLOCK_ONFAULT);
	TRY(mlock2, area, PAGE, 2);
	TRY(mlock2, area - PAGE, PAGE, 0);
	TRY(munlock, area, PAGE);
	TRY(munlock, area + 1, PAGE);
	TRY(munlock, area - PAGE, PAGE);
	TRY(munlock, area, 17 * PAGE);
	TRY(munlock, area, -PAGE);
	TRY(mlockall, 0);
	TRY(mlockall, MCL_ONFAULT);
	TRY(mlockall, 0x80);
	TRY(munlockall, 0);
	munmap(area, 16 * PAGE);
}

static void grow_heap(void)
{
	const uintptr_t start = (uintptr_t)CALL(brk, 0);
	const uintptr_t aligned = (start + PAGE - 1) & ~(PAGE - 1);

	TRY_OK(brk, 0);
	say(CALL(brk, aligned + 4 * PAGE) == (long)(aligned + 4 * PAGE), "brk: grows");
	*(char *)(aligned + PAGE) = 7;
	tell_pages((char *)aligned, 5);
	say(CALL(brk, aligned + 1) == (long)aligned + 1, "brk: to no page's border");
	say(CALL(brk, aligned + 4 * PAGE) == (long)(aligned + 4 * PAGE), "brk: grows again");
	tell_pages((char *)aligned, 5);
	say(CALL(brk, 8) == (long)(aligned + 4 * PAGE), "brk: below its start it stays");
	say(CALL(brk, -1) == (long)(aligned + 4 * PAGE), "brk: at the end of all it stays");
	say(CALL(brk, 1ul << 46) == (long)(aligned + 4 * PAGE), "brk: over others it stays");
	say(CALL(brk, start) == (long)start, "brk: shrinks");
	tell_pages((char *)aligned, 5);
}

/* "file" has 10000 bytes. */
static void map_files(void)
{
	int file = open("file", O_RDONLY), path = open("file", O_PATH),
	    directory = open(".", O_RDONLY);
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), ends[2];
	char *mapped;

	TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	TRY_OK(mmap, 0, PAGE, RW, MAP_PRIVATE, file, 0);
	TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_SHARED, file, 0);
	TRY_OK(mmap, 0, PAGE, PROT_NONE, MAP_SHARED, file, 0);
	TRY(mmap, 0, PAGE, RW, MAP_SHARED, file, 0);
	TRY(mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, file, 0);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 1);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, -PAGE);
	TRY(mmap, 0, 4 * PAGE, PROT_READ, MAP_PRIVATE, file, -2 * PAGE);
	TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 1ul << 40);
	TRY_OK(mmap, 0, TERABYTE, PROT_READ, MAP_PRIVATE, file, 0);
	TRY(mmap, 0, PAGE, PROT_READ, 0, file, 0);
	TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x10000000, file, 0);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, path, 0);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, directory, 0);
	TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, null, 0);
	TRY_OK(mmap, 0, PAGE, RW, MAP_PRIVATE, zero, 0);
	if (pipe(ends) == 0) {
		TRY(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0);
		TRY(mmap, 0, PAGE, RW, MAP_PRIVATE, ends[1], 0);
	}

	mapped = (char *)TRY_OK(mmap, 0, 3 * PAGE, RW, MAP_PRIVATE, file, 0);
	say(digest(mapped, 3 * PAGE), "a file and the zeros after its end");
	mapped[5000] = 1;
	say(digest(mapped, 3 * PAGE), "a file, one byte changed");
	TRY(madvise, mapped, 3 * PAGE, MADV_DONTNEED);
	say(digest(mapped, 3 * PAGE), "a file, its own again");
	TRY(close, file);
	say(digest(mapped, 3 * PAGE), "a file that was closed");
	file = open("file", O_RDONLY);
	mapped = (char *)TRY_OK(mmap, 0, PAGE, PROT_READ, MAP_SHARED, file, PAGE);
	say(digest(mapped, PAGE), "a file from its second page on");
	TRY(mprotect, mapped, PAGE, RW);
	TRY(mprotect, mapped, PAGE, PROT_READ | PROT_EXEC);
	/* A page that lies past the end of the file cannot be read. */
	mapped = (char *)TRY_OK(mmap, 0, 4 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	TRY(write, ends[1], mapped + 2 * PAGE, 16);
	TRY(write, ends[1], mapped + 3 * PAGE, 16);
	TRY(write, ends[1], mapped + 3 * PAGE - 8, 16);
	TRY(access, mapped + 3 * PAGE, 0);
	TRY(read, zero, mapped, 16);
}

/* The kernel writes to pages that were mapped so and so. */
static void have_it_written(void)
{
	int zero = open("/dev/zero", O_RDONLY), file = open("file", O_RDONLY);
	char *area = place(), *mapped;

	TRY(read, zero, area, 16 * PAGE);
	TRY(read, zero, area + 15 * PAGE, 2 * PAGE);
	mprotect(area + 3 * PAGE, PAGE, PROT_READ);
	TRY(read, zero, area + 2 * PAGE, 3 * PAGE);
	TRY(read, zero, area + 3 * PAGE, PAGE);
	mprotect(area + 3 * PAGE, PAGE, PROT_NONE);
	TRY(read, file, area + 2 * PAGE, 3 * PAGE);
	TRY(pread64, file, area + 3 * PAGE, PAGE, 0);
	mprotect(area + 3 * PAGE, PAGE, PROT_WRITE);
	TRY(pread64, file, area + 3 * PAGE, PAGE, 0);
	mprotect(area + 3 * PAGE, PAGE, PROT_EXEC);
	TRY(pread64, file, area + 3 * PAGE, PAGE, 0);
	mprotect(area + 3 * PAGE, PAGE, RW);
	say(digest(area, 8 * PAGE), "what was read to pages");
	mapped = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, file, 0);
	TRY(pread64, file, mapped, 8192, 100);
	say(digest(mapped, 3 * PAGE), "a file read into its own mapping");
	mapped = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	TRY(pread64, file, mapped, 8192, 0);
}

int main(void)
{
	prepare();
	map();
	unmap();
	protect();
	move();
	advise();
	ask_and_lock();
	grow_heap();
	map_files();
	have_it_written();
	return 0;
}
