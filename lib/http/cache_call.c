/* SPDX-License-Identifier: MIT */
/*
 * sys_set_cacheable: how long the response at hand may be kept. Numbers are the
 * guest's, so what a host gets is always one that it can reckon with.
 */
#include "cache_call.h"

#include "exchange.h"
#include "log_call.h"

#define MILLISECONDS 1000.0

/* What RFC 9111, 1.2.2 makes of a number of seconds that is too large. */
#define SECONDS_MAXIMUM 2147483648.0

/* Neither negative nor NaN, which no comparison is true of. */
static double sane_seconds(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return seconds < SECONDS_MAXIMUM ? seconds : SECONDS_MAXIMUM;
}

int cache_call_note(struct call *call, bool cacheable, double ttl, double grace, double keep)
{
	struct kvmsb_http_cache *cache = &call->hypercalls->exchange->cache;
	const bool was_refused = cache->is_set && !cache->cacheable;

	*cache = (struct kvmsb_http_cache){
		.is_set = 1,
		.cacheable = cacheable && !was_refused,
		.ttl = sane_seconds(ttl),
		.grace = sane_seconds(grace),
		.keep = sane_seconds(keep),
	};
	/* What was not to be cached stays so. */
	if (cacheable && was_refused)
		return log_call_line(call, "Ignoring attempt to reset beresp.uncacheable");
	return 0;
}

/* Whether the host can cache, as the guest gets it. */
static int ask_host(struct call *call)
{
	const struct kvmsb_http_ops *ops = &call->hypercalls->config->ops;
	const struct kvmsb_http_cache policy = call->hypercalls->exchange->cache;
	struct kvmsb_http_context context;
	int refused;
	int result = call_host_begin(call, &context);

	if (result < 0)
		return result;
	refused = ops->cache_policy(&context, &policy);
	*call->result = refused != 0 ? UINT64_MAX : 0;
	return call_host_end(call);
}

int call_set_cacheable(struct call *call)
{
	const uint64_t *arguments = call->arguments;
	int result = cache_call_note(call, (uint8_t)arguments[0] != 0,
	                             (double)(int64_t)arguments[1] / MILLISECONDS,
	                             (double)(int64_t)arguments[2] / MILLISECONDS,
	                             (double)(int64_t)arguments[3] / MILLISECONDS);

	*call->result = 0;
	if (result == 0 && call->hypercalls->config->ops.cache_policy != NULL)
		result = ask_host(call);
	return result;
}
