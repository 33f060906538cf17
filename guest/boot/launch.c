/* guest/boot/launch.c - clone into new namespaces and a control group of its own
 *
 * The init is born (CLONE_INTO_CGROUP) in /sys/fs/cgroup/distro-N, makes that its namespace's root,
 * and moves on to distro-N/init.
 */
#include "boot/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/sched.h>

#include "boot/vm-setup.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"

uint64_t uptime_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* A distribution can do without: -1. */
static int open_cgroup(uint64_t instance)
{
	char path[64];
	int fd = -1;

	str_format(path, sizeof(path), CGROUP_ROOT "/distro-%llu", (unsigned long long)instance);
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (mkdirat(fd, "init", 0755) < 0 && errno != EEXIST))
		log_warn("cannot make control group %s: %s", path, strerror(errno));
	return fd;
}

static int write_at(int dirfd, const char *name, const char *text)
{
	auto_close int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

/* A namespace is rooted where its creator is at that moment. */
static void enter_cgroup(int cgroup)
{
	int r = unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;

	if (r == 0)
		r = write_at(cgroup, "init/cgroup.procs", "0");
	if (r == 0)
		r = write_at(cgroup, "cgroup.subtree_control", CGROUP_CONTROLLERS);
	if (r < 0)
		log_warn("the control group is not set up: %s", strerror(-r));
}

static pid_t clone_into(int cgroup)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

/* What belongs to mini_init is let go; its descriptors follow in distro_main(). */
static int run_child(struct distro_boot *boot, distro_main_fn distro_main, int report, int cgroup)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	boot->report = report;
	if (cgroup >= 0)
		enter_cgroup(cgroup);
	return distro_main(boot);
}

pid_t launch_distro(struct distro_boot *boot, distro_main_fn distro_main, int *ret_report,
		    struct err *err)
{
	auto_close int cgroup = -1, ours = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	cgroup = open_cgroup(boot->instance);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];
	boot->started_us = uptime_us();
	pid = clone_into(cgroup);
	if (pid == 0)
		_exit(run_child(boot, distro_main, take_fd(&theirs), cgroup));
	if (pid < 0)
		return err_code(err, pid, "cannot make namespaces");
	*ret_report = take_fd(&ours);
	return pid;
}

/* Control groups hold nothing but directories that can be removed. */
static void remove_groups(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_groups(fd, e->d_name);
	if (dir)
		closedir(dir);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_warn("cannot remove control group %s: %s", name, strerror(errno));
}

void launch_clean(uint64_t instance)
{
	char path[64];

	str_format(path, sizeof(path), CGROUP_ROOT "/distro-%llu", (unsigned long long)instance);
	remove_groups(AT_FDCWD, path);
}
