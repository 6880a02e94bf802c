/* SPDX-License-Identifier: MIT */
/*
 * Each fork's memory is its own: a thousand forks of one master are alive at
 * once and two threads let them write, map, unmap, protect and move pages,
 * have system calls write into pages, fault, be reset, be destroyed and made
 * anew, all in random order. A model says what each page of each fork holds,
 * and the fork itself says after every step what it sees: a stale translation
 * shows as another's value, an old one, or an access that should have faulted.
 *
 * ISOLATION_SEED, ISOLATION_STEPS and ISOLATION_FORKS in the environment choose
 * another sequence; what one thread does depends on the other only in timing.
 */
#include "sandbox_fixture.h"

#include "guests/isolation.h"
#include "sandbox.h"
#include "sequence.h"
#include "time_scale.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS 2

enum page_state {
	ABSENT,
	NO_ACCESS,
	READ_ONLY,
	WRITABLE
};

struct page_model {
	uint64_t value;
	enum page_state state;
	bool anonymous; /* what MADV_DONTNEED makes zero */
};

struct member {
	pthread_mutex_t lock;
	unsigned number;
	struct kvmsb *fork;
	struct page_model pages[ISOLATION_PAGES];
};

struct crowd {
	struct kvmsb *master;
	struct member *members;
	unsigned count;
	uint64_t symbols[16]; /* by enum function */
	uint64_t page_addresses[ISOLATION_PAGES];
	atomic_bool failed;
};

struct worker {
	struct crowd *crowd;
	unsigned number;
	uint64_t random;
	uint64_t values; /* given out */
	uint64_t steps;
	const char *step; /* for messages */
};

/* What the standard input of the fork that reads just now gives, in its thread. */
static _Thread_local uint64_t input_value;

static int64_t give_input(void *user, void *data, size_t length)
{
	uint64_t *words = data;

	(void)user;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		words[i] = input_value;
	return (int64_t)length;
}

/* The guest's functions, called by address. */

enum function {
	LOOK,
	POKE,
	POKE_WORD,
	PEEK,
	READ_IN,
	CLOCK_IN,
	STAT_IN,
	MAP,
	UNMAP,
	PROTECT,
	MOVE,
	DISCARD,
	ADDRESS_OF,
	FUNCTIONS
};

static const char *const function_names[FUNCTIONS] = {
	"look", "poke",  "poke_word", "peek", "read_in", "clock_in",   "stat_in",
	"map",  "unmap", "protect",   "move", "discard", "address_of",
};

static int call_guest(const struct crowd *crowd, struct kvmsb *fork, enum function function,
                      struct numbers numbers, struct kvmsb_result *result)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;

	*result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	call.address = crowd->symbols[function];
	call.argument_count = 6;
	for (size_t i = 0; i < 6; i++)
		call.arguments[i].value = numbers.value[i];
	return kvmsb_vmcall(fork, &call, result);
}

/* A worker must not use assertions: they belong to the thread of the test. */
static bool wrong(struct worker *worker, const struct member *member, const char *what,
                  uint64_t seen, uint64_t wanted)
{
	if (!atomic_exchange(&worker->crowd->failed, true))
		print_error("thread %u, step %" PRIu64 " (%s), fork %u: %s: %#" PRIx64
		            ", not %#" PRIx64 "\n",
		            worker->number, worker->steps, worker->step, member->number, what, seen,
		            wanted);
	return false;
}

static bool returns(struct worker *worker, struct member *member, enum function function,
                    struct numbers numbers, uint64_t wanted)
{
	struct kvmsb_result result;
	int failed = call_guest(worker->crowd, member->fork, function, numbers, &result);
	char text[320];

	if (failed < 0)
		return wrong(worker, member, function_names[function], (uint64_t)failed, 0);
	if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == wanted)
		return true;
	kvmsb_describe(member->fork, &result, text, sizeof(text));
	return wrong(worker, member, text, result.value, wanted);
}

static unsigned below(struct worker *worker, unsigned limit)
{
	return sequence_below(&worker->random, limit);
}

static uint64_t new_value(struct worker *worker, const struct member *member)
{
	return (uint64_t)member->number << 40 | (uint64_t)(worker->number + 1) << 36 |
	       ++worker->values;
}

/* A page in a state from `least` on, or ISOLATION_PAGES when a few tries find none. */
static unsigned some_page(struct worker *worker, const struct member *member, enum page_state least,
                          enum page_state most)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned page = below(worker, ISOLATION_PAGES);

		if (member->pages[page].state >= least && member->pages[page].state <= most)
			return page;
	}
	return ISOLATION_PAGES;
}

/* The model. */

static void model_reset(struct member *member)
{
	for (unsigned page = 0; page < ISOLATION_PAGES; page++) {
		bool slot = page >= ISOLATION_SLOTS, filled = page < ISOLATION_UNTOUCHED;

		member->pages[page] = (struct page_model){
			.value = filled ? ISOLATION_INITIAL(page) : 0,
			.state = slot ? ABSENT : WRITABLE,
			.anonymous = page >= ISOLATION_BSS,
		};
	}
}

/* What the fork sees in all of its pages that can be read. */
static bool looks_right(struct worker *worker, struct member *member)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	uint64_t values[ISOLATION_PAGES] = {0}, mask = 0;
	int failed;

	for (unsigned page = 0; page < ISOLATION_PAGES; page++)
		if (member->pages[page].state >= READ_ONLY)
			mask |= UINT64_C(1) << page;
	call.address = worker->crowd->symbols[LOOK];
	call.argument_count = 2;
	call.arguments[0] = (struct kvmsb_argument){
		.kind = KVMSB_ARGUMENT_OUT, .output = values, .length = sizeof(values)};
	call.arguments[1].value = mask;
	failed = kvmsb_vmcall(member->fork, &call, &result);
	if (failed < 0 || result.outcome != KVMSB_OUTCOME_RETURNED)
		return wrong(worker, member, "look: fault address", result.fault.address,
		             (uint64_t)failed);
	for (unsigned page = 0; page < ISOLATION_PAGES; page++) {
		char what[32];

		if ((mask >> page & 1) == 0 || values[page] == member->pages[page].value)
			continue;
		snprintf(what, sizeof(what), "page %u", page);
		return wrong(worker, member, what, values[page], member->pages[page].value);
	}
	return true;
}

/* Steps: true when all is as it must be. */

static bool step_poke(struct worker *worker, struct member *member)
{
	unsigned page = some_page(worker, member, WRITABLE, WRITABLE);
	uint64_t value = new_value(worker, member);
	struct kvmsb_result result;

	if (page == ISOLATION_PAGES)
		return true;
	member->pages[page].value = value;
	if (call_guest(worker->crowd, member->fork, POKE, NUMBERS(page, value), &result) == 0 &&
	    result.outcome == KVMSB_OUTCOME_RETURNED)
		return true;
	return wrong(worker, member, "poke: fault address", result.fault.address, 0);
}

/* Writes the word that is there already: all of the page must come along. */
static bool step_poke_word(struct worker *worker, struct member *member)
{
	unsigned page = some_page(worker, member, WRITABLE, WRITABLE);
	struct kvmsb_result result;

	if (page == ISOLATION_PAGES)
		return true;
	if (call_guest(worker->crowd, member->fork, POKE_WORD,
	               NUMBERS(page, below(worker, 512), member->pages[page].value), &result) == 0 &&
	    result.outcome == KVMSB_OUTCOME_RETURNED)
		return true;
	return wrong(worker, member, "poke_word: fault address", result.fault.address, 0);
}

static bool step_read_in(struct worker *worker, struct member *member)
{
	unsigned page = some_page(worker, member, WRITABLE, WRITABLE);

	if (page == ISOLATION_PAGES)
		return true;
	input_value = new_value(worker, member);
	member->pages[page].value = input_value;
	return returns(worker, member, READ_IN, NUMBERS(page), input_value);
}

static bool fill_by(struct worker *worker, struct member *member, enum function function)
{
	unsigned page = some_page(worker, member, WRITABLE, WRITABLE);

	if (page == ISOLATION_PAGES)
		return true;
	member->pages[page].value = new_value(worker, member);
	return returns(worker, member, function, NUMBERS(page, member->pages[page].value), 0);
}

static bool step_clock_in(struct worker *worker, struct member *member)
{
	return fill_by(worker, member, CLOCK_IN);
}

static bool step_stat_in(struct worker *worker, struct member *member)
{
	return fill_by(worker, member, STAT_IN);
}

static bool step_map(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, ISOLATION_PAGES);

	member->pages[page] = (struct page_model){.state = WRITABLE, .anonymous = true};
	return returns(worker, member, MAP, NUMBERS(page), 0);
}

static bool step_unmap(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, ISOLATION_PAGES);

	member->pages[page] = (struct page_model){.state = ABSENT, .anonymous = true};
	return returns(worker, member, UNMAP, NUMBERS(page), 0);
}

static bool step_protect(struct worker *worker, struct member *member)
{
	static const int protections[] = {
		[NO_ACCESS] = PROT_NONE, [READ_ONLY] = PROT_READ, [WRITABLE] = PROT_READ | PROT_WRITE};
	unsigned page = some_page(worker, member, NO_ACCESS, WRITABLE);
	enum page_state state = NO_ACCESS + below(worker, 3);

	if (page == ISOLATION_PAGES)
		return true;
	member->pages[page].state = state;
	return returns(worker, member, PROTECT, NUMBERS(page, (uint64_t)protections[state]), 0);
}

static bool step_move(struct worker *worker, struct member *member)
{
	unsigned from = some_page(worker, member, NO_ACCESS, WRITABLE);
	unsigned to = below(worker, ISOLATION_PAGES);

	if (from == ISOLATION_PAGES || from == to)
		return true;
	member->pages[to] = member->pages[from];
	member->pages[from] = (struct page_model){.state = ABSENT, .anonymous = true};
	return returns(worker, member, MOVE, NUMBERS(from, to), 0);
}

static bool step_discard(struct worker *worker, struct member *member)
{
	unsigned page = some_page(worker, member, NO_ACCESS, WRITABLE);

	if (page == ISOLATION_PAGES || !member->pages[page].anonymous)
		return true;
	member->pages[page].value = 0;
	return returns(worker, member, DISCARD, NUMBERS(page), 0);
}

static bool step_reset(struct worker *worker, struct member *member)
{
	int failed = kvmsb_reset(member->fork);

	model_reset(member);
	return failed == 0 || wrong(worker, member, "reset", (uint64_t)failed, 0);
}

/* An access that its protection forbids: it must fault there, however often it was allowed before. */
static bool step_trespass(struct worker *worker, struct member *member)
{
	unsigned page = some_page(worker, member, ABSENT, READ_ONLY);
	bool write = below(worker, 2) == 0;
	struct kvmsb_result result;

	if (page == ISOLATION_PAGES)
		return true;
	write = write || member->pages[page].state == READ_ONLY;
	if (call_guest(worker->crowd, member->fork, write ? POKE : PEEK, NUMBERS(page, 1), &result) <
	    0)
		return wrong(worker, member, "trespass", 1, 0);
	if (result.outcome != KVMSB_OUTCOME_FAULTED || result.fault.vector != VECTOR_PF)
		return wrong(worker, member, "trespass: outcome", result.outcome,
		             KVMSB_OUTCOME_FAULTED);
	if (result.fault.address != worker->crowd->page_addresses[page])
		return wrong(worker, member, "trespass: address", result.fault.address,
		             worker->crowd->page_addresses[page]);
	return step_reset(worker, member);
}

static bool step_replace(struct worker *worker, struct member *member)
{
	int failed;

	kvmsb_destroy(member->fork);
	member->fork = NULL;
	failed = kvmsb_fork(worker->crowd->master, &member->fork, NULL);
	model_reset(member);
	return failed == 0 || wrong(worker, member, "fork", (uint64_t)failed, 0);
}

static bool step_host_writes(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, ISOLATION_PAGES);
	struct page_model *model = &member->pages[page];
	uint64_t words[512];
	int wanted = model->state == WRITABLE ? 0 : -EFAULT, failed;

	words[0] = new_value(worker, member);
	for (size_t i = 1; i < ARRAY_SIZE(words); i++)
		words[i] = words[0];
	failed = kvmsb_memory_write(member->fork, worker->crowd->page_addresses[page], words,
	                            sizeof(words));
	if (wanted == 0)
		model->value = words[0];
	return failed == wanted ||
	       wrong(worker, member, "memory_write", (uint64_t)failed, (uint64_t)wanted);
}

static bool step_host_reads(struct worker *worker, struct member *member)
{
	unsigned page = below(worker, ISOLATION_PAGES);
	const struct page_model *model = &member->pages[page];
	uint64_t words[512] = {0};
	int failed = kvmsb_memory_read(member->fork, worker->crowd->page_addresses[page], words,
	                               sizeof(words));

	if (model->state < READ_ONLY)
		return failed == -EFAULT ||
		       wrong(worker, member, "memory_read", (uint64_t)failed, (uint64_t)-EFAULT);
	if (failed < 0)
		return wrong(worker, member, "memory_read", (uint64_t)failed, 0);
	return (words[0] == model->value && words[511] == model->value) ||
	       wrong(worker, member, "memory_read", words[0], model->value);
}

static const struct {
	const char *name;
	bool (*function)(struct worker *worker, struct member *member);
	unsigned weight;
} steps[] = {
	{"poke", step_poke, 16},
	{"poke_word", step_poke_word, 10},
	{"read_in", step_read_in, 10},
	{"clock_in", step_clock_in, 3},
	{"stat_in", step_stat_in, 3},
	{"map", step_map, 8},
	{"unmap", step_unmap, 6},
	{"protect", step_protect, 9},
	{"move", step_move, 6},
	{"discard", step_discard, 4},
	{"trespass", step_trespass, 8},
	{"reset", step_reset, 8},
	{"replace", step_replace, 5},
	{"host writes", step_host_writes, 4},
	{"host reads", step_host_reads, 2},
};

static size_t some_step(struct worker *worker)
{
	unsigned total = 0, chosen;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		total += steps[i].weight;
	chosen = below(worker, total);
	for (size_t i = 0;; i++) {
		if (chosen < steps[i].weight)
			return i;
		chosen -= steps[i].weight;
	}
}

static bool one_step(struct worker *worker)
{
	struct member *member = &worker->crowd->members[below(worker, worker->crowd->count)];
	size_t step = some_step(worker);
	bool right;

	worker->step = steps[step].name;
	pthread_mutex_lock(&member->lock);
	right = steps[step].function(worker, member) && looks_right(worker, member);
	pthread_mutex_unlock(&member->lock);
	return right;
}

struct work {
	struct worker worker;
	uint64_t steps;
};

static void *work_in_thread(void *user)
{
	struct work *work = user;

	while (work->worker.steps < work->steps && !work->worker.crowd->failed) {
		work->worker.steps++;
		if (!one_step(&work->worker))
			break;
	}
	return NULL;
}

static struct kvmsb *isolation_master(enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("isolation-static"));

	options.entry = entry;
	options.standard_input.read = give_input;
	return fixture_master(&options);
}

static void crowd_setup(struct crowd *crowd, struct kvmsb *master, unsigned count)
{
	*crowd = (struct crowd){.master = master, .count = count};
	for (enum function function = LOOK; function < FUNCTIONS; function++)
		crowd->symbols[function] = fixture_symbol(master, function_names[function]);
	crowd->members = calloc(count, sizeof(*crowd->members));
	assert_non_null(crowd->members);
	for (unsigned i = 0; i < count; i++) {
		struct member *member = &crowd->members[i];

		pthread_mutex_init(&member->lock, NULL);
		member->number = i;
		member->fork = fixture_fork(master);
		model_reset(member);
	}
	for (unsigned page = 0; page < ISOLATION_PAGES; page++)
		crowd->page_addresses[page] = fixture_value(crowd->members[0].fork, "address_of",
		                                            NUMBERS(page));
}

static void crowd_teardown(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->count; i++) {
		kvmsb_destroy(crowd->members[i].fork);
		pthread_mutex_destroy(&crowd->members[i].lock);
	}
	free(crowd->members);
	kvmsb_destroy(crowd->master);
}

/* The master and a fork made now are what they were. */
static void master_is_unchanged(struct crowd *crowd)
{
	struct member fresh = {.number = UINT32_MAX};
	struct worker worker = {.crowd = crowd, .step = "master"};

	for (unsigned page = 0; page < ISOLATION_UNTOUCHED; page++) {
		uint64_t words[512];

		assert_int_equal(kvmsb_memory_read(crowd->master, crowd->page_addresses[page],
		                                   words, sizeof(words)),
		                 0);
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			assert_int_equal(words[i], ISOLATION_INITIAL(page));
	}
	fresh.fork = fixture_fork(crowd->master);
	model_reset(&fresh);
	assert_true(looks_right(&worker, &fresh));
	kvmsb_destroy(fresh.fork);
}

static void print_statistics(const struct crowd *crowd)
{
	struct kvmsb_statistics statistics = fixture_statistics(crowd->master);

	print_message("%" PRIu64 " forks, %" PRIu64 " processors, %" PRIu64
	              " forced flushes, %" PRIu64 " frame drops, %" PRIu64 " shadow drops, %" PRIu64
	              " MiB\n",
	              statistics.machine_forks, statistics.machine_vcpus,
	              statistics.machine_forced_flushes, statistics.machine_frame_drops,
	              statistics.machine_shadow_drops, statistics.machine_memory >> 20);
}

static void run_crowd(enum kvmsb_entry entry, unsigned forks, uint64_t step_count, uint64_t seed)
{
	struct crowd crowd;
	struct work work[THREADS];
	pthread_t threads[THREADS];
	struct worker last = {.crowd = &crowd, .number = THREADS, .step = "end"};

	print_message("ISOLATION_SEED=%#" PRIx64 " ISOLATION_STEPS=%" PRIu64
	              " ISOLATION_FORKS=%u\n",
	              seed, step_count, forks);
	crowd_setup(&crowd, isolation_master(entry), forks);
	for (unsigned i = 0; i < THREADS; i++) {
		work[i] = (struct work){
			.worker = {.crowd = &crowd, .number = i, .random = seed + i + 1},
			.steps = step_count / THREADS,
		};
		assert_int_equal(pthread_create(&threads[i], NULL, work_in_thread, &work[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_false(crowd.failed);
	for (unsigned i = 0; i < forks; i++)
		assert_true(looks_right(&last, &crowd.members[i]));
	master_is_unchanged(&crowd);
	print_statistics(&crowd);
	crowd_teardown(&crowd);
}

static void a_thousand_forks(void **unused)
{
	(void)unused;
	run_crowd(KVMSB_ENTRY_AUTOMATIC, (unsigned)sequence_setting("ISOLATION_FORKS", 1000),
	          sequence_setting("ISOLATION_STEPS", time_scale() > 1 ? 4000 : 12000),
	          sequence_setting("ISOLATION_SEED", 0x5eed));
}

/* Few forks: each is used often, and the last in is the first out. */
static void a_few_forks(void **unused)
{
	(void)unused;
	run_crowd(KVMSB_ENTRY_AUTOMATIC, 3,
	          sequence_setting("ISOLATION_STEPS", time_scale() > 1 ? 2000 : 6000),
	          sequence_setting("ISOLATION_SEED", 0x5eed) + 100);
}

static void on_each_path(void **unused)
{
	(void)unused;
	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++)
		if (fixture_entry_possible(fixture_entries[e]))
			run_crowd(fixture_entries[e], 20, time_scale() > 1 ? 500 : 2000, 0x9a7 + e);
}

/* The rules one by one. */

static void data_of_a_system_call_is_seen(void **unused)
{
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);

	(void)unused;
	for (unsigned page = 0; page < ISOLATION_SLOTS; page++) {
		uint64_t initial = page < ISOLATION_UNTOUCHED ? ISOLATION_INITIAL(page) : 0;

		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), initial);
		assert_int_equal(fixture_value(other, "peek", NUMBERS(page)), initial);
		input_value = 0x700 + page;
		assert_int_equal(fixture_value(fork, "read_in", NUMBERS(page)), 0x700 + page);
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0x700 + page);
		assert_int_equal(fixture_value(other, "peek", NUMBERS(page)), initial);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

/* A write copies the whole page, the guest's and the host's. */
static void the_rest_of_a_page_is_copied(void **unused)
{
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (unsigned page = 0; page < ISOLATION_UNTOUCHED; page++) {
		uint64_t address = fixture_value(fork, "address_of", NUMBERS(page)), value = 1;
		uint64_t words[512];

		if (page % 2 == 0)
			fixture_call(fork, "poke_word", NUMBERS(page, 511, value));
		else
			assert_int_equal(kvmsb_memory_write(fork, address + 4088, &value, 8), 0);
		assert_int_equal(kvmsb_memory_read(fork, address, words, sizeof(words)), 0);
		for (size_t i = 0; i < 511; i++)
			assert_int_equal(words[i], ISOLATION_INITIAL(page));
		assert_int_equal(words[511], 1);
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), ISOLATION_INITIAL(page));
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* The peer's fault: a fork's clock_gettime into a page of the master. */
static void results_of_system_calls_stay_in_the_fork(void **unused)
{
	const char *const symbols[] = {"clock_in", "stat_in"};
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);

	(void)unused;
	for (unsigned page = 0; page < ISOLATION_SLOTS; page++) {
		uint64_t address = fixture_value(fork, "address_of", NUMBERS(page)), word = 1;
		uint64_t initial = page < ISOLATION_UNTOUCHED ? ISOLATION_INITIAL(page) : 0;

		assert_int_equal(fixture_value(fork, symbols[page % 2], NUMBERS(page, 5)), 0);
		assert_int_equal(fixture_value(other, "peek", NUMBERS(page)), initial);
		assert_int_equal(kvmsb_memory_read(master, address, &word, sizeof(word)), 0);
		assert_int_equal(word, initial);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

static void faults_at(struct kvmsb *fork, const char *symbol, unsigned page, uint64_t address)
{
	struct kvmsb_result result = fixture_call(fork, symbol, NUMBERS(page, 1));

	assert_outcome(fork, &result, KVMSB_OUTCOME_FAULTED);
	assert_int_equal(result.fault.vector, VECTOR_PF);
	assert_int_equal(result.fault.address, address);
	assert_int_equal(kvmsb_reset(fork), 0);
}

/* Read and written, so that every translation is there; then taken away. */
static void use(struct kvmsb *fork, unsigned page)
{
	fixture_value(fork, "peek", NUMBERS(page));
	fixture_call(fork, "poke", NUMBERS(page, 0xaa));
	assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0xaa);
}

static void what_is_taken_away_faults(void **unused)
{
	const struct {
		const char *symbol;
		uint64_t argument;
		const char *access;
	} rows[] = {
		{"unmap", 0, "peek"},
		{"unmap", 0, "poke"},
		{"protect", PROT_NONE, "peek"},
		{"protect", PROT_NONE, "poke"},
		{"protect", PROT_READ, "poke"},
		{"move", ISOLATION_SLOTS + 7, "peek"},
		{"move", ISOLATION_SLOTS + 7, "poke"},
	};
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master), *other = fixture_fork(master);

	(void)unused;
	for (unsigned page = 0; page < ISOLATION_SLOTS; page++) {
		uint64_t address = fixture_value(fork, "address_of", NUMBERS(page));

		for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
			size_t row = i / 2;

			/* Written before, or only read. */
			if (i % 2 == 0)
				use(fork, page);
			else
				fixture_value(fork, "peek", NUMBERS(page));
			assert_int_equal(fixture_value(fork, rows[row].symbol,
			                               NUMBERS(page, rows[row].argument)),
			                 0);
			/* Frames that it gave back get another use. */
			fixture_call(other, "poke", NUMBERS(page, 0xbb));
			faults_at(fork, rows[row].access, page, address);
			assert_int_equal(fixture_value(other, "peek", NUMBERS(page)), 0xbb);
			assert_int_equal(kvmsb_reset(other), 0);
		}
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(other);
	kvmsb_destroy(master);
}

/* A fork that is mapped anew at an address that it had used sees the new page. */
static void a_new_page_is_new(void **unused)
{
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (unsigned page = 0; page < ISOLATION_PAGES; page++) {
		if (page < ISOLATION_SLOTS)
			use(fork, page);
		assert_int_equal(fixture_value(fork, "map", NUMBERS(page)), 0);
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0);
		use(fork, page);
		assert_int_equal(fixture_value(fork, "discard", NUMBERS(page)), 0);
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0);
		use(fork, page);
		assert_int_equal(fixture_value(fork, "map", NUMBERS(page)), 0);
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* One fork, two threads in turn, so two processors: each must see what the other one's run did. */
struct turn {
	struct crowd *crowd;
	enum function function;
	struct numbers numbers;
	struct kvmsb_result result;
	int failed;
};

static void *take_turn(void *user)
{
	struct turn *turn = user;

	turn->failed = call_guest(turn->crowd, turn->crowd->members[0].fork, turn->function,
	                          turn->numbers, &turn->result);
	return NULL;
}

static struct kvmsb_result in_thread(struct crowd *crowd, enum function function,
                                     struct numbers numbers)
{
	struct turn turn = {.crowd = crowd, .function = function, .numbers = numbers};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, take_turn, &turn), 0);
	pthread_join(thread, NULL);
	assert_int_equal(turn.failed, 0);
	return turn.result;
}

static void two_processors_see_the_same(void **unused)
{
	struct crowd crowd;
	struct kvmsb *fork;

	(void)unused;
	crowd_setup(&crowd, isolation_master(KVMSB_ENTRY_AUTOMATIC), 1);
	fork = crowd.members[0].fork;
	for (unsigned page = 0; page < ISOLATION_SLOTS; page++) {
		fixture_value(fork, "peek", NUMBERS(page));
		in_thread(&crowd, POKE, NUMBERS(page, 0x55));
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0x55);
		fixture_call(fork, "poke", NUMBERS(page, 0x66));
		assert_int_equal(in_thread(&crowd, PEEK, NUMBERS(page)).value, 0x66);
		in_thread(&crowd, MAP, NUMBERS(page));
		assert_int_equal(fixture_value(fork, "peek", NUMBERS(page)), 0);
		use(fork, page);
		in_thread(&crowd, UNMAP, NUMBERS(page));
		faults_at(fork, "peek", page, crowd.page_addresses[page]);
	}
	crowd_teardown(&crowd);
}

/*
 * Where hardware walks the tables, every downgrade must reach the TLB of the
 * processor that goes on in the same space: it is entered with another CR3 than
 * it ran with. An emulator flushes at every entry and would not show that.
 */
static uint64_t entered_with(const struct kvmsb *master)
{
	return master->machine->vcpus[0]->run->s.regs.sregs.cr3;
}

static void a_downgrade_forces_a_flush(void **unused)
{
	const struct {
		const char *symbol;
		uint64_t argument;
	} rows[] = {
		{"protect", PROT_READ},        {"unmap", 0},   {"map", 0},
		{"move", ISOLATION_SLOTS + 7}, {"discard", 0}, {"read_in", 0},
	};
	struct kvmsb *master = isolation_master(KVMSB_ENTRY_AUTOMATIC);
	struct kvmsb *fork = fixture_fork(master);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows) && !master->machine->host->shadow_paging; i++) {
		uint64_t before, flushes;

		use(fork, ISOLATION_MAPPED + 1);
		fixture_value(fork, "peek", NUMBERS(ISOLATION_MAPPED));
		before = entered_with(master);
		/* Nothing has changed, so nothing is flushed. */
		fixture_value(fork, "peek", NUMBERS(ISOLATION_MAPPED));
		assert_int_equal(entered_with(master), before);
		flushes = fixture_statistics(master).machine_forced_flushes;
		fixture_value(fork, rows[i].symbol, NUMBERS(ISOLATION_MAPPED, rows[i].argument));
		assert_int_not_equal(entered_with(master), before);
		assert_true(fixture_statistics(master).machine_forced_flushes > flushes);
		assert_int_equal(kvmsb_reset(fork), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rest_of_a_page_is_copied),
		cmocka_unit_test(data_of_a_system_call_is_seen),
		cmocka_unit_test(results_of_system_calls_stay_in_the_fork),
		cmocka_unit_test(what_is_taken_away_faults),
		cmocka_unit_test(a_new_page_is_new),
		cmocka_unit_test(two_processors_see_the_same),
		cmocka_unit_test(a_downgrade_forces_a_flush),
		cmocka_unit_test(on_each_path),
		cmocka_unit_test(a_few_forks),
		cmocka_unit_test(a_thousand_forks),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
