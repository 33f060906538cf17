/* tests/unit/net-device-test.c - the network device, seen from a scripted guest and from host sockets
 *
 * The guest writes TCP segments by hand into its rings; the host's end is a listener on 127.0.0.1,
 * which the guest reaches at the gateway's address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "net/net.h"
#include "net/tcp-internal.h"
#include "virtio-guest.h"

#define RX           0
#define TX           1
#define BIT(name)    (1ull << VIRTIO_NET_F_##name)
#define ALL_FEATURES (net_device_ops.features | 1ull << VIRTIO_RING_F_EVENT_IDX)
#define RX_MAX       0x12000u
#define RX_AT(i)     (DATA_AT + (i)*RX_MAX)
#define TX_AT        (DATA_AT + GUEST_RING * RX_MAX)

static struct loop *loop;
static struct guest g;
static struct net *net;
static uint32_t rx_bytes; /* of each buffer */
static bool offloads;
static int listener = -1;
static struct sockaddr_in local;
static const char gateway[] = "::ffff:10.213.77.1",
		  *peer = gateway; /* whom the guest connects to */

static struct { /* the guest's connection */
	uint16_t port;
	uint32_t seq, ack;
	uint32_t window;
	int scale;
} me;

static struct { /* the frame that came last */
	struct virtio_net_hdr_mrg_rxbuf h;
	uint8_t bytes[NET_FRAME_MAX];
	size_t len;
	struct segment s;
	const uint8_t *payload;
} got;

static void turn(void)
{
	for (int i = 0; i < 4; i++) {
		assert_int_equal(loop_step(loop, 0), 0);
		for (int rounds = 0; net_run(net); rounds++)
			assert_true(rounds < 1000);
	}
}

/* --- rings --- */

static void post(uint16_t i)
{
	guest_desc(&g, RX, i, RX_AT(i), rx_bytes, VRING_DESC_F_WRITE, 0);
	guest_add(&g, RX, i);
}

static void post_some(unsigned n)
{
	static uint16_t next;

	while (n--)
		post(next++ % GUEST_RING);
	guest_kick(&g, RX);
	turn();
}

static void transmit_raw(const void *bytes, size_t len)
{
	struct vring_used_elem e;

	memcpy(g.mem + TX_AT, bytes, len);
	guest_desc(&g, TX, 0, TX_AT, (uint32_t)MIN(len, (size_t)NET_HEADER_BYTES),
		   VRING_DESC_F_NEXT, 1);
	guest_desc(&g, TX, 1, TX_AT + NET_HEADER_BYTES,
		   (uint32_t)(len - MIN(len, (size_t)NET_HEADER_BYTES)), 0, 0);
	guest_add(&g, TX, 0);
	guest_kick(&g, TX);
	turn();
	assert_true(guest_used(&g, TX, &e));
}

static void transmit(const uint8_t *frame, size_t len, bool open)
{
	static uint8_t bytes[NET_HEADER_BYTES + NET_FRAME_MAX];
	struct virtio_net_hdr_mrg_rxbuf h = { 0 };

	if (open)
		h.hdr = (struct virtio_net_hdr) { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						  .csum_start = frame[12] == 0x86 ? 54 : 34,
						  .csum_offset = 16 };
	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), frame, len);
	transmit_raw(bytes, sizeof(h) + len);
}

/* The next frame for the guest, out of as many buffers as it took; its buffers go back. */
static bool receive(void)
{
	struct vring_used_elem e;
	unsigned buffers = 1;

	got.len = 0;
	for (unsigned i = 0; i < buffers; i++) {
		size_t skip = i ? 0 : NET_HEADER_BYTES;

		if (!guest_used(&g, RX, &e))
			return false;
		if (i == 0) {
			memcpy(&got.h, g.mem + RX_AT(e.id), NET_HEADER_BYTES);
			buffers = got.h.num_buffers;
			assert_in_range(buffers, 1, GUEST_RING);
		}
		assert_in_range(e.len, skip, rx_bytes);
		memcpy(got.bytes + got.len, g.mem + RX_AT(e.id) + skip, e.len - skip);
		got.len += e.len - skip;
		post((uint16_t)e.id);
	}
	return true;
}

/* The same, and it is TCP. */
static bool receive_tcp(void)
{
	if (!receive())
		return false;
	assert_int_equal(segment_parse(got.bytes, got.len, got.len, &got.s), 1);
	got.payload = got.bytes + got.s.header_bytes;
	assert_int_equal(got.s.flow.host_port, htons(me.port));
	return true;
}

/* --- a connection --- */

static struct segment segment(uint8_t flags)
{
	struct segment s = {
		.to = { 2, 0, 0, 0, 0, 1 },
		.from = { 2, 0, 0, 0, 0, 2 },
		.flags = flags,
		.scale = -1,
		.seq = me.seq,
		.ack = me.ack,
		.window = (uint16_t)MIN(me.window >> MAX(me.scale, 0), 65535u),
	};

	/* segment_build() writes what goes to the guest: from here, the names are the other way */
	inet_pton(AF_INET6, peer, &s.flow.guest);
	inet_pton(AF_INET6, "::ffff:10.213.77.15", &s.flow.host);
	s.flow.guest_port = local.sin_port;
	s.flow.host_port = htons(me.port);
	return s;
}

static void send_segment(struct segment s, const void *payload, uint32_t bytes)
{
	static uint8_t frame[NET_FRAME_MAX];
	size_t n;

	s.payload_bytes = bytes;
	n = segment_build(&s, frame);
	memcpy(frame + n, payload ? payload : "", bytes);
	if (!offloads) {
		uint16_t sum = (uint16_t)~frame_sum(frame + 34, n - 34 + bytes);

		memcpy(frame + 50, &sum, sizeof(sum));
	}
	transmit(frame, n + bytes, offloads);
}

static void send_bytes(const void *payload, uint32_t bytes)
{
	send_segment(segment(TCP_ACK), payload, bytes);
	me.seq += bytes;
}

static void start_connection(void)
{
	struct segment syn;

	me.port++;
	me.seq = 0xfffffff0u; /* wraps soon */
	me.ack = 0;
	me.window = 65535;
	me.scale = 7;
	syn = segment(TCP_SYN);
	syn.window = 65535;
	syn.mss = 1460;
	syn.scale = 7;
	send_segment(syn, NULL, 0);
}

/* Up to the established state; returns the host's end. */
static int connect_guest(void)
{
	int fd;

	start_connection();
	assert_true(receive_tcp());
	assert_int_equal(got.s.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(got.s.ack, me.seq + 1);
	assert_int_equal(got.s.mss, NET_MTU_MAX - 40);
	assert_true(got.s.scale > 0);
	me.seq++;
	me.ack = got.s.seq + 1;
	send_segment(segment(TCP_ACK), NULL, 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	while (receive_tcp()) /* how large the window is, now that it is scaled */
		assert_int_equal(got.s.flags, TCP_ACK);
	return fd;
}

static unsigned sockets(void)
{
	struct net_stats s;

	net_get_stats(net, &s);
	return s.sockets;
}

static uint64_t dropped(void)
{
	struct net_stats s;

	net_get_stats(net, &s);
	return s.dropped;
}

/* Turns until the kernel has carried something between its two ends. */
static bool eventually_receive(void)
{
	for (int i = 0; i < 500; i++) {
		if (receive_tcp())
			return true;
		usleep(1000);
		turn();
	}
	return false;
}

/* --- fixtures --- */

static void start(uint64_t features, uint32_t buffer)
{
	struct net_plan plan;

	assert_int_equal(
		net_plan_parse("10.213.77.0,fd6c:7873:73d5:1::,65520,02:00:00:00:00:02", &plan), 0);
	rx_bytes = buffer;
	offloads = features & BIT(CSUM);
	net = net_new(loop, &plan);
	assert_non_null(net);
	guest_init(&g, loop, &net_device_ops, net);
	guest_start(&g, 2, features);
}

static int setup(void **state)
{
	socklen_t len = sizeof(local);

	loop = loop_new();
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	local = (struct sockaddr_in) { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(listener, (struct sockaddr *)&local, sizeof(local)), 0);
	assert_int_equal(listen(listener, 16), 0);
	getsockname(listener, (struct sockaddr *)&local, &len);
	start(ALL_FEATURES, RX_MAX);
	post_some(GUEST_RING - 1);
	return 0;
}

static int teardown(void **state)
{
	guest_done(&g);
	net = net_free(net);
	close(listener);
	loop = loop_free(loop);
	return 0;
}

static void restart(uint64_t features, uint32_t buffer)
{
	guest_done(&g);
	net_free(net);
	start(features, buffer);
}

/* --- connections --- */

static void bytes_go_both_ways_and_it_ends(void **state)
{
	int fd = connect_guest();
	char buf[64];

	send_bytes("hello", 5);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_true(receive_tcp());
	assert_int_equal(got.s.ack, me.seq);
	assert_int_equal(send(fd, "world!", 6, 0), 6);
	assert_true(eventually_receive());
	assert_int_equal(got.s.payload_bytes, 6);
	assert_memory_equal(got.payload, "world!", 6);
	assert_int_equal(got.s.seq, me.ack);
	assert_int_equal(got.h.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	me.ack += 6;
	send_segment(segment(TCP_FIN | TCP_ACK), NULL, 0);
	me.seq++;
	assert_true(receive_tcp());
	assert_int_equal(got.s.ack, me.seq);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
	close(fd);
	assert_true(eventually_receive());
	assert_int_equal(got.s.flags & TCP_FIN, TCP_FIN);
	me.ack++;
	assert_int_equal(sockets(), 1);
	send_segment(segment(TCP_ACK), NULL, 0);
	assert_int_equal(sockets(), 0);
}

static void the_host_may_end_first(void **state)
{
	int fd = connect_guest();
	char c;

	shutdown(fd, SHUT_WR);
	assert_true(eventually_receive());
	assert_int_equal(got.s.flags & TCP_FIN, TCP_FIN);
	me.ack++;
	send_bytes("x", 1); /* half open: still read */
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_true(receive_tcp());
	send_segment(segment(TCP_FIN | TCP_ACK), NULL, 0);
	assert_true(receive_tcp());
	assert_int_equal(got.s.ack, me.seq + 1); /* the last word reaches the guest */
	assert_int_equal(sockets(), 0);
	close(fd);
}

static void nobody_listens(void **state)
{
	close(listener);
	start_connection();
	if (got.s.flags != (TCP_RST | TCP_ACK))
		assert_true(eventually_receive());
	assert_int_equal(got.s.flags, TCP_RST | TCP_ACK);
	assert_int_equal(got.s.ack, me.seq + 1);
	assert_int_equal(sockets(), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void a_segment_of_no_connection_is_reset(void **state)
{
	me.port++;
	me.seq = 100;
	me.ack = 77;
	send_segment(segment(TCP_ACK), "abc", 3);
	assert_true(receive_tcp());
	assert_int_equal(got.s.flags, TCP_RST | TCP_ACK);
	assert_int_equal(got.s.seq, 77);
	assert_int_equal(got.s.ack, 103);
	send_segment(segment(TCP_RST), NULL, 0);
	assert_false(receive_tcp());
}

static void a_reset_of_the_guest_reaches_the_host(void **state)
{
	int fd = connect_guest();
	char c;

	me.seq += 2u << 20; /* outside the window: ignored */
	send_segment(segment(TCP_RST), NULL, 0);
	assert_int_equal(sockets(), 1);
	me.seq -= 2u << 20;
	send_segment(segment(TCP_RST), NULL, 0);
	assert_int_equal(sockets(), 0);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

static void a_reset_of_the_host_follows_its_last_bytes(void **state)
{
	int fd = connect_guest();
	struct linger now = { .l_onoff = 1 };

	assert_int_equal(send(fd, "bye", 3, 0), 3);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	assert_true(eventually_receive());
	if (got.s.payload_bytes) {
		assert_memory_equal(got.payload, "bye", 3);
		assert_true(eventually_receive());
	}
	assert_int_equal(got.s.flags & TCP_RST, TCP_RST);
	assert_int_equal(sockets(), 0);
}

static void old_and_early_segments_are_only_acknowledged(void **state)
{
	int fd = connect_guest();
	char buf[16];

	send_bytes("abc", 3);
	assert_true(receive_tcp());
	me.seq -= 3;
	send_segment(segment(TCP_ACK), "abcDE", 5); /* the first three again */
	assert_true(receive_tcp());
	assert_int_equal(got.s.ack, me.seq + 5);
	me.seq += 10; /* a gap */
	send_segment(segment(TCP_ACK), "zzz", 3);
	assert_true(receive_tcp());
	assert_int_equal(got.s.ack, me.seq - 5);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "abcDE", 5);
	close(fd);
}

static void acknowledging_the_unsent_changes_nothing(void **state)
{
	int fd = connect_guest();

	me.ack += 1000;
	send_segment(segment(TCP_ACK), NULL, 0);
	assert_true(receive_tcp());
	me.ack -= 1000;
	assert_int_equal(send(fd, "data", 4, 0), 4);
	assert_true(eventually_receive());
	assert_int_equal(got.s.seq, me.ack);
	close(fd);
}

/* --- windows --- */

static void fill_socket(int fd)
{
	static const char bytes[65536];

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void the_guests_window_is_kept(void **state)
{
	int fd = connect_guest();
	uint32_t seen = 0;

	me.window = 128 * 1000;
	send_segment(segment(TCP_ACK), NULL, 0);
	fill_socket(fd);
	for (int i = 0; i < 20; i++) {
		turn();
		while (receive_tcp())
			seen += got.s.payload_bytes;
	}
	assert_int_equal(seen, 128 * 1000);
	me.ack += seen;
	me.window = 0; /* closed: nothing comes */
	send_segment(segment(TCP_ACK), NULL, 0);
	assert_false(receive_tcp());
	me.window = 1280;
	send_segment(segment(TCP_ACK), NULL, 0);
	assert_true(receive_tcp());
	assert_int_equal(got.s.payload_bytes, 1280);
	close(fd);
}

static void large_segments_say_how_to_cut_them(void **state)
{
	int fd = connect_guest();

	me.window = 1 << 20;
	send_segment(segment(TCP_ACK), NULL, 0);
	fill_socket(fd);
	assert_true(eventually_receive());
	while (got.s.payload_bytes <= 1460)
		assert_true(eventually_receive());
	assert_int_equal(got.h.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(got.h.hdr.gso_size, 1460);
	assert_int_equal(got.h.hdr.hdr_len, 54);
	close(fd);
}

static void a_guest_without_offloads_gets_finished_segments(void **state)
{
	int fd;

	restart(BIT(MAC), RX_MAX);
	post_some(GUEST_RING - 1);
	fd = connect_guest();
	fill_socket(fd);
	for (int i = 0; i < 5; i++) {
		uint32_t sum;

		assert_true(eventually_receive());
		assert_in_range(got.s.payload_bytes, 0, 1460);
		assert_int_equal(got.h.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(got.h.hdr.flags, 0);
		sum = (uint32_t)segment_pseudo_sum(&got.s) +
		      frame_sum(got.bytes + 34, got.len - 34);
		assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	}
	close(fd);
}

static void a_host_that_does_not_read_stops_the_guest(void **state)
{
	static uint8_t bytes[60000], in[1 << 20];
	int fd = connect_guest();
	uint32_t edge = me.seq + 65535, total = 0;
	ssize_t n;

	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < 1000 && seq_diff(edge, me.seq) >= (int)sizeof(bytes); i++) {
		send_bytes(bytes, sizeof(bytes));
		total += sizeof(bytes);
		assert_true(receive_tcp());
		assert_int_equal(got.s.ack, me.seq); /* the window is a promise */
		assert_true(seq_diff(got.s.ack + ((uint32_t)got.s.window << TCP_SCALE), edge) >= 0);
		edge = got.s.ack + ((uint32_t)got.s.window << TCP_SCALE);
	}
	assert_true(seq_diff(edge, me.seq) < (int)sizeof(bytes));
	while (total) {
		n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		if (n > 0)
			total -= (uint32_t)n;
		turn();
	}
	assert_true(eventually_receive()); /* news of the window */
	assert_true((uint32_t)got.s.window << TCP_SCALE > 60000);
	close(fd);
}

static void what_is_lost_comes_again(void **state)
{
	int fd = connect_guest();

	assert_int_equal(send(fd, "precious", 8, 0), 8);
	assert_true(eventually_receive());
	for (int i = 0; i < 3; i++)
		send_segment(segment(TCP_ACK), NULL, 0);
	assert_true(eventually_receive());
	assert_int_equal(got.s.seq, me.ack);
	assert_memory_equal(got.payload, "precious", 8);
	usleep(1000 * (TCP_RESEND_MS + 2 * TCP_TICK_MS)); /* by time, too */
	turn();
	assert_true(eventually_receive());
	assert_memory_equal(got.payload, "precious", 8);
	me.ack += 8;
	send_segment(segment(TCP_ACK), NULL, 0);
	assert_false(receive_tcp());
	close(fd);
}

/* --- rings --- */

static void small_buffers_are_joined(void **state)
{
	static uint8_t text[9000];
	int fd;

	restart(ALL_FEATURES, 1000);
	post_some(GUEST_RING - 1);
	fd = connect_guest();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31 >> 3);
	assert_int_equal(send(fd, text, sizeof(text), 0), sizeof(text));
	assert_true(eventually_receive());
	assert_int_equal(got.h.num_buffers, 10);
	assert_int_equal(got.s.payload_bytes, sizeof(text));
	assert_memory_equal(got.payload, text, sizeof(text));
	close(fd);
}

static void too_few_buffers_wait_for_more(void **state)
{
	static const char text[5000];
	int fd;

	restart(ALL_FEATURES, 1000);
	post_some(2);
	fd = connect_guest(); /* the greeting's buffer goes back */
	assert_int_equal(send(fd, text, sizeof(text), 0), sizeof(text));
	for (int i = 0; i < 20; i++)
		turn();
	assert_false(receive_tcp());
	post_some(2);
	assert_false(receive_tcp());
	post_some(10);
	assert_true(eventually_receive());
	assert_int_equal(got.s.payload_bytes, sizeof(text));
	close(fd);
}

static void frames_of_the_stack_wait_for_buffers(void **state)
{
	/* who has 10.213.77.1? */
	static const uint8_t arp[60] = "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x02\x08\x06"
				       "\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x02\x0a\xd5\x4d\x0f"
				       "\0\0\0\0\0\0\x0a\xd5\x4d\x01";

	restart(ALL_FEATURES, RX_MAX);
	for (int i = 0; i < 300; i++)
		transmit(arp, sizeof(arp), false);
	assert_false(receive());
	assert_int_equal(dropped(), 300 - 256);
	post_some(GUEST_RING - 1);
	for (int i = 0; i < 256; i++) {
		assert_true(receive());
		assert_int_equal(got.bytes[21], 2); /* a reply */
		guest_kick(&g, RX);
		turn();
	}
	assert_false(receive());
}

static void bad_frames_are_dropped(void **state)
{
	uint8_t bytes[NET_HEADER_BYTES + 100] = { 0 };

	for (size_t len = 1; len < NET_HEADER_BYTES + NET_FRAME_MIN; len++)
		transmit_raw(bytes, len);
	assert_int_equal(dropped(), NET_HEADER_BYTES + NET_FRAME_MIN - 1);
	bytes[1] = VIRTIO_NET_HDR_GSO_UDP;
	transmit_raw(bytes, sizeof(bytes));
	bytes[1] = 0;
	bytes[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	bytes[7] = 0xff; /* start */
	transmit_raw(bytes, sizeof(bytes));
	assert_int_equal(dropped(), NET_HEADER_BYTES + NET_FRAME_MIN + 1);
}

static void a_wrong_checksum_of_the_guests_own_is_noticed(void **state)
{
	struct segment s = segment(TCP_SYN);
	uint8_t frame[SEGMENT_HEADERS_MAX];
	size_t n = segment_build(&s, frame); /* leaves the checksum open */
	uint16_t sum;

	transmit(frame, n, false);
	assert_false(receive());
	assert_int_equal(dropped(), 1);
	sum = (uint16_t)~frame_sum(frame + 34, n - 34);
	memcpy(frame + 50, &sum, 2);
	transmit(frame, n, false);
	assert_true(eventually_receive());
}

static void a_broken_ring_stops_the_device_only(void **state)
{
	int fd = connect_guest();

	guest_desc(&g, TX, 0, GUEST_BYTES + 4096, 100, 0, 0);
	guest_add(&g, TX, 0);
	guest_kick(&g, TX);
	turn();
	assert_int_equal(send(fd, "x", 1, 0), 1);
	for (int i = 0; i < 5; i++)
		turn();
	close(fd);
}

static void connections_are_limited(void **state)
{
	struct net_plan plan;
	struct segment s = segment(TCP_SYN);
	struct tcp *t;

	net_plan_parse("10.213.77.0,-,65520,02:00:00:00:00:02", &plan);
	t = tcp_new(loop, &plan, NULL, NULL, NULL, NULL);
	tcp_limit(t, &(struct tcp_limits) { .connections = 2 });
	s.flow.guest = s.flow.host; /* the guest's view */
	inet_pton(AF_INET6, "::ffff:10.213.77.1", &s.flow.host);
	s.flow.host_port = local.sin_port;
	for (uint16_t port = 1; port <= 3; port++) {
		s.flow.guest_port = port;
		assert_true(tcp_input(t, &s, NULL, 0));
		assert_int_equal(tcp_connections(t), MIN(port, 2));
	}
	tcp_free(t);
}

/* --- names --- */

static int resolver = -1; /* the far end of the stream */

static int take_stream(int fd, void *arg)
{
	if (arg)
		return -EPIPE;
	resolver = fd;
	return 0;
}

/* A query to the name server, of @len bytes. */
static size_t query_frame(bool ipv6, size_t len, uint8_t *frame)
{
	struct segment s = { .to = { 2, 0, 0, 0, 0, 1 }, .from = { 2, 0, 0, 0, 0, 2 } };
	size_t bytes = 8 + len, at;
	uint8_t udp[8] = { 0x12, 0x34, 0, 53, (uint8_t)(bytes >> 8), (uint8_t)bytes };
	uint32_t sum;

	s.ipv6 = ipv6;
	inet_pton(AF_INET6, ipv6 ? "fd6c:7873:73d5:1::2" : "::ffff:10.213.77.2", &s.flow.guest);
	inet_pton(AF_INET6, ipv6 ? "fd6c:7873:73d5:1::f" : "::ffff:10.213.77.15", &s.flow.host);
	at = segment_build_ip(&s, IPPROTO_UDP, bytes, 0, frame);
	memcpy(frame + at, udp, sizeof(udp));
	memset(frame + at + 8, 0, len);
	frame[at + 8] = 0x77; /* the id's first half */
	frame[at + 13] = 1;   /* a question, of the root */
	sum = (uint32_t)segment_ip_sum(&s, IPPROTO_UDP, bytes) + frame_sum(frame + at, bytes);
	sum = ~((sum & 0xffff) + (sum >> 16));
	memcpy(frame + at + 6, &(uint16_t) { (uint16_t)sum }, 2);
	return at + bytes;
}

static size_t resolver_reads(uint8_t *m, size_t size)
{
	ssize_t n = recv(resolver, m, size, MSG_DONTWAIT);

	return n < 0 ? 0 : (size_t)n;
}

static void check_reply(bool ipv6, size_t len)
{
	struct segment s = { 0 };
	size_t end;
	uint32_t sum;

	assert_true(receive());
	assert_int_equal(segment_parse_ip(got.bytes, got.len, got.len, IPPROTO_UDP, &s, &end), 1);
	assert_int_equal(s.ipv6, ipv6);
	assert_int_equal(end, got.len);
	assert_int_equal(end - s.tcp_at, 8 + len);
	assert_memory_equal(got.bytes + s.tcp_at, "\0\x35\x12\x34", 4);
	assert_memory_equal(got.bytes + s.tcp_at + 8, "\x77\0\x80", 3);
	sum = (uint32_t)segment_ip_sum(&s, IPPROTO_UDP, 8 + len) +
	      frame_sum(got.bytes + s.tcp_at, 8 + len);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

static void the_name_server_answers_datagrams(void **state)
{
	uint8_t frame[200], m[200];

	net_on_names(net, take_stream, NULL);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		size_t n = query_frame(ipv6, 17, frame);

		transmit(frame, n, false);
		assert_int_equal(resolver_reads(m, sizeof(m)), 19);
		assert_memory_equal(m, "\0\x11", 2);
		m[4] |= 0x80; /* a reply */
		assert_int_equal(send(resolver, m, 19, 0), 19);
		turn();
		check_reply(ipv6, 17);
	}
	assert_int_equal(sockets(), 0);
	close(resolver);
}

static void damaged_queries_are_dropped(void **state)
{
	uint8_t frame[200], m[200];
	size_t n = query_frame(false, 17, frame);

	net_on_names(net, take_stream, NULL);
	transmit(frame, n, false);
	assert_int_equal(resolver_reads(m, sizeof(m)), 19);
	frame[n - 1] ^= 1; /* the checksum is wrong */
	transmit(frame, n, false);
	frame[n - 1] ^= 1;
	frame[39]++; /* longer than the packet */
	transmit(frame, n, false);
	frame[39] = 7; /* shorter than its header */
	transmit(frame, n, false);
	assert_int_equal(resolver_reads(m, sizeof(m)), 0);
	frame[39] = 25;
	memset(frame + 40, 0, 2); /* without a checksum */
	transmit(frame, n, false);
	assert_int_equal(resolver_reads(m, sizeof(m)), 19);
	close(resolver);
	assert_false(receive());
}

static void without_a_resolver_queries_are_dropped(void **state)
{
	uint8_t frame[200], m[200];
	size_t n = query_frame(false, 17, frame);

	transmit(frame, n, false);
	net_on_names(net, take_stream, net); /* refuses */
	transmit(frame, n, false);
	assert_false(receive());
	net_on_names(net, take_stream, NULL);
	transmit(frame, n, false);
	assert_int_equal(resolver_reads(m, sizeof(m)), 19);
	close(resolver);
}

static void the_name_server_answers_connections(void **state)
{
	in_port_t port = local.sin_port;
	uint8_t m[200];

	net_on_names(net, take_stream, NULL);
	local.sin_port = htons(53);
	peer = "::ffff:10.213.77.2";
	start_connection();
	assert_true(receive_tcp());
	assert_int_equal(got.s.flags, TCP_SYN | TCP_ACK);
	me.seq++;
	me.ack = got.s.seq + 1;
	send_bytes("\0\x11\x77\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0", 19);
	turn();
	assert_int_equal(resolver_reads(m, sizeof(m)), 19);
	m[4] |= 0x80;
	assert_int_equal(send(resolver, m, 19, 0), 19);
	while (!got.s.payload_bytes)
		assert_true(eventually_receive());
	assert_int_equal(got.s.payload_bytes, 19);
	assert_memory_equal(got.payload, "\0\x11\x77\0\x80", 5);
	assert_int_equal(sockets(), 1);
	send_segment(segment(TCP_RST), NULL, 0);
	assert_int_equal(sockets(), 0);
	local.sin_port = port;
	peer = gateway;
	close(resolver);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways_and_it_ends),
		TEST(the_host_may_end_first),
		TEST(nobody_listens),
		TEST(a_segment_of_no_connection_is_reset),
		TEST(a_reset_of_the_guest_reaches_the_host),
		TEST(a_reset_of_the_host_follows_its_last_bytes),
		TEST(old_and_early_segments_are_only_acknowledged),
		TEST(acknowledging_the_unsent_changes_nothing),
		TEST(the_guests_window_is_kept),
		TEST(large_segments_say_how_to_cut_them),
		TEST(a_guest_without_offloads_gets_finished_segments),
		TEST(a_host_that_does_not_read_stops_the_guest),
		TEST(what_is_lost_comes_again),
		TEST(small_buffers_are_joined),
		TEST(too_few_buffers_wait_for_more),
		TEST(frames_of_the_stack_wait_for_buffers),
		TEST(bad_frames_are_dropped),
		TEST(a_wrong_checksum_of_the_guests_own_is_noticed),
		TEST(a_broken_ring_stops_the_device_only),
		TEST(connections_are_limited),
		TEST(the_name_server_answers_datagrams),
		TEST(damaged_queries_are_dropped),
		TEST(without_a_resolver_queries_are_dropped),
		TEST(the_name_server_answers_connections),
	};

	log_init("net-device-test", STDERR_FILENO, LOG_ERR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
