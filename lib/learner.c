/* SPDX-License-Identifier: MIT */
/* Learning which pages requests write; see learner.h. */
#include "learner.h"

#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Pages that are remembered for each that may be learned: most are sighted once only. */
#define SIGHTINGS_EACH 4u

struct sighting {
	struct learned_page what;
	uint32_t times;
	bool learned;
	uint64_t last;    /* written, in samples */
	uint64_t sighted; /* last, in sightings of all pages */
};

int learner_init(struct learner *learner, uint32_t limit)
{
	memset(learner, 0, sizeof(*learner));
	/* Cannot fail with default attributes on Linux. */
	pthread_mutex_init(&learner->lock, NULL);
	learner->initialised = true;
	learner->limit = limit;
	learner->capacity = limit * SIGHTINGS_EACH;
	if (limit > 0) {
		learner->sightings = calloc(learner->capacity, sizeof(*learner->sightings));
		if (learner->sightings == NULL)
			return -ENOMEM;
	}
	return 0;
}

void learned_pages_release(struct learned_pages *pages)
{
	if (pages != NULL && atomic_fetch_sub(&pages->references, 1) == 1)
		free(pages);
}

void learner_destroy(struct learner *learner, bool in_parent)
{
	learned_pages_release(learner->learned);
	free(learner->sightings);
	if (learner->initialised && in_parent)
		pthread_mutex_destroy(&learner->lock);
	memset(learner, 0, sizeof(*learner));
}

struct learned_pages *learner_pages(struct learner *learner)
{
	struct learned_pages *pages;

	if (learner_version(learner) == 0)
		return NULL;
	pthread_mutex_lock(&learner->lock);
	pages = learner->learned;
	pages->references++;
	pthread_mutex_unlock(&learner->lock);
	return pages;
}

uint32_t learner_count(struct learner *learner)
{
	struct learned_pages *pages = learner_pages(learner);
	uint32_t count = pages != NULL ? pages->count : 0;

	learned_pages_release(pages);
	return count;
}

/* All of these hold the lock. */

/* The first that is not below `page`. */
static uint32_t find(const struct learner *learner, uint64_t page)
{
	uint32_t low = 0, high = learner->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (learner->sightings[middle].what.page < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sighting *sighting_of(const struct learner *learner, uint64_t page)
{
	uint32_t index = find(learner, page);

	if (index == learner->count || learner->sightings[index].what.page != page)
		return NULL;
	return &learner->sightings[index];
}

static void drop(struct learner *learner, uint32_t index)
{
	struct sighting *gone = &learner->sightings[index];

	if (gone->learned)
		learner->learned_count--;
	learner->count--;
	memmove(gone, gone + 1, (learner->count - index) * sizeof(*gone));
}

/* Room for one more: the one not learned that was sighted longest ago goes. */
static bool make_room(struct learner *learner)
{
	uint32_t oldest = learner->count;

	if (learner->count < learner->capacity)
		return true;
	for (uint32_t i = 0; i < learner->count; i++)
		if (!learner->sightings[i].learned &&
		    (oldest == learner->count ||
		     learner->sightings[i].sighted < learner->sightings[oldest].sighted))
			oldest = i;
	if (oldest == learner->count)
		return false;
	drop(learner, oldest);
	return true;
}

static struct sighting *remember(struct learner *learner, const struct learned_page *page)
{
	struct sighting *new;
	uint32_t index;

	if (!make_room(learner))
		return NULL;
	index = find(learner, page->page);
	new = &learner->sightings[index];
	memmove(new + 1, new, (learner->count - index) * sizeof(*new));
	learner->count++;
	*new = (struct sighting){.what = *page};
	return new;
}

/* Whether it is learned by that. */
static bool sight(struct learner *learner, const struct learned_page *page)
{
	struct sighting *sighting = sighting_of(learner, page->page);

	if (sighting == NULL)
		sighting = remember(learner, page);
	if (sighting == NULL)
		return false;
	sighting->last = learner->samples;
	sighting->sighted = ++learner->sighted;
	sighting->times++;
	if (sighting->learned || sighting->times < LEARNER_SIGHTINGS ||
	    learner->learned_count == learner->limit)
		return false;
	sighting->learned = true;
	learner->learned_count++;
	return true;
}

static struct learned_pages *collect(const struct learner *learner)
{
	struct learned_pages *pages = malloc(sizeof(*pages) +
	                                     learner->learned_count * sizeof(pages->pages[0]));

	if (pages == NULL)
		return NULL;
	pages->references = 1;
	pages->version = learner->version + 1;
	pages->count = 0;
	for (uint32_t i = 0; i < learner->count; i++)
		if (learner->sightings[i].learned)
			pages->pages[pages->count++] = learner->sightings[i].what;
	return pages;
}

/* Without memory for it, the set of before is as good: the next change tries again. */
static void publish(struct learner *learner)
{
	struct learned_pages *pages = collect(learner);

	if (pages == NULL)
		return;
	learned_pages_release(learner->learned);
	learner->learned = pages;
	atomic_store_explicit(&learner->version, pages->version, memory_order_release);
}

static bool forget_old(struct learner *learner)
{
	bool any = false;

	for (uint32_t i = learner->count; i-- > 0;) {
		const struct sighting *sighting = &learner->sightings[i];

		if (learner->samples - sighting->last < LEARNER_MEMORY)
			continue;
		any = any || sighting->learned;
		drop(learner, i);
	}
	return any;
}

void learner_sight(struct learner *learner, const struct learned_page *pages, size_t count)
{
	bool any = false;

	if (learner->limit == 0 || count == 0)
		return;
	pthread_mutex_lock(&learner->lock);
	for (size_t i = 0; i < count; i++)
		any = sight(learner, &pages[i]) || any;
	if (any)
		publish(learner);
	pthread_mutex_unlock(&learner->lock);
}

void learner_written(struct learner *learner, const struct learned_page *pages, size_t count)
{
	if (learner->limit == 0 || count == 0)
		return;
	pthread_mutex_lock(&learner->lock);
	for (size_t i = 0; i < count; i++) {
		struct sighting *sighting = sighting_of(learner, pages[i].page);

		if (sighting != NULL)
			sighting->last = learner->samples;
	}
	pthread_mutex_unlock(&learner->lock);
}

void learner_sampled(struct learner *learner)
{
	if (learner->limit == 0)
		return;
	pthread_mutex_lock(&learner->lock);
	learner->samples++;
	if (learner->samples % LEARNER_MEMORY == 0 && forget_old(learner))
		publish(learner);
	pthread_mutex_unlock(&learner->lock);
}
