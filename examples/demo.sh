#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is needed, builds, and shows the main job: programs of Debian
# run unmodified in sandboxes, then a program that answers requests from forks.
# usage: examples/demo.sh

set -eu

cd "$(dirname "$0")/.."
sh tests/packages.sh demo
[ -f build/build.ninja ] || meson setup build >/dev/null
ninja -C build >build/demo.log 2>&1 || { cat build/demo.log; exit 1; }

show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

sandbox=build/examples/kvmsb-run
busybox=$(command -v busybox)
lua=$(readlink -f "$(command -v lua5.4)")

echo "A static program hashes a real file, outside and inside of a sandbox:"
show sha256sum LICENSE
show $sandbox --allow-read "$PWD/LICENSE" "$busybox" sha256sum "$PWD/LICENSE"

echo
echo "A dynamic one: its loader and libraries are the machine's own."
show $sandbox --allow-read /lib --allow-read /usr/lib --allow-read /etc/ld.so.cache \
	"$lua" -e 'print(_VERSION, 6 * 7, 2 ^ 0.5)'

echo
echo "What was not allowed is not there:"
show $sandbox "$busybox" cat /etc/passwd || echo "(exit status $?)"

echo
echo "A guest that waits for requests is frozen and forked; the fork answers, and is"
echo "reset after each:"
show $sandbox --get /hello --repeat 3 --stats build/examples/guests/hello-http
