/* host/net/ring.h - a byte queue whose memory exists only while it holds something
 *
 * Grows by doubling up to a limit. The rings of one struct ring_pool share its budget: beyond it
 * growing fails, and what comes from the guest is dropped (and sent again), what comes from the
 * host waits in its socket.
 */
#ifndef HOST_NET_RING_H
#define HOST_NET_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RING_MIN_BYTES (32u << 10)
#define RING_MAX_BYTES (1u << 20)

struct ring_pool {
	size_t used, limit;
};

struct ring { /* zero-initialised: empty */
	uint8_t *data;
	uint32_t size, head, len; /* size: 0 or a power of two */
};

/* Makes room for at least @want bytes more, if that is allowed; returns the room there is. */
uint32_t ring_reserve(struct ring *r, struct ring_pool *pool, uint32_t want);
/* The free part, at most 2 pieces: their number. ring_commit() after writing to it. */
unsigned ring_space(const struct ring *r, struct iovec out[2]);
void ring_commit(struct ring *r, uint32_t bytes);
/* @bytes of the content from @at on, at most 2 pieces; both must be inside. */
unsigned ring_peek(const struct ring *r, uint32_t at, uint32_t bytes, struct iovec out[2]);
/* Drops the first @bytes; an empty ring gives its memory back. */
void ring_drop(struct ring *r, struct ring_pool *pool, uint32_t bytes);
void ring_free(struct ring *r, struct ring_pool *pool);

#endif
