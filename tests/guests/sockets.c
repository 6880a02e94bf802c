/* SPDX-License-Identifier: MIT */
/*
 * Waits for events on sockets: in a function for that, or with argument "main" in
 * main(). Keeps what it was given as text, for the host to look at.
 */
#include "kvm_api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 4

char seen[4096];
static size_t used;

static void note(const struct kvm_socket_event *event)
{
	int length = snprintf(seen + used, sizeof(seen) - used, "%d %d %s %s %.*s;", event->fd,
	                      event->event, event->remote, event->arg, (int)event->data_len,
	                      event->data != NULL ? (const char *)event->data : "");

	used += (size_t)length;
}

static void serve(int system)
{
	struct kvm_socket_event events[EVENTS];

	used += (size_t)snprintf(seen, sizeof(seen), "system %d;", system);
	for (;;) {
		int count = wait_for_socket_events_paused(events, EVENTS);

		used += (size_t)snprintf(seen + used, sizeof(seen) - used, "[%d]", count);
		for (int i = 0; i < count; i++) {
			note(&events[i]);
			if (events[i].event == SOCKET_DISCONNECT && events[i].fd == 100)
				return;
			if (events[i].event == SOCKET_DISCONNECT && events[i].fd == 101)
				_exit(1);
		}
	}
}

static void get(const char *url, const char *arg)
{
	(void)url;
	(void)arg;
	backend_response_str(200, "text/plain", seen);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "main") == 0)
		serve(-1);
	set_backend_get(get);
	set_socket_prepare_for_pause(serve);
	wait_for_requests();
}
