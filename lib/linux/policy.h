/* SPDX-License-Identifier: MIT */
/*
 * The allow-list of paths, and the only place that opens a path of the host.
 * place.h says what the guest sees of it.
 *
 * Each rule is opened once, when the policy is made; the host's symbolic links
 * in the rule's own path are followed then. A rule for a file is this file for
 * good, also when another takes its name later. Beneath a directory, paths are
 * opened with openat2(2) RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS; a symbolic
 * link that leads out of the directory is followed by hand, through the rules
 * again, so that it reaches only what another rule allows. Beneath a directory
 * that has another rule within, every link is to be followed by hand: else one
 * would lead to the inner rule's files with the outer rule's rights.
 *
 * What changes something is a call of the host on a directory opened like this
 * and a name in it, and never follows a link at that name.
 *
 * What is neither a regular file nor a directory is never opened. A procfs does not exist beneath a directory (a rule for "/"
 * would give away the host's memory, /proc/self/mem); a rule for a single file
 * of it is the host's to choose. Immutable after creation; any thread.
 */
#ifndef KVMSB_LINUX_POLICY_H
#define KVMSB_LINUX_POLICY_H

#include "path.h"

#include <kvmsandbox/error.h>
#include <kvmsandbox/policy.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct policy;

struct policy_rule {
	char *path; /* the guest's; absolute, normalised */
	bool directory;
	bool nested;     /* another rule lies beneath it */
	uint32_t order;  /* in the host's list; of two with one path the first counts */
	uint32_t access; /* KVMSB_PATH_READ, KVMSB_PATH_WRITE; not 0 */
	int descriptor;  /* a file: open for `access`; a directory: O_PATH */
};

/*
 * Returns 0, or with error's detail, which names the path: -EINVAL (not
 * absolute; neither a regular file nor a directory; a directory of procfs),
 * -ENOTDIR or -EISDIR (not the kind that the rule says), -EOPNOTSUPP (a host without openat2(2)),
 * -ENAMETOOLONG, -ENOMEM, errors of open(2).
 */
int policy_create(struct policy **policy, const struct kvmsb_path_rule *rules, size_t count,
                  struct kvmsb_error *error);
/* NULL is allowed. The files that it opened are closed before. */
void policy_destroy(struct policy *policy);

/*
 * Descriptors of the host that the guests of one program hold open, counted:
 * false when there are POLICY_DESCRIPTORS already. One given for each taken.
 */
#define POLICY_DESCRIPTORS 512u
bool policy_take_descriptor(struct policy *policy);
void policy_give_descriptor(struct policy *policy);

/* The rule for a path (the longest that fits), or NULL. A NULL policy has no rules. */
const struct policy_rule *policy_match(const struct policy *policy, const char *path);

/* Whether a rule's path lies beneath this one, so that it must exist for the guest. */
bool policy_has_beneath(const struct policy *policy, const char *path);

/* Whether the path is the rule's own, not one beneath it. */
bool policy_is_own_path(const struct policy_rule *rule, const char *path);

/*
 * Opens a path that the rule matches. flags: of open(2), not O_CREAT or O_TRUNC; a
 * file's rule gives what it was opened for, whatever the flags say. by_hand: every
 * symbolic link counts as one that leads out.
 * Returns a descriptor of the host, -EXDEV when a symbolic link leads out
 * (policy_find_link()), or -errno for the guest.
 */
int policy_rule_open(const struct policy_rule *rule, const char *path, int flags, bool by_hand);

/*
 * Makes a regular file `name` in the directory (a descriptor of the host) and
 * opens it. flags: access mode. Returns a descriptor, -EEXIST for whatever has the
 * name, or -errno for the guest.
 */
int policy_create_file(int directory, const char *name, int flags, mode_t mode);

/*
 * The first symbolic link in a path that the rule matches. follow_last: the last
 * component counts, too. Returns 0 with its text in target (PATH_SIZE bytes) and
 * in *end how much of the path leads to it, -EACCES (there is none), -ENAMETOOLONG,
 * or -errno.
 */
int policy_find_link(const struct policy_rule *rule, const struct path *path, bool follow_last,
                     char *target, size_t *end);

#endif
