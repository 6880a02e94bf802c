/* SPDX-License-Identifier: MIT */
/*
 * Fetches of guests; see fetch.h. Redirects are followed here and not by libcurl,
 * since each host has to be asked for first; the url is read once, by libcurl, and
 * what was read is both compared with the rules and connected to.
 */
#include "fetch.h"

#include "fetch_transfer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIMIT_NS UINT64_C(8000000000)
#define REDIRECTS_MAXIMUM 10u
#define URL_MAXIMUM 1024u

/* A handle keeps connections: one that has just been used is the next to be used. */
struct handle {
	CURL *curl;
	struct handle *next;
};

struct fetcher {
	char *self; /* NULL: no requests to this server */
	atomic_uint self_running;
	pthread_mutex_t lock; /* of what follows */
	struct handle *idle;
};

struct fetcher *fetcher_create(const char *self)
{
	struct fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (!fetcher)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(fetcher);
		return NULL;
	}
	fetcher->self = self ? strdup(self) : NULL;
	if ((self && !fetcher->self) || pthread_mutex_init(&fetcher->lock, NULL)) {
		curl_global_cleanup();
		free(fetcher->self);
		free(fetcher);
		return NULL;
	}
	return fetcher;
}

void fetcher_destroy(struct fetcher *fetcher)
{
	if (!fetcher)
		return;
	while (fetcher->idle) {
		struct handle *handle = fetcher->idle;

		fetcher->idle = handle->next;
		curl_easy_cleanup(handle->curl);
		free(handle);
	}
	pthread_mutex_destroy(&fetcher->lock);
	curl_global_cleanup();
	free(fetcher->self);
	free(fetcher);
}

static struct handle *make_handle(void)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->curl = curl_easy_init();
	if (!handle->curl) {
		free(handle);
		return NULL;
	}
	return handle;
}

static struct handle *take_handle(struct fetcher *fetcher)
{
	struct handle *handle;

	pthread_mutex_lock(&fetcher->lock);
	handle = fetcher->idle;
	if (handle)
		fetcher->idle = handle->next;
	pthread_mutex_unlock(&fetcher->lock);
	return handle ? handle : make_handle();
}

static void return_handle(struct fetcher *fetcher, struct handle *handle)
{
	pthread_mutex_lock(&fetcher->lock);
	handle->next = fetcher->idle;
	fetcher->idle = handle;
	pthread_mutex_unlock(&fetcher->lock);
}

/* ---- Which server it is ---- */

/* What of a url decides whom it goes to. */
struct place {
	char *scheme, *host, *port;
};

static void place_clear(struct place *place)
{
	curl_free(place->scheme);
	curl_free(place->host);
	curl_free(place->port);
	*place = (struct place){0};
}

/* Returns a CURLcode; in any case, place_clear(). */
static CURLcode place_of(CURLU *url, struct place *place)
{
	/* First, since urls of some others have no host. */
	if (curl_url_get(url, CURLUPART_SCHEME, &place->scheme, 0))
		return CURLE_URL_MALFORMAT;
	if (strcmp(place->scheme, "http") != 0 && strcmp(place->scheme, "https") != 0)
		return CURLE_UNSUPPORTED_PROTOCOL;
	if (curl_url_get(url, CURLUPART_HOST, &place->host, 0))
		return CURLE_URL_MALFORMAT;
	if (curl_url_get(url, CURLUPART_PORT, &place->port, CURLU_DEFAULT_PORT))
		return CURLE_URL_MALFORMAT;
	return CURLE_OK;
}

static bool places_are_equal(const struct place *a, const struct place *b)
{
	return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

static bool place_is_allowed(const struct place *place, const struct fetch_rules *rules)
{
	unsigned long port = strtoul(place->port, NULL, 10);
	unsigned long usual = strcmp(place->scheme, "https") == 0 ? 443 : 80;

	return fetch_rules_allow(rules, place->host, (uint32_t)port, port == usual);
}

/* ---- From one server to the next ---- */

struct journey {
	struct fetch_transfer transfer;
	const struct fetch_rules *rules;
	bool is_self; /* home is this server: to be reached without a rule */
	struct place home;
};

/* Whether the url may be asked for. The first is home. */
static CURLcode check_place(struct journey *journey)
{
	struct place place = {0};
	bool is_home;
	CURLcode code = place_of(journey->transfer.url, &place);

	if (code == CURLE_OK && !journey->home.host) {
		journey->home = place;
		return journey->is_self || place_is_allowed(&place, journey->rules)
		               ? CURLE_OK
		               : CURLE_REMOTE_ACCESS_DENIED;
	}
	if (code == CURLE_OK) {
		is_home = places_are_equal(&place, &journey->home);
		journey->transfer.has_left_home |= !is_home;
		if (!(is_home && journey->is_self) && !place_is_allowed(&place, journey->rules))
			code = CURLE_REMOTE_ACCESS_DENIED;
	}
	place_clear(&place);
	return code;
}

/* Sets the url of the answer's redirect; *is_over: there is none to follow. */
static CURLcode go_on(struct journey *journey, bool *is_over)
{
	struct fetch_transfer *transfer = &journey->transfer;
	const char *next = NULL;
	long status = 0;

	*is_over = transfer->has_status;
	if (*is_over)
		return CURLE_OK;
	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->curl, CURLINFO_REDIRECT_URL, &next);
	if (!next || curl_url_set(transfer->url, CURLUPART_URL, next, 0))
		return CURLE_URL_MALFORMAT;
	/* As browsers do, and RFC 9110, 15.4 allows: what was sent is not sent again. */
	if (status == 301 || status == 302 || status == 303)
		transfer->sends_body = false;
	return CURLE_OK;
}

static CURLcode travel(struct journey *journey)
{
	CURLcode code = CURLE_OK;
	bool is_over = false;

	for (unsigned hop = 0; !is_over && code == CURLE_OK; hop++) {
		code = hop > REDIRECTS_MAXIMUM ? CURLE_TOO_MANY_REDIRECTS : check_place(journey);
		if (code == CURLE_OK)
			code = fetch_transfer_run(&journey->transfer);
		if (code == CURLE_OK)
			code = go_on(journey, &is_over);
	}
	return code;
}

/* As libcurl takes a url that a person typed: without a scheme it is http. */
static CURLcode first_url(const struct fetcher *fetcher, struct journey *journey)
{
	const struct kvmsb_fetch *fetch = journey->transfer.fetch;
	char text[2 * URL_MAXIMUM];
	int length = snprintf(text, sizeof(text), "%s%s", journey->is_self ? fetcher->self : "",
	                      fetch->url);

	if (strlen(fetch->url) != fetch->url_length || (size_t)length >= sizeof(text) ||
	    curl_url_set(journey->transfer.url, CURLUPART_URL, text, CURLU_GUESS_SCHEME))
		return CURLE_URL_MALFORMAT;
	return CURLE_OK;
}

static CURLcode fetch_with(struct fetcher *fetcher, struct handle *handle, struct journey *journey)
{
	CURLcode code;

	journey->transfer.curl = handle->curl;
	journey->transfer.url = curl_url();
	if (!journey->transfer.url)
		return CURLE_OUT_OF_MEMORY;
	code = first_url(fetcher, journey);
	if (code == CURLE_OK)
		code = travel(journey);
	place_clear(&journey->home);
	/* It must not keep a url that is gone, nor what is on this stack. */
	curl_easy_reset(handle->curl);
	curl_url_cleanup(journey->transfer.url);
	return code;
}

static uint64_t end_of(const struct kvmsb_fetch *fetch)
{
	uint64_t limit = fetch_clock() + LIMIT_NS;

	return fetch->deadline_ns < limit ? fetch->deadline_ns : limit;
}

static CURLcode fetch_by_handle(struct fetcher *fetcher, struct journey *journey)
{
	struct handle *handle = take_handle(fetcher);
	CURLcode code;

	if (!handle)
		return CURLE_OUT_OF_MEMORY;
	code = fetch_with(fetcher, handle, journey);
	return_handle(fetcher, handle);
	return code;
}

/* So many at once that requests of guests to guests cannot take all that the server has. */
static CURLcode fetch_self(struct fetcher *fetcher, struct journey *journey)
{
	CURLcode code = CURLE_UNSUPPORTED_PROTOCOL;

	if (!fetcher->self)
		return code;
	if (atomic_fetch_add(&fetcher->self_running, 1) < FETCH_SELF_MAXIMUM)
		code = fetch_by_handle(fetcher, journey);
	atomic_fetch_sub(&fetcher->self_running, 1);
	return code;
}

int fetch_by_curl(struct fetcher *fetcher, const struct fetch_rules *rules,
                  const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer)
{
	struct journey journey = {
		.transfer = {.fetch = fetch,
	                     .answer = answer,
	                     .sends_body = fetch->body_length > 0 && !fetch->only_head,
	                     .end_ns = end_of(fetch)},
		.rules = rules,
		.is_self = fetch->url[0] == '/',
	};
	CURLcode code = journey.is_self ? fetch_self(fetcher, &journey)
	                                : fetch_by_handle(fetcher, &journey);

	return -(int)code;
}
