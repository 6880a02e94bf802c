/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-soak: several threads fork, call, request, reset and destroy at random,
 * for some seconds, over a few masters whose limits differ; forks go from thread
 * to thread under a lock, and signals come in. Every answer is checked against a model
 * (soak_operations.c). In the middle and at the end all forks go, and what they
 * had must be back: frames and page tables of the machine, memory of process and
 * kernel; after the masters, descriptors, mappings and timers, too.
 *
 * What one thread does is a function of the seed; what it meets depends on the
 * others in timing.
 */
#include "soak.h"

#include "machine.h"
#include "sandbox.h"
#include "sanitized.h"
#include "sequence.h"
#include "time_limit.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CANNOT_RUN 77
#define SECONDS_DEFAULT 10
#define SECONDS_MOST 86400
#define SECOND UINT64_C(1000000000)
#define MEBIBYTE (UINT64_C(1) << 20)
#define SIGNAL_INTERVAL_US 3000

/*
 * What may be there at the end that was not in the middle: the C library keeps what
 * it once had, and the most that was in use at once is a random number; with
 * AddressSanitizer what was freed and the stacks of its reports stay for a while. A
 * page lost in every fifth operation of ten seconds is more.
 */
#if SANITIZED
#define RESIDENT_GROWTH (24 * MEBIBYTE)
#define MAPPING_GROWTH 512
#else
#define RESIDENT_GROWTH (6 * MEBIBYTE)
#define MAPPING_GROWTH 32
#endif
/* The kernel's is that of the whole system: other tests run at the same time. */
#define KERNEL_GROWTH (64 * MEBIBYTE)

/* The default quarantine would fill all through a run, and look like a leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8";
}

static struct soak soak;

static const char usage[] =
	"usage: kvmsb-soak [--seconds N] [--seed N]\n"
	"\n"
	"Uses forks at random from several threads and checks what they answer, then that\n"
	"all they had is back.\n"
	"\n"
	"  --seconds N  how long (default 10, or KVMSB_SOAK_SECONDS of the environment)\n"
	"  --seed N     which sequence (default: another each time, or KVMSB_SOAK_SEED)\n"
	"  --help       this text\n"
	"\n"
	"Exit status: 0; 1 if something was wrong; 2 for a wrong option; 77 if KVM\n"
	"cannot be used here.\n";

/* Masters: one with plenty, one with fewer vCPUs than threads, one with a single one and little memory. */

static int open_masters(void)
{
	static const char *const names[SOAK_MASTERS] = {"the roomy master", "the one with two vCPUs",
	                                                "the one with one vCPU"};
	static const uint32_t vcpu_limits[SOAK_MASTERS] = {0, 2, 1};
	static const uint64_t memory_limits[SOAK_MASTERS] = {8 * MEBIBYTE, 4 * MEBIBYTE, MEBIBYTE};
	static const enum kvmsb_entry entries[SOAK_MASTERS] = {
		KVMSB_ENTRY_AUTOMATIC, KVMSB_ENTRY_AUTOMATIC, KVMSB_ENTRY_EXCEPTION};

	for (size_t i = 0; i < SOAK_MASTERS; i++) {
		struct kvmsb_options options = master_options(&soak);
		struct master *master = &soak.masters[i];
		const struct memory *memory;

		options.vcpu_limit = vcpu_limits[i];
		options.fork_memory_limit = memory_limits[i];
		options.entry = entries[i];
		master->name = names[i];
		if (master_open(&soak, master, &options) < 0)
			return -1;
		memory = &master->sandbox->machine->memory;
		master->frames = memory->frames_in_use;
		master->tables = memory->tables_in_use;
	}
	return 0;
}

static void close_masters(void)
{
	for (size_t i = 0; i < SOAK_MASTERS; i++) {
		kvmsb_destroy(soak.masters[i].sandbox);
		soak.masters[i].sandbox = NULL;
	}
}

/*
 * Memory that machines do not give back: page tables, for they are used again, and
 * what may come populated when guest memory grows.
 */
static uint64_t lasting_bytes(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SOAK_MASTERS; i++) {
		const struct memory *memory = &soak.masters[i].sandbox->machine->memory;

		sum += memory->tables.used + memory->data.committed + memory->tables.committed;
	}
	return sum;
}

/* Threads. */

static void *work(void *argument)
{
	struct worker *worker = argument;

	worker->at = "fork of the helper";
	if (kvmsb_fork(soak.masters[0].sandbox, &worker->helper, NULL) < 0) {
		soak_fail(worker, "no helper");
		return NULL;
	}
	while (!soak.failed && time_now() < soak.stop_at && operate(worker) == 0)
		;
	kvmsb_destroy(worker->helper);
	worker->helper = NULL;
	return NULL;
}

/* Signals of others must not end a run. */
static void disturb(void)
{
	uint64_t random = soak.seed | 1;

	while (!soak.failed && time_now() < soak.stop_at) {
		pthread_kill(soak.workers[sequence_below(&random, SOAK_THREADS)].thread, SIGUSR1);
		usleep(SIGNAL_INTERVAL_US);
	}
}

static int work_for(uint64_t duration_ns)
{
	unsigned started = 0;

	soak.stop_at = time_now() + duration_ns;
	while (started < SOAK_THREADS && pthread_create(&soak.workers[started].thread, NULL, work,
	                                                &soak.workers[started]) == 0)
		started++;
	if (started == SOAK_THREADS)
		disturb();
	else
		soak.failed = true;
	for (unsigned i = 0; i < started; i++)
		pthread_join(soak.workers[i].thread, NULL);
	return soak.failed ? -1 : 0;
}

/* All forks go: what is left of each machine must be its master. */

static int complain(const char *what, uint64_t is, uint64_t was)
{
	fprintf(stderr, "soak: seed %llu: %s: %llu, and was %llu\n", (unsigned long long)soak.seed,
	        what, (unsigned long long)is, (unsigned long long)was);
	return -1;
}

static int check_machine(const struct master *master)
{
	struct machine *machine = master->sandbox->machine;
	const struct memory *memory = &machine->memory;
	int result = 0;

	space_reclaim(machine);
	if (machine->statistics.forks != 0)
		result = complain("live forks", machine->statistics.forks, 0);
	if (memory->frames_in_use != master->frames)
		result = complain("frames in use", memory->frames_in_use, master->frames);
	if (memory->tables_in_use != master->tables)
		result = complain("page tables in use", memory->tables_in_use, master->tables);
	if (result < 0)
		fprintf(stderr, "... in the machine of %s\n", master->name);
	return result;
}

static int retire_all(void)
{
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(soak.members); i++)
		result |= member_retire(&soak.workers[0], &soak.members[i]);
	for (size_t i = 0; i < SOAK_MASTERS; i++)
		result |= check_machine(&soak.masters[i]);
	malloc_trim(0);
	return result;
}

static void print_holdings(const char *when, const struct holdings *holdings)
{
	printf("%s: %llu KiB resident, kernel %llu KiB, %u descriptors, %u mappings, %u timers\n",
	       when, (unsigned long long)holdings->resident >> 10,
	       (unsigned long long)holdings->kernel >> 10, holdings->descriptors,
	       holdings->mappings, holdings->timers);
	fflush(stdout);
}

/* New threads get new vCPUs, up to the limit. */
static unsigned count_vcpus(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < SOAK_MASTERS; i++)
		count += soak.masters[i].sandbox->machine->vcpu_count;
	return count;
}

/* Half of the run, and what is left of it, but for what belongs to vCPUs. */
static int run_half(uint64_t duration_ns, const char *name, struct holdings *holdings)
{
	unsigned vcpus;

	if (work_for(duration_ns) < 0 || retire_all() < 0)
		return -1;
	*holdings = holdings_now();
	print_holdings(name, holdings);
	vcpus = count_vcpus();
	holdings->descriptors -= vcpus;
	holdings->mappings -= vcpus;
	return 0;
}

static int compare(const char *what, uint64_t is, uint64_t was, uint64_t growth)
{
	return is > was + growth ? complain(what, is, was) : 0;
}

static int check_flat(const struct holdings *middle, const struct holdings *end, uint64_t lasting)
{
	int result = compare("bytes resident", end->resident, middle->resident,
	                     RESIDENT_GROWTH + lasting);

	result |= compare("bytes of the kernel", end->kernel, middle->kernel, KERNEL_GROWTH);
	result |= compare("descriptors", end->descriptors, middle->descriptors, 0);
	return result | compare("mappings", end->mappings, middle->mappings, MAPPING_GROWTH);
}

static int check_empty(const struct holdings *before, const struct holdings *after)
{
	int result = compare("descriptors", after->descriptors, before->descriptors, 0);

	result |= compare("timers", after->timers, before->timers, 0);
	return result | compare("mappings", after->mappings, before->mappings, MAPPING_GROWTH);
}

static int run_halves(uint64_t duration_ns)
{
	struct holdings middle, end;
	uint64_t lasting;

	if (run_half(duration_ns / 2, "in the middle", &middle) < 0)
		return -1;
	lasting = lasting_bytes();
	if (run_half(duration_ns / 2, "at the end", &end) < 0)
		return -1;
	return check_flat(&middle, &end, lasting_bytes() - lasting);
}

/* A short run first: what library and C library do once is not what is looked for. */
static int run_all(uint64_t duration_ns)
{
	struct holdings before, after;
	int result = open_masters();

	if (result == 0)
		result = work_for(duration_ns / 20);
	if (result == 0)
		result = retire_all();
	close_masters();
	before = holdings_now();
	print_holdings("before", &before);
	if (result < 0 || open_masters() < 0)
		return -1;
	result = run_halves(duration_ns);
	close_masters();
	after = holdings_now();
	print_holdings("after", &after);
	return result < 0 ? result : check_empty(&before, &after);
}

/* Options. */

static int parse(int argc, char **argv, uint64_t *seconds)
{
	static const struct option names[] = {
		{"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*seconds = sequence_setting("KVMSB_SOAK_SECONDS", SECONDS_DEFAULT);
	soak.seed = sequence_setting("KVMSB_SOAK_SEED", time_now() ^ (uint64_t)getpid() << 32);
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 's')
			*seconds = strtoull(optarg, NULL, 0);
		else if (option == 'r')
			soak.seed = strtoull(optarg, NULL, 0);
		else if (option == 'h')
			exit(fputs(usage, stdout) < 0);
		else
			return -1;
	}
	return optind == argc && *seconds >= 1 && *seconds <= SECONDS_MOST ? 0 : -1;
}

static void prepare(void)
{
	snprintf(soak.program, sizeof(soak.program), "%s/soak-static", TEST_GUESTS);
	for (size_t i = 0; i < ARRAY_SIZE(soak.members); i++) {
		pthread_mutex_init(&soak.members[i].lock, NULL);
		soak.members[i].master = &soak.masters[i % SOAK_MASTERS];
	}
	for (unsigned i = 0; i < SOAK_THREADS; i++) {
		soak.workers[i].soak = &soak;
		soak.workers[i].number = i;
		/* The state must not be 0. */
		soak.workers[i].random = (soak.seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	}
}

static void heed(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	const struct sigaction heeding = {.sa_handler = heed, .sa_flags = SA_RESTART};
	uint64_t seconds;
	int failed;

	if (parse(argc, argv, &seconds) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		printf("/dev/kvm: %s\n", strerror(errno));
		return CANNOT_RUN;
	}
	printf("kvmsb-soak --seconds %llu --seed %llu\n", (unsigned long long)seconds,
	       (unsigned long long)soak.seed);
	fflush(stdout);
	sigaction(SIGUSR1, &heeding, NULL);
	prepare();
	failed = run_all(seconds * SECOND);
	operations_print();
	return failed < 0 || soak.failed ? 1 : 0;
}
