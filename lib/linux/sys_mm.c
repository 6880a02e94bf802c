/* SPDX-License-Identifier: MIT */
/*
 * Memory system calls: mmap munmap mprotect mremap brk madvise msync mincore
 * and the mlock family, as their manual pages in section 2 have them. Nothing
 * is ever swapped, so locking succeeds and does nothing.
 */
#include "../util.h"
#include "deadline.h"
#include "files.h"
#include "handlers.h"
#include "layout.h"
#include "mm_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Newer than some headers. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define PROT_SEM 0x8
/* Of MAP_HUGETLB, without which they mean nothing: MAP_HUGE_2MB and MAP_HUGE_1GB of linux/mman.h. */
#define HUGE_SIZES (UINT64_C(21) << 26 | UINT64_C(30) << 26)

/* What mprotect(2) makes writable and no more than this is used soon: malloc(3) grows by 132 KiB. */
#define USED_AT_ONCE (UINT64_C(256) << 10)

_Static_assert(PROT_READ == SPACE_READ && PROT_WRITE == SPACE_WRITE && PROT_EXEC == SPACE_EXECUTE,
               "PROT_* are passed on as SPACE_*");

/* PROT_SEM and unknown bits of mmap(2) mean nothing on x86. */
static unsigned protection_of(uint64_t prot)
{
	return (unsigned)(prot & (PROT_READ | PROT_WRITE | PROT_EXEC));
}

/*
 * Whole pages that hold [address, address + length). For Linux a length that wraps
 * when it is rounded up is 0. Returns false where the end lies before the start.
 */
static bool whole_pages(uint64_t address, uint64_t length, uint64_t *start, uint64_t *end)
{
	*start = align_down(address, PAGE_SIZE);
	if (!checked_add(address - *start, length, &length) ||
	    !checked_align_up(length, PAGE_SIZE, &length))
		length = 0;
	return checked_add(*start, length, end);
}

/* mmap(2). */

struct map_request {
	uint64_t address, length, prot, flags, offset;
	struct file *file; /* borrowed; NULL: anonymous */
};

/* MAP_SHARED_VALIDATE refuses what it does not know; MAP_SHARED and MAP_PRIVATE ignore it. */
static int check_map_type(const struct map_request *request)
{
	const uint64_t known = MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN |
	                       MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE |
	                       MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |
	                       MAP_FIXED_NOREPLACE | HUGE_SIZES;
	uint64_t type = request->flags & MAP_TYPE;

	if (type != MAP_PRIVATE && (request->flags & MAP_GROWSDOWN) != 0)
		return -EINVAL;
	if (type == MAP_PRIVATE || type == MAP_SHARED)
		return 0;
	if (type != MAP_SHARED_VALIDATE || request->file == NULL)
		return -EINVAL;
	return (request->flags & ~known) != 0 ? -EOPNOTSUPP : 0;
}

static int check_map_file(const struct map_request *request)
{
	bool shared = (request->flags & MAP_TYPE) != MAP_PRIVATE;

	if ((request->flags & MAP_GROWSDOWN) != 0)
		return -EINVAL;
	/* What is written to memory never goes back to a file. */
	if (!shared || (request->prot & PROT_WRITE) == 0)
		return 0;
	return request->file->kind == FILE_MEMORY ? -ENODEV : -EACCES;
}

static int check_map_numbers(const struct map_request *request)
{
	uint64_t length = request->length;

	if (!is_aligned(request->offset, PAGE_SIZE) || length == 0)
		return -EINVAL;
	if (!checked_align_up(length, PAGE_SIZE, &length) || length > LAYOUT_USER_END)
		return -ENOMEM;
	if (!range_within(request->offset, length, (uint64_t)INT64_MAX + 1))
		return -EOVERFLOW;
	if ((request->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0 &&
	    !range_within(request->address, length, LAYOUT_USER_END))
		return -ENOMEM;
	/* There are no huge pages to reserve, and no file has any. */
	if ((request->flags & MAP_HUGETLB) != 0)
		return request->file != NULL ? -EINVAL : -ENOMEM;
	return 0;
}

static int check_map(const struct map_request *request)
{
	int result = check_map_numbers(request);

	if (result == 0)
		result = check_map_type(request);
	if (result == 0 && request->file != NULL)
		result = check_map_file(request);
	return result;
}

static unsigned map_flags(const struct map_request *request)
{
	unsigned flags = 0;

	if ((request->flags & MAP_FIXED_NOREPLACE) != 0)
		flags |= MM_FIXED_NOREPLACE;
	else if ((request->flags & MAP_FIXED) != 0)
		flags |= MM_FIXED;
	if ((request->flags & MAP_32BIT) != 0)
		flags |= MM_BELOW_2G;
	if ((request->flags & MAP_GROWSDOWN) != 0)
		flags |= MM_GROWS_DOWN;
	/* Nothing inside ever shares anonymous memory: there is no fork(2). */
	if (request->file != NULL && (request->flags & MAP_TYPE) != MAP_PRIVATE)
		flags |= MM_SHARED;
	return flags;
}

/*
 * Not what is reserved, and not a stack, which is used from its end. Nor the whole
 * of a library, which glibc's linker maps before it maps parts of it over that.
 */
static bool is_used_soon(const struct map_request *request)
{
	return (request->flags & (MAP_NORESERVE | MAP_STACK | MAP_GROWSDOWN)) == 0 &&
	       (request->flags & (MAP_DENYWRITE | MAP_FIXED)) != MAP_DENYWRITE;
}

static int64_t map(struct process *process, const struct map_request *request)
{
	/* /dev/zero is the old name of anonymous memory. */
	struct file *file = request->file != NULL && request->file->kind == FILE_ZERO
	                            ? NULL
	                            : request->file;
	uint64_t address = request->address;
	unsigned protection = protection_of(request->prot);
	int result = check_map(request);

	if (result == 0)
		result = mm_map(process, &address, request->length, protection, map_flags(request),
		                file, request->offset);
	if (result < 0)
		return result;
	/* As Linux: whether populating succeeds is nobody's business. */
	if ((request->flags & MAP_POPULATE) != 0 && (request->flags & MAP_NONBLOCK) == 0 &&
	    protection != 0)
		mm_populate(process, address, address + request->length,
		            (protection & SPACE_WRITE) != 0 ? SPACE_WRITE : SPACE_READ);
	else if (is_used_soon(request))
		mm_prefault(process, address,
		            align_down(address + request->length + PAGE_SIZE - 1, PAGE_SIZE));
	return (int64_t)address;
}

int64_t sys_mmap(struct process *process, const uint64_t arguments[6])
{
	struct map_request request = {
		.address = arguments[0],
		.length = arguments[1],
		.prot = arguments[2],
		.flags = arguments[3],
		.offset = arguments[5],
	};

	if (!is_aligned(request.offset, PAGE_SIZE))
		return -EINVAL;
	if ((request.flags & MAP_ANONYMOUS) == 0) {
		int result = files_get_mappable(process, (int)arguments[4], &request.file);

		if (result < 0)
			return result;
	}
	return map(process, &request);
}

int64_t sys_munmap(struct process *process, const uint64_t arguments[6])
{
	return mm_unmap(process, arguments[0], arguments[1]);
}

/* PROT_GROWSDOWN: from the beginning of the stack that holds the address. */
static int64_t protect_stack(struct process *process, uint64_t address, uint64_t length, uint64_t prot)
{
	const struct range *range = ranges_find(&process->mm->ranges, address);
	uint64_t end;

	if (range == NULL || !checked_add(address, length, &end))
		return -ENOMEM;
	if ((range->flags & RANGE_GROWS_DOWN) == 0)
		return -EINVAL;
	return mm_protect(process, range->start, end - range->start, protection_of(prot));
}

/* A piece of what was reserved is to be used; a large one might be a stack, or be reserved still. */
static int64_t protect(struct process *process, uint64_t address, uint64_t length, unsigned protection)
{
	int result = mm_protect(process, address, length, protection);

	if (result == 0 && (protection & SPACE_WRITE) != 0 && length <= USED_AT_ONCE)
		mm_prefault(process, address, address + length);
	return result;
}

int64_t sys_mprotect(struct process *process, const uint64_t arguments[6])
{
	const uint64_t grows = PROT_GROWSDOWN | PROT_GROWSUP;
	uint64_t address = arguments[0], length = arguments[1], prot = arguments[2];

	if ((prot & grows) == grows || !is_aligned(address, PAGE_SIZE))
		return -EINVAL;
	if (length == 0)
		return 0;
	if (!checked_align_up(length, PAGE_SIZE, &length) ||
	    !range_within(address, length, LAYOUT_USER_END))
		return -ENOMEM;
	if ((prot & ~(grows | PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) != 0 ||
	    (prot & PROT_GROWSUP) != 0)
		return -EINVAL;
	if ((prot & PROT_GROWSDOWN) != 0)
		return protect_stack(process, address, length, prot);
	return protect(process, address, length, protection_of(prot));
}

/* mremap(2). */

struct remap_request {
	uint64_t from, from_length, to, to_length, flags;
};

static bool remap_keeps(const struct remap_request *request)
{
	return (request->flags & MREMAP_DONTUNMAP) != 0;
}

static int check_remap(struct remap_request *request)
{
	const uint64_t moving = MREMAP_FIXED | MREMAP_DONTUNMAP, known = moving | MREMAP_MAYMOVE;

	if ((request->flags & ~known) != 0 || !is_aligned(request->from, PAGE_SIZE))
		return -EINVAL;
	if ((request->flags & moving) != 0 && (request->flags & MREMAP_MAYMOVE) == 0)
		return -EINVAL;
	if (remap_keeps(request) && request->from_length != request->to_length)
		return -EINVAL;
	/* A length that wraps when rounded up is 0 for Linux. */
	if (!checked_align_up(request->from_length, PAGE_SIZE, &request->from_length))
		request->from_length = 0;
	if (!checked_align_up(request->to_length, PAGE_SIZE, &request->to_length) ||
	    request->to_length == 0)
		return -EINVAL;
	return 0;
}

/* The place it goes to, or the hint that MREMAP_DONTUNMAP has in its place. */
static int check_remap_to(const struct remap_request *request)
{
	uint64_t from_end;

	if (!is_aligned(request->to, PAGE_SIZE) ||
	    !range_within(request->to, request->to_length, LAYOUT_USER_END) ||
	    !checked_add(request->from, request->from_length, &from_end) ||
	    ranges_overlap(request->from, from_end, request->to, request->to + request->to_length))
		return -EINVAL;
	return (request->flags & MREMAP_FIXED) != 0 && request->to < LAYOUT_USER_START ? -EPERM : 0;
}

/*
 * What moves or grows must be one mapping. What stays where it is or is cut off
 * may be anything that begins with one, as in Linux.
 */
static int check_mapping(const struct process *process, const struct remap_request *request)
{
	bool stays = (request->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0 &&
	             request->from_length >= request->to_length;
	const struct range *range = ranges_find(&process->mm->ranges, request->from);
	uint64_t end = mm_mapping_end(process, request->from);

	if (range == NULL)
		return -EFAULT;
	/* Only shared mappings can be doubled by a length of 0. */
	if (request->from_length == 0)
		return range->file != NULL && (range->flags & RANGE_SHARED) != 0 ? 0 : -EINVAL;
	if (!stays && min_u64(request->from_length, request->to_length) > end - request->from)
		return -EFAULT;
	/* As Linux has VM_DONTEXPAND. */
	if ((range->flags & RANGE_MACHINE) == 0)
		return 0;
	if (remap_keeps(request))
		return -EINVAL;
	return request->to_length > request->from_length ? -EFAULT : 0;
}

static int cut(struct process *process, struct remap_request *request)
{
	uint64_t more = request->from_length - request->to_length;

	if (request->from_length <= request->to_length)
		return 0;
	request->from_length = request->to_length;
	return mm_unmap(process, request->from + request->to_length, more);
}

static int64_t move(struct process *process, const struct remap_request *request)
{
	uint64_t to_end = request->to + request->to_length;
	int result;

	if (request->from_length == 0)
		result = mm_duplicate(process, request->from, request->to, to_end);
	else
		result = mm_move(process, request->from, request->from + request->from_length,
		                 request->to, to_end, remap_keeps(request));
	return result < 0 ? result : (int64_t)request->to;
}

static int64_t remap_to(struct process *process, struct remap_request *request)
{
	int result = check_remap_to(request);

	if (result == 0)
		result = check_mapping(process, request);
	if (result < 0)
		return result;
	if ((request->flags & MREMAP_FIXED) != 0)
		result = mm_unmap(process, request->to, request->to_length);
	else
		result = mm_choose(process, request->to, request->to_length, 0, &request->to);
	if (result == 0)
		result = cut(process, request);
	return result < 0 ? result : move(process, request);
}

static int64_t remap(struct process *process, struct remap_request *request)
{
	int result = check_mapping(process, request);
	uint64_t end;

	if (result == 0)
		result = cut(process, request);
	if (result < 0)
		return result;
	if (request->from_length == request->to_length)
		return (int64_t)request->from;
	end = request->from + request->from_length;
	if (request->from_length > 0 &&
	    range_within(request->from, request->to_length, LAYOUT_USER_END) &&
	    mm_extend(process, end, request->from + request->to_length) == 0)
		return (int64_t)request->from;
	if ((request->flags & MREMAP_MAYMOVE) == 0)
		return -ENOMEM;
	result = mm_choose(process, 0, request->to_length, 0, &request->to);
	return result < 0 ? result : move(process, request);
}

int64_t sys_mremap(struct process *process, const uint64_t arguments[6])
{
	struct remap_request request = {
		.from = arguments[0],
		.from_length = arguments[1],
		.to_length = arguments[2],
		.flags = arguments[3],
		.to = arguments[4],
	};
	int result = check_remap(&request);

	if (result < 0)
		return result;
	if ((request.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0)
		return remap_to(process, &request);
	return remap(process, &request);
}

int64_t sys_brk(struct process *process, const uint64_t arguments[6])
{
	return (int64_t)mm_brk(process, arguments[0]);
}

/* madvise(2). */

enum advice_action {
	ADVICE_UNKNOWN = 0,
	ADVICE_IGNORE,
	ADVICE_IGNORE_ANONYMOUS,
	ADVICE_DISCARD,
	ADVICE_DISCARD_ANONYMOUS,
	ADVICE_REMOVE,
	ADVICE_WILL_NEED,
	ADVICE_POPULATE_READ,
	ADVICE_POPULATE_WRITE,
	ADVICE_PRIVILEGED,
};

static enum advice_action advice_action(uint64_t advice)
{
	static const unsigned char actions[] = {
		[MADV_NORMAL] = ADVICE_IGNORE,
		[MADV_RANDOM] = ADVICE_IGNORE,
		[MADV_SEQUENTIAL] = ADVICE_IGNORE,
		[MADV_WILLNEED] = ADVICE_WILL_NEED,
		[MADV_DONTNEED] = ADVICE_DISCARD,
		[MADV_FREE] = ADVICE_DISCARD_ANONYMOUS,
		[MADV_REMOVE] = ADVICE_REMOVE,
		[MADV_DONTFORK] = ADVICE_IGNORE,
		[MADV_DOFORK] = ADVICE_IGNORE,
		[MADV_MERGEABLE] = ADVICE_IGNORE,
		[MADV_UNMERGEABLE] = ADVICE_IGNORE,
		[MADV_HUGEPAGE] = ADVICE_IGNORE,
		[MADV_NOHUGEPAGE] = ADVICE_IGNORE,
		[MADV_DONTDUMP] = ADVICE_IGNORE,
		[MADV_DODUMP] = ADVICE_IGNORE,
		[MADV_WIPEONFORK] = ADVICE_IGNORE_ANONYMOUS,
		[MADV_KEEPONFORK] = ADVICE_IGNORE,
		[MADV_COLD] = ADVICE_IGNORE,
		[MADV_PAGEOUT] = ADVICE_IGNORE,
		[MADV_POPULATE_READ] = ADVICE_POPULATE_READ,
		[MADV_POPULATE_WRITE] = ADVICE_POPULATE_WRITE,
		[MADV_DONTNEED_LOCKED] = ADVICE_DISCARD,
		[MADV_COLLAPSE] = ADVICE_IGNORE,
	};

	if (advice == MADV_HWPOISON || advice == MADV_HWPOISON + 1)
		return ADVICE_PRIVILEGED;
	return advice < sizeof(actions) ? actions[advice] : ADVICE_UNKNOWN;
}

static bool has_file(const struct process *process, uint64_t start, uint64_t end)
{
	const struct ranges *ranges = &process->mm->ranges;

	for (size_t i = ranges_above(ranges, start); i < ranges->count; i++) {
		if (ranges->array[i].start >= end)
			break;
		if (ranges->array[i].file != NULL)
			return true;
	}
	return false;
}

/* The clock's page or the vDSO, whose pages would not come back. */
static bool has_machine(const struct process *process, uint64_t start, uint64_t end)
{
	const struct ranges *ranges = &process->mm->ranges;

	for (size_t i = ranges_above(ranges, start); i < ranges->count; i++) {
		if (ranges->array[i].start >= end)
			break;
		if ((ranges->array[i].flags & RANGE_MACHINE) != 0)
			return true;
	}
	return false;
}

/* MADV_POPULATE_*: a protection that does not allow it is -EINVAL here, but a hole -ENOMEM. */
static int populate(struct process *process, uint64_t start, uint64_t end, unsigned access)
{
	const struct ranges *ranges = &process->mm->ranges;

	if (!ranges_cover(ranges, start, end))
		return -ENOMEM;
	for (size_t i = ranges_above(ranges, start); i < ranges->count; i++) {
		if (ranges->array[i].start >= end)
			break;
		if ((ranges->array[i].protection & access) == 0)
			return -EINVAL;
	}
	return mm_populate(process, start, end, access);
}

static int advise(struct process *process, uint64_t start, uint64_t end, enum advice_action action)
{
	int result = 0;

	switch (action) {
	case ADVICE_DISCARD_ANONYMOUS:
		if (has_file(process, start, end) || has_machine(process, start, end))
			return -EINVAL;
		result = mm_discard(process, start, end);
		break;
	case ADVICE_DISCARD:
		/* man 2 madvise: not pages that are no file's and no memory's own (VM_PFNMAP). */
		if (has_machine(process, start, end))
			return -EINVAL;
		result = mm_discard(process, start, end);
		break;
	case ADVICE_IGNORE_ANONYMOUS:
		if (has_file(process, start, end))
			return -EINVAL;
		break;
	case ADVICE_REMOVE:
		/* Punches a hole into a file that is mapped for writing: there is none. */
		if (ranges_free(&process->mm->ranges, start, end))
			return -ENOMEM;
		return has_file(process, start, end) ? -EACCES : -EINVAL;
	case ADVICE_WILL_NEED:
		/* Of anonymous memory Linux reads what is swapped. */
		if (has_file(process, start, end))
			mm_prefault(process, start, end);
		break;
	case ADVICE_POPULATE_READ:
		return populate(process, start, end, SPACE_READ);
	case ADVICE_POPULATE_WRITE:
		return populate(process, start, end, SPACE_WRITE);
	default:
		break;
	}
	/* As Linux: done where something is, and the holes are told. */
	if (result == 0 && !mm_covers(process, start, end))
		return -ENOMEM;
	return result;
}

int64_t sys_madvise(struct process *process, const uint64_t arguments[6])
{
	enum advice_action action = advice_action((uint32_t)arguments[2]);
	uint64_t start = arguments[0], length = arguments[1], end;

	if (action == ADVICE_UNKNOWN || !is_aligned(start, PAGE_SIZE) ||
	    !checked_align_up(length, PAGE_SIZE, &length) || !checked_add(start, length, &end))
		return -EINVAL;
	if (action == ADVICE_PRIVILEGED)
		return -EPERM;
	return start == end ? 0 : advise(process, start, end, action);
}

int64_t sys_msync(struct process *process, const uint64_t arguments[6])
{
	uint64_t address = arguments[0], flags = arguments[2], start, end;

	if ((flags & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC) || !is_aligned(address, PAGE_SIZE))
		return -EINVAL;
	if (!whole_pages(address, arguments[1], &start, &end))
		return -ENOMEM;
	/* Nothing can be written to a file through a mapping. */
	return start == end || mm_covers(process, start, end) ? 0 : -ENOMEM;
}

/*
 * mincore(2). All that is mapped counts as resident, which no swap makes untrue.
 * Which pages are there already is what earlier requests and other forks touched,
 * and not this guest's business.
 */

#define MINCORE_BATCH 4096u

static int write_resident(struct process *process, uint64_t pages, uint64_t vector)
{
	unsigned char resident[MINCORE_BATCH];

	memset(resident, 1, sizeof(resident));
	return guest_write(process, vector, resident, pages);
}

int64_t sys_mincore(struct process *process, const uint64_t arguments[6])
{
	uint64_t start = arguments[0], length = arguments[1], vector = arguments[2];
	uint64_t pages;

	if (!is_aligned(start, PAGE_SIZE))
		return -EINVAL;
	if (!checked_align_up(length, PAGE_SIZE, &length) ||
	    !range_within(start, length, LAYOUT_USER_END))
		return -ENOMEM;
	pages = length >> PAGE_SHIFT;
	if (!range_within(vector, pages, LAYOUT_USER_END))
		return -EFAULT;
	if (!mm_covers(process, start, start + length))
		return -ENOMEM;
	for (uint64_t done = 0; done < pages; done += MINCORE_BATCH) {
		int result = write_resident(process, min_u64(pages - done, MINCORE_BATCH),
		                            vector + done);

		if (result < 0)
			return result == -ENOMEM ? -EAGAIN : result;
		if (deadline_over(process))
			return -EINTR;
	}
	return 0;
}

/* mlock(2) and its relatives. */

static int64_t check_locked(const struct process *process, uint64_t address, uint64_t length)
{
	uint64_t start, end;

	if (!whole_pages(address, length, &start, &end))
		return -EINVAL;
	return start == end || mm_covers(process, start, end) ? 0 : -ENOMEM;
}

int64_t sys_mlock(struct process *process, const uint64_t arguments[6])
{
	return check_locked(process, arguments[0], arguments[1]);
}

int64_t sys_mlock2(struct process *process, const uint64_t arguments[6])
{
	if ((arguments[2] & ~(uint64_t)MLOCK_ONFAULT) != 0)
		return -EINVAL;
	return check_locked(process, arguments[0], arguments[1]);
}

int64_t sys_munlock(struct process *process, const uint64_t arguments[6])
{
	return check_locked(process, arguments[0], arguments[1]);
}

int64_t sys_mlockall(struct process *process, const uint64_t arguments[6])
{
	uint64_t flags = arguments[0];

	(void)process;
	if (flags == 0 || flags == MCL_ONFAULT ||
	    (flags & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0)
		return -EINVAL;
	return 0;
}

int64_t sys_munlockall(struct process *process, const uint64_t arguments[6])
{
	(void)process;
	(void)arguments;
	return 0;
}
