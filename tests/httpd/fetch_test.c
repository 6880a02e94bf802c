/* SPDX-License-Identifier: MIT */
/*
 * Fetches by libcurl against a server of this test: what is sent and what comes back,
 * and above all what guests cannot reach: hosts without a rule, other schemes, other
 * hosts by a redirect, other programs' messages by framing of their own.
 */
#include "../../examples/httpd/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

/* ---- In place of the library's: an answer in the test's memory ---- */

struct kvmsb_fetch_answer {
	unsigned told; /* calls of kvmsb_fetch_status() */
	uint32_t status;
	char content_type[128];
	char head[4096];
	size_t head_length;
	char body[4096];
	size_t body_length, body_room;
};

void kvmsb_fetch_status(struct kvmsb_fetch_answer *answer, uint32_t status, const char *content_type)
{
	answer->told++;
	answer->status = status;
	snprintf(answer->content_type, sizeof(answer->content_type), "%s",
	         content_type ? content_type : "");
}

static int store(char *buffer, size_t room, size_t *used, const void *data, size_t length)
{
	if (length > room - *used)
		return -ENOSPC;
	memcpy(buffer + *used, data, length);
	*used += length;
	return 0;
}

int kvmsb_fetch_head(struct kvmsb_fetch_answer *answer, const void *data, size_t length)
{
	return store(answer->head, sizeof(answer->head) - 1, &answer->head_length, data, length);
}

int kvmsb_fetch_body(struct kvmsb_fetch_answer *answer, const void *data, size_t length)
{
	return store(answer->body, answer->body_room, &answer->body_length, data, length);
}

/* ---- Fixture ---- */

struct server {
	pid_t process;
	int input; /* its end ends the server */
	unsigned port;
	unsigned tls_port; /* 0: there is none */
};

struct fixture {
	struct server server;
	struct fetcher *fetcher;
	struct fetch_rules rules;
	struct kvmsb_fetch fetch;
	struct kvmsb_fetch_answer answer;
	char url[1100];
};

static void run_server(const int input[2], const int output[2])
{
	dup2(input[0], 0);
	dup2(output[1], 1);
	for (int i = 0; i < 2; i++) {
		close(input[i]);
		close(output[i]);
	}
	execl(TEST_FETCH_SERVER, TEST_FETCH_SERVER, "tls", (char *)NULL);
	_exit(1);
}

/* A whole line: the server must not find nobody who reads it to its end. */
static int read_ports(struct server *server, int output)
{
	FILE *file = fdopen(output, "r");
	char line[32] = "";

	if (!file || !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	return sscanf(line, "%u %u", &server->port, &server->tls_port) == 2 ? 0 : -1;
}

static int start_server(struct server *server)
{
	int input[2], output[2];

	if (pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		return -1;
	server->process = fork();
	if (server->process == 0)
		run_server(input, output);
	close(input[0]);
	close(output[1]);
	server->input = input[1];
	return read_ports(server, output[0]);
}

static void stop_server(struct server *server)
{
	close(server->input);
	waitpid(server->process, NULL, 0);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void allow(struct fixture *fixture, const char *host)
{
	char rule[64];

	snprintf(rule, sizeof(rule), "%s:%u", host, fixture->server.port);
	assert_int_equal(fetch_rules_add(&fixture->rules, rule), 0);
}

static int set_up_all(void **state)
{
	static struct server server;

	*state = &server;
	return start_server(&server);
}

static int tear_down_all(void **state)
{
	stop_server(*state);
	return 0;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char self[64];

	fixture->server = *(struct server *)*state;
	snprintf(self, sizeof(self), "http://127.0.0.1:%u", fixture->server.port);
	fixture->fetcher = fetcher_create(self);
	assert_non_null(fixture->fetcher);
	allow(fixture, "127.0.0.1");
	fixture->fetch.size = sizeof(fixture->fetch);
	fixture->fetch.deadline_ns = now() + 30 * SECOND;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	fetcher_destroy(fixture->fetcher);
	fetch_rules_clear(&fixture->rules);
	free(fixture);
	return 0;
}

/* Of an url as it is. */
static int fetch_url(struct fixture *fixture, const char *url)
{
	fixture->answer = (struct kvmsb_fetch_answer){.body_room = sizeof(fixture->answer.body) - 1};
	fixture->fetch.url = url;
	fixture->fetch.url_length = strlen(url);
	return fetch_by_curl(fixture->fetcher, &fixture->rules, &fixture->fetch, &fixture->answer);
}

/* Of a path of the test's server. */
static int fetch(struct fixture *fixture, const char *host, const char *path)
{
	snprintf(fixture->url, sizeof(fixture->url), "http://%s:%u%s", host, fixture->server.port,
	         path);
	return fetch_url(fixture, fixture->url);
}

/* Of a redirect to a path of the test's server under that name. */
static int redirect(struct fixture *fixture, unsigned status, const char *host, const char *path)
{
	char from[512];

	snprintf(from, sizeof(from), "/redirect/%u?http://%s:%u%s", status, host,
	         fixture->server.port, path);
	return fetch(fixture, "127.0.0.1", from);
}

static bool has(const struct fixture *fixture, const char *text)
{
	return strstr(fixture->answer.body, text) != NULL;
}

static void assert_shown(const struct fixture *fixture, const char *text)
{
	if (!has(fixture, text))
		fail_msg("no %s in: %s", text, fixture->answer.body);
}

static void add_fields(struct fixture *fixture, struct kvmsb_http_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fields[i].length = strlen(fields[i].text);
	fixture->fetch.fields = fields;
	fixture->fetch.field_count = count;
}

static void add_body(struct fixture *fixture, const struct iovec *pieces, size_t count)
{
	fixture->fetch.body = pieces;
	fixture->fetch.body_count = count;
	for (size_t i = 0; i < count; i++)
		fixture->fetch.body_length += pieces[i].iov_len;
}

/* ---- Rules ---- */

static void test_texts_of_rules(void **state)
{
	static const char *const good[] = {
		"example.org", "example.org:8080", "*.example.org", "*",
		"*:*",         "[::1]:80",         "[::1]",         "1.2.3.4:*"};
	static const char *const bad[] = {
		"",
		":80",
		"example.org:",
		"example.org:0",
		"example.org:65536",
		"*.",
		"*.:80",
		"*example.org",
		"[]",
		"[::1",
		"::1",
		"a b",
		"http://a",
		"a/",
		"user@a",
		"a:80x",
		"a: 80",
		"a:-1",
		"a:*x",
		"[x]",
	};
	struct fetch_rules rules = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(fetch_rules_add(&rules, good[i]), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fetch_rules_add(&rules, bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(rules.count, sizeof(good) / sizeof(good[0]));
	fetch_rules_clear(&rules);
	assert_int_equal(rules.count, 0);
}

static bool allows(const char *rule, const char *host, uint32_t port, bool port_is_default)
{
	struct fetch_rules rules = {0};
	bool result;

	assert_int_equal(fetch_rules_add(&rules, rule), 0);
	result = fetch_rules_allow(&rules, host, port, port_is_default);
	fetch_rules_clear(&rules);
	return result;
}

static void test_what_rules_allow(void **state)
{
	const struct fetch_rules none = {0};

	(void)state;
	assert_false(fetch_rules_allow(&none, "example.org", 80, true));
	assert_true(allows("Example.org", "eXample.ORG", 443, true));
	assert_false(allows("example.org", "example.org", 8080, false));
	assert_true(allows("example.org:8080", "example.org", 8080, false));
	assert_false(allows("example.org:8080", "example.org", 80, true));
	assert_true(allows("example.org:*", "example.org", 22, false));
	assert_false(allows("example.org", "www.example.org", 80, true));
	assert_false(allows("example.org", "example.org.", 80, true));
	assert_false(allows("*.example.org", "example.org", 80, true));
	assert_false(allows("*.example.org", "badexample.org", 80, true));
	assert_false(allows("*.example.org", ".example.org.evil", 80, true));
	assert_true(allows("*.example.org", "a.b.example.org", 80, true));
	assert_true(allows("*", "anything", 80, true));
	assert_false(allows("*", "anything", 81, false));
	assert_true(allows("[::1]:*", "[::1]", 1, false));
}

/* ---- What is sent and what comes back ---- */

static void test_get(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fetch(fixture, "127.0.0.1", "/show?a=b"), 0);
	assert_int_equal(fixture->answer.told, 1);
	assert_int_equal(fixture->answer.status, 200);
	assert_string_equal(fixture->answer.content_type, "text/plain");
	assert_int_equal(strncmp(fixture->answer.head, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_string_equal(fixture->answer.head + fixture->answer.head_length - 4, "\r\n\r\n");
	assert_shown(fixture, "GET /show?a=b\n");
	assert_shown(fixture, "body 0 ");
	assert_false(has(fixture, "field Expect"));
}

static void test_head(void **state)
{
	struct fixture *fixture = *state;
	char text[] = "body";
	const struct iovec piece = {text, 4};

	fixture->fetch.only_head = 1;
	add_body(fixture, &piece, 1);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	assert_int_equal(fixture->answer.told, 1);
	assert_int_equal(fixture->answer.status, 200);
	assert_int_equal(fixture->answer.body_length, 0);
	assert_non_null(strstr(fixture->answer.head, "Content-Length: "));
}

static void test_a_body_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	char a[] = "ab", c[] = "c";
	const struct iovec pieces[] = {{a, 2}, {NULL, 0}, {c, 1}, {NULL, 0}};

	add_body(fixture, pieces, 4);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	assert_shown(fixture, "POST /show\n");
	assert_shown(fixture,
	             "body 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
	assert_false(has(fixture, "field Expect"));
	assert_false(has(fixture, "field Transfer-Encoding"));
}

/* 3 MB of zeros, sent twice. */
static void test_a_large_body_is_sent_again_after_307(void **state)
{
	struct fixture *fixture = *state;
	char *data = calloc(1, 1000000);
	const struct iovec pieces[] = {{data, 1000000}, {data, 1000000}, {data, 1000000}};

	add_body(fixture, pieces, 3);
	fixture->fetch.follow_redirects = 1;
	assert_int_equal(redirect(fixture, 307, "127.0.0.1", "/show"), 0);
	assert_shown(fixture, "POST /show\n");
	assert_shown(
		fixture,
		"body 3000000 35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f\n");
	free(data);
}

static void test_a_post_is_a_get_after_302(void **state)
{
	struct fixture *fixture = *state;
	char text[] = "body";
	const struct iovec piece = {text, 4};

	add_body(fixture, &piece, 1);
	fixture->fetch.follow_redirects = 1;
	assert_int_equal(redirect(fixture, 302, "127.0.0.1", "/show"), 0);
	assert_int_equal(fixture->answer.told, 1);
	assert_int_equal(fixture->answer.status, 200);
	assert_shown(fixture, "GET /show\n");
	assert_false(has(fixture, "not this"));
}

static void test_a_redirect_that_is_not_to_be_followed(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(redirect(fixture, 302, "127.0.0.1", "/show"), 0);
	assert_int_equal(fixture->answer.status, 302);
	assert_string_equal(fixture->answer.body, "not this");
}

static void test_redirects_without_end(void **state)
{
	struct fixture *fixture = *state;

	fixture->fetch.follow_redirects = 1;
	assert_int_equal(fetch(fixture, "127.0.0.1", "/loop"), -CURLE_TOO_MANY_REDIRECTS);
	assert_int_equal(fixture->answer.told, 0);
}

static void test_a_relative_redirect(void **state)
{
	struct fixture *fixture = *state;

	fixture->fetch.follow_redirects = 1;
	assert_int_equal(fetch(fixture, "127.0.0.1", "/redirect/303?../show?x"), 0);
	assert_shown(fixture, "GET /show?x\n");
}

static void test_fields(void **state)
{
	struct fixture *fixture = *state;
	struct kvmsb_http_field fields[] = {
		{"X-One: 1", 0}, {"X-Empty:", 0}, {"X-Space:  ", 0}, {"User-Agent: guest", 0}};

	add_fields(fixture, fields, 4);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	assert_shown(fixture, "field X-One: 1\n");
	assert_shown(fixture, "field X-Empty: \n");
	assert_shown(fixture, "field X-Space: \n");
	assert_shown(fixture, "field User-Agent: guest\n");
}

/* It would put a second message, with another program's name on it, onto a connection. */
static void test_framing_is_not_the_guests(void **state)
{
	struct fixture *fixture = *state;
	struct kvmsb_http_field fields[] = {
		{"Content-Length: 1", 0},      {"transfer-encoding: chunked", 0},
		{"Connection: close", 0},      {"Expect: 100-continue", 0},
		{"Proxy-Authorization: x", 0}, {"Upgrade: h2c", 0}};
	char text[] = "abc";
	const struct iovec piece = {text, 3};

	add_fields(fixture, fields, 6);
	add_body(fixture, &piece, 1);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	assert_shown(fixture, "body 3 ");
	assert_shown(fixture, "field Content-Length: 3\n");
	assert_false(has(fixture, "field Connection"));
	assert_false(has(fixture, "field Expect"));
	assert_false(has(fixture, "field Proxy"));
	assert_false(has(fixture, "field Upgrade"));
	assert_false(has(fixture, "chunked"));
}

static void test_trailers_are_no_head(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fetch(fixture, "127.0.0.1", "/trailer"), 0);
	assert_string_equal(fixture->answer.body, "abc");
	assert_null(strstr(fixture->answer.head, "Trailing"));
	assert_string_equal(fixture->answer.content_type, "");
}

static void test_a_connection_is_kept(void **state)
{
	struct fixture *fixture = *state;
	char first[sizeof(fixture->answer.body)];

	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	strcpy(first, fixture->answer.body);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	assert_string_equal(fixture->answer.body, first);
}

static void test_the_interface(void **state)
{
	struct fixture *fixture = *state;

	fixture->fetch.interface = "127.0.0.1";
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
	fixture->fetch.interface = "no-such-one";
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), -CURLE_INTERFACE_FAILED);
	/* A name of a host, that is not looked up. */
	fixture->fetch.interface = "localhost";
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), -CURLE_INTERFACE_FAILED);
}

/* ---- What guests cannot reach ---- */

static void test_hosts_without_a_rule(void **state)
{
	struct fixture *fixture = *state;
	const struct fetch_rules none = {0};

	assert_int_equal(fetch(fixture, "localhost", "/show"), -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch_url(fixture, "http://127.0.0.1/"), -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch_url(fixture, "http://127.0.0.1:1/"), -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch_by_curl(fixture->fetcher, &none, &fixture->fetch, &fixture->answer),
	                 -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fixture->answer.told, 0);
}

/* The host is what is behind the '@', and what an address is, not how it is written. */
static void test_urls_that_look_like_others(void **state)
{
	struct fixture *fixture = *state;
	char url[128];

	assert_int_equal(fetch_url(fixture, "http://127.0.0.1@localhost/"),
	                 -CURLE_REMOTE_ACCESS_DENIED);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u@localhost/", fixture->server.port);
	assert_int_equal(fetch_url(fixture, url), -CURLE_REMOTE_ACCESS_DENIED);
	snprintf(url, sizeof(url), "http://localhost:%u#@127.0.0.1/", fixture->server.port);
	assert_int_equal(fetch_url(fixture, url), -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch(fixture, "0x7f.1", "/show"), 0);
	assert_int_equal(fetch(fixture, "127.0.0.2", "/show"), -CURLE_REMOTE_ACCESS_DENIED);
}

static void test_other_schemes(void **state)
{
	struct fixture *fixture = *state;
	static const char *const urls[] = {"file:///etc/passwd", "FILE:///etc/passwd",
	                                   "ftp://127.0.0.1/",   "gopher://127.0.0.1/",
	                                   "dict://127.0.0.1/",  "scp://127.0.0.1/",
	                                   "ftp.example.org"};

	assert_int_equal(fetch_rules_add(&fixture->rules, "*:*"), 0);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		int result = fetch_url(fixture, urls[i]);

		if (result != -CURLE_UNSUPPORTED_PROTOCOL && result != -CURLE_URL_MALFORMAT)
			fail_msg("%s: %d", urls[i], result);
		assert_int_equal(fixture->answer.told, 0);
	}
}

static void test_redirects_to_what_is_not_allowed(void **state)
{
	struct fixture *fixture = *state;

	fixture->fetch.follow_redirects = 1;
	assert_int_equal(redirect(fixture, 302, "localhost", "/show"), -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/redirect/302?http://127.0.0.1:1/"),
	                 -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/redirect/302?file:///etc/passwd"),
	                 -CURLE_UNSUPPORTED_PROTOCOL);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/redirect/302?//localhost/"),
	                 -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fixture->answer.told, 0);
	assert_int_equal(fixture->answer.body_length, 0);
}

static void test_secrets_stay_with_their_host(void **state)
{
	struct fixture *fixture = *state;
	struct kvmsb_http_field fields[] = {
		{"Authorization: a", 0}, {"Cookie: b", 0}, {"Host: c", 0}, {"X-Other: d", 0}};

	allow(fixture, "localhost");
	add_fields(fixture, fields, 4);
	fixture->fetch.follow_redirects = 1;
	assert_int_equal(redirect(fixture, 302, "127.0.0.1", "/show"), 0);
	assert_shown(fixture, "field Authorization: a\n");
	assert_shown(fixture, "field Cookie: b\n");
	assert_shown(fixture, "field Host: c\n");
	assert_int_equal(redirect(fixture, 302, "localhost", "/show"), 0);
	assert_false(has(fixture, "field Authorization"));
	assert_false(has(fixture, "field Cookie"));
	assert_false(has(fixture, "field Host: c"));
	assert_shown(fixture, "field X-Other: d\n");
}

static void test_broken_urls(void **state)
{
	struct fixture *fixture = *state;
	char url[] = "http://127.0.0.1/\0x";

	assert_int_equal(fetch_url(fixture, "http://127.0.0.1/a b"), -CURLE_URL_MALFORMAT);
	assert_int_equal(fetch_url(fixture, "http://"), -CURLE_URL_MALFORMAT);
	assert_int_equal(fetch_url(fixture, "http://127.0.0.1:99999/"), -CURLE_URL_MALFORMAT);
	assert_int_equal(fetch_url(fixture, "http://127.0.0.1/\r\nX: y"), -CURLE_URL_MALFORMAT);
	fixture->fetch.url = url;
	fixture->fetch.url_length = sizeof(url) - 1;
	assert_int_equal(
		fetch_by_curl(fixture->fetcher, &fixture->rules, &fixture->fetch, &fixture->answer),
		-CURLE_URL_MALFORMAT);
}

/* Also where the guest does not want the name in it to be compared. */
static void test_a_certificate_that_nobody_vouches_for(void **state)
{
	struct fixture *fixture = *state;
	char url[64];

	if (fixture->server.tls_port == 0)
		skip();
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/show", fixture->server.tls_port);
	assert_int_equal(fetch_rules_add(&fixture->rules, "127.0.0.1:*"), 0);
	assert_int_equal(fetch_url(fixture, url), -CURLE_PEER_FAILED_VERIFICATION);
	fixture->fetch.no_host_check = 1;
	assert_int_equal(fetch_url(fixture, url), -CURLE_PEER_FAILED_VERIFICATION);
	assert_int_equal(fixture->answer.told, 0);
}

static void test_proxies_of_the_environment(void **state)
{
	struct fixture *fixture = *state;
	int result;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	result = fetch(fixture, "127.0.0.1", "/show");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	assert_int_equal(result, 0);
}

/* ---- Failures ---- */

static void test_the_guests_time_is_over(void **state)
{
	struct fixture *fixture = *state;
	uint64_t begin = now();

	fixture->fetch.deadline_ns = begin + SECOND / 5;
	assert_int_equal(fetch(fixture, "127.0.0.1", "/slow"), -CURLE_OPERATION_TIMEDOUT);
	assert_in_range(now() - begin, SECOND / 10, SECOND * 9 / 10);
	fixture->fetch.deadline_ns = begin;
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), -CURLE_OPERATION_TIMEDOUT);
	assert_int_equal(fixture->answer.told, 0);
}

static void test_nobody_listens(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fetch_rules_add(&fixture->rules, "127.0.0.1:1"), 0);
	assert_int_equal(fetch_url(fixture, "http://127.0.0.1:1/"), -CURLE_COULDNT_CONNECT);
}

static void test_the_guests_room_is_used_up(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fetch(fixture, "127.0.0.1", "/large"), -CURLE_WRITE_ERROR);
	assert_int_equal(fetch(fixture, "127.0.0.1", "/show"), 0);
}

static void test_a_body_that_ends_too_soon(void **state)
{
	assert_int_equal(fetch(*state, "127.0.0.1", "/short"), -CURLE_PARTIAL_FILE);
}

/* ---- This server itself ---- */

static void test_requests_to_the_server_itself(void **state)
{
	struct fixture *fixture = *state;
	struct fetcher *without = fetcher_create(NULL);

	fetch_rules_clear(&fixture->rules);
	assert_int_equal(fetch_url(fixture, "/show?x"), 0);
	assert_shown(fixture, "GET /show?x\n");
	assert_int_equal(fetch_url(fixture, "//localhost/show"), 0);
	assert_shown(fixture, "localhost/show\n");
	fixture->fetch.follow_redirects = 1;
	assert_int_equal(fetch_url(fixture, "/redirect/302?/show"), 0);
	assert_int_equal(fetch_url(fixture, "/redirect/302?http://localhost/"),
	                 -CURLE_REMOTE_ACCESS_DENIED);
	assert_int_equal(fetch_by_curl(without, &fixture->rules, &fixture->fetch, &fixture->answer),
	                 -CURLE_UNSUPPORTED_PROTOCOL);
	fetcher_destroy(without);
}

#define THREADS 60

struct caller {
	struct fixture fixture;
	pthread_t thread;
	int result;
};

static void *call_self(void *user)
{
	struct caller *caller = user;

	caller->result = fetch_url(&caller->fixture, "/slow");
	return NULL;
}

static void test_no_more_than_fifty_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller *callers = calloc(THREADS, sizeof(*callers));
	unsigned done = 0, refused = 0;

	for (size_t i = 0; i < THREADS; i++) {
		callers[i].fixture = *fixture;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_self, &callers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		done += callers[i].result == 0;
		refused += callers[i].result == -CURLE_UNSUPPORTED_PROTOCOL;
	}
	assert_int_equal(done, FETCH_SELF_MAXIMUM);
	assert_int_equal(refused, THREADS - FETCH_SELF_MAXIMUM);
	assert_int_equal(fetch_url(fixture, "/show"), 0);
	free(callers);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_of_rules),
		cmocka_unit_test(test_what_rules_allow),
		WITH_SERVER(test_get),
		WITH_SERVER(test_head),
		WITH_SERVER(test_a_body_in_pieces),
		WITH_SERVER(test_a_large_body_is_sent_again_after_307),
		WITH_SERVER(test_a_post_is_a_get_after_302),
		WITH_SERVER(test_a_redirect_that_is_not_to_be_followed),
		WITH_SERVER(test_redirects_without_end),
		WITH_SERVER(test_a_relative_redirect),
		WITH_SERVER(test_fields),
		WITH_SERVER(test_framing_is_not_the_guests),
		WITH_SERVER(test_trailers_are_no_head),
		WITH_SERVER(test_a_connection_is_kept),
		WITH_SERVER(test_the_interface),
		WITH_SERVER(test_hosts_without_a_rule),
		WITH_SERVER(test_urls_that_look_like_others),
		WITH_SERVER(test_other_schemes),
		WITH_SERVER(test_redirects_to_what_is_not_allowed),
		WITH_SERVER(test_secrets_stay_with_their_host),
		WITH_SERVER(test_broken_urls),
		WITH_SERVER(test_a_certificate_that_nobody_vouches_for),
		WITH_SERVER(test_proxies_of_the_environment),
		WITH_SERVER(test_the_guests_time_is_over),
		WITH_SERVER(test_nobody_listens),
		WITH_SERVER(test_the_guests_room_is_used_up),
		WITH_SERVER(test_a_body_that_ends_too_soon),
		WITH_SERVER(test_requests_to_the_server_itself),
		WITH_SERVER(test_no_more_than_fifty_at_once),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
