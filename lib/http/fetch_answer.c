/* SPDX-License-Identifier: MIT */
/*
 * Storing the answer to a fetch in the guest; see fetch_answer.h. These
 * functions are called while the vCPU is given back: they change what is in the
 * guest's memory, and map where nothing was, but take nothing away.
 */
#include "fetch_answer.h"

#include "../linux/mm.h"
#include "../util.h"
#include "layout.h"

#include <errno.h>
#include <string.h>

/* A buffer that is smaller is none: programs that know no heads leave anything there. */
#define HEAD_ROOM_MINIMUM 64u

/* The last byte of a buffer is for the NUL. */
static struct fetch_room head_room(const struct fetch_operation *operation)
{
	const bool asked = operation->head_length >= HEAD_ROOM_MINIMUM;

	if (operation->head == 0 && (asked || operation->head_length == 0))
		return (struct fetch_room){.kind = FETCH_ROOM_MAPPED, .size = FETCH_HEAD_MAXIMUM};
	if (!asked)
		return (struct fetch_room){.kind = FETCH_ROOM_NONE};
	return (struct fetch_room){
		.kind = FETCH_ROOM_GUESTS,
		.address = operation->head,
		.size = operation->head_length - 1,
	};
}

static struct fetch_room body_room(const struct fetch_operation *operation)
{
	if (operation->content == 0)
		return (struct fetch_room){.kind = FETCH_ROOM_MAPPED, .size = FETCH_BODY_MAXIMUM};
	return (struct fetch_room){
		.kind = FETCH_ROOM_GUESTS,
		.address = operation->content,
		.size = min_u64(operation->content_length, FETCH_BODY_MAXIMUM),
	};
}

void fetch_answer_begin(struct kvmsb_fetch_answer *answer, struct process *process,
                        const struct fetch_operation *operation)
{
	*answer = (struct kvmsb_fetch_answer){
		.process = process,
		.head = head_room(operation),
		.body = body_room(operation),
	};
}

static int fail(struct kvmsb_fetch_answer *answer, int error)
{
	if (answer->failed == 0)
		answer->failed = error;
	return answer->failed;
}

/* All of it at first, and one page for a NUL: it costs nothing until it is written to. */
static int map(struct process *process, struct fetch_room *room)
{
	uint64_t address = 0, length = room->size + PAGE_SIZE;
	int result;

	if (room->kind != FETCH_ROOM_MAPPED || room->mapped != 0)
		return 0;
	result = mm_map(process, &address, length, SPACE_READ | SPACE_WRITE, 0, NULL, 0);
	if (result < 0)
		return result;
	room->address = address;
	room->mapped = length;
	return 0;
}

static int write_at(struct process *process, const struct fetch_room *room, const void *data,
                    uint64_t length)
{
	uint64_t address;

	if (!checked_add(room->address, room->length, &address) ||
	    !range_within(address, length, LAYOUT_USER_END))
		return -EFAULT;
	return guest_write(process, address, data, length);
}

static int store(struct kvmsb_fetch_answer *answer, struct fetch_room *room, const void *data,
                 uint64_t length)
{
	int result;

	if (answer->failed < 0 || length == 0)
		return answer->failed;
	if (data == NULL)
		return fail(answer, -EFAULT);
	if (length > room->size - room->length)
		return fail(answer, -ENOSPC);
	result = map(answer->process, room);
	if (result == 0)
		result = write_at(answer->process, room, data, length);
	if (result < 0)
		return fail(answer, result);
	room->length += length;
	return 0;
}

void kvmsb_fetch_status(struct kvmsb_fetch_answer *answer, uint32_t status, const char *content_type)
{
	size_t length = content_type != NULL ? strnlen(content_type, FETCH_TYPE_SIZE - 1) : 0;

	answer->status = status;
	memset(answer->content_type, 0, sizeof(answer->content_type));
	if (length > 0)
		memcpy(answer->content_type, content_type, length);
}

int kvmsb_fetch_head(struct kvmsb_fetch_answer *answer, const void *data, size_t length)
{
	struct fetch_room *room = &answer->head;

	if (room->kind == FETCH_ROOM_NONE)
		return answer->failed;
	/* Of a head that is longer than its buffer the guest gets the beginning. */
	if (room->kind == FETCH_ROOM_GUESTS)
		length = min_u64(length, room->size - room->length);
	return store(answer, room, data, length);
}

int kvmsb_fetch_body(struct kvmsb_fetch_answer *answer, const void *data, size_t length)
{
	return store(answer, &answer->body, data, length);
}

/* Leaves the first bytes of a mapping, in whole pages. */
static int cut(struct process *process, struct fetch_room *room, uint64_t length)
{
	uint64_t kept = align_down(length + PAGE_SIZE - 1, PAGE_SIZE);
	int result;

	if (room->mapped <= kept)
		return 0;
	result = mm_unmap(process, room->address + kept, room->mapped - kept);
	if (result == 0)
		room->mapped = kept;
	return result;
}

int fetch_answer_finish(struct kvmsb_fetch_answer *answer)
{
	struct fetch_room *head = &answer->head;
	int result = answer->failed;

	/* Behind a head that was mapped there are zeros. */
	if (result == 0 && head->kind == FETCH_ROOM_GUESTS)
		result = write_at(answer->process, head, "", 1);
	if (result == 0)
		result = cut(answer->process, head, head->length + (head->length > 0));
	if (result == 0)
		result = cut(answer->process, &answer->body, answer->body.length);
	return result;
}

int fetch_answer_discard(struct kvmsb_fetch_answer *answer)
{
	int head = cut(answer->process, &answer->head, 0);
	int body = cut(answer->process, &answer->body, 0);

	return head < 0 ? head : body;
}

void fetch_answer_describe(const struct kvmsb_fetch_answer *answer, struct fetch_operation *operation)
{
	size_t type = strlen(answer->content_type);

	operation->status = answer->status;
	operation->content = answer->body.address;
	operation->content_length = (uint32_t)answer->body.length;
	if (answer->head.kind != FETCH_ROOM_NONE) {
		operation->head = answer->head.address;
		operation->head_length = (uint32_t)answer->head.length;
	}
	memcpy(operation->content_type, answer->content_type, sizeof(operation->content_type));
	operation->content_type_length = type > 0 ? (uint32_t)type + 1 : 0;
}
