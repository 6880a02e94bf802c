/* SPDX-License-Identifier: MIT */
/* Options and file of a program; see program.h. */
#include "program.h"

#include "error.h"
#include "linux/override.h"
#include "linux/policy.h"
#include "sized.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEBIBYTE (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

#define PROGRAM_SIZE_MAXIMUM (UINT64_C(1) << 30)
#define MEMORY_LEAST MEBIBYTE
#define MEMORY_MOST (UINT64_C(1) << 40)
#define STACK_LEAST (64 * UINT64_C(1024))
#define STACK_MOST (256 * MEBIBYTE)
#define KEEP_SHARE 16
#define KEEP_LEAST (16 * PAGE_SIZE)
#define LEARNED_PAGES_MOST 4096
#define TEMPORARY_LEAST (64 * UINT64_C(1024))
#define MEMORY_FILES_DEFAULT (64 * MEBIBYTE)

static void set_default(uint64_t *value, uint64_t otherwise)
{
	if (*value == 0)
		*value = otherwise;
}

static void complete(struct kvmsb_options *options)
{
	set_default(&options->memory_limit, 256 * MEBIBYTE);
	set_default(&options->fork_memory_limit, 64 * MEBIBYTE);
	set_default(&options->fork_keep_limit,
	            max_u64(options->fork_memory_limit / KEEP_SHARE, KEEP_LEAST));
	set_default(&options->stack_size, 4 * MEBIBYTE);
	set_default(&options->total_fork_memory, 16384 * MEBIBYTE);
	set_default(&options->run_timeout_ns, 16 * SECOND);
	set_default(&options->call_timeout_ns, 8 * SECOND);
	if (options->timeout_signal == 0)
		options->timeout_signal = SIGURG;
	if (options->vcpu_limit == 0)
		options->vcpu_limit = 64;
	if (options->learned_pages_limit == 0)
		options->learned_pages_limit = 256;
	if (options->vcpu_queue_limit == 0)
		options->vcpu_queue_limit = 1024;
	if (options->directory == NULL)
		options->directory = "/";
}

/* How many; 0: learning is off. */
static uint32_t learned_pages(const struct kvmsb_options *options)
{
	return options->learned_pages_limit != KVMSB_NO_LEARNING ? options->learned_pages_limit : 0;
}

static int check_range(const char *name, uint64_t value, uint64_t least, uint64_t most,
                       struct kvmsb_error *error)
{
	if (value >= least && value <= most)
		return 0;
	return error_set(error, -EINVAL, "options.%s: %llu is not in %llu..%llu", name,
	                 (unsigned long long)value, (unsigned long long)least,
	                 (unsigned long long)most);
}

/* One that can be blocked, and that neither libc nor the processor sends. */
static bool signal_is_usable(int number)
{
	const int unusable[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t set;

	for (size_t i = 0; i < ARRAY_SIZE(unusable); i++)
		if (number == unusable[i])
			return false;
	sigemptyset(&set);
	return sigaddset(&set, number) == 0;
}

static int check(const struct kvmsb_options *options, struct kvmsb_error *error)
{
	const struct {
		const char *name;
		uint64_t value, least, most;
	} ranges[] = {
		{"memory_limit", options->memory_limit, MEMORY_LEAST, MEMORY_MOST},
		{"fork_memory_limit", options->fork_memory_limit, 64 * PAGE_SIZE, MEMORY_MOST},
		{"fork_keep_limit", options->fork_keep_limit, KEEP_LEAST, MEMORY_MOST},
		{"total_fork_memory", options->total_fork_memory, MEMORY_LEAST, MEMORY_MOST},
		{"stack_size", options->stack_size, STACK_LEAST, STACK_MOST},
		{"timeout_signal", (uint64_t)(int64_t)options->timeout_signal, 1, 64},
		{"vcpu_limit", options->vcpu_limit, 1, LAYOUT_VCPU_MAXIMUM},
		{"temporary_size", options->temporary_size,
	         options->temporary_size > 0 ? TEMPORARY_LEAST : 0, MEMORY_MOST},
		{"learned_pages_limit", learned_pages(options), 0, LEARNED_PAGES_MOST},
		{"clock", options->clock, KVMSB_CLOCK_HOST, KVMSB_CLOCK_MADE_UP},
		{"clock_start_ns", options->clock_start_ns, 0, INT64_MAX},
		{"clock_step_ns", options->clock_step_ns, 0, SECOND},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int result = check_range(ranges[i].name, ranges[i].value, ranges[i].least,
		                         ranges[i].most, error);

		if (result < 0)
			return result;
	}
	if (!signal_is_usable(options->timeout_signal))
		return error_set(error, -EINVAL,
		                 "options.timeout_signal: %d cannot be blocked or is libc's",
		                 options->timeout_signal);
	if (options->image == NULL && options->path == NULL)
		return error_set(error, -EINVAL, "options: neither path nor image is given");
	if (options->path_count > 0 && options->paths == NULL)
		return error_set(error, -EINVAL, "options.paths is NULL but path_count is %zu",
		                 options->path_count);
	if (options->directory[0] != '/')
		return error_set(error, -EINVAL, "options.directory: \"%s\" is not absolute",
		                 options->directory);
	return 0;
}

static int read_whole(int file, uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = read(file, bytes + done, size - done);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count < 0 ? -errno : -EIO;
		done += (size_t)count;
	}
	return 0;
}

static int read_opened(struct program *program, int file, struct kvmsb_error *error)
{
	const char *path = program->options.path;
	struct stat status;
	int result;

	if (fstat(file, &status) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(error, -ENOEXEC, "%s: not a regular file", path);
	if (status.st_size <= 0 || (uint64_t)status.st_size > PROGRAM_SIZE_MAXIMUM)
		return error_set(error, -ENOEXEC, "%s: %lld bytes is no size for a program", path,
		                 (long long)status.st_size);
	program->executable.size = (size_t)status.st_size;
	program->bytes = malloc(program->executable.size);
	if (program->bytes == NULL)
		return error_set(error, -ENOMEM, "%s: out of memory", path);
	result = read_whole(file, program->bytes, program->executable.size);
	return result < 0 ? error_set(error, result, "%s: %s", path, strerror(-result)) : 0;
}

static int read_file(struct program *program, struct kvmsb_error *error)
{
	/* O_NONBLOCK: a FIFO is refused, not waited for. */
	int file = open(program->options.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int result;

	if (file < 0)
		return error_set(error, -errno, "%s: %s", program->options.path, strerror(errno));
	result = read_opened(program, file, error);
	close(file);
	return result;
}

static int copy_image(struct program *program, struct kvmsb_error *error)
{
	if (program->options.image_size == 0 || program->options.image_size > PROGRAM_SIZE_MAXIMUM)
		return error_set(error, -ENOEXEC,
		                 "options.image_size: %zu bytes is no size for a program",
		                 program->options.image_size);
	program->bytes = malloc(program->options.image_size);
	if (program->bytes == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	memcpy(program->bytes, program->options.image, program->options.image_size);
	program->executable.size = program->options.image_size;
	return 0;
}

static int copy_policy(struct kvmsb_policy *own, const struct kvmsb_policy *theirs,
                       struct kvmsb_error *error)
{
	int result = theirs == NULL
	                     ? 0
	                     : sized_copy_in(own, sizeof(*own),
	                                     SIZE_THROUGH(struct kvmsb_policy, environment), theirs);

	if (result == 0)
		return 0;
	return error_set_size(error, result, "options.policy");
}

/* Files of memfd_create(2) need no /tmp. */
static uint64_t memory_file_limit(const struct kvmsb_options *options)
{
	if (options->temporary_size > 0)
		return options->temporary_size;
	return min_u64(MEMORY_FILES_DEFAULT, options->fork_memory_limit);
}

static int configure(struct program *program, struct kvmsb_error *error)
{
	const struct kvmsb_options *options = &program->options;
	struct process_config *config = &program->config;
	int result = policy_create(&config->policy, options->paths, options->path_count, error);

	if (result == 0)
		result = override_list_create(&config->overrides, options->overrides,
		                              options->override_count, error);
	if (result < 0)
		return result;
	result = copy_policy(&config->ask, options->policy, error);
	if (result < 0)
		return result;
	result = http_config_init(&program->http, options, error);
	if (result < 0)
		return result;
	config->file_size_limit = options->file_size_limit;
	config->temporary_size = options->temporary_size;
	config->memory_file_limit = memory_file_limit(options);
	config->streams[0] = options->standard_input;
	config->streams[1] = options->standard_output;
	config->streams[2] = options->standard_error;
	config->trace = options->trace;
	config->trace_user = options->trace_user;
	config->stack_size = options->stack_size;
	config->memory_limit = options->memory_limit;
	config->clock = options->clock;
	config->clock_start = options->clock_start_ns;
	config->clock_step = options->clock_step_ns;
	config->directory = strdup(options->directory);
	config->program = strdup(options->path != NULL ? options->path : "program");
	if (config->directory == NULL || config->program == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	return 0;
}

static int build(struct program *program, struct kvmsb_error *error)
{
	int result;

	complete(&program->options);
	result = check(&program->options, error);
	if (result == 0)
		result = program->options.image != NULL ? copy_image(program, error)
		                                        : read_file(program, error);
	if (result == 0)
		result = configure(program, error);
	program->executable.bytes = program->bytes;
	return result;
}

int program_create(struct program **out, const struct kvmsb_options *options,
                   struct kvmsb_error *error)
{
	struct program *program = calloc(1, sizeof(*program));
	int result;

	if (program == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	/* With default attributes it does not fail on Linux. */
	pthread_mutex_init(&program->random_lock, NULL);
	result = sized_copy_in(&program->options, sizeof(program->options),
	                       SIZE_THROUGH(struct kvmsb_options, vcpu_queue_limit), options);
	if (result < 0)
		error_set_size(error, result, "options");
	else
		result = build(program, error);
	if (result < 0) {
		program_destroy(program);
		return result;
	}
	*out = program;
	return 0;
}

void program_destroy(struct program *program)
{
	if (program == NULL)
		return;
	policy_destroy(program->config.policy);
	override_list_destroy(program->config.overrides);
	free(program->config.directory);
	free(program->config.program);
	free(program->bytes);
	pthread_mutex_destroy(&program->random_lock);
	free(program);
}

/* The lock is held. */
static int take_random(struct program *program, uint64_t numbers[2])
{
	if (program->random_left == 0) {
		/* Up to 256 bytes come whole, or not at all (getrandom(2)). */
		const size_t size = 256;

		if (getrandom(program->random, size, 0) < 0)
			return -errno;
		program->random_left = (unsigned)(size / sizeof(program->random[0]));
	}
	program->random_left -= 2;
	memcpy(numbers, &program->random[program->random_left], 2 * sizeof(numbers[0]));
	return 0;
}

int program_random(struct program *program, uint64_t numbers[2])
{
	int result;

	pthread_mutex_lock(&program->random_lock);
	result = take_random(program, numbers);
	pthread_mutex_unlock(&program->random_lock);
	return result;
}

struct machine_limits program_machine_limits(const struct program *program)
{
	const struct kvmsb_options *options = &program->options;
	uint64_t kernel = 4 * MEBIBYTE;

	return (struct machine_limits){
		.data_bytes = options->memory_limit + options->total_fork_memory + kernel,
		.table_bytes = options->memory_limit + options->total_fork_memory + kernel,
		.vcpu_limit = options->vcpu_limit,
		.learned_pages = learned_pages(options),
		.vcpu_queue_limit = options->vcpu_queue_limit,
		.timeout_signal = options->timeout_signal,
		.entry = options->entry,
		.clock_by_system_calls = options->clock != KVMSB_CLOCK_HOST,
	};
}
