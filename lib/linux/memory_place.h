/* SPDX-License-Identifier: MIT */
/*
 * Places in the process's file system in memory, which is its /tmp where the
 * host allows one: what place.h says for them. Rules of the policy for paths
 * beneath /tmp go first, as mounts within it; one for /tmp itself does not.
 */
#ifndef KVMSB_LINUX_MEMORY_PLACE_H
#define KVMSB_LINUX_MEMORY_PLACE_H

#include "place.h"

#include <stdbool.h>

#define MEMORY_PATH "/tmp"

/* Whether the process has a /tmp, which is then there as far as directories above are. */
bool memory_is_mounted(const struct process *process);

/* Whether this path lies in it. */
bool memory_holds(const struct place_view *view, const char *path);

/*
 * Makes the directories of a path that lies in it, for a new process, whose
 * current directory it is. Returns 0 or -ENOMEM; what has no room is left out.
 */
int memory_make_directories(struct process *process, const char *text);

/* One step of place_find(). */
int memory_find(const struct place_view *view, struct path *path, bool follow, struct place *place);

/* open(2) of what was found, and of what is not there yet. mode: after the umask. */
int memory_open(struct place *place, const struct path *path, uint32_t flags, uint32_t mode,
                struct file **file);
int memory_create(const struct place_entry *entry, const struct path *path, uint32_t mode,
                  struct file **file);

/* One step of place_entry_find(), and the changes. */
int memory_entry_find(const struct place_view *view, struct path *path, enum place_change change,
                      struct place_entry *entry);
int memory_check_create(const struct place_entry *entry);
int memory_make(const struct place_entry *entry, uint32_t mode);
int memory_make_link(const struct place_entry *entry, const char *target);
int memory_remove(const struct place_entry *entry, const struct path *path, bool directory);
int memory_rename(const struct place_entry *from, const struct path *from_path,
                  const struct place_entry *to, const struct path *to_path, uint32_t flags);
int memory_link(const struct place_entry *from, const struct place_entry *to);
int memory_set_mode(const struct place *place, uint32_t mode);
int memory_set_times(const struct place *place, const struct timespec times[2]);

/* The path of an open directory now, wherever it was moved; text has PATH_SIZE bytes. */
int memory_directory_path(const struct process *process, const struct file *file, char *text);

#endif
