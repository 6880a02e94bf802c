#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: vdso_embed.sh VDSO PAGES
# The vDSO as assembly for the library, on standard output. Fails when it is not
# what may be mapped as it is: a relocation, a symbol that another object would
# have to define, a second segment, or one that does not fit its pages.
set -eu
export LC_ALL=C

vdso=$1
pages=$2

fail() {
	echo "vdso_embed.sh: $vdso: $1" >&2
	exit 1
}

readelf -rW "$vdso" | grep -q 'There are no relocations' || fail 'it has relocations'
! readelf -W --dyn-syms "$vdso" | awk '$7 == "UND" && $8 != ""' | grep -q . ||
	fail 'it has undefined symbols'
! readelf -dW "$vdso" | grep -q '(NEEDED)' || fail 'it needs other objects'
[ "$(readelf -lW "$vdso" | grep -c ' LOAD ')" = 1 ] || fail 'it is not one segment'
readelf -lW "$vdso" | grep -q ' LOAD  *0x000000 0x0*0 .* R E 0x1000$' ||
	fail 'its segment is not one to read and execute, from address 0'
[ "$(wc -c < "$vdso")" -le $((pages * 4096)) ] || fail "it does not fit $pages pages"

cat <<END
	.section .rodata, "a", @progbits
	.balign 64
	.globl guest_vdso
	.hidden guest_vdso
guest_vdso:
END
od -An -v -tu1 "$vdso" | sed 's/^  *//; s/  */, /g; s/^/	.byte /'
cat <<END
	.org guest_vdso + $((pages * 4096)), 0
	.section .note.GNU-stack, "", @progbits
END
