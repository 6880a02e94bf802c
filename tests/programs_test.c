/* SPDX-License-Identifier: MIT */
/*
 * Unmodified programs of this machine print in the sandbox, byte for byte, what
 * they print natively, on both streams, and end with the same status. Each is
 * run twice with the same arguments, environment and input: by itself, and by
 * kvmsb-run. The tables are in programs/. What does not work yet is in them with
 * its reason, and must not.
 */
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUSYBOX "/usr/bin/busybox"
#define LUA "/usr/bin/lua5.4"
#define PYTHON "/usr/bin/python3"
#define LICENSE "/usr/share/common-licenses/GPL-3"
#define SECONDS 60u
#define WORDS 12
#define TEXT_LINES 600
#define BINARY_BYTES 100000
#define MIDDLE_BYTES 10000000ul
#define BIG_BYTES 100000000ul
#define PICTURE_SIDE 512u
/* What goes into a pipe before anybody reads it. */
#define PIPE_BYTES 60000

/* The fields are explained in programs/programs.def. */
struct program {
	const char *name, *package, *missing;
	const char *words[WORDS];
	const char *environment[3];
	const char *options[8];
	const char *input;
	bool optional, writes;
	const char *expected;
};

static const struct program few_programs[] = {
#define FEW(...) {__VA_ARGS__},
#include "programs/programs.def"
};

static const struct program real_programs[] = {
#define PROGRAM(...) {__VA_ARGS__},
#include "programs/programs.def"
};

static const struct program applets[] = {
#define APPLET(...) {.words = {BUSYBOX, __VA_ARGS__}, .input = "@text"},
#include "programs/applets.def"
};

static const struct program writing_applets[] = {
#define WRITING_APPLET(...) {.words = {BUSYBOX, __VA_ARGS__}, .writes = true},
#include "programs/applets.def"
};

static const char *const excluded_applets[] = {
#define EXCLUDED(name, reason) name,
#include "programs/applets.def"
};

/* Files. */

static char directory[64];

static char *path_of(const char *name)
{
	static char paths[WORDS + 4][256];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	if (strcmp(name, "directory") == 0)
		name = "";
	snprintf(path, sizeof(paths[0]), "%s%s%s", directory, name[0] != '\0' ? "/" : "", name);
	return path;
}

/* "@name" is a path in the test's directory, "%name" one of programs/; anything else is itself. */
static const char *expand(const char *word)
{
	static char paths[WORDS][512];
	static unsigned next;
	char *path;

	/* % begins formats of date(1) and printf(1), too. */
	if (word[0] != '%' || strchr(word, '.') == NULL)
		return word[0] == '@' ? path_of(word + 1) : word;
	path = paths[next++ % ARRAY_SIZE(paths)];
	snprintf(path, sizeof(paths[0]), TEST_PROGRAMS "/%s", word + 1);
	return access(path, R_OK) == 0 ? path : word;
}

static void write_file(const char *name, const void *data, size_t length)
{
	FILE *file = fopen(path_of(name), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void write_text(void)
{
	static const char *const word[] = {"alpha", "beta",  "gamma", "delta",
	                                   "omega", "sigma", "tau"};
	static char text[PIPE_BYTES];
	size_t used = 0;

	for (unsigned i = 0; i < TEXT_LINES; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u %s %u the %s line\n",
		                         i, word[i * i % 7], i * 2654435761u >> 20, word[i % 5]);
	assert_true(used < sizeof(text));
	write_file("text", text, used);
}

static void write_numbers(void)
{
	char text[2048];
	size_t used = 0;

	for (unsigned i = 0; i < 40; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%lu\n",
		                         (unsigned long)i * 1000003u * 999983u + i);
	write_file("numbers", text, used);
}

static void write_binary(void)
{
	static uint8_t data[BINARY_BYTES];
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(data); i++) {
		state = state * 1664525u + 1013904223u;
		data[i] = (uint8_t)(state >> 24);
	}
	write_file("binary", data, sizeof(data));
}

/* Lines of about a hundred bytes, in no order. */
static void write_lines(const char *name, size_t length)
{
	FILE *file = fopen(path_of(name), "we");
	uint64_t state = 1;

	assert_non_null(file);
	for (size_t i = 0; i < length / 100; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		fprintf(file, "%08zu %020llu %s\n", i, (unsigned long long)state,
		        "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod te");
	}
	assert_int_equal(fclose(file), 0);
}

/* Smooth colours, with something sharp in them. */
static void write_picture(void)
{
	FILE *file = fopen(path_of("picture.ppm"), "we");

	assert_non_null(file);
	fprintf(file, "P6\n%u %u\n255\n", PICTURE_SIDE, PICTURE_SIDE);
	for (unsigned y = 0; y < PICTURE_SIDE; y++)
		for (unsigned x = 0; x < PICTURE_SIDE; x++) {
			fputc((int)(x * y / 1024 % 256), file);
			fputc((int)((x + 2 * y) / 6 % 256), file);
			fputc(x / 64 % 2 == y / 64 % 2 ? 200 : (int)((x ^ y) % 256), file);
		}
	assert_int_equal(fclose(file), 0);
}

static void write_statements(void)
{
	FILE *file = fopen(path_of("statements"), "we");

	assert_non_null(file);
	fprintf(file, "create table lines(number integer, word text);\nbegin;\n");
	for (unsigned i = 0; i < 5000; i++)
		fprintf(file, "insert into lines values(%u, 'word %u');\n", i, i * i % 97);
	fprintf(file, "commit;\n");
	assert_int_equal(fclose(file), 0);
}

/* Running. */

/* What a program did. */
struct outcome {
	int status;
	double seconds;
	char *output, *errors;
	size_t output_length, errors_length;
	char *files; /* what it left where it may write */
};

static char *read_all(const char *name, size_t *length)
{
	FILE *file = fopen(path_of(name), "re");
	struct stat status;
	char *data;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	data = malloc((size_t)status.st_size + 1);
	assert_non_null(data);
	*length = fread(data, 1, (size_t)status.st_size, file);
	assert_int_equal(*length, status.st_size);
	data[*length] = '\0';
	fclose(file);
	return data;
}

/* The descriptor that a program reads from. */
static int open_input(const char *input)
{
	size_t length;
	int ends[2];
	char *data;

	if (input == NULL || input[0] != '|')
		return open(input == NULL ? "/dev/null" : expand(input), O_RDONLY | O_CLOEXEC);
	data = read_all(input + 2, &length);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], data, length), length);
	close(ends[1]);
	free(data);
	return ends[0];
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* where: its current directory, or NULL. */
static struct outcome run(const char *const *words, const char *const *environment,
                          const char *input, const char *where)
{
	posix_spawn_file_actions_t actions;
	const double started = now();
	struct outcome outcome = {0};
	int in = open_input(input);
	int error;
	pid_t child;

	if (in < 0)
		fail_msg("%s: %s", input, strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_addopen(&actions, 1, path_of("output"),
	                                 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, path_of("errors"),
	                                 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (where != NULL)
		posix_spawn_file_actions_addchdir_np(&actions, where);
	error = posix_spawn(&child, words[0], &actions, NULL, (char *const *)(uintptr_t)words,
	                    (char *const *)(uintptr_t)environment);
	posix_spawn_file_actions_destroy(&actions);
	close(in);
	if (error != 0)
		fail_msg("%s: %s", words[0], strerror(error));
	assert_int_equal(waitpid(child, &outcome.status, 0), child);
	outcome.seconds = now() - started;
	outcome.output = read_all("output", &outcome.output_length);
	outcome.errors = read_all("errors", &outcome.errors_length);
	return outcome;
}

static void discard(struct outcome *outcome)
{
	free(outcome->files);
	free(outcome->output);
	free(outcome->errors);
}

/* Where programs may write: what is there before, and what after. */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static int remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_place(void)
{
	struct stat status;

	if (lstat(path_of("place"), &status) == 0)
		assert_int_equal(remove_tree(path_of("place")), 0);
	assert_int_equal(mkdir(path_of("place"), 0755), 0);
	assert_int_equal(mkdir(path_of("place/d"), 0755), 0);
	write_file("place/a", "one\ntwo\nthree\n", 14);
	write_file("place/d/b", "inner\n", 6);
}

static uint32_t digest_of(int directory_descriptor, const char *name)
{
	int fd = openat(directory_descriptor, name, O_RDONLY | O_CLOEXEC);
	uint32_t value = 2166136261u;
	uint8_t data[4096];
	ssize_t length;

	while (fd >= 0 && (length = read(fd, data, sizeof(data))) > 0)
		for (ssize_t i = 0; i < length; i++)
			value = (value ^ data[i]) * 16777619u;
	if (fd >= 0)
		close(fd);
	return value;
}

static void list_entry(FILE *list, int parent, const char *name)
{
	char target[256] = "";
	struct stat status;

	assert_int_equal(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW), 0);
	if (S_ISLNK(status.st_mode))
		assert_true(readlinkat(parent, name, target, sizeof(target) - 1) >= 0);
	fprintf(list, "%s: mode %o, %s, %lld bytes, content %x\n", name, status.st_mode, target,
	        S_ISREG(status.st_mode) ? (long long)status.st_size : 0ll,
	        S_ISREG(status.st_mode) ? digest_of(parent, name) : 0);
}

static void list_files(FILE *list, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char inner[512];

	assert_true(count >= 0 && descriptor >= 0);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			list_entry(list, descriptor, name);
			snprintf(inner, sizeof(inner), "%s/%s", path, name);
			if (entries[i]->d_type == DT_DIR)
				list_files(list, inner);
		}
		free(entries[i]);
	}
	free(entries);
	close(descriptor);
}

/* A line for each file that is there. */
static char *list_place(void)
{
	char *text = NULL;
	size_t length;
	FILE *list = open_memstream(&text, &length);

	assert_non_null(list);
	list_files(list, path_of("place"));
	assert_int_equal(fclose(list), 0);
	return text;
}

/* As it ends, the program's files are told. */
static struct outcome run_in_place(const struct program *program, const char *const *words,
                                   const char *const *environment)
{
	struct outcome outcome;

	if (program->writes)
		make_place();
	outcome = run(words, environment, program->input, program->writes ? path_of("place") : NULL);
	outcome.files = program->writes ? list_place() : NULL;
	return outcome;
}

static struct outcome run_natively(const struct program *program)
{
	const char *words[WORDS + 1] = {NULL};
	const char *environment[4] = {NULL};

	for (size_t i = 0; program->words[i] != NULL; i++)
		words[i] = expand(program->words[i]);
	for (size_t i = 0; i < 3 && program->environment[i] != NULL; i++)
		environment[i] = expand(program->environment[i]);
	return run_in_place(program, words, environment);
}

/* Words are added to a list that has room for all of a program's. */
static void add_all(const char **list, size_t *count, const char *const *words, size_t most)
{
	for (size_t i = 0; i < most && words[i] != NULL; i++)
		list[(*count)++] = expand(words[i]);
}

static struct outcome run_in_sandbox(const struct program *program, bool statistics)
{
	char timeout[32];
	const char *words[WORDS + 32] = {
		TEST_KVMSB_RUN, "--timeout",    timeout,       "--allow-read",
		directory,      "--allow-read", TEST_GUESTS,   "--allow-read",
		"/usr/share",   "--allow-read", TEST_PROGRAMS,
	};
	size_t count = 11;

	snprintf(timeout, sizeof(timeout), "%us", SECONDS * time_scale());
	for (size_t i = 0; i < 3 && program->environment[i] != NULL; i++) {
		words[count++] = "--env";
		words[count++] = expand(program->environment[i]);
	}
	add_all(words, &count, program->options, ARRAY_SIZE(program->options));
	if (program->writes) {
		words[count++] = "--allow-write";
		words[count++] = path_of("place");
	}
	if (statistics)
		words[count++] = "--stats";
	words[count++] = "--";
	add_all(words, &count, program->words, WORDS);
	return run_in_place(program, words, (const char *const *)(uintptr_t)environ);
}

/* Comparing. */

static void show(const char *name, const struct outcome *outcome)
{
	print_error("%s: status %#x, %zu bytes of output, on standard error:\n%.2000s\n", name,
	            outcome->status, outcome->output_length, outcome->errors);
}

static bool same(const char *what, const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t at = 0;

	if (a_length == b_length && memcmp(a, b, a_length) == 0)
		return true;
	while (at < a_length && at < b_length && a[at] == b[at])
		at++;
	print_error("%s differs from byte %zu on: natively \"%.60s\", in the sandbox \"%.60s\"\n",
	            what, at, a + at, b + at);
	return false;
}

static bool is_equal(const struct outcome *native, const struct outcome *inside)
{
	bool equal = native->status == inside->status;

	equal &= same("output", native->output, native->output_length, inside->output,
	              inside->output_length);
	equal &= same("standard error", native->errors, native->errors_length, inside->errors,
	              inside->errors_length);
	if (native->files != NULL)
		equal &= same("what it wrote", native->files, strlen(native->files), inside->files,
		              strlen(inside->files));
	return equal;
}

static bool is_here(const struct program *program)
{
	if (access(program->words[0], X_OK) == 0)
		return true;
	if (!program->optional)
		fail_msg("%s: %s", program->words[0], strerror(errno));
	print_message("%s is not here\n", program->words[0]);
	return false;
}

static void test_program(void **state)
{
	const struct program *program = *state;
	struct outcome native, inside;
	bool equal;

	if (!is_here(program))
		return;
	native = run_natively(program);
	if (program->expected != NULL) {
		free(native.output);
		native.output = strdup(program->expected);
		native.output_length = strlen(program->expected);
	}
	inside = run_in_sandbox(program, false);
	equal = is_equal(&native, &inside);
	if (equal == (program->missing != NULL)) {
		show("natively", &native);
		show("in the sandbox", &inside);
	}
	discard(&native);
	discard(&inside);
	if (equal && program->missing != NULL)
		fail_msg("works, although it has no %s", program->missing);
	if (program->missing != NULL)
		print_message("does not work: %s\n", program->missing);
	else
		assert_true(equal);
}

static const struct program *find_applet(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++)
		if (strcmp(applets[i].words[1], name) == 0)
			return &applets[i];
	for (size_t i = 0; i < ARRAY_SIZE(writing_applets); i++)
		if (strcmp(writing_applets[i].words[1], name) == 0)
			return &writing_applets[i];
	return NULL;
}

static bool is_excluded(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(excluded_applets); i++)
		if (strcmp(excluded_applets[i], name) == 0)
			return true;
	return false;
}

/* Each of its applets has one row. */
static void test_applets_are_known(void **state)
{
	const char *const words[] = {BUSYBOX, "--list", NULL}, *const environment[] = {NULL};
	struct outcome list = run(words, environment, NULL, NULL);
	unsigned wrong = 0;

	(void)state;
	assert_int_equal(list.status, 0);
	for (char *name = strtok(list.output, "\n"); name != NULL; name = strtok(NULL, "\n")) {
		if ((find_applet(name) != NULL) != is_excluded(name))
			continue;
		wrong++;
		print_error("%s has no row in applets.def, or two\n", name);
	}
	discard(&list);
	assert_int_equal(wrong, 0);
}

/* Set-up. */

/* What a native program prints, as a file. */
static void make(const char *name, const char *input, const char *const *words)
{
	const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
	struct outcome outcome = run(words, environment, input, NULL);

	if (outcome.status != 0)
		fail_msg("%s: %s", words[0], outcome.errors);
	write_file(name, outcome.output, outcome.output_length);
	discard(&outcome);
}
#define MAKE(name, input, ...) make(name, input, (const char *const[]){__VA_ARGS__, NULL})

static int make_files(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/kvmsb-programs-XXXXXX");
	assert_non_null(mkdtemp(directory));
	write_text();
	write_numbers();
	write_binary();
	write_file("empty", "", 0);
	write_file("tabs", "a\tb\t c\n        d       e\n", 23);
	MAKE("text.gz", NULL, "/usr/bin/gzip", "-c", path_of("text"));
	MAKE("text.bz2", NULL, "/usr/bin/bzip2", "-c", path_of("text"));
	MAKE("text.xz", NULL, "/usr/bin/xz", "-c", path_of("text"));
	return 0;
}

/* Some of these are large, and are made by programs that not all machines have. */
static int make_more_files(void **state)
{
	make_files(state);
	write_lines("middle", MIDDLE_BYTES);
	write_lines("big", BIG_BYTES);
	write_picture();
	write_statements();
	MAKE("text.lzma", NULL, "/usr/bin/xz", "--format=lzma", "-c", path_of("text"));
	MAKE("text.br", NULL, "/usr/bin/brotli", "-c", path_of("text"));
	MAKE("text.uu", NULL, BUSYBOX, "uuencode", path_of("text"), "text");
	MAKE("picture.webp", NULL, "/usr/bin/cwebp", "-quiet", path_of("picture.ppm"), "-o", "-");
	MAKE("archive.tar", NULL, BUSYBOX, "tar", "-cf", "-", "-C", directory, "text", "numbers");
	MAKE("nothing", NULL, "/usr/bin/ar", "rc", path_of("archive.a"), path_of("text"));
	MAKE("nothing", "@statements", "/usr/bin/sqlite3", path_of("lines.db"));
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	return remove_tree(directory);
}

/* The documentation's table. */

#define TRIES 3

/* The number behind a name in the statistics that kvmsb-run prints. */
static unsigned long statistic(const struct outcome *outcome, const char *name)
{
	const char *found = strstr(outcome->errors, name);

	return found != NULL ? strtoul(found + strlen(name), NULL, 10) : 0;
}

/* System calls that the program makes natively; 0 where they cannot be counted. */
static unsigned long count_calls(const struct program *program)
{
	const char *words[WORDS + 4] = {TEST_COUNT_CALLS, "-o", path_of("calls")};
	const char *environment[4] = {NULL};
	struct outcome outcome;
	size_t count = 3, variables = 0, length;
	unsigned long calls;
	char *text;

	if (access(TEST_COUNT_CALLS, X_OK) != 0)
		return 0;
	add_all(words, &count, program->words, WORDS);
	add_all(environment, &variables, program->environment, 3);
	outcome = run_in_place(program, words, environment);
	discard(&outcome);
	text = read_all("calls", &length);
	calls = strtoul(text, NULL, 10);
	free(text);
	return calls;
}

/* The fastest of some runs, natively and inside. */
static void measure(const struct program *program, double *native, double *inside)
{
	struct outcome outcome;

	*native = *inside = 1e9;
	for (int i = 0; i < TRIES; i++) {
		outcome = run_natively(program);
		*native = outcome.seconds < *native ? outcome.seconds : *native;
		discard(&outcome);
		outcome = run_in_sandbox(program, false);
		*inside = outcome.seconds < *inside ? outcome.seconds : *inside;
		discard(&outcome);
	}
}

static void print_row(const struct program *program)
{
	double native, inside;
	struct outcome outcome;

	if (program->missing != NULL) {
		printf("| %s | no: %s | | | | |\n", program->name, program->missing);
		return;
	}
	measure(program, &native, &inside);
	outcome = run_in_sandbox(program, true);
	printf("| %s | yes | %lu | %lu | %.0f ms | %.0f ms |\n", program->name,
	       statistic(&outcome, "program.kvm_runs "), count_calls(program), native * 1e3,
	       inside * 1e3);
	discard(&outcome);
	fflush(stdout);
}

static void print_applets(void)
{
	printf("\n%zu applets of busybox run:", ARRAY_SIZE(applets) + ARRAY_SIZE(writing_applets));
	for (size_t i = 0; i < ARRAY_SIZE(applets); i++)
		printf(" %s", applets[i].words[1]);
	for (size_t i = 0; i < ARRAY_SIZE(writing_applets); i++)
		printf(" %s", writing_applets[i].words[1]);
	printf(".\n%zu are not tried; tests/programs/applets.def has the reason for each.\n",
	       ARRAY_SIZE(excluded_applets));
}

static int print_table(void)
{
	make_more_files(NULL);
	printf("| program | works | `KVM_RUN` | native system calls | native | inside |\n"
	       "|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_SIZE(real_programs); i++)
		print_row(&real_programs[i]);
	print_applets();
	return remove_files(NULL);
}

static int run_few(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(few_programs)];

	for (size_t i = 0; i < ARRAY_SIZE(few_programs); i++)
		tests[i] = (struct CMUnitTest){
			.name = few_programs[i].name,
			.test_func = test_program,
			.initial_state = (void *)(uintptr_t)&few_programs[i],
		};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}

static size_t add_applets(struct CMUnitTest *tests, char names[][64], const struct program *of,
                          size_t count)
{
	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "applet %s", of[i].words[1]);
		tests[i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = test_program,
			.initial_state = (void *)(uintptr_t)&of[i],
		};
	}
	return count;
}

static int run_all(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(real_programs) + ARRAY_SIZE(applets) +
	                               ARRAY_SIZE(writing_applets) + 1];
	static char names[ARRAY_SIZE(applets) + ARRAY_SIZE(writing_applets)][64];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(real_programs); i++)
		tests[count++] = (struct CMUnitTest){
			.name = real_programs[i].name,
			.test_func = test_program,
			.initial_state = (void *)(uintptr_t)&real_programs[i],
		};
	count += add_applets(&tests[count], names, applets, ARRAY_SIZE(applets));
	count += add_applets(&tests[count], &names[ARRAY_SIZE(applets)], writing_applets,
	                     ARRAY_SIZE(writing_applets));
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_applets_are_known);
	return cmocka_run_group_tests(tests, make_more_files, remove_files);
}

/*
 * Arguments: "few" or "all" of the programs, and the name of the only one to run, with *
 * and ?; or "table", which prints what the documentation has of them.
 */
int main(int argc, char **argv)
{
	if (!fixture_can_run())
		return CANNOT_RUN;
	if (argc > 1 && strcmp(argv[1], "table") == 0)
		return print_table();
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return argc > 1 && strcmp(argv[1], "all") == 0 ? run_all() : run_few();
}
