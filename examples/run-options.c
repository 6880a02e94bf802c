/* SPDX-License-Identifier: MIT */
/* The command line of kvmsb-run; see run-options.h. */
#include "run-options.h"

#include "run-time.h"
#include "units.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_TIMEOUT (UINT64_MAX / 4)
#define ARGUMENTS_MAXIMUM 6u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char help[] =
	"usage: kvmsb-run [OPTION]... [--] PROGRAM [ARG]...\n"
	"       kvmsb-run [OPTION]... --call SYMBOL [ARG]... -- PROGRAM [ARG]...\n"
	"\n"
	"Runs an unmodified Linux program in a KVM sandbox, with the standard streams of\n"
	"this process. The program sees no file, variable or network but what is allowed.\n"
	"\n"
	"  --memory SIZE         limit of the program's memory, and of a fork's own (bytes,\n"
	"                        or with K, M, G); default 256M, and 64M for a fork\n"
	"  --timeout DURATION    limit of main(), and of each call or request (seconds, or\n"
	"                        with ms, s, m); 0 is none, and the default for a program\n"
	"                        that only runs; with --call or --get 16s, and 8s for each\n"
	"  --tmpfs SIZE          a private /tmp in memory, empty at first; without it there is\n"
	"                        none\n"
	"  --allow-read PATH     the program may read this file, or all beneath this\n"
	"                        directory; may be repeated\n"
	"  --allow-write PATH    it may also write it: make, change, rename and remove what is\n"
	"                        beneath a directory; may be repeated\n"
	"  --map VIRTUAL=REAL    the program may read REAL under the name VIRTUAL, and write it\n"
	"                        with --allow-write VIRTUAL; may be repeated\n"
	"  --cwd PATH            its current directory, by the name that it has for the program;\n"
	"                        default: the one of this process\n"
	"  --no-default-paths    without this, a dynamic program may read /lib, /lib64,\n"
	"                        /usr/lib, /usr/lib64, /usr/local/lib and /etc/ld.so.cache\n"
	"  --env NAME=VALUE      a variable of its environment; NAME alone takes the value\n"
	"                        it has here; may be repeated\n"
	"  --trace               print its system calls on standard error; given twice, with\n"
	"                        the seconds that each took in the host\n"
	"  --trace-summary       print their sums at the end: time in the host, calls, those\n"
	"                        that failed, those that are not allowed\n"
	"  --fake-time TIME      its clocks begin at TIME (seconds since 1970, or as\n"
	"                        2026-01-31T12:00:00Z) and stand still, but for what it sleeps,\n"
	"                        which takes no time\n"
	"  --fake-step DURATION  and for this (ns, us, ms, s) that each look at them adds\n"
	"  --stats               print statistics on standard error at the end\n"
	"\n"
	"  --get URL             run main() until it waits for requests, freeze it, fork it,\n"
	"                        and print what a fork answers to GET URL\n"
	"  --header FIELD        with --get: a header field \"Name: value\" of the request;\n"
	"                        may be repeated\n"
	"  --argument TEXT       with --get: the second argument of the program's handler\n"
	"  --call SYMBOL [ARG]...\n"
	"                        the same, and call this function of a fork. Up to six ARGs,\n"
	"                        up to the next word that begins with \"--\": decimal or 0x\n"
	"                        numbers are passed as such, others as strings\n"
	"  --repeat N            reset the fork and do it again, N times in all\n"
	"  --entry KIND          how the guest enters the host, for tests: ring0, ring3 or\n"
	"                        exception\n"
	"  --help, --version\n"
	"\n"
	"With --get or --call the program's environment has what the guest API promises:\n"
	"KVM_NAME, KVM_GROUP, KVM_TYPE=request, KVM_STATE, KVM_DEBUG, unless --env sets it.\n"
	"PROGRAM is looked up in PATH when it has no slash.\n"
	"\n"
	"Exit status: that of the program; 128+N if its own signal N ended it; else\n"
	"  124  it ran out of time\n"
	"  125  the sandbox could not be made or run\n"
	"  126  it faulted, ran out of memory, did what is denied, or did not answer\n"
	"  127  there is no such program\n"
	"  2    the command line is wrong\n"
	"After --get or --call: 0 if all were answered or returned.\n";

enum long_option {
	OPTION_MEMORY = 256,
	OPTION_TIMEOUT,
	OPTION_TMPFS,
	OPTION_ALLOW_READ,
	OPTION_ALLOW_WRITE,
	OPTION_MAP,
	OPTION_CWD,
	OPTION_NO_DEFAULT_PATHS,
	OPTION_ENV,
	OPTION_FAKE_TIME,
	OPTION_FAKE_STEP,
	OPTION_TRACE,
	OPTION_TRACE_SUMMARY,
	OPTION_STATS,
	OPTION_GET,
	OPTION_HEADER,
	OPTION_ARGUMENT,
	OPTION_CALL,
	OPTION_REPEAT,
	OPTION_ENTRY,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"memory", required_argument, NULL, OPTION_MEMORY},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"tmpfs", required_argument, NULL, OPTION_TMPFS},
	{"allow-read", required_argument, NULL, OPTION_ALLOW_READ},
	{"allow-write", required_argument, NULL, OPTION_ALLOW_WRITE},
	{"map", required_argument, NULL, OPTION_MAP},
	{"cwd", required_argument, NULL, OPTION_CWD},
	{"no-default-paths", no_argument, NULL, OPTION_NO_DEFAULT_PATHS},
	{"env", required_argument, NULL, OPTION_ENV},
	{"fake-time", required_argument, NULL, OPTION_FAKE_TIME},
	{"fake-step", required_argument, NULL, OPTION_FAKE_STEP},
	{"trace", no_argument, NULL, OPTION_TRACE},
	{"trace-summary", no_argument, NULL, OPTION_TRACE_SUMMARY},
	{"stats", no_argument, NULL, OPTION_STATS},
	{"get", required_argument, NULL, OPTION_GET},
	{"header", required_argument, NULL, OPTION_HEADER},
	{"argument", required_argument, NULL, OPTION_ARGUMENT},
	{"call", required_argument, NULL, OPTION_CALL},
	{"repeat", required_argument, NULL, OPTION_REPEAT},
	{"entry", required_argument, NULL, OPTION_ENTRY},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

__attribute__((format(printf, 1, 2))) static int usage_error(const char *format, ...)
{
	va_list arguments;

	fputs("kvmsb-run: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\nTry 'kvmsb-run --help'.\n", stderr);
	return STATUS_USAGE;
}

static int out_of_memory(void)
{
	fputs("kvmsb-run: out of memory\n", stderr);
	return STATUS_HOST_FAILED;
}

static int parse_size(const char *option, const char *text, uint64_t *size)
{
	if (!units_size(text, size) || *size == 0)
		return usage_error("--%s %s: not a size", option, text);
	return -1;
}

static int parse_memory(struct run_options *options, const char *text)
{
	uint64_t size;
	int status = parse_size("memory", text, &size);

	if (status >= 0)
		return status;
	options->sandbox.memory_limit = size;
	options->sandbox.fork_memory_limit = size;
	return -1;
}

static int parse_timeout(struct run_options *options, const char *text)
{
	uint64_t time;

	if (!units_duration(text, &time) || time > NO_TIMEOUT)
		return usage_error("--timeout %s: not a duration", text);
	if (time == 0)
		time = NO_TIMEOUT;
	options->sandbox.run_timeout_ns = time;
	options->sandbox.call_timeout_ns = time;
	return -1;
}

static int parse_fake_time(struct run_options *options, const char *text)
{
	if (!run_time_parse(text, &options->sandbox.clock_start_ns))
		return usage_error("--fake-time %s: not a time from 1970 to 2262", text);
	options->sandbox.clock = KVMSB_CLOCK_MADE_UP;
	return -1;
}

static int parse_fake_step(struct run_options *options, const char *text)
{
	uint64_t *step = &options->sandbox.clock_step_ns;

	if (!units_exact_duration(text, step) || *step > 1000000000)
		return usage_error("--fake-step %s: not a duration up to 1s", text);
	return -1;
}

static int parse_repeat(struct run_options *options, const char *text)
{
	uint64_t count;

	if (!units_number(text, &count) || count == 0 || count > ULONG_MAX)
		return usage_error("--repeat %s: not a number above 0", text);
	options->repeat = (unsigned long)count;
	return -1;
}

static int parse_entry(struct run_options *options, const char *text)
{
	if (strcmp(text, "ring0") == 0)
		options->sandbox.entry = KVMSB_ENTRY_RING0;
	else if (strcmp(text, "ring3") == 0)
		options->sandbox.entry = KVMSB_ENTRY_RING3;
	else if (strcmp(text, "exception") == 0)
		options->sandbox.entry = KVMSB_ENTRY_EXCEPTION;
	else
		return usage_error("--entry %s: not ring0, ring3 or exception", text);
	return -1;
}

/* NULL: no memory. */
static char *make_absolute(const struct run_options *options, const char *path)
{
	char *absolute;

	if (path[0] == '/')
		return strdup(path);
	return asprintf(&absolute, "%s/%s", options->here, path) < 0 ? NULL : absolute;
}

/* The rule for a path, which options may name several times; takes the path over. */
static struct kvmsb_path_rule *find_rule(struct run_options *options, char *path)
{
	struct kvmsb_path_rule *rule = options->paths;

	for (size_t i = 0; i < options->sandbox.path_count; i++, rule++) {
		if (strcmp(rule->path, path) != 0)
			continue;
		free(path);
		return rule;
	}
	options->sandbox.path_count++;
	rule->path = path;
	return rule;
}

static int add_path(struct run_options *options, const char *path, uint32_t access)
{
	char *absolute = make_absolute(options, path);

	if (absolute == NULL)
		return out_of_memory();
	find_rule(options, absolute)->access |= access;
	return -1;
}

static int add_map(struct run_options *options, const char *text)
{
	const char *equals = strchr(text, '=');
	struct kvmsb_path_rule *rule;
	char *virtual, *target;

	if (equals == NULL || text[0] != '/' || equals[1] == '\0')
		return usage_error("--map %s: not an absolute path, \"=\" and a path", text);
	virtual = strndup(text, (size_t)(equals - text));
	target = virtual != NULL ? make_absolute(options, equals + 1) : NULL;
	if (target == NULL) {
		free(virtual);
		return out_of_memory();
	}
	rule = find_rule(options, virtual);
	free((void *)(uintptr_t)rule->target);
	rule->target = target;
	rule->access |= KVMSB_PATH_READ;
	return -1;
}

static int set_directory(struct run_options *options, const char *path)
{
	free(options->directory);
	options->directory = make_absolute(options, path);
	return options->directory != NULL ? -1 : out_of_memory();
}

/* "NAME=VALUE" of this process' own environment, or NULL. */
static const char *find_variable(const char *name)
{
	size_t length = strlen(name);

	for (char **variable = environ; *variable != NULL; variable++)
		if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=')
			return *variable;
	return NULL;
}

static int add_variable(struct run_options *options, const char *text)
{
	const char *variable = strchr(text, '=') != NULL ? text : find_variable(text);

	if (variable != NULL)
		options->environment[options->environment_count++] = variable;
	return -1;
}

static int add_field(struct run_options *options, const char *text)
{
	if (options->field_count == COUNT(options->fields))
		return usage_error("--header %s: too many", text);
	options->fields[options->field_count++] = (struct kvmsb_http_field){.text = text,
	                                                                    .length = strlen(text)};
	return -1;
}

/* What is behind --call SYMBOL, if there is an end to it, is for the function. */
static int take_call(struct run_options *options, int argc, char **argv)
{
	int end = optind;

	options->call = optarg;
	while (end < argc && strncmp(argv[end], "--", 2) != 0)
		end++;
	if (end == argc)
		return -1;
	options->call_arguments = argv + optind;
	options->call_argument_count = (size_t)(end - optind);
	optind = end;
	if (options->call_argument_count > ARGUMENTS_MAXIMUM)
		return usage_error("--call %s: more than %u arguments", options->call,
		                   ARGUMENTS_MAXIMUM);
	return -1;
}

static int print_and_exit(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : STATUS_HOST_FAILED;
}

static int print_version(void)
{
	printf("kvmsb-run %s\n", kvmsb_version());
	return print_and_exit("");
}

static int take_flag(struct run_options *options, int option)
{
	switch (option) {
	case OPTION_NO_DEFAULT_PATHS:
		options->default_paths = false;
		return -1;
	case OPTION_TRACE:
		options->trace++;
		return -1;
	case OPTION_TRACE_SUMMARY:
		options->trace_summary = true;
		return -1;
	case OPTION_STATS:
		options->statistics = true;
		return -1;
	case OPTION_HELP:
		return print_and_exit(help);
	case OPTION_VERSION:
		return print_version();
	default:
		/* getopt_long() has said what is wrong. */
		fputs("Try 'kvmsb-run --help'.\n", stderr);
		return STATUS_USAGE;
	}
}

static int take_option(struct run_options *options, int option, int argc, char **argv)
{
	switch (option) {
	case OPTION_MEMORY:
		return parse_memory(options, optarg);
	case OPTION_TIMEOUT:
		return parse_timeout(options, optarg);
	case OPTION_TMPFS:
		return parse_size("tmpfs", optarg, &options->sandbox.temporary_size);
	case OPTION_ALLOW_READ:
		return add_path(options, optarg, KVMSB_PATH_READ);
	case OPTION_ALLOW_WRITE:
		return add_path(options, optarg, KVMSB_PATH_READ | KVMSB_PATH_WRITE);
	case OPTION_MAP:
		return add_map(options, optarg);
	case OPTION_CWD:
		return set_directory(options, optarg);
	case OPTION_FAKE_TIME:
		return parse_fake_time(options, optarg);
	case OPTION_FAKE_STEP:
		return parse_fake_step(options, optarg);
	case OPTION_ENV:
		return add_variable(options, optarg);
	case OPTION_GET:
		options->get = optarg;
		return -1;
	case OPTION_HEADER:
		return add_field(options, optarg);
	case OPTION_ARGUMENT:
		options->argument = optarg;
		return -1;
	case OPTION_CALL:
		return take_call(options, argc, argv);
	case OPTION_REPEAT:
		return parse_repeat(options, optarg);
	case OPTION_ENTRY:
		return parse_entry(options, optarg);
	default:
		return take_flag(options, option);
	}
}

/* The first executable file of that name in PATH; NULL: none, or no memory. */
static char *look_up(const char *name)
{
	const char *path = getenv("PATH");
	char *found;

	if (path == NULL)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*path != '\0') {
		size_t length = strcspn(path, ":");

		if (asprintf(&found, "%.*s%s%s", (int)length, path, length > 0 ? "/" : "./", name) < 0)
			return NULL;
		if (access(found, X_OK) == 0)
			return found;
		free(found);
		path += length + (path[length] == ':');
	}
	return NULL;
}

static int find_program(struct run_options *options)
{
	options->program = strchr(options->name, '/') != NULL ? strdup(options->name)
	                                                      : look_up(options->name);
	if (options->program != NULL && access(options->program, F_OK) == 0)
		return -1;
	fprintf(stderr, "kvmsb-run: %s: %s\n", options->name,
	        options->program != NULL ? strerror(errno) : "not found in PATH");
	return STATUS_NOT_FOUND;
}

/* Whether the file has an interpreter; the library says what is wrong with one that is broken. */
static bool is_dynamic(const char *path)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	Elf64_Phdr segment;
	Elf64_Ehdr header;

	if (descriptor < 0)
		return false;
	if (pread(descriptor, &header, sizeof(header), 0) == sizeof(header) &&
	    header.e_phentsize == sizeof(segment))
		for (unsigned i = 0; i < header.e_phnum && !found; i++) {
			off_t offset = (off_t)(header.e_phoff + i * sizeof(segment));

			if (pread(descriptor, &segment, sizeof(segment), offset) != sizeof(segment))
				break;
			found = segment.p_type == PT_INTERP;
		}
	close(descriptor);
	return found;
}

/* What a dynamic program's loader reads. */
static const char *const default_paths[] = {"/lib",       "/lib64",         "/usr/lib",
                                            "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"};

/* What kvm_api.h asks the environment for. */
static const char *const default_variables[] = {"KVM_GROUP=test", "KVM_TYPE=request",
                                                "KVM_STATE=state", "KVM_DEBUG=0"};

static int add_default_paths(struct run_options *options)
{
	int status = -1;

	if (!options->default_paths || !is_dynamic(options->program))
		return -1;
	for (size_t i = 0; i < COUNT(default_paths) && status < 0; i++)
		if (access(default_paths[i], R_OK) == 0)
			status = add_path(options, default_paths[i], KVMSB_PATH_READ);
	return status;
}

static bool has_variable(const struct run_options *options, const char *variable)
{
	size_t length = strcspn(variable, "=") + 1;

	for (size_t i = 0; i < options->environment_count; i++)
		if (strncmp(options->environment[i], variable, length) == 0)
			return true;
	return false;
}

static int add_default_variables(struct run_options *options)
{
	const char *slash = strrchr(options->name, '/');

	if (options->get == NULL && options->call == NULL)
		return -1;
	if (asprintf(&options->name_variable, "KVM_NAME=%s",
	             slash != NULL ? slash + 1 : options->name) < 0) {
		options->name_variable = NULL;
		return out_of_memory();
	}
	if (!has_variable(options, options->name_variable))
		options->environment[options->environment_count++] = options->name_variable;
	for (size_t i = 0; i < COUNT(default_variables); i++)
		if (!has_variable(options, default_variables[i]))
			options->environment[options->environment_count++] = default_variables[i];
	return -1;
}

static void connect_streams(struct kvmsb_options *options)
{
	struct kvmsb_stream *const streams[] = {&options->standard_input, &options->standard_output,
	                                        &options->standard_error};

	for (int i = 0; i < (int)COUNT(streams); i++)
		*streams[i] = (struct kvmsb_stream){.use_descriptor = 1, .descriptor = i};
}

/* What is not the command line's to say. */
static int complete(struct run_options *options, char **words)
{
	struct kvmsb_options *sandbox = &options->sandbox;
	int status = find_program(options);

	if (status < 0)
		status = add_default_paths(options);
	if (status < 0)
		status = add_default_variables(options);
	if (options->get == NULL && options->call == NULL && sandbox->run_timeout_ns == 0)
		sandbox->run_timeout_ns = NO_TIMEOUT;
	sandbox->path = options->program;
	sandbox->arguments = (const char *const *)words;
	sandbox->environment = options->environment;
	sandbox->directory = options->directory;
	sandbox->paths = options->paths;
	connect_streams(sandbox);
	return status;
}

/* Lists are as long as the command line could need them. */
static int begin(struct run_options *options, int argc)
{
	const size_t words = (size_t)argc + 1;

	*options = (struct run_options){
		.sandbox = KVMSB_OPTIONS_INIT,
		.argument = "",
		.repeat = 1,
		.default_paths = true,
		.paths = calloc(words + COUNT(default_paths), sizeof(*options->paths)),
		.environment = calloc(words + 1 + COUNT(default_variables),
	                              sizeof(*options->environment)),
		.here = getcwd(NULL, 0),
	};
	if (options->paths == NULL || options->environment == NULL)
		return out_of_memory();
	if (options->here == NULL)
		options->here = strdup("/");
	return options->here != NULL ? set_directory(options, options->here) : out_of_memory();
}

int run_options_parse(struct run_options *options, int argc, char **argv)
{
	int status = begin(options, argc);
	int option;

	while (status < 0 && (option = getopt_long(argc, argv, "+", long_options, NULL)) != -1)
		status = take_option(options, option, argc, argv);
	if (status >= 0)
		return status;
	if (optind == argc)
		return usage_error("no program given");
	if (options->get != NULL && options->call != NULL)
		return usage_error("--get and --call at once");
	if (options->sandbox.clock_step_ns != 0 && options->sandbox.clock == KVMSB_CLOCK_HOST)
		return usage_error("--fake-step without --fake-time");
	options->name = argv[optind];
	return complete(options, argv + optind);
}

void run_options_free(struct run_options *options)
{
	for (size_t i = 0; options->paths != NULL && i < options->sandbox.path_count; i++) {
		free((void *)(uintptr_t)options->paths[i].path);
		free((void *)(uintptr_t)options->paths[i].target);
	}
	free(options->paths);
	free(options->environment);
	free(options->name_variable);
	free(options->directory);
	free(options->here);
	free(options->program);
}
