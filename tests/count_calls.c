/* SPDX-License-Identifier: MIT */
/*
 * count_calls: runs a command as Linux does and counts its system calls by
 * ptrace(2), those of its children and threads too, the execve(2) that starts
 * it first. For comparisons with the same program in a sandbox; its time under
 * ptrace says nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define CANNOT_RUN 77
#define NOT_FOUND 127

static const char usage[] =
	"usage: count_calls [-o FILE] COMMAND [ARG]...\n"
	"\n"
	"Runs the command and prints the number of its system calls, as one line on\n"
	"standard error or into FILE. Exit status: the command's, 128+N if signal N\n"
	"ended it, 77 if there is no ptrace here, 2 for a wrong option.\n";

struct count {
	pid_t command;
	unsigned long calls;
	bool started; /* the command has taken the place of this program */
};

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool stops_a_group(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void count_entry(struct count *count, pid_t thread)
{
	struct ptrace_syscall_info information;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(information), &information) > 0 &&
	    information.op == PTRACE_SYSCALL_INFO_ENTRY)
		count->calls++;
}

static void go_on(struct count *count, pid_t thread, int status)
{
	int signal = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_EXEC && !count->started) {
		count->started = true;
		count->calls = 1;
	}
	if (signal == (SIGTRAP | 0x80))
		count_entry(count, thread);
	if (event == PTRACE_EVENT_STOP && stops_a_group(signal)) {
		ptrace(PTRACE_LISTEN, thread, NULL, NULL);
		return;
	}
	if (event != 0 || signal == (SIGTRAP | 0x80))
		signal = 0;
	/* It may have been killed meanwhile: the next wait tells. */
	ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(intptr_t)signal);
}

/* Until nothing of it is left. Returns the wait status of the command. */
static int follow(struct count *count)
{
	int status, last = 0;
	pid_t thread;

	for (;;) {
		thread = waitpid(-1, &status, __WALL);
		if (thread < 0 && errno == EINTR)
			continue;
		if (thread < 0)
			return last;
		if (WIFSTOPPED(status))
			go_on(count, thread, status);
		else if (thread == count->command)
			last = status;
	}
}

/* Waits until it is traced. */
static void become(const int *pipe, char **words)
{
	char byte;

	close(pipe[1]);
	if (read(pipe[0], &byte, 1) == 1) {
		close(pipe[0]);
		execvp(words[0], words);
		fprintf(stderr, "count_calls: %s: %s\n", words[0], strerror(errno));
	}
	_exit(NOT_FOUND);
}

static int start(struct count *count, char **words)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL |
	                     PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	int pipe_ends[2];

	if (pipe(pipe_ends) < 0)
		return -1;
	count->command = fork();
	if (count->command == 0)
		become(pipe_ends, words);
	close(pipe_ends[0]);
	if (count->command < 0 || ptrace(PTRACE_SEIZE, count->command, NULL, (void *)options) < 0 ||
	    write(pipe_ends[1], "", 1) != 1) {
		close(pipe_ends[1]);
		return -1;
	}
	close(pipe_ends[1]);
	return 0;
}

int main(int argc, char **argv)
{
	struct count count = {0};
	FILE *output = stderr;
	int option, status;

	/* '+': what follows the command is the command's. */
	while ((option = getopt(argc, argv, "+o:")) == 'o')
		output = fopen(optarg, "we");
	if (option != -1 || optind == argc || output == NULL) {
		fputs(usage, stderr);
		return 2;
	}
	if (start(&count, argv + optind) < 0) {
		perror("count_calls");
		return CANNOT_RUN;
	}
	status = follow(&count);
	if (count.started && fprintf(output, "%lu\n", count.calls) < 0)
		return 2;
	return fclose(output) == 0 ? status_of(status) : 2;
}
