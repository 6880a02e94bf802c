/* SPDX-License-Identifier: MIT */
/* Responses for libmicrohttpd; see response.h. */
#include "response.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Below this a copy costs less than a fork that waits for the client. */
#define COPIED_MAXIMUM 16384u
/* Libmicrohttpd builds the head in the memory of the connection, of which the request has a part. */
#define FIELDS_BYTES_MAXIMUM 24576u
/* For each piece that is asked for. */
#define STREAM_BLOCK 32768u

/* ---- Fields ---- */

/*
 * What is for the two ends of one connection is not the guest's to say (RFC 9110,
 * 7.6.1); nor what the server says itself: length and type of the body.
 */
static const char *const not_the_guests[] = {
	"Connection", "Content-Length",    "Content-Type", "Keep-Alive", "Proxy-Connection",
	"Trailer",    "Transfer-Encoding", "TE",           "Upgrade",
};

static bool is_the_guests(const char *name)
{
	for (size_t i = 0; i < sizeof(not_the_guests) / sizeof(not_the_guests[0]); i++)
		if (strcasecmp(name, not_the_guests[i]) == 0)
			return false;
	return true;
}

/* "Name: value". Libmicrohttpd takes no empty values, and no tabs in others. */
static bool add_field(struct MHD_Response *response, const struct kvmsb_http_field *field)
{
	char *name = strndup(field->text, field->length);
	char *colon = name != NULL ? strchr(name, ':') : NULL;
	char *value;

	if (colon == NULL) {
		free(name);
		return false;
	}
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	for (char *tab = value; (tab = strchr(tab, '\t')) != NULL;)
		*tab = ' ';
	if (is_the_guests(name) && value[0] != '\0')
		MHD_add_response_header(response, name, value);
	free(name);
	return true;
}

/* RFC 9110, 5.6.7; in English whatever the locale. */
static void format_date(char *text, size_t room)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const time_t now = time(NULL);
	struct tm date;

	gmtime_r(&now, &date);
	snprintf(text, room, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT",
	         days + (size_t)date.tm_wday * 3, date.tm_mday, months + (size_t)date.tm_mon * 3,
	         date.tm_year + 1900, date.tm_hour, date.tm_min, date.tm_sec);
}

static void add_default(struct MHD_Response *response, const char *name, const char *value)
{
	if (MHD_get_response_header(response, name) == NULL)
		MHD_add_response_header(response, name, value);
}

/* What the guest said by set_cacheable(), for caches that are not Varnish. */
static void add_cache_policy(struct MHD_Response *response, const struct kvmsb_http_cache *cache)
{
	char text[64];

	if (!cache->is_set)
		return;
	if (cache->cacheable && cache->ttl >= 1 && cache->ttl < 1e9)
		snprintf(text, sizeof(text), "max-age=%.0f", cache->ttl);
	else
		snprintf(text, sizeof(text), "no-store");
	add_default(response, MHD_HTTP_HEADER_CACHE_CONTROL, text);
}

static bool add_fields(struct MHD_Response *response, const struct kvmsb_http_response *guest)
{
	size_t bytes = strlen(guest->content_type);
	char date[64];

	for (size_t i = 0; i < guest->field_count; i++) {
		bytes += guest->fields[i].length;
		if (bytes > FIELDS_BYTES_MAXIMUM || !add_field(response, &guest->fields[i]))
			return false;
	}
	if (guest->content_type[0] != '\0')
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, guest->content_type);
	add_cache_policy(response, &guest->cache);
	format_date(date, sizeof(date));
	add_default(response, MHD_HTTP_HEADER_LAST_MODIFIED, date);
	add_default(response, MHD_HTTP_HEADER_SERVER, "kvmsb-httpd");
	return true;
}

/* ---- Bodies ---- */

enum response_kind response_kind_of(const struct request *request,
                                    const struct kvmsb_http_response *response)
{
	if (response->is_streamed)
		return RESPONSE_STREAMED;
	return response->body_length < COPIED_MAXIMUM || request->is_head ? RESPONSE_COPIED
	                                                                  : RESPONSE_LENT;
}

static void release(void *request)
{
	request_release(request);
}

static struct MHD_Response *create_copied(const struct kvmsb_http_response *guest)
{
	char *copy = malloc((size_t)guest->body_length + 1);
	size_t used = 0;

	if (copy == NULL)
		return NULL;
	for (size_t i = 0; i < guest->body_count; i++) {
		memcpy(copy + used, guest->body[i].iov_base, guest->body[i].iov_len);
		used += guest->body[i].iov_len;
	}
	return MHD_create_response_from_buffer(used, copy, MHD_RESPMEM_MUST_FREE);
}

/* Only its length counts: the body is for nobody. */
static ssize_t read_nothing(void *user, uint64_t position, char *data, size_t length)
{
	(void)user, (void)position, (void)data, (void)length;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *create_lent(struct request *request,
                                        const struct kvmsb_http_response *guest)
{
	/* The same two members by other names; libmicrohttpd copies the array. */
	_Static_assert(sizeof(struct MHD_IoVec) == sizeof(struct iovec), "pieces as they are");
	struct MHD_Response *response;

	request_hold(request);
	request->is_lent = true;
	response = MHD_create_response_from_iovec((const struct MHD_IoVec *)(const void *)guest->body,
	                                          (unsigned)guest->body_count, request_returned,
	                                          request);
	if (response == NULL)
		request_returned(request);
	return response;
}

static struct MHD_Response *create_streamed(struct request *request, uint64_t length)
{
	struct MHD_Response *response;

	request->output = calloc(1, sizeof(*request->output));
	if (request->output == NULL)
		return NULL;
	request_hold(request);
	response = MHD_create_response_from_callback(length, STREAM_BLOCK, request_output, request,
	                                             release);
	if (response == NULL)
		request_release(request);
	return response;
}

struct MHD_Response *response_create(struct request *request,
                                     const struct kvmsb_http_response *guest, enum response_kind kind)
{
	struct MHD_Response *response;

	if (request->is_head)
		response = MHD_create_response_from_callback(guest->body_length, 1, read_nothing,
		                                             NULL, NULL);
	else if (kind == RESPONSE_STREAMED)
		response = create_streamed(request, guest->body_length);
	else if (kind == RESPONSE_LENT)
		response = create_lent(request, guest);
	else
		response = create_copied(guest);
	if (response != NULL && !add_fields(response, guest)) {
		MHD_destroy_response(response);
		response = NULL;
	}
	return response;
}

/* ---- The server's own ---- */

static struct MHD_Response *with_type(struct MHD_Response *response, const char *type)
{
	if (response == NULL)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "kvmsb-httpd");
	return response;
}

struct MHD_Response *response_of_text(char *text, size_t length, const char *type)
{
	if (text == NULL)
		return NULL;
	return with_type(MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE), type);
}

struct MHD_Response *response_of_constant(const char *text, size_t length, const char *type)
{
	return with_type(MHD_create_response_from_buffer(length, (void *)(uintptr_t)text,
	                                                 MHD_RESPMEM_PERSISTENT),
	                 type);
}

struct MHD_Response *response_of_status(unsigned status)
{
	char *text;

	if (asprintf(&text, "%u %s\n", status, MHD_get_reason_phrase_for(status)) < 0)
		return NULL;
	return response_of_text(text, strlen(text), "text/plain; charset=utf-8");
}
