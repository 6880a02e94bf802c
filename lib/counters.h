/* SPDX-License-Identifier: MIT */
/*
 * What is counted of a sandbox and of its machine, for kvmsb_get_statistics().
 *
 * No two threads write one cache line for a count. What happens while a vCPU is
 * borrowed is counted in its index's struct counters, which only the borrower
 * writes; everything else in one of the struct counters that threads share out
 * among themselves (machine_count()). The machine's totals are sums over all of
 * these, the sandbox's are what its borrowed vCPUs gained meanwhile.
 *
 * Knows nothing of what the counts mean.
 */
#ifndef KVMSB_COUNTERS_H
#define KVMSB_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* Of a sandbox; in struct kvmsb_statistics machine_NAME is the sum of its machine. */
#define SANDBOX_COUNTERS(X)                                                                        \
	X(calls)                                                                                   \
	X(resets)                                                                                  \
	X(kvm_runs)                                                                                \
	X(system_calls)                                                                            \
	X(hypercalls)                                                                              \
	X(page_faults)                                                                             \
	X(exceptions)                                                                              \
	X(time_limits)                                                                             \
	X(interruptions)                                                                           \
	X(stray_accesses)                                                                          \
	X(failures)                                                                                \
	X(cleaning_runs)                                                                           \
	X(guest_ns)                                                                                \
	X(outcome_returned)                                                                        \
	X(outcome_hypercall)                                                                       \
	X(outcome_ready)                                                                           \
	X(outcome_exited)                                                                          \
	X(outcome_faulted)                                                                         \
	X(outcome_timed_out)                                                                       \
	X(outcome_out_of_memory)                                                                   \
	X(outcome_denied)                                                                          \
	X(outcome_internal)                                                                        \
	X(outcome_other)                                                                           \
	X(calls_failed)                                                                            \
	X(pages_copied)                                                                            \
	X(pages_restored)

/* Of a machine alone. */
#define MACHINE_COUNTERS(X)                                                                        \
	X(forks_made)                                                                              \
	X(drains)

enum counter {
#define COUNTER(name) COUNTER_##name,
	SANDBOX_COUNTERS(COUNTER)
	COUNTERS_OF_SANDBOX,
	COUNTERS_BEFORE_MACHINE = COUNTERS_OF_SANDBOX - 1,
	MACHINE_COUNTERS(COUNTER)
#undef COUNTER
	COUNTERS
};

/* Or more: of the processors that share lines between caches. */
#define COUNTERS_APART 64u

struct counters {
	_Atomic uint64_t value[COUNTERS];
	uint8_t apart[COUNTERS_APART]; /* from those of the next in an array, wherever that begins */
};

static inline uint64_t counters_value(const struct counters *counters, enum counter which)
{
	return atomic_load_explicit(&counters->value[which], memory_order_relaxed);
}

/* By the only one who writes it: no locked instruction. */
static inline void count_alone(_Atomic uint64_t *count, uint64_t more)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
	                      memory_order_relaxed);
}

static inline void counters_add(struct counters *counters, enum counter which, uint64_t more)
{
	count_alone(&counters->value[which], more);
}

/* By any thread. */
static inline void counters_add_shared(struct counters *counters, enum counter which, uint64_t more)
{
	atomic_fetch_add_explicit(&counters->value[which], more, memory_order_relaxed);
}

#endif
