/* SPDX-License-Identifier: MIT */
/* The rows of channels.def by number, and what guest and host tell each other of them. */
#ifndef KVMSB_TESTS_GUESTS_CHANNELS_H
#define KVMSB_TESTS_GUESTS_CHANNELS_H

#include <stdint.h>

enum channel {
#define CHANNEL(name, lives, touch, address, leave, look) CHANNEL_##name,
#include "../channels.def"
	CHANNEL_COUNT
};

enum request_channel {
#define REQUEST_CHANNEL(name, leave, look) REQUEST_CHANNEL_##name,
#include "../channels.def"
	REQUEST_CHANNEL_COUNT
};

enum place {
#define PLACE(name, content, address) PLACE_##name,
#include "../channels.def"
	PLACE_COUNT
};

enum place_content {
	FILLED,
	ZERO,
	CONTENT,
	READ_ONLY,
	NO_ACCESS,
	PARTLY
};

enum ending {
#define ENDING(name, outcome, code) ENDING_##name,
#include "../channels.def"
	ENDING_COUNT
};

/* System calls, then hypercalls. */
enum output {
	OUTPUT_FIRST_SYSTEM_CALL = 0,
#define OUTPUT(call, variant, changes, code) +1
	OUTPUT_FIRST_HYPERCALL =
#include "../channels.def"
		,
#define HYPERCALL_OUTPUT(call, variant, changes, code) +1
	OUTPUT_COUNT = OUTPUT_FIRST_HYPERCALL
#include "../channels.def"
};

#define PLACE_WORD 0x5a5a5a5a5a5a5a5aul

/* What a call with an output did, as the fork that made it sees it. */
struct output_seen {
	int64_t result;
	uint64_t before, after; /* page_hash() of the two pages; 0 where they cannot be read */
};

#endif
