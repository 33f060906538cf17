/* tests/guest/twin.c - a distribution's init on this machine: no VM, sanitizers welcome
 *
 * New PID, mount, UTS and IPC namespaces stand in for mini_init's work; /etc is covered by a layer
 * in memory. Needs root. Usage: LXSS_TEST_DIR=DIR guest-twin
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/kmsg.h"
#include "boot/transport.h"
#include "common/log.h"
#include "common/util.h"
#include "distro/init.h"

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	perror(what);
	exit(77);
}

static void append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	must(fd, path);
	must(write_all(fd, text, strlen(text)), path);
	close(fd);
}

static void prepare(void)
{
	char options[512], groups[4096] = "user:x:61000:\n";
	size_t n = strlen(groups);

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	must(mount("proc", "/proc", "proc", 0, NULL), "proc");
	must(mount("tmpfs", "/mnt", "tmpfs", 0, NULL), "tmpfs");
	must(mkdir("/mnt/upper", 0755), "upper");
	must(mkdir("/mnt/work", 0755), "work");
	must(mkdir("/mnt/home", 0755), "home");
	snprintf(options, sizeof(options), "lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work");
	must(mount("overlay", "/etc", "overlay", 0, options), "overlay");
	must(mkdir("/mnt/home/user", 0755), "home");
	must(mkdir("/mnt/home/user/sub", 0755), "home");
	must(mount("/mnt/home", "/home", NULL, MS_BIND, NULL), "home");
	must(mount("devpts", "/dev/pts", "devpts", 0, "newinstance,gid=5,mode=620,ptmxmode=666"),
	     "devpts");
	must(mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL), "ptmx");
	unlink("/etc/wsl.conf");
	unlink("/etc/fstab");
	append("/etc/passwd", "user:x:61000:61000:User:/home/user:/bin/bash\n"
			      "nohome:x:61001:61001::/home/none:/bin/sh\n");
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(groups + n, sizeof(groups) - n, "g%d:x:%d:root,user\n", i,
				      2000 + i);
	append("/etc/group", groups);
}

static int twin(void)
{
	static struct distro_settings settings;
	static struct warnings warnings;
	struct distro_boot boot = { .instance = 1, .started_us = uptime_us() };
	int service;

	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "death signal");
	prepare();
	close_others(-1, -1);
	dup3(STDERR_FILENO, LOG_FD, O_CLOEXEC);
	log_init("init", LOG_FD, LOG_INFO, false);
	service = host_connect_start();
	must(service, "connect");
	distro_settings_read(&settings, AT_FDCWD, "/etc/wsl.conf", &warnings);
	return distro_serve(&boot, service, &settings, &warnings);
}

int main(void)
{
	int status;
	pid_t pid;

	must(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC), "namespaces");
	pid = fork();
	must(pid, "fork");
	if (pid == 0)
		exit(twin());
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
