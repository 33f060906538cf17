/* host/net/net.h - a virtio-net device whose other end is a TCP/IP stack on ordinary sockets
 *
 * The guest's connections become connections of this process: the host's routes, firewall and VPNs
 * apply, no privilege is needed, and nothing of the guest's network shows on the host.
 *
 * Driving    as with a vsock device: the loop's callbacks take notes, and whoever runs the loop
 *            calls net_run() after each loop_step() and does not wait in the next one while it
 *            returns true.
 * Before     a process sandboxes itself it must have called net_new().
 */
#ifndef HOST_NET_NET_H
#define HOST_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "net/plan.h"
#include "virtio/vhost-user.h"

struct loop;
struct net;

struct net_stats {
	uint64_t frames_to_guest, frames_to_host, bytes_to_guest, bytes_to_host;
	uint64_t dropped; /* refused frames of the guest, and what it had no room for */
	unsigned sockets; /* open now */
};

/* NULL when memory is out. */
struct net *net_new(struct loop *loop, const struct net_plan *plan);
struct net *net_free(struct net *n);

/* The device side for vhost_new(), with the device as its argument. */
extern const struct virtio_device_ops net_device_ops;

/* Who answers names: takes one end of a stream of DNS messages (docs/protocol.md), or returns
 * -errno. Until it is said, queries to the network's name server are dropped. */
typedef int (*net_names_fn)(int fd, void *arg);
void net_on_names(struct net *n, net_names_fn fn, void *arg);

bool net_run(struct net *n);
void net_get_stats(const struct net *n, struct net_stats *ret);

#endif
