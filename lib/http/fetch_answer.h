/* SPDX-License-Identifier: MIT */
/*
 * The answer to a fetch on its way into the guest: where head and body go, how
 * much of them is there, and what failed. What the guest has no buffer for is
 * stored in a mapping of its own. Knows nothing of hypercalls or requests.
 */
#ifndef KVMSB_HTTP_FETCH_ANSWER_H
#define KVMSB_HTTP_FETCH_ANSWER_H

#include "../linux/process.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_BODY_MAXIMUM ((uint64_t)256 << 20)
#define FETCH_HEAD_MAXIMUM ((uint64_t)1 << 20) /* where the guest has no buffer for it */
#define FETCH_TYPE_SIZE 128u                   /* with the NUL */

/* struct curl_op of guest/kvm_api.h. */
struct fetch_operation {
	uint32_t status;
	uint32_t post_length;
	uint64_t post;
	uint64_t head;
	uint32_t head_length;
	uint32_t unused;
	uint64_t content;
	uint32_t content_length;
	uint32_t content_type_length; /* with its NUL; 0: none */
	char content_type[FETCH_TYPE_SIZE];
};
_Static_assert(sizeof(struct fetch_operation) == 176, "the guest's layout");
_Static_assert(offsetof(struct fetch_operation, post) == 8, "the guest's layout");
_Static_assert(offsetof(struct fetch_operation, head) == 16, "the guest's layout");
_Static_assert(offsetof(struct fetch_operation, content) == 32, "the guest's layout");
_Static_assert(offsetof(struct fetch_operation, content_type) == 48, "the guest's layout");

enum fetch_room_kind {
	FETCH_ROOM_NONE,   /* not wanted */
	FETCH_ROOM_GUESTS, /* a buffer that the guest has given */
	FETCH_ROOM_MAPPED, /* mapped when the first byte comes */
};

struct fetch_room {
	enum fetch_room_kind kind;
	uint64_t address;  /* the guest's; hostile where it gave it */
	uint64_t size;     /* bytes that may be stored */
	uint64_t length;   /* bytes that are */
	uint64_t mapped;   /* bytes of the mapping; 0: there is none */
};

struct kvmsb_fetch_answer {
	struct process *process;
	uint32_t status;
	char content_type[FETCH_TYPE_SIZE];
	struct fetch_room head, body;
	int failed; /* -errno of what could not be stored first: nothing is any more */
};

/* An empty answer, with room as the guest's operation has it. */
void fetch_answer_begin(struct kvmsb_fetch_answer *answer, struct process *process,
                        const struct fetch_operation *operation);

/*
 * No more comes: ends the head with a NUL, and cuts mappings to what is in them.
 * Returns 0, or -errno of the first thing that failed: it is to be discarded then.
 */
int fetch_answer_finish(struct kvmsb_fetch_answer *answer);

/* What the guest is to find in its operation. */
void fetch_answer_describe(const struct kvmsb_fetch_answer *answer,
                           struct fetch_operation *operation);

/* Takes all mappings away. Returns 0 or -ENOMEM: some is left. */
int fetch_answer_discard(struct kvmsb_fetch_answer *answer);

#endif
