/* shared/io/dns-forward.c - DNS queries of many clients over one stream to a resolver
 *
 * THEORY OF OPERATION
 *   Every query under way has a slot. Its id is replaced by the slot's number with a generation, so
 *   that clients with equal ids do not meet on the one stream; the reply brings it back.
 * LIMITS
 *   DNS_FORWARD_QUERIES, DNS_FORWARD_CLIENTS of IDLE_MS, OUT_BYTES waiting for the stream; beyond
 *   them a query is dropped. A slot is free again after SLOT_MS.
 */
#include "io/dns-forward.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/datagrams.h"
#include "io/loop.h"
#include "protocol/dns-message.h"

#define SLOT_BITS 10u
#define SLOT_MS   15000u
#define IDLE_MS   30000u
#define OUT_BYTES (256u * 1024)
#define FRAME_MAX (2u + 65535u)

struct conn { /* a TCP client */
	struct dns_forward *forward;
	struct conn *next, **link;
	struct datagrams *stream;
	uint64_t number; /* slots name it by this: it may be gone when the answer comes */
};

struct slot {
	uint64_t until_ms; /* 0: free */
	uint64_t conn;     /* number of its TCP client, 0: datagrams */
	uint16_t id;
	uint8_t generation;
	size_t limit;
};

struct dns_forward {
	struct loop *loop;
	const struct dns_forward_ops *ops;
	void *arg;
	int stream;
	struct watch *watch;
	bool connected;
	struct conn *conns;
	unsigned n_conns, next_slot;
	uint64_t next_conn;
	size_t client_bytes, in_len, out_len;
	uint8_t *clients; /* client_bytes for each slot */
	struct slot slots[DNS_FORWARD_QUERIES];
	uint8_t in[FRAME_MAX], out[OUT_BYTES];
};

static_assert(DNS_FORWARD_QUERIES == 1u << SLOT_BITS, "an id holds a slot's number");

static uint8_t *client_of(const struct dns_forward *d, const struct slot *s)
{
	return d->clients + (size_t)(s - d->slots) * d->client_bytes;
}

/* --- TCP clients --- */

static void conn_free(struct conn *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->forward->n_conns--;
	datagrams_free(c->stream);
	free(c);
}

static void answer_conn(struct dns_forward *d, uint64_t number, const uint8_t *m, size_t len)
{
	for (struct conn *c = d->conns; c; c = c->next)
		if (c->number == number) {
			datagrams_send(c->stream, m, len);
			return;
		}
}

/* --- the stream to the resolver --- */

static void stream_close(struct dns_forward *d)
{
	d->watch = watch_remove(d->watch);
	drop_fd(&d->stream);
	d->connected = false;
	d->in_len = d->out_len = 0;
	for (struct slot *s = d->slots; s < d->slots + DNS_FORWARD_QUERIES; s++)
		s->until_ms = 0;
}

static void stream_flush(struct dns_forward *d)
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
	watch_set(d->watch, EPOLLIN | (d->out_len ? EPOLLOUT : 0));
}

static void answer(struct dns_forward *d, uint8_t *m, size_t len)
{
	struct slot *s;
	uint16_t id;

	if (len < DNS_HEADER_BYTES)
		return;
	id = dns_id(m);
	s = &d->slots[id & (DNS_FORWARD_QUERIES - 1)];
	if (!s->until_ms || s->generation != id >> SLOT_BITS)
		return;
	s->until_ms = 0;
	dns_set_id(m, s->id);
	if (s->conn) {
		answer_conn(d, s->conn, m, len);
		return;
	}
	if (len > s->limit)
		len = dns_truncate(m, len);
	d->ops->reply(client_of(d, s), m, len, d->arg);
}

static void stream_read(struct dns_forward *d)
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
		answer(d, d->in + used + 2, len);
		used += 2 + len;
	}
	d->in_len -= used;
	memmove(d->in, d->in + used, d->in_len);
}

static void stream_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct dns_forward *d = arg;

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

static bool stream_open(struct dns_forward *d)
{
	if (d->stream >= 0)
		return true;
	d->stream = d->ops->open(d->arg);
	if (d->stream < 0)
		return false;
	d->watch = loop_watch(d->loop, d->stream, EPOLLIN | EPOLLOUT, stream_ready, d);
	if (!d->watch)
		drop_fd(&d->stream);
	return d->stream >= 0;
}

/* --- queries --- */

static struct slot *take_slot(struct dns_forward *d)
{
	uint64_t now = now_ms();

	for (unsigned i = 0; i < DNS_FORWARD_QUERIES; i++) {
		struct slot *s = &d->slots[d->next_slot];

		d->next_slot = (d->next_slot + 1) % DNS_FORWARD_QUERIES;
		if (s->until_ms > now)
			continue;
		s->until_ms = now + SLOT_MS;
		s->generation = (s->generation + 1) & ((1u << (16 - SLOT_BITS)) - 1);
		return s;
	}
	return NULL;
}

/* Its slot, for whoever sent it; NULL: dropped. */
static struct slot *forward(struct dns_forward *d, const uint8_t *m, size_t len, uint64_t conn)
{
	struct slot *s;
	uint8_t *out;

	if (!dns_is_query(m, len) || len > FRAME_MAX - 2 || !stream_open(d) ||
	    OUT_BYTES - d->out_len < 2 + len)
		return NULL;
	s = take_slot(d);
	if (!s)
		return NULL;
	s->id = dns_id(m);
	s->conn = conn;
	s->limit = dns_udp_limit(m, len);
	out = d->out + d->out_len;
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	memcpy(out + 2, m, len);
	dns_set_id(out + 2,
		   (uint16_t)((unsigned)s->generation << SLOT_BITS | (unsigned)(s - d->slots)));
	d->out_len += 2 + len;
	if (d->connected)
		stream_flush(d);
	return s;
}

void dns_forward_query(struct dns_forward *d, const uint8_t *m, size_t len, const void *client)
{
	struct slot *s = forward(d, m, len, 0);

	if (s)
		memcpy(client_of(d, s), client, d->client_bytes);
}

static void conn_query(struct datagrams *stream, const uint8_t *m, size_t len, void *arg)
{
	struct conn *c = arg;

	(void)stream;
	forward(c->forward, m, len, c->number);
}

static void conn_ended(struct datagrams *stream, void *arg)
{
	(void)stream;
	conn_free(arg);
}

static const struct datagrams_ops conn_ops = { conn_query, conn_ended };

void dns_forward_serve(struct dns_forward *d, int fd)
{
	struct conn *c = d->n_conns < DNS_FORWARD_CLIENTS ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	c->stream = datagrams_new(d->loop, fd, IDLE_MS, &conn_ops, c);
	if (!c->stream) {
		free(c);
		return;
	}
	c->forward = d;
	c->number = ++d->next_conn;
	c->next = d->conns;
	c->link = &d->conns;
	if (c->next)
		c->next->link = &c->next;
	d->conns = c;
	d->n_conns++;
}

/* --- life --- */

struct dns_forward *dns_forward_new(struct loop *loop, size_t client_bytes,
				    const struct dns_forward_ops *ops, void *arg)
{
	struct dns_forward *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->loop = loop;
	d->ops = ops;
	d->arg = arg;
	d->stream = -1;
	d->client_bytes = client_bytes;
	d->clients = calloc(DNS_FORWARD_QUERIES, client_bytes);
	return d->clients ? d : dns_forward_free(d);
}

struct dns_forward *dns_forward_free(struct dns_forward *d)
{
	if (!d)
		return NULL;
	while (d->conns)
		conn_free(d->conns);
	stream_close(d);
	free(d->clients);
	free(d);
	return NULL;
}
