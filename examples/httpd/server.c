/* SPDX-License-Identifier: MIT */
/* The server, from its options to its end; see server.h. */
#include "server.h"

#include "connection.h"
#include "log.h"
#include "../units.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a connection, for the heads of its requests and responses. */
#define CONNECTION_MEMORY ((size_t)64 << 10)
/* At each address. */
#define CONNECTION_LIMIT 4096u
#define BACKLOG 1024

static int out_of_memory(void)
{
	fputs("kvmsb-httpd: out of memory\n", stderr);
	return -1;
}

/* ---- Addresses ---- */

/* "ADDRESS:PORT", where an address with colons stands in brackets. */
static int resolve(const char *text, struct addrinfo **found)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(text, ':');
	char host[256];
	uint64_t port;
	size_t length;
	int error;

	/* getaddrinfo(3) takes larger numbers, and forgets what is too large of them. */
	if (colon == NULL || !units_number(colon + 1, &port) || port > UINT16_MAX) {
		fprintf(stderr, "kvmsb-httpd: --listen %s: not ADDRESS:PORT\n", text);
		return -1;
	}
	length = (size_t)(colon - text);
	if (text[0] == '[' && length > 1 && colon[-1] == ']') {
		text++;
		length -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(length < sizeof(host) ? length : 0), text);
	error = getaddrinfo(length > 0 ? host : NULL, colon + 1, &hints, found);
	if (error == 0)
		return 0;
	fprintf(stderr, "kvmsb-httpd: --listen %s:%s: %s\n", host, colon + 1, gai_strerror(error));
	return -1;
}

static int open_socket(const struct addrinfo *address)
{
	const int on = 1;
	int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (descriptor < 0)
		return -1;
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 &&
	    listen(descriptor, BACKLOG) == 0)
		return descriptor;
	close(descriptor);
	return -1;
}

/* The port may be one that the kernel chose. */
static void format_url(struct listener *listener)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	const char *format = "http://%.100s:%.8s/";

	getsockname(listener->socket, (struct sockaddr *)&address, &length);
	if (getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	if (address.ss_family == AF_INET6)
		format = "http://[%.100s]:%.8s/";
	snprintf(listener->url, sizeof(listener->url), format, host, port);
}

static int start_daemon(struct server *server, struct listener *listener)
{
	const struct httpd_options *options = server->options;
	const unsigned threads = (unsigned)options->threads;

	listener->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL,
		NULL, connection_handle, server, MHD_OPTION_LISTEN_SOCKET, listener->socket,
		MHD_OPTION_URI_LOG_CALLBACK, connection_begin, server, MHD_OPTION_NOTIFY_COMPLETED,
		connection_end, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(options->idle_timeout / SECOND),
		threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, MHD_OPTION_END);
	if (listener->daemon != NULL)
		return 0;
	fprintf(stderr, "kvmsb-httpd: libmicrohttpd did not start at %s\n", listener->url);
	return -1;
}

static int listen_at(struct server *server, const char *text)
{
	struct listener *listener = &server->listeners[server->listener_count];
	struct addrinfo *address;

	if (resolve(text, &address) < 0)
		return -1;
	listener->socket = open_socket(address);
	freeaddrinfo(address);
	if (listener->socket < 0) {
		fprintf(stderr, "kvmsb-httpd: --listen %s: %s\n", text, strerror(errno));
		return -1;
	}
	server->listener_count++;
	format_url(listener);
	return 0;
}

/* Who connects before programs are ready waits in the kernel. */
static int open_sockets(struct server *server)
{
	const struct texts *addresses = &server->options->listen;

	server->listeners = calloc(addresses->count, sizeof(*server->listeners));
	if (server->listeners == NULL)
		return out_of_memory();
	for (size_t i = 0; i < addresses->count; i++)
		if (listen_at(server, addresses->text[i]) < 0)
			return -1;
	return 0;
}

static int start_daemons(struct server *server)
{
	for (size_t i = 0; i < server->listener_count; i++)
		if (start_daemon(server, &server->listeners[i]) < 0)
			return -1;
	for (size_t i = 0; i < server->listener_count; i++)
		printf("listening on %s\n", server->listeners[i].url);
	return fflush(stdout) == 0 ? 0 : -1;
}

/* ---- The server ---- */

/* Before there are threads, as libcurl wants it. */
static int start_fetcher(struct server *server)
{
	const struct httpd_options *options = server->options;
	char self[sizeof(server->listeners->url)];
	bool is_wanted = false;

	for (size_t i = 0; i < options->program_count; i++)
		is_wanted |= options->programs[i].fetch_hosts.count > 0 ||
		             options->programs[i].may_fetch_self;
	if (!is_wanted)
		return 0;
	snprintf(self, sizeof(self), "%s", server->listeners[0].url);
	self[strlen(self) - 1] = '\0'; /* without its slash, which urls bring */
	server->fetcher = fetcher_create(self);
	if (server->fetcher != NULL)
		return 0;
	fputs("kvmsb-httpd: --allow-fetch, --allow-self: no memory, or built without libcurl\n",
	      stderr);
	return -1;
}

static int boot_programs(struct server *server)
{
	const struct httpd_options *options = server->options;

	server->programs = calloc(options->program_count + 1, sizeof(*server->programs));
	if (server->programs == NULL)
		return out_of_memory();
	for (size_t i = 0; i < options->program_count; i++) {
		struct program *program = &server->programs[server->program_count++];

		if (program_create(program, &options->programs[i], options, server->fetcher) < 0 ||
		    program_start(program) < 0)
			return -1;
	}
	return 0;
}

int server_start(struct server *server, const struct httpd_options *options)
{
	int error;

	memset(server, 0, sizeof(*server));
	server->options = options;
	error = log_open(&server->access_log, options->access_log);
	if (error < 0) {
		fprintf(stderr, "kvmsb-httpd: --access-log %s: %s\n", options->access_log,
		        strerror(-error));
		return -1;
	}
	server->others = metrics_create("");
	if (server->others == NULL)
		return out_of_memory();
	if (open_sockets(server) < 0 || start_fetcher(server) < 0 || boot_programs(server) < 0)
		return -1;
	return start_daemons(server);
}

/* ---- The end ---- */

/* Those that are open go on: what they have begun is ended. */
static void stop_listening(struct server *server)
{
	for (size_t i = 0; i < server->listener_count; i++) {
		struct listener *listener = &server->listeners[i];

		if (listener->daemon != NULL)
			MHD_quiesce_daemon(listener->daemon);
		close(listener->socket);
	}
}

/* Waits until a count is zero, a signal comes, or the time is over. */
static void drain(atomic_uint *count, uint64_t timeout, const sigset_t *signals)
{
	const struct timespec step = {.tv_nsec = 5000000};
	const uint64_t begin = clock_now();

	while (*count > 0 && clock_now() - begin < timeout)
		if (sigtimedwait(signals, NULL, &step) > 0)
			return;
}

static void stop_daemons(struct server *server)
{
	sigset_t none;

	sigemptyset(&none);
	server->gate.is_shut = true;
	/* Each ends with the time limit of its guest, if not before. */
	drain(&server->gate.suspended, UINT64_MAX, &none);
	for (size_t i = 0; i < server->listener_count; i++)
		if (server->listeners[i].daemon != NULL)
			MHD_stop_daemon(server->listeners[i].daemon);
}

void server_stop(struct server *server, const sigset_t *signals)
{
	server->is_stopping = true;
	stop_listening(server);
	drain(&server->gate.requests, server->options->stop_timeout, signals);
	stop_daemons(server);
	for (size_t i = 0; i < server->program_count; i++) {
		program_stop(&server->programs[i]);
		program_destroy(&server->programs[i]);
	}
	fetcher_destroy(server->fetcher);
	free(server->programs);
	free(server->listeners);
	metrics_destroy(server->others);
	log_close(server->access_log);
}
