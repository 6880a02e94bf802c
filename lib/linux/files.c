/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table of a process: numbers, open files, files; shared until
 * changed. Reading and writing through it is in input_output.c.
 */
#include "files.h"

#include "../util.h"
#include "path.h"
#include "pipe.h"
#include "policy.h"
#include "tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Open files that a table has room for at first. */
#define CAPACITY_FIRST 8u

/*
 * Files.
 */

struct file *file_create(enum file_kind kind, int descriptor, const char *path)
{
	size_t length = strlen(path) + 1;
	struct file *file = calloc(1, sizeof(*file) + length);

	if (!file)
		return NULL;
	if (pthread_mutex_init(&file->lock, NULL)) {
		free(file);
		return NULL;
	}
	atomic_init(&file->references, 1);
	file->kind = kind;
	file->descriptor = descriptor;
	memcpy(file->path, path, length);
	return file;
}

struct file *file_create_pipe(struct pipe *pipe)
{
	struct file *file = file_create(FILE_PIPE, -1, "");

	if (file)
		file->pipe = pipe;
	return file;
}

struct file *file_reference(struct file *file)
{
	atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
	return file;
}

void file_release(struct file *file)
{
	if (!file || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1)
		return;
	if (file->descriptor >= 0)
		close(file->descriptor);
	if (file->policy)
		policy_give_descriptor(file->policy);
	pipe_destroy(file->pipe);
	epoll_destroy(file->epoll);
	free(file->content);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

static int64_t made_pread(const struct file *file, void *data, uint64_t length, uint64_t offset)
{
	if (offset >= file->content_length)
		return 0;
	length = min_u64(length, file->content_length - offset);
	memcpy(data, file->content + offset, length);
	return (int64_t)length;
}

static int64_t host_pread(int descriptor, uint8_t *data, uint64_t length, uint64_t offset)
{
	uint64_t done = 0;
	ssize_t result;

	while (done < length) {
		result = pread(descriptor, data + done, length - done, (off_t)(offset + done));
		if (result < 0 && errno == EINTR)
			continue;
		if (result < 0)
			return done ? (int64_t)done : -errno;
		if (result == 0)
			break;
		done += (uint64_t)result;
	}
	return (int64_t)done;
}

int64_t file_pread(struct file *file, void *data, uint64_t length, uint64_t offset)
{
	if (!range_within(offset, length, INT64_MAX))
		return -EINVAL;
	switch (file->kind) {
	case FILE_REGULAR:
		return host_pread(file->descriptor, data, length, offset);
	case FILE_ZERO:
		memset(data, 0, length);
		return (int64_t)length;
	case FILE_MADE:
		return made_pread(file, data, length, offset);
	case FILE_DIRECTORY:
	case FILE_MADE_DIRECTORY:
		return -EISDIR;
	default:
		return -EINVAL;
	}
}

int file_size(const struct file *file, uint64_t *size)
{
	struct stat status;

	*size = 0;
	if (file->kind != FILE_REGULAR)
		return 0;
	if (fstat(file->descriptor, &status))
		return -errno;
	*size = (uint64_t)status.st_size;
	return 0;
}

int64_t files_pread(const struct process *process, struct file *file, void *data, uint64_t length,
                    uint64_t offset)
{
	const struct iovec piece = {data, length};

	if (file->kind != FILE_MEMORY)
		return file_pread(file, data, length, offset);
	return tmpfs_read(process->tmpfs, file->inode, offset, &piece, 1);
}

int files_size(const struct process *process, const struct file *file, uint64_t *size)
{
	if (file->kind != FILE_MEMORY)
		return file_size(file, size);
	*size = tmpfs_size(process->tmpfs, file->inode);
	return 0;
}

/*
 * Tables: made, shared, copied.
 */

static struct file *create_stream(const struct kvmsb_stream *stream, unsigned number)
{
	bool connected = stream->use_descriptor ||
	                 (number == 0 ? stream->read != NULL : stream->write != NULL);
	struct file *file = file_create(connected ? FILE_STREAM : FILE_NULL, -1, "");
	struct stat status;

	if (!file)
		return NULL;
	file->stream = number;
	file->number = number + 1;
	if (stream->use_descriptor && fstat(stream->descriptor, &status) == 0)
		file->host_mode = status.st_mode;
	return file;
}

static struct files *create_table(uint32_t capacity)
{
	struct files *files = calloc(1, sizeof(*files));

	if (!files)
		return NULL;
	files->open = calloc(capacity, sizeof(*files->open));
	if (!files->open) {
		free(files);
		return NULL;
	}
	files->capacity = capacity;
	atomic_init(&files->references, 1);
	return files;
}

static int add_streams(struct files *files, const struct process_config *config)
{
	for (unsigned i = 0; i < 3; i++) {
		struct open_file *open = &files->open[i];

		open->file = create_stream(&config->streams[i], i);
		if (!open->file)
			return -ENOMEM;
		open->flags = i == 0 ? O_RDONLY : O_WRONLY;
		open->users = 1;
		files->descriptors[i].open = (uint16_t)(i + 1);
	}
	return 0;
}

static int set_first_directory(struct files *files, const char *directory)
{
	struct path path;
	int error = path_normalise(&path, "/", directory && *directory ? directory : "/");

	if (error)
		return error;
	files->directory = strdup(path.text);
	return files->directory ? 0 : -ENOMEM;
}

int files_create(struct files **files, const struct process_config *config)
{
	struct files *created = create_table(CAPACITY_FIRST);
	int error;

	if (!created)
		return -ENOMEM;
	error = add_streams(created, config);
	if (!error)
		error = set_first_directory(created, config->directory);
	if (error) {
		files_release(created);
		return error;
	}
	*files = created;
	return 0;
}

struct files *files_share(struct files *files)
{
	atomic_fetch_add_explicit(&files->references, 1, memory_order_relaxed);
	return files;
}

void files_release(struct files *files)
{
	if (!files || atomic_fetch_sub_explicit(&files->references, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < files->capacity; i++)
		file_release(files->open[i].file);
	free(files->open);
	free(files->directory);
	free(files);
}

static bool is_of_one_table(const struct file *file)
{
	return file->kind == FILE_PIPE || file->kind == FILE_EVENT || file->kind == FILE_EPOLL;
}

static struct file *copy_file(const struct file *file)
{
	struct file *copy = file_create(file->kind, -1, "");

	if (!copy)
		return NULL;
	copy->pipe = file->pipe ? pipe_copy(file->pipe) : NULL;
	copy->epoll = file->epoll ? epoll_copy(file->epoll) : NULL;
	copy->event = file->event;
	copy->number = file->number;
	if (!copy->pipe == !file->pipe && !copy->epoll == !file->epoll)
		return copy;
	file_release(copy);
	return NULL;
}

/* All descriptors of `files` that refer to it get a copy. */
static int make_copy_own(struct files *files, struct file *file)
{
	struct file *copy = copy_file(file);

	if (!copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < files->capacity; i++) {
		if (files->open[i].file != file)
			continue;
		files->open[i].file = file_reference(copy);
		file_release(file);
	}
	file_release(copy);
	return 0;
}

/* `files` has the same files as the table it is a copy of. */
static int make_copies_own(struct files *files, const struct files *from)
{
	int error = 0;

	for (uint32_t i = 0; i < from->capacity && !error; i++) {
		struct file *file = from->open[i].file;

		if (file && is_of_one_table(file) && files->open[i].file == file)
			error = make_copy_own(files, file);
	}
	return error;
}

static struct files *copy_table(const struct files *files)
{
	struct files *copy = create_table(files->capacity);

	if (!copy)
		return NULL;
	copy->directory = strdup(files->directory);
	memcpy(copy->descriptors, files->descriptors, sizeof(copy->descriptors));
	for (uint32_t i = 0; i < files->capacity; i++) {
		if (!files->open[i].file)
			continue;
		copy->open[i] = files->open[i];
		file_reference(copy->open[i].file);
	}
	if (!copy->directory || make_copies_own(copy, files)) {
		files_release(copy);
		return NULL;
	}
	return copy;
}

int files_make_own(struct process *process)
{
	struct files *copy;

	if (atomic_load_explicit(&process->files->references, memory_order_acquire) == 1)
		return 0;
	copy = copy_table(process->files);
	if (!copy)
		return -ENOMEM;
	files_release(process->files);
	process->files = copy;
	return 0;
}

int files_set_directory(struct process *process, const char *directory)
{
	char *copy;
	int error;

	if (strcmp(process->files->directory, directory) == 0)
		return 0;
	error = files_make_own(process);
	if (error)
		return error;
	copy = strdup(directory);
	if (!copy)
		return -ENOMEM;
	free(process->files->directory);
	process->files->directory = copy;
	return 0;
}

/*
 * Looking descriptors up.
 */

const struct open_file *files_look(const struct process *process, int fd)
{
	const struct files *files = process->files;

	if (fd < 0 || (unsigned)fd >= FILES_MAXIMUM || !files->descriptors[fd].open)
		return NULL;
	return &files->open[files->descriptors[fd].open - 1];
}

int files_change(struct process *process, int fd, struct open_file **open)
{
	int error;

	if (!files_look(process, fd))
		return -EBADF;
	error = files_make_own(process);
	if (error)
		return error;
	*open = &process->files->open[process->files->descriptors[fd].open - 1];
	return 0;
}

struct file *files_get(struct process *process, int fd)
{
	const struct open_file *open = files_look(process, fd);

	return open ? open->file : NULL;
}

int files_get_mappable(struct process *process, int fd, struct file **file)
{
	const struct open_file *open = files_look(process, fd);

	if (!open || open->file->kind == FILE_PATH)
		return -EBADF;
	if ((open->flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	if (!file_is_regular(open->file) && open->file->kind != FILE_ZERO)
		return -ENODEV;
	*file = open->file;
	return 0;
}

uint64_t files_made_bytes(const struct process *process)
{
	const struct files *files = process->files;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file)
			bytes += files->open[i].file->content_length;
	return bytes;
}

uint32_t files_new_number(const struct process *process)
{
	const struct files *files = process->files;
	uint32_t number = 0;

	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file && files->open[i].file->number > number)
			number = files->open[i].file->number;
	return number + 1;
}

bool files_pipe_open(const struct process *process, const struct file *file, uint32_t access)
{
	const struct files *files = process->files;

	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file == file && (files->open[i].flags & O_ACCMODE) == access)
			return true;
	return false;
}

/*
 * Changing descriptors. What changes the table has made it the process's own.
 */

static int free_descriptor(const struct files *files, uint64_t minimum)
{
	for (uint64_t fd = minimum; fd < FILES_MAXIMUM; fd++)
		if (!files->descriptors[fd].open)
			return (int)fd;
	return -EMFILE;
}

int files_have_room(const struct process *process)
{
	int fd = free_descriptor(process->files, 0);

	return fd < 0 ? fd : 0;
}

static int grow(struct files *files)
{
	uint32_t capacity = files->capacity * 2;
	struct open_file *open = realloc(files->open, capacity * sizeof(*open));

	if (!open)
		return -ENOMEM;
	memset(open + files->capacity, 0, files->capacity * sizeof(*open));
	files->open = open;
	files->capacity = capacity;
	return 0;
}

/* A free place in files->open. There are never more open files than descriptors. */
static int free_open(struct files *files, uint32_t *index)
{
	for (*index = 0; *index < files->capacity; ++*index)
		if (!files->open[*index].file)
			return 0;
	return grow(files);
}

static int install(struct process *process, struct file *file, uint32_t flags)
{
	struct files *files;
	uint32_t index;
	int error = files_make_own(process);
	int fd;

	if (error)
		return error;
	files = process->files;
	fd = free_descriptor(files, 0);
	if (fd < 0)
		return fd;
	error = free_open(files, &index);
	if (error)
		return error;
	files->open[index] = (struct open_file){
		.file = file,
		.flags = flags & ~(uint32_t)O_CLOEXEC,
		.users = 1,
	};
	files->descriptors[fd] = (struct descriptor){(uint16_t)(index + 1), flags & O_CLOEXEC};
	return fd;
}

int files_install(struct process *process, struct file *file, uint32_t flags)
{
	int fd = install(process, file, flags);

	if (fd < 0)
		file_release(file);
	return fd;
}

/* Whoever waits for the other end is told; nobody waits for this one any more. */
static void leave(struct files *files, uint32_t index)
{
	struct file *file = files->open[index].file;

	if (file->kind == FILE_PIPE) {
		file->pipe->written++;
		file->pipe->taken++;
	}
	for (uint32_t i = 0; i < files->capacity; i++)
		if (files->open[i].file && files->open[i].file->kind == FILE_EPOLL)
			epoll_forget(files->open[i].file->epoll, index);
}

static void drop(struct files *files, int fd)
{
	uint32_t index = files->descriptors[fd].open - 1u;
	struct open_file *open = &files->open[index];

	files->descriptors[fd] = (struct descriptor){0};
	if (--open->users > 0)
		return;
	leave(files, index);
	file_release(open->file);
	*open = (struct open_file){0};
}

static void refer(struct files *files, int fd, int to, bool close_on_exec)
{
	files->descriptors[to] = (struct descriptor){files->descriptors[fd].open, close_on_exec};
	files->open[files->descriptors[fd].open - 1].users++;
}

int files_duplicate(struct process *process, int fd, uint64_t minimum, bool close_on_exec)
{
	struct open_file *open;
	int error, to;

	if (!files_look(process, fd))
		return -EBADF;
	if (minimum >= FILES_MAXIMUM)
		return -EINVAL;
	error = files_change(process, fd, &open);
	if (error)
		return error;
	to = free_descriptor(process->files, minimum);
	if (to >= 0)
		refer(process->files, fd, to, close_on_exec);
	return to;
}

int files_duplicate_to(struct process *process, int fd, int to, bool close_on_exec)
{
	struct open_file *open;
	int error;

	if (!files_look(process, fd) || to < 0 || (unsigned)to >= FILES_MAXIMUM)
		return -EBADF;
	error = files_change(process, fd, &open);
	if (error)
		return error;
	if (process->files->descriptors[to].open)
		drop(process->files, to);
	refer(process->files, fd, to, close_on_exec);
	return to;
}

int files_close(struct process *process, int fd)
{
	struct open_file *open;
	int error = files_change(process, fd, &open);

	if (!error)
		drop(process->files, fd);
	return error;
}

int files_close_on_exec(const struct process *process, int fd)
{
	return files_look(process, fd) ? process->files->descriptors[fd].close_on_exec : -EBADF;
}

int files_set_close_on_exec(struct process *process, int fd, bool close_on_exec)
{
	struct open_file *open;
	int error;

	if (files_close_on_exec(process, fd) == close_on_exec)
		return 0;
	error = files_change(process, fd, &open);
	if (!error)
		process->files->descriptors[fd].close_on_exec = close_on_exec;
	return error;
}
