/* shared/io/socket.h - sockets, descriptor passing and blocking message exchange with deadlines
 *
 * UNIX socket names are relative to an open directory, so that paths longer than sockaddr_un work.
 * Deadlines are absolute now_ms() values; UINT64_MAX waits for ever. All descriptors are close-on-exec.
 */
#ifndef SHARED_IO_SOCKET_H
#define SHARED_IO_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/message.h"

#define DEADLINE_NONE UINT64_MAX

/* A listening stream socket at @name in @dirfd; a stale name is replaced. Returns fd or -errno. */
int unix_listen_at(int dirfd, const char *name, unsigned mode);
/* Returns a connected fd or -errno (-ECONNREFUSED, -ENOENT: nobody is there). */
int unix_connect_at(int dirfd, const char *name);
/* The peer's user and process as the kernel vouches for them: 0 or -errno. */
int unix_peer(int fd, uid_t *ret_uid, pid_t *ret_pid);

/* AF_VSOCK; @port 0 (listen) lets the kernel choose, the choice is stored in *ret_port. */
int vsock_listen(uint32_t port, uint32_t *ret_port);
int vsock_connect(uint32_t cid, uint32_t port, uint64_t deadline_ms);

int fd_set_nonblock(int fd, int on);
/* Waits until @events (poll(2)) hold: 0, -ETIMEDOUT or -errno. */
int fd_wait(int fd, short events, uint64_t deadline_ms);

/* sendmsg/recvmsg with SCM_RIGHTS. recv_fds() marks what it received close-on-exec, stores at most
 * @max descriptors in @fds, their number in *ret_n, and closes surplus ones. */
ssize_t send_fds(int fd, const void *data, size_t len, const int *fds, unsigned n, int flags);
ssize_t recv_fds(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *ret_n, int flags);

/* Blocking message exchange, for programs without a loop. */
int message_send(int fd, uint16_t type, uint32_t seq, const void *msg, const int *fds, unsigned n_fds,
		 uint64_t deadline_ms);

struct message_buffer { /* zero-initialised; message_buffer_done() frees it */
	uint8_t *data;
	size_t size;
	int fds[8];
	unsigned n_fds;
};

/* Receives one message; *ret_payload points into @buf until the next call. Descriptors that came
 * with it are in buf->fds (take them, or they are closed by the next call). -ENODATA when the peer
 * closed the socket between messages, -EPIPE inside one, -EBADMSG, -ETIMEDOUT, -errno. */
int message_recv(int fd, struct message_buffer *buf, struct message_header *ret_header,
		 const uint8_t **ret_payload, uint64_t deadline_ms);
void message_buffer_done(struct message_buffer *buf);

#endif
