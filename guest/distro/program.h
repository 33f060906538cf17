/* guest/distro/program.h - a user's program: what to run, as whom, where, and its first steps */
#ifndef GUEST_DISTRO_PROGRAM_H
#define GUEST_DISTRO_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct strv;
struct user;

struct command {
	const char *file; /* searched in PATH if it holds no '/' */
	char **argv;      /* allocated, strings too */
};

struct program {
	const struct command *command;
	const struct user *user;
	const gid_t *gids;
	size_t n_gids;
	char **envp;
	const char *cwd; /* "", "~", "~/x": in the user's home; "/x" */
	const int *fds;  /* 0, 1, 2 */
	int tty;         /* becomes its foreground; -1: none */
	int go[2];       /* a pipe: the program waits for a byte; { -1, -1 }: starts at once */
};

/* @shell: enum shell_mode. -EINVAL when @argv is missing. */
int command_build(struct command *ret, const struct user *user, uint32_t shell,
		  const struct strv *argv, struct err *err);
void command_done(struct command *command);

/* Forks the program into a process group of its own; PID or -errno. All signals must be blocked. */
pid_t program_start(const struct program *p);

#endif
