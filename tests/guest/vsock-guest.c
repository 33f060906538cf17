/* tests/guest/vsock-guest.c - /init of the vsock test guest: small services on AF_VSOCK ports
 *
 * Static, alone in its initramfs. It tells the host that it is up by connecting to port 50000 and
 * saying one byte; after that the host drives everything through the ports below (vsock-test.h).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "vsock-test.h"

static char buf[1 << 20];

static void die(const char *what)
{
	printf("vsock-guest: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static int listen_on(uint32_t port)
{
	struct sockaddr_vm sa = { .svm_family = AF_VSOCK,
				  .svm_cid = VMADDR_CID_ANY,
				  .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static int connect_host(uint32_t cid, uint32_t port)
{
	struct sockaddr_vm sa = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static int write_full(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_full(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- services, one process per connection --- */

static void serve_sink(int fd)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (uint64_t)n;
	write_full(fd, &total, sizeof(total));
}

static void serve_source(int fd)
{
	uint64_t left;

	if (read_full(fd, &left, sizeof(left)) < 0)
		return;
	while (left) {
		size_t part = left < sizeof(buf) ? (size_t)left : sizeof(buf);

		if (write_full(fd, buf, part) < 0)
			return;
		left -= part;
	}
	shutdown(fd, SHUT_WR);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void serve_bulk_echo(int fd)
{
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write_full(fd, buf, (size_t)n) < 0)
			return;
	shutdown(fd, SHUT_WR);
}

static void serve_stall(int fd)
{
	sleep(1);
	serve_sink(fd);
}

static void serve_close(int fd)
{
	(void)fd;
}

static void serve_half(int fd) /* ends its output first, then counts what comes */
{
	write_full(fd, "bye", 3);
	shutdown(fd, SHUT_WR);
	serve_sink(fd);
}

/* --- what the host asks the guest to do --- */

static uint32_t open_streams(const struct command *c)
{
	uint32_t good = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		int fd = connect_host(VMADDR_CID_HOST, c->port);
		uint32_t back = ~i;

		if (fd < 0)
			continue;
		if (write_full(fd, &i, sizeof(i)) == 0 && read_full(fd, &back, sizeof(back)) == 0)
			good += back == i;
		close(fd);
	}
	return good;
}

static uint32_t open_refused(const struct command *c)
{
	int fd = connect_host(c->n, c->port);

	if (fd >= 0)
		return 0;
	return (uint32_t)errno;
}

static uint32_t open_parallel(const struct command *c)
{
	static int fds[20000];
	uint32_t n = 0, good = 0;

	while (n < c->n && n < 20000 && (fds[n] = connect_host(VMADDR_CID_HOST, c->port)) >= 0)
		n++;
	for (uint32_t i = 0; i < n; i++)
		write_full(fds[i], &i, sizeof(i));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t back = ~i;

		good += read_full(fds[i], &back, sizeof(back)) == 0 && back == i;
		close(fds[i]);
	}
	return good;
}

static void serve_command(int fd)
{
	struct command c;

	while (read_full(fd, &c, sizeof(c)) == 0) {
		uint32_t answer = 0;

		switch (c.op) {
		case COMMAND_OPEN:
			answer = open_streams(&c);
			break;
		case COMMAND_OPEN_PARALLEL:
			answer = open_parallel(&c);
			break;
		case COMMAND_REFUSED:
			answer = open_refused(&c);
			break;
		case COMMAND_POWER_OFF:
			sync();
			reboot(RB_POWER_OFF);
		}
		write_full(fd, &answer, sizeof(answer));
	}
}

static void service(uint32_t port, void (*serve)(int fd))
{
	int lfd = listen_on(port);

	if (fork() != 0) {
		close(lfd);
		return;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (fork() == 0) {
			close(lfd);
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
}

/* --- echo for many connections in one process --- */

static void echo_ready(int ep, int fd)
{
	ssize_t n = read(fd, buf, 4096);

	if (n > 0 && write_full(fd, buf, (size_t)n) == 0)
		return;
	epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static void echo_forever(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), lfd = listen_on(PORT_ECHO);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = lfd }, evs[64];

	epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 64, -1);

		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd != lfd) {
				echo_ready(ep, evs[i].data.fd);
				continue;
			}
			ev.data.fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
			if (ev.data.fd >= 0)
				epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
		}
	}
}

int main(void)
{
	struct rlimit lim = { 65536, 65536 };
	int up;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &lim);
	memset(buf, 'x', sizeof(buf));
	service(PORT_SINK, serve_sink);
	service(PORT_SOURCE, serve_source);
	service(PORT_BULK_ECHO, serve_bulk_echo);
	service(PORT_STALL, serve_stall);
	service(PORT_CLOSE, serve_close);
	service(PORT_HALF, serve_half);
	service(PORT_COMMAND, serve_command);
	if (fork() == 0)
		echo_forever();
	usleep(100000);
	up = connect_host(VMADDR_CID_HOST, PORT_HOST);
	if (up < 0 || write(up, "U", 1) != 1)
		die("connect to the host");
	for (;;)
		if (wait(NULL) < 0)
			pause();
}
