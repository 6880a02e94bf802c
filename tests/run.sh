#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is needed, builds with gcc, with clang, with the sanitizers and
# with the checks of lib/checks.h, runs all test suites, and ends with "N passed, N failed".
# Fails on compiler warnings, and on tests that could not run although this
# machine has a usable /dev/kvm.
# usage: tests/run.sh [BUILD...]   BUILD: gcc clang sanitize checked hardware; all unless named

set -eu

cd "$(dirname "$0")/.."
sh tests/packages.sh tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() {
	printf '\n== %s\n' "$*"
}

# Counts something that is not a test of meson's as one that failed.
fail() {
	echo "FAILED: $*"
	printf '{"name": "%s", "result": "FAIL"}\n' "$*" >>"$work/log.json"
}

# build DIRECTORY COMPILER [MESON-OPTION...]
build() {
	directory=$1 compiler=$2
	shift 2
	say "build with $compiler in $directory $*"
	# One that is there was perhaps set up before what tests need was installed.
	if [ -f "$directory/build.ninja" ]; then
		set -- --reconfigure "$@"
	else
		rm -rf "$directory"
	fi
	CC=$compiler meson setup "$directory" -Dwerror=true "$@" >"$work/setup" ||
		{ cat "$work/setup"; fail "meson setup $directory"; return 1; }
	ninja -C "$directory" >"$work/build" 2>&1 ||
		{ cat "$work/build"; fail "build of $directory"; return 1; }
	if grep -n 'warning' "$work/build"; then
		fail "warnings in the build of $directory"
	fi
	tail -n 1 "$work/build"
}

# run DIRECTORY [MESON-TEST-OPTION...]
run() {
	directory=$1
	shift
	say "tests of $directory $*"
	log=$directory/meson-logs/run.json
	rm -f "$log"
	meson test -C "$directory" --no-rebuild --logbase run --print-errorlogs "$@" </dev/null || true
	if [ -s "$log" ]; then
		sed "s|^{|{\"build\": \"$directory\", |" "$log" >>"$work/log.json"
	else
		fail "meson test $directory $*"
	fi
}

run_gcc() {
	build build gcc && run build
}

# The sanitizers' build is clang's, too, and runs all suites.
run_clang() {
	build build-clang clang && run build-clang --suite pure --suite fault --suite kvm
}

run_sanitize() {
	export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export KVMSB_SOAK_SECONDS=30
	build build-sanitize clang -Db_sanitize=address,undefined -Db_lundef=false &&
		run build-sanitize --no-suite programs --no-suite package --timeout-multiplier 4
	unset ASAN_OPTIONS UBSAN_OPTIONS KVMSB_SOAK_SECONDS
}

# What reads tables and memory; the rest would be the same once more.
run_checked() {
	export KVMSB_SOAK_SECONDS=30
	build build-checked gcc -Dchecks=true &&
		run build-checked --suite pure --suite fault --suite kvm --suite api --timeout-multiplier 3
	unset KVMSB_SOAK_SECONDS
}

run_hardware() {
	build build gcc && run build --suite hardware --verbose --num-processes 3
}

# Prints the closing line; its status is that of this script.
summarize() {
	python3 - "$work/log.json" <<'END'
import collections, json, os, sys

counts = collections.Counter()
with open(sys.argv[1]) as log:
    for line in log:
        test = json.loads(line)
        counts[test["result"]] += 1
        if test["result"] not in ("OK", "EXPECTEDFAIL"):
            print(test["result"].lower() + ":", test["name"], "in " + test["build"] if "build" in test else "")
passed = counts["OK"] + counts["EXPECTEDFAIL"]
skipped = counts["SKIP"]
failed = sum(counts.values()) - passed - skipped
if skipped and os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("/dev/kvm can be used here, so a skipped test is a failed one")
    failed += skipped
    skipped = 0
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed or not passed else 0)
END
}

: >"$work/log.json"
[ $# -gt 0 ] || set -- gcc hardware clang sanitize checked
for name; do
	case $name in
		gcc | clang | sanitize | checked | hardware) "run_$name" || true ;;
		*) echo "unknown build: $name" >&2; exit 2 ;;
	esac
done
say "all of them"
summarize
