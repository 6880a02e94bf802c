/* SPDX-License-Identifier: MIT */
/*
 * The version of the library that a host runs with, which need not be the one
 * whose headers it was compiled with.
 */
#include "kvmsandbox/version.h"

#define TEXT_OF(macro) TEXT(macro)
#define TEXT(value) #value

const char *kvmsb_version(void)
{
	return TEXT_OF(KVMSB_VERSION_MAJOR) "." TEXT_OF(KVMSB_VERSION_MINOR) "." TEXT_OF(
		KVMSB_VERSION_PATCH);
}
