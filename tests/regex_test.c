/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions: what patterns mean, which are none, and that no pattern
 * and no text takes more time or memory than it may. What is expected is what
 * perl(1) 5.36 finds, where no row says otherwise.
 */
#include "failing_allocations.h"

#include "http/regex.h"
#include "time_limit.h"
#include "time_scale.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND UINT64_C(1000000)
#define NEVER UINT64_MAX
#define LARGE 65536u

static struct regex *compiled(const char *pattern, size_t length)
{
	struct regex *regex;

	assert_int_equal(regex_compile(&regex, pattern, length), 0);
	assert_non_null(regex);
	return regex;
}

/* Groups as "0-3 1-2 - 2-3"; "" when there is no match. */
static void describe(char *out, size_t size, size_t groups[][2], int count)
{
	size_t used = 0;

	out[0] = '\0';
	for (int i = 0; i < count; i++) {
		const char *separator = i > 0 ? " " : "";

		used += (size_t)(groups[i][0] == SIZE_MAX
		                         ? snprintf(out + used, size - used, "%s-", separator)
		                         : snprintf(out + used, size - used, "%s%zu-%zu", separator,
		                                    groups[i][0], groups[i][1]));
	}
}

static void match(const char *pattern, const char *text, size_t start, char *out, size_t size)
{
	size_t groups[REGEX_GROUPS_MAXIMUM][2];
	struct regex *regex = compiled(pattern, strlen(pattern));
	int count = regex_match(regex, text, strlen(text), start, groups, REGEX_GROUPS_MAXIMUM,
	                        NEVER);

	assert_true(count >= 0);
	describe(out, size, groups, count);
	regex_destroy(regex);
}

struct row {
	const char *pattern, *text, *groups;
};

static void check_rows(const struct row *rows, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		char found[256];

		match(rows[i].pattern, rows[i].text, 0, found, sizeof(found));
		if (strcmp(found, rows[i].groups) == 0)
			continue;
		print_error("/%s/ on \"%s\": \"%s\" instead of \"%s\"\n", rows[i].pattern,
		            rows[i].text, found, rows[i].groups);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_literals(void **state)
{
	static const struct row rows[] = {
		{"", "", "0-0"},
		{"", "abc", "0-0"},
		{"b", "abc", "1-2"},
		{"bc", "abc", "1-3"},
		{"x", "abc", ""},
		{"abcd", "abc", ""},
		{"a.c", "a\nc abc", "4-7"},
		{"\\.", "a.c", "1-2"},
		{"\\\\", "a\\c", "1-2"},
		{"a\\/b", "a/b", "0-3"},
		{"]", "]", "0-1"},
		{"}", "}", "0-1"},
		{"{", "{", "0-1"},
		{"a{", "a{", "0-2"},
		{"a{,2}", "a{,2}", "0-5"},
		{"a{x}", "a{x}", "0-4"},
		{"a{1", "a{1", "0-3"},
		{"a{1,", "a{1,", "0-4"},
		{"\xc3\xa4", "x\xc3\xa4", "1-3"},
		{"-", "-", "0-1"},
		{"a b#c", "a b#c", "0-5"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_escapes(void **state)
{
	static const struct row rows[] = {
		{"\\t\\n\\r\\f\\a\\e", "\t\n\r\f\a\033", "0-6"},
		{"\\x41\\x4a\\x4A", "AJJ", "0-3"},
		{"\\x4g", "\x04g", "0-2"},
		{"\\x{41}\\o{101}\\0101", "AA\0101", "0-4"},
		{"\\060\\cA\\ca\\c[", "0\x01\x01\x1b", "0-4"},
		{"\\d+", "ab123c", "2-5"},
		{"\\D+", "12ab3", "2-4"},
		{"\\w+", "  aZ_9-", "2-6"},
		{"\\W+", "ab \x80-c", "2-5"},
		{"\\s+", "a \t\n\v\f\rb", "1-7"},
		{"\\S+", " ab ", "1-3"},
		{"\\h+", "a \t\xa0\nb", "1-4"},
		{"\\H+", " \tab ", "2-4"},
		{"\\v+", "a\n\v\f\r\x85 ", "1-6"},
		{"\\V+", "\nab\n", "1-3"},
		{"\\N+", "\nab\n", "1-3"},
		{"\\Qa.b*\\E+", "aab a.b**", "4-9"},
		{"\\Qa\\b", "a\\b", "0-3"},
		{"a\\E+", "aa", "0-2"},
		{"[\\Q]^-\\E]+", "a]-^b", "1-4"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_classes(void **state)
{
	static const struct row rows[] = {
		{"[abc]+", "xxcabx", "2-5"},
		{"[^abc]+", "abxyc", "2-4"},
		{"[^a]", "\n", "0-1"},
		{"[a-c-e]+", "d-eab", "1-5"},
		{"[-a]+", "b-a", "1-3"},
		{"[a-]+", "b-a", "1-3"},
		{"[]a]+", "b]a", "1-3"},
		{"[^]a]+", "]bc]", "1-3"},
		{"[a^]+", "^a", "0-2"},
		{"[\\]\\\\]+", "a]\\", "1-3"},
		{"[\\d.]+", "v1.5x", "1-4"},
		{"[\\D]+", "12ab", "2-4"},
		{"[^\\W\\d]+", "1ab_2", "1-4"},
		{"[\\d-z]+", "5-z", "0-3"},
		{"[a-\\d]+", "a-5", "0-3"},
		{"[\\x41-\\x43\\n]+", "zAB\nCD", "1-5"},
		{"[\\101\\b]+", "A\b", "0-2"},
		{"[[:alpha:]]+", "1aZ2", "1-3"},
		{"[[:digit:][:upper:]_]+", "a1Z_b", "1-4"},
		{"[[:^digit:]]+", "12ab3", "2-4"},
		{"[[:xdigit:]]+", "gfF0", "1-4"},
		{"[[:punct:]]+", "a!~b", "1-3"},
		{"[[:space:]]+", "a \v\tb", "1-4"},
		{"[[:word:]]+", "-a_1-", "1-4"},
		{"[[:cntrl:]]+", "a\x01\x7f ", "1-3"},
		{"[[:print:]]+", "\x01 a~\x7f", "1-4"},
		{"[[:graph:]]+", " a~ ", "1-3"},
		{"[[:blank:]]+", "a \t\n", "1-3"},
		{"[[:ascii:]]+",
	         "\x80"
	         "ab\xff",
	         "1-3"},
		{"[[:lower:][:alnum:]]+", "-aB1", "1-4"},
		{"[[:alpha]+", "x[:alph", "1-7"},
		{"[[a]+", "x[a", "1-3"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_anchors(void **state)
{
	static const struct row rows[] = {
		{"^a", "aa", "0-1"},
		{"^b", "ab", ""},
		{"a$", "aa", "1-2"},
		{"a$", "aa\n", "1-2"},
		{"a$", "a\nb", ""},
		{"a$", "a\n\n", ""},
		{"\\Aa", "aa", "0-1"},
		{"a\\z", "a\n", ""},
		{"a\\z", "a", "0-1"},
		{"a\\Z", "a\n", "0-1"},
		{"^$", "", "0-0"},
		{"^$", "\n", "0-0"},
		{"$", "ab\n", "2-2"},
		{"(?m)^b$", "a\nb\nc", "2-3"},
		{"(?m)^", "\n", "0-0"},
		{"(?m)b|^\\z", "a\n", ""},
		{"(?m)a$", "a\nb", "0-1"},
		{"(?m)\\Ab", "a\nb", ""},
		{"\\bfoo\\b", "afoo foo", "5-8"},
		{"\\b", "  a", "2-2"},
		{"\\B", "ab", "1-1"},
		{"\\B", "", "0-0"},
		{"\\b", "--", ""},
		{"^a|b", "xb", "1-2"},
		{"(^a|c)b", "xabcb", "3-5 3-4"},
		{"x*^a", "a", "0-1"},
		{"^*a", "ba", "1-2"},
		{"$^", "", "0-0"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_repetition(void **state)
{
	static const struct row rows[] = {
		{"a*", "aab", "0-2"},
		{"a*?b", "aab", "0-3"},
		{"a*?", "aab", "0-0"},
		{"a+?", "aab", "0-1"},
		{"a??b", "ab", "0-2"},
		{"a??", "a", "0-0"},
		{"a{2}", "aaa", "0-2"},
		{"a{2,}", "aaaa", "0-4"},
		{"a{2,3}", "aaaa", "0-3"},
		{"a{2,3}?", "aaaa", "0-2"},
		{"a{0,2}b", "aaab", "1-4"},
		{"a{0}b", "ab", "1-2"},
		{"a{0,0}b", "ab", "1-2"},
		{"a{1}", "a", "0-1"},
		{"a{2,}?", "aaa", "0-2"},
		{"(?:ab){2}", "ababab", "0-4"},
		{"(ab){2,3}", "abababab", "0-6 4-6"},
		{"a{2}{3}", "aaaaaaa", "0-6"},
		{"(a+)(a+)", "aaa", "0-3 0-2 2-3"},
		{"(a+?)(a+)", "aaa", "0-3 0-1 1-3"},
		{"(a|ab)(c|bcd)", "abcd", "0-4 0-1 1-4"},
		{"<.*>", "<a><b>", "0-6"},
		{"<.*?>", "<a><b>", "0-3"},
		{"(a{1,2}b){1,2}", "abaabab", "0-5 2-5"},
		{"(?:){5}a", "a", "0-1"},
		{"a{0,1}{0}b", "ab", "1-2"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_groups_and_preference(void **state)
{
	static const struct row rows[] = {
		{"(a)(b)?(c)?", "ac", "0-2 0-1 - 1-2"},
		{"(a)(b)?", "a", "0-1 0-1"},
		{"(a)|(b)", "b", "0-1 - 0-1"},
		{"a|ab|abc", "abc", "0-1"},
		{"(?:a|ab|abc)$", "abc", "0-3"},
		{"|a", "a", "0-0"},
		{"a|", "ba", "0-0"},
		{"((a)|b)*", "ab", "0-2 1-2 0-1"},
		{"(?:(a)|(b)|(c))+", "abc", "0-3 0-1 1-2 2-3"},
		{"()", "a", "0-0 0-0"},
		{"(((x)))", "ax", "1-2 1-2 1-2 1-2"},
		{"(a*)*", "b", "0-0 0-0"},
		{"(a*)+", "b", "0-0 0-0"},
		{"(a*?)*?b", "aab", "0-3 1-2"},
		{"(|a)*", "aa", "0-0 0-0"},
		{"(?:a*)*b", "aab", "0-3"},
		{"(?<name>a)(?P<other>b)(?'third'c)", "abc", "0-3 0-1 1-2 2-3"},
		{"(x)?(y)?(z)?", "", "0-0"},
		{"(a(b)?)+", "aba", "0-3 2-3 1-2"},
		{"^(.*?),(.*)$", "a,b,c", "0-5 0-1 2-5"},
		{"(foo|foobar)(bar)?", "foobar", "0-6 0-3 3-6"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

/* Perl ends these loops with an empty round: see regex.h. */
static void test_empty_rounds_do_not_count(void **state)
{
	static const struct row rows[] = {
		{"(a|b?)*", "ab", "0-2 1-2"},
		{"(a|)+", "aab", "0-2 1-2"},
		{"(?:a*|.)*", "aa b", "0-4"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_flags(void **state)
{
	static const struct row rows[] = {
		{"(?i)aBc", "xAbC", "1-4"},
		{"(?i)[a-c]+", "xAbC", "1-4"},
		{"(?i)[^a]+", "aAbB", "2-4"},
		{"(?i)[[:upper:]]+", "1ab", "1-3"},
		{"(?i)\\x41", "a", "0-1"},
		{"(?i)[Z-a]+", "z_A", "0-3"},
		{"a(?i)b|c", "C", "0-1"},
		{"(?:a(?i)b)c", "aBC", ""},
		{"(?:a(?i)b)c", "aBc", "0-3"},
		{"(?i:a)b", "Ab AB", "0-2"},
		{"(?i)a(?-i)b", "AB Ab", "3-5"},
		{"(?i)a(?-i:b)C", "Abc", "0-3"},
		{"(?s)a.b", "a\nb", "0-3"},
		{"(?s-s)a.b", "a\nb", ""},
		{"(?sm)^.b$", "a\n\nb\n", "2-4"},
		{"(?m-s:^b)", "a\nb", "2-3"},
		{"(?x) a b # c\n c [ ] \\ d", "abc  d", "0-6"},
		{"(?x)a +", "aaa", "0-3"},
		{"(?x:a b)c d", "abc d", "0-5"},
		{"(?x)\\Qa b\\E", "a b", "0-3"},
		{"a(?#comment)b", "ab", "0-2"},
		{"a(?#comment)*", "aa", "0-2"},
		{"(?)a", "a", "0-1"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_what_is_no_pattern(void **state)
{
	static const char *const patterns[] = {
		"(",
		")",
		"(a",
		"a)",
		"((a)",
		"[",
		"[a",
		"[]",
		"[^",
		"[^]",
		"[]a",
		"[[:alpha:",
		"[[:alpha:]",
		"[[:nothing:]]",
		"[[:^:]]",
		"[[::]]",
		"[[.a.]]",
		"[[=a=]]",
		"[b-a]",
		"[a-\\",
		"[\\",
		"[a-",
		"*",
		"+",
		"?",
		"{1}",
		"{1,}",
		"a|*",
		"(*)",
		"(*FAIL)",
		"(+a)",
		"(?:*)",
		"|+",
		"(?i)*",
		"a**+",
		"a*+",
		"a++",
		"a?+",
		"a{1}+",
		"a{2,1}",
		"a{65536}",
		"a{1,65536}",
		"a{99999999999999999999}",
		"\\",
		"a\\",
		"\\1",
		"(a)\\1",
		"(a)\\9",
		"\\8",
		"\\g1",
		"\\k<a>",
		"\\K",
		"\\G",
		"\\R",
		"\\X",
		"\\C",
		"\\pL",
		"\\p{L}",
		"\\P{L}",
		"\\i",
		"\\q",
		"\\y",
		"\\u",
		"\\U",
		"\\l",
		"\\L",
		"\\x{",
		"\\x{}",
		"\\x{100}",
		"\\x{41",
		"\\x{g}",
		"\\o",
		"\\o{",
		"\\o{8}",
		"\\o{400}",

		"\\c",
		"\\c\n",
		"[\\c]",
		"[\\8]",
		"[\\N]",
		"[\\B]",
		"[\\A]",
		"[\\R]",
		"[\\y]",
		"[\\777]",
		"(?",
		"(?a)",
		"(?i",
		"(?i:",
		"(?i-",
		"(?--i)",
		"(?=a)",
		"(?!a)",
		"(?<=a)",
		"(?<!a)",
		"(?>a)",
		"(?|a)",
		"(?R)",
		"(?1)",
		"(?0)",
		"(?+1)",
		"(?-1)",
		"(?&a)",
		"(?P=a)",
		"(?P>a)",
		"(?P<a",
		"(?P",
		"(?<>a)",
		"(?<1a>b)",
		"(?<a",
		"(?<a-b>c)",
		"(?'a>b)",
		"(?(1)a)",
		"(?C)",
		"(?^i)",
		"(?#",
		"(?#a",
		"(?{a})",
		"(??{a})",
	};
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		struct regex *regex;
		int result = regex_compile(&regex, patterns[i], strlen(patterns[i]));

		if (result == -EINVAL && regex == NULL)
			continue;
		print_error("/%s/: %d\n", patterns[i], result);
		regex_destroy(regex);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_nul_is_a_byte(void **state)
{
	struct regex *regex = compiled("a\0[\0-\1]\\0", 9);
	size_t groups[1][2];

	(void)state;
	assert_int_equal(regex_match(regex, "xa\0\1\0", 5, 0, groups, 1, NEVER), 1);
	assert_int_equal(groups[0][0], 1);
	assert_int_equal(groups[0][1], 5);
	assert_int_equal(regex_match(regex, "xa\0\2\0", 5, 0, groups, 1, NEVER), 0);
	regex_destroy(regex);
}

static void check_from(const char *pattern, const char *text, size_t start, const char *expected)
{
	char found[256];

	match(pattern, text, start, found, sizeof(found));
	assert_string_equal(found, expected);
}

static void test_start_looks_behind(void **state)
{
	(void)state;
	check_from("a", "aba", 1, "2-3");
	check_from("^a", "aa", 1, "");
	check_from("(?m)^a", "\na", 1, "1-2");
	check_from("\\ba", "aa a", 1, "3-4");
	check_from("\\Ba", "aa", 1, "1-2");
	check_from("a*", "aab", 2, "2-2");
	check_from("$", "ab", 2, "2-2");
	check_from("x", "x", 1, "");
}

static void test_start_and_length_are_checked(void **state)
{
	struct regex *regex = compiled("", 0);

	(void)state;
	assert_int_equal(regex_match(regex, "a", 1, 2, NULL, 0, NEVER), -E2BIG);
	assert_int_equal(regex_match(regex, "a", REGEX_TEXT_MAXIMUM + 1, 0, NULL, 0, NEVER), -E2BIG);
	assert_int_equal(regex_match(regex, NULL, 0, 0, NULL, 0, NEVER), 1);
	regex_destroy(regex);
}

/* The number of the highest group, also of those that nobody asks for. */
static void test_count_does_not_depend_on_the_room(void **state)
{
	struct regex *regex = compiled("(a)(b)?(c)(d)?", 14);
	size_t groups[8][2];

	(void)state;
	for (size_t maximum = 0; maximum <= ARRAY_SIZE(groups); maximum++) {
		memset(groups, 0x55, sizeof(groups));
		assert_int_equal(regex_match(regex, "acac", 4, 1, groups, maximum, NEVER), 4);
		if (maximum > 0)
			assert_int_equal(groups[0][0] * 10 + groups[0][1], 24);
		if (maximum > 3)
			assert_int_equal(groups[3][0] * 10 + groups[3][1], 34);
		for (size_t i = 4; i < maximum; i++)
			assert_true(groups[i][0] == SIZE_MAX && groups[i][1] == SIZE_MAX);
	}
	regex_destroy(regex);
}

/* ---- Limits ---- */

/* `before`, `part` so many times, `behind`; free() it. */
static char *repeated(const char *before, const char *part, size_t times, const char *behind)
{
	size_t length = strlen(part), size = strlen(before) + length * times + strlen(behind) + 1;
	char *text = malloc(size), *end = text;

	assert_non_null(text);
	end = stpcpy(end, before);
	for (size_t i = 0; i < times; i++)
		end = stpcpy(end, part);
	stpcpy(end, behind);
	return text;
}

static int result_of(const char *pattern)
{
	struct regex *regex;
	int result = regex_compile(&regex, pattern, strlen(pattern));

	assert_int_equal(result == 0, regex != NULL);
	regex_destroy(regex);
	return result;
}

static int result_of_repeated(const char *before, const char *part, size_t times, const char *behind)
{
	char *pattern = repeated(before, part, times, behind);
	int result = result_of(pattern);

	free(pattern);
	return result;
}

static int result_of_nested(const char *open, size_t depth, const char *inside, const char *close)
{
	char *right = repeated(inside, close, depth, "");
	int result = result_of_repeated("", open, depth, right);

	free(right);
	return result;
}

static void test_programs_are_bounded(void **state)
{
	(void)state;
	/* The step that matches is one. */
	assert_int_equal(result_of_repeated("", "a", REGEX_PROGRAM_MAXIMUM - 1, ""), 0);
	assert_int_equal(result_of_repeated("", "a", REGEX_PROGRAM_MAXIMUM, ""), -E2BIG);
	assert_int_equal(result_of("a{1023}"), 0);
	assert_int_equal(result_of("a{1024}"), -E2BIG);
	assert_int_equal(result_of("a{0,511}"), 0);
	assert_int_equal(result_of("a{0,512}"), -E2BIG);
	assert_int_equal(result_of("a{65535}"), -E2BIG);
	assert_int_equal(result_of("x{1000}{1000}"), -E2BIG);
	assert_int_equal(result_of("((a{10}){10}){10}"), -E2BIG);
	assert_int_equal(result_of("(((((a{1,9}){1,9}){1,9}){1,9}){1,9}){1,9}"), -E2BIG);
	assert_int_equal(result_of("(?:){65535}"), 0);
	assert_int_equal(result_of("(?:){65535}{65535}{65535}"), 0);
	assert_int_equal(result_of("(?:){0,65535}"), -E2BIG);
	assert_int_equal(result_of_repeated("a", "*", 5000, ""), -E2BIG);
	assert_int_equal(result_of_repeated("", "|", 5000, ""), -E2BIG);
	assert_int_equal(result_of_repeated("a", "{0}a", 10000, ""), 0);
	assert_int_equal(result_of_repeated("", "[a]{0}", 10000, ""), 0);
}

static void test_groups_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(result_of_repeated("", "()", REGEX_GROUPS_MAXIMUM - 1, ""), 0);
	assert_int_equal(result_of_repeated("", "()", REGEX_GROUPS_MAXIMUM, ""), -E2BIG);
	assert_int_equal(result_of_repeated("", "(){0}", 5000, ""), -E2BIG);
	assert_int_equal(result_of_nested("(?:", REGEX_DEPTH_MAXIMUM, "a", ")"), 0);
	assert_int_equal(result_of_nested("(?:", REGEX_DEPTH_MAXIMUM + 1, "a", ")"), -E2BIG);
	assert_int_equal(result_of_nested("(", 10000, "a", ")"), -E2BIG);
	assert_int_equal(result_of_nested("(?i:", 10000, "a", ")*"), -E2BIG);
	assert_int_equal(result_of_nested("[", 10000, "", ""), -EINVAL);
	assert_int_equal(result_of_nested("(", 10000, "", ""), -E2BIG);
	assert_int_equal(result_of_nested(")", 10000, "", ""), -EINVAL);
}

static void test_different_classes_are_bounded(void **state)
{
	static char pattern[REGEX_PROGRAM_MAXIMUM * 16];
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < REGEX_PROGRAM_MAXIMUM + 1; i++)
		used += (size_t)snprintf(pattern + used, sizeof(pattern) - used,
		                         "[\\x%02x\\x%02x]{0}", i / 32, 128 + i % 32);
	assert_int_equal(result_of(pattern), -E2BIG);
}

static const char *const explosive[] = {
	"(a*)*b",
	"(a+)+b",
	"(a|aa)+b",
	"(a|a)*b",
	"(?:a?){500}a{20}b",
	"(.*)(.*)(.*)(.*)(.*)b",
	"(?:(?:a*)*)*b",
	"((a*)*|(b*)*)*c",
	"(?:a{0,500})*b",
	".*.*.*=.*",
	"a*a*a*a*a*a*b",
	"(((a{1,4}){1,4}){1,4})*b",
	"[ab]*a[ab]{500}c",
	"(?:.|\\n|a|[^b])*b",
	"(?:a|b|ab)*c",
	"(x+x+)+y|(a|a?)+b",
	"(?:a*?)*?b",
	"(^|a|b$|\\ba?)*c",
};

static void test_time_does_not_explode(void **state)
{
	char *text = repeated("", "a", LARGE, "");
	size_t groups[REGEX_GROUPS_MAXIMUM][2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(explosive); i++) {
		struct regex *regex = compiled(explosive[i], strlen(explosive[i]));
		/* Some 0.2 seconds at worst; what explodes takes years. */
		uint64_t deadline = time_now() + (uint64_t)time_scale() * 10000 * MILLISECOND;

		assert_int_equal(regex_match(regex, text, LARGE, 0, groups, 1, deadline), 0);
		regex_destroy(regex);
	}
	free(text);
}

static void test_a_match_ends_in_time(void **state)
{
	char *text = repeated("", "a", LARGE, "");
	struct regex *regex = compiled("[ab]*a[ab]{500}c", 16);
	uint64_t begin = time_now();

	(void)state;
	assert_int_equal(regex_match(regex, text, LARGE, 0, NULL, 0, begin + MILLISECOND),
	                 -ETIMEDOUT);
	/* Far less than without a deadline, even where the machine is busy. */
	assert_in_range(time_now() - begin, MILLISECOND, (uint64_t)time_scale() * 50 * MILLISECOND);
	assert_int_equal(regex_match(regex, text, LARGE, 0, NULL, 0, 0), -ETIMEDOUT);
	/* What is over at once is not worth a look at the clock. */
	assert_int_equal(regex_match(regex, text, 1, 0, NULL, 0, 0), 0);
	regex_destroy(regex);
	free(text);
}

static void test_no_memory(void **state)
{
	struct regex *regex;
	size_t groups[2][2];

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		allocations_fail_at(i);
		assert_int_equal(regex_compile(&regex, "(a)[b]", 6), -ENOMEM);
		assert_true(allocations_stop_failing());
		assert_null(regex);
	}
	regex = compiled("(a)[b]", 6);
	allocations_fail_at(1);
	assert_int_equal(regex_match(regex, "ab", 2, 0, groups, 2, NEVER), -ENOMEM);
	assert_true(allocations_stop_failing());
	assert_int_equal(regex_match(regex, "ab", 2, 0, groups, 2, NEVER), 2);
	regex_destroy(regex);
	regex_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_repetition),
		cmocka_unit_test(test_groups_and_preference),
		cmocka_unit_test(test_empty_rounds_do_not_count),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_what_is_no_pattern),
		cmocka_unit_test(test_nul_is_a_byte),
		cmocka_unit_test(test_start_looks_behind),
		cmocka_unit_test(test_start_and_length_are_checked),
		cmocka_unit_test(test_count_does_not_depend_on_the_room),
		cmocka_unit_test(test_programs_are_bounded),
		cmocka_unit_test(test_groups_are_bounded),
		cmocka_unit_test(test_different_classes_are_bounded),
		cmocka_unit_test(test_time_does_not_explode),
		cmocka_unit_test(test_a_match_ends_in_time),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
