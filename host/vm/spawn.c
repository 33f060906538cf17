/* host/vm/spawn.c - fork and exec with a report of failure through a close-on-exec pipe */
#include "vm/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

/* Everything but 0-2, descriptor 3 if it was asked for, and what is kept gets close-on-exec. */
static int seal_descriptors(const struct spawn *s)
{
	if (close_range(s->fd3 ? 4 : 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	for (unsigned i = 0; i < s->n_keep; i++)
		if (fcntl(s->keep[i], F_SETFD, 0) < 0)
			return -errno;
	return 0;
}

static int place_stdio(const struct spawn *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int source[4] = { s->stdio[0], s->stdio[1], s->stdio[2], s->fd3 };
	int n = s->fd3 ? 4 : 3;
	int high[4];

	if (null < 0)
		return -errno;
	for (int i = 0; i < n; i++) { /* out of the way first: sources may be 0 to 3 themselves */
		high[i] = fcntl(source[i] < 0 ? null : source[i], F_DUPFD_CLOEXEC, 10);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const struct spawn *s, pid_t parent)
{
	struct rlimit no_core = { 0, 0 };
	int r;

	reset_signals();
	setrlimit(RLIMIT_CORE, &no_core);
	if (s->new_session)
		setsid();
	if (s->fixed_addresses)
		personality(ADDR_NO_RANDOMIZE);
	if (s->die_with_parent && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		return -ESRCH;
	if ((s->cwd_fd >= 0 ? fchdir(s->cwd_fd) : chdir("/")) < 0)
		return -errno;
	r = place_stdio(s);
	if (r == 0)
		r = seal_descriptors(s);
	if (r == 0) {
		execv(s->argv[0], s->argv);
		r = -errno;
	}
	return r;
}

pid_t spawn_program(const struct spawn *s, struct err *err)
{
	pid_t parent = getpid(), pid;
	auto_close int get = -1;
	int report[2], r = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(err, "cannot start '%s'", s->argv[0]);
	get = report[0];
	pid = fork();
	if (pid == 0) {
		r = become(s, parent);
		if (write(report[1], &r, sizeof(r)) < 0)
			_exit(126);
		_exit(127);
	}
	if (pid < 0)
		r = err_errno(err, "cannot start '%s'", s->argv[0]);
	close(report[1]);
	if (pid < 0)
		return r;
	if (read_all(get, &r, sizeof(r)) == 0) {
		waitpid(pid, NULL, 0);
		return err_code(err, r, "cannot start '%s'", s->argv[0]);
	}
	return pid;
}
