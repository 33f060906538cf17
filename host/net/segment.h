/* host/net/segment.h - TCP segments in Ethernet frames: taken apart and put together
 *
 * The functions with _ip in their names do the headers below TCP only, for other protocols, too.
 *
 * IPv4 addresses are kept in the IPv4-mapped form of IPv6 ones, so that both families share code.
 * Numbers are in host byte order, addresses and ports in network byte order.
 */
#ifndef HOST_NET_SEGMENT_H
#define HOST_NET_SEGMENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/frame.h"

struct virtio_net_hdr_mrg_rxbuf;

#define SEGMENT_HEADERS_MAX 134u /* Ethernet, IPv4 or TCP with all the options they can have */

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u

struct flow { /* one connection's name */
	struct in6_addr guest, host;
	in_port_t guest_port, host_port;
};

struct segment {
	struct flow flow;
	uint8_t to[6], from[6]; /* Ethernet addresses */
	bool ipv6;
	uint8_t flags;
	uint16_t window, mss; /* mss 0: not said */
	int8_t scale;         /* -1: not said */
	uint32_t seq, ack;
	unsigned header_bytes; /* of the frame */
	uint32_t payload_bytes;
	unsigned tcp_at; /* where the TCP header begins */
};

/* @head: the first @have bytes of a frame of @len bytes, SEGMENT_HEADERS_MAX or all of it. 1: a
 * segment; 0: something else, a fragment or exotic: not for us; -EBADMSG: malformed. */
int segment_parse(const uint8_t *head, size_t have, size_t len, struct segment *ret);

/* The same for @protocol, without a look at what is behind the IP header: that begins at
 * ret->tcp_at and ends before *ret_end. Sets flow's addresses, to, from and ipv6. */
int segment_parse_ip(const uint8_t *head, size_t have, size_t len, unsigned protocol,
		     struct segment *ret, size_t *ret_end);

/* An IPv4 address as flows hold it */
void segment_map4(struct in6_addr *ret, const void *bytes);

/* The sum of the pseudo header of a segment, folded, not inverted, in memory order. */
uint16_t segment_pseudo_sum(const struct segment *s);
uint16_t segment_ip_sum(const struct segment *s, unsigned protocol, size_t bytes);

/* Writes the headers of a segment towards the guest: @s->flow, to and from as the guest sent them
 * (they are swapped here). Options: mss and scale if said. The TCP checksum is left as the sum of
 * the pseudo header, for whoever completes it. Returns the number of bytes. */
size_t segment_build(const struct segment *s, uint8_t out[SEGMENT_HEADERS_MAX]);
/* The Ethernet and IP headers for @bytes behind them. @id: the guest may cut the IPv4 packet into
 * fragments of this number when it passes it on; 0: it may not. */
size_t segment_build_ip(const struct segment *s, unsigned protocol, size_t bytes, uint16_t id,
			uint8_t *out);

#endif
