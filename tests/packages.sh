#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what the demo, or the demo and all tests, need and this machine does
# not have, on Debian and its relatives. Elsewhere it says what is missing.
# usage: packages.sh demo | tests

set -eu

demo_packages="meson ninja-build gcc libc6-dev linux-libc-dev binutils pkg-config python3
	busybox-static lua5.4 libmicrohttpd-dev curl"
test_packages="g++ clang libclang-rt-14-dev libcmocka-dev musl-tools abigail-tools
	xz-utils bzip2 gzip qemu-system-x86 zstd chromium libcurl4-openssl-dev"
# What tests/programs/programs.def runs.
program_packages="brotli bc coreutils dash gawk imagemagick jq libpython3.11-testsuite netpbm openssl
	perl sqlite3 webp"

has_package() {
	dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed'
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "not root, and no sudo: as root, run: $*" >&2
		return 1
	fi
}

# Leaves the packages to install in $missing.
find_missing() {
	missing=
	for package; do
		has_package "$package" || missing="$missing $package"
	done
}

install_packages() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install "$@"
}

packages=$demo_packages
if [ "${1:-demo}" = tests ]; then
	packages="$packages $test_packages $program_packages"
	# Any Rust compiler will do, Debian's or another.
	command -v rustc >/dev/null || packages="$packages rustc"
fi

if ! command -v apt-get >/dev/null; then
	echo "no apt-get here; these must be installed, as Debian calls them:" $packages >&2
	exit 0
fi
find_missing $packages
[ -n "$missing" ] || exit 0
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Package lists may be missing or out of date: refresh them, try again.
{ install_packages $missing || { as_root apt-get -qq update && install_packages $missing; }; } \
	>"$log" 2>&1 || { cat "$log"; exit 1; }
