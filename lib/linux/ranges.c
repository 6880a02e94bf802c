/* SPDX-License-Identifier: MIT */
/* Sorted address ranges; see ranges.h. */
#include "ranges.h"

#include "../util.h"
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two splits and one insertion need three places more for a moment. */
#define SLACK 3u

int ranges_copy(struct ranges *to, const struct ranges *from)
{
	size_t capacity = from->count + SLACK;

	to->array = calloc(capacity, sizeof(*to->array));
	if (to->array == NULL)
		return -ENOMEM;
	to->capacity = capacity;
	to->count = from->count;
	for (size_t i = 0; i < from->count; i++) {
		to->array[i] = from->array[i];
		if (to->array[i].file != NULL)
			file_reference(to->array[i].file);
	}
	return 0;
}

void ranges_destroy(struct ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++)
		file_release(ranges->array[i].file);
	free(ranges->array);
	*ranges = (struct ranges){0};
}

size_t ranges_above(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->array[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
	size_t index = ranges_above(ranges, address);

	if (index == ranges->count || ranges->array[index].start > address)
		return NULL;
	return &ranges->array[index];
}

bool ranges_free(const struct ranges *ranges, uint64_t start, uint64_t end)
{
	size_t index = ranges_above(ranges, start);

	return index == ranges->count || ranges->array[index].start >= end;
}

bool ranges_cover(const struct ranges *ranges, uint64_t start, uint64_t end)
{
	for (size_t i = ranges_above(ranges, start); start < end; i++) {
		if (i == ranges->count || ranges->array[i].start > start)
			return false;
		start = ranges->array[i].end;
	}
	return true;
}

bool ranges_gap(const struct ranges *ranges, uint64_t low, uint64_t high, uint64_t length,
                uint64_t *start)
{
	for (size_t i = ranges_above(ranges, low); i < ranges->count; i++) {
		const struct range *range = &ranges->array[i];

		if (range->start > low && range->start - low >= length)
			break;
		low = range->end;
	}
	*start = low;
	return low < high && high - low >= length;
}

/* Whether a range begins before the address and ends after it. */
static bool is_inside(const struct ranges *ranges, uint64_t address)
{
	const struct range *range = ranges_find(ranges, address);

	return range != NULL && range->start < address;
}

static int grow(struct ranges *ranges, size_t capacity)
{
	struct range *array;

	if (capacity <= ranges->capacity)
		return 0;
	if (capacity < 2 * ranges->capacity)
		capacity = 2 * ranges->capacity;
	array = realloc(ranges->array, capacity * sizeof(*array));
	if (array == NULL)
		return -ENOMEM;
	ranges->array = array;
	ranges->capacity = capacity;
	return 0;
}

int ranges_reserve(struct ranges *ranges, uint64_t start, uint64_t end, bool replaced, size_t added)
{
	size_t first = ranges_above(ranges, start), last = ranges_above(ranges, end);
	size_t after = ranges->count + is_inside(ranges, start) + is_inside(ranges, end) + added;

	/* The range that reaches over the end counts among the replaced ones, too. */
	if (replaced)
		after -= last - first + is_inside(ranges, end);
	if (after > RANGES_MAXIMUM && after > ranges->count)
		return -ENOMEM;
	return grow(ranges, ranges->count + SLACK);
}

static void split(struct ranges *ranges, uint64_t address)
{
	size_t index = ranges_above(ranges, address);
	struct range *lower, *upper;

	if (!is_inside(ranges, address))
		return;
	lower = &ranges->array[index];
	upper = lower + 1;
	memmove(upper, lower, (ranges->count - index) * sizeof(*lower));
	ranges->count++;
	lower->end = upper->start = address;
	if (upper->file == NULL)
		return;
	upper->offset += address - lower->start;
	file_reference(upper->file);
}

void ranges_remove(struct ranges *ranges, uint64_t start, uint64_t end)
{
	size_t first, last;

	split(ranges, start);
	split(ranges, end);
	first = ranges_above(ranges, start);
	last = first;
	while (last < ranges->count && ranges->array[last].start < end)
		file_release(ranges->array[last++].file);
	memmove(&ranges->array[first], &ranges->array[last],
	        (ranges->count - last) * sizeof(*ranges->array));
	ranges->count -= last - first;
}

static bool continues(const struct range *lower, const struct range *upper)
{
	return lower->end == upper->start && lower->protection == upper->protection &&
	       lower->flags == upper->flags && lower->file == upper->file &&
	       (lower->file == NULL || lower->offset + (lower->end - lower->start) == upper->offset);
}

/* Makes one of neighbours that mean the same, from the one below `first` to the one at `last`. */
static void merge(struct ranges *ranges, size_t first, size_t last)
{
	size_t kept = first > 0 ? first - 1 : 0;
	size_t next = kept + 1;

	for (; next <= last && next < ranges->count; next++) {
		struct range *lower = &ranges->array[kept], *upper = &ranges->array[next];

		if (continues(lower, upper)) {
			lower->end = upper->end;
			file_release(upper->file);
		} else {
			ranges->array[++kept] = *upper;
		}
	}
	if (next == kept + 1)
		return;
	memmove(&ranges->array[kept + 1], &ranges->array[next],
	        (ranges->count - next) * sizeof(*ranges->array));
	ranges->count -= next - kept - 1;
}

void ranges_insert(struct ranges *ranges, const struct range *range)
{
	size_t index = ranges_above(ranges, range->start);
	struct range *place = &ranges->array[index];

	memmove(place + 1, place, (ranges->count - index) * sizeof(*place));
	*place = *range;
	ranges->count++;
	merge(ranges, index, index + 1);
}

void ranges_protect(struct ranges *ranges, uint64_t start, uint64_t end, unsigned protection,
                    unsigned lost)
{
	size_t first, last;

	split(ranges, start);
	split(ranges, end);
	first = ranges_above(ranges, start);
	for (last = first; last < ranges->count && ranges->array[last].start < end; last++) {
		if (ranges->array[last].protection == protection)
			continue;
		ranges->array[last].protection = protection;
		ranges->array[last].flags &= ~lost;
	}
	merge(ranges, first, last);
}

void ranges_clear(struct ranges *ranges, uint64_t start, uint64_t end, unsigned flags)
{
	size_t first, last;

	split(ranges, start);
	split(ranges, end);
	first = ranges_above(ranges, start);
	for (last = first; last < ranges->count && ranges->array[last].start < end; last++)
		ranges->array[last].flags &= ~flags;
	merge(ranges, first, last);
}
