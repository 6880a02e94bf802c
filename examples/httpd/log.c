/* SPDX-License-Identifier: MIT */
/* Lines of requests, and of guests; see log.h. */
#include "log.h"

#include "options.h"
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

int log_open(FILE **log, const char *path)
{
	*log = NULL;
	if (path == NULL)
		return 0;
	*log = strcmp(path, "-") == 0 ? stdout : fopen(path, "ae");
	if (*log == NULL)
		return -errno;
	setvbuf(*log, NULL, _IOLBF, 0);
	return 0;
}

void log_close(FILE *log)
{
	if (log != NULL && log != stdout)
		fclose(log);
}

/* Control characters, quotes, backslashes and all that is not ASCII as \xHH. */
static void escape(const char *text, char *escaped, size_t room)
{
	size_t used = 0;

	for (; *text != '\0' && used + 5 <= room; text++) {
		const unsigned char character = (unsigned char)*text;

		if (character < ' ' || character > '~' || character == '"' || character == '\\')
			used += (size_t)snprintf(escaped + used, room - used, "\\x%02x", character);
		else
			escaped[used++] = *text;
	}
	escaped[used] = '\0';
}

static void format_client(const struct request *request, char *text, size_t room)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info != NULL ? info->client_addr : NULL;

	text[0] = '\0';
	if (address != NULL && address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
		          text, (socklen_t)room);
	else if (address != NULL && address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
		          text, (socklen_t)room);
	if (text[0] == '\0')
		snprintf(text, room, "-");
}

static void format_date(char *text, size_t room)
{
	const time_t now = time(NULL);
	struct tm date;

	localtime_r(&now, &date);
	if (strftime(text, room, "%d/%b/%Y:%H:%M:%S %z", &date) == 0)
		text[0] = '\0';
}

static const char *source_name(int32_t source)
{
	switch (source) {
	case KVMSB_HTTP_FROM_HANDLER:
		return "handler";
	case KVMSB_HTTP_FROM_ON_ERROR:
		return "on_error";
	case KVMSB_HTTP_FROM_HOST:
		return "host";
	default:
		return "server";
	}
}

void log_access(FILE *log, const struct request *request, const struct metrics_sample *sample)
{
	const char *program = request->program != NULL ? request->program->options->name : "-";
	char client[INET6_ADDRSTRLEN], date[64], method[64], url[4096], exception[512];

	if (log == NULL)
		return;
	format_client(request, client, sizeof(client));
	format_date(date, sizeof(date));
	escape(request->method != NULL ? request->method : "-", method, sizeof(method));
	escape(request->url, url, sizeof(url));
	escape(sample->exception != NULL ? sample->exception : "", exception, sizeof(exception));
	fprintf(log, "%s - - [%s] \"%s %s %s\" %d %" PRIu64 " %" PRIu64 "us %s %s \"%s\"\n", client,
	        date, method, url, request->version, sample->status, sample->bytes_out,
	        sample->total_ns / 1000, program, source_name(sample->source), exception);
}

/* One line, as one write: lines of several guests do not mix. */
static void log_line(const char *program, const char *text, size_t length)
{
	char line[1024];
	size_t used = (size_t)snprintf(line, sizeof(line) - 1, "%s: ", program);

	if (used > sizeof(line) / 2)
		used = sizeof(line) / 2;
	for (size_t i = 0; i < length && used < sizeof(line) - 1; i++) {
		const unsigned char character = (unsigned char)text[i];

		line[used++] = (character < ' ' && character != '\t') || character == 0x7f ? '?'
		                                                                           : text[i];
	}
	line[used++] = '\n';
	fwrite(line, 1, used, stderr);
}

void log_guest(const char *program, const char *text, size_t length)
{
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		const size_t line = end != NULL ? (size_t)(end - text) : length;
		const size_t step = end != NULL ? line + 1 : line;

		log_line(program, text, line);
		text += step;
		length -= step;
	}
}
