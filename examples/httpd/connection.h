/* SPDX-License-Identifier: MIT */
/*
 * The side of libmicrohttpd: its callbacks, which take requests apart, hand them
 * to programs, and give back responses. They run in its threads and never wait.
 */
#ifndef KVMSB_HTTPD_CONNECTION_H
#define KVMSB_HTTPD_CONNECTION_H

#include <microhttpd.h>

#include <stddef.h>

/* `server` is a struct server. */
enum MHD_Result connection_handle(void *server, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request);
/* Of MHD_OPTION_URI_LOG_CALLBACK: begins a request. */
void *connection_begin(void *server, const char *url, struct MHD_Connection *connection);
/* Of MHD_OPTION_NOTIFY_COMPLETED. */
void connection_end(void *server, struct MHD_Connection *connection, void **request,
                    enum MHD_RequestTerminationCode code);

#endif
