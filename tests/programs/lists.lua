-- SPDX-License-Identifier: MIT
-- Strings, tables, coroutines and files of Lua.
local t = {}
for line in io.lines(arg[1]) do t[#t + 1] = line end
print(#t, #table.concat(t, '\n'))
table.sort(t)
print(t[1], t[#t], select('#', table.unpack(t, 1, 5)))
print(string.format('%5.3f %q %x', math.pi, 'a\nb', 255), ('x'):rep(5, ','))
print(('one two three'):gsub('%w+', string.upper))
print(math.maxinteger, math.mininteger // 3, 7 // 2, -7 % 3, 2^53, 1e300 * 1e10)
print(os.date('%Y-%m-%d %H:%M:%S', 86400), os.getenv('NAME'), os.getenv('NONE'))
local f = assert(io.open(arg[1], 'rb'))
print(f:seek('end'), f:seek('set', 10), f:read(7), f:read('n'), f:read('l'))
f:close()
print(io.open('/nowhere/at/all'))
print(pcall(error, {1}), pcall(error, 'message', 0))
local c = coroutine.wrap(function(a) for i = 1, a do coroutine.yield(i * i) end end)
print(c(3), c(), c())
local s = {}
for i = 1, 200000 do s[i % 1000 + 1] = {i, tostring(i)} end
collectgarbage()
print(s[1][2], #s, utf8.char(228, 8364, 128512))
for line in io.stdin:lines() do io.write(#line, ' ') end
io.stderr:write('to standard error\n')
os.exit(3)
