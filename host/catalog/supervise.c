/* host/catalog/supervise.c - see supervise.h
 *
 * PROCESSES   we ── supervisor (subreaper, own session) ── program (own process group) ── ...
 * ENDING      SIGTERM to the program's group, GRACE_MS for it to clean up, SIGKILL to the group,
 * then to whatever was adopted, until nobody is left. The supervisor is a fork without exec:
 * descriptors we hold, such as a lock, stay held until it is done, so nobody starts over while old
 * processes are still being removed.
 */
#include "catalog/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

#define GRACE_MS     5000u
#define KILL_MS      5000u
#define POLL_MS      100
#define LINE_BYTES   4096u
#define EXIT_STOPPED 126 /* we went away, or cancelled */
#define MAX_WORDS    8u
#define EXIT_NOT_RUN 127

/* --- supervisor ------------------------------------------------------------------------------ */

static void reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What root's program mounts goes with its last process, however that ends, and the host's own
 * state is out of its reach. Others may not mount, or have a namespace of their own: nothing to do.
 */
static void contain(const struct supervised *job)
{
	if (unshare(CLONE_NEWNS) < 0)
		return;
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	for (const char *const *p = job->read_only; p && *p; p++) {
		if (mount(*p, *p, NULL, MS_BIND | MS_REC, NULL) == 0)
			mount(NULL, *p, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	}
}

static void exec_program(const struct supervised *job, int stderr_fd)
{
	setpgid(0, 0);
	reset_signals();
	contain(job);
	if (dup2(job->stdin_fd, 0) < 0 || dup2(job->stdout_fd, 1) < 0 || dup2(stderr_fd, 2) < 0)
		_exit(EXIT_NOT_RUN);
	for (const char *const *e = job->env; e && *e; e++)
		putenv((char *)*e);
	execvp(job->argv[0], (char *const *)job->argv);
	dprintf(2, "E: cannot run %s: %s\n", job->argv[0], strerror(errno));
	_exit(EXIT_NOT_RUN);
}

/* True when @pid ended within @ms; its status is left for waitpid(). */
static bool ended_within(int pidfd, unsigned ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0;
}

/* Kills every child the kernel handed to us, and those they leave behind. */
static void kill_adopted(void)
{
	auto_free char *path = str_printf("/proc/self/task/%d/children", getpid());
	uint64_t deadline = now_ms() + KILL_MS;

	while (now_ms() < deadline) {
		auto_free char *text = NULL;
		char *rest, *word;
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return; /* ECHILD: nobody is left */
		if (read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
			return;
		rest = text;
		while ((word = strsep(&rest, " "))) {
			if (atoi(word) > 0)
				kill(atoi(word), SIGKILL);
		}
		usleep(5000);
	}
}

/* Runs @words with @path appended. */
static void run_on(const char *const *words, const char *path)
{
	const char *argv[MAX_WORDS + 2] = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		for (size_t i = 0; i < MAX_WORDS; i++) {
			argv[i] = words[i] ? words[i] : path;
			if (!words[i])
				break;
		}
		execvp(argv[0], (char *const *)argv);
		_exit(EXIT_NOT_RUN);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Never descends into a mount: that would empty what is mounted there. */
static bool has_mount_below(const char *dir)
{
	auto_free char *text = NULL;
	auto_free char *prefix = str_printf(" %s/", dir);

	if (read_file_at(AT_FDCWD, "/proc/self/mountinfo", 16 << 20, &text, NULL) < 0)
		return true;
	return strstr(text, prefix) != NULL;
}

void supervise_remove(const char *dir, const char *const *remover)
{
	if (has_mount_below(dir) || remove_tree(AT_FDCWD, dir) == 0)
		return;
	if (remover)
		run_on(remover, dir);
	rmdir(dir);
}

static void stop_program(pid_t pid, int pidfd)
{
	kill(-pid, SIGTERM);
	kill(pid, SIGTERM);
	if (!ended_within(pidfd, GRACE_MS)) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		ended_within(pidfd, KILL_MS);
	}
}

static void supervisor(const struct supervised *job, int life, int lines)
{
	int status = 0, code, pidfd;
	struct pollfd p[2];
	pid_t pid;

	setsid();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		exec_program(job, lines);
	close(lines);
	if (pid < 0)
		_exit(EXIT_NOT_RUN);
	setpgid(pid, pid);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	p[0] = (struct pollfd) { .fd = life };
	p[1] = (struct pollfd) { .fd = pidfd, .events = POLLIN };
	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (!p[1].revents)
		stop_program(pid, pidfd);
	waitpid(pid, &status, WNOHANG);
	kill(-pid, SIGKILL);
	kill_adopted();
	code = !p[1].revents       ? EXIT_STOPPED
	       : WIFEXITED(status) ? WEXITSTATUS(status)
				   : 128 + WTERMSIG(status);
	if (code != 0 && job->output)
		unlink(job->output);
	if (job->scratch)
		supervise_remove(job->scratch, job->remover);
	_exit(code);
}

/* --- our side -------------------------------------------------------------------------------- */

struct reader {
	char line[LINE_BYTES];
	size_t len;
};

static void feed(struct reader *r, const char *data, size_t n, const struct supervised *job)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] != '\n' && data[i] != '\r') {
			if (r->len < LINE_BYTES - 1)
				r->line[r->len++] = data[i];
			continue;
		}
		r->line[r->len] = '\0';
		if (r->len && job->on_line)
			job->on_line(r->line, job->arg);
		r->len = 0;
	}
}

/* Until all writers are gone. *life is closed when cancelled, which ends the program. */
static void read_lines(const struct supervised *job, int lines, int *life, bool *ret_cancelled)
{
	struct reader r = { .len = 0 };
	char buf[8192];

	for (;;) {
		struct pollfd p = { .fd = lines, .events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		ssize_t n;

		if (*life >= 0 && job->cancelled && job->cancelled(job->arg)) {
			*ret_cancelled = true;
			drop_fd(life);
		}
		if (ready <= 0)
			continue;
		n = read(lines, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		feed(&r, buf, (size_t)n, job);
	}
}

int supervise(const struct supervised *job, struct err *err)
{
	auto_close int life_read = -1, life = -1, lines = -1, lines_write = -1;
	int life_pipe[2], line_pipe[2], status;
	bool was_cancelled = false;
	pid_t pid;

	if (pipe2(life_pipe, O_CLOEXEC) < 0)
		return err_errno(err, "Cannot run %s", job->argv[0]);
	life_read = life_pipe[0];
	life = life_pipe[1];
	if (pipe2(line_pipe, O_CLOEXEC) < 0)
		return err_errno(err, "Cannot run %s", job->argv[0]);
	lines = line_pipe[0];
	lines_write = line_pipe[1];
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_errno(err, "Cannot run %s", job->argv[0]);
	if (pid == 0) {
		close(life);
		close(lines);
		supervisor(job, life_read, lines_write);
	}
	drop_fd(&life_read);
	drop_fd(&lines_write);
	read_lines(job, lines, &life, &was_cancelled);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (was_cancelled)
		return err_id(err, ERR_E_ABORT, "The operation was cancelled.");
	return status;
}
