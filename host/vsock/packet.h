/* host/vsock/packet.h - the header of a virtio-vsock packet (virtio 1.2, section 5.10.6) */
#ifndef HOST_VSOCK_PACKET_H
#define HOST_VSOCK_PACKET_H

#include <stdint.h>

#define VSOCK_HEADER_BYTES 44u

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op; /* VIRTIO_VSOCK_TYPE_*, VIRTIO_VSOCK_OP_* of <linux/virtio_vsock.h> */
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
};

void vsock_packet_decode(const uint8_t *bytes, struct vsock_packet *ret);
void vsock_packet_encode(const struct vsock_packet *p, uint8_t *bytes);

#endif
