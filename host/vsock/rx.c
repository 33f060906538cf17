/* host/vsock/rx.c - towards the guest: streams take turns filling the guest's buffers
 *
 * A turn is one stream's control packets and one readv() straight into guest buffers. How many
 * buffers it tries adapts: it doubles while the socket fills them all and falls back to what
 * was needed, so a keystroke pops one and a bulk stream RX_CHAINS.
 */
#include <errno.h>
#include <sys/uio.h>

#include "common/util.h"
#include "vsock/internal.h"

void reply_rst(struct vsock *dev, const struct vsock_packet *to)
{
	unsigned at = (dev->reply_head + dev->n_replies) % REPLY_SLOTS;

	if (dev->n_replies == REPLY_SLOTS) /* the guest never empties its ring: its own loss */
		return;
	dev->replies[at] = (struct reply) {
		.src_cid = to->dst_cid,
		.src_port = to->dst_port,
		.dst_port = to->src_port,
		.type = to->type,
	};
	dev->n_replies++;
}

/* A guest buffer with room for a header and more, its segments at dev->iov[at..); false: none. */
static bool next_buffer(struct vsock *dev, struct vq_chain *ret, unsigned at)
{
	struct virtqueue *vq = dev->vq[QUEUE_RX];

	if (vq_pop(vq, ret, dev->iov + at, ARRAY_SIZE(dev->iov) - at) <= 0)
		return false;
	ret->iov += ret->n_out; /* only the writable part matters */
	if (ret->in_bytes <= VSOCK_HEADER_BYTES)
		vq->broken = true;
	return !vq->broken;
}

static void put_header(const struct vq_chain *chain, const struct vsock_packet *p)
{
	uint8_t bytes[VSOCK_HEADER_BYTES];

	vsock_packet_encode(p, bytes);
	iov_write(chain->iov, chain->n_in, bytes, sizeof(bytes));
}

static struct vsock_packet packet_of(struct conn *c, uint16_t op, uint32_t flags, uint32_t len)
{
	c->owe &= ~OWE_CREDIT; /* every packet tells it */
	c->fwd_sent = c->fwd_cnt;
	return (struct vsock_packet) {
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = c->dev->guest_cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = c->window,
		.fwd_cnt = c->fwd_cnt,
	};
}

static bool send_control(struct conn *c, uint16_t op, uint32_t flags)
{
	struct vsock *dev = c->dev;
	struct vq_chain chain;
	struct vsock_packet p;

	if (!next_buffer(dev, &chain, 0))
		return false;
	p = packet_of(c, op, flags, 0);
	put_header(&chain, &p);
	vq_push(dev->vq[QUEUE_RX], chain.head, VSOCK_HEADER_BYTES);
	return true;
}

static bool send_reply(struct vsock *dev)
{
	const struct reply *r = &dev->replies[dev->reply_head];
	struct vq_chain chain;

	if (!next_buffer(dev, &chain, 0))
		return false;
	put_header(&chain, &(struct vsock_packet) {
				   .src_cid = r->src_cid,
				   .dst_cid = dev->guest_cid,
				   .src_port = r->src_port,
				   .dst_port = r->dst_port,
				   .type = r->type,
				   .op = VIRTIO_VSOCK_OP_RST,
			   });
	vq_push(dev->vq[QUEUE_RX], chain.head, VSOCK_HEADER_BYTES);
	dev->reply_head = (dev->reply_head + 1) % REPLY_SLOTS;
	dev->n_replies--;
	return true;
}

/* --- data --- */

struct batch {
	struct vq_chain chains[RX_CHAINS];
	unsigned n, n_data; /* chains, and segments for payload in dev->data */
	size_t bytes;       /* room for payload, at most the stream's credit */
};

static void collect(struct conn *c, struct batch *b)
{
	struct vsock *dev = c->dev;
	size_t room = conn_room(c);
	unsigned at = 0;

	b->n = b->n_data = 0;
	b->bytes = 0;
	while (b->n < c->appetite && b->bytes < room && at + VQ_MAX_SIZE <= ARRAY_SIZE(dev->iov)) {
		struct vq_chain *chain = &b->chains[b->n];
		size_t part;

		if (!next_buffer(dev, chain, at))
			break;
		at = (unsigned)(chain->iov - dev->iov) + chain->n_in;
		part = MIN(chain->in_bytes - VSOCK_HEADER_BYTES, room - b->bytes);
		b->n_data += iov_slice(chain->iov, chain->n_in, VSOCK_HEADER_BYTES, part,
				       dev->data + b->n_data);
		b->bytes += part;
		b->n++;
	}
}

/* Heads the filled buffers and gives them to the guest; the others go back. */
static void deliver(struct conn *c, const struct batch *b, size_t bytes)
{
	struct vsock *dev = c->dev;
	unsigned used = 0;

	dev->stats.bytes_to_guest += bytes;
	while (bytes) {
		const struct vq_chain *chain = &b->chains[used];
		uint32_t part = (uint32_t)MIN(chain->in_bytes - VSOCK_HEADER_BYTES, bytes);
		struct vsock_packet p = packet_of(c, VIRTIO_VSOCK_OP_RW, 0, part);

		put_header(chain, &p);
		vq_push(dev->vq[QUEUE_RX], chain->head, VSOCK_HEADER_BYTES + part);
		c->tx_cnt += part;
		bytes -= part;
		used++;
	}
	vq_unpop(dev->vq[QUEUE_RX], b->n - used);
	c->appetite = MIN(MAX(used, 1u), RX_CHAINS);
}

/* False: the guest has no buffers. A short read has emptied the socket, unless its end is near. */
static bool send_data(struct conn *c)
{
	struct batch b;
	ssize_t n;

	collect(c, &b);
	if (!b.n)
		return false;
	n = readv(c->fd, c->dev->data, (int)b.n_data);
	if (n <= 0 && !(n < 0 && (errno == EAGAIN || errno == EINTR)))
		c->shut_wanted |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	deliver(c, &b, n > 0 ? (size_t)n : 0);
	if (n == (ssize_t)b.bytes)
		c->appetite = MIN(2 * c->appetite, RX_CHAINS);
	else if (n < 0 || !c->ending)
		c->readable = n < 0 && errno == EINTR;
	return true;
}

static bool can_send(const struct conn *c)
{
	return c->readable && !(c->shut_wanted & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->peer_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) && conn_room(c);
}

/* One turn; false: the guest has no buffers. */
static bool serve(struct conn *c)
{
	uint8_t shut;

	if (c->owe & OWE_REQUEST) {
		if (!send_control(c, VIRTIO_VSOCK_OP_REQUEST, 0))
			return false;
		c->owe &= ~OWE_REQUEST;
	}
	if (c->owe & OWE_RESPONSE) {
		if (!send_control(c, VIRTIO_VSOCK_OP_RESPONSE, 0))
			return false;
		c->owe &= ~OWE_RESPONSE;
	}
	if (c->state != CONN_OPEN)
		return true;
	for (unsigned i = 0; i < 2 && can_send(c); i++) {
		if (!send_data(c))
			return false;
		if (!c->ending) /* else look for the end now: it goes out with the rest */
			break;
	}
	if ((c->owe & OWE_CREDIT) && !send_control(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0))
		return false;
	shut = c->shut_wanted;
	if (shut & ~c->shut_sent) {
		if (!send_control(c, VIRTIO_VSOCK_OP_SHUTDOWN, shut))
			return false;
		c->shut_sent = shut;
		if (shut == SHUTDOWN_BOTH)
			conn_linger(c);
	}
	return true;
}

static bool turn(struct vsock *dev)
{
	struct link *l = list_first(&dev->ready);
	struct conn *c;

	if (dev->n_replies)
		return send_reply(dev);
	c = container_of(l, struct conn, ready);
	list_remove(l);
	if (!serve(c)) {
		list_append(dev->ready.next, l); /* its turn comes again first */
		return false;
	}
	conn_schedule(c);
	return true;
}

/* Works until nothing is left to send, the guest has no buffers, or others need a turn (true). */
bool rx_pump(struct vsock *dev)
{
	struct virtqueue *vq = dev->vq[QUEUE_RX];
	unsigned turns = 0;

	if (!vq)
		return false;
	while (!dev->rx_starved && (dev->n_replies || list_first(&dev->ready)) && turns++ < 256) {
		if (turn(dev))
			continue;
		if (vq->broken) {
			device_fail(dev, "receive");
			return false;
		}
		dev->rx_starved = !vq_await_kick(vq);
		if (!dev->rx_starved)
			vq_ignore_kicks(vq);
	}
	vq_flush(vq, false);
	return !dev->rx_starved && (dev->n_replies || list_first(&dev->ready));
}
