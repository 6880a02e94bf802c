/* SPDX-License-Identifier: MIT */
/*
 * What kvmsb-httpd counts and tells: which bucket a time falls in, what names may hold,
 * that two threads lose nothing, that Prometheus' format is kept (by a small strict
 * reader of it), and that JSON is JSON (by Python's).
 */
#include "../examples/httpd/metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define HOSTILE "a\"b\\c\nd\x01<img src=x>\xff\xc3\xa4"
#define HOSTILE_LABEL "a\\\"b\\\\c\\nd\x01<img src=x>\xef\xbf\xbd\xc3\xa4"

static const struct metrics_sample answered = {
	.status = 200,
	.outcome = KVMSB_OUTCOME_HYPERCALL,
	.source = KVMSB_HTTP_FROM_HANDLER,
	.total_ns = 40000,
	.queue_ns = 1000,
	.run_ns = 30000,
	.bytes_in = 3,
	.bytes_out = 5,
	.kvm_runs = 1,
};

static char *prometheus(struct metrics *metrics)
{
	size_t length;
	char *text = metrics_prometheus(&metrics, 1, &length);

	assert_non_null(text);
	assert_int_equal(strlen(text), length);
	return text;
}

/* The value of a sample, whose name and labels are given as they are written. */
static const char *sample_value(const char *text, const char *name)
{
	static char value[32];
	char line[512];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(text, line);
	if (!at)
		fail_msg("no sample %s in:\n%s", name, text);
	snprintf(value, sizeof(value), "%s", at + strlen(line));
	value[strcspn(value, "\n")] = '\0';
	return value;
}

static void assert_sample(struct metrics *metrics, const char *name, const char *expected)
{
	char *text = prometheus(metrics);

	assert_string_equal(sample_value(text, name), expected);
	free(text);
}

/* ---- A strict reader of the format: what a line may be, and in which order ---- */

struct reader {
	char family[128]; /* of the latest # TYPE */
	char type[16];
	char seen[128][128]; /* families */
	size_t seen_count;
	uint64_t bucket; /* the last value of a histogram's bucket */
	size_t samples;
};

static size_t name_length(const char *text)
{
	size_t length = 0;

	while (isalnum((unsigned char)text[length]) || text[length] == '_' || text[length] == ':')
		length++;
	assert_true(length > 0 && !isdigit((unsigned char)text[0]));
	return length;
}

/* Behind the labels, which begin at '{'. */
static const char *skip_labels(const char *at)
{
	assert_int_equal(*at++, '{');
	for (;;) {
		at += name_length(at);
		assert_int_equal(*at++, '=');
		assert_int_equal(*at++, '"');
		for (; *at != '"'; at++) {
			assert_int_not_equal(*at, '\0');
			if (*at == '\\')
				assert_non_null(memchr("\\\"n", *++at, 3));
		}
		if (*++at == '}')
			return at + 1;
		assert_int_equal(*at++, ',');
	}
}

static void read_type(struct reader *reader, const char *line)
{
	assert_int_equal(sscanf(line, "# TYPE %127s %15s", reader->family, reader->type), 2);
	for (size_t i = 0; i < reader->seen_count; i++)
		assert_string_not_equal(reader->seen[i], reader->family);
	assert_true(reader->seen_count < 128);
	strcpy(reader->seen[reader->seen_count++], reader->family);
	if (strcmp(reader->type, "counter") == 0)
		assert_string_equal(reader->family + strlen(reader->family) - 6, "_total");
	else
		assert_true(strcmp(reader->type, "gauge") == 0 ||
		            strcmp(reader->type, "histogram") == 0);
}

/* Buckets grow, the last is +Inf and the count. */
static void read_histogram(struct reader *reader, const char *line, const char *suffix,
                           const char *value)
{
	uint64_t number = strtoull(value, NULL, 10);

	if (strncmp(suffix, "_bucket{", 8) == 0) {
		assert_true(number >= reader->bucket);
		reader->bucket = number;
		assert_non_null(strstr(line, "le=\""));
	} else if (strncmp(suffix, "_count{", 7) == 0) {
		assert_int_equal(number, reader->bucket);
		reader->bucket = 0;
	} else {
		assert_int_equal(strncmp(suffix, "_sum{", 5), 0);
	}
}

static void read_sample(struct reader *reader, const char *line)
{
	size_t family = strlen(reader->family);
	const char *value = skip_labels(line + name_length(line));
	char *end;

	assert_int_equal(strncmp(line, reader->family, family), 0);
	assert_int_equal(*value++, ' ');
	strtod(value, &end);
	assert_true(end > value && *end == '\0');
	if (strcmp(reader->type, "histogram") == 0)
		read_histogram(reader, line, line + family, value);
	else
		assert_int_equal(line[family], '{');
	reader->samples++;
}

static size_t read_all(char *text)
{
	struct reader reader = {0};
	char *rest = text, *line;
	char help[128] = "";

	assert_int_equal(text[strlen(text) - 1], '\n');
	while ((line = strsep(&rest, "\n")) && rest) {
		if (sscanf(line, "# HELP %127s", help) == 1)
			continue;
		if (line[0] == '#') {
			read_type(&reader, line);
			assert_string_equal(help, reader.family);
		} else {
			read_sample(&reader, line);
		}
	}
	return reader.samples;
}

/* ---- JSON by Python ---- */

/* Runs a Python expression about `data`, the JSON; it has to be true. */
static void assert_json(struct metrics *const *list, size_t count, const char *expression)
{
	size_t length;
	char *text = metrics_json(list, count, &length);
	FILE *python;

	assert_non_null(text);
	setenv("EXPRESSION", expression, 1);
	python = popen("python3 -c 'import json, os, sys; "
	               "data = json.loads(sys.stdin.buffer.read().decode()); "
	               "p = data[\"programs\"][0] if data[\"programs\"] else None; "
	               "sys.exit(0 if eval(os.environ[\"EXPRESSION\"]) else 1)'",
	               "w");
	assert_non_null(python);
	assert_int_equal(fwrite(text, 1, length, python), length);
	if (pclose(python) != 0)
		fail_msg("not so: %s\n%s", expression, text);
	free(text);
}

static bool has_python(void)
{
	return system("python3 -c pass >/dev/null 2>&1") == 0;
}

/* ---- Tests ---- */

static int set_up(void **state)
{
	*state = metrics_create("p");
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	metrics_destroy(*state);
	return 0;
}

static void test_nothing_is_counted_at_first(void **state)
{
	assert_sample(*state, "kvmsandbox_requests_total{program=\"p\",class=\"2xx\"}", "0");
	assert_sample(*state, "kvmsandbox_request_duration_seconds_count{program=\"p\"}", "0");
	assert_sample(*state, "kvmsandbox_request_duration_seconds_sum{program=\"p\"}", "0");
}

static void test_a_request(void **state)
{
	metrics_request(*state, &answered);
	metrics_request(*state, &answered);
	assert_sample(*state, "kvmsandbox_requests_total{program=\"p\",class=\"2xx\"}", "2");
	assert_sample(*state,
	              "kvmsandbox_outcomes_total{program=\"p\",outcome=\"hypercall\","
	              "source=\"handler\"}",
	              "2");
	assert_sample(*state, "kvmsandbox_request_duration_seconds_sum{program=\"p\"}", "0.00008");
	assert_sample(*state, "kvmsandbox_queue_duration_seconds_sum{program=\"p\"}", "0.000002");
	assert_sample(*state, "kvmsandbox_run_duration_seconds_sum{program=\"p\"}", "0.00006");
	assert_sample(*state, "kvmsandbox_received_bytes_total{program=\"p\"}", "6");
	assert_sample(*state, "kvmsandbox_sent_bytes_total{program=\"p\"}", "10");
	assert_sample(*state, "kvmsandbox_kvm_runs_total{program=\"p\"}", "2");
}

static void assert_bucket(uint64_t nanoseconds, const char *edge, const char *below)
{
	struct metrics *metrics = metrics_create("p");
	struct metrics_sample sample = answered;
	char name[128];

	sample.total_ns = nanoseconds;
	metrics_request(metrics, &sample);
	snprintf(name, sizeof(name),
	         "kvmsandbox_request_duration_seconds_bucket{program=\"p\",le=\"%s\"}", edge);
	assert_sample(metrics, name, "1");
	if (below) {
		snprintf(name, sizeof(name),
		         "kvmsandbox_request_duration_seconds_bucket{program=\"p\",le=\"%s\"}",
		         below);
		assert_sample(metrics, name, "0");
	}
	assert_sample(metrics,
	              "kvmsandbox_request_duration_seconds_bucket{program=\"p\",le=\"+Inf\"}", "1");
	metrics_destroy(metrics);
}

/* A bucket includes its edge. */
static void test_edges_of_buckets(void **state)
{
	(void)state;
	assert_bucket(0, "0.00001", NULL);
	assert_bucket(10000, "0.00001", NULL);
	assert_bucket(10001, "0.000025", "0.00001");
	assert_bucket(1000000, "0.001", "0.0005");
	assert_bucket(1000001, "0.0025", "0.001");
	assert_bucket(UINT64_C(10000000000), "10", "5");
	assert_bucket(UINT64_C(10000000001), "+Inf", "10");
	assert_bucket(UINT64_MAX, "+Inf", "10");
}

static void assert_class(int status, const char *class)
{
	struct metrics *metrics = metrics_create("p");
	struct metrics_sample sample = answered;
	char name[128];

	sample.status = status;
	metrics_request(metrics, &sample);
	snprintf(name, sizeof(name), "kvmsandbox_requests_total{program=\"p\",class=\"%s\"}", class);
	assert_sample(metrics, name, "1");
	metrics_destroy(metrics);
}

static void test_classes(void **state)
{
	(void)state;
	assert_class(100, "1xx");
	assert_class(200, "2xx");
	assert_class(399, "3xx");
	assert_class(404, "4xx");
	assert_class(599, "5xx");
	assert_class(600, "none");
	assert_class(99, "none");
	assert_class(0, "none");
	assert_class(-1, "none");
}

static void assert_failure(enum kvmsb_outcome outcome, int32_t source, const char *kind)
{
	struct metrics *metrics = metrics_create("p");
	struct metrics_sample sample = answered;
	char name[128];

	sample.outcome = outcome;
	sample.source = source;
	metrics_request(metrics, &sample);
	snprintf(name, sizeof(name), "kvmsandbox_failures_total{program=\"p\",kind=\"%s\"}", kind);
	assert_sample(metrics, name, "1");
	assert_sample(metrics, "kvmsandbox_failed_run_seconds_total{program=\"p\"}", "0.00003");
	metrics_destroy(metrics);
}

static void test_failures(void **state)
{
	(void)state;
	assert_failure(KVMSB_OUTCOME_RETURNED, KVMSB_HTTP_FROM_HOST, "no_response");
	assert_failure(KVMSB_OUTCOME_EXITED, KVMSB_HTTP_FROM_ON_ERROR, "no_response");
	assert_failure(KVMSB_OUTCOME_FAULTED, KVMSB_HTTP_FROM_HOST, "faulted");
	assert_failure(KVMSB_OUTCOME_TIMED_OUT, KVMSB_HTTP_FROM_HOST, "timed_out");
	assert_failure(KVMSB_OUTCOME_OUT_OF_MEMORY, KVMSB_HTTP_FROM_HOST, "out_of_memory");
	assert_failure(KVMSB_OUTCOME_DENIED, KVMSB_HTTP_FROM_NOBODY, "denied");
	assert_failure(KVMSB_OUTCOME_INTERNAL, KVMSB_HTTP_FROM_HOST, "other");
	assert_failure((enum kvmsb_outcome)1000, 1000, "other");
	assert_failure((enum kvmsb_outcome) - 1, -1, "other");
}

/* A request that found no fork has not run, and has not failed in the guest. */
static void test_a_request_that_did_not_run(void **state)
{
	struct metrics_sample sample = {.status = 503, .total_ns = 5000};

	metrics_request(*state, &sample);
	assert_sample(*state, "kvmsandbox_requests_total{program=\"p\",class=\"5xx\"}", "1");
	assert_sample(
		*state,
		"kvmsandbox_outcomes_total{program=\"p\",outcome=\"not_run\",source=\"nobody\"}",
		"1");
	assert_sample(*state, "kvmsandbox_run_duration_seconds_count{program=\"p\"}", "0");
	assert_sample(*state, "kvmsandbox_failures_total{program=\"p\",kind=\"no_response\"}", "0");
}

static void test_resets(void **state)
{
	metrics_reset(*state, 250);
	metrics_reset(*state, 250);
	assert_sample(*state, "kvmsandbox_resets_total{program=\"p\"}", "2");
	assert_sample(*state, "kvmsandbox_reset_seconds_total{program=\"p\"}", "0.0000005");
}

static void test_fetches(void **state)
{
	struct metrics_fetch_sample fetch = {.duration_ns = 1000000};

	metrics_fetch(*state, &fetch);
	fetch.failed = true;
	metrics_fetch(*state, &fetch);
	fetch.is_self = true;
	metrics_fetch(*state, &fetch);
	assert_sample(*state, "kvmsandbox_fetches_total{program=\"p\"}", "2");
	assert_sample(*state, "kvmsandbox_fetches_failed_total{program=\"p\"}", "1");
	assert_sample(*state, "kvmsandbox_self_requests_total{program=\"p\"}", "1");
	assert_sample(*state, "kvmsandbox_self_requests_failed_total{program=\"p\"}", "1");
	assert_sample(*state, "kvmsandbox_fetch_seconds_total{program=\"p\"}", "0.003");
}

static void test_the_moment_and_the_machine(void **state)
{
	struct metrics_now now = {METRICS_READY, 2, 7, 3};
	struct metrics_program program = {"/p", "p.elf", 4, true};
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
	char *text = prometheus(*state);

	assert_null(strstr(text, "kvmsandbox_forks{"));
	free(text);
	statistics.machine_forks = 11;
	statistics.machine_guest_ns = 1500000000;
	statistics.machine_system_calls = 9;
	metrics_now(*state, &now);
	metrics_machine(*state, &statistics);
	assert_int_equal(metrics_describe(*state, &program), 0);
	assert_int_equal(metrics_describe(*state, &program), 0);
	assert_sample(*state, "kvmsandbox_ready{program=\"p\"}", "1");
	assert_sample(*state, "kvmsandbox_concurrency{program=\"p\"}", "4");
	assert_sample(*state, "kvmsandbox_busy{program=\"p\"}", "2");
	assert_sample(*state, "kvmsandbox_queued{program=\"p\"}", "7");
	assert_sample(*state, "kvmsandbox_fork_private_bytes{program=\"p\"}", "12288");
	assert_sample(*state, "kvmsandbox_forks{program=\"p\"}", "11");
	assert_sample(*state, "kvmsandbox_guest_seconds_total{program=\"p\"}", "1.5");
	assert_sample(*state, "kvmsandbox_exits_total{program=\"p\",reason=\"system_call\"}", "9");
}

/* An older host's struct is shorter; what is behind it is not read. */
static void test_a_short_struct_of_statistics(void **state)
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;

	statistics.machine_forks = 11;
	statistics.machine_roots_reused = 1;
	statistics.size = offsetof(struct kvmsb_statistics, machine_roots_reused);
	metrics_machine(*state, &statistics);
	assert_sample(*state, "kvmsandbox_forks{program=\"p\"}", "11");
	assert_sample(*state, "kvmsandbox_flushes_total{program=\"p\",kind=\"root_reused\"}", "0");
}

static void test_names_are_escaped(void **state)
{
	struct metrics *metrics = metrics_create(HOSTILE);

	(void)state;
	assert_sample(metrics, "kvmsandbox_ready{program=\"" HOSTILE_LABEL "\"}", "0");
	metrics_destroy(metrics);
}

/* Two programs, one of them with all kinds of samples. */
static void fill(struct metrics *list[2])
{
	struct kvmsb_statistics statistics = KVMSB_STATISTICS_INIT;
	struct metrics_sample sample = answered;

	list[0] = metrics_create(HOSTILE);
	list[1] = metrics_create("");
	metrics_machine(list[0], &statistics);
	for (unsigned i = 0; i < 20; i++) {
		sample.outcome = (enum kvmsb_outcome)i;
		sample.source = (int32_t)(i % 6);
		sample.status = (int)(i * 37);
		sample.total_ns *= 2;
		sample.exception = i % 2 ? HOSTILE : NULL;
		metrics_request(list[0], &sample);
	}
}

static void test_the_format_of_prometheus(void **state)
{
	struct metrics *list[2];
	size_t length;
	char *text;

	(void)state;
	fill(list);
	text = metrics_prometheus(list, 2, &length);
	assert_non_null(text);
	assert_in_range(read_all(text), 150, 1000);
	free(text);
	text = metrics_prometheus(list, 0, &length);
	assert_non_null(text);
	assert_int_equal(read_all(text), 1);
	free(text);
	metrics_destroy(list[0]);
	metrics_destroy(list[1]);
}

static void test_json(void **state)
{
	struct metrics_program program = {"/p", NULL, 4, true};
	struct metrics *list[2];

	(void)state;
	if (!has_python())
		skip();
	fill(list);
	assert_int_equal(metrics_describe(list[0], &program), 0);
	assert_json(list, 0, "data['programs'] == [] and len(data['bounds']) == 19");
	assert_json(list, 2,
	            "len(data['programs']) == 2 and p['requests'] == 20 and p['route'] == '/p' and "
	            "p['file'] is None and p['ephemeral'] and p['concurrency'] == 4 and "
	            "p['state'] == 'starting' and sum(p['classes'].values()) == 20 and "
	            "sum(p['latency']['counts']) == 20 and len(p['latency']['counts']) == 20 and "
	            "p['machine']['forks'] == 0 and data['programs'][1]['machine'] is None");
	assert_json(list, 2,
	            "p['program'] == 'a\"b\\\\c\\nd\\x01<img src=x>\\ufffd\\u00e4' and "
	            "len(p['exceptions']) == 8 and p['exceptions'][0]['text'] == p['program']");
	metrics_destroy(list[0]);
	metrics_destroy(list[1]);
}

static void test_the_latest_exceptions_come_first(void **state)
{
	struct metrics_sample sample = answered;
	struct metrics *list[1] = {*state};
	char text[300];

	if (!has_python())
		skip();
	sample.source = KVMSB_HTTP_FROM_HOST;
	sample.outcome = KVMSB_OUTCOME_FAULTED;
	sample.exception = text;
	for (int i = 0; i < 11; i++) {
		snprintf(text, sizeof(text), "%d %0250d", i, 0);
		metrics_request(*state, &sample);
	}
	assert_json(list, 1,
	            "[e['text'].split()[0] for e in p['exceptions']] == "
	            "['10', '9', '8', '7', '6', '5', '4', '3'] and "
	            "{len(e['text']) for e in p['exceptions']} == {199} and "
	            "{e['kind'] for e in p['exceptions']} == {'faulted'}");
}

#define COUNTED 200000

static void *count_many(void *metrics)
{
	for (int i = 0; i < COUNTED; i++)
		metrics_request(metrics, &answered);
	return NULL;
}

static void test_two_threads_lose_nothing(void **state)
{
	pthread_t threads[2];
	char *text;

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, *state), 0);
	for (int i = 0; i < 20; i++) {
		text = prometheus(*state);
		read_all(text);
		free(text);
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_sample(*state, "kvmsandbox_requests_total{program=\"p\",class=\"2xx\"}", "400000");
	assert_sample(*state, "kvmsandbox_sent_bytes_total{program=\"p\"}", "2000000");
	assert_sample(*state, "kvmsandbox_request_duration_seconds_count{program=\"p\"}", "400000");
	assert_sample(*state, "kvmsandbox_request_duration_seconds_sum{program=\"p\"}", "16");
}

static void test_destroying_nothing(void **state)
{
	(void)state;
	metrics_destroy(NULL);
}

int main(void)
{
#define WITH_METRICS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_METRICS(test_nothing_is_counted_at_first),
		WITH_METRICS(test_a_request),
		cmocka_unit_test(test_edges_of_buckets),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_failures),
		WITH_METRICS(test_a_request_that_did_not_run),
		WITH_METRICS(test_resets),
		WITH_METRICS(test_fetches),
		WITH_METRICS(test_the_moment_and_the_machine),
		WITH_METRICS(test_a_short_struct_of_statistics),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_the_format_of_prometheus),
		cmocka_unit_test(test_json),
		WITH_METRICS(test_the_latest_exceptions_come_first),
		WITH_METRICS(test_two_threads_lose_nothing),
		cmocka_unit_test(test_destroying_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
