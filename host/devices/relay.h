/* host/devices/relay.h - the streams of one VM between its vsock device and the host's programs
 *
 * Ownership  relay_new() takes the descriptors, on failure too.
 */
#ifndef HOST_DEVICES_RELAY_H
#define HOST_DEVICES_RELAY_H

#include <stdint.h>

#include "net/plan.h"

struct err;
struct relay;

struct relay_config {
	int vhost_fd;                 /* listening: the VMM's vhost-user front end */
	int connect_fd;               /* listening: host programs that want a stream to the guest */
	int control_fd;               /* connected: wslservice */
	int net_fd;                   /* listening: as vhost_fd, for the network; -1: none */
	struct net_plan net;          /* its addresses */
	const uint32_t *accept_ports; /* what the guest may connect to */
	unsigned n_accept_ports;
};

struct relay *relay_new(const struct relay_config *cfg, struct err *err);
struct relay *relay_free(struct relay *r);
/* Serves until the VM is gone; returns the exit status. */
int relay_run(struct relay *r);

#endif
