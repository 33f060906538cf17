/* tests/fuzz/fuzz-net.c - frames and rings of a guest, with a host that takes part
 *
 * Input: steps of 8 bytes, see step(). Segments use few ports and numbers near the expected ones, so
 * that connections live; others are bytes of the input. Some go to the name server, whose resolver is
 * a script, too. Everything happens in a network namespace of
 * its own, whose loopback has a listener: no packet of ours may reach a real network. Without leave
 * to make one nothing is run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "net/net.h"
#include "net/tcp-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define NUM    16u
#define BUFFER 2048u
#define MEMORY (0x2000u + 2 * NUM * BUFFER)
#define GPA    0x10000u
#define PORTS  4u
#define HOSTS  8u

struct guest_ring {
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t added;
};

static struct {
	struct loop *loop;
	struct net *net;
	struct guest_memory memory;
	struct virtqueue vq[2];
	struct guest_ring rings[2];
	uint8_t *mem;
	uint16_t slot, next_rx;
	uint32_t ack[PORTS]; /* the highest we saw */
	uint32_t seq[PORTS];
	int hosts[HOSTS];
	int resolver;
} w;

static int listener = -1;
static in_port_t port;

/* --- once --- */

static void loopback_up(void)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listener, 64) < 0)
		abort();
	getsockname(listener, (struct sockaddr *)&sa, &len);
	port = sa.sin_port;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	signal(SIGPIPE, SIG_IGN);
	log_init("fuzz-net", STDERR_FILENO, LOG_ERR, false);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		fprintf(stderr, "fuzz-net: no network namespace (%s): nothing is run\n",
			strerror(errno));
	else
		loopback_up();
	return 0;
}

/* --- the guest --- */

static void add(unsigned q, uint16_t head)
{
	struct guest_ring *r = &w.rings[q];

	r->avail[2 + r->added % NUM] = head;
	r->avail[1] = ++r->added;
	net_device_ops.queue_kick(w.net, q);
}

static uint8_t *slot_memory(void)
{
	return w.mem + 0x2000 + w.slot * BUFFER;
}

static void transmit(size_t len, unsigned cut)
{
	uint32_t at = GPA + 0x2000 + w.slot * BUFFER, first = MIN((uint32_t)len, 12u + cut);
	uint16_t d = (uint16_t)(2 * (w.slot % (NUM / 2)));

	w.rings[1].desc[d] =
		(struct vring_desc) { at, first, VRING_DESC_F_NEXT, (uint16_t)(d + 1) };
	w.rings[1].desc[d + 1] = (struct vring_desc) { at + first, (uint32_t)len - first, 0, 0 };
	add(1, d);
	w.slot = (uint16_t)((w.slot + 1) % (NUM / 2));
}

/* kind, port, flags, sequence, acknowledgement, window, length, how; to the name server the payload
 * is what follows in the input */
static void put_segment(const uint8_t *s, size_t have)
{
	unsigned p = s[1] % PORTS;
	struct virtio_net_hdr_mrg_rxbuf h = { .hdr.flags = s[7] & 1, .hdr.gso_type = s[7] & 2 };
	struct segment seg = {
		.from = { 2, 0, 0, 0, 0, 2 },
		.to = { 2, 0, 0, 0, 0, 1 },
		.flags = s[2] & 0x1f,
		.scale = s[7] & 4 ? 7 : -1,
		.seq = w.seq[p] + (uint32_t)(int8_t)s[3] * (s[7] & 8 ? 1000u : 1u),
		.ack = w.ack[p] + (uint32_t)(int8_t)s[4],
		.window = (uint16_t)(s[5] * 257u),
		.mss = s[7] & 16 ? (uint16_t)(s[6] * 200u) : 0,
		.payload_bytes = s[6],
	};
	size_t n;

	inet_pton(AF_INET6, "::ffff:10.213.77.1", &seg.flow.guest);
	inet_pton(AF_INET6, "::ffff:10.213.77.15", &seg.flow.host);
	seg.flow.guest_port = s[1] & 0x80 ? htons(9) : port;
	if (s[1] & 0x40) {
		inet_pton(AF_INET6, "::ffff:10.213.77.2", &seg.flow.guest);
		seg.flow.guest_port = htons(53);
	}
	seg.flow.host_port = htons((uint16_t)(1000 + p));
	if (seg.flags & TCP_SYN)
		seg.payload_bytes = 0;
	h.hdr.csum_start = 34;
	h.hdr.csum_offset = 16;
	h.hdr.flags |= 1; /* half of all would only be dropped */
	memcpy(slot_memory(), &h, sizeof(h));
	n = sizeof(h) + segment_build(&seg, slot_memory() + sizeof(h));
	memset(slot_memory() + n, s[5], seg.payload_bytes);
	if (s[1] & 0x40)
		memcpy(slot_memory() + n, s + 8, MIN((size_t)seg.payload_bytes, have - 8));
	w.seq[p] += seg.payload_bytes + (seg.flags & (TCP_SYN | TCP_FIN) ? 1u : 0u);
	transmit(n + seg.payload_bytes, s[3] % 80);
}

/* kind, how, length of the message, what the UDP header tells too much; then the message, from the
 * rest of the input */
static void put_query(const uint8_t *s, size_t have)
{
	struct segment seg = { .to = { 2, 0, 0, 0, 0, 1 }, .from = { 2, 0, 0, 0, 0, 2 } };
	size_t len = MIN(have - 4, (size_t)s[2] * 4), bytes = 8 + len, at;
	size_t told = bytes + (size_t)(int8_t)s[3];
	uint8_t *frame = slot_memory() + 12, *udp;
	uint32_t sum;

	seg.ipv6 = s[1] & 1;
	inet_pton(AF_INET6, seg.ipv6 ? "fd6c:7873:73d5:1::2" : "::ffff:10.213.77.2",
		  &seg.flow.guest);
	inet_pton(AF_INET6, seg.ipv6 ? "fd6c:7873:73d5:1::f" : "::ffff:10.213.77.15",
		  &seg.flow.host);
	memset(slot_memory(), 0, 12);
	at = segment_build_ip(&seg, IPPROTO_UDP, bytes, s[1] >> 4, frame);
	udp = frame + at;
	memcpy(udp, (uint8_t[8]) { 0x12, 0x34, 0, 53, (uint8_t)(told >> 8), (uint8_t)told }, 8);
	memcpy(udp + 8, s + 4, len);
	sum = (uint32_t)segment_ip_sum(&seg, IPPROTO_UDP, bytes) + frame_sum(udp, bytes);
	sum = ~((sum & 0xffff) + (sum >> 16)) & (s[1] & 2 ? 0 : 0xffff);
	memcpy(udp + 6, &(uint16_t) { (uint16_t)sum }, 2);
	transmit(12 + at + bytes, s[2] % 80);
}

/* The rest of the input as a frame. */
static void put_frame(const uint8_t *s, size_t have)
{
	size_t len = MIN(have, (size_t)(BUFFER - 1));

	memcpy(slot_memory(), s, len);
	transmit(len, s[0] % 80);
}

static void post_buffers(const uint8_t *s)
{
	for (unsigned i = 0; i < s[1] % (NUM + 1u); i++) {
		uint16_t d = (uint16_t)(w.next_rx++ % NUM);

		w.rings[0].desc[d] = (struct vring_desc) { GPA + 0x2000 + (NUM + d) * BUFFER,
							   12u + s[2] * 8u, VRING_DESC_F_WRITE, 0 };
		add(0, d);
	}
}

/* Learns our numbers from what arrived in a used buffer. */
static void look(void)
{
	for (unsigned d = 0; d < NUM; d++) {
		const uint8_t *frame = w.mem + 0x2000 + (NUM + d) * BUFFER + 12;
		struct segment s;

		if (segment_parse(frame, 200, 65535, &s) != 1)
			continue;
		for (unsigned p = 0; p < PORTS; p++)
			if (s.flow.host_port == htons((uint16_t)(1000 + p))) {
				w.ack[p] = s.seq + s.payload_bytes +
					   (s.flags & (TCP_SYN | TCP_FIN) ? 1u : 0u);
				if (s.flags & TCP_ACK)
					w.seq[p] = s.ack;
			}
	}
}

static void raw_descriptor(const uint8_t *s)
{
	unsigned q = s[1] & 1;
	uint32_t addr;

	memcpy(&addr, s + 4, 4);
	w.rings[q].desc[s[2] % NUM] = (struct vring_desc) { addr, (uint32_t)s[3] * 300, s[1] >> 4,
							    (uint16_t)(s[2] >> 4) };
	add(q, (uint16_t)(s[2] % (NUM + 1)));
}

/* --- the host --- */

static void host_io(const uint8_t *s)
{
	static uint8_t b[65536];
	int *fd = &w.hosts[s[1] % HOSTS];

	if (*fd < 0)
		*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
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
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &(struct linger) { 1, 0 },
			   sizeof(struct linger));
		drop_fd(fd);
		break;
	case 4:
		drop_fd(fd);
	}
}

static int take_stream(int fd, void *arg)
{
	(void)arg;
	drop_fd(&w.resolver);
	w.resolver = fd;
	return 0;
}

/* Queries come back as replies, of a length of their own; or what follows in the input does. */
static void resolver_io(const uint8_t *s, size_t have)
{
	static uint8_t in[65536], out[65536];
	ssize_t n = s[2] % 3 ? recv(w.resolver, in, sizeof(in), MSG_DONTWAIT) : 0;

	switch (s[2] % 3) {
	case 0:
		send(w.resolver, s + 3, have - 3, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		for (ssize_t at = 0, len; at + 5 <= n; at += 2 + len) {
			size_t want = s[3] * 100u;

			len = in[at] << 8 | in[at + 1];
			memset(out, s[4], want);
			memcpy(out + 2, in + at + 2, (size_t)MIN(len, n - at - 2));
			out[0] = (uint8_t)(want >> 8);
			out[1] = (uint8_t)want;
			out[4] |= 0x80;
			send(w.resolver, out, 2 + want, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		break;
	case 2:
		drop_fd(&w.resolver);
	}
}

static void work(void)
{
	unsigned rounds = 0;

	for (unsigned i = 0; i < 3; i++) {
		loop_step(w.loop, 0);
		while (net_run(w.net))
			if (rounds++ > 10000)
				abort();
	}
	look();
}

/* --- a run --- */

static void start(uint8_t how)
{
	struct net_plan plan;
	uint64_t features = how & 2 ? net_device_ops.features : 1ull << VIRTIO_NET_F_CSUM;

	net_plan_parse("10.213.77.0,fd6c:7873:73d5:1::,65520,02:00:00:00:00:02", &plan);
	w.loop = loop_new();
	w.net = net_new(w.loop, &plan);
	w.resolver = -1;
	net_on_names(w.net, take_stream, NULL);
	w.mem = calloc(1, MEMORY);
	w.memory.n = 1;
	w.memory.regions[0] = (struct guest_region) { .gpa = GPA, .size = MEMORY, .host = w.mem };
	for (unsigned i = 0; i < HOSTS; i++)
		w.hosts[i] = -1;
	net_device_ops.set_features(w.net, features);
	for (unsigned q = 0; q < 2; q++) {
		struct guest_ring *r = &w.rings[q];

		*r = (struct guest_ring) { .desc = (void *)(w.mem + q * 0x1000),
					   .avail = (void *)(w.mem + q * 0x1000 + 0x400),
					   .used = (void *)(w.mem + q * 0x1000 + 0x800) };
		w.vq[q] = (struct virtqueue) { .call_fd = -1, .event_idx = how & 1 };
		vq_init(&w.vq[q], &w.memory, NUM, r->desc, r->avail, r->used, 0);
		net_device_ops.queue_start(w.net, q, &w.vq[q]);
	}
}

static void stop(void)
{
	int fd;

	net_device_ops.detached(w.net, 0);
	net_free(w.net);
	loop_free(w.loop);
	for (unsigned i = 0; i < HOSTS; i++)
		drop_fd(&w.hosts[i]);
	drop_fd(&w.resolver);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	free(w.mem);
	memset(&w, 0, sizeof(w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (listener < 0 || size < 1)
		return 0;
	start(data[0]);
	for (size_t at = 1; at + 8 <= size; at += 8) {
		const uint8_t *s = data + at;

		switch (s[0] % 8) {
		case 0:
		case 1:
		case 2:
			put_segment(s, size - at);
			break;
		case 3:
		case 4:
			post_buffers(s);
			break;
		case 5:
			if (s[0] & 0x40)
				resolver_io(s, size - at);
			else
				host_io(s);
			break;
		case 6:
			raw_descriptor(s);
			break;
		case 7:
			if (s[0] & 0x40)
				put_query(s, size - at);
			else
				put_frame(s + 1, size - at - 1);
		}
		work();
	}
	stop();
	return 0;
}
