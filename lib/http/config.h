/* SPDX-License-Identifier: MIT */
/*
 * What all sandboxes of a program share of the guest API, and nobody changes
 * after creation: the host's functions and limits, checked and completed.
 */
#ifndef KVMSB_HTTP_CONFIG_H
#define KVMSB_HTTP_CONFIG_H

#include <kvmsandbox/http.h>

#include <stdint.h>

struct http_config {
	struct kvmsb_http_ops ops; /* functions that the host left out are NULL */
	uint64_t error_timeout;    /* ns */
	uint64_t stream_timeout;   /* ns */
	uint64_t log_limit;        /* bytes a run of main() or a request */
	uint32_t flags;            /* KVMSB_HTTP_CONTROL_EPHEMERAL */
};

/*
 * From options as the host gave them. Returns 0, -EINVAL, -E2BIG with error's
 * detail.
 */
int http_config_init(struct http_config *config, const struct kvmsb_options *options,
                     struct kvmsb_error *error);

#endif
