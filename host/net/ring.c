/* host/net/ring.c - byte queues of connections */
#include "net/ring.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"

unsigned ring_peek(const struct ring *r, uint32_t at, uint32_t bytes, struct iovec out[2])
{
	uint32_t from = (r->head + at) & (r->size - 1), first;

	if (!bytes)
		return 0;
	first = MIN(bytes, r->size - from);
	out[0] = (struct iovec) { r->data + from, first };
	if (first == bytes)
		return 1;
	out[1] = (struct iovec) { r->data, bytes - first };
	return 2;
}

unsigned ring_space(const struct ring *r, struct iovec out[2])
{
	return r->size ? ring_peek(r, r->len, r->size - r->len, out) : 0;
}

static void resize(struct ring *r, struct ring_pool *pool, uint32_t size)
{
	struct iovec old[2];
	uint8_t *data;
	unsigned n;

	if (pool->used - r->size + size > pool->limit)
		return;
	data = malloc(size);
	if (!data)
		return;
	n = ring_peek(r, 0, r->len, old);
	for (unsigned i = 0, at = 0; i < n; at += (unsigned)old[i++].iov_len)
		memcpy(data + at, old[i].iov_base, old[i].iov_len);
	free(r->data);
	pool->used += size - r->size;
	*r = (struct ring) { .data = data, .size = size, .len = r->len };
}

uint32_t ring_reserve(struct ring *r, struct ring_pool *pool, uint32_t want)
{
	uint32_t size = MAX(r->size, RING_MIN_BYTES);

	while (size < RING_MAX_BYTES && size - r->len < want)
		size *= 2;
	if (size != r->size)
		resize(r, pool, size);
	return r->size - r->len;
}

void ring_commit(struct ring *r, uint32_t bytes)
{
	r->len += bytes;
}

void ring_drop(struct ring *r, struct ring_pool *pool, uint32_t bytes)
{
	r->len -= bytes;
	r->head = (r->head + bytes) & (r->size - 1);
	if (!r->len)
		ring_free(r, pool);
}

void ring_free(struct ring *r, struct ring_pool *pool)
{
	free(r->data);
	pool->used -= r->size;
	*r = (struct ring) { 0 };
}
