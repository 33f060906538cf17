/* host/net/unreachable.c - ICMP and ICMPv6 errors that quote the beginning of a segment */
#include "net/unreachable.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ETH_BYTES  14u
#define ICMP_BYTES 8u
#define QUOTED_TCP 8u /* ports and sequence number: what the guest looks for */

/* The packet the guest sent, without its Ethernet header: as a segment in the other direction. */
static void quote(const struct segment *syn, uint8_t *out, size_t bytes)
{
	uint8_t headers[SEGMENT_HEADERS_MAX];
	struct segment s = *syn;

	s.flow = (struct flow) { syn->flow.host, syn->flow.guest, syn->flow.host_port,
				 syn->flow.guest_port };
	segment_build(&s, headers);
	memcpy(out, headers + ETH_BYTES, bytes);
}

static void put_checksum(uint8_t *at, uint16_t sum)
{
	uint16_t checksum = (uint16_t)~sum;

	memcpy(at, &checksum, sizeof(checksum));
}

size_t unreachable_build(const struct segment *syn, const struct in6_addr *router, int error,
			 uint8_t out[UNREACHABLE_MAX])
{
	unsigned protocol = syn->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t quoted = (syn->ipv6 ? 40 : 20) + QUOTED_TCP, bytes = ICMP_BYTES + quoted;
	bool host = error == EHOSTUNREACH;
	struct segment s = *syn;
	uint8_t *icmp;

	s.flow.host = *router;
	icmp = out + segment_build_ip(&s, protocol, bytes, 0, out);
	memset(icmp, 0, ICMP_BYTES);
	quote(syn, icmp + ICMP_BYTES, quoted);
	if (syn->ipv6) {
		icmp[0] = ICMP6_DST_UNREACH;
		icmp[1] = host ? ICMP6_DST_UNREACH_ADDR : ICMP6_DST_UNREACH_NOROUTE;
		put_checksum(icmp + 2, frame_add(frame_sum(icmp, bytes),
						 segment_ip_sum(&s, protocol, bytes)));
	} else {
		icmp[0] = ICMP_DEST_UNREACH;
		icmp[1] = host ? ICMP_HOST_UNREACH : ICMP_NET_UNREACH;
		put_checksum(icmp + 2, frame_sum(icmp, bytes));
	}
	return (size_t)(icmp - out) + bytes;
}
