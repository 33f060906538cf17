/* host/virtio/queue.h - the device's side of a split virtqueue (virtio 1.2, section 2.7)
 *
 * A device pops chains, uses them within the same callback, and pushes each back exactly once, or
 * takes the last ones back with vq_unpop(). Nothing the driver sees changes before vq_flush(). A
 * driver that breaks the ring marks it broken: vq_pop() says so from then on.
 *
 * Segments of a chain point into guest memory, which the guest may rewrite at any time: copy out,
 * then check.
 */
#ifndef HOST_VIRTIO_QUEUE_H
#define HOST_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "virtio/memory.h"

#define VQ_MAX_SIZE 1024u /* descriptors; UML's driver asks for 256, QEMU's for 128 */

struct virtqueue {
	const struct guest_memory *mem;
	volatile struct vring_desc *desc;
	uint16_t *avail; /* flags, idx, ring[num], used_event */
	uint16_t *used;  /* flags, idx, struct vring_used_elem[num], avail_event */
	uint16_t num;
	uint16_t next_avail; /* the next entry to pop */
	uint16_t seen_avail; /* the driver's index as we last read it */
	uint16_t next_used;  /* the next entry to fill; the driver sees it at vq_flush() */
	uint16_t published;  /* next_used as the driver knows it */
	uint16_t signalled;  /* next_used when we last considered an interrupt */
	bool event_idx, indirect, signalled_valid, broken;
	int call_fd;
};

/* Readable segments (from the driver) come first: iov[0..n_out), then iov[n_out..n_out+n_in). */
struct vq_chain {
	struct iovec *iov;
	unsigned n_out, n_in;
	size_t out_bytes, in_bytes;
	uint16_t head;
};

/* Sets up a ring from checked pointers; @base: the first available index to pop. */
void vq_init(struct virtqueue *vq, const struct guest_memory *mem, uint16_t num, void *desc,
	     void *avail, void *used, uint16_t base);
static inline size_t vq_desc_bytes(unsigned num)
{
	return 16u * (size_t)num;
}
static inline size_t vq_avail_bytes(unsigned num)
{
	return 6u + 2u * (size_t)num;
}
static inline size_t vq_used_bytes(unsigned num)
{
	return 6u + 8u * (size_t)num;
}

/* 1 and *ret: a chain whose segments are in iov[0..max); 0: nothing there; -EPROTO: broken. */
int vq_pop(struct virtqueue *vq, struct vq_chain *ret, struct iovec *iov, unsigned max);
/* The @n chains popped last were not used after all; they come again. */
void vq_unpop(struct virtqueue *vq, unsigned n);
/* @written: bytes stored into the chain's writable segments. */
void vq_push(struct virtqueue *vq, uint16_t head, uint32_t written);
/* Shows the driver what was pushed and interrupts it if it asked for that. @quiet: no interrupt
 * yet; the next vq_flush() makes up for it. */
void vq_flush(struct virtqueue *vq, bool quiet);
bool vq_owes_interrupt(const struct virtqueue *vq); /* pushed quietly since the last vq_flush() */

/* Asks for a kick at the next chain; true if one arrived before the driver could know. */
bool vq_await_kick(struct virtqueue *vq);
/* Kicks are not wanted for now; a few may still come. */
void vq_ignore_kicks(struct virtqueue *vq);

/* Bytes between iov segments and a flat buffer; return how many were copied. */
size_t iov_read(const struct iovec *iov, unsigned n, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, const void *buf, size_t len);
/* Copies what lies behind the first @skip bytes, at most @limit bytes, into out[]: its count. */
unsigned iov_slice(const struct iovec *iov, unsigned n, size_t skip, size_t limit,
		   struct iovec *out);

#endif
