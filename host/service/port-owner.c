/* host/service/port-owner.c - /proc/net/tcp gives the socket's inode, /proc/PID/fd who has it open */
#include "service/port-owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

#define STATE_LISTEN 0x0a
#define STATE_UNCONN 0x07 /* of UDP sockets that are not connected */

static bool find_socket(const char *table, unsigned wanted, unsigned port, unsigned long *ret_inode,
			unsigned *ret_uid)
{
	auto_fclose FILE *f = fopen(table, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned local_port, state, uid;
		unsigned long inode;

		if (sscanf(line,
			   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u %*d "
			   "%lu",
			   &local_port, &state, &uid, &inode) == 4 &&
		    local_port == port && state == wanted) {
			*ret_inode = inode;
			*ret_uid = uid;
			return true;
		}
	}
	return false;
}

static bool has_socket(int proc, const char *pid, const char *wanted)
{
	auto_free char *path = str_printf("%s/fd", pid);
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool found = false;

	if (!dir) {
		drop_fd(&fd);
		return false;
	}
	while (!found && (e = readdir(dir))) {
		char target[64];
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

		if (n > 0) {
			target[n] = '\0';
			found = streq(target, wanted);
		}
	}
	closedir(dir);
	return found;
}

static char *find_process(unsigned long inode)
{
	auto_free char *wanted = str_printf("socket:[%lu]", inode);
	DIR *proc = opendir("/proc");
	struct dirent *e;
	char *found = NULL;

	while (proc && !found && (e = readdir(proc))) {
		auto_free char *comm_path = NULL, *comm = NULL;

		if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
		    !has_socket(dirfd(proc), e->d_name, wanted))
			continue;
		comm_path = str_printf("%s/comm", e->d_name);
		if (read_file_at(dirfd(proc), comm_path, 256, &comm, NULL) == 0)
			comm[strcspn(comm, "\n")] = '\0';
		found = str_printf("%s (process %s)", comm ? comm : "a program", e->d_name);
	}
	if (proc)
		closedir(proc);
	return found;
}

char *port_owner(unsigned family, unsigned protocol, unsigned port)
{
	bool udp = protocol == IPPROTO_UDP;
	unsigned wanted = udp ? STATE_UNCONN : STATE_LISTEN, uid;
	const char *four = udp ? "/proc/net/udp" : "/proc/net/tcp";
	const char *six = udp ? "/proc/net/udp6" : "/proc/net/tcp6";
	unsigned long inode;
	char *process;

	/* A dual-stack socket holds the IPv4 port, too. */
	if (!(family == 4 && find_socket(four, wanted, port, &inode, &uid)) &&
	    !find_socket(six, wanted, port, &inode, &uid))
		return str_dup("another program");
	process = find_process(inode);
	return process ? process : str_printf("a program of user %u", uid);
}
