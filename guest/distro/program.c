/* guest/distro/program.c - from a request to an exec
 *
 * The child inherits blocked signals and undisturbed default actions from the relay, becomes the
 * terminal's foreground group while it cannot be stopped for that, sheds its privileges, and only
 * then unblocks everything: the program starts with empty masks.
 */
#include "distro/program.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "distro/users.h"
#include "protocol/message.h"

static char **argv_new(size_t n)
{
	char **argv = calloc(n + 1, sizeof(*argv));

	if (!argv)
		abort();
	return argv;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int command_build(struct command *ret, const struct user *user, uint32_t shell,
		  const struct strv *argv, struct err *err)
{
	size_t n = 0;

	if (argv->n == 0 && shell == SHELL_NONE)
		return err_id(err, ERR_E_INVALIDARG, "No program was given.");
	if (shell == SHELL_NONE) {
		ret->argv = argv_new(argv->n);
		strv_foreach (s, argv)
			ret->argv[n++] = str_dup(s);
		ret->file = ret->argv[0];
		return 0;
	}
	ret->file = user->shell;
	ret->argv = argv_new(3);
	if (shell == SHELL_STANDARD && argv->n)
		ret->argv[0] = str_dup(user->shell);
	else
		ret->argv[0] = str_printf("-%s", base_name(user->shell));
	if (argv->n && shell != SHELL_INTERACTIVE) {
		ret->argv[1] = str_dup("-c");
		ret->argv[2] = str_dup(strv_first(argv));
	}
	return 0;
}

void command_done(struct command *command)
{
	for (char **s = command->argv; s && *s; s++)
		free(*s);
	free(command->argv);
	*command = (struct command) { 0 };
}

/* As the user: a directory only they can enter is fine, one they cannot is not. */
static void enter_directory(const char *cwd, const char *home)
{
	auto_free char *below_home = NULL;
	const char *below = str_after(cwd, "~/");

	if (below)
		cwd = below_home = str_printf("%s/%s", home, below);
	if (cwd[0] == '/' && chdir(cwd) == 0)
		return;
	if (chdir(home) < 0 && chdir("/") < 0)
		dprintf(STDERR_FILENO, "wsl: cannot enter /: %s\n", strerror(errno));
}

static int become(const struct program *p)
{
	if (setgroups(p->n_gids, p->gids) < 0 ||
	    setresgid(p->user->gid, p->user->gid, p->user->gid) < 0 ||
	    setresuid(p->user->uid, p->user->uid, p->user->uid) < 0)
		return -errno;
	return 0;
}

static _Noreturn void execute(const struct program *p)
{
	const char *file = p->command->file;
	int error;

	environ = p->envp;
	execvp(file, p->command->argv);
	error = errno;
	if (error == ENOENT && !strchr(file, '/'))
		dprintf(STDERR_FILENO, "wsl: %s: command not found\n", file);
	else
		dprintf(STDERR_FILENO, "wsl: cannot run %s: %s\n", file, strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static void take_terminal(int tty)
{
	pid_t self = getpid();

	ioctl(tty, TIOCSPGRP, &self);
}

static _Noreturn void child(const struct program *p)
{
	sigset_t none;
	char go;
	int r;

	setpgid(0, 0);
	if (p->tty >= 0)
		take_terminal(p->tty);
	for (int i = 0; i <= STDERR_FILENO; i++)
		dup2(p->fds[i], i);
	r = become(p);
	if (r < 0) {
		dprintf(STDERR_FILENO, "wsl: cannot become %s: %s\n", p->user->name, strerror(-r));
		_exit(126);
	}
	enter_directory(p->cwd, p->user->home);
	if (p->go[0] >= 0) {
		close(p->go[1]); /* so that a relay that gives up is noticed */
		if (read(p->go[0], &go, 1) != 1)
			_exit(126);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execute(p);
}

pid_t program_start(const struct program *p)
{
	pid_t pid = fork();

	if (pid == 0)
		child(p);
	if (pid < 0)
		return -errno;
	setpgid(pid, pid); /* whoever comes first: signals to the group must not miss */
	return pid;
}
