/* tests/fuzz/fuzz-vring.c - split rings whose every byte the guest wrote
 *
 * Input: a byte of features, a byte of ring size, the index to start at, then guest memory from its
 * first byte on: descriptors, available ring, used ring, data. Every chain that is popped is read
 * and written in full.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "virtio/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY 8192u
#define GPA    0x1000u
#define HEAD   4u

static void use(struct virtqueue *vq, const struct vq_chain *c, unsigned i)
{
	static uint8_t b[4 * MEMORY];
	size_t n = iov_read(c->iov, c->n_out, b, sizeof(b));

	if (n != MIN(c->out_bytes, sizeof(b)))
		abort();
	memset(b, 0x5a, sizeof(b));
	n = iov_write(c->iov + c->n_out, c->n_in, b, MIN(c->in_bytes, sizeof(b)));
	if (i % 7 == 3)
		vq_unpop(vq, 1);
	else
		vq_push(vq, c->head, (uint32_t)n);
}

static void run(struct virtqueue *vq)
{
	static struct iovec iov[128];
	struct vq_chain c;

	for (unsigned i = 0; i < 300; i++) {
		int r = vq_pop(vq, &c, iov, ARRAY_SIZE(iov));

		if (r < 0 && !vq->broken)
			abort();
		if (r < 0 || (r == 0 && !vq_await_kick(vq)))
			break;
		if (r > 0)
			use(vq, &c, i);
		vq_flush(vq, i & 1);
	}
	vq_ignore_kicks(vq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_memory m = { .n = 1 };
	struct virtqueue vq = { .call_fd = -1 };
	uint16_t num, base;
	uint8_t *memory;

	if (size < HEAD)
		return 0;
	memory = calloc(1, MEMORY); /* its own block: an access outside shows */
	memcpy(memory, data + HEAD, MIN(size - HEAD, (size_t)MEMORY));
	m.regions[0] = (struct guest_region) { .gpa = GPA, .size = MEMORY, .host = memory };
	num = (uint16_t)(1u << (data[1] % 6));
	memcpy(&base, data + 2, 2);
	vq.event_idx = data[0] & 1;
	vq.indirect = data[0] & 2;
	vq_init(&vq, &m, num, memory, memory + 0x200, memory + 0x300, base);
	run(&vq);
	free(memory);
	return 0;
}
