/* tests/fuzz/fuzz-vhost.c - a front end that sends anything
 *
 * Input: messages, each a byte (bits 0-1: descriptors attached, bit 2: the first is memory, bit 3:
 * the header is ours to make), a byte of length, then that many bytes; with our header the first
 * byte is the request. Queues that start are popped and pushed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"
#include "virtio/vhost-wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct virtqueue *queues[3];
static int gone, mem_fd = -1, event_fd = -1;

static void read_config(void *arg, uint8_t *config)
{
	(void)arg;
	memset(config, 7, 8);
}

static void queue_start(void *arg, unsigned index, struct virtqueue *vq)
{
	(void)arg;
	queues[index] = vq;
}

static void queue_stop(void *arg, unsigned index)
{
	(void)arg;
	queues[index] = NULL;
}

static void queue_kick(void *arg, unsigned index)
{
	static struct iovec iov[64];
	struct virtqueue *vq = queues[index];
	struct vq_chain c;
	uint8_t b[64] = { 0 };

	(void)arg;
	for (unsigned i = 0; i < 100 && vq_pop(vq, &c, iov, ARRAY_SIZE(iov)) > 0; i++) {
		iov_read(c.iov, c.n_out, b, sizeof(b));
		vq_push(vq, c.head, (uint32_t)iov_write(c.iov + c.n_out, c.n_in, b, sizeof(b)));
	}
	vq_await_kick(vq);
	vq_flush(vq, false);
}

static void detached(void *arg, int reason)
{
	(void)arg, (void)reason;
	gone = 1;
}

static const struct virtio_device_ops ops = {
	.name = "fuzz",
	.n_queues = ARRAY_SIZE(queues),
	.config_bytes = 8,
	.read_config = read_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.detached = detached,
};

static int connect_front_end(struct loop *loop, struct vhost **ret)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa);
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(l, (struct sockaddr *)&sa, sizeof(sa.sun_family)) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&sa, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, len) < 0)
		abort();
	*ret = vhost_new(loop, l, &ops, NULL);
	return fd;
}

static const uint8_t *send_one(int fd, const uint8_t *p, const uint8_t *end)
{
	uint8_t how = p[0], bytes[12 + 255];
	size_t len = MIN((size_t)p[1], (size_t)(end - p - 2));
	int fds[3] = { how & 4 ? mem_fd : event_fd, mem_fd, event_fd };
	struct vhost_header h = { 0, VHOST_FLAGS_REQUEST, 0 };

	p += 2;
	if ((how & 8) && len) {
		h.request = p[0];
		h.size = (uint32_t)len - 1;
		memcpy(bytes, &h, sizeof(h));
		memcpy(bytes + sizeof(h), p + 1, len - 1);
		send_fds(fd, bytes, sizeof(h) + len - 1, fds, how & 3, MSG_DONTWAIT);
	} else if (len) {
		send_fds(fd, p, len, fds, how & 3, MSG_DONTWAIT);
	}
	return p + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	struct loop *loop = loop_new();
	struct vhost *v;
	uint8_t drain[4096];
	int fd;

	log_set_level(LOG_ERR);
	if (mem_fd < 0) {
		mem_fd = memfd_create("fuzz", MFD_CLOEXEC);
		if (mem_fd < 0 || ftruncate(mem_fd, 65536) < 0)
			abort();
		event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	gone = 0;
	fd = connect_front_end(loop, &v);
	loop_step(loop, 0);
	while (data + 2 <= end && !gone) {
		data = send_one(fd, data, end);
		eventfd_write(event_fd, 1);
		loop_step(loop, 0);
		loop_step(loop, 0);
		recv(fd, drain, sizeof(drain), MSG_DONTWAIT);
	}
	close(fd);
	loop_step(loop, 0);
	vhost_free(v);
	loop_free(loop);
	return 0;
}
