/* SPDX-License-Identifier: MIT */
/*
 * libkvmsandbox: run an unmodified x86-64 Linux program in a KVM sandbox of
 * its own, freeze it when it waits for requests, fork it for every request,
 * call it, reset it.
 *
 * This header includes all of the public API; every header below it also
 * stands alone, in C11 and in C++17.
 */
#ifndef KVMSANDBOX_H
#define KVMSANDBOX_H

#include "kvmsandbox/error.h"
#include "kvmsandbox/http.h"
#include "kvmsandbox/override.h"
#include "kvmsandbox/policy.h"
#include "kvmsandbox/result.h"
#include "kvmsandbox/sandbox.h"
#include "kvmsandbox/version.h"

#endif
