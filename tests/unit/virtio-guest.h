/* tests/unit/virtio-guest.h - a scripted guest: front end, memory and rings driven by a test
 *
 * Speaks real vhost-user over a real socket with the code under test in the same thread: send, let
 * the loop turn, look. Ring q has its parts at fixed places; user addresses differ from
 * guest-physical ones, as in QEMU.
 */
#ifndef TESTS_UNIT_VIRTIO_GUEST_H
#define TESTS_UNIT_VIRTIO_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio/vhost-wire.h"

#define GUEST_BYTES (8u << 20)
#define GUEST_GPA   0x100000ull
#define GUEST_USER  0x700000000000ull
#define GUEST_RING  64u /* descriptors of each queue */

#define RING_AT(q)  ((q)*0x4000u) /* offsets into the memory */
#define AVAIL_AT(q) (RING_AT(q) + 0x1000u)
#define USED_AT(q)  (RING_AT(q) + 0x2000u)
#define DATA_AT     0x20000u

struct guest_ring {
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t added, seen; /* avail index, used index looked at */
	int kick, call[2];    /* eventfd, pipe */
};

struct guest {
	struct loop *loop;
	struct vhost *vhost;
	int fd, mem_fd;
	uint8_t *mem;
	uint64_t features;
	struct guest_ring rings[4];
};

void guest_init(struct guest *g, struct loop *loop, const struct virtio_device_ops *ops, void *arg);
void guest_done(struct guest *g);

/* A message with a header of the caller's or of ours. */
void guest_send(struct guest *g, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned n_fds);
void guest_send_raw(struct guest *g, const void *bytes, size_t len, const int *fds, unsigned n_fds);
/* Lets the back end work, then reads a reply: its payload size, -1 if none, -2 if it hung up. */
int guest_reply(struct guest *g, uint32_t request, void *payload, size_t size);
bool guest_hung_up(struct guest *g);
uint64_t guest_ask(struct guest *g, uint32_t request); /* a u64 reply */

/* What UML does while it probes; @features: what the driver acknowledges. */
void guest_negotiate(struct guest *g, uint64_t features);
void guest_share_memory(struct guest *g);
void guest_ring_state(struct guest *g, uint32_t request, uint32_t q, uint32_t num);
void guest_ring_addr(struct guest *g, uint32_t q, uint64_t desc, uint64_t avail, uint64_t used);
void guest_ring_start(struct guest *g, uint32_t q);
void guest_start(struct guest *g, unsigned n_queues, uint64_t features);

void guest_desc(struct guest *g, uint32_t q, uint16_t i, uint32_t at, uint32_t len, uint16_t flags,
		uint16_t next);
void guest_add(struct guest *g, uint32_t q, uint16_t head); /* to the available ring */
void guest_kick(struct guest *g, uint32_t q);
bool guest_used(struct guest *g, uint32_t q, struct vring_used_elem *ret);
unsigned guest_interrupts(struct guest *g, uint32_t q); /* since the last call */
void guest_turn(struct guest *g);

#endif
