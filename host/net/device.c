/* host/net/device.c - virtio-net device, served to the VMM over vhost-user
 *
 * THEORY OF OPERATION
 *   Queue 1 brings the guest's frames: each is copied out, its checksum completed, and goes into
 * the stack. What the stack has for the guest goes straight into buffers of queue 0. net_run() does
 *   the work of one round of the loop and interrupts the guest once per queue at its end.
 * OFFLOADS
 *   The stack takes and makes IP packets of up to 64 KiB, so segmentation by us is never needed:
 *   the guest may send whole segments (HOST_TSO), also those its containers made for a smaller MTU.
 *   What we send carries a checksum the stack has just computed: with GUEST_CSUM the guest is told
 *   not to compute it again. With MRG_RXBUF one frame may take many of the guest's small buffers.
 * BACK-PRESSURE
 *   Frames for which the guest has no buffers wait, at most BACKLOG_FRAMES; as long as any wait, no
 *   host socket is read. Beyond that frames are dropped, as on any wire.
 * HOSTILE GUEST
 *   Header and frame are copied before they are looked at. A bad header drops its frame; a bad ring
 *   stops the device. Beyond LIMIT_NET_SOCKETS host sockets no frame that could open one is taken.
 */
#include "net/net.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_net.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "net/frame.h"
#include "net/stack.h"

#define TX_BUDGET      64u  /* frames taken before others have a turn */
#define RX_CHAINS      256u /* buffers one frame may take */
#define BACKLOG_FRAMES 256u

enum { QUEUE_RX, QUEUE_TX, QUEUE_COUNT };

#define FEATURE(name) (1ull << VIRTIO_NET_F_##name)
#define FEATURES                                                                                   \
	(FEATURE(MAC) | FEATURE(MTU) | FEATURE(MRG_RXBUF) | FEATURE(CSUM) | FEATURE(GUEST_CSUM) |  \
	 FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6))

struct waiting {
	uint8_t *frame;
	size_t len;
};

struct net {
	struct net_plan plan;
	struct stack *stack;
	struct virtqueue *vq[QUEUE_COUNT];
	uint64_t features;
	bool tx_kicked, rx_starved;
	struct waiting backlog[BACKLOG_FRAMES];
	unsigned backlog_head, n_backlog;
	struct net_stats stats;
	struct iovec iov[VQ_MAX_SIZE];
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

/* Buffers for @need bytes: their number, 0: not now, -1: they can never hold it. */
static int collect(struct net *n, size_t need)
{
	struct virtqueue *vq = n->vq[QUEUE_RX];
	unsigned max = n->features & FEATURE(MRG_RXBUF) ? RX_CHAINS : 1, at = 0, count = 0;
	size_t room = 0;

	while (room < need) {
		struct vq_chain *c = &n->chains[count];

		if (count == max || vq_pop(vq, c, n->iov + at, VQ_MAX_SIZE - at) <= 0) {
			if (!vq->broken)
				vq_unpop(vq, count);
			return count == max ? -1 : 0;
		}
		at += c->n_out + c->n_in;
		c->iov += c->n_out; /* only the writable part matters */
		if (count++ == 0 && c->in_bytes < NET_HEADER_BYTES) {
			vq->broken = true;
			return 0;
		}
		room += c->in_bytes;
	}
	return (int)count;
}

static void fill(struct net *n, unsigned count, const uint8_t *frame, size_t len)
{
	struct virtio_net_hdr_mrg_rxbuf h = { .num_buffers = htole16((uint16_t)count) };
	size_t done = 0;

	if (n->features & FEATURE(GUEST_CSUM))
		h.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	for (unsigned i = 0; i < count; i++) {
		struct vq_chain *c = &n->chains[i];
		unsigned segments = c->n_in;
		size_t head = 0, part;

		if (i == 0) {
			head = iov_write(c->iov, segments, &h, sizeof(h));
			segments = iov_slice(c->iov, segments, head, c->in_bytes - head, c->iov);
		}
		part = iov_write(c->iov, segments, frame + done, len - done);
		done += part;
		vq_push(n->vq[QUEUE_RX], c->head, (uint32_t)(head + part));
	}
	n->stats.frames_to_guest++;
	n->stats.bytes_to_guest += len;
}

/* False: the guest has no buffers for it now. */
static bool deliver(struct net *n, const uint8_t *frame, size_t len)
{
	struct virtqueue *vq = n->vq[QUEUE_RX];
	int count;

	if (!vq || vq->broken)
		count = -1;
	else
		while ((count = collect(n, NET_HEADER_BYTES + len)) == 0 && !vq->broken) {
			if (!vq_await_kick(vq)) {
				n->rx_starved = true;
				return false;
			}
			vq_ignore_kicks(vq);
		}
	if (count <= 0)
		n->stats.dropped++;
	else
		fill(n, (unsigned)count, frame, len);
	return true;
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

		if (!deliver(n, w->frame, w->len))
			return;
		backlog_pop(n);
	}
}

static void output(void *arg, const uint8_t *frame, size_t len)
{
	struct net *n = arg;

	if (n->n_backlog || !deliver(n, frame, len))
		backlog_add(n, frame, len);
}

/* --- from the guest --- */

static bool refused(const struct net *n, size_t len)
{
	return stack_sockets(n->stack) >= LIMIT_NET_SOCKETS && frame_opens(n->frame, len);
}

static void take_frame(struct net *n, const struct vq_chain *chain)
{
	struct virtio_net_hdr_mrg_rxbuf h;
	size_t len = chain->out_bytes - MIN(chain->out_bytes, (size_t)NET_HEADER_BYTES);
	unsigned segments;

	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
		n->stats.dropped++;
		return;
	}
	iov_read(chain->iov, chain->n_out, &h, sizeof(h));
	segments = iov_slice(chain->iov, chain->n_out, sizeof(h), len, chain->iov);
	iov_read(chain->iov, segments, n->frame, len);
	h.hdr.csum_start = le16toh(h.hdr.csum_start);
	h.hdr.csum_offset = le16toh(h.hdr.csum_offset);
	if (frame_finish(&h, n->features, n->frame, len) < 0 || refused(n, len)) {
		n->stats.dropped++;
		return;
	}
	n->stats.frames_to_host++;
	n->stats.bytes_to_host += len;
	stack_input(n->stack, n->frame, len);
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
		int r = vq_pop(vq, &chain, n->iov, ARRAY_SIZE(n->iov));

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
		take_frame(n, &chain);
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
	(void)reason;
	for (unsigned i = 0; i < QUEUE_COUNT; i++)
		queue_stop(arg, i);
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
	ret->sockets = stack_sockets(n->stack);
}

struct net *net_new(struct loop *loop, const struct net_plan *plan)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->plan = *plan;
	n->stack = stack_new(loop, plan, output, n);
	return n->stack ? n : net_free(n);
}

struct net *net_free(struct net *n)
{
	if (!n)
		return NULL;
	while (n->n_backlog)
		backlog_pop(n);
	stack_free(n->stack);
	free(n);
	return NULL;
}
