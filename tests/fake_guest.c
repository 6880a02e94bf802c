/* SPDX-License-Identifier: MIT */
/*
 * A guest without KVM: memory as an array, the interfaces of lib/linux/mm.h.
 */
#include "fake_guest.h"

#include "linux/deadline.h"
#include "linux/handlers.h"
#include "linux/mm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A fake has no space; the pointer is the fake itself. */
static struct fake_guest *fake_of(const struct process *process)
{
	return (struct fake_guest *)(void *)process->space;
}

static void begin(struct process *process)
{
	fake_of(process)->begins++;
}

static int end(struct process *process)
{
	fake_of(process)->ends++;
	return fake_of(process)->callback_error;
}

static void set_up(struct fake_guest *guest)
{
	guest->memory = calloc(FAKE_PAGES, PAGE_SIZE);
	assert_non_null(guest->memory);
	guest->process.registers = &guest->registers;
	guest->process.deadline = time_now() + 600 * NANOSECONDS;
	guest->process.callback_begin = begin;
	guest->process.callback_end = end;
}

void fake_guest_create(struct fake_guest *guest, const struct process_config *config)
{
	memset(guest, 0, sizeof(*guest));
	assert_int_equal(process_init(&guest->process, (struct space *)(void *)guest, config), 0);
	set_up(guest);
}

void fake_guest_fork(struct fake_guest *guest, const struct fake_guest *master)
{
	memset(guest, 0, sizeof(*guest));
	assert_int_equal(
		process_fork(&guest->process, &master->process, (struct space *)(void *)guest), 0);
	set_up(guest);
}

void fake_guest_destroy(struct fake_guest *guest)
{
	process_destroy(&guest->process);
	free(guest->memory);
}

void *fake_pointer(struct fake_guest *guest, uint64_t address)
{
	assert_true(address >= FAKE_START && address < FAKE_END);
	return guest->memory + (address - FAKE_START);
}

uint64_t fake_string(struct fake_guest *guest, uint64_t address, const char *text)
{
	assert_true(strlen(text) < FAKE_END - address);
	memcpy(fake_pointer(guest, address), text, strlen(text) + 1);
	return address;
}

int64_t fake_call(struct fake_guest *guest, long number, uint64_t a, uint64_t b, uint64_t c,
                  uint64_t d, uint64_t e, uint64_t f)
{
	guest->registers.rax = (uint64_t)number;
	guest->registers.rdi = a;
	guest->registers.rsi = b;
	guest->registers.rdx = c;
	guest->registers.r10 = d;
	guest->registers.r8 = e;
	guest->registers.r9 = f;
	process_system_call(&guest->process);
	return (int64_t)guest->registers.rax;
}

/*
 * lib/linux/mm.h
 */

struct mm {
	_Atomic unsigned references;
};

int mm_create(struct mm **mm)
{
	*mm = calloc(1, sizeof(**mm));
	if (!*mm)
		return -ENOMEM;
	(*mm)->references = 1;
	return 0;
}

struct mm *mm_share(struct mm *mm)
{
	mm->references++;
	return mm;
}

void mm_release(struct mm *mm)
{
	if (mm && --mm->references == 0)
		free(mm);
}

/* Nothing is ever mapped here. */
uint64_t mm_next_memory_file(const struct process *process, size_t *index)
{
	(void)process;
	(void)index;
	return 0;
}

/* Host memory of one page at most, or NULL. */
static uint8_t *pin(struct process *process, uint64_t address, bool writing, uint64_t *length)
{
	uint64_t page = address & PAGE_MASK;

	if (address < FAKE_START || address >= FAKE_END || page == FAKE_HOLE ||
	    (writing && page == FAKE_READ_ONLY))
		return NULL;
	*length = min_u64(*length, page + PAGE_SIZE - address);
	return fake_pointer(fake_of(process), address);
}

static int copy(struct process *process, uint64_t address, void *to, const void *from, uint64_t length)
{
	for (uint64_t done = 0, step; done < length; done += step) {
		uint8_t *host;

		step = length - done;
		host = pin(process, address + done, !to, &step);
		if (!host)
			return -EFAULT;
		if (to)
			memcpy((uint8_t *)to + done, host, step);
		else if (from)
			memcpy(host, (const uint8_t *)from + done, step);
		else
			memset(host, 0, step);
	}
	return 0;
}

int guest_read(struct process *process, uint64_t address, void *data, uint64_t length)
{
	return copy(process, address, data, NULL, length);
}

int guest_write(struct process *process, uint64_t address, const void *data, uint64_t length)
{
	return copy(process, address, NULL, data, length);
}

int guest_zero(struct process *process, uint64_t address, uint64_t length)
{
	return copy(process, address, NULL, NULL, length);
}

uint64_t guest_peek(struct process *process, uint64_t address, void *data, uint64_t length)
{
	uint64_t done = 0;

	while (done < length && !guest_read(process, address + done, (char *)data + done, 1))
		done++;
	return done;
}

int64_t guest_read_string(struct process *process, uint64_t address, char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (guest_read(process, address + i, &text[i], 1))
			return -EFAULT;
		if (!text[i])
			return (int64_t)i;
	}
	return -ENAMETOOLONG;
}

int guest_pieces(struct process *process, uint64_t address, uint64_t length, bool for_writing,
                 struct guest_piece *piece, unsigned maximum, unsigned *count)
{
	unsigned limit = fake_of(process)->pieces_maximum;

	if (limit && maximum > limit)
		maximum = limit;
	*count = 0;
	while (length > 0 && *count < maximum) {
		uint64_t step = length;
		uint8_t *host = pin(process, address, for_writing, &step);

		if (!host)
			break;
		piece[(*count)++] = (struct guest_piece){host, step};
		address += step;
		length -= step;
	}
	return *count ? 0 : -EFAULT;
}

/* The arena, then the page behind the hole. */
bool mm_next_mapping(const struct process *process, uint64_t address, struct mm_mapping *mapping)
{
	(void)process;
	if (address >= FAKE_END)
		return false;
	*mapping = (struct mm_mapping){
		.start = address < FAKE_HOLE ? FAKE_START : FAKE_HOLE + PAGE_SIZE,
		.end = address < FAKE_HOLE ? FAKE_HOLE : FAKE_END,
		.protection = SPACE_READ | SPACE_WRITE,
		.is_heap = address < FAKE_HOLE,
		.is_stack = address >= FAKE_HOLE,
	};
	return true;
}

/*
 * lib/linux/sys_mm.c
 */

#define FAKE_HANDLER(name)                                                                         \
	int64_t sys_##name(struct process *process, const uint64_t arguments[6])                   \
	{                                                                                          \
		(void)process;                                                                     \
		(void)arguments;                                                                   \
		return -ENOSYS;                                                                    \
	}

FAKE_HANDLER(mmap)
FAKE_HANDLER(munmap)
FAKE_HANDLER(mprotect)
FAKE_HANDLER(mremap)
FAKE_HANDLER(brk)
FAKE_HANDLER(madvise)
FAKE_HANDLER(msync)
FAKE_HANDLER(mincore)
FAKE_HANDLER(mlock)
FAKE_HANDLER(mlock2)
FAKE_HANDLER(munlock)
FAKE_HANDLER(mlockall)
FAKE_HANDLER(munlockall)
