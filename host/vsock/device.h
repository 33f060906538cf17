/* host/vsock/device.h - a virtio-vsock device whose host ends are UNIX sockets
 *
 * Streams are opened from the host with vsock_open() and by the guest to ports named with
 * vsock_accept(). Either way the host end is a non-blocking stream socket that the device owns
 * from then on; bytes move between it and the guest's buffers without a copy where the socket
 * takes them.
 *
 * Driving    the loop's callbacks only take notes: whoever runs the loop calls vsock_run() after
 *            each loop_step(), and does not wait in the next one while it returns true.
 * Ownership  descriptors go to the device with the call; a failed open hands its own back.
 * Guest gone the device detaches by itself: open streams end, what the guest had sent is still
 *            written out (vsock_draining()).
 */
#ifndef HOST_VSOCK_DEVICE_H
#define HOST_VSOCK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/vhost-user.h"

struct loop;
struct vsock;

struct vsock_stats {
	uint64_t connections, opened, refused, bytes_to_guest, bytes_to_host;
};

/* @error 0: the stream is open; write nothing but a greeting to @fd, which stays the device's.
 * Otherwise a positive errno value, and @fd is the callee's to close. Called once, perhaps from
 * within vsock_run(). */
typedef void (*vsock_connected_fn)(int error, int fd, void *arg);
/* The guest opened a stream to @port: take @fd and return 0, or leave it and return -errno. */
typedef int (*vsock_accept_fn)(uint32_t port, int fd, void *arg);
/* The guest has attached, or is gone for good. */
typedef void (*vsock_detached_fn)(int reason, void *arg);

struct vsock *vsock_new(struct loop *loop, uint32_t guest_cid);
struct vsock *vsock_free(struct vsock *dev);

/* The device side for vhost_new(), with the device as its argument. */
extern const struct virtio_device_ops vsock_device_ops;

void vsock_on_detached(struct vsock *dev, vsock_detached_fn fn, void *arg);
/* At most VSOCK_MAX_ACCEPT_PORTS; -ENOSPC beyond. */
int vsock_accept(struct vsock *dev, uint32_t port, vsock_accept_fn fn, void *arg);
/* Opens a stream to the guest; the result comes through @fn. Before the guest has attached, or
 * while it boots, this waits: at most VSOCK_CONNECT_MS. */
void vsock_open(struct vsock *dev, uint32_t port, int fd, vsock_connected_fn fn, void *arg);

bool vsock_run(struct vsock *dev);
unsigned vsock_draining(const struct vsock *dev); /* streams with output still to be written */
void vsock_get_stats(const struct vsock *dev, struct vsock_stats *ret);

#define VSOCK_MAX_ACCEPT_PORTS 16u
#define VSOCK_CONNECT_MS       10000u /* wait for RESPONSE */
#define VSOCK_CLOSE_MS         8000u  /* wait for the RST that answers a full SHUTDOWN */

#endif
