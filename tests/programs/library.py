# SPDX-License-Identifier: MIT
"""The parts of Python's library that programs use most, each printing what it makes."""
import base64
import collections
import csv
import datetime
import decimal
import fractions
import hashlib
import io
import itertools
import json
import random
import re
import sqlite3
import struct
import sys
import unicodedata
import zlib

text = open(sys.argv[1], encoding="utf-8").read()
data = open(sys.argv[2], "rb").read()

print(json.dumps({"lines": text.splitlines()[:3], "none": None, "pi": 3.25}, indent=1))
print(json.loads('{"a": [1, 2.5, "\\u20ac"], "b": {"c": true}}'))
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
    print(name, hashlib.new(name, data).hexdigest())
print(hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 1000).hex())
print(collections.Counter(re.findall(r"\b[a-z]{4,}\b", text)).most_common(5))
print(re.sub(r"(\w+) (\d+)", r"\2-\1", text)[:200])
packed = zlib.compress(data, 9)
print(len(packed), zlib.crc32(packed), zlib.decompress(packed) == data)
decimal.getcontext().prec = 60
print(decimal.Decimal(2).sqrt(), decimal.Decimal(1) / 7, fractions.Fraction(3, 9))
print(struct.unpack("<IHb", data[:7]), base64.b64encode(data[:30]).decode())
print(datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc).isoformat())
print(list(itertools.islice(itertools.permutations("abcd"), 5)), random.Random(5).random())
print(unicodedata.normalize("NFKD", "\u00e9\u2460").encode(), 2**521 % 1000007)
print(list(csv.reader(io.StringIO('a,"b, c",d\n1,2,3\n'))))

database = sqlite3.connect(":memory:")
database.execute("create table words(number integer, word text)")
database.executemany("insert into words values(?, ?)",
                     [(int(l.split()[0]), l.split()[1]) for l in text.splitlines()])
print(database.execute("select word, count(*), sum(number) from words group by word order by word")
      .fetchall())
reader = sqlite3.connect("file:" + sys.argv[3] + "?mode=ro&immutable=1", uri=True)
print(reader.execute("select count(*), max(number) from lines").fetchone())
try:
    open("/nowhere/at/all")
except OSError as error:
    print(error)
print(sum(i * i % 7 for i in range(300000)))
sys.exit(4)
