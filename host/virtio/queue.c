/* host/virtio/queue.c - split virtqueues against a hostile driver
 *
 * THEORY OF OPERATION
 *   The driver owns the available ring, we own the used ring; each side publishes by a store of its
 *   index after a barrier. An interrupt is an 8-byte write to call_fd: an eventfd (QEMU) or a
 *   non-blocking pipe (UML), where a full pipe means that interrupts are pending anyway.
 * EVENT_IDX
 *   Each side names the index at which it wants to hear from the other. Not wanting kicks costs
 *   nothing then: the stale index is only met again after 65536 chains. Publishing and then looking
 *   at the other side's wish needs a full barrier, on both sides, or a wake-up gets lost.
 * HOSTILE DRIVER
 *   Every 16-bit index, address and length is checked before use; descriptors are copied out field
 *   by field first. A chain may have no more descriptors than its table, so loops end. Any breach
 *   sets broken; the ring is then left alone.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

#define RING_FLAGS 0 /* index of u16 in both rings */
#define RING_IDX   1
#define RING_HEAD  2

void vq_init(struct virtqueue *vq, const struct guest_memory *mem, uint16_t num, void *desc,
	     void *avail, void *used, uint16_t base)
{
	vq->mem = mem;
	vq->num = num;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->next_avail = vq->seen_avail = base;
	vq->next_used = __atomic_load_n(&vq->used[RING_IDX], __ATOMIC_RELAXED);
	vq->signalled = vq->published = vq->next_used;
	vq->signalled_valid = false;
	vq->broken = false;
}

static int breach(struct virtqueue *vq)
{
	vq->broken = true;
	return -EPROTO;
}

static uint16_t *used_event(struct virtqueue *vq)
{
	return &vq->avail[RING_HEAD + vq->num];
}

static uint16_t *avail_event(struct virtqueue *vq)
{
	return &vq->used[RING_HEAD + 4u * vq->num];
}

/* --- popping --- */

struct table { /* the descriptor ring itself, or an indirect table */
	volatile struct vring_desc *desc;
	unsigned n;
};

static struct vring_desc desc_copy(const struct table *t, unsigned i)
{
	return (struct vring_desc) {
		.addr = t->desc[i].addr,
		.len = t->desc[i].len,
		.flags = t->desc[i].flags,
		.next = t->desc[i].next,
	};
}

static int enter_indirect(struct virtqueue *vq, const struct vring_desc *d, struct table *t)
{
	void *p;

	if (!vq->indirect || (d->flags & VRING_DESC_F_NEXT) || d->len == 0 || d->len % 16)
		return -EPROTO;
	p = guest_ptr(vq->mem, d->addr, d->len);
	if (!p || (uintptr_t)p % 8)
		return -EPROTO;
	*t = (struct table) { p, d->len / 16 };
	return 0;
}

static int add_segment(struct virtqueue *vq, const struct vring_desc *d, struct vq_chain *c,
		       unsigned max)
{
	unsigned had = c->n_out + c->n_in;
	int n;

	if (!(d->flags & VRING_DESC_F_WRITE) && c->in_bytes)
		return -EPROTO; /* readable after writable */
	n = guest_iov(vq->mem, d->addr, d->len, c->iov, had, max);
	if (n < 0)
		return n;
	if (d->flags & VRING_DESC_F_WRITE) {
		c->n_in += (unsigned)n - had;
		c->in_bytes += d->len;
	} else {
		c->n_out += (unsigned)n - had;
		c->out_bytes += d->len;
	}
	return 0;
}

static int walk(struct virtqueue *vq, unsigned i, struct vq_chain *c, unsigned max)
{
	struct table t = { vq->desc, vq->num };
	bool direct = true;

	for (unsigned left = t.n; left; left--) {
		struct vring_desc d = desc_copy(&t, i);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!direct || enter_indirect(vq, &d, &t) < 0)
				return -EPROTO;
			direct = false;
			left = t.n + 1;
			i = 0;
			continue;
		}
		if (add_segment(vq, &d, c, max) < 0)
			return -EPROTO;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
		if (i >= t.n)
			return -EPROTO;
	}
	return -EPROTO; /* a loop */
}

static bool more_available(struct virtqueue *vq)
{
	if (vq->next_avail != vq->seen_avail)
		return true;
	vq->seen_avail = __atomic_load_n(&vq->avail[RING_IDX], __ATOMIC_ACQUIRE);
	if ((uint16_t)(vq->seen_avail - vq->next_avail) > vq->num)
		breach(vq);
	return !vq->broken && vq->next_avail != vq->seen_avail;
}

int vq_pop(struct virtqueue *vq, struct vq_chain *ret, struct iovec *iov, unsigned max)
{
	uint16_t head;

	if (vq->broken)
		return -EPROTO;
	if (!more_available(vq))
		return vq->broken ? -EPROTO : 0;
	head = __atomic_load_n(&vq->avail[RING_HEAD + (vq->next_avail & (vq->num - 1))],
			       __ATOMIC_RELAXED);
	*ret = (struct vq_chain) { .iov = iov, .head = head };
	if (head >= vq->num || walk(vq, head, ret, max) < 0)
		return breach(vq);
	vq->next_avail++;
	return 1;
}

void vq_unpop(struct virtqueue *vq, unsigned n)
{
	vq->next_avail = (uint16_t)(vq->next_avail - n);
}

/* --- giving back --- */

void vq_push(struct virtqueue *vq, uint16_t head, uint32_t written)
{
	struct vring_used_elem e = { .id = head, .len = written };

	memcpy(&vq->used[RING_HEAD + 4u * (vq->next_used & (vq->num - 1))], &e, sizeof(e));
	vq->next_used++;
}

static bool interrupt_wanted(struct virtqueue *vq)
{
	uint16_t old = vq->signalled, now = vq->next_used;
	bool valid = vq->signalled_valid;

	vq->signalled = now;
	vq->signalled_valid = true;
	if (!vq->event_idx)
		return !(__atomic_load_n(&vq->avail[RING_FLAGS], __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	if (!valid)
		return true;
	return vring_need_event(__atomic_load_n(used_event(vq), __ATOMIC_RELAXED), now, old);
}

bool vq_owes_interrupt(const struct virtqueue *vq)
{
	return !vq->broken && vq->signalled != vq->next_used;
}

void vq_flush(struct virtqueue *vq, bool quiet)
{
	static const uint64_t one = 1;

	if (vq->published != vq->next_used)
		__atomic_store_n(&vq->used[RING_IDX], vq->next_used, __ATOMIC_RELEASE);
	vq->published = vq->next_used;
	if (quiet || vq->signalled == vq->next_used)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (interrupt_wanted(vq) && vq->call_fd >= 0 && write(vq->call_fd, &one, sizeof(one)) < 0) {
		/* EAGAIN: interrupts are pending already. Otherwise the driver is gone, and its
		 * socket will say so. */
	}
}

/* --- kicks --- */

bool vq_await_kick(struct virtqueue *vq)
{
	if (vq->broken)
		return false;
	if (vq->event_idx)
		__atomic_store_n(avail_event(vq), vq->next_avail, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&vq->used[RING_FLAGS], 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return more_available(vq);
}

void vq_ignore_kicks(struct virtqueue *vq)
{
	if (!vq->broken && !vq->event_idx)
		__atomic_store_n(&vq->used[RING_FLAGS], VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

/* --- segments --- */

size_t iov_read(const struct iovec *iov, unsigned n, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = MIN(iov[i].iov_len, len - done);

		memcpy((char *)buf + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = MIN(iov[i].iov_len, len - done);

		memcpy(iov[i].iov_base, (const char *)buf + done, part);
		done += part;
	}
	return done;
}

unsigned iov_slice(const struct iovec *iov, unsigned n, size_t skip, size_t limit,
		   struct iovec *out)
{
	unsigned n_out = 0;

	for (unsigned i = 0; i < n && limit; i++) {
		size_t at = MIN(skip, iov[i].iov_len), part = MIN(iov[i].iov_len - at, limit);

		skip -= at;
		limit -= part;
		if (part)
			out[n_out++] = (struct iovec) { (char *)iov[i].iov_base + at, part };
	}
	return n_out;
}
