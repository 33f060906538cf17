/* tests/unit/vsock-test.c - the vsock device, seen from a scripted guest and from its sockets */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"
#include "virtio-guest.h"
#include "vsock/internal.h"

#define RX_BYTES  4096u
#define RX_AT(i)  (DATA_AT + (i)*RX_BYTES)
#define TX_AT(i)  (DATA_AT + 64 * RX_BYTES + (i)*0x11000u)
#define TX_SLOTS  16u
#define ALLOC     262144u /* the guest's buffer, as Linux has it */
#define HOST_PORT 50000u

static struct loop *loop;
static struct guest g;
static struct vsock *dev;
static unsigned tx_slot;

static struct { /* what the device's callbacks said */
	int connected, error, fd;
	int accepted, accept_result, accept_fd;
	uint32_t port;
} seen;

static void turn(void)
{
	for (int i = 0; i < 4; i++) {
		assert_int_equal(loop_step(loop, 0), 0);
		while (vsock_run(dev))
			;
	}
}

static void on_connected(int error, int fd, void *arg)
{
	seen.connected++;
	seen.error = error;
	seen.fd = fd;
	if (error)
		close(fd);
}

static int on_accept(uint32_t port, int fd, void *arg)
{
	seen.accepted++;
	seen.port = port;
	if (seen.accept_result == 0)
		seen.accept_fd = fd;
	return seen.accept_result;
}

/* --- the guest's side --- */

static void post(uint16_t i)
{
	guest_desc(&g, QUEUE_RX, i, RX_AT(i), RX_BYTES, VRING_DESC_F_WRITE, 0);
	guest_add(&g, QUEUE_RX, i);
}

static void post_all(void)
{
	for (uint16_t i = 0; i < GUEST_RING; i++)
		post(i);
	guest_kick(&g, QUEUE_RX);
	turn();
}

static struct vsock_packet packet(uint16_t op, uint32_t src_port, uint32_t dst_port)
{
	return (struct vsock_packet) {
		.src_cid = 3,
		.dst_cid = 2,
		.src_port = src_port,
		.dst_port = dst_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ALLOC,
	};
}

/* Puts a packet into the transmit ring: its header and its payload, in two descriptors. */
static void put(const struct vsock_packet *p, const void *data, uint32_t len)
{
	unsigned slot = tx_slot++ % TX_SLOTS;
	uint16_t d = (uint16_t)(2 * slot);

	vsock_packet_encode(p, g.mem + TX_AT(slot));
	if (len)
		memcpy(g.mem + TX_AT(slot) + 64, data, len);
	guest_desc(&g, QUEUE_TX, d, TX_AT(slot), VSOCK_HEADER_BYTES, len ? VRING_DESC_F_NEXT : 0,
		   (uint16_t)(d + 1));
	guest_desc(&g, QUEUE_TX, (uint16_t)(d + 1), TX_AT(slot) + 64, len, 0, 0);
	guest_add(&g, QUEUE_TX, d);
}

static void tx(struct vsock_packet p, const void *data, uint32_t len)
{
	struct vring_used_elem e;

	p.len = len;
	put(&p, data, len);
	guest_kick(&g, QUEUE_TX);
	turn();
	assert_true(guest_used(&g, QUEUE_TX, &e)); /* given back, whatever it was */
}

static void tx_op(uint16_t op, uint32_t src_port, uint32_t dst_port)
{
	tx(packet(op, src_port, dst_port), NULL, 0);
}

/* The next packet for the guest, its buffer posted again; false: none. */
static bool rx(struct vsock_packet *ret, void *data)
{
	struct vring_used_elem e;

	turn();
	if (!guest_used(&g, QUEUE_RX, &e))
		return false;
	assert_in_range(e.len, VSOCK_HEADER_BYTES, RX_BYTES);
	vsock_packet_decode(g.mem + RX_AT(e.id), ret);
	assert_int_equal(e.len, VSOCK_HEADER_BYTES + ret->len);
	assert_int_equal(ret->dst_cid, 3);
	if (data)
		memcpy(data, g.mem + RX_AT(e.id) + VSOCK_HEADER_BYTES, ret->len);
	post((uint16_t)e.id);
	return true;
}

static struct vsock_packet expect(uint16_t op)
{
	struct vsock_packet p = { 0 };

	assert_true(rx(&p, NULL));
	assert_int_equal(p.op, op);
	return p;
}

static void expect_silence(void)
{
	struct vsock_packet p = { 0 };

	assert_false(rx(&p, NULL));
}

/* --- streams --- */

static int set_up(void **state)
{
	memset(&seen, 0, sizeof(seen));
	seen.fd = seen.accept_fd = -1;
	tx_slot = 0;
	loop = loop_new();
	dev = vsock_new(loop, 3);
	assert_int_equal(vsock_accept(dev, HOST_PORT, on_accept, NULL), 0);
	guest_init(&g, loop, &vsock_device_ops, dev);
	guest_start(&g, QUEUE_COUNT, 1ull << VIRTIO_RING_F_EVENT_IDX);
	post_all();
	return 0;
}

static int tear_down(void **state)
{
	guest_done(&g);
	dev = vsock_free(dev);
	loop = loop_free(loop);
	drop_fd(&seen.accept_fd);
	return 0;
}

/* A host program's socket; the device gets the other end. */
static int host_connect(uint32_t port)
{
	int sp[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sp), 0);
	vsock_open(dev, port, sp[1], on_connected, NULL);
	return sp[0];
}

/* An open stream from the host; *ret_port: the host's. */
static int open_stream(uint32_t guest_port, uint32_t *ret_port)
{
	int fd = host_connect(guest_port);
	struct vsock_packet p = expect(VIRTIO_VSOCK_OP_REQUEST);

	assert_int_equal(p.dst_port, guest_port);
	*ret_port = p.src_port;
	tx_op(VIRTIO_VSOCK_OP_RESPONSE, guest_port, p.src_port);
	assert_int_equal(seen.error, 0);
	return fd;
}

static ssize_t host_read(int fd, void *data, size_t len)
{
	ssize_t n;

	turn();
	n = recv(fd, data, len, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static void the_host_connects(void **state)
{
	int fd = host_connect(1234);
	struct vsock_packet p = expect(VIRTIO_VSOCK_OP_REQUEST);
	struct vsock_stats st;
	char b[8] = "";

	assert_int_equal(p.src_cid, 2);
	assert_int_equal(p.dst_port, 1234);
	assert_int_equal(p.type, VIRTIO_VSOCK_TYPE_STREAM);
	assert_int_equal(p.buf_alloc, WINDOW_NARROW);
	assert_int_equal(seen.connected, 0);
	tx_op(VIRTIO_VSOCK_OP_RESPONSE, 1234, p.src_port);
	assert_int_equal(seen.connected, 1);
	assert_int_equal(seen.error, 0);
	assert_int_equal(write_all(fd, "hello", 5), 0);
	assert_true(rx(&p, b));
	assert_int_equal(p.op, VIRTIO_VSOCK_OP_RW);
	assert_string_equal(b, "hello");
	tx(packet(VIRTIO_VSOCK_OP_RW, 1234, p.src_port), "world", 5);
	assert_int_equal(host_read(fd, b, 8), 5);
	assert_memory_equal(b, "world", 5);
	expect_silence();
	vsock_get_stats(dev, &st);
	assert_int_equal(st.connections, 1);
	assert_int_equal(st.opened, 1);
	assert_int_equal(st.bytes_to_guest, 5);
	assert_int_equal(st.bytes_to_host, 5);
	close(fd);
}

static void the_guest_refuses(void **state)
{
	int fd = host_connect(7);
	struct vsock_packet p = expect(VIRTIO_VSOCK_OP_REQUEST);

	tx_op(VIRTIO_VSOCK_OP_RST, 7, p.src_port);
	assert_int_equal(seen.connected, 1);
	assert_int_equal(seen.error, ECONNREFUSED);
	expect_silence();
	close(fd);
}

static void the_guest_never_answers(void **state)
{
	int fd;

	dev->connecting.delay_ms = 20;
	fd = host_connect(7);
	expect(VIRTIO_VSOCK_OP_REQUEST);
	for (int i = 0; i < 100 && !seen.connected; i++)
		assert_int_equal(loop_step(loop, 10), 0);
	assert_int_equal(seen.error, ETIMEDOUT);
	assert_int_equal(dev->n_conns, 0);
	close(fd);
}

/* A late answer to a stream that is no more gets an RST. */
static void a_program_gives_up_connecting(void **state)
{
	int fd = host_connect(7);
	struct vsock_packet p = expect(VIRTIO_VSOCK_OP_REQUEST);

	close(fd);
	turn();
	assert_int_equal(seen.error, ECANCELED);
	tx_op(VIRTIO_VSOCK_OP_RESPONSE, 7, p.src_port);
	expect(VIRTIO_VSOCK_OP_RST);
}

static void connecting_waits_for_the_guest(void **state)
{
	int fd;

	tear_down(NULL);
	loop = loop_new();
	dev = vsock_new(loop, 3);
	guest_init(&g, loop, &vsock_device_ops, dev);
	fd = host_connect(7);
	turn();
	assert_int_equal(seen.connected, 0);
	guest_start(&g, QUEUE_COUNT, 0);
	post_all();
	expect(VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
}

static void the_guest_connects(void **state)
{
	struct vsock_packet p;
	char b[8] = "";

	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT);
	assert_int_equal(seen.accepted, 1);
	assert_int_equal(seen.port, HOST_PORT);
	p = expect(VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(p.src_port, HOST_PORT);
	assert_int_equal(p.dst_port, 900);
	assert_int_equal(fcntl(seen.accept_fd, F_GETFL) & O_NONBLOCK, 0);
	tx(packet(VIRTIO_VSOCK_OP_RW, 900, HOST_PORT), "abc", 3);
	assert_int_equal(host_read(seen.accept_fd, b, 8), 3);
	assert_int_equal(write_all(seen.accept_fd, "xyz", 3), 0);
	assert_true(rx(&p, b));
	assert_memory_equal(b, "xyz", 3);
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT); /* twice on one pair: broken */
	expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(host_read(seen.accept_fd, b, 8), 0);
}

static void guest_streams_are_refused(void **state)
{
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT), r;

	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT + 1);
	r = expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(r.src_port, HOST_PORT + 1);
	assert_int_equal(r.dst_port, 900);
	assert_int_equal(seen.accepted, 0);
	seen.accept_result = -ENOBUFS; /* the owner does not want it */
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT);
	assert_int_equal(seen.accepted, 1);
	expect(VIRTIO_VSOCK_OP_RST);
	p.dst_cid = 77; /* nobody is there */
	tx(p, NULL, 0);
	r = expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(r.src_cid, 77);
	p.dst_cid = 2;
	p.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	tx(p, NULL, 0);
	r = expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(r.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	p.type = VIRTIO_VSOCK_TYPE_STREAM;
	p.src_cid = 4; /* not its own: no answer */
	tx(p, NULL, 0);
	expect_silence();
	assert_int_equal(seen.accepted, 1);
	assert_int_equal(dev->n_conns, 0);
}

/* --- credit --- */

static void the_guests_credit_is_respected(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, port), r;
	char data[1000], back[RX_BYTES];
	size_t got = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)i;
	p.buf_alloc = 100;
	tx(p, NULL, 0);
	assert_int_equal(write_all(fd, data, sizeof(data)), 0);
	for (unsigned round = 1; got < sizeof(data); round++) {
		assert_true(rx(&r, back));
		assert_int_equal(r.len, 100);
		assert_memory_equal(back, data + got, r.len);
		got += r.len;
		expect_silence();
		p.fwd_cnt = 100 * round;
		tx(p, NULL, 0);
	}
	expect_silence();
	close(fd);
}

static void counters_wrap(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, port), r;
	struct conn *c = conn_find(dev, 5, port);
	char b[1000] = "";

	c->tx_cnt = c->rx_cnt = c->fwd_cnt = c->fwd_sent = UINT32_MAX - 10;
	p.fwd_cnt = UINT32_MAX - 10;
	p.buf_alloc = 500;
	tx(p, NULL, 0);
	assert_int_equal(write_all(fd, b, sizeof(b)), 0);
	assert_true(rx(&r, NULL));
	assert_int_equal(r.len, 500);
	assert_int_equal(r.fwd_cnt, UINT32_MAX - 10);
	expect_silence();
	p.fwd_cnt += 500;
	tx(p, NULL, 0);
	assert_true(rx(&r, NULL));
	assert_int_equal(r.len, 500);
	p.op = VIRTIO_VSOCK_OP_RW;
	p.fwd_cnt += 500;
	tx(p, b, 100);
	assert_int_equal(host_read(fd, b, sizeof(b)), 100);
	assert_int_equal(c->fwd_cnt, 89);
	close(fd);
}

/* Impossible counters mean no credit, not all of it. */
static void lies_about_credit_gain_nothing(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, port);

	p.fwd_cnt = 1000; /* more than was ever sent */
	tx(p, NULL, 0);
	assert_int_equal(write_all(fd, "x", 1), 0);
	expect_silence();
	p.fwd_cnt = 0;
	tx(p, NULL, 0);
	expect(VIRTIO_VSOCK_OP_RW);
	close(fd);
}

static void credit_is_told_when_asked(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p;

	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "abc", 3);
	expect_silence(); /* three bytes are not worth a packet */
	tx_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5, port);
	p = expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(p.fwd_cnt, 3);
	close(fd);
}

static char *random_bytes(size_t n)
{
	char *b = malloc(n);
	uint32_t x = 12345;

	for (size_t i = 0; i < n; i++)
		b[i] = (char)((x = x * 1103515245 + 12345) >> 24);
	return b;
}

/* The guest sends all it may while nobody reads; then all of it arrives, and credit comes back. */
static void output_waits_for_its_reader(void **state)
{
	uint32_t port, sent = 0, got = 0, alloc = WINDOW_NARROW, fwd = 0;
	size_t total = 3 << 20;
	auto_free char *data = random_bytes(total), *back = malloc(total);
	int fd = open_stream(5, &port);
	struct vsock_packet p;

	while (sent < total) {
		uint32_t part = MIN(60000u, (uint32_t)total - sent), room;

		while (rx(&p, NULL)) {
			alloc = p.buf_alloc;
			fwd = p.fwd_cnt;
		}
		room = alloc - (sent - fwd);
		if (room) {
			part = MIN(part, room);
			tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), data + sent, part);
			sent += part;
			continue;
		}
		for (int i = 0; i < 3; i++) { /* read a little, not all */
			ssize_t n = host_read(fd, back + got, 50000);

			got += n > 0 ? (uint32_t)n : 0;
		}
	}
	assert_true(sent - got > 200000);
	assert_int_equal(alloc, WINDOW_WIDE);
	while (got < total) {
		ssize_t n = host_read(fd, back + got, total - got);

		assert_true(n > 0);
		got += (uint32_t)n;
	}
	assert_memory_equal(data, back, total);
	assert_null(conn_find(dev, 5, port)->buf.data);
	close(fd);
}

static void more_than_the_credit_ends_the_stream(void **state)
{
	uint32_t port;
	auto_free char *data = random_bytes(WINDOW_NARROW + 1);
	int fd = open_stream(5, &port), small = 4096;
	struct conn *c = conn_find(dev, 5, port);

	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	c->rx_cnt = c->fwd_cnt = 1u << 31;
	c->fwd_sent = c->fwd_cnt;
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), data, WINDOW_NARROW);
	assert_true(c->buf.len > 0);
	assert_int_equal(c->dev->n_conns, 1);
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), data, WINDOW_NARROW);
	assert_null(conn_find(dev, 5, port));
	assert_int_equal(vsock_draining(dev), 1); /* what was within it still arrives */
	close(fd);
	turn();
	assert_int_equal(vsock_draining(dev), 0);
}

/* --- ends --- */

static void the_host_half_closes(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p;
	char b[16];

	assert_int_equal(write_all(fd, "last", 4), 0);
	shutdown(fd, SHUT_WR);
	p = expect(VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.len, 4);
	p = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	expect_silence();
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "answer", 6); /* the other way stays open */
	assert_int_equal(host_read(fd, b, sizeof(b)), 6);
	p = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 5, port);
	p.flags = SHUTDOWN_BOTH;
	tx(p, NULL, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(host_read(fd, b, sizeof(b)), 0);
	assert_int_equal(dev->n_conns, 0);
	close(fd);
}

static void the_guest_half_closes(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 5, port);
	char b[16];

	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "bye", 3);
	p.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	tx(p, NULL, 0);
	assert_int_equal(host_read(fd, b, sizeof(b)), 3);
	assert_int_equal(host_read(fd, b, sizeof(b)), 0);
	assert_int_equal(write_all(fd, "more", 4), 0);
	expect(VIRTIO_VSOCK_OP_RW);
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "liar", 4); /* it had ended that way */
	expect(VIRTIO_VSOCK_OP_RST);
	close(fd);
}

static void the_guest_stops_reading(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 5, port);
	char b[16];

	p.flags = VIRTIO_VSOCK_SHUTDOWN_RCV;
	tx(p, NULL, 0);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "still", 5);
	assert_int_equal(host_read(fd, b, sizeof(b)), 5);
	close(fd);
	turn();
	p = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.flags, SHUTDOWN_BOTH);
}

static void the_host_closes(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p;

	assert_int_equal(write_all(fd, "data", 4), 0);
	close(fd);
	expect(VIRTIO_VSOCK_OP_RW);
	p = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.flags, SHUTDOWN_BOTH);
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), "late", 4); /* it could not know */
	expect_silence();
	assert_int_equal(dev->n_conns, 1);
	tx_op(VIRTIO_VSOCK_OP_RST, 5, port);
	assert_int_equal(dev->n_conns, 0);
	expect_silence();
}

/* Without credit the data before a close waits, and so does the SHUTDOWN of that direction. */
static void a_close_behind_data_waits(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, port), r;

	p.buf_alloc = 0;
	tx(p, NULL, 0);
	assert_int_equal(write_all(fd, "data", 4), 0);
	close(fd);
	r = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(r.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	expect_silence();
	p.buf_alloc = 3;
	tx(p, NULL, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 3);
	expect_silence();
	p.buf_alloc = 4;
	tx(p, NULL, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 1);
	expect_silence();
	p.buf_alloc = 5; /* room to look for more shows the end */
	tx(p, NULL, 0);
	r = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(r.flags, SHUTDOWN_BOTH);
}

static void a_guest_that_keeps_its_last_word_is_left(void **state)
{
	uint32_t port;
	int fd;

	dev->closing.delay_ms = 20;
	fd = open_stream(5, &port);
	close(fd);
	expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	for (int i = 0; i < 100 && dev->n_conns; i++)
		assert_int_equal(loop_step(loop, 10), 0);
	assert_int_equal(dev->n_conns, 0);
	expect(VIRTIO_VSOCK_OP_RST);
}

static void a_forgotten_pair_may_be_used_again(void **state)
{
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	drop_fd(&seen.accept_fd);
	expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 900, HOST_PORT);
	assert_int_equal(seen.accepted, 2);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
}

/* The guest closes while its output waits: it is rid of the stream, the reader gets everything. */
static void pending_output_survives(uint16_t op)
{
	uint32_t port;
	auto_free char *data = random_bytes(WINDOW_NARROW), *back = malloc(WINDOW_NARROW + 1);
	int fd = open_stream(5, &port), small = 4096;
	struct conn *c = conn_find(dev, 5, port);
	struct vsock_packet p = packet(op, 5, port);
	size_t got = 0;
	ssize_t n;

	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	tx(packet(VIRTIO_VSOCK_OP_RW, 5, port), data, WINDOW_NARROW);
	assert_true(c->buf.len > 0);
	p.flags = SHUTDOWN_BOTH;
	if (op)
		tx(p, NULL, 0);
	else
		drop_fd(&g.fd); /* the VM dies */
	turn();
	assert_int_equal(dev->n_conns, 0);
	assert_int_equal(vsock_draining(dev), 1);
	while ((n = host_read(fd, back + got, WINDOW_NARROW + 1 - got)) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, WINDOW_NARROW);
	assert_memory_equal(data, back, got);
	turn();
	assert_int_equal(vsock_draining(dev), 0);
	close(fd);
}

static void pending_output_survives_shutdown(void **state)
{
	pending_output_survives(VIRTIO_VSOCK_OP_SHUTDOWN);
	expect(VIRTIO_VSOCK_OP_RST);
}

static void pending_output_survives_reset(void **state)
{
	pending_output_survives(VIRTIO_VSOCK_OP_RST);
}

static void pending_output_survives_the_vm(void **state)
{
	pending_output_survives(0);
	assert_true(dev->detached);
	assert_int_equal(host_connect(9) >= 0 ? seen.error : 0, ECONNRESET);
}

static void a_vm_that_dies_ends_everything(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port), waiting = host_connect(6);
	char b;

	expect(VIRTIO_VSOCK_OP_REQUEST);
	drop_fd(&g.fd);
	turn();
	assert_int_equal(host_read(fd, &b, 1), 0);
	assert_int_equal(seen.connected, 2);
	assert_int_equal(seen.error, ECONNRESET);
	close(fd);
	close(waiting);
}

/* A program with unread input sees the end, not a reset: UNIX sockets do that otherwise. */
static void closing_is_no_reset(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, port);
	char b[8];

	p.buf_alloc = 0;
	tx(p, NULL, 0);
	assert_int_equal(write_all(fd, "never read", 10), 0);
	p.op = VIRTIO_VSOCK_OP_SHUTDOWN;
	p.flags = SHUTDOWN_BOTH;
	tx(p, NULL, 0);
	assert_int_equal(host_read(fd, b, sizeof(b)), 0);
	close(fd);
}

/* --- scarce buffers, many streams --- */

/* Takes every buffer away: the descriptors that were posted are filled by refusals. */
static void starve(void)
{
	struct vring_used_elem e;

	for (unsigned i = 0; i < GUEST_RING; i++)
		tx_op(VIRTIO_VSOCK_OP_RW, 1, 1);
	for (unsigned i = 0; i < GUEST_RING; i++)
		assert_true(guest_used(&g, QUEUE_RX, &e));
}

static void without_buffers_everything_waits(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port), other;
	struct vsock_packet p;
	char b[RX_BYTES];

	starve();
	assert_int_equal(write_all(fd, "late", 4), 0);
	turn();
	other = host_connect(6);
	turn();
	expect_silence();
	assert_true(dev->rx_starved);
	assert_false(vsock_run(dev)); /* nothing spins */
	post(0);
	guest_kick(&g, QUEUE_RX);
	assert_true(rx(&p, b)); /* one buffer, one packet at a time */
	assert_int_equal(p.op, VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(b, "late", 4);
	guest_kick(&g, QUEUE_RX);
	assert_true(rx(&p, b));
	assert_int_equal(p.op, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	close(other);
}

static void refusals_are_bounded(void **state)
{
	struct vring_used_elem e;
	unsigned n = 0;

	starve();
	for (unsigned i = 0; i < REPLY_SLOTS + 100; i++)
		tx_op(VIRTIO_VSOCK_OP_RW, i, 1);
	assert_int_equal(dev->n_replies, REPLY_SLOTS);
	post_all();
	do {
		while (guest_used(&g, QUEUE_RX, &e)) {
			post((uint16_t)e.id);
			n++;
		}
		guest_kick(&g, QUEUE_RX);
		turn();
	} while (g.rings[QUEUE_RX].used[1] != g.rings[QUEUE_RX].seen);
	assert_int_equal(n, REPLY_SLOTS);
}

static void streams_take_turns(void **state)
{
	enum { N = 4 };
	auto_free char *data = random_bytes(150000);
	uint32_t port[N], last = 0, switches = 0, bytes[N] = { 0 };
	struct vsock_packet p;
	int fd[N];

	for (unsigned i = 0; i < N; i++)
		fd[i] = open_stream(10 + i, &port[i]);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(write_all(fd[i], data, 150000), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(rx(&p, NULL));
		guest_kick(&g, QUEUE_RX);
		switches += p.dst_port != last;
		last = p.dst_port;
		bytes[p.dst_port - 10] += p.len;
	}
	for (unsigned i = 0; i < N; i++)
		assert_true(bytes[i] > 20000);
	assert_true(switches >= N);
	for (unsigned i = 0; i < N; i++)
		close(fd[i]);
}

static void streams_have_a_limit(void **state)
{
	uint32_t limit = 8;
	int fds[8];

	dev->limit = limit;
	for (unsigned i = 0; i < limit; i++) {
		tx_op(VIRTIO_VSOCK_OP_REQUEST, 100 + i, HOST_PORT);
		expect(VIRTIO_VSOCK_OP_RESPONSE);
		fds[i] = take_fd(&seen.accept_fd);
	}
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 200, HOST_PORT);
	expect(VIRTIO_VSOCK_OP_RST);
	close(host_connect(9));
	assert_int_equal(seen.error, ENOBUFS);
	close(fds[0]); /* one that only lingers makes room */
	expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	tx_op(VIRTIO_VSOCK_OP_REQUEST, 200, HOST_PORT);
	expect(VIRTIO_VSOCK_OP_RST);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	for (unsigned i = 1; i < limit; i++)
		close(fds[i]);
}

static void ports_are_limited(void **state)
{
	for (uint32_t i = 1; i < VSOCK_MAX_ACCEPT_PORTS; i++)
		assert_int_equal(vsock_accept(dev, i, on_accept, NULL), 0);
	assert_int_equal(vsock_accept(dev, 99, on_accept, NULL), -ENOSPC);
}

/* --- packets that make no sense --- */

static void bad_packets_end_their_stream(void **state)
{
	static const struct {
		uint16_t op;
		uint32_t len, have;
	} bad[] = {
		{ VIRTIO_VSOCK_OP_RW, 100, 99 },
		{ VIRTIO_VSOCK_OP_RW, UINT32_MAX, 8 },
		{ VIRTIO_VSOCK_OP_RW, 1, 0 },
		{ VIRTIO_VSOCK_OP_CREDIT_UPDATE, 4, 8 },
		{ VIRTIO_VSOCK_OP_RESPONSE, 0, 0 },
		{ VIRTIO_VSOCK_OP_REQUEST, 0, 0 },
		{ VIRTIO_VSOCK_OP_INVALID, 0, 0 },
		{ 8, 0, 0 },
		{ UINT16_MAX, 0, 0 },
	};
	char data[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t port;
		int fd = open_stream(5, &port);
		struct vsock_packet p = packet(bad[i].op, 5, port);

		p.len = bad[i].len;
		put(&p, data, bad[i].have);
		guest_kick(&g, QUEUE_TX);
		expect(VIRTIO_VSOCK_OP_RST);
		assert_int_equal(host_read(fd, data, 1), 0);
		assert_int_equal(dev->n_conns, 0);
		close(fd);
	}
}

static void early_packets_end_a_connect(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_SHUTDOWN, 99 };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = host_connect(5);
		struct vsock_packet p = expect(VIRTIO_VSOCK_OP_REQUEST);

		seen.connected = 0;
		tx(packet(ops[i], 5, p.src_port), "abc", ops[i] == VIRTIO_VSOCK_OP_RW ? 3 : 0);
		expect(VIRTIO_VSOCK_OP_RST);
		assert_int_equal(seen.connected, 1);
		assert_int_equal(seen.error, ECONNRESET);
		close(fd);
	}
}

/* A guest that answers before it was asked guessed a port. */
static void guessed_responses_open_nothing(void **state)
{
	uint32_t port = dev->next_port;
	int fd;

	starve();
	fd = host_connect(5);
	turn();
	tx_op(VIRTIO_VSOCK_OP_RESPONSE, 5, port);
	assert_int_equal(seen.connected, 1);
	assert_int_equal(seen.error, ECONNRESET);
	close(fd);
}

static void short_headers_are_ignored(void **state)
{
	struct vring_used_elem e;

	guest_desc(&g, QUEUE_TX, 0, TX_AT(0), VSOCK_HEADER_BYTES - 1, 0, 0);
	guest_add(&g, QUEUE_TX, 0);
	guest_desc(&g, QUEUE_TX, 1, TX_AT(0), 0, 0, 0);
	guest_add(&g, QUEUE_TX, 1);
	guest_kick(&g, QUEUE_TX);
	turn();
	assert_true(guest_used(&g, QUEUE_TX, &e));
	assert_true(guest_used(&g, QUEUE_TX, &e));
	expect_silence();
	assert_false(dev->failed);
}

/* The header may lie in pieces, and payload may share a descriptor with it. */
static void any_layout_is_understood(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p = packet(VIRTIO_VSOCK_OP_RW, 5, port);
	char b[8] = "";

	p.len = 6;
	vsock_packet_encode(&p, g.mem + TX_AT(0));
	memcpy(g.mem + TX_AT(0) + VSOCK_HEADER_BYTES, "abcdef", 6);
	guest_desc(&g, QUEUE_TX, 0, TX_AT(0), 10, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, QUEUE_TX, 1, TX_AT(0) + 10, 36, VRING_DESC_F_NEXT, 2);
	guest_desc(&g, QUEUE_TX, 2, TX_AT(0) + 46, 100, 0, 0); /* more than len says */
	guest_add(&g, QUEUE_TX, 0);
	guest_kick(&g, QUEUE_TX);
	assert_int_equal(host_read(fd, b, sizeof(b)), 6);
	assert_string_equal(b, "abcdef");
	close(fd);
}

static void fails(void (*prepare)(void))
{
	uint32_t port;
	int fd, waiting;
	char b;

	set_up(NULL);
	fd = open_stream(5, &port);
	prepare();
	turn();
	assert_true(dev->failed);
	assert_int_equal(host_read(fd, &b, 1), 0);
	waiting = host_connect(7);
	assert_int_equal(seen.error, EIO);
	close(waiting);
	close(fd);
	tear_down(NULL);
}

static void break_tx(void)
{
	guest_desc(&g, QUEUE_TX, 0, GUEST_BYTES, 44, 0, 0);
	guest_add(&g, QUEUE_TX, 0);
	guest_kick(&g, QUEUE_TX);
}

/* A bad buffer at the front of the receive ring, and something to receive. */
static void break_rx(uint32_t at, uint32_t len)
{
	starve();
	guest_desc(&g, QUEUE_RX, 0, at, len, VRING_DESC_F_WRITE, 0);
	guest_add(&g, QUEUE_RX, 0);
	guest_kick(&g, QUEUE_RX);
	put(&(struct vsock_packet) { .src_cid = 3, .dst_cid = 2, .op = 5, .type = 1 }, NULL, 0);
	guest_kick(&g, QUEUE_TX);
}

static void break_rx_address(void)
{
	break_rx(GUEST_BYTES, RX_BYTES);
}

static void break_rx_small(void)
{
	break_rx(RX_AT(0), VSOCK_HEADER_BYTES);
}

static void break_rx_readable(void)
{
	starve();
	guest_desc(&g, QUEUE_RX, 0, RX_AT(0), RX_BYTES, 0, 0);
	guest_add(&g, QUEUE_RX, 0);
	guest_kick(&g, QUEUE_RX);
	put(&(struct vsock_packet) { .src_cid = 3, .dst_cid = 2, .op = 5, .type = 1 }, NULL, 0);
	guest_kick(&g, QUEUE_TX);
}

static void broken_rings_stop_the_device(void **state)
{
	fails(break_tx);
	fails(break_rx_address);
	fails(break_rx_small);
	fails(break_rx_readable);
}

/* --- the way to sleep and to be woken --- */

static void one_byte_costs_one_interrupt(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);
	struct vsock_packet p;

	turn();
	guest_interrupts(&g, QUEUE_RX);
	g.rings[QUEUE_RX].avail[2 + GUEST_RING] = g.rings[QUEUE_RX].used[1];
	assert_int_equal(write_all(fd, "x", 1), 0);
	assert_true(rx(&p, NULL));
	assert_int_equal(guest_interrupts(&g, QUEUE_RX), 1);
	assert_int_equal(write_all(fd, "y", 1), 0); /* the guest is still busy */
	assert_true(rx(&p, NULL));
	assert_int_equal(guest_interrupts(&g, QUEUE_RX), 0);
	close(fd);
}

static void queues_may_stop_and_start(void **state)
{
	uint32_t port;
	int fd = open_stream(5, &port);

	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, QUEUE_RX, 0);
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, QUEUE_TX, 0);
	assert_int_equal(write_all(fd, "x", 1), 0);
	expect_silence();
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, QUEUE_TX, 1);
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, QUEUE_RX, 1);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 1);
	close(fd);
}

#define with_guest(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_guest(the_host_connects),
		with_guest(the_guest_refuses),
		with_guest(the_guest_never_answers),
		with_guest(a_program_gives_up_connecting),
		with_guest(connecting_waits_for_the_guest),
		with_guest(the_guest_connects),
		with_guest(guest_streams_are_refused),
		with_guest(the_guests_credit_is_respected),
		with_guest(counters_wrap),
		with_guest(lies_about_credit_gain_nothing),
		with_guest(credit_is_told_when_asked),
		with_guest(output_waits_for_its_reader),
		with_guest(more_than_the_credit_ends_the_stream),
		with_guest(the_host_half_closes),
		with_guest(the_guest_half_closes),
		with_guest(the_guest_stops_reading),
		with_guest(the_host_closes),
		with_guest(a_close_behind_data_waits),
		with_guest(a_guest_that_keeps_its_last_word_is_left),
		with_guest(a_forgotten_pair_may_be_used_again),
		with_guest(pending_output_survives_shutdown),
		with_guest(pending_output_survives_reset),
		with_guest(pending_output_survives_the_vm),
		with_guest(a_vm_that_dies_ends_everything),
		with_guest(closing_is_no_reset),
		with_guest(without_buffers_everything_waits),
		with_guest(refusals_are_bounded),
		with_guest(streams_take_turns),
		with_guest(streams_have_a_limit),
		with_guest(ports_are_limited),
		with_guest(bad_packets_end_their_stream),
		with_guest(early_packets_end_a_connect),
		with_guest(guessed_responses_open_nothing),
		with_guest(short_headers_are_ignored),
		with_guest(any_layout_is_understood),
		cmocka_unit_test(broken_rings_stop_the_device),
		with_guest(one_byte_costs_one_interrupt),
		with_guest(queues_may_stop_and_start),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
