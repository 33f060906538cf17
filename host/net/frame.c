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

/* Headers behind extension headers or fragments count as "opens": being too careful costs only when
 * the limit is reached. */
bool frame_opens(const uint8_t *frame, size_t len)
{
	unsigned type, proto;
	size_t at = NET_FRAME_MIN;

	if (len < NET_FRAME_MIN)
		return false;
	type = (unsigned)frame[12] << 8 | frame[13];
	if (type == ETHERTYPE_IPV4 && len >= at + 20) {
		proto = frame[at + 9];
		at += 4u * (frame[at] & 15u);
	} else if (type == ETHERTYPE_IPV6 && len >= at + 40) {
		proto = frame[at + 6];
		at += 40;
	} else {
		return false;
	}
	if (proto != IPPROTO_TCP)
		return true;
	return len > at + 13 && (frame[at + 13] & 0x12) == 0x02; /* SYN without ACK */
}
