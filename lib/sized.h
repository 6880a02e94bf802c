/* SPDX-License-Identifier: MIT */
/*
 * Structs of the public API that begin with the size their caller was
 * compiled with; see kvmsandbox/version.h for the rules.
 */
#ifndef KVMSB_SIZED_H
#define KVMSB_SIZED_H

#include "util.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Bytes of a struct up to a member: the size of its first release ends with that one. */
#define SIZE_THROUGH(type, member) (offsetof(type, member) + sizeof(((type *)NULL)->member))

/* More than any struct will have: a size that was never set. */
#define SIZED_MAXIMUM 65536u

/*
 * Copies an in-struct into *own (own_size bytes). least: the size it had in
 * its first release. Returns 0, -EINVAL, -E2BIG.
 */
static inline int sized_copy_in(void *own, size_t own_size, size_t least, const void *theirs)
{
	const unsigned char *bytes = theirs;
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < least)
		return -EINVAL;
	if (size > SIZED_MAXIMUM)
		return -E2BIG;
	for (size_t i = own_size; i < size; i++)
		if (bytes[i] != 0)
			return -E2BIG;
	memset(own, 0, own_size);
	memcpy(own, theirs, min_u64(size, own_size));
	memcpy(own, &own_size, sizeof(own_size));
	return 0;
}

/* Whether an out-struct has been given its size: -EINVAL. Check before what it is for is done. */
static inline int sized_check_out(const void *theirs)
{
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	return size < sizeof(size) || size > SIZED_MAXIMUM ? -EINVAL : 0;
}

/* Copies *own out as far as the caller's struct reaches; its size stays what it was. */
static inline int sized_copy_out(void *theirs, const void *own, size_t own_size)
{
	int result = sized_check_out(theirs);
	size_t size;

	if (result < 0)
		return result;
	memcpy(&size, theirs, sizeof(size));
	memcpy((unsigned char *)theirs + sizeof(size), (const unsigned char *)own + sizeof(size),
	       min_u64(size, own_size) - sizeof(size));
	return 0;
}

#endif
