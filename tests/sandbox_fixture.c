/* SPDX-License-Identifier: MIT */
/* Sandboxes for tests; see sandbox_fixture.h. */
#include "sandbox_fixture.h"

#include "probe.h"
#include "time_scale.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const enum kvmsb_entry fixture_entries[3] = {KVMSB_ENTRY_RING0, KVMSB_ENTRY_RING3,
                                             KVMSB_ENTRY_EXCEPTION};

bool fixture_can_run(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		printf("/dev/kvm: %s\n", strerror(errno));
		return false;
	}
	close(kvm);
	return true;
}

int fixture_end_hangs(void **unused)
{
	(void)unused;
	alarm(30 * time_scale());
	return 0;
}

int fixture_end_well(void **unused)
{
	(void)unused;
	alarm(0);
	return 0;
}

struct kvmsb_options fixture_options(const char *path)
{
	struct kvmsb_options options = KVMSB_OPTIONS_INIT;

	options.path = path;
	return options;
}

struct kvmsb *fixture_create(const struct kvmsb_options *options)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox = NULL;
	int failed = kvmsb_create(&sandbox, options, &error);

	if (failed < 0)
		fail_msg("kvmsb_create: %s: %s", strerror(-failed), error.detail);
	return sandbox;
}

struct kvmsb *fixture_ready(const struct kvmsb_options *options)
{
	struct kvmsb *sandbox = fixture_create(options);
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int failed = kvmsb_run(sandbox, &result);

	if (failed < 0)
		fail_msg("kvmsb_run: %s: %s", strerror(-failed), kvmsb_detail(sandbox));
	assert_outcome(sandbox, &result, KVMSB_OUTCOME_READY);
	return sandbox;
}

struct kvmsb *fixture_master(const struct kvmsb_options *options)
{
	struct kvmsb *sandbox = fixture_ready(options);

	assert_int_equal(kvmsb_freeze(sandbox), 0);
	return sandbox;
}

struct kvmsb *fixture_fork(struct kvmsb *master)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *fork = NULL;
	int failed = kvmsb_fork(master, &fork, &error);

	if (failed < 0)
		fail_msg("kvmsb_fork: %s: %s", strerror(-failed), error.detail);
	return fork;
}

struct kvmsb_result fixture_call_within(struct kvmsb *sandbox, const char *symbol,
                                        struct numbers numbers, uint64_t timeout_ns)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call call = KVMSB_CALL_INIT;
	int failed;

	call.symbol = symbol;
	call.argument_count = 6;
	for (size_t i = 0; i < 6; i++)
		call.arguments[i].value = numbers.value[i];
	call.timeout_ns = timeout_ns;
	failed = kvmsb_vmcall(sandbox, &call, &result);
	if (failed < 0)
		fail_msg("kvmsb_vmcall(%s): %s: %s", symbol, strerror(-failed),
		         kvmsb_detail(sandbox));
	return result;
}

struct kvmsb_result fixture_call(struct kvmsb *sandbox, const char *symbol, struct numbers numbers)
{
	return fixture_call_within(sandbox, symbol, numbers, 0);
}

uint64_t fixture_value(struct kvmsb *sandbox, const char *symbol, struct numbers numbers)
{
	struct kvmsb_result result = fixture_call(sandbox, symbol, numbers);

	if (result.outcome != KVMSB_OUTCOME_RETURNED)
		fail_msg("%s: %s: %s", symbol, fixture_describe(sandbox, &result),
		         kvmsb_detail(sandbox));
	return result.value;
}

uint64_t fixture_symbol(const struct kvmsb *sandbox, const char *name)
{
	uint64_t address = 0;

	if (kvmsb_symbol(sandbox, name, &address) < 0)
		fail_msg("no symbol %s", name);
	return address;
}

struct kvmsb_statistics fixture_statistics(const struct kvmsb *sandbox)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	assert_int_equal(kvmsb_get_statistics(sandbox, &statistics), 0);
	return statistics;
}

const char *fixture_describe(const struct kvmsb *sandbox, const struct kvmsb_result *result)
{
	static char texts[4][320];
	static unsigned next;
	char *text = texts[next++ % 4];

	kvmsb_describe(sandbox, result, text, sizeof(texts[0]));
	return text;
}

void fixture_check_outcome(const struct kvmsb *sandbox, const struct kvmsb_result *result,
                           enum kvmsb_outcome wanted, const char *file, int line)
{
	if (result->outcome == wanted)
		return;
	print_error("wanted: %s; the guest: %s; %s\n", kvmsb_outcome_name(wanted),
	            fixture_describe(sandbox, result), kvmsb_detail(sandbox));
	_fail(file, line);
}

const char *fixture_entry_name(enum kvmsb_entry entry)
{
	switch (entry) {
	case KVMSB_ENTRY_AUTOMATIC:
		return "automatic";
	case KVMSB_ENTRY_RING0:
		return "ring 0";
	case KVMSB_ENTRY_RING3:
		return "ring 3";
	case KVMSB_ENTRY_EXCEPTION:
		break;
	}
	return "exception";
}

bool fixture_entry_possible(enum kvmsb_entry entry)
{
	const struct host_behaviour *host;
	enum kvmsb_entry chosen;

	assert_int_equal(probe_host(&host, NULL), 0);
	return probe_choose_entry(host, entry, &chosen, NULL) == 0;
}
