/* SPDX-License-Identifier: MIT */
/*
 * The table of hypercalls and its dispatch, the state they keep, and those
 * that need no request: registration, waiting, questions about the program.
 */
#include "hypercalls.h"

#include "../sized.h"
#include "../time_limit.h"
#include "../util.h"
#include "call.h"
#include "exchange.h"
#include "layout.h"
#include "log_call.h"
#include "regex_table.h"

#include <errno.h>
#include <string.h>

/* See hypercalls.def. */
enum hypercall_when {
	ALWAYS,
	BOOT,
	BOOT_BY_HANDLER,
	REQUEST,
	REQUEST_BY_HANDLER
};

struct hypercall {
	uint32_t number;
	const char *name;
	const char *format;
	enum hypercall_when when;
	int (*handler)(struct call *call);
};

enum hypercall_row {
#define HYPERCALL(number, name, format, when, handler, note) ROW_##name,
#include "hypercalls.def"
#undef HYPERCALL
};

static const struct hypercall rows[] = {
#define HYPERCALL(number, name, format, when, handler, note)                                       \
	{number, #name, format, when, call_##handler},
#include "hypercalls.def"
#undef HYPERCALL
};

static const struct hypercall *find(uint32_t number)
{
	switch (number) {
#define HYPERCALL(number, name, format, when, handler, note)                                       \
	case number:                                                                               \
		return &rows[ROW_##name];
#include "hypercalls.def"
#undef HYPERCALL
	default:
		return NULL;
	}
}

const char *hypercalls_name(uint32_t number)
{
	const struct hypercall *row = find(number);

	return row == NULL ? NULL : row->name;
}

void hypercalls_end(struct hypercalls *hypercalls)
{
	exchange_destroy(hypercalls->exchange);
	hypercalls->exchange = NULL;
	hypercalls->logged = 0;
}

/* All but what has references. */
static void copy_master(struct hypercalls *hypercalls, const struct hypercalls *master)
{
	*hypercalls = (struct hypercalls){
		.config = master->config,
		.ready = master->ready,
		.paused = master->paused,
		.wait_address = master->wait_address,
		.wait_count = master->wait_count,
		.inputs_address = master->inputs_address,
		.inputs_size = master->inputs_size,
		.body = master->body,
		.persistent = master->persistent,
		.timers_known = master->timers_known,
		.timers = master->timers,
	};
	memcpy(hypercalls->entries, master->entries, sizeof(hypercalls->entries));
}

void hypercalls_fork(struct hypercalls *hypercalls, const struct hypercalls *master)
{
	copy_master(hypercalls, master);
	hypercalls->regexes = regex_table_share(master->regexes);
}

void hypercalls_reset(struct hypercalls *hypercalls, const struct hypercalls *master)
{
	struct regex_table *regexes = hypercalls->regexes;

	hypercalls_end(hypercalls);
	/* Nearly always it is the master's still, whose count all forks would write. */
	if (regexes != master->regexes) {
		regex_table_release(regexes);
		regexes = regex_table_share(master->regexes);
	}
	copy_master(hypercalls, master);
	hypercalls->regexes = regexes;
}

void hypercalls_destroy(struct hypercalls *hypercalls)
{
	hypercalls_end(hypercalls);
	regex_table_release(hypercalls->regexes);
	hypercalls->regexes = NULL;
}

struct kvmsb_http_context hypercalls_context(const struct hypercalls *hypercalls,
                                             struct kvmsb *sandbox)
{
	const struct http_exchange *exchange = hypercalls->exchange;

	return (struct kvmsb_http_context){
		.size = sizeof(struct kvmsb_http_context),
		.user = hypercalls->config->ops.user,
		.request_user = exchange != NULL ? exchange->user : NULL,
		.sandbox = sandbox,
	};
}

int hypercalls_begin(struct hypercalls *hypercalls, const struct kvmsb_http_request *request)
{
	hypercalls_end(hypercalls);
	return exchange_create(&hypercalls->exchange, request);
}

int hypercalls_response(const struct hypercalls *hypercalls, struct kvmsb_http_response *response)
{
	return exchange_response(hypercalls->exchange, response);
}

int hypercalls_program(const struct hypercalls *hypercalls, struct kvmsb_http_program *program)
{
	struct kvmsb_http_program own = {
		.is_paused = hypercalls->paused,
		.is_ephemeral = !hypercalls->persistent,
	};

	if (!hypercalls->ready)
		return -EINVAL;
	memcpy(own.handlers, hypercalls->entries, sizeof(own.handlers));
	return sized_copy_out(program, &own, sizeof(own));
}
_Static_assert(sizeof(((struct hypercalls *)NULL)->entries) ==
                       sizeof(((struct kvmsb_http_program *)NULL)->handlers),
               "an entry each");

/* A number that nobody has: a program that is newer than this library, or wrong. */
static void answer_unknown(struct call *call)
{
	*call->result = (uint64_t)-ENOSYS;
	log_call_line(call, "Unhandled system call %u", call->number);
}

static void dispatch(struct call *call, const struct hypercall *row)
{
	call->hypercalls->detail[0] = '\0';
	if (row == NULL)
		answer_unknown(call);
	else if (row->when == BOOT && call->hypercalls->ready)
		call_deny(call, "%s(): Cannot be called after initialization", row->name);
	else if (row->when == REQUEST && !call_has_request(call))
		call_deny(call, "CTX was null");
	else
		row->handler(call);
}

enum hypercall_action hypercalls_run(struct hypercalls *hypercalls, struct process *process,
                                     uint32_t number, const uint64_t arguments[6], uint64_t *result)
{
	const struct hypercall *row = find(number);
	const uint64_t before = *result, start = process->config->trace != NULL ? time_now() : 0;
	struct call call = {
		.hypercalls = hypercalls,
		.process = process,
		.number = number,
		.name = row != NULL ? row->name : NULL,
		.format = row != NULL ? row->format : "xxxxxx",
		.arguments = arguments,
		.result = result,
		.action = HYPERCALL_CONTINUE,
	};

	dispatch(&call, row);
	if (process->config->trace != NULL)
		call_trace(&call, *result != before, time_now() - start);
	return call.action;
}

int call_unsupported(struct call *call)
{
	*call->result = (uint64_t)-ENOSYS;
	return 0;
}

int call_nothing(struct call *call)
{
	(void)call;
	return 0;
}

int call_refuse(struct call *call)
{
	*call->result = UINT64_MAX;
	return 0;
}

int call_no(struct call *call)
{
	*call->result = 0;
	return 0;
}

int call_register_func(struct call *call)
{
	uint32_t index = (uint32_t)call->arguments[0];
	uint64_t address = call->arguments[1];

	if (index >= HTTP_ENTRY_COUNT)
		return call_deny(call, "register_func(): there is no entry %u", index);
	if (address < LAYOUT_USER_START || address >= LAYOUT_USER_END)
		return call_deny(call, "Invalid address for register_func provided");
	call->hypercalls->entries[index] = address;
	return 0;
}

int call_wait_for_requests(struct call *call)
{
	call->hypercalls->ready = true;
	call->action = HYPERCALL_READY;
	return 0;
}

/* A second time only in the loop that waited before. */
int call_wait_for_requests_paused(struct call *call)
{
	struct hypercalls *hypercalls = call->hypercalls;

	if (hypercalls->ready && !hypercalls->in_loop)
		return call_deny(call,
		                 "wait_for_requests(): Cannot be called after initialization");
	hypercalls->paused = true;
	hypercalls->wait_address = call->arguments[0];
	hypercalls->wait_count = call->arguments[1];
	return call_wait_for_requests(call);
}

int call_make_ephemeral(struct call *call)
{
	const bool allowed = (call->hypercalls->config->flags & KVMSB_HTTP_CONTROL_EPHEMERAL) != 0;

	if (call->hypercalls->ready)
		return call_deny(call, "Cannot change ephemeralness after initialization");
	*call->result = allowed ? 0 : UINT64_MAX;
	if (!allowed)
		return log_call_line(call, "Cannot change ephemeralness. Option "
		                           "'control_ephemeral' not enabled");
	call->hypercalls->persistent = (uint32_t)call->arguments[0] == 0;
	return 0;
}

/* There is none yet; the empty area lies where nothing a program asks for fits or wraps. */
int call_shared_memory_area(struct call *call)
{
	*call->result = LAYOUT_USER_END;
	call->process->registers->rdx = LAYOUT_USER_END;
	return 0;
}

/* struct meminfo of guest/kvm_api.h. */
struct memory_information {
	uint64_t max_memory;
	uint64_t max_reqmem;
	uint64_t reqmem_upper;
	uint64_t reqmem_current;
};

/*
 * What a request holds and uses stays 0: a fork holds what earlier requests and
 * other forks wrote, which is not this guest's business.
 */
int call_get_meminfo(struct call *call)
{
	const struct space *space = call->process->space;
	struct memory_information information = {.max_memory = call->process->config->memory_limit};

	if (space->master != NULL)
		information.max_reqmem = space->page_limit * PAGE_SIZE;
	return call_write(call, call->arguments[0], &information, sizeof(information));
}
