/* tests/fuzz/fuzz-vsock.c - a guest and its host programs, both driven by the input
 *
 * Input: steps of 8 bytes, see step(). Packets use few ports so that streams meet. After every step
 * the device works until it is done, which must not take for ever.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "vsock/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NUM    16u
#define BUFFER 512u
#define MEMORY (0x3000u + 2 * NUM * BUFFER)
#define GPA    0x10000u
#define SLOTS  8u

struct ring {
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t added;
};

static struct {
	struct loop *loop;
	struct vsock *dev;
	struct guest_memory memory;
	struct virtqueue vq[QUEUE_COUNT];
	struct ring rings[QUEUE_COUNT];
	uint8_t *mem;
	int fds[SLOTS];
	uint32_t ports[SLOTS];
} w;

static void keep(int fd)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (w.fds[i] < 0) {
			w.fds[i] = fd;
			return;
		}
	close(fd);
}

static int on_accept(uint32_t port, int fd, void *arg)
{
	(void)arg;
	if (port == 11)
		return -1;
	keep(fd);
	return 0;
}

static void on_connected(int error, int fd, void *arg)
{
	(void)arg;
	if (error)
		close(fd);
}

static void add(unsigned q, uint16_t head)
{
	struct ring *r = &w.rings[q];

	r->avail[2 + r->added % NUM] = head;
	r->avail[1] = ++r->added;
	vsock_device_ops.queue_kick(w.dev, q);
}

static void put_packet(const uint8_t *s)
{
	uint16_t slot = s[1] % (NUM / 2), d = (uint16_t)(2 * slot);
	uint32_t at = 0x3000 + slot * BUFFER, have = s[5] * 2u;
	struct vsock_packet p = {
		.src_cid = s[2] == 0xff ? 9 : 3,
		.dst_cid = s[2] == 0xfe ? 9 : 2,
		.src_port = s[2] % 4,
		.dst_port = s[3] < 128 ? 10 + s[3] % 3 : 0x10000u + s[3] % 4,
		.type = s[4] & 0x80 ? 2 : 1,
		.op = s[4] & 0xf,
		.len = (s[4] & 0xf) == VIRTIO_VSOCK_OP_RW ? have : 0,
		.flags = s[6] & 3,
		.buf_alloc = s[7] * 64u,
		.fwd_cnt = s[6] >> 2,
	};

	if (s[4] & 0x40)
		p.len = s[5] * 77u;
	vsock_packet_encode(&p, w.mem + at);
	memset(w.mem + at + VSOCK_HEADER_BYTES, s[7], 400);
	w.rings[QUEUE_TX].desc[d] = (struct vring_desc) { GPA + at, VSOCK_HEADER_BYTES,
							  VRING_DESC_F_NEXT, (uint16_t)(d + 1) };
	w.rings[QUEUE_TX].desc[d + 1] =
		(struct vring_desc) { GPA + at + VSOCK_HEADER_BYTES, MIN(have, 400u), 0, 0 };
	add(QUEUE_TX, d);
}

static void post_buffers(const uint8_t *s)
{
	for (unsigned i = 0; i < s[1] % (NUM + 1u); i++) {
		uint16_t d = (uint16_t)((s[2] + i) % NUM);

		w.rings[QUEUE_RX].desc[d] =
			(struct vring_desc) { GPA + 0x3000 + (NUM + d) * BUFFER - NUM / 2 * BUFFER,
					      45u + s[3], VRING_DESC_F_WRITE, 0 };
		add(QUEUE_RX, d);
	}
}

static void open_stream(const uint8_t *s)
{
	int sp[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sp) < 0)
		abort();
	keep(sp[0]);
	vsock_open(w.dev, s[2] % 4, sp[1], on_connected, NULL);
}

static void host_io(const uint8_t *s)
{
	static uint8_t b[65536];
	int *fd = &w.fds[s[1] % SLOTS];

	switch (s[2] % 5) {
	case 0:
		send(*fd, b, s[3] * 256u, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		recv(*fd, b, s[3] * 256u, MSG_DONTWAIT);
		break;
	case 2:
		shutdown(*fd, SHUT_WR);
		break;
	case 3:
		shutdown(*fd, SHUT_RD);
		break;
	case 4:
		drop_fd(fd);
	}
}

static void raw_descriptor(const uint8_t *s)
{
	unsigned q = s[1] % 2;
	uint32_t addr;

	memcpy(&addr, s + 4, 4);
	w.rings[q].desc[s[2] % NUM] =
		(struct vring_desc) { addr, (uint32_t)s[3] * 16, s[1] >> 4, (uint16_t)(s[2] >> 4) };
	add(q, (uint16_t)(s[2] % (NUM + 1)));
}

static void step(const uint8_t *s)
{
	switch (s[0] % 8) {
	case 0:
	case 1:
		put_packet(s);
		break;
	case 2:
		post_buffers(s);
		break;
	case 3:
		open_stream(s);
		break;
	case 4:
	case 5:
		host_io(s);
		break;
	case 6:
		raw_descriptor(s);
		break;
	case 7: /* time passes */
		w.dev->connecting.delay_ms = w.dev->closing.delay_ms = 0;
		break;
	}
}

static void work(void)
{
	unsigned rounds = 0;

	for (unsigned i = 0; i < 3; i++) {
		loop_step(w.loop, 0);
		while (vsock_run(w.dev))
			if (rounds++ > 10000)
				abort();
	}
}

static void start(uint8_t features)
{
	w.loop = loop_new();
	w.dev = vsock_new(w.loop, 3);
	w.dev->hash_key = 1; /* the same input, the same run */
	w.dev->limit = 6;
	w.mem = calloc(1, MEMORY);
	w.memory.n = 1;
	w.memory.regions[0] = (struct guest_region) { .gpa = GPA, .size = MEMORY, .host = w.mem };
	for (unsigned i = 0; i < SLOTS; i++)
		w.fds[i] = -1;
	for (uint32_t port = 10; port < 12; port++)
		vsock_accept(w.dev, port, on_accept, NULL);
	for (unsigned q = 0; q < QUEUE_COUNT; q++) {
		struct ring *r = &w.rings[q];

		*r = (struct ring) { .desc = (void *)(w.mem + q * 0x1000),
				     .avail = (void *)(w.mem + q * 0x1000 + 0x400),
				     .used = (void *)(w.mem + q * 0x1000 + 0x800) };
		w.vq[q] = (struct virtqueue) { .call_fd = -1, .event_idx = features & 1 };
		vq_init(&w.vq[q], &w.memory, NUM, r->desc, r->avail, r->used, 0);
		vsock_device_ops.queue_start(w.dev, q, &w.vq[q]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERR);
	start(data[0]);
	for (size_t at = 1; at + 8 <= size && at < 8 * 200; at += 8) {
		step(data + at);
		work();
	}
	vsock_device_ops.detached(w.dev, 0);
	work();
	vsock_free(w.dev);
	loop_free(w.loop);
	for (unsigned i = 0; i < SLOTS; i++)
		drop_fd(&w.fds[i]);
	free(w.mem);
	return 0;
}
