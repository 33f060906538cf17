/* guest/boot/transport.c - AF_VSOCK streams between this VM and its host */
#include "boot/transport.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/socket.h"

#define STREAM_BUFFER_BYTES (1u << 20)

int host_connect_start(void)
{
	auto_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = VSOCK_PORT_INIT,
	};

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

int host_connect_finish(int fd, uint64_t deadline_ms)
{
	auto_close int owned = fd;
	socklen_t len = sizeof(int);
	int error = 0;
	int r = fd_wait(fd, POLLOUT, deadline_ms);

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return error ? -error : take_fd(&owned);
}

int session_listen(uint32_t *ret_port)
{
	uint64_t bytes = STREAM_BUFFER_BYTES;
	int fd = vsock_listen(0, ret_port);

	if (fd < 0)
		return fd;
	fd_set_nonblock(fd, 1);
	/* Accepted streams inherit these; larger windows keep bulk data moving. */
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &bytes, sizeof(bytes));
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &bytes, sizeof(bytes));
	return fd;
}

int session_accept(int listener)
{
	struct sockaddr_vm sa = { 0 };
	socklen_t len = sizeof(sa);
	int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (sa.svm_cid == VMADDR_CID_HOST)
		return fd;
	close(fd); /* a process of this VM over the loopback: not a client of ours */
	return -EPERM;
}
