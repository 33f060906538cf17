/* host/vsock/device.c - virtio-vsock device, served to the VMM over vhost-user
 *
 * THEORY OF OPERATION
 *   One struct vsock is one guest's device. A stream (struct conn) is a pair of ports in a table
 *   and a UNIX socket. tx_pump() takes the guest's packets and writes their payload to the
 *   sockets; rx_pump() lets the streams that have something for the guest take turns filling its
 *   buffers. Loop callbacks only note what became possible (tx_kicked, rx_starved,
 *   conn.readable); vsock_run() then does the work of the whole round, so that events that came
 *   together cost one interrupt.
 * BACK-PRESSURE
 *   Towards the guest: nothing is read from a socket without credit and a guest buffer, so a
 *   guest that stops reading costs a file descriptor and no memory. Towards the host: a guest
 *   may send as much as its credit; what the socket does not take is buffered, and credit comes
 *   back when it is written. Packets never wait in the ring for one stream's socket: others
 *   would wait with them.
 * ENDS OF A STREAM
 *   The socket's end of file is SHUTDOWN(SEND), its loss is SHUTDOWN(RCV); when both are sent
 *   the stream lingers without a socket until the guest's RST, at most VSOCK_CLOSE_MS. The
 *   guest's SHUTDOWN of both directions is answered with RST, and its RST ends a stream; either
 *   way what it sent before is still written to the host (CONN_DRAINING).
 * HOSTILE GUEST
 *   A bad packet ends its stream; a bad ring stops the device and ends all of them; neither ends
 *   the process. The VM going away, in whatever way, is detached().
 * LIMITS
 *   LIMIT_VSOCK_CONNECTIONS streams in all states; buffers as in conn.c; REPLY_SLOTS refusals
 *   waiting for a guest buffer, the guest's connect() times out beyond.
 */
#include "vsock/device.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "vsock/internal.h"

/* --- what VMM and driver do --- */

static void read_config(void *arg, uint8_t *config)
{
	struct vsock *dev = arg;
	struct virtio_vsock_config c = { .guest_cid = htole64(dev->guest_cid) };

	memcpy(config, &c, sizeof(c));
}

static void queue_start(void *arg, unsigned index, struct virtqueue *vq)
{
	struct vsock *dev = arg;

	dev->vq[index] = vq;
	vq_ignore_kicks(vq);
	if (index == QUEUE_TX)
		dev->tx_kicked = true;
	if (index == QUEUE_RX)
		dev->rx_starved = false;
}

static void queue_stop(void *arg, unsigned index)
{
	struct vsock *dev = arg;

	dev->vq[index] = NULL;
}

static void queue_kick(void *arg, unsigned index)
{
	struct vsock *dev = arg;

	if (index == QUEUE_TX) {
		dev->tx_kicked = true;
	} else if (index == QUEUE_RX && dev->vq[QUEUE_RX]) {
		dev->rx_starved = false;
		vq_ignore_kicks(dev->vq[QUEUE_RX]);
	}
}

/* Every stream ends; output that waits for the host goes on. */
static void end_streams(struct vsock *dev)
{
	struct link *l;

	while ((l = list_first(&dev->conns)))
		conn_drain(container_of(l, struct conn, all));
	dev->n_replies = 0;
}

static void detached(void *arg, int reason)
{
	struct vsock *dev = arg;

	dev->detached = true;
	end_streams(dev);
	if (dev->on_detached)
		dev->on_detached(reason, dev->detached_arg);
}

const struct virtio_device_ops vsock_device_ops = {
	.name = "vsock",
	.n_queues = QUEUE_COUNT,
	.config_bytes = sizeof(struct virtio_vsock_config),
	.read_config = read_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.detached = detached,
};

void device_fail(struct vsock *dev, const char *queue)
{
	log_warn("vsock: the guest broke its %s queue; the device stops", queue);
	dev->failed = true;
	for (unsigned i = 0; i < QUEUE_COUNT; i++)
		dev->vq[i] = NULL;
	end_streams(dev);
}

/* --- time --- */

static void expire(struct deadline_list *d, void (*fn)(struct conn *))
{
	uint64_t now = now_ms();
	struct link *l;

	while ((l = list_first(&d->list))) {
		struct conn *c = container_of(l, struct conn, deadline);

		if (c->deadline_ms > now) {
			timer_set(d->timer, c->deadline_ms - now);
			return;
		}
		fn(c);
	}
}

static void connect_expired(struct conn *c)
{
	conn_free(c, ETIMEDOUT);
}

static void on_connect_timer(struct timer *t, void *arg)
{
	struct vsock *dev = arg;

	(void)t;
	expire(&dev->connecting, connect_expired);
}

static void on_close_timer(struct timer *t, void *arg)
{
	struct vsock *dev = arg;

	(void)t;
	expire(&dev->closing, conn_reset);
}

/* --- what the program does --- */

struct vsock *vsock_new(struct loop *loop, uint32_t guest_cid)
{
	struct vsock *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	dev->loop = loop;
	dev->guest_cid = guest_cid;
	dev->next_port = 0x10000u;
	dev->limit = LIMIT_VSOCK_CONNECTIONS;
	list_init(&dev->conns);
	list_init(&dev->draining);
	list_init(&dev->ready);
	list_init(&dev->connecting.list);
	list_init(&dev->closing.list);
	dev->connecting.delay_ms = VSOCK_CONNECT_MS;
	dev->closing.delay_ms = VSOCK_CLOSE_MS;
	dev->connecting.timer = loop_timer(loop, on_connect_timer, dev);
	dev->closing.timer = loop_timer(loop, on_close_timer, dev);
	dev->table = calloc(CONN_BUCKETS, sizeof(struct conn *));
	if (!dev->connecting.timer || !dev->closing.timer || !dev->table ||
	    getrandom(&dev->hash_key, sizeof(dev->hash_key), 0) != sizeof(dev->hash_key))
		return vsock_free(dev);
	return dev;
}

struct vsock *vsock_free(struct vsock *dev)
{
	struct link *l;

	if (!dev)
		return NULL;
	while ((l = list_first(&dev->conns)) || (l = list_first(&dev->draining)))
		conn_free(container_of(l, struct conn, all), ECONNRESET);
	if (dev->connecting.timer)
		timer_free(dev->connecting.timer);
	if (dev->closing.timer)
		timer_free(dev->closing.timer);
	while (dev->n_idle)
		free(dev->idle[--dev->n_idle]);
	free(dev->table);
	free(dev);
	return NULL;
}

void vsock_on_detached(struct vsock *dev, vsock_detached_fn fn, void *arg)
{
	dev->on_detached = fn;
	dev->detached_arg = arg;
}

int vsock_accept(struct vsock *dev, uint32_t port, vsock_accept_fn fn, void *arg)
{
	if (dev->n_accepts == VSOCK_MAX_ACCEPT_PORTS)
		return -ENOSPC;
	dev->accepts[dev->n_accepts].port = port;
	dev->accepts[dev->n_accepts].fn = fn;
	dev->accepts[dev->n_accepts].arg = arg;
	dev->n_accepts++;
	return 0;
}

void vsock_open(struct vsock *dev, uint32_t port, int fd, vsock_connected_fn fn, void *arg)
{
	struct conn *c = NULL;
	int error = dev->failed ? EIO : dev->detached ? ECONNRESET : ENOBUFS;

	if (!dev->failed && !dev->detached)
		c = conn_new(dev, port, conn_free_port(dev, port), fd, CONN_CONNECTING);
	if (!c) {
		dev->stats.refused++;
		fn(error, fd, arg);
		return;
	}
	c->connected = fn;
	c->connected_arg = arg;
	c->owe = OWE_REQUEST;
	deadline_set(c, &dev->connecting);
	conn_schedule(c);
}

bool vsock_run(struct vsock *dev)
{
	bool more = tx_pump(dev);

	return rx_pump(dev) || more;
}

unsigned vsock_draining(const struct vsock *dev)
{
	return dev->n_draining;
}

void vsock_get_stats(const struct vsock *dev, struct vsock_stats *ret)
{
	*ret = dev->stats;
	ret->connections = dev->n_conns;
}
