/* host/net/frame.c - checksums and flags of the guest's frames */
#include "net/frame.h"

#include <errno.h>
#include <string.h>

#include <linux/virtio_net.h>
#include <netinet/in.h>

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu

uint16_t frame_sum(const uint8_t *data, size_t len)
{
	uint64_t sums[4] = { 0 }, sum;

	/* 32-bit words into 64-bit sums: no carry to look after below 4 GiB, and four at a time. */
	for (; len >= 32; data += 32, len -= 32) {
		uint32_t w[8];

		memcpy(w, data, sizeof(w));
		sums[0] += (uint64_t)w[0] + w[4];
		sums[1] += (uint64_t)w[1] + w[5];
		sums[2] += (uint64_t)w[2] + w[6];
		sums[3] += (uint64_t)w[3] + w[7];
	}
	sum = sums[0] + sums[1] + sums[2] + sums[3];
	for (; len >= 2; data += 2, len -= 2) {
		uint16_t w;

		memcpy(&w, data, sizeof(w));
		sum += w;
	}
	if (len) {
		uint16_t w = 0;

		memcpy(&w, data, 1);
		sum += w;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static int finish_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
	uint16_t sum;

	if (start < NET_FRAME_MIN || start > len || len - start < 2 || offset > len - start - 2)
		return -EBADMSG;
	/* The field holds the sum of the pseudo header; adding it up gives the rest. */
	sum = (uint16_t)~frame_sum(frame + start, len - start);
	if (sum == 0) /* means "none" in UDP; equal in TCP */
		sum = 0xffff;
	memcpy(frame + start + offset, &sum, sizeof(sum));
	return 0;
}

static bool segmentation_allowed(uint8_t type, uint64_t features)
{
	switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return type == VIRTIO_NET_HDR_GSO_NONE;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return features >> VIRTIO_NET_F_HOST_TSO4 & 1;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return features >> VIRTIO_NET_F_HOST_TSO6 & 1;
	}
	return false;
}

int frame_check(const struct virtio_net_hdr_mrg_rxbuf *h, uint64_t features)
{
	bool partial = h->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (!segmentation_allowed(h->hdr.gso_type, features) ||
	    (h->hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE && !partial) ||
	    (partial && !(features >> VIRTIO_NET_F_CSUM & 1)))
		return -EBADMSG;
	return 0;
}

int frame_finish(const struct virtio_net_hdr_mrg_rxbuf *h, uint64_t features, uint8_t *frame,
		 size_t len)
{
	if (frame_check(h, features) < 0)
		return -EBADMSG;
	if (!(h->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	return finish_checksum(frame, len, h->hdr.csum_start, h->hdr.csum_offset);
}

/* The protocol above IP and where its header begins; 0: another kind of frame. */
static unsigned protocol_of(const uint8_t *frame, size_t len, size_t *at)
{
	unsigned type = len >= NET_FRAME_MIN ? (unsigned)frame[12] << 8 | frame[13] : 0;
	const uint8_t *ip = frame + NET_FRAME_MIN;

	if (type == ETHERTYPE_IPV4 && len >= NET_FRAME_MIN + 20u && ip[0] == 0x45) {
		*at = NET_FRAME_MIN + 20u;
		return ip[9];
	}
	if (type == ETHERTYPE_IPV6 && len >= NET_FRAME_MIN + 40u && ip[0] >> 4 == 6) {
		*at = NET_FRAME_MIN + 40u;
		return ip[6];
	}
	return 0;
}

bool frame_common(const uint8_t *frame, size_t len)
{
	size_t at;

	if (len >= NET_FRAME_MIN && frame[12] == 0x08 && frame[13] == 0x06) /* ARP */
		return true;
	switch (protocol_of(frame, len, &at)) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		return true;
	}
	return false;
}

bool frame_opens(const uint8_t *frame, size_t len)
{
	size_t at = 0;
	unsigned protocol = protocol_of(frame, len, &at);

	if (protocol != IPPROTO_TCP)
		return protocol;
	return len > at + 13 && (frame[at + 13] & 0x12) == 0x02; /* SYN without ACK */
}
