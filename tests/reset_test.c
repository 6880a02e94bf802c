/* SPDX-License-Identifier: MIT */
/*
 * A reset leaves nothing behind: a fork leaves a mark by each channel of
 * channels.def, shows that it is there, and is reset, or destroyed; nothing of
 * it may be seen then by itself, by forks made before and after, by one that
 * takes its place, or in the master. What is right is always what a fork sees
 * that nobody used, never a constant. And what is a channel is not left to
 * memory: what is added to the library without a row in the table fails here.
 */
#include "sandbox_fixture.h"

#include "guests/channels.h"
#include "handover_report.h"
#include "http/exchange.h"
#include "linux/files.h"
#include "linux/mm_internal.h"
#include "linux/resource_limits.h"
#include "linux/signals.h"
#include "linux/trace_format.h"
#include "sandbox.h"
#include "time_scale.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The rows. */

enum lives {
	RESET,
	CALL
};

enum touch {
	NOTHING_MORE,
	STORE,
	EXECUTE,
	HOST
};

struct channel_row {
	const char *name;
	enum lives lives;
	enum touch touch;
};

static const struct channel_row channels[] = {
#define CHANNEL(name, lives, touch, address, leave, look) {#name, lives, touch},
#include "channels.def"
};

static const char *const request_channels[] = {
#define REQUEST_CHANNEL(name, leave, look) #name,
#include "channels.def"
};

static const struct {
	const char *name;
	enum place_content content;
} places[] = {
#define PLACE(name, content, address) {#name, content},
#include "channels.def"
};

static const struct {
	const char *name;
	enum kvmsb_outcome outcome;
} endings[] = {
#define ENDING(name, outcome, code) {#name, KVMSB_OUTCOME_##outcome},
#include "channels.def"
};

static const struct {
	const char *call, *variant, *changes;
} outputs[] = {
#define OUTPUT(call, variant, changes, code) {#call, variant, changes},
#include "channels.def"
#define HYPERCALL_OUTPUT(call, variant, changes, code) {#call, variant, changes},
#include "channels.def"
};

enum hypercall_output {
#define HYPERCALL_OUTPUT(call, variant, changes, code) HYPERCALL_OUTPUT_##call,
#include "channels.def"
};

/* The sandboxes of one test. */

struct bench {
	enum kvmsb_entry entry;
	bool other_thread; /* resets happen there */
	struct kvmsb *master;
	struct kvmsb *before; /* a sibling made before anything happens, and never reset */
	struct kvmsb *fork;   /* the one that leaves marks */
	uint64_t memory;      /* of the master, as a hash */
	unsigned wrong;
};

static uint64_t hash(uint64_t value, const void *data, size_t length)
{
	const uint64_t *words = data;

	for (size_t i = 0; i < length / sizeof(*words); i++)
		value = (value ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (value >> 29);
	return value;
}

/* All that the master could read, at its place. */
static uint64_t hash_of_memory(struct kvmsb *master)
{
	const struct ranges *ranges = &master->process.mm->ranges;
	uint64_t value = ranges->count, words[512];

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range *range = &ranges->array[i];

		value = hash(value, (const uint64_t[]){range->start, range->end, range->protection},
		             24);
		/* The clock goes on. */
		if (range->start == LAYOUT_CLOCK_PAGE)
			continue;
		for (uint64_t page = range->start; page < range->end && range->protection != 0;
		     page += PAGE_SIZE)
			if (kvmsb_memory_read(master, page, words, sizeof(words)) == 0)
				value = hash(value, words, sizeof(words));
	}
	return value;
}

static int64_t give_input(void *user, void *data, size_t length)
{
	(void)user;
	memset(data, 'x', length);
	return (int64_t)length;
}

static int give_content(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                        struct kvmsb_fetch_answer *answer)
{
	(void)context;
	kvmsb_fetch_status(answer, 200, "text/fetched");
	if (fetch->url[0] != '/')
		kvmsb_fetch_body(answer, "fetched", 7);
	return 0;
}

static void begin(struct bench *bench, enum kvmsb_entry entry, struct kvmsb *master)
{
	*bench = (struct bench){.entry = entry, .master = master};
	bench->memory = hash_of_memory(master);
	bench->before = fixture_fork(master);
	bench->fork = fixture_fork(master);
}

static void bench_setup(struct bench *bench, enum kvmsb_entry entry)
{
	const char *path = GUEST("channels-static");
	const char *const arguments[] = {"channels", path, TEST_GUESTS, NULL};
	char written[] = "/tmp/kvmsb-reset-XXXXXX";
	const struct kvmsb_path_rule rules[] = {
		KVMSB_ALLOW_DIRECTORY(TEST_GUESTS),
		KVMSB_ALLOW_MAPPED("/written", written, KVMSB_PATH_READ | KVMSB_PATH_WRITE),
	};
	struct kvmsb_options options = fixture_options(path);
	struct kvmsb_http_ops http = KVMSB_HTTP_OPS_INIT;
	int descriptor = mkstemp(written);

	http.fetch = give_content;
	http.self_request = give_content;
	options.http = &http;
	options.arguments = arguments;
	options.entry = entry;
	options.paths = rules;
	options.path_count = ARRAY_SIZE(rules);
	options.fork_memory_limit = UINT64_C(6) << 20;
	options.temporary_size = UINT64_C(1) << 20;
	options.standard_input.read = give_input;
	assert_true(descriptor >= 0);
	begin(bench, entry, fixture_master(&options));
	/* A rule for a file is that file for good. */
	unlink(written);
	close(descriptor);
}

static void bench_teardown(struct bench *bench)
{
	assert_true(hash_of_memory(bench->master) == bench->memory);
	kvmsb_destroy(bench->fork);
	kvmsb_destroy(bench->before);
	kvmsb_destroy(bench->master);
}

/* With resets in the thread of the calls, then in another one: of one path, where it is slow. */
static void on_each_path(void (*setup)(struct bench *bench, enum kvmsb_entry entry),
                         void (*run)(struct bench *bench))
{
	unsigned paths = 0, wrong = 0;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(fixture_entries); i++) {
		enum kvmsb_entry entry = fixture_entries[i / 2];
		struct bench bench;

		if (!fixture_entry_possible(entry) || (i > 1 && i % 2 != 0 && time_scale() > 1))
			continue;
		setup(&bench, entry);
		bench.other_thread = i % 2 != 0;
		run(&bench);
		wrong += bench.wrong;
		bench_teardown(&bench);
		paths++;
	}
	assert_true(paths > 0);
	assert_int_equal(wrong, 0);
}

__attribute__((format(printf, 2, 3))) static void wrong(struct bench *bench, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_error("%s, by %s%s\n", text, fixture_entry_name(bench->entry),
	            bench->other_thread ? ", reset in another thread" : "");
	bench->wrong++;
}

static void *reset_in_thread(void *fork)
{
	return (void *)(intptr_t)kvmsb_reset(fork);
}

static void reset(const struct bench *bench, struct kvmsb *fork)
{
	void *failed = NULL;
	pthread_t thread;

	if (bench->other_thread) {
		assert_int_equal(pthread_create(&thread, NULL, reset_in_thread, fork), 0);
		pthread_join(thread, &failed);
	} else {
		failed = reset_in_thread(fork);
	}
	assert_int_equal((intptr_t)failed, 0);
}

/* Its address space is the one that the next fork gets. */
static struct kvmsb *replace(struct bench *bench)
{
	kvmsb_destroy(bench->fork);
	bench->fork = fixture_fork(bench->master);
	return bench->fork;
}

/* Calls `symbol` with room for what it gives as its first or last argument. */
static struct kvmsb_result call_for(struct kvmsb *fork, const char *symbol, void *output,
                                    size_t length, bool last, struct numbers numbers)
{
	struct kvmsb_argument room = {.kind = KVMSB_ARGUMENT_OUT, .output = output, .length = length};
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = symbol;
	call.argument_count = 3;
	for (size_t i = 0; i < 2; i++)
		call.arguments[last ? i : i + 1].value = numbers.value[i];
	call.arguments[last ? 1 : 0] = room;
	if (last)
		call.arguments[2].value = 0;
	assert_int_equal(kvmsb_vmcall(fork, &call, &result), 0);
	return result;
}

/* Channels one by one. */

struct view {
	uint64_t seen;    /* by the guest */
	uint64_t touched; /* how the host's touch ended */
};

static uint64_t look(struct kvmsb *fork, unsigned channel)
{
	return fixture_value(fork, "look", NUMBERS(channel));
}

static uint64_t touch(const struct bench *bench, struct kvmsb *fork, unsigned channel)
{
	const char *symbol = channels[channel].touch == STORE ? "store" : "jump";
	struct kvmsb_result result;

	switch (channels[channel].touch) {
	case STORE:
	case EXECUTE:
		result = fixture_call(
			fork, symbol,
			NUMBERS(fixture_value(fork, "address_of_channel", NUMBERS(channel))));
		return (uint64_t)result.outcome << 56 ^ (uint64_t)result.fault.error_code << 48 ^
		       result.fault.address;
	case HOST:
		return memcmp(&fork->process.attributes, &bench->master->process.attributes,
		              sizeof(fork->process.attributes)) != 0;
	case NOTHING_MORE:
		break;
	}
	return 0;
}

/* Of a fork that is reset or destroyed next. */
static struct view view(const struct bench *bench, struct kvmsb *fork, unsigned channel)
{
	struct view view = {.seen = look(fork, channel)};

	view.touched = touch(bench, fork, channel);
	return view;
}

static struct view view_of_fresh(const struct bench *bench, unsigned channel)
{
	struct kvmsb *fork = fixture_fork(bench->master);
	struct view fresh = view(bench, fork, channel);

	kvmsb_destroy(fork);
	return fresh;
}

static bool same_view(struct view a, struct view b)
{
	return a.seen == b.seen && a.touched == b.touched;
}

/* A test whose marks are none would find nothing. */
static void mark(struct bench *bench, unsigned channel, struct view fresh)
{
	uint64_t seen = fresh.seen;
	struct kvmsb_result result = call_for(bench->fork, "leave", &seen, sizeof(seen), true,
	                                      NUMBERS(channel));

	assert_outcome(bench->fork, &result, KVMSB_OUTCOME_RETURNED);
	if (result.value == 0)
		wrong(bench, "%s: no mark can be left", channels[channel].name);
	else if (channels[channel].lives == CALL && seen == fresh.seen)
		wrong(bench, "%s: the mark is not seen in its call", channels[channel].name);
}

static void check_mark_is_seen(struct bench *bench, unsigned channel, struct view fresh)
{
	struct view marked = view(bench, bench->fork, channel);

	if (same_view(marked, fresh) != (channels[channel].lives == CALL))
		wrong(bench, "%s: the mark is %sseen", channels[channel].name,
		      channels[channel].lives == CALL ? "" : "not ");
}

static void check_view(struct bench *bench, struct kvmsb *fork, unsigned channel, struct view fresh,
                       const char *who)
{
	struct view now = view(bench, fork, channel);

	if (!same_view(now, fresh))
		wrong(bench,
		      "%s: seen in %s: %#" PRIx64 ", %#" PRIx64 "; fresh %#" PRIx64 ", %#" PRIx64,
		      channels[channel].name, who, now.seen, now.touched, fresh.seen, fresh.touched);
}

/* The sibling only looks: it must not copy a page by a write of its own. */
static void check_siblings(struct bench *bench, unsigned channel, struct view fresh)
{
	struct kvmsb *after = fixture_fork(bench->master);

	if (look(bench->before, channel) != fresh.seen)
		wrong(bench, "%s: seen in a fork made before", channels[channel].name);
	check_view(bench, after, channel, fresh, "a fork made after");
	kvmsb_destroy(after);
}

static void check_channel(struct bench *bench, unsigned channel)
{
	struct view fresh = view_of_fresh(bench, channel);

	mark(bench, channel, fresh);
	check_siblings(bench, channel, fresh);
	check_mark_is_seen(bench, channel, fresh);
	reset(bench, bench->fork);
	check_view(bench, bench->fork, channel, fresh, "the fork that was reset");
	reset(bench, bench->fork);
	mark(bench, channel, fresh);
	check_view(bench, replace(bench), channel, fresh, "a fork in place of one destroyed");
	reset(bench, bench->fork);
	check_siblings(bench, channel, fresh);
}

static void check_channels(struct bench *bench)
{
	for (unsigned channel = 0; channel < CHANNEL_COUNT; channel++)
		check_channel(bench, channel);
}

static void nothing_is_left_by_any_channel(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_channels);
}

/* All channels at once, and every way to end. */

static void look_at_all(struct kvmsb *fork, uint64_t seen[CHANNEL_COUNT])
{
	struct kvmsb_result result = call_for(fork, "look_at_all", seen,
	                                      CHANNEL_COUNT * sizeof(*seen), false, NO_NUMBERS);

	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
}

static void check_all(struct bench *bench, struct kvmsb *fork, const uint64_t fresh[CHANNEL_COUNT],
                      unsigned ending, const char *who)
{
	uint64_t seen[CHANNEL_COUNT];

	look_at_all(fork, seen);
	for (unsigned channel = 0; channel < CHANNEL_COUNT; channel++)
		if (seen[channel] != fresh[channel])
			wrong(bench, "%s: seen in %s after: %s", channels[channel].name, who,
			      endings[ending].name);
}

static void end_with_all_marks(struct bench *bench, unsigned ending)
{
	uint64_t limit = endings[ending].outcome == KVMSB_OUTCOME_TIMED_OUT ? 50 : 8000;
	struct kvmsb_result result = fixture_call_within(bench->fork, "leave_all", NUMBERS(ending),
	                                                 scaled_ms(limit));

	if (result.outcome != endings[ending].outcome)
		wrong(bench, "%s: %s", endings[ending].name, fixture_describe(bench->fork, &result));
}

static void check_endings(struct bench *bench)
{
	uint64_t fresh[CHANNEL_COUNT];
	struct kvmsb *fork = fixture_fork(bench->master);

	look_at_all(fork, fresh);
	kvmsb_destroy(fork);
	for (unsigned ending = 0; ending < ENDING_COUNT; ending++) {
		end_with_all_marks(bench, ending);
		check_all(bench, bench->before, fresh, ending, "a fork made before");
		reset(bench, bench->fork);
		check_all(bench, bench->fork, fresh, ending, "the fork that was reset");
		end_with_all_marks(bench, ending);
		check_all(bench, replace(bench), fresh, ending, "a fork in place of one destroyed");
		reset(bench, bench->fork);
	}
}

static void nothing_is_left_by_any_ending(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_endings);
}

/* Registers: the guest of handover_test, which knows all of them. */

enum mark_of_register {
	MARKED,
	SOMETIMES,
	FIXED
};

struct register_row {
	const char *name;
	size_t offset, length;
	enum mark_of_register mark;
};

static const struct register_row registers[] = {
#define REGISTER(name, field, offset, length, mark)                                                \
	{#name, offsetof(struct handover_report, field) + (offset), length, mark},
#include "channels.def"
};

static const struct {
	unsigned bit;
	const char *name;
	unsigned count;
	size_t bytes;
} components[] = {
#define COMPONENT(bit, name, count, bytes) {bit, #name, count, bytes},
#include "channels.def"
};

static void report(struct kvmsb *fork, struct handover_report *report)
{
	assert_int_equal(fixture_value(fork, "report", NUMBERS(1, 2, 3, 4, 5, 6)), 0);
	read_report(fork, report);
}

/* By its registers, where the component has any that REGISTER has not; the whole of it too. */
static void check_component(struct bench *bench, size_t component,
                            const struct handover_report *clean, const struct handover_report *shown)
{
	unsigned bit = components[component].bit, size, offset = 160, c = bit, d;

	if ((clean->xcr0 >> bit & 1) == 0 || components[component].count == 0)
		return;
	if (bit >= 2)
		__asm__("cpuid" : "=a"(size), "=b"(offset), "+c"(c), "=d"(d) : "0"(0xd));
	for (unsigned i = 0; i < components[component].count; i++) {
		size_t at = offset + i * components[component].bytes;

		assert_true(at + components[component].bytes <= HANDOVER_EXTENDED);
		if (memcmp(clean->extended + at, shown->extended + at,
		           components[component].bytes) == 0)
			wrong(bench, "%s %u has no mark", components[component].name, i);
	}
}

/* Selectors stay what one has loaded on some hosts; on others ring 3 finds none to load. */
static bool is_lost_selector(const struct bench *bench, const struct register_row *row)
{
	return !bench->master->machine->host->selectors_stay && strlen(row->name) == 2 &&
	       row->name[1] == 's' && strchr("defg", row->name[0]) != NULL;
}

/* Where WRFSBASE is not there, the bases are marked by system call, as channels. */
static bool can_be_marked(struct bench *bench, const struct register_row *row)
{
	uint8_t has_instruction;

	assert_int_equal(kvmsb_memory_read(bench->fork, fixture_symbol(bench->fork, "has_fsgsbase"),
	                                   &has_instruction, 1),
	                 0);
	return row->mark == MARKED && !is_lost_selector(bench, row) &&
	       (has_instruction || strstr(row->name, "_base") == NULL);
}

static void check_marks(struct bench *bench, const struct handover_report *clean,
                        const struct handover_report *shown)
{
	const uint8_t *a = (const void *)clean, *b = (const void *)shown;

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		const struct register_row *row = &registers[i];
		bool differs = memcmp(a + row->offset, b + row->offset, row->length) != 0;

		if (!differs && can_be_marked(bench, row))
			wrong(bench, "%s has no mark: %#x", row->name, a[row->offset]);
		if (row->mark == FIXED && differs)
			wrong(bench, "%s can be marked: its row must say so", row->name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(components); i++)
		check_component(bench, i, clean, shown);
}

static void check_registers(struct bench *bench, struct kvmsb *fork,
                            const struct handover_report *clean, const char *who)
{
	struct handover_report seen;
	const uint8_t *a = (const void *)clean, *b = (const void *)&seen;

	report(fork, &seen);
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
		if (memcmp(a + registers[i].offset, b + registers[i].offset, registers[i].length) != 0)
			wrong(bench, "%s: seen in %s", registers[i].name, who);
	if (memcmp(clean, &seen, sizeof(seen)) != 0)
		wrong(bench, "registers of %s differ", who);
}

static void show_marks(struct kvmsb *fork, struct handover_report *shown)
{
	fixture_value(fork, "set_pattern", NUMBERS(0xa5));
	fixture_value(fork, "leave_marks", NUMBERS(fixture_symbol(fork, "end_show_marks")));
	read_report(fork, shown);
}

static void end_with_marks(struct kvmsb *fork, bool by_fault)
{
	struct kvmsb_result result = fixture_call(
		fork, "leave_marks", NUMBERS(fixture_symbol(fork, "end_with_marks"), by_fault));

	assert_outcome(fork, &result, by_fault ? KVMSB_OUTCOME_FAULTED : KVMSB_OUTCOME_RETURNED);
}

static void registers_setup(struct bench *bench, enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("handover-static"));

	options.entry = entry;
	begin(bench, entry, fixture_master(&options));
}

static void run_registers(struct bench *bench)
{
	struct handover_report clean, shown;

	report(bench->before, &clean);
	show_marks(bench->fork, &shown);
	check_marks(bench, &clean, &shown);
	for (unsigned i = 0; i < 2; i++) {
		end_with_marks(bench->fork, i != 0);
		check_registers(bench, bench->before, &clean, "a fork made before");
		reset(bench, bench->fork);
		check_registers(bench, bench->fork, &clean, "the fork that was reset");
		show_marks(bench->fork, &shown);
		end_with_marks(bench->fork, i != 0);
		check_registers(bench, replace(bench), &clean, "a fork in place of one destroyed");
	}
}

static void nothing_is_left_in_registers(void **unused)
{
	(void)unused;
	on_each_path(registers_setup, run_registers);
}

/* System calls and hypercalls that write to memory. */

/* The bytes of the two pages there, as far as they can be read. */
struct two_pages {
	uint8_t bytes[2][4096];
	int failed[2];
};

static void read_place(struct kvmsb *sandbox, uint64_t address, struct two_pages *pages)
{
	memset(pages, 0, sizeof(*pages));
	for (size_t i = 0; i < 2; i++)
		pages->failed[i] = kvmsb_memory_read(sandbox, (address & PAGE_MASK) + i * PAGE_SIZE,
		                                     pages->bytes[i], sizeof(pages->bytes[i]));
}

struct output_row {
	unsigned output, place;
	uint64_t address;
	struct two_pages masters;
	uint64_t fresh; /* what a fork sees there */
};

static void wrong_output(struct bench *bench, const struct output_row *row, const char *what,
                         int64_t result)
{
	wrong(bench, "%s %s to %s (%#" PRIx64 "), result %" PRId64 ": %s", outputs[row->output].call,
	      outputs[row->output].variant, places[row->place].name, row->address, result, what);
}

/* As a request: hypercalls about one need it, and the others do not mind. */
static struct kvmsb_result request_number(struct kvmsb *fork, const char *url, unsigned number,
                                          struct kvmsb_http_response *response)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	const struct kvmsb_http_field fields[] = {{"X-Given: by the host", 20}};
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	char argument[16];

	snprintf(argument, sizeof(argument), "%u", number);
	request.url = url;
	request.argument = argument;
	request.fields = fields;
	request.field_count = ARRAY_SIZE(fields);
	assert_int_equal(kvmsb_request(fork, &request, response, &result), 0);
	return result;
}

static struct output_seen make_output(struct kvmsb *fork, const struct output_row *row)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct output_seen seen;
	struct kvmsb_result result;

	if (row->output < OUTPUT_FIRST_HYPERCALL) {
		result = call_for(fork, "output", &seen, sizeof(seen), false,
		                  NUMBERS(row->output, row->place));
		assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
		return seen;
	}
	result = request_number(fork, "/output", row->output * PLACE_COUNT + row->place, &response);
	/* A hypercall's -EFAULT; the fork is over. */
	if (result.outcome == KVMSB_OUTCOME_DENIED && places[row->place].content >= READ_ONLY)
		return (struct output_seen){-EFAULT, row->fresh, row->fresh};
	assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
	assert_int_equal(
		kvmsb_memory_read(fork, fixture_symbol(fork, "handled"), &seen, sizeof(seen)), 0);
	return seen;
}

static bool has(const struct output_row *row, char change)
{
	return strchr(outputs[row->output].changes, change) != NULL;
}

/* The fork itself sees what was written, and only where it may be. */
static void check_output(struct bench *bench, const struct output_row *row,
                         const struct output_seen *seen)
{
	bool changed = seen->before != seen->after;

	if (seen->before != row->fresh)
		wrong_output(bench, row, "the page was not as in a fresh fork", seen->result);
	switch (places[row->place].content) {
	case FILLED:
	case ZERO:
		if (has(row, places[row->place].content == FILLED ? 'f' : 'z') &&
		    (seen->result < 0 || !changed))
			wrong_output(bench, row, "the fork does not see it", seen->result);
		break;
	case READ_ONLY:
	case NO_ACCESS:
		if (changed)
			wrong_output(bench, row, "written where it cannot be", seen->result);
		if (seen->result != -EFAULT && !has(row, 'i'))
			wrong_output(bench, row, "not -EFAULT", seen->result);
		break;
	case CONTENT:
	case PARTLY:
		break;
	}
}

static void check_master(struct bench *bench, const struct output_row *row, int64_t result)
{
	struct two_pages now;

	read_place(bench->master, row->address, &now);
	if (memcmp(&now, &row->masters, sizeof(now)) != 0)
		wrong_output(bench, row, "seen in the master", result);
}

static void check_place(struct bench *bench, struct kvmsb *fork, const struct output_row *row,
                        const char *who)
{
	if (fixture_value(fork, "look_at_place", NUMBERS(row->place)) != row->fresh)
		wrong_output(bench, row, who, 0);
}

static void check_output_row(struct bench *bench, const struct output_row *row)
{
	struct output_seen seen = make_output(bench->fork, row);

	check_output(bench, row, &seen);
	check_master(bench, row, seen.result);
	check_place(bench, bench->before, row, "seen in a sibling");
	reset(bench, bench->fork);
	check_place(bench, bench->fork, row, "seen after a reset");
}

static void begin_place(struct bench *bench, unsigned place, struct output_row *row)
{
	struct kvmsb *fork = fixture_fork(bench->master);

	*row = (struct output_row){.place = place};
	row->address = fixture_value(fork, "address_of_place", NUMBERS(place));
	row->fresh = fixture_value(fork, "look_at_place", NUMBERS(place));
	read_place(bench->master, row->address, &row->masters);
	kvmsb_destroy(fork);
}

/* Each call goes to one in so many places there, each place gets one in so many calls. */
#define SHARE_WHERE_SLOW 4u

static void check_outputs(struct bench *bench)
{
	for (unsigned place = 0; place < PLACE_COUNT && !bench->other_thread; place++) {
		struct output_row row;

		begin_place(bench, place, &row);
		for (row.output = 0; row.output < OUTPUT_COUNT; row.output++)
			if (time_scale() == 1 || (row.output + place) % SHARE_WHERE_SLOW == 0)
				check_output_row(bench, &row);
	}
}

static void outputs_of_system_calls_stay_in_the_fork(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_outputs);
}

/* The same for what the host itself writes. */
static void check_host_writes(struct bench *bench)
{
	const uint8_t data[16] = "marked by host";

	for (unsigned place = 0; place < PLACE_COUNT; place++) {
		struct output_row row;
		bool writable = places[place].content < READ_ONLY;
		int result;

		begin_place(bench, place, &row);
		result = kvmsb_memory_write(bench->fork, row.address, data, sizeof(data));
		if (result != (writable ? 0 : -EFAULT))
			wrong(bench, "host's write to %s: %d", places[place].name, result);
		if (writable &&
		    fixture_value(bench->fork, "look_at_place", NUMBERS(place)) == row.fresh)
			wrong(bench, "host's write to %s is not seen", places[place].name);
		assert_int_equal(kvmsb_memory_write(bench->master, row.address, data, 1), -EROFS);
		check_master(bench, &row, result);
		check_place(bench, bench->before, &row, "seen in a sibling: the host's");
		reset(bench, bench->fork);
		check_place(bench, bench->fork, &row, "seen after a reset: the host's");
	}
}

static void writes_of_the_host_stay_in_the_fork(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_host_writes);
}

/* Requests and responses. */

static uint64_t request_seen(struct kvmsb *fork, const char *url, unsigned channel)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct output_seen seen;

	request_number(fork, url, channel, &response);
	assert_int_equal(
		kvmsb_memory_read(fork, fixture_symbol(fork, "handled"), &seen, sizeof(seen)), 0);
	return seen.after;
}

static void check_request_channels(struct bench *bench)
{
	for (unsigned channel = 0; channel < REQUEST_CHANNEL_COUNT; channel++) {
		uint64_t fresh = request_seen(bench->before, "/look", channel);
		const char *name = request_channels[channel];

		if (request_seen(bench->fork, "/leave", channel) == fresh)
			wrong(bench, "%s: the mark is not seen", name);
		if (request_seen(bench->before, "/look", channel) != fresh)
			wrong(bench, "%s: seen in a sibling", name);
		if (request_seen(bench->fork, "/look", channel) != fresh)
			wrong(bench, "%s: seen in the next request", name);
		request_seen(bench->fork, "/leave", channel);
		reset(bench, bench->fork);
		if (request_seen(bench->fork, "/look", channel) != fresh)
			wrong(bench, "%s: seen after a reset", name);
		request_seen(bench->fork, "/leave", channel);
		if (request_seen(replace(bench), "/look", channel) != fresh)
			wrong(bench, "%s: seen in place of one destroyed", name);
	}
}

static void nothing_is_left_of_a_request(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_request_channels);
}

static bool is_empty(const struct kvmsb_http_response *response)
{
	return response->source == KVMSB_HTTP_FROM_HOST && response->content_type[0] == '\0' &&
	       response->field_count == 0 && response->body_length == 0;
}

static void check_response(struct bench *bench)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;

	for (unsigned i = 0; i < 3; i++) {
		request_number(bench->fork, "/respond", 0, &response);
		assert_int_equal(response.status, 200);
		assert_int_equal(response.body_length, 6);
		if (i == 1)
			reset(bench, bench->fork);
		else if (i == 2)
			replace(bench);
		request_number(bench->fork, "/look", 0, &response);
		if (!is_empty(&response))
			wrong(bench, "a response is seen in the next request, %u", i);
		request_number(bench->before, "/look", 0, &response);
		if (!is_empty(&response))
			wrong(bench, "a response is seen in a sibling");
	}
}

static void nothing_is_left_of_a_response(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_response);
}

/*
 * How much memory it holds tells a guest nothing of the one before it: neither
 * with the mappings of before, nor with pages that were only written.
 */
static void check_memory_in_use(struct bench *bench)
{
	const unsigned row = OUTPUT_FIRST_HYPERCALL + HYPERCALL_OUTPUT_get_meminfo;
	struct kvmsb *fresh = fixture_fork(bench->master);
	struct output_row place = {.output = row, .place = PLACE_mapped};
	uint64_t wanted = make_output(fresh, &place).after, seen = 0;

	kvmsb_destroy(fresh);
	for (unsigned i = 0; i < 6; i++) {
		if (i % 2 == 0)
			fixture_call(bench->fork, "leave_all", NUMBERS(ENDING_returned));
		else
			call_for(bench->fork, "leave", &seen, sizeof(seen), true,
			         NUMBERS(CHANNEL_page_absent));
		if (i < 4)
			reset(bench, bench->fork);
		else
			replace(bench);
		if (make_output(bench->fork, &place).after != wanted)
			wrong(bench, "memory in use: seen, %u", i);
	}
}

static void memory_in_use_tells_nothing(void **unused)
{
	(void)unused;
	on_each_path(bench_setup, check_memory_in_use);
}

/*
 * The table is complete. What follows does not compile when a struct gets a
 * field that is not listed: give it a channel in channels.def, or say why
 * nothing can be left by it.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wmissing-braces"
#define FIELDS __attribute__((unused)) static const struct
#define LEFT_BY(channel) (0 * CHANNEL_##channel)
/* By other rows of the table, or not at all; of a field that is no scalar. */
#define AS(why) 0
#define PARTS(why)                                                                                 \
	{                                                                                          \
		0                                                                                  \
	}

FIELDS process_attributes attributes_fields = {
	LEFT_BY(umask),        LEFT_BY(personality),       LEFT_BY(dumpable),
	LEFT_BY(death_signal), LEFT_BY(no_new_privileges), LEFT_BY(timer_slack),
	PARTS("name"),         LEFT_BY(child_tid),         LEFT_BY(robust_list),
	LEFT_BY(nice),         LEFT_BY(io_priority),       LEFT_BY(keep_capabilities),
	LEFT_BY(subreaper),    LEFT_BY(no_huge_pages),     PARTS("time: time_fields"),
	AS("arguments_start: set by exec"),
	AS("arguments_end: the same"),
	AS("environment_end: the same"),
	AS("auxiliary_start: the same"),
	AS("auxiliary_end: the same"),
};

FIELDS process_time time_fields = {
	AS("stepped: a_reset_puts_clocks_back (clock_test.c)"),
	AS("slept: the same"),
};

FIELDS process_usage usage_fields = {
	AS("time: a_reset_puts_clocks_back (clock_test.c)"),
	AS("faults: the same"),
};

FIELDS process process_fields = {
	AS("space: pages and mappings"),
	AS("registers: REGISTER"),
	AS("config: nobody changes it"),
	AS("mm: mm_fields"),
	AS("files: files_fields"),
	AS("signals: signals_fields"),
	AS("limits: limits_fields"),
	AS("tmpfs: memory_..."),
	PARTS("attributes: attributes_fields"),
	PARTS("usage: usage_fields"),
	AS("copies_files: the master's"),
	AS("borrowed_pages: freed by a reset; scratch memory of one system call"),
	AS("timekeeper: the machine's"),
	AS("deadline: set by each run"),
	AS("end: ENDING"),
	AS("denied: set by each system call"),
	AS("exit_status: ENDING(exited)"),
	AS("exit_signal: ENDING(killed)"),
	AS("sandbox: its own"),
	AS("in_override: not after a run"),
	AS("callback_begin: set by the sandbox"),
	AS("callback_end: set by the sandbox"),
};

FIELDS mm mm_fields = {
	AS("references"),
	PARTS("ranges: mapping_..."),
	LEFT_BY(brk_grown),
	LEFT_BY(brk_end),
	AS("call_stack_start: nobody changes it"),
	AS("call_stack_end: nobody changes it"),
};

FIELDS files files_fields = {
	AS("references"),
	AS("capacity: of open"),
	AS("open: open_file_fields"),
	AS("directory: two"),
	PARTS("descriptors: descriptor_fields"),
};

FIELDS open_file open_file_fields = {
	AS("file: descriptor_replaced, pipe_..."),
	LEFT_BY(file_offset),
	LEFT_BY(file_flags),
	LEFT_BY(descriptor_closed),
};

FIELDS descriptor descriptor_fields = {
	LEFT_BY(descriptor_opened),
	LEFT_BY(descriptor_close_on_exec),
};

FIELDS signals signals_fields = {
	AS("references"),
	PARTS("stack: signal_stack"),
	LEFT_BY(signal_mask),
	LEFT_BY(signal_pending),
	PARTS("actions: signal_disposition, signal_handler"),
};

FIELDS limits limits_fields = {
	AS("references"),
	PARTS("limit: limit, limit_by_prlimit"),
};

FIELDS hypercalls hypercalls_fields = {
	AS("config: the program's"),
	PARTS("entries: ENDING(denied)"),
	AS("ready: ENDING(denied)"),
	AS("paused: ENDING(denied)"),
	AS("wait_address: a_loop_begins_anew"),
	AS("wait_count: the same"),
	AS("in_loop: of a run"),
	AS("inputs_address: mappings"),
	AS("inputs_size: the same"),
	AS("persistent: denied when the program has waited"),
	LEFT_BY(timer),
	LEFT_BY(timer),
	AS("logged: of each run"),
	AS("exchange: exchange_fields"),
	PARTS("body: as the mappings, which are the master's again"),
	AS("regexes: regex_..."),
	PARTS("detail: for the host"),
};

FIELDS http_exchange exchange_fields = {
	PARTS("method: of each request"),
	PARTS("request_fields: request_field..."),
	PARTS("response_fields: response_field..."),
	AS("user: the host's"),
	AS("logged: of each request"),
	AS("status: nothing_is_left_of_a_response"),
	AS("source: the same"),
	AS("content_type: the same"),
	PARTS("content: the same"),
	PARTS("stream: the same"),
	PARTS("cache: of each request"),
	AS("exception: of each request"),
};

/* All are REGISTER rows, but RIP, with which every call starts anew. */
FIELDS kvmsb_registers registers_fields = {
	AS(rax), AS(rbx), AS(rcx), AS(rdx),    AS(rsi),     AS(rdi),     AS(rsp),
	AS(rbp), AS(r8),  AS(r9),  AS(r10),    AS(r11),     AS(r12),     AS(r13),
	AS(r14), AS(r15), AS(rip), AS(rflags), AS(fs_base), AS(gs_base),
};

FIELDS kvmsb sandbox_fields = {
	AS("references"),
	AS("master"),
	AS("state: ENDING"),
	AS("running: not while anything is reset"),
	AS("busy: the same"),
	AS("doomed: it is being destroyed"),
	AS("machine"),
	AS("program"),
	AS("space: pages and mappings"),
	PARTS("process: process_fields"),
	PARTS("hypercalls: hypercalls_fields"),
	PARTS("context: begun by each call, REGISTER"),
	AS("loop: a_loop_begins_anew"),
	AS("current: of a run"),
	AS("loop_state: a_loop_begins_anew"),
	PARTS("start: the master's"),
	AS("vcpu: of a run"),
	AS("in_call: of a run"),
	PARTS("faulted: compared with those of the same run"),
	AS("host_error: of a run"),
	PARTS("counts: the host's statistics"),
	PARTS("detail: for the host"),
};
#pragma GCC diagnostic pop

enum support {
	FULL,
	PARTIAL,
	STUB,
	NONE
};

static const struct {
	const char *name, *format;
	enum support support;
} system_calls[] = {
#define SYSTEM_CALL(number, name, handler, support, format, note) {#name, format, support},
#include "linux/syscalls.def"
#undef SYSTEM_CALL
};

/* A row of channels.def for a call that does not exist does not compile. */
enum system_call {
#define SYSTEM_CALL(number, name, handler, support, format, note) SYSTEM_CALL_##name,
#include "linux/syscalls.def"
#undef SYSTEM_CALL
	SYSTEM_CALL_COUNT
};

static const struct {
	const char *name, *handler;
} hypercalls[] = {
#define HYPERCALL(number, name, format, when, handler, note) {#name, #handler},
#include "http/hypercalls.def"
#undef HYPERCALL
};

enum hypercall_row {
#define HYPERCALL(number, name, format, when, handler, note) HYPERCALL_##name,
#include "http/hypercalls.def"
#undef HYPERCALL
	HYPERCALL_COUNT
};

struct rows {
	unsigned leaves, leaves_nothing, writes, writes_nothing;
};

static void count_rows_of_system_calls(struct rows rows[SYSTEM_CALL_COUNT])
{
#define LEAVES(call, channel) rows[SYSTEM_CALL_##call + 0 * CHANNEL_##channel].leaves++;
#define LEAVES_NOTHING(call, why) rows[SYSTEM_CALL_##call].leaves_nothing++;
#define OUTPUT(call, variant, changes, code) rows[SYSTEM_CALL_##call].writes++;
#define WRITES_NOTHING(call, why) rows[SYSTEM_CALL_##call].writes_nothing++;
#include "channels.def"
}

/* Strings and buffers that are read do not count. */
static bool has_pointer(const char *format)
{
	struct trace_token token;

	while (trace_next_token(&format, &token)) {
		/* fcntl(2)'s argument is one for locks only. */
		if (token.kind == '<' && strncmp(token.name, "fcntl>", 6) == 0)
			continue;
		if (strchr("pr<{", token.kind) != NULL)
			return true;
	}
	return false;
}

static bool rows_are_right(const char *name, const char *format, struct rows rows)
{
	bool changes = (rows.leaves != 0) != (rows.leaves_nothing != 0) && rows.leaves_nothing <= 1;
	bool writes = (rows.writes != 0) != (rows.writes_nothing != 0) ||
	              (!has_pointer(format) && rows.writes_nothing == 0);

	if (!changes)
		print_error("%s needs LEAVES or LEAVES_NOTHING in channels.def\n", name);
	if (!writes)
		print_error("%s needs OUTPUT or WRITES_NOTHING in channels.def\n", name);
	return changes && writes;
}

static void every_system_call_has_its_rows(void **unused)
{
	struct rows rows[SYSTEM_CALL_COUNT] = {0};
	unsigned wrong_calls = 0;

	(void)unused;
	count_rows_of_system_calls(rows);
	for (size_t i = 0; i < SYSTEM_CALL_COUNT; i++)
		if (system_calls[i].support != NONE &&
		    !rows_are_right(system_calls[i].name, system_calls[i].format, rows[i]))
			wrong_calls++;
	assert_int_equal(wrong_calls, 0);
}

static void every_hypercall_has_its_rows(void **unused)
{
	struct rows rows[HYPERCALL_COUNT] = {0};
	unsigned wrong_calls = 0;

	(void)unused;
#define HYPERCALL_LEAVES(call, channel)                                                            \
	rows[HYPERCALL_##call + 0 * REQUEST_CHANNEL_##channel].leaves++;
#define HYPERCALL_KEEPS(call, channel) rows[HYPERCALL_##call + 0 * CHANNEL_##channel].leaves++;
#define HYPERCALL_OUTPUT(call, variant, changes, code) rows[HYPERCALL_##call].writes++;
#define HYPERCALL_HARMLESS(call, why) rows[HYPERCALL_##call].leaves_nothing++;
#include "channels.def"
	for (size_t i = 0; i < HYPERCALL_COUNT; i++) {
		bool covered = rows[i].leaves + rows[i].writes + rows[i].leaves_nothing > 0;

		if (covered == (strcmp(hypercalls[i].handler, "unsupported") != 0))
			continue;
		print_error("%s needs %s HYPERCALL_... row in channels.def\n", hypercalls[i].name,
		            covered ? "no" : "a");
		wrong_calls++;
	}
	assert_int_equal(wrong_calls, 0);
}

/* Of what the host offers to guests, and a guest finds enabled. */
static void every_component_has_its_row(void **unused)
{
	struct bench bench;
	struct handover_report clean;
	uint64_t rows = 0;

	(void)unused;
	registers_setup(&bench, KVMSB_ENTRY_AUTOMATIC);
	report(bench.before, &clean);
	for (size_t i = 0; i < ARRAY_SIZE(components); i++)
		rows |= UINT64_C(1) << components[i].bit;
	assert_int_equal(clean.xcr0 & ~rows, 0);
	assert_int_equal(bench.master->machine->host->features.xcr0 & ~rows, 0);
	bench_teardown(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_system_call_has_its_rows),
		cmocka_unit_test(every_hypercall_has_its_rows),
		cmocka_unit_test(every_component_has_its_row),
		cmocka_unit_test(nothing_is_left_in_registers),
		cmocka_unit_test(nothing_is_left_by_any_channel),
		cmocka_unit_test(nothing_is_left_by_any_ending),
		cmocka_unit_test(outputs_of_system_calls_stay_in_the_fork),
		cmocka_unit_test(writes_of_the_host_stay_in_the_fork),
		cmocka_unit_test(nothing_is_left_of_a_request),
		cmocka_unit_test(nothing_is_left_of_a_response),
		cmocka_unit_test(memory_in_use_tells_nothing),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
