/* SPDX-License-Identifier: MIT */
/* An event on a connection of the host's as a guest has it: struct kvm_socket_event. */
#ifndef KVMSB_HTTP_SOCKET_EVENT_H
#define KVMSB_HTTP_SOCKET_EVENT_H

#include <stdint.h>

/* In one call, either way. */
#define SOCKET_EVENTS_MAXIMUM 32u

struct socket_event {
	int32_t descriptor;
	int32_t event;
	uint64_t remote, argument;
	uint64_t data, length;
};
_Static_assert(sizeof(struct socket_event) == 40, "the guest's layout");

#endif
