/* SPDX-License-Identifier: MIT */
/*
 * Paths as text: joined and normalised.
 */
#include "path.h"

#include <errno.h>
#include <string.h>

/* The path under construction is "" for the root until it is finished. */
static void drop_last(char *text, size_t *length)
{
	while (*length > 0 && text[--*length] != '/')
		;
	text[*length] = '\0';
}

static bool is_dots(const char *component, size_t length, size_t dots)
{
	return length == dots && memcmp(component, "..", dots) == 0;
}

static int append(char *text, size_t *length, const char *component, size_t component_length)
{
	if (*length + 1 + component_length >= PATH_SIZE)
		return -ENAMETOOLONG;
	text[(*length)++] = '/';
	memcpy(text + *length, component, component_length);
	*length += component_length;
	text[*length] = '\0';
	return 0;
}

/* Appends the components of `source` one by one. */
static int append_all(char *text, size_t *length, const char *source, bool *directory)
{
	size_t size;
	int error;

	while (*source) {
		source += strspn(source, "/");
		size = strcspn(source, "/");
		*directory = size == 0 || is_dots(source, size, 1) || is_dots(source, size, 2) ||
		             source[size] == '/';
		if (is_dots(source, size, 2))
			drop_last(text, length);
		else if (size > 0 && !is_dots(source, size, 1)) {
			error = append(text, length, source, size);
			if (error)
				return error;
		}
		source += size;
	}
	return 0;
}

int path_normalise(struct path *path, const char *base, const char *text)
{
	char result[PATH_SIZE] = "";
	bool directory = false;
	size_t length = 0;
	int error = 0;

	if (*text == '\0')
		return -ENOENT;
	if (*text != '/')
		error = append_all(result, &length, base, &directory);
	if (!error)
		error = append_all(result, &length, text, &directory);
	if (error)
		return error;
	if (length == 0)
		result[length++] = '/';
	memcpy(path->text, result, length);
	path->text[length] = '\0';
	path->length = length;
	path->directory = directory || length == 1;
	return 0;
}

bool path_is_within(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (length == 1)
		return true;
	return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

void path_to_parent(struct path *path)
{
	drop_last(path->text, &path->length);
	if (path->length == 0)
		path->text[path->length++] = '/';
	path->text[path->length] = '\0';
	path->directory = true;
}
