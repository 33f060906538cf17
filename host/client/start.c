/* host/client/start.c - starting wslservice on demand, and ending one that is past talking to
 *
 * THEORY OF OPERATION
 *   The service takes service.lock and leaves at once when another holds it, so any number of
 * clients may start one: whoever wins serves all. Readiness: the new process inherits a pipe whose
 * number stands in LXSS_READY_FD, writes a byte once it listens and closes it. A service that does
 * not know the pipe is found by connecting again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/client-internal.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"
#include "io/socket.h"

#define READY_FD 3
#define LOG_NAME "wslservice.log"

/* stdin and stdout nowhere, stderr to the log, the pipe as descriptor 3, nothing else. */
static int plan_files(posix_spawn_file_actions_t *fa, int ready, const char *log)
{
	int r = posix_spawn_file_actions_addchdir_np(fa, "/");

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, ready, READY_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(fa, READY_FD + 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, 0, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(fa, 2, log, O_WRONLY | O_CREAT | O_APPEND,
						     0600);
	return r;
}

static int plan_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
						   POSIX_SPAWN_SETSIGMASK);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	return r ? r : posix_spawnattr_setsigdefault(attr, &all);
}

static int spawn(const char *program, const char *log, int ready, pid_t *ret_pid)
{
	char *argv[] = { (char *)(uintptr_t) "wslservice", NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	r = plan_files(&fa, ready, log);
	if (r == 0)
		r = plan_signals(&attr);
	if (r == 0) {
		char number[16];

		snprintf(number, sizeof(number), "%d", READY_FD);
		setenv("LXSS_READY_FD", number, 1);
		r = posix_spawn(ret_pid, program, &fa, &attr, argv, environ);
		unsetenv("LXSS_READY_FD");
	}
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static char *log_path(struct err *err)
{
	auto_free char *dir = path_dir(PATH_STATE, err);

	return dir ? str_printf("%s/" LOG_NAME, dir) : NULL;
}

int service_start(struct service_start *ret, struct err *err)
{
	auto_free char *program = path_helper("wslservice");
	auto_free char *log = log_path(err);
	auto_close int rd = -1, wr = -1;
	int r, pipe_fds[2];

	if (!log)
		return -err->errnum;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_errno(err, "cannot start wslservice");
	rd = pipe_fds[0];
	wr = pipe_fds[1];
	r = spawn(program, log, wr, &ret->pid);
	if (r < 0) {
		err_code(err, r, "cannot start '%s'", program);
		return err_name(err, ERR_WSL_E_SERVICE_UNAVAILABLE);
	}
	ret->ready_fd = take_fd(&rd);
	return 0;
}

static void last_line(const char *path, char *buf, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = 0;
	char *line;

	if (end > 0)
		n = pread(fd, buf, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
	buf[n > 0 ? n : 0] = '\0';
	while (n > 0 && buf[n - 1] == '\n')
		buf[--n] = '\0';
	line = strrchr(buf, '\n');
	if (line)
		memmove(buf, line + 1, strlen(line + 1) + 1);
}

bool service_ended(struct service_start *s)
{
	if (s->pid > 0 && waitpid(s->pid, &s->status, WNOHANG) == s->pid) {
		s->pid = 0;
		s->ended = true;
	}
	return s->ended;
}

int service_failure(struct service_start *s, struct err *err)
{
	auto_free char *path = log_path(NULL);
	const char *log = path ? path : "?";
	char line[512];

	last_line(log, line, sizeof(line));
	if (!service_ended(s) || s->status == 0)
		return err_id(
			err, ERR_WSL_E_SERVICE_UNAVAILABLE,
			"wslservice does not answer. Its log is '%s'; 'wsl --shutdown --force' "
			"ends it.",
			log);
	if (WIFSIGNALED(s->status))
		return err_id(
			err, ERR_WSL_E_SERVICE_UNAVAILABLE,
			"wslservice was ended by signal %d (%s) while starting. Its log is '%s'.",
			WTERMSIG(s->status), strsignal(WTERMSIG(s->status)), log);
	return err_id(err, ERR_WSL_E_SERVICE_UNAVAILABLE,
		      "wslservice could not start (exit code %d)%s%s\nIts log is '%s'.",
		      WEXITSTATUS(s->status), line[0] ? ": " : ".", line, log);
}

void service_start_done(struct service_start *s)
{
	drop_fd(&s->ready_fd);
}

static int end_process(int pidfd, int signo, uint64_t grace_ms)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	return fd_wait(pidfd, POLLIN, now_ms() + grace_ms);
}

int client_kill_service(int dirfd, bool force, uint64_t grace_ms, struct err *err)
{
	auto_close int fd = unix_connect_at(dirfd, SERVICE_SOCKET);
	auto_close int pidfd = -1;
	uid_t uid;
	pid_t pid;
	int r;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return 0;
	r = fd < 0 ? fd : unix_peer(fd, &uid, &pid);
	if (r == 0 && uid != getuid())
		r = -EPERM;
	if (r == 0 && (pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0)
		r = errno == ESRCH ? 0 : -errno;
	if (pidfd >= 0) {
		r = end_process(pidfd, force ? SIGKILL : SIGTERM, grace_ms);
		if (r == -ETIMEDOUT)
			r = end_process(pidfd, SIGKILL, 2000);
	}
	return r < 0 ? err_code(err, r, "cannot end wslservice") : 0;
}
