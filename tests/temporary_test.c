/* SPDX-License-Identifier: MIT */
/*
 * Programs of this machine, and their libraries, with a /tmp in memory: what
 * they print is known, since none can run natively without leaving something.
 */
#include "sandbox_fixture.h"

#include "guests/channels.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSYBOX "/usr/bin/busybox"
#define PYTHON "/usr/bin/python3"
#define RUN                                                                                        \
	"timeout 120 " TEST_KVMSB_RUN                                                              \
	" --cwd / --tmpfs 16M --allow-read /usr --allow-read /etc/ld.so.cache "

static char output[65536];

static void assert_prints(const char *command, const char *expected)
{
	FILE *pipe = popen(command, "r");
	size_t length;

	assert_non_null(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	assert_int_equal(pclose(pipe), 0);
	assert_string_equal(output, expected);
}

static bool is_there(const char *program)
{
	if (access(program, X_OK) == 0)
		return true;
	print_message("%s is not on this machine\n", program);
	return false;
}

/* What a shell does without children. */
static void shell(void **state)
{
	struct stat status;

	(void)state;
	if (!is_there(BUSYBOX))
		return;
	assert_prints(RUN BUSYBOX
	              " sh -c '"
	              "set -e; umask 022; cd /tmp; pwd; echo one >kvmsb-a; echo two >>kvmsb-a;"
	              "while read line; do echo \"$line\"; done <kvmsb-a;"
	              "for name in *; do echo $name; done;"
	              "test -s kvmsb-a; test ! -e none;"
	              "set -C; { echo x >kvmsb-a; } 2>/dev/null || echo refused'",
	              "/tmp\none\ntwo\nkvmsb-a\nrefused\n");
	assert_int_equal(stat("/tmp/kvmsb-a", &status), -1);
	assert_prints(RUN BUSYBOX " mkdir -p /tmp/a/b/c && " RUN BUSYBOX " ls -a /tmp", ".\n..\n");
	assert_prints(RUN BUSYBOX " dd if=/dev/zero of=/tmp/kvmsb-b bs=1M count=9 2>&1",
	              "9+0 records in\n9+0 records out\n");
	assert_prints(RUN BUSYBOX
	              " dd if=/dev/zero of=/tmp/kvmsb-b bs=1M count=99 2>&1 | grep -o No.*",
	              "No space left on device\n");
}

static const char python_script[] =
	"import mmap, os, shutil, sys, tempfile\n"
	"os.makedirs('/tmp/d/e')\n"
	"open('/tmp/d/e/f', 'w').write('content')\n"
	"shutil.copytree('/tmp/d', '/tmp/g')\n"
	"os.rename('/tmp/d', '/tmp/h')\n"
	"print(sorted(os.walk('/tmp')))\n"
	"shutil.rmtree('/tmp/g')\n"
	"with tempfile.NamedTemporaryFile() as t:\n"
	"  t.write(b'x' * 100000); t.flush(); print(os.path.getsize(t.name))\n"
	"with tempfile.TemporaryFile() as t:\n"
	"  t.write(b'x' * 100000); t.seek(0); print(len(t.read()))\n"
	"with tempfile.TemporaryDirectory() as t:\n"
	"  open(t + '/f', 'w').write('x')\n"
	"print(os.listdir('/tmp'))\n"
	/* Mapped, closed, unmapped: each time nearly all there is. */
	"for i in range(5):\n"
	"  f = os.memfd_create('x'); os.truncate(f, 0)\n"
	"  for j in range(12): os.write(f, bytes([i]) * (1 << 20))\n"
	"  m = mmap.mmap(f, 12 << 20, mmap.MAP_PRIVATE, mmap.PROT_READ)\n"
	"  os.close(f); print(m[0], m[(12 << 20) - 1]); m.close()\n"
	/* A page keeps what the file was when it was first used. */
	"f = os.memfd_create('x'); os.write(f, b'a' * 8192)\n"
	"m = mmap.mmap(f, 8192, mmap.MAP_SHARED, mmap.PROT_READ)\n"
	"first = m[0]; os.pwrite(f, b'b' * 8192, 0); print(first == m[0], chr(m[0]))\n"
	"try: mmap.mmap(f, 8192, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)\n"
	"except OSError as e: print(e)\n"
	"m = mmap.mmap(f, 8192, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)\n"
	"m[0] = 99; print(os.pread(f, 1, 0), m[:2])\n";

static void python(void **state)
{
	char command[1024];

	(void)state;
	if (!is_there(PYTHON))
		return;
	setenv("SCRIPT", python_script, 1);
	snprintf(command, sizeof(command), RUN PYTHON " -c \"$SCRIPT\"");
	assert_prints(command,
	              "[('/tmp', ['g', 'h'], []), ('/tmp/g', ['e'], []), ('/tmp/g/e', [], ['f']), "
	              "('/tmp/h', ['e'], []), ('/tmp/h/e', [], ['f'])]\n"
	              "100000\n100000\n['h']\n0 0\n1 1\n2 2\n3 3\n4 4\nTrue a\n"
	              "[Errno 19] No such device\nb'b' b'cb'\n");
}

static const char database_script[] =
	"import os, sqlite3\n"
	"c = sqlite3.connect('/tmp/db')\n"
	"c.execute('create table t(a integer primary key, b text)')\n"
	"for n in range(10):\n"
	"  with c: c.executemany('insert into t(b) values(?)', ((str(i) * 9,) for i in "
	"range(500)))\n"
	"try:\n"
	"  with c:\n"
	"    c.execute('delete from t where a > 100'); raise KeyError\n"
	"except KeyError: pass\n"
	"c.execute('vacuum')\n"
	"print(c.execute('select count(*), max(a) from t').fetchone())\n"
	"print(c.execute('pragma integrity_check').fetchone(), os.listdir('/tmp'))\n";

static void database(void **state)
{
	(void)state;
	if (!is_there(PYTHON))
		return;
	setenv("SCRIPT", database_script, 1);
	assert_prints(RUN PYTHON " -c \"$SCRIPT\"", "(5000, 5000)\n('ok',) ['db']\n");
}

static const char many_script[] = "import os, sys\n"
				  "n = 0\n"
				  "try:\n"
				  "  while True:\n"
				  "    os.mkdir('/tmp/%d' % n); n += 1\n"
				  "except OSError as e: print(e.strerror)\n"
				  "names = os.listdir('/tmp')\n"
				  "print(len(names) == n, len(set(names)) == n, n > 10000)\n"
				  "for name in names: os.rmdir('/tmp/' + name)\n"
				  "print(os.listdir('/tmp'))\n";

/* As many names as there is room for, listed and removed again. */
static void many_files(void **state)
{
	(void)state;
	if (!is_there(PYTHON))
		return;
	setenv("SCRIPT", many_script, 1);
	assert_prints("timeout 120 " TEST_KVMSB_RUN
	              " --cwd / --tmpfs 6M --allow-read /usr --allow-read /etc/ld.so.cache " PYTHON
	              " -c \"$SCRIPT\"",
	              "No space left on device\nTrue True True\n[]\n");
}

/* What a fork sees counts as its own, until it is reset. */
static void statistics(void **state)
{
	const char *path = GUEST("channels-static");
	const char *const arguments[] = {"channels", path, TEST_GUESTS, NULL};
	const struct kvmsb_path_rule rule = {.path = TEST_GUESTS, .kind = KVMSB_PATH_DIRECTORY};
	struct kvmsb_options options = fixture_options(path);
	struct kvmsb *master, *fork;
	uint64_t before;

	(void)state;
	options.arguments = arguments;
	options.paths = &rule;
	options.path_count = 1;
	options.temporary_size = UINT64_C(1) << 20;
	master = fixture_master(&options);
	fork = fixture_fork(master);
	before = fixture_statistics(master).file_memory;
	assert_in_range(before, 40000, 80000);
	assert_int_equal(fixture_statistics(fork).file_memory, before);
	fixture_call(fork, "leave_all", NUMBERS(ENDING_returned));
	assert_true(fixture_statistics(fork).file_memory > before);
	assert_int_equal(fixture_statistics(master).file_memory, before);
	assert_int_equal(kvmsb_reset(fork), 0);
	assert_int_equal(fixture_statistics(fork).file_memory, before);
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shell),      cmocka_unit_test(python),
		cmocka_unit_test(database),   cmocka_unit_test(many_files),
		cmocka_unit_test(statistics),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
