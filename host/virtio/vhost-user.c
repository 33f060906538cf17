/* host/virtio/vhost-user.c - the back-end side of vhost-user
 *
 * THEORY OF OPERATION
 *   The front end sends a header, a payload of the size named there, and at times descriptors
 *   with the header. requests[] holds what may come: the sizes, the descriptors, the handler. A
 *   handler returns 0, or 1 when the payload it left is the reply, or an error, which ends the
 *   connection: a front end that breaks the protocol cannot be served any longer.
 *   A queue runs while it has a size, ring addresses inside the memory table and a kick
 *   descriptor and, once protocol features were negotiated, was enabled. Kicks are
 *   edge-triggered: nobody needs to read the eventfd.
 * FRONT ENDS
 *   UML (virtio_uml) names rings by guest-physical address, QEMU by its own virtual address;
 *   both put the same thing into the table as the region's user address. UML waits for replies
 *   with interrupts off, so a reply is sent at once.
 * HOSTILE GUEST
 *   UML is not a wall: its guest's root may speak to us as the front end. Sizes are exact,
 *   indices bounded, addresses checked when set and again when the table changes.
 * LIMITS
 *   VIRTIO_MAX_QUEUES queues of at most VQ_MAX_SIZE descriptors, GUEST_MEMORY_REGIONS regions,
 *   one front end in the life of a struct vhost.
 */
#include "virtio/vhost-user.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"
#include "virtio/vhost-wire.h"

#define RING_FEATURES                                                                              \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |                        \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VHOST_F_PROTOCOL_FEATURES)
#define PROTOCOL_FEATURES (1ull << VHOST_PROTOCOL_F_CONFIG)

struct queue {
	struct virtqueue vq;
	struct vhost *vhost;
	struct vhost_vring_ring ring;
	struct watch *kick_watch;
	unsigned index;
	int kick_fd;
	uint16_t num, base;
	bool has_ring, enabled, running;
};

struct vhost {
	struct loop *loop;
	const struct virtio_device_ops *ops;
	void *arg;
	int listen_fd, fd;
	struct watch *watch;
	struct guest_memory memory;
	uint64_t features;
	bool features_set;

	/* the message being received */
	struct vhost_header header;
	union vhost_payload payload;
	size_t got; /* bytes of header and payload */
	int fds[LIMIT_MESSAGE_FDS];
	unsigned n_fds;

	struct queue queues[VIRTIO_MAX_QUEUES];
};

/* --- queues --- */

static void queue_stop(struct queue *q)
{
	if (!q->running)
		return;
	q->running = false;
	q->base = q->vq.next_avail;
	q->kick_watch = watch_remove(q->kick_watch);
	q->vhost->ops->queue_stop(q->vhost->arg, q->index);
}

static void kicked(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct queue *q = arg;

	(void)w, (void)fd, (void)events;
	q->vhost->ops->queue_kick(q->vhost->arg, q->index);
}

/* The ring's three parts inside guest memory, or -EFAULT. */
static int queue_map(struct queue *q)
{
	const struct guest_memory *m = &q->vhost->memory;
	void *desc = guest_user_ptr(m, q->ring.desc, vq_desc_bytes(q->num));
	void *avail = guest_user_ptr(m, q->ring.avail, vq_avail_bytes(q->num));
	void *used = guest_user_ptr(m, q->ring.used, vq_used_bytes(q->num));

	if (!desc || !avail || !used || (uintptr_t)desc % 16 || (uintptr_t)avail % 2 ||
	    (uintptr_t)used % 4)
		return -EFAULT;
	q->vq.event_idx = q->vhost->features >> VIRTIO_RING_F_EVENT_IDX & 1;
	q->vq.indirect = q->vhost->features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	vq_init(&q->vq, m, q->num, desc, avail, used, q->base);
	return 0;
}

static int queue_start_if_ready(struct queue *q)
{
	struct vhost *v = q->vhost;
	bool enabled = q->enabled || !(v->features >> VHOST_F_PROTOCOL_FEATURES & 1);
	int r;

	if (q->running || !enabled || !q->has_ring || !q->num || q->kick_fd < 0 || !v->memory.n ||
	    !v->features_set)
		return 0;
	r = queue_map(q);
	if (r < 0)
		return r;
	q->kick_watch = loop_watch(v->loop, q->kick_fd, EPOLLIN | EPOLLET, kicked, q);
	if (!q->kick_watch)
		return -errno;
	q->running = true;
	v->ops->queue_start(v->arg, q->index, &q->vq);
	return 0;
}

static void queue_reset(struct queue *q)
{
	struct vhost *v = q->vhost;
	unsigned index = q->index;

	queue_stop(q);
	drop_fd(&q->kick_fd);
	drop_fd(&q->vq.call_fd);
	*q = (struct queue) { .vhost = v, .index = index, .kick_fd = -1, .vq.call_fd = -1 };
}

static struct queue *queue_of(struct vhost *v, uint64_t index)
{
	return index < v->ops->n_queues ? &v->queues[index] : NULL;
}

/* --- handlers: 0, 1 with a reply in v->payload, or -errno --- */

static int get_features(struct vhost *v)
{
	v->payload.number = v->ops->features | RING_FEATURES;
	return 1;
}

/* A driver that starts over without disabling its queues stops them here; the kick descriptor,
 * sent again, starts them. */
static int set_features(struct vhost *v)
{
	uint64_t wanted = v->payload.number;

	if (wanted & ~(v->ops->features | RING_FEATURES))
		return -EPROTO;
	if (v->features_set && wanted != v->features)
		for (unsigned i = 0; i < v->ops->n_queues; i++)
			queue_stop(&v->queues[i]);
	v->features = wanted;
	v->features_set = true;
	if (v->ops->set_features)
		v->ops->set_features(v->arg, wanted & v->ops->features);
	return 0;
}

static int get_protocol_features(struct vhost *v)
{
	v->payload.number = PROTOCOL_FEATURES;
	return 1;
}

static int set_protocol_features(struct vhost *v)
{
	return v->payload.number & ~PROTOCOL_FEATURES ? -EPROTO : 0;
}

static int get_queue_num(struct vhost *v)
{
	v->payload.number = v->ops->n_queues;
	return 1;
}

static int set_owner(struct vhost *v)
{
	(void)v;
	return 0;
}

static int reset_owner(struct vhost *v)
{
	for (unsigned i = 0; i < v->ops->n_queues; i++)
		queue_reset(&v->queues[i]);
	v->features_set = false;
	return 0;
}

/* Rings that run move with the memory; what does not fit the new table any more is an error. */
static int set_mem_table(struct vhost *v)
{
	const struct vhost_mem_table *t = &v->payload.table;
	bool was_running[VIRTIO_MAX_QUEUES] = { false };
	int r = 0;

	if (t->n == 0 || t->n > GUEST_MEMORY_REGIONS || v->n_fds != t->n ||
	    v->header.size < VHOST_TABLE_HEAD + t->n * sizeof(t->regions[0]))
		return -EPROTO;
	for (unsigned i = 0; i < v->ops->n_queues; i++) {
		was_running[i] = v->queues[i].running;
		queue_stop(&v->queues[i]);
	}
	guest_memory_clear(&v->memory);
	for (unsigned i = 0; i < t->n && r == 0; i++)
		r = guest_memory_add(&v->memory, t->regions[i].gpa, t->regions[i].user,
				     t->regions[i].size, t->regions[i].offset, v->fds[i]);
	for (unsigned i = 0; i < v->ops->n_queues && r == 0; i++)
		if (was_running[i])
			r = queue_start_if_ready(&v->queues[i]);
	return r;
}

static int set_vring_num(struct vhost *v)
{
	struct queue *q = queue_of(v, v->payload.vring.index);
	uint32_t num = v->payload.vring.num;

	if (!q || q->running || num == 0 || num > VQ_MAX_SIZE || (num & (num - 1)))
		return -EPROTO;
	q->num = (uint16_t)num;
	return 0;
}

static int set_vring_base(struct vhost *v)
{
	struct queue *q = queue_of(v, v->payload.vring.index);

	if (!q || q->running || v->payload.vring.num > UINT16_MAX)
		return -EPROTO;
	q->base = (uint16_t)v->payload.vring.num;
	return 0;
}

static int get_vring_base(struct vhost *v)
{
	struct queue *q = queue_of(v, v->payload.vring.index);

	if (!q)
		return -EPROTO;
	queue_stop(q);
	drop_fd(&q->kick_fd);
	drop_fd(&q->vq.call_fd);
	v->payload.vring.num = q->base;
	return 1;
}

static int set_vring_addr(struct vhost *v)
{
	struct queue *q = queue_of(v, v->payload.ring.index);

	if (!q || q->running)
		return -EPROTO;
	q->ring = v->payload.ring;
	q->has_ring = true;
	return queue_start_if_ready(q);
}

static int set_vring_enable(struct vhost *v)
{
	struct queue *q = queue_of(v, v->payload.vring.index);

	if (!q || v->payload.vring.num > 1)
		return -EPROTO;
	q->enabled = v->payload.vring.num;
	if (!q->enabled)
		queue_stop(q);
	return queue_start_if_ready(q);
}

/* The queue a descriptor message speaks of; *ret_fd: the descriptor, or -1 if it says none. */
static struct queue *queue_fd(struct vhost *v, int *ret_fd)
{
	bool none = v->payload.number & VHOST_FD_NONE;

	if (v->payload.number & ~(uint64_t)(VHOST_FD_INDEX | VHOST_FD_NONE) || v->n_fds != !none)
		return NULL;
	*ret_fd = none ? -1 : take_fd(&v->fds[0]);
	return queue_of(v, v->payload.number & VHOST_FD_INDEX);
}

static int set_vring_kick(struct vhost *v)
{
	auto_close int fd = -1;
	struct queue *q = queue_fd(v, &fd);

	if (!q)
		return -EPROTO;
	queue_stop(q);
	drop_fd(&q->kick_fd);
	q->kick_fd = take_fd(&fd); /* without one the queue would have to be polled: it stays off */
	return queue_start_if_ready(q);
}

static int set_vring_call(struct vhost *v)
{
	auto_close int fd = -1;
	struct queue *q = queue_fd(v, &fd);

	if (!q || (fd >= 0 && fd_set_nonblock(fd, 1) < 0))
		return -EPROTO;
	drop_fd(&q->vq.call_fd);
	q->vq.call_fd = take_fd(&fd);
	return 0;
}

static int set_vring_err(struct vhost *v)
{
	auto_close int fd = -1;

	return queue_fd(v, &fd) ? 0 : -EPROTO;
}

/* 0, or -EPROTO for a range outside the configuration space. UML asks for more than we have. */
static int config_range(const struct vhost *v)
{
	const struct vhost_config *c = &v->payload.config;

	if (v->header.size < VHOST_CONFIG_HEAD || c->size > VIRTIO_CONFIG_BYTES ||
	    c->offset > VIRTIO_CONFIG_BYTES - c->size ||
	    v->header.size != VHOST_CONFIG_HEAD + c->size)
		return -EPROTO;
	return 0;
}

static int get_config(struct vhost *v)
{
	struct vhost_config *c = &v->payload.config;
	uint8_t space[VIRTIO_CONFIG_BYTES] = { 0 };

	if (config_range(v) < 0)
		return -EPROTO;
	v->ops->read_config(v->arg, space);
	memcpy(c->data, space + c->offset, c->size);
	return 1;
}

static int set_config(struct vhost *v)
{
	const struct vhost_config *c = &v->payload.config;

	if (config_range(v) < 0)
		return -EPROTO;
	if (v->ops->write_config)
		v->ops->write_config(v->arg, c->offset, c->data, c->size);
	return 0;
}

/* --- messages --- */

static const struct request {
	const char *name;
	uint32_t min_bytes, max_bytes;
	unsigned max_fds;
	int (*handle)(struct vhost *v);
} requests[VHOST_REQUEST_COUNT] = {
	[VHOST_GET_FEATURES] = { "GET_FEATURES", 0, 0, 0, get_features },
	[VHOST_SET_FEATURES] = { "SET_FEATURES", 8, 8, 0, set_features },
	[VHOST_SET_OWNER] = { "SET_OWNER", 0, 0, 0, set_owner },
	[VHOST_RESET_OWNER] = { "RESET_OWNER", 0, 0, 0, reset_owner },
	[VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", VHOST_TABLE_HEAD, sizeof(struct vhost_mem_table),
				  GUEST_MEMORY_REGIONS, set_mem_table },
	[VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", 8, 8, 0, set_vring_num },
	[VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR", 40, 40, 0, set_vring_addr },
	[VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", 8, 8, 0, set_vring_base },
	[VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", 8, 8, 0, get_vring_base },
	[VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", 8, 8, 1, set_vring_kick },
	[VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", 8, 8, 1, set_vring_call },
	[VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", 8, 8, 1, set_vring_err },
	[VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0, 0, get_protocol_features },
	[VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", 8, 8, 0, set_protocol_features },
	[VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", 0, 0, 0, get_queue_num },
	[VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", 8, 8, 0, set_vring_enable },
	[VHOST_GET_CONFIG] = { "GET_CONFIG", VHOST_CONFIG_HEAD, sizeof(struct vhost_config), 0,
			       get_config },
	[VHOST_SET_CONFIG] = { "SET_CONFIG", VHOST_CONFIG_HEAD, sizeof(struct vhost_config), 0,
			       set_config },
};

static const struct request *request_of(const struct vhost_header *h)
{
	const struct request *r = h->request < ARRAY_SIZE(requests) ? &requests[h->request] : NULL;

	return r && r->handle && h->flags == VHOST_FLAGS_REQUEST && h->size >= r->min_bytes &&
			       h->size <= r->max_bytes
		       ? r
		       : NULL;
}

static void close_fds(struct vhost *v)
{
	for (unsigned i = 0; i < v->n_fds; i++)
		drop_fd(&v->fds[i]);
	v->n_fds = 0;
}

static int send_reply(struct vhost *v)
{
	uint8_t bytes[sizeof(v->header) + sizeof(v->payload)];
	size_t len;

	if (v->header.size == 0)
		v->header.size = sizeof(v->payload.number);
	len = sizeof(v->header) + v->header.size;
	v->header.flags = VHOST_FLAGS_REPLY;
	memcpy(bytes, &v->header, sizeof(v->header));
	memcpy(bytes + sizeof(v->header), &v->payload, v->header.size);
	/* Replies are small and awaited one by one: a front end with no room for one is broken. */
	return send_fds(v->fd, bytes, len, NULL, 0, MSG_DONTWAIT) == (ssize_t)len ? 0 : -EPROTO;
}

static int dispatch(struct vhost *v)
{
	const struct request *req = request_of(&v->header);
	int r = v->n_fds > req->max_fds ? -EPROTO : req->handle(v);

	if (r > 0)
		r = send_reply(v);
	if (r < 0)
		log_warn("%s: the VM's %s request is invalid: %s", v->ops->name, req->name,
			 strerror(-r));
	close_fds(v);
	v->got = 0;
	memset(&v->payload, 0, sizeof(v->payload));
	return r;
}

/* One read: the header with its descriptors, or more of the payload. 1: go on, 0: nothing there. */
static int receive(struct vhost *v)
{
	size_t head = sizeof(v->header), want = head;
	uint8_t *to = (uint8_t *)&v->header + v->got;
	unsigned n_fds = 0;
	ssize_t n;

	if (v->got >= head) {
		want = head + v->header.size;
		to = (uint8_t *)&v->payload + (v->got - head);
	}
	n = recv_fds(v->fd, to, want - v->got, v->fds + v->n_fds, LIMIT_MESSAGE_FDS - v->n_fds,
		     &n_fds, MSG_DONTWAIT);
	v->n_fds += n_fds;
	if (n <= 0)
		return n == 0 ? -ENODATA : n == -EAGAIN ? 0 : (int)n;
	v->got += (size_t)n;
	if (v->got < head)
		return 1;
	if (v->got == head && !request_of(&v->header)) {
		log_warn(
			"%s: the VM sent request %u, flags 0x%x, %u bytes, which is not understood",
			v->ops->name, v->header.request, v->header.flags, v->header.size);
		return -EPROTO;
	}
	if (v->got < head + v->header.size)
		return 1;
	return dispatch(v) < 0 ? -EPROTO : 1;
}

static void detach(struct vhost *v, int reason)
{
	v->watch = watch_remove(v->watch);
	for (unsigned i = 0; i < v->ops->n_queues; i++)
		queue_reset(&v->queues[i]);
	close_fds(v);
	drop_fd(&v->fd);
	guest_memory_clear(&v->memory);
	v->ops->detached(v->arg, reason);
}

static void message_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct vhost *v = arg;
	int r;

	(void)w, (void)fd, (void)events;
	do
		r = receive(v);
	while (r > 0);
	if (r < 0)
		detach(v, r);
}

/* --- the listener --- */

static void front_end_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct vhost *v = arg;

	(void)w, (void)events;
	v->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (v->fd < 0)
		return;
	watch_remove(v->watch);
	drop_fd(&v->listen_fd);
	v->watch = loop_watch(v->loop, v->fd, EPOLLIN, message_ready, v);
	if (!v->watch) {
		detach(v, -ENOMEM);
		return;
	}
	if (v->ops->attached)
		v->ops->attached(v->arg);
}

struct vhost *vhost_new(struct loop *loop, int listen_fd, const struct virtio_device_ops *ops,
			void *arg)
{
	struct vhost *v = calloc(1, sizeof(*v));

	if (!v)
		goto fail;
	*v = (struct vhost) { .loop = loop, .ops = ops, .arg = arg, .listen_fd = listen_fd };
	v->fd = -1;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		v->queues[i] =
			(struct queue) { .vhost = v, .index = i, .kick_fd = -1, .vq.call_fd = -1 };
	v->watch = loop_watch(loop, listen_fd, EPOLLIN, front_end_ready, v);
	if (v->watch)
		return v;
fail:
	free(v);
	close(listen_fd);
	return NULL;
}

struct vhost *vhost_free(struct vhost *v)
{
	if (!v)
		return NULL;
	watch_remove(v->watch);
	for (unsigned i = 0; i < v->ops->n_queues; i++)
		queue_reset(&v->queues[i]);
	close_fds(v);
	drop_fd(&v->fd);
	drop_fd(&v->listen_fd);
	guest_memory_clear(&v->memory);
	free(v);
	return NULL;
}
