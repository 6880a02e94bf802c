/* SPDX-License-Identifier: MIT */
/*
 * What the probe says of this host, and the ways to enter and leave that follow
 * from it: each possible one runs programs, and none costs more KVM_RUN calls
 * than it must.
 */
#include "sandbox_fixture.h"

#include "probe.h"
#include "sandbox.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct host_behaviour *host(void)
{
	const struct host_behaviour *found;
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	if (probe_host(&found, &error) < 0)
		fail_msg("%s", error.detail);
	return found;
}

static void the_probe_is_consistent(void **unused)
{
	const struct host_behaviour *found = host();

	(void)unused;
	print_message("SYSCALL: %s%s%s; OUT in ring 3 %s; %s; RIP is %s an OUT; TSS type %u\n",
	              found->syscall_enters_ring0 ? "enters ring 0" : "stays in ring 3",
	              found->syscall_runs_in_ring3 ? ", runs there" : "",
	              found->syscall_faults ? ", faults on a supervisor page" : "",
	              found->bitmap_exits ? "exits" : "faults",
	              found->shadow_paging ? "shadow paging" : "tables walked by hardware",
	              found->rip_past_out ? "past" : "at", found->tss_type);
	assert_ptr_equal(host(), found);
	assert_false(found->syscall_enters_ring0 && found->syscall_runs_in_ring3);
	assert_false(found->syscall_enters_ring0 && found->syscall_faults);
	assert_true(found->tss_type == 9 || found->tss_type == 11);
}

/* 'Y' or 'N' of a module's parameter, '\0' when there is none. */
static int parameter(const char *path)
{
	FILE *file = fopen(path, "re");
	int answer = file != NULL ? fgetc(file) : '\0';

	if (file != NULL)
		fclose(file);
	return answer == EOF ? '\0' : answer;
}

static void shadow_paging_is_what_the_kernel_says(void **unused)
{
	int amd = parameter("/sys/module/kvm_amd/parameters/npt");
	int intel = parameter("/sys/module/kvm_intel/parameters/ept");

	(void)unused;
	if (amd == 'Y' || amd == '1' || intel == 'Y' || intel == '1')
		assert_false(host()->shadow_paging);
	else
		assert_true(host()->shadow_paging);
}

static bool in_hardware_leg(void)
{
	return getenv("IN_HARDWARE_LEG") != NULL;
}

/* A kernel that runs ring 0 in software: there is no other way to tell that one was lost. */
static bool on_pvm(void)
{
	return access("/sys/module/kvm_pvm", F_OK) == 0;
}

/* With nested paging and with kvm_amd.npt=0 alike: ring 0 is the processor's. */
static void the_hardware_leg_is_hardware(void **unused)
{
	const struct host_behaviour *found = host();
	int npt = parameter("/sys/module/kvm_amd/parameters/npt");

	(void)unused;
	if (!in_hardware_leg())
		return;
	assert_true(npt == 'Y' || npt == 'N');
	assert_true(found->shadow_paging == (npt == 'N'));
	assert_true(found->dirty_bits == (npt == 'Y'));
	assert_true(found->syscall_enters_ring0);
	assert_true(found->bitmap_exits);
	assert_false(found->rip_past_out);
	assert_false(found->selectors_stay);
}

static void pvm_is_what_it_was(void **unused)
{
	const struct host_behaviour *found = host();

	(void)unused;
	if (!on_pvm())
		return;
	assert_true(found->syscall_runs_in_ring3);
	assert_true(found->syscall_faults);
	assert_true(found->bitmap_exits);
	assert_true(found->shadow_paging);
	assert_false(found->dirty_bits);
}

/* A path that a host could do and the probe no longer sees would be tested nowhere. */
static void no_path_is_lost(void **unused)
{
	(void)unused;
	assert_true(fixture_entry_possible(KVMSB_ENTRY_EXCEPTION));
	if (in_hardware_leg()) {
		assert_true(fixture_entry_possible(KVMSB_ENTRY_RING0));
		assert_false(fixture_entry_possible(KVMSB_ENTRY_RING3));
	}
	if (on_pvm())
		assert_true(fixture_entry_possible(KVMSB_ENTRY_RING3));
}

static void automatic_is_the_best_of_what_works(void **unused)
{
	const struct kvmsb_options options = fixture_options(GUEST("calls-static"));
	struct kvmsb *sandbox = fixture_create(&options);
	enum kvmsb_entry best = KVMSB_ENTRY_AUTOMATIC;

	(void)unused;
	for (size_t i = ARRAY_SIZE(fixture_entries); i-- > 0;)
		if (fixture_entry_possible(fixture_entries[i]))
			best = fixture_entries[i];
	assert_int_not_equal(best, KVMSB_ENTRY_AUTOMATIC);
	assert_int_equal(sandbox->machine->entry, best);
	if (in_hardware_leg())
		assert_int_equal(sandbox->machine->entry, KVMSB_ENTRY_RING0);
	kvmsb_destroy(sandbox);
}

struct text {
	char bytes[4096];
	size_t length;
};

static int64_t keep_text(void *user, const void *data, size_t length)
{
	struct text *text = user;
	size_t room = sizeof(text->bytes) - text->length;

	if (length > room)
		return -ENOSPC;
	memcpy(text->bytes + text->length, data, length);
	text->length += length;
	return (int64_t)length;
}

/* What hello prints to its end. */
static void run_hello(enum kvmsb_entry entry, struct text *text)
{
	const char *const arguments[] = {"hello", "one", "two", NULL};
	struct kvmsb_options options = fixture_options(GUEST("hello-static"));
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb *sandbox;

	*text = (struct text){.length = 0};
	options.entry = entry;
	options.arguments = arguments;
	options.standard_output.write = keep_text;
	options.standard_output.user = text;
	sandbox = fixture_create(&options);
	assert_int_equal(kvmsb_run(sandbox, &result), 0);
	assert_outcome(sandbox, &result, KVMSB_OUTCOME_EXITED);
	assert_int_equal(result.exit_status, 2);
	kvmsb_destroy(sandbox);
}

/* No SYSCALL enters more than one KVM_RUN, and a call is one. */
static void check_costs(enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("calls-static"));
	struct kvmsb *master, *forks[3];

	options.entry = entry;
	master = fixture_master(&options);
	for (size_t i = 0; i < ARRAY_SIZE(forks); i++) {
		forks[i] = fixture_fork(master);
		fixture_call(forks[i], "empty", NO_NUMBERS);
		fixture_value(forks[i], "system_calls", NUMBERS(1));
	}
	for (unsigned i = 0; i < 30; i++) {
		struct kvmsb *fork = forks[i % ARRAY_SIZE(forks)];
		struct kvmsb_result result;

		if (i % 7 == 6) {
			assert_int_equal(kvmsb_reset(fork), 0);
			fixture_value(fork, "system_calls", NUMBERS(1));
		}
		result = fixture_call(fork, "empty", NO_NUMBERS);
		assert_int_equal(result.kvm_runs, 1);
		result = fixture_call(fork, "system_calls", NUMBERS(i));
		assert_int_equal(result.kvm_runs, i + 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(forks); i++)
		kvmsb_destroy(forks[i]);
	kvmsb_destroy(master);
}

static void every_possible_path_works(void **unused)
{
	struct text first = {.length = 0}, text;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		if (!fixture_entry_possible(fixture_entries[i])) {
			print_message("%s: not on this host\n",
			              fixture_entry_name(fixture_entries[i]));
			continue;
		}
		run_hello(fixture_entries[i], &text);
		assert_true(text.length > 0);
		if (first.length == 0)
			first = text;
		assert_int_equal(text.length, first.length);
		assert_memory_equal(text.bytes, first.bytes, text.length);
		check_costs(fixture_entries[i]);
	}
	assert_true(first.length > 0);
}

/* With WP off, ring 0 would write through a user's pointer into pages that forks share. */
static void write_protection_holds_in_ring_0(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(GUEST("calls-static"));
		struct kvmsb *sandbox;

		if (!fixture_entry_possible(fixture_entries[i]))
			continue;
		options.entry = fixture_entries[i];
		sandbox = fixture_ready(&options);
		assert_int_not_equal(sandbox->machine->vcpus[0]->run->s.regs.sregs.cr0 & CR0_WP, 0);
		kvmsb_destroy(sandbox);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_probe_is_consistent),
		cmocka_unit_test(shadow_paging_is_what_the_kernel_says),
		cmocka_unit_test(the_hardware_leg_is_hardware),
		cmocka_unit_test(pvm_is_what_it_was),
		cmocka_unit_test(no_path_is_lost),
		cmocka_unit_test(automatic_is_the_best_of_what_works),
		cmocka_unit_test(every_possible_path_works),
		cmocka_unit_test(write_protection_holds_in_ring_0),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
