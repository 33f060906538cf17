/* tests/guest/transport-unix.c - the transport of the twin: UNIX sockets in $LXSS_TEST_DIR
 *
 * "init" there is the service; "port-N" are the listeners of sessions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot/transport.h"
#include "common/util.h"
#include "io/socket.h"

static const char *path_of(char buf[100], const char *name)
{
	snprintf(buf, 100, "%s/%s", getenv("LXSS_TEST_DIR"), name);
	return buf;
}

int host_connect_start(void)
{
	char path[100];
	int fd = unix_connect_at(AT_FDCWD, path_of(path, "init"));

	if (fd >= 0)
		fd_set_nonblock(fd, 1);
	return fd;
}

int host_connect_finish(int fd, uint64_t deadline_ms)
{
	(void)deadline_ms;
	return fd;
}

int session_listen(uint32_t *ret_port)
{
	static uint32_t port = 1024;
	char path[100], name[24];

	snprintf(name, sizeof(name), "port-%u", ++port);
	*ret_port = port;
	return unix_listen_at(AT_FDCWD, path_of(path, name), 0600);
}

int session_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}
