/* SPDX-License-Identifier: MIT */
/*
 * A virtual processor is handed over clean: one fork fills every register,
 * ends in every way there is and leaves every kind of exit pending; then
 * another fork runs on the same processor and reports all of its registers.
 * They must be what a fork finds on a processor that nobody used before. And
 * what is suspended in a host's function finds its own registers again.
 */
#include "sandbox_fixture.h"

#include "handover_report.h"
#include "layout.h"
#include "probe.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETURN_NUMBER 0xffff
#define RESPONSE_NUMBER 0x10010
#define GETPID_RESULT 1000
/* The OUT that ends a call. */
#define RETURN_OUT (LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT)

/* What leave_marks does at its end. The number: a port, a selector, a hypercall. */
struct ending {
	const char *symbol;
	uint64_t number, second;
};

#define NUMBERED(symbol)                                                                           \
	{symbol, RETURN_NUMBER, 0}, {symbol, RESPONSE_NUMBER, 0},                                  \
	{                                                                                          \
		symbol, 39, 0                                                                      \
	}
#define ON_PORTS(symbol)                                                                           \
	{symbol, 0, 0}, {symbol, 1, 0}, {symbol, 3, 0}, {symbol, 4, 0},                            \
	{                                                                                          \
		symbol, 0x80, 0                                                                    \
	}
#define COMPAT(symbol)                                                                             \
	{symbol, 0x23, RETURN_NUMBER}, {symbol, 0x23, 39},                                         \
	{                                                                                          \
		symbol, 0x33, RETURN_NUMBER                                                        \
	}

static const struct ending endings[] = {
	{"end_return", 0, 0},
	{"end_return_flags", 0, 0},
	{"end_return_direction", 0, 0},
	{"end_return_bases", 0, 0},
	{"end_return_pkru", 0, 0},
	{"end_return_avx_clear", 0, 0},
	{"end_return_x87", 0, 0},
	{"end_read", 0, 0},
	{"end_write", 0, 0},
	{"end_jump", 0, 0},
	{"end_jump_kernel", 0, 0},
	{"end_jump_nowhere", 0, 0},
	{"end_undefined", 0, 0},
	{"end_breakpoint", 0, 0},
	{"end_icebp", 0, 0},
	{"end_int", 0, 0},
	{"end_divide", 0, 0},
	{"end_hlt", 0, 0},
	{"end_stack", 0, 0},
	{"end_trap", 0, 0},
	{"end_alignment", 0, 0},
	{"end_sse", 0, 0},
	{"end_x87", 0, 0},
	{"end_spin", 0, 0},
	{"end_spin_flags", 0, 0},
	{"end_spin_system_calls", 0, 0},
	{"end_spin_outs", 0, 0},
	{"end_spin_rep_outs", 0, 0},
	{"end_spin_stack", 0, 0},
	ON_PORTS("end_out_8"),
	ON_PORTS("end_out_16"),
	ON_PORTS("end_out_32"),
	ON_PORTS("end_in_8"),
	ON_PORTS("end_in_16"),
	ON_PORTS("end_in_32"),
	ON_PORTS("end_outs_8"),
	ON_PORTS("end_outs_16"),
	ON_PORTS("end_outs_32"),
	ON_PORTS("end_ins_8"),
	ON_PORTS("end_ins_32"),
	ON_PORTS("end_rep_outs_8"),
	ON_PORTS("end_rep_outs_32"),
	ON_PORTS("end_rep_ins_8"),
	ON_PORTS("end_rep_ins_32"),
	ON_PORTS("end_rep_outs_down"),
	NUMBERED("end_number_syscall"),
	NUMBERED("end_number_out"),
	NUMBERED("end_number_out_dx"),
	NUMBERED("end_number_out_67"),
	NUMBERED("end_number_out_rex"),
	NUMBERED("end_number_out_rep"),
	NUMBERED("end_number_out_many"),
	NUMBERED("end_number_outs"),
	NUMBERED("end_number_rep_outs"),
	NUMBERED("end_number_rep_outs_2"),
	{"end_number_stub", RETURN_NUMBER, RETURN_OUT},
	{"end_number_stub", RESPONSE_NUMBER, RETURN_OUT},
	{"end_number_stub", 39, RETURN_OUT},
	NUMBERED("end_number_stack"),
	NUMBERED("end_number_shadow"),
	NUMBERED("end_number_shadow_syscall"),
	NUMBERED("end_number_trap"),
	NUMBERED("end_number_trap_dx"),
	NUMBERED("end_number_trap_syscall"),
	NUMBERED("stop_at_out"),
	{"end_trap_out_8", 0, 0},
	{"end_trap_outs", 0, 0},
	COMPAT("end_compat_out"),
	COMPAT("end_compat_spin"),
	COMPAT("end_compat_undefined"),
	COMPAT("end_compat_int"),
	COMPAT("end_compat_syscall"),
	COMPAT("end_compat_sysenter"),
	COMPAT("end_compat_return"),
	{"end_exit", 0, 0},
	{"end_exit_out", 0, 0},
	{"end_return_selectors", 0, 0},
	{"end_return_selector_in_all", 0, 0},
	{"end_return_selector_in_all", 3, 0},
	{"end_return_selector_in_all", 0x2b, 0},
	{"end_return_selector_in_all", 0x23, 0},
	{"end_return_selector_in_all", 0x33, 0},
};

static const struct numbers report_arguments = {{0x11, 0x22, 0x33, 0x44, 0x55, 0x66}};

struct bench {
	struct kvmsb *master;
	struct kvmsb *first; /* fills and ends */
	struct kvmsb *other; /* must not see it */
	struct handover_report clean;
	uint64_t others_answers;
	/* For the stream's function. */
	const struct ending *nested;
	unsigned calls;
	bool wrong;
	/* For the trace's function. */
	void (*within)(struct bench *bench);
	const struct ending *middle;
	unsigned traces;
};

static void check_masters_state(const struct handover_report *clean)
{
	static const uint16_t control = 0xf7f;
	static const uint32_t mxcsr = 0xffff;
	uint8_t mark[16];

	memset(mark, HANDOVER_MASTERS_MARK, sizeof(mark));
	assert_memory_equal(clean->legacy, &control, sizeof(control));
	assert_memory_equal(clean->legacy + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 16; i++)
		assert_memory_equal(clean->legacy + 160 + 16 * i, mark, sizeof(mark));
}

/* Registers at a function's entry that the public header and the psABI say. */
static void check_entry(const struct handover_report *clean)
{
	const uint64_t *general = clean->general;

	assert_int_equal(general[5], 0x11); /* RDI RSI RDX RCX R8 R9 */
	assert_int_equal(general[4], 0x22);
	assert_int_equal(general[3], 0x33);
	assert_int_equal(general[2], 0x44);
	assert_int_equal(general[8], 0x55);
	assert_int_equal(general[9], 0x66);
	assert_int_equal(general[7] % 16, 8);
	assert_int_equal(clean->flags & ~UINT64_C(0x8d5), 0x202); /* status flags may be any */
}

static int64_t stream_write(void *user, const void *data, size_t length);

/* Once: what is done within runs other sandboxes, which are traced too. */
static void trace(void *user, const struct kvmsb_trace_event *event)
{
	struct bench *bench = user;
	void (*within)(struct bench * bench) = bench->within;

	(void)event;
	bench->traces++;
	bench->within = NULL;
	if (within != NULL)
		within(bench);
}

static void bench_setup_with(struct bench *bench, enum kvmsb_entry entry, const char *const *arguments)
{
	struct kvmsb_options options = fixture_options(GUEST("handover-static"));

	*bench = (struct bench){.calls = 0};
	options.arguments = arguments;
	options.trace = trace;
	options.trace_user = bench;
	options.entry = entry;
	options.standard_output.write = stream_write;
	options.standard_output.user = bench;
	bench->master = fixture_master(&options);
	bench->other = fixture_fork(bench->master);
	/* Nobody but the master used this processor. */
	assert_int_equal(fixture_value(bench->other, "report", report_arguments), 0);
	read_report(bench->other, &bench->clean);
	bench->first = fixture_fork(bench->master);
	assert_int_equal(kvmsb_reset(bench->other), 0);
}

static void bench_setup(struct bench *bench, enum kvmsb_entry entry)
{
	bench_setup_with(bench, entry, NULL);
}

static void bench_teardown(struct bench *bench)
{
	kvmsb_destroy(bench->first);
	kvmsb_destroy(bench->other);
	kvmsb_destroy(bench->master);
}

static uint64_t limit_of(const struct ending *ending)
{
	return strstr(ending->symbol, "_spin") != NULL ? scaled_ms(15) : scaled_ms(1000);
}

/* A page that is a fork's own is where what KVM completes late would be seen. */
static void own_page(struct kvmsb *fork)
{
	const uint8_t mark = HANDOVER_PAGE_MARK;

	assert_int_equal(kvmsb_memory_write(fork, fixture_symbol(fork, "page"), &mark, 1), 0);
}

static bool page_is_the_masters(struct kvmsb *fork)
{
	uint8_t page[4096];

	assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "page"), page, sizeof(page)),
	                 0);
	for (size_t i = 0; i < sizeof(page); i++)
		if (page[i] != HANDOVER_PAGE_MARK) {
			print_error("    byte %zu of the page is %#x\n", i, page[i]);
			return false;
		}
	return true;
}

static struct kvmsb_result leave(struct kvmsb *fork, const struct ending *ending)
{
	own_page(fork);
	fixture_value(fork, "set_pattern", NUMBERS(0xa5));
	return fixture_call_within(
		fork, "leave_marks",
		NUMBERS(fixture_symbol(fork, ending->symbol), ending->number, ending->second),
		limit_of(ending));
}

static void print_difference(const char *what, size_t offset, size_t length, const void *a,
                             const void *b)
{
	const uint8_t *clean = a, *seen = b;

	for (size_t i = offset; i < offset + length; i++) {
		if (clean[i] != seen[i]) {
			print_error("    %s differ at byte %zu: %#x, clean %#x\n", what, i - offset,
			            seen[i], clean[i]);
			return;
		}
	}
}

static bool is_clean(const struct bench *bench, const struct handover_report *seen)
{
	const struct handover_report *clean = &bench->clean;

	if (memcmp(clean, seen, sizeof(*clean)) == 0)
		return true;
	print_difference("general registers, flags, selectors, bases", 0,
	                 offsetof(struct handover_report, legacy), clean, seen);
	print_difference("x87 and SSE", offsetof(struct handover_report, legacy), 512, clean, seen);
	print_difference("vector registers", offsetof(struct handover_report, extended),
	                 HANDOVER_EXTENDED, clean, seen);
	return false;
}

/* The other fork finds a clean processor, and can use it: by SYSCALL and by OUT. */
static bool other_is_unharmed(struct bench *bench)
{
	struct handover_report seen;
	struct kvmsb_result result = fixture_call(bench->other, "report", report_arguments);
	bool right;

	if (result.outcome != KVMSB_OUTCOME_RETURNED || result.value != 0) {
		print_error("    report: %s\n", fixture_describe(bench->other, &result));
		return false;
	}
	read_report(bench->other, &seen);
	right = is_clean(bench, &seen);
	result = fixture_call(bench->other, "answer", NUMBERS(5));
	right = page_is_the_masters(bench->other) && right;
	if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == 15 + 1)
		return kvmsb_reset(bench->other) == 0 && right;
	print_error("    answer: %s\n", fixture_describe(bench->other, &result));
	return false;
}

static unsigned run_ending(struct bench *bench, enum kvmsb_entry entry, const struct ending *ending)
{
	struct kvmsb_result result = leave(bench->first, ending);
	bool unharmed = other_is_unharmed(bench);

	if (!unharmed)
		print_error("  after %s(%#llx, %#llx), which: %s, by %s\n", ending->symbol,
		            (unsigned long long)ending->number, (unsigned long long)ending->second,
		            fixture_describe(bench->first, &result), fixture_entry_name(entry));
	/* Whatever was done to it. */
	kvmsb_reset(bench->other);
	assert_int_equal(kvmsb_reset(bench->first), 0);
	return unharmed ? 0 : 1;
}

static unsigned on_each_path(unsigned (*run)(struct bench *bench, enum kvmsb_entry entry))
{
	unsigned wrong = 0, paths = 0;

	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct bench bench;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		bench_setup(&bench, fixture_entries[e]);
		wrong += run(&bench, fixture_entries[e]);
		assert_int_equal(fixture_statistics(bench.master).machine_vcpus, 1);
		bench_teardown(&bench);
		paths++;
	}
	assert_true(paths > 0);
	return wrong;
}

static unsigned check_start(struct bench *bench, enum kvmsb_entry entry)
{
	(void)entry;
	check_entry(&bench->clean);
	check_masters_state(&bench->clean);
	return other_is_unharmed(bench) ? 0 : 1;
}

/* A call starts with the master's x87 and vector state. */
static void calls_start_with_the_masters_state(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_start), 0);
}

static unsigned check_endings(struct bench *bench, enum kvmsb_entry entry)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		wrong += run_ending(bench, entry, &endings[i]);
	return wrong;
}

static void nothing_is_left_for_another_fork(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_endings), 0);
}

/* More than a destroyed fork may keep for the next one. */
#define MANY_PAGES 100u

/*
 * What input is pending when its fork is destroyed is completed when the
 * processor is used again; by then the tables and pages may be another fork's.
 */
static unsigned check_pending_input(struct bench *bench, enum kvmsb_entry entry)
{
	static const struct ending inputs[] = {{"end_ins_8", 0, 0},
	                                       {"end_ins_32", 0, 0},
	                                       {"end_rep_ins_8", 0, 0},
	                                       {"end_rep_ins_32", 0, 0}};
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		struct kvmsb *fork = fixture_fork(bench->master), *next;
		uint64_t stack;

		fixture_value(fork, "report", NO_NUMBERS);
		assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "report_area") + 7 * 8,
		                                   &stack, sizeof(stack)),
		                 0);
		for (unsigned n = 1; n <= MANY_PAGES; n++)
			assert_int_equal(kvmsb_memory_write(fork, stack - n * PAGE_SIZE, "", 1), 0);
		leave(fork, &inputs[i]);
		kvmsb_destroy(fork);
		next = fixture_fork(bench->master);
		own_page(next);
		fixture_value(next, "answer", NUMBERS(5));
		if (!page_is_the_masters(next)) {
			print_error("  after %s of a destroyed fork, by %s\n", inputs[i].symbol,
			            fixture_entry_name(entry));
			wrong++;
		}
		kvmsb_destroy(next);
	}
	return wrong;
}

static void pending_input_reaches_no_other_fork(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_pending_input), 0);
}

/* The fork itself, reset, is as clean. */
static unsigned check_reset(struct bench *bench, enum kvmsb_entry entry)
{
	struct kvmsb *other = bench->other;
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		leave(bench->first, &endings[i]);
		assert_int_equal(kvmsb_reset(bench->first), 0);
		bench->other = bench->first;
		if (!other_is_unharmed(bench)) {
			print_error("  reset after %s(%#llx, %#llx) by %s\n", endings[i].symbol,
			            (unsigned long long)endings[i].number,
			            (unsigned long long)endings[i].second, fixture_entry_name(entry));
			wrong++;
			kvmsb_reset(bench->first);
		}
		bench->other = other;
	}
	return wrong;
}

static void nothing_is_left_after_a_reset(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_reset), 0);
}

/* In the middle of a system call of the first fork. */
static int64_t stream_write(void *user, const void *data, size_t length)
{
	struct bench *bench = user;
	struct kvmsb *fork;

	(void)data;
	bench->calls++;
	if (bench->nested == NULL)
		return (int64_t)length;
	fork = fixture_fork(bench->master);
	leave(fork, bench->nested);
	if (!other_is_unharmed(bench))
		bench->wrong = true;
	/* And once more, for the one that is suspended. */
	assert_int_equal(kvmsb_reset(fork), 0);
	leave(fork, bench->nested);
	kvmsb_destroy(fork);
	return (int64_t)length;
}

static bool held_state_is_the_same(struct kvmsb *fork)
{
	uint8_t before[HANDOVER_EXTENDED], after[HANDOVER_EXTENDED];

	assert_int_equal(kvmsb_memory_read(fork, fixture_symbol(fork, "held_before"), before,
	                                   sizeof(before)),
	                 0);
	assert_int_equal(
		kvmsb_memory_read(fork, fixture_symbol(fork, "held_after"), after, sizeof(after)), 0);
	if (memcmp(before, after, sizeof(before)) == 0)
		return true;
	print_difference("held registers", 0, sizeof(before), before, after);
	return false;
}

static bool holds(struct bench *bench, const char *symbol)
{
	struct kvmsb_result result;

	fixture_value(bench->first, "set_pattern", NUMBERS(0x3c));
	result = fixture_call(bench->first, symbol, NUMBERS(77));
	if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == 77)
		return held_state_is_the_same(bench->first);
	print_error("    %s: %s\n", symbol, fixture_describe(bench->first, &result));
	return false;
}

static unsigned check_suspended(struct bench *bench, enum kvmsb_entry entry)
{
	const char *const symbols[] = {"hold_by_syscall", "hold_by_out"};
	unsigned wrong = 0;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(endings); i++) {
		bench->nested = &endings[i / 2];
		bench->wrong = false;
		if (!holds(bench, symbols[i % 2]) || bench->wrong) {
			print_error("  %s while another one did %s(%#llx, %#llx) by %s\n",
			            symbols[i % 2], bench->nested->symbol,
			            (unsigned long long)bench->nested->number,
			            (unsigned long long)bench->nested->second,
			            fixture_entry_name(entry));
			wrong++;
		}
		assert_int_equal(kvmsb_reset(bench->first), 0);
		kvmsb_reset(bench->other);
	}
	assert_int_equal(bench->calls, 2 * ARRAY_SIZE(endings));
	return wrong;
}

static void a_suspended_fork_keeps_its_registers(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_suspended), 0);
}

/*
 * The instruction where the suspended fork goes on is an OUT, and another one
 * has left an OUT pending at that very address.
 */
static unsigned check_same_address(struct bench *bench, enum kvmsb_entry entry)
{
	const struct ending stops[] = {{"stop_at_out", RESPONSE_NUMBER, 0},
	                               {"stop_at_out", RETURN_NUMBER, 0},
	                               {"stop_at_out", 39, 0}};
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
		struct kvmsb_result result;

		bench->nested = &stops[i];
		result = fixture_call(bench->first, "write_then_out", NO_NUMBERS);
		if (result.outcome != KVMSB_OUTCOME_RETURNED || result.value != GETPID_RESULT) {
			print_error("  %#llx at the same address, by %s: %s\n",
			            (unsigned long long)stops[i].number, fixture_entry_name(entry),
			            fixture_describe(bench->first, &result));
			wrong++;
		}
		assert_int_equal(kvmsb_reset(bench->first), 0);
	}
	return wrong;
}

/* The same with the OUT that ends every call. */
static unsigned check_return_address(struct bench *bench, enum kvmsb_entry entry)
{
	const struct ending returns = {"end_return", 0, 0};
	struct kvmsb_result result;

	if (entry == KVMSB_ENTRY_EXCEPTION)
		return 0;
	bench->nested = &returns;
	result = fixture_call(bench->first, "write_then_return", NUMBERS(RETURN_OUT));
	if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == 1 && bench->calls == 1)
		return 0;
	print_error("  by %s: %s\n", fixture_entry_name(entry),
	            fixture_describe(bench->first, &result));
	return 1;
}

static void the_out_of_a_return_is_not_skipped(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_return_address), 0);
}

static void an_out_at_the_same_address_is_not_skipped(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_same_address), 0);
}

/*
 * In the middle of every hypercall and of every kind of stray input and output,
 * something else happens.
 */
#define NEXT_INSTRUCTION_RAN 0x600d

static const uint64_t middle_numbers[] = {
#define HYPERCALL(number, name, format, when, handler, note) number,
#include "http/hypercalls.def"
#undef HYPERCALL
	/* Without a row, and system calls: harmless ones, those that end a process, none at all. */
	0x10003, 0x7ffffffe, 39, 1, 9, 11, 12, 24, 35, 60, 231, 500, 511,
};
static const char *const middle_symbols[] = {"middle_by_syscall", "middle_by_out",
                                             "middle_by_out_dx"};

static const char *const stray_symbols[] = {
	"end_out_8",     "end_out_16",      "end_out_32",     "end_in_8",
	"end_in_16",     "end_in_32",       "end_outs_8",     "end_outs_16",
	"end_outs_32",   "end_ins_8",       "end_ins_32",     "end_rep_outs_8",
	"end_rep_ins_8", "end_rep_outs_32", "end_rep_ins_32", "end_rep_outs_down",
};
/* Open ones, those across the border, the ring-0 stubs', and closed ones in and past the bitmap. */
static const uint64_t stray_ports[] = {0, 1, 3, 4, 5, 7, 8, 0x20, 0x24, 0x80, 0x3f8, 0xffff};

static struct kvmsb *new_first(struct bench *bench)
{
	bench->first = fixture_fork(bench->master);
	return bench->first;
}

static bool is_over(const struct kvmsb_result *result)
{
	return result->outcome != KVMSB_OUTCOME_RETURNED &&
	       result->outcome != KVMSB_OUTCOME_HYPERCALL;
}

/* Nothing of what a middle does is a fault of the guest's, and it goes on where it should. */
static bool middle_is_right(struct bench *bench, const struct ending *middle,
                            const struct kvmsb_result *result)
{
	bool unknown_encoding = result->outcome == KVMSB_OUTCOME_FAULTED &&
	                        strcmp(middle->symbol, "middle_by_out_dx") == 0;

	if (strncmp(middle->symbol, "middle_", 7) != 0)
		return true;
	/* The exception path does not take that one for a hypercall. */
	if (unknown_encoding && bench->traces == 0)
		return true;
	switch (result->outcome) {
	case KVMSB_OUTCOME_RETURNED:
		return result->value == NEXT_INSTRUCTION_RAN && bench->traces == 1;
	case KVMSB_OUTCOME_HYPERCALL:
	case KVMSB_OUTCOME_DENIED:
	case KVMSB_OUTCOME_EXITED:
	case KVMSB_OUTCOME_TIMED_OUT:
		return bench->traces == 1;
	default:
		return false;
	}
}

static bool do_middle(struct bench *bench, struct kvmsb *fork, const struct ending *middle,
                      struct kvmsb_result *result)
{
	bench->traces = 0;
	*result = fixture_call_within(fork, "leave_marks",
	                              NUMBERS(fixture_symbol(fork, middle->symbol), middle->number),
	                              scaled_ms(1000));
	if (middle_is_right(bench, middle, result))
		return true;
	print_error("    %s, value %#llx, traced %u times\n", fixture_describe(fork, result),
	            (unsigned long long)result->value, bench->traces);
	return false;
}

static bool then_reset(struct bench *bench, const struct ending *middle)
{
	struct kvmsb *other = bench->other;
	struct kvmsb_result result;
	bool right = do_middle(bench, bench->first, middle, &result);

	assert_int_equal(kvmsb_reset(bench->first), 0);
	bench->other = bench->first;
	right = other_is_unharmed(bench) && right;
	bench->other = other;
	return right;
}

/* The same fork is called again where it can be, and says that it is over where not. */
static bool then_call(struct bench *bench, const struct ending *middle)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result, second = KVMSB_RESULT_INIT;
	bool right = do_middle(bench, bench->first, middle, &result);
	int failed;

	call.symbol = "answer";
	call.argument_count = 1;
	call.arguments[0].value = 5;
	failed = kvmsb_vmcall(bench->first, &call, &second);
	if (is_over(&result))
		right = failed == -ESRCH && right;
	else
		right = failed == 0 && second.outcome == KVMSB_OUTCOME_RETURNED &&
		        second.value == 15 + 1 && right;
	right = other_is_unharmed(bench) && right;
	return kvmsb_reset(bench->first) == 0 && right;
}

static bool then_destroy(struct bench *bench, const struct ending *middle)
{
	struct kvmsb_result result;
	bool right = do_middle(bench, bench->first, middle, &result);

	kvmsb_destroy(bench->first);
	right = other_is_unharmed(bench) && right;
	new_first(bench);
	return right;
}

static bool then_hand_over(struct bench *bench, const struct ending *middle)
{
	struct kvmsb_result result;
	bool right = do_middle(bench, bench->first, middle, &result);

	right = other_is_unharmed(bench) && right;
	return kvmsb_reset(bench->first) == 0 && right;
}

/* On the processor of the one that is suspended: another one, and one that does the same. */
static void run_others(struct bench *bench)
{
	struct kvmsb *fork = fixture_fork(bench->master);
	struct kvmsb_result result;

	bench->wrong = !other_is_unharmed(bench);
	if (!do_middle(bench, fork, bench->middle, &result))
		bench->wrong = true;
	kvmsb_destroy(fork);
	bench->traces = 1;
}

static bool others_within(struct bench *bench, const struct ending *middle)
{
	struct kvmsb_result result;
	bool right;

	bench->middle = middle;
	bench->wrong = false;
	bench->within = run_others;
	right = do_middle(bench, bench->first, middle, &result) && !bench->wrong;
	bench->within = NULL;
	right = other_is_unharmed(bench) && right;
	return kvmsb_reset(bench->first) == 0 && right;
}

static void destroy_first(struct bench *bench)
{
	kvmsb_destroy(bench->first);
	bench->first = NULL;
}

/* Destroyed, it has no result, unless nothing called the host: an encoding that is no hypercall. */
static bool destroyed_within(struct bench *bench, const struct ending *middle)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed;
	bool right;

	call.symbol = "leave_marks";
	call.argument_count = 2;
	call.arguments[0].value = fixture_symbol(bench->first, middle->symbol);
	call.arguments[1].value = middle->number;
	bench->within = destroy_first;
	failed = kvmsb_vmcall(bench->first, &call, &result);
	right = failed == (bench->within == NULL ? -ECANCELED : 0);
	bench->within = NULL;
	if (bench->first != NULL)
		kvmsb_destroy(bench->first);
	right = other_is_unharmed(bench) && right;
	new_first(bench);
	return right;
}

static const struct {
	const char *name;
	bool (*run)(struct bench *bench, const struct ending *middle);
} happenings[] = {
	{"a reset", then_reset},
	{"a call", then_call},
	{"a destroy", then_destroy},
	{"a hand-over", then_hand_over},
	{"runs of others within", others_within},
	{"a destroy within", destroyed_within},
};
/* The last two take a function of the host's, which nothing stray calls. */
#define HAPPENINGS_AFTER 4

static unsigned run_happenings(struct bench *bench, enum kvmsb_entry entry,
                               const struct ending *middle, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		if (happenings[i].run(bench, middle))
			continue;
		print_error("  %s(%#llx) and %s, by %s\n", middle->symbol,
		            (unsigned long long)middle->number, happenings[i].name,
		            fixture_entry_name(entry));
		wrong++;
		kvmsb_reset(bench->other);
	}
	return wrong;
}

static unsigned check_middles(struct bench *bench, enum kvmsb_entry entry)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(middle_numbers) * ARRAY_SIZE(middle_symbols); i++) {
		const struct ending middle = {middle_symbols[i % ARRAY_SIZE(middle_symbols)],
		                              middle_numbers[i / ARRAY_SIZE(middle_symbols)], 0};

		wrong += run_happenings(bench, entry, &middle, ARRAY_SIZE(happenings));
	}
	return wrong;
}

static void every_hypercall_may_be_left_in_its_middle(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_middles), 0);
}

static unsigned check_strays(struct bench *bench, enum kvmsb_entry entry)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(stray_symbols) * ARRAY_SIZE(stray_ports); i++) {
		const struct ending stray = {stray_symbols[i / ARRAY_SIZE(stray_ports)],
		                             stray_ports[i % ARRAY_SIZE(stray_ports)], 0};

		wrong += run_happenings(bench, entry, &stray, HAPPENINGS_AFTER);
	}
	return wrong;
}

static void every_stray_access_may_be_left_in_its_middle(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_strays), 0);
}

/*
 * What only KVM can complete, where it has not done so already: OUTSL, which is
 * getpid here, after which its result is the next OUT's number, and an OUT
 * in an interrupt shadow, which another context must not start in.
 */
static unsigned check_not_plain(struct bench *bench, enum kvmsb_entry entry)
{
	static const struct {
		const char *symbol;
		uint64_t value;
		unsigned traces, drains;
	} forms[] = {
		{"outs_then_out", (uint64_t)-ENOSYS, 2, 2},
		{"shadow_then_out", GETPID_RESULT, 1, 1},
		{"shadow_then_port_4", GETPID_RESULT, 1, 1},
	};
	const struct host_behaviour *host;
	unsigned wrong = 0;

	assert_int_equal(probe_host(&host, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(forms) && entry != KVMSB_ENTRY_EXCEPTION; i++) {
		uint64_t drains = fixture_statistics(bench->master).machine_drains;
		struct kvmsb_result result;

		bench->traces = 0;
		result = fixture_call(bench->first, forms[i].symbol, NO_NUMBERS);
		drains = fixture_statistics(bench->master).machine_drains - drains;
		if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == forms[i].value &&
		    bench->traces == forms[i].traces &&
		    (drains == forms[i].drains || host->rip_past_out))
			continue;
		print_error("  %s by %s: %s, traced %u times, %llu drains\n", forms[i].symbol,
		            fixture_entry_name(entry), fixture_describe(bench->first, &result),
		            bench->traces, (unsigned long long)drains);
		wrong++;
		kvmsb_reset(bench->first);
	}
	return other_is_unharmed(bench) ? wrong : wrong + 1;
}

static void other_forms_of_out_are_left_to_kvm(void **unused)
{
	(void)unused;
	assert_int_equal(on_each_path(check_not_plain), 0);
}

/* A program that registers and waits by OUT: its forks start on a processor left so. */
static void a_master_may_wait_by_out(void **unused)
{
	const char *const arguments[] = {"handover", "out", NULL};

	(void)unused;
	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct bench bench;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		bench_setup_with(&bench, fixture_entries[e], arguments);
		assert_int_equal(check_start(&bench, fixture_entries[e]), 0);
		bench_teardown(&bench);
	}
}

/* More threads than processors: what is suspended loses its own to another thread. */
#define THREADS 4
#define ROUNDS 50

struct crowd_member {
	struct kvmsb *fork;
	uint64_t mark;
	bool wrong;
};

static int64_t pause_in_write(void *user, const void *data, size_t length)
{
	const struct timespec pause = {.tv_nsec = 200000};

	(void)user;
	(void)data;
	nanosleep(&pause, NULL);
	return (int64_t)length;
}

static bool call_in_thread(struct kvmsb *fork, const char *symbol, uint64_t argument)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = symbol;
	call.argument_count = 1;
	call.arguments[0].value = argument;
	call.timeout_ns = scaled_ms(20000);
	return kvmsb_vmcall(fork, &call, &result) == 0 && result.outcome == KVMSB_OUTCOME_RETURNED;
}

static bool round_is_right(struct crowd_member *member, bool by_out)
{
	uint8_t before[HANDOVER_EXTENDED], after[HANDOVER_EXTENDED];
	uint64_t before_address, after_address;

	return call_in_thread(member->fork, "set_pattern", member->mark) &&
	       call_in_thread(member->fork, by_out ? "hold_by_out" : "hold_by_syscall", 20) &&
	       kvmsb_symbol(member->fork, "held_before", &before_address) == 0 &&
	       kvmsb_symbol(member->fork, "held_after", &after_address) == 0 &&
	       kvmsb_memory_read(member->fork, before_address, before, sizeof(before)) == 0 &&
	       kvmsb_memory_read(member->fork, after_address, after, sizeof(after)) == 0 &&
	       memcmp(before, after, sizeof(before)) == 0 && before[160] == member->mark;
}

static void *hold_in_thread(void *user)
{
	struct crowd_member *member = user;

	for (unsigned i = 0; i < ROUNDS && !member->wrong; i++)
		member->wrong = !round_is_right(member, i % 2 != 0);
	return NULL;
}

static void crowd_on(unsigned vcpu_limit)
{
	struct kvmsb_options options = fixture_options(GUEST("handover-static"));
	struct crowd_member members[THREADS];
	pthread_t threads[THREADS];
	struct kvmsb *master;

	options.vcpu_limit = vcpu_limit;
	options.standard_output.write = pause_in_write;
	master = fixture_master(&options);
	for (unsigned i = 0; i < THREADS; i++) {
		members[i] = (struct crowd_member){.fork = fixture_fork(master), .mark = 0x10 + i};
		assert_int_equal(pthread_create(&threads[i], NULL, hold_in_thread, &members[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		assert_false(members[i].wrong);
	assert_true(fixture_statistics(master).machine_vcpus <= vcpu_limit);
	for (unsigned i = 0; i < THREADS; i++)
		kvmsb_destroy(members[i].fork);
	kvmsb_destroy(master);
}

static void more_threads_than_processors(void **unused)
{
	(void)unused;
	crowd_on(1);
	crowd_on(2);
	crowd_on(THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_start_with_the_masters_state),
		cmocka_unit_test(nothing_is_left_for_another_fork),
		cmocka_unit_test(pending_input_reaches_no_other_fork),
		cmocka_unit_test(nothing_is_left_after_a_reset),
		cmocka_unit_test(a_suspended_fork_keeps_its_registers),
		cmocka_unit_test(an_out_at_the_same_address_is_not_skipped),
		cmocka_unit_test(the_out_of_a_return_is_not_skipped),
		cmocka_unit_test(every_hypercall_may_be_left_in_its_middle),
		cmocka_unit_test(every_stray_access_may_be_left_in_its_middle),
		cmocka_unit_test(other_forms_of_out_are_left_to_kvm),
		cmocka_unit_test(a_master_may_wait_by_out),
		cmocka_unit_test(more_threads_than_processors),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
