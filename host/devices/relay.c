/* host/devices/relay.c - wslrelay's work between its loop, the vsock device and wslservice
 *
 * THEORY OF OPERATION
 *   A host program connects, says struct relay_connect and waits for a u32; from then on its
 *   socket is the stream and belongs to the vsock device. Most programs write their request
 *   before we get to accept(), so it is looked for at once. A stream the guest opens goes to
 *   wslservice as RELAY_ACCEPT with one end of a socket pair.
 * THE END
 *   The VM is over when its front end closes. Output that host programs have not read yet is
 *   then still written, as long as it moves: GRACE_MS without progress, GRACE_MAX_MS in all.
 *   When wslservice is gone the guest gets ORPHAN_MS to power off.
 * LIMITS
 *   MAX_GREETINGS programs that have connected and not said where to, GREETING_MS each. Without
 *   free descriptors the listener rests for ACCEPT_REST_MS.
 */
#include "relay.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "io/loop.h"
#include "io/socket.h"
#include "devices/forward.h"
#include "net/net.h"
#include "protocol/message.h"
#include "virtio/vhost-user.h"
#include "vsock/device.h"

#define GRACE_MS       1000u
#define GRACE_MAX_MS   5000u
#define ORPHAN_MS      10000u
#define GREETING_MS    5000u
#define MAX_GREETINGS  256u
#define ACCEPT_REST_MS 50u

struct greeting { /* a host program whose request has not come yet */
	struct relay *relay;
	struct greeting *next, **link;
	struct watch *watch;
	struct timer *timer;
	int fd;
};

struct relay {
	struct loop *loop;
	struct vsock *vsock;
	struct vhost *vhost, *net_vhost;
	struct net *net; /* NULL: none */
	struct forwards *forwards;
	struct channel *control;
	uid_t uid; /* ours */
	int connect_fd;
	struct watch *connect_watch;
	struct timer *accept_timer, *orphan_timer, *grace_timer;
	struct greeting *greetings;
	unsigned n_greetings;
	uint64_t grace_end_ms, grace_bytes;
	bool stopping;
	int status;
};

static void stop(struct relay *r, int status)
{
	r->stopping = true;
	r->status = status;
}

/* --- host programs --- */

static void on_connected(int error, int fd, void *arg)
{
	uint32_t answer = htole32((uint32_t)error);

	(void)arg;
	if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* It left; the device sees the socket's end itself. */
	}
	if (error)
		close(fd);
}

/* 1: the request is here, 0: not yet, -errno */
static int read_request(int fd, uint32_t *ret_port)
{
	struct relay_connect rc;
	ssize_t n = recv(fd, &rc, sizeof(rc), MSG_DONTWAIT | MSG_PEEK);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	if (n < (ssize_t)sizeof(rc))
		return 0;
	n = recv(fd, &rc, sizeof(rc), MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(rc) || le32toh(rc.magic) != RELAY_CONNECT_MAGIC)
		return -EPROTO;
	*ret_port = le32toh(rc.port);
	return 1;
}

static void greeting_free(struct greeting *g)
{
	watch_remove(g->watch);
	timer_free(g->timer);
	drop_fd(&g->fd);
	*g->link = g->next;
	if (g->next)
		g->next->link = g->link;
	g->relay->n_greetings--;
	free(g);
}

static void greeting_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct greeting *g = arg;
	struct relay *r = g->relay;
	uint32_t port = 0;
	int e = read_request(fd, &port);

	(void)w;
	if (e == 0 && !(events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		return;
	if (e > 0) {
		g->watch = watch_remove(g->watch);
		vsock_open(r->vsock, port, take_fd(&g->fd), on_connected, r);
	}
	greeting_free(g);
}

static void greeting_late(struct timer *t, void *arg)
{
	(void)t;
	greeting_free(arg);
}

static void greet(struct relay *r, int fd)
{
	struct greeting *g = r->n_greetings < MAX_GREETINGS ? calloc(1, sizeof(*g)) : NULL;

	if (!g) {
		close(fd);
		return;
	}
	*g = (struct greeting) {
		.relay = r, .fd = fd, .next = r->greetings, .link = &r->greetings
	};
	if (g->next)
		g->next->link = &g->next;
	r->greetings = g;
	r->n_greetings++;
	g->watch = loop_watch(r->loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, greeting_ready, g);
	g->timer = loop_timer(r->loop, greeting_late, g);
	if (!g->watch || !g->timer)
		greeting_free(g);
	else
		timer_set(g->timer, GREETING_MS);
}

/* The runtime directory keeps others out already; this holds if it does not. */
static bool may_connect(const struct relay *r, int fd)
{
	uid_t uid;
	pid_t pid;

	return unix_peer(fd, &uid, &pid) == 0 && (uid == r->uid || uid == 0);
}

static void accept_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct relay *r = arg;

	(void)w, (void)events;
	for (unsigned i = 0; i < 64; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), e;
		uint32_t port = 0;

		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS) {
				watch_set(r->connect_watch, 0);
				timer_set(r->accept_timer, ACCEPT_REST_MS);
			}
			return;
		}
		e = may_connect(r, client) ? read_request(client, &port) : -EPERM;
		if (e > 0)
			vsock_open(r->vsock, port, client, on_connected, r);
		else if (e == 0)
			greet(r, client);
		else
			close(client);
	}
}

static void accept_again(struct timer *t, void *arg)
{
	struct relay *r = arg;

	(void)t;
	watch_set(r->connect_watch, EPOLLIN);
}

/* --- the guest's streams --- */

static int offer(uint32_t port, int fd, void *arg)
{
	struct relay *r = arg;
	struct msg_number m = { .number = port };
	int e = r->control ? channel_send_fds(r->control, MSG_RELAY_ACCEPT, 0, &m, &fd, 1) : -EPIPE;

	if (e == 0)
		close(fd); /* the channel has its own duplicate */
	return e;
}

/* Queries to the network's name server are answered as those of the tunnel are. */
static int offer_names(int fd, void *arg)
{
	return offer(VSOCK_PORT_DNS, fd, arg);
}

/* --- wslservice --- */

static void send_stats(struct relay *r, uint32_t seq)
{
	struct vsock_stats s;
	struct msg_relay_stats m;

	vsock_get_stats(r->vsock, &s);
	m = (struct msg_relay_stats) {
		.connections = s.connections,
		.opened = s.opened,
		.refused = s.refused,
		.bytes_to_guest = s.bytes_to_guest,
		.bytes_to_host = s.bytes_to_host,
	};
	channel_send(r->control, MSG_RELAY_STATS_REPLY, seq, &m);
}

static void add_forward(struct relay *r, struct channel_message *m)
{
	const struct msg_port *port = m->msg;
	int e = -EBADMSG;

	if (m->n_fds == 1)
		e = forwards_add(r->forwards, port, take_fd(&m->fds[0]));
	if (e < 0)
		log_warn("port %u is not forwarded: %s", port->port, strerror(-e));
}

static void on_message(struct channel *c, struct channel_message *m, void *arg)
{
	struct relay *r = arg;
	const struct msg_hello *hello = m->msg;

	switch (m->header.type) {
	case MSG_HELLO:
		if (hello->version != PROTOCOL_VERSION) {
			log_err("wslservice speaks protocol %u, this wslrelay %u", hello->version,
				PROTOCOL_VERSION);
			stop(r, 1);
		}
		break;
	case MSG_RELAY_STATS:
		send_stats(r, m->header.seq);
		break;
	case MSG_RELAY_FORWARD:
		add_forward(r, m);
		break;
	case MSG_RELAY_FORWARD_STOP:
		forwards_remove(r->forwards, m->msg);
		break;
	case MSG_RESULT:
		break;
	default: {
		struct err err = ERR_INIT;

		err_set(&err, -EOPNOTSUPP, "wslrelay does not serve %s",
			message_name(m->header.type));
		channel_result(c, m->header.seq, &err);
	}
	}
}

static void on_control_close(struct channel *c, int reason, void *arg)
{
	struct relay *r = arg;

	log_info("wslservice is gone (%s); waiting for the VM to power off", strerror(-reason));
	channel_free(c);
	r->control = NULL;
	timer_set(r->orphan_timer, ORPHAN_MS);
}

static void on_orphan(struct timer *t, void *arg)
{
	(void)t;
	log_warn("the VM outlived wslservice by %u s; leaving it", ORPHAN_MS / 1000);
	stop(arg, 1);
}

/* --- the end --- */

static uint64_t bytes_out(const struct relay *r)
{
	struct vsock_stats s;

	vsock_get_stats(r->vsock, &s);
	return s.bytes_to_host;
}

static void on_grace(struct timer *t, void *arg)
{
	struct relay *r = arg;
	uint64_t bytes = bytes_out(r);

	if (bytes == r->grace_bytes || now_ms() >= r->grace_end_ms) {
		log_info("%u streams ended with output their readers did not take",
			 vsock_draining(r->vsock));
		stop(r, 0);
		return;
	}
	r->grace_bytes = bytes;
	timer_set(t, GRACE_MS);
}

static void on_detached(int reason, void *arg)
{
	struct relay *r = arg;

	log_info("the VM is gone (%s)", reason == -ENODATA ? "closed" : strerror(-reason));
	r->connect_watch = watch_remove(r->connect_watch);
	drop_fd(&r->connect_fd);
	while (r->greetings)
		greeting_free(r->greetings);
	r->grace_bytes = bytes_out(r);
	r->grace_end_ms = now_ms() + GRACE_MAX_MS;
	timer_set(r->grace_timer, GRACE_MS);
}

static bool ended(const struct relay *r)
{
	return r->stopping || (r->grace_end_ms && !vsock_draining(r->vsock));
}

int relay_run(struct relay *r)
{
	bool more = false;
	int e = 0;

	while (!ended(r) && e == 0) {
		e = loop_step(r->loop, more ? 0 : -1);
		more = vsock_run(r->vsock);
		if (r->net)
			more |= net_run(r->net);
	}
	if (e < 0)
		log_err("waiting for events failed: %s", strerror(-e));
	return e < 0 ? 1 : r->status;
}

/* --- set-up --- */

static const struct channel_ops control_ops = { on_message, on_control_close };

/* A VM without a network is better than none: the front end finds nobody at its socket then. */
static void set_up_net(struct relay *r, struct relay_config *cfg)
{
	if (cfg->net_fd < 0)
		return;
	r->net = net_new(r->loop, &cfg->net);
	if (r->net) {
		net_on_names(r->net, offer_names, r);
		r->net_vhost = vhost_new(r->loop, take_fd(&cfg->net_fd), &net_device_ops, r->net);
	}
	if (!r->net_vhost)
		log_warn("no memory for the network device: the VM has no network");
}

static int set_up(struct relay *r, struct relay_config *cfg)
{
	r->loop = loop_new();
	if (!r->loop)
		return -ENOMEM;
	r->vsock = vsock_new(r->loop, VSOCK_CID_GUEST);
	r->accept_timer = loop_timer(r->loop, accept_again, r);
	r->orphan_timer = loop_timer(r->loop, on_orphan, r);
	r->grace_timer = loop_timer(r->loop, on_grace, r);
	r->forwards = r->vsock ? forwards_new(r->loop, r->vsock) : NULL;
	if (!r->forwards || !r->accept_timer || !r->orphan_timer || !r->grace_timer)
		return -ENOMEM;
	vsock_on_detached(r->vsock, on_detached, r);
	for (unsigned i = 0; i < cfg->n_accept_ports; i++)
		if (vsock_accept(r->vsock, cfg->accept_ports[i], offer, r) < 0)
			return -ENOSPC;
	r->vhost = vhost_new(r->loop, take_fd(&cfg->vhost_fd), &vsock_device_ops, r->vsock);
	set_up_net(r, cfg);
	r->control = channel_new(r->loop, take_fd(&cfg->control_fd), &control_ops, r);
	r->connect_fd = take_fd(&cfg->connect_fd);
	if (fd_set_nonblock(r->connect_fd, 1) < 0)
		return -errno;
	r->connect_watch = loop_watch(r->loop, r->connect_fd, EPOLLIN, accept_ready, r);
	return r->vhost && r->control && r->connect_watch ? 0 : -ENOMEM;
}

struct relay *relay_new(const struct relay_config *cfg, struct err *err)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct relay_config fds = *cfg;
	struct msg_hello hello = {
		.version = PROTOCOL_VERSION,
		.role = ROLE_RELAY,
		.release = LXSS_VERSION,
	};
	int e = r ? 0 : -ENOMEM;

	if (r) {
		r->connect_fd = -1;
		r->uid = geteuid();
		e = set_up(r, &fds);
	}
	drop_fd(&fds.vhost_fd);
	drop_fd(&fds.connect_fd);
	drop_fd(&fds.control_fd);
	drop_fd(&fds.net_fd);
	if (e < 0) {
		relay_free(r);
		err_code(err, e, "cannot set up the relay");
		return NULL;
	}
	channel_send(r->control, MSG_HELLO, channel_next_seq(r->control), &hello);
	return r;
}

struct relay *relay_free(struct relay *r)
{
	if (!r)
		return NULL;
	while (r->greetings)
		greeting_free(r->greetings);
	forwards_free(r->forwards);
	vhost_free(r->vhost);
	vhost_free(r->net_vhost);
	net_free(r->net);
	vsock_free(r->vsock);
	channel_free(r->control);
	watch_remove(r->connect_watch);
	drop_fd(&r->connect_fd);
	if (r->accept_timer)
		timer_free(r->accept_timer);
	if (r->orphan_timer)
		timer_free(r->orphan_timer);
	if (r->grace_timer)
		timer_free(r->grace_timer);
	loop_free(r->loop);
	free(r);
	return NULL;
}
