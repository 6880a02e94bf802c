-- SPDX-License-Identifier: MIT
-- A database file is read, joined and summed up.
select count(*), sum(number), min(word), max(word) from lines;
select word, count(*) as n, avg(number) from lines group by word order by n desc, word;
select a.number, b.number from lines a join lines b on a.number + 1 = b.number where a.number < 5;
with recursive f(n, a, b) as (select 1, 0, 1 union all select n + 1, b, a + b from f where n < 40)
select group_concat(a, ' ') from f;
select json_extract('{"a": [1, 2, {"b": "c"}]}', '$.a[2].b'), printf('%08.3f', 3.14159);
explain query plan select * from lines where number = 7;
pragma integrity_check;
select * from no_such_table;
