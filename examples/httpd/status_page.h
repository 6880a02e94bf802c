/* SPDX-License-Identifier: MIT */
/*
 * The status page, status.html, as it was when the server was built: made by
 * embed-page. It asks for "status.json" beside itself (metrics_json()) each second,
 * and has a link to "metrics".
 */
#ifndef KVMSB_HTTPD_STATUS_PAGE_H
#define KVMSB_HTTPD_STATUS_PAGE_H

#include <stddef.h>

#define STATUS_PAGE_TYPE "text/html; charset=utf-8"

extern const char status_page_html[]; /* a NUL follows */
extern const size_t status_page_length;

/*
 * To be sent with it as Content-Security-Policy: nothing runs but the page's own
 * script, known by its hash, and it reaches nothing but this server.
 */
extern const char status_page_policy[];

#endif
