/* SPDX-License-Identifier: MIT */
/* What the server answers by itself: figures of its programs, and a fixed text for measurements. */
#ifndef KVMSB_HTTPD_STATUS_H
#define KVMSB_HTTPD_STATUS_H

#include "server.h"

#include <microhttpd.h>

/* Whether programs are not asked for it. */
bool status_is_reserved(const struct server *server, const char *url);

/* NULL: it has nothing under this url, or no memory. */
struct MHD_Response *status_response(struct server *server, const char *url);

#endif
