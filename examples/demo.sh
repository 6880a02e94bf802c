#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is needed, builds, and shows the main job: programs of Debian
# run unmodified in sandboxes, then a program that answers requests from forks,
# at last those of an HTTP server.
# usage: examples/demo.sh

set -eu

cd "$(dirname "$0")/.."
sh tests/packages.sh demo
# One that is there was perhaps set up before all of it was installed.
reconfigure=
[ ! -f build/build.ninja ] || reconfigure=--reconfigure
meson setup $reconfigure build >/dev/null
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

server=build/examples/kvmsb-httpd
if [ ! -x $server ]; then
	echo
	echo "kvmsb-httpd is not built: libmicrohttpd is not installed."
	exit 0
fi
echo
echo "The same behind an HTTP server:"
printf '\n$ %s\n' "$server --listen 127.0.0.1:0 --program /hello=build/examples/guests/hello-http &"
$server --listen 127.0.0.1:0 --program /hello=build/examples/guests/hello-http >build/demo-server.log &
trap 'kill $!' EXIT
while ! url=$(sed -n 's/^listening on //p' build/demo-server.log | grep .); do
	kill -0 $!
	sleep 0.1
done
show curl --silent --show-error --include "${url}hello?from=curl"
