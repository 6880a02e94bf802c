/* SPDX-License-Identifier: MIT */
/*
 * System calls answer inside what they answer natively. Each program of
 * guests/differential_*.c prints the results of many calls; it is run by
 * itself, without privileges, and by kvmsb-run, on the same files, and the
 * lines are compared. Where they differ for a reason, differential.def has it,
 * and a row of it that no longer applies is a failure. In the end each system
 * call that the library has must have been called by one of these programs, or
 * have a row that names another test.
 */
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 20u
#define LINES_MAXIMUM 20000
/* Any id will do that has no privileges. */
#define NOBODY 65534
#define FILE_BYTES 10000
/* As many as a sandbox has. */
#define DESCRIPTORS 256

static const struct program {
	const char *name;
	bool writes; /* each run in an empty directory of its own */
} programs[] = {
	{"memory", false}, {"files", false},  {"descriptors", false}, {"process", false},
	{"time", false},   {"changes", true}, {"contents", true},
};

static const struct difference {
	const char *program, *line, *native, *inside, *reason;
} differences[] = {
#define DIFFERENCE(program, line, native, inside, reason) {program, line, native, inside, reason},
#include "differential.def"
};
static bool applied[ARRAY_SIZE(differences)];

static const struct called {
	const char *name, *test;
} called_elsewhere[] = {
#define CALLED_BY(name, test) {#name, test},
#include "differential.def"
};

/* The rows of syscalls.def, and whether a line was about them. */
static struct row {
	const char *name;
	bool supported, called;
} rows[] = {
#define FULL true
#define PARTIAL true
#define STUB true
#define NONE false
#define SYSTEM_CALL(number, name, handler, support, format, note) {#name, support, false},
#include "linux/syscalls.def"
};

/* Files. */

static char directory[64];

static const char *path_of(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s%s%s", directory, name[0] ? "/" : "", name);
	return path;
}

static void make_file(const char *name, size_t length, mode_t mode)
{
	const struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint32_t state = 1;

	assert_true(fd >= 0);
	for (size_t i = 0; i < length; i++) {
		uint8_t byte;

		state = state * 1664525u + 1013904223u;
		byte = (uint8_t)(state >> 24);
		assert_int_equal(write(fd, &byte, 1), 1);
	}
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

/* What the programs find in their current directory, which they cannot write to. */
static int make_files(void **state)
{
	static const char *const directories[] = {"tree", "tree/directory", "tree/directory/deeper",
	                                          "tree/many"};
	char name[64];

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/kvmsb-differential-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chmod(directory, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(path_of(directories[i]), 0755), 0);
	make_file("tree/file", FILE_BYTES, 0644);
	make_file("tree/empty", 0, 0444);
	make_file("tree/program", 100, 0755);
	make_file("tree/directory/inner", 10, 0644);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "tree/many/entry-%03d", i);
		make_file(name, 0, 0644);
	}
	assert_int_equal(symlink("file", path_of("tree/link")), 0);
	assert_int_equal(symlink("directory", path_of("tree/directory-link")), 0);
	assert_int_equal(symlink("nowhere", path_of("tree/dangling")), 0);
	assert_int_equal(symlink("loop", path_of("tree/loop")), 0);
	assert_int_equal(symlink("../file", path_of("tree/directory/up")), 0);
	assert_int_equal(symlink("/", path_of("tree/outside")), 0);
	assert_int_equal(chmod(path_of("tree"), 0555), 0);
	assert_int_equal(mkdir(path_of("changed natively"), 0755), 0);
	assert_int_equal(mkdir(path_of("changed inside"), 0755), 0);
	/* Its owner is who runs natively. */
	if (getuid() == 0)
		assert_int_equal(chown(path_of("changed natively"), NOBODY, NOBODY), 0);
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static int remove_files(void **state)
{
	(void)state;
	chmod(path_of("tree"), 0755);
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Running. */

static void give_up_privileges(void)
{
	if (getuid() != 0)
		return;
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		_exit(98);
}

/* A pipe that nobody writes to: what the library takes standard streams for. */
static int open_input(void)
{
	int ends[2];

	if (pipe(ends))
		return -1;
	close(ends[1]);
	return ends[0];
}

/* In a child: as a program of a user's starts, and nothing of the test's. */
static void execute(const char *const *words, const char *where, const char *output, bool natively)
{
	static char *const environment[] = {NULL};
	const struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
	int in = open_input();
	int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int program;

	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(97);
	syscall(SYS_close_range, 3u, ~0u, 0u);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	/* Where it is built may be closed to whom it runs as. */
	program = open(words[0], O_RDONLY | O_CLOEXEC);
	if (program < 0 || setsid() < 0 || chdir(where))
		_exit(97);
	if (natively) {
		if (setrlimit(RLIMIT_NOFILE, &limit))
			_exit(97);
		give_up_privileges();
	}
	umask(022);
	/* Nothing here waits for long: what does, waits for ever. */
	alarm(2 * SECONDS * time_scale());
	fexecve(program, (char *const *)(uintptr_t)words, environment);
	_exit(96);
}

static int run(const char *const *words, const char *where, const char *output, bool natively)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		execute(words, where, output, natively);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* Lines of a program: the text they point to lives as long. */
struct lines {
	char *text, *line[LINES_MAXIMUM];
	size_t count;
};

static struct lines *read_lines(const char *name)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	FILE *file = fopen(path_of(name), "re");
	struct stat status;
	char *rest;

	assert_non_null(lines);
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	lines->text = calloc(1, (size_t)status.st_size + 1);
	assert_non_null(lines->text);
	assert_int_equal(fread(lines->text, 1, (size_t)status.st_size, file), status.st_size);
	fclose(file);
	rest = lines->text;
	while (lines->count < LINES_MAXIMUM && (lines->line[lines->count] = strsep(&rest, "\n")))
		lines->count++;
	assert_true(lines->count < LINES_MAXIMUM);
	return lines;
}

static void free_lines(struct lines *lines)
{
	free(lines->text);
	free(lines);
}

/* Comparing. */

/* * stands for any text. */
static bool matches(const char *pattern, const char *text)
{
	for (; *pattern; pattern++, text++) {
		if (*pattern == '*') {
			while (!matches(pattern + 1, text))
				if (!*text++)
					return false;
			return true;
		}
		if (*pattern != *text)
			return false;
	}
	return *text == '\0';
}

/* "what = result" becomes "what" and its result; a line without has no result. */
static char *cut_result(char *line)
{
	char *equals = NULL;

	for (char *at = strstr(line, " = "); at; at = strstr(at + 1, " = "))
		equals = at;
	if (!equals)
		return line + strlen(line);
	*equals = '\0';
	return equals + 3;
}

static bool is_expected(const char *program, const char *line, const char *native, const char *inside)
{
	for (size_t i = 0; i < ARRAY_SIZE(differences); i++) {
		const struct difference *row = &differences[i];

		if (strcmp(row->program, program) != 0 || !matches(row->line, line) ||
		    !matches(row->native, native) || !matches(row->inside, inside))
			continue;
		applied[i] = true;
		return true;
	}
	return false;
}

static void note_call(const char *line)
{
	size_t length = strcspn(line, "(");

	for (size_t i = 0; i < ARRAY_SIZE(rows) && line[length] == '('; i++)
		if (strlen(rows[i].name) == length && memcmp(rows[i].name, line, length) == 0)
			rows[i].called = true;
}

static unsigned compare_line(const char *program, char *native, char *inside)
{
	char *native_result, *inside_result;

	note_call(native);
	native_result = cut_result(native);
	inside_result = cut_result(inside);
	if (strcmp(native, inside) != 0) {
		print_error("%s: natively \"%s = %s\", inside \"%s = %s\"\n", program, native,
		            native_result, inside, inside_result);
		return 1;
	}
	if (strcmp(native_result, inside_result) == 0 ||
	    is_expected(program, native, native_result, inside_result))
		return 0;
	print_error("%s: %s: natively %s, inside %s\n", program, native, native_result,
	            inside_result);
	return 1;
}

/* How many differences are not in the list. */
static unsigned compare(const char *program, struct lines *native, struct lines *inside)
{
	unsigned unexpected = 0;
	size_t both = native->count < inside->count ? native->count : inside->count;

	for (size_t i = 0; i < both; i++)
		unexpected += compare_line(program, native->line[i], inside->line[i]);
	if (native->count != inside->count) {
		unexpected++;
		print_error("%s: %zu lines natively, %zu inside; the last of them: %s; %s\n",
		            program, native->count, inside->count, native->line[both - 1],
		            inside->line[both - 1]);
	}
	return unexpected;
}

static void test_program(void **state)
{
	const struct program *program = *state;
	struct lines *native, *inside;
	char path[512], timeout[32];
	char native_place[256], inside_place[256];
	const char *const words[] = {
		TEST_KVMSB_RUN, "--timeout",
		timeout,        program->writes ? "--allow-write" : "--allow-read",
		inside_place,   "--",
		path,           NULL};
	int native_status, inside_status;
	unsigned unexpected;

	snprintf(path, sizeof(path), TEST_GUESTS "/differential_%s-static", program->name);
	snprintf(timeout, sizeof(timeout), "%us", SECONDS * time_scale());
	strcpy(native_place, path_of(program->writes ? "changed natively" : "tree"));
	strcpy(inside_place, path_of(program->writes ? "changed inside" : "tree"));
	native_status = run(&words[6], native_place, path_of("native"), true);
	inside_status = run(words, inside_place, path_of("inside"), false);
	native = read_lines("native");
	inside = read_lines("inside");
	unexpected = compare(program->name, native, inside);
	print_message("%s: %zu lines\n", program->name, native->count);
	free_lines(native);
	free_lines(inside);
	assert_int_equal(native_status, 0);
	assert_int_equal(inside_status, 0);
	assert_int_equal(unexpected, 0);
}

/* A row that no line needed hides what is to come. */
static void test_no_stale_difference(void **state)
{
	unsigned stale = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(differences); i++) {
		if (applied[i])
			continue;
		stale++;
		print_error("stale: %s: %s: natively %s, inside %s (%s)\n", differences[i].program,
		            differences[i].line, differences[i].native, differences[i].inside,
		            differences[i].reason);
	}
	assert_int_equal(stale, 0);
}

static bool is_called_elsewhere(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(called_elsewhere); i++)
		if (strcmp(called_elsewhere[i].name, name) == 0)
			return true;
	return false;
}

/* Every call that is there is called, and there are as many as real programs need. */
static void test_every_row_is_called(void **state)
{
	unsigned supported = 0, missed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		supported += rows[i].supported;
		if (rows[i].supported && rows[i].called == is_called_elsewhere(rows[i].name)) {
			missed++;
			print_error("%s: %s\n", rows[i].name,
			            rows[i].called ? "called here and elsewhere" : "never called");
		}
	}
	print_message("%u system calls are there\n", supported);
	assert_int_equal(missed, 0);
	assert_true(supported >= 120);
}

/* An argument is the name of the only program to run. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_SIZE(programs) + 2];
	size_t count = 0;

	if (!fixture_can_run())
		return CANNOT_RUN;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (argc < 2 || strcmp(argv[1], programs[i].name) == 0)
			tests[count++] = (struct CMUnitTest){
				.name = programs[i].name,
				.test_func = test_program,
				.initial_state = (void *)(uintptr_t)&programs[i],
			};
	if (argc < 2) {
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_no_stale_difference);
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_every_row_is_called);
	}
	return _cmocka_run_group_tests("differential", tests, count, make_files, remove_files);
}
