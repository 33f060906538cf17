/* guest/netconf/localhost.c - reports listening ports and serves the host's connections to them
 *
 * THEORY OF OPERATION
 *   Every SCAN_MS the set of ports is read; what came is offered and reported (PORT_OPENED), what
 *   went is withdrawn (PORT_CLOSED). An offered port has a vsock listener of its own, which is named
 *   in the report: the host's relay connects there, and the stream is joined with a connection to the
 *   port. Half-closes travel both ways. With UDP a stream is one peer, which gets a socket of its own
 *   (datagram.c).
 *   In mirrored mode the service tells the host's listening ports in turn. Each gets a listener on
 *   127.0.0.1 here (or on all addresses), unless the guest uses the port; connections and datagrams
 *   are carried on to the gateway, which is the host's loopback. A program that wants the port finds
 *   it in use, as it would on the host. These listeners are not reported.
 * LIMITS
 *   MAX_PORTS offered ports and MAX_STREAMS joined streams; beyond them ports are not offered,
 *   streams are refused.
 */
#include "netconf/localhost.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/listeners.h"
#include "io/loop.h"
#include "io/pump.h"
#include "io/socket.h"
#include "io/udp-port.h"
#include "netconf/datagram.h"
#include "protocol/message.h"

#define SCAN_MS     150u
#define CONNECT_MS  10000u
#define MAX_PORTS   4096u
#define MAX_STREAMS 16384u
#define MAX_FILES   (4 * MAX_STREAMS + 4 * MAX_PORTS)

struct localhost;

struct offer {
	struct localhost *localhost;
	struct offer *next, **link;
	struct watch *watch;
	struct listener at;
	uint32_t stream;
	int fd;
};

struct stream { /* two descriptors a side: each pump watches its own */
	struct localhost *localhost;
	struct stream *next, **link;
	int host[2], local[2];
	struct watch *connecting;
	struct pump *in, *out;
	bool in_done, out_done;
};

struct mirror { /* a port of the host */
	struct localhost *localhost;
	struct mirror *next;
	struct listener at;
	/* TCP, or UDP; neither: the guest has it */
	struct watch *watch;
	int fd;
	struct udp_port *udp;
};

struct localhost {
	struct loop *loop;
	struct channel *service;
	struct timer *scan;
	int diag;
	struct listeners sets[2];
	unsigned current;
	struct offer *offers;
	struct stream *streams;
	struct mirror *mirrors;
	struct in_addr gateway;
	unsigned n_offers, n_streams, n_mirrors, host_loopback;
	bool inbound;
};

/* --- streams --- */

static void stream_free(struct stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->localhost->n_streams--;
	watch_remove(s->connecting);
	pump_free(s->in);
	pump_free(s->out);
	for (unsigned i = 0; i < 2; i++) {
		drop_fd(&s->host[i]);
		drop_fd(&s->local[i]);
	}
	free(s);
}

static void direction_ended(struct stream *s, bool *done, int to, int error)
{
	*done = true;
	if (error == 0)
		shutdown(to, SHUT_WR);
	if (error || (s->in_done && s->out_done))
		stream_free(s);
}

static void in_ended(struct pump *p, int error, void *arg)
{
	struct stream *s = arg;

	(void)p;
	direction_ended(s, &s->in_done, s->local[0], error);
}

static void out_ended(struct pump *p, int error, void *arg)
{
	struct stream *s = arg;

	(void)p;
	direction_ended(s, &s->out_done, s->host[0], error);
}

static void connected(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct stream *s = arg;
	struct loop *loop = s->localhost->loop;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)w, (void)events;
	s->connecting = watch_remove(s->connecting);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	s->host[1] = fcntl(s->host[0], F_DUPFD_CLOEXEC, 3);
	s->local[1] = fcntl(s->local[0], F_DUPFD_CLOEXEC, 3);
	if (!error && s->host[1] >= 0 && s->local[1] >= 0) {
		s->in = pump_new(loop, s->host[0], s->local[0], in_ended, s);
		s->out = pump_new(loop, s->local[1], s->host[1], out_ended, s);
	}
	if (!s->in || !s->out)
		stream_free(s);
}

/* Takes both: @host is connected, @local is about to be. */
static void stream_new(struct localhost *l, int host, int local)
{
	struct stream *s = local >= 0 && l->n_streams < MAX_STREAMS ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		close(host);
		drop_fd(&local);
		return;
	}
	*s = (struct stream) { .localhost = l, .host = { host, -1 }, .local = { local, -1 } };
	s->next = l->streams;
	s->link = &l->streams;
	if (s->next)
		s->next->link = &s->next;
	l->streams = s;
	l->n_streams++;
	s->connecting = loop_watch(l->loop, local, EPOLLOUT, connected, s);
	if (!s->connecting)
		stream_free(s);
}

/* --- offers --- */

/* Called with errno of accept4(): without memory or descriptors the listener is left alone until the
 * next scan, instead of being found ready again and again. */
static void rest_if_out(struct watch *w)
{
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		watch_set(w, 0);
}

static void offer_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct offer *o = arg;
	struct listener to = listener_is_any(&o->at)
				     ? listener_loopback(o->at.family, o->at.protocol, o->at.port)
				     : o->at;
	int host;

	(void)events;
	while ((host = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		if (to.protocol == IPPROTO_UDP)
			datagram_serve(o->localhost->loop, &to, host);
		else
			stream_new(o->localhost, host, listener_connect(&to));
	}
	rest_if_out(w);
}

static void report(struct localhost *l, uint16_t type, const struct offer *o)
{
	char address[INET6_ADDRSTRLEN];
	struct msg_port m = listener_message(&o->at, o->stream, address);

	if (l->service)
		channel_send(l->service, type, 0, &m);
}

static void offer_free(struct offer *o)
{
	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	o->localhost->n_offers--;
	watch_remove(o->watch);
	drop_fd(&o->fd);
	free(o);
}

static void port_opened(const struct listener *at, void *arg)
{
	struct localhost *l = arg;
	struct offer *o = l->n_offers < MAX_PORTS ? calloc(1, sizeof(*o)) : NULL;

	if (!o)
		return;
	*o = (struct offer) { .localhost = l, .at = *at, .next = l->offers };
	o->link = &l->offers;
	if (o->next)
		o->next->link = &o->next;
	l->offers = o;
	l->n_offers++;
	o->fd = vsock_listen(0, &o->stream);
	if (o->fd >= 0 && fd_set_nonblock(o->fd, 1) == 0)
		o->watch = loop_watch(l->loop, o->fd, EPOLLIN, offer_ready, o);
	if (!o->watch) {
		log_warn("localhost: port %u cannot be offered to the host", at->port);
		offer_free(o);
		return;
	}
	report(l, MSG_PORT_OPENED, o);
}

static void port_closed(const struct listener *at, void *arg)
{
	struct localhost *l = arg;

	for (struct offer *o = l->offers; o; o = o->next) {
		if (!listener_same(&o->at, at))
			continue;
		report(l, MSG_PORT_CLOSED, o);
		offer_free(o);
		return;
	}
}

/* --- ports of the host --- */

/* The same port of the host's loopback */
static struct listener behind_gateway(const struct mirror *m)
{
	struct listener host = m->at;

	memcpy(host.address, &m->localhost->gateway, sizeof(m->localhost->gateway));
	return host;
}

static void mirror_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct mirror *m = arg;
	struct listener host = behind_gateway(m);
	int client;

	(void)events;
	while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		stream_new(m->localhost, client, listener_connect(&host));
	rest_if_out(w);
}

static void mirror_peer(void *arg, int stream)
{
	struct mirror *m = arg;
	struct listener host = behind_gateway(m);

	datagram_serve(m->localhost->loop, &host, stream);
}

static bool is_open(const struct mirror *m)
{
	return m->watch || m->udp;
}

/* Tried again when the guest gives a port up. */
static void mirror_open(struct mirror *m)
{
	struct loop *loop = m->localhost->loop;
	auto_close int fd = listener_open(&m->at);

	if (fd < 0)
		return;
	if (m->at.protocol == IPPROTO_UDP) {
		m->udp = udp_port_new(loop, take_fd(&fd), mirror_peer, m);
		return;
	}
	m->watch = loop_watch(loop, fd, EPOLLIN, mirror_ready, m);
	if (m->watch)
		m->fd = take_fd(&fd);
}

static void mirror_close(struct mirror *m)
{
	m->watch = watch_remove(m->watch);
	m->udp = udp_port_free(m->udp);
	drop_fd(&m->fd);
}

static void mirrors_retry(struct localhost *l)
{
	for (struct mirror *m = l->mirrors; m; m = m->next)
		if (!is_open(m))
			mirror_open(m);
}

/* Where the guest has it: on its loopback, or on all of its addresses. */
static struct listener mirrored_at(const struct localhost *l, const struct listener *host)
{
	return l->host_loopback == HOST_LOOPBACK_ADDRESSES
		       ? listener_any(host->family, host->protocol, host->port)
		       : *host;
}

static void host_opened(struct localhost *l, const struct listener *host)
{
	struct mirror *m = l->n_mirrors < MAX_PORTS ? calloc(1, sizeof(*m)) : NULL;

	if (!m)
		return;
	*m = (struct mirror) {
		.localhost = l, .next = l->mirrors, .at = mirrored_at(l, host), .fd = -1
	};
	l->mirrors = m;
	l->n_mirrors++;
	mirror_open(m);
}

static void host_closed(struct localhost *l, const struct listener *host)
{
	struct listener wanted = mirrored_at(l, host);

	for (struct mirror **at = &l->mirrors; *at; at = &(*at)->next) {
		struct mirror *m = *at;

		if (!listener_same(&m->at, &wanted))
			continue;
		*at = m->next;
		l->n_mirrors--;
		mirror_close(m);
		free(m);
		return;
	}
}

static void hide_mirrors(const struct localhost *l, struct listeners *now)
{
	for (const struct mirror *m = l->mirrors; m; m = m->next)
		if (is_open(m))
			listeners_clear(now, &m->at);
}

static void wake_listeners(struct localhost *l)
{
	for (struct offer *o = l->offers; o; o = o->next)
		watch_set(o->watch, EPOLLIN);
	for (struct mirror *m = l->mirrors; m; m = m->next)
		if (m->watch)
			watch_set(m->watch, EPOLLIN);
}

static void scan(struct timer *t, void *arg)
{
	struct localhost *l = arg;
	struct listeners *before = &l->sets[l->current], *now = &l->sets[!l->current];

	timer_set(t, SCAN_MS);
	if (listeners_read(l->diag, now) < 0)
		return;
	if (!l->inbound)
		listeners_fold(now);
	hide_mirrors(l, now);
	listeners_difference(before, now, port_closed, l);
	listeners_difference(now, before, port_opened, l);
	mirrors_retry(l);
	wake_listeners(l);
	l->current = !l->current;
}

/* --- the process --- */

static void on_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct localhost *l = arg;
	const struct msg_hello *hello = m->msg;
	struct listener at;

	(void)c;
	if (m->header.type == MSG_PORT_OPENED && listener_parse(m->msg, &at))
		host_opened(l, &at);
	else if (m->header.type == MSG_PORT_CLOSED && listener_parse(m->msg, &at))
		host_closed(l, &at);
	else if (m->header.type == MSG_HELLO && hello->version == PROTOCOL_VERSION &&
		 !timer_armed(l->scan))
		scan(l->scan, l);
}

static void on_close(struct channel *c, int reason, void *arg)
{
	struct localhost *l = arg;

	(void)reason;
	channel_free(c);
	l->service = NULL;
	loop_stop(l->loop, 0);
}

static const struct channel_ops service_ops = { on_message, on_close };

/* Streams have four descriptors each. If the limit stays, accepting fails and rests (see scan()). */
static void raise_limit(void)
{
	struct rlimit files = { MAX_FILES, MAX_FILES };

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_warn("localhost: few connections at a time: %s", strerror(errno));
}

static int set_up(struct localhost *l)
{
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_LOCALHOST,
		.release = LXSS_VERSION,
	};
	int fd;

	l->diag = listeners_open();
	l->loop = loop_new();
	if (l->diag < 0 || !l->loop)
		return l->diag < 0 ? l->diag : -ENOMEM;
	fd = vsock_connect(VSOCK_CID_HOST, VSOCK_PORT_INIT, now_ms() + CONNECT_MS);
	if (fd < 0)
		return fd;
	l->scan = loop_timer(l->loop, scan, l);
	l->service = channel_new(l->loop, fd, &service_ops, l);
	if (!l->scan || !l->service)
		return -ENOMEM;
	return channel_send(l->service, MSG_HELLO, 0, &hello);
}

void localhost_main(const struct msg_net_config *m)
{
	struct localhost *l = calloc(1, sizeof(*l));
	int r = l ? 0 : -ENOMEM;

	prctl(PR_SET_NAME, "localhost");
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	if (r == 0) {
		inet_pton(AF_INET, m->gateway4, &l->gateway);
		l->host_loopback = m->host_loopback;
		l->inbound = m->inbound;
		r = set_up(l);
	}
	if (r == 0)
		r = loop_run(l->loop);
	if (r < 0)
		log_err("localhost: %s", strerror(-r));
	_exit(r < 0);
}
