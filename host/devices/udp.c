/* host/devices/udp.c - a UDP port of the host's loopback whose datagrams go to the guest's
 *
 * LIMITS  MAX_FLOWS peers of a port; beyond them datagrams of new ones are dropped. A flow without
 *         traffic ends after IDLE_MS.
 */
#include "devices/udp.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "io/datagrams.h"
#include "io/loop.h"
#include "vsock/device.h"

#define MAX_FLOWS 256u
#define IDLE_MS   60000u
#define BURST     32u

struct flow {
	struct udp_forward *forward;
	struct flow *next, **link;
	struct datagrams *stream;
	struct sockaddr_in6 peer; /* large enough for both families */
	socklen_t peer_len;
};

struct udp_forward {
	struct loop *loop;
	struct vsock *vsock;
	struct watch *watch;
	struct flow *flows;
	unsigned n_flows;
	uint32_t port; /* of the guest's vsock */
	int fd;
	uint8_t buf[DATAGRAM_MAX_BYTES];
};

static void flow_free(struct flow *f)
{
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	f->forward->n_flows--;
	datagrams_free(f->stream);
	free(f);
}

static void from_guest(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct flow *f = arg;

	(void)d;
	sendto(f->forward->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&f->peer,
	       f->peer_len);
}

static void flow_ended(struct datagrams *d, void *arg)
{
	(void)d;
	flow_free(arg);
}

static const struct datagrams_ops flow_ops = { from_guest, flow_ended };

/* A refusal shows in the flow as the end of its stream. */
static void on_open(int error, int fd, void *arg)
{
	(void)arg;
	if (error)
		close(fd);
}

static struct flow *flow_new(struct udp_forward *u, const struct sockaddr_in6 *peer, socklen_t len)
{
	struct flow *f = u->n_flows < MAX_FLOWS ? calloc(1, sizeof(*f)) : NULL;
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		free(f);
		return NULL;
	}
	f->stream = datagrams_new(u->loop, pair[0], IDLE_MS, &flow_ops, f);
	if (!f->stream) {
		close(pair[1]);
		free(f);
		return NULL;
	}
	f->forward = u;
	f->peer = *peer;
	f->peer_len = len;
	f->next = u->flows;
	f->link = &u->flows;
	if (f->next)
		f->next->link = &f->next;
	u->flows = f;
	u->n_flows++;
	vsock_open(u->vsock, u->port, pair[1], on_open, NULL);
	return f;
}

static struct flow *flow_of(struct udp_forward *u, const struct sockaddr_in6 *peer, socklen_t len)
{
	for (struct flow *f = u->flows; f; f = f->next)
		if (f->peer_len == len && memcmp(&f->peer, peer, len) == 0)
			return f;
	return flow_new(u, peer, len);
}

static void from_host(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct udp_forward *u = arg;

	(void)w, (void)events;
	for (unsigned i = 0; i < BURST; i++) {
		struct sockaddr_in6 peer = { 0 };
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, u->buf, sizeof(u->buf), MSG_DONTWAIT,
				     (struct sockaddr *)&peer, &len);
		struct flow *f;

		if (n < 0)
			return;
		f = flow_of(u, &peer, len);
		if (f)
			datagrams_send(f->stream, u->buf, (size_t)n);
	}
}

struct udp_forward *udp_forward_new(struct loop *loop, struct vsock *vsock, uint32_t port, int fd)
{
	struct udp_forward *u = calloc(1, sizeof(*u));

	if (!u) {
		close(fd);
		return NULL;
	}
	u->loop = loop;
	u->vsock = vsock;
	u->port = port;
	u->fd = fd;
	u->watch = loop_watch(loop, fd, EPOLLIN, from_host, u);
	return u->watch ? u : udp_forward_free(u);
}

struct udp_forward *udp_forward_free(struct udp_forward *u)
{
	if (!u)
		return NULL;
	while (u->flows)
		flow_free(u->flows);
	watch_remove(u->watch);
	drop_fd(&u->fd);
	free(u);
	return NULL;
}
