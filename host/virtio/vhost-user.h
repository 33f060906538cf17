/* host/virtio/vhost-user.h - one virtio device, served to a VMM over a vhost-user socket
 *
 * struct vhost listens on a socket that somebody else made; the first front end that connects is
 * the VM, for good: no second one is accepted. Devices see only struct virtio_device_ops.
 *
 * Ownership  vhost_new() takes the listening descriptor. vhost_free() may be called from any
 *            callback but the device's queue ones.
 * Threads    none; callbacks run on the loop's thread.
 */
#ifndef HOST_VIRTIO_VHOST_USER_H
#define HOST_VIRTIO_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/queue.h"

#define VIRTIO_MAX_QUEUES   16u
#define VIRTIO_CONFIG_BYTES 256u

struct loop;
struct vhost;

struct virtio_device_ops {
	const char *name;    /* for messages */
	uint64_t features;   /* device bits only; ring and transport bits are ours */
	unsigned n_queues;   /* at most VIRTIO_MAX_QUEUES */
	size_t config_bytes; /* at most VIRTIO_CONFIG_BYTES */

	void (*read_config)(void *arg, uint8_t *config);
	/* NULL: the driver cannot write the configuration space. */
	void (*write_config)(void *arg, size_t offset, const uint8_t *data, size_t len);
	/* What the driver chose of @features. NULL: nobody asks. */
	void (*set_features)(void *arg, uint64_t features);
	/* From now on, until queue_stop(), @vq may be used. Also called again when guest memory
	 * moved: then nothing popped before may be used any more. */
	void (*queue_start)(void *arg, unsigned index, struct virtqueue *vq);
	void (*queue_stop)(void *arg, unsigned index);
	void (*queue_kick)(void *arg, unsigned index);
	/* The front end came, and went (reason: -ENODATA or a negative errno value; called once).
	 */
	void (*attached)(void *arg);
	void (*detached)(void *arg, int reason);
};

/* NULL with errno set when memory or descriptors are out. */
struct vhost *vhost_new(struct loop *loop, int listen_fd, const struct virtio_device_ops *ops,
			void *arg);
struct vhost *vhost_free(struct vhost *v);

#endif
