# SPDX-License-Identifier: MIT
# Fields, arrays, functions and formats of awk.
function factorial(n) { return n < 2 ? 1 : n * factorial(n - 1) }
{ count[$2]++; sum += $1; if (length($0) > longest) longest = length($0) }
/gamma.*7/ { matched++ }
END {
	n = asorti(count, order)
	for (i = 1; i <= n; i++) printf "%-6s %d\n", order[i], count[order[i]]
	print NR, sum, longest, matched, factorial(20)
	print gensub(/([a-z]+) ([a-z]+)/, "\\2 \\1", "g", "one two three"), toupper("abc"), substr("hello", 2, 3)
	print strftime("%Y-%m-%d", 86400, 1), and(12, 10), xor(12, 10), sqrt(2), int(-3.7), 2 ** 30
	exit 6
}
