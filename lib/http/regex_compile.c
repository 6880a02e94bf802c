/* SPDX-License-Identifier: MIT */
/*
 * A pattern becomes a program in one pass, without a tree: what an operator
 * applies to is the end of the program so far, and is moved, or copied, since
 * its jumps are relative. Groups lie on a stack of frames of bounded depth.
 */
#include "regex_escape.h"
#include "regex_program.h"

#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A step has the number of its set in 16 bits, and without one nobody needs it. */
#define SETS_MAXIMUM REGEX_PROGRAM_MAXIMUM
/* Of a counted repetition, as PCRE2 has it. */
#define COUNT_MAXIMUM 65535u
#define UNBOUNDED UINT32_MAX
#define NO_ATOM SIZE_MAX

enum flag {
	IGNORE_CASE = 1, /* i */
	MANY_LINES = 2,  /* m */
	DOT_IS_ALL = 4,  /* s */
	EXTENDED = 8,    /* x */
};

/* A group that is open; the first frame is the pattern. */
struct frame {
	size_t begin;       /* its first step */
	size_t alternative; /* the first step of the alternative at hand */
	size_t exits;       /* the last jump of an alternative to the end; 0: none */
	size_t group;       /* 0: it does not capture */
	unsigned flags;     /* of what comes behind the group */
};

struct compiler {
	struct regex_source source;
	unsigned flags;
	size_t atom; /* the first step of what a quantifier would apply to; or NO_ATOM */
	size_t groups;
	size_t depth; /* frames above the first */
	struct frame frames[REGEX_DEPTH_MAXIMUM + 1];
	size_t count;
	struct regex_step steps[REGEX_PROGRAM_MAXIMUM];
	size_t set_count;
	struct byte_set sets[SETS_MAXIMUM];
};

struct quantifier {
	uint32_t minimum, maximum;
	bool lazy;
};

static bool has(const struct compiler *compiler, enum flag flag)
{
	return (compiler->flags & flag) != 0;
}

static struct frame *frame_of(struct compiler *compiler)
{
	return &compiler->frames[compiler->depth];
}

/* ---- Steps ---- */

static int16_t distance(size_t from, size_t to)
{
	return (int16_t)((ptrdiff_t)to - (ptrdiff_t)from);
}

static int append(struct compiler *compiler, struct regex_step step)
{
	if (compiler->count == REGEX_PROGRAM_MAXIMUM)
		return -E2BIG;
	compiler->steps[compiler->count++] = step;
	return 0;
}

static int insert(struct compiler *compiler, size_t at, struct regex_step step)
{
	struct regex_step *place = &compiler->steps[at];

	if (compiler->count == REGEX_PROGRAM_MAXIMUM)
		return -E2BIG;
	memmove(place + 1, place, (compiler->count - at) * sizeof(*place));
	*place = step;
	compiler->count++;
	return 0;
}

static int append_operation(struct compiler *compiler, enum regex_operation operation, size_t index)
{
	return append(compiler, (struct regex_step){.operation = (uint8_t)operation,
	                                            .index = (uint16_t)index});
}

static int append_byte(struct compiler *compiler, uint8_t byte)
{
	compiler->atom = compiler->count;
	return append(compiler, (struct regex_step){.operation = REGEX_BYTE,
	                                            .byte = byte,
	                                            .other = has(compiler, IGNORE_CASE)
	                                                             ? byte_other_case(byte)
	                                                             : byte});
}

static int append_set(struct compiler *compiler, const struct byte_set *set)
{
	size_t index = 0;

	while (index < compiler->set_count && memcmp(&compiler->sets[index], set, sizeof(*set)) != 0)
		index++;
	if (index == SETS_MAXIMUM)
		return -E2BIG;
	compiler->sets[index] = *set;
	if (index == compiler->set_count)
		compiler->set_count++;
	compiler->atom = compiler->count;
	return append_operation(compiler, REGEX_SET, index);
}

static int append_assertion(struct compiler *compiler, enum regex_operation assertion)
{
	compiler->atom = compiler->count;
	return append_operation(compiler, assertion, 0);
}

/* ---- Groups and alternatives ---- */

/* group 0: it does not capture. */
static int open_group(struct compiler *compiler, size_t group)
{
	struct frame *frame;

	if (compiler->depth == REGEX_DEPTH_MAXIMUM)
		return -E2BIG;
	compiler->depth++;
	frame = frame_of(compiler);
	*frame = (struct frame){.begin = compiler->count, .group = group, .flags = compiler->flags};
	compiler->atom = NO_ATOM;
	frame->alternative = frame->begin + (group != 0);
	return group != 0 ? append_operation(compiler, REGEX_SAVE, 2 * group) : 0;
}

static int open_capturing(struct compiler *compiler)
{
	if (compiler->groups == REGEX_GROUPS_MAXIMUM)
		return -E2BIG;
	return open_group(compiler, compiler->groups++);
}

/* The exits are a list through their jumps until the end is known. */
static int next_alternative(struct compiler *compiler)
{
	struct frame *frame = frame_of(compiler);
	struct regex_step choice = {
		.operation = REGEX_NEXT_FIRST,
		/* Over itself, the alternative and its exit. */
		.jump = distance(frame->alternative, compiler->count + 2),
	};
	struct regex_step exit = {.operation = REGEX_JUMP, .jump = (int16_t)frame->exits};
	int result = insert(compiler, frame->alternative, choice);

	if (result == 0)
		result = append(compiler, exit);
	if (result < 0)
		return result;
	frame->exits = compiler->count - 1;
	frame->alternative = compiler->count;
	compiler->atom = NO_ATOM;
	return 0;
}

static void connect_exits(struct compiler *compiler)
{
	size_t exit = frame_of(compiler)->exits, next;

	for (; exit != 0; exit = next) {
		next = (size_t)compiler->steps[exit].jump;
		compiler->steps[exit].jump = distance(exit, compiler->count);
	}
}

static int close_group(struct compiler *compiler)
{
	const struct frame *frame = frame_of(compiler);

	if (compiler->depth == 0)
		return -EINVAL;
	connect_exits(compiler);
	compiler->atom = frame->begin;
	compiler->flags = frame->flags;
	compiler->depth--;
	return frame->group != 0 ? append_operation(compiler, REGEX_SAVE, 2 * frame->group + 1) : 0;
}

/* ---- "(?": kinds of groups ---- */

static unsigned flag_of(int letter)
{
	switch (letter) {
	case 'i':
		return IGNORE_CASE;
	case 'm':
		return MANY_LINES;
	case 's':
		return DOT_IS_ALL;
	case 'x':
		return EXTENDED;
	default:
		return 0;
	}
}

/* "i", "i-s", "-m" and the like, to be followed by ":" or ")". */
static unsigned read_flags(struct compiler *compiler)
{
	struct regex_source *source = &compiler->source;
	unsigned flags = compiler->flags, flag;
	bool off = false;

	for (;;) {
		flag = flag_of(regex_source_peek(source, 0));
		if (flag != 0)
			flags = off ? flags & ~flag : flags | flag;
		else if (off || regex_source_peek(source, 0) != '-')
			return flags;
		else
			off = true;
		source->position++;
	}
}

/* (?i) goes on to the end of the group that it is in, (?i: begins one. */
static int read_flagged(struct compiler *compiler)
{
	unsigned flags = read_flags(compiler);
	int result = 0;

	if (regex_source_take(&compiler->source, ':'))
		result = open_group(compiler, 0);
	else if (!regex_source_take(&compiler->source, ')'))
		return -EINVAL;
	compiler->flags = flags;
	compiler->atom = NO_ATOM;
	return result;
}

/* Names are read, not kept: nobody asks for a group by name. */
static int open_named(struct compiler *compiler, char end)
{
	struct regex_source *source = &compiler->source;
	struct byte_set word = {0};
	size_t begin = source->position;

	byte_set_add_class(&word, "word", 4);
	while (regex_source_left(source) > 0 && byte_set_has(&word, source->text[source->position]))
		source->position++;
	if (source->position == begin || (source->text[begin] >= '0' && source->text[begin] <= '9'))
		return -EINVAL;
	return regex_source_take(source, end) ? open_capturing(compiler) : -EINVAL;
}

static int skip_comment(struct regex_source *source)
{
	while (regex_source_left(source) > 0)
		if (source->text[source->position++] == ')')
			return 0;
	return -EINVAL;
}

static int open_special(struct compiler *compiler)
{
	struct regex_source *source = &compiler->source;

	if (regex_source_take(source, ':'))
		return open_group(compiler, 0);
	if (regex_source_take(source, '#'))
		return skip_comment(source);
	if (regex_source_take(source, '\''))
		return open_named(compiler, '\'');
	if (regex_source_take(source, 'P') && regex_source_peek(source, 0) != '<')
		return -EINVAL;
	/* "(?<=" and "(?<!" look behind: no name begins so. */
	if (regex_source_take(source, '<'))
		return open_named(compiler, '>');
	return read_flagged(compiler);
}

static int open_any(struct compiler *compiler)
{
	/* "(*" is a verb of Perl's, and "*" has nothing to repeat. */
	if (regex_source_peek(&compiler->source, 0) == '*')
		return -EINVAL;
	if (regex_source_take(&compiler->source, '?'))
		return open_special(compiler);
	return open_capturing(compiler);
}

/* ---- Quantifiers ---- */

static bool read_number(const struct regex_source *source, size_t *ahead, uint32_t *number)
{
	const size_t begin = *ahead;
	int byte;

	*number = 0;
	for (; (byte = regex_source_peek(source, *ahead)) >= '0' && byte <= '9'; ++*ahead)
		if (*number <= COUNT_MAXIMUM)
			*number = *number * 10 + (uint32_t)(byte - '0');
	return *ahead > begin;
}

/* {m}, {m,} or {m,n} behind the next byte. Length; 0: it is no quantifier but a "{". */
static size_t counts_length(const struct regex_source *source, struct quantifier *quantifier)
{
	size_t ahead = 1;

	if (!read_number(source, &ahead, &quantifier->minimum))
		return 0;
	quantifier->maximum = quantifier->minimum;
	if (regex_source_peek(source, ahead) == ',') {
		ahead++;
		if (!read_number(source, &ahead, &quantifier->maximum))
			quantifier->maximum = UNBOUNDED;
	}
	return regex_source_peek(source, ahead) == '}' ? ahead + 1 : 0;
}

/* Reads a quantifier, if one is next. Returns 1, 0 (none is next), -EINVAL. */
static int read_quantifier(struct regex_source *source, struct quantifier *quantifier)
{
	size_t length = 1;

	*quantifier = (struct quantifier){.maximum = UNBOUNDED};
	switch (regex_source_peek(source, 0)) {
	case '*':
		break;
	case '+':
		quantifier->minimum = 1;
		break;
	case '?':
		quantifier->maximum = 1;
		break;
	case '{':
		length = counts_length(source, quantifier);
		break;
	default:
		return 0;
	}
	source->position += length;
	if (length == 0)
		return 0;
	if (quantifier->minimum > COUNT_MAXIMUM || quantifier->minimum > quantifier->maximum ||
	    (quantifier->maximum > COUNT_MAXIMUM && quantifier->maximum != UNBOUNDED))
		return -EINVAL;
	quantifier->lazy = regex_source_take(source, '?');
	/* A possessive one is a cut, which machines of this kind cannot do. */
	return regex_source_peek(source, 0) == '+' ? -EINVAL : 1;
}

static struct regex_step choice_to_skip(const struct quantifier *quantifier, size_t from, size_t to)
{
	return (struct regex_step){
		.operation = quantifier->lazy ? REGEX_JUMP_FIRST : REGEX_NEXT_FIRST,
		.jump = distance(from, to),
	};
}

static struct regex_step choice_to_repeat(const struct quantifier *quantifier, size_t from, size_t to)
{
	return (struct regex_step){
		.operation = quantifier->lazy ? REGEX_NEXT_FIRST : REGEX_JUMP_FIRST,
		.jump = distance(from, to),
	};
}

/*
 * x* is (x+)?: so an x that is empty is left by the way behind it, with its
 * groups set, as in Perl, instead of reaching a step a second time at one place.
 */
static int repeat_without_end(struct compiler *compiler, size_t atom,
                              const struct quantifier *quantifier)
{
	int result = append(compiler, choice_to_repeat(quantifier, compiler->count, atom));

	if (result == 0 && quantifier->minimum == 0)
		result = insert(compiler, atom,
		                choice_to_skip(quantifier, atom, compiler->count + 1));
	return result;
}

static void copy_steps(struct compiler *compiler, size_t from, size_t length)
{
	memcpy(&compiler->steps[compiler->count], &compiler->steps[from],
	       length * sizeof(compiler->steps[0]));
	compiler->count += length;
}

/*
 * Copies of the last `length` steps, x, so that there are `minimum` of them (at least the one),
 * and then up to `maximum` that can be left out: x(x(x)?)?, each with a way to the end.
 */
static int repeat_counted(struct compiler *compiler, size_t length,
                          const struct quantifier *quantifier)
{
	const size_t optional = quantifier->maximum == UNBOUNDED
	                                ? 0
	                                : quantifier->maximum - quantifier->minimum;
	const size_t copies = quantifier->minimum - 1;
	const size_t atom = compiler->count - length;
	size_t end;

	/* No product wraps: each factor has at most 17 bits. */
	if (copies * length + optional * (length + 1) > REGEX_PROGRAM_MAXIMUM - compiler->count)
		return -E2BIG;
	for (size_t i = 0; i < copies && length > 0; i++)
		copy_steps(compiler, atom, length);
	end = compiler->count + optional * (length + 1);
	for (size_t i = 0; i < optional; i++) {
		append(compiler, choice_to_skip(quantifier, compiler->count, end));
		copy_steps(compiler, atom, length);
	}
	return 0;
}

/* x{0,n} is (x{1,n})?. */
static int make_optional(struct compiler *compiler, size_t atom, const struct quantifier *quantifier)
{
	return insert(compiler, atom, choice_to_skip(quantifier, atom, compiler->count + 1));
}

static int repeat(struct compiler *compiler, const struct quantifier *quantifier)
{
	const size_t atom = compiler->atom, length = compiler->count - atom;
	struct quantifier at_least_one = *quantifier;
	int result;

	if (quantifier->maximum == 0) {
		compiler->count = atom;
		return 0;
	}
	if (quantifier->maximum == UNBOUNDED && quantifier->minimum <= 1)
		return repeat_without_end(compiler, atom, quantifier);
	if (quantifier->minimum == 0)
		at_least_one.minimum = 1;
	result = repeat_counted(compiler, length, &at_least_one);
	if (result == 0 && quantifier->maximum == UNBOUNDED)
		result = repeat_without_end(compiler, compiler->count - length, quantifier);
	if (result == 0 && quantifier->minimum == 0)
		result = make_optional(compiler, atom, quantifier);
	return result;
}

/* ---- The pattern ---- */

static int compile_dot(struct compiler *compiler)
{
	struct byte_set set = {0};

	if (!has(compiler, DOT_IS_ALL))
		byte_set_add(&set, '\n');
	byte_set_invert(&set);
	return append_set(compiler, &set);
}

static int compile_escape(struct compiler *compiler)
{
	struct regex_escape escape;
	int result = regex_escape_read(&compiler->source, false, &escape);

	if (result < 0)
		return result;
	switch (escape.kind) {
	case REGEX_ESCAPE_BYTE:
		return append_byte(compiler, escape.byte);
	case REGEX_ESCAPE_SET:
		return append_set(compiler, &escape.set);
	case REGEX_ESCAPE_ASSERTION:
		return append_assertion(compiler, escape.assertion);
	case REGEX_ESCAPE_NOTHING:
		break;
	}
	return 0;
}

static int compile_class(struct compiler *compiler)
{
	struct byte_set set;
	int result = regex_class_read(&compiler->source, has(compiler, IGNORE_CASE), &set);

	return result < 0 ? result : append_set(compiler, &set);
}

/* With x: blanks, and "#" up to the end of its line. Whether there was something. */
static bool skip_extended(struct compiler *compiler, int byte)
{
	struct regex_source *source = &compiler->source;

	if (!has(compiler, EXTENDED))
		return false;
	if (byte == '#')
		while (regex_source_left(source) > 0 && source->text[source->position++] != '\n')
			;
	return byte == '#' || byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int compile_byte(struct compiler *compiler, uint8_t byte)
{
	switch (byte) {
	case '\\':
		return compile_escape(compiler);
	case '[':
		return compile_class(compiler);
	case '(':
		return open_any(compiler);
	case ')':
		return close_group(compiler);
	case '|':
		return next_alternative(compiler);
	case '.':
		return compile_dot(compiler);
	case '^':
		return append_assertion(compiler, has(compiler, MANY_LINES) ? REGEX_LINE_BEGIN
		                                                            : REGEX_TEXT_BEGIN);
	case '$':
		return append_assertion(compiler, has(compiler, MANY_LINES) ? REGEX_LINE_END
		                                                            : REGEX_LAST_LINE_END);
	default:
		return append_byte(compiler, byte);
	}
}

static int compile_next(struct compiler *compiler)
{
	struct regex_source *source = &compiler->source;
	struct quantifier quantifier;
	int result;
	uint8_t byte;

	if (source->quoted) {
		if (regex_source_unquote(source))
			return 0;
		return append_byte(compiler, source->text[source->position++]);
	}
	result = read_quantifier(source, &quantifier);
	if (result < 0)
		return result;
	if (result > 0)
		return compiler->atom != NO_ATOM ? repeat(compiler, &quantifier) : -EINVAL;
	byte = source->text[source->position++];
	return skip_extended(compiler, byte) ? 0 : compile_byte(compiler, byte);
}

static int compile_all(struct compiler *compiler)
{
	int result = 0;

	while (result == 0 && regex_source_left(&compiler->source) > 0)
		result = compile_next(compiler);
	if (result == 0 && compiler->depth > 0)
		result = -EINVAL;
	if (result < 0)
		return result;
	connect_exits(compiler);
	return append_operation(compiler, REGEX_MATCH, 0);
}

/* ---- What a match can begin with ---- */

/* All that is reached from `at` without a byte of the text; through assertions as if they held. */
struct beginnings {
	bool seen[REGEX_PROGRAM_MAXIMUM];
	uint16_t waiting[REGEX_PROGRAM_MAXIMUM];
	size_t count;
};

static void look_at(struct beginnings *beginnings, size_t step)
{
	if (beginnings->seen[step])
		return;
	beginnings->seen[step] = true;
	beginnings->waiting[beginnings->count++] = (uint16_t)step;
}

static void look_behind(struct regex *regex, struct beginnings *beginnings, size_t at)
{
	const struct regex_step *step = &regex->steps[at];

	switch ((enum regex_operation)step->operation) {
	case REGEX_BYTE:
		byte_set_add(&regex->first, step->byte);
		byte_set_add(&regex->first, step->other);
		break;
	case REGEX_SET:
		byte_set_add_all(&regex->first, &regex->sets[step->index]);
		break;
	case REGEX_MATCH:
		regex->matches_anything = true;
		break;
	case REGEX_NEXT_FIRST:
	case REGEX_JUMP_FIRST:
		look_at(beginnings, at + 1);
		look_at(beginnings, at + (size_t)step->jump);
		break;
	case REGEX_JUMP:
		look_at(beginnings, at + (size_t)step->jump);
		break;
	default:
		look_at(beginnings, at + 1);
		break;
	}
}

/* Where all ways begin at the text's begin, nothing is left to look at without that. */
static void find_beginnings(struct regex *regex)
{
	struct beginnings beginnings = {.count = 0};
	bool elsewhere = false;

	look_at(&beginnings, 0);
	while (beginnings.count > 0) {
		size_t at = beginnings.waiting[--beginnings.count];

		if (regex->steps[at].operation <= REGEX_MATCH)
			elsewhere = true;
		if (regex->steps[at].operation != REGEX_TEXT_BEGIN)
			look_behind(regex, &beginnings, at);
	}
	regex->only_at_begin = !elsewhere;
}

/* With the steps and sets behind it: one block. */
static struct regex *program_of(const struct compiler *compiler)
{
	const size_t steps = compiler->count * sizeof(compiler->steps[0]);
	const size_t sets = compiler->set_count * sizeof(compiler->sets[0]);
	size_t offset = (sizeof(struct regex) + steps + _Alignof(struct byte_set) - 1) &
	                ~(_Alignof(struct byte_set) - 1);
	struct regex *regex = calloc(1, offset + sets);

	if (regex == NULL)
		return NULL;
	regex->count = compiler->count;
	regex->groups = compiler->groups;
	regex->sets = (const void *)((const char *)regex + offset);
	memcpy(regex->steps, compiler->steps, steps);
	memcpy((char *)regex + offset, compiler->sets, sets);
	find_beginnings(regex);
	return regex;
}

int regex_compile(struct regex **regex, const char *pattern, size_t length)
{
	struct compiler *compiler = malloc(sizeof(*compiler));
	int result;

	*regex = NULL;
	if (compiler == NULL)
		return -ENOMEM;
	compiler->source = (struct regex_source){.text = (const uint8_t *)pattern, .length = length};
	compiler->flags = 0;
	compiler->atom = NO_ATOM;
	compiler->groups = 1;
	compiler->depth = compiler->count = compiler->set_count = 0;
	compiler->frames[0] = (struct frame){0};
	result = compile_all(compiler);
	if (result == 0) {
		*regex = program_of(compiler);
		result = *regex != NULL ? 0 : -ENOMEM;
	}
	free(compiler);
	return result;
}

void regex_destroy(struct regex *regex)
{
	free(regex);
}
