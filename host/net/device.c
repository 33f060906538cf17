/* host/net/device.c - virtio-net device, served to the VMM over vhost-user
 *
 * THEORY OF OPERATION
 *   Queue 1 brings the guest's frames: TCP goes to tcp.c with its payload still in guest memory,
 *   everything else is copied out, its checksum completed, and goes to names.c or into the general
 *   stack. What they have for the guest goes straight into buffers of queue 0. net_run() does the
 *   work of one round of the loop and interrupts the guest once per queue at its end.
 * OFFLOADS
 *   Both sides may send TCP segments of up to 64 KiB whatever the MTU, with a checksum that is
 * still open: the link is memory. What the stack makes has been summed already: with GUEST_CSUM the
 *   guest is told not to do it again. With MRG_RXBUF one frame may take many small buffers.
 * BACK-PRESSURE
 *   tcp.c sends when there is room. Frames of the stack for which the guest has no buffers wait, at
 *   most BACKLOG_FRAMES; as long as any wait, no host socket of the stack is read. Beyond that they
 *   are dropped, as on any wire.
 * HOSTILE GUEST
 *   Headers are copied before they are looked at, and so is every frame that is not TCP. A bad
 *   header drops its frame; a bad ring stops the device. Beyond LIMIT_NET_SOCKETS host sockets, or
 *   three quarters of the descriptors this process may have, no frame that could open one is taken.
 */
#include "net/net.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <linux/virtio_net.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "net/fragment.h"
#include "net/frame.h"
#include "net/names.h"
#include "net/pieces.h"
#include "net/segment.h"
#include "net/stack.h"
#include "net/tcp.h"

#define TX_BUDGET      64u  /* frames taken before others have a turn */
#define RX_CHAINS      256u /* buffers one frame may take */
#define BACKLOG_FRAMES 256u

enum { QUEUE_RX, QUEUE_TX, QUEUE_COUNT };

#define FEATURE(name) (1ull << VIRTIO_NET_F_##name)
#define FEATURES                                                                                   \
	(FEATURE(MAC) | FEATURE(MTU) | FEATURE(MRG_RXBUF) | FEATURE(CSUM) | FEATURE(GUEST_CSUM) |  \
	 FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6) | FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6))

struct waiting {
	uint8_t *frame;
	size_t len;
};

struct net {
	struct net_plan plan;
	struct stack *stack;
	struct names *names;
	struct tcp *tcp;
	struct fragments *fragments;
	struct virtqueue *vq[QUEUE_COUNT];
	uint64_t features;
	bool tx_kicked, rx_starved;
	unsigned max_sockets; /* three quarters of them for TCP */
	struct waiting backlog[BACKLOG_FRAMES];
	unsigned backlog_head, n_backlog;
	struct net_stats stats;
	struct iovec tx_iov[VQ_MAX_SIZE], payload[VQ_MAX_SIZE], rx_iov[VQ_MAX_SIZE];
	struct vq_chain chains[RX_CHAINS];
	uint8_t frame[NET_FRAME_MAX];
};

static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == NET_HEADER_BYTES, "header");

static void device_fail(struct net *n, const char *queue)
{
	log_warn("net: the guest broke its %s queue; the device stops", queue);
	for (unsigned i = 0; i < QUEUE_COUNT; i++)
		n->vq[i] = NULL;
}

/* --- to the guest --- */

/* The next buffer; asks for a kick if there is none. */
static bool next_buffer(struct net *n, struct vq_chain *ret, unsigned at)
{
	struct virtqueue *vq = n->vq[QUEUE_RX];
	int r;

	while ((r = vq_pop(vq, ret, n->rx_iov + at, VQ_MAX_SIZE - at)) == 0 && vq_await_kick(vq))
		vq_ignore_kicks(vq);
	if (r > 0)
		return true;
	n->rx_starved = true;
	return false;
}

/* Buffers for @need bytes: their number, 0: not now, -1: they can never hold it. */
static int collect(struct net *n, size_t need)
{
	struct virtqueue *vq = n->vq[QUEUE_RX];
	unsigned max = n->features & FEATURE(MRG_RXBUF) ? RX_CHAINS : 1, at = 0, count = 0;
	size_t room = 0;

	while (room < need && count < max) {
		struct vq_chain *c = &n->chains[count];

		if (!next_buffer(n, c, at)) {
			vq_unpop(vq, count);
			return 0;
		}
		at += c->n_out + c->n_in;
		c->iov += c->n_out; /* only the writable part matters */
		if (count++ == 0 && c->in_bytes < NET_HEADER_BYTES)
			vq->broken = true; /* no room for a header: no driver does that */
		room += c->in_bytes;
	}
	if (room >= need && !vq->broken)
		return (int)count;
	vq_unpop(vq, count);
	return -1;
}

static void fill(struct net *n, unsigned count, struct virtio_net_hdr_mrg_rxbuf *h,
		 const struct iovec *from, unsigned pieces, size_t len)
{
	size_t done = 0;

	h->num_buffers = htole16((uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		struct vq_chain *c = &n->chains[i];
		size_t head = i ? 0 : iov_write(c->iov, c->n_in, h, sizeof(*h));
		size_t part = MIN(c->in_bytes - head, len - done);

		done += pieces_copy((struct pieces) { c->iov, c->n_in, head },
				    (struct pieces) { from, pieces, done }, part);
		vq_push(n->vq[QUEUE_RX], c->head, (uint32_t)(head + part));
	}
	n->stats.frames_to_guest++;
	n->stats.bytes_to_guest += len;
}

/* False: the guest has no buffers for it now. */
static bool deliver(struct net *n, struct virtio_net_hdr_mrg_rxbuf *h, const struct iovec *from,
		    unsigned pieces, size_t len)
{
	struct virtqueue *vq = n->vq[QUEUE_RX];
	int count = vq && !vq->broken ? collect(n, NET_HEADER_BYTES + len) : -1;

	if (count == 0 && !vq->broken)
		return false;
	if (count <= 0)
		n->stats.dropped++;
	else
		fill(n, (unsigned)count, h, from, pieces, len);
	return true;
}

static bool deliver_frame(struct net *n, const uint8_t *frame, size_t len)
{
	struct virtio_net_hdr_mrg_rxbuf h = { 0 };
	struct iovec from = { (void *)(uintptr_t)frame, len };

	if (n->features & FEATURE(GUEST_CSUM))
		h.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	return deliver(n, &h, &from, 1, len);
}

static void backlog_add(struct net *n, const uint8_t *frame, size_t len)
{
	struct waiting *w = &n->backlog[(n->backlog_head + n->n_backlog) % BACKLOG_FRAMES];
	uint8_t *copy = n->n_backlog < BACKLOG_FRAMES ? malloc(len) : NULL;

	if (!copy) {
		n->stats.dropped++;
		return;
	}
	memcpy(copy, frame, len);
	*w = (struct waiting) { copy, len };
	if (!n->n_backlog++)
		stack_pause(n->stack, true);
}

static void backlog_pop(struct net *n)
{
	free(n->backlog[n->backlog_head].frame);
	n->backlog_head = (n->backlog_head + 1) % BACKLOG_FRAMES;
	if (!--n->n_backlog)
		stack_pause(n->stack, false);
}

static void backlog_flush(struct net *n)
{
	while (n->n_backlog && !n->rx_starved) {
		const struct waiting *w = &n->backlog[n->backlog_head];

		if (!deliver_frame(n, w->frame, w->len))
			return;
		backlog_pop(n);
	}
}

static void output(void *arg, const uint8_t *frame, size_t len)
{
	struct net *n = arg;

	if (n->n_backlog || !deliver_frame(n, frame, len))
		backlog_add(n, frame, len);
}

/* For a guest that cannot do it: the checksum of a TCP segment, over a flat copy. */
static bool deliver_summed(struct net *n, const struct virtio_net_hdr_mrg_rxbuf *open,
			   const struct iovec *from, unsigned pieces, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < pieces; done += from[i++].iov_len)
		memcpy(n->frame + done, from[i].iov_base, from[i].iov_len);
	frame_finish(open, FEATURES, n->frame, len);
	return deliver_frame(n, n->frame, len);
}

static bool tcp_output(void *arg, const struct segment *s, const uint8_t *headers,
		       size_t header_bytes, const struct iovec *payload, unsigned pieces,
		       uint16_t mss)
{
	struct net *n = arg;
	struct virtio_net_hdr_mrg_rxbuf h = {
		.hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			 .csum_start = s->ipv6 ? 54 : 34,
			 .csum_offset = 16 },
	};
	struct iovec from[3] = { { (void *)(uintptr_t)headers, header_bytes } };
	size_t len = header_bytes;

	if (n->n_backlog || n->rx_starved)
		return false;
	for (unsigned i = 0; i < pieces; i++) {
		from[1 + i] = payload[i];
		len += payload[i].iov_len;
	}
	if (!(n->features & FEATURE(GUEST_CSUM)))
		return deliver_summed(n, &h, from, 1 + pieces, len);
	if (mss) {
		h.hdr.gso_type = s->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		h.hdr.gso_size = htole16(mss);
		h.hdr.hdr_len = htole16((uint16_t)header_bytes);
	}
	h.hdr.csum_start = htole16(h.hdr.csum_start);
	h.hdr.csum_offset = htole16(h.hdr.csum_offset);
	return deliver(n, &h, from, 1 + pieces, len);
}

/* --- from the guest --- */

/* A checksum the guest has made itself came a long way, perhaps: from a tunnel, a container. */
static bool checksum_good(struct net *n, const struct segment *s, const struct iovec *iov,
			  unsigned segments)
{
	size_t len = s->header_bytes - s->tcp_at + s->payload_bytes;

	iov_read(iov, segments, n->frame, s->tcp_at + len);
	return frame_add(segment_pseudo_sum(s), frame_sum(n->frame + s->tcp_at, len)) == 0xffff;
}

/* 1: taken, 0: not for tcp.c, -1: bad */
static int take_tcp(struct net *n, const struct virtio_net_hdr_mrg_rxbuf *h,
		    const struct iovec *iov, unsigned segments, size_t len)
{
	uint8_t head[SEGMENT_HEADERS_MAX];
	size_t have = iov_read(iov, segments, head, MIN(len, sizeof(head)));
	struct segment s;
	int r = segment_parse(head, have, len, &s);

	if (r <= 0)
		return r;
	if (!(h->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !checksum_good(n, &s, iov, segments))
		return -1;
	segments = iov_slice(iov, segments, s.header_bytes, s.payload_bytes, n->payload);
	return tcp_input(n->tcp, &s, n->payload, segments);
}

static int take_other(struct net *n, const struct virtio_net_hdr_mrg_rxbuf *h,
		      const struct iovec *iov, unsigned segments, size_t len)
{
	iov_read(iov, segments, n->frame, len);
	if (frame_finish(h, n->features, n->frame, len) < 0 || !frame_common(n->frame, len))
		return -1;
	len = fragments_take(n->fragments, n->frame, len);
	if (!len)
		return 1; /* a part, kept */
	if (names_take(n->names, n->frame, len))
		return 1;
	if (stack_sockets(n->stack) + tcp_connections(n->tcp) >= n->max_sockets &&
	    frame_opens(n->frame, len))
		return -1;
	stack_input(n->stack, n->frame, len);
	return 1;
}

/* False: dropped. */
static bool take_frame(struct net *n, const struct vq_chain *chain)
{
	struct virtio_net_hdr_mrg_rxbuf h;
	size_t len = chain->out_bytes - MIN(chain->out_bytes, (size_t)NET_HEADER_BYTES);
	unsigned segments;
	int r;

	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return false;
	iov_read(chain->iov, chain->n_out, &h, sizeof(h));
	segments = iov_slice(chain->iov, chain->n_out, sizeof(h), len, chain->iov);
	h.hdr.csum_start = le16toh(h.hdr.csum_start);
	h.hdr.csum_offset = le16toh(h.hdr.csum_offset);
	if (frame_check(&h, n->features) < 0)
		return false;
	r = take_tcp(n, &h, chain->iov, segments, len);
	if (r == 0)
		r = take_other(n, &h, chain->iov, segments, len);
	n->stats.bytes_to_host += r > 0 ? len : 0;
	return r > 0;
}

/* Works until the ring is empty or others need a turn (true). */
static bool tx_pump(struct net *n)
{
	struct virtqueue *vq = n->vq[QUEUE_TX];
	unsigned budget = TX_BUDGET;

	if (!vq || !n->tx_kicked)
		return false;
	vq_ignore_kicks(vq);
	while (budget--) {
		struct vq_chain chain;
		int r = vq_pop(vq, &chain, n->tx_iov, ARRAY_SIZE(n->tx_iov));

		if (r < 0) {
			device_fail(n, "transmit");
			return false;
		}
		if (r == 0 && !vq_await_kick(vq)) {
			n->tx_kicked = false;
			break;
		}
		if (r == 0)
			continue;
		if (take_frame(n, &chain))
			n->stats.frames_to_host++;
		else
			n->stats.dropped++;
		vq_push(vq, chain.head, 0);
	}
	vq_flush(vq, false);
	return n->tx_kicked;
}

/* --- what VMM and driver do --- */

static void read_config(void *arg, uint8_t *config)
{
	struct net *n = arg;
	struct virtio_net_config c = {
		.status = htole16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = htole16(1),
		.mtu = htole16((uint16_t)n->plan.mtu),
	};

	memcpy(c.mac, n->plan.mac, sizeof(c.mac));
	memcpy(config, &c, sizeof(c));
}

static void set_features(void *arg, uint64_t features)
{
	struct net *n = arg;

	n->features = features;
	tcp_limit(n->tcp, &(struct tcp_limits) {
				  .connections = n->max_sockets / 4 * 3,
				  .segmentation4 = features & FEATURE(GUEST_TSO4),
				  .segmentation6 = features & FEATURE(GUEST_TSO6),
			  });
}

static void queue_start(void *arg, unsigned index, struct virtqueue *vq)
{
	struct net *n = arg;

	n->vq[index] = vq;
	vq_ignore_kicks(vq);
	if (index == QUEUE_TX)
		n->tx_kicked = true;
	else
		n->rx_starved = false;
}

static void queue_stop(void *arg, unsigned index)
{
	struct net *n = arg;

	n->vq[index] = NULL;
}

static void queue_kick(void *arg, unsigned index)
{
	struct net *n = arg;

	if (index == QUEUE_TX) {
		n->tx_kicked = true;
	} else if (n->vq[QUEUE_RX]) {
		n->rx_starved = false;
		vq_ignore_kicks(n->vq[QUEUE_RX]);
	}
}

static void detached(void *arg, int reason)
{
	struct net *n = arg;

	(void)reason;
	for (unsigned i = 0; i < QUEUE_COUNT; i++)
		n->vq[i] = NULL;
	tcp_reset_all(n->tcp);
}

const struct virtio_device_ops net_device_ops = {
	.name = "net",
	.features = FEATURES,
	.n_queues = QUEUE_COUNT,
	.config_bytes = sizeof(struct virtio_net_config),
	.read_config = read_config,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.detached = detached,
};

/* --- what the program does --- */

bool net_run(struct net *n)
{
	bool more;

	backlog_flush(n);
	stack_serve(n->stack);
	more = tx_pump(n);
	if (!n->rx_starved)
		more |= tcp_run(n->tcp);
	stack_settle(n->stack);
	if (n->vq[QUEUE_RX] && n->vq[QUEUE_RX]->broken)
		device_fail(n, "receive");
	if (n->vq[QUEUE_RX])
		vq_flush(n->vq[QUEUE_RX], false);
	return more;
}

void net_get_stats(const struct net *n, struct net_stats *ret)
{
	*ret = n->stats;
	ret->sockets = stack_sockets(n->stack) + tcp_connections(n->tcp);
}

void net_on_names(struct net *n, net_names_fn fn, void *arg)
{
	names_on_open(n->names, fn, arg);
}

/* Sessions of the guest's users need descriptors, too. */
static unsigned socket_limit(void)
{
	struct rlimit lim = { 1024, 1024 };

	getrlimit(RLIMIT_NOFILE, &lim);
	return (unsigned)MIN(lim.rlim_cur / 4 * 3, (rlim_t)LIMIT_NET_SOCKETS);
}

struct net *net_new(struct loop *loop, const struct net_plan *plan)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->plan = *plan;
	n->max_sockets = socket_limit();
	n->stack = stack_new(loop, plan, output, n);
	n->names = names_new(loop, &n->plan, output, n);
	n->tcp = tcp_new(loop, &n->plan, n->names, tcp_output, output, n);
	n->fragments = fragments_new();
	return n->stack && n->names && n->tcp && n->fragments ? n : net_free(n);
}

struct net *net_free(struct net *n)
{
	if (!n)
		return NULL;
	while (n->n_backlog)
		backlog_pop(n);
	tcp_free(n->tcp);
	names_free(n->names);
	fragments_free(n->fragments);
	stack_free(n->stack);
	free(n);
	return NULL;
}
