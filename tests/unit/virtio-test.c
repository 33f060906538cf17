/* tests/unit/virtio-test.c - vhost-user and split rings, with a guest that behaves and ones that do not */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "virtio-guest.h"

static struct loop *loop;
static struct guest g;

/* The device under the transport: notes what it is told. */
static struct {
	struct virtqueue *vq[2];
	unsigned kicks[2], stops[2], starts[2];
	uint64_t features;
	int detached, reason;
	uint8_t config[8];
	size_t wrote_at, wrote;
} dev;

static void read_config(void *arg, uint8_t *config)
{
	memcpy(config, "\x03\0\0\0\0\0\0\0", 8);
}

static void write_config(void *arg, size_t offset, const uint8_t *data, size_t len)
{
	dev.wrote_at = offset;
	dev.wrote = len;
	memcpy(dev.config, data, MIN(len, sizeof(dev.config)));
}

static void set_features(void *arg, uint64_t features)
{
	dev.features = features;
}

static void queue_start(void *arg, unsigned index, struct virtqueue *vq)
{
	dev.vq[index] = vq;
	dev.starts[index]++;
}

static void queue_stop(void *arg, unsigned index)
{
	dev.vq[index] = NULL;
	dev.stops[index]++;
}

static void queue_kick(void *arg, unsigned index)
{
	dev.kicks[index]++;
}

static void detached(void *arg, int reason)
{
	dev.detached++;
	dev.reason = reason;
}

static const struct virtio_device_ops ops = {
	.name = "test",
	.features = 1u << 5,
	.n_queues = 2,
	.config_bytes = 8,
	.read_config = read_config,
	.write_config = write_config,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.detached = detached,
};

static int set_up(void **state)
{
	memset(&dev, 0, sizeof(dev));
	loop = loop_new();
	guest_init(&g, loop, &ops, NULL);
	return 0;
}

static int tear_down(void **state)
{
	guest_done(&g);
	loop_free(loop);
	return 0;
}

#define F_INDIRECT  (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)

/* --- messages --- */

static void features_are_negotiated(void **state)
{
	uint64_t offered = guest_ask(&g, VHOST_GET_FEATURES), wanted;

	assert_true(offered >> VIRTIO_F_VERSION_1 & 1);
	assert_true(offered >> VHOST_F_PROTOCOL_FEATURES & 1);
	assert_true(offered >> 5 & 1);
	assert_false(offered >> VIRTIO_F_RING_PACKED & 1);
	assert_int_equal(guest_ask(&g, VHOST_GET_PROTOCOL_FEATURES), 1u << VHOST_PROTOCOL_F_CONFIG);
	assert_int_equal(guest_ask(&g, VHOST_GET_QUEUE_NUM), 2);
	wanted = 1ull << VIRTIO_F_VERSION_1 | 1u << 5;
	guest_send(&g, VHOST_SET_FEATURES, &wanted, 8, NULL, 0);
	assert_int_equal(dev.features, 1u << 5);
	assert_false(guest_hung_up(&g));
	wanted |= 1u << 6;
	guest_send(&g, VHOST_SET_FEATURES, &wanted, 8, NULL, 0);
	assert_true(guest_hung_up(&g));
	assert_int_equal(dev.detached, 1);
	assert_int_equal(dev.reason, -EPROTO);
}

static void queues_start_in_umls_order(void **state)
{
	guest_start(&g, 2, 0);
	assert_false(guest_hung_up(&g));
	assert_int_equal(dev.starts[0], 1);
	assert_int_equal(dev.starts[1], 1);
	assert_ptr_equal(dev.vq[0]->mem->regions[0].host + RING_AT(0), dev.vq[0]->desc);
	guest_kick(&g, 1);
	assert_int_equal(dev.kicks[1], 1);
	guest_kick(&g, 1); /* the eventfd was not read: each kick is an edge */
	assert_int_equal(dev.kicks[1], 2);
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, 1, 0);
	assert_int_equal(dev.stops[1], 1);
	guest_kick(&g, 1);
	assert_int_equal(dev.kicks[1], 2);
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, 1, 1);
	assert_int_equal(dev.starts[1], 2);
}

/* Without PROTOCOL_FEATURES queues need no ENABLE. */
static void old_front_ends_start_by_kick(void **state)
{
	uint64_t wanted = 1ull << VIRTIO_F_VERSION_1, index = 0;

	guest_send(&g, VHOST_SET_FEATURES, &wanted, 8, NULL, 0);
	guest_share_memory(&g);
	guest_ring_state(&g, VHOST_SET_VRING_NUM, 0, GUEST_RING);
	guest_ring_addr(&g, 0, GUEST_USER, GUEST_USER + AVAIL_AT(0), GUEST_USER + USED_AT(0));
	assert_int_equal(dev.starts[0], 0);
	guest_send(&g, VHOST_SET_VRING_KICK, &index, 8, &g.rings[0].kick, 1);
	assert_int_equal(dev.starts[0], 1);
}

static void get_vring_base_stops_and_tells(void **state)
{
	struct vhost_vring_num v = { 0, 0 };
	struct vq_chain chain;
	struct iovec iov[4];

	guest_start(&g, 2, 0);
	guest_desc(&g, 0, 0, DATA_AT, 16, 0, 0);
	guest_add(&g, 0, 0);
	assert_int_equal(vq_pop(dev.vq[0], &chain, iov, 4), 1);
	guest_send(&g, VHOST_GET_VRING_BASE, &v, sizeof(v), NULL, 0);
	assert_int_equal(guest_reply(&g, VHOST_GET_VRING_BASE, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v.num, 1);
	assert_null(dev.vq[0]);
}

static void memory_may_move_while_queues_run(void **state)
{
	struct virtqueue *before;

	guest_start(&g, 2, 0);
	before = dev.vq[0];
	guest_share_memory(&g);
	assert_false(guest_hung_up(&g));
	assert_int_equal(dev.stops[0], 1);
	assert_int_equal(dev.starts[0], 2);
	assert_ptr_equal(dev.vq[0], before);
}

static void the_configuration_space_is_read(void **state)
{
	struct vhost_config c = { .size = 8 };

	guest_send(&g, VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + 8, NULL, 0);
	assert_int_equal(guest_reply(&g, VHOST_GET_CONFIG, &c, sizeof(c)), VHOST_CONFIG_HEAD + 8);
	assert_int_equal(c.size, 8);
	assert_int_equal(c.data[0], 3);
	c = (struct vhost_config) { .offset = 0, .size = VIRTIO_CONFIG_BYTES };
	guest_send(&g, VHOST_GET_CONFIG, &c, sizeof(c), NULL, 0);
	assert_int_equal(guest_reply(&g, VHOST_GET_CONFIG, &c, sizeof(c)), sizeof(c));
	assert_int_equal(c.data[0], 3);
	assert_int_equal(c.data[8], 0);
	c = (struct vhost_config) { .offset = 2, .size = 3, .data = "abc" };
	guest_send(&g, VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + 3, NULL, 0);
	assert_false(guest_hung_up(&g));
	assert_int_equal(dev.wrote_at, 2);
	assert_int_equal(dev.wrote, 3);
}

static void messages_may_come_in_pieces(void **state)
{
	struct vhost_header h = { VHOST_GET_FEATURES, VHOST_FLAGS_REQUEST, 0 };
	struct {
		struct vhost_header h;
		uint32_t payload[2];
	} set = { { VHOST_SET_VRING_NUM, VHOST_FLAGS_REQUEST, 8 }, { 0, 64 } };
	uint64_t v;

	for (size_t i = 0; i < sizeof(set); i++) {
		guest_send_raw(&g, (uint8_t *)&set + i, 1, NULL, 0);
		guest_turn(&g);
	}
	for (size_t i = 0; i < sizeof(h); i++) {
		guest_send_raw(&g, (uint8_t *)&h + i, 1, NULL, 0);
		guest_turn(&g);
	}
	assert_int_equal(guest_reply(&g, VHOST_GET_FEATURES, &v, 8), 8);
}

/* --- messages that end the connection --- */

static bool dies_of(uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		    const int *fds, unsigned n_fds)
{
	struct vhost_header h = { request, flags, size };
	uint8_t bytes[2048] = { 0 };
	bool dead;

	set_up(NULL);
	guest_negotiate(&g, 0);
	guest_share_memory(&g);
	memcpy(bytes, &h, sizeof(h));
	if (payload)
		memcpy(bytes + sizeof(h), payload, MIN(size, 1024u));
	guest_send_raw(&g, bytes, sizeof(h) + MIN(size, 1024u), fds, n_fds);
	dead = guest_hung_up(&g);
	assert_int_equal(dev.detached, dead);
	tear_down(NULL);
	return dead;
}

static bool dies(uint32_t request, const void *payload, uint32_t size)
{
	return dies_of(request, VHOST_FLAGS_REQUEST, payload, size, NULL, 0);
}

static void wrong_sizes_and_flags_end_it(void **state)
{
	static const struct {
		uint32_t request, size;
	} exact[] = {
		{ VHOST_GET_FEATURES, 0 },    { VHOST_SET_FEATURES, 8 },
		{ VHOST_SET_OWNER, 0 },       { VHOST_SET_VRING_NUM, 8 },
		{ VHOST_SET_VRING_ADDR, 40 }, { VHOST_SET_VRING_BASE, 8 },
		{ VHOST_GET_VRING_BASE, 8 },  { VHOST_GET_PROTOCOL_FEATURES, 0 },
		{ VHOST_GET_QUEUE_NUM, 0 },   { VHOST_SET_PROTOCOL_FEATURES, 8 },
		{ VHOST_SET_VRING_CALL, 8 },  { VHOST_SET_VRING_ENABLE, 8 },
	};
	static const uint8_t zeros[1024];

	for (size_t i = 0; i < ARRAY_SIZE(exact); i++) {
		assert_true(dies(exact[i].request, zeros, exact[i].size + 1));
		if (exact[i].size)
			assert_true(dies(exact[i].request, zeros, exact[i].size - 1));
		assert_true(dies(exact[i].request, zeros, UINT32_MAX));
	}
	assert_true(dies_of(VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0));
	assert_true(dies_of(VHOST_GET_FEATURES, VHOST_FLAGS_REPLY, NULL, 0, NULL, 0));
	assert_true(dies(0, NULL, 0));
	assert_true(dies(6, zeros, 16)); /* SET_LOG_BASE: never offered */
	assert_true(dies(VHOST_REQUEST_COUNT, NULL, 0));
	assert_true(dies(UINT32_MAX, NULL, 0));
	assert_false(dies(VHOST_SET_OWNER, NULL, 0));
}

static void cut_messages_end_it(void **state)
{
	struct vhost_header h = { VHOST_SET_VRING_NUM, VHOST_FLAGS_REQUEST, 8 };
	uint8_t bytes[20] = { 0 };

	memcpy(bytes, &h, sizeof(h));
	for (size_t n = 1; n < sizeof(bytes); n++) {
		set_up(NULL);
		guest_send_raw(&g, bytes, n, NULL, 0);
		guest_turn(&g);
		assert_int_equal(dev.detached, 0);
		close(g.fd);
		g.fd = -1;
		guest_turn(&g);
		assert_int_equal(dev.detached, 1);
		assert_int_equal(dev.reason, -ENODATA);
		tear_down(NULL);
	}
}

static void ring_numbers_are_checked(void **state)
{
	static const struct vhost_vring_num bad_num[] = {
		{ 2, 64 },         { 0, 0 },    { 0, 3 }, { 0, 2 * VQ_MAX_SIZE },
		{ 0, UINT32_MAX }, { 256, 64 },
	};
	struct vhost_vring_num v = { 0, VQ_MAX_SIZE };

	for (size_t i = 0; i < ARRAY_SIZE(bad_num); i++)
		assert_true(dies(VHOST_SET_VRING_NUM, &bad_num[i], 8));
	assert_false(dies(VHOST_SET_VRING_NUM, &v, 8));
	v = (struct vhost_vring_num) { 0, 65536 };
	assert_true(dies(VHOST_SET_VRING_BASE, &v, 8));
	v = (struct vhost_vring_num) { 2, 0 };
	assert_true(dies(VHOST_SET_VRING_BASE, &v, 8));
	assert_true(dies(VHOST_GET_VRING_BASE, &v, 8));
	assert_true(dies(VHOST_SET_VRING_ENABLE, &v, 8));
	v = (struct vhost_vring_num) { 0, 2 };
	assert_true(dies(VHOST_SET_VRING_ENABLE, &v, 8));
}

static void descriptors_must_match(void **state)
{
	uint64_t zero = 0, none = VHOST_FD_NONE, odd = 0x1000, far = 2;
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };

	for (uint32_t r = VHOST_SET_VRING_KICK; r <= VHOST_SET_VRING_ERR; r++) {
		assert_true(dies(r, &zero, 8));
		assert_true(dies_of(r, 1, &none, 8, fds, 1));
		assert_true(dies_of(r, 1, &zero, 8, fds, 2));
		assert_true(dies_of(r, 1, &odd, 8, fds, 1));
		assert_true(dies_of(r, 1, &far, 8, fds, 1));
		assert_false(dies_of(r, 1, &none, 8, NULL, 0));
		assert_false(dies_of(r, 1, &zero, 8, fds, 1));
	}
	assert_true(dies_of(VHOST_GET_FEATURES, 1, NULL, 0, fds, 1));
	close(fds[0]);
	close(fds[1]);
}

static bool dies_of_table(const struct vhost_mem_table *t, uint32_t size, unsigned n_fds)
{
	int fd = memfd_create("t", MFD_CLOEXEC), fds[8] = { fd, fd, fd, fd, fd, fd, fd, fd };
	bool dead;

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	dead = dies_of(VHOST_SET_MEM_TABLE, 1, t, size, fds, n_fds);
	close(fd);
	return dead;
}

static void memory_tables_are_checked(void **state)
{
	struct vhost_mem_table t = { .n = 1, .regions[0] = { 0x1000, 0x10000, 0x5000, 0 } };

	assert_false(dies_of_table(&t, 40, 1));
	assert_true(dies_of_table(&t, 40, 0));
	assert_true(dies_of_table(&t, 40, 2));
	assert_true(dies_of_table(&t, 39, 1));
	assert_true(dies_of_table(&t, 8, 1));
	t.n = 2;
	assert_true(dies_of_table(&t, 40, 2));
	t.n = 0;
	assert_true(dies_of_table(&t, 8, 0));
	t.n = GUEST_MEMORY_REGIONS + 1;
	assert_true(dies_of_table(&t, 8 + 8 * 32, 8));
	t.n = 1;
	t.regions[0].size = 0;
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0].size = (1 << 20) + 1; /* beyond the file */
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0].size = UINT64_MAX - 0x1000;
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0] = (struct vhost_mem_region) { 0x1000, 0x10000, 0x5000, 0xf8000 };
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0] = (struct vhost_mem_region) { 0x1000, 0x10000, 0x5000, UINT64_MAX - 8 };
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0] = (struct vhost_mem_region) { UINT64_MAX - 8, 0x10000, 0x5000, 0 };
	assert_true(dies_of_table(&t, 40, 1));
	t.regions[0] = (struct vhost_mem_region) { 0x1000, 0x10000, 0x5000, 0x1234 };
	assert_false(dies_of_table(&t, 40, 1)); /* offsets need not be pages */
}

static void regions_do_not_overlap(void **state)
{
	struct vhost_mem_table t = {
		.n = 2,
		.regions = { { 0x10000, 0x10000, 0x10000, 0 }, { 0x20000, 0x10000, 0x20000, 0 } },
	};

	assert_false(dies_of_table(&t, 72, 2));
	t.regions[1].gpa = 0x1ffff;
	assert_true(dies_of_table(&t, 72, 2));
	t.regions[1].gpa = 0x1;
	assert_true(dies_of_table(&t, 72, 2));
	t.regions[1].gpa = 0x20000;
	t.regions[1].user = 0x1ffff;
	assert_true(dies_of_table(&t, 72, 2));
	t = (struct vhost_mem_table) { .n = GUEST_MEMORY_REGIONS };
	for (unsigned i = 0; i < t.n; i++)
		t.regions[i] = (struct vhost_mem_region) { i << 16, 0x10000, i << 16, 0 };
	assert_false(dies_of_table(&t, 8 + 8 * 32, 8));
}

static bool dies_of_ring(uint64_t desc, uint64_t avail, uint64_t used)
{
	uint64_t index = 0;
	bool dead;

	set_up(NULL);
	guest_negotiate(&g, 0);
	guest_share_memory(&g);
	guest_ring_state(&g, VHOST_SET_VRING_NUM, 0, GUEST_RING);
	guest_ring_addr(&g, 0, desc, avail, used);
	guest_send(&g, VHOST_SET_VRING_KICK, &index, 8, &g.rings[0].kick, 1);
	guest_ring_state(&g, VHOST_SET_VRING_ENABLE, 0, 1);
	dead = guest_hung_up(&g);
	assert_int_equal(dead, dev.starts[0] == 0);
	tear_down(NULL);
	return dead;
}

static void ring_addresses_are_checked(void **state)
{
	const uint64_t u = GUEST_USER, end = GUEST_USER + GUEST_BYTES;

	assert_false(dies_of_ring(u, u + 0x1000, u + 0x2000));
	assert_true(dies_of_ring(GUEST_GPA, u + 0x1000, u + 0x2000));
	assert_true(dies_of_ring(u - 16, u + 0x1000, u + 0x2000));
	assert_true(dies_of_ring(end - 16 * GUEST_RING + 16, u + 0x1000, u + 0x2000));
	assert_false(dies_of_ring(end - 16 * GUEST_RING, u + 0x1000, u + 0x2000));
	assert_true(dies_of_ring(u, end - vq_avail_bytes(GUEST_RING) + 2, u + 0x2000));
	assert_true(dies_of_ring(u, u + 0x1000, end - vq_used_bytes(GUEST_RING) + 4));
	assert_true(dies_of_ring(u + 8, u + 0x1000, u + 0x2000));
	assert_true(dies_of_ring(u, u + 0x1001, u + 0x2000));
	assert_true(dies_of_ring(u, u + 0x1000, u + 0x2002));
	assert_true(dies_of_ring(UINT64_MAX - 15, u + 0x1000, u + 0x2000));
}

static void configuration_ranges_are_checked(void **state)
{
	struct vhost_config c = { .offset = 0, .size = 8 };

	static_assert(sizeof(c) >= VHOST_CONFIG_HEAD + VIRTIO_CONFIG_BYTES, "copied whole");

	assert_true(dies(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + 7));
	assert_true(dies(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD - 1));
	c.size = VIRTIO_CONFIG_BYTES + 1;
	assert_true(dies(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + VIRTIO_CONFIG_BYTES));
	c = (struct vhost_config) { .offset = VIRTIO_CONFIG_BYTES - 7, .size = 8 };
	assert_true(dies(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + 8));
	assert_true(dies(VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + 8));
	c.offset = UINT32_MAX - 3;
	assert_true(dies(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + 8));
	c.offset = VIRTIO_CONFIG_BYTES - 8;
	assert_false(dies(VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + 8));
}

/* --- rings --- */

static struct vq_chain chain;
static struct iovec iov[128];

static int pop(void)
{
	return vq_pop(dev.vq[0], &chain, iov, ARRAY_SIZE(iov));
}

static void chains_are_popped_and_given_back(void **state)
{
	struct vring_used_elem e;
	char b[8] = "";

	guest_start(&g, 2, 0);
	assert_int_equal(pop(), 0);
	memcpy(g.mem + DATA_AT, "outdata", 7);
	guest_desc(&g, 0, 5, DATA_AT, 3, VRING_DESC_F_NEXT, 9);
	guest_desc(&g, 0, 9, DATA_AT + 3, 4, VRING_DESC_F_NEXT, 2);
	guest_desc(&g, 0, 2, DATA_AT + 100, 50, VRING_DESC_F_WRITE, 0);
	guest_add(&g, 0, 5);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.n_out, 2);
	assert_int_equal(chain.out_bytes, 7);
	assert_int_equal(chain.n_in, 1);
	assert_int_equal(chain.in_bytes, 50);
	assert_int_equal(iov_read(chain.iov, chain.n_out, b, 7), 7);
	assert_string_equal(b, "outdata");
	assert_int_equal(iov_write(chain.iov + chain.n_out, chain.n_in, "back", 4), 4);
	assert_memory_equal(g.mem + DATA_AT + 100, "back", 4);
	vq_push(dev.vq[0], chain.head, 4);
	assert_false(guest_used(&g, 0, &e)); /* not before the flush */
	vq_flush(dev.vq[0], false);
	assert_true(guest_used(&g, 0, &e));
	assert_int_equal(e.id, 5);
	assert_int_equal(e.len, 4);
	assert_int_equal(guest_interrupts(&g, 0), 1);
	vq_flush(dev.vq[0], false);
	assert_int_equal(guest_interrupts(&g, 0), 0);
}

static void chains_can_be_taken_back(void **state)
{
	guest_start(&g, 2, 0);
	for (uint16_t i = 0; i < 3; i++) {
		guest_desc(&g, 0, i, DATA_AT, 16, 0, 0);
		guest_add(&g, 0, i);
	}
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(pop(), 1);
	vq_unpop(dev.vq[0], 2);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 1);
}

static void indices_wrap(void **state)
{
	struct vring_used_elem e;

	guest_start(&g, 2, F_EVENT_IDX);
	guest_desc(&g, 0, 7, DATA_AT, 16, 0, 0);
	for (unsigned i = 0; i < 70000; i++) {
		guest_add(&g, 0, 7);
		assert_int_equal(pop(), 1);
		vq_push(dev.vq[0], chain.head, i);
		vq_flush(dev.vq[0], true);
		assert_true(guest_used(&g, 0, &e));
		assert_int_equal(e.len, i);
	}
}

static void event_index_decides(void **state)
{
	struct virtqueue *vq;
	uint16_t *used_event = &g.rings[0].avail[2 + GUEST_RING];
	uint16_t *avail_event = &g.rings[0].used[2 + 4 * GUEST_RING];

	guest_start(&g, 2, F_EVENT_IDX);
	vq = dev.vq[0];
	*used_event = 2; /* interrupt when the third is used */
	vq->signalled_valid = true;
	for (uint16_t i = 0; i < 4; i++) {
		vq_push(vq, 0, 0);
		vq_flush(vq, false);
		assert_int_equal(guest_interrupts(&g, 0), i == 2);
	}
	*used_event = 5; /* quietly passed, then made up for */
	for (uint16_t i = 0; i < 3; i++)
		vq_push(vq, 0, 0);
	vq_flush(vq, true);
	assert_int_equal(guest_interrupts(&g, 0), 0);
	assert_true(vq_owes_interrupt(vq));
	vq_flush(vq, false);
	assert_int_equal(guest_interrupts(&g, 0), 1);
	assert_false(vq_owes_interrupt(vq));
	assert_false(vq_await_kick(vq));
	assert_int_equal(*avail_event, 0);
	guest_desc(&g, 0, 0, DATA_AT, 1, 0, 0);
	guest_add(&g, 0, 0);
	assert_true(vq_await_kick(vq));
	assert_int_equal(pop(), 1);
	assert_false(vq_await_kick(vq));
	assert_int_equal(*avail_event, 1);
}

static void flags_decide_without_event_index(void **state)
{
	struct virtqueue *vq;

	guest_start(&g, 2, 0);
	vq = dev.vq[0];
	g.rings[0].avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	vq_push(vq, 0, 0);
	vq_flush(vq, false);
	assert_int_equal(guest_interrupts(&g, 0), 0);
	g.rings[0].avail[0] = 0;
	vq_push(vq, 0, 0);
	vq_flush(vq, false);
	assert_int_equal(guest_interrupts(&g, 0), 1);
	vq_ignore_kicks(vq);
	assert_int_equal(g.rings[0].used[0], VRING_USED_F_NO_NOTIFY);
	assert_false(vq_await_kick(vq));
	assert_int_equal(g.rings[0].used[0], 0);
}

/* UML's call descriptor is a pipe: full means that interrupts are pending. */
static void a_full_pipe_is_no_error(void **state)
{
	guest_start(&g, 2, 0);
	for (unsigned i = 0; i < 20000; i++) {
		vq_push(dev.vq[0], 0, 0);
		vq_flush(dev.vq[0], false);
	}
	assert_int_equal(guest_interrupts(&g, 0), 8192);
}

static void indirect_tables(void **state)
{
	struct vring_desc *t = (void *)(g.mem + DATA_AT);

	guest_start(&g, 2, F_INDIRECT);
	t[0] = (struct vring_desc) { GUEST_GPA + DATA_AT + 0x1000, 4, VRING_DESC_F_NEXT, 2 };
	t[2] = (struct vring_desc) { GUEST_GPA + DATA_AT + 0x2000, 8, VRING_DESC_F_WRITE, 0 };
	guest_desc(&g, 0, 0, DATA_AT, 3 * 16, VRING_DESC_F_INDIRECT, 0);
	guest_add(&g, 0, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.n_out, 1);
	assert_int_equal(chain.in_bytes, 8);
}

static void zero_length_is_no_segment(void **state)
{
	guest_start(&g, 2, 0);
	guest_desc(&g, 0, 0, DATA_AT, 0, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 0, 1, DATA_AT, 0, VRING_DESC_F_WRITE, 0);
	guest_add(&g, 0, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.n_out + chain.n_in, 0);
}

/* Pops after @prepare has made one bad chain at descriptor 0: the ring must be left alone for good. */
static void breaks(uint64_t features, void (*prepare)(void))
{
	set_up(NULL);
	guest_start(&g, 2, features);
	prepare();
	guest_add(&g, 0, 0);
	assert_int_equal(pop(), -EPROTO);
	assert_true(dev.vq[0]->broken);
	guest_desc(&g, 0, 0, DATA_AT, 1, 0, 0);
	assert_int_equal(pop(), -EPROTO);
	assert_false(vq_await_kick(dev.vq[0]));
	tear_down(NULL);
}

static void prepare_loop(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 1, VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 0, 1, DATA_AT, 1, VRING_DESC_F_NEXT, 0);
}

static void prepare_self_loop_of_nothing(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 0, VRING_DESC_F_NEXT, 0);
}

static void prepare_next_out_of_table(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 1, VRING_DESC_F_NEXT, GUEST_RING);
}

static void prepare_below(void)
{
	guest_desc(&g, 0, 0, 0u - 1u, 2, 0, 0);
	g.rings[0].desc[0].addr = GUEST_GPA - 1;
}

static void prepare_beyond(void)
{
	guest_desc(&g, 0, 0, GUEST_BYTES - 1, 2, VRING_DESC_F_WRITE, 0);
}

static void prepare_wrapping(void)
{
	guest_desc(&g, 0, 0, 0, UINT32_MAX, 0, 0);
	g.rings[0].desc[0].addr = UINT64_MAX - 1;
}

static void prepare_out_after_in(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	guest_desc(&g, 0, 1, DATA_AT, 1, 0, 0);
}

static void prepare_avail_jump(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 1, 0, 0);
	g.rings[0].added = GUEST_RING; /* and one more */
}

static void prepare_head_out_of_table(void)
{
	guest_add(&g, 0, GUEST_RING);
}

static void prepare_indirect(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 32, VRING_DESC_F_INDIRECT, 0);
}

static void prepare_indirect_odd(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 33, VRING_DESC_F_INDIRECT, 0);
}

static void prepare_indirect_empty(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 0, VRING_DESC_F_INDIRECT, 0);
}

static void prepare_indirect_outside(void)
{
	guest_desc(&g, 0, 0, GUEST_BYTES - 16, 32, VRING_DESC_F_INDIRECT, 0);
}

static void prepare_indirect_next(void)
{
	guest_desc(&g, 0, 0, DATA_AT, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
}

static void prepare_indirect_in_indirect(void)
{
	struct vring_desc *t = (void *)(g.mem + DATA_AT);

	t[0] = (struct vring_desc) { GUEST_GPA + DATA_AT, 32, VRING_DESC_F_INDIRECT, 0 };
	prepare_indirect();
}

static void prepare_indirect_loop(void)
{
	struct vring_desc *t = (void *)(g.mem + DATA_AT);

	t[0] = (struct vring_desc) { GUEST_GPA + DATA_AT, 1, VRING_DESC_F_NEXT, 1 };
	t[1] = (struct vring_desc) { GUEST_GPA + DATA_AT, 1, VRING_DESC_F_NEXT, 0 };
	prepare_indirect();
}

static void prepare_indirect_beyond(void)
{
	struct vring_desc *t = (void *)(g.mem + DATA_AT);

	t[0] = (struct vring_desc) { GUEST_GPA + DATA_AT, 1, VRING_DESC_F_NEXT, 2 };
	prepare_indirect();
}

static void prepare_too_many_segments(void)
{
	struct vring_desc *t = (void *)(g.mem + DATA_AT);

	for (uint16_t i = 0; i < 200; i++)
		t[i] = (struct vring_desc) { GUEST_GPA + DATA_AT, 1, VRING_DESC_F_NEXT,
					     (uint16_t)(i + 1) };
	guest_desc(&g, 0, 0, DATA_AT, 201 * 16, VRING_DESC_F_INDIRECT, 0);
}

static void broken_rings_are_left_alone(void **state)
{
	breaks(0, prepare_loop);
	breaks(0, prepare_self_loop_of_nothing);
	breaks(0, prepare_next_out_of_table);
	breaks(0, prepare_below);
	breaks(0, prepare_beyond);
	breaks(0, prepare_wrapping);
	breaks(0, prepare_out_after_in);
	breaks(0, prepare_avail_jump);
	breaks(0, prepare_head_out_of_table);
	breaks(0, prepare_indirect); /* not negotiated */
	breaks(F_INDIRECT, prepare_indirect_odd);
	breaks(F_INDIRECT, prepare_indirect_empty);
	breaks(F_INDIRECT, prepare_indirect_outside);
	breaks(F_INDIRECT, prepare_indirect_next);
	breaks(F_INDIRECT, prepare_indirect_in_indirect);
	breaks(F_INDIRECT, prepare_indirect_loop);
	breaks(F_INDIRECT, prepare_indirect_beyond);
	breaks(F_INDIRECT, prepare_too_many_segments);
}

static void a_full_ring_is_fine(void **state)
{
	guest_start(&g, 2, 0);
	for (uint16_t i = 0; i < GUEST_RING; i++) {
		guest_desc(&g, 0, i, DATA_AT, 1, 0, 0);
		guest_add(&g, 0, i);
	}
	for (uint16_t i = 0; i < GUEST_RING; i++)
		assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 0);
}

static void segments_cross_adjacent_regions(void **state)
{
	static uint8_t a[64], b[64];
	struct guest_memory m = {
		.n = 2,
		.regions = { { .gpa = 0x1000, .user = 0, .size = 64, .host = a },
			     { .gpa = 0x1040, .user = 64, .size = 64, .host = b } },
	};
	struct iovec v[4];

	assert_int_equal(guest_iov(&m, 0x1030, 32, v, 0, 4), 2);
	assert_ptr_equal(v[1].iov_base, b);
	assert_int_equal(v[0].iov_len + v[1].iov_len, 32);
	assert_int_equal(guest_iov(&m, 0x1030, 32, v, 0, 1), -E2BIG);
	assert_int_equal(guest_iov(&m, 0x1070, 32, v, 0, 4), -EFAULT);
	assert_null(guest_ptr(&m, 0x1030, 32));
	assert_non_null(guest_ptr(&m, 0x1000, 64));
	assert_null(guest_ptr(&m, 0x1000, 65));
	assert_null(guest_user_ptr(&m, 0, UINT64_MAX));
}

static void slices(void **state)
{
	char data[16];
	struct iovec in[3] = { { data, 4 }, { data + 4, 4 }, { data + 8, 4 } }, out[3];

	assert_int_equal(iov_slice(in, 3, 4, 100, out), 2);
	assert_ptr_equal(out[0].iov_base, data + 4);
	assert_int_equal(iov_slice(in, 3, 2, 4, out), 2);
	assert_int_equal(out[0].iov_len, 2);
	assert_int_equal(out[1].iov_len, 2);
	assert_int_equal(iov_slice(in, 3, 12, 4, out), 0);
	assert_int_equal(iov_slice(in, 3, 0, 0, out), 0);
	assert_int_equal(iov_slice(in, 3, 6, 3, in), 2); /* in place */
	assert_ptr_equal(in[0].iov_base, data + 6);
	assert_int_equal(in[1].iov_len, 1);
}

#define with_guest(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_guest(features_are_negotiated),
		with_guest(queues_start_in_umls_order),
		with_guest(old_front_ends_start_by_kick),
		with_guest(get_vring_base_stops_and_tells),
		with_guest(memory_may_move_while_queues_run),
		with_guest(the_configuration_space_is_read),
		with_guest(messages_may_come_in_pieces),
		cmocka_unit_test(wrong_sizes_and_flags_end_it),
		cmocka_unit_test(cut_messages_end_it),
		cmocka_unit_test(ring_numbers_are_checked),
		cmocka_unit_test(descriptors_must_match),
		cmocka_unit_test(memory_tables_are_checked),
		cmocka_unit_test(regions_do_not_overlap),
		cmocka_unit_test(ring_addresses_are_checked),
		cmocka_unit_test(configuration_ranges_are_checked),
		with_guest(chains_are_popped_and_given_back),
		with_guest(chains_can_be_taken_back),
		with_guest(indices_wrap),
		with_guest(event_index_decides),
		with_guest(flags_decide_without_event_index),
		with_guest(a_full_pipe_is_no_error),
		with_guest(indirect_tables),
		with_guest(zero_length_is_no_segment),
		cmocka_unit_test(broken_rings_are_left_alone),
		with_guest(a_full_ring_is_fine),
		cmocka_unit_test(segments_cross_adjacent_regions),
		cmocka_unit_test(slices),
	};

	log_set_level(LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
