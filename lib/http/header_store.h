/* SPDX-License-Identifier: MIT */
/*
 * The header fields and the method of the request at hand, wherever they are
 * kept: in the exchange, or by the host's functions, whose answers are not
 * believed. Texts that go in have passed the rules of fields.h: that is up to
 * the callers. Internal to http/.
 *
 * All but header_store_full() need a request at hand (call_has_request()).
 */
#ifndef KVMSB_HTTP_HEADER_STORE_H
#define KVMSB_HTTP_HEADER_STORE_H

#include "call.h"

#include <kvmsandbox/http.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Positions stay below: no list of a host's has more, so that walking one comes to an end. */
#define HEADER_STORE_POSITIONS 65536

/*
 * Each returns a position, below HEADER_STORE_POSITIONS; -ENOENT: there is no
 * such field; -ENOSPC: there is no room (append and set only). Anything else
 * below zero is what a handler returns: the call has failed.
 */

/* The first field of that name. field: its text lives until the next call of anything here. */
int64_t header_store_find(struct call *call, enum kvmsb_http_side side, const char *name,
                          size_t length, struct kvmsb_http_field *field);

/*
 * The field at a position: 0, 1, ... until -ENOENT visits all. *text: a copy, with a NUL
 * behind it; free() it. No field holds CR, LF or NUL, but it may be one that a guest
 * could not append ("Accept:").
 */
int64_t header_store_next(struct call *call, enum kvmsb_http_side side, size_t position,
                          char **text, size_t *length);

int64_t header_store_append(struct call *call, enum kvmsb_http_side side, const char *text,
                            size_t length);
/* Replaces the first field of its name, or appends. */
int64_t header_store_set(struct call *call, enum kvmsb_http_side side, const char *text,
                         size_t length);
/* Removes the first field of that name. */
int64_t header_store_unset(struct call *call, enum kvmsb_http_side side, const char *name,
                           size_t length);

/* Whether it is known that nothing can be appended: a host's function says so when it is asked to. */
bool header_store_full(const struct call *call, enum kvmsb_http_side side);

/* *method: at most EXCHANGE_METHOD_MAXIMUM bytes and a NUL, a token. Returns 0 or as a handler. */
int header_store_method(struct call *call, char method[]);

#endif
