/* SPDX-License-Identifier: MIT */
/*
 * Streamed responses for tests, well and badly behaved. Paths: "/BYTES/WAY",
 * where the way is one of `ways`, and is what the callback does after its first
 * piece. Byte n of a stream is n % 251.
 */
#include "kvm_api.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PERIOD 251u
#define ROOM (256u << 10)

/* Longer than any piece by a period, so that one can begin anywhere in it. */
static uint8_t pattern[ROOM + PERIOD];
static char argument[] = "argument";
static uint8_t *mapped;
static int calls;
static size_t written_before;

struct way {
	const char *name;
	content_stream_func give;
};

static struct streaming_content well(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = {pattern + written % PERIOD, total - written};

	(void)arg;
	calls++;
	if (piece.len > max)
		piece.len = max;
	if (piece.len > ROOM)
		piece.len = ROOM;
	return piece;
}

static struct streaming_content tiny(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);

	piece.len = 1;
	return piece;
}

/* Fails unless all that it is given is as it should be. */
static struct streaming_content strict(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);
	const bool is_first = calls == 1;

	if (arg != argument || max == 0 || total != 100000 || written >= total ||
	    (uintptr_t)__builtin_frame_address(0) % 16 != 0 ||
	    (is_first ? written != 0 : written != written_before))
		__builtin_trap();
	if (piece.len > 1000)
		piece.len = 1000;
	written_before = written + piece.len;
	return piece;
}

/* More than was asked for, and than there is. */
static struct streaming_content overshoot(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);

	piece.len = ROOM;
	return piece;
}

static struct streaming_content endless(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);

	piece.len = SIZE_MAX;
	return piece;
}

static struct streaming_content nothing(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);

	if (calls > 1)
		piece.len = 0;
	return piece;
}

static struct streaming_content from(uintptr_t address, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(NULL, max, written, total);

	if (calls > 1)
		piece.data = (const void *)address;
	return piece;
}

static struct streaming_content null(void *arg, size_t max, size_t written, size_t total)
{
	(void)arg;
	return from(0, max, written, total);
}

static struct streaming_content unmapped(void *arg, size_t max, size_t written, size_t total)
{
	(void)arg;
	return from(0x7000deadb000, max, written, total);
}

static struct streaming_content kernel(void *arg, size_t max, size_t written, size_t total)
{
	(void)arg;
	return from(0xffffffff80000000, max, written, total);
}

static struct streaming_content wrapping(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = from(UINTPTR_MAX - 10, max, written, total);

	(void)arg;
	piece.len = SIZE_MAX;
	return piece;
}

static struct streaming_content crash(void *arg, size_t max, size_t written, size_t total)
{
	if (calls > 0)
		__builtin_trap();
	return well(arg, max, written, total);
}

static struct streaming_content spin(void *arg, size_t max, size_t written, size_t total)
{
	while (calls > 0)
		__asm__ volatile("");
	return well(arg, max, written, total);
}

static struct streaming_content leave(void *arg, size_t max, size_t written, size_t total)
{
	if (calls > 0)
		_exit(0);
	return well(arg, max, written, total);
}

static struct streaming_content respond(void *arg, size_t max, size_t written, size_t total)
{
	if (calls > 0)
		backend_response_str(404, "text/plain", "another");
	return well(arg, max, written, total);
}

static struct streaming_content stream_again(void *arg, size_t max, size_t written, size_t total)
{
	if (calls > 0)
		begin_streaming_response(404, "a", 1, 10, well, NULL);
	return well(arg, max, written, total);
}

static struct streaming_content ask_for_field(void *arg, size_t max, size_t written, size_t total)
{
	if (calls > 0)
		http_find_strlen(BEREQ, "Host");
	return well(arg, max, written, total);
}

/* A piece in memory that goes away before the next one. */
static struct streaming_content fleeting(void *arg, size_t max, size_t written, size_t total)
{
	struct streaming_content piece = well(arg, max, written, total);

	if (mapped != NULL)
		munmap(mapped, ROOM);
	mapped = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(mapped, piece.data, piece.len);
	piece.data = mapped;
	return piece;
}

static struct streaming_content devour(void *arg, size_t max, size_t written, size_t total)
{
	while (calls > 0) {
		char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (block != MAP_FAILED)
			memset(block, 1, 1 << 20);
	}
	return well(arg, max, written, total);
}

static const struct way ways[] = {
	{"well", well},
	{"tiny", tiny},
	{"strict", strict},
	{"overshoot", overshoot},
	{"endless", endless},
	{"nothing", nothing},
	{"null", null},
	{"unmapped", unmapped},
	{"kernel", kernel},
	{"wrapping", wrapping},
	{"crash", crash},
	{"spin", spin},
	{"leave", leave},
	{"respond", respond},
	{"stream-again", stream_again},
	{"ask-for-field", ask_for_field},
	{"fleeting", fleeting},
	{"devour", devour},
	{"no-function", NULL},
};

static content_stream_func way_of(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(name, ways[i].name) == 0)
			return ways[i].give;
	/* Not code, and not the guest's to call. */
	if (strcmp(name, "data") == 0)
		return (content_stream_func)(uintptr_t)pattern;
	return (content_stream_func)(uintptr_t)0xffffffff80000000;
}

static void answer(const char *url, const char *arg)
{
	char *way;
	const size_t total = strtoul(url + 1, &way, 10);
	const int16_t status = (int16_t)(arg[0] != '\0' ? atoi(arg) : 200);

	if (*way != '/') {
		char text[32];

		snprintf(text, sizeof(text), "%d calls", calls);
		backend_response_str(200, "text/plain", text);
	}
	http_set_str(BERESP, "X-Streamed: yes");
	begin_streaming_response(status, "text/stream", strlen("text/stream"), total,
	                         way_of(way + 1), argument);
}

static void on_get(const char *url, const char *arg)
{
	if (strncmp(url, "/crash/", 7) == 0)
		__builtin_trap();
	answer(url, arg);
}

/* The way that is asked for when the handler crashes. */
static void on_error(const char *url, const char *arg, const char *exception)
{
	(void)exception;
	answer(url + strlen("/crash"), arg);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i % PERIOD);
	set_backend_get(on_get);
	if (argc > 1 && strcmp(argv[1], "on-error") == 0)
		set_on_error(on_error);
	wait_for_requests();
	return 0;
}
