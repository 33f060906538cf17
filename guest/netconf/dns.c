/* guest/netconf/dns.c - the name server of the VM: a tunnel to the host's resolver
 *
 * THEORY OF OPERATION
 *   Every query under way has a slot. Its id is replaced by the slot's number with a generation, so
 *   that clients with equal ids do not meet on the one stream; the reply brings it back. The stream
 *   is opened when the first query needs it and again when it was lost; queries under way are
 *   forgotten then, and their senders ask again, as resolvers do.
 * LIMITS
 *   SLOTS queries, MAX_CONNS TCP clients of IDLE_MS, OUT_BYTES waiting for the stream; beyond them
 * a query is dropped. A slot is free again after SLOT_MS.
 */
#include "netconf/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"
#include "netconf/dns-message.h"
#include "protocol/message.h"

#define SLOTS     1024u
#define SLOT_BITS 10u
#define SLOT_MS   15000u
#define MAX_CONNS 64u
#define IDLE_MS   30000u
#define OUT_BYTES (256u * 1024)
#define FRAME_MAX (2u + 65535u)

struct conn { /* a TCP client */
	struct dns *dns;
	struct conn *next, **link;
	struct watch *watch;
	struct timer *idle;
	uint64_t number; /* slots name it by this: it may be gone when the answer comes */
	int fd;
	size_t have;
	uint8_t in[FRAME_MAX];
};

struct slot {
	uint64_t until_ms; /* 0: free */
	uint64_t conn;     /* number of its TCP client, 0: UDP */
	struct sockaddr_in from;
	uint16_t id;
	uint8_t generation;
	size_t limit;
};

struct dns {
	struct loop *loop;
	int udp, tcp, stream;
	struct watch *udp_watch, *tcp_watch, *stream_watch;
	bool connected;
	struct conn *conns;
	unsigned n_conns, next_slot;
	uint64_t next_conn;
	size_t in_len, out_len;
	struct slot slots[SLOTS];
	uint8_t in[FRAME_MAX], out[OUT_BYTES];
};

/* --- the stream to the host --- */

static void stream_close(struct dns *d)
{
	d->stream_watch = watch_remove(d->stream_watch);
	drop_fd(&d->stream);
	d->connected = false;
	d->in_len = d->out_len = 0;
	for (struct slot *s = d->slots; s < d->slots + SLOTS; s++)
		s->until_ms = 0;
}

static void stream_flush(struct dns *d)
{
	ssize_t n =
		d->out_len ? send(d->stream, d->out, d->out_len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN) {
		stream_close(d);
		return;
	}
	if (n > 0) {
		d->out_len -= (size_t)n;
		memmove(d->out, d->out + n, d->out_len);
	}
	watch_set(d->stream_watch, EPOLLIN | (d->out_len ? EPOLLOUT : 0));
}

static void conn_free(struct conn *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->dns->n_conns--;
	watch_remove(c->watch);
	timer_free(c->idle);
	drop_fd(&c->fd);
	free(c);
}

static void answer_conn(struct dns *d, uint64_t number, const uint8_t *framed, size_t len)
{
	for (struct conn *c = d->conns; c; c = c->next) {
		if (c->number != number)
			continue;
		/* A client that does not take a whole answer is not worth a buffer. */
		if (send(c->fd, framed, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
			conn_free(c);
		return;
	}
}

static void answer(struct dns *d, uint8_t *framed, size_t len)
{
	uint8_t *m = framed + 2;
	struct slot *s;
	uint16_t id;

	if (len < DNS_HEADER_BYTES)
		return;
	id = dns_id(m);
	s = &d->slots[id & (SLOTS - 1)];
	if (!s->until_ms || s->generation != id >> SLOT_BITS)
		return;
	s->until_ms = 0;
	dns_set_id(m, s->id);
	if (s->conn) {
		answer_conn(d, s->conn, framed, 2 + len);
		return;
	}
	if (len > s->limit)
		len = dns_truncate(m, len);
	sendto(d->udp, m, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&s->from,
	       sizeof(s->from));
}

static void stream_read(struct dns *d)
{
	ssize_t n = recv(d->stream, d->in + d->in_len, sizeof(d->in) - d->in_len, MSG_DONTWAIT);
	size_t used = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		stream_close(d);
		return;
	}
	d->in_len += n > 0 ? (size_t)n : 0;
	while (d->in_len - used >= 2) {
		size_t len = (size_t)d->in[used] << 8 | d->in[used + 1];

		if (d->in_len - used < 2 + len)
			break;
		answer(d, d->in + used, len);
		used += 2 + len;
	}
	d->in_len -= used;
	memmove(d->in, d->in + used, d->in_len);
}

static void stream_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns *d = arg;

	(void)w, (void)fd;
	if (!d->connected) {
		socklen_t len = sizeof(int);
		int error = 0;

		getsockopt(d->stream, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error) {
			log_warn("dns: the host's resolver cannot be reached: %s", strerror(error));
			stream_close(d);
			return;
		}
		d->connected = true;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		stream_read(d);
	if (d->stream >= 0)
		stream_flush(d);
}

static bool stream_open(struct dns *d)
{
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK,
		.svm_cid = VSOCK_CID_HOST,
		.svm_port = VSOCK_PORT_DNS,
	};

	if (d->stream >= 0)
		return true;
	d->stream = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->stream < 0)
		return false;
	if (connect(d->stream, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EINPROGRESS) {
		drop_fd(&d->stream);
		return false;
	}
	d->stream_watch = loop_watch(d->loop, d->stream, EPOLLIN | EPOLLOUT, stream_ready, d);
	if (!d->stream_watch)
		drop_fd(&d->stream);
	return d->stream >= 0;
}

/* --- queries --- */

static struct slot *take_slot(struct dns *d)
{
	uint64_t now = now_ms();

	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &d->slots[d->next_slot];

		d->next_slot = (d->next_slot + 1) % SLOTS;
		if (s->until_ms > now)
			continue;
		s->until_ms = now + SLOT_MS;
		s->generation = (s->generation + 1) & ((1u << (16 - SLOT_BITS)) - 1);
		return s;
	}
	return NULL;
}

/* @m may be changed. */
static void forward(struct dns *d, uint8_t *m, size_t len, const struct sockaddr_in *from,
		    uint64_t conn)
{
	struct slot *s;
	uint8_t *out;

	if (!dns_is_query(m, len) || !stream_open(d) || OUT_BYTES - d->out_len < 2 + len)
		return;
	s = take_slot(d);
	if (!s)
		return;
	s->id = dns_id(m);
	s->conn = conn;
	if (from)
		s->from = *from;
	s->limit = dns_udp_limit(m, len);
	dns_set_id(m, (uint16_t)((unsigned)s->generation << SLOT_BITS | (unsigned)(s - d->slots)));
	out = d->out + d->out_len;
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	memcpy(out + 2, m, len);
	d->out_len += 2 + len;
	if (d->connected)
		stream_flush(d);
}

static void udp_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns *d = arg;
	uint8_t m[DNS_UDP_MAX];

	(void)w, (void)events;
	for (unsigned i = 0; i < 64; i++) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n =
			recvfrom(fd, m, sizeof(m), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

		if (n < 0)
			return;
		forward(d, m, (size_t)n, &from, 0);
	}
}

static void conn_idle(struct timer *t, void *arg)
{
	(void)t;
	conn_free(arg);
}

static void conn_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
	size_t used = 0;

	(void)w, (void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		conn_free(c);
		return;
	}
	timer_set(c->idle, IDLE_MS);
	c->have += n > 0 ? (size_t)n : 0;
	while (c->have - used >= 2) {
		size_t len = (size_t)c->in[used] << 8 | c->in[used + 1];

		if (c->have - used < 2 + len)
			break;
		forward(c->dns, c->in + used + 2, len, NULL, c->number);
		used += 2 + len;
	}
	c->have -= used;
	memmove(c->in, c->in + used, c->have);
}

static void tcp_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns *d = arg;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c = client >= 0 && d->n_conns < MAX_CONNS ? calloc(1, sizeof(*c)) : NULL;

	(void)w, (void)events;
	if (!c) {
		drop_fd(&client);
		return;
	}
	*c = (struct conn) { .dns = d, .fd = client, .number = ++d->next_conn };
	c->next = d->conns;
	c->link = &d->conns;
	if (c->next)
		c->next->link = &c->next;
	d->conns = c;
	d->n_conns++;
	c->idle = loop_timer(d->loop, conn_idle, c);
	c->watch = loop_watch(d->loop, client, EPOLLIN, conn_ready, c);
	if (!c->idle || !c->watch)
		conn_free(c);
	else
		timer_set(c->idle, IDLE_MS);
}

/* --- set-up --- */

static int listen_on(const char *address, int type)
{
	auto_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(53) };
	int one = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0))
		return -1;
	return take_fd(&fd);
}

struct dns *dns_new(struct loop *loop, const char *address)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->loop = loop;
	d->stream = -1;
	d->udp = listen_on(address, SOCK_DGRAM);
	d->tcp = listen_on(address, SOCK_STREAM);
	if (d->udp >= 0 && d->tcp >= 0) {
		d->udp_watch = loop_watch(loop, d->udp, EPOLLIN, udp_ready, d);
		d->tcp_watch = loop_watch(loop, d->tcp, EPOLLIN, tcp_ready, d);
	}
	return d->udp_watch && d->tcp_watch ? d : dns_free(d);
}

struct dns *dns_free(struct dns *d)
{
	if (!d)
		return NULL;
	while (d->conns)
		conn_free(d->conns);
	stream_close(d);
	watch_remove(d->udp_watch);
	watch_remove(d->tcp_watch);
	drop_fd(&d->udp);
	drop_fd(&d->tcp);
	free(d);
	return NULL;
}
