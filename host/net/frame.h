/* host/net/frame.h - what a virtio-net header asks for before a frame may go on
 *
 * Works on a private copy of header and frame: nothing here looks into guest memory.
 */
#ifndef HOST_NET_FRAME_H
#define HOST_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_HEADER_BYTES 12u    /* struct virtio_net_hdr_mrg_rxbuf */
#define NET_FRAME_MIN    14u    /* an Ethernet header */
#define NET_FRAME_MAX    65550u /* one with the largest IP packet behind it */

struct virtio_net_hdr_mrg_rxbuf;

/* Completes a checksum the guest left to us and checks that a segmentation it asks for was
 * negotiated (@features). The frame itself stays whole: the stack takes packets of any size.
 * 0, or -EBADMSG for a header that does not fit the frame. */
int frame_finish(const struct virtio_net_hdr_mrg_rxbuf *h, uint64_t features, uint8_t *frame,
		 size_t len);

/* As above without a checksum: the header is one the guest may send. */
int frame_check(const struct virtio_net_hdr_mrg_rxbuf *h, uint64_t features);

/* Of the kinds the stack is meant for: ARP, and ICMP, TCP and UDP over IPv4 without options or over
 * IPv6 without extension headers. It has code for others, which nobody here needs. */
bool frame_common(const uint8_t *frame, size_t len);

/* The frame would open a connection or a flow of datagrams: TCP with SYN alone, or UDP or ICMP. */
bool frame_opens(const uint8_t *frame, size_t len);

/* The Internet checksum's sum, folded to 16 bits, not inverted, in memory order. */
uint16_t frame_sum(const uint8_t *data, size_t len);

/* Two such sums in one. */
static inline uint16_t frame_add(uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;

	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

#endif
