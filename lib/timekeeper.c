/* SPDX-License-Identifier: MIT */
/* The clock of a machine; see timekeeper.h. */
#include "timekeeper.h"

#include "util.h"
#include "vdso_page.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* A rate over less is no better than what KVM says: clocks are read to some 20 ns. */
#define RATE_LEAST (100 * MILLISECOND)
/* How long a sample serves: rates are measured over this to twice this. */
#define RATE_SPAN (2 * SECOND)
/* adjtimex(2) bends a clock by 500 ppm, adjtime(3) by as much: more is a clock that stood still. */
#define RATE_PERMILLE UINT64_C(2)

/* From here on a page is worth less than any sample. */
#define OLD_MOST SECOND

/* What the page was ahead at most, if it was right: more is a time in which nobody ran. */
#define AHEAD_MOST MILLISECOND

/* Clocks are read one after another: what differs by less has not been set. */
#define SET_LEAST UINT64_C(2000)

static void store(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

/* Rates, in ns a tick, by 2^-VDSO_SHIFT. */

static uint64_t rate_between(uint64_t ticks, uint64_t time)
{
	return ticks != 0 ? (uint64_t)(((unsigned __int128)time << VDSO_SHIFT) / ticks) : 0;
}

static uint64_t nominal_rate(uint64_t khz)
{
	return rate_between(khz, MILLISECOND);
}

static bool is_plausible(uint64_t rate, uint64_t nominal)
{
	uint64_t tolerance = nominal / 1000 * RATE_PERMILLE;

	return rate >= nominal - tolerance && rate <= nominal + tolerance;
}

/* Goes on to a later sample to measure from, so that the rate is that of now. */
static void pass_span(struct timekeeper *timekeeper, const struct host_sample *sample)
{
	if (sample->monotonic - timekeeper->next.monotonic < RATE_SPAN)
		return;
	timekeeper->since = timekeeper->next;
	timekeeper->next = *sample;
}

static void start_over(struct timekeeper *timekeeper, const struct host_sample *sample)
{
	timekeeper->since = timekeeper->next = *sample;
}

static void find_rates(struct timekeeper *timekeeper, const struct host_sample *sample,
                       uint64_t *monotonic, uint64_t *raw)
{
	const struct host_sample *since = &timekeeper->since;
	uint64_t nominal = nominal_rate(timekeeper->khz), ticks = sample->tsc - since->tsc;

	*monotonic = *raw = nominal;
	if (sample->monotonic - since->monotonic < RATE_LEAST)
		return;
	*monotonic = rate_between(ticks, sample->monotonic - since->monotonic);
	*raw = rate_between(ticks, sample->raw - since->raw);
	if (is_plausible(*monotonic, nominal) && is_plausible(*raw, nominal)) {
		pass_span(timekeeper, sample);
		return;
	}
	/* The host slept, or is another one by now: migrated. */
	*monotonic = *raw = nominal;
	start_over(timekeeper, sample);
}

/* Writing. */

static void write_line(struct vdso_line *line, uint64_t base, uint64_t rate, uint64_t floor)
{
	store(&line->base, base);
	store(&line->multiplier, rate);
	store(&line->floor, floor);
}

/* The line from now on; it never gives less than what it could have given until now. */
static void turn_line(struct vdso_page *page, struct vdso_line *line,
                      const struct host_sample *sample, uint64_t base, uint64_t rate, uint64_t now)
{
	const struct vdso_line next = {.base = base, .multiplier = rate};
	uint64_t was = vdso_line_at(line, page->tsc, now);
	uint64_t is = vdso_line_at(&next, sample->tsc, now);

	write_line(line, base, rate, min_u64(was, is + AHEAD_MOST));
}

static void set_offset(struct vdso_page *page, enum vdso_clock clock, uint64_t offset)
{
	uint64_t differs = offset - page->offset[clock];

	if (differs + SET_LEAST > 2 * SET_LEAST)
		store(&page->offset[clock], offset);
}

static void set_offsets(struct vdso_page *page, const struct host_sample *sample)
{
	set_offset(page, VDSO_REALTIME, sample->realtime - sample->monotonic);
	store(&page->offset[VDSO_REALTIME_COARSE], page->offset[VDSO_REALTIME]);
	set_offset(page, VDSO_BOOTTIME, sample->boottime - sample->monotonic);
	/* Whole seconds: no second way to err. */
	store(&page->offset[VDSO_TAI],
	      page->offset[VDSO_REALTIME] +
	              (sample->tai - sample->realtime + SECOND / 2) / SECOND * SECOND);
}

static void write_page(struct timekeeper *timekeeper, const struct host_sample *sample,
                       uint64_t monotonic_rate, uint64_t raw_rate)
{
	struct vdso_page *page = timekeeper->page;
	uint32_t sequence = page->sequence;
	uint64_t now;

	__atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Whoever read the page before read the counter before this. */
	now = vdso_tsc();
	turn_line(page, &page->monotonic, sample, sample->monotonic, monotonic_rate, now);
	turn_line(page, &page->raw, sample, sample->raw, raw_rate, now);
	store(&page->tsc, sample->tsc);
	set_offsets(page, sample);
	__atomic_store_n(&page->mode, VDSO_BY_TSC, __ATOMIC_RELAXED);
	__atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

static void refresh(struct timekeeper *timekeeper)
{
	struct host_sample sample;
	uint64_t monotonic, raw;
	bool good = host_clock_sample(&sample, timekeeper->khz);

	timekeeper->due = sample.monotonic + TIMEKEEPER_INTERVAL;
	/* A page that is not very old is better than a sample that is not good. */
	if (!good && sample.monotonic - timekeeper->written < OLD_MOST)
		return;
	find_rates(timekeeper, &sample, &monotonic, &raw);
	write_page(timekeeper, &sample, monotonic, raw);
	timekeeper->written = sample.monotonic;
}

void timekeeper_refresh(struct timekeeper *timekeeper)
{
	if (atomic_flag_test_and_set_explicit(&timekeeper->writing, memory_order_acquire))
		return;
	if (timekeeper->due != UINT64_MAX)
		refresh(timekeeper);
	atomic_flag_clear_explicit(&timekeeper->writing, memory_order_release);
}

void timekeeper_init(struct timekeeper *timekeeper, struct vdso_page *page,
                     const struct timekeeper_source *source)
{
	timekeeper->page = page;
	timekeeper->khz = source->khz;
	timekeeper->due = source->khz != 0 ? 0 : UINT64_MAX;
	atomic_flag_clear(&timekeeper->writing);
	start_over(timekeeper, &source->first);
	timekeeper_refresh(timekeeper);
}

/* Waits for whoever writes: the host's clock and the page may differ by what makes time step back. */
static bool read_page(const struct vdso_page *page, uint32_t clock, uint64_t *time)
{
	if (!vdso_page_has(clock))
		return false;
	while (__atomic_load_n(&page->mode, __ATOMIC_RELAXED) == VDSO_BY_TSC) {
		if (vdso_page_read(page, clock, time))
			return true;
		sched_yield();
	}
	return false;
}

int timekeeper_read(const struct timekeeper *timekeeper, int32_t clock, uint64_t *time)
{
	struct timespec now;

	if (timekeeper != NULL && read_page(timekeeper->page, (uint32_t)clock, time))
		return 0;
	if (clock_gettime(clock, &now) < 0)
		return -errno;
	*time = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
	return 0;
}
