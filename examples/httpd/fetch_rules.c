/* SPDX-License-Identifier: MIT */
/*
 * Which hosts guests may reach. What is compared is the host as libcurl has taken
 * it out of the url, and connects to: there is no second reading of urls here that
 * could understand one differently.
 */
#include "fetch.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
#define ADDRESS_CHARACTERS "0123456789abcdefABCDEF:."

/* Bytes of the host that `text` begins with; 0: none. */
static size_t host_length(const char *text)
{
	size_t length;

	if (text[0] == '[') {
		length = 1 + strspn(text + 1, ADDRESS_CHARACTERS);
		return length > 1 && text[length] == ']' ? length + 1 : 0;
	}
	if (text[0] == '*')
		return text[1] == '.' ? 2 + strspn(text + 2, NAME_CHARACTERS) : 1;
	return strspn(text, NAME_CHARACTERS);
}

/* What is behind the host. */
static int parse_port(const char *text, uint32_t *port)
{
	unsigned long number;
	char *end;

	*port = FETCH_PORT_DEFAULT;
	if (*text == '\0')
		return 0;
	if (*text++ != ':')
		return -EINVAL;
	if (strcmp(text, "*") == 0) {
		*port = FETCH_PORT_ANY;
		return 0;
	}
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != '\0' || number == 0 || number > 65535)
		return -EINVAL;
	*port = (uint32_t)number;
	return 0;
}

int fetch_rules_add(struct fetch_rules *rules, const char *text)
{
	size_t length = host_length(text);
	struct fetch_rule rule, *grown;

	if (length == 0 || (length == 2 && text[0] == '*') || parse_port(text + length, &rule.port))
		return -EINVAL;
	grown = realloc(rules->rule, (rules->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	rules->rule = grown;
	rule.host = strndup(text, length);
	if (!rule.host)
		return -ENOMEM;
	grown[rules->count++] = rule;
	return 0;
}

void fetch_rules_clear(struct fetch_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->rule[i].host);
	free(rules->rule);
	*rules = (struct fetch_rules){0};
}

/* "*.example.org" is for www.example.org, and not for example.org. */
static bool host_matches(const char *pattern, const char *host)
{
	size_t host_length = strlen(host), tail_length;

	if (pattern[0] != '*')
		return strcasecmp(pattern, host) == 0;
	tail_length = strlen(++pattern);
	return host_length > tail_length &&
	       strcasecmp(host + host_length - tail_length, pattern) == 0;
}

bool fetch_rules_allow(const struct fetch_rules *rules, const char *host, uint32_t port,
                       bool port_is_default)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct fetch_rule *rule = &rules->rule[i];

		if (!host_matches(rule->host, host))
			continue;
		if (rule->port == FETCH_PORT_ANY || rule->port == port ||
		    (rule->port == FETCH_PORT_DEFAULT && port_is_default))
			return true;
	}
	return false;
}
