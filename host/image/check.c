/* host/image/check.c - e2fsck in its automatic mode, before an image is used again */
#include "image/image-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

#define OUTPUT_MAX 1024u

static const char *const places[] = { "/sbin/e2fsck", "/usr/sbin/e2fsck", "/usr/bin/e2fsck",
				      "/usr/local/sbin/e2fsck" };

static const char *find_e2fsck(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static void run_child(const char *program, const char *path, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(8);
	execl(program, "e2fsck", "-p", path, (char *)NULL);
	_exit(8);
}

/* Keeps the last OUTPUT_MAX - 1 bytes. */
static void read_output(int fd, char *text)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if (len == OUTPUT_MAX - 1) {
			memmove(text, text + OUTPUT_MAX / 2, len - OUTPUT_MAX / 2);
			len -= OUTPUT_MAX / 2;
		}
		n = read(fd, text + len, OUTPUT_MAX - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	text[len] = '\0';
}

static int run(const char *program, const char *path, char *text, int *ret_status, struct err *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, "cannot run e2fsck");
	pid = fork();
	if (pid == 0)
		run_child(program, path, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_errno(err, "cannot run e2fsck");
	}
	read_output(fds[0], text);
	close(fds[0]);
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, "cannot run e2fsck");
	return 0;
}

int image_check(const char *path, const struct image_events *events, struct err *err)
{
	const char *program = find_e2fsck();
	char text[OUTPUT_MAX] = "";
	int status = 0, r;

	if (access(path, R_OK | W_OK) < 0)
		return err_errno(err, "cannot check '%s'", path);
	if (!program)
		return err_set(err, -ENOENT, "e2fsck is not installed; install e2fsprogs");
	r = run(program, path, text, &status, err);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) >= 8)
		return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "cannot check '%s': %s", path, text);
	if (WEXITSTATUS(status) & 4)
		return err_id(err, ERR_WSL_E_DISK_CORRUPTED,
			      "'%s' is damaged; attach it with wsl --mount --vhd --bare and repair "
			      "it with e2fsck: %s",
			      path, text);
	if (WEXITSTATUS(status) != 0)
		warn(events, "'%s' was repaired: %s", path, text);
	return 0;
}
