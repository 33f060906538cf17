/* host/vsock/conn.c - streams: the table, host sockets, buffers and credit
 *
 * INVARIANTS
 *   A stream is in the table exactly while the guest may still name it: not when it only drains.
 *   Its socket is registered with the loop exactly while it is open. The registration is
 *   edge-triggered: "readable" remembers what an edge said until a read contradicts it, so that
 *   a guest without credit costs no system calls.
 *   Bytes are in buf only after the socket refused them; then EPOLLOUT is asked for.
 * CREDIT (all counters are unsigned 32-bit and wrap)
 *   From the guest: rx_cnt counts what came, fwd_cnt what left for the host; their difference is
 *   what buf may hold and never exceeds window. A stream starts narrow; the first WIDE_SLOTS
 *   that carry data get the wide window. All buffers together stay below
 *   LIMIT_VSOCK_CONNECTIONS * WINDOW_NARROW + WIDE_SLOTS * WINDOW_WIDE bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/loop.h"
#include "vsock/internal.h"

/* --- the table --- */

/* Guests choose their ports: a secret key keeps them from choosing one bucket for all. */
static struct conn **bucket(struct vsock *dev, uint32_t guest_port, uint32_t host_port)
{
	uint64_t h = ((uint64_t)guest_port << 32 | host_port) ^ dev->hash_key;

	h = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
	return &dev->table[(h ^ h >> 33) % CONN_BUCKETS];
}

struct conn *conn_find(struct vsock *dev, uint32_t guest_port, uint32_t host_port)
{
	struct conn *c = *bucket(dev, guest_port, host_port);

	while (c && (c->guest_port != guest_port || c->host_port != host_port))
		c = c->hash_next;
	return c;
}

static void unhash(struct conn *c)
{
	struct conn **p = bucket(c->dev, c->guest_port, c->host_port);

	while (*p && *p != c)
		p = &(*p)->hash_next;
	if (*p)
		*p = c->hash_next;
	c->dev->n_conns--;
}

uint32_t conn_free_port(struct vsock *dev, uint32_t guest_port)
{
	uint32_t port;

	do {
		port = dev->next_port++;
		if (dev->next_port >= 0xffff0000u)
			dev->next_port = 0x10000u;
	} while (conn_find(dev, guest_port, port));
	return port;
}

/* --- buffers --- */

static int buffer_get(struct conn *c)
{
	struct vsock *dev = c->dev;

	if (c->buf.data)
		return 0;
	c->buf = (struct buffer) { .size = c->window };
	if (c->window == WINDOW_WIDE && dev->n_idle)
		c->buf.data = dev->idle[--dev->n_idle];
	else
		c->buf.data = malloc(c->window);
	if (c->buf.data)
		return 0;
	c->buf.size = 0;
	return -ENOMEM;
}

static void buffer_put(struct conn *c)
{
	struct vsock *dev = c->dev;

	if (c->buf.size == WINDOW_WIDE && dev->n_idle < IDLE_BUFFERS)
		dev->idle[dev->n_idle++] = c->buf.data;
	else
		free(c->buf.data);
	c->buf = (struct buffer) { 0 };
}

/* The window may have grown since the buffer was made. */
static int buffer_grow(struct conn *c)
{
	struct buffer old = c->buf;
	uint32_t first = MIN(old.len, old.size - old.head);
	int r;

	c->buf.data = NULL;
	r = buffer_get(c);
	if (r < 0) {
		c->buf = old;
		return r;
	}
	memcpy(c->buf.data, old.data + old.head, first);
	memcpy(c->buf.data + first, old.data, old.len - first);
	c->buf.len = old.len;
	free(old.data);
	return 0;
}

static int buffer_append(struct conn *c, const struct iovec *iov, unsigned n, uint32_t len)
{
	struct buffer *b = &c->buf;
	int r = buffer_get(c);

	if (r == 0 && b->size - b->len < len)
		r = b->size < c->window ? buffer_grow(c) : -ENOBUFS;
	if (r == 0 && b->size - b->len < len)
		r = -ENOBUFS;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		const uint8_t *from = iov[i].iov_base;
		uint32_t left = (uint32_t)iov[i].iov_len;

		while (left) {
			uint32_t at = (b->head + b->len) % b->size;
			uint32_t part = MIN(left, b->size - at);

			memcpy(b->data + at, from, part);
			b->len += part;
			from += part;
			left -= part;
		}
	}
	return r;
}

/* --- life --- */

static void host_ready(struct watch *w, int fd, uint32_t events, void *arg);

void deadline_set(struct conn *c, struct deadline_list *d)
{
	list_remove(&c->deadline);
	c->deadline_ms = now_ms() + d->delay_ms;
	list_append(&d->list, &c->deadline);
	if (!timer_armed(d->timer))
		timer_set(d->timer, d->delay_ms);
}

/* At the limit, the stream that has waited longest for the guest's last word makes room. */
static bool make_room(struct vsock *dev)
{
	struct link *l;

	if (dev->n_conns + dev->n_draining < dev->limit)
		return true;
	l = list_first(&dev->closing.list);
	if (!l)
		return false;
	conn_reset(container_of(l, struct conn, deadline));
	return true;
}

struct conn *conn_new(struct vsock *dev, uint32_t guest_port, uint32_t host_port, int fd,
		      enum conn_state state)
{
	struct conn **b = bucket(dev, guest_port, host_port);
	struct conn *c = make_room(dev) ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->dev = dev;
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->fd = fd;
	c->state = state;
	c->window = WINDOW_NARROW;
	c->appetite = 1;
	c->watch = loop_watch(dev->loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, host_ready, c);
	if (!c->watch) {
		free(c);
		return NULL;
	}
	c->hash_next = *b;
	*b = c;
	list_append(&dev->conns, &c->all);
	dev->n_conns++;
	return c;
}

/* Closing a UNIX socket with unread bytes makes the peer see a reset instead of the end. */
static void close_socket(struct conn *c)
{
	char scratch[16384];

	c->watch = watch_remove(c->watch);
	if (c->fd < 0)
		return;
	if (shutdown(c->fd, SHUT_RDWR) == 0)
		while (recv(c->fd, scratch, sizeof(scratch), MSG_DONTWAIT) > 0)
			;
	drop_fd(&c->fd);
}

void conn_answer(struct conn *c, int error)
{
	vsock_connected_fn fn = c->connected;
	int fd = c->fd;

	c->connected = NULL;
	if (!fn)
		return;
	if (error) {
		c->watch = watch_remove(c->watch);
		c->fd = -1;
		c->dev->stats.refused++;
	} else {
		c->dev->stats.opened++;
	}
	fn(error, fd, c->connected_arg);
}

void conn_free(struct conn *c, int error)
{
	struct vsock *dev = c->dev;

	list_remove(&c->all);
	list_remove(&c->ready);
	list_remove(&c->deadline);
	if (c->state == CONN_DRAINING)
		dev->n_draining--;
	else
		unhash(c);
	if (c->window == WINDOW_WIDE)
		dev->n_wide--;
	conn_answer(c, error ? error : ECONNRESET);
	close_socket(c);
	buffer_put(c);
	free(c);
}

void conn_drain(struct conn *c)
{
	struct vsock *dev = c->dev;

	if (!c->buf.len || c->fd < 0) {
		conn_free(c, ECONNRESET);
		return;
	}
	unhash(c);
	list_remove(&c->all);
	list_remove(&c->ready);
	list_remove(&c->deadline);
	c->state = CONN_DRAINING;
	dev->n_draining++;
	list_append(&dev->draining, &c->all);
	shutdown(c->fd, SHUT_RD);
}

void conn_linger(struct conn *c)
{
	c->state = CONN_CLOSING;
	list_remove(&c->ready);
	close_socket(c);
	buffer_put(c);
	deadline_set(c, &c->dev->closing);
}

void conn_reset(struct conn *c)
{
	const struct vsock_packet from = {
		.src_port = c->guest_port,
		.dst_port = c->host_port,
		.dst_cid = VSOCK_CID_HOST,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
	};

	reply_rst(c->dev, &from);
	conn_drain(c);
}

/* --- what a stream has for the guest --- */

uint32_t conn_room(const struct conn *c)
{
	uint32_t in_flight = c->tx_cnt - c->peer_fwd;

	return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

bool conn_has_work(const struct conn *c)
{
	if (c->state != CONN_OPEN)
		return c->state == CONN_CONNECTING && (c->owe & OWE_REQUEST);
	if (c->owe || (c->shut_wanted & ~c->shut_sent))
		return true;
	return c->readable && !(c->shut_wanted & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->peer_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) && conn_room(c);
}

void conn_schedule(struct conn *c)
{
	if (!c->ready.next && conn_has_work(c))
		list_append(&c->dev->ready, &c->ready);
}

/* --- towards the host --- */

/* Half of a narrow window shows that the stream carries data: it may have the wide one. */
void conn_credit_moved(struct conn *c, uint32_t bytes)
{
	struct vsock *dev = c->dev;

	c->fwd_cnt += bytes;
	if (c->fwd_cnt - c->fwd_sent < c->window / 4)
		return;
	if (c->window == WINDOW_NARROW && dev->n_wide < WIDE_SLOTS) {
		c->window = WINDOW_WIDE;
		dev->n_wide++;
	}
	c->owe |= OWE_CREDIT;
	conn_schedule(c);
}

void conn_host_gone(struct conn *c)
{
	uint32_t dropped = c->buf.len;

	if (c->state == CONN_DRAINING) {
		conn_free(c, 0);
		return;
	}
	c->shut_wanted |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	if (c->peer_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
		c->shut_wanted |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	if (c->buf.data) {
		buffer_put(c);
		conn_credit_moved(c, dropped);
	}
	conn_schedule(c);
}

static void want_write(struct conn *c, bool on)
{
	if (c->want_write == on)
		return;
	c->want_write = on;
	watch_set(c->watch, EPOLLIN | EPOLLRDHUP | EPOLLET | (on ? (uint32_t)EPOLLOUT : 0));
}

/* writev() with what happens at once counted: bytes written, 0 when the socket is full, -errno. */
static ssize_t push_out(struct conn *c, const struct iovec *iov, unsigned n)
{
	ssize_t done = writev(c->fd, iov, (int)n);

	if (done < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->dev->stats.bytes_to_host += (uint64_t)done;
	return done;
}

int conn_write(struct conn *c, struct iovec *iov, unsigned n, uint32_t len)
{
	ssize_t done = 0;

	if (c->shut_wanted & VIRTIO_VSOCK_SHUTDOWN_RCV) { /* nobody reads it any more */
		conn_credit_moved(c, len);
		return 0;
	}
	if (!c->buf.len)
		done = push_out(c, iov, n);
	if (done < 0) {
		conn_host_gone(c);
		conn_credit_moved(c, len);
		return 0;
	}
	if (done < len) {
		struct iovec *rest = c->dev->data;
		int r;

		n = iov_slice(iov, n, (size_t)done, len - (size_t)done, rest);
		r = buffer_append(c, rest, n, len - (uint32_t)done);
		if (r < 0)
			return r;
		want_write(c, true);
	}
	conn_credit_moved(c, (uint32_t)done);
	return 0;
}

static void buffer_drained(struct conn *c)
{
	buffer_put(c);
	want_write(c, false);
	if (c->state == CONN_DRAINING)
		conn_free(c, 0);
	else if (c->peer_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
		shutdown(c->fd, SHUT_WR);
}

/* Writes what is buffered; the stream may be freed by it. */
static void write_buffer(struct conn *c)
{
	struct buffer *b = &c->buf;

	while (b->len) {
		uint32_t first = MIN(b->len, b->size - b->head);
		struct iovec iov[2] = { { b->data + b->head, first }, { b->data, b->len - first } };
		ssize_t n = push_out(c, iov, first < b->len ? 2 : 1);

		if (n < 0) {
			conn_host_gone(c);
			return;
		}
		if (n == 0)
			return;
		b->head = (b->head + (uint32_t)n) % b->size;
		b->len -= (uint32_t)n;
		conn_credit_moved(c, (uint32_t)n);
	}
	buffer_drained(c);
}

void conn_peer_shutdown(struct conn *c, uint32_t flags)
{
	uint8_t before = c->peer_shutdown;

	c->peer_shutdown |= flags & SHUTDOWN_BOTH;
	if (c->state != CONN_OPEN || c->peer_shutdown == SHUTDOWN_BOTH) {
		conn_reset(c);
		return;
	}
	if (c->peer_shutdown & ~before & VIRTIO_VSOCK_SHUTDOWN_RCV)
		shutdown(c->fd, SHUT_RD);
	if ((c->peer_shutdown & ~before & VIRTIO_VSOCK_SHUTDOWN_SEND) && !c->buf.len)
		shutdown(c->fd, SHUT_WR);
}

static void host_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct conn *c = arg;
	bool gone = events & (EPOLLHUP | EPOLLERR);

	(void)w, (void)fd;
	if (c->state == CONN_CONNECTING && gone) {
		conn_free(c, ECANCELED);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->ending = true;
	if (gone)
		conn_host_gone(c);
	else if ((events & EPOLLOUT) && c->buf.len)
		write_buffer(c);
	else
		conn_schedule(c);
}
