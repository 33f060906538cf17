/* host/names/question.c - the one question of a DNS query */
#include "names/question.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Labels of a question are never compressed. */
static int parse_name(const uint8_t *query, size_t len, size_t *at, char name[256])
{
	size_t out = 0;

	for (;;) {
		size_t n;

		if (*at >= len)
			return -EBADMSG;
		n = query[(*at)++];
		if (n == 0)
			break;
		if (n > 63 || len - *at < n || out + n + 1 > 255)
			return -EBADMSG;
		if (out)
			name[out++] = '.';
		for (size_t i = 0; i < n; i++) {
			uint8_t c = query[(*at)++];

			if (c == '.' || c == '\0')
				return -EBADMSG; /* legal on the wire, but no host's name */
			name[out++] = (char)tolower(c);
		}
	}
	name[out] = '\0';
	return 0;
}

int question_parse(const uint8_t *query, size_t len, struct question *ret)
{
	size_t at = DNS_HEADER_BYTES;

	if (len < DNS_HEADER_BYTES || (query[2] & 0x80) || get16(query + 4) != 1)
		return -EBADMSG;
	if (parse_name(query, len, &at, ret->name) < 0 || len - at < 4)
		return -EBADMSG;
	ret->type = get16(query + at);
	ret->qclass = get16(query + at + 2);
	ret->end = at + 4;
	return 0;
}

ssize_t reply_begin(const uint8_t *query, const struct question *q, unsigned rcode, uint8_t *reply,
		    size_t size)
{
	if (size < q->end)
		return -EMSGSIZE;
	memcpy(reply, query, q->end);
	reply[2] = (uint8_t)(0x80 | (query[2] & 0x79)); /* QR; opcode and RD as asked */
	reply[3] = (uint8_t)(0x80 | (rcode & 0xf)); /* RA */
	memset(reply + 6, 0, 6);
	return (ssize_t)q->end;
}

ssize_t reply_add(uint8_t *reply, size_t len, size_t size, uint16_t type, uint32_t ttl,
		  const uint8_t *data, size_t data_len)
{
	uint8_t *p = reply + len;

	if (data_len > 0xffff || size - len < 12 + data_len)
		return -EMSGSIZE;
	put16(p, 0xc000 | DNS_HEADER_BYTES); /* the question's name */
	put16(p + 2, type);
	put16(p + 4, DNS_CLASS_IN);
	put16(p + 6, ttl >> 16);
	put16(p + 8, ttl & 0xffff);
	put16(p + 10, (unsigned)data_len);
	memcpy(p + 12, data, data_len);
	put16(reply + 6, get16(reply + 6) + 1u);
	return (ssize_t)(len + 12 + data_len);
}

ssize_t name_encode(const char *name, uint8_t *wire, size_t size)
{
	size_t out = 0;

	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > 63 || out + n + 2 > size || out + n + 2 > 255)
			return -EINVAL;
		wire[out++] = (uint8_t)n;
		memcpy(wire + out, name, n);
		out += n;
		name += n + (name[n] == '.');
	}
	if (out + 1 > size)
		return -EINVAL;
	wire[out++] = 0;
	return (ssize_t)out;
}
