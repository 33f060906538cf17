/* tests/unit/virtio-guest.c - a scripted guest */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "io/loop.h"
#include "io/socket.h"
#include "virtio-guest.h"

/* A listener with a name the kernel chooses, and a connection to it. */
static int listener(int *ret_client)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*ret_client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_client, (struct sockaddr *)&sa, len), 0);
	return fd;
}

void guest_init(struct guest *g, struct loop *loop, const struct virtio_device_ops *ops, void *arg)
{
	*g = (struct guest) { .loop = loop };
	g->vhost = vhost_new(loop, listener(&g->fd), ops, arg);
	assert_non_null(g->vhost);
	g->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(g->mem_fd, GUEST_BYTES), 0);
	g->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->mem_fd, 0);
	assert_true(g->mem != MAP_FAILED);
	for (unsigned q = 0; q < ARRAY_SIZE(g->rings); q++) {
		struct guest_ring *r = &g->rings[q];

		r->desc = (void *)(g->mem + RING_AT(q));
		r->avail = (void *)(g->mem + AVAIL_AT(q));
		r->used = (void *)(g->mem + USED_AT(q));
		r->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(pipe2(r->call, O_NONBLOCK | O_CLOEXEC), 0);
	}
	guest_turn(g);
}

void guest_done(struct guest *g)
{
	drop_fd(&g->fd);
	guest_turn(g);
	g->vhost = vhost_free(g->vhost);
	for (unsigned q = 0; q < ARRAY_SIZE(g->rings); q++) {
		close(g->rings[q].kick);
		close(g->rings[q].call[0]);
		close(g->rings[q].call[1]);
	}
	munmap(g->mem, GUEST_BYTES);
	close(g->mem_fd);
}

void guest_turn(struct guest *g)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_step(g->loop, 0), 0);
}

/* --- messages --- */

void guest_send_raw(struct guest *g, const void *bytes, size_t len, const int *fds, unsigned n_fds)
{
	assert_int_equal(send_fds(g->fd, bytes, len, fds, n_fds, 0), len);
}

void guest_send(struct guest *g, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned n_fds)
{
	struct vhost_header h = { request, VHOST_FLAGS_REQUEST, size };
	uint8_t bytes[1024];

	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	guest_send_raw(g, bytes, sizeof(h) + size, fds, n_fds);
	guest_turn(g);
}

int guest_reply(struct guest *g, uint32_t request, void *payload, size_t size)
{
	struct vhost_header h;
	ssize_t n;

	guest_turn(g);
	n = recv(g->fd, &h, sizeof(h), MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -2 : -1;
	assert_int_equal(n, sizeof(h));
	assert_int_equal(h.request, request);
	assert_int_equal(h.flags, VHOST_FLAGS_REPLY);
	assert_in_range(h.size, 1, size);
	assert_int_equal(recv(g->fd, payload, h.size, MSG_DONTWAIT), h.size);
	return (int)h.size;
}

bool guest_hung_up(struct guest *g)
{
	uint64_t b;

	return guest_reply(g, 0, &b, sizeof(b)) == -2;
}

uint64_t guest_ask(struct guest *g, uint32_t request)
{
	uint64_t v = 0;

	guest_send(g, request, NULL, 0, NULL, 0);
	assert_int_equal(guest_reply(g, request, &v, sizeof(v)), 8);
	return v;
}

void guest_negotiate(struct guest *g, uint64_t features)
{
	uint64_t protocol;

	guest_send(g, VHOST_SET_OWNER, NULL, 0, NULL, 0);
	guest_ask(g, VHOST_GET_FEATURES);
	protocol = guest_ask(g, VHOST_GET_PROTOCOL_FEATURES);
	guest_send(g, VHOST_SET_PROTOCOL_FEATURES, &protocol, 8, NULL, 0);
	g->features = features | 1ull << VHOST_F_PROTOCOL_FEATURES | 1ull << VIRTIO_F_VERSION_1;
	guest_send(g, VHOST_SET_FEATURES, &g->features, 8, NULL, 0);
}

void guest_share_memory(struct guest *g)
{
	struct vhost_mem_table t = {
		.n = 1,
		.regions[0] = { GUEST_GPA, GUEST_BYTES, GUEST_USER, 0 },
	};

	guest_send(g, VHOST_SET_MEM_TABLE, &t, 40, &g->mem_fd, 1);
}

void guest_ring_state(struct guest *g, uint32_t request, uint32_t q, uint32_t num)
{
	struct vhost_vring_num v = { q, num };

	guest_send(g, request, &v, sizeof(v), NULL, 0);
}

void guest_ring_addr(struct guest *g, uint32_t q, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vhost_vring_ring v = { .index = q, .desc = desc, .used = used, .avail = avail };

	guest_send(g, VHOST_SET_VRING_ADDR, &v, sizeof(v), NULL, 0);
}

void guest_ring_start(struct guest *g, uint32_t q)
{
	struct guest_ring *r = &g->rings[q];
	uint64_t index = q;

	guest_send(g, VHOST_SET_VRING_CALL, &index, 8, &r->call[1], 1);
	guest_ring_state(g, VHOST_SET_VRING_NUM, q, GUEST_RING);
	guest_ring_state(g, VHOST_SET_VRING_BASE, q, 0);
	guest_ring_addr(g, q, GUEST_USER + RING_AT(q), GUEST_USER + AVAIL_AT(q),
			GUEST_USER + USED_AT(q));
	guest_send(g, VHOST_SET_VRING_KICK, &index, 8, &r->kick, 1);
	guest_ring_state(g, VHOST_SET_VRING_ENABLE, q, 1);
}

void guest_start(struct guest *g, unsigned n_queues, uint64_t features)
{
	guest_negotiate(g, features);
	guest_share_memory(g);
	for (unsigned q = 0; q < n_queues; q++)
		guest_ring_start(g, q);
}

/* --- rings --- */

void guest_desc(struct guest *g, uint32_t q, uint16_t i, uint32_t at, uint32_t len, uint16_t flags,
		uint16_t next)
{
	g->rings[q].desc[i] = (struct vring_desc) { GUEST_GPA + at, len, flags, next };
}

void guest_add(struct guest *g, uint32_t q, uint16_t head)
{
	struct guest_ring *r = &g->rings[q];

	r->avail[2 + r->added % GUEST_RING] = head;
	r->added++;
	__atomic_store_n(&r->avail[1], r->added, __ATOMIC_RELEASE);
}

void guest_kick(struct guest *g, uint32_t q)
{
	assert_int_equal(eventfd_write(g->rings[q].kick, 1), 0);
	guest_turn(g);
}

bool guest_used(struct guest *g, uint32_t q, struct vring_used_elem *ret)
{
	struct guest_ring *r = &g->rings[q];

	if (r->used[1] == r->seen)
		return false;
	memcpy(ret, &r->used[2 + 4 * (r->seen % GUEST_RING)], sizeof(*ret));
	r->seen++;
	return true;
}

unsigned guest_interrupts(struct guest *g, uint32_t q)
{
	unsigned n = 0;
	uint64_t one;

	while (read(g->rings[q].call[0], &one, sizeof(one)) == sizeof(one)) {
		assert_int_equal(one, 1);
		n++;
	}
	return n;
}
