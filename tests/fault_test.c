/* SPDX-License-Identifier: MIT */
/*
 * Every allocation, mapping, ioctl, file operation and timer of the library
 * fails, one after the other: the n-th of each kind, for every n until an
 * operation no longer meets it, once alone and once with all later ones. Each
 * time the operation must say so with a detail, nothing may be left behind,
 * and what it was done to must work when nothing fails any more.
 *
 * Then, one by one, what /dev/kvm may answer on another machine.
 */
#include "fault_injection.h"
#include "response_body.h"
#include "sandbox_fixture.h"

#include "probe.h"
#include "sandbox.h"
#include "sanitized.h"
#include "util.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Steps of the guest from here on are wrong whatever failed; guests/fault.c. */
#define GUEST_WRONG 100

/* No operation here makes as many calls of one kind. */
#define CALLS_MOST 20000

/* What one attempt works with, and what is being tried. */
struct scene {
	const struct scenario *scenario;
	const char *program;
	enum fault_kind kind;
	unsigned number;
	bool lasting;
	struct kvmsb *sandbox; /* as it was created */
	struct kvmsb *fork;
	struct kvmsb *other; /* runs whenever the fork writes */
	uint64_t written;    /* bytes that the guest wrote to its output */
	uint64_t pages;      /* that the machine uses at the end of an attempt without a fault */
};

struct scenario {
	const char *name;
	const char *program;
	void (*prepare)(struct scene *scene); /* nothing fails yet; NULL: nothing to do */
	void (*act)(struct scene *scene);     /* with a fault */
	void (*recover)(struct scene *scene); /* nothing fails any more; NULL: nothing to do */
	enum fault_kind first, last;          /* of the kinds to try; 0, 0: all */
	bool learns; /* else each fork has what it wrote itself, and no more */
};

/* Says what was tried when it went wrong, then fails the test. */
__attribute__((format(printf, 2, 3))) static void broken(const struct scene *scene,
                                                         const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_stop();
	fail_msg("%s, %s number %u%s%s%s: %s", scene->scenario->name, fault_name(scene->kind),
	         scene->number, scene->lasting ? " and all later ones" : "",
	         *fault_place() ? ", " : "", fault_place(), text);
}

/* A function of the host returned `code`. True when it succeeded. */
static bool judge(const struct scene *scene, const char *what, int code, const char *detail)
{
	if (code == 0)
		return true;
	if (!fault_was_hit())
		broken(scene, "%s: %d (%s), though nothing had failed", what, code, detail);
	if (code > 0 || code < -133)
		broken(scene, "%s: %d is no negative errno", what, code);
	if (detail[0] == '\0')
		broken(scene, "%s: %s, without a detail", what, strerror(-code));
	if (fault_is_passing(scene->kind))
		broken(scene, "%s: %s: it is to be done again", what, detail);
	return false;
}

/* What a guest may do when the host could not do something for it. */
static bool is_excusable(enum fault_kind kind, enum kvmsb_outcome outcome)
{
	switch (outcome) {
	case KVMSB_OUTCOME_OUT_OF_MEMORY:
	case KVMSB_OUTCOME_EXITED:
		return true;
	case KVMSB_OUTCOME_FAULTED:
		/* A page of a file that cannot be read; Linux sends SIGBUS. */
		return kind == FAULT_READ || kind == FAULT_STATUS;
	default:
		return false;
	}
}

/* A run that the host did not fail ended so. True when it is what was wanted. */
static bool judge_outcome(const struct scene *scene, const char *what, const struct kvmsb *sandbox,
                          const struct kvmsb_result *result, enum kvmsb_outcome wanted)
{
	if (result->outcome == wanted)
		return true;
	if (!fault_was_hit() || fault_is_passing(scene->kind) ||
	    !is_excusable(scene->kind, result->outcome))
		broken(scene, "%s: %s: %s", what, fixture_describe(sandbox, result),
		       kvmsb_detail(sandbox));
	return false;
}

/* Steps. They may be done with a fault, and end when it was met. */

static bool call_of(struct scene *scene, struct kvmsb *fork, const char *symbol);

static int64_t take_written(void *user, const void *data, size_t length)
{
	struct scene *scene = user;

	(void)data;
	scene->written += length;
	if (scene->other != NULL)
		call_of(scene, scene->other, "intact");
	return (int64_t)length;
}

/* Two pages and a byte: what the guest has none of before. */
static int give_content(const struct kvmsb_http_context *context, const struct kvmsb_fetch *fetch,
                        struct kvmsb_fetch_answer *answer)
{
	static const char content[4096];

	(void)context;
	kvmsb_fetch_status(answer, 200, "text/plain");
	kvmsb_fetch_head(answer, "HTTP/1.1 200\r\n\r\n", 16);
	for (unsigned i = 0; i < 2; i++)
		kvmsb_fetch_body(answer, content, sizeof(content));
	kvmsb_fetch_body(answer, fetch->body[0].iov_base, 1);
	return 0;
}

static const char *path_of(const char *program)
{
	static char path[512];

	snprintf(path, sizeof(path), TEST_GUESTS "/%s", program);
	return path;
}

/* Programs may read what a dynamic one needs, and their own file. */
static bool create(struct scene *scene)
{
	const struct kvmsb_path_rule rules[] = {
		{.path = "/lib"},
		{.path = "/usr/lib"},
		{.path = TEST_GUESTS},
	};
	struct kvmsb_options options = fixture_options(path_of(scene->program));
	struct kvmsb_http_ops http = KVMSB_HTTP_OPS_INIT;
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	options.paths = rules;
	options.path_count = ARRAY_SIZE(rules);
	options.standard_output.write = take_written;
	options.standard_output.user = scene;
	http.fetch = give_content;
	options.http = &http;
	if (!scene->scenario->learns)
		options.learned_pages_limit = KVMSB_NO_LEARNING;
	return judge(scene, "kvmsb_create", kvmsb_create(&scene->sandbox, &options, &error),
	             error.detail);
}

static bool run(struct scene *scene, enum kvmsb_outcome wanted)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int code = kvmsb_run(scene->sandbox, &result);

	return judge(scene, "kvmsb_run", code, kvmsb_detail(scene->sandbox)) &&
	       judge_outcome(scene, "kvmsb_run", scene->sandbox, &result, wanted);
}

static bool freeze(struct scene *scene)
{
	return judge(scene, "kvmsb_freeze", kvmsb_freeze(scene->sandbox),
	             kvmsb_detail(scene->sandbox));
}

static bool make_fork(struct scene *scene)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	return judge(scene, "kvmsb_fork", kvmsb_fork(scene->sandbox, &scene->fork, &error),
	             error.detail);
}

/* More than what is there: slots are added and populated. */
static void reserve(struct scene *scene)
{
	int code = kvmsb_reserve(scene->sandbox, 1500);

	judge(scene, "kvmsb_reserve", code, strerror(-code));
}

/* True when the function returned 0. Any other value is the guest's word for a failed step. */
static bool call_of(struct scene *scene, struct kvmsb *fork, const char *symbol)
{
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	struct kvmsb_call what = KVMSB_CALL_INIT;
	int code;

	what.symbol = symbol;
	what.argument_count = 1;
	what.arguments[0] = (struct kvmsb_argument){.kind = KVMSB_ARGUMENT_STRING,
	                                            .input = path_of(scene->program)};
	code = kvmsb_vmcall(fork, &what, &result);
	if (!judge(scene, symbol, code, kvmsb_detail(fork)) ||
	    !judge_outcome(scene, symbol, fork, &result, KVMSB_OUTCOME_RETURNED))
		return false;
	if (result.value >= GUEST_WRONG ||
	    (result.value != 0 && (!fault_was_hit() || fault_is_passing(scene->kind))))
		broken(scene, "%s: its step %d did not work", symbol, (int)result.value);
	return result.value == 0;
}

static bool call(struct scene *scene, const char *symbol)
{
	return call_of(scene, scene->fork, symbol);
}

/* The response is to be `body`. */
static bool request_for(struct scene *scene, const struct kvmsb_http_request *what, const char *body)
{
	struct kvmsb_http_response response = KVMSB_HTTP_RESPONSE_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int code = kvmsb_request(scene->fork, what, &response, &result);

	if (!judge(scene, "kvmsb_request", code, kvmsb_detail(scene->fork)))
		return false;
	/* Without memory for the response there is none, and the handler goes on and returns. */
	if (fault_was_hit() && result.outcome == KVMSB_OUTCOME_RETURNED &&
	    response.source == KVMSB_HTTP_FROM_HOST)
		return false;
	if (!judge_outcome(scene, "kvmsb_request", scene->fork, &result, KVMSB_OUTCOME_HYPERCALL))
		return false;
	if (response.status != 200 || !body_is(&response, body, strlen(body)))
		broken(scene, "the response is not the handler's: status %d", (int)response.status);
	return true;
}

static bool request(struct scene *scene)
{
	static const struct kvmsb_http_field fields[] = {{"Accept: text/plain", 18}};
	struct kvmsb_http_request what = KVMSB_HTTP_REQUEST_INIT;

	what.url = "/some/where";
	what.fields = fields;
	what.field_count = ARRAY_SIZE(fields);
	return request_for(scene, &what, what.url);
}

static bool request_with_body(struct scene *scene)
{
	static char text[] = "a body in two pieces";
	const struct iovec body[] = {{text, 6}, {text + 6, sizeof(text) - 7}};
	struct kvmsb_http_request what = KVMSB_HTTP_REQUEST_INIT;

	what.url = "/";
	what.content_type = "text/plain";
	what.body = body;
	what.body_count = ARRAY_SIZE(body);
	return request_for(scene, &what, text);
}

/* main() of this program waits in a loop, and counts its rounds. */
static bool request_to_loop(struct scene *scene, unsigned round)
{
	struct kvmsb_http_request what = KVMSB_HTTP_REQUEST_INIT;
	char text[64];

	snprintf(text, sizeof(text), "%u %u 0 GET /loop 0 0", round, round - 1);
	what.url = "/loop";
	return request_for(scene, &what, text);
}

static bool reset(struct scene *scene)
{
	return judge(scene, "kvmsb_reset", kvmsb_reset(scene->fork), kvmsb_detail(scene->fork));
}

static void drop_fork(struct scene *scene)
{
	kvmsb_destroy(scene->fork);
	scene->fork = NULL;
}

/* Prepared states. */

static void prepare_new(struct scene *scene)
{
	create(scene);
}

static void prepare_ready(struct scene *scene)
{
	create(scene);
	run(scene, KVMSB_OUTCOME_READY);
}

static void prepare_master(struct scene *scene)
{
	prepare_ready(scene);
	freeze(scene);
}

static void prepare_fork(struct scene *scene)
{
	prepare_master(scene);
	make_fork(scene);
}

/* Another fork runs on the same virtual processor in the middle of a call. */
static void prepare_nested(struct scene *scene)
{
	prepare_fork(scene);
	scene->other = scene->fork;
	make_fork(scene);
}

static void prepare_worked(struct scene *scene)
{
	prepare_fork(scene);
	call(scene, "work");
	request(scene);
}

static void prepare_restructured(struct scene *scene)
{
	prepare_fork(scene);
	call(scene, "restructure");
}

/* What is tried. */

static void act_create(struct scene *scene)
{
	create(scene);
}

static void act_run(struct scene *scene)
{
	run(scene, KVMSB_OUTCOME_READY);
}

static void act_run_to_end(struct scene *scene)
{
	run(scene, KVMSB_OUTCOME_EXITED);
}

static void act_freeze(struct scene *scene)
{
	freeze(scene);
}

static void act_fork(struct scene *scene)
{
	make_fork(scene);
}

static void act_reserve(struct scene *scene)
{
	reserve(scene);
}

static void act_call(struct scene *scene)
{
	call(scene, "work");
}

static void act_restructure(struct scene *scene)
{
	call(scene, "restructure");
}

static void act_fetch(struct scene *scene)
{
	call(scene, "fetch");
}

static void act_grow(struct scene *scene)
{
	call(scene, "grow");
}

static void act_request(struct scene *scene)
{
	request(scene);
}

static void act_post(struct scene *scene)
{
	request_with_body(scene);
}

/* The second goes on where the first has left it. */
static void act_loop(struct scene *scene)
{
	if (request_to_loop(scene, 1))
		request_to_loop(scene, 2);
}

static void act_reset(struct scene *scene)
{
	reset(scene);
}

/* Two forks write the same, so that the third has it from the start, and the first gets it. */
static void act_learn(struct scene *scene)
{
	for (int i = 0; i < 3 && scene->fork != NULL; i++) {
		bool good = call(scene, "work") && reset(scene);

		drop_fork(scene);
		if (!good || !make_fork(scene))
			return;
	}
}

static void act_destroy(struct scene *scene)
{
	drop_fork(scene);
}

static void act_destroy_all(struct scene *scene)
{
	drop_fork(scene);
	kvmsb_destroy(scene->sandbox);
	scene->sandbox = NULL;
}

/* And that it works again. */

/* A page that comes by a fault, since none could be had before it was used, brings others along. */
static uint64_t pages_ahead(const struct scene *scene)
{
	return scene->scenario->act == act_run ? 32 : 0;
}

/*
 * What a fork had of the machine's memory has come back. What is kept of it for
 * the next fork depends on how far the guest got, so that is given up first.
 */
static void check_machine(struct scene *scene)
{
	struct machine *machine = scene->sandbox->machine;
	uint64_t pages;

	space_reclaim(machine);
	pages = machine->memory.frames_in_use + machine->memory.tables_in_use;
	if (scene->number == 0)
		scene->pages = pages;
	else if (pages > scene->pages + pages_ahead(scene))
		broken(scene, "%lu pages of guest memory are in use, %lu without a fault",
		       (unsigned long)pages, (unsigned long)scene->pages);
}

/* The fork after a reset, and then another one, are as the master left them, and can work. */
static void recover_fork(struct scene *scene)
{
	for (int i = 0; i < 2; i++) {
		if (scene->fork == NULL)
			make_fork(scene);
		reset(scene);
		call(scene, "intact");
		call(scene, "work");
		reset(scene);
		call(scene, "intact");
		request(scene);
		drop_fork(scene);
	}
	check_machine(scene);
}

static void recover_nested(struct scene *scene)
{
	if (kvmsb_reset(scene->other) < 0)
		broken(scene, "the other fork: %s", kvmsb_detail(scene->other));
	recover_fork(scene);
	kvmsb_destroy(scene->other);
	scene->other = NULL;
}

static void recover_loop(struct scene *scene)
{
	reset(scene);
	act_loop(scene);
	reset(scene);
	request_to_loop(scene, 1);
	drop_fork(scene);
	check_machine(scene);
}

/* A fork that could not be made, or not used, has not hurt its master. */
static void recover_master(struct scene *scene)
{
	if (scene->fork != NULL)
		call(scene, "intact");
	drop_fork(scene);
	recover_fork(scene);
}

static void recover_freeze(struct scene *scene)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;

	/* Either it is a master, or it can be made one. */
	if (kvmsb_fork(scene->sandbox, &scene->fork, &error) < 0)
		freeze(scene);
	drop_fork(scene);
	recover_fork(scene);
}

/* It is ready; or it has not begun, and can; or it is over, and says so. */
static void recover_run(struct scene *scene)
{
	struct kvmsb_call what = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	int code;

	what.symbol = "intact";
	code = kvmsb_vmcall(scene->sandbox, &what, &result);
	if (code == -EINVAL)
		run(scene, KVMSB_OUTCOME_READY);
	else if (code == -ESRCH)
		return;
	else if (code < 0)
		broken(scene, "a call after the run that failed: %d", code);
	recover_freeze(scene);
}

static void recover_create(struct scene *scene)
{
	if (scene->sandbox == NULL)
		create(scene);
	run(scene, KVMSB_OUTCOME_EXITED);
	if (scene->written == 0)
		broken(scene, "the program wrote nothing");
}

static const struct scenario scenarios[] = {
	{"create, static", "plain-static", NULL, act_create, recover_create, 0, 0, false},
	{"create, static-pie", "plain-static-pie", NULL, act_create, recover_create, 0, 0, false},
	{"create, dynamic", "plain-dynamic", NULL, act_create, recover_create, 0, 0, false},
	{"run, dynamic", "plain-dynamic", prepare_new, act_run_to_end, NULL, 0, 0, false},
	{"run", "fault-static", prepare_new, act_run, recover_run, 0, 0, false},
	{"freeze", "fault-static", prepare_ready, act_freeze, recover_freeze, 0, 0, false},
	{"fork", "fault-static", prepare_master, act_fork, recover_master, 0, 0, false},
	{"reserve", "fault-static", prepare_master, act_reserve, recover_master, 0, 0, false},
	{"vmcall", "fault-static", prepare_fork, act_call, recover_fork, 0, 0, false},
	{"vmcall in a callback", "fault-static", prepare_nested, act_call, recover_nested, 0, 0,
         false},
	{"vmcall that maps and unmaps", "fault-static", prepare_fork, act_restructure, recover_fork,
         0, 0, false},
	{"vmcall that needs memory", "fault-static", prepare_fork, act_grow, recover_fork,
         FAULT_MMAP, FAULT_IOCTL, false},
	{"vmcall that fetches", "fault-static", prepare_fork, act_fetch, recover_fork, 0, 0, false},
	{"request", "fault-static", prepare_fork, act_request, recover_fork, 0, 0, false},
	{"request with a body", "fault-static", prepare_fork, act_post, recover_fork, 0, 0, false},
	{"requests to a loop", "loop-static", prepare_fork, act_loop, recover_loop, 0, 0, false},
	{"reset", "fault-static", prepare_worked, act_reset, recover_fork, 0, 0, false},
	{"reset after mapping and unmapping", "fault-static", prepare_restructured, act_reset,
         recover_fork, 0, 0, false},
	{"learning", "fault-static", prepare_fork, act_learn, recover_fork, 0, 0, true},
	{"destroy of a fork", "fault-static", prepare_worked, act_destroy, recover_master, 0, 0,
         false},
	{"destroy of a fork after mapping and unmapping", "fault-static", prepare_restructured,
         act_destroy, recover_master, 0, 0, false},
	{"destroy of all", "fault-static", prepare_restructured, act_destroy_all, NULL, 0, 0, false},
};

/* Attempts. */

static void check_resources(const struct scene *scene, const struct resources *before)
{
	struct resources now = resources_now();

	if (now.blocks != before->blocks)
		broken(scene, "%ld blocks of the heap are left", now.blocks - before->blocks);
	if (now.mapped != before->mapped)
		broken(scene, "%ld bytes are still mapped", now.mapped - before->mapped);
	if (now.timers != before->timers)
		broken(scene, "%ld timers are left", now.timers - before->timers);
	if (now.descriptors != before->descriptors)
		broken(scene, "%ld descriptors are left", now.descriptors - before->descriptors);
}

/* Number 0 injects nothing. Whether the fault was met. */
static bool attempt(struct scene *scene)
{
	const struct scenario *scenario = scene->scenario;
	struct resources before = resources_now();
	bool hit;

	scene->program = scenario->program;
	scene->sandbox = scene->fork = scene->other = NULL;
	scene->written = 0;
	fault_forget();
	if (scenario->prepare != NULL)
		scenario->prepare(scene);
	if (scene->number > 0)
		fault_inject(scene->kind, scene->number, scene->lasting);
	scenario->act(scene);
	hit = fault_stop();
	/* From here on nothing is excused. */
	fault_forget();
	if (scenario->recover != NULL)
		scenario->recover(scene);
	kvmsb_destroy(scene->other);
	kvmsb_destroy(scene->fork);
	kvmsb_destroy(scene->sandbox);
	check_resources(scene, &before);
	return hit;
}

/* Every one; but of frames, of which a program takes hundreds alike, ever fewer. */
static unsigned after(const struct scene *scene)
{
	return scene->number + 1 + (scene->kind == FAULT_FRAME ? scene->number / 8 : 0);
}

/* Tries number 1, 2, ... until it is not met any more. Returns the first that was not. */
static unsigned attempt_all(struct scene *scene, bool lasting)
{
	unsigned end = 0;

	scene->lasting = lasting;
	for (scene->number = 1; scene->number < CALLS_MOST && end == 0; scene->number = after(scene))
		if (!attempt(scene))
			end = scene->number;
	scene->number = 0;
	if (end == 0)
		broken(scene, "there is no end to it");
	return end;
}

static void check_address_space(const struct scene *scene, const struct address_space *before)
{
	struct address_space now = address_space_now();

	if (!SANITIZED && (now.mappings > before->mappings || now.bytes > before->bytes))
		broken(scene, "%zu mappings of %zu bytes became %zu of %zu", before->mappings,
		       before->bytes, now.mappings, now.bytes);
}

static void test_scenario(void **state)
{
	const struct scenario *scenario = *state;
	const enum fault_kind last = scenario->last != 0 ? scenario->last : FAULT_KINDS - 1;
	struct scene scene = {.scenario = scenario};
	const struct host_behaviour *host;
	struct address_space before;

	/* What the library remembers, and twice without any fault: what libc keeps for itself. */
	assert_int_equal(probe_host(&host, NULL), 0);
	attempt(&scene);
	attempt(&scene);
	before = address_space_now();
	print_message("%s:", scenario->name);
	for (scene.kind = scenario->first; scene.kind <= last; scene.kind++) {
		unsigned end = attempt_all(&scene, false);

		if (end > 1)
			print_message(" %s %u,", fault_name(scene.kind), end - 1);
		if (end > 1 && !fault_is_passing(scene.kind))
			attempt_all(&scene, true);
		check_address_space(&scene, &before);
	}
	print_message("\n");
}

/* The probe is done once in a process: a process of its own for each kind. */

static int probe_with_faults(enum fault_kind kind)
{
	for (unsigned number = 1; number < CALLS_MOST; number++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct resources before = resources_now(), after;
		const struct host_behaviour *host = NULL;
		int code;

		fault_inject(kind, number, !fault_is_passing(kind) && number % 2 == 0);
		code = probe_host(&host, &error);
		fault_stop();
		after = resources_now();
		/* What it found out it remembers. */
		if (code == 0)
			after.blocks = before.blocks;
		if (memcmp(&before, &after, sizeof(before)) != 0) {
			print_message("%s: something is left\n", fault_place());
			return 1;
		}
		if (code == 0)
			return host == NULL;
		if (!fault_was_hit() || error.detail[0] == '\0' || fault_is_passing(kind)) {
			print_message("%s: %d, \"%s\"\n", fault_place(), code, error.detail);
			return 1;
		}
	}
	return 1;
}

static void test_probe(void **state)
{
	(void)state;
	for (enum fault_kind kind = 0; kind < FAULT_KINDS; kind++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0)
			_exit(probe_with_faults(kind));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("probe: %s: wait status %#x", fault_name(kind), status);
	}
}

/* What /dev/kvm may answer. */

static int create_hello(struct kvmsb_error *error)
{
	struct kvmsb_options options = fixture_options(GUEST("hello-static"));
	struct kvmsb *sandbox = NULL;
	struct resources before = resources_now();
	struct resources after;
	int code = kvmsb_create(&sandbox, &options, error);

	if (code == 0)
		kvmsb_destroy(sandbox);
	after = resources_now();
	assert_memory_equal(&before, &after, sizeof(before));
	return code;
}

static void test_capabilities(void **state)
{
	static const struct {
		const char *name;
		unsigned long number;
	} needed[] = {
		{"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY},
		{"KVM_CAP_NR_MEMSLOTS", KVM_CAP_NR_MEMSLOTS},
		{"KVM_CAP_SYNC_REGS", KVM_CAP_SYNC_REGS},
		{"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT},
		{"KVM_CAP_XSAVE", KVM_CAP_XSAVE},
		{"KVM_CAP_XCRS", KVM_CAP_XCRS},
		{"KVM_CAP_MP_STATE", KVM_CAP_MP_STATE},
		{"KVM_CAP_VCPU_EVENTS", KVM_CAP_VCPU_EVENTS},
		{"KVM_CAP_X86_MSR_FILTER", KVM_CAP_X86_MSR_FILTER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		int code;

		fault_kvm = (struct fault_kvm){.lacks = true, .capability = needed[i].number};
		code = create_hello(&error);
		fault_kvm = (struct fault_kvm){0};
		print_message("%s\n", error.detail);
		assert_int_equal(code, -EOPNOTSUPP);
		assert_int_equal(error.code, -EOPNOTSUPP);
		assert_non_null(strstr(error.detail, needed[i].name));
	}
}

static void test_version(void **state)
{
	struct kvmsb_error error = KVMSB_ERROR_INIT;
	int code;

	(void)state;
	fault_kvm = (struct fault_kvm){.version = KVM_API_VERSION - 1};
	code = create_hello(&error);
	fault_kvm = (struct fault_kvm){0};
	assert_int_equal(code, -EOPNOTSUPP);
	assert_non_null(strstr(error.detail, "version 11"));
	assert_non_null(strstr(error.detail, "12"));
}

static void test_no_kvm(void **state)
{
	static const struct {
		int code;
		const char *advice;
	} errors[] = {
		{ENOENT, "load kvm_intel or kvm_amd"},
		{ENODEV, "load kvm_intel or kvm_amd"},
		{ENXIO, "load kvm_intel or kvm_amd"},
		{EACCES, "join the group"},
		{EPERM, "join the group"},
		{EMFILE, "too many open files"},
		{ENFILE, "too many open files"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		int code;

		fault_kvm = (struct fault_kvm){.open_error = errors[i].code};
		code = create_hello(&error);
		fault_kvm = (struct fault_kvm){0};
		print_message("%s\n", error.detail);
		assert_int_equal(code, -errors[i].code);
		assert_non_null(strstr(error.detail, "/dev/kvm"));
		assert_non_null(strstr(error.detail, errors[i].advice));
	}
}

/* KVM_RUN itself: what is an error, what is not, and that the error is the one it gave. */
static void test_kvm_run(void **state)
{
	static const struct {
		enum fault_kind kind;
		int code;
	} answers[] = {
		{FAULT_KVM_RUN, -EFAULT},
		{FAULT_KVM_RUN_MEMORY, -ENOMEM},
		{FAULT_KVM_RUN_SIGNAL, 0},
		{FAULT_KVM_RUN_AGAIN, 0},
	};
	struct kvmsb_options options = fixture_options(GUEST("fault-static"));
	struct kvmsb *master = fixture_master(&options);
	struct kvmsb *fork = fixture_fork(master);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct kvmsb_result result = KVMSB_RESULT_INIT;
		struct kvmsb_call what = KVMSB_CALL_INIT;
		int code;

		what.symbol = "intact";
		fault_inject(answers[i].kind, 1, false);
		code = kvmsb_vmcall(fork, &what, &result);
		assert_true(fault_stop());
		assert_int_equal(code, answers[i].code);
		if (code == 0) {
			assert_outcome(fork, &result, KVMSB_OUTCOME_RETURNED);
			assert_int_equal(result.value, 0);
			continue;
		}
		assert_non_null(strstr(kvmsb_detail(fork), "KVM_RUN"));
		assert_int_equal(kvmsb_vmcall(fork, &what, &result), -ESRCH);
		assert_int_equal(kvmsb_reset(fork), 0);
		assert_int_equal(fixture_value(fork, "intact", NO_NUMBERS), 0);
	}
	kvmsb_destroy(fork);
	kvmsb_destroy(master);
}

/* An argument is the name of the only test to run, with * and ?. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[5 + ARRAY_SIZE(scenarios)] = {
		/* First of all: later ones have done it. */
		cmocka_unit_test(test_probe),   cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_version), cmocka_unit_test(test_no_kvm),
		cmocka_unit_test(test_kvm_run),
	};

	if (!fixture_can_run())
		return CANNOT_RUN;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		tests[5 + i] = (struct CMUnitTest){
			.name = scenarios[i].name,
			.test_func = test_scenario,
			.initial_state = (void *)(uintptr_t)&scenarios[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
