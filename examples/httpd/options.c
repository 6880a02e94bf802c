/* SPDX-License-Identifier: MIT */
/* The command line of kvmsb-httpd; see options.h. */
#include "options.h"

#include "fetch.h"
#include "../units.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char help[] =
	"usage: kvmsb-httpd [OPTION]... --program ROUTE=FILE [OPTION]...\n"
	"\n"
	"An HTTP/1.1 server whose requests are answered by programs in KVM sandboxes: each\n"
	"program runs to where it waits for requests, is frozen and forked, and a fork is\n"
	"reset after each request that it answers.\n"
	"\n"
	"The server:\n"
	"  --listen ADDRESS:PORT    default 127.0.0.1:8080; port 0: any; may be repeated. Once it\n"
	"                           can be used, \"listening on http://ADDRESS:PORT/\" is printed\n"
	"  --threads N              for input and output, at each address; default 2\n"
	"  --access-log FILE        \"-\" is standard output; default: none\n"
	"  --idle-timeout DURATION  of a connection on which nothing moves; default 30s\n"
	"  --send-timeout DURATION  for a response or a body that a fork waits for, and as much\n"
	"                           again for each MiB of it; default 10s\n"
	"  --queue-timeout DURATION for a request that waits for a fork; default 60s\n"
	"  --stop-timeout DURATION  to end what runs, after SIGTERM or SIGINT; default 10s\n"
	"  --status-prefix PATH     /metrics, /status and /status.json, which are served where no\n"
	"                           program is, are beneath PATH instead, before all programs\n"
	"  --no-status              nowhere\n"
	"  --help, --version\n"
	"\n"
	"  --program ROUTE=FILE     an ELF file, and what it answers: /PATH with all beneath it,\n"
	"                           host:NAME, or host:NAME/PATH; may be repeated. The route\n"
	"                           that says most counts, names of hosts first\n"
	"\n"
	"A program; before the first --program these are for all of them, behind it for that\n"
	"one alone:\n"
	"  --name NAME              default: the file's\n"
	"  --arg TEXT               a word of its command line; may be repeated\n"
	"  --env NAME=VALUE         may be repeated\n"
	"  --argument TEXT          the second argument of its handlers\n"
	"  --cwd PATH               its current directory; default /\n"
	"  --allow-read PATH        it may read this file, or all beneath this directory; may be\n"
	"  --allow-write PATH       repeated. It may also write it; may be repeated\n"
	"  --tmpfs SIZE             a private /tmp in memory\n"
	"  --allow-fetch HOST       it may make requests to this host: a name, *.NAME for all "
	"below\n"
	"                           it, an address, or * for any, with :PORT or :* behind it "
	"where\n"
	"                           that is not the scheme's; may be repeated\n"
	"  --allow-self             and to this server: urls that begin with /\n"
	"  --memory SIZE            limit of the program; default 256M\n"
	"  --fork-memory SIZE       and of what each fork changes; default 64M\n"
	"  --boot-timeout DURATION  limit of main(); default 16s\n"
	"  --timeout DURATION       limit of each request; default 8s\n"
	"  --concurrency N          forks, which is requests at once; default 2\n"
	"  --queue N                requests that may wait for a fork; default 1024\n"
	"  --max-body SIZE          of a request; default 16M\n"
	"  --warm-up N              requests before it is frozen; default 0\n"
	"  --warm-up-url URL        default /\n"
	"  --keep                   do not reset forks: what one request leaves, others see\n"
	"  --control-ephemeral      the program may ask for that itself\n"
	"\n"
	"SIZE: bytes, or with K, M, G. DURATION: seconds, or with ms, s, m.\n";

__attribute__((format(printf, 1, 2))) static int usage_error(const char *format, ...)
{
	va_list arguments;

	fputs("kvmsb-httpd: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\nTry 'kvmsb-httpd --help'.\n", stderr);
	return STATUS_USAGE;
}

static int out_of_memory(void)
{
	fputs("kvmsb-httpd: out of memory\n", stderr);
	return EXIT_FAILURE;
}

/* ---- Lists ---- */

static int texts_add(struct texts *texts, const char *text)
{
	const char **larger = realloc(texts->text, (texts->count + 2) * sizeof(*larger));

	if (larger == NULL)
		return out_of_memory();
	texts->text = larger;
	larger[texts->count++] = text;
	larger[texts->count] = NULL;
	return -1;
}

static int texts_copy(struct texts *copy, const struct texts *texts)
{
	*copy = (struct texts){0};
	for (size_t i = 0; i < texts->count; i++)
		if (texts_add(copy, texts->text[i]) >= 0)
			return EXIT_FAILURE;
	return -1;
}

/* Takes over what malloc() made; NULL is what it makes of no memory. */
static int own(struct httpd_options *options, char *text)
{
	int status = text != NULL ? texts_add(&options->owned, text) : out_of_memory();

	if (status >= 0)
		free(text);
	return status;
}

/* ---- Options ---- */

/* That of an option is what it is about: the last program, or the defaults. */
static struct program_options *current(struct httpd_options *options)
{
	return options->program_count > 0 ? &options->programs[options->program_count - 1]
	                                  : &options->defaults;
}

static int copy_defaults(struct program_options *program, const struct program_options *defaults)
{
	const size_t size = defaults->path_count * sizeof(*defaults->paths);

	*program = *defaults;
	program->paths = malloc(size + 1);
	program->arguments = program->environment = program->fetch_hosts = (struct texts){0};
	if (program->paths == NULL)
		return out_of_memory();
	if (size > 0)
		memcpy(program->paths, defaults->paths, size);
	if (texts_copy(&program->arguments, &defaults->arguments) >= 0)
		return EXIT_FAILURE;
	if (texts_copy(&program->fetch_hosts, &defaults->fetch_hosts) >= 0)
		return EXIT_FAILURE;
	return texts_copy(&program->environment, &defaults->environment);
}

static int take_program(struct httpd_options *options, const char *value)
{
	const char *equals = strchr(value, '=');
	struct program_options *larger, *program;
	int status;

	if (equals == NULL || equals[1] == '\0' ||
	    (value[0] != '/' &&
	     (strncmp(value, "host:", 5) != 0 || value[5] == '/' || equals == value + 5)))
		return usage_error("--program %s: not /PATH=FILE or host:NAME=FILE", value);
	larger = realloc(options->programs, (options->program_count + 1) * sizeof(*larger));
	if (larger == NULL)
		return out_of_memory();
	options->programs = larger;
	program = &larger[options->program_count++];
	status = copy_defaults(program, &options->defaults);
	if (status >= 0)
		return status;
	program->route = strndup(value, (size_t)(equals - value));
	program->file = equals + 1;
	return own(options, (char *)(uintptr_t)program->route);
}

static int add_path(struct httpd_options *options, const char *path, uint32_t access)
{
	struct program_options *program = current(options);
	struct kvmsb_path_rule *larger;
	char *absolute = NULL;
	int status;

	if (path[0] != '/' && asprintf(&absolute, "%s/%s", options->here, path) < 0)
		absolute = NULL;
	status = own(options, path[0] == '/' ? strdup(path) : absolute);
	if (status >= 0)
		return status;
	larger = realloc(program->paths, (program->path_count + 1) * sizeof(*larger));
	if (larger == NULL)
		return out_of_memory();
	program->paths = larger;
	larger[program->path_count++] = (struct kvmsb_path_rule){
		.path = options->owned.text[options->owned.count - 1],
		.access = access,
	};
	return -1;
}

static int take_allow_read(struct httpd_options *options, const char *value)
{
	return add_path(options, value, KVMSB_PATH_READ);
}

static int take_allow_write(struct httpd_options *options, const char *value)
{
	return add_path(options, value, KVMSB_PATH_READ | KVMSB_PATH_WRITE);
}

static int take_env(struct httpd_options *options, const char *value)
{
	if (value[0] == '=' || strchr(value, '=') == NULL)
		return usage_error("--env %s: not NAME=VALUE", value);
	return texts_add(&current(options)->environment, value);
}

static int take_arg(struct httpd_options *options, const char *value)
{
	return texts_add(&current(options)->arguments, value);
}

static int take_allow_fetch(struct httpd_options *options, const char *value)
{
	struct fetch_rules rules = {0};
	int error = fetch_rules_add(&rules, value);

	fetch_rules_clear(&rules);
	if (error == -EINVAL)
		return usage_error("--allow-fetch %s: not HOST[:PORT]", value);
	return error < 0 ? out_of_memory() : texts_add(&current(options)->fetch_hosts, value);
}

static int take_listen(struct httpd_options *options, const char *value)
{
	return texts_add(&options->listen, value);
}

static int take_help(struct httpd_options *options, const char *value)
{
	(void)options, (void)value;
	fputs(help, stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int take_version(struct httpd_options *options, const char *value)
{
	(void)options, (void)value;
	printf("kvmsb-httpd %s\n", kvmsb_version());
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- The table ---- */

enum option_kind {
	OF_FUNCTION, /* `take` does it */
	OF_ACTION,   /* the same, without a value */
	OF_TEXT,
	OF_FLAG,
	OF_SIZE,
	OF_DURATION,
	OF_NUMBER,
};

static const struct row {
	const char *name;
	enum option_kind kind;
	bool is_program; /* `offset` is in struct program_options */
	size_t offset;
	uint64_t minimum, maximum;
	int (*take)(struct httpd_options *options, const char *value);
} rows[] = {
#define SERVER(field) false, offsetof(struct httpd_options, field)
#define PROGRAM(field) true, offsetof(struct program_options, field)
#define ANY_DURATION 1, UINT64_MAX / 4
#define ANY_SIZE 1, UINT64_MAX
	{"listen", OF_FUNCTION, .take = take_listen},
	{"threads", OF_NUMBER, SERVER(threads), 1, 64, NULL},
	{"access-log", OF_TEXT, SERVER(access_log), 0, 0, NULL},
	{"idle-timeout", OF_DURATION, SERVER(idle_timeout), SECOND, 86400 * SECOND, NULL},
	{"send-timeout", OF_DURATION, SERVER(send_timeout), ANY_DURATION, NULL},
	{"queue-timeout", OF_DURATION, SERVER(queue_timeout), ANY_DURATION, NULL},
	{"stop-timeout", OF_DURATION, SERVER(stop_timeout), ANY_DURATION, NULL},
	{"status-prefix", OF_TEXT, SERVER(status_prefix), 0, 0, NULL},
	{"no-status", OF_FLAG, SERVER(no_status), 0, 0, NULL},
	{"native", OF_TEXT, SERVER(native), 0, 0, NULL},
	{"program", OF_FUNCTION, .take = take_program},
	{"name", OF_TEXT, PROGRAM(name), 0, 0, NULL},
	{"arg", OF_FUNCTION, .take = take_arg},
	{"env", OF_FUNCTION, .take = take_env},
	{"argument", OF_TEXT, PROGRAM(argument), 0, 0, NULL},
	{"cwd", OF_TEXT, PROGRAM(directory), 0, 0, NULL},
	{"allow-read", OF_FUNCTION, .take = take_allow_read},
	{"allow-write", OF_FUNCTION, .take = take_allow_write},
	{"tmpfs", OF_SIZE, PROGRAM(temporary), ANY_SIZE, NULL},
	{"allow-fetch", OF_FUNCTION, .take = take_allow_fetch},
	{"allow-self", OF_FLAG, PROGRAM(may_fetch_self), 0, 0, NULL},
	{"memory", OF_SIZE, PROGRAM(memory), ANY_SIZE, NULL},
	{"fork-memory", OF_SIZE, PROGRAM(fork_memory), ANY_SIZE, NULL},
	{"boot-timeout", OF_DURATION, PROGRAM(boot_timeout), ANY_DURATION, NULL},
	{"timeout", OF_DURATION, PROGRAM(timeout), ANY_DURATION, NULL},
	{"concurrency", OF_NUMBER, PROGRAM(concurrency), 1, 128, NULL},
	{"queue", OF_NUMBER, PROGRAM(queue_limit), 0, UINT32_MAX, NULL},
	{"max-body", OF_SIZE, PROGRAM(body_limit), 0, UINT64_C(1) << 40, NULL},
	{"warm-up", OF_NUMBER, PROGRAM(warm_up), 0, 1000000, NULL},
	{"warm-up-url", OF_TEXT, PROGRAM(warm_up_url), 0, 0, NULL},
	{"keep", OF_FLAG, PROGRAM(keeps_state), 0, 0, NULL},
	{"control-ephemeral", OF_FLAG, PROGRAM(control_ephemeral), 0, 0, NULL},
	{"help", OF_ACTION, .take = take_help},
	{"version", OF_ACTION, .take = take_version},
};

static int take_quantity(const struct row *row, const char *value, uint64_t *quantity)
{
	const bool is_sound = row->kind == OF_SIZE       ? units_size(value, quantity)
	                      : row->kind == OF_DURATION ? units_duration(value, quantity)
	                                                 : units_number(value, quantity);

	if (is_sound && *quantity >= row->minimum && *quantity <= row->maximum)
		return -1;
	return usage_error("--%s %s: %s", row->name, value,
	                   row->kind == OF_SIZE       ? "not a size"
	                   : row->kind == OF_DURATION ? "not a duration"
	                                              : "not a number in its range");
}

static int take_option(struct httpd_options *options, const struct row *row, const char *value)
{
	char *base = row->is_program ? (char *)current(options) : (char *)options;
	void *field = base + row->offset;

	switch (row->kind) {
	case OF_TEXT:
		*(const char **)field = value;
		return -1;
	case OF_FLAG:
		*(bool *)field = true;
		return -1;
	case OF_FUNCTION:
	case OF_ACTION:
		return row->take(options, value);
	default:
		return take_quantity(row, value, field);
	}
}

static void begin(struct httpd_options *options)
{
	*options = (struct httpd_options){
		.threads = 2,
		.idle_timeout = 30 * SECOND,
		.send_timeout = 10 * SECOND,
		.queue_timeout = 60 * SECOND,
		.stop_timeout = 10 * SECOND,
		.defaults =
			{
				.argument = "",
				.concurrency = 2,
				.queue_limit = 1024,
				.body_limit = 16 << 20,
				.warm_up_url = "/",
			},
		.here = getcwd(NULL, 0),
	};
}

/* ---- What only the whole command line says ---- */

/* The program of that name, but for one of them; NULL: there is none. */
static const struct program_options *find_name(const struct httpd_options *options,
                                               const char *name, const struct program_options *but)
{
	for (size_t i = 0; i < options->program_count; i++) {
		const struct program_options *program = &options->programs[i];

		if (program != but && program->name != NULL && strcmp(program->name, name) == 0)
			return program;
	}
	return NULL;
}

/* The file's, with a number behind it if another has that: figures are told apart by it. */
static int set_name(struct httpd_options *options, struct program_options *program)
{
	const char *slash = strrchr(program->file, '/');
	const char *base = slash != NULL ? slash + 1 : program->file;
	const char *name = base;
	char *numbered = NULL;

	for (unsigned i = 2; find_name(options, name, program) != NULL; i++) {
		free(numbered);
		if (asprintf(&numbered, "%s-%u", base, i) < 0)
			return out_of_memory();
		name = numbered;
	}
	program->name = name;
	return numbered != NULL ? own(options, numbered) : -1;
}

static int check_programs(const struct httpd_options *options)
{
	for (size_t i = 0; i < options->program_count; i++) {
		const struct program_options *program = &options->programs[i];

		if (program->name != NULL && find_name(options, program->name, program) != NULL)
			return usage_error("--name %s: two programs have it", program->name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(program->route, options->programs[j].route) == 0)
				return usage_error("--program %s=%s: there is one at %s already",
				                   program->route, program->file, program->route);
	}
	return -1;
}

static int complete(struct httpd_options *options, int argc, char **argv)
{
	int status;

	if (optind < argc)
		return usage_error("%s: a program is given with --program ROUTE=FILE", argv[optind]);
	if (options->program_count == 0 && options->native == NULL)
		return usage_error("no --program given");
	status = check_programs(options);
	for (size_t i = 0; i < options->program_count && status < 0; i++)
		if (options->programs[i].name == NULL)
			status = set_name(options, &options->programs[i]);
	if (status >= 0 || options->listen.count > 0)
		return status;
	return texts_add(&options->listen, "127.0.0.1:8080");
}

int options_parse(struct httpd_options *options, int argc, char **argv)
{
	struct option long_options[COUNT(rows) + 1] = {{0}};
	int status = -1, option, index;

	begin(options);
	if (options->here == NULL)
		return out_of_memory();
	for (size_t i = 0; i < COUNT(rows); i++) {
		long_options[i].name = rows[i].name;
		long_options[i].has_arg = rows[i].kind == OF_FLAG || rows[i].kind == OF_ACTION
		                                  ? no_argument
		                                  : required_argument;
	}
	while (status < 0 && (option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (option != 0) {
			/* getopt_long() has said what is wrong. */
			fputs("Try 'kvmsb-httpd --help'.\n", stderr);
			return STATUS_USAGE;
		}
		status = take_option(options, &rows[index], optarg);
	}
	return status >= 0 ? status : complete(options, argc, argv);
}

static void program_options_free(struct program_options *program)
{
	free(program->arguments.text);
	free(program->environment.text);
	free(program->fetch_hosts.text);
	free(program->paths);
}

void options_free(struct httpd_options *options)
{
	for (size_t i = 0; i < options->program_count; i++)
		program_options_free(&options->programs[i]);
	program_options_free(&options->defaults);
	free(options->programs);
	for (size_t i = 0; i < options->owned.count; i++)
		free((void *)(uintptr_t)options->owned.text[i]);
	free(options->owned.text);
	free(options->listen.text);
	free(options->here);
}
