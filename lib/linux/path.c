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

static unsigned dots_of(const char *component, size_t length)
{
	return is_dots(component, length, 1) ? 1 : is_dots(component, length, 2) ? 2 : 0;
}

static int step(char *text, size_t *length, const char *component, size_t size, struct path *form)
{
	unsigned dots = dots_of(component, size);

	if (dots == 2) {
		form->above |= *length == 0;
		drop_last(text, length);
	}
	if (size > 0)
		form->dots = dots;
	return size > 0 && !dots ? append(text, length, component, size) : 0;
}

/* Appends the components of `source` one by one. How it is written goes to `form`. */
static int append_all(char *text, size_t *length, const char *source, struct path *form)
{
	size_t size;
	int error;

	while (*source) {
		source += strspn(source, "/");
		size = strcspn(source, "/");
		error = step(text, length, source, size, form);
		if (error)
			return error;
		form->directory = size == 0 || form->dots || source[size] == '/';
		source += size;
	}
	return 0;
}

int path_normalise(struct path *path, const char *base, const char *text)
{
	struct path result = {.text = ""};
	int error = 0;

	if (*text == '\0')
		return -ENOENT;
	if (*text != '/')
		error = append_all(result.text, &result.length, base, &result);
	if (!error)
		error = append_all(result.text, &result.length, text, &result);
	if (error)
		return error;
	if (result.length == 0) {
		memcpy(result.text, "/", sizeof("/"));
		result.length = 1;
	}
	result.directory |= result.length == 1;
	*path = result;
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
