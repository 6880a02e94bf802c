/* SPDX-License-Identifier: MIT */
/*
 * Unmodified programs of this machine print in the sandbox, byte for byte, what
 * they print natively, on both streams, and end with the same status. Each is
 * run twice with the same arguments, environment and input: by itself, and by
 * kvmsb-run.
 *
 * In the table a word "@name" is a file that the test makes.
 */
#include "sandbox_fixture.h"
#include "time_scale.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSYBOX "/usr/bin/busybox"
#define LUA "/usr/bin/lua5.4"
#define LICENSE "/usr/share/common-licenses/GPL-3"
#define SECONDS 60u
#define WORDS 12
#define TEXT_LINES 600
#define BINARY_BYTES 100000
/* What goes into a pipe before anybody reads it. */
#define PIPE_BYTES 60000

struct program {
	const char *name;
	const char *words[WORDS]; /* the first is its path */
	const char *environment[3];
	const char *input; /* a file on standard input; with '|' before it, through a pipe */
	bool optional;     /* not all machines have it */
};

static const char lua_script[] =
	"local t = {}\n"
	"for line in io.lines(arg[1]) do t[#t + 1] = line end\n"
	"print(#t, #table.concat(t, '\\n'))\n"
	"table.sort(t)\n"
	"print(t[1], t[#t], select('#', table.unpack(t, 1, 5)))\n"
	"print(string.format('%5.3f %q %x', math.pi, 'a\\nb', 255), ('x'):rep(5, ','))\n"
	"print(('one two three'):gsub('%w+', string.upper))\n"
	"print(math.maxinteger, math.mininteger // 3, 7 // 2, -7 % 3, 2^53, 1e300 * 1e10)\n"
	"print(os.date('%Y-%m-%d %H:%M:%S', 86400), os.getenv('NAME'), os.getenv('NONE'))\n"
	"local f = assert(io.open(arg[1], 'rb'))\n"
	"print(f:seek('end'), f:seek('set', 10), f:read(7), f:read('n'), f:read('l'))\n"
	"f:close()\n"
	"print(io.open('/nowhere/at/all'))\n"
	"print(pcall(error, {1}), pcall(error, 'message', 0))\n"
	"local c = coroutine.wrap(function(a) for i = 1, a do coroutine.yield(i * i) end end)\n"
	"print(c(3), c(), c())\n"
	"local s = {}\n"
	"for i = 1, 200000 do s[i % 1000 + 1] = {i, tostring(i)} end\n"
	"collectgarbage()\n"
	"print(s[1][2], #s, utf8.char(228, 8364, 128512))\n"
	"for line in io.stdin:lines() do io.write(#line, ' ') end\n"
	"io.stderr:write('to standard error\\n')\n"
	"os.exit(3)\n";

static const struct program programs[] = {
	{.name = "hello, static", .words = {GUEST("hello-static"), "one", "two words", ""}},
	{.name = "hello, static-pie", .words = {GUEST("hello-static-pie"), "one"}},
	{.name = "hello, dynamic", .words = {GUEST("hello-dynamic")}, .environment = {"A=1", "B="}},
	{.name = "hello, musl static", .words = {GUEST("hello-musl-static"), "one"}},
	{.name = "hello, musl dynamic", .words = {GUEST("hello-musl-dynamic"), "one", "two"}},
	{.name = "hello, Rust", .words = {GUEST("hello-rust"), "one"}, .environment = {"A=1"}},
	{.name = "hello, Rust static", .words = {GUEST("hello-rust-static"), "one"}},

	{.name = "busybox md5sum", .words = {BUSYBOX, "md5sum", "@binary", "@text"}},
	{.name = "busybox sha256sum", .words = {BUSYBOX, "sha256sum", "@binary", "@text"}},
	{.name = "busybox wc", .words = {BUSYBOX, "wc", "@text", "@binary"}},
	{.name = "busybox sort", .words = {BUSYBOX, "sort", "-r", "@text"}},
	{.name = "busybox head", .words = {BUSYBOX, "head", "-n", "20", "@text"}},
	{.name = "busybox tail", .words = {BUSYBOX, "tail", "-n", "20", "@text"}},
	{.name = "busybox od", .words = {BUSYBOX, "od", "-A", "x", "-t", "x1", "@binary"}},
	{.name = "busybox cut", .words = {BUSYBOX, "cut", "-d", " ", "-f", "2,3", "@text"}},
	{.name = "busybox tr", .words = {BUSYBOX, "tr", "a-z", "A-Z"}, .input = "@text"},
	{.name = "busybox grep", .words = {BUSYBOX, "grep", "-n", "e.*7", "@text"}},
	{.name = "busybox grep finds nothing", .words = {BUSYBOX, "grep", "xyzzy", "@text"}},
	{.name = "busybox sed", .words = {BUSYBOX, "sed", "-e", "s/[aeiou]\\(.\\)/<\\1>/g", "@text"}},
	{.name = "busybox awk",
	 .words = {BUSYBOX, "awk",
	           "{ s += $1; n[$2]++ } END { print s, s / NR; for (w in n) print w, n[w] }",
	           "@text"}},
	{.name = "busybox cat", .words = {BUSYBOX, "cat", "@text", "-", "@text"}, .input = "|@text"},
	{.name = "busybox cat without a file", .words = {BUSYBOX, "cat", "@text", "@missing"}},
	{.name = "busybox base64", .words = {BUSYBOX, "base64", "@binary"}},
	{.name = "busybox uniq", .words = {BUSYBOX, "uniq", "-c"}, .input = "|@text"},
	{.name = "busybox diff", .words = {BUSYBOX, "diff", "@text", "@script"}},
	{.name = "busybox cmp", .words = {BUSYBOX, "cmp", "@text", "@binary"}},
	{.name = "busybox gunzip", .words = {BUSYBOX, "gzip", "-dc", "@text.gz"}},
	{.name = "busybox find",
	 .words = {BUSYBOX, "find", "@directory", "-type", "f", "-size", "+1"}},
	{.name = "busybox sh",
	 .words = {BUSYBOX, "sh", "-c",
	           "i=0; while [ $i -lt 50 ]; do echo \"$i $((i * i))\"; i=$((i + 1)); done; "
	           "echo \"${NAME%e}\" >&2; test -f \"$0\"; exit $?",
	           "@text"},
	 .environment = {"NAME=value"}},
	{.name = "busybox wc of the license", .words = {BUSYBOX, "wc", LICENSE}, .optional = true},

	{.name = "lua5.4",
	 .words = {LUA, "@script", "@text"},
	 .environment = {"TZ=UTC0", "NAME=value"},
	 .input = "|@text"},
	{.name = "lua5.4 from standard input", .words = {LUA, "-", "@text"}, .input = "@script"},
	{.name = "lua5.4 with an error", .words = {LUA, "-e", "local x = nil; print(x.y)"}},

	{.name = "gzip", .words = {"/usr/bin/gzip", "-9nc", "@text"}},
	{.name = "gzip -d", .words = {"/usr/bin/gzip", "-dc", "@text.gz"}},
	{.name = "gzip, a pipe", .words = {"/usr/bin/gzip", "-nc"}, .input = "|@text"},
	{.name = "bzip2", .words = {"/usr/bin/bzip2", "-c", "@text"}},
	{.name = "bzip2 -d", .words = {"/usr/bin/bzip2", "-dc", "@text.bz2"}},
	{.name = "xz", .words = {"/usr/bin/xz", "-c", "-T1", "@text"}},
	{.name = "xz -d", .words = {"/usr/bin/xz", "-dc", "@text.xz"}},
	{.name = "xz of what is not xz", .words = {"/usr/bin/xz", "-dc", "@text"}},
	{.name = "gzip of the license", .words = {"/usr/bin/gzip", "-nc", LICENSE}, .optional = true},

	{.name = "printf",
	 .words = {"/usr/bin/printf", "%s %d %x %5.2f\\n", "word", "7", "255", "3.14159"}},
	{.name = "printf with an error", .words = {"/usr/bin/printf", "%d\\n", "seven"}},
	{.name = "date",
	 .words = {"/usr/bin/date", "-u", "-d", "2024-02-29 12:34:56 UTC", "+%F %T %s %A"},
	 .environment = {"TZ=UTC0", "LC_ALL=C"}},
	{.name = "seq", .words = {"/usr/bin/seq", "-w", "1", "7", "300"}},
	{.name = "sha512sum", .words = {"/usr/bin/sha512sum", "@binary"}},
	{.name = "sort",
	 .words = {"/usr/bin/sort", "-n", "-k", "2", "@text"},
	 .environment = {"LC_ALL=C"}},
	{.name = "tac", .words = {"/usr/bin/tac", "@text"}},
	{.name = "factor", .words = {"/usr/bin/factor"}, .input = "|@numbers"},
	{.name = "expr", .words = {"/usr/bin/expr", "7", "*", "6"}},
	{.name = "mawk",
	 .words = {"/usr/bin/mawk", "{ n += length($0) } END { printf \"%d %.3f\\n\", n, sqrt(n) }",
	           "@text"},
	 .optional = true},
	{.name = "perl",
	 .words = {"/usr/bin/perl",
	           "-e", "my %n; while (<>) { $n{$_}++ for split } print map { \"$_ $n{$_}\\n\" } sort keys %n",
	           "@text"},
	 .environment = {"LC_ALL=C"},
	 .optional = true},
	{.name = "grep", .words = {"/usr/bin/grep", "-c", "e", "@text"}, .optional = true},
	{.name = "sed", .words = {"/usr/bin/sed", "-n", "10,20p", "@text"}, .optional = true},
	{.name = "diff", .words = {"/usr/bin/diff", "-u", "@text", "@text"}, .optional = true},
	{.name = "python3",
	 .words = {"/usr/bin/python3", "-I", "-c",
	           "import sys, hashlib, json; d = open(sys.argv[1], 'rb').read(); "
	           "print(hashlib.sha256(d).hexdigest(), json.dumps({'n': len(d)}))",
	           "@binary"},
	 .optional = true},
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

/* "@name" is a path in the test's directory; anything else is itself. */
static const char *expand(const char *word)
{
	return word[0] == '@' ? path_of(word + 1) : word;
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

/* Running. */

/* What a program did. */
struct outcome {
	int status;
	char *output, *errors;
	size_t output_length, errors_length;
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

static struct outcome run(const char *const *words, const char *const *environment, const char *input)
{
	posix_spawn_file_actions_t actions;
	struct outcome outcome = {0};
	int in = open_input(input);
	int error;
	pid_t child;

	assert_true(in >= 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_addopen(&actions, 1, path_of("output"),
	                                 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, path_of("errors"),
	                                 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	error = posix_spawn(&child, words[0], &actions, NULL, (char *const *)(uintptr_t)words,
	                    (char *const *)(uintptr_t)environment);
	posix_spawn_file_actions_destroy(&actions);
	close(in);
	if (error != 0)
		fail_msg("%s: %s", words[0], strerror(error));
	assert_int_equal(waitpid(child, &outcome.status, 0), child);
	outcome.output = read_all("output", &outcome.output_length);
	outcome.errors = read_all("errors", &outcome.errors_length);
	return outcome;
}

static void discard(struct outcome *outcome)
{
	free(outcome->output);
	free(outcome->errors);
}

static struct outcome run_natively(const struct program *program)
{
	const char *words[WORDS + 1] = {NULL};
	const char *environment[4] = {NULL};

	for (size_t i = 0; program->words[i] != NULL; i++)
		words[i] = expand(program->words[i]);
	for (size_t i = 0; i < 3 && program->environment[i] != NULL; i++)
		environment[i] = expand(program->environment[i]);
	return run(words, environment, program->input);
}

static struct outcome run_in_sandbox(const struct program *program)
{
	char timeout[32];
	const char *words[WORDS + 20] = {
		TEST_KVMSB_RUN, "--timeout", timeout,        "--allow-read", directory,
		"--allow-read", TEST_GUESTS, "--allow-read", "/usr/share",
	};
	size_t count = 9;

	snprintf(timeout, sizeof(timeout), "%us", SECONDS * time_scale());
	for (size_t i = 0; i < 3 && program->environment[i] != NULL; i++) {
		words[count++] = "--env";
		words[count++] = expand(program->environment[i]);
	}
	words[count++] = "--";
	for (size_t i = 0; program->words[i] != NULL; i++)
		words[count++] = expand(program->words[i]);
	return run(words, (const char *const *)(uintptr_t)environ, program->input);
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

static void test_program(void **state)
{
	const struct program *program = *state;
	struct outcome native, inside;
	bool equal;

	if (access(program->words[0], X_OK) != 0) {
		if (!program->optional)
			fail_msg("%s: %s", program->words[0], strerror(errno));
		print_message("%s is not here\n", program->words[0]);
		return;
	}
	native = run_natively(program);
	inside = run_in_sandbox(program);
	equal = native.status == inside.status;
	equal &= same("output", native.output, native.output_length, inside.output,
	              inside.output_length);
	equal &= same("standard error", native.errors, native.errors_length, inside.errors,
	              inside.errors_length);
	if (!equal) {
		show("natively", &native);
		show("in the sandbox", &inside);
	}
	discard(&native);
	discard(&inside);
	assert_true(equal);
}

/* What a native program makes of the text, as a file. */
static void compress(const char *path, const char *name)
{
	const char *const words[] = {path, "-c", path_of("text"), NULL};
	const char *const environment[] = {NULL};
	struct outcome outcome = run(words, environment, NULL);

	assert_int_equal(outcome.status, 0);
	write_file(name, outcome.output, outcome.output_length);
	discard(&outcome);
}

static int make_files(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/kvmsb-programs-XXXXXX");
	assert_non_null(mkdtemp(directory));
	write_text();
	write_numbers();
	write_binary();
	write_file("script", lua_script, sizeof(lua_script) - 1);
	compress("/usr/bin/gzip", "text.gz");
	compress("/usr/bin/bzip2", "text.bz2");
	compress("/usr/bin/xz", "text.xz");
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"text",     "numbers", "binary", "script", "text.gz",
	                                    "text.bz2", "text.xz", "output", "errors"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

/* An argument is the name of the only program to run, with * and ?. */
int main(int argc, char **argv)
{
	static struct CMUnitTest tests[ARRAY_SIZE(programs)];

	if (!fixture_can_run())
		return CANNOT_RUN;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		tests[i] = (struct CMUnitTest){
			.name = programs[i].name,
			.test_func = test_program,
			.initial_state = (void *)(uintptr_t)&programs[i],
		};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
