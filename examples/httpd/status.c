/* SPDX-License-Identifier: MIT */
/* /metrics, /status and /status.json; see status.h. */
#include "status.h"

#include "response.h"
#include "routes.h"
#include "status_page.h"

#include <stdlib.h>
#include <string.h>

typedef char *(*write_function)(struct metrics *const *list, size_t count, size_t *length);

static struct MHD_Response *write_figures(struct server *server, write_function write,
                                          const char *type)
{
	struct metrics **list = calloc(server->program_count + 1, sizeof(struct metrics *));
	size_t length;
	char *text;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < server->program_count; i++) {
		program_measure(&server->programs[i]);
		list[i] = server->programs[i].metrics;
	}
	list[server->program_count] = server->others;
	text = write(list, server->program_count + 1, &length);
	free(list);
	return response_of_text(text, length, type);
}

static struct MHD_Response *page(void)
{
	struct MHD_Response *response = response_of_constant(status_page_html, status_page_length,
	                                                     STATUS_PAGE_TYPE);

	if (response != NULL)
		MHD_add_response_header(response, "Content-Security-Policy", status_page_policy);
	return response;
}

/* The name of one of them; NULL: it lies elsewhere. */
static const char *name_of(const struct server *server, const char *url)
{
	const char *prefix = server->options->status_prefix;
	size_t length = prefix != NULL ? strlen(prefix) : 0;

	if (length > 0 && prefix[length - 1] == '/')
		length--;
	return length == 0 || strncmp(url, prefix, length) == 0 ? url + length : NULL;
}

static struct MHD_Response *find(struct server *server, const char *name)
{
	if (route_is_path(name, "/metrics"))
		return write_figures(server, metrics_prometheus, METRICS_PROMETHEUS_TYPE);
	if (route_is_path(name, "/status.json"))
		return write_figures(server, metrics_json, METRICS_JSON_TYPE);
	if (route_is_path(name, "/status"))
		return page();
	return NULL;
}

bool status_is_reserved(const struct server *server, const char *url)
{
	const char *name = name_of(server, url);

	return !server->options->no_status && server->options->status_prefix != NULL &&
	       name != NULL &&
	       (route_is_path(name, "/metrics") || route_is_path(name, "/status") ||
	        route_is_path(name, "/status.json"));
}

struct MHD_Response *status_response(struct server *server, const char *url)
{
	static const char native[] = "Hello, native\n";
	const char *name = name_of(server, url);

	if (server->options->native != NULL && route_is_path(url, server->options->native))
		return response_of_constant(native, strlen(native), "text/plain");
	return server->options->no_status || name == NULL ? NULL : find(server, name);
}
