/* SPDX-License-Identifier: MIT */
/* Which of several routes a request takes; see routes.h. */
#include "routes.h"

#include <string.h>
#include <strings.h>

#define HOST_PREFIX "host:"
/* More than any path's length, which MHD bounds by a connection's memory. */
#define HOST_FITS (1u << 24)

static size_t path_length(const char *url)
{
	return strcspn(url, "?#");
}

bool route_is_path(const char *url, const char *path)
{
	return path_length(url) == strlen(path) && strncmp(url, path, strlen(path)) == 0;
}

/* "/a" has "/a" and "/a/b", not "/ab"; "" and "/" have all. */
static unsigned path_fit(const char *path, const char *url)
{
	size_t length = strlen(path);

	if (length > 0 && path[length - 1] == '/')
		length--;
	if (strncmp(url, path, length) != 0)
		return 0;
	if (path_length(url) != length && url[length] != '/')
		return 0;
	return (unsigned)length + 1;
}

/* The name of a Host field: without its port, which an address in brackets has colons before. */
static size_t name_length(const char *host)
{
	size_t brackets = host[0] == '[' ? strcspn(host, "]") : 0;

	return brackets + strcspn(host + brackets, ":");
}

unsigned route_fit(const char *route, const char *host, const char *url)
{
	size_t length;
	unsigned fit;

	if (strncmp(route, HOST_PREFIX, strlen(HOST_PREFIX)) != 0)
		return path_fit(route, url);
	route += strlen(HOST_PREFIX);
	length = strcspn(route, "/");
	if (host == NULL || name_length(host) != length || strncasecmp(host, route, length) != 0)
		return 0;
	fit = path_fit(route + length, url);
	return fit > 0 ? HOST_FITS + fit : 0;
}
