/* SPDX-License-Identifier: MIT */
/* One request by libcurl; see fetch_transfer.h, and curl_easy_setopt(3) for each option. */
#include "fetch_transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MILLISECOND UINT64_C(1000000)
#define CONNECT_MILLISECONDS 5000L

uint64_t fetch_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MILLISECOND + (uint64_t)now.tv_nsec;
}

/* ---- What the guest sends ---- */

static size_t read_body(char *buffer, size_t size, size_t count, void *user)
{
	struct fetch_transfer *transfer = user;
	const struct kvmsb_fetch *fetch = transfer->fetch;
	size_t room = size * count, done = 0;

	while (done < room && transfer->piece < fetch->body_count) {
		const struct iovec *piece = &fetch->body[transfer->piece];
		size_t left = piece->iov_len - transfer->offset;
		size_t length = left < room - done ? left : room - done;

		/* A piece without bytes may have no address either. */
		if (length > 0)
			memcpy(buffer + done, (const char *)piece->iov_base + transfer->offset,
			       length);
		done += length;
		transfer->offset += length;
		if (length == left) {
			transfer->piece++;
			transfer->offset = 0;
		}
	}
	return done;
}

/* A kept connection that turns out to be closed has libcurl begin again on another. */
static int rewind_body(void *user, curl_off_t offset, int origin)
{
	struct fetch_transfer *transfer = user;

	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	transfer->piece = 0;
	transfer->offset = 0;
	return CURL_SEEKFUNC_OK;
}

static bool is_named(const struct kvmsb_http_field *field, const char *name)
{
	size_t length = strlen(name);

	return field->length > length && field->text[length] == ':' &&
	       strncasecmp(field->text, name, length) == 0;
}

static bool is_one_of(const struct kvmsb_http_field *field, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_named(field, names[i]))
			return true;
	return false;
}

/* Framing is libcurl's; what is for one connection only is not the guest's (RFC 9110, 7.6.1). */
static bool may_send(const struct fetch_transfer *transfer, const struct kvmsb_http_field *field)
{
	static const char *const framing[] = {
		"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",    "TE",
		"Trailer",        "Upgrade",           "Expect",     "HTTP2-Settings"};
	static const char *const secret[] = {"Authorization", "Cookie"};

	return !is_one_of(field, framing, COUNT_OF(framing)) &&
	       !(field->length > 6 && strncasecmp(field->text, "Proxy-", 6) == 0) &&
	       !(transfer->has_left_home &&
	         (is_one_of(field, secret, COUNT_OF(secret)) || is_named(field, "Host")));
}

/* Where there is nothing behind the colon, libcurl takes it as a field to leave out, unless
 * a semicolon stands there instead. */
static char *field_text(const struct kvmsb_http_field *field)
{
	char *text = strndup(field->text, field->length), *colon;

	colon = text ? strchr(text, ':') : NULL;
	if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0') {
		colon[0] = ';';
		colon[1] = '\0';
	}
	return text;
}

/* Takes over `text`, NULL included. */
static CURLcode append_text(struct curl_slist **list, char *text)
{
	struct curl_slist *grown = text ? curl_slist_append(*list, text) : NULL;

	free(text);
	if (!grown)
		return CURLE_OUT_OF_MEMORY;
	*list = grown;
	return CURLE_OK;
}

static CURLcode make_fields(const struct fetch_transfer *transfer, struct curl_slist **list)
{
	const struct kvmsb_fetch *fetch = transfer->fetch;
	/* Nothing is waited for before a body is sent. */
	CURLcode code = append_text(list, strdup("Expect:"));

	for (size_t i = 0; i < fetch->field_count && code == CURLE_OK; i++)
		if (may_send(transfer, &fetch->fields[i]))
			code = append_text(list, field_text(&fetch->fields[i]));
	return code;
}

/* ---- What comes back ---- */

static bool is_followed(const struct fetch_transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	return transfer->fetch->follow_redirects && transfer->has_location && status >= 300 &&
	       status < 400;
}

static void tell_status(struct fetch_transfer *transfer)
{
	const char *content_type = NULL;
	long status = 0;

	if (transfer->has_status)
		return;
	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_TYPE, &content_type);
	kvmsb_fetch_status(transfer->answer, (uint32_t)status, content_type);
	transfer->has_status = true;
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
	struct fetch_transfer *transfer = user;

	if (is_followed(transfer))
		return size * count;
	tell_status(transfer);
	/* Anything but the number of bytes ends it with CURLE_WRITE_ERROR. */
	return kvmsb_fetch_body(transfer->answer, data, size * count) == 0 ? size * count : 0;
}

/* One line of a head each time; several heads where there is an interim response. */
static size_t take_head(char *data, size_t size, size_t count, void *user)
{
	static const char location[] = "Location:";
	struct fetch_transfer *transfer = user;
	size_t length = size * count;

	/* Trailers come behind the body. */
	if (transfer->has_status)
		return length;
	if (length >= 5 && memcmp(data, "HTTP/", 5) == 0)
		transfer->has_location = false;
	if (length >= sizeof(location) && strncasecmp(data, location, sizeof(location) - 1) == 0)
		transfer->has_location = true;
	return kvmsb_fetch_head(transfer->answer, data, length) == 0 ? length : 0;
}

/* ---- The request ---- */

struct number_option {
	CURLoption option;
	long value;
};

/* No proxy of the environment's: rules are about whom the server itself connects to. */
static CURLcode set_limits(struct fetch_transfer *transfer)
{
	CURLcode code = curl_easy_setopt(transfer->curl, CURLOPT_PROTOCOLS_STR, "http,https");

	if (code == CURLE_OK)
		code = curl_easy_setopt(transfer->curl, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(transfer->curl, CURLOPT_CURLU, transfer->url);
	return code;
}

/* As an address or a device: a name would be looked up. */
static CURLcode set_interface(struct fetch_transfer *transfer)
{
	const char *name = transfer->fetch->interface;
	unsigned char address[sizeof(struct in6_addr)];
	char text[128];
	int length;

	if (!name)
		return CURLE_OK;
	length = snprintf(text, sizeof(text), "%s!%s",
	                  inet_pton(AF_INET, name, address) == 1 ||
	                                  inet_pton(AF_INET6, name, address) == 1
	                          ? "host"
	                          : "if",
	                  name);
	if ((size_t)length >= sizeof(text))
		return CURLE_INTERFACE_FAILED;
	return curl_easy_setopt(transfer->curl, CURLOPT_INTERFACE, text);
}

/* milliseconds: until it has to be over; 0 would be no limit. */
static CURLcode set_behaviour(struct fetch_transfer *transfer, long milliseconds)
{
	const struct kvmsb_fetch *fetch = transfer->fetch;
	const struct number_option options[] = {
		{CURLOPT_NOSIGNAL, 1},
		{CURLOPT_FOLLOWLOCATION, 0},
		{CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MILLISECONDS},
		{CURLOPT_TIMEOUT_MS, milliseconds},
		{CURLOPT_POST, transfer->sends_body},
		{CURLOPT_NOBODY, fetch->only_head},
		{CURLOPT_TCP_FASTOPEN, fetch->tcp_fast_open},
		{CURLOPT_SSL_VERIFYHOST, fetch->no_host_check ? 0 : 2},
	};
	CURLcode code = CURLE_OK;

	for (size_t i = 0; i < COUNT_OF(options) && code == CURLE_OK; i++)
		code = curl_easy_setopt(transfer->curl, options[i].option, options[i].value);
	return code;
}

static CURLcode set_body(struct fetch_transfer *transfer)
{
	CURL *curl = transfer->curl;
	CURLcode code;

	if (!transfer->sends_body)
		return CURLE_OK;
	code = curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
		                        (curl_off_t)transfer->fetch->body_length);
	return code;
}

static CURLcode set_answer(struct fetch_transfer *transfer)
{
	CURL *curl = transfer->curl;
	CURLcode code = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);

	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
	if (code == CURLE_OK)
		code = curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
	return code;
}

static CURLcode set_all(struct fetch_transfer *transfer, struct curl_slist *fields)
{
	uint64_t now = fetch_clock();
	CURLcode code;

	if (now + MILLISECOND > transfer->end_ns)
		return CURLE_OPERATION_TIMEDOUT;
	code = set_behaviour(transfer, (long)((transfer->end_ns - now) / MILLISECOND));
	if (code == CURLE_OK)
		code = set_limits(transfer);
	if (code == CURLE_OK)
		code = set_interface(transfer);
	if (code == CURLE_OK)
		code = set_body(transfer);
	if (code == CURLE_OK)
		code = set_answer(transfer);
	if (code == CURLE_OK)
		code = curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, fields);
	return code;
}

CURLcode fetch_transfer_run(struct fetch_transfer *transfer)
{
	struct curl_slist *fields = NULL;
	CURLcode code;

	/* Connections and names that were looked up stay. */
	curl_easy_reset(transfer->curl);
	transfer->piece = 0;
	transfer->offset = 0;
	transfer->has_location = false;
	code = make_fields(transfer, &fields);
	if (code == CURLE_OK)
		code = set_all(transfer, fields);
	if (code == CURLE_OK)
		code = curl_easy_perform(transfer->curl);
	if (code == CURLE_OK && !is_followed(transfer))
		tell_status(transfer);
	curl_slist_free_all(fields);
	return code;
}
