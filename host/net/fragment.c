/* host/net/fragment.c - reassembly of IPv4 datagrams, in order only */
#include "net/fragment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "net/frame.h"

#define ETH_BYTES   14u
#define IP_BYTES    20u
#define IP_MAX      65535u
#define MORE        0x2000u
#define OFFSET_MASK 0x1fffu

struct slot {
	uint8_t *frame;  /* NET_FRAME_MAX bytes; NULL: never used */
	size_t len;      /* so far; 0: free */
	uint8_t key[11]; /* source, destination, identification, protocol */
	uint64_t age;
};

struct fragments {
	struct slot slots[FRAGMENT_SLOTS];
	uint64_t clock;
};

struct fragments *fragments_new(void)
{
	return calloc(1, sizeof(struct fragments));
}

struct fragments *fragments_free(struct fragments *f)
{
	for (unsigned i = 0; f && i < FRAGMENT_SLOTS; i++)
		free(f->slots[i].frame);
	free(f);
	return NULL;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void make_key(const uint8_t *ip, uint8_t key[11])
{
	memcpy(key, ip + 12, 8);
	memcpy(key + 8, ip + 4, 2);
	key[10] = ip[9];
}

static struct slot *find(struct fragments *f, const uint8_t key[11])
{
	for (unsigned i = 0; i < FRAGMENT_SLOTS; i++)
		if (f->slots[i].len && memcmp(f->slots[i].key, key, 11) == 0)
			return &f->slots[i];
	return NULL;
}

static struct slot *begin(struct fragments *f, const uint8_t key[11])
{
	struct slot *s = &f->slots[0];

	for (unsigned i = 1; i < FRAGMENT_SLOTS && s->len; i++)
		if (!f->slots[i].len || f->slots[i].age < s->age)
			s = &f->slots[i];
	if (!s->frame)
		s->frame = malloc(NET_FRAME_MAX);
	s->len = 0;
	s->age = ++f->clock;
	memcpy(s->key, key, 11);
	return s->frame ? s : NULL;
}

/* The whole datagram as one packet. */
static size_t finish(struct slot *s, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_BYTES;
	size_t len = s->len;
	uint16_t sum;

	memcpy(frame, s->frame, len);
	s->len = 0;
	put16(ip + 2, (unsigned)(len - ETH_BYTES));
	put16(ip + 6, 0);
	put16(ip + 10, 0);
	sum = (uint16_t)~frame_sum(ip, IP_BYTES);
	memcpy(ip + 10, &sum, sizeof(sum));
	return len;
}

static size_t add(struct fragments *f, uint8_t *frame, size_t total)
{
	uint8_t *ip = frame + ETH_BYTES, key[11];
	unsigned offset = 8u * (get16(ip + 6) & OFFSET_MASK);
	bool more = get16(ip + 6) & MORE;
	size_t bytes = total - IP_BYTES;
	struct slot *s;

	make_key(ip, key);
	s = find(f, key);
	if (offset == 0) {
		if (s)
			s->len = 0;
		s = begin(f, key);
		if (s) {
			memcpy(s->frame, frame, ETH_BYTES + IP_BYTES);
			s->len = ETH_BYTES + IP_BYTES;
		}
	}
	if (!s)
		return 0;
	if (s->len != ETH_BYTES + IP_BYTES + offset || !bytes || (more && bytes % 8) ||
	    s->len + bytes > ETH_BYTES + IP_MAX) {
		s->len = 0;
		return 0;
	}
	memcpy(s->frame + s->len, ip + IP_BYTES, bytes);
	s->len += bytes;
	return more ? 0 : finish(s, frame);
}

size_t fragments_take(struct fragments *f, uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_BYTES;
	size_t total;

	if (len < ETH_BYTES + IP_BYTES || get16(frame + 12) != 0x0800 ||
	    !(get16(ip + 6) & (MORE | OFFSET_MASK)))
		return len;
	total = get16(ip + 2);
	if (ip[0] != 0x45 || total < IP_BYTES || total > len - ETH_BYTES ||
	    frame_sum(ip, IP_BYTES) != 0xffff)
		return 0;
	return add(f, frame, total);
}
