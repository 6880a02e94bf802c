/* SPDX-License-Identifier: MIT */
/* Spaces and files without KVM; see fake_space.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_space.h"

#include "layout.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake_space *fake_of(struct space *space)
{
	return container_of(space, struct fake_space, space);
}

static const struct fake_space *fake_of_const(const struct space *space)
{
	return (const struct fake_space *)(const void *)space;
}

/* The real allocator: the tests' own memory never fails. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

uint64_t fake_fail_allocation;

static bool allocation_fails(void)
{
	return fake_fail_allocation > 0 && --fake_fail_allocation == 0;
}

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(memory, size);
}

static void check_range(gva_t va, uint64_t length)
{
	assert_true(length > 0);
	assert_true(is_aligned(va.value | length, PAGE_SIZE));
	assert_true(va.value >= LAYOUT_USER_START);
	assert_true(range_within(va.value, length, LAYOUT_USER_END));
}

/* An edit: of a space that is not frozen. */
static struct fake_space *editable(struct space *space)
{
	assert_false(space->table.frozen);
	return fake_of(space);
}

void fake_space_init(struct fake_space *fake, uint64_t page_limit)
{
	*fake = (struct fake_space){.space = {.page_limit = page_limit}};
}

void fake_space_fork(struct fake_space *fork, struct fake_space *master, uint64_t page_limit)
{
	assert_true(master->space.table.frozen);
	fake_space_init(fork, page_limit);
	fork->space.master = &master->space;
	fork->count = fork->capacity = master->count;
	fork->pages = __real_calloc(fork->count + 1, sizeof(*fork->pages));
	for (size_t i = 0; i < fork->count; i++) {
		fork->pages[i] = master->pages[i];
		fork->pages[i].borrowed = true;
	}
}

void fake_space_destroy(struct fake_space *fake)
{
	for (size_t i = 0; i < fake->count; i++)
		if (!fake->pages[i].borrowed)
			free(fake->pages[i].bytes);
	free(fake->pages);
	*fake = (struct fake_space){0};
}

/* Index of the first page at or above. */
static size_t index_of(const struct fake_space *fake, uint64_t va)
{
	size_t low = 0, high = fake->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fake->pages[middle].va >= va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct fake_page *fake_page_at(const struct fake_space *fake, uint64_t va)
{
	uint64_t page = align_down(va, PAGE_SIZE);
	size_t index = index_of(fake, page);

	return index < fake->count && fake->pages[index].va == page ? &fake->pages[index] : NULL;
}

static bool page_fails(struct fake_space *fake)
{
	return fake->fail_page > 0 && --fake->fail_page == 0;
}

static bool edit_fails(struct fake_space *fake)
{
	return fake->fail_edit > 0 && --fake->fail_edit == 0;
}

static void insert(struct fake_space *fake, const struct fake_page *page)
{
	size_t index = index_of(fake, page->va);

	if (fake->count == fake->capacity) {
		fake->capacity = fake->capacity * 2 + 64;
		fake->pages = __real_realloc(fake->pages, fake->capacity * sizeof(*page));
	}
	memmove(&fake->pages[index + 1], &fake->pages[index], (fake->count - index) * sizeof(*page));
	fake->pages[index] = *page;
	fake->count++;
}

static void drop(struct fake_space *fake, size_t first, size_t last)
{
	if (first == last)
		return;
	for (size_t i = first; i < last; i++) {
		if (fake->pages[i].borrowed)
			continue;
		free(fake->pages[i].bytes);
		fake->space.frame_count -= !fake->pages[i].file;
	}
	memmove(&fake->pages[first], &fake->pages[last], (fake->count - last) * sizeof(*fake->pages));
	fake->count -= last - first;
}

static bool limit_reached(const struct fake_space *fake, uint64_t pages)
{
	return !range_within(fake->space.frame_count, pages, fake->space.page_limit);
}

int space_map(struct space *space, gva_t va, uint64_t length, unsigned protection,
              enum frame_fate fate)
{
	struct fake_space *fake = editable(space);

	check_range(va, length);
	assert_int_equal(protection & ~(SPACE_READ | SPACE_WRITE | SPACE_EXECUTE), 0);
	assert_true((protection & SPACE_READ) != 0);
	fake->maps++;
	fake->last_map_start = va.value;
	fake->last_map_length = length;
	assert_int_equal(index_of(fake, va.value), index_of(fake, va.value + length));
	if (limit_reached(fake, length >> PAGE_SHIFT))
		return -ENOMEM;
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE) {
		struct fake_page page = {.va = va.value + offset, .protection = protection};

		if (page_fails(fake)) {
			drop(fake, index_of(fake, va.value), index_of(fake, va.value + length));
			return -ENOMEM;
		}
		page.bytes = __real_calloc(1, PAGE_SIZE);
		page.fate = fate;
		insert(fake, &page);
		space->frame_count++;
	}
	return 0;
}

/* Shared by all until the first write; as a page that is the master's. */
static uint8_t zero_page[PAGE_SIZE];

int space_map_zeros(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	struct fake_space *fake = editable(space);

	check_range(va, length);
	assert_true((protection & SPACE_READ) != 0);
	assert_non_null(space->master);
	fake->maps++;
	fake->last_map_start = va.value;
	fake->last_map_length = length;
	assert_int_equal(index_of(fake, va.value), index_of(fake, va.value + length));
	if (page_fails(fake))
		return -ENOMEM;
	for (uint64_t offset = 0; offset < length; offset += PAGE_SIZE) {
		const struct fake_page page = {.va = va.value + offset,
		                               .protection = protection,
		                               .bytes = zero_page,
		                               .borrowed = true};

		insert(fake, &page);
	}
	return 0;
}

int space_map_clock(struct space *space, gva_t va)
{
	static uint8_t pages[PAGE_SIZE + LAYOUT_VDSO_SIZE];
	struct fake_space *fake = editable(space);

	check_range(va, sizeof(pages));
	assert_int_equal(index_of(fake, va.value), index_of(fake, va.value + sizeof(pages)));
	if (page_fails(fake))
		return -ENOMEM;
	for (uint64_t offset = 0; offset < sizeof(pages); offset += PAGE_SIZE) {
		const struct fake_page page = {.va = va.value + offset,
		                               .protection = SPACE_READ |
		                                             (offset > 0 ? SPACE_EXECUTE : 0),
		                               .bytes = pages + offset,
		                               .borrowed = true};

		insert(fake, &page);
	}
	return 0;
}

static bool master_has(const struct space *space, uint64_t va)
{
	return space->master != NULL &&
	       fake_page_at((const struct fake_space *)space->master, va) != NULL;
}

/* What a reset does about a page that is not as a fork has it at first. */
static void alter(struct space *space, struct fake_page *page)
{
	if (page->borrowed || page->file || master_has(space, page->va))
		space->rebuild = true;
	else
		page->fate = FRAME_TAKEN;
}

int space_unmap(struct space *space, gva_t va, uint64_t length)
{
	struct fake_space *fake = editable(space);
	size_t first, last;

	check_range(va, length);
	fake->unmaps++;
	if (edit_fails(fake))
		return -ENOMEM;
	first = index_of(fake, va.value);
	last = index_of(fake, va.value + length);
	for (size_t i = first; i < last; i++)
		space->rebuild |= master_has(space, fake->pages[i].va);
	drop(fake, first, last);
	return 0;
}

int space_protect(struct space *space, gva_t va, uint64_t length, unsigned protection)
{
	struct fake_space *fake = editable(space);

	check_range(va, length);
	fake->protects++;
	if (edit_fails(fake))
		return -ENOMEM;
	for (size_t i = index_of(fake, va.value); i < index_of(fake, va.value + length); i++) {
		if (fake->pages[i].protection != protection)
			alter(space, &fake->pages[i]);
		fake->pages[i].protection = protection;
	}
	return 0;
}

int space_move(struct space *space, gva_t from, gva_t to, uint64_t length)
{
	struct fake_space *fake = editable(space);
	size_t first;

	check_range(from, length);
	check_range(to, length);
	assert_false(ranges_overlap(from.value, from.value + length, to.value, to.value + length));
	assert_int_equal(index_of(fake, to.value), index_of(fake, to.value + length));
	fake->moves++;
	if (page_fails(fake))
		return -ENOMEM;
	while (first = index_of(fake, from.value), first < index_of(fake, from.value + length)) {
		struct fake_page page = fake->pages[first];

		memmove(&fake->pages[first], &fake->pages[first + 1],
		        (fake->count - first - 1) * sizeof(page));
		fake->count--;
		alter(space, &page);
		page.va += to.value - from.value;
		insert(fake, &page);
	}
	return 0;
}

/* It never settles. */
void space_need(struct space *space, uint64_t start, uint64_t end)
{
	(void)space;
	(void)start;
	(void)end;
}

/* As the guest sees it; the code under test never gets a pointer to it. */
static uint8_t *file_page(int descriptor, uint64_t offset)
{
	const struct fake_file *file = &fake_files[descriptor];
	uint8_t *bytes = __real_calloc(1, PAGE_SIZE);

	if (offset < file->size)
		memcpy(bytes, file->bytes + offset, min_u64(PAGE_SIZE, file->size - offset));
	return bytes;
}

int64_t space_map_file(struct space *space, gva_t va, uint64_t length, unsigned protection,
                       enum frame_fate fate, int descriptor, uint64_t offset)
{
	struct fake_space *fake = editable(space);
	uint64_t size = fake_files[descriptor].size;

	check_range(va, length);
	assert_true(is_aligned(offset, PAGE_SIZE));
	assert_int_equal(protection & SPACE_WRITE, 0);
	if (index_of(fake, va.value) != index_of(fake, va.value + length))
		return -EEXIST;
	if (!fake->shows_files || offset >= size)
		return -EOPNOTSUPP;
	if (page_fails(fake))
		return -ENOMEM;
	/* Not all at once, as where a place ends. */
	length = min_u64(length, PAGE_SIZE * FAKE_PLACE_PAGES);
	for (uint64_t done = 0; done < length; done += PAGE_SIZE) {
		const struct fake_page page = {.va = va.value + done,
		                               .bytes = file_page(descriptor, offset + done),
		                               .protection = protection,
		                               .file = true,
		                               .fate = fate};

		insert(fake, &page);
	}
	if (space->master != NULL && fate == FRAME_TAKEN)
		space->rebuild = true;
	fake->shown++;
	return (int64_t)length;
}

bool space_is_file(const struct space *space, gva_t va)
{
	const struct fake_page *page = fake_page_at(fake_of_const(space), va.value);

	return page != NULL && page->file;
}

int space_drop_files(struct space *space, gva_t va, uint64_t length)
{
	struct fake_space *fake = editable(space);
	int any = 0;

	check_range(va, length);
	if (edit_fails(fake))
		return -ENOMEM;
	for (size_t i = index_of(fake, va.value); i < index_of(fake, va.value + length);) {
		if (!fake->pages[i].file) {
			i++;
			continue;
		}
		space->rebuild |= master_has(space, fake->pages[i].va);
		drop(fake, i, i + 1);
		any = 1;
	}
	return any;
}

uint64_t space_room(const struct space *space)
{
	uint64_t used = space->frame_count;

	return used < space->page_limit ? space->page_limit - used : 0;
}

bool space_lookup(const struct space *space, gva_t va, unsigned *protection)
{
	const struct fake_page *page = fake_page_at(fake_of_const(space), va.value);

	if (page == NULL)
		return false;
	*protection = page->protection;
	return true;
}

static int own(struct fake_space *fake, struct fake_page *page)
{
	uint8_t *bytes;

	assert_false(page->file);

	if (!page->borrowed)
		return 0;
	if (limit_reached(fake, 1) || page_fails(fake))
		return -ENOMEM;
	bytes = __real_malloc(PAGE_SIZE);
	memcpy(bytes, page->bytes, PAGE_SIZE);
	page->bytes = bytes;
	page->borrowed = false;
	fake->space.frame_count++;
	fake->space.copied++;
	return 0;
}

int space_make_private(struct space *space, gva_t va, bool by_guest)
{
	struct fake_space *fake = editable(space);
	struct fake_page *page = fake_page_at(fake, va.value);

	(void)by_guest;
	if (page == NULL || (page->protection & SPACE_WRITE) == 0)
		return -EFAULT;
	return own(fake, page);
}

static void *host_address(const struct fake_page *page, gva_t va, uint64_t *length)
{
	assert_true(*length > 0);
	*length = min_u64(*length, PAGE_SIZE - (va.value & (PAGE_SIZE - 1)));
	return page->bytes + (va.value & (PAGE_SIZE - 1));
}

int space_pin_read(const struct space *space, gva_t va, uint64_t *length, const void **host)
{
	const struct fake_page *page = fake_page_at(fake_of_const(space), va.value);

	assert_true(va.value < LAYOUT_USER_END);
	if (page == NULL || (page->protection & SPACE_READ) == 0)
		return -EFAULT;
	if (page->file)
		return -EREMOTE;
	*host = host_address(page, va, length);
	return 0;
}

int space_pin_write(struct space *space, gva_t va, uint64_t *length, void **host)
{
	int result;

	assert_true(va.value < LAYOUT_USER_END);
	if (space->table.frozen)
		return -EFAULT;
	result = space_make_private(space, va, false);
	if (result == 0)
		*host = host_address(fake_page_at(fake_of(space), va.value), va, length);
	return result;
}

int space_pin_load(struct space *space, gva_t va, uint64_t *length, void **host)
{
	struct fake_space *fake = editable(space);
	struct fake_page *page = fake_page_at(fake, va.value);
	int result = page != NULL ? own(fake, page) : -EFAULT;

	if (result == 0)
		*host = host_address(page, va, length);
	return result;
}

/* Files. */

struct fake_file fake_files[FAKE_FILES];

void fake_file_open(unsigned descriptor, const uint8_t *bytes, uint64_t size)
{
	struct file *file = __real_calloc(1, sizeof(*file) + 1);

	file->references = 1;
	file->kind = FILE_REGULAR;
	file->descriptor = (int)descriptor;
	fake_files[descriptor] = (struct fake_file){.file = file, .bytes = bytes, .size = size};
}

void fake_file_close(unsigned descriptor)
{
	assert_int_equal(fake_files[descriptor].file->references, 1);
	free(fake_files[descriptor].file);
	fake_files[descriptor] = (struct fake_file){0};
}

struct file *file_reference(struct file *file)
{
	file->references++;
	return file;
}

void file_release(struct file *file)
{
	if (file == NULL)
		return;
	assert_true(file->references > 1);
	file->references--;
}

int64_t file_pread(struct file *file, void *data, uint64_t length, uint64_t offset)
{
	const struct fake_file *fake = &fake_files[file->descriptor];

	assert_true(length > 0);
	if (fake->error != 0)
		return fake->error;
	if (offset >= fake->size)
		return 0;
	length = min_u64(length, fake->size - offset);
	memcpy(data, fake->bytes + offset, length);
	return (int64_t)length;
}

int file_size(const struct file *file, uint64_t *size)
{
	*size = fake_files[file->descriptor].size;
	return 0;
}

int64_t files_pread(const struct process *process, struct file *file, void *data, uint64_t length,
                    uint64_t offset)
{
	(void)process;
	return file_pread(file, data, length, offset);
}

int files_size(const struct process *process, const struct file *file, uint64_t *size)
{
	(void)process;
	return file_size(file, size);
}

int files_get_mappable(struct process *process, int fd, struct file **file)
{
	(void)process;
	if (fd < 0 || fd >= FAKE_FILES || fake_files[fd].file == NULL)
		return -EBADF;
	*file = fake_files[fd].file;
	return 0;
}
