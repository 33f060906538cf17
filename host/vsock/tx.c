/* host/vsock/tx.c - from the guest: packets in ring order, payload straight into host sockets
 *
 * HOSTILE GUEST
 *   The header is copied out before it is looked at. What a stream's state does not allow gets
 *   an RST and ends that stream; what names no stream gets an RST; a foreign source address gets
 *   nothing. A guest that sends more than the credit it has ends that stream.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/socket.h"
#include "vsock/internal.h"

static int offer_stream(struct vsock *dev, uint32_t port, int fd)
{
	for (unsigned i = 0; i < dev->n_accepts; i++)
		if (dev->accepts[i].port == port)
			return dev->accepts[i].fn(port, fd, dev->accepts[i].arg);
	return -ECONNREFUSED;
}

static bool port_accepts(const struct vsock *dev, uint32_t port)
{
	for (unsigned i = 0; i < dev->n_accepts; i++)
		if (dev->accepts[i].port == port)
			return true;
	return false;
}

/* The guest's end of a new socket pair becomes a stream, the other is offered to the port's owner.
 */
static int open_stream(struct vsock *dev, const struct vsock_packet *p)
{
	int fds[2], r;
	struct conn *c;

	if (!port_accepts(dev, p->dst_port))
		return -ECONNREFUSED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	r = fd_set_nonblock(fds[0], 1);
	c = r == 0 ? conn_new(dev, p->src_port, p->dst_port, fds[0], CONN_OPEN) : NULL;
	if (!c) {
		close(fds[0]);
		close(fds[1]);
		return -ENOBUFS;
	}
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	r = offer_stream(dev, p->dst_port, fds[1]);
	if (r < 0) {
		close(fds[1]);
		conn_free(c, 0);
		return r;
	}
	dev->stats.opened++;
	c->owe |= OWE_RESPONSE;
	conn_schedule(c);
	return 0;
}

static void on_request(struct vsock *dev, const struct vsock_packet *p)
{
	int r = open_stream(dev, p);

	if (r == 0)
		return;
	dev->stats.refused++;
	log_debug("vsock: the guest's stream to port %u is refused (%d)", p->dst_port, -r);
	reply_rst(dev, p);
}

static void on_response(struct conn *c)
{
	if (c->state != CONN_CONNECTING || (c->owe & OWE_REQUEST)) {
		conn_reset(c);
		return;
	}
	list_remove(&c->deadline);
	c->state = CONN_OPEN;
	conn_answer(c, 0);
	conn_schedule(c);
}

static void on_data(struct conn *c, const struct vsock_packet *p, struct iovec *iov, unsigned n)
{
	if (c->state == CONN_CLOSING) /* sent before the guest saw our SHUTDOWN */
		return;
	if (c->state != CONN_OPEN || (c->peer_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    p->len > c->window - (c->rx_cnt - c->fwd_cnt)) {
		conn_reset(c);
		return;
	}
	c->rx_cnt += p->len;
	if (p->len && conn_write(c, iov, n, p->len) < 0)
		conn_reset(c);
}

static void on_stream_packet(struct conn *c, const struct vsock_packet *p, struct iovec *iov,
			     unsigned n)
{
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	switch (p->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		on_response(c);
		break;
	case VIRTIO_VSOCK_OP_RST:
		if (c->state == CONN_CONNECTING)
			conn_free(c, ECONNREFUSED);
		else
			conn_drain(c);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn_peer_shutdown(c, p->flags);
		break;
	case VIRTIO_VSOCK_OP_RW:
		on_data(c, p, iov, n);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->owe |= OWE_CREDIT;
		conn_schedule(c);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		conn_schedule(c);
		break;
	default:
		conn_reset(c);
	}
}

/* @malformed: its length and its chain disagree. */
static void on_packet(struct vsock *dev, const struct vsock_packet *p, bool malformed,
		      struct iovec *iov, unsigned n)
{
	struct conn *c;

	if (p->src_cid != dev->guest_cid)
		return;
	c = p->dst_cid == VSOCK_CID_HOST && p->type == VIRTIO_VSOCK_TYPE_STREAM
		    ? conn_find(dev, p->src_port, p->dst_port)
		    : NULL;
	if (c && p->op == VIRTIO_VSOCK_OP_REQUEST && c->state == CONN_CLOSING) {
		conn_free(c, 0); /* the guest has forgotten the old stream */
		c = NULL;
	}
	if (c && malformed)
		conn_reset(c);
	else if (c)
		on_stream_packet(c, p, iov, n);
	else if (p->op == VIRTIO_VSOCK_OP_REQUEST && !malformed && p->dst_cid == VSOCK_CID_HOST &&
		 p->type == VIRTIO_VSOCK_TYPE_STREAM)
		on_request(dev, p);
	else if (p->op != VIRTIO_VSOCK_OP_RST)
		reply_rst(dev, p);
}

static void take_packet(struct vsock *dev, const struct vq_chain *chain)
{
	uint8_t bytes[VSOCK_HEADER_BYTES];
	struct vsock_packet p;
	bool malformed;
	unsigned n = 0;

	if (iov_read(chain->iov, chain->n_out, bytes, sizeof(bytes)) < sizeof(bytes))
		return;
	vsock_packet_decode(bytes, &p);
	malformed = p.len > chain->out_bytes - VSOCK_HEADER_BYTES ||
		    (p.len && p.op != VIRTIO_VSOCK_OP_RW);
	if (!malformed && p.len) /* in place: a slice never gets longer than its source */
		n = iov_slice(chain->iov, chain->n_out, VSOCK_HEADER_BYTES, p.len, chain->iov);
	on_packet(dev, &p, malformed, chain->iov, n);
}

/* Works until the ring is empty or others need a turn (true). */
bool tx_pump(struct vsock *dev)
{
	struct virtqueue *vq = dev->vq[QUEUE_TX];
	unsigned budget = TX_BUDGET;

	if (!vq || !dev->tx_kicked)
		return false;
	vq_ignore_kicks(vq);
	while (budget--) {
		struct vq_chain chain;
		int r = vq_pop(vq, &chain, dev->iov, ARRAY_SIZE(dev->iov));

		if (r < 0) {
			device_fail(dev, "transmit");
			return false;
		}
		if (r == 0 && !vq_await_kick(vq)) {
			dev->tx_kicked = false;
			break;
		}
		if (r == 0)
			continue;
		take_packet(dev, &chain);
		vq_push(vq, chain.head, 0);
	}
	vq_flush(vq, false);
	return dev->tx_kicked;
}
