/* host/virtio/vhost-wire.h - bytes of the vhost-user protocol, private to host/virtio and its tests
 *
 * Native endian, as the protocol says; front end and back end share a machine.
 */
#ifndef HOST_VIRTIO_VHOST_WIRE_H
#define HOST_VIRTIO_VHOST_WIRE_H

#include <assert.h>
#include <stdint.h>

#include "virtio/vhost-user.h"

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_REQUEST_COUNT
};

#define VHOST_FLAGS_REQUEST 1u /* version */
#define VHOST_FLAGS_REPLY   5u /* version, reply */
#define VHOST_FLAGS_VERSION 3u /* mask */

#define VHOST_F_PROTOCOL_FEATURES 30
#define VHOST_PROTOCOL_F_MQ       0
#define VHOST_PROTOCOL_F_CONFIG   9

#define VHOST_FD_INDEX 0xffu  /* of the number that comes with KICK, CALL and ERR */
#define VHOST_FD_NONE  0x100u /* no descriptor is attached */

struct vhost_header {
	uint32_t request, flags, size;
};

struct vhost_vring_num {
	uint32_t index, num;
};

struct vhost_vring_ring {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct vhost_mem_region {
	uint64_t gpa, size, user, offset;
};

struct vhost_mem_table {
	uint32_t n, padding;
	struct vhost_mem_region regions[GUEST_MEMORY_REGIONS];
};

struct vhost_config {
	uint32_t offset, size, flags;
	uint8_t data[VIRTIO_CONFIG_BYTES];
};

union vhost_payload {
	uint64_t number;
	struct vhost_vring_num vring;
	struct vhost_vring_ring ring;
	struct vhost_mem_table table;
	struct vhost_config config;
};

#define VHOST_CONFIG_HEAD 12u
#define VHOST_TABLE_HEAD  8u

static_assert(sizeof(struct vhost_header) == 12, "header");
static_assert(sizeof(struct vhost_vring_ring) == 40, "SET_VRING_ADDR");
static_assert(sizeof(struct vhost_mem_region) == 32, "SET_MEM_TABLE");

#endif
