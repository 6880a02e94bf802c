/* SPDX-License-Identifier: MIT */
/*
 * Fetches that guests ask for (ops.fetch and ops.self_request of
 * kvmsandbox/http.h), made by libcurl: HTTP and HTTPS only, and only from hosts that
 * rules of the operator name, redirects included. A build without libcurl has the
 * same functions (fetch_without_curl.c), which fetch nothing.
 */
#ifndef KVMSB_HTTPD_FETCH_H
#define KVMSB_HTTPD_FETCH_H

#include <kvmsandbox.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Which hosts may be reached: none, unless a rule says so ---- */

struct fetch_rule {
	char *host;    /* a name, an address, "*.NAME" (all below it), or "*" (any) */
	uint32_t port; /* or one of these: */
};
#define FETCH_PORT_DEFAULT 0u    /* that of the scheme */
#define FETCH_PORT_ANY UINT32_MAX

/* All zero: no rules. */
struct fetch_rules {
	struct fetch_rule *rule;
	size_t count;
};

/*
 * "HOST[:PORT]": HOST as above, IPv6 addresses in brackets; PORT a number or "*". Names are
 * compared as they are, not by what they resolve to. Returns 0, -EINVAL, -ENOMEM.
 */
int fetch_rules_add(struct fetch_rules *rules, const char *text);
void fetch_rules_clear(struct fetch_rules *rules);
bool fetch_rules_allow(const struct fetch_rules *rules, const char *host, uint32_t port,
                       bool port_is_default);

/* ---- Fetching ---- */

#define FETCH_SELF_MAXIMUM 50u /* requests of guests to this server, at once */

/* For a whole server; used by many threads at once. */
struct fetcher;

/*
 * self: where this server itself is to be had, "http://ADDRESS:PORT", for urls that begin
 * with "/"; copied; NULL: such fail. Made in main() while there is one thread, as
 * curl_global_init(3) wants it. NULL: no memory, or built without libcurl.
 */
struct fetcher *fetcher_create(const char *self);

/* NULL is allowed. No fetch is under way. */
void fetcher_destroy(struct fetcher *fetcher);

/*
 * The fetch, within 8 s (5 of them to connect) and the end of the guest's run. Returns 0,
 * or what the guest gets, a negative CURLcode: -9 (CURLE_REMOTE_ACCESS_DENIED) where no rule
 * allows the host, also of a redirect; -1 for other schemes, and for too many requests
 * to the server itself. No field of the guest's may say how a message is framed, since a
 * connection is kept for the next fetch, which may be another program's.
 *
 *	static int fetch(const struct kvmsb_http_context *context,
 *	                 const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer)
 *	{
 *		const struct program *program = context->user;
 *
 *		return fetch_by_curl(program->fetcher, &program->rules, fetch, answer);
 *	}
 */
int fetch_by_curl(struct fetcher *fetcher, const struct fetch_rules *rules,
                  const struct kvmsb_fetch *fetch, struct kvmsb_fetch_answer *answer);

#endif
