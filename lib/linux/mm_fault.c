/* SPDX-License-Identifier: MIT */
/*
 * Page faults: brings pages in when they are first used, several at a time,
 * since an exit of the guest costs as much as hundreds of pages, and before that
 * where a program is about to use what it has just asked for; see mm.h.
 */
#include "mm_internal.h"

#include "../space_files.h"
#include "../util.h"
#include "deadline.h"
#include "files.h"

#include <errno.h>
#include <string.h>

/*
 * Pages brought in by one fault. A fork pays for each of its own at every
 * reset, and mostly continues where its master left off: few. A master's are
 * there for all forks: many.
 */
#define MASTER_ANONYMOUS_PAGES 32u
#define MASTER_FILE_PAGES 64u
#define FORK_STACK_PAGES 1u
#define FORK_PAGES 8u

/* Who goes through memory gets twice as many each time, up to these. */
#define MASTER_MOST_PAGES 512u
#define FORK_MOST_PAGES 64u

/* What is merely likely to be used takes no more than this part of what a limit leaves. */
#define ROOM_SHARE 8u
#define ROOM_LEAST 16u

/* Pages that are a file's own cost their entry in a table: a whole table at a time. */
#define SHOWN_BYTES (UINT64_C(2) << 20)
#define SHOWN_AT_ONCE (UINT64_C(16) << 20)

/* Below this a fork copies a file that it maps itself: taking copies away again is cheaper. */
#define FORK_SHOWN_LEAST (UINT64_C(256) << 10)

struct window {
	uint64_t start, end;
};

static bool is_brk(const struct mm *mm, uint64_t page)
{
	return page >= mm->brk_start && page < mm->brk;
}

static bool is_fork(const struct process *process)
{
	return process->space->master != NULL;
}

static bool is_mapped(const struct process *process, uint64_t page)
{
	unsigned protection;

	return space_lookup(process->space, gva(page), &protection);
}

static uint64_t least_pages(const struct process *process, const struct range *range, uint64_t page)
{
	if (!is_fork(process))
		return range->file != NULL ? MASTER_FILE_PAGES : MASTER_ANONYMOUS_PAGES;
	if ((range->flags & RANGE_GROWS_DOWN) != 0 || is_brk(process->mm, page))
		return FORK_STACK_PAGES;
	return FORK_PAGES;
}

static uint64_t affordable(const struct process *process, uint64_t pages)
{
	return min_u64(pages, space_room(process->space) / ROOM_SHARE);
}

/* Whether a fork's window may grow: what its master has in the range is not what the fork has used. */
static bool may_grow(const struct process *process, const struct range *range)
{
	return range->file == NULL && (range->flags & RANGE_GROWS_DOWN) == 0 &&
	       (!is_fork(process) || (range->flags & RANGE_ORIGINAL) == 0);
}

/* Who fills memory from its end, as sort(1) does with its lines: the page above is there, that below not. */
static bool goes_down(const struct process *process, const struct range *range, uint64_t page)
{
	return may_grow(process, range) && page > range->start && page + PAGE_SIZE < range->end &&
	       is_mapped(process, page + PAGE_SIZE) && !is_mapped(process, page - PAGE_SIZE);
}

/* Doubled as long as the pages so far behind are there: below, or above for who goes down. */
static uint64_t window_pages(const struct process *process, const struct range *range,
                             uint64_t page, bool down)
{
	uint64_t least = least_pages(process, range, page), pages = least;
	uint64_t most = is_fork(process) ? FORK_MOST_PAGES : MASTER_MOST_PAGES;
	uint64_t behind = (down ? range->end - PAGE_SIZE - page : page - range->start) >> PAGE_SHIFT;
	uint64_t step = down ? PAGE_SIZE : -PAGE_SIZE;

	if (!may_grow(process, range) || behind == 0 || !is_mapped(process, page + step))
		return least;
	while (pages < most && pages <= behind && is_mapped(process, page + pages * step))
		pages *= 2;
	return max_u64(affordable(process, pages), least);
}

/*
 * Pages around `page` that are likely to be used next: around it in a file,
 * whose code is run in any order, below it in a stack and for who goes down, else
 * above it.
 */
static struct window desired_window(const struct range *range, uint64_t page, uint64_t length,
                                    bool down)
{
	struct window window = {.start = page};

	if (range->file != NULL)
		window.start = align_down(page, length);
	else if (down || (range->flags & RANGE_GROWS_DOWN) != 0)
		window.start = page + PAGE_SIZE > length ? page + PAGE_SIZE - length : 0;
	window.end = min_u64(window.start + length, range->end);
	window.start = max_u64(window.start, range->start);
	return window;
}

/* Cuts the window to the pages next to `page` of which none is there. */
static void cut_to_absent(const struct process *process, struct window *window, uint64_t page)
{
	uint64_t end = page + PAGE_SIZE, start = page;

	while (end < window->end && !is_mapped(process, end))
		end += PAGE_SIZE;
	while (start > window->start && !is_mapped(process, start - PAGE_SIZE))
		start -= PAGE_SIZE;
	*window = (struct window){.start = start, .end = end};
}

/* Cuts the window at the file's end. -EFAULT: the page lies beyond it (SIGBUS, man 2 mmap). */
static int cut_to_file(const struct process *process, const struct range *range,
                       struct window *window, uint64_t page)
{
	uint64_t size;

	if (files_size(process, range->file, &size) < 0 || !checked_align_up(size, PAGE_SIZE, &size) ||
	    range->offset + (page - range->start) >= size)
		return -EFAULT;
	window->end = min_u64(window->end, range->start + (size - range->offset));
	return 0;
}

/* The next piece of the window: pages that are one piece of host memory, too. */
static int next_piece(struct process *process, uint64_t address, uint64_t end, void **host,
                      uint64_t *length)
{
	uint64_t more = end - address;
	void *next;
	int result;

	*length = more;
	result = space_pin_load(process->space, gva(address), length, host);
	while (result == 0 && address + *length < end) {
		more = end - address - *length;
		if (space_pin_load(process->space, gva(address + *length), &more, &next) < 0 ||
		    next != (char *)*host + *length)
			break;
		*length += more;
	}
	return result;
}

/* What the file does not have any more is zeros, as the frames are. */
static int load(struct process *process, const struct range *range, const struct window *window)
{
	uint64_t address = window->start, length;
	void *host;

	while (address < window->end) {
		int result = next_piece(process, address, window->end, &host, &length);
		int64_t got;

		if (result < 0)
			return result;
		got = files_pread(process, range->file, host, length,
		                  range->offset + (address - range->start));
		if (got < 0)
			return -EFAULT;
		address += length;
	}
	return 0;
}

/* What a reset does with pages of the range that are mapped now. */
static enum frame_fate fate_of(const struct range *range)
{
	if ((range->flags & RANGE_ORIGINAL) == 0)
		return FRAME_TAKEN;
	if (range->file == NULL)
		return FRAME_RESTORED;
	/* What a file in memory held then may be the fork's own. */
	return (range->protection & SPACE_WRITE) != 0 || range->file->kind == FILE_MEMORY
	               ? FRAME_TAKEN
	               : FRAME_KEPT;
}

static int bring_in(struct process *process, const struct range *range, const struct window *window,
                    bool zeros)
{
	uint64_t length = window->end - window->start;
	int result;

	if (zeros)
		return space_map_zeros(process->space, gva(window->start), length, range->protection);
	result = space_map(process->space, gva(window->start), length, range->protection,
	                   fate_of(range));
	if (result < 0 || range->file == NULL)
		return result;
	result = load(process, range, window);
	if (result < 0)
		space_unmap(process->space, gva(window->start), length);
	return result;
}

/* Pages that are the file's own. */

/* Whether the range may have such pages: nobody can write to them, and a reset can leave them. */
static bool shows_file(const struct process *process, const struct range *range)
{
	if (range->file == NULL || range->file->kind != FILE_REGULAR || process->copies_files ||
	    (range->protection & SPACE_WRITE) != 0)
		return false;
	return !is_fork(process) || (range->flags & RANGE_ORIGINAL) != 0 ||
	       range->end - range->start >= FORK_SHOWN_LEAST;
}

/* Nothing of the window is mapped. -EOPNOTSUPP: what is not there then is to be copied. */
static int show(struct process *process, const struct range *range, const struct window *window)
{
	uint64_t address = window->start;

	while (address < window->end) {
		int64_t shown = space_map_file(process->space, gva(address), window->end - address,
		                               range->protection, fate_of(range),
		                               range->file->descriptor,
		                               range->offset + (address - range->start));

		if (shown < 0)
			return (int)shown;
		address += (uint64_t)shown;
	}
	return 0;
}

/* The part of the range around `page` that one table translates. */
static int show_around(struct process *process, const struct range *range, uint64_t page)
{
	struct window window = desired_window(range, page, SHOWN_BYTES, false);
	int result;

	if (!shows_file(process, range))
		return -EOPNOTSUPP;
	result = cut_to_file(process, range, &window, page);
	if (result < 0)
		return result;
	cut_to_absent(process, &window, page);
	result = show(process, range, &window);
	return result < 0 && is_mapped(process, page) ? 0 : result;
}

int mm_files_failed(struct process *process)
{
	const struct ranges *ranges = &process->mm->ranges;
	int any = 0;

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->array[i];
		int result = range->file == NULL
		                     ? 0
		                     : space_drop_files(process->space, gva(range->start),
		                                        range->end - range->start);

		if (result < 0)
			return result;
		any |= result;
	}
	process->copies_files = process->copies_files || any != 0;
	return any;
}

/*
 * A fork that reads where its master never was gets zeros that all share. The
 * program itself is more likely to write there next, and pays for each fault.
 */
static bool shares_zeros(const struct process *process, const struct range *range, unsigned access)
{
	return access != SPACE_WRITE && range->file == NULL && process->space->master != NULL &&
	       (range->flags & RANGE_ORIGINAL) != 0;
}

static int fault_absent(struct process *process, const struct range *range, uint64_t page,
                        unsigned access)
{
	bool down = goes_down(process, range, page);
	uint64_t pages = window_pages(process, range, page, down);
	struct window window = desired_window(range, page, pages * PAGE_SIZE, down);
	bool zeros = shares_zeros(process, range, access);
	int result;

	/* A frozen master is never changed; see mm_read_absent(). */
	if (process->space->table.frozen || (range->flags & RANGE_MACHINE) != 0)
		return -EFAULT;
	result = show_around(process, range, page);
	if (result != -EOPNOTSUPP)
		return result;
	if (range->file != NULL && cut_to_file(process, range, &window, page) < 0)
		return -EFAULT;
	cut_to_absent(process, &window, page);
	result = bring_in(process, range, &window, zeros);
	if (result != -ENOMEM || window.end - window.start == PAGE_SIZE)
		return result;
	/* Near the limit the other pages, and their tables, must not cost the one that is needed. */
	window = (struct window){.start = page, .end = page + PAGE_SIZE};
	return bring_in(process, range, &window, zeros);
}

/* A fault on a page that is there: the first write of a fork, or a stale translation. */
static int fault_present(struct process *process, uint64_t page, unsigned access,
                         unsigned protection, bool by_guest)
{
	struct space *space = process->space;
	uint64_t copied = space->copied;
	int result = 0;

	if ((protection & access) == 0)
		return -EFAULT;
	if (access == SPACE_WRITE)
		result = space_make_private(space, gva(page), by_guest);
	if (result == 0 && space->copied == copied)
		invalidate_forget(&space->translations);
	return result;
}

int mm_fault(struct process *process, uint64_t address, unsigned access, bool by_guest)
{
	uint64_t page = align_down(address, PAGE_SIZE);
	const struct range *range = ranges_find(&process->mm->ranges, page);
	unsigned protection;

	if (range == NULL || (range->protection & access) == 0)
		return -EFAULT;
	if (space_lookup(process->space, gva(page), &protection))
		return fault_present(process, page, access, protection, by_guest);
	return fault_absent(process, range, page, access);
}

/* Short of the end it may be, as pread(2) allows: then the page that it ends in is zeros from there. */
static int64_t read_file(const struct process *process, const struct range *range, uint64_t address,
                         void *data, uint64_t length)
{
	struct window part = {.start = range->start, .end = range->end};
	uint64_t last;
	int64_t got;

	if (cut_to_file(process, range, &part, align_down(address, PAGE_SIZE)) < 0)
		return -EFAULT;
	length = min_u64(length, part.end - address);
	got = files_pread(process, range->file, data, length,
	                  range->offset + (address - range->start));
	if (got < 0)
		return -EFAULT;
	last = address + (got > 0 ? (uint64_t)got - 1 : 0);
	length = min_u64(length, align_down(last, PAGE_SIZE) + PAGE_SIZE - address);
	memset((char *)data + got, 0, length - (uint64_t)got);
	return (int64_t)length;
}

int64_t mm_read_range(const struct process *process, uint64_t address, void *data, uint64_t length)
{
	const struct range *range = ranges_find(&process->mm->ranges, address);

	if (range == NULL || (range->protection & SPACE_READ) == 0)
		return -EFAULT;
	length = min_u64(length, range->end - address);
	if (range->file != NULL)
		return read_file(process, range, address, data, length);
	memset(data, 0, length);
	return (int64_t)length;
}

int64_t mm_read_absent(const struct process *process, uint64_t address, void *data, uint64_t length)
{
	return mm_read_range(process, address, data,
	                     min_u64(length, PAGE_SIZE - (address & (PAGE_SIZE - 1))));
}

bool mm_absent_is_zeros(const struct process *process, uint64_t address)
{
	const struct range *range = ranges_find(&process->mm->ranges, address);

	return range != NULL && (range->protection & SPACE_READ) != 0 && range->file == NULL;
}

int mm_populate(struct process *process, uint64_t start, uint64_t end, unsigned access)
{
	for (uint64_t page = start, count = 0; page < end; page += PAGE_SIZE, count++) {
		int result = mm_fault(process, page, access, false);

		if (result < 0)
			return result;
		if (count % 32 == 31 && deadline_over(process))
			return -EINTR;
	}
	return 0;
}

/* Before it is used. */

/* From the start on; where some of it is there already (-EEXIST), it is no new mapping. */
static int show_new(struct process *process, const struct range *range, uint64_t start, uint64_t end)
{
	struct window window = {.start = start, .end = min_u64(end, start + SHOWN_AT_ONCE)};

	if (!shows_file(process, range) || cut_to_file(process, range, &window, start) < 0)
		return -EOPNOTSUPP;
	return show(process, range, &window);
}

static bool is_written(const struct file *file)
{
	return file->kind != FILE_REGULAR || (file->access & KVMSB_PATH_WRITE) != 0;
}

/* As at a fault; but a little more where that is all. The heap of malloc(3) grows by 33 pages. */
static uint64_t pages_at_first(const struct process *process, const struct range *range,
                               uint64_t start, uint64_t end)
{
	uint64_t least = least_pages(process, range, start), all = (end - start) >> PAGE_SHIFT;

	return all <= 2 * least ? all : least;
}

static void prefault(struct process *process, const struct range *range, uint64_t start, uint64_t end)
{
	struct window window = {.start = start};
	uint64_t pages;

	/* At a limit a fork would have to be settled for what is not even asked for. */
	if (range->protection == 0 || is_mapped(process, start) ||
	    space_room(process->space) < ROOM_LEAST)
		return;
	if (show_new(process, range, start, end) != -EOPNOTSUPP || is_mapped(process, start))
		return;
	/*
	 * Anonymous memory that cannot be written is not used soon, and a copy of a file
	 * that the guest itself may write is to be as late as it can be.
	 */
	if (range->file == NULL ? (range->protection & SPACE_WRITE) == 0 : is_written(range->file))
		return;
	pages = affordable(process, pages_at_first(process, range, start, end));
	window.end = min_u64(end, start + pages * PAGE_SIZE);
	if (pages == 0 || (range->file != NULL && cut_to_file(process, range, &window, start) < 0))
		return;
	cut_to_absent(process, &window, start);
	bring_in(process, range, &window, false);
}

/* Of a library the beginning comes last: it is what is left of a mapping of the whole. */
static void prefault_beginning(struct process *process, const struct range *range)
{
	const struct range *before = ranges_find(&process->mm->ranges, range->start - 1);

	if (range->file != NULL && before != NULL && before->file == range->file)
		prefault(process, before, before->start, before->end);
}

void mm_prefault(struct process *process, uint64_t start, uint64_t end)
{
	const struct range *range = ranges_find(&process->mm->ranges, start);

	if (range == NULL)
		return;
	prefault(process, range, start, min_u64(end, range->end));
	prefault_beginning(process, range);
}
