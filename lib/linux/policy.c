/* SPDX-License-Identifier: MIT */
/*
 * The allow-list of paths: rules opened once, openat2(2) beneath directories.
 */
#include "policy.h"

#include "../error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

struct policy {
	_Atomic uint32_t descriptors; /* taken */
	size_t count;
	struct policy_rule rules[];
};

/* Never waits, whatever the path turns out to be; never leaks into a child of the host. */
#define OPEN_SAFELY (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/*
 * One openat2(2). -EAGAIN says that something was renamed meanwhile and that
 * the kernel could not tell whether ".." of a link stayed beneath.
 */
static int open_how(int directory, const char *path, struct open_how how)
{
	long result;

	how.flags |= how.flags & O_PATH ? O_CLOEXEC : OPEN_SAFELY;
	how.resolve |= RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	for (int attempt = 0; attempt < 32; attempt++) {
		result = syscall(SYS_openat2, directory, path, &how, sizeof(how));
		if (result >= 0)
			return (int)result;
		if (errno != EAGAIN && errno != EINTR)
			/* The host's own limit is like a full system to the guest. */
			return errno == EMFILE ? -ENFILE : -errno;
	}
	return -EACCES;
}

/* Without links, one on the way is -ELOOP to the kernel, as too many of them are. */
static int open_beneath(int directory, const char *path, int flags, bool by_hand)
{
	int result = open_how(directory, path,
	                      (struct open_how){
				      .flags = (unsigned)flags,
				      .resolve = by_hand ? RESOLVE_NO_SYMLINKS : 0,
			      });

	return by_hand && result == -ELOOP ? -EXDEV : result;
}

/* Whether it lies in a procfs, where /proc/self is the host's process, memory and all; or may. */
static bool is_in_procfs(int descriptor)
{
	struct statfs status;

	return fstatfs(descriptor, &status) != 0 || status.f_type == PROC_SUPER_MAGIC;
}

/*
 * Making it.
 */

static int refuse(struct kvmsb_error *error, int code, const struct kvmsb_path_rule *rule,
                  const char *reason)
{
	return error_set(error, code, "path rule \"%s\": %s", rule->path ? rule->path : "(null)",
	                 reason);
}

/* For a call of the host that failed with `code`. */
static int refuse_as_host(struct kvmsb_error *error, int code, const struct kvmsb_path_rule *rule)
{
	errno = -code;
	return error_set(error, code, "path rule \"%s\": %m", rule->path);
}

static const char *host_path(const struct kvmsb_path_rule *rule)
{
	return rule->target ? rule->target : rule->path;
}

static int access_mode(const struct policy_rule *rule)
{
	if (!(rule->access & KVMSB_PATH_WRITE))
		return O_RDONLY;
	return rule->access & KVMSB_PATH_READ ? O_RDWR : O_WRONLY;
}

/* A look at what it is comes first: opening a device can have effects. */
static int check_kind(const struct kvmsb_path_rule *source, struct policy_rule *rule,
                      struct kvmsb_error *error)
{
	struct stat status;

	if (stat(host_path(source), &status))
		return refuse_as_host(error, -errno, source);
	rule->directory = S_ISDIR(status.st_mode);
	if (!rule->directory && !S_ISREG(status.st_mode))
		return refuse(error, -EINVAL, source, "neither a regular file nor a directory");
	if (rule->directory && source->kind == KVMSB_PATH_FILE)
		return refuse(error, -EISDIR, source, "is a directory, not a file");
	if (!rule->directory && source->kind == KVMSB_PATH_DIRECTORY)
		return refuse(error, -ENOTDIR, source, "is not a directory");
	return 0;
}

static int check_opened(const struct kvmsb_path_rule *source, const struct policy_rule *rule,
                        struct kvmsb_error *error)
{
	struct stat status;
	int probe;

	if (fstat(rule->descriptor, &status))
		return refuse_as_host(error, -errno, source);
	if (!rule->directory)
		return S_ISREG(status.st_mode) ? 0 : refuse(error, -EINVAL, source, "was replaced");
	if (is_in_procfs(rule->descriptor))
		return refuse(error, -EINVAL, source,
		              "lies in procfs, which shows the host's own process: allow single "
		              "files of it");
	probe = open_beneath(rule->descriptor, ".", O_PATH, false);
	if (probe == -ENOSYS || probe == -EPERM)
		return refuse(error, -EOPNOTSUPP, source,
		              "rules for directories need openat2(2): Linux 5.6, and a seccomp "
		              "filter that allows it");
	if (probe < 0)
		return refuse_as_host(error, probe, source);
	close(probe);
	return 0;
}

static int open_rule(const struct kvmsb_path_rule *source, struct policy_rule *rule,
                     struct kvmsb_error *error)
{
	int flags;
	int result = check_kind(source, rule, error);

	if (result)
		return result;
	flags = rule->directory ? O_PATH | O_DIRECTORY | O_CLOEXEC : access_mode(rule) | OPEN_SAFELY;
	rule->descriptor = open(host_path(source), flags);
	if (rule->descriptor < 0)
		return refuse_as_host(error, -errno, source);
	return check_opened(source, rule, error);
}

static int check_rule(const struct kvmsb_path_rule *source, struct kvmsb_error *error)
{
	if (!source->path || source->path[0] != '/')
		return refuse(error, -EINVAL, source, "is not an absolute path");
	if (source->target && source->target[0] != '/')
		return refuse(error, -EINVAL, source, "its target is not an absolute path");
	if (source->kind < KVMSB_PATH_AUTOMATIC || source->kind > KVMSB_PATH_DIRECTORY)
		return refuse(error, -EINVAL, source, "unknown kind of rule");
	if (source->access & ~(KVMSB_PATH_READ | KVMSB_PATH_WRITE))
		return refuse(error, -EINVAL, source, "unknown kind of access");
	if (source->reserved)
		return refuse(error, -EINVAL, source, "reserved members are not zero");
	return 0;
}

static int add_rule(const struct kvmsb_path_rule *source, struct policy_rule *rule,
                    struct kvmsb_error *error)
{
	struct path path;
	int result = check_rule(source, error);

	if (result)
		return result;
	if (path_normalise(&path, "/", source->path))
		return refuse(error, -ENAMETOOLONG, source, "the path is too long");
	rule->access = source->access ? source->access : KVMSB_PATH_READ;
	rule->path = strdup(path.text);
	if (!rule->path)
		return refuse(error, -ENOMEM, source, "no memory");
	return open_rule(source, rule, error);
}

/* As strcmp(3), but "/" comes before all else, so that what lies beneath a path follows it at once. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (*a == '/' || *b == '/')
		return !*a || (*a == '/' && *b) ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int compare_rules(const void *a, const void *b)
{
	const struct policy_rule *first = a, *second = b;
	int result = compare_paths(first->path, second->path);

	return result ? result : first->order < second->order ? -1 : 1;
}

static void find_nested(struct policy *policy)
{
	struct policy_rule *rules = policy->rules;
	size_t next;

	qsort(rules, policy->count, sizeof(*rules), compare_rules);
	for (size_t i = 0; i < policy->count; i++) {
		for (next = i + 1; next < policy->count; next++)
			if (strcmp(rules[next].path, rules[i].path) != 0)
				break;
		rules[i].nested = next < policy->count &&
		                  path_is_within(rules[next].path, rules[i].path);
	}
}

int policy_create(struct policy **policy, const struct kvmsb_path_rule *rules, size_t count,
                  struct kvmsb_error *error)
{
	struct policy *created;
	int result;

	if (count > 65536)
		return error_set(error, -EINVAL, "%zu path rules are too many", count);
	created = calloc(1, sizeof(*created) + count * sizeof(created->rules[0]));
	if (!created)
		return error_set(error, -ENOMEM, "no memory for %zu path rules", count);
	for (size_t i = 0; i < count; i++) {
		created->rules[i].descriptor = -1;
		created->rules[i].order = (uint32_t)i;
		created->count = i + 1;
		result = add_rule(&rules[i], &created->rules[i], error);
		if (result) {
			policy_destroy(created);
			return result;
		}
	}
	find_nested(created);
	*policy = created;
	return 0;
}

void policy_destroy(struct policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->count; i++) {
		if (policy->rules[i].descriptor >= 0)
			close(policy->rules[i].descriptor);
		free(policy->rules[i].path);
	}
	free(policy);
}

/*
 * Using it.
 */

const struct policy_rule *policy_match(const struct policy *policy, const char *path)
{
	const struct policy_rule *best = NULL;
	size_t best_length = 0;

	for (size_t i = 0; policy && i < policy->count; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		size_t length = strlen(rule->path);

		if (length > best_length && path_is_within(path, rule->path)) {
			best = rule;
			best_length = length;
		}
	}
	return best;
}

bool policy_take_descriptor(struct policy *policy)
{
	if (atomic_fetch_add(&policy->descriptors, 1) < POLICY_DESCRIPTORS)
		return true;
	policy_give_descriptor(policy);
	return false;
}

void policy_give_descriptor(struct policy *policy)
{
	atomic_fetch_sub(&policy->descriptors, 1);
}

bool policy_has_beneath(const struct policy *policy, const char *path)
{
	for (size_t i = 0; policy && i < policy->count; i++)
		if (path_is_within(policy->rules[i].path, path))
			return true;
	return false;
}

/* The part of a path beneath the rule's own; "" for the rule's path itself. */
static const char *beneath(const struct policy_rule *rule, const char *path)
{
	path += strlen(rule->path);
	while (*path == '/')
		path++;
	return path;
}

static int open_file_rule(const struct policy_rule *rule, const char *rest, int flags)
{
	int descriptor;

	if (*rest || (flags & O_DIRECTORY))
		return -ENOTDIR;
	/* Its offset, which duplicates share, is never used. */
	descriptor = fcntl(rule->descriptor, F_DUPFD_CLOEXEC, 0);
	if (descriptor < 0)
		return errno == EMFILE ? -ENFILE : -errno;
	return descriptor;
}

bool policy_is_own_path(const struct policy_rule *rule, const char *path)
{
	return strcmp(rule->path, path) == 0;
}

int policy_rule_open(const struct policy_rule *rule, const char *path, int flags, bool by_hand)
{
	const char *rest = beneath(rule, path);
	int descriptor;

	if (!rule->directory)
		return open_file_rule(rule, rest, flags);
	descriptor = open_beneath(rule->descriptor, *rest ? rest : ".", flags, by_hand);
	if (descriptor < 0 || !is_in_procfs(descriptor))
		return descriptor;
	close(descriptor);
	return -ENOENT;
}

/* The target of the link at `path` beneath the rule; 0: it is no link. */
static int read_link(const struct policy_rule *rule, const char *path, char *target)
{
	int descriptor = policy_rule_open(rule, path, O_PATH | O_NOFOLLOW, false);
	ssize_t length;

	if (descriptor < 0)
		return descriptor;
	length = readlinkat(descriptor, "", target, PATH_SIZE);
	close(descriptor);
	if (length < 0)
		return 0;
	if (length >= PATH_SIZE)
		return -ENAMETOOLONG;
	target[length] = '\0';
	return (int)length;
}

int policy_find_link(const struct policy_rule *rule, const struct path *path, bool follow_last,
                     char *target, size_t *end)
{
	size_t at = (size_t)(beneath(rule, path->text) - path->text);
	struct path prefix;
	int length;

	while (path->text[at]) {
		at += strcspn(path->text + at, "/");
		if (!path->text[at] && !follow_last)
			break;
		memcpy(prefix.text, path->text, at);
		prefix.text[at] = '\0';
		length = read_link(rule, prefix.text, target);
		if (length < 0)
			return length;
		if (length > 0) {
			*end = at;
			return 0;
		}
		at += path->text[at] == '/';
	}
	return -EACCES;
}

int policy_create_file(int directory, const char *name, int flags, mode_t mode)
{
	return open_how(directory, name,
	                (struct open_how){
				.flags = (unsigned)(flags | O_CREAT | O_EXCL | O_NOFOLLOW),
				.mode = mode,
				.resolve = RESOLVE_NO_SYMLINKS,
			});
}
