/* host/devices/forward.c - host ports whose connections go to the guest's loopback
 *
 * LIMITS  MAX_FORWARDS ports. Without free descriptors a port rests for REST_MS.
 */
#include "devices/forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/udp-port.h"
#include "protocol/message.h"
#include "vsock/device.h"

#define MAX_FORWARDS 8192u
#define REST_MS      50u

struct forward {
	struct forwards *all;
	struct forward *next, **link;
	struct watch *watch;
	struct timer *rest;
	struct udp_port *udp;
	struct listener at;
	uint32_t stream;
	int fd; /* TCP: it listens */
};

struct forwards {
	struct loop *loop;
	struct vsock *vsock;
	struct forward *first;
	unsigned n;
};

static void on_open(int error, int fd, void *arg)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	(void)arg;
	if (!error)
		return;
	/* Nobody listens any more: the client sees a reset, not an orderly end. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void on_connection(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct forward *f = arg;

	(void)events;
	for (unsigned i = 0; i < 64; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client >= 0) {
			vsock_open(f->all->vsock, f->stream, client, on_open, NULL);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			watch_set(w, 0);
			timer_set(f->rest, REST_MS);
		}
		return;
	}
}

static void rested(struct timer *t, void *arg)
{
	struct forward *f = arg;

	(void)t;
	watch_set(f->watch, EPOLLIN);
}

static void forward_free(struct forward *f)
{
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	f->all->n--;
	watch_remove(f->watch);
	timer_free(f->rest);
	udp_port_free(f->udp);
	drop_fd(&f->fd);
	free(f);
}

static struct forward *find(struct forwards *all, const struct listener *at)
{
	struct forward *f = all->first;

	while (f && !listener_same(&f->at, at))
		f = f->next;
	return f;
}

static void on_peer_open(int error, int fd, void *arg)
{
	(void)arg;
	if (error)
		close(fd);
}

static void on_peer(void *arg, int stream)
{
	struct forward *f = arg;

	vsock_open(f->all->vsock, f->stream, stream, on_peer_open, NULL);
}

static bool serve(struct forward *f, int fd)
{
	struct forwards *all = f->all;

	if (f->at.protocol == IPPROTO_UDP) {
		f->udp = udp_port_new(all->loop, fd, on_peer, f);
		return f->udp != NULL;
	}
	f->fd = fd;
	f->rest = loop_timer(all->loop, rested, f);
	f->watch = f->rest ? loop_watch(all->loop, fd, EPOLLIN, on_connection, f) : NULL;
	return f->watch != NULL;
}

int forwards_add(struct forwards *all, const struct msg_port *port, int socket)
{
	auto_close int fd = socket;
	struct listener at;
	struct forward *f;

	if (!listener_parse(port, &at))
		return -EINVAL;
	if (find(all, &at))
		return -EEXIST;
	f = all->n < MAX_FORWARDS && fd_set_nonblock(fd, 1) == 0 ? calloc(1, sizeof(*f)) : NULL;
	if (!f)
		return -ENOSPC;
	*f = (struct forward) { .all = all, .at = at, .stream = port->stream, .fd = -1 };
	f->next = all->first;
	f->link = &all->first;
	if (f->next)
		f->next->link = &f->next;
	all->first = f;
	all->n++;
	if (serve(f, take_fd(&fd)))
		return 0;
	forward_free(f);
	return -ENOMEM;
}

void forwards_remove(struct forwards *all, const struct msg_port *port)
{
	struct listener at;
	struct forward *f = listener_parse(port, &at) ? find(all, &at) : NULL;

	if (f)
		forward_free(f);
}

struct forwards *forwards_new(struct loop *loop, struct vsock *vsock)
{
	struct forwards *all = calloc(1, sizeof(*all));

	if (all)
		*all = (struct forwards) { .loop = loop, .vsock = vsock };
	return all;
}

struct forwards *forwards_free(struct forwards *all)
{
	while (all && all->first)
		forward_free(all->first);
	free(all);
	return NULL;
}
