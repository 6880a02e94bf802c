/* SPDX-License-Identifier: MIT */
/*
 * What tests with real guests share: making masters and forks of a program of
 * tests/guests, calling its functions with integers, and saying what a guest
 * did when it is not what a test wanted. Failures end the cmocka test, so these
 * are for its own thread only.
 */
#ifndef KVMSB_TESTS_SANDBOX_FIXTURE_H
#define KVMSB_TESTS_SANDBOX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kvmsandbox.h>

/* Exit status of a test that cannot run here. */
#define CANNOT_RUN 77

/* Path of a built guest program: GUEST("hello-static"). */
#define GUEST(name) TEST_GUESTS "/" name

/* Integer arguments of a call; those left out are 0. */
struct numbers {
	uint64_t value[6];
};
#define NUMBERS(...) ((struct numbers){{__VA_ARGS__}})
#define NO_NUMBERS NUMBERS(0)

/* Whether /dev/kvm can be used; says why if it can't. */
bool fixture_can_run(void);

/* Set-up and tear-down of a test that must not hang: it is killed after thirty seconds (time_scale.h). */
int fixture_end_hangs(void **unused);
int fixture_end_well(void **unused);

/* Defaults but for the program. */
struct kvmsb_options fixture_options(const char *path);

struct kvmsb *fixture_create(const struct kvmsb_options *options);
/* Created and run: it waits for requests. */
struct kvmsb *fixture_ready(const struct kvmsb_options *options);
/* And frozen. */
struct kvmsb *fixture_master(const struct kvmsb_options *options);
struct kvmsb *fixture_fork(struct kvmsb *master);

/* The host must succeed; what the guest does is the result. */
struct kvmsb_result fixture_call(struct kvmsb *sandbox, const char *symbol, struct numbers numbers);
/* The same with a time limit. */
struct kvmsb_result fixture_call_within(struct kvmsb *sandbox, const char *symbol,
                                        struct numbers numbers, uint64_t timeout_ns);
/* The function must return: its value. */
uint64_t fixture_value(struct kvmsb *sandbox, const char *symbol, struct numbers numbers);

uint64_t fixture_symbol(const struct kvmsb *sandbox, const char *name);
struct kvmsb_statistics fixture_statistics(const struct kvmsb *sandbox);

/* A line about a result, for messages; lives until the fourth next call. */
const char *fixture_describe(const struct kvmsb *sandbox, const struct kvmsb_result *result);

void fixture_check_outcome(const struct kvmsb *sandbox, const struct kvmsb_result *result,
                           enum kvmsb_outcome wanted, const char *file, int line);
#define assert_outcome(sandbox, result, wanted)                                                    \
	fixture_check_outcome(sandbox, result, wanted, __FILE__, __LINE__)

/* For tests that run once for each entry path. */
extern const enum kvmsb_entry fixture_entries[3];
const char *fixture_entry_name(enum kvmsb_entry entry);
bool fixture_entry_possible(enum kvmsb_entry entry);

#endif
