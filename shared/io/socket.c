/* shared/io/socket.c - sockets, descriptor passing and blocking message exchange */
#include "io/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/util.h"

/* /proc/self/fd/N/name reaches a directory of any path length. */
static int unix_address(struct sockaddr_un *sa, int dirfd, const char *name)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (dirfd == AT_FDCWD)
		return str_format(sa->sun_path, sizeof(sa->sun_path), "%s", name);
	return str_format(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
}

int unix_listen_at(int dirfd, const char *name, unsigned mode)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	int r = unix_address(&sa, dirfd, name);

	if (r < 0)
		return r;
	if (fd < 0)
		return -errno;
	unlinkat(dirfd, name, 0);
	fchmod(fd, mode); /* the mode the name is born with, less umask */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return take_fd(&fd);
}

int unix_connect_at(int dirfd, const char *name)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	int r = unix_address(&sa, dirfd, name);

	if (r < 0)
		return r;
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return take_fd(&fd);
}

int unix_peer(int fd, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret_uid = cred.uid;
	*ret_pid = cred.pid;
	return 0;
}

int vsock_listen(uint32_t port, uint32_t *ret_port)
{
	auto_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port ? port : VMADDR_PORT_ANY,
	};
	socklen_t len = sizeof(sa);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, INT_MAX) < 0 || /* the kernel's limit, net.core.somaxconn */
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	if (ret_port)
		*ret_port = sa.svm_port;
	return take_fd(&fd);
}

int vsock_connect(uint32_t cid, uint32_t port, uint64_t deadline_ms)
{
	auto_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_vm sa = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	socklen_t len = sizeof(int);
	int r, error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = fd_wait(fd, POLLOUT, deadline_ms);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		if (error)
			return -error;
	}
	r = fd_set_nonblock(fd, 0);
	return r < 0 ? r : take_fd(&fd);
}

int fd_set_nonblock(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_wait(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = now_ms();
		int timeout = -1, n;

		if (deadline_ms != DEADLINE_NONE)
			timeout = deadline_ms > now ? (int)MIN(deadline_ms - now, (uint64_t)60000) : 0;
		n = poll(&p, 1, timeout);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && deadline_ms != DEADLINE_NONE && now_ms() >= deadline_ms)
			return -ETIMEDOUT;
	}
}

ssize_t send_fds(int fd, const void *data, size_t len, const int *fds, unsigned n, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * LIMIT_MESSAGE_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (n > LIMIT_MESSAGE_FDS)
		return -EINVAL;
	if (n) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	do
		sent = sendmsg(fd, &mh, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static void collect_fds(struct msghdr *mh, int *fds, unsigned max, unsigned *n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*n < max)
				fds[(*n)++] = got;
			else
				close(got);
		}
	}
}

ssize_t recv_fds(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *ret_n, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * LIMIT_MESSAGE_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	*ret_n = 0;
	do
		got = recvmsg(fd, &mh, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	collect_fds(&mh, fds, max, ret_n);
	return got;
}

int message_send(int fd, uint16_t type, uint32_t seq, const void *msg, const int *fds, unsigned n_fds,
		 uint64_t deadline_ms)
{
	size_t size = message_size(type, msg), sent = 0;
	auto_free uint8_t *buf = malloc(size);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = message_encode(type, seq, n_fds, msg, buf, size);
	if (n < 0)
		return (int)n;
	while (sent < size) {
		n = send_fds(fd, buf + sent, size - sent, fds, sent ? 0 : n_fds, MSG_DONTWAIT);
		if (n == -EAGAIN) {
			int r = fd_wait(fd, POLLOUT, deadline_ms);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return (int)n;
		sent += (size_t)n;
	}
	return 0;
}

static int recv_exact(int fd, struct message_buffer *buf, size_t at, size_t len, uint64_t deadline_ms)
{
	while (len) {
		unsigned n_fds = 0;
		ssize_t n = recv_fds(fd, buf->data + at, len, buf->fds + buf->n_fds,
				     ARRAY_SIZE(buf->fds) - buf->n_fds, &n_fds, MSG_DONTWAIT);

		buf->n_fds += n_fds;
		if (n == -EAGAIN) {
			int r = fd_wait(fd, POLLIN, deadline_ms);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return (int)n;
		if (n == 0)
			return at ? -EPIPE : -ENODATA;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int buffer_reserve(struct message_buffer *buf, size_t size)
{
	uint8_t *data;

	if (buf->size >= size)
		return 0;
	data = realloc(buf->data, size);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->size = size;
	return 0;
}

static void close_fds(struct message_buffer *buf)
{
	for (unsigned i = 0; i < buf->n_fds; i++)
		drop_fd(&buf->fds[i]);
	buf->n_fds = 0;
}

int message_recv(int fd, struct message_buffer *buf, struct message_header *ret_header,
		 const uint8_t **ret_payload, uint64_t deadline_ms)
{
	int r;

	close_fds(buf);
	r = buffer_reserve(buf, 4096);
	if (r == 0)
		r = recv_exact(fd, buf, 0, MESSAGE_HEADER, deadline_ms);
	if (r < 0)
		return r;
	r = message_header_decode(buf->data, ret_header);
	if (r == -EBADMSG)
		return r;
	r = buffer_reserve(buf, ret_header->length);
	if (r == 0)
		r = recv_exact(fd, buf, MESSAGE_HEADER, ret_header->length - MESSAGE_HEADER, deadline_ms);
	if (r == 0 && buf->n_fds != ret_header->fds)
		r = -EBADMSG;
	*ret_payload = buf->data + MESSAGE_HEADER;
	return r;
}

void message_buffer_done(struct message_buffer *buf)
{
	close_fds(buf);
	free(buf->data);
	*buf = (struct message_buffer) { 0 };
}
