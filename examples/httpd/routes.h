/* SPDX-License-Identifier: MIT */
/*
 * Which of several routes a request takes: "/path" with all beneath it,
 * "host:name", "host:name/path". Knows nothing of what serves a route.
 */
#ifndef KVMSB_HTTPD_ROUTES_H
#define KVMSB_HTTPD_ROUTES_H

#include <stdbool.h>

/*
 * How well a route fits a request: 0: not at all, else the higher the better. url:
 * as received, with its query. host: the field's value, or NULL.
 */
unsigned route_fit(const char *route, const char *host, const char *url);

/* Whether an url, without its query, is this path. */
bool route_is_path(const char *url, const char *path);

#endif
