/* SPDX-License-Identifier: MIT */
/*
 * Real programs in a sandbox and natively, with the same arguments, environment
 * and directory: what a whole run costs beyond its system calls, and whether
 * computation is slowed. Programs that are not installed are left out.
 */
#include "bench.h"

#include "machine.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5
#define INPUT "/tmp/kvmsb-bench-input"
#define INPUT_SIZE (100 << 20)
#define EXIT_SHARE 1.2 /* of a bare exit for each system call */
#define PAGE_NS 6000.0 /* for each page that is touched first */
#define WORDS_MAXIMUM 8

#define PYTHON_CLOCK "from time import perf_counter_ns as now\nstart = now()\n"
#define PYTHON_END "\nprint(now() - start)"

struct command {
	const char *words[WORDS_MAXIMUM];
	/* As seen last; 0: not yet. */
	double native, native_calls, native_pages, pages, creation, kvm_runs;
};

enum program_name {
	PYTHON3,
	SHA256SUM,
	PERL,
	SQLITE3,
	PYTHON_LOOP,
	PYTHON_HASH,
};

static struct command programs[] = {
	[PYTHON3] = {.words = {"/usr/bin/python3", "-c", "pass"}},
	[SHA256SUM] = {.words = {"/usr/bin/busybox", "sha256sum", INPUT}},
	[PERL] = {.words = {"/usr/bin/perl", "-e", "1"}},
	[SQLITE3] = {.words = {"/usr/bin/sqlite3", ":memory:", "select 1"}},
	/* These print how long they took themselves. */
	[PYTHON_LOOP] =
		{.words = {"/usr/bin/python3", "-c",
                           PYTHON_CLOCK
                           "x = 0\nfor i in range(3000000): x = (x * 5 + i) % 1009" PYTHON_END}},
	[PYTHON_HASH] =
		{.words = {"/usr/bin/python3", "-c",
                           "from hashlib import sha256\ndata = bytes(1 << 20)\n" PYTHON_CLOCK
                           "for i in range(64): sha256(data).digest()" PYTHON_END}},
};

static const char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
static bool input_is_there;

static int make_input(void)
{
	static const char block[1 << 16] = "not sparse";
	FILE *file = fopen(INPUT, "we");

	if (file == NULL)
		return complain("%s: %s", INPUT, strerror(errno));
	for (size_t done = 0; done < INPUT_SIZE; done += sizeof(block))
		fwrite(block, sizeof(block), 1, file);
	if (fclose(file) != 0)
		return complain("%s: %s", INPUT, strerror(errno));
	input_is_there = true;
	return 0;
}

static void remove_input(void)
{
	if (input_is_there)
		unlink(INPUT);
}

static int prepare(const struct command *program)
{
	if (access(program->words[0], X_OK) < 0)
		return MEASURE_IMPOSSIBLE;
	return program == &programs[SHA256SUM] && !input_is_there ? make_input() : 0;
}

/* ---- In a sandbox ---- */

struct output {
	char text[64];
	size_t length;
};

static int64_t keep(void *user, const void *data, size_t length)
{
	struct output *output = user;
	size_t room = sizeof(output->text) - 1 - output->length;
	size_t kept = length < room ? length : room;

	memcpy(output->text + output->length, data, kept);
	output->length += kept;
	return (int64_t)length;
}

/* One of the statistics that KVM keeps of a virtual processor; 0: it has none of this name. */
static uint64_t read_statistic(int statistics, const char *name)
{
	struct kvm_stats_header header;
	union {
		struct kvm_stats_desc descriptor;
		char bytes[sizeof(struct kvm_stats_desc) + 256];
	} entry = {.bytes = {0}};
	uint64_t value = 0;

	if (pread(statistics, &header, sizeof(header), 0) != sizeof(header) || header.name_size > 255)
		return 0;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(entry.descriptor) + header.name_size;

		if (pread(statistics, &entry, size, (off_t)(header.desc_offset + i * size)) !=
		            (ssize_t)size ||
		    strcmp(entry.bytes + sizeof(entry.descriptor), name) != 0)
			continue;
		if (pread(statistics, &value, sizeof(value),
		          (off_t)header.data_offset + entry.descriptor.offset) != sizeof(value))
			value = 0;
	}
	return value;
}

/* Pages that KVM brought in for the program: what it touched first, and again where it lost them. */
static double touched_pages(const struct kvmsb *sandbox)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sandbox->machine->vcpus); i++) {
		const struct vcpu *vcpu = sandbox->machine->vcpus[i];
		int statistics = vcpu != NULL ? ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL) : -1;

		if (statistics < 0)
			continue;
		pages += read_statistic(statistics, "pf_fixed");
		close(statistics);
	}
	return (double)pages;
}

static int run_to_end(struct kvmsb *sandbox, double *kvm_runs)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	if (kvmsb_run(sandbox, &result) < 0 || result.outcome != KVMSB_OUTCOME_EXITED ||
	    result.exit_status != 0)
		return complain("a program: %s %s", kvmsb_outcome_name(result.outcome),
		                kvmsb_detail(sandbox));
	*kvm_runs = (double)result.kvm_runs;
	return 0;
}

static int run_inside(struct command *program, struct output *output)
{
	static const struct kvmsb_path_rule everything = {.path = "/"};
	struct kvmsb_options options = options_for(program->words[0]);
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox;
	double start = now();
	int result;

	options.arguments = program->words;
	options.environment = environment;
	options.directory = "/";
	options.paths = &everything;
	options.path_count = 1;
	options.standard_output.write = keep;
	options.standard_output.user = output;
	if (kvmsb_create(&sandbox, &options, &error) < 0)
		return complain("%s: %s", program->words[0], error.detail);
	program->creation = now() - start;
	result = run_to_end(sandbox, &program->kvm_runs);
	program->pages = touched_pages(sandbox);
	kvmsb_destroy(sandbox);
	return result;
}

static int measure_inside(struct command *program, struct sample *sample)
{
	struct output output = {.length = 0};
	double start;
	int result = prepare(program);

	if (result != 0)
		return result;
	start = now();
	if (run_inside(program, &output) < 0)
		return -1;
	set_sample(sample, now() - start, program->kvm_runs, 1);
	return 0;
}

/* What it has printed. */
static int measure_own_time(struct command *program, struct sample *sample)
{
	struct output output = {.length = 0};
	int result = prepare(program);

	if (result == 0)
		result = run_inside(program, &output);
	if (result == 0)
		set_sample(sample, strtod(output.text, NULL), program->kvm_runs, 1);
	return result;
}

/* ---- Natively ---- */

/* Its output goes to the descriptor; *usage may be NULL. Returns 0 when it ended with status 0. */
static int run_natively(const char *const *words, int output, struct rusage *usage)
{
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	if (posix_spawn(&child, words[0], &actions, NULL, (char *const *)(uintptr_t)words,
	                (char *const *)(uintptr_t)environment) == 0 &&
	    wait4(child, &status, 0, usage) != child)
		status = -1;
	posix_spawn_file_actions_destroy(&actions);
	return status == 0 ? 0 : complain("%s: status %#x", words[0], (unsigned)status);
}

static int measure_natively(struct command *program, struct sample *sample)
{
	int output, result = prepare(program);
	struct rusage usage;
	double start;

	if (result != 0)
		return result;
	output = open("/dev/null", O_WRONLY | O_CLOEXEC);
	start = now();
	result = run_natively(program->words, output, &usage);
	program->native = now() - start;
	close(output);
	program->native_pages = (double)usage.ru_minflt;
	set_sample(sample, program->native, 0, 1);
	return result;
}

/* What a command prints: a number. */
static int read_number(const char *const *words, double *number)
{
	char text[64] = "";
	FILE *output = tmpfile();
	int result;

	if (output == NULL)
		return complain("tmpfile: %s", strerror(errno));
	result = run_natively(words, fileno(output), NULL);
	rewind(output);
	if (result == 0 && fgets(text, sizeof(text), output) == NULL)
		result = complain("%s: no answer", words[0]);
	fclose(output);
	*number = strtod(text, NULL);
	return result;
}

static int measure_own_time_natively(struct command *program, struct sample *sample)
{
	double time = 0;
	int result = prepare(program);

	if (result == 0)
		result = read_number(program->words, &time);
	set_sample(sample, time, 0, 1);
	return result;
}

/* By tests/count_calls, which prints it as the last line of all. */
static int measure_native_calls(struct command *program, struct sample *sample)
{
	const char *words[WORDS_MAXIMUM + 4] = {
		"/bin/sh", "-c", "exec 3>&1; " TEST_COUNT_CALLS " -o /dev/fd/3 \"$@\" >/dev/null",
		"sh"};
	int result = prepare(program);

	for (size_t i = 0; program->words[i] != NULL; i++)
		words[4 + i] = program->words[i];
	if (result == 0)
		result = read_number(words, &program->native_calls);
	set_sample(sample, program->native_calls, 0, 1);
	return result;
}

/* ---- What it may cost ---- */

/* What other figures have not measured in this round, when only some are asked for. */
static int complete(struct command *program)
{
	struct sample ignored;
	int result = prepare(program);

	if (result == 0 && program->native <= 0)
		result = measure_natively(program, &ignored);
	if (result == 0 && program->native_calls <= 0)
		result = measure_native_calls(program, &ignored);
	if (result == 0 && program->kvm_runs <= 0)
		result = measure_inside(program, &ignored);
	return result;
}

/*
 * Its native time, its exits, its creation, and the pages that it touches first: no
 * fewer than Linux had faults for natively, which brings in 16 pages of a file by
 * one; and no fewer than KVM brought in, which does not see what the host fills for
 * read(2).
 */
static int measure_allowance(struct bench *bench, struct command *program, struct sample *sample)
{
	struct sample exit;
	double pages;
	int result = complete(program);

	pages = program->pages > program->native_pages ? program->pages : program->native_pages;
	if (result == 0)
		result = measure_exit_roundtrip(bench, &exit);
	if (result == 0)
		set_sample(sample,
		           program->native + EXIT_SHARE * program->native_calls * exit.value +
		                   program->creation + PAGE_NS * pages,
		           0, 1);
	return result;
}

static int measure_kvm_runs(struct command *program, struct sample *sample)
{
	int result = complete(program);

	set_sample(sample, program->kvm_runs, program->kvm_runs, 1);
	return result;
}

/* ---- The figures ---- */

#define WHOLE(name, PROGRAM)                                                                       \
	static int program_##name(struct bench *bench, struct sample *sample)                      \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_inside(&programs[PROGRAM], sample);                                 \
	}                                                                                          \
	static int native_##name(struct bench *bench, struct sample *sample)                       \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_natively(&programs[PROGRAM], sample);                               \
	}                                                                                          \
	static int native_calls_##name(struct bench *bench, struct sample *sample)                 \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_native_calls(&programs[PROGRAM], sample);                           \
	}                                                                                          \
	static int kvm_runs_##name(struct bench *bench, struct sample *sample)                     \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_kvm_runs(&programs[PROGRAM], sample);                               \
	}                                                                                          \
	static int allowance_##name(struct bench *bench, struct sample *sample)                    \
	{                                                                                          \
		return measure_allowance(bench, &programs[PROGRAM], sample);                       \
	}
WHOLE(python3, PYTHON3)
WHOLE(sha256sum, SHA256SUM)
WHOLE(perl, PERL)
WHOLE(sqlite3, SQLITE3)

#define COMPUTING(name, PROGRAM)                                                                   \
	static int name(struct bench *bench, struct sample *sample)                                \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_own_time(&programs[PROGRAM], sample);                               \
	}                                                                                          \
	static int native_##name(struct bench *bench, struct sample *sample)                       \
	{                                                                                          \
		(void)bench;                                                                       \
		return measure_own_time_natively(&programs[PROGRAM], sample);                      \
	}
COMPUTING(python_loop, PYTHON_LOOP)
COMPUTING(python_hash, PYTHON_HASH)

#define WHOLE_FIGURES(name, what)                                                                  \
	{"program_" #name, "ns", what ", from its creation to its end", ROUNDS, program_##name},   \
		{"native_" #name, "ns", "... natively", ROUNDS, native_##name},                    \
		{"native_calls_" #name, "count", "... its system calls", ROUNDS,                   \
	         native_calls_##name},                                                             \
		{"kvm_runs_" #name, "count", "... KVM_RUN calls", ROUNDS, kvm_runs_##name},        \
	{                                                                                          \
		"allowance_" #name, "ns", "native, 1.2 exits a call, creation, 6 us a page",       \
			ROUNDS, allowance_##name                                                   \
	}

static const struct figure figures[] = {
	WHOLE_FIGURES(python3, "python3 -c pass"),
	WHOLE_FIGURES(sha256sum, "busybox sha256sum of 100 MB"),
	WHOLE_FIGURES(perl, "perl -e 1"),
	WHOLE_FIGURES(sqlite3, "sqlite3 :memory: 'select 1'"),
	{"python_loop", "ns", "a loop of python3", ROUNDS, python_loop},
	{"native_python_loop", "ns", "... natively", ROUNDS, native_python_loop},
	{"python_hash", "ns", "hashlib.sha256 of 64 MB", ROUNDS, python_hash},
	{"native_python_hash", "ns", "... natively", ROUNDS, native_python_hash},
};
const struct area comparison_area = {.figures = figures,
                                     .count = ARRAY_SIZE(figures),
                                     .apart = true,
                                     .on_request = true,
                                     .finish = remove_input};
