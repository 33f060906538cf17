/* host/net/segment.c - TCP segments, and the headers below them, in Ethernet frames */
#include "net/segment.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"

#define ETH_BYTES   14u
#define IPV4_BYTES  20u
#define IPV6_BYTES  40u
#define TCP_BYTES   20u
#define OPT_END     0
#define OPT_NOP     1
#define OPT_MSS     2
#define OPT_SCALE   3
#define MAX_SCALE   14
#define HOP_LIMIT   64
#define AT_CHECKSUM 16u

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

void segment_map4(struct in6_addr *ret, const void *bytes)
{
	*ret = (struct in6_addr) { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	memcpy(ret->s6_addr + 12, bytes, 4);
}

/* --- from the guest --- */

/* Both return 1 with the next header's place and the IP packet's end in the frame. */
static int parse_ipv4(const uint8_t *ip, size_t have, size_t len, unsigned protocol,
		      struct segment *s, size_t *end)
{
	unsigned header, total;

	if (have < IPV4_BYTES)
		return -EBADMSG;
	header = 4u * (ip[0] & 15u);
	total = get16(ip + 2);
	if (ip[0] >> 4 != 4 || header < IPV4_BYTES || total < header || total > len)
		return -EBADMSG;
	if (ip[9] != protocol || header != IPV4_BYTES || (get16(ip + 6) & 0x3fff))
		return 0; /* other protocols, options, fragments */
	if (frame_sum(ip, header) != 0xffff)
		return -EBADMSG;
	segment_map4(&s->flow.guest, ip + 12);
	segment_map4(&s->flow.host, ip + 16);
	s->tcp_at = ETH_BYTES + header;
	*end = ETH_BYTES + total;
	return 1;
}

static int parse_ipv6(const uint8_t *ip, size_t have, size_t len, unsigned protocol,
		      struct segment *s, size_t *end)
{
	unsigned payload;

	if (have < IPV6_BYTES)
		return -EBADMSG;
	payload = get16(ip + 4);
	if (ip[0] >> 4 != 6 || payload > len - IPV6_BYTES)
		return -EBADMSG;
	if (ip[6] != protocol)
		return 0;
	memcpy(&s->flow.guest, ip + 8, 16);
	memcpy(&s->flow.host, ip + 24, 16);
	s->tcp_at = ETH_BYTES + IPV6_BYTES;
	s->ipv6 = true;
	*end = ETH_BYTES + IPV6_BYTES + payload;
	return 1;
}

static void parse_options(const uint8_t *p, size_t len, struct segment *s)
{
	while (len && *p != OPT_END) {
		size_t n = *p == OPT_NOP ? 1 : len > 1 ? p[1] : 0;

		if (n == 0 || n > len || (*p != OPT_NOP && n < 2))
			return;
		if (*p == OPT_MSS && n == 4)
			s->mss = get16(p + 2);
		else if (*p == OPT_SCALE && n == 3)
			s->scale = (int8_t)MIN(p[2], MAX_SCALE);
		p += n;
		len -= n;
	}
}

static int parse_tcp(const uint8_t *head, size_t have, size_t end, struct segment *s)
{
	const uint8_t *tcp = head + s->tcp_at;
	unsigned header;

	if (have < s->tcp_at + TCP_BYTES || end < s->tcp_at + TCP_BYTES)
		return -EBADMSG;
	header = 4u * (tcp[12] >> 4);
	if (header < TCP_BYTES || s->tcp_at + header > end || s->tcp_at + header > have)
		return -EBADMSG;
	memcpy(&s->flow.guest_port, tcp, 2);
	memcpy(&s->flow.host_port, tcp + 2, 2);
	s->seq = get32(tcp + 4);
	s->ack = get32(tcp + 8);
	s->flags = tcp[13];
	s->window = get16(tcp + 14);
	s->header_bytes = s->tcp_at + header;
	s->payload_bytes = (uint32_t)(end - s->header_bytes);
	parse_options(tcp + TCP_BYTES, header - TCP_BYTES, s);
	return 1;
}

int segment_parse_ip(const uint8_t *head, size_t have, size_t len, unsigned protocol,
		     struct segment *ret, size_t *ret_end)
{
	const uint8_t *ip = head + ETH_BYTES;

	if (have < ETH_BYTES)
		return -EBADMSG;
	have -= ETH_BYTES;
	len -= ETH_BYTES;
	memcpy(ret->to, head, sizeof(ret->to));
	memcpy(ret->from, head + 6, sizeof(ret->from));
	if (get16(head + 12) == 0x0800)
		return parse_ipv4(ip, have, len, protocol, ret, ret_end);
	if (get16(head + 12) == 0x86dd)
		return parse_ipv6(ip, have, len, protocol, ret, ret_end);
	return 0;
}

int segment_parse(const uint8_t *head, size_t have, size_t len, struct segment *ret)
{
	struct segment s = { .scale = -1 };
	size_t end = 0;
	int r = segment_parse_ip(head, have, len, IPPROTO_TCP, &s, &end);

	if (r == 1)
		r = parse_tcp(head, have, end, &s);
	if (r == 1)
		*ret = s;
	return r;
}

/* --- to the guest --- */

uint16_t segment_ip_sum(const struct segment *s, unsigned protocol, size_t bytes)
{
	uint8_t p[40] = { 0 };

	if (s->ipv6) {
		memcpy(p, &s->flow.guest, 16);
		memcpy(p + 16, &s->flow.host, 16);
	} else {
		memcpy(p, s->flow.guest.s6_addr + 12, 4);
		memcpy(p + 4, s->flow.host.s6_addr + 12, 4);
	}
	put32(p + 32, (uint32_t)bytes);
	p[39] = (uint8_t)protocol;
	return frame_sum(p, sizeof(p));
}

uint16_t segment_pseudo_sum(const struct segment *s)
{
	return segment_ip_sum(s, IPPROTO_TCP, s->header_bytes - s->tcp_at + s->payload_bytes);
}

static void build_ipv4(const struct segment *s, unsigned protocol, size_t bytes, uint16_t id,
		       uint8_t *ip)
{
	uint16_t sum;

	memset(ip, 0, IPV4_BYTES);
	ip[0] = 0x45;
	put16(ip + 2, (uint32_t)(IPV4_BYTES + bytes));
	put16(ip + 4, id);
	ip[6] = id ? 0 : 0x40; /* do not fragment */
	ip[8] = HOP_LIMIT;
	ip[9] = (uint8_t)protocol;
	memcpy(ip + 12, s->flow.host.s6_addr + 12, 4);
	memcpy(ip + 16, s->flow.guest.s6_addr + 12, 4);
	sum = (uint16_t)~frame_sum(ip, IPV4_BYTES);
	memcpy(ip + 10, &sum, sizeof(sum));
}

static void build_ipv6(const struct segment *s, unsigned protocol, size_t bytes, uint8_t *ip)
{
	memset(ip, 0, 8);
	ip[0] = 0x60;
	put16(ip + 4, (uint32_t)bytes);
	ip[6] = (uint8_t)protocol;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, &s->flow.host, 16);
	memcpy(ip + 24, &s->flow.guest, 16);
}

size_t segment_build_ip(const struct segment *s, unsigned protocol, size_t bytes, uint16_t id,
			uint8_t *out)
{
	memcpy(out, s->from, 6);
	memcpy(out + 6, s->to, 6);
	put16(out + 12, s->ipv6 ? 0x86dd : 0x0800);
	if (s->ipv6)
		build_ipv6(s, protocol, bytes, out + ETH_BYTES);
	else
		build_ipv4(s, protocol, bytes, id, out + ETH_BYTES);
	return ETH_BYTES + (s->ipv6 ? IPV6_BYTES : IPV4_BYTES);
}

static size_t build_options(const struct segment *s, uint8_t *p)
{
	size_t n = 0;

	if (s->mss) {
		p[0] = OPT_MSS;
		p[1] = 4;
		put16(p + 2, s->mss);
		n = 4;
	}
	if (s->scale >= 0) {
		p[n] = OPT_NOP;
		p[n + 1] = OPT_SCALE;
		p[n + 2] = 3;
		p[n + 3] = (uint8_t)s->scale;
		n += 4;
	}
	return n;
}

size_t segment_build(const struct segment *s, uint8_t out[SEGMENT_HEADERS_MAX])
{
	uint8_t *tcp = out + ETH_BYTES + (s->ipv6 ? IPV6_BYTES : IPV4_BYTES);
	size_t tcp_bytes = TCP_BYTES + build_options(s, tcp + TCP_BYTES);
	size_t ip_bytes = segment_build_ip(s, IPPROTO_TCP, tcp_bytes + s->payload_bytes, 0, out);
	uint16_t sum;

	memcpy(tcp, &s->flow.host_port, 2);
	memcpy(tcp + 2, &s->flow.guest_port, 2);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(tcp_bytes / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put16(tcp + 18, 0);
	sum = segment_ip_sum(s, IPPROTO_TCP, tcp_bytes + s->payload_bytes);
	memcpy(tcp + AT_CHECKSUM, &sum, sizeof(sum));
	return ip_bytes + tcp_bytes;
}
