/* SPDX-License-Identifier: MIT */
/* The host's part of the guest API, checked; see config.h. */
#include "config.h"

#include "../error.h"
#include "../sized.h"

#include <errno.h>

#define SECOND UINT64_C(1000000000)
#define MEBIBYTE (UINT64_C(1) << 20)

static int copy_ops(struct kvmsb_http_ops *own, const struct kvmsb_http_ops *theirs,
                    struct kvmsb_error *error)
{
	int result = theirs == NULL ? 0
	                            : sized_copy_in(own, sizeof(*own),
	                                            SIZE_THROUGH(struct kvmsb_http_ops, error_page),
	                                            theirs);

	if (result == 0)
		return 0;
	return error_set_size(error, result, "options.http");
}

/* Functions that work on the same things come together. */
static int check_ops(const struct kvmsb_http_ops *ops, struct kvmsb_error *error)
{
	const int headers = (ops->header_find != NULL) + (ops->header_next != NULL) +
	                    (ops->header_append != NULL) + (ops->header_set != NULL) +
	                    (ops->header_unset != NULL);
	const int regex = (ops->regex_compile != NULL) + (ops->regex_match != NULL) +
	                  (ops->regex_free != NULL);

	if (headers != 0 && headers != 5)
		return error_set(error, -EINVAL, "options.http: some header functions are missing");
	if (regex != 0 && regex != 3)
		return error_set(error, -EINVAL, "options.http: some regex functions are missing");
	return 0;
}

int http_config_init(struct http_config *config, const struct kvmsb_options *options,
                     struct kvmsb_error *error)
{
	int result = copy_ops(&config->ops, options->http, error);

	if (result == 0)
		result = check_ops(&config->ops, error);
	if (result < 0)
		return result;
	if ((options->http_flags & ~KVMSB_HTTP_CONTROL_EPHEMERAL) != 0 || options->reserved != 0)
		return error_set(error, -EINVAL, "options.http_flags or reserved: not known");
	config->error_timeout = options->error_timeout_ns != 0 ? options->error_timeout_ns : SECOND;
	config->stream_timeout = options->stream_timeout_ns != 0 ? options->stream_timeout_ns
	                                                         : 2 * SECOND;
	config->log_limit = options->log_limit != 0 ? options->log_limit : MEBIBYTE;
	config->flags = options->http_flags;
	return 0;
}
