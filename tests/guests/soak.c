/* SPDX-License-Identifier: MIT */
/*
 * What a fork of the soak does on demand: write, map, unmap, protect, grow,
 * open, read, end in every way there is; and say what it holds (soak.h). It
 * uses no malloc: the heap is its own.
 */
#define _GNU_SOURCE
#include "soak.h"

#include <kvm_api.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READ_FIRST 4
/* What the host looks up by name. */
#define EXPORTED __attribute__((used))

EXPORTED uint64_t pages[SOAK_PAGES][SOAK_WORDS] __attribute__((aligned(4096))) = {{1}};
EXPORTED uint64_t *heap;
static long heap_pages;
static enum soak_slot slots[SOAK_SLOTS];
static long files;
static const char *path;

static void fill(volatile uint64_t *page, uint64_t value)
{
	for (size_t i = 0; i < SOAK_WORDS; i++)
		page[i] = value;
}

static volatile uint64_t *slot_page(unsigned slot, unsigned page)
{
	return (uint64_t *)SOAK_SLOT_ADDRESS(slot) + page * SOAK_WORDS;
}

static uint64_t mix_page(uint64_t digest, const volatile uint64_t *page)
{
	digest = soak_mix(digest, page[0]);
	return soak_mix(digest, page[SOAK_WORDS - 1]);
}

EXPORTED uint64_t digest(void)
{
	uint64_t sum = 1;

	for (unsigned i = 0; i < SOAK_PAGES; i++)
		sum = mix_page(sum, pages[i]);
	for (unsigned i = 0; i < SOAK_SLOTS; i++) {
		sum = soak_mix(sum, slots[i]);
		for (unsigned j = 0; j < SOAK_SLOT_PAGES; j++)
			if (slots[i] == SOAK_WRITABLE || slots[i] == SOAK_READ_ONLY)
				sum = mix_page(sum, slot_page(i, j));
	}
	for (long i = 0; i < heap_pages; i++)
		sum = mix_page(sum, heap + (size_t)i * SOAK_WORDS);
	return soak_mix(sum, (uint64_t)files);
}

/* As in the host's model, a page more gets a value more. */
EXPORTED void write_pages(unsigned first, unsigned count, uint64_t value)
{
	for (unsigned i = 0; i < count; i++)
		fill(pages[first + i], value + i);
}

EXPORTED long map(unsigned slot, uint64_t value)
{
	void *start = (void *)slot_page(slot, 0);

	if (mmap(start, SOAK_SLOT_PAGES * SOAK_PAGE, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start)
		return -errno;
	for (unsigned i = 0; i < SOAK_SLOT_PAGES; i++)
		fill(slot_page(slot, i), value + i);
	slots[slot] = SOAK_WRITABLE;
	return 0;
}

EXPORTED long unmap(unsigned slot)
{
	slots[slot] = SOAK_ABSENT;
	return munmap((void *)slot_page(slot, 0), SOAK_SLOT_PAGES * SOAK_PAGE) == 0 ? 0 : -errno;
}

EXPORTED long protect(unsigned slot, enum soak_slot state)
{
	int protection = state == SOAK_WRITABLE    ? PROT_READ | PROT_WRITE
	                 : state == SOAK_READ_ONLY ? PROT_READ
	                                           : PROT_NONE;

	slots[slot] = state;
	return mprotect((void *)slot_page(slot, 0), SOAK_SLOT_PAGES * SOAK_PAGE, protection) == 0
	               ? 0
	               : -errno;
}

/* Faults where there is nothing to be written to. */
EXPORTED void write_slot(unsigned slot, uint64_t value)
{
	for (unsigned i = 0; i < SOAK_SLOT_PAGES; i++)
		fill(slot_page(slot, i), value + i);
}

EXPORTED long grow(long count, uint64_t value)
{
	uint64_t *start = heap + (size_t)heap_pages * SOAK_WORDS;

	if (sbrk(count * (long)SOAK_PAGE) != start)
		return -ENOMEM;
	for (long i = 0; i < count; i++)
		fill(start + (size_t)i * SOAK_WORDS, value + (uint64_t)i);
	heap_pages += count;
	return 0;
}

EXPORTED long shrink(long count)
{
	heap_pages -= count;
	return sbrk(-count * (long)SOAK_PAGE) == (void *)-1 ? -ENOMEM : 0;
}

/* The new descriptor, which stays open. */
EXPORTED long open_file(void)
{
	char start[READ_FIRST];
	int file = open(path, O_RDONLY);

	if (file < 0)
		return -errno;
	if (read(file, start, sizeof(start)) != READ_FIRST || memcmp(start, "\177ELF", 4) != 0)
		return -EIO;
	files++;
	return file;
}

EXPORTED long close_file(int file)
{
	files--;
	return close(file) == 0 ? 0 : -errno;
}

/* Reads the page first, so that its old translation is there when the host writes it. */
EXPORTED uint64_t read_in(unsigned page)
{
	volatile uint64_t *words = pages[page];
	uint64_t before = words[0];
	long count = read(STDIN_FILENO, (void *)words, SOAK_PAGE);

	return count == (long)SOAK_PAGE ? words[0] : ~before;
}

EXPORTED long write_out(unsigned page)
{
	return write(STDOUT_FILENO, pages[page], SOAK_PAGE);
}

EXPORTED void crash(enum soak_crash kind)
{
	volatile int zero = 0;

	switch (kind) {
	case SOAK_CRASH_WRITE:
		*(volatile uint64_t *)(SOAK_NOWHERE + (uint64_t)zero) = 1;
		break;
	case SOAK_CRASH_OPCODE:
		__asm__ volatile("ud2");
		break;
	case SOAK_CRASH_DIVIDE:
		__asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" ::: "eax", "ecx", "edx");
		break;
	case SOAK_CRASH_HALT:
		__asm__ volatile("hlt");
		break;
	default:
		((void (*)(void))(uintptr_t)pages)();
	}
}

EXPORTED void leave(int status)
{
	_exit(status);
}

EXPORTED void spin(void)
{
	for (;;)
		__asm__ volatile("");
}

EXPORTED void spin_calling(void)
{
	for (;;)
		getppid();
}

/* Writes to fresh pages until it is stopped. */
EXPORTED void devour(void)
{
	for (;;) {
		char *block = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t i = 0; i < 1 << 18; i += SOAK_PAGE)
			block[i] = 1;
	}
}

/* "/Xvalue": page X - 'A' gets the value, in hexadecimal; the answer is the URL. */
static void on_get(const char *url, const char *argument)
{
	uint64_t value = 0;

	(void)argument;
	for (const char *digit = url + 2; *digit != '\0'; digit++)
		value = value << 4 | (uint64_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
	fill(pages[url[1] - 'A'], value);
	backend_response_str(200, "text/plain", url);
}

int main(int argc, char **argv)
{
	path = argc > 1 ? argv[1] : argv[0];
	for (unsigned i = 0; i < SOAK_PAGES; i++)
		fill(pages[i], SOAK_INITIAL(i));
	/* What libc has there is not ours. */
	heap = (uint64_t *)(((uintptr_t)sbrk(0) + SOAK_PAGE - 1) & ~(SOAK_PAGE - 1));
	if (brk(heap) != 0)
		return 1;
	set_backend_get(on_get);
	wait_for_requests();
	return 99;
}
