/* SPDX-License-Identifier: MIT */
/* SANITIZED: whether this is built with AddressSanitizer, by gcc or clang; 1 or 0. */
#ifndef KVMSB_TESTS_SANITIZED_H
#define KVMSB_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
