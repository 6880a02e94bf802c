# SPDX-License-Identifier: MIT
# A script of a shell that needs no other process.
i=0
total=0
while [ "$i" -lt 200 ]; do
	i=$((i + 1))
	case $i in
		*5) continue ;;
		1[0-9]) total=$((total + i * 3)) ;;
		*) total=$((total + i)) ;;
	esac
done
echo "$i $total"
count=0
while read -r number word rest; do
	count=$((count + number))
	last=$word
done <"$1"
echo "$count $last ${last#?} ${last%a} ${#last} ${NOTHING:-unset}"
greet() {
	local name=$1
	printf '%s, %5d|%-6s|%x\n' "$name" 42 left 255
	return 3
}
greet "hello there" || echo "status $?"
set -- one "two words" three
for word in "$@"; do echo "<$word>"; done
shift 2
echo "$# $1 $((0x1f & ~3)) $((7 % 4 << 2))"
cd / && pwd
[ -r "$0" ] && [ ! -e /nowhere ] && test -d / && echo found
trap 'echo at the end' EXIT
umask 027
umask
eval 'echo evaluated; false' || echo no >&2
exit 7
