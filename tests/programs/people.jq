# SPDX-License-Identifier: MIT
[.people[] | select(.age > 30) | {name, initials: (.name | split(" ") | map(.[0:1]) | join(""))}]
  | sort_by(.name), length, (map(.initials) | unique), (.[0] | to_entries), ([range(5)] | add),
    ("a-b-c" | gsub("-"; "+")), (now | type), ({} | .a.b.c = 1), (try error("caught") catch .)
