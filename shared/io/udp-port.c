/* shared/io/udp-port.c - a UDP socket each of whose peers has a stream of its own
 *
 * LIMITS  MAX_FLOWS peers of a port; a new one takes the place of that which has been quiet longest, as
 *         most are clients that had one question. A flow without traffic ends after IDLE_MS.
 */
#include "io/udp-port.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "io/datagrams.h"
#include "io/loop.h"

#define MAX_FLOWS 256u
#define IDLE_MS   60000u
#define BURST     32u

struct ends {                     /* compared as bytes */
	struct sockaddr_in6 peer; /* large enough for both families */
	struct in6_addr own;      /* the address it asked; zero: not known */
	socklen_t peer_len;
};

struct flow {
	struct udp_port *port;
	struct flow *next, **link;
	struct datagrams *stream;
	struct ends ends;
};

struct udp_port {
	struct loop *loop;
	udp_port_fn fn;
	void *arg;
	struct watch *watch;
	struct flow *flows; /* the last that said or heard something first */
	unsigned n_flows;
	int fd;
	uint8_t buf[DATAGRAM_MAX_BYTES];
};

union control { /* of one message, and for its alignment */
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* --- the list of flows --- */

static void enter(struct flow *f)
{
	struct udp_port *u = f->port;

	f->next = u->flows;
	f->link = &u->flows;
	if (f->next)
		f->next->link = &f->next;
	u->flows = f;
	u->n_flows++;
}

static void leave(struct flow *f)
{
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	f->port->n_flows--;
}

static void to_front(struct flow *f)
{
	leave(f);
	enter(f);
}

/* --- datagrams --- */

static void note_own_address(struct msghdr *m, struct in6_addr *ret)
{
	struct in_pktinfo four;
	struct in6_pktinfo six;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&four, CMSG_DATA(c), sizeof(four));
			memcpy(ret, &four.ipi_spec_dst, sizeof(four.ipi_spec_dst));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&six, CMSG_DATA(c), sizeof(six));
			if (!IN6_IS_ADDR_MULTICAST(&six.ipi6_addr))
				*ret = six.ipi6_addr;
		}
	}
}

static ssize_t receive(struct udp_port *u, struct ends *ret)
{
	struct iovec iov = { u->buf, sizeof(u->buf) };
	union control control;
	struct msghdr m = {
		.msg_name = &ret->peer,
		.msg_namelen = sizeof(ret->peer),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	n = recvmsg(u->fd, &m, MSG_DONTWAIT);
	if (n < 0)
		return n;
	ret->peer_len = m.msg_namelen;
	note_own_address(&m, &ret->own);
	return n;
}

static void put_own_address(struct msghdr *m, union control *control, const struct ends *e)
{
	struct in_pktinfo four = { 0 };
	struct in6_pktinfo six = { .ipi6_addr = e->own };
	bool is6 = e->peer.sin6_family == AF_INET6;
	size_t size = is6 ? sizeof(six) : sizeof(four);

	memcpy(&four.ipi_spec_dst, &e->own, sizeof(four.ipi_spec_dst));
	memset(control, 0, sizeof(*control));
	control->head.cmsg_len = CMSG_LEN(size);
	control->head.cmsg_level = is6 ? IPPROTO_IPV6 : IPPROTO_IP;
	control->head.cmsg_type = is6 ? IPV6_PKTINFO : IP_PKTINFO;
	memcpy(CMSG_DATA(&control->head), is6 ? (void *)&six : &four, size);
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(size);
}

static void from_stream(struct datagrams *d, const uint8_t *data, size_t len, void *arg)
{
	struct flow *f = arg;
	struct iovec iov = { (void *)(uintptr_t)data, len };
	union control control;
	struct msghdr m = {
		.msg_name = &f->ends.peer,
		.msg_namelen = f->ends.peer_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	(void)d;
	to_front(f);
	if (!IN6_IS_ADDR_UNSPECIFIED(&f->ends.own))
		put_own_address(&m, &control, &f->ends);
	sendmsg(f->port->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- flows --- */

static void flow_free(struct flow *f)
{
	leave(f);
	datagrams_free(f->stream);
	free(f);
}

static void flow_ended(struct datagrams *d, void *arg)
{
	(void)d;
	flow_free(arg);
}

static const struct datagrams_ops flow_ops = { from_stream, flow_ended };

static void drop_quietest(struct udp_port *u)
{
	struct flow *last = NULL;

	for (struct flow *f = u->flows; f; f = f->next)
		last = f;
	if (last)
		flow_free(last);
}

static struct flow *flow_new(struct udp_port *u, const struct ends *ends)
{
	struct flow *f = calloc(1, sizeof(*f));
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
	if (u->n_flows == MAX_FLOWS)
		drop_quietest(u);
	f->port = u;
	f->ends = *ends;
	enter(f);
	u->fn(u->arg, pair[1]); /* a refusal shows in the flow as the end of its stream */
	return f;
}

static struct flow *flow_of(struct udp_port *u, const struct ends *ends)
{
	for (struct flow *f = u->flows; f; f = f->next)
		if (memcmp(&f->ends, ends, sizeof(*ends)) == 0) {
			to_front(f);
			return f;
		}
	return flow_new(u, ends);
}

static void ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct udp_port *u = arg;

	(void)w, (void)fd, (void)events;
	for (unsigned i = 0; i < BURST; i++) {
		struct ends ends;
		ssize_t n = receive(u, &ends);
		struct flow *f;

		if (n < 0)
			return;
		f = flow_of(u, &ends);
		if (f)
			datagrams_send(f->stream, u->buf, (size_t)n);
	}
}

struct udp_port *udp_port_new(struct loop *loop, int fd, udp_port_fn fn, void *arg)
{
	struct udp_port *u = calloc(1, sizeof(*u));

	if (!u) {
		close(fd);
		return NULL;
	}
	u->loop = loop;
	u->fn = fn;
	u->arg = arg;
	u->fd = fd;
	u->watch = loop_watch(loop, fd, EPOLLIN, ready, u);
	return u->watch ? u : udp_port_free(u);
}

struct udp_port *udp_port_free(struct udp_port *u)
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
