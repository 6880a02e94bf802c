/* SPDX-License-Identifier: MIT */
/*
 * Version of the library, and the two macros that every public header uses:
 * visibility of functions, initialisation of structs that carry their size.
 *
 * Structs of this API begin with `size`, the size the *caller* was compiled
 * with. An in-struct that is larger than the library's own is accepted when
 * the tail it does not know is zero, else refused with -E2BIG; one smaller
 * than its first release is refused with -EINVAL. An out-struct is filled as
 * far as the caller's size reaches.
 */
#ifndef KVMSANDBOX_VERSION_H
#define KVMSANDBOX_VERSION_H

#define KVMSB_VERSION_MAJOR 0
#define KVMSB_VERSION_MINOR 1
#define KVMSB_VERSION_PATCH 0

#define KVMSB_EXPORT __attribute__((visibility("default")))

/* An initialiser: all members zero (each one's default), `size` set. */
#ifdef __cplusplus
extern "C++" template <typename T> inline T kvmsb_sized()
{
	T object{};
	object.size = sizeof(T);
	return object;
}
#define KVMSB_SIZED(type) kvmsb_sized<type>()
#else
#define KVMSB_SIZED(type)                                                                          \
	{                                                                                          \
		.size = sizeof(type)                                                               \
	}
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Version of the library at run time, "0.1.0". Static memory. Any thread.
 */
KVMSB_EXPORT const char *kvmsb_version(void);

#ifdef __cplusplus
}
#endif

#endif
