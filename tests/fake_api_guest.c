/* SPDX-License-Identifier: MIT */
/* A guest without KVM; see fake_api_guest.h. */
#include "fake_api_guest.h"

#include "layout.h"
#include "linux/mm.h"
#include "linux/signals.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct fake_guest *current;
static char program[] = "/usr/bin/guest";

static int64_t keep_log(void *user, const void *data, size_t length)
{
	struct fake_guest *guest = user;
	size_t taken = min_u64(length, guest->log_take);

	assert_true(guest->in_callback);
	if (taken == 0)
		return -EIO;
	assert_true(taken <= sizeof(guest->log) - guest->log_length);
	memcpy(guest->log + guest->log_length, data, taken);
	guest->log_length += taken;
	return (int64_t)taken;
}

static void begin(struct process *process)
{
	struct fake_guest *guest = container_of(process, struct fake_guest, process);

	assert_false(guest->in_callback);
	guest->in_callback = true;
	guest->callbacks++;
}

static int end(struct process *process)
{
	struct fake_guest *guest = container_of(process, struct fake_guest, process);

	assert_true(guest->in_callback);
	guest->in_callback = false;
	return guest->callbacks_end;
}

struct fake_guest *fake_guest_create(void)
{
	struct fake_guest *guest = calloc(1, sizeof(*guest));

	assert_non_null(guest);
	assert_null(current);
	guest->config.streams[2] = (struct kvmsb_stream){.write = keep_log, .user = guest};
	guest->config.memory_limit = 123 << 20;
	guest->config.program = program;
	guest->process.config = &guest->config;
	guest->http.log_limit = UINT64_MAX;
	guest->hypercalls.config = &guest->http;
	guest->process.space = &guest->space;
	guest->process.registers = &guest->registers;
	assert_int_equal(signals_create(&guest->process.signals), 0);
	guest->process.deadline = UINT64_MAX;
	guest->process.callback_begin = begin;
	guest->process.callback_end = end;
	guest->log_take = SIZE_MAX;
	guest->next = FAKE_ARENA;
	guest->mapped_room = UINT64_MAX;
	current = guest;
	return guest;
}

void fake_guest_destroy(struct fake_guest *guest)
{
	assert_false(guest->in_callback);
	hypercalls_destroy(&guest->hypercalls);
	fake_unmap_all(guest);
	signals_release(guest->process.signals);
	current = NULL;
	free(guest);
}

/* NULL: it is not there. */
static struct fake_mapping *mapping_at(struct fake_guest *guest, uint64_t address, uint64_t *offset)
{
	uint64_t index = (address - FAKE_MAPPINGS) / FAKE_MAPPING_DISTANCE;

	if (address < FAKE_MAPPINGS || index >= FAKE_MAPPINGS_MAXIMUM)
		return NULL;
	*offset = (address - FAKE_MAPPINGS) % FAKE_MAPPING_DISTANCE;
	return *offset < guest->mappings[index].length ? &guest->mappings[index] : NULL;
}

void *fake_at(struct fake_guest *guest, uint64_t address)
{
	uint64_t offset;
	struct fake_mapping *mapping = mapping_at(guest, address, &offset);

	if (mapping != NULL)
		return mapping->memory + offset;
	assert_in_range(address, FAKE_ARENA, FAKE_END - 1);
	return guest->memory + (address - FAKE_ARENA);
}

unsigned fake_mapping_count(const struct fake_guest *guest)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_MAPPINGS_MAXIMUM; i++)
		count += guest->mappings[i].length > 0;
	return count;
}

uint64_t fake_mapping_length(const struct fake_guest *guest, uint64_t address)
{
	uint64_t index = (address - FAKE_MAPPINGS) / FAKE_MAPPING_DISTANCE;

	assert_true(address >= FAKE_MAPPINGS && index < FAKE_MAPPINGS_MAXIMUM);
	return address % FAKE_MAPPING_DISTANCE == 0 ? guest->mappings[index].length : 0;
}

/* Pages of their own: nothing is filled, or copied, that is not used. */
static int fake_map(struct fake_mapping *mapping, uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	mapping->record = malloc(1);
	if (mapping->record == NULL) {
		munmap(memory, length);
		return -ENOMEM;
	}
	mapping->memory = memory;
	mapping->reserved = length;
	mapping->length = length;
	return 0;
}

static void fake_unmap(struct fake_mapping *mapping)
{
	munmap(mapping->memory, mapping->reserved);
	free(mapping->record);
	*mapping = (struct fake_mapping){0};
}

void fake_unmap_all(struct fake_guest *guest)
{
	for (unsigned i = 0; i < FAKE_MAPPINGS_MAXIMUM; i++) {
		if (guest->mappings[i].length > 0)
			fake_unmap(&guest->mappings[i]);
	}
}

uint64_t fake_put(struct fake_guest *guest, const void *data, size_t length)
{
	uint64_t address = guest->next;

	assert_true(range_within(address, length, FAKE_ARENA_END));
	if (length > 0)
		memcpy(fake_at(guest, address), data, length);
	guest->next = align_down(address + length + 15, 16);
	return address;
}

uint64_t fake_put_text(struct fake_guest *guest, const char *text)
{
	return fake_put(guest, text, strlen(text));
}

void fake_rewind(struct fake_guest *guest)
{
	guest->next = FAKE_ARENA;
}

static uint64_t usable_of_mapping(const struct fake_mapping *mapping, uint64_t offset,
                                  uint64_t length, int *error)
{
	uint64_t room = min_u64(mapping->length, current->mapped_room);

	*error = 0;
	if (range_within(offset, length, room))
		return length;
	*error = room < mapping->length ? -ENOMEM : -EFAULT;
	return offset < room ? room - offset : 0;
}

/* How much of the range can be copied; *error is what comes then. */
static uint64_t usable(uint64_t address, uint64_t length, uint64_t end, int *error)
{
	uint64_t offset;
	const struct fake_mapping *mapping = mapping_at(current, address, &offset);

	assert_true(length > 0);
	assert_true(range_within(address, length, LAYOUT_USER_END));
	if (mapping != NULL)
		return usable_of_mapping(mapping, offset, length, error);
	*error = 0;
	if (address >= FAKE_ARENA && range_within(address, length, end))
		return length;
	*error = -EFAULT;
	if (address < FAKE_ARENA || address >= FAKE_END)
		return 0;
	if (end == FAKE_NO_MEMORY && address + length > FAKE_NO_MEMORY)
		*error = -ENOMEM;
	return address < end ? end - address : 0;
}

int guest_read(struct process *process, uint64_t address, void *data, uint64_t length)
{
	int error;
	uint64_t copied = usable(address, length, FAKE_NO_MEMORY, &error);

	assert_ptr_equal(process, &current->process);
	if (copied > 0)
		memcpy(data, fake_at(current, address), copied);
	current->read += copied;
	return error;
}

/* Not counted in guest->read: only handlers are asked how much they read. */
uint64_t guest_peek(struct process *process, uint64_t address, void *data, uint64_t length)
{
	uint64_t copied;
	int error;

	assert_ptr_equal(process, &current->process);
	if (length == 0 || !range_within(address, length, LAYOUT_USER_END))
		return 0;
	copied = usable(address, length, FAKE_NO_MEMORY, &error);
	if (copied > 0)
		memcpy(data, fake_at(current, address), copied);
	return copied;
}

int guest_write(struct process *process, uint64_t address, const void *data, uint64_t length)
{
	int error;
	uint64_t copied = usable(address, length, FAKE_ARENA_END, &error);

	assert_ptr_equal(process, &current->process);
	if (copied > 0)
		memcpy(fake_at(current, address), data, copied);
	return error;
}

/* The code under test has no use for these two; the archive's own would need real memory maps. */
int guest_zero(struct process *process, uint64_t address, uint64_t length)
{
	(void)process;
	(void)address;
	(void)length;
	fail_msg("guest_zero() is not expected");
	return -EFAULT;
}

int64_t guest_read_string(struct process *process, uint64_t address, char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int result = -EFAULT;

		if (range_within(address + i, 1, LAYOUT_USER_END))
			result = guest_read(process, address + i, &text[i], 1);
		if (result < 0)
			return result;
		if (text[i] == '\0')
			return (int64_t)i;
	}
	return -ENAMETOOLONG;
}

/* A page each, as the worst of real guests has it. */
int guest_pieces(struct process *process, uint64_t address, uint64_t length, bool for_writing,
                 struct guest_piece *piece, unsigned maximum, unsigned *count)
{
	uint64_t left;
	int error;

	assert_ptr_equal(process, &current->process);
	left = usable(address, length, for_writing ? FAKE_ARENA_END : FAKE_NO_MEMORY, &error);
	for (*count = 0; left > 0 && *count < maximum; (*count)++) {
		uint64_t part = min_u64(left, PAGE_SIZE - (address & (PAGE_SIZE - 1)));

		piece[*count] = (struct guest_piece){.host = fake_at(current, address),
		                                     .length = part};
		address += part;
		left -= part;
	}
	return *count > 0 ? 0 : error;
}

/* In place, a page each; the last one in a copy. */
int guest_content(struct process *process, uint64_t address, uint64_t length,
                  struct guest_content *content)
{
	uint64_t pages = 2 + length / PAGE_SIZE;
	int error;

	assert_ptr_equal(process, &current->process);
	if (usable(address, length, FAKE_NO_MEMORY, &error) < length)
		return error;
	*content = (struct guest_content){.pieces = malloc(pages * sizeof(struct iovec)),
	                                  .copies = malloc(PAGE_SIZE)};
	if (content->pieces == NULL || content->copies == NULL) {
		guest_content_free(content);
		return -ENOMEM;
	}
	while (length > 0) {
		uint64_t part = min_u64(length, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
		void *host = fake_at(current, address);

		if (part == length)
			host = memcpy(content->copies, host, part);
		content->pieces[content->count++] = (struct iovec){.iov_base = host, .iov_len = part};
		address += part;
		length -= part;
	}
	return 0;
}

void guest_content_free(struct guest_content *content)
{
	free(content->pieces);
	free(content->copies);
	*content = (struct guest_content){.count = 0};
}

/* Nothing of the arena ever goes. */
void guest_hold(struct process *process, uint64_t address, uint64_t length)
{
	(void)process;
	(void)address;
	(void)length;
}

void guest_let_go(struct process *process)
{
	(void)process;
}

/* Anonymous mappings anywhere, which is all that hypercalls make. */
int mm_map(struct process *process, uint64_t *address, uint64_t length, unsigned protection,
           unsigned flags, struct file *file, uint64_t offset)
{
	assert_ptr_equal(process, &current->process);
	assert_int_equal(*address, 0);
	assert_int_equal(protection, SPACE_READ | SPACE_WRITE);
	assert_true(flags == 0 && file == NULL && offset == 0);
	assert_true(length > 0 && length < FAKE_MAPPING_DISTANCE);
	for (unsigned i = 0; i < FAKE_MAPPINGS_MAXIMUM; i++) {
		struct fake_mapping *mapping = &current->mappings[i];

		if (mapping->length > 0)
			continue;
		*address = FAKE_MAPPINGS + i * FAKE_MAPPING_DISTANCE;
		return fake_map(mapping, align_down(length + PAGE_SIZE - 1, PAGE_SIZE));
	}
	return -ENOMEM;
}

/* All of a mapping or its end. */
int mm_unmap(struct process *process, uint64_t address, uint64_t length)
{
	uint64_t offset = 0;
	struct fake_mapping *mapping = mapping_at(current, address, &offset);

	assert_ptr_equal(process, &current->process);
	assert_non_null(mapping);
	assert_int_equal(offset % PAGE_SIZE, 0);
	assert_int_equal(offset + length, mapping->length);
	if (current->unmap_fails > 0) {
		current->unmap_fails--;
		return -ENOMEM;
	}
	mapping->length = offset;
	if (offset == 0)
		fake_unmap(mapping);
	return 0;
}
