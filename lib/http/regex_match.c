/* SPDX-License-Identifier: MIT */
/*
 * The machine: for each place of the text a list of the steps that ways to
 * match have come to, the preferred way first. A step is in a list once: a later
 * way to it would match the same and is preferred less. So a place costs no more
 * than the program has steps, whatever the pattern.
 */
#include "regex_program.h"

#include "../time_limit.h"
#include "../util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Steps between two looks at the clock: some 50 us. */
#define STEPS_PER_LOOK 16384u
#define UNSET UINT32_MAX

/*
 * What a way has seen: where it begins, the number of the highest group that
 * has ended (the end of the match itself is not known before it is there), then
 * begin and end of groups.
 */
#define SLOT_BEGIN 0u
#define SLOT_HIGHEST 1u

struct ways {
	size_t count;
	uint16_t *steps;
	uint32_t *slots; /* slot_count of each */
};

/* What is to be done when one way has been followed to its end. */
struct return_point {
	uint32_t place; /* a step to go on with, or SLOT + a slot to put back */
	uint32_t value;
};
#define SLOT UINT32_C(0x80000000)

struct machine {
	const struct regex *regex;
	const uint8_t *text;
	uint32_t length;
	uint32_t position; /* of `next` */
	size_t slot_count;
	struct ways now, next;
	uint32_t *marks;     /* of each step: the list that it was last put into */
	uint32_t generation; /* of the list at hand */
	struct return_point *returns;
	size_t work;        /* steps since the last look at the clock */
	uint32_t *match;    /* slots of the best match so far */
	uint32_t match_end; /* UNSET: there is none */
};

static bool is_word(int byte)
{
	return byte == '_' || (byte >= '0' && byte <= '9') ||
	       (byte >= 0 && byte_is_letter((uint8_t)byte));
}

static bool holds(const struct machine *machine, enum regex_operation assertion)
{
	const uint32_t position = machine->position, length = machine->length;
	const int before = position > 0 ? machine->text[position - 1] : -1;
	const int behind = position < length ? machine->text[position] : -1;

	switch (assertion) {
	case REGEX_TEXT_BEGIN:
		return position == 0;
	case REGEX_LINE_BEGIN:
		/* Behind a newline that ends the text there is no line. */
		return position == 0 || (before == '\n' && position < length);
	case REGEX_TEXT_END:
		return position == length;
	case REGEX_LAST_LINE_END:
		return position == length || (behind == '\n' && position + 1 == length);
	case REGEX_LINE_END:
		return position == length || behind == '\n';
	case REGEX_WORD_EDGE:
		return is_word(before) != is_word(behind);
	default: /* REGEX_NO_WORD_EDGE */
		return is_word(before) == is_word(behind);
	}
}

static void copy_slots(const struct machine *machine, uint32_t *to, const uint32_t *from)
{
	/* Where nobody asks for groups, a call of memcpy() would cost more than the rest. */
	to[SLOT_BEGIN] = from[SLOT_BEGIN];
	to[SLOT_HIGHEST] = from[SLOT_HIGHEST];
	if (machine->slot_count > 2)
		memcpy(to + 2, from + 2, (machine->slot_count - 2) * sizeof(*to));
}

static void add_way(struct machine *machine, size_t step, const uint32_t *slots)
{
	struct ways *ways = &machine->next;

	ways->steps[ways->count] = (uint16_t)step;
	copy_slots(machine, ways->slots + ways->count * machine->slot_count, slots);
	ways->count++;
}

/* Sets a slot until this way has been followed to its end. */
static void set_slot(struct machine *machine, size_t *top, uint32_t *slots, uint32_t slot,
                     uint32_t value)
{
	machine->returns[(*top)++] = (struct return_point){SLOT | slot, slots[slot]};
	slots[slot] = value;
}

/* index: as of REGEX_SAVE. */
static void save(struct machine *machine, size_t *top, uint32_t *slots, uint32_t index)
{
	if (index < machine->slot_count)
		set_slot(machine, top, slots, index, machine->position);
	if (index % 2 == 1 && index / 2 > slots[SLOT_HIGHEST])
		set_slot(machine, top, slots, SLOT_HIGHEST, index / 2);
}

/* Back to where there was another way. False: there is none. */
static bool go_back(struct machine *machine, size_t *top, uint32_t *slots, size_t *at)
{
	while (*top > 0) {
		struct return_point point = machine->returns[--*top];

		if ((point.place & SLOT) == 0) {
			*at = point.place;
			return true;
		}
		slots[point.place & ~SLOT] = point.value;
	}
	return false;
}

/* One step. *at: what is next. False: none is, for this way. */
static bool pass(struct machine *machine, size_t *at, size_t *top, uint32_t *slots)
{
	const struct regex_step *step = &machine->regex->steps[*at];
	const size_t target = *at + (size_t)step->jump;

	machine->marks[*at] = machine->generation;
	switch ((enum regex_operation)step->operation) {
	case REGEX_BYTE:
	case REGEX_SET:
	case REGEX_MATCH:
		add_way(machine, *at, slots);
		return false;
	case REGEX_JUMP:
		*at = target;
		return true;
	case REGEX_NEXT_FIRST:
		machine->returns[(*top)++].place = (uint32_t)target;
		break;
	case REGEX_JUMP_FIRST:
		machine->returns[(*top)++].place = (uint32_t)*at + 1;
		*at = target;
		return true;
	case REGEX_SAVE:
		save(machine, top, slots, step->index);
		break;
	default:
		if (!holds(machine, (enum regex_operation)step->operation))
			return false;
		break;
	}
	++*at;
	return true;
}

/*
 * Adds all steps that are reached from `at` without a byte of the text, in the
 * order of preference. slots are as before when it returns. Of return points
 * each step leaves two at most.
 */
static void follow(struct machine *machine, size_t at, uint32_t *slots)
{
	size_t top = 0;

	do {
		while (machine->marks[at] != machine->generation && pass(machine, &at, &top, slots))
			;
	} while (go_back(machine, &top, slots, &at));
}

/* The same at less cost, where `at` takes a byte: most steps do that in long patterns. */
static void go_on(struct machine *machine, size_t at, uint32_t *slots)
{
	if (machine->regex->steps[at].operation > REGEX_MATCH) {
		follow(machine, at, slots);
	} else if (machine->marks[at] != machine->generation) {
		machine->marks[at] = machine->generation;
		add_way(machine, at, slots);
	}
}

static void keep_match(struct machine *machine, const uint32_t *slots, uint32_t end)
{
	copy_slots(machine, machine->match, slots);
	machine->match_end = end;
}

/* `next` becomes `now`, and the next place's list is empty. */
static void turn_over(struct machine *machine)
{
	struct ways empty = machine->now;

	empty.count = 0;
	machine->now = machine->next;
	machine->next = empty;
	machine->generation++;
}

/* All ways over the byte at the place at hand, which is `position` - 1 by now. */
static void advance(struct machine *machine)
{
	const struct regex *regex = machine->regex;
	const bool at_end = machine->position > machine->length;
	const uint8_t byte = at_end ? 0 : machine->text[machine->position - 1];

	for (size_t i = 0; i < machine->now.count; i++) {
		const struct regex_step *step = &regex->steps[machine->now.steps[i]];
		uint32_t *slots = machine->now.slots + i * machine->slot_count;
		bool taken;

		/* Ways that are preferred less are given up. */
		if (step->operation == REGEX_MATCH) {
			keep_match(machine, slots, machine->position - 1);
			return;
		}
		taken = step->operation == REGEX_BYTE
		                ? byte == step->byte || byte == step->other
		                : byte_set_has(&regex->sets[step->index], byte);
		if (taken && !at_end)
			go_on(machine, machine->now.steps[i] + (size_t)1, slots);
	}
}

static void begin_match(struct machine *machine)
{
	uint32_t *slots = machine->match;

	for (size_t i = 0; i < machine->slot_count; i++)
		slots[i] = UNSET;
	slots[SLOT_BEGIN] = machine->position;
	slots[SLOT_HIGHEST] = 0;
	follow(machine, 0, slots);
}

/* To the next place where a match can begin, when none is under way. */
static void skip(struct machine *machine)
{
	const struct regex *regex = machine->regex;

	if (regex->matches_anything || machine->position == 0)
		return;
	while (machine->position < machine->length &&
	       !byte_set_has(&regex->first, machine->text[machine->position]))
		machine->position++;
}

/* Asked once for each place. */
static bool is_too_late(struct machine *machine, uint64_t deadline)
{
	machine->work += machine->regex->count;
	if (machine->work < STEPS_PER_LOOK)
		return false;
	machine->work = 0;
	return time_now() >= deadline;
}

/* Returns 0 (with or without a match) or -ETIMEDOUT. */
static int run(struct machine *machine, uint64_t deadline)
{
	for (;;) {
		bool found = machine->match_end != UNSET;

		if (machine->next.count == 0) {
			if (found || (machine->regex->only_at_begin && machine->position > 0))
				return 0;
			skip(machine);
		}
		/* What begins later is preferred less than all that is under way. */
		if (!found)
			begin_match(machine);
		if (is_too_late(machine, deadline))
			return -ETIMEDOUT;
		turn_over(machine);
		machine->position++;
		advance(machine);
		if (machine->position > machine->length)
			return 0;
	}
}

/* All that the machine needs, as one block. */
static void *allocate(struct machine *machine)
{
	const size_t steps = machine->regex->count, slots = machine->slot_count;
	const size_t words = steps /* marks */ + 2 * 2 * steps /* returns */ +
	                     slots * (2 * steps + 1) + steps /* two lists of 16 bits */;
	uint32_t *block = malloc(words * sizeof(*block));

	if (block == NULL)
		return NULL;
	machine->marks = block;
	memset(machine->marks, 0, steps * sizeof(*machine->marks));
	machine->returns = (struct return_point *)(void *)(machine->marks + steps);
	machine->now.slots = (uint32_t *)(void *)(machine->returns + 2 * steps);
	machine->next.slots = machine->now.slots + steps * slots;
	machine->match = machine->next.slots + steps * slots;
	machine->now.steps = (uint16_t *)(void *)(machine->match + slots);
	machine->next.steps = machine->now.steps + steps;
	return block;
}

static size_t offset_of(const struct machine *machine, size_t slot)
{
	return slot < machine->slot_count && machine->match[slot] != UNSET ? machine->match[slot]
	                                                                   : SIZE_MAX;
}

static void give_groups(const struct machine *machine, size_t groups[][2], size_t maximum)
{
	for (size_t i = 1; i < maximum; i++) {
		groups[i][0] = offset_of(machine, 2 * i);
		groups[i][1] = offset_of(machine, 2 * i + 1);
	}
	if (maximum > 0) {
		groups[0][0] = machine->match[SLOT_BEGIN];
		groups[0][1] = machine->match_end;
	}
}

int regex_match(const struct regex *regex, const char *text, size_t length, size_t start,
                size_t groups[][2], size_t maximum, uint64_t deadline)
{
	struct machine machine = {
		.regex = regex,
		.text = (const uint8_t *)text,
		.length = (uint32_t)length,
		.position = (uint32_t)start,
		.slot_count = 2 * max_u64(1, min_u64(maximum, regex->groups)),
		.generation = 1,
		.match_end = UNSET,
	};
	void *block;
	int result;

	if (length > REGEX_TEXT_MAXIMUM || start > length)
		return -E2BIG;
	block = allocate(&machine);
	if (block == NULL)
		return -ENOMEM;
	result = run(&machine, deadline);
	if (result == 0 && machine.match_end != UNSET) {
		give_groups(&machine, groups, maximum);
		result = (int)machine.match[SLOT_HIGHEST] + 1;
	}
	free(block);
	return result;
}
