/* SPDX-License-Identifier: MIT */
/*
 * kvmsb-run: runs a Linux program in a sandbox from the command line, and
 * calls or requests forks of it. See kvmsb-run --help.
 */
#include "run-options.h"
#include "run-trace.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- What went wrong ---- */

static int host_failed(const struct run_options *options, const struct kvmsb *sandbox,
                       const char *what, int error)
{
	const char *detail = sandbox != NULL ? kvmsb_detail(sandbox) : "";

	fprintf(stderr, "kvmsb-run: %s: %s: %s\n", options->name, what,
	        detail[0] != '\0' ? detail : strerror(-error));
	return STATUS_HOST_FAILED;
}

static void print_outcome(const struct run_options *options, const struct kvmsb *sandbox,
                          const struct kvmsb_result *result)
{
	const char *detail = kvmsb_detail(sandbox);
	char text[512];

	kvmsb_describe(sandbox, result, text, sizeof(text));
	fprintf(stderr, "kvmsb-run: %s: %s%s%s\n", options->name, text,
	        detail[0] != '\0' ? ": " : "", detail);
}

/* The exit status for what the program did; says so when it is not plain. */
static int status_of(const struct run_options *options, const struct kvmsb *sandbox,
                     const struct kvmsb_result *result)
{
	switch (result->outcome) {
	case KVMSB_OUTCOME_EXITED:
		if (result->exit_signal == 0)
			return result->exit_status;
		print_outcome(options, sandbox, result);
		return STATUS_SIGNAL + result->exit_signal;
	case KVMSB_OUTCOME_TIMED_OUT:
		print_outcome(options, sandbox, result);
		return STATUS_TIMED_OUT;
	case KVMSB_OUTCOME_INTERNAL:
		print_outcome(options, sandbox, result);
		return STATUS_HOST_FAILED;
	default:
		print_outcome(options, sandbox, result);
		return STATUS_GUEST_FAILED;
	}
}

/* The same for a call or request without an answer: that it returned or exited is a failure, too. */
static int unanswered(const struct run_options *options, const struct kvmsb *fork,
                      const struct kvmsb_result *result)
{
	if (result->outcome == KVMSB_OUTCOME_RETURNED)
		fprintf(stderr, "kvmsb-run: %s: no response: the handler returned\n", options->name);
	else if (result->outcome == KVMSB_OUTCOME_EXITED && result->exit_signal == 0)
		fprintf(stderr, "kvmsb-run: %s: no response: exited with status %d\n",
		        options->name, result->exit_status);
	else
		return status_of(options, fork, result);
	return STATUS_GUEST_FAILED;
}

/* ---- Requests ---- */

static bool begins_with(const struct kvmsb_http_field *field, const char *name)
{
	return field->length >= strlen(name) && strncasecmp(field->text, name, strlen(name)) == 0;
}

/* As an HTTP/1.1 response's, with plain line ends. */
static void print_head(const struct kvmsb_http_response *response)
{
	printf("HTTP/1.1 %d\n", response->status);
	if (response->content_type[0] != '\0')
		printf("Content-Type: %s\n", response->content_type);
	for (size_t i = 0; i < response->field_count; i++)
		if (!begins_with(&response->fields[i], "Content-Length:"))
			printf("%.*s\n", (int)response->fields[i].length, response->fields[i].text);
	printf("Content-Length: %" PRIu64 "\n\n", response->body_length);
}

/* `last` becomes the last byte, if there is any. */
static void print_pieces(const struct kvmsb_http_response *response, char *last)
{
	for (size_t i = 0; i < response->body_count; i++) {
		const struct iovec *piece = &response->body[i];

		fwrite(piece->iov_base, 1, piece->iov_len, stdout);
		*last = ((const char *)piece->iov_base)[piece->iov_len - 1];
	}
}

/* The same for a body that the guest makes meanwhile. Returns 0 or -errno. */
static int print_stream(struct kvmsb *fork, char *last)
{
	char bytes[16 << 10];
	int64_t length;

	while ((length = kvmsb_response_read(fork, bytes, sizeof(bytes))) > 0) {
		fwrite(bytes, 1, (size_t)length, stdout);
		*last = bytes[length - 1];
	}
	return (int)length;
}

/* The body's last line is ended where the guest has not done so. */
static int print_response(const struct run_options *options, struct kvmsb *fork,
                          const struct kvmsb_http_response *response)
{
	char last = '\n';
	int error = 0;

	print_head(response);
	if (response->is_streamed)
		error = print_stream(fork, &last);
	else
		print_pieces(response, &last);
	if (last != '\n')
		putchar('\n');
	if (error == 0)
		return EXIT_SUCCESS;
	host_failed(options, fork, "the response broke off", error);
	return error == -EPROTO ? STATUS_GUEST_FAILED : STATUS_HOST_FAILED;
}

static int request(const struct run_options *options, struct kvmsb *fork)
{
	struct kvmsb_http_request request = KVMSB_HTTP_REQUEST_INIT;
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int error;

	request.url = options->get;
	request.argument = options->argument;
	request.fields = options->fields;
	request.field_count = options->field_count;
	error = kvmsb_request(fork, &request, &response, &result);
	if (error < 0)
		return host_failed(options, fork, "request", error);
	if (response.source == KVMSB_HTTP_FROM_HOST)
		return unanswered(options, fork, &result);
	return print_response(options, fork, &response);
}

/* ---- Calls ---- */

/* Decimal or 0x, with or without a sign. */
static bool parse_number(const char *text, uint64_t *value)
{
	const bool negative = text[0] == '-';
	const char *digits = text + negative;
	const bool is_hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	char *end;

	if (!isdigit((unsigned char)digits[0]))
		return false;
	errno = 0;
	*value = strtoull(digits, &end, is_hexadecimal ? 16 : 10);
	if (errno != 0 || *end != '\0')
		return false;
	if (negative)
		*value = -*value;
	return true;
}

static void set_arguments(const struct run_options *options, struct kvmsb_call *call)
{
	call->argument_count = options->call_argument_count;
	for (size_t i = 0; i < call->argument_count; i++) {
		struct kvmsb_argument *argument = &call->arguments[i];

		if (parse_number(options->call_arguments[i], &argument->value))
			continue;
		argument->kind = KVMSB_ARGUMENT_STRING;
		argument->input = options->call_arguments[i];
	}
}

static void print_call(const struct kvmsb_call *call, char *const *words, uint64_t value)
{
	printf("%s(", call->symbol);
	for (size_t i = 0; i < call->argument_count; i++) {
		const char *quote = call->arguments[i].kind == KVMSB_ARGUMENT_STRING ? "\"" : "";

		printf("%s%s%s%s", i > 0 ? ", " : "", quote, words[i], quote);
	}
	printf(") = %lld (%#llx)\n", (long long)value, (unsigned long long)value);
}

static int call(const struct run_options *options, struct kvmsb *fork)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int error;

	call.symbol = options->call;
	set_arguments(options, &call);
	error = kvmsb_vmcall(fork, &call, &result);
	if (error < 0)
		return host_failed(options, fork, "call", error);
	if (result.outcome != KVMSB_OUTCOME_RETURNED)
		return unanswered(options, fork, &result);
	print_call(&call, options->call_arguments, result.value);
	return EXIT_SUCCESS;
}

/* ---- Statistics ---- */

#define ROW(field)                                                                                 \
	{                                                                                          \
		offsetof(struct kvmsb_statistics, field), #field                                   \
	}

static const struct {
	size_t offset;
	const char *name;
} figures[] = {
	ROW(calls),
	ROW(resets),
	ROW(kvm_runs),
	ROW(system_calls),
	ROW(hypercalls),
	ROW(page_faults),
	ROW(exceptions),
	ROW(time_limits),
	ROW(interruptions),
	ROW(stray_accesses),
	ROW(failures),
	ROW(cleaning_runs),
	ROW(guest_ns),
	ROW(outcome_returned),
	ROW(outcome_hypercall),
	ROW(outcome_ready),
	ROW(outcome_exited),
	ROW(outcome_faulted),
	ROW(outcome_timed_out),
	ROW(outcome_out_of_memory),
	ROW(outcome_denied),
	ROW(outcome_internal),
	ROW(outcome_other),
	ROW(calls_failed),
	ROW(pages_private),
	ROW(pages_copied),
	ROW(pages_restored),
	ROW(pages_held),
	ROW(file_memory),
	ROW(machine_forks),
	ROW(machine_forks_idle),
	ROW(machine_vcpus),
	ROW(machine_memory),
	ROW(machine_kernel_memory),
	ROW(machine_learned_pages),
	ROW(machine_forks_made),
	ROW(machine_vcpu_waits),
	ROW(machine_vcpu_refusals),
	ROW(machine_calls),
	ROW(machine_resets),
	ROW(machine_kvm_runs),
	ROW(machine_system_calls),
	ROW(machine_hypercalls),
	ROW(machine_page_faults),
	ROW(machine_exceptions),
	ROW(machine_time_limits),
	ROW(machine_interruptions),
	ROW(machine_stray_accesses),
	ROW(machine_failures),
	ROW(machine_cleaning_runs),
	ROW(machine_guest_ns),
	ROW(machine_outcome_returned),
	ROW(machine_outcome_hypercall),
	ROW(machine_outcome_ready),
	ROW(machine_outcome_exited),
	ROW(machine_outcome_faulted),
	ROW(machine_outcome_timed_out),
	ROW(machine_outcome_out_of_memory),
	ROW(machine_outcome_denied),
	ROW(machine_outcome_internal),
	ROW(machine_outcome_other),
	ROW(machine_calls_failed),
	ROW(machine_pages_copied),
	ROW(machine_pages_restored),
	ROW(machine_migrations),
	ROW(machine_drains),
	ROW(machine_forced_flushes),
	ROW(machine_shadow_drops),
	ROW(machine_frame_drops),
	ROW(machine_path_moves),
	ROW(machine_revocations),
	ROW(machine_host_copies),
	ROW(machine_guest_copies),
	ROW(machine_unsharing_maps),
	ROW(machine_frames_freed),
	ROW(machine_tables_waited),
	ROW(machine_dirty_sweeps),
	ROW(machine_space_moves),
	ROW(machine_roots_reused),
};

_Static_assert(sizeof(figures) / sizeof(figures[0]) ==
                       (sizeof(struct kvmsb_statistics) - sizeof(size_t)) / sizeof(uint64_t),
               "each figure has a row");

static void print_statistics(const char *of, const struct kvmsb *sandbox)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	if (kvmsb_get_statistics(sandbox, &statistics) < 0)
		return;
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&statistics + figures[i].offset, sizeof(value));
		fprintf(stderr, "%s.%s %llu\n", of, figures[i].name, (unsigned long long)value);
	}
}

/* ---- Runs ---- */

static int use_fork(const struct run_options *options, struct kvmsb *fork)
{
	int status = EXIT_SUCCESS;

	for (unsigned long i = 0; i < options->repeat && status == EXIT_SUCCESS; i++) {
		int error = i > 0 ? kvmsb_reset(fork) : 0;

		if (error < 0)
			return host_failed(options, fork, "reset", error);
		if (options->get != NULL && i > 0)
			putchar('\n');
		status = options->get != NULL ? request(options, fork) : call(options, fork);
		/* The guest writes to the same descriptor, past our buffer. */
		fflush(stdout);
	}
	return status;
}

static int fork_and_use(const struct run_options *options, struct kvmsb *master)
{
	struct kvmsb_error detail = KVMSB_ERROR_INIT;
	struct kvmsb *fork;
	int status;
	int error = kvmsb_freeze(master);

	if (error < 0)
		return host_failed(options, master, "freeze", error);
	error = kvmsb_fork(master, &fork, &detail);
	if (error < 0) {
		fprintf(stderr, "kvmsb-run: %s: fork: %s\n", options->name, detail.detail);
		return STATUS_HOST_FAILED;
	}
	status = use_fork(options, fork);
	if (options->statistics)
		print_statistics("fork", fork);
	kvmsb_destroy(fork);
	return status;
}

/* main() has ended: what now? */
static int go_on(const struct run_options *options, struct kvmsb *sandbox,
                 const struct kvmsb_result *result)
{
	const bool is_ready = result->outcome == KVMSB_OUTCOME_READY;
	const bool has_exited = result->outcome == KVMSB_OUTCOME_EXITED && result->exit_signal == 0;

	if ((options->get != NULL && is_ready) || (options->call != NULL && (is_ready || has_exited)))
		return fork_and_use(options, sandbox);
	if (is_ready) {
		fprintf(stderr, "kvmsb-run: %s: waits for requests: see --get\n", options->name);
		return EXIT_SUCCESS;
	}
	if (options->get != NULL && has_exited) {
		fprintf(stderr, "kvmsb-run: %s: exited with status %d, did not wait for requests\n",
		        options->name, result->exit_status);
		return STATUS_GUEST_FAILED;
	}
	return status_of(options, sandbox, result);
}

static int run(struct run_options *options)
{
	static struct run_trace trace;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_error detail = KVMSB_ERROR_INIT;
	struct kvmsb *sandbox;
	int error, status;

	run_trace_start(&trace, options);
	error = kvmsb_create(&sandbox, &options->sandbox, &detail);
	if (error < 0) {
		fprintf(stderr, "kvmsb-run: %s\n", detail.detail);
		return STATUS_HOST_FAILED;
	}
	error = kvmsb_run(sandbox, &result);
	if (error < 0)
		status = host_failed(options, sandbox, "run", error);
	else
		status = go_on(options, sandbox, &result);
	if (options->trace_summary)
		run_trace_print_summary(&trace);
	if (options->statistics)
		print_statistics("program", sandbox);
	kvmsb_destroy(sandbox);
	return status;
}

int main(int argc, char **argv)
{
	struct run_options options;
	int status = run_options_parse(&options, argc, argv);

	if (status < 0)
		status = run(&options);
	run_options_free(&options);
	return status;
}
