/* SPDX-License-Identifier: MIT */
/*
 * The rules of invalidate.h with real guests: every edit of its table, within
 * one run of the guest and across runs, with resets, other forks and another
 * vCPU in between, looked at from inside. What the module orders is compared
 * with the table as well, by its counters and by the CR3 that KVM was given.
 *
 * Then each rule is left out, and the same rows must notice: by what a guest
 * sees where the host keeps stale translations, by the orders where it hides
 * them (must_notice[] says which; the others cannot be shown).
 */
#include "sandbox_fixture.h"

#include "guests/invalidation.h"
#include "linux/mm.h"
#include "sandbox.h"
#include "time_scale.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Rows. */

#define F0 (PAGE_FILLED + 0)
#define F1 (PAGE_FILLED + 1)
#define F2 (PAGE_FILLED + 2)
#define F3 (PAGE_FILLED + 3)
#define READABLE PAGE_READABLE
#define CODE PAGE_CODE
#define UNTOUCHED PAGE_UNTOUCHED
#define SLOT PAGE_SLOT
#define SLOT2 (PAGE_SLOT + 1)
#define FAR PAGE_FAR
#define FARTHER PAGE_FARTHER

/* What a fork writes, and what standard input gives. */
#define VALUE UINT64_C(0xb000000000001)
#define ANOTHER UINT64_C(0xb000000000002)
#define INPUT UINT64_C(0xc000000000003)
/* What another fork writes. */
#define THEIRS UINT64_C(0xd000000000004)

enum host_step_kind {
	STEP_RESET = STEP_GUEST_KINDS,
	STEP_REFORK,     /* the fork is destroyed and made anew */
	STEP_HOST_WRITE, /* kvmsb_memory_write() */
	STEP_OTHER_WRITES, /* another fork writes to its pages: frames that were freed are used again */
};

enum ending {
	GOES_ON,
	FAULTS,
	TIMES_OUT, /* right after its write fault was answered */
};

/* What the module must do about a step: a rule of the table, or nothing, or what nobody checks. */
#define NOTHING 0
#define UNCHECKED (-1)
#define ORDER(rule) .orders = INVALIDATION_##rule + 1

struct step {
	struct invalidation_step does;
	enum ending ends;
	int orders;
	bool elsewhere; /* in another thread, so by another vCPU */
};

#define LOOK(page, value) .does = {STEP_LOOK, page, value}
#define CALL(page, number) .does = {STEP_CALL, page, number}
#define FILL(page, value) .does = {STEP_FILL, page, value}
#define UNMAP(page) .does = {STEP_UNMAP, page, 0}
#define PROTECT(page, protection) .does = {STEP_PROTECT, page, protection}
#define MAP(page) .does = {STEP_MAP, page, 0}
#define MOVE(page, to) .does = {STEP_MOVE, page, to}
#define DISCARD(page) .does = {STEP_DISCARD, page, 0}
#define READ_IN(page) .does = {STEP_READ_IN, page, 0}
#define CLOCK_IN(page) .does = {STEP_CLOCK_IN, page, 0}
#define STAT_IN(page) .does = {STEP_STAT_IN, page, 0}
#define READ_FAULTS(page) .does = {STEP_READ, page, 0}, .ends = FAULTS
#define WRITE_FAULTS(page) .does = {STEP_WRITE, page, 0}, .ends = FAULTS, .orders = UNCHECKED
#define CALL_FAULTS(page) .does = {STEP_CALL, page, 0}, .ends = FAULTS
#define STRADDLE_FAULTS(page) .does = {STEP_STRADDLE, page, 0}, .ends = FAULTS, .orders = UNCHECKED
#define WRITE_TIMES_OUT(page)                                                                      \
	.does = {STEP_HANG, page, VALUE}, .ends = TIMES_OUT, .orders = UNCHECKED
#define RESET .does = {STEP_RESET, 0, 0}, .orders = UNCHECKED
#define REFORK .does = {STEP_REFORK, 0, 0}
#define HOST_WRITE(page, value) .does = {STEP_HOST_WRITE, page, value}
#define OTHER_WRITES .does = {STEP_OTHER_WRITES, 0, 0}, .orders = UNCHECKED
#define ELSEWHERE .elsewhere = true

#define READ_WRITE (PROT_READ | PROT_WRITE)
#define MOST_STEPS 12

/* "shared": with the master. "private": written before. */
static const struct row {
	const char *name;
	struct step steps[MOST_STEPS];
} rows[] = {
	{"unmap, shared", {{LOOK(F0, INITIAL(F0))}, {UNMAP(F0), ORDER(REVOKED)}, {READ_FAULTS(F0)}}},
	{"unmap, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)},
          {UNMAP(F0), ORDER(REVOKED)},
          {READ_FAULTS(F0)}}},
	{"unmap, private, then write",
         {{FILL(F0, VALUE), ORDER(FAULTED)}, {UNMAP(F0), ORDER(REVOKED)}, {WRITE_FAULTS(F0)}}},
	{"unmap, never touched", {{UNMAP(UNTOUCHED)}, {READ_FAULTS(UNTOUCHED)}}},
	{"unmap, brought in",
         {{LOOK(UNTOUCHED, 0), ORDER(LINKED)},
          {UNMAP(UNTOUCHED), ORDER(REVOKED)},
          {READ_FAULTS(UNTOUCHED)}}},
	{"no access, shared",
         {{LOOK(F0, INITIAL(F0))}, {PROTECT(F0, PROT_NONE), ORDER(REVOKED)}, {READ_FAULTS(F0)}}},
	{"no access, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {PROTECT(F0, PROT_NONE), ORDER(REVOKED)},
          {READ_FAULTS(F0)}}},
	{"no access and back, shared",
         {{LOOK(F0, INITIAL(F0))},
          {PROTECT(F0, PROT_NONE), ORDER(REVOKED)},
          {PROTECT(F0, READ_WRITE), .orders = UNCHECKED},
          {LOOK(F0, INITIAL(F0))},
          {FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)}}},
	{"no access and back, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {PROTECT(F0, PROT_NONE), ORDER(REVOKED)},
          {PROTECT(F0, READ_WRITE), .orders = UNCHECKED},
          {LOOK(F0, VALUE)},
          {FILL(F0, ANOTHER)},
          {LOOK(F0, ANOTHER)}}},
	{"read-only, shared",
         {{LOOK(F0, INITIAL(F0))},
          {PROTECT(F0, PROT_READ), .orders = UNCHECKED},
          {LOOK(F0, INITIAL(F0))},
          {WRITE_FAULTS(F0)}}},
	{"read-only, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {PROTECT(F0, PROT_READ), ORDER(REVOKED)},
          {LOOK(F0, VALUE)},
          {WRITE_FAULTS(F0)}}},
	{"read-only and back, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {PROTECT(F0, PROT_READ), ORDER(REVOKED)},
          {LOOK(F0, VALUE)},
          {PROTECT(F0, READ_WRITE), .orders = UNCHECKED},
          {FILL(F0, ANOTHER), .orders = UNCHECKED},
          {LOOK(F0, ANOTHER)}}},
	{"read-only made writable",
         {{LOOK(READABLE, INITIAL(READABLE))},
          {PROTECT(READABLE, READ_WRITE), .orders = UNCHECKED},
          {LOOK(READABLE, INITIAL(READABLE))},
          {FILL(READABLE, VALUE), .orders = UNCHECKED},
          {LOOK(READABLE, VALUE)}}},
	{"not executable",
         {{CALL(CODE, INITIAL_NUMBER)},
          {PROTECT(CODE, PROT_READ), ORDER(REVOKED)},
          {LOOK(CODE, FUNCTION(INITIAL_NUMBER))},
          {CALL_FAULTS(CODE)}}},
	{"not executable and back",
         {{CALL(CODE, INITIAL_NUMBER)},
          {PROTECT(CODE, PROT_READ), ORDER(REVOKED)},
          {PROTECT(CODE, PROT_READ | PROT_EXEC), .orders = UNCHECKED},
          {CALL(CODE, INITIAL_NUMBER)}}},
	{"another function",
         {{CALL(CODE, INITIAL_NUMBER)},
          {PROTECT(CODE, READ_WRITE | PROT_EXEC), .orders = UNCHECKED},
          {FILL(CODE, FUNCTION(0x88)), .orders = UNCHECKED},
          {CALL(CODE, 0x88)}}},
	{"move, shared, then something else",
         {{LOOK(F0, INITIAL(F0))},
          {MOVE(F0, SLOT), ORDER(REVOKED)},
          {LOOK(SLOT, INITIAL(F0))},
          {MAP(F0)},
          {LOOK(F0, 0)},
          {FILL(F0, VALUE)},
          {LOOK(SLOT, INITIAL(F0))}}},
	{"move, private, then something else",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)},
          {MOVE(F0, SLOT), ORDER(REVOKED)},
          {LOOK(SLOT, VALUE)},
          {MAP(F0)},
          {LOOK(F0, 0)},
          {FILL(F0, ANOTHER)},
          {LOOK(SLOT, VALUE)}}},
	{"move, then look behind",
         {{LOOK(F0, INITIAL(F0))},
          {MOVE(F0, FAR), ORDER(REVOKED)},
          {LOOK(FAR, INITIAL(F0))},
          {READ_FAULTS(F0)}}},
	{"move, private, then write behind",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {MOVE(F0, SLOT), ORDER(REVOKED)},
          {LOOK(SLOT, VALUE)},
          {WRITE_FAULTS(F0)}}},
	{"map over, shared",
         {{LOOK(F0, INITIAL(F0))},
          {MAP(F0), ORDER(REVOKED)},
          {LOOK(F0, 0)},
          {FILL(F0, VALUE)},
          {LOOK(F0, VALUE)}}},
	{"map over, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)},
          {MAP(F0), ORDER(REVOKED)},
          {LOOK(F0, 0)},
          {FILL(F0, ANOTHER)},
          {LOOK(F0, ANOTHER)}}},
	{"discard, shared", {{LOOK(F0, INITIAL(F0))}, {DISCARD(F0), ORDER(REVOKED)}, {LOOK(F0, 0)}}},
	{"discard, private",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)},
          {DISCARD(F0), ORDER(REVOKED)},
          {LOOK(F0, 0)},
          {FILL(F0, ANOTHER), ORDER(FAULTED)},
          {LOOK(F0, ANOTHER)}}},
	{"read(2) into what was read",
         {{LOOK(F0, INITIAL(F0))},
          {READ_IN(F0), ORDER(COPIED)},
          {LOOK(F0, INPUT)},
          {FILL(F0, VALUE)},
          {READ_IN(F0)},
          {LOOK(F0, INPUT)}}},
	{"clock_gettime(2) into what was read",
         {{LOOK(F0, INITIAL(F0))}, {CLOCK_IN(F0), ORDER(COPIED)}}},
	{"fstat(2) into what was read", {{LOOK(F0, INITIAL(F0))}, {STAT_IN(F0), ORDER(COPIED)}}},
	{"the host writes what was read",
         {{LOOK(F0, INITIAL(F0))},
          {HOST_WRITE(F0, VALUE), ORDER(COPIED)},
          {LOOK(F0, VALUE)},
          {FILL(F0, ANOTHER)},
          {LOOK(F0, ANOTHER)}}},
	{"first write, reset, the host writes",
         {{LOOK(F0, INITIAL(F0))},
          {FILL(F0, VALUE), ORDER(FAULTED)},
          {LOOK(F0, VALUE)},
          {RESET},
          {LOOK(F0, INITIAL(F0))},
          {HOST_WRITE(F0, ANOTHER)},
          {LOOK(F0, ANOTHER)},
          {RESET},
          {READ_IN(F0)},
          {LOOK(F0, INPUT)}}},
	{"first write that ends in a fault, reset, the host writes",
         {{LOOK(F0, INITIAL(F0))},
          {STRADDLE_FAULTS(F0)},
          {RESET},
          {HOST_WRITE(F0, VALUE), .orders = UNCHECKED},
          {LOOK(F0, VALUE)}}},
	{"first write whose time is over, reset, the host writes",
         {{LOOK(F0, INITIAL(F0))},
          {WRITE_TIMES_OUT(F0)},
          {RESET},
          {HOST_WRITE(F0, ANOTHER), .orders = UNCHECKED},
          {LOOK(F0, ANOTHER)}}},
	{"first write whose time is over, reset, read(2)",
         {{LOOK(F0, INITIAL(F0))},
          {WRITE_TIMES_OUT(F0)},
          {RESET},
          {READ_IN(F0), .orders = UNCHECKED},
          {LOOK(F0, INPUT)}}},
	/* The same in a table of the fork's own, which processors have read. */
	{"unmap, shared, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {UNMAP(F0), ORDER(REVOKED)},
          {LOOK(F1, VALUE)},
          {READ_FAULTS(F0)}}},
	{"no access, shared, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {PROTECT(F0, PROT_NONE), ORDER(REVOKED)},
          {READ_FAULTS(F0)}}},
	{"move, shared, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {MOVE(F0, SLOT), ORDER(REVOKED)},
          {LOOK(SLOT, INITIAL(F0))},
          {READ_FAULTS(F0)}}},
	{"map over, shared, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {MAP(F0), ORDER(REVOKED)},
          {LOOK(F0, 0)},
          {LOOK(F1, VALUE)}}},
	{"discard, shared, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {DISCARD(F0), ORDER(REVOKED)},
          {LOOK(F0, 0)}}},
	{"not executable, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {CALL(CODE, INITIAL_NUMBER)},
          {PROTECT(CODE, PROT_READ), ORDER(REVOKED)},
          {CALL_FAULTS(CODE)}}},
	{"read(2) into what was read, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {READ_IN(F0), ORDER(COPIED)},
          {LOOK(F0, INPUT)},
          {LOOK(F1, VALUE)}}},
	{"the host writes what was read, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {HOST_WRITE(F0, ANOTHER), ORDER(COPIED)},
          {LOOK(F0, ANOTHER)}}},
	{"clock_gettime(2) into what was read, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)}, {LOOK(F0, INITIAL(F0))}, {CLOCK_IN(F0), ORDER(COPIED)}}},
	{"fstat(2) into what was read, table read before",
         {{FILL(F1, VALUE), ORDER(FAULTED)}, {LOOK(F0, INITIAL(F0))}, {STAT_IN(F0), ORDER(COPIED)}}},
	{"first write that ends in a fault, table read before, reset, the host writes",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {STRADDLE_FAULTS(F0)},
          {RESET},
          {HOST_WRITE(F0, ANOTHER), .orders = UNCHECKED},
          {LOOK(F0, ANOTHER)}}},
	{"first write whose time is over, table read before, reset, the host writes",
         {{FILL(F1, VALUE), ORDER(FAULTED)},
          {LOOK(F0, INITIAL(F0))},
          {WRITE_TIMES_OUT(F0)},
          {RESET},
          {HOST_WRITE(F0, ANOTHER), .orders = UNCHECKED},
          {LOOK(F0, ANOTHER)}}},
	{"a page beside the master's",
         {{LOOK(F0, INITIAL(F0))},
          {MAP(SLOT)},
          {LOOK(SLOT, 0), ORDER(LINKED)},
          {FILL(SLOT, VALUE)},
          {LOOK(SLOT, VALUE)},
          {LOOK(F0, INITIAL(F0))},
          {MAP(SLOT2)},
          {LOOK(SLOT2, 0)}}},
	{"a page table beside the master's",
         {{LOOK(F0, INITIAL(F0))},
          {MAP(FAR)},
          {LOOK(FAR, 0), ORDER(LINKED)},
          {FILL(FAR, VALUE)},
          {LOOK(FAR, VALUE)},
          {LOOK(F0, INITIAL(F0))}}},
	{"a page table of page tables",
         {{LOOK(F0, INITIAL(F0))},
          {MAP(FARTHER)},
          {FILL(FARTHER, VALUE), .orders = UNCHECKED},
          {LOOK(FARTHER, VALUE)},
          {MAP(FAR)},
          {LOOK(FAR, 0), .orders = UNCHECKED},
          {LOOK(F0, INITIAL(F0))}}},
	{"a frame freed, used by another fork",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {FILL(F1, VALUE), ORDER(FAULTED)},
          {UNMAP(F0), ORDER(REVOKED)},
          {OTHER_WRITES},
          {LOOK(F1, VALUE)},
          {READ_FAULTS(F0)}}},
	{"a frame freed and another taken",
         {{FILL(F0, VALUE), ORDER(FAULTED)},
          {FILL(F1, VALUE), ORDER(FAULTED)},
          {DISCARD(F0), ORDER(REVOKED)},
          {OTHER_WRITES},
          {LOOK(F0, 0)},
          {LOOK(F1, VALUE)}}},
	{"tables built anew, the host writes",
         {{LOOK(F0, INITIAL(F0))},
          {FILL(F1, VALUE), ORDER(FAULTED)},
          {UNMAP(F2), ORDER(REVOKED)},
          {RESET},
          {HOST_WRITE(F0, ANOTHER), ORDER(COPIED)},
          {LOOK(F0, ANOTHER)},
          {LOOK(F1, INITIAL(F1))},
          {LOOK(F2, INITIAL(F2))}}},
	{"another fork with the tables of one before, the host writes",
         {{LOOK(F0, INITIAL(F0))},
          {FILL(F1, VALUE), ORDER(FAULTED)},
          {UNMAP(F2), ORDER(REVOKED)},
          {REFORK, ORDER(REUSED)},
          {HOST_WRITE(F0, ANOTHER), ORDER(COPIED)},
          {LOOK(F0, ANOTHER)},
          {LOOK(F1, INITIAL(F1))},
          {LOOK(F2, INITIAL(F2))}}},
	{"another fork with the tables of one before, of another shape",
         {{MAP(SLOT)},
          {FILL(SLOT, VALUE), .orders = UNCHECKED},
          {MAP(FARTHER)},
          {FILL(FARTHER, VALUE), .orders = UNCHECKED},
          {REFORK, ORDER(REUSED)},
          {MAP(FAR)},
          {LOOK(FAR, 0), .orders = UNCHECKED},
          {LOOK(F0, INITIAL(F0))},
          {READ_FAULTS(SLOT)}}},
	{"many tables, then few",
         {{MAP(SLOT)},
          {FILL(SLOT, VALUE), .orders = UNCHECKED},
          {MAP(FAR)},
          {FILL(FAR, VALUE), .orders = UNCHECKED},
          {REFORK, ORDER(REUSED)},
          {MAP(SLOT2)},
          {FILL(SLOT2, ANOTHER), .orders = UNCHECKED},
          {LOOK(SLOT2, ANOTHER)},
          {READ_FAULTS(SLOT)}}},
	{"revoked by another vCPU's run",
         {{LOOK(F0, INITIAL(F0))},
          {LOOK(F0, INITIAL(F0)), .orders = UNCHECKED, ELSEWHERE},
          {PROTECT(F0, PROT_NONE), ORDER(MIGRATED), ELSEWHERE},
          {READ_FAULTS(F0)}}},
	{"written by another vCPU's run",
         {{LOOK(F0, INITIAL(F0))},
          {FILL(F0, VALUE), ORDER(MIGRATED), ELSEWHERE},
          {LOOK(F0, VALUE)},
          {DISCARD(F0), ORDER(MIGRATED), ELSEWHERE},
          {LOOK(F0, 0)},
          {FILL(F0, ANOTHER), ORDER(FAULTED)},
          {LOOK(F0, ANOTHER)}}},
	{"read in by another vCPU's run",
         {{LOOK(F0, INITIAL(F0))}, {READ_IN(F0), ORDER(MIGRATED), ELSEWHERE}, {LOOK(F0, INPUT)}}},
};

static const char *const kind_names[] = {
	[STEP_LOOK] = "look",
	[STEP_CALL] = "call",
	[STEP_FILL] = "fill",
	[STEP_UNMAP] = "unmap",
	[STEP_PROTECT] = "protect",
	[STEP_MAP] = "map",
	[STEP_MOVE] = "move",
	[STEP_DISCARD] = "discard",
	[STEP_READ_IN] = "read in",
	[STEP_CLOCK_IN] = "clock in",
	[STEP_STAT_IN] = "stat in",
	[STEP_READ] = "read",
	[STEP_WRITE] = "write",
	[STEP_STRADDLE] = "straddle",
	[STEP_HANG] = "hang",
	[STEP_RESET] = "reset",
	[STEP_REFORK] = "fork anew",
	[STEP_HOST_WRITE] = "host write",
	[STEP_OTHER_WRITES] = "other fork",
};

static const char *const rule_names[] = {
#define NAME(name) #name,
	INVALIDATION_RULES(NAME) INVALIDATION_MEANS(NAME)
#undef NAME
};

/* Ways to take the steps of a row. */
enum mode {
	WITHIN,  /* as many in one run as possible */
	APART,   /* each in a run of its own: here the orders are checked, too */
	OTHERS,  /* and a run of another fork between any two */
	THREADS, /* each by another vCPU than the one before */
	MODES
};
static const char *const mode_names[MODES] = {"within", "apart", "others", "threads"};

/* A scene: a program's forks, and what went wrong. */

enum finding {
	RIGHT,
	LOOPS,      /* an access that faults without end */
	MISORDERED, /* the module did not order what it must, or more */
	SEEN,       /* a guest saw it */
	FINDINGS
};

/* Another thread, that does one thing at a time. */
struct elsewhere {
	pthread_t thread;
	sem_t start, done;
	void (*job)(void *user); /* NULL: the end */
	void *user;
};

struct scene {
	struct kvmsb *master, *fork, *other;
	uint64_t perform, addresses[PAGES];
	struct elsewhere elsewhere;
	enum mode mode;
	const char *row;
	bool again; /* a fork that has taken this row before, and was reset */
	unsigned calls;
	enum finding finding;
	char problem[400];
};

static void *work_elsewhere(void *user)
{
	struct elsewhere *elsewhere = user;

	for (;;) {
		sem_wait(&elsewhere->start);
		if (elsewhere->job == NULL)
			return NULL;
		elsewhere->job(elsewhere->user);
		sem_post(&elsewhere->done);
	}
}

static void do_elsewhere(struct elsewhere *elsewhere, void (*job)(void *user), void *user)
{
	elsewhere->job = job;
	elsewhere->user = user;
	sem_post(&elsewhere->start);
	if (job != NULL)
		sem_wait(&elsewhere->done);
	else
		pthread_join(elsewhere->thread, NULL);
}

/* The first is kept. Always false. */
__attribute__((format(printf, 3, 4))) static bool wrong(struct scene *scene, enum finding finding,
                                                        const char *format, ...)
{
	va_list arguments;
	int length;

	if (scene->finding != RIGHT)
		return false;
	scene->finding = finding;
	length = snprintf(scene->problem, sizeof(scene->problem), "%s, %s: ", scene->row,
	                  mode_names[scene->mode]);
	va_start(arguments, format);
	vsnprintf(scene->problem + length, sizeof(scene->problem) - (size_t)length, format,
	          arguments);
	va_end(arguments);
	return false;
}

static bool host_did(struct scene *scene, const char *what, int result)
{
	return result == 0 || wrong(scene, SEEN, "%s: %s", what, strerror(-result));
}

static int64_t give_input(void *user, void *data, size_t length)
{
	uint64_t *words = data;

	(void)user;
	for (size_t i = 0; i < length / sizeof(*words); i++)
		words[i] = INPUT;
	return (int64_t)length;
}

/* The time limit of a run is over at a place of our choice: its write fault here, once answered. */
static _Thread_local uint64_t cut_at;
static _Thread_local int cut_by; /* the signal that ends it; 0: not cut yet */

int __real_mm_fault(struct process *process, uint64_t address, unsigned access, bool by_guest);
int __wrap_mm_fault(struct process *process, uint64_t address, unsigned access, bool by_guest);

int __wrap_mm_fault(struct process *process, uint64_t address, unsigned access, bool by_guest)
{
	int result = __real_mm_fault(process, address, access, by_guest);

	if (by_guest && access == SPACE_WRITE && address == cut_at) {
		process->deadline = 1;
		cut_by = process->space->machine->timeout_signal;
	}
	return result;
}

int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *when,
                         struct itimerspec *before);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *when,
                         struct itimerspec *before);

/* The signal may come late, and the write would have been done: not before it is there. */
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *when,
                         struct itimerspec *before)
{
	int result = __real_timer_settime(timer, flags, when, before);
	sigset_t pending;

	for (unsigned i = 0; cut_by != 0 && i < 2000; i++) {
		if (sigpending(&pending) == 0 && sigismember(&pending, cut_by) == 1)
			cut_by = 0;
		else
			usleep(1000);
	}
	cut_by = 0;
	return result;
}

static const struct invalidator *invalidator_of(const struct scene *scene)
{
	return &scene->master->machine->invalidator;
}

static bool is_shadow(const struct scene *scene)
{
	return invalidator_of(scene)->shadow;
}

/* Runs of the guest. */

struct call {
	struct scene *scene;
	struct kvmsb *fork;
	struct invalidation_step steps[MOST_STEPS];
	unsigned count;
	uint64_t cut_at; /* address; 0: nowhere */
	struct kvmsb_result result;
	int failed;
};

static void call_guest(void *user)
{
	struct call *call = user;
	struct kvmsb_call what = KVMSB_CALL_INIT;

	call->result = (struct kvmsb_result)KVMSB_RESULT_INIT;
	what.address = call->scene->perform;
	/* With a rule left out an access may fault without end. */
	what.timeout_ns = scaled_ms(1000);
	what.argument_count = 2;
	what.arguments[0] = (struct kvmsb_argument){
		.kind = KVMSB_ARGUMENT_IN, .input = call->steps, .length = sizeof(call->steps)};
	what.arguments[1].value = call->count;
	cut_at = call->cut_at;
	call->failed = kvmsb_vmcall(call->fork, &what, &call->result);
	cut_at = 0;
}

static bool returned_right(struct scene *scene, const struct call *call)
{
	const struct kvmsb_result *result = &call->result;
	const struct invalidation_step *step;
	uint64_t number = result->value;

	if (result->outcome == KVMSB_OUTCOME_TIMED_OUT)
		return wrong(scene, LOOPS, "%s", fixture_describe(call->fork, result));
	if (result->outcome != KVMSB_OUTCOME_RETURNED || number > call->count)
		return wrong(scene, SEEN, "%s", fixture_describe(call->fork, result));
	if (number == 0)
		return true;
	step = &call->steps[number - 1];
	return wrong(scene, SEEN, "%s of page %u: %#" PRIx64 ", not %#" PRIx64,
	             kind_names[step->kind], step->page, result->value_high, step->value);
}

static bool faulted_right(struct scene *scene, const struct call *call)
{
	const struct kvmsb_result *result = &call->result;
	const struct invalidation_step *step = &call->steps[call->count - 1];
	uint64_t address = scene->addresses[step->page];

	if (step->kind == STEP_STRADDLE)
		address += PAGE_SIZE;
	if (result->outcome == KVMSB_OUTCOME_RETURNED && result->value != 0)
		return returned_right(scene, call);
	if (result->outcome == KVMSB_OUTCOME_FAULTED && result->fault.vector == VECTOR_PF &&
	    result->fault.address == address)
		return true;
	return wrong(scene, result->outcome == KVMSB_OUTCOME_TIMED_OUT ? LOOPS : SEEN,
	             "%s of page %u was to fault: %s", kind_names[step->kind], step->page,
	             fixture_describe(call->fork, result));
}

static bool ended_right(struct scene *scene, const struct call *call, enum ending ends)
{
	if (call->failed < 0)
		return host_did(scene, kvmsb_detail(call->fork), call->failed);
	if (ends == FAULTS)
		return faulted_right(scene, call);
	if (ends == GOES_ON)
		return returned_right(scene, call);
	return call->result.outcome == KVMSB_OUTCOME_TIMED_OUT ||
	       wrong(scene, SEEN, "time was over: %s", fixture_describe(call->fork, &call->result));
}

/* Takes guest's steps in one run. */
static bool take_steps(struct scene *scene, struct kvmsb *fork, const struct step *steps,
                       unsigned count, bool elsewhere)
{
	struct call call = {.scene = scene, .fork = fork, .count = count};
	enum ending ends = count > 0 ? steps[count - 1].ends : GOES_ON;

	for (unsigned i = 0; i < count; i++)
		call.steps[i] = steps[i].does;
	if (ends == TIMES_OUT)
		call.cut_at = scene->addresses[steps[count - 1].does.page];
	if (elsewhere)
		do_elsewhere(&scene->elsewhere, call_guest, &call);
	else
		call_guest(&call);
	return ended_right(scene, &call, ends);
}

/* A run that does nothing: what waited for an entry has been done then. */
static bool settle(struct scene *scene)
{
	return take_steps(scene, scene->fork, NULL, 0, false);
}

static bool faults_then_reset(struct scene *scene, struct kvmsb *fork, const struct step *step)
{
	return take_steps(scene, fork, step, 1, false) && host_did(scene, "reset", kvmsb_reset(fork));
}

/* As a fork just made. What gives it tables of its own comes last. */
static bool looks_new(struct scene *scene, struct kvmsb *fork)
{
	static const struct step looks[] = {
		{LOOK(F0, INITIAL(F0))},
		{LOOK(F1, INITIAL(F1))},
		{LOOK(F2, INITIAL(F2))},
		{LOOK(F3, INITIAL(F3))},
		{LOOK(READABLE, INITIAL(READABLE))},
		{CALL(CODE, INITIAL_NUMBER)},
	};
	static const struct step faults[] = {{READ_FAULTS(SLOT)},
	                                     {READ_FAULTS(SLOT2)},
	                                     {READ_FAULTS(FAR)},
	                                     {WRITE_FAULTS(READABLE)}};
	static const struct step untouched = {LOOK(UNTOUCHED, 0)};

	if (!take_steps(scene, fork, looks, ARRAY_SIZE(looks), false))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		if (!faults_then_reset(scene, fork, &faults[i]))
			return false;
	return take_steps(scene, fork, &untouched, 1, false);
}

static bool other_writes(struct scene *scene)
{
	static const struct step steps[] = {
		{FILL(F0, THEIRS)},     {FILL(F1, THEIRS + 1)}, {FILL(F2, THEIRS + 2)},
		{FILL(F3, THEIRS + 3)}, {LOOK(F0, THEIRS)},     {LOOK(F1, THEIRS + 1)},
		{LOOK(F2, THEIRS + 2)}, {LOOK(F3, THEIRS + 3)},
	};

	return take_steps(scene, scene->other, steps, ARRAY_SIZE(steps), false);
}

static bool other_runs(struct scene *scene)
{
	static const struct step steps[] = {
		{LOOK(F0, INITIAL(F0))},
		{LOOK(F1, INITIAL(F1))},
		{LOOK(F2, INITIAL(F2))},
		{LOOK(F3, INITIAL(F3))},
	};

	return host_did(scene, "reset", kvmsb_reset(scene->other)) &&
	       take_steps(scene, scene->other, steps, ARRAY_SIZE(steps), false) &&
	       other_writes(scene);
}

/* Steps of the host. */

/*
 * With frames that others had before, not as what was kept of the destroyed one.
 * Where tables wait, none are used again yet, and reclaiming would drop the shadow.
 */
static bool fork_anew(struct scene *scene, struct kvmsb **fork)
{
	kvmsb_destroy(*fork);
	*fork = NULL;
	if (!is_shadow(scene))
		space_reclaim(scene->master->machine);
	return host_did(scene, "fork", kvmsb_fork(scene->master, fork, NULL));
}

static bool host_writes(struct scene *scene, const struct invalidation_step *step)
{
	uint64_t words[PAGE_SIZE / 8];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = step->value;
	return host_did(scene, "kvmsb_memory_write",
	                kvmsb_memory_write(scene->fork, scene->addresses[step->page], words,
	                                   sizeof(words)));
}

static bool host_step(struct scene *scene, const struct step *step)
{
	switch (step->does.kind) {
	case STEP_RESET:
		return host_did(scene, "reset", kvmsb_reset(scene->fork));
	case STEP_REFORK:
		return fork_anew(scene, &scene->fork);
	case STEP_HOST_WRITE:
		return host_writes(scene, &step->does);
	default:
		return other_writes(scene);
	}
}

/* Orders: what the module did about a step, by its counters and by CR3. */

struct orders {
	uint64_t counts[INVALIDATION_COUNTS];
	uint64_t cr3; /* as given to KVM for this thread's vCPU */
};

static struct orders orders_now(const struct scene *scene)
{
	struct orders orders = {
		.cr3 = scene->master->machine->vcpus[0]->run->s.regs.sregs.cr3,
	};

	for (size_t i = 0; i < INVALIDATION_COUNTS; i++)
		orders.counts[i] = invalidator_count(invalidator_of(scene),
		                                     (enum invalidation_count)i);
	return orders;
}

static uint64_t since(const struct orders *before, const struct orders *now,
                      enum invalidation_count what)
{
	return now->counts[what] - before->counts[what];
}

static uint64_t drops_since(const struct orders *before, const struct orders *now)
{
	return since(before, now, INVALIDATION_PAGE) + since(before, now, INVALIDATION_PATH) +
	       since(before, now, INVALIDATION_SHADOW);
}

/* None: INVALIDATION_COUNTS. */
static enum invalidation_count rule_of(const struct step *step)
{
	return step->orders > 0 ? (enum invalidation_count)(step->orders - 1) : INVALIDATION_COUNTS;
}

static bool walked_orders_right(const struct orders *before, const struct orders *now,
                                const struct step *step)
{
	uint64_t flushes = since(before, now, INVALIDATION_FLUSH);
	bool differs = now->cr3 != before->cr3;

	if (drops_since(before, now) + since(before, now, INVALIDATION_RELEASED) > 0)
		return false;
	if (step->orders == NOTHING)
		return flushes == 0 && !differs;
	/* Of two flushes the second takes back what the first did to CR3; here there is one. */
	return flushes > 0 && differs;
}

static bool shadow_orders_right(const struct orders *before, const struct orders *now,
                                const struct step *step)
{
	uint64_t drops = drops_since(before, now);

	if (since(before, now, INVALIDATION_FLUSH) > 0)
		return false;
	switch (rule_of(step)) {
	case INVALIDATION_REVOKED:
	case INVALIDATION_COPIED:
		/* A frame that goes takes its translations along; so does a table that moves. */
		return drops + since(before, now, INVALIDATION_FREED) +
		               since(before, now, INVALIDATION_RELEASED) >
		       0;
	case INVALIDATION_LINKED:
		return drops == 0 && since(before, now, INVALIDATION_RELEASED) > 0;
	case INVALIDATION_MIGRATED:
	case INVALIDATION_REUSED:
		return true;
	default:
		return drops == 0;
	}
}

static bool orders_right(struct scene *scene, const struct orders *before, const struct step *step)
{
	struct orders now = orders_now(scene);
	bool right = is_shadow(scene) ? shadow_orders_right(before, &now, step)
	                              : walked_orders_right(before, &now, step);

	/* Where there are no flushes there is no root whose reuse needs one. */
	if (step->orders > 0 && !(is_shadow(scene) && rule_of(step) == INVALIDATION_REUSED))
		right = right && since(before, &now, rule_of(step)) > 0;
	return right || wrong(scene, MISORDERED,
	                      "%s of page %u: %s %" PRIu64 ", flushes %" PRIu64 ", drops %" PRIu64
	                      ", CR3 %#" PRIx64 ", then %#" PRIx64,
	                      kind_names[step->does.kind], step->does.page,
	                      step->orders > 0 ? rule_names[rule_of(step)] : "nothing",
	                      step->orders > 0 ? since(before, &now, rule_of(step)) : 0,
	                      since(before, &now, INVALIDATION_FLUSH), drops_since(before, &now),
	                      before->cr3, now.cr3);
}

/* Taking a row. */

static bool is_of_guest(const struct step *step)
{
	return step->does.kind < STEP_GUEST_KINDS;
}

/* How many steps from here on are taken in one run. */
static unsigned steps_of_run(const struct scene *scene, const struct step *steps, unsigned left)
{
	unsigned count = 1;

	if (scene->mode != WITHIN || !is_of_guest(&steps[0]))
		return 1;
	while (count < left && steps[count - 1].ends == GOES_ON && is_of_guest(&steps[count]) &&
	       steps[count].elsewhere == steps[0].elsewhere)
		count++;
	return count;
}

static bool take_run(struct scene *scene, const struct step *steps, unsigned count)
{
	bool elsewhere = steps[0].elsewhere;

	if (!is_of_guest(&steps[0]))
		return host_step(scene, &steps[0]);
	scene->calls++;
	if (scene->mode == THREADS)
		elsewhere = scene->calls % 2 == 0;
	return take_steps(scene, scene->fork, steps, count, elsewhere);
}

static bool take_one_apart(struct scene *scene, const struct step *step)
{
	struct orders before = orders_now(scene);

	if (!take_run(scene, step, 1))
		return false;
	/* What is to be done at the next entry here is done now. */
	if (step->ends == GOES_ON && (!is_of_guest(step) || step->elsewhere) && !settle(scene))
		return false;
	return step->orders == UNCHECKED || orders_right(scene, &before, step);
}

static unsigned count_steps(const struct row *row)
{
	unsigned count = 0;

	while (count < MOST_STEPS && row->steps[count].does.kind != STEP_END)
		count++;
	return count;
}

static bool take_row(struct scene *scene, const struct row *row)
{
	unsigned all = count_steps(row), count;

	for (unsigned i = 0; i < all; i += count) {
		bool right;

		count = steps_of_run(scene, &row->steps[i], all - i);
		if (scene->mode == OTHERS && !other_runs(scene))
			return false;
		right = scene->mode == APART && !scene->again
		                ? take_one_apart(scene, &row->steps[i])
		                : take_run(scene, &row->steps[i], count);
		if (!right)
			return false;
	}
	return true;
}

/* A fork with tables and pages of nobody before: one that unmapped something is not kept. */
static bool fork_from_nothing(struct scene *scene, struct kvmsb **fork)
{
	static const struct step spoil = {UNMAP(F3)};

	return host_did(scene, "reset", kvmsb_reset(*fork)) &&
	       take_steps(scene, *fork, &spoil, 1, false) && fork_anew(scene, fork);
}

static bool start_anew(struct scene *scene)
{
	return fork_from_nothing(scene, &scene->other) && fork_from_nothing(scene, &scene->fork) &&
	       settle(scene);
}

/* What happened stays in the fork, and goes with its reset. */
static bool all_is_new(struct scene *scene)
{
	return host_did(scene, "reset", kvmsb_reset(scene->other)) &&
	       looks_new(scene, scene->other) &&
	       host_did(scene, "reset", kvmsb_reset(scene->fork)) && looks_new(scene, scene->fork);
}

static bool ends_by_time(const struct row *row)
{
	for (unsigned i = 0; i < MOST_STEPS; i++)
		if (row->steps[i].ends == TIMES_OUT)
			return true;
	return false;
}

/* Twice: in a new fork, then in that fork after its reset, which has pages of its own. */
static bool row_is_right(struct scene *scene, const struct row *row, enum mode mode)
{
	scene->mode = mode;
	scene->row = row->name;
	scene->finding = RIGHT;
	if (!start_anew(scene))
		return false;
	scene->again = false;
	if (!take_row(scene, row) || !all_is_new(scene))
		return false;
	/* A page that the fork has already does not fault, so nothing cuts the run short. */
	if (ends_by_time(row))
		return true;
	scene->again = true;
	return take_row(scene, row) && all_is_new(scene);
}

/* Dirty bits: what a reset restores. */

#define ALWAYS 8u      /* pages that each call writes, from page 0 on */
#define ALWAYS_END 32u /* ... and up to here only the first */
#define HOST_ALWAYS 4u /* that the host writes after each call, from ALWAYS_END on */
#define SELDOM 48u     /* from here to SELDOM_END both of them, now and then */
#define SELDOM_END 56u
#define RESETS 72u
/* From here on nothing is written now and then; a sweep comes in between (space.c). */
#define SELDOM_STOPS 24u
#define SWEPT 66u

static bool call_value(struct scene *scene, const char *symbol, struct numbers numbers,
                       uint64_t *value)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	what.symbol = symbol;
	what.argument_count = 3;
	for (size_t i = 0; i < 3; i++)
		what.arguments[i].value = numbers.value[i];
	if (!host_did(scene, symbol, kvmsb_vmcall(scene->fork, &what, &result)))
		return false;
	*value = result.value;
	return result.outcome == KVMSB_OUTCOME_RETURNED ||
	       wrong(scene, SEEN, "%s: %s", symbol, fixture_describe(scene->fork, &result));
}

static bool guest_touches(struct scene *scene, unsigned first, unsigned end, uint64_t value)
{
	uint64_t unused;

	return call_value(scene, "touch_area", NUMBERS(first, end - first, value), &unused);
}

static bool host_touches(struct scene *scene, uint64_t area, unsigned first, unsigned end,
                         uint64_t value)
{
	for (unsigned page = first; page < end; page++)
		if (!host_did(scene, "kvmsb_memory_write",
		              kvmsb_memory_write(scene->fork, area + page * PAGE_SIZE + 8, &value,
		                                 sizeof(value))))
			return false;
	return true;
}

static bool touch(struct scene *scene, uint64_t area, unsigned round)
{
	bool seldom = round % 5 == 0 && round < SELDOM_STOPS;
	unsigned middle = (SELDOM + SELDOM_END) / 2;

	return guest_touches(scene, 0, round == 0 ? ALWAYS_END : ALWAYS, round + 1) &&
	       host_touches(scene, area, ALWAYS_END, round == 0 ? SELDOM : ALWAYS_END + HOST_ALWAYS,
	                    round + 1) &&
	       (!seldom || (guest_touches(scene, SELDOM, middle, round + 1) &&
	                    host_touches(scene, area, middle, SELDOM_END, round + 1)));
}

static bool area_is_new(struct scene *scene, unsigned round)
{
	uint64_t changed;

	if (!call_value(scene, "changed_in_area", NO_NUMBERS, &changed))
		return false;
	return changed == 0 ||
	       wrong(scene, SEEN, "reset %u: page %" PRIu64 " was not restored", round, changed - 1);
}

/* All private pages, or those that were written; of the stack some more. */
static bool restored_right(struct scene *scene, uint64_t restored, uint64_t private, unsigned round)
{
	uint64_t written = ALWAYS + HOST_ALWAYS, others = private - SELDOM_END;

	if (!scene->master->machine->host->dirty_bits)
		return restored == private ||
		       wrong(scene, MISORDERED, "reset %u: %" PRIu64 " pages of %" PRIu64 " restored",
		             round, restored, private);
	if (round < SWEPT || (restored >= written && restored <= written + others))
		return true;
	return wrong(scene, MISORDERED,
	             "reset %u: %" PRIu64 " pages restored, %" PRIu64 " and up to %" PRIu64
	             " others written",
	             round, restored, written, others);
}

static bool reset_restores(struct scene *scene, unsigned round)
{
	struct kvmsb_statistics before = fixture_statistics(scene->fork), after;

	if (!host_did(scene, "reset", kvmsb_reset(scene->fork)))
		return false;
	after = fixture_statistics(scene->fork);
	return restored_right(scene, after.pages_restored - before.pages_restored,
	                      before.pages_private, round);
}

/* A sweep must reach the processor at the next entry; where none was, nothing happens there. */
static bool sweep_is_ordered(struct scene *scene, const struct orders *before)
{
	struct orders swept = orders_now(scene), after;
	bool sweep = since(before, &swept, INVALIDATION_CLEANED) > 0;

	if (!settle(scene))
		return false;
	after = orders_now(scene);
	if (is_shadow(scene))
		return !sweep || wrong(scene, MISORDERED, "dirty bits cleared");
	return sweep == (after.cr3 != before->cr3) ||
	       wrong(scene, MISORDERED, "dirty bits %scleared: CR3 %#" PRIx64 ", then %#" PRIx64,
	             sweep ? "" : "not ", before->cr3, after.cr3);
}

static bool dirty_round(struct scene *scene, uint64_t area, unsigned round)
{
	struct orders before;

	if (!touch(scene, area, round) || !settle(scene))
		return false;
	before = orders_now(scene);
	return reset_restores(scene, round) && sweep_is_ordered(scene, &before) &&
	       area_is_new(scene, round);
}

static bool dirty_bits_are_right(struct scene *scene)
{
	uint64_t area;

	scene->mode = APART;
	scene->row = "dirty bits";
	scene->finding = RIGHT;
	if (!start_anew(scene) || !call_value(scene, "area_address", NO_NUMBERS, &area))
		return false;
	for (unsigned round = 0; round < RESETS; round++)
		if (!dirty_round(scene, area, round))
			return false;
	return true;
}

/* Steady state. */

#define STEADY_CALLS 40u
#define STEADY_PAGES 8u

static bool learned_call(struct scene *scene, uint64_t value)
{
	return host_did(scene, "reset", kvmsb_reset(scene->fork)) &&
	       guest_touches(scene, 0, STEADY_PAGES, value);
}

static bool steady_calls(struct scene *scene)
{
	struct orders before, after;

	scene->mode = APART;
	scene->row = "learned calls";
	for (unsigned i = 0; i < 4; i++)
		if (!learned_call(scene, i))
			return false;
	before = orders_now(scene);
	for (unsigned i = 0; i < STEADY_CALLS; i++)
		if (!learned_call(scene, i))
			return false;
	after = orders_now(scene);
	for (enum invalidation_count i = 0; i < INVALIDATION_COUNTS; i++)
		if (since(&before, &after, i) > 0)
			return wrong(scene, MISORDERED, "%s: %" PRIu64, rule_names[i],
			             since(&before, &after, i));
	return true;
}

/* Table frames of forks that are gone. */

#define CHURN_LEAST 50u
#define CHURN_MOST 2000u

/* Tables of all levels come and go, in two shapes by turns: what the master has and a fork not is built anew. */
static bool churn_once(struct scene *scene, unsigned round)
{
	static const struct step steps[2][7] = {
		{
			{LOOK(F0, INITIAL(F0))},
			{FILL(F1, VALUE)},
			{MAP(FAR)},
			{FILL(FAR, VALUE)},
			{LOOK(F1, VALUE)},
			{LOOK(F2, INITIAL(F2))},
			{UNMAP(F2)},
		},
		{
			{MAP(FARTHER)},
			{FILL(FARTHER, ANOTHER)},
			{LOOK(F1, INITIAL(F1))},
			{FILL(F0, ANOTHER)},
			{LOOK(FARTHER, ANOTHER)},
			{LOOK(F0, ANOTHER)},
			{UNMAP(F2)},
		},
	};

	return take_steps(scene, scene->fork, steps[round % 2], ARRAY_SIZE(steps[0]), false) &&
	       looks_new(scene, scene->other) && fork_anew(scene, &scene->fork);
}

/* Until the frames that wait are enough for a drop of the shadow, and on with them. */
static bool tables_are_used_again(struct scene *scene)
{
	struct orders before = orders_now(scene), now = before;
	unsigned rounds = 0, after = 0;

	scene->mode = WITHIN;
	scene->row = "tables used again";
	scene->finding = RIGHT;
	for (; rounds < CHURN_MOST && after < CHURN_LEAST; rounds++) {
		if (!churn_once(scene, rounds))
			return false;
		now = orders_now(scene);
		after += !is_shadow(scene) || since(&before, &now, INVALIDATION_SHADOW) > 0;
	}
	return after > 0 || wrong(scene, MISORDERED, "%" PRIu64 " tables wait",
	                          since(&before, &now, INVALIDATION_RELEASED));
}

/* All there is to take, with a rule left out, too: each row in each mode, and the dirty bits. */
#define TAKES (ARRAY_SIZE(rows) * MODES + 1)

static bool take_is_right(struct scene *scene, size_t number)
{
	if (number == TAKES - 1)
		return dirty_bits_are_right(scene);
	return row_is_right(scene, &rows[number / MODES], number % MODES);
}

/* Setting up. */

static void scene_setup(struct scene *scene, enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("invalidation-static"));

	*scene = (struct scene){.row = "start"};
	options.entry = entry;
	options.standard_input.read = give_input;
	/* Else pages are private before the rows get to what makes them so. */
	options.learned_pages_limit = KVMSB_NO_LEARNING;
	scene->master = fixture_master(&options);
	scene->perform = fixture_symbol(scene->master, "perform");
	scene->fork = fixture_fork(scene->master);
	scene->other = fixture_fork(scene->master);
	for (unsigned page = 0; page < PAGES; page++)
		scene->addresses[page] = fixture_value(scene->fork, "address_of", NUMBERS(page));
	assert_int_equal(kvmsb_reset(scene->fork), 0);
	sem_init(&scene->elsewhere.start, 0, 0);
	sem_init(&scene->elsewhere.done, 0, 0);
	assert_int_equal(
		pthread_create(&scene->elsewhere.thread, NULL, work_elsewhere, &scene->elsewhere), 0);
}

static void scene_teardown(struct scene *scene)
{
	do_elsewhere(&scene->elsewhere, NULL, NULL);
	sem_destroy(&scene->elsewhere.start);
	sem_destroy(&scene->elsewhere.done);
	kvmsb_destroy(scene->fork);
	kvmsb_destroy(scene->other);
	kvmsb_destroy(scene->master);
}

static void statistics_are_the_counts(const struct scene *scene)
{
	const struct invalidator *invalidator = invalidator_of(scene);
	struct kvmsb_statistics statistics = fixture_statistics(scene->master);

	assert_int_equal(statistics.machine_forced_flushes,
	                 invalidator_count(invalidator, INVALIDATION_FLUSH));
	assert_int_equal(statistics.machine_frame_drops,
	                 invalidator_count(invalidator, INVALIDATION_PAGE));
	assert_int_equal(statistics.machine_path_moves,
	                 invalidator_count(invalidator, INVALIDATION_PATH));
	assert_int_equal(statistics.machine_shadow_drops,
	                 invalidator_count(invalidator, INVALIDATION_SHADOW));
	assert_int_equal(statistics.machine_revocations,
	                 invalidator_count(invalidator, INVALIDATION_REVOKED));
	assert_int_equal(statistics.machine_host_copies,
	                 invalidator_count(invalidator, INVALIDATION_COPIED));
	assert_int_equal(statistics.machine_guest_copies,
	                 invalidator_count(invalidator, INVALIDATION_FAULTED));
	assert_int_equal(statistics.machine_unsharing_maps,
	                 invalidator_count(invalidator, INVALIDATION_LINKED));
	assert_int_equal(statistics.machine_frames_freed,
	                 invalidator_count(invalidator, INVALIDATION_FREED));
	assert_int_equal(statistics.machine_tables_waited,
	                 invalidator_count(invalidator, INVALIDATION_RELEASED));
	assert_int_equal(statistics.machine_dirty_sweeps,
	                 invalidator_count(invalidator, INVALIDATION_CLEANED));
	assert_int_equal(statistics.machine_space_moves,
	                 invalidator_count(invalidator, INVALIDATION_MIGRATED));
	assert_int_equal(statistics.machine_roots_reused,
	                 invalidator_count(invalidator, INVALIDATION_REUSED));
}

static void say_wrong(const struct scene *scene, enum kvmsb_entry entry)
{
	print_error("%s: %s\n", fixture_entry_name(entry), scene->problem);
}

static void every_edit_is_seen(void **unused)
{
	unsigned wrong_rows = 0;

	(void)unused;
	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct scene scene;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		scene_setup(&scene, fixture_entries[e]);
		for (size_t i = 0; i < TAKES; i++) {
			if (take_is_right(&scene, i))
				continue;
			say_wrong(&scene, fixture_entries[e]);
			wrong_rows++;
			assert_true(fork_anew(&scene, &scene.fork));
		}
		statistics_are_the_counts(&scene);
		scene_teardown(&scene);
	}
	assert_int_equal(wrong_rows, 0);
}

/* Each rule left out. */

/* An emulator's TLB is empty at each entry, so there only the order can be missed. */
#define BY_ORDERS                                                                                  \
	{                                                                                          \
		MISORDERED, "whether a guest sees it is up to the processor"                       \
	}
#define BY_GUEST                                                                                   \
	{                                                                                          \
		SEEN, "must be seen"                                                               \
	}
#define NOT_AT_ALL(why)                                                                            \
	{                                                                                          \
		RIGHT, "cannot be seen: " why                                                      \
	}

/* What each kind of host must notice, at least. Where that is nothing, no guest may see anything. */
static const struct {
	struct {
		enum finding least;
		const char *remark;
	} walked, shadow;
} must_notice[] = {
	[INVALIDATION_REVOKED] = {BY_ORDERS, BY_GUEST},
	[INVALIDATION_COPIED] = {BY_ORDERS, BY_GUEST},
	[INVALIDATION_FAULTED] = {BY_ORDERS, BY_GUEST},
	[INVALIDATION_CLEANED] = {BY_ORDERS, NOT_AT_ALL("never done")},
	[INVALIDATION_LINKED] = {NOT_AT_ALL("it only saves a fault"), BY_GUEST},
	[INVALIDATION_FREED] = {NOT_AT_ALL("the edit of the leaf flushes"), BY_GUEST},
	[INVALIDATION_RELEASED] = {NOT_AT_ALL("nothing waits"), BY_GUEST},
	[INVALIDATION_MIGRATED] = {BY_ORDERS, NOT_AT_ALL("all vCPUs have one shadow")},
	[INVALIDATION_REUSED] = {BY_ORDERS, NOT_AT_ALL("the frame of a root has waited")},
};

struct tally {
	unsigned found[FINDINGS];
	char first[FINDINGS][sizeof(((struct scene *)0)->problem)];
};

static void tally_take(struct scene *scene, size_t number, struct tally *tally)
{
	if (take_is_right(scene, number))
		return;
	if (tally->found[scene->finding]++ == 0)
		memcpy(tally->first[scene->finding], scene->problem, sizeof(scene->problem));
	if (!fork_anew(scene, &scene->fork))
		fail_msg("no fork");
}

/* In a machine of its own, which goes with all that is wrong in it. */
static void leave_out(enum invalidation_count rule, bool *shadow, struct tally *tally)
{
	struct scene scene;

	scene_setup(&scene, KVMSB_ENTRY_AUTOMATIC);
	*shadow = is_shadow(&scene);
	invalidation_left_out = rule;
	for (size_t i = 0; i < TAKES; i++)
		tally_take(&scene, i, tally);
	scene_teardown(&scene);
	invalidation_left_out = INVALIDATION_COUNTS;
}

static enum finding best(const struct tally *tally)
{
	enum finding finding = SEEN;

	while (finding > RIGHT && tally->found[finding] == 0)
		finding--;
	return finding;
}

static void print_tally(enum invalidation_count rule, const char *host, const char *remark,
                        const struct tally *tally)
{
	print_message("%s without %s (%s): seen inside %u times, orders wrong %u times, "
	              "endless faults %u times\n",
	              host, rule_names[rule], remark, tally->found[SEEN], tally->found[MISORDERED],
	              tally->found[LOOPS]);
	for (enum finding finding = LOOPS; finding < FINDINGS; finding++)
		if (tally->found[finding] > 0)
			print_message("  %s\n", tally->first[finding]);
}

static bool is_noticed(enum invalidation_count rule)
{
	struct tally tally = {0};
	enum finding least;
	bool shadow;

	leave_out(rule, &shadow, &tally);
	least = shadow ? must_notice[rule].shadow.least : must_notice[rule].walked.least;
	print_tally(rule, shadow ? "shadow" : "walked",
	            shadow ? must_notice[rule].shadow.remark : must_notice[rule].walked.remark,
	            &tally);
	return best(&tally) >= least && (least != RIGHT || best(&tally) != SEEN);
}

static void a_rule_left_out_is_noticed(void **unused)
{
	unsigned missed = 0;

	(void)unused;
	for (enum invalidation_count rule = 0; rule <= INVALIDATION_REUSED; rule++)
		if (!is_noticed(rule)) {
			print_error("%s left out: not as must_notice[] has it\n", rule_names[rule]);
			missed++;
		}
	assert_int_equal(missed, 0);
}

/* What needs no rows: on each path, in a new machine. */
static void on_each_path(bool (*is_right)(struct scene *scene))
{
	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct scene scene;
		bool right;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		scene_setup(&scene, fixture_entries[e]);
		right = is_right(&scene);
		if (!right)
			say_wrong(&scene, fixture_entries[e]);
		scene_teardown(&scene);
		assert_true(right);
	}
}

static void a_learned_call_orders_nothing(void **unused)
{
	(void)unused;
	on_each_path(steady_calls);
}

static void tables_of_forks_are_used_again(void **unused)
{
	(void)unused;
	on_each_path(tables_are_used_again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edit_is_seen),
		cmocka_unit_test(a_learned_call_orders_nothing),
		cmocka_unit_test(tables_of_forks_are_used_again),
		cmocka_unit_test(a_rule_left_out_is_noticed),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
