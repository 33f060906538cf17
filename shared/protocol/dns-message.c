/* shared/protocol/dns-message.c - the little that a DNS forwarder must know of messages */
#include "protocol/dns-message.h"

#include <string.h>

#define TYPE_OPT 41u

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

bool dns_is_query(const uint8_t *m, size_t len)
{
	return len >= DNS_HEADER_BYTES && !(m[2] & 0x80);
}

uint16_t dns_id(const uint8_t *m)
{
	return (uint16_t)get16(m);
}

void dns_set_id(uint8_t *m, uint16_t id)
{
	m[0] = (uint8_t)(id >> 8);
	m[1] = (uint8_t)id;
}

/* The offset behind a name, or 0 when it runs out of the message. */
static size_t skip_name(const uint8_t *m, size_t len, size_t at)
{
	while (at < len) {
		unsigned n = m[at];

		if ((n & 0xc0) == 0xc0)
			return at + 2 <= len ? at + 2 : 0;
		if (n & 0xc0)
			return 0;
		at += 1 + n;
		if (n == 0)
			return at <= len ? at : 0;
	}
	return 0;
}

/* The offset behind the questions, or 0. */
static size_t skip_questions(const uint8_t *m, size_t len)
{
	size_t at = DNS_HEADER_BYTES;

	for (unsigned n = get16(m + 4); n; n--) {
		at = skip_name(m, len, at);
		if (at == 0 || len - at < 4)
			return 0;
		at += 4;
	}
	return at;
}

size_t dns_udp_limit(const uint8_t *m, size_t len)
{
	size_t at = skip_questions(m, len), size;
	unsigned records = get16(m + 6) + get16(m + 8) + get16(m + 10);

	for (; at && records; records--) {
		at = skip_name(m, len, at);
		if (at == 0 || len - at < 10)
			break;
		if (get16(m + at) == TYPE_OPT) {
			size = get16(m + at + 2);
			return size < DNS_UDP_MIN   ? DNS_UDP_MIN
			       : size > DNS_UDP_MAX ? DNS_UDP_MAX
						    : size;
		}
		size = 10 + get16(m + at + 8);
		if (len - at < size)
			break;
		at += size;
	}
	return DNS_UDP_MIN;
}

size_t dns_truncate(uint8_t *m, size_t len)
{
	size_t at = skip_questions(m, len);

	m[2] |= 0x02; /* TC */
	memset(m + 6, 0, 6);
	if (at && at <= DNS_UDP_MIN)
		return at;
	memset(m + 4, 0, 2);
	return DNS_HEADER_BYTES;
}
